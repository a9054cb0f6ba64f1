//! Brings the tables to this version: numbered files, two folders with the same numbers, one transaction each. Nodes that
//! start together take turns (an advisory lock on PostgreSQL, the write lock on SQLite). Numbers may have gaps, and what
//! lies in a gap is applied whenever it appears. What SQL cannot do, a function does in the same transaction.

mod hook_addresses;
#[cfg(test)]
mod tests;

use super::engine::Engine;
use super::error::StoreError;
use futures_util::future::BoxFuture;
use sqlx::AnyPool;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};
use std::collections::BTreeSet;

pub(super) struct Migration {
    pub(super) number: i64,
    pub(super) name: &'static str,
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
    then: Then,
}

/// What is done after a step's SQL, in its transaction.
type Then = for<'c> fn(Engine, &'c mut AnyConnection) -> BoxFuture<'c, Result<(), sqlx::Error>>;

macro_rules! migration {
    ($number:literal, $name:literal) => {
        migration!($number, $name, |_, _| Box::pin(async { Ok(()) }))
    };
    ($number:literal, $name:literal, $then:expr) => {
        Migration {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("migrations/postgres/", $name, ".sql")),
            then: $then,
        }
    };
}

/// One a line, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_link"),
    migration!(100, "0100_accounts"),
    migration!(200, "0200_alerts"),
    migration!(300, "0300_times"),
    migration!(310, "0310_hooks_off"),
    migration!(320, "0320_hook_addresses", hook_addresses::hash),
];

/// The newest step that this program knows.
pub const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// Any number that no other program on the same PostgreSQL server is likely to lock.
const LOCK: i64 = 0x7075_7273_6572;

pub(super) async fn run(engine: Engine, writers: &AnyPool) -> Result<(), StoreError> {
    let mut connection = writers.acquire().await.map_err(StoreError::Open)?;
    if engine == Engine::Postgres {
        // A step, and the wait for another node's, take as long as they take.
        connection.close_on_drop();
        connection.execute("set statement_timeout = 0").await?;
        sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *connection).await?;
    }
    let done = apply_all(engine, &mut connection, MIGRATIONS).await;
    match engine {
        Engine::Postgres => {
            sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(&mut *connection).await?;
            done
        }
        Engine::Sqlite => {
            done?;
            hook_addresses::wipe(&mut connection).await
        }
    }
}

async fn apply_all(
    engine: Engine,
    connection: &mut AnyConnection,
    steps: &[Migration],
) -> Result<(), StoreError> {
    let table =
        "create table if not exists migrations (number bigint not null primary key, name text not null)";
    connection.execute(table).await?;
    let rows = sqlx::query("select number from migrations").fetch_all(&mut *connection).await?;
    let applied: BTreeSet<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let known: BTreeSet<i64> = MIGRATIONS.iter().map(|migration| migration.number).collect();
    if let Some(found) = applied.difference(&known).last() {
        return Err(StoreError::Newer { found: *found, known: NEWEST });
    }
    for migration in steps.iter().filter(|migration| !applied.contains(&migration.number)) {
        apply(engine, connection, migration).await.map_err(|source| StoreError::Migration {
            number: migration.number,
            name: migration.name,
            source,
        })?;
    }
    Ok(())
}

async fn apply(engine: Engine, connection: &mut AnyConnection, step: &Migration) -> Result<(), sqlx::Error> {
    let (begin, sql) = match engine {
        Engine::Sqlite => ("begin immediate", step.sqlite),
        Engine::Postgres => ("begin", step.postgres),
    };
    connection.execute(begin).await?;
    let done = within(engine, connection, step, sql).await;
    connection.execute(if done.is_ok() { "commit" } else { "rollback" }).await?;
    done
}

async fn within(
    engine: Engine,
    connection: &mut AnyConnection,
    step: &Migration,
    sql: &'static str,
) -> Result<(), sqlx::Error> {
    // Another process may have been faster, on SQLite, between the reading and this transaction.
    let there = sqlx::query("select number from migrations where number = $1").bind(step.number);
    if there.fetch_optional(&mut *connection).await?.is_some() {
        return Ok(());
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    (step.then)(engine, connection).await?;
    let note = sqlx::query("insert into migrations (number, name) values ($1, $2)");
    note.bind(step.number).bind(step.name).execute(&mut *connection).await?;
    Ok(())
}
