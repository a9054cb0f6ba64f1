//! What holds for every route, by the document: nobody gets in without a credential, no page of strangers changes
//! anything, another tenant's things do not exist, and the roles' table is kept.

use super::ground::Ground;
use super::sample::{Operation, document, operations};
use super::world::{As, Things, request};
use crate::accounts::roles::{Permission, Role};
use crate::accounts::sessions::{COOKIE, CSRF_HEADER, csrf_of};
use crate::api::admin::access::TENANT_HEADER;
use actix_web::cookie::Cookie;
use serde_json::Value;

/// Which of somebody's things an address means, by what stands before the brace.
fn thing(operation: &Operation, hole: &str, things: &Things) -> String {
    let before = operation.path.split(&format!("/{{{hole}}}")).next().unwrap().rsplit('/').next().unwrap();
    match before {
        "users" => things.users["viewer"].clone(),
        "sessions" => things.session_ids["viewer"].clone(),
        "tokens" => things.token.clone(),
        "codes" => things.code.clone(),
        "agents" => things.agent.clone(),
        "tenants" => things.tenant.clone(),
        "templates" => things.template.clone(),
        "hooks" => things.hook.clone(),
        "commands" => things.command.clone(),
        "destinations" => things.destination.clone(),
        "revisions" => "1".to_owned(),
        "oidc" => "office".to_owned(),
        other => {
            panic!("{}: the test does not know what stands behind `{other}`; teach it", operation.name())
        }
    }
}

/// The path with somebody's things.
pub(super) fn path(operation: &Operation, things: &Things) -> String {
    let fill =
        |path: String, hole: &str| path.replace(&format!("{{{hole}}}"), &thing(operation, hole, things));
    operation.holes().into_iter().fold(operation.path.clone(), fill)
}

pub(super) async fn nobody_gets_in_without_a_credential(ground: &Ground) {
    let world = ground.world().await;
    let document = document();
    for operation in operations(&document) {
        let (path, body) = (path(&operation, &world.one), operation.body(&document));
        let dead = As::Token(format!("pct_{}_{}", world.one.token, "0".repeat(52)));
        for who in [As::Nobody, As::Session("0".repeat(52)), dead] {
            let got = world.ask(&who, operation.http(), &path, body.as_ref()).await;
            if operation.is_open() {
                assert_ne!(got.status, 403, "{}: {got:?}", operation.name());
                continue;
            }
            assert_eq!(got.status, 401, "{} as {who:?}: {got:?}", operation.name());
            assert_eq!(got.header("content-type"), "application/problem+json");
            assert_eq!(got.json()["code"], "unauthenticated");
        }
    }
}

#[actix_web::test]
async fn only_what_comes_before_a_login_is_open() {
    let open: Vec<String> =
        operations(&document()).iter().filter(|one| one.is_open()).map(Operation::name).collect();
    assert_eq!(
        open,
        [
            "get /v1/docs",
            "get /v1/docs.js",
            "get /v1/oidc",
            "get /v1/oidc/{id}/callback",
            "get /v1/oidc/{id}/start",
            "get /v1/openapi.json",
            "post /v1/session",
        ]
    );
}

pub(super) async fn no_page_of_strangers_changes_anything(ground: &Ground) {
    let world = ground.world().await;
    let document = document();
    let entries = world.audit(&world.one.tenant).await.len();
    let word = &world.one.sessions["owner"];
    let other = csrf_of(&world.one.sessions["viewer"]);
    for operation in operations(&document).iter().filter(|operation| operation.changes()) {
        let (path, body) = (path(operation, &world.one), operation.body(&document));
        let plain = || {
            let request = request(&As::Nobody, operation.http(), &path, body.as_ref());
            request.cookie(Cookie::new(COOKIE, word.clone()))
        };
        let right = (CSRF_HEADER, csrf_of(word));
        for (what, request, code) in [
            ("nothing", plain(), "csrf"),
            ("an empty word", plain().insert_header((CSRF_HEADER, "")), "csrf"),
            ("the word of another session", plain().insert_header((CSRF_HEADER, other.clone())), "csrf"),
            ("the session itself", plain().insert_header((CSRF_HEADER, word.clone())), "csrf"),
            (
                "a foreign origin",
                plain().insert_header(right.clone()).insert_header(("origin", "https://evil.example.test")),
                "foreign-origin",
            ),
            (
                "a foreign site",
                plain().insert_header(right.clone()).insert_header(("sec-fetch-site", "cross-site")),
                "foreign-origin",
            ),
        ] {
            let got = world.send(request).await;
            assert_eq!(
                (got.status, &got.json()["code"]),
                (403, &Value::from(code)),
                "{} with {what}",
                operation.name()
            );
        }
    }
    assert_eq!(world.audit(&world.one.tenant).await.len(), entries, "something was changed");
}

pub(super) async fn things_of_another_tenant_do_not_exist(ground: &Ground) {
    let world = ground.world().await;
    let document = document();
    let before = world.audit(&world.two.tenant).await.len();
    let mut called = 0;
    for operation in operations(&document) {
        if operation.is_open() || operation.holes().is_empty() {
            continue;
        }
        called += 1;
        let foreign = path(&operation, &world.two);
        let body = operation.body(&document);
        // Only people of the fleet have anything to do with tenants.
        let of_fleet =
            operation.permission().and_then(Permission::of).is_some_and(Permission::is_of_the_fleet);
        let expected = if of_fleet { 403 } else { 404 };
        let got = world.ask(&world.owner(), operation.http(), &foreign, body.as_ref()).await;
        assert_eq!(got.status, expected, "{}: {got:?}", operation.name());
        for things in [&world.two.tenant, &world.two.agent] {
            let stolen = got.body.contains(things.as_str());
            assert!(!stolen, "{} tells about another tenant", operation.name());
        }
    }
    assert!(called > 20);
    assert_eq!(
        world.audit(&world.two.tenant).await.len(),
        before,
        "something of the other tenant was changed"
    );
}

