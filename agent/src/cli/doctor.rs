//! `purser doctor`: this machine first, then each connection from the name server up to the vendor's own rights. A
//! check that depends on a failed one is not made.

mod connection;
mod environment;
mod link;

use super::context::Context;
use super::{Exit, Format, Global, output};
use crate::vendors::{ProbeResult, Verdict};
use anyhow::Result;
use purser_proto::validate::{ValidConfig, ValidConnection};
use serde::Serialize;

/// Examples and exit codes.
pub const AFTER_HELP: &str = "\
It reads only, and sends no secret anywhere but to the vendor it belongs to. When the agent is running, the vendors'
own checks are made by it, with the very client that does the work.

Examples:
  purser doctor
  purser doctor --connection erp
  purser doctor --output json | jq '.sections[].checks[] | select(.verdict == \"fail\")'

Exit code 5: at least one check failed.";

/// Arguments of `doctor`.
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// Only this connection; may be given several times.
    #[arg(long, value_name = "ID")]
    pub connection: Vec<String>,
}

/// Checks of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// `this machine`, or the connection with its URL.
    pub name: String,
    /// In the order in which they were made.
    pub checks: Vec<ProbeResult>,
}

/// Examines machine and connections.
///
/// # Errors
/// Only what keeps it from looking at all; everything else is a line of the answer.
pub fn run(global: &Global, args: &DoctorArgs) -> Result<Exit> {
    let context = Context::new(global)?;
    let (environment, config) = environment::examine(&context);
    let mut sections = vec![Section {
        name: format!("this machine, home {}", context.home().display()),
        checks: environment,
    }];
    sections.extend(link::examine(&context));
    if let Some(config) = config {
        let wanted = wanted(&context, &config, &args.connection)?;
        sections.extend(connection::examine(global, &context, &config, &wanted)?);
    }
    finish(global, &sections)
}

/// The connections part alone, for `connections test`.
///
/// # Errors
/// A configuration that cannot be used, an unknown connection.
pub fn connections(global: &Global, ids: &[String]) -> Result<Exit> {
    let context = Context::new(global)?;
    let config = context.config()?;
    let wanted = wanted(&context, &config, ids)?;
    anyhow::ensure!(!wanted.is_empty(), "the configuration has no connection; add a [[connection]] to it");
    let sections = connection::examine(global, &context, &config, &wanted)?;
    finish(global, &sections)
}

fn wanted<'a>(
    context: &Context,
    config: &'a ValidConfig,
    ids: &[String],
) -> Result<Vec<&'a ValidConnection>> {
    if ids.is_empty() {
        return Ok(config.connections.iter().collect());
    }
    ids.iter().map(|id| context.connection(config, id)).collect()
}

fn finish(global: &Global, sections: &[Section]) -> Result<Exit> {
    let of =
        |wanted: Verdict| sections.iter().flat_map(|s| &s.checks).filter(|c| c.verdict == wanted).count();
    let (failed, warned, skipped) = (of(Verdict::Fail), of(Verdict::Warn), of(Verdict::Skipped));
    match global.output {
        Format::Json => {
            output::json(
                &serde_json::json!({ "healthy": failed == 0, "failed": failed, "sections": sections }),
            )?;
        }
        Format::Text => {
            sections.iter().for_each(print);
            output::line(match (failed, warned, skipped) {
                (0, 0, _) => "everything is as it should be".to_owned(),
                (0, warned, _) => format!("works; {warned} warning(s) are worth a look"),
                (failed, _, skipped) => {
                    format!("{failed} check(s) FAILED, {skipped} could not be made because of them")
                }
            });
        }
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::CheckFailed })
}

fn print(section: &Section) {
    output::line(&section.name);
    let mut table = output::table(&["check", "verdict", "what was seen"]);
    if !table.is_tty() {
        // Sentences, for people also when they are piped.
        table.set_width(140);
    }
    for check in &section.checks {
        let mut seen = check.detail.clone();
        if !check.fix.is_empty() && matches!(check.verdict, Verdict::Fail | Verdict::Warn) {
            seen.push_str(&format!("\nto mend it: {}", check.fix));
        }
        table.add_row([output::cell(&check.check), output::verdict(check.verdict), output::cell(seen)]);
    }
    output::show(&table);
    output::line("");
}

/// One check.
fn check(
    name: impl Into<String>,
    verdict: Verdict,
    detail: impl Into<String>,
    fix: impl Into<String>,
) -> ProbeResult {
    ProbeResult { check: name.into(), verdict, detail: detail.into(), fix: fix.into() }
}
