//! The outbox: reports that wait until the control plane has them durably. Their numbers grow by one and are given in the
//! transaction that writes them, so the order in which things happened survives every crash.
//!
//! It is bounded: a new status takes the place of the one that still waits, and beyond [`MOST_BYTES`] plain news is left
//! out and said to be so. Everything else is kept: results and verdicts come only of deliveries, and none are taken while
//! the outbox is full.

use crate::store::access::{Look, Writer};
use crate::store::codec::{decode, encode};
use crate::store::engine::Fault;
use crate::store::error::StoreError;
use crate::store::link::{OUTBOX, OUTBOX_HEAD};
use crate::store::seal::OVERHEAD;
use crate::store::tables::Table;
use purser_proto::link::report::{Notice, NoticeLevel, Report, ReportBody};
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// Size from which on plain news is left out.
pub const MOST_BYTES: u64 = 50 << 20;
/// Entries that are read or taken away at once.
const CHUNK: usize = 256;

/// Figures of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxStats {
    /// Reports that wait.
    pub reports: u64,
    /// Their bytes.
    pub bytes: u64,
    /// News that was left out since the outbox is full.
    pub left_out: u64,
    /// Number of the last report.
    pub last: u64,
}

impl OutboxStats {
    /// Whether nothing should be begun that makes more reports.
    pub fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }
}

/// What happens when the outbox is full, and what takes another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Status,
    News,
    Kept,
}

/// A report on its way into the outbox.
pub(crate) struct Entry {
    class: Class,
    at: Timestamp,
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Stored<B> {
    at: Timestamp,
    body: B,
}

impl Entry {
    pub(crate) fn new(at: Timestamp, body: &ReportBody) -> Result<Self, StoreError> {
        let class = match body {
            ReportBody::Status(_) => Class::Status,
            ReportBody::Notice(notice) if notice.level == NoticeLevel::Info => Class::News,
            ReportBody::Notice(_)
            | ReportBody::Result { .. }
            | ReportBody::Revision(_)
            | ReportBody::Secret { .. }
            | ReportBody::Webhook { .. }
            | ReportBody::Unknown => Class::Kept,
        };
        Ok(Self { class, at, bytes: encode(Table::State.name(), &Stored { at, body })? })
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    last: u64,
    reports: u64,
    bytes: u64,
    /// The status that waits.
    status: Option<u64>,
    left_out: u64,
    /// It was reported that news is left out.
    told: bool,
}

impl Head {
    fn read(look: &impl Look) -> Result<Option<Self>, Fault> {
        match look.sealed(Table::State, OUTBOX_HEAD)? {
            Some(plain) => Ok(Some(decode(Table::State.name(), &plain)?)),
            None => Ok(None),
        }
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), Fault> {
        w.put_sealed(Table::State, OUTBOX_HEAD, &encode(Table::State.name(), self)?)
    }

    fn put(&mut self, w: &mut Writer<'_>, entry: &Entry) -> Result<(), Fault> {
        self.last += 1;
        self.reports += 1;
        self.bytes += (entry.bytes.len() + OVERHEAD) as u64;
        w.put_sealed(Table::State, &key_of(self.last), &entry.bytes)
    }

    fn drop_one(&mut self, w: &mut Writer<'_>, id: u64) -> Result<(), Fault> {
        if let Some(sealed) = w.raw(Table::State, &key_of(id))? {
            w.remove(Table::State, &key_of(id))?;
            self.reports = self.reports.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(sealed.len() as u64);
        }
        Ok(())
    }
}

fn key_of(id: u64) -> [u8; 9] {
    let mut key = [OUTBOX; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn id_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(1..)?.first_chunk()?))
}

/// Begins an empty outbox.
pub(super) fn open(w: &mut Writer<'_>) -> Result<(), Fault> {
    Head::default().write(w)
}

/// Takes the outbox away with all that is in it.
pub(super) fn close(w: &mut Writer<'_>) -> Result<(), Fault> {
    take_away(w, u64::MAX)?;
    w.remove(Table::State, OUTBOX_HEAD).map(drop)
}

pub(super) fn add(w: &mut Writer<'_>, entry: &Entry) -> Result<(), Fault> {
    let Some(mut head) = Head::read(w)? else { return Ok(()) };
    if entry.class == Class::Status
        && let Some(earlier) = head.status.take()
    {
        head.drop_one(w, earlier)?;
    }
    if entry.class == Class::News && head.bytes >= MOST_BYTES {
        head.left_out += 1;
        if !std::mem::replace(&mut head.told, true) {
            head.put(w, &full(entry.at)?)?;
        }
        return head.write(w);
    }
    head.put(w, entry)?;
    if entry.class == Class::Status {
        head.status = Some(head.last);
    }
    head.write(w)
}

fn full(at: Timestamp) -> Result<Entry, StoreError> {
    Entry::new(
        at,
        &ReportBody::Notice(Notice {
            level: NoticeLevel::Warning,
            code: "outbox-full".into(),
            concerns: None,
            what: format!("the outbox holds {} MiB; plain news is left out from here on", MOST_BYTES >> 20)
                .into(),
            fix: "nothing to do: reports are kept again once these have arrived".into(),
        }),
    )
}

/// Takes reports up to this number away.
pub(super) fn take_away(w: &mut Writer<'_>, through: u64) -> Result<(), Fault> {
    let Some(mut head) = Head::read(w)? else { return Ok(()) };
    let before = head.clone();
    loop {
        let some = w.ascend(Table::State, &[OUTBOX], &[OUTBOX], CHUNK)?;
        let ids: Vec<u64> =
            some.iter().filter_map(|(key, _)| id_of(key)).filter(|id| *id <= through).collect();
        if ids.is_empty() {
            break;
        }
        for id in ids {
            head.drop_one(w, id)?;
        }
    }
    head.status = head.status.filter(|id| *id > through);
    if head.bytes < MOST_BYTES / 2 {
        (head.told, head.left_out) = (false, 0);
    }
    if head == before { Ok(()) } else { head.write(w) }
}

pub(super) fn oldest(look: &impl Look, limit: usize, bytes: usize) -> Result<Vec<Report>, Fault> {
    let mut reports = Vec::new();
    let mut sum = 0;
    for (key, sealed) in look.ascend(Table::State, &[OUTBOX], &[OUTBOX], limit)? {
        let plain = look.keys().open(Table::State.name(), &key, &sealed)?;
        let Some(id) = id_of(&key) else { break };
        let stored: Stored<ReportBody> = decode(Table::State.name(), &plain)?;
        let report = Report { id, at: stored.at, body: stored.body };
        // What is stored may be compressed; what is sent is not.
        sum += serde_json::to_vec(&report).map_or(0, |json| json.len());
        if !reports.is_empty() && sum > bytes {
            break;
        }
        reports.push(report);
    }
    Ok(reports)
}

pub(super) fn stats(look: &impl Look) -> Result<Option<OutboxStats>, Fault> {
    Ok(Head::read(look)?.map(|head| OutboxStats {
        reports: head.reports,
        bytes: head.bytes,
        left_out: head.left_out,
        last: head.last,
    }))
}
