//! Which database, and how its connections are made.

use super::error::StoreError;
use sqlx::AnyPool;
use sqlx::Executor as _;
use sqlx::any::AnyPoolOptions;
use std::time::Duration;

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

impl Engine {
    /// The engine of an address.
    ///
    /// # Errors
    /// [`StoreError::Url`], [`StoreError::InMemory`].
    pub fn of(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':').map(|(scheme, rest)| (scheme, rest)) {
            Some(("sqlite", rest)) if rest.contains(":memory:") || rest.contains("mode=memory") => {
                Err(StoreError::InMemory)
            }
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(StoreError::Url),
        }
    }

    /// Connections to read with and to write with.
    pub(super) async fn connect(self, url: &str) -> Result<(AnyPool, AnyPool), StoreError> {
        sqlx::any::install_default_drivers();
        let writers = match self {
            Self::Sqlite => 1,
            Self::Postgres => POSTGRES_WRITERS,
        };
        let url = self.complete(url);
        // The writing one first: it creates the file and its journal.
        let writers = self.options(writers).connect(&url).await.map_err(StoreError::Open)?;
        let readers = self.options(READERS).connect(&url).await.map_err(StoreError::Open)?;
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

    fn options(self, most: u32) -> AnyPoolOptions {
        let options = AnyPoolOptions::new().max_connections(most).acquire_timeout(Duration::from_secs(10));
        match self {
            Self::Postgres => options,
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

/// FULL: what was acknowledged survives a power failure.
const PRAGMAS: &[&str] = &[
    "pragma busy_timeout = 5000",
    "pragma journal_mode = wal",
    "pragma synchronous = full",
    "pragma foreign_keys = on",
    "pragma temp_store = memory",
];
