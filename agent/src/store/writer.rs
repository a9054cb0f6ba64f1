//! The one thread that writes. It drains what is waiting into one transaction (group commit): many callers, one fsync.
//!
//! Audit notes wait for the next commit, or at most [`NOTE_DELAY`], or until they are many; they keep their order and
//! none is dropped while the store can be written at all. What waits and what one transaction holds is bounded in
//! bytes, because notes carry whole answers and each changed page of a transaction is memory until its commit. If one
//! caller's batch fails for a reason of its own, the others are written without it.

use super::apply;
use super::batch::Op;
use super::engine::Engine;
use super::error::StoreError;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Longest time a note waits for company.
const NOTE_DELAY: Duration = Duration::from_secs(2);
/// Bytes of notes that are written without waiting longer.
const NOTES_ENOUGH: usize = 1 << 20;
/// Most bytes of notes that wait; then the next one waits for room.
const NOTES_MAX: usize = 3 << 19;
/// Most batches in one transaction.
const GROUP_MAX: usize = 512;
/// Most bytes in one transaction, unless its first item alone is larger: a batch is never divided.
const GROUP_BYTES: usize = 2 << 20;

/// Where the answer goes.
pub(crate) enum Reply {
    Async(oneshot::Sender<Result<(), StoreError>>),
    Blocking(mpsc::SyncSender<Result<(), StoreError>>),
}

impl Reply {
    fn send(self, answer: Result<(), StoreError>) {
        // A caller that went away does not need its answer.
        match self {
            Reply::Async(to) => drop(to.send(answer)),
            Reply::Blocking(to) => drop(to.send(answer)),
        }
    }
}

enum Item {
    Note(Op),
    Job { ops: Vec<Op>, reply: Reply },
}

impl Item {
    fn ops(&self) -> &[Op] {
        match self {
            Item::Note(op) => std::slice::from_ref(op),
            Item::Job { ops, .. } => ops,
        }
    }

    fn is_job(&self) -> bool {
        matches!(self, Item::Job { .. })
    }

