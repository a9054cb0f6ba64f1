//! What operators and finance people do with agents, as a whole; and that nothing of it goes unnoticed.

use super::ground::Ground;
use super::world::{As, Got, World};
use crate::accounts::roles::Role;
use actix_web::http::Method;
use serde_json::{Value, json};

const OTHER: &str = "version = 1\n# month end\n";

async fn post(world: &World, who: &As, path: &str, body: Value) -> Got {
    world.ask(who, Method::POST, path, Some(&body)).await
}

async fn get(world: &World, path: &str) -> Got {
    world.ask(&world.owner(), Method::GET, path, None).await
}

pub(super) async fn a_configuration_is_checked_planned_made_compared_exported_and_rolled_back(
    ground: &Ground,
) {
    let world = ground.world().await;
    let operator = world.as_role(Role::Operator);
    let agent = format!("/v1/agents/{}", world.one.agent);
    let (plan, revisions) = (format!("{agent}/configuration/plan"), format!("{agent}/revisions"));
    let wrong = "version = 1\nnonsense = true\n";
    let checked =
        post(&world, &operator, "/v1/configuration/validate", json!({ "toml": wrong })).await.json();
    assert_eq!((&checked["valid"], &checked["findings"][0]["line"]), (&json!(false), &json!(2)), "{checked}");
    let refused = post(&world, &operator, &revisions, json!({ "toml": wrong })).await;
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("invalid-configuration")));
    assert_eq!(refused.json()["findings"], checked["findings"]);

    let planned = post(&world, &operator, &plan, json!({ "toml": OTHER })).await.json();
    assert_eq!((&planned["base"], &planned["valid"]), (&json!(1), &json!(true)));
    assert!(planned["diff"].as_str().unwrap().contains("+# month end"));
    let stale = post(&world, &operator, &revisions, json!({ "toml": OTHER, "base": 0 })).await;
    assert_eq!(stale.status, 409, "somebody else was faster");
    let made =
        post(&world, &operator, &revisions, json!({ "toml": OTHER, "base": 1, "note": "month end" })).await;
    assert_eq!((made.status, &made.json()["number"]), (201, &json!(2)), "{made:?}");
    let again = post(&world, &operator, &revisions, json!({ "toml": OTHER })).await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("unchanged")));

    let export = get(&world, &format!("{agent}/configuration")).await;
    assert_eq!((export.body.as_str(), export.header("purser-revision")), (OTHER, "2"));
    assert_eq!(export.header("content-type"), "application/toml");
    let diff = get(&world, &format!("{revisions}/2/diff")).await.json();
    assert_eq!((&diff["from"], diff["diff"].as_str().unwrap().contains("+# month end")), (&json!(1), true));
    let back =
        post(&world, &operator, &format!("{revisions}/1/rollback"), json!({ "note": "too early" })).await;
    assert_eq!((&back.json()["number"], &back.json()["rolls_back"]), (&json!(3), &json!(1)), "{back:?}");
    let list = get(&world, &format!("{revisions}?limit=2")).await.json();
    assert_eq!((&list["items"][0]["number"], &list["next"]), (&json!(3), &json!(2)));
    assert_eq!(get(&world, &format!("{revisions}/1")).await.json()["toml"], "version = 1\n");
    assert_eq!(get(&world, &format!("{revisions}/9")).await.status, 404);
}

