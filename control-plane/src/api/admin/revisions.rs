//! Configurations of agents: what they were, what a text would change, and a new one. Revisions are never changed; going
//! back is a new one. A text is checked by the agent's own code before it is kept.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, ok, shown};
use super::plug::Plug;
use super::refusal::{Finding, Refusal, findings_of};
use crate::configurations::{self, Plan, diff};
use crate::store::revisions::{self, NewRevision, RevisionRow};
use crate::store::{StoreError, agents};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpResponse, get, post};
use purser_proto::link::limits::Document;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Longest note, in bytes.
const LONGEST_NOTE: usize = 512;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config
        .service(validate)
        .service(plan_revision)
        .service(list_revisions)
        .service(create_revision)
        .service(show_revision)
        .service(diff_revision)
        .service(roll_back)
        .service(export);
}

/// A configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationText {
    /// The same TOML that an agent without a control plane reads.
    #[schema(max_length = 524288, example = "version = 1\n")]
    toml: String,
}

/// A configuration that an agent is to work with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConfiguration {
    /// The same TOML that an agent without a control plane reads.
    #[schema(max_length = 524288, example = "version = 1\n")]
    toml: String,
    /// Why.
    #[serde(default)]
    #[schema(max_length = 512)]
    note: String,
    /// The revision that it was made from; when another one is the newest, nothing is changed.
    #[serde(default)]
    #[schema(minimum = 0)]
    base: Option<i64>,
}

/// Why one goes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Why.
    #[serde(default)]
    #[schema(max_length = 512)]
    note: String,
}

/// What a text would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// The revision that it is compared with; 0 = there is none.
    pub base: i64,
    /// Whether it can be applied.
    pub valid: bool,
    /// Every finding.
    pub findings: Vec<Finding>,
    /// The difference, line by line; empty = the same text.
    pub diff: String,
}

/// A revision without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevisionView {
    /// The agent.
    pub agent: String,
    /// Its number.
    pub number: i64,
    /// BLAKE3 of the text.
    pub hash: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub note: String,
    /// When.
    #[schema(format = DateTime)]
    pub created: String,
    /// The revision whose text this has again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolls_back: Option<i64>,
    /// `waiting`, `taken`, `applied`, `refused` or `superseded`.
    pub state: String,
    /// When the agent had decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub decided: Option<String>,
    /// Why the agent refused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// A revision with its text and what it changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct WholeRevision {
    /// The revision.
    #[serde(flatten)]
    pub view: RevisionView,
    /// The configuration.
    pub toml: String,
    /// What it changed, line by line.
    pub diff: String,
}

/// A part of an agent's revisions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevisionPage {
    /// The revisions.
    pub items: Vec<RevisionView>,
    /// `below` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// Which revisions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RevisionQuery {
    /// `next` of the page before: revisions with smaller numbers.
    #[serde(default)]
    below: Option<i64>,
    /// Most entries, 1 to 200; 50 when nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Compared with which one.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// The earlier revision; the one before when nothing is said.
    #[serde(default)]
    #[param(minimum = 0)]
    from: Option<i64>,
}

/// The difference of two revisions.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiffView {
    /// The earlier one; 0 = nothing.
    pub from: i64,
    /// The later one.
    pub to: i64,
    /// The difference, line by line; empty = the same text.
    pub diff: String,
}

pub(super) fn view(row: RevisionRow) -> Result<RevisionView, StoreError> {
    let findings = serde_json::from_str::<Vec<_>>(&row.findings);
    let findings = findings.map_err(|why| StoreError::damaged("findings", &row.agent, why))?;
    Ok(RevisionView {
        agent: row.agent,
        number: row.number,
        hash: row.hash,
        author: row.author,
        note: row.note,
        created: shown(row.created_at),
        rolls_back: row.rolls_back,
        state: row.state,
        decided: row.decided_at.map(shown),
        findings: findings_of(findings),
    })
}

pub(super) fn plan_view(plan: Plan) -> PlanView {
    let findings = findings_of(plan.findings);
    PlanView { base: plan.base, valid: findings.is_empty(), findings, diff: plan.diff }
}

