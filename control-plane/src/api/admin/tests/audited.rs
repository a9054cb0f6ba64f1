//! Every operation of the document that changes something leaves exactly one entry in the admin audit log, which says who did
//! it, what, to what, and by which request; what only reads or reckons leaves none. An operation that needs more than a right
//! body is prepared here, so that a new one cannot be left out.

use super::ground::Ground;
use super::sample::{Operation, document, operations};
use super::world::{As, World, request};
use crate::accounts::people::Newcomer;
use crate::accounts::roles::{Permission, Role};
use crate::accounts::sessions::COOKIE;
use crate::accounts::totp::SharedSecret;
use crate::store::admin_audit::{self, Entry};
use crate::store::users::FLEET;
use actix_web::http::Method;
use serde_json::{Value, json};

const EMAIL: &str = "dora@example.test";
const PASSWORD: &str = "a lamp in the harbour";
const REQUEST: &str = "request-7";

/// What an operation is called with.
struct Call {
    who: As,
    path: String,
    body: Option<Value>,
}

pub(super) async fn every_change_that_the_document_names_leaves_an_entry_and_no_reading_does(
    ground: &Ground,
) {
    let document = document();
    let mut world = ground.world().await;
    let mut changed = false;
    for operation in operations(&document) {
        let name = operation.name();
        // What a browser opens before anybody is logged in.
        if operation.is_open() && operation.method == "get" {
            continue;
        }
        if std::mem::replace(&mut changed, changes(&operation)) || changed {
            world = ground.world().await;
        }
        let call = prepared(&world, &operation, &document).await;
        let log = if of_fleet(&operation) { FLEET } else { world.one.tenant.as_str() };
        let before = entries(&world, log).await.len();
        let asked = request(&call.who, operation.http(), &call.path, call.body.as_ref());
        let got = world.send(asked.insert_header(("x-request-id", REQUEST))).await;
        let mut new = entries(&world, log).await;
        new.truncate(new.len() - before);
        if !changed {
            assert!(new.is_empty(), "{name} changes nothing, and leaves {new:?}");
            continue;
        }
        assert!((200..300).contains(&got.status), "{name} needs more than a right body: {got:?}");
        let [Entry { deed, .. }] = new.as_slice() else { panic!("{name} leaves {new:?}") };
        assert!(deed.action.contains('.') && !deed.target.is_empty(), "{name}: {deed:?}");
        assert!(deed.who.contains('@') && !deed.who_id.is_empty(), "{name}: {deed:?}");
        assert_eq!((deed.request.as_str(), deed.at), (REQUEST, world.now()), "{name}: {deed:?}");
        let text = format!("{deed:?}");
        assert!(!text.contains(PASSWORD) && !text.contains("AGE ENCRYPTED"), "{name}: {text}");
    }
}

/// Whether it changes something: what is sent with a permission to read is only reckoned with.
fn changes(operation: &Operation) -> bool {
    operation.changes() && !operation.permission().is_some_and(|permission| permission.ends_with("-read"))
}

fn of_fleet(operation: &Operation) -> bool {
    operation.permission().and_then(Permission::of).is_some_and(Permission::is_of_the_fleet)
}

/// The newest first.
async fn entries(world: &World, tenant: &str) -> Vec<Entry> {
    admin_audit::list(&mut world.store.read().await.unwrap(), tenant, i64::MAX, 200).await.unwrap()
}

/// A call that succeeds, after whatever has to be there before.
async fn prepared(world: &World, operation: &Operation, document: &Value) -> Call {
    let who = if of_fleet(operation) { As::Session(world.fleet.clone()) } else { world.owner() };
    let usual =
        Call { who, path: super::routes::path(operation, &world.one), body: operation.body(document) };
    let agent = format!("/v1/agents/{}", world.one.agent);
    match operation.name().as_str() {
        // Only revoked agents can be removed.
        "delete /v1/agents/{id}" => {
            done(world, &usual.who, Method::POST, &format!("{agent}/revoke"), json!({})).await;
            usual
        }
        "delete /v1/sessions/{id}" => {
            Call { path: format!("/v1/sessions/{}", world.one.session_ids["owner"]), ..usual }
        }
        "post /v1/agents/{id}/approve" => {
            let shown = world.ask(&usual.who, Method::GET, &agent, None).await.json();
            Call { body: Some(json!({ "fingerprint": shown["fingerprint"] })), ..usual }
        }
        "post /v1/agents/{id}/revisions" => {
            Call { body: Some(json!({ "toml": "version = 1\n# month end\n" })), ..usual }
        }
        "post /v1/tenants" => Call { body: Some(json!({ "name": "East works" })), ..usual },
        "post /v1/users/{id}/password" => Call { body: Some(json!({ "password": PASSWORD })), ..usual },
        "put /v1/agents/{id}/template" => {
            Call { body: Some(json!({ "template": world.one.template })), ..usual }
        }
        "post /v1/session" => {
            person(world).await;
            Call { who: As::Nobody, body: Some(json!({ "email": EMAIL, "password": PASSWORD })), ..usual }
        }
        "post /v1/me/password" => {
            let body = json!({ "old": PASSWORD, "new": "a lamp beside the harbour" });
            Call { who: logged_in(world).await, body: Some(body), ..usual }
        }
        "post /v1/me/totp" => {
            Call { who: logged_in(world).await, body: Some(json!({ "password": PASSWORD })), ..usual }
        }
        "post /v1/me/totp/confirm" => {
            let who = logged_in(world).await;
            let body = proof(world, &drawn(world, &who).await);
            Call { who, body: Some(body), ..usual }
        }
        "delete /v1/me/totp" => {
            let who = logged_in(world).await;
            let secret = drawn(world, &who).await;
            done(world, &who, Method::POST, "/v1/me/totp/confirm", proof(world, &secret)).await;
            // A code counts once.
            world.later(60_000);
            Call { who, body: Some(proof(world, &secret)), ..usual }
        }
        _ => usual,
    }
}

async fn done(world: &World, who: &As, method: Method, path: &str, body: Value) -> Value {
    let got = world.ask(who, method, path, Some(&body)).await;
    assert!((200..300).contains(&got.status), "{path}: {got:?}");
    serde_json::from_str(&got.body).unwrap_or_default()
}

/// Somebody with a password.
async fn person(world: &World) {
    let new = Newcomer {
        tenant: world.one.tenant.clone(),
        email: EMAIL.into(),
        name: "Dora".into(),
        role: Role::Owner,
        password: Some(PASSWORD.into()),
        by: "test".into(),
    };
    world.admin.accounts().create_from_host(new).await.unwrap();
}

async fn logged_in(world: &World) -> As {
    person(world).await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let got = world.ask(&As::Nobody, Method::POST, "/v1/session", Some(&body)).await;
    As::Session(got.cookie(COOKIE).unwrap_or_else(|| panic!("{got:?}")))
}

async fn drawn(world: &World, who: &As) -> SharedSecret {
    let drawn = done(world, who, Method::POST, "/v1/me/totp", json!({ "password": PASSWORD })).await;
    SharedSecret::of_base32(drawn["secret"].as_str().unwrap()).unwrap()
}

fn proof(world: &World, secret: &SharedSecret) -> Value {
    json!({ "password": PASSWORD, "code": secret.code_at(world.now()).unwrap() })
}
