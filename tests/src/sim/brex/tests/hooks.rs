//! Webhooks: subscriptions, signatures, retries on the simulator's clock, and deliveries as a file.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// A simulator with a subscribed receiver on this machine.
struct Line {
    rig: Rig,
    inbox: Running,
    id: String,
}

impl Line {
    async fn with(change: impl FnOnce(&mut BrexKnobs)) -> Self {
        let rig = Rig::with(change).await;
        let inbox = serve(Box::<Inbox>::default(), ServeOptions::default()).await.unwrap();
        let url = format!("{}/hooks/brex", inbox.url());
        let body = json!({"url": url, "event_types": [webhooks::READY, "USER_UPDATED"]});
        let made = rig.keyed("POST", "/v1/webhooks", &body, 900).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        Self { rig, inbox, id }
    }

    /// Makes records ready that were not.
    async fn make_ready(&self, count: usize) -> Vec<String> {
        let ids: Vec<String> = self.rig.ready_ids().await.into_iter().take(count).collect();
        self.rig.control("review", json!({"ids": ids}));
        self.rig.control("ready", json!({"ids": ids}));
        ids
    }

    async fn received(&self) -> Vec<Value> {
        self.rig.run.delivered().await;
        self.inbox.state()["received"].as_array().unwrap().clone()
    }

    fn answer(&self, status: u16) {
        self.inbox.control("answer", &json!({"status": status})).unwrap();
    }

    fn fates(&self) -> Value {
        self.rig.run.state()["deliveries"].clone()
    }

    async fn secrets(&self) -> Vec<String> {
        texts(self.rig.ok("/v1/webhooks/secrets").await.as_array().unwrap(), "secret")
    }
}

/// What a receiver does: the signature is computed anew from the exact bytes.
fn verifies(call: &Value, secret: &str, family: &str) -> bool {
    let header =
        |name: &str| call["headers"][format!("{family}-{name}")].as_str().unwrap_or_default().to_owned();
    let body = STANDARD.decode(call["body_base64"].as_str().unwrap()).unwrap();
    let key =
        hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap());
    let content = [format!("{}.{}.", header("id"), header("timestamp")).as_bytes(), &body].concat();
    header("signature")
        .split(' ')
        .filter_map(|item| item.strip_prefix("v1,"))
        .filter_map(|item| STANDARD.decode(item).ok())
        .any(|tag| hmac::verify(&key, &content, &tag).is_ok())
}

