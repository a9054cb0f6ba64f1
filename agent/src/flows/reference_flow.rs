//! A reference flow: one set of reference data, mirrored from the ERP into a spend system. Both sides are read whole and
//! compared by content, and only the difference is written; so a run that was killed is finished by the next one, and
//! a second run writes nothing.
//!
//! What a newcomer gets wrong: an entry is made ours durably **before** it is added. Else one that was added right
//! before a crash, and taken out of the ERP right after it, would stay in the spend system for ever.

mod memory;

pub use memory::{fresh_at, next_due};

use super::replay::Decision;
use super::spend_flow::{RunError, is_connection_wide, keeps_from_beginning};
use crate::clock::Clock;
use crate::store::{AuditDraft, AuditKind, Batch, MirrorCounts, RunRecord, RunReport, StateTable, Store};
use crate::vendors::http::CallContext;
use crate::vendors::{ChangeOutcome, ErpTarget, ReferenceTarget};
use chrono::TimeDelta;
use memory::Memory;
use purser_proto::validate::{ValidConnection, ValidReference};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::{CompanyId, FlowId, RunId};
use spend::mirror::{
    Delta, MirrorCeiling, MirrorChange, MirrorEntry, MirrorRules, Ours, ReferenceSet, compare, fold,
    portions, refusal, wanted,
};
use spend::posting::{Failure, FailureClass};
use std::sync::Arc;
use tokio::sync::watch;

/// Changes that are made durable as intended, written and recorded together.
const CHUNK: usize = 100;
/// Errors that a report names one by one.
const MOST_ERRORS: usize = 20;
/// First and longest time before a run that met a passing failure is tried again.
const RETRY_BASE: TimeDelta = TimeDelta::minutes(5);
const RETRY_MAX: TimeDelta = TimeDelta::hours(4);

/// One reference flow's settings. Made from valid configuration only.
#[derive(Clone, Debug)]
pub struct ReferenceSettings {
    /// Which flow.
    pub flow: FlowId,
    /// Company in the ERP.
    pub company: CompanyId,
    /// What is mirrored.
    pub set: ReferenceSet,
    /// What is taken and how it is compared.
    pub rules: MirrorRules,
    /// How much one run may change without a person.
    pub ceiling: MirrorCeiling,
    /// Where it reads from and writes to; what the flow remembers is about this place.
    pub place: String,
}

impl ReferenceSettings {
    /// The settings of a configured reference flow. `to` is the connection that it names.
    pub fn new(flow: &ValidReference, to: Option<&ValidConnection>) -> Self {
        Self {
            flow: flow.id.clone(),
            company: flow.company.clone(),
            set: flow.set,
            rules: flow.rules.clone(),
            ceiling: flow.ceiling,
            place: memory::place(flow, to),
        }
    }
}

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorPreview {
    /// What is mirrored.
    pub set: ReferenceSet,
    /// Entries that the ERP wants to be there.
    pub wanted: usize,
    /// The difference.
    #[serde(flatten)]
    pub delta: Delta,
    /// Why a person must consent to it; `None` = a run makes it by itself.
    pub refused: Option<String>,
    /// Stands for all changes: `flows run --expect` refuses when it has changed since.
    pub plan_hash: String,
}

/// What a person has agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Hash of the preview; nothing is written when it is another one by now.
    pub expect: Option<String>,
    /// Consent to changes beyond the ceilings.
    pub consent: Option<Decision>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorEnded {
    /// It ran.
    Ran(RunReport),
    /// Nothing was written: a run would do something else than what was agreed to.
    Changed(Box<MirrorPreview>),
}

/// A reference flow, ready to run. Runs of one flow are serial: its actor sees to that.
pub struct ReferenceFlow {
    settings: ReferenceSettings,
    store: Store,
    erp: Arc<dyn ErpTarget>,
    target: Arc<dyn ReferenceTarget>,
    clock: Clock,
    stop: watch::Receiver<bool>,
    progress: watch::Sender<RunReport>,
    /// False once another life of the flow's actor has taken over: then nothing is written any more.
    current: Box<dyn Fn() -> bool + Send + Sync>,
}

/// What one run carries from step to step.
struct Session {
    run: RunId,
    trigger: String,
    started: Timestamp,
    report: RunReport,
    memory: Memory,
    /// A failure that time alone can mend, and when to look again where the vendor says so.
    passing: Option<Option<Timestamp>>,
    /// Everything that was to be done was done.
    complete: bool,
}

