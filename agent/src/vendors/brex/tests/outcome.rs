//! What refusals mean, in either shape and on any route.

use super::super::calls::{self, Changed};
use super::super::outcome::Denied;
use super::*;
use crate::vendors::{SourceWindow, SpendSource};
use spend::ids::SourceId;

fn ready() -> SourceWindow {
    SourceWindow::Ready { from: day("2026-07-01"), to: day("2026-08-01"), limit: 100 }
}

async fn failure_of(answers: Vec<Reply>, me: Vec<Reply>) -> Failure {
    let (client, _) = client(accounting(), [("brex.records", answers), ("brex.me", me)]);
    client.read(&ready()).await.unwrap_err()
}

/// Sheet items: Brex 1, 2
#[tokio::test(start_paused = true)]
async fn a_dead_credential_is_told_by_its_words_whatever_the_status() {
    for (code, body) in [
        (403, r#"{"type":"FORBIDDEN","message":"Expired token"}"#),
        (403, r#"{"error_code":"FORBIDDEN","message":"Expired token","details":null}"#),
        (401, r#"{"type":"UNAUTHORIZED","message":"PERMISSION_DENIED: Invalid or Revoked Token"}"#),
        (401, r#"{"error_code":"UNAUTHORIZED","message":"Invalid or Revoked Token"}"#),
    ] {
        let failure = failure_of(vec![status(code, body)], vec![]).await;
        assert_eq!(failure.class, FailureClass::Unauthorised, "{body}");
        assert!(failure.message.contains("purser secrets set card-key"), "{failure}");
    }
}

/// Sheet item: Brex 2
#[tokio::test(start_paused = true)]
async fn a_missing_role_or_scope_is_no_dead_credential() {
    for (code, body) in [
        (401, r#"{"type":"UNAUTHORIZED","message":"Must be cash admin, bookkeeper or user."}"#),
        (
            401,
            r#"{"type":"UNAUTHORIZED","message":"Only account admin, ap clerks and bookkeepers can access contacts"}"#,
        ),
        (403, r#"{"error_code":"FORBIDDEN","message":"You do not have permission to perform this action."}"#),
        (403, ""),
        (403, "<html>blocked</html>"),
    ] {
        let failure = failure_of(vec![status(code, body)], vec![]).await;
        assert!(matches!(failure.class, FailureClass::Rejected { .. }), "{code} {body}: {failure:?}");
    }
}

/// Sheet item: Brex 2
#[tokio::test(start_paused = true)]
async fn a_refusal_that_says_neither_is_settled_by_the_plainest_read() {
    let unclear = [
        r#"{"error_code":"UNAUTHORIZED","message":"Authentication credentials are missing or invalid."}"#,
        "",
        "<html>401</html>",
    ];
    for body in unclear {
        let alive = failure_of(vec![status(401, body)], vec![ok(r#"{"id":"cuuser_1"}"#)]).await;
        assert!(matches!(alive.class, FailureClass::Rejected { .. }), "{body}: {alive:?}");
        let no_scope = status(403, r#"{"type":"FORBIDDEN","message":"Insufficient scope"}"#);
        let alive = failure_of(vec![status(401, body)], vec![no_scope]).await;
        assert!(matches!(alive.class, FailureClass::Rejected { .. }), "{body}: {alive:?}");
        let dead = failure_of(vec![status(401, body)], vec![status(401, body)]).await;
        assert_eq!(dead.class, FailureClass::Unauthorised, "{body}");
        let unknown = failure_of(vec![status(401, body)], vec![status(503, "")]).await;
        assert_eq!(unknown.class, FailureClass::Unavailable, "what cannot be told decides nothing");
    }
}

/// Sheet items: Brex 1, 3
#[tokio::test(start_paused = true)]
async fn faults_of_the_server_pass_and_leave_writes_in_doubt() {
    for body in [
        r#"{"error_code":"INTERNAL_ERROR","message":"An unexpected error occurred.","details":null}"#,
        r#"{"type":"INTERNAL","message":"oops"}"#,
        "<html>502 Bad Gateway</html>",
        "",
    ] {
        for code in [500, 502, 503, 504] {
            let failure = failure_of(vec![status(code, body)], vec![]).await;
            assert_eq!(failure.class, FailureClass::Unavailable, "{code} {body}");
        }
    }
    for broken in ["<html>200</html>", "{\"items\":[", "null and void"] {
        let failure = failure_of(vec![ok(broken)], vec![]).await;
        assert_eq!(failure.class, FailureClass::Unavailable, "{broken}");
    }
    // Nor does a look say what became of it.
    let (client, _) = client(
        accounting(),
        [("brex.report-failure", vec![status(500, "")]), ("brex.records-by-id", vec![status(500, "")])],
    );
    let failure = client.report_failure(&SourceId::from("accr_1"), "no").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::InDoubt);
}

/// Sheet item: Brex 3
#[tokio::test(start_paused = true)]
async fn too_many_calls_without_a_time_back_off_further_each_time() {
    let (client, script) = client(accounting(), [("brex.records", vec![status(429, "")])]);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let FailureClass::Throttled { until } = client.read(&ready()).await.unwrap_err().class else {
            panic!("throttled")
        };
        waits.push((until - at()).num_milliseconds());
    }
    assert!((500..=1_000).contains(&waits[0]) && (30_000..=60_000).contains(&waits[8]), "{waits:?}");
    let mut told = answer(429, "<html>");
    told.headers.insert("retry-after".into(), "7".into());
    script.forget("brex.records");
    script.then("brex.records", [Ok(told)]);
    let FailureClass::Throttled { until } = client.read(&ready()).await.unwrap_err().class else { panic!() };
    assert_eq!((until - at()).num_seconds(), 7);
}

#[tokio::test(start_paused = true)]
async fn refusals_carry_the_code_the_details_and_the_trace() {
    let mut refused =
        answer(422, r#"{"error_code":"X","message":"no","details":{"list":["a",7,"b"],"text":"t"}}"#);
    refused.headers.insert("x-brex-trace-id".into(), "abc123".into());
    let (client, _) = client(accounting(), [("brex.records", vec![Ok(refused)])]);
    let changed = Changed { from: day("2026-07-01"), before: None };
    let refusal = client.send(&calls::records(None, &changed, 1)).await.unwrap_err();
    assert_eq!((refusal.status, refusal.code.as_str(), refusal.denied), (422, "X", None::<Denied>));
    assert_eq!(
        (refusal.ids("list"), refusal.detail("text")),
        (vec!["a".to_owned(), "b".to_owned()], Some("t"))
    );
    assert!(refusal.failure.message.contains("trace abc123"), "{}", refusal.failure);
}

#[tokio::test(start_paused = true)]
async fn redirects_and_foreign_pages_name_the_address() {
    for (code, body) in [(302, ""), (404, "<html>not here</html>")] {
        let failure = failure_of(vec![status(code, body)], vec![]).await;
        assert!(failure.message.contains("`url`"), "{failure}");
    }
}
