//! What is drawn at random: ids, enrollment codes, tokens. Tokens and codes are kept as hashes only; they have enough
//! entropy that a fast hash cannot be searched (80 bits for a code that lives for an hour, 256 for a token).

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

/// Crockford's digits, lower case: no letter is mistaken for a digit.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits of an id: 130 bits.
const ID: usize = 26;
/// Digits of a token: 260 bits.
const TOKEN: usize = 52;
/// Digits of an enrollment code: 80 bits.
const CODE: usize = 16;

/// The machine gives no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct NoRandomness;

/// Draws an id that begins with `kind`, e.g. `a` for agents.
///
/// # Errors
/// [`NoRandomness`].
pub fn draw_id(kind: char) -> Result<String, NoRandomness> {
    Ok(format!("{kind}{}", draw(ID)?))
}

/// Draws a token that nobody guesses.
///
/// # Errors
/// [`NoRandomness`].
pub fn draw_token() -> Result<SecretString, NoRandomness> {
    draw(TOKEN).map(SecretString::from)
}

/// Draws an enrollment code as people type it: `XXXX-XXXX-XXXX-XXXX`.
///
/// # Errors
/// [`NoRandomness`].
pub fn draw_code() -> Result<SecretString, NoRandomness> {
    let digits = draw(CODE)?.to_ascii_uppercase();
    let groups = [&digits[0..4], &digits[4..8], &digits[8..12], &digits[12..16]];
    Ok(SecretString::from(groups.join("-")))
}

/// The hash by which an enrollment code is found, however it was typed: case, dashes, spaces and letters that look like
/// digits do not matter.
pub fn code_hash(code: &str) -> String {
    let plain: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect();
    hash(&plain)
}

/// The hash by which a token is found.
pub fn token_hash(token: &SecretString) -> String {
    hash(token.expose_secret())
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn draw(digits: usize) -> Result<String, NoRandomness> {
    let mut bytes = vec![0; digits];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    // 32 divides 256, so each digit is as likely as the others.
    Ok(bytes.into_iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_however_it_was_typed() {
        let code = draw_code().unwrap();
        let shown = code.expose_secret();
        assert_eq!((shown.len(), shown.matches('-').count()), (19, 3));
        let typed = shown.to_ascii_lowercase().replace('-', " ").replace('0', "O").replace('1', "l");
        assert_eq!(code_hash(&typed), code_hash(shown));
        assert_ne!(code_hash("0000-0000-0000-0000"), code_hash(shown));
    }

    #[test]
    fn ids_and_tokens_are_never_the_same() {
        let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| draw_id('a').unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 27 && id.starts_with('a')));
        let (one, two) = (draw_token().unwrap(), draw_token().unwrap());
        assert_ne!(token_hash(&one), token_hash(&two));
        assert!(!format!("{one:?}").contains(one.expose_secret()));
    }
}
