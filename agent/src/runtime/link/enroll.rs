//! Enrolling: keys are made here, only their public halves travel, and the request proves that the other halves are held.

use super::transport::{LinkError, Wire};
use crate::clock::Clock;
use crate::secret::Credential;
use crate::store::{AuditDraft, AuditKind};
use crate::store::{Batch, Enrollment, LinkKeyring, LinkKeys, key};
use crate::vendors::http::{LinkClient, LinkClientError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use purser_proto::config::NetworkSettings;
use purser_proto::link::enrollment::{EnrollAnswer, EnrollRequest};
use purser_proto::link::{ENROLL, Problem, VERSION, understood};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Before a request without an answer is sent once more.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is needed to enroll.
pub struct Wish {
    /// Origin of the control plane.
    pub url: String,
    /// The one-time code.
    pub code: SecretString,
    /// Proxy and trust on the way.
    pub network: NetworkSettings,
    /// The proxy's login.
    pub proxy: Option<Credential>,
    /// How the machine calls itself, for people.
    pub host: String,
}

/// Why an agent could not enroll. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The address, the proxy or the certificates cannot be used.
    #[error(transparent)]
    Client(#[from] LinkClientError),
    /// The control plane was not reached.
    #[error("the control plane was not reached: {why}")]
    Unreachable {
        /// What is wrong on the way, with its mend.
        why: String,
    },
    /// The control plane refused.
    #[error("the control plane refused: {error}; {fix}")]
    Refused {
        /// What it said.
        error: LinkError,
        /// How to mend it.
        fix: String,
    },
}

/// What an agent has after it enrolled.
#[derive(Debug)]
pub struct Enrolled {
    /// Who it is.
    pub enrollment: Enrollment,
    /// Its keys.
    pub keys: LinkKeyring,
}

/// `linux-x86_64` and the like.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Trades the code for an identity.
///
/// # Errors
/// [`EnrollError`] says what to mend.
pub async fn enroll(wish: Wish, clock: &Clock) -> Result<Enrolled, EnrollError> {
    let client = LinkClient::new(&wish.url, &wish.network, wish.proxy)?;
    let url = client.origin().as_str().to_owned();
    let wire = Wire::new(client, clock.clone());
    let keys = LinkKeys::generate();
    let public = keys.public();
    let request = EnrollRequest {
        version: VERSION,
        code: wish.code.expose_secret().trim().into(),
        keys: public.clone(),
        host: wish.host.into(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        platform: platform().into(),
    };
    let mut sent = wire.exchange(ENROLL, &public.fingerprint(), &keys, &request, Duration::ZERO).await;
    if matches!(sent, Err(LinkError::Unreachable(_))) {
        // The answer may have been lost: the same keys are answered again for the same code.
        tokio::time::sleep(AGAIN_AFTER).await;
        sent = wire.exchange(ENROLL, &public.fingerprint(), &keys, &request, Duration::ZERO).await;
    }
    let answer: EnrollAnswer = match sent {
        Ok(answer) => answer,
        Err(error) => return Err(explain(error, &wire, clock).await),
    };
    if !understood(answer.version) {
        let problem = Box::new(Problem::version(answer.version));
        return Err(explain(LinkError::Refused { problem, retry_after: None }, &wire, clock).await);
    }
    let enrollment = Enrollment {
        url,
        agent: answer.agent.as_str().to_owned(),
        name: answer.name.as_str().to_owned(),
        tenant: answer.tenant.as_str().to_owned(),
        network: wish.network,
        at: clock.now(),
        waited_for_approval: answer.waits_for_approval,
    };
    Ok(Enrolled { enrollment, keys: LinkKeyring::first(keys) })
}

/// What did not work, as exactly as it can be told.
async fn explain(error: LinkError, wire: &Wire, clock: &Clock) -> EnrollError {
    match error {
        LinkError::Unreachable(why) => {
            // The way is examined step by step: name, connection, proxy, certificates.
            let found = wire.client().fault_on_the_way(clock).await;
            EnrollError::Unreachable { why: found.unwrap_or(why) }
        }
        LinkError::Refused { .. } | LinkError::Skewed { .. } | LinkError::Strange(_) => {
            let fix = error.fix();
            EnrollError::Refused { error, fix }
        }
    }
}

impl Enrolled {
    /// What is written when an agent takes its identity up.
    pub fn batch(&self, actor: String) -> Batch {
        let mut batch = Batch::new();
        batch.enroll(&self.enrollment, &self.keys);
        batch.audit(AuditDraft {
            actor,
            ..AuditDraft::new(
                self.enrollment.at,
                AuditKind::Agent,
                serde_json::json!({
                    "what": "enrolled", "origin": self.enrollment.url, "agent": self.enrollment.agent,
                    "tenant": self.enrollment.tenant, "fingerprint": self.keys.current.public().fingerprint(),
                }),
            )
        });
        batch
    }

    /// Sealed to the agent of this home, for its way to the process that has the store.
    ///
    /// # Errors
    /// Why it cannot be sealed, in words.
    pub fn seal(&self, home: &Path) -> Result<String, String> {
        let keys = self.keys.to_bytes().map_err(|error| error.to_string())?;
        let wire = Sealed {
            enrollment: serde_json::to_string(&self.enrollment).map_err(|error| error.to_string())?,
            keys: STANDARD.encode(&*keys),
        };
        let mut plain = Zeroizing::new(Vec::with_capacity(16 << 10));
        serde_json::to_writer(&mut *plain, &wire).map_err(|error| error.to_string())?;
        key::seal_for_agent(home, &plain).map(|sealed| STANDARD.encode(sealed)).map_err(|e| e.to_string())
    }

    /// Opens what [`Enrolled::seal`] has made.
    ///
    /// # Errors
    /// Why it cannot be opened, in words.
    pub fn open(home: &Path, sealed: &str) -> Result<Self, String> {
        let damaged = || "the enrollment on its way to the agent is damaged".to_owned();
        let sealed = STANDARD.decode(sealed).map_err(|_| damaged())?;
        let plain = key::open_for_agent(home, &sealed).map_err(|error| error.to_string())?;
        let wire: Sealed = serde_json::from_slice(&plain).map_err(|_| damaged())?;
        let keys = Zeroizing::new(STANDARD.decode(&wire.keys).map_err(|_| damaged())?);
        Ok(Self {
            enrollment: serde_json::from_str(&wire.enrollment).map_err(|_| damaged())?,
            keys: LinkKeyring::from_bytes(&keys).map_err(|error| error.to_string())?,
        })
    }
}

/// Wiped when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Sealed {
    enrollment: String,
    keys: String,
}
