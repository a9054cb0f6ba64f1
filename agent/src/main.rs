//! The Purser agent.

use clap::Parser;
use purser::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(Cli::parse())
}
