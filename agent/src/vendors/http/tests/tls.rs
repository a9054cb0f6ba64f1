//! Trust: the system's authorities and the configured one, nobody else.

use super::server::reply;
use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use spend::posting::FailureClass;
use std::io::Write as _;
use tempfile::NamedTempFile;

/// A certificate authority of one test.
pub(in crate::vendors::http) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(in crate::vendors::http) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A server that shows a certificate for `name`.
    pub(in crate::vendors::http) fn server(&self, name: &str) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    /// Its certificate in a file.
    pub(in crate::vendors::http) fn file(&self) -> NamedTempFile {
        file(&self.pem)
    }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn trusting(file: &NamedTempFile) -> NetworkSettings {
    NetworkSettings { extra_ca: Some(file.path().to_str().unwrap().to_owned()), ..plain() }
}

#[tokio::test]
async fn a_server_under_the_configured_authority_is_trusted() {
    let authority = Authority::new("Example Corp CA");
    let server = TestServer::start_tls(authority.server("localhost"), |_, _| reply(200, &[], "ok")).await;
    let file = authority.file();
    let (gate, _) = gate_with(settings(trusting(&file)));
    let url = format!("https://localhost:{}/", server.address.port());
    let mut call = call(&url, Effect::Write);
    call.headers.push(("x-api-key", SecretText::secret(&bound("key", url.trim_end_matches('/')))));
    assert_eq!(gate.send(call).await.unwrap().body, b"ok");
}

#[tokio::test]
async fn a_server_under_an_unknown_authority_is_refused_before_anything_is_sent() {
    let server =
        TestServer::start_tls(Authority::new("Stranger").server("localhost"), |_, _| reply(200, &[], ""))
            .await;
    let (gate, _) = gate();
    let url = format!("https://localhost:{}/", server.address.port());
    let failure = gate.send(call(&url, Effect::Write)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    assert!(
        failure.message.contains("not trusted") && failure.message.contains("network.extra_ca"),
        "{failure}"
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new("Example Corp CA");
    let server =
        TestServer::start_tls(authority.server("kinetic.example.test"), |_, _| reply(200, &[], "")).await;
    let file = authority.file();
    let (gate, _) = gate_with(settings(trusting(&file)));
    let url = format!("https://localhost:{}/", server.address.port());
    let failure = gate.send(call(&url, Effect::Write)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    assert!(
        failure.message.contains("another name") && failure.message.contains("kinetic.example.test"),
        "{failure}"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn an_authority_file_that_cannot_be_used_is_named_with_the_reason() {
    let refusal = |network: NetworkSettings| {
        let pace = Pace::new(&[], 1, Clock::system());
        Gate::new(settings(network), pace, Arc::new(NoLog), Clock::system()).unwrap_err().to_string()
    };
    let missing = refusal(NetworkSettings { extra_ca: Some("/nowhere/ca.pem".to_owned()), ..plain() });
    assert!(missing.contains("network.extra_ca `/nowhere/ca.pem`"), "{missing}");
    let empty = refusal(trusting(&file("hello")));
    assert!(empty.contains("no `BEGIN CERTIFICATE`"), "{empty}");
    let rubbish = refusal(trusting(&file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")));
    assert!(rubbish.contains("certificate 1 in it cannot be read"), "{rubbish}");
}

/// The test starts itself anew with an environment in which the system has no certificate authorities.
#[test]
fn plain_http_to_this_machine_needs_no_certificate_authorities() {
    const MARK: &str = "PURSER_TEST_WITHOUT_AUTHORITIES";
    // Elsewhere the authorities are not found by way of the environment.
    if std::env::consts::OS != "linux" {
        return;
    }
    if std::env::var_os(MARK).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(without_authorities());
    }
    let name = "vendors::http::tests::tls::plain_http_to_this_machine_needs_no_certificate_authorities";
    let nowhere = tempfile::tempdir().unwrap();
    let itself = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(MARK, "1")
        .env("SSL_CERT_FILE", nowhere.path().join("none.pem"))
        .env("SSL_CERT_DIR", nowhere.path())
        .output()
        .unwrap();
    let told =
        String::from_utf8_lossy(&itself.stdout).into_owned() + &String::from_utf8_lossy(&itself.stderr);
    assert!(itself.status.success() && told.contains("1 passed"), "{told}");
}

async fn without_authorities() {
    let server = TestServer::start(|_, _| reply(200, &[], "hello")).await;
    let (gate, _) = gate();
    assert_eq!(gate.send(call(&server.url(), Effect::Read)).await.unwrap().body, b"hello");
    for url in ["https://127.0.0.1:1/", "https://erp.example.test/"] {
        let failure = gate.send(call(url, Effect::Write)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent);
        assert!(failure.message.contains("ca-certificates"), "{failure}");
    }
    let outside = NetworkSettings { allow_plain_loopback: false, ..plain() };
    let (pace, clock) = (Pace::new(&[], 1, Clock::manual(noon())), Clock::manual(noon()));
    let refused = Gate::new(settings(outside), pace, Arc::new(NoLog), clock).unwrap_err();
    assert!(matches!(refused, GateError::Client(_)), "told at once where nothing else is possible");
}
