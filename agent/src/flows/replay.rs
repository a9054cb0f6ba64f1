//! What a person may do to a posting: replay it (same posting key, after mending the cause) or close it with a note.
//! A replay never books twice: what is in the ERP already is said so, and every write is preceded by a look-up.

use super::intake::{plan_document, waits_only_for};
use super::merchants::Known;
use super::reread::exported_elsewhere;
use super::rivals::left_to;
use super::spend_flow::{RunError, Session, SpendFlow};
use super::trail;
use crate::store::{AuditDraft, Batch};
use crate::vendors::SourceWindow;
use serde::{Deserialize, Serialize};
use spend::document::SpendDocument;
use spend::finding::{Finding, FindingCode};
use spend::ids::{FlowId, PostingKey, SourceId};
use spend::posting::{ErpReceipt, Event, Failure, FailureClass, Posting, PostingState, TransitionError};
use std::sync::Arc;

/// Who asks for a decision, and why; both end in the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Account name of the person on this machine, or who asked at the control plane ([`Decision::from_afar`]).
    pub by: String,
    /// What they wrote.
    pub note: String,
}

/// Before the name of somebody who asked at the control plane. No account on a machine has a colon in its name.
const AFAR: &str = "control-plane:";

impl Decision {
    /// A decision that was made at the control plane.
    pub fn from_afar(by: &str, note: &str) -> Self {
        Self { by: format!("{AFAR}{by}"), note: note.to_owned() }
    }

    /// Who decided, as the audit trail names them.
    pub fn actor(&self) -> String {
        if self.by.starts_with(AFAR) { self.by.clone() } else { format!("person:{}", self.by) }
    }
}

/// What came of a decision on one posting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Decided {
    /// Planned again; the next run posts it.
    Planned,
    /// Still waits for a person, for these reasons.
    StillHeld {
        /// Every cause.
        findings: Vec<Finding>,
    },
    /// It is in the ERP: the replay resolves to the same document.
    AlreadyPosted {
        /// Where.
        receipt: ErpReceipt,
    },
    /// The source has a newer state of the record, which takes the place of this one.
    NewRevision,
    /// Remembered for later records; this one stays as it is.
    Remembered {
        /// State of this one.
        state: String,
    },
    /// Closed.
    Handled,
    /// Closed after the source was told that it is not exported: it is booked when the source offers it again.
    Reported,
    /// Closed: it is in the ERP, and will not be marked at the source any more.
    LeftUnmarked {
        /// Where it is.
        receipt: ErpReceipt,
    },
    /// The decision does not fit the state of the posting.
    Refused {
        /// Why, and what to do instead.
        why: String,
    },
}

impl SpendFlow {
    /// Replays one posting. The record is read again from the source and planned with the rules as they are now.
    ///
    /// # Errors
    /// [`RunError`] when the posting log is unusable.
    pub async fn replay(&self, key: &PostingKey, decision: &Decision) -> Result<Decided, RunError> {
        let Some(posting) = self.own(key)? else {
            return Ok(no_posting(key, self.settings.flow()));
        };
        let mut session = self.session("replay", self.clock.now());
        match &posting.state {
            PostingState::Posted { receipt, .. } | PostingState::Acknowledged { receipt, .. } => {
                let receipt = receipt.clone();
                self.note_decision(&session, &posting, decision, "replay").await?;
                Ok(Decided::AlreadyPosted { receipt })
            }
            PostingState::Held(hold) if hold.in_doubt => {
                // Whoever replays what is held for somebody else's export knows of it, and wants it booked.
                let elsewhere = hold.findings.iter().all(|f| f.code == FindingCode::ExportedElsewhere);
                let posting = Posting { despite_mark: posting.despite_mark || elsewhere, ..posting.clone() };
                self.decide(&session, &posting, Event::Replay, decision, "replay").await?;
                Ok(Decided::Planned)
            }
            PostingState::Held(_) => self.replan(&mut session, &posting, decision).await,
            PostingState::Planned | PostingState::Waiting { .. } => Ok(Decided::Planned),
            PostingState::Claimed { .. } | PostingState::InDoubt { .. } => Ok(Decided::Refused {
                why: "its outcome is being settled by look-up; it is not written again before that"
                    .to_owned(),
            }),
            PostingState::Superseded { .. } => {
                Ok(Decided::Refused { why: "a newer revision of the record has taken its place".to_owned() })
            }
            PostingState::Handled { reported: true, .. } => Ok(Decided::Refused {
                why: "the spend system was told that it is not exported; have it offered again there, then it is \
                      booked by itself"
                    .to_owned(),
            }),
            PostingState::Handled { .. } => {
                Ok(Decided::Refused { why: "it was closed by a person".to_owned() })
            }
        }
    }

