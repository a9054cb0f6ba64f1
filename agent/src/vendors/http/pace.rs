//! The pace of one credential: how many calls it may have under way and how many it may begin within sliding windows.
//! Vendors count per credential, so every connection that uses it shares one [`Pace`].
//!
//! What a newcomer gets wrong: a token bucket that starts full admits nearly twice the budget over one window, and
//! the vendor counts *arrivals*, which come later than our sends by a time that varies. An arrival lies before its
//! answer: so a call leaves a window only when the window has passed since it *ended*, and no delay on the way can crowd
//! two of our windows into one of theirs. What ended without an answer may arrive later still, as may what an earlier
//! process sent: for that each window is kept a little longer than the vendor's.

use super::send_log::{Kept, SendLog};
use crate::clock::Clock;
use crate::secret::Credential;
use crate::service::private_files;
use chrono::TimeDelta;
use rustls::crypto::ring;
use spend::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Surplus of the window that binds in steady state, in thousandths: it costs as much throughput.
const BINDING_SURPLUS: u32 = 10;
/// Surplus of a window that only bounds bursts: it costs no throughput, so it can absorb slow connects as well.
const BURST_SURPLUS: u32 = 300;

/// A window as it is kept on our side.
#[derive(Clone, Copy, Debug)]
struct Window {
    calls: usize,
    span: Duration,
}

/// The pace of one credential. Turns are given in the order in which they are asked for.
#[derive(Debug)]
pub struct Pace {
    windows: Vec<Window>,
    slots: Arc<Semaphore>,
    /// In the order in which they began.
    calls: tokio::sync::Mutex<Vec<Arc<Paced>>>,
    closed: Mutex<Option<Instant>>,
    clock: Clock,
    /// What the next process has to know.
    log: Option<SendLog>,
}

/// A turn: one call may be under way as long as this lives.
#[derive(Debug)]
pub struct PaceGuard {
    _slot: Option<OwnedSemaphorePermit>,
    call: Arc<Paced>,
}

impl Drop for PaceGuard {
    fn drop(&mut self) {
        let _ = self.call.ended.set(Instant::now());
    }
}

/// A call that has begun.
#[derive(Debug, Default)]
struct Paced {
    ended: OnceLock<Instant>,
}

impl Paced {
    fn ended(at: Instant) -> Arc<Self> {
        Arc::new(Self { ended: OnceLock::from(at) })
    }

    /// The latest moment at which it can have arrived, as far as is known at `now`.
    fn arrived_by(&self, now: Instant) -> Instant {
        self.ended.get().copied().unwrap_or(now)
    }
}

impl Pace {
    /// A pace of at most `calls` within each `(calls, span)` and of `concurrency` calls at a time (at least one).
    pub fn new(windows: &[(u32, Duration)], concurrency: usize, clock: Clock) -> Arc<Self> {
        Self::made(with_surplus(windows), concurrency, clock, None)
    }

    /// A pace that goes on where an earlier process with the same `log` has ended. A log that cannot be used is left.
    pub fn remembering(
        windows: &[(u32, Duration)],
        concurrency: usize,
        clock: Clock,
        log: &Path,
    ) -> Arc<Self> {
        let windows = with_surplus(windows);
        let Some(most) = windows.iter().map(|window| window.calls).max() else {
            return Self::made(windows, concurrency, clock, None);
        };
        let opened = SendLog::open(log, most, clock.now());
        if let Err(error) = &opened {
            tracing::warn!(%error, log = %log.display(), "the pace of an earlier process is not known");
        }
        Self::made(windows, concurrency, clock, opened.ok())
    }

