//! Values to bytes and back. The first byte says how the rest is written: JSON as it is, compressed, or compressed
//! with a dictionary. Records repeat themselves; compressing them first costs less than sealing and syncing the longer
//! text, and keeps most postings and audit entries below LMDB's limit for a value on a shared page.

use super::dictionary::WORDS;
use super::error::StoreError;
use lz4_flex::block::{
    DecompressError, compress_into, compress_into_with_dict, decompress_size_prepended,
    decompress_size_prepended_with_dict, get_maximum_output_size,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;

const JSON: u8 = 0;
const LZ4: u8 = 1;
const LZ4_WITH_WORDS: u8 = 2;

/// The way of writing and the length of the JSON come before what is compressed.
const HEAD: usize = 1 + size_of::<u32>();

/// Larger buffers are not kept: few values are so long.
const KEPT: usize = 128 << 10;

thread_local! {
    /// Thousands of values a second are written: each needs room for its JSON and for the longest that compressing may
    /// make of it. Made anew each time, that room would leave holes between the values that wait to be stored.
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch { json: Vec::new(), short: Vec::new() }) };
}

#[derive(Default)]
struct Scratch {
    json: Vec<u8>,
    short: Vec<u8>,
}

/// How values of a kind are compressed.
#[derive(Clone, Copy)]
enum Way {
    Alone,
    WithWords,
}

impl Way {
    fn mark(self) -> u8 {
        match self {
            Way::Alone => LZ4,
            Way::WithWords => LZ4_WITH_WORDS,
        }
    }

    /// Shorter values are not worth compressing.
    fn worth(self) -> usize {
        match self {
            Way::Alone => 512,
            Way::WithWords => 128,
        }
    }
}

/// A value by itself.
pub(crate) fn encode<T: Serialize + ?Sized>(table: &'static str, value: &T) -> Result<Vec<u8>, StoreError> {
    encode_as(Way::Alone, table, value)
}

/// A value of which there are very many that all look alike: an audit entry.
pub(crate) fn encode_with_words<T: Serialize + ?Sized>(
    table: &'static str,
    value: &T,
) -> Result<Vec<u8>, StoreError> {
    encode_as(Way::WithWords, table, value)
}

fn encode_as<T: Serialize + ?Sized>(way: Way, table: &'static str, value: &T) -> Result<Vec<u8>, StoreError> {
    let mut scratch = SCRATCH.take();
    scratch.json.clear();
    let written = encode_plain(table, value, &mut scratch.json);
    let bytes = written.map(|()| {
        let Scratch { json, short } = &mut scratch;
        let shorter = (json.len() > way.worth()).then(|| compress(way, &json[1..], short)).flatten();
        shorter.filter(|shorter| shorter.len() < json.len()).unwrap_or(json.as_slice()).to_vec()
    });
    if scratch.json.capacity() + scratch.short.capacity() <= KEPT {
        SCRATCH.set(scratch);
    }
    bytes
}

