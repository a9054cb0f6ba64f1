//! `bench`: the figures of the product, each beside a floor that is measured in the same run on the same machine.
//!
//! What a newcomer gets wrong: a figure without its floor says more about the machine than about the agent. Nothing
//! here fails a build; the tests hold no times.

mod bare;
mod ceiling;
mod control;
mod process;
mod sample;
mod spend_run;
mod store;
mod table;
mod vendors;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use sandbox::harness::Route;
use serde::Serialize;

use bare::BareArgs;
use spend_run::Sizes;
use store::StoreArgs;
use table::Row;

/// Measures the real agent against simulated vendors and prints one table.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// Small sizes and one minute at the ceilings: the whole in under two minutes.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Also a log of 1,000,000 postings (about 2 GB of disk).
    #[arg(long)]
    full: bool,
    /// Reports in each run; of card spend so many movements.
    #[arg(long, value_name = "N")]
    reports: Option<usize>,
    /// Measure these flows only.
    #[arg(long, value_enum, value_delimiter = ',')]
    flow: Vec<Route>,
    /// Minutes at the vendors' rate ceilings, in real time; 0 leaves them out.
    #[arg(long, value_name = "N")]
    minutes: Option<u32>,
    /// Databases of the control plane; both unless named.
    #[arg(long, value_enum, value_delimiter = ',')]
    database: Vec<control::Engine>,
    /// Agents that the control plane keeps waiting.
    #[arg(long, value_name = "N")]
    agents: Option<usize>,
    /// Leave everything out but these.
    #[arg(long, value_name = "MEASURE", value_delimiter = ',')]
    only: Vec<Measure>,
    /// Form of the result.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    Run,
    Store,
    Ceiling,
    Control,
}

#[derive(Debug, Subcommand)]
enum Part {
    #[command(hide = true)]
    Bare(BareArgs),
    #[command(hide = true)]
    StoreFill(StoreArgs),
    #[command(hide = true)]
    StoreLook(StoreArgs),
}

#[derive(Debug, Serialize)]
struct Outcome {
    cores: usize,
    memory_gib: Option<u64>,
    profile: &'static str,
    rows: Vec<Row>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.part {
        None => exit(workers().and_then(|runtime| runtime.block_on(whole(&cli)))),
        Some(Part::Bare(args)) => {
            exit(one_thread().and_then(|runtime| print(&runtime.block_on(bare::run(args))?)))
        }
        Some(Part::StoreFill(args)) => exit(store::fill(args).and_then(|filled| print(&filled))),
        Some(Part::StoreLook(args)) => exit(store::look(args).and_then(|looked| print(&looked))),
    }
}

fn exit(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn workers() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn one_thread() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn whole(cli: &Cli) -> Result<()> {
    let wanted = |measure| cli.only.is_empty() || cli.only.contains(&measure);
    let minutes = cli.minutes.unwrap_or(if cli.quick { 1 } else { 5 });
    let routes = if cli.flow.is_empty() { Route::ALL.to_vec() } else { cli.flow.clone() };
    // The agent waits at a ceiling nearly all the time, so these can go beside the others.
    let ceiling = (minutes > 0 && wanted(Measure::Ceiling))
        .then(|| tokio::spawn(ceiling::measure(routes.clone(), minutes)));
    let mut rows = Vec::new();
    if wanted(Measure::Run) {
        let records = cli.reports.unwrap_or(if cli.quick { 200 } else { 2_000 });
        let idle_seconds = if cli.quick { 5 } else { 15 };
        for route in routes {
            rows.extend(spend_run::measure(route, Sizes { records, idle_seconds }, &say).await?);
        }
        rows.push(spend_run::binary().await?);
    }
    if wanted(Measure::Store) {
        let sizes: &[u32] = match (cli.quick, cli.full) {
            (true, _) => &[1_000, 10_000],
            (false, false) => &[1_000, 10_000, 100_000],
            (false, true) => &[1_000, 10_000, 100_000, 1_000_000],
        };
        say("commits");
        rows.extend(store::commits(if cli.quick { 200 } else { 1_000 }).await?);
        rows.extend(store::measure(sizes, &say).await?);
    }
    if wanted(Measure::Control) {
        rows.extend(control_plane(cli).await?);
    }
    if let Some(ceiling) = ceiling {
        say(&format!("the end of {minutes} min at the rate ceilings"));
        rows.extend(ceiling.await??);
    }
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let outcome = Outcome { cores, memory_gib: memory_gib(), profile, rows };
    match cli.output {
        Form::Json => print(&outcome),
        Form::Table => show(&outcome),
    }
}

async fn control_plane(cli: &Cli) -> Result<Vec<Row>> {
    let mut sizes = match cli.quick {
        true => control::Sizes { agents: 500, webhooks: 5_000, seconds: 5, bookings: 20 },
        false => control::Sizes { agents: 10_000, webhooks: 100_000, seconds: 30, bookings: 100 },
    };
    sizes.agents = cli.agents.unwrap_or(sizes.agents);
    let both = [control::Engine::Sqlite, control::Engine::Postgres];
    let engines = if cli.database.is_empty() { both.to_vec() } else { cli.database.clone() };
    let mut rows = vec![control::binary().await?];
    for engine in engines {
        rows.extend(control::measure(engine, sizes, &say).await?);
    }
    Ok(rows)
}

fn show(outcome: &Outcome) -> Result<()> {
    let memory = outcome.memory_gib.map_or_else(String::new, |gib| format!(", {gib} GiB of memory"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", table::render(&outcome.rows))?;
    writeln!(out, "\n{} cores{memory}, profile {}", outcome.cores, outcome.profile)?;
    if outcome.profile != "release" {
        writeln!(out, "these are not the product's figures: run `cargo benchmark`")?;
    }
    Ok(())
}

fn print(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

/// What is being done, for who waits at a terminal or reads a log.
fn say(words: &str) {
    let mut err = std::io::stderr().lock();
    let mark = if err.is_terminal() { "\u{2026} " } else { "" };
    // Who does not listen misses nothing that counts.
    drop(writeln!(err, "{mark}{words}"));
}

fn memory_gib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = text.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib.div_ceil(1 << 20))
}
