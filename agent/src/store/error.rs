//! Why the store refuses. Every error names the place and the mend, and none repeats what a record contains.

use spend::ids::PostingKey;
use std::path::{Path, PathBuf};

/// Why the store could not do what it was asked. Cheap to clone: one failed group commit answers many callers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process is the writer.
    #[error(
        "the store in {dir} is in use by another purser process; stop that one, or use a command that only reads"
    )]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// A renewed secret does not belong to what is stored. Nothing was written.
    #[error("the renewed secret `{name}` was not stored: {why}")]
    NotRenewed {
        /// Name of the secret.
        name: String,
        /// What stands against it.
        why: String,
    },
    /// Nothing was ever stored there.
    #[error("there is no store in {dir} yet; start the agent once (`purser run`)")]
    NotCreated {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The marker says there was a data file; there is none.
    #[error("the data file {path} is missing; restore the whole folder from a backup, do not start over")]
    Missing {
        /// The data file.
        path: PathBuf,
    },
    /// The data file has lost bytes.
    #[error(
        "the data file {path} has {found} bytes where {expected} are known to have been written; restore the whole folder from a backup"
    )]
    Truncated {
        /// The data file.
        path: PathBuf,
        /// Bytes that were there before.
        expected: u64,
        /// Bytes that are there now.
        found: u64,
    },
    /// The data file belongs to another store.
    #[error(
        "the data file {path} belongs to another store than its marker; restore both from the same backup"
    )]
    Replaced {
        /// The data file.
        path: PathBuf,
    },
    /// The marker beside the data file is gone or unreadable.
    #[error(
        "the marker {path} is missing, unreadable or not as it was written although there is a store; restore the whole folder from a backup"
    )]
    Marker {
        /// The marker file.
        path: PathBuf,
    },
    /// The key does not fit the store.
    #[error(
        "the store in {dir} was sealed with another data key; restore `data-key.age` that belongs to this folder"
    )]
    WrongKey {
        /// The store's directory.
        dir: PathBuf,
    },
    /// A value does not open, or an index disagrees with what it points to.
    #[error(
        "table `{table}` of the store was changed from outside or damaged on disk; restore the folder from a backup"
    )]
    Tampered {
        /// The table.
        table: &'static str,
    },
    /// The engine says the file is damaged.
    #[error("the data file in {dir} is damaged ({cause}); restore the folder from a backup")]
    Damaged {
        /// The store's directory.
        dir: PathBuf,
        /// What the engine said.
        cause: String,
    },
    /// Written by a newer release.
    #[error(
        "the store in {dir} has schema {found}, this release knows up to {known}; install the newer release"
    )]
    NewerSchema {
        /// The store's directory.
        dir: PathBuf,
        /// Schema found.
        found: u32,
        /// Newest schema this release knows.
        known: u32,
    },
    /// Too little free space to write safely. Nothing was written.
    #[error(
        "the disk of {path} has {free} bytes free, at least {needed} are needed; free some space, work then goes on by itself"
    )]
    DiskFull {
        /// The store's directory.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that must be free.
        needed: u64,
    },
    /// The memory map cannot grow further.
    #[error("the store in {dir} has reached its greatest size of {limit} bytes")]
    TooLarge {
        /// The store's directory.
        dir: PathBuf,
        /// Greatest size.
        limit: u64,
    },
    /// A write to disk failed; what the disk holds is only known after reading it anew.
    #[error(
        "the disk under {dir} failed while writing ({cause}); nothing more is written until the agent is restarted"
    )]
    Poisoned {
        /// The store's directory.
        dir: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// Opened for reading.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The store was closed, or its writer is gone.
    #[error("the store is closed")]
    Closed,
    /// A claim that may not be made.
    #[error("posting {key} cannot be claimed: {why}")]
    NotClaimable {
        /// Which posting.
        key: PostingKey,
        /// Why.
        why: String,
    },
    /// What was made for one control plane came after the agent had left it. Nothing was written.
    #[error("this was made for a control plane that the agent has left since; nothing of it was written")]
    OtherEnrollment,
    /// A value that the batch rests on has been changed since it was read: another flow has counted a claim, a person has set
    /// the same secret. Nothing was written.
    #[error(
        "what this rests on was changed at the same moment; nothing of it was written, the next attempt looks again"
    )]
    Overtaken,
    /// A value that cannot be turned into bytes or back.
    #[error("a value of table `{table}` cannot be {doing}: {cause}")]
    Codec {
        /// The table.
        table: &'static str,
        /// `written` or `read`.
        doing: &'static str,
        /// What the encoder said, without the value.
        cause: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}: {cause}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The engine refused for a reason of its own.
    #[error("the database engine refused: {0}")]
    Engine(String),
    /// A bug of ours; nothing was written.
    #[error("a bug stopped this write, nothing of it was written: {0}")]
    Bug(String),
}

impl StoreError {
    pub(crate) fn io(doing: &'static str, path: &Path, cause: &std::io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), cause: cause.to_string() }
    }

    /// An encoder's complaint: its class and position only, never the text it choked on.
    pub(crate) fn codec(table: &'static str, doing: &'static str, cause: &serde_json::Error) -> Self {
        let cause = format!("{:?} at byte {}", cause.classify(), cause.column());
        Self::Codec { table, doing, cause }
    }
}