impl ReferenceFlow {
    /// A flow over its parts.
    #[expect(clippy::too_many_arguments, reason = "wiring: each part is named once")]
    pub fn new(
        settings: ReferenceSettings,
        store: Store,
        erp: Arc<dyn ErpTarget>,
        target: Arc<dyn ReferenceTarget>,
        clock: Clock,
        stop: watch::Receiver<bool>,
        progress: watch::Sender<RunReport>,
        current: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { settings, store, erp, target, clock, stop, progress, current: Box::new(current) }
    }

    /// What a run would do. Writes nothing, neither to a vendor nor here.
    ///
    /// # Errors
    /// A vendor's failure to give its side, or [`RunError`] for the store.
    pub async fn preview(&self) -> Result<Result<MirrorPreview, Failure>, RunError> {
        let memory = memory::memory(&self.store, &self.settings)?;
        Ok(self.look(&memory.ours).await)
    }

    /// Runs once: reads both sides, compares, and writes the difference unless it is beyond a ceiling.
    ///
    /// # Errors
    /// [`RunError`] when the store is unusable; everything else is in the report.
    pub async fn run(&self, trigger: &str, agreed: &Agreement) -> Result<MirrorEnded, RunError> {
        let mut session = self.session(trigger)?;
        let context = CallContext {
            flow: Some(self.settings.flow.clone()),
            run: Some(session.run.clone()),
            posting: None,
        };
        tracing::info!(flow = %self.settings.flow, run = %session.run, trigger, "reference run started");
        let mut batch = Batch::new();
        batch.audit(self.entry(&session, AuditKind::Run, serde_json::json!({ "began": session.trigger })));
        self.commit(batch).await?;
        let outcome = context.scope(self.steps(&mut session, agreed)).await;
        if let Err(error) = &outcome {
            session.report.errors.push(error.to_string());
        }
        let recorded = self.record(&mut session).await;
        let changed = outcome?;
        recorded?;
        Ok(changed.map_or(MirrorEnded::Ran(session.report), MirrorEnded::Changed))
    }

    fn session(&self, trigger: &str) -> Result<Session, RunError> {
        let started = self.clock.now();
        let tail = fastrand::u32(..);
        Ok(Session {
            run: RunId::new(format!("{}-{tail:08x}", started.format("%Y%m%dT%H%M%S%3fZ"))),
            trigger: trigger.to_owned(),
            started,
            report: RunReport { mirrored: Some(Box::default()), ..RunReport::default() },
            memory: memory::memory(&self.store, &self.settings)?,
            passing: None,
            complete: false,
        })
    }

    /// `Some` when a run would not do what was agreed to.
    async fn steps(
        &self,
        session: &mut Session,
        agreed: &Agreement,
    ) -> Result<Option<Box<MirrorPreview>>, RunError> {
        let preview = match self.look(&session.memory.ours).await {
            Ok(preview) => preview,
            Err(failure) => {
                session.report.could_not_begin = keeps_from_beginning(&failure);
                session.failed(&failure);
                return Ok(None);
            }
        };
        if agreed.expect.as_ref().is_some_and(|expect| *expect != preview.plan_hash) {
            session.report.errors.push("it would not do what was agreed to; nothing was written".to_owned());
            return Ok(Some(Box::new(preview)));
        }
        session.count(&preview);
        if let Some(why) = &preview.refused {
            let Some(consent) = &agreed.consent else {
                session.refused(&self.settings.flow, why, &preview);
                return Ok(None);
            };
            self.note_consent(session, consent, why, &preview).await?;
        }
        session.complete =
            self.write(session, &preview.delta.changes).await? && session.report.errors.is_empty();
        for entry in preview.delta.untouched.iter().filter(|entry| entry.active) {
            session.memory.ours.insert(fold(&entry.key), entry.content_hash());
        }
        Ok(None)
    }

    /// Reads both sides and compares them.
    async fn look(&self, ours: &Ours) -> Result<MirrorPreview, Failure> {
        let set = self.settings.set;
        if !self.target.sets().contains(&set) {
            let held: Vec<&str> = self.target.sets().iter().map(|set| set.as_str()).collect();
            let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
            return Err(Failure::new(
                FailureClass::Rejected { findings: Vec::new() },
                format!("the spend system cannot take {} from an ERP; it takes {held}", set.as_str()),
            ));
        }
        let reference = self.erp.reference_data(&self.settings.company).await?;
        let wanted = wanted(set, &reference, &self.settings.rules);
        let known = wanted.iter().map(|entry| entry.key.clone()).chain(ours.keys().cloned()).collect();
        let present = self.target.read_known(set, &known).await?;
        let delta = compare(&wanted, &present, ours, &self.settings.rules);
        Ok(MirrorPreview {
            set,
            wanted: wanted.iter().filter(|entry| entry.active).count(),
            refused: refusal(&delta, &self.settings.ceiling),
            plan_hash: delta.hash(),
            delta,
        })
    }

