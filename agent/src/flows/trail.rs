//! The audit entries of a spend flow's postings.

use super::intake::OFFERED_AGAIN;
use super::replay::Decision;
use super::spend_flow::{Session, SpendFlow};
use crate::store::{AuditDraft, AuditKind};
use serde::Serialize;
use serde_json::value::RawValue;
use spend::Timestamp;
use spend::finding::Finding;
use spend::ids::{Revision, SourceId};
use spend::plan::PostingPlan;
use spend::posting::{Posting, PostingState};

/// The entry of a transition.
pub(super) type Entry = AuditDraft<Box<RawValue>>;

/// What an entry says of a transition.
#[derive(Serialize)]
struct Transition<'a> {
    attempts: u32,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a Vec<Finding>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a PostingPlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_again: Option<Timestamp>,
    record: &'a SourceId,
    revision: &'a Revision,
    to: &'a PostingState,
}

impl SpendFlow {
    /// The audit entry of a transition that has led to `posting`'s present state.
    pub(super) fn audit(&self, session: &Session, posting: &Posting, event: &str) -> Entry {
        self.about(session, posting, told(posting, event, session.notes.get(&posting.key)))
    }

    /// An entry about a posting.
    pub(super) fn about<D>(&self, session: &Session, posting: &Posting, detail: D) -> AuditDraft<D> {
        AuditDraft { run: Some(session.run.clone()), ..about(self.clock.now(), posting, detail) }
    }
}

/// What is told of a transition that has led to `posting`'s present state. Made into text at once: thousands of entries need
/// neither a tree of values nor copies of what is in it.
pub(super) fn told(posting: &Posting, event: &str, notes: Option<&Vec<Finding>>) -> Box<RawValue> {
    let planned = matches!(event, "planned" | "replanned" | OFFERED_AGAIN);
    let plan = posting.plan.as_deref().filter(|_| planned);
    let transition = Transition {
        attempts: posting.attempts,
        event,
        notes: plan.and(notes),
        plan,
        read_again: posting.read_at,
        record: &posting.source_id,
        revision: &posting.revision,
        to: &posting.state,
    };
    serde_json::value::to_raw_value(&transition).unwrap_or_default()
}

/// An entry about a posting that no run has made.
pub(super) fn about<D>(at: Timestamp, posting: &Posting, detail: D) -> AuditDraft<D> {
    AuditDraft {
        flow: Some(posting.flow.clone()),
        posting: Some(posting.key.clone()),
        ..AuditDraft::new(at, AuditKind::Transition, detail)
    }
}

/// The entry of what a person has decided about a posting.
pub(super) fn decided(at: Timestamp, posting: &Posting, decision: &Decision, verb: &str) -> AuditDraft {
    let detail = serde_json::json!({ "verb": verb, "note": decision.note, "from": posting.state });
    AuditDraft { kind: AuditKind::Decision, actor: decision.actor(), ..about(at, posting, detail) }
}
