//! Revisions of an agent's configuration on their way down, and what became of them on the way up.

use super::limits::{Document, Line, List, Name};
use crate::finding::ConfigFinding;
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// One revision. Revisions are never changed; going back is a new one with the old text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// From 1 on, growing by one.
    pub number: u64,
    /// The same TOML that an agent without a control plane reads from its file.
    pub toml: Document,
    /// BLAKE3 of the text, 64 hexadecimal digits.
    pub hash: Name,
    /// Who made it.
    pub by: Name,
    /// Why.
    #[serde(default)]
    pub note: Line,
    /// When.
    pub at: Timestamp,
}

impl Revision {
    /// The hash of a text.
    pub fn hash_of(toml: &str) -> String {
        blake3::hash(toml.as_bytes()).to_hex().to_string()
    }

    /// Whether the text is the one that was hashed.
    pub fn is_whole(&self) -> bool {
        Self::hash_of(self.toml.as_str()) == self.hash.as_str()
    }
}

/// What the agent works with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Number of the revision; 0 = the agent's own file.
    pub number: u64,
    /// Hash of its text.
    #[serde(default)]
    pub hash: Name,
}

/// What became of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionVerdict {
    /// Which.
    pub number: u64,
    /// Applied, or else every reason; the last good one stays in force then.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub refused: List<ConfigFinding>,
}
