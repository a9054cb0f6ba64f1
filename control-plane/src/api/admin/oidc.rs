//! Logging in at an identity provider. Both routes are opened by a browser's own navigation; neither changes anything
//! but its session, and the second one only for the browser that opened the first.

use super::Admin;
use super::access::{Anybody, session_word};
use super::exchange::{Answer, Id, ok};
use super::plug::Plug;
use super::refusal::Refusal;
use super::session::cookie_of;
use crate::accounts::login::OidcAnswer;
use crate::accounts::oidc::{COOKIE, LONGEST};
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse, get};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::{IntoParams, ToSchema};

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_providers).service(start).service(callback);
}

/// An identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderView {
    /// Its id in addresses.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// What a provider sends the browser back with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Returned {
    /// The code.
    #[serde(default)]
    code: String,
    /// What we gave.
    #[serde(default)]
    state: String,
}

/// The identity providers at which people can log in.
#[utoipa::path(tag = "session", security(()), responses((status = 200, body = Vec<ProviderView>)))]
#[get("/oidc")]
async fn list_providers(admin: Data<Admin>) -> Answer {
    let view = |settings: &crate::accounts::oidc::ProviderSettings| ProviderView {
        id: settings.id.clone(),
        name: settings.name.clone(),
    };
    ok(&admin.accounts.providers().iter().map(|provider| view(provider.settings())).collect::<Vec<_>>())
}

/// Go to an identity provider.
#[utoipa::path(tag = "session", security(()), params(("id" = String, Path, description = "Id of the provider")),
    responses((status = 303), (status = 404, body = Refusal), (status = 503, body = Refusal)))]
#[get("/oidc/{id}/start")]
async fn start(admin: Data<Admin>, id: Path<Id>) -> Answer {
    let (begun, address) = admin.accounts.begin_oidc(&id.0, &back(&admin, &id.0)?).await?;
    let cookie = kept(&begun.cookie(), LONGEST / 1000);
    Ok(HttpResponse::SeeOther().cookie(cookie).insert_header((LOCATION, address.as_str())).finish())
}

/// Come back from an identity provider: a session begins, and the browser goes to the console.
#[utoipa::path(tag = "session", security(()), params(("id" = String, Path, description = "Id of the provider"), Returned),
    responses((status = 303), (status = 401, body = Refusal), (status = 404, body = Refusal)))]
#[get("/oidc/{id}/callback")]
async fn callback(
    admin: Data<Admin>,
    anybody: Anybody,
    request: HttpRequest,
    id: Path<Id>,
    returned: Query<Returned>,
) -> Answer {
    let back = back(&admin, &id.0)?;
    let cookie = request.cookie(COOKIE);
    let cookie = cookie.as_ref().map_or("", |cookie| cookie.value());
    let answer = OidcAnswer { cookie, state: &returned.state, code: &returned.code, back: &back };
    let before = session_word(&request);
    let logged_in = admin.accounts.finish_oidc(&id.0, answer, before.as_ref(), &anybody.0).await?;
    Ok(HttpResponse::SeeOther()
        .cookie(cookie_of(logged_in.word.expose_secret()))
        .cookie(kept("", 0))
        .insert_header((LOCATION, "/"))
        .finish())
}

fn back(admin: &Admin, id: &str) -> Result<Url, Refusal> {
    let unset = || {
        let detail = "the operator of the control plane has to set `server.public_url`";
        Refusal::new(503, "no-public-url", "identity providers cannot be used", detail)
    };
    let own = admin.public_url.as_ref().ok_or_else(unset)?;
    own.join(&format!("/v1/oidc/{id}/callback")).map_err(|_| unset())
}

fn kept(value: &str, seconds: i64) -> Cookie<'static> {
    let cookie = Cookie::build(COOKIE, value.to_owned()).path("/").secure(true).http_only(true);
    cookie.same_site(SameSite::Lax).max_age(Duration::seconds(seconds)).finish()
}
