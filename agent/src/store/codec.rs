//! Values to bytes and back. The first byte says how the rest is written: JSON as it is, or compressed when it is long.
//! Records repeat themselves; compressing them first costs less than sealing and syncing the longer text, and keeps
//! most postings below LMDB's limit for a value on a shared page.

use super::error::StoreError;
use lz4_flex::block::{compress_into, get_maximum_output_size};
use serde::Serialize;
use serde::de::DeserializeOwned;

const JSON: u8 = 0;
const LZ4: u8 = 1;

/// Shorter values are not worth compressing.
const WORTH: usize = 512;

pub(crate) fn encode<T: Serialize + ?Sized>(table: &'static str, value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(1024);
    encode_plain(table, value, &mut bytes)?;
    if bytes.len() > WORTH
        && let Some(shorter) = compress(&bytes[1..])
        && shorter.len() < bytes.len()
    {
        bytes = shorter;
    }
    // Thousands of values may wait to be written, each no larger than it must be.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// The way of writing, the length of the JSON, and the JSON compressed, as [`decode`] expects it.
fn compress(json: &[u8]) -> Option<Vec<u8>> {
    const HEAD: usize = 1 + size_of::<u32>();
    let mut bytes = vec![0; HEAD + get_maximum_output_size(json.len())];
    bytes[0] = LZ4;
    bytes[1..HEAD].copy_from_slice(&u32::try_from(json.len()).ok()?.to_le_bytes());
    let written = compress_into(json, &mut bytes[HEAD..]).ok()?;
    bytes.truncate(HEAD + written);
    Some(bytes)
}

/// Appends the value without compressing it: for secrets, of which no second copy is wanted.
pub(crate) fn encode_plain<T: Serialize + ?Sized>(
    table: &'static str,
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), StoreError> {
    bytes.push(JSON);
    serde_json::to_writer(bytes, value).map_err(|cause| StoreError::codec(table, "written", &cause))
}

pub(crate) fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    let unknown = |cause: &str| StoreError::Codec { table, doing: "read", cause: cause.to_owned() };
    let parse =
        |json: &[u8]| serde_json::from_slice(json).map_err(|cause| StoreError::codec(table, "read", &cause));
    match bytes.split_first() {
        Some((&JSON, json)) => parse(json),
        Some((&LZ4, short)) => {
            let json = lz4_flex::block::decompress_size_prepended(short);
            parse(&json.map_err(|_| unknown("it does not decompress"))?)
        }
        Some(_) | None => Err(unknown("unknown way of writing")),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_encoded_is_decoded(texts in proptest::collection::vec(".{0,60}", 0..60)) {
            let bytes = encode("t", &texts).unwrap();
            prop_assert_eq!(decode::<Vec<String>>("t", &bytes).unwrap(), texts);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(decode::<Vec<String>>("t", &bytes));
        }
    }

    #[test]
    fn long_values_become_shorter() {
        let text = "approved spend ".repeat(100);
        assert!(encode("t", &text).unwrap().len() < text.len() / 4);
    }
}
