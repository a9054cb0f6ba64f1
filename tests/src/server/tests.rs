//! Tests of the server with a simulator that only counts.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Reply, Request, Running, ServeOptions, SimClock, Simulator, TestCa, TlsIdentity, serve};
use crate::faults::{BodyKind, FaultAction, FaultMatch, FaultRule};

#[derive(Default)]
struct Counter {
    handled: u64,
}

impl Simulator for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn handle(&mut self, _: &Request) -> Reply {
        self.handled += 1;
        Reply::json(200, &json!({ "handled": self.handled, "text": "a body long enough to be cut in half" }))
    }

    fn state(&self) -> Value {
        json!({ "handled": self.handled })
    }

    fn control(&mut self, verb: &str, _: &Value) -> Result<Value, String> {
        self.handled = 0;
        if verb == "reset" { Ok(Value::Null) } else { Err("there is: reset".to_owned()) }
    }

    fn misuse(&self) -> Vec<String> {
        Vec::new()
    }
}

async fn running(tls: Option<TlsIdentity>) -> Running {
    let clock = SimClock::standing_at("2026-03-15T12:00:00Z".parse().unwrap());
    serve(Box::<Counter>::default(), ServeOptions { tls, clock, ..ServeOptions::default() }).await.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a plain client, so that the server is tested alone")]
fn client(ca: Option<&TestCa>) -> reqwest::Client {
    // Another test may have installed the provider already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy();
    match ca {
        None => builder.build().unwrap(),
        Some(ca) => {
            let root = reqwest::Certificate::from_pem(ca.pem.as_bytes()).unwrap();
            builder.tls_certs_only([root]).build().unwrap()
        }
    }
}

fn once(action: FaultAction) -> [FaultRule; 1] {
    [FaultRule::once(FaultMatch::default(), action)]
}

#[tokio::test]
async fn cut_calls_are_committed_before_after_or_never_as_the_fault_says() {
    let run = running(None).await;
    let http = client(None);
    run.faults(once(FaultAction::CutBeforeCommit));
    assert!(http.get(run.url()).send().await.is_err());
    assert_eq!(run.state()["handled"], 0);
    run.faults(once(FaultAction::CutAfterCommit));
    assert!(http.post(run.url()).send().await.is_err());
    assert_eq!(run.state()["handled"], 1);
    run.faults(once(FaultAction::LateCommit { after_seconds: 60, hang: false }));
    assert!(http.post(run.url()).send().await.is_err());
    assert_eq!((&run.state()["handled"], run.pending_commits()), (&json!(1), 1));
    run.advance_clock(TimeDelta::seconds(61));
    while run.pending_commits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(run.state()["handled"], 2);
}

#[tokio::test]
async fn half_truncated_malformed_and_huge_bodies_are_what_they_say() {
    let run = running(None).await;
    let http = client(None);
    run.faults(once(FaultAction::HalfAnswer));
    let answer = http.get(run.url()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.is_err());
    for action in [FaultAction::TruncatedBody, FaultAction::MalformedBody] {
        run.faults(once(action));
        let bytes = http.get(run.url()).send().await.unwrap().bytes().await.unwrap();
        assert!(!bytes.is_empty() && serde_json::from_slice::<Value>(&bytes).is_err());
    }
    run.faults(once(FaultAction::GzipBomb { mebibytes: 3 }));
    let bomb = http.get(run.url()).send().await.unwrap();
    assert_eq!(bomb.bytes().await.unwrap().len(), 3 * 1024 * 1024);
}

#[tokio::test]
async fn statuses_relogin_and_maintenance_do_not_reach_the_simulator() {
    let run = running(None).await;
    let http = client(None);
    run.faults(once(FaultAction::Status {
        code: 429,
        retry_after: Some("7".to_owned()),
        body: BodyKind::Html,
    }));
    let answer = http.get(run.url()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    run.faults(once(FaultAction::UnauthorizedUntilRelogin));
    for expected in [401, 401] {
        assert_eq!(http.get(run.url()).send().await.unwrap().status(), expected);
    }
    let login = format!("{}/TokenResource.svc/", run.url());
    assert_eq!(http.post(login).send().await.unwrap().status(), 200);
    assert_eq!(http.get(run.url()).send().await.unwrap().status(), 200);
    run.faults(once(FaultAction::Maintenance { seconds: 10 }));
    for expected in [503, 503] {
        assert_eq!(http.get(run.url()).send().await.unwrap().status(), expected);
    }
    assert_eq!(run.state()["handled"], 2);
    run.advance_clock(TimeDelta::seconds(11));
    assert_eq!(http.get(run.url()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn rules_choose_the_nth_and_each_nth_matching_call() {
    let run = running(None).await;
    let http = client(None);
    let status = |code| FaultAction::Status { code, retry_after: None, body: BodyKind::Empty };
    run.faults([
        FaultRule::always(FaultMatch::path("/a").nth(2), status(500)),
        FaultRule::always(FaultMatch { every: Some(2), ..FaultMatch::path("/b") }, status(502)),
    ]);
    let mut seen = Vec::new();
    for path in ["a", "a", "a", "b", "b", "b", "b"] {
        let answer = http.get(format!("{}/{path}", run.url())).send().await.unwrap();
        seen.push(answer.status().as_u16());
    }
    assert_eq!(seen, [200, 500, 200, 200, 502, 200, 502]);
}

#[tokio::test]
async fn admin_interface_shows_and_steers() {
    let run = running(None).await;
    let http = client(None);
    let admin = |path: &str| format!("{}/_sandbox/{path}", run.url());
    let rule = r#"{"match":{"path_contains":"/x"},"times":1,"action":{"kind":"status","code":418}}"#;
    assert_eq!(http.post(admin("faults")).body(rule).send().await.unwrap().status(), 200);
    assert_eq!(
        http.post(admin("faults")).body(r#"{"action":{"kind":"nope"}}"#).send().await.unwrap().status(),
        400
    );
    let call = http.post(format!("{}/x?api-key=hush", run.url())).header("authorization", "Basic hush");
    assert_eq!(call.body(r#"{"password":"hush"}"#).send().await.unwrap().status(), 418);
    let journal = http.get(admin("journal")).send().await.unwrap().text().await.unwrap();
    assert!(!journal.contains("hush") && journal.contains("\"fault\":\"status\""), "{journal}");
    let moved = http.post(admin("clock")).body(r#"{"skew_seconds":3600}"#).send().await.unwrap();
    assert_eq!(moved.headers()["date"], "Sun, 15 Mar 2026 13:00:00 GMT");
    assert_eq!(http.post(admin("control/nope")).send().await.unwrap().status(), 400);
    assert_eq!(http.post(admin("reset")).send().await.unwrap().status(), 200);
    assert!(run.journal().is_empty());
    for path in ["health", "state", "misuse", "faults"] {
        assert_eq!(http.get(admin(path)).send().await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn only_the_good_certificate_is_accepted() {
    let ca = TestCa::new().unwrap();
    let http = client(Some(&ca));
    let good = running(Some(ca.issue(&["127.0.0.1", "localhost"]).unwrap())).await;
    assert_eq!(http.get(good.url()).send().await.unwrap().status(), 200);
    for bad in [
        ca.issue_expired(&["127.0.0.1"]).unwrap(),
        ca.issue(&["erp.example.test"]).unwrap(),
        TlsIdentity::self_signed(&["127.0.0.1"]).unwrap(),
    ] {
        let run = running(Some(bad)).await;
        assert!(http.get(run.url()).send().await.is_err());
        assert_eq!(run.state()["handled"], 0);
    }
}

#[tokio::test]
async fn stopped_server_refuses_connections() {
    let run = running(None).await;
    let url = run.url();
    let http = client(None);
    assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
    run.stop();
    while http.get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}
