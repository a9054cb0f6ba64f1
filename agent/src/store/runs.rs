//! Run history.

use super::access::{Look, Writer};
use super::apply::Heads;
use super::codec::decode;
use super::engine::Fault;
use super::error::StoreError;
use super::tables::Table;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::{FlowId, RunId};

/// Counters of one run of a reference flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MirrorCounts {
    /// Entries that the ERP wants to be there.
    pub wanted: u64,
    /// Entries added.
    pub added: u64,
    /// Entries changed.
    pub changed: u64,
    /// Entries disabled.
    pub disabled: u64,
    /// Entries that were as they are wanted.
    pub untouched: u64,
    /// Entries that differ and stay as they are: none of ours, or the rules say so.
    pub left_alone: u64,
    /// Entries whose change the spend system refused, or did not show afterwards.
    pub failed: u64,
    /// Changes that wait for a person's consent, because they are beyond a ceiling.
    pub waiting: u64,
}

/// Counters of one run. Money is not in here: statements are made by the proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunReport {
    /// Records read from the source.
    pub read: u64,
    /// Records not seen before.
    pub new: u64,
    /// Records seen before, unchanged.
    pub known: u64,
    /// Records that changed after they were posted.
    pub changed: u64,
    /// Records the source could not give in readable form.
    pub unreadable: u64,
    /// Postings planned.
    pub planned: u64,
    /// Postings written by this run.
    pub posted: u64,
    /// Postings found in the ERP and adopted.
    pub adopted: u64,
    /// Records marked at the source.
    pub acknowledged: u64,
    /// Postings that began to wait for a person.
    pub held: u64,
    /// Records that the preview to which this run was bound did not book so (approved or changed since); a later run
    /// takes them.
    pub left_out: u64,
    /// Postings whose outcome is open after this run.
    pub in_doubt: u64,
    /// Postings that wait for their next attempt after this run.
    pub waiting: u64,
    /// What a reference flow did; `None` for a flow that books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<Box<MirrorCounts>>,
    /// Nothing was done, because one of the sides could not be read for a reason that does not pass by itself within a
    /// moment (no secret, credential refused, nothing listens there).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub could_not_begin: bool,
    /// What went wrong, in words, without secrets.
    pub errors: Vec<String>,
    /// When something of this flow is due next; `None` = nothing open that time alone can settle.
    pub next_due: Option<Timestamp>,
}

impl RunReport {
    /// Whether the run did what it could without trouble.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether the run read or changed anything.
    pub fn did_something(&self) -> bool {
        let done = [self.read, self.changed, self.posted, self.adopted, self.acknowledged, self.held];
        done.into_iter().any(|count| count > 0)
    }

    /// Adds a later run: counters add up, what is open is as the later one says.
    pub fn add(&mut self, later: RunReport) {
        self.read += later.read;
        self.new += later.new;
        self.known += later.known;
        self.changed += later.changed;
        self.unreadable += later.unreadable;
        self.planned += later.planned;
        self.posted += later.posted;
        self.adopted += later.adopted;
        self.acknowledged += later.acknowledged;
        self.held += later.held;
        self.left_out += later.left_out;
        self.in_doubt = later.in_doubt;
        if let Some(later) = later.mirrored {
            let mirrored = self.mirrored.get_or_insert_default();
            mirrored.added += later.added;
            mirrored.changed += later.changed;
            mirrored.disabled += later.disabled;
            // What is open or as it should be is as the later run says.
            **mirrored = MirrorCounts {
                added: mirrored.added,
                changed: mirrored.changed,
                disabled: mirrored.disabled,
                ..*later
            };
        }
        self.waiting = later.waiting;
        self.could_not_begin &= later.could_not_begin;
        self.errors.extend(later.errors);
        self.next_due = later.next_due;
    }
}

/// One execution of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Which.
    pub id: RunId,
    /// Of which flow.
    pub flow: FlowId,
    /// What started it.
    pub trigger: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it did.
    #[serde(flatten)]
    pub report: RunReport,
}

/// How many records are opened in one transaction.
const CHUNK: usize = 64;

pub(crate) fn put(w: &mut Writer<'_>, heads: &mut Heads, id: &str, bytes: &[u8]) -> Result<(), Fault> {
    let by_id = w.keys().index_hash("run", &[id]);
    let key = match w.raw(Table::RunById, &by_id)? {
        Some(known) => known,
        None => {
            heads.run += 1;
            let fresh = heads.run.to_be_bytes();
            w.put_raw(Table::RunById, &by_id, &fresh)?;
            fresh.to_vec()
        }
    };
    w.put_sealed(Table::Runs, &key, bytes)
}

/// The next older runs below `below`; the last key that was looked at, to go on from.
pub(crate) fn older(look: &impl Look, below: Option<&[u8]>) -> Result<Page, Fault> {
    let pairs = look.descend(Table::Runs, &[], below, CHUNK)?;
    let mut runs = Vec::with_capacity(pairs.len());
    for (key, sealed) in &pairs {
        let plain = look.keys().open(Table::Runs.name(), key, sealed)?;
        runs.push(decode::<RunRecord>(Table::Runs.name(), &plain)?);
    }
    Ok(Page { runs, last: pairs.into_iter().last().map(|(key, _)| key) })
}

/// Some runs, newest first.
pub(crate) struct Page {
    pub(crate) runs: Vec<RunRecord>,
    pub(crate) last: Option<Vec<u8>>,
}

pub(crate) fn list(
    mut page: impl FnMut(Option<Vec<u8>>) -> Result<Page, StoreError>,
    flow: Option<&FlowId>,
    limit: usize,
) -> Result<Vec<RunRecord>, StoreError> {
    let mut found = Vec::new();
    let mut below = None;
    loop {
        let Page { runs, last } = page(below)?;
        found.extend(runs.into_iter().filter(|run| flow.is_none_or(|flow| *flow == run.flow)));
        if found.len() >= limit || last.is_none() {
            found.truncate(limit);
            return Ok(found);
        }
        below = last;
    }
}
