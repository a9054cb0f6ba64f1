//! What `doctor` says about a connection.

use super::*;
use crate::vendors::{Probe, ProbeResult, Verdict};

const ME: &str = r#"{"id":"cuuser_1","first_name":"Ana ","last_name":"Diaz","email":"ana@example.test"}"#;
const COMPANY: &str = r#"{"id":"cuacc_1","legal_name":"Acme Works","accountType":"BREX_CLASSIC"}"#;
const NO: &str = r#"{"type":"FORBIDDEN","message":"Insufficient scope"}"#;

fn verdicts(results: &[ProbeResult]) -> Vec<Verdict> {
    results.iter().map(|result| result.verdict).collect()
}

async fn examined(
    settings: Settings,
    records: Reply,
    me: Reply,
    fields: Reply,
) -> (Vec<ProbeResult>, Arc<Script>) {
    let (client, script) = client(
        settings,
        [
            ("brex.me", vec![me]),
            ("brex.company", vec![ok(COMPANY)]),
            ("brex.records", vec![records]),
            ("brex.expenses", vec![page(&[])]),
            ("brex.fields", vec![fields]),
        ],
    );
    (client.probe().await, script)
}

#[tokio::test(start_paused = true)]
async fn a_sound_connection_passes_and_its_token_was_used() {
    let (results, script) = examined(Settings::default(), page(&[]), ok(ME), page(&[])).await;
    assert_eq!(verdicts(&results), [Verdict::Pass; 4], "{results:?}");
    assert!(results[0].detail.contains("Ana Diaz") && results[1].detail.contains("Acme Works"));
    assert_eq!(script.notes.lock().unwrap()["last-use"], "2026-08-01");
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_fails_and_the_rest_is_skipped() {
    let dead = status(403, r#"{"type":"FORBIDDEN","message":"Expired token"}"#);
    let (results, script) = examined(Settings::default(), page(&[]), dead, page(&[])).await;
    assert_eq!(verdicts(&results), [Verdict::Fail, Verdict::Skipped, Verdict::Skipped, Verdict::Skipped]);
    assert!(results[0].fix.contains("purser secrets set card-key"));
    assert_eq!(script.operations(), ["me"]);
}

#[tokio::test(start_paused = true)]
async fn missing_scopes_are_named_and_the_rest_is_looked_at() {
    let (results, _) = examined(Settings::default(), page(&[]), status(403, NO), status(403, NO)).await;
    assert_eq!(verdicts(&results), [Verdict::Warn, Verdict::Pass, Verdict::Pass, Verdict::Warn]);
    assert!(results[0].fix.contains("users.readonly") && results[3].fix.contains("fields.read"));
}

#[tokio::test(start_paused = true)]
async fn a_surface_that_was_configured_and_is_not_granted_fails() {
    let (results, _) = examined(accounting(), status(403, NO), ok(ME), page(&[])).await;
    assert_eq!(results[2].verdict, Verdict::Fail);
    assert!(results[2].fix.contains("ask Brex"), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn a_right_that_was_granted_later_is_told_and_changes_nothing() {
    let (client, script) = client(
        Settings::default(),
        [
            ("brex.me", vec![ok(ME)]),
            ("brex.company", vec![ok(COMPANY)]),
            ("brex.records", vec![page(&[])]),
            ("brex.expenses", vec![page(&[])]),
            ("brex.fields", vec![page(&[])]),
        ],
    );
    script.notes.lock().unwrap().insert("surface".into(), "expenses".into());
    let results = client.probe().await;
    assert_eq!(results[2].verdict, Verdict::Warn);
    assert!(results[2].detail.contains("by now") && results[2].fix.contains("start"), "{results:?}");
    assert_eq!(script.notes.lock().unwrap()["surface"], "expenses");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_idle_for_weeks_is_told() {
    for (last, expected) in [("2026-07-06", Verdict::Warn), ("2026-07-08", Verdict::Pass)] {
        let (client, script) = client(
            accounting(),
            [
                ("brex.me", vec![ok(ME)]),
                ("brex.company", vec![ok(COMPANY)]),
                ("brex.records", vec![page(&[])]),
                ("brex.fields", vec![page(&[])]),
            ],
        );
        script.notes.lock().unwrap().insert("last-use".into(), last.into());
        assert_eq!(client.probe().await[0].verdict, expected, "{last}");
    }
}
