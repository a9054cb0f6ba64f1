//! The posting log: postings by number, and the indexes by key, record, due time, state and day of approval.
//!
//! Index entries carry hashes and integers only. What they point to is sealed and names itself, so an index that was
//! changed on disk leads to an error, never to another posting.

use super::access::{Look, Writer, after_prefix};
use super::apply::{Deltas, Heads};
use super::codec::{decode, encode};
use super::engine::Fault;
use super::error::StoreError;
use super::seal::StoreKeys;
use super::tables::Table;
use super::{kin, rivals};
use serde::{Deserialize, Serialize};
use spend::ids::{FlowId, PostingKey, Revision, SourceId};
use spend::money::Money;
use spend::posting::{Posting, PostingState, far_ahead, is_due};
use spend::{Date, Timestamp};
use std::collections::BTreeMap;

/// State names in the order of their stored codes. The codes are on disk: never reorder.
pub(super) const STATES: [&str; 9] =
    ["planned", "claimed", "in-doubt", "waiting", "posted", "acknowledged", "held", "superseded", "handled"];

fn state_code(state: &PostingState) -> u8 {
    match state {
        PostingState::Planned => 0,
        PostingState::Claimed { .. } => 1,
        PostingState::InDoubt { .. } => 2,
        PostingState::Waiting { .. } => 3,
        PostingState::Posted { .. } => 4,
        PostingState::Acknowledged { .. } => 5,
        PostingState::Held(_) => 6,
        PostingState::Superseded { .. } => 7,
        PostingState::Handled { .. } => 8,
    }
}

/// Whether a stored state forbids a claim: in hand already, in the ledger, or closed.
fn forbids_claim(code: u8) -> bool {
    matches!(STATES[usize::from(code)], "claimed" | "posted" | "acknowledged" | "superseded" | "handled")
}

/// The day a posting belongs to in periods: approved, else submitted, else first seen, so that each has one.
pub fn period_day(posting: &Posting) -> Date {
    let document = &posting.document;
    document.approved.or(document.submitted).unwrap_or_else(|| posting.seen_at.date_naive())
}

/// Which postings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostingFilter {
    /// Of this flow.
    pub flow: Option<FlowId>,
    /// In this state, by name.
    pub state: Option<String>,
    /// Approved on or after this day.
    pub from: Option<Date>,
    /// Approved on or before this day.
    pub to: Option<Date>,
}

impl PostingFilter {
    /// Whether a posting is meant.
    pub fn admits(&self, posting: &Posting) -> bool {
        let day = period_day(posting);
        self.flow.as_ref().is_none_or(|flow| *flow == posting.flow)
            && self.state.as_ref().is_none_or(|state| state == posting.state.name())
            && self.from.is_none_or(|from| from <= day)
            && self.to.is_none_or(|to| day <= to)
    }
}

/// A posting in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostingSummary {
    /// Identity.
    pub key: PostingKey,
    /// By which flow.
    pub flow: FlowId,
    /// Of which record.
    pub source_id: SourceId,
    /// Of which state of it.
    pub revision: Revision,
    /// The record's title.
    pub title: String,
    /// Whose spend.
    pub owner: String,
    /// The day it belongs to in periods.
    pub day: Date,
    /// Spend total.
    pub total: Money,
    /// State by name.
    pub state: &'static str,
    /// Why it waits, in one sentence; empty when it does not.
    pub why: String,
    /// Code of the first finding, when held.
    pub code: Option<&'static str>,
    /// Where it is in the ERP, once known.
    pub document: Option<String>,
    /// Writes begun.
    pub attempts: u32,
    /// Next look, if any.
    pub due: Option<Timestamp>,
    /// First seen.
    pub seen_at: Timestamp,
    /// Last transition.
    pub updated_at: Timestamp,
}

impl PostingSummary {
    /// Summarises a posting.
    pub fn of(posting: &Posting) -> Self {
        let first = match &posting.state {
            PostingState::Held(hold) => hold.findings.first(),
            _ => None,
        };
        Self {
            key: posting.key.clone(),
            flow: posting.flow.clone(),
            source_id: posting.source_id.clone(),
            revision: posting.revision.clone(),
            title: posting.document.title.clone(),
            owner: posting.document.owner.email.clone(),
            day: period_day(posting),
            total: posting.total,
            state: posting.state.name(),
            why: why(posting),
            code: first.map(|finding| finding.code.as_str()),
            document: posting.state.receipt().map(|receipt| receipt.document.clone()),
            attempts: posting.attempts,
            due: posting.due_at(),
            seen_at: posting.seen_at,
            updated_at: posting.updated_at,
        }
    }
}

