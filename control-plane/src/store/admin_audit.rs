//! What people and programs did, for ever. An entry is written in the transaction of what it tells, covers the entry
//! before it by a hash, and is neither changed nor removed: the database refuses both.

use super::{Connection, StoreError};
use crate::clock::Millis;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "tenant, entry, at, who, who_id, action, target, detail, request, hash"
    };
}

/// What is noted. Never a secret: ids, names, words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed {
    /// The tenant whose log it is.
    pub tenant: String,
    /// When.
    pub at: Millis,
    /// Who, for people: an address, or the name of a token with its owner's address.
    pub who: String,
    /// Who, for programs: id of a user or token, or `cli`.
    pub who_id: String,
    /// What: `agent.approve`.
    pub action: String,
    /// To what: an id.
    pub target: String,
    /// What a reader needs beyond that.
    pub detail: String,
    /// The request that asked for it.
    pub request: String,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1 on, without gaps, per tenant.
    pub number: i64,
    /// What is noted.
    pub deed: Deed,
    /// Hash of this entry and all before it.
    pub hash: String,
}

/// The chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admin audit log of {tenant} is broken at entry {entry}: {what}")]
pub struct Broken {
    /// Whose log.
    pub tenant: String,
    /// Where.
    pub entry: i64,
    /// How.
    pub what: &'static str,
}

/// Appends an entry.
///
/// # Errors
/// [`StoreError`].
pub async fn append(connection: &mut Connection, deed: &Deed) -> Result<i64, StoreError> {
    let begin =
        "insert into admin_audit_heads (tenant, entries, head) values ($1, 0, '') on conflict do nothing";
    sqlx::query(begin).bind(deed.tenant.as_str()).execute(&mut *connection).await?;
    // Taking the number first makes others that append wait until this transaction is over.
    let take = "update admin_audit_heads set entries = entries + 1 where tenant = $1";
    sqlx::query(take).bind(deed.tenant.as_str()).execute(&mut *connection).await?;
    let (number, before) = head(connection, &deed.tenant).await?;
    let hash = hash_of(&before, number, deed);
    sqlx::query(
        "insert into admin_audit (tenant, entry, at, who, who_id, action, target, detail, request, hash) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(deed.tenant.as_str())
    .bind(number)
    .bind(deed.at)
    .bind(deed.who.as_str())
    .bind(deed.who_id.as_str())
    .bind(deed.action.as_str())
    .bind(deed.target.as_str())
    .bind(deed.detail.as_str())
    .bind(deed.request.as_str())
    .bind(hash.as_str())
    .execute(&mut *connection)
    .await?;
    let close = sqlx::query("update admin_audit_heads set head = $2 where tenant = $1");
    close.bind(deed.tenant.as_str()).bind(hash).execute(connection).await?;
    Ok(number)
}

/// Number of entries, and hash of the last.
///
/// # Errors
/// [`StoreError`].
pub async fn head(connection: &mut Connection, tenant: &str) -> Result<(i64, String), StoreError> {
    let row = sqlx::query("select entries, head from admin_audit_heads where tenant = $1").bind(tenant);
    match row.fetch_optional(connection).await? {
        Some(row) => Ok((row.try_get("entries")?, row.try_get("head")?)),
        None => Ok((0, String::new())),
    }
}

/// Entries before a number, the newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    connection: &mut Connection,
    tenant: &str,
    before: i64,
    most: i64,
) -> Result<Vec<Entry>, StoreError> {
    let sql = concat!(
        "select ",
        columns!(),
        " from admin_audit where tenant = $1 and entry < $2 order by entry desc limit $3"
    );
    let rows = sqlx::query(sql).bind(tenant).bind(before).bind(most).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Reads the whole chain of a tenant and compares.
///
/// # Errors
/// [`StoreError`]; the inner error says where the chain is broken.
pub async fn verify(connection: &mut Connection, tenant: &str) -> Result<Result<i64, Broken>, StoreError> {
    let (entries, head) = head(connection, tenant).await?;
    let (mut number, mut hash) = (0, String::new());
    let broken = |entry, what| Ok(Err(Broken { tenant: tenant.to_owned(), entry, what }));
    loop {
        let sql = concat!(
            "select ",
            columns!(),
            " from admin_audit where tenant = $1 and entry > $2 order by entry limit 500"
        );
        let rows = sqlx::query(sql).bind(tenant).bind(number).fetch_all(&mut *connection).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let entry = read(row)?;
            number += 1;
            if entry.number != number {
                return broken(number, "the entry is missing");
            }
            hash = hash_of(&hash, number, &entry.deed);
            if entry.hash != hash {
                return broken(number, "the entry was changed");
            }
        }
    }
    if number != entries || hash != head {
        return broken(number + 1, "the end was cut off");
    }
    Ok(Ok(number))
}

/// Each part has its length before it, so that no two entries have the same bytes.
fn hash_of(before: &str, number: i64, deed: &Deed) -> String {
    let mut hash = blake3::Hasher::new_derive_key("purser-control 2026 admin audit log");
    let (number, at) = (number.to_string(), deed.at.to_string());
    let parts = [
        before,
        &number,
        &at,
        &deed.tenant,
        &deed.who,
        &deed.who_id,
        &deed.action,
        &deed.target,
        &deed.detail,
        &deed.request,
    ];
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

fn read(row: &AnyRow) -> Result<Entry, StoreError> {
    let deed = Deed {
        tenant: row.try_get("tenant")?,
        at: row.try_get("at")?,
        who: row.try_get("who")?,
        who_id: row.try_get("who_id")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        detail: row.try_get("detail")?,
        request: row.try_get("request")?,
    };
    Ok(Entry { number: row.try_get("entry")?, deed, hash: row.try_get("hash")? })
}
