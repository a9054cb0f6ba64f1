//! What people do to their own account. Each needs the password again, so that a session that was left open is not
//! enough to take an account over.

use super::Admin;
use super::access::Own;
use super::exchange::{Answer, Body, ok};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::accounts::people::Settle;
use actix_web::web::Data;
use actix_web::{HttpResponse, delete, post};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(change_password).service(begin_totp).service(confirm_totp).service(remove_totp);
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one until now.
    #[serde(deserialize_with = "super::exchange::secret")]
    #[schema(value_type = String, format = Password, max_length = 128)]
    old: SecretString,
    /// 8 to 128 characters; 15 or more are advised.
    #[serde(deserialize_with = "super::exchange::secret")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    new: SecretString,
}

/// The password again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Password.
    #[serde(deserialize_with = "super::exchange::secret")]
    #[schema(value_type = String, format = Password, max_length = 128)]
    password: SecretString,
}

/// The password again, and a code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Password.
    #[serde(deserialize_with = "super::exchange::secret")]
    #[schema(value_type = String, format = Password, max_length = 128)]
    password: SecretString,
    /// A code that was not used yet.
    #[schema(min_length = 6, max_length = 6)]
    code: String,
}

/// A second factor; shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotpView {
    /// For typing, base32.
    pub secret: String,
    /// For a QR code.
    pub address: String,
}

/// Change one's password. All other sessions end; tokens go on until they are revoked.
#[utoipa::path(tag = "me", request_body = PasswordChange,
    responses((status = 204), (status = 401, body = Refusal), (status = 422, body = Refusal)))]
#[post("/me/password")]
async fn change_password(admin: Data<Admin>, own: Own, body: Body<PasswordChange>) -> Answer {
    let asking = &own.0;
    let who = (asking.tenant.as_str(), asking.principal.user.as_str(), asking.session()?);
    admin.accounts.change_password(who, &body.value.old, &body.value.new, &asking.origin).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Draw a second factor. It counts once it is confirmed.
#[utoipa::path(tag = "me", request_body = Confirmation,
    responses((status = 200, body = TotpView), (status = 401, body = Refusal), (status = 409, body = Refusal)))]
#[post("/me/totp")]
async fn begin_totp(admin: Data<Admin>, own: Own, body: Body<Confirmation>) -> Answer {
    let asking = &own.0;
    asking.session()?;
    let who = (asking.tenant.as_str(), asking.principal.user.as_str());
    let factor = admin.accounts.begin_totp(who, &body.value.password, &asking.origin).await?;
    let (secret, address) =
        (factor.secret.expose_secret().to_owned(), factor.address.expose_secret().to_owned());
    ok(&TotpView { secret, address })
}

/// Put the drawn second factor in force.
#[utoipa::path(tag = "me", request_body = Proof,
    responses((status = 204), (status = 401, body = Refusal), (status = 409, body = Refusal)))]
#[post("/me/totp/confirm")]
async fn confirm_totp(admin: Data<Admin>, own: Own, body: Body<Proof>) -> Answer {
    settle(&admin, &own, Settle::Confirm, &body.value).await
}

/// End one's second factor.
#[utoipa::path(tag = "me", request_body = Proof,
    responses((status = 204), (status = 401, body = Refusal), (status = 409, body = Refusal)))]
#[delete("/me/totp")]
async fn remove_totp(admin: Data<Admin>, own: Own, body: Body<Proof>) -> Answer {
    settle(&admin, &own, Settle::Remove, &body.value).await
}

async fn settle(admin: &Admin, own: &Own, what: Settle, proof: &Proof) -> Answer {
    let asking = &own.0;
    asking.session()?;
    let who = (asking.tenant.as_str(), asking.principal.user.as_str());
    admin.accounts.settle_totp(who, what, (&proof.password, &proof.code), &asking.origin).await?;
    Ok(HttpResponse::NoContent().finish())
}
