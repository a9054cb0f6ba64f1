//! The same record under another flow: one that had another name, or a twin. Postings keys and references carry the flow's
//! name, so the look-up in the ERP does not find what the other one wrote; the posting log does. It is asked when a record is
//! planned, so that a preview shows it; right before the claim, because the configuration or the other flow may have moved
//! on since; and by the store itself in the transaction of the claim.

use super::kin::booked_otherwise;
use super::posting::Writable;
use super::reread::Withholding;
use super::spend_flow::{RunError, Session, SpendFlow};
use crate::store::Batch;
use spend::document::SpendDocument;
use spend::finding::{Finding, FindingCode};
use spend::posting::Posting;

impl SpendFlow {
    /// Why a record must wait for a person although nothing is wrong with it: it may be booked already, under another id
    /// or by another flow.
    pub(super) fn may_be_booked(
        &self,
        document: &SpendDocument,
        kin: &[Posting],
    ) -> Result<Option<Finding>, RunError> {
        match booked_otherwise(document, kin) {
            Some(finding) => Ok(Some(finding)),
            None => self.rival(document),
        }
    }

    fn rival(&self, document: &SpendDocument) -> Result<Option<Finding>, RunError> {
        let rival = self.store.rival_of(self.settings.flow(), &self.settings.route, document)?;
        Ok(rival.as_ref().map(booked_by_other_flow))
    }

    /// Takes out what another flow has begun to book; it waits for a person.
    pub(super) fn without_rivals(
        &self,
        writable: Vec<Writable>,
        commit: &mut Batch,
        session: &mut Session,
    ) -> Result<Vec<Writable>, RunError> {
        let mut free = Vec::with_capacity(writable.len());
        for one in writable {
            match self.rival(&one.posting.document)? {
                None => free.push(one),
                Some(finding) => {
                    let why = Withholding::Forbidden(finding);
                    self.withhold(&one.posting, &one.found, why, commit, session)?;
                }
            }
        }
        Ok(free)
    }
}

fn booked_by_other_flow(rival: &Posting) -> Finding {
    let flow = &rival.flow;
    let how_far = match rival.state.receipt() {
        Some(receipt) => format!("is {} in the ERP", receipt.document),
        None => format!("is {}", rival.state.name()),
    };
    Finding::document(
        FindingCode::BookedByOtherFlow,
        "flow",
        flow.as_str(),
        format!(
            "flow `{flow}` has begun to book this record, and its posting {} {how_far}, so booking it here too may double it",
            rival.key
        ),
        format!(
            "name the flow `{flow}` again in the configuration, so that it goes on with its own postings; or look for its \
             document in the ERP, book this record by hand if it is certainly not there, and close this one with \
             `purser records handle`"
        ),
    )
}
