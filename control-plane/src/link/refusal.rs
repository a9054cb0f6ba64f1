//! Why a request of an agent is refused, as the problem document that the agent reads.

use crate::clock::{Millis, timestamp};
use crate::store::StoreError;
use purser_proto::link::{Problem, codes};

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not JSON, or a field is not what it must be.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Another version.
    #[error("version {0} is not understood")]
    Version(u16),
    /// No assertion that could be read.
    #[error("no assertion")]
    BadAssertion,
    /// Signed by somebody else, or for something else.
    #[error("bad signature")]
    BadSignature,
    /// The clocks differ by so many seconds; positive = the agent's is ahead.
    #[error("the agent's clock differs by {seconds} s")]
    ClockSkewed {
        /// By how many.
        seconds: i64,
        /// The time here.
        now: Millis,
    },
    /// Used before.
    #[error("replayed")]
    Replayed,
    /// Nobody here.
    #[error("unknown agent")]
    UnknownAgent,
    /// Ended by a person.
    #[error("revoked")]
    Revoked,
    /// A person has to compare the fingerprint.
    #[error("waits for approval")]
    WaitsForApproval,
    /// The code cannot be used.
    #[error("code refused: {0}")]
    Code(&'static str),
    /// The keys are not keys.
    #[error("bad keys: {0}")]
    BadKeys(&'static str),
    /// The database does not work; what was asked may be asked again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// What of a message could not be read. Which field is told, not what was in it.
    pub fn malformed(why: &serde_json::Error) -> Self {
        Self::Malformed(why.to_string())
    }

    /// The refusal as the agent reads it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Malformed(why) => {
                Problem::new(400, codes::MALFORMED, "the message cannot be read", why.as_str())
            }
            Self::Version(version) => Problem::version(*version),
            Self::BadAssertion => Problem::new(
                401,
                codes::BAD_ASSERTION,
                "the request does not prove who sends it",
                "the header `purser-assertion` is missing or damaged; a proxy between agent and control plane must let it \
                 through",
            ),
            Self::BadSignature => Problem::new(
                401,
                codes::BAD_SIGNATURE,
                "the request is not signed with the agent's key",
                "something between agent and control plane changes requests, or the agent's keys were replaced",
            ),
            Self::ClockSkewed { seconds, now } => skewed(*seconds, *now),
            Self::Replayed => Problem::new(
                401,
                codes::REPLAYED,
                "the request was sent before",
                "each request is signed anew",
            ),
            Self::UnknownAgent => Problem::new(
                401,
                codes::UNKNOWN_AGENT,
                "this control plane does not know the agent",
                "it was restored from an older backup, or is another one; the agent works on, and can be enrolled again",
            ),
            Self::Revoked => Problem::new(
                403,
                codes::REVOKED,
                "the agent's identity was ended by a person",
                "enroll the agent again to give it a new identity",
            ),
            Self::WaitsForApproval => Problem::new(
                403,
                codes::WAITS_FOR_APPROVAL,
                "a person has still to approve the agent",
                "compare the fingerprint that `purser status` shows with the control plane's, and approve it there",
            ),
            Self::Code(code) => refused_code(code),
            Self::BadKeys(why) => Problem::new(400, codes::BAD_KEYS, "the keys are refused", *why),
            Self::Store(_) => Problem::new(
                503,
                codes::BUSY,
                "the control plane cannot do this at the moment",
                "its database does not answer; the same request works later",
            ),
        }
    }
}

fn skewed(seconds: i64, now: Millis) -> Problem {
    let direction = if seconds > 0 { "ahead" } else { "behind" };
    let title = format!("the agent's clock is {} s {direction}", seconds.unsigned_abs());
    let detail = format!(
        "here it is {}; at most {} s are allowed: have the machine set its clock (NTP, Windows Time)",
        timestamp(now).to_rfc3339(),
        purser_proto::link::assertion::TOLERANCE_SECONDS
    );
    Problem::new(401, codes::CLOCK_SKEWED, title, detail)
}

fn refused_code(code: &'static str) -> Problem {
    let title = match code {
        codes::CODE_USED => "the enrollment code was used by another agent",
        codes::CODE_EXPIRED => "the enrollment code has expired",
        codes::CODE_REVOKED => "the enrollment code was revoked",
        _ => "the enrollment code is not known",
    };
    Problem::new(403, code, title, "have a new one made: `purser-control code create`, or in the console")
}
