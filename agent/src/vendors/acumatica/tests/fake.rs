//! A small Acumatica for the client's own tests: enough to sign in, write, read back and release, and one fault at one
//! chosen call. It is no simulator: it believes what it is told and checks only what the client relies on.

use super::{answer, exception};
use crate::vendors::http::{Answer, Body, Call, Effect, Transport};
use async_trait::async_trait;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use spend::posting::{Failure, FailureClass};
use std::sync::Mutex;

/// What goes wrong at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It never reaches the server.
    NotSent,
    /// The server does it and the answer is lost.
    LostAfter,
    /// The server does not do it and the answer is lost.
    LostBefore,
    /// HTTP 500 without a known cause, not done.
    Internal,
    /// HTTP 500 of the platform itself, not done.
    Database,
    /// Done, and the record cannot be shown afterwards.
    NotShown,
    /// Done, and the record is not found afterwards.
    NotFound,
    /// Done, and the answer is cut in the middle.
    Truncated,
    /// Declined, not done.
    Throttled,
    /// A page for people, not done.
    Html,
    /// The token is not valid any more.
    SignedOut,
}

impl Fault {
    pub(super) const ALL: [Fault; 11] = [
        Fault::NotSent,
        Fault::LostAfter,
        Fault::LostBefore,
        Fault::Internal,
        Fault::Database,
        Fault::NotShown,
        Fault::NotFound,
        Fault::Truncated,
        Fault::Throttled,
        Fault::Html,
        Fault::SignedOut,
    ];
}

/// How a second document with one vendor reference is met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Duplicates {
    #[default]
    Allowed,
    As422,
    As500,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) bills: Vec<Value>,
    pub(super) journals: Vec<Value>,
    /// Method, path and query of each call.
    pub(super) calls: Vec<String>,
    /// Headers of each call, secrets spelled out.
    pub(super) headers: Vec<Vec<(String, String)>>,
    pub(super) bodies: Vec<String>,
    pub(super) fault: Option<(usize, Fault)>,
    pub(super) duplicates: Duplicates,
    /// Whether the answer to `GET /entity` is the older, bare one.
    pub(super) bare: bool,
    /// `Entity/Field`: a list that would show one of these is refused.
    pub(super) unexportable: Vec<String>,
    /// What is listed is not found by its identifier.
    pub(super) ghosts: bool,
    /// So many next lists meet a database that is busy.
    pub(super) busy: usize,
    /// `startswith` is refused.
    pub(super) no_startswith: bool,
    /// Accounts that are refused, and in which words.
    pub(super) refused: Option<(String, String)>,
    /// A new document has this status whatever it asked for.
    pub(super) status: Option<String>,
    /// The status of a document that is taken off hold, instead of `Balanced`.
    pub(super) off_hold: Option<String>,
    /// Looks at the status address before a release is through.
    pub(super) release_polls: usize,
    /// What a release ends with instead of success.
    pub(super) release_fails: Option<(u16, String)>,
    /// Taxes that are added to a bill.
    pub(super) tax: Option<Value>,
    pub(super) tokens: usize,
    pub(super) revoked: usize,
    serial: usize,
}

#[derive(Default)]
pub(super) struct Fake(pub(super) Mutex<State>);

impl Fake {
    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn with(change: impl FnOnce(&mut State)) -> std::sync::Arc<Self> {
        let fake = Self::default();
        change(&mut fake.state());
        std::sync::Arc::new(fake)
    }

    /// Calls whose method and path contain this.
    pub(super) fn count(&self, part: &str) -> usize {
        self.state().calls.iter().filter(|call| call.contains(part)).count()
    }
}

