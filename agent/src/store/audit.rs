//! The audit trail: append-only, hash-chained, sealed. Each entry's hash covers its number, the hash before it and its
//! body, under a key of its own; the head is kept apart in `meta`, so a cut tail shows.

use super::access::{Look, Writer};
use super::apply::Heads;
use super::batch::Op;
use super::codec::{decode, encode_with_words};
use super::engine::{Engine, Fault};
use super::error::StoreError;
use super::tables::Table;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::{ConnectionId, FlowId, PostingKey, RunId};
use std::fmt;
use std::sync::Arc;

/// What an audit entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditKind {
    /// A posting went from one state to another.
    Transition,
    /// A vendor was called: request and response, without secrets.
    Call,
    /// A person decided something.
    Decision,
    /// A run began or ended.
    Run,
    /// An entry of a reference set was written to a spend system, or is about to be.
    Reference,
    /// Something that could have been an attack, or was refused as one.
    Security,
    /// Configuration was read, changed or refused.
    Configuration,
    /// A secret was stored or forgotten (never its value).
    Secret,
    /// A webhook came and was accepted or was known already; one that is refused is [`AuditKind::Security`].
    Webhook,
    /// The agent itself: started, stopped, a part of it restarted.
    Agent,
}

impl AuditKind {
    /// All, in the order of their words for people.
    pub const ALL: [AuditKind; 10] = [
        AuditKind::Transition,
        AuditKind::Call,
        AuditKind::Decision,
        AuditKind::Run,
        AuditKind::Reference,
        AuditKind::Security,
        AuditKind::Configuration,
        AuditKind::Secret,
        AuditKind::Webhook,
        AuditKind::Agent,
    ];

    /// Its word, as it stands in an entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            AuditKind::Transition => "transition",
            AuditKind::Call => "call",
            AuditKind::Decision => "decision",
            AuditKind::Run => "run",
            AuditKind::Reference => "reference",
            AuditKind::Security => "security",
            AuditKind::Configuration => "configuration",
            AuditKind::Secret => "secret",
            AuditKind::Webhook => "webhook",
            AuditKind::Agent => "agent",
        }
    }
}

/// An audit entry before it has its place in the chain. What happened may be any value that has a JSON form; read
/// back, it is JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDraft<D = serde_json::Value> {
    /// When.
    pub at: Timestamp,
    /// About what.
    pub kind: AuditKind,
    /// Through which connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// In which flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowId>,
    /// In which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Of which posting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posting: Option<PostingKey>,
    /// Who: `agent` or `person:NAME`.
    pub actor: String,
    /// What happened.
    pub detail: D,
}

impl<D> AuditDraft<D> {
    /// An entry by the agent itself, about nothing in particular.
    pub fn new(at: Timestamp, kind: AuditKind, detail: D) -> Self {
        Self {
            at,
            kind,
            connection: None,
            flow: None,
            run: None,
            posting: None,
            actor: "agent".to_owned(),
            detail,
        }
    }

    pub(crate) fn into_op(self) -> Result<Op, StoreError>
    where
        D: Serialize,
    {
        let body = encode_with_words(Table::Audit.name(), &self)?;
        Ok(Op::Audit { posting: self.posting.map(|key| key.as_str().to_owned()), body })
    }
}

/// A link of the chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditHash(pub [u8; 32]);

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AuditHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An audit entry in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// The hash of the entry before it.
    pub prev: AuditHash,
    /// Its own hash.
    pub hash: AuditHash,
    /// What was recorded.
    #[serde(flatten)]
    pub draft: AuditDraft,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AuditHead {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last one.
    pub hash: AuditHash,
}

/// What is wrong with the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {seq}: {kind}")]
pub struct AuditFault {
    /// The first entry that is not as it was written.
    pub seq: u64,
    /// In which way.
    pub kind: AuditFaultKind,
}

/// In which way the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditFaultKind {
    /// Its content is not what was written.
    #[error("its content was changed")]
    Edited,
    /// It is gone and later ones are there.
    #[error("it is missing, later ones are there")]
    Dropped,
    /// Another entry stands in its place.
    #[error("another entry stands in its place")]
    Reordered,
    /// It and everything after it is gone.
    #[error("it and everything after it is missing")]
    Truncated,
    /// The store could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(StoreError),
}

