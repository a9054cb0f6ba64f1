//! What agents tell: the latest status, notices, and counts of how webhooks ended. What came of commands, revisions and
//! secrets is written beside those.

use super::agents::Agent;
use super::error::StoreError;
use super::{Connection, Tx};
use crate::clock::Millis;
use purser_proto::link::report::{Notice, NoticeLevel, StatusReport};
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What is read, by name: a column that a newer program adds does not disturb this one.
macro_rules! columns {
    () => {
        "seq, agent, origin, at, received_at, level, code, concerns, what, fix"
    };
}

const DAY: Millis = 86_400_000;

/// Who noticed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The agent; the id of its report.
    Agent(i64),
    /// This control plane.
    ControlPlane,
}

/// A notice as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its place in the order of coming in.
    pub seq: i64,
    /// Which agent.
    pub agent: String,
    /// `agent` or `control-plane`.
    pub origin: String,
    /// When it happened, by the clock of whoever noticed it.
    pub at: Millis,
    /// When it came in.
    pub received_at: Millis,
    /// `info`, `warning`, `fault`, `security`, `unknown`.
    pub level: String,
    /// Stable word.
    pub code: String,
    /// The connection or flow that it concerns.
    pub concerns: Option<String>,
    /// What happened.
    pub what: String,
    /// How to mend it.
    pub fix: String,
}

/// An agent's latest status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// By the agent's clock.
    pub at: Millis,
    /// By this control plane's.
    pub received_at: Millis,
    /// What it said.
    pub status: StatusReport,
}

/// Keeps a status in the place of the earlier one.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Damaged`].
pub async fn put_status(
    tx: &mut Tx,
    agent: &Agent,
    status: &StatusReport,
    at: Millis,
    now: Millis,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(status).map_err(|why| StoreError::damaged("status", &agent.id, why))?;
    let insert = sqlx::query(
        "insert into statuses (agent, tenant, at, received_at, body) values ($1, $2, $3, $4, $5)
         on conflict (agent) do update set
         at = excluded.at, received_at = excluded.received_at, body = excluded.body",
    );
    let insert = insert.bind(agent.id.as_str()).bind(agent.tenant.as_str()).bind(at).bind(now).bind(body);
    insert.execute(tx.connection()).await?;
    if status.agent_version.as_str() != agent.agent_version && !status.agent_version.is_empty() {
        let update = sqlx::query("update agents set agent_version = $1 where id = $2");
        update.bind(status.agent_version.as_str()).bind(agent.id.as_str()).execute(tx.connection()).await?;
    }
    Ok(())
}

/// An agent's latest status.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Damaged`].
pub async fn status(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
) -> Result<Option<StatusRow>, StoreError> {
    let query = sqlx::query("select at, received_at, body from statuses where agent = $1 and tenant = $2");
    let Some(row) = query.bind(agent).bind(tenant).fetch_optional(connection).await? else { return Ok(None) };
    let body: String = row.try_get("body")?;
    let status = serde_json::from_str(&body).map_err(|why| StoreError::damaged("status", agent, why))?;
    Ok(Some(StatusRow { at: row.try_get("at")?, received_at: row.try_get("received_at")?, status }))
}

/// Keeps a notice.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn notice(
    tx: &mut Tx,
    tenant: &str,
    agent: &str,
    origin: Origin,
    notice: &Notice,
    at: Millis,
    now: Millis,
) -> Result<(), StoreError> {
    let (origin, report) = match origin {
        Origin::Agent(report) => ("agent", Some(report)),
        Origin::ControlPlane => ("control-plane", None),
    };
    sqlx::query(
        "insert into notices
         (tenant, agent, origin, report, at, received_at, level, code, concerns, what, fix)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(tenant)
    .bind(agent)
    .bind(origin)
    .bind(report)
    .bind(at)
    .bind(now)
    .bind(level(notice.level))
    .bind(notice.code.as_str())
    .bind(notice.concerns.as_ref().map(ToString::to_string))
    .bind(notice.what.as_str())
    .bind(notice.fix.as_str())
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A tenant's notices, those before `before` in the order of coming in, the newest first, at most `most`; of one agent, if
/// one is named.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn notices(
    connection: &mut Connection,
    tenant: &str,
    agent: Option<&str>,
    before: i64,
    most: i64,
) -> Result<Vec<NoticeRow>, StoreError> {
    let query = match agent {
        Some(agent) => sqlx::query(concat!(
            "select ",
            columns!(),
            " from notices where tenant = $1 and seq < $2 and agent = $4 order by seq desc limit $3"
        ))
        .bind(tenant)
        .bind(before)
        .bind(most)
        .bind(agent),
        None => sqlx::query(concat!(
            "select ",
            columns!(),
            " from notices where tenant = $1 and seq < $2 order by seq desc limit $3"
        ))
        .bind(tenant)
        .bind(before)
        .bind(most),
    };
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// Counts how a webhook ended.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn count_webhook(
    tx: &mut Tx,
    agent: &Agent,
    outcome: &str,
    code: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let insert = sqlx::query(
        "insert into webhook_outcomes (agent, tenant, day, outcome, code, count) values ($1, $2, $3, $4, $5, 1)
         on conflict (agent, day, outcome, code) do update set count = webhook_outcomes.count + 1",
    );
    let insert = insert.bind(agent.id.as_str()).bind(agent.tenant.as_str()).bind(now - now.rem_euclid(DAY));
    insert.bind(outcome).bind(code).execute(tx.connection()).await?;
    Ok(())
}

/// How webhooks of an agent ended since a day: outcome, code, count.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn webhooks(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
    since: Millis,
) -> Result<Vec<(String, String, i64)>, StoreError> {
    let query = sqlx::query(
        "select outcome, code, cast(sum(count) as bigint) from webhook_outcomes
         where tenant = $1 and agent = $2 and day >= $3 group by outcome, code order by outcome, code",
    );
    let rows = query.bind(tenant).bind(agent).bind(since).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

fn level(level: NoticeLevel) -> &'static str {
    match level {
        NoticeLevel::Info => "info",
        NoticeLevel::Warning => "warning",
        NoticeLevel::Fault => "fault",
        NoticeLevel::Security => "security",
        NoticeLevel::Unknown => "unknown",
    }
}

fn read(row: &AnyRow) -> Result<NoticeRow, StoreError> {
    Ok(NoticeRow {
        seq: row.try_get("seq")?,
        agent: row.try_get("agent")?,
        origin: row.try_get("origin")?,
        at: row.try_get("at")?,
        received_at: row.try_get("received_at")?,
        level: row.try_get("level")?,
        code: row.try_get("code")?,
        concerns: row.try_get("concerns")?,
        what: row.try_get("what")?,
        fix: row.try_get("fix")?,
    })
}
