//! From accounting records to spend documents.

use super::super::convert::document;
use super::super::settings::RecordRole;
use super::super::wire::Record;
use super::*;
use spend::document::{RecordKind, SpendDocument, Tag};
use spend::ids::SourceId;
use spend::money::{Currency, Money};

fn settings() -> Settings {
    Settings {
        tag_fields: vec!["DEPT".to_owned()],
        remote_prefix: "EPIC06|".to_owned(),
        remote_separator: "-".to_owned(),
        ..Settings::default()
    }
}

fn convert_with(record: &Value, settings: &Settings) -> Result<SpendDocument, String> {
    document(&serde_json::from_value::<Record>(record.clone()).unwrap(), settings)
}

fn convert(record: &Value) -> Result<SpendDocument, String> {
    convert_with(record, &settings())
}

fn line(id: &str, side: &str, amount: f64, gl: Option<&str>) -> Value {
    let choice = |code: &str| {
        json!({ "brex_field_id": "f", "remote_field_id": "GL_ACCOUNT", "brex_field_value_id": format!("efo_{code}"),
                "remote_field_value_id": format!("EPIC06|{code}"), "field_value_name": format!("{code} name") })
    };
    json!({ "id": id, "type": side, "amount": { "amount": amount, "currency": "USD" },
            "accounting_field_values": gl.map(choice).into_iter().collect::<Vec<_>>() })
}

fn with_lines(kind: &str, lines: &[Value]) -> Value {
    let mut record = record("accr_01");
    record["type"] = kind.into();
    record["line_items"] = lines.into();
    record["amount"] = Value::Null;
    record
}

fn amounts(document: &SpendDocument) -> Vec<(&str, i64)> {
    document.lines.iter().map(|line| (line.id.as_str(), line.amount.minor)).collect()
}

/// Sheet items: Brex 4, 7
#[test]
fn a_card_post_becomes_a_card_transaction_with_its_coding() {
    let document = convert(&record("accr_01")).unwrap();
    assert_eq!((document.kind, document.source_id.as_str()), (RecordKind::CardTransaction, "accr_01"));
    assert_eq!(document.title, "ACME TOOLS 0123: Bench grinder");
    assert_eq!(
        (document.owner.email.as_str(), document.owner.name.as_deref()),
        ("ana@example.test", Some("Ana Diaz"))
    );
    assert_eq!((document.approved, document.submitted), (Some(day("2026-07-11")), None));
    assert_eq!(document.status, "READY_FOR_EXPORT, version 3");
    assert_eq!(
        (document.same_as.as_ref().map(SourceId::as_str), &document.part_of),
        (Some("expense_01"), &None)
    );
    assert_eq!(document.declared_total, Some(Money::new(17_175, Currency::USD)));
    let [line] = document.lines.as_slice() else { panic!("one line: {document:?}") };
    assert_eq!((line.id.as_str(), line.amount.minor, line.reimbursable), ("accrli_01", 17_175, false));
    assert_eq!((line.merchant.as_str(), line.merchant_id.as_deref()), ("ACME TOOLS 0123", Some("pmch_01")));
    assert_eq!(line.category.as_deref(), Some("7500 Other G&A"));
    assert_eq!(line.category_code.as_deref(), Some("7500|00|00"));
    assert_eq!(line.tags, [Tag { level: 1, value: "Maintenance".into(), code: Some("D10".into()) }]);
    assert_eq!((line.comment.as_str(), line.date), ("Bench grinder", Some(day("2026-07-10"))));
    assert_eq!(line.receipt_url, None, "an address that lives minutes is worth nothing later");
}

/// Sheet item: Brex 7
#[test]
fn a_split_purchase_has_a_line_for_each_part() {
    let lines = [
        line("a", "DEBIT", 100.5, Some("6100")),
        line("b", "DEBIT", 71.25, Some("6200")),
        line("c", "CREDIT", 171.75, None),
    ];
    let document = convert(&with_lines("CARD_EXPENSE_POST", &lines)).unwrap();
    assert_eq!(amounts(&document), [("a", 10_050), ("b", 7_125)]);
}

