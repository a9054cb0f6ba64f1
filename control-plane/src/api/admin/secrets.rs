//! Sealed secrets: handed in as `purser seal` made them, passed on, gone. Nobody here can open them.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::store::agents;
use crate::store::sealed::{self, NewSecret, SecretRow};
use actix_web::web::{Data, Path};
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_secrets).service(hand_in);
}

/// A sealed secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedSecret {
    /// What people call it; what counts is inside.
    #[schema(min_length = 1, max_length = 128, example = "books")]
    name: String,
    /// What `purser seal` has printed.
    #[schema(
        max_length = 65536,
        example = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"
    )]
    armored: String,
}

/// A secret that was handed in, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecretView {
    /// Id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Who handed it in.
    pub author: String,
    /// When.
    #[schema(format = DateTime)]
    pub created: String,
    /// `waiting`, `taken`, `stored` or `refused`.
    pub state: String,
    /// When the agent had decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub decided: Option<String>,
    /// Why the agent did not store it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A secret that waits for its agent.
#[derive(Debug, Serialize, ToSchema)]
pub struct HandedIn {
    /// Id.
    pub id: String,
    /// What people call it.
    pub name: String,
}

fn view(row: SecretRow) -> SecretView {
    SecretView {
        id: row.id,
        name: row.name,
        author: row.author,
        created: shown(row.created_at),
        state: row.state,
        decided: row.decided_at.map(shown),
        refused: row.refused,
    }
}

/// The newest secrets that were handed in for an agent, and what became of them.
#[utoipa::path(tag = "secrets", params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("secrets-read"))),
    responses((status = 200, body = Vec<SecretView>), (status = 404, body = Refusal)))]
#[get("/agents/{id}/secrets")]
async fn list_secrets(admin: Data<Admin>, asked: Asked<need::SecretsRead>, id: Path<Id>) -> Answer {
    let mut reader = admin.store.read().await?;
    agents::of(&mut reader, &asked.tenant, &id.0).await?;
    let found = sealed::of_agent(&mut reader, &asked.tenant, &id.0).await?;
    ok(&found.into_iter().map(view).collect::<Vec<_>>())
}

/// Hand in a sealed secret for an agent.
#[utoipa::path(tag = "secrets", request_body = SealedSecret, params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("secrets-write"))),
    responses((status = 201, body = HandedIn), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[post("/agents/{id}/secrets")]
async fn hand_in(
    admin: Data<Admin>,
    asked: Asked<need::SecretsWrite>,
    id: Path<Id>,
    body: Body<SealedSecret>,
) -> Answer {
    let SealedSecret { name, armored } = body.value;
    let (tenant, agent) = (asked.tenant.clone(), id.into_inner().0);
    let by = asked.principal.shown.clone();
    let new = NewSecret { tenant, agent: agent.clone(), name: name.clone(), armored, by };
    let now = admin.now();
    let made = admin.create(&asked.0, body.once, "secret.hand-in", move |tx| {
        Box::pin(async move {
            let id = sealed::hand_in(tx, new, now).await?;
            let detail = format!("{name} as {id}");
            Ok(Made { body: HandedIn { id, name }, target: agent, detail })
        })
    });
    made.await
}
