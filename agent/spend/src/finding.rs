//! Findings: one validation result each, with a stable code, the place, the value and the mend. The codes are shown
//! by the command line and later by the web console alike, so a code is never reused for another meaning.

use crate::ids::LineId;
use serde::{Deserialize, Serialize};

mod explanation;

macro_rules! finding_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $title:literal;)*) => {
        /// The stable code of a finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FindingCode {$(
            $(#[$doc])*
            #[serde(rename = $text)]
            $variant,
        )*}

        impl FindingCode {
            /// Every code, in the order of this file.
            pub const ALL: &'static [FindingCode] = &[$(FindingCode::$variant),*];

            /// The code as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// A few words for a list.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

finding_codes! {
    /// The category has no rule and no default.
    CategoryUnmapped = "category-unmapped", "category without a GL account";
    /// The line has no category at all.
    CategoryMissing = "category-missing", "line without a category";
    /// The account is not in the chart of accounts.
    AccountUnknown = "account-unknown", "GL account not in the chart";
    /// The account is there and inactive.
    AccountInactive = "account-inactive", "GL account inactive";
    /// The account is not effective at the posting date.
    AccountNotEffective = "account-not-effective", "GL account not effective on the date";
    /// A segment value is not known.
    SegmentUnknown = "segment-unknown", "segment value unknown";
    /// A segment value is inactive or not effective.
    SegmentInactive = "segment-inactive", "segment value inactive";
    /// A tag that a rule needs is missing.
    TagMissing = "tag-missing", "required tag missing";
    /// A tag has no rule.
    TagUnmapped = "tag-unmapped", "tag without a mapping";
    /// A dimension's value is not known.
    DimensionUnknown = "dimension-unknown", "dimension value unknown";
    /// A dimension's value is inactive or not effective.
    DimensionInactive = "dimension-inactive", "dimension value inactive";
    /// A project is divided by a dimension of which the line has no value.
    DimensionMissing = "dimension-missing", "dimension without a value";
    /// The project is not known.
    ProjectUnknown = "project-unknown", "project unknown";
    /// The project is closed.
    ProjectClosed = "project-closed", "project closed";
    /// The owner has no vendor.
    OwnerUnmapped = "owner-unmapped", "employee without a vendor";
    /// The vendor is not known.
    VendorUnknown = "vendor-unknown", "vendor unknown";
    /// The vendor is inactive.
    VendorInactive = "vendor-inactive", "vendor inactive";
    /// The vendor is on pay hold.
    VendorPayHold = "vendor-pay-hold", "vendor on pay hold";
    /// The invoice is to go to the merchant's vendor and there is no merchant.
    MerchantMissing = "merchant-missing", "record without a merchant";
    /// No vendor is surely the merchant.
    MerchantUnmatched = "merchant-unmatched", "merchant without a sure vendor";
    /// The lines of one record lead to different vendors.
    MerchantsDiffer = "merchants-differ", "merchants of several vendors on one record";
    /// A merchant was taken for a vendor because of its name; a note, never a hold.
    MerchantMatched = "merchant-matched", "merchant matched by name";
    /// No fiscal period covers the date.
    PeriodMissing = "period-missing", "no fiscal period for the date";
    /// The fiscal period is closed.
    PeriodClosed = "period-closed", "fiscal period closed";
    /// The currency is not allowed for this flow.
    CurrencyRefused = "currency-refused", "currency not allowed";
    /// An AP invoice would pay once more what a company card paid.
    PaidByCard = "paid-by-card", "card expense on an invoice";
    /// An invoice to a merchant would pay it what the owner has paid already.
    OwedToOwner = "owed-to-owner", "owner's expense on an invoice to a merchant";
    /// Sum of lines and declared total differ.
    TotalMismatch = "total-mismatch", "lines do not add up to the total";
    /// Nothing to post.
    NothingToPost = "nothing-to-post", "document without lines to post";
    /// An amount cannot be represented or summed.
    AmountInvalid = "amount-invalid", "amount cannot be used";
    /// A date is missing.
    DateMissing = "date-missing", "document without a posting date";
    /// A text cannot be used as an ERP key even when shortened.
    ReferenceInvalid = "reference-invalid", "document reference unusable";
    /// A local guard rail forbids it.
    GuardRail = "guard-rail", "beyond a local guard rail";
    /// The ERP refused it.
    ErpRefused = "erp-refused", "refused by the ERP";
    /// The ERP holds a document under our reference with other content.
    ErpConflict = "erp-conflict", "another document under this reference";
    /// The source changed the document after it was posted.
    ChangedAfterPosting = "changed-after-posting", "changed in the source after posting";
    /// The source says that somebody else has exported it.
    ExportedElsewhere = "exported-elsewhere", "exported by somebody else";
    /// The source does not give it any more, or not as approved.
    NoLongerReady = "no-longer-ready", "not ready to be booked any more";
    /// The source shows the same spend under another id, and that one is booked or on its way.
    BookedUnderOtherId = "booked-under-other-id", "may be booked under another id";
    /// Another flow has begun to book the record, or a person has closed it there.
    BookedByOtherFlow = "booked-by-other-flow", "may be booked by another flow";
    /// The outcome of a write could not be determined.
    OutcomeUnknown = "outcome-unknown", "outcome of the posting unknown";
    /// All attempts failed.
    AttemptsExhausted = "attempts-exhausted", "all attempts failed";
    /// The source cannot be read for this record.
    SourceUnreadable = "source-unreadable", "record cannot be read";
}

impl FindingCode {
    /// Whether planning again leaves a hold for this reason standing ([`crate::posting::Event::Replanned`]), so that it
    /// takes a person's word ([`crate::posting::Event::Replay`]) beside a good plan. For the others a good plan is enough,
    /// because data or rules were all that was wrong. Held records of either sort are planned again only when a person
    /// replays them; a run leaves them alone, except those that were held by a reading right before the write and are offered again.
    pub const fn needs_decision(self) -> bool {
        match self {
            Self::GuardRail
            | Self::ErpRefused
            | Self::ErpConflict
            | Self::ChangedAfterPosting
            | Self::ExportedElsewhere
            | Self::BookedUnderOtherId
            | Self::BookedByOtherFlow
            | Self::OutcomeUnknown
            | Self::AttemptsExhausted => true,
            Self::CategoryUnmapped
            | Self::CategoryMissing
            | Self::AccountUnknown
            | Self::AccountInactive
            | Self::AccountNotEffective
            | Self::SegmentUnknown
            | Self::SegmentInactive
            | Self::TagMissing
            | Self::TagUnmapped
            | Self::DimensionUnknown
            | Self::DimensionInactive
            | Self::DimensionMissing
            | Self::ProjectUnknown
            | Self::ProjectClosed
            | Self::OwnerUnmapped
            | Self::VendorUnknown
            | Self::VendorInactive
            | Self::VendorPayHold
            | Self::MerchantMissing
            | Self::MerchantUnmatched
            | Self::MerchantsDiffer
            | Self::MerchantMatched
            | Self::PeriodMissing
            | Self::PeriodClosed
            | Self::CurrencyRefused
            | Self::PaidByCard
            | Self::OwedToOwner
            | Self::TotalMismatch
            | Self::NothingToPost
            | Self::AmountInvalid
            | Self::DateMissing
            | Self::ReferenceInvalid
            | Self::NoLongerReady
            | Self::SourceUnreadable => false,
        }
    }
}

/// One validation result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code.
    pub code: FindingCode,
    /// The line it is about; `None` = the whole document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineId>,
    /// What was looked at, in the customer's words: `category`, `segment 2`, `vendor`, ...
    pub field: String,
    /// The value found there; empty when there is none.
    pub value: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it and where, in one sentence without a full stop.
    pub fix: String,
}

