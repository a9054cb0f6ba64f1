//! Which life of an agent works, which one wants to, and which ones must not.

use super::agents::{Agent, Challenger, Life};
use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use sqlx::Row as _;

/// Lives that must not work.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn fenced(connection: &mut Connection, agent: &str) -> Result<Vec<String>, StoreError> {
    let rows =
        sqlx::query("select instance from fences where agent = $1").bind(agent).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Forbids a life to work; `true` when it was not forbidden before.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn fence(tx: &mut Tx, agent: &Agent, instance: &str, at: Millis) -> Result<bool, StoreError> {
    let insert = sqlx::query(
        "insert into fences (agent, tenant, instance, at) values ($1, $2, $3, $4) on conflict do nothing",
    );
    let insert = insert.bind(agent.id.as_str()).bind(agent.tenant.as_str()).bind(instance).bind(at);
    Ok(insert.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Forgets all lives, after a person has seen to it that there is one machine only: whoever speaks next works.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such agent.
pub async fn forget(tx: &mut Tx, tenant: &str, agent: &str) -> Result<(), StoreError> {
    let update = sqlx::query(
        "update agents set instance = null, instance_started = null, instance_since = null, lineage_started = null,
         challenger = null, challenger_started = null where id = $1 and tenant = $2",
    );
    if update.bind(agent).bind(tenant).execute(tx.connection()).await?.rows_affected() == 0 {
        return Err(StoreError::missing("agent", agent));
    }
    sqlx::query("delete from fences where agent = $1").bind(agent).execute(tx.connection()).await?;
    tx.wake(agent);
    Ok(())
}

/// Writes which life works and which one wants to.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set(
    tx: &mut Tx,
    agent: &str,
    life: Option<&Life>,
    challenger: Option<&Challenger>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update agents set instance = $1, instance_started = $2, instance_since = $3, lineage_started = $4,
         challenger = $5, challenger_started = $6 where id = $7",
    )
    .bind(life.map(|life| life.instance.clone()))
    .bind(life.map(|life| life.started))
    .bind(life.map(|life| life.since))
    .bind(life.map(|life| life.lineage_started))
    .bind(challenger.map(|challenger| challenger.instance.clone()))
    .bind(challenger.map(|challenger| challenger.started))
    .bind(agent)
    .execute(tx.connection())
    .await?;
    Ok(())
}
