//! Tests of the network checks over loopback sockets.

use super::super::tests::server::{Act, TestServer, reply};
use super::super::tests::tls::Authority;
use super::*;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;

fn noon() -> Clock {
    Clock::manual("2026-03-02T12:00:00Z".parse().unwrap())
}

fn direct() -> NetworkSettings {
    NetworkSettings {
        proxy: Some("none".to_owned()),
        allow_plain_loopback: true,
        ..NetworkSettings::default()
    }
}

async fn examine(url: &str, network: NetworkSettings) -> BTreeMap<String, ProbeResult> {
    examine_with(url, network, None).await
}

async fn examine_with(
    url: &str,
    network: NetworkSettings,
    proxy_credential: Option<Credential>,
) -> BTreeMap<String, ProbeResult> {
    let probe = NetProbe { url: Url::parse(url).unwrap(), network, proxy_credential };
    let results = probe.run(&noon()).await;
    assert_eq!(results.iter().map(|result| result.check.as_str()).collect::<Vec<_>>(), CHECKS);
    for result in &results {
        assert_eq!(
            result.fix.is_empty(),
            matches!(result.verdict, Verdict::Pass | Verdict::Skipped),
            "{result:?}"
        );
    }
    results.into_iter().map(|result| (result.check.clone(), result)).collect()
}

fn dated(date: &'static str) -> impl Fn(&str, usize) -> Act + Send + Sync {
    move |_, _| reply(404, &[("date", date)], "")
}

#[tokio::test]
async fn a_healthy_server_passes_every_check_and_its_chain_is_shown() {
    let authority = Authority::new("Example Corp CA");
    let server =
        TestServer::start_tls(authority.server("localhost"), dated("Mon, 02 Mar 2026 12:00:30 GMT")).await;
    let file = authority.file();
    let network = NetworkSettings { extra_ca: Some(file.path().to_str().unwrap().to_owned()), ..direct() };
    let seen = examine(&format!("https://localhost:{}/erp", server.address.port()), network).await;
    assert!(seen.values().all(|result| result.verdict == Verdict::Pass), "{seen:?}");
    assert_eq!(seen["tls"].detail, "TLS 1.3, chain: `localhost` issued by `Example Corp CA`");
    assert!(server.requests()[0].starts_with("HEAD / "));
}

