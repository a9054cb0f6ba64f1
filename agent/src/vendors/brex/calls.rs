//! One function per call: method, path, query and body. Nothing is sent from here, and no credential is known here.
//!
//! Windows are always bounded: a list of records without a bound looks at a narrow default window and answers nothing
//! (D-obs). Brackets in names are percent-encoded.

use super::idempotency::operation_key;
use crate::vendors::http::Effect;
use reqwest::Method;
use serde_json::{Value, json};
use spend::Date;
use std::collections::BTreeMap;
use url::Url;

/// Expenses take no more per page since February 2026 (D); of records the maximum is not documented.
pub(super) const PAGE: u16 = 100;
/// Fields and their values take up to 1000; vendors and users too.
pub(super) const WIDE_PAGE: u16 = 500;
/// Most ids of one list of records. The vendor takes 500; more than a page would have to be paged.
pub(super) const IDS_PER_CALL: usize = 100;
/// Before there was anything to read.
const BEGINNING: &str = "2017-01-01T00:00:00Z";

/// A call before it is authorised.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Parts of the path, unescaped.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    /// `Idempotency-Key`.
    pub(super) key: Option<String>,
    pub(super) effect: Effect,
}

impl Request {
    fn get(operation: &'static str, path: &[&str]) -> Self {
        Self {
            operation,
            method: Method::GET,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            key: None,
            effect: Effect::Read,
        }
    }

    fn write(operation: &'static str, method: Method, path: &[&str], body: Option<Value>) -> Self {
        Self { method, body, effect: Effect::Write, ..Self::get(operation, path) }
    }

    /// With a key that is the same for the same operation on the same day.
    fn keyed(mut self, day: Date) -> Self {
        let path = self.path.join("/");
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        self.key = Some(operation_key(&[self.method.as_str(), &path, &body], day));
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn with_all<'a>(mut self, name: &'static str, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.query.extend(values.into_iter().map(|value| (name, value.to_owned())));
        self
    }

    /// The same list from a cursor on; every other filter stays (D).
    pub(super) fn at_cursor(&self, cursor: &str) -> Self {
        self.clone().with("cursor", cursor)
    }

    /// The address below the connection's URL.
    pub(super) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.path);
        }
        url.set_query(None);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// The form in which v3 takes moments (D).
fn v3_time(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// The form in which every other API documents moments: UTC, without a zone (D).
fn v1_time(day: Date) -> String {
    format!("{day}T00:00:00.000")
}

/// Which records a list is to hold, by their last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// Changed on or after this day.
    pub(super) from: Date,
    /// Changed before this day; `None` = up to now.
    pub(super) before: Option<Date>,
}

/// Lists accounting records.
pub(super) fn records(review_status: Option<&str>, changed: &Changed, page: u16) -> Request {
    let mut request = Request::get("brex.records", &["v3", "accounting", "records"]);
    if let Some(status) = review_status {
        request = request.with("review_status", status);
    }
    request = request.with("updated_at[gte]", v3_time(changed.from));
    if let Some(before) = changed.before {
        request = request.with("updated_at[lt]", v3_time(before));
    }
    request.with("limit", page.min(PAGE).to_string())
}

/// Lists accounting records by id, at most [`IDS_PER_CALL`].
pub(super) fn records_by_id(ids: &[&str]) -> Request {
    Request::get("brex.records-by-id", &["v3", "accounting", "records"])
        .with_all("ids", ids.iter().copied())
        .with("updated_at[gte]", BEGINNING)
        .with("limit", PAGE.to_string())
}

/// Reads one accounting record.
pub(super) fn record(id: &str) -> Request {
    Request::get("brex.record", &["v3", "accounting", "records", id])
}

/// Says that records were exported, and as what. There is no key: a lost answer is settled by reading the records again.
pub(super) fn report_success(ids: &[&str], references: &BTreeMap<String, String>) -> Request {
    let success = |id: &str| match references.get(id).filter(|reference| !reference.is_empty()) {
        Some(reference) => json!({ "reference_id": reference }),
        None => json!({}),
    };
    let results =
        ids.iter().map(|id| json!({ "accounting_record_id": id, "success": success(id) })).collect();
    report("brex.report-success", results)
}

/// Says that a record could not be exported; it leaves the list of those that are ready.
pub(super) fn report_failure(id: &str, message: &str) -> Request {
    let failure = json!({ "accounting_record_id": id, "failure": { "error_message": message } });
    report("brex.report-failure", vec![failure])
}

fn report(operation: &'static str, results: Vec<Value>) -> Request {
    let path = ["v3", "accounting", "records", "export-results"];
    Request::write(operation, Method::POST, &path, Some(json!({ "results": results })))
}

