//! The text of an API token: `pct_<id>_<secret>`. The beginning lets scanners of repositories find a leaked one; the id
//! finds it here; of the secret only a hash is kept.

use super::compare::equal;
use secrecy::{ExposeSecret, SecretString};

/// What every token begins with.
pub const BEGINNING: &str = "pct_";
/// Longest life of a token, in days.
pub const LONGEST_DAYS: i64 = 366;
/// Life of a token when nothing else is said, in days.
pub const DEFAULT_DAYS: i64 = 90;

/// A token as it was presented.
#[derive(Debug)]
pub struct Presented {
    /// Which it claims to be.
    pub id: String,
    secret: SecretString,
}

impl Presented {
    /// Takes a text apart; nothing comes of one that is no token.
    pub fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(BEGINNING)?.split_once('_')?;
        let plain = |part: &str| {
            (8..=80).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        (plain(id) && plain(secret)).then(|| Self { id: id.to_owned(), secret: secret.into() })
    }

    /// Whether this is the token whose hash is kept; compares in constant time.
    pub fn is_of(&self, hash: &str) -> bool {
        equal(hash_of(&self.secret).as_bytes(), hash.as_bytes())
    }
}

/// What is shown once.
pub fn text_of(id: &str, secret: &SecretString) -> SecretString {
    format!("{BEGINNING}{id}_{}", secret.expose_secret()).into()
}

/// What is kept.
pub fn hash_of(secret: &SecretString) -> String {
    blake3::hash(secret.expose_secret().as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_id_and_proven_by_its_secret() {
        let secret: SecretString = "0123456789abcdefghjkmnpqrstv".into();
        let text = text_of("k0123456789", &secret);
        let presented = Presented::read(text.expose_secret()).unwrap();
        assert_eq!(presented.id, "k0123456789");
        assert!(presented.is_of(&hash_of(&secret)));
        assert!(!presented.is_of(&hash_of(&"other".into())) && !presented.is_of(""));
        assert!(!format!("{presented:?} {text:?}").contains(secret.expose_secret()));
    }

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        for text in [
            "",
            "pct_",
            "pct_k0123456789",
            "pct_k0123456789_",
            "xct_k0123456789_0123456789",
            "pct_K0123456789_0123456789",
        ] {
            assert!(Presented::read(text).is_none(), "{text}");
        }
        assert!(Presented::read(&format!("pct_k0123456789_{}", "a".repeat(81))).is_none());
    }
}
