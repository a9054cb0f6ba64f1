//! Claims: made durable before anything is sent; and those without an answer, and whether they may have been sent, which is
//! what a flow needs after a death of the process.

use super::error::StoreError;
use super::postings::PostingFilter;
use super::sent::SentMarks;
use super::{Batch, Claimed, PostingKey, Store};
use spend::ids::FlowId;
use spend::posting::{Posting, PostingState};
use std::path::Path;
use std::time::Duration;

/// Longest time that a flow waits for the claim of another one.
const TURN_PATIENCE: Duration = Duration::from_secs(60);

impl Store {
    /// Waits until no other flow is between looking at what may be claimed and its claim, so that flows seldom meet there.
    /// Nothing rests on it alone: a claim that another one has overtaken is refused in its transaction. So whoever holds
    /// the turn for too long, in a life that was given up, is not waited for.
    pub async fn claim_turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match self.shared.claiming.try_lock() {
            Ok(turn) => Some(turn),
            Err(_) => tokio::time::timeout(TURN_PATIENCE, self.shared.claiming.lock()).await.ok(),
        }
    }

    /// Makes claims durable, with the batch, in one transaction, and then the tickets that allow to post. A posting
    /// that the log knows as claimed (by somebody else, or before a crash: recover it first), posted, acknowledged,
    /// superseded or handled is refused whatever the caller believes; so is one whose record another flow has begun to
    /// book on the same route.
    ///
    /// # Errors
    /// [`StoreError::NotClaimable`], [`StoreError::Overtaken`] where the batch rests on a value that is another one by now, or
    /// as [`Store::commit`]; no ticket is made then.
    pub async fn claim(
        &self,
        postings: impl AsRef<[Posting]>,
        batch: Batch,
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut whole = Batch::new();
        let mut intents = Vec::with_capacity(postings.as_ref().len());
        for posting in postings.as_ref() {
            whole.put_claim(posting);
            let refused =
                |why: &str| StoreError::NotClaimable { key: posting.key.clone(), why: why.to_owned() };
            let PostingState::Claimed { at } = posting.state else {
                return Err(refused("it was not put into the state claimed"));
            };
            let Some(plan) = posting.plan.clone() else { return Err(refused("it has no plan")) };
            if plan.key != posting.key {
                return Err(refused("its plan belongs to another posting"));
            }
            intents.push((plan, at));
        }
        whole.append(batch);
        self.commit(whole).await?;
        Ok(intents.into_iter().map(|(plan, at)| Claimed::committed(plan, at)).collect())
    }

    /// Postings of a flow that are claimed and have no answer. Asked at the start of a run, when every claim is left
    /// over from a run that died.
    ///
    /// # Errors
    /// As every read.
    pub fn claimed(&self, flow: &FlowId) -> Result<Vec<Posting>, StoreError> {
        let mut claimed = Vec::new();
        let filter = PostingFilter {
            flow: Some(flow.clone()),
            state: Some("claimed".to_owned()),
            ..PostingFilter::default()
        };
        self.for_each(&filter, |posting| claimed.push(posting))?;
        Ok(claimed)
    }

    /// Notes that a claim is about to be sent. Survives the death of the process.
    ///
    /// # Errors
    /// When the note cannot be written: then nothing may be sent.
    pub fn mark_sent(&self, key: &PostingKey) -> Result<(), StoreError> {
        let marks = self.sent.as_ref().ok_or(StoreError::ReadOnly)?;
        marks.mark(key).map_err(|cause| StoreError::io("note a sent claim in", &self.engine().dir, &cause))
    }

    /// Whether a claim may have been sent. When that cannot be known, the answer is yes.
    pub fn may_have_been_sent(&self, key: &PostingKey) -> bool {
        self.sent.as_ref().is_none_or(|marks| marks.contains(key))
    }

    /// Forgets notes of claims whose answer is durable.
    ///
    /// # Errors
    /// When the notes cannot be written anew.
    pub fn forget_sent(&self, keys: &[PostingKey]) -> Result<(), StoreError> {
        let Some(marks) = &self.sent else { return Ok(()) };
        marks
            .forget(keys)
            .map_err(|cause| StoreError::io("rewrite the sent claims in", &self.engine().dir, &cause))
    }

    /// Opens the marks; every open claim counts as sent when they cannot be trusted.
    pub(super) fn open_marks(&self, dir: &Path) -> Result<SentMarks, StoreError> {
        let mut open = Vec::new();
        let filter = PostingFilter { state: Some("claimed".to_owned()), ..PostingFilter::default() };
        self.for_each(&filter, |posting| {
            if matches!(posting.state, PostingState::Claimed { .. }) {
                open.push(posting.key);
            }
        })?;
        SentMarks::open(dir, crate::service::boot::id(), &open)
            .map_err(|cause| StoreError::io("open the sent claims in", dir, &cause))
    }
}
