//! Sealing with a key that the server does not keep: nonce, then ChaCha20-Poly1305.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// Seals `plain`; `about` is not kept and must be the same when it is opened. Nothing comes of it without randomness.
pub fn seal(key: &[u8; 32], about: &str, plain: &[u8]) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = drawn()?;
    let mut text = plain.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about.as_bytes()), &mut text)
        .ok()?;
    Some([&nonce[..], &text[..]].concat())
}

/// Opens what was sealed with the same key about the same.
pub fn open(key: &[u8; 32], about: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = cipher(key)?.open_in_place(nonce, Aad::from(about.as_bytes()), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// Random bytes, if the machine gives any.
pub(super) fn drawn<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_about_the_same_opens() {
        let sealed = seal(&[1; 32], "a", b"plain").unwrap();
        assert_eq!(open(&[1; 32], "a", &sealed).unwrap().as_slice(), b"plain");
        assert!(open(&[2; 32], "a", &sealed).is_none() && open(&[1; 32], "b", &sealed).is_none());
        assert!(open(&[1; 32], "a", &sealed[..11]).is_none() && open(&[1; 32], "a", &sealed[..20]).is_none());
        assert_ne!(seal(&[1; 32], "a", b"plain").unwrap(), sealed);
    }
}
