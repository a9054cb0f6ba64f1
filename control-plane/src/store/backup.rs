//! Copies of a SQLite database, and putting one back. A copy is made by SQLite itself (`VACUUM INTO`), so it is whole and
//! consistent also while a server writes. PostgreSQL has its own tools for this, better than anything here.

use super::engine::Engine;
use super::error::StoreError;
use super::migrations::NEWEST;
use crate::clock::Millis;
use purser::service::private_files::{create_private_file, make_private, sync_dir};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Why a copy was not made or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is no file.
    #[error("this database is not a file: copies are made by PostgreSQL's own tools")]
    NoFile,
    /// There is something already.
    #[error("{0} exists already: choose another name, or move it away")]
    Exists(PathBuf),
    /// There is nothing.
    #[error("there is no database in {0}: check the name")]
    Missing(PathBuf),
    /// It is used by a server or another command.
    #[error("{0} is in use: end the server, and whatever else has it open, and try again")]
    InUse(PathBuf),
    /// It holds something and may not be replaced.
    #[error("{0} holds data: to replace it, say `--replace`; it is kept beside the new one")]
    Full(PathBuf),
    /// It is no copy of a control plane.
    #[error("{0} is no whole backup of a control plane: {1}")]
    Foreign(PathBuf, String),
    /// It was made by a newer version.
    #[error(
        "{path} was made at step {found} of the tables and this program knows up to {known}: use a newer purser-control"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Where it is.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError {
    |source| BackupError::File { path: path.to_owned(), source }
}

/// The file of a SQLite address.
///
/// # Errors
/// [`BackupError::NoFile`], or [`StoreError::Url`].
pub fn file_of(url: &str) -> Result<PathBuf, BackupError> {
    match Engine::of(url)? {
        Engine::Postgres => Err(BackupError::NoFile),
        Engine::Sqlite => {
            let rest = url.strip_prefix("sqlite:").unwrap_or_default();
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let path = rest.split('?').next().unwrap_or_default();
            let path = percent_decoded(path);
            if path.is_empty() { Err(StoreError::Url.into()) } else { Ok(PathBuf::from(path)) }
        }
    }
}

/// Addresses may write a blank as `%20`.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn connect(path: &Path, mode: &str) -> Result<AnyConnection, BackupError> {
    sqlx::any::install_default_drivers();
    // A path may hold what means something in an address.
    let written = path.to_string_lossy().replace('%', "%25").replace('?', "%3f");
    let mut connection = AnyConnection::connect(&format!("sqlite:{written}?mode={mode}")).await?;
    connection.execute("pragma busy_timeout = 2000").await?;
    Ok(connection)
}

/// Copies the database of `url` into `to`, which must not exist. Says how many bytes it has.
///
/// # Errors
/// [`BackupError`].
pub async fn copy(url: &str, to: &Path) -> Result<u64, BackupError> {
    let from = file_of(url)?;
    if !from.exists() {
        return Err(BackupError::Missing(from));
    }
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let unfinished = beside(to, "unfinished");
    drop(std::fs::remove_file(&unfinished));
    // SQLite fills an empty file; made here, it is private from its first byte.
    create_private_file(&unfinished).map_err(at(&unfinished))?;
    let done = copied(&from, &unfinished, to).await;
    if done.is_err() {
        drop(std::fs::remove_file(&unfinished));
    }
    done
}

async fn copied(from: &Path, unfinished: &Path, to: &Path) -> Result<u64, BackupError> {
    let mut connection = connect(from, "rw").await?;
    let name = unfinished.to_string_lossy().into_owned();
    sqlx::query("vacuum into $1").bind(name).execute(&mut connection).await?;
    connection.close().await?;
    examined(unfinished).await?;
    let file = File::open(unfinished).map_err(at(unfinished))?;
    file.sync_all().map_err(at(unfinished))?;
    let bytes = file.metadata().map_err(at(unfinished))?.len();
    drop(file);
    std::fs::hard_link(unfinished, to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => BackupError::File { path: to.to_owned(), source: error },
    })?;
    std::fs::remove_file(unfinished).map_err(at(unfinished))?;
    sync_dir(to.parent().unwrap_or(Path::new(""))).map_err(at(to))?;
    Ok(bytes)
}

