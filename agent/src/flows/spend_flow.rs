//! One run of a spend flow, from start to end. A run takes no hints: timer, command and start-up all say only "look
//! again", and the store and the source say what there is to do.

use super::intake::{Intake, change_window, ready_window};
use super::preview::Agreed;
use super::reference_flow;
use super::settings::FlowSettings;
use super::trail::Entry;
use super::unread::Reading;
use crate::clock::Clock;
use crate::store::{AuditDraft, AuditKind, Batch, RunRecord, RunReport, StateTable, Store, StoreError};
use crate::vendors::http::CallContext;
use crate::vendors::{ErpTarget, SourcePage, SourceWindow, SpendSource};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::document::SpendDocument;
use spend::finding::Finding;
use spend::guard::Spent;
use spend::ids::{PostingKey, RunId};
use spend::plan::PostingPlan;
use spend::posting::{Event, Failure, FailureClass, Posting, PostingState, TransitionError};
use spend::watermark::Watermark;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How often a flow that waits for reference data looks whether it is there.
const LOOK_FOR_REFERENCE: TimeDelta = TimeDelta::seconds(300);

/// What ends a run early. Failures of vendors do not: they are counted in the report and retried by due time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store cannot be trusted any more.
    #[error("the posting log refused to work")]
    Store(#[from] StoreError),
    /// A transition that the protocol does not know: a bug, stopped before it can cost money.
    #[error("posting {key}: transition refused")]
    Transition {
        /// Which posting.
        key: PostingKey,
        /// Why.
        #[source]
        source: TransitionError,
    },
    /// Another life of the flow's actor works on the same postings now; this one must not write over what that did.
    #[error("another life of this flow has taken over; this run ends without writing what it still had")]
    Replaced,
}

/// A flow, ready to run. Runs of one flow are serial: its actor sees to that.
pub struct SpendFlow {
    pub(super) settings: FlowSettings,
    pub(super) store: Store,
    pub(super) source: Arc<dyn SpendSource>,
    pub(super) erp: Arc<dyn ErpTarget>,
    pub(super) clock: Clock,
    jitter: Mutex<fastrand::Rng>,
    progress: watch::Sender<RunReport>,
    stop: watch::Receiver<bool>,
    /// False once another life of the flow's actor has taken over: then nothing is written any more.
    current: Box<dyn Fn() -> bool + Send + Sync>,
}

/// What one run carries from step to step.
pub(super) struct Session {
    pub(super) run: RunId,
    pub(super) trigger: String,
    pub(super) report: RunReport,
    /// A failure that concerns the whole connection to the ERP: no further call in this run.
    pub(super) erp_down: bool,
    /// The same for the source.
    pub(super) source_down: bool,
    /// What a person has agreed to; nothing else is booked. `None` = everything may be.
    pub(super) agreed: Option<Agreed>,
    /// What this run and this day have claimed.
    pub(super) spent: Spent,
    /// The same, with the day of all flows together: what the machine's limits count.
    pub(super) together: Spent,
    /// What the source answered to the last marks. No side effect waits for it, so it goes with the next commit; lost
    /// in a crash, the same records are marked again.
    pub(super) late: Batch,
    /// What is worth noting of plans that were just made; it goes into their audit entries.
    pub(super) notes: BTreeMap<PostingKey, Vec<Finding>>,
    /// When this run's own lists showed records of postings that wait to be written, unchanged.
    pub(super) listed: BTreeMap<PostingKey, Timestamp>,
    /// Newer states of records that were read again before they were to be booked; intake takes them in.
    pub(super) newer: Vec<SpendDocument>,
    /// How far it came with reading what is new.
    pub(super) reading: Reading,
}

/// When marked records were last read again.
#[derive(Serialize, Deserialize)]
struct ChangeCheck {
    at: Timestamp,
}

