//! Which database, and how its connections are made.

use super::connection::{Patience, silent};
use super::error::StoreError;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _};
use std::time::Duration;
use tokio::time::timeout;

/// Kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One file, one process.
    Sqlite,
    /// A server that several nodes share.
    Postgres,
}

/// Connections that read.
const READERS: u32 = 8;
/// Connections that write to PostgreSQL; each holds one transaction at a time.
pub(super) const POSTGRES_WRITERS: u32 = 10;
/// A connection that was used so lately is not asked whether it is there.
const USED: Duration = Duration::from_millis(500);

impl Engine {
    /// The engine of an address.
    ///
    /// # Errors
    /// [`StoreError::Url`], [`StoreError::InMemory`].
    pub fn of(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':') {
            Some(("sqlite", rest)) if rest.contains(":memory:") || rest.contains("mode=memory") => {
                Err(StoreError::InMemory)
            }
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(StoreError::Url),
        }
    }

    /// How long statements are waited for: a database within this process cannot fall silent.
    pub(super) fn patience(self, patience: Patience) -> Option<Patience> {
        (self == Self::Postgres).then_some(patience)
    }

    /// Connections to read with and to write with.
    pub(super) async fn connect(
        self,
        url: &str,
        patience: Patience,
    ) -> Result<(AnyPool, AnyPool), StoreError> {
        sqlx::any::install_default_drivers();
        let writers = match self {
            Self::Sqlite => 1,
            Self::Postgres => POSTGRES_WRITERS,
        };
        let url = self.complete(url);
        // The writing one first: it creates the file and its journal.
        let writers = self.options(writers, patience).connect(&url).await.map_err(StoreError::Open)?;
        let readers = self.options(READERS, patience).connect(&url).await.map_err(StoreError::Open)?;
        Ok((readers, writers))
    }

    fn complete(self, url: &str) -> String {
        match self {
            Self::Sqlite if !url.contains("mode=") => {
                let join = if url.contains('?') { '&' } else { '?' };
                format!("{url}{join}mode=rwc")
            }
            _ => url.to_owned(),
        }
    }

    fn options(self, most: u32, patience: Patience) -> AnyPoolOptions {
        let options = AnyPoolOptions::new().max_connections(most).acquire_timeout(Duration::from_secs(10));
        match self {
            Self::Postgres => on_network(options, patience),
            Self::Sqlite => {
                options.test_before_acquire(false).idle_timeout(None).max_lifetime(None).after_connect(
                    |connection, _| {
                        Box::pin(async move {
                            for pragma in PRAGMAS {
                                connection.execute(*pragma).await?;
                            }
                            Ok(())
                        })
                    },
                )
            }
        }
    }
}

/// Every wait for the server ends: the server ends statements and abandoned transactions itself, which frees what they
/// lock when this node is gone; a connection is asked whether it is there before it is used and before it is given back,
/// and one that does not answer makes room for another.
fn on_network(options: AnyPoolOptions, patience: Patience) -> AnyPoolOptions {
    let millis = patience.statement.as_millis();
    let settings = format!(
        "set statement_timeout = {millis}; set idle_in_transaction_session_timeout = {millis}; \
         set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"
    );
    let options = options.after_connect(move |connection, _| {
        let settings = AssertSqlSafe(settings.clone());
        Box::pin(async move {
            connection.execute(settings).await?;
            Ok(())
        })
    });
    let options = options.test_before_acquire(false).before_acquire(move |connection, about| {
        Box::pin(async move {
            if about.idle_for >= USED {
                answers(connection, patience.ping).await?;
            }
            Ok(true)
        })
    });
    options.after_release(move |connection, _| {
        Box::pin(async move {
            answers(connection, patience.ping).await?;
            Ok(true)
        })
    })
}

async fn answers(connection: &mut AnyConnection, within: Duration) -> Result<(), sqlx::Error> {
    timeout(within, connection.ping()).await.unwrap_or_else(|_| Err(silent()))
}

/// FULL: what was acknowledged survives a power failure.
const PRAGMAS: &[&str] = &[
    "pragma busy_timeout = 5000",
    "pragma journal_mode = wal",
    "pragma synchronous = full",
    "pragma foreign_keys = on",
    "pragma temp_store = memory",
];
