//! Templates: one text for many agents, and each agent's values.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use crate::secrets::draw_id;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "id, tenant, name, toml, version, author, created_at, updated_at"
    };
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its id, `m…`.
    pub id: String,
    /// Whose.
    pub tenant: String,
    /// What people call it.
    pub name: String,
    /// TOML with `{{name}}` where agents differ.
    pub toml: String,
    /// Grows with each change.
    pub version: i64,
    /// Who changed it last.
    pub author: String,
    /// Since when.
    pub created_at: Millis,
    /// When it was changed last.
    pub updated_at: Millis,
}

/// Makes a template.
///
/// # Errors
/// [`StoreError::Conflict`] when the tenant has one of that name.
pub async fn create(
    tx: &mut Tx,
    tenant: &str,
    name: &str,
    toml: &str,
    by: &str,
    at: Millis,
) -> Result<Template, StoreError> {
    let id = draw_id('m')?;
    let insert = sqlx::query(
        "insert into templates (id, tenant, name, toml, version, author, created_at, updated_at)
         values ($1, $2, $3, $4, 1, $5, $6, $6)",
    );
    let insert = insert.bind(id.as_str()).bind(tenant).bind(name).bind(toml).bind(by).bind(at);
    match insert.execute(tx.connection()).await.map_err(StoreError::from) {
        Ok(_) => of(tx.connection(), tenant, &id).await,
        Err(error) if error.is_duplicate() => {
            Err(StoreError::Conflict(format!("there is a template of the name {name} already")))
        }
        Err(error) => Err(error),
    }
}

/// Changes a template's text, if nobody else has since `version`.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Conflict`].
pub async fn change(
    tx: &mut Tx,
    template: &Template,
    toml: &str,
    by: &str,
    at: Millis,
) -> Result<Template, StoreError> {
    let update = sqlx::query(
        "update templates set toml = $1, version = version + 1, author = $2, updated_at = $3
         where id = $4 and tenant = $5 and version = $6",
    );
    let update = update.bind(toml).bind(by).bind(at);
    let update = update.bind(template.id.as_str()).bind(template.tenant.as_str()).bind(template.version);
    let changed = update.execute(tx.connection()).await?.rows_affected() == 1;
    let is = of(tx.connection(), &template.tenant, &template.id).await?;
    if changed { Ok(is) } else { Err(StoreError::Conflict("somebody else has changed the template".into())) }
}

/// A tenant's template, by id or name.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn of(connection: &mut Connection, tenant: &str, id_or_name: &str) -> Result<Template, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from templates where tenant = $1 and (id = $2 or name = $2)"
    ));
    let row = query.bind(tenant).bind(id_or_name).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::missing("template", id_or_name))
}

/// A tenant's templates, by name.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn of_tenant(connection: &mut Connection, tenant: &str) -> Result<Vec<Template>, StoreError> {
    let query =
        sqlx::query(concat!("select ", columns!(), " from templates where tenant = $1 order by name"));
    query.bind(tenant).fetch_all(connection).await?.iter().map(read).collect()
}

/// Deletes a template that no agent uses.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Conflict`] when an agent uses it.
pub async fn delete(tx: &mut Tx, tenant: &str, id: &str) -> Result<(), StoreError> {
    let users = sqlx::query_scalar("select count(*) from agents where tenant = $1 and template = $2");
    let users: i64 = users.bind(tenant).bind(id).fetch_one(tx.connection()).await?;
    if users > 0 {
        return Err(StoreError::Conflict(format!("{users} agents use the template")));
    }
    let delete = sqlx::query("delete from templates where tenant = $1 and id = $2");
    let done = delete.bind(tenant).bind(id).execute(tx.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::missing("template", id)) }
}

/// Has an agent's configuration made of a template, with these values (a JSON object); `None` = not any more.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent.
pub async fn assign(
    tx: &mut Tx,
    tenant: &str,
    agent: &str,
    template: Option<&str>,
    values: &str,
) -> Result<(), StoreError> {
    let update =
        sqlx::query("update agents set template = $1, template_values = $2 where id = $3 and tenant = $4");
    let update = update.bind(template.map(str::to_owned)).bind(values).bind(agent).bind(tenant);
    let done = update.execute(tx.connection()).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::missing("agent", agent)) }
}

/// The agents that use a template, with their values.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn users(
    connection: &mut Connection,
    tenant: &str,
    template: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let query = sqlx::query(
        "select id, template_values from agents
         where tenant = $1 and template = $2 and revoked_at is null order by id",
    );
    let rows = query.bind(tenant).bind(template).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn read(row: &AnyRow) -> Result<Template, StoreError> {
    Ok(Template {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        name: row.try_get("name")?,
        toml: row.try_get("toml")?,
        version: row.try_get("version")?,
        author: row.try_get("author")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