/// The JSON compressed, as [`decode`] expects it.
fn compress<'a>(way: Way, json: &[u8], short: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let most = HEAD + get_maximum_output_size(json.len());
    if short.len() < most {
        short.resize(most, 0);
    }
    short[0] = way.mark();
    short[1..HEAD].copy_from_slice(&u32::try_from(json.len()).ok()?.to_le_bytes());
    let room = &mut short[HEAD..];
    let written = match way {
        Way::Alone => compress_into(json, room),
        Way::WithWords => compress_into_with_dict(json, room, WORDS),
    };
    short.get(..HEAD + written.ok()?)
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
    let unpack =
        |json: Result<Vec<u8>, DecompressError>| parse(&json.map_err(|_| unknown("it does not decompress"))?);
    match bytes.split_first() {
        Some((&JSON, json)) => parse(json),
        Some((&LZ4, short)) => unpack(decompress_size_prepended(short)),
        Some((&LZ4_WITH_WORDS, short)) => unpack(decompress_size_prepended_with_dict(short, WORDS)),
        Some(_) | None => Err(unknown("unknown way of writing")),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, encode_with_words};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_encoded_is_decoded(texts in proptest::collection::vec(".{0,60}", 0..60)) {
            let bytes = encode("t", &texts).unwrap();
            prop_assert_eq!(decode::<Vec<String>>("t", &bytes).unwrap(), texts);
        }

        #[test]
        fn what_is_encoded_with_words_is_decoded(
            texts in proptest::collection::vec(".{0,60}|\"[A-Z][a-z]{1,12}\":\"\",", 0..200),
        ) {
            let bytes = encode_with_words("t", &texts).unwrap();
            prop_assert_eq!(decode::<Vec<String>>("t", &bytes).unwrap(), texts);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(decode::<Vec<String>>("t", &bytes));
        }

        #[test]
        fn no_damaged_entry_panics(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut bytes = encode_with_words("t", &entry()).unwrap();
            // The length is left alone: a value that says it is 4 GiB long is believed until it is read.
            let at = super::HEAD + at.index(bytes.len() - super::HEAD);
            bytes[at] ^= 1 << bit;
            drop(decode::<serde_json::Value>("t", &bytes));
        }
    }

    fn entry() -> serde_json::Value {
        serde_json::json!({
            "at": "2026-03-02T08:00:00Z", "kind": "call", "connection": "erp", "flow": "expenses",
            "run": "20260302T080000000Z-00000001", "actor": "agent",
            "detail": { "operation": "look-up", "method": "GET", "request_body": "", "status": 200,
                "answer_body": "{\"value\":[]}", "duration_ms": 3, "security_event": false },
        })
    }

    #[test]
    fn long_values_become_shorter() {
        let text = "approved spend ".repeat(100);
        assert!(encode("t", &text).unwrap().len() < text.len() / 4);
    }

    #[test]
    fn the_words_shorten_what_repeats_nothing_by_itself() {
        let (alone, with) = (encode("t", &entry()).unwrap(), encode_with_words("t", &entry()).unwrap());
        assert!(with.len() * 4 < alone.len() * 3, "{} with words, {} without", with.len(), alone.len());
    }

    #[test]
    fn scratch_of_a_long_value_is_not_seen_in_a_short_one() {
        let long = "x7".repeat(40_000);
        assert_eq!(decode::<String>("t", &encode("t", &long).unwrap()).unwrap(), long);
        assert_eq!(encode("t", "short").unwrap(), b"\0\"short\"");
    }

    /// Written once and never again: every way of writing stays readable.
    #[test]
    fn what_was_written_by_earlier_versions_is_read() {
        for hex in FROZEN {
            let bytes: Vec<u8> = hex
                .as_bytes()
                .chunks(2)
                .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
                .collect();
            assert_eq!(decode::<serde_json::Value>("t", &bytes).unwrap(), entry());
        }
        assert_eq!(FROZEN.map(|hex| &hex[..2]), ["00", "01", "02"]);
    }

    /// [`entry`] in each way of writing.
    const FROZEN: [&str; 3] = [
        "007b226163746f72223a226167656e74222c226174223a22323032362d30332d30325430383a30303a30305a222c22636f6e\
         6e656374696f6e223a22657270222c2264657461696c223a7b22616e737765725f626f6479223a227b5c2276616c75655c22\
         3a5b5d7d222c226475726174696f6e5f6d73223a332c226d6574686f64223a22474554222c226f7065726174696f6e223a22\
         6c6f6f6b2d7570222c22726571756573745f626f6479223a22222c2273656375726974795f6576656e74223a66616c73652c\
         22737461747573223a3230307d2c22666c6f77223a22657870656e736573222c226b696e64223a2263616c6c222c2272756e\
         223a223230323630333032543038303030303030305a2d3030303030303031227d",
        "011a010000f37f7b226163746f72223a226167656e74222c226174223a22323032362d30332d30325430383a30303a30305a\
         222c22636f6e6e656374696f6e223a22657270222c2264657461696c223a7b22616e737765725f626f6479223a227b5c2276\
         616c75655c223a5b5d7d222c226475726174696f6e5f6d73223a332c226d6574686f64223a22474554222c226f706572615a\
         00606c6f6f6b2d755e0074726571756573745500e0222c2273656375726974795f6576b000f0293a66616c73652c22737461\
         747573223a3230307d2c22666c6f77223a22657870656e736573222c226b696e64223a2263616c6c222c227275670000e500\
         213033e30012300100c05a2d3030303030303031227d",
        "021a0100001d7b6b09016109d2323032362d30332d30325430381e100d74093a6572709a090c830206820b107d290008f402\
         1733910902110c08bf09606c6f6f6b2d755e000b7f081f222b030600080d030d03157d5f0a8d657870656e7365738f0a0275\
         0a00e500213033e30012300100c05a2d3030303030303031227d",
    ];
}
