//! The licence's limits: requests per minute and at a time, by the vendor's own arithmetic. Requests are dequeued one
//! after the other; each may be delayed before it starts. Only a long queue or a long wait declines a request.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// The minute that counts.
const MINUTE: TimeDelta = TimeDelta::seconds(60);

/// The licence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// 0 = none.
    pub(super) per_minute: usize,
    /// 0 = none.
    pub(super) concurrent: usize,
    pub(super) queue_length: usize,
    pub(super) queue_time: TimeDelta,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It starts after so long.
    Starts(TimeDelta),
    /// The queue is full.
    Declined,
    /// It is declined when it has waited so long.
    Expires(TimeDelta),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When the requests of the last minute started, or will start; ascending.
    starts: VecDeque<DateTime<Utc>>,
    /// When the running and waiting requests end.
    ends: Vec<DateTime<Utc>>,
    pub(super) declined: u64,
    pub(super) longest: TimeDelta,
}

impl Throttle {
    /// Takes a request that will work so long.
    pub(super) fn admit(&mut self, at: DateTime<Utc>, work: TimeDelta, limits: Limits) -> Admission {
        if limits.per_minute == 0 && limits.concurrent == 0 {
            return Admission::Starts(TimeDelta::zero());
        }
        while self.starts.front().is_some_and(|start| *start + MINUTE <= at) {
            self.starts.pop_front();
        }
        self.ends.retain(|end| *end > at);
        if self.waiting(at) >= limits.queue_length {
            self.declined += 1;
            return Admission::Declined;
        }
        // The head of the queue is looked at when the one before it has started.
        let looked_at = self.starts.back().copied().map_or(at, |last| last.max(at));
        let mut start = looked_at + self.delay(looked_at, limits.per_minute);
        if limits.concurrent > 0 && self.ends.len() >= limits.concurrent {
            let mut ends = self.ends.clone();
            ends.sort();
            start = start.max(ends[ends.len() - limits.concurrent]);
        }
        let wait = start - at;
        if wait > limits.queue_time {
            self.declined += 1;
            return Admission::Expires(limits.queue_time);
        }
        self.starts.push_back(start);
        self.ends.push(start + work);
        self.longest = self.longest.max(wait);
        Admission::Starts(wait)
    }

    pub(super) fn waiting(&self, at: DateTime<Utc>) -> usize {
        self.starts.iter().filter(|start| **start > at).count()
    }

    pub(super) fn processed(&self, at: DateTime<Utc>) -> usize {
        self.in_last_minute(at).count()
    }

    fn in_last_minute(&self, at: DateTime<Utc>) -> impl Iterator<Item = &DateTime<Utc>> {
        self.starts.iter().filter(move |start| **start <= at && **start + MINUTE > at)
    }

    /// From half of the limit on: remaining time by remaining requests.
    fn delay(&self, at: DateTime<Utc>, limit: usize) -> TimeDelta {
        let processed = self.processed(at);
        let first = self.in_last_minute(at).next();
        let Some(first) = first.filter(|_| limit > 0 && processed * 2 >= limit) else {
            return TimeDelta::zero();
        };
        let left = *first + MINUTE - at;
        let requests = i32::try_from(limit.saturating_sub(processed)).unwrap_or(i32::MAX);
        left / requests.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    fn limits(per_minute: usize, concurrent: usize) -> Limits {
        Limits { per_minute, concurrent, queue_length: 20, queue_time: TimeDelta::seconds(600) }
    }

    /// Sheet item: Acumatica 17
    #[test]
    fn the_vendors_own_example_gives_eight_tenths_of_a_second() {
        let mut throttle = Throttle::default();
        for _ in 0..25 {
            let taken = throttle.admit(at(0), TimeDelta::zero(), limits(50, 0));
            assert_eq!(taken, Admission::Starts(TimeDelta::zero()));
        }
        let taken = throttle.admit(at(40_000), TimeDelta::zero(), limits(50, 0));
        assert_eq!(taken, Admission::Starts(TimeDelta::milliseconds(800)));
    }

    /// Sheet item: Acumatica 17
    #[test]
    fn a_burst_is_delayed_one_after_the_other_and_the_twenty_first_in_the_queue_is_declined() {
        let mut throttle = Throttle::default();
        let taken: Vec<Admission> =
            (0..60).map(|_| throttle.admit(at(0), TimeDelta::zero(), limits(50, 0))).collect();
        assert_eq!(taken[24], Admission::Starts(TimeDelta::zero()));
        assert_eq!(taken[25], Admission::Starts(TimeDelta::milliseconds(2_400)));
        let waits: Vec<TimeDelta> = taken[25..45]
            .iter()
            .map(|one| match one {
                Admission::Starts(wait) => *wait,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(waits.is_sorted() && waits[19] < TimeDelta::seconds(60), "{waits:?}");
        assert_eq!(taken[45], Admission::Declined);
        assert_eq!(throttle.declined, 15);
    }

    /// Sheet item: Acumatica 17
    #[test]
    fn concurrent_requests_wait_for_a_core_and_a_wait_beyond_ten_minutes_is_declined() {
        let mut throttle = Throttle::default();
        let work = TimeDelta::seconds(400);
        let taken: Vec<Admission> = (0..4).map(|_| throttle.admit(at(0), work, limits(0, 1))).collect();
        assert_eq!(taken[0], Admission::Starts(TimeDelta::zero()));
        assert_eq!(taken[1], Admission::Starts(TimeDelta::seconds(400)));
        assert_eq!(taken[2], Admission::Expires(TimeDelta::seconds(600)));
    }
}
