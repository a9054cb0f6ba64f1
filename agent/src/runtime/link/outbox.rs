//! What a request carries: the oldest reports that wait, in their order, and what was taken.

use super::exchange::Exchange;
use crate::config::revisions;
use crate::store::StoreError;
use purser_proto::link::VERSION;
use purser_proto::link::limits::{LARGEST_MESSAGE, PER_MESSAGE};
use purser_proto::link::sync::{AuditHead, SyncRequest, WAIT_SECONDS};

/// Room in a request for reports; the rest is for what stands beside them.
const ROOM: usize = LARGEST_MESSAGE / 2;

/// A request, and what of the outbox is in it.
pub(super) struct Built {
    pub(super) request: SyncRequest,
    /// Number of the last report in it; 0 = none.
    pub(super) last: u64,
    /// Deliveries that it says are taken.
    pub(super) told: Vec<String>,
}

impl Built {
    /// Whether the answer may be kept back: there is nothing in it that somebody waits for.
    pub(super) fn parks(&self) -> bool {
        self.request.wait_seconds > 0
    }
}

impl Exchange {
    /// The next request. One that carries something is answered at once, and what waits for deliveries carries nothing.
    pub(super) fn build(&self) -> Result<Built, StoreError> {
        let store = &self.parts.store;
        let reports = store.outbox(PER_MESSAGE, ROOM)?;
        let last = reports.last().map_or(0, |report| report.id);
        let told: Vec<String> = self.to_tell.borrow().iter().take(PER_MESSAGE).cloned().collect();
        let nothing = reports.is_empty() && told.is_empty() && !self.is_fenced();
        let parks = nothing || self.unapproved.get();
        let head = store.audit().head()?;
        let kept = revisions::in_force(store)?;
        let request = SyncRequest {
            version: VERSION,
            instance: self.instance.clone(),
            wait_seconds: if parks { WAIT_SECONDS } else { 0 },
            in_force: revisions::told(kept.as_ref()),
            audit: Some(AuditHead { entries: head.entries, head: head.hash.to_string().into() }),
            taken: told.iter().map(|id| id.as_str().into()).collect(),
            reports: reports.into_iter().collect(),
        };
        Ok(Built { request, last, told })
    }
}
