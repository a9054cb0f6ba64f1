//! The pause of a connection whose credential was refused. Every further call with it would be refused as well and can
//! lock the account, so nobody calls until the longest delay is over, and `status` says so until the vendor lets us in.

use crate::clock::Clock;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::ConnectionId;
use spend::now::Tick;
use spend::posting::{Failure, FailureClass};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a person is shown of a refused credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Since when the credential is refused.
    pub since: Timestamp,
    /// When it is tried again.
    pub next_at: Timestamp,
    /// What the vendor said.
    pub why: String,
    /// What to do.
    pub fix: String,
}

/// The alarm of one connection.
#[derive(Debug)]
pub struct CredentialAlarm {
    connection: ConnectionId,
    clock: Clock,
    pause: TimeDelta,
    raised: Mutex<Option<Raised>>,
}

#[derive(Debug)]
struct Raised {
    alarm: Alarm,
    /// When it was refused last, by the clock that nobody can set.
    refused: Tick,
    /// In which life of the connection's actor: a new life may have a new secret.
    life: u64,
}

impl CredentialAlarm {
    /// No alarm. `pause` is the time between two tries of a refused credential.
    pub fn new(connection: ConnectionId, clock: Clock, pause: TimeDelta) -> Self {
        Self { connection, clock, pause, raised: Mutex::default() }
    }

    /// Whether a call may be made in this life of the actor.
    ///
    /// # Errors
    /// While the connection pauses: what was refused, and when it is tried again. Nothing is sent then.
    pub fn check(&self, life: u64) -> Result<(), Failure> {
        let raised = self.lock();
        let Some(raised) = raised.as_ref().filter(|raised| raised.life == life) else { return Ok(()) };
        if self.clock.tick().since(&raised.refused) >= self.pause {
            return Ok(());
        }
        let Alarm { next_at, why, fix, .. } = &raised.alarm;
        let words = format!(
            "connection `{}` pauses until {} because its credential was refused ({why}); {fix}",
            self.connection,
            next_at.format("%Y-%m-%d %H:%M:%S UTC")
        );
        Err(Failure::new(FailureClass::Unauthorised, words))
    }

    /// Takes note of how a call ended.
    pub fn heed<T>(&self, life: u64, answer: &Result<T, Failure>) {
        match answer {
            Ok(_) => self.clear(),
            Err(failure) if failure.class == FailureClass::Unauthorised => self.raise(life, &failure.message),
            // Says nothing about the credential.
            Err(_) => {}
        }
    }

    /// The vendor let us in.
    pub fn clear(&self) {
        if let Some(before) = self.lock().take() {
            tracing::info!(connection = %self.connection, since = %before.alarm.since, "credential accepted again");
        }
    }

    /// The alarm, while there is one.
    pub fn alarm(&self) -> Option<Alarm> {
        self.lock().as_ref().map(|raised| raised.alarm.clone())
    }

    fn raise(&self, life: u64, why: &str) {
        let now = self.clock.reading();
        let mut raised = self.lock();
        let since = raised.as_ref().map_or(now.at, |before| before.alarm.since);
        let next_at = now.at.checked_add_signed(self.pause).unwrap_or(Timestamp::MAX_UTC);
        let fix = format!(
            "set the right one with `purser secrets set`, or mend the account there and say so with `purser \
             connections test {}`",
            self.connection
        );
        tracing::error!(connection = %self.connection, why, %next_at, "credential refused: the connection pauses");
        *raised = Some(Raised {
            alarm: Alarm { since, next_at, why: why.to_owned(), fix },
            refused: now.tick,
            life,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Raised>> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Result<(), Failure> {
        Err(Failure::new(FailureClass::Unauthorised, "wrong password"))
    }

    fn alarm() -> (CredentialAlarm, Clock) {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        (CredentialAlarm::new("erp".into(), clock.clone(), TimeDelta::minutes(30)), clock)
    }

    #[test]
    fn a_refused_credential_is_tried_again_only_after_the_longest_delay() {
        let (alarm, clock) = alarm();
        alarm.check(1).unwrap();
        alarm.heed(1, &refused());
        clock.set_by(TimeDelta::days(1));
        clock.advance(TimeDelta::minutes(29));
        let paused = alarm.check(1).unwrap_err();
        assert_eq!(paused.class, FailureClass::Unauthorised);
        for part in ["`erp`", "wrong password", "1970-01-01 00:30:00", "purser connections test erp"] {
            assert!(paused.message.contains(part), "{part}: {paused}");
        }
        clock.advance(TimeDelta::minutes(1));
        alarm.check(1).unwrap();
        alarm.heed(1, &refused());
        assert!(alarm.check(1).is_err(), "and pauses again");
        assert_eq!(alarm.alarm().unwrap().since, Timestamp::UNIX_EPOCH, "since the first refusal");
    }

    #[test]
    fn the_alarm_ends_when_the_vendor_lets_us_in_or_a_new_life_begins() {
        let (alarm, _) = alarm();
        alarm.heed(1, &refused());
        alarm.check(2).expect("a new life may have a new secret");
        assert!(alarm.alarm().is_some(), "shown until it is known to work");
        alarm.heed(2, &Err::<(), _>(Failure::new(FailureClass::Unavailable, "down")));
        assert!(alarm.alarm().is_some());
        alarm.heed(2, &Ok(()));
        assert_eq!(alarm.alarm(), None);
        alarm.check(1).unwrap();
    }
}
