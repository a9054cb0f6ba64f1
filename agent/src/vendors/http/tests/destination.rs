//! Where calls and secrets may go.

use super::server::reply;
use super::*;
use spend::posting::FailureClass;

async fn refusal(url: &str, origin: &str) -> (String, CallRecord) {
    let (gate, kept) = gate();
    let mut call = call(url, Effect::Read);
    call.headers.push((
        "authorization",
        SecretText::new().text("Bearer ").with(&bound("c4nary-secret", origin), crate::secret::Encoding::Raw),
    ));
    let failure = gate.send(call).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    assert!(!failure.message.contains("c4nary"), "{failure}");
    assert_eq!(gate.stats().by_outcome["refused"], 1);
    (failure.message, kept.all().remove(0))
}

#[tokio::test]
async fn a_secret_goes_to_its_origin() {
    let server = TestServer::start(|_, _| reply(200, &[], "ok")).await;
    let (gate, kept) = gate();
    let mut call = call(&server.url(), Effect::Read);
    call.headers.push((
        "authorization",
        SecretText::basic(&bound("user", &server.url()), &bound("pass", &server.url())),
    ));
    assert_eq!(gate.send(call).await.unwrap().status, 200);
    assert!(server.requests()[0].contains("Basic dXNlcjpwYXNz"), "{}", server.requests()[0]);
    assert_eq!(kept.all()[0].request_headers, [("authorization".to_owned(), "Basic [secret]".to_owned())]);
}

#[tokio::test]
async fn a_secret_for_another_port_is_refused_and_nothing_is_sent() {
    let server = TestServer::start(|_, _| reply(200, &[], "ok")).await;
    let other = format!("http://127.0.0.1:{}", dead_port().await);
    let (message, record) = refusal(&server.url(), &other).await;
    assert!(
        message.contains(&format!("is bound to {other}")) && message.contains("nothing was sent"),
        "{message}"
    );
    assert!(record.security_event);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_secret_for_another_host_is_refused() {
    let server = TestServer::start(|_, _| reply(200, &[], "ok")).await;
    let (_, record) = refusal(&server.url(), &format!("http://localhost:{}", server.address.port())).await;
    assert!(record.security_event);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_secret_for_https_is_refused_over_plain_http() {
    let server = TestServer::start(|_, _| reply(200, &[], "ok")).await;
    let (_, record) = refusal(&server.url(), &format!("https://127.0.0.1:{}", server.address.port())).await;
    assert!(record.security_event);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn secrets_in_bodies_are_checked_as_well() {
    let stray = bound("c4nary", "https://elsewhere.example.test");
    for body in [
        Body::Json(SecretText::secret(&stray)),
        Body::Form(vec![(
            "job".to_owned(),
            SecretText::new().text("{").with(&stray, crate::secret::Encoding::Json),
        )]),
    ] {
        let (gate, kept) = gate();
        let mut call = call("http://127.0.0.1:9/", Effect::Write);
        call.body = body;
        assert_eq!(gate.send(call).await.unwrap_err().class, FailureClass::NotSent);
        assert!(kept.all()[0].security_event);
    }
}

#[tokio::test]
async fn plain_http_is_refused_everywhere_but_on_this_machine() {
    let (gate, kept) = gate();
    for url in [
        "http://192.0.2.1/",
        "http://erp.example.test/",
        "http://127.0.0.1.example.test/",
        "http://[2001:db8::1]/",
    ] {
        let failure = gate.send(call(url, Effect::Read)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent);
        assert!(failure.message.contains("plain http"), "{failure}");
    }
    assert_eq!(kept.all().len(), 4);
    let strict = gate_with(settings(NetworkSettings { allow_plain_loopback: false, ..plain() })).0;
    assert!(
        strict
            .send(call("http://127.0.0.1:9/", Effect::Read))
            .await
            .unwrap_err()
            .message
            .contains("plain http")
    );
}

#[tokio::test]
async fn an_address_with_a_login_is_refused_and_the_login_is_written_nowhere() {
    let (gate, kept) = gate();
    let failure = gate.send(call("http://bob:c4nary@127.0.0.1:9/", Effect::Read)).await.unwrap_err();
    let record = serde_json::to_string(&kept.all()).unwrap();
    assert!(kept.all()[0].security_event);
    assert!(!record.contains("c4nary") && !failure.message.contains("c4nary"), "{record} {failure}");
}

#[tokio::test]
async fn a_host_header_cannot_lead_a_call_to_another_site() {
    let (gate, _) = gate();
    for name in ["host", "Expect", "proxy-authorization", "Content-Length"] {
        let mut call = call("http://127.0.0.1:9/", Effect::Read);
        call.headers.push((name, SecretText::plain("x")));
        assert!(gate.send(call).await.unwrap_err().message.contains("set by the transport"));
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let thief = TestServer::start(|_, _| reply(200, &[], "thanks")).await;
    let target = thief.url();
    let server = TestServer::start(move |_, _| reply(307, &[("location", &target)], "")).await;
    let (gate, _) = gate();
    let mut call = call(&server.url(), Effect::Write);
    call.headers.push(("authorization", SecretText::secret(&bound("c4nary", &server.url()))));
    let answer = gate.send(call).await.unwrap();
    assert_eq!((answer.status, answer.headers["location"].clone()), (307, thief.url()));
    assert!(thief.requests().is_empty());
}
