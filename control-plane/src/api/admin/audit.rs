//! The admin audit log: to read, and to have its chain checked.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::store::admin_audit::{self, Entry};
use actix_web::get;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_audit).service(verify_audit);
}

/// Which part of the log.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// `next` of the page before: entries with smaller numbers.
    #[serde(default)]
    before: Option<i64>,
    /// Most entries, 1 to 200; 50 when nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// An entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// From 1 on, without gaps.
    pub number: i64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who.
    pub who: String,
    /// Id of the person or token; `cli` is the command line of the server.
    pub who_id: String,
    /// What: `agent.approve`.
    pub action: String,
    /// To what.
    pub target: String,
    /// More about it.
    pub detail: String,
    /// The request that asked for it.
    pub request: String,
    /// Covers this entry and all before it.
    pub hash: String,
}

/// A part of the log, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditView>,
    /// `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// What came of checking the chain.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verdict {
    /// Whether nothing was changed, removed or cut off.
    pub whole: bool,
    /// Number of entries that are whole.
    pub entries: i64,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

fn view(entry: Entry) -> AuditView {
    let Entry { number, deed, hash } = entry;
    AuditView {
        number,
        at: shown(deed.at),
        who: deed.who,
        who_id: deed.who_id,
        action: deed.action,
        target: deed.target,
        detail: deed.detail,
        request: deed.request,
        hash,
    }
}

/// What people and programs did, the newest first.
#[utoipa::path(tag = "audit", params(AuditQuery), extensions(("x-permission" = json!("audit-read"))),
    responses((status = 200, body = AuditPage), (status = 403, body = Refusal)))]
#[get("/audit")]
async fn list_audit(admin: Data<Admin>, asked: Asked<need::AuditRead>, query: Query<AuditQuery>) -> Answer {
    let limit = query.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::malformed("limit must be 1 to 200"));
    }
    let before = query.before.unwrap_or(i64::MAX);
    let found = admin_audit::list(&mut *admin.store.read().await?, &asked.tenant, before, limit).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found == limit);
    let next = found.last().map(|entry| entry.number).filter(|number| more && *number > 1);
    ok(&AuditPage { items: found.into_iter().map(view).collect(), next })
}

/// Check that nothing in the log was changed, removed or cut off.
#[utoipa::path(tag = "audit", extensions(("x-permission" = json!("audit-read"))),
    responses((status = 200, body = Verdict), (status = 403, body = Refusal)))]
#[get("/audit/verify")]
async fn verify_audit(admin: Data<Admin>, asked: Asked<need::AuditRead>) -> Answer {
    let checked = admin_audit::verify(&mut *admin.store.read().await?, &asked.tenant).await?;
    ok(&match checked {
        Ok(entries) => Verdict { whole: true, entries, fault: None },
        Err(broken) => Verdict { whole: false, entries: broken.entry - 1, fault: Some(broken.to_string()) },
    })
}
