//! Time is injected: everything takes a [`Clock`], the agent's own type, so tests move it by hand. The database keeps
//! milliseconds since 1970, because both engines can compare them.

mod steady;

pub use purser::clock::Clock;
use spend::Timestamp;
pub use steady::{Leap, Steady};

/// Milliseconds since 1970, as the database keeps times.
pub type Millis = i64;

/// The present moment as the database keeps it.
pub fn millis(clock: &Clock) -> Millis {
    clock.now().timestamp_millis()
}

/// Milliseconds by the clock that nobody can set: for what lives in this process only.
pub fn passed(clock: &Clock) -> Millis {
    Millis::try_from(clock.tick().millis).unwrap_or(Millis::MAX)
}

/// A time of the database as messages show it. What is outside of all calendars is shown as 1970.
pub fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_timestamp_millis(at).unwrap_or_default()
}
