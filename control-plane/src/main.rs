//! The control plane's binary.

use clap::Parser as _;
use purser_control::cli::{self, Cli};
use std::process::ExitCode;

#[actix_web::main]
#[expect(clippy::print_stderr, reason = "the fault is told to the person who started it")]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", cli::told(&error));
            ExitCode::FAILURE
        }
    }
}
