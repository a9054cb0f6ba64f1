//! What can go wrong with the database, in words that help.

use crate::secrets::NoRandomness;

/// Why something was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is of another kind of database.
    #[error("the database must be given as `sqlite:FILE` or `postgres://USER@HOST/NAME`")]
    Url,
    /// SQLite in memory cannot be shared by the connections of one process.
    #[error("a database in memory is not kept: give a file, e.g. `sqlite:control.db`")]
    InMemory,
    /// It cannot be opened.
    #[error("the database cannot be opened: {0}; check the address, the folder's permissions or the server")]
    Open(#[source] sqlx::Error),
    /// A newer version of this program has changed the tables.
    #[error(
        "the database is at step {found} and this program knows up to {known}: use a newer purser-control"
    )]
    Newer {
        /// Where it is.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// One step of bringing the tables to this version failed.
    #[error(
        "step {number} ({name}) of bringing the database to this version failed and was undone: {source}"
    )]
    Migration {
        /// Number of the step.
        number: i64,
        /// Name of the step.
        name: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database answered with an error.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// What was kept cannot be read.
    #[error("the {what} of {id} is damaged in the database: {why}")]
    Damaged {
        /// What kind of thing.
        what: &'static str,
        /// Which.
        id: String,
        /// Why.
        why: String,
    },
    /// There is no such thing, or not in this tenant.
    #[error("there is no {what} {id}")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Which.
        id: String,
    },
    /// It exists already, or its state does not allow this.
    #[error("{0}")]
    Conflict(String),
    /// The machine gives no random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// What was to be done in the database panicked.
    #[error("an operation on the database ended in a defect of the program and was undone: please report it")]
    Panicked,
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopped,
}

impl StoreError {
    /// There is no such thing, or not in this tenant.
    pub fn missing(what: &'static str, id: &str) -> Self {
        Self::Missing { what, id: id.chars().take(80).collect() }
    }

    /// What was kept cannot be read.
    pub fn damaged(what: &'static str, id: &str, why: impl ToString) -> Self {
        Self::Damaged { what, id: id.to_owned(), why: why.to_string() }
    }

    /// Whether something of that name exists already.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(why)) if why.is_unique_violation())
    }
}
