//! Alerts by HTTP: settings, who is told, and that a destination leads outside.

use super::world::{As, World};
use crate::alerts::Kind;
use crate::alerts::rules::{Condition, Key};
use crate::store::alerts;
use actix_web::http::Method;
use serde_json::json;

#[actix_web::test]
async fn settings_are_changed_and_shown() {
    let world = World::new().await;
    let path = "/v1/alerts/settings";
    let usual = world.ask(&world.owner(), Method::GET, path, None).await.json();
    assert_eq!(usual, json!({"offline_minutes": 15, "credential_days": 14, "holds": 25, "repeat_hours": 24}));
    let wish =
        json!({"offline_minutes": 5, "credential_days": 0, "holds": 1, "repeat_hours": 0, "digest_hour": 6});
    let got = world.ask(&world.owner(), Method::PUT, path, Some(&wish)).await;
    assert_eq!(got.status, 204, "{got:?}");
    assert_eq!(world.ask(&world.owner(), Method::GET, path, None).await.json(), wish);
    let wrong =
        json!({"offline_minutes": 5, "credential_days": 0, "holds": 1, "repeat_hours": 0, "digest_hour": 24});
    let got = world.ask(&world.owner(), Method::PUT, path, Some(&wrong)).await;
    assert!((400..500).contains(&got.status) && got.body.contains("digest_hour"), "{got:?}");
    assert_eq!(world.audit(&world.one.tenant).await[0].0, "alerts.settings");
}

#[actix_web::test]
async fn somebody_is_told_tried_changed_and_removed() {
    let world = World::new().await;
    let asked = json!({"way": "mail", "target": "ops@example.test", "kinds": ["holds"], "digest": true});
    let made = world.ask(&world.owner(), Method::POST, "/v1/alerts/destinations", Some(&asked)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert!(made.get("secret").is_none() && made["enabled"] == true, "{made}");
    let path = format!("/v1/alerts/destinations/{}", made["id"].as_str().unwrap());
    let tried = world.ask(&world.owner(), Method::POST, &format!("{path}/trial"), None).await;
    assert_eq!(tried.status, 201, "{tried:?}");
    let messages = world.ask(&world.owner(), Method::GET, &format!("{path}/messages"), None).await.json();
    assert_eq!((&messages[0]["event"], &messages[0]["state"]), (&json!("alert.trial"), &json!("waiting")));
    let change = json!({"kinds": [], "enabled": false});
    let got = world.ask(&world.owner(), Method::PUT, &path, Some(&change)).await;
    assert_eq!(got.status, 204, "{got:?}");
    let all = world.ask(&world.owner(), Method::GET, "/v1/alerts/destinations", None).await.json();
    let mine = all.as_array().unwrap().iter().find(|one| one["id"] == made["id"]).unwrap();
    assert_eq!((&mine["enabled"], &mine["kinds"]), (&json!(false), &json!([])));
    assert_eq!(world.ask(&world.owner(), Method::DELETE, &path, None).await.status, 204);
    assert_eq!(world.ask(&world.owner(), Method::DELETE, &path, None).await.status, 404);
}

#[actix_web::test]
async fn a_destination_leads_outside_and_its_secret_is_shown_once() {
    let world = World::new().await;
    let ask = |target: &str| json!({"way": "webhook", "target": target});
    for inside in
        ["https://127.0.0.1/", "https://169.254.169.254/latest", "http://example.test/", "file:///etc"]
    {
        let got =
            world.ask(&world.owner(), Method::POST, "/v1/alerts/destinations", Some(&ask(inside))).await;
        assert_eq!(got.status, 422, "{inside}: {got:?}");
    }
    let outside = ask("https://alerts.example.test/in");
    let made = world.ask(&world.owner(), Method::POST, "/v1/alerts/destinations", Some(&outside)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"), "{made}");
    let all = world.ask(&world.owner(), Method::GET, "/v1/alerts/destinations", None).await;
    assert!(!all.body.contains("whsec_"), "{all:?}");
    let path = format!("/v1/alerts/destinations/{}/secret", made["id"].as_str().unwrap());
    let fresh = world.ask(&world.owner(), Method::POST, &path, None).await.json();
    assert!(fresh["secret"].as_str().unwrap().starts_with("whsec_") && fresh["secret"] != secret, "{fresh}");
    let strange = json!({"way": "mail", "target": "ops@example.test", "kinds": ["weather"]});
    let got = world.ask(&world.owner(), Method::POST, "/v1/alerts/destinations", Some(&strange)).await;
    assert!(got.status == 422 && got.body.contains("agent-offline"), "{got:?}");
}

#[actix_web::test]
async fn alerts_are_listed_in_pages_the_newest_first() {
    let world = World::new().await;
    let tenant = world.one.tenant.clone();
    let opened = world.store.write(move |tx| {
        Box::pin(async move {
            for number in 0..5 {
                let key = Key { kind: Kind::Holds, agent: "a1".into(), concerns: format!("f{number}") };
                let condition =
                    Condition { key, agent_name: "north".into(), title: format!("alert {number}") };
                // Two at a time, so that the order within one moment counts too.
                alerts::begin(tx, &tenant, &condition, 1000 + number / 2).await?;
            }
            Ok(())
        })
    });
    opened.await.unwrap();
    let (mut titles, mut after) = (Vec::new(), String::new());
    loop {
        let page = world
            .ask(&world.owner(), Method::GET, &format!("/v1/alerts?open=true&limit=2{after}"), None)
            .await;
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        titles.extend(
            page["items"].as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!((titles.len(), titles[0].as_str()), (5, "alert 4"));
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), 5);
    let stranger = As::Session(world.two.sessions["owner"].clone());
    let foreign = world.ask(&stranger, Method::GET, "/v1/alerts", None);
    assert_eq!(foreign.await.json()["items"], json!([]));
}
