//! What a run could not read. A run that ends well although its source or the reference data could not be read would
//! cost a webhook, or the one run of a day; so it is kept in the store that there is more to read, and the flow looks
//! again after a delay that grows.

use super::spend_flow::{RunError, Session, SpendFlow};
use crate::store::{Batch, StateTable, Store, StoreError};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::FlowId;
use spend::posting::FailureClass;

/// How far a run came with reading what is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It was stopped, or it ended early.
    NotReached,
    /// What it needs first is not there yet.
    WaitsUntil(Timestamp),
    /// A read failed.
    Failed(FailureClass),
    /// Everything was read.
    Done,
}

/// What is kept until a run has read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unread {
    /// Failures in a row.
    failures: u32,
    /// When it is tried again.
    again_at: Timestamp,
}

fn name_of(flow: &FlowId) -> String {
    format!("{flow}/unread")
}

/// When a flow whose last run could not read everything looks again; `None` when it has read everything.
///
/// # Errors
/// When the store cannot be read.
pub fn again_at(store: &Store, flow: &FlowId) -> Result<Option<Timestamp>, StoreError> {
    let kept: Option<Unread> = store.get(StateTable::Flow, &name_of(flow))?;
    Ok(kept.map(|kept| kept.again_at))
}

impl SpendFlow {
    /// Adds to a run's beginning that not everything is read, in case the process dies on the way.
    pub(super) fn begin_reading(&self, batch: &mut Batch) -> Result<(), RunError> {
        let name = name_of(self.settings.flow());
        if self.store.get::<Unread>(StateTable::Flow, &name)?.is_none() {
            batch.put(StateTable::Flow, &name, &Unread { failures: 0, again_at: self.clock.now() });
        }
        Ok(())
    }

    /// Adds to the batch what the run could not read. When the flow looks again because of it.
    pub(super) fn keep_unread(
        &self,
        session: &Session,
        batch: &mut Batch,
    ) -> Result<Option<Timestamp>, RunError> {
        let name = name_of(self.settings.flow());
        let before: Option<Unread> = self.store.get(StateTable::Flow, &name)?;
        let failures = before.map_or(0, |before| before.failures);
        let now = self.clock.reading();
        let kept = match &session.reading {
            // What a bound run has left out is read by whatever would have read it without that run.
            Reading::Done if session.report.left_out > 0 => before,
            Reading::Done => None,
            Reading::NotReached => Some(Unread { failures, again_at: now.at }),
            Reading::WaitsUntil(at) => Some(Unread { failures, again_at: *at }),
            Reading::Failed(class) => {
                let (failures, jitter) = (failures.saturating_add(1), self.jitter());
                let again_at = self.settings.posting.read_again_at(class, failures, jitter, &now);
                Some(Unread { failures, again_at })
            }
        };
        match kept {
            Some(kept) if Some(kept) != before => drop(batch.put(StateTable::Flow, &name, &kept)),
            None if before.is_some() => drop(batch.remove(StateTable::Flow, &name)),
            Some(_) | None => {}
        }
        Ok(kept.map(|kept| kept.again_at))
    }
}
