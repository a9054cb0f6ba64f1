//! A whole run of the real agent at vendors that answer at once, beside a bare loop that makes the same calls.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::harness::{Home, Purser, Route, locate};

use crate::bare::{self, BareResult};
use crate::process::{self, Memory, Usage};
use crate::table::{Row, Target};
use crate::vendors::{Side, Vendors, Wanted};

/// Records that share a group commit in the floor: the agent's own batch.
const BATCH: usize = 100;
/// Starts of which the median is taken.
const STARTS: usize = 5;
const MIB: f64 = 1024.0;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Reports or movements of card spend in the source.
    pub(crate) records: usize,
    /// Seconds that the service idles before it is looked at.
    pub(crate) idle_seconds: u64,
}

struct FirstRun {
    usage: Usage,
    records: usize,
    commits: u64,
    busy: Duration,
    source_calls: usize,
    erp_calls: usize,
}

/// Measures a route's flow and answers the rows.
pub(crate) async fn measure(route: Route, sizes: Sizes, say: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let home = Home::new()?;
    let wanted = Wanted::unlimited(route, sizes.records);
    let vendors = Vendors::start(wanted).await?;
    let purser = vendors.agent(&home, &[]).await?;
    say(&format!("{}: a run over {} {}s", route.flow(), sizes.records, route.record()));
    let first = first_run(&purser, &vendors).await?;
    let tape = home.beside().join("calls.jsonl");
    bare::write_tape(&vendors.tape.take(), &tape)?;
    let calls = first.source_calls + first.erp_calls;
    say(&format!("the same {calls} calls by a bare loop"));
    let bare = bare::replay(&tape, &Vendors::start(wanted).await?, 0).await?;
    say("the same calls by a bare loop with a group commit");
    let every = (calls * BATCH / first.records.max(1)).max(1);
    let synced = bare::replay(&tape, &Vendors::start(wanted).await?, every).await?;
    std::fs::remove_file(&tape)?;
    let mut rows = run_rows(&first, &bare, &synced);
    say("runs over unchanged data");
    rows.extend(unchanged(&purser, &vendors).await?);
    say("starts");
    rows.extend(starts(&purser, &vendors).await?);
    say("the idle service");
    rows.extend(idle(&purser, route, sizes.idle_seconds).await?);
    let wrong: Vec<String> = vendors.source.misuse().into_iter().chain(vendors.erp.misuse()).collect();
    ensure!(wrong.is_empty(), "the agent made wrong calls, so nothing of this counts: {}", wrong.join("; "));
    Ok(rows.into_iter().map(|row| row.of(route.flow())).collect())
}

/// The size of the agent's binary, which is the same for every flow.
pub(crate) async fn binary() -> Result<Row> {
    let size = std::fs::metadata(locate(&|_| {}).await?)?.len();
    Ok(Row::new("binary", "size of the binary", size as f64 / MIB / MIB, "MiB")
        .target(Target::ValueAtMost(20.0)))
}

async fn first_run(purser: &Purser, vendors: &Vendors) -> Result<FirstRun> {
    let before = commits(purser.home())?;
    let started = Instant::now();
    let (usage, records) = once(purser, started).await?;
    let tape = &vendors.tape;
    let (source_calls, erp_calls) = (tape.count(Side::Source), tape.count(Side::Erp));
    ensure!(records > 0 && erp_calls > records, "{records} records led to {erp_calls} calls to the ERP");
    let commits = commits(purser.home())? - before;
    Ok(FirstRun { usage, records, commits, busy: tape.busy(), source_calls, erp_calls })
}

/// `run --once`, and how many records it has taken in for the first time.
async fn once(purser: &Purser, started: Instant) -> Result<(Usage, usize)> {
    let agent = purser.spawn(&["run", "--once", "--output", "json"])?;
    let usage = process::watch(&agent, started).await?;
    let finished = agent.wait().await?;
    let said = finished.json()?;
    let report = &said["flows"][0]["report"];
    let sound =
        matches!(finished.code, Some(0 | 4)) && report["errors"].as_array().is_some_and(Vec::is_empty);
    ensure!(sound, "the run failed: {}", finished.words());
    let new = report["new"].as_u64().context("the run's report has no count")?;
    Ok((usage, usize::try_from(new)?))
}

fn run_rows(first: &FirstRun, bare: &BareResult, synced: &BareResult) -> Vec<Row> {
    let calls = (first.source_calls + first.erp_calls) as f64;
    let records = first.records as f64;
    let per_second = |wall: Duration| records / wall.as_secs_f64();
    let per_call = |cpu: Duration, calls: f64| cpu.as_secs_f64() * 1e6 / calls;
    let seconds = |duration: Duration| duration.as_secs_f64();
    vec![
        Row::new("records", "records taken in by the run", records, ""),
        Row::new("calls.source", "calls to the source", first.source_calls as f64, ""),
        Row::new("calls.erp", "calls to the ERP", first.erp_calls as f64, ""),
        Row::new(
            "replay.differing",
            "bare loop: answers with another status",
            (bare.differing + synced.differing) as f64,
            "",
        ),
        Row::new("wall", "time of the run", seconds(first.usage.wall), "s").floor(seconds(bare.wall)),
        Row::new("wall.simulators", "  of it inside the simulators", seconds(first.busy), "s"),
        Row::new("records-per-second", "records/s (floor: bare loop)", per_second(first.usage.wall), "/s")
            .floor(per_second(bare.wall)),
        Row::new(
            "records-per-second.durable",
            "records/s (floor: bare loop + group commit)",
            per_second(first.usage.wall),
            "/s",
        )
        .floor(per_second(synced.wall))
        .target(Target::RatioAtLeast(0.5)),
        Row::new("cpu-per-call", "CPU per HTTP call", per_call(first.usage.cpu, calls), "µs")
            .floor(per_call(bare.cpu, bare.calls as f64))
            .target(Target::RatioAtMost(4.0)),
        Row::new("cpu-per-record", "CPU per record", per_call(first.usage.cpu, records) / 1e3, "ms"),
        Row::new("fsyncs", "fsyncs per 100 records", first.commits as f64 * 100.0 / records, "")
            .floor(synced.syncs as f64 * 100.0 / records)
            .target(Target::ValueAtMost(4.0)),
        Row::new("rss.peak", "peak RSS in the run", first.usage.peak_rss as f64 / MIB, "MiB")
            .target(Target::ValueAtMost(30.0)),
        Row::new("rss.peak.at", "  last grew after", seconds(first.usage.peak_at), "s"),
    ]
}

