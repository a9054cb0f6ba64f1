//! Says "look again" to flows at the right moments: when their schedule is due, and when a posting is due for its next
//! attempt. [`plan_wakeups`] decides and is pure; [`Scheduler`] waits and records.
//!
//! What a newcomer gets wrong: a run is recorded **before** it is fired, so that neither a restart nor a repeated hour
//! can fire it twice. A run that is recorded and then lost by a crash is no loss: every start looks at what is
//! unfinished anyway.

use crate::clock::Clock;
use async_trait::async_trait;
use purser_proto::schedule::Schedule;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::FlowId;
use spend::posting::is_due;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The wall clock is looked at again at least this often: machines sleep, and clocks are set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// A recorded run further ahead than this means that the clock was wrong when it was recorded.
const TRUSTED_AHEAD: chrono::TimeDelta = chrono::TimeDelta::hours(26);
const MOST_JITTER_SECONDS: u64 = 60;

/// Why a flow is woken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Its schedule; the key names the run.
    Schedule(String),
    /// A posting is due for its next attempt.
    Retry,
    /// A vendor says that there is something to fetch.
    Webhook,
}

/// The order to look again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunNow {
    /// Which flow.
    pub flow: FlowId,
    /// Why.
    pub trigger: Trigger,
}

/// Remembers the last run of each schedule across restarts.
#[async_trait]
pub trait ScheduleMemory: Send + Sync {
    /// What was recorded last.
    async fn last(&self, flow: &FlowId) -> anyhow::Result<Option<LastRun>>;
    /// Records a run durably before it returns.
    async fn record(&self, flow: &FlowId, run: &LastRun) -> anyhow::Result<()>;
}

/// The last run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct LastRun {
    /// Its key.
    pub key: String,
    /// Text and time zone of the schedule that named it so: a key names another moment, or none, in another one. `None` =
    /// recorded by a release that did not keep it.
    pub of: Option<String>,
}

/// What is found in the store: older releases recorded the key alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Key(String),
    Run { key: String, of: Option<String> },
}

impl From<Stored> for LastRun {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Key(key) => Self { key, of: None },
            Stored::Run { key, of } => Self { key, of },
        }
    }
}

impl LastRun {
    fn new(schedule: &Schedule, key: &str) -> Self {
        Self { key: key.to_owned(), of: Some(name_of(schedule)) }
    }

    /// When it was, by this schedule; `None` when it was a run of another one.
    fn moment(&self, schedule: &Schedule) -> Option<Timestamp> {
        let same = self.of.as_ref().is_none_or(|of| *of == name_of(schedule));
        schedule.moment_of(&self.key).filter(|_| same)
    }
}

fn name_of(schedule: &Schedule) -> String {
    format!("{} {}", schedule.text(), schedule.zone())
}

/// Whether runs of many agents and flows are spread over a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// 0 to 60 seconds, always the same for one flow.
    Spread,
    /// None, for tests and `--no-jitter`.
    Off,
}

impl Jitter {
    /// The delay of one flow's runs.
    pub fn of(self, flow: &FlowId) -> chrono::TimeDelta {
        match self {
            Self::Off => chrono::TimeDelta::zero(),
            Self::Spread => {
                let hash = blake3::hash(flow.as_str().as_bytes());
                let bytes = hash.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                let seconds = bytes % (MOST_JITTER_SECONDS + 1);
                chrono::TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default())
            }
        }
    }
}

/// What is known of one flow when wake-ups are planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTimes {
    /// Which flow.
    pub flow: FlowId,
    /// Its schedule.
    pub schedule: Option<Schedule>,
    /// Runs up to this moment are done or do not count.
    pub since: Timestamp,
    /// When a posting is due for its next attempt.
    pub retry_at: Option<Timestamp>,
}

/// The decision: whom to wake, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wakeups {
    /// Flows to wake now, each at most once.
    pub fire: Vec<RunNow>,
    /// When the next wake-up of each flow is expected.
    pub next: BTreeMap<FlowId, Timestamp>,
}

