//! The address of a hook: who has it can send, so it is told once and only its hash is kept.
//!
//! What a newcomer gets wrong: this hash needs neither salt, key nor slow function. An address has 260 random bits, so
//! nobody finds it by trying; a key would have to lie beside the database, in the same backups, and be shared by all nodes.
//! Two derivations with contexts of their own, so that neither the name of a hook nor the hash of a token is a hash here.

use crate::secrets::{NoRandomness, draw_token};
use secrecy::{ExposeSecret as _, SecretString};

/// What a hook is found by.
const HASH: &str = "purser-control 2026 address of a hook";
/// What people call it by.
const NAME: &str = "purser-control 2026 name of a hook";
/// Digits of a name, without its first letter.
const DIGITS: usize = 24;

/// The end of the path that a sender calls.
#[derive(Debug)]
pub(super) struct Address(SecretString);

impl Address {
    pub(super) fn draw() -> Result<Self, NoRandomness> {
        draw_token().map(Self)
    }

    /// The path; it shows the address.
    pub(super) fn path(&self) -> String {
        format!("/hooks/{}", self.0.expose_secret())
    }

    pub(super) fn hash(&self) -> AddressHash {
        AddressHash::of(self.0.expose_secret())
    }

    /// By this the hook goes in lists, logs and the audit log; it opens nothing.
    pub(super) fn name(&self) -> String {
        let hash = blake3::Hash::from(blake3::derive_key(NAME, self.0.expose_secret().as_bytes()));
        format!("h{}", &hash.to_hex()[..DIGITS])
    }
}

/// What is kept of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressHash(blake3::Hash);

impl AddressHash {
    /// Of what somebody called.
    pub fn of(address: &str) -> Self {
        Self(blake3::derive_key(HASH, address.as_bytes()).into())
    }

    /// As it is kept.
    pub(super) fn text(&self) -> String {
        self.0.to_hex().to_string()
    }

    pub(super) fn read(text: &str) -> Result<Self, blake3::HexError> {
        blake3::Hash::from_hex(text).map(Self)
    }

    /// Its beginning: enough to tell hooks apart, where a mistake in 2^64 does no harm.
    pub(crate) fn beginning(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.0.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_by_its_hash_and_shown_by_its_path_only() {
        let address = Address::draw().unwrap();
        let path = address.path();
        let end = path.strip_prefix("/hooks/").unwrap();
        assert_eq!((end.len(), address.name().len()), (52, 25));
        assert_eq!(AddressHash::of(end), address.hash());
        assert_ne!(AddressHash::of(&end[1..]), address.hash());
        assert_eq!(AddressHash::read(&address.hash().text()).unwrap(), address.hash());
        let shown = format!("{address:?} {} {:?}", address.name(), address.hash());
        assert!(!shown.contains(&end[..8]), "{shown}");
        assert!(!address.hash().text().contains(&address.name()[1..]), "the name is a hash of its own");
    }

    /// Both are in databases, in audit logs and in what people have written down.
    #[test]
    fn hash_and_name_stay_what_they_are() {
        let address = Address(SecretString::from("0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk"));
        assert_eq!(address.name(), "h8bcb23094d6a9cd690034b34");
        assert_eq!(address.hash().text(), "fc26ec1e9b3671b708517acf190b28399aed5ba6039dd90581cfe72a585343dd");
    }
}
