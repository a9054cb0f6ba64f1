//! No secret of a call is ever written down, however the other side spells it.

use super::server::{Act, reply};
use super::*;
use crate::secret::Encoding;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const USER: &str = "svc-purser";
const PASSWORD: &str = "p4ss:w\"örd/+&=";

/// Every spelling that must not be seen.
fn spellings() -> Vec<String> {
    let mut all = Vec::new();
    for value in [PASSWORD, USER] {
        let json = serde_json::Value::String(value.to_owned()).to_string();
        all.push(value.to_owned());
        all.push(STANDARD.encode(value));
        all.push(json[1..json.len() - 1].to_owned());
        all.push(url::form_urlencoded::byte_serialize(value.as_bytes()).collect());
    }
    all.push(STANDARD.encode(format!("{USER}:{PASSWORD}")));
    all
}

fn full_of_secrets(url: &str, effect: Effect) -> Call {
    let login = login(url);
    let (user, password) = (login.get("user").unwrap(), login.get("password").unwrap());
    let job = SecretText::new()
        .text("{\"user\":\"")
        .with(user, Encoding::Json)
        .text("\",\"secret\":\"")
        .with(password, Encoding::Json)
        .text("\"}");
    let mut call = call(url, effect);
    call.headers.push(("authorization", SecretText::basic(user, password)));
    call.body = Body::Form(vec![("requestJobDescription".to_owned(), job)]);
    call
}

fn assert_clean(text: &str) {
    for secret in spellings() {
        assert!(!text.contains(&secret), "`{secret}` is in {text}");
    }
}

#[tokio::test]
async fn data_that_echoes_the_request_is_recorded_without_secrets() {
    let server = TestServer::start(|request, _| {
        let echo = format!("{request}\n{}", spellings().join("\n"));
        reply(200, &[("x-echo", USER)], echo)
    })
    .await;
    let (gate, kept) = gate();
    let call = full_of_secrets(&server.url(), Effect::Write);
    assert_clean(&format!("{call:?} {:?} {gate:?}", login(&server.url())));
    let answer = gate.send(call).await.unwrap();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    for secret in spellings() {
        assert!(body.contains(&secret), "the echo is complete: {secret}");
    }
    let record = &kept.all()[0];
    assert_clean(&serde_json::to_string(record).unwrap());
    assert_clean(&format!("{record:?}"));
    assert_clean(&record.answer_body);
    assert!(record.answer_body.contains("[secret]"));
}

/// A refusal becomes words in findings, logs and the audit trail.
#[tokio::test]
async fn a_refusal_that_echoes_the_request_reaches_nobody_with_secrets() {
    let server = TestServer::start(|_, _| reply(400, &[], spellings().join("\n"))).await;
    let (gate, _) = gate();
    let answer = gate.send(full_of_secrets(&server.url(), Effect::Write)).await.unwrap();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_clean(&body);
    assert!(body.contains("[secret]"));
}

#[tokio::test]
async fn failures_of_every_kind_hold_no_secret() {
    let reset = TestServer::start(|_, _| Act::Reset(Vec::new())).await;
    let dead = format!("http://127.0.0.1:{}", dead_port().await);
    let (gate, kept) = gate();
    for (url, bound_to) in [
        (reset.url(), reset.url()),
        (dead.clone(), dead),
        (reset.url(), "https://other.example.test".to_owned()),
    ] {
        let mut call = full_of_secrets(&bound_to, Effect::Write);
        call.url = Url::parse(&url).unwrap();
        let failure = gate.send(call).await.unwrap_err();
        assert_clean(&format!("{failure} {failure:?}"));
    }
    assert_clean(&format!("{:?} {:?}", kept.all(), gate.stats()));
    assert_eq!(kept.all().len(), 3);
}

#[tokio::test]
async fn a_secret_answer_is_not_recorded() {
    let server = TestServer::start(|_, _| reply(200, &[], "{\"access_token\":\"t0ken\"}")).await;
    let (gate, kept) = gate();
    let mut call = call(&server.url(), Effect::Read);
    call.secret_answer = true;
    assert!(!gate.send(call).await.unwrap().body.is_empty());
    assert!(!format!("{:?}", kept.all()).contains("t0ken"));
}

#[tokio::test]
async fn a_secret_that_no_header_can_carry_is_refused_without_being_named() {
    let (gate, kept) = gate();
    let mut call = call("http://127.0.0.1:9/", Effect::Read);
    call.headers.push(("x-api-key", SecretText::secret(&bound("c4nary\r\nx-evil: 1", "http://127.0.0.1:9"))));
    let failure = gate.send(call).await.unwrap_err();
    assert!(failure.message.contains("x-api-key") && !failure.message.contains("c4nary"), "{failure}");
    assert!(!format!("{:?}", kept.all()).contains("c4nary"));
}
