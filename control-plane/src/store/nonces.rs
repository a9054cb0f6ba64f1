//! Nonces that were used. They are in the database, not in a node's memory, so that a request is refused when it is
//! repeated at another node or after a restart.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;

/// Remembers a nonce; `false` when it was used before.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn remember(tx: &mut Tx, agent: &str, nonce: &str, at: Millis) -> Result<bool, StoreError> {
    let insert =
        sqlx::query("insert into nonces (agent, nonce, at) values ($1, $2, $3) on conflict do nothing");
    let done = insert.bind(agent).bind(nonce).bind(at).execute(tx.connection()).await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets those whose assertions are too old by now anyway; answers how many.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn forget(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    let delete = sqlx::query("delete from nonces where at < $1");
    Ok(delete.bind(before).execute(tx.connection()).await?.rows_affected())
}

/// How many are remembered.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn count(connection: &mut Connection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from nonces").fetch_one(connection).await?)
}
