//! Webhooks: signed, repeated over days, held back from where they must not go.

use super::receiver::{Receiver, is_genuine};
use super::*;
use crate::alerts::digest::DAY;
use crate::notify::send::PAUSES;
use secrecy::ExposeSecret as _;

fn secret(scene: &Scene, destination: &Destination) -> String {
    scene.notify.secret(destination).unwrap().expose_secret().to_owned()
}

#[tokio::test]
async fn an_alert_arrives_signed_as_the_standard_says() {
    let scene = Scene::new(|_| {}).await;
    let receiver = Receiver::start().await;
    let destination = scene.destination(Way::Webhook, &receiver.url()).await;
    scene.agent("a1", "north").await;
    scene.pass(20 * MINUTE);
    scene.evaluate().await;
    assert_eq!(scene.notify.send_due().await.unwrap(), 1);
    assert_eq!(scene.notify.send_due().await.unwrap(), 0, "once is enough");
    let received = receiver.received();
    let now = scene.now() / 1000;
    assert!(is_genuine(&received[0], &secret(&scene, &destination), now));
    let other = scene.destination(Way::Webhook, &receiver.url()).await;
    assert!(!is_genuine(&received[0], &secret(&scene, &other), now));
    let mut altered = received[0].clone();
    altered.body = altered.body.replace("north", "south");
    assert!(!is_genuine(&altered, &secret(&scene, &destination), now));
    let json: serde_json::Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(json["type"], "alert.opened");
    assert_eq!(json["data"]["agent_name"], "north");
    let sent = scene.sent(&destination).await;
    assert_eq!((sent[0].state.as_str(), sent[0].attempts), ("delivered", 1));
    assert!(scene.notify.metrics.text().contains("alert_deliveries_total{outcome=\"delivered\"} 1"));
}

#[tokio::test]
async fn a_receiver_that_is_away_gets_it_later_with_the_same_id_and_a_fresh_signature() {
    let scene = Scene::new(|_| {}).await;
    let receiver = Receiver::start().await;
    receiver.answers("500 Away");
    let destination = scene.destination(Way::Webhook, &receiver.url()).await;
    scene.trial(&destination).await;
    for (attempt, pause) in PAUSES.iter().take(4).enumerate() {
        assert_eq!(scene.notify.send_due().await.unwrap(), 1, "attempt {attempt}");
        let sent = scene.sent(&destination).await;
        assert_eq!(sent[0].last_error.as_deref(), Some("the receiver answered 500"));
        scene.pass(pause - 1);
        assert_eq!(scene.notify.send_due().await.unwrap(), 0, "too early after attempt {attempt}");
        scene.pass(pause / 10 + 1);
    }
    let mut connection = scene.store.read().await.unwrap();
    let ill = alerts::destination(&mut connection, &scene.tenant, &destination.id).await.unwrap();
    assert!(ill.failing_since.is_some());
    drop(connection);
    receiver.answers("200 Back");
    assert_eq!(scene.notify.send_due().await.unwrap(), 1);
    let received = receiver.received();
    assert_eq!(received.len(), 5);
    assert!(received.iter().all(|one| one.headers["webhook-id"] == received[0].headers["webhook-id"]));
    assert!(is_genuine(&received[4], &secret(&scene, &destination), scene.now() / 1000));
    assert!(!is_genuine(&received[0], &secret(&scene, &destination), scene.now() / 1000), "it is hours old");
    let mut connection = scene.store.read().await.unwrap();
    let well = alerts::destination(&mut connection, &scene.tenant, &destination.id).await.unwrap();
    assert_eq!((well.failing_since, well.last_error), (None, None));
}

#[tokio::test]
async fn after_some_days_it_is_given_up() {
    let scene = Scene::new(|_| {}).await;
    let receiver = Receiver::start().await;
    receiver.answers("404 Nothing here");
    let destination = scene.destination(Way::Webhook, &receiver.url()).await;
    scene.trial(&destination).await;
    for _ in 0..20 {
        scene.notify.send_due().await.unwrap();
        scene.pass(2 * DAY);
    }
    assert_eq!(receiver.received().len(), PAUSES.len() + 1);
    assert_eq!(scene.sent(&destination).await[0].state, "given-up");
}

#[tokio::test]
async fn a_receiver_says_when_to_come_back_or_never() {
    let scene = Scene::new(|_| {}).await;
    let receiver = Receiver::start().await;
    let destination = scene.destination(Way::Webhook, &receiver.url()).await;
    receiver.answers("503 Later\r\nretry-after: 3600");
    scene.trial(&destination).await;
    scene.notify.send_due().await.unwrap();
    scene.pass(59 * MINUTE);
    assert_eq!(scene.notify.send_due().await.unwrap(), 0);
    // A tenth of the hour may be added to it.
    scene.pass(8 * MINUTE);
    receiver.answers("410 Never");
    assert_eq!(scene.notify.send_due().await.unwrap(), 1);
    let mut connection = scene.store.read().await.unwrap();
    let silent = alerts::destination(&mut connection, &scene.tenant, &destination.id).await.unwrap();
    assert!(!silent.enabled);
    drop(connection);
    scene.agent("a1", "north").await;
    scene.pass(60 * MINUTE);
    assert_eq!(scene.evaluate().await.opened, 1);
    assert_eq!(scene.notify.send_due().await.unwrap(), 0);
}

