//! People. An e-mail address belongs to one person in the whole control plane, because it is what they log in with.

use super::{Connection, StoreError};
use crate::clock::Millis;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, tenant, email, name, role, password, totp, totp_pending, totp_step, oidc_provider, oidc_subject, created_at, \
         created_by, disabled_at"
    };
}

/// The tenant of those who look after the fleet.
pub const FLEET: &str = "*";

/// A person. Password hash and second factor are not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Id, `u…`.
    pub id: String,
    /// Tenant, or [`FLEET`].
    pub tenant: String,
    /// What they log in with, lower case.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// The word of their role.
    pub role: String,
    /// PHC string; absent for those who log in elsewhere only.
    pub password: Option<String>,
    /// The second factor, sealed with the password.
    pub totp: Option<String>,
    /// A second factor that was not confirmed by a code yet.
    pub totp_pending: Option<String>,
    /// The last time step whose code was used.
    pub totp_step: i64,
    /// At which provider, and as whom.
    pub oidc: Option<(String, String)>,
    /// When they were created.
    pub created_at: Millis,
    /// By whom.
    pub created_by: String,
    /// Since when they may not log in.
    pub disabled_at: Option<Millis>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// What is kept of a new person.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Id, `u…`.
    pub id: String,
    /// Tenant, or [`FLEET`].
    pub tenant: String,
    /// Address.
    pub email: String,
    /// Name.
    pub name: String,
    /// The word of their role.
    pub role: String,
    /// PHC string.
    pub password: Option<String>,
    /// Now.
    pub at: Millis,
    /// Who creates them.
    pub by: String,
}