/// Nothing has changed at the source: the ERP must not hear of it.
async fn unchanged(purser: &Purser, vendors: &Vendors) -> Result<Vec<Row>> {
    vendors.tape.clear();
    let (usage, _) = once(purser, Instant::now()).await?;
    let (source, erp) = (vendors.tape.count(Side::Source), vendors.tape.count(Side::Erp));
    Ok(vec![
        Row::new("again.erp", "unchanged re-run: calls to the ERP", erp as f64, "")
            .target(Target::ValueAtMost(0.0)),
        // What is held comes back once, and what is marked is asked for once: each an export and its download.
        Row::new("again.source", "unchanged re-run: calls to the source", source as f64, "")
            .target(Target::ValueAtMost(4.0)),
        Row::new("again.wall", "unchanged re-run: time", usage.wall.as_secs_f64(), "s"),
    ])
}

async fn starts(purser: &Purser, vendors: &Vendors) -> Result<Vec<Row>> {
    let (mut first_calls, mut bare_starts) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        vendors.tape.clear();
        let started = Instant::now();
        once(purser, started).await?;
        let first = vendors.tape.first().context("a run made no call at all")?;
        first_calls.push(first - started);
        let started = Instant::now();
        let agent = purser.spawn(&["version"])?;
        bare_starts.push(process::watch(&agent, started).await?.wall);
        agent.wait().await?;
    }
    let milliseconds = |durations: &mut Vec<Duration>| {
        durations.sort_unstable();
        durations[durations.len() / 2].as_secs_f64() * 1e3
    };
    let row = Row::new(
        "start",
        "start to first vendor call (floor: `purser version`)",
        milliseconds(&mut first_calls),
        "ms",
    );
    Ok(vec![row.floor(milliseconds(&mut bare_starts)).target(Target::ValueAtMost(150.0))])
}

/// The service after it has run the flow once.
async fn idle(purser: &Purser, route: Route, seconds: u64) -> Result<Vec<Row>> {
    let agent = purser.spawn(&["run"])?;
    let pid = agent.pid().context("the service has no process")?;
    let ordered = loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (_, status) = purser.json(&["status"]).await?;
        if status["process"] == "running" {
            break purser.run(&["flows", "run", route.flow()]).await?;
        }
    };
    ensure!(matches!(ordered.code, Some(0 | 4)), "the service did not run the flow: {}", ordered.words());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = process::cpu(pid).context("the service is gone")?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = process::cpu(pid).context("the service is gone")?;
    let Memory { rss, private, .. } = process::memory(pid).context("the service is gone")?;
    agent.terminate().await?;
    agent.wait_within(Duration::from_secs(30)).await?;
    let share = (after.saturating_sub(before)).as_secs_f64() * 100.0 / seconds as f64;
    Ok(vec![
        Row::new("rss.idle", "RSS of the idle service", rss as f64 / MIB, "MiB")
            .target(Target::ValueAtMost(20.0)),
        Row::new("rss.idle.private", "  of it its own (not pages of files)", private as f64 / MIB, "MiB"),
        Row::new("cpu.idle", "CPU of the idle service", share, "%"),
    ])
}

/// Durable transactions of a store since it was made. LMDB numbers them in its two meta pages: a header of 16 bytes,
/// magic, version, address, size, two tables of 48 bytes and the last page number come before the transaction number.
pub(crate) fn commits(home: &Path) -> Result<u64> {
    const PAGE: u64 = 4096;
    const NUMBER_AT: u64 = 16 + 4 + 4 + 8 + 8 + 2 * 48 + 8;
    const MAGIC: [u8; 4] = 0xBEEF_C0DE_u32.to_le_bytes();
    let path = purser::store::dir_of(home).join("data.mdb");
    let mut file = std::fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut newest = 0;
    for page in 0..2 {
        let (mut magic, mut number) = ([0; 4], [0; 8]);
        file.seek(SeekFrom::Start(page * PAGE + 16))?;
        file.read_exact(&mut magic)?;
        ensure!(magic == MAGIC, "{} is not laid out as LMDB on this machine", path.display());
        file.seek(SeekFrom::Start(page * PAGE + NUMBER_AT))?;
        file.read_exact(&mut number)?;
        newest = newest.max(u64::from_le_bytes(number));
    }
    Ok(newest)
}
