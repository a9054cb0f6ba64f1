//! Who may ask what. `guard` stands before every route: it finds out who asks, and refuses requests that a foreign page
//! makes a browser send. A handler takes [`Asked`] with the permission that it needs as a type, and cannot be reached
//! without it; [`Own`] is for what everybody may do to their own account.

use super::Admin;
use super::refusal::Refusal;
use crate::accounts::principal::{By, Principal};
use crate::accounts::roles::Permission;
use crate::accounts::service::Origin;
use crate::accounts::sessions::{COOKIE, CSRF_HEADER, is_csrf_of, is_own_origin};
use crate::store::admin_audit::Deed;
use crate::store::tenants;
use crate::store::users::FLEET;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HOST, ORIGIN, USER_AGENT};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError as _};
use secrecy::{ExposeSecret as _, SecretString};
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::rc::Rc;

/// Header in which people of the fleet name the tenant that they mean.
pub const TENANT_HEADER: &str = "purser-tenant";

/// What the guard has found out.
#[derive(Clone, Default)]
struct Found {
    principal: Option<Rc<Principal>>,
    named: Option<String>,
    origin: Origin,
}

/// Stands before every route of the admin API.
///
/// # Errors
/// None of its own: refusals are answers.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(admin) = request.app_data::<Data<Admin>>().cloned() else {
        let refusal = Refusal::internal(&"the admin API is not set up");
        return Ok(request.into_response(refusal.error_response()));
    };
    match examine(&admin, &request).await {
        Ok(found) => {
            let tenant = found.named.clone().or_else(|| found.principal.as_ref().map(|p| p.tenant.clone()));
            crate::request::note(request.request(), |note| note.tenant = tenant);
            request.extensions_mut().insert(found);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(refusal) => Ok(request.into_response(refusal.error_response())),
    }
}

async fn examine(admin: &Admin, request: &ServiceRequest) -> Result<Found, Refusal> {
    let origin = origin_of(request);
    let mut found = Found { origin, ..Found::default() };
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if let Some(token) = bearer(request) {
        found.principal = admin.accounts.of_token(&token).await?.map(Rc::new);
    } else {
        if changes {
            from_own_page(admin, request)?;
        }
        if let Some(word) = session_word(request.request()) {
            found.principal = admin.accounts.of_session(&word).await?.map(Rc::new);
            if changes && found.principal.is_some() {
                proves_own_page(&word, request)?;
            }
        }
    }
    if let (Some(principal), Some(named)) = (&found.principal, header(request, TENANT_HEADER)) {
        if principal.is_of_the_fleet() && named != FLEET {
            let tenant = tenants::find(&mut *admin.store.read().await?, named).await?;
            if tenant.id != named {
                return Err(Refusal::missing());
            }
        }
        found.named = Some(named.to_owned());
    }
    Ok(found)
}

fn bearer(request: &ServiceRequest) -> Option<SecretString> {
    let (scheme, token) = header(request, AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned().into())
}

/// What the session's cookie says.
pub(super) fn session_word(request: &HttpRequest) -> Option<SecretString> {
    let cookie = request.cookie(COOKIE)?;
    (26..=128).contains(&cookie.value().len()).then(|| cookie.value().to_owned().into())
}

/// A browser says where a request comes from; what says nothing is no browser, or has no credential that it could abuse.
fn from_own_page(admin: &Admin, request: &ServiceRequest) -> Result<(), Refusal> {
    let foreign = || {
        let detail =
            "the request comes from a page of another server, or `server.public_url` is not set to this one";
        Err(Refusal::new(403, "foreign-origin", "this is not allowed from there", detail))
    };
    if header(request, "sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return foreign();
    }
    let Some(origin) = header(request, ORIGIN.as_str()) else { return Ok(()) };
    let own = match &admin.public_url {
        Some(own) => is_own_origin(origin, own),
        None => {
            let host = header(request, HOST.as_str()).unwrap_or_default();
            [format!("https://{host}"), format!("http://{host}")].iter().any(|own| own == origin)
                && !host.is_empty()
        }
    };
    if own { Ok(()) } else { foreign() }
}

