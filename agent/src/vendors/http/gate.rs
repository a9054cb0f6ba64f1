//! The gate itself: check, wait for a turn, send, read the capped answer, write the record.

use super::client::{Clients, connect_timeout};
use super::destination::{self, Refusal};
use super::outcome::Scene;
use super::record::{Pending, capped};
use super::retry::retry_after;
use super::scrub::{LastScrub, Scrub};
use super::{Answer, Body, Call, CallContext, CallLog, CallRecord, Pace};
use crate::clock::Clock;
use crate::secret::{Credential, Origin, SecretText};
use chrono::TimeDelta;
use purser_proto::config::NetworkSettings;
use purser_proto::validate::ValidConnection;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::ConnectionId;
use spend::posting::{Failure, FailureClass};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// Largest answer when nothing else is configured, in bytes after unpacking.
pub const DEFAULT_MAX_BODY: usize = 64 * 1024 * 1024;
/// A pace that stays closed for longer is told to the caller instead of being waited for.
const LONGEST_WAIT: TimeDelta = TimeDelta::seconds(30);
/// How long a 429 without `Retry-After` closes the pace.
const THROTTLED_PAUSE: TimeDelta = TimeDelta::seconds(10);

/// What a gate must be told.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// The connection whose calls go through it.
    pub connection: ConnectionId,
    /// Proxy, trust and time-outs.
    pub network: NetworkSettings,
    /// `user` and `password` for the proxy, bound to the proxy's origin.
    pub proxy_credential: Option<Credential>,
    /// Time for a whole call when neither the call nor the configuration says.
    pub default_timeout: Duration,
    /// Largest answer, in bytes after unpacking; see [`DEFAULT_MAX_BODY`].
    pub max_body: usize,
    /// `User-Agent` of every call.
    pub user_agent: String,
}

impl GateSettings {
    /// What a connection's configuration says; `timeout` is the vendor's own.
    pub fn new(config: &ValidConnection, proxy_credential: Option<Credential>, timeout: Duration) -> Self {
        Self {
            connection: config.id.clone(),
            network: config.network.clone(),
            proxy_credential,
            default_timeout: timeout,
            max_body: DEFAULT_MAX_BODY,
            user_agent: concat!("purser/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why a gate could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// `network.extra_ca` cannot be used.
    #[error("network.extra_ca `{path}`: {why}")]
    ExtraCa {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// `network.proxy` cannot be used.
    #[error("network.proxy: {0}; write `http://host:port` or `none`")]
    Proxy(String),
    /// `network.proxy_secret` cannot be used.
    #[error("network.proxy_secret: {0}; set it with `purser secrets set` for the proxy's origin")]
    ProxySecret(String),
    /// The client could not be built.
    #[error(
        "cannot prepare https: {0}; on a machine without certificate authorities install them (`ca-certificates`)"
    )]
    Client(String),
}

/// What a gate has done since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStats {
    /// Calls asked for, refused ones included.
    pub calls: u64,
    /// How they ended: `2xx`, `3xx`, `4xx`, `5xx`, `in-doubt`, `not-sent`, `refused`, `throttled`, `unavailable`.
    pub by_outcome: BTreeMap<String, u64>,
    /// When the last 2xx came.
    pub last_success: Option<Timestamp>,
    /// When the last transport failure or refusal happened.
    pub last_failure_at: Option<Timestamp>,
    /// Its text.
    pub last_failure: Option<String>,
}

/// The gate of one connection.
pub struct Gate {
    settings: GateSettings,
    clients: Clients,
    pace: Arc<Pace>,
    log: Arc<dyn CallLog>,
    clock: Clock,
    scrub: LastScrub,
    stats: Mutex<GateStats>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("connection", &self.settings.connection).finish_non_exhaustive()
    }
}

/// A failure, and whether it is the gate's own refusal, which no repetition can change.
struct Failed {
    failure: Failure,
    refused: bool,
    security: bool,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, refused: false, security: false }
    }
}

