//! The scheme of Svix and of Standard Webhooks: an HMAC-SHA256 over `id.timestamp.body`, with several signatures where
//! the secret is being rotated. (D: the public specification and the vendor's own.)

use super::{Delivery, Proven, Refusal, Secrets, TOLERANCE_SECONDS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use spend::Timestamp;
use zeroize::Zeroizing;

/// The two families of header names, in the order in which they are looked for. They are never mixed.
const FAMILIES: [&str; 2] = ["svix", "webhook"];
/// What a secret may begin with.
const PREFIX: &str = "whsec_";
/// Bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The only version that is understood: `v1a` is asymmetric, others are not known.
const VERSION: &str = "v1";
/// Most signatures that are looked at: more than two are not needed by any rotation.
const MOST_SIGNATURES: usize = 64;

/// The three headers of one family.
struct Signed<'d> {
    id: &'d str,
    timestamp: &'d str,
    signatures: &'d str,
    family: &'static str,
}

/// Whether any of the secrets has signed the delivery, not too long before or after it was received.
///
/// # Errors
/// [`Refusal`] names what is wrong.
pub fn verify(delivery: &Delivery, secrets: &Secrets) -> Result<Proven, Refusal> {
    if delivery.body.len() > super::MOST_BODY {
        return Err(Refusal::TooLarge);
    }
    let signed = headers(delivery)?;
    let signed_at = in_time(&signed, delivery.received_at)?;
    if secrets.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let given = signatures(signed.signatures);
    if given.is_empty() {
        return Err(Refusal::NoSignature);
    }
    let mut malformed = None;
    for (field, text) in secrets.spelled() {
        match key(&text) {
            // The tag is compared in constant time; which secret matched is no secret.
            Ok(key) if matches(&key, &signed, &delivery.body, &given) => {
                return Ok(Proven { id: Some(signed.id.to_owned()), signed_at: Some(signed_at) });
            }
            Ok(_) => {}
            Err(why) => malformed = malformed.or(Some(Refusal::MalformedSecret { field, why })),
        }
    }
    Err(malformed.unwrap_or(Refusal::BadSignature))
}

/// The first family that is there as a whole; else what the nearest one lacks.
fn headers(delivery: &Delivery) -> Result<Signed<'_>, Refusal> {
    let mut lacking: Option<(usize, Refusal)> = None;
    for family in FAMILIES {
        let names = ["id", "timestamp", "signature"].map(|name| format!("{family}-{name}"));
        let [id, timestamp, signatures] = [&names[0], &names[1], &names[2]].map(|name| delivery.header(name));
        let values = [id?, timestamp?, signatures?];
        if let [Some(id), Some(timestamp), Some(signatures)] = values {
            return Ok(Signed { id, timestamp, signatures, family });
        }
        let there = values.iter().flatten().count();
        if lacking.as_ref().is_none_or(|(most, _)| there >= *most) {
            let first = names.into_iter().zip(values).find(|(_, value)| value.is_none());
            let name = first.map(|(name, _)| name).unwrap_or_default();
            lacking = Some((there, Refusal::MissingHeader(name)));
        }
    }
    Err(lacking.map_or(Refusal::MissingHeader("webhook-id".to_owned()), |(_, refusal)| refusal))
}

/// The signed time, when it lies near enough to the receipt.
fn in_time(signed: &Signed<'_>, received_at: Timestamp) -> Result<Timestamp, Refusal> {
    let bad = || Refusal::BadTimestamp(format!("{}-timestamp", signed.family));
    if !signed.timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let seconds: i64 = signed.timestamp.parse().map_err(|_| bad())?;
    let at = Timestamp::from_timestamp(seconds, 0).ok_or_else(bad)?;
    let age = received_at.timestamp().saturating_sub(seconds);
    if age > TOLERANCE_SECONDS {
        return Err(Refusal::Stale(age));
    }
    if age < -TOLERANCE_SECONDS {
        return Err(Refusal::Ahead(age.saturating_neg()));
    }
    Ok(at)
}

/// The signatures that could count: `version,base64`, separated by single spaces. What is anything else is passed over.
fn signatures(header: &str) -> Vec<Vec<u8>> {
    let items = header.split(' ').take(MOST_SIGNATURES).filter_map(|item| item.split_once(','));
    let ours = items.filter(|(version, value)| *version == VERSION && !value.is_empty());
    // Text that is no base64 is a signature that cannot match.
    ours.map(|(_, value)| STANDARD.decode(value).unwrap_or_default()).collect()
}

fn key(secret: &str) -> Result<hmac::Key, &'static str> {
    let secret = secret.trim();
    let text = secret.strip_prefix(PREFIX).unwrap_or(secret);
    let bytes = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| "it is no base64")?;
    if !KEY_BYTES.contains(&bytes.len()) {
        return Err("it does not stand for 24 to 64 bytes");
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn matches(key: &hmac::Key, signed: &Signed<'_>, body: &[u8], given: &[Vec<u8>]) -> bool {
    let head = format!("{}.{}.", signed.id, signed.timestamp);
    let content = [head.as_bytes(), body].concat();
    given.iter().any(|tag| hmac::verify(key, &content, tag).is_ok())
}
