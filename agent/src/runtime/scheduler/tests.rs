//! Wake-ups with a clock moved by hand.

use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
struct Memory {
    runs: Mutex<BTreeMap<FlowId, LastRun>>,
    broken: AtomicBool,
}

#[async_trait]
impl ScheduleMemory for Memory {
    async fn last(&self, flow: &FlowId) -> anyhow::Result<Option<LastRun>> {
        Ok(self.runs.lock().unwrap().get(flow).cloned())
    }
    async fn record(&self, flow: &FlowId, run: &LastRun) -> anyhow::Result<()> {
        anyhow::ensure!(!self.broken.load(Ordering::SeqCst), "disk full");
        self.runs.lock().unwrap().insert(flow.clone(), run.clone());
        Ok(())
    }
}

type Fired = Arc<Mutex<Vec<(RunNow, Option<String>)>>>;

/// A scheduler whose runs are noted together with what was recorded when they were fired.
struct Bench<F> {
    scheduler: Scheduler<F>,
    handle: SchedulerHandle,
    clock: Clock,
    memory: Arc<Memory>,
    fired: Fired,
}

fn bench(at: &str, memory: &Arc<Memory>, schedule: &str, zone: &str) -> Bench<impl Fn(RunNow) + use<>> {
    let (clock, fired) = (Clock::manual(at.parse().unwrap()), Fired::default());
    let (noted, known) = (Arc::clone(&fired), Arc::clone(memory));
    let fire = move |run: RunNow| {
        let recorded = known.runs.lock().unwrap().get(&run.flow).map(|run| run.key.clone());
        noted.lock().unwrap().push((run, recorded));
    };
    let (scheduler, handle) = Scheduler::new(clock.clone(), Jitter::Off, Arc::clone(memory) as _, fire);
    handle.set_flows([(flow(), Some(Schedule::parse(schedule, zone).unwrap()))]);
    Bench { scheduler, handle, clock, memory: Arc::clone(memory), fired }
}

impl<F: Fn(RunNow)> Bench<F> {
    async fn after(&mut self, minutes: i64) -> Vec<Trigger> {
        self.clock.advance(chrono::TimeDelta::minutes(minutes));
        self.scheduler.tick().await;
        self.fired.lock().unwrap().drain(..).map(|(run, _)| run.trigger).collect()
    }
}

fn flow() -> FlowId {
    FlowId::new("expenses")
}

fn run(key: &str) -> Vec<Trigger> {
    vec![Trigger::Schedule(key.to_owned())]
}

#[tokio::test]
async fn a_run_is_recorded_before_it_is_fired_and_fires_once() {
    let mut bench = bench("2026-03-02T05:00:00Z", &Arc::default(), "0 6 * * *", "UTC");
    assert_eq!(bench.after(0).await, []);
    assert_eq!(bench.handle.next()[&flow()], "2026-03-02T06:00:00Z".parse::<Timestamp>().unwrap());
    assert_eq!(bench.after(59).await, []);
    bench.clock.advance(chrono::TimeDelta::minutes(1));
    bench.scheduler.tick().await;
    let fired = bench.fired.lock().unwrap().drain(..).collect::<Vec<_>>();
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0].1.as_deref(), Some("2026-03-02T06:00"), "recorded first");
    assert_eq!(bench.after(0).await, []);
    assert_eq!(bench.after(24 * 60).await, run("2026-03-03T06:00"));
}

#[tokio::test]
async fn missed_runs_fire_once_after_a_restart_and_a_run_never_fires_again() {
    let memory = Arc::default();
    let mut first = bench("2026-03-02T05:00:00Z", &memory, "0 * * * *", "UTC");
    assert_eq!(first.after(30).await, [], "a first start makes nothing up");
    assert_eq!(first.after(90).await, run("2026-03-02T07:00"), "two missed, the latest counts");
    let mut restarted = bench("2026-03-02T07:00:30Z", &memory, "0 * * * *", "UTC");
    assert_eq!(restarted.after(0).await, [], "the same minute after a restart");
    let mut later = bench("2026-03-05T12:34:00Z", &memory, "0 * * * *", "UTC");
    assert_eq!(later.after(0).await, run("2026-03-05T12:00"), "three days missed, one run");
    assert_eq!(later.after(1).await, []);
}

