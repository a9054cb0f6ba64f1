//! Client of a simulator's admin interface (`/_sandbox/...`), for processes that did not start it themselves.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// A simulator did not answer as wanted.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be used.
    #[error("`{0}` is no address of a simulator; write `http://127.0.0.1:8101`")]
    Address(String),
    /// The file with the authority is not PEM.
    #[error("the certificate authority is not readable PEM: {0}")]
    Authority(String),
    /// HTTPS without an authority to trust.
    #[error("the simulator at {0} speaks HTTPS; name its authority (`--ca sandbox-ca.pem`)")]
    NoAuthority(String),
    /// Nobody answers.
    #[error("no simulator answers at {url}: {why}; is the sandbox running?")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// It refused.
    #[error("the simulator at {url} refused ({status}): {said}")]
    Refused {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
}

/// One simulator's admin interface.
#[derive(Clone, Debug)]
pub struct Admin {
    root: Url,
    trust: Option<Arc<rustls::ClientConfig>>,
}

impl Admin {
    /// The simulator at a root URL; `ca` is the authority's PEM where it is served over HTTPS.
    ///
    /// # Errors
    /// When the URL or the authority is unusable.
    pub fn new(url: &str, ca: Option<&str>) -> Result<Self, AdminError> {
        let root = Url::parse(url).map_err(|_| AdminError::Address(url.to_owned()))?;
        if !matches!(root.scheme(), "http" | "https") || root.host_str().is_none() {
            return Err(AdminError::Address(url.to_owned()));
        }
        Ok(Self { root, trust: ca.map(trust_only).transpose()? })
    }

    /// What the simulator holds.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn state(&self) -> Result<Value, AdminError> {
        self.call("GET", "state", None).await
    }

    /// Wrong calls that it has received, each in a sentence.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn misuse(&self) -> Result<Vec<String>, AdminError> {
        let list = self.call("GET", "misuse", None).await?;
        Ok(list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Calls a verb of the admin interface, e.g. `("POST", "control/knobs", ..)`.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn call(&self, method: &str, verb: &str, body: Option<&Value>) -> Result<Value, AdminError> {
        let url = self
            .root
            .join(&format!("/_sandbox/{verb}"))
            .map_err(|_| AdminError::Address(format!("{}_sandbox/{verb}", self.root)))?;
        let unreachable = |why: String| AdminError::Unreachable { url: self.root.to_string(), why };
        let host = self.root.host_str().unwrap_or_default().to_owned();
        let port = self.root.port_or_known_default().unwrap_or(80);
        let stream = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let request = hyper::Request::builder()
            .method(method)
            .uri(&url[url::Position::BeforePath..])
            .header("host", format!("{host}:{port}"))
            .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))
            .map_err(|error| unreachable(error.to_string()))?;
        let answered = match &self.trust {
            None if url.scheme() == "http" => exchange(stream, request).await,
            None => return Err(AdminError::NoAuthority(self.root.to_string())),
            Some(trust) => {
                let name = ServerName::try_from(host).map_err(|error| unreachable(error.to_string()))?;
                let connected = TlsConnector::from(Arc::clone(trust)).connect(name, stream).await;
                exchange(connected.map_err(|error| unreachable(error.to_string()))?, request).await
            }
        };
        let (status, body) = answered.map_err(unreachable)?;
        if !(200..300).contains(&status) {
            let said = String::from_utf8_lossy(&body).into_owned();
            return Err(AdminError::Refused { url: url.to_string(), status, said });
        }
        serde_json::from_slice(&body).map_err(|error| AdminError::Unreachable {
            url: url.to_string(),
            why: format!("the answer is not JSON: {error}"),
        })
    }
}

fn trust_only(pem: &str) -> Result<Arc<rustls::ClientConfig>, AdminError> {
    let refused = |error: String| AdminError::Authority(error);
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn exchange<S>(stream: S, request: hyper::Request<Full<Bytes>>) -> Result<(u16, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(words)?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map_err(words)?.to_bytes();
    driver.abort();
    Ok((status, body))
}
