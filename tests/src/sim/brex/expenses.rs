//! Expenses: the same spend as the accounting records, in minor units, without an account unless a custom field is asked
//! for. A split expense shows its parent and its parts.

use super::BrexSim;
use super::books::{Line, Record, Status};
use super::fields::optional;
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::wire;
use crate::server::Request;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Most expenses in one page, since February 2026.
const MOST: usize = 100;

/// An expense: a record's own, or a part of it.
#[derive(Clone, Copy)]
struct Expense<'b> {
    record: &'b Record,
    id: &'b str,
    /// The line that a part stands for.
    part: Option<&'b Line>,
}

impl<'b> Expense<'b> {
    fn lines(&self) -> Vec<&'b Line> {
        match self.part {
            Some(line) => vec![line],
            None => self.record.lines.iter().filter(|line| line.spend).collect(),
        }
    }

    fn parent(&self) -> Option<&'b str> {
        self.part.and(self.record.source_id.as_deref())
    }

    fn kind(&self) -> &'static str {
        match self.record.source_type {
            "BILL" => "BILLPAY",
            "REIMBURSEMENT" => "REIMBURSEMENT",
            _ => "CARD",
        }
    }

    fn status(&self) -> &'static str {
        match self.record.status {
            _ if self.part.is_none() && !self.record.parts.is_empty() => "SPLIT",
            Status::Prepare => "DRAFT",
            Status::Review => "SUBMITTED",
            Status::Ready => "APPROVED",
            Status::Exported => "SETTLED",
        }
    }

    fn payment_status(&self) -> &'static str {
        match self.record.kind.as_str() {
            "CARD_EXPENSE_REFUND" => "REFUNDED",
            "CARD_EXPENSE_REPAYMENT" => "CREDITED",
            _ => "CLEARED",
        }
    }
}

