//! The database: SQLite in one file, or PostgreSQL for several nodes. Both understand the same SQL here: `$1`
//! placeholders, text, 64-bit integers and nothing else; what differs is in the migrations and in `writer`.
//!
//! What a newcomer gets wrong: nothing writes but through [`Store::write`] or [`Store::append`]. On SQLite one task
//! writes, many operations to a transaction; whoever asked is answered after the commit. Reading goes through a pool.
//! Modules per group of tables hold functions that take a connection, so that they combine within one transaction.

pub mod admin_audit;
pub mod agents;
pub mod alert_messages;
pub mod alerts;
pub mod backup;
pub mod codes;
pub mod commands;
mod connection;
pub mod deliveries;
mod engine;
pub mod error;
pub mod hooks;
pub mod idempotency;
pub mod lives;
mod migrations;
pub mod nonces;
pub mod reports;
pub mod retention;
pub mod revisions;
pub mod sealed;
pub mod sessions;
pub mod templates;
pub mod tenants;
pub mod times;
pub mod tokens;
pub mod turns;
pub mod users;
mod writer;

pub use connection::{Connection, Patience};
pub use engine::Engine;
pub use error::StoreError;
pub use migrations::NEWEST;
pub use writer::Tx;

use futures_util::future::BoxFuture;
use sqlx::AnyPool;
use std::sync::{Arc, OnceLock};
use writer::Writer;

/// Told which agent has something waiting, after the commit that made it so.
pub type Waker = Box<dyn Fn(&str) + Send + Sync>;

/// Told how many operations a transaction takes.
pub type Observer = Box<dyn Fn(usize) + Send + Sync>;

/// An open database. Cloning is cheap.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Engine,
    url: String,
    patience: Patience,
    readers: AnyPool,
    writer: Writer,
    waker: Arc<OnceLock<Waker>>,
    observer: Arc<OnceLock<Observer>>,
}

impl Store {
    /// Opens `sqlite:FILE` or `postgres://…`, creating the file and bringing the tables to this version.
    ///
    /// # Errors
    /// [`StoreError::Url`] for another kind of database, [`StoreError::Open`] when it cannot be opened,
    /// [`StoreError::Newer`] when a newer version has changed its tables.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Patience::default()).await
    }

    /// The same, with another patience with a server on the network.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, patience: Patience) -> Result<Self, StoreError> {
        let engine = Engine::of(url)?;
        let (readers, writers) = engine.connect(url, patience).await?;
        migrations::run(engine, &writers).await?;
        let waker = Arc::new(OnceLock::new());
        let observer = Arc::new(OnceLock::new());
        let writer = Writer::start(engine, &writers, engine.patience(patience), &waker, &observer);
        let url = url.to_owned();
        Ok(Self(Arc::new(Inner { engine, url, patience, readers, writer, waker, observer })))
    }

    /// Which kind of database this is.
    pub fn engine(&self) -> Engine {
        self.0.engine
    }

    /// Where it is. It can hold a password: never show it.
    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// How long a server on the network is waited for.
    pub(crate) fn patience(&self) -> Patience {
        self.0.patience
    }

    /// A connection to read with.
    ///
    /// # Errors
    /// [`StoreError::Database`] when none is free for long, or the database cannot be reached.
    pub async fn read(&self) -> Result<Box<Connection>, StoreError> {
        let connection = self.0.readers.acquire().await?;
        Ok(Box::new(Connection::new(connection, self.0.engine.patience(self.0.patience))))
    }

    /// Does `operation` in a transaction and answers once it is durable. An error undoes this operation only.
    ///
    /// # Errors
    /// What the operation answered, or [`StoreError`] of the database.
    pub fn write<T, F>(&self, operation: F) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.0.writer.write(Box::new(operation))
    }

    /// As [`Self::write`], for operations that only insert rows of their own: PostgreSQL gathers them in few
    /// transactions too, which would make operations that change the same rows wait for each other in a circle.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn append<T, F>(&self, operation: F) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.0.writer.append(Box::new(operation))
    }

    /// Whether each writer commits: one that did so within the last seconds is believed, another one writes a row.
    ///
    /// # Errors
    /// Why it does not; [`StoreError::Stopped`] when the store is closed.
    pub async fn commits(&self) -> Result<(), StoreError> {
        self.0.writer.check(|tx| Box::pin(turns::note_commit(tx))).await
    }

    /// From here on this process wakes agents itself. Only the first call counts.
    pub fn set_waker(&self, waker: Waker) {
        // A second server on one store in one process would be woken by polling only, which tests do.
        let _first_counts = self.0.waker.set(waker);
    }

    /// From here on somebody watches how many operations a transaction takes. Only the first call counts.
    pub fn set_observer(&self, observer: Observer) {
        // As with the waker: the first server of this store in this process is told.
        let _first_counts = self.0.observer.set(observer);
    }

    /// How many operations wait for a writer.
    pub fn writer_queue(&self) -> usize {
        self.0.writer.waiting()
    }

    /// Finishes what was begun and closes the database.
    pub async fn close(&self) {
        self.0.writer.close().await;
        self.0.readers.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("engine", &self.0.engine).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
