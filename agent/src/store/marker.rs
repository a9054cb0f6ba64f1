//! The marker beside the data file. LMDB silently starts an empty file anew and dies with SIGBUS on a short one, so
//! the marker remembers, outside of LMDB, that there was a store, which one, and how long its file is.
//!
//! The data file is kept exactly as long as its memory map (sparse, so it costs no space): lengths can be compared
//! exactly. A longer file is fine (growth stopped half way), a shorter one has lost bytes.

use super::error::StoreError;
use super::seal::{StoreKeys, random_id};
use crate::service::private_files;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// Random id of the store.
    pub(crate) store: String,
    /// Schema version, readable without a key.
    pub(crate) schema: u32,
    /// Length of the data file; 0 while the store is being created and nothing was ever acknowledged.
    pub(crate) length: u64,
    /// Shows whether a key fits before anything is opened.
    pub(crate) check: String,
}

pub(crate) fn marker_path(dir: &Path) -> PathBuf {
    dir.join("store.mark")
}

pub(crate) fn data_path(dir: &Path) -> PathBuf {
    dir.join("data.mdb")
}

fn has_content(dir: &Path) -> bool {
    data_path(dir).exists() || dir.join(super::sent::FILE).exists()
}

/// What the check of an unfinished store covers.
fn unfinished(store: &str) -> String {
    format!("{store} unfinished")
}

impl Marker {
    /// A store that is about to be created.
    pub(crate) fn fresh(keys: &StoreKeys, schema: u32) -> Self {
        let store = random_id();
        Self { check: keys.marker_check(&unfinished(&store)), store, schema, length: 0 }
    }

    /// The marker of a store whose file has its length.
    pub(crate) fn finished(&self, keys: &StoreKeys, length: u64) -> Self {
        Self { check: keys.marker_check(&self.store), length, ..self.clone() }
    }

    /// Whether the store was still being created. Nothing of it was ever acknowledged then, so it may be begun again;
    /// a finished store cannot be declared unfinished without the key.
    pub(crate) fn is_unfinished(&self, dir: &Path, keys: &StoreKeys) -> Result<bool, StoreError> {
        if self.length > 0 {
            return Ok(false);
        }
        if self.check == keys.marker_check(&self.store) {
            return Err(StoreError::Marker { path: marker_path(dir) });
        }
        if self.check != keys.marker_check(&unfinished(&self.store)) {
            return Err(StoreError::WrongKey { dir: dir.to_owned() });
        }
        Ok(true)
    }

    /// Reads the marker; `None` when there is neither a marker nor anything else of a store.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = marker_path(dir);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| StoreError::Marker { path }),
            // The marks of sent claims are made by a store that is complete.
            Err(cause) if cause.kind() == ErrorKind::NotFound => match has_content(dir) {
                true => Err(StoreError::Marker { path }),
                false => Ok(None),
            },
            Err(cause) => Err(StoreError::io("read", &path, &cause)),
        }
    }

    /// Writes the marker durably.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let path = marker_path(dir);
        let bytes =
            serde_json::to_vec(self).map_err(|cause| StoreError::codec("marker", "written", &cause))?;
        private_files::write_private(&path, &bytes, true)
            .map_err(|cause| StoreError::io("write", &path, &cause))
    }

    /// Compares the data file with what is known of it, before LMDB sees it. Returns its length.
    pub(crate) fn examine(&self, dir: &Path, keys: &StoreKeys) -> Result<u64, StoreError> {
        if self.check != keys.marker_check(&self.store) {
            return Err(StoreError::WrongKey { dir: dir.to_owned() });
        }
        let path = data_path(dir);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.len() < self.length => {
                Err(StoreError::Truncated { path, expected: self.length, found: meta.len() })
            }
            Ok(meta) => Ok(meta.len()),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Err(StoreError::Missing { path }),
            Err(cause) => Err(StoreError::io("examine", &path, &cause)),
        }
    }
}