fn lost(effect: Effect) -> Failure {
    let class = if effect == Effect::Write { FailureClass::InDoubt } else { FailureClass::Unavailable };
    Failure::new(class, "the answer is lost")
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let mut state = self.state();
        let query = percent_encoding::percent_decode_str(call.url.query().unwrap_or_default());
        let query = query.decode_utf8_lossy().into_owned();
        state.calls.push(format!("{} {}?{query}", call.method, call.url.path()));
        let spelled = |v: &crate::secret::SecretText| v.expose().expose_secret().to_owned();
        state.headers.push(call.headers.iter().map(|(n, v)| ((*n).to_owned(), spelled(v))).collect());
        let body = match &call.body {
            Body::Empty => String::new(),
            Body::Json(text) => spelled(text),
            Body::Form(fields) => {
                fields.iter().map(|(n, v)| format!("{n}={}", spelled(v))).collect::<Vec<_>>().join("&")
            }
        };
        state.bodies.push(body.clone());
        if call.url.path().ends_with("/connect/token") {
            state.tokens += 1;
            let token = format!("token-{}", state.tokens);
            let answered = json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" });
            return Ok(answer(200, answered.to_string()));
        }
        let nth = state.calls.iter().filter(|call| !call.contains("/connect/token")).count();
        let fault = state.fault.filter(|(at, _)| *at == nth).map(|(_, fault)| fault);
        match fault {
            Some(Fault::NotSent) => return Err(Failure::new(FailureClass::NotSent, "no connection")),
            Some(Fault::LostBefore) => return Err(lost(call.effect)),
            Some(Fault::Internal) => return Ok(exception(500, "System.Exception", "Something broke.")),
            Some(Fault::Database) => return Ok(database()),
            Some(Fault::Throttled) => return Ok(answer(429, "Too many requests")),
            Some(Fault::Html) => return Ok(answer(502, "<html><title>Updating</title></html>")),
            Some(Fault::SignedOut) => {
                state.fault = None;
                state.revoked += 1;
                return Ok(exception(401, "PX.Data.PXNotLoggedInException", "Not logged in."));
            }
            Some(Fault::LostAfter | Fault::Truncated | Fault::NotShown | Fault::NotFound) | None => {}
        }
        let mut answered = state.answer(&call, &query, &body);
        match fault {
            Some(Fault::LostAfter) => return Err(lost(call.effect)),
            Some(Fault::NotShown) => return Ok(not_exportable()),
            Some(Fault::NotFound) => return Ok(no_entity()),
            Some(Fault::Truncated) => {
                let half = answered.body.len() / 2;
                answered.body.truncate(half);
            }
            _ => {}
        }
        Ok(answered)
    }
}

fn database() -> Answer {
    exception(500, "PX.Data.PXDatabaseException", "A database error has occurred: the lock timed out.")
}

fn not_exportable() -> Answer {
    let words = "Optimization cannot be performed. The View Document has BQL delegate.";
    exception(500, "PX.Api.ContractBased.OptimizationException", words)
}

fn no_entity() -> Answer {
    let kind = "PX.Api.ContractBased.NoEntitySatisfiesTheConditionException";
    exception(500, kind, "No entity satisfies the condition.")
}

fn ok(body: &Value) -> Answer {
    answer(200, body.to_string())
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field]["value"].as_str().unwrap_or_default()
}

/// The text between two quotes after `word` in a filter.
fn quoted(filter: &str, word: &str) -> Option<String> {
    let (_, rest) = filter.split_once(word)?;
    Some(rest.split('\'').nth(1)?.to_owned())
}

impl State {
    fn answer(&mut self, call: &Call, query: &str, body: &str) -> Answer {
        let path = call.url.path().trim_start_matches("/AcumaticaERP/entity").to_owned();
        if path.is_empty() {
            return self.published();
        }
        let versions = ["/Default/24.200.001/", "/Default/25.200.001/"];
        let Some(tail) = versions.iter().find_map(|version| path.strip_prefix(version)) else {
            return exception(404, "PX.Api.NotFound", "No such endpoint.");
        };
        let parts: Vec<&str> = tail.split('/').collect();
        let sent: Value = serde_json::from_str(body).unwrap_or_default();
        match (&call.method, &parts[..]) {
            (&Method::GET, [entity]) => self.list(entity, query),
            (&Method::GET, [_, action, "status", _]) if action.starts_with("Release") => self.poll(),
            (&Method::GET, [entity, id]) => self.by_id(entity, id, query),
            (&Method::PUT, [entity]) => self.put(entity, call, sent),
            (&Method::DELETE, [entity, id]) => {
                self.records(entity).retain(|record| record["id"] != *id);
                answer(204, "")
            }
            (&Method::POST, [entity, action]) if action.starts_with("Release") => {
                self.release(entity, action, &sent)
            }
            _ => exception(404, "PX.Api.NotFound", "No such action."),
        }
    }

