//! Reading: exports, waiting for files, windows.

use super::*;
use crate::vendors::{SourcePage, SourceWindow, SpendSource};
use spend::ids::SourceId;
use std::time::Duration;

fn ready(limit: u32) -> SourceWindow {
    SourceWindow::Ready { from: day("2026-07-02"), to: day("2026-07-31"), limit }
}

fn ids(page: &SourcePage) -> Vec<&str> {
    page.documents.iter().map(|document| document.source_id.as_str()).collect()
}

fn july(ids: &[&str]) -> String {
    reports(ids, "2026-07-03")
}

#[tokio::test(start_paused = true)]
async fn ready_reports_are_exported_with_the_filter_on_our_mark_and_downloaded() {
    let (client, script) = client(Settings::default(), [ok(NAME), ok(TWO_REPORTS)]);
    let page = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&page), ["R00bCluvcO4T", "R00empty"]);
    assert!(page.unreadable.is_empty() && !page.more);
    let sent = script.sent();
    assert_eq!(sent[0].job["inputSettings"]["filters"]["markedAsExported"], "purser");
    assert_eq!(sent[0].job["inputSettings"]["limit"], "100");
    assert_eq!(sent[0].job["onFinish"], serde_json::json!([]), "the reading export never marks");
    assert!(sent[0].template.is_some());
    assert_eq!(sent[1].job["fileName"], NAME);
    assert_eq!(sent[1].after, Duration::from_secs(2));
}

/// Sheet item: Expensify 18
#[tokio::test(start_paused = true)]
async fn one_day_more_is_asked_for_and_filtered_away() {
    let file =
        reports(&["R1"], "2026-07-01") + &reports(&["R2"], "2026-07-02") + &reports(&["R3"], "2026-08-01");
    let (client, script) = client(Settings::default(), [ok(NAME), ok(file)]);
    let page = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&page), ["R2"]);
    let filters = &script.sent()[0].job["inputSettings"]["filters"];
    assert_eq!(
        (&filters["approvedAfter"], &filters["endDate"]),
        (&"2026-07-01".into(), &"2026-08-01".into())
    );
}

/// Sheet item: Expensify 6
#[tokio::test(start_paused = true)]
async fn a_file_is_waited_for_in_every_form_of_not_ready() {
    let half = &TWO_REPORTS[..TWO_REPORTS.len() / 2];
    let answers = [
        ok(NAME),
        ok(""),
        ok(NOT_FOUND),
        ok(r#"{"responseMessage":"nothing","responseCode":404}"#),
        Ok(answer(500, SERVLET_ERROR)),
        lost(FailureClass::Unavailable),
        Ok(answer(429, "")),
        ok(half),
        ok(TWO_REPORTS),
    ];
    let (client, script) = client(Settings::default(), answers);
    assert_eq!(client.read(&ready(100)).await.unwrap().documents.len(), 2);
    let waits: Vec<_> = script.sent().windows(2).map(|pair| pair[1].after - pair[0].after).collect();
    assert_eq!(waits[0], Duration::from_secs(2));
    assert_eq!(waits[1], Duration::from_secs(5));
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "waits grow: {waits:?}");
}

fn exports(script: &Script) -> usize {
    script.operations().iter().filter(|operation| **operation == "export").count()
}

#[tokio::test(start_paused = true)]
async fn a_file_that_never_comes_is_exported_once_more_and_then_given_up() {
    let bodies = [("expensify.export", NAME), ("expensify.download", NOT_FOUND)];
    let (client, script) = client_always(Settings::default(), bodies);
    let failure = client.read(&ready(100)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unavailable);
    assert_eq!(exports(&script), 2);
    let last = script.sent().last().unwrap().after;
    assert!((1000..=1200).contains(&last.as_secs()), "{last:?}");
}

/// Sheet item: Expensify 7
#[tokio::test(start_paused = true)]
async fn a_file_that_stays_blank_means_no_reports() {
    let bodies = [("expensify.export", NAME), ("expensify.download", "[]\n")];
    let (client, script) = client_always(Settings::default(), bodies);
    assert_eq!(client.read(&ready(100)).await.unwrap(), SourcePage::default());
    assert_eq!(exports(&script), 1);
    assert!(script.sent().last().unwrap().after >= Duration::from_secs(150));
}

#[tokio::test(start_paused = true)]
async fn where_a_false_none_would_mislead_a_second_blank_export_must_agree() {
    let bodies = [("expensify.export", NAME), ("expensify.download", "")];
    let window = SourceWindow::Period { from: day("2026-07-02"), to: day("2026-07-31") };
    let (client, script) = client_always(Settings::default(), bodies);
    assert_eq!(client.read(&window).await.unwrap(), SourcePage::default());
    assert_eq!(exports(&script), 2);
}

