//! Whom HTTPS trusts: the operating system's certificate authorities and those of `network.extra_ca`. They are read and
//! kept once for all connections that trust the same, because a system's list is some hundred certificates.

use super::GateError;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, Error};
use rustls_platform_verifier::Verifier;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Who is trusted beside the system's own authorities, and the verifier for it while a client uses it.
type Known = (Vec<CertificateDer<'static>>, Weak<Verifier>);

/// The verifiers in use. When the last client of one is gone, the next reads the system's list anew.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// TLS for one client.
pub(super) fn tls(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, GateError> {
    let provider =
        CryptoProvider::get_default().map_or_else(|| Arc::new(ring::default_provider()), Arc::clone);
    let refused = |error: Error| GateError::Client(error.to_string());
    let trust = verifier(extra, &provider).map_err(refused)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        // What rustls calls so is any verifier that is handed in; this one is the platform's.
        .dangerous()
        .with_custom_certificate_verifier(trust as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(
    extra: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<Verifier>, Error> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(_, verifier)| verifier.strong_count() > 0);
    let same = known.iter().find(|(certificates, _)| certificates == extra);
    if let Some(verifier) = same.and_then(|(_, verifier)| verifier.upgrade()) {
        return Ok(verifier);
    }
    let verifier = Arc::new(Verifier::new_with_extra_roots(extra.iter().cloned(), Arc::clone(provider))?);
    known.push((extra.to_vec(), Arc::downgrade(&verifier)));
    Ok(verifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_trust_the_same_share_one_verifier() {
        let provider = Arc::new(ring::default_provider());
        let authority = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            vec![certificate.self_signed(&key).unwrap().der().clone()]
        };
        let (ours, theirs) = (authority("ours.test"), authority("theirs.test"));
        let first = verifier(&ours, &provider).unwrap();
        assert!(Arc::ptr_eq(&first, &verifier(&ours, &provider).unwrap()));
        assert!(!Arc::ptr_eq(&first, &verifier(&theirs, &provider).unwrap()), "others are not trusted along");
    }
}