pub(super) fn of_size(toml: &str, note: &str) -> Result<(), Refusal> {
    Document::whole(toml).map_err(|why| Refusal::unfit(format!("the configuration {why}")))?;
    if note.len() > LONGEST_NOTE {
        return Err(Refusal::unfit(format!("a note has at most {LONGEST_NOTE} bytes")));
    }
    Ok(())
}

/// Check a configuration without an agent.
#[utoipa::path(tag = "configuration", request_body = ConfigurationText,
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = PlanView), (status = 403, body = Refusal)))]
#[post("/configuration/validate")]
async fn validate(_asked: Asked<need::ConfigurationRead>, body: Body<ConfigurationText>) -> Answer {
    let toml = body.value.toml;
    of_size(&toml, "")?;
    ok(&plan_view(Plan { base: 0, findings: configurations::findings(&toml), diff: String::new() }))
}

/// What a configuration would change for an agent. Nothing is changed.
#[utoipa::path(tag = "configuration", request_body = ConfigurationText,
    params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = PlanView), (status = 404, body = Refusal)))]
#[post("/agents/{id}/configuration/plan")]
async fn plan_revision(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationRead>,
    id: Path<Id>,
    body: Body<ConfigurationText>,
) -> Answer {
    of_size(&body.value.toml, "")?;
    ok(&plan_view(admin.configurations.plan(&asked.tenant, &id.0, &body.value.toml).await?))
}

/// The newest configuration of an agent, as the TOML that an agent without a control plane reads.
#[utoipa::path(tag = "configuration", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, content_type = "application/toml", body = String), (status = 404, body = Refusal)))]
#[get("/agents/{id}/configuration")]
async fn export(admin: Data<Admin>, asked: Asked<need::ConfigurationRead>, id: Path<Id>) -> Answer {
    let mut reader = admin.store.read().await?;
    agents::of(&mut reader, &asked.tenant, &id.0).await?;
    let newest = revisions::newest(&mut reader, &asked.tenant, &id.0).await?.ok_or_else(Refusal::missing)?;
    Ok(HttpResponse::Ok()
        .content_type("application/toml")
        .insert_header(("purser-revision", newest.number))
        .body(newest.toml))
}

/// An agent's revisions, the newest first.
#[utoipa::path(tag = "configuration", params(("id" = String, Path, description = "Id of the agent"), RevisionQuery),
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = RevisionPage), (status = 404, body = Refusal)))]
#[get("/agents/{id}/revisions")]
async fn list_revisions(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationRead>,
    id: Path<Id>,
    query: Query<RevisionQuery>,
) -> Answer {
    let limit = query.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::malformed("limit must be 1 to 200"));
    }
    let mut reader = admin.store.read().await?;
    agents::of(&mut reader, &asked.tenant, &id.0).await?;
    let below = query.below.unwrap_or(i64::MAX);
    let found = revisions::of_agent(&mut reader, &asked.tenant, &id.0, below, limit).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found == limit);
    let next = found.last().map(|row| row.number).filter(|number| more && *number > 1);
    ok(&RevisionPage { items: found.into_iter().map(view).collect::<Result<_, _>>()?, next })
}

/// Have an agent work with a configuration: the next revision.
#[utoipa::path(tag = "configuration", request_body = NewConfiguration,
    params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 201, body = RevisionView), (status = 404, body = Refusal), (status = 409, body = Refusal),
        (status = 422, body = Refusal)))]
#[post("/agents/{id}/revisions")]
async fn create_revision(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationWrite>,
    id: Path<Id>,
    body: Body<NewConfiguration>,
) -> Answer {
    let NewConfiguration { toml, note, base } = body.value;
    of_size(&toml, &note)?;
    let plan = admin.configurations.plan(&asked.tenant, &id.0, &toml).await?;
    if base.is_some_and(|base| base != plan.base) {
        let why = format!("revision {} is the newest; look at what it changed first", plan.base);
        return Err(StoreError::Conflict(why).into());
    }
    if plan.findings.is_empty() && plan.base > 0 && plan.diff.is_empty() {
        return Err(Refusal::new(
            409,
            "unchanged",
            "nothing is to be changed",
            "the newest revision has this text",
        ));
    }
    revise(&admin, &asked, body.once, id.into_inner(), (toml, note), plan, None).await
}

