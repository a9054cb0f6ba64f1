//! The keys of the link: Ed25519 for requests, age x25519 for what is sealed to the agent. Made here and never shown.

use crate::store::codec::{decode, encode_plain};
use crate::store::error::StoreError;
use crate::store::tables::Table;
use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use purser_proto::link::enrollment::PublicKeys;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use std::str::FromStr as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Keys that were replaced and still open what was sealed before.
const KEPT_BEFORE: usize = 3;

/// One pair of keys.
pub struct LinkKeys {
    /// PKCS #8.
    document: Zeroizing<Vec<u8>>,
    signing: Ed25519KeyPair,
    sealing: Identity,
}

impl std::fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[link keys]")
    }
}

impl LinkKeys {
    /// New keys.
    pub fn generate() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let document = made.expect("the operating system gives random bytes");
        Self::from_parts(Zeroizing::new(document.as_ref().to_vec()), Identity::generate())
            .expect("a key that was just made can be read")
    }

    fn from_parts(document: Zeroizing<Vec<u8>>, sealing: Identity) -> Option<Self> {
        let signing = Ed25519KeyPair::from_pkcs8(&document).ok()?;
        Some(Self { document, signing, sealing })
    }

    /// The public halves.
    pub fn public(&self) -> PublicKeys {
        let signing: String = self.signing.public_key().as_ref().iter().map(|b| format!("{b:02x}")).collect();
        PublicKeys { signing: signing.into(), recipient: self.sealing.to_public().to_string().into() }
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.signing.sign(message);
        *signature.as_ref().first_chunk().expect("an Ed25519 signature has 64 bytes")
    }

    /// Opens what was sealed to these keys, armored or not; `None` when it was not.
    pub fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        age::decrypt(&self.sealing, sealed).map(Zeroizing::new).ok()
    }
}

/// All keys of the link.
#[derive(Debug)]
pub struct LinkKeyring {
    /// Those in use.
    pub current: LinkKeys,
    /// Those that are to take their place, once the control plane has them.
    pub next: Option<LinkKeys>,
    /// Those that were in use, latest first; they open what was on its way.
    pub before: Vec<LinkKeys>,
}

impl LinkKeyring {
    /// First keys.
    pub fn first(current: LinkKeys) -> Self {
        Self { current, next: None, before: Vec::new() }
    }

    /// The same, with keys that are to take the place of those in use.
    #[must_use]
    pub fn with_next(self, next: LinkKeys) -> Self {
        Self { next: Some(next), ..self }
    }

    /// The keys to come are now those in use.
    #[must_use]
    pub fn rotated(mut self) -> Self {
        let Some(next) = self.next.take() else { return self };
        self.before.insert(0, self.current);
        self.before.truncate(KEPT_BEFORE);
        Self { current: next, next: None, before: self.before }
    }

    /// All of them, those in use first.
    pub fn all(&self) -> impl Iterator<Item = &LinkKeys> {
        std::iter::once(&self.current).chain(&self.next).chain(&self.before)
    }

    /// Opens what was sealed to any of them; with the public halves that it was sealed to.
    pub fn open(&self, sealed: &[u8]) -> Option<(PublicKeys, Zeroizing<Vec<u8>>)> {
        self.all().find_map(|keys| Some((keys.public(), keys.open(sealed)?)))
    }

    /// All of them as bytes, wiped when dropped.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let wire = WireRing {
            current: WireKeys::of(&self.current),
            next: self.next.as_ref().map(WireKeys::of),
            before: self.before.iter().map(WireKeys::of).collect(),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 << 10));
        encode_plain(Table::State.name(), &wire, &mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let wire: WireRing = decode(Table::State.name(), bytes)?;
        let read = || -> Option<Self> {
            Some(Self {
                current: wire.current.read()?,
                next: wire.next.as_ref().map_or(Some(None), |next| next.read().map(Some))?,
                before: wire.before.iter().map(WireKeys::read).collect::<Option<_>>()?,
            })
        };
        read().ok_or(StoreError::Tampered { table: Table::State.name() })
    }
}

/// The stored form. Wiped when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct WireKeys {
    signing: String,
    sealing: String,
}

#[derive(Serialize, Deserialize)]
struct WireRing {
    current: WireKeys,
    next: Option<WireKeys>,
    before: Vec<WireKeys>,
}

impl WireKeys {
    fn of(keys: &LinkKeys) -> Self {
        Self {
            signing: STANDARD.encode(&*keys.document),
            sealing: keys.sealing.to_string().expose_secret().to_owned(),
        }
    }

    fn read(&self) -> Option<LinkKeys> {
        let document = Zeroizing::new(STANDARD.decode(&self.signing).ok()?);
        LinkKeys::from_parts(document, Identity::from_str(&self.sealing).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    fn sealed_to(keys: &LinkKeys, plain: &[u8]) -> Vec<u8> {
        let recipient: age::x25519::Recipient = keys.public().recipient.as_str().parse().unwrap();
        age::encrypt(&recipient, plain).unwrap()
    }

    #[test]
    fn keys_are_stored_and_read_and_their_halves_belong_together() {
        let ring = LinkKeyring::first(LinkKeys::generate()).with_next(LinkKeys::generate());
        let read = LinkKeyring::from_bytes(&ring.to_bytes().unwrap()).unwrap();
        assert_eq!(read.current.public(), ring.current.public());
        let public = ring.current.public();
        let key: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&public.signing.as_str()[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let signature = read.current.sign(b"what is said");
        UnparsedPublicKey::new(&ED25519, &key).verify(b"what is said", &signature).unwrap();
        assert!(UnparsedPublicKey::new(&ED25519, &key).verify(b"something else", &signature).is_err());
        assert_eq!(format!("{read:?}").matches("[link keys]").count(), 2);
    }

    #[test]
    fn what_was_sealed_before_a_rotation_is_opened_after_it() {
        let ring = LinkKeyring::first(LinkKeys::generate());
        let sealed = sealed_to(&ring.current, b"before");
        let first = ring.current.public();
        let ring = ring.with_next(LinkKeys::generate());
        let second = ring.next.as_ref().unwrap().public();
        let ring = ring.rotated();
        assert_eq!(ring.current.public(), second);
        let (to, plain) = ring.open(&sealed).unwrap();
        assert_eq!((to, plain.as_slice()), (first, b"before".as_slice()));
        assert!(ring.open(&sealed_to(&LinkKeys::generate(), b"to another")).is_none());
        assert!(ring.open(b"no age file at all").is_none());
    }
}
