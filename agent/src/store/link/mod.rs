//! What an enrolled agent keeps of its link: who it is at the control plane, its keys, and the outbox.
//!
//! All of it lies in the table of small values under keys of its own, so that stores of older releases have room for it.
//! There is an outbox exactly while the agent is enrolled; what is reported at any other time is not kept.

mod handover;
mod keys;
mod outbox;

pub use handover::{HandedSecret, HandoverError};
pub use keys::{LinkKeyring, LinkKeys};
pub use outbox::{MOST_BYTES, OutboxStats};

use super::access::{Look, Writer};
use super::batch::{Batch, Op};
use super::codec::{decode, encode};
use super::engine::Fault;
use super::error::StoreError;
use super::state;
use super::tables::Table;
use super::{StateTable, Store};
use purser_proto::config::NetworkSettings;
use purser_proto::link::report::{Report, ReportBody};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use zeroize::Zeroizing;

/// Beyond the codes of [`StateTable`], whose keys are longer.
const OUTBOX: u8 = 200;
const OUTBOX_HEAD: &[u8] = &[201];
const ENROLLMENT: &[u8] = &[202];
const KEYS: &[u8] = &[203];

/// Who the agent is, and where its control plane is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// Origin of the control plane: the only place that the link speaks to.
    pub url: String,
    /// The agent's id there.
    pub agent: String,
    /// How it is called there, for people.
    pub name: String,
    /// Whose it is, for people.
    pub tenant: String,
    /// Proxy and trust on the way there.
    pub network: NetworkSettings,
    /// When it enrolled.
    pub at: Timestamp,
    /// Whether a person had still to approve the fingerprint then.
    pub waited_for_approval: bool,
}

/// One write that concerns the link.
pub(crate) enum LinkOp {
    /// Nothing of the batch is written unless this enrollment is in force.
    Only(blake3::Hash),
    Enroll {
        enrollment: Vec<u8>,
        keys: Zeroizing<Vec<u8>>,
    },
    Keys(Zeroizing<Vec<u8>>),
    Leave,
    Report(outbox::Entry),
    Reported {
        through: u64,
    },
}

impl LinkOp {
    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        match self {
            LinkOp::Enroll { enrollment, keys } => enrollment.len() + keys.len(),
            LinkOp::Keys(keys) => keys.len(),
            LinkOp::Report(entry) => entry.size(),
            LinkOp::Only(_) | LinkOp::Leave | LinkOp::Reported { .. } => 0,
        }
    }

    pub(crate) fn apply(&self, w: &mut Writer<'_>) -> Result<(), Fault> {
        match self {
            LinkOp::Only(mark) if mark_of(w)? == Some(*mark) => Ok(()),
            LinkOp::Only(_) => Err(StoreError::OtherEnrollment.into()),
            LinkOp::Enroll { enrollment, keys } => {
                forget_all(w)?;
                w.put_sealed(Table::State, ENROLLMENT, enrollment)?;
                w.put_sealed(Table::State, KEYS, keys)?;
                outbox::open(w)
            }
            LinkOp::Keys(keys) => w.put_sealed(Table::State, KEYS, keys),
            LinkOp::Leave => forget_all(w),
            LinkOp::Report(entry) => outbox::add(w, entry),
            LinkOp::Reported { through } => outbox::take_away(w, *through),
        }
    }
}

fn mark_of(look: &impl Look) -> Result<Option<blake3::Hash>, Fault> {
    Ok(look.raw(Table::State, ENROLLMENT)?.map(|sealed| blake3::hash(&sealed)))
}

/// Nothing of one control plane is left for the next.
fn forget_all(w: &mut Writer<'_>) -> Result<(), Fault> {
    outbox::close(w)?;
    for table in [StateTable::Link, StateTable::Delivery] {
        for name in state::names(w, table)? {
            state::remove(w, table, &name)?;
        }
    }
    w.remove(Table::State, ENROLLMENT)?;
    w.remove(Table::State, KEYS).map(drop)
}

