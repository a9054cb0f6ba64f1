//! How calls are authorised: a user token, or an OAuth access token that is renewed. A refresh token rotates with every
//! use (D), so the new pair is durable before it is used, and one renewal is under way at most.

use super::settings::{Auth, Oauth, Settings};
use super::wire::{Discovery, TokenAnswer};
use crate::clock::Clock;
use crate::secret::{BoundSecret, Credential, Encoding, SecretText};
use crate::vendors::CredentialKeeper;
use crate::vendors::http::{Answer, Body, Call, Effect, Token, TokenCache, Transport, retry_after};
use crate::vendors::webhook::SECRET_FIELDS;
use chrono::TimeDelta;
use reqwest::Method;
use secrecy::SecretString;
use spend::Timestamp;
use spend::posting::{Failure, FailureClass};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// The fields a credential of this vendor may have: `token`, or the other three for OAuth, of which the agent itself
/// replaces `refresh_token` with every renewal.
pub const CREDENTIAL_FIELDS: &[&str] =
    &["token", "client_id", "client_secret", "refresh_token", SECRET_FIELDS[0], SECRET_FIELDS[1]];

/// Life of an access token that does not say how long it lives (D: 3600 s).
const DEFAULT_LIFE: TimeDelta = TimeDelta::minutes(30);

/// A token dies after 90 days without a call says one page, after 30 says another (D, contradictory).
pub const IDLE_END_DAYS: i64 = 30;
/// Days without a call after which somebody should look.
pub const IDLE_WARN_DAYS: i64 = 25;
/// Days without a call after which something is read only to keep the credential alive.
pub const KEEP_ALIVE_DAYS: i64 = 7;

/// What a person does about a refused credential.
pub(super) fn how_to_mend(secret: &str) -> String {
    format!(
        "make a new token in the Brex dashboard (Developer > Settings), or sign in again for OAuth, and store it with \
         `purser secrets set {secret}`"
    )
}

/// A pair of tokens as the vendor gave it.
#[derive(Clone)]
struct Pair {
    access: BoundSecret,
    refresh: Option<BoundSecret>,
    expires: Timestamp,
}

/// What is known of the OAuth tokens.
#[derive(Default)]
struct Oauth2State {
    /// The newest refresh token that is durable.
    refresh: Option<BoundSecret>,
    /// A pair that the vendor gave and that could not be made durable yet.
    unkept: Option<Pair>,
}

/// The identity of one connection.
pub(super) struct Identity {
    credential: Credential,
    auth: Auth,
    oauth: Oauth,
    tokens: TokenCache,
    state: Mutex<Oauth2State>,
    keeper: Arc<dyn CredentialKeeper>,
    clock: Clock,
}

impl Identity {
    pub(super) fn new(
        credential: Credential,
        settings: &Settings,
        keeper: Arc<dyn CredentialKeeper>,
        clock: Clock,
    ) -> Self {
        let state = Oauth2State { refresh: credential.get("refresh_token").cloned(), unkept: None };
        Self {
            auth: settings.auth,
            oauth: settings.oauth.clone(),
            tokens: TokenCache::new(clock.clone()),
            state: Mutex::new(state),
            credential,
            keeper,
            clock,
        }
    }

    /// The name of the secret.
    pub(super) fn secret(&self) -> &str {
        &self.credential.name
    }