/// A refusal is turned into words for logs, findings and audit, so what it repeats of the call's secrets is taken out
/// of it here. Answers that carry data are left as they are.
fn without_echo(mut answer: Answer, scrub: &Scrub) -> Answer {
    if answer.status >= 400
        && let Ok(text) = std::str::from_utf8(&answer.body)
    {
        answer.body = scrub.clean(text).into_owned().into_bytes();
    }
    answer
}

impl Gate {
    /// Prepares trust, proxy and time-outs.
    ///
    /// # Errors
    /// [`GateError`] when the network settings cannot be used.
    pub fn new(
        settings: GateSettings,
        pace: Arc<Pace>,
        log: Arc<dyn CallLog>,
        clock: Clock,
    ) -> Result<Self, GateError> {
        let clients =
            Clients::new(&settings.network, settings.proxy_credential.as_ref(), &settings.user_agent)?;
        Ok(Self { settings, clients, pace, log, clock, scrub: LastScrub::default(), stats: Mutex::default() })
    }

    /// Sends a call: checks the origin binding, waits for the pace of the credential, sends, reads the capped body,
    /// writes the audit entry. An `Err` is a transport failure, already classified: `NotSent` when the request
    /// certainly never left, `InDoubt` for a write whose answer was lost, `Unavailable` for a read, `Throttled` when
    /// the pace is closed for longer than is worth waiting (nothing was sent).
    /// HTTP 429 and 503 with `Retry-After` are answers, and close the pace; [`Answer`] is judged by the vendor.
    ///
    /// # Errors
    /// As above.
    pub async fn send(&self, call: Call) -> Result<Answer, Failure> {
        self.send_told(call).await.0
    }

    /// The pace, for vendors that say "too many" in the body of a 200.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// What it has done so far.
    pub fn stats(&self) -> GateStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The present moment of its clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// [`Gate::send`], and whether a failure is the gate's own refusal.
    pub(super) async fn send_told(&self, call: Call) -> (Result<Answer, Failure>, bool) {
        if self.log.is_full() {
            return (Err(self.unrecorded(&call)), true);
        }
        let mut pending = Pending::new(Arc::clone(&self.log), self.record_of(&call));
        let spelled = spelled_out(&call);
        let scrub = self.scrub.serve(destination::secrets(&call), &spelled);
        let secret_answer = call.secret_answer;
        let operation = call.operation;
        let result = self.pass(call, &mut pending).await.map_err(|mut failed| {
            failed.failure.message = scrub.clean(failed.failure.message.as_str()).into_owned();
            failed
        });
        self.count(&result);
        tracing::debug!(connection = %self.settings.connection, operation, outcome = %outcome_name(&result), "vendor call");
        pending.finish(|record| complete(record, &result, secret_answer, &scrub));
        match result {
            Ok(answer) => (Ok(without_echo(answer, &scrub)), false),
            Err(failed) => (Err(failed.failure), failed.refused),
        }
    }

    /// No call without a record. The refusal has none either, since there is no room for it.
    fn unrecorded(&self, call: &Call) -> Failure {
        let why = "the disk of the audit trail is full; free some space, work then goes on by itself";
        let failure =
            Failure::new(FailureClass::NotSent, format!("{}: {why}; nothing was sent", call.operation));
        self.count(&Err(Failed { failure: failure.clone(), refused: true, security: false }));
        failure
    }

