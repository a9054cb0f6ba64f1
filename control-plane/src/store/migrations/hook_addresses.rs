//! Step 320: a hook was found by its address, which was its id; now by a hash of it. Senders notice nothing, and the name
//! by which a hook is known, in the audit log too, stays.
//!
//! What a newcomer gets wrong: SQLite leaves what it deletes in pages that are free, so the file is written anew once.

use super::super::engine::Engine;
use super::super::error::StoreError;
use futures_util::future::BoxFuture;
use sqlx::{AnyConnection, Executor as _, Row as _};

/// As `hooks/address.rs` has them; what is written here must not change with them.
const HASH: &str = "purser-control 2026 address of a hook";
const NAME: &str = "purser-control 2026 name of a hook";
/// Digits of a name, without its first letter.
const DIGITS: usize = 24;

/// The `user_version` of a SQLite file in which no address is left, also not in free pages.
const WIPED: i64 = 320;

/// Moves the hooks over.
pub(super) fn hash(engine: Engine, connection: &mut AnyConnection) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async move {
        let rows = sqlx::query("select id from hooks_in_clear").fetch_all(&mut *connection).await?;
        for row in &rows {
            move_over(connection, row.try_get("id")?).await?;
        }
        connection.execute("drop table hooks_in_clear").await?;
        if engine == Engine::Sqlite && rows.is_empty() {
            connection.execute("pragma user_version = 320").await?;
        }
        Ok(())
    })
}

async fn move_over(connection: &mut AnyConnection, address: String) -> Result<(), sqlx::Error> {
    let hash = blake3::Hash::from(blake3::derive_key(HASH, address.as_bytes())).to_hex();
    let digits = blake3::Hash::from(blake3::derive_key(NAME, address.as_bytes())).to_hex();
    let name = format!("h{}", &digits[..DIGITS]);
    sqlx::query(
        "insert into hooks
         (id, address_hash, tenant, agent, connection, created_by, created_at, deleted_at, disabled_at, headers, largest_body,
          per_second, burst, most_bytes, keep_millis, received, refused, last_at)
         select $1, $2, tenant, agent, connection, created_by, created_at, deleted_at, disabled_at, headers, largest_body,
          per_second, burst, most_bytes, keep_millis, received, refused, last_at from hooks_in_clear where id = $3",
    )
    .bind(name.as_str())
    .bind(hash.as_str())
    .bind(address.as_str())
    .execute(&mut *connection)
    .await?;
    let waiting = sqlx::query("update deliveries set hook = $1 where hook = $2");
    waiting.bind(name).bind(address).execute(connection).await?;
    Ok(())
}

/// Writes a SQLite file anew in which addresses may be left in free pages, and empties its journal. One that cannot be,
/// because its disk is full or somebody else reads it, is served all the same and tried again at the next start.
pub(super) async fn wipe(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let version = sqlx::query("pragma user_version").fetch_one(&mut *connection).await?;
    if version.try_get::<i64, _>(0)? >= WIPED {
        return Ok(());
    }
    tracing::info!("the database is written anew once, so that no address of a hook is left in it");
    match rewrite(connection).await {
        Ok(true) => {
            connection.execute("pragma user_version = 320").await?;
        }
        Ok(false) => tracing::warn!(
            "addresses of hooks may be left in free pages of the database, because another process reads it; end \
             that one and start again"
        ),
        Err(error) => tracing::warn!(
            %error,
            "addresses of hooks may be left in free pages of the database, because it could not be written anew; \
             give it twice as much free disk space as it takes, and start again"
        ),
    }
    Ok(())
}

/// Whether nothing of before is left in the journal either.
async fn rewrite(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    // The copy is as large as the database, so it does not belong into memory, where the connection has its small ones.
    connection.execute("pragma temp_store = file").await?;
    let vacuumed = connection.execute("vacuum").await;
    connection.execute("pragma temp_store = memory").await?;
    vacuumed?;
    let done = sqlx::query("pragma wal_checkpoint(truncate)").fetch_one(connection).await?;
    Ok(done.try_get::<i64, _>(0)? == 0)
}
