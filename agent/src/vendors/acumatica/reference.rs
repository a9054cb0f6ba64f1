//! Reads what documents are validated against: accounts, subaccounts, vendors, employees, projects with their tasks, cost
//! codes, branches, financial periods. Any account goes with any subaccount, so the chart holds natural accounts and a
//! subaccount is checked by its own values; what the site forbids beside that it says itself.

use super::calls::Query;
use super::client::Client;
use super::convert::segments;
use super::outcome::{Kind, Refusal};
use super::settings::{Settings, StatusWords};
use super::wire::{Members, Record, Row};
use crate::vendors::employees::add_employee;
use chrono::Datelike as _;
use spend::Timestamp;
use spend::ids::{CompanyId, GlAccount, ProjectCode, VendorCode};
use spend::money::Currency;
use spend::posting::Failure;
use spend::reference::{
    Account, Effective, Employee, Period, Project, ReferenceData, Segment, SegmentValue, Vendor,
};
use std::collections::BTreeMap;

pub(super) const ACCOUNTS: Query = Query {
    operation: "acumatica.reference.accounts",
    entity: "Account",
    select: &["AccountCD", "Description", "Type", "Active", "LastModifiedDateTime"],
    needed: &["AccountCD", "Active"],
    expand: &[],
    filter: String::new(),
    dropped: Vec::new(),
};
pub(super) const SUBACCOUNTS: Query = Query {
    operation: "acumatica.reference.subaccounts",
    entity: "Subaccount",
    select: &["SubaccountCD", "Description", "Active"],
    needed: &["SubaccountCD", "Active"],
    expand: &[],
    filter: String::new(),
    dropped: Vec::new(),
};
pub(super) const VENDORS: Query = Query {
    operation: "acumatica.reference.vendors",
    entity: "Vendor",
    select: &[
        "VendorID",
        "VendorName",
        "Status",
        "Terms",
        "CurrencyID",
        "EnableCurrencyOverride",
        "MainContact/Email",
        "LastModifiedDateTime",
    ],
    needed: &["VendorID"],
    expand: &["MainContact"],
    filter: String::new(),
    dropped: Vec::new(),
};
pub(super) const EMPLOYEES: Query = Query {
    operation: "acumatica.reference.employees",
    entity: "Employee",
    select: &[],
    needed: &[],
    expand: &["ContactInfo", "EmployeeSettings", "FinancialSettings"],
    filter: String::new(),
    dropped: Vec::new(),
};
pub(super) const PROJECTS: Query = Query {
    operation: "acumatica.reference.projects",
    entity: "Project",
    select: &["ProjectID", "Description", "Status", "LastModifiedDateTime"],
    needed: &["ProjectID"],
    expand: &[],
    filter: String::new(),
    dropped: Vec::new(),
};
const TASKS: Query = Query {
    operation: "acumatica.reference.project-tasks",
    entity: "ProjectTask",
    select: &["ProjectID", "ProjectTaskID", "Description", "Status", "Default"],
    needed: &["ProjectID", "ProjectTaskID"],
    expand: &[],
    filter: String::new(),
    dropped: Vec::new(),
};
const COST_CODES: Query = Query {
    operation: "acumatica.reference.cost-codes",
    entity: "CostCode",
    select: &["CostCodeID", "Description"],
    needed: &["CostCodeID"],
    expand: &[],
    filter: String::new(),
    dropped: Vec::new(),
};
const LEDGERS: Query = Query {
    operation: "acumatica.reference.ledgers",
    entity: "Ledger",
    select: &[],
    needed: &[],
    expand: &["Branches"],
    filter: String::new(),
    dropped: Vec::new(),
};
const PERIODS: Query = Query {
    operation: "acumatica.reference.periods",
    entity: "FinancialPeriod",
    select: &[],
    needed: &[],
    expand: &["Details"],
    filter: String::new(),
    dropped: Vec::new(),
};