    /// The header that authorises a call, and the renewable token in it.
    pub(super) async fn header(
        &self,
        transport: &dyn Transport,
    ) -> Result<((&'static str, SecretText), Option<Token>), Failure> {
        let (secret, token) = match self.auth {
            Auth::Token => (self.field("token")?.clone(), None),
            Auth::Oauth2 => {
                let token = self.tokens.get(|| self.renew(transport)).await?;
                (token.value.clone(), Some(token))
            }
        };
        let bearer = SecretText::plain("Bearer ").with(&secret, Encoding::Raw);
        Ok((("authorization", bearer), token))
    }

    /// Forgets a token that was refused.
    pub(super) async fn refused(&self, token: &Token) {
        self.tokens.invalidate(token).await;
    }

    fn field(&self, name: &str) -> Result<&BoundSecret, Failure> {
        self.credential.get(name).ok_or_else(|| {
            let secret = &self.credential.name;
            let message = format!("secret `{secret}` has no field `{name}`: {}", how_to_mend(secret));
            Failure::new(FailureClass::Unauthorised, message)
        })
    }

    /// An access token: of a pair that waits to be kept, or a new one. Called by one at a time.
    async fn renew(&self, transport: &dyn Transport) -> Result<Token, Failure> {
        if let Some(pair) = self.locked(|state| state.unkept.clone()) {
            return self.keep(pair);
        }
        let url = self.token_url(transport).await?;
        let answer = transport.send(self.refresh_call(url)?).await?;
        let pair = self.read_pair(&answer)?;
        self.keep(pair)
    }

    /// Makes the rotated refresh token durable, and only then gives the access token out: the one before it is worth
    /// nothing from now on.
    fn keep(&self, pair: Pair) -> Result<Token, Failure> {
        let Some(refresh) = pair.refresh.clone() else { return Ok(Token::new(pair.access, pair.expires)) };
        if let Err(error) = self.keeper.keep(&[("refresh_token", SecretText::secret(&refresh))]) {
            let message = format!("brex.token: {error}; nothing is called until it is kept");
            self.locked(|state| state.unkept = Some(pair));
            return Err(Failure::new(FailureClass::Unavailable, message));
        }
        self.locked(|state| *state = Oauth2State { refresh: Some(refresh), unkept: None });
        Ok(Token::new(pair.access, pair.expires))
    }

    fn refresh_call(&self, url: Url) -> Result<Call, Failure> {
        let refresh = self.locked(|state| state.refresh.clone());
        let refresh = refresh.map_or_else(|| self.field("refresh_token").cloned(), Ok)?;
        let (id, secret) = (self.field("client_id")?, self.field("client_secret")?);
        let mut form = vec![
            ("grant_type".to_owned(), SecretText::plain("refresh_token")),
            ("refresh_token".to_owned(), SecretText::secret(&refresh)),
        ];
        let mut headers = vec![("accept", SecretText::plain("application/json"))];
        if self.oauth.basic {
            headers.push(("authorization", SecretText::basic(id, secret)));
        } else {
            form.push(("client_id".to_owned(), SecretText::secret(id)));
            form.push(("client_secret".to_owned(), SecretText::secret(secret)));
        }
        Ok(Call {
            operation: "brex.token",
            method: Method::POST,
            url,
            headers,
            body: Body::Form(form),
            effect: Effect::Read,
            secret_answer: true,
            timeout: None,
        })
    }

    /// The configured token endpoint, or the one that the issuer names, which must be the issuer's own.
    async fn token_url(&self, transport: &dyn Transport) -> Result<Url, Failure> {
        let wrong = |what: &str| {
            let message = format!("brex.token: {what}: correct `settings.oauth` of the connection");
            Failure::new(FailureClass::Unauthorised, message)
        };
        if let Some(url) = &self.oauth.token_url {
            return Url::parse(url).map_err(|_| wrong("token_url is not a URL"));
        }
        let issuer = Url::parse(&self.oauth.issuer).map_err(|_| wrong("issuer is not a URL"))?;
        let mut url = issuer.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([".well-known", "openid-configuration"]);
        }
        let answer = transport
            .send(Call {
                operation: "brex.discovery",
                method: Method::GET,
                url,
                headers: vec![("accept", SecretText::plain("application/json"))],
                body: Body::Empty,
                effect: Effect::Read,
                secret_answer: false,
                timeout: None,
            })
            .await?;
        let named = match answer.status {
            200 => serde_json::from_slice::<Discovery>(&answer.body).ok().and_then(|d| d.token_endpoint),
            404 => return Err(wrong("the issuer has no discovery document")),
            status => {
                let message = format!("brex.discovery: HTTP {status}");
                return Err(Failure::new(FailureClass::Unavailable, message));
            }
        };
        let named = named.and_then(|url| Url::parse(&url).ok());
        named
            .filter(|url| url.origin() == issuer.origin())
            .ok_or_else(|| wrong("the issuer names no token endpoint of its own"))
    }

    fn read_pair(&self, answer: &Answer) -> Result<Pair, Failure> {
        let secret = &self.credential.name;
        let dead = |what: &str| {
            let message = format!("brex.token: {what}: {}", how_to_mend(secret));
            Failure::new(FailureClass::Unauthorised, message)
        };
        match answer.status {
            200..=299 => {}
            429 => {
                let until = retry_after(answer, answer.at).unwrap_or(answer.at + TimeDelta::seconds(60));
                let message = "brex.token: too many calls".to_owned();
                return Err(Failure::new(FailureClass::Throttled { until }, message));
            }
            // `invalid_grant`: used before (a crash between renewal and keeping), revoked, or 90 days old.
            400 | 401 | 403 => return Err(dead("Brex refuses to renew the sign-in")),
            status => {
                let message = format!("brex.token: HTTP {status}");
                return Err(Failure::new(FailureClass::Unavailable, message));
            }
        }
        let unreadable =
            || Failure::new(FailureClass::Unavailable, "brex.token: the answer holds no token".to_owned());
        let read: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
        if read.access_token.trim().is_empty() {
            return Err(unreadable());
        }
        let bound = self.field("client_secret")?;
        let life = read.expires_in.filter(|life| *life > 0);
        let life = life.map_or(DEFAULT_LIFE, |life| TimeDelta::seconds(i64::from(life)));
        Ok(Pair {
            access: bound.derived(SecretString::from(read.access_token)),
            refresh: read
                .refresh_token
                .filter(|token| !token.trim().is_empty())
                .map(|token| bound.derived(SecretString::from(token))),
            expires: self.clock.now() + life,
        })
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Oauth2State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
