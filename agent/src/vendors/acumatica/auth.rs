//! Who we are: OAuth 2.0 tokens that are renewed by a refresh token, or a session by cookie. One login is in flight per
//! connection at most. What a login renews is durable before it is used: a rotated refresh token because the one before
//! it is worth nothing any more, a session because it holds a licensed seat until somebody signs it out, also after a
//! crash.

use super::calls::{self, Site};
use super::outcome::{Asked, ErrorBody, is_html, is_signed_out, judge};
use super::settings::{Auth, ClientProof, CookieSession, Grant, Oauth2, Settings};
use super::wire::TokenAnswer;
use crate::clock::Clock;
use crate::secret::{BoundSecret, Credential, Encoding, SecretText};
use crate::vendors::CredentialKeeper;
use crate::vendors::http::{Answer, Call, Effect, Token, TokenCache, Transport};
use chrono::TimeDelta;
use secrecy::SecretString;
use spend::Timestamp;
use spend::posting::{Failure, FailureClass};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// Life of a token that does not say how long it lives.
const DEFAULT_LIFE: TimeDelta = TimeDelta::minutes(10);
/// A session lives as long as it is used; that it has ended is told by the site.
const SESSION_LIFE: TimeDelta = TimeDelta::days(1);
/// The type of a client assertion.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Where the moment is kept at which a chain of refresh tokens began.
const REFRESH_SINCE: &str = "refresh_token_at";

/// The identity of one connection.
pub(super) struct Identity {
    credential: Credential,
    auth: Auth,
    tokens: Arc<TokenCache>,
    keeper: Arc<dyn CredentialKeeper>,
    clock: Clock,
    maintenance_minutes: u16,
    held: Mutex<Held>,
}

/// What a login has given us beside the token itself.
#[derive(Default)]
struct Held {
    /// The newest refresh token, the fingerprint by which it is recognised, and since when its chain runs.
    refresh: Option<BoundSecret>,
    fingerprint: Option<blake3::Hash>,
    since: Option<Timestamp>,
    /// It could not be made durable yet.
    unkept: bool,
    /// The session by cookie that holds a seat.
    session: Option<BoundSecret>,
    /// The site does not know that session any more, so it holds none.
    refused: bool,
    /// The session that an earlier process left behind was taken up.
    resumed: bool,
}

