//! Guard rails in a run: what this run and this day have already claimed is counted, durably for the day, and checked
//! before every claim.

use super::posting::Writable;
use super::spend_flow::{RunError, Session, SpendFlow};
use crate::store::{Batch, StateTable};
use spend::Date;
use spend::finding::{Finding, FindingCode};
use spend::guard::{self, Counted, Day, Spent};
use spend::plan::PostingPlan;
use spend::posting::Event;

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
        let now = self.clock.reading();
        let name = format!("{}/spent", self.settings.flow());
        let mut day = Day::at(self.store.get(StateTable::Flow, &name)?, &now);
        session.spent.day = std::mem::take(&mut day.sums);
        session.spent.day_documents = day.documents;
        let mut allowed = Vec::with_capacity(writable.len());
        for mut one in writable {
            if let Some(earlier) = one.posting.counted.take() {
                session.spent.take_back(&earlier, day.day, &session.run);
            }
            let findings = match self.count(one.posting.plan.as_ref(), session, now.at.date_naive(), day.day)
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
        commit.put(
            StateTable::Flow,
            &name,
            &Day { sums: session.spent.day.clone(), documents: session.spent.day_documents, ..day },
        );
        Ok(allowed)
    }

    /// Counts a plan, or answers every limit that stands against it.
    fn count(
        &self,
        plan: Option<&PostingPlan>,
        session: &mut Session,
        today: Date,
        day: Date,
    ) -> Result<Option<Counted>, Vec<Finding>> {
        let Some(plan) = plan else { return Ok(None) };
        let limits = std::iter::once(&self.settings.guard).chain(&self.settings.machine);
        let findings: Vec<Finding> =
            limits.flat_map(|limits| guard::check(limits, plan, &session.spent, today)).collect();
        if !findings.is_empty() {
            return Err(findings);
        }
        match Spent::add(&mut session.spent, plan) {
            Ok(size) => Ok(Some(Counted { day, run: session.run.clone(), size })),
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