impl Finding {
    /// A finding about the whole document.
    pub fn document(
        code: FindingCode,
        field: impl Into<String>,
        value: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (field, value) = (field.into(), value.into());
        Self { code, line: None, field, value, message: message.into(), fix: fix.into() }
    }

    /// The record differs from what was booked. `earlier` is where the earlier revision can be found in the ERP.
    pub fn changed_after_posting(earlier: &str) -> Self {
        Self::document(
            FindingCode::ChangedAfterPosting,
            "revision",
            earlier,
            format!("the record was changed in the source after it had been booked as {earlier}"),
            "correct that document in the ERP, then close this one with `purser records handle` and a note",
        )
    }

    /// The source delivered the record in a form that cannot be read.
    pub fn source_unreadable(why: &str) -> Self {
        Self::document(
            FindingCode::SourceUnreadable,
            "record",
            "",
            format!("the record cannot be read: {why}"),
            "open the record in the source system and look at what is named; it is read again at the next run",
        )
    }

    /// The same finding, about one line.
    #[must_use]
    pub fn on_line(self, line: &LineId) -> Self {
        Self { line: Some(line.clone()), ..self }
    }
}

impl std::fmt::Display for FindingCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = &self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{} ({}): {}", self.message, self.code, self.fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_unique_and_has_a_page_of_its_own() {
        let codes: BTreeSet<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
        let pages: BTreeSet<&str> = FindingCode::ALL.iter().map(|code| code.explanation()).collect();
        assert_eq!((codes.len(), pages.len()), (FindingCode::ALL.len(), FindingCode::ALL.len()));
        for code in FindingCode::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
            assert!(code.explanation().split("\n\n").count() >= 3, "{code}: meaning, reason, mend");
            assert!(code.explanation().lines().all(|line| line.len() <= 120), "{code}");
        }
    }

    #[test]
    fn a_finding_is_told_with_line_cause_and_mend() {
        let finding = Finding::document(FindingCode::TagMissing, "tag level 1", "", "no tag", "tag it");
        assert_eq!(finding.to_string(), "no tag (tag-missing): tag it");
        assert_eq!(finding.on_line(&LineId::from("7")).to_string(), "line 7: no tag (tag-missing): tag it");
    }
}
