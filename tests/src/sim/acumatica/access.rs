//! Who may call: OAuth 2.0 tokens and their refresh chains, cookie sessions, and the licence's seats that both take.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::AcumaticaSim;
use super::json::{Json, text_of};
use super::knobs::Refresh;
use super::query::pairs;
use super::refusal::{Outcome, Refusal};
use crate::server::{Reply, Request};

/// Scopes that exist.
const SCOPES: [&str; 3] = ["api", "offline_access", CONCURRENT];
/// Every request without the session cookie opens a session of its own.
const CONCURRENT: &str = "api:concurrent_access";
/// A sliding chain ends after so many days at the latest.
const SLIDING_DAYS: i64 = 90;
const SESSION_COOKIE: &str = "ASP.NET_SessionId";
const TICKET_COOKIE: &str = ".ASPXAUTH";

/// A seat that is taken.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) tenant: String,
    /// The ticket in the cookie; empty = the session of a token.
    ticket: String,
    branch: String,
    last_used: DateTime<Utc>,
}

/// An access token.
#[derive(Clone, Debug)]
struct Token {
    session: String,
    tenant: String,
    scope: String,
    expires: DateTime<Utc>,
}

/// A refresh token and its chain.
#[derive(Clone, Debug)]
struct Chain {
    session: String,
    tenant: String,
    scope: String,
    started: DateTime<Utc>,
    expires: DateTime<Utc>,
}

/// Everything handed out.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub(super) sessions: BTreeMap<String, Session>,
    tokens: BTreeMap<String, Token>,
    chains: BTreeMap<String, Chain>,
    codes: BTreeMap<String, (String, String)>,
    failures: u32,
}

/// The caller of the present request.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) tenant: String,
    pub(super) session: String,
    pub(super) branch: String,
    /// A session opened for this request alone.
    pub(super) cookie: Option<String>,
}

impl Access {
    /// Ends what has expired.
    pub(super) fn sweep(&mut self, now: DateTime<Utc>, idle_minutes: i64) {
        self.tokens.retain(|_, token| token.expires > now);
        let idle = TimeDelta::minutes(idle_minutes);
        let tokens = &self.tokens;
        self.sessions.retain(|id, session| {
            if session.ticket.is_empty() {
                tokens.values().any(|token| token.session == *id)
            } else {
                session.last_used + idle > now
            }
        });
    }

    pub(super) fn state(&self) -> Value {
        let kinds = |session: &Session| if session.ticket.is_empty() { "token" } else { "cookie" };
        let sessions = self.sessions.values().map(|one| json!({ "tenant": one.tenant, "kind": kinds(one) }));
        json!({
            "sessions": sessions.collect::<Vec<_>>(),
            "access_tokens": self.tokens.len(),
            "refresh_tokens": self.chains.len(),
            "locked_after": self.failures,
        })
    }

    pub(super) fn revoke_tokens(&mut self) -> usize {
        let count = self.tokens.len();
        self.tokens.clear();
        self.sessions.retain(|_, session| !session.ticket.is_empty());
        count
    }

    pub(super) fn revoke_chains(&mut self) -> usize {
        let count = self.chains.len();
        self.chains.clear();
        count
    }

    pub(super) fn end_sessions(&mut self) -> usize {
        let count = self.sessions.len();
        self.sessions.clear();
        count
    }

    pub(super) fn unlock(&mut self) {
        self.failures = 0;
    }

    pub(super) fn add_code(&mut self, code: String, client: String, scope: String) {
        self.codes.insert(code, (client, scope));
    }
}

impl AcumaticaSim {
    fn open_session(&mut self, tenant: &str, ticket: String, branch: &str) -> Outcome<String> {
        if self.access.sessions.len() >= self.knobs.api_users {
            let mut refusal = Refusal::text(self.knobs.seat_status, &self.knobs.seat_text);
            refusal.sentence = "no seat is free".to_owned();
            return Err(refusal);
        }
        let id = self.new_word("session");
        let session =
            Session { tenant: tenant.to_owned(), ticket, branch: branch.to_owned(), last_used: self.now };
        self.access.sessions.insert(id.clone(), session);
        Ok(id)
    }

    fn good_password(&mut self, user: &str, password: &str) -> bool {
        let locked = self.access.failures >= self.knobs.lock_after;
        if !locked && user == self.knobs.username && password == self.knobs.password {
            self.access.failures = 0;
            return true;
        }
        self.access.failures = self.access.failures.saturating_add(1);
        false
    }

    /// `/identity/...`.
    pub(super) fn identity_call(&mut self, request: &Request, rest: &str) -> Outcome<Reply> {
        match (request.method.as_str(), rest.trim_matches('/')) {
            ("POST", "connect/token") => self.token_call(request),
            ("GET", ".well-known/openid-configuration") => {
                let (prefix, _) = request.path.split_once("/identity/").unwrap_or_default();
                let at = format!("http://{}{prefix}/identity", request.header("host").unwrap_or_default());
                Ok(Reply::json(
                    200,
                    &json!({
                        "issuer": at,
                        "authorization_endpoint": format!("{at}/connect/authorize"),
                        "token_endpoint": format!("{at}/connect/token"),
                        "scopes_supported": SCOPES,
                        "grant_types_supported": ["authorization_code", "implicit", "password", "hybrid"],
                    }),
                ))
            }
            ("GET", "connect/authorize") => Err(Refusal::page(200, "Sign In")),
            _ => Err(Refusal::page(404, "Not Found").wrong_call()),
        }
    }