impl Identity {
    pub(super) fn new(
        credential: Credential,
        keeper: Arc<dyn CredentialKeeper>,
        settings: &Settings,
        clock: Clock,
    ) -> Self {
        let filled = |field: &str| credential.get(field).filter(|secret| !secret.is_empty()).cloned();
        let held = Held {
            refresh: filled("refresh_token"),
            since: credential.moment(REFRESH_SINCE),
            session: filled("session"),
            ..Held::default()
        };
        Self {
            tokens: Arc::new(TokenCache::new(clock.clone())),
            auth: settings.auth.clone(),
            maintenance_minutes: settings.maintenance_minutes,
            held: Mutex::new(held),
            credential,
            keeper,
            clock,
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn field(&self, name: &str) -> Result<&BoundSecret, Failure> {
        self.credential.get(name).filter(|secret| !secret.is_empty()).ok_or_else(|| {
            let secret = &self.credential.name;
            let message =
                format!("secret `{secret}` has no field `{name}`: add it with `purser secrets set {secret}`");
            Failure::new(FailureClass::Unauthorised, message)
        })
    }

    /// The header that authorises a call, and the token in it.
    pub(super) async fn header(
        &self,
        transport: &dyn Transport,
        site: &Site,
    ) -> Result<((&'static str, SecretText), Token), Failure> {
        let token = self.tokens.get(|| self.login(transport, site)).await?;
        let header = match &self.auth {
            Auth::Oauth2(_) => {
                ("authorization", SecretText::plain("Bearer ").with(&token.value, Encoding::Raw))
            }
            Auth::Cookie(_) => ("cookie", SecretText::secret(&token.value)),
        };
        Ok((header, token))
    }

    /// Forgets a token or session that was refused.
    pub(super) async fn refused(&self, token: &Token) {
        let newest = self.tokens.invalidate(token).await;
        self.held().refused |= newest;
    }

    /// Since when the chain of refresh tokens runs that this sign-in lives on, and when it ends: only where a person
    /// has to sign in again.
    pub(super) fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        let Auth::Oauth2(oauth2) = &self.auth else { return None };
        let since = self.held().since.filter(|_| oauth2.grant != Grant::Password)?;
        Some((since, since + TimeDelta::days(oauth2.refresh_days.into())))
    }

    /// Seconds without work after which a session is signed out; `None` where that is not needed.
    pub(super) fn linger(&self) -> Option<u16> {
        match &self.auth {
            Auth::Oauth2(_) => None,
            Auth::Cookie(cookie) => Some(cookie.linger_seconds),
        }
    }

    async fn login(&self, transport: &dyn Transport, site: &Site) -> Result<Token, Failure> {
        match &self.auth {
            Auth::Oauth2(oauth2) => self.oauth2(oauth2, transport, site).await,
            Auth::Cookie(cookie) => self.session(cookie, transport, site).await,
        }
    }

    fn asked(&self, call: &Call) -> Asked {
        Asked {
            operation: call.operation,
            effect: Effect::Read,
            maintenance_minutes: self.maintenance_minutes,
        }
    }

    // OAuth 2.0

    async fn oauth2(
        &self,
        settings: &Oauth2,
        transport: &dyn Transport,
        site: &Site,
    ) -> Result<Token, Failure> {
        let url = match &settings.token_url {
            Some(text) => {
                Url::parse(text).map_err(|_| unauthorised("settings.auth.token_url is not a URL"))?
            }
            None => site.token(),
        };
        let known = {
            let held = self.held();
            held.refresh.clone().map(|refresh| (refresh, held.unkept))
        };
        if let Some((refresh, unkept)) = known {
            if unkept {
                self.keep_refresh()?;
            }
            let form = [
                ("grant_type", SecretText::plain("refresh_token")),
                ("refresh_token", SecretText::secret(&refresh)),
            ];
            let call = calls::token(url.clone(), self.form(settings, form)?);
            let answer = transport.send(call.clone()).await?;
            let ended = is_ended(&answer);
            if !ended || settings.grant != Grant::Password {
                return self.token(&call, &answer, false).map_err(|mut failure| {
                    if ended {
                        failure.message = format!("{}: a person has to sign in again", failure.message);
                    }
                    failure
                });
            }
            tracing::info!("the refresh token has ended: signing in by password");
        }
        if settings.grant != Grant::Password {
            return Err(unauthorised(
                "there is no refresh token: sign in once in a browser, then set its `refresh_token` with `purser secrets set`",
            ));
        }
        let form = [
            ("grant_type", SecretText::plain("password")),
            ("username", SecretText::secret(self.field("user")?)),
            ("password", SecretText::secret(self.field("password")?)),
            ("scope", SecretText::plain(settings.scope.as_str())),
        ];
        let call = calls::token(url, self.form(settings, form)?);
        let answer = transport.send(call.clone()).await?;
        self.token(&call, &answer, true)
    }

    /// The fields of a grant, and what proves the application.
    fn form<const N: usize>(
        &self,
        settings: &Oauth2,
        fields: [(&str, SecretText); N],
    ) -> Result<Vec<(String, SecretText)>, Failure> {
        let mut form: Vec<(String, SecretText)> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        form.push(("client_id".to_owned(), SecretText::secret(self.field("client_id")?)));
        match settings.client {
            ClientProof::Secret => {
                form.push(("client_secret".to_owned(), SecretText::secret(self.field("client_secret")?)));
            }
            ClientProof::Assertion => {
                form.push(("client_assertion_type".to_owned(), SecretText::plain(ASSERTION_TYPE)));
                let assertion = self.field("client_assertion")?;
                form.push(("client_assertion".to_owned(), SecretText::secret(assertion)));
            }
        }
        Ok(form)
    }

    /// Reads the answer of the token endpoint. `fresh` = a new chain of refresh tokens begins with it.
    fn token(&self, call: &Call, answer: &Answer, fresh: bool) -> Result<Token, Failure> {
        judge(self.asked(call), answer).map_err(|refusal| refused_login(answer, refusal.failure))?;
        let read: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| no_token())?;
        if read.access_token.trim().is_empty() {
            return Err(no_token());
        }
        let binding = self.field("client_id")?;
        if let Some(text) = read.refresh_token.filter(|text| !text.trim().is_empty()) {
            let fingerprint = blake3::hash(text.as_bytes());
            let mut held = self.held();
            if held.fingerprint != Some(fingerprint) {
                held.refresh = Some(binding.derived(SecretString::from(text)));
                held.fingerprint = Some(fingerprint);
                held.unkept = true;
            }
            if fresh || held.since.is_none() {
                held.since = Some(self.clock.now());
                held.unkept = true;
            }
        }
        self.keep_refresh()?;
        self.warn_of_end();
        let life = read.expires_in.filter(|life| *life > 0);
        let life = life.map_or(DEFAULT_LIFE, |life| TimeDelta::seconds(life.into()));
        let value = binding.derived(SecretString::from(read.access_token));
        Ok(Token::new(value, self.clock.now() + life))
    }

    /// Makes the newest refresh token durable, if it is not yet.
    fn keep_refresh(&self) -> Result<(), Failure> {
        let mut held = self.held();
        let (true, Some(refresh)) = (held.unkept, &held.refresh) else { return Ok(()) };
        let mut fields = vec![("refresh_token", SecretText::secret(refresh))];
        if let Some(since) = held.since {
            fields.push((REFRESH_SINCE, SecretText::plain(since.to_rfc3339())));
        }
        self.keeper.keep(&fields).map_err(|error| unavailable(&error))?;
        held.unkept = false;
        Ok(())
    }

    fn warn_of_end(&self) {
        let (Auth::Oauth2(oauth2), Some((_, end))) = (&self.auth, self.ends()) else { return };
        let left = end - self.clock.now();
        if left < TimeDelta::days(oauth2.warn_days.into()) {
            let days = left.num_days().max(0);
            tracing::warn!(days, ends = %end.date_naive(), "the sign-in ends soon: a person has to sign in again");
        }
    }

    // Sessions by cookie

    async fn session(
        &self,
        settings: &CookieSession,
        transport: &dyn Transport,
        site: &Site,
    ) -> Result<Token, Failure> {
        let (left_over, first, refused) = {
            let mut held = self.held();
            let first = !std::mem::replace(&mut held.resumed, true);
            (held.session.clone(), first, held.refused)
        };
        if let Some(session) = left_over {
            // What an earlier process left behind is used again: it holds our seat anyway.
            if first {
                return Ok(Token::new(session, self.clock.now() + SESSION_LIFE));
            }
            let gone = self.sign_out_of(&session, transport, site).await;
            // It may still hold our seat: a second one beside it would never be given back.
            if !gone && !refused {
                self.note(&session)?;
                return Ok(Token::new(session, self.clock.now() + SESSION_LIFE));
            }
        }
        let password = self.field("password")?;
        let call = calls::sign_in(site, settings, self.field("user")?, password);
        let answer = transport.send(call.clone()).await?;
        judge(self.asked(&call), &answer).map_err(|refusal| refused_login(&answer, refusal.failure))?;
        let cookies = cookies(&answer);
        if cookies.is_empty() {
            return Err(no_token());
        }
        let session = password.derived(SecretString::from(cookies));
        {
            let mut held = self.held();
            (held.session, held.refused) = (Some(session.clone()), false);
        }
        if let Err(failure) = self.note(&session) {
            // A session that nobody would remember after a crash must not be opened at all.
            self.sign_out_of(&session, transport, site).await;
            return Err(failure);
        }
        Ok(Token::new(session, self.clock.now() + SESSION_LIFE))
    }

    fn note(&self, session: &BoundSecret) -> Result<(), Failure> {
        self.keeper.keep(&[("session", SecretText::secret(session))]).map_err(|error| unavailable(&error))
    }

    /// Signs the session out that is open, if one is.
    pub(super) async fn sign_out(&self, transport: &dyn Transport, site: &Site) {
        let session = self.held().session.clone();
        let Some(session) = session else { return };
        self.tokens.invalidate_all().await;
        self.sign_out_of(&session, transport, site).await;
    }

    /// Whether the session is gone now.
    async fn sign_out_of(&self, session: &BoundSecret, transport: &dyn Transport, site: &Site) -> bool {
        let answered = transport.send(calls::sign_out(site, session)).await;
        if !answered.as_ref().is_ok_and(is_gone) {
            tracing::warn!("the session could not be signed out; it is tried again before the next sign-in");
            return false;
        }
        self.held().session = None;
        if let Err(error) = self.keeper.keep(&[("session", SecretText::plain(""))]) {
            tracing::warn!(%error, "a session that was signed out is still noted");
        }
        true
    }
}

/// Whether an answer to a sign-out means that the session holds no seat: it was ended, or is not known any more.
/// Refused for any other reason, the sign-out itself was not understood and the session lives on.
fn is_gone(answer: &Answer) -> bool {
    ((200..300).contains(&answer.status) && !is_html(answer)) || is_signed_out(answer)
}

/// The cookies of a sign-in, as they are sent back.
fn cookies(answer: &Answer) -> String {
    let lines = answer.headers.get("set-cookie").map(String::as_str).unwrap_or_default().lines();
    let pairs = lines.filter_map(|line| line.split(';').next()).map(str::trim);
    let pairs: Vec<&str> = pairs.filter(|pair| pair.contains('=') && !pair.ends_with('=')).collect();
    pairs.join("; ")
}

/// Whether a refresh token was refused for good.
fn is_ended(answer: &Answer) -> bool {
    matches!(answer.status, 400 | 401) && ErrorBody::read(&answer.body).error == "invalid_grant"
}

/// A refused login is a matter of the credential, whatever it is told by; what the code says is what to mend.
fn refused_login(answer: &Answer, mut failure: Failure) -> Failure {
    if (400..500).contains(&answer.status) && !matches!(answer.status, 408 | 429) {
        if !matches!(failure.class, FailureClass::Throttled { .. }) {
            failure.class = FailureClass::Unauthorised;
        }
        let body = ErrorBody::read(&answer.body);
        let hint = match body.error.as_str() {
            "invalid_client" => {
                "the client id must be `GUID@Tenant` of a connected application of that tenant (SM303010)"
            }
            "unauthorized_client" | "unsupported_grant_type" => {
                "the connected application is set to another flow (SM303010)"
            }
            "invalid_scope" => {
                "the connected application issues no refresh tokens (set it to absolute or sliding expiration, SM303010), or the scope is misspelt"
            }
            "invalid_grant" => "user or password, or the refresh token, is refused",
            _ => return failure,
        };
        failure.message = format!("{}: {hint}", failure.message);
    }
    failure
}

fn unauthorised(words: &str) -> Failure {
    Failure::new(FailureClass::Unauthorised, words)
}

fn no_token() -> Failure {
    Failure::new(FailureClass::Unavailable, "acumatica.token: the answer holds no token and no session")
}

fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureClass::NotSent, format!("{error}; nothing more was sent"))
}
