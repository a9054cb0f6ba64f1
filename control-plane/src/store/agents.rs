//! Agents: who they are, by public keys only, and the little that changes with each exchange.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use purser_proto::link::enrollment::PublicKeys;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, tenant, name, host, platform, agent_version, signing, recipient, fingerprint, \
         previous_signing, enrolled_at, approved_at, revoked_at, last_seen, instance, \
         instance_started, instance_since, lineage_started, challenger, challenger_started, \
         reported, in_force, in_force_hash, audit_entries, audit_head, template, template_values"
    };
}

/// An agent as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its id, `a…`.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// What people call it.
    pub name: String,
    /// What its machine calls itself.
    pub host: String,
    /// Operating system and processor.
    pub platform: String,
    /// Its version, as it said last.
    pub agent_version: String,
    /// Ed25519 public key, hexadecimal.
    pub signing: String,
    /// age recipient.
    pub recipient: String,
    /// What people compare.
    pub fingerprint: String,
    /// The signing key before this one: a repeated rotation is signed with it.
    pub previous_signing: Option<String>,
    /// When it enrolled.
    pub enrolled_at: Millis,
    /// When a person approved it, or when it enrolled if nobody has to.
    pub approved_at: Option<Millis>,
    /// Who revoked it is in the audit log; since when it is refused.
    pub revoked_at: Option<Millis>,
    /// When it spoke last, to half a minute.
    pub last_seen: Option<Millis>,
    /// The life of it that works.
    pub life: Option<Life>,
    /// A younger life that spoke while the other one may still work.
    pub challenger: Option<Challenger>,
    /// Reports up to this id are kept.
    pub reported: i64,
    /// Number of the revision that it works with; 0 = its own file.
    pub in_force: i64,
    /// Hash of that.
    pub in_force_hash: String,
    /// End of its audit trail: entries and hash.
    pub audit: Option<(i64, String)>,
    /// The template that its configuration is made of.
    pub template: Option<String>,
    /// The values of the template, JSON.
    pub template_values: String,
}

/// The life of an agent that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its id.
    pub instance: String,
    /// When it started, by its own clock.
    pub started: Millis,
    /// Since when it is the one that works.
    pub since: Millis,
    /// When the first life of its machine started: restarts do not make a machine younger.
    pub lineage_started: Millis,
}

/// A life that wants to take the place of the one that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenger {
    /// Its id.
    pub instance: String,
    /// When it started, by its own clock.
    pub started: Millis,
}

/// What a new agent is.
#[derive(Clone, Debug)]
pub struct NewAgent {
    /// Its id.
    pub id: String,
    /// Whose.
    pub tenant: String,
    /// What people call it.
    pub name: String,
    /// What its machine calls itself.
    pub host: String,
    /// Operating system and processor.
    pub platform: String,
    /// Its version.
    pub agent_version: String,
    /// Its public keys.
    pub keys: PublicKeys,
    /// Whether nobody has to approve it.
    pub approved: bool,
}

/// Adds an agent.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn insert(tx: &mut Tx, new: &NewAgent, at: Millis) -> Result<(), StoreError> {
    sqlx::query(
        "insert into agents
         (id, tenant, name, host, platform, agent_version, signing, recipient, fingerprint, enrolled_at, approved_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(new.id.as_str())
    .bind(new.tenant.as_str())
    .bind(new.name.as_str())
    .bind(new.host.as_str())
    .bind(new.platform.as_str())
    .bind(new.agent_version.as_str())
    .bind(new.keys.signing.as_str())
    .bind(new.keys.recipient.as_str())
    .bind(new.keys.fingerprint())
    .bind(at)
    .bind(new.approved.then_some(at))
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The agent of an id, whosever it is: for the link, where the agent proves who it is.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn by_id(connection: &mut Connection, id: &str) -> Result<Option<Agent>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from agents where id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// A tenant's agent.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent.
pub async fn of(connection: &mut Connection, tenant: &str, id: &str) -> Result<Agent, StoreError> {
    let query = sqlx::query(concat!("select ", columns!(), " from agents where id = $1 and tenant = $2"));
    let row = query.bind(id).bind(tenant).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::missing("agent", id))
}

/// A tenant's agents by id, those after `after`, at most `most`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn of_tenant(
    connection: &mut Connection,
    tenant: &str,
    after: &str,
    most: i64,
) -> Result<Vec<Agent>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from agents where tenant = $1 and id > $2 order by id limit $3"
    ));
    query.bind(tenant).bind(after).bind(most).fetch_all(connection).await?.iter().map(read).collect()
}

