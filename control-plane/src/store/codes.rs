//! Enrollment codes: single use, short-lived, only their hashes are kept.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use crate::secrets::{code_hash, draw_code, draw_id};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, tenant, name, approve, created_by, created_at, expires_at, used_at, agent, revoked_at"
    };
}

/// How long a code can be used if nobody says otherwise, in minutes.
pub const DEFAULT_MINUTES: u32 = 60;
/// How long a code can be used at most, in minutes: a week.
pub const MOST_MINUTES: u32 = 7 * 24 * 60;

/// What a new code is to be.
#[derive(Clone, Debug)]
pub struct NewCode {
    /// Whose agents it makes.
    pub tenant: String,
    /// What the agent will be called; empty = as its machine calls itself.
    pub name: String,
    /// Whether a person compares the fingerprint before the link carries anything.
    pub approve: bool,
    /// Who makes it.
    pub by: String,
    /// For how long.
    pub minutes: u32,
}

/// A code without what makes it usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its id, `e…`, to list and revoke it by.
    pub id: String,
    /// Whose.
    pub tenant: String,
    /// What the agent will be called.
    pub name: String,
    /// Whether a person compares the fingerprint.
    pub approve: bool,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Millis,
    /// Until when it can be used.
    pub expires_at: Millis,
    /// When it was used.
    pub used_at: Option<Millis>,
    /// Which agent it made.
    pub agent: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

/// Makes a code; what it is shown as is nowhere kept.
///
/// # Errors
/// [`StoreError::Conflict`] for a time that is not allowed.
pub async fn create(tx: &mut Tx, new: &NewCode, at: Millis) -> Result<(SecretString, Code), StoreError> {
    if new.minutes == 0 || new.minutes > MOST_MINUTES {
        return Err(StoreError::Conflict(format!("a code lives for 1 to {MOST_MINUTES} minutes")));
    }
    let shown = draw_code()?;
    let code = Code {
        id: draw_id('e')?,
        tenant: new.tenant.clone(),
        name: new.name.chars().take(64).collect(),
        approve: new.approve,
        created_by: new.by.clone(),
        created_at: at,
        expires_at: at + i64::from(new.minutes) * 60_000,
        used_at: None,
        agent: None,
        revoked_at: None,
    };
    sqlx::query(
        "insert into codes (id, tenant, hash, name, approve, created_by, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(code.id.as_str())
    .bind(code.tenant.as_str())
    .bind(code_hash(shown.expose_secret()))
    .bind(code.name.as_str())
    .bind(i64::from(code.approve))
    .bind(code.created_by.as_str())
    .bind(at)
    .bind(code.expires_at)
    .execute(tx.connection())
    .await?;
    Ok((shown, code))
}

/// The code of a hash.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn by_hash(connection: &mut Connection, hash: &str) -> Result<Option<Code>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from codes where hash = $1"))
        .bind(hash)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Uses a code up. Of any number that try, `true` is answered to one.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn use_up(tx: &mut Tx, id: &str, agent: &str, at: Millis) -> Result<bool, StoreError> {
    let update = sqlx::query(
        "update codes set used_at = $1, agent = $2
         where id = $3 and used_at is null and revoked_at is null and expires_at > $1",
    );
    let done = update.bind(at).bind(agent).bind(id).execute(tx.connection()).await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a code useless.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such code that could still be used.
pub async fn revoke(tx: &mut Tx, tenant: &str, id: &str, at: Millis) -> Result<(), StoreError> {
    let update = sqlx::query(
        "update codes set revoked_at = $1 where id = $2 and tenant = $3 and used_at is null and revoked_at is null",
    );
    let done = update.bind(at).bind(id).bind(tenant).execute(tx.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::missing("code", id)) }
}

/// A tenant's codes, the newest first.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn of_tenant(connection: &mut Connection, tenant: &str) -> Result<Vec<Code>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from codes where tenant = $1 order by created_at desc, id limit 1000"
    ));
    query.bind(tenant).fetch_all(connection).await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Code, StoreError> {
    Ok(Code {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        name: row.try_get("name")?,
        approve: row.try_get::<i64, _>("approve")? != 0,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        used_at: row.try_get("used_at")?,
        agent: row.try_get("agent")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}
