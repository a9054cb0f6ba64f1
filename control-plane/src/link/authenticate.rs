//! Whose request this is: the assertion's signature, time and nonce. Order matters: only who has the key learns anything
//! about clocks, and only a request that is genuine uses up its nonce.

use super::{Link, Refusal, Request};
use crate::clock::{Millis, timestamp};
use crate::store::agents::Agent;
use crate::store::{StoreError, Tx, agents, nonces};
use purser_proto::link::assertion::{Asserted, Assertion, Claims};
use ring::signature::{ED25519, UnparsedPublicKey};

/// Length of an Ed25519 public key and signature.
const KEY: usize = 32;
const SIGNATURE: usize = 64;

/// A request whose signature is right and whose time is near; that it is not a repetition is found when it is written.
pub(super) struct Genuine {
    pub(super) nonce: String,
    pub(super) at: Millis,
}

impl Link {
    /// The agent that sent a request.
    pub(super) async fn caller(&self, request: Request<'_>) -> Result<(Agent, Genuine), Refusal> {
        let assertion = assertion(request)?;
        let agent = {
            let mut connection = self.store.read().await?;
            agents::by_id(&mut connection, &assertion.claims.agent).await?
        };
        let agent = agent.ok_or(Refusal::UnknownAgent)?;
        let genuine = genuine(&assertion, request, &agent.signing, self.now())?;
        // After the signature: only the agent itself is told.
        if agent.revoked_at.is_some() {
            return Err(Refusal::Revoked);
        }
        Ok((agent, genuine))
    }
}

/// The header of a request.
pub(super) fn assertion(request: Request<'_>) -> Result<Assertion, Refusal> {
    request.assertion.and_then(|header| header.parse().ok()).ok_or(Refusal::BadAssertion)
}

/// Checks signature and time.
pub(super) fn genuine(
    assertion: &Assertion,
    request: Request<'_>,
    signing: &str,
    now: Millis,
) -> Result<Genuine, Refusal> {
    let asserted = Asserted { method: request.method, path: request.path, body: request.body };
    let message = assertion.claims.message(asserted);
    if !is_signed(signing, &message, &assertion.signature) {
        return Err(Refusal::BadSignature);
    }
    timely(&assertion.claims, now)?;
    Ok(Genuine { nonce: nonce_text(&assertion.claims), at: assertion.claims.at.timestamp_millis() })
}

/// Whether `message` was signed with the key of these hexadecimal digits.
pub(super) fn is_signed(key: &str, message: &[u8], signature: &[u8]) -> bool {
    let Some(key) = unhex::<KEY>(key) else { return false };
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// Whether these are digits of an Ed25519 public key and of an age recipient.
pub(super) fn are_keys(keys: &purser_proto::link::enrollment::PublicKeys) -> Result<(), Refusal> {
    if unhex::<KEY>(keys.signing.as_str()).is_none() {
        return Err(Refusal::BadKeys("`signing` is not 64 lower-case hexadecimal digits"));
    }
    if keys.recipient.as_str().parse::<age::x25519::Recipient>().is_err() {
        return Err(Refusal::BadKeys("`recipient` is not an age recipient (`age1…`)"));
    }
    Ok(())
}

/// The signature of these hexadecimal digits.
pub(super) fn signature(digits: &str) -> Option<[u8; SIGNATURE]> {
    unhex(digits)
}

/// Uses the request up; a second one with the same nonce is refused.
pub(super) async fn once(
    tx: &mut Tx,
    who: &str,
    genuine: &Genuine,
    now: Millis,
) -> Result<Result<(), Refusal>, StoreError> {
    let new = nonces::remember(tx, who, &genuine.nonce, genuine.at, now).await?;
    Ok(if new { Ok(()) } else { Err(Refusal::Replayed) })
}

fn timely(claims: &Claims, now: Millis) -> Result<(), Refusal> {
    if claims.is_timely(timestamp(now)) {
        return Ok(());
    }
    let seconds = (claims.at.timestamp_millis() - now) / 1000;
    Err(Refusal::ClockSkewed { seconds, now })
}

fn nonce_text(claims: &Claims) -> String {
    claims.nonce.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}