impl SpendFlow {
    /// A flow over its parts. `seed` makes the jitter of retries repeatable in tests; `progress` shows the counters of
    /// the run under way.
    #[expect(clippy::too_many_arguments, reason = "wiring: each part is named once")]
    pub fn new(
        settings: FlowSettings,
        store: Store,
        source: Arc<dyn SpendSource>,
        erp: Arc<dyn ErpTarget>,
        clock: Clock,
        seed: u64,
        stop: watch::Receiver<bool>,
        progress: watch::Sender<RunReport>,
    ) -> Self {
        let jitter = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { settings, store, source, erp, clock, jitter, progress, stop, current: Box::new(|| true) }
    }

    /// Binds the flow to a life of its actor: when `current` turns false, nothing is claimed or written any more.
    #[must_use]
    pub fn while_current(mut self, current: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.current = Box::new(current);
        self
    }

    /// What the flow was made with.
    pub fn settings(&self) -> &FlowSettings {
        &self.settings
    }

    /// Runs once: settles what is open, reads what is new, posts, acknowledges, and moves the high-water mark.
    ///
    /// # Errors
    /// [`RunError`] when the posting log is unusable; everything else is in the report.
    pub async fn run(&self, trigger: &str) -> Result<RunReport, RunError> {
        self.run_only(trigger, None).await
    }

    /// [`SpendFlow::run`], which books only what was agreed to: what was approved or changed since is left for a later
    /// run, and the report says so.
    ///
    /// # Errors
    /// As [`SpendFlow::run`].
    pub async fn run_only(&self, trigger: &str, agreed: Option<Agreed>) -> Result<RunReport, RunError> {
        let started = self.clock.now();
        let mut session = Session { agreed, ..self.session(trigger, started) };
        let context = CallContext {
            flow: Some(self.settings.flow().clone()),
            run: Some(session.run.clone()),
            posting: None,
        };
        tracing::info!(flow = %self.settings.flow(), run = %session.run, trigger, "run started");
        let outcome = context.scope(self.steps(&mut session)).await;
        if let Err(error) = &outcome {
            session.report.errors.push(format!("{error}: {}", source_of(error)));
        }
        let recorded = self.record(&mut session, started).await;
        outcome.and(recorded).map(|()| session.report)
    }

    async fn steps(&self, session: &mut Session) -> Result<(), RunError> {
        self.begin(session).await?;
        self.recover(session).await?;
        self.work_off(session).await?;
        if self.stopping() {
            return Ok(());
        }
        self.take_in_everything(session).await?;
        self.look_for_changes(session).await?;
        self.work_off(session).await
    }

    pub(super) fn session(&self, trigger: &str, started: Timestamp) -> Session {
        let tail = self.with_jitter(|rng| rng.u32(..));
        let run = RunId::new(format!("{}-{tail:08x}", started.format("%Y%m%dT%H%M%S%3fZ")));
        Session {
            run,
            trigger: trigger.to_owned(),
            report: RunReport::default(),
            erp_down: false,
            source_down: false,
            agreed: None,
            spent: Spent::default(),
            together: Spent { together: true, ..Spent::default() },
            late: Batch::new(),
            notes: BTreeMap::new(),
            listed: BTreeMap::new(),
            newer: Vec::new(),
            reading: Reading::NotReached,
        }
    }

    /// A run begins with a durable entry: a store that cannot be written (disk full) ends it before any vendor is
    /// called.
    async fn begin(&self, session: &Session) -> Result<(), RunError> {
        let mut batch = Batch::new();
        batch.audit(AuditDraft {
            flow: Some(self.settings.flow().clone()),
            run: Some(session.run.clone()),
            ..AuditDraft::new(
                self.clock.now(),
                AuditKind::Run,
                serde_json::json!({ "began": session.trigger }),
            )
        });
        if session.agreed.is_none() {
            self.begin_reading(&mut batch)?;
        }
        self.commit(batch).await
    }