pub(super) async fn a_template_is_rolled_to_its_agents_or_to_none(ground: &Ground) {
    let world = ground.world().await;
    let operator = world.as_role(Role::Operator);
    let new =
        json!({ "name": "With notes", "toml": "version = 1\n# {{place}}\n[limits]\nnote = \"{{note}}\"\n" });
    let made = post(&world, &operator, "/v1/templates", new).await.json();
    assert_eq!(made["names"], json!(["note"]), "what stands in a comment is no place");
    let template = format!("/v1/templates/{}", made["id"].as_str().unwrap());
    let assign = format!("/v1/agents/{}/template", world.one.agent);
    let put = |body: Value| {
        let (world, operator, assign) = (&world, &operator, &assign);
        async move { world.ask(operator, Method::PUT, assign, Some(&body)).await.status }
    };
    assert_eq!(put(json!({ "template": world.two.template })).await, 404, "of another tenant");
    assert_eq!(put(json!({ "template": made["id"], "values": { "note": "x" } })).await, 204);
    let roll = format!("{template}/roll");
    let refused = post(&world, &operator, &roll, json!({})).await;
    assert_eq!(refused.json()["code"], "invalid-configuration");
    assert!(refused.json()["findings"][0]["path"].as_str().unwrap().starts_with(&world.one.agent));

    let change = json!({ "toml": "version = 1\n# all works\n", "version": 1 });
    let changed = world.ask(&operator, Method::PUT, &template, Some(&change)).await;
    assert_eq!(changed.status, 204, "{changed:?}");
    assert_eq!(
        world.ask(&operator, Method::PUT, &template, Some(&change)).await.status,
        409,
        "of an old version"
    );
    assert_eq!(put(json!({ "template": made["id"] })).await, 204);
    let plan = post(&world, &operator, &format!("{template}/plan"), json!({})).await.json();
    assert_eq!((&plan[0]["agent"], &plan[0]["valid"]), (&json!(world.one.agent), &json!(true)));
    let rolled = post(&world, &operator, &roll, json!({ "note": "all at once" })).await.json();
    assert_eq!(rolled, json!([{ "agent": world.one.agent, "number": 2 }]));
    assert_eq!(world.ask(&operator, Method::DELETE, &template, None).await.status, 409, "it is used");
    assert_eq!(world.ask(&operator, Method::DELETE, &assign, None).await.status, 204);
    assert_eq!(world.ask(&operator, Method::DELETE, &template, None).await.status, 204);
}

pub(super) async fn the_address_of_a_hook_is_shown_once_and_nowhere_else(ground: &Ground) {
    let world = ground.world().await;
    let operator = world.as_role(Role::Operator);
    let hooks = format!("/v1/agents/{}/hooks", world.one.agent);
    let made = post(&world, &operator, &hooks, json!({ "connection": "cards", "headers": ["X-Shared"] }))
        .await
        .json();
    let url = made["url"].as_str().unwrap();
    let secret = url.strip_prefix("https://control.example.test/hooks/").unwrap();
    let name = made["id"].as_str().unwrap();
    let rotated = world.ask(&operator, Method::POST, &format!("{hooks}/{name}/rotate"), None).await;
    assert_eq!(rotated.status, 201, "{rotated:?}");
    let new = rotated.json();
    assert!(new["url"] != made["url"] && new["id"] != made["id"] && new["headers"] == made["headers"]);
    for (verb, is_off) in [("disable", true), ("enable", false)] {
        let name = rotated.json()["id"].as_str().unwrap().to_owned();
        let switched = world.ask(&operator, Method::POST, &format!("{hooks}/{name}/{verb}"), None).await;
        assert_eq!(switched.status, 204);
        let list = get(&world, &hooks).await;
        let list = list.json();
        let listed = list.as_array().unwrap().iter().find(|hook| hook["id"] == name.as_str()).unwrap();
        assert_eq!(listed.get("disabled").is_some(), is_off, "{listed}");
    }
    let gone = world.ask(&operator, Method::DELETE, &format!("{hooks}/{name}"), None).await;
    assert_eq!(gone.status, 404, "the one before is gone");
    let list = get(&world, &hooks).await;
    assert_eq!(list.json().as_array().unwrap().len(), 2);
    let log = format!("{:?}", world.audit(&world.one.tenant).await);
    let addresses = [&made, &new].map(|made| made["url"].as_str().unwrap().rsplit('/').next().unwrap());
    for text in [&list.body, &log] {
        assert!(addresses.iter().all(|address| !text.contains(&address[..8])), "{text}");
    }
    assert_eq!(addresses[0], secret);
    assert!(
        ["hook.create", "hook.rotate", "hook.disable", "hook.enable"].iter().all(|deed| log.contains(deed))
    );
    let name = new["id"].as_str().unwrap();
    assert_eq!(world.ask(&operator, Method::DELETE, &format!("{hooks}/{name}"), None).await.status, 204);
    let bad =
        post(&world, &operator, &hooks, json!({ "connection": "cards", "headers": ["authorization"] })).await;
    assert_eq!(bad.status, 409);
}

