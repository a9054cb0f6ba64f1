//! Spend of the company itself: card and cash records, whose invoice goes to the merchant, and bills.

use super::*;
use crate::document::{Owner, RecordKind};
use crate::mapping::VendorFrom;
use crate::matching::Merchants;
use crate::plan::{PlannedDocument, PostingPlan};
use crate::reference::Vendor;

/// A card record of one line at Acme Tools, and four vendors more.
fn card(kind: DocumentKind) -> Case {
    let mut case = Case::new(kind);
    case.document.kind = RecordKind::CardTransaction;
    case.document.owner = Owner::default();
    case.document.lines.truncate(1);
    let line = &mut case.document.lines[0];
    line.merchant = "ACME TOOLS 0123   ".to_owned();
    line.merchant_id = Some("pmch_1".to_owned());
    line.reimbursable = false;
    case.document.declared_total = None;
    case.rules.vendor_from = VendorFrom::Merchant;
    case.rules.card_lines_on_invoice = true;
    let vendor = |name: &str| Vendor {
        number: 70,
        name: name.to_owned(),
        inactive: false,
        pay_hold: false,
        currency: None,
        terms: None,
    };
    for (code, name) in [
        ("ACME", "Acme Tools LLC"),
        ("TOOLING", "Acme Tooling Inc"),
        ("BANK", "Card Bank"),
        ("DELTA", "Delta Air Lines"),
    ] {
        case.reference.vendors.insert(VendorCode::from(code), vendor(name));
    }
    case
}

fn vendor_of(case: &Case) -> String {
    case.check().unwrap().vendor().unwrap().to_string()
}

#[test]
fn a_card_record_becomes_an_invoice_of_its_merchant_and_says_how_it_was_found() {
    let case = card(INVOICE);
    let valid = case.check().unwrap();
    assert_eq!(valid.vendor(), Some(&VendorCode::from("ACME")));
    let [note] = valid.notes() else { panic!("{:?}", valid.notes()) };
    assert_eq!((note.code, note.value.as_str()), (Code::MerchantMatched, "ACME TOOLS 0123"));
    assert!(
        note.message.contains("ACME (Acme Tools LLC, likeness 9") || note.message.contains("likeness 1000")
    );
    let plan = PostingPlan::build(&valid, &context(INVOICE)).unwrap();
    assert_eq!(plan.total, usd(1000));
    assert!(matches!(plan.document, PlannedDocument::ApInvoice { debit_memo: false, .. }));
}

#[test]
fn a_refund_becomes_a_debit_memo_of_the_same_merchant() {
    let mut case = card(INVOICE);
    case.document.lines[0].amount = usd(-1000);
    let plan = PostingPlan::build(&case.check().unwrap(), &context(INVOICE)).unwrap();
    let PlannedDocument::ApInvoice { vendor, debit_memo, lines, .. } = &plan.document else { panic!() };
    assert_eq!((vendor.as_str(), *debit_memo, lines[0].amount), ("ACME", true, usd(-1000)));
}

#[test]
fn a_card_record_becomes_a_journal_against_card_clearing_whatever_its_merchant() {
    for cents in [1000, -1000] {
        let mut case = card(JOURNAL);
        case.document.lines[0].amount = usd(cents);
        case.document.lines[0].merchant = "Nobody knows".to_owned();
        let plan = PostingPlan::build(&case.check().unwrap(), &context(JOURNAL)).unwrap();
        let PlannedDocument::Journal { lines } = &plan.document else { panic!() };
        let booked: Vec<(&str, i64)> = lines.iter().map(|l| (l.account.as_str(), l.amount.minor)).collect();
        assert_eq!(booked, [(sample::TRAVEL, cents), (sample::CLEARING, -cents)]);
    }
}

#[test]
fn rules_come_before_a_person_s_choice_and_a_choice_before_likeness() {
    let mut case = card(INVOICE);
    let chosen = |case: &Case, key: &str| {
        let choices = [(key.to_owned(), VendorCode::from("TOOLING"))].into();
        let merchants = Merchants::new(&case.reference.vendors, choices);
        let valid =
            validate_with(&case.document, &case.rules, &case.reference, &context(INVOICE), &merchants);
        valid.unwrap().vendor().unwrap().to_string()
    };
    assert_eq!(vendor_of(&case), "ACME");
    assert_eq!(chosen(&case, "pmch_1"), "TOOLING");
    assert_eq!(chosen(&case, "pmch_2"), "ACME");
    for key in ["pmch_1", "ACME TOOLS 0123", "Acme Tools, Inc."] {
        case.rules.merchants = [(key.to_owned(), VendorCode::from("DELTA"))].into();
        assert_eq!(chosen(&case, "pmch_1"), "DELTA", "{key}");
    }
    case.rules.merchants.clear();
    case.document.lines[0].merchant_id = None;
    assert_eq!(chosen(&case, "acme tools"), "TOOLING");
}