#[tokio::test]
async fn a_repeated_hour_does_not_run_a_fixed_time_twice_also_across_a_restart() {
    let memory = Arc::default();
    let mut first = bench("2026-11-01T05:00:00Z", &memory, "30 1 * * *", "America/New_York");
    assert_eq!(first.after(0).await, []);
    assert_eq!(first.after(30).await, run("2026-11-01T01:30"));
    let mut restarted = bench("2026-11-01T06:29:00Z", &memory, "30 1 * * *", "America/New_York");
    for _ in 0..5 {
        assert_eq!(restarted.after(1).await, []);
    }
}

#[tokio::test]
async fn a_clock_that_was_wrong_by_years_does_not_silence_the_schedule() {
    let memory = Arc::default();
    let mut wrong = bench("2036-03-02T05:30:00Z", &memory, "0 * * * *", "UTC");
    assert_eq!(wrong.after(0).await, []);
    assert_eq!(wrong.after(30).await, run("2036-03-02T06:00"));
    let mut right = bench("2026-03-02T05:30:00Z", &memory, "0 * * * *", "UTC");
    assert_eq!(right.after(0).await, []);
    assert_eq!(right.after(30).await, run("2026-03-02T06:00"));
}

#[tokio::test]
async fn another_time_zone_or_text_after_a_restart_begins_now_and_does_not_silence_the_schedule() {
    for (text, zone, next) in [
        ("0 * * * *", "America/New_York", "2026-03-02T08:00"),
        ("0 * * * *", "Asia/Tokyo", "2026-03-02T22:00"),
        ("5 * * * *", "UTC", "2026-03-02T12:05"),
    ] {
        let memory = Arc::default();
        let mut before = bench("2026-03-02T11:59:00Z", &memory, "0 * * * *", "UTC");
        assert_eq!(before.after(0).await, []);
        assert_eq!(before.after(1).await, run("2026-03-02T12:00"));
        let mut changed = bench("2026-03-02T12:01:30Z", &memory, text, zone);
        assert_eq!(changed.after(0).await, [], "{text} {zone}: nothing is made up");
        let mut fired = Vec::new();
        for _ in 0..60 {
            fired.extend(changed.after(1).await);
        }
        assert_eq!(fired, run(next), "{text} {zone}");
    }
}

#[test]
fn what_older_releases_recorded_is_understood() {
    let old: LastRun = serde_json::from_str("\"2026-03-02T12:00\"").unwrap();
    assert_eq!(old, LastRun { key: "2026-03-02T12:00".to_owned(), of: None });
    let utc = Schedule::parse("0 * * * *", "UTC").unwrap();
    assert!(old.moment(&utc).is_some());
    let new = LastRun::new(&utc, "2026-03-02T12:00");
    assert_eq!(serde_json::from_str::<LastRun>(&serde_json::to_string(&new).unwrap()).unwrap(), new);
    assert_eq!(new.moment(&Schedule::parse("0 * * * *", "Asia/Tokyo").unwrap()), None);
}

#[tokio::test]
async fn a_wish_from_a_time_when_the_clock_was_ahead_is_due() {
    let mut bench = bench("2026-03-02T12:00:00Z", &Arc::default(), "0 6 * * *", "UTC");
    bench.handle.wake_at(&flow(), Some("2027-03-02T12:00:00Z".parse().unwrap()));
    assert_eq!(bench.after(1).await, [Trigger::Retry]);
    assert_eq!(bench.after(1).await, []);
}

#[tokio::test]
async fn a_run_that_cannot_be_recorded_is_not_fired_until_it_can() {
    let mut bench = bench("2026-03-02T05:59:00Z", &Arc::default(), "0 6 * * *", "UTC");
    assert_eq!(bench.after(0).await, []);
    bench.memory.broken.store(true, Ordering::SeqCst);
    assert_eq!(bench.after(2).await, []);
    bench.memory.broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.after(1).await, run("2026-03-02T06:00"));
}

