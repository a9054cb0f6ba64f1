//! People of a tenant, or of the fleet (`purser-tenant: *`).

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, Page, PageQuery, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use super::session::{SessionView, views};
use crate::accounts::people::Newcomer;
use crate::accounts::roles::Role;
use crate::accounts::service::role_of;
use crate::store::users::User;
use crate::store::{StoreError, sessions, tokens, users};
use actix_web::web::{Data, Path, Query};
use actix_web::{delete, get, patch, post};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config
        .service(list_users)
        .service(create_user)
        .service(show_user)
        .service(change_user)
        .service(remove_user)
        .service(set_password)
        .service(list_user_sessions)
        .service(end_user_sessions);
}

/// Somebody new.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// What they log in with.
    #[schema(min_length = 3, max_length = 254, example = "emil@example.test")]
    email: String,
    /// What they are called.
    #[serde(default)]
    #[schema(max_length = 128)]
    name: String,
    /// What they may do.
    role: Role,
    /// Without one they log in at an identity provider.
    #[serde(default, deserialize_with = "super::exchange::optional_secret")]
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 128)]
    password: Option<SecretString>,
}

/// What is to be changed; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// What they are called.
    #[serde(default)]
    #[schema(max_length = 128)]
    name: Option<String>,
    /// What they may do. Their sessions end.
    #[serde(default)]
    role: Option<Role>,
    /// Whether they may log in. Their sessions end.
    #[serde(default)]
    disabled: Option<bool>,
}

/// A password that an owner sets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// 8 to 128 characters; 15 or more are advised.
    #[serde(deserialize_with = "super::exchange::secret")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    password: SecretString,
    /// Whether their tokens go on. They end unless this is true: whoever knew the old password may have made one.
    #[serde(default)]
    keep_tokens: bool,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    /// Id.
    pub id: String,
    /// Tenant; `*` is the fleet.
    pub tenant: String,
    /// What they log in with.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they have a password.
    pub has_password: bool,
    /// Whether a second factor is in force.
    pub has_second_factor: bool,
    /// The identity provider that they have used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// When they were created.
    #[schema(format = DateTime)]
    pub created: String,
    /// By whom.
    pub created_by: String,
    /// Whether they may not log in.
    pub disabled: bool,
}

fn view(user: User) -> Result<UserView, StoreError> {
    Ok(UserView {
        role: role_of(&user)?,
        has_password: user.password.is_some(),
        has_second_factor: user.totp.is_some(),
        provider: user.oidc.map(|(provider, _)| provider),
        created: shown(user.created_at),
        created_by: user.created_by,
        disabled: user.disabled_at.is_some(),
        id: user.id,
        tenant: user.tenant,
        email: user.email,
        name: user.name,
    })
}

/// People.
#[utoipa::path(tag = "users", params(PageQuery), extensions(("x-permission" = json!("users-read"))),
    responses((status = 200, body = Page<UserView>), (status = 403, body = Refusal)))]
#[get("/users")]
async fn list_users(admin: Data<Admin>, asked: Asked<need::UsersRead>, page: Query<PageQuery>) -> Answer {
    let most = page.to_read()?;
    let found = users::list(&mut *admin.store.read().await?, &asked.tenant, page.after(), most).await?;
    let views = found.into_iter().map(view).collect::<Result<_, _>>()?;
    ok(&page.page(views, |user: &UserView| user.id.clone()))
}

/// Create somebody.
#[utoipa::path(tag = "users", request_body = NewUser, extensions(("x-permission" = json!("users-write"))),
    responses((status = 201, body = UserView), (status = 409, body = Refusal), (status = 422, body = Refusal)))]
#[post("/users")]
async fn create_user(admin: Data<Admin>, asked: Asked<need::UsersWrite>, body: Body<NewUser>) -> Answer {
    let NewUser { email, name, role, password } = body.value;
    let plausible =
        email.len() <= 254 && email.split_once('@').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    if !plausible || name.len() > 128 || email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Refusal::unfit(
            "an e-mail address has an @ and at most 254 bytes; a name has at most 128 bytes",
        ));
    }
    let (tenant, by) = (asked.tenant.clone(), asked.principal.shown.clone());
    let new = admin.accounts.prepare(Newcomer { tenant, email, name, role, password, by }).await?;
    let made = admin.create(&asked.0, body.once, "user.create", move |tx| {
        Box::pin(async move {
            users::create(tx.connection(), &new).await?;
            let body = view(users::get(tx.connection(), &new.tenant, &new.id).await?)?;
            Ok(Made { target: new.id, detail: format!("{} as {}", body.email, body.role), body })
        })
    });
    made.await
}

/// One person.
#[utoipa::path(tag = "users", params(("id" = String, Path, description = "Id of the person")),
    extensions(("x-permission" = json!("users-read"))),
    responses((status = 200, body = UserView), (status = 404, body = Refusal)))]
#[get("/users/{id}")]
async fn show_user(admin: Data<Admin>, asked: Asked<need::UsersRead>, id: Path<Id>) -> Answer {
    ok(&view(users::get(&mut *admin.store.read().await?, &asked.tenant, &id.0).await?)?)
}

