//! Webhook messages: made from events, signed as Svix signs, sent and sent again on the simulator's clock until they
//! arrive, the schedule ends, or the endpoint is disabled.

use super::BrexSim;
use super::knobs::{BrexKnobs, WebhookHeaders};
use super::wire;
use crate::server::{Outgoing, is_loopback};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::hmac;
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// The event that says which records are to be booked.
pub(super) const READY: &str = "ACCOUNTING_RECORD_READY_FOR_EXPORT";
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Where events go.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) status: String,
    pub(super) failing_since: Option<DateTime<Utc>>,
}

/// A signing secret; the first is the one in force.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) text: String,
    pub(super) until: Option<DateTime<Utc>>,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pending,
    Delivered,
    Failed,
    /// Lost on purpose.
    Dropped,
    /// There is no endpoint for it on this machine; it can be written to a file.
    Recorded,
}

impl Fate {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Recorded => "recorded",
        }
    }
}

/// One message with its attempts.
#[derive(Clone, Debug)]
pub(super) struct Message {
    number: u64,
    pub(super) id: String,
    pub(super) event: String,
    pub(super) body: String,
    pub(super) fate: Fate,
    /// When, and the status answered.
    pub(super) attempts: Vec<(DateTime<Utc>, Option<u16>)>,
    failures: usize,
    due: DateTime<Utc>,
    under_way: bool,
    copies: usize,
}

/// Endpoints, secrets and messages.
#[derive(Debug, Default)]
pub(super) struct Webhooks {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) secrets: Vec<Secret>,
    pub(super) messages: Vec<Message>,
    /// Records that became ready and are in no event yet.
    ready: Vec<String>,
    ready_since: Option<DateTime<Utc>>,
}

impl Webhooks {
    pub(super) fn new(rng: &mut fastrand::Rng, _now: DateTime<Utc>) -> Self {
        Self { secrets: vec![Secret { text: fresh_secret(rng), until: None }], ..Self::default() }
    }

    fn live_secrets(&self, now: DateTime<Utc>) -> Vec<&str> {
        let live = |secret: &&Secret| secret.until.is_none_or(|until| now < until);
        self.secrets.iter().filter(live).map(|secret| secret.text.as_str()).collect()
    }

    fn disable(&mut self, status: &str) {
        for endpoint in &mut self.endpoints {
            endpoint.status = status.to_owned();
        }
        let pending = self.messages.iter_mut().filter(|message| message.fate == Fate::Pending);
        pending.for_each(|message| message.fate = Fate::Failed);
    }
}

fn fresh_secret(rng: &mut fastrand::Rng) -> String {
    STANDARD.encode((0..SECRET_BYTES).map(|_| rng.u8(..)).collect::<Vec<u8>>())
}

/// `v1,<base64 of the HMAC-SHA256 of id.timestamp.body>`.
pub(super) fn signature(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> String {
    let key = STANDARD.decode(secret).unwrap_or_default();
    let content = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &content);
    format!("v1,{}", STANDARD.encode(tag))
}

/// Names of the header families that the knobs want.
pub(super) fn families(knobs: &BrexKnobs) -> &'static [&'static str] {
    match knobs.webhook_headers {
        WebhookHeaders::Webhook => &["webhook"],
        WebhookHeaders::Svix => &["svix"],
        WebhookHeaders::Both => &["svix", "webhook"],
    }
}

impl BrexSim {
    /// Signatures under every live secret, newest first.
    pub(super) fn signatures(&self, id: &str, at: DateTime<Utc>, now: DateTime<Utc>, body: &[u8]) -> String {
        let secrets = self.webhooks.live_secrets(now);
        let mut items: Vec<String> =
            secrets.iter().map(|secret| signature(secret, id, at.timestamp(), body)).collect();
        if self.knobs.other_signatures {
            items.insert(0, format!("v1a,{}", STANDARD.encode([7_u8; 64])));
            items.insert(1, "v2,bm90aGluZw==".to_owned());
            items.push("nonsense".to_owned());
        }
        items.join(" ")
    }

