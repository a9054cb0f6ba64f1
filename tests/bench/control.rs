//! The control plane under load: the real binary as a child process, and many lean clients in this one.

mod booking;
mod desk;
mod fleet;
mod hooks;
mod lean;
mod node;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use sandbox::harness::{Cluster, ControlOptions};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::table::{Row, Target};
use desk::Desk;
use fleet::{AtWork, Changed, Fleet};
use hooks::{BURST, STEADY, Sent};
use lean::Lean;
use node::Node;

/// Starts of which the median is taken.
const STARTS: usize = 5;
/// Agents that sync without a pause, to see the highest rate.
const DRIVERS: usize = 64;
/// How long a sync waits while nothing happens.
const PARK: u16 = 55;
/// Syncs a second that are wanted: 10,000 agents that say how they are every 30 seconds.
const WANTED: f64 = 333.0;
/// Files that are open beside the agents' connections.
const OTHER_FILES: usize = 256;
/// How long memory and processor come to rest.
const REST: Duration = Duration::from_secs(3);
const KIB: f64 = 1024.0;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Agents that are parked.
    pub(crate) agents: usize,
    /// Webhooks of the burst.
    pub(crate) webhooks: usize,
    /// Seconds of each rate.
    pub(crate) seconds: u64,
    /// Webhooks that are booked.
    pub(crate) bookings: usize,
}

/// Measures with one database and answers the rows.
pub(crate) async fn measure(engine: Engine, sizes: Sizes, say: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let name = engine.name();
    match Ground::lay(engine, sizes).await? {
        Some(ground) => rows.extend(ground.measure(&|words| say(&format!("{name}: {words}"))).await?),
        None => rows.push(Row::new("missing", "PostgreSQL is not installed: not measured", 0.0, "")),
    }
    Ok(rows.into_iter().map(|row| row.of(name)).collect())
}

/// The size of the binary, which is the same for every database.
pub(crate) async fn binary() -> Result<Row> {
    let size = std::fs::metadata(node::binary().await?)?.len();
    Ok(Row::new("control.binary", "size of `purser-control`", size as f64 / KIB / KIB, "MiB"))
}

/// What everything of one database stands on.
struct Ground {
    engine: Engine,
    sizes: Sizes,
    /// Agents that were asked for; there are fewer where so many files cannot be open.
    asked: usize,
    binary: PathBuf,
    database: String,
    desk: Desk,
    folder: TempDir,
    _cluster: Option<Cluster>,
}

impl Ground {
    async fn lay(engine: Engine, sizes: Sizes) -> Result<Option<Self>> {
        let (asked, files) = (sizes.agents, open_files()?.saturating_sub(OTHER_FILES));
        let sizes = Sizes { agents: asked.min(files), ..sizes };
        let folder = tempfile::Builder::new().prefix("purser-bench-").tempdir()?;
        let cluster = match engine {
            Engine::Sqlite => None,
            Engine::Postgres if !Cluster::is_installed() => return Ok(None),
            Engine::Postgres => Some(tokio::task::spawn_blocking(Cluster::durable).await??),
        };
        let database = match &cluster {
            Some(cluster) => cluster.database()?,
            None => format!("sqlite:{}", folder.path().join("control.db").display()),
        };
        let desk = Desk::open(&database).await?;
        let binary = node::binary().await?;
        Ok(Some(Self { engine, sizes, asked, binary, database, desk, folder, _cluster: cluster }))
    }

