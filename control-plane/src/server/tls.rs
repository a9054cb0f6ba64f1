//! The served certificate. Its files are looked at every few seconds; a new pair is served from the next handshake on,
//! connections that are open stay. A pair that does not fit is refused, and the last good one goes on being served: a
//! certificate is often replaced a moment before its key.

use crate::metrics::{self, Metrics};
use crate::settings::Tls;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: check that it exists and that the account of this process may read it")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM form: name the file that does")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is looked for.
        what: &'static str,
    },
    /// Key and certificate do not belong together, or are of a kind that cannot be used.
    #[error("{certificate} and {key} cannot be served together: {why}; name a certificate and its own key")]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        why: String,
    },
}

/// The certificate that is served, and where it comes from.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    /// Hash of what was looked at last, good or not, so that one fault is told once.
    seen: RwLock<blake3::Hash>,
    served: RwLock<Arc<CertifiedKey>>,
    metrics: Metrics,
}

/// Both files as they are.
struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Pair {
    fn read(files: &Tls) -> Result<Self, TlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| TlsError::File { path: path.clone(), source })
        };
        Ok(Self { certificate: read(&files.certificate)?, key: Zeroizing::new(read(&files.key)?) })
    }

    fn hash(&self) -> blake3::Hash {
        let mut hash = blake3::Hasher::new();
        hash.update(&(self.certificate.len() as u64).to_le_bytes())
            .update(&self.certificate)
            .update(&self.key);
        hash.finalize()
    }

    /// What is served of it, and when it ends (Unix seconds).
    fn usable(&self, files: &Tls) -> Result<(CertifiedKey, i64), TlsError> {
        let content = |path: &PathBuf, what| TlsError::Content { path: path.clone(), what };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| content(&files.certificate, "certificate"))?;
        let Some(first) = chain.first() else { return Err(content(&files.certificate, "certificate")) };
        let ends = x509_parser::parse_x509_certificate(first)
            .map(|(_, read)| read.validity().not_after.timestamp())
            .map_err(|_| content(&files.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| content(&files.key, "private key"))?;
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(|error| TlsError::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            why: error.to_string(),
        })?;
        Ok((pair, ends))
    }
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// When they cannot be served.
    pub fn load(files: &Tls, metrics: Metrics) -> Result<Arc<Self>, TlsError> {
        let pair = Pair::read(files)?;
        let (served, ends) = pair.usable(files)?;
        metrics.certificate_ends.set(ends);
        Ok(Arc::new(Self {
            files: files.clone(),
            seen: RwLock::new(pair.hash()),
            served: RwLock::new(Arc::new(served)),
            metrics,
        }))
    }

    /// Looks at the files, and serves what they hold if it is new and good. Says whether it did.
    ///
    /// # Errors
    /// When what is new cannot be served. The same fault is not told twice.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let pair = Pair::read(&self.files)?;
        let hash = pair.hash();
        if *self.seen.read().unwrap_or_else(PoisonError::into_inner) == hash {
            return Ok(false);
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = hash;
        let (fresh, ends) = pair.usable(&self.files)?;
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        self.metrics.certificate_ends.set(ends);
        Ok(true)
    }

    /// Looks at the files again and again, for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut unreadable = false;
        loop {
            tokio::time::sleep(self.files.reload).await;
            match self.reload() {
                Ok(false) => unreadable = false,
                Ok(true) => {
                    unreadable = false;
                    metrics::count(&self.metrics.certificate_reloads, "ok");
                    tracing::info!("a new certificate is served");
                }
                Err(error) => {
                    let again =
                        matches!(error, TlsError::File { .. }) && std::mem::replace(&mut unreadable, true);
                    if !again {
                        metrics::count(&self.metrics.certificate_reloads, "refused");
                        tracing::error!(%error, "the new certificate is not served, the last one goes on");
                    }
                }
            }
        }
    }

    /// Speaks TLS 1.2 and 1.3 with the certificate that is served at the moment of each handshake.
    ///
    /// # Panics
    /// Never: the provider knows both versions.
    pub fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks the default versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
