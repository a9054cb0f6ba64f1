//! The present by two clocks: the wall clock, which people and time servers set, and one that nobody can set. What
//! must not be shortened or stretched by setting a clock is measured with the second.

use crate::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// A reading of a clock that only goes forward: time since an epoch, usually the boot of the operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// On which machine it was read; `None` where that cannot be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Which epoch: readings of two epochs cannot be compared.
    pub epoch: String,
    /// Milliseconds since it began.
    pub millis: u64,
}

/// One moment by both clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// By the wall clock: for people, documents and schedules.
    pub at: Timestamp,
    /// By the clock that nobody can set.
    pub tick: Tick,
}

impl Tick {
    /// Whether `other` was read on another machine, as far as that can be known: its folder was moved meanwhile.
    pub fn is_elsewhere(&self, other: &Tick) -> bool {
        matches!((&self.machine, &other.machine), (Some(here), Some(there)) if here != there)
    }

    /// Time that has certainly passed since `earlier`, never more than has really passed. Across epochs that is the
    /// age of this one, since `earlier` was read before it began. That does not hold for another machine, which may have
    /// been up for long: of it nothing is known.
    pub fn since(&self, earlier: &Tick) -> TimeDelta {
        if self.is_elsewhere(earlier) {
            return TimeDelta::zero();
        }
        let same = earlier.epoch == self.epoch;
        let within = self.millis.checked_sub(earlier.millis).filter(|_| same);
        // An epoch that runs backwards has begun anew under its old name (a container that was started again).
        let millis = within.unwrap_or(self.millis);
        i64::try_from(millis).ok().and_then(TimeDelta::try_milliseconds).unwrap_or(TimeDelta::MAX)
    }
}

/// In tests that move no clock, both clocks agree.
#[cfg(test)]
impl From<Timestamp> for Now {
    fn from(at: Timestamp) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
        Self { at, tick: Tick { machine: None, epoch: "test".to_owned(), millis } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(epoch: &str, seconds: u64) -> Tick {
        Tick { machine: None, epoch: epoch.to_owned(), millis: seconds * 1000 }
    }

    #[test]
    fn what_has_passed_is_never_told_too_long() {
        let now = tick("boot-b", 40);
        assert_eq!(now.since(&tick("boot-b", 30)), TimeDelta::seconds(10));
        assert_eq!(now.since(&tick("boot-a", 30)), TimeDelta::seconds(40), "only since the reboot");
        assert_eq!(now.since(&tick("boot-b", 50)), TimeDelta::seconds(40), "begun anew");
        let on = |machine: &str, tick: Tick| Tick { machine: Some(machine.to_owned()), ..tick };
        let moved = on("b", tick("boot-c", 9_999));
        assert_eq!(
            moved.since(&on("a", tick("boot-a", 30))),
            TimeDelta::zero(),
            "up for long before the move"
        );
        assert_eq!(moved.since(&on("b", tick("boot-b", 30))), TimeDelta::seconds(9_999));
        assert_eq!(
            moved.since(&tick("boot-b", 30)),
            TimeDelta::seconds(9_999),
            "written by an older release"
        );
        assert_eq!(tick("x", u64::MAX / 1000).since(&now), TimeDelta::MAX);
    }
}
