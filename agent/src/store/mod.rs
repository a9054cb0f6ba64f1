//! The encrypted store: one LMDB environment whose values are sealed one by one.
//!
//! - [`Store`] is the handle; [`Batch`] is what becomes durable together;
//! - [`key`] holds the agent's identity and the wrapped data key;
//! - [`AuditReader`] reads and verifies the audit trail.
//!
//! The one thing newcomers get wrong: a side effect at a vendor comes after `commit` (or [`Store::claim`]) has
//! returned, never before, and never because [`Store::note`] was called: a note is not durable yet.

mod access;
mod apply;
mod audit;
mod batch;
mod claims;
mod codec;
mod dictionary;
mod engine;
mod error;
pub mod key;
mod kin;
mod link;
mod marker;
mod postings;
mod rivals;
mod runs;
mod seal;
mod secrets;
mod sent;
mod state;
mod tables;
mod ticket;
mod upgrade;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use audit::{
    AuditDraft, AuditEntry, AuditFault, AuditFaultKind, AuditHash, AuditHead, AuditKind, AuditReader,
};
pub use batch::Batch;
pub use error::StoreError;
pub use link::{
    Enrollment, HandedSecret, HandoverError, LinkKeyring, LinkKeys, MOST_BYTES as MOST_OUTBOX_BYTES,
    OutboxStats,
};
pub use postings::{PostingFilter, PostingSummary, period_day};
pub use rivals::Owner;
pub use runs::{MirrorCounts, RunRecord, RunReport};
pub use seal::StoreKeys;
pub use secrets::{SealError, SecretInfo, SecretStamp, StoredSecret};
pub(crate) use state::Stamp;
pub use state::StateTable;
pub use ticket::Claimed;

use crate::clock::Clock;
use crate::secret::Credential;
use crate::service::private_files;
use engine::Engine;
use postings::Candidates;
use serde::Serialize;
use serde::de::DeserializeOwned;
use spend::Timestamp;
use spend::document::SpendDocument;
use spend::ids::{FlowId, PostingKey, SourceId};
use spend::posting::Posting;
use spend::watermark::Watermark;
use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use writer::{Queue, Reply};

/// The folder of the store within the agent's home.
pub fn dir_of(home: &Path) -> PathBuf {
    home.join("store")
}

/// How the free space of a folder is found out.
pub type FreeSpace = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

/// What can be set when a store is opened.
#[derive(Clone)]
pub struct Options {
    /// First size of the memory map; it doubles when it is full.
    pub initial_map: u64,
    /// Bytes that must stay free on the disk; below, nothing is written.
    pub free_floor: u64,
    /// How the free space is found out.
    pub free_space: FreeSpace,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            initial_map: 64 << 20,
            free_floor: 64 << 20,
            free_space: Arc::new(|dir: &Path| fs4::available_space(dir)),
        }
    }
}

/// Figures about the store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StoreStats {
    /// Durable transactions (each one fsync) since the store was opened.
    pub commits: u64,
    /// Size of the memory map and of the (sparse) data file.
    pub map_size: u64,
    /// Bytes of it that were ever used.
    pub used: u64,
    /// Bytes free on the disk, if known.
    pub free_disk: Option<u64>,
    /// Audit notes that wait for the next commit.
    pub notes_waiting: usize,
    /// Set after the disk has failed: nothing is written until a restart.
    pub poisoned: Option<String>,
}

/// Handle of the store; cheap to clone. The last one that is dropped writes what is waiting and ends the writer.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    /// `None` = opened for reading.
    sent: Option<Arc<sent::SentMarks>>,
}

struct Shared {
    engine: Arc<Engine>,
    /// `None` = opened for reading.
    queue: Option<Arc<Queue>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    clock: Clock,
    /// Held by the flow that is about to claim.
    claiming: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.shared.engine.dir).finish_non_exhaustive()
    }
}

/// Environments open in this process. LMDB must not open one file twice in a process, so a reader shares the writer's.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Engine>>> = Mutex::new(BTreeMap::new());

impl Store {
    /// Opens the store for writing, or creates it. There is one writer: a second one is refused.
    ///
    /// # Errors
    /// Every [`StoreError`] about the files, the key and the lock.
    pub fn open(dir: &Path, keys: StoreKeys, clock: Clock) -> Result<Store, StoreError> {
        Self::open_with(dir, keys, clock, Options::default())
    }

