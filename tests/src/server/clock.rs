//! The simulators' clock. It runs with the machine's or stands still, and it can be moved and skewed by tests; the
//! `Date` header and every vendor rule about time read it. This is the only file of the sandbox that asks the
//! machine for the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

/// A clock shared by a simulator and its server. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct SimClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    frozen_at: Option<DateTime<Utc>>,
    advanced_ms: AtomicI64,
    skew_ms: AtomicI64,
    moved: Notify,
}

impl SimClock {
    /// Runs with the machine's clock.
    pub fn running() -> Self {
        Self::with(None)
    }

    /// Stands at `moment` until it is advanced.
    pub fn standing_at(moment: DateTime<Utc>) -> Self {
        Self::with(Some(moment))
    }

    fn with(frozen_at: Option<DateTime<Utc>>) -> Self {
        Self(Arc::new(Hands {
            frozen_at,
            advanced_ms: AtomicI64::new(0),
            skew_ms: AtomicI64::new(0),
            moved: Notify::new(),
        }))
    }

    /// The vendor's present moment.
    pub fn now(&self) -> DateTime<Utc> {
        let base = self.0.frozen_at.unwrap_or_else(machine_now);
        let moved =
            self.0.advanced_ms.load(Ordering::SeqCst).saturating_add(self.0.skew_ms.load(Ordering::SeqCst));
        TimeDelta::try_milliseconds(moved).and_then(|by| base.checked_add_signed(by)).unwrap_or(base)
    }

    /// Moves the clock on (or back). Whatever waits for a moment looks again.
    pub fn advance(&self, by: TimeDelta) {
        self.0.advanced_ms.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Sets how far the vendor's clock is off.
    pub fn skew(&self, by: TimeDelta) {
        self.0.skew_ms.store(by.num_milliseconds(), Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Takes back every advance and skew.
    pub fn reset(&self) {
        self.0.advanced_ms.store(0, Ordering::SeqCst);
        self.0.skew_ms.store(0, Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Waits until the clock has reached `moment`, by itself or by being moved.
    pub async fn reached(&self, moment: DateTime<Utc>) {
        loop {
            let moved = self.0.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let left = moment.signed_duration_since(self.now());
            if left <= TimeDelta::zero() {
                return;
            }
            match self.0.frozen_at {
                Some(_) => moved.await,
                None => {
                    let left = left.to_std().unwrap_or(Duration::ZERO);
                    tokio::select! { () = moved => {}, () = tokio::time::sleep(left) => {} }
                }
            }
        }
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::running()
    }
}

#[expect(clippy::disallowed_methods, reason = "the sandbox's own clock starts from the machine's")]
fn machine_now() -> DateTime<Utc> {
    Utc::now()
}
