//! What the ERP knows: the reference data a document is validated against. It is a snapshot; `as_of` says of when.
//! Maps are ordered because their order can reach a hash, a file or a screen.

use crate::ids::{CompanyId, GlAccount, ProjectCode, VendorCode};
use crate::money::Currency;
use crate::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// From and to date of validity, both inclusive; `None` = open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// First valid day.
    pub from: Option<Date>,
    /// Last valid day.
    pub to: Option<Date>,
}

impl Effective {
    /// Whether `date` lies within.
    pub fn covers(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }
}

/// One account of the chart of accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Description as finance sees it.
    pub description: String,
    /// Whether it may be posted to.
    pub active: bool,
    /// When it may be posted to.
    pub effective: Effective,
}

/// One value of a segment (a natural account, a department, a cost centre).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentValue {
    /// Name as finance sees it.
    pub name: String,
    /// Whether it may be used.
    pub active: bool,
    /// When it may be used.
    pub effective: Effective,
}

/// One segment of the account structure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Name, e.g. `Department`.
    pub name: String,
    /// A dynamic segment need not appear in the chart's accounts; its values are checked on their own.
    pub dynamic: bool,
    /// Its values by code.
    pub values: BTreeMap<String, SegmentValue>,
}

/// A vendor (supplier).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vendor {
    /// The ERP's internal number.
    pub number: i64,
    /// Name.
    pub name: String,
    /// May not be used any more.
    pub inactive: bool,
    /// Payments are stopped; invoices are refused by the ERP or by policy.
    pub pay_hold: bool,
    /// Its currency, when fixed.
    pub currency: Option<Currency>,
    /// Payment terms code, mandatory on an AP invoice.
    pub terms: Option<String>,
}

/// An employee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Employee {
    /// Employee number.
    pub number: String,
    /// Name.
    pub name: String,
    /// Still employed.
    pub active: bool,
    /// The vendor through which this employee's expenses are paid.
    pub expense_vendor: Option<VendorCode>,
    /// E-mail address of the person who approves for this employee, where the ERP knows one.
    #[serde(default)]
    pub manager: Option<String>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Description.
    pub description: String,
    /// Open for postings.
    pub active: bool,
    /// First and last day.
    pub effective: Effective,
}

/// A fiscal period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Fiscal year.
    pub year: i32,
    /// Number within the year.
    pub number: u32,
    /// First day.
    pub start: Date,
    /// Last day.
    pub end: Date,
    /// No posting any more.
    pub closed: bool,
}

/// All of it, for one company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceData {
    /// When it was read.
    pub as_of: Timestamp,
    /// Which company it describes.
    pub company: CompanyId,
    /// Accounts by their segments joined with `|`.
    pub accounts: BTreeMap<GlAccount, Account>,
    /// Segments by number, 1 = natural account.
    pub segments: BTreeMap<u8, Segment>,
    /// Vendors by code.
    pub vendors: BTreeMap<VendorCode, Vendor>,
    /// Employees by lower-case e-mail address.
    pub employees: BTreeMap<String, Employee>,
    /// Projects by code.
    pub projects: BTreeMap<ProjectCode, Project>,
    /// Values of dimensions beside the account, by the dimension's name and the value's code. A value that exists
    /// within one project only is listed as `<project>|<value>`; a project with such values needs one of them, unless
    /// `<project>|` is listed too: then the ERP itself has a default. A dimension that is not listed is not checked:
    /// then the ERP is the judge.
    #[serde(default)]
    pub dimensions: BTreeMap<String, BTreeMap<String, SegmentValue>>,
    /// Fiscal periods; `None` when the ERP does not let us read them (then the ERP is the judge).
    pub periods: Option<Vec<Period>>,
}