#[tokio::test(start_paused = true)]
async fn of_a_window_in_parts_a_slow_part_is_not_taken_for_an_empty_one() {
    // The first part renders slowly: blank for as long as it is waited for, and whole at the second export.
    let looks =
        client_always(Settings::default(), [("expensify.export", NAME), ("expensify.download", "[]\n")]);
    looks.0.read(&ready(100)).await.unwrap();
    let downloads = looks.1.operations().len() - 1;
    let slow = std::iter::once(ok(NAME)).chain((0..downloads).map(|_| ok("[]\n")));
    let old = [ok(NAME), ok(reports(&["R1"], "2025-03-01"))];
    let new = [ok(NAME), ok(reports(&["R2"], "2026-07-02"))];
    let (client, script) = client(Settings::default(), slow.chain(old).chain(new));
    let window = SourceWindow::Ready { from: day("2025-01-01"), to: day("2026-07-31"), limit: 100 };
    let page = client.read(&window).await.unwrap();
    assert_eq!((ids(&page), script.unused()), (vec!["R1", "R2"], 0));
}

/// Sheet item: Expensify 11
#[tokio::test(start_paused = true)]
async fn a_broken_report_is_unreadable_and_the_others_are_read() {
    let (client, script) =
        client(Settings::default(), [ok(NAME), ok(BROKEN), ok(BROKEN), ok(NAME), ok(BROKEN), ok(BROKEN)]);
    let page = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&page), ["R1", "R3"]);
    assert_eq!(page.unreadable[0].source_id, Some(SourceId::new("R2")));
    assert_eq!(script.operations(), ["export", "download", "download", "export", "download", "download"]);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_was_damaged_on_the_way_is_read_from_the_second_download() {
    let (client, script) =
        client(Settings::default(), [ok(NAME), ok(BROKEN), ok(BROKEN.replace("un\"escaped", "good"))]);
    assert_eq!(ids(&client.read(&ready(100)).await.unwrap()), ["R1", "R2", "R3"]);
    assert_eq!(script.unused(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_amount_that_cannot_be_read_holds_one_report_without_another_export() {
    let file = july(&["R1", "R2"]).replacen("\"amount\":100", "\"amount\":\"1,000.50\"", 1);
    let (client, script) = client(Settings::default(), [ok(NAME), ok(file)]);
    let page = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&page), ["R2"]);
    assert!(page.unreadable[0].message.contains("1,000.50"), "{page:?}");
    assert_eq!(script.unused(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_page_says_that_there_is_more() {
    let (client, script) = client(Settings::default(), [ok(NAME), ok(july(&["R1", "R2"]))]);
    let page = client.read(&ready(2)).await.unwrap();
    assert!(page.more);
    assert_eq!(page.documents.len(), 2);
    assert_eq!(script.sent()[0].job["inputSettings"]["limit"], "2");
}

#[tokio::test(start_paused = true)]
async fn a_page_full_of_reports_outside_the_window_does_not_hide_those_within() {
    let outside = reports(&["R1", "R2"], "2026-07-01");
    let both = outside.clone() + &july(&["R3"]);
    let (client, script) = client(Settings::default(), [ok(NAME), ok(outside), ok(NAME), ok(both)]);
    let page = client.read(&ready(2)).await.unwrap();
    assert_eq!(ids(&page), ["R3"]);
    assert_eq!(script.sent()[2].job["inputSettings"]["limit"], "10000");
}

#[tokio::test(start_paused = true)]
async fn more_reports_than_one_export_may_hold_are_read_day_by_day() {
    let settings = || Settings { page_limit: 2, ..Settings::default() };
    let window = |limit| SourceWindow::Ready { from: day("2026-07-02"), to: day("2026-07-05"), limit };
    let on = |id: &str, date: &str| reports(&[id], date);
    let full = on("R1", "2026-07-02") + &on("R2", "2026-07-04");
    let late = on("R2", "2026-07-04") + &on("R3", "2026-07-05");
    let files = [full, on("R1", "2026-07-02"), late.clone(), on("R2", "2026-07-04"), late];
    let answers = files.into_iter().flat_map(|file| [ok(NAME), ok(file)]);
    let (client, script) = client(settings(), answers);
    let page = client.read(&window(100)).await.unwrap();
    assert_eq!((ids(&page), page.more), (vec!["R1", "R2", "R3"], false));
    let spans: Vec<_> =
        script.sent().iter().map(|sent| sent.job["inputSettings"]["filters"].clone()).collect();
    let first_days: Vec<_> = spans.iter().filter_map(|filters| filters["approvedAfter"].as_str()).collect();
    assert_eq!(first_days, ["2026-07-01", "2026-07-01", "2026-07-03", "2026-07-03", "2026-07-04"]);
    // The last day is full as well, also of its neighbours: nobody knows what it hides.
    let hidden = &page.unreadable[0];
    assert!(hidden.source_id.is_none() && hidden.message.contains("2026-07-05"), "{hidden:?}");
}

/// Sheet item: Expensify 17
#[tokio::test(start_paused = true)]
async fn long_windows_are_read_in_spans_and_each_report_counts_once() {
    let window = SourceWindow::Ready { from: day("2025-01-01"), to: day("2026-07-31"), limit: 100 };
    let late = july(&["R2"]);
    let answers = [ok(NAME), ok(reports(&["R1"], "2025-02-01") + &late), ok(NAME), ok(late)];
    let (client, script) = client(Settings::default(), answers);
    assert_eq!(ids(&client.read(&window).await.unwrap()), ["R1", "R2"]);
    for sent in script.sent().iter().filter(|sent| sent.operation == "expensify.export") {
        let filters = &sent.job["inputSettings"]["filters"];
        let days =
            day(filters["endDate"].as_str().unwrap()) - day(filters["approvedAfter"].as_str().unwrap());
        assert!(days.num_days() <= 365);
    }
}

/// Sheet item: Expensify 27
#[tokio::test(start_paused = true)]
async fn a_period_is_read_whether_marked_or_not() {
    let window = SourceWindow::Period { from: day("2026-07-02"), to: day("2026-07-31") };
    let (client, script) = client(Settings::default(), [ok(NAME), ok(TWO_REPORTS)]);
    assert_eq!(client.read(&window).await.unwrap().documents.len(), 2);
    let input = &script.sent()[0].job["inputSettings"];
    assert!(input["filters"].get("markedAsExported").is_none());
    assert!(input.get("limit").is_none());
}

#[tokio::test(start_paused = true)]
async fn named_reports_are_read_without_dates_and_strangers_are_dropped() {
    let wanted = ["R1", "R2", "not, an id"].map(SourceId::from);
    let (client, script) = client(Settings::default(), [ok(NAME), ok(july(&["R1", "R9"]))]);
    let page = client.read(&SourceWindow::Ids(wanted.to_vec())).await.unwrap();
    assert_eq!(ids(&page), ["R1"]);
    assert_eq!(page.unreadable[0].source_id, Some(SourceId::new("not, an id")));
    assert_eq!(
        script.sent()[0].job["inputSettings"]["filters"],
        serde_json::json!({ "reportIDList": "R1,R2" })
    );
}

/// Sheet item: Expensify 22, Expensify 23
#[tokio::test(start_paused = true)]
async fn reports_in_other_states_or_workspaces_are_skipped_and_unknown_states_kept() {
    let file = july(&["R1", "R2", "R3"])
        .replacen("\"Approved\"", "\"Open\"", 1)
        .replacen("\"Approved\"", "\"Quantum\",\"policyID\":\"AA\"", 1)
        .replacen("\"Approved\"", "\"Approved\",\"policyID\":\"BB\"", 1);
    let settings = Settings { policies: vec!["aa".into()], ..Settings::default() };
    let (client, _) = client(settings, [ok(NAME), ok(file)]);
    let page = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&page), ["R2"]);
    assert_eq!(page.documents[0].status, "Quantum");
}

#[tokio::test(start_paused = true)]
async fn a_report_that_contradicts_itself_within_a_file_is_unreadable() {
    let file = july(&["R1"]) + &july(&["R1"]) + &july(&["R2"]) + &july(&["R2"]).replace("100", "200");
    let (client, _) = client(Settings::default(), [ok(NAME), ok(file)]);
    let page = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&page), ["R1"]);
    assert_eq!(page.unreadable[0].source_id, Some(SourceId::new("R2")));
}