fn proves_own_page(word: &SecretString, request: &ServiceRequest) -> Result<(), Refusal> {
    let sent = header(request, CSRF_HEADER).unwrap_or_default();
    if is_csrf_of(word.expose_secret(), sent) {
        return Ok(());
    }
    let detail = format!("send the `csrf` of GET /v1/session in the header `{CSRF_HEADER}`");
    Err(Refusal::new(403, "csrf", "it is not proven that a page of ours asks", detail))
}

fn header<'a>(request: &'a ServiceRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn origin_of(request: &ServiceRequest) -> Origin {
    let caller = crate::request::caller(request.request());
    let address = caller.address.to_string();
    let browser = header(request, USER_AGENT.as_str()).unwrap_or_default();
    let browser = browser.chars().filter(|c| !c.is_control()).take(200).collect();
    Origin { address, browser, request: caller.request_id }
}

/// What a handler knows about who asks.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Who.
    pub principal: Rc<Principal>,
    /// The tenant that is meant.
    pub tenant: String,
    /// From where.
    pub origin: Origin,
}

impl Asking {
    /// The entry for the audit log.
    pub(super) fn deed(&self, admin: &Admin, action: &str, target: &str, detail: impl Into<String>) -> Deed {
        Deed {
            tenant: self.tenant.clone(),
            at: admin.now(),
            who: self.principal.shown.clone(),
            who_id: self.principal.id().to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.into(),
            request: self.origin.request.clone(),
        }
    }

    /// The session of somebody at the console.
    ///
    /// # Errors
    /// 403 for programs.
    pub(super) fn session(&self) -> Result<&str, Refusal> {
        match &self.principal.by {
            By::Session { id } => Ok(id),
            By::Token { .. } => {
                let detail = "log in with a password or at an identity provider";
                Err(Refusal::new(403, "session-needed", "this is not done with a token", detail))
            }
        }
    }
}

/// A permission as a type.
pub trait Needs: 'static {
    /// Which.
    const PERMISSION: Permission;
}

/// Each permission as a type.
pub mod need {
    macro_rules! needs {
        ($($name:ident),* $(,)?) => {$(
            /// The permission of this name.
            #[derive(Clone, Copy, Debug)]
            pub struct $name;
            impl super::Needs for $name {
                const PERMISSION: super::Permission = super::Permission::$name;
            }
        )*};
    }

    needs! {
        AgentsRead, AgentsWrite, AlertsRead, AlertsWrite, AuditRead, CodesRead, CodesWrite, CommandsRead, ConfigurationRead,
        ConfigurationWrite, HooksRead, HooksWrite, NoticesRead, SecretsRead, SecretsWrite, TenantsRead,
        TenantsWrite, TokensRead, TokensWrite, UsersRead, UsersWrite,
    }
}

/// Somebody who has the permission `P` asks, and the tenant is known.
#[derive(Debug)]
pub struct Asked<P>(pub Asking, PhantomData<P>);

impl<P> std::ops::Deref for Asked<P> {
    type Target = Asking;

    fn deref(&self) -> &Asking {
        &self.0
    }
}

impl<P: Needs> FromRequest for Asked<P> {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(found(request).and_then(|(found, principal)| {
            let tenant = if P::PERMISSION.is_of_the_fleet() {
                principal.require(P::PERMISSION)?;
                FLEET.to_owned()
            } else {
                principal.tenant_for(P::PERMISSION, found.named.as_deref())?
            };
            Ok(Self(Asking { principal, tenant, origin: found.origin }, PhantomData))
        }))
    }
}

/// Somebody asks about themselves.
#[derive(Debug)]
pub struct Own(pub Asking);

impl FromRequest for Own {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(found(request).map(|(found, principal)| {
            let tenant = principal.tenant.clone();
            Self(Asking { principal, tenant, origin: found.origin })
        }))
    }
}

/// Anybody asks: before a login.
#[derive(Debug)]
pub struct Anybody(pub Origin);

impl FromRequest for Anybody {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = request.extensions().get::<Found>().cloned();
        ready(Ok(Self(found.unwrap_or_default().origin)))
    }
}

fn found(request: &HttpRequest) -> Result<(Found, Rc<Principal>), Refusal> {
    let found = request.extensions().get::<Found>().cloned().unwrap_or_default();
    let principal = found.principal.clone().ok_or_else(Refusal::unauthenticated)?;
    Ok((found, principal))
}
