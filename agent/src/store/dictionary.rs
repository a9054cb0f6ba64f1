//! What audit entries repeat: names of fields and the punctuation between them, as the agent and the vendors write
//! them. Compressing an entry against these words takes about half of what it takes alone, since an entry names each
//! field once or twice only.
//!
//! `dictionary.txt` was made of the audit trail of the sandbox's flows: all values were taken out (except words of the
//! protocol, `0`, `false` and the like), the lists cut to one row, what one call has in common with another kept once,
//! and then left out what did not make the trail shorter. It holds no data of anybody.
//!
//! It is frozen: entries cannot be read without exactly these bytes. Another dictionary is another file, and another
//! way of writing in `codec`; this one stays for what was written with it.

/// The words, without a line end.
pub(super) const WORDS: &[u8] = include_bytes!("dictionary.txt");

#[cfg(test)]
mod tests {
    use super::WORDS;

    #[test]
    fn the_words_are_frozen() {
        assert_eq!(
            blake3::hash(WORDS).to_hex().as_str(),
            "61de50fb314a206e44c2aab549c91bd5c2db3eac36565ee0215acee6300320db"
        );
    }

    #[test]
    fn the_words_are_text_that_an_entry_can_refer_to() {
        assert!(WORDS.is_ascii());
        // Beyond this an entry's end could not reach back to their beginning.
        assert!(WORDS.len() < 16 << 10);
    }
}