#[tokio::test]
async fn an_untrusted_issuer_is_named_with_the_way_to_trust_it() {
    let authority = Authority::new("Example Corp Inspecting CA");
    let server = TestServer::start_tls(authority.server("localhost"), dated("")).await;
    let seen = examine(&format!("https://localhost:{}", server.address.port()), direct()).await;
    assert_eq!(seen["tls"].verdict, Verdict::Fail);
    assert!(seen["tls"].detail.contains("issued by `Example Corp Inspecting CA`"), "{:?}", seen["tls"]);
    assert!(seen["tls"].fix.contains("network.extra_ca"), "{:?}", seen["tls"]);
    assert_eq!(seen["clock"].verdict, Verdict::Skipped);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_trusted_inspecting_proxy_is_pointed_out() {
    let authority = Authority::new("Zscaler Intermediate CA");
    let server =
        TestServer::start_tls(authority.server("localhost"), dated("Mon, 02 Mar 2026 12:00:00 GMT")).await;
    let file = authority.file();
    let network = NetworkSettings { extra_ca: Some(file.path().to_str().unwrap().to_owned()), ..direct() };
    let seen = examine(&format!("https://localhost:{}", server.address.port()), network).await;
    assert_eq!(seen["tls"].verdict, Verdict::Warn);
    assert!(seen["tls"].detail.contains("Zscaler Intermediate CA"), "{:?}", seen["tls"]);
}

#[tokio::test]
async fn a_certificate_for_another_name_shows_whose_it_is() {
    let authority = Authority::new("Example Corp CA");
    let server = TestServer::start_tls(authority.server("kinetic.example.test"), dated("")).await;
    let file = authority.file();
    let network = NetworkSettings { extra_ca: Some(file.path().to_str().unwrap().to_owned()), ..direct() };
    let seen = examine(&format!("https://localhost:{}", server.address.port()), network).await;
    assert_eq!(seen["tls"].verdict, Verdict::Fail);
    assert!(seen["tls"].detail.contains("`kinetic.example.test`"), "{:?}", seen["tls"]);
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_says_so() {
    let server = TestServer::start(|_, _| Act::Silence).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example.test ESMTP\r\n").await;
            let _ = stream.read_u8().await;
        }
    });
    let seen = examine(&format!("https://localhost:{port}"), direct()).await;
    assert_eq!(seen["tls"].verdict, Verdict::Fail);
    assert!(seen["tls"].fix.contains("speaks HTTPS"), "{:?}", seen["tls"]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_clock_is_measured() {
    for (date, verdict, words) in [
        ("Mon, 02 Mar 2026 11:59:10 GMT", Verdict::Pass, "50 s ahead of"),
        ("Mon, 02 Mar 2026 11:58:00 GMT", Verdict::Warn, "120 s ahead of"),
        ("Mon, 02 Mar 2026 12:06:00 GMT", Verdict::Fail, "360 s behind"),
        ("yesterday", Verdict::Warn, "does not tell its time"),
    ] {
        let server = TestServer::start(dated(date)).await;
        let seen = examine(&server.url(), direct()).await;
        assert_eq!(seen["clock"].verdict, verdict, "{:?}", seen["clock"]);
        assert!(seen["clock"].detail.contains(words), "{:?}", seen["clock"]);
    }
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_stop_the_later_checks() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = listener.local_addr().unwrap().port();
    drop(listener);
    let seen = examine(&format!("https://127.0.0.1:{dead}"), direct()).await;
    assert_eq!((seen["dns"].verdict, seen["tcp"].verdict), (Verdict::Pass, Verdict::Fail));
    assert!(seen["tcp"].detail.contains("connection refused"), "{:?}", seen["tcp"]);
    assert_eq!(seen["tls"].verdict, Verdict::Skipped);
    let seen = examine("https://no-such-host.invalid", direct()).await;
    assert_eq!((seen["dns"].verdict, seen["tcp"].verdict), (Verdict::Fail, Verdict::Skipped));
}

#[tokio::test]
async fn plain_http_fails_where_the_gate_would_refuse_it() {
    let server = TestServer::start(dated("")).await;
    let network = NetworkSettings { allow_plain_loopback: false, ..direct() };
    let seen = examine(&server.url(), network).await;
    assert_eq!(seen["tls"].verdict, Verdict::Fail);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_proxy_that_takes_only_ntlm_gets_the_relay_hint() {
    let headers = [("proxy-authenticate", "Negotiate"), ("proxy-authenticate", "NTLM")];
    let proxy = TestServer::start(move |_, _| reply(407, &headers, "")).await;
    let network = NetworkSettings { proxy: Some(proxy.url()), ..direct() };
    let seen = examine("https://erp.example.test", network).await;
    assert_eq!(seen["proxy"].verdict, Verdict::Fail);
    assert!(seen["proxy"].detail.contains("Negotiate, NTLM"), "{:?}", seen["proxy"]);
    assert!(seen["proxy"].fix.contains("local relay"), "{:?}", seen["proxy"]);
    assert!(proxy.requests()[0].starts_with("CONNECT erp.example.test:443"));
}

#[tokio::test]
async fn a_proxy_that_refuses_the_login_is_told_from_one_that_wants_one() {
    let proxy =
        TestServer::start(|_, _| reply(407, &[("proxy-authenticate", "Basic realm=\"x\"")], "")).await;
    let network = NetworkSettings { proxy: Some(proxy.url()), ..direct() };
    let seen = examine("https://erp.example.test", network.clone()).await;
    assert!(seen["proxy"].fix.contains("network.proxy_secret"), "{:?}", seen["proxy"]);
    let origin = crate::secret::Origin::parse(&proxy.url()).unwrap();
    let fields = [("user", "bob"), ("password", "c4nary")];
    let fields =
        fields.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect();
    let seen = examine_with(
        "https://erp.example.test",
        network,
        Some(Credential::new("px", fields, Arc::from([origin]))),
    )
    .await;
    assert!(seen["proxy"].detail.contains("refused the login"), "{:?}", seen["proxy"]);
    assert!(proxy.requests()[1].contains("Proxy-Authorization: Basic Ym9iOmM0bmFyeQ=="));
    assert!(!format!("{seen:?}").contains("c4nary") && !format!("{seen:?}").contains("Ym9iOmM0bmFyeQ"));
}
