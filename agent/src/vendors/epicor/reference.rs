//! Reads what documents are validated against: chart of accounts, segments, vendors, employees, projects, periods.
//! These tables bear no date of change, only a row version (`SysRevID`) that grows with every write; [`Mirror`] uses
//! it, and compares in full where an instance does not filter by it. Deletions never show in a delta.

use super::calls::{Query, literal};
use super::client::Client;
use super::outcome::Kind;
use super::settings::PeriodSource;
use super::wire::{Row, date, flag, int, text};
use crate::vendors::employees::add_employee;
use spend::Timestamp;
use spend::ids::{CompanyId, GlAccount, ProjectCode, VendorCode};
use spend::money::Currency;
use spend::posting::{Failure, FailureClass};
use spend::reference::{
    Account, Effective, Employee, Period, Project, ReferenceData, Segment, SegmentValue, Vendor,
};
use std::collections::BTreeMap;

const ACCOUNTS: Query = Query {
    operation: "epicor.reference.accounts",
    service: "Erp.BO.GLAccountSvc",
    set: "GLAccounts",
    named: None,
    select: &["COACode", "GLAccount1", "AccountDesc", "Active", "EffFrom", "EffTo"],
    filter: String::new(),
    order: "COACode,GLAccount1",
};
const SEGMENTS: Query = Query {
    operation: "epicor.reference.segments",
    service: "Erp.BO.COASegmentSearchSvc",
    set: "COASegmentSearches",
    named: None,
    select: &["COACode", "SegmentNbr", "SegmentName", "Dynamic"],
    filter: String::new(),
    order: "COACode,SegmentNbr",
};
const VALUES: Query = Query {
    operation: "epicor.reference.segment-values",
    service: "Erp.BO.COASegValuesSvc",
    set: "COASegValues",
    named: None,
    select: &[
        "COACode",
        "SegmentNbr",
        "SegmentCode",
        "SegmentName",
        "ActiveFlag",
        "EffectiveFrom",
        "EffectiveTo",
    ],
    filter: String::new(),
    order: "COACode,SegmentNbr,SegmentCode",
};
const VENDORS: Query = Query {
    operation: "epicor.reference.vendors",
    service: "Erp.BO.VendorSvc",
    set: "Vendors",
    named: None,
    select: &[
        "VendorNum",
        "VendorID",
        "Name",
        "TermsCode",
        "CurrencyCode",
        "Inactive",
        "PayHold",
        "SysRevID",
    ],
    filter: String::new(),
    order: "VendorNum",
};
const EMPLOYEES: Query = Query {
    operation: "epicor.reference.employees",
    service: "Erp.BO.EmpBasicSvc",
    set: "EmpBasics",
    named: None,
    select: &["EmpID", "Name", "EMailAddress", "EmpStatus", "SupervisorID", "ExpenseVendorNum"],
    filter: String::new(),
    order: "EmpID",
};
const PROJECTS: Query = Query {
    operation: "epicor.reference.projects",
    service: "Erp.BO.ProjectSvc",
    set: "Projects",
    named: None,
    select: &["ProjectID", "Description", "ActiveProject", "StartDate", "EndDate"],
    filter: String::new(),
    order: "ProjectID",
};

/// The reads that `doctor` tries one row of: everything that reference data and postings need.
pub(super) fn probed() -> Vec<Query> {
    let posting = |service, set| Query { operation: "epicor.probe", service, set, ..Query::default() };
    let mut all = vec![ACCOUNTS, SEGMENTS, VALUES, VENDORS, EMPLOYEES, PROJECTS];
    all.push(posting("Erp.BO.APInvGrpSvc", "APInvGrps"));
    all.push(posting("Erp.BO.APInvoiceSvc", "APInvoices"));
    all.push(posting("Erp.BO.GLJrnGrpSvc", "GLJrnGrps"));
    all.push(posting("Erp.BO.GLJournalEntrySvc", "GLJournalEntries"));
    all.push(posting("Erp.BO.GLJrnDtlSvc", "GLJrnDtls"));
    all
}

