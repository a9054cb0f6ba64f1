//! The real `purser-control` binary as a child process: where it listens, what it costs, and its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::control::lean::Wire;
use crate::process::{self, Memory};

/// Longest time until it listens.
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is looked at while it works something off.
const LOOK: Duration = Duration::from_millis(250);
/// What it says before its addresses.
const LISTENING: &str = "listening on http://";
const FIGURES: &str = "figures on http://";

/// A node that serves. It is killed when this goes.
pub(super) struct Node {
    /// Where it listens.
    pub(super) address: SocketAddr,
    figures: SocketAddr,
    pid: u32,
    child: Child,
}

/// What a node has cost between two looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Time of its processors.
    pub(super) cpu: Duration,
    /// Time on the wall.
    pub(super) wall: Duration,
}

/// A moment from which cost is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    cpu: Duration,
    at: Instant,
}

impl Node {
    /// Starts it and waits until it listens. Its log goes into a file, as a service manager would keep it.
    pub(super) async fn start(binary: &Path, database: &str, log: &Path, connections: usize) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PURSER_CONTROL_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["--database", database, "serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
            // All agents of the measurement have one address; behind a proxy that is trusted it is the same.
            .args(["--set", "limits.connections_per_source=0"])
            .args(["--set", &format!("limits.connections={connections}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start purser-control")?;
        let pid = child.id().context("purser-control has ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().context("no output of purser-control")?).lines();
        let told = async {
            let mut main = None;
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix(LISTENING) {
                    main = Some(address.parse()?);
                } else if let (Some(main), Some(figures)) = (main, line.strip_prefix(FIGURES)) {
                    let figures = figures.trim_end_matches("/metrics").parse()?;
                    return anyhow::Ok((main, figures));
                }
            }
            bail!("purser-control has ended; its log says why")
        };
        let (address, figures) =
            tokio::time::timeout(LONGEST, told).await.context("purser-control does not listen")??;
        Ok(Self { address, figures, pid, child })
    }

    /// What it holds in memory.
    pub(super) fn memory(&self) -> Result<Memory> {
        process::memory(self.pid).context("the control plane is gone")
    }

    /// From here on cost is counted.
    pub(super) fn since(&self) -> Result<Since> {
        Ok(Since { cpu: process::cpu(self.pid).context("the control plane is gone")?, at: Instant::now() })
    }

    /// What it has cost since.
    pub(super) fn cost(&self, since: Since) -> Result<Cost> {
        let now = self.since()?;
        Ok(Cost { cpu: now.cpu.saturating_sub(since.cpu), wall: now.at - since.at })
    }

    /// How many syncs it keeps waiting, by its own figures.
    pub(super) async fn parked(&self) -> Result<usize> {
        let answer = Wire::to(self.figures, 0).get("/metrics").await?;
        let text = String::from_utf8(answer.body)?;
        let line = text.lines().find_map(|line| line.strip_prefix("purser_control_parked_syncs "));
        Ok(line.context("no figure of parked syncs")?.parse::<f64>()? as usize)
    }

    /// Waits until so many syncs are parked; how many are, if that takes too long.
    pub(super) async fn until_parked(&self, wanted: usize, patience: Duration) -> Result<usize> {
        let until = Instant::now() + patience;
        loop {
            let parked = self.parked().await?;
            if parked >= wanted || Instant::now() > until {
                return Ok(parked);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Kills it, as a crash would.
    pub(super) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// From starting the process to its first answer.
pub(super) async fn first_answer(binary: &Path, database: &str, log: &Path) -> Result<Duration> {
    let started = Instant::now();
    let node = Node::start(binary, database, log, 1000).await?;
    let answer = Wire::to(node.address, 0).get("/healthz").await?;
    let taken = started.elapsed();
    anyhow::ensure!(answer.status == 200, "the control plane is not well: {}", answer.status);
    node.kill().await?;
    Ok(taken)
}

/// The binary, built by cargo where cargo runs this.
pub(super) async fn binary() -> Result<PathBuf> {
    sandbox::harness::locate_control(&|_| {}).await
}