#[test]
fn a_merchant_that_is_no_vendor_surely_is_held_with_the_nearest() {
    let mut case = card(INVOICE);
    case.document.lines[0].merchant = "ACME TOOLSHED".to_owned();
    let [finding] = case.check().unwrap_err().try_into().unwrap();
    assert_eq!((finding.code, finding.value.as_str()), (Code::MerchantUnmatched, "ACME TOOLSHED"));
    assert!(finding.message.contains("nearest: ACME (Acme Tools LLC, likeness "), "{finding}");
    assert!(finding.fix.contains("purser records choose R00bCluvcO4T VENDOR"), "{finding}");
    case.document.lines[0].merchant = "Quite another".to_owned();
    let [finding] = case.check().unwrap_err().try_into().unwrap();
    assert!(finding.message.ends_with("no vendor has a name like it"), "{finding}");
    case.rules.match_threshold = 1000;
    case.document.lines[0].merchant = "ACME TOOL".to_owned();
    assert_eq!(case.findings(), on_document(Code::MerchantUnmatched, "ACME TOOL"));
}

#[test]
fn a_vendor_that_may_not_be_used_holds_the_record_however_it_was_found() {
    let mut case = card(INVOICE);
    case.reference.vendors.get_mut(&VendorCode::from("ACME")).unwrap().inactive = true;
    assert_eq!(case.findings(), on_document(Code::VendorInactive, "ACME"));
    case.rules.merchants = [("pmch_1".to_owned(), VendorCode::from("LOST"))].into();
    assert_eq!(case.findings(), on_document(Code::VendorUnknown, "LOST"));
    for finding in case.check().unwrap_err() {
        assert!(finding.fix.contains("flow.mapping.merchants"), "{finding}");
    }
}

#[test]
fn one_invoice_has_one_vendor() {
    let mut case = card(INVOICE);
    let mut second = case.document.lines[0].clone();
    second.id = LineId::from("2");
    case.document.lines.push(second);
    assert_eq!(vendor_of(&case), "ACME");
    case.document.lines[1].merchant = "DELTA AIR LINES".to_owned();
    case.document.lines[1].merchant_id = None;
    assert_eq!(case.findings(), on_document(Code::MerchantsDiffer, ""));
    case.document.lines[1].merchant = " ".to_owned();
    assert_eq!(case.findings(), on_line(Code::MerchantMissing, "2", ""));
    case.rules.default_vendor = Some(VendorCode::from("BANK"));
    assert_eq!(case.findings(), on_line(Code::MerchantMissing, "2", ""));
    case.document.lines.remove(0);
    assert_eq!(vendor_of(&case), "BANK");
}

#[test]
fn what_was_paid_is_not_paid_once_more() {
    let mut case = card(INVOICE);
    case.rules.card_lines_on_invoice = false;
    assert_eq!(case.findings(), on_line(Code::PaidByCard, "1", "no"));
    // A bill is owed to its vendor.
    case.document.kind = RecordKind::Bill;
    assert_eq!(vendor_of(&case), "ACME");
    // What an owner paid is not the merchant's.
    let mut case = card(INVOICE);
    case.document.lines[0].reimbursable = true;
    assert_eq!(case.findings(), on_line(Code::OwedToOwner, "1", "yes"));
    case.rules.vendor_from = VendorFrom::Fixed;
    case.rules.default_vendor = Some(VendorCode::from("BANK"));
    assert_eq!(vendor_of(&case), "BANK");
}

#[test]
fn a_fixed_vendor_takes_every_record_and_must_be_named() {
    let mut case = card(INVOICE);
    case.rules.vendor_from = VendorFrom::Fixed;
    assert_eq!(case.findings(), on_document(Code::VendorUnknown, ""));
    case.rules.default_vendor = Some(VendorCode::from("BANK"));
    assert_eq!(vendor_of(&case), "BANK");
}

#[test]
fn a_record_without_an_owner_is_held_only_where_the_owner_is_paid() {
    let mut case = card(INVOICE);
    assert!(case.check().is_ok());
    case.rules.vendor_from = VendorFrom::Owner;
    assert_eq!(case.findings(), on_document(Code::OwnerUnmapped, ""));
    case.kind = JOURNAL;
    assert!(case.check().is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_merchant_panics_and_totals_are_kept(merchant in ".{0,40}", id in proptest::option::of(".{0,8}"), cents in 1_i64..1_000_000) {
        let mut case = card(INVOICE);
        case.document.lines[0].merchant = merchant;
        case.document.lines[0].merchant_id = id;
        case.document.lines[0].amount = usd(-cents);
        case.rules.merchants = [("*".to_owned(), VendorCode::from("BANK"))].into();
        if let Ok(valid) = case.check() {
            let plan = PostingPlan::build(&valid, &context(INVOICE)).unwrap();
            prop_assert_eq!(plan.total, usd(-cents));
        }
    }
}
