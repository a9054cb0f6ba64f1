//! How calls are authorised: Basic, a token of the site's own token resource, or a token of an identity provider;
//! the API key goes with every v2 call, since it is not authentication by itself. There is one login in flight per
//! connection at most, and a refused one is not repeated at once, so that no account gets locked.

use super::calls::{self, Site};
use super::outcome::{Asked, judge};
use super::settings::{Auth, Settings};
use super::wire::TokenAnswer;
use crate::clock::Clock;
use crate::secret::{BoundSecret, Credential, SecretText};
use crate::vendors::http::{Answer, Call, Effect, Token, TokenCache, Transport};
use chrono::TimeDelta;
use secrecy::SecretString;
use spend::posting::{Failure, FailureClass};
use std::sync::Arc;
use url::Url;

/// Life of a token that does not say how long it lives.
const DEFAULT_LIFE: TimeDelta = TimeDelta::minutes(10);

/// The identity of one connection.
pub(super) struct Identity {
    credential: Credential,
    auth: Auth,
    tokens: Arc<TokenCache>,
    clock: Clock,
}

impl Identity {
    pub(super) fn new(credential: Credential, settings: &Settings, clock: Clock) -> Self {
        let tokens = Arc::new(TokenCache::new(clock.clone()));
        Self { credential, auth: settings.auth.clone(), tokens, clock }
    }

    /// Uses a token cache that outlives this client.
    pub(super) fn with_tokens(&mut self, tokens: Arc<TokenCache>) {
        self.tokens = tokens;
    }

    fn field(&self, name: &str) -> Result<&BoundSecret, Failure> {
        self.credential.get(name).ok_or_else(|| {
            let message = format!(
                "secret `{}` has no field `{name}`: add it with `purser secrets set {}`",
                self.credential.name, self.credential.name
            );
            Failure::new(FailureClass::Unauthorised, message)
        })
    }

    /// The headers that authorise a call, and the token in them.
    pub(super) async fn headers(
        &self,
        transport: &dyn Transport,
        site: &Site,
        with_key: bool,
    ) -> Result<(Vec<(&'static str, SecretText)>, Option<Token>), Failure> {
        let mut headers = Vec::new();
        if with_key {
            headers.push(("x-api-key", SecretText::secret(self.field("api_key")?)));
        }
        let token = match &self.auth {
            Auth::Basic => {
                headers
                    .push(("authorization", SecretText::basic(self.field("user")?, self.field("password")?)));
                None
            }
            Auth::Token | Auth::Oauth2 { .. } => {
                let token = self.tokens.get(|| self.login(transport, site)).await?;
                let bearer = SecretText::plain("Bearer ").with(&token.value, crate::secret::Encoding::Raw);
                headers.push(("authorization", bearer));
                Some(token)
            }
        };
        Ok((headers, token))
    }

    /// Forgets a token that was refused.
    pub(super) async fn refused(&self, token: &Token) {
        self.tokens.invalidate(token).await;
    }

    async fn login(&self, transport: &dyn Transport, site: &Site) -> Result<Token, Failure> {
        let (call, secret) = self.login_call(site)?;
        let asked = Asked { operation: call.operation, effect: Effect::Read, maintenance_minutes: 5 };
        let answer = transport.send(call).await?;
        judge(asked, &answer).map_err(|refusal| refused_login(&answer, refusal.failure))?;
        let token = read_token(&answer, secret, self.clock.now());
        token
            .ok_or_else(|| Failure::new(FailureClass::Unavailable, "epicor.token: the answer holds no token"))
    }

    fn login_call(&self, site: &Site) -> Result<(Call, &BoundSecret), Failure> {
        match &self.auth {
            Auth::Basic | Auth::Token => {
                let password = self.field("password")?;
                let call = calls::token_resource(site, self.field("user")?, password, self.field("api_key")?);
                Ok((call, password))
            }
            Auth::Oauth2 { token_url, scope } => {
                let secret = self.field("client_secret")?;
                let url = Url::parse(token_url).map_err(|_| {
                    Failure::new(
                        FailureClass::Unauthorised,
                        "settings.auth.token_url is not a URL: correct it",
                    )
                })?;
                Ok((calls::token_oauth2(url, scope, self.field("client_id")?, secret), secret))
            }
        }
    }
}

/// A refused login is a matter of the credential, whatever 4xx it is told by (identity providers say 400).
fn refused_login(answer: &Answer, mut failure: Failure) -> Failure {
    if (400..500).contains(&answer.status) && !matches!(answer.status, 408 | 410 | 429) {
        failure.class = FailureClass::Unauthorised;
    }
    failure
}

/// Reads a token answer: JSON in either spelling, or XML where `Accept` was overlooked.
pub(super) fn read_token(answer: &Answer, secret: &BoundSecret, now: spend::Timestamp) -> Option<Token> {
    let (value, life) = match serde_json::from_slice::<TokenAnswer>(&answer.body) {
        Ok(json) => (json.access_token, json.expires_in),
        Err(_) => xml_token(&answer.body)?,
    };
    if value.trim().is_empty() {
        return None;
    }
    let life = life.filter(|life| *life > 0).map_or(DEFAULT_LIFE, |life| TimeDelta::seconds(i64::from(life)));
    Some(Token::new(secret.derived(SecretString::from(value)), now + life))
}

fn xml_token(body: &[u8]) -> Option<(String, Option<u32>)> {
    let text = std::str::from_utf8(body).ok()?;
    let inner = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.trim().to_owned())
    };
    Some((inner("AccessToken")?, inner("ExpiresIn").and_then(|life| life.parse().ok())))
}
