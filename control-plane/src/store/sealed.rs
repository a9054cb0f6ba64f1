//! Sealed secrets on their way. The armored text is in the delivery only and goes with it; what stays is that there was
//! one, who handed it in and what became of it. Nobody here can open it.

use super::deliveries::{self, NewDelivery, body_text};
use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use crate::secrets::draw_id;
use purser_proto::link::limits::Armor;
use purser_proto::link::sealed::SealedSecret;
use purser_proto::link::sync::DeliveryBody;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, agent, name, author, created_at, state, decided_at, refused"
    };
}

/// Most secrets that wait for one agent.
const MOST_WAITING: i64 = 100;
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// A secret that somebody hands in.
#[derive(Clone)]
pub struct NewSecret {
    /// Whose agent.
    pub tenant: String,
    /// Which agent.
    pub agent: String,
    /// What people call it; what counts is inside.
    pub name: String,
    /// An armored age text, made by `purser seal`.
    pub armored: String,
    /// Who hands it in.
    pub by: String,
}

/// A secret that was handed in, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// Its id, `s…`.
    pub id: String,
    /// Which agent.
    pub agent: String,
    /// What people call it.
    pub name: String,
    /// Who handed it in.
    pub author: String,
    /// When.
    pub created_at: Millis,
    /// `waiting`, `taken`, `stored`, `refused`.
    pub state: String,
    /// When the agent had decided.
    pub decided_at: Option<Millis>,
    /// Why the agent did not store it.
    pub refused: Option<String>,
}

/// Takes a sealed secret for an agent; answers its id. One of the same name that still waits is dropped.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent, [`StoreError::Conflict`] when the text is not armored, too
/// long, or too many wait.
pub async fn hand_in(tx: &mut Tx, new: NewSecret, at: Millis) -> Result<String, StoreError> {
    let agent = super::agents::of(tx.connection(), &new.tenant, &new.agent).await?;
    if agent.revoked_at.is_some() {
        return Err(StoreError::Conflict(format!("agent {} is revoked", agent.id)));
    }
    if new.name.is_empty() || new.name.len() > 128 {
        return Err(StoreError::Conflict("the name of a secret has 1 to 128 bytes".into()));
    }
    let armored = armored(&new.armored)?;
    drop_waiting(tx, &new).await?;
    let count = sqlx::query_scalar("select count(*) from deliveries where agent = $1 and kind = 'secret'");
    let waiting: i64 = count.bind(new.agent.as_str()).fetch_one(tx.connection()).await?;
    if waiting >= MOST_WAITING {
        return Err(StoreError::Conflict(format!("{waiting} secrets wait for the agent already")));
    }
    let id = draw_id('s')?;
    let insert = sqlx::query(
        "insert into secrets (id, tenant, agent, name, author, created_at, state)
         values ($1, $2, $3, $4, $5, $6, 'waiting')",
    );
    let insert = insert.bind(id.as_str()).bind(new.tenant.as_str()).bind(new.agent.as_str());
    insert.bind(new.name.as_str()).bind(new.by.as_str()).bind(at).execute(tx.connection()).await?;
    let secret = SealedSecret { name: new.name.into(), armored, by: new.by.into() };
    let delivery = NewDelivery {
        body: body_text(&id, &DeliveryBody::Secret(secret))?,
        id: id.clone(),
        tenant: new.tenant,
        agent: new.agent,
        hook: None,
        number: None,
        kind: "secret",
        expires_at: None,
    };
    deliveries::insert(tx, &delivery, at).await?;
    Ok(id)
}

/// Only the outside is looked at: a secret that somebody pasted unsealed must not be kept.
fn armored(text: &str) -> Result<Armor, StoreError> {
    let text = text.trim();
    if !text.starts_with(BEGIN) || !text.ends_with(END) {
        let words = "this is not sealed: hand in what `purser seal` prints, never the secret itself";
        return Err(StoreError::Conflict(words.into()));
    }
    Armor::whole(text).map_err(|why| StoreError::Conflict(format!("the sealed secret {why}")))
}

async fn drop_waiting(tx: &mut Tx, new: &NewSecret) -> Result<(), StoreError> {
    let superseded = "update secrets set state = 'superseded'
         where agent = $1 and name = $2 and state = 'waiting' and id in (select id from deliveries where agent = $1)";
    let update = sqlx::query(superseded).bind(new.agent.as_str()).bind(new.name.as_str());
    if update.execute(tx.connection()).await?.rows_affected() > 0 {
        let delete = "delete from deliveries where agent = $1 and kind = 'secret'
             and id in (select id from secrets where agent = $1 and name = $2 and state = 'superseded')";
        let delete = sqlx::query(delete).bind(new.agent.as_str()).bind(new.name.as_str());
        delete.execute(tx.connection()).await?;
    }
    Ok(())
}

/// Writes what the agent did with a secret, and deletes the copy.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn finish(
    tx: &mut Tx,
    agent: &str,
    id: &str,
    refused: Option<&str>,
    at: Millis,
) -> Result<(), StoreError> {
    let update = sqlx::query(
        "update secrets set state = $1, decided_at = $2, refused = $3
         where id = $4 and agent = $5 and decided_at is null",
    );
    let state = if refused.is_some() { "refused" } else { "stored" };
    let update = update.bind(state).bind(at).bind(refused.map(str::to_owned)).bind(id).bind(agent);
    update.execute(tx.connection()).await?;
    let delete = sqlx::query("delete from deliveries where agent = $1 and id = $2");
    delete.bind(agent).bind(id).execute(tx.connection()).await?;
    Ok(())
}

/// An agent's secrets, the newest first.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn of_agent(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
) -> Result<Vec<SecretRow>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from secrets where tenant = $1 and agent = $2 order by created_at desc, id desc limit 1000"
    ));
    query.bind(tenant).bind(agent).fetch_all(connection).await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<SecretRow, StoreError> {
    Ok(SecretRow {
        id: row.try_get("id")?,
        agent: row.try_get("agent")?,
        name: row.try_get("name")?,
        author: row.try_get("author")?,
        created_at: row.try_get("created_at")?,
        state: row.try_get("state")?,
        decided_at: row.try_get("decided_at")?,
        refused: row.try_get("refused")?,
    })
}
