//! The document that describes the API, and a page to read it: one file, nothing from elsewhere.

use super::access::TENANT_HEADER;
use super::exchange::IDEMPOTENCY_HEADER;
use super::plug::Plug;
use crate::accounts::sessions::{COOKIE, CSRF_HEADER};
use actix_web::{HttpResponse, get};
use std::sync::LazyLock;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Info, License, ObjectBuilder, OpenApi, PathItem, Required, SecurityRequirement, Type};

/// The page; its script is in a file of its own, so that the policy can forbid scripts within pages.
const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");
/// What the page may load: from here, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(openapi).service(page).service(script);
}

/// The document as it is served.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = super::document().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

/// This document.
#[utoipa::path(tag = "docs", security(()), responses((status = 200, content_type = "application/json")))]
#[get("/openapi.json")]
async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text())
}

/// This document as a page.
#[utoipa::path(tag = "docs", security(()), responses((status = 200, content_type = "text/html")))]
#[get("/docs")]
async fn page() -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header(("content-security-policy", POLICY));
    answer.content_type("text/html; charset=utf-8").body(PAGE)
}

/// The script of the page.
#[utoipa::path(tag = "docs", security(()), responses((status = 200, content_type = "text/javascript")))]
#[get("/docs.js")]
async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(SCRIPT)
}

/// Adds what holds for all routes: who may ask, the tenant, the key of creates.
pub(super) fn completed(mut document: OpenApi) -> OpenApi {
    document.info = Info::new("Purser control plane", env!("CARGO_PKG_VERSION"));
    document.info.description = Some(DESCRIPTION.to_owned());
    document.info.license = Some(License::new("Apache-2.0 OR MIT"));
    document.servers = None;
    let components = document.components.get_or_insert_default();
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(COOKIE, "the session of a person"));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("pct_<id>_<secret>").build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    document.security = Some(vec![requirement("session"), requirement("token")]);
    for item in document.paths.paths.values_mut() {
        complete(item);
    }
    document
}

const DESCRIPTION: &str = "People log in at `POST /v1/session` and get a cookie; every change then also needs the header \
`purser-csrf` with the `csrf` of `GET /v1/session`. Programs send a token as `authorization: Bearer pct_…`. People of the \
fleet name the tenant that they mean in the header `purser-tenant`. Refusals are problem documents (RFC 9457). Creates take \
an `idempotency-key`: the same request with the same key is done once within a day, and gets the same answer. Each operation \
names the permission that it needs as `x-permission`; an operation without one concerns only the account that asks.";

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new(scheme, Vec::<String>::new())
}

fn complete(item: &mut PathItem) {
    let creates = item.post.as_mut().filter(|post| post.responses.responses.contains_key("201"));
    if let Some(post) = creates {
        let words = "do this once: the same key with the same request gets the same answer";
        add(post, header(IDEMPOTENCY_HEADER, words, (8, 128)));
    }
    let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    for (at, operation) in operations.into_iter().enumerate() {
        let Some(operation) = operation else { continue };
        let open = operation.security.as_ref().is_some_and(|security| security.iter().all(is_none));
        if !open && at > 0 {
            add(operation, header(CSRF_HEADER, "of a session: the `csrf` of GET /v1/session", (64, 64)));
        }
        if operation.extensions.as_ref().is_some_and(|more| more.contains_key("x-permission")) {
            add(
                operation,
                header(TENANT_HEADER, "for people of the fleet: the tenant that is meant", (1, 80)),
            );
        }
    }
}

fn is_none(requirement: &SecurityRequirement) -> bool {
    *requirement == SecurityRequirement::default()
}

fn add(operation: &mut Operation, parameter: Parameter) {
    operation.parameters.get_or_insert_default().push(parameter.into());
}

fn header(name: &str, words: &str, (least, most): (usize, usize)) -> Parameter {
    let text =
        ObjectBuilder::new().schema_type(Type::String).min_length(Some(least)).max_length(Some(most)).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(words))
        .schema(Some(text))
        .build()
}
