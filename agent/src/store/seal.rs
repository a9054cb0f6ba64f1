//! Sealing: the keys made from the data key, the sealed-value format, and the keyed hashes that LMDB keys are made of.
//!
//! A sealed value is `0x01 | key id (u32) | nonce (24) | ciphertext | tag (16)`, XChaCha20-Poly1305. The associated
//! data is `table | 0x00 | LMDB key | schema`, so a value that was moved to another key or table does not open.

use super::error::StoreError;
use chacha20poly1305::aead::{AeadInPlace, KeyInit, OsRng, rand_core::RngCore};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const HEAD: usize = 1 + 4 + 24;
const TAG: usize = 16;
/// Schema of sealed values: part of what is authenticated. It moves only with a migration that seals anew.
const SEAL_SCHEMA: u32 = 1;

/// The keys of one store, derived from its 32-byte data key. Wiped when the last clone is dropped.
#[derive(Clone)]
pub struct StoreKeys(Arc<Inner>);

struct Inner {
    cipher: XChaCha20Poly1305,
    index: Zeroizing<[u8; 32]>,
    audit: Zeroizing<[u8; 32]>,
    id: u32,
}

impl StoreKeys {
    /// Derives the keys. Each use has a key of its own, so that none can stand in for another.
    pub fn from_data_key(data_key: &[u8; 32]) -> Self {
        let derive = |context: &str| Zeroizing::new(blake3::derive_key(context, data_key));
        let value = derive("purser 2026 store value key");
        let id = derive("purser 2026 store key id");
        Self(Arc::new(Inner {
            cipher: XChaCha20Poly1305::new(Key::from_slice(value.as_slice())),
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
        let mut nonce = [0; 24];
        OsRng.fill_bytes(&mut nonce);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .0
            .cipher
            .encrypt_in_place_detached(
                XNonce::from_slice(&nonce),
                &associated(table, key),
                &mut sealed[HEAD..],
            )
            .map_err(|_| StoreError::Bug("a value is too long to be sealed".to_owned()))?;
        sealed.extend_from_slice(&tag);
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
        let (body, tag) = sealed[HEAD..].split_at(sealed.len() - HEAD - TAG);
        let mut plain = Zeroizing::new(body.to_vec());
        self.0
            .cipher
            .decrypt_in_place_detached(
                XNonce::from_slice(&sealed[5..HEAD]),
                &associated(table, key),
                &mut plain,
                Tag::from_slice(tag),
            )
            .map_err(|_| tampered)?;
        Ok(plain)
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
    OsRng.fill_bytes(&mut bytes);
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A random data key.
pub(crate) fn random_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(key.as_mut_slice());
    key
}