pub(super) async fn who_runs_agents_and_who_decides_about_postings_ask_for_different_things(ground: &Ground) {
    let world = ground.world().await;
    let path = format!("/v1/agents/{}/commands", world.one.agent);
    let all = [
        ("run", [Role::Owner, Role::Operator, Role::Finance].as_slice()),
        ("preview", &[Role::Owner, Role::Operator, Role::Finance]),
        ("pause", &[Role::Owner, Role::Operator]),
        ("resume", &[Role::Owner, Role::Operator]),
        ("replay", &[Role::Owner, Role::Finance]),
        ("handle", &[Role::Owner, Role::Finance]),
        ("test-connection", &[Role::Owner, Role::Operator]),
        ("refresh-reference", &[Role::Owner, Role::Operator]),
        ("diagnostics", &[Role::Owner, Role::Operator]),
        ("rotate-keys", &[Role::Owner, Role::Operator]),
    ];
    for (verb, roles) in all {
        let ask =
            json!({ "verb": verb, "flow": "f", "posting": "p", "connection": "c", "reason": "month end" });
        for role in Role::ALL {
            let got = post(&world, &world.as_role(role), &path, ask.clone()).await;
            assert_eq!(
                got.status,
                if roles.contains(&role) { 201 } else { 403 },
                "{verb} as {role}: {got:?}"
            );
        }
    }
    let owner = world.owner();
    for wrong in [
        json!({ "verb": "execute", "reason": "x" }),
        json!({ "verb": "run", "reason": "x" }),
        json!({ "verb": "run", "flow": "f", "reason": " " }),
        json!({ "verb": "run", "flow": "f", "reason": "x", "minutes": 0 }),
    ] {
        let got = post(&world, &owner, &path, wrong.clone()).await;
        assert!(matches!(got.status, 400 | 422), "{wrong}: {got:?}");
    }
    let list = get(&world, &format!("{path}?limit=1")).await.json();
    let shown = get(&world, &format!("{path}/{}", list[0]["id"].as_str().unwrap())).await.json();
    assert_eq!((&shown["reason"], &shown["state"]), (&json!("month end"), &json!("waiting")));
}

pub(super) async fn a_sealed_secret_is_passed_on_and_not_shown(ground: &Ground) {
    let world = ground.world().await;
    let operator = world.as_role(Role::Operator);
    let path = format!("/v1/agents/{}/secrets", world.one.agent);
    let armored = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWNhbmFyeQ==\n-----END AGE ENCRYPTED FILE-----\n";
    let made = post(&world, &operator, &path, json!({ "name": "books", "armored": armored })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let list = get(&world, &path).await;
    assert_eq!(list.json()[0]["state"], "waiting");
    let log = format!("{:?}", world.audit(&world.one.tenant).await);
    assert!(
        !list.body.contains("YWdlLWNhbmFyeQ")
            && !made.body.contains("YWdlLWNhbmFyeQ")
            && !log.contains("YWdlLWNhbmFyeQ")
    );
    let plain = post(&world, &operator, &path, json!({ "name": "books", "armored": "a password" })).await;
    assert_eq!(plain.status, 409, "only what is sealed is taken");
    assert!(!plain.body.contains("a password"));
}

pub(super) async fn an_agent_is_approved_by_its_fingerprint_revoked_and_then_removed(ground: &Ground) {
    let world = ground.world().await;
    let operator = world.as_role(Role::Operator);
    let path = format!("/v1/agents/{}", world.one.agent);
    let fingerprint = get(&world, &path).await.json()["fingerprint"].as_str().unwrap().to_owned();
    let approve = format!("{path}/approve");
    let other = "0000-".repeat(9) + "0000";
    assert_eq!(post(&world, &operator, &approve, json!({ "fingerprint": other })).await.status, 409);
    assert_eq!(get(&world, &path).await.json()["state"], "waits-for-approval");
    assert_eq!(post(&world, &operator, &approve, json!({ "fingerprint": fingerprint })).await.status, 204);
    assert_eq!(get(&world, &path).await.json()["state"], "enrolled");
    assert_eq!(get(&world, &format!("{path}/status")).await.status, 404, "it has said nothing");
    assert_eq!(
        world.ask(&operator, Method::DELETE, &path, None).await.status,
        409,
        "not while it may come back"
    );
    assert_eq!(world.ask(&operator, Method::POST, &format!("{path}/revoke"), None).await.status, 204);
    assert_eq!(world.ask(&operator, Method::DELETE, &path, None).await.status, 204);
    assert_eq!(get(&world, &path).await.status, 404);
}
