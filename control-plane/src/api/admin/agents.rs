//! Agents: what they are and how they are, and whether they are let in.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Page, PageQuery, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::store::agents::{self, Agent};
use crate::store::{StoreError, reports};
use actix_web::web::{Data, Path, Query};
use actix_web::{delete, get, patch, post};
use purser_proto::link::report::StatusReport;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config
        .service(list_agents)
        .service(show_agent)
        .service(rename_agent)
        .service(approve_agent)
        .service(revoke_agent)
        .service(remove_agent)
        .service(show_status);
}

/// A new name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// What people call the agent.
    #[schema(min_length = 1, max_length = 64, example = "Works 2")]
    name: String,
}

/// What was read at the machine.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The fingerprint that the machine shows.
    #[schema(min_length = 49, max_length = 49)]
    fingerprint: String,
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentView {
    /// Id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What its machine calls itself.
    pub host: String,
    /// Operating system and processor.
    pub platform: String,
    /// Its version, as it said last.
    pub version: String,
    /// `waits-for-approval`, `enrolled` or `revoked`.
    pub state: &'static str,
    /// What people compare.
    pub fingerprint: String,
    /// The age recipient that secrets for it are sealed to.
    pub recipient: String,
    /// When it enrolled.
    #[schema(format = DateTime)]
    pub enrolled: String,
    /// When it spoke last, to half a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_seen: Option<String>,
    /// Number of the revision that it works with; 0 = its own file.
    pub in_force: i64,
    /// The template that its configuration is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// How an agent is, as it said last.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusView {
    /// By the agent's clock.
    #[schema(format = DateTime)]
    pub at: String,
    /// When it came in.
    #[schema(format = DateTime)]
    pub received: String,
    /// Connections and flows, as far as the machine's guard rails let it be told.
    #[schema(value_type = Object)]
    pub status: StatusReport,
}

fn view(agent: Agent) -> AgentView {
    let state = match (agent.revoked_at, agent.approved_at) {
        (Some(_), _) => "revoked",
        (None, None) => "waits-for-approval",
        (None, Some(_)) => "enrolled",
    };
    AgentView {
        state,
        id: agent.id,
        name: agent.name,
        host: agent.host,
        platform: agent.platform,
        version: agent.agent_version,
        fingerprint: agent.fingerprint,
        recipient: agent.recipient,
        enrolled: shown(agent.enrolled_at),
        last_seen: agent.last_seen.map(shown),
        in_force: agent.in_force,
        template: agent.template,
    }
}

/// Agents.
#[utoipa::path(tag = "agents", params(PageQuery), extensions(("x-permission" = json!("agents-read"))),
    responses((status = 200, body = Page<AgentView>), (status = 403, body = Refusal)))]
#[get("/agents")]
async fn list_agents(admin: Data<Admin>, asked: Asked<need::AgentsRead>, page: Query<PageQuery>) -> Answer {
    let most = page.to_read()?;
    let found = agents::of_tenant(&mut *admin.store.read().await?, &asked.tenant, page.after(), most).await?;
    ok(&page.page(found.into_iter().map(view).collect(), |agent: &AgentView| agent.id.clone()))
}

/// One agent.
#[utoipa::path(tag = "agents", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("agents-read"))),
    responses((status = 200, body = AgentView), (status = 404, body = Refusal)))]
#[get("/agents/{id}")]
async fn show_agent(admin: Data<Admin>, asked: Asked<need::AgentsRead>, id: Path<Id>) -> Answer {
    ok(&view(agents::of(&mut *admin.store.read().await?, &asked.tenant, &id.0).await?))
}

/// Call an agent something else.
#[utoipa::path(tag = "agents", request_body = Rename, params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("agents-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
#[patch("/agents/{id}")]
async fn rename_agent(
    admin: Data<Admin>,
    asked: Asked<need::AgentsWrite>,
    id: Path<Id>,
    body: Body<Rename>,
) -> Answer {
    let name = body.value.name.trim().to_owned();
    if name.is_empty() || name.len() > 64 {
        return Err(Refusal::unfit("a name has 1 to 64 bytes"));
    }
    let (tenant, agent) = (asked.tenant.clone(), id.0.clone());
    let renamed = admin.change(&asked.0, "agent.rename", &id.0, move |tx| {
        Box::pin(async move { agents::rename(tx, &tenant, &agent, &name).await.map(|()| name) })
    });
    renamed.await
}

/// Let an agent in: the fingerprint that was read at the machine is the one that enrolled.
#[utoipa::path(tag = "agents", request_body = Approval, params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("agents-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[post("/agents/{id}/approve")]
async fn approve_agent(
    admin: Data<Admin>,
    asked: Asked<need::AgentsWrite>,
    id: Path<Id>,
    body: Body<Approval>,
) -> Answer {
    let (tenant, agent, now) = (asked.tenant.clone(), id.0.clone(), admin.now());
    let by = asked.principal.shown.clone();
    let fingerprint = body.value.fingerprint.trim().to_lowercase();
    let approved = admin.change(&asked.0, "agent.approve", &id.0, move |tx| {
        Box::pin(async move {
            let enrolled = agents::of(tx.connection(), &tenant, &agent).await?.fingerprint;
            if enrolled != fingerprint {
                let why = "the fingerprint is another one: somebody else may have enrolled; revoke the agent";
                return Err(StoreError::Conflict(why.to_owned()));
            }
            agents::approve(tx, &tenant, &agent, &by, now).await.map(|()| enrolled)
        })
    });
    approved.await
}

/// End an agent's identity; it is refused at once and for ever.
#[utoipa::path(tag = "agents", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("agents-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[post("/agents/{id}/revoke")]
async fn revoke_agent(admin: Data<Admin>, asked: Asked<need::AgentsWrite>, id: Path<Id>) -> Answer {
    let (tenant, agent, now) = (asked.tenant.clone(), id.0.clone(), admin.now());
    let by = asked.principal.shown.clone();
    let revoked = admin.change(&asked.0, "agent.revoke", &id.0, move |tx| {
        Box::pin(async move { agents::revoke(tx, &tenant, &agent, &by, now).await.map(|()| String::new()) })
    });
    revoked.await
}

/// Remove a revoked agent with all that was kept for it.
#[utoipa::path(tag = "agents", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("agents-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[delete("/agents/{id}")]
async fn remove_agent(admin: Data<Admin>, asked: Asked<need::AgentsWrite>, id: Path<Id>) -> Answer {
    let (tenant, agent) = (asked.tenant.clone(), id.0.clone());
    let removed = admin.change(&asked.0, "agent.remove", &id.0, move |tx| {
        Box::pin(async move { agents::remove(tx, &tenant, &agent).await.map(|agent| agent.name) })
    });
    removed.await
}

/// How an agent is, as it said last.
#[utoipa::path(tag = "agents", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("agents-read"))),
    responses((status = 200, body = StatusView), (status = 404, body = Refusal)))]
#[get("/agents/{id}/status")]
async fn show_status(admin: Data<Admin>, asked: Asked<need::AgentsRead>, id: Path<Id>) -> Answer {
    let mut reader = admin.store.read().await?;
    agents::of(&mut reader, &asked.tenant, &id.0).await?;
    let row = reports::status(&mut reader, &asked.tenant, &id.0).await?.ok_or_else(Refusal::missing)?;
    ok(&StatusView { at: shown(row.at), received: shown(row.received_at), status: row.status })
}
