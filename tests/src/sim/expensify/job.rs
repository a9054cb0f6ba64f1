//! From bytes to a job: form, JSON, credential, and the vocabulary of refusals. The order of the checks is part of
//! the simulation.

use super::knobs::ExpensifyKnobs;
use crate::server::{Reply, Request};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A refusal in the vendor's words.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A validation error.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(410, message)
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::invalid(format!("Required parameter '{name}' is missing"))
    }

    pub(super) fn malformed(name: &str) -> Self {
        Self::invalid(format!("Argument '{name}' is missing or malformed"))
    }

    pub(super) fn reply(&self, knobs: &ExpensifyKnobs) -> Reply {
        let code = if self.code == 410 && knobs.validation_as_500 { 500 } else { self.code };
        plain_json(&json!({"responseMessage": self.message, "responseCode": code}))
    }
}

/// JSON that says it is text, as the vendor does for most jobs.
pub(super) fn plain_json(body: &Value) -> Reply {
    Reply::new(200, "text/plain;charset=utf-8", body.to_string())
}

/// A page of the servlet container.
pub(super) fn page(status: u16, title: &str) -> Reply {
    let body = format!(
        "<html><head><title>Error {status} {title}</title></head><body><h2>HTTP ERROR {status}</h2><p>{title}</p></body></html>"
    );
    Reply::new(status, "text/html;charset=ISO-8859-1", body)
}

/// A parsed call.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) description: Map<String, Value>,
    pub(super) form: BTreeMap<String, String>,
}

impl Job {
    /// Form and JSON.
    pub(super) fn parse(request: &Request, knobs: &ExpensifyKnobs) -> Result<Self, Reply> {
        let get = request.method == "GET" && knobs.accept_get;
        let is_form = request
            .header("content-type")
            .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
        let bytes = if get {
            request.query.as_bytes()
        } else if is_form {
            &request.body[..]
        } else {
            b""
        };
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(bytes).into_owned().collect();
        let Some(text) = form.get("requestJobDescription") else {
            return Err(page(500, "requestJobDescription is missing"));
        };
        let parsed = serde_json::from_str(text).or_else(|error| {
            if knobs.lenient_json { serde_json::from_str(&strict(text)) } else { Err(error) }
        });
        match parsed {
            Ok(Value::Object(description)) => Ok(Self { description, form }),
            _ => Err(page(500, "JSONObject text must be well-formed")),
        }
    }

    pub(super) fn credential(&self) -> Option<(&str, &str)> {
        let credentials = self.description.get("credentials")?;
        let field = |name| credentials.get(name).and_then(Value::as_str);
        Some((field("partnerUserID")?, field("partnerUserSecret")?))
    }

    pub(super) fn kind(&self) -> Option<&str> {
        self.description.get("type").and_then(Value::as_str)
    }

    /// `inputSettings`, or an empty object.
    pub(super) fn settings(&self) -> &Map<String, Value> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        self.description.get("inputSettings").and_then(Value::as_object).unwrap_or(&EMPTY)
    }

    pub(super) fn settings_kind(&self) -> Option<&str> {
        self.settings().get("type").and_then(Value::as_str)
    }
}

/// Single quotes to double quotes, commas before a closing bracket away.
fn strict(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quote, mut escaped) = (None, false);
    for c in text.chars() {
        match (quote, c) {
            _ if escaped => {
                escaped = false;
                out.push(c);
                continue;
            }
            (Some(_), '\\') => escaped = true,
            (Some(q), _) if q == c => {
                quote = None;
                out.push('"');
                continue;
            }
            (Some('\''), '"') => out.push('\\'),
            (None, '\'' | '"') => {
                quote = Some(c);
                out.push('"');
                continue;
            }
            (None, '}' | ']') => {
                let kept = out.trim_end().trim_end_matches(',').len();
                out.truncate(kept);
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// A text member; `Err` when it is there and no text.
pub(super) fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Result<Option<&'v str>, Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::invalid(format!("'{name}' parameter is missing or malformed"))),
    }
}

/// A date member.
pub(super) fn date(object: &Map<String, Value>, name: &str) -> Result<Option<chrono::NaiveDate>, Refusal> {
    let Some(text) = text(object, name)? else { return Ok(None) };
    let shaped = text.len() == 10;
    match chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(date) if shaped => Ok(Some(date)),
        _ => Err(Refusal::invalid(format!("Malformed date '{text}'. Expected format is yyyy-MM-dd"))),
    }
}
