//! Guard rails: limits set on the machine, checked against a plan before it is claimed. They fail closed: a currency
//! that a table of limits does not name is refused, because a limit that can be walked around is none.

use crate::Date;
use crate::finding::{Finding, FindingCode};
use crate::ids::{CompanyId, RunId};
use crate::mapping::DocumentKind;
use crate::money::{Currency, Money, MoneyError};
use crate::now::{Now, Tick};
use crate::plan::PostingPlan;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The limits. An empty table means no limit of that sort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardLimits {
    /// Companies that may be posted to.
    pub companies: BTreeSet<CompanyId>,
    /// Kinds of documents that may be written.
    pub kinds: BTreeSet<DocumentKind>,
    /// Largest single document.
    pub max_per_document: BTreeMap<Currency, Money>,
    /// Largest sum of one run.
    pub max_per_run: BTreeMap<Currency, Money>,
    /// Largest sum of one day.
    pub max_per_day: BTreeMap<Currency, Money>,
    /// Most documents of one run.
    pub max_documents_per_run: Option<u32>,
    /// Most documents of one day.
    pub max_documents_per_day: Option<u32>,
    /// Days on which nothing is posted.
    pub blackout_dates: BTreeSet<Date>,
    /// Where they are written, for the words that say how to mend what they refuse.
    pub place: LimitPlace,
}

/// Where limits are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitPlace {
    /// In the configuration.
    #[default]
    Configuration,
    /// In the machine's own file, which nobody remote can change.
    Machine,
}

impl LimitPlace {
    /// The limit's name and file, as they stand after "add it to".
    fn of(self, limit: &str) -> String {
        match self {
            Self::Configuration => format!("guard_rails.{limit} in the configuration (purser.toml)"),
            Self::Machine => format!("{limit} in guard-rails.toml on this machine"),
        }
    }
}

/// What has been claimed already, by currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In this run.
    pub run: BTreeMap<Currency, Money>,
    /// On this day, this run included.
    pub day: BTreeMap<Currency, Money>,
    /// Documents of this run.
    pub run_documents: u32,
    /// Documents of this day, this run included.
    pub day_documents: u32,
    /// The day is that of all flows together, not of one: for the words of what is refused.
    pub together: bool,
}

/// What a claim was counted as, kept with its posting: a claim that is made again counts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// On which day.
    pub day: Date,
    /// On which day of all flows together; `None` = the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_day: Option<Date>,
    /// In which run.
    pub run: RunId,
    /// Its size.
    pub size: Money,
}

/// What was claimed on one day, kept across runs and restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Which day (UTC).
    pub day: Date,
    /// When it began to be counted, by the clock that nobody can set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Tick>,
    /// Sums by currency.
    pub sums: BTreeMap<Currency, Money>,
    /// How many documents.
    #[serde(default)]
    pub documents: u32,
}

impl Day {
    /// Adds what another flow has claimed on the same day.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when a sum does not fit.
    pub fn with(mut self, other: &Day) -> Result<Day, MoneyError> {
        if other.day != self.day {
            return Ok(self);
        }
        for sum in other.sums.values() {
            let both = sum_with(&self.sums, *sum)?;
            self.sums.insert(sum.currency, both);
        }
        self.documents = self.documents.saturating_add(other.documents);
        Ok(self)
    }

    /// The day that a claim counts for now. A clock that is set back does not begin a day anew: the later day goes on
    /// until the clock has passed it, or until a whole day has really gone by.
    pub fn at(kept: Option<Day>, now: &Now) -> Day {
        let today = now.at.date_naive();
        let fresh = || Day { day: today, began: Some(now.tick.clone()), sums: BTreeMap::new(), documents: 0 };
        let Some(kept) = kept else { return fresh() };
        let began = kept.began.as_ref().unwrap_or(&now.tick);
        let over = now.tick.since(began) >= TimeDelta::days(1);
        if today > kept.day || (today < kept.day && over) {
            return fresh();
        }
        Day { began: Some(began.clone()), ..kept }
    }
}

impl Counted {
    /// The same claim as it was counted for all flows together.
    #[must_use]
    pub fn on_machine(&self) -> Self {
        Self { day: self.machine_day.unwrap_or(self.day), ..self.clone() }
    }
}

