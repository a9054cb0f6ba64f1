//! An agent's side of the link without an agent: it signs, sends, and shows what comes back.

use age::x25519::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use purser_proto::link::assertion::{Asserted, Assertion, Claims, HEADER};
use purser_proto::link::configuration::InForce;
use purser_proto::link::enrollment::{EnrollAnswer, EnrollRequest, KeysRequest, PublicKeys};
use purser_proto::link::report::{Report, ReportBody};
use purser_proto::link::sealed::{Received, SealedWebhook};
use purser_proto::link::sync::{Instance, SyncAnswer, SyncRequest};
use purser_proto::link::{ENROLL, KEYS, Problem, SYNC, VERSION};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::de::DeserializeOwned;
use spend::Timestamp;

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Its `Date`.
    pub date: Option<String>,
    /// Its content type.
    pub content_type: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// One agent. Its fields may be changed at will, to send what a real one would not.
pub struct TestAgent {
    /// Where the control plane is: `http://127.0.0.1:1234`.
    pub base: String,
    /// What it was enrolled as; empty before.
    pub id: String,
    /// The life that it says it is.
    pub instance: Instance,
    /// By how much its clock is wrong.
    pub skew: chrono::TimeDelta,
    /// Its clock.
    pub clock: crate::clock::Clock,
    signing: Ed25519KeyPair,
    identity: Identity,
    client: reqwest::Client,
}

impl TestAgent {
    /// An agent with new keys that has not enrolled.
    pub fn new(base: &str) -> Self {
        Self::with_client(base, client())
    }

    /// As [`Self::new`], with a client that many share.
    pub fn with_client(base: &str, client: reqwest::Client) -> Self {
        let clock = crate::clock::Clock::system();
        Self {
            base: base.to_owned(),
            id: String::new(),
            instance: Instance { id: drawn().into(), started: clock.now(), before: None },
            skew: chrono::TimeDelta::zero(),
            signing: key(),
            identity: Identity::generate(),
            clock,
            client,
        }
    }

    /// The client that it sends with.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Its public keys.
    pub fn keys(&self) -> PublicKeys {
        public(&self.signing, &self.identity)
    }

    /// Enrolls with a code.
    ///
    /// # Errors
    /// The control plane's problem.
    pub async fn enroll(&mut self, code: &str) -> Result<EnrollAnswer, Problem> {
        let answer: EnrollAnswer = read(self.try_enroll(code).await)?;
        self.id = answer.agent.to_string();
        Ok(answer)
    }

    /// Sends an enrollment and shows the answer.
    pub async fn try_enroll(&self, code: &str) -> Answered {
        let ask = EnrollRequest {
            version: VERSION,
            code: code.into(),
            keys: self.keys(),
            host: "host.example.test".into(),
            agent_version: "0.1.0".into(),
            platform: "linux-x86_64".into(),
        };
        let body = serde_json::to_vec(&ask).expect("an enrollment is JSON");
        let assertion = self.assert(&self.keys().fingerprint(), ENROLL, &body);
        self.post(ENROLL, body, Some(assertion)).await
    }

    /// A sync that says nothing and does not wait.
    pub fn says_nothing(&self) -> SyncRequest {
        SyncRequest {
            version: VERSION,
            instance: self.instance.clone(),
            wait_seconds: 0,
            in_force: InForce::default(),
            audit: None,
            taken: [].into_iter().collect(),
            reports: [].into_iter().collect(),
        }
    }

    /// A sync that waits.
    pub fn waits(&self, seconds: u16) -> SyncRequest {
        SyncRequest { wait_seconds: seconds, ..self.says_nothing() }
    }

    /// A sync with reports, numbered from `first`.
    pub fn reports(&self, first: u64, bodies: Vec<ReportBody>) -> SyncRequest {
        let at = self.now();
        let reports = (first..).zip(bodies).map(|(id, body)| Report { id, at, body }).collect();
        SyncRequest { reports, ..self.says_nothing() }
    }

    /// A sync that takes these deliveries.
    pub fn takes(&self, ids: &[&str]) -> SyncRequest {
        SyncRequest { taken: ids.iter().map(|id| (*id).into()).collect(), ..self.says_nothing() }
    }