    /// The headers of one attempt.
    pub(super) fn webhook_headers(
        &self,
        id: &str,
        at: DateTime<Utc>,
        signatures: &str,
    ) -> Vec<(String, String)> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("user-agent".to_owned(), "Svix-Webhooks/1.0 (sandbox)".to_owned()),
        ];
        for family in families(&self.knobs) {
            headers.push((format!("{family}-id"), id.to_owned()));
            headers.push((format!("{family}-timestamp"), at.timestamp().to_string()));
            headers.push((format!("{family}-signature"), signatures.to_owned()));
        }
        headers
    }

    /// Remembers a record for the next event.
    pub(super) fn announce(&mut self, id: &str, now: DateTime<Utc>) {
        if !self.webhooks.ready.iter().any(|known| known == id) {
            self.webhooks.ready.push(id.to_owned());
        }
        self.webhooks.ready_since.get_or_insert(now);
    }

    /// Makes the events of the records that have been collected long enough.
    pub(super) fn flush(&mut self, now: DateTime<Utc>) {
        let wait = TimeDelta::seconds(self.knobs.coalesce_s);
        if self.webhooks.ready_since.is_none_or(|since| since + wait > now) {
            return;
        }
        self.webhooks.ready_since = None;
        let ids = std::mem::take(&mut self.webhooks.ready);
        for chunk in ids.chunks(self.knobs.ids_per_event.max(1)) {
            // The spelling of the members is mixed in this event.
            let body = json!({"event_type": READY, "accountingRecordIds": chunk, "companyId": self.books.company_id});
            self.post_event(&body, now);
        }
    }

    /// Makes a message of an event, whatever it says.
    pub(super) fn post_event(&mut self, body: &Value, now: DateTime<Utc>) -> String {
        let event = body.get("event_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let wants = |endpoint: &&Endpoint| endpoint.status == "ACTIVE" && endpoint.events.contains(&event);
        let near = |endpoint: &Endpoint| Url::parse(&endpoint.url).is_ok_and(|url| is_loopback(&url));
        let fate = match self.webhooks.endpoints.iter().find(wants) {
            _ if self.knobs.drop => Fate::Dropped,
            Some(endpoint) if near(endpoint) => Fate::Pending,
            _ => Fate::Recorded,
        };
        let id = wire::id(&mut self.rng, "msg");
        self.webhooks.messages.push(Message {
            number: u64::try_from(self.webhooks.messages.len()).unwrap_or(u64::MAX),
            id: id.clone(),
            event,
            body: wire::text(body),
            fate,
            attempts: Vec::new(),
            failures: 0,
            due: now,
            under_way: false,
            copies: self.knobs.duplicates,
        });
        id
    }

    pub(super) fn due_deliveries(&mut self, now: DateTime<Utc>) -> Vec<Outgoing> {
        self.flush(now);
        if self.knobs.hold {
            return Vec::new();
        }
        let url = self.webhooks.endpoints.first().map(|endpoint| endpoint.url.clone());
        let Some(url) = url else { return Vec::new() };
        let mut due: Vec<usize> = (0..self.webhooks.messages.len())
            .filter(|at| self.webhooks.messages.get(*at).is_some_and(|m| m.is_due(now)))
            .collect();
        due.sort_by_key(|at| (self.webhooks.messages[*at].due, *at));
        if self.knobs.reorder {
            due.reverse();
        }
        let mut calls = Vec::new();
        for at in due {
            let message = &mut self.webhooks.messages[at];
            message.under_way = true;
            let (number, id, body) = (message.number, message.id.clone(), message.body.clone().into_bytes());
            let signatures = self.signatures(&id, now, now, &body);
            calls.push(Outgoing {
                id: number,
                url: url.clone(),
                headers: self.webhook_headers(&id, now, &signatures),
                body,
                timeout: Duration::from_secs(self.knobs.webhook_timeout_s),
                trust: self.knobs.webhook_ca.clone(),
            });
        }
        calls
    }

    pub(super) fn settle_delivery(&mut self, number: u64, status: Option<u16>, now: DateTime<Utc>) {
        let Some(message) = self.webhooks.messages.iter_mut().find(|m| m.number == number && m.under_way)
        else {
            return;
        };
        message.under_way = false;
        message.attempts.push((now, status));
        if status.is_some_and(|status| (200..300).contains(&status)) {
            message.failures = 0;
            match message.copies.checked_sub(1) {
                Some(left) => (message.copies, message.due) = (left, now),
                None => message.fate = Fate::Delivered,
            }
            self.webhooks.endpoints.iter_mut().for_each(|endpoint| endpoint.failing_since = None);
            return;
        }
        let wait = self.knobs.retry_after_s.get(message.failures);
        message.failures += 1;
        match wait {
            Some(seconds) => message.due = now + TimeDelta::seconds(*seconds),
            None => message.fate = Fate::Failed,
        }
        self.count_failure(status, now);
    }

    /// 410 says that nobody wants the events; so does a long time of nothing but failures.
    fn count_failure(&mut self, status: Option<u16>, now: DateTime<Utc>) {
        let Some(endpoint) = self.webhooks.endpoints.first_mut() else { return };
        let since = *endpoint.failing_since.get_or_insert(now);
        if status == Some(410) || now - since >= TimeDelta::hours(self.knobs.disable_after_hours) {
            self.webhooks.disable(&self.knobs.disabled_status.clone());
        }
    }

    pub(super) fn next_delivery(&self) -> Option<DateTime<Utc>> {
        let wait = TimeDelta::seconds(self.knobs.coalesce_s);
        let event = self.webhooks.ready_since.map(|since| since + wait);
        let waiting = self.webhooks.messages.iter().filter(|message| message.is_waiting());
        let message = waiting.map(|message| message.due).min().filter(|_| self.may_deliver());
        event.into_iter().chain(message).min()
    }

    pub(super) fn deliveries_left(&self, now: DateTime<Utc>) -> usize {
        let under_way = self.webhooks.messages.iter().filter(|message| message.under_way).count();
        let event =
            self.webhooks.ready_since.is_some_and(|s| s + TimeDelta::seconds(self.knobs.coalesce_s) <= now);
        let due = self.webhooks.messages.iter().filter(|m| m.is_due(now) && self.may_deliver()).count();
        under_way + usize::from(event) + due
    }

    fn may_deliver(&self) -> bool {
        !self.knobs.hold && !self.webhooks.endpoints.is_empty()
    }

    /// The new secret signs first; the old one lives on for a while.
    pub(super) fn rotate_secret(&mut self, now: DateTime<Utc>) {
        let until = now + TimeDelta::hours(self.knobs.secret_overlap_hours);
        self.webhooks.secrets.retain(|secret| secret.until.is_none_or(|end| now < end));
        for secret in &mut self.webhooks.secrets {
            secret.until.get_or_insert(until);
        }
        let text = fresh_secret(&mut self.rng);
        self.webhooks.secrets.insert(0, Secret { text, until: None });
    }
}

impl Message {
    fn is_waiting(&self) -> bool {
        self.fate == Fate::Pending && !self.under_way
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.is_waiting() && self.due <= now
    }
}
