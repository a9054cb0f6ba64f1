//! Reading what Kinetic answers: refusals in every dress, envelopes, service descriptions, tokens, and any bytes.

use super::super::auth::read_token;
use super::super::outcome::{Asked, ErrorBody, Kind, findings, judge, saved};
use super::super::profile::{
    AP_DATE_CHANGE, AP_HEADER_NEW, AP_LINE_NEW, AP_VENDOR_CHANGE, GL_LINE_NEW, MethodSettings, arguments,
    read_metadata, resolve,
};
use super::super::wire::{Dataset, Envelope, Page, date, is_added, mark, raw, set, text};
use super::{answer, credential, now};
use crate::vendors::http::{Answer, Effect};
use chrono::TimeDelta;
use proptest::prelude::*;
use spend::finding::FindingCode;
use spend::posting::FailureClass;

const BUSINESS: &str = include_str!("../fixtures/error_business.json");
const UNAUTHORIZED: &str = include_str!("../fixtures/error_unauthorized.xml");
const ODATA4: &str = include_str!("../fixtures/metadata_odata4.xml");
const ODATA3: &str = include_str!("../fixtures/metadata_odata3.xml");

fn asked(effect: Effect) -> Asked {
    Asked { operation: "epicor.test", effect, maintenance_minutes: 5 }
}

fn judged(effect: Effect, answer: &Answer) -> (Kind, &'static str) {
    let refusal = judge(asked(effect), answer).unwrap_err();
    let class = match refusal.failure.class {
        FailureClass::NotSent => "not-sent",
        FailureClass::Rejected { .. } => "rejected",
        FailureClass::Unauthorised => "unauthorised",
        FailureClass::Throttled { .. } => "throttled",
        FailureClass::InDoubt => "in-doubt",
        FailureClass::Unavailable => "unavailable",
    };
    (refusal.kind, class)
}

fn typed(kind: &str, message: &str) -> String {
    serde_json::json!({"ErrorType": kind, "ErrorMessage": message}).to_string()
}

/// Sheet item: Epicor 2, 6, 10, 11, 15, 16, 19 and 21: every refusal has one class.
#[test]
fn every_refusal_has_one_class() {
    let w = Effect::Write;
    let table: Vec<(u16, String, Kind, &str)> = vec![
        (400, BUSINESS.to_owned(), Kind::Business, "rejected"),
        (
            400,
            typed("Microsoft.OData.ODataException", "Could not find a property"),
            Kind::BadQuery,
            "rejected",
        ),
        (400, typed("BLException", "A DUPLICATE entry was found"), Kind::Duplicate, "rejected"),
        (409, typed("Ice.Common.DuplicateRecordException", "exists"), Kind::Duplicate, "rejected"),
        (409, typed("", "Row has been modified by another user"), Kind::Stale, "not-sent"),
        (400, typed("BLException", "Group is locked by user mary"), Kind::Other, "not-sent"),
        (401, UNAUTHORIZED.to_owned(), Kind::Unauthorised, "unauthorised"),
        (401, String::new(), Kind::Unauthorised, "unauthorised"),
        (403, typed("UnauthorizedAccessException", "scope"), Kind::Forbidden, "rejected"),
        (403, "<html><title>Forbidden</title></html>".to_owned(), Kind::Forbidden, "unauthorised"),
        (404, typed("Ice.Common.RecordNotFoundException", "no record"), Kind::RecordMissing, "rejected"),
        (
            404,
            "<html><head><title>404 - File or directory not found.</title></head></html>".to_owned(),
            Kind::NotOffered,
            "not-sent",
        ),
        (404, typed("Ice.Common.ApiException", "no such method"), Kind::NotOffered, "rejected"),
        (410, typed("InvalidSessionException", "gone"), Kind::Other, "not-sent"),
        (429, String::new(), Kind::Other, "throttled"),
        (302, String::new(), Kind::Other, "in-doubt"),
        (408, String::new(), Kind::Other, "in-doubt"),
        (500, typed("", "Sorry, see Correlation ID"), Kind::Other, "in-doubt"),
        (502, String::new(), Kind::Other, "in-doubt"),
        (503, "<html><title>Service Unavailable</title></html>".to_owned(), Kind::Other, "in-doubt"),
        (503, typed("Ice.Common.ConversionsPendingException", "conversions"), Kind::Other, "throttled"),
    ];
    for (status, body, kind, class) in table {
        assert_eq!(judged(w, &answer(status, body.clone())), (kind, class), "{status} {body}");
    }
    let forbidden = answer(403, typed("UnauthorizedAccessException", "scope"));
    assert_eq!(judged(Effect::Read, &forbidden), (Kind::Forbidden, "unauthorised"));
    for status in [500, 503, 408] {
        assert_eq!(judged(Effect::Read, &answer(status, "")).1, "unavailable");
    }
    assert!(judge(asked(w), &answer(201, "")).is_ok());
}

