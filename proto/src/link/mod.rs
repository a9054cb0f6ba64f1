//! The messages of the one link between an agent and its control plane. All are JSON over HTTPS, begun by the agent.
//!
//! **Versions.** Each message names its `version`. A side tolerates fields that it does not know, answers an unknown
//! version with a [`Problem`] that names those it speaks, and understands [`OLDEST`] to [`VERSION`]. A kind of report or
//! delivery that is not known is read as `Unknown`, acknowledged, and told, never an error of the whole message.
//!
//! **Delivery.** Everything has an id and is repeated until it is acknowledged; whoever receives it remembers the ids.
//!
//! **Limits.** Every field has one ([`limits`]), kept while reading, so that no message can fill a memory or a disk.

pub mod assertion;
pub mod codes;
pub mod command;
pub mod configuration;
pub mod enrollment;
pub mod limits;
pub mod report;
pub mod sealed;
pub mod sync;

#[cfg(test)]
mod tests;

use limits::{Line, Words};
use serde::{Deserialize, Serialize};

/// The version that is spoken.
pub const VERSION: u16 = 1;
/// The oldest version that is understood.
pub const OLDEST: u16 = 1;

/// Where an enrollment code is traded for an identity.
pub const ENROLL: &str = "/v1/agent/enroll";
/// Where agent and control plane exchange everything else.
pub const SYNC: &str = "/v1/agent/sync";
/// Where an agent replaces its keys.
pub const KEYS: &str = "/v1/agent/keys";

/// Whether a message of this version can be read.
pub const fn understood(version: u16) -> bool {
    OLDEST <= version && version <= VERSION
}

/// Why a request was refused (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable word for programs, e.g. `clock-skewed`.
    pub code: Line,
    /// HTTP status.
    pub status: u16,
    /// What is wrong, in words.
    pub title: Line,
    /// Where, why, and how to mend it.
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub detail: Words,
    /// Versions that are understood, of a refused version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<[u16; 2]>,
}

impl Problem {
    /// A refusal.
    pub fn new(status: u16, code: &str, title: impl Into<Line>, detail: impl Into<Words>) -> Self {
        Self { code: code.into(), status, title: title.into(), detail: detail.into(), versions: None }
    }

    /// The refusal of a version that is not understood.
    pub fn version(got: u16) -> Self {
        let title = format!("version {got} of the link is not understood");
        let detail = format!("this side speaks {OLDEST} to {VERSION}; update the older of the two");
        Self { versions: Some([OLDEST, VERSION]), ..Self::new(400, codes::VERSION, title, detail) }
    }
}
