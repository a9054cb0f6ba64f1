//! Simulators over real sockets. A simulator is a synchronous state machine behind a mutex; this module gives it a
//! listener, faults, a journal of received calls and the admin interface below `/_sandbox/`.

mod admin;
mod clock;
mod courier;
mod journal;
mod serve;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use clock::SimClock;
pub use courier::{Outgoing, is_loopback};
pub use journal::Call;
pub use serve::{Running, ServeError, ServeOptions, serve};
pub use tls::{TestCa, TlsError, TlsIdentity};

/// A request as a simulator sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path as sent (percent-encoded), without the query.
    pub path: String,
    /// Query as sent (percent-encoded), without `?`; empty when there is none.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// The simulator's present moment (its clock can be skewed and moved).
    pub at: DateTime<Utc>,
}

impl Request {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What a simulator answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// How long the vendor works before it answers (and, for faults that delay commits, before it commits).
    pub delay: std::time::Duration,
}

impl Reply {
    /// A reply with a content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
            delay: std::time::Duration::ZERO,
        }
    }

    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }
}

/// One simulated vendor. `misuse` collects wrong calls; the tests fail at the end when it is not empty, even if the
/// agent shrugged the error off.
pub trait Simulator: Send + 'static {
    /// `epicor`, `expensify`, ...
    fn name(&self) -> &'static str;

    /// Answers one call, changing state.
    fn handle(&mut self, request: &Request) -> Reply;

    /// The state for people and tests (`GET /_sandbox/state`).
    fn state(&self) -> Value;

    /// Changes knobs or state (`POST /_sandbox/control/{verb}`), e.g. `knobs`, `approve`, `edit`, `close-period`.
    /// The verb `reset` puts everything back to the world it was made from.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the verb or its body, and which verbs there are.
    fn control(&mut self, verb: &str, body: &Value) -> Result<Value, String>;

    /// The present moment, told before each control verb; calls bring their own.
    fn tell_time(&mut self, _now: DateTime<Utc>) {}

    /// Wrong calls so far, each in one sentence.
    fn misuse(&self) -> Vec<String>;

    /// Whether the vendor's working time ([`Reply::delay`]) passes on the simulator's clock instead of the machine's: a
    /// caller then waits until that clock has moved on, by itself or by a test.
    fn delays_on_clock(&self) -> bool {
        false
    }

    /// Calls of its own that are due, such as webhook deliveries; they count as under way until they are settled.
    fn outgoing(&mut self, _now: DateTime<Utc>) -> Vec<Outgoing> {
        Vec::new()
    }

    /// How one of them ended: the status answered, or `None` when there was no answer in time.
    fn settled(&mut self, _id: u64, _status: Option<u16>, _now: DateTime<Utc>) {}

    /// When the next call of its own is due, those under way not counted.
    fn next_outgoing(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Calls of its own that are due or under way.
    fn outgoing_left(&self, _now: DateTime<Utc>) -> usize {
        0
    }

    /// The name under which a call is counted in the journal. The path says enough for most vendors; one with a
    /// single path and the operation in the body overrides this.
    fn operation(&self, request: &Request) -> String {
        let path = request.path.split('(').next().unwrap_or_default();
        format!("{} {path}", request.method)
    }
}
