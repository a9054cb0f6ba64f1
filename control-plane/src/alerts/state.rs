//! When something wrong is worth a message: when it begins, again after a while, and when it has been well for a while.

use crate::clock::Millis;

/// How long it must have been well before an alert is resolved.
pub const CLEAR: Millis = 5 * 60_000;
/// How often it is noted that it is still wrong; a part of [`CLEAR`].
const NOTED: Millis = 60_000;

/// What is kept of an open alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// When it was last wrong.
    pub seen_at: Millis,
    /// When somebody was last told.
    pub told_at: Millis,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// An alert begins, and is told.
    Open,
    /// It is still wrong, which is noted and not told.
    Note,
    /// It is still wrong, which is told again.
    Repeat,
    /// It is over, and that is told.
    Resolve,
}

/// The next step of an alert. `repeat` is the time between two messages; 0 = it is told once.
pub fn step(open: Option<Open>, wrong: bool, repeat: Millis, now: Millis) -> Step {
    match (open, wrong) {
        (None, true) => Step::Open,
        (None, false) => Step::Rest,
        (Some(open), true) if repeat > 0 && now - open.told_at >= repeat => Step::Repeat,
        (Some(open), true) if now - open.seen_at >= NOTED => Step::Note,
        (Some(_), true) => Step::Rest,
        (Some(open), false) if now - open.seen_at >= CLEAR => Step::Resolve,
        (Some(_), false) => Step::Rest,
    }
}
