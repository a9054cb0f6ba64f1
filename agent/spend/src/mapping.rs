//! The customer's rules: from category and tag to account and dimension, from owner to vendor.
//! These structs are also what the configuration file holds below `[flow.mapping]`.

use crate::ids::VendorCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What kind of ERP document a flow writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentKind {
    /// A balanced GL journal.
    #[default]
    Journal,
    /// An AP invoice (a debit memo when the total is negative).
    ApInvoice,
}

impl DocumentKind {
    /// The word for it, as it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::ApInvoice => "ap-invoice",
        }
    }
}

/// How lines of the source become lines of the ERP document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LineMode {
    /// One line per account and dimension, amounts summed.
    #[default]
    Summary,
    /// One line per expense.
    Detail,
}

/// Which date the ERP document bears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PostingDate {
    /// The day of approval.
    #[default]
    Approved,
    /// The day of submission.
    Submitted,
    /// The newest expense date.
    LastExpense,
}

/// What happens when the fiscal period of the posting date is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClosedPeriod {
    /// The document waits for a person.
    #[default]
    Hold,
    /// The document is dated on the first day of the next open period.
    NextOpen,
}

/// Which lines of a report are posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LineSelection {
    /// All lines.
    #[default]
    All,
    /// Only what the owner is owed.
    Reimbursable,
    /// Only what the company card paid.
    NonReimbursable,
}

/// Where a category leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoryRule {
    /// Natural account (value of segment 1).
    pub account: String,
    /// Values of other segments that this category fixes, by segment number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<u8, String>,
    /// Values of dimensions that this category fixes, by the dimension's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
}

/// Whom an AP invoice is made out to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VendorFrom {
    /// The vendor through which the owner of the record is paid.
    #[default]
    Owner,
    /// The vendor that the merchant is: by `merchants`, by a person's earlier choice, or by likeness of names.
    Merchant,
    /// Always `default_vendor`, e.g. the bank of the card.
    Fixed,
}

/// What a tag level fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TagTarget {
    /// The segment with this number.
    Segment(u8),
    /// The project.
    Project,
    /// The dimension of this name (lower case with hyphens: `project-task`, `cost-code`, `branch`, `department`,
    /// `class`).
    Dimension(String),
}

/// What to do with one tag level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagRule {
    /// Tag level, 1 = first.
    pub level: u8,
    /// What it fills.
    pub target: TagTarget,
    /// A line without this tag is held.
    #[serde(default)]
    pub required: bool,
    /// From the tag's value to the ERP's code. Values not listed are used as they are when `pass_through` is set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// Use the tag's own code, else its value, when it is not listed in `values`. Default: yes.
    #[serde(default = "yes")]
    pub pass_through: bool,
}

/// All rules of one flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MappingRules {
    /// By category name, exact.
    pub categories: BTreeMap<String, CategoryRule>,
    /// Use the GL code that the source attaches to a category when no rule names it. Default: yes.
    pub use_category_code: bool,
    /// Where a category without rule and code leads; `None` = the document is held.
    pub default_category: Option<CategoryRule>,
    /// How many segments an account has. Default: 3.
    pub segment_count: u8,
    /// Segment values where neither category nor tag gives one, by segment number.
    pub default_segments: BTreeMap<u8, String>,
    /// Dimension values where neither category nor tag gives one, by the dimension's name.
    pub default_dimensions: BTreeMap<String, String>,
    /// What each tag level fills.
    pub tags: Vec<TagRule>,
    /// From e-mail address (lower case) to vendor, before the ERP's own employee record is asked.
    pub owners: BTreeMap<String, VendorCode>,
    /// Whom an AP invoice is made out to. Default: `owner`.
    pub vendor_from: VendorFrom,
    /// With `vendor_from = "merchant"`: from the source's merchant id, or the merchant's name, to the vendor, before
    /// names are compared.
    pub merchants: BTreeMap<String, VendorCode>,
    /// With `vendor_from = "merchant"`: how alike merchant and vendor must be, in thousandths, to be taken for the same
    /// without asking a person. Default: 920.
    pub match_threshold: u16,
    /// The vendor of owners found nowhere else, or of records without a merchant, or of all records with
    /// `vendor_from = "fixed"`; `None` = the document is held.
    pub default_vendor: Option<VendorCode>,
    /// The account that a journal is balanced with, for lines that the owner is owed (accrued expenses).
    pub offset_reimbursable: Option<String>,
    /// The account that a journal is balanced with, for lines that a company card paid (card clearing).
    pub offset_card: Option<String>,
    /// The natural account of tax lines; `None` = tax stays within the line.
    pub tax_account: Option<String>,
    /// One line per account or one per expense.
    pub lines: LineMode,
    /// Which lines are posted.
    pub select: LineSelection,
    /// Which date the document bears.
    pub date: PostingDate,
    /// What to do when the period is closed.
    pub closed_period: ClosedPeriod,
    /// Currencies that may be posted; empty = all.
    pub currencies: Vec<String>,
    /// Put lines that a company card paid on an AP invoice too. Say so where the vendor is the bank of the card
    /// (`vendor_from = "fixed"`), or where invoices of merchants are settled against the card in the ERP
    /// (`vendor_from = "merchant"`). Default: no, the document is held, for it would be paid once more.
    pub card_lines_on_invoice: bool,
    /// A difference between the lines and the source's declared total holds the document. Default: no, it is noted.
    pub strict_total: bool,
}

/// How alike a merchant and a vendor must be, in thousandths, unless the flow says otherwise.
pub const DEFAULT_MATCH_THRESHOLD: u16 = 920;

fn yes() -> bool {
    true
}

impl Default for MappingRules {
    fn default() -> Self {
        Self {
            categories: BTreeMap::new(),
            use_category_code: true,
            default_category: None,
            segment_count: 3,
            default_segments: BTreeMap::new(),
            default_dimensions: BTreeMap::new(),
            tags: Vec::new(),
            owners: BTreeMap::new(),
            vendor_from: VendorFrom::default(),
            merchants: BTreeMap::new(),
            match_threshold: DEFAULT_MATCH_THRESHOLD,
            default_vendor: None,
            offset_reimbursable: None,
            offset_card: None,
            tax_account: None,
            lines: LineMode::default(),
            select: LineSelection::default(),
            date: PostingDate::default(),
            closed_period: ClosedPeriod::default(),
            currencies: Vec::new(),
            card_lines_on_invoice: false,
            strict_total: false,
        }
    }
}
