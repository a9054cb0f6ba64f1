//! When the next attempt is made. Delays are drawn by the caller's jitter, so that this stays pure.

use super::{FailureClass, PostingPolicy};
use crate::Timestamp;
use crate::now::{Now, Tick};
use chrono::TimeDelta;

/// Everything a transition depends on besides state and event.
pub(super) struct Moment<'a> {
    pub(super) policy: &'a PostingPolicy,
    pub(super) jitter: f64,
    pub(super) now: Timestamp,
    pub(super) tick: &'a Tick,
}

impl Moment<'_> {
    /// Full jitter below a ceiling that doubles, with a floor that keeps an unlucky draw from hammering.
    pub(super) fn backoff(&self, failures: u32) -> Timestamp {
        let base = millis(self.policy.backoff_base).max(1);
        let most = millis(self.policy.backoff_max).max(base);
        let doublings = failures.saturating_sub(1).min(40);
        let ceiling = base.saturating_mul(1 << doublings).min(most);
        self.spread(base / 4, ceiling)
    }

    /// A refused credential concerns the whole connection; hammering it may lock the account.
    pub(super) fn credential_pause(&self) -> Timestamp {
        let most = millis(self.policy.backoff_max).max(millis(self.policy.backoff_base));
        self.spread(most / 2, most)
    }

    pub(super) fn throttled(&self, until: Timestamp) -> Timestamp {
        until.clamp(later(self.now, TimeDelta::milliseconds(250)), later(self.now, LONGEST_DELAY))
    }

    /// While the ERP may still commit: look-ups at growing distance, one at the end of the window.
    pub(super) fn before_settled(&self, age: TimeDelta) -> Timestamp {
        let base = millis(self.policy.backoff_base).max(1);
        let ceiling = millis(age).clamp(base, millis(self.policy.backoff_max).max(base));
        let next = self.spread(ceiling / 2, ceiling);
        let left = millis(self.policy.settle_window) - millis(age);
        if left > 0 { next.min(later(self.now, TimeDelta::milliseconds(left))) } else { next }
    }

    /// Time that has certainly passed since a moment, however the wall clock was set meanwhile.
    pub(super) fn since(&self, earlier: &Tick) -> TimeDelta {
        self.tick.since(earlier)
    }

    fn spread(&self, floor: i64, ceiling: i64) -> Timestamp {
        let share = if self.jitter.is_finite() { self.jitter.clamp(0.0, 1.0) } else { 1.0 };
        // Milliseconds of a delay, not money; the cast saturates.
        let drawn = (ceiling as f64 * share) as i64;
        later(self.now, TimeDelta::milliseconds(drawn.max(floor).max(1)))
    }
}

impl PostingPolicy {
    /// When a read that belongs to no posting is tried again after it failed for the `failures`-th time in a row: with
    /// the delays of postings.
    pub fn read_again_at(&self, class: &FailureClass, failures: u32, jitter: f64, now: &Now) -> Timestamp {
        let moment = Moment { policy: self, jitter, now: now.at, tick: &now.tick };
        match class {
            FailureClass::Throttled { until } => moment.throttled(*until),
            // A person must mend it, and may have done so by then.
            FailureClass::Unauthorised | FailureClass::Rejected { .. } => moment.credential_pause(),
            FailureClass::NotSent | FailureClass::InDoubt | FailureClass::Unavailable => {
                moment.backoff(failures)
            }
        }
    }
}

/// The longest delay that can be set, and the longest `Retry-After` that is believed.
const LONGEST_DELAY: TimeDelta = TimeDelta::hours(24);

/// Whether the time of something has come. A moment further ahead than any delay was written while the clock was ahead:
/// waiting for it would put work to sleep for as long as the clock was wrong.
pub fn is_due(at: Timestamp, now: Timestamp) -> bool {
    at <= now || far_ahead(now).is_some_and(|far| at > far)
}

/// What is due later than this is due now: see [`is_due`]. `None` at the end of time.
pub fn far_ahead(now: Timestamp) -> Option<Timestamp> {
    now.checked_add_signed(LONGEST_DELAY)
}

/// Delays beyond ten years are misconfiguration; the bound keeps arithmetic in range.
fn millis(delta: TimeDelta) -> i64 {
    delta.num_milliseconds().clamp(0, 315_360_000_000)
}

pub(super) fn later(from: Timestamp, delta: TimeDelta) -> Timestamp {
    from.checked_add_signed(delta).unwrap_or(Timestamp::MAX_UTC)
}