    async fn take_in_everything(&self, session: &mut Session) -> Result<(), RunError> {
        if self.waits_for_reference(session)? {
            return Ok(());
        }
        let Some(reference) = self.reference(session).await? else {
            return Ok(());
        };
        let mark = self.watermark()?;
        let (usual, to) = ready_window(&self.settings, mark.as_ref(), self.clock.now());
        let (from, wide) = self.sweep_from(usual)?;
        let mut intake = Intake::new(self.known(reference)?);
        let mut limit = self.settings.page_size;
        let mut known = None;
        let mut complete = false;
        self.take_in_newer(&mut intake, session).await?;
        while !self.stopping() {
            let page = match self.source.read(&SourceWindow::Ready { from, to, limit }).await {
                Ok(page) => page,
                Err(failure) => {
                    session.report.could_not_begin = keeps_from_beginning(&failure);
                    session.source_failed("reading records", &failure);
                    session.reading = Reading::Failed(failure.class);
                    break;
                }
            };
            let (more, habits, shown) =
                (page.more, page.habits, page.documents.len() + page.unreadable.len());
            let fresh = self.take_in(page, &mut intake, session)?;
            let progressed = !fresh.is_empty();
            let come_back = u32::try_from(shown.saturating_sub(fresh.len())).unwrap_or(u32::MAX);
            self.work_on(fresh, session).await?;
            self.show(session);
            if !more {
                complete = true;
                session.reading = Reading::Done;
                self.swept(wide, habits).await?;
                break;
            }
            // What is known stays unmarked at some sources and comes back with each page. Beside it there must be room for a
            // page of others, or the batches shrink and each costs its commits; and a page full of it must not hide the
            // rest.
            if progressed {
                known = None;
                limit = limit.max(self.settings.page_size.saturating_add(come_back));
            } else if known.replace(shown).is_some_and(|before| shown <= before) {
                session.report.errors.push("the source answers with the same records for ever".to_owned());
                // Nothing that time mends; and a wide look that finds no end is not begun again at every run.
                session.reading = Reading::Done;
                self.swept(wide, habits).await?;
                break;
            } else {
                limit = limit.saturating_mul(2);
            }
        }
        self.take_in_newer(&mut intake, session).await?;
        // What was left out must be read again.
        let complete = complete && session.report.left_out == 0;
        self.move_watermark(mark, &intake, complete, session).await
    }

    /// Takes in what was found changed right before it was to be booked. What is lost here in a crash is found again: the
    /// earlier state stays planned, and is read again.
    async fn take_in_newer(&self, intake: &mut Intake, session: &mut Session) -> Result<(), RunError> {
        let documents = std::mem::take(&mut session.newer);
        if documents.is_empty() {
            return Ok(());
        }
        let page = SourcePage { documents, ..SourcePage::default() };
        let fresh = self.take_in(page, intake, session)?;
        self.work_on(fresh, session).await
    }

    /// Records that were posted and marked do not come back by themselves when they are edited; so they are read
    /// again from time to time, whole window, without the mark's filter.
    async fn look_for_changes(&self, session: &mut Session) -> Result<(), RunError> {
        let now = self.clock.now();
        let name = self.settings.flow().as_str();
        let last: Option<ChangeCheck> = self.store.get(StateTable::Flow, &format!("{name}/change-check"))?;
        if session.source_down
            || self.stopping()
            || last.as_ref().is_some_and(|check| happened_within(check.at, self.settings.change_check, now))
        {
            return Ok(());
        }
        let done = ChangeCheck { at: now };
        if last.is_none() {
            // Nothing was marked before the first run, and that has just read everything else.
            let mut batch = Batch::new();
            batch.put(StateTable::Flow, &format!("{name}/change-check"), &done);
            return self.commit(batch).await;
        }
        let (from, to) = change_window(&self.settings, self.watermark()?.as_ref(), now);
        match self.source.read(&SourceWindow::Period { from, to }).await {
            Ok(page) => {
                let changed = self.changed_records(page, session)?;
                let mut batch = Batch::new();
                for (posting, event) in changed {
                    batch.audit(self.audit(session, &posting, event));
                    batch.put_posting(posting);
                }
                batch.put(StateTable::Flow, &format!("{name}/change-check"), &done);
                self.commit(batch).await?;
            }
            Err(failure) => {
                session.source_failed("reading marked records again", &failure);
                session.reading = Reading::Failed(failure.class);
            }
        }
        Ok(())
    }

