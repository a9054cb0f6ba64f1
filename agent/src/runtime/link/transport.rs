//! One request of the link and its answer: signed, sent, read, and every way in which that can fail named for a person.

use super::identity::assertion;
use crate::clock::Clock;
use crate::store::LinkKeys;
use crate::vendors::http::{LinkAnswer, LinkClient};
use purser_proto::link::assertion::{HEADER, TOLERANCE_SECONDS};
use purser_proto::link::{Problem, codes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spend::Timestamp;
use std::cell::Cell;
use std::time::Duration;

/// What a request may take beside the time for which it is kept back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no good answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No answer.
    #[error("{0}")]
    Unreachable(String),
    /// Refused because the clocks are too far apart.
    #[error(
        "the clocks are {} s apart: this machine says {ours}, the control plane {theirs}",
        (*ours - *theirs).num_seconds().abs()
    )]
    Skewed {
        /// This machine's time.
        ours: Timestamp,
        /// The control plane's.
        theirs: Timestamp,
    },
    /// Refused, with a reason.
    #[error("{}{}", .problem.title, separated(.problem.detail.as_str()))]
    Refused {
        /// The reason.
        problem: Box<Problem>,
        /// Seconds after which it may be asked again.
        retry_after: Option<u64>,
    },
    /// Something else than a control plane answered.
    #[error("{0}")]
    Strange(String),
}

fn separated(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

impl LinkError {
    /// Whether a person has still to approve the agent.
    pub fn is_approval(&self) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.code.as_str() == codes::WAITS_FOR_APPROVAL)
    }

    /// Whether these keys are not believed, and others may be.
    pub fn is_disbelief(&self) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.code.as_str() == codes::BAD_SIGNATURE)
    }

    /// Whether the code that an agent enrolls with does not do.
    pub fn is_code(&self) -> bool {
        let bad = [codes::CODE_UNKNOWN, codes::CODE_USED, codes::CODE_EXPIRED, codes::CODE_REVOKED];
        matches!(self, Self::Refused { problem, .. } if bad.contains(&problem.code.as_str()))
    }

    /// Whether the control plane is there and cannot answer now.
    fn is_busy(&self) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.code.as_str() == codes::BUSY || problem.status >= 500)
    }

    /// How to mend it.
    pub fn fix(&self) -> String {
        match self {
            Self::Unreachable(_) => {
                "nothing, if the control plane is being worked on: the agent works on without it; \
                                     else see `purser doctor`"
                    .to_owned()
            }
            Self::Skewed { .. } => {
                "set the clock by NTP (timedatectl set-ntp true; on Windows: w32tm /resync)".to_owned()
            }
            Self::Refused { .. } if self.is_approval() => {
                "have somebody compare the fingerprint (`purser status`) and approve it at the control plane"
                    .to_owned()
            }
            Self::Refused { .. } if self.is_code() => {
                "a code works once and for a short time; ask for a new one at the control plane".to_owned()
            }
            Self::Refused { .. } if self.is_busy() => "nothing: it is tried again by itself".to_owned(),
            Self::Refused { problem, .. } if problem.versions.is_some() => {
                "update the older of the two: agent or control plane".to_owned()
            }
            Self::Refused { .. } => {
                "ask at the control plane whether this agent was revoked; if it is to work on, \
                                     enroll it anew (`purser enroll --again`)"
                    .to_owned()
            }
            Self::Strange(_) => {
                "check the address and the proxies on the way; see `purser doctor`".to_owned()
            }
        }
    }

    /// What the other side wants to be waited for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => retry_after.map(Duration::from_secs),
            Self::Unreachable(_) | Self::Skewed { .. } | Self::Strange(_) => None,
        }
    }
}

/// The way to the control plane.
#[derive(Debug)]
pub(super) struct Wire {
    client: LinkClient,
    clock: Clock,
    /// This machine's clock minus the other side's, in seconds, as the last answer showed.
    skew: Cell<Option<i64>>,
}

impl Wire {
    pub(super) fn new(client: LinkClient, clock: Clock) -> Self {
        Self { client, clock, skew: Cell::default() }
    }

    pub(super) fn client(&self) -> &LinkClient {
        &self.client
    }

    pub(super) fn skew(&self) -> Option<i64> {
        self.skew.get()
    }

    /// Sends a message and reads the answer. `kept_back` is how long the answer may be kept back.
    pub(super) async fn exchange<A: DeserializeOwned>(
        &self,
        path: &'static str,
        who: &str,
        keys: &LinkKeys,
        message: &impl Serialize,
        kept_back: Duration,
    ) -> Result<A, LinkError> {
        let answer = self.send(path, who, keys, message, kept_back).await?;
        serde_json::from_slice(&answer.body).map_err(|error| strange(&answer, &error))
    }

    /// Sends a message whose answer says nothing but that it was taken.
    pub(super) async fn tell(
        &self,
        path: &'static str,
        who: &str,
        keys: &LinkKeys,
        message: &impl Serialize,
    ) -> Result<(), LinkError> {
        self.send(path, who, keys, message, Duration::ZERO).await.map(drop)
    }

    async fn send(
        &self,
        path: &'static str,
        who: &str,
        keys: &LinkKeys,
        message: &impl Serialize,
        kept_back: Duration,
    ) -> Result<LinkAnswer, LinkError> {
        let body = serde_json::to_vec(message)
            .map_err(|error| LinkError::Strange(format!("a message cannot be written: {error}")))?;
        let header = assertion(who, keys, &self.clock, path, &body);
        let sent = self.client.post(path, (HEADER, header), body, PATIENCE + kept_back).await;
        let answer = sent.map_err(LinkError::Unreachable)?;
        let now = self.clock.now();
        self.skew.set(answer.date.map(|date| (now - date).num_seconds()));
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(judge(&answer, now)) }
    }
}

/// What a refusal means.
fn judge(answer: &LinkAnswer, now: Timestamp) -> LinkError {
    let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else {
        return match answer.status {
            // A proxy or a load balancer before a control plane that is not there.
            500.. => LinkError::Unreachable(format!("the control plane answers HTTP {}", answer.status)),
            status => LinkError::Strange(format!(
                "HTTP {status} ({}) is no answer of a control plane",
                if answer.content_type.is_empty() { "without a type" } else { &answer.content_type }
            )),
        };
    };
    let apart = |date: &Timestamp| (now - *date).num_seconds().abs() > TOLERANCE_SECONDS;
    let skewed = problem.code.as_str() == codes::CLOCK_SKEWED;
    match answer.date.filter(|date| skewed && apart(date)) {
        Some(theirs) => LinkError::Skewed { ours: now, theirs },
        None => LinkError::Refused { problem: Box::new(problem), retry_after: answer.retry_after },
    }
}

fn strange(answer: &LinkAnswer, error: &serde_json::Error) -> LinkError {
    LinkError::Strange(format!(
        "HTTP {} ({}, {} bytes) is no message of the link ({:?} fault at byte {}): a proxy may have answered instead",
        answer.status,
        if answer.content_type.is_empty() { "without a type" } else { &answer.content_type },
        answer.body.len(),
        error.classify(),
        error.column()
    ))
}