    /// [`Store::open`] with settings of its own.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(
        dir: &Path,
        keys: StoreKeys,
        clock: Clock,
        options: Options,
    ) -> Result<Store, StoreError> {
        private_files::create_private_dir(dir)
            .and_then(|()| private_files::make_private(dir))
            .map_err(|cause| StoreError::io("prepare the folder", dir, &cause))?;
        let dir = canonical(dir)?;
        let lock = take_lock(&dir)?;
        let engine = Arc::new(Engine::open_writer(&dir, keys, options, lock)?);
        register(&engine);
        let queue = Arc::new(Queue::default());
        let thread = {
            let (engine, queue) = (Arc::clone(&engine), Arc::clone(&queue));
            let run = move || writer::run(&engine, &queue);
            let spawned = std::thread::Builder::new().name("store".to_owned()).spawn(run);
            spawned.map_err(|cause| StoreError::io("start the writer of", &dir, &cause))?
        };
        let mut store = Self::of(engine, Some(queue), Some(thread), clock);
        store.sent = Some(Arc::new(store.open_marks(&dir)?));
        Ok(store)
    }

    /// Opens the store for reading beside the writer, usually from another process.
    ///
    /// # Errors
    /// Every [`StoreError`] about the files and the key.
    pub fn open_read_only(dir: &Path, keys: StoreKeys, clock: Clock) -> Result<Store, StoreError> {
        if !dir.is_dir() {
            return Err(StoreError::NotCreated { dir: dir.to_owned() });
        }
        let dir = canonical(dir)?;
        let shared = OPEN.lock().unwrap_or_else(PoisonError::into_inner).get(&dir).and_then(Weak::upgrade);
        let engine = match shared {
            Some(engine) => engine,
            None => Arc::new(Engine::open_reader(&dir, keys, Options::default())?),
        };
        register(&engine);
        Ok(Self::of(engine, None, None, clock))
    }

    fn of(
        engine: Arc<Engine>,
        queue: Option<Arc<Queue>>,
        thread: Option<JoinHandle<()>>,
        clock: Clock,
    ) -> Self {
        let claiming = tokio::sync::Mutex::new(());
        let shared = Shared { engine, queue, thread: Mutex::new(thread), clock, claiming };
        Self { shared: Arc::new(shared), sent: None }
    }

    /// The clock it was opened with.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    fn queue(&self) -> Result<&Queue, StoreError> {
        self.shared.queue.as_deref().ok_or(StoreError::ReadOnly)
    }

    /// Makes a batch durable: synced to disk when this returns. Commits that wait at the same time share one sync.
    /// Once it was polled the batch may be written even if the future is dropped.
    ///
    /// # Errors
    /// Nothing of the batch was written, except that [`StoreError::Poisoned`] does not know.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let queue = self.queue()?;
        let (send, receive) = oneshot::channel();
        queue.push(ops_of(batch)?, Reply::Async(send));
        receive.await.unwrap_or(Err(StoreError::Closed))
    }

    /// [`Store::commit`] for threads that may block.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<(), StoreError> {
        let queue = self.queue()?;
        let (send, receive) = mpsc::sync_channel(1);
        queue.push(ops_of(batch)?, Reply::Blocking(send));
        receive.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Records an audit entry that needs no sync of its own: it is written with the next commit, at most two
    /// seconds later, in order. Waits for a moment while too much is waiting already.
    pub fn note<D: Serialize>(&self, draft: AuditDraft<D>) {
        match (self.queue(), draft.into_op()) {
            (Ok(queue), Ok(op)) => queue.note(op),
            (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "audit note refused"),
        }
    }

    /// Whether so many notes wait for a disk that cannot be written that nothing that is to be noted should be begun.
    pub fn notes_stuck(&self) -> bool {
        self.queue().is_ok_and(Queue::is_stuck)
    }

    /// One posting.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn posting(&self, key: &PostingKey) -> Result<Option<Posting>, StoreError> {
        self.engine().read(|r| postings::by_key(r, key))
    }

    /// All revisions of a record, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn postings_of(&self, flow: &FlowId, source_id: &SourceId) -> Result<Vec<Posting>, StoreError> {
        self.engine().read(|r| postings::of_source(r, flow, source_id))
    }

    /// Postings of other records that may stand for the same spend as this one, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn kin_of(&self, flow: &FlowId, document: &SpendDocument) -> Result<Vec<Posting>, StoreError> {
        self.engine().read(|r| kin::of(r, flow, document))
    }

    /// Open postings whose time has come, the longest due first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn due(&self, flow: &FlowId, now: Timestamp, limit: usize) -> Result<Vec<Posting>, StoreError> {
        self.engine().read(|r| postings::due(r, flow, now, limit))
    }

    /// When the next open posting is due.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_due(&self, flow: &FlowId) -> Result<Option<Timestamp>, StoreError> {
        let now = self.shared.clock.now();
        self.engine().read(|r| postings::next_due(r, flow, now))
    }

    /// Postings that match, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, filter: &PostingFilter, limit: usize) -> Result<Vec<PostingSummary>, StoreError> {
        let mut found = Vec::new();
        for chunk in Chunks::new(self.candidates(filter)?, true) {
            for posting in self.read_chunk(&chunk)? {
                if filter.admits(&posting) {
                    found.push(PostingSummary::of(&posting));
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Hands every posting that matches to `f`, oldest first, in short transactions: what changes meanwhile may show
    /// in its newer state.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn for_each(&self, filter: &PostingFilter, mut f: impl FnMut(Posting)) -> Result<(), StoreError> {
        for chunk in Chunks::new(self.candidates(filter)?, false) {
            self.read_chunk(&chunk)?.into_iter().filter(|posting| filter.admits(posting)).for_each(&mut f);
        }
        Ok(())
    }

    fn candidates(&self, filter: &PostingFilter) -> Result<Candidates, StoreError> {
        self.engine().read(|r| postings::candidates(r, filter))
    }

    fn read_chunk(&self, seqs: &[u64]) -> Result<Vec<Posting>, StoreError> {
        self.engine().read(|r| seqs.iter().map(|seq| postings::by_seq(r, *seq)).collect())
    }

    /// How many postings are in each state, by flow.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn counts(&self) -> Result<BTreeMap<(FlowId, &'static str), u64>, StoreError> {
        self.engine().read(|r| postings::counts(r))
    }

    /// A small named value.
    ///
    /// # Errors
    /// When the store cannot be read, or the value is of another type.
    pub fn get<T: DeserializeOwned>(&self, table: StateTable, name: &str) -> Result<Option<T>, StoreError> {
        self.engine().read(|r| state::get(r, table, name))
    }

    /// A small named value, and which one it is, for [`Batch::expect`].
    ///
    /// # Errors
    /// As [`Store::get`].
    pub(crate) fn get_stamped<T: DeserializeOwned>(
        &self,
        table: StateTable,
        name: &str,
    ) -> Result<(Option<T>, state::Stamp), StoreError> {
        self.engine().read(|r| Ok((state::get(r, table, name)?, state::stamp(r, table, name)?)))
    }

    /// How far a flow has read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn watermark(&self, flow: &FlowId) -> Result<Option<Watermark>, StoreError> {
        self.get(StateTable::Watermark, flow.as_str())
    }

    /// The names that have a value.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn names(&self, table: StateTable) -> Result<Vec<String>, StoreError> {
        self.engine().read(|r| state::names(r, table))
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, flow: Option<&FlowId>, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        runs::list(|below| self.engine().read(|r| runs::older(r, below.as_deref())), flow, limit)
    }

    /// The audit trail.
    pub fn audit(&self) -> AuditReader {
        AuditReader::new(Arc::clone(&self.shared.engine))
    }

    /// A secret, bound to its origins.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn secret(&self, name: &str) -> Result<Option<Credential>, StoreError> {
        self.engine().read(|r| secrets::get(r, name))
    }

    /// Which setting of a secret by a person is stored; goes with [`Batch::renew_secret`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn secret_stamp(&self, name: &str) -> Result<Option<SecretStamp>, StoreError> {
        self.engine().read(|r| secrets::stamp(r, name))
    }

    /// What may be told about the stored secrets, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn secrets(&self) -> Result<Vec<SecretInfo>, StoreError> {
        self.engine().read(|r| secrets::list(r))
    }

    /// Figures.
    pub fn stats(&self) -> StoreStats {
        let engine = self.engine();
        StoreStats {
            commits: engine.commits(),
            map_size: engine.map(),
            used: engine.used(),
            free_disk: engine.free_disk(),
            notes_waiting: self.queue().map_or(0, Queue::notes_waiting),
            poisoned: engine.poisoned(),
        }
    }

    /// Writes what is waiting and ends the writer; other handles answer [`StoreError::Closed`] from now on.
    pub fn close(self) {
        self.shared.stop();
    }
}