#[test]
fn a_refund_is_negative_whatever_the_sign_of_its_total() {
    let lines = [line("a", "CREDIT", 20.0, Some("6100")), line("b", "DEBIT", 20.0, None)];
    for total in [20.0, -20.0] {
        let mut record = with_lines("CARD_EXPENSE_REFUND", &lines);
        record["amount"] = json!({ "amount": total, "currency": "USD" });
        let document = convert(&record).unwrap();
        assert_eq!(amounts(&document), [("a", -2_000)]);
        assert_eq!(document.declared_total, Some(Money::new(-2_000, Currency::USD)));
    }
}

/// Sheet item: Brex 7
#[test]
fn a_coded_line_of_the_other_side_counts_against_the_expense() {
    let lines = [
        line("a", "DEBIT", 100.0, Some("6100")),
        line("b", "CREDIT", 10.0, Some("6900")),
        line("c", "CREDIT", 90.0, None),
    ];
    let document = convert(&with_lines("CARD_EXPENSE_POST", &lines)).unwrap();
    assert_eq!(amounts(&document), [("a", 10_000), ("b", -1_000)]);
}

/// Sheet item: Brex 7
#[test]
fn a_debit_without_an_account_is_a_line_without_a_category() {
    let lines = [line("a", "DEBIT", 5.0, None), line("b", "CREDIT", 5.0, None)];
    let document = convert(&with_lines("CARD_EXPENSE_POST", &lines)).unwrap();
    assert_eq!(
        (document.lines[0].category.as_deref(), document.lines[0].category_code.as_deref()),
        (None, None)
    );
    assert_eq!(amounts(&document), [("a", 500)]);
}

/// Sheet item: Brex 7
#[test]
fn what_does_not_balance_or_could_be_read_two_ways_is_unreadable() {
    let coded = |side| line("a", side, 5.0, Some("6100"));
    let bare = |side| line("b", side, 5.0, None);
    let mut negative = bare("CREDIT");
    negative["amount"]["amount"] = json!(-5);
    let mut foreign = bare("CREDIT");
    foreign["amount"]["currency"] = "EUR".into();
    for (kind, lines, words) in [
        ("CARD_EXPENSE_POST", vec![coded("DEBIT"), line("b", "CREDIT", 4.99, None)], "balance"),
        ("CARD_EXPENSE_POST", vec![coded("DEBIT"), line("b", "CREDIT", 5.0, Some("6200"))], "which side"),
        ("CARD_EXPENSE_POST", vec![coded("CREDIT"), bare("DEBIT")], "which side"),
        ("CARD_EXPENSE_REFUND", vec![coded("DEBIT"), bare("CREDIT")], "which side"),
        ("CARD_EXPENSE_POST", vec![coded("DEBIT"), negative], "negative"),
        ("CARD_EXPENSE_POST", vec![coded("DEBIT"), foreign], "EUR"),
        ("CARD_EXPENSE_POST", vec![coded("DEBIT"), line("a", "CREDIT", 5.0, None)], "twice"),
        ("CARD_EXPENSE_POST", vec![coded("SIDEWAYS"), bare("CREDIT")], "SIDEWAYS"),
        ("CARD_EXPENSE_POST", vec![], "no lines"),
        (
            "CARD_EXPENSE_POST",
            vec![line("a", "DEBIT", 0.005, None), line("b", "CREDIT", 0.005, None)],
            "decimals",
        ),
    ] {
        let why = convert(&with_lines(kind, &lines)).unwrap_err();
        assert!(why.contains(words), "{kind} {lines:?}: {why}");
    }
}

/// Sheet item: Brex 6
#[test]
fn null_and_absent_parts_and_unknown_words_are_survived() {
    let mut record = record("accr_01");
    for key in ["user", "vendor", "receipts", "memo", "original_amount", "amount", "version"] {
        record[key] = Value::Null;
        record["line_items"][0]["original_amount"] = Value::Null;
        convert(&record).unwrap_or_else(|why| panic!("{key} null: {why}"));
        record.as_object_mut().unwrap().remove(key);
        convert(&record).unwrap_or_else(|why| panic!("{key} absent: {why}"));
    }
    record["review_status"] = "BRAND_NEW".into();
    record["unheard_of"] = json!({ "deep": [1, 2] });
    record["line_items"][0]["accounting_field_values"][0]["type"] = "BRAND_NEW".into();
    let document = convert(&record).unwrap();
    assert_eq!((document.owner.email.as_str(), document.owner.name), ("", None));
    assert_eq!(document.lines[0].merchant, "");
    assert_eq!(document.title, "CARD_EXPENSE_POST");
}

