//! Requests that wait, by agent. Whoever makes something for an agent wakes the request in which it waits, on whichever
//! node that is: at once within a node and, on PostgreSQL, between nodes (`LISTEN`); within a second where another process
//! wrote to the SQLite file. A node that may have been deaf wakes all who wait.

use crate::store::{Engine, Patience, Store, StoreError};
use sqlx::postgres::PgListener;
use sqlx::{Executor as _, Row as _};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How often a server looks whether another process wrote to its SQLite file.
const LOOK: Duration = Duration::from_millis(500);
/// How long a node waits until it tries to listen again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it may take to begin to listen.
const CONNECT: Duration = Duration::from_secs(10);
/// A server that has told nothing for so many pings' patience is asked whether it is there.
const QUIET: u32 = 3;

/// The waiting requests of a node. Shared by cloning.
#[derive(Clone, Default)]
pub struct Wake(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<HashMap<Box<str>, Arc<Signal>>>,
    drawn: AtomicU64,
    draining: AtomicBool,
    drained: Notify,
}

struct Signal {
    number: u64,
    notify: Notify,
    displaced: AtomicBool,
}

/// A request that waits. Dropping it ends the waiting.
pub struct Parked {
    wake: Wake,
    agent: Box<str>,
    signal: Arc<Signal>,
}

impl Wake {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request of the agent begins to wait. An earlier one of the same agent is sent home: its connection is most likely
    /// dead, and one is enough.
    pub fn park(&self, agent: &str) -> Parked {
        let number = self.0.drawn.fetch_add(1, Ordering::Relaxed);
        let signal = Arc::new(Signal { number, notify: Notify::new(), displaced: AtomicBool::new(false) });
        if let Some(earlier) = self.locked().insert(agent.into(), signal.clone()) {
            earlier.displaced.store(true, Ordering::Release);
            earlier.notify.notify_one();
        }
        Parked { wake: self.clone(), agent: agent.into(), signal }
    }

    /// Wakes the agent's request, if one waits here.
    pub fn wake(&self, agent: &str) {
        if let Some(signal) = self.locked().get(agent) {
            signal.notify.notify_one();
        }
    }

    /// Wakes all, because what happened meanwhile may have been missed.
    pub fn wake_all(&self) {
        self.locked().values().for_each(|signal| signal.notify.notify_one());
    }

    /// Sends all home and lets nobody wait from here on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.wake_all();
        self.0.drained.notify_waiters();
    }

    /// Returns when all are sent home.
    pub async fn drained(&self) {
        let notified = self.0.drained.notified();
        if !self.0.draining.load(Ordering::Acquire) {
            notified.await;
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.locked().len()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Signal>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parked {
    /// Returns when somebody wakes the agent, also when that was before this call.
    pub async fn woken(&self) {
        self.signal.notify.notified().await;
    }

    /// Whether there is no reason to wait on: a later request has come, or the node stops.
    pub fn is_sent_home(&self) -> bool {
        self.signal.displaced.load(Ordering::Acquire) || self.wake.0.draining.load(Ordering::Acquire)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if let Entry::Occupied(entry) = self.wake.locked().entry(std::mem::take(&mut self.agent))
            && entry.get().number == self.signal.number
        {
            entry.remove();
        }
    }
}

/// Wakes what this and other processes have something for, until it is dropped.
///
/// # Errors
/// [`StoreError`] when it cannot be begun.
pub async fn follow(store: &Store, wake: &Wake) -> Result<tokio::task::JoinHandle<()>, StoreError> {
    let own = wake.clone();
    store.set_waker(Box::new(move |agent| own.wake(agent)));
    let (store, wake) = (store.clone(), wake.clone());
    match store.engine() {
        Engine::Sqlite => {
            let last = newest(&store).await?;
            Ok(tokio::spawn(poll(store, wake, last)))
        }
        Engine::Postgres => {
            let listener = listen(&store).await?;
            Ok(tokio::spawn(hear(store, wake, listener)))
        }
    }
}

async fn newest(store: &Store) -> Result<i64, StoreError> {
    let query = sqlx::query_scalar("select coalesce(max(seq), 0) from wakes");
    Ok(query.fetch_one(&mut *store.read().await?).await?)
}

async fn poll(store: Store, wake: Wake, mut last: i64) {
    let mut failing = false;
    loop {
        tokio::time::sleep(LOOK).await;
        match written_since(&store, last).await {
            Ok(woken) => {
                failing = false;
                for (seq, agent) in woken {
                    last = seq;
                    wake.wake(&agent);
                }
            }
            Err(StoreError::Database(sqlx::Error::PoolClosed)) => return,
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "what other processes wrote cannot be read");
            }
            Err(_) => {}
        }
    }
}

