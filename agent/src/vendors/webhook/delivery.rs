//! A delivery as it is handed over: one JSON object with the moment of receipt, the headers and the exact bytes of the
//! body. What else stands in the object is for reading and is not looked at.

use super::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use spend::Timestamp;
use std::fmt;

/// Largest body.
pub const MOST_BODY: usize = 1 << 20;
/// Most headers of one delivery.
pub const MOST_HEADERS: usize = 200;
/// Longest name or value of a header.
const LONGEST_HEADER: usize = 16 * 1024;

/// What arrived. Headers can hold a shared secret, so they are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When the receiver got it; the age of the signature is counted to this moment, because the agent may be told
    /// hours later.
    pub received_at: Timestamp,
    /// As received; names in any case, in any order.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Vec<u8>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("received_at", &self.received_at).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Line {
    received_at: String,
    headers: Map<String, Value>,
    body_base64: String,
}

impl Delivery {
    /// Reads one line: `{"received_at", "headers": {name: value}, "body_base64"}`.
    ///
    /// # Errors
    /// [`Refusal::NoDelivery`] says what is wrong without repeating it; [`Refusal::TooLarge`].
    pub fn from_line(line: &str) -> Result<Self, Refusal> {
        let no = |why: &str| Refusal::NoDelivery(why.to_owned());
        let line: Line = serde_json::from_str(line).map_err(|error| {
            let place = error.column();
            match error.classify() {
                serde_json::error::Category::Data => {
                    no("it needs `received_at` (text), `headers` (object) and `body_base64` (text)")
                }
                _ => no(&format!("it is no JSON object (column {place})")),
            }
        })?;
        let received_at = chrono::DateTime::parse_from_rfc3339(&line.received_at)
            .map_err(|_| no("`received_at` is no moment in the form 2026-01-31T08:00:00Z"))?
            .to_utc();
        if line.headers.len() > MOST_HEADERS {
            return Err(no(&format!("it has more than {MOST_HEADERS} headers")));
        }
        let mut headers = Vec::with_capacity(line.headers.len());
        for (name, value) in line.headers {
            let Value::String(value) = value else { return Err(no("a header's value is no text")) };
            if name.len().max(value.len()) > LONGEST_HEADER {
                return Err(no(&format!("a header is longer than {LONGEST_HEADER} bytes")));
            }
            headers.push((name, value));
        }
        // Four letters stand for three bytes.
        if line.body_base64.len() > (MOST_BODY / 3 + 1) * 4 {
            return Err(Refusal::TooLarge);
        }
        let body = STANDARD.decode(&line.body_base64).map_err(|_| no("`body_base64` is no base64"))?;
        Ok(Self { received_at, headers, body })
    }

    /// A header's value by its name in any case; `None` when it is not there or empty.
    ///
    /// # Errors
    /// [`Refusal::AmbiguousHeader`] when it is there twice, differently.
    pub fn header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found: Option<&str> = None;
        for (_, value) in self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)) {
            if found.is_some_and(|before| before != value) {
                return Err(Refusal::AmbiguousHeader(name.to_owned()));
            }
            found = Some(value);
        }
        Ok(found.filter(|value| !value.is_empty()))
    }
}