    /// Writes changes chunk by chunk. Whether all of them were tried.
    async fn write(&self, session: &mut Session, changes: &[MirrorChange]) -> Result<bool, RunError> {
        for chunk in &portions(changes, CHUNK) {
            if self.stopping() {
                session.report.errors.push("stopped half way; the next run does the rest".to_owned());
                return Ok(false);
            }
            self.intend(session, chunk).await?;
            match self.target.write_set(self.settings.set, chunk).await {
                Ok(outcomes) => self.take_outcomes(session, chunk, &outcomes).await?,
                Err(failure) => {
                    let lost = "it is not known what was written; the next run looks";
                    self.take_failure(session, chunk, &failure, lost).await?;
                    if is_connection_wide(&failure) || session.passing.is_some() {
                        return Ok(false);
                    }
                }
            }
            self.progress.send_replace(session.report.clone());
        }
        Ok(true)
    }

    /// Makes the intent durable: what is about to be added is ours from now on.
    async fn intend(&self, session: &mut Session, chunk: &[MirrorChange]) -> Result<(), RunError> {
        for change in chunk {
            if let MirrorChange::Add(entry) = change {
                session.memory.ours.entry(fold(&entry.key)).or_default();
            }
        }
        let mut batch = Batch::new();
        let detail = serde_json::json!({
            "verb": "write", "set": self.settings.set, "changes": chunk.len(),
            "keys": chunk.iter().map(MirrorChange::key).collect::<Vec<_>>(),
        });
        batch.audit(self.entry(session, AuditKind::Reference, detail));
        batch.put(StateTable::Flow, &memory::name(&self.settings.flow), &session.memory);
        self.commit(batch).await
    }

    async fn take_outcomes(
        &self,
        session: &mut Session,
        chunk: &[MirrorChange],
        outcomes: &[ChangeOutcome],
    ) -> Result<(), RunError> {
        let mut batch = Batch::new();
        for change in chunk {
            let key = fold(change.key());
            let outcome = outcomes.iter().find(|outcome| fold(&outcome.key) == key);
            let untold = ChangeOutcome::unsure(key, "the spend system did not say what became of it");
            let outcome = outcome.unwrap_or(&untold);
            batch.audit(self.written(session, change, outcome.result.as_ref().err().map(String::as_str)));
            session.take(change, outcome);
        }
        batch.put(StateTable::Flow, &memory::name(&self.settings.flow), &session.memory);
        self.commit(batch).await
    }

    async fn take_failure(
        &self,
        session: &mut Session,
        chunk: &[MirrorChange],
        failure: &Failure,
        lost: &str,
    ) -> Result<(), RunError> {
        session.failed(failure);
        let mut batch = Batch::new();
        for change in chunk {
            batch.audit(self.written(session, change, Some(lost)));
        }
        session.counts().failed += chunk.len() as u64;
        self.commit(batch).await
    }

    fn written(&self, session: &Session, change: &MirrorChange, trouble: Option<&str>) -> AuditDraft {
        let detail = serde_json::json!({
            "verb": change.name(),
            "set": self.settings.set,
            "key": change.key(),
            "what": change,
            "result": trouble.unwrap_or("made and read back"),
        });
        self.entry(session, AuditKind::Reference, detail)
    }

    async fn note_consent(
        &self,
        session: &Session,
        consent: &Decision,
        why: &str,
        preview: &MirrorPreview,
    ) -> Result<(), RunError> {
        let mut batch = Batch::new();
        let detail = serde_json::json!({
            "verb": "consent", "note": consent.note, "to": why, "plan_hash": preview.plan_hash,
        });
        batch
            .audit(AuditDraft { actor: consent.actor(), ..self.entry(session, AuditKind::Decision, detail) });
        self.commit(batch).await
    }

