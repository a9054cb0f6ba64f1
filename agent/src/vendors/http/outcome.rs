//! What a transport error means. The line that costs money: was the request possibly on its way? Only an error from
//! before that moment is *not sent*; everything later leaves a write in doubt.

use super::Effect;
use crate::secret::Origin;
use rustls::CertificateError;
use spend::posting::{Failure, FailureClass};
use std::error::Error;
use std::io;
use std::time::Duration;

/// What is needed to word a failure.
pub(super) struct Scene<'a> {
    pub(super) operation: &'a str,
    pub(super) origin: &'a Origin,
    pub(super) effect: Effect,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
}

impl Scene<'_> {
    /// A failure after the request may have left.
    pub(super) fn after_sending(&self, what: &str) -> Failure {
        let (class, so) = match self.effect {
            Effect::Write => (FailureClass::InDoubt, "; the write may have taken effect"),
            Effect::Read => (FailureClass::Unavailable, ""),
        };
        Failure::new(class, format!("{}: {}: {what}{so}", self.operation, self.origin))
    }

    /// A failure while nothing had left yet.
    pub(super) fn before_sending(&self, what: &str) -> Failure {
        Failure::new(
            FailureClass::NotSent,
            format!("{}: {}: {what}; nothing was sent", self.operation, self.origin),
        )
    }

    /// Classifies and words an error of the transport.
    pub(super) fn judge(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() || error.is_connect() {
            return self.before_sending(&self.connecting(error));
        }
        if error.is_timeout() {
            return self
                .after_sending(&format!("no complete answer within {} s", self.timeout.as_secs_f32()));
        }
        self.after_sending(&self.broken(error))
    }

    fn connecting(&self, error: &reqwest::Error) -> String {
        if let Some(words) = find(error, tls_words) {
            return words;
        }
        if error.is_dns() {
            let hint = "check the spelling in the connection's url and this machine's DNS";
            return format!("the name could not be resolved ({}): {hint}", chain_end(error));
        }
        if error.is_timeout() {
            let waited = self.connect_timeout.as_secs();
            return format!("no connection within {waited} s: check firewall and proxy on the way");
        }
        match find(error, |error| error.downcast_ref::<io::Error>().map(io::Error::kind)) {
            Some(io::ErrorKind::ConnectionRefused) => {
                "connection refused: nothing listens on that port, or a firewall refuses".to_owned()
            }
            Some(io::ErrorKind::ConnectionReset) => {
                "connection reset while it was being made: check firewall and proxy on the way".to_owned()
            }
            _ => proxy_words(&chain(error)),
        }
    }

    fn broken(&self, error: &reqwest::Error) -> String {
        let kind = find(error, |error| error.downcast_ref::<io::Error>().map(io::Error::kind));
        match kind {
            Some(
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted,
            ) => "the connection was reset before the answer was complete".to_owned(),
            _ if error.is_decode() => format!("the answer could not be unpacked ({})", chain_end(error)),
            _ => format!("the connection broke before the answer was complete ({})", chain_end(error)),
        }
    }
}

/// The words of an error and all its sources.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !words.last().is_some_and(|before| before.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    words.join(": ")
}

/// The last cause, which usually says most.
fn chain_end(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Walks the sources, also those that an `io::Error` wraps without naming them as its source.
fn find<T>(error: &(dyn Error + 'static), look: impl Fn(&(dyn Error + 'static)) -> Option<T>) -> Option<T> {
    let mut left: Vec<&(dyn Error + 'static)> = vec![error];
    while let Some(error) = left.pop() {
        if let Some(found) = look(error) {
            return Some(found);
        }
        left.extend(error.source());
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            left.push(inner);
        }
    }
    None
}

fn tls_words(error: &(dyn Error + 'static)) -> Option<String> {
    error.downcast_ref::<rustls::Error>().map(tls_error_words)
}

/// A TLS error in words, with what to do.
pub(super) fn tls_error_words(error: &rustls::Error) -> String {
    use rustls::AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(certificate) => certificate_words(certificate),
        rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::ProtocolVersion) => format!(
            "no common TLS cipher or version ({error}): the server is too old (TLS 1.2 with ECDHE and GCM is the \
             least); update it or put a current reverse proxy before it"
        ),
        other => format!("TLS failed ({other}): check that the port speaks HTTPS, and the proxy on the way"),
    }
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "the server's certificate is not trusted (unknown issuer): if it is your company's own or an inspecting \
             proxy's CA, name its PEM file in network.extra_ca; `purser doctor` shows the chain"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is for another name ({error}): use the name in the certificate as url")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the server's certificate has expired ({error}): renew it there, or check this machine's clock")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the server's certificate is not valid yet ({error}): check this machine's clock")
        }
        other => format!("the server's certificate is refused ({other}): `purser doctor` shows the chain"),
    }
}

fn proxy_words(chain: &str) -> String {
    if chain.contains("proxy auth") {
        return "the proxy asks for a login: name a secret with `user` and `password` in network.proxy_secret; a proxy \
                that takes only NTLM or Negotiate needs a local relay"
            .to_owned();
    }
    format!("no connection ({chain})")
}
