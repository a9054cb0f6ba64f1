//! The real `purser-control` binary as child processes: one node over SQLite, or several over PostgreSQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::binary::locate_control;
use super::postgres::{Cluster, free_port};
use super::relay::Relay;
use super::{Finished, Purser};

/// Longest time until a node listens.
const LONGEST: Duration = Duration::from_secs(60);
/// What it says before the address.
const LISTENING: &str = "listening on ";
/// How the tests call their tenant.
const TENANT: &str = "example";

/// What control plane is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlOptions {
    /// One node, one file.
    #[default]
    Sqlite,
    /// Two nodes, one server.
    Postgres,
}

/// A control plane. Its nodes are killed when this goes.
#[derive(Debug)]
pub struct Control {
    binary: PathBuf,
    folder: TempDir,
    database: String,
    cluster: Option<Cluster>,
    nodes: Vec<Node>,
    relay: Relay,
}

/// One process, and where it listens also after a restart.
#[derive(Debug)]
struct Node {
    port: u16,
    child: Option<Child>,
    log: PathBuf,
}

impl Control {
    /// Starts a control plane with one tenant.
    ///
    /// # Errors
    /// When a process does not start, with what it said.
    pub async fn start(options: ControlOptions) -> Result<Self> {
        let binary = locate_control(&|_| {}).await?;
        let folder = tempfile::Builder::new().prefix("purser-control-").tempdir()?;
        let (cluster, nodes) = match options {
            ControlOptions::Sqlite => (None, 1),
            ControlOptions::Postgres => (Some(tokio::task::spawn_blocking(Cluster::start).await??), 2),
        };
        let database = match &cluster {
            Some(cluster) => cluster.database()?,
            None => format!("sqlite:{}", folder.path().join("control.db").display()),
        };
        let nodes = (0..nodes).map(|number| {
            let log = folder.path().join(format!("node{number}.log"));
            Ok(Node { port: free_port()?, child: None, log })
        });
        let nodes = nodes.collect::<Result<Vec<Node>>>()?;
        let relay = Relay::open(nodes.iter().map(|node| node.port).collect()).await?;
        let mut control = Self { binary, folder, database, cluster, nodes, relay };
        control.says(&["tenant", "create", TENANT]).await?;
        for node in 0..control.nodes.len() {
            control.revive(node).await?;
        }
        Ok(control)
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The address of all nodes together: the first one that can be reached answers.
    pub fn address(&self) -> String {
        self.relay.url()
    }

    /// The database, for who works beside the server.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// From the next start on the nodes work with the database of another control plane, which must outlive this one.
    pub fn exchange_database(&mut self, other: &Self) {
        self.database.clone_from(&other.database);
    }

    /// Where a node listens.
    pub fn url(&self, node: usize) -> String {
        format!("http://127.0.0.1:{}", self.nodes[node].port)
    }

    /// A folder of its own, with the logs and, where it is a file, the database.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The tenant that the tests work in.
    pub const fn tenant(&self) -> &'static str {
        TENANT
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// With what it said instead of listening.
    pub async fn revive(&mut self, node: usize) -> Result<()> {
        let (binary, database) = (self.binary.clone(), self.database.clone());
        let node = &mut self.nodes[node];
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&node.log)?;
        let mut command = Command::new(binary);
        command.args(["--database", &database, "serve", "--listen", &format!("127.0.0.1:{}", node.port)]);
        let mut child = foreign(&mut command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start purser-control")?;
        let stdout = child.stdout.take().context("no output of purser-control")?;
        let mut lines = BufReader::new(stdout).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if line.contains(LISTENING) {
                    return anyhow::Ok(());
                }
            }
            let said = std::fs::read_to_string(&node.log).unwrap_or_default();
            bail!("purser-control has ended: {said}")
        };
        tokio::time::timeout(LONGEST, listening).await.context("purser-control does not listen")??;
        // A full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        node.child = Some(child);
        Ok(())
    }

    /// Kills a node (`kill -9`) and waits until it is gone.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn kill(&mut self, node: usize) -> Result<()> {
        if let Some(mut child) = self.nodes[node].child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Runs a verb of the command line on the same database.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(&self.binary);
        command.args(["--database", &self.database]).args(arguments);
        let ended = foreign(&mut command).stdin(Stdio::null()).kill_on_drop(true).output().await?;
        Ok(Finished {
            code: ended.status.code(),
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
        })
    }

    /// The same, and it must go well; what it printed, without the end of the line.
    ///
    /// # Errors
    /// With what it said.
    pub async fn says(&self, arguments: &[&str]) -> Result<String> {
        let ended = self.run(arguments).await?;
        ensure!(ended.code == Some(0), "purser-control {}: {}", arguments.join(" "), ended.words());
        Ok(ended.stdout.trim_end().to_owned())
    }

    /// A new enrollment code.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn code(&self) -> Result<String> {
        self.says(&["code", "create", "--tenant", TENANT]).await
    }

    /// Enrolls an agent and answers its id.
    ///
    /// # Errors
    /// When the agent is not taken.
    pub async fn enroll(&self, purser: &Purser, further: &[&str]) -> Result<String> {
        purser.enroll(&self.address(), &self.code().await?, further).await
    }

    /// What the command line shows of an agent, word by word (`id`, `recipient`, `fingerprint`, `revision`, ...).
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn shown(&self, agent: &str) -> Result<BTreeMap<String, String>> {
        let shown = self.says(&["agent", "show", "--tenant", TENANT, agent]).await?;
        let pairs = shown.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// Has an agent work with the configuration of a file.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn configure(&self, agent: &str, file: &Path) -> Result<String> {
        let file = file.display().to_string();
        self.says(&["agent", "configure", "--tenant", TENANT, agent, &file, "--note", "from a file"]).await
    }

    /// Sends a sealed secret.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn send_secret(&self, agent: &str, name: &str, file: &Path) -> Result<String> {
        let file = file.display().to_string();
        self.says(&["secret", "send", "--tenant", TENANT, "--agent", agent, "--name", name, &file]).await
    }

    /// What became of an agent's secrets: a line for each.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn secrets(&self, agent: &str) -> Result<Vec<String>> {
        self.rows(&["secret", "list", "--tenant", TENANT, "--agent", agent]).await
    }

    /// Makes a hook for a connection; its URL.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn hook(&self, agent: &str, connection: &str) -> Result<String> {
        let made = ["hook", "create", "--tenant", TENANT, "--agent", agent, "--connection", connection];
        Ok(format!("{}{}", self.address(), self.says(&made).await?))
    }

    /// An agent's hooks: a line for each, which ends with its name.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn hooks(&self, agent: &str) -> Result<Vec<String>> {
        self.rows(&["hook", "list", "--tenant", TENANT, "--agent", agent]).await
    }

    /// Gives a hook another address; its new URL.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn rotate_hook(&self, name: &str) -> Result<String> {
        let path = self.says(&["hook", "rotate", "--tenant", TENANT, name]).await?;
        Ok(format!("{}{path}", self.address()))
    }

    /// Asks an agent to do something; the command's id.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn command(&self, agent: &str, reason: &str, verb: &[&str]) -> Result<String> {
        let send = ["command", "send", "--tenant", TENANT, "--agent", agent, "--reason", reason];
        self.says(&[&send, verb].concat()).await
    }

    /// What was asked of an agent and what came of it: a line for each.
    ///
    /// # Errors
    /// As [`Control::says`].
    pub async fn commands(&self, agent: &str) -> Result<Vec<String>> {
        self.rows(&["command", "list", "--tenant", TENANT, "--agent", agent]).await
    }

    /// The lines of a table, without its head.
    async fn rows(&self, arguments: &[&str]) -> Result<Vec<String>> {
        Ok(self.says(arguments).await?.lines().skip(1).map(str::to_owned).collect())
    }

    /// All that it keeps, byte for byte: its files, and what a database server holds for it.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn kept(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.is_file() {
                kept.push((path.display().to_string(), std::fs::read(&path)?));
            }
        }
        if let Some(cluster) = &self.cluster {
            kept.push(("the dump of the database".to_owned(), cluster.dump(&self.database)?));
        }
        Ok(kept)
    }
}

impl Purser {
    /// Enrolls the agent of this home by a code and answers its id.
    ///
    /// # Errors
    /// When it is not taken, with what it said.
    pub async fn enroll(&self, url: &str, code: &str, further: &[&str]) -> Result<String> {
        let usual = ["enroll", url, code, "--allow-plain-loopback", "--proxy", "none"];
        let (finished, answer) = self.json(&[&usual, further].concat()).await?;
        let agent = answer.pointer("/enrolled/agent").and_then(Value::as_str);
        agent.map(str::to_owned).with_context(|| format!("not enrolled: {}", finished.words()))
    }
}

/// Without variables of this process that would change what it does.
fn foreign(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PURSER_CONTROL_") {
            command.env_remove(name);
        }
    }
    command
}
