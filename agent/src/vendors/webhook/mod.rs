//! Webhooks, as far as they are the same for every vendor: what a delivery is, who may have sent it, and what it is
//! good for. Everything here is pure. A webhook is a hint and never data: the most that it can do is to have a
//! connection read earlier than its schedule says.
//!
//! - [`Delivery`] is what arrived: raw body, headers, and when;
//! - [`svix`] and [`shared_secret`] are the schemes by which a sender proves itself;
//! - a vendor's own `webhook.rs` reads the body of a proven delivery into a [`Hint`].

mod delivery;
mod hint;
pub mod shared_secret;
pub mod svix;

#[cfg(test)]
mod tests;

pub use delivery::{Delivery, MOST_BODY, MOST_HEADERS};
pub use hint::Hint;

use crate::secret::{BoundSecret, Credential};
use serde_json::{Map, Value};
use spend::Timestamp;
use zeroize::Zeroizing;

/// How far the signed time may lie from the moment of receipt, in either direction, in seconds (D).
pub const TOLERANCE_SECONDS: i64 = 300;

/// The fields of a connection's secret that prove a sender: the one in force, and during a rotation the other one. A
/// match with either is valid.
pub const SECRET_FIELDS: [&str; 2] = ["webhook_secret", "webhook_secret_next"];

/// How a vendor's webhooks are received.
pub struct WebhookKind {
    /// Whether the sender is who it must be. Reads headers and raw bytes only.
    pub verify: Verify,
    /// Reads the body of a delivery whose sender is proven.
    pub parse: fn(&[u8]) -> Result<Hint, String>,
    /// The company of the connection, where its settings name one: events of others are not for it.
    pub company: fn(&Map<String, Value>) -> Option<String>,
}

/// A check of the sender: the delivery, the secrets that prove it, the connection's settings.
pub type Verify = fn(&Delivery, &Secrets, &Map<String, Value>) -> Result<Proven, Refusal>;

/// What a proven delivery says of itself outside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    /// The sender's id of the message, the same at every attempt; none where only the body has one.
    pub id: Option<String>,
    /// When it was signed, where the scheme signs a time.
    pub signed_at: Option<Timestamp>,
}

/// The secrets that prove a connection's webhooks, with the names of their fields.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<(&'static str, BoundSecret)>);

impl Secrets {
    /// Those of a connection's secret.
    pub fn of(credential: &Credential) -> Self {
        Self(SECRET_FIELDS.iter().filter_map(|name| Some((*name, credential.get(name)?.clone()))).collect())
    }

    /// Whether there is none: then nothing can be proven, and everything is refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts with the names of their fields. They are compared and sent nowhere.
    fn spelled(&self) -> impl Iterator<Item = (&'static str, Zeroizing<String>)> {
        self.0.iter().map(|(name, secret)| (*name, Zeroizing::new(secret.expose().to_owned())))
    }
}

/// Why a delivery is refused. No text of it repeats a secret or a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not in the form in which deliveries are handed over.
    #[error("this is no delivery: {0}")]
    NoDelivery(String),
    /// The body is larger than any event.
    #[error("the body is larger than {MOST_BODY} bytes")]
    TooLarge,
    /// A header that the scheme needs is not there, or is empty.
    #[error("the header `{0}` is missing")]
    MissingHeader(String),
    /// A header is there twice, with different values.
    #[error("the header `{0}` is there twice, differently")]
    AmbiguousHeader(String),
    /// The time is no number of seconds.
    #[error("the header `{0}` is no time in whole seconds")]
    BadTimestamp(String),
    /// It was signed too long before it was received.
    #[error("it was signed {0} s before it was received; at most {TOLERANCE_SECONDS} s are allowed")]
    Stale(i64),
    /// It was signed too far after it was received.
    #[error("its signed time lies {0} s after it was received; at most {TOLERANCE_SECONDS} s are allowed")]
    Ahead(i64),
    /// There is a signature that could count, and it is wrong.
    #[error("no signature matches: another secret, or the content was changed")]
    BadSignature,
    /// There is no signature of a version that is understood.
    #[error("there is no signature of the version `v1`")]
    NoSignature,
    /// The header with the shared secret holds another value.
    #[error("the shared secret is another one")]
    WrongSecret,
    /// The connection has no secret that could prove a sender.
    #[error("the connection's secret has no field `webhook_secret`, so no sender can prove itself")]
    NoSecret,
    /// A stored secret cannot be one of this scheme: the configuration is wrong, not the sender.
    #[error("the field `{field}` of the connection's secret cannot be a webhook secret: {why}")]
    MalformedSecret {
        /// Which field.
        field: &'static str,
        /// In which way.
        why: &'static str,
    },
    /// The sender is proven; what it sent is not understood.
    #[error("the sender is right, the event is not understood: {0}")]
    BadEvent(String),
}

impl Refusal {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoDelivery(_) => "no-delivery",
            Self::TooLarge => "too-large",
            Self::MissingHeader(_) => "missing-header",
            Self::AmbiguousHeader(_) => "ambiguous-header",
            Self::BadTimestamp(_) => "bad-timestamp",
            Self::Stale(_) => "stale",
            Self::Ahead(_) => "ahead",
            Self::BadSignature => "bad-signature",
            Self::NoSignature => "no-signature",
            Self::WrongSecret => "wrong-secret",
            Self::NoSecret => "no-secret",
            Self::MalformedSecret { .. } => "malformed-secret",
            Self::BadEvent(_) => "bad-event",
        }
    }
}
