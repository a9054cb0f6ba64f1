//! Expensify's ceilings across processes. The agent keeps them by itself, also over a restart; the demo starts several
//! processes within a minute and waits between them, so that what is shown takes the time that it takes.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::server::Running;

/// Calls and seconds, as the vendor documents them.
const WINDOWS: [(usize, i64); 2] = [(5, 10), (20, 60)];

/// How long to wait until so many calls fit at once.
pub(super) fn wait_for(expensify: &Running, calls: usize) -> Duration {
    let now = expensify.clock().now();
    let made: Vec<DateTime<Utc>> =
        expensify.journal().iter().filter_map(|call| call.at.parse().ok()).collect();
    wait(&made, now, calls)
}

fn wait(made: &[DateTime<Utc>], now: DateTime<Utc>, calls: usize) -> Duration {
    let waits = WINDOWS.iter().filter_map(|(most, seconds)| {
        // The newest calls that may still be within the window; the one before them has to leave it.
        let stay = most.saturating_sub(calls);
        let leaving = made.len().checked_sub(stay + 1).and_then(|at| made.get(at))?;
        let free = *leaving + TimeDelta::seconds(*seconds) + TimeDelta::milliseconds(200);
        (free - now).to_std().ok()
    });
    waits.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_waited_until_the_calls_fit_both_windows() {
        let at = |second: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let secs = |wait: Duration| wait.as_millis();
        assert_eq!(secs(wait(&[], at(100), 5)), 0);
        assert_eq!(secs(wait(&[at(99), at(100)], at(100), 3)), 0);
        assert_eq!(secs(wait(&[at(99), at(100)], at(100), 4)), 9_200);
        assert_eq!(secs(wait(&[at(99), at(100)], at(100), 5)), 10_200);
        let many: Vec<_> = (80..99).map(at).collect();
        assert_eq!(secs(wait(&many, at(100), 2)), 40_200);
    }
}
