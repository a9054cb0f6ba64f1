//! Guard rails in a run: what this run and this day have already claimed is counted, durably for the day, and checked
//! before every claim.
//!
//! The limits of the configuration count each flow by itself, those of the machine all flows together: a configuration
//! from afar says how many flows there are, so a limit that each had for itself would be none. The day of all flows is
//! written with the claim, on condition that no other flow has written it since it was read.

use super::posting::Writable;
use super::spend_flow::{RunError, Session, SpendFlow};
use crate::store::{Batch, Stamp, StateTable};
use spend::Date;
use spend::finding::{Finding, FindingCode};
use spend::guard::{self, Counted, Day, Spent};
use spend::money::MoneyError;
use spend::now::Now;
use spend::plan::PostingPlan;
use spend::posting::Event;

/// The day of a flow is kept under its name and this.
const SPENT: &str = "/spent";
/// That of all flows together. No flow has such a name.
const TOGETHER: &str = "*/spent";

/// The days that a claim counts for.
struct Days {
    flow: Day,
    together: Day,
    /// Which value of the latter was read.
    seen: Stamp,
}

impl SpendFlow {
    /// Takes out what limits forbid; it waits for a person. The day's sums are stored with the claim itself, so a crash
    /// never forgets them.
    pub(super) fn within_guard_rails(
        &self,
        writable: Vec<Writable>,
        commit: &mut Batch,
        session: &mut Session,
    ) -> Result<Vec<Writable>, RunError> {
        if writable.is_empty() {
            return Ok(writable);
        }
        let now = self.clock.reading();
        let days = self.days(&now)?;
        session.spent.go_on(&days.flow);
        session.together.go_on(&days.together);
        let mut allowed = Vec::with_capacity(writable.len());
        for mut one in writable {
            if let Some(earlier) = one.posting.counted.take() {
                session.spent.take_back(&earlier, days.flow.day, &session.run);
                session.together.take_back(&earlier.on_machine(), days.together.day, &session.run);
            }
            let findings = match self.count(one.posting.plan.as_deref(), session, now.at.date_naive(), &days)
            {
                Ok(counted) => {
                    one.posting.counted = counted;
                    allowed.push(one);
                    continue;
                }
                Err(findings) => findings,
            };
            let (held, entry) = self.step(session, &one.posting, Event::Held(findings))?;
            session.count(&one.posting, &held);
            commit.audit(entry);
            commit.put_posting(held);
        }
        commit.expect(StateTable::Flow, TOGETHER, days.seen);
        commit.put(StateTable::Flow, TOGETHER, &session.together.kept(days.together));
        commit.put(StateTable::Flow, &self.spent_name(), &session.spent.kept(days.flow));
        Ok(allowed)
    }

    fn spent_name(&self) -> String {
        format!("{}{SPENT}", self.settings.flow())
    }

    fn days(&self, now: &Now) -> Result<Days, RunError> {
        let flow = Day::at(self.store.get(StateTable::Flow, &self.spent_name())?, now);
        let (kept, seen) = self.store.get_stamped(StateTable::Flow, TOGETHER)?;
        let together = match kept {
            Some(kept) => Day::at(Some(kept), now),
            None => self.first_together(now)?,
        };
        Ok(Days { flow, together, seen })
    }

    /// A store that was kept by a release without this count begins with what its flows have claimed today.
    fn first_together(&self, now: &Now) -> Result<Day, RunError> {
        let mut together = Day::at(None, now);
        for name in self.store.names(StateTable::Flow)?.iter().filter(|name| name.ends_with(SPENT)) {
            let Some(day) = self.store.get::<Day>(StateTable::Flow, name)? else { continue };
            // Sums beyond reason: each flow's own are refused as well.
            together = together.clone().with(&day).unwrap_or(together);
        }
        Ok(together)
    }

    /// Counts a plan, or answers every limit that stands against it.
    fn count(
        &self,
        plan: Option<&PostingPlan>,
        session: &mut Session,
        today: Date,
        days: &Days,
    ) -> Result<Option<Counted>, Vec<Finding>> {
        let Some(plan) = plan else { return Ok(None) };
        let mut findings = guard::check(&self.settings.guard, plan, &session.spent, today);
        for limits in &self.settings.machine {
            findings.extend(guard::check(limits, plan, &session.together, today));
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        match add_to_both(session, plan) {
            Ok(size) => Ok(Some(Counted {
                day: days.flow.day,
                machine_day: (days.together.day != days.flow.day).then_some(days.together.day),
                run: session.run.clone(),
                size,
            })),
            Err(error) => Err(vec![Finding {
                code: FindingCode::GuardRail,
                line: None,
                field: "sum of the day".to_owned(),
                value: plan.total.to_string(),
                message: format!("the sums of the day cannot be counted: {error}"),
                fix: "look at the amounts of this record in the spend system; they are beyond reason"
                    .to_owned(),
            }]),
        }
    }
}

/// Counts in both or in neither.
fn add_to_both(session: &mut Session, plan: &PostingPlan) -> Result<spend::money::Money, MoneyError> {
    let mut together: Spent = session.together.clone();
    together.add(plan)?;
    let size = session.spent.add(plan)?;
    session.together = together;
    Ok(size)
}