    /// Closes one posting with a note: it was dealt with by hand. One that is in the ERP, and whose mark at the source has
    /// failed, is given up to be marked: neither side is called.
    ///
    /// # Errors
    /// [`RunError`] when the posting log is unusable.
    pub async fn handle(&self, key: &PostingKey, decision: &Decision) -> Result<Decided, RunError> {
        let Some(posting) = self.own(key)? else {
            return Ok(no_posting(key, self.settings.flow()));
        };
        let session = self.session("handle", self.clock.now());
        self.close(&session, &posting, decision, false).await
    }

    /// As [`SpendFlow::handle`], after the source was told, with the note as the reason, that the record is not exported.
    /// Where it cannot be told, or where any state of the record may be in the ERP, the posting stays as it is.
    ///
    /// # Errors
    /// [`RunError`] when the posting log is unusable.
    pub async fn report_and_handle(
        &self,
        key: &PostingKey,
        decision: &Decision,
    ) -> Result<Decided, RunError> {
        let Some(posting) = self.own(key)? else {
            return Ok(no_posting(key, self.settings.flow()));
        };
        let session = self.session("handle", self.clock.now());
        // What cannot be closed must not be reported either.
        if self.step(&session, &posting, self.handled(&posting, decision, true)).is_ok() {
            let known = self.store.postings_of(self.settings.flow(), &posting.source_id)?;
            let booked = known.into_iter().find(|other| other.key != posting.key && other.may_be_in_erp());
            let (flow, way) = (self.settings.flow(), self.way_of(&posting));
            let booked = match booked {
                Some(own) => Some(own),
                None => self.store.rival_of(flow, &way, &posting.document)?,
            };
            if let Some(other) = booked {
                return Ok(Decided::Refused { why: booked_so(&other) });
            }
            self.note_decision(&session, &posting, decision, "report-failure").await?;
            let telling = self.source.report_failure(&posting.source_id, &decision.note);
            if let Err(failure) = self.context(&session.run, key).scope(telling).await {
                return Ok(Decided::Refused { why: untold(&failure) });
            }
        }
        self.close(&session, &posting, decision, true).await
    }

    async fn close(
        &self,
        session: &Session,
        posting: &Posting,
        decision: &Decision,
        reported: bool,
    ) -> Result<Decided, RunError> {
        let event = self.handled(posting, decision, reported);
        match self.decide(session, posting, event, decision, "handle").await {
            Ok(()) => Ok(match posting.state.receipt() {
                Some(receipt) => Decided::LeftUnmarked { receipt: receipt.clone() },
                None if reported => Decided::Reported,
                None => Decided::Handled,
            }),
            Err(RunError::Transition { source: TransitionError::AlreadyPosted { receipt }, .. }) => {
                Ok(Decided::AlreadyPosted { receipt })
            }
            Err(RunError::Transition { source: TransitionError::MayBeBooked, .. }) => {
                Ok(Decided::Refused { why: booked_so(posting) })
            }
            Err(RunError::Transition { source, .. }) => Ok(Decided::Refused { why: source.to_string() }),
            Err(error) => Err(error),
        }
    }

    async fn replan(
        &self,
        session: &mut Session,
        posting: &Posting,
        decision: &Decision,
    ) -> Result<Decided, RunError> {
        let Some(reference) = self.reference(session).await? else {
            return Ok(Decided::Refused {
                why: "the ERP's reference data cannot be read at present; try again when `purser doctor` is content"
                    .to_owned(),
            });
        };
        let against = self.known(reference)?;
        let (document, exported) = match self.read_one(&posting.source_id).await {
            Ok(read) => read,
            Err(why) => return Ok(Decided::Refused { why }),
        };
        let posting = &Posting {
            read_at: Some(self.clock.now()),
            // Whoever replays what is held for somebody else's export knows of it, and wants it booked.
            despite_mark: posting.despite_mark || waits_only_for(posting, FindingCode::ExportedElsewhere),
            ..posting.clone()
        };
        let known = self.store.postings_of(self.settings.flow(), &posting.source_id)?;
        let booked = known.iter().any(|other| other.key != posting.key && other.may_be_in_erp());
        // Where another revision is booked the mark is ours.
        if exported && !booked && !posting.despite_mark {
            return self.hold_again(session, posting, vec![exported_elsewhere(posting)], decision).await;
        }
        if document.revision != posting.revision {
            return self.replace(session, posting, document, &against, decision).await;
        }
        if booked {
            return Ok(Decided::Refused {
                why: "another revision of this record is booked or closed already; correct the document in the ERP by \
                      hand, then close this one with `purser records handle`"
                    .to_owned(),
            });
        }
        let kin = self.store.kin_of(self.settings.flow(), &document)?;
        if let Some(finding) = self.may_be_booked(&document, &kin)? {
            return Ok(Decided::Refused { why: format!("{}; {}", finding.message, finding.fix) });
        }
        match plan_document(&document, &self.settings, &against) {
            Ok((plan, notes)) => {
                session.note(&plan.key, notes);
                let event = Event::Replanned(Arc::new(plan), Arc::new(document));
                let (replanned, entry) = self.step(session, posting, event)?;
                let mut batch = Batch::new();
                batch.audit(self.decision_entry(session, posting, decision, "replay"));
                batch.audit(entry);
                // A hold that no data caused (a limit, a refusal) stays until a person says so, which is now.
                let replanned = if matches!(replanned.state, PostingState::Held(_)) {
                    let (replayed, entry) = self.step(session, &replanned, Event::Replay)?;
                    batch.audit(entry);
                    replayed
                } else {
                    replanned
                };
                batch.put_posting(replanned);
                self.commit(batch).await?;
                Ok(Decided::Planned)
            }
            Err(findings) => self.hold_again(session, posting, findings, decision).await,
        }
    }