fn why(posting: &Posting) -> String {
    match &posting.state {
        PostingState::InDoubt { why, .. } | PostingState::Waiting { why, .. } => why.clone(),
        PostingState::Held(hold) => hold.findings.first().map(|f| f.message.clone()).unwrap_or_default(),
        PostingState::Handled { note, reported: true, .. } => format!("reported as not exported: {note}"),
        PostingState::Handled { note, reported: false, .. } => note.clone(),
        PostingState::Acknowledged { unmarked: Some(note), .. } => {
            format!("not marked at the source: {note}")
        }
        PostingState::Superseded { by, .. } => format!("superseded by revision {by}"),
        PostingState::Planned
        | PostingState::Claimed { .. }
        | PostingState::Posted { .. }
        | PostingState::Acknowledged { unmarked: None, .. } => String::new(),
    }
}

/// A posting as bytes, with what the indexes need.
pub(crate) struct PreparedPosting {
    key: PostingKey,
    flow: FlowId,
    source_id: SourceId,
    others: Vec<SourceId>,
    spot: Spot,
    claim: bool,
    bytes: Vec<u8>,
}

impl PreparedPosting {
    pub(crate) fn new(posting: &Posting, claim: bool) -> Result<Self, StoreError> {
        Ok(Self {
            key: posting.key.clone(),
            flow: posting.flow.clone(),
            source_id: posting.source_id.clone(),
            others: posting.document.other_ids().cloned().collect(),
            spot: Spot::of(posting),
            claim,
            bytes: encode(Table::Postings.name(), posting)?,
        })
    }

    /// Bytes of its value.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Where a posting stands in the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    state: u8,
    due: Option<i64>,
    day: i32,
}

impl Spot {
    fn of(posting: &Posting) -> Self {
        Self {
            state: state_code(&posting.state),
            due: posting.due_at().map(|at| at.timestamp_millis()),
            day: chrono::Datelike::num_days_from_ce(&period_day(posting)),
        }
    }
}

/// The value of the index by key: number of the posting and where it stands, so that a transition need not open the
/// former value to find its index entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pointer {
    seq: u64,
    spot: Spot,
}

impl Pointer {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(22);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.push(self.spot.state);
        bytes.extend_from_slice(&self.spot.day.to_be_bytes());
        bytes.push(u8::from(self.spot.due.is_some()));
        bytes.extend_from_slice(&self.spot.due.unwrap_or_default().to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(bytes).ok_or_else(|| tampered(Table::ByKey))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (seq, rest) = bytes.split_first_chunk::<8>()?;
        let (state, rest) = rest.split_first()?;
        let (day, rest) = rest.split_first_chunk::<4>()?;
        let (has_due, rest) = rest.split_first()?;
        let due = i64::from_be_bytes(rest.try_into().ok()?);
        let due = match has_due {
            0 => None,
            1 => Some(due),
            _ => return None,
        };
        let spot = Spot { state: *state, due, day: i32::from_be_bytes(*day) };
        (usize::from(*state) < STATES.len()).then_some(Self { seq: u64::from_be_bytes(*seq), spot })
    }
}

pub(super) fn tampered(table: Table) -> StoreError {
    StoreError::Tampered { table: table.name() }
}

/// Signed numbers as bytes that sort as the numbers do.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

pub(super) fn flow_hash(keys: &StoreKeys, flow: &FlowId) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&keys.index_hash("flow", &[flow.as_str()])[..8]);
    short
}

pub(super) fn key_hash(keys: &StoreKeys, key: &PostingKey) -> [u8; 16] {
    keys.index_hash("posting", &[key.as_str()])
}

fn source_hash(keys: &StoreKeys, flow: &FlowId, source_id: &SourceId) -> [u8; 16] {
    keys.index_hash("source", &[flow.as_str(), source_id.as_str()])
}

fn due_key(flow: [u8; 8], due: i64, seq: u64) -> Vec<u8> {
    [flow, sortable(due), seq.to_be_bytes()].concat()
}

fn state_key(flow: [u8; 8], state: u8, seq: u64) -> Vec<u8> {
    [flow.as_slice(), &[state], &seq.to_be_bytes()].concat()
}

fn day_key(flow: [u8; 8], day: i32, seq: u64) -> Vec<u8> {
    [flow, sortable(day.into()), seq.to_be_bytes()].concat()
}