    async fn measure(self, say: &dyn Fn(&str)) -> Result<Vec<Row>> {
        say("starts");
        let mut rows = self.starts().await?;
        if self.asked > self.sizes.agents {
            let words = "agents asked for; `ulimit -n` allows fewer";
            rows.push(Row::new("control.asked", words, self.asked as f64, ""));
        }
        let node = self.node().await?;
        tokio::time::sleep(REST).await;
        let idle = node.memory()?.rss as f64;
        rows.push(
            Row::new("control.rss.idle", "RSS of the idle control plane", idle / KIB, "MiB")
                .target(Target::ValueAtMost(40.0)),
        );
        rows.extend(self.fleet(&node, idle, say).await?);
        say("syncs without a pause");
        rows.extend(self.syncs(&node).await?);
        rows.extend(self.webhooks(&node, say).await?);
        let peak = node.memory()?.peak as f64;
        rows.push(
            Row::new("control.rss.peak", "peak RSS in all of this", peak / KIB, "MiB")
                .target(Target::ValueAtMost(1024.0)),
        );
        node.kill().await?;
        say("webhooks that a real agent books");
        match self.bookings().await {
            Ok(booked) => rows.extend(booked),
            // The rows above have taken minutes, and stand without it.
            Err(error) => say(&format!("not measured: {error:#}")),
        }
        self.desk.leave().await;
        Ok(rows)
    }

    async fn node(&self) -> Result<Node> {
        let connections = self.sizes.agents + 2000;
        Node::start(&self.binary, &self.database, &self.log(), connections).await
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("control.log")
    }

