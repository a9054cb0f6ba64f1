//! What can be done inside one transaction: look, and in the one write transaction also change.

use super::engine::{Engine, Fault};
use super::seal::StoreKeys;
use super::tables::Table;
use heed::{RoTxn, RwTxn, WithoutTls};
use std::ops::Bound;
use std::path::Path;
use zeroize::Zeroizing;

/// One read transaction.
pub(crate) struct Reader<'a> {
    engine: &'a Engine,
    txn: &'a RoTxn<'a, WithoutTls>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(engine: &'a Engine, txn: &'a RoTxn<'a, WithoutTls>) -> Self {
        Self { engine, txn }
    }
}

/// The one write transaction.
pub(crate) struct Writer<'a> {
    engine: &'a Engine,
    txn: RwTxn<'a>,
}

/// What reading needs, in either kind of transaction.
pub(crate) trait Look {
    /// The keys.
    fn keys(&self) -> &StoreKeys;
    /// The store's directory.
    fn dir(&self) -> &Path;
    /// Bytes under a key, as they are on disk.
    fn raw(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
    /// Up to `limit` pairs whose key begins with `prefix`, from `from` on (inclusive, whole key), upwards.
    fn ascend(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Pairs, Fault>;
    /// Up to `limit` pairs whose key begins with `prefix`, below `below` (exclusive, whole key; `None` = from the
    /// end), downwards.
    fn descend(
        &self,
        table: Table,
        prefix: &[u8],
        below: Option<&[u8]>,
        limit: usize,
    ) -> Result<Pairs, Fault>;

    /// A sealed value, opened.
    fn sealed(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        match self.raw(table, key)? {
            Some(bytes) => Ok(Some(self.keys().open(table.name(), key, &bytes)?)),
            None => Ok(None),
        }
    }
}

/// Keys with their values as they are on disk.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn raw_of(engine: &Engine, txn: &RoTxn<'_>, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    engine.touch(1);
    let found = engine.table(table).get(txn, key).map_err(|e| engine.fault(e))?;
    Ok(found.map(<[u8]>::to_vec))
}

fn ascend_of(
    engine: &Engine,
    txn: &RoTxn<'_>,
    table: Table,
    prefix: &[u8],
    from: &[u8],
    limit: usize,
) -> Result<Pairs, Fault> {
    let bounds = (Bound::Included(from), Bound::Unbounded);
    let range = engine.table(table).range(txn, &bounds).map_err(|e| engine.fault(e))?;
    let mut pairs = Vec::new();
    for pair in range.take(limit) {
        let (key, value) = pair.map_err(|e| engine.fault(e))?;
        if !key.starts_with(prefix) {
            break;
        }
        pairs.push((key.to_vec(), value.to_vec()));
    }
    engine.touch(pages_of(&pairs));
    Ok(pairs)
}

fn descend_of(
    engine: &Engine,
    txn: &RoTxn<'_>,
    table: Table,
    prefix: &[u8],
    below: Option<&[u8]>,
    limit: usize,
) -> Result<Pairs, Fault> {
    let end = below.map_or_else(|| after_prefix(prefix), |key| Some(key.to_vec()));
    let upper = match &end {
        Some(key) => Bound::Excluded(key.as_slice()),
        None => Bound::Unbounded,
    };
    let bounds = (Bound::Included(prefix), upper);
    let range = match prefix.is_empty() {
        true => engine.table(table).rev_range(txn, &(Bound::Unbounded, upper)),
        false => engine.table(table).rev_range(txn, &bounds),
    };
    let mut pairs = Vec::new();
    for pair in range.map_err(|e| engine.fault(e))?.take(limit) {
        let (key, value) = pair.map_err(|e| engine.fault(e))?;
        pairs.push((key.to_vec(), value.to_vec()));
    }
    engine.touch(pages_of(&pairs));
    Ok(pairs)
}

/// How many pages were touched for these pairs, generously.
fn pages_of(pairs: &Pairs) -> usize {
    1 + pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() / 2048
}

/// The first key after all keys with this prefix; `None` when there is none.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(key);
        }
        key.pop();
    }
    None
}

impl Look for Reader<'_> {
    fn keys(&self) -> &StoreKeys {
        &self.engine.keys
    }

    fn dir(&self) -> &Path {
        &self.engine.dir
    }

    fn raw(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        raw_of(self.engine, self.txn, table, key)
    }

    fn ascend(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Pairs, Fault> {
        ascend_of(self.engine, self.txn, table, prefix, from, limit)
    }

    fn descend(
        &self,
        table: Table,
        prefix: &[u8],
        below: Option<&[u8]>,
        limit: usize,
    ) -> Result<Pairs, Fault> {
        descend_of(self.engine, self.txn, table, prefix, below, limit)
    }
}

impl Look for Writer<'_> {
    fn keys(&self) -> &StoreKeys {
        &self.engine.keys
    }

    fn dir(&self) -> &Path {
        &self.engine.dir
    }

    fn raw(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        raw_of(self.engine, &self.txn, table, key)
    }

    fn ascend(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Pairs, Fault> {
        ascend_of(self.engine, &self.txn, table, prefix, from, limit)
    }

    fn descend(
        &self,
        table: Table,
        prefix: &[u8],
        below: Option<&[u8]>,
        limit: usize,
    ) -> Result<Pairs, Fault> {
        descend_of(self.engine, &self.txn, table, prefix, below, limit)
    }
}

impl<'a> Writer<'a> {
    pub(crate) fn new(engine: &'a Engine, txn: RwTxn<'a>) -> Self {
        Self { engine, txn }
    }

    /// Makes everything durable.
    pub(crate) fn commit(self) -> Result<(), Fault> {
        let engine = self.engine;
        #[cfg(test)]
        engine.fail_if_asked()?;
        self.txn.commit().map_err(|e| engine.commit_fault(e))
    }

    /// Writes bytes as they are: for index entries only.
    pub(crate) fn put_raw(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.engine.touch(1);
        // A large transaction spills pages to disk before its commit, so a put can fail as a commit does.
        self.engine.table(table).put(&mut self.txn, key, value).map_err(|e| self.engine.commit_fault(e))
    }

    /// Seals a value and writes it.
    pub(crate) fn put_sealed(&mut self, table: Table, key: &[u8], plain: &[u8]) -> Result<(), Fault> {
        let sealed = self.engine.keys.seal(table.name(), key, plain)?;
        self.put_raw(table, key, &sealed)
    }

    /// Takes a key away; whether it was there.
    pub(crate) fn remove(&mut self, table: Table, key: &[u8]) -> Result<bool, Fault> {
        self.engine.table(table).delete(&mut self.txn, key).map_err(|e| self.engine.commit_fault(e))
    }
}
