//! When the next request is sent. Ten thousand agents that lose their control plane at once come back spread over a
//! minute, and each waits longer the longer it is gone. Pure, but for the dice.

use std::time::Duration;

/// Everybody comes back within this time after an outage.
const SPREAD: Duration = Duration::from_secs(60);
/// Longest time between two tries.
const LONGEST: Duration = Duration::from_secs(300);
/// First step of the delays that grow.
const BASE: Duration = Duration::from_secs(5);
/// The first request of a life is sent within this time.
const FIRST: Duration = Duration::from_secs(2);

/// Shortest time between two tries: full jitter alone may say none at all.
const SHORTEST: Duration = Duration::from_secs(1);
/// Between two requests when the other side answers at once and has nothing to say; it doubles each time.
const BREATH: Duration = Duration::from_secs(2);
/// Longest of those.
const LONGEST_BREATH: Duration = Duration::from_secs(60);
/// Rounds of work that follow each other without a pause: with 256 deliveries in each, more than a day of webhooks.
const BURST: f64 = 200.0;
/// Rounds of work in a second beyond those, however much the other side has to deliver.
const RATE: f64 = 4.0;

/// Counts what failed in a row, what came to nothing in a row, and work without a pause. Whoever is on the other side sets
/// neither how often it is asked nor how busy this machine is.
#[derive(Debug)]
pub(super) struct Pace {
    failures: u32,
    empty: u32,
    /// Rounds of work that may still follow without a pause.
    credit: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { failures: 0, empty: 0, credit: BURST }
    }
}

impl Pace {
    /// Before the first request: soon, and not all at the same moment.
    pub(super) fn first(dice: f64) -> Duration {
        FIRST.mul_f64(dice)
    }

    /// After a failure, with full jitter: anything up to a bound, which is a minute at first and grows. `asked` is what
    /// the other side wants at least.
    pub(super) fn after_failure(&mut self, dice: f64, asked: Option<Duration>) -> Duration {
        let doubled = BASE.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        let bound = doubled.clamp(SPREAD, LONGEST);
        asked.unwrap_or_default().clamp(SHORTEST, LONGEST) + bound.saturating_sub(SHORTEST).mul_f64(dice)
    }

    /// After an answer that came at once and brought nothing.
    pub(super) fn after_nothing(&mut self) -> Duration {
        self.failures = 0;
        let pause = BREATH.saturating_mul(1 << self.empty.min(8)).min(LONGEST_BREATH);
        self.empty = self.empty.saturating_add(1);
        pause
    }

    /// After a round that said or heard something, or that was kept back. `since` is the time since the last such round.
    pub(super) fn after_work(&mut self, since: Duration) -> Duration {
        (self.failures, self.empty) = (0, 0);
        self.credit = (self.credit + since.as_secs_f64() * RATE).min(BURST) - 1.0;
        if self.credit >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.credit / RATE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_that_lose_their_control_plane_come_back_spread_over_a_minute() {
        let mut waits: Vec<u64> = (0..10_000)
            .map(|_| Pace::default().after_failure(fastrand::f64(), None).as_millis().try_into().unwrap())
            .collect();
        waits.sort_unstable();
        assert!(*waits.last().unwrap() <= 60_000);
        // No second of the minute sees more than twice its share.
        let busiest = (0..60).map(|s| waits.iter().filter(|ms| **ms / 1000 == s).count()).max().unwrap();
        assert!(busiest < 2 * 10_000 / 60, "{busiest}");
    }

    #[test]
    fn delays_grow_to_five_minutes_and_begin_anew_after_an_answer() {
        let mut pace = Pace::default();
        let bounds: Vec<u64> = (0..9).map(|_| pace.after_failure(1.0, None).as_secs()).collect();
        assert_eq!(bounds, [60, 60, 60, 60, 80, 160, 300, 300, 300]);
        assert_eq!(pace.after_failure(0.0, Some(Duration::from_secs(30))).as_secs(), 30);
        assert_eq!(pace.after_failure(0.0, None).as_secs(), 1, "and never at once");
        assert_eq!(pace.after_work(Duration::ZERO), Duration::ZERO);
        assert_eq!(pace.after_failure(1.0, None).as_secs(), 60);
        assert!(Pace::first(1.0) <= Duration::from_secs(2));
    }

    #[test]
    fn answers_that_bring_nothing_are_asked_for_less_and_less_often() {
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..8).map(|_| pace.after_nothing().as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        pace.after_work(Duration::ZERO);
        assert_eq!(pace.after_nothing().as_secs(), 2);
    }

    /// An hour of each: the other side always has something at once, or each round takes a while.
    #[test]
    fn work_without_end_is_done_at_a_bounded_pace_and_usual_work_at_once() {
        let hour = Duration::from_secs(3600);
        let rounds = |took: Duration| {
            let (mut pace, mut now, mut pause, mut rounds) =
                (Pace::default(), Duration::ZERO, Duration::ZERO, 0_u32);
            while now < hour {
                pause = pace.after_work(took + pause);
                now += took + pause;
                rounds += 1;
            }
            rounds
        };
        let most = 3600 * 4 + 201;
        assert!(rounds(Duration::from_millis(1)) <= most);
        assert!(rounds(Duration::from_millis(100)) <= most);
        assert_eq!(rounds(Duration::from_millis(500)), 7200, "two a second are no flood");
        let mut pace = Pace::default();
        assert!((0..200).all(|_| pace.after_work(Duration::ZERO).is_zero()), "nor is what has gathered");
    }
}