    fn made(
        windows: Vec<Window>,
        concurrency: usize,
        clock: Clock,
        remembered: Option<(SendLog, Kept)>,
    ) -> Arc<Self> {
        let (log, kept) = remembered.unzip();
        let kept = kept.unwrap_or_default();
        let (here, now) = (Instant::now(), clock.now());
        let ago = |at: Timestamp| here.checked_sub((now - at).to_std().unwrap_or_default()).unwrap_or(here);
        let opens = kept.closed.map(|until| here + (until - now).to_std().unwrap_or_default());
        Arc::new(Self {
            windows,
            slots: Arc::new(Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS))),
            calls: tokio::sync::Mutex::new(kept.begun.into_iter().map(ago).map(Paced::ended).collect()),
            closed: Mutex::new(opens),
            clock,
            log,
        })
    }

    /// Waits for a turn, however long it takes. First come, first served; a dropped wait costs nothing.
    pub async fn turn(&self) -> PaceGuard {
        loop {
            if let Ok(guard) = self.turn_unless_closed(TimeDelta::MAX).await {
                return guard;
            }
        }
    }

    /// Waits for a turn, but not for a pace that is closed for longer than `longest`, also when that becomes known
    /// while waiting.
    ///
    /// # Errors
    /// Until when it is closed.
    pub async fn turn_unless_closed(&self, longest: TimeDelta) -> Result<PaceGuard, Timestamp> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let mut calls = self.calls.lock().await;
        loop {
            if let Some((until, _)) = self.closed_for().filter(|(_, left)| left > &longest) {
                return Err(until);
            }
            let now = Instant::now();
            match self.earliest(&calls, now).filter(|earliest| *earliest > now) {
                Some(earliest) => tokio::time::sleep_until(earliest).await,
                None => break,
            }
        }
        let call = Arc::<Paced>::default();
        if let Some(longest) = self.windows.iter().map(|window| window.span).max() {
            let now = Instant::now();
            calls.retain(|call| call.arrived_by(now) + longest > now);
            calls.push(Arc::clone(&call));
            if let Some(log) = &self.log {
                log.begin(self.clock.now());
            }
        }
        Ok(PaceGuard { _slot: slot, call })
    }

    /// Lets nobody with this credential begin a call before `until`. An earlier moment never opens it again.
    pub fn closed_until(&self, until: Timestamp) {
        let wait = (until - self.clock.now()).to_std().unwrap_or_default();
        let opens = Instant::now() + wait;
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = Some(closed.map_or(opens, |before| before.max(opens)));
        drop(closed);
        if let Some(log) = &self.log {
            log.close(until);
        }
    }

    /// Until when it is closed, if it is.
    pub fn opens_at(&self) -> Option<Timestamp> {
        self.closed_for().map(|(until, _)| until)
    }

    fn closed_for(&self) -> Option<(Timestamp, TimeDelta)> {
        let left = self.opens()?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        let left = TimeDelta::from_std(left).unwrap_or_default();
        Some((self.clock.now() + left, left))
    }

    fn opens(&self) -> Option<Instant> {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first moment at which every window has room.
    fn earliest(&self, calls: &[Arc<Paced>], now: Instant) -> Option<Instant> {
        let mut arrived: Vec<Instant> = calls.iter().map(|call| call.arrived_by(now)).collect();
        arrived.sort_unstable();
        let windows = self.windows.iter().filter_map(|window| {
            let oldest = arrived.len().checked_sub(window.calls)?;
            Some(*arrived.get(oldest)? + window.span)
        });
        windows.chain(self.opens()).max()
    }
}

/// Adds to each window what its role can afford.
fn with_surplus(windows: &[(u32, Duration)]) -> Vec<Window> {
    let spacing = |calls: u32, span: Duration| span.as_nanos() / u128::from(calls.max(1));
    let binding = windows.iter().map(|(calls, span)| spacing(*calls, *span)).max().unwrap_or_default();
    let lengthened = |calls: u32, span: Duration| {
        let own = spacing(calls, span);
        let generous = own * u128::from(1000 + BURST_SURPLUS) / 1000;
        let surplus = if generous <= binding { BURST_SURPLUS } else { BINDING_SURPLUS };
        span * (1000 + surplus) / 1000
    };
    windows
        .iter()
        .map(|(calls, span)| Window { calls: (*calls).max(1) as usize, span: lengthened(*calls, *span) })
        .collect()
}

/// Every pace of the process, by credential: two connections with the same credential share one.
#[derive(Debug)]
pub struct Paces {
    clock: Clock,
    key: [u8; 32],
    paces: Mutex<BTreeMap<[u8; 32], Weak<Pace>>>,
    /// Where send logs are kept.
    folder: Option<PathBuf>,
}

impl Paces {
    /// None yet. Credentials are told apart by a hash under a key that lives as long as this value.
    pub fn new(clock: Clock) -> Self {
        let mut key = [0; 32];
        if ring::default_provider().secure_random.fill(&mut key).is_err() {
            tracing::warn!("no random bytes for the key of the pace registry");
        }
        Self { clock, key, paces: Mutex::default(), folder: None }
    }

    /// Keeps send logs in a private folder, so that the next process goes on at the same pace.
    #[must_use]
    pub fn remembering(self, folder: PathBuf) -> Self {
        match private_files::create_private_dir(&folder) {
            Ok(()) => Self { folder: Some(folder), ..self },
            Err(error) => {
                tracing::warn!(%error, folder = %folder.display(), "paces are kept for this process only");
                self
            }
        }
    }

    /// The pace of a credential; `windows` and `concurrency` count for the first who asks.
    pub fn for_credential(
        &self,
        vendor: &str,
        credential: &Credential,
        windows: &[(u32, Duration)],
        concurrency: usize,
    ) -> Arc<Pace> {
        let fingerprint = self.fingerprint(vendor, credential);
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = paces.get(&fingerprint).and_then(Weak::upgrade) {
            return pace;
        }
        paces.retain(|_, pace| pace.strong_count() > 0);
        let pace = match &self.folder {
            Some(folder) => {
                let log = folder.join(log_name(vendor, credential));
                Pace::remembering(windows, concurrency, self.clock.clone(), &log)
            }
            None => Pace::new(windows, concurrency, self.clock.clone()),
        };
        paces.insert(fingerprint, Arc::downgrade(&pace));
        pace
    }

    fn fingerprint(&self, vendor: &str, credential: &Credential) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(vendor.as_bytes());
        for name in credential.field_names() {
            part(name.as_bytes());
            part(credential.get(name).map_or("", |field| field.expose()).as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

/// By the name of the secret and never by its value, of which a file name must tell nothing.
fn log_name(vendor: &str, credential: &Credential) -> String {
    let hash = blake3::hash(format!("{vendor}\n{}", credential.name).as_bytes());
    format!("{}.sends", &hash.to_hex()[..16])
}
