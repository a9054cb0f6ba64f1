//! The outbound gate: the one place through which every vendor call goes. It checks the destination against the
//! origins a secret is bound to, paces per credential, classifies outcomes and writes the audit entry.
//!
//! The gate never repeats a call by itself and never follows a redirect: repeating reads is [`send_read`]'s work,
//! repeating a write is nobody's.

mod client;
mod destination;
mod gate;
mod link;
pub mod net_probe;
mod outcome;
mod pace;
mod record;
mod retry;
mod scrub;
mod send_log;
mod site;
#[cfg(test)]
mod tests;
mod token;
mod transport;
mod trust;

pub use client::install_crypto;
pub use gate::{DEFAULT_MAX_BODY, Gate, GateError, GateSettings, GateStats};
pub use link::{LinkAnswer, LinkClient, LinkClientError};
pub use pace::{Pace, PaceGuard, Paces};
pub use record::{CallContext, CallLog, CallRecord, NoLog};
pub use retry::{ReadRetries, retry_after, send_read, send_read_with};
pub use scrub::without_secrets;
pub use site::SiteRoot;
pub use token::{Token, TokenCache};
pub use transport::Transport;

use crate::secret::SecretText;
use reqwest::Method;
use url::Url;

/// Whether a call can change anything on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reading: may be repeated freely.
    Read,
    /// Writing: after it was sent, a lost answer means in doubt. Never repeated by the gate.
    Write,
}

/// The body of a call.
#[derive(Clone, Debug)]
pub enum Body {
    /// No body.
    Empty,
    /// JSON text; may hold secrets.
    Json(SecretText),
    /// `application/x-www-form-urlencoded` fields in order; values may hold secrets (the gate encodes them).
    Form(Vec<(String, SecretText)>),
}

/// One call to a vendor, without any I/O: built by `calls.rs`, sent by the gate.
#[derive(Clone, Debug)]
pub struct Call {
    /// Stable name for logs, audit and statistics, e.g. `epicor.ap.update-master`.
    pub operation: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Where to; never holds a secret.
    pub url: Url,
    /// Headers in order; values may hold secrets.
    pub headers: Vec<(&'static str, SecretText)>,
    /// Body.
    pub body: Body,
    /// Whether it changes anything.
    pub effect: Effect,
    /// The answer holds a secret (a token): its body is kept out of the audit trail.
    pub secret_answer: bool,
    /// Whole time allowed; `None` = the connection's default.
    pub timeout: Option<std::time::Duration>,
}

/// An answer, whatever its status: each vendor's `outcome.rs` judges it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers by lower-case name: the first value of each, and every `set-cookie`, one a line.
    pub headers: std::collections::BTreeMap<String, String>,
    /// Decoded body, capped.
    pub body: Vec<u8>,
    /// When the answer was complete.
    pub at: spend::Timestamp,
}
