//! Messages about alerts that wait to be sent. They are written with the change that they tell of, and each attempt is
//! taken by one node for a while, so that a node that dies in the middle delays a message and loses none.

use super::alerts::{Destination, Way};
use super::error::StoreError;
use super::{Connection, Tx};
use crate::alerts::message::Message;
use crate::clock::Millis;
use crate::secrets::draw_id;
use sqlx::Row as _;

/// How long a node has for one attempt.
const LEASE: Millis = 60_000;

/// A message that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: String,
    /// The tenant.
    pub tenant: String,
    /// To whom.
    pub destination: String,
    /// Subject of a mail.
    pub subject: String,
    /// JSON of a webhook, or text of a mail.
    pub body: String,
    /// Attempts before this one.
    pub attempts: i64,
}

/// A message that was sent, or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// Type of the event.
    pub event: String,
    /// When it was written.
    pub created_at: Millis,
    /// `waiting`, `delivered` or `given-up`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i64,
    /// When it is tried next.
    pub next_at: Option<Millis>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Puts a message into the queue of a destination.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn enqueue(
    tx: &mut Tx,
    to: &Destination,
    message: &Message,
    now: Millis,
) -> Result<String, StoreError> {
    let id = draw_id('m')?;
    let body = match to.way {
        Way::Webhook => &message.json,
        Way::Mail => &message.text,
    };
    let insert = sqlx::query(
        "insert into alert_messages (id, tenant, destination, event, subject, body, created_at, next_at, state) values \
         ($1, $2, $3, $4, $5, $6, $7, $7, 'waiting')",
    );
    let insert = insert.bind(id.as_str()).bind(to.tenant.as_str()).bind(to.id.as_str()).bind(message.event);
    insert.bind(message.subject.as_str()).bind(body.as_str()).bind(now).execute(tx.connection()).await?;
    Ok(id)
}

/// Whether anything is due.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn any_due(connection: &mut Connection, now: Millis) -> Result<bool, StoreError> {
    let query =
        sqlx::query("select id from alert_messages where next_at <= $1 and leased_until <= $1 limit 1");
    Ok(query.bind(now).fetch_optional(connection).await?.is_some())
}

/// Takes what is due, at most `most`, for a while; nobody else takes it in that time.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn take_due(tx: &mut Tx, most: i64, now: Millis) -> Result<Vec<Due>, StoreError> {
    let query = sqlx::query(
        "select * from alert_messages where next_at <= $1 and leased_until <= $1 order by next_at, id limit $2",
    );
    let rows = query.bind(now).bind(most).fetch_all(tx.connection()).await?;
    let mut taken = Vec::new();
    for row in rows {
        let due = Due {
            id: row.try_get("id")?,
            tenant: row.try_get("tenant")?,
            destination: row.try_get("destination")?,
            subject: row.try_get("subject")?,
            body: row.try_get("body")?,
            attempts: row.try_get("attempts")?,
        };
        let lease = sqlx::query(
            "update alert_messages set leased_until = $2 where id = $1 and leased_until <= $3 and next_at is not null",
        );
        let lease = lease.bind(due.id.as_str()).bind(now + LEASE).bind(now);
        if lease.execute(tx.connection()).await?.rows_affected() == 1 {
            taken.push(due);
        }
    }
    Ok(taken)
}

/// Notes that a message has arrived.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn delivered(tx: &mut Tx, due: &Due, now: Millis) -> Result<(), StoreError> {
    let update = sqlx::query(
        "update alert_messages set state = 'delivered', attempts = $2, next_at = null, finished_at = $3, last_error = \
         null where id = $1",
    );
    update.bind(due.id.as_str()).bind(due.attempts + 1).bind(now).execute(tx.connection()).await?;
    let well = sqlx::query(
        "update alert_destinations set failing_since = null, last_error = null where id = $1 and failing_since is not null",
    );
    well.bind(due.destination.as_str()).execute(tx.connection()).await?;
    Ok(())
}

/// Notes that an attempt failed, and when the next one is; `None` = it is given up.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn failed(
    tx: &mut Tx,
    due: &Due,
    why: &str,
    next_at: Option<Millis>,
    now: Millis,
) -> Result<(), StoreError> {
    let state = if next_at.is_some() { "waiting" } else { "given-up" };
    let update = sqlx::query(
        "update alert_messages set state = $2, attempts = $3, next_at = $4, leased_until = 0, finished_at = $5, last_error \
         = $6 where id = $1",
    );
    let update = update.bind(due.id.as_str()).bind(state).bind(due.attempts + 1).bind(next_at);
    update.bind(next_at.is_none().then_some(now)).bind(why).execute(tx.connection()).await?;
    let ill = sqlx::query(
        "update alert_destinations set failing_since = coalesce(failing_since, $2), last_error = $3 where id = $1",
    );
    ill.bind(due.destination.as_str()).bind(now).bind(why).execute(tx.connection()).await?;
    Ok(())
}

/// Tells a destination nothing more, because it wants nothing more.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn silence(tx: &mut Tx, destination: &str, now: Millis) -> Result<(), StoreError> {
    let update = sqlx::query("update alert_destinations set enabled = 0 where id = $1");
    update.bind(destination).execute(tx.connection()).await?;
    let rest = sqlx::query(
        "update alert_messages set state = 'given-up', next_at = null, finished_at = $2 where destination = $1 and state = \
         'waiting'",
    );
    rest.bind(destination).bind(now).execute(tx.connection()).await?;
    Ok(())
}

/// What was sent to a destination, the newest first.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn sent(
    connection: &mut Connection,
    tenant: &str,
    destination: &str,
    most: i64,
) -> Result<Vec<Sent>, StoreError> {
    let query = sqlx::query(
        "select * from alert_messages where tenant = $1 and destination = $2 order by created_at desc, id limit $3",
    );
    let rows = query.bind(tenant).bind(destination).bind(most).fetch_all(connection).await?;
    let read = |row: &sqlx::any::AnyRow| {
        Ok(Sent {
            id: row.try_get("id")?,
            event: row.try_get("event")?,
            created_at: row.try_get("created_at")?,
            state: row.try_get("state")?,
            attempts: row.try_get("attempts")?,
            next_at: row.try_get("next_at")?,
            last_error: row.try_get("last_error")?,
        })
    };
    rows.iter().map(read).collect()
}
