//! What every request of an agent carries to prove who sends it: one header, signed with a key that never leaves the
//! machine. It covers method, path, body, time and a nonce, and needs no state of the TLS connection, so it survives an
//! inspecting proxy. Pure: signing and checking signatures is done by the two sides.

use spend::Timestamp;
use std::fmt;

/// Name of the header.
pub const HEADER: &str = "purser-assertion";

/// How far the agent's clock may be from the control plane's, in seconds.
pub const TOLERANCE_SECONDS: i64 = 120;

/// Length of an Ed25519 signature.
const SIGNATURE: usize = 64;
const NONCE: usize = 16;

/// The request that is asserted.
#[derive(Clone, Copy, Debug)]
pub struct Asserted<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Path and query as they are sent.
    pub path: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// An assertion without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who: the agent's id, or the fingerprint of the key while it enrolls.
    pub agent: String,
    /// When, by the agent's clock, to the millisecond.
    pub at: Timestamp,
    /// Drawn for this request.
    pub nonce: [u8; NONCE],
}

/// An assertion as the header holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// What is said.
    pub claims: Claims,
    /// Ed25519 over [`Claims::message`].
    pub signature: [u8; SIGNATURE],
}

/// A header that is no assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header `{HEADER}` is not `agent; milliseconds; nonce; signature`")]
pub struct Malformed;

impl Claims {
    /// The bytes that are signed. Each part has its length before it, so that no two requests have the same bytes.
    pub fn message(&self, asserted: Asserted<'_>) -> Vec<u8> {
        let at = self.at.timestamp_millis().to_be_bytes();
        let body = blake3::hash(asserted.body);
        let parts: [&[u8]; 6] = [
            self.agent.as_bytes(),
            &at,
            &self.nonce,
            asserted.method.as_bytes(),
            asserted.path.as_bytes(),
            body.as_bytes(),
        ];
        let mut message = b"purser-assertion-1".to_vec();
        for part in parts {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        message
    }

    /// Whether the time is near enough to `now`.
    pub fn is_timely(&self, now: Timestamp) -> bool {
        (self.at - now).num_seconds().abs() <= TOLERANCE_SECONDS
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}; ", self.claims.agent, self.claims.at.timestamp_millis())?;
        hex(f, &self.claims.nonce)?;
        f.write_str("; ")?;
        hex(f, &self.signature)
    }
}

impl std::str::FromStr for Assertion {
    type Err = Malformed;

    fn from_str(header: &str) -> Result<Self, Malformed> {
        let parts: Vec<&str> = header.split(';').map(str::trim).collect();
        let [agent, millis, nonce, signature] = parts[..] else { return Err(Malformed) };
        let named = agent.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if agent.is_empty() || agent.len() > 64 || !named {
            return Err(Malformed);
        }
        let millis = millis.parse().map_err(|_| Malformed)?;
        let at = Timestamp::from_timestamp_millis(millis).ok_or(Malformed)?;
        let claims = Claims { agent: agent.to_owned(), at, nonce: unhex(nonce)? };
        Ok(Self { claims, signature: unhex(signature)? })
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn unhex<const N: usize>(text: &str) -> Result<[u8; N], Malformed> {
    if text.len() != 2 * N || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Malformed);
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| Malformed)?;
    }
    Ok(bytes)
}
