//! Rows of alerts: what a tenant wants to be told, whom, what is open, and what is still to be sent.

use super::error::StoreError;
use super::{Connection, Tx};
use crate::alerts::Kind;
use crate::alerts::digest::DAY;
use crate::alerts::message::Message;
use crate::alerts::rules::{Condition, Key, Thresholds};
use crate::clock::Millis;
use crate::secrets::draw_id;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// Most destinations of a tenant.
const DESTINATIONS: i64 = 50;

/// What a tenant wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// From when on.
    pub thresholds: Thresholds,
    /// Hours between two messages about the same; 0 = once.
    pub repeat_hours: i64,
    /// Hour (UTC) of the daily digest; `None` = no digest.
    pub digest_hour: Option<i64>,
    /// Day (since 1970) of the last digest.
    pub digest_day: i64,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { thresholds: Thresholds::default(), repeat_hours: 24, digest_hour: None, digest_day: 0 }
    }
}

/// How a destination is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A signed webhook.
    Webhook,
    /// A mail.
    Mail,
}

impl Way {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
        }
    }
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its id, `d…`.
    pub id: String,
    /// The tenant.
    pub tenant: String,
    /// How it is reached.
    pub way: Way,
    /// Web or mail address.
    pub target: String,
    /// What it wants to hear of; empty = everything.
    pub kinds: Vec<Kind>,
    /// Whether it wants the digest.
    pub digest: bool,
    /// Whether it is told at all.
    pub enabled: bool,
    /// Version of its signing secret.
    pub secret_version: i64,
    /// Since when that version is in force.
    pub rotated_at: Millis,
    /// Who made it.
    pub created_by: String,
    /// Since when.
    pub created_at: Millis,
    /// Since when it cannot be reached.
    pub failing_since: Option<Millis>,
    /// Why.
    pub last_error: Option<String>,
}

impl Destination {
    /// Whether it wants a message.
    pub fn wants(&self, message: &Message) -> bool {
        self.enabled
            && match message.kind {
                Some(kind) => self.kinds.is_empty() || self.kinds.contains(&kind),
                None => self.digest,
            }
    }
}

/// A new destination, its addresses checked by `alerts::destination`.
#[derive(Clone, Debug)]
pub struct NewDestination {
    /// How it is reached.
    pub way: Way,
    /// Web or mail address.
    pub target: String,
    /// What it wants to hear of; empty = everything.
    pub kinds: Vec<Kind>,
    /// Whether it wants the digest.
    pub digest: bool,
    /// Who made it.
    pub by: String,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its id, `l…`.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// Its name.
    pub agent_name: String,
    /// What it is about.
    pub kind: String,
    /// Connection, flow or code.
    pub concerns: String,
    /// One sentence.
    pub title: String,
    /// Whether it is still so.
    pub open: bool,
    /// Since when.
    pub opened_at: Millis,
    /// When it was last seen so.
    pub seen_at: Millis,
    /// When somebody was last told.
    pub told_at: Millis,
    /// How often it was told again.
    pub repeats: i64,
    /// When it was over.
    pub resolved_at: Option<Millis>,
}

impl Alert {
    /// What it is about and where. `None` for a kind of another version.
    pub fn key(&self) -> Option<Key> {
        let kind = Kind::of(&self.kind)?;
        Some(Key { kind, agent: self.agent.clone(), concerns: self.concerns.clone() })
    }
}

/// What a tenant wants to be told.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn wishes(connection: &mut Connection, tenant: &str) -> Result<Wishes, StoreError> {
    let query = sqlx::query("select * from alert_settings where tenant = $1").bind(tenant);
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(Wishes::default()) };
    Ok(Wishes {
        thresholds: Thresholds {
            offline_minutes: row.try_get("offline_minutes")?,
            credential_days: row.try_get("credential_days")?,
            holds: row.try_get("holds")?,
        },
        repeat_hours: row.try_get("repeat_hours")?,
        digest_hour: row.try_get("digest_hour")?,
        digest_day: row.try_get("digest_day")?,
    })
}

/// Keeps what a tenant wants to be told. The day of the last digest is left as it is.
///
/// # Errors
/// [`StoreError::Conflict`] when a figure makes no sense.
pub async fn wish(
    tx: &mut Tx,
    tenant: &str,
    wishes: &Wishes,
    by: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let Thresholds { offline_minutes, credential_days, holds } = wishes.thresholds;
    for (name, value, most) in [
        ("offline_minutes", offline_minutes, 100_000),
        ("credential_days", credential_days, 3650),
        ("holds", holds, 1_000_000),
        ("repeat_hours", wishes.repeat_hours, 10_000),
        ("digest_hour", wishes.digest_hour.unwrap_or_default(), 23),
    ] {
        if !(0..=most).contains(&value) {
            return Err(StoreError::Conflict(format!("{name} is from 0 to {most}")));
        }
    }
    // A digest that is switched on today after its hour comes tomorrow.
    let upsert = sqlx::query(
        "insert into alert_settings (tenant, offline_minutes, credential_days, holds, repeat_hours, digest_hour, \
         digest_day, updated_by, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (tenant) do \
         update set offline_minutes = excluded.offline_minutes, credential_days = excluded.credential_days, holds = \
         excluded.holds, repeat_hours = excluded.repeat_hours, digest_hour = excluded.digest_hour, updated_by = \
         excluded.updated_by, updated_at = excluded.updated_at",
    );
    let upsert = upsert.bind(tenant).bind(offline_minutes).bind(credential_days).bind(holds);
    let upsert = upsert.bind(wishes.repeat_hours).bind(wishes.digest_hour).bind(first_digest(wishes, now));
    upsert.bind(by).bind(now).execute(tx.connection()).await?;
    Ok(())
}