impl Spent {
    /// Goes on with what is kept of a day.
    pub fn go_on(&mut self, day: &Day) {
        self.day.clone_from(&day.sums);
        self.day_documents = day.documents;
    }

    /// What is to be kept of the day.
    #[must_use]
    pub fn kept(&self, day: Day) -> Day {
        Day { sums: self.day.clone(), documents: self.day_documents, ..day }
    }

    /// Takes an earlier claim of the same posting back out, so that it can be counted again.
    pub fn take_back(&mut self, earlier: &Counted, day: Date, run: &RunId) {
        if earlier.day == day {
            take_back(&mut self.day, earlier.size);
            self.day_documents = self.day_documents.saturating_sub(1);
        }
        if earlier.run == *run {
            take_back(&mut self.run, earlier.size);
            self.run_documents = self.run_documents.saturating_sub(1);
        }
    }

    /// Counts a plan that is being claimed; answers its size.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when the sums do not fit; nothing is counted then.
    pub fn add(&mut self, plan: &PostingPlan) -> Result<Money, MoneyError> {
        let size = plan.size()?;
        let run = sum_with(&self.run, size)?;
        let day = sum_with(&self.day, size)?;
        self.run.insert(size.currency, run);
        self.day.insert(size.currency, day);
        self.run_documents = self.run_documents.saturating_add(1);
        self.day_documents = self.day_documents.saturating_add(1);
        Ok(size)
    }
}

/// Every limit that posting `plan` today would break; empty = it may be posted.
///
/// The size of a document is [`PostingPlan::size`], not its total: lines that cancel each other still move money.
pub fn check(limits: &GuardLimits, plan: &PostingPlan, spent: &Spent, today: Date) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !limits.companies.is_empty() && !limits.companies.contains(&plan.company) {
        findings.push(refused(
            "company",
            plan.company.as_str(),
            format!("company {} may not be posted to from this machine", plan.company),
            &format!("add it to {}, or mend flow.company", limits.place.of("companies")),
        ));
    }
    let kind = plan.document.kind();
    if !limits.kinds.is_empty() && !limits.kinds.contains(&kind) {
        findings.push(refused(
            "document kind",
            kind.as_str(),
            format!("documents of the kind {} may not be written from this machine", kind.as_str()),
            &format!("add it to {}, or mend flow.document", limits.place.of("document_kinds")),
        ));
    }
    if limits.blackout_dates.contains(&today) {
        findings.push(refused(
            "date",
            &today.to_string(),
            format!("nothing is posted on {today}"),
            &format!("replay it on another day, or mend {}", limits.place.of("blackout_dates")),
        ));
    }
    findings.extend(check_counts(limits, spent));
    findings.extend(check_sums(limits, plan, spent));
    findings
}

fn check_counts(limits: &GuardLimits, spent: &Spent) -> Vec<Finding> {
    let together = if spent.together { " of all flows together" } else { "" };
    let counts = [
        ("run", limits.max_documents_per_run, spent.run_documents, "max_documents_per_run", ""),
        ("day", limits.max_documents_per_day, spent.day_documents, "max_documents_per_day", together),
    ];
    let reached = counts.into_iter().filter_map(|(what, most, already, name, whose)| {
        let most = most.filter(|most| already >= *most)?;
        Some(refused(
            &format!("documents of the {what}"),
            &most.to_string(),
            format!("this {what} has reached its limit of {most} documents{whose}"),
            &format!("replay it in a later {what}, or raise {}", limits.place.of(name)),
        ))
    });
    reached.collect()
}

fn check_sums(limits: &GuardLimits, plan: &PostingPlan, spent: &Spent) -> Vec<Finding> {
    let size = match plan.size() {
        Ok(size) => size,
        Err(error) => {
            return vec![Finding::document(
                FindingCode::AmountInvalid,
                "total",
                plan.total.to_string(),
                format!("the size of the document cannot be determined: {error}"),
                "split the record in the source system",
            )];
        }
    };
    let none = BTreeMap::new();
    let together = if spent.together { " of all flows together" } else { "" };
    let sums = [
        (&limits.max_per_document, "max_per_document", &none, ""),
        (&limits.max_per_run, "max_per_run", &spent.run, ""),
        (&limits.max_per_day, "max_per_day", &spent.day, together),
    ];
    sums.into_iter()
        .filter_map(|(table, name, already, whose)| {
            check_sum(limits.place, table, name, already, whose, size)
        })
        .collect()
}

