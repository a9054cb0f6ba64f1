//! The exact jobs.

use super::super::calls::{self, ExportQuery, spans};
use super::super::settings::{MAX_SPAN_DAYS, Settings};
use super::super::wire::{Envelope, FileName};
use super::*;
use crate::vendors::http::Effect;
use serde_json::json;

fn job(call: &Call) -> Value {
    serde_json::from_str(&fields(call)["requestJobDescription"]).unwrap()
}

#[test]
fn export_asks_for_unmarked_reports_and_marks_nothing() {
    let query = ExportQuery {
        states: Settings::default().states,
        limit: Some(50),
        approved_after: Some(day("2026-07-01")),
        end: Some(day("2026-08-01")),
        policies: vec!["0123456789ABCDEF".into(), "FEDCBA9876543210".into()],
        without_mark: Some("purser".into()),
        ..ExportQuery::default()
    };
    let call = calls::export(&credential(), &base(), &query).unwrap();
    assert_eq!(call.method, reqwest::Method::POST);
    assert_eq!(call.url.as_str(), "https://expensify.example.test/Integration-Server/ExpensifyIntegrations");
    assert_eq!(call.effect, Effect::Read);
    assert_eq!(
        job(&call),
        json!({
            "type": "file",
            "credentials": { "partnerUserID": "[secret]", "partnerUserSecret": "[secret]" },
            "onReceive": { "immediateResponse": ["returnRandomFileName"] },
            "inputSettings": {
                "type": "combinedReportData",
                "reportState": "APPROVED,REIMBURSED",
                "limit": "50",
                "filters": {
                    "approvedAfter": "2026-07-01",
                    "endDate": "2026-08-01",
                    "policyIDList": "0123456789ABCDEF,FEDCBA9876543210",
                    "markedAsExported": "purser",
                },
            },
            "outputSettings": { "fileExtension": "json", "fileBasename": "purser" },
            "onFinish": [],
        })
    );
    assert_eq!(fields(&call)["template"], calls::REPORT_TEMPLATE);
}

