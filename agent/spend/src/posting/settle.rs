//! How a posting whose outcome is unknown is settled: rows two and three of the outcome table.

use super::delay::{Moment, later};
use super::{ErpReceipt, LookUp, Posting, PostingState};
use crate::Timestamp;
use crate::finding::{Finding, FindingCode};

impl Posting {
    /// Rows two and three of the outcome table.
    pub(super) fn settle(
        &self,
        found: LookUp,
        unique: bool,
        cut_at: Timestamp,
        empty_look_ups: &[Timestamp],
        why: &str,
        moment: &Moment<'_>,
    ) -> Posting {
        let age = moment.now.signed_duration_since(cut_at);
        let settled = age >= moment.policy.settle_window;
        let stay = |empty_look_ups: Vec<Timestamp>, next_at| {
            let why = why.to_owned();
            let state = PostingState::InDoubt { cut_at, empty_look_ups, next_at, why };
            Posting { failures: 0, ..self.with_state(state) }
        };
        match found {
            LookUp::Complete { receipt } => self.posted(receipt, true, moment),
            // Within the window our own write may follow the document that is in its place.
            LookUp::Different { .. } if !settled => stay(Vec::new(), moment.before_settled(cut_at)),
            LookUp::Different { receipt, differs } => {
                self.held_with(vec![conflict(&receipt, &differs)], false, moment)
            }
            LookUp::Unfinished { .. } if settled => self.planned_anew(),
            LookUp::Unfinished { .. } => stay(Vec::new(), moment.before_settled(cut_at)),
            LookUp::Absent if !settled => stay(Vec::new(), moment.before_settled(cut_at)),
            LookUp::Absent => {
                let empty = empty_look_ups_with(empty_look_ups, moment);
                let one_is_enough = unique && moment.policy.settle_window.is_zero();
                if empty.len() >= if one_is_enough { 1 } else { 2 } {
                    return self.not_there(unique, why, moment);
                }
                let from = empty.last().copied().unwrap_or(moment.now);
                stay(empty, later(from, moment.policy.settle_interval))
            }
        }
    }

    /// The settle window is over and the ERP knows nothing of the document.
    fn not_there(&self, unique: bool, why: &str, moment: &Moment<'_>) -> Posting {
        if unique || moment.policy.rewrite_without_uniqueness {
            return self.planned_anew();
        }
        let finding = Finding::document(
            FindingCode::OutcomeUnknown,
            "posting",
            why,
            "the answer to the write was lost and the ERP shows no document, but it does not refuse duplicates",
            "look for the document in the ERP by its reference, then replay it (not there) or handle it (there)",
        );
        self.held_with(vec![finding], true, moment)
    }
}

/// Look-ups that follow each other too closely count once.
fn empty_look_ups_with(before: &[Timestamp], moment: &Moment<'_>) -> Vec<Timestamp> {
    let interval = moment.policy.settle_interval;
    let counts = before.last().is_none_or(|last| moment.now.signed_duration_since(*last) >= interval);
    before.iter().copied().chain(counts.then_some(moment.now)).collect()
}

pub(super) fn conflict(receipt: &ErpReceipt, differs: &str) -> Finding {
    Finding::document(
        FindingCode::ErpConflict,
        "reference",
        receipt.document.clone(),
        format!("the ERP holds {} under this reference with other content: {differs}", receipt.document),
        "compare the two; remove or correct the one in the ERP and replay, or handle this posting with a note",
    )
}
