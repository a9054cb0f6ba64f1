//! The state machine of one posting, and the binding outcome table of the posting protocol.
//!
//! `seen → planned → claimed → posted → acknowledged`, with the side states held, in doubt, waiting, superseded and
//! handled. A write whose answer was lost is *in doubt*, never *failed*: it is settled by look-up. Every function
//! here is pure; the store makes transitions durable, the flow performs what [`Posting::next_action`] says.

use crate::Timestamp;
use crate::document::SpendDocument;
use crate::finding::Finding;
use crate::guard::Counted;
use crate::ids::{FlowId, PostingKey, Revision, SourceId};
use crate::money::Money;
use crate::now::Tick;
use crate::plan::{PostingPlan, Stage};
use crate::route::Route;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod delay;
mod event;
mod settle;
mod transition;
mod view;

pub use delay::{far_ahead, is_due};
pub use event::{Event, NextAction, PostingPolicy, TransitionError};

/// Where a posted document can be found in the ERP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErpReceipt {
    /// Kind and key as the ERP's users know it, e.g. `journal 2026/GJ/417` or `invoice 123/EXP-R1`.
    pub document: String,
    /// The container a person releases it from (Epicor group).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How far it has got.
    pub stage: Stage,
}

/// A class of failure of one call, decided once, in the vendor's `outcome.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "kebab-case")]
pub enum FailureClass {
    /// The request certainly never reached the other side (name not resolved, connection refused, gate closed).
    NotSent,
    /// The other side refused it for good; the findings say what to mend.
    Rejected {
        /// Field-level causes.
        findings: Vec<Finding>,
    },
    /// The credential was refused.
    Unauthorised,
    /// Too many calls; not processed.
    Throttled {
        /// Not before this moment.
        until: Timestamp,
    },
    /// A write that may or may not have taken effect.
    InDoubt,
    /// A read that failed for now (time-out, 5xx, unreadable answer).
    Unavailable,
}

/// A failed call: its class and what happened, in words without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What it means.
    pub class: FailureClass,
    /// What happened: operation, place, cause.
    pub message: String,
}

impl Failure {
    /// A failure of a class.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

/// What a look-up by reference found in the ERP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum LookUp {
    /// Nothing under this reference or another revision of it.
    Absent,
    /// The document is there and equals the plan.
    Complete {
        /// Where.
        receipt: ErpReceipt,
    },
    /// Ours, begun and not finished (fewer lines, empty accounts, total not reached): resume or clean up.
    Unfinished {
        /// Where.
        receipt: ErpReceipt,
        /// What is missing, for the audit trail.
        missing: String,
    },
    /// A document under our reference (or of another revision of the same record) with other content.
    Different {
        /// Where.
        receipt: ErpReceipt,
        /// What differs, in words.
        differs: String,
    },
}

/// Why a posting waits for a person. The code is that of the first finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Every cause, each with its fix. Never empty.
    pub findings: Vec<Finding>,
    /// Since when.
    pub since: Timestamp,
    /// Whether a write may have taken effect: then only look-ups are allowed until a person decides.
    pub in_doubt: bool,
}

/// The state of a posting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum PostingState {
    /// A plan exists; nothing was sent.
    Planned,
    /// Intent is durable; the request may be on its way.
    Claimed {
        /// When intent became durable.
        at: Timestamp,
    },
    /// A request was sent (or may have been) and its outcome is not known.
    InDoubt {
        /// A moment when our request was certainly not under way any more: the settle window counts from here.
        cut_at: Timestamp,
        /// The same moment by the clock that nobody can set: this one measures the settle window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut_tick: Option<Tick>,
        /// Moments of look-ups after the settle window that found nothing.
        empty_look_ups: Vec<Timestamp>,
        /// The last of them by the clock that nobody can set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        empty_tick: Option<Tick>,
        /// Next look-up.
        next_at: Timestamp,
        /// What happened.
        why: String,
    },
    /// A transient failure before anything was sent; the next attempt has a time.
    Waiting {
        /// Next attempt.
        next_at: Timestamp,
        /// What happened.
        why: String,
    },
    /// The ERP has it and we know.
    Posted {
        /// Where it is.
        receipt: ErpReceipt,
        /// When we knew.
        at: Timestamp,
        /// It was found there rather than written by this attempt.
        adopted: bool,
        /// Failed attempts to mark it at the source.
        ack_attempts: u32,
        /// Next attempt to mark it at the source.
        next_ack_at: Timestamp,
    },
    /// The source is marked too. Final, unless the source changes.
    Acknowledged {
        /// Where it is.
        receipt: ErpReceipt,
        /// When we knew it was in the ERP.
        posted_at: Timestamp,
        /// When the source was marked, or a person said that it will not be.
        at: Timestamp,
        /// The source could not be marked, and a person has closed it: what they wrote. It is not marked again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unmarked: Option<String>,
    },
    /// Waits for a person.
    Held(Hold),
    /// A newer revision took its place before anything was sent.
    Superseded {
        /// The newer one.
        by: Revision,
        /// When.
        at: Timestamp,
    },
    /// Closed by a person.
    Handled {
        /// What they wrote.
        note: String,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// The source was told that it is not exported: it is booked nowhere, and is planned anew when the source offers
        /// it again.
        #[serde(default, skip_serializing_if = "is_false")]
        reported: bool,
        /// The flow that goes on with the record: it had begun to book it, which is all that this one, of which nothing was
        /// ever sent, was held for. So it stands in nobody's way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_to: Option<FlowId>,
    },
}

/// One posting: the saga that writes one revision of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Identity.
    pub key: PostingKey,
    /// By which flow.
    pub flow: FlowId,
    /// Of which record.
    pub source_id: SourceId,
    /// Of which state of it.
    pub revision: Revision,
    /// The record as it was read. Shared by the states that the posting goes through.
    pub document: Arc<SpendDocument>,
    /// What will be or was written; `None` while findings prevent a plan. Shared likewise.
    pub plan: Option<Arc<PostingPlan>>,
    /// Spend total of the record, for lists and statements.
    pub total: Money,
    /// Where it stands.
    pub state: PostingState,
    /// Writes begun.
    pub attempts: u32,
    /// Transient failures in a row.
    pub failures: u32,
    /// What its newest claim was counted as for the guard rails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// When its record was last found unchanged at the source; `None` = not since it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// A person wants it booked although the source says that somebody else has exported it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub despite_mark: bool,
    /// The way its money goes, as its flow was set up when it was last planned or claimed; `None` = of a release that did
    /// not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// First seen.
    pub seen_at: Timestamp,
    /// Last transition.
    pub updated_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests;
