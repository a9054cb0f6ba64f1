//! Refusals of the admin API as problem documents (RFC 9457): what is wrong, where, and how to mend it. What went wrong
//! inside is logged and not told.

use crate::accounts::oidc::fetch::OidcError;
use crate::accounts::password::HashingError;
use crate::accounts::principal::Refusal as Denied;
use crate::accounts::service::AccountError;
use crate::accounts::totp::TotpError;
use crate::configurations::ConfigurationError;
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use purser_proto::finding::ConfigFinding;
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// A problem document.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Refusal {
    /// Stable word for programs.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What is wrong, in words.
    pub title: String,
    /// Where, why, and how to mend it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Of a refused configuration: every finding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Seconds after which it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<i64>,
}

/// One finding in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// Where: `flow[0].policy`; empty = the whole text.
    pub path: String,
    /// Line in the text, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in that line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// Why that is refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How to mend it.
    pub fix: String,
}

/// Findings as the API shows them.
pub(super) fn findings_of(findings: Vec<ConfigFinding>) -> Vec<Finding> {
    let shown = |finding: ConfigFinding| {
        let ConfigFinding { path, line, column, what, why, fix } = finding;
        Finding { path, line, column, what, why, fix }
    };
    findings.into_iter().map(shown).collect()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.title)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after {
            answer.insert_header((RETRY_AFTER, seconds));
        }
        if self.status == 401 {
            answer.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"purser-control\""));
        }
        answer.content_type("application/problem+json").body(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, code: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        let (title, detail) = (title.into(), detail.into());
        Self { code, status, title, detail, findings: Vec::new(), retry_after: None }
    }

    /// Nobody has proven who they are.
    pub fn unauthenticated() -> Self {
        let detail = "log in at /v1/session, or send a token as `authorization: Bearer pct_…`";
        Self::new(401, "unauthenticated", "it is not known who asks", detail)
    }

    /// There is no such thing here.
    pub fn missing() -> Self {
        Self::new(404, "not-found", "there is no such thing", "compare the id, and the tenant that is meant")
    }

    /// What was sent cannot be read.
    pub fn malformed(why: impl fmt::Display) -> Self {
        Self::new(400, "malformed", "the request cannot be read", why.to_string())
    }

    /// What was sent is read and not accepted.
    pub fn unfit(why: impl fmt::Display) -> Self {
        Self::new(422, "unfit", "the request is not accepted", why.to_string())
    }

    /// A configuration that is not valid.
    pub fn invalid(findings: Vec<Finding>) -> Self {
        let detail = format!("{} finding(s); nothing was changed", findings.len());
        Self { findings, ..Self::new(422, "invalid-configuration", "the configuration is not valid", detail) }
    }

    /// Something inside went wrong; it is in the log.
    pub fn internal(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "a request of the admin API failed");
        Self::new(
            500,
            "internal",
            "something went wrong here",
            "the log of the control plane says what, by the request id",
        )
    }

    fn later(status: u16, code: &'static str, title: String, seconds: i64) -> Self {
        let detail = format!("try again in {seconds} seconds");
        Self { retry_after: Some(seconds), ..Self::new(status, code, title, detail) }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing { .. } => Self::missing(),
            StoreError::Conflict(why) => Self::new(409, "conflict", "this cannot be done as things are", why),
            StoreError::Stopped => {
                Self::later(503, "stopping", "the control plane is stopping".to_owned(), 5)
            }
            other => Self::internal(&other),
        }
    }
}

impl From<ConfigurationError> for Refusal {
    fn from(error: ConfigurationError) -> Self {
        match error {
            ConfigurationError::Refused(findings) => Self::invalid(findings_of(findings)),
            ConfigurationError::Store(error) => error.into(),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Forbidden(permission) => {
                let detail = format!(
                    "the permission `{}` is needed; an owner can give a role that has it",
                    permission.word()
                );
                Self::new(403, "forbidden", "this is not allowed", detail)
            }
            Denied::NoSuchTenant => Self::missing(),
            Denied::WhichTenant => {
                let detail = "people of the fleet name the tenant in the header `purser-tenant`";
                Self::new(400, "which-tenant", "it is not said which tenant is meant", detail)
            }
        }
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        let words = error.to_string();
        match error {
            AccountError::Refused => {
                Self::new(401, "refused", words, "compare what you typed; codes are used once")
            }
            AccountError::SecondFactor => {
                Self::new(401, "second-factor", words, "send it as `code` with the same address and password")
            }
            AccountError::Wait(millis) => Self::later(429, "too-many-logins", words, (millis + 999) / 1000),
            AccountError::Unfit(_) => {
                Self::new(422, "unfit-password", "this password is not accepted", words)
            }
            AccountError::Conflict(why) => {
                Self::new(409, "conflict", "this cannot be done as things are", why)
            }
            AccountError::NoProvider => Self::missing(),
            AccountError::Oidc(OidcError::Provider(_)) => Self::later(503, "provider", words, 30),
            AccountError::Oidc(_) => Self::new(401, "refused", words, "begin the login again"),
            AccountError::Hashing(HashingError::Busy) => Self::later(503, "busy", words, 2),
            AccountError::Totp(TotpError::Unopened) => Self::new(409, "second-factor-lost", words, ""),
            AccountError::Hashing(_) | AccountError::Totp(_) => Self::internal(&words),
            AccountError::Store(error) => error.into(),
        }
    }
}
