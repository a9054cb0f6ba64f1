//! The scheme of senders that sign nothing: one header, whose name the customer chose, holds a secret. It proves who
//! sent, and nothing about what was sent or when; so the body is a hint all the more.

use super::{Delivery, MOST_BODY, Proven, Refusal, Secrets};
use ring::hmac;

/// Whether the header holds one of the secrets. There is neither an id nor a time: repetitions are told by the body.
///
/// # Errors
/// [`Refusal`] names what is wrong. An empty secret proves nobody.
pub fn verify(delivery: &Delivery, header: &str, secrets: &Secrets) -> Result<Proven, Refusal> {
    if delivery.body.len() > MOST_BODY {
        return Err(Refusal::TooLarge);
    }
    let given = delivery.header(header)?.ok_or_else(|| Refusal::MissingHeader(header.to_owned()))?;
    if secrets.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let mut malformed = None;
    for (field, text) in secrets.spelled() {
        if text.is_empty() {
            malformed = malformed.or(Some(Refusal::MalformedSecret { field, why: "it is empty" }));
        } else if same(text.as_bytes(), given.as_bytes()) {
            return Ok(Proven::default());
        }
    }
    Err(malformed.unwrap_or(Refusal::WrongSecret))
}

/// Compares by tags of equal length, so that the time taken tells neither where nor how much of it was right.
fn same(secret: &[u8], given: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"purser shared secret");
    let tag = hmac::sign(&key, secret);
    hmac::verify(&key, given, tag.as_ref()).is_ok()
}
