//! Answers to creates that may be asked for again with the same `Idempotency-Key`. They can hold what is shown once
//! (a token, a code, a hook's address), so they are kept sealed; the key for it is made of the asker's own credential,
//! of which only a hash is kept.

use super::{Connection, StoreError};
use crate::clock::Millis;
use sqlx::Row as _;

/// How long an answer can be asked for again, in milliseconds.
pub const KEPT: Millis = 24 * 60 * 60 * 1000;

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has used it; it is taken now, by the transaction of the create.
    New,
    /// It was used for another request.
    OtherRequest,
    /// The create is done; this was the answer.
    Done {
        /// HTTP status.
        status: i64,
        /// The sealed answer.
        sealed: String,
    },
}

/// Takes a key, or says what was answered under it. The row that is inserted makes a second request with the same key
/// wait until this transaction is over, or fail on it.
///
/// # Errors
/// [`StoreError`].
pub async fn claim(
    connection: &mut Connection,
    owner: &str,
    key_hash: &str,
    request_hash: &str,
    now: Millis,
) -> Result<Claim, StoreError> {
    let old = "delete from answers where owner = $1 and key_hash = $2 and created_at <= $3";
    sqlx::query(old).bind(owner).bind(key_hash).bind(now - KEPT).execute(&mut *connection).await?;
    let take = "insert into answers (owner, key_hash, request_hash, created_at) values ($1, $2, $3, $4) \
                on conflict do nothing";
    let taken = sqlx::query(take)
        .bind(owner)
        .bind(key_hash)
        .bind(request_hash)
        .bind(now)
        .execute(&mut *connection)
        .await?;
    if taken.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    let found = "select request_hash, status, sealed from answers where owner = $1 and key_hash = $2";
    let row = sqlx::query(found).bind(owner).bind(key_hash).fetch_one(connection).await?;
    if row.try_get::<String, _>("request_hash")? != request_hash {
        return Ok(Claim::OtherRequest);
    }
    let (status, sealed): (Option<i64>, Option<String>) = (row.try_get("status")?, row.try_get("sealed")?);
    match status.zip(sealed) {
        Some((status, sealed)) => Ok(Claim::Done { status, sealed }),
        None => Err(StoreError::damaged("answer", key_hash, "it was never finished")),
    }
}

/// Keeps the answer, in the transaction that took the key.
///
/// # Errors
/// [`StoreError`].
pub async fn finish(
    connection: &mut Connection,
    owner: &str,
    key_hash: &str,
    status: i64,
    sealed: &str,
) -> Result<(), StoreError> {
    sqlx::query("update answers set status = $3, sealed = $4 where owner = $1 and key_hash = $2")
        .bind(owner)
        .bind(key_hash)
        .bind(status)
        .bind(sealed)
        .execute(connection)
        .await?;
    Ok(())
}

/// Throws away what is too old.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(connection: &mut Connection, now: Millis) -> Result<u64, StoreError> {
    let old = sqlx::query("delete from answers where created_at <= $1").bind(now - KEPT);
    Ok(old.execute(connection).await?.rows_affected())
}