/// Sheet item: Epicor 19: maintenance with a time to come back.
#[test]
fn maintenance_waits_as_long_as_it_says() {
    let mut closed = answer(503, "");
    closed.headers.insert("retry-after".to_owned(), "90".to_owned());
    let refusal = judge(asked(Effect::Write), &closed).unwrap_err();
    assert_eq!(refusal.failure.class, FailureClass::Throttled { until: now() + TimeDelta::seconds(90) });
}

/// Sheet item: Epicor 3: the same refusal as XML and as JSON.
#[test]
fn refusal_is_read_from_xml_json_and_html() {
    let xml = ErrorBody::read(UNAUTHORIZED.as_bytes());
    assert_eq!(xml.error_message, "Invalid username or password & key");
    assert_eq!(
        (xml.error_type.as_str(), xml.correlation_id.as_str()),
        ("System.UnauthorizedAccessException", "11111111-2222")
    );
    let json = ErrorBody::read(BUSINESS.as_bytes());
    assert_eq!(
        (json.error_details[0].table.as_str(), json.error_details[0].field.as_str()),
        ("APInvExpTGLC", "GLAccount")
    );
    let html = ErrorBody::read(
        b"<html><head><title>Service Unavailable</title></head><body><h2>503</h2></body></html>",
    );
    assert_eq!(html.error_message, "Service Unavailable 503");
    assert_eq!(ErrorBody::read(br#"{"error":"invalid_scope"}"#).error_message, "invalid_scope");
    assert_eq!(ErrorBody::read(br#"{"ErrorMessage":7,"ErrorDetails":"x"}"#).error_message, "7");
}

/// Sheet item: Epicor 15.
#[test]
fn refusals_that_finance_knows_get_their_own_code() {
    for (message, code) in [
        ("The fiscal period 2026/1 is closed.", FindingCode::PeriodClosed),
        ("Fiscal Period is not valid for the date.", FindingCode::PeriodMissing),
        ("Supplier is on payment hold.", FindingCode::VendorPayHold),
        ("Vendor ACME is inactive.", FindingCode::VendorInactive),
        ("Supplier ID is invalid.", FindingCode::VendorUnknown),
        ("GL Account 6100|00|200 is not active.", FindingCode::AccountInactive),
        ("G/L Account is required", FindingCode::AccountUnknown),
        ("Something else.", FindingCode::ErpRefused),
    ] {
        let found = findings(&ErrorBody { error_message: message.to_owned(), ..ErrorBody::default() });
        assert_eq!(found.iter().map(|f| f.code).collect::<Vec<_>>(), [code], "{message}");
        assert!(!found[0].fix.is_empty());
    }
    let found = findings(&ErrorBody::read(BUSINESS.as_bytes()));
    assert_eq!(
        (found[0].field.as_str(), found[0].message.as_str()),
        ("APInvExpTGLC.GLAccount", "GL Account is not valid")
    );
}

/// Sheet item: Epicor 14.
#[test]
fn answer_200_that_did_not_save_is_a_refusal() {
    let read = |text: &str| saved(asked(Effect::Write), &Envelope::read(text.as_bytes()).unwrap());
    assert!(
        read(r#"{"parameters":{"lUpdateRan":true,"requiresUserInput":false,"opMessage":"note"}}"#).is_ok()
    );
    assert!(read("").is_ok());
    for text in [
        r#"{"parameters":{"lUpdateRan":false}}"#,
        r#"{"parameters":{"RequiresUserInput":true,"opMessage":"Sure?"}}"#,
        r#"{"returnObj":{"BOUpdError":[{"ErrorText":"bad row"}]},"parameters":{"errorsOccurred":true}}"#,
    ] {
        assert_eq!(read(text).unwrap_err().kind, Kind::NotSaved, "{text}");
    }
}

/// Sheet item: Epicor 25: exactly the parameters that the instance lists, older and newer ones.
#[test]
fn methods_follow_what_the_instance_lists() {
    let methods = read_metadata(ODATA4.as_bytes()).unwrap();
    let vendor = resolve(&AP_VENDOR_CHANGE, None, Some(&methods));
    let values = [("ProposedVendorID", raw(&"ACME")), ("confirmCheck", raw(&false)), ("ds", raw(&1))];
    assert_eq!(
        serde_json::to_string(&arguments(&vendor, &values)).unwrap(),
        r#"{"ProposedVendorID":"ACME","ds":1}"#
    );
    let date = resolve(&AP_DATE_CHANGE, None, Some(&methods));
    let values = [("ProposedInvoiceDate", raw(&"d")), ("recalcAmts", raw(&"")), ("ds", raw(&1))];
    assert_eq!(
        serde_json::to_string(&arguments(&date, &values)).unwrap(),
        r#"{"ProposedInvoiceDate":"d","cMessageText":"","ds":1,"lForce":false,"recalcAmts":""}"#
    );
    assert_eq!(methods["Bound"].as_ref().unwrap().len(), 1);
    assert_eq!(
        methods["GetNewAPInvHedInvoice"].as_ref().unwrap().len(),
        2,
        "an import does not hide the action"
    );
    let line = resolve(&AP_LINE_NEW, None, Some(&methods));
    assert!(
        line.offered && line.parameters.len() == 3,
        "an import without parameters leaves the documented ones"
    );
    assert!(!resolve(&GL_LINE_NEW, None, Some(&methods)).offered);
    assert_eq!(read_metadata(ODATA3.as_bytes()).unwrap()["UpdateMaster"].as_ref().unwrap().len(), 2);
    assert!(read_metadata(b"<html><body>no</body></html>").is_err());
}

#[test]
fn names_in_circulation_resolve_to_what_the_instance_offers() {
    let methods = read_metadata(ODATA4.as_bytes()).unwrap();
    let named = |name: &str| MethodSettings { method: Some(name.to_owned()), parameters: None };
    for (step, name, real) in [
        (&AP_LINE_NEW, "GetNewAPInvtDtl", "GetNewAPInvDtlMiscellaneous"),
        (&AP_HEADER_NEW, "GetNewAPInvoice", "GetNewAPInvHedInvoice"),
        (&AP_HEADER_NEW, "GetNewAPInvHedInvc", "GetNewAPInvHedInvoice"),
        (&AP_HEADER_NEW, "getnewapinvhedinvoice", "GetNewAPInvHedInvoice"),
    ] {
        let resolved = resolve(step, Some(&named(name)), Some(&methods));
        assert_eq!((resolved.method.as_str(), resolved.alias_of.as_deref()), (real, Some(name)));
    }
    assert_eq!(resolve(&GL_LINE_NEW, Some(&named("GetNewGLJrnDtl")), None).method, "GetNewGLJrnDtlMnl");
    assert_eq!(resolve(&AP_HEADER_NEW, Some(&named("GetNewOwn")), None).method, "GetNewOwn");
}

/// Sheet item: Epicor 4: PascalCase, snake_case and XML tokens.
#[test]
fn token_is_read_in_every_dress() {
    let secret = credential().get("password").unwrap().clone();
    for (body, life) in [
        (r#"{"AccessToken":"abc","ExpiresIn":3600,"RefreshToken":"","TokenType":"Bearer"}"#, 3600),
        (r#"{"access_token":"abc","expires_in":1200,"token_type":"Bearer"}"#, 1200),
        ("<Token><AccessToken>abc</AccessToken><ExpiresIn>60</ExpiresIn></Token>", 60),
        (r#"{"AccessToken":"abc"}"#, 600),
    ] {
        let token = read_token(&answer(200, body), &secret, now()).unwrap();
        assert_eq!((token.value.expose(), token.expires_at), ("abc", now() + TimeDelta::seconds(life)));
    }
    assert!(read_token(&answer(200, r#"{"AccessToken":""}"#), &secret, now()).is_none());
    assert!(read_token(&answer(200, "<html/>"), &secret, now()).is_none());
}

/// Sheet item: Epicor 9 and 22: unknown columns and decimals go back as they came.
#[test]
fn rows_go_back_untouched_but_for_what_was_edited() {
    let text_in = r#"{"APInvHed":[{"Big":0.10000000000000000001,"Own_c":{"a":[1.50]},"RowMod":""},{"Big":2.50,"RowMod":"A"}],"ExtensionTables":[]}"#;
    let mut dataset = Dataset::read(text_in).unwrap();
    assert!(dataset.edit("APInvHed", is_added, |row| set(row, "InvoiceNum", "X")).unwrap());
    let out = serde_json::to_string(&dataset).unwrap();
    assert_eq!(out, text_in.replace(r#""Big":2.50"#, r#""Big":2.50,"InvoiceNum":"X""#));
    assert!(!dataset.edit("APInvDtl", is_added, |row| mark(row, "D")).unwrap());
    dataset.settle(&["APInvHed"]).unwrap();
    assert!(dataset.rows("APInvHed").unwrap().iter().all(|row| text(row, "RowMod").is_empty()));
}

#[test]
fn page_is_read_without_its_annotations() {
    let page = Page::read(br#"{"@odata.context":"x","value":[{"@odata.etag":"1","JEDate":"2026-01-31T23:00:00-05:00","End":null}],"odata.nextLink":"n"}"#).unwrap();
    assert_eq!(page.next_link.as_deref(), Some("n"));
    assert_eq!(page.value[0].keys().collect::<Vec<_>>(), ["End", "JEDate"]);
    assert_eq!(date(&page.value[0], "JEDate"), "2026-01-31".parse().ok());
    assert_eq!(date(&page.value[0], "End"), None);
    assert!(Page::read(b"{}").is_err());
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        (proptest::sample::select(vec![BUSINESS, UNAUTHORIZED, ODATA4, ODATA3]), any::<usize>(), any::<u8>())
            .prop_map(|(text, at, byte)| {
                let mut bytes = text.as_bytes().to_vec();
                let at = at % bytes.len();
                bytes[at] = byte;
                if byte % 3 == 0 {
                    bytes.truncate(at);
                }
                bytes
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_answer_makes_a_parser_panic(bytes in anything(), status in 100u16..600) {
        let _ = ErrorBody::read(&bytes);
        let _ = judge(asked(Effect::Write), &answer(status, bytes.clone()));
        let _ = read_metadata(&bytes);
        let _ = Page::read(&bytes);
        let _ = read_token(&answer(200, bytes.clone()), credential().get("password").unwrap(), now());
        if let Ok(envelope) = Envelope::read(&bytes) {
            let _ = saved(asked(Effect::Write), &envelope);
            let _ = envelope.dataset();
        }
    }
}
