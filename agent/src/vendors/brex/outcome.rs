//! This vendor's answers to our outcome classes. Errors come in two shapes (`error_code` in v3, `type` elsewhere) on any
//! route, and as HTML from a gateway. 401 is often a missing role and 403 an expired token, the reverse of common
//! practice (D), so what was said decides.

use super::auth;
use crate::vendors::http::{Answer, Effect, retry_after};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use spend::finding::{Finding, FindingCode};
use spend::posting::{Failure, FailureClass};
use std::time::Duration;

/// First delay after "too many calls" that does not say how long to wait; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest such delay.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What judging needs to know beside the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    /// Name of the call.
    pub(super) operation: &'static str,
    /// Whether it writes.
    pub(super) effect: Effect,
    /// Name of the secret, for the words that say how to mend it.
    pub(super) secret: &'a str,
    /// "Too many calls" in a row.
    pub(super) throttles: u32,
}

/// A refused call, with what callers need to react to.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// As everybody else sees it.
    pub(super) failure: Failure,
    /// HTTP status; 0 when there was no answer.
    pub(super) status: u16,
    /// `error_code`, `code` or `type`.
    pub(super) code: String,
    /// `details` of the v3 shape.
    pub(super) details: Option<Value>,
    /// What a 401 or 403 means.
    pub(super) denied: Option<Denied>,
    /// Whether the answer was an error of Brex itself, in either shape, and not something in between.
    pub(super) told: bool,
}

/// What a 401 or 403 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The credential is dead: stop, and tell a person once.
    Credential,
    /// The credential lives and may not do this.
    Permission,
    /// It was not said: a plain read tells.
    Unclear,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, status: 0, code: String::new(), details: None, denied: None, told: false }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.failure
    }
}

impl Refusal {
    /// Whether Brex itself said that the credential lives and may not do this. A proxy that refuses says nothing about
    /// rights.
    pub(super) fn is_missing_right(&self) -> bool {
        self.told && self.denied == Some(Denied::Permission)
    }

    /// The ids that a list in the details names.
    pub(super) fn ids(&self, list: &str) -> Vec<String> {
        let named = self.details.as_ref().and_then(|details| details.get(list)).and_then(Value::as_array);
        named.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect()
    }

    /// One text of the details.
    pub(super) fn detail(&self, name: &str) -> Option<&str> {
        self.details.as_ref()?.get(name)?.as_str()
    }
}

/// An error body, in either shape.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    error_code: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<Value>,
    message: Option<String>,
    error: Option<Value>,
    error_description: Option<String>,
    details: Option<Value>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    fn code(&self) -> String {
        let code = self.code.as_ref().and_then(Value::as_str).map(str::to_owned);
        let error = self.error.as_ref().and_then(Value::as_str).map(str::to_owned);
        self.error_code.clone().or(code).or_else(|| self.kind.clone()).or(error).unwrap_or_default()
    }

    fn is_told(&self) -> bool {
        let told = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
        told(Some(&self.code())) || told(self.message.as_deref())
    }

    /// Code and message on one line, cut.
    fn words(&self) -> String {
        let code = self.code();
        let message = self.message.as_deref().or(self.error_description.as_deref()).unwrap_or_default();
        let joined = match (code.is_empty(), message.is_empty()) {
            (true, true) => "no reason was given".to_owned(),
            (false, true) => code,
            (true, false) => message.to_owned(),
            (false, false) => format!("{code}: {message}"),
        };
        joined.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
    }
}

