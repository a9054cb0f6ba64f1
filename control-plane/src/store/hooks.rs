//! Hooks: addresses that senders of webhooks call, one per connection. An address is long and unguessable, but no
//! credential: an agent believes only what the sender has signed. It is told when the hook is made and found by its hash.
//!
//! What a newcomer gets wrong: a hook's id is its name, which everybody may see, and no part of its address.

mod address;

pub use address::AddressHash;

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use address::Address;
use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, tenant, agent, connection, headers, largest_body, per_second, burst, most_bytes, \
         keep_millis, created_by, created_at, received, refused, last_at, disabled_at"
    };
}

/// Largest body of any hook: sealed and encoded it still fits into one delivery.
pub const LARGEST_BODY: i64 = 1 << 20;
/// Most headers that a hook keeps beside those that all keep.
const MOST_HEADERS: usize = 16;
/// Headers that are never kept: they are credentials of the sender, not of the webhook.
const NEVER: &[&str] = &["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// What a hook takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// Largest body, in bytes.
    pub largest_body: i64,
    /// How many a second, in the long run, per node.
    pub per_second: i64,
    /// How many at once.
    pub burst: i64,
    /// How many bytes wait for the agent at most.
    pub most_bytes: i64,
    /// How long one waits for the agent, in milliseconds.
    pub keep: Millis,
}

impl Default for Ceilings {
    /// A burst of 10,000, a week of waiting.
    fn default() -> Self {
        Self {
            largest_body: LARGEST_BODY,
            per_second: 500,
            burst: 10_000,
            most_bytes: 256 << 20,
            keep: 7 * 86_400_000,
        }
    }
}

/// What a new hook is to be.
#[derive(Clone, Debug)]
pub struct NewHook {
    /// Whose agent.
    pub tenant: String,
    /// Which agent.
    pub agent: String,
    /// Which of its connections.
    pub connection: String,
    /// Headers that are kept beside `svix-*`, `webhook-*`, `concur-*` and the content type: where the sender puts a shared
    /// secret, or a proxy the subject of the sender's certificate.
    pub headers: Vec<String>,
    /// What it takes.
    pub ceilings: Ceilings,
    /// Who makes it.
    pub by: String,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name, `h…`.
    pub id: String,
    /// Whose.
    pub tenant: String,
    /// Which agent.
    pub agent: String,
    /// Which of its connections.
    pub connection: String,
    /// Headers that are kept beside those that all keep, lower case.
    pub headers: Vec<String>,
    /// What it takes.
    pub ceilings: Ceilings,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Millis,
    /// How many it took.
    pub received: i64,
    /// How many it sent away.
    pub refused: i64,
    /// When it took the last one.
    pub last_at: Option<Millis>,
    /// Since when it takes nothing; nothing while it does.
    pub disabled_at: Option<Millis>,
}

/// A hook that was just made; only here is its address.
#[derive(Debug)]
pub struct Made {
    /// The hook.
    pub hook: Hook,
    address: Address,
}

impl Made {
    /// The path that the sender is to call. To be shown once, to whoever asked for the hook.
    pub fn path(&self) -> String {
        self.address.path()
    }
}

/// Makes a hook.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent, [`StoreError::Conflict`] for ceilings or headers that are not
/// allowed.
pub async fn create(tx: &mut Tx, new: &NewHook, at: Millis) -> Result<Made, StoreError> {
    let agent = super::agents::of(tx.connection(), &new.tenant, &new.agent).await?;
    if new.connection.is_empty() || new.connection.len() > 128 {
        return Err(StoreError::Conflict("a connection's id has 1 to 128 bytes".into()));
    }
    allowed(&new.ceilings)?;
    let headers = headers(&new.headers)?;
    let address = Address::draw()?;
    let id = address.name();
    let kept = serde_json::to_string(&headers).map_err(|why| damaged(&id, why))?;
    sqlx::query(
        "insert into hooks
         (id, address_hash, tenant, agent, connection, created_by, created_at, headers, largest_body, per_second, burst,
          most_bytes, keep_millis)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(id.as_str())
    .bind(address.hash().text())
    .bind(new.tenant.as_str())
    .bind(agent.id.as_str())
    .bind(new.connection.as_str())
    .bind(new.by.as_str())
    .bind(at)
    .bind(kept)
    .bind(new.ceilings.largest_body)
    .bind(new.ceilings.per_second)
    .bind(new.ceilings.burst)
    .bind(new.ceilings.most_bytes)
    .bind(new.ceilings.keep)
    .execute(tx.connection())
    .await?;
    let hook = of(tx.connection(), &new.tenant, &id).await?;
    Ok(Made { hook, address })
}

/// Gives a hook another address, under another name; the one until now is nobody's. Whether it is switched off stays.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn rotate(tx: &mut Tx, tenant: &str, id: &str, by: &str, at: Millis) -> Result<Made, StoreError> {
    let Hook { agent, connection, headers, ceilings, disabled_at, .. } =
        of(tx.connection(), tenant, id).await?;
    let new = NewHook { tenant: tenant.to_owned(), agent, connection, headers, ceilings, by: by.to_owned() };
    delete(tx, tenant, id, at).await?;
    let Made { hook, address } = create(tx, &new, at).await?;
    disable(tx, tenant, &hook.id, disabled_at).await?;
    Ok(Made { hook: Hook { disabled_at, ..hook }, address })
}

