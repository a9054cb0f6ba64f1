//! The seeded world that all simulators are filled from, so that the systems fit together: same seed, same world.
//! Neutral types: neither a vendor's wire format nor the agent's types.

mod chart;
mod generate;
mod movements;
mod people;
mod report;
mod texts;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use generate::WorldOptions;
pub use movements::{
    CARD_LIABILITY, CASH, MerchantFit, SpendFault, SpendKind, SpendOptions, SpendState, WorldMerchant,
    WorldSpend, WorldSpendLine, expected_spend_totals,
};

/// Natural account of accrued expenses: what is owed to employees.
pub const ACCRUED_EXPENSES: &str = "2150";
/// Natural account of card clearing: what the company card paid.
pub const CARD_CLEARING: &str = "2160";
/// Natural account of recoverable tax.
pub const INPUT_TAX: &str = "1400";
/// Department where a line names none.
pub const DEFAULT_DEPARTMENT: &str = "00";
/// Cost centre of every line: no tag gives one.
pub const DEFAULT_COST_CENTRE: &str = "200";

/// Everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    /// Seed it was made from.
    pub seed: u64,
    /// Main currency.
    pub currency: String,
    /// Companies of the ERP; the first one is posted to.
    pub companies: Vec<String>,
    /// The day the world was made for; periods before the one two months earlier are closed.
    pub today: NaiveDate,
    /// Chart of accounts.
    pub accounts: Vec<WorldAccount>,
    /// Segments of an account, in order (1 = natural account).
    pub segments: Vec<WorldSegment>,
    /// Employees.
    pub employees: Vec<WorldEmployee>,
    /// Suppliers that are no employees.
    pub vendors: Vec<WorldVendor>,
    /// Projects.
    pub projects: Vec<WorldProject>,
    /// Expense categories.
    pub categories: Vec<WorldCategory>,
    /// Expense reports.
    pub reports: Vec<WorldReport>,
}

/// An account: natural account | department | cost centre.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldAccount {
    /// Segment values in order.
    pub segments: Vec<String>,
    /// Description.
    pub description: String,
    /// Active.
    pub active: bool,
}

/// A segment with its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldSegment {
    /// Name.
    pub name: String,
    /// Whether it is dynamic (does not appear in accounts).
    pub dynamic: bool,
    /// Values: code, name, active.
    pub values: Vec<(String, String, bool)>,
}

/// An employee, and the supplier record through which expenses are paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldEmployee {
    /// Employee number.
    pub number: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address.
    pub email: String,
    /// Still employed.
    pub active: bool,
    /// Supplier code; `None` = nobody made one.
    pub vendor_code: Option<String>,
    /// Supplier is inactive.
    pub vendor_inactive: bool,
    /// Supplier is on pay hold.
    pub vendor_pay_hold: bool,
    /// E-mail address of the approver.
    pub manager_email: String,
}

/// A supplier.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldVendor {
    /// Code.
    pub code: String,
    /// Name.
    pub name: String,
}

/// A project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldProject {
    /// Code.
    pub code: String,
    /// Description.
    pub description: String,
    /// Open.
    pub active: bool,
}

/// An expense category and the natural account it belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldCategory {
    /// Name.
    pub name: String,
    /// Natural account; `None` = the source has no GL code for it.
    pub gl_code: Option<String>,
    /// Enabled.
    pub enabled: bool,
}

/// An expense report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldReport {
    /// Base-62 id such as `R00bCluvcO4T`.
    pub id: String,
    /// Title.
    pub name: String,
    /// `OPEN`, `SUBMITTED`, `APPROVED`, `REIMBURSED`, `ARCHIVED`.
    pub state: String,
    /// Owner's e-mail address.
    pub employee: String,
    /// Currency.
    pub currency: String,
    /// Submitted.
    pub submitted: Option<NaiveDate>,
    /// Approved.
    pub approved: Option<NaiveDate>,
    /// Reimbursed.
    pub reimbursed: Option<NaiveDate>,
    /// Expenses.
    pub expenses: Vec<WorldExpense>,
    /// Why this report is expected to be held in the standard demo mapping; `None` = it can be booked. One of the
    /// finding codes that the product documents (`category-unmapped`, `account-inactive`, ...). Holds in every mode;
    /// see [`WorldReport::hold`].
    pub expect_hold: Option<String>,
    /// The same for what matters only when the report becomes an AP invoice (`vendor-inactive`, `vendor-pay-hold`,
    /// `owner-unmapped`): as a journal such a report is booked. Never set together with `expect_hold`.
    #[serde(default)]
    pub expect_hold_ap: Option<String>,
}

/// One expense. Amounts are minor units.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorldExpense {
    /// Decimal text of up to 19 digits.
    pub id: String,
    /// Date.
    pub date: NaiveDate,
    /// Merchant.
    pub merchant: String,
    /// Corrected merchant, if any.
    pub modified_merchant: Option<String>,
    /// Category name; empty = uncategorised.
    pub category: String,
    /// First tag level: department code.
    pub department: String,
    /// Second tag level: project code; empty = none.
    pub project: String,
    /// Amount in the expense's own currency.
    pub amount: i64,
    /// The expense's own currency.
    pub currency: String,
    /// Corrected amount in the report's currency, if any.
    pub modified_amount: Option<i64>,
    /// Amount converted to the report's currency, when the expense was spent in another.
    pub converted_amount: Option<i64>,
    /// Tax within, if any.
    pub tax: Option<i64>,
    /// Paid by the employee.
    pub reimbursable: bool,
    /// Billable.
    pub billable: bool,
    /// Comment.
    pub comment: String,
}

impl World {
    /// The employee with that e-mail address.
    pub fn employee(&self, email: &str) -> Option<&WorldEmployee> {
        self.employees.iter().find(|e| e.email == email)
    }

    /// Reports in one of these states, in the world's order.
    pub fn reports_in<'a>(&'a self, states: &'a [&str]) -> impl Iterator<Item = &'a WorldReport> {
        self.reports.iter().filter(|r| states.contains(&r.state.as_str()))
    }

    /// What has to be booked and what has to be held, as sums of effective amounts per currency, for reports in these
    /// states: `(booked, held)`. `ap` = AP invoices instead of journals.
    pub fn expected_totals(
        &self,
        states: &[&str],
        ap: bool,
    ) -> (BTreeMap<String, i64>, BTreeMap<String, i64>) {
        let (mut booked, mut held) = (BTreeMap::new(), BTreeMap::new());
        for report in self.reports.iter().filter(|r| states.contains(&r.state.as_str())) {
            let sums = if report.hold(ap).is_some() { &mut held } else { &mut booked };
            *sums.entry(report.currency.clone()).or_insert(0) += report.total();
        }
        (booked, held)
    }
}

impl WorldReport {
    /// Sum of the effective amounts, in minor units of the report's currency.
    pub fn total(&self) -> i64 {
        self.expenses.iter().map(WorldExpense::effective_amount).sum()
    }

    /// Why this report has to be held; `ap` = as an AP invoice instead of a journal.
    pub fn hold(&self, ap: bool) -> Option<&str> {
        match (&self.expect_hold, &self.expect_hold_ap) {
            (Some(code), _) => Some(code),
            (None, Some(code)) if ap => Some(code),
            (None, _) => None,
        }
    }
}

impl WorldExpense {
    /// What counts in the report's currency: the converted amount, else the corrected one, else the original.
    pub fn effective_amount(&self) -> i64 {
        self.converted_amount.or(self.modified_amount).unwrap_or(self.amount)
    }
}
