//! Expense reports: states, dates, money and the one fault that some of them carry.

use super::generate::WorldOptions;
use super::people::UNSOUND;
use super::{WorldEmployee, WorldExpense, WorldReport, chart, texts};
use chrono::{Datelike, Days, NaiveDate};
use std::collections::HashSet;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Millionths of a dollar for one minor unit.
pub(super) const RATES: &[(&str, i64)] =
    &[("USD", 10_000), ("EUR", 10_800), ("GBP", 12_700), ("CHF", 11_300), ("JPY", 6_700), ("MXN", 550)];

/// Ids lie closer together than the precision of a double at this size.
const FIRST_EXPENSE_ID: u64 = 4_056_343_049_275_634_494;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    CategoryUnmapped,
    AccountInactive,
    ProjectClosed,
    VendorPayHold,
    NothingToPost,
    VendorInactive,
    OwnerUnmapped,
}

impl Fault {
    const CYCLE: [Fault; 7] = [
        Fault::CategoryUnmapped,
        Fault::AccountInactive,
        Fault::ProjectClosed,
        Fault::VendorPayHold,
        Fault::NothingToPost,
        Fault::VendorInactive,
        Fault::OwnerUnmapped,
    ];

    fn code(self) -> &'static str {
        match self {
            Fault::CategoryUnmapped => "category-unmapped",
            Fault::AccountInactive => "account-inactive",
            Fault::ProjectClosed => "project-closed",
            Fault::VendorPayHold => "vendor-pay-hold",
            Fault::NothingToPost => "nothing-to-post",
            Fault::VendorInactive => "vendor-inactive",
            Fault::OwnerUnmapped => "owner-unmapped",
        }
    }

    /// Place from the end of the list of employees, for faults of the owner.
    fn unsound_owner(self) -> Option<usize> {
        match self {
            Fault::OwnerUnmapped => Some(3),
            Fault::VendorInactive => Some(2),
            Fault::VendorPayHold => Some(1),
            Fault::CategoryUnmapped
            | Fault::AccountInactive
            | Fault::ProjectClosed
            | Fault::NothingToPost => None,
        }
    }
}

pub(super) fn reports(
    rng: &mut fastrand::Rng,
    options: &WorldOptions,
    employees: &[WorldEmployee],
) -> Vec<WorldReport> {
    let mut maker = Maker {
        ids: HashSet::with_capacity(options.reports),
        categories: chart::sound_categories(),
        next_expense: FIRST_EXPENSE_ID,
        last_id: String::new(),
        options,
        employees,
        rng,
    };
    let (mut approved, mut faults) = (0, 0);
    (0..options.reports)
        .map(|index| {
            let state = state_of(index);
            let fault = (state == "APPROVED" && is_faulty(approved, options.reports))
                .then(|| Fault::CYCLE[faults % Fault::CYCLE.len()]);
            approved += usize::from(state == "APPROVED");
            faults += usize::from(fault.is_some());
            maker.report(index, state, fault)
        })
        .collect()
}

fn state_of(index: usize) -> &'static str {
    match (index % 20, index % 40, index % 200) {
        (7, _, _) => "REIMBURSED",
        (_, 9, _) => "OPEN",
        (_, 29, _) => "SUBMITTED",
        (_, _, 111) => "ARCHIVED",
        _ => "APPROVED",
    }
}

/// Every thirteenth approved report, and three early ones so that small worlds show faults too.
fn is_faulty(approved: usize, reports: usize) -> bool {
    let early = match reports {
        0..3 => &[][..],
        3..10 => &[1][..],
        _ => &[1, 4, 6][..],
    };
    early.contains(&approved) || approved % 13 == 12
}

struct Maker<'a> {
    rng: &'a mut fastrand::Rng,
    options: &'a WorldOptions,
    employees: &'a [WorldEmployee],
    categories: Vec<&'static str>,
    ids: HashSet<String>,
    last_id: String,
    next_expense: u64,
}

