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
        let passed: Duration = now.saturating_duration_since(self.at);
        self.level = (self.level + passed.as_secs_f64() * self.per_second).min(self.burst);
        self.at = now;
        if self.level < 1.0 {
            return false;
        }
        self.level -= 1.0;
        true
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