    fn token_call(&mut self, request: &Request) -> Outcome<Reply> {
        let form = pairs(&String::from_utf8_lossy(&request.body));
        let of =
            |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        if !request.header("content-type").is_some_and(|kind| kind.contains("x-www-form-urlencoded")) {
            return Err(Refusal::oauth("invalid_request").wrong_call());
        }
        let tenant = self.client_tenant(of("client_id"), of("client_secret"))?;
        match of("grant_type") {
            "password" if !self.knobs.password_grant => Err(Refusal::oauth("unauthorized_client")),
            "password" => {
                let scope = self.scope(of("scope"))?;
                if !self.good_password(of("username"), of("password")) {
                    return Err(Refusal::oauth("invalid_grant"));
                }
                self.first_tokens(&tenant, &scope)
            }
            "authorization_code" => {
                let known = self.access.codes.get(of("code")).cloned();
                let Some((client, scope)) = known.filter(|(client, _)| client == of("client_id")) else {
                    return Err(Refusal::oauth("invalid_grant"));
                };
                if of("redirect_uri") != self.knobs.redirect_uri {
                    return Err(Refusal::oauth("invalid_grant").wrong_call());
                }
                let scope = self.scope(&scope)?;
                let tokens = self.first_tokens(&tenant, &scope)?;
                // A code is good for one use.
                self.access.codes.retain(|_, (other, _)| *other != client);
                Ok(tokens)
            }
            "refresh_token" => self.refreshed(&tenant, of("refresh_token")),
            "client_credentials" => Err(Refusal::oauth("unauthorized_client").wrong_call()),
            _ => Err(Refusal::oauth("unsupported_grant_type").wrong_call()),
        }
    }

    /// The client id selects the tenant: `GUID@Tenant`.
    fn client_tenant(&mut self, id: &str, secret: &str) -> Outcome<String> {
        let refused = || Refusal::oauth("invalid_client");
        let (guid, tenant) = id.split_once('@').ok_or_else(refused)?;
        let known = self.tenants.iter().find(|known| known.name == tenant).ok_or_else(refused)?;
        if !guid.eq_ignore_ascii_case(&self.knobs.client_guid) || secret != self.knobs.client_secret {
            return Err(refused());
        }
        Ok(known.name.clone())
    }

    fn scope(&mut self, asked: &str) -> Outcome<String> {
        let words: Vec<&str> = asked.split_whitespace().collect();
        let known = words.iter().all(|word| SCOPES.contains(word));
        let offline = words.contains(&"offline_access");
        if !known || words.is_empty() || (offline && self.knobs.refresh == Refresh::None) {
            return Err(Refusal::oauth("invalid_scope"));
        }
        if words.contains(&CONCURRENT) {
            self.note_sentence("the scope api:concurrent_access opens sessions without end");
        }
        Ok(words.join(" "))
    }

    fn first_tokens(&mut self, tenant: &str, scope: &str) -> Outcome<Reply> {
        let session = self.open_session(tenant, String::new(), "")?;
        let chain = Chain {
            session,
            tenant: tenant.to_owned(),
            scope: scope.to_owned(),
            started: self.now,
            expires: self.now + TimeDelta::days(self.knobs.refresh_days),
        };
        Ok(self.tokens(chain))
    }

    fn tokens(&mut self, chain: Chain) -> Reply {
        let access = self.new_word("access");
        let token = Token {
            session: chain.session.clone(),
            tenant: chain.tenant.clone(),
            scope: chain.scope.clone(),
            expires: self.now + TimeDelta::seconds(self.knobs.token_seconds),
        };
        let mut body = json!({
            "access_token": access,
            "expires_in": self.knobs.token_seconds,
            "token_type": "Bearer",
            "scope": chain.scope,
        });
        self.access.tokens.insert(access, token);
        if chain.scope.contains("offline_access") {
            let refresh = self.new_word("refresh");
            body["refresh_token"] = json!(refresh);
            self.access.chains.insert(refresh, chain);
        }
        Reply::json(200, &body)
    }

