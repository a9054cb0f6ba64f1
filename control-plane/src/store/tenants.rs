//! Tenants: whose agents these are. Every other row names its tenant.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use crate::secrets::draw_id;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, name, created_at"
    };
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id, `t…`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Since when.
    pub created_at: Millis,
}

/// Makes a tenant.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one of that name, or the name is empty or too long.
pub async fn create(tx: &mut Tx, name: &str, at: Millis) -> Result<Tenant, StoreError> {
    let name = name.trim();
    if name.is_empty() || name.len() > 128 {
        return Err(StoreError::Conflict("a tenant's name has 1 to 128 bytes".into()));
    }
    let tenant = Tenant { id: draw_id('t')?, name: name.to_owned(), created_at: at };
    let insert = sqlx::query("insert into tenants (id, name, created_at) values ($1, $2, $3)");
    let insert = insert.bind(tenant.id.as_str()).bind(name).bind(at).execute(tx.connection()).await;
    match insert.map_err(StoreError::from) {
        Ok(_) => Ok(tenant),
        Err(error) if error.is_duplicate() => {
            Err(StoreError::Conflict(format!("there is a tenant of the name {name} already")))
        }
        Err(error) => Err(error),
    }
}

/// The tenant of an id or, for people at a command line, of a name.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn find(connection: &mut Connection, id_or_name: &str) -> Result<Tenant, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from tenants where id = $1 or name = $1 order by (id = $1) desc"
    ));
    let row = query.bind(id_or_name).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::missing("tenant", id_or_name))
}

/// All tenants, by name.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn all(connection: &mut Connection) -> Result<Vec<Tenant>, StoreError> {
    sqlx::query(concat!("select ", columns!(), " from tenants order by name"))
        .fetch_all(connection)
        .await?
        .iter()
        .map(read)
        .collect()
}

fn read(row: &AnyRow) -> Result<Tenant, StoreError> {
    Ok(Tenant { id: row.try_get("id")?, name: row.try_get("name")?, created_at: row.try_get("created_at")? })
}