fn check_sum(
    place: LimitPlace,
    table: &BTreeMap<Currency, Money>,
    name: &str,
    already: &BTreeMap<Currency, Money>,
    whose: &str,
    size: Money,
) -> Option<Finding> {
    if table.is_empty() {
        return None;
    }
    let fix =
        format!("look at the record, then raise {} for {} and replay it", place.of(name), size.currency);
    let Some(limit) = table.get(&size.currency) else {
        let message = format!("guard_rails.{name} names no limit for {}", size.currency);
        return Some(refused(name, &size.to_string(), message, &fix));
    };
    let within =
        sum_with(already, size).is_ok_and(|sum| sum.currency == limit.currency && sum.minor <= limit.minor);
    if within {
        return None;
    }
    let before = already.get(&size.currency).copied().unwrap_or(Money::zero(size.currency));
    let message = if before.is_zero() {
        format!("{size} is more than the limit of {limit}")
    } else {
        format!("{size} after {before}{whose} is more than the limit of {limit}")
    };
    Some(refused(name, &size.to_string(), message, &fix))
}

fn sum_with(sums: &BTreeMap<Currency, Money>, size: Money) -> Result<Money, MoneyError> {
    sums.get(&size.currency).copied().unwrap_or(Money::zero(size.currency)).plus(size)
}

fn take_back(sums: &mut BTreeMap<Currency, Money>, size: Money) {
    if let Some(sum) = sums.get_mut(&size.currency)
        && let Ok(less) = sum.minus(size)
    {
        *sum = less;
    }
}