    /// A record as the source gives it now, and whether it says that it was exported; or why not, in words.
    async fn read_one(&self, id: &SourceId) -> Result<(SpendDocument, bool), String> {
        let page = self.source.read(&SourceWindow::Ids(vec![id.clone()])).await;
        let page = page.map_err(|failure| format!("the record could not be read again: {failure}"))?;
        let exported = page.exported.contains(id);
        let document = page.documents.into_iter().find(|document| document.source_id == *id);
        let gone =
            "the source does not give this record any more (withdrawn, or in a state that is not booked)";
        Ok((document.ok_or(gone)?, exported))
    }

    async fn hold_again(
        &self,
        session: &Session,
        posting: &Posting,
        findings: Vec<Finding>,
        decision: &Decision,
    ) -> Result<Decided, RunError> {
        self.decide(session, posting, Event::Held(findings.clone()), decision, "replay").await?;
        Ok(Decided::StillHeld { findings })
    }

    /// The record has changed since it was held: the newer state takes its place, by the same rules as at intake.
    async fn replace(
        &self,
        session: &mut Session,
        posting: &Posting,
        document: SpendDocument,
        against: &Known,
        decision: &Decision,
    ) -> Result<Decided, RunError> {
        let mut batch = Batch::new();
        batch.audit(self.decision_entry(session, posting, decision, "replay"));
        for (next, event) in self.take_in_document(document, against, session)? {
            batch.audit(self.audit(session, &next, event));
            batch.put_posting(next);
        }
        self.commit(batch).await?;
        Ok(Decided::NewRevision)
    }

    async fn decide(
        &self,
        session: &Session,
        posting: &Posting,
        event: Event,
        decision: &Decision,
        verb: &str,
    ) -> Result<(), RunError> {
        let (next, entry) = self.step(session, posting, event)?;
        let mut batch = Batch::new();
        batch.audit(self.decision_entry(session, posting, decision, verb));
        batch.audit(entry);
        batch.put_posting(next);
        self.commit(batch).await
    }

    async fn note_decision(
        &self,
        session: &Session,
        posting: &Posting,
        decision: &Decision,
        verb: &str,
    ) -> Result<(), RunError> {
        let mut batch = Batch::new();
        batch.audit(self.decision_entry(session, posting, decision, verb));
        self.commit(batch).await
    }

    fn decision_entry(
        &self,
        session: &Session,
        posting: &Posting,
        decision: &Decision,
        verb: &str,
    ) -> AuditDraft {
        let entry = trail::decided(self.clock.now(), posting, decision, verb);
        AuditDraft { run: Some(session.run.clone()), ..entry }
    }

    /// A posting of this flow.
    pub(super) fn own(&self, key: &PostingKey) -> Result<Option<Posting>, RunError> {
        Ok(self.store.posting(key)?.filter(|posting| posting.flow == *self.settings.flow()))
    }

    fn handled(&self, posting: &Posting, decision: &Decision, reported: bool) -> Event {
        let left_to = left_to(posting, &self.settings.others);
        Event::Handled { note: decision.note.clone(), by: decision.by.clone(), reported, left_to }
    }
}

/// What is said of a key under which a flow has nothing.
pub(super) fn no_posting(key: &PostingKey, flow: &FlowId) -> Decided {
    Decided::Refused { why: format!("there is no posting {key} of flow `{flow}`") }
}

/// Why the source is not told that a record is not exported.
fn booked_so(posting: &Posting) -> String {
    let where_it_is = match posting.state.receipt() {
        Some(receipt) => format!("revision {} is {} in the ERP", posting.revision, receipt.document),
        None => format!("revision {} is {} and may be in the ERP", posting.revision, posting.state.name()),
    };
    format!(
        "{where_it_is}, so the spend system is not told that the record is not exported; close it without \
         --report-failure once the ERP holds what it should"
    )
}

fn untold(failure: &Failure) -> String {
    if failure.class == FailureClass::InDoubt {
        return format!(
            "whether the spend system was told is not known, so the record stays open; say it again: {failure}"
        );
    }
    format!("the spend system was not told, so the record stays open: {failure}")
}
