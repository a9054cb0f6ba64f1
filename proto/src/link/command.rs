//! What may be asked of an agent from afar. There is no command that runs a program and there never will be.

use super::limits::{Line, Name, Text, Words};
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// A command with what makes it accountable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Who asks.
    pub by: Name,
    /// Why.
    pub reason: Line,
    /// After this moment it is not obeyed any more.
    pub expires: Timestamp,
    /// What is asked.
    pub verb: Verb,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// Run a flow now.
    Run {
        /// Which.
        flow: Name,
    },
    /// Show what a run would do.
    Preview {
        /// Which.
        flow: Name,
    },
    /// Stop a flow's schedule and retries.
    Pause {
        /// Which.
        flow: Name,
    },
    /// Continue them.
    Resume {
        /// Which.
        flow: Name,
    },
    /// Replay a held posting.
    Replay {
        /// Of which flow.
        flow: Name,
        /// Which posting.
        posting: Name,
    },
    /// Close a held posting.
    Handle {
        /// Of which flow.
        flow: Name,
        /// Which posting.
        posting: Name,
    },
    /// Have a connection's checks made.
    TestConnection {
        /// Which.
        connection: Name,
    },
    /// Run a reference flow now.
    RefreshReference {
        /// Which.
        flow: Name,
    },
    /// Gather what a person needs to find a fault, without secrets and contents of records.
    Diagnostics,
    /// Make new keys.
    RotateKeys,
    /// One that this version does not know; it is refused.
    #[serde(other)]
    Unknown,
}

impl Verb {
    /// The word by which guard rails allow it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::Preview { .. } => "preview",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Replay { .. } => "replay",
            Self::Handle { .. } => "handle",
            Self::TestConnection { .. } => "test-connection",
            Self::RefreshReference { .. } => "refresh-reference",
            Self::Diagnostics => "diagnostics",
            Self::RotateKeys => "rotate-keys",
            Self::Unknown => "unknown",
        }
    }
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// How it ended.
    pub outcome: Outcome,
    /// What happened, or why not, in words.
    pub words: Words,
    /// What it brought to light, within what guard rails let status contain: JSON.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub detail: Text<{ 256 << 10 }>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Done.
    Done,
    /// Tried, and failed.
    Failed,
    /// Not tried: guard rails, an unknown flow, a state that does not allow it.
    Refused,
    /// Not tried: it came too late.
    Expired,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}
