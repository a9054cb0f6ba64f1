//! The data model that templates see: reports, their expenses, and the vendor's habits about empty values.

use super::account::{Account, Category, Report, Tag};
use super::knobs::ExpensifyKnobs;
use crate::freemarker::{Hash, Sequence, Value};
use crate::world::{WorldEmployee, WorldExpense};
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

/// Currencies without decimals.
const WITHOUT_DECIMALS: &[&str] = &["CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"];

/// The account seen from a template.
pub(super) struct View<'a> {
    account: &'a Account,
    knobs: &'a ExpensifyKnobs,
    categories: Vec<HashMap<&'a str, &'a Category>>,
    people: HashMap<&'a str, &'a WorldEmployee>,
}

impl<'a> View<'a> {
    pub(super) fn new(account: &'a Account, knobs: &'a ExpensifyKnobs) -> Rc<Self> {
        let by_name = |categories: &'a [Category]| categories.iter().map(|c| (c.name.as_str(), c)).collect();
        Rc::new(Self {
            account,
            knobs,
            categories: account.policies.iter().map(|p| by_name(&p.categories)).collect(),
            people: account.people.iter().map(|p| (p.email.as_str(), p)).collect(),
        })
    }

    fn text(&self, text: &'a str) -> Value<'a> {
        Value::Text(entities(text, self.knobs.escape_entities))
    }

    fn cents(&self, amount: i64, currency: &str) -> Value<'a> {
        let scale =
            if self.knobs.two_decimals_always && WITHOUT_DECIMALS.contains(&currency) { 100 } else { 1 };
        Value::integer(amount.saturating_mul(scale))
    }

    fn optional_cents(&self, amount: Option<i64>, currency: &str) -> Value<'a> {
        amount.map_or_else(|| Value::text(""), |amount| self.cents(amount, currency))
    }
}

/// Entities as the vendor escapes them.
pub(super) fn entities(text: &str, escape: bool) -> Cow<'_, str> {
    if !escape || !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Cow::Owned(escaped.replace('"', "&quot;").replace('\'', "&apos;"))
}

/// A colon separates levels, so one inside a name is escaped.
pub(super) fn tag_name(name: &str) -> String {
    name.replace(':', "\\:")
}

/// Top-level variables.
pub(super) struct Top<'a> {
    pub(super) view: Rc<View<'a>>,
    pub(super) reports: Rc<Vec<usize>>,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) add_header: bool,
}

impl<'a> Hash<'a> for Top<'a> {
    fn get(&self, key: &str) -> Option<Value<'a>> {
        match key {
            "reports" => Some(Value::Sequence(Rc::new(Reports {
                view: Rc::clone(&self.view),
                reports: Rc::clone(&self.reports),
                from: self.from,
                count: self.to - self.from,
            }))),
            "addHeader" => Some(Value::Bool(self.add_header)),
            _ => None,
        }
    }
}

struct Reports<'a> {
    view: Rc<View<'a>>,
    reports: Rc<Vec<usize>>,
    from: usize,
    count: usize,
}

impl<'a> Sequence<'a> for Reports<'a> {
    fn len(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> Option<Value<'a>> {
        let position = *self.reports.get(self.from + index).filter(|_| index < self.count)?;
        let report = self.view.account.reports.get(position)?;
        Some(Value::Hash(Rc::new(ReportModel { view: Rc::clone(&self.view), report })))
    }
}

struct ReportModel<'a> {
    view: Rc<View<'a>>,
    report: &'a Report,
}

impl<'a> Hash<'a> for ReportModel<'a> {
    fn get(&self, key: &str) -> Option<Value<'a>> {
        let (view, data) = (&self.view, &self.report.data);
        let policy = self.view.account.policies.get(self.report.policy)?;
        let owner = view.people.get(data.employee.as_str());
        let day = |date: Option<chrono::NaiveDate>, time: &str| {
            Value::text(date.map_or_else(String::new, |d| format!("{d} {time}")))
        };
        Some(match key {
            "reportID" => Value::text(data.id.as_str()),
            "reportName" => view.text(&data.name),
            "status" => Value::text(status(&data.state)),
            "state" => Value::text(data.state.as_str()),
            "created" => day(Some(self.report.created), "08:00:00"),
            "submitted" => day(data.submitted, "09:00:00"),
            "approved" => day(data.approved, "10:00:00"),
            "reimbursed" => day(data.reimbursed, "11:00:00"),
            "total" => view.cents(total(self.report, view.knobs), &data.currency),
            "currency" => Value::text(data.currency.as_str()),
            "accountEmail" => view.text(&data.employee),
            "managerEmail" => view.text(owner.map_or("", |o| o.manager_email.as_str())),
            "submitterUserID" => view.text(owner.map_or("", |o| o.number.as_str())),
            "policyID" => Value::text(policy.id.as_str()),
            "policyName" => view.text(&policy.name),
            "isACHReimbursed" => Value::Bool(false),
            "accountID" | "managerUserID" | "managerPayrollID" | "submitterPayrollID" | "entryID" => {
                Value::text("")
            }
            "approvers" | "actionList" => Value::list(Vec::new()),
            "customField" => Value::hash([("title", view.text(&data.name))]),
            "submitter" => self.person(data.employee.as_str()),
            "manager" => self.person(owner.map_or("", |o| o.manager_email.as_str())),
            "transactionList" => {
                Value::Sequence(Rc::new(Expenses { view: Rc::clone(view), report: self.report }))
            }
            _ => return None,
        })
    }
}

impl<'a> ReportModel<'a> {
    fn person(&self, email: &str) -> Value<'a> {
        let person = self.view.people.get(email);
        let (first, last) = person.map_or(("", ""), |p| (p.first_name.as_str(), p.last_name.as_str()));
        Value::hash([
            ("firstName", self.view.text(first)),
            ("lastName", self.view.text(last)),
            ("fullName", Value::text(format!("{first} {last}"))),
        ])
    }
}