impl Shared {
    fn stop(&self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the store ended with a panic");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ops_of(batch: Batch) -> Result<Vec<batch::Op>, StoreError> {
    match batch.fault {
        Some(fault) => Err(fault),
        None => Ok(batch.ops),
    }
}

fn canonical(dir: &Path) -> Result<PathBuf, StoreError> {
    dir.canonicalize().map_err(|cause| StoreError::io("find", dir, &cause))
}

fn take_lock(dir: &Path) -> Result<std::fs::File, StoreError> {
    let path = dir.join("store.lock");
    let file =
        private_files::open_private_file(&path).map_err(|cause| StoreError::io("open", &path, &cause))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(StoreError::io("lock", &path, &cause)),
    }
}

fn register(engine: &Arc<Engine>) {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|_, known| known.strong_count() > 0);
    open.insert(engine.dir.clone(), Arc::downgrade(engine));
}

/// How many postings are opened in one transaction.
const CHUNK: u64 = 128;

/// Cuts candidates into pieces for short transactions.
struct Chunks {
    candidates: Candidates,
    downwards: bool,
    done: u64,
}

impl Chunks {
    fn new(candidates: Candidates, downwards: bool) -> Self {
        Self { candidates, downwards, done: 0 }
    }

    fn total(&self) -> u64 {
        match &self.candidates {
            Candidates::All(last) => *last,
            Candidates::These(seqs) => seqs.len() as u64,
        }
    }

    fn at(&self, index: u64) -> u64 {
        let index = if self.downwards { self.total() - 1 - index } else { index };
        match &self.candidates {
            Candidates::All(_) => index + 1,
            Candidates::These(seqs) => usize::try_from(index).map_or(0, |index| seqs[index]),
        }
    }
}

impl Iterator for Chunks {
    type Item = Vec<u64>;

    fn next(&mut self) -> Option<Vec<u64>> {
        let end = self.total().min(self.done + CHUNK);
        let chunk: Vec<u64> = (self.done..end).map(|index| self.at(index)).collect();
        self.done = end;
        (!chunk.is_empty()).then_some(chunk)
    }
}
