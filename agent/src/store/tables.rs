//! The tables of the store, and how they are made and found.

use super::engine::named;
use super::error::StoreError;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, WithoutTls};
use std::path::Path;

pub(crate) type Raw = Database<'static, Bytes, Bytes>;

/// The tables. The order is that of [`Table::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// seq → posting.
    Postings,
    /// hash of the posting key → pointer (see `postings::Pointer`).
    ByKey,
    /// hash of (flow, source id), seq → hash of the posting key; and the same by ids that the record names (`kin`).
    BySource,
    /// hash of flow, due time, seq → nothing.
    ByDue,
    /// hash of flow, state, seq → nothing.
    ByState,
    /// hash of flow, day of approval, seq → nothing.
    ByDay,
    /// hash of flow, state → count.
    Counters,
    /// kind, hash of name → small named value.
    State,
    /// seq → audit entry.
    Audit,
    /// hash of the posting key, seq → nothing.
    AuditByPosting,
    /// seq → run.
    Runs,
    /// hash of the run id → seq.
    RunById,
    /// hash of name → secret.
    Secrets,
    /// fixed names → schema, heads.
    Meta,
}

impl Table {
    pub(crate) const COUNT: usize = 14;

    pub(crate) const ALL: [Table; Self::COUNT] = [
        Table::Postings,
        Table::ByKey,
        Table::BySource,
        Table::ByDue,
        Table::ByState,
        Table::ByDay,
        Table::Counters,
        Table::State,
        Table::Audit,
        Table::AuditByPosting,
        Table::Runs,
        Table::RunById,
        Table::Secrets,
        Table::Meta,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Table::Postings => "postings",
            Table::ByKey => "posting-by-key",
            Table::BySource => "posting-by-source",
            Table::ByDue => "posting-by-due",
            Table::ByState => "posting-by-state",
            Table::ByDay => "posting-by-day",
            Table::Counters => "counters",
            Table::State => "state",
            Table::Audit => "audit",
            Table::AuditByPosting => "audit-by-posting",
            Table::Runs => "runs",
            Table::RunById => "run-by-id",
            Table::Secrets => "secrets",
            Table::Meta => "meta",
        }
    }
}

pub(crate) fn create_tables(dir: &Path, env: &Env<WithoutTls>) -> Result<[Raw; Table::COUNT], StoreError> {
    let made = env.write_txn().and_then(|txn| {
        env.create_databases_and_commit(txn, |opener, w| {
            let mut tables = Vec::with_capacity(Table::COUNT);
            for table in Table::ALL {
                tables.push(opener.create_database::<Bytes, Bytes>(w, Some(table.name()))?);
            }
            Ok::<_, heed::Error>(commit_all(tables))
        })
    });
    made.map_err(|e| named(dir, &e))?.commit().ok_or_else(|| no_tables(dir))
}

pub(crate) fn find_tables(dir: &Path, env: &Env<WithoutTls>) -> Result<[Raw; Table::COUNT], StoreError> {
    let found = env.read_txn().and_then(|txn| {
        env.open_databases_and_commit(txn, |opener, r| {
            let mut tables = Vec::with_capacity(Table::COUNT);
            for table in Table::ALL {
                tables.extend(opener.open_database::<Bytes, Bytes>(r, Some(table.name()))?);
            }
            Ok::<_, heed::Error>(commit_all(tables))
        })
    });
    found.map_err(|e| named(dir, &e))?.commit().ok_or_else(|| no_tables(dir))
}

type Found<'e> = [Database<'e, Bytes, Bytes>; Table::COUNT];

fn commit_all(tables: Vec<Database<'_, Bytes, Bytes>>) -> CommitOrAbort<Found<'_>, ()> {
    match tables.try_into() {
        Ok(all) => CommitOrAbort::Commit(all),
        Err(_) => CommitOrAbort::Abort(()),
    }
}

fn no_tables(dir: &Path) -> StoreError {
    StoreError::Damaged { dir: dir.to_owned(), cause: "tables are missing".to_owned() }
}
