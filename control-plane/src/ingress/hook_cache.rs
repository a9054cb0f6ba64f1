//! Hooks as this node remembers them for a moment: who they belong to, how many calls they took, how much waits. A burst
//! asks the database once in two seconds, and addresses that nobody has do not push out those that are used. By the hashes
//! of their addresses: the addresses themselves are not held longer than a request.

use super::bucket::Bucket;
use crate::clock::Millis;
use crate::store::hooks::{self, AddressHash, Hook};
use crate::store::{Store, StoreError};
use age::x25519::Recipient;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a hook is believed to be as it was.
const FRESH: Duration = Duration::from_secs(2);
/// For how long the sum of what waits is reckoned with, if it is not reached.
const SUMMED: Duration = Duration::from_secs(30);
/// How soon it is summed again, if it is.
const AGAIN: Duration = Duration::from_millis(500);
/// Between two notices about one hook, in milliseconds.
const TELL: Millis = 3_600_000;

/// A hook as it is remembered.
pub(super) struct Cached {
    pub(super) hook: Hook,
    pub(super) recipient: Recipient,
    read: Instant,
    tally: Arc<Tally>,
}

/// What goes on being counted when the hook is read again.
struct Tally {
    bucket: Mutex<Bucket>,
    ceilings: (i64, i64),
    received: AtomicI64,
    refused: AtomicI64,
    last: AtomicI64,
    told: AtomicI64,
    /// What waits, as summed and added to since, and when it was summed.
    bytes: AtomicI64,
    summed: Mutex<Option<Instant>>,
}

/// What was counted of a hook and is not written yet.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    pub(super) received: i64,
    pub(super) refused: i64,
    /// When the last was taken.
    pub(super) last: Option<Millis>,
}

/// The hooks that were called lately.
pub(super) struct HookCache(Mutex<HashMap<AddressHash, Arc<Cached>>>);

impl HookCache {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Whether a hook of this address was found before.
    pub(super) fn knows(&self, address: &AddressHash) -> bool {
        self.locked().contains_key(address)
    }

    /// The hook of an address, if there is one.
    pub(super) async fn get(
        &self,
        store: &Store,
        address: &AddressHash,
    ) -> Result<Option<Arc<Cached>>, StoreError> {
        let known = self.locked().get(address).cloned();
        if let Some(known) = &known
            && known.read.elapsed() < FRESH
        {
            return Ok(Some(known.clone()));
        }
        let found = hooks::by_address(&mut *store.read().await?, address).await?;
        let Some((hook, recipient)) = found else {
            self.locked().remove(address);
            return Ok(None);
        };
        let recipient =
            recipient.parse().map_err(|why: &str| StoreError::damaged("recipient", &hook.agent, why))?;
        let rates = (hook.ceilings.per_second, hook.ceilings.burst);
        let tally = known.map(|known| known.tally.clone()).filter(|tally| tally.ceilings == rates);
        let tally = tally.unwrap_or_else(|| Arc::new(Tally::new(rates)));
        let cached = Arc::new(Cached { hook, recipient, read: Instant::now(), tally });
        self.locked().insert(*address, cached.clone());
        Ok(Some(cached))
    }

    /// The hooks that were called.
    pub(super) fn called(&self) -> Vec<Arc<Cached>> {
        self.locked().values().cloned().collect()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<AddressHash, Arc<Cached>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn new(ceilings: (i64, i64)) -> Self {
        Self {
            bucket: Mutex::new(Bucket::new(ceilings.0, ceilings.1, Instant::now())),
            ceilings,
            received: AtomicI64::new(0),
            refused: AtomicI64::new(0),
            last: AtomicI64::new(0),
            told: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            summed: Mutex::new(None),
        }
    }
}

impl Cached {
    pub(super) fn within_rate(&self) -> bool {
        self.tally.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }

    /// Whether so many more bytes may wait.
    pub(super) async fn has_room(&self, store: &Store, more: i64) -> Result<bool, StoreError> {
        let ceiling = self.hook.ceilings.most_bytes;
        let reached = self.tally.bytes.load(Ordering::Relaxed) + more > ceiling;
        if self.is_due(if reached { AGAIN } else { SUMMED }) {
            let sum = hooks::stored(&mut *store.read().await?, &self.hook.id).await?;
            self.tally.bytes.store(sum, Ordering::Relaxed);
        }
        Ok(self.tally.bytes.load(Ordering::Relaxed) + more <= ceiling)
    }

    fn is_due(&self, after: Duration) -> bool {
        let mut summed = self.tally.summed.lock().unwrap_or_else(PoisonError::into_inner);
        let due = summed.is_none_or(|summed| summed.elapsed() >= after);
        if due {
            *summed = Some(Instant::now());
        }
        due
    }

    pub(super) fn stored(&self, bytes: i64) {
        self.tally.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_received(&self, at: Millis) {
        self.tally.received.fetch_add(1, Ordering::Relaxed);
        self.tally.last.store(at, Ordering::Relaxed);
    }

    /// What was counted since the last time, if anything was.
    pub(super) fn take_counted(&self) -> Option<Counted> {
        let received = self.tally.received.swap(0, Ordering::Relaxed);
        let refused = self.tally.refused.swap(0, Ordering::Relaxed);
        let last = Some(self.tally.last.load(Ordering::Relaxed)).filter(|last| *last > 0);
        (received + refused > 0).then_some(Counted { received, refused, last })
    }

    /// It could not be written: it is counted with what comes next.
    pub(super) fn put_back(&self, counted: Counted) {
        self.tally.received.fetch_add(counted.received, Ordering::Relaxed);
        self.tally.refused.fetch_add(counted.refused, Ordering::Relaxed);
    }

    pub(super) fn count_refused(&self) {
        self.tally.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is time for another notice.
    pub(super) fn may_tell(&self, now: Millis) -> bool {
        let told = self.tally.told.load(Ordering::Relaxed);
        // A clock that went back does not keep it quiet for as long.
        (told == 0 || (now - told).abs() >= TELL)
            && self.tally.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
