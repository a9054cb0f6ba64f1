//! Templates: one configuration for many agents, with values for each. Changing a template changes no agent; rolling it
//! does, for all agents that use it or for none.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, ok, shown};
use super::plug::Plug;
use super::refusal::{Refusal, findings_of};
use super::revisions::{PlanView, of_size, plan_view};
use crate::configurations::Rendered;
use crate::configurations::template::names;
use crate::store::templates::{self, Template};
use actix_web::web::{Data, Path};
use actix_web::{delete, get, post, put};
use purser_proto::finding::ConfigFinding;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config
        .service(list_templates)
        .service(create_template)
        .service(show_template)
        .service(change_template)
        .service(remove_template)
        .service(plan_template)
        .service(roll_template)
        .service(assign_template)
        .service(unassign_template);
}

/// A new template.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// What people call it.
    #[schema(min_length = 1, max_length = 64, example = "All works")]
    name: String,
    /// TOML with `{{name}}` where agents differ.
    #[schema(max_length = 524288, example = "version = 1\n")]
    toml: String,
}

/// A template's new text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateChange {
    /// TOML with `{{name}}` where agents differ.
    #[schema(max_length = 524288, example = "version = 1\n")]
    toml: String,
    /// The version that it was made from; when another one is the newest, nothing is changed.
    #[schema(minimum = 1)]
    version: i64,
}

/// A text to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateText {
    /// The text; the template's own when nothing is said.
    #[serde(default)]
    #[schema(max_length = 524288)]
    toml: Option<String>,
}

/// Why a template is rolled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// Why.
    #[serde(default)]
    #[schema(max_length = 512)]
    note: String,
}

/// Which template an agent's configuration is made of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Id of the template.
    #[schema(max_length = 80)]
    template: String,
    /// Values by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    values: Map<String, Value>,
}

/// A template without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateView {
    /// Id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Grows with each change.
    pub version: i64,
    /// Who changed it last.
    pub author: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    pub changed: String,
    /// The names that agents need values for.
    pub names: Vec<String>,
}

/// A template with its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct WholeTemplate {
    /// The template.
    #[serde(flatten)]
    pub view: TemplateView,
    /// TOML with `{{name}}` where agents differ.
    pub toml: String,
    /// The agents that use it.
    pub agents: Vec<String>,
}

/// What a template makes of an agent.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentPlan {
    /// The agent.
    pub agent: String,
    /// What would change.
    #[serde(flatten)]
    pub plan: PlanView,
}

/// A revision that was made of a template.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rolled {
    /// The agent.
    pub agent: String,
    /// Its new revision.
    pub number: i64,
}

fn view(template: &Template) -> TemplateView {
    TemplateView {
        id: template.id.clone(),
        name: template.name.clone(),
        version: template.version,
        author: template.author.clone(),
        changed: shown(template.updated_at),
        names: names(&template.toml).into_iter().collect(),
    }
}

async fn found(admin: &Admin, tenant: &str, id: &str) -> Result<Template, Refusal> {
    let template = templates::of(&mut *admin.store.read().await?, tenant, id).await?;
    if template.id == id { Ok(template) } else { Err(Refusal::missing()) }
}

/// Templates, by name.
#[utoipa::path(tag = "templates", extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = Vec<TemplateView>), (status = 403, body = Refusal)))]
#[get("/templates")]
async fn list_templates(admin: Data<Admin>, asked: Asked<need::ConfigurationRead>) -> Answer {
    let all = templates::of_tenant(&mut *admin.store.read().await?, &asked.tenant).await?;
    ok(&all.iter().map(view).collect::<Vec<_>>())
}

/// Make a template.
#[utoipa::path(tag = "templates", request_body = NewTemplate, extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 201, body = TemplateView), (status = 409, body = Refusal), (status = 422, body = Refusal)))]
#[post("/templates")]
async fn create_template(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationWrite>,
    body: Body<NewTemplate>,
) -> Answer {
    let NewTemplate { name, toml } = body.value;
    let name = name.trim().to_owned();
    of_size(&toml, "")?;
    if name.is_empty() || name.len() > 64 {
        return Err(Refusal::unfit("a name has 1 to 64 bytes"));
    }
    let (tenant, by, now) = (asked.tenant.clone(), asked.principal.shown.clone(), admin.now());
    let made = admin.create(&asked.0, body.once, "template.create", move |tx| {
        Box::pin(async move {
            let template = templates::create(tx, &tenant, &name, &toml, &by, now).await?;
            Ok(Made { body: view(&template), target: template.id, detail: name })
        })
    });
    made.await
}

/// One template with its text, and the agents that use it.
#[utoipa::path(tag = "templates", params(("id" = String, Path, description = "Id of the template")),
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = WholeTemplate), (status = 404, body = Refusal)))]
#[get("/templates/{id}")]
async fn show_template(admin: Data<Admin>, asked: Asked<need::ConfigurationRead>, id: Path<Id>) -> Answer {
    let template = found(&admin, &asked.tenant, &id.0).await?;
    let users = templates::users(&mut *admin.store.read().await?, &asked.tenant, &template.id).await?;
    let agents = users.into_iter().map(|(agent, _)| agent).collect();
    ok(&WholeTemplate { view: view(&template), toml: template.toml, agents })
}

/// Change a template's text. No agent changes before it is rolled.
#[utoipa::path(tag = "templates", request_body = TemplateChange,
    params(("id" = String, Path, description = "Id of the template")),
    extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[put("/templates/{id}")]
