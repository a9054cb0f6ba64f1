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

/// Further ahead than the clocks of nodes and the leases of messages may be.
const TOLERANCE: Millis = 120_000;

/// What a clock that was ahead has left: until that time comes, an agent would not fall silent, a message not be sent, a
/// nonce not be forgotten. `$1` is the present, `$2` what is too far ahead of it.
const AHEAD: &[&str] = &[
    "update agents set last_seen = $1 where last_seen > $2",
    "update nonces set at = $1 where at > $2",
    "update alerts set seen_at = $1 where open = 1 and seen_at > $2",
    "update alerts set told_at = $1 where open = 1 and told_at > $2",
    "update alert_settings set digest_day = $1 / 86400000 where digest_day > $2 / 86400000 + 1",
    "update alert_messages set leased_until = $1 where next_at is not null and leased_until > $2",
    "update alert_messages set next_at = $1 where created_at > $2 and next_at > $2",
];

/// Takes what was written by a clock that was ahead for written now; answers how many rows.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn bring_back(tx: &mut Tx, now: Millis) -> Result<u64, StoreError> {
    let mut rows = 0;
    for statement in AHEAD {
        let update = sqlx::query(*statement).bind(now).bind(now.saturating_add(TOLERANCE));
        rows += update.execute(tx.connection()).await?.rows_affected();
    }
    Ok(rows)
}