/// Sheet item: Expensify 1, Expensify 4
#[tokio::test(start_paused = true)]
async fn refused_and_throttled_exports_are_told_at_once() {
    let limited = r#"{"responseMessage":"You have been rate-limited.","responseCode":429}"#;
    let (client, script) =
        client(Settings::default(), [ok(limited), ok(limited), ok(r#"{"responseCode":410}"#)]);
    let waits = [client.read(&ready(9)).await, client.read(&ready(9)).await].map(|result| {
        let FailureClass::Throttled { until } = result.unwrap_err().class else { panic!("throttled") };
        (until - at()).num_seconds()
    });
    assert!((10..=15).contains(&waits[0]) && (60..=65).contains(&waits[1]), "{waits:?}");
    let refused = client.read(&ready(9)).await.unwrap_err();
    assert!(matches!(refused.class, FailureClass::Rejected { .. }));
    assert_eq!(script.operations(), ["export"; 3]);
}

/// Sheet item: Expensify 21
#[tokio::test(start_paused = true)]
async fn a_credential_is_called_refused_only_when_the_plainest_read_is_refused_too() {
    let denied = r#"{"responseMessage":"Authentication error","responseCode":500}"#;
    let (both, _) = client(Settings::default(), [ok(denied), ok(denied)]);
    let failure = both.read(&ready(9)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unauthorised);
    assert!(failure.message.contains("purser secrets set spend-key"));
    let (one, script) = client(Settings::default(), [ok(denied), ok(POLICY_LIST)]);
    let failure = one.read(&ready(9)).await.unwrap_err();
    assert!(matches!(failure.class, FailureClass::Rejected { .. }), "{failure:?}");
    assert_eq!(script.operations(), ["export", "policy-list"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_template_is_not_waited_for() {
    let (client, script) =
        client(Settings::default(), [ok(NAME), ok("FreeMarker template error:\nThe following")]);
    let failure = client.read(&ready(9)).await.unwrap_err();
    assert!(matches!(failure.class, FailureClass::Rejected { .. }));
    assert_eq!(script.unused(), 0);
}