/// Decides whom to wake. Of several missed runs only the latest is fired.
pub fn plan_wakeups(flows: &[FlowTimes], now: Timestamp, jitter: Jitter) -> Wakeups {
    let mut wakeups = Wakeups::default();
    for times in flows {
        let delay = jitter.of(&times.flow);
        let horizon = now - delay;
        let due = times.schedule.as_ref().and_then(|schedule| schedule.latest_due(times.since, horizon));
        let retry = times.retry_at.is_some_and(|at| is_due(at, now));
        let trigger = match due {
            Some(due) => Some(Trigger::Schedule(due.key)),
            None if retry => Some(Trigger::Retry),
            None => None,
        };
        wakeups.fire.extend(trigger.map(|trigger| RunNow { flow: times.flow.clone(), trigger }));
        let scheduled =
            times.schedule.as_ref().and_then(|schedule| schedule.next_after(times.since.max(horizon)));
        let later = [scheduled.map(|at| at + delay), times.retry_at.filter(|_| !retry)];
        if let Some(at) = later.into_iter().flatten().min() {
            wakeups.next.insert(times.flow.clone(), at);
        }
    }
    wakeups
}

/// What the scheduler is asked to watch.
#[derive(Clone, Debug, Default)]
struct Wanted {
    schedules: BTreeMap<FlowId, Option<Schedule>>,
    retries: BTreeMap<FlowId, Timestamp>,
}

/// Tells a running scheduler what to watch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SchedulerHandle {
    wanted: Arc<watch::Sender<Wanted>>,
    next: watch::Receiver<BTreeMap<FlowId, Timestamp>>,
}

impl SchedulerHandle {
    /// Replaces all flows and their schedules; wake-ups for retries of flows that are gone are dropped.
    pub fn set_flows(&self, flows: impl IntoIterator<Item = (FlowId, Option<Schedule>)>) {
        self.wanted.send_modify(|wanted| {
            wanted.schedules = flows.into_iter().collect();
            wanted.retries.retain(|flow, _| wanted.schedules.contains_key(flow));
        });
    }

    /// Wakes the flow at this moment too; `None` takes the wish back. A later wish replaces an earlier one.
    pub fn wake_at(&self, flow: &FlowId, at: Option<Timestamp>) {
        self.wanted.send_modify(|wanted| match at {
            Some(at) => {
                wanted.retries.insert(flow.clone(), at);
            }
            None => {
                wanted.retries.remove(flow);
            }
        });
    }

    /// Wakes the flow at this moment at the latest; a wish for an earlier one stays.
    pub fn wake_by(&self, flow: &FlowId, at: Timestamp) {
        self.wanted.send_modify(|wanted| {
            let wish = wanted.retries.entry(flow.clone()).or_insert(at);
            *wish = at.min(*wish);
        });
    }

    /// When each flow is expected to be woken next.
    pub fn next(&self) -> BTreeMap<FlowId, Timestamp> {
        self.next.borrow().clone()
    }
}

/// Waits for due moments and fires. Spawn [`Scheduler::run`].
pub struct Scheduler<F> {
    clock: Clock,
    jitter: Jitter,
    memory: Arc<dyn ScheduleMemory>,
    fire: F,
    wanted: Arc<watch::Sender<Wanted>>,
    next: watch::Sender<BTreeMap<FlowId, Timestamp>>,
    /// Up to where each flow's runs are done, with the schedule that was true for.
    done: BTreeMap<FlowId, (Schedule, Timestamp)>,
}

