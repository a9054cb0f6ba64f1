//! Reading records again right before they are claimed: what waited for a while (in the backlog, for a person, behind an
//! ERP that was down) may have been edited, withdrawn or exported by somebody else since. One call asks for all of a
//! batch whose reading is older than `reread_after`.
//!
//! Nothing is decided here about a write that was claimed and not answered: that is settled by look-up alone. And the
//! ERP is asked also where the record must not be booked any more, because it may have it already.

use super::spend_flow::{RunError, Session, SpendFlow};
use crate::store::Batch;
use crate::vendors::{SourcePage, SourceWindow};
use chrono::TimeDelta;
use spend::document::SpendDocument;
use spend::finding::{Finding, FindingCode};
use spend::ids::{PostingKey, SourceId};
use spend::posting::{Event, Failure, FailureClass, LookUp, NextAction, Posting};
use std::collections::{BTreeMap, BTreeSet};

/// Postings that are looked up and not written, unless the ERP has them.
pub(super) type Withheld = BTreeMap<PostingKey, Withholding>;

/// Why a posting is not written.
pub(super) enum Withholding {
    /// It must not be booked.
    Forbidden(Finding),
    /// The record is edited; a write of the earlier state was tried and has certainly failed.
    Newer(Box<SpendDocument>),
}

impl Withholding {
    /// What was begun of an edited record is finished, so that nothing half-written stays in the ERP; the edit is a change
    /// after posting then. What is not approved or is somebody else's is not finished.
    pub(super) fn stands_against(&self, found: &LookUp) -> bool {
        match self {
            Self::Forbidden(_) => true,
            Self::Newer(_) => !matches!(found, LookUp::Unfinished { .. }),
        }
    }

    /// The state of the record that follows.
    pub(super) fn newer(self) -> Option<SpendDocument> {
        match self {
            Self::Forbidden(_) => None,
            Self::Newer(document) => Some(*document),
        }
    }
}

/// What a record that was read again says of its posting.
enum Reading {
    Unchanged,
    /// It has another content now, and nothing of the earlier one was ever sent.
    Changed(Box<SpendDocument>),
    /// It must not be written.
    Withheld(Box<Withholding>),
    /// It could not be read.
    Failed(Failure),
}

/// The answer of the source, by record.
struct Answer {
    documents: BTreeMap<SourceId, SpendDocument>,
    exported: BTreeSet<SourceId>,
    unreadable: BTreeMap<SourceId, String>,
    /// Something is missing from the answer, so that what is not in it may be there all the same.
    partial: Option<String>,
}

impl SpendFlow {
    /// Whether the reading that a posting was made from is too old to write by it. A clock that was set back makes it so
    /// too.
    pub(super) fn is_stale(&self, posting: &Posting, session: &Session) -> bool {
        let now = self.clock.now();
        let last = session.listed.get(&posting.key).copied().unwrap_or_default().max(posting.last_read());
        let age = now - last;
        age < TimeDelta::zero() || age >= self.settings.reread_after
    }

    /// Reads the records of those postings again that have waited for long. Answers what goes on to the look-up, and
    /// which of that must not be written; everything else waits, in `commit`.
    pub(super) async fn read_again(
        &self,
        postings: Vec<Posting>,
        commit: &mut Batch,
        session: &mut Session,
    ) -> Result<(Vec<Posting>, Withheld), RunError> {
        let now = self.clock.now();
        let is_old = |posting: &Posting, session: &Session| {
            posting.next_action(now) == NextAction::LookUpThenClaim && self.is_stale(posting, session)
        };
        let ids: BTreeSet<SourceId> =
            postings.iter().filter(|p| is_old(p, session)).map(|p| p.source_id.clone()).collect();
        let mut withheld = Withheld::new();
        if ids.is_empty() {
            return Ok((postings, withheld));
        }
        let answer = self.source.read(&SourceWindow::Ids(ids.iter().cloned().collect())).await;
        if let Err(failure) = &answer {
            session.source_failed("reading records again before they are booked", failure);
        }
        let answer = answer.map(Answer::from);
        let mut go_on = Vec::with_capacity(postings.len());
        for posting in postings {
            if !is_old(&posting, session) {
                go_on.push(posting);
                continue;
            }
            let reading = match &answer {
                Ok(answer) => answer.reading_of(&posting),
                Err(failure) => Reading::Failed(failure.clone()),
            };
            match reading {
                Reading::Unchanged => go_on.push(Posting { read_at: Some(now), ..posting }),
                Reading::Withheld(why) => {
                    withheld.insert(posting.key.clone(), *why);
                    go_on.push(posting);
                }
                Reading::Changed(newer) => {
                    session.newer.push(*newer);
                    self.put_off(&posting, changed(), commit, session)?;
                }
                Reading::Failed(failure) => self.put_off(&posting, failure, commit, session)?,
            }
        }
        Ok((go_on, withheld))
    }

