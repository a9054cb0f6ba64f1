//! A throw-away home of the agent.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::AgentConfig;

/// A home folder below the system's folder for temporary files. It is removed with the handle, unless it is kept.
#[derive(Debug)]
pub struct Home {
    root: PathBuf,
    guard: Option<TempDir>,
}

impl Home {
    /// An empty home.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn new() -> Result<Self> {
        let guard = tempfile::Builder::new()
            .prefix("purser-")
            .tempdir()
            .context("cannot make a temporary folder; set TMPDIR to one that can be written")?;
        // The agent makes the folder itself, with the rights it wants.
        Ok(Self { root: guard.path().join("home"), guard: Some(guard) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("purser.toml")
    }

    /// A folder beside the home that goes away with it: for what is not the agent's.
    pub fn beside(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// Writes `purser.toml`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, config: &AgentConfig) -> Result<()> {
        self.configure_text(&config.render())
    }

    /// Writes `purser.toml` as it is given.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure_text(&self, text: &str) -> Result<()> {
        let file = self.config_file();
        make_private(&self.root).with_context(|| format!("cannot make {}", self.root.display()))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Lets the folder stay when the handle goes.
    pub fn keep(&mut self) {
        if let Some(guard) = self.guard.take() {
            drop(guard.keep());
        }
    }
}

#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}
