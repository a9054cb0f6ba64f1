//! The one exchange: reports go up, deliveries come down. The control plane keeps the request until there is something
//! to deliver, or `wait_seconds` are over.

use super::command::Command;
use super::configuration::{InForce, Revision};
use super::limits::{Line, List, Name};
use super::report::Report;
use super::sealed::{SealedSecret, SealedWebhook};
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// Default of [`SyncRequest::wait_seconds`]: below the 60 seconds after which many proxies cut an idle connection.
pub const WAIT_SECONDS: u16 = 55;

/// What the agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// Version of the link.
    pub version: u16,
    /// The life of the agent that speaks.
    pub instance: Instance,
    /// How long the answer may be kept back when there is nothing to deliver.
    #[serde(default)]
    pub wait_seconds: u16,
    /// The configuration in force.
    #[serde(default)]
    pub in_force: InForce,
    /// End of the audit trail, so that nobody can cut its tail unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditHead>,
    /// Deliveries that are durably taken.
    #[serde(default)]
    pub taken: List<Name>,
    /// What happened since.
    #[serde(default)]
    pub reports: List<Report>,
}

/// One life of an agent's process. Two lives that speak in turn are two machines with one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Drawn when the process starts.
    pub id: Name,
    /// When it started, by its own clock.
    pub started: Timestamp,
    /// The life before it on this machine, as its home folder remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Name>,
}

/// End of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of entries.
    pub entries: u64,
    /// Hash of the chain at its end.
    pub head: Name,
}

/// What the control plane answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAnswer {
    /// Version of the link.
    pub version: u16,
    /// The control plane's clock.
    pub at: Timestamp,
    /// Reports up to this id are durable there.
    #[serde(default)]
    pub reported: u64,
    /// What is to be done. An agent that takes them says so in its next request, and may get them again before.
    #[serde(default)]
    pub deliveries: List<Delivery>,
    /// Present when this life must not work: another one with the same identity is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<Line>,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Unique for the agent, for ever.
    pub id: Name,
    /// What.
    pub body: DeliveryBody,
}

/// What is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DeliveryBody {
    /// A configuration.
    Revision(Revision),
    /// A command.
    Command(Command),
    /// A sealed secret.
    Secret(SealedSecret),
    /// A sealed webhook.
    Webhook(SealedWebhook),
    /// There is a release; used later.
    Release(ReleaseNotice),
    /// One that this version does not know; it is taken and told.
    #[serde(other)]
    Unknown,
}

/// There is a release. What it says is a hint; the agent believes only what the release key has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseNotice {
    /// Its version.
    pub version: Name,
    /// Where its signed description is.
    pub manifest: Line,
}