fn first_digest(wishes: &Wishes, now: Millis) -> i64 {
    let past = wishes.digest_hour.is_some_and(|hour| now.rem_euclid(DAY) >= hour * 3_600_000);
    now.div_euclid(DAY) - i64::from(!past)
}

/// Notes that the digest of a day is written; `false` when another node was faster.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn take_digest(tx: &mut Tx, tenant: &str, day: i64) -> Result<bool, StoreError> {
    let update =
        sqlx::query("update alert_settings set digest_day = $2 where tenant = $1 and digest_day < $2");
    Ok(update.bind(tenant).bind(day).execute(tx.connection()).await?.rows_affected() == 1)
}

/// Makes a destination.
///
/// # Errors
/// [`StoreError::Conflict`] when there are too many.
pub async fn add_destination(
    tx: &mut Tx,
    tenant: &str,
    new: &NewDestination,
    now: Millis,
) -> Result<Destination, StoreError> {
    let count = sqlx::query_scalar::<_, i64>("select count(*) from alert_destinations where tenant = $1");
    if count.bind(tenant).fetch_one(tx.connection()).await? >= DESTINATIONS {
        return Err(StoreError::Conflict(format!(
            "a tenant has at most {DESTINATIONS} destinations: remove one first"
        )));
    }
    let id = draw_id('d')?;
    let insert = sqlx::query(
        "insert into alert_destinations (id, tenant, kind, target, kinds, digest, enabled, rotated_at, created_by, \
         created_at) values ($1, $2, $3, $4, $5, $6, 1, $7, $8, $7)",
    );
    let insert = insert.bind(id.as_str()).bind(tenant).bind(new.way.word()).bind(new.target.as_str());
    let insert = insert.bind(words(&new.kinds)).bind(i64::from(new.digest)).bind(now).bind(new.by.as_str());
    insert.execute(tx.connection()).await?;
    destination(tx.connection(), tenant, &id).await
}

fn words(kinds: &[Kind]) -> String {
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    serde_json::to_string(&words).unwrap_or_default()
}

/// A destination of a tenant.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn destination(
    connection: &mut Connection,
    tenant: &str,
    id: &str,
) -> Result<Destination, StoreError> {
    let query = sqlx::query("select * from alert_destinations where tenant = $1 and id = $2");
    let row = query.bind(tenant).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read_destination).transpose()?.ok_or_else(|| StoreError::missing("destination", id))
}

/// All destinations of a tenant.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn destinations(connection: &mut Connection, tenant: &str) -> Result<Vec<Destination>, StoreError> {
    let query = sqlx::query("select * from alert_destinations where tenant = $1 order by id");
    query.bind(tenant).fetch_all(connection).await?.iter().map(read_destination).collect()
}

fn read_destination(row: &AnyRow) -> Result<Destination, StoreError> {
    let kinds: Vec<String> = serde_json::from_str(&row.try_get::<String, _>("kinds")?).unwrap_or_default();
    let way = match row.try_get::<String, _>("kind")?.as_str() {
        "mail" => Way::Mail,
        _ => Way::Webhook,
    };
    Ok(Destination {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant")?,
        way,
        target: row.try_get("target")?,
        kinds: kinds.iter().filter_map(|word| Kind::of(word)).collect(),
        digest: row.try_get::<i64, _>("digest")? != 0,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        secret_version: row.try_get("secret_version")?,
        rotated_at: row.try_get("rotated_at")?,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        failing_since: row.try_get("failing_since")?,
        last_error: row.try_get("last_error")?,
    })
}

/// Changes what a destination wants, or whether it is told at all.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn change_destination(
    tx: &mut Tx,
    tenant: &str,
    id: &str,
    kinds: &[Kind],
    digest: bool,
    enabled: bool,
) -> Result<Destination, StoreError> {
    let update = sqlx::query(
        "update alert_destinations set kinds = $3, digest = $4, enabled = $5, failing_since = null, last_error = null \
         where tenant = $1 and id = $2",
    );
    let update =
        update.bind(tenant).bind(id).bind(words(kinds)).bind(i64::from(digest)).bind(i64::from(enabled));
    update.execute(tx.connection()).await?;
    destination(tx.connection(), tenant, id).await
}

