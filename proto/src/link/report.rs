//! What agents tell: how they are, what became of what they were sent, and what somebody should look at.

use super::command::CommandResult;
use super::configuration::RevisionVerdict;
use super::limits::{Line, List, Name, Words};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use std::collections::BTreeMap;

/// One report. It stays in the agent's outbox until the control plane has it durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Grows by one; the order in which things happened.
    pub id: u64,
    /// When it happened, by the agent's clock.
    pub at: Timestamp,
    /// What.
    pub body: ReportBody,
}

/// What is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ReportBody {
    /// How the agent is. A later one takes the place of those that still wait.
    Status(Box<StatusReport>),
    /// What came of a command.
    Result {
        /// The delivery that brought it.
        delivery: Name,
        /// Outcome.
        result: CommandResult,
    },
    /// What became of a revision.
    Revision(RevisionVerdict),
    /// What became of a sealed secret. The control plane deletes its copy.
    Secret {
        /// The delivery that brought it.
        delivery: Name,
        /// Name of the secret.
        name: Name,
        /// Why it was not stored; absent = it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<Line>,
    },
    /// What became of webhooks.
    Webhook {
        /// The delivery that brought it.
        delivery: Name,
        /// `accepted`, `ignored`, `known-already` or `refused`.
        outcome: Name,
        /// Why it was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Name>,
    },
    /// Somebody should look at this.
    Notice(Notice),
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// How grave it is.
    pub level: NoticeLevel,
    /// Stable word, e.g. `secret-for-another-origin`.
    pub code: Name,
    /// The connection or flow that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concerns: Option<Name>,
    /// What happened.
    pub what: Words,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Line::is_empty")]
    pub fix: Line,
}

/// How grave a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeLevel {
    /// Good to know.
    Info,
    /// Will become a fault.
    Warning,
    /// Does not work.
    Fault,
    /// Somebody tries what they must not.
    Security,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How the agent is: counts and words. Sums of money and records are there only as far as the machine's guard rails
/// let them leave it (`visibility`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of the agent.
    #[serde(default)]
    pub agent_version: Name,
    /// Since when the process runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Connections by id.
    #[serde(default)]
    pub connections: BTreeMap<String, ConnectionReport>,
    /// Flows by id.
    #[serde(default)]
    pub flows: BTreeMap<String, FlowReport>,
}

/// One connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// `running`, `failed`, `paused`, ...
    pub state: Name,
    /// Why, when it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Line>,
    /// Days until its credential may be dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_days: Option<i64>,
}

/// One flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReport {
    /// `idle`, `running`, `paused`, `failed`.
    pub state: Name,
    /// When it ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Timestamp>,
    /// When it runs next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Timestamp>,
    /// How the last run ended, in counts.
    #[serde(default)]
    pub last: Line,
    /// Postings by state.
    #[serde(default)]
    pub postings: BTreeMap<String, u64>,
    /// With `visibility = "summary"`: what is held, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, u64>,
    /// With `visibility = "detail"`: the held records.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub records: List<HeldRecord>,
}

/// A record that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecord {
    /// The posting, for `replay` and `handle`.
    pub posting: Name,
    /// The source's id of the record.
    pub record: Name,
    /// Total in minor units.
    pub minor: i64,
    /// Currency.
    pub currency: Name,
    /// Stable reasons.
    pub codes: List<Name, 32>,
    /// Why, in words.
    pub why: Line,
}
