//! What each report of an agent leads to. They are taken in the order of their ids, each once: an agent repeats what it
//! does not know to be kept.

use super::take::tell;
use crate::clock::Millis;
use crate::store::agents::Agent;
use crate::store::reports::{Origin, count_webhook, notice, put_status};
use crate::store::{StoreError, Tx, commands, revisions, sealed};
use purser_proto::link::configuration::RevisionVerdict;
use purser_proto::link::report::{Notice, NoticeLevel, Report, ReportBody};
use purser_proto::link::sync::SyncRequest;

/// Takes what is new; answers up to which id reports are kept.
pub(super) async fn take(
    tx: &mut Tx,
    agent: &Agent,
    said: &SyncRequest,
    now: Millis,
) -> Result<i64, StoreError> {
    let id = |report: &Report| i64::try_from(report.id).unwrap_or(i64::MAX);
    let mut new: Vec<&Report> =
        said.reports.as_slice().iter().filter(|report| id(report) > agent.reported).collect();
    new.sort_by_key(|report| report.id);
    new.dedup_by_key(|report| report.id);
    for report in &new {
        one(tx, agent, id(report), report, now).await?;
    }
    let Some(reported) = new.last().map(|report| id(report)) else { return Ok(agent.reported) };
    let update = sqlx::query("update agents set reported = $1 where id = $2");
    update.bind(reported).bind(agent.id.as_str()).execute(tx.connection()).await?;
    Ok(reported)
}

async fn one(tx: &mut Tx, agent: &Agent, id: i64, report: &Report, now: Millis) -> Result<(), StoreError> {
    let at = report.at.timestamp_millis();
    match &report.body {
        ReportBody::Status(status) => put_status(tx, agent, status, at, now).await,
        ReportBody::Result { delivery, result } => {
            commands::finish(tx, &agent.id, delivery.as_str(), result, now).await
        }
        ReportBody::Revision(verdict) => {
            revisions::decide(tx, &agent.id, verdict, now).await?;
            if verdict.refused.is_empty() { Ok(()) } else { tell(tx, agent, &refused(verdict), now).await }
        }
        ReportBody::Secret { delivery, refused, .. } => {
            let refused = refused.as_ref().map(|why| why.as_str());
            sealed::finish(tx, &agent.id, delivery.as_str(), refused, now).await
        }
        ReportBody::Webhook { outcome, code, .. } => {
            let code = code.as_ref().map_or("", |code| code.as_str());
            count_webhook(tx, agent, outcome.as_str(), code, now).await
        }
        ReportBody::Notice(what) => {
            notice(tx, &agent.tenant, &agent.id, Origin::Agent(id), what, at, now).await
        }
        ReportBody::Unknown => {
            tracing::info!(agent = %agent.id, report = id, "a report of a kind that is not known was let go");
            Ok(())
        }
    }
}

fn refused(verdict: &RevisionVerdict) -> Notice {
    let first = verdict.refused.as_slice().first();
    let first = first.map_or(String::new(), |finding| format!(": {} {}", finding.path, finding.what));
    Notice {
        level: NoticeLevel::Warning,
        code: "configuration-refused".into(),
        concerns: None,
        what: format!(
            "the agent refused revision {} and works on with the one before{first}",
            verdict.number
        )
        .into(),
        fix: "mend what the findings say and make a new revision".into(),
    }
}