    async fn pass(&self, call: Call, pending: &mut Pending) -> Result<Answer, Failed> {
        let allow_plain = self.settings.network.allow_plain_loopback;
        let origin =
            destination::check(&call, allow_plain).map_err(|refusal| refused(call.operation, &refusal))?;
        let request = self.request(&call).map_err(|why| {
            refused(call.operation, &Refusal { message: format!("{origin}: {why}"), security: false })
        })?;
        let _turn = self.pace.turn_unless_closed(LONGEST_WAIT).await.map_err(|until| {
            let message = format!(
                "{}: {origin} asked for a pause until {}; nothing was sent",
                call.operation,
                until.format("%H:%M:%SZ")
            );
            Failure::new(FailureClass::Throttled { until }, message)
        })?;
        pending.sending(self.now());
        let answer = self.exchange(&call, &origin, request).await?;
        self.heed(&answer);
        Ok(answer)
    }

    async fn exchange(
        &self,
        call: &Call,
        origin: &Origin,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, Failure> {
        let scene = Scene {
            operation: call.operation,
            origin,
            effect: call.effect,
            timeout: self.timeout(call),
            connect_timeout: connect_timeout(&self.settings.network),
        };
        let mut response = request.send().await.map_err(|error| scene.judge(&error.without_url()))?;
        let status = response.status().as_u16();
        let headers = first_values(response.headers());
        let length = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body =
            Vec::with_capacity(length.unwrap_or_default().min(self.settings.max_body).min(1 << 20));
        while let Some(chunk) = response.chunk().await.map_err(|error| scene.judge(&error.without_url()))? {
            if body.len() + chunk.len() > self.settings.max_body {
                let most = self.settings.max_body;
                return Err(
                    scene.after_sending(&format!("the answer (status {status}) is larger than {most} bytes"))
                );
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body, at: self.now() })
    }

    /// Spells the request out. Called after the destination was checked.
    fn request(&self, call: &Call) -> Result<reqwest::RequestBuilder, String> {
        let client = self.clients.of(&call.url).map_err(ToString::to_string)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header name"))?;
            headers.append(name.clone(), header_value(&name, value)?);
        }
        let request = client.request(call.method.clone(), call.url.clone()).timeout(self.timeout(call));
        let (kind, body) = match &call.body {
            Body::Empty => {
                // Without a length IIS refuses an empty POST with 411; the client library leaves it out.
                if matches!(call.method, Method::POST | Method::PUT | Method::PATCH) {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                }
                return Ok(request.headers(headers));
            }
            Body::Json(text) => ("application/json", spelled_text(text)),
            Body::Form(fields) => ("application/x-www-form-urlencoded", form(fields)),
        };
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        Ok(request.headers(headers).body(body))
    }

    fn timeout(&self, call: &Call) -> Duration {
        let configured =
            self.settings.network.timeout.map(|seconds| Duration::from_secs(seconds.max(1).into()));
        call.timeout.or(configured).unwrap_or(self.settings.default_timeout)
    }

    /// Closes the pace when the other side says that it had too many calls.
    fn heed(&self, answer: &Answer) {
        let asked = retry_after(answer, answer.at);
        match answer.status {
            429 => self.pace.closed_until(asked.unwrap_or(answer.at + THROTTLED_PAUSE)),
            503 => asked.into_iter().for_each(|until| self.pace.closed_until(until)),
            _ => {}
        }
    }

    fn record_of(&self, call: &Call) -> CallRecord {
        CallRecord {
            at: self.now(),
            connection: self.settings.connection.clone(),
            operation: call.operation.to_owned(),
            method: call.method.to_string(),
            url: url_without_login(&call.url),
            request_headers: call
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.redacted()))
                .collect(),
            request_body: capped(readable(&call.body)),
            status: None,
            answer_body: String::new(),
            duration_ms: 0,
            error: None,
            security_event: false,
            context: CallContext::current(),
        }
    }

    fn count(&self, result: &Result<Answer, Failed>) {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.calls += 1;
        *stats.by_outcome.entry(outcome_name(result).to_owned()).or_default() += 1;
        match result {
            Ok(answer) if (200..300).contains(&answer.status) => stats.last_success = Some(answer.at),
            Ok(_) => {}
            Err(failed) => {
                stats.last_failure_at = Some(self.now());
                stats.last_failure = Some(failed.failure.message.clone());
            }
        }
    }
}