/// Connects this ERP to the Brex account; the same once more answers what is there.
pub(super) fn create_integration(vendor: &str, account: &str) -> Request {
    let body = json!({ "vendor": vendor, "vendor_account_id": account });
    Request::write("brex.create-integration", Method::POST, &["v3", "accounting", "integration"], Some(body))
}

/// What expenses a list is to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpenseFilter<'a> {
    pub(super) types: &'a [String],
    pub(super) statuses: &'a [String],
    pub(super) payment_statuses: &'a [String],
}

/// Lists expenses.
pub(super) fn expenses(filter: ExpenseFilter<'_>, changed: &Changed, page: u16) -> Request {
    let mut request = Request::get("brex.expenses", &["v1", "expenses"])
        .with_all("expense_type[]", filter.types.iter().map(String::as_str))
        .with_all("status[]", filter.statuses.iter().map(String::as_str))
        .with_all("payment_status[]", filter.payment_statuses.iter().map(String::as_str))
        .with("updated_at_start", v1_time(changed.from));
    if let Some(before) = changed.before {
        request = request.with("updated_at_end", v1_time(before));
    }
    expanded(request).with("limit", page.min(PAGE).to_string())
}

/// Reads one expense.
pub(super) fn expense(id: &str) -> Request {
    expanded(Request::get("brex.expense", &["v1", "expenses", id]))
}

fn expanded(request: Request) -> Request {
    request.with_all("expand[]", ["merchant", "user"]).with("load_custom_fields", "true")
}

/// Lists settled card transactions.
pub(super) fn card_transactions(from: Date, page: u16) -> Request {
    Request::get("brex.card-transactions", &["v2", "transactions", "card", "primary"])
        .with("posted_at_start", v1_time(from))
        .with("expand[]", "expense_id")
        .with("limit", page.min(PAGE).to_string())
}

/// Lists transactions of a cash account.
pub(super) fn cash_transactions(account: &str, from: Date, page: u16) -> Request {
    Request::get("brex.cash-transactions", &["v2", "transactions", "cash", account])
        .with("posted_at_start", v1_time(from))
        .with("limit", page.min(PAGE).to_string())
}

/// Who the credential belongs to; the cheapest call, which also keeps a token alive.
pub(super) fn me() -> Request {
    Request::get("brex.me", &["v2", "users", "me"])
}

/// The company.
pub(super) fn company() -> Request {
    Request::get("brex.company", &["v2", "company"])
}

/// Lists users.
pub(super) fn users() -> Request {
    Request::get("brex.users", &["v2", "users"]).with("limit", WIDE_PAGE.to_string())
}

/// Lists fields.
pub(super) fn fields() -> Request {
    Request::get("brex.fields", &["v1", "fields"]).with("limit", WIDE_PAGE.to_string())
}

/// Makes a field.
pub(super) fn create_field(body: Value, day: Date) -> Request {
    Request::write("brex.create-field", Method::POST, &["v1", "fields"], Some(body)).keyed(day)
}

/// Lists the values of a field, all or those with these remote ids.
pub(super) fn field_values(field: &str, remote_ids: &[&str]) -> Request {
    Request::get("brex.field-values", &["v1", "fields", field, "values"])
        .with_all("remote_id[]", remote_ids.iter().copied())
        .with("limit", WIDE_PAGE.to_string())
}

/// Makes values.
pub(super) fn create_values(field: &str, items: Vec<Value>, day: Date) -> Request {
    let body = json!({ "items": items });
    Request::write("brex.create-values", Method::POST, &["v1", "fields", field, "values"], Some(body))
        .keyed(day)
}

/// Changes values. Without a key, which is optional here (D): the same change once more is harmless, while under a key of
/// the day a change back and forth would be answered with the first answer and not be made.
pub(super) fn update_values(field: &str, items: Vec<Value>) -> Request {
    let body = json!({ "items": items });
    Request::write("brex.update-values", Method::PUT, &["v1", "fields", field, "values"], Some(body))
}

/// Lists vendors.
pub(super) fn vendors() -> Request {
    Request::get("brex.vendors", &["v1", "vendors"]).with("limit", WIDE_PAGE.to_string())
}

/// Makes a vendor. Payment accounts are never sent.
pub(super) fn create_vendor(name: &str, day: Date) -> Request {
    let body = json!({ "company_name": name });
    Request::write("brex.create-vendor", Method::POST, &["v1", "vendors"], Some(body)).keyed(day)
}

/// Renames a vendor, without a key for the same reason. Payment accounts are never sent: they overwrite, and they move
/// money.
pub(super) fn rename_vendor(id: &str, name: &str) -> Request {
    let body = json!({ "company_name": name });
    Request::write("brex.rename-vendor", Method::PUT, &["v1", "vendors", id], Some(body))
}