    /// Sends a sync.
    ///
    /// # Errors
    /// The control plane's problem.
    pub async fn sync(&self, request: &SyncRequest) -> Result<SyncAnswer, Problem> {
        read(self.try_sync(request).await)
    }

    /// Sends a sync and shows the answer.
    pub async fn try_sync(&self, request: &SyncRequest) -> Answered {
        let body = serde_json::to_vec(request).expect("a sync is JSON");
        let assertion = self.assert(&self.id, SYNC, &body);
        self.post(SYNC, body, Some(assertion)).await
    }

    /// Replaces its keys.
    ///
    /// # Errors
    /// The control plane's problem.
    pub async fn rotate(&mut self) -> Result<(), Problem> {
        let (signing, identity) = (key(), Identity::generate());
        let keys = public(&signing, &identity);
        let proof = hex(signing.sign(&KeysRequest::proven(&self.id, &keys)).as_ref());
        let ask = KeysRequest { version: VERSION, keys, proof: proof.into() };
        let body = serde_json::to_vec(&ask).expect("new keys are JSON");
        let assertion = self.assert(&self.id, KEYS, &body);
        let answered = self.post(KEYS, body.clone(), Some(assertion)).await;
        if answered.status != 204 {
            return Err(problem(&answered));
        }
        // As if the answer had been lost: the same once more.
        let again = self.post(KEYS, body.clone(), Some(self.assert(&self.id, KEYS, &body))).await;
        assert_eq!(again.status, 204, "a repeated rotation is answered again");
        (self.signing, self.identity) = (signing, identity);
        Ok(())
    }

    /// Begins another life on the same machine.
    pub fn restart(&mut self) {
        let before = Some(self.instance.id.clone());
        self.instance = Instance { id: drawn().into(), started: self.now(), before };
    }

    /// Signs a request in the name of `who`.
    pub fn assert(&self, who: &str, path: &str, body: &[u8]) -> String {
        let mut nonce = [0; 16];
        SystemRandom::new().fill(&mut nonce).expect("random numbers");
        let claims = Claims { agent: who.to_owned(), at: self.now() + self.skew, nonce };
        let signature = self.signing.sign(&claims.message(Asserted { method: "POST", path, body }));
        let signature = signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes");
        Assertion { claims, signature }.to_string()
    }

    /// Sends a body as it is.
    pub async fn post(&self, path: &str, body: Vec<u8>, assertion: Option<String>) -> Answered {
        let mut request = self.client.post(format!("{}{path}", self.base)).body(body);
        if let Some(assertion) = assertion {
            request = request.header(HEADER, assertion);
        }
        let response = request.send().await.expect("the control plane answers");
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Answered {
            status: response.status().as_u16(),
            date: header("date"),
            content_type: header("content-type").unwrap_or_default(),
            body: response.bytes().await.expect("the answer is whole").to_vec(),
        }
    }

    /// Opens a webhook that was sealed to it.
    pub fn open(&self, webhook: &SealedWebhook) -> Received {
        let sealed = STANDARD.decode(webhook.sealed.as_str()).expect("a sealed webhook is base64");
        let plain = age::decrypt(&self.identity, &sealed).expect("the webhook is sealed to this agent");
        serde_json::from_slice(&plain).expect("a webhook is JSON inside")
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A client for agents.
#[expect(clippy::disallowed_methods, reason = "a test's client speaks to the test's own server")]
fn client() -> reqwest::Client {
    // A second one is refused, and the first one is the same.
    let _already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

impl Answered {
    /// The problem that it tells.
    pub fn problem(&self) -> Problem {
        problem(self)
    }
}

fn read<T: DeserializeOwned>(answered: Answered) -> Result<T, Problem> {
    if answered.status == 200 {
        return Ok(serde_json::from_slice(&answered.body).expect("the answer can be read"));
    }
    Err(problem(&answered))
}

fn problem(answered: &Answered) -> Problem {
    serde_json::from_slice(&answered.body)
        .unwrap_or_else(|_| panic!("status {} without a problem document", answered.status))
}

fn key() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("random numbers");
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key that was just made")
}

fn public(signing: &Ed25519KeyPair, identity: &Identity) -> PublicKeys {
    PublicKeys {
        signing: hex(signing.public_key().as_ref()).into(),
        recipient: identity.to_public().to_string().into(),
    }
}

fn drawn() -> String {
    crate::secrets::draw_id('i').expect("random numbers")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
