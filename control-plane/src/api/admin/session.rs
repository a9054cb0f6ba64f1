//! Logging in and out, and which sessions one has.

use super::Admin;
use super::access::{Anybody, Own, session_word};
use super::exchange::{Answer, Body, Id, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::accounts::login::{Credentials, LoggedIn};
use crate::accounts::principal::{By, Principal};
use crate::accounts::roles::{Permission, Role};
use crate::accounts::service::AccountError;
use crate::accounts::service::role_of;
use crate::accounts::sessions::{COOKIE, Life, csrf_of};
use crate::request::count;
use crate::store::sessions;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(log_in).service(who_am_i).service(log_out).service(list_sessions).service(end_session);
}

/// What a person types.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// E-mail address.
    #[schema(max_length = 254, example = "dora@example.test")]
    email: String,
    /// Password.
    #[serde(deserialize_with = "super::exchange::secret")]
    #[schema(value_type = String, format = Password, max_length = 128)]
    password: SecretString,
    /// Code of the second factor.
    #[serde(default)]
    #[schema(max_length = 6)]
    code: Option<String>,
}

/// Who asks, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhoAmI {
    /// Id of the person.
    pub user: String,
    /// What people call them; of a program, the token's name as well.
    pub shown: String,
    /// Their tenant; `*` is the fleet.
    pub tenant: String,
    /// Their role.
    pub role: Role,
    /// What they may do.
    pub permissions: Vec<Permission>,
    /// Of a session: what a page sends in the header `purser-csrf` with every change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Id.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// `password`, `password+totp` or `oidc`.
    pub how: String,
    /// From which address it began.
    pub address: String,
    /// With which browser.
    pub browser: String,
    /// When it began.
    #[schema(format = DateTime)]
    pub began: String,
    /// When it was last used, to the minute.
    #[schema(format = DateTime)]
    pub used: String,
}

/// Log in with password and, if set up, the code of the second factor. The answer sets the session's cookie.
#[utoipa::path(tag = "session", request_body = Login, security(()),
    responses((status = 200, body = WhoAmI), (status = 401, body = Refusal), (status = 429, body = Refusal)))]
#[post("/session")]
async fn log_in(admin: Data<Admin>, anybody: Anybody, request: HttpRequest, body: Body<Login>) -> Answer {
    let Login { email, password, code } = body.value;
    if email.len() > 254 || password.expose_secret().len() > 1024 {
        return Err(Refusal::malformed("an address has at most 254 bytes, a password at most 1024"));
    }
    let before = session_word(&request);
    let credentials = Credentials { email, password, code };
    let logged_in = admin.accounts.login(credentials, before.as_ref(), &anybody.0).await;
    let outcome = match &logged_in {
        Ok(_) => "ok",
        Err(AccountError::SecondFactor) => "second-factor",
        Err(AccountError::Wait(_)) => "too-many",
        Err(AccountError::Store(_) | AccountError::Hashing(_)) => "error",
        Err(_) => "refused",
    };
    count(&request, |metrics| &metrics.logins, outcome);
    entered(&logged_in?)
}

/// The answer that lets somebody in.
pub(super) fn entered(logged_in: &LoggedIn) -> Answer {
    let user = &logged_in.user;
    let role = role_of(user)?;
    let principal = Principal {
        user: user.id.clone(),
        shown: user.email.clone(),
        tenant: user.tenant.clone(),
        role,
        by: By::Session { id: String::new() },
        own_key: [0; 32],
    };
    let cookie = cookie_of(logged_in.word.expose_secret());
    Ok(HttpResponse::Ok().cookie(cookie).json(who(&principal, Some(&logged_in.word))))
}

/// The session's cookie. `Lax`, so that a link to the console opens it; no address changes anything by being opened.
pub(super) fn cookie_of(word: &str) -> Cookie<'static> {
    Cookie::build(COOKIE, word.to_owned())
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .finish()
}

fn who(principal: &Principal, word: Option<&SecretString>) -> WhoAmI {
    WhoAmI {
        user: principal.user.clone(),
        shown: principal.shown.clone(),
        tenant: principal.tenant.clone(),
        role: principal.role,
        permissions: Permission::all().filter(|permission| principal.may(*permission)).collect(),
        csrf: word.map(|word| csrf_of(word.expose_secret())),
    }
}

/// Who asks, and what they may do.
#[utoipa::path(tag = "session", responses((status = 200, body = WhoAmI), (status = 401, body = Refusal)))]
#[get("/session")]
async fn who_am_i(own: Own, request: HttpRequest) -> Answer {
    let word = session_word(&request).filter(|_| own.0.session().is_ok());
    ok(&who(&own.0.principal, word.as_ref()))
}

/// Log out: the session is over at once, on every node.
#[utoipa::path(tag = "session", responses((status = 204), (status = 401, body = Refusal), (status = 403, body = Refusal)))]
#[delete("/session")]
async fn log_out(admin: Data<Admin>, own: Own) -> Answer {
    let asking = &own.0;
    let session = asking.session()?;
    admin.accounts.logout(&asking.tenant, &asking.principal.user, session, &asking.origin).await?;
    let mut gone = cookie_of("");
    gone.make_removal();
    Ok(HttpResponse::NoContent().cookie(gone).finish())
}

/// One's own sessions that are alive.
#[utoipa::path(tag = "session", responses((status = 200, body = Vec<SessionView>), (status = 401, body = Refusal)))]
#[get("/sessions")]
async fn list_sessions(admin: Data<Admin>, own: Own) -> Answer {
    let current = own.0.session().unwrap_or_default();
    ok(&views(&admin, &own.0.principal.user, current).await?)
}

pub(super) async fn views(admin: &Admin, user: &str, current: &str) -> Result<Vec<SessionView>, Refusal> {
    let now = admin.now();
    let sessions = sessions::of_user(&mut *admin.store.read().await?, user).await?;
    let alive = |s: &sessions::Session| Life { created: s.created_at, seen: s.seen_at }.is_alive(now);
    let view = |session: sessions::Session| SessionView {
        current: session.id == current,
        how: session.how,
        address: session.address,
        browser: session.browser,
        began: shown(session.created_at),
        used: shown(session.seen_at),
        id: session.id,
    };
    Ok(sessions.into_iter().filter(alive).map(view).collect())
}

/// End one of one's own sessions.
#[utoipa::path(tag = "session", params(("id" = String, Path, description = "Id of the session")),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/sessions/{id}")]
async fn end_session(admin: Data<Admin>, own: Own, id: Path<Id>) -> Answer {
    // A token that leaked must not lock its owner out.
    own.0.session()?;
    let (user, session) = (own.0.principal.user.clone(), id.0.clone());
    let ended = admin.change(&own.0, "session.end", &id.0, move |tx| {
        Box::pin(async move { sessions::end(tx.connection(), &user, &session).await.map(|()| String::new()) })
    });
    ended.await
}
