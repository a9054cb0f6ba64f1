//! The ticket without which nothing is written into an ERP.

use spend::Timestamp;
use spend::plan::PostingPlan;
use std::sync::Arc;

/// Proof that intent is durable. Only the store makes one, so a posting without a durable claim does not compile.
#[derive(Debug)]
pub struct Claimed {
    plan: Arc<PostingPlan>,
    at: Timestamp,
}

impl Claimed {
    /// Made by the store after the claim has been committed and synced.
    pub(super) fn committed(plan: Arc<PostingPlan>, at: Timestamp) -> Self {
        Self { plan, at }
    }

    /// A ticket for tests of what comes after the claim.
    #[cfg(test)]
    pub(crate) fn for_test(plan: PostingPlan, at: Timestamp) -> Self {
        Self { plan: Arc::new(plan), at }
    }

    /// The same ticket on the other side of an actor's mailbox. The one that is handed over must not be used again.
    pub(crate) fn hand_over(&self) -> Self {
        Self { plan: Arc::clone(&self.plan), at: self.at }
    }

    /// What is to be written.
    pub fn plan(&self) -> &PostingPlan {
        &self.plan
    }

    /// When intent became durable.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}
