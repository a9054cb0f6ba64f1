//! One sound report, and every way in which it can be spoiled.

use super::*;
use crate::document::Tag;
use crate::finding::FindingCode as Code;
use crate::mapping::{CategoryRule, ClosedPeriod, TagTarget};
use crate::reference::Effective;
use crate::sample::{self, context, day, document, line, reference, rules, usd};
use proptest::prelude::*;
use std::collections::BTreeMap;

mod company_card;
mod dimensions;

/// A report, its rules and its ERP, to be spoiled by a case.
struct Case {
    document: SpendDocument,
    rules: MappingRules,
    reference: ReferenceData,
    kind: DocumentKind,
}

impl Case {
    fn new(kind: DocumentKind) -> Self {
        let document = document(vec![line("1", "Travel", 1000), line("2", "Meals", 500)]);
        Self { document, rules: rules(), reference: reference(), kind }
    }

    fn check(&self) -> Result<ValidatedDocument, Vec<Finding>> {
        validate(&self.document, &self.rules, &self.reference, &context(self.kind))
    }

    /// Code, line and value of every finding.
    fn findings(&self) -> Told {
        let told = |f: Finding| (f.code, f.line.map(|line| line.to_string()), f.value);
        self.check().err().unwrap_or_default().into_iter().map(told).collect()
    }
}

type Told = Vec<(Code, Option<String>, String)>;

fn spoiled(kind: DocumentKind, spoil: impl FnOnce(&mut Case)) -> Told {
    let mut case = Case::new(kind);
    spoil(&mut case);
    case.findings()
}

fn on_line(code: Code, line: &str, value: &str) -> Told {
    vec![(code, Some(line.to_owned()), value.to_owned())]
}

fn on_document(code: Code, value: &str) -> Told {
    vec![(code, None, value.to_owned())]
}

fn tag(level: u8, value: &str) -> Tag {
    Tag { level, value: value.to_owned(), code: None }
}

const JOURNAL: DocumentKind = DocumentKind::Journal;
const INVOICE: DocumentKind = DocumentKind::ApInvoice;

#[test]
fn a_sound_report_is_valid_in_both_kinds() {
    for kind in [JOURNAL, INVOICE] {
        let valid = Case::new(kind).check().unwrap();
        assert_eq!(valid.total(), usd(1500));
        assert_eq!(valid.date(), day("2026-01-15"));
        assert!(valid.notes().is_empty());
        let accounts: Vec<&str> = valid.lines().iter().map(|line| line.account().as_str()).collect();
        assert_eq!(accounts, [sample::TRAVEL, sample::MEALS]);
    }
}

/// Sheet items: Expensify 8, Expensify 26, Epicor 15
#[test]
fn every_fault_is_told_with_line_and_value() {
    type Spoil = fn(&mut Case);
    let cases: Vec<(Spoil, Told)> = vec![
        (
            |c| c.document.lines[0].category = Some("Gifts".into()),
            on_line(Code::CategoryUnmapped, "1", "Gifts"),
        ),
        (|c| c.document.lines[0].category = None, on_line(Code::CategoryMissing, "1", "")),
        (|c| c.document.lines[1].category = Some("  ".into()), on_line(Code::CategoryMissing, "2", "")),
        (|c| c.document.lines[0].tags[0].value = "777".into(), on_line(Code::SegmentUnknown, "1", "777")),
        (|c| c.document.lines[0].tags[0].value = "200|1".into(), on_line(Code::SegmentUnknown, "1", "200|1")),
        (|c| c.document.lines[0].tags[0].value = "900".into(), on_line(Code::SegmentInactive, "1", "900")),
        (
            |c| c.document.lines[1].tags[0].value = "300".into(),
            on_line(Code::AccountUnknown, "2", "6200|00|300"),
        ),
        (
            |c| {
                c.rules.tags[0].required = true;
                c.document.lines[1].tags.clear();
            },
            on_line(Code::TagMissing, "2", ""),
        ),
        (|c| c.rules.tags[0].pass_through = false, {
            let mut both = on_line(Code::TagUnmapped, "1", "200");
            both.extend(on_line(Code::TagUnmapped, "2", "200"));
            both
        }),
        (|c| c.document.lines[0].tags.push(tag(2, "P9")), on_line(Code::ProjectUnknown, "1", "P9")),
        (|c| c.document.lines[0].tags.push(tag(2, "P2")), on_line(Code::ProjectClosed, "1", "P2")),
        (|c| c.document.approved = None, on_document(Code::DateMissing, "")),
        (|c| c.document.approved = Some(day("2026-02-03")), on_document(Code::PeriodClosed, "2026-02-03")),
        (|c| c.document.approved = Some(day("2027-02-03")), on_document(Code::PeriodMissing, "2027-02-03")),
        (|c| c.rules.currencies = vec!["EUR".into()], on_document(Code::CurrencyRefused, "USD")),
        (|c| c.rules.offset_reimbursable = None, on_document(Code::AccountUnknown, "")),
        (|c| c.rules.offset_reimbursable = Some("2300".into()), on_document(Code::AccountUnknown, "2300")),
        (|c| c.document.lines.clear(), on_document(Code::NothingToPost, "")),
        (|c| c.rules.select = LineSelection::NonReimbursable, on_document(Code::NothingToPost, "")),
        (|c| c.document.source_id = SourceId::from(" "), on_document(Code::ReferenceInvalid, "")),
        (|c| c.document.lines[1].id = LineId::from("1"), on_line(Code::SourceUnreadable, "1", "1")),
        (
            |c| c.document.lines[1].amount = Money::new(500, Currency::new("EUR").unwrap()),
            on_line(Code::AmountInvalid, "2", "5.00 EUR"),
        ),
        (
            |c| {
                c.rules.strict_total = true;
                c.document.declared_total = Some(usd(1));
            },
            on_document(Code::TotalMismatch, "0.01 USD"),
        ),
        (
            |c| {
                c.document.lines[0].amount = usd(i64::MAX);
            },
            on_document(Code::AmountInvalid, ""),
        ),
    ];
    for (number, (spoil, expected)) in cases.into_iter().enumerate() {
        assert_eq!(spoiled(JOURNAL, spoil), expected, "case {number}");
    }
}

