//! Tenants: for people of the fleet only.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::store::tenants::{self, Tenant};
use actix_web::web::{Data, Path};
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_tenants).service(create_tenant).service(show_tenant);
}

/// A new tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// What people call it.
    #[schema(min_length = 1, max_length = 128, example = "North works")]
    name: String,
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantView {
    /// Id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub created: String,
}

fn view(tenant: Tenant) -> TenantView {
    TenantView { id: tenant.id, name: tenant.name, created: shown(tenant.created_at) }
}

/// All tenants.
#[utoipa::path(tag = "tenants", extensions(("x-permission" = json!("tenants-read"))),
    responses((status = 200, body = Vec<TenantView>), (status = 403, body = Refusal)))]
#[get("/tenants")]
async fn list_tenants(admin: Data<Admin>, _asked: Asked<need::TenantsRead>) -> Answer {
    let all = tenants::all(&mut *admin.store.read().await?).await?;
    ok(&all.into_iter().map(view).collect::<Vec<_>>())
}

/// Create a tenant.
#[utoipa::path(tag = "tenants", request_body = NewTenant, extensions(("x-permission" = json!("tenants-write"))),
    responses((status = 201, body = TenantView), (status = 403, body = Refusal), (status = 409, body = Refusal)))]
#[post("/tenants")]
async fn create_tenant(
    admin: Data<Admin>,
    asked: Asked<need::TenantsWrite>,
    body: Body<NewTenant>,
) -> Answer {
    let (name, now) = (body.value.name, admin.now());
    let made = admin.create(&asked.0, body.once, "tenant.create", move |tx| {
        Box::pin(async move {
            let tenant = tenants::create(tx, &name, now).await?;
            Ok(Made { target: tenant.id.clone(), detail: tenant.name.clone(), body: view(tenant) })
        })
    });
    made.await
}

/// One tenant.
#[utoipa::path(tag = "tenants", params(("id" = String, Path, description = "Id of the tenant")),
    extensions(("x-permission" = json!("tenants-read"))),
    responses((status = 200, body = TenantView), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
#[get("/tenants/{id}")]
async fn show_tenant(admin: Data<Admin>, _asked: Asked<need::TenantsRead>, id: Path<Id>) -> Answer {
    let tenant = tenants::find(&mut *admin.store.read().await?, &id.0).await?;
    if tenant.id == id.0 { ok(&view(tenant)) } else { Err(Refusal::missing()) }
}
