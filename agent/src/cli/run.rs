//! `purser run`: the service, and a single run by hand.

use super::context::Context;
use super::{Exit, Global, output};
use crate::flows::RunReport;
use crate::runtime::agent::{Agent, Parts};
use crate::runtime::commands;
use crate::runtime::host::Host;
use crate::runtime::link;
use crate::runtime::scheduler::Jitter;
use crate::runtime::status::{self, AgentStatus};
use crate::runtime::supervisor::Policy;
use crate::service::memory;
use crate::service::notify::Notifier;
use crate::service::paths::ProcessSurroundings;
use crate::service::shutdown::StopRequests;
use crate::telemetry::{LogFiles, Telemetry};
use anyhow::{Context as _, Result};
use purser_proto::validate::ValidConfig;
use spend::Timestamp;
use spend::ids::FlowId;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Run each flow once and end.
    #[arg(long)]
    pub once: bool,
    /// Only this flow; may be given several times.
    #[arg(long, value_name = "FLOW")]
    pub flow: Vec<String>,
    /// With --once: run again until nothing is open that time alone can settle, at most this many seconds.
    #[arg(long, value_name = "SECONDS", requires = "once")]
    pub settle: Option<u64>,
    /// Run flows at their time to the second, without the spread that keeps a fleet from calling all at once.
    #[arg(long)]
    pub no_jitter: bool,
    /// Accept orders that only tests give.
    #[arg(long, hide = true, env = "PURSER_TEST_HOOKS")]
    pub test_hooks: bool,
}

/// What one run of each flow came to.
pub type Reports = BTreeMap<FlowId, Result<RunReport, String>>;

/// How often orders are looked for and the status is written.
const TICK: Duration = Duration::from_millis(200);

/// Runs.
///
/// # Errors
/// Configuration, keys or store that cannot be used.
pub fn run(global: &Global, args: &RunArgs) -> Result<Exit> {
    memory::keep_little();
    let context = Context::new(global)?;
    let effective = context.effective()?;
    let config = effective.valid;
    for flow in &args.flow {
        context.any_flow(&config, flow)?;
    }
    let store = context.open_alone()?;
    let logs = context.logs();
    let _logging = Telemetry {
        level: &config.log.level,
        console: !args.once,
        files: Some(LogFiles { folder: &logs, keep_days: config.log.keep_days }),
    }
    .begin()?;
    commands::prepare(context.home()).context("cannot prepare the folder of orders")?;
    let parts = Parts {
        config: config.clone(),
        store: store.clone(),
        home: context.home().to_owned(),
        clock: context.clock.clone(),
        policy: Policy::default(),
        test_hooks: args.test_hooks,
        machine: effective.machine,
        fenced: link::fenced(&store)?,
    };
    let done = actix::System::new().block_on(async {
        if !args.once {
            return serve(parts, args, &context).await;
        }
        let agent = Rc::new(Agent::start(parts));
        let done = once(&agent, &config, args, global, context.home()).await;
        agent.stop().await;
        done
    });
    store.close();
    done
}

fn wanted(config: &ValidConfig, args: &RunArgs) -> Vec<FlowId> {
    let all = config.flow_ids().cloned();
    all.filter(|id| args.flow.is_empty() || args.flow.iter().any(|wanted| wanted == id.as_str())).collect()
}

/// Runs each flow, one after the other, and prints what happened.
async fn once(
    agent: &Rc<Agent>,
    config: &ValidConfig,
    args: &RunArgs,
    global: &Global,
    home: &Path,
) -> Result<Exit> {
    let flows = wanted(config, args);
    anyhow::ensure!(!flows.is_empty(), "the configuration has no flow; add a [[flow]] to purser.toml");
    let mut stop = StopRequests::listen().context("cannot listen for stop requests")?;
    let mut reports = Reports::new();
    for id in flows {
        let bar = output::Progress::begin(global, agent, &id);
        let ran = tokio::select! {
            ran = run_until_settled(agent, &id, args.settle) => Some(ran),
            _ = stop.next() => None,
        };
        bar.end();
        let Some(ran) = ran else {
            reports
                .insert(id, Err("stopped by a signal; what was open is settled at the next run".to_owned()));
            break;
        };
        reports.insert(id, ran);
    }
    save_status(home, &agent.status(&BTreeMap::new()));
    output::reports(global, &reports)?;
    Ok(verdict(&reports))
}

