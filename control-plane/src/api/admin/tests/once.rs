//! Creates with an idempotency key, tokens, people, and what the audit log says about all of it.

use super::ground::Ground;
use super::world::{As, Got, World, request, session, token};
use crate::accounts::roles::Permission;
use crate::store::{Engine, admin_audit};
use actix_web::http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

const KEY: &str = "idempotency-key";

async fn create(world: &World, who: &As, path: &str, body: &Value, key: &str) -> Got {
    world.send(request(who, Method::POST, path, Some(body)).insert_header((KEY, key.to_owned()))).await
}

pub(super) async fn the_same_create_with_the_same_key_is_done_once(ground: &Ground) {
    let world = ground.world().await;
    let owner = world.owner();
    let body = json!({ "minutes": 5 });
    let first = create(&world, &owner, "/v1/codes", &body, "key-0001").await;
    let again = create(&world, &owner, "/v1/codes", &body, "key-0001").await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json(), "the same code is shown again");
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let list = world.ask(&owner, Method::GET, "/v1/codes", None).await.json();
    assert_eq!(list.as_array().unwrap().len(), 2, "one of the world, one of this test");
    let other = create(&world, &owner, "/v1/codes", &json!({ "minutes": 6 }), "key-0001").await;
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("key-used")));
    let elsewhere = create(
        &world,
        &world.as_role(crate::accounts::roles::Role::Operator),
        "/v1/codes",
        &body,
        "key-0001",
    )
    .await;
    assert_eq!((elsewhere.status, elsewhere.header("idempotency-replayed")), (201, ""), "keys are one's own");
    assert_eq!(create(&world, &owner, "/v1/codes", &body, "short").await.status, 400);
}

pub(super) async fn what_was_shown_once_is_not_shown_to_another_session_of_the_same_person(ground: &Ground) {
    let world = ground.world().await;
    let body = json!({ "minutes": 5 });
    let first = create(&world, &world.owner(), "/v1/codes", &body, "key-0001").await.json();
    let (_, word) = session(&world.store, &world.one.tenant, &world.one.users["owner"], world.now()).await;
    let again = create(&world, &As::Session(word), "/v1/codes", &body, "key-0001").await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("done-already")));
    assert!(!again.body.contains(first["code"].as_str().unwrap()));
}

pub(super) async fn the_address_of_a_hook_is_kept_nowhere_also_not_to_be_answered_again(ground: &Ground) {
    let world = ground.world().await;
    let operator = world.as_role(crate::accounts::roles::Role::Operator);
    let hooks = format!("/v1/agents/{}/hooks", world.one.agent);
    let body = json!({ "connection": "cards" });
    let first = create(&world, &operator, &hooks, &body, "key-0001").await;
    let again = create(&world, &operator, &hooks, &body, "key-0001").await;
    assert_eq!((first.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(first.json()["url"], again.json()["url"]);
    let rotate = format!("{hooks}/{}/rotate", first.json()["id"].as_str().unwrap());
    let rotated =
        world.send(request(&operator, Method::POST, &rotate, None).insert_header((KEY, "key-0002")));
    let rotated = rotated.await;
    assert_eq!(rotated.status, 201);
    let made = [first.json(), rotated.json()];
    let addresses = made.each_ref().map(|made| made["url"].as_str().unwrap().rsplit('/').next().unwrap());
    let mut rows = Vec::new();
    for table in ["hooks", "answers", "admin_audit", "deliveries", "notices"] {
        rows.push(rows_of(&world, table).await);
    }
    let name = made[1]["id"].as_str().unwrap();
    assert!(rows[0].contains(name) && rows[1].len() > 500 && rows[2].contains(name), "{rows:#?}");
    for address in addresses {
        assert!(address.len() == 52 && rows.iter().all(|rows| !rows.contains(&address[..12])), "{rows:#?}");
    }
}

/// All that a table holds, as text.
async fn rows_of(world: &World, table: &str) -> String {
    let mut connection = world.store.read().await.unwrap();
    let columns = match world.store.engine() {
        Engine::Sqlite => format!("select name from pragma_table_info('{table}')"),
        Engine::Postgres => format!(
            "select cast(column_name as text) from information_schema.columns where table_name = '{table}'"
        ),
    };
    let columns: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(columns)).fetch_all(&mut *connection).await.unwrap();
    let columns: Vec<_> = columns.iter().map(|name| format!("coalesce(cast({name} as text), '')")).collect();
    let rows = format!("select {} from {table}", columns.join(" || ' ' || "));
    let rows: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut *connection).await.unwrap();
    rows.join("\n")
}

