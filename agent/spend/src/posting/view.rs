//! A posting as it is made, and what can be read off its state.

use super::{ErpReceipt, Hold, NextAction, Posting, PostingState, is_due};
use crate::Timestamp;
use crate::document::SpendDocument;
use crate::finding::{Finding, FindingCode};
use crate::ids::{FlowId, PostingKey};
use crate::money::Money;
use crate::plan::PostingPlan;
use std::sync::Arc;

impl PostingState {
    /// The word for it, as it is stored and shown.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Claimed { .. } => "claimed",
            Self::InDoubt { .. } => "in-doubt",
            Self::Waiting { .. } => "waiting",
            Self::Posted { .. } => "posted",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Held(_) => "held",
            Self::Superseded { .. } => "superseded",
            Self::Handled { .. } => "handled",
        }
    }

    /// Where it is in the ERP, once that is known.
    pub const fn receipt(&self) -> Option<&ErpReceipt> {
        match self {
            Self::Posted { receipt, .. } | Self::Acknowledged { receipt, .. } => Some(receipt),
            Self::Planned
            | Self::Claimed { .. }
            | Self::InDoubt { .. }
            | Self::Waiting { .. }
            | Self::Held(_)
            | Self::Superseded { .. }
            | Self::Handled { .. } => None,
        }
    }
}

impl Posting {
    /// A record that can be booked.
    pub fn planned(flow: FlowId, document: SpendDocument, plan: PostingPlan, now: Timestamp) -> Self {
        Self {
            key: plan.key.clone(),
            total: plan.total,
            plan: Some(Arc::new(plan)),
            state: PostingState::Planned,
            ..Self::seen(flow, document, now)
        }
    }

    /// A record that cannot be booked. `plan` is there when only a limit forbids it.
    pub fn held(
        flow: FlowId,
        document: SpendDocument,
        plan: Option<PostingPlan>,
        findings: Vec<Finding>,
        now: Timestamp,
    ) -> Self {
        let seen = Self::seen(flow, document, now);
        let findings = if findings.is_empty() { vec![unexplained()] } else { findings };
        let total = plan.as_ref().map_or(seen.total, |plan| plan.total);
        Self {
            plan: plan.map(Arc::new),
            total,
            state: PostingState::Held(Hold { findings, since: now, in_doubt: false }),
            ..seen
        }
    }

    fn seen(flow: FlowId, document: SpendDocument, now: Timestamp) -> Self {
        Self {
            key: PostingKey::derive(&flow, &document.source_id, &document.revision),
            flow,
            source_id: document.source_id.clone(),
            revision: document.revision.clone(),
            total: document.total_or_zero(),
            document: Arc::new(document),
            plan: None,
            state: PostingState::Planned,
            attempts: 0,
            failures: 0,
            counted: None,
            read_at: None,
            despite_mark: false,
            route: None,
            seen_at: now,
            updated_at: now,
        }
    }

    /// What to do with it now.
    pub fn next_action(&self, now: Timestamp) -> NextAction {
        let when_due = |at, action| if is_due(at, now) { action } else { NextAction::WaitUntil(at) };
        match &self.state {
            PostingState::Planned if self.plan.is_none() => NextAction::Nothing,
            PostingState::Planned => NextAction::LookUpThenClaim,
            PostingState::Waiting { next_at, .. } => when_due(*next_at, NextAction::LookUpThenClaim),
            PostingState::InDoubt { next_at, .. } => when_due(*next_at, NextAction::LookUp),
            PostingState::Posted { next_ack_at, .. } => when_due(*next_ack_at, NextAction::Acknowledge),
            PostingState::Claimed { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => NextAction::Nothing,
        }
    }

    /// When something is to be done with it; the store's index by due time. `None` = not by itself.
    pub fn due_at(&self) -> Option<Timestamp> {
        match &self.state {
            PostingState::Planned => Some(self.updated_at),
            PostingState::Waiting { next_at, .. } | PostingState::InDoubt { next_at, .. } => Some(*next_at),
            PostingState::Posted { next_ack_at, .. } => Some(*next_ack_at),
            PostingState::Claimed { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => None,
        }
    }

    /// When its record was last read at the source, as far as this posting knows.
    pub fn last_read(&self) -> Timestamp {
        self.read_at.unwrap_or(self.seen_at)
    }

    /// Whether a write of this posting may have reached the ERP, or a person may have booked it there by hand.
    pub fn may_be_in_erp(&self) -> bool {
        match &self.state {
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. } => true,
            // A person closed it, perhaps because it was booked by hand; but not what they had reported as not exported, nor
            // what they have left to another flow.
            PostingState::Handled { reported, left_to, .. } => !reported && left_to.is_none(),
            PostingState::Held(hold) => {
                hold.in_doubt || hold.findings.iter().any(|finding| finding.code == FindingCode::ErpConflict)
            }
            PostingState::Planned | PostingState::Waiting { .. } => self.attempts > 0,
            PostingState::Superseded { .. } => false,
        }
    }

    /// Whether a person had the source told that it is not exported: it is planned anew when it is offered again.
    pub fn is_reported_failed(&self) -> bool {
        match &self.state {
            PostingState::Handled { reported, .. } => *reported,
            PostingState::Planned
            | PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Waiting { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. } => false,
        }
    }

    /// Whether it still needs the agent or a person.
    pub fn is_open(&self) -> bool {
        match &self.state {
            PostingState::Planned
            | PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Waiting { .. }
            | PostingState::Posted { .. }
            | PostingState::Held(_) => true,
            PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => false,
        }
    }
}

fn unexplained() -> Finding {
    Finding::document(
        FindingCode::SourceUnreadable,
        "record",
        "",
        "the record could not be planned and no cause was given",
        "replay it; if it is held again, send the diagnostics of the agent to support",
    )
}

impl SpendDocument {
    /// The sum of all lines, else what the source declares, else nothing: for lists of records that cannot be planned.
    pub fn total_or_zero(&self) -> Money {
        Money::sum(self.currency, self.lines.iter().map(|line| line.amount))
            .ok()
            .or(self.declared_total)
            .unwrap_or(Money::zero(self.currency))
    }
}