fn allowed(ceilings: &Ceilings) -> Result<(), StoreError> {
    let good = (1..=LARGEST_BODY).contains(&ceilings.largest_body)
        && (1..=100_000).contains(&ceilings.per_second)
        && (1..=1_000_000).contains(&ceilings.burst)
        && (ceilings.largest_body..=(1 << 40)).contains(&ceilings.most_bytes)
        && (60_000..=90 * 86_400_000).contains(&ceilings.keep);
    if good {
        return Ok(());
    }
    let words = format!(
        "a hook takes bodies of 1 to {LARGEST_BODY} bytes, 1 to 100000 a second, 1 to 1000000 at once, keeps at least one \
         body and at most 1 TiB, from a minute to 90 days"
    );
    Err(StoreError::Conflict(words))
}

fn headers(names: &[String]) -> Result<Vec<String>, StoreError> {
    if names.len() > MOST_HEADERS {
        return Err(StoreError::Conflict(format!("a hook keeps at most {MOST_HEADERS} further headers")));
    }
    let names: Vec<String> = names.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    let is_name = |name: &String| {
        !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match names.iter().find(|name| !is_name(name) || NEVER.contains(&name.as_str())) {
        Some(bad) => Err(StoreError::Conflict(format!("`{bad}` is no header that a hook keeps"))),
        None => Ok(names),
    }
}

/// The hook of an address, whosever it is, if it was not deleted and its agent was not revoked; with the recipient that it
/// seals to.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Damaged`].
pub async fn by_address(
    connection: &mut Connection,
    address: &AddressHash,
) -> Result<Option<(Hook, String)>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        ", recipient from hooks
         join (select id as owner, recipient, revoked_at from agents) as agents on agents.owner = hooks.agent
         where address_hash = $1 and deleted_at is null and revoked_at is null"
    ));
    let row = query.bind(address.text()).fetch_optional(connection).await?;
    row.as_ref().map(|row| Ok((read(row)?, row.try_get("recipient")?))).transpose()
}

/// The addresses of hooks that are not deleted and whose agent is not revoked, made since a moment, the newest first, at most
/// so many; each with the moment. One at a time, because there may be many.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Damaged`].
pub async fn live(
    connection: &mut Connection,
    since: Millis,
    most: usize,
    mut each: impl FnMut(AddressHash, Millis),
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "select hooks.id, address_hash, hooks.created_at as made_at from hooks join agents on agents.id = hooks.agent
         where hooks.created_at >= $1 and deleted_at is null and revoked_at is null
         order by hooks.created_at desc limit $2",
    );
    let mut rows = query.bind(since).bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (id, hash): (String, String) = (row.try_get("id")?, row.try_get("address_hash")?);
        let hash = AddressHash::read(&hash).map_err(|why| StoreError::damaged("hook", &id, why))?;
        each(hash, row.try_get("made_at")?);
    }
    Ok(())
}

/// A tenant's hook.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn of(connection: &mut Connection, tenant: &str, id: &str) -> Result<Hook, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from hooks where id = $1 and tenant = $2 and deleted_at is null"
    ));
    let row = query.bind(id).bind(tenant).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::missing("hook", id))
}

/// An agent's hooks.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Damaged`].
pub async fn of_agent(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
) -> Result<Vec<Hook>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from hooks where tenant = $1 and agent = $2 and deleted_at is null order by created_at, id"
    ));
    query.bind(tenant).bind(agent).fetch_all(connection).await?.iter().map(read).collect()
}

/// Deletes a hook. What it took and the agent has not yet fetched stays.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn delete(tx: &mut Tx, tenant: &str, id: &str, at: Millis) -> Result<(), StoreError> {
    let update =
        sqlx::query("update hooks set deleted_at = $1 where id = $2 and tenant = $3 and deleted_at is null");
    let done = update.bind(at).bind(id).bind(tenant).execute(tx.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::missing("hook", id)) }
}

/// Switches a hook off, from a moment on, or on again. Its address stays, and what it took stays.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn disable(tx: &mut Tx, tenant: &str, id: &str, since: Option<Millis>) -> Result<(), StoreError> {
    let update =
        sqlx::query("update hooks set disabled_at = $1 where id = $2 and tenant = $3 and deleted_at is null");
    let done = update.bind(since).bind(id).bind(tenant).execute(tx.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::missing("hook", id)) }
}

/// How many bytes wait that came by a hook.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn stored(connection: &mut Connection, id: &str) -> Result<i64, StoreError> {
    let query =
        sqlx::query_scalar("select cast(coalesce(sum(bytes), 0) as bigint) from deliveries where hook = $1");
    Ok(query.bind(id).fetch_one(connection).await?)
}

/// Adds to what a hook has counted.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn count(
    tx: &mut Tx,
    id: &str,
    received: i64,
    refused: i64,
    last: Option<Millis>,
) -> Result<(), StoreError> {
    let update = sqlx::query(
        "update hooks set received = received + $1, refused = refused + $2, last_at = coalesce($3, last_at)
         where id = $4",
    );
    update.bind(received).bind(refused).bind(last).bind(id).execute(tx.connection()).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Hook, StoreError> {
    let id: String = row.try_get("id")?;
    let headers: String = row.try_get("headers")?;
    Ok(Hook {
        tenant: row.try_get("tenant")?,
        agent: row.try_get("agent")?,
        connection: row.try_get("connection")?,
        headers: serde_json::from_str(&headers).map_err(|why| damaged(&id, why))?,
        ceilings: Ceilings {
            largest_body: row.try_get("largest_body")?,
            per_second: row.try_get("per_second")?,
            burst: row.try_get("burst")?,
            most_bytes: row.try_get("most_bytes")?,
            keep: row.try_get("keep_millis")?,
        },
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        received: row.try_get("received")?,
        refused: row.try_get("refused")?,
        last_at: row.try_get("last_at")?,
        disabled_at: row.try_get("disabled_at")?,
        id,
    })
}

fn damaged(id: &str, why: serde_json::Error) -> StoreError {
    StoreError::damaged("hook", id, why)
}
