//! Reporting results: what a refusal names is settled by itself, and a lost answer by looking.

use super::*;
use crate::vendors::{SpendSource, exported};
use spend::ids::SourceId;

fn ids(ids: &[&str]) -> Vec<SourceId> {
    ids.iter().map(|id| SourceId::from(*id)).collect()
}

fn updated(ids: &[&str]) -> Reply {
    told(&json!({ "updated_accounting_record_ids": ids }))
}

fn in_state(id: &str, state: &str) -> Value {
    let mut record = record(id);
    record["review_status"] = state.into();
    record
}

fn not_ready(ids: &[&str]) -> Reply {
    let body = json!({"error_code": "ACCOUNTING_RECORD_NOT_READY_FOR_EXPORT", "message": "x",
                      "details": {"not_ready_for_export_accounting_record_ids": ids}});
    status(422, body.to_string())
}

fn not_found(ids: &[&str]) -> Reply {
    let body = json!({"error_code": "NOT_FOUND", "message": "x", "details": {"not_found_export_entry_source_ids": ids}});
    status(404, body.to_string())
}

fn named(sent: &Sent) -> Vec<&str> {
    sent.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["accounting_record_id"].as_str().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_success_is_an_object_without_null_links_and_without_a_key() {
    let (client, script) = client(accounting(), [("brex.report-success", vec![updated(&["accr_1"])])]);
    assert_eq!(client.acknowledge(&exported(&ids(&["accr_1"]))).await.unwrap(), ids(&["accr_1"]));
    let sent = &script.sent()[0];
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/v3/accounting/records/export-results"));
    assert_eq!(
        sent.body,
        json!({"results": [{"accounting_record_id": "accr_1", "success": {"reference_id": "journal 2026/GJ/accr_1"}}]})
    );
    assert!(!sent.headers.contains_key("idempotency-key"));
}

#[tokio::test(start_paused = true)]
async fn what_the_erp_calls_the_document_is_told_in_plain_ascii_and_never_too_long() {
    let long = format!("Rechnung für {}", "x".repeat(400));
    for (document, told) in
        [("", None), ("bill B-1\n", Some("bill B-1")), (long.as_str(), Some(&*cut(&long)))]
    {
        let (client, script) = client(accounting(), [("brex.report-success", vec![updated(&["accr_1"])])]);
        let mut one = exported(&ids(&["accr_1"]));
        one[0].receipt.document = document.to_owned();
        client.acknowledge(&one).await.unwrap();
        let success = &script.sent()[0].body["results"][0]["success"];
        assert_eq!(success.get("reference_id").and_then(Value::as_str), told);
    }
}

fn cut(text: &str) -> String {
    text.replace('ü', "u").chars().take(255).collect()
}

/// Sheet item: Brex 9
#[tokio::test(start_paused = true)]
async fn unknown_records_are_dropped_and_the_rest_is_sent_again() {
    let answers = vec![not_found(&["accr_2"]), updated(&["accr_1", "accr_3"])];
    let (client, script) = client(accounting(), [("brex.report-success", answers)]);
    let marked = client.acknowledge(&exported(&ids(&["accr_1", "accr_2", "accr_3"]))).await.unwrap();
    assert_eq!(marked, ids(&["accr_1", "accr_3"]));
    assert_eq!(named(&script.sent()[1]), ["accr_1", "accr_3"]);
}

/// Sheet items: Brex 8, 9
#[tokio::test(start_paused = true)]
async fn a_record_that_is_exported_already_was_reported_by_us() {
    let answers = vec![not_ready(&["accr_1", "accr_2"]), updated(&["accr_3"])];
    let looked = page(&[in_state("accr_1", "EXPORTED"), in_state("accr_2", "REVIEW")]);
    let (client, script) =
        client(accounting(), [("brex.report-success", answers), ("brex.records-by-id", vec![looked])]);
    let marked = client.acknowledge(&exported(&ids(&["accr_1", "accr_2", "accr_3"]))).await.unwrap();
    assert_eq!(marked, ids(&["accr_1", "accr_3"]), "the one that was turned back is not marked");
    assert_eq!(script.operations(), ["report-success", "records-by-id", "report-success"]);
    assert_eq!(named(&script.sent()[2]), ["accr_3"]);
}

/// Sheet item: Brex 8
#[tokio::test(start_paused = true)]
async fn a_record_that_was_turned_back_alone_is_told_with_its_state() {
    let looked = page(&[in_state("accr_1", "REVIEW")]);
    let (client, _) = client(
        accounting(),
        [("brex.report-success", vec![not_ready(&["accr_1"])]), ("brex.records-by-id", vec![looked])],
    );
    let failure = client.acknowledge(&exported(&ids(&["accr_1"]))).await.unwrap_err();
    assert!(matches!(failure.class, FailureClass::Rejected { .. }));
    assert!(failure.message.contains("REVIEW"), "{failure}");
}

/// Sheet items: Brex 3, 9
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_reading_the_records() {
    for reply in [lost(FailureClass::InDoubt), status(500, ""), ok("{\"upda"), ok("<html>")] {
        let looked = page(&[in_state("accr_1", "EXPORTED")]);
        let (client, _) = client(
            accounting(),
            [("brex.report-success", vec![reply]), ("brex.records-by-id", vec![looked])],
        );
        assert_eq!(client.acknowledge(&exported(&ids(&["accr_1"]))).await.unwrap(), ids(&["accr_1"]));
    }
    let looked = page(&[in_state("accr_1", "READY_FOR_EXPORT")]);
    let (client, _) = client(
        accounting(),
        [("brex.report-success", vec![status(500, "")]), ("brex.records-by-id", vec![looked])],
    );
    assert_eq!(
        client.acknowledge(&exported(&ids(&["accr_1"]))).await.unwrap_err().class,
        FailureClass::Unavailable
    );
}

/// Sheet item: Brex 9
#[tokio::test(start_paused = true)]
async fn a_refusal_that_names_nobody_is_settled_one_by_one() {
    let vague = status(
        422,
        r#"{"error_code":"ACCOUNTING_RECORD_NOT_READY_FOR_EXPORT","message":"x","details":null}"#,
    );
    let answers = vec![vague.clone(), vague, updated(&["accr_2"])];
    let looked = page(&[in_state("accr_1", "EXPORTED")]);
    let (client, script) =
        client(accounting(), [("brex.report-success", answers), ("brex.records-by-id", vec![looked])]);
    assert_eq!(
        client.acknowledge(&exported(&ids(&["accr_1", "accr_2"]))).await.unwrap(),
        ids(&["accr_1", "accr_2"])
    );
    let reports = script.of("brex.report-success");
    assert_eq!(
        reports.iter().map(named).collect::<Vec<_>>(),
        [vec!["accr_1", "accr_2"], vec!["accr_1"], vec!["accr_2"]]
    );
}

#[tokio::test(start_paused = true)]
async fn many_are_reported_in_chunks_each_once_and_what_is_no_id_is_left_out() {
    let many: Vec<String> = (100..220).map(|n| format!("accr_{n}")).collect();
    let answers =
        many.chunks(50).map(|chunk| told(&json!({ "updated_accounting_record_ids": chunk }))).collect();
    let (client, script) = client(accounting(), [("brex.report-success", answers)]);
    let mut asked: Vec<SourceId> = many.iter().map(|id| SourceId::new(id.as_str())).collect();
    asked.push(SourceId::from("no id, \"at all\""));
    asked.push(SourceId::from("accr_100"));
    assert_eq!(client.acknowledge(&exported(&asked)).await.unwrap().len(), 120);
    let sizes: Vec<usize> = script.sent().iter().map(|sent| named(sent).len()).collect();
    assert_eq!(sizes, [50, 50, 20]);
    assert_eq!(client.acknowledge(&[]).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_marked_before_a_failure_is_told() {
    let settings = Settings { report_size: 1, ..accounting() };
    let answers = vec![updated(&["accr_1"]), status(429, "")];
    let (client, _) = client(settings, [("brex.report-success", answers)]);
    assert_eq!(client.acknowledge(&exported(&ids(&["accr_1", "accr_2"]))).await.unwrap(), ids(&["accr_1"]));
}

/// Sheet item: Brex 14
#[tokio::test(start_paused = true)]
async fn a_failure_is_reported_in_plain_ascii_and_only_when_asked_for() {
    let (client, script) = client(accounting(), [("brex.report-failure", vec![updated(&["accr_1"])])]);
    client.report_failure(&SourceId::from("accr_1"), "Büro: „Konto\n7500“ geschlossen").await.unwrap();
    let message = &script.sent()[0].body["results"][0]["failure"]["error_message"];
    assert_eq!(message, "Buro: \"Konto 7500\" geschlossen");
    let (client, script) = super::client(on_expenses(), []);
    assert!(client.report_failure(&SourceId::from("expense_1"), "no").await.is_err());
    assert!(script.sent().is_empty());
}

/// Sheet item: Brex 9
#[tokio::test(start_paused = true)]
async fn a_failure_that_was_reported_already_counts_and_an_exported_record_contradicts() {
    for reply in [not_ready(&["accr_1"]), status(500, "")] {
        for (state, told) in [("REVIEW", true), ("PREPARE", true), ("EXPORTED", false)] {
            let looked = page(&[in_state("accr_1", state)]);
            let (client, _) = client(
                accounting(),
                [("brex.report-failure", vec![reply.clone()]), ("brex.records-by-id", vec![looked])],
            );
            let answer = client.report_failure(&SourceId::from("accr_1"), "no").await;
            assert_eq!(answer.is_ok(), told, "{state}: {answer:?}");
        }
    }
    let looked = page(&[in_state("accr_1", "READY_FOR_EXPORT")]);
    let (client, _) = client(
        accounting(),
        [("brex.report-failure", vec![status(500, "")]), ("brex.records-by-id", vec![looked])],
    );
    let failure = client.report_failure(&SourceId::from("accr_1"), "no").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unavailable);
}
