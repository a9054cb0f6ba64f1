//! One posting from what a person typed: its key, the record's id, or a unique beginning of either.

use crate::cli::Usage;
use crate::store::{PostingFilter, Store};
use anyhow::Result;
use spend::ids::{FlowId, PostingKey, SourceId};
use spend::posting::Posting;
use std::collections::BTreeMap;

/// Fewer characters would match by accident.
const LEAST: usize = 3;
/// Candidates that are named when there are several.
const NAMED: usize = 5;

/// The one posting that is meant; of a record with several revisions the newest.
///
/// # Errors
/// When there is none, or more than one record is meant.
pub(super) fn one(store: &Store, text: &str) -> Result<Posting> {
    if let Some(posting) = store.posting(&PostingKey::new(text))? {
        return Ok(posting);
    }
    let exact = by_source_id(store, text)?;
    if exact.is_empty() && text.chars().count() < LEAST {
        return Err(Usage(format!(
            "`{text}` is too short to be the beginning of a key; write at least {LEAST} characters"
        ))
        .into());
    }
    let found = if exact.is_empty() { by_beginning(store, text)? } else { exact };
    chosen(text, found)
}

fn by_source_id(store: &Store, text: &str) -> Result<Vec<Posting>> {
    let flows: std::collections::BTreeSet<FlowId> =
        store.counts()?.into_keys().map(|(flow, _)| flow).collect();
    let mut found = Vec::new();
    for flow in flows {
        found.extend(store.postings_of(&flow, &SourceId::new(text))?);
    }
    Ok(found)
}

fn by_beginning(store: &Store, text: &str) -> Result<Vec<Posting>> {
    let mut found = Vec::new();
    store.for_each(&PostingFilter::default(), |posting| {
        if posting.key.as_str().starts_with(text) || posting.source_id.as_str().starts_with(text) {
            found.push(posting);
        }
    })?;
    Ok(found)
}

fn chosen(text: &str, found: Vec<Posting>) -> Result<Posting> {
    let mut records: BTreeMap<(FlowId, SourceId), Posting> = BTreeMap::new();
    for posting in found {
        // Typed by its key, an older revision can be meant.
        let by_key = posting.key.as_str().starts_with(text);
        let place = records.entry((posting.flow.clone(), posting.source_id.clone()));
        place
            .and_modify(|known| {
                if by_key || posting.seen_at > known.seen_at {
                    *known = posting.clone();
                }
            })
            .or_insert_with(|| posting.clone());
    }
    let names: Vec<String> = records
        .iter()
        .take(NAMED)
        .map(|((flow, id), posting)| format!("{id} (flow {flow}, key {:.8})", posting.key))
        .collect();
    let count = records.len();
    match (records.pop_first(), count) {
        (Some((_, only)), 1) => Ok(only),
        (None, _) => Err(Usage(format!(
            "there is no record `{text}` in the posting log; `purser records list` shows those there are"
        ))
        .into()),
        (Some(_), count) => {
            let more = if count > NAMED { ", ..." } else { "" };
            Err(Usage(format!(
                "`{text}` is the beginning of {count} records: {}{more}; write more of it",
                names.join(", ")
            ))
            .into())
        }
    }
}
