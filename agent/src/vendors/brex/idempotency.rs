//! `Idempotency-Key`s (D: required for making vendors, fields and values; a UUID v4 per logical operation).
//!
//! A key is derived from the operation instead of being drawn and stored: a repetition after a crash then repeats the
//! key without anything to remember, and a key can never meet another body. The day is part of it, because how long
//! Brex remembers a key is not known (U): something made again on purpose on another day must not be answered from
//! memory. What a repetition past midnight could do twice is prevented by looking before writing.

use spend::Date;

/// The key of an operation on a day, in the shape of a UUID v4.
pub(super) fn operation_key(parts: &[&str], day: Date) -> String {
    let mut hasher = blake3::Hasher::new();
    let day = day.to_string();
    for part in std::iter::once(&day.as_str()).chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hash = hasher.finalize().to_hex();
    // Version 4, and a variant digit of 8, 9, a or b.
    let variant = ["8", "9", "a", "b"][usize::from(hash.as_bytes()[16]) % 4];
    format!("{}-{}-4{}-{variant}{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}
