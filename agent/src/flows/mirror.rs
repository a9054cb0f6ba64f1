//! The reference data a flow validates against: read from the ERP when it is old, kept in the store so that a start
//! without the ERP still knows what it knew.

use super::spend_flow::{RunError, Session, SpendFlow, keeps_from_beginning};
use super::unread::Reading;
use crate::store::{Batch, StateTable};
use spend::posting::FailureClass;
use spend::reference::ReferenceData;

impl SpendFlow {
    /// Fresh reference data; `None` when there is none and the ERP cannot be asked. Posting waits until it is fresh.
    pub(super) async fn reference(&self, session: &mut Session) -> Result<Option<ReferenceData>, RunError> {
        let company = &self.settings.context.company;
        let name = format!("{}/{company}", self.settings.flow());
        let kept: Option<ReferenceData> = self.store.get(StateTable::Mirror, &name)?;
        let now = self.clock.now();
        if let Some(kept) = kept
            && now - kept.as_of < self.settings.reference_max_age
            && kept.as_of <= now
        {
            return Ok(Some(kept));
        }
        if session.erp_down {
            session.reading = Reading::Failed(FailureClass::Unavailable);
            return Ok(None);
        }
        match self.erp.reference_data(company).await {
            Ok(read) => {
                let mut batch = Batch::new();
                batch.put(StateTable::Mirror, &name, &read);
                self.commit(batch).await?;
                Ok(Some(read))
            }
            Err(failure) => {
                session.report.could_not_begin = keeps_from_beginning(&failure);
                session.erp_failed("reading reference data", &failure);
                session.reading = Reading::Failed(failure.class);
                Ok(None)
            }
        }
    }
}
