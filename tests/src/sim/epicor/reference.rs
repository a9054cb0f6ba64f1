//! Reference data of one company, made from the world: suppliers, accounts, segments, people, projects, terms, books
//! and periods.

use std::collections::BTreeMap;

use chrono::{Datelike as _, Months, NaiveDate};

use super::amount::Amount;
use super::json::{Json, Row, flag_of, int_of, put, row, text_of};
use super::refusal::{Outcome, Refusal};
use crate::world::World;

pub(super) const COA: &str = "MAIN";
pub(super) const BOOK: &str = "MAIN";
pub(super) const CALENDAR: &str = "MAIN";
pub(super) const TERMS: &str = "N30";

/// Rows by entity set, in the order of their making.
#[derive(Debug, Default)]
pub(super) struct Reference {
    pub(super) sets: BTreeMap<&'static str, Vec<Row>>,
    vendor_by_code: BTreeMap<String, usize>,
    vendor_by_number: BTreeMap<i64, usize>,
    accounts: BTreeMap<String, usize>,
    /// Accounts that GL controls supply, by supplier code.
    pub(super) default_accounts: BTreeMap<String, String>,
}

/// A fiscal period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) year: i64,
    pub(super) number: i64,
    closed: bool,
}

impl Reference {
    /// `index` is the company's place in the world: supplier numbers differ between companies.
    pub(super) fn from_world(world: &World, index: usize) -> Self {
        let mut reference = Self::default();
        reference.add_vendors(world, i64::try_from(index).unwrap_or_default() * 10_000 + 100);
        reference.add_people(world);
        reference.add_accounts(world);
        reference.add_projects(world);
        reference.add_periods(world.today);
        reference.add_small_sets(world);
        reference.reindex();
        reference
    }

    pub(super) fn reindex(&mut self) {
        let rows = |set: &str| self.sets.get(set).map(Vec::as_slice).unwrap_or_default().iter().enumerate();
        let code = |row: &Row, name: &str| text_of(row, name).to_owned();
        let by_code = rows("Vendors").map(|(at, row)| (code(row, "VendorID"), at)).collect();
        let by_number = rows("Vendors").map(|(at, row)| (int_of(row, "VendorNum"), at)).collect();
        let accounts = rows("GLAccounts").map(|(at, row)| (code(row, "GLAccount1"), at)).collect();
        (self.vendor_by_code, self.vendor_by_number, self.accounts) = (by_code, by_number, accounts);
    }

    pub(super) fn vendor(&self, code: &str) -> Option<&Row> {
        self.sets.get("Vendors")?.get(*self.vendor_by_code.get(code)?)
    }

    pub(super) fn vendor_by_number(&self, number: i64) -> Option<&Row> {
        self.sets.get("Vendors")?.get(*self.vendor_by_number.get(&number)?)
    }

