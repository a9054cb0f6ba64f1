//! How a posting whose outcome is unknown is settled: rows two and three of the outcome table.

use super::delay::{Moment, later};
use super::{ErpReceipt, LookUp, Posting, PostingState};
use crate::Timestamp;
use crate::finding::{Finding, FindingCode};
use crate::now::Tick;
use chrono::TimeDelta;

/// What is known of a write whose outcome is not.
pub(super) struct Doubt<'a> {
    pub(super) cut_at: Timestamp,
    pub(super) cut_tick: Option<&'a Tick>,
    pub(super) empty_look_ups: &'a [Timestamp],
    pub(super) empty_tick: Option<&'a Tick>,
    pub(super) why: &'a str,
}

impl Posting {
    /// Rows two and three of the outcome table. Both spans are measured by the clock that nobody can set.
    pub(super) fn settle(
        &self,
        found: LookUp,
        unique: bool,
        doubt: &Doubt<'_>,
        moment: &Moment<'_>,
    ) -> Posting {
        // Without a reading that says anything here the window begins now.
        let cut = doubt.cut_tick.filter(|cut| !moment.tick.is_elsewhere(cut)).unwrap_or(moment.tick);
        let age = moment.since(cut);
        let settled = age >= moment.policy.settle_window;
        let stay = |empty_look_ups: Vec<Timestamp>, empty_tick: Option<Tick>, next_at| {
            let (cut_at, cut_tick) = (doubt.cut_at, Some(cut.clone()));
            let why = doubt.why.to_owned();
            let state = PostingState::InDoubt { cut_at, cut_tick, empty_look_ups, empty_tick, next_at, why };
            Posting { failures: 0, ..self.with_state(state) }
        };
        match found {
            LookUp::Complete { receipt } => self.posted(receipt, true, moment),
            // Within the window our own write may follow the document that is in its place.
            LookUp::Different { .. } if !settled => stay(Vec::new(), None, moment.before_settled(age)),
            LookUp::Different { receipt, differs } => {
                self.held_with(vec![conflict(&receipt, &differs)], false, moment)
            }
            LookUp::Unfinished { .. } if settled => self.planned_anew(),
            LookUp::Unfinished { .. } => stay(Vec::new(), None, moment.before_settled(age)),
            LookUp::Absent if !settled => stay(Vec::new(), None, moment.before_settled(age)),
            LookUp::Absent => {
                let (empty, tick) = doubt.empty_with(moment);
                let one_is_enough = unique && moment.policy.settle_window.is_zero();
                if empty.len() >= if one_is_enough { 1 } else { 2 } {
                    return self.not_there(unique, doubt.why, moment);
                }
                let left = moment.policy.settle_interval.checked_sub(&moment.since(&tick));
                let left = left.unwrap_or_default().max(TimeDelta::milliseconds(1));
                stay(empty, Some(tick), later(moment.now, left))
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

impl Doubt<'_> {
    /// The empty look-ups with this one. Look-ups that follow each other too closely count once.
    fn empty_with(&self, moment: &Moment<'_>) -> (Vec<Timestamp>, Tick) {
        match self.empty_tick.filter(|last| !moment.tick.is_elsewhere(last)) {
            None => (vec![moment.now], moment.tick.clone()),
            Some(last) if moment.since(last) < moment.policy.settle_interval => {
                (self.empty_look_ups.to_vec(), last.clone())
            }
            Some(_) => {
                (self.empty_look_ups.iter().copied().chain([moment.now]).collect(), moment.tick.clone())
            }
        }
    }
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
