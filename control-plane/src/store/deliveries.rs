//! What waits for agents. A delivery is given out until the agent says that it has taken it, and deleted then; its id is
//! never used again.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use purser_proto::link::sync::{Delivery, DeliveryBody};
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// Something new that waits.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Unique for ever; what it belongs to has the same.
    pub id: String,
    /// Whose agent.
    pub tenant: String,
    /// Which agent.
    pub agent: String,
    /// The hook that it came by.
    pub hook: Option<String>,
    /// Number of the revision that it brings.
    pub number: Option<i64>,
    /// The body, as [`body_text`] makes it.
    pub body: String,
    /// Kind of the body.
    pub kind: &'static str,
    /// When it is not given out any more.
    pub expires_at: Option<Millis>,
}

/// What one answer may hold, in bytes of bodies; the rest comes with the next.
const ANSWER: i64 = 6 << 20;

/// A body as it is kept.
///
/// # Errors
/// [`StoreError::Damaged`] when it cannot be written as JSON.
pub fn body_text(id: &str, body: &DeliveryBody) -> Result<String, StoreError> {
    serde_json::to_string(body).map_err(|why| StoreError::damaged("delivery", id, why))
}

/// Lets something wait, and wakes the agent.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn insert(tx: &mut Tx, new: &NewDelivery, at: Millis) -> Result<(), StoreError> {
    sqlx::query(
        "insert into deliveries (id, tenant, agent, kind, hook, number, body, bytes, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(new.id.as_str())
    .bind(new.tenant.as_str())
    .bind(new.agent.as_str())
    .bind(new.kind)
    .bind(new.hook.clone())
    .bind(new.number)
    .bind(new.body.as_str())
    .bind(i64::try_from(new.body.len()).unwrap_or(i64::MAX))
    .bind(at)
    .bind(new.expires_at)
    .execute(tx.connection())
    .await?;
    tx.wake(&new.agent);
    Ok(())
}

/// What waits for an agent, in order, as much as one answer may hold. Revisions that are not newer than `in_force` are left
/// out: an agent never goes back silently, also not after the database was restored.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Damaged`].
pub async fn waiting(
    connection: &mut Connection,
    agent: &str,
    in_force: i64,
    at: Millis,
) -> Result<Vec<Delivery>, StoreError> {
    let query = sqlx::query(
        "select id, body from (
             select id, body, seq, sum(bytes) over (order by seq) - bytes as before from (
                 select id, body, seq, bytes from deliveries
                 where agent = $1 and (expires_at is null or expires_at > $2) and (number is null or number > $3)
                 order by seq limit 256
             ) as first
         ) as summed where before < $4 order by seq",
    );
    let rows = query.bind(agent).bind(at).bind(in_force).bind(ANSWER).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Deletes what the agent has taken; answers which of `ids` were there.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn taken(tx: &mut Tx, agent: &str, ids: &[&str], at: Millis) -> Result<(), StoreError> {
    for id in ids {
        let delete = sqlx::query("delete from deliveries where agent = $1 and id = $2");
        if delete.bind(agent).bind(*id).execute(tx.connection()).await?.rows_affected() == 0 {
            continue;
        }
        // What a delivery belongs to has the same id, and ids begin with their kind.
        let note = match id.chars().next() {
            Some('r') => {
                "update revisions set taken_at = $1, state = 'taken' where delivery = $2 and state = 'waiting'"
            }
            Some('c') => {
                "update commands set taken_at = $1, state = 'taken' where id = $2 and state = 'waiting'"
            }
            Some('s') => "update secrets set state = 'taken' where id = $2 and $1 > 0 and state = 'waiting'",
            _ => continue,
        };
        sqlx::query(note).bind(at).bind(*id).execute(tx.connection()).await?;
    }
    Ok(())
}

/// Deletes what is too old to be given out; answers how much.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn expire(tx: &mut Tx, at: Millis) -> Result<u64, StoreError> {
    let delete = sqlx::query("delete from deliveries where expires_at is not null and expires_at <= $1");
    Ok(delete.bind(at).execute(tx.connection()).await?.rows_affected())
}

/// How many wait for an agent.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn count(connection: &mut Connection, agent: &str) -> Result<i64, StoreError> {
    let query = sqlx::query_scalar("select count(*) from deliveries where agent = $1");
    Ok(query.bind(agent).fetch_one(connection).await?)
}

fn read(row: &AnyRow) -> Result<Delivery, StoreError> {
    let id: String = row.try_get("id")?;
    let body: String = row.try_get("body")?;
    let body = serde_json::from_str(&body).map_err(|why| StoreError::damaged("delivery", &id, why))?;
    Ok(Delivery { id: id.into(), body })
}
