//! A PostgreSQL server of the test's own, from Debian's package: in a new folder, on a socket there, without syncing to
//! disk. It ends with the test, also when the test is killed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

const VERSIONS: &str = "/usr/lib/postgresql";
const MISSING: &str = "PostgreSQL is missing: install Debian's package with `apt-get install postgresql`";
/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server.
pub struct Postgres {
    folder: PathBuf,
    server: Child,
    databases: std::sync::atomic::AtomicU32,
}

impl Postgres {
    /// Starts a server.
    pub async fn start() -> Self {
        let binaries = binaries();
        let folder = folder();
        let data = folder.join("data");
        let mut init = as_owner(&binaries.join("initdb"));
        init.args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--pgdata"])
            .arg(&data);
        let made = init.output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = fs::File::create(folder.join("log")).expect("a log");
        let mut server = as_owner(&binaries.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&folder);
        for setting in ["listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=200"] {
            server.args(["-c", setting]);
        }
        let server =
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("postgres runs");
        let server = Self { folder, server, databases: 0.into() };
        server.answers().await;
        server
    }

    /// The address of a new, empty database.
    pub async fn database(&self) -> String {
        let number = self.databases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("purser{number}");
        let mut connection = self.connection().await.expect("the server answers");
        let create = sqlx::AssertSqlSafe(format!("create database {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.expect("a database");
        self.url(&name)
    }

    /// Where its socket is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.folder.display())
    }

    async fn connection(&self) -> Result<sqlx::PgConnection, sqlx::Error> {
        <sqlx::PgConnection as sqlx::Connection>::connect(&self.url("postgres")).await
    }

    async fn answers(&self) {
        let until = Instant::now() + PATIENCE;
        while let Err(why) = self.connection().await {
            assert!(Instant::now() < until, "PostgreSQL does not begin: {why}; {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Nothing of it is needed any more, so nothing can go wrong that matters.
        let _gone = self.server.kill();
        let _gone = self.server.wait();
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// The newest version's programs.
fn binaries() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).unwrap_or_else(|_| panic!("{MISSING}"));
    let mut versions: Vec<PathBuf> =
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    versions.retain(|binaries| binaries.join("initdb").exists());
    versions.sort();
    versions.pop().unwrap_or_else(|| panic!("{MISSING}"))
}

fn folder() -> PathBuf {
    let name = crate::secrets::draw_id('p').expect("random numbers");
    let folder = std::env::temp_dir().join(format!("purser-{}", &name[..12]));
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("a folder of one's own");
    if let Some((user, group)) = owner() {
        chown(&folder, Some(user), Some(group)).expect("a folder of the user postgres");
    }
    folder
}

/// PostgreSQL refuses to run as root; Debian's package makes the user `postgres`.
fn owner() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").expect("/proc");
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line =
        users.lines().find(|line| line.starts_with("postgres:")).unwrap_or_else(|| panic!("{MISSING}"));
    let fields: Vec<&str> = line.split(':').collect();
    let id = |at: usize| fields.get(at).and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{MISSING}"));
    Some((id(2), id(3)))
}

/// A program that ends with this one and, as root, runs as the user `postgres`.
fn as_owner(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some((user, group)) = owner() {
        command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
    }
    command.arg("--").arg(program).current_dir("/");
    command
}