#[test]
fn a_type_that_is_not_selected_is_told_with_the_setting_that_selects_it() {
    let mut record = record("accr_01");
    record["type"] = "CARD_PAYMENT".into();
    let why = convert(&record).unwrap_err();
    assert!(why.contains("CARD_PAYMENT = \"charge\"") && why.contains("ignored_types"), "{why}");
    let mut settings = settings();
    settings.types.insert("CARD_PAYMENT".into(), RecordRole::Charge);
    assert!(convert_with(&record, &settings).is_ok());
}

#[test]
fn a_reimbursement_is_owed_to_its_owner() {
    let lines = [line("a", "DEBIT", 5.0, Some("6100")), line("b", "CREDIT", 5.0, None)];
    let document = convert(&with_lines("REIMBURSEMENT_EXPENSE_APPROVAL", &lines)).unwrap();
    assert_eq!(document.kind, RecordKind::Reimbursement);
    assert!(document.lines[0].reimbursable);
}

#[test]
fn foreign_spend_keeps_its_own_amount_beside_the_billed_one() {
    let mut record = record("accr_01");
    for index in [0, 1] {
        record["line_items"][index]["original_amount"] = json!({ "amount": 25_000, "currency": "JPY" });
    }
    let line = convert(&record).unwrap().lines[0].clone();
    assert_eq!(
        (line.amount.minor, line.original),
        (17_175, Some(Money::new(25_000, Currency::new("JPY").unwrap())))
    );
}

#[test]
fn currencies_without_and_with_three_decimals_are_read_to_their_own_unit() {
    for (code, amount, minor) in [("JPY", json!(1200), 1_200), ("KWD", json!(1.234), 1_234)] {
        let mut record = record("accr_01");
        record["amount"] = Value::Null;
        for index in [0, 1] {
            record["line_items"][index]["amount"] = json!({ "amount": amount, "currency": code });
            record["line_items"][index]["original_amount"] = Value::Null;
        }
        let document = convert(&record).unwrap();
        assert_eq!((document.currency.code(), document.lines[0].amount.minor), (code, minor));
    }
}

#[test]
fn the_posting_date_is_the_day_in_the_configured_zone() {
    let mut record = record("accr_01");
    for (zone, moment, expected) in [
        ("UTC", "2026-07-11T03:09:05.840865Z", "2026-07-11"),
        ("America/New_York", "2026-07-11T03:09:05.840865Z", "2026-07-10"),
        ("Asia/Tokyo", "2026-07-11T20:09:05Z", "2026-07-12"),
        ("UTC", "2026-07-11T03:09:05.840", "2026-07-11"),
        ("America/New_York", "2026-07-11", "2026-07-11"),
        ("UTC", "2026-07-11T03:09:05+02:00", "2026-07-11"),
    ] {
        record["erp_posting_date"] = moment.into();
        let settings = Settings { zone: zone.to_owned(), ..settings() };
        assert_eq!(
            convert_with(&record, &settings).unwrap().approved,
            Some(day(expected)),
            "{zone} {moment}"
        );
    }
    record["erp_posting_date"] = "soon".into();
    assert!(convert(&record).unwrap_err().contains("soon"));
    record["erp_posting_date"] = Value::Null;
    assert!(convert(&record).is_err());
}

#[test]
fn a_new_version_without_new_content_is_the_same_revision() {
    let before = convert(&record("accr_01")).unwrap();
    let mut changed = record("accr_01");
    changed["version"] = 9.into();
    changed["updated_at"] = "2026-07-31T00:00:00Z".into();
    changed["review_status"] = "EXPORTED".into();
    changed["receipts"] = json!([]);
    let after = convert(&changed).unwrap();
    assert_eq!(before.revision, after.revision);
    assert_ne!(before.status, after.status);
    changed["line_items"][0]["amount"]["amount"] = json!(171.76);
    changed["line_items"][1]["amount"]["amount"] = json!(171.76);
    assert_ne!(convert(&changed).unwrap().revision, before.revision);
}
