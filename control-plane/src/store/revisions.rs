//! Revisions of configurations: never changed, numbered per agent. The number goes on from the highest that is known here
//! or that the agent works with, so that a restored database never hands out a number a second time.

use super::deliveries::{self, NewDelivery, body_text};
use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::{Millis, timestamp};
use crate::secrets::draw_id;
use purser_proto::link::configuration::{Revision, RevisionVerdict};
use purser_proto::link::limits::Document;
use purser_proto::link::sync::DeliveryBody;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "agent, number, toml, hash, author, note, created_at, diff, rolls_back, taken_at, state, \
         decided_at, findings"
    };
}

/// Text of a revision that was checked.
#[derive(Clone, Debug)]
pub struct NewRevision {
    /// Whose agent.
    pub tenant: String,
    /// Which agent.
    pub agent: String,
    /// The configuration.
    pub toml: String,
    /// Who makes it.
    pub by: String,
    /// Why.
    pub note: String,
    /// What changes, compared with `base`.
    pub diff: String,
    /// The number that `diff` compares with; 0 = none was known. Another one now is a conflict.
    pub base: i64,
    /// The revision whose text this has again.
    pub rolls_back: Option<i64>,
}

/// A revision as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRow {
    /// Which agent.
    pub agent: String,
    /// Its number.
    pub number: i64,
    /// The configuration.
    pub toml: String,
    /// BLAKE3 of the text.
    pub hash: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub note: String,
    /// When.
    pub created_at: Millis,
    /// What changed.
    pub diff: String,
    /// The revision whose text this has again.
    pub rolls_back: Option<i64>,
    /// When the agent had it.
    pub taken_at: Option<Millis>,
    /// `waiting`, `taken`, `applied`, `refused`, `superseded`.
    pub state: String,
    /// When the agent had decided.
    pub decided_at: Option<Millis>,
    /// Why the agent refused it: JSON, a list of findings.
    pub findings: String,
}

/// Makes the next revision and has it delivered in the place of those that still wait.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent, [`StoreError::Conflict`] when somebody else was faster or
/// the text is too long.
pub async fn insert(tx: &mut Tx, new: NewRevision, at: Millis) -> Result<RevisionRow, StoreError> {
    // Takes the agent's row, so that two nodes cannot draw one number.
    let own = sqlx::query("update agents set in_force = in_force where id = $1 and tenant = $2");
    let own = own.bind(new.agent.as_str()).bind(new.tenant.as_str());
    if own.execute(tx.connection()).await?.rows_affected() == 0 {
        return Err(StoreError::missing("agent", &new.agent));
    }
    let agent = super::agents::of(tx.connection(), &new.tenant, &new.agent).await?;
    if agent.revoked_at.is_some() {
        return Err(StoreError::Conflict(format!("agent {} is revoked", agent.id)));
    }
    let known = newest(tx.connection(), &new.tenant, &new.agent).await?.map_or(0, |newest| newest.number);
    if known != new.base {
        let words = format!("revision {known} was made meanwhile; look at what it changes and try again");
        return Err(StoreError::Conflict(words));
    }
    let number = known.max(agent.in_force) + 1;
    let toml = Document::whole(new.toml.as_str());
    let toml = toml.map_err(|why| StoreError::Conflict(format!("the configuration {why}")))?;
    let hash = Revision::hash_of(&new.toml);
    let revision = Revision {
        number: u64::try_from(number).unwrap_or_default(),
        toml,
        hash: hash.as_str().into(),
        by: new.by.as_str().into(),
        note: new.note.as_str().into(),
        at: timestamp(at),
    };
    let delivery = deliver(tx, &new, revision, number, at).await?;
    sqlx::query(
        "insert into revisions
         (agent, tenant, number, delivery, toml, hash, author, note, created_at, diff, rolls_back, state)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'waiting')",
    )
    .bind(new.agent.as_str())
    .bind(new.tenant.as_str())
    .bind(number)
    .bind(delivery)
    .bind(new.toml.as_str())
    .bind(hash)
    .bind(new.by.as_str())
    .bind(new.note.as_str())
    .bind(at)
    .bind(new.diff.as_str())
    .bind(new.rolls_back)
    .execute(tx.connection())
    .await?;
    of(tx.connection(), &new.tenant, &new.agent, number).await
}

/// Puts the revision in the place of those that still wait.
async fn deliver(
    tx: &mut Tx,
    new: &NewRevision,
    revision: Revision,
    number: i64,
    at: Millis,
) -> Result<String, StoreError> {
    for statement in [
        "update revisions set state = 'superseded' where agent = $1 and state = 'waiting'",
        "delete from deliveries where agent = $1 and kind = 'revision'",
    ] {
        sqlx::query(statement).bind(new.agent.as_str()).execute(tx.connection()).await?;
    }
    let id = draw_id('r')?;
    let delivery = NewDelivery {
        body: body_text(&id, &DeliveryBody::Revision(revision))?,
        id: id.clone(),
        tenant: new.tenant.clone(),
        agent: new.agent.clone(),
        hook: None,
        number: Some(number),
        kind: "revision",
        expires_at: None,
    };
    deliveries::insert(tx, &delivery, at).await?;
    Ok(id)
}

/// Writes what the agent did with a revision.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Damaged`].
pub async fn decide(
    tx: &mut Tx,
    agent: &str,
    verdict: &RevisionVerdict,
    at: Millis,
) -> Result<(), StoreError> {
    let number = i64::try_from(verdict.number).unwrap_or(i64::MAX);
    let findings =
        serde_json::to_string(&verdict.refused).map_err(|why| StoreError::damaged("revision", agent, why))?;
    let state = if verdict.refused.is_empty() { "applied" } else { "refused" };
    let update = sqlx::query(
        "update revisions set state = $1, decided_at = $2, findings = $3, taken_at = coalesce(taken_at, $2)
         where agent = $4 and number = $5",
    );
    update.bind(state).bind(at).bind(findings).bind(agent).bind(number).execute(tx.connection()).await?;
    let delete = sqlx::query("delete from deliveries where agent = $1 and number = $2");
    delete.bind(agent).bind(number).execute(tx.connection()).await?;
    Ok(())
}

/// The newest revision of an agent.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn newest(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
) -> Result<Option<RevisionRow>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from revisions where agent = $1 and tenant = $2 order by number desc limit 1"
    ));
    let row = query.bind(agent).bind(tenant).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// One revision.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn of(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
    number: i64,
) -> Result<RevisionRow, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from revisions where agent = $1 and tenant = $2 and number = $3"
    ));
    let row = query.bind(agent).bind(tenant).bind(number).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::missing("revision", &number.to_string()))
}

/// An agent's revisions with a number below `below`, the newest first, at most `most`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn of_agent(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
    below: i64,
    most: i64,
) -> Result<Vec<RevisionRow>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from revisions where agent = $1 and tenant = $2 and number < $3 order by number desc limit $4"
    ));
    let rows = query.bind(agent).bind(tenant).bind(below).bind(most).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<RevisionRow, StoreError> {
    Ok(RevisionRow {
        agent: row.try_get("agent")?,
        number: row.try_get("number")?,
        toml: row.try_get("toml")?,
        hash: row.try_get("hash")?,
        author: row.try_get("author")?,
        note: row.try_get("note")?,
        created_at: row.try_get("created_at")?,
        diff: row.try_get("diff")?,
        rolls_back: row.try_get("rolls_back")?,
        taken_at: row.try_get("taken_at")?,
        state: row.try_get("state")?,
        decided_at: row.try_get("decided_at")?,
        findings: row.try_get("findings")?,
    })
}
