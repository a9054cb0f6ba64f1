//! An agent made by hand, for what a real one never does: many that use one code, requests that are sent twice.

use std::time::Duration;

use purser::clock::Clock;
use purser_proto::link::assertion::{Asserted, Assertion, Claims, HEADER};
use purser_proto::link::enrollment::PublicKeys;
use purser_proto::link::{ENROLL, SYNC};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use spend::Timestamp;

/// The time by this machine's clock, which the agents of these tests work by.
pub(super) fn now() -> Timestamp {
    Clock::system().now()
}

/// A client for plain HTTP on this machine.
#[expect(clippy::disallowed_methods, reason = "no vendor is called, and nothing secret is sent")]
pub(super) fn client() -> reqwest::Client {
    // Whoever was first has installed it.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

/// Keys and a way to use them.
pub(super) struct Hand {
    signing: Ed25519KeyPair,
    keys: PublicKeys,
    client: reqwest::Client,
}

/// A request, signed.
#[derive(Clone)]
pub(super) struct Signed {
    path: &'static str,
    body: Vec<u8>,
    header: String,
}

impl Hand {
    pub(super) fn new() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let signing = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let digits: String = signing.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        let keys = PublicKeys { signing: digits.into(), recipient: recipient.into() };
        Self { signing, keys, client: client() }
    }

    fn sign(&self, who: &str, path: &'static str, message: &Value) -> Signed {
        let body = message.to_string().into_bytes();
        let nonce = std::array::from_fn(|_| fastrand::u8(..));
        let claims = Claims { agent: who.to_owned(), at: now(), nonce };
        let message = claims.message(Asserted { method: "POST", path, body: &body });
        let signature = self.signing.sign(&message).as_ref().try_into().unwrap();
        Signed { path, body, header: Assertion { claims, signature }.to_string() }
    }

    /// Status and answer.
    pub(super) async fn send(&self, url: &str, request: &Signed) -> (u16, Value) {
        let sent = self.client.post(format!("{url}{}", request.path)).header(HEADER, &request.header);
        let answer =
            sent.header("content-type", "application/json").body(request.body.clone()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    pub(super) async fn enroll(&self, url: &str, code: &str) -> (u16, Value) {
        let keys = json!({ "signing": self.keys.signing, "recipient": self.keys.recipient });
        let message = json!({ "version": 1, "code": code, "keys": keys, "host": "hand" });
        self.send(url, &self.sign(&self.keys.fingerprint(), ENROLL, &message)).await
    }

    /// A request that is answered at once.
    pub(super) fn sync(&self, agent: &str) -> Signed {
        let instance = json!({ "id": "life", "started": now().to_rfc3339() });
        self.sign(agent, SYNC, &json!({ "version": 1, "instance": instance, "wait_seconds": 0 }))
    }
}
