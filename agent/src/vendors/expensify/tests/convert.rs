//! From exported lines to spend documents.

use super::super::convert::{decode_entities, document, state_of};
use super::super::template::{RawReport, read_export};
use super::super::wire::{ExpenseLine, ReportLine, Scalar};
use super::*;
use spend::document::{SpendDocument, SpendLine, Tag};
use spend::money::{Currency, Money};

fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD)
}

fn expense(change: impl FnOnce(&mut ExpenseLine)) -> ExpenseLine {
    let mut expense = ExpenseLine {
        transaction_id: "1".into(),
        amount: "100".into(),
        reimbursable: "true".into(),
        ..ExpenseLine::default()
    };
    change(&mut expense);
    expense
}

fn report(currency: &str, expenses: Vec<ExpenseLine>) -> RawReport {
    let header = ReportLine {
        report_id: "R1".into(),
        currency: currency.into(),
        approved: "2026-07-03".into(),
        ..ReportLine::default()
    };
    RawReport { header, expenses, damage: None }
}

fn converted(currency: &str, expense: ExpenseLine) -> Result<SpendLine, String> {
    let mut document = document(&report(currency, vec![expense]), &Settings::default())?;
    Ok(document.lines.remove(0))
}

fn line(change: impl FnOnce(&mut ExpenseLine)) -> SpendLine {
    converted("USD", expense(change)).unwrap()
}

fn sample() -> Vec<SpendDocument> {
    let file = read_export(TWO_REPORTS.as_bytes()).unwrap();
    file.reports.iter().map(|report| document(report, &Settings::default()).unwrap()).collect()
}

/// Sheet item: Expensify 11, Expensify 12, Expensify 13, Expensify 26
#[test]
fn effective_values_win_and_names_are_decoded_once() {
    let trip = &sample()[0];
    assert_eq!(trip.title, "Trip to Gdańsk & back");
    assert_eq!(trip.owner.email, "ann@example.test");
    assert_eq!(trip.owner.employee_number.as_deref(), Some("E100"));
    assert_eq!(trip.approved, Some(day("2026-07-03")));
    assert_eq!(trip.paid, None);
    assert_eq!(trip.declared_total, Some(usd(4250)));
    assert_eq!(trip.workspace, "0123456789ABCDEF");
    assert_eq!(trip.revision, trip.content_revision());
    let taxi = &trip.lines[0];
    assert_eq!(taxi.id.as_str(), "4056343049275634494");
    assert_eq!(taxi.merchant, "Tom & Jerry's \"Taxi\"\n\t🚕");
    assert_eq!(taxi.date, Some(day("2026-06-30")));
    assert_eq!((taxi.amount, taxi.tax, taxi.original), (usd(3000), Some(usd(200)), None));
    assert_eq!(taxi.category.as_deref(), Some("5000. Travel"));
    assert_eq!(taxi.category_code.as_deref(), Some("5000"));
    assert_eq!(taxi.tags, [Tag { level: 1, value: "Project: Alpha".into(), code: Some("100".into()) }]);
    assert!(taxi.reimbursable && !taxi.billable);
    let hotel = &trip.lines[1];
    assert_eq!(hotel.amount, usd(1250));
    assert_eq!(hotel.original, Some(Money::new(1100, Currency::new("EUR").unwrap())));
    assert_eq!((hotel.category.as_deref(), hotel.category_code.as_deref()), (None, None));
    assert_eq!(
        hotel.tags,
        [
            Tag { level: 1, value: "Berlin".into(), code: Some("B1".into()) },
            Tag { level: 2, value: "Sales : EU".into(), code: Some("S2".into()) },
        ]
    );
    assert!(!hotel.reimbursable && hotel.billable);
    assert_eq!(hotel.receipt_url, None);
}

/// Sheet item: Expensify 8
#[test]
fn report_without_expenses_is_a_document_without_lines() {
    let empty = &sample()[1];
    assert!(empty.lines.is_empty());
    assert_eq!(empty.status, "Reimbursed");
    assert_eq!(empty.paid, Some(day("2026-07-05")));
}

/// Sheet item: Expensify 13
#[test]
fn negative_and_zero_amounts_are_amounts() {
    assert_eq!(line(|e| e.amount = "-500".into()).amount, usd(-500));
    assert_eq!(line(|e| e.amount = "0".into()).amount, usd(0));
    let zeroed = line(|e| e.modified_amount = "0".into());
    assert_eq!(zeroed.amount, usd(0), "zero is a value that a person may have set");
    assert_eq!(line(|e| e.amount = "100.0".into()).amount, usd(100));
}

#[test]
fn amounts_that_are_not_whole_cents_are_refused() {
    for wrong in ["1,000", "12.50", "1e3", "NaN", "-", "--1", "9223372036854775808", " "] {
        let result = converted("USD", expense(|e| e.amount = wrong.into()));
        assert!(result.is_err(), "{wrong}");
    }
}

#[test]
fn foreign_expense_without_a_converted_amount_is_refused() {
    let why = converted("USD", expense(|e| e.currency = "EUR".into())).unwrap_err();
    assert!(why.contains("EUR") && why.contains("USD"), "{why}");
}

