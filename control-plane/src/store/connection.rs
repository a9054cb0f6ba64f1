//! A connection as everybody here uses it: each statement ends, also when the server or the way to it has fallen silent
//! without a word. Nothing tells a socket that waits for an answer that nobody is there any more, so the time does.
//!
//! What a newcomer gets wrong: a connection on which a statement took too long is in the middle of something. It answers
//! nothing from then on and is closed when it is dropped.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, Either, Execute, Executor, SqlStr};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a server on the network is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The server itself ends a statement after so long.
    pub statement: Duration,
    /// A server that is asked for nothing answers within this time.
    pub ping: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { statement: Duration::from_secs(20), ping: Duration::from_secs(3) }
    }
}

impl Patience {
    /// How long a statement is waited for here: the server's own end of it comes first and leaves the connection whole.
    fn here(self) -> Duration {
        self.statement + self.ping
    }
}

/// A connection to read with, or the one of a transaction.
pub struct Connection {
    inner: PoolConnection<Any>,
    /// Nothing for a database within this process.
    patience: Option<Duration>,
    condemned: bool,
}

impl Connection {
    pub(super) fn new(inner: PoolConnection<Any>, patience: Option<Patience>) -> Self {
        Self { inner, patience: patience.map(Patience::here), condemned: false }
    }

    /// Nobody else gets it: it is in the middle of something.
    pub(super) fn condemn(&mut self) {
        self.condemned = true;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.condemned {
            self.inner.close_on_drop();
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("condemned", &self.condemned).finish_non_exhaustive()
    }
}

/// What is said of a server that does not answer.
pub(super) fn silent() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into()
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Connection { inner, patience, condemned } = self;
        let Some(patience) = *patience else { return inner.fetch_many(query) };
        if *condemned {
            return stream::once(async { Err(silent()) }).boxed();
        }
        let until = Instant::now() + patience;
        let rows = inner.fetch_many(query);
        let rows = stream::unfold(Some((rows, condemned)), move |state| async move {
            let (mut rows, condemned) = state?;
            match timeout_at(until, rows.next()).await {
                Ok(row) => row.map(|row| (row, Some((rows, condemned)))),
                Err(_) => {
                    *condemned = true;
                    Some((Err(silent()), None))
                }
            }
        });
        rows.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Connection { inner, patience, condemned } = self;
        let Some(patience) = *patience else { return inner.fetch_optional(query) };
        if *condemned {
            return async { Err(silent()) }.boxed();
        }
        let row = inner.fetch_optional(query);
        let row = async move {
            timeout(patience, row).await.unwrap_or_else(|_| {
                *condemned = true;
                Err(silent())
            })
        };
        row.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.inner.prepare_with(sql, parameters)
    }
}
