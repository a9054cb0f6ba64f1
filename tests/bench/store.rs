//! The posting log alone: how look-ups, memory and file grow with it, and what a commit costs beside a bare sync.
//!
//! Filling and looking up run as processes of their own, so that memory is measured in one that has done only that.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use purser::clock::Clock;
use purser::store::{AuditDraft, AuditKind, Batch, Store, StoreKeys};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::process;
use crate::sample;
use crate::table::Row;

/// Look-ups of each kind.
const LOOK_UPS: usize = 2_000;
/// Postings that share a commit while the log is filled.
const FILL_AT_ONCE: u32 = 1_000;
const KEY: [u8; 32] = [7; 32];
const MIB: f64 = 1024.0;

/// Arguments of the hidden verbs that this process calls itself with.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// Folder of the store.
    #[arg(long)]
    dir: PathBuf,
    /// Postings that are there.
    #[arg(long)]
    have: u32,
    /// Postings that are wanted.
    #[arg(long)]
    want: u32,
}

/// What filling came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Filled {
    seconds: f64,
    used: u64,
    peak_private: u64,
}

/// What looking up came to. Times in microseconds, memory in KiB.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Looked {
    open_us: f64,
    by_key_us: f64,
    by_source_us: f64,
    due_us: f64,
    private: u64,
    rss: u64,
}

/// Grows one log to each of the sizes and looks into it.
pub(crate) async fn measure(sizes: &[u32], say: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("store");
    let mut rows = Vec::new();
    let (mut have, mut smallest) = (0, None::<Looked>);
    for want in sizes {
        say(&format!("a log of {want} postings"));
        let filled: Filled = by_itself("store-fill", &dir, have, *want).await?;
        let looked: Looked = by_itself("store-look", &dir, *want, *want).await?;
        let floor = smallest.as_ref().unwrap_or(&looked);
        let size = sized(*want);
        let row =
            |id, words: &str, value, unit| Row::new(id, format!("{size} postings: {words}"), value, unit);
        rows.push(row("store.by-key", "look-up by key", looked.by_key_us, "µs").floor(floor.by_key_us));
        rows.push(
            row("store.by-source", "look-up by source id", looked.by_source_us, "µs")
                .floor(floor.by_source_us),
        );
        rows.push(row("store.due", "what is due", looked.due_us, "µs").floor(floor.due_us));
        rows.push(row("store.open", "open", looked.open_us / 1e3, "ms").floor(floor.open_us / 1e3));
        rows.push(
            row("store.private", "private memory of a reader", looked.private as f64 / MIB, "MiB")
                .floor(floor.private as f64 / MIB),
        );
        rows.push(row(
            "store.rss",
            "RSS of a reader, pages of the file included",
            looked.rss as f64 / MIB,
            "MiB",
        ));
        rows.push(row(
            "store.writer",
            "private memory of the writer, peak",
            filled.peak_private as f64 / MIB,
            "MiB",
        ));
        rows.push(row("store.bytes", "file per posting", filled.used as f64 / f64::from(*want), "B"));
        rows.push(row("store.fill", "written per second", f64::from(want - have) / filled.seconds, "/s"));
        have = *want;
        smallest.get_or_insert(looked);
    }
    Ok(rows)
}

fn sized(count: u32) -> String {
    match count {
        million if million.is_multiple_of(1_000_000) => format!("{} M", million / 1_000_000),
        thousand if thousand.is_multiple_of(1_000) => format!("{} k", thousand / 1_000),
        other => other.to_string(),
    }
}