#[test]
fn all_faults_of_a_document_are_told_at_once() {
    let findings = spoiled(INVOICE, |c| {
        c.document.owner.email = "bob@example.test".into();
        c.document.approved = Some(day("2026-02-03"));
        c.document.lines[0].category = Some("Gifts".into());
        c.document.lines[0].tags = vec![tag(2, "P9")];
        c.document.lines[1].category = Some("Old".into());
        c.rules.tags[0].required = true;
        c.rules.currencies = vec!["EUR".into()];
    });
    let codes: Vec<Code> = findings.iter().map(|(code, _, _)| *code).collect();
    assert_eq!(
        codes,
        [
            Code::CurrencyRefused,
            Code::PeriodClosed,
            Code::ProjectUnknown,
            Code::TagMissing,
            Code::CategoryUnmapped,
            Code::AccountInactive,
            Code::AccountInactive,
            Code::OwnerUnmapped,
        ]
    );
}

#[test]
fn every_finding_says_what_is_wrong_and_where_to_mend_it() {
    let mut case = Case::new(INVOICE);
    case.document.owner.email = "bob@example.test".into();
    case.document.lines[0].category = Some("Gifts".into());
    case.document.lines[1].tags[0].value = "777".into();
    for finding in case.check().unwrap_err() {
        assert!(!finding.message.is_empty() && !finding.message.ends_with('.'), "{finding}");
        assert!(finding.fix.contains("flow.mapping.") || finding.fix.contains("ERP"), "{finding}");
    }
}

#[test]
fn accounts_follow_their_state_and_dates() {
    let late = Effective { from: Some(day("2026-06-01")), to: None };
    let travel = GlAccount::from(sample::TRAVEL);
    let inactive = spoiled(JOURNAL, |c| c.reference.accounts.get_mut(&travel).unwrap().active = false);
    assert_eq!(inactive, on_line(Code::AccountInactive, "1", sample::TRAVEL));
    let future = spoiled(JOURNAL, |c| c.reference.accounts.get_mut(&travel).unwrap().effective = late);
    assert_eq!(future, on_line(Code::AccountNotEffective, "1", sample::TRAVEL));
    let segment = spoiled(JOURNAL, |c| {
        c.reference.segments.get_mut(&1).unwrap().values.get_mut("6200").unwrap().effective = late;
    });
    assert_eq!(segment, on_line(Code::AccountNotEffective, "2", "6200"));
    let project = spoiled(JOURNAL, |c| {
        c.document.lines[0].tags.push(tag(2, "P1"));
        c.reference.projects.get_mut(&ProjectCode::from("P1")).unwrap().effective = late;
    });
    assert_eq!(project, on_line(Code::ProjectClosed, "1", "P1"));
}

