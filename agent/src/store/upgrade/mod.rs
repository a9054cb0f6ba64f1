//! Schema versions. Each migration is one frozen file with its own copies of the old structs; none is needed yet.
//! The version stands in the marker (readable without a key) and, sealed, in the data file.

use super::access::{Look, Reader, Writer};
use super::apply::{HEADS, Heads};
use super::engine::Fault;
use super::error::StoreError;
use super::marker::Marker;
use super::tables::Table;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The schema that this release writes.
pub(crate) const CURRENT: u32 = 1;

const KEY: &[u8] = b"schema";

/// What the data file says of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    store: String,
    schema: u32,
    /// It was made with its heads: since then they may not be missing.
    #[serde(default)]
    heads: bool,
}

/// Refuses a store that a newer release has written.
pub(crate) fn check(dir: &Path, found: u32) -> Result<(), StoreError> {
    if found > CURRENT {
        return Err(StoreError::NewerSchema { dir: dir.to_owned(), found, known: CURRENT });
    }
    Ok(())
}

/// Stamps a new store.
pub(crate) fn stamp_new(w: &mut Writer<'_>, marker: &Marker) -> Result<(), Fault> {
    let stamp = Stamp { store: marker.store.clone(), schema: CURRENT, heads: true };
    let bytes = serde_json::to_vec(&stamp).map_err(|e| StoreError::codec("meta", "written", &e))?;
    Heads::default().write(w)?;
    w.put_sealed(Table::Meta, KEY, &bytes)
}

/// Compares the data file's stamp with its marker.
pub(crate) fn verify(r: &Reader<'_>, marker: &Marker) -> Result<(), Fault> {
    let replaced = || StoreError::Replaced { path: super::marker::data_path(r.dir()) };
    // The marker's check has shown that the key is right, so a stamp that does not open comes from another store.
    let bytes = r.sealed(Table::Meta, KEY).map_err(|_| replaced())?.ok_or_else(replaced)?;
    let stamp: Stamp = serde_json::from_slice(&bytes).map_err(|_| replaced())?;
    if stamp.store != marker.store {
        return Err(replaced().into());
    }
    check(r.dir(), stamp.schema)?;
    if stamp.heads && r.raw(Table::Meta, HEADS)?.is_none() {
        return Err(StoreError::Tampered { table: Table::Meta.name() }.into());
    }
    Ok(())
}
