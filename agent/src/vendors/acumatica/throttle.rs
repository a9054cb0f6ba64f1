//! The pace that Acumatica's own throttle calls for: pure, time is told.
//!
//! # What the site does
//! From half of the licensed requests per minute on, it keeps each further request waiting for `(oldest request of the
//! minute + 60 s - now) / (limit - requests of the minute)` before it looks at it, and refuses only what waits too long
//! (D). So an answer that is late is the first sign of too many calls, and 429 the last.
//!
//! # What can be had
//! While `N` calls of all clients leave the minute evenly, one leaves every `60 / N` s, and a call finds half of that
//! left: it waits `30 / (N (L - N))` s, and `n` calls a minute of ours spend `n / (2 N (L - N))` of the time in waits.
//! For `L` = 150: alone at 90 % (`n` = `N` = 135) 3.3 %; 60 calls beside another client's 60 (80 % of the licence in
//! use) 0.8 %; and not before 84 beside 60 (96 % in use) 5 %. So to have as much as a client that uses 40 % is no
//! contradiction to 5 %: what costs is change. When the calls of two clients begin in one minute, half of the limit is
//! reached after some 35 s and the oldest call has 25 s to go: each waits a third of a second until the minute is full.
//! A gap in our minute does the same, and a newcomer who finds the licence nearly used up does worse: then all queue
//! until enough of our calls have left.
//!
//! # What is done
//! - *Window*: a call is sent when the formula, fed with our own calls, promises next to no wait: before the oldest
//!   leaves.
//! - *Evenness*: calls keep a distance, or a burst would come back every minute, and between bursts none would leave.
//! - *Brake*: after a wait the next call keeps as far away that waits stay a small part of the time. It follows the last
//!   few answers and is gone with them.
//! - *Share*: others use the licence unseen. When waits eat too much of the time, our share is cut below what was in
//!   use; it grows again to just below where it was cut, then feels its way, as what is sent now is felt for a minute;
//!   and beyond that quickly, as then the others have left.
//!
//! `waits.rs` tells the site's waits from work, hiccups and a busy machine. Where work takes now long, now short, waits
//! below its spread cannot be seen, and beside others the share settles where they are larger: up to a tenth of the time.

use super::waits::{Usual, middle};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The window of the site's limit.
const MINUTE: Duration = Duration::from_secs(60);
/// Part of the time that may go into waits on the server, in thousandths, before our share is cut.
const CUT_ABOVE: u64 = 20;
/// Below this part the share grows again.
const GROW_BELOW: u64 = 8;
/// Part of the time that the brake lets go into waits, in thousandths.
const BRAKE: u32 = 30;
/// The brake follows at most the answers of so long, ...
const LATEST: Duration = Duration::from_secs(15);
/// ... of these at most so many, or as many as three seconds bring at the limit, ...
const LATEST_MOST: usize = 8;
/// ... but always so many: fewer could all be hiccups.
const LATEST_LEAST: usize = 6;
/// The wait that is accepted for each call: the time between two calls, divided by this.
const BEARABLE: u32 = 40;
/// The distance of calls beyond half of the limit.
const DISTANCE: Duration = Duration::from_millis(150);
/// Least answers since the last cut that say something about the site.
const FEWEST: usize = 8;
/// Answers that are judged: more would tell too late.
const JUDGED: usize = 32;
/// How often the share is adjusted at most.
const PATIENT: Duration = Duration::from_secs(5);
/// How often it grows close to where it was cut the last time.
const WARY: Duration = Duration::from_secs(30);
/// How close that is, in percent of it.
const CLOSE: u32 = 5;
/// The part of the limit that the share and the brake always leave us, as a divisor.
const LEFT: u32 = 20;
/// The slowest pace that a site whose limit is not known is slowed down to, in calls a minute.
const FLOOR: u32 = 20;

/// The pace of the calls to one site. Moments are durations since a start of the caller's choice.
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
    /// The last answers of the last minute: when, and how long the site let them wait.
    waits: VecDeque<(Duration, Duration)>,
    usual: BTreeMap<&'static str, Usual>,
    adjusted: Duration,
    /// Calls a minute where the share was cut the last time.
    wall: Option<u32>,
}

impl Throttle {
    /// For a licensed number of requests per minute (`None` = not known) and the percentage of it that is ours.
    pub(super) fn new(limit: Option<u32>, share: u8) -> Self {
        let most = most(limit, share);
        Self {
            limit,
            most,
            allowed: limit.map(|_| most),
            sent: VecDeque::new(),
            waits: VecDeque::new(),
            usual: BTreeMap::new(),
            adjusted: Duration::ZERO,
            wall: None,
        }
    }

    /// Another connection shares this pace. Where they were told different things, the more careful counts.
    pub(super) fn join(&mut self, limit: Option<u32>, share: u8) {
        self.limit = self.limit.into_iter().chain(limit).min();
        self.most = self.most.min(most(limit, share));
        if self.limit.is_some() {
            self.allowed = Some(self.allowed.unwrap_or(self.most).min(self.most));
        }
    }