/// Gives a destination a new signing secret; the last one signs for another day.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn rotate(tx: &mut Tx, tenant: &str, id: &str, now: Millis) -> Result<Destination, StoreError> {
    let update = sqlx::query(
        "update alert_destinations set secret_version = secret_version + 1, rotated_at = $3 where tenant = $1 and id = $2",
    );
    update.bind(tenant).bind(id).bind(now).execute(tx.connection()).await?;
    destination(tx.connection(), tenant, id).await
}

/// Removes a destination and what was still to be sent to it.
///
/// # Errors
/// [`StoreError::Missing`].
pub async fn remove_destination(tx: &mut Tx, tenant: &str, id: &str) -> Result<(), StoreError> {
    let messages = sqlx::query("delete from alert_messages where tenant = $1 and destination = $2");
    messages.bind(tenant).bind(id).execute(tx.connection()).await?;
    let delete = sqlx::query("delete from alert_destinations where tenant = $1 and id = $2");
    let gone = delete.bind(tenant).bind(id).execute(tx.connection()).await?.rows_affected();
    if gone == 1 { Ok(()) } else { Err(StoreError::missing("destination", id)) }
}

/// Alerts of a tenant, the newest first: those before `before` (an alert's id and the moment it opened), at most `most`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn list(
    connection: &mut Connection,
    tenant: &str,
    open_only: bool,
    before: Option<(Millis, &str)>,
    most: i64,
) -> Result<Vec<Alert>, StoreError> {
    let (at, id) = before.unwrap_or((i64::MAX, ""));
    let query = sqlx::query(
        "select * from alerts where tenant = $1 and (open = 1 or $2 = 0) and (opened_at < $3 or (opened_at = $3 and id < \
         $4)) order by opened_at desc, id desc limit $5",
    );
    let query = query.bind(tenant).bind(i64::from(open_only)).bind(at).bind(id).bind(most);
    query.fetch_all(connection).await?.iter().map(read_alert).collect()
}

/// Open alerts of a tenant, the oldest first.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn open(connection: &mut Connection, tenant: &str) -> Result<Vec<Alert>, StoreError> {
    let query = sqlx::query("select * from alerts where tenant = $1 and open = 1 order by opened_at, id");
    query.bind(tenant).fetch_all(connection).await?.iter().map(read_alert).collect()
}

fn read_alert(row: &AnyRow) -> Result<Alert, StoreError> {
    Ok(Alert {
        id: row.try_get("id")?,
        agent: row.try_get("agent")?,
        agent_name: row.try_get("agent_name")?,
        kind: row.try_get("kind")?,
        concerns: row.try_get("concerns")?,
        title: row.try_get("title")?,
        open: row.try_get::<i64, _>("open")? != 0,
        opened_at: row.try_get("opened_at")?,
        seen_at: row.try_get("seen_at")?,
        told_at: row.try_get("told_at")?,
        repeats: row.try_get("repeats")?,
        resolved_at: row.try_get("resolved_at")?,
    })
}

/// Opens an alert; `None` when another node was faster.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn begin(
    tx: &mut Tx,
    tenant: &str,
    condition: &Condition,
    now: Millis,
) -> Result<Option<String>, StoreError> {
    let id = draw_id('l')?;
    let insert = sqlx::query(
        "insert into alerts (id, tenant, agent, agent_name, kind, concerns, title, open, opened_at, seen_at, told_at) \
         values ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8, $8) on conflict do nothing",
    );
    let Key { kind, agent, concerns } = &condition.key;
    let insert =
        insert.bind(id.as_str()).bind(tenant).bind(agent.as_str()).bind(condition.agent_name.as_str());
    let insert = insert.bind(kind.word()).bind(concerns.as_str()).bind(condition.title.as_str()).bind(now);
    let made = insert.execute(tx.connection()).await?.rows_affected() == 1;
    Ok(made.then_some(id))
}

/// Notes that an alert is still so, and whether that is told again.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn go_on(
    tx: &mut Tx,
    tenant: &str,
    id: &str,
    title: &str,
    told: bool,
    now: Millis,
) -> Result<bool, StoreError> {
    let update = sqlx::query(
        "update alerts set seen_at = $3, title = $4, told_at = case when $5 = 1 then $3 else told_at end, repeats = \
         repeats + $5 where tenant = $1 and id = $2 and open = 1 and seen_at < $3",
    );
    let update = update.bind(tenant).bind(id).bind(now).bind(title).bind(i64::from(told));
    Ok(update.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Ends an alert; `false` when it had ended.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn resolve(tx: &mut Tx, tenant: &str, id: &str, now: Millis) -> Result<bool, StoreError> {
    let update = sqlx::query(
        "update alerts set open = 0, resolved_at = $3 where tenant = $1 and id = $2 and open = 1",
    );
    Ok(update.bind(tenant).bind(id).bind(now).execute(tx.connection()).await?.rows_affected() == 1)
}
