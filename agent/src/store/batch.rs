//! A batch: what is to become durable together, or not at all.

use super::audit::AuditDraft;
use super::codec::encode;
use super::error::StoreError;
use super::link::LinkOp;
use super::postings::PreparedPosting;
use super::runs::RunRecord;
use super::secrets::{Renewal, SecretStamp, StoredSecret};
use super::state::{Stamp, StateTable};
use crate::secret::SecretText;
use serde::Serialize;
use spend::posting::Posting;
use std::borrow::Borrow;
use zeroize::Zeroizing;

/// Writes that belong together. Values are turned into bytes as they are added; if one cannot be, the whole batch is
/// refused when it is committed.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) fault: Option<StoreError>,
}

/// One write.
pub(crate) enum Op {
    Posting(Box<PreparedPosting>),
    Audit { posting: Option<String>, body: Vec<u8> },
    State { table: StateTable, name: String, bytes: Vec<u8> },
    RemoveState { table: StateTable, name: String },
    Expect { table: StateTable, name: String, seen: Stamp },
    Run { id: String, bytes: Vec<u8> },
    Secret { name: String, bytes: Zeroizing<Vec<u8>> },
    RemoveSecret { name: String },
    RenewSecret(Renewal),
    Link(LinkOp),
}

impl Op {
    /// Bytes that it holds, about.
    pub(crate) fn size(&self) -> usize {
        /// The item itself and its keys.
        const REST: usize = 128;
        REST + match self {
            Op::Posting(posting) => posting.size(),
            Op::Audit { body, .. } => body.len(),
            Op::State { bytes, .. } | Op::Run { bytes, .. } => bytes.len(),
            Op::Secret { bytes, .. } => bytes.len(),
            Op::Link(op) => op.size(),
            // A renewal holds a few tokens.
            Op::RemoveState { .. } | Op::Expect { .. } | Op::RemoveSecret { .. } | Op::RenewSecret(_) => 0,
        }
    }
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Op::Posting(_) => "posting",
            Op::Audit { .. } => "audit entry",
            Op::State { .. } => "state",
            Op::RemoveState { .. } => "removal of state",
            Op::Expect { .. } => "expected state",
            Op::Run { .. } => "run",
            Op::Secret { .. } => "secret",
            Op::RemoveSecret { .. } => "removal of a secret",
            Op::RenewSecret(_) => "renewal of a secret",
            Op::Link(_) => "link",
        })
    }
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.fault.is_none()
    }

    /// Adds everything of another batch, after what is here.
    pub fn append(&mut self, other: Batch) -> &mut Self {
        self.ops.extend(other.ops);
        self.fault = self.fault.take().or(other.fault);
        self
    }

    /// Writes a posting in its present state; an earlier state under the same key is replaced.
    pub fn put_posting(&mut self, posting: impl Borrow<Posting>) -> &mut Self {
        self.add(PreparedPosting::new(posting.borrow(), false).map(|p| Op::Posting(Box::new(p))))
    }

    /// Writes a claim: refused if the posting is already in the ledger or closed.
    pub(crate) fn put_claim(&mut self, posting: &Posting) -> &mut Self {
        self.add(PreparedPosting::new(posting, true).map(|p| Op::Posting(Box::new(p))))
    }

    /// Appends an audit entry.
    pub fn audit<D: Serialize>(&mut self, draft: AuditDraft<D>) -> &mut Self {
        self.add(draft.into_op())
    }

    /// Writes a small named value.
    pub fn put<T: Serialize>(&mut self, table: StateTable, name: &str, value: &T) -> &mut Self {
        let bytes = encode("state", value);
        self.add(bytes.map(|bytes| Op::State { table, name: name.to_owned(), bytes }))
    }

    /// Refuses the whole batch ([`StoreError::Overtaken`]) when a small named value is another one by then than when it was
    /// read with its stamp ([`Store::get_stamped`](super::Store::get_stamped)).
    pub(crate) fn expect(&mut self, table: StateTable, name: &str, seen: Stamp) -> &mut Self {
        self.add(Ok(Op::Expect { table, name: name.to_owned(), seen }))
    }

    /// Takes a small named value away, if it is there.
    pub fn remove(&mut self, table: StateTable, name: &str) -> &mut Self {
        self.add(Ok(Op::RemoveState { table, name: name.to_owned() }))
    }

    /// Writes a run; an earlier record of the same run is replaced.
    pub fn run(&mut self, run: RunRecord) -> &mut Self {
        let bytes = encode("runs", &run);
        self.add(bytes.map(|bytes| Op::Run { id: run.id.as_str().to_owned(), bytes }))
    }

    /// Stores a secret under a name; an earlier one is replaced.
    pub fn put_secret(&mut self, name: &str, secret: StoredSecret) -> &mut Self {
        let bytes = secret.to_bytes(name);
        self.add(bytes.map(|bytes| Op::Secret { name: name.to_owned(), bytes }))
    }

    /// Replaces fields of a stored secret by what its own system has renewed. Refused when a person has set the secret
    /// anew since `stamp` was read, and when a value is bound to other origins than the secret.
    pub fn renew_secret(
        &mut self,
        name: &str,
        stamp: SecretStamp,
        fields: Vec<(String, SecretText)>,
    ) -> &mut Self {
        self.add(Ok(Op::RenewSecret(Renewal { name: name.to_owned(), stamp, fields })))
    }

    /// Forgets a secret, if it is there.
    pub fn remove_secret(&mut self, name: &str) -> &mut Self {
        self.add(Ok(Op::RemoveSecret { name: name.to_owned() }))
    }

    pub(super) fn add(&mut self, op: Result<Op, StoreError>) -> &mut Self {
        match op {
            Ok(op) => self.ops.push(op),
            Err(fault) => {
                self.fault.get_or_insert(fault);
            }
        }
        self
    }
}
