//! What a reference flow remembers from run to run, and what it is about: kept under the flow's id alone, it would be
//! taken for something else once the flow goes from or to somewhere else.

use super::ReferenceSettings;
use crate::store::{StateTable, Store, StoreError};
use purser_proto::validate::{ValidConnection, ValidReference};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spend::Timestamp;
use spend::ids::FlowId;
use spend::mirror::Ours;

/// What a reference flow remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// Where from and where to, as [`place`] says it.
    pub(super) place: String,
    /// What it is answerable for there.
    pub(super) ours: Ours,
    /// When a run last ended with both sides equal.
    pub(super) fresh_at: Option<Timestamp>,
    /// Passing failures in a row.
    pub(super) failures: u32,
    /// When a run that met one is tried again.
    pub(super) next_due: Option<Timestamp>,
}

/// Where a reference flow reads from and writes to, as a text to compare. By convention of the vendors that take
/// reference data their settings `reference.<set>` and `remote_prefix` say where within the account.
pub(super) fn place(flow: &ValidReference, to: Option<&ValidConnection>) -> String {
    let set = flow.set.as_str().replace('-', "_");
    let told = to.map(|to| {
        let within = to.settings.get("reference").and_then(|places| places.get(&set));
        json!({
            "kind": to.kind,
            "url": to.url.as_str(),
            "within": within,
            "prefix": to.settings.get("remote_prefix").unwrap_or(&Value::Null),
        })
    });
    json!({
        "from": flow.from,
        "company": flow.company,
        "set": flow.set,
        "to": flow.to,
        "place": told,
    })
    .to_string()
}

pub(super) fn name(flow: &FlowId) -> String {
    format!("{flow}/mirror")
}

fn kept(store: &Store, flow: &FlowId) -> Result<Memory, StoreError> {
    Ok(store.get(StateTable::Flow, &name(flow))?.unwrap_or_default())
}

/// What is remembered about these settings. What was about another place is forgotten: entries of the same keys there are
/// none of ours.
pub(super) fn memory(store: &Store, settings: &ReferenceSettings) -> Result<Memory, StoreError> {
    let kept = kept(store, &settings.flow)?;
    if kept.place == settings.place {
        return Ok(kept);
    }
    if !kept.ours.is_empty() {
        tracing::warn!(flow = %settings.flow, forgotten = kept.ours.len(), "the flow goes elsewhere than before");
    }
    Ok(Memory { place: settings.place.clone(), ..Memory::default() })
}

/// When a reference flow last ended with both sides equal.
///
/// # Errors
/// When the store cannot be read.
pub fn fresh_at(store: &Store, flow: &FlowId) -> Result<Option<Timestamp>, StoreError> {
    Ok(kept(store, flow)?.fresh_at)
}

/// When a reference flow that met a passing failure is to be run again.
///
/// # Errors
/// When the store cannot be read.
pub fn next_due(store: &Store, flow: &FlowId) -> Result<Option<Timestamp>, StoreError> {
    Ok(kept(store, flow)?.next_due)
}
