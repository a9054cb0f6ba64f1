//! Finds the binaries of agent and control plane, and builds them first where cargo started this process, so that they
//! are never stale.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Is told what is being built, before it takes its time.
pub type BuildNotice<'a> = &'a (dyn Fn(&str) + Sync);

/// A program that is built here.
#[derive(Debug)]
struct Program {
    name: &'static str,
    /// Names one that is built already.
    variable: &'static str,
    found: OnceCell<PathBuf>,
}

static AGENT: Program = Program { name: "purser", variable: "PURSER_BIN", found: OnceCell::const_new() };
static CONTROL: Program =
    Program { name: "purser-control", variable: "PURSER_CONTROL_BIN", found: OnceCell::const_new() };

/// Variables that cargo sets for the programs that it runs. A cargo below such a program takes them for changes of what
/// build scripts look at, and builds half of everything anew, each time.
const OF_CARGO: [&str; 8] = [
    "CARGO_PKG_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_MANIFEST_",
    "CARGO_PRIMARY_",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
    "NEXTEST",
];

/// The `purser` binary: `PURSER_BIN`, else the one beside this executable. When cargo started this process, that one
/// is built first, with the same profile into the same folder.
///
/// # Errors
/// When it is not there, or cannot be built; says what to do.
pub async fn locate(notice: BuildNotice<'_>) -> Result<PathBuf> {
    AGENT.found.get_or_try_init(|| find(&AGENT, notice)).await.cloned()
}

/// The `purser-control` binary: `PURSER_CONTROL_BIN`, else as [`locate`].
///
/// # Errors
/// As [`locate`].
pub async fn locate_control(notice: BuildNotice<'_>) -> Result<PathBuf> {
    CONTROL.found.get_or_try_init(|| find(&CONTROL, notice)).await.cloned()
}

async fn find(program: &Program, notice: BuildNotice<'_>) -> Result<PathBuf> {
    let (name, variable) = (program.name, program.variable);
    if let Some(named) = std::env::var_os(variable).filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("{variable} names {}, and there is no such file", named.display());
        }
        return Ok(named);
    }
    let own = std::env::current_exe().context("cannot find out where this program lies")?;
    let place = Place::of(&own);
    if let Some(cargo) = std::env::var_os("CARGO").filter(|cargo| !cargo.is_empty()) {
        build(&cargo, &place, name, notice).await?;
    }
    let binary = place.folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !binary.is_file() {
        bail!(
            "there is no {}; build it with `cargo build --bin {name}`, or name one in {variable}",
            binary.display()
        );
    }
    Ok(binary)
}

/// Where cargo put this executable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder of binaries.
    pub(super) folder: PathBuf,
    /// The name of the profile's folder.
    pub(super) profile: String,
    /// `--target`, where the folder says so.
    pub(super) triple: Option<String>,
    /// The target folder.
    pub(super) target: PathBuf,
}

impl Place {
    pub(super) fn of(executable: &Path) -> Self {
        let mut folder = executable.parent().unwrap_or(Path::new(".")).to_path_buf();
        if folder.file_name().is_some_and(|name| name == "deps") {
            folder.pop();
        }
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let profile = name(&folder).unwrap_or_default();
        let above = folder.parent().unwrap_or(Path::new(".")).to_path_buf();
        // A triple has at least two hyphens (`x86_64-pc-windows-gnu`); a target folder seldom has and is then marked.
        let triple = name(&above)
            .filter(|name| name.matches('-').count() >= 2 && !above.join("CACHEDIR.TAG").exists());
        let target = match &triple {
            Some(_) => above.parent().unwrap_or(&above).to_path_buf(),
            None => above,
        };
        Self { folder, profile, triple, target }
    }

    pub(super) fn build_arguments(&self, name: &str, manifest: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["build", "--quiet", "--bin", name, "--manifest-path"].map(OsString::from).to_vec();
        arguments.push(manifest.into());
        arguments.push("--target-dir".into());
        arguments.push(self.target.clone().into());
        match self.profile.as_str() {
            "debug" => {}
            "release" => arguments.push("--release".into()),
            other => arguments.extend(["--profile".into(), other.into()]),
        }
        if let Some(triple) = &self.triple {
            arguments.extend(["--target".into(), triple.into()]);
        }
        arguments
    }
}

async fn build(cargo: &OsString, place: &Place, name: &str, notice: BuildNotice<'_>) -> Result<()> {
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let house = crate_folder.ancestors().find(|folder| folder.join("agent/Cargo.toml").is_file());
    let manifest = house.unwrap_or(&crate_folder).join("Cargo.toml");
    if house.is_none() {
        // An installed sandbox inside somebody else's cargo run: there is nothing to build from.
        return Ok(());
    }
    notice(&format!("building {name} (cargo build --bin {name}, profile {})", place.profile));
    let mut command = Command::new(cargo);
    for (variable, _) in std::env::vars_os() {
        if OF_CARGO.iter().any(|of_cargo| variable.to_string_lossy().starts_with(of_cargo)) {
            command.env_remove(variable);
        }
    }
    let built = command
        .args(place.build_arguments(name, &manifest))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("{name} could not be built; `cargo build --bin {name}` says why");
    }
    Ok(())
}
