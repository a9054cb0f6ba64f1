//! Which webhooks were accepted, so that a repetition is known. Senders repeat for up to three days; the memory is
//! longer than a week. What is forgotten and comes again causes one more fetch, and nothing else.

use crate::store::{Batch, StateTable, Store, StoreError};
use chrono::TimeDelta;
use spend::Timestamp;
use spend::ids::{ConnectionId, FlowId};
use std::collections::BTreeSet;

/// How long an id is kept.
pub(super) const KEEP: TimeDelta = TimeDelta::days(8);
/// When what is old was last taken away.
const PRUNED: &str = "webhooks/pruned";

/// Ids of one connection, as the store knows them and as they are added.
pub(super) struct Memory<'s> {
    store: &'s Store,
    connection: &'s ConnectionId,
    now: Timestamp,
    added: BTreeSet<String>,
}

impl<'s> Memory<'s> {
    pub(super) fn new(store: &'s Store, connection: &'s ConnectionId, now: Timestamp) -> Self {
        Self { store, connection, now, added: BTreeSet::new() }
    }

    /// Whether the id was accepted before.
    pub(super) fn knows(&self, id: &str) -> Result<bool, StoreError> {
        let name = self.name(id);
        if self.added.contains(&name) {
            return Ok(true);
        }
        let at: Option<Timestamp> = self.store.get(StateTable::Webhook, &name)?;
        Ok(at.is_some_and(|at| self.now - at <= KEEP))
    }

    /// Remembers an id, once the batch is durable.
    pub(super) fn add(&mut self, id: &str, batch: &mut Batch) {
        let name = self.name(id);
        batch.put(StateTable::Webhook, &name, &self.now);
        self.added.insert(name);
    }

    /// An id is the sender's and may be of any length.
    fn name(&self, id: &str) -> String {
        format!("{}/{}", self.connection, blake3::hash(id.as_bytes()).to_hex())
    }
}

/// Takes away what is old, once a day.
pub(super) fn prune(store: &Store, now: Timestamp, batch: &mut Batch) -> Result<(), StoreError> {
    let today = now.date_naive().to_string();
    if store.get::<String>(StateTable::Meta, PRUNED)?.is_some_and(|day| day == today) {
        return Ok(());
    }
    for name in store.names(StateTable::Webhook)? {
        let at: Option<Timestamp> = store.get(StateTable::Webhook, &name)?;
        if at.is_none_or(|at| now - at > KEEP) {
            batch.remove(StateTable::Webhook, &name);
        }
    }
    batch.put(StateTable::Meta, PRUNED, &today);
    Ok(())
}

fn woken_name(flow: &FlowId) -> String {
    format!("{flow}/woken")
}

/// Notes that a flow is to run: a run that a crash prevents is made up at the next start.
pub(in crate::runtime) fn wake(flow: &FlowId, now: Timestamp, batch: &mut Batch) {
    batch.put(StateTable::Flow, &woken_name(flow), &now);
}

/// Since when a flow is to run because of a webhook.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn woken(store: &Store, flow: &FlowId) -> Result<Option<Timestamp>, StoreError> {
    store.get(StateTable::Flow, &woken_name(flow))
}

/// Takes the note away after a run that began at one moment and ended at the other. A note of a moment that has not come
/// was made before the run as well, while the clock was ahead.
pub(crate) async fn ran(
    store: &Store,
    flow: &FlowId,
    began: Timestamp,
    ended: Timestamp,
) -> Result<(), StoreError> {
    if woken(store, flow)?.is_some_and(|at| at <= began || at > ended) {
        let mut batch = Batch::new();
        batch.remove(StateTable::Flow, &woken_name(flow));
        store.commit(batch).await?;
    }
    Ok(())
}
