//! Proxies: what they are told, and what they are not.

use super::server::{Act, reply};
use super::*;
use spend::posting::FailureClass;

fn through(proxy: &TestServer) -> NetworkSettings {
    NetworkSettings { proxy: Some(proxy.url()), ..plain() }
}

#[tokio::test]
async fn the_proxy_login_goes_to_the_proxy_and_a_refusal_is_not_sent() {
    let proxy = TestServer::start(|_, _| reply(407, &[("proxy-authenticate", "NTLM")], "")).await;
    let network = NetworkSettings { proxy_secret: Some("proxy".to_owned()), ..through(&proxy) };
    let credential = Some(login(&proxy.url()));
    let (gate, _) = gate_with(GateSettings { proxy_credential: credential, ..settings(network) });
    let mut call = call("https://erp.example.test/api", Effect::Write);
    call.headers.push(("x-api-key", SecretText::secret(&bound("c4nary", "https://erp.example.test"))));
    let failure = gate.send(call).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    assert!(failure.message.contains("the proxy asks for a login"), "{failure}");
    let request = proxy.requests().remove(0);
    assert!(request.starts_with("CONNECT erp.example.test:443"), "{request}");
    assert!(request.to_lowercase().contains("proxy-authorization: basic "), "{request}");
    assert!(!request.contains("c4nary"), "{request}");
}

#[tokio::test]
async fn calls_to_this_machine_pass_no_proxy() {
    let proxy = TestServer::start(|_, _| Act::Reset(Vec::new())).await;
    let server = TestServer::start(|_, _| reply(200, &[], "direct")).await;
    let (gate, _) = gate_with(settings(through(&proxy)));
    assert_eq!(gate.send(call(&server.url(), Effect::Read)).await.unwrap().body, b"direct");
    assert!(proxy.requests().is_empty());
}

#[test]
fn a_proxy_login_for_another_origin_is_refused() {
    let network = NetworkSettings { proxy: Some("http://proxy.example.test:3128".to_owned()), ..plain() };
    let build = |network: NetworkSettings, credential: Option<Credential>| {
        let pace = Pace::new(&[], 1, Clock::system());
        let settings = GateSettings { proxy_credential: credential, ..settings(network) };
        Gate::new(settings, pace, Arc::new(NoLog), Clock::system())
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let astray = build(network.clone(), Some(login("https://erp.example.test"))).unwrap_err();
    assert!(astray.contains("not bound to the proxy's origin"), "{astray}");
    build(network.clone(), Some(login("http://proxy.example.test:3128"))).unwrap();
    let absent = build(NetworkSettings { proxy_secret: Some("px".to_owned()), ..network }, None).unwrap_err();
    assert!(absent.contains("secret `px` is not in the secret store"), "{absent}");
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_with_the_reason() {
    for (text, why) in
        [("not a url", "not a URL"), ("socks5://p:1", "only http"), ("http://u:c4nary@p:1", "holds a user")]
    {
        let network = NetworkSettings { proxy: Some(text.to_owned()), ..plain() };
        let pace = Pace::new(&[], 1, Clock::system());
        let error =
            Gate::new(settings(network), pace, Arc::new(NoLog), Clock::system()).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("c4nary"), "{error}");
    }
}
