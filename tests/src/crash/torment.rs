//! The loop: start, kill, look, until the kills are used up; then run to the end in peace and judge.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use tokio::time::Instant;

use super::moment::Moment;
use super::report::CrashReport;
use super::{Books, CrashOptions, Mode};
use crate::faults::{FaultAction, FaultMatch, FaultRule};
use crate::harness::{AgentConfig, Finished, Home, Purser, Route, Sandbox, SandboxOptions, System};
use crate::invariants::{Evidence, verify_audit};
use crate::world::WorldOptions;

/// Longest time the ERP commits after a cut, in seconds; the agent's settle window is longer.
const COMMITS_LATE: u64 = 1;
/// The agent's settle window, in seconds.
const SETTLE_WINDOW: u32 = 2;
/// Postings of one commit, by world: the smaller, the more moments between claim, answer and mark.
const BATCHES: [u16; 3] = [1, 5, 100];
/// Longest life of one agent, far beyond what it needs.
const LIFE: Duration = Duration::from_secs(120);
/// An agent ends by itself when everything is settled, or when this is over.
const SETTLE: &str = "60";
/// Agents of one world that end by themselves with something open.
const MOST_ENDS: u32 = 20;
/// Worlds in a row in which nobody was killed, until killing is given up.
const MOST_UNHURT: u32 = 5;
/// Runs in peace until nothing may be open any more.
const LAST_RUNS: usize = 4;

/// Kills agents as asked, over as many worlds as it takes.
///
/// # Errors
/// When something besides the agent's work fails: no binary, no sandbox, an agent that hangs.
pub async fn torment(options: CrashOptions, told: &(dyn Fn(&CrashReport) + Sync)) -> Result<CrashReport> {
    let mut report = CrashReport::default();
    let started = Instant::now();
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let mut unhurt = 0;
    while report.kills < options.kills {
        let mut stage = Stage::build(&options, rng.u64(..)).await?;
        let (before, sound) = (report.kills, report.is_sound());
        let worked = stage.work(options.kills, &mut rng, &mut report).await;
        if worked.is_err() || report.is_sound() != sound {
            stage.home.keep();
            let kept = format!("the agent's home is kept: {}", stage.home.path().display());
            worked.as_ref().map_err(|error| anyhow!("{error:#}; {kept}")).copied()?;
            report.faults.push(kept);
        }
        // In a small world an agent may be done before its moment has come.
        unhurt = if report.kills == before { unhurt + 1 } else { 0 };
        if unhurt == MOST_UNHURT {
            bail!("in {MOST_UNHURT} worlds in a row no agent lived long enough to be killed");
        }
        report.worlds += 1;
        report.seconds = started.elapsed().as_secs_f32();
        told(&report);
    }
    Ok(report)
}

/// One world with its agent's home.
struct Stage {
    route: Route,
    mode: Mode,
    seed: u64,
    sandbox: Sandbox,
    home: Home,
    purser: Purser,
    expected: Books,
}

impl Stage {
    async fn build(options: &CrashOptions, seed: u64) -> Result<Self> {
        let (sandbox, home, purser) = set_up(options, seed).await?;
        let expected = undisturbed(options, seed).await?;
        let route = options.route;
        sandbox.erp(route).faults(erp_faults(route.erp(), seed));
        sandbox.source(route).faults(source_faults(seed));
        Ok(Self { route, mode: options.mode, seed, sandbox, home, purser, expected })
    }

    async fn work(&self, most: u32, rng: &mut fastrand::Rng, report: &mut CrashReport) -> Result<()> {
        self.suffer(most, rng, report).await?;
        self.judge(report).await
    }

    /// Starts and kills until the kills are used up or everything is settled.
    async fn suffer(&self, most: u32, rng: &mut fastrand::Rng, report: &mut CrashReport) -> Result<()> {
        let mut ended_by_themselves = 0;
        while report.kills < most && ended_by_themselves < MOST_ENDS {
            report.starts += 1;
            let moment = Moment::draw(rng);
            let agent = self.purser.spawn(&["run", "--once", "--settle", SETTLE])?;
            let ended = agent.kill_when(LIFE, moment.condition(&self.sandbox, self.route)).await?;
            match ended.code {
                None => report.kills += 1,
                Some(_) if self.is_settled(&ended)? => return Ok(()),
                // Something is open still; if that stays so, the judge says what.
                Some(_) => {
                    ended_by_themselves += 1;
                    continue;
                }
            }
            report.count_call(&self.sandbox, self.route);
            report.count_states(&self.states().await?);
        }
        Ok(())
    }

    fn is_settled(&self, ended: &Finished) -> Result<bool> {
        match ended.code {
            Some(0 | 4) => Ok(self.sandbox.documents_of(&[self.route]) >= self.expected.len() as u64),
            _ => bail!("seed {}: the agent failed by itself: {}", self.seed, ended.words()),
        }
    }

    /// How many postings are in which state, by the agent's own word.
    async fn states(&self) -> Result<Value> {
        let (_, status) = self.purser.json(&["status"]).await?;
        Ok(status.pointer(&format!("/flows/{}/counts", self.route.flow())).cloned().unwrap_or_default())
    }

