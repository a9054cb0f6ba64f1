//! The real `purser` binary as a child process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::binary::locate;

/// How often a condition is looked at while an agent runs.
const LOOK: Duration = Duration::from_millis(2);

/// Variables of this process that would change what an agent does.
const FOREIGN: [&str; 9] = [
    "PURSER_HOME",
    "PURSER_TEST_HOOKS",
    "STATE_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "RUST_LOG",
    "CARGO",
    "CARGO_MANIFEST_DIR",
];

/// Runs `purser` on one home.
#[derive(Clone, Debug)]
pub struct Purser {
    binary: PathBuf,
    home: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

/// How a child ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed beside the answer.
    pub stderr: String,
}

impl Purser {
    /// The binary that [`locate`] finds, on this home.
    ///
    /// # Errors
    /// When there is no binary.
    pub async fn new(home: &Path) -> Result<Self> {
        Ok(Self::with_binary(locate(&|_| {}).await?, home))
    }

    /// A given binary.
    pub fn with_binary(binary: impl Into<PathBuf>, home: &Path) -> Self {
        Self { binary: binary.into(), home: home.to_path_buf(), environment: Vec::new() }
    }

    /// The same with a variable of the environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Starts `purser --home H ARGS`. It is killed when the handle goes.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Agent> {
        self.spawn_with(arguments, Stdio::null())
    }

    fn spawn_with(&self, arguments: &[&str], input: Stdio) -> Result<Agent> {
        let mut command = Command::new(&self.binary);
        command.arg("--home").arg(&self.home).args(arguments);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let stdout = gather(child.stdout.take());
        let stderr = gather(child.stderr.take());
        Ok(Agent { child, stdout, stderr })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.spawn(arguments)?.wait().await
    }

    /// Runs it to its end with text on its standard input.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<Finished> {
        let mut agent = self.spawn_with(arguments, Stdio::piped())?;
        if let Some(mut stdin) = agent.child.stdin.take() {
            // A process that ends without reading says why itself.
            drop(stdin.write_all(input.as_bytes()).await);
            drop(stdin.shutdown().await);
        }
        agent.wait().await
    }

    /// Runs it to its end with `--output json` and reads what it printed.
    ///
    /// # Errors
    /// When it prints no JSON; the message shows what it said instead.
    pub async fn json(&self, arguments: &[&str]) -> Result<(Finished, Value)> {
        let all: Vec<&str> = arguments.iter().copied().chain(["--output", "json"]).collect();
        let finished = self.run(&all).await?;
        let value = finished.json().with_context(|| format!("purser {}", arguments.join(" ")))?;
        Ok((finished, value))
    }

    /// Seals a secret for one origin.
    ///
    /// # Errors
    /// When the agent refuses it.
    pub async fn set_secret(
        &self,
        name: &str,
        kind: &str,
        origin: &str,
        fields: &[(&str, &str)],
    ) -> Result<()> {
        let input: String = fields.iter().map(|(field, value)| format!("{field}={value}\n")).collect();
        let arguments = ["secrets", "set", name, "--kind", kind, "--origin", origin];
        let finished = self.run_with_input(&arguments, &input).await?;
        ensure!(finished.code == Some(0), "purser secrets set {name} failed: {}", finished.words());
        Ok(())
    }
}

impl Finished {
    /// What it printed, as JSON.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("printed no JSON (exit code {:?}): {}", self.code, self.words()))
    }

    /// What it said, for messages.
    pub fn words(&self) -> String {
        let both = format!("{}\n{}", self.stdout.trim(), self.stderr.trim());
        both.trim().chars().take(4000).collect()
    }
}

/// A running child. It is killed when this goes.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl Agent {
    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn wait(mut self) -> Result<Finished> {
        let status = self.child.wait().await.context("waiting for purser")?;
        Ok(Finished {
            code: status.code(),
            stdout: (&mut self.stdout).await?,
            stderr: (&mut self.stderr).await?,
        })
    }

    /// Waits for its end, at most so long.
    ///
    /// # Errors
    /// When it runs longer; it is killed then.
    pub async fn wait_within(self, longest: Duration) -> Result<Finished> {
        match tokio::time::timeout(longest, self.wait()).await {
            Ok(finished) => finished,
            Err(_) => bail!("purser did not end within {longest:?}"),
        }
    }

    /// Kills it (`kill -9`) and waits until it is gone.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn kill(mut self) -> Result<Finished> {
        // One that has just ended by itself cannot be killed, which is all right.
        drop(self.child.start_kill());
        self.wait().await
    }

    /// Kills it as soon as the condition holds. `None` in `code` = killed; a code = it ended by itself before.
    ///
    /// # Errors
    /// When neither happens within `longest`.
    pub async fn kill_when(
        mut self,
        longest: Duration,
        mut condition: impl FnMut() -> bool,
    ) -> Result<Finished> {
        let watch = async {
            while !condition() && self.is_running()? {
                tokio::time::sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(longest, watch).await {
            Ok(watched) => watched?,
            Err(_) => bail!("the moment to kill purser did not come within {longest:?}"),
        }
        self.kill().await
    }

    /// Asks it to end in good order (`SIGTERM`).
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn terminate(&self) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let asked = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        ensure!(asked.success(), "cannot send SIGTERM to process {pid}");
        Ok(())
    }
}

fn gather<R>(stream: Option<R>) -> JoinHandle<String>
where
    R: tokio::io::AsyncRead + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // A stream that breaks off has said what it had to say.
            drop(stream.read_to_end(&mut bytes).await);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
