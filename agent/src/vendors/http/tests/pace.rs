//! The pace against a vendor that counts arrivals in sliding windows.

use super::*;
use proptest::prelude::*;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const EXPENSIFY: [(u32, Duration); 2] = [(5, Duration::from_secs(10)), (20, Duration::from_secs(60))];

fn pace(windows: &[(u32, Duration)], concurrency: usize) -> Arc<Pace> {
    Pace::new(windows, concurrency, Clock::manual(noon()))
}

/// How many arrivals find their window full.
fn violations(arrivals: &[Instant], windows: &[(u32, Duration)]) -> usize {
    let mut arrivals = arrivals.to_vec();
    arrivals.sort();
    let crowded = |(calls, span): &(u32, Duration)| {
        let apart = *calls as usize;
        (apart..arrivals.len()).filter(|at| arrivals[*at] - arrivals[at - apart] < *span).count()
    };
    windows.iter().map(crowded).sum()
}

/// Many callers want a turn at once; each call arrives at the vendor after a random latency and takes a while.
async fn arrivals(windows: &[(u32, Duration)], calls: usize, latency_ms: u64, seed: u64) -> Vec<Instant> {
    let pace = pace(windows, 8);
    let mut random = fastrand::Rng::with_seed(seed);
    let tasks: Vec<_> = (0..calls)
        .map(|_| {
            let (pace, latency) = (Arc::clone(&pace), Duration::from_millis(random.u64(0..=latency_ms)));
            tokio::spawn(async move {
                let _turn = pace.turn().await;
                tokio::time::sleep(latency).await;
                let arrived = Instant::now();
                tokio::time::sleep(latency).await;
                arrived
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn both_expensify_windows_are_kept_and_used_to_95_percent() {
    let mut seen = arrivals(&EXPENSIFY, 400, 1200, 7).await;
    assert_eq!(violations(&seen, &EXPENSIFY), 0);
    seen.sort();
    // From the first call of the first minute's budget to the first of the twentieth.
    let (took, ideal) = ((seen[380] - seen[0]).as_millis(), 19 * 60_000);
    assert!(ideal * 100 >= took * 95, "took {took} ms, the vendor would have allowed {ideal} ms");
}

#[tokio::test(start_paused = true)]
async fn a_full_budget_is_not_granted_twice_in_one_window() {
    let pace = pace(&[(5, 10 * SECOND)], 8);
    let begin = Instant::now();
    for _ in 0..5 {
        pace.turn().await;
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    pace.turn().await;
    assert!(begin.elapsed() >= 10 * SECOND && begin.elapsed() < 11 * SECOND, "{:?}", begin.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_window_is_ever_overrun(
        calls in 1_u32..12,
        span in 5_u32..90,
        burst in 1_u32..6,
        burst_span in 1_u32..20,
        seed in any::<u64>(),
    ) {
        let windows = [(calls, SECOND * span), (burst, SECOND * burst_span)];
        let shortest = span.min(burst_span);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        // Jitter up to 2 % of the shorter window: inside the surplus of either role.
        let seen = runtime.block_on(arrivals(&windows, 60, u64::from(shortest) * 20, seed));
        prop_assert_eq!(violations(&seen, &windows), 0);
    }
}

/// A request that is held up on its way may arrive at any moment before its answer.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_long_on_its_way_counts_until_a_window_after_its_end() {
    let pace = pace(&[(2, 10 * SECOND)], 8);
    let start = Instant::now();
    let slow = pace.turn().await;
    drop(pace.turn().await);
    tokio::time::sleep(9 * SECOND).await;
    drop(slow);
    drop(pace.turn().await);
    assert!((10 * SECOND..11 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
    drop(pace.turn().await);
    assert!((19 * SECOND..20 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn turns_are_given_in_the_order_of_asking() {
    let pace = pace(&[(2, 10 * SECOND)], 1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..9)
        .map(|at| {
            let (pace, order) = (Arc::clone(&pace), Arc::clone(&order));
            tokio::spawn(async move {
                let _turn = pace.turn().await;
                order.lock().unwrap().push(at);
                tokio::time::sleep(Duration::from_millis(50)).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..9).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_under_way_than_allowed() {
    let pace = pace(&[], 2);
    let (first, _second) = (pace.turn().await, pace.turn().await);
    assert!(tokio::time::timeout(SECOND, pace.turn()).await.is_err());
    drop(first);
    assert!(tokio::time::timeout(SECOND, pace.turn()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_costs_no_turn() {
    let pace = pace(&[(1, 10 * SECOND)], 4);
    let begin = Instant::now();
    pace.turn().await;
    for _ in 0..5 {
        assert!(tokio::time::timeout(SECOND, pace.turn()).await.is_err());
    }
    pace.turn().await;
    assert!(begin.elapsed() < 11 * SECOND, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_closed_pace_holds_everybody_and_an_earlier_moment_does_not_open_it() {
    let pace = pace(&[], 8);
    pace.closed_until(noon() + chrono::TimeDelta::seconds(60));
    pace.closed_until(noon() + chrono::TimeDelta::seconds(5));
    assert_eq!(pace.opens_at(), Some(noon() + chrono::TimeDelta::seconds(60)));
    let begin = Instant::now();
    pace.turn().await;
    assert!(begin.elapsed() >= 60 * SECOND && begin.elapsed() < 61 * SECOND, "{:?}", begin.elapsed());
    assert_eq!(pace.opens_at(), None);
}

#[tokio::test(start_paused = true)]
async fn closing_also_holds_those_who_already_wait() {
    let pace = pace(&[(1, 10 * SECOND)], 8);
    pace.turn().await;
    let begin = Instant::now();
    let waiting = tokio::spawn({
        let pace = Arc::clone(&pace);
        async move {
            pace.turn().await;
        }
    });
    tokio::time::sleep(SECOND).await;
    pace.closed_until(noon() + chrono::TimeDelta::seconds(60));
    waiting.await.unwrap();
    assert!(begin.elapsed() >= 61 * SECOND, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_when_the_pace_is_closed_for_long() {
    let pace = pace(&[(1, 10 * SECOND)], 8);
    pace.turn().await;
    let waiting = tokio::spawn({
        let pace = Arc::clone(&pace);
        async move { pace.turn_unless_closed(chrono::TimeDelta::seconds(30)).await.map(|_| ()) }
    });
    tokio::time::sleep(SECOND).await;
    pace.closed_until(noon() + chrono::TimeDelta::seconds(600));
    let begin = Instant::now();
    waiting.await.unwrap().unwrap_err();
    assert!(begin.elapsed() < 11 * SECOND, "{:?}", begin.elapsed());
}

#[test]
fn connections_with_the_same_credential_share_a_pace() {
    let paces = Paces::new(Clock::manual(noon()));
    let of = |vendor: &str, credential: &Credential| paces.for_credential(vendor, credential, &EXPENSIFY, 1);
    let login = login("https://erp.example.test");
    let mut renamed = login.clone();
    renamed.name = "other".to_owned();
    let first = of("expensify", &login);
    assert!(Arc::ptr_eq(&first, &of("expensify", &renamed)));
    assert!(!Arc::ptr_eq(&first, &of("epicor", &login)));
    let fields = BTreeMap::from([("user".to_owned(), SecretString::from("svc-purser"))]);
    let other = Credential::new("erp", fields, Arc::from([]));
    assert!(!Arc::ptr_eq(&first, &of("expensify", &other)));
    assert!(!format!("{paces:?}").contains("svc-purser"));
}

/// Two commands in quick succession are two processes with one budget.
#[tokio::test(start_paused = true)]
async fn the_next_process_goes_on_at_the_same_pace() {
    let dir = tempfile::tempdir().unwrap();
    let login = login("https://erp.example.test");
    let clock = Clock::manual(noon());
    let process = || {
        let paces = Paces::new(clock.clone()).remembering(dir.path().join("paces"));
        paces.for_credential("expensify", &login, &EXPENSIFY, 8)
    };
    let first = process();
    for _ in 0..4 {
        first.turn().await;
    }
    // It dies; three seconds later another one begins.
    drop(first);
    clock.advance(chrono::TimeDelta::seconds(3));
    let (second, begin) = (process(), Instant::now());
    second.turn().await;
    assert_eq!(begin.elapsed(), Duration::ZERO, "the fifth call fits");
    second.turn().await;
    assert!(begin.elapsed() >= 7 * SECOND && begin.elapsed() <= 11 * SECOND, "{:?}", begin.elapsed());
    second.closed_until(clock.now() + chrono::TimeDelta::seconds(40));
    drop(second);
    assert_eq!(process().opens_at(), Some(clock.now() + chrono::TimeDelta::seconds(40)));
    let names: Vec<_> =
        std::fs::read_dir(dir.path().join("paces")).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}
