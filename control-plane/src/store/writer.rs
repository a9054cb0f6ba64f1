//! The tasks that write. They run beside the requests, so a request that is cut off never leaves a transaction open.
//! Each operation of a shared transaction has a savepoint of its own: its error, and its panic, undo it and nothing else.
//! A writer outlives a panic wherever it happens; the connection in the middle of which it was is closed.

use super::connection::{Connection, Patience};
use super::engine::{Engine, POSTGRES_WRITERS};
use super::error::StoreError;
use super::{Observer, Waker};
use crate::clock::Millis;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::AnyPool;
use sqlx::Executor as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Most operations in one transaction.
const BATCH: usize = 512;
/// Most operations that wait; more make those who ask wait.
const QUEUE: usize = 4096;
/// Writers of PostgreSQL that gather operations; the others take one at a time.
const GATHERERS: u32 = 2;
/// For how long a commit shows that a writer lives.
const BELIEVED: Duration = Duration::from_secs(5);

/// A transaction as an operation sees it.
pub struct Tx {
    connection: Connection,
    engine: Engine,
    woken: Vec<String>,
    /// Whether nothing is under way on the connection, so that others may have it.
    settled: bool,
}

impl Drop for Tx {
    fn drop(&mut self) {
        if !self.settled {
            self.connection.condemn();
        }
    }
}

impl Tx {
    /// The connection of the transaction.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Once this is durable, the agent's waiting request is answered, on whichever node it waits.
    pub fn wake(&mut self, agent: &str) {
        self.woken.push(agent.to_owned());
    }
}

/// Does one operation and answers whoever asked, later.
trait Job: Send {
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// An operation. In a box, so that what is done with it is in the program once for each kind of answer and not once for each
/// operation.
pub(super) type Operate<T> =
    Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send>;

struct Operation<T> {
    operation: Option<Operate<T>>,
    result: Option<Result<T, StoreError>>,
    to: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send + 'static> Job for Operation<T> {
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let Some(operation) = self.operation.take() else { return false };
            let ended = AssertUnwindSafe(async { operation(tx).await }).catch_unwind().await;
            let result = ended.unwrap_or_else(|_| {
                // What it said was printed where it happened.
                tracing::error!("an operation on the database panicked; it was undone");
                Err(StoreError::Panicked)
            });
            let good = result.is_ok();
            self.result = Some(result);
            good
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (self.result, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)) | None, Err(error)) => Err(error),
            (Some(Err(error)), _) => Err(error),
            (None, Ok(())) => Err(StoreError::Panicked),
        };
        // Whoever asked may have gone; what was written stays written.
        let _gone = self.to.send(result);
    }
}

type Queue = mpsc::Sender<Box<dyn Job>>;
type Receiver = Arc<Mutex<mpsc::Receiver<Box<dyn Job>>>>;

/// When the writers of one queue last committed; nothing when the last try failed.
type Beat = Arc<std::sync::Mutex<Option<Instant>>>;

pub(super) struct Writer {
    queues: std::sync::Mutex<Option<(Queue, Queue)>>,
    beats: [Beat; 2],
    tasks: Mutex<Vec<JoinHandle<()>>>,
    pool: AnyPool,
}

impl Writer {
    pub(super) fn start(
        engine: Engine,
        pool: &AnyPool,
        patience: Option<Patience>,
        waker: &Arc<OnceLock<Waker>>,
        observer: &Arc<OnceLock<Observer>>,
    ) -> Self {
        let (single, singles) = mpsc::channel(QUEUE);
        let beats = [Beat::default(), Beat::default()];
        let worker = |receiver: &Receiver, batch, beat: &Beat| {
            let worker = Worker {
                engine,
                pool: pool.clone(),
                patience,
                batch,
                beat: beat.clone(),
                waker: waker.clone(),
                observer: observer.clone(),
            };
            tokio::spawn(worker.live(receiver.clone()))
        };
        let [single_beat, append_beat] = &beats;
        let singles = Arc::new(Mutex::new(singles));
        let (append, tasks) = match engine {
            Engine::Sqlite => (single.clone(), vec![worker(&singles, BATCH, single_beat)]),
            Engine::Postgres => {
                let (append, appends) = mpsc::channel(QUEUE);
                let appends = Arc::new(Mutex::new(appends));
                let singles = (GATHERERS..POSTGRES_WRITERS).map(|_| worker(&singles, 1, single_beat));
                let gatherers = (0..GATHERERS).map(|_| worker(&appends, BATCH, append_beat));
                (append, singles.chain(gatherers).collect())
            }
        };
        Self {
            queues: std::sync::Mutex::new(Some((single, append))),
            beats,
            tasks: Mutex::new(tasks),
            pool: pool.clone(),
        }
    }