    /// Whether new records wait because a reference flow has not ended well recently enough. What is under way is
    /// settled all the same.
    fn waits_for_reference(&self, session: &mut Session) -> Result<bool, RunError> {
        let now = self.clock.now();
        for flow in &self.settings.wait_for {
            let fresh_at = reference_flow::fresh_at(&self.store, flow)?;
            if fresh_at.is_some_and(|at| at <= now && now - at <= self.settings.wait_max_age) {
                continue;
            }
            let last =
                fresh_at.map_or("never ended well".to_owned(), |at| format!("last ended well at {at}"));
            session.report.errors.push(format!(
                "nothing new is booked: reference flow `{flow}` {last}; see `purser flows preview {flow}`"
            ));
            session.reading = Reading::WaitsUntil(now + LOOK_FOR_REFERENCE);
            return Ok(true);
        }
        Ok(false)
    }

    fn watermark(&self) -> Result<Option<Watermark>, RunError> {
        Ok(self.store.get(StateTable::Watermark, self.settings.flow().as_str())?)
    }

    async fn move_watermark(
        &self,
        mark: Option<Watermark>,
        intake: &Intake,
        complete: bool,
        session: &mut Session,
    ) -> Result<(), RunError> {
        let moved =
            spend::watermark::advance(mark, intake.newest_approved(), complete && intake.is_complete());
        if moved == mark {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut session.late);
        if let Some(moved) = &moved {
            batch.put(StateTable::Watermark, self.settings.flow().as_str(), moved);
        }
        self.commit(batch).await
    }

    async fn record(&self, session: &mut Session, started: Timestamp) -> Result<(), RunError> {
        self.commit_late(session).await?;
        let mut batch = Batch::new();
        let unread_due = self.keep_unread(session, &mut batch)?;
        let postings_due = self.store.next_due(self.settings.flow())?;
        session.report.next_due = [postings_due, unread_due].into_iter().flatten().min();
        session.report.could_not_begin &= !session.report.did_something();
        self.count_open(session)?;
        self.show(session);
        let record = RunRecord {
            id: session.run.clone(),
            flow: self.settings.flow().clone(),
            trigger: session.trigger.clone(),
            started,
            ended: self.clock.now(),
            report: session.report.clone(),
        };
        batch.audit(AuditDraft {
            at: record.ended,
            kind: AuditKind::Run,
            connection: None,
            flow: Some(record.flow.clone()),
            run: Some(record.id.clone()),
            posting: None,
            actor: "agent".to_owned(),
            detail: serde_json::to_value(&record.report).unwrap_or_default(),
        });
        batch.run(record);
        tracing::info!(flow = %self.settings.flow(), run = %session.run, posted = session.report.posted,
            held = session.report.held, errors = session.report.errors.len(), "run ended");
        self.commit(batch).await
    }

