//! Tokens for programs. Everybody makes their own; owners see and revoke those of others.

use super::Admin;
use super::access::{Asked, Asking, Own, need};
use super::exchange::{Answer, Body, Id, Made, Page, PageQuery, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::accounts::roles::Permission;
use crate::accounts::token::{DEFAULT_DAYS, LONGEST_DAYS, hash_of, text_of};
use crate::clock::Millis;
use crate::secrets::{draw_id, draw_token};
use crate::store::tokens::{self, Token};
use actix_web::web::{Data, Path, Query};
use actix_web::{delete, get, post};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A day, in milliseconds.
const DAY: Millis = 24 * 60 * 60 * 1000;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config
        .service(list_own_tokens)
        .service(create_token)
        .service(revoke_own_token)
        .service(list_tokens)
        .service(revoke_token);
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 64, example = "nightly plan")]
    name: String,
    /// What it may do, at most what its owner may.
    #[schema(min_items = 1, max_items = 32, example = json!(["agents-read"]))]
    scopes: Vec<Permission>,
    /// For how many days; 90 when nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Id; the second part of the token.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// What it is for.
    pub name: String,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created: String,
    /// From when on it is nothing.
    #[schema(format = DateTime)]
    pub expires: String,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub used: Option<String>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub revoked: Option<String>,
}

/// A token with its text; shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeToken {
    /// What to send as `authorization: Bearer …`.
    pub token: String,
    /// The token without it.
    #[serde(flatten)]
    pub view: TokenView,
}

fn view(token: Token) -> TokenView {
    TokenView {
        id: token.id,
        user: token.user,
        name: token.name,
        scopes: token.scopes,
        created: shown(token.created_at),
        expires: shown(token.expires_at),
        used: token.used_at.map(shown),
        revoked: token.revoked_at.map(shown),
    }
}

/// One's own tokens.
#[utoipa::path(tag = "me", params(PageQuery), responses((status = 200, body = Page<TokenView>)))]
#[get("/me/tokens")]
async fn list_own_tokens(admin: Data<Admin>, own: Own, page: Query<PageQuery>) -> Answer {
    listed(&admin, &own.0, Some(&own.0.principal.user), &page).await
}

/// Make a token. It is made in a session, so that a token cannot make another one that outlives it.
#[utoipa::path(tag = "me", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 403, body = Refusal), (status = 422, body = Refusal)))]
#[post("/me/tokens")]
async fn create_token(admin: Data<Admin>, own: Own, body: Body<NewToken>) -> Answer {
    let asking = own.0;
    asking.session()?;
    let NewToken { name, mut scopes, days } = body.value;
    scopes.sort_unstable();
    scopes.dedup();
    let days = days.unwrap_or(DEFAULT_DAYS);
    if name.trim().is_empty() || name.len() > 64 || scopes.is_empty() || !(1..=LONGEST_DAYS).contains(&days) {
        return Err(Refusal::unfit(
            "a token has a name of 1 to 64 bytes, at least one scope, and 1 to 366 days",
        ));
    }
    if let Some(beyond) = scopes.iter().find(|scope| !asking.principal.may(**scope)) {
        asking.principal.require(*beyond)?;
    }
    let secret = draw_token().map_err(|error| Refusal::internal(&error))?;
    let id = draw_id('k').map_err(|error| Refusal::internal(&error))?;
    let now = admin.now();
    let token = Token {
        hash: hash_of(&secret),
        tenant: asking.tenant.clone(),
        user: asking.principal.user.clone(),
        name: name.trim().to_owned(),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        created_at: now,
        expires_at: now + days * DAY,
        used_at: None,
        revoked_at: None,
        id,
    };
    let text = text_of(&token.id, &secret);
    let made = admin.create(&asking, body.once, "token.create", move |tx| {
        Box::pin(async move {
            tokens::create(tx.connection(), &token).await?;
            let (target, detail) = (token.id.clone(), format!("{}: {}", token.name, token.scopes.join(" ")));
            Ok(Made {
                body: MadeToken { token: text.expose_secret().to_owned(), view: view(token) },
                target,
                detail,
            })
        })
    });
    made.await
}

/// Revoke one of one's own tokens; it opens nothing from then on.
#[utoipa::path(tag = "me", params(("id" = String, Path, description = "Id of the token")),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/me/tokens/{id}")]
async fn revoke_own_token(admin: Data<Admin>, own: Own, id: Path<Id>) -> Answer {
    own.0.session()?;
    let token = tokens::get(&mut *admin.store.read().await?, &own.0.tenant, &id.0).await?;
    if token.user != own.0.principal.user {
        return Err(Refusal::missing());
    }
    revoked(&admin, &own.0, id.into_inner()).await
}

/// Tokens of everybody in the tenant.
#[utoipa::path(tag = "tokens", params(PageQuery), extensions(("x-permission" = json!("tokens-read"))),
    responses((status = 200, body = Page<TokenView>), (status = 403, body = Refusal)))]
#[get("/tokens")]
async fn list_tokens(admin: Data<Admin>, asked: Asked<need::TokensRead>, page: Query<PageQuery>) -> Answer {
    listed(&admin, &asked.0, None, &page).await
}

/// Revoke somebody's token.
#[utoipa::path(tag = "tokens", params(("id" = String, Path, description = "Id of the token")),
    extensions(("x-permission" = json!("tokens-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/tokens/{id}")]
async fn revoke_token(admin: Data<Admin>, asked: Asked<need::TokensWrite>, id: Path<Id>) -> Answer {
    revoked(&admin, &asked.0, id.into_inner()).await
}

async fn listed(admin: &Admin, asking: &Asking, user: Option<&str>, page: &PageQuery) -> Answer {
    let most = page.to_read()?;
    let found =
        tokens::list(&mut *admin.store.read().await?, &asking.tenant, user, page.after(), most).await?;
    ok(&page.page(found.into_iter().map(view).collect(), |token: &TokenView| token.id.clone()))
}

async fn revoked(admin: &Admin, asking: &Asking, Id(id): Id) -> Answer {
    let (tenant, token, now) = (asking.tenant.clone(), id.clone(), admin.now());
    let revoked = admin.change(asking, "token.revoke", &id, move |tx| {
        Box::pin(async move {
            tokens::revoke(tx.connection(), &tenant, &token, now).await.map(|()| String::new())
        })
    });
    revoked.await
}