    /// All tokens of one grant share a session. It is opened again where it has ended.
    fn refreshed(&mut self, tenant: &str, sent: &str) -> Outcome<Reply> {
        let chain = self.access.chains.get(sent).cloned();
        let chain = chain.filter(|chain| chain.tenant == tenant && chain.expires > self.now);
        let Some(mut chain) = chain else {
            self.access.chains.remove(sent);
            return Err(Refusal::oauth("invalid_grant"));
        };
        if !self.access.sessions.contains_key(&chain.session) {
            chain.session = self.open_session(tenant, String::new(), "")?;
        }
        if self.knobs.refresh == Refresh::Sliding {
            let last = chain.started + TimeDelta::days(SLIDING_DAYS);
            chain.expires = last.min(self.now + TimeDelta::days(self.knobs.refresh_days));
        }
        if self.knobs.rotate_refresh {
            self.access.chains.remove(sent);
            return Ok(self.tokens(chain));
        }
        // The same refresh token goes on; the answer names none.
        let scope = chain.scope.clone();
        self.access.chains.insert(sent.to_owned(), chain.clone());
        let mut reply = self.tokens(Chain { scope: scope.replace("offline_access", ""), ..chain });
        if let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) {
            body["scope"] = json!(scope);
            reply = Reply::json(200, &body);
        }
        Ok(reply)
    }

    /// `POST entity/auth/login`.
    pub(super) fn login(&mut self, request: &Request) -> Outcome<Reply> {
        let Ok(Json::Obj(sent)) = Json::parse(&request.body) else {
            return Err(Refusal::malformed("credentials", "The body is not an object."));
        };
        if !self.good_password(text_of(&sent, "name"), text_of(&sent, "password")) {
            let text = "Error: Invalid credentials. Please try again.";
            return Err(Refusal::new(self.knobs.bad_login_status, super::refusal::GENERAL, text));
        }
        let asked = [text_of(&sent, "tenant"), text_of(&sent, "company")];
        let asked = asked.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned();
        let tenant = self.login_tenant(&asked)?;
        let branch = text_of(&sent, "branch").to_owned();
        let ticket = self.new_word("ticket");
        let id = self.open_session(&tenant, ticket.clone(), &branch)?;
        let cookie = |name: &str, value: &str| {
            ("set-cookie".to_owned(), format!("{name}={value}; path=/; HttpOnly; SameSite=Lax"))
        };
        let mut reply = no_content();
        reply.headers = vec![cookie(SESSION_COOKIE, &id), cookie(TICKET_COOKIE, &ticket)];
        Ok(reply)
    }

    /// No tenant, or any on a site with one: the default. A strange one on a site with several: an error.
    fn login_tenant(&self, asked: &str) -> Outcome<String> {
        let first = self.tenants.first().map(|tenant| tenant.name.clone()).unwrap_or_default();
        if asked.is_empty() || self.tenants.len() < 2 {
            return Ok(first);
        }
        let known = self.tenants.iter().find(|tenant| tenant.name == asked);
        known.map(|tenant| tenant.name.clone()).ok_or_else(|| {
            Refusal::new(500, "PX.Data.PXUndefinedCompanyException", "The company is not defined.")
        })
    }

    /// `POST entity/auth/logout`.
    pub(super) fn logout(&mut self, request: &Request) -> Reply {
        if let Some(bearer) = bearer(request)
            && let Some(token) = self.access.tokens.remove(bearer)
        {
            self.access.tokens.retain(|_, other| other.session != token.session);
            self.access.sessions.remove(&token.session);
        }
        if let Some(id) = cookie(request, SESSION_COOKIE) {
            self.access.sessions.remove(&id);
        }
        no_content()
    }

    /// The caller, or why not.
    pub(super) fn caller(&mut self, request: &Request, prefix: &str) -> Outcome<Caller> {
        if let Some(sent) = bearer(request) {
            let token = self.access.tokens.get(sent).cloned().ok_or_else(Refusal::unauthorized)?;
            let mut caller = Caller { tenant: token.tenant, session: token.session, ..Caller::default() };
            let known = cookie(request, SESSION_COOKIE).filter(|id| self.access.sessions.contains_key(id));
            if token.scope.contains(CONCURRENT) {
                caller.session = match known {
                    Some(id) => id,
                    None => {
                        let ticket = self.new_word("ticket");
                        let id = self.open_session(&caller.tenant, ticket, "")?;
                        caller.cookie = Some(format!("{SESSION_COOKIE}={id}; path=/; HttpOnly"));
                        id
                    }
                };
            }
            return Ok(caller);
        }
        let Some(id) = cookie(request, SESSION_COOKIE) else { return Err(Refusal::unauthorized()) };
        let ticket = cookie(request, TICKET_COOKIE).unwrap_or_default();
        let now = self.now;
        let alive =
            self.access.sessions.get_mut(&id).filter(|one| !ticket.is_empty() && one.ticket == ticket);
        match alive {
            Some(session) => {
                session.last_used = now;
                let (tenant, branch) = (session.tenant.clone(), session.branch.clone());
                Ok(Caller { tenant, session: id, branch, cookie: None })
            }
            None if self.knobs.dead_cookie_redirects => Err(Refusal::login_page(prefix)),
            None => Err(Refusal::unauthorized()),
        }
    }
}

fn bearer(request: &Request) -> Option<&str> {
    request.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
}

fn cookie(request: &Request, name: &str) -> Option<String> {
    let sent = request.headers.iter().filter(|(header, _)| header == "cookie");
    sent.flat_map(|(_, value)| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// 204.
pub(super) fn no_content() -> Reply {
    let mut reply = Reply::new(204, "", Vec::new());
    reply.headers.clear();
    reply
}