    pub(super) fn account_exists(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    /// A supplier that may be invoiced.
    pub(super) fn usable_vendor<'a>(&self, row: Option<&'a Row>) -> Outcome<&'a Row> {
        let refuse = |message: String| Err(Refusal::business("APInvHed", "VendorNumVendorID", message));
        let Some(row) = row else { return refuse("Supplier ID is not valid.".to_owned()) };
        let code = text_of(row, "VendorID");
        if flag_of(row, "Inactive") {
            return refuse(format!("Supplier {code} is inactive."));
        }
        if flag_of(row, "PayHold") {
            return refuse(format!("Supplier {code} is on payment hold."));
        }
        Ok(row)
    }

    /// An account that may be booked to on a date.
    pub(super) fn check_account(&self, account: &str, on: NaiveDate, table: &'static str) -> Outcome<()> {
        let refuse = |message: &str| Err(Refusal::business(table, "GLAccount", message));
        let row = self.accounts.get(account).and_then(|at| self.sets.get("GLAccounts")?.get(*at));
        let Some(row) = row else { return refuse("GL Account is not valid.") };
        if !flag_of(row, "Active") {
            return refuse("GL Account is inactive.");
        }
        let day = day_text(on);
        let from = text_of(row, "EffFrom");
        let to = text_of(row, "EffTo");
        if (!from.is_empty() && day.as_str() < from) || (!to.is_empty() && day.as_str() > to) {
            return refuse("GL Account is not effective on the date of the transaction.");
        }
        Ok(())
    }

    pub(super) fn period(&self, on: NaiveDate) -> Option<Period> {
        let day = day_text(on);
        let row = self.sets.get("FiscalPers")?.iter().find(|row| {
            text_of(row, "StartDate") <= day.as_str() && day.as_str() <= text_of(row, "EndDate")
        })?;
        Some(Period {
            year: int_of(row, "FiscalYear"),
            number: int_of(row, "FiscalPeriod"),
            closed: flag_of(row, "ClosedPeriod"),
        })
    }

    pub(super) fn open_period(
        &self,
        on: NaiveDate,
        table: &'static str,
        field: &'static str,
    ) -> Outcome<Period> {
        match self.period(on) {
            None => {
                Err(Refusal::business(table, field, format!("No fiscal period exists for the date {on}.")))
            }
            Some(period) if period.closed => Err(Refusal::business(
                table,
                field,
                format!("Fiscal period {}-{} is closed for the date {on}.", period.year, period.number),
            )),
            Some(period) => Ok(period),
        }
    }

    fn add_vendors(&mut self, world: &World, first: i64) {
        let employees = world.employees.iter().filter_map(|person| {
            let name = format!("{} {}", person.first_name, person.last_name);
            let code = person.vendor_code.clone()?;
            Some((code, name, person.email.clone(), person.vendor_inactive, person.vendor_pay_hold))
        });
        let suppliers = world
            .vendors
            .iter()
            .map(|vendor| (vendor.code.clone(), vendor.name.clone(), String::new(), false, false));
        let rows =
            employees.chain(suppliers).zip(first..).map(|((code, name, email, inactive, hold), number)| {
                row([
                    ("VendorNum", number.into()),
                    ("VendorID", code.into()),
                    ("LegalName", name.clone().into()),
                    ("Name", name.into()),
                    ("EMailAddress", email.into()),
                    ("TermsCode", TERMS.into()),
                    ("CurrencyCode", world.currency.clone().into()),
                    ("Inactive", inactive.into()),
                    ("PayHold", hold.into()),
                    ("Approved", true.into()),
                ])
            });
        self.sets.insert("Vendors", rows.collect());
        self.sets.insert("VendCnts", Vec::new());
        self.reindex();
    }

    fn add_people(&mut self, world: &World) {
        let number_of: BTreeMap<&str, &str> =
            world.employees.iter().map(|person| (person.email.as_str(), person.number.as_str())).collect();
        let departments = department_codes(world);
        let mut employees = Vec::new();
        let mut contacts = Vec::new();
        for (index, person) in (0_usize..).zip(&world.employees) {
            let contact = i64::try_from(index).unwrap_or_default() + 1;
            let vendor = person.vendor_code.as_deref().and_then(|code| self.vendor(code));
            let name = format!("{} {}", person.first_name, person.last_name);
            let mut contact_row = row([
                ("PerConID", contact.into()),
                ("Name", name.clone().into()),
                ("FirstName", person.first_name.clone().into()),
                ("LastName", person.last_name.clone().into()),
                ("EMailAddress", person.email.clone().into()),
            ]);
            let mut employee = contact_row.clone();
            employee.remove("PerConID");
            put(&mut employee, "EmpID", person.number.clone());
            put(&mut employee, "EmpStatus", if person.active { "A" } else { "T" });
            put(&mut employee, "PerConID", contact);
            put(&mut employee, "ExpenseVendorNum", vendor.map_or(0, |vendor| int_of(vendor, "VendorNum")));
            put(&mut employee, "ExpenseEntryAllowed", person.active);
            put(&mut employee, "SupervisorID", *number_of.get(person.manager_email.as_str()).unwrap_or(&""));
            if let Some((code, _)) = departments.get(index % departments.len().max(1)) {
                put(&mut employee, "JCDept", code.as_str());
            }
            put(&mut contact_row, "Name", name);
            employees.push(employee);
            contacts.push(contact_row);
        }
        self.sets.insert("EmpBasics", employees);
        self.sets.insert("PerCons", contacts);
    }

    fn add_accounts(&mut self, world: &World) {
        const SEGMENT_COLUMNS: [&str; 6] =
            ["SegValue1", "SegValue2", "SegValue3", "SegValue4", "SegValue5", "SegValue6"];
        let accounts = world.accounts.iter().map(|account| {
            let mut line = row([
                ("COACode", COA.into()),
                ("GLAccount1", account.segments.join("|").into()),
                ("AccountDesc", account.description.clone().into()),
                ("GLAcctDispGLAcctDisp", account.segments.join("-").into()),
                ("Active", account.active.into()),
            ]);
            for (column, value) in SEGMENT_COLUMNS.iter().zip(&account.segments) {
                put(&mut line, column, value.as_str());
            }
            line
        });
        self.sets.insert("GLAccounts", accounts.collect());
        let mut segments = Vec::new();
        let mut values = Vec::new();
        for (number, segment) in (1_i64..).zip(&world.segments) {
            let length = segment.values.iter().map(|(code, _, _)| code.len()).max().unwrap_or(4);
            segments.push(row([
                ("COACode", COA.into()),
                ("SegmentNbr", number.into()),
                ("SegmentName", segment.name.as_str().into()),
                ("MinLength", 1.into()),
                ("MaxLength", i64::try_from(length).unwrap_or_default().into()),
                ("Dynamic", segment.dynamic.into()),
                ("DisplayOrder", number.into()),
            ]));
            values.extend(segment.values.iter().map(|(code, name, active)| {
                row([
                    ("COACode", COA.into()),
                    ("SegmentNbr", number.into()),
                    ("SegmentCode", code.as_str().into()),
                    ("SegmentName", name.as_str().into()),
                    ("SegmentDesc", name.as_str().into()),
                    ("ActiveFlag", (*active).into()),
                    ("NormalBalance", if number == 1 { "D" } else { "" }.into()),
                ])
            }));
        }
        self.sets.insert("COASegmentSearches", segments);
        self.sets.insert("COASegValues", values);
    }

    fn add_projects(&mut self, world: &World) {
        let rows = world.projects.iter().map(|project| {
            row([
                ("ProjectID", project.code.as_str().into()),
                ("Description", project.description.as_str().into()),
                ("ActiveProject", project.active.into()),
                ("Plant", "MfgSys".into()),
            ])
        });
        self.sets.insert("Projects", rows.collect());
    }

    /// Four calendar years of months; all before the one two months earlier are closed.
    fn add_periods(&mut self, today: NaiveDate) {
        let this_month = today.with_day(1).unwrap_or(today);
        let open_from = this_month.checked_sub_months(Months::new(2)).unwrap_or(this_month);
        let mut rows = Vec::new();
        for year in today.year() - 2..=today.year() + 1 {
            for month in 1..=12 {
                let Some(start) = NaiveDate::from_ymd_opt(year, month, 1) else { continue };
                let end = start
                    .checked_add_months(Months::new(1))
                    .and_then(|next| next.pred_opt())
                    .unwrap_or(start);
                rows.push(row([
                    ("FiscalCalendarID", CALENDAR.into()),
                    ("FiscalYear", i64::from(year).into()),
                    ("FiscalPeriod", i64::from(month).into()),
                    ("StartDate", day_text(start).into()),
                    ("EndDate", day_text(end).into()),
                    ("ClosedPeriod", (start < open_from).into()),
                ]));
            }
        }
        self.sets.insert("FiscalPers", rows);
    }

    fn add_small_sets(&mut self, world: &World) {
        let departments = department_codes(world);
        let departments = departments.iter().map(|(code, name)| {
            row([("JCDept1", code.as_str().into()), ("Description", name.as_str().into())])
        });
        self.sets.insert("JCDepts", departments.collect());
        let terms = [("N30", "Net 30", 30_i64), ("N14", "Net 14", 14), ("DUE", "Due on receipt", 0)];
        let terms = terms.into_iter().map(|(code, name, days)| {
            row([("TermsCode", code.into()), ("Description", name.into()), ("NumberOfDays", days.into())])
        });
        self.sets.insert("PurTerms", terms.collect());
        let book = row([
            ("BookID", BOOK.into()),
            ("Description", "Main book".into()),
            ("COACode", COA.into()),
            ("CurrencyCode", world.currency.as_str().into()),
            ("FiscalCalendarID", CALENDAR.into()),
            ("MainBook", true.into()),
        ]);
        self.sets.insert("GLBooks", vec![book]);
        self.add_orders(world);
    }

    fn add_orders(&mut self, world: &World) {
        let vendors = self.sets.get("Vendors").map(Vec::as_slice).unwrap_or_default();
        let mut orders = Vec::new();
        let mut lines = Vec::new();
        for (number, vendor) in (4001_i64..).zip(vendors.iter().rev().take(5)) {
            let day = day_text(world.today);
            let total = Amount::parse("1250.00").unwrap_or_default();
            orders.push(row([
                ("PONum", number.into()),
                ("VendorNum", int_of(vendor, "VendorNum").into()),
                ("OrderDate", day.as_str().into()),
                ("OpenOrder", true.into()),
                ("ApprovalStatus", "A".into()),
                ("CurrencyCode", world.currency.as_str().into()),
                ("TermsCode", TERMS.into()),
                ("DocTotalOrder", total.into()),
                ("ChangeDate", day.as_str().into()),
            ]));
            lines.push(row([
                ("PONUM", number.into()),
                ("POLine", 1.into()),
                ("OpenLine", true.into()),
                ("PartNum", "SERVICE".into()),
                ("LineDesc", "Service".into()),
                ("OrderQty", Amount::ONE.into()),
                ("DocUnitCost", total.into()),
                ("DocExtCost", total.into()),
                ("ChangeDate", day.into()),
            ]));
        }
        self.sets.insert("POes", orders);
        self.sets.insert("PODetails", lines);
    }
}

fn department_codes(world: &World) -> Vec<(String, String)> {
    let segment = world.segments.get(1);
    segment
        .map(|segment| segment.values.iter().map(|(code, name, _)| (code.clone(), name.clone())).collect())
        .unwrap_or_default()
}

/// A date as rows carry it.
pub(super) fn day_text(day: NaiveDate) -> String {
    day.format("%Y-%m-%dT00:00:00").to_string()
}

/// The calendar day of a date member.
pub(super) fn day_of(row: &Row, name: &str) -> Option<NaiveDate> {
    day_in(row.get(name)?)
}

/// The calendar day in a date value.
pub(super) fn day_in(value: &Json) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(value.as_str()?.get(..10)?, "%Y-%m-%d").ok()
}