/// Go back to the text of an earlier revision, as a new one.
#[utoipa::path(tag = "configuration", request_body = Rollback,
    params(("id" = String, Path, description = "Id of the agent"), ("number" = i64, Path, description = "The earlier one")),
    extensions(("x-permission" = json!("configuration-write"))),
    responses((status = 201, body = RevisionView), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
#[post("/agents/{id}/revisions/{number}/rollback")]
async fn roll_back(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationWrite>,
    path: Path<(Id, i64)>,
    body: Body<Rollback>,
) -> Answer {
    let (id, number) = path.into_inner();
    let note = body.value.note;
    let old = revisions::of(&mut *admin.store.read().await?, &asked.tenant, &id.0, number).await?;
    of_size(&old.toml, &note)?;
    let plan = admin.configurations.plan(&asked.tenant, &id.0, &old.toml).await?;
    revise(&admin, &asked, body.once, id, (old.toml, note), plan, Some(number)).await
}

async fn revise(
    admin: &Admin,
    asked: &Asked<need::ConfigurationWrite>,
    once: super::exchange::Once,
    Id(agent): Id,
    (toml, note): (String, String),
    plan: Plan,
    rolls_back: Option<i64>,
) -> Answer {
    if !plan.findings.is_empty() {
        return Err(Refusal::invalid(findings_of(plan.findings)));
    }
    let (tenant, by) = (asked.tenant.clone(), asked.principal.shown.clone());
    let new = NewRevision { tenant, agent, toml, by, note, diff: plan.diff, base: plan.base, rolls_back };
    let now = admin.now();
    let made = admin.create(&asked.0, once, "revision.create", move |tx| {
        Box::pin(async move {
            let row = revisions::insert(tx, new, now).await?;
            let (target, detail) = (row.agent.clone(), format!("revision {}: {}", row.number, row.note));
            Ok(Made { body: view(row)?, target, detail })
        })
    });
    made.await
}

/// One revision with its text.
#[utoipa::path(tag = "configuration",
    params(("id" = String, Path, description = "Id of the agent"), ("number" = i64, Path, description = "Its number")),
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = WholeRevision), (status = 404, body = Refusal)))]
#[get("/agents/{id}/revisions/{number}")]
async fn show_revision(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationRead>,
    path: Path<(Id, i64)>,
) -> Answer {
    let (id, number) = path.into_inner();
    let row = revisions::of(&mut *admin.store.read().await?, &asked.tenant, &id.0, number).await?;
    let (toml, diff) = (row.toml.clone(), row.diff.clone());
    ok(&WholeRevision { view: view(row)?, toml, diff })
}

/// The difference of two revisions.
#[utoipa::path(tag = "configuration",
    params(("id" = String, Path, description = "Id of the agent"), ("number" = i64, Path, description = "The later one"), DiffQuery),
    extensions(("x-permission" = json!("configuration-read"))),
    responses((status = 200, body = DiffView), (status = 404, body = Refusal)))]
#[get("/agents/{id}/revisions/{number}/diff")]
async fn diff_revision(
    admin: Data<Admin>,
    asked: Asked<need::ConfigurationRead>,
    path: Path<(Id, i64)>,
    query: Query<DiffQuery>,
) -> Answer {
    let (id, to) = path.into_inner();
    let mut reader = admin.store.read().await?;
    let later = revisions::of(&mut reader, &asked.tenant, &id.0, to).await?;
    let before = revisions::of_agent(&mut reader, &asked.tenant, &id.0, to, 1).await?;
    let from = query.from.unwrap_or_else(|| before.first().map_or(0, |row| row.number));
    let earlier = match from {
        0 => String::new(),
        from => revisions::of(&mut reader, &asked.tenant, &id.0, from).await?.toml,
    };
    ok(&DiffView { from, to, diff: diff::lines(&earlier, &later.toml) })
}
