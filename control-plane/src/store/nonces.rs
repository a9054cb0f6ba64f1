//! Nonces that were used. They are in the database, not in a node's memory, so that a request is refused when it is
//! repeated at another node or after a restart. Up to when they are forgotten is kept too: a clock that goes back does not
//! make a request count again whose nonce is gone.

use super::error::StoreError;
use super::{Connection, Tx, times};
use crate::clock::Millis;

/// Remembers the nonce of what was signed at `signed_at`; `false` when it was used before, or may have been: the nonces of
/// that time are forgotten.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn remember(
    tx: &mut Tx,
    agent: &str,
    nonce: &str,
    signed_at: Millis,
    at: Millis,
) -> Result<bool, StoreError> {
    let insert = sqlx::query(
        "insert into nonces (agent, nonce, at) select $1, $2, $3
         where not exists (select 1 from times where name = $4 and at > $5) on conflict do nothing",
    );
    let insert = insert.bind(agent).bind(nonce).bind(at).bind(times::NONCES).bind(signed_at);
    let done = insert.execute(tx.connection()).await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets those that were written before `before`; what was signed before `signed_before` is refused from then on. Answers
/// how many.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn forget(tx: &mut Tx, before: Millis, signed_before: Millis) -> Result<u64, StoreError> {
    times::set(tx, times::NONCES, signed_before).await?;
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