impl Batch {
    /// An empty batch of the link of this enrollment ([`Store::enrollment_mark`]): refused as a whole when the agent has left
    /// that control plane by the time it is written, so that nothing of one comes to the next.
    pub fn only_for(mark: blake3::Hash) -> Self {
        let mut batch = Self::new();
        batch.add(Ok(Op::Link(LinkOp::Only(mark))));
        batch
    }

    /// Takes up an enrollment; everything of an earlier one is forgotten.
    pub fn enroll(&mut self, enrollment: &Enrollment, keys: &LinkKeyring) -> &mut Self {
        let ops = encode(Table::State.name(), enrollment)
            .and_then(|enrollment| Ok(Op::Link(LinkOp::Enroll { enrollment, keys: keys.to_bytes()? })));
        self.add(ops)
    }

    /// Replaces the keys of the link.
    pub fn put_link_keys(&mut self, keys: &LinkKeyring) -> &mut Self {
        self.add(keys.to_bytes().map(|bytes| Op::Link(LinkOp::Keys(bytes))))
    }

    /// Forgets enrollment, keys, outbox and all that came from the control plane.
    pub fn leave(&mut self) -> &mut Self {
        self.add(Ok(Op::Link(LinkOp::Leave)))
    }

    /// Puts a report into the outbox. Without effect while the agent is not enrolled.
    pub fn report(&mut self, at: Timestamp, body: &ReportBody) -> &mut Self {
        self.add(outbox::Entry::new(at, body).map(|entry| Op::Link(LinkOp::Report(entry))))
    }

    /// Takes reports away that the control plane has durably.
    pub fn reported(&mut self, through: u64) -> &mut Self {
        self.add(Ok(Op::Link(LinkOp::Reported { through })))
    }
}

impl Store {
    /// Who the agent is at its control plane; `None` = it is not enrolled.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn enrollment(&self) -> Result<Option<Enrollment>, StoreError> {
        Ok(self.marked_enrollment()?.map(|(enrollment, _)| enrollment))
    }

    /// Who the agent is, and what differs from one enrollment to the next.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn marked_enrollment(&self) -> Result<Option<(Enrollment, blake3::Hash)>, StoreError> {
        self.engine().read(|r| match (r.sealed(Table::State, ENROLLMENT)?, mark_of(r)?) {
            (Some(plain), Some(mark)) => Ok(Some((decode(Table::State.name(), &plain)?, mark))),
            (None, _) | (_, None) => Ok(None),
        })
    }

    /// Something that differs from one enrollment to the next, without reading it; `None` = not enrolled.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn enrollment_mark(&self) -> Result<Option<blake3::Hash>, StoreError> {
        self.engine().read(|r| mark_of(r))
    }

    /// The keys of the link.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn link_keys(&self) -> Result<Option<LinkKeyring>, StoreError> {
        self.engine().read(|r| match r.sealed(Table::State, KEYS)? {
            Some(plain) => Ok(Some(LinkKeyring::from_bytes(&plain)?)),
            None => Ok(None),
        })
    }

    /// The oldest reports that wait, in their order: at most `limit`, and no more than `bytes` of JSON unless the first
    /// alone is larger.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outbox(&self, limit: usize, bytes: usize) -> Result<Vec<Report>, StoreError> {
        self.engine().read(|r| outbox::oldest(r, limit, bytes))
    }

    /// Figures of the outbox; `None` = the agent is not enrolled.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outbox_stats(&self) -> Result<Option<OutboxStats>, StoreError> {
        self.engine().read(|r| outbox::stats(r))
    }

    /// Puts a report into the outbox with the next commit, as [`Store::note`] does with audit entries.
    pub fn note_report(&self, at: Timestamp, body: &ReportBody) {
        let op = outbox::Entry::new(at, body).map(|entry| Op::Link(LinkOp::Report(entry)));
        match (self.queue(), op) {
            (Ok(queue), Ok(op)) => queue.note(op),
            (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "report refused"),
        }
    }
}
