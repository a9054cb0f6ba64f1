//! Vendor secrets at rest. A secret is turned into bytes here, and in `link/handover.rs` on its way between people and
//! agents.

use super::access::{Look, Writer};
use super::codec::{decode, encode_plain};
use super::engine::Fault;
use super::error::StoreError;
use super::key;
use super::tables::Table;
use crate::secret::{BoundSecret, Credential, Origin, SecretText};
use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A secret to be stored: fields together with the only origins they may be sent to.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    /// The kind of system it belongs to (`expensify`, `epicor`).
    pub kind: String,
    /// Where it may be sent.
    pub origins: Vec<Origin>,
    /// `user`, `password`, `api_key`, ...
    pub fields: BTreeMap<String, SecretString>,
}

/// What may be told about a stored secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// The kind of system it belongs to.
    pub kind: String,
    /// Where it may be sent.
    pub origins: Vec<String>,
    /// The names of its fields.
    pub fields: Vec<String>,
}

/// The stored form. Wiped when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Wire {
    name: String,
    kind: String,
    origins: Vec<String>,
    fields: Vec<(String, String)>,
    /// Made anew whenever a person sets the secret, so that a renewal of an earlier one cannot come over it.
    #[serde(default)]
    stamp: u64,
}

impl StoredSecret {
    pub(crate) fn to_bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let wire = Wire {
            name: name.to_owned(),
            kind: self.kind.clone(),
            origins: self.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
            fields: self.fields.iter().map(|(k, v)| (k.clone(), v.expose_secret().to_owned())).collect(),
            stamp: fastrand::u64(1..),
        };
        wire.to_bytes()
    }
}

impl Wire {
    fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        // Room for any credential, so that no half-filled copy is left behind by a vector that grows.
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
        encode_plain(Table::Secrets.name(), self, &mut bytes)?;
        Ok(bytes)
    }
}

impl StoredSecret {
    /// The whole secret with its name, sealed to the agent's identity, as text: so it can travel in a file to the
    /// running agent.
    ///
    /// # Errors
    /// When there is no identity yet.
    pub fn seal(&self, home: &Path, name: &str) -> Result<String, SealError> {
        let sealed = key::seal_for_agent(home, &self.to_bytes(name)?)?;
        Ok(base64::engine::general_purpose::STANDARD.encode(sealed))
    }

    /// Opens what [`StoredSecret::seal`] has made: name and secret.
    ///
    /// # Errors
    /// When it was sealed for another agent, or is not a secret.
    pub fn open_sealed(home: &Path, text: &str) -> Result<(String, Self), SealError> {
        let sealed =
            base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| SealError::Damaged)?;
        let wire: Wire = decode(Table::Secrets.name(), &key::open_for_agent(home, &sealed)?)?;
        let origins: Result<Vec<Origin>, _> = wire.origins.iter().map(|text| Origin::parse(text)).collect();
        let secret = Self {
            kind: wire.kind.clone(),
            origins: origins.map_err(|_| SealError::Damaged)?,
            fields: wire.fields.iter().map(|(k, v)| (k.clone(), SecretString::from(v.as_str()))).collect(),
        };
        Ok((wire.name.clone(), secret))
    }
}

/// Why a secret cannot be sealed for its way to the agent, or opened there.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The agent's identity cannot be used.
    #[error(transparent)]
    Key(#[from] key::KeyError),
    /// It is not what was sealed.
    #[error("the sealed secret is damaged; set it again")]
    Damaged,
    /// It cannot be written or read as bytes.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) fn put(w: &mut Writer<'_>, name: &str, bytes: &[u8]) -> Result<(), Fault> {
    let key = w.keys().index_hash("secret", &[name]);
    w.put_sealed(Table::Secrets, &key, bytes)
}

/// Fields of a secret that its own system has renewed (a refresh token that rotates).
#[derive(Clone)]
pub(crate) struct Renewal {
    pub(crate) name: String,
    /// Stamp of the secret that was renewed.
    pub(crate) stamp: SecretStamp,
    pub(crate) fields: Vec<(String, SecretText)>,
}

/// Which setting of a secret by a person is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretStamp(u64);

/// Replaces fields of a stored secret; name, kind, origins and the other fields stay as they are.
pub(crate) fn renew(w: &mut Writer<'_>, renewal: &Renewal) -> Result<(), Fault> {
    let name = &renewal.name;
    let refused = |why: &str| StoreError::NotRenewed { name: name.clone(), why: why.to_owned() };
    let Some(mut wire) = wire_of(w, name)? else { return Err(refused("it was removed meanwhile").into()) };
    if wire.stamp != renewal.stamp.0 {
        return Err(refused("a person has set it anew meanwhile").into());
    }
    for (field, value) in &renewal.fields {
        let bound = |secret: &BoundSecret| secret.origins().iter().map(Origin::as_str).eq(&wire.origins);
        if !value.secrets().all(bound) {
            return Err(refused("the new value may be sent elsewhere than the secret itself").into());
        }
        let value = value.expose().expose_secret().to_owned();
        match wire.fields.iter_mut().find(|(known, _)| known == field) {
            Some((_, old)) => std::mem::replace(old, value).zeroize(),
            None => wire.fields.push((field.clone(), value)),
        }
    }
    let bytes = wire.to_bytes()?;
    put(w, name, &bytes)
}

/// The stamp of a stored secret.
pub(crate) fn stamp(look: &impl Look, name: &str) -> Result<Option<SecretStamp>, Fault> {
    Ok(wire_of(look, name)?.map(|wire| SecretStamp(wire.stamp)))
}

fn wire_of(look: &impl Look, name: &str) -> Result<Option<Wire>, Fault> {
    let key = look.keys().index_hash("secret", &[name]);
    let Some(plain) = look.sealed(Table::Secrets, &key)? else { return Ok(None) };
    Ok(Some(decode(Table::Secrets.name(), &plain)?))
}

pub(crate) fn remove(w: &mut Writer<'_>, name: &str) -> Result<(), Fault> {
    let key = w.keys().index_hash("secret", &[name]);
    w.remove(Table::Secrets, &key).map(drop)
}

pub(crate) fn get(look: &impl Look, name: &str) -> Result<Option<Credential>, Fault> {
    let Some(wire) = wire_of(look, name)? else { return Ok(None) };
    let tampered = || StoreError::Tampered { table: Table::Secrets.name() };
    let origins: Result<Vec<Origin>, _> = wire.origins.iter().map(|text| Origin::parse(text)).collect();
    let fields = wire.fields.iter().map(|(k, v)| (k.clone(), SecretString::from(v.as_str()))).collect();
    let credential = Credential::new(wire.name.clone(), fields, origins.map_err(|_| tampered())?.into());
    Ok(Some(credential))
}

pub(crate) fn list(look: &impl Look) -> Result<Vec<SecretInfo>, Fault> {
    let mut infos = Vec::new();
    for (key, sealed) in look.ascend(Table::Secrets, &[], &[0], usize::MAX)? {
        let plain = look.keys().open(Table::Secrets.name(), &key, &sealed)?;
        let wire: Wire = decode(Table::Secrets.name(), &plain)?;
        infos.push(SecretInfo {
            name: wire.name.clone(),
            kind: wire.kind.clone(),
            origins: wire.origins.clone(),
            fields: wire.fields.iter().map(|(name, _)| name.clone()).collect(),
        });
    }
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(infos)
}
