//! Calls that a simulator makes of itself, such as webhook deliveries. They go to loopback only, follow no redirect,
//! and leave when the simulator's clock says so.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::SimClock;
use super::serve::Shared;

/// One call to make, always `POST`.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The simulator's number for it.
    pub id: u64,
    /// Where to.
    pub url: String,
    /// Headers beside `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Longest wait for the answer, by the machine's clock.
    pub timeout: Duration,
    /// PEM of the authority to trust; HTTPS without one is not called.
    pub trust: Option<String>,
}

/// Makes the simulator's calls until the server stops, one after the other in the order it gives them.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut stopped = shared.stopped();
    loop {
        let woken = shared.work.notified();
        let due = shared.sim().outgoing(shared.clock.now());
        if due.is_empty() {
            let next = shared.sim().next_outgoing();
            tokio::select! {
                () = woken => {}
                () = until(next, &shared.clock) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            tokio::task::yield_now().await;
            continue;
        }
        for call in due {
            let status = tokio::select! {
                status = deliver(&call) => status,
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            shared.sim().settled(call.id, status, shared.clock.now());
        }
    }
}

async fn until(next: Option<DateTime<Utc>>, clock: &SimClock) {
    match next {
        Some(moment) => clock.reached(moment).await,
        None => std::future::pending().await,
    }
}

/// The status answered, if any was in time.
async fn deliver(call: &Outgoing) -> Option<u16> {
    tokio::time::timeout(call.timeout, post(call)).await.ok().flatten()
}

async fn post(call: &Outgoing) -> Option<u16> {
    let url = Url::parse(&call.url).ok().filter(is_loopback)?;
    let (host, port) = (url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?);
    let stream = TcpStream::connect((host.as_str(), port)).await.ok()?;
    match (url.scheme(), &call.trust) {
        ("http", _) => exchange(stream, call, &url).await,
        ("https", Some(pem)) => {
            let connector = TlsConnector::from(Arc::new(trust_only(pem)?));
            let stream = connector.connect(ServerName::try_from(host).ok()?, stream).await.ok()?;
            exchange(stream, call, &url).await
        }
        _ => None,
    }
}

/// Whether a call to this URL stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn trust_only(pem: &str) -> Option<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.ok()?).ok()?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Some(config.ok()?.with_root_certificates(roots).with_no_client_auth())
}

async fn exchange<S>(stream: S, call: &Outgoing, url: &Url) -> Option<u16>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = hyper::Request::builder()
        .method("POST")
        .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header("host", authority);
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(call.body.clone()))).ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.ok();
    let status = answer.as_ref().map(|answer| answer.status().as_u16());
    if let Some(answer) = answer {
        // What it says does not matter, but the peer may want to have it said.
        drop(answer.into_body().collect().await);
    }
    driver.abort();
    status
}