#[tokio::test]
async fn redirects_are_not_followed_and_forbidden_places_not_called() {
    let scene = Scene::new(|_| {}).await;
    let (receiver, inside) = (Receiver::start().await, Receiver::start().await);
    receiver.answers(&format!("302 Elsewhere\r\nlocation: {}", inside.url()));
    let destination = scene.destination(Way::Webhook, &receiver.url()).await;
    scene.trial(&destination).await;
    scene.notify.send_due().await.unwrap();
    assert_eq!(scene.sent(&destination).await[0].last_error.as_deref(), Some("the receiver answered 302"));
    assert!(inside.received().is_empty());
    // What was allowed when it was made is checked again when it is used.
    let strict = Notify::new(scene.store.clone(), scene.clock.clone(), Metrics::new(), &{
        let mut settings = Settings::defaults();
        settings.alerts.key = Some("a-key-of-32-characters-for-tests".to_owned().into());
        settings
    });
    scene.pass(MINUTE);
    let before = receiver.received().len();
    strict.unwrap().send_due().await.unwrap();
    assert_eq!(receiver.received().len(), before);
    let why = scene.sent(&destination).await[0].last_error.clone().unwrap();
    assert!(why.contains("https only"), "{why}");
}

#[tokio::test]
async fn a_replaced_secret_signs_beside_the_new_one_for_a_day() {
    let scene = Scene::new(|_| {}).await;
    let receiver = Receiver::start().await;
    let old = scene.destination(Way::Webhook, &receiver.url()).await;
    scene.pass(MINUTE);
    let (tenant, id, now) = (scene.tenant.clone(), old.id.clone(), scene.now());
    let rotated =
        scene.store.write(move |tx| Box::pin(async move { alerts::rotate(tx, &tenant, &id, now).await }));
    let new = rotated.await.unwrap();
    assert_ne!(secret(&scene, &old), secret(&scene, &new));
    scene.trial(&new).await;
    scene.notify.send_due().await.unwrap();
    scene.pass(25 * 60 * MINUTE);
    scene.trial(&new).await;
    scene.notify.send_due().await.unwrap();
    let received = receiver.received();
    let genuine = |index: usize, destination: &Destination, now: Millis| {
        is_genuine(&received[index], &secret(&scene, destination), now / 1000)
    };
    let early = scene.now() - 25 * 60 * MINUTE;
    assert!(genuine(0, &old, early) && genuine(0, &new, early));
    assert!(!genuine(1, &old, scene.now()) && genuine(1, &new, scene.now()));
}

#[tokio::test]
async fn no_secret_of_a_destination_is_in_the_database() {
    let scene = Scene::new(|_| {}).await;
    let destination = scene.destination(Way::Webhook, "https://alerts.example.test/in").await;
    let shown = secret(&scene, &destination);
    let bytes = std::fs::read(scene.folder.path().join("control.db")).unwrap();
    let wal = std::fs::read(scene.folder.path().join("control.db-wal")).unwrap_or_default();
    let raw = shown.strip_prefix("whsec_").unwrap().as_bytes();
    for file in [bytes, wal] {
        assert!(!file.windows(raw.len()).any(|window| window == raw));
        assert!(!file.windows(14).any(|window| window == b"a-key-of-32-ch"));
    }
}

#[tokio::test]
async fn a_digest_comes_once_a_day_to_those_who_want_it() {
    let scene = Scene::new(|_| {}).await;
    let receiver = Receiver::start().await;
    let destination = scene.destination(Way::Webhook, &receiver.url()).await;
    scene.agent("a1", "north").await;
    let never = crate::alerts::rules::Thresholds { offline_minutes: 0, credential_days: 0, holds: 0 };
    let hour = (scene.now().rem_euclid(DAY) / 3_600_000 + 1) % 24;
    scene.wish(Wishes { digest_hour: Some(hour), thresholds: never, ..Wishes::default() }).await;
    for _ in 0..3 * 24 * 2 {
        scene.pass(30 * MINUTE);
        scene.speaks("a1", 4).await;
        scene.evaluate().await;
    }
    scene.notify.send_due().await.unwrap();
    let received = receiver.received();
    assert_eq!(received.len(), 3, "{received:?}");
    let json: serde_json::Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(json["type"], "digest");
    assert_eq!(
        (json["data"]["agents"].as_u64(), json["data"]["postings"]["held"].as_u64()),
        (Some(1), Some(4))
    );
    assert_eq!(scene.sent(&destination).await.len(), 3);
}