#[tokio::test]
async fn a_retry_wakes_its_flow_once_and_a_changed_schedule_begins_now() {
    let mut bench = bench("2026-03-02T12:00:00Z", &Arc::default(), "0 6 * * *", "UTC");
    bench.handle.wake_at(&flow(), Some("2026-03-02T12:10:00Z".parse().unwrap()));
    assert_eq!(bench.after(9).await, []);
    assert_eq!(bench.handle.next()[&flow()], "2026-03-02T12:10:00Z".parse::<Timestamp>().unwrap());
    bench.handle.wake_by(&flow(), "2026-03-02T12:20:00Z".parse().unwrap());
    assert_eq!(bench.after(1).await, [Trigger::Retry], "a later wish leaves the earlier one");
    bench.handle.wake_at(&flow(), Some("2026-03-02T12:20:00Z".parse().unwrap()));
    bench.handle.wake_by(&flow(), "2026-03-02T12:11:00Z".parse().unwrap());
    assert_eq!(bench.after(1).await, [Trigger::Retry], "an earlier one counts");
    assert_eq!(bench.after(1).await, []);
    bench.handle.set_flows([(flow(), Some(Schedule::parse("0 8 * * *", "UTC").unwrap()))]);
    assert_eq!(bench.after(1).await, [], "08:00 of today is not made up");
    bench.handle.set_flows([(flow(), None)]);
    assert_eq!(bench.after(48 * 60).await, [], "by hand only");
    bench.handle.wake_at(&flow(), Some("2026-03-02T12:10:00Z".parse().unwrap()));
    assert_eq!(bench.after(0).await, [Trigger::Retry], "retries come without a schedule too");
}

#[tokio::test(start_paused = true)]
async fn the_running_scheduler_notices_within_half_a_minute_that_the_clock_was_moved() {
    let clock = Clock::manual("2026-03-02T05:00:00Z".parse().unwrap());
    let (sender, mut fired) = tokio::sync::mpsc::unbounded_channel();
    let fire = move |run: RunNow| sender.send(run).unwrap();
    let (scheduler, handle) = Scheduler::new(clock.clone(), Jitter::Off, Arc::<Memory>::default(), fire);
    let task = tokio::spawn(scheduler.run());
    handle.set_flows([(flow(), Some(Schedule::parse("0 6 * * *", "UTC").unwrap()))]);
    let mut next = handle.next.clone();
    next.wait_for(|next| !next.is_empty()).await.unwrap();
    clock.advance(chrono::TimeDelta::hours(5));
    let before = tokio::time::Instant::now();
    assert_eq!(fired.recv().await.unwrap().trigger, Trigger::Schedule("2026-03-02T06:00".to_owned()));
    assert!(before.elapsed() <= LOOK_AGAIN);
    handle.wake_at(&flow(), Some(clock.now()));
    assert_eq!(fired.recv().await.unwrap().trigger, Trigger::Retry);
    task.abort();
}

#[test]
fn jitter_is_the_same_for_a_flow_differs_between_flows_and_stays_within_a_minute() {
    let delays: Vec<i64> =
        (0..200).map(|n| Jitter::Spread.of(&FlowId::new(format!("flow-{n}"))).num_seconds()).collect();
    assert!(delays.iter().all(|seconds| (0..=60).contains(seconds)));
    assert!(delays.iter().collect::<std::collections::BTreeSet<_>>().len() > 30);
    let flow = FlowId::new("flow-1");
    assert_eq!(Jitter::Spread.of(&flow), Jitter::Spread.of(&flow));
    assert_eq!(Jitter::Off.of(&flow), chrono::TimeDelta::zero());

    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let delay = Jitter::Spread.of(&flow);
    let times = FlowTimes {
        flow: flow.clone(),
        schedule: Some(Schedule::parse("0 6 * * *", "UTC").unwrap()),
        since: at("2026-03-01T06:00:00Z"),
        retry_at: None,
    };
    let due = at("2026-03-02T06:00:00Z") + delay;
    let early =
        plan_wakeups(std::slice::from_ref(&times), due - chrono::TimeDelta::seconds(1), Jitter::Spread);
    assert_eq!((early.fire.len(), early.next[&flow]), (0, due));
    assert_eq!(plan_wakeups(&[times], due, Jitter::Spread).fire.len(), 1);
}