/// Sheet item: Expensify 13
#[test]
fn a_corrected_foreign_amount_counts_when_the_total_of_the_report_proves_it() {
    let foreign = || {
        expense(|e| {
            e.currency = "JPY".into();
            e.amount = "1234567".into();
            e.modified_amount = "8150".into();
        })
    };
    let mut proven = report("USD", vec![foreign()]);
    proven.header.total = "8150".into();
    let line = document(&proven, &Settings::default()).unwrap().lines.remove(0);
    assert_eq!(
        (line.amount, line.original),
        (usd(8150), None),
        "an original that is no whole yen is left out"
    );
    let why = document(&report("USD", vec![foreign()]), &Settings::default()).unwrap_err();
    assert!(why.contains("does not prove"), "{why}");
}

#[test]
fn cents_become_the_minor_units_of_the_currency() {
    let yen = converted("JPY", expense(|e| e.amount = "123400".into())).unwrap();
    assert_eq!(yen.amount.minor, 1234);
    let why = converted("JPY", expense(|e| e.amount = "1234".into())).unwrap_err();
    assert!(why.contains("currency_decimals"), "{why}");
    let dinar = converted("KWD", expense(|e| e.amount = "1234".into())).unwrap();
    assert_eq!(dinar.amount.minor, 12340);
    let whole_yen =
        Settings { currency_decimals: BTreeMap::from([("JPY".to_owned(), 0)]), ..Settings::default() };
    let report = report("JPY", vec![expense(|e| e.amount = "1234".into())]);
    assert_eq!(document(&report, &whole_yen).unwrap().lines[0].amount.minor, 1234);
}

#[test]
fn what_decides_about_money_must_be_there() {
    let refused = |change: fn(&mut ExpenseLine)| converted("USD", expense(change)).unwrap_err();
    assert!(refused(|e| e.reimbursable = Scalar::default()).contains("reimbursable"));
    assert!(refused(|e| e.reimbursable = "maybe".into()).contains("maybe"));
    assert!(refused(|e| e.amount = Scalar::default()).contains("no amount"));
    assert!(refused(|e| e.created = "yesterday".into()).contains("not a day"));
    assert!(document(&report("", vec![]), &Settings::default()).unwrap_err().contains("currency"));
    let twice = report("USD", vec![expense(|_| {}), expense(|_| {})]);
    assert!(document(&twice, &Settings::default()).unwrap_err().contains("twice"));
}

#[test]
fn tax_counts_only_where_the_expense_has_tax() {
    assert_eq!(line(|e| e.tax_amount = "7".into()).tax, None);
    let taxed = line(|e| (e.has_tax, e.tax_amount) = ("true".into(), "7".into()));
    assert_eq!(taxed.tax, Some(usd(7)));
    let changed = line(|e| {
        (e.has_tax, e.tax_amount, e.modified_tax_amount) = ("true".into(), "7".into(), "9".into());
    });
    assert_eq!(changed.tax, Some(usd(9)));
}

/// Sheet item: Expensify 9, Expensify 11
#[test]
fn tag_levels_are_split_at_bare_colons_only() {
    let tags = |tag: &str, code: &str| {
        let line = line(|e| (e.tag, e.tag_gl_code) = (tag.into(), code.into()));
        line.tags.into_iter().map(|t| (t.level, t.value, t.code)).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(tags("A:B", "1:2"), [(1, "A".into(), some("1")), (2, "B".into(), some("2"))]);
    assert_eq!(tags("A:B", "2"), [(1, "A".into(), None), (2, "B".into(), some("2"))]);
    assert_eq!(tags("A\\: x:B", ""), [(1, "A: x".into(), None), (2, "B".into(), None)]);
    assert_eq!(tags(":B", ""), [(2, "B".into(), None)], "an empty level keeps its number");
    assert_eq!(tags("R&amp;D", "7"), [(1, "R&D".into(), some("7"))]);
    assert_eq!(tags("", ""), []);
}

#[test]
fn entities_are_decoded_once_and_everything_else_stays() {
    for (text, decoded) in [
        ("&amp;lt;", "&lt;"),
        ("a &lt; b &gt; c &quot;d&quot; &apos;e&apos; &#39;f&#x27;", "a < b > c \"d\" 'e' 'f'"),
        ("AT&T; Q&A", "AT&T; Q&A"),
        ("&", "&"),
        ("&#0;&#x110000;&#xZZ;", "&#0;&#x110000;&#xZZ;"),
        ("ö&ö;", "ö&ö;"),
    ] {
        assert_eq!(decode_entities(text), decoded);
    }
    let raw = Settings { decode_entities: false, ..Settings::default() };
    let report = report("USD", vec![expense(|e| e.merchant = "A&amp;B".into())]);
    assert_eq!(document(&report, &raw).unwrap().lines[0].merchant, "A&amp;B");
}

/// Sheet item: Expensify 23
#[test]
fn states_are_recognised_in_all_their_words() {
    let state = |state: &str, status: &str| {
        state_of(&ReportLine { state: state.into(), status: status.into(), ..ReportLine::default() })
    };
    assert_eq!(state("", "Paid"), Some("REIMBURSED"));
    assert_eq!(state("AUTOREIMBURSED", "Approved"), Some("REIMBURSED"));
    assert_eq!(state("BILLING", "Approved"), Some("APPROVED"));
    assert_eq!(state("", "Outstanding"), Some("SUBMITTED"));
    assert_eq!(state("QUANTUM", "Novel"), None);
}