async fn written_since(store: &Store, last: i64) -> Result<Vec<(i64, String)>, StoreError> {
    let query =
        sqlx::query("select seq, agent from wakes where seq > $1 order by seq limit 10000").bind(last);
    let rows = query.fetch_all(&mut *store.read().await?).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn listen(store: &Store) -> Result<PgListener, StoreError> {
    let begun = async {
        let mut listener = PgListener::connect(store.url()).await?;
        // One that was lost is replaced here, where it is known that something may have been missed.
        listener.eager_reconnect(false);
        listener.listen("purser_wake").await?;
        Ok(listener)
    };
    timeout(CONNECT, begun).await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into()))
}

/// Wakes until the connection is lost, or the server does not answer on it any more: of that nothing tells a connection
/// that only listens.
async fn heard(listener: &mut PgListener, patience: Patience, wake: &Wake) -> sqlx::Error {
    loop {
        match timeout(patience.ping * QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => wake.wake(notification.payload()),
            Ok(Ok(None)) => return std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
            Ok(Err(error)) => return error,
            Err(_) => match timeout(patience.ping, listener.execute("select 1")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error,
                Err(_) => return std::io::Error::from(std::io::ErrorKind::TimedOut).into(),
            },
        }
    }
}

async fn hear(store: Store, wake: Wake, mut listener: PgListener) {
    loop {
        let error = heard(&mut listener, store.patience(), &wake).await;
        tracing::warn!(%error, "the database does not tell what other nodes write; trying again");
        listener = loop {
            match listen(&store).await {
                Ok(again) => break again,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        tracing::info!("the database tells again what other nodes write");
        // Nobody knows what was said meanwhile.
        wake.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::testing::{Postgres, Relay};

    #[cfg(unix)]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_that_was_deaf_wakes_those_who_wait_and_hears_again() {
        let server = Postgres::start().await;
        let relay = Relay::open(&server);
        let url = server.database().await;
        let patience = Patience { ping: Duration::from_millis(100), ..Patience::default() };
        let deaf = Store::open_with(&relay.through(&url), patience).await.unwrap();
        let other = Store::open(&url).await.unwrap();
        let wake = Wake::new();
        let following = follow(&deaf, &wake).await.unwrap();
        let parked = wake.park("a1");
        let tell = || async {
            let told = other.write(|tx| {
                tx.wake("a1");
                Box::pin(async { Ok(()) })
            });
            told.await.unwrap();
        };
        tell().await;
        timeout(Duration::from_secs(20), parked.woken()).await.expect("it hears");
        relay.silence();
        tell().await;
        timeout(Duration::from_secs(20), parked.woken()).await.expect("it notices that it was deaf");
        tell().await;
        timeout(Duration::from_secs(20), parked.woken()).await.expect("it hears again");
        following.abort();
        other.close().await;
        timeout(Duration::from_secs(20), deaf.close()).await.expect("what is silent holds no end up");
    }

    #[tokio::test]
    async fn a_request_is_woken_also_when_that_was_before_it_waited() {
        let wake = Wake::new();
        let parked = wake.park("a1");
        wake.wake("a2");
        wake.wake("a1");
        parked.woken().await;
        assert!(!parked.is_sent_home());
        assert_eq!(wake.waiting(), 1);
        drop(parked);
        assert_eq!(wake.waiting(), 0);
    }

    #[tokio::test]
    async fn a_later_request_sends_the_earlier_one_home_and_stays() {
        let wake = Wake::new();
        let (earlier, later) = (wake.park("a1"), wake.park("a1"));
        earlier.woken().await;
        assert!(earlier.is_sent_home() && !later.is_sent_home());
        drop(earlier);
        assert_eq!(wake.waiting(), 1);
        wake.drain();
        later.woken().await;
        assert!(later.is_sent_home());
    }
}
