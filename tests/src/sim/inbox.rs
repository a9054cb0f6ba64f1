//! A receiver of webhooks that remembers each call exactly, and answers as it is told: the other end of a simulator's
//! deliveries.

use crate::server::{Reply, Request, Simulator};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The receiver. Its state is `{"received": [{"path", "at", "headers": {..}, "body", "body_base64"}]}`.
#[derive(Debug)]
pub struct Inbox {
    received: Vec<Value>,
    answer: u16,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { received: Vec::new(), answer: 200 }
    }
}

impl Simulator for Inbox {
    fn name(&self) -> &'static str {
        "inbox"
    }

    fn handle(&mut self, request: &Request) -> Reply {
        let headers: serde_json::Map<String, Value> =
            request.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        self.received.push(json!({
            "path": request.path, "at": request.at.to_rfc3339(), "headers": headers,
            "body": serde_json::from_slice::<Value>(&request.body).unwrap_or_default(),
            "body_base64": STANDARD.encode(&request.body)}));
        Reply::new(self.answer, "text/plain", "")
    }

    fn state(&self) -> Value {
        json!({ "received": self.received })
    }

    /// `answer {"status"}` and `reset`.
    fn control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        match verb {
            "answer" => {
                let status = body.get("status").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok());
                self.answer = status.filter(|s| (100..600).contains(s)).ok_or("\"status\" is missing")?;
                Ok(json!({}))
            }
            "reset" => {
                *self = Self::default();
                Ok(json!({}))
            }
            _ => Err(format!("unknown verb {verb}; there are: answer, reset")),
        }
    }

    fn misuse(&self) -> Vec<String> {
        Vec::new()
    }
}
