//! Tokens of programs. A token belongs to a person and never may more than they; only a hash of its secret is kept.

use super::{Connection, StoreError};
use crate::clock::Millis;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, hash, tenant, user_id, name, scopes, created_at, expires_at, used_at, revoked_at"
    };
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Id, `k…`; it is part of the token, so that it can be found.
    pub id: String,
    /// BLAKE3 of the secret.
    pub hash: String,
    /// Tenant of the person.
    pub tenant: String,
    /// Whose it is.
    pub user: String,
    /// What it is for.
    pub name: String,
    /// Words of what it may do at most.
    pub scopes: Vec<String>,
    /// When it was created.
    pub created_at: Millis,
    /// From when on it is nothing.
    pub expires_at: Millis,
    /// When it was last used, to the minute.
    pub used_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

impl Token {
    /// Whether it opens anything.
    pub const fn is_alive(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// Keeps a new token.
///
/// # Errors
/// [`StoreError`].
pub async fn create(connection: &mut Connection, token: &Token) -> Result<(), StoreError> {
    sqlx::query(
        "insert into tokens (id, hash, tenant, user_id, name, scopes, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(token.id.as_str())
    .bind(token.hash.as_str())
    .bind(token.tenant.as_str())
    .bind(token.user.as_str())
    .bind(token.name.as_str())
    .bind(token.scopes.join(" "))
    .bind(token.created_at)
    .bind(token.expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Finds a token by its id, in all tenants: it says itself whose it is.
///
/// # Errors
/// [`StoreError`].
pub async fn by_id(connection: &mut Connection, id: &str) -> Result<Option<Token>, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from tokens where id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// One token of a tenant.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn get(connection: &mut Connection, tenant: &str, id: &str) -> Result<Token, StoreError> {
    let found = by_id(connection, id).await?.filter(|token| token.tenant == tenant);
    found.ok_or_else(|| StoreError::missing("token", id))
}

/// Tokens of a tenant in the order of their ids, of one person if wanted.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    connection: &mut Connection,
    tenant: &str,
    user: Option<&str>,
    after: &str,
    most: i64,
) -> Result<Vec<Token>, StoreError> {
    let sql = concat!(
        "select ",
        columns!(),
        " from tokens where tenant = $1 and ($2 = '' or user_id = $2) and id > $3 order by id limit $4"
    );
    let rows = sqlx::query(sql)
        .bind(tenant)
        .bind(user.unwrap_or_default())
        .bind(after)
        .bind(most)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

/// Notes that a token was used.
///
/// # Errors
/// [`StoreError`].
pub async fn touch(connection: &mut Connection, id: &str, at: Millis) -> Result<(), StoreError> {
    sqlx::query("update tokens set used_at = $2 where id = $1").bind(id).bind(at).execute(connection).await?;
    Ok(())
}

/// Revokes a token. It stays in lists.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn revoke(
    connection: &mut Connection,
    tenant: &str,
    id: &str,
    at: Millis,
) -> Result<(), StoreError> {
    let sql = "update tokens set revoked_at = coalesce(revoked_at, $3) where tenant = $1 and id = $2";
    match sqlx::query(sql).bind(tenant).bind(id).bind(at).execute(connection).await?.rows_affected() {
        0 => Err(StoreError::missing("token", id)),
        _ => Ok(()),
    }
}

/// Revokes all tokens of a person; answers how many opened something.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke_all(connection: &mut Connection, user: &str, at: Millis) -> Result<u64, StoreError> {
    let sql =
        "update tokens set revoked_at = $2 where user_id = $1 and revoked_at is null and expires_at > $2";
    Ok(sqlx::query(sql).bind(user).bind(at).execute(connection).await?.rows_affected())
}

fn read(row: &AnyRow) -> Result<Token, StoreError> {
    let scopes: String = row.try_get("scopes")?;
    Ok(Token {
        id: row.try_get("id")?,
        hash: row.try_get("hash")?,
        tenant: row.try_get("tenant")?,
        user: row.try_get("user_id")?,
        name: row.try_get("name")?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        used_at: row.try_get("used_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}
