//! Small named values: marks, mirrors, schedules, switches.

use super::access::{Look, Writer};
use super::codec::decode;
use super::engine::Fault;
use super::error::StoreError;
use super::seal::StoreKeys;
use super::tables::Table;

/// What kind of value a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateTable {
    /// How far a flow has read.
    Watermark,
    /// Reference data as last read.
    Mirror,
    /// When a schedule last fired.
    Schedule,
    /// Switches of a flow (paused, ...).
    Flow,
    /// Everything else the agent remembers of itself.
    Meta,
    /// Which vendor a person said a merchant is.
    Choice,
    /// Webhooks that were accepted, so that a repetition is known.
    Webhook,
    /// What the agent remembers of its control plane: the configuration in force, commands under way, its life.
    Link,
    /// Deliveries of the control plane that were taken, so that a repetition is known.
    Delivery,
}

impl StateTable {
    /// Codes from 200 on belong to `link`.
    const fn code(self) -> u8 {
        match self {
            StateTable::Watermark => 1,
            StateTable::Mirror => 2,
            StateTable::Schedule => 3,
            StateTable::Flow => 4,
            StateTable::Meta => 5,
            StateTable::Choice => 6,
            StateTable::Webhook => 7,
            StateTable::Link => 8,
            StateTable::Delivery => 9,
        }
    }
}

fn key_of(keys: &StoreKeys, table: StateTable, name: &str) -> Vec<u8> {
    let mut key = vec![table.code()];
    key.extend_from_slice(&keys.index_hash("state", &[name]));
    key
}

pub(crate) fn put(w: &mut Writer<'_>, table: StateTable, name: &str, bytes: &[u8]) -> Result<(), Fault> {
    let key = key_of(w.keys(), table, name);
    // The name goes before the value, so that names can be listed without knowing the types of the values.
    let head = name.len() as u32;
    let mut plain = Vec::with_capacity(4 + name.len() + bytes.len());
    plain.extend_from_slice(&head.to_be_bytes());
    plain.extend_from_slice(name.as_bytes());
    plain.extend_from_slice(bytes);
    w.put_sealed(Table::State, &key, &plain)
}

pub(crate) fn remove(w: &mut Writer<'_>, table: StateTable, name: &str) -> Result<(), Fault> {
    let key = key_of(w.keys(), table, name);
    w.remove(Table::State, &key).map(drop)
}

pub(crate) fn get<T: serde::de::DeserializeOwned>(
    look: &impl Look,
    table: StateTable,
    name: &str,
) -> Result<Option<T>, Fault> {
    let Some(plain) = look.sealed(Table::State, &key_of(look.keys(), table, name))? else { return Ok(None) };
    let (_, value) = split(&plain).ok_or_else(tampered)?;
    Ok(Some(decode("state", value)?))
}

/// Which value a name has, without saying it; `None` = it has none.
pub(crate) type Stamp = Option<[u8; 32]>;

pub(crate) fn stamp(look: &impl Look, table: StateTable, name: &str) -> Result<Stamp, Fault> {
    let plain = look.sealed(Table::State, &key_of(look.keys(), table, name))?;
    Ok(plain.map(|plain| *blake3::hash(&plain).as_bytes()))
}

/// Refuses a batch that rests on a value which is another one by now.
pub(crate) fn expect(look: &impl Look, table: StateTable, name: &str, seen: Stamp) -> Result<(), Fault> {
    if stamp(look, table, name)? == seen { Ok(()) } else { Err(StoreError::Overtaken.into()) }
}

pub(crate) fn names(look: &impl Look, table: StateTable) -> Result<Vec<String>, Fault> {
    let prefix = [table.code()];
    let mut names = Vec::new();
    for (key, sealed) in look.ascend(Table::State, &prefix, &prefix, usize::MAX)? {
        let plain = look.keys().open(Table::State.name(), &key, &sealed)?;
        names.push(split(&plain).ok_or_else(tampered)?.0.to_owned());
    }
    names.sort();
    Ok(names)
}

fn split(plain: &[u8]) -> Option<(&str, &[u8])> {
    let (head, rest) = plain.split_first_chunk::<4>()?;
    let (name, value) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*head)).ok()?)?;
    Some((std::str::from_utf8(name).ok()?, value))
}

fn tampered() -> StoreError {
    StoreError::Tampered { table: Table::State.name() }
}
