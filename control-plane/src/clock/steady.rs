//! What jobs go by that throw things away: the wall clock, unless it has leapt. A clock that a person, a time server or a
//! virtual machine sets wrong for an hour must not delete what waits. Pure.
//!
//! A leap is told by the clock that nobody can set. It is believed once it has lasted; until then time passes from where it
//! was. At the start of a process nothing tells a leap from a time in which nothing ran, so that is believed sooner; until
//! then agents fetch what waited for them.

use super::{Clock, Millis};
use spend::now::Tick;

/// More than clocks are corrected by in small steps.
const TOLERANCE: Millis = 60_000;
/// How long a leap ahead lasts until it is believed.
const AHEAD: Millis = 24 * 3_600_000;
/// The same, if it may have been a time in which nothing ran.
const AFTER_START: Millis = 3_600_000;
/// How long a leap back lasts until it is believed: it deletes nothing.
const BACK: Millis = 15 * 60_000;

/// The present as it is believed.
#[derive(Debug, Default)]
pub struct Steady {
    last: Option<(Millis, Tick)>,
    doubt: Option<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    by: Millis,
    since: Tick,
    wait: Millis,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leap {
    /// The wall clock leapt by so much, and is not believed yet.
    Doubted(Millis),
    /// It is believed again, here or where it leapt to.
    Believed,
}

impl Steady {
    /// The present. `stored` is what was last taken for it before this process.
    pub fn look(&mut self, clock: &Clock, stored: Option<Millis>) -> (Millis, Option<Leap>) {
        let now = clock.reading();
        let (wall, tick) = (now.at.timestamp_millis(), now.tick);
        let starts = self.last.is_none();
        let expected = match &self.last {
            Some((at, then)) => at.saturating_add(tick.since(then).num_milliseconds()),
            None => stored.unwrap_or(wall),
        };
        let by = wall.saturating_sub(expected);
        let before = self.doubt.take();
        if by.abs() <= TOLERANCE {
            self.last = Some((wall, tick));
            return (wall, before.map(|_| Leap::Believed));
        }
        let same = before.filter(|doubt| (doubt.by.saturating_sub(by)).abs() <= TOLERANCE);
        let told = same.is_none().then_some(Leap::Doubted(by));
        let doubt = same.unwrap_or_else(|| Doubt { by, since: tick.clone(), wait: wait(by, starts) });
        if tick.since(&doubt.since).num_milliseconds() >= doubt.wait {
            self.last = Some((wall, tick));
            return (wall, Some(Leap::Believed));
        }
        self.doubt = Some(doubt);
        self.last = Some((expected, tick));
        (expected, told)
    }
}

fn wait(by: Millis, starts: bool) -> Millis {
    match (by > 0, starts) {
        (false, _) => BACK,
        (true, true) => AFTER_START,
        (true, false) => AHEAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::millis;
    use chrono::TimeDelta;
    use spend::Timestamp;

    const HOUR: Millis = 3_600_000;

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_timestamp_millis(1_800_000_000_000).unwrap())
    }

    #[test]
    fn time_that_passes_is_believed_at_once() {
        let (clock, mut steady) = (clock(), Steady::default());
        for hours in [0, 1, 1000] {
            clock.advance(TimeDelta::hours(hours));
            assert_eq!(steady.look(&clock, None), (millis(&clock), None));
        }
    }

    #[test]
    fn a_leap_ahead_is_doubted_for_a_day_and_forgotten_when_it_is_taken_back() {
        let (clock, mut steady) = (clock(), Steady::default());
        let began = steady.look(&clock, None).0;
        clock.set_by(TimeDelta::days(400));
        assert_eq!(steady.look(&clock, None), (began, Some(Leap::Doubted(400 * 24 * HOUR))));
        clock.advance(TimeDelta::hours(23));
        assert_eq!(steady.look(&clock, None), (began + 23 * HOUR, None));
        clock.set_by(TimeDelta::days(-400));
        assert_eq!(steady.look(&clock, None), (began + 23 * HOUR, Some(Leap::Believed)));
        clock.set_by(TimeDelta::days(1));
        steady.look(&clock, None);
        clock.advance(TimeDelta::hours(24));
        assert_eq!(steady.look(&clock, None), (began + 71 * HOUR, Some(Leap::Believed)));
    }

    #[test]
    fn a_leap_back_is_believed_after_a_quarter_of_an_hour() {
        let (clock, mut steady) = (clock(), Steady::default());
        let began = steady.look(&clock, None).0;
        clock.set_by(TimeDelta::hours(-5));
        assert_eq!(steady.look(&clock, None), (began, Some(Leap::Doubted(-5 * HOUR))));
        clock.advance(TimeDelta::minutes(15));
        assert_eq!(steady.look(&clock, None), (millis(&clock), Some(Leap::Believed)));
    }

    #[test]
    fn a_clock_that_leaps_again_and_again_is_never_believed() {
        let (clock, mut steady) = (clock(), Steady::default());
        let began = steady.look(&clock, None).0;
        for hours in 1..100 {
            clock.set_by(TimeDelta::days(1));
            clock.advance(TimeDelta::hours(1));
            assert_eq!(steady.look(&clock, None).0, began + hours * HOUR);
        }
    }

    #[test]
    fn what_a_process_finds_at_its_start_is_believed_after_an_hour() {
        let (clock, mut steady) = (clock(), Steady::default());
        let stored = millis(&clock) - 100 * HOUR;
        assert_eq!(steady.look(&clock, Some(stored)), (stored, Some(Leap::Doubted(100 * HOUR))));
        clock.advance(TimeDelta::minutes(59));
        assert_eq!(steady.look(&clock, Some(stored)).0, stored + 59 * 60_000);
        clock.advance(TimeDelta::minutes(1));
        assert_eq!(steady.look(&clock, Some(stored)).0, millis(&clock));
    }
}
