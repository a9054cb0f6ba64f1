//! `sandbox`: the simulated vendors for people, and the demo.
#![expect(clippy::print_stderr, reason = "a program for people prints")]

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use sandbox::crash::{self, CrashArgs};
use sandbox::demo::{self, DemoOptions, Form};
use sandbox::harness::{Admin, DocumentKind, Route};
use sandbox::serve::{self, ServeArgs};
use serde_json::Value;

/// Simulators of Expensify, Brex, Epicor Kinetic and Acumatica, and the demo of Purser.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play the demo: sandbox and real agent, lost answers, a kill, and the proof that nothing was doubled or lost.
    #[command(
        after_help = "Exit code 0 only when nothing is doubled, lost, altered or leaked and all totals agree."
    )]
    Demo(DemoArgs),
    /// Kill real agents at random moments and see whether anything is lost, doubled or altered.
    Crash(CrashArgs),
    /// Serve the simulators until Ctrl-C, and print what an agent needs to work with them.
    Serve(ServeArgs),
    /// Show what a simulator holds.
    State(At),
    /// Show the calls that a simulator has received, and their counts.
    Journal {
        #[command(flatten)]
        at: At,
        /// Most calls shown.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Show the wrong calls that a simulator has received.
    Misuse(At),
    /// Show the fault rules in force.
    Faults {
        #[command(flatten)]
        at: At,
        /// Remove them all instead.
        #[arg(long)]
        clear: bool,
    },
    /// Add a fault rule.
    #[command(after_help = "\
Example: the next saved journal is committed and its answer is lost:
  sandbox fault --url http://127.0.0.1:8101 \\
    '{\"match\":{\"path_contains\":\"GLJournalEntrySvc/Update\",\"nth\":1},\"action\":{\"kind\":\"cut-after-commit\"}}'

Kinds: latency, cut-before-commit, cut-after-commit, half-answer, late-commit, status, unauthorized-until-relogin,
malformed-body, truncated-body, gzip-bomb, hang, maintenance.")]
    Fault {
        #[command(flatten)]
        at: At,
        /// The rule, or a list of rules, as JSON.
        rule: String,
    },
    /// Change a simulator: knobs, reports, periods. A wrong verb answers which there are.
    #[command(after_help = "\
Examples:
  sandbox control --url http://127.0.0.1:8101 close-period '{\"year\":2026,\"period\":3}'
  sandbox control --url http://127.0.0.1:8100 approve '{\"id\":\"R00bCluvcO4T\"}'
  sandbox control --url http://127.0.0.1:8103 announce
  sandbox control --url http://127.0.0.1:8103 write-deliveries '{\"file\":\"deliveries.jsonl\"}'")]
    Control {
        #[command(flatten)]
        at: At,
        /// What to do.
        verb: String,
        /// With what, as JSON.
        #[arg(default_value = "{}")]
        body: String,
    },
    /// Move a simulator's clock, or set it wrong.
    Clock {
        #[command(flatten)]
        at: At,
        /// Seconds to move on.
        #[arg(long, allow_negative_numbers = true)]
        advance: Option<i64>,
        /// Seconds that it is off.
        #[arg(long, allow_negative_numbers = true)]
        skew: Option<i64>,
    },
    /// Put a simulator back to its beginning.
    Reset(At),
}

/// Which simulator.
#[derive(Debug, clap::Args)]
struct At {
    /// Its address, as `sandbox serve` prints it.
    #[arg(long, value_name = "URL")]
    url: String,
    /// PEM file of the sandbox's authority, when it is served over HTTPS.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct DemoArgs {
    /// Reports of each Expensify account and movements of card spend, in all states; about nine of ten are approved.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    reports: u32,
    /// Only this flow; may be given several times. Default: all, side by side.
    #[arg(long, value_enum)]
    flow: Vec<Route>,
    /// Same seed, same reports.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is written into the ERPs.
    #[arg(long, value_enum, default_value_t)]
    document: DocumentKind,
    /// Leave everything running at the end, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Words for people, or one JSON object (the words go to standard error then).
    #[arg(long, value_enum, default_value_t)]
    output: Form,
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(without_separator(std::env::args_os()));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(async {
        tokio::select! {
            done = obey(cli.verb) => done,
            stopped = stop_request() => stopped.map(|()| {
                eprintln!("\nstopped; everything it had started is ended");
                ExitCode::from(130)
            }),
        }
    });
    done.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// `cargo demo -- --reports 500` arrives as `sandbox demo -- --reports 500`, because cargo hands everything behind the
/// alias over, its `--` too.
fn without_separator(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.get(1).is_some_and(|verb| verb == "demo")
        && arguments.get(2).is_some_and(|word| word == "--")
    {
        arguments.remove(2);
    }
    arguments
}

async fn obey(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Demo(args) => {
            let options = DemoOptions {
                reports: usize::try_from(args.reports)?,
                seed: args.seed,
                keep: args.keep,
                form: args.output,
                document: args.document,
                routes: chosen(&args.flow),
            };
            return Ok(if demo::run(options).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Verb::Crash(args) => return crash::main(&args).await,
        Verb::Serve(args) => serve::run(&args).await?,
        Verb::State(at) => show(&at, "GET", "state", None).await?,
        Verb::Journal { at, limit } => show(&at, "GET", &format!("journal?limit={limit}"), None).await?,
        Verb::Misuse(at) => show(&at, "GET", "misuse", None).await?,
        Verb::Faults { at, clear: false } => show(&at, "GET", "faults", None).await?,
        Verb::Faults { at, clear: true } => show(&at, "DELETE", "faults", None).await?,
        Verb::Fault { at, rule } => show(&at, "POST", "faults", Some(&json(&rule)?)).await?,
        Verb::Control { at, verb, body } => {
            show(&at, "POST", &format!("control/{verb}"), Some(&json(&body)?)).await?;
        }
        Verb::Clock { at, advance, skew } => {
            let body = serde_json::json!({ "advance_seconds": advance, "skew_seconds": skew });
            show(&at, "POST", "clock", Some(&body)).await?;
        }
        Verb::Reset(at) => show(&at, "POST", "reset", None).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Each flow once, in the order in which they are always shown.
fn chosen(named: &[Route]) -> Vec<Route> {
    Route::ALL.into_iter().filter(|route| named.is_empty() || named.contains(route)).collect()
}

async fn show(at: &At, method: &str, verb: &str, body: Option<&Value>) -> Result<()> {
    let read = |file: &PathBuf| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let ca = at.ca.as_ref().map(read).transpose()?;
    let answer = Admin::new(&at.url, ca.as_deref())?.call(method, verb, body).await?;
    Ok(writeln!(std::io::stdout(), "{answer:#}")?)
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("`{text}` is not JSON"))
}

#[cfg(unix)]
async fn stop_request() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn stop_request() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn words(line: &str) -> Vec<String> {
        let arguments = without_separator(line.split(' ').map(OsString::from));
        arguments.into_iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_separator_of_the_alias_is_dropped_and_no_other() {
        assert_eq!(words("sandbox demo -- --reports 5"), ["sandbox", "demo", "--reports", "5"]);
        assert_eq!(words("sandbox demo --reports 5"), ["sandbox", "demo", "--reports", "5"]);
        assert_eq!(words("sandbox fault -- {}"), ["sandbox", "fault", "--", "{}"]);
        assert!(Cli::try_parse_from(words("sandbox demo -- --reports 500 --output json")).is_ok());
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
