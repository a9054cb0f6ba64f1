//! A certificate authority for tests: good leaves, and the bad ones that a client must refuse.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The generator refused.
    #[error("certificate could not be made (are the host names valid?)")]
    Generate(#[from] rcgen::Error),
    /// A PEM text could not be read.
    #[error("certificate or key is not readable PEM: {0}")]
    Pem(String),
}

/// A server's certificate chain and key.
#[derive(Debug)]
pub struct TlsIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl TlsIdentity {
    /// From PEM texts.
    ///
    /// # Errors
    /// When either is not PEM.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::Pem(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| TlsError::Pem(error.to_string()))?;
        Ok(Self { chain, key })
    }

    /// A leaf that nobody vouches for.
    ///
    /// # Errors
    /// When a host name is no host name.
    pub fn self_signed(hosts: &[&str]) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let certificate = leaf(hosts)?.self_signed(&key)?;
        Ok(Self { chain: vec![certificate.der().clone()], key: der(&key) })
    }
}

/// The authority. Its certificate is valid from 2020 to 2099, so that moved clocks do not matter.
pub struct TestCa {
    /// The certificate to trust, as PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for TestCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestCa")
    }
}

impl TestCa {
    /// A new authority with its own key.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self, TlsError> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, "Sandbox test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// A good leaf for host names and addresses. For a wrong-host test, issue for another name.
    ///
    /// # Errors
    /// When a host name is no host name.
    pub fn issue(&self, hosts: &[&str]) -> Result<TlsIdentity, TlsError> {
        self.sign(leaf(hosts)?)
    }

    /// A leaf that ended in 2021.
    ///
    /// # Errors
    /// When a host name is no host name.
    pub fn issue_expired(&self, hosts: &[&str]) -> Result<TlsIdentity, TlsError> {
        let mut params = leaf(hosts)?;
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<TlsIdentity, TlsError> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(TlsIdentity { chain: vec![certificate.der().clone()], key: der(&key) })
    }
}

fn leaf(hosts: &[&str]) -> Result<CertificateParams, TlsError> {
    let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, hosts.first().copied().unwrap_or("sandbox"));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2098, 1, 1);
    Ok(params)
}

fn der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}