/// Entries of the index by posting that one transaction adds.
///
/// They are written last and in order: each touches a page of its own somewhere in the file, and pages that are written
/// one after the other come to lie side by side, where the next transaction finds them with few looks at the file.
#[derive(Default)]
pub(crate) struct ByPosting(Vec<[u8; 24]>);

impl ByPosting {
    fn add(&mut self, posting: [u8; 16], seq: u64) {
        let mut key = [0; 24];
        key[..16].copy_from_slice(&posting);
        key[16..].copy_from_slice(&seq.to_be_bytes());
        self.0.push(key);
    }

    pub(crate) fn write(mut self, w: &mut Writer<'_>) -> Result<(), Fault> {
        self.0.sort_unstable();
        self.0.iter().try_for_each(|key| w.put_raw(Table::AuditByPosting, key, &[]))
    }
}

pub(crate) fn append(
    w: &mut Writer<'_>,
    heads: &mut Heads,
    by_posting: &mut ByPosting,
    posting: Option<&str>,
    body: &[u8],
) -> Result<(), Fault> {
    let seq = heads.audit + 1;
    let hash = w.keys().audit_hash(seq, &heads.audit_hash, body);
    let mut plain = Vec::with_capacity(64 + body.len());
    plain.extend_from_slice(&heads.audit_hash);
    plain.extend_from_slice(&hash);
    plain.extend_from_slice(body);
    w.put_sealed(Table::Audit, &seq.to_be_bytes(), &plain)?;
    if let Some(posting) = posting {
        by_posting.add(w.keys().index_hash("audit", &[posting]), seq);
    }
    heads.audit = seq;
    heads.audit_hash = hash;
    Ok(())
}

/// One entry as it stands on disk, opened.
struct Link {
    prev: [u8; 32],
    hash: [u8; 32],
    body: Vec<u8>,
}

impl Link {
    fn parse(plain: &[u8]) -> Option<Self> {
        let (prev, rest) = plain.split_first_chunk::<32>()?;
        let (hash, body) = rest.split_first_chunk::<32>()?;
        Some(Self { prev: *prev, hash: *hash, body: body.to_vec() })
    }
}

/// How many entries are opened in one transaction.
const CHUNK: usize = 256;

/// Reads the audit trail.
#[derive(Clone)]
pub struct AuditReader {
    engine: Arc<Engine>,
}

