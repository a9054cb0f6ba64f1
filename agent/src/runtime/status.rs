//! What the running agent says of itself: one serialisable structure, read by `status`, `doctor`, tests and later the
//! heartbeat. It is written to a file beside the store, so that the command line needs no listener to read it; it
//! holds counters and words, never amounts, names or secrets.

use super::alarm::Alarm;
use super::link::status::LinkStatus;
use super::supervisor::ActorStatus;
use crate::flows::RunReport;
use crate::service::{private_files, process};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::{ConnectionId, FlowId};
use std::collections::BTreeMap;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The whole agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// When this was true.
    pub at: Timestamp,
    /// Since when the process runs.
    pub started: Timestamp,
    /// Process id.
    pub pid: u32,
    /// Version of the agent.
    pub version: String,
    /// Connections by id.
    pub connections: BTreeMap<ConnectionId, ActorStatus>,
    /// Connections that pause because their credential is refused.
    #[serde(default)]
    pub alarms: BTreeMap<ConnectionId, Alarm>,
    /// Flows by id.
    pub flows: BTreeMap<FlowId, FlowStatus>,
    /// The link to its control plane, of an enrolled agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkStatus>,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowStatus {
    /// Its actor.
    pub actor: ActorStatus,
    /// A run is under way.
    pub running: bool,
    /// A person paused it.
    pub paused: bool,
    /// When the schedule fires next.
    pub next_run: Option<Timestamp>,
    /// Counters of the run under way, or of the last one.
    pub last: Option<RunReport>,
}

/// Where the status is.
pub fn path(home: &Path) -> PathBuf {
    home.join("status.json")
}

/// Replaces the status file in one step. It is not synced: only a living process's status is of use.
///
/// # Errors
/// What the file system says.
pub fn write(home: &Path, status: &AgentStatus) -> io::Result<()> {
    let fresh = home.join("status.json.new");
    let words = serde_json::to_vec_pretty(status).map_err(io::Error::other)?;
    // One that is there was left by a process that was killed half way.
    drop(std::fs::remove_file(&fresh));
    private_files::create_private_file(&fresh)?.write_all(&words)?;
    std::fs::rename(&fresh, path(home))
}

/// A status older than this was left by an agent that is gone or stuck; it is written several times a second.
pub const STALE_AFTER: TimeDelta = TimeDelta::seconds(15);

/// Whether the process that wrote a status is still at work.
pub fn is_current(status: &AgentStatus, now: Timestamp) -> bool {
    let age = now - status.at;
    age.abs() < STALE_AFTER && process::alive(status.pid) != Some(false)
}

/// The status as it was written last; `None` when there is none or it cannot be read.
pub fn read(home: &Path) -> Option<AgentStatus> {
    serde_json::from_slice(&std::fs::read(path(home)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_for_the_owner_only_and_replaces_what_a_killed_process_left() {
        let home = tempfile::tempdir().unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let status = AgentStatus {
            at,
            started: at,
            pid: 1,
            version: "1".to_owned(),
            connections: BTreeMap::new(),
            alarms: BTreeMap::new(),
            flows: BTreeMap::new(),
            link: None,
        };
        std::fs::write(home.path().join("status.json.new"), "{\"at\": half").unwrap();
        for _ in 0..2 {
            write(home.path(), &status).unwrap();
            assert_eq!(read(home.path()).as_ref(), Some(&status));
            assert_eq!(private_files::exposed(&path(home.path())).unwrap(), None);
        }
    }
}