async fn change_template(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationWrite>,
    id: Path<Id>,
    body: Body<TemplateChange>,
) -> Answer {
    let TemplateChange { toml, version } = body.value;
    of_size(&toml, "")?;
    let template = Template { version, ..found(&admin, &asked.tenant, &id.0).await? };
    let (by, now) = (asked.principal.shown.clone(), admin.now());
    let changed = admin.change(&asked.0, "template.change", &id.0, move |tx| {
        Box::pin(async move {
            let template = templates::change(tx, &template, &toml, &by, now).await?;
            Ok(format!("{}: version {}", template.name, template.version))
        })
    });
    changed.await
}

/// Remove a template that no agent uses.
#[utoipa::path(tag = "templates", params(("id" = String, Path, description = "Id of the template")),
    extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[delete("/templates/{id}")]
async fn remove_template(admin: Data<Admin>, asked: Asked<need::ConfigurationWrite>, id: Path<Id>) -> Answer {
    let template = found(&admin, &asked.tenant, &id.0).await?;
    let tenant = asked.tenant.clone();
    let removed = admin.change(&asked.0, "template.remove", &id.0, move |tx| {
        Box::pin(async move { templates::delete(tx, &tenant, &template.id).await.map(|()| template.name) })
    });
    removed.await
}

/// What a template would change for each agent that uses it. Nothing is changed.
#[utoipa::path(tag = "templates", request_body = TemplateText,
    params(("id" = String, Path, description = "Id of the template")),
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = Vec<AgentPlan>), (status = 404, body = Refusal)))]
#[post("/templates/{id}/plan")]
async fn plan_template(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationRead>,
    id: Path<Id>,
    body: Body<TemplateText>,
) -> Answer {
    let template = found(&admin, &asked.tenant, &id.0).await?;
    let toml = body.value.toml.unwrap_or(template.toml);
    of_size(&toml, "")?;
    let all = admin.configurations.plan_template(&asked.tenant, &template.id, &toml).await?;
    let plan = |rendered: Rendered| AgentPlan { agent: rendered.agent, plan: plan_view(rendered.plan) };
    ok(&all.into_iter().map(plan).collect::<Vec<_>>())
}

/// Make a revision for each agent that uses a template and whose text it changes; for none, when one of them cannot be.
#[utoipa::path(tag = "templates", request_body = Roll, params(("id" = String, Path, description = "Id of the template")),
    extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 200, body = Vec<Rolled>), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
#[post("/templates/{id}/roll")]
async fn roll_template(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationWrite>,
    id: Path<Id>,
    body: Body<Roll>,
) -> Answer {
    let note = body.value.note;
    of_size("", &note)?;
    let template = found(&admin, &asked.tenant, &id.0).await?;
    let all = admin.configurations.plan_template(&asked.tenant, &template.id, &template.toml).await?;
    let refused: Vec<ConfigFinding> = all.into_iter().flat_map(of_agent).collect();
    if !refused.is_empty() {
        return Err(Refusal::invalid(findings_of(refused)));
    }
    // Noted first: the revisions of a large fleet are not made in one transaction.
    let detail = format!("{}: version {}", template.name, template.version);
    admin.change(&asked.0, "template.roll", &id.0, move |_| Box::pin(async move { Ok(detail) })).await?;
    let by = asked.principal.shown.clone();
    let made = admin.configurations.apply_template(&asked.tenant, &template.id, &by, &note).await?;
    ok(&made.into_iter().map(|row| Rolled { agent: row.agent, number: row.number }).collect::<Vec<_>>())
}

fn of_agent(rendered: Rendered) -> impl Iterator<Item = ConfigFinding> {
    let Rendered { agent, plan, .. } = rendered;
    plan.findings.into_iter().map(move |finding| {
        let path = format!("{agent}: {}", finding.path);
        ConfigFinding { path, ..finding }
    })
}

/// Have an agent's configuration made of a template, with these values. It changes when the template is rolled.
#[utoipa::path(tag = "templates", request_body = Assignment, params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
#[put("/agents/{id}/template")]
async fn assign_template(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationWrite>,
    id: Path<Id>,
    body: Body<Assignment>,
) -> Answer {
    let Assignment { template, values } = body.value;
    let values = Value::Object(values).to_string();
    if values.len() > 65_536 {
        return Err(Refusal::unfit("the values have at most 65536 bytes"));
    }
    let template = found(&admin, &asked.tenant, &template).await?;
    let (tenant, agent) = (asked.tenant.clone(), id.0.clone());
    let assigned = admin.change(&asked.0, "agent.template", &id.0, move |tx| {
        Box::pin(async move {
            templates::assign(tx, &tenant, &agent, Some(&template.id), &values).await?;
            Ok(template.name)
        })
    });
    assigned.await
}

/// Have an agent's configuration no longer made of a template. The revision in force stays.
#[utoipa::path(tag = "templates", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/agents/{id}/template")]
async fn unassign_template(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationWrite>,
    id: Path<Id>,
) -> Answer {
    let (tenant, agent) = (asked.tenant.clone(), id.0.clone());
    let unassigned = admin.change(&asked.0, "agent.template", &id.0, move |tx| {
        Box::pin(async move {
            templates::assign(tx, &tenant, &agent, None, "{}").await.map(|()| "none".to_owned())
        })
    });
    unassigned.await
}
