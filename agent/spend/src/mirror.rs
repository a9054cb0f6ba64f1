//! Mirroring reference data from an ERP into a spend system: what an entry is, and what is to be changed. Pure: what is
//! wanted comes from [`ReferenceData`](crate::reference::ReferenceData), what is present from the spend system, and
//! [`compare()`] says the difference and nothing else.
//!
//! Two rules keep people's own work safe. What the ERP does not say is not compared, and what the spend system cannot
//! hold is not compared. An entry that only the spend system knows is left alone unless the mirror itself once put it
//! there.

mod ceiling;
mod compare;
mod pattern;
mod portion;
#[cfg(test)]
mod tests;
mod wanted;

pub use ceiling::{MirrorCeiling, refusal};
pub use compare::{Delta, Difference, compare, differences, in_effect, in_plain_letters};
pub use pattern::{Pattern, PatternError};
pub use portion::portions;
pub use wanted::wanted;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A kind of reference data that can be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

impl ReferenceSet {
    /// The word for it, as it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vendors => "vendors",
            Self::Accounts => "accounts",
            Self::Employees => "employees",
            Self::CostCentres => "cost-centres",
            Self::Projects => "projects",
        }
    }
}

/// One entry of a set, on either side. A spend system lists every attribute that it can hold on each of its entries,
/// with an empty text where there is no value; what it does not list is not compared. An entry without a name is one
/// whose name the spend system does not tell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MirrorEntry {
    /// What it is known by within its set; compared without regard to case and surrounding blanks.
    pub key: String,
    /// Its name as people see it.
    pub name: String,
    /// Whether it may be used.
    pub active: bool,
    /// Everything else that is mirrored, by the names listed at [`ReferenceSet`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl MirrorEntry {
    /// One attribute; an empty one counts as none.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A hash of its content, by which an entry is remembered.
    pub fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut put = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        put(&fold(&self.key));
        put(&self.name);
        put(if self.active { "active" } else { "inactive" });
        for (name, value) in self.attributes.iter().filter(|(_, value)| !value.is_empty()) {
            put(name);
            put(value);
        }
        hasher.finalize().to_hex().chars().take(16).collect()
    }
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

impl MirrorChange {
    /// Key of the entry.
    pub fn key(&self) -> &str {
        match self {
            Self::Add(entry) | Self::Update { after: entry, .. } | Self::Disable(entry) => &entry.key,
        }
    }

    /// What is to be there afterwards; `None` when it is to be disabled.
    pub fn target(&self) -> Option<&MirrorEntry> {
        match self {
            Self::Add(entry) | Self::Update { after: entry, .. } => Some(entry),
            Self::Disable(_) => None,
        }
    }

    /// A word for lists.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Update { .. } => "change",
            Self::Disable(_) => "disable",
        }
    }
}

/// What happens to active entries that only the spend system knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strangers {
    /// They stay, unless the mirror itself once put them there.
    #[default]
    Leave,
    /// They are disabled: the ERP alone says what there is.
    Disable,
}

/// How a set is taken from the ERP and compared. This is also what the configuration holds below `[reference.options]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MirrorRules {
    /// For cost centres: the number of the segment whose values they are, from 2.
    pub segment: Option<u8>,
    /// For cost centres, instead of a segment: the dimension whose values they are, such as `department`.
    pub dimension: Option<String>,
    /// For accounts: mirror whole accounts (`7500|00|00`) instead of natural ones. Default: no.
    pub whole_accounts: bool,
    /// Only these keys: a code, a beginning (`61*`) or a range of codes of equal length (`6000..6999`). Default: all.
    pub include: Vec<String>,
    /// Without these keys, written like `include`. Default: none.
    pub exclude: Vec<String>,
    /// Add what the spend system does not have. Default: yes.
    pub create: bool,
    /// Enable again what is disabled in the spend system and active in the ERP. Default: yes.
    pub enable: bool,
    /// Disable what the ERP has made inactive, and what the mirror put there and the ERP has no more. Default: yes.
    pub disable: bool,
    /// Carry changed names over. Default: no, names in the spend system belong to the people there.
    pub rename: bool,
    /// Entries that only the spend system knows. Default: leave.
    pub strangers: Strangers,
}

impl Default for MirrorRules {
    fn default() -> Self {
        Self {
            segment: None,
            dimension: None,
            whole_accounts: false,
            include: Vec::new(),
            exclude: Vec::new(),
            create: true,
            enable: true,
            disable: true,
            rename: false,
            strangers: Strangers::Leave,
        }
    }
}

/// What the mirror has put into the spend system or found there as wanted: content hash by folded key. Only these are
/// disabled when the ERP has them no more.
pub type Ours = BTreeMap<String, String>;

/// The form in which keys are compared.
pub fn fold(key: &str) -> String {
    key.trim().to_lowercase()
}
