//! The posting plan: exactly what will be written into the ERP, and under which reference it can be found again.
//! A plan is made from a [`ValidatedDocument`](crate::validate::ValidatedDocument) only, and is deterministic.

use crate::Date;
use crate::ids::{CompanyId, FlowId, GlAccount, PostingKey, ProjectCode, Revision, SourceId, VendorCode};
use crate::mapping::DocumentKind;
use crate::money::{Currency, Money, MoneyError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod build;

pub use build::{AP_DESCRIPTION_MAX, JOURNAL_DESCRIPTION_MAX, LINE_DESCRIPTION_MAX};

/// The reference that the ERP document carries in a field that can be searched. The stem depends on flow and source
/// id only, so that a look-up also finds what another revision of the same record left behind; the tail names the
/// revision. Written `<stem>-<tail>`, at most 50 characters, of `A-Z a-z 0-9 . _ -` only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentReference {
    stem: String,
    tail: String,
}

impl DocumentReference {
    /// Longest reference, the length of Epicor's invoice number.
    pub const MAX_LEN: usize = 50;
    const PREFIX_MAX: usize = 6;
    const STEM_MAX: usize = 39;
    const TAIL_LEN: usize = 10;

    /// Derives the reference. `prefix` is the flow's short mark, e.g. `EXP`.
    pub fn derive(prefix: &str, flow: &FlowId, source_id: &SourceId, revision: &Revision) -> Self {
        let clean: String = source_id
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '_' })
            .collect();
        let prefix: String =
            prefix.chars().filter(char::is_ascii_alphanumeric).take(Self::PREFIX_MAX).collect();
        let plain = format!("{prefix}-{clean}");
        // The flow's mark keeps two flows that read the same source apart; a hash stands in for what does not fit
        // or was replaced, so that two ids never share a stem.
        let digest = short_hash(&["stem", flow.as_str(), source_id.as_str()], 8);
        let room = Self::STEM_MAX - 1 - digest.len();
        let stem = format!("{}-{digest}", plain.chars().take(room).collect::<String>());
        let tail =
            short_hash(&["tail", flow.as_str(), source_id.as_str(), revision.as_str()], Self::TAIL_LEN);
        Self { stem, tail }
    }

    /// What every revision of the record has in common.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// Whether a text found in the ERP begins with a reference of any revision of the same record.
    pub fn stem_is_in(&self, text: &str) -> bool {
        text.strip_prefix(self.stem.as_str()).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Whether a text found in the ERP is exactly this reference, or begins with it followed by a space.
    pub fn is_in(&self, text: &str) -> bool {
        let whole = self.to_string();
        text == whole || text.strip_prefix(whole.as_str()).is_some_and(|rest| rest.starts_with(' '))
    }
}

impl std::fmt::Display for DocumentReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.stem, self.tail)
    }
}

fn short_hash(parts: &[&str], len: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..len].to_owned()
}

impl PostingKey {
    /// The identity of the posting of one revision of one record by one flow.
    pub fn derive(flow: &FlowId, source_id: &SourceId, revision: &Revision) -> Self {
        Self::new(short_hash(&["posting", flow.as_str(), source_id.as_str(), revision.as_str()], 32))
    }
}

/// How far a document is taken in the ERP.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Saved, not in the ledger; a person releases it.
    #[default]
    Staged,
    /// Handed to the ERP's posting process.
    Submitted,
    /// Seen in the ledger.
    InLedger,
}

/// One line of a journal. The amount is signed: debit positive, credit negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// Account, segments joined by `|`.
    pub account: GlAccount,
    /// Debit positive, credit negative.
    pub amount: Money,
    /// Text on the line.
    pub description: String,
    /// Project, where a tag names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectCode>,
    /// Dimensions beside account and project, by name (`project-task`, `cost-code`, `branch`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
}

/// One line of an AP invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// Expense account, segments joined by `|`.
    pub account: GlAccount,
    /// What is owed for it; negative = credit.
    pub amount: Money,
    /// Text on the line.
    pub description: String,
    /// Project, where a tag names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectCode>,
    /// Dimensions beside account and project, by name (`project-task`, `cost-code`, `branch`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
}

/// The document to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PlannedDocument {
    /// A GL journal whose lines sum to zero.
    Journal {
        /// Lines, expense lines first, then offsets.
        lines: Vec<JournalLine>,
    },
    /// An AP invoice, or a debit memo when `debit_memo`.
    ApInvoice {
        /// Who is owed.
        vendor: VendorCode,
        /// The ERP's internal number of that vendor.
        vendor_number: i64,
        /// Payment terms, mandatory in Epicor.
        terms: Option<String>,
        /// The vendor owes us: total is negative.
        debit_memo: bool,
        /// Lines.
        lines: Vec<InvoiceLine>,
    },
}

/// Exactly what will be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostingPlan {
    /// Identity of the posting.
    pub key: PostingKey,
    /// What the ERP document is found by.
    pub reference: DocumentReference,
    /// Company it goes to.
    pub company: CompanyId,
    /// Currency of all amounts.
    pub currency: Currency,
    /// Posting date.
    pub date: Date,
    /// Text on the document, after the reference.
    pub description: String,
    /// Spend total: sum of the source lines that this plan books (not zero-sum, also for a journal).
    pub total: Money,
    /// The document.
    pub document: PlannedDocument,
    /// Hash of all of the above.
    pub hash: String,
}

impl PlannedDocument {
    /// Journal or AP invoice.
    pub const fn kind(&self) -> DocumentKind {
        match self {
            Self::Journal { .. } => DocumentKind::Journal,
            Self::ApInvoice { .. } => DocumentKind::ApInvoice,
        }
    }

    /// The amounts of all lines, offsets included.
    pub fn amounts(&self) -> Vec<Money> {
        match self {
            Self::Journal { lines } => lines.iter().map(|line| line.amount).collect(),
            Self::ApInvoice { lines, .. } => lines.iter().map(|line| line.amount).collect(),
        }
    }
}

impl PostingPlan {
    /// How much money the document moves: the larger of its debit and its credit side, never negative. Unlike the
    /// total it cannot be made small by lines that cancel each other.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when a side does not fit.
    pub fn size(&self) -> Result<Money, MoneyError> {
        let amounts = self.document.amounts();
        let debit = Money::sum(self.currency, amounts.iter().copied().filter(|amount| amount.minor > 0))?;
        let credit = Money::sum(self.currency, amounts.iter().copied().filter(|amount| amount.minor < 0))?
            .negated()?;
        Ok(if debit.minor >= credit.minor { debit } else { credit })
    }

    /// Whether the hash is that of the rest: a stored plan that was altered is not written.
    pub fn is_intact(&self) -> bool {
        self.hash == self.compute_hash()
    }

    /// Hash over the canonical JSON of everything but the hash itself.
    pub fn compute_hash(&self) -> String {
        let bare = PostingPlan { hash: String::new(), ..self.clone() };
        // Serialising owned data without maps of foreign keys cannot fail.
        let bytes = serde_json::to_vec(&bare).unwrap_or_default();
        blake3::hash(&bytes).to_hex().to_string()
    }
}

/// What one flow contributes to every plan it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanContext {
    /// Which flow.
    pub flow: FlowId,
    /// Short mark at the head of references, e.g. `EXP`.
    pub prefix: String,
    /// Company to post to.
    pub company: CompanyId,
    /// Journal or AP invoice.
    pub kind: DocumentKind,
}

#[cfg(test)]
mod tests;
