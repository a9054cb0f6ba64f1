//! Records, refusals and hostile answers, without any server.

use super::super::naming::{found_reference, side};
use super::super::outcome::{Asked, Kind, Refusal, is_signed_out, judge};
use super::super::wire::{Fields, Members as _, Record};
use super::*;
use crate::vendors::http::Effect;
use proptest::prelude::*;
use spend::finding::FindingCode;
use spend::posting::FailureClass;

fn judged(effect: Effect, answer: &Answer) -> Refusal {
    let asked = Asked { operation: "acumatica.test", effect, maintenance_minutes: 5 };
    judge(asked, answer).unwrap_err()
}

fn findings(refusal: &Refusal) -> Vec<(FindingCode, String, String)> {
    match &refusal.failure.class {
        FailureClass::Rejected { findings } => {
            findings.iter().map(|f| (f.code, f.field.clone(), f.value.clone())).collect()
        }
        other => panic!("{other:?}: {}", refusal.failure),
    }
}

/// Sheet items: Acumatica 8, Acumatica 22
#[test]
fn records_are_read_whatever_is_empty_padded_or_missing() {
    let record = Record::read(
        br#"{"id":"7b89c293-62bd-ef11-a82c-000d3ae74153","rowNumber":1,"note":{"value":""},"VendorRef":{"value":"R1  "},
            "CashAccount":{},"Terms":{"value":null},"Hold":{"value":false},"Amount":{"value":99.6},
            "Text":{"value":"1222.80"},"Date":{"value":"2026-01-31T00:00:00-04:00"},
            "LastModifiedDateTime":{"value":"2026-01-31T17:07:45.433+00:00"},"MainContact":{"Email":{"value":"a@b"}},
            "Details":[{"id":"8189","Account":{"value":"61000"}}],"custom":{},"_links":{"self":"/x"}}"#,
    )
    .unwrap();
    assert_eq!(record.id(), "7b89c293-62bd-ef11-a82c-000d3ae74153");
    assert_eq!(record.text("VendorRef"), "R1");
    assert_eq!(
        (record.filled("CashAccount"), record.filled("Terms"), record.filled("None")),
        (None, None, None)
    );
    assert_eq!((record.flag("Hold"), record.flag("CashAccount")), (Some(false), None));
    assert_eq!(record.amount("Amount", Currency::USD), Some(usd("99.60")));
    assert_eq!(record.amount("Text", Currency::USD), Some(usd("1222.80")));
    assert_eq!(record.amount("CashAccount", Currency::USD), None);
    assert_eq!(record.date("Date"), Some("2026-01-31".parse().unwrap()), "the day counts, not the offset");
    assert_eq!(record.moment("LastModifiedDateTime"), Some("2026-01-31T17:07:45.433Z".parse().unwrap()));
    assert_eq!(record.linked("MainContact").text("Email"), "a@b");
    assert_eq!(record.linked("RemittanceContact").text("Email"), "");
    assert_eq!(record.rows("Details").unwrap()[0].text("Account"), "61000");
    assert!(record.rows("TaxDetails").unwrap().is_empty());
    let mut fields = Fields::of("7b");
    fields.text("A", "q\"'ü").flag("B", true).number("C", "-12.50").day("D", "2026-01-31".parse().unwrap());
    assert_eq!(
        fields.body(),
        r#"{"A":{"value":"q\"'ü"},"B":{"value":true},"C":{"value":-12.50},"D":{"value":"2026-01-31T00:00:00"},"id":"7b"}"#
    );
}

