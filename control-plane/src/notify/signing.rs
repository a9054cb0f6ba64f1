//! Signatures by which a receiver knows that a webhook is ours and fresh (Standard Webhooks 1.0): HMAC-SHA256 of
//! `id.timestamp.body`. While a secret is replaced both the new and the last one sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

/// Header with the message's id; the same at each attempt.
pub const ID: &str = "webhook-id";
/// Header with the moment of the attempt (Unix seconds).
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// What signs the messages to one destination.
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    /// A secret of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// As the receiver enters it: `whsec_…`.
    pub fn shown(&self) -> SecretString {
        SecretString::from(format!("whsec_{}", STANDARD.encode(self.0.expose_secret())))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret());
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

/// The value of [`SIGNATURE`].
pub fn signatures(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &str) -> String {
    let all: Vec<String> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_the_standards() {
        let secret = SigningSecret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        assert_eq!(secret.shown().expose_secret(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed =
            signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