pub(super) fn seq_at_end(key: &[u8], table: Table) -> Result<u64, StoreError> {
    key.last_chunk::<8>().map(|seq| u64::from_be_bytes(*seq)).ok_or_else(|| tampered(table))
}

pub(crate) fn put(
    w: &mut Writer<'_>,
    heads: &mut Heads,
    deltas: &mut Deltas,
    posting: &PreparedPosting,
) -> Result<(), Fault> {
    let by_key = key_hash(w.keys(), &posting.key);
    let flow = flow_hash(w.keys(), &posting.flow);
    let former = w.raw(Table::ByKey, &by_key)?.map(|bytes| Pointer::parse(&bytes)).transpose()?;
    if let Some(former) = former.filter(|former| posting.claim && forbids_claim(former.spot.state)) {
        let why = format!("it is {} already", STATES[usize::from(former.spot.state)]);
        return Err(StoreError::NotClaimable { key: posting.key.clone(), why }.into());
    }
    if posting.claim {
        rivals::refuse(w, &posting.flow, &posting.bytes, deltas)?;
    }
    let seq = match former {
        Some(former) => {
            leave(w, flow, former, posting.spot)?;
            *deltas.entry((posting.flow.clone(), former.spot.state)).or_default() -= 1;
            former.seq
        }
        None => enter(w, heads, posting, by_key)?,
    };
    *deltas.entry((posting.flow.clone(), posting.spot.state)).or_default() += 1;
    settle(w, flow, seq, former.map(|former| former.spot), posting.spot)?;
    kin::put(w, &posting.flow, &posting.others, seq, &by_key)?;
    w.put_raw(Table::ByKey, &by_key, &Pointer { seq, spot: posting.spot }.to_bytes())?;
    w.put_sealed(Table::Postings, &seq.to_be_bytes(), &posting.bytes)
}

/// A number for a posting that was never stored. If the index by record knows its key, the index by key has lost it:
/// better stop than book it again.
fn enter(
    w: &mut Writer<'_>,
    heads: &mut Heads,
    posting: &PreparedPosting,
    by_key: [u8; 16],
) -> Result<u64, Fault> {
    let prefix = source_hash(w.keys(), &posting.flow, &posting.source_id);
    let siblings = w.ascend(Table::BySource, &prefix, &prefix, usize::MAX)?;
    if siblings.iter().any(|(_, key)| *key == by_key) {
        return Err(tampered(Table::ByKey).into());
    }
    heads.posting += 1;
    let mut key = prefix.to_vec();
    key.extend_from_slice(&heads.posting.to_be_bytes());
    w.put_raw(Table::BySource, &key, &by_key)?;
    Ok(heads.posting)
}

/// Takes the index entries away that do not hold any more. One that is not there means that an index was changed.
fn leave(w: &mut Writer<'_>, flow: [u8; 8], former: Pointer, now: Spot) -> Result<(), Fault> {
    let Pointer { seq, spot } = former;
    if let Some(due) = spot.due.filter(|_| spot.due != now.due) {
        expect_removed(w, Table::ByDue, &due_key(flow, due, seq))?;
    }
    if spot.state != now.state {
        expect_removed(w, Table::ByState, &state_key(flow, spot.state, seq))?;
    }
    if spot.day != now.day {
        expect_removed(w, Table::ByDay, &day_key(flow, spot.day, seq))?;
    }
    Ok(())
}

fn expect_removed(w: &mut Writer<'_>, table: Table, key: &[u8]) -> Result<(), Fault> {
    if w.remove(table, key)? { Ok(()) } else { Err(tampered(table).into()) }
}

