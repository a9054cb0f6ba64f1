//! Secrets and the origins that may see them. A [`BoundSecret`] has no `Display`, no `Serialize` and a `Debug` that
//! prints one fixed word; it is exposed in three places only: the outbound gate, after it has checked the destination,
//! the secret store, and the check of webhooks, which compares and sends nothing.

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use spend::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use url::Url;
use zeroize::Zeroizing;

/// Scheme, host and port: the only destination a secret may be sent to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

/// Why a text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an origin: write `https://host` or `https://host:port`")]
pub struct OriginError(String);

impl Origin {
    /// The origin of a URL. Only `http` and `https` have one here.
    pub fn of(url: &Url) -> Option<Self> {
        match (url.scheme(), url.host_str(), url.port_or_known_default()) {
            (scheme @ ("http" | "https"), Some(host), Some(port)) => {
                Some(Self(format!("{scheme}://{}:{port}", host.to_ascii_lowercase())))
            }
            _ => None,
        }
    }

    /// Reads `https://host` or `https://host:port`; a path, a query or credentials are refused.
    ///
    /// # Errors
    /// [`OriginError`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let refused = || OriginError(text.chars().take(80).collect());
        let url = Url::parse(text).map_err(|_| refused())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        Self::of(&url).ok_or_else(refused)
    }

    /// `scheme://host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret together with the only origins it may be sent to.
#[derive(Clone)]
pub struct BoundSecret {
    value: SecretString,
    origins: Arc<[Origin]>,
}

impl BoundSecret {
    /// Binds a value.
    pub fn new(value: SecretString, origins: Arc<[Origin]>) -> Self {
        Self { value, origins }
    }

    /// Whether it may be sent to `origin`.
    pub fn may_go_to(&self, origin: &Origin) -> bool {
        self.origins.contains(origin)
    }

    /// The origins it is bound to.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// A value derived from this one (a token obtained with it) under the same binding.
    pub fn derived(&self, value: SecretString) -> Self {
        Self { value, origins: Arc::clone(&self.origins) }
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.value.expose_secret().is_empty()
    }

    /// The value. Called by the gate, by the store and by the check of webhooks only; a test keeps it so.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

impl fmt::Debug for BoundSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// All secret fields of one connection (`user`, `password`, `api_key`, ...), bound to its origins.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The name it has in the secret store.
    pub name: String,
    fields: BTreeMap<String, BoundSecret>,
}

impl Credential {
    /// Binds fields to origins.
    pub fn new(
        name: impl Into<String>,
        fields: BTreeMap<String, SecretString>,
        origins: Arc<[Origin]>,
    ) -> Self {
        let fields =
            fields.into_iter().map(|(k, v)| (k, BoundSecret::new(v, Arc::clone(&origins)))).collect();
        Self { name: name.into(), fields }
    }

    /// One field.
    pub fn get(&self, field: &str) -> Option<&BoundSecret> {
        self.fields.get(field)
    }

    /// A moment that is kept beside the secrets (when a refresh token was first issued), as RFC 3339 text. It is no
    /// secret itself, so it may be read; anything that is not a moment is `None` and never told.
    pub fn moment(&self, field: &str) -> Option<Timestamp> {
        self.fields.get(field)?.value.expose_secret().parse().ok()
    }

    /// The names of its fields.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }
}

/// Text with secrets in it. It can be printed (secrets show as `[secret]`) and is spelled out only by the gate.
#[derive(Clone, Debug, Default)]
pub struct SecretText(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Plain(String),
    Secret(BoundSecret, Encoding),
    Basic(Box<(BoundSecret, BoundSecret)>),
}

/// How a secret is written where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Raw,
    /// Inside a JSON string literal.
    Json,
}

impl SecretText {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Text without secrets.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new().text(text)
    }

    /// One secret as it is.
    pub fn secret(secret: &BoundSecret) -> Self {
        Self::new().with(secret, Encoding::Raw)
    }

    /// The value of an `Authorization` header of the scheme Basic.
    pub fn basic(user: &BoundSecret, password: &BoundSecret) -> Self {
        Self(vec![Piece::Basic(Box::new((user.clone(), password.clone())))])
    }

    /// Adds plain text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Piece::Plain(text.into()));
        self
    }

    /// Adds a secret.
    #[must_use]
    pub fn with(mut self, secret: &BoundSecret, encoding: Encoding) -> Self {
        self.0.push(Piece::Secret(secret.clone(), encoding));
        self
    }

    /// The text, when there is no secret in it and it was written in one piece.
    pub fn as_plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// The secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &BoundSecret> {
        self.0.iter().flat_map(|piece| match piece {
            Piece::Plain(_) => [None, None].into_iter().flatten(),
            Piece::Secret(secret, _) => [Some(secret), None].into_iter().flatten(),
            Piece::Basic(pair) => [Some(&pair.0), Some(&pair.1)].into_iter().flatten(),
        })
    }

    /// What may be written down.
    pub fn redacted(&self) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) => text.as_str(),
                Piece::Secret(..) => "[secret]",
                Piece::Basic(_) => "Basic [secret]",
            })
            .collect()
    }

    /// The whole text. Called by the gate only, after it has checked the destination; a test keeps it so.
    pub fn expose(&self) -> SecretString {
        let mut whole = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => whole.push_str(text),
                Piece::Secret(secret, Encoding::Raw) => whole.push_str(secret.expose()),
                Piece::Secret(secret, Encoding::Json) => {
                    let quoted = serde_json::Value::String(secret.expose().to_owned()).to_string();
                    whole.push_str(&quoted[1..quoted.len() - 1]);
                }
                Piece::Basic(pair) => {
                    let joined = Zeroizing::new(format!("{}:{}", pair.0.expose(), pair.1.expose()));
                    whole.push_str("Basic ");
                    base64::engine::general_purpose::STANDARD.encode_string(joined.as_bytes(), &mut whole);
                }
            }
        }
        SecretString::from(whole)
    }
}