impl Judge<'_> {
    /// Passes an answer of 2xx that can be JSON, and says what every other one means.
    pub(super) fn judge(&self, answer: &Answer) -> Result<(), Refusal> {
        match answer.status {
            200..=299 if is_page(&answer.body) => {
                Err(self.lost(answer, "a web page came instead of an answer").into())
            }
            200..=299 => Ok(()),
            status => Err(self.refused(answer, status)),
        }
    }

    fn refused(&self, answer: &Answer, status: u16) -> Refusal {
        let said = Said::read(&answer.body);
        let denied = matches!(status, 401 | 403).then(|| denied(status, &said));
        let what = self.scene(answer, &said.words());
        let failure = match (status, denied) {
            (_, Some(Denied::Credential)) => self.unauthorised(&what),
            (403, Some(_)) | (404, _) if is_page(&answer.body) => self.rejected(
                what,
                "check the `url` of the connection, and whether a proxy between here and Brex answers in its place",
            ),
            (_, Some(Denied::Permission | Denied::Unclear)) => self.not_allowed(&what),
            (408 | 500.., _) => self.lost(answer, &said.words()),
            (429, _) => self.throttled(answer),
            (300..=399, _) => self.rejected(
                what,
                "correct the `url` of the connection; it is https://api.brex.com in production",
            ),
            _ => self.rejected(what, fix_for(&said)),
        };
        Refusal { failure, status, code: said.code(), told: said.is_told(), details: said.details, denied }
    }

    /// Operation, status, words, and the trace id that Brex's support asks for.
    fn scene(&self, answer: &Answer, words: &str) -> String {
        let trace = answer.headers.get("x-brex-trace-id").map(|id| {
            let id: String = id.chars().filter(char::is_ascii_graphic).take(64).collect();
            format!(" (trace {id})")
        });
        format!("{}: HTTP {}: {words}{}", self.operation, answer.status, trace.unwrap_or_default())
    }

    /// The other side failed, perhaps after it had acted.
    pub(super) fn lost(&self, answer: &Answer, words: &str) -> Failure {
        let (class, so) = match self.effect {
            Effect::Write => (FailureClass::InDoubt, "; the write may have taken effect"),
            Effect::Read => (FailureClass::Unavailable, ""),
        };
        Failure::new(class, format!("{}{so}", self.scene(answer, words)))
    }

    /// The credential is dead.
    pub(super) fn unauthorised(&self, what: &str) -> Failure {
        let mend = auth::how_to_mend(self.secret);
        Failure::new(
            FailureClass::Unauthorised,
            format!("{what}: Brex refuses the credential `{}`; {mend}", self.secret),
        )
    }

    /// The credential lives and may not do this.
    fn not_allowed(&self, what: &str) -> Failure {
        self.rejected(
            format!("{what}: the credential is alive and may not do this"),
            "give the token the scope, or its owner the role, that is named here (Brex dashboard, Developer > \
             Settings); the accounting API is granted by Brex on request",
        )
    }

    fn throttled(&self, answer: &Answer) -> Failure {
        let until = retry_after(answer, answer.at).unwrap_or_else(|| {
            let most = FIRST_WAIT.saturating_mul(1 << self.throttles.min(6)).min(LONGEST_WAIT);
            let most = i64::try_from(most.as_millis()).unwrap_or(i64::MAX);
            answer.at + TimeDelta::milliseconds(fastrand::i64(most / 2..=most))
        });
        let message = format!(
            "{}: too many calls for this credential; next one after {}",
            self.operation,
            until.format("%H:%M:%SZ")
        );
        Failure::new(FailureClass::Throttled { until }, message)
    }

    /// A refusal for good.
    pub(super) fn rejected(&self, said: impl Into<String>, fix: &str) -> Failure {
        rejected(self.operation, said, fix)
    }
}

/// A refusal for good.
pub(super) fn rejected(operation: &str, said: impl Into<String>, fix: &str) -> Failure {
    let message = said.into();
    let finding = Finding {
        code: FindingCode::SourceUnreadable,
        line: None,
        field: "brex call".to_owned(),
        value: operation.to_owned(),
        message: message.clone(),
        fix: fix.to_owned(),
    };
    Failure::new(FailureClass::Rejected { findings: vec![finding] }, format!("{message}; {fix}"))
}

/// A failure for now.
pub(super) fn unavailable(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Unavailable, message)
}

/// An expired token answers 403 `Expired token`, a revoked or wrong one 401 `Invalid or Revoked Token`; roles and
/// scopes are told in other words (D). v3 has one sentence for a wrong token and, on the old host, for everything.
fn denied(status: u16, said: &Said) -> Denied {
    let text = format!("{} {}", said.words(), said.code()).to_ascii_lowercase();
    let holds = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if holds(&[
        "expired token",
        "token expired",
        "token has expired",
        "invalid or revoked",
        "revoked token",
        "invalid token",
        "invalid_token",
    ]) {
        return Denied::Credential;
    }
    let silent = said.message.as_deref().is_none_or(|message| message.trim().is_empty());
    if status == 401 && (silent || holds(&["missing or invalid", "unauthenticated"])) {
        return Denied::Unclear;
    }
    let bare = said.message.as_deref().is_some_and(|m| matches!(m.trim(), "Unauthorized" | "UNAUTHORIZED"));
    if status == 401 && bare { Denied::Unclear } else { Denied::Permission }
}

fn fix_for(said: &Said) -> &'static str {
    let text = said.words().to_ascii_lowercase();
    if text.contains("is invalid") {
        "correct the text that is named here: Brex takes plain ASCII only in several fields"
    } else {
        "check the settings of the connection; if they are right, send `purser diagnostics` to support"
    }
}

/// Whether a body is a web page.
pub(super) fn is_page(body: &[u8]) -> bool {
    body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<')
}
