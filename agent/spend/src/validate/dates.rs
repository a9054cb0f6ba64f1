//! The posting date: by rule, then moved or refused by the fiscal calendar.

use super::{Check, PostingDate};
use crate::Date;
use crate::document::SpendLine;
use crate::finding::{Finding, FindingCode};
use crate::mapping::ClosedPeriod;

impl Check<'_> {
    pub(super) fn posting_date(&mut self, selected: &[&SpendLine]) -> Option<Date> {
        let (date, what) = match self.rules.date {
            PostingDate::Approved => (self.document.approved, "day of approval"),
            PostingDate::Submitted => (self.document.submitted, "day of submission"),
            PostingDate::LastExpense => (selected.iter().filter_map(|line| line.date).max(), "expense date"),
        };
        let Some(date) = date else {
            if self.rules.date != PostingDate::LastExpense || !selected.is_empty() {
                self.finding(
                    FindingCode::DateMissing,
                    None,
                    what,
                    "",
                    format!("the record has no {what}, which flow.mapping.date makes the posting date"),
                    "complete the record in the source system, or choose another flow.mapping.date in purser.toml"
                        .to_owned(),
                );
            }
            return None;
        };
        self.in_open_period(date)
    }

    /// Without readable periods the ERP is the judge.
    fn in_open_period(&mut self, date: Date) -> Option<Date> {
        let Some(periods) = &self.reference.periods else { return Some(date) };
        let mut covering =
            periods.iter().filter(|period| period.start <= date && date <= period.end).peekable();
        let value = date.to_string();
        let Some(first) = covering.peek().copied() else {
            self.finding(
                FindingCode::PeriodMissing,
                None,
                "posting date",
                &value,
                format!("no fiscal period of company {} covers {date}", self.reference.company),
                "set up the fiscal period in the ERP, then replay".to_owned(),
            );
            return Some(date);
        };
        if covering.any(|period| !period.closed) {
            return Some(date);
        }
        let next_open = periods
            .iter()
            .filter(|period| !period.closed && period.start > date)
            .map(|period| period.start)
            .min();
        match (self.rules.closed_period, next_open) {
            (ClosedPeriod::NextOpen, Some(next)) => {
                self.notes.push(Finding::document(
                    FindingCode::PeriodClosed,
                    "posting date",
                    &value,
                    format!("dated {next}, because fiscal period {}/{} is closed", first.year, first.number),
                    "set flow.mapping.closed_period to \"hold\" in purser.toml to be asked instead",
                ));
                return Some(next);
            }
            (ClosedPeriod::NextOpen, None) => self.finding(
                FindingCode::PeriodClosed,
                None,
                "posting date",
                &value,
                format!("fiscal period {}/{} is closed and no later one is open", first.year, first.number),
                "open a fiscal period in the ERP, then replay".to_owned(),
            ),
            (ClosedPeriod::Hold, _) => self.finding(
                FindingCode::PeriodClosed,
                None,
                "posting date",
                &value,
                format!("{date} lies in fiscal period {}/{}, which is closed", first.year, first.number),
                "open the period in the ERP and replay, or set flow.mapping.closed_period to \"next-open\" in purser.toml"
                    .to_owned(),
            ),
        }
        Some(date)
    }
}
