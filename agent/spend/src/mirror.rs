//! Mirroring reference data from an ERP into a spend system: what an entry is, and what is to be changed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A kind of reference data that can be mirrored.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceSet {
    /// Suppliers. Attributes: `terms`, `currency`.
    Vendors,
    /// Natural accounts or categories. Attributes: `gl_code`, `type`.
    Accounts,
    /// People. Key = lower-case e-mail. Attributes: `email`, `employee_number`, `manager` (e-mail of the approver),
    /// `vendor`.
    Employees,
    /// Cost centres. Attributes: `code`, `project`.
    CostCentres,
    /// Projects. Attributes: `code`, `project`.
    Projects,
}

/// One entry of a set, on either side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MirrorEntry {
    /// What it is known by within its set.
    pub key: String,
    /// Its name as people see it.
    pub name: String,
    /// Whether it may be used.
    pub active: bool,
    /// Everything else that is mirrored, by the names listed at [`ReferenceSet`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// One change to be made in the spend system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum MirrorChange {
    /// It is not there yet.
    Add(MirrorEntry),
    /// It is there and differs.
    Update {
        /// What it is.
        before: MirrorEntry,
        /// What it is to be.
        after: MirrorEntry,
    },
    /// It is there and may not be used any more.
    Disable(MirrorEntry),
}
