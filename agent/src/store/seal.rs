//! Sealing: the keys made from the data key, the sealed-value format, and the keyed hashes that LMDB keys are made of.
//!
//! A sealed value is `0x01 | key id (u32) | nonce (24) | ciphertext | tag (16)`, XChaCha20-Poly1305. The associated
//! data is `table | 0x00 | LMDB key | schema`, so a value that was moved to another key or table does not open.
//!
//! XChaCha20-Poly1305 is ChaCha20-Poly1305 under a key that HChaCha20 makes of the key and the first 16 bytes of the
//! nonce. The long work is left to `ring`, which has one optimised form of it in every build.

use super::error::StoreError;
use chacha20::cipher::consts::U10;
use chacha20::{Key, hchacha};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const NONCE: usize = 24;
const HEAD: usize = 1 + 4 + NONCE;
const TAG: usize = 16;
/// How much longer a sealed value is than what is in it.
pub(crate) const OVERHEAD: usize = HEAD + TAG;
/// Schema of sealed values: part of what is authenticated. It moves only with a migration that seals anew.
const SEAL_SCHEMA: u32 = 1;

/// The keys of one store, derived from its 32-byte data key. Wiped when the last clone is dropped.
#[derive(Clone)]
pub struct StoreKeys(Arc<Inner>);

struct Inner {
    value: Zeroizing<[u8; 32]>,
    index: Zeroizing<[u8; 32]>,
    audit: Zeroizing<[u8; 32]>,
    id: u32,
}

impl StoreKeys {
    /// Derives the keys. Each use has a key of its own, so that none can stand in for another.
    pub fn from_data_key(data_key: &[u8; 32]) -> Self {
        let derive = |context: &str| Zeroizing::new(blake3::derive_key(context, data_key));
        let id = derive("purser 2026 store key id");
        Self(Arc::new(Inner {
            value: derive("purser 2026 store value key"),
            index: derive("purser 2026 store index key"),
            audit: derive("purser 2026 store audit key"),
            id: u32::from_be_bytes([id[0], id[1], id[2], id[3]]),
        }))
    }

    /// Keyed hash over length-prefixed parts, for LMDB keys.
    pub(crate) fn index_hash(&self, kind: &str, parts: &[&str]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.index);
        for part in std::iter::once(&kind).chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        short
    }

    /// Keyed hash that links audit entries.
    pub(crate) fn audit_hash(&self, seq: u64, prev: &[u8; 32], body: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.audit);
        hasher.update(&seq.to_be_bytes()).update(prev).update(body);
        *hasher.finalize().as_bytes()
    }

    /// Proof that a marker was written under these keys.
    pub(crate) fn marker_check(&self, store: &str) -> String {
        self.index_hash("marker", &[store]).iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Seals `plain` for one place.
    pub(crate) fn seal(&self, table: &'static str, key: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + TAG);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.0.id.to_be_bytes());
        let mut nonce = [0; NONCE];
        fill_random(&mut nonce);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let associated = Aad::from(associated(table, key));
        let tag = self.cipher(&nonce).and_then(|(cipher, nonce)| {
            cipher.seal_in_place_separate_tag(nonce, associated, &mut sealed[HEAD..])
        });
        let tag = tag.map_err(|_| StoreError::Bug("a value is too long to be sealed".to_owned()))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a value that was sealed for this place. The plain text is wiped when dropped.
    pub(crate) fn open(
        &self,
        table: &'static str,
        key: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let tampered = StoreError::Tampered { table };
        if sealed.len() < HEAD + TAG || sealed[0] != FORMAT || sealed[1..5] != self.0.id.to_be_bytes() {
            return Err(tampered);
        }
        let (Ok(nonce), body) = (<&[u8; NONCE]>::try_from(&sealed[HEAD - NONCE..HEAD]), &sealed[HEAD..])
        else {
            return Err(tampered);
        };
        let mut plain = Zeroizing::new(body.to_vec());
        let opened = self.cipher(nonce).and_then(|(cipher, nonce)| {
            cipher
                .open_in_place(nonce, Aad::from(associated(table, key)), &mut plain)
                .map(|plain| plain.len())
        });
        let length = opened.map_err(|_| tampered)?;
        plain.truncate(length);
        Ok(plain)
    }

    /// The cipher for one nonce, and what is left of the nonce.
    fn cipher(&self, nonce: &[u8; NONCE]) -> Result<(LessSafeKey, Nonce), Unspecified> {
        let (head, tail) = nonce.split_at(16);
        let key = hchacha::<U10>(Key::from_slice(self.0.value.as_slice()), head.into());
        let mut short = [0; 12];
        short[4..].copy_from_slice(tail);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key)?;
        Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key(short)))
    }
}

impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[store keys]")
    }
}

fn associated(table: &str, key: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(table.len() + 1 + key.len() + 4);
    data.extend_from_slice(table.as_bytes());
    data.push(0);
    data.extend_from_slice(key);
    data.extend_from_slice(&SEAL_SCHEMA.to_be_bytes());
    data
}

/// A random id, 32 hexadecimal digits.
pub(crate) fn random_id() -> String {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A random data key.
pub(crate) fn random_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    fill_random(key.as_mut_slice());
    key
}

fn fill_random(bytes: &mut [u8]) {
    // Without random bytes nothing may be sealed, and no system that the agent runs on refuses them.
    SystemRandom::new().fill(bytes).expect("the operating system gives random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::aead::{AeadInPlace, KeyInit};
    use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

    /// Another implementation, under the same key, says that a sealed value is XChaCha20-Poly1305.
    #[test]
    fn what_is_sealed_is_opened_by_another_implementation_of_the_cipher() {
        let keys = StoreKeys::from_data_key(&[7; 32]);
        let other = XChaCha20Poly1305::new(Key::from_slice(keys.0.value.as_slice()));
        for length in [0, 1, 63, 64, 65, 1_000, 70_000] {
            let plain = vec![b'p'; length];
            let sealed = keys.seal("t", b"key", &plain).unwrap();
            let (body, tag) = sealed[HEAD..].split_at(length);
            let (nonce, mut body) = (XNonce::from_slice(&sealed[5..HEAD]), body.to_vec());
            other
                .decrypt_in_place_detached(nonce, &associated("t", b"key"), &mut body, Tag::from_slice(tag))
                .unwrap();
            assert_eq!(body, plain);
            assert_eq!(*keys.open("t", b"key", &sealed).unwrap(), plain);
        }
    }

    #[test]
    fn a_value_that_was_changed_moved_or_cut_does_not_open() {
        let keys = StoreKeys::from_data_key(&[7; 32]);
        let sealed = keys.seal("t", b"key", b"plain").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open("t", b"key", &changed).is_err(), "byte {at}");
            assert!(keys.open("t", b"key", &sealed[..at]).is_err(), "cut at {at}");
        }
        assert!(keys.open("u", b"key", &sealed).is_err());
        assert!(keys.open("t", b"kez", &sealed).is_err());
    }
}