#[test]
fn secrets_are_hidden_pieces_of_the_job_and_of_no_other_field() {
    let call = calls::policy_list(&credential(), &base()).unwrap();
    assert!(!format!("{call:?}").contains("canary"));
    let Body::Form(fields) = &call.body else { panic!("a form") };
    assert_eq!(fields[0].1.secrets().count(), 2);
    assert!(fields[0].1.redacted().starts_with(r#"{"credentials":{"partnerUserID":"[secret]""#));
}

#[test]
fn mark_job_names_the_reports_in_any_state_and_the_label() {
    let call = calls::mark(&credential(), &base(), &["R1", "R2"], "purser").unwrap();
    assert_eq!(call.effect, Effect::Write);
    let job = job(&call);
    assert_eq!(
        job["inputSettings"],
        json!({
            "type": "combinedReportData",
            "reportState": "OPEN,SUBMITTED,APPROVED,REIMBURSED,ARCHIVED",
            "filters": { "reportIDList": "R1,R2" },
        })
    );
    assert_eq!(job["onFinish"], json!([{ "actionName": "markAsExported", "label": "purser" }]));
    assert_eq!(fields(&call)["template"], calls::MARK_TEMPLATE);
}

#[test]
fn downloads_and_policy_reads_are_plain_jobs() {
    let name = FileName::read(NAME).unwrap();
    let call = calls::download(&credential(), &base(), &name).unwrap();
    let mut sent = job(&call);
    sent.as_object_mut().unwrap().remove("credentials");
    assert_eq!(sent, json!({ "type": "download", "fileName": NAME, "fileSystem": "integrationServer" }));
    assert!(!fields(&call).contains_key("template"));
    let call = calls::policy(&credential(), &base(), &["A".into()], &["categories", "tags"]).unwrap();
    assert_eq!(
        job(&call)["inputSettings"],
        json!({ "type": "policy", "policyIDList": ["A"], "fields": ["categories", "tags"] })
    );
    let call = calls::policy_list(&credential(), &base()).unwrap();
    assert_eq!(job(&call)["inputSettings"], json!({ "type": "policyList", "adminOnly": true }));
}

/// Sheet item: Expensify 24
#[test]
fn exports_and_downloads_may_take_minutes() {
    assert!(super::super::DEFAULT_TIMEOUT >= std::time::Duration::from_secs(240));
    let export = calls::export(&credential(), &base(), &ExportQuery::default()).unwrap();
    let download = calls::download(&credential(), &base(), &FileName::read(NAME).unwrap()).unwrap();
    assert_eq!([export.timeout, download.timeout], [None, None], "the default of the connection holds");
}

#[test]
fn a_whole_url_is_taken_as_it_is() {
    let whole = Url::parse("http://127.0.0.1:8081/other/path").unwrap();
    let call = calls::policy_list(&credential(), &whole).unwrap();
    assert_eq!(call.url, whole);
}

#[test]
fn a_credential_without_a_field_is_named_with_the_command_that_mends_it() {
    let origins = Arc::from([Origin::of(&base()).unwrap()]);
    let half = BTreeMap::from([("partner_user_id".to_owned(), SecretString::from("x"))]);
    let failure = calls::policy_list(&Credential::new("spend-key", half, origins), &base()).unwrap_err();
    assert_eq!(failure.class, FailureClass::Unauthorised);
    assert!(failure.message.contains("partner_user_secret"));
    assert!(failure.message.contains("purser secrets set spend-key"));
}

/// Sheet item: Expensify 2, Expensify 3
#[test]
fn file_name_is_the_bare_body_or_a_field_of_a_success() {
    let named = |body: &str| {
        let envelope = Envelope::read(body.as_bytes());
        calls::file_name(envelope.as_ref(), body.as_bytes()).map(|name| name.as_str().to_owned())
    };
    assert_eq!(named(&format!("{NAME}\r\n")).unwrap(), NAME);
    assert_eq!(named(r#"{"responseCode":200,"filename":"a b.json"}"#).unwrap(), "a b.json");
    assert_eq!(named(r#"{"responseCode":200,"fileName":"c.json"}"#).unwrap(), "c.json");
    for wrong in ["", "  ", "two\nlines.json", "<html>", "[]", r#"{"responseCode":200}"#, &"x".repeat(300)] {
        assert!(named(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_file_name_does_not_print_itself() {
    assert!(!format!("{:?}", FileName::read(NAME)).contains("0fd99e06"));
}

/// Sheet item: Expensify 17
#[test]
fn no_span_reaches_over_a_year_and_none_leaves_a_gap() {
    let parts = spans(day("2023-12-31"), day("2026-08-01"), MAX_SPAN_DAYS);
    assert_eq!(parts.first().unwrap().0, day("2023-12-31"));
    assert_eq!(parts.last().unwrap().1, day("2026-08-01"));
    for pair in parts.windows(2) {
        assert_eq!(pair[0].1.succ_opt().unwrap(), pair[1].0);
    }
    for (first, last) in parts {
        let reach = last.succ_opt().unwrap() - first.pred_opt().unwrap();
        assert!(reach.num_days() <= 365, "{first} {last}");
    }
    assert_eq!(spans(day("2026-08-01"), day("2026-08-01"), 7).len(), 1);
    assert!(spans(day("2026-08-02"), day("2026-08-01"), 7).is_empty());
    assert_eq!(spans(Date::MAX, Date::MAX, 7).len(), 1);
}

/// Sheet item: Expensify 9, Expensify 10, Expensify 23, Expensify 26
#[test]
fn policies_are_read_with_both_tag_shapes_unknown_types_and_disabled_categories() {
    let list = Envelope::read(POLICY_LIST.as_bytes()).unwrap();
    let policies = calls::policies(&list).unwrap();
    assert_eq!(policies[1].kind.get(), Some("hovercraft"));
    let details = Envelope::read(POLICIES.as_bytes()).unwrap();
    let details = calls::policy_details(&details).unwrap();
    let main = &details["0123456789ABCDEF"];
    let categories = main.categories.as_ref().unwrap();
    assert_eq!(categories[0].gl_code.get(), Some("5000"));
    assert_eq!(categories[1].gl_code.get(), None);
    assert_eq!(categories[1].enabled.get(), Some("false"));
    let levels: Vec<_> =
        main.tags.iter().flatten().map(|level| (level.name.get(), level.tags.len())).collect();
    assert_eq!(levels, [(Some("Project"), 1), (Some("Department"), 0)]);
    assert_eq!(main.employees.as_ref().unwrap()[0].employee_id.get(), Some("E1"));
    let flat = details["FEDCBA9876543210"].tags.as_ref().unwrap();
    assert_eq!(flat.len(), 1);
    assert_eq!(flat[0].tags[0].name.get(), Some("Parent:Child"));
    assert_eq!(flat[0].tags[0].gl_code.get(), Some("7"));
}

#[test]
fn settings_have_defaults_and_every_fault_is_listed_with_its_path() {
    let read = |value: Value| Settings::from_json(value.as_object().unwrap());
    assert_eq!(read(json!({})).unwrap(), Settings::default());
    assert_eq!(read(json!({ "label": "agent-7", "page_limit": 50 })).unwrap().page_limit, 50);
    let faults = read(json!({
        "lable": "x", "states": ["Approved"], "policies": ["A,B"], "page_limit": 0, "give_up": "long",
        "currency_decimals": { "jpy": 0 }, "label": "",
    }))
    .unwrap_err();
    for path in [
        "settings.lable:",
        "settings.states[0]:",
        "settings.policies[0]:",
        "settings.page_limit:",
        "settings.give_up:",
        "settings.currency_decimals.jpy:",
        "settings.label:",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(path)), "{path} in {faults:?}");
    }
    assert_eq!(faults.len(), 7);
}