    /// How long to wait before the next call is sent; nothing = send it now and [`Throttle::sent`].
    pub(super) fn wait(&mut self, now: Duration) -> Duration {
        self.forget(now);
        let Some(allowed) = self.allowed else { return self.brake(now) };
        let within = self.sent.len();
        if within >= allowed as usize {
            // Room comes when the call leaves that makes the window too full.
            let leaver = self.sent.get(within - allowed as usize).copied().unwrap_or_default();
            return (leaver + MINUTE).saturating_sub(now).max(Duration::from_millis(1));
        }
        self.spread(now, allowed).max(self.patience(now, allowed)).max(self.brake(now))
    }

    /// A call is being sent.
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent.push_back(now);
    }

    /// An answer came in good order after `took`.
    pub(super) fn answered(&mut self, operation: &'static str, took: Duration, now: Duration) {
        let waited = self.usual.entry(operation).or_default().waited(took);
        // A wait that we accepted ourselves says nothing about others.
        let accepted = self.allowed.map_or(Duration::ZERO, bearable) * 3 / 2;
        if self.waits.len() >= JUDGED {
            self.waits.pop_front();
        }
        self.waits.push_back((now, if waited > accepted { waited } else { Duration::ZERO }));
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
            DISTANCE.min(even * 2 / 3)
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
        let remaining = (*oldest + MINUTE).saturating_sub(now);
        remaining.saturating_sub(bearable(allowed) * (limit - within))
    }

    /// Keeps a distance that makes the waits of the latest answers a small part of the time.
    fn brake(&self, now: Duration) -> Duration {
        let Some(last) = self.sent.back() else { return Duration::ZERO };
        let most = LATEST_MOST.max(self.limit.or(self.allowed).unwrap_or_default() as usize / 20);
        let latest =
            self.waits.iter().rev().enumerate().take_while(|(place, (at, _))| {
                *place < LATEST_LEAST || (*place < most && *at + LATEST > now)
            });
        let waited = middle(latest.map(|(_, (_, waited))| *waited));
        let distance = (waited * 1000 / BRAKE).min(MINUTE / self.floor());
        (*last + distance).saturating_sub(now)
    }

    fn within(&self) -> u32 {
        u32::try_from(self.sent.len()).unwrap_or(u32::MAX)
    }

    fn adjust(&mut self, now: Duration) {
        if self.waits.len() < FEWEST || now.saturating_sub(self.adjusted) < PATIENT {
            return;
        }
        let part = self.part_waited(now);
        if part > CUT_ABOVE {
            self.cut(part > 2 * CUT_ABOVE);
            self.adjusted = now;
        } else if part < GROW_BELOW
            && let Some(allowed) = self.allowed
        {
            let step = match self.wall {
                Some(wall) if allowed.abs_diff(wall) * 100 <= wall * CLOSE => {
                    if now.saturating_sub(self.adjusted) < WARY {
                        return;
                    }
                    allowed / 80
                }
                _ => (allowed / 40).max(self.limit.unwrap_or_default() / 75),
            };
            self.allow(allowed.saturating_add(step.max(1)));
            self.adjusted = now;
        }
    }

    /// Cuts the share below what is in use, but never by more than half at once: under the brake little is in use.
    fn cut(&mut self, far_too_many: bool) {
        let used = self.within().max(1);
        let allowed = self.allowed.unwrap_or(used);
        let kept = if far_too_many { 8 } else { 9 };
        // What was not nearly used is no place that waits began at.
        self.wall = (used * 4 >= allowed.saturating_mul(3)).then_some(used.min(allowed));
        self.allow((used.min(allowed).saturating_mul(kept) / 10).max(allowed / 2));
        // What was measured before speaks of the old share.
        self.waits.clear();
    }

    /// Part of the time that went into waits, in thousandths: each answer counts with the middle one's wait. Several
    /// calls are under way at once, each with a wait of its own; what counts is the time of the run.
    fn part_waited(&self, now: Duration) -> u64 {
        let wait = middle(self.waits.iter().map(|(_, waited)| *waited));
        let span = self.waits.front().map_or(MINUTE, |(first, _)| now.saturating_sub(*first)).max(PATIENT);
        let part = wait.as_millis() * self.waits.len() as u128 * 1000 / span.as_millis();
        u64::try_from(part).unwrap_or(u64::MAX)
    }

    fn floor(&self) -> u32 {
        self.limit.map_or(FLOOR, |limit| (limit / LEFT).max(1)).min(self.most)
    }

    fn allow(&mut self, calls: u32) {
        self.allowed = Some(calls.max(self.floor()).min(self.most));
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
        while self.waits.front().is_some_and(|(moment, _)| left(*moment)) {
            self.waits.pop_front();
        }
    }
}

fn most(limit: Option<u32>, share: u8) -> u32 {
    limit.map_or(u32::MAX, |limit| (limit * u32::from(share) / 100).max(1))
}

/// The wait that is accepted for each of so many calls a minute.
fn bearable(allowed: u32) -> Duration {
    MINUTE / allowed.max(1) / BEARABLE
}
