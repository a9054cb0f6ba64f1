//! What can happen to a posting, what is done next, and by which policy.

#[cfg(doc)]
use super::Posting;
use super::{ErpReceipt, Failure, LookUp};
use crate::Timestamp;
use crate::document::SpendDocument;
use crate::finding::Finding;
use crate::ids::{FlowId, PostingKey, Revision};
use crate::plan::PostingPlan;
use chrono::TimeDelta;
use std::sync::Arc;

/// How a flow retries and settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingPolicy {
    /// Longest time the ERP may still commit after our connection is gone.
    pub settle_window: TimeDelta,
    /// Least time between the two empty look-ups after the settle window.
    pub settle_interval: TimeDelta,
    /// Transient failures before a posting is held.
    pub max_failures: u32,
    /// First ceiling of the exponential back-off.
    pub backoff_base: TimeDelta,
    /// Last ceiling of the exponential back-off.
    pub backoff_max: TimeDelta,
    /// Write again after the settle window and two empty look-ups also where the ERP does not refuse duplicates.
    pub rewrite_without_uniqueness: bool,
}

impl Default for PostingPolicy {
    fn default() -> Self {
        Self {
            settle_window: TimeDelta::seconds(120),
            settle_interval: TimeDelta::seconds(30),
            max_failures: 12,
            backoff_base: TimeDelta::seconds(5),
            backoff_max: TimeDelta::seconds(1800),
            rewrite_without_uniqueness: false,
        }
    }
}

/// What happened to a posting.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Intent to write is being made durable.
    Claimed,
    /// The ERP was asked what it holds under the reference.
    LookedUp {
        /// What it holds.
        found: LookUp,
        /// Whether the ERP itself refuses a second document under the same reference.
        unique: bool,
    },
    /// The ERP could not be asked.
    LookUpFailed(Failure),
    /// The reading right before the claim failed, or the record is another one by now: nothing is written this time.
    PutOff(Failure),
    /// The record is another one by now, and the ERP was asked and has nothing of this one: it waits for the newer state to
    /// take its place, and counts as never attempted.
    OutOfDate(Failure),
    /// The write was answered, or its answer is lost.
    PostAnswered(Result<ErpReceipt, Failure>),
    /// Start-up found a claim without a result.
    Recovered,
    /// The claim was provably never sent.
    Released,
    /// The source is marked.
    Acknowledged,
    /// The source could not be marked.
    AcknowledgeFailed(Failure),
    /// The same revision was read and planned again, with the rules and reference data of today. A hold that only data
    /// or rules caused becomes planned; any other keeps waiting, with the new plan, for [`Event::Replay`].
    Replanned(Arc<PostingPlan>, Arc<SpendDocument>),
    /// Validation or a guard rail forbids it.
    Held(Vec<Finding>),
    /// As [`Event::Held`], while a part of the document stands in the ERP.
    HeldUnfinished(Vec<Finding>),
    /// A person asks for another attempt. Plan again first: a replay writes the plan that is there.
    Replay,
    /// A person closes it. What is in the ERP and could not be marked at the source counts as acknowledged then.
    Handled {
        /// What they wrote.
        note: String,
        /// Who.
        by: String,
        /// Whether the source was told that it is not exported.
        reported: bool,
        /// The flow that goes on with the record, where that is all that it was held for ([`Posting::waits_for_flow`]).
        left_to: Option<FlowId>,
    },
    /// A newer revision takes its place.
    Superseded {
        /// The newer one.
        by: Revision,
    },
}

impl Event {
    /// A word for messages and the audit trail.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::LookedUp { .. } => "looked-up",
            Self::LookUpFailed(_) => "look-up-failed",
            Self::PutOff(_) => "put-off",
            Self::OutOfDate(_) => "out-of-date",
            Self::PostAnswered(_) => "post-answered",
            Self::Recovered => "recovered",
            Self::Released => "released",
            Self::Acknowledged => "acknowledged",
            Self::AcknowledgeFailed(_) => "acknowledge-failed",
            Self::Replanned(..) => "replanned",
            Self::Held(_) => "held",
            Self::HeldUnfinished(_) => "held-unfinished",
            Self::Replay => "replay",
            Self::Handled { .. } => "handled",
            Self::Superseded { .. } => "superseded",
        }
    }
}

/// What the flow does next with a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Look it up; when nothing is there, claim and write.
    LookUpThenClaim,
    /// Look it up; never write.
    LookUp,
    /// Mark the source.
    Acknowledge,
    /// Nothing before this moment.
    WaitUntil(Timestamp),
    /// Nothing: it is final, with a person, or in somebody's hands right now.
    Nothing,
}

/// Why an event cannot happen to a posting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The event makes no sense in this state.
    #[error("a posting that is {state} cannot be {event}")]
    Illegal {
        /// State it is in.
        state: &'static str,
        /// Event that was tried.
        event: &'static str,
    },
    /// It is in the ERP already; here is where.
    #[error("already in the ERP as {}", receipt.document)]
    AlreadyPosted {
        /// Where.
        receipt: ErpReceipt,
    },
    /// There is no plan that could be written.
    #[error("there is no plan: mend the findings and plan again first")]
    NoPlan,
    /// The next attempt lies in the future.
    #[error("not before {at}")]
    NotDue {
        /// Next attempt.
        at: Timestamp,
    },
    /// The plan or document belongs to another posting.
    #[error("the plan is that of another posting ({found}, not {expected})")]
    OtherPosting {
        /// Key of this posting.
        expected: PostingKey,
        /// Key of the plan.
        found: PostingKey,
    },
    /// The source cannot be told that something is not exported which the ERP may have.
    #[error("it may be in the ERP, so the spend system is not told that it is not exported")]
    MayBeBooked,
    /// A hold without a reason.
    #[error("a posting cannot be held without a finding")]
    NoFindings,
    /// A write was begun, so only a look-up or a person's decision on a hold can close it.
    #[error("a write of this posting was begun: let it be settled or held first, then close it")]
    WriteBegun,
}