fn refused(field: &str, value: &str, message: String, fix: &str) -> Finding {
    Finding::document(FindingCode::GuardRail, field, value, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{day, document, line, plan, rules, usd};

    fn sample_plan(cents: i64) -> PostingPlan {
        plan(&document(vec![line("1", "Travel", cents)]), &rules(), DocumentKind::Journal)
    }

    fn fields(limits: &GuardLimits, plan: &PostingPlan, spent: &Spent) -> Vec<String> {
        let findings = check(limits, plan, spent, day("2026-01-20"));
        assert!(findings.iter().all(|finding| finding.code == FindingCode::GuardRail));
        findings.into_iter().map(|finding| finding.field).collect()
    }

    #[test]
    fn without_limits_everything_may_be_posted() {
        assert!(fields(&GuardLimits::default(), &sample_plan(1), &Spent::default()).is_empty());
    }

    #[test]
    fn every_broken_limit_is_told() {
        let limits = GuardLimits {
            companies: ["OTHER".into()].into(),
            kinds: [DocumentKind::ApInvoice].into(),
            max_per_document: [(Currency::USD, usd(999))].into(),
            max_per_run: [(Currency::USD, usd(999))].into(),
            max_per_day: [(Currency::USD, usd(999))].into(),
            max_documents_per_run: Some(0),
            max_documents_per_day: Some(0),
            blackout_dates: [day("2026-01-20")].into(),
            place: LimitPlace::Machine,
        };
        assert_eq!(
            fields(&limits, &sample_plan(1000), &Spent::default()),
            [
                "company",
                "document kind",
                "date",
                "documents of the run",
                "documents of the day",
                "max_per_document",
                "max_per_run",
                "max_per_day"
            ]
        );
    }

    #[test]
    fn sums_of_run_and_day_include_what_was_claimed_before() {
        let limits =
            GuardLimits { max_per_run: [(Currency::USD, usd(1500))].into(), ..GuardLimits::default() };
        let mut spent = Spent::default();
        assert!(fields(&limits, &sample_plan(1000), &spent).is_empty());
        spent.add(&sample_plan(1000)).unwrap();
        assert_eq!(spent.run_documents, 1);
        assert!(fields(&limits, &sample_plan(500), &spent).is_empty());
        assert_eq!(fields(&limits, &sample_plan(501), &spent), ["max_per_run"]);
    }

    #[test]
    fn a_claim_that_is_made_again_counts_once() {
        let run = |name: &str| RunId::from(name);
        let mut spent = Spent::default();
        let size = spent.add(&sample_plan(1000)).unwrap();
        let counted = Counted { day: day("2026-01-20"), machine_day: None, run: run("one"), size };
        spent.take_back(&counted, day("2026-01-20"), &run("one"));
        assert_eq!(spent.run_documents, 0);
        spent.add(&sample_plan(1000)).unwrap();
        assert_eq!((spent.day[&Currency::USD], spent.run[&Currency::USD]), (usd(1000), usd(1000)));
        spent.take_back(&counted, day("2026-01-21"), &run("two"));
        assert_eq!((spent.day[&Currency::USD], spent.run_documents), (usd(1000), 1), "another day and run");
        assert_eq!(spent.day_documents, 1);
    }

    #[test]
    fn days_of_several_flows_add_up_and_an_earlier_claim_leaves_the_day_that_it_was_counted_on() {
        let kept = |date: &str, cents: i64| Day {
            day: day(date),
            began: None,
            sums: [(Currency::USD, usd(cents))].into(),
            documents: 1,
        };
        let both = kept("2026-01-20", 700).with(&kept("2026-01-20", 200)).unwrap();
        assert_eq!((both.sums[&Currency::USD], both.documents), (usd(900), 2));
        assert_eq!(both.clone().with(&kept("2026-01-19", 5)).unwrap(), both, "another day");
        let mut together = Spent { together: true, ..Spent::default() };
        together.go_on(&both);
        let earlier = Counted {
            day: day("2026-01-19"),
            machine_day: Some(day("2026-01-20")),
            run: "one".into(),
            size: usd(200),
        };
        together.take_back(&earlier.on_machine(), both.day, &"two".into());
        let left = together.kept(both);
        assert_eq!((left.sums[&Currency::USD], left.documents), (usd(700), 1));
        let limits = GuardLimits {
            max_per_day: [(Currency::USD, usd(1000))].into(),
            max_documents_per_day: Some(1),
            ..GuardLimits::default()
        };
        for finding in check(&limits, &sample_plan(301), &together, day("2026-01-20")) {
            assert!(finding.message.contains("of all flows together"), "{finding}");
        }
        assert_eq!(fields(&limits, &sample_plan(301), &together), ["documents of the day", "max_per_day"]);
    }

    #[test]
    fn a_day_goes_on_when_the_clock_is_set_back_and_ends_when_a_day_has_gone_by() {
        let now = |date: &str, hours: u64| Now {
            at: day(date).and_hms_opt(23, 0, 0).unwrap().and_utc(),
            tick: Tick { machine: None, epoch: "boot".to_owned(), millis: hours * 3_600_000 },
        };
        let mut kept = Day::at(None, &now("2026-01-20", 100));
        kept.sums.insert(Currency::USD, usd(700));
        assert_eq!(Day::at(Some(kept.clone()), &now("2026-01-20", 100)), kept);
        assert_eq!(Day::at(Some(kept.clone()), &now("2026-01-19", 101)), kept, "set back across midnight");
        assert_eq!(Day::at(Some(kept.clone()), &now("2025-01-20", 123)), kept);
        for (date, hours) in [("2026-01-21", 101), ("2025-01-20", 124)] {
            let next = Day::at(Some(kept.clone()), &now(date, hours));
            assert_eq!((next.day, next.sums.len()), (day(date), 0));
        }
    }

    #[test]
    fn lines_that_cancel_each_other_do_not_hide_the_size_of_a_document() {
        let lines = vec![line("1", "Travel", 1_000_000), line("2", "Meals", -1_000_000)];
        let cancelling = plan(&document(lines), &rules(), DocumentKind::Journal);
        assert!(cancelling.total.is_zero());
        let limits = GuardLimits {
            max_per_document: [(Currency::USD, usd(999_999))].into(),
            ..GuardLimits::default()
        };
        assert_eq!(fields(&limits, &cancelling, &Spent::default()), ["max_per_document"]);
        assert_eq!(fields(&limits, &sample_plan(-2_000_000), &Spent::default()), ["max_per_document"]);
    }

    #[test]
    fn a_currency_without_a_limit_is_refused_where_others_have_one() {
        let euro = Currency::new("EUR").unwrap();
        let limits =
            GuardLimits { max_per_day: [(euro, Money::new(1, euro))].into(), ..GuardLimits::default() };
        assert_eq!(fields(&limits, &sample_plan(1), &Spent::default()), ["max_per_day"]);
    }
}