/// Lets the link carry something, after a person has compared the fingerprint.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent.
pub async fn approve(tx: &mut Tx, tenant: &str, id: &str, by: &str, at: Millis) -> Result<(), StoreError> {
    let update = sqlx::query(
        "update agents set approved_at = coalesce(approved_at, $1), approved_by = coalesce(approved_by, $2)
         where id = $3 and tenant = $4",
    );
    let done = update.bind(at).bind(by).bind(id).bind(tenant).execute(tx.connection()).await?;
    tx.wake(id);
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::missing("agent", id)) }
}

/// Refuses the agent from here on, also where it waits.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent.
pub async fn revoke(tx: &mut Tx, tenant: &str, id: &str, by: &str, at: Millis) -> Result<(), StoreError> {
    let update = sqlx::query(
        "update agents set revoked_at = coalesce(revoked_at, $1), revoked_by = coalesce(revoked_by, $2)
         where id = $3 and tenant = $4",
    );
    let done = update.bind(at).bind(by).bind(id).bind(tenant).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::missing("agent", id));
    }
    sqlx::query("delete from deliveries where agent = $1").bind(id).execute(tx.connection()).await?;
    tx.wake(id);
    Ok(())
}

/// Gives an agent another name.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent.
pub async fn rename(tx: &mut Tx, tenant: &str, id: &str, name: &str) -> Result<(), StoreError> {
    let update = sqlx::query("update agents set name = $1 where id = $2 and tenant = $3");
    let done = update.bind(name).bind(id).bind(tenant).execute(tx.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::missing("agent", id)) }
}

fn read(row: &AnyRow) -> Result<Agent, StoreError> {
    let entries: Option<i64> = row.try_get("audit_entries")?;
    let head: Option<String> = row.try_get("audit_head")?;
    Ok(Agent {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        name: row.try_get("name")?,
        host: row.try_get("host")?,
        platform: row.try_get("platform")?,
        agent_version: row.try_get("agent_version")?,
        signing: row.try_get("signing")?,
        recipient: row.try_get("recipient")?,
        fingerprint: row.try_get("fingerprint")?,
        previous_signing: row.try_get("previous_signing")?,
        enrolled_at: row.try_get("enrolled_at")?,
        approved_at: row.try_get("approved_at")?,
        revoked_at: row.try_get("revoked_at")?,
        last_seen: row.try_get("last_seen")?,
        life: life(row)?,
        challenger: challenger(row)?,
        reported: row.try_get("reported")?,
        in_force: row.try_get("in_force")?,
        in_force_hash: row.try_get("in_force_hash")?,
        audit: entries.zip(head),
        template: row.try_get("template")?,
        template_values: row.try_get("template_values")?,
    })
}

fn life(row: &AnyRow) -> Result<Option<Life>, StoreError> {
    let Some(instance) = row.try_get("instance")? else { return Ok(None) };
    Ok(Some(Life {
        instance,
        started: row.try_get::<Option<i64>, _>("instance_started")?.unwrap_or_default(),
        since: row.try_get::<Option<i64>, _>("instance_since")?.unwrap_or_default(),
        lineage_started: row.try_get::<Option<i64>, _>("lineage_started")?.unwrap_or_default(),
    }))
}

fn challenger(row: &AnyRow) -> Result<Option<Challenger>, StoreError> {
    let Some(instance) = row.try_get("challenger")? else { return Ok(None) };
    let started = row.try_get::<Option<i64>, _>("challenger_started")?.unwrap_or_default();
    Ok(Some(Challenger { instance, started }))
}
