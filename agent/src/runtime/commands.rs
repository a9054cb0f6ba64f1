//! Orders from the command line to a running agent, as files in a private folder: no listener, the same on every
//! operating system. An order is written whole and renamed into place; the agent removes it before it obeys, so an
//! order is obeyed at most once; the answer is a file of the same name, sealed to the agent's identity because it can
//! hold what records say. No order holds a secret in plain form.

use super::webhooks::Receipt;
use crate::flows::RunReport;
use crate::flows::preview::Preview;
use crate::flows::proof::Proof;
use crate::flows::reference_flow::MirrorPreview;
use crate::flows::replay::{Decided, Decision};
use crate::service::private_files;
use crate::store::key;
use crate::vendors::ProbeResult;
use serde::{Deserialize, Serialize};
use spend::Date;
use spend::ids::{ConnectionId, FlowId, PostingKey, VendorCode};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Run a flow now.
    Run {
        /// Which.
        flow: FlowId,
        /// Hash of the preview that was agreed to; the run is refused when a preview made now has another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<String>,
        /// A person's consent to changes of reference data beyond the ceilings.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consent: Option<Decision>,
    },
    /// Show what a run would do.
    Preview {
        /// Which.
        flow: FlowId,
    },
    /// Make the proof.
    Proof {
        /// Which.
        flow: FlowId,
        /// First day of approval.
        from: Date,
        /// Last day of approval.
        to: Date,
    },
    /// Have a connection's vendor checks made.
    Probe {
        /// Which connection.
        connection: ConnectionId,
    },
    /// Store a secret; connections that use it start again with it.
    PutSecret {
        /// Its name.
        name: String,
        /// [`crate::store::StoredSecret::seal`]: only the agent can open it.
        sealed: String,
        /// Who, and why.
        decision: Decision,
    },
    /// Forget a secret.
    RemoveSecret {
        /// Its name.
        name: String,
        /// Who, and why.
        decision: Decision,
    },
    /// Receive webhooks for a connection.
    Receive {
        /// Which connection.
        connection: ConnectionId,
        /// [`super::webhooks::seal`]: headers can hold a shared secret.
        sealed: String,
        /// Who hands them over.
        decision: Decision,
    },
    /// Stop or continue a flow's schedule and retries.
    Pause {
        /// Which.
        flow: FlowId,
        /// Stop, else continue.
        paused: bool,
        /// Who, and why.
        decision: Decision,
    },
    /// Replay a held posting.
    Replay {
        /// Of which flow.
        flow: FlowId,
        /// Which.
        key: PostingKey,
        /// Who, and why.
        decision: Decision,
    },
    /// Remember which vendor the merchant of a record is, and plan the record again.
    Choose {
        /// Of which flow.
        flow: FlowId,
        /// Which posting.
        key: PostingKey,
        /// Which vendor its merchant is.
        vendor: VendorCode,
        /// Who, and why.
        decision: Decision,
    },
    /// Forget which vendor a merchant is.
    Forget {
        /// Of which flow.
        flow: FlowId,
        /// Key of the merchant.
        merchant: String,
        /// Who, and why.
        decision: Decision,
    },
    /// Close a held posting.
    Handle {
        /// Of which flow.
        flow: FlowId,
        /// Which.
        key: PostingKey,
        /// Who, and why.
        decision: Decision,
        /// Tell the spend system first that the record is not exported.
        #[serde(default)]
        report_failure: bool,
    },
    /// Take an identity at a control plane up.
    Join {
        /// [`super::link::enroll::Enrolled::seal`]: only the agent can open it.
        sealed: String,
        /// Who enrolled it.
        decision: Decision,
    },
    /// Leave the control plane.
    Leave {
        /// Who, and why.
        decision: Decision,
    },
    /// Start a connection's or flow's actor again after it has failed for good.
    Revive {
        /// Id of the connection or flow.
        name: String,
    },
    /// Test hook: a panic inside a connection's actor. Refused unless the agent was started with test hooks.
    Panic {
        /// Which connection.
        connection: ConnectionId,
    },
}

impl Order {
    /// Whether connections begin anew because of it.
    pub(super) fn changes_a_secret(&self) -> bool {
        matches!(self, Self::PutSecret { .. } | Self::RemoveSecret { .. })
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Obeyed {
    /// Done, nothing more to say.
    Done,
    /// The run's report.
    Ran {
        /// Counters.
        report: RunReport,
    },
    /// What a run would do.
    Previewed {
        /// Line by line.
        preview: Preview,
    },
    /// Not run: a run would do something else than what was agreed to.
    Changed {
        /// What it would do.
        preview: Preview,
    },
    /// What a run of a reference flow would do.
    PreviewedReference {
        /// Entry by entry.
        preview: Box<MirrorPreview>,
    },
    /// Not run: a run of a reference flow would do something else than what was agreed to.
    ChangedReference {
        /// What it would do.
        preview: Box<MirrorPreview>,
    },
    /// The proof.
    Proved {
        /// Record by record.
        proof: Box<Proof>,
    },
    /// What the vendor's checks found.
    Probed {
        /// In order.
        results: Vec<ProbeResult>,
    },
    /// What became of webhooks.
    Received {
        /// One for each delivery, in order.
        receipts: Vec<Receipt>,
        /// The runs that they caused.
        runs: BTreeMap<FlowId, Result<RunReport, String>>,
    },
    /// What came of a decision on a posting.
    Decided {
        /// Outcome.
        decided: Decided,
    },
    /// Not done.
    Refused {
        /// Why, and what to do instead.
        why: String,
    },
}

/// The folder of orders.
pub fn folder(home: &Path) -> PathBuf {
    home.join("orders")
}

/// Makes the folder of orders and takes away what other processes left in it. Nobody waits for old answers, and an order
/// that was not taken is not obeyed by an agent that its giver may not have meant: who still waits is told.
///
/// # Errors
/// What the file system says.
pub fn prepare(home: &Path) -> io::Result<()> {
    let folder = folder(home);
    private_files::create_private_dir(&folder)?;
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "answer" || e == "draft" || e == "new") {
            std::fs::remove_file(&path)?;
        }
    }
    for left in take(home)? {
        let why = "the agent was started anew before it had taken this order; give it again".to_owned();
        left.answer(home, &Obeyed::Refused { why })?;
    }
    Ok(())
}

