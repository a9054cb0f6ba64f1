//! The pace that Acumatica's own throttle calls for: pure, time is told. From half of the licensed requests per minute
//! on, the site keeps each further request waiting for `(oldest request of the minute + 60 s - now) / (limit - requests
//! of the minute)` before it looks at it, and refuses only what waits too long (D). So an answer that is late is the
//! first sign of too many calls, and 429 the last.
//!
//! Two rules follow. A call is sent when that formula, fed with our own calls, promises next to no wait: right before
//! the oldest call leaves the minute. And because others share the licence unseen, answers are measured against the
//! fastest one to the same operation. The site's waits meet most calls, a network's hiccups and a busy machine only some:
//! so the latest third of the answers is left out. When the others' waits eat too much of the time, our share is cut, and
//! what was measured before is forgotten, as it speaks of the old share; then it comes back step by step.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The window of the site's limit.
const MINUTE: Duration = Duration::from_secs(60);
/// Part of the time that may go into waits on the server, in thousandths, before our share is cut.
const CUT_ABOVE: u64 = 30;
/// Below this part the share grows again.
const GROW_BELOW: u64 = 15;
/// The wait that is accepted for each call: the time between two calls, divided by this.
const BEARABLE: u32 = 40;
/// Least answers since the last cut that say something about the site.
const FEWEST: usize = 8;
/// Answers that are judged: more would tell too late.
const JUDGED: usize = 32;
/// How often the share is adjusted at most.
const PATIENT: Duration = Duration::from_secs(5);
/// How often it grows close to where it was cut the last time: what is sent now is felt for a minute.
const WARY: Duration = Duration::from_secs(30);
/// Answers that the fastest one of an operation is taken from.
const REMEMBERED: usize = 400;
/// Waits shorter than this, or than half of the fastest answer, are the noise of a network and of the work itself.
const NOISE: Duration = Duration::from_millis(30);
/// The slowest pace that a site whose limit is not known is slowed down to, in calls a minute.
const FLOOR: u32 = 20;

/// The pace of one connection. Moments are durations since a start of the caller's choice.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Licensed requests per minute, when known.
    limit: Option<u32>,
    /// Most calls a minute that we may use at all.
    most: u32,
    /// Most calls a minute for now; `None` = no ceiling.
    allowed: Option<u32>,
    /// Calls of the last minute, oldest first.
    sent: VecDeque<Duration>,
    /// The last answers of the last minute: when, and how much later than the fastest.
    late: VecDeque<(Duration, Duration)>,
    fastest: BTreeMap<&'static str, VecDeque<Duration>>,
    adjusted: Duration,
    /// Where it was cut the last time.
    wall: Option<u32>,
}

impl Throttle {
    /// For a licensed number of requests per minute (`None` = not known) and the percentage of it that is ours.
    pub(super) fn new(limit: Option<u32>, share: u8) -> Self {
        let most = limit.map_or(u32::MAX, |limit| (limit * u32::from(share) / 100).max(1));
        Self {
            limit,
            most,
            allowed: limit.map(|_| most),
            sent: VecDeque::new(),
            late: VecDeque::new(),
            fastest: BTreeMap::new(),
            adjusted: Duration::ZERO,
            wall: None,
        }
    }

    /// How long to wait before the next call is sent; nothing = send it now and [`Throttle::sent`].
    pub(super) fn wait(&mut self, now: Duration) -> Duration {
        self.forget(now);
        let Some(allowed) = self.allowed else { return Duration::ZERO };
        let within = self.sent.len();
        if within >= allowed as usize {
            // Room comes when the call leaves that makes the window too full.
            let leaver = self.sent.get(within - allowed as usize).copied().unwrap_or_default();
            return (leaver + MINUTE).saturating_sub(now).max(Duration::from_millis(1));
        }
        self.spread(now, allowed).max(self.patience(now, allowed))
    }

