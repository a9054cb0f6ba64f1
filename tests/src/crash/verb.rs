//! `sandbox crash`: the same for people, with as many kills as they like.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this file is for")]

use std::process::ExitCode;

use anyhow::Result;

use super::{CrashOptions, CrashReport, Mode, torment};
use crate::harness::Route;

/// Arguments of `sandbox crash`.
#[derive(Clone, Debug, clap::Args)]
pub struct CrashArgs {
    /// Kills in all, shared out over the flows and modes.
    #[arg(long, default_value_t = 100)]
    pub kills: u32,
    /// Where moments, faults and worlds are drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Records of one world.
    #[arg(long, default_value_t = 40)]
    pub reports: usize,
    /// Only this flow; may be given several times.
    #[arg(long, value_enum)]
    pub flow: Vec<Route>,
    /// Only this mode; may be given several times.
    #[arg(long, value_enum)]
    pub mode: Vec<Mode>,
    /// Print one JSON object instead of words.
    #[arg(long)]
    pub json: bool,
}

/// Torments and prints what came of it. Exit code 1: something was lost, doubled, altered or left open.
///
/// # Errors
/// When something besides the agent's work fails.
pub async fn main(args: &CrashArgs) -> Result<ExitCode> {
    let modes = if args.mode.is_empty() { Mode::ALL.to_vec() } else { args.mode.clone() };
    let routes = if args.flow.is_empty() { Route::ALL.to_vec() } else { args.flow.clone() };
    let all = routes.iter().flat_map(|route| modes.iter().map(|mode| (*route, *mode)));
    let share = args.kills.div_ceil(u32::try_from(routes.len() * modes.len())?);
    let mut whole = CrashReport::default();
    for (route, mode) in all {
        let told = |report: &CrashReport| {
            let words = mode.words();
            let (flow, kills, seconds) = (route.flow(), report.kills, report.seconds);
            eprintln!("{flow}, {words}: {kills} of {share} kills, {seconds:.0} s");
        };
        let options = CrashOptions { kills: share, seed: args.seed, reports: args.reports, route, mode };
        whole.add(torment(options, &told).await?);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&whole)?);
    } else {
        println!("{whole}");
    }
    Ok(if whole.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
