//! Guard rails in a run: what this run and this day have already claimed is counted, durably for the day, and checked
//! before every claim.

use super::posting::Writable;
use super::spend_flow::{RunError, Session, SpendFlow};
use crate::store::{Batch, StateTable};
use serde::{Deserialize, Serialize};
use spend::Date;
use spend::finding::{Finding, FindingCode};
use spend::guard::{self, Spent};
use spend::money::{Currency, Money};
use spend::plan::PostingPlan;
use spend::posting::Event;
use std::collections::BTreeMap;

/// What was claimed on one day, kept across runs and restarts.
#[derive(Default, Serialize, Deserialize)]
struct DaySpent {
    day: Option<Date>,
    sums: BTreeMap<Currency, Money>,
}

impl SpendFlow {
    /// Takes out what the machine's own limits forbid; it waits for a person. The day's sums are stored with the
    /// claim itself, so a crash never forgets them.
    pub(super) fn within_guard_rails(
        &self,
        writable: Vec<Writable>,
        commit: &mut Batch,
        session: &mut Session,
    ) -> Result<Vec<Writable>, RunError> {
        if writable.is_empty() {
            return Ok(writable);
        }
        let today = self.clock.now().date_naive();
        let name = format!("{}/spent", self.settings.flow());
        let kept: DaySpent = self.store.get(StateTable::Flow, &name)?.unwrap_or_default();
        session.spent.day = if kept.day == Some(today) { kept.sums } else { BTreeMap::new() };
        let mut allowed = Vec::with_capacity(writable.len());
        for one in writable {
            let findings = self.refusals(one.posting.plan.as_ref(), session, today);
            if findings.is_empty() {
                allowed.push(one);
                continue;
            }
            let (held, entry) = self.step(session, &one.posting, Event::Held(findings))?;
            session.count(&one.posting, &held);
            commit.audit(entry);
            commit.put_posting(held);
        }
        commit.put(StateTable::Flow, &name, &DaySpent { day: Some(today), sums: session.spent.day.clone() });
        Ok(allowed)
    }

    /// Every limit that stands against a plan; when there is none, the plan is counted.
    fn refusals(&self, plan: Option<&PostingPlan>, session: &mut Session, today: Date) -> Vec<Finding> {
        let Some(plan) = plan else { return Vec::new() };
        let findings = guard::check(&self.settings.guard, plan, &session.spent, today);
        if !findings.is_empty() {
            return findings;
        }
        match Spent::add(&mut session.spent, plan) {
            Ok(()) => Vec::new(),
            Err(error) => vec![Finding {
                code: FindingCode::GuardRail,
                line: None,
                field: "sum of the day".to_owned(),
                value: plan.total.to_string(),
                message: format!("the sums of the day cannot be counted: {error}"),
                fix: "look at the amounts of this record in the spend system; they are beyond reason"
                    .to_owned(),
            }],
        }
    }
}
