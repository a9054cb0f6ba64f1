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
use spend::ids::FlowId;
use spend::posting::Posting;
use spend::route::Route;
use std::collections::BTreeMap;

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
            None => self.rival(document, &self.settings.route),
        }
    }

    fn rival(&self, document: &SpendDocument, route: &Route) -> Result<Option<Finding>, RunError> {
        let rival = self.store.rival_of(self.settings.flow(), route, document)?;
        Ok(rival.map(|rival| booked_by_other_flow(&rival, self.settings.others.contains_key(&rival.flow))))
    }

    /// The way that a posting of this flow goes: what is written is its plan, which may be older than the settings.
    pub(super) fn way_of(&self, posting: &Posting) -> Route {
        match &posting.plan {
            Some(plan) => self.settings.route.into_company(&plan.company),
            None => self.settings.route.clone(),
        }
    }

    /// A posting that keeps the way that it goes.
    pub(super) fn on_its_way(&self, posting: Posting) -> Posting {
        Posting { route: Some(self.way_of(&posting)), ..posting }
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
            match self.rival(&one.posting.document, &self.way_of(&one.posting))? {
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

/// The flow that goes on with a record when this posting of it is closed: the configuration has it, on the same way, and it
/// had begun to book the record before anything was sent of this posting. A flow that the configuration does not have goes
/// on with nothing, and closing may mean that the record was booked by hand.
pub(super) fn left_to(posting: &Posting, configured: &BTreeMap<FlowId, Route>) -> Option<FlowId> {
    posting.waits_for_flow().filter(|flow| configured.get(flow).is_some_and(|route| posting.may_be_on(route)))
}

/// `goes_on`: the configuration has the other flow.
fn booked_by_other_flow(rival: &Posting, goes_on: bool) -> Finding {
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
        if goes_on {
            format!(
                "leave the record to flow `{flow}` (`purser records show {:.8}` tells how far it is there) and close this one \
                 with `purser records handle`",
                rival.key
            )
        } else {
            format!(
                "name the flow `{flow}` again in the configuration, so that it goes on with its own postings; or look for \
                 its document in the ERP, book this record by hand if it is certainly not there, and close this one with \
                 `purser records handle`"
            )
        },
    )
}
