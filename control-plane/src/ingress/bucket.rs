//! A token bucket: so many at once, so many a second in the long run. Pure; its time is a monotonic clock's.

use std::time::{Duration, Instant};

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_second: i64, burst: i64, now: Instant) -> Self {
        let (per_second, burst) = (as_f64(per_second), as_f64(burst));
        Self { per_second, burst, level: burst, at: now }
    }

    /// Whether there is one left, which is then taken.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let has_one = self.has_one(now);
        self.level = self.level_at(now) - if has_one { 1.0 } else { 0.0 };
        self.at = now;
        has_one
    }

    /// Whether there is one left.
    pub(super) fn has_one(&self, now: Instant) -> bool {
        self.level_at(now) >= 1.0
    }

    /// How long ago one was asked for.
    pub(super) fn quiet_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    fn level_at(&self, now: Instant) -> f64 {
        (self.level + self.quiet_for(now).as_secs_f64() * self.per_second).min(self.burst)
    }
}

/// Ceilings are far below what a float holds exactly.
fn as_f64(number: i64) -> f64 {
    i32::try_from(number).map_or(f64::from(i32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 5, start);
        let taken = (0..20).filter(|_| bucket.take(start)).count();
        assert_eq!(taken, 5);
        let later = start + Duration::from_millis(300);
        assert_eq!((0..20).filter(|_| bucket.take(later)).count(), 3);
        let idle = later + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| bucket.take(idle)).count(), 5);
    }
}
