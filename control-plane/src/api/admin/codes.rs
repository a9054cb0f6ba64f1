//! Enrollment codes: shown once, then only their fate.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::clock::Millis;
use crate::store::codes::{self, Code, DEFAULT_MINUTES, MOST_MINUTES};
use actix_web::web::{Data, Path};
use actix_web::{delete, get, post};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_codes).service(create_code).service(revoke_code);
}

/// A new code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCode {
    /// What the agent will be called; otherwise as its machine calls itself.
    #[serde(default)]
    #[schema(max_length = 64)]
    name: String,
    /// Whether a person compares the fingerprint before the link carries anything.
    #[serde(default)]
    approve: bool,
    /// For how many minutes it can be used; 60 when nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10080)]
    minutes: Option<u32>,
}

/// A code without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct CodeView {
    /// Id.
    pub id: String,
    /// What the agent will be called.
    pub name: String,
    /// Whether a person compares the fingerprint.
    pub approve: bool,
    /// `usable`, `used`, `revoked` or `expired`.
    pub state: &'static str,
    /// The agent that used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    #[schema(format = DateTime)]
    pub created: String,
    /// Until when it can be used.
    #[schema(format = DateTime)]
    pub expires: String,
}

/// A code with its text; shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeCode {
    /// What is typed at the agent.
    pub code: String,
    /// The code without it.
    #[serde(flatten)]
    pub view: CodeView,
}

fn view(code: Code, now: Millis) -> CodeView {
    let state = match (code.used_at, code.revoked_at) {
        (Some(_), _) => "used",
        (None, Some(_)) => "revoked",
        (None, None) if code.expires_at <= now => "expired",
        (None, None) => "usable",
    };
    CodeView {
        id: code.id,
        name: code.name,
        approve: code.approve,
        state,
        agent: code.agent,
        created_by: code.created_by,
        created: shown(code.created_at),
        expires: shown(code.expires_at),
    }
}

/// The newest codes, at most 1000.
#[utoipa::path(tag = "codes", extensions(("x-permission" = json!("codes-read"))),
    responses((status = 200, body = Vec<CodeView>), (status = 403, body = Refusal)))]
#[get("/codes")]
async fn list_codes(admin: Data<Admin>, asked: Asked<need::CodesRead>) -> Answer {
    let now = admin.now();
    let found = codes::of_tenant(&mut *admin.store.read().await?, &asked.tenant).await?;
    ok(&found.into_iter().map(|code| view(code, now)).collect::<Vec<_>>())
}

/// Make a code.
#[utoipa::path(tag = "codes", request_body = NewCode, extensions(("x-permission" = json!("codes-write"))),
    responses((status = 201, body = MadeCode), (status = 403, body = Refusal), (status = 422, body = Refusal)))]
#[post("/codes")]
async fn create_code(admin: Data<Admin>, asked: Asked<need::CodesWrite>, body: Body<NewCode>) -> Answer {
    let NewCode { name, approve, minutes } = body.value;
    let minutes = minutes.unwrap_or(DEFAULT_MINUTES);
    if name.len() > 64 || !(1..=MOST_MINUTES).contains(&minutes) {
        return Err(Refusal::unfit(format!(
            "a name has at most 64 bytes; a code lives for 1 to {MOST_MINUTES} minutes"
        )));
    }
    let by = asked.principal.shown.clone();
    let new = codes::NewCode { tenant: asked.tenant.clone(), name, approve, by, minutes };
    let now = admin.now();
    let made = admin.create(&asked.0, body.once, "code.create", move |tx| {
        Box::pin(async move {
            let (text, code) = codes::create(tx, &new, now).await?;
            let (target, detail) = (code.id.clone(), format!("for {minutes} minutes"));
            let body = MadeCode { code: text.expose_secret().to_owned(), view: view(code, now) };
            Ok(Made { body, target, detail })
        })
    });
    made.await
}

/// Make a code useless.
#[utoipa::path(tag = "codes", params(("id" = String, Path, description = "Id of the code")),
    extensions(("x-permission" = json!("codes-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/codes/{id}")]
async fn revoke_code(admin: Data<Admin>, asked: Asked<need::CodesWrite>, id: Path<Id>) -> Answer {
    let (tenant, code, now) = (asked.tenant.clone(), id.0.clone(), admin.now());
    let revoked = admin.change(&asked.0, "code.revoke", &id.0, move |tx| {
        Box::pin(async move { codes::revoke(tx, &tenant, &code, now).await.map(|()| String::new()) })
    });
    revoked.await
}
