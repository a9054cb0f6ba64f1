//! Who may call: tokens with their scopes, roles, expiry and inactivity; the OAuth token endpoint with refresh tokens
//! that rotate; the ceiling per token.

use super::BrexSim;
use super::knobs::{BrexKnobs, RateForm};
use super::refusal::{NO_CREDENTIALS, NO_PERMISSION, Outcome, Refusal};
use super::wire;
use crate::server::{Reply, Request};
use base64::Engine as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Every scope that a token can have here.
pub(super) const SCOPES: &[&str] = &[
    "openid",
    "offline_access",
    "accounting.record.read",
    "accounting.record.write",
    "accounting.integration.read",
    "accounting.integration.write",
    "fields.read",
    "fields.write",
    "field_values.read",
    "field_values.write",
    "expenses.card",
    "expenses.card.readonly",
    "transactions.card.readonly",
    "transactions.cash.readonly",
    "accounts.card.readonly",
    "accounts.cash.readonly",
    "statements.card.readonly",
    "statements.cash.readonly",
    "vendors",
    "vendors.readonly",
    "users.readonly",
    "departments",
    "departments.readonly",
    "locations",
    "locations.readonly",
    "titles",
    "titles.readonly",
    "legal_entities.readonly",
    "companies.readonly",
];

/// A token that may call.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) scopes: Vec<String>,
    pub(super) role: String,
    /// Of the dashboard's own kind, which dies of inactivity; the other kind dies of age.
    pub(super) user: bool,
    pub(super) used: DateTime<Utc>,
    pub(super) expires: Option<DateTime<Utc>>,
    pub(super) revoked: bool,
    calls: VecDeque<DateTime<Utc>>,
}

/// A refresh token.
#[derive(Clone, Debug)]
struct Refresh {
    scopes: Vec<String>,
    expires: DateTime<Utc>,
    used: bool,
}

/// Tokens, codes and refresh tokens.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub(super) tokens: BTreeMap<String, Token>,
    refresh: BTreeMap<String, Refresh>,
    codes: BTreeMap<String, Vec<String>>,
    pub(super) refreshes: u64,
}

/// Who a role is asked for, with the words that refuse the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roles {
    Anyone,
    Accounting,
    Contacts,
    Cash,
}

impl Roles {
    fn admits(self, role: &str) -> Result<(), &'static str> {
        let (allowed, words): (&[&str], _) = match self {
            Self::Anyone => return Ok(()),
            Self::Accounting => {
                (&["CARD_ADMIN", "BOOKKEEPER"], "Must be account admin, card admin or bookkeeper.")
            }
            Self::Contacts => (
                &["AP_CLERK", "BOOKKEEPER"],
                "Only account admin, ap clerks and bookkeepers can access contacts",
            ),
            Self::Cash => (&["CASH_ADMIN", "BOOKKEEPER"], "Must be cash admin, bookkeeper or user."),
        };
        let admin = matches!(role, "ACCOUNT_ADMIN" | "SUPER_ADMIN");
        if admin || allowed.contains(&role) { Ok(()) } else { Err(words) }
    }
}

impl Access {
    pub(super) fn new(knobs: &BrexKnobs, now: DateTime<Utc>) -> Self {
        let mut access = Self::default();
        let scopes = if knobs.token_scopes.is_empty() { all_scopes() } else { knobs.token_scopes.clone() };
        access.tokens.insert(knobs.user_token.clone(), Token::user(scopes, &knobs.role, now));
        let expires = now + TimeDelta::days(knobs.refresh_token_days);
        access
            .refresh
            .insert(knobs.refresh_token.clone(), Refresh { scopes: all_scopes(), expires, used: false });
        access
    }

    /// A code that the authorize page would hand out.
    pub(super) fn grant(&mut self, rng: &mut fastrand::Rng, scopes: Vec<String>) -> String {
        let code = wire::id(rng, "code");
        self.codes.insert(code.clone(), scopes);
        code
    }
}

impl Token {
    pub(super) fn user(scopes: Vec<String>, role: &str, now: DateTime<Utc>) -> Self {
        Self {
            scopes,
            role: role.to_owned(),
            user: true,
            used: now,
            expires: None,
            revoked: false,
            calls: VecDeque::new(),
        }
    }