/// The pair of values that Svix documents for its own libraries.
#[test]
fn the_signature_is_the_documented_one() {
    let body = br#"{"test": 2432232314}"#;
    let signed = webhooks::signature(
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        body,
    );
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

/// Sheet item: Brex 23
#[tokio::test]
async fn records_that_become_ready_are_told_in_one_signed_event() {
    let line = Line::with(|_| {}).await;
    let ids = line.make_ready(3).await;
    let received = line.received().await;
    assert_eq!(received.len(), 1);
    let (call, body) = (&received[0], &received[0]["body"]);
    assert_eq!((&call["path"], &body["event_type"]), (&json!("/hooks/brex"), &json!(webhooks::READY)));
    assert_eq!(body["accountingRecordIds"], json!(ids));
    assert_eq!(body["companyId"], line.rig.ok("/v2/company").await["id"]);
    assert!(call["headers"]["user-agent"].as_str().unwrap().starts_with("Svix-Webhooks/"));
    assert_eq!(call["headers"]["webhook-timestamp"], noon().timestamp().to_string());
    let secret = line.secrets().await.remove(0);
    assert!(verifies(call, &secret, "webhook") && !verifies(call, &STANDARD.encode([1; 32]), "webhook"));
    assert!(call["headers"].get("svix-id").is_none());
    assert_eq!(line.fates()["delivered"], 1);
    line.rig.no_misuse();
}

/// Sheet item: Brex 23
#[tokio::test]
async fn many_records_are_coalesced_and_split_into_events_of_a_size() {
    let line = Line::with(|knobs| (knobs.coalesce_s, knobs.ids_per_event) = (30, 4)).await;
    for _ in 0..2 {
        line.make_ready(5).await;
    }
    assert_eq!(line.received().await.len(), 0);
    line.rig.control("announce", json!({}));
    line.rig.run.advance_clock(TimeDelta::seconds(30));
    let received = line.received().await;
    let ids: Vec<usize> =
        received.iter().map(|call| call["body"]["accountingRecordIds"].as_array().unwrap().len()).collect();
    assert_eq!(ids.iter().sum::<usize>(), line.rig.ready_ids().await.len());
    assert!(ids.len() > 10 && ids[..ids.len() - 1].iter().all(|count| *count == 4));
}

/// Sheet item: Brex 23
#[tokio::test]
async fn after_a_rotation_two_secrets_sign_until_the_old_one_ends() {
    let line = Line::with(|knobs| {
        knobs.webhook_headers = WebhookHeaders::Svix;
        (knobs.secret_prefix, knobs.other_signatures) = (true, true);
    })
    .await;
    let old = line.secrets().await.remove(0);
    assert!(old.starts_with("whsec_"));
    let listed = line.rig.control("rotate-secret", json!({}));
    assert_eq!(texts(listed.as_array().unwrap(), "status"), ["ACTIVE", "PENDING_REVOKE"]);
    let new = line.secrets().await.remove(0);
    line.make_ready(1).await;
    let received = line.received().await;
    assert!(verifies(&received[0], &old, "svix") && verifies(&received[0], &new, "svix"));
    let items = received[0]["headers"]["svix-signature"].as_str().unwrap().to_owned();
    assert!(items.starts_with("v1a,") && items.ends_with(" nonsense") && items.matches("v1,").count() == 2);
    line.rig.run.advance_clock(TimeDelta::hours(24));
    assert_eq!(line.secrets().await, std::slice::from_ref(&new));
    line.make_ready(1).await;
    let received = line.received().await;
    assert!(!verifies(&received[1], &old, "svix") && verifies(&received[1], &new, "svix"));
}

/// Sheet item: Brex 23
#[tokio::test]
async fn a_failed_delivery_comes_again_on_schedule_with_the_same_id_and_a_new_signature() {
    let line = Line::with(|_| {}).await;
    line.answer(500);
    line.make_ready(1).await;
    let waits = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
    for (index, wait) in waits.into_iter().enumerate() {
        assert_eq!(line.received().await.len(), index + 1);
        line.rig.run.advance_clock(TimeDelta::seconds(wait - 1));
        assert_eq!(line.received().await.len(), index + 1);
        line.rig.run.advance_clock(TimeDelta::seconds(1));
    }
    let received = line.received().await;
    assert_eq!(received.len(), waits.len() + 1);
    assert_eq!(received[0]["headers"]["webhook-id"], received[7]["headers"]["webhook-id"]);
    assert_ne!(received[0]["headers"]["webhook-signature"], received[7]["headers"]["webhook-signature"]);
    let secret = line.secrets().await.remove(0);
    assert!(received.iter().all(|call| verifies(call, &secret, "webhook")));
    assert_eq!((&line.fates()["failed"], &line.fates()["attempts"]), (&json!(1), &json!(8)));
    line.rig.run.advance_clock(TimeDelta::days(2));
    assert_eq!(line.received().await.len(), 8, "there is no further attempt");
}

#[tokio::test]
async fn an_endpoint_on_https_is_checked_and_one_that_is_gone_counts_as_a_failure() {
    let ca = crate::server::TestCa::new().unwrap();
    let tls = || Some(ca.issue(&["127.0.0.1"]).unwrap());
    let inbox =
        serve(Box::<Inbox>::default(), ServeOptions { tls: tls(), ..ServeOptions::default() }).await.unwrap();
    let rig = Rig::new().await;
    let body = json!({"url": format!("{}/x?y=1", inbox.url()), "event_types": ["USER_UPDATED"]});
    assert_eq!(rig.keyed("POST", "/v1/webhooks", &body, 1).await.status, 200);
    let event = json!({"body": {"event_type": "USER_UPDATED", "user_id": "u"}});
    rig.control("event", event.clone());
    rig.run.delivered().await;
    assert_eq!(rig.run.state()["deliveries"]["pending"], 1, "its authority is not known");
    rig.control("knobs", json!({"webhook_ca": ca.pem}));
    rig.run.advance_clock(TimeDelta::seconds(5));
    rig.run.delivered().await;
    assert_eq!(rig.run.state()["deliveries"]["delivered"], 1);
    assert_eq!(inbox.state()["received"][0]["path"], "/x");
    let address = inbox.address();
    inbox.stop();
    // The listener is closed by a task of its own.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    rig.control("event", event);
    rig.run.delivered().await;
    let deliveries = rig.control("deliveries", json!({}));
    assert_eq!(deliveries[1]["attempts"], json!([{"at": "2026-11-21T12:00:05Z", "status": null}]));
}

/// Sheet item: Brex 23
#[tokio::test]
async fn five_days_of_failures_or_one_410_disable_the_endpoint_until_it_is_put_back() {
    let line = Line::with(|_| {}).await;
    let status = async || line.rig.ok(&format!("/v1/webhooks/{}", line.id)).await["status"].clone();
    line.answer(302);
    for _ in 0..6 {
        line.make_ready(1).await;
        line.received().await;
        line.rig.run.advance_clock(TimeDelta::days(1));
        line.received().await;
    }
    assert_eq!(status().await, "ERROR");
    let before = line.received().await.len();
    line.make_ready(1).await;
    assert_eq!(line.received().await.len(), before);
    let url = format!("{}/hooks/brex", line.inbox.url());
    let path = format!("/v1/webhooks/{}", line.id);
    let incomplete = json!({"url": url, "status": "ACTIVE"});
    assert_eq!(
        line.rig.send("PUT", &path, Some(&incomplete), &[]).await.status,
        400,
        "all three are required"
    );
    let whole = json!({"url": url, "event_types": [webhooks::READY], "status": "ACTIVE"});
    assert_eq!(line.rig.send("PUT", &path, Some(&whole), &[]).await.status, 200);
    line.answer(410);
    line.make_ready(1).await;
    line.received().await;
    assert_eq!(status().await, "ERROR");
}

/// Sheet item: Brex 23
#[tokio::test]
async fn deliveries_are_doubled_held_reordered_and_dropped_on_demand() {
    let line = Line::with(|knobs| knobs.duplicates = 1).await;
    line.make_ready(1).await;
    let received = line.received().await;
    assert_eq!(received.len(), 2);
    assert_eq!(received[0]["headers"]["webhook-id"], received[1]["headers"]["webhook-id"]);
    let rig = &line.rig;
    rig.control("knobs", json!({"duplicates": 0, "hold": true, "reorder": true}));
    for user in 0..3 {
        let body =
            json!({"event_type": "USER_UPDATED", "user_id": user.to_string(), "company_id": "cuacc_other"});
        rig.control("event", json!({ "body": body }));
    }
    assert_eq!(line.received().await.len(), 2);
    rig.control("knobs", json!({"hold": false}));
    let received = line.received().await;
    let users: Vec<&str> =
        received[2..].iter().map(|call| call["body"]["user_id"].as_str().unwrap()).collect();
    assert_eq!(users, ["2", "1", "0"]);
    rig.control("knobs", json!({"drop": true}));
    line.make_ready(1).await;
    assert_eq!(line.received().await.len(), 5);
    assert_eq!(line.fates()["dropped"], 1);
    // What nobody subscribed to is not sent.
    rig.control("knobs", json!({"drop": false}));
    rig.control("event", json!({"body": {"event_type": "TRANSFER_FAILED"}}));
    assert_eq!(line.received().await.len(), 5);
    assert_eq!(line.fates()["recorded"], 1);
}

/// Sheet item: Brex 23
#[tokio::test]
async fn deliveries_are_written_to_a_file_right_and_wrong() {
    let rig = Rig::new().await;
    let body = json!({"url": "https://hooks.example.test/t/1", "event_types": [webhooks::READY]});
    assert_eq!(rig.keyed("POST", "/v1/webhooks", &body, 1).await.status, 200);
    rig.control("announce", json!({}));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deliveries.jsonl");
    let secret = rig.ok("/v1/webhooks/secrets").await[0]["secret"].as_str().unwrap().to_owned();
    let write = |alter: &str| -> Vec<Value> {
        let told = rig.control("write-deliveries", json!({"file": file, "alter": alter}));
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told["written"], lines.len());
        lines
    };
    let good = write("none");
    assert!(good.len() > 1 && good.iter().all(|line| verifies(line, &secret, "webhook")));
    assert_eq!(good[0]["received_at"], wire::seconds(noon()));
    let raw = STANDARD.decode(good[0]["body_base64"].as_str().unwrap()).unwrap();
    let event: Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(event["accountingRecordIds"].as_array().unwrap().len(), 50);
    for alter in ["body", "secret", "time", "version", "headerless", "mixed"] {
        assert!(write(alter).iter().all(|line| !verifies(line, &secret, "webhook")), "{alter}");
    }
    for (alter, seconds) in [("stale", -600), ("ahead", 600)] {
        let line = write(alter).remove(0);
        let stamp: i64 = line["headers"]["webhook-timestamp"].as_str().unwrap().parse().unwrap();
        assert!(verifies(&line, &secret, "webhook"));
        assert_eq!(stamp - noon().timestamp(), seconds);
    }
    assert!(rig.run.control("write-deliveries", &json!({"file": file, "alter": "x"})).is_err());
    assert_eq!(rig.run.state()["deliveries"]["recorded"], good.len());
}

