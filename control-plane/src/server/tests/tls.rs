//! TLS: the certificate is replaced under open connections, and a bad one is not served.

use super::*;
use crate::settings::Tls;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

struct Pair {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["control.example.test".to_owned()]).unwrap();
    Pair {
        certificate: made.cert.der().clone(),
        certificate_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
    }
}

impl Pair {
    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("cert.pem"), &self.certificate_pem).unwrap();
        std::fs::write(folder.join("key.pem"), &self.key_pem).unwrap();
    }

    /// Connects and trusts this certificate only.
    async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("control.example.test").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
    }
}

fn with_tls(folder: &Path) -> Settings {
    settings(|settings| {
        settings.tls = Some(Tls {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            reload: Duration::from_secs(3600),
        });
    })
}

#[actix_web::test]
async fn a_new_certificate_is_served_without_a_restart_and_open_connections_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (pair(), pair());
    first.write(folder.path());
    let served = serve(with_tls(folder.path()));
    let certificate = served.certificate.clone().unwrap();
    let mut open = first.connect(served.address).await.unwrap();
    open.write_all(get("/who", "").as_bytes()).await.unwrap();
    let answer = one_answer(&mut open).await;
    assert!(
        answer.contains("https: true") && header(&answer, "strict-transport-security").is_some(),
        "{answer}"
    );
    assert!(!certificate.reload().unwrap(), "nothing is new");
    assert!(second.connect(served.address).await.is_err());

    second.write(folder.path());
    assert!(certificate.reload().unwrap());
    assert!(first.connect(served.address).await.is_err());
    let fresh = second.connect(served.address).await.unwrap();
    assert_eq!(status(&ask(fresh, &get("/who", "connection: close\r\n")).await), 200);
    open.write_all(get("/who", "connection: close\r\n").as_bytes()).await.unwrap();
    assert_eq!(status(&until_closed(&mut open).await), 200);
    assert!(served.metrics.certificate_ends.get() > 0);
    served.stop().await;
}

#[actix_web::test]
async fn a_pair_that_does_not_fit_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (pair(), pair());
    first.write(folder.path());
    let served = serve(with_tls(folder.path()));
    let certificate = served.certificate.clone().unwrap();
    std::fs::write(folder.path().join("cert.pem"), &second.certificate_pem).unwrap();
    let error = certificate.reload().unwrap_err().to_string();
    assert!(error.contains("cannot be served together"), "{error}");
    assert!(!certificate.reload().unwrap(), "one fault is told once");
    std::fs::write(folder.path().join("cert.pem"), "nonsense").unwrap();
    assert!(certificate.reload().unwrap_err().to_string().contains("holds no certificate"));
    std::fs::remove_file(folder.path().join("cert.pem")).unwrap();
    assert!(certificate.reload().unwrap_err().to_string().contains("cannot be read"));
    let io = first.connect(served.address).await.unwrap();
    assert_eq!(status(&ask(io, &get("/who", "connection: close\r\n")).await), 200);
    // The key comes a moment after its certificate.
    second.write(folder.path());
    assert!(certificate.reload().unwrap());
    second.connect(served.address).await.unwrap();
    served.stop().await;
}

#[actix_web::test]
async fn a_server_without_a_usable_certificate_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    pair().write(folder.path());
    std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    let files = with_tls(folder.path()).tls.unwrap();
    let error = crate::server::tls::Certificate::load(&files, Metrics::new()).unwrap_err().to_string();
    assert!(error.contains("holds no private key") && !error.contains("nonsense"), "{error}");
}

#[actix_web::test]
async fn a_handshake_that_is_never_finished_gives_its_place_back() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = pair();
    trusted.write(folder.path());
    let mut settings = with_tls(folder.path());
    settings.limits.header_time = Duration::from_secs(1);
    let served = serve(settings);
    let mut silent = served.connect().await;
    assert_eq!(until_closed(&mut silent).await, "");
    let io = trusted.connect(served.address).await.unwrap();
    assert_eq!(status(&ask(io, &get("/who", "connection: close\r\n")).await), 200);
    served.stop().await;
}