    fn has_any(&self, scopes: &[&str]) -> bool {
        // Tokens from the dashboard carry these without being told.
        let implied = self.user && scopes.contains(&"openid");
        implied
            || scopes.is_empty()
            || scopes.iter().any(|wanted| self.scopes.iter().any(|own| own == wanted))
    }
}

pub(super) fn all_scopes() -> Vec<String> {
    SCOPES.iter().map(|scope| (*scope).to_owned()).collect()
}

impl BrexSim {
    /// The token of a call that may go on, as a name; marks it as used.
    pub(super) fn authenticate(&mut self, request: &Request, v3: bool) -> Outcome<String> {
        let header = request.header("authorization").unwrap_or_default();
        let Some(name) = header.strip_prefix("Bearer ").map(str::trim).filter(|name| !name.is_empty()) else {
            self.wrong("a call carried no bearer token".to_owned());
            return Err(Refusal::unauthorized(NO_CREDENTIALS));
        };
        let inactivity = TimeDelta::days(self.knobs.inactivity_days);
        let refused = match self.access.tokens.get_mut(name) {
            Some(token) if !token.revoked => {
                let idle = token.user && request.at - token.used > inactivity;
                let old = token.expires.is_some_and(|expires| request.at >= expires);
                if !idle && !old {
                    token.used = request.at;
                    return Ok(name.to_owned());
                }
                // An idle token stays dead whatever is called with it later.
                token.expires = token.expires.or(Some(request.at));
                Refusal::forbidden("Expired token")
            }
            Some(_) => Refusal::unauthorized("PERMISSION_DENIED: Invalid or Revoked Token"),
            None if v3 && !self.knobs.gateway_errors => Refusal::unauthorized(NO_CREDENTIALS),
            None => Refusal::unauthorized("PERMISSION_DENIED: Invalid or Revoked Token"),
        };
        self.refused_credentials += 1;
        Err(refused)
    }

    /// Scope, then role.
    pub(super) fn authorise(&self, token: &str, scopes: &[&str], roles: Roles) -> Outcome<()> {
        let Some(token) = self.access.tokens.get(token) else {
            return Err(Refusal::unauthorized(NO_CREDENTIALS));
        };
        if !token.has_any(scopes) {
            return Err(Refusal::forbidden(NO_PERMISSION));
        }
        roles.admits(&token.role).map_err(Refusal::unauthorized)
    }

    pub(super) fn role_of(&self, token: &str) -> &str {
        self.access.tokens.get(token).map_or("", |token| token.role.as_str())
    }

    /// A sliding window per token; refused calls do not count.
    pub(super) fn throttle(&mut self, token: &str, now: DateTime<Utc>) -> Option<Reply> {
        let (limit, window) = (self.knobs.rate_limit, TimeDelta::seconds(self.knobs.rate_window_s));
        let calls = &mut self.access.tokens.get_mut(token)?.calls;
        while calls.front().is_some_and(|at| *at + window <= now) {
            calls.pop_front();
        }
        if limit == 0 || calls.len() < limit {
            calls.push_back(now);
            return None;
        }
        self.throttled += 1;
        let mut reply = match self.knobs.rate_form {
            RateForm::Json => {
                Reply::json(429, &json!({"type": "TOO_MANY_REQUESTS", "message": "Too many requests"}))
            }
            RateForm::Empty => Reply { headers: Vec::new(), ..Reply::new(429, "", Vec::new()) },
            RateForm::Html => Reply::new(429, "text/html", "<html><body><h1>429</h1></body></html>"),
        };
        let wait = self.knobs.retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
        reply.headers.extend(wait);
        Some(reply)
    }

