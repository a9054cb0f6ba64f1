//! What agents and the control plane point out.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Id, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::store::{agents, reports};
use actix_web::get;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_notices);
}

/// Which notices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NoticeQuery {
    /// Of one agent.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    agent: Option<Id>,
    /// `next` of the page before.
    #[serde(default)]
    before: Option<i64>,
    /// Most entries, 1 to 200; 50 when nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A notice.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeView {
    /// Its place in the order of coming in.
    pub number: i64,
    /// The agent.
    pub agent: String,
    /// `agent` or `control-plane`.
    pub origin: String,
    /// When it happened, by the clock of whoever noticed it.
    #[schema(format = DateTime)]
    pub at: String,
    /// When it came in.
    #[schema(format = DateTime)]
    pub received: String,
    /// `info`, `warning`, `fault`, `security` or `unknown`.
    pub level: String,
    /// Stable word.
    pub code: String,
    /// The connection or flow that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concerns: Option<String>,
    /// What happened.
    pub what: String,
    /// How to mend it.
    pub fix: String,
}

/// A part of the notices, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticePage {
    /// The notices.
    pub items: Vec<NoticeView>,
    /// `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

fn view(row: reports::NoticeRow) -> NoticeView {
    NoticeView {
        number: row.seq,
        agent: row.agent,
        origin: row.origin,
        at: shown(row.at),
        received: shown(row.received_at),
        level: row.level,
        code: row.code,
        concerns: row.concerns,
        what: row.what,
        fix: row.fix,
    }
}

/// Notices, the newest first.
#[utoipa::path(tag = "notices", params(NoticeQuery), extensions(("x-permission" = json!("notices-read"))),
    responses((status = 200, body = NoticePage), (status = 404, body = Refusal)))]
#[get("/notices")]
async fn list_notices(
    admin: Data<Admin>,
    asked: Asked<need::NoticesRead>,
    query: Query<NoticeQuery>,
) -> Answer {
    let limit = query.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::malformed("limit must be 1 to 200"));
    }
    let mut reader = admin.store.read().await?;
    let agent = query.agent.as_ref().map(|agent| agent.0.as_str());
    if let Some(agent) = agent {
        agents::of(&mut reader, &asked.tenant, agent).await?;
    }
    let before = query.before.unwrap_or(i64::MAX);
    let found = reports::notices(&mut reader, &asked.tenant, agent, before, limit).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found == limit);
    let next = found.last().map(|row| row.seq).filter(|seq| more && *seq > 1);
    ok(&NoticePage { items: found.into_iter().map(view).collect(), next })
}