fn refused(operation: &str, refusal: &Refusal) -> Failed {
    let message = format!("{operation}: {}; nothing was sent", refusal.message);
    if refusal.security {
        tracing::error!(operation, message, "call refused to protect a secret");
    }
    Failed {
        failure: Failure::new(FailureClass::NotSent, message),
        refused: true,
        security: refusal.security,
    }
}

fn complete(record: &mut CallRecord, result: &Result<Answer, Failed>, secret_answer: bool, scrub: &Scrub) {
    record.url = scrub.clean(record.url.as_str()).into_owned();
    match result {
        Ok(answer) => {
            record.status = Some(answer.status);
            record.answer_body = if secret_answer {
                format!("[secret answer: {} bytes]", answer.body.len())
            } else {
                capped(scrub.clean(text_of(&answer.body)))
            };
        }
        Err(failed) => {
            record.error = Some(failed.failure.message.clone());
            record.security_event = failed.security;
        }
    }
}

/// Nearly all answers are text as they stand, which is found out much faster than where they are not.
fn text_of(body: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

fn outcome_name(result: &Result<Answer, Failed>) -> &'static str {
    match result {
        Ok(answer) => match answer.status / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
        Err(failed) if failed.refused => "refused",
        Err(failed) => match &failed.failure.class {
            FailureClass::NotSent => "not-sent",
            FailureClass::InDoubt => "in-doubt",
            FailureClass::Throttled { .. } => "throttled",
            FailureClass::Rejected { .. } | FailureClass::Unauthorised | FailureClass::Unavailable => {
                "unavailable"
            }
        },
    }
}

/// Header values with secrets, as sent, without the scheme word: a Basic value is a secret in its own right.
fn spelled_out(call: &Call) -> Vec<Zeroizing<String>> {
    let secret = call.headers.iter().filter(|(_, value)| value.secrets().next().is_some());
    secret
        .map(|(_, value)| {
            let whole = value.expose();
            let whole = whole.expose_secret();
            Zeroizing::new(whole.split_once(' ').map_or(whole, |(_, rest)| rest).to_owned())
        })
        .collect()
}

fn header_value(name: &HeaderName, value: &SecretText) -> Result<HeaderValue, String> {
    let wrong = |_| format!("the value of header `{name}` holds a character that headers cannot carry");
    if let Some(plain) = value.as_plain() {
        return HeaderValue::from_str(plain).map_err(wrong);
    }
    let mut spelled = HeaderValue::from_str(value.expose().expose_secret()).map_err(wrong)?;
    spelled.set_sensitive(value.secrets().next().is_some());
    Ok(spelled)
}

fn spelled_text(text: &SecretText) -> String {
    match text.as_plain() {
        Some(plain) => plain.to_owned(),
        None => text.expose().expose_secret().to_owned(),
    }
}

fn form(fields: &[(String, SecretText)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name, value.expose().expose_secret());
    }
    form.finish()
}

fn readable(body: &Body) -> String {
    match body {
        Body::Empty => String::new(),
        Body::Json(text) => text.redacted(),
        Body::Form(fields) => {
            let lines: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", value.redacted())).collect();
            lines.join("\n")
        }
    }
}

fn first_values(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut first = BTreeMap::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match first.entry(name.as_str().to_owned()) {
            Entry::Vacant(free) => {
                free.insert(text);
            }
            // A session may be made of several cookies, each in a header of its own.
            Entry::Occupied(mut cookies) if name == SET_COOKIE => {
                cookies.get_mut().push('\n');
                cookies.get_mut().push_str(&text);
            }
            Entry::Occupied(_) => {}
        }
    }
    first
}

fn url_without_login(url: &url::Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return url.as_str().to_owned();
    }
    let mut url = url.clone();
    // Both fail only for URLs that cannot have a login at all.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}
