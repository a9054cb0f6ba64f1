//! Login at somebody else's identity provider: authorization code with PKCE. What belongs to one login (state, nonce,
//! verifier) is derived from a random word in a short-lived cookie, so nothing is kept at the server, every node can
//! finish what another has begun, and an answer that was begun in another browser is refused.
//!
//! A provider speaks for the people of one tenant only. It never creates anybody: an owner has made the account, and the
//! first login ties the provider's id to it by the verified address.

pub mod fetch;
pub mod jwt;

use crate::accounts::compare::equal;
use secrecy::SecretString;
use url::Url;

/// Name of the cookie of a login that has begun. `SameSite=Lax`, because the provider sends the browser back.
pub const COOKIE: &str = "__Host-purser-oidc";
/// How long a login may take, in milliseconds.
pub const LONGEST: i64 = 10 * 60 * 1000;

/// A provider as the operator of the control plane sets it up.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name in addresses, e.g. `head-office`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The tenant whose people it knows; `*` for those of the fleet.
    pub tenant: String,
    /// Its issuer, letter by letter as in its discovery document.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// How we prove to be that.
    pub client_secret: SecretString,
}

/// What is wrong with a provider's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the identity provider `{id}` cannot be used: {what}")]
pub struct UnfitProvider {
    /// Which.
    pub id: String,
    /// Why, and how to mend it.
    pub what: &'static str,
}

impl ProviderSettings {
    /// Checks what can be checked without asking the provider.
    ///
    /// # Errors
    /// [`UnfitProvider`].
    pub fn check(&self) -> Result<(), UnfitProvider> {
        let unfit = |what| Err(UnfitProvider { id: self.id.clone(), what });
        let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if self.id.is_empty() || self.id.len() > 40 || !self.id.bytes().all(word) {
            return unfit("its id has 1 to 40 of a-z, 0-9 and -");
        }
        if !Url::parse(&self.issuer).is_ok_and(|issuer| is_safe(&issuer)) {
            return unfit("its issuer must be an address that begins with https://");
        }
        if self.client_id.is_empty() || self.tenant.is_empty() {
            return unfit("client_id and tenant must not be empty");
        }
        Ok(())
    }

    /// Where the provider describes itself.
    pub fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'))
    }
}

/// https, or this machine: tests and development.
pub(crate) fn is_safe(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(_)) | None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// A login that has begun. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Begun {
    began: i64,
    word: String,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Begun")
    }
}

impl Begun {
    /// Begins one with a random word.
    pub fn new(word: String, now: i64) -> Self {
        Self { began: now, word }
    }

    /// The cookie's value.
    pub fn cookie(&self) -> String {
        format!("{}.{}", self.began, self.word)
    }

    /// Reads a cookie; nothing comes of one that is too old or no cookie of ours.
    pub fn read(cookie: &str, now: i64) -> Option<Self> {
        let (began, word) = cookie.split_once('.')?;
        let began: i64 = began.parse().ok()?;
        let fresh = began <= now && now - began < LONGEST;
        (fresh && word.len() >= 26 && word.len() <= 128).then(|| Self { began, word: word.to_owned() })
    }

    /// What the provider gives back with the code.
    pub fn state(&self, provider: &str) -> String {
        self.derived("state", provider)
    }

    /// What the provider puts into the ID token.
    pub fn nonce(&self, provider: &str) -> String {
        self.derived("nonce", provider)
    }

    /// What proves at the token endpoint that who has begun the login also ends it.
    pub fn verifier(&self, provider: &str) -> String {
        self.derived("verifier", provider)
    }

    /// Whether an answer belongs to this login.
    pub fn is_answered_by(&self, provider: &str, state: &str) -> bool {
        equal(self.state(provider).as_bytes(), state.as_bytes())
    }

    /// Where the browser is sent.
    pub fn address(&self, settings: &ProviderSettings, endpoint: &Url, back: &Url) -> Url {
        use base64::Engine as _;
        let verifier = self.verifier(&settings.id);
        let challenge = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
        let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(challenge);
        let mut address = endpoint.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", back.as_str())
            .append_pair("scope", "openid email")
            .append_pair("state", &self.state(&settings.id))
            .append_pair("nonce", &self.nonce(&settings.id))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        address
    }

    fn derived(&self, purpose: &str, provider: &str) -> String {
        let context = format!("purser-control 2026 oidc {purpose} {provider} {}", self.began);
        blake3::Hash::from(blake3::derive_key(&context, self.word.as_bytes())).to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const WORD: &str = "0123456789abcdefghijklmnopqrst";

    fn settings() -> ProviderSettings {
        ProviderSettings {
            id: "office".into(),
            name: "Office".into(),
            tenant: "t1".into(),
            issuer: "https://id.example.test".into(),
            client_id: "purser".into(),
            client_secret: "not-shown".into(),
        }
    }

    #[test]
    fn a_login_is_answered_in_its_own_browser_in_time_and_at_its_own_provider() {
        let begun = Begun::new(WORD.into(), NOW);
        let state = begun.state("office");
        let read = |cookie: &str, later: i64| Begun::read(cookie, NOW + later);
        assert_eq!(read(&begun.cookie(), 0), Some(begun.clone()));
        assert_eq!(read(&begun.cookie(), LONGEST), None);
        assert_eq!(read(&begun.cookie(), -1), None);
        assert_eq!(read("", 0), None);
        assert!(begun.is_answered_by("office", &state));
        assert!(!begun.is_answered_by("other", &state) && !begun.is_answered_by("office", ""));
        let moved = read(&format!("{}.{WORD}", NOW + 1), 2).unwrap();
        assert!(!moved.is_answered_by("office", &state), "the time cannot be changed in the cookie");
    }

    #[test]
    fn the_address_carries_the_challenge_and_never_the_verifier() {
        let begun = Begun::new(WORD.into(), NOW);
        let endpoint = Url::parse("https://id.example.test/authorize?tenant=7").unwrap();
        let back = Url::parse("https://control.example.test/v1/oidc/office/callback").unwrap();
        let address = begun.address(&settings(), &endpoint, &back);
        let pairs: std::collections::HashMap<_, _> = address.query_pairs().collect();
        assert_eq!(pairs["tenant"], "7");
        assert_eq!(pairs["code_challenge_method"], "S256");
        assert_eq!(pairs["code_challenge"].len(), 43);
        assert_eq!(pairs["redirect_uri"], back.as_str());
        for secret in [begun.verifier("office"), WORD.to_owned(), "not-shown".to_owned()] {
            assert!(!address.as_str().contains(&secret));
        }
        assert!(!format!("{begun:?} {:?}", settings()).contains("not-shown"));
    }

    #[test]
    fn settings_that_would_be_unsafe_are_refused() {
        assert_eq!(settings().check(), Ok(()));
        let plain = ProviderSettings { issuer: "http://id.example.test".into(), ..settings() };
        assert!(plain.check().is_err());
        assert!(ProviderSettings { id: "../x".into(), ..settings() }.check().is_err());
        assert!(ProviderSettings { client_id: String::new(), ..settings() }.check().is_err());
        let slashed = ProviderSettings { issuer: "https://id.example.test/tenant/".into(), ..settings() };
        assert_eq!(slashed.discovery(), "https://id.example.test/tenant/.well-known/openid-configuration");
    }
}