#[test]
fn tags_come_before_the_category_and_the_category_before_defaults() {
    let account = |tag_value: Option<&str>, fixed: Option<&str>| {
        let mut case = Case::new(JOURNAL);
        case.document.lines.truncate(1);
        case.document.lines[0].tags = tag_value.map(|value| tag(1, value)).into_iter().collect();
        let segments: BTreeMap<u8, String> = fixed.map(|value| (3, value.to_owned())).into_iter().collect();
        case.rules.categories.insert(
            "Travel".into(),
            CategoryRule { account: "6100".into(), segments, dimensions: BTreeMap::new() },
        );
        case.rules.default_segments.insert(3, "200".into());
        case.rules.offset_reimbursable = Some(sample::ACCRUED.into());
        case.check().unwrap().lines()[0].account().to_string()
    };
    assert_eq!(account(None, None), "6100|00|200");
    assert_eq!(account(None, Some("300")), "6100|00|300");
    assert_eq!(account(Some("200"), Some("300")), "6100|00|200");
}

#[test]
fn a_category_code_may_be_a_natural_or_a_whole_account() {
    for (code, expected) in
        [("6100", "6100|00|200"), (" 6100 ", "6100|00|200"), ("6100-00-300", "6100|00|200")]
    {
        let mut case = Case::new(JOURNAL);
        case.document.lines[0].category = Some("Unlisted".into());
        case.document.lines[0].category_code = Some(code.into());
        assert_eq!(case.check().unwrap().lines()[0].account().as_str(), expected, "{code}");
    }
    let untagged = |code: &str| {
        let mut case = Case::new(JOURNAL);
        case.document.lines[0].category = Some("Unlisted".into());
        case.document.lines[0].category_code = Some(code.into());
        case.document.lines[0].tags.clear();
        case
    };
    for code in ["6100|00|300", "6100-00-300"] {
        assert_eq!(untagged(code).check().unwrap().lines()[0].account().as_str(), "6100|00|300", "{code}");
    }
    // More parts than an account has.
    assert_eq!(untagged("6100|00|300|1").findings(), on_line(Code::AccountUnknown, "1", "6100|00|300|1"));
    let mut unused = untagged("6100|00|300");
    unused.rules.use_category_code = false;
    assert_eq!(unused.findings(), on_line(Code::CategoryUnmapped, "1", "Unlisted"));
}

#[test]
fn a_category_code_may_fill_the_first_segments_and_tags_and_defaults_the_others() {
    for (code, tagged, expected) in [
        ("6100|00", Some("300"), "6100|00|300"),
        ("6100|00|300", Some("200"), "6100|00|200"),
        ("6100||300", None, "6100|00|300"),
        ("6100|", Some("200"), "6100|00|200"),
        (" 6100 | 00 ", None, "6100|00|200"),
    ] {
        let mut case = Case::new(JOURNAL);
        case.document.lines.truncate(1);
        let line = &mut case.document.lines[0];
        line.category = Some("Unlisted".into());
        line.category_code = Some(code.into());
        line.tags = tagged.map(|value| tag(1, value)).into_iter().collect();
        case.rules.default_segments.insert(3, "200".into());
        case.rules.offset_reimbursable = Some(sample::ACCRUED.into());
        assert_eq!(case.check().unwrap().lines()[0].account().as_str(), expected, "{code}");
    }
}

#[test]
fn the_default_category_catches_what_nothing_else_names() {
    let mut case = Case::new(JOURNAL);
    case.document.lines[0].category = None;
    case.rules.default_category =
        Some(CategoryRule { account: "6200".into(), segments: BTreeMap::new(), dimensions: BTreeMap::new() });
    assert_eq!(case.check().unwrap().lines()[0].account().as_str(), sample::MEALS);
}

#[test]
fn a_segment_without_any_value_is_told() {
    let findings = spoiled(JOURNAL, |c| {
        c.rules.default_segments.remove(&2);
        c.rules.offset_reimbursable = Some(sample::ACCRUED.into());
        c.document.lines.truncate(1);
    });
    assert_eq!(findings, on_line(Code::SegmentUnknown, "1", ""));
}

