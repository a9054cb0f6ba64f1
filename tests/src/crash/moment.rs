//! When an agent is killed: after a time, or when the vendors have received a number of calls.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{Route, Sandbox};

/// Most milliseconds after the start. A start without work is over in less.
const LONGEST: u64 = 700;
/// Most calls after the start. Higher than what a start needs, so that work gets done.
const MOST_CALLS: u64 = 120;

/// A moment to kill at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// So long after the start.
    After(Duration),
    /// When so many calls have arrived since the start, and a little later.
    Calls { number: u64, later: Duration },
}

impl Moment {
    /// Draws one: more often by calls than by time, because work is where it hurts.
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        if rng.u8(..4) == 0 {
            return Self::After(Duration::from_millis(rng.u64(..=LONGEST)));
        }
        // Half of them right away, the others somewhere within the next call.
        let later = if rng.bool() { 0 } else { rng.u64(..8) };
        Self::Calls { number: rng.u64(1..=MOST_CALLS), later: Duration::from_millis(later) }
    }

    /// A condition that holds from the moment on.
    pub(super) fn condition(self, sandbox: &Sandbox, route: Route) -> impl FnMut() -> bool {
        let started = Instant::now();
        let before = received(sandbox, route);
        let mut reached = None;
        move || match self {
            Self::After(time) => started.elapsed() >= time,
            Self::Calls { number, later } => {
                if reached.is_none() && received(sandbox, route) >= before + number {
                    reached = Some(Instant::now());
                }
                reached.is_some_and(|at| at.elapsed() >= later)
            }
        }
    }
}

fn received(sandbox: &Sandbox, route: Route) -> u64 {
    sandbox.source(route).received() + sandbox.erp(route).received()
}
