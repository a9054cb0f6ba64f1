//! What an event says.

use super::super::webhook::parse;
use super::*;
use crate::vendors::webhook::Hint;

fn hint(body: &Value) -> Hint {
    parse(body.to_string().as_bytes()).unwrap()
}

fn ids(hint: &Hint) -> Vec<&str> {
    hint.records.iter().map(spend::ids::SourceId::as_str).collect()
}

/// Sheet item: Brex 10
#[test]
fn both_spellings_of_the_keys_are_read() {
    for body in [
        json!({"event_type": "ACCOUNTING_RECORD_READY_FOR_EXPORT", "accountingRecordIds": ["accr_1", "accr_2", "accr_1"],
               "companyId": "cuacc_01"}),
        json!({"eventType": "ACCOUNTING_RECORD_READY_FOR_EXPORT", "accounting_record_ids": ["accr_1", "accr_2"],
               "company_id": "cuacc_01"}),
    ] {
        let hint = hint(&body);
        assert_eq!(
            (ids(&hint), hint.company.as_deref(), hint.wake),
            (vec!["accr_1", "accr_2"], Some("cuacc_01"), true)
        );
    }
}

/// Sheet item: Brex 10
#[test]
fn an_empty_list_wakes_and_six_hundred_ids_make_batches() {
    let empty = hint(&json!({"event_type": "ACCOUNTING_RECORD_READY_FOR_EXPORT", "accountingRecordIds": []}));
    assert!(empty.wake && empty.records.is_empty() && empty.company.is_none());
    let many: Vec<String> = (0..600).map(|n| format!("accr_{n}")).collect();
    let many =
        hint(&json!({"event_type": "ACCOUNTING_RECORD_READY_FOR_EXPORT", "accountingRecordIds": many}));
    let sizes: Vec<usize> = many.batches(100).map(<[_]>::len).collect();
    assert_eq!(sizes, [100; 6]);
    assert_eq!(many.batches(0).count(), 600);
}

/// Sheet item: Brex 10
#[test]
fn unknown_events_wake_nobody_and_other_known_ones_say_what_they_are_about() {
    let unknown = hint(&json!({"event_type": "SOMETHING_NEW", "company_id": "cuacc_02", "more": [1]}));
    assert_eq!((unknown.wake, unknown.company.as_deref()), (false, Some("cuacc_02")));
    let paid =
        hint(&json!({"event_type": "EXPENSE_PAYMENT_UPDATED", "expense_id": "expense_1", "company_id": "c",
                            "amount": {"amount": 1, "currency": "USD"}}));
    assert_eq!((ids(&paid), paid.wake), (vec!["expense_1"], true));
    assert!(!hint(&json!({"event_type": "USER_UPDATED", "user_id": "u"})).wake);
}

/// Sheet item: Brex 10
#[test]
fn a_body_that_is_no_event_or_contradicts_itself_is_refused_in_words() {
    let ready = "ACCOUNTING_RECORD_READY_FOR_EXPORT";
    for body in [
        json!([]),
        json!({}),
        json!({"event_type": 7}),
        json!({"event_type": ready, "accountingRecordIds": "accr_1"}),
        json!({"event_type": ready, "accountingRecordIds": [7]}),
        json!({"event_type": ready, "accountingRecordIds": ["no id, \"at all\""]}),
        json!({"event_type": ready, "companyId": "a", "company_id": "b"}),
    ] {
        assert!(!parse(body.to_string().as_bytes()).unwrap_err().is_empty(), "{body}");
    }
    assert!(parse(b"<html>").is_err());
    assert!(parse(&vec![b' '; (1 << 20) + 1]).unwrap_err().contains("larger"));
}