#[test]
fn dynamic_segments_are_checked_value_by_value() {
    let dynamic = |value: &str| {
        let mut case = Case::new(JOURNAL);
        let segment = case.reference.segments.get_mut(&3).unwrap();
        segment.dynamic = true;
        case.reference.accounts = case
            .reference
            .accounts
            .into_iter()
            .map(|(account, entry)| {
                let segments = account.segments();
                (GlAccount::from_segments(&[segments[0], segments[1], ""]), entry)
            })
            .collect();
        case.document.lines.truncate(1);
        case.document.lines[0].tags[0].value = value.to_owned();
        case
    };
    assert_eq!(dynamic("300").check().unwrap().lines()[0].account().as_str(), "6100|00|300");
    assert_eq!(dynamic("900").findings(), on_line(Code::SegmentInactive, "1", "900"));
    assert_eq!(dynamic("777").findings(), on_line(Code::SegmentUnknown, "1", "777"));
    let mut other = dynamic("300");
    other.document.lines[0].category_code = Some("2300".into());
    other.document.lines[0].category = Some("Unlisted".into());
    assert_eq!(other.findings(), on_line(Code::AccountUnknown, "1", "2300"));
}

#[test]
fn segments_that_the_erp_does_not_show_are_left_to_the_chart() {
    let mut case = Case::new(JOURNAL);
    case.reference.segments.clear();
    assert!(case.check().is_ok());
    case.document.lines[0].tags[0].value = "777".into();
    assert_eq!(case.findings(), on_line(Code::AccountUnknown, "1", "6100|00|777"));
}

/// Sheet item: Epicor 15
#[test]
fn the_vendor_is_found_by_rule_then_by_employee_then_by_default() {
    let vendor = |email: &str, rule: Option<&str>, default: Option<&str>| {
        let mut case = Case::new(INVOICE);
        case.document.owner.email = email.to_owned();
        case.rules.owners =
            rule.map(|code| ("Ann@Example.test".to_owned(), VendorCode::from(code))).into_iter().collect();
        case.rules.default_vendor = default.map(VendorCode::from);
        case.reference
            .vendors
            .insert(VendorCode::from("RULE"), case.reference.vendors[&VendorCode::from("ANN")].clone());
        case.check().map(|valid| valid.vendor().map(ToString::to_string)).map_err(|findings| findings[0].code)
    };
    assert_eq!(vendor("ANN@example.test", None, None), Ok(Some("ANN".into())));
    assert_eq!(vendor("ann@example.test", Some("RULE"), Some("STOP")), Ok(Some("RULE".into())));
    assert_eq!(vendor("bob@example.test", None, Some("ANN")), Ok(Some("ANN".into())));
    assert_eq!(vendor("bob@example.test", None, None), Err(Code::OwnerUnmapped));
    assert_eq!(vendor("ann@example.test", Some("NOPE"), None), Err(Code::VendorUnknown));
    assert_eq!(vendor("ann@example.test", Some("GONE"), None), Err(Code::VendorInactive));
    assert_eq!(vendor("ann@example.test", Some("STOP"), None), Err(Code::VendorPayHold));
}

#[test]
fn a_vendor_of_another_currency_is_refused() {
    let findings = spoiled(INVOICE, |c| {
        let vendor = c.reference.vendors.get_mut(&VendorCode::from("ANN")).unwrap();
        vendor.currency = Some(Currency::new("EUR").unwrap());
    });
    assert_eq!(findings, on_document(Code::CurrencyRefused, "USD"));
}

#[test]
fn journals_need_no_vendor() {
    assert!(spoiled(JOURNAL, |c| c.document.owner.email = "bob@example.test".into()).is_empty());
}

#[test]
fn an_invoice_never_pays_the_owner_for_what_a_card_paid() {
    let mixed = |change: fn(&mut MappingRules)| {
        let mut case = Case::new(INVOICE);
        case.document.lines[1].reimbursable = false;
        change(&mut case.rules);
        case
    };
    assert_eq!(mixed(|_| {}).findings(), on_line(Code::PaidByCard, "2", "no"));
    let only_owed = mixed(|rules| rules.select = LineSelection::Reimbursable).check().unwrap();
    assert_eq!(only_owed.total(), usd(1000));
    let bank = mixed(|rules| rules.card_lines_on_invoice = true).check().unwrap();
    assert_eq!(bank.total(), usd(1500));
}

#[test]
fn an_invoice_over_nothing_is_not_posted() {
    let findings = spoiled(INVOICE, |c| c.document.lines[1].amount = usd(-1000));
    assert_eq!(findings, on_document(Code::NothingToPost, ""));
    assert!(spoiled(JOURNAL, |c| c.document.lines[1].amount = usd(-1000)).is_empty());
}

/// Sheet item: Expensify 13
#[test]
fn lines_over_nothing_are_skipped_with_all_their_faults() {
    let findings = spoiled(JOURNAL, |c| {
        c.document.lines[1].amount = usd(0);
        c.document.lines[1].category = Some("Gifts".into());
    });
    assert!(findings.is_empty());
}

