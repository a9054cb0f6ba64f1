//! Claims without an answer, and whether they may have been sent: what a flow needs after a death of the process.

use super::error::StoreError;
use super::postings::PostingFilter;
use super::sent::SentMarks;
use super::{PostingKey, Store};
use spend::ids::FlowId;
use spend::posting::{Posting, PostingState};
use std::path::Path;

impl Store {
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
