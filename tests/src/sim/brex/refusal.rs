//! Errors in the two shapes that this vendor has: one below `/v3`, another everywhere else.

use crate::server::Reply;
use serde_json::{Value, json};

pub(super) const MALFORMED: &str = "The request is malformed or contains invalid data.";
pub(super) const NO_PERMISSION: &str = "You do not have permission to perform this action.";
pub(super) const NO_CREDENTIALS: &str = "Authentication credentials are missing or invalid.";

/// A call that is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// `error_code` below `/v3`.
    code: &'static str,
    /// `type` elsewhere.
    kind: &'static str,
    pub(super) message: String,
    details: Option<Value>,
    /// `code` outside `/v3`.
    sub: Option<&'static str>,
}

pub(super) type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    fn new(status: u16, code: &'static str, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, kind, message: message.into(), details: None, sub: None }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_REQUEST", "BAD_REQUEST", message)
    }

    pub(super) fn malformed() -> Self {
        Self::bad(MALFORMED)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "UNAUTHORIZED", "UNAUTHORIZED", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "FORBIDDEN", "FORBIDDEN", message)
    }

    pub(super) fn not_found(message: impl Into<String>, sub: Option<&'static str>) -> Self {
        Self { sub, ..Self::new(404, "NOT_FOUND", "NOT_FOUND", message) }
    }

    pub(super) fn conflict(code: &'static str, message: &str) -> Self {
        Self::new(409, code, "CONFLICT", message)
    }

    pub(super) fn unprocessable(code: &'static str, message: &str) -> Self {
        Self::new(422, code, "UNPROCESSABLE_ENTITY", message)
    }

    pub(super) fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(super) fn reply(&self, v3: bool) -> Reply {
        let body = if v3 {
            let details = self.details.clone().unwrap_or_default();
            json!({"error_code": self.code, "message": self.message, "details": details})
        } else {
            let mut body = json!({"type": self.kind, "message": self.message});
            if let Some(sub) = self.sub {
                body["code"] = sub.into();
            }
            body
        };
        Reply::json(self.status, &body)
    }
}