async fn by_itself<T: DeserializeOwned>(verb: &str, dir: &Path, have: u32, want: u32) -> Result<T> {
    let output = Command::new(std::env::current_exe()?)
        .arg(verb)
        .arg("--dir")
        .arg(dir)
        .args(["--have", &have.to_string(), "--want", &want.to_string()])
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "{verb} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Writes postings `have..want`.
pub(crate) fn fill(args: &StoreArgs) -> Result<Filled> {
    let store = Store::open(&args.dir, keys(), Clock::system())?;
    let started = Instant::now();
    let mut peak_private = 0;
    let mut next = args.have;
    while next < args.want {
        let end = args.want.min(next + FILL_AT_ONCE);
        let mut batch = Batch::new();
        for n in next..end {
            batch.put_posting(sample::acknowledged(n));
        }
        store.commit_blocking(batch)?;
        next = end;
        peak_private =
            peak_private.max(process::memory(std::process::id()).map_or(0, |memory| memory.private));
    }
    Ok(Filled { seconds: started.elapsed().as_secs_f64(), used: store.stats().used, peak_private })
}

/// Looks postings up, in no order.
pub(crate) fn look(args: &StoreArgs) -> Result<Looked> {
    let started = Instant::now();
    let store = Store::open_read_only(&args.dir, keys(), Clock::system())?;
    let open = started.elapsed();
    let mut random = fastrand::Rng::with_seed(u64::from(args.want));
    let (mut by_key, mut by_source, mut due) = (Vec::new(), Vec::new(), Vec::new());
    let flow = sample::flow();
    let now = sample::moment();
    for _ in 0..LOOK_UPS {
        let posting = sample::acknowledged(random.u32(0..args.want));
        let started = Instant::now();
        let found = store.posting(&posting.key)?;
        by_key.push(started.elapsed());
        ensure!(found.as_ref() == Some(&posting), "a posting is not what was written");
        let started = Instant::now();
        let revisions = store.postings_of(&flow, &posting.source_id)?;
        by_source.push(started.elapsed());
        ensure!(revisions.len() == 1, "a record has {} revisions", revisions.len());
        let started = Instant::now();
        store.due(&flow, now, 100)?;
        due.push(started.elapsed());
    }
    let memory = process::memory(std::process::id()).context("cannot read /proc/self/status")?;
    Ok(Looked {
        open_us: open.as_secs_f64() * 1e6,
        by_key_us: median_us(&mut by_key),
        by_source_us: median_us(&mut by_source),
        due_us: median_us(&mut due),
        private: memory.private,
        rss: memory.rss,
    })
}

/// What a commit costs beside a bare append and sync on the same disk.
pub(crate) async fn commits(count: u32) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let mut raw = Vec::new();
    let mut file = File::create(folder.path().join("floor"))?;
    for _ in 0..count {
        let started = Instant::now();
        file.write_all(&[b'.'; 4096])?;
        file.sync_data()?;
        raw.push(started.elapsed());
    }
    let store = Store::open(&folder.path().join("store"), keys(), Clock::system())?;
    let mut single = Vec::new();
    for n in 0..count {
        let batch = one(n);
        let started = Instant::now();
        store.commit(batch).await?;
        single.push(started.elapsed());
    }
    let before = store.stats().commits;
    let started = Instant::now();
    let many = count * 10;
    let waiting: Vec<_> = (count..count + many)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(one(n)).await })
        })
        .collect();
    for commit in waiting {
        commit.await??;
    }
    let wall = started.elapsed().as_secs_f64();
    let shared = store.stats().commits - before;
    store.close();
    let (raw_us, single_us) = (median_us(&mut raw), median_us(&mut single));
    Ok(vec![
        Row::new(
            "commit",
            "one commit of a posting with its audit entry (floor: append + sync)",
            single_us,
            "µs",
        )
        .floor(raw_us),
        Row::new("commit.p99", "  99 of 100 are faster than", percentile_us(&single, 99), "µs")
            .floor(percentile_us(&raw, 99)),
        Row::new("commit.group", "commits/s when many wait (floor: syncs/s)", f64::from(many) / wall, "/s")
            .floor(1e6 / raw_us),
        Row::new("commit.group.size", "  of them share one sync", f64::from(many) / shared.max(1) as f64, ""),
    ])
}

fn one(n: u32) -> Batch {
    let mut batch = Batch::new();
    let posting = sample::acknowledged(n);
    let detail =
        serde_json::json!({ "event": "acknowledged", "record": posting.source_id, "to": posting.state });
    batch.audit(AuditDraft::new(sample::moment(), AuditKind::Transition, detail));
    batch.put_posting(posting);
    batch
}

fn keys() -> StoreKeys {
    StoreKeys::from_data_key(&KEY)
}

fn median_us(durations: &mut [Duration]) -> f64 {
    durations.sort_unstable();
    percentile_us(durations, 50)
}

/// Of sorted durations.
fn percentile_us(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(0.0, |duration| duration.as_secs_f64() * 1e6)
}