/// Sheet item: Acumatica 13
#[test]
fn a_refused_record_is_walked_and_every_error_told_with_path_and_value() {
    let body = r#"{"id":"x","rowNumber":1,"error":"Inserting 'AP Transactions' record raised at least one error.",
        "ReferenceNbr":{"value":"<NEW>"},"Vendor":{"value":"TES2323T  ","error":"Vendor 'TES2323T  ' cannot be found in the system."},
        "MainContact":{"Email":{"value":"?","error":"Not an address."}},
        "PostPeriod":{"value":"012026","error":"The 01-2026 financial period is closed in AP."},
        "Details":[{"id":"a","Account":{"value":"61000"}},{"id":"b","Project":{"value":"PX99","error":"Project 'PX99' cannot be found in the system."},
        "Subaccount":{"value":"000","error":"Subaccount '000' is inactive."}}]}"#;
    let refusal = judged(Effect::Write, &answer(422, body));
    assert_eq!(refusal.kind, Kind::Refused);
    let mut told = findings(&refusal);
    told.sort_by(|a, b| a.1.cmp(&b.1));
    let own = |text: &str| text.to_owned();
    assert_eq!(
        told,
        [
            (FindingCode::ProjectUnknown, own("Details[2].Project"), own("PX99")),
            (FindingCode::SegmentInactive, own("Details[2].Subaccount"), own("000")),
            (FindingCode::ErpRefused, own("MainContact.Email"), own("?")),
            (FindingCode::PeriodClosed, own("PostPeriod"), own("012026")),
            (FindingCode::VendorUnknown, own("Vendor"), own("TES2323T")),
        ]
    );
    assert!(refusal.failure.message.contains("Details[2].Project: Project 'PX99'"), "{}", refusal.failure);
    let alone = judged(Effect::Write, &answer(422, r#"{"error":"The document is out of balance."}"#));
    assert_eq!(findings(&alone), [(FindingCode::ErpRefused, own("document"), own(""))]);
    let nothing = judged(Effect::Write, &answer(422, "{}"));
    assert_eq!(findings(&nothing).len(), 1);
}

/// Sheet items: Acumatica 11, Acumatica 16, Acumatica 20
#[test]
fn http_500_is_told_apart_by_what_it_says() {
    let kind = |kind: &str, words: &str| {
        let answer = exception(500, kind, words);
        let (read, write) = (judged(Effect::Read, &answer), judged(Effect::Write, &answer));
        assert_eq!(read.kind, if write.kind == Kind::Refused { read.kind } else { write.kind }, "{words}");
        (write.kind, write.failure.class)
    };
    let missing = kind(
        "PX.Api.ContractBased.NoEntitySatisfiesTheConditionException",
        "No entity satisfies the condition.",
    );
    assert_eq!(missing.0, Kind::Missing);
    let optimised = judged(
        Effect::Read,
        &exception(500, "PX.Api.X", "Optimization cannot be performed. View Details has BQL delegate."),
    );
    assert_eq!(optimised.kind, Kind::NotExportable);
    for (of, asked_for_too_much) in [
        ("Microsoft.Data.OData.ODataException", true),
        ("PX.Api.FilterException", true),
        ("PX.Data.PXDatabaseException", false),
        ("PX.Data.PXException", false),
    ] {
        let read = judged(Effect::Read, &exception(500, of, "The function is not known."));
        assert_eq!(read.kind == Kind::BadQuery, asked_for_too_much, "{of}");
        assert_eq!(read.failure.class, FailureClass::Unavailable, "a look-up goes on later: {of}");
    }
    let set_up =
        kind("PX.Data.PXSetupNotEnteredException", "The required configuration data is not entered.");
    assert_eq!(set_up.0, Kind::NotSetUp);
    let stale = judged(
        Effect::Write,
        &exception(
            500,
            "PX.Data.PXLockViolationException",
            "Another process has updated the 'APInvoice' record.",
        ),
    );
    assert_eq!((stale.kind, stale.failure.class), (Kind::Stale, FailureClass::NotSent));
    let twice = judged(
        Effect::Write,
        &exception(500, "PX.Data.PXException", "A bill with this Vendor Ref. already exists."),
    );
    assert_eq!(twice.kind, Kind::Duplicate);
    let closed = judged(
        Effect::Write,
        &exception(500, "PX.Data.PXSetPropertyException", "The 01-2026 financial period is closed."),
    );
    assert_eq!(findings(&closed)[0].0, FindingCode::PeriodClosed);
    let unknown = judged(Effect::Write, &exception(500, "System.NullReferenceException", "Object reference"));
    assert_eq!(unknown.failure.class, FailureClass::InDoubt);
    let unknown = judged(Effect::Read, &exception(500, "System.NullReferenceException", "Object reference"));
    assert_eq!(unknown.failure.class, FailureClass::Unavailable);
}

/// Sheet items: Acumatica 17, Acumatica 20, Acumatica 23
#[test]
fn statuses_mean_what_the_sheet_says_also_as_text_or_html() {
    let write = |status: u16, body: &str| judged(Effect::Write, &answer(status, body));
    let read = |status: u16, body: &str| judged(Effect::Read, &answer(status, body)).failure.class;
    let html = "<!DOCTYPE html><html><head><title>Maintenance\n mode</title></head></html>";
    assert!(matches!(write(429, "The request was declined").failure.class, FailureClass::Throttled { .. }));
    assert!(matches!(write(429, html).failure.class, FailureClass::Throttled { .. }));
    let seats = write(400, r#"{"error":"invalid_grant","error_description":"API Login Limit"}"#);
    assert!(matches!(seats.failure.class, FailureClass::Throttled { .. }), "{seats:?}");
    for status in [200, 302, 502, 503] {
        assert_eq!(write(status, html).failure.class, FailureClass::InDoubt, "{status}");
        assert_eq!(read(status, html), FailureClass::Unavailable, "{status}");
    }
    assert!(write(503, html).failure.message.contains("Maintenance mode (HTML)"));
    let mut waits = answer(503, html);
    waits.headers.insert("retry-after".to_owned(), "120".to_owned());
    assert!(matches!(judged(Effect::Write, &waits).failure.class, FailureClass::Throttled { .. }));
    assert_eq!(write(403, "{}").kind, Kind::Forbidden);
    assert_eq!(write(404, html).failure.class, FailureClass::NotSent, "a web server before it");
    assert_eq!(judged(Effect::Write, &exception(404, "PX.Api.X", "No action")).kind, Kind::NotOffered);
    assert_eq!(write(400, "{}").kind, Kind::Refused);
    assert_eq!(judged(Effect::Read, &answer(400, "{}")).kind, Kind::BadQuery);
    let mut login = answer(302, "");
    login.headers.insert("location".to_owned(), "/AcumaticaERP/Frames/Login.aspx?ReturnUrl=x".to_owned());
    assert!(is_signed_out(&login) && is_signed_out(&answer(401, "")) && !is_signed_out(&answer(302, "")));
    assert_eq!(judged(Effect::Write, &login).failure.class, FailureClass::Unauthorised);
}

/// Sheet item: Acumatica 11
#[test]
fn an_inner_exception_of_another_shape_does_not_hide_the_outer_one() {
    for inner in
        ["\"Something broke.\"", "[]", "7", "null", "{\"message\":{\"a\":1}}", "{\"innerException\":[1]}"]
    {
        let body = format!(
            r#"{{"message":"An error has occurred.","exceptionMessage":"No entity satisfies the condition.",
                "exceptionType":"PX.Api.ContractBased.NoEntitySatisfiesTheConditionException","innerException":{inner}}}"#
        );
        assert_eq!(judged(Effect::Read, &answer(500, body)).kind, Kind::Missing, "{inner}");
    }
    let told = judged(Effect::Read, &answer(500, r#"{"message":"","innerException":"The lock timed out."}"#));
    assert!(told.failure.message.contains("The lock timed out"), "{}", told.failure);
}

#[test]
fn marks_and_references_are_read_back() {
    assert_eq!(
        [side("#1 Travel"), side("=2 x"), side("#x"), side(""), side("1 #")],
        [Some(true), Some(false), None, None, None]
    );
    assert_eq!(found_reference("EXP-600-abcd1234-0123456789", "Travel"), "EXP-600-abcd1234-0123456789");
    assert_eq!(
        found_reference("EXP-600-abcd1234-0123456789", "EXP-600000-abcd1234-0123456789 Travel"),
        "EXP-600000-abcd1234-0123456789"
    );
    assert_eq!(
        found_reference("EXP-600-abcd1234-0123456789", "EXP-600000-abcd1234-9999999999 Travel"),
        "EXP-600-abcd1234-0123456789"
    );
}

proptest! {
    /// Hostile answers are judged, never a panic.
    #[test]
    fn whatever_is_answered_is_judged(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let answer = answer(status, body);
        for effect in [Effect::Read, Effect::Write] {
            let asked = Asked { operation: "acumatica.test", effect, maintenance_minutes: 5 };
            let _ = judge(asked, &answer);
        }
        let _ = Record::read(&answer.body);
        let _ = Record::read_list(&answer.body);
        let _ = super::super::endpoint::Published::read(&answer.body);
        let _ = super::super::webhook::read(&answer.body);
    }

    /// Literals stay literals whatever is in them.
    #[test]
    fn quotes_cannot_leave_a_literal(text in ".{0,40}") {
        let literal = super::super::calls::literal(&text);
        let inner = &literal[1..literal.len() - 1];
        prop_assert_eq!(inner.replace("''", "'"), text.clone());
        prop_assert!(inner.replace("''", "").find('\'').is_none());
    }
}
