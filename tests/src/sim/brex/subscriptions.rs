//! Webhook endpoints and the secrets that their deliveries are signed with.

use super::books::Status;
use super::fields::required;
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::webhooks::{Endpoint, Fate};
use super::{BrexSim, done, wire};
use crate::server::{Reply, is_loopback};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::Url;

const EVENTS: &[&str] = &[
    "ACCOUNTING_RECORD_READY_FOR_EXPORT",
    "EXPENSE_PAYMENT_UPDATED",
    "TRANSFER_PROCESSED",
    "TRANSFER_FAILED",
    "USER_UPDATED",
    "REFERRAL_CREATED",
    "REFERRAL_ACTIVATED",
    "REFERRAL_APPLICATION_STATUS_CHANGED",
    "PARTNERSHIP_INTEGRATION_CONNECTION_UPDATED",
];

impl BrexSim {
    pub(super) fn list_webhooks(&self, query: &Query) -> Outcome<Value> {
        self.listed(query, &self.webhooks.endpoints, endpoint_body)
    }

    pub(super) fn one_webhook(&self, id: &str) -> Outcome<Value> {
        let endpoint = self.webhooks.endpoints.iter().find(|endpoint| endpoint.id == id);
        Ok(endpoint_body(endpoint.ok_or_else(unknown)?))
    }

    pub(super) fn create_webhook(&mut self, body: &Value, token: &str) -> Outcome<Value> {
        let (url, events) = self.wanted(body, token)?;
        if self.knobs.one_endpoint && !self.webhooks.endpoints.is_empty() {
            return Err(Refusal::bad("Only one webhook endpoint can be registered"));
        }
        let endpoint = Endpoint {
            id: wire::id(&mut self.rng, "whe"),
            url,
            events,
            status: "ACTIVE".to_owned(),
            failing_since: None,
        };
        let answer = endpoint_body(&endpoint);
        self.webhooks.endpoints.push(endpoint);
        Ok(answer)
    }

    pub(super) fn update_webhook(
        &mut self,
        id: &str,
        body: &Value,
        token: &str,
        _now: DateTime<Utc>,
    ) -> Outcome<Value> {
        let (url, events) = self.wanted(body, token)?;
        let status = required(body, "status")?;
        if !matches!(status.as_str(), "ACTIVE" | "INACTIVE") {
            return Err(Refusal::bad("status is invalid"));
        }
        let endpoint = self.webhooks.endpoints.iter_mut().find(|endpoint| endpoint.id == id);
        let endpoint = endpoint.ok_or_else(unknown)?;
        (endpoint.url, endpoint.events, endpoint.failing_since) = (url, events, None);
        endpoint.status = status;
        Ok(endpoint_body(endpoint))
    }

    pub(super) fn delete_webhook(&mut self, id: &str) -> Outcome<Reply> {
        let before = self.webhooks.endpoints.len();
        self.webhooks.endpoints.retain(|endpoint| endpoint.id != id);
        if self.webhooks.endpoints.len() == before {
            return Err(unknown());
        }
        let pending = self.webhooks.messages.iter_mut().filter(|message| message.fate == Fate::Pending);
        pending.for_each(|message| message.fate = Fate::Failed);
        Ok(done())
    }

    /// A bare array, not a page.
    pub(super) fn secrets(&self, now: DateTime<Utc>) -> Value {
        let prefix = if self.knobs.secret_prefix { "whsec_" } else { "" };
        let live = self.webhooks.secrets.iter().filter(|secret| secret.until.is_none_or(|until| now < until));
        let body = |secret: &super::webhooks::Secret| {
            let status = if secret.until.is_some() { "PENDING_REVOKE" } else { "ACTIVE" };
            json!({"secret": format!("{prefix}{}", secret.text), "status": status})
        };
        live.map(body).collect()
    }

    /// The endpoint must be public and on HTTPS; this machine is let through, as nothing else can be reached from here.
    fn wanted(&self, body: &Value, token: &str) -> Outcome<(String, Vec<String>)> {
        let text = required(body, "url")?;
        let url = Url::parse(&text).map_err(|_| Refusal::bad("url is invalid"))?;
        if url.scheme() != "https" && !is_loopback(&url) {
            return Err(Refusal::bad("url must be HTTPS"));
        }
        let list = body.get("event_types").and_then(Value::as_array).filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| Refusal::bad("event_types is required"))?;
        let known = |event: &Value| event.as_str().filter(|e| EVENTS.contains(e)).map(str::to_owned);
        let events: Option<Vec<String>> = list.iter().map(known).collect();
        let events = events.ok_or_else(|| Refusal::bad("event_types is invalid"))?;
        let admin = matches!(self.role_of(token), "CARD_ADMIN" | "ACCOUNT_ADMIN" | "SUPER_ADMIN");
        if events.iter().any(|event| event == "EXPENSE_PAYMENT_UPDATED") {
            self.authorise(token, &["expenses.card.readonly"], super::access::Roles::Anyone)?;
            if !admin {
                return Err(Refusal::unauthorized("Must be card admin."));
            }
        }
        Ok((text, events))
    }

    /// Records that an event would name now.
    pub(super) fn ready_ids(&self) -> Vec<String> {
        let ready = self.books.records.iter().filter(|record| record.status == Status::Ready);
        ready.filter(|record| record.source_type != "BILL").map(|record| record.id.clone()).collect()
    }
}

fn unknown() -> Refusal {
    Refusal::not_found("Webhook not found", None)
}

fn endpoint_body(endpoint: &Endpoint) -> Value {
    json!({"id": endpoint.id, "url": endpoint.url, "event_types": endpoint.events, "status": endpoint.status})
}