    /// A call is being sent.
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent.push_back(now);
    }

    /// An answer came in good order after `took`.
    pub(super) fn answered(&mut self, operation: &'static str, took: Duration, now: Duration) {
        let times = self.fastest.entry(operation).or_default();
        if times.len() >= REMEMBERED {
            times.pop_front();
        }
        times.push_back(took);
        let fastest = times.iter().min().copied().unwrap_or(took);
        let late = took.saturating_sub(fastest);
        let noise = NOISE.max(fastest / 2);
        if self.late.len() >= JUDGED {
            self.late.pop_front();
        }
        self.late.push_back((now, if late > noise { late } else { Duration::ZERO }));
        self.forget(now);
        self.adjust(now);
    }

    /// The site refused a call for being one too many.
    pub(super) fn refused(&mut self, now: Duration) {
        self.forget(now);
        let seen = self.within().max(2);
        self.allow(self.allowed.unwrap_or(seen).min(seen) / 2);
        self.adjusted = now;
    }

    /// Calls a minute that are allowed for now.
    #[cfg(test)]
    pub(super) fn allowed(&self) -> Option<u32> {
        self.allowed
    }

    /// Spreads calls over the minute, so that they also leave it one by one. The first tenth of the limit is free, so
    /// that a few calls are not slowed down. Before the first one leaves, the rest of half of the limit is spread over
    /// the whole time that is left: a gap in the minute would come back every minute. Beyond half, several may go before
    /// one leaves, or the pace would never grow.
    fn spread(&self, now: Duration, allowed: u32) -> Duration {
        let (Some(last), Some(oldest)) = (self.sent.back(), self.sent.front()) else { return Duration::ZERO };
        let (limit, within, even) = (self.limit.unwrap_or(allowed), self.within(), MINUTE / allowed.max(1));
        let spacing = if within * 10 < limit {
            return Duration::ZERO;
        } else if self.limit.is_none() {
            even
        } else if within * 2 < limit {
            let left = (*oldest + MINUTE).saturating_sub(now);
            (left / (limit / 2 - within + 1)).max(even * 9 / 10)
        } else {
            even / 6
        };
        (*last + spacing).saturating_sub(now)
    }

    /// From half of the limit on: waits here until the site would not make us wait there.
    fn patience(&self, now: Duration, allowed: u32) -> Duration {
        let (Some(limit), Some(oldest)) = (self.limit, self.sent.front()) else { return Duration::ZERO };
        let within = self.within();
        if within * 2 < limit || within >= limit {
            return Duration::ZERO;
        }
        let bearable = MINUTE / allowed.max(1) / BEARABLE;
        let remaining = (*oldest + MINUTE).saturating_sub(now);
        remaining.saturating_sub(bearable * (limit - within))
    }

    fn within(&self) -> u32 {
        u32::try_from(self.sent.len()).unwrap_or(u32::MAX)
    }

    fn adjust(&mut self, now: Duration) {
        if self.late.len() < FEWEST || now.saturating_sub(self.adjusted) < PATIENT {
            return;
        }
        let share = self.share_waited(now);
        if share > CUT_ABOVE {
            let before = self.allowed.unwrap_or(u32::MAX).min(self.within().max(1));
            // Far too many: down at once. A little too many: step by step.
            let kept = if share > 2 * CUT_ABOVE { 8 } else { 9 };
            self.allow(before.saturating_mul(kept) / 10);
            self.wall = Some(before);
            self.late.clear();
            self.adjusted = now;
        } else if share < GROW_BELOW
            && let Some(allowed) = self.allowed
        {
            let near = self.wall.is_some_and(|wall| allowed >= wall * 9 / 10 && allowed <= wall * 11 / 10);
            if !near || now.saturating_sub(self.adjusted) >= WARY {
                self.allow(allowed + (allowed / 40).max(1));
                self.adjusted = now;
            }
        }
    }

    /// Part of the time that went into waits, in thousandths. The latest third of the answers counts like the others'
    /// mean. Several calls are under way at once, each with a wait of its own; what counts is the time of the run.
    fn share_waited(&self, now: Duration) -> u64 {
        let mut waits: Vec<Duration> = self.late.iter().map(|(_, late)| *late).collect();
        waits.sort_unstable();
        let usual = waits.get(..waits.len() * 2 / 3).unwrap_or_default();
        let sum: Duration = usual.iter().sum();
        let span = self.late.front().map_or(MINUTE, |(first, _)| now.saturating_sub(*first)).max(PATIENT);
        let share =
            sum.as_millis() * waits.len() as u128 * 1000 / usual.len().max(1) as u128 / span.as_millis();
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    fn allow(&mut self, calls: u32) {
        let floor = self.limit.map_or(FLOOR, |limit| (limit / 10).max(1));
        self.allowed = Some(calls.max(floor.min(self.most)).min(self.most));
        // Far beyond what was ever slowed down, a ceiling that nobody licensed has no meaning any more.
        if self.limit.is_none() && calls > 6_000 {
            self.allowed = None;
        }
    }

    fn forget(&mut self, now: Duration) {
        let left = |moment: Duration| moment + MINUTE <= now;
        while self.sent.front().is_some_and(|moment| left(*moment)) {
            self.sent.pop_front();
        }
        while self.late.front().is_some_and(|(moment, _)| left(*moment)) {
            self.late.pop_front();
        }
    }
}