/// Change somebody. The last owner stays one.
#[utoipa::path(tag = "users", request_body = UserChange, params(("id" = String, Path, description = "Id of the person")),
    extensions(("x-permission" = json!("users-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[patch("/users/{id}")]
async fn change_user(
    admin: Data<Admin>,
    asked: Asked<need::UsersWrite>,
    id: Path<Id>,
    body: Body<UserChange>,
) -> Answer {
    let UserChange { name, role, disabled } = body.value;
    if name.as_ref().is_some_and(|name| name.len() > 128) {
        return Err(Refusal::unfit("a name has at most 128 bytes"));
    }
    let (tenant, user, now) = (asked.tenant.clone(), id.0.clone(), admin.now());
    let changed = admin.change(&asked.0, "user.change", &id.0, move |tx| {
        Box::pin(async move {
            let connection = tx.connection();
            let before = users::get(connection, &tenant, &user).await?;
            let role = role.map_or_else(|| before.role.clone(), |role| role.word().to_owned());
            let since = before.disabled_at.unwrap_or(now);
            let off = disabled.unwrap_or(before.disabled_at.is_some()).then_some(since);
            let name = name.as_deref().unwrap_or(&before.name);
            users::change(connection, &tenant, &user, name, &role, off).await?;
            if role != before.role || off.is_some() {
                sessions::end_all(connection, &user, "").await?;
            }
            Ok(format!("{}: {role}{}", before.email, if off.is_some() { ", may not log in" } else { "" }))
        })
    });
    changed.await
}

/// Remove somebody, with their sessions and tokens. The last owner stays.
#[utoipa::path(tag = "users", params(("id" = String, Path, description = "Id of the person")),
    extensions(("x-permission" = json!("users-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[delete("/users/{id}")]
async fn remove_user(admin: Data<Admin>, asked: Asked<need::UsersWrite>, id: Path<Id>) -> Answer {
    let (tenant, user) = (asked.tenant.clone(), id.0.clone());
    let removed = admin.change(&asked.0, "user.remove", &id.0, move |tx| {
        Box::pin(async move {
            let before = users::get(tx.connection(), &tenant, &user).await?;
            users::remove(tx.connection(), &tenant, &user).await?;
            Ok(before.email)
        })
    });
    removed.await
}

/// Set somebody's password. It ends their second factor, their sessions and, unless `keep_tokens` is true, their tokens.
#[utoipa::path(tag = "users", request_body = SetPassword, params(("id" = String, Path, description = "Id of the person")),
    extensions(("x-permission" = json!("users-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
#[post("/users/{id}/password")]
async fn set_password(
    admin: Data<Admin>,
    asked: Asked<need::UsersWrite>,
    id: Path<Id>,
    body: Body<SetPassword>,
) -> Answer {
    let user = users::get(&mut *admin.store.read().await?, &asked.tenant, &id.0).await?;
    let phc = admin.accounts.new_password(&user, &body.value.password).await?;
    let (tenant, user, now) = (asked.tenant.clone(), id.0.clone(), admin.now());
    let keep_tokens = body.value.keep_tokens;
    let set = admin.change(&asked.0, "user.password.set", &id.0, move |tx| {
        Box::pin(async move {
            let connection = tx.connection();
            let before = users::get(connection, &tenant, &user).await?;
            users::set_password(connection, &user, &phc, None, now).await?;
            sessions::end_all(connection, &user, "").await?;
            let ended = match keep_tokens {
                true => 0,
                false => tokens::revoke_all(connection, &user, now).await?,
            };
            Ok(format!("{}, {ended} token(s) revoked", before.email))
        })
    });
    set.await
}

/// Somebody's sessions.
#[utoipa::path(tag = "users", params(("id" = String, Path, description = "Id of the person")),
    extensions(("x-permission" = json!("users-read"))),
    responses((status = 200, body = Vec<SessionView>), (status = 404, body = Refusal)))]
#[get("/users/{id}/sessions")]
async fn list_user_sessions(admin: Data<Admin>, asked: Asked<need::UsersRead>, id: Path<Id>) -> Answer {
    let user = users::get(&mut *admin.store.read().await?, &asked.tenant, &id.0).await?;
    ok(&views(&admin, &user.id, "").await?)
}

/// End all of somebody's sessions.
#[utoipa::path(tag = "users", params(("id" = String, Path, description = "Id of the person")),
    extensions(("x-permission" = json!("users-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/users/{id}/sessions")]
async fn end_user_sessions(admin: Data<Admin>, asked: Asked<need::UsersWrite>, id: Path<Id>) -> Answer {
    let (tenant, user) = (asked.tenant.clone(), id.0.clone());
    let ended = admin.change(&asked.0, "user.sessions.end", &id.0, move |tx| {
        Box::pin(async move {
            users::get(tx.connection(), &tenant, &user).await?;
            let ended = sessions::end_all(tx.connection(), &user, "").await?;
            Ok(format!("{ended} session(s)"))
        })
    });
    ended.await
}
