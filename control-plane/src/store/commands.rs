//! Commands: who asked for what and why, and what came of it. A command has the id of its delivery.

use super::deliveries::{self, NewDelivery, body_text};
use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::{Millis, timestamp};
use crate::secrets::draw_id;
use purser_proto::link::command::{Command, CommandResult, Outcome, Verb};
use purser_proto::link::sync::DeliveryBody;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, agent, word, verb, author, reason, created_at, expires_at, taken_at, state, \
         finished_at, words, detail"
    };
}

/// Most commands that wait for one agent.
const MOST_WAITING: i64 = 1000;

/// What is asked of an agent.
#[derive(Clone, Debug)]
pub struct NewCommand {
    /// Whose agent.
    pub tenant: String,
    /// Which agent.
    pub agent: String,
    /// What.
    pub verb: Verb,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: String,
    /// After this moment it is not obeyed any more.
    pub expires_at: Millis,
}

/// A command and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRow {
    /// Its id, `c…`.
    pub id: String,
    /// Which agent.
    pub agent: String,
    /// The verb's word.
    pub word: String,
    /// The verb as JSON, with what it concerns.
    pub verb: String,
    /// Who asked.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: Millis,
    /// After this moment it is not obeyed any more.
    pub expires_at: Millis,
    /// When the agent had it.
    pub taken_at: Option<Millis>,
    /// `waiting`, `taken`, `done`, `failed`, `refused`, `expired`.
    pub state: String,
    /// When it ended.
    pub finished_at: Option<Millis>,
    /// What happened, or why not.
    pub words: String,
    /// What it brought to light, JSON.
    pub detail: String,
}

/// Has an agent asked; answers the command's id.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent, [`StoreError::Conflict`] when too many wait.
pub async fn create(tx: &mut Tx, new: &NewCommand, at: Millis) -> Result<String, StoreError> {
    let agent = super::agents::of(tx.connection(), &new.tenant, &new.agent).await?;
    if agent.revoked_at.is_some() {
        return Err(StoreError::Conflict(format!("agent {} is revoked", agent.id)));
    }
    let count = sqlx::query_scalar("select count(*) from deliveries where agent = $1 and kind = 'command'");
    let waiting: i64 = count.bind(new.agent.as_str()).fetch_one(tx.connection()).await?;
    if waiting >= MOST_WAITING {
        return Err(StoreError::Conflict(format!("{waiting} commands wait for the agent already")));
    }
    let id = draw_id('c')?;
    let body = DeliveryBody::Command(Command {
        by: new.by.as_str().into(),
        reason: new.reason.as_str().into(),
        expires: timestamp(new.expires_at),
        verb: new.verb.clone(),
    });
    insert(tx, &id, new, at).await?;
    let delivery = NewDelivery {
        body: body_text(&id, &body)?,
        id: id.clone(),
        tenant: new.tenant.clone(),
        agent: new.agent.clone(),
        hook: None,
        number: None,
        kind: "command",
        expires_at: Some(new.expires_at),
    };
    deliveries::insert(tx, &delivery, at).await?;
    Ok(id)
}

async fn insert(tx: &mut Tx, id: &str, new: &NewCommand, at: Millis) -> Result<(), StoreError> {
    let verb = serde_json::to_string(&new.verb).map_err(|why| StoreError::damaged("command", id, why))?;
    sqlx::query(
        "insert into commands (id, tenant, agent, word, verb, author, reason, created_at, expires_at, state)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting')",
    )
    .bind(id)
    .bind(new.tenant.as_str())
    .bind(new.agent.as_str())
    .bind(new.verb.word())
    .bind(verb)
    .bind(new.by.as_str())
    .bind(new.reason.as_str())
    .bind(at)
    .bind(new.expires_at)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Writes what came of a command, once.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn finish(
    tx: &mut Tx,
    agent: &str,
    id: &str,
    result: &CommandResult,
    at: Millis,
) -> Result<(), StoreError> {
    let state = match result.outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Expired => "expired",
        Outcome::Failed | Outcome::Unknown => "failed",
    };
    let update = sqlx::query(
        "update commands set state = $1, finished_at = $2, words = $3, detail = $4
         where id = $5 and agent = $6 and finished_at is null",
    );
    let update = update.bind(state).bind(at).bind(result.words.as_str()).bind(result.detail.as_str());
    update.bind(id).bind(agent).execute(tx.connection()).await?;
    Ok(())
}

/// A tenant's command.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn of(connection: &mut Connection, tenant: &str, id: &str) -> Result<CommandRow, StoreError> {
    let query = sqlx::query(concat!("select ", columns!(), " from commands where id = $1 and tenant = $2"));
    let row = query.bind(id).bind(tenant).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::missing("command", id))
}

/// An agent's commands that were asked before `before`, the newest first, at most `most`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn of_agent(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
    before: Millis,
    most: i64,
) -> Result<Vec<CommandRow>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from commands where tenant = $1 and agent = $2 and created_at < $3
         order by created_at desc, id desc limit $4"
    ));
    let rows = query.bind(tenant).bind(agent).bind(before).bind(most).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Ends commands that nobody fetched in time; answers how many.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn expire(tx: &mut Tx, at: Millis) -> Result<u64, StoreError> {
    let update = sqlx::query(
        "update commands set state = 'expired', finished_at = $1, words = 'the agent did not ask in time'
         where state = 'waiting' and expires_at <= $1",
    );
    Ok(update.bind(at).execute(tx.connection()).await?.rows_affected())
}

fn read(row: &AnyRow) -> Result<CommandRow, StoreError> {
    Ok(CommandRow {
        id: row.try_get("id")?,
        agent: row.try_get("agent")?,
        word: row.try_get("word")?,
        verb: row.try_get("verb")?,
        author: row.try_get("author")?,
        reason: row.try_get("reason")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        taken_at: row.try_get("taken_at")?,
        state: row.try_get("state")?,
        finished_at: row.try_get("finished_at")?,
        words: row.try_get("words")?,
        detail: row.try_get("detail")?,
    })
}