/// Adds the index entries that hold from now on.
fn settle(w: &mut Writer<'_>, flow: [u8; 8], seq: u64, former: Option<Spot>, now: Spot) -> Result<(), Fault> {
    if let Some(due) = now.due.filter(|_| former.is_none_or(|former| former.due != now.due)) {
        w.put_raw(Table::ByDue, &due_key(flow, due, seq), &[])?;
    }
    if former.is_none_or(|former| former.state != now.state) {
        w.put_raw(Table::ByState, &state_key(flow, now.state, seq), &[])?;
    }
    if former.is_none_or(|former| former.day != now.day) {
        w.put_raw(Table::ByDay, &day_key(flow, now.day, seq), &[])?;
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Counter {
    flow: FlowId,
    state: u8,
    count: u64,
}

/// Writes the counters of one transaction.
pub(crate) fn count(w: &mut Writer<'_>, deltas: &Deltas) -> Result<(), Fault> {
    for ((flow, state), delta) in deltas.iter().filter(|(_, delta)| **delta != 0) {
        let mut key = flow_hash(w.keys(), flow).to_vec();
        key.push(*state);
        let before = match w.sealed(Table::Counters, &key)? {
            Some(plain) => decode::<Counter>(Table::Counters.name(), &plain)?.count,
            None => 0,
        };
        let count = before.checked_add_signed(*delta).ok_or_else(|| tampered(Table::Counters))?;
        let counter = Counter { flow: flow.clone(), state: *state, count };
        w.put_sealed(Table::Counters, &key, &encode(Table::Counters.name(), &counter)?)?;
    }
    Ok(())
}

/// Postings by flow and state.
pub(crate) fn counts(look: &impl Look) -> Result<BTreeMap<(FlowId, &'static str), u64>, Fault> {
    let mut counts = BTreeMap::new();
    for (key, sealed) in look.ascend(Table::Counters, &[], &[0], usize::MAX)? {
        let plain = look.keys().open(Table::Counters.name(), &key, &sealed)?;
        let counter: Counter = decode(Table::Counters.name(), &plain)?;
        let state = *STATES.get(usize::from(counter.state)).ok_or_else(|| tampered(Table::Counters))?;
        counts.insert((counter.flow, state), counter.count);
    }
    Ok(counts)
}

pub(crate) fn by_seq(look: &impl Look, seq: u64) -> Result<Posting, Fault> {
    let plain = look.sealed(Table::Postings, &seq.to_be_bytes())?.ok_or_else(|| tampered(Table::Postings))?;
    Ok(decode(Table::Postings.name(), &plain)?)
}

pub(crate) fn by_key(look: &impl Look, key: &PostingKey) -> Result<Option<Posting>, Fault> {
    let Some(bytes) = look.raw(Table::ByKey, &key_hash(look.keys(), key))? else { return Ok(None) };
    let posting = by_seq(look, Pointer::parse(&bytes)?.seq)?;
    if posting.key == *key { Ok(Some(posting)) } else { Err(tampered(Table::ByKey).into()) }
}

pub(crate) fn of_source(
    look: &impl Look,
    flow: &FlowId,
    source_id: &SourceId,
) -> Result<Vec<Posting>, Fault> {
    let prefix = source_hash(look.keys(), flow, source_id);
    let mut postings = Vec::new();
    for (key, _) in look.ascend(Table::BySource, &prefix, &prefix, usize::MAX)? {
        let posting = by_seq(look, seq_at_end(&key, Table::BySource)?)?;
        if posting.source_id != *source_id || posting.flow != *flow {
            return Err(tampered(Table::BySource).into());
        }
        postings.push(posting);
    }
    Ok(postings)
}

pub(crate) fn due(
    look: &impl Look,
    flow: &FlowId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Posting>, Fault> {
    let prefix = flow_hash(look.keys(), flow);
    let latest = sortable(now.timestamp_millis());
    let mut keys = look.ascend(Table::ByDue, &prefix, &prefix, limit)?;
    keys.retain(|(key, _)| key.get(8..16).is_some_and(|due| due <= latest.as_slice()));
    if let Some(far) = far_ahead(now) {
        let from = [prefix.as_slice(), &sortable(far.timestamp_millis())].concat();
        keys.extend(look.ascend(Table::ByDue, &prefix, &from, limit - keys.len())?);
    }
    let mut postings = Vec::new();
    for (key, _) in keys {
        let posting = by_seq(look, seq_at_end(&key, Table::ByDue)?)?;
        let due = posting.due_at().filter(|_| posting.flow == *flow);
        let Some(due) = due.filter(|at| key.get(8..16) == Some(sortable(at.timestamp_millis()).as_slice()))
        else {
            return Err(tampered(Table::ByDue).into());
        };
        // The index knows milliseconds only; what is due later within this one is not due yet.
        if is_due(due, now) {
            postings.push(posting);
        }
    }
    Ok(postings)
}

pub(crate) fn next_due(look: &impl Look, flow: &FlowId, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    let prefix = flow_hash(look.keys(), flow);
    let first = look.ascend(Table::ByDue, &prefix, &prefix, 1)?;
    let Some((first, _)) = first.first() else { return Ok(None) };
    let first = due_of(first)?;
    let last = look.descend(Table::ByDue, &prefix, None, 1)?;
    let last = last.first().map_or(Ok(first), |(key, _)| due_of(key))?;
    Ok(Some(if is_due(last, now) { first.min(now) } else { first }))
}

/// The moment that a key of the index by due time names.
fn due_of(key: &[u8]) -> Result<Timestamp, Fault> {
    let millis = key.get(8..16).and_then(|due| <[u8; 8]>::try_from(due).ok());
    let millis = millis.map(|due| (u64::from_be_bytes(due) ^ (1 << 63)).cast_signed());
    Ok(millis.and_then(Timestamp::from_timestamp_millis).ok_or_else(|| tampered(Table::ByDue))?)
}

/// The numbers of postings that may match a filter, ascending. With a period or a state they come from an index.
pub(crate) enum Candidates {
    /// All numbers from 1 to this one.
    All(u64),
    /// These.
    These(Vec<u64>),
}

pub(crate) fn candidates(look: &impl Look, filter: &PostingFilter) -> Result<Candidates, Fault> {
    let narrow =
        filter.flow.is_some() || filter.state.is_some() || filter.from.is_some() || filter.to.is_some();
    if !narrow {
        return Ok(Candidates::All(Heads::read(look)?.posting));
    }
    let flows = match &filter.flow {
        Some(flow) => vec![flow_hash(look.keys(), flow)],
        None => flows(look)?,
    };
    let mut seqs = Vec::new();
    for flow in flows {
        match (&filter.state, filter.from.is_some() || filter.to.is_some()) {
            (_, true) | (None, false) => in_days(look, flow, filter, &mut seqs)?,
            (Some(state), false) => in_state(look, flow, state, &mut seqs)?,
        }
    }
    seqs.sort_unstable();
    seqs.dedup();
    Ok(Candidates::These(seqs))
}

fn flows(look: &impl Look) -> Result<Vec<[u8; 8]>, Fault> {
    let mut flows = Vec::new();
    for (key, _) in look.ascend(Table::Counters, &[], &[0], usize::MAX)? {
        let flow = *key.first_chunk::<8>().ok_or_else(|| tampered(Table::Counters))?;
        if flows.last() != Some(&flow) {
            flows.push(flow);
        }
    }
    Ok(flows)
}

/// The flows that have postings, but for this one.
pub(crate) fn flows_beside(look: &impl Look, flow: &FlowId) -> Result<Vec<FlowId>, Fault> {
    let own = flow_hash(look.keys(), flow);
    let mut flows = Vec::new();
    let mut from = vec![0];
    while let Some((key, sealed)) = look.ascend(Table::Counters, &[], &from, 1)?.pop() {
        let hash = key.first_chunk::<8>().ok_or_else(|| tampered(Table::Counters))?;
        if *hash != own {
            let plain = look.keys().open(Table::Counters.name(), &key, &sealed)?;
            flows.push(decode::<Counter>(Table::Counters.name(), &plain)?.flow);
        }
        let Some(next) = after_prefix(hash) else { break };
        from = next;
    }
    Ok(flows)
}

/// How many index entries are looked at in one step.
pub(super) const STEP: usize = 1024;

fn in_days(
    look: &impl Look,
    flow: [u8; 8],
    filter: &PostingFilter,
    seqs: &mut Vec<u64>,
) -> Result<(), Fault> {
    let day = |day: Date| i32::clamp(chrono::Datelike::num_days_from_ce(&day), i32::MIN, i32::MAX - 1);
    let mut from = day_key(flow, filter.from.map_or(i32::MIN, day), 0);
    let end = day_key(flow, filter.to.map_or(i32::MAX, |to| day(to) + 1), 0);
    loop {
        let step = look.ascend(Table::ByDay, &flow, &from, STEP)?;
        for (key, _) in step.iter().filter(|(key, _)| *key < end) {
            seqs.push(seq_at_end(key, Table::ByDay)?);
        }
        match step.last() {
            Some((key, _)) if step.len() == STEP && *key < end => from = successor(key),
            Some(_) | None => return Ok(()),
        }
    }
}

fn in_state(look: &impl Look, flow: [u8; 8], state: &str, seqs: &mut Vec<u64>) -> Result<(), Fault> {
    let Some(code) = STATES.iter().position(|name| *name == state).and_then(|at| u8::try_from(at).ok())
    else {
        return Ok(());
    };
    let prefix = [flow.as_slice(), &[code]].concat();
    let mut from = prefix.clone();
    loop {
        let step = look.ascend(Table::ByState, &prefix, &from, STEP)?;
        for (key, _) in &step {
            seqs.push(seq_at_end(key, Table::ByState)?);
        }
        match step.last() {
            Some((key, _)) if step.len() == STEP => from = successor(key),
            Some(_) | None => return Ok(()),
        }
    }
}

/// The smallest key after this one.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