    async fn starts(&self) -> Result<Vec<Row>> {
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(node::first_answer(&self.binary, &self.database, &self.log()).await?);
        }
        starts.sort_unstable();
        Ok(vec![Row::new("control.start", "start to first answer", percentile(&starts, 50), "ms")])
    }

    /// Enrolls agents whose numbers begin with `first`.
    async fn enrolled(&self, node: &Node, first: usize, count: usize) -> Result<(Vec<Lean>, Duration)> {
        let codes = self.desk.codes(count).await?;
        fleet::enroll(Lean::many(node.address, first..first + count), codes).await
    }

    /// Everything with all agents: enrollment, parking, a new configuration, statuses.
    async fn fleet(&self, node: &Node, idle: f64, say: &dyn Fn(&str)) -> Result<Vec<Row>> {
        let count = self.sizes.agents;
        say(&format!("{count} agents enroll"));
        let (agents, wall) = self.enrolled(node, 0, count).await?;
        let rate = count as f64 / wall.as_secs_f64();
        let mut rows =
            vec![Row::new("control.enroll", "enrollments/s", rate, "/s").target(Target::ValueAtLeast(50.0))];
        say("they are parked");
        let mut fleet = Fleet::start(agents, PARK);
        let parked = node.until_parked(count, Duration::from_secs(120)).await?;
        tokio::time::sleep(REST).await;
        let rss = node.memory()?.rss as f64;
        rows.extend([
            Row::new("control.parked", "parked agents", parked as f64, "")
                .target(Target::ValueAtLeast(count as f64)),
            Row::new(
                "control.parked.memory",
                "  memory for each",
                (rss - idle) / parked.max(1) as f64,
                "KiB",
            )
            .target(Target::ValueAtMost(20.0)),
            Row::new("control.parked.rss", "  RSS with them", rss / KIB, "MiB")
                .target(Target::ValueAtMost(1024.0)),
        ]);
        say("a new configuration for each");
        rows.extend(self.change(&mut fleet).await?);
        say("statuses");
        rows.extend(self.statuses(node, &fleet).await?);
        let failed = fleet.orders.failed.load(Ordering::Relaxed);
        if let Some(why) = fleet.orders.first_failure() {
            say(&format!("{failed} syncs failed, the first of them: {why}"));
        }
        rows.push(
            Row::new("control.failed", "syncs that failed in all of this", failed as f64, "")
                .target(Target::ValueAtMost(0.0)),
        );
        Ok(rows)
    }

    async fn change(&self, fleet: &mut Fleet) -> Result<Vec<Row>> {
        // Whoever comes back after it waits as briefly as the next measurement needs.
        fleet.orders.wait.store(self.spread(), Ordering::Relaxed);
        let began = Instant::now();
        self.desk.configure(&fleet.ids).await?;
        let written = began.elapsed();
        let mut all: Vec<Changed> = Vec::with_capacity(fleet.ids.len());
        while all.len() < fleet.ids.len() {
            let next = tokio::time::timeout(Duration::from_secs(120), fleet.changes.recv()).await;
            let Ok(Some(change)) = next else { break };
            all.push(change);
        }
        let since = |moment: fn(&Changed) -> Instant| {
            let mut since: Vec<Duration> = all.iter().map(|change| moment(change) - began).collect();
            since.sort_unstable();
            since
        };
        let (got, acknowledged) = (since(|change| change.got), since(|change| change.acknowledged));
        let seconds = |sorted: &[Duration], percent| percentile(sorted, percent) / 1e3;
        Ok(vec![
            Row::new("control.change.done", "agents with the new configuration", all.len() as f64, "")
                .target(Target::ValueAtLeast(fleet.ids.len() as f64)),
            Row::new("control.change.written", "  all revisions written after", written.as_secs_f64(), "s"),
            Row::new("control.change.got", "  99 of 100 have it after", seconds(&got, 99), "s"),
            Row::new("control.change.p50", "  half have acknowledged after", seconds(&acknowledged, 50), "s"),
            Row::new(
                "control.change.p99",
                "  99 of 100 have acknowledged after",
                seconds(&acknowledged, 99),
                "s",
            )
            .target(Target::ValueAtMost(60.0)),
        ])
    }

    /// How long each agent waits so that all together sync as often as is wanted.
    fn spread(&self) -> u16 {
        let seconds = (self.sizes.agents as f64 / WANTED).ceil();
        (seconds as u16).clamp(1, PARK / 2)
    }

    async fn statuses(&self, node: &Node, fleet: &Fleet) -> Result<Vec<Row>> {
        fleet.orders.status.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(2 * u64::from(self.spread()))).await;
        let since = node.since()?;
        let before = fleet.orders.answered.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(self.sizes.seconds)).await;
        let syncs = (fleet.orders.answered.load(Ordering::Relaxed) - before) as f64;
        let cost = node.cost(since)?;
        ensure!(syncs > 0.0, "no agent has synced: {}", fleet.orders.first_failure().unwrap_or_default());
        let each = cost.cpu.as_secs_f64() / syncs;
        Ok(vec![
            Row::new(
                "control.status.rate",
                "syncs/s with a status, agents parked",
                syncs / cost.wall.as_secs_f64(),
                "/s",
            ),
            Row::new("control.status.cpu", "  CPU for each", each * 1e3, "ms"),
            Row::new("control.status.cores", "  cores at 333 syncs/s", each * WANTED, "")
                .target(Target::ValueAtMost(1.0)),
        ])
    }

    async fn syncs(&self, node: &Node) -> Result<Vec<Row>> {
        let (agents, _) = self.enrolled(node, 0, DRIVERS).await?;
        let since = node.since()?;
        let until = Instant::now() + Duration::from_secs(self.sizes.seconds);
        let mut drivers = JoinSet::new();
        for agent in agents {
            let mut driver = AtWork::new(agent);
            drivers.spawn(async move {
                let mut synced = 0_u32;
                while Instant::now() < until {
                    let said = driver.says(0, true);
                    driver.agent.sync(&said).await?;
                    synced += 1;
                }
                anyhow::Ok(synced)
            });
        }
        let mut synced = 0.0;
        while let Some(driver) = drivers.join_next().await {
            synced += f64::from(driver??);
        }
        let cost = node.cost(since)?;
        Ok(vec![
            Row::new(
                "control.sync.most",
                "highest syncs/s with a status",
                synced / cost.wall.as_secs_f64(),
                "/s",
            )
            .target(Target::ValueAtLeast(WANTED)),
            Row::new("control.sync.most.cpu", "  CPU for each", cost.cpu.as_secs_f64() * 1e3 / synced, "ms"),
        ])
    }

    async fn webhooks(&self, node: &Node, say: &dyn Fn(&str)) -> Result<Vec<Row>> {
        let (mut agents, _) = self.enrolled(node, 0, 1).await?;
        let agent = agents.first_mut().context("no agent")?;
        let hook = self.desk.hook(&agent.agent.id).await?;
        let count = self.sizes.webhooks;
        say(&format!("{} webhooks over {STEADY} connections", count / 4));
        let bare = hooks::bare(count / 4).await?;
        let appends = hooks::bare_appends(self.folder.path())?;
        let since = node.since()?;
        let steady = hooks::send(node.address, &hook, count / 4, STEADY).await?;
        let cost = node.cost(since)?;
        say(&format!("{count} webhooks over {BURST} connections"));
        let burst = hooks::send(node.address, &hook, count, BURST).await?;
        let acked = steady.acked + burst.acked;
        let stored = self.desk.waiting(&agent.agent.id).await?;
        say("the agent comes back and fetches them");
        let fetched = hooks::fetch(agent).await?;
        let left = self.desk.waiting(&agent.agent.id).await?;
        let mut rows = steady_rows(&steady, &bare, appends);
        let each = cost.cpu.as_secs_f64() * 1e3 / steady.acked.max(1) as f64;
        rows.push(Row::new("control.hooks.cpu", "  CPU for each", each, "ms"));
        rows.extend(burst_rows(&burst));
        let lost = acked.saturating_sub(fetched.webhooks) as f64;
        let fetched_rate = fetched.webhooks as f64 / fetched.wall.as_secs_f64();
        rows.extend([
            Row::new("control.hooks.acked", "webhooks acknowledged to the sender", acked as f64, ""),
            Row::new("control.hooks.stored", "  of them stored when the agent came back", stored as f64, ""),
            Row::new(
                "control.hooks.fetched",
                "  fetched and acknowledged by the agent",
                fetched.webhooks as f64,
                "",
            ),
            Row::new("control.hooks.fetch-rate", "  fetched/s", fetched_rate, "/s"),
            Row::new("control.hooks.left", "  left after that", left as f64, ""),
            Row::new("control.hooks.lost", "  lost", lost, "").target(Target::ValueAtMost(0.0)),
        ]);
        Ok(rows)
    }

    async fn bookings(&self) -> Result<Vec<Row>> {
        let on = match self.engine {
            Engine::Sqlite => ControlOptions::Sqlite,
            Engine::Postgres => ControlOptions::Postgres,
        };
        let times = booking::measure(on, self.sizes.bookings).await?;
        Ok(vec![
            Row::new("control.booking.p50", "webhook to document in the ERP", percentile(&times, 50), "ms")
                .target(Target::ValueAtMost(100.0)),
            Row::new("control.booking.p99", "  99 of 100 are faster than", percentile(&times, 99), "ms"),
        ])
    }
}

