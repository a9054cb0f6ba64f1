//! Brex as a place that reference data is mirrored into: accounts, cost centres and projects as values of fields,
//! vendors as vendors. People are not made from here: making one invites a person.

use super::Brex;
use crate::vendors::{ChangeOutcome, ReferenceTarget};
use async_trait::async_trait;
use spend::mirror::{MirrorChange, MirrorEntry, ReferenceSet};
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeSet;

#[async_trait]
impl ReferenceTarget for Brex {
    fn sets(&self) -> &'static [ReferenceSet] {
        &[ReferenceSet::Vendors, ReferenceSet::Accounts, ReferenceSet::CostCentres, ReferenceSet::Projects]
    }

    async fn read_set(&self, set: ReferenceSet) -> Result<Vec<MirrorEntry>, Failure> {
        self.read_known(set, &BTreeSet::new()).await
    }

    async fn read_known(
        &self,
        set: ReferenceSet,
        known: &BTreeSet<String>,
    ) -> Result<Vec<MirrorEntry>, Failure> {
        match set {
            ReferenceSet::Vendors => self.read_vendors().await,
            ReferenceSet::Accounts | ReferenceSet::CostCentres | ReferenceSet::Projects => {
                self.read_values(set, known).await
            }
            ReferenceSet::Employees => Err(no_employees()),
        }
    }

    async fn write_set(
        &self,
        set: ReferenceSet,
        changes: &[MirrorChange],
    ) -> Result<Vec<ChangeOutcome>, Failure> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        match set {
            ReferenceSet::Vendors => self.write_vendors(changes).await,
            ReferenceSet::Accounts | ReferenceSet::CostCentres | ReferenceSet::Projects => {
                self.write_values(set, changes).await
            }
            ReferenceSet::Employees => Err(no_employees()),
        }
    }
}

fn no_employees() -> Failure {
    Failure::new(FailureClass::NotSent, "employees are not mirrored into Brex: that would invite people")
}
