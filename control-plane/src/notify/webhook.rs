//! Sends one message as a signed webhook. The name is resolved here, checked, and the connection goes to just those
//! addresses, so that it cannot resolve to something else a moment later.

use super::destination::{Allowed, DestinationError, resolved, web_address};
use super::signing::{ID, SIGNATURE, SigningSecret, TIMESTAMP, signatures};
use crate::settings::Alerts;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode};
use std::time::Duration;

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest time that a receiver may ask to be left alone.
const LONGEST_WAIT: u64 = 24 * 3600;

/// One message to send.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where.
    pub target: &'a str,
    /// Its id, the same at each attempt.
    pub id: &'a str,
    /// The moment of this attempt (Unix seconds).
    pub timestamp: i64,
    /// The JSON.
    pub body: &'a str,
}

/// How sending ended, when not well.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The destination may not be called.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// It does not want any more messages.
    #[error("the receiver answered 410: it wants no more messages")]
    Gone,
    /// It answered with a refusal.
    #[error("the receiver answered {status}")]
    Refused {
        /// What.
        status: u16,
        /// How many seconds it wants to be left alone.
        wait: Option<u64>,
    },
    /// It was not reached, or took too long.
    #[error("the receiver was not reached: {0}")]
    NotReached(&'static str),
}

/// Sends webhooks.
#[derive(Clone, Debug)]
pub struct Webhooks {
    allowed: Allowed,
    authority: Option<Certificate>,
}

impl Webhooks {
    /// As the settings allow.
    ///
    /// # Errors
    /// When the authority of the settings cannot be read; in words.
    pub fn new(settings: &Alerts) -> Result<Self, String> {
        let read = |path: &std::path::PathBuf| {
            let text = std::fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
            Certificate::from_pem(&text).map_err(|_| format!("{} holds no certificate", path.display()))
        };
        let authority = settings.ca_file.as_ref().map(read).transpose()?;
        Ok(Self { allowed: settings.into(), authority })
    }

    /// What is allowed.
    pub fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// Sends a message, signed.
    ///
    /// # Errors
    /// [`SendError`]. Nothing of the receiver's answer is in it but its status.
    pub async fn send(&self, message: Outgoing<'_>, secrets: &[SigningSecret]) -> Result<(), SendError> {
        let url = web_address(message.target, self.allowed)?;
        let addresses = resolved(&url, self.allowed).await?;
        let client = self.client(url.host_str().unwrap_or_default(), &addresses)?;
        let signed = signatures(secrets, message.id, message.timestamp, message.body);
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ID, message.id)
            .header(TIMESTAMP, message.timestamp)
            .header(SIGNATURE, signed)
            .body(message.body.to_owned());
        let answer = request.send().await.map_err(|error| SendError::NotReached(why(&error)))?;
        let wait =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(SendError::Gone),
            status => Err(SendError::Refused {
                status: status.as_u16(),
                wait: wait.map(|wait| wait.min(LONGEST_WAIT)),
            }),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place where the control plane calls out")]
    fn client(&self, host: &str, addresses: &[std::net::SocketAddr]) -> Result<reqwest::Client, SendError> {
        // The first to choose decides for the process; all choose the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("purser-control/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .resolve_to_addrs(host, addresses);
        if let Some(authority) = &self.authority {
            builder = builder.tls_certs_merge([authority.clone()]);
        }
        builder.build().map_err(|_| SendError::NotReached("no TLS here"))
    }
}

/// Why, in a word; the error's own text may hold the address, of which parts can be secret.
fn why(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection, or its certificate is not trusted"
    } else {
        "the connection broke"
    }
}