/// Reads everything for one company.
pub(super) async fn read(
    client: &Client,
    company: &CompanyId,
    as_of: Timestamp,
) -> Result<ReferenceData, Failure> {
    let in_chart = |query: Query| match client.settings.chart.as_str() {
        "" => query,
        chart => Query { filter: format!("COACode eq {}", literal(chart)), ..query },
    };
    let mut accounts = BTreeMap::new();
    client.each_page(company, &in_chart(ACCOUNTS), |rows| accounts.extend(rows.iter().map(account))).await?;
    let mut segments = BTreeMap::new();
    client
        .each_page(company, &in_chart(SEGMENTS), |rows| segments.extend(rows.iter().filter_map(segment)))
        .await?;
    client
        .each_page(company, &in_chart(VALUES), |rows| {
            rows.iter().for_each(|row| add_value(&mut segments, row))
        })
        .await?;
    let mut vendors = BTreeMap::new();
    client.each_page(company, &VENDORS, |rows| vendors.extend(rows.iter().filter_map(vendor))).await?;
    let codes: BTreeMap<i64, VendorCode> =
        vendors.iter().map(|(code, v): (&VendorCode, &Vendor)| (v.number, code.clone())).collect();
    let mut employees = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    client
        .each_page(company, &EMPLOYEES, |rows| {
            rows.iter().for_each(|row| {
                addresses.insert(text(row, "EmpID"), address(row));
                add_employee(&mut employees, address(row), employee(row, &codes));
            });
        })
        .await?;
    name_managers(&mut employees, &addresses);
    let mut projects = BTreeMap::new();
    client.each_page(company, &PROJECTS, |rows| projects.extend(rows.iter().map(project))).await?;
    let periods = periods(client, company).await?;
    Ok(ReferenceData {
        as_of,
        company: company.clone(),
        accounts,
        segments,
        vendors,
        employees,
        projects,
        dimensions: BTreeMap::new(),
        periods,
    })
}

fn account(row: &Row) -> (GlAccount, Account) {
    let account = Account {
        description: text(row, "AccountDesc"),
        active: flag(row, "Active"),
        effective: Effective { from: date(row, "EffFrom"), to: date(row, "EffTo") },
    };
    (GlAccount::new(text(row, "GLAccount1")), account)
}

fn segment_number(row: &Row) -> Option<u8> {
    int(row, "SegmentNbr").and_then(|number| u8::try_from(number).ok())
}

fn segment(row: &Row) -> Option<(u8, Segment)> {
    let segment =
        Segment { name: text(row, "SegmentName"), dynamic: flag(row, "Dynamic"), values: BTreeMap::new() };
    Some((segment_number(row)?, segment))
}

fn add_value(segments: &mut BTreeMap<u8, Segment>, row: &Row) {
    let Some(number) = segment_number(row) else { return };
    let value = SegmentValue {
        name: text(row, "SegmentName"),
        active: flag(row, "ActiveFlag"),
        effective: Effective { from: date(row, "EffectiveFrom"), to: date(row, "EffectiveTo") },
    };
    segments.entry(number).or_default().values.insert(text(row, "SegmentCode"), value);
}

fn vendor(row: &Row) -> Option<(VendorCode, Vendor)> {
    let filled = |column: &str| Some(text(row, column)).filter(|text| !text.is_empty());
    let vendor = Vendor {
        number: int(row, "VendorNum")?,
        name: text(row, "Name"),
        inactive: flag(row, "Inactive"),
        pay_hold: flag(row, "PayHold"),
        currency: filled("CurrencyCode").and_then(|code| Currency::new(&code).ok()),
        terms: filled("TermsCode"),
    };
    Some((VendorCode::new(filled("VendorID")?), vendor))
}

fn employee(row: &Row, vendors: &BTreeMap<i64, VendorCode>) -> Employee {
    Employee {
        number: text(row, "EmpID"),
        name: text(row, "Name"),
        active: text(row, "EmpStatus").eq_ignore_ascii_case("A"),
        expense_vendor: int(row, "ExpenseVendorNum").and_then(|number| vendors.get(&number).cloned()),
        manager: Some(text(row, "SupervisorID")),
    }
}

fn address(row: &Row) -> String {
    text(row, "EMailAddress").trim().to_lowercase()
}

/// Supervisors are named by employee number; approvers are known by their address.
fn name_managers(employees: &mut BTreeMap<String, Employee>, addresses: &BTreeMap<String, String>) {
    for employee in employees.values_mut() {
        let number = employee.manager.take().unwrap_or_default();
        employee.manager = addresses.get(&number).filter(|address| !address.is_empty()).cloned();
    }
}

fn project(row: &Row) -> (ProjectCode, Project) {
    let project = Project {
        description: text(row, "Description"),
        active: flag(row, "ActiveProject"),
        effective: Effective { from: date(row, "StartDate"), to: date(row, "EndDate") },
    };
    (ProjectCode::new(text(row, "ProjectID")), project)
}

