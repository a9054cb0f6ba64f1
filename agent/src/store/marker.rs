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

impl Marker {
    /// A store that is about to be created.
    pub(crate) fn fresh(keys: &StoreKeys, schema: u32) -> Self {
        let store = random_id();
        Self { check: keys.marker_check(&store), store, schema, length: 0 }
    }

    /// Reads the marker; `None` when there is neither marker nor data file.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = marker_path(dir);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| StoreError::Marker { path }),
            Err(cause) if cause.kind() == ErrorKind::NotFound => match data_path(dir).exists() {
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
