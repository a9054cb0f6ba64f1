//! One tenant: its reference data, made from the world, and its documents.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta, Utc};

use super::contract::{self, Entity};
use super::json::{Json, Row, row};
use super::knobs::AcumaticaKnobs;
use super::literal::{period_code, stored};
use super::record::{Record, Set};
use crate::world::{ACCRUED_EXPENSES, DEFAULT_COST_CENTRE, DEFAULT_DEPARTMENT, World};

/// Between the segments of a subaccount.
pub(super) const SEPARATOR: &str = "-";
/// Payment terms that every vendor has.
pub(super) const TERMS: &str = "30D";
/// The project that stands for none.
pub(super) const NON_PROJECT: &str = "X";
/// The task that a line of a project gets when it names none.
pub(super) const DEFAULT_TASK: &str = "GENERAL";
/// A task that is completed.
pub(super) const DONE_TASK: &str = "DESIGN";
/// The ledger that is posted to.
pub(super) const LEDGER: &str = "ACTUAL";
/// Class of vendors that are employees.
const EMPLOYEES: &str = "EMPLOYEE";

/// The subaccount of a line that names none.
pub(super) fn default_subaccount() -> String {
    [DEFAULT_DEPARTMENT, DEFAULT_COST_CENTRE].join(SEPARATOR)
}

/// A tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) currency: String,
    sets: BTreeMap<&'static str, Set>,
    pub(super) last_bill: u64,
    pub(super) last_batch: u64,
}

/// A financial period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period<'a> {
    pub(super) status: &'a str,
    pub(super) closed_in_ap: bool,
}

impl Tenant {
    pub(super) fn from_world(
        name: &str,
        world: &World,
        knobs: &AcumaticaKnobs,
        new_id: &mut dyn FnMut() -> (String, i64),
    ) -> Self {
        let sets = contract::all().iter().map(|entity| (entity.name, Set::new(entity))).collect();
        let mut tenant = Self {
            name: name.to_owned(),
            currency: world.currency.clone(),
            sets,
            last_bill: 100,
            last_batch: 400,
        };
        let born = (world.today - Months::new(1)).and_time(chrono::NaiveTime::MIN).and_utc();
        let mut maker = Maker { tenant: &mut tenant, world, knobs, new_id, at: born };
        maker.vendors();
        maker.accounts();
        maker.people();
        maker.projects();
        maker.company();
        maker.periods();
        tenant
    }

    pub(super) fn set(&self, entity: &str) -> Option<&Set> {
        self.sets.get(entity)
    }

    pub(super) fn set_mut(&mut self, entity: &str) -> Option<&mut Set> {
        self.sets.get_mut(entity)
    }

    pub(super) fn named(&self, entity: &str, key: &str) -> Option<&Record> {
        self.set(entity)?.named(key)
    }

    pub(super) fn task(&self, project: &str, task: &str) -> Option<&Record> {
        let set = self.set("ProjectTask")?;
        set.by_keys([project, task]).and_then(|at| set.get(at))
    }

    /// The period that is called `MMyyyy`.
    pub(super) fn period(&self, code: &str) -> Option<Period<'_>> {
        let code = period_code(code)?;
        let year = self.named("FinancialPeriod", &code[2..])?;
        let found = year.lines().iter().find(|line| line.text("FinancialPeriodID") == code)?;
        Some(Period { status: found.text("Status"), closed_in_ap: found.flag("ClosedInAP") })
    }

    /// A new record with its system fields.
    pub(super) fn put(&mut self, entity: &'static Entity, record: Record) {
        if let Some(set) = self.set_mut(entity.name) {
            set.push(record);
        }
    }
}

struct Maker<'a> {
    tenant: &'a mut Tenant,
    world: &'a World,
    knobs: &'a AcumaticaKnobs,
    new_id: &'a mut dyn FnMut() -> (String, i64),
    at: DateTime<Utc>,
}