    fn put_off(
        &self,
        posting: &Posting,
        why: Failure,
        commit: &mut Batch,
        session: &mut Session,
    ) -> Result<(), RunError> {
        let (next, entry) = self.step(session, posting, Event::PutOff(why))?;
        session.count(posting, &next);
        commit.audit(entry);
        commit.put_posting(next);
        Ok(())
    }

    /// Holds or puts off a posting that the ERP does not have whole and that must not be written.
    pub(super) fn withhold(
        &self,
        posting: &Posting,
        found: &LookUp,
        why: Withholding,
        commit: &mut Batch,
        session: &mut Session,
    ) -> Result<(), RunError> {
        let event = match (&why, found) {
            (Withholding::Newer(_), _) => Event::OutOfDate(changed()),
            (Withholding::Forbidden(finding), LookUp::Unfinished { receipt, .. }) => {
                let half = format!(
                    "; {} stands half-written in the ERP and is to be removed there",
                    receipt.document
                );
                let message = finding.message.clone() + &half;
                Event::HeldUnfinished(vec![Finding { message, ..finding.clone() }])
            }
            (Withholding::Forbidden(finding), _) => Event::Held(vec![finding.clone()]),
        };
        let (next, entry) = self.step(session, posting, event)?;
        session.count(posting, &next);
        commit.audit(entry);
        commit.put_posting(next);
        session.newer.extend(why.newer());
        Ok(())
    }
}

impl From<SourcePage> for Answer {
    fn from(page: SourcePage) -> Self {
        let nameless = page.unreadable.iter().find(|one| one.source_id.is_none());
        let partial = nameless.map(|one| one.message.clone());
        let partial = partial.or_else(|| page.more.then(|| "the answer is not whole".to_owned()));
        let by_id = |one: crate::vendors::Unreadable| Some((one.source_id?, one.message));
        Self {
            documents: page.documents.into_iter().map(|d| (d.source_id.clone(), d)).collect(),
            exported: page.exported,
            unreadable: page.unreadable.into_iter().filter_map(by_id).collect(),
            partial,
        }
    }
}

impl Answer {
    fn reading_of(&self, posting: &Posting) -> Reading {
        let id = &posting.source_id;
        if let Some(why) = self.unreadable.get(id) {
            return unavailable(why);
        }
        let Some(document) = self.documents.get(id) else {
            return match &self.partial {
                Some(why) => unavailable(why),
                None => forbidden(no_longer_ready(posting)),
            };
        };
        if self.exported.contains(id) && !posting.despite_mark {
            return forbidden(exported_elsewhere(posting));
        }
        if document.revision == posting.revision {
            return Reading::Unchanged;
        }
        // Of what was tried to be written, something may be there.
        if posting.attempts > 0 {
            return Reading::Withheld(Box::new(Withholding::Newer(Box::new(document.clone()))));
        }
        Reading::Changed(Box::new(document.clone()))
    }
}

fn forbidden(finding: Finding) -> Reading {
    Reading::Withheld(Box::new(Withholding::Forbidden(finding)))
}

/// The earlier state waits until the newer one has taken its place, which is as a rule later in the same run.
fn changed() -> Failure {
    let message = "the record was changed in the spend system since its booking was planned";
    Failure::new(FailureClass::Unavailable, message)
}

fn unavailable(why: &str) -> Reading {
    let message = format!("the record could not be read again before it was booked: {why}");
    Reading::Failed(Failure::new(FailureClass::Unavailable, message))
}

/// Somebody else has marked the record.
pub(super) fn exported_elsewhere(posting: &Posting) -> Finding {
    Finding::document(
        FindingCode::ExportedElsewhere,
        "record",
        posting.source_id.to_string(),
        "the spend system says that the record was exported, and this flow has not booked it",
        "find out who exported it; if the ERP has it, close this one with `purser records handle`, else replay it",
    )
}

fn no_longer_ready(posting: &Posting) -> Finding {
    Finding::document(
        FindingCode::NoLongerReady,
        "record",
        posting.source_id.to_string(),
        "the spend system does not give the record any more, or not as approved",
        "have it approved again in the spend system, then it is booked by itself; else close this one with \
         `purser records handle`",
    )
}
