//! Reading accounting records: bounds, pages, states.

use super::*;
use crate::vendors::{SourcePage, SourceWindow, SpendSource};
use spend::ids::SourceId;

fn ready(limit: u32) -> SourceWindow {
    SourceWindow::Ready { from: day("2026-07-01"), to: day("2026-08-01"), limit }
}

fn ids(page: &SourcePage) -> Vec<&str> {
    page.documents.iter().map(|document| document.source_id.as_str()).collect()
}

fn numbered(numbers: std::ops::Range<u32>) -> Vec<Value> {
    numbers.map(|n| record(&format!("accr_{n}"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_always_bounded_and_never_asks_for_more_than_a_hundred() {
    let (client, script) = client(accounting(), [("brex.records", vec![page(&[])])]);
    client.read(&ready(1_000)).await.unwrap();
    let past = SourceWindow::Ready { from: day("2026-07-01"), to: day("2026-07-10"), limit: 7 };
    client.read(&past).await.unwrap();
    client.read(&SourceWindow::Period { from: day("2026-07-01"), to: day("2026-07-10") }).await.unwrap();
    let sent = script.sent();
    assert_eq!(sent[0].asked("updated_at[gte]"), ["2026-07-01T00:00:00Z"]);
    assert_eq!(sent[0].asked("updated_at[lt]"), [""; 0], "up to today means up to now");
    assert_eq!(
        (sent[0].asked("limit"), sent[0].asked("review_status")),
        (vec!["100"], vec!["READY_FOR_EXPORT"])
    );
    assert_eq!(sent[1].asked("updated_at[lt]"), ["2026-07-11T00:00:00Z"]);
    assert_eq!(sent[1].asked("limit"), ["7"]);
    assert_eq!(sent[2].asked("updated_at[gte]"), ["2026-05-31T00:00:00Z"], "a posting date may lie ahead");
    assert_eq!(sent[2].asked("review_status"), [""; 0]);
    assert!(sent.iter().all(|sent| sent.headers["authorization"] == "Bearer [secret]"));
}

#[tokio::test(start_paused = true)]
async fn records_keep_their_mark_and_want_the_wide_look() {
    for days in [400, 0] {
        let settings = Settings { sweep_days: days, ..accounting() };
        let (client, _) = client(settings, [("brex.records", vec![page(&[])])]);
        let habits = client.read(&ready(10)).await.unwrap().habits;
        assert_eq!((habits.keeps_no_mark, habits.sweep_days), (false, days));
    }
}

/// Sheet item: Brex 5
#[tokio::test(start_paused = true)]
async fn pages_end_however_the_end_is_said_and_items_count_once() {
    let last = |end: &str| ok(format!(r#"{{"items":[{},{}]{end}}}"#, record("accr_2"), record("accr_3")));
    for end in [
        "",
        r#","next_cursor":null"#,
        r#","next_cursor":"""#,
        r#","next_cursor":"c9","has_next_page":false"#,
        r#","has_next_page":true"#,
        r#","has_next_page":null,"total_count":null"#,
    ] {
        let answers = vec![page_then(&numbered(1..3), "c1"), page_then(&[], "c2"), last(end)];
        let (client, script) = client(accounting(), [("brex.records", answers)]);
        let read = client.read(&ready(100)).await.unwrap();
        assert_eq!((ids(&read), read.more), (vec!["accr_1", "accr_2", "accr_3"], false), "{end}");
        let cursors: Vec<_> = script.sent().iter().map(|s| s.asked("cursor").join(",")).collect();
        assert_eq!(cursors, ["", "c1", "c2"]);
        assert!(script.sent().iter().all(|sent| sent.asked("review_status") == ["READY_FOR_EXPORT"]));
    }
}

/// Sheet item: Brex 5
#[tokio::test(start_paused = true)]
async fn a_list_that_never_ends_is_given_up() {
    let same = page_then(&numbered(1..3), "c1");
    let endless: Vec<Reply> = (0..200).map(|n| page_then(&[], &format!("c{n}"))).collect();
    for answers in [vec![same], endless] {
        let (client, script) = client(accounting(), [("brex.records", answers)]);
        let failure = client.read(&ready(1_000)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unavailable);
        assert!(failure.message.contains("never ends"), "{failure}");
        assert!(script.sent().len() < 30);
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_the_limit_is_answered_and_more_is_said() {
    let answers = || vec![page_then(&numbered(0..100), "c1"), page_then(&numbered(100..200), "c2")];
    let (client, script) = client(accounting(), [("brex.records", answers())]);
    let read = client.read(&ready(150)).await.unwrap();
    assert_eq!((read.documents.len(), read.more, script.sent().len()), (150, true, 2));
    let (client, script) = super::client(accounting(), [("brex.records", answers())]);
    let read = client.read(&ready(100)).await.unwrap();
    assert_eq!((read.documents.len(), read.more, script.sent().len()), (100, true, 1));
}

/// Sheet item: Brex 3
#[tokio::test(start_paused = true)]
async fn a_passing_fault_in_the_middle_of_a_list_is_waited_out() {
    let answers = vec![
        page_then(&numbered(0..2), "c1"),
        status(500, ""),
        status(429, ""),
        lost(FailureClass::Unavailable),
        page(&numbered(2..4)),
    ];
    let (client, script) = client(accounting(), [("brex.records", answers)]);
    assert_eq!(client.read(&ready(100)).await.unwrap().documents.len(), 4);
    assert_eq!(script.sent().len(), 5);
    // At the first page nothing is lost by coming back later.
    let (client, script) = super::client(accounting(), [("brex.records", vec![status(500, "")])]);
    assert!(client.read(&ready(100)).await.is_err());
    assert_eq!(script.sent().len(), 1);
}

/// Sheet items: Brex 6, 8
#[tokio::test(start_paused = true)]
async fn other_states_and_ignored_types_are_left_alone_and_unknown_types_are_held() {
    let mut items = numbered(0..5);
    items[1]["review_status"] = "REVIEW".into();
    items[2]["review_status"] = "EXPORTED".into();
    items[3]["type"] = "CARD_PAYMENT".into();
    items[4]["type"] = "BRAND_NEW".into();
    let settings = Settings { ignored_types: ["CARD_PAYMENT".to_owned()].into(), ..accounting() };
    let (client, _) = client(settings, [("brex.records", vec![page(&items)])]);
    let read = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&read), ["accr_0"]);
    assert_eq!(read.unreadable.len(), 1);
    assert_eq!(read.unreadable[0].source_id, Some(SourceId::from("accr_4")));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_cannot_be_read_does_not_stop_the_others() {
    let mut items = numbered(0..3);
    items[0]["line_items"] = "none".into();
    items[1] = json!(7);
    let (client, _) = client(accounting(), [("brex.records", vec![page(&items)])]);
    let read = client.read(&ready(100)).await.unwrap();
    assert_eq!(ids(&read), ["accr_2"]);
    assert_eq!(read.unreadable[0].source_id, Some(SourceId::from("accr_0")));
    assert_eq!(read.unreadable[1].source_id, None, "said without an id, so the mark stays");
}

#[tokio::test(start_paused = true)]
async fn a_period_is_cut_out_by_posting_date_whatever_the_mark() {
    let mut items = numbered(0..5);
    for (item, (date, state)) in items.iter_mut().zip([
        ("2026-06-30T23:59:59Z", "EXPORTED"),
        ("2026-07-01T00:00:00Z", "EXPORTED"),
        ("2026-07-10T23:59:59Z", "READY_FOR_EXPORT"),
        ("2026-07-11T00:00:00Z", "READY_FOR_EXPORT"),
        ("2026-07-05T00:00:00Z", "REVIEW"),
    ]) {
        item["erp_posting_date"] = date.into();
        item["review_status"] = state.into();
    }
    let (client, _) = client(accounting(), [("brex.records", vec![page(&items)])]);
    let window = SourceWindow::Period { from: day("2026-07-01"), to: day("2026-07-10") };
    assert_eq!(ids(&client.read(&window).await.unwrap()), ["accr_1", "accr_2"]);
}

/// Sheet items: Brex 8, 10, 11
#[tokio::test(start_paused = true)]
async fn six_hundred_named_records_are_read_in_lists_of_a_hundred_each_once() {
    let all = numbered(0..600);
    let answers = all.chunks(100).map(page).collect();
    let (client, script) = client(accounting(), [("brex.records-by-id", answers)]);
    let mut named: Vec<SourceId> = (0..600).map(|n| SourceId::new(format!("accr_{n}"))).collect();
    named.push(SourceId::from("no id, \"at all\""));
    let read = client.read(&SourceWindow::Ids(named)).await.unwrap();
    assert_eq!((read.documents.len(), read.unreadable.len()), (600, 1));
    assert_eq!(script.sent().len(), 6);
    assert!(
        script
            .sent()
            .iter()
            .all(|sent| sent.asked("ids").len() == 100 && sent.asked("updated_at[gte]").len() == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn where_an_unknown_id_spoils_the_list_records_are_read_one_by_one() {
    let (client, script) = client(
        accounting(),
        [
            ("brex.records-by-id", vec![status(404, r#"{"error_code":"NOT_FOUND","message":"x"}"#)]),
            ("brex.record", vec![told(&record("accr_1")), status(404, "{}")]),
        ],
    );
    let named = ["accr_1", "accr_9"].map(SourceId::from).to_vec();
    assert_eq!(ids(&client.read(&SourceWindow::Ids(named)).await.unwrap()), ["accr_1"]);
    assert_eq!(script.of("brex.record")[0].path, "/v3/accounting/records/accr_1");
}

#[tokio::test(start_paused = true)]
async fn records_that_were_not_asked_for_are_not_slipped_in() {
    let (client, _) = client(accounting(), [("brex.records-by-id", vec![page(&numbered(0..5))])]);
    let named = vec![SourceId::from("accr_3")];
    assert_eq!(ids(&client.read(&SourceWindow::Ids(named)).await.unwrap()), ["accr_3"]);
}

/// Sheet item: Brex 1
#[tokio::test(start_paused = true)]
async fn the_host_is_the_configured_one_with_whatever_path() {
    let script = Arc::new(Script::default());
    script.then("brex.records", [page(&[])]);
    let mut client = again(accounting(), &script);
    client.base = Url::parse("https://gateway.example.test/brex/").unwrap();
    client.read(&ready(1)).await.unwrap();
    assert_eq!(script.sent()[0].path, "/brex/v3/accounting/records");
}

/// Sheet item: Brex 12
#[tokio::test(start_paused = true)]
async fn addresses_of_receipts_are_kept_nowhere() {
    let (client, _) = client(accounting(), [("brex.records", vec![page(&numbered(0..1))])]);
    let read = client.read(&ready(9)).await.unwrap();
    assert!(!serde_json::to_string(&read).unwrap().contains("files.example.test"));
}
