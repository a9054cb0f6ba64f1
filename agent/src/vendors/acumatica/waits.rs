//! How long the site made a call wait, told from how long its answer took. An answer takes the time of the work and of the
//! network too, and what a piece of work takes varies by its size. So each operation is measured against its own good
//! time: the middle of its answers when they came quickest. What is not clearly beyond the usual spread counts as no wait,
//! and of several waits the middle one counts: the site's waits meet nearly all calls of a moment, large documents, a
//! network's hiccups and a busy machine only some.

use std::collections::VecDeque;
use std::time::Duration;

/// Waits shorter than this are the noise of any network.
const NOISE: Duration = Duration::from_millis(30);
/// A wait is told from work from so many times the usual distance between the fastest and the middle answer on.
const SPREAD: u32 = 3;
/// Answers whose middle is taken.
const BLOCK: usize = 8;
/// Answers that are remembered of an operation: some hours' old fast ones say nothing about now.
const REMEMBERED: usize = 400;

/// The answers of one operation.
#[derive(Debug, Default)]
pub(super) struct Usual {
    recent: VecDeque<Duration>,
    block: Vec<Duration>,
    middles: VecDeque<Duration>,
}

impl Usual {
    /// Takes the time that an answer took and tells how much of it was a wait.
    pub(super) fn waited(&mut self, took: Duration) -> Duration {
        self.remember(took);
        let fastest = self.recent.iter().min().copied().unwrap_or(took);
        let good = self.middles.iter().min().copied().unwrap_or(fastest).max(fastest);
        let late = took.saturating_sub(good);
        let noise = NOISE.max((good - fastest) * SPREAD).max(fastest / 4);
        if late > noise { late } else { Duration::ZERO }
    }

    fn remember(&mut self, took: Duration) {
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(took);
        self.block.push(took);
        if self.block.len() < BLOCK {
            return;
        }
        self.block.sort_unstable();
        if self.middles.len() >= REMEMBERED / BLOCK {
            self.middles.pop_front();
        }
        self.middles.extend(self.block.get(BLOCK / 2));
        self.block.clear();
    }
}

/// The middle one, of an even number the shorter; nothing = none.
pub(super) fn middle(waits: impl Iterator<Item = Duration>) -> Duration {
    let mut waits: Vec<Duration> = waits.collect();
    waits.sort_unstable();
    waits.get(waits.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