fn steady_rows(steady: &Sent, bare: &Sent, appends: f64) -> Vec<Row> {
    vec![
        Row::new("control.hooks.rate", "durable webhooks/s (floor: a bare handler)", steady.rate(), "/s")
            .floor(bare.rate())
            .target(Target::ValueAtLeast(2000.0)),
        Row::new(
            "control.hooks.appends",
            "  the same (floor: bare appends, 64 share a sync)",
            steady.rate(),
            "/s",
        )
        .floor(appends),
        Row::new(
            "control.hooks.p50",
            "  half are acknowledged within",
            percentile(&steady.latencies, 50),
            "ms",
        )
        .floor(percentile(&bare.latencies, 50)),
        Row::new("control.hooks.p99", "  99 of 100 within", percentile(&steady.latencies, 99), "ms")
            .floor(percentile(&bare.latencies, 99)),
    ]
}

fn burst_rows(burst: &Sent) -> Vec<Row> {
    vec![
        Row::new("control.burst.rate", "webhooks/s of a burst, agent away", burst.rate(), "/s"),
        Row::new(
            "control.burst.p50",
            "  half are acknowledged within",
            percentile(&burst.latencies, 50),
            "ms",
        ),
        Row::new("control.burst.p99", "  99 of 100 within", percentile(&burst.latencies, 99), "ms")
            .target(Target::ValueAtMost(1000.0)),
        Row::new("control.burst.other", "  not acknowledged", burst.other as f64, "")
            .target(Target::ValueAtMost(0.0)),
    ]
}

/// Milliseconds, of sorted durations.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

/// How many files this process may have open (`ulimit -n`); its children may have as many.
fn open_files() -> Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").context("cannot read /proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).context("no limit of open files")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}
