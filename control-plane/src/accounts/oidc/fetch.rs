//! What is asked of a provider over HTTPS: its description, its keys, and the ID token for a code. Answers are bounded
//! in size and time, redirects are not followed, and every address that the provider names must be https.

use super::jwt::{Disbelief, Expected, Identity, Jwks, believe, names_unknown_key};
use super::{Begun, ProviderSettings, is_safe};
use reqwest::header::ACCEPT;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::Mutex;
use url::Url;

/// Largest answer that is read.
const LARGEST: usize = 256 << 10;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long keys are believed before they are read again, in milliseconds.
const KEYS_LIVE: i64 = 60 * 60 * 1000;
/// How soon keys are read again for the sake of an unknown one, in milliseconds.
const KEYS_PAUSE: i64 = 60 * 1000;

/// Why a login at a provider does not come about.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer as it should.
    #[error("the identity provider cannot be used at the moment: {0}")]
    Provider(&'static str),
    /// It refuses the code.
    #[error("the identity provider does not accept the code; begin the login again")]
    Code,
    /// Its token is not believed.
    #[error(transparent)]
    Disbelief(#[from] Disbelief),
}

/// What a provider says about itself.
#[derive(Clone, Debug, Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    id_token: String,
}

#[derive(Debug, Default)]
struct Known {
    description: Option<(Description, i64)>,
    keys: Option<(Jwks, i64)>,
}

/// A provider and what is remembered of it.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    client: reqwest::Client,
    known: Mutex<Known>,
}

/// Whether something was read so lately. What was read in the future was read by a clock that was ahead, who knows when.
fn is_younger(at: i64, than: i64, now: i64) -> bool {
    (0..than).contains(&(now - at))
}

impl Provider {
    /// Makes one; nothing is asked yet.
    ///
    /// # Errors
    /// [`OidcError::Provider`] when the machine has no usable TLS.
    pub fn new(settings: ProviderSettings) -> Result<Self, OidcError> {
        Ok(Self { settings, client: client()?, known: Mutex::default() })
    }

    /// Its settings.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Where the browser is sent to log in.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn address(&self, begun: &Begun, back: &Url, now: i64) -> Result<Url, OidcError> {
        let description = self.description(now).await?;
        Ok(begun.address(&self.settings, &description.authorization_endpoint, back))
    }

    /// Trades the code for who it is.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn identify(
        &self,
        begun: &Begun,
        code: &str,
        back: &Url,
        now: i64,
    ) -> Result<Identity, OidcError> {
        let description = self.description(now).await?;
        let token = self.exchange(&description, begun, code, back).await?;
        let mut keys = self.keys(&description, now, KEYS_LIVE).await?;
        if names_unknown_key(&token, &keys) {
            keys = self.keys(&description, now, KEYS_PAUSE).await?;
        }
        let nonce = begun.nonce(&self.settings.id);
        let expected =
            Expected { issuer: &self.settings.issuer, client: &self.settings.client_id, nonce: &nonce, now };
        Ok(believe(&token, &keys, expected)?)
    }

    async fn description(&self, now: i64) -> Result<Description, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((description, _)) =
            known.description.as_ref().filter(|(_, at)| is_younger(*at, KEYS_LIVE, now))
        {
            return Ok(description.clone());
        }
        let request = self.client.get(self.settings.discovery());
        let description: Description = read(request, "its discovery document cannot be read").await?;
        if description.issuer != self.settings.issuer {
            return Err(OidcError::Provider("its discovery document names another issuer than the settings"));
        }
        let named = [&description.authorization_endpoint, &description.token_endpoint, &description.jwks_uri];
        if !named.into_iter().all(is_safe) {
            return Err(OidcError::Provider("its discovery document names addresses that are not https"));
        }
        known.description = Some((description.clone(), now));
        Ok(description)
    }

    async fn keys(&self, description: &Description, now: i64, younger: i64) -> Result<Jwks, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((keys, _)) = known.keys.as_ref().filter(|(_, at)| is_younger(*at, younger, now)) {
            return Ok(keys.clone());
        }
        let request = self.client.get(description.jwks_uri.clone());
        let keys: Jwks = read(request, "its keys cannot be read").await?;
        known.keys = Some((keys.clone(), now));
        Ok(keys)
    }

    async fn exchange(
        &self,
        description: &Description,
        begun: &Begun,
        code: &str,
        back: &Url,
    ) -> Result<String, OidcError> {
        let verifier = begun.verifier(&self.settings.id);
        let secret = self.settings.client_secret.expose_secret();
        let methods = &description.token_endpoint_auth_methods_supported;
        let posts = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", back.as_str())
            .append_pair("code_verifier", &verifier);
        let mut request = self.client.post(description.token_endpoint.clone());
        if posts {
            form.append_pair("client_id", &self.settings.client_id).append_pair("client_secret", secret);
        } else {
            request = request.basic_auth(encoded(&self.settings.client_id), Some(encoded(secret)));
        }
        let request = request
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish());
        let answer: TokenAnswer = read(request, "its token endpoint").await.map_err(|_| OidcError::Code)?;
        Ok(answer.id_token)
    }
}

/// RFC 6749, section 2.3.1: both halves are form-encoded before they become Basic.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gate is the agent's; this call goes to the operator's own provider"
)]
fn client() -> Result<reqwest::Client, OidcError> {
    // A provider that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .user_agent(concat!("purser-control/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| OidcError::Provider("this machine has no usable TLS"))
}

async fn read<T: DeserializeOwned>(
    request: reqwest::RequestBuilder,
    what: &'static str,
) -> Result<T, OidcError> {
    let failed = |_| OidcError::Provider(what);
    let mut answer = request.header(ACCEPT, "application/json").send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(OidcError::Provider(what));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(OidcError::Provider(what));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| OidcError::Provider(what))
}
