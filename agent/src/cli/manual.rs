//! `purser completions` and `purser man`: made from the same definition as the command line itself.

use super::{Cli, Exit, output};
use anyhow::{Context as _, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Examples.
pub const COMPLETIONS_HELP: &str = "\
Examples:
  purser completions bash > /etc/bash_completion.d/purser
  purser completions zsh > ~/.zfunc/_purser
  purser completions powershell >> $PROFILE";

/// Examples.
pub const MAN_HELP: &str = "Examples:\n  purser man | man -l -\n  purser man --dir /usr/local/share/man/man1";

/// Prints a completion script.
///
/// # Errors
/// When standard output fails.
pub fn completions(shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "purser", &mut script);
    output::raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Prints the manual page, or writes one for each verb into a folder.
///
/// # Errors
/// When standard output fails or the folder cannot be written.
pub fn man(dir: Option<&Path>) -> Result<Exit> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        output::raw(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
    output::line(format!("manual pages written to {}", dir.display()));
    Ok(Exit::Done)
}