pub(super) async fn a_key_is_forgotten_after_a_day_and_a_failed_create_keeps_none(ground: &Ground) {
    let world = ground.world().await;
    let token = token(
        &world.store,
        &world.one.tenant,
        &world.one.users["owner"],
        &[Permission::UsersWrite, Permission::CodesWrite],
        world.now(),
    );
    let who = As::Token(token.await.1.expose_secret().to_owned());
    let taken = json!({ "email": "viewer@one.example.test", "role": "viewer" });
    assert_eq!(create(&world, &who, "/v1/users", &taken, "key-0001").await.status, 409);
    let free = json!({ "email": "new@one.example.test", "role": "viewer" });
    assert_eq!(create(&world, &who, "/v1/users", &free, "key-0001").await.status, 201);
    let first = create(&world, &who, "/v1/codes", &json!({}), "key-0002").await.json();
    world.later(crate::store::idempotency::KEPT - 60_000);
    let second = create(&world, &who, "/v1/codes", &json!({}), "key-0002").await.json();
    assert_eq!(first["id"], second["id"]);
}

pub(super) async fn twenty_at_once_with_one_key_create_one_thing(ground: &Ground) {
    let world = ground.world().await;
    let owner = world.owner();
    let body = json!({ "email": "new@one.example.test", "role": "viewer" });
    let all = (0..20).map(|_| create(&world, &owner, "/v1/users", &body, "key-0001"));
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(|got| got.status == 201), "{all:?}");
    let ids: std::collections::BTreeSet<String> =
        all.iter().map(|got| got.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
}

pub(super) async fn a_token_lives_until_it_is_revoked_expires_or_its_owner_may_not_log_in(ground: &Ground) {
    let world = ground.world().await;
    let owner = world.owner();
    let new = json!({ "name": "nightly", "scopes": ["agents-read"], "days": 2 });
    let make = || async {
        let made = world.ask(&owner, Method::POST, "/v1/me/tokens", Some(&new)).await;
        assert_eq!(made.status, 201, "{made:?}");
        (
            made.json()["id"].as_str().unwrap().to_owned(),
            As::Token(made.json()["token"].as_str().unwrap().to_owned()),
        )
    };
    let works = |token: As| {
        let world = &world;
        async move { world.ask(&token, Method::GET, "/v1/agents", None).await.status == 200 }
    };
    let (id, token) = make().await;
    assert!(works(token.clone()).await);
    let csrf_free = world.ask(&token, Method::POST, "/v1/codes", Some(&json!({}))).await;
    assert_eq!(csrf_free.json()["code"], "forbidden", "its scope, not a page, is what is missing");
    let made = world.ask(&token, Method::POST, "/v1/me/tokens", Some(&new)).await;
    assert_eq!(made.json()["code"], "session-needed", "a token makes no token");
    assert_eq!(world.ask(&owner, Method::DELETE, &format!("/v1/me/tokens/{id}"), None).await.status, 204);
    assert!(!works(token).await, "revoked");

    let (_, token) = make().await;
    let (_, lasting) = make().await;
    let path = format!("/v1/users/{}", world.one.users["owner"]);
    let off = world.ask(&owner, Method::PATCH, &path, Some(&json!({ "disabled": true }))).await;
    assert_eq!(off.status, 409, "the last owner");
    world.later(2 * 86_400_000);
    assert!(!works(token).await && !works(lasting).await, "expired");
}

