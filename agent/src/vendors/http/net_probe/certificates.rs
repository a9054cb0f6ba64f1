//! The TLS handshake with the gate's trust, and the names in the chain that the server presents, also when it is not
//! trusted: that is when people need them.

use super::super::client::extra_ca;
use super::super::outcome::tls_error_words;
use super::{Fault, Stream};
use purser_proto::config::NetworkSettings;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsConnector;
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// Words in issuer names of common TLS-inspecting products.
const INSPECTORS: [&str; 22] = [
    "avast",
    "barracuda",
    "bitdefender",
    "blue coat",
    "charles proxy",
    "checkpoint",
    "check point",
    "cisco umbrella",
    "eset ssl",
    "fiddler",
    "forcepoint",
    "fortigate",
    "fortinet",
    "kaspersky",
    "mcafee web gateway",
    "mitmproxy",
    "netskope",
    "palo alto",
    "skyhigh",
    "sophos",
    "squid",
    "zscaler",
];
/// Longest name that is shown: the text is the other side's.
const NAME_CAP: usize = 100;

/// The names of a chain, from the server's certificate upwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Presented {
    /// Subject and issuer of each certificate.
    pub(super) names: Vec<(String, String)>,
    version: String,
}

impl Presented {
    fn of(chain: &[CertificateDer<'_>]) -> Self {
        let names = chain.iter().take(10).map(|der| match X509Certificate::from_der(der) {
            Ok((_, certificate)) => (common_name(certificate.subject()), common_name(certificate.issuer())),
            Err(_) => ("(unreadable)".to_owned(), "(unreadable)".to_owned()),
        });
        Self { names: names.collect(), version: String::new() }
    }

    /// Who issued the server's certificate.
    fn issuer(&self) -> &str {
        self.names.first().map_or("(nobody)", |(_, issuer)| issuer)
    }

    /// The inspecting product that an issuer is named after, if any.
    pub(super) fn inspector(&self) -> Option<&str> {
        self.names.iter().map(|(_, issuer)| issuer.as_str()).find(|issuer| {
            let issuer = issuer.to_lowercase();
            INSPECTORS.iter().any(|word| issuer.contains(word))
        })
    }
}

impl fmt::Display for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.version.is_empty() {
            write!(f, "{}, ", self.version)?;
        }
        f.write_str("chain:")?;
        for (at, (subject, issuer)) in self.names.iter().enumerate() {
            let arrow = if at == 0 { "" } else { ";" };
            write!(f, "{arrow} `{subject}` issued by `{issuer}`")?;
        }
        Ok(())
    }
}

/// Makes the handshake.
pub(super) async fn shake_hands(
    stream: Stream,
    url: &Url,
    network: &NetworkSettings,
) -> Result<(Presented, Stream), Fault> {
    let setup = |why: String| Fault::new(why, "correct the connection's network settings");
    let provider = Arc::new(ring::default_provider());
    let extra = extra_ca(network).map_err(|error| setup(error.to_string()))?;
    let trust = Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(|error| {
        Fault::new(format!("no trust anchors: {error}"), "install the system's CA certificates")
    })?;
    let witness = Arc::new(Witness { trust, seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name =
        ServerName::try_from(host.clone()).map_err(|_| setup(format!("`{host}` is no server name")))?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let mut presented = Presented::of(&witness.seen.lock().unwrap_or_else(PoisonError::into_inner));
    match shaken {
        Ok(stream) => {
            let version = stream.get_ref().1.protocol_version();
            presented.version =
                version.and_then(|version| version.as_str()).unwrap_or("TLS").replace("TLSv1_", "TLS 1.");
            Ok((presented, Box::new(stream)))
        }
        Err(error) => Err(distrusted(&error, &presented, &host)),
    }
}

fn distrusted(error: &io::Error, presented: &Presented, host: &str) -> Fault {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(tls) = tls else {
        let fix = "check that the port speaks HTTPS, and the firewall and proxy on the way";
        return Fault::new(format!("the TLS handshake with {host} broke: {error}"), fix);
    };
    match tls {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Fault::new(
            format!(
                "the certificate of {host} is issued by `{}`, which is not trusted here ({presented})",
                presented.issuer()
            ),
            format!(
                "if `{}` is your company's own CA or TLS-inspecting proxy, export its CA certificate as PEM and name \
                 the file in network.extra_ca; otherwise install the full chain on the server. Trust no certificate \
                 that you cannot explain",
                presented.issuer()
            ),
        ),
        other => {
            Fault::new(format!("the TLS handshake with {host} failed ({presented})"), tls_error_words(other))
        }
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    let part = name.iter_common_name().chain(name.iter_organization()).find_map(|part| part.as_str().ok());
    let text = part.map_or_else(|| name.to_string(), str::to_owned);
    text.chars().filter(|c| !c.is_control() && *c != '`').take(NAME_CAP).collect()
}

/// Remembers the presented chain and leaves the verdict to the platform's verifier.
#[derive(Debug)]
struct Witness {
    trust: Verifier,
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        self.trust.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trust.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trust.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.supported_verify_schemes()
    }
}
