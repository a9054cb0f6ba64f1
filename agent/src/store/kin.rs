//! The index of records by the ids under which a source may show the same spend elsewhere (`same_as`, `part_of`), so
//! that a record is found by the id that only the other one names. Its entries stand in the table of the index by
//! record, under keys of their own, so a store that was made before has no entries there and is read all the same.

use super::access::{Look, Writer};
use super::engine::Fault;
use super::postings::{by_seq, key_hash, of_source, seq_at_end, tampered};
use super::seal::StoreKeys;
use super::tables::Table;
use spend::document::SpendDocument;
use spend::ids::{FlowId, PostingKey, SourceId};
use spend::posting::Posting;
use std::collections::BTreeMap;

/// Adds the entries of a posting that are not there yet. Another reading of the same revision may name another id; an
/// entry that the posting does not stand for any more is passed over when it is read.
pub(crate) fn put(
    w: &mut Writer<'_>,
    flow: &FlowId,
    others: &[SourceId],
    seq: u64,
    by_key: &[u8; 16],
) -> Result<(), Fault> {
    for other in others {
        let mut key = other_hash(w.keys(), flow, other).to_vec();
        key.extend_from_slice(&seq.to_be_bytes());
        if w.raw(Table::BySource, &key)?.is_none() {
            w.put_raw(Table::BySource, &key, by_key)?;
        }
    }
    Ok(())
}

/// Postings of other records that may stand for the same spend as this one, oldest first.
pub(crate) fn of(look: &impl Look, flow: &FlowId, document: &SpendDocument) -> Result<Vec<Posting>, Fault> {
    let mut found: BTreeMap<PostingKey, Posting> = BTreeMap::new();
    let mut add = |postings: Vec<Posting>| {
        for posting in postings.into_iter().filter(|p| document.may_be_same_spend(&p.document)) {
            found.entry(posting.key.clone()).or_insert(posting);
        }
    };
    for id in document.other_ids() {
        add(of_source(look, flow, id)?);
    }
    for id in document.other_ids().chain([&document.source_id]) {
        add(naming(look, flow, id)?);
    }
    let mut postings: Vec<Posting> = found.into_values().collect();
    postings.sort_by_key(|posting| posting.seen_at);
    Ok(postings)
}

/// Postings of records that name this id.
fn naming(look: &impl Look, flow: &FlowId, id: &SourceId) -> Result<Vec<Posting>, Fault> {
    let prefix = other_hash(look.keys(), flow, id);
    let mut postings = Vec::new();
    for (key, by_key) in look.ascend(Table::BySource, &prefix, &prefix, usize::MAX)? {
        let posting = by_seq(look, seq_at_end(&key, Table::BySource)?)?;
        if posting.flow != *flow || by_key != key_hash(look.keys(), &posting.key) {
            return Err(tampered(Table::BySource).into());
        }
        postings.push(posting);
    }
    Ok(postings)
}

fn other_hash(keys: &StoreKeys, flow: &FlowId, id: &SourceId) -> [u8; 16] {
    keys.index_hash("other-source", &[flow.as_str(), id.as_str()])
}