/// The reads that `doctor` tries one row of, each with whether postings cannot do without it.
pub(super) fn probed() -> Vec<(Query, bool)> {
    let posting = |entity| Query { operation: "acumatica.probe", entity, ..Query::default() };
    vec![
        (ACCOUNTS, true),
        // Off where the site has no subaccounts.
        (SUBACCOUNTS, false),
        (VENDORS, true),
        (EMPLOYEES, true),
        (posting("Bill"), true),
        (posting("JournalTransaction"), true),
        (PROJECTS, false),
        (TASKS, false),
        (COST_CODES, false),
        (LEDGERS, false),
    ]
}

/// Reads everything for one company.
pub(super) async fn read(
    client: &Client,
    company: &CompanyId,
    as_of: Timestamp,
) -> Result<ReferenceData, Failure> {
    let settings = &client.settings;
    let natural = client.list(&ACCOUNTS).await?;
    let subaccounts = optional(client, &SUBACCOUNTS).await?.unwrap_or_default();
    let (mut vendors, mut by_email) = (BTreeMap::new(), BTreeMap::new());
    for record in linked(client, &VENDORS).await? {
        if let Some((code, vendor)) = vendor(&record, settings) {
            add_email(&mut by_email, &record, &code);
            vendors.insert(code, vendor);
        }
    }
    let (mut employees, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for record in linked(client, &EMPLOYEES).await? {
        addresses.insert(record.text("EmployeeID"), address(&record));
        if settings.employees_are_vendors
            && let Some((code, vendor)) = employee_as_vendor(&record, settings)
        {
            vendors.entry(code).or_insert(vendor);
        }
        let employee = employee(&record, &vendors, &by_email, settings);
        add_employee(&mut employees, address(&record), employee);
    }
    name_managers(&mut employees, &addresses);
    let projects = optional(client, &PROJECTS).await?.unwrap_or_default();
    let dimensions = dimensions(client).await?;
    let periods = periods(client).await?;
    Ok(ReferenceData {
        as_of,
        company: company.clone(),
        accounts: natural.iter().filter_map(account).collect(),
        segments: account_segments(&natural, &subaccounts, settings),
        vendors,
        employees,
        projects: projects.iter().filter_map(|record| project(record, settings)).collect(),
        dimensions,
        periods,
    })
}

/// A list with linked entities; without them where the site cannot serve them for a whole list.
async fn linked(client: &Client, query: &Query) -> Result<Vec<Record>, Refusal> {
    match client.list(query).await {
        Err(refusal) if refusal.kind.is_of_query() => {
            client.list(&Query { expand: &[], select: &[], needed: &[], ..query.clone() }).await
        }
        records => records,
    }
}

/// A list that a site may not have or not show to this user: the feature is off, the form is not set up.
async fn optional(client: &Client, query: &Query) -> Result<Option<Vec<Record>>, Failure> {
    match linked(client, query).await {
        Ok(records) => Ok(Some(records)),
        Err(refusal) => match refusal.kind {
            Kind::Forbidden
            | Kind::NotOffered
            | Kind::NotSetUp
            | Kind::NotExportable
            | Kind::BadQuery
            | Kind::Missing
            | Kind::Refused => Ok(None),
            Kind::Duplicate | Kind::Stale | Kind::Unauthorised | Kind::Exception | Kind::Other => {
                Err(refusal.failure)
            }
        },
    }
}

fn is_word(words: &[String], text: &str) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn account(record: &Record) -> Option<(GlAccount, Account)> {
    let account = Account {
        description: record.text("Description"),
        active: record.flag("Active").unwrap_or_default(),
        effective: Effective::default(),
    };
    Some((GlAccount::new(record.filled("AccountCD")?), account))
}

/// Segment 1 holds the accounts, the others the parts of subaccounts: a part may be used while any subaccount with it
/// may.
fn account_segments(
    accounts: &[Record],
    subaccounts: &[Record],
    settings: &Settings,
) -> BTreeMap<u8, Segment> {
    let value = |record: &Record| SegmentValue {
        name: record.text("Description"),
        active: record.flag("Active").unwrap_or_default(),
        effective: Effective::default(),
    };
    let natural = accounts.iter().filter_map(|record| Some((record.filled("AccountCD")?, value(record))));
    let mut all = BTreeMap::from([(
        1,
        Segment { name: "Account".to_owned(), dynamic: false, values: natural.collect() },
    )]);
    for (number, name) in (2_u8..).zip(&settings.subaccount_segments) {
        all.insert(number, Segment { name: name.clone(), dynamic: true, values: BTreeMap::new() });
    }
    let several = settings.subaccount_segments.len() > 1;
    for record in subaccounts {
        let (code, whole) = (record.text("SubaccountCD"), value(record));
        for (number, part) in (2_u8..).zip(segments(&code, settings)) {
            let Some(segment) = all.get_mut(&number).filter(|_| !part.is_empty()) else { continue };
            let name = if several { part.to_owned() } else { whole.name.clone() };
            let known = segment.values.entry(part.to_owned()).or_insert(SegmentValue {
                name,
                active: false,
                effective: Effective::default(),
            });
            known.active |= whole.active;
        }
    }
    all
}

fn currency(record: &Record, field: &str) -> Option<Currency> {
    Currency::new(&record.text(field)).ok()
}

fn vendor(record: &Record, settings: &Settings) -> Option<(VendorCode, Vendor)> {
    let status = record.text("Status");
    // A currency binds only where the vendor's documents may not differ from it.
    let fixed = record.flag("EnableCurrencyOverride") == Some(false);
    let vendor = Vendor {
        number: 0,
        name: record.text("VendorName"),
        inactive: is_word(&settings.status_words.vendor_inactive, &status),
        pay_hold: is_word(&settings.status_words.vendor_hold, &status),
        currency: currency(record, "CurrencyID").filter(|_| fixed),
        terms: record.filled("Terms"),
    };
    Some((VendorCode::new(record.filled("VendorID")?), vendor))
}

fn employee_as_vendor(record: &Record, settings: &Settings) -> Option<(VendorCode, Vendor)> {
    let vendor = Vendor {
        number: 0,
        name: record.text("EmployeeName"),
        inactive: !is_word(&settings.status_words.employee_active, &record.text("Status")),
        pay_hold: false,
        currency: None,
        terms: record.linked("FinancialSettings").filled("Terms"),
    };
    Some((VendorCode::new(record.filled("EmployeeID")?), vendor))
}

/// An address that two vendors share leads to none of them.
fn add_email(by_email: &mut BTreeMap<String, Option<VendorCode>>, record: &Record, code: &VendorCode) {
    let email = record.linked("MainContact").text("Email").to_lowercase();
    if !email.is_empty() {
        by_email.entry(email).and_modify(|known| *known = None).or_insert_with(|| Some(code.clone()));
    }
}

fn employee(
    record: &Record,
    vendors: &BTreeMap<VendorCode, Vendor>,
    by_email: &BTreeMap<String, Option<VendorCode>>,
    settings: &Settings,
) -> Employee {
    let email = address(record);
    let number = record.text("EmployeeID");
    let same = VendorCode::new(number.clone());
    let expense_vendor =
        if vendors.contains_key(&same) { Some(same) } else { by_email.get(&email).cloned().flatten() };
    Employee {
        number,
        name: record.text("EmployeeName"),
        active: is_word(&settings.status_words.employee_active, &record.text("Status")),
        expense_vendor,
        manager: Some(record.linked("EmployeeSettings").text("ReportsTo")),
    }
}

fn address(record: &Record) -> String {
    record.linked("ContactInfo").text("Email").trim().to_lowercase()
}

/// `ReportsTo` names an employee; approvers are known by their address.
fn name_managers(employees: &mut BTreeMap<String, Employee>, addresses: &BTreeMap<String, String>) {
    for employee in employees.values_mut() {
        let number = employee.manager.take().unwrap_or_default();
        employee.manager = addresses.get(&number).filter(|address| !address.is_empty()).cloned();
    }
}

fn project(record: &Record, settings: &Settings) -> Option<(ProjectCode, Project)> {
    let project = Project {
        description: record.text("Description"),
        active: is_word(&settings.status_words.project_active, &record.text("Status")),
        effective: Effective::default(),
    };
    Some((ProjectCode::new(record.filled("ProjectID")?), project))
}

/// Project tasks, cost codes and branches, each where the site has them.
async fn dimensions(client: &Client) -> Result<BTreeMap<String, BTreeMap<String, SegmentValue>>, Failure> {
    let words = &client.settings.status_words;
    let mut all = BTreeMap::new();
    if let Some(records) = optional(client, &TASKS).await? {
        all.insert("project-task".to_owned(), tasks(&records, words));
    }
    if let Some(records) = optional(client, &COST_CODES).await? {
        all.insert("cost-code".to_owned(), values(&records, "CostCodeID", "Description", |_| true));
    }
    if let Some(branches) = branches(client).await? {
        all.insert("branch".to_owned(), branches);
    }
    Ok(all)
}

/// The tasks within their projects. A line without one gets the project's default task from the site, which is told by
/// an entry without a task.
fn tasks(records: &[Record], words: &StatusWords) -> BTreeMap<String, SegmentValue> {
    let mut tasks = BTreeMap::new();
    for record in records {
        let (Some(project), Some(task)) = (record.filled("ProjectID"), record.filled("ProjectTaskID")) else {
            continue;
        };
        let value = SegmentValue {
            name: record.text("Description"),
            active: is_word(&words.project_active, &record.text("Status")),
            effective: Effective::default(),
        };
        if value.active && record.flag("Default") == Some(true) {
            tasks.insert(format!("{project}|"), value.clone());
        }
        tasks.insert(format!("{project}|{task}"), value);
    }
    tasks
}

/// The branches, from the ledgers that they keep; `None` where the site does not show them.
pub(super) async fn branches(client: &Client) -> Result<Option<BTreeMap<String, SegmentValue>>, Failure> {
    let Some(ledgers) = optional(client, &LEDGERS).await? else { return Ok(None) };
    let rows: Vec<Row<'_>> =
        ledgers.iter().flat_map(|ledger| ledger.rows("Branches").unwrap_or_default()).collect();
    let active = |row: &Row<'_>| row.flag("Active").unwrap_or(true);
    // Some contracts list ledgers without their branches: then nothing is known of branches.
    Ok(Some(values(&rows, "BranchID", "BranchName", active)).filter(|branches| !branches.is_empty()))
}

fn values<M: Members>(
    records: &[M],
    code: &str,
    name: &str,
    active: impl Fn(&M) -> bool,
) -> BTreeMap<String, SegmentValue> {
    let mut values: BTreeMap<String, SegmentValue> = BTreeMap::new();
    for record in records {
        let Some(code) = record.filled(code) else { continue };
        let known = values.entry(code).or_insert_with(|| SegmentValue {
            name: record.text(name),
            active: false,
            effective: Effective::default(),
        });
        known.active |= active(record);
    }
    values
}

/// The financial periods; `None` where this site or this user may not read them.
pub(super) async fn periods(client: &Client) -> Result<Option<Vec<Period>>, Failure> {
    let Some(years) = optional(client, &PERIODS).await? else { return Ok(None) };
    let mut periods: Vec<Period> = Vec::new();
    for year in &years {
        let rows = year.rows("Details").unwrap_or_default();
        periods.extend(rows.iter().filter_map(|row| period(year, row, &client.settings)));
    }
    periods.sort_by_key(|period| (period.start, period.number));
    // Some sites tell the day after the last one as the end.
    let starts: Vec<_> = periods.iter().skip(1).map(|period| period.start).collect();
    for (period, next) in periods.iter_mut().zip(starts) {
        if period.end == next && period.end > period.start {
            period.end = period.end.pred_opt().unwrap_or(period.end);
        }
    }
    Ok(Some(periods).filter(|periods| !periods.is_empty()))
}

fn period(year: &Record, row: &Row<'_>, settings: &Settings) -> Option<Period> {
    // Adjustment periods have no days of their own.
    if row.flag("AdjustmentPeriod") == Some(true) {
        return None;
    }
    let (start, end) = (row.date("StartDate")?, row.date("EndDate")?);
    let status = row.text("Status");
    let open = status.is_empty() || is_word(&settings.status_words.period_open, &status);
    let flagged = settings.period_closed_flags.iter().any(|flag| row.flag(flag) == Some(true));
    Some(Period {
        year: year.text("FinancialYear").parse().unwrap_or_else(|_| start.year()),
        number: row.text("PeriodNbr").parse().unwrap_or_else(|_| start.month()),
        start,
        end: end.max(start),
        closed: !open || flagged,
    })
}
