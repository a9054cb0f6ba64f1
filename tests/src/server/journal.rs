//! What the server has received: a bounded ring of calls, and counters that are never dropped. Credentials are
//! replaced before a call is kept, because people rehearse with real ones.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

/// Calls kept; older ones are dropped, their counts stay.
const KEPT: usize = 2_000;
/// Bytes of a body kept.
const BODY_KEPT: usize = 8 * 1024;
/// Headers whose values are credentials.
const SECRET_HEADERS: [&str; 7] =
    ["authorization", "x-api-key", "password", "proxy-authorization", "cookie", "api-key", "sessioninfo"];
/// Names in form and JSON bodies and in queries whose values are credentials.
const SECRET_NAMES: [&str; 7] = [
    "partnerUserSecret",
    "client_secret",
    "client_assertion",
    "password",
    "api-key",
    "refresh_token",
    "access_token",
];

/// One received call.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Position since the start, from 1.
    pub number: u64,
    /// The simulator's time.
    pub at: String,
    /// `GET`, ...
    pub method: String,
    /// Path as sent.
    pub path: String,
    /// Query as sent, credentials replaced.
    pub query: String,
    /// Headers, credentials replaced.
    pub headers: Vec<(String, String)>,
    /// Body as text, credentials replaced, cut when long.
    pub body: String,
    /// What it is counted under.
    pub operation: String,
    /// Status answered; `None` = the connection was cut or left hanging.
    pub status: Option<u16>,
    /// The fault that was applied, if any.
    pub fault: Option<String>,
}

/// The ring and the counters.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    calls: VecDeque<Call>,
    total: u64,
    operations: BTreeMap<String, u64>,
    statuses: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
}

impl Journal {
    pub(crate) fn record(&mut self, mut call: Call) {
        self.total += 1;
        call.number = self.total;
        *self.operations.entry(call.operation.clone()).or_default() += 1;
        let status = call.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *self.statuses.entry(status).or_default() += 1;
        if let Some(fault) = &call.fault {
            *self.faults.entry(fault.clone()).or_default() += 1;
        }
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn to_value(&self, limit: usize, path_contains: &str) -> Value {
        let mut calls: Vec<&Call> =
            self.calls.iter().rev().filter(|call| call.path.contains(path_contains)).take(limit).collect();
        calls.reverse();
        json!({
            "total": self.total,
            "counters": { "operations": self.operations, "statuses": self.statuses, "faults": self.faults },
            "calls": calls,
        })
    }
}

pub(crate) fn safe_headers(headers: &[(String, String)]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let secret = SECRET_HEADERS.contains(&name.as_str());
            (name.clone(), if secret { "***".to_owned() } else { value.clone() })
        })
        .collect()
}

pub(crate) fn safe_text(bytes: &[u8]) -> String {
    let cut = bytes.len().min(BODY_KEPT);
    let mut text = String::from_utf8_lossy(&bytes[..cut]).into_owned();
    for name in SECRET_NAMES {
        text = without_values_of(name, &text);
    }
    if cut < bytes.len() {
        text.push_str("...");
    }
    text
}

/// Replaces the value after each `name` in form, JSON or percent-encoded JSON text.
fn without_values_of(name: &str, text: &str) -> String {
    const BEFORE_VALUE: [&str; 8] = ["%22", "%3A", "%20", "\\", "\"", ":", "=", " "];
    const AFTER_VALUE: [&str; 5] = ["%22", "\"", "&", "\\", "\n"];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (head, tail) = rest.split_at(at + name.len());
        out.push_str(head);
        let mut value = tail;
        while let Some(shorter) = BEFORE_VALUE.iter().find_map(|mark| value.strip_prefix(mark)) {
            value = shorter;
        }
        out.push_str(&tail[..tail.len() - value.len()]);
        if value.len() < tail.len() {
            out.push_str("***");
            let end = AFTER_VALUE.iter().filter_map(|mark| value.find(mark)).min().unwrap_or(value.len());
            value = &value[end..];
        }
        rest = value;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_bodies_are_replaced_in_every_spelling() {
        for body in [
            "grant_type=x&client_secret=hush&scope=y",
            r#"{"password":"hush","a":1}"#,
            "requestJobDescription=%7B%22partnerUserSecret%22%3A%22hush%22%7D",
            r#"{ "partnerUserSecret": "hush" }"#,
        ] {
            let safe = safe_text(body.as_bytes());
            assert!(!safe.contains("hush"), "{safe}");
            assert!(safe.contains("***"), "{safe}");
        }
    }
}
