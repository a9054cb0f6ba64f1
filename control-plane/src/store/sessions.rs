//! Sessions of people: found by the hash of what the cookie says. Whether one is alive is decided in
//! `accounts::sessions`.

use super::{Connection, StoreError};
use crate::clock::Millis;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, tenant, user_id, how, address, browser, created_at, seen_at"
    };
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Id for lists, `s…`; nobody gets in with it.
    pub id: String,
    /// Tenant of the person.
    pub tenant: String,
    /// Whose it is.
    pub user: String,
    /// How they logged in: `password`, `password+totp`, `oidc`.
    pub how: String,
    /// From which address.
    pub address: String,
    /// With which browser.
    pub browser: String,
    /// When it began.
    pub created_at: Millis,
    /// When it was last used, to the minute.
    pub seen_at: Millis,
}

/// Keeps a new session.
///
/// # Errors
/// [`StoreError`].
pub async fn create(connection: &mut Connection, session: &Session, hash: &str) -> Result<(), StoreError> {
    sqlx::query(
        "insert into sessions (id, hash, tenant, user_id, how, address, browser, created_at, seen_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(session.id.as_str())
    .bind(hash)
    .bind(session.tenant.as_str())
    .bind(session.user.as_str())
    .bind(session.how.as_str())
    .bind(session.address.as_str())
    .bind(session.browser.as_str())
    .bind(session.created_at)
    .bind(session.seen_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Finds a session.
///
/// # Errors
/// [`StoreError`].
pub async fn by_hash(connection: &mut Connection, hash: &str) -> Result<Option<Session>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from sessions where hash = $1"))
        .bind(hash)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Notes that a session was used.
///
/// # Errors
/// [`StoreError`].
pub async fn touch(connection: &mut Connection, id: &str, at: Millis) -> Result<(), StoreError> {
    let sql = "update sessions set seen_at = $2 where id = $1 and seen_at < $2";
    sqlx::query(sql).bind(id).bind(at).execute(connection).await?;
    Ok(())
}

/// Sessions of a person, the newest first; some may be over.
///
/// # Errors
/// [`StoreError`].
pub async fn of_user(connection: &mut Connection, user: &str) -> Result<Vec<Session>, StoreError> {
    let rows = sqlx::query(concat!(
        "select ",
        columns!(),
        " from sessions where user_id = $1 order by created_at desc, id"
    ))
    .bind(user)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

/// Ends one session of a person.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn end(connection: &mut Connection, user: &str, id: &str) -> Result<(), StoreError> {
    let sql = "delete from sessions where user_id = $1 and id = $2";
    match sqlx::query(sql).bind(user).bind(id).execute(connection).await?.rows_affected() {
        0 => Err(StoreError::missing("session", id)),
        _ => Ok(()),
    }
}

/// Ends the session with this hash, if there is one.
///
/// # Errors
/// [`StoreError`].
pub async fn end_by_hash(connection: &mut Connection, hash: &str) -> Result<(), StoreError> {
    sqlx::query("delete from sessions where hash = $1").bind(hash).execute(connection).await?;
    Ok(())
}

/// Ends all sessions of a person, one excepted.
///
/// # Errors
/// [`StoreError`].
pub async fn end_all(connection: &mut Connection, user: &str, but: &str) -> Result<u64, StoreError> {
    let ended = sqlx::query("delete from sessions where user_id = $1 and id <> $2").bind(user).bind(but);
    Ok(ended.execute(connection).await?.rows_affected())
}

/// Throws away what began, or was last used, too long ago.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(connection: &mut Connection, began: Millis, used: Millis) -> Result<u64, StoreError> {
    let sql = "delete from sessions where created_at <= $1 or seen_at <= $2";
    Ok(sqlx::query(sql).bind(began).bind(used).execute(connection).await?.rows_affected())
}

fn read(row: &AnyRow) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        user: row.try_get("user_id")?,
        how: row.try_get("how")?,
        address: row.try_get("address")?,
        browser: row.try_get("browser")?,
        created_at: row.try_get("created_at")?,
        seen_at: row.try_get("seen_at")?,
    })
}
