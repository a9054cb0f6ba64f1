//! What waits for agents. A delivery is given out until the agent says that it has taken it, and deleted then; its id is
//! never used again.

use super::error::StoreError;
use super::reports::{Origin, notice};
use super::{Connection, Store, Tx};
use crate::clock::Millis;
use purser_proto::link::report::{Notice, NoticeLevel};
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

/// What waits for an agent, in order, as much as one answer may hold. A webhook is given out as long as it is there. Revisions that are not newer than `in_force` are left
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
                 where agent = $1 and (expires_at is null or expires_at > $2 or kind = 'webhook') and (number is null or number > $3)
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

/// For how long the expired webhooks of a hook are gathered: there is one notice of them in this time.
const GATHERED: Millis = 3_600_000;

/// A hook of which webhooks have waited for too long.
struct Overdue {
    tenant: String,
    agent: String,
    hook: String,
    connection: String,
}

/// Deletes what is too old to be given out; answers how much. Of webhooks the tenant is told, because they are lost.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn expire(store: &Store, now: Millis) -> Result<u64, StoreError> {
    let mut expired = store.write(move |tx| Box::pin(expire_others(tx, now))).await?;
    let overdue = overdue(&mut *store.read().await?, now - GATHERED).await?;
    for one in overdue {
        expired +=
            store.write(move |tx| Box::pin(async move { expire_webhooks(tx, &one, now).await })).await?;
    }
    Ok(expired)
}

async fn expire_others(tx: &mut Tx, now: Millis) -> Result<u64, StoreError> {
    let delete = sqlx::query("delete from deliveries where expires_at <= $1 and hook is null");
    Ok(delete.bind(now).execute(tx.connection()).await?.rows_affected())
}

async fn overdue(connection: &mut Connection, before: Millis) -> Result<Vec<Overdue>, StoreError> {
    let query = sqlx::query(
        "select id, tenant, agent, connection from hooks
         where id in (select hook from deliveries where expires_at <= $1 and hook is not null)",
    );
    let rows = query.bind(before).fetch_all(connection).await?;
    let read = |row: &AnyRow| {
        Ok(Overdue {
            tenant: row.try_get("tenant")?,
            agent: row.try_get("agent")?,
            hook: row.try_get("id")?,
            connection: row.try_get("connection")?,
        })
    };
    rows.iter().map(read).collect()
}

async fn expire_webhooks(tx: &mut Tx, of: &Overdue, now: Millis) -> Result<u64, StoreError> {
    let delete = sqlx::query("delete from deliveries where hook = $1 and expires_at <= $2");
    let expired = delete.bind(of.hook.as_str()).bind(now).execute(tx.connection()).await?.rows_affected();
    // Another node may have been faster.
    if expired > 0 {
        let told = Notice {
            level: NoticeLevel::Warning,
            code: "webhooks-expired".into(),
            concerns: Some(of.connection.as_str().into()),
            what: format!(
                "{expired} webhooks of {} were deleted: the agent did not fetch them as long as the hook keeps them",
                of.connection
            )
            .into(),
            fix: "see why the agent does not fetch them; the schedule of its flows reads the same records".into(),
        };
        notice(tx, &of.tenant, &of.agent, Origin::ControlPlane, &told, now, now).await?;
        tracing::warn!(tenant = of.tenant, agent = of.agent, expired, "webhooks expired that nobody fetched");
    }
    Ok(expired)
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