    fn published(&self) -> Answer {
        let rows = json!([
            { "name": "Default", "version": "25.200.001", "href": "x" },
            { "name": "Default", "version": "24.200.001", "href": "x" },
            { "name": "MANUFACTURING", "version": "23.100.001", "href": "x" },
        ]);
        if self.bare {
            return ok(&rows);
        }
        ok(&json!({ "version": { "acumaticaBuildVersion": "26.101.0225" }, "endpoints": rows }))
    }

    fn records(&mut self, entity: &str) -> &mut Vec<Value> {
        if entity == "Bill" { &mut self.bills } else { &mut self.journals }
    }

    fn list(&mut self, entity: &str, query: &str) -> Answer {
        if !matches!(entity, "Bill" | "JournalTransaction") {
            return ok(&json!([]));
        }
        let filter = query.split("$filter=").nth(1).and_then(|f| f.split("&$").next()).unwrap_or_default();
        if self.busy > 0 {
            self.busy -= 1;
            return database();
        }
        if !self.exports(entity, query) {
            return not_exportable();
        }
        if self.no_startswith && filter.contains("startswith") {
            return exception(500, "PX.Api.FilterException", "The filter is not supported.");
        }
        let details = query.contains("$expand=Details");
        let number = |name: &str| -> Option<usize> {
            query.split(&format!("${name}=")).nth(1)?.split('&').next()?.parse().ok()
        };
        let (top, skip) = (number("top").unwrap_or(usize::MAX), number("skip").unwrap_or(0));
        let begins = quoted(filter, "startswith(VendorRef");
        let equals = quoted(filter, "VendorRef eq ");
        let holds = quoted(filter, "substringof(");
        let found: Vec<Value> = self
            .records(entity)
            .iter()
            .filter(|r| begins.as_ref().is_none_or(|b| text(r, "VendorRef").starts_with(b.as_str())))
            .filter(|r| equals.as_ref().is_none_or(|e| text(r, "VendorRef") == e))
            .filter(|r| holds.as_ref().is_none_or(|h| text(r, "Description").contains(h.as_str())))
            .skip(skip)
            .take(top)
            .map(|record| shown(record, details))
            .collect();
        ok(&Value::Array(found))
    }

    fn exports(&self, entity: &str, query: &str) -> bool {
        let select = query.split("$select=").nth(1).and_then(|s| s.split("&$").next());
        let shows = |field: &str| select.is_none_or(|select| select.split(',').any(|name| name == field));
        let bad =
            |path: &String| path.split_once('/').is_some_and(|(of, field)| of == entity && shows(field));
        !self.unexportable.iter().any(bad)
    }

    fn by_id(&mut self, entity: &str, id: &str, query: &str) -> Answer {
        if self.ghosts {
            return no_entity();
        }
        match self.records(entity).iter().find(|record| record["id"] == id) {
            Some(record) => ok(&shown(record, query.contains("$expand=Details"))),
            None => no_entity(),
        }
    }

