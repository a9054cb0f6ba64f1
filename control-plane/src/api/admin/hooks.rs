//! Hooks of an agent's connections. The end of a hook's address is what keeps strangers out, so it is shown once and kept
//! nowhere; a hook goes by its name, here, in the audit log and in lists.

use super::Admin;
use super::access::{Asked, Asking, need};
use super::exchange::{Answer, Body, Id, Made, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::store::hooks::{self, Ceilings, Hook, NewHook};
use crate::store::{Connection, StoreError, agents};
use actix_web::web::{Data, Path};
use actix_web::{delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_hooks).service(create_hook).service(rotate_hook).service(remove_hook);
    config.service(disable_hook).service(enable_hook);
}

/// A new hook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HookRequest {
    /// Which of the agent's connections.
    #[schema(min_length = 1, max_length = 128, example = "cards")]
    connection: String,
    /// Headers that are kept beside those that all keep: where the sender puts a shared secret.
    #[serde(default)]
    #[schema(max_items = 16)]
    headers: Vec<String>,
    /// Largest body, in bytes.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1048576)]
    largest_body: Option<i64>,
    /// How many a second, in the long run.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100000)]
    per_second: Option<i64>,
    /// How many at once.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000000)]
    burst: Option<i64>,
    /// How many days one waits for the agent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 90)]
    keep_days: Option<i64>,
}

/// A hook without its address.
#[derive(Debug, Serialize, ToSchema)]
pub struct HookView {
    /// Its name; no part of its address.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// Which of its connections.
    pub connection: String,
    /// Headers that are kept beside those that all keep.
    pub headers: Vec<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    #[schema(format = DateTime)]
    pub created: String,
    /// How many it took.
    pub received: i64,
    /// How many it sent away.
    pub refused: i64,
    /// When it took the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last: Option<String>,
    /// Since when it is switched off and takes nothing; absent while it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub disabled: Option<String>,
}

/// A hook with its address; shown once. Only a hash of it is kept.
#[derive(Serialize, ToSchema)]
pub struct MadeHook {
    /// Where the sender sends to; a path where the server does not know its own address.
    pub url: String,
    /// The hook without it.
    #[serde(flatten)]
    pub view: HookView,
}

fn view(hook: &Hook) -> HookView {
    HookView {
        id: hook.id.clone(),
        agent: hook.agent.clone(),
        connection: hook.connection.clone(),
        headers: hook.headers.clone(),
        created_by: hook.created_by.clone(),
        created: shown(hook.created_at),
        received: hook.received,
        refused: hook.refused,
        last: hook.last_at.map(shown),
        disabled: hook.disabled_at.map(shown),
    }
}

fn made(admin: &Admin, made: &hooks::Made) -> MadeHook {
    let path = made.path();
    let url = admin.public_url.as_ref().and_then(|own| own.join(&path).ok()).map_or(path, String::from);
    MadeHook { url, view: view(&made.hook) }
}

async fn found(
    connection: &mut Connection,
    tenant: &str,
    agent: &str,
    wanted: &str,
) -> Result<Hook, StoreError> {
    let hook = hooks::of(connection, tenant, wanted).await?;
    if hook.agent == agent { Ok(hook) } else { Err(StoreError::missing("hook", wanted)) }
}

/// An agent's hooks.
#[utoipa::path(tag = "hooks", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("hooks-read"))),
    responses((status = 200, body = Vec<HookView>), (status = 404, body = Refusal)))]
#[get("/agents/{id}/hooks")]
async fn list_hooks(admin: Data<Admin>, asked: Asked<need::HooksRead>, id: Path<Id>) -> Answer {
    let mut reader = admin.store.read().await?;
    agents::of(&mut reader, &asked.tenant, &id.0).await?;
    let all = hooks::of_agent(&mut reader, &asked.tenant, &id.0).await?;
    ok(&all.iter().map(view).collect::<Vec<_>>())
}

/// Make a hook; its address is in this answer and nowhere else.
#[utoipa::path(tag = "hooks", request_body = HookRequest, params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("hooks-write"))),
    responses((status = 201, body = MadeHook), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[post("/agents/{id}/hooks")]
async fn create_hook(
    admin: Data<Admin>,
    asked: Asked<need::HooksWrite>,
    id: Path<Id>,
    body: Body<HookRequest>,
) -> Answer {
    let HookRequest { connection, headers, largest_body, per_second, burst, keep_days } = body.value;
    let usual = Ceilings::default();
    let keep = match keep_days {
        None => usual.keep,
        Some(days @ 1..=90) => days * 86_400_000,
        Some(_) => return Err(Refusal::unfit("a webhook waits for 1 to 90 days")),
    };
    let ceilings = Ceilings {
        largest_body: largest_body.unwrap_or(usual.largest_body),
        per_second: per_second.unwrap_or(usual.per_second),
        burst: burst.unwrap_or(usual.burst),
        keep,
        ..usual
    };
    let (tenant, agent, by) = (asked.tenant.clone(), id.into_inner().0, asked.principal.shown.clone());
    let new = NewHook { tenant, agent, connection, headers, ceilings, by };
    let (admin, now) = (admin.get_ref().clone(), admin.now());
    let shared = admin.clone();
    let created = admin.create(&asked.0, body.once, "hook.create", move |tx| {
        Box::pin(async move {
            let hook = hooks::create(tx, &new, now).await?;
            let detail = format!("{} of agent {}", hook.hook.connection, hook.hook.agent);
            Ok(Made { body: made(&shared, &hook), target: hook.hook.id.clone(), detail })
        })
    });
    created.await
}

/// Give a hook a new address and name; the address until now is nobody's within two seconds on every node.
#[utoipa::path(tag = "hooks",
    params(("id" = String, Path, description = "Id of the agent"), ("hook" = String, Path, description = "Name of the hook")),
    extensions(("x-permission" = json!("hooks-write"))),
    responses((status = 201, body = MadeHook), (status = 404, body = Refusal)))]