impl BrexSim {
    fn expenses(&self) -> Vec<Expense<'_>> {
        let mut all = Vec::new();
        for record in self.books.records.iter().filter(|record| !record.echo) {
            let Some(id) = record.source_id.as_deref() else { continue };
            all.push(Expense { record, id, part: None });
            let lines = record.lines.iter().filter(|line| line.spend);
            all.extend(record.parts.iter().zip(lines).map(|(id, line)| Expense {
                record,
                id,
                part: Some(line),
            }));
        }
        all
    }

    pub(super) fn list_expenses(&self, query: &Query, request: &Request, token: &str) -> Outcome<Value> {
        let (from, to) = (query.moment("updated_at_start")?, query.moment("updated_at_end")?);
        let (bought_from, bought_to) =
            (query.moment("purchased_at_start")?, query.moment("purchased_at_end")?);
        let own = self.only_own(token);
        let cards_only = request.path.trim_end_matches('/').ends_with("/card");
        let wanted = |expense: &Expense<'_>| {
            let record = expense.record;
            query.allows("expense_type[]", Some(expense.kind()))
                && query.allows("status[]", Some(expense.status()))
                && query.allows("payment_status[]", Some(expense.payment_status()))
                && query.allows("user_id[]", record.user.as_deref())
                && query.allows("parent_expense_id[]", expense.parent())
                && query.allows("spending_entity_id[]", Some(&self.books.entity_id))
                && query.allows("budget_id[]", None)
                && (!cards_only || expense.kind() == "CARD")
                && own.as_ref().is_none_or(|own| record.user.as_ref() == Some(own))
                && from.is_none_or(|bound| record.updated >= bound)
                && to.is_none_or(|bound| record.updated <= bound)
                && bought_from.is_none_or(|bound| record.purchased >= bound)
                && bought_to.is_none_or(|bound| record.purchased <= bound)
        };
        let mut found: Vec<Expense<'_>> = self.expenses().into_iter().filter(wanted).collect();
        found.sort_by(|a, b| (a.record.updated, a.id).cmp(&(b.record.updated, b.id)));
        let page = self.page(query, MOST, &found, |expense| self.expense_body(expense, query, request))?;
        Ok(self.page_body(page))
    }

    pub(super) fn one_expense(&self, id: &str, query: &Query, request: &Request) -> Outcome<Value> {
        let expense = self.expenses().into_iter().find(|expense| expense.id == id).ok_or_else(no_expense)?;
        Ok(self.expense_body(&expense, query, request))
    }

    /// Only the memo can be changed.
    pub(super) fn update_expense(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Outcome<Value> {
        let memo = optional(body, "memo")?;
        if memo.as_ref().is_some_and(|text| !text.is_ascii()) {
            return Err(Refusal::bad("memo is invalid"));
        }
        let record = self.books.records.iter_mut().find(|record| record.source_id.as_deref() == Some(id));
        let record = record.ok_or_else(no_expense)?;
        record.memo = memo;
        record.touch(now);
        Ok(json!({"id": id, "memo": record.memo, "updated_at": wire::seconds(record.updated)}))
    }

    fn expense_body(&self, expense: &Expense<'_>, query: &Query, request: &Request) -> Value {
        let (record, lines) = (expense.record, expense.lines());
        let sign = if record.is_inflow() { -1 } else { 1 };
        let billed = sign * lines.iter().map(|line| line.amount).sum::<i64>();
        let original = sign * lines.iter().map(|line| line.original).sum::<i64>();
        let billing = wire::minor(billed, &record.currency);
        let user = record.user.as_deref().and_then(|id| self.books.user(id));
        let mut body = json!({
            "id": expense.id,
            "memo": record.memo,
            "expense_type": expense.kind(),
            "status": expense.status(),
            "payment_status": expense.payment_status(),
            "category": record.merchant.as_ref().map(|(_, merchant)| merchant.category.clone()),
            "merchant_id": record.merchant.as_ref().map(|(id, _)| id),
            "user_id": record.user,
            "department_id": user.and_then(|user| user.department.clone()),
            "location_id": user.and_then(|user| user.location.clone()),
            "parent_expense_id": expense.parent(),
            "original_amount": wire::minor(original, &record.original_currency),
            "billing_amount": billing,
            "purchased_amount": wire::minor(original, &record.original_currency),
            "budget_amount": null,
            "usd_equivalent_amount": if record.currency == "USD" { billing.clone() } else { Value::Null },
            "purchased_at": wire::seconds(record.purchased),
            "payment_posted_at": wire::seconds(record.posted),
            "submitted_at": null,
            "approved_at": (record.status >= Status::Ready).then(|| wire::seconds(record.updated)),
            // Nothing of this interface sets it; an export elsewhere does.
            "exported_at": record.exported.map(wire::seconds),
            "updated_at": wire::millis(record.updated),
            "spending_entity_id": self.books.entity_id,
            "billing_entity_id": self.books.entity_id,
            "integration_spending_entity_id": null,
            "integration_billing_entity_id": null,
            "review": null,
            "repayment": null,
            "trip_id": null,
            "dashboard_url": format!("https://dashboard.example.test/expenses/{}", expense.id),
            "receipts": record.receipts.iter().map(|id| json!({"id": id})).collect::<Vec<_>>(),
        });
        self.expand(&mut body, expense, query, request);
        body
    }

    fn expand(&self, body: &mut Value, expense: &Expense<'_>, query: &Query, request: &Request) {
        let record = expense.record;
        let user = record.user.as_deref().and_then(|id| self.books.user(id));
        let label = |list: &[super::books::Label], id: Option<&String>| {
            let found = id.and_then(|id| list.iter().find(|label| label.id == *id));
            found.map(|label| json!({"id": label.id, "name": label.name}))
        };
        for word in query.all("expand[]") {
            match word {
                "merchant" => {
                    body["merchant"] = record.merchant.as_ref().map_or(Value::Null, |(_, merchant)| {
                        json!({"raw_descriptor": merchant.name, "mcc": merchant.mcc, "country": "USA"})
                    });
                }
                "user" => {
                    body["user"] = user.map_or(Value::Null, |user| {
                        json!({"id": user.id, "first_name": user.data.first_name, "last_name": user.data.last_name})
                    });
                }
                "department" => {
                    let found =
                        label(&self.books.departments, user.and_then(|user| user.department.as_ref()));
                    body["department"] = found.unwrap_or_default();
                }
                "location" => {
                    let found = label(&self.books.locations, user.and_then(|user| user.location.as_ref()));
                    body["location"] = found.unwrap_or_default();
                }
                "payment" => {
                    body["payment"] = json!({
                        "paymentInstrument": {"id": self.books.card_id, "paymentInstrumentType": "CARD"},
                        "statusReason": null});
                }
                "receipts.download_uris" => body["receipts"] = self.receipts(record, request),
                "budget" => body["budget"] = Value::Null,
                _ => {}
            }
        }
        if query.one("load_custom_fields") == Some("true") {
            body["custom_fields"] = self.custom_fields(expense);
        }
    }

    fn custom_fields(&self, expense: &Expense<'_>) -> Value {
        let mut fields = Vec::new();
        let Some(line) = expense.lines().into_iter().next().filter(|_| expense.status() != "SPLIT") else {
            return json!(fields);
        };
        for (field, value) in &line.values {
            let known = self.books.fields.iter().find(|known| known.id == *field);
            let label = known.and_then(|known| known.values.iter().find(|known| known.id == *value));
            let label = label.map(|label| label.value.clone());
            fields.push(json!({"key": field, "value": {
                "value_type": "SINGLE_VALUE", "data_type": "OPTION_STRING",
                "value": {"option_id": value, "option_label": label},
                "data": {"option_id": value, "option_label": label}}}));
        }
        json!(fields)
    }

    /// An ordinary user sees what is theirs.
    pub(super) fn only_own(&self, token: &str) -> Option<String> {
        let ordinary = self.role_of(token) == "EMPLOYEE";
        ordinary.then(|| self.books.users.first().map(|user| user.id.clone()).unwrap_or_default())
    }
}

fn no_expense() -> Refusal {
    Refusal::not_found("Expense not found", Some("EXPENSE_NOT_FOUND"))
}
