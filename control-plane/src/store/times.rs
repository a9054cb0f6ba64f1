//! Moments that outlive a process, by name.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;

/// What jobs last took for the present.
pub const PRESENT: &str = "present";
/// Nonces of assertions from before this are forgotten.
pub const NONCES: &str = "nonces";

/// A moment, if it was kept.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn get(connection: &mut Connection, name: &str) -> Result<Option<Millis>, StoreError> {
    Ok(sqlx::query_scalar("select at from times where name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?)
}

/// Keeps a moment.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set(tx: &mut Tx, name: &str, at: Millis) -> Result<(), StoreError> {
    let set = sqlx::query(
        "insert into times (name, at) values ($1, $2) on conflict (name) do update set at = excluded.at",
    );
    set.bind(name).bind(at).execute(tx.connection()).await?;
    Ok(())
}