    /// Lets the agent finish without faults, and compares.
    async fn judge(&self, report: &mut CrashReport) -> Result<()> {
        self.sandbox.erp(self.route).clear_faults();
        self.sandbox.source(self.route).clear_faults();
        let mut tally = None;
        for _ in 0..LAST_RUNS {
            let ended = self.purser.spawn(&["run", "--once", "--settle", SETTLE])?.wait_within(LIFE).await?;
            if !matches!(ended.code, Some(0 | 4)) {
                bail!("seed {}: the last run failed: {}", self.seed, ended.words());
            }
            let found = Evidence::gather(&self.sandbox, self.route, &self.purser).await?.examine()?;
            let done = found.faults().is_empty();
            tally = Some(found);
            if done {
                break;
            }
        }
        let tally = tally.context("there was no last run")?;
        let books = Books::of(&self.sandbox.erp(self.route).state());
        let lost = books.lost(&self.expected);
        let doubled = books.doubled(&self.expected);
        let altered = books.altered(&self.expected);
        report.lost += lost.len().max(tally.lost);
        report.doubled += doubled.len().max(tally.duplicates);
        report.altered += altered.len();
        report.documents += books.len();
        let told = |what: &'static str| move |one: String| format!("{what}: {one}");
        let mut faults: Vec<String> = lost.into_iter().map(told("lost")).collect();
        faults.extend(doubled.into_iter().map(told("doubled")));
        faults.extend(altered.into_iter().map(told("altered")));
        faults.extend(tally.faults());
        if let Err(error) = verify_audit(&self.purser).await {
            faults.push(format!("{error:#}"));
        }
        let place = format!("{}, {:?}, world {}", self.route.flow(), self.mode, self.seed);
        report.faults.extend(faults.into_iter().map(|fault| format!("{place}: {fault}")));
        Ok(())
    }
}

async fn set_up(options: &CrashOptions, seed: u64) -> Result<(Sandbox, Home, Purser)> {
    let mut wanted = SandboxOptions::new(options.reports);
    wanted.world = WorldOptions { seed, ..wanted.world };
    wanted.unique = options.mode.unique();
    wanted.spend = options.reports;
    wanted.expensify.rate_limits = Vec::new();
    wanted.brex.rate_limit = 0;
    let sandbox = Sandbox::start(wanted).await?;
    let home = Home::new()?;
    let mut config = sandbox.agent_config_for(&[options.route]);
    config.policy.push(format!("batch_size = {}", BATCHES[usize::try_from(seed % 3)?]));
    home.configure(&AgentConfig {
        document: options.mode.document(),
        settle_window: SETTLE_WINDOW,
        settle_interval: 1,
        rewrite_without_uniqueness: true,
        paced: false,
        ..config
    })?;
    let purser = Purser::new(home.path()).await?;
    sandbox.give_secrets_for(&purser, &[options.route]).await?;
    Ok((sandbox, home, purser))
}

/// What the ERP holds when nothing goes wrong.
async fn undisturbed(options: &CrashOptions, seed: u64) -> Result<Books> {
    let (sandbox, _home, purser) = set_up(options, seed).await?;
    let ended = purser.spawn(&["run", "--once"])?.wait_within(LIFE).await?;
    let books = Books::of(&sandbox.erp(options.route).state());
    if !matches!(ended.code, Some(0 | 4)) || books.is_empty() {
        bail!("seed {seed}: the undisturbed run booked {}: {}", books.len(), ended.words());
    }
    Ok(books)
}

/// Lost answers, lost calls and late commits, each by chance on a few calls; and pauses, so that kills fall into calls.
fn erp_faults(erp: System, seed: u64) -> Vec<FaultRule> {
    let (method, work, every) = match erp {
        // A bill or a journal is one PUT.
        System::Acumatica => ("PUT", "/entity/", "/entity/"),
        _ => ("POST", "Update", "Svc/"),
    };
    let write = |text: &str, probability: f64, action| {
        let when =
            FaultMatch { probability: Some(probability), seed, ..FaultMatch::path(text).method(method) };
        FaultRule::always(when, action)
    };
    vec![
        write("", 0.5, FaultAction::Latency { milliseconds: 4 }),
        write(work, 0.04, FaultAction::CutAfterCommit),
        write(work, 0.02, FaultAction::LateCommit { after_seconds: COMMITS_LATE, hang: false }),
        write(every, 0.01, FaultAction::CutBeforeCommit),
        write(every, 0.01, FaultAction::HalfAnswer),
    ]
}

fn source_faults(seed: u64) -> Vec<FaultRule> {
    let some = |probability, action| {
        FaultRule::always(
            FaultMatch { probability: Some(probability), seed, ..FaultMatch::default() },
            action,
        )
    };
    vec![
        some(0.5, FaultAction::Latency { milliseconds: 4 }),
        some(0.03, FaultAction::CutAfterCommit),
        some(0.03, FaultAction::CutBeforeCommit),
    ]
}