    async fn record(&self, session: &mut Session) -> Result<(), RunError> {
        let ended = self.clock.now();
        session.plan_next(ended);
        let report = session.report.clone();
        self.progress.send_replace(report.clone());
        let mut batch = Batch::new();
        batch.put(StateTable::Flow, &memory::name(&self.settings.flow), &session.memory);
        let detail = serde_json::to_value(&report).unwrap_or_default();
        batch.audit(self.entry(session, AuditKind::Run, detail));
        tracing::info!(flow = %self.settings.flow, run = %session.run, errors = report.errors.len(), "reference run ended");
        batch.run(RunRecord {
            id: session.run.clone(),
            flow: self.settings.flow.clone(),
            trigger: session.trigger.clone(),
            started: session.started,
            ended,
            report,
        });
        self.commit(batch).await
    }

    fn entry(&self, session: &Session, kind: AuditKind, detail: serde_json::Value) -> AuditDraft {
        AuditDraft {
            flow: Some(self.settings.flow.clone()),
            run: Some(session.run.clone()),
            ..AuditDraft::new(self.clock.now(), kind, detail)
        }
    }

    /// Makes a batch durable, unless another life has taken over.
    async fn commit(&self, batch: Batch) -> Result<(), RunError> {
        if !(self.current)() {
            return Err(RunError::Replaced);
        }
        Ok(self.store.commit(batch).await?)
    }

    fn stopping(&self) -> bool {
        *self.stop.borrow() || !(self.current)()
    }
}

impl Session {
    fn counts(&mut self) -> &mut MirrorCounts {
        self.report.mirrored.get_or_insert_default()
    }

    fn count(&mut self, preview: &MirrorPreview) {
        let counts = self.counts();
        counts.wanted = preview.wanted as u64;
        counts.untouched = preview.delta.untouched.len() as u64;
        counts.left_alone = preview.delta.left_alone.len() as u64;
    }

    fn refused(&mut self, flow: &FlowId, why: &str, preview: &MirrorPreview) {
        self.counts().waiting = preview.delta.changes.len() as u64;
        self.report.errors.push(format!(
            "nothing was written: {why}. Look at `purser flows preview {flow}`; if that is right, `purser flows run \
             {flow} --expect {} --beyond-ceiling`",
            preview.plan_hash
        ));
    }

    fn failed(&mut self, failure: &Failure) {
        let passing = match failure.class {
            FailureClass::Throttled { until } => Some(Some(until)),
            FailureClass::NotSent | FailureClass::InDoubt | FailureClass::Unavailable => Some(None),
            FailureClass::Rejected { .. } | FailureClass::Unauthorised => None,
        };
        self.passing = self.passing.or(passing);
        tracing::warn!(%failure, "reference run failed");
        self.report.errors.push(failure.to_string());
    }

    /// Takes in what became of one change.
    fn take(&mut self, change: &MirrorChange, outcome: &ChangeOutcome) {
        let key = fold(change.key());
        if let Err(why) = &outcome.result {
            self.counts().failed += 1;
            if self.report.errors.len() < MOST_ERRORS {
                self.report.errors.push(format!("{} {}: {why}", change.name(), change.key()));
            }
            // What may show up later is ours all the same: else nobody would disable it once the ERP has it no more.
            let never = matches!(change, MirrorChange::Add(_)) && outcome.refused;
            if never && self.memory.ours.get(&key).is_some_and(String::is_empty) {
                self.memory.ours.remove(&key);
            }
            return;
        }
        match change {
            MirrorChange::Add(entry) => {
                self.counts().added += 1;
                self.remember(key, entry);
            }
            MirrorChange::Update { after, .. } => {
                self.counts().changed += 1;
                self.remember(key, after);
            }
            MirrorChange::Disable(_) => {
                self.counts().disabled += 1;
                self.memory.ours.remove(&key);
            }
        }
    }

    fn remember(&mut self, key: String, entry: &MirrorEntry) {
        self.memory.ours.insert(key, entry.content_hash());
    }

    /// When the next run is due beside the schedule, and since when both sides are equal.
    fn plan_next(&mut self, now: Timestamp) {
        if self.complete {
            self.memory.fresh_at = Some(now);
        }
        self.memory.failures = if self.passing.is_some() { self.memory.failures + 1 } else { 0 };
        let grown = RETRY_BASE * 2_i32.pow(self.memory.failures.saturating_sub(1).min(8));
        self.memory.next_due = self.passing.map(|until| until.unwrap_or(now + grown.min(RETRY_MAX)));
        self.report.next_due = self.memory.next_due;
    }
}

#[cfg(test)]
mod tests;