    fn put(&mut self, entity: &str, call: &Call, sent: Value) -> Answer {
        let condition = |name: &str| call.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        let id = sent["id"].as_str().unwrap_or_default().to_owned();
        if !id.is_empty() {
            assert!(condition("If-Match"), "an update says that it updates");
            let Some(at) = self.records(entity).iter().position(|record| record["id"] == *id) else {
                return answer(412, "");
            };
            if let Some(hold) = sent.get("Hold") {
                let status = self.off_hold.clone();
                let on_hold = hold["value"] == true;
                let word = if on_hold { "On Hold" } else { status.as_deref().unwrap_or("Balanced") };
                let record = &mut self.records(entity)[at];
                record["Status"] = json!({ "value": word });
            }
            let rows: Vec<Value> = sent["Details"].as_array().cloned().unwrap_or_default();
            if let Some(refusal) = self.refusal(&sent, &rows) {
                return refusal;
            }
            let record = &mut self.records(entity)[at];
            record["Details"].as_array_mut().unwrap().extend(rows.iter().map(with_amount));
            return ok(&json!({ "id": id }));
        }
        assert!(condition("If-None-Match"), "an insert says that it inserts");
        let rows: Vec<Value> = sent["Details"].as_array().cloned().unwrap_or_default();
        if let Some(refusal) = self.refusal(&sent, &rows) {
            return refusal;
        }
        let same = |bill: &Value| {
            bill["VendorRef"] == sent["VendorRef"] && bill["Vendor"] == sent["Vendor"] && entity == "Bill"
        };
        if self.duplicates != Duplicates::Allowed && self.bills.iter().any(same) {
            const WORDS: &str = "A document with the same Vendor Ref. already exists.";
            return match self.duplicates {
                Duplicates::As500 => exception(500, "PX.Data.PXException", WORDS),
                _ => answer(
                    422,
                    json!({ "error": "Inserting raised an error.",
                        "VendorRef": { "value": sent["VendorRef"]["value"], "error": WORDS } })
                    .to_string(),
                ),
            };
        }
        self.serial += 1;
        let id = format!("7b89c293-0000-0000-0000-{:012}", self.serial);
        let mut record = sent.clone();
        let on_hold = sent["Hold"]["value"] == true;
        let status = self
            .status
            .clone()
            .unwrap_or_else(|| if on_hold { "On Hold".to_owned() } else { "Balanced".to_owned() });
        record["id"] = json!(id);
        record["rowNumber"] = json!(1);
        record["note"] = json!({ "value": "" });
        record["Status"] = json!({ "value": status });
        let number = if entity == "Bill" { "ReferenceNbr" } else { "BatchNbr" };
        record[number] = json!({ "value": format!("{:06}  ", self.serial) });
        record["Details"] = rows.iter().map(with_amount).collect();
        if let Some(tax) = &self.tax {
            record["TaxTotal"] = json!({ "value": tax });
        }
        self.records(entity).push(record);
        ok(&json!({ "id": id, "rowNumber": 1, "note": { "value": "" }, "custom": {} }))
    }

    fn refusal(&self, sent: &Value, rows: &[Value]) -> Option<Answer> {
        let (account, words) = self.refused.as_ref()?;
        let at = rows.iter().position(|row| text(row, "Account") == account)?;
        let mut record = sent.clone();
        record["error"] = json!("Inserting 'AP Transactions' record raised at least one error.");
        record["Details"][at]["Account"]["error"] = json!(words);
        Some(answer(422, record.to_string()))
    }

    fn release(&mut self, entity: &str, action: &str, sent: &Value) -> Answer {
        let number = if entity == "Bill" { "ReferenceNbr" } else { "BatchNbr" };
        let wanted = sent["entity"][number]["value"].as_str().unwrap_or_default().to_owned();
        let fails = self.release_fails.is_some();
        let released = if entity == "Bill" { "Open" } else { "Posted" };
        let Some(record) = self.records(entity).iter_mut().find(|r| text(r, number).trim() == wanted) else {
            return exception(500, "PX.Data.PXException", "The document cannot be found.");
        };
        if !fails {
            record["Status"] = json!({ "value": released });
        }
        let location = format!("/AcumaticaERP/entity/Default/24.200.001/{entity}/{action}/status/1af4");
        let status = if self.release_polls == 0 && !fails { 204 } else { 202 };
        let mut accepted = answer(status, "");
        accepted.headers.insert("location".to_owned(), location);
        accepted
    }

    fn poll(&mut self) -> Answer {
        if self.release_polls > 0 {
            self.release_polls -= 1;
            return answer(202, "");
        }
        match &self.release_fails {
            Some((status, words)) => exception(*status, "PX.Data.PXException", words),
            None => answer(204, ""),
        }
    }
}

/// A record as it is answered: details only when they were asked for.
fn shown(record: &Value, details: bool) -> Value {
    let mut shown: Map<String, Value> = record.as_object().cloned().unwrap_or_default();
    if !details {
        shown.remove("Details");
    }
    Value::Object(shown)
}

fn with_amount(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(cost) = row.get("ExtendedCost").cloned() {
        row["Amount"] = cost;
    }
    row
}