    pub(super) async fn write<T: Send + 'static>(&self, operation: Operate<T>) -> Result<T, StoreError> {
        Self::ask(self.queues().map(|(single, _)| single), operation).await
    }

    pub(super) async fn append<T: Send + 'static>(&self, operation: Operate<T>) -> Result<T, StoreError> {
        Self::ask(self.queues().map(|(_, append)| append), operation).await
    }

    /// How many operations wait.
    pub(super) fn waiting(&self) -> usize {
        let Some((single, append)) = self.queues() else { return 0 };
        let waiting = |queue: &Queue| queue.max_capacity() - queue.capacity();
        if single.same_channel(&append) { waiting(&single) } else { waiting(&single) + waiting(&append) }
    }

    /// Has each queue that has not committed lately commit something.
    pub(super) async fn check<F>(&self, operation: F) -> Result<(), StoreError>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<(), StoreError>> + Copy + Send + 'static,
    {
        let (single, append) = self.queues().ok_or(StoreError::Stopped)?;
        let of_one = single.same_channel(&append);
        for (queue, beat) in [single, append].into_iter().zip(&self.beats).take(if of_one { 1 } else { 2 }) {
            let last = *beat.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| last.elapsed() >= BELIEVED) {
                Self::ask(Some(queue), Box::new(operation)).await?;
            }
        }
        Ok(())
    }

    /// Takes nothing more and waits until everything is written.
    pub(super) async fn close(&self) {
        drop(self.locked().take());
        for task in self.tasks.lock().await.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a writer of the database ended badly");
            }
        }
        self.pool.close().await;
    }

    fn queues(&self) -> Option<(Queue, Queue)> {
        self.locked().clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<(Queue, Queue)>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T: Send + 'static>(queue: Option<Queue>, operation: Operate<T>) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        let job = Box::new(Operation { operation: Some(operation), result: None, to });
        let queue = queue.ok_or(StoreError::Stopped)?;
        queue.send(job).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Panicked)?
    }
}

struct Worker {
    engine: Engine,
    pool: AnyPool,
    patience: Option<Patience>,
    batch: usize,
    beat: Beat,
    waker: Arc<OnceLock<Waker>>,
    observer: Arc<OnceLock<Observer>>,
}

impl Worker {
    /// Works until the queue is closed. A panic outside of all operations costs what was being written, not the writer.
    async fn live(self, queue: Receiver) {
        while AssertUnwindSafe(self.work(&queue)).catch_unwind().await.is_err() {
            self.beats(false);
            tracing::error!("a writer of the database panicked; it goes on with what comes next");
        }
    }

    fn beats(&self, committed: bool) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = committed.then(Instant::now);
    }

    async fn work(&self, queue: &Receiver) {
        let mut jobs = Vec::new();
        loop {
            {
                let mut queue = queue.lock().await;
                if queue.recv_many(&mut jobs, self.batch).await == 0 {
                    return;
                }
            }
            if let Some(observer) = self.observer.get() {
                observer(jobs.len());
            }
            let committed = self.transaction(&mut jobs).await;
            self.beats(committed.is_ok());
            let failed = committed.as_ref().err().map(ToString::to_string);
            for job in jobs.drain(..) {
                job.answer(match &failed {
                    None => Ok(()),
                    Some(why) => Err(StoreError::Database(sqlx::Error::Protocol(why.clone()))),
                });
            }
            if let Ok(woken) = committed {
                self.tell(&woken);
            }
        }
    }

    async fn transaction(&self, jobs: &mut [Box<dyn Job>]) -> Result<Vec<String>, StoreError> {
        let connection = Connection::new(self.pool.acquire().await?, self.patience);
        let mut tx = Tx { connection, engine: self.engine, woken: Vec::new(), settled: false };
        let done = self.within(&mut tx, jobs).await;
        tx.settled = done.is_ok() || tx.connection.execute("rollback").await.is_ok();
        done.map(|()| std::mem::take(&mut tx.woken))
    }

    async fn within(&self, tx: &mut Tx, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let begin = match self.engine {
            Engine::Sqlite => "begin immediate",
            Engine::Postgres => "begin",
        };
        tx.connection.execute(begin).await?;
        if let [job] = jobs {
            if !job.run(tx).await {
                tx.woken.clear();
                tx.connection.execute("rollback").await?;
                return Ok(());
            }
        } else {
            for job in jobs.iter_mut() {
                Self::beside_others(tx, job).await?;
            }
        }
        self.announce(tx).await?;
        tx.connection.execute("commit").await?;
        Ok(())
    }

    async fn beside_others(tx: &mut Tx, job: &mut Box<dyn Job>) -> Result<(), StoreError> {
        let woken = tx.woken.len();
        tx.connection.execute("savepoint operation").await?;
        if !job.run(tx).await {
            tx.woken.truncate(woken);
            tx.connection.execute("rollback to savepoint operation").await?;
        }
        tx.connection.execute("release savepoint operation").await?;
        Ok(())
    }

    /// Lets other processes know. On SQLite that is a row, and only for a process that has nobody to wake itself.
    async fn announce(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.woken.sort_unstable();
        tx.woken.dedup();
        for agent in &tx.woken {
            match tx.engine {
                Engine::Postgres => {
                    let notify = sqlx::query("select pg_notify('purser_wake', $1)").bind(agent.as_str());
                    notify.execute(&mut tx.connection).await?;
                }
                Engine::Sqlite if self.waker.get().is_none() => {
                    let note =
                        sqlx::query("insert into wakes (agent, at) values ($1, $2)").bind(agent.as_str());
                    note.bind(now()).execute(&mut tx.connection).await?;
                }
                Engine::Sqlite => {}
            }
        }
        Ok(())
    }

    fn tell(&self, woken: &[String]) {
        if let Some(waker) = self.waker.get() {
            woken.iter().for_each(|agent| waker(agent));
        }
    }
}

/// Only for throwing old rows away.
fn now() -> Millis {
    crate::clock::millis(&crate::clock::Clock::system())
}