fn status(state: &str) -> &'static str {
    match state {
        "OPEN" => "Open",
        "SUBMITTED" => "Processing",
        "APPROVED" => "Approved",
        "REIMBURSED" => "Reimbursed",
        _ => "Archived",
    }
}

/// The report's total as the vendor shows it, in minor units.
pub(super) fn total(report: &Report, knobs: &ExpensifyKnobs) -> i64 {
    let counted = |e: &&WorldExpense| e.reimbursable || !knobs.total_reimbursable_only;
    report.data.expenses.iter().filter(counted).map(WorldExpense::effective_amount).sum()
}

struct Expenses<'a> {
    view: Rc<View<'a>>,
    report: &'a Report,
}

impl<'a> Sequence<'a> for Expenses<'a> {
    fn len(&self) -> usize {
        self.report.data.expenses.len()
    }

    fn get(&self, index: usize) -> Option<Value<'a>> {
        let expense = self.report.data.expenses.get(index)?;
        Some(Value::Hash(Rc::new(ExpenseModel { view: Rc::clone(&self.view), report: self.report, expense })))
    }
}

struct ExpenseModel<'a> {
    view: Rc<View<'a>>,
    report: &'a Report,
    expense: &'a WorldExpense,
}

impl<'a> Hash<'a> for ExpenseModel<'a> {
    fn get(&self, key: &str) -> Option<Value<'a>> {
        let (view, expense) = (&self.view, self.expense);
        let report_currency = self.report.data.currency.as_str();
        Some(match key {
            "transactionID" => Value::text(expense.id.as_str()),
            "reportID" => Value::text(self.report.data.id.as_str()),
            "type" => Value::text("expense"),
            "amount" => view.cents(expense.amount, &expense.currency),
            "modifiedAmount" => view.optional_cents(expense.modified_amount, report_currency),
            "convertedAmount" => view.optional_cents(expense.converted_amount, report_currency),
            "currency" => Value::text(expense.currency.as_str()),
            "created" | "inserted" => Value::text(expense.date.to_string()),
            "merchant" => view.text(&expense.merchant),
            "modifiedMerchant" => view.text(expense.modified_merchant.as_deref().unwrap_or("")),
            "category" if expense.category.is_empty() => Value::text("Uncategorized"),
            "category" => view.text(&expense.category),
            "categoryGlCode" => view.text(self.category().map_or("", |c| c.gl_code.as_str())),
            "categoryPayrollCode" => view.text(self.category().map_or("", |c| c.payroll_code.as_str())),
            "tag" | "tagGlCode" | "ntag1" | "ntag1GlCode" | "ntag2" | "ntag2GlCode" => self.tags(key),
            "comment" => view.text(&expense.comment),
            "reimbursable" => Value::Bool(expense.reimbursable),
            "billable" => Value::Bool(expense.billable),
            "hasTax" => Value::Bool(expense.tax.is_some()),
            "taxAmount" => view.optional_cents(expense.tax, report_currency),
            "taxName" | "taxRateName" => Value::text(if expense.tax.is_some() { "VAT" } else { "" }),
            "bank" => Value::text(if expense.reimbursable { "" } else { "First Card Bank" }),
            "cardNumber" => Value::text(if expense.reimbursable { "" } else { "XXXXXXXXXXXX1234" }),
            "receiptObject" => Value::hash([("url", Value::text(self.receipt_url()))]),
            "mcc" => Value::integer(0),
            "attendees" => Value::list(Vec::new()),
            "isDistance" | "unverified" | "modified" => Value::Bool(false),
            "modifiedCreated"
            | "currencyConversionRate"
            | "modifiedTaxAmount"
            | "taxRate"
            | "taxCode"
            | "cardID"
            | "cardName"
            | "modifiedMCC"
            | "externalID"
            | "details"
            | "transactionHash"
            | "receiptID"
            | "receiptFilename" => Value::text(""),
            _ => return None,
        })
    }
}

impl<'a> ExpenseModel<'a> {
    fn category(&self) -> Option<&'a Category> {
        self.view.categories.get(self.report.policy)?.get(self.expense.category.as_str()).copied()
    }

    fn receipt_url(&self) -> String {
        format!("https://receipts.example.test/{}.jpg", self.expense.id)
    }

    /// Names with escaped colons, codes as they are. A tag that the policy does not know any more has no code.
    fn tags(&self, key: &str) -> Value<'a> {
        let (first, second) =
            (self.tag(0, self.expense.department.as_str()), self.tag(1, self.expense.project.as_str()));
        let both = |a: &str, b: &str| {
            if b.is_empty() { a.to_owned() } else { format!("{a}:{b}") }
        };
        let text = match key {
            "ntag1" => tag_name(first.0),
            "ntag1GlCode" => first.1.to_owned(),
            "ntag2" => tag_name(second.0),
            "ntag2GlCode" => second.1.to_owned(),
            "tag" => both(&tag_name(first.0), &tag_name(second.0)),
            _ => both(first.1, second.1),
        };
        Value::text(entities(&text, self.view.knobs.escape_entities).into_owned())
    }

    fn tag(&self, level: usize, code: &'a str) -> (&'a str, &'a str) {
        let levels = self.view.account.policies.get(self.report.policy).map(|p| &p.tag_levels);
        let tags: &[Tag] = levels.and_then(|l| l.get(level)).map_or(&[], |(_, tags)| tags);
        match tags.iter().find(|t| t.gl_code == code && !code.is_empty()) {
            Some(tag) => (&tag.name, &tag.gl_code),
            None => (code, ""),
        }
    }
}
