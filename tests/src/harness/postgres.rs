//! A PostgreSQL server of its own for one test: made in a temporary folder, on a free port, without waiting for the disk,
//! and gone with its handle. It needs the programs of the distribution's package.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// Longest time until it answers.
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(50);
/// Who owns everything in it.
const OWNER: &str = "purser";
/// PostgreSQL refuses to run as the superuser; then it runs as the user that its package has made.
const UNPRIVILEGED: &str = "postgres";

/// A running server. It is stopped when this goes.
#[derive(Debug)]
pub struct Cluster {
    server: Child,
    port: u16,
    folder: TempDir,
    programs: PathBuf,
    databases: AtomicU32,
}

impl Cluster {
    /// Makes and starts a server.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or says why it does not start.
    pub fn start() -> Result<Self> {
        Self::begin(&["-F"])
    }

    /// The same, but what it has acknowledged is on the disk: for measurements.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn durable() -> Result<Self> {
        Self::begin(&[])
    }

    /// Whether there is anything to start.
    pub fn is_installed() -> bool {
        programs().is_ok()
    }

    fn begin(further: &[&str]) -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("purser-postgres-").tempdir()?;
        let data = folder.path().join("data");
        if is_superuser() {
            let whose = Command::new("chown").arg(UNPRIVILEGED).arg(folder.path()).status()?;
            ensure!(whose.success(), "cannot give {} to {UNPRIVILEGED}", folder.path().display());
        }
        let made = program(&programs, "initdb")
            .args([
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--no-locale",
                "--username",
                OWNER,
                "--pgdata",
            ])
            .arg(&data)
            .stdout(Stdio::null())
            .output()
            .context("cannot start initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        let server = program(&programs, "postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .args(further)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start postgres")?;
        let mut cluster = Self { server, port, folder, programs, databases: AtomicU32::new(0) };
        cluster.until_it_answers()?;
        Ok(cluster)
    }

    /// A new database; the URL is that of its owner.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn database(&self) -> Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("create database {name}"))?;
        Ok(format!("postgres://{OWNER}@127.0.0.1:{}/{name}", self.port))
    }

    /// Everything that a database holds, as its own tool writes it.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn dump(&self, url: &str) -> Result<Vec<u8>> {
        let dumped = program(&self.programs, "pg_dump").arg(url).output().context("cannot start pg_dump")?;
        ensure!(dumped.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dumped.stderr));
        Ok(dumped.stdout)
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn query(&self, database: &str, sql: &str) -> Result<()> {
        let asked = program(&self.programs, "psql")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", OWNER, "-d", database, "-qc", sql])
            .output()
            .context("cannot start psql")?;
        ensure!(asked.status.success(), "psql: {}", String::from_utf8_lossy(&asked.stderr));
        Ok(())
    }

    fn until_it_answers(&mut self) -> Result<()> {
        let begun = Instant::now();
        while let Err(error) = self.query("postgres", "select 1") {
            if let Some(status) = self.server.try_wait()? {
                bail!("postgres has ended by itself ({status})");
            }
            if begun.elapsed() > LONGEST {
                return Err(error.context("postgres does not answer"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT ends all sessions and leaves; a server that cannot be asked is killed.
        let pid = self.server.id().to_string();
        let asked = Command::new("kill").args(["-INT", &pid]).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.server.kill());
        }
        drop(self.server.wait());
    }
}

/// Where the server's own programs are: some distributions keep them out of the search path.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = packaged.chain(std::env::split_paths(&path)).collect();
    let found = places.into_iter().find(|place| place.join("initdb").is_file());
    found.context("PostgreSQL is not installed; its package has `initdb`, `postgres`, `psql` and `pg_dump`")
}

/// A program of the server's, as a user that it agrees to.
fn program(programs: &Path, name: &str) -> Command {
    let path = programs.join(name);
    if !is_superuser() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--clear-groups", "--"]).arg(path);
    // It must be able to stand where it is started.
    command.current_dir("/");
    command
}

#[cfg(unix)]
fn is_superuser() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // Without a call of the operating system: the owner of this process's own folder.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(not(unix))]
fn is_superuser() -> bool {
    false
}

/// A port that is free now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
