//! This vendor's answers to our outcome classes. HTTP 200 does not mean success: the `responseCode` in the body wins
//! over the HTTP status. Code 410 is a refused parameter, 500 is both a fault and a refused permission.

use super::auth;
use super::wire::Envelope;
use crate::vendors::http::Answer;
use chrono::{DateTime, TimeDelta, Utc};
use spend::finding::{Finding, FindingCode};
use spend::posting::{Failure, FailureClass};

/// What judging needs to know beside the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    /// Name of the call.
    pub(super) operation: &'static str,
    /// Name of the secret, for the words that say how to mend it.
    pub(super) secret: &'a str,
    /// How long to wait when too many calls were made and the answer does not say.
    pub(super) throttle_wait: TimeDelta,
}

/// What a download brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// Bytes of a file, complete or not.
    File,
    /// Nothing, or as good as nothing: not ready, or a file for no reports.
    Blank,
    /// Not ready, in the answer's words.
    NotYet(String),
}

impl Judge<'_> {
    /// Judges an answer. `Some` is a successful envelope, `None` a successful body without one.
    pub(super) fn job(&self, answer: &Answer) -> Result<Option<Envelope>, Failure> {
        match Envelope::read(&answer.body) {
            Some(envelope) if envelope.is_success() => Ok(Some(envelope)),
            Some(envelope) => Err(self.refused(answer, &envelope)),
            None => self.bare(answer).map(|()| None),
        }
    }

    /// Judges the answer of a download: there is no signal that a file is ready, so everything that is not a final
    /// refusal means "not yet".
    pub(super) fn download(&self, answer: &Answer) -> Result<Fetched, Failure> {
        if let Some(envelope) = Envelope::read(&answer.body) {
            let missing = envelope.message.to_ascii_lowercase().contains("file not found");
            return match envelope.code {
                Some(404) => Ok(Fetched::NotYet("the file is not there yet".to_owned())),
                Some(200 | 207) => Ok(Fetched::NotYet("the answer holds no file".to_owned())),
                _ if missing => Ok(Fetched::NotYet("the file is not there yet".to_owned())),
                _ => wait_out(self.refused(answer, &envelope)),
            };
        }
        match answer.status {
            200..=299 if answer.body.trim_ascii().len() < 4 => Ok(Fetched::Blank),
            200..=299 if !is_page(&answer.body) => Ok(Fetched::File),
            200..=299 | 401 | 403 | 429 => match self.bare(answer) {
                Ok(()) => Ok(Fetched::File),
                Err(failure) => wait_out(failure),
            },
            status => Ok(Fetched::NotYet(format!("HTTP {status}"))),
        }
    }

    fn bare(&self, answer: &Answer) -> Result<(), Failure> {
        let page = is_page(&answer.body);
        let limited = (page || answer.status >= 400) && contains(&answer.body, "rate-limited");
        let what = format!("{}: HTTP {}", self.operation, answer.status);
        match answer.status {
            429 => Err(self.throttled(answer)),
            _ if limited => Err(self.throttled(answer)),
            401 => Err(self.unauthorised(&what)),
            403 if contains(&answer.body, "credential") => Err(self.unauthorised(&what)),
            500.. => Err(unavailable(what)),
            200..=299 if page => Err(unavailable(format!("{what} with a web page instead of an answer"))),
            200..=299 => Ok(()),
            300..=399 => Err(self.rejected(
                format!("{what}: the address redirects elsewhere"),
                "correct the `url` of the connection; it is https://integrations.expensify.com in production",
            )),
            _ => Err(self.rejected(
                what,
                "check the `url` of the connection, and whether a proxy between here and Expensify answers in its place",
            )),
        }
    }

    fn refused(&self, answer: &Answer, envelope: &Envelope) -> Failure {
        let (code, words) = (envelope.code, envelope.words());
        let text = envelope.message.to_ascii_lowercase();
        let said = match code {
            Some(code) => format!("{}: code {code}: {words}", self.operation),
            None => format!("{}: {words}", self.operation),
        };
        if code == Some(429) || text.contains("rate-limited") || answer.status == 429 && code.is_none() {
            return self.throttled(answer);
        }
        if code == Some(401) || speaks_of_credentials(&text) {
            return self.unauthorised(&said);
        }
        match code {
            Some(500) | None if is_permanent(&text) => self.rejected(said, fix_for(&text)),
            None if answer.status < 500 && !text.contains("error") => self.rejected(said, fix_for(&text)),
            // 207 of a read is half an answer; of a write, what was done is read back.
            Some(207 | 500..=599) | None => unavailable(said),
            Some(_) => self.rejected(said, fix_for(&text)),
        }
    }

    fn throttled(&self, answer: &Answer) -> Failure {
        let until = retry_after(answer).unwrap_or(answer.at + self.throttle_wait);
        Failure::new(
            FailureClass::Throttled { until },
            format!("{}: too many calls for this credential; next one at {until}", self.operation),
        )
    }

    fn unauthorised(&self, said: &str) -> Failure {
        let mend = auth::how_to_mend(self.secret);
        Failure::new(
            FailureClass::Unauthorised,
            format!("{said}: Expensify refuses the credential `{}`; {mend}", self.secret),
        )
    }

    /// A refusal for good.
    pub(super) fn rejected(&self, said: impl Into<String>, fix: &str) -> Failure {
        let message = said.into();
        let finding = Finding {
            code: FindingCode::SourceUnreadable,
            line: None,
            field: "expensify job".to_owned(),
            value: self.operation.to_owned(),
            message: message.clone(),
            fix: fix.to_owned(),
        };
        Failure::new(FailureClass::Rejected { findings: vec![finding] }, format!("{message}; {fix}"))
    }
}