/// What a process that ran flows ends with.
pub fn verdict(reports: &Reports) -> Exit {
    let failed = |ran: &Result<RunReport, String>| ran.as_ref().map_or(true, |report| report.could_not_begin);
    if reports.values().any(failed) {
        return Exit::Failed;
    }
    let quiet = |report: &RunReport| report.is_clean() && report.held == 0 && report.in_doubt == 0;
    if reports.values().flatten().all(quiet) { Exit::Done } else { Exit::Attention }
}

/// One run, and with `settle` more of them until nothing is due that time alone can settle. Counters add up.
async fn run_until_settled(agent: &Rc<Agent>, id: &FlowId, settle: Option<u64>) -> Result<RunReport, String> {
    let mut total = agent.run_flow(id, "person").await?;
    let Some(seconds) = settle else { return Ok(total) };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
    // What is due later than that is not waited for.
    let in_time = |due: &Timestamp| {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        !left.is_zero() && (*due - agent.now()).to_std().unwrap_or_default() <= left
    };
    while let Some(due) = total.next_due.filter(in_time) {
        if due > agent.now() {
            tokio::time::sleep(TICK).await;
        } else {
            total.add(agent.run_flow(id, "settle").await?);
        }
    }
    Ok(total)
}

/// Works until a signal ends it.
async fn serve(parts: Parts, args: &RunArgs, context: &Context) -> Result<Exit> {
    let mut stop = StopRequests::listen().context("cannot listen for stop requests")?;
    let jitter = if args.no_jitter { Jitter::Off } else { Jitter::Spread };
    let mut host = Host::start(parts, jitter, context.config_file().to_owned());
    let notifier = Notifier::find(&ProcessSurroundings, std::process::id());
    notifier.ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), home = %context.home().display(), "agent started");
    let done = work(&mut host, &mut stop, &notifier).await;
    notifier.stopping();
    tracing::info!("agent is stopping");
    host.stop().await;
    done.map(|()| Exit::Done)
}

async fn work(host: &mut Host, stop: &mut StopRequests, notifier: &Notifier) -> Result<()> {
    // The first status tells what the scheduler has planned, so it comes after its first look.
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.next() => return Ok(()),
            () = host.step() => continue,
            _ = ticks.tick() => {}
        }
        if let Some(why) = host.agent().store().stats().poisoned {
            // The service manager starts a fresh process, which reads the state from disk.
            anyhow::bail!(
                "the disk under the posting log failed ({why}); the agent ends and must be started again"
            );
        }
        host.keep_link();
        host.obey_orders();
        save_status(host.agent().home(), &host.status());
        notifier.alive();
    }
}

fn save_status(home: &Path, status: &AgentStatus) {
    if let Err(error) = status::write(home, status) {
        tracing::warn!(%error, "status cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_could_not_begin_is_a_failure_and_one_with_trouble_wants_attention() {
        let idle =
            RunReport { could_not_begin: true, errors: vec!["no secret".to_owned()], ..RunReport::default() };
        let troubled = RunReport { could_not_begin: false, ..idle.clone() };
        let ran = |report: &RunReport| verdict(&Reports::from([(FlowId::new("a"), Ok(report.clone()))]));
        assert_eq!(ran(&RunReport::default()), Exit::Done);
        assert_eq!(ran(&troubled), Exit::Attention);
        assert_eq!(ran(&idle), Exit::Failed);
        // With --settle it counts what the runs came to together.
        let mut sum = idle.clone();
        sum.add(troubled);
        assert_eq!(ran(&sum), Exit::Attention);
    }
}
