//! Deliveries as a file, for endpoints that are not on this machine and for tests of whoever verifies them.
//!
//! One JSON object a line, in the order of the events:
//!
//! ```text
//! {"received_at":"2026-11-21T12:00:00Z","id":"msg_c..","event_type":"..","headers":{"webhook-id":"..",..},"body_base64":".."}
//! ```
//!
//! `received_at` is when the receiver is to think that it came (RFC 3339, UTC); `headers` have names in lower case, one
//! value each; `body_base64` is the body's exact bytes in standard base64. `id` and `event_type` repeat what stands in
//! headers and body, for reading. Nothing else is in the file: neither the secret nor the address.

use super::BrexSim;
use super::webhooks::{Fate, Message, families, signature};
use super::wire;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

/// What can be wrong with what is written.
const ALTERATIONS: &str = "none, body, secret, time, stale, ahead, version, headerless, mixed";

impl BrexSim {
    /// `{"file", "which": "all" | "undelivered", "alter": ..}`.
    pub(super) fn write_deliveries(&mut self, body: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        self.flush(now);
        let word = |name: &str| body.get(name).and_then(Value::as_str);
        let file = word("file").ok_or("\"file\" (path) is missing")?;
        let alter = word("alter").unwrap_or("none");
        if !ALTERATIONS.split(", ").any(|known| known == alter) {
            return Err(format!("unknown alteration {alter}; there are: {ALTERATIONS}"));
        }
        let all = match word("which") {
            None | Some("all") => true,
            Some("undelivered") => false,
            Some(other) => return Err(format!("which: `{other}` is neither all nor undelivered")),
        };
        let wanted = |message: &&Message| all || message.fate != Fate::Delivered;
        let lines: Vec<String> = self
            .webhooks
            .messages
            .iter()
            .filter(wanted)
            .map(|message| self.delivery(message, alter, now).to_string())
            .collect();
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        std::fs::write(file, text).map_err(|error| format!("cannot write {file}: {error}"))?;
        Ok(json!({"written": lines.len()}))
    }

    fn delivery(&self, message: &Message, alter: &str, now: DateTime<Utc>) -> Value {
        let signed_at = match alter {
            "stale" => now - TimeDelta::minutes(10),
            "ahead" => now + TimeDelta::minutes(10),
            _ => now,
        };
        let mut body = message.body.clone().into_bytes();
        let signatures = match alter {
            "secret" => signature("d3Jvbmc=", &message.id, signed_at.timestamp(), &body),
            "version" => self.signatures(&message.id, signed_at, now, &body).replace("v1,", "v3,"),
            _ => self.signatures(&message.id, signed_at, now, &body),
        };
        let shown_at = if alter == "time" { signed_at + TimeDelta::seconds(1) } else { signed_at };
        let mut headers: Map<String, Value> = self
            .webhook_headers(&message.id, shown_at, &signatures)
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        match alter {
            "body" => body.push(b' '),
            "headerless" => headers.retain(|name, _| !name.ends_with("-timestamp")),
            "mixed" => mix(&mut headers, families(&self.knobs)),
            _ => {}
        }
        json!({
            "received_at": wire::seconds(now), "id": message.id, "event_type": message.event, "headers": headers,
            "body_base64": STANDARD.encode(body)})
    }
}

/// The id moves to the other family of headers.
fn mix(headers: &mut Map<String, Value>, families: &[&str]) {
    let from = families.first().copied().unwrap_or("webhook");
    let to = if from == "svix" { "webhook" } else { "svix" };
    if let Some(id) = headers.remove(&format!("{from}-id")) {
        headers.insert(format!("{to}-id"), id);
    }
}