/// An order under way. When nobody waits for it any more it is taken back, unless the agent has it in hand.
struct Given {
    file: PathBuf,
    answer: PathBuf,
}

impl Drop for Given {
    fn drop(&mut self) {
        for path in [&self.file, &self.answer] {
            drop(std::fs::remove_file(path));
        }
    }
}

/// Gives an order to the running agent and waits for its answer; `None` when it did not answer in time. Dropping the
/// future takes the order back unless the agent has it in hand.
///
/// # Errors
/// What the file system says, or an answer that cannot be read.
pub async fn give(home: &Path, order: &Order, patience: Duration) -> io::Result<Option<Obeyed>> {
    let folder = folder(home);
    let name = format!("{:016x}", fastrand::u64(..));
    let bytes = serde_json::to_vec(order).map_err(io::Error::other)?;
    let given =
        Given { file: folder.join(format!("{name}.order")), answer: folder.join(format!("{name}.answer")) };
    private_files::write_private(&given.file, &bytes, false)?;
    let deadline = tokio::time::Instant::now() + patience;
    while tokio::time::Instant::now() < deadline {
        if let Ok(bytes) = std::fs::read(&given.answer) {
            return read_answer(home, &bytes).map(Some);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(None)
}

fn read_answer(home: &Path, bytes: &[u8]) -> io::Result<Obeyed> {
    if key::is_sealed(bytes) {
        let opened = key::open_for_agent(home, bytes).map_err(io::Error::other)?;
        return serde_json::from_slice(&opened).map_err(io::Error::other);
    }
    serde_json::from_slice(bytes).map_err(io::Error::other)
}

/// An order that was taken from the folder.
#[derive(Debug)]
pub struct Taken {
    /// What to do.
    pub order: Result<Order, String>,
    answer: PathBuf,
}

/// Takes all orders that wait, in the order of their names.
///
/// # Errors
/// What the file system says.
pub fn take(home: &Path) -> io::Result<Vec<Taken>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(home))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "order"))
        .collect();
    files.sort();
    // One that cannot be taken was taken back meanwhile, and does not keep the others.
    Ok(files.into_iter().filter_map(|file| take_one(file).ok()).collect())
}

fn take_one(file: PathBuf) -> io::Result<Taken> {
    let bytes = std::fs::read(&file)?;
    std::fs::remove_file(&file)?;
    let order = serde_json::from_slice(&bytes).map_err(|error| format!("the order cannot be read: {error}"));
    Ok(Taken { order, answer: file.with_extension("answer") })
}

impl Taken {
    /// Answers the order. Where the agent has an identity the answer is sealed to it.
    ///
    /// # Errors
    /// What the file system or the sealing says.
    pub fn answer(&self, home: &Path, obeyed: &Obeyed) -> io::Result<()> {
        let plain = serde_json::to_vec(obeyed).map_err(io::Error::other)?;
        let bytes = match key::seal_for_agent(home, &plain) {
            Ok(sealed) => sealed,
            Err(key::KeyError::NotCreated { .. }) => plain,
            Err(error) => return Err(io::Error::other(error)),
        };
        private_files::write_private(&self.answer, &bytes, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order::Run { flow: FlowId::new("expenses"), expect: None, consent: None }
    }

    fn names(home: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder(home)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// As a command leaves it that is killed while it waits.
    fn left_behind(home: &Path, name: &str) {
        std::fs::write(folder(home).join(name), serde_json::to_vec(&order()).unwrap()).unwrap();
    }

    #[test]
    fn what_a_killed_command_ordered_is_not_obeyed_after_the_next_start() {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path()).unwrap();
        for name in ["1.order", "2.answer", "3.order.77.new"] {
            left_behind(home.path(), name);
        }
        prepare(home.path()).unwrap();
        assert!(take(home.path()).unwrap().is_empty());
        assert_eq!(names(home.path()), ["1.answer"], "for one who may still wait");
        prepare(home.path()).unwrap();
        assert!(names(home.path()).is_empty());
    }

    #[tokio::test]
    async fn who_waits_for_an_order_while_the_agent_starts_anew_is_told() {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path()).unwrap();
        let order = order();
        let given = give(home.path(), &order, Duration::from_secs(20));
        let restart = async {
            while names(home.path()).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            prepare(home.path()).unwrap();
        };
        let (answer, ()) = tokio::join!(given, restart);
        let Some(Obeyed::Refused { why }) = answer.unwrap() else { panic!("no answer") };
        assert!(why.contains("give it again"), "{why}");
    }
}
