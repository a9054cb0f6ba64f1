//! Turns: what only one of several nodes may do at a time. A turn ends by itself, so a node that dies holds nobody up.

use super::Tx;
use super::error::StoreError;
use crate::clock::Millis;

/// The clocks of two nodes differ by less.
const TOLERANCE: Millis = 60_000;

/// Takes or keeps a turn for a while; `false` when another node has it. One that ends later than any that begins now was
/// taken by a clock that was ahead, and is nobody's.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn take(
    tx: &mut Tx,
    name: &str,
    holder: &str,
    millis: Millis,
    now: Millis,
) -> Result<bool, StoreError> {
    let take = sqlx::query(
        "insert into turns (name, holder, ends_at) values ($1, $2, $3) on conflict (name) do update set holder = \
         excluded.holder, ends_at = excluded.ends_at where turns.holder = excluded.holder or turns.ends_at <= $4 or \
         turns.ends_at > $5",
    );
    let take = take.bind(name).bind(holder).bind(now + millis).bind(now);
    let take = take.bind(now + millis + TOLERANCE);
    Ok(take.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Writes a row that means nothing: a transaction without one does not show that the disk takes any.
///
/// # Errors
/// [`StoreError::Database`].
pub(super) async fn note_commit(tx: &mut Tx) -> Result<(), StoreError> {
    let note = sqlx::query(
        "insert into turns (name, holder, ends_at) values ('readiness', '', 1) on conflict (name) do update set ends_at \
         = turns.ends_at % 2 + 1",
    );
    note.execute(tx.connection()).await?;
    Ok(())
}
