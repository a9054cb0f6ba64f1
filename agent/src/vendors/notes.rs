//! What a connection must remember because its vendor does not: which of two surfaces it reads from, which vendor of
//! the ERP is which vendor there. A few short texts by name, durable.

use crate::store::{Batch, StateTable, Store};
use spend::Date;
use spend::ids::ConnectionId;

/// Why a note could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the note `{name}` of the connection could not be {doing}: {why}")]
pub struct NoteError {
    /// Which note.
    pub name: String,
    /// `read` or `written`.
    pub doing: &'static str,
    /// What stood against it, in words.
    pub why: String,
}

/// The notes of one connection. They hold no secrets.
pub trait Notes: Send + Sync {
    /// A note, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn read(&self, name: &str) -> Result<Option<String>, NoteError>;

    /// Writes a note, durably, over the one of that name. Blocks for one sync of the disk.
    ///
    /// # Errors
    /// When nothing was written.
    fn write(&self, name: &str, text: &str) -> Result<(), NoteError>;
}

/// The note that holds the day on which the connection's credential was last used with success.
pub const LAST_USE: &str = "last-use";

/// The day on which the credential was last used; `None` when it is not known.
pub fn last_use(notes: &dyn Notes) -> Option<Date> {
    notes.read(LAST_USE).ok().flatten()?.parse().ok()
}

/// Notes in the agent's store.
pub struct StoreNotes {
    store: Store,
    connection: ConnectionId,
}

impl StoreNotes {
    /// The notes of a connection.
    pub fn new(store: &Store, connection: &ConnectionId) -> Self {
        Self { store: store.clone(), connection: connection.clone() }
    }

    fn place(&self, name: &str) -> String {
        format!("connection/{}/{name}", self.connection)
    }
}

impl Notes for StoreNotes {
    fn read(&self, name: &str) -> Result<Option<String>, NoteError> {
        self.store.get(StateTable::Meta, &self.place(name)).map_err(|error| NoteError {
            name: name.to_owned(),
            doing: "read",
            why: error.to_string(),
        })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), NoteError> {
        let mut batch = Batch::new();
        batch.put(StateTable::Meta, &self.place(name), &text);
        self.store.commit_blocking(batch).map_err(|error| NoteError {
            name: name.to_owned(),
            doing: "written",
            why: error.to_string(),
        })
    }
}