impl<F: Fn(RunNow)> Scheduler<F> {
    /// A scheduler that hands due runs to `fire`, which must not block.
    pub fn new(
        clock: Clock,
        jitter: Jitter,
        memory: Arc<dyn ScheduleMemory>,
        fire: F,
    ) -> (Self, SchedulerHandle) {
        let wanted = Arc::new(watch::Sender::new(Wanted::default()));
        let next = watch::Sender::new(BTreeMap::new());
        let handle = SchedulerHandle { wanted: Arc::clone(&wanted), next: next.subscribe() };
        (Self { clock, jitter, memory, fire, wanted, next, done: BTreeMap::new() }, handle)
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let mut wanted = self.wanted.subscribe();
        loop {
            wanted.mark_unchanged();
            let next = self.tick().await;
            let now = self.clock.now();
            let wait = next.map_or(LOOK_AGAIN, |at| (at - now).to_std().unwrap_or_default().min(LOOK_AGAIN));
            tokio::select! {
                _ = wanted.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Looks at the clock once: records and fires what is due. Returns when the next wake-up is expected.
    async fn tick(&mut self) -> Option<Timestamp> {
        let now = self.clock.now();
        let flows = self.times(now).await;
        let mut wakeups = plan_wakeups(&flows, now, self.jitter);
        for run in wakeups.fire {
            if let Err(error) = self.fire(run.clone(), now).await {
                // Not recorded, so not fired; looked at again soon.
                tracing::error!(flow = %run.flow, error = format!("{error:#}"), "run cannot be recorded");
                let soon = now + chrono::TimeDelta::from_std(LOOK_AGAIN).unwrap_or_default();
                wakeups.next.insert(run.flow, soon);
            }
        }
        let soonest = wakeups.next.values().min().copied();
        self.next.send_replace(wakeups.next);
        soonest
    }

    async fn fire(&mut self, run: RunNow, now: Timestamp) -> anyhow::Result<()> {
        if let Trigger::Schedule(key) = &run.trigger
            && let Some((schedule, since)) = self.done.get_mut(&run.flow)
        {
            self.memory.record(&run.flow, &LastRun::new(schedule, key)).await?;
            *since = schedule.moment_of(key).unwrap_or(now);
        }
        // The run will look at everything that is due, so a wish for the past is fulfilled.
        self.wanted.send_if_modified(|wanted| {
            if wanted.retries.get(&run.flow).is_some_and(|at| is_due(*at, now)) {
                wanted.retries.remove(&run.flow);
            }
            false
        });
        tracing::debug!(flow = %run.flow, trigger = ?run.trigger, "flow is woken");
        (self.fire)(run);
        Ok(())
    }

    async fn times(&mut self, now: Timestamp) -> Vec<FlowTimes> {
        let Wanted { schedules, retries } = self.wanted.borrow().clone();
        self.done.retain(|flow, _| schedules.contains_key(flow));
        let mut all = Vec::new();
        for (flow, schedule) in schedules {
            let retry_at = retries.get(&flow).copied();
            let (schedule, since) = match schedule {
                None => (None, now),
                Some(schedule) => match self.since(&flow, &schedule, now).await {
                    Ok(since) => (Some(schedule), since),
                    Err(error) => {
                        tracing::error!(%flow, error = format!("{error:#}"), "last run cannot be read");
                        (None, now)
                    }
                },
            };
            all.push(FlowTimes { flow, schedule, since, retry_at });
        }
        all
    }

    /// Up to where a flow's runs are done. A schedule seen for the first time begins now, and that is recorded, so that
    /// runs missed from then on are made up.
    async fn since(
        &mut self,
        flow: &FlowId,
        schedule: &Schedule,
        now: Timestamp,
    ) -> anyhow::Result<Timestamp> {
        let trusted = |at: &Timestamp| *at <= now + TRUSTED_AHEAD;
        let last = match self.done.get(flow) {
            Some((of, since)) if of == schedule && trusted(since) => return Ok(*since),
            // The schedule was changed: it begins now, without runs that it would have had earlier today.
            Some(_) => None,
            None => self.memory.last(flow).await?.and_then(|last| last.moment(schedule)).filter(trusted),
        };
        let since = match last {
            Some(at) => at,
            None => {
                // The minute before: a run of the present minute still counts.
                let before = now - chrono::TimeDelta::minutes(1);
                self.memory.record(flow, &LastRun::new(schedule, &schedule.key(before))).await?;
                before
            }
        };
        self.done.insert(flow.clone(), (schedule.clone(), since));
        Ok(since)
    }
}

#[cfg(test)]
mod tests;