/// The fiscal periods; `None` where this instance or this user may not read them.
pub(super) async fn periods(client: &Client, company: &CompanyId) -> Result<Option<Vec<Period>>, Failure> {
    let source = &client.settings.periods;
    if source.service.is_empty() {
        return Ok(None);
    }
    let query = Query {
        operation: "epicor.reference.periods",
        named: Some((source.service.clone(), source.set.clone())),
        order: "FiscalYear,FiscalPeriod",
        ..Query::default()
    };
    match client.all_rows(company, &query).await {
        Ok(rows) => {
            let mut periods: Vec<Period> = rows.iter().filter_map(|row| period(row, source)).collect();
            periods.sort_by_key(|period| (period.start, period.number));
            Ok(Some(periods).filter(|periods| !periods.is_empty()))
        }
        Err(refusal) => match refusal.kind {
            Kind::Forbidden | Kind::NotOffered | Kind::RecordMissing | Kind::BadQuery | Kind::Business => {
                Ok(None)
            }
            Kind::Duplicate | Kind::Stale | Kind::NotSaved | Kind::Unauthorised | Kind::Other => {
                Err(refusal.failure)
            }
        },
    }
}

fn period(row: &Row, source: &PeriodSource) -> Option<Period> {
    Some(Period {
        year: i32::try_from(int(row, "FiscalYear")?).ok()?,
        number: u32::try_from(int(row, "FiscalPeriod")?).ok()?,
        start: date(row, "StartDate")?,
        end: date(row, "EndDate")?,
        closed: source.closed_columns.iter().any(|column| flag(row, column)),
    })
}

/// Rows of one entity set by key, with the newest row version seen.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    rows: BTreeMap<String, (i64, String)>,
    mark: i64,
    filters: Option<bool>,
}

/// What changed since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that are new or have another row version.
    pub changed: Vec<String>,
    /// Keys that are gone; found by a full compare only.
    pub gone: Vec<String>,
}

impl Mirror {
    /// The filter of the next delta, with a margin below the mark, because a transaction that commits late surfaces
    /// with a lower version than one already seen; `None` = read in full (nothing known yet, or the instance does
    /// not filter by version).
    pub fn delta_filter(&self, margin: i64) -> Option<String> {
        let usable = self.filters != Some(false) && self.mark > 0;
        usable.then(|| format!("SysRevID gt {}", self.mark.saturating_sub(margin).max(0)))
    }

    /// Remembers that the instance refused the filter.
    pub fn cannot_filter(&mut self) {
        self.filters = Some(false);
    }

    /// Takes rows (key, row version, content) of a delta: what is not among them stays.
    pub fn take_delta(&mut self, rows: impl IntoIterator<Item = (String, i64, String)>) -> Changes {
        let mut changes = Changes::default();
        for (key, version, content) in rows {
            self.mark = self.mark.max(version);
            let seen = (version, content);
            if self.rows.get(&key) != Some(&seen) {
                changes.changed.push(key.clone());
                self.rows.insert(key, seen);
            }
        }
        changes
    }

    /// Takes all rows: what is not among them is gone.
    pub fn take_all(&mut self, rows: impl IntoIterator<Item = (String, i64, String)>) -> Changes {
        let before = std::mem::take(&mut self.rows);
        let mut changes = Changes::default();
        for (key, version, content) in rows {
            self.mark = self.mark.max(version);
            let seen = (version, content);
            if before.get(&key) != Some(&seen) {
                changes.changed.push(key.clone());
            }
            self.rows.insert(key, seen);
        }
        changes.gone = before.into_keys().filter(|key| !self.rows.contains_key(key)).collect();
        changes
    }
}

/// What changed among the vendors since the mirror was last brought up to date.
pub(super) async fn vendor_changes(
    client: &Client,
    company: &CompanyId,
    mirror: &mut Mirror,
    margin: i64,
) -> Result<Changes, Failure> {
    if let Some(filter) = mirror.delta_filter(margin) {
        let query = Query { filter, ..VENDORS };
        match client.all_rows(company, &query).await {
            Ok(rows) => return Ok(mirror.take_delta(rows.iter().map(versioned))),
            Err(refusal) if matches!(refusal.failure.class, FailureClass::Rejected { .. }) => {
                mirror.cannot_filter()
            }
            Err(refusal) => return Err(refusal.failure),
        }
    }
    let rows = client.all_rows(company, &VENDORS).await?;
    Ok(mirror.take_all(rows.iter().map(versioned)))
}

fn versioned(row: &Row) -> (String, i64, String) {
    let content = serde_json::to_string(row).unwrap_or_default();
    (
        text(row, "VendorNum"),
        int(row, "SysRevID").unwrap_or_default(),
        blake3::hash(content.as_bytes()).to_hex().to_string(),
    )
}