pub(super) async fn nobody_gives_a_token_more_than_they_have(ground: &Ground) {
    let world = ground.world().await;
    let viewer = world.as_role(crate::accounts::roles::Role::Viewer);
    for (scopes, status) in
        [(json!(["agents-read"]), 201), (json!(["agents-read", "users-write"]), 403), (json!([]), 422)]
    {
        let new = json!({ "name": "x", "scopes": scopes });
        assert_eq!(
            world.ask(&viewer, Method::POST, "/v1/me/tokens", Some(&new)).await.status,
            status,
            "{scopes}"
        );
    }
}

pub(super) async fn a_change_of_role_ends_sessions_and_the_last_owner_stays(ground: &Ground) {
    let world = ground.world().await;
    let owner = world.owner();
    let operator = world.as_role(crate::accounts::roles::Role::Operator);
    let path = |who: &str| format!("/v1/users/{}", world.one.users[who]);
    let change = |who: &'static str, body: Value| {
        let (world, owner, path) = (&world, &owner, path(who));
        async move { world.ask(owner, Method::PATCH, &path, Some(&body)).await.status }
    };
    assert_eq!(change("operator", json!({ "role": "viewer" })).await, 204);
    assert_eq!(world.ask(&operator, Method::GET, "/v1/session", None).await.status, 401);
    assert_eq!(change("owner", json!({ "role": "viewer" })).await, 409);
    assert_eq!(world.ask(&owner, Method::DELETE, &path("owner"), None).await.status, 409);
    assert_eq!(change("operator", json!({ "role": "owner" })).await, 204);
    assert_eq!(change("owner", json!({ "role": "viewer" })).await, 204);
    assert_eq!(world.ask(&owner, Method::GET, "/v1/session", None).await.status, 401);
}

pub(super) async fn every_change_is_in_the_audit_log_and_the_log_is_whole(ground: &Ground) {
    let world = ground.world().await;
    let owner = world.owner();
    let user = format!("/v1/users/{}", world.one.users["viewer"]);
    let agent = format!("/v1/agents/{}", world.one.agent);
    let secret = "two lamps in the harbour";
    let fingerprint = world.ask(&owner, Method::GET, &agent, None).await.json()["fingerprint"].clone();
    let changes = [
        (
            Method::POST,
            "/v1/users".to_owned(),
            json!({ "email": "new@one.example.test", "role": "viewer", "password": secret }),
            "user.create",
        ),
        (Method::PATCH, user.clone(), json!({ "name": "Emil" }), "user.change"),
        (Method::POST, format!("{user}/password"), json!({ "password": secret }), "user.password.set"),
        (Method::DELETE, format!("{user}/sessions"), Value::Null, "user.sessions.end"),
        (Method::DELETE, user, Value::Null, "user.remove"),
        (Method::POST, "/v1/codes".to_owned(), json!({}), "code.create"),
        (Method::DELETE, format!("/v1/codes/{}", world.one.code), Value::Null, "code.revoke"),
        (Method::DELETE, format!("/v1/tokens/{}", world.one.token), Value::Null, "token.revoke"),
        (Method::PATCH, agent.clone(), json!({ "name": "Works 3" }), "agent.rename"),
        (Method::POST, format!("{agent}/approve"), json!({ "fingerprint": fingerprint }), "agent.approve"),
        (Method::POST, format!("{agent}/revoke"), Value::Null, "agent.revoke"),
    ];
    for (method, path, body, action) in changes {
        let body = (!body.is_null()).then_some(body);
        let request = request(&owner, method.clone(), &path, body.as_ref())
            .insert_header(("x-request-id", "request-7"));
        let got = world.send(request).await;
        assert!(matches!(got.status, 201 | 204), "{method} {path}: {got:?}");
        let entry = admin_audit::list(&mut world.store.read().await.unwrap(), &world.one.tenant, i64::MAX, 1)
            .await
            .unwrap()
            .remove(0);
        assert_eq!((entry.deed.action.as_str(), entry.deed.who.as_str()), (action, "owner@one.example.test"));
        assert_eq!(entry.deed.request, "request-7");
        assert!(!format!("{entry:?}").contains(secret));
    }
    let verdict = world.ask(&owner, Method::GET, "/v1/audit/verify", None).await.json();
    assert_eq!((&verdict["whole"], &verdict["entries"]), (&json!(true), &json!(11)));
    let page = world.ask(&owner, Method::GET, "/v1/audit?limit=4", None).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (4, &json!(8)));
    let rest = world.ask(&owner, Method::GET, "/v1/audit?before=8&limit=200", None).await.json();
    assert_eq!((rest["items"][0]["number"].as_i64(), rest.get("next")), (Some(7), None));
}