#[post("/agents/{id}/hooks/{hook}/rotate")]
async fn rotate_hook(
    admin: Data<Admin>,
    asked: Asked<need::HooksWrite>,
    path: Path<(Id, Id)>,
    once: super::exchange::Once,
) -> Answer {
    let (agent, wanted) = path.into_inner();
    let (tenant, by) = (asked.tenant.clone(), asked.principal.shown.clone());
    let (admin, now) = (admin.get_ref().clone(), admin.now());
    let shared = admin.clone();
    let rotated = admin.create(&asked.0, once, "hook.rotate", move |tx| {
        Box::pin(async move {
            let old = found(tx.connection(), &tenant, &agent.0, &wanted.0).await?;
            let hook = hooks::rotate(tx, &tenant, &old.id, &by, now).await?;
            let detail = format!("before: {}", wanted.0);
            Ok(Made { body: made(&shared, &hook), target: hook.hook.id.clone(), detail })
        })
    });
    rotated.await
}

/// Switch a hook off: it keeps its address and takes nothing. Senders are answered 503 and try again for as long as they
/// do; within two seconds on every node.
#[utoipa::path(tag = "hooks",
    params(("id" = String, Path, description = "Id of the agent"), ("hook" = String, Path, description = "Name of the hook")),
    extensions(("x-permission" = json!("hooks-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[post("/agents/{id}/hooks/{hook}/disable")]
async fn disable_hook(admin: Data<Admin>, asked: Asked<need::HooksWrite>, path: Path<(Id, Id)>) -> Answer {
    switch(&admin, &asked.0, path.into_inner(), false).await
}

/// Switch a hook on again, at the address that it had.
#[utoipa::path(tag = "hooks",
    params(("id" = String, Path, description = "Id of the agent"), ("hook" = String, Path, description = "Name of the hook")),
    extensions(("x-permission" = json!("hooks-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[post("/agents/{id}/hooks/{hook}/enable")]
async fn enable_hook(admin: Data<Admin>, asked: Asked<need::HooksWrite>, path: Path<(Id, Id)>) -> Answer {
    switch(&admin, &asked.0, path.into_inner(), true).await
}

async fn switch(admin: &Admin, asking: &Asking, (agent, wanted): (Id, Id), on: bool) -> Answer {
    let (tenant, now, target) = (asking.tenant.clone(), admin.now(), wanted.0.clone());
    let action = if on { "hook.enable" } else { "hook.disable" };
    let switched = admin.change(asking, action, &target, move |tx| {
        Box::pin(async move {
            let hook = found(tx.connection(), &tenant, &agent.0, &wanted.0).await?;
            // Switched off twice, it is off since the first time.
            let since = if on { None } else { hook.disabled_at.or(Some(now)) };
            hooks::disable(tx, &tenant, &hook.id, since).await?;
            Ok(format!("{} of agent {}", hook.connection, hook.agent))
        })
    });
    switched.await
}

/// Remove a hook; its address is nobody's within two seconds on every node.
#[utoipa::path(tag = "hooks",
    params(("id" = String, Path, description = "Id of the agent"), ("hook" = String, Path, description = "Name of the hook")),
    extensions(("x-permission" = json!("hooks-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/agents/{id}/hooks/{hook}")]
async fn remove_hook(admin: Data<Admin>, asked: Asked<need::HooksWrite>, path: Path<(Id, Id)>) -> Answer {
    let (agent, wanted) = path.into_inner();
    let (tenant, now, target) = (asked.tenant.clone(), admin.now(), wanted.0.clone());
    let removed = admin.change(&asked.0, "hook.remove", &target, move |tx| {
        Box::pin(async move {
            let hook = found(tx.connection(), &tenant, &agent.0, &wanted.0).await?;
            hooks::delete(tx, &tenant, &hook.id, now).await?;
            Ok(format!("{} of agent {}", hook.connection, hook.agent))
        })
    });
    removed.await
}
