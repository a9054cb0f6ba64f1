//! One group of writes inside one transaction: heads and counters are read once, kept in memory and written once.

use super::access::{Look, Writer};
use super::batch::Op;
use super::codec::{decode, encode};
use super::engine::Fault;
use super::error::StoreError;
use super::tables::Table;
use super::{audit, postings, runs, secrets, state};
use serde::{Deserialize, Serialize};
use spend::ids::FlowId;
use std::collections::BTreeMap;

pub(crate) const HEADS: &[u8] = b"heads";

/// The last numbers given out, and the head of the audit chain, kept apart from the entries so that a cut tail shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heads {
    pub(crate) posting: u64,
    pub(crate) run: u64,
    pub(crate) audit: u64,
    pub(crate) audit_hash: [u8; 32],
}

impl Heads {
    pub(crate) fn read(look: &impl Look) -> Result<Self, Fault> {
        match look.sealed(Table::Meta, HEADS)? {
            Some(plain) => Ok(decode(Table::Meta.name(), &plain)?),
            // Each new store has them; one of an older release has none until its first numbered entry.
            None if nothing_numbered(look)? => Ok(Self::default()),
            None => Err(StoreError::Tampered { table: Table::Meta.name() }.into()),
        }
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<(), Fault> {
        w.put_sealed(Table::Meta, HEADS, &encode(Table::Meta.name(), self)?)
    }
}

/// Whether there is no entry that has a number from the heads.
fn nothing_numbered(look: &impl Look) -> Result<bool, Fault> {
    for table in [Table::Audit, Table::Postings, Table::Runs] {
        if !look.ascend(table, &[], &[0], 1)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many postings of a flow entered or left a state.
pub(crate) type Deltas = BTreeMap<(FlowId, u8), i64>;

/// Writes a group.
pub(crate) fn group<'a>(w: &mut Writer<'_>, ops: impl Iterator<Item = &'a Op>) -> Result<(), Fault> {
    let before = Heads::read(w)?;
    let mut heads = before.clone();
    let mut deltas = Deltas::new();
    let mut by_posting = audit::ByPosting::default();
    for op in ops {
        match op {
            Op::Posting(posting) => postings::put(w, &mut heads, &mut deltas, posting)?,
            Op::Audit { posting, body } => {
                audit::append(w, &mut heads, &mut by_posting, posting.as_deref(), body)?;
            }
            Op::State { table, name, bytes } => state::put(w, *table, name, bytes)?,
            Op::Expect { table, name, seen } => state::expect(w, *table, name, *seen)?,
            Op::RemoveState { table, name } => state::remove(w, *table, name)?,
            Op::Run { id, bytes } => runs::put(w, &mut heads, id, bytes)?,
            Op::Secret { name, bytes } => secrets::put(w, name, bytes)?,
            Op::RemoveSecret { name } => secrets::remove(w, name)?,
            Op::RenewSecret(renewal) => secrets::renew(w, renewal)?,
            Op::Link(op) => op.apply(w)?,
        }
    }
    by_posting.write(w)?;
    postings::count(w, &deltas)?;
    if heads != before { heads.write(w) } else { Ok(()) }
}