impl Maker<'_> {
    fn record(&mut self, fields: Row) -> Record {
        let (id, revision) = (self.new_id)();
        let mut record = Record { id, revision, ..Record::default() };
        record.fields = fields.into_iter().filter(|(_, value)| *value != Json::Str(String::new())).collect();
        record
    }

    fn put(&mut self, name: &str, mut record: Record) {
        let Some(entity) = contract::entity(name) else { return };
        self.at += TimeDelta::seconds(1);
        for field in ["CreatedDateTime", "LastModifiedDateTime"] {
            if let Some((field, _)) = entity.shape.field(field) {
                record.set(field, stored(self.at));
            }
        }
        self.tenant.put(entity, record);
    }

    fn vendors(&mut self) {
        for vendor in &self.world.vendors {
            self.vendor(&vendor.code, &vendor.name, "", "SUPPLIER", "Active");
        }
        for employee in &self.world.employees {
            let Some(code) = &employee.vendor_code else { continue };
            let name = format!("{} {}", employee.first_name, employee.last_name);
            let status = match (employee.vendor_inactive, employee.vendor_pay_hold) {
                (true, _) => "Inactive",
                (false, true) => "Hold Payments",
                (false, false) => "Active",
            };
            self.vendor(code, &name, &employee.email, EMPLOYEES, status);
        }
    }

    fn vendor(&mut self, code: &str, name: &str, email: &str, class: &str, status: &str) {
        let mut vendor = self.record(row([
            ("VendorID", code.into()),
            ("VendorName", name.into()),
            ("LegalName", name.into()),
            ("VendorClass", class.into()),
            ("Status", status.into()),
            ("Terms", TERMS.into()),
            ("CurrencyID", self.world.currency.as_str().into()),
            ("EnableCurrencyOverride", true.into()),
            ("PaymentMethod", "CHECK".into()),
            ("APAccount", "2000".into()),
            ("APSubaccount", default_subaccount().into()),
            ("F1099Vendor", false.into()),
            ("LocationName", "Primary Location".into()),
        ]));
        let mut contact = self.record(row([
            ("CompanyName", name.into()),
            ("DisplayName", name.into()),
            ("Email", email.into()),
            ("Active", true.into()),
        ]));
        let address = self.record(row([("Country", "US".into())]));
        contact.linked.insert("Address", address);
        vendor.linked.insert("MainContact", contact);
        self.put("Vendor", vendor);
    }

    /// The natural accounts are the accounts; the other segments, joined, are the subaccounts.
    fn accounts(&mut self) {
        let mut seen = BTreeSet::new();
        for (index, account) in self.world.accounts.iter().enumerate() {
            let Some(natural) = account.segments.first() else { continue };
            if !seen.insert(natural.clone()) {
                continue;
            }
            let same = self.world.accounts.iter().filter(|other| other.segments.first() == Some(natural));
            let active = same.clone().any(|other| other.active);
            let named = self.world.segments.first().into_iter().flat_map(|segment| &segment.values);
            let name = named.filter(|(code, ..)| code == natural).map(|(_, name, _)| name.as_str()).next();
            let kind = match natural.as_bytes().first() {
                Some(b'1') => "Asset",
                Some(b'2' | b'3') => "Liability",
                Some(b'4') => "Income",
                _ => "Expense",
            };
            let record = self.record(row([
                ("AccountCD", natural.as_str().into()),
                ("AccountID", i64::try_from(index + 1_000).unwrap_or_default().into()),
                ("Description", name.unwrap_or(account.description.as_str()).into()),
                ("Type", kind.into()),
                ("Active", active.into()),
                ("CashAccount", (natural == "1100").into()),
                ("PostOption", "Summary".into()),
                ("UseDefaultSubaccount", false.into()),
            ]));
            self.put("Account", record);
        }
        self.subaccounts();
    }

    fn subaccounts(&mut self) {
        let mut codes: Vec<(Vec<&str>, Vec<&str>, bool)> = vec![(Vec::new(), Vec::new(), true)];
        for segment in self.world.segments.iter().skip(1).filter(|segment| !segment.dynamic) {
            codes = codes
                .iter()
                .flat_map(|(parts, names, active)| {
                    segment.values.iter().map(move |(code, name, value_active)| {
                        let (mut parts, mut names) = (parts.clone(), names.clone());
                        parts.push(code);
                        names.push(name);
                        (parts, names, *active && *value_active)
                    })
                })
                .collect();
        }
        for (index, (parts, names, active)) in codes.into_iter().enumerate() {
            let record = self.record(row([
                ("SubaccountCD", parts.join(SEPARATOR).into()),
                ("SubaccountID", i64::try_from(index + 500).unwrap_or_default().into()),
                ("Description", names.join(", ").into()),
                ("Active", active.into()),
                ("Secured", false.into()),
            ]));
            self.put("Subaccount", record);
        }
    }

    fn people(&mut self) {
        for person in &self.world.employees {
            let manager = self.world.employee(&person.manager_email).map_or("", |manager| &manager.number);
            let name = format!("{} {}", person.first_name, person.last_name);
            let mut employee = self.record(row([
                ("EmployeeID", person.number.as_str().into()),
                ("EmployeeName", name.as_str().into()),
                ("Status", if person.active { "Active" } else { "Inactive" }.into()),
            ]));
            let contact = self.record(row([
                ("FirstName", person.first_name.as_str().into()),
                ("LastName", person.last_name.as_str().into()),
                ("DisplayName", name.into()),
                ("Email", person.email.as_str().into()),
                ("Active", person.active.into()),
            ]));
            let settings = self.record(row([
                ("BranchID", self.branch().into()),
                ("CurrencyID", self.world.currency.as_str().into()),
                ("DepartmentID", DEFAULT_DEPARTMENT.into()),
                ("EmployeeClass", EMPLOYEES.into()),
                ("ReportsTo", manager.into()),
            ]));
            let money = self.record(row([
                ("APAccount", ACCRUED_EXPENSES.into()),
                ("APSubaccount", default_subaccount().into()),
                ("ExpenseAccount", "6990".into()),
                ("ExpenseSubaccount", default_subaccount().into()),
                ("Terms", TERMS.into()),
                ("PaymentMethod", "CHECK".into()),
            ]));
            employee.linked.insert("ContactInfo", contact);
            employee.linked.insert("EmployeeSettings", settings);
            employee.linked.insert("FinancialSettings", money);
            self.put("Employee", employee);
        }
    }

    fn branch(&self) -> String {
        self.knobs.branches.first().cloned().unwrap_or_default()
    }

    fn projects(&mut self) {
        let none = self.record(row([
            ("ProjectID", NON_PROJECT.into()),
            ("Description", "Non-Project Code.".into()),
            ("Status", "Active".into()),
            ("Hold", false.into()),
        ]));
        self.put("Project", none);
        for project in &self.world.projects {
            let status = if project.active { "Active" } else { "Completed" };
            let record = self.record(row([
                ("ProjectID", project.code.as_str().into()),
                ("Description", project.description.as_str().into()),
                ("Status", status.into()),
                ("Hold", false.into()),
            ]));
            self.put("Project", record);
            for (task, default, status) in [(DEFAULT_TASK, true, "Active"), (DONE_TASK, false, "Completed")] {
                let record = self.record(row([
                    ("ProjectID", project.code.as_str().into()),
                    ("ProjectTaskID", task.into()),
                    ("Description", format!("{} {}", project.code, task.to_lowercase()).into()),
                    ("Default", default.into()),
                    ("Status", status.into()),
                ]));
                self.put("ProjectTask", record);
            }
        }
        for (code, description) in [("0000", "Unassigned"), ("0100", "Labour"), ("0200", "Material")] {
            let record = self.record(row([("CostCodeID", code.into()), ("Description", description.into())]));
            self.put("CostCode", record);
        }
    }

    /// Ledgers, and the branches: there is no entity of their own for them.
    fn company(&mut self) {
        let branches = self.knobs.branches.clone();
        let company = self.tenant.name.clone();
        for (ledger, kind) in [(LEDGER, "Actual"), ("BUDGET", "Budget")] {
            let mut record = self.record(row([
                ("LedgerID", ledger.into()),
                ("Description", format!("{kind} ledger").into()),
                ("Type", kind.into()),
                ("Currency", self.world.currency.as_str().into()),
                ("ConsolidationSource", false.into()),
            ]));
            let rows = branches.iter().map(|branch| {
                self.record(row([
                    ("BranchID", branch.as_str().into()),
                    ("BranchName", format!("Branch {branch}").into()),
                    ("CompanyName", company.as_str().into()),
                    ("Active", true.into()),
                ]))
            });
            let rows = rows.collect();
            record.details.insert("Branches", rows);
            self.put("Ledger", record);
        }
        let rows = branches.iter().map(|branch| {
            self.record(row([
                ("BranchID", branch.as_str().into()),
                ("BranchName", format!("Branch {branch}").into()),
                ("BranchStatus", true.into()),
                ("BaseCurrencyID", self.world.currency.as_str().into()),
                ("CompanyID", company.as_str().into()),
                ("CompanyName", company.as_str().into()),
                ("CompanyStatus", true.into()),
                ("CompanyType", "With Branches Requiring Balancing".into()),
            ]))
        });
        let rows = rows.collect();
        let mut structure = self.record(Row::new());
        structure.details.insert("Results", rows);
        self.put("CompaniesStructure", structure);
    }

    /// Months of three years; those before the one two months earlier are closed.
    fn periods(&mut self) {
        let today = self.world.today;
        let month_of = |day: NaiveDate| day.with_day(1).unwrap_or(day);
        let first_open = month_of(today - Months::new(2));
        for year in today.year() - 1..=today.year() + 1 {
            let Some(start) = NaiveDate::from_ymd_opt(year, 1, 1) else { continue };
            let rows: Vec<Record> = (0..12u32)
                .map(|month| {
                    let first = start + Months::new(month);
                    let next = first + Months::new(1);
                    let closed = first < first_open;
                    self.record(row([
                        ("FinancialPeriodID", first.format("%m%Y").to_string().into()),
                        ("PeriodNbr", first.format("%m").to_string().into()),
                        ("Description", first.format("%B").to_string().into()),
                        ("StartDate", first.to_string().into()),
                        ("EndDate", next.to_string().into()),
                        ("LengthInDays", (next - first).num_days().into()),
                        ("Status", if closed { "Closed" } else { "Open" }.into()),
                        ("ClosedInAP", closed.into()),
                        ("ClosedInAR", closed.into()),
                        ("AdjustmentPeriod", false.into()),
                    ]))
                })
                .collect();
            for name in ["FinancialPeriod", "CompanyFinancialPeriod"] {
                let mut record = self.record(row([
                    ("FinancialYear", year.to_string().into()),
                    ("StartDate", start.to_string().into()),
                    ("NbrOfPeriods", 12.into()),
                    ("UserDefinedPeriods", false.into()),
                ]));
                if name == "CompanyFinancialPeriod" {
                    record.set("Company", self.tenant.name.clone());
                }
                record.details.insert("Details", rows.clone());
                self.put(name, record);
            }
        }
    }
}
