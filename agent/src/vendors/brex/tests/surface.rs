//! Which surface is read, and that it stays.

use super::*;
use crate::vendors::{SourceWindow, SpendSource, exported};
use spend::ids::SourceId;

const FORBIDDEN: &str =
    r#"{"error_code":"FORBIDDEN","message":"You do not have permission to perform this action."}"#;

fn ready() -> SourceWindow {
    SourceWindow::Ready { from: day("2026-07-01"), to: day("2026-08-01"), limit: 100 }
}

fn no_transactions() -> Settings {
    let mut settings = Settings::default();
    settings.expenses.card_transactions.clear();
    settings
}

#[tokio::test(start_paused = true)]
async fn the_accounting_surface_is_found_once_and_remembered() {
    let (client, script) = client(Settings::default(), [("brex.records", vec![page(&[])])]);
    client.read(&ready()).await.unwrap();
    client.read(&ready()).await.unwrap();
    assert_eq!(script.operations(), ["records"; 3], "one look at the surface, two reads");
    assert_eq!(script.notes.lock().unwrap()["surface"], "accounting");
    // After a restart the right is gone: nothing is read from elsewhere, where everything has another id.
    script.forget("brex.records");
    script.then("brex.records", [status(403, FORBIDDEN)]);
    let failure = again(Settings::default(), &script).read(&ready()).await.unwrap_err();
    assert!(matches!(failure.class, FailureClass::Rejected { .. }));
}

#[tokio::test(start_paused = true)]
async fn without_the_right_expenses_are_read_and_keep_being_read() {
    for refusal in
        [status(403, FORBIDDEN), status(404, r#"{"error_code":"NOT_FOUND","message":"Not Found"}"#)]
    {
        let (client, script) =
            client(no_transactions(), [("brex.records", vec![refusal]), ("brex.expenses", vec![page(&[])])]);
        let read = client.read(&ready()).await.unwrap();
        assert!(read.habits.keeps_no_mark);
        assert_eq!(script.notes.lock().unwrap()["surface"], "expenses");
        script.forget("brex.records");
        again(no_transactions(), &script).read(&ready()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_passing_fault_and_a_dead_credential_decide_nothing() {
    for (reply, class) in [
        (status(500, ""), FailureClass::Unavailable),
        (lost(FailureClass::Unavailable), FailureClass::Unavailable),
        (status(403, r#"{"message":"Expired token"}"#), FailureClass::Unauthorised),
    ] {
        let (client, script) = client(Settings::default(), [("brex.records", vec![reply])]);
        assert_eq!(client.read(&ready()).await.unwrap_err().class, class);
        assert!(!script.notes.lock().unwrap().contains_key("surface"));
    }
}

/// Sheet item: Brex 1
#[tokio::test(start_paused = true)]
async fn the_page_of_a_proxy_chooses_no_surface() {
    let page_of_a_proxy = "<html><body>Not here</body></html>";
    for reply in
        [status(403, page_of_a_proxy), status(404, page_of_a_proxy), status(403, ""), status(404, "no route")]
    {
        let answers = [("brex.records", vec![reply.clone()]), ("brex.expenses", vec![page(&[])])];
        let (client, script) = client(no_transactions(), answers);
        let failure = client.read(&ready()).await.unwrap_err();
        assert!(matches!(failure.class, FailureClass::Rejected { .. }), "{reply:?}: {failure}");
        assert!(!script.notes.lock().unwrap().contains_key("surface"), "{reply:?}");
        script.forget("brex.records");
        script.then("brex.records", [page(&[])]);
        assert!(!client.read(&ready()).await.unwrap().habits.keeps_no_mark, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_neither_right_both_refusals_are_told() {
    let no = || vec![status(403, FORBIDDEN)];
    let (client, _) = client(Settings::default(), [("brex.records", no()), ("brex.expenses", no())]);
    let failure = client.read(&ready()).await.unwrap_err();
    assert!(failure.message.contains("either"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn marking_where_no_mark_can_be_set_needs_no_call() {
    let (client, script) = client(on_expenses(), []);
    let ids = ["b", "a", "b"].map(SourceId::from);
    assert_eq!(client.acknowledge(&exported(&ids)).await.unwrap(), ["a", "b"].map(SourceId::from));
    assert!(script.sent().is_empty());
}