pub(super) async fn the_database_refuses_to_change_the_audit_log_and_a_forged_one_is_noticed(
    ground: &Ground,
) {
    let world = ground.world().await;
    for _ in 0..3 {
        world.ask(&world.owner(), Method::POST, "/v1/codes", Some(&json!({}))).await;
    }
    let tenant = &world.one.tenant;
    for sql in ["update admin_audit set who = 'x'", "delete from admin_audit where entry = 3"] {
        let tried = world.store.write(move |tx| {
            Box::pin(async move { Ok(sqlx::query(sql).execute(tx.connection()).await.map(drop)?) })
        });
        assert!(tried.await.is_err(), "{sql}");
    }
    // Somebody who owns the database can take the refusal away.
    let freed: &'static [&'static str] = match world.store.engine() {
        Engine::Sqlite => &["drop trigger admin_audit_is_not_changed", "drop trigger admin_audit_is_not_cut"],
        Engine::Postgres => &["drop trigger admin_audit_stays on admin_audit"],
    };
    for (sql, what) in [
        ("update admin_audit set who = 'somebody else' where entry = 2", "changed"),
        ("delete from admin_audit where entry = 3", "cut off"),
        ("delete from admin_audit where entry = 1", "missing"),
    ] {
        let world = ground.world().await;
        for _ in 0..3 {
            world.ask(&world.owner(), Method::POST, "/v1/codes", Some(&json!({}))).await;
        }
        let forged = world.store.write(move |tx| {
            Box::pin(async move {
                for sql in freed {
                    sqlx::query(*sql).execute(tx.connection()).await?;
                }
                Ok(sqlx::query(sql).execute(tx.connection()).await.map(drop)?)
            })
        });
        forged.await.unwrap();
        let verdict = world.ask(&world.owner(), Method::GET, "/v1/audit/verify", None).await.json();
        assert_eq!(verdict["whole"], false, "{sql}");
        assert!(verdict["fault"].as_str().unwrap().contains(what), "{sql}: {verdict}");
    }
    let verdict = admin_audit::verify(&mut world.store.read().await.unwrap(), tenant).await.unwrap();
    assert_eq!(verdict, Ok(3));
}

pub(super) async fn lists_are_read_page_by_page(ground: &Ground) {
    let world = ground.world().await;
    let owner = world.owner();
    let mut seen = Vec::new();
    let mut path = "/v1/users?limit=2".to_owned();
    loop {
        let page = world.ask(&owner, Method::GET, &path, None).await.json();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/users?limit=2&after={next}");
    }
    let mut all: Vec<String> = world.one.users.values().cloned().collect();
    all.sort();
    assert_eq!(seen, all);
    for wrong in ["limit=0", "limit=201", "limit=-1", "limit=x", "after=%00", "other=1"] {
        let got = world.ask(&owner, Method::GET, &format!("/v1/users?{wrong}"), None).await;
        assert_eq!((got.status, got.header("content-type")), (400, "application/problem+json"), "{wrong}");
    }
}
