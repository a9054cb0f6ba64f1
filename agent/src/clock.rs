//! The one place that reads the time. Everything else takes a [`Clock`], so tests move time by hand.

use crate::service::boot;
use spend::Timestamp;
use spend::now::{Now, Tick};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A source of time, shared by cloning.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Manual(Arc<Mutex<Manual>>),
}

/// Both clocks of a machine, moved by hand.
#[derive(Debug)]
struct Manual {
    at: Timestamp,
    machine: u32,
    boot: u32,
    millis: u64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands still until it is moved.
    pub fn manual(at: Timestamp) -> Self {
        // A machine that has been up for a while.
        Self(Kind::Manual(Arc::new(Mutex::new(Manual { at, machine: 1, boot: 1, millis: 1_000_000 }))))
    }

    /// The present moment by the wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => chrono::Utc::now(),
            Kind::Manual(clock) => locked(clock).at,
        }
    }

    /// The present moment by the wall clock and by the one that nobody can set.
    pub fn reading(&self) -> Now {
        Now { at: self.now(), tick: self.tick() }
    }

    /// The present moment by the clock that nobody can set.
    pub fn tick(&self) -> Tick {
        match &self.0 {
            Kind::System => {
                let (epoch, age) = boot::age();
                let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                Tick { machine: boot::machine_name().map(str::to_owned), epoch: epoch.to_owned(), millis }
            }
            Kind::Manual(clock) => {
                let clock = locked(clock);
                let machine = Some(format!("machine {}", clock.machine));
                Tick { machine, epoch: format!("boot {}", clock.boot), millis: clock.millis }
            }
        }
    }

    /// Lets time pass on a manual clock; the machine's clock is left alone.
    pub fn advance(&self, by: chrono::TimeDelta) {
        if let Kind::Manual(clock) = &self.0 {
            let mut clock = locked(clock);
            clock.at += by;
            clock.millis += u64::try_from(by.num_milliseconds()).unwrap_or_default();
        }
    }

    /// Sets a manual wall clock, as a person or a time server would: no time passes.
    pub fn set_by(&self, by: chrono::TimeDelta) {
        if let Kind::Manual(clock) = &self.0 {
            locked(clock).at += by;
        }
    }

    /// The machine starts again.
    #[cfg(test)]
    pub(crate) fn reboot(&self) {
        if let Kind::Manual(clock) = &self.0 {
            let mut clock = locked(clock);
            clock.boot += 1;
            clock.millis = 0;
        }
    }

    /// The folder is moved to another machine, which has been up for long.
    #[cfg(test)]
    pub(crate) fn move_house(&self) {
        if let Kind::Manual(clock) = &self.0 {
            let mut clock = locked(clock);
            clock.machine += 1;
            clock.boot += 1;
            clock.millis = 1_000_000_000;
        }
    }
}

fn locked(clock: &Mutex<Manual>) -> MutexGuard<'_, Manual> {
    clock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn the_machines_second_clock_goes_forward_within_one_epoch() {
        let clock = Clock::system();
        let (first, second) = (clock.tick(), clock.tick());
        assert_eq!(first.epoch, second.epoch);
        assert!(first.millis <= second.millis);
    }

    #[test]
    fn a_manual_clock_that_is_set_lets_no_time_pass() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let before = clock.reading();
        clock.set_by(TimeDelta::hours(1));
        assert_eq!(clock.reading(), Now { at: before.at + TimeDelta::hours(1), ..before.clone() });
        clock.advance(TimeDelta::seconds(3));
        assert_eq!(clock.tick().since(&before.tick), TimeDelta::seconds(3));
        clock.reboot();
        assert_eq!(clock.tick().since(&before.tick), TimeDelta::zero());
    }
}