/// Looks a copy through: every page, and whether it is ours.
async fn examined(path: &Path) -> Result<(), BackupError> {
    let foreign = |why: String| BackupError::Foreign(path.to_owned(), why);
    let mut connection = connect(path, "ro").await.map_err(|_| foreign("it is not a SQLite file".into()))?;
    let whole: String = sqlx::query_scalar("pragma integrity_check")
        .fetch_one(&mut connection)
        .await
        .map_err(|_| foreign("it is not a SQLite file".into()))?;
    if whole != "ok" {
        return Err(foreign("it is damaged".into()));
    }
    let step = sqlx::query_scalar::<_, i64>("select coalesce(max(number), 0) from migrations");
    let found =
        step.fetch_one(&mut connection).await.map_err(|_| foreign("its tables are not ours".into()))?;
    if found > NEWEST {
        return Err(BackupError::Newer { path: path.to_owned(), found, known: NEWEST });
    }
    connection.close().await?;
    Ok(())
}

/// Puts a copy in the place of the database of `url`, and notes that it was. What was there is kept beside it, under the
/// name that is answered.
///
/// # Errors
/// [`BackupError`]; the database is as it was then.
pub async fn put_back(
    from: &Path,
    url: &str,
    replace: bool,
    now: Millis,
) -> Result<Option<PathBuf>, BackupError> {
    let to = file_of(url)?;
    if !from.is_file() {
        return Err(BackupError::Missing(from.to_owned()));
    }
    examined(from).await?;
    let there = to.metadata().is_ok_and(|about| about.len() > 0);
    if there {
        free(&to).await?;
        if !replace {
            return Err(BackupError::Full(to));
        }
    }
    let fresh = beside(&to, "restoring");
    drop(std::fs::remove_file(&fresh));
    let done = prepare(from, &fresh, now).await;
    if let Err(error) = done {
        drop(std::fs::remove_file(&fresh));
        return Err(error);
    }
    let old = beside(&to, &format!("replaced-{now}"));
    if there {
        std::fs::rename(&to, &old).map_err(at(&to))?;
    }
    for ending in ["-wal", "-shm"] {
        let mut name = to.as_os_str().to_owned();
        name.push(ending);
        drop(std::fs::remove_file(name));
    }
    std::fs::rename(&fresh, &to).map_err(at(&to))?;
    sync_dir(to.parent().unwrap_or(Path::new(""))).map_err(at(&to))?;
    Ok(there.then_some(old))
}

/// Makes sure that nobody has the file open, and folds its journal into it. Leaving the journal's mode needs the file for
/// oneself, which SQLite refuses while another connection exists, also an idle one.
async fn free(path: &Path) -> Result<(), BackupError> {
    let mut connection = connect(path, "rw").await?;
    let mode =
        sqlx::query_scalar::<_, String>("pragma journal_mode = delete").fetch_one(&mut connection).await;
    connection.close().await?;
    match mode {
        Ok(mode) if mode == "delete" => Ok(()),
        Ok(_) | Err(_) => Err(BackupError::InUse(path.to_owned())),
    }
}

/// The copy under a name of its own, private, with the note that it was put back.
async fn prepare(from: &Path, fresh: &Path, now: Millis) -> Result<(), BackupError> {
    let mut source = File::open(from).map_err(at(from))?;
    let mut target = create_private_file(fresh).map_err(at(fresh))?;
    io::copy(&mut source, &mut target).map_err(at(fresh))?;
    target.sync_all().map_err(at(fresh))?;
    drop(target);
    make_private(fresh).map_err(at(fresh))?;
    let mut connection = connect(fresh, "rw").await?;
    connection.execute("create table if not exists restores (at bigint not null)").await?;
    sqlx::query("insert into restores (at) values ($1)").bind(now).execute(&mut connection).await?;
    connection.close().await?;
    File::open(fresh).and_then(|file| file.sync_all()).map_err(at(fresh))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests;