/// An address as it is kept and looked for.
pub fn normalized(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Creates a person.
///
/// # Errors
/// [`StoreError::Conflict`] when somebody has the address.
pub async fn create(connection: &mut Connection, new: &NewUser) -> Result<(), StoreError> {
    let email = normalized(&new.email);
    if by_email(connection, &email).await?.is_some() {
        return Err(StoreError::Conflict("somebody has this e-mail address already".to_owned()));
    }
    sqlx::query(
        "insert into users (id, tenant, email, name, role, password, password_at, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(new.id.as_str())
    .bind(new.tenant.as_str())
    .bind(email)
    .bind(new.name.as_str())
    .bind(new.role.as_str())
    .bind(new.password.as_deref())
    .bind(new.password.as_ref().map(|_| new.at))
    .bind(new.at)
    .bind(new.by.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Finds a person by the address, in all tenants: nobody has said yet who they are.
///
/// # Errors
/// [`StoreError`].
pub async fn by_email(connection: &mut Connection, email: &str) -> Result<Option<User>, StoreError> {
    let row =
        sqlx::query(concat!("select ", columns!(), " from users where email = $1")).bind(normalized(email));
    row.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Finds a person of a tenant by what a provider calls them.
///
/// # Errors
/// [`StoreError`].
pub async fn by_subject(
    connection: &mut Connection,
    tenant: &str,
    provider: &str,
    subject: &str,
) -> Result<Option<User>, StoreError> {
    let row = sqlx::query(concat!(
        "select ",
        columns!(),
        " from users where tenant = $1 and oidc_provider = $2 and oidc_subject = $3"
    ))
    .bind(tenant)
    .bind(provider)
    .bind(subject);
    row.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// One person of a tenant.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn get(connection: &mut Connection, tenant: &str, id: &str) -> Result<User, StoreError> {
    let row = sqlx::query(concat!("select ", columns!(), " from users where tenant = $1 and id = $2"))
        .bind(tenant)
        .bind(id);
    match row.fetch_optional(connection).await? {
        Some(row) => read(&row),
        None => Err(StoreError::missing("user", id)),
    }
}

/// People of a tenant in the order of their ids, after one of them.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    connection: &mut Connection,
    tenant: &str,
    after: &str,
    most: i64,
) -> Result<Vec<User>, StoreError> {
    let rows = sqlx::query(concat!(
        "select ",
        columns!(),
        " from users where tenant = $1 and id > $2 order by id limit $3"
    ))
    .bind(tenant)
    .bind(after)
    .bind(most)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

/// Changes name, role and whether they may log in. The last owner who may log in stays one.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Conflict`] for the last owner.
pub async fn change(
    connection: &mut Connection,
    tenant: &str,
    id: &str,
    name: &str,
    role: &str,
    disabled_at: Option<Millis>,
) -> Result<(), StoreError> {
    sqlx::query("update users set name = $3, role = $4, disabled_at = $5 where tenant = $1 and id = $2")
        .bind(tenant)
        .bind(id)
        .bind(name)
        .bind(role)
        .bind(disabled_at)
        .execute(&mut *connection)
        .await?;
    still_owned(connection, tenant).await
}

/// Removes a person with their sessions and tokens.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Conflict`] for the last owner.
pub async fn remove(connection: &mut Connection, tenant: &str, id: &str) -> Result<(), StoreError> {
    let gone = sqlx::query("delete from users where tenant = $1 and id = $2")
        .bind(tenant)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    if gone.rows_affected() == 0 {
        return Err(StoreError::missing("user", id));
    }
    still_owned(connection, tenant).await
}

async fn still_owned(connection: &mut Connection, tenant: &str) -> Result<(), StoreError> {
    // Whoever changes owners at the same time on another node waits for these rows.
    let lock = "update users set role = role where tenant = $1 and role = 'owner'";
    sqlx::query(lock).bind(tenant).execute(&mut *connection).await?;
    let owner = "select id from users where tenant = $1 and role = 'owner' and disabled_at is null limit 1";
    match sqlx::query(owner).bind(tenant).fetch_optional(connection).await? {
        Some(_) => Ok(()),
        None => {
            Err(StoreError::Conflict("this is the last owner; make somebody else an owner first".to_owned()))
        }
    }
}

/// Sets a password, and with it what was sealed with the one before.
///
/// # Errors
/// [`StoreError`].
pub async fn set_password(
    connection: &mut Connection,
    id: &str,
    phc: &str,
    totp: Option<&str>,
    at: Millis,
) -> Result<(), StoreError> {
    sqlx::query(
        "update users set password = $2, totp = $3, totp_pending = null, password_at = $4 where id = $1",
    )
    .bind(id)
    .bind(phc)
    .bind(totp)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps a second factor that waits for its first code.
///
/// # Errors
/// [`StoreError`].
pub async fn set_pending_totp(connection: &mut Connection, id: &str, sealed: &str) -> Result<(), StoreError> {
    let set = sqlx::query("update users set totp_pending = $2 where id = $1").bind(id).bind(sealed);
    set.execute(connection).await?;
    Ok(())
}

/// Puts the waiting second factor in force; the code that proved it is used.
///
/// # Errors
/// [`StoreError`].
pub async fn confirm_totp(connection: &mut Connection, id: &str, step: i64) -> Result<(), StoreError> {
    let sql = "update users set totp = totp_pending, totp_pending = null, totp_step = $2 \
               where id = $1 and totp_pending is not null";
    sqlx::query(sql).bind(id).bind(step).execute(connection).await?;
    Ok(())
}

/// Ends the second factor.
///
/// # Errors
/// [`StoreError`].
pub async fn remove_totp(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    let sql = "update users set totp = null, totp_pending = null where id = $1";
    sqlx::query(sql).bind(id).execute(connection).await?;
    Ok(())
}

/// Uses the code of a time step; says whether nobody has used it, or a later one, before.
///
/// # Errors
/// [`StoreError`].
pub async fn use_totp_step(connection: &mut Connection, id: &str, step: i64) -> Result<bool, StoreError> {
    let sql = "update users set totp_step = $2 where id = $1 and totp_step < $2";
    Ok(sqlx::query(sql).bind(id).bind(step).execute(connection).await?.rows_affected() == 1)
}

/// Ties a person to what a provider calls them, once.
///
/// # Errors
/// [`StoreError`].
pub async fn tie(
    connection: &mut Connection,
    id: &str,
    provider: &str,
    subject: &str,
) -> Result<bool, StoreError> {
    let sql = "update users set oidc_provider = $2, oidc_subject = $3 where id = $1 and oidc_subject is null";
    let tied = sqlx::query(sql).bind(id).bind(provider).bind(subject).execute(connection).await?;
    Ok(tied.rows_affected() == 1)
}

fn read(row: &AnyRow) -> Result<User, StoreError> {
    let provider: Option<String> = row.try_get("oidc_provider")?;
    let subject: Option<String> = row.try_get("oidc_subject")?;
    Ok(User {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        role: row.try_get("role")?,
        password: row.try_get("password")?,
        totp: row.try_get("totp")?,
        totp_pending: row.try_get("totp_pending")?,
        totp_step: row.try_get("totp_step")?,
        oidc: provider.zip(subject),
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        disabled_at: row.try_get("disabled_at")?,
    })
}