impl Maker<'_> {
    fn report(&mut self, index: usize, state: &str, fault: Option<Fault>) -> WorldReport {
        let approved = self.options.today - Days::new(self.rng.u64(1..=25));
        let submitted = approved - Days::new(self.rng.u64(0..=5));
        let currency = self.report_currency(index);
        let was = |states: &[&str], date: NaiveDate| states.contains(&state).then_some(date);
        let mut report = WorldReport {
            id: self.report_id(index),
            name: texts::title(self.rng, approved.iso_week().week()),
            state: state.to_owned(),
            employee: self.owner(fault),
            currency: currency.to_owned(),
            submitted: was(&["SUBMITTED", "APPROVED", "REIMBURSED", "ARCHIVED"], submitted),
            approved: was(&["APPROVED", "REIMBURSED", "ARCHIVED"], approved),
            reimbursed: was(&["REIMBURSED"], self.options.today),
            expenses: Vec::new(),
            expect_hold: None,
            expect_hold_ap: None,
        };
        if fault != Some(Fault::NothingToPost) {
            let count = (0..3).map(|_| self.rng.usize(0..12)).min().unwrap_or(0) + 1;
            report.expenses = (0..count).map(|_| self.expense(currency, submitted)).collect();
            avoid_zero_total(&mut report);
        }
        if let Some(fault) = fault {
            spoil(&mut report, fault);
        }
        report
    }

    fn owner(&mut self, fault: Option<Fault>) -> String {
        let index = match fault.and_then(Fault::unsound_owner) {
            Some(from_end) => self.employees.len() - from_end,
            None => self.rng.usize(..self.employees.len() - UNSOUND),
        };
        self.employees[index].email.clone()
    }

    fn report_currency(&mut self, index: usize) -> &'static str {
        match index % 10 {
            3 if self.options.mixed_currencies => "EUR",
            6 if self.options.mixed_currencies => "JPY",
            _ => "USD",
        }
    }

    /// Base-62; every fiftieth differs from its predecessor only in case.
    fn report_id(&mut self, index: usize) -> String {
        if index % 50 == 3 {
            let tail = self.last_id[3..].chars().map(swap_case).collect::<String>();
            let twin = format!("R00{tail}");
            if self.ids.insert(twin.clone()) {
                return twin;
            }
        }
        loop {
            let mut id = String::with_capacity(12);
            id.push_str("R00");
            id.extend((0..9).map(|_| char::from(BASE62[self.rng.usize(..62)])));
            if self.ids.insert(id.clone()) {
                self.last_id.clone_from(&id);
                return id;
            }
        }
    }

    fn expense(&mut self, report_currency: &'static str, submitted: NaiveDate) -> WorldExpense {
        self.next_expense += self.rng.u64(1..=3);
        let currency = self.expense_currency(report_currency);
        let amount = self.amount();
        let foreign = currency != report_currency;
        let converted_amount = foreign.then(|| convert(amount, currency, report_currency));
        let modified_amount = (self.chance(4)).then(|| amount + self.rng.i64(-50..=50));
        let effective = converted_amount.or(modified_amount).unwrap_or(amount);
        WorldExpense {
            id: self.next_expense.to_string(),
            date: submitted - Days::new(self.rng.u64(0..=20)),
            merchant: texts::merchant(self.rng).to_owned(),
            modified_merchant: self.chance(5).then(|| texts::merchant(self.rng).to_owned()),
            category: self.categories[self.rng.usize(..self.categories.len())].to_owned(),
            department: chart::USED_DEPARTMENTS[self.rng.usize(..chart::USED_DEPARTMENTS.len())].to_owned(),
            project: chart::USED_PROJECTS[self.rng.usize(..chart::USED_PROJECTS.len())].to_owned(),
            amount,
            currency: currency.to_owned(),
            modified_amount,
            converted_amount,
            tax: self.chance(30).then_some(effective / 6),
            reimbursable: !self.chance(25),
            billable: self.chance(10),
            comment: texts::comment(self.rng),
        }
    }

    fn expense_currency(&mut self, report_currency: &'static str) -> &'static str {
        if self.chance(15) { RATES[self.rng.usize(..RATES.len())].0 } else { report_currency }
    }

    fn amount(&mut self) -> i64 {
        match self.rng.u8(..100) {
            0 => 0,
            1..=4 => -self.rng.i64(100..20_000),
            5..=6 => self.rng.i64(100_000..3_000_000),
            _ => self.rng.i64(100..60_000),
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }
}

fn swap_case(c: char) -> char {
    if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
}

pub(super) fn convert(amount: i64, from: &str, to: &str) -> i64 {
    let rate = |code: &str| RATES.iter().find(|(c, _)| *c == code).map_or(10_000, |(_, rate)| *rate);
    let (numerator, denominator) = (amount * rate(from), rate(to));
    (numerator + numerator.signum() * denominator / 2) / denominator
}

/// A report whose lines cancel out is a question of taste, not of truth; the world does not ask it.
fn avoid_zero_total(report: &mut WorldReport) {
    if report.total() != 0 {
        return;
    }
    let Some(first) = report.expenses.first_mut() else { return };
    first.amount = first.effective_amount() + 1_299;
    first.currency.clone_from(&report.currency);
    first.converted_amount = None;
    first.modified_amount = None;
}

fn spoil(report: &mut WorldReport, fault: Fault) {
    let code = Some(fault.code().to_owned());
    if fault.unsound_owner().is_some() {
        report.expect_hold_ap = code;
        return;
    }
    report.expect_hold = code;
    let Some(last) = report.expenses.last_mut() else { return };
    if last.effective_amount() == 0 {
        // A line of zero need not be posted, and then its fault would not count.
        last.modified_amount = None;
        last.converted_amount = None;
        last.amount = 4_711;
        last.currency.clone_from(&report.currency);
    }
    match fault {
        Fault::CategoryUnmapped => last.category = chart::UNMAPPED_CATEGORY.to_owned(),
        Fault::AccountInactive => last.category = chart::FAULTY_CATEGORY.to_owned(),
        Fault::ProjectClosed => last.project = chart::CLOSED_PROJECT.to_owned(),
        Fault::NothingToPost | Fault::VendorPayHold | Fault::VendorInactive | Fault::OwnerUnmapped => {}
    }
}