    /// `/oauth2/default/...`; errors are those of OAuth.
    pub(super) fn oauth(&mut self, request: &Request, rest: &[&str]) -> Reply {
        match (request.method.as_str(), rest) {
            ("GET", [".well-known", "openid-configuration"]) => {
                let host = request.header("host").unwrap_or("localhost");
                let root = format!("{}://{host}/oauth2/default", self.knobs.scheme);
                let at = |end: &str| format!("{root}/v1/{end}");
                Reply::json(
                    200,
                    &json!({"issuer": root, "authorization_endpoint": at("authorize"),
                        "token_endpoint": at("token"), "revocation_endpoint": at("revoke"), "scopes_supported": SCOPES}),
                )
            }
            ("POST", ["v1", "token"]) => self.token(request),
            ("POST", ["v1", "revoke"]) => self.revoke(request),
            _ => {
                self.wrong(format!("a call went to {}", request.path));
                oauth_error(404, "not_found")
            }
        }
    }

    fn token(&mut self, request: &Request) -> Reply {
        let form = form_of(request);
        if !self.is_client(request, &form) {
            self.refused_credentials += 1;
            return oauth_error(401, "invalid_client");
        }
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        match of("grant_type") {
            "refresh_token" => self.refresh(of("refresh_token"), request.at),
            "authorization_code" => match self.access.codes.remove(of("code")) {
                Some(scopes) => self.hand_out(scopes, request.at),
                None => oauth_error(400, "invalid_grant"),
            },
            _ => oauth_error(400, "unsupported_grant_type"),
        }
    }

    fn is_client(&self, request: &Request, form: &BTreeMap<String, String>) -> bool {
        let good = (self.knobs.client_id.as_str(), self.knobs.client_secret.as_str());
        let basic = request.header("authorization").and_then(|header| header.strip_prefix("Basic "));
        if let Some(basic) = basic {
            let expected = format!("{}:{}", good.0, good.1);
            return base64::engine::general_purpose::STANDARD
                .decode(basic)
                .is_ok_and(|b| b == expected.as_bytes());
        }
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        (of("client_id"), of("client_secret")) == good
    }

    /// Each refresh token works once; the pair that it brings replaces the old one at once.
    fn refresh(&mut self, name: &str, now: DateTime<Utc>) -> Reply {
        match self.access.refresh.get_mut(name) {
            Some(refresh) if !refresh.used && now < refresh.expires => {
                refresh.used = true;
                let scopes = refresh.scopes.clone();
                self.access.refreshes += 1;
                self.hand_out(scopes, now)
            }
            known => {
                if known.is_some_and(|refresh| refresh.used) {
                    self.wrong("a refresh token was used twice".to_owned());
                    if self.knobs.reuse_kills_family {
                        self.access.refresh.clear();
                        self.access.tokens.values_mut().filter(|t| !t.user).for_each(|t| t.revoked = true);
                    }
                }
                self.refused_credentials += 1;
                oauth_error(400, "invalid_grant")
            }
        }
    }

    fn hand_out(&mut self, scopes: Vec<String>, now: DateTime<Utc>) -> Reply {
        let (access, refresh) = (wire::id(&mut self.rng, "at"), wire::id(&mut self.rng, "rt"));
        let life = self.knobs.access_token_s;
        let token = Token {
            user: false,
            expires: Some(now + TimeDelta::seconds(life)),
            ..Token::user(scopes.clone(), &self.knobs.role, now)
        };
        let mut body = json!({"access_token": access, "expires_in": life, "token_type": "Bearer", "scope": scopes.join(" ")});
        if scopes.iter().any(|scope| scope == "offline_access") {
            let expires = now + TimeDelta::days(self.knobs.refresh_token_days);
            body["refresh_token"] = refresh.clone().into();
            self.access.refresh.insert(refresh, Refresh { scopes, expires, used: false });
        }
        self.access.tokens.insert(access, token);
        Reply::json(200, &body)
    }

    fn revoke(&mut self, request: &Request) -> Reply {
        let form = form_of(request);
        if !self.is_client(request, &form) {
            return oauth_error(401, "invalid_client");
        }
        let name = form.get("token").map(String::as_str).unwrap_or_default();
        self.access.refresh.remove(name);
        if let Some(token) = self.access.tokens.get_mut(name) {
            token.revoked = true;
        }
        Reply::json(200, &Value::Object(serde_json::Map::new()))
    }
}

fn form_of(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

fn oauth_error(status: u16, error: &str) -> Reply {
    Reply::json(status, &json!({ "error": error }))
}