    fn count_open(&self, session: &mut Session) -> Result<(), RunError> {
        for ((flow, state), count) in self.store.counts()? {
            if &flow == self.settings.flow() {
                match state {
                    "in-doubt" | "claimed" => session.report.in_doubt += count,
                    "waiting" => session.report.waiting += count,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn show(&self, session: &Session) {
        self.progress.send_replace(session.report.clone());
    }

    /// Makes a batch durable, unless another life has taken over: what this one knows may be old by now.
    pub(super) async fn commit(&self, batch: Batch) -> Result<(), RunError> {
        self.still_current()?;
        Ok(self.store.commit(batch).await?)
    }

    /// Makes durable what waits for company, if anything does.
    pub(super) async fn commit_late(&self, session: &mut Session) -> Result<(), RunError> {
        let late = std::mem::take(&mut session.late);
        if late.is_empty() { Ok(()) } else { self.commit(late).await }
    }

    pub(super) fn still_current(&self) -> Result<(), RunError> {
        if (self.current)() { Ok(()) } else { Err(RunError::Replaced) }
    }

    pub(super) fn stopping(&self) -> bool {
        *self.stop.borrow() || !(self.current)()
    }

    /// A draw for a delay.
    pub(super) fn jitter(&self) -> f64 {
        self.with_jitter(fastrand::Rng::f64)
    }

    fn with_jitter<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.jitter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies an event to a posting and writes the audit entry that goes with it.
    pub(super) fn step(
        &self,
        session: &Session,
        posting: &Posting,
        event: Event,
    ) -> Result<(Posting, Entry), RunError> {
        let name = event.name();
        let jitter = self.jitter();
        // What was begun under other settings keeps the route that it was begun on.
        let begins = matches!(event, Event::Claimed) || !posting.was_begun();
        let mut next = posting
            .apply(event, &self.settings.posting, jitter, &self.clock.reading())
            .map_err(|source| RunError::Transition { key: posting.key.clone(), source })?;
        if begins {
            next = self.on_its_way(next);
        }
        let entry = self.audit(session, &next, name);
        Ok((next, entry))
    }
}

impl Session {
    /// Whether this plan may be booked in this run.
    pub(super) fn may_book(&self, plan: &PostingPlan) -> bool {
        self.agreed.as_ref().is_none_or(|agreed| agreed.holds(plan))
    }

    pub(super) fn note(&mut self, key: &PostingKey, notes: Vec<Finding>) {
        if notes.is_empty() {
            self.notes.remove(key);
        } else {
            self.notes.insert(key.clone(), notes);
        }
    }

    pub(super) fn source_failed(&mut self, doing: &str, failure: &Failure) {
        self.source_down |= is_connection_wide(failure);
        tracing::warn!(%failure, doing, "source failed");
        self.report.errors.push(format!("{doing}: {failure}"));
    }

    pub(super) fn erp_failed(&mut self, doing: &str, failure: &Failure) {
        self.erp_down |= is_connection_wide(failure);
        tracing::warn!(%failure, doing, "ERP failed");
        let words = format!("{doing}: {failure}");
        if self.report.errors.len() < 50 && !self.report.errors.contains(&words) {
            self.report.errors.push(words);
        }
    }
}

impl Session {
    /// Counts what a transition means for the report.
    pub(super) fn count(&mut self, before: &Posting, after: &Posting) {
        match (&before.state, &after.state) {
            (PostingState::Posted { .. }, PostingState::Posted { .. }) => {}
            (_, PostingState::Posted { adopted: true, .. }) => self.report.adopted += 1,
            (_, PostingState::Posted { adopted: false, .. }) => self.report.posted += 1,
            (_, PostingState::Acknowledged { .. }) => self.report.acknowledged += 1,
            (PostingState::Held(_), PostingState::Held(_)) => {}
            (_, PostingState::Held(_)) => self.report.held += 1,
            (
                _,
                PostingState::Planned
                | PostingState::Claimed { .. }
                | PostingState::InDoubt { .. }
                | PostingState::Waiting { .. }
                | PostingState::Superseded { .. }
                | PostingState::Handled { .. },
            ) => {}
        }
    }
}

/// Whether something was done within a span up to now. What lies ahead was noted while the clock was, and counts as never
/// done.
pub(super) fn happened_within(at: Timestamp, span: TimeDelta, now: Timestamp) -> bool {
    (TimeDelta::zero()..span).contains(&(now - at))
}

/// Whether the failure says that further calls of this run would fare the same.
pub(super) fn is_connection_wide(failure: &Failure) -> bool {
    match &failure.class {
        FailureClass::NotSent | FailureClass::Unauthorised | FailureClass::Throttled { .. } => true,
        FailureClass::Rejected { .. } | FailureClass::InDoubt | FailureClass::Unavailable => false,
    }
}

/// Whether a run whose first reading ends like this has failed as a whole. What passes with time is no failure of the
/// run: the next one reads.
pub(super) fn keeps_from_beginning(failure: &Failure) -> bool {
    match &failure.class {
        FailureClass::NotSent | FailureClass::Unauthorised | FailureClass::Rejected { .. } => true,
        FailureClass::Throttled { .. } | FailureClass::InDoubt | FailureClass::Unavailable => false,
    }
}

fn source_of(error: &RunError) -> String {
    let mut words = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    words.join(": ")
}