/// A failure for now.
pub(super) fn unavailable(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Unavailable, message)
}

/// A passing failure of a download means that the file is not ready.
pub(super) fn wait_out(failure: Failure) -> Result<Fetched, Failure> {
    match failure.class {
        FailureClass::Unavailable | FailureClass::InDoubt => Ok(Fetched::NotYet(failure.message)),
        FailureClass::NotSent
        | FailureClass::Rejected { .. }
        | FailureClass::Unauthorised
        | FailureClass::Throttled { .. } => Err(failure),
    }
}

fn speaks_of_credentials(text: &str) -> bool {
    ["authentication error", "invalid credentials", "unauthorized", "partneruser"]
        .iter()
        .any(|w| text.contains(w))
}

/// Refusals that the vendor reports with the code of a fault.
fn is_permanent(text: &str) -> bool {
    let begins = ["not authorized", "required parameter", "malformed", "invalid ", "column ", "argument "];
    let holds =
        ["missing or malformed", "is not supported", "freemarker", "permission", "not a policy admin"];
    begins.iter().any(|w| text.starts_with(w)) || holds.iter().any(|w| text.contains(w))
}

fn fix_for(text: &str) -> &'static str {
    if text.contains("authorized") || text.contains("permission") || text.contains("admin") {
        "make the account that owns the credential an administrator of the workspace in Expensify"
    } else if text.contains("policy") {
        "check `policies` in the settings of the connection: each must be the id of a workspace of this account"
    } else {
        "check the settings of the connection; if they are right, send `purser diagnostics` to support"
    }
}

fn is_page(body: &[u8]) -> bool {
    body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<')
}

/// Whether the head of a body holds a lower-case text, in any case. File contents are never searched so.
fn contains(body: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(&body[..body.len().min(16_384)]).to_ascii_lowercase().contains(text)
}

/// `Retry-After` as seconds or as a date; no more than a day.
fn retry_after(answer: &Answer) -> Option<DateTime<Utc>> {
    let text = answer.headers.get("retry-after")?.trim();
    let latest = answer.at + TimeDelta::days(1);
    let until = match text.parse::<u32>() {
        Ok(seconds) => answer.at + TimeDelta::seconds(i64::from(seconds)),
        Err(_) => DateTime::<Utc>::from(httpdate::parse_http_date(text).ok()?),
    };
    Some(until.clamp(answer.at, latest))
}