pub(super) async fn naming_another_tenant_helps_nobody_but_the_fleet(ground: &Ground) {
    let world = ground.world().await;
    let document = document();
    for operation in operations(&document).iter().filter(|operation| operation.permission().is_some()) {
        let permission = Permission::of(operation.permission().unwrap()).unwrap();
        if permission.is_of_the_fleet() {
            continue;
        }
        let foreign = path(operation, &world.two);
        let body = operation.body(&document);
        let named = |who: &As, tenant: &str| {
            let request = request(who, operation.http(), &foreign, body.as_ref());
            request.insert_header((TENANT_HEADER, tenant.to_owned()))
        };
        let got = world.send(named(&world.owner(), &world.two.tenant)).await;
        assert_eq!(got.status, 404, "{}: {got:?}", operation.name());
        let fleet = As::Session(world.fleet.clone());
        let got = world.send(named(&fleet, "t0000000000")).await;
        assert_eq!(got.status, 404, "{}: {got:?}", operation.name());
        let got = world.ask(&fleet, operation.http(), &foreign, body.as_ref()).await;
        assert_eq!(
            (got.status, &got.json()["code"]),
            (400, &Value::from("which-tenant")),
            "{}",
            operation.name()
        );
    }
    let fleet = As::Session(world.fleet.clone());
    let list = request(&fleet, actix_web::http::Method::GET, "/v1/agents", None);
    let got = world.send(list.insert_header((TENANT_HEADER, world.two.tenant.clone()))).await;
    assert_eq!(got.json()["items"][0]["id"], world.two.agent.as_str());
}

pub(super) async fn every_route_keeps_the_table_of_roles_and_scopes(ground: &Ground) {
    let world = ground.world().await;
    let document = document();
    for operation in operations(&document).iter().filter(|operation| operation.permission().is_some()) {
        let permission = Permission::of(operation.permission().unwrap()).expect("a permission of the table");
        // Things that nobody has: who may, learns that they do not exist, and nothing changes.
        let nothing = Things {
            users: [("viewer", "u000000000".to_owned())].into(),
            session_ids: [("viewer", "s000000000".to_owned())].into(),
            token: "k000000000".into(),
            code: "e000000000".into(),
            agent: "a000000000".into(),
            tenant: "t000000000".into(),
            template: "m000000000".into(),
            hook: "h000000000".into(),
            command: "c000000000".into(),
            destination: "d000000000".into(),
            sessions: [].into(),
        };
        let path = path(operation, &nothing);
        let body = operation.body(&document);
        for role in Role::ALL {
            let got = world.ask(&world.as_role(role), operation.http(), &path, body.as_ref()).await;
            let may = role.may(permission) && !permission.is_of_the_fleet();
            assert_eq!(got.status != 403, may, "{} as {role}: {got:?}", operation.name());
        }
        let owner = &world.one.users["owner"];
        let all: Vec<Permission> = Permission::all().filter(|other| *other != permission).collect();
        // Reading commands is what asking for one begins with.
        let (_, lacks) = super::world::token(&world.store, &world.one.tenant, owner, &all, world.now()).await;
        let lacks = As::Token(secrecy::ExposeSecret::expose_secret(&lacks).to_owned());
        let got = world.ask(&lacks, operation.http(), &path, body.as_ref()).await;
        assert_eq!(got.status, 403, "{} with a token without its scope: {got:?}", operation.name());
    }
}

#[actix_web::test]
async fn routes_without_a_permission_concern_the_asking_account_only() {
    let own: Vec<String> = operations(&document())
        .iter()
        .filter(|operation| !operation.is_open() && operation.permission().is_none())
        .map(Operation::name)
        .collect();
    for name in own {
        let path = name.split(' ').nth(1).unwrap();
        let about_oneself = path.starts_with("/v1/me/") || path.starts_with("/v1/session");
        assert!(about_oneself, "{name} needs a permission, or belongs below /v1/me");
    }
}

pub(super) async fn what_is_no_route_is_a_problem_document(ground: &Ground) {
    let world = ground.world().await;
    for (method, path) in [("GET", "/v1/nothing"), ("POST", "/v1/agents/a/b/c"), ("GET", "/v1")] {
        let got = world.ask(&world.owner(), method.parse().unwrap(), path, None).await;
        assert_eq!(
            (got.status, got.header("content-type")),
            (404, "application/problem+json"),
            "{method} {path}"
        );
    }
}

pub(super) async fn a_method_that_an_address_does_not_have_is_refused_with_those_that_it_has(
    ground: &Ground,
) {
    let world = ground.world().await;
    let document = document();
    let mut called = 0;
    for operation in operations(&document) {
        let has = |method: &str| document["paths"][&operation.path].get(method).is_some();
        let path = path(&operation, &world.one);
        for method in ["get", "post", "put", "patch", "delete"].into_iter().filter(|method| !has(method)) {
            let got = world.ask(&world.owner(), method.to_uppercase().parse().unwrap(), &path, None).await;
            let what = format!("{method} {}", operation.path);
            assert_eq!((got.status, got.header("content-type")), (405, "application/problem+json"), "{what}");
            assert_eq!(got.json()["code"], "method-not-allowed", "{what}");
            assert!(got.header("allow").contains(&operation.method.to_uppercase()), "{what}: {got:?}");
            called += 1;
        }
    }
    assert!(called > 100);
}