/// Sheet items: Brex 16, 23
#[tokio::test]
async fn one_endpoint_for_each_account_public_and_on_https() {
    let rig = Rig::new().await;
    let wish = |url: &str, event: &str| json!({"url": url, "event_types": [event]});
    let create = async |number: u32, url: &str, event: &str| {
        rig.keyed("POST", "/v1/webhooks", &wish(url, event), number).await.status
    };
    assert_eq!(create(1, "http://hooks.example.test", "USER_UPDATED").await, 400);
    assert_eq!(create(2, "https://hooks.example.test", "NO_SUCH_EVENT").await, 400);
    assert_eq!(create(3, "https://hooks.example.test", "USER_UPDATED").await, 200);
    assert_eq!(create(4, "https://other.example.test", "USER_UPDATED").await, 400);
    assert_eq!(rig.all("/v1/webhooks").await.len(), 1);
    rig.control("knobs", json!({"one_endpoint": false, "role": "BOOKKEEPER"}));
    assert_eq!(create(5, "https://other.example.test", "EXPENSE_PAYMENT_UPDATED").await, 401);
    let id = rig.all("/v1/webhooks").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.send("DELETE", &format!("/v1/webhooks/{id}"), None, &[]).await.status, 200);
    assert_eq!(rig.get(&format!("/v1/webhooks/{id}")).await.status, 404);
}
