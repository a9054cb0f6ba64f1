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

/// Counts what failed in a row.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
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
        asked.unwrap_or_default().min(LONGEST) + bound.mul_f64(dice)
    }

    /// An answer came.
    pub(super) fn good(&mut self) {
        self.failures = 0;
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
        pace.good();
        assert_eq!(pace.after_failure(1.0, None).as_secs(), 60);
        assert!(Pace::first(1.0) <= Duration::from_secs(2));
    }
}