#[test]
fn a_wrong_declared_total_is_noted_and_holds_only_on_demand() {
    let mut case = Case::new(JOURNAL);
    case.document.declared_total = Some(usd(1));
    let notes = case.check().unwrap().notes().to_vec();
    assert_eq!(notes.iter().map(|note| note.code).collect::<Vec<_>>(), [Code::TotalMismatch]);
}

#[test]
fn a_closed_period_can_move_the_date_to_the_next_open_one() {
    let mut case = Case::new(JOURNAL);
    case.rules.closed_period = ClosedPeriod::NextOpen;
    case.document.approved = Some(day("2026-02-03"));
    let valid = case.check().unwrap();
    assert_eq!(valid.date(), day("2026-03-01"));
    assert_eq!(valid.notes()[0].code, Code::PeriodClosed);
    case.reference.periods.as_mut().unwrap().truncate(2);
    assert_eq!(case.findings(), on_document(Code::PeriodClosed, "2026-02-03"));
    case.reference.periods = None;
    assert_eq!(case.check().unwrap().date(), day("2026-02-03"));
}

#[test]
fn the_posting_date_follows_the_rule() {
    for (rule, expected) in [
        (PostingDate::Approved, "2026-01-15"),
        (PostingDate::Submitted, "2026-01-12"),
        (PostingDate::LastExpense, "2026-01-11"),
    ] {
        let mut case = Case::new(JOURNAL);
        case.rules.date = rule;
        case.document.lines[1].date = Some(day("2026-01-11"));
        assert_eq!(case.check().unwrap().date(), day(expected));
    }
}

#[test]
fn tax_becomes_a_line_of_its_own_and_sums_stay_exact() {
    let mut case = Case::new(JOURNAL);
    case.rules.tax_account = Some("1400".into());
    case.document.lines[0].tax = Some(usd(160));
    case.document.lines[0].tags.push(tag(2, "P1"));
    let valid = case.check().unwrap();
    let booked: Vec<(&str, i64, bool, bool)> = valid
        .lines()
        .iter()
        .map(|line| (line.account().as_str(), line.amount().minor, line.is_tax(), line.project().is_some()))
        .collect();
    assert_eq!(
        booked,
        [
            (sample::TRAVEL, 840, false, true),
            (sample::INPUT_TAX, 160, true, false),
            (sample::MEALS, 500, false, false)
        ]
    );
    assert_eq!(valid.total(), usd(1500));
}

#[test]
fn tax_that_does_not_lie_within_its_amount_is_refused() {
    for tax in [usd(1001), usd(-1), Money::new(1, Currency::new("EUR").unwrap())] {
        let findings = spoiled(JOURNAL, |c| {
            c.rules.tax_account = Some("1400".into());
            c.document.lines[0].tax = Some(tax);
        });
        assert_eq!(findings, on_line(Code::AmountInvalid, "1", "10.00 USD"), "{tax}");
    }
}

#[test]
fn projects_may_be_mapped_by_value_or_code() {
    let mut case = Case::new(JOURNAL);
    case.rules.tags[1].values = [("Plant North".to_owned(), "P1".to_owned())].into();
    case.document.lines[0].tags.push(tag(2, "Plant North"));
    case.document.lines[1].tags.push(Tag { level: 2, value: "By code".into(), code: Some("P1".into()) });
    let valid = case.check().unwrap();
    assert!(valid.lines().iter().all(|line| line.project() == Some(&ProjectCode::from("P1"))));
    assert_eq!(case.rules.tags[1].target, TagTarget::Project);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_from_the_source_panics(
        texts in prop::collection::vec(".{0,24}", 8),
        amount: i64,
        tax: Option<i64>,
        kind in prop::sample::select(vec![JOURNAL, INVOICE]),
    ) {
        let mut case = Case::new(kind);
        case.rules.tax_account = Some("1400".into());
        case.document.source_id = SourceId::from(texts[0].as_str());
        case.document.owner.email = texts[1].clone();
        let line = &mut case.document.lines[0];
        line.category = Some(texts[2].clone());
        line.category_code = Some(texts[3].clone());
        line.tags = vec![tag(1, &texts[4]), tag(2, &texts[5])];
        line.merchant = texts[6].clone();
        line.id = LineId::from(texts[7].as_str());
        line.amount = usd(amount);
        line.tax = tax.map(usd);
        match case.check() {
            Ok(valid) => prop_assert!(crate::plan::PostingPlan::build(&valid, &context(kind)).is_ok()),
            Err(findings) => prop_assert!(!findings.is_empty()),
        }
    }
}