    fn size(&self) -> usize {
        self.ops().iter().map(Op::size).sum()
    }
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    jobs: usize,
    notes: usize,
    /// Bytes of the notes.
    note_bytes: usize,
    /// When the oldest note must be written.
    notes_due: Option<Instant>,
    /// The last attempt left notes behind: for their sake alone it is not tried again before this.
    retry_at: Option<Instant>,
    closing: bool,
    /// The thread is gone.
    gone: bool,
}

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    room: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a batch over.
    pub(crate) fn push(&self, ops: Vec<Op>, reply: Reply) {
        let mut waiting = self.lock();
        if waiting.closing || waiting.gone {
            drop(waiting);
            return reply.send(Err(StoreError::Closed));
        }
        waiting.items.push_back(Item::Job { ops, reply });
        waiting.jobs += 1;
        self.arrived.notify_one();
    }

    /// Whether so many notes wait for a disk that cannot be written that no more should be caused.
    pub(crate) fn is_stuck(&self) -> bool {
        let waiting = self.lock();
        waiting.retry_at.is_some() && waiting.note_bytes >= NOTES_ENOUGH
    }

    /// Hands a note over; waits while too many are waiting. It does not wait for a disk that cannot be written, which
    /// can take days: then the calls that cause notes are refused, and what is still under way finds room.
    pub(crate) fn note(&self, op: Op) {
        let mut waiting = self.lock();
        while waiting.note_bytes >= NOTES_MAX
            && waiting.retry_at.is_none()
            && !waiting.closing
            && !waiting.gone
        {
            self.arrived.notify_one();
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.gone {
            tracing::error!("an audit note came after the store was closed");
            return;
        }
        let fewer = waiting.note_bytes < NOTES_ENOUGH;
        waiting.notes += 1;
        waiting.note_bytes += op.size();
        waiting.items.push_back(Item::Note(op));
        if waiting.notes_due.is_none() {
            waiting.notes_due = Some(Instant::now() + NOTE_DELAY);
            self.arrived.notify_one();
        } else if fewer && waiting.note_bytes >= NOTES_ENOUGH {
            self.arrived.notify_one();
        }
    }

    /// Notes that wait.
    pub(crate) fn notes_waiting(&self) -> usize {
        self.lock().notes
    }

    /// Asks the thread to write what is there and end.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// The next group; `None` when everything is written and the store closes.
    fn take(&self) -> Option<Vec<Item>> {
        let mut waiting = self.lock();
        loop {
            let now = Instant::now();
            let due_at = waiting.due_at(now);
            let notes_due = due_at.is_some_and(|due| due <= now);
            if waiting.jobs > 0 || notes_due || (waiting.closing && !waiting.items.is_empty()) {
                return Some(waiting.drain());
            }
            if waiting.closing {
                waiting.gone = true;
                return None;
            }
            waiting = match due_at {
                Some(due) => {
                    let timed = self.arrived.wait_timeout(waiting, due - now);
                    timed.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Puts notes back that could not be written, before everything that came later. On closing they are lost with
    /// the disk that refuses them; the log says how many.
    fn put_back(&self, notes: Vec<Item>, hopeless: bool) {
        if notes.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        if hopeless || waiting.closing {
            tracing::error!(notes = notes.len(), "audit notes could not be written");
            return;
        }
        waiting.notes += notes.len();
        waiting.note_bytes += notes.iter().map(Item::size).sum::<usize>();
        for note in notes.into_iter().rev() {
            waiting.items.push_front(note);
        }
        let retry_at = Instant::now() + NOTE_DELAY;
        (waiting.notes_due, waiting.retry_at) = (Some(retry_at), Some(retry_at));
    }
}

impl Waiting {
    /// When notes are to be written: many of them at once, but after a failure not before the next attempt is due.
    fn due_at(&self, now: Instant) -> Option<Instant> {
        let due = if self.note_bytes >= NOTES_ENOUGH { Some(now) } else { self.notes_due };
        due.map(|due| self.retry_at.map_or(due, |retry| retry.max(due)))
    }

    fn drain(&mut self) -> Vec<Item> {
        let mut group = Vec::new();
        let (mut jobs, mut bytes) = (0, 0);
        while jobs < GROUP_MAX
            && let Some(size) = self.items.front().map(Item::size)
            && (group.is_empty() || bytes + size <= GROUP_BYTES)
            && let Some(item) = self.items.pop_front()
        {
            bytes += size;
            if item.is_job() {
                jobs += 1;
            } else {
                self.note_bytes -= size;
            }
            group.push(item);
        }
        self.jobs -= jobs;
        self.notes -= group.len() - jobs;
        self.notes_due = (self.notes > 0).then(Instant::now);
        group
    }
}

/// Runs until the queue is closed.
pub(crate) fn run(engine: &Arc<Engine>, queue: &Arc<Queue>) {
    let _end = End(queue);
    while let Some(group) = queue.take() {
        let left = write(engine, group);
        if left.is_empty() {
            queue.lock().retry_at = None;
        }
        queue.put_back(left, engine.poisoned().is_some());
        queue.room.notify_all();
    }
}

/// Tells everybody who waits when the thread ends, however it ends.
struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.gone = true;
        for item in std::mem::take(&mut waiting.items) {
            if let Item::Job { reply, .. } = item {
                reply.send(Err(StoreError::Closed));
            }
        }
        self.0.room.notify_all();
    }
}

/// Writes a group and returns the notes that could not be written yet. If a batch fails for a reason of its own, the
/// group is halved until that batch stands alone.
fn write(engine: &Engine, mut group: Vec<Item>) -> Vec<Item> {
    match attempt(engine, &group) {
        Ok(()) => answer(group, &Ok(())),
        Err(error) if concerns_all(&error) || group.len() == 1 => {
            let (jobs, notes): (Vec<Item>, Vec<Item>) = group.into_iter().partition(Item::is_job);
            answer(jobs, &Err(error));
            return notes;
        }
        Err(_) => {
            let second = group.split_off(group.len() / 2);
            let mut left = write(engine, group);
            left.extend(write(engine, second));
            return left;
        }
    }
    Vec::new()
}

fn attempt(engine: &Engine, group: &[Item]) -> Result<(), StoreError> {
    engine.may_write()?;
    let tried = catch_unwind(AssertUnwindSafe(|| {
        engine.write(|w| apply::group(w, group.iter().flat_map(|item| item.ops())))
    }));
    tried.unwrap_or_else(|panic| Err(StoreError::Bug(panic_text(panic.as_ref()))))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

/// Whether the error is about the disk or the store rather than about one batch.
fn concerns_all(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::DiskFull { .. }
            | StoreError::Poisoned { .. }
            | StoreError::Io { .. }
            | StoreError::TooLarge { .. }
            | StoreError::Damaged { .. }
    )
}

fn answer(group: Vec<Item>, outcome: &Result<(), StoreError>) {
    for item in group {
        if let Item::Job { reply, .. } = item {
            reply.send(outcome.clone());
        }
    }
}