impl AuditReader {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// The end of the chain, as remembered apart from the entries.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn head(&self) -> Result<AuditHead, StoreError> {
        let heads = self.engine.read(|r| Heads::read(r))?;
        Ok(AuditHead { entries: heads.audit, hash: AuditHash(heads.audit_hash) })
    }

    /// Up to `limit` entries from number `from` on, upwards.
    ///
    /// # Errors
    /// When the store cannot be read or an entry was changed.
    pub fn entries(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.engine.read(|r| {
            let pairs = r.ascend(Table::Audit, &[], &from.max(1).to_be_bytes(), limit)?;
            pairs.iter().map(|(key, sealed)| entry(r, key, sealed)).collect()
        })
    }

    /// Every entry of one posting, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read or an entry was changed.
    pub fn of_posting(&self, key: &PostingKey) -> Result<Vec<AuditEntry>, StoreError> {
        self.engine.read(|r| {
            let prefix = r.keys().index_hash("audit", &[key.as_str()]);
            let mut entries = Vec::new();
            for (index, _) in r.ascend(Table::AuditByPosting, &prefix, &prefix, usize::MAX)? {
                let seq = index.get(16..).unwrap_or_default();
                let sealed = r.raw(Table::Audit, seq)?.ok_or_else(tampered)?;
                entries.push(entry(r, seq, &sealed)?);
            }
            Ok(entries)
        })
    }

    /// Hands every entry from number `from` on to `f`, oldest first, in short transactions.
    ///
    /// # Errors
    /// When the store cannot be read or an entry was changed.
    pub fn for_each(&self, from: u64, mut f: impl FnMut(AuditEntry)) -> Result<(), StoreError> {
        let mut next = from;
        loop {
            let chunk = self.entries(next, CHUNK)?;
            let Some(last) = chunk.last() else { return Ok(()) };
            next = last.seq + 1;
            chunk.into_iter().for_each(&mut f);
        }
    }

    /// Walks the whole chain.
    ///
    /// # Errors
    /// The first entry that was edited, dropped, reordered or cut off.
    pub fn verify(&self) -> Result<AuditHead, AuditFault> {
        let head = self.head().map_err(|error| unreadable(0, error))?;
        let mut prev = [0; 32];
        let mut next = 1;
        while next <= head.entries {
            let (reached, hash) = self.verify_chunk(next, head.entries, prev)?;
            next = reached;
            prev = hash;
        }
        if prev != head.hash.0 {
            return Err(AuditFault { seq: head.entries, kind: AuditFaultKind::Edited });
        }
        Ok(head)
    }

    /// Walks a stretch; where to go on and the hash of the last entry walked.
    fn verify_chunk(&self, from: u64, last: u64, prev: [u8; 32]) -> Result<(u64, [u8; 32]), AuditFault> {
        let pairs = self.engine.read(|r| r.ascend(Table::Audit, &[], &from.to_be_bytes(), CHUNK));
        let pairs = pairs.map_err(|error| unreadable(from, error))?;
        if pairs.is_empty() {
            return Err(AuditFault { seq: from, kind: AuditFaultKind::Truncated });
        }
        let mut next = from;
        let mut prev = prev;
        for (key, sealed) in pairs {
            if next > last {
                break;
            }
            if key != next.to_be_bytes() {
                return Err(AuditFault { seq: next, kind: AuditFaultKind::Dropped });
            }
            prev =
                self.verify_one(next, &sealed, &prev, last).map_err(|kind| AuditFault { seq: next, kind })?;
            next += 1;
        }
        Ok((next, prev))
    }

    fn verify_one(
        &self,
        seq: u64,
        sealed: &[u8],
        prev: &[u8; 32],
        last: u64,
    ) -> Result<[u8; 32], AuditFaultKind> {
        let keys = &self.engine.keys;
        let table = Table::Audit.name();
        let opened = keys.open(table, &seq.to_be_bytes(), sealed).ok().and_then(|plain| Link::parse(&plain));
        let Some(link) = opened else {
            // Sealed for another number: it was moved. Sealed for none: it was changed.
            let moved = near(seq, last).any(|other| keys.open(table, &other.to_be_bytes(), sealed).is_ok());
            return Err(if moved { AuditFaultKind::Reordered } else { AuditFaultKind::Edited });
        };
        if link.hash != keys.audit_hash(seq, &link.prev, &link.body) {
            let moved = near(seq, last).any(|n| link.hash == keys.audit_hash(n, &link.prev, &link.body));
            return Err(if moved { AuditFaultKind::Reordered } else { AuditFaultKind::Edited });
        }
        if link.prev != *prev {
            return Err(AuditFaultKind::Dropped);
        }
        Ok(link.hash)
    }
}

impl fmt::Debug for AuditReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditReader")
    }
}

/// The numbers among which a misplaced entry is searched.
fn near(seq: u64, last: u64) -> impl Iterator<Item = u64> {
    (seq.saturating_sub(2_000).max(1)..=seq.saturating_add(2_000).min(last))
        .filter(move |other| *other != seq)
}

fn entry(look: &impl Look, key: &[u8], sealed: &[u8]) -> Result<AuditEntry, Fault> {
    let seq = u64::from_be_bytes(key.try_into().map_err(|_| tampered())?);
    let plain = look.keys().open(Table::Audit.name(), key, sealed)?;
    let link = Link::parse(&plain).ok_or_else(tampered)?;
    let draft = decode(Table::Audit.name(), &link.body)?;
    Ok(AuditEntry { seq, prev: AuditHash(link.prev), hash: AuditHash(link.hash), draft })
}

fn unreadable(seq: u64, error: StoreError) -> AuditFault {
    AuditFault { seq, kind: AuditFaultKind::Unreadable(error) }
}

fn tampered() -> StoreError {
    StoreError::Tampered { table: Table::Audit.name() }
}
