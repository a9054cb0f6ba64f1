//! What goes over the link, in both directions.

use super::House;
use crate::store::commands::NewCommand;
use crate::store::sealed::NewSecret;
use crate::store::{agents, commands, deliveries, nonces, reports, sealed};
use crate::testing::TestAgent;
use purser_proto::finding::ConfigFinding;
use purser_proto::link::codes as problem;
use purser_proto::link::command::{CommandResult, Outcome, Verb};
use purser_proto::link::configuration::RevisionVerdict;
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody, StatusReport};
use purser_proto::link::sync::{AuditHead, DeliveryBody};
use std::time::{Duration, Instant};

async fn command(house: &House, agent: &TestAgent) -> String {
    let new = NewCommand {
        tenant: house.tenant.clone(),
        agent: agent.id.clone(),
        verb: Verb::Run { flow: "expenses".into() },
        by: "somebody".into(),
        reason: "month end".into(),
        expires_at: i64::MAX / 2,
    };
    let made = house
        .plane
        .services
        .store
        .write(move |tx| Box::pin(async move { commands::create(tx, &new, 1).await }));
    made.await.unwrap()
}

async fn waits_here(house: &House) {
    while house.plane.services.wake.waiting() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_waiting_request_is_answered_when_there_is_something_and_again_until_it_is_taken() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let says = agent.waits(50);
    let begun = Instant::now();
    let (answer, id) = tokio::join!(agent.sync(&says), async {
        waits_here(&house).await;
        command(&house, &agent).await
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
    let answer = answer.unwrap();
    let [delivery] = answer.deliveries.as_slice() else { panic!("{answer:?}") };
    assert_eq!(delivery.id.as_str(), id);
    let DeliveryBody::Command(command) = &delivery.body else { panic!("{delivery:?}") };
    assert_eq!((command.by.as_str(), command.reason.as_str()), ("somebody", "month end"));
    let again = agent.sync(&agent.says_nothing()).await.unwrap();
    assert_eq!(again.deliveries, answer.deliveries, "until it is taken");
    assert!(agent.sync(&agent.takes(&[&id, "unknown"])).await.unwrap().deliveries.is_empty());
    let mut connection = house.plane.services.store.read().await.unwrap();
    let row = commands::of(&mut connection, &house.tenant, &id).await.unwrap();
    assert_eq!(row.state, "taken");
    drop(connection);
    house.plane.stop().await;
}

#[tokio::test]
async fn a_request_waits_no_longer_than_it_allows() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let begun = Instant::now();
    let answer = agent.sync(&agent.waits(1)).await.unwrap();
    assert!(answer.deliveries.is_empty());
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(house.plane.services.wake.waiting(), 0);
    house.plane.stop().await;
}

#[tokio::test]
async fn reports_are_kept_once_and_in_order() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let id = command(&house, &agent).await;
    let result = |outcome| ReportBody::Result {
        delivery: id.as_str().into(),
        result: CommandResult { outcome, words: "3 records".into(), detail: "{\"n\":3}".into() },
    };
    let status = |version: &str| {
        ReportBody::Status(Box::new(StatusReport {
            agent_version: version.into(),
            ..StatusReport::default()
        }))
    };
    let notice = ReportBody::Notice(Notice {
        level: NoticeLevel::Security,
        code: "secret-for-another-origin".into(),
        concerns: Some("brex".into()),
        what: "refused".into(),
        fix: "look".into(),
    });
    let says = agent.reports(5, vec![status("0.2"), result(Outcome::Done), notice, status("0.3")]);
    for _ in 0..3 {
        assert_eq!(agent.sync(&says).await.unwrap().reported, 8, "repeated, it is kept once");
    }
    let older = agent.reports(6, vec![result(Outcome::Failed), status("0.0")]);
    assert_eq!(
        agent.sync(&older).await.unwrap().reported,
        8,
        "an older request that comes late changes nothing"
    );
    let mut shuffled = agent.reports(9, vec![status("0.4"), status("0.5")]);
    let mut reports: Vec<_> = shuffled.reports.into_vec();
    reports.reverse();
    shuffled.reports = reports.into_iter().collect();
    assert_eq!(agent.sync(&shuffled).await.unwrap().reported, 10);
    let mut connection = house.plane.services.store.read().await.unwrap();
    let row = commands::of(&mut connection, &house.tenant, &id).await.unwrap();
    assert_eq!(
        (row.state.as_str(), row.words.as_str(), row.detail.as_str()),
        ("done", "3 records", "{\"n\":3}")
    );
    let kept = reports::status(&mut connection, &house.tenant, &agent.id).await.unwrap().unwrap();
    assert_eq!(kept.status.agent_version.as_str(), "0.5");
    drop(connection);
    assert_eq!(house.notices().await, ["secret-for-another-origin"]);
    house.plane.stop().await;
}

#[tokio::test]
async fn a_refused_revision_and_a_stored_secret_are_known() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let new = NewSecret {
        tenant: house.tenant.clone(),
        agent: agent.id.clone(),
        name: "brex".into(),
        armored: "-----BEGIN AGE ENCRYPTED FILE-----\nabc\n-----END AGE ENCRYPTED FILE-----".into(),
        by: "somebody".into(),
    };
    let store = &house.plane.services.store;
    let id = store.write(move |tx| Box::pin(sealed::hand_in(tx, new, 1))).await.unwrap();
    let answer = agent.sync(&agent.says_nothing()).await.unwrap();
    assert!(
        matches!(&answer.deliveries.as_slice()[0].body, DeliveryBody::Secret(secret) if secret.name.as_str() == "brex")
    );
    let stored = ReportBody::Secret { delivery: id.as_str().into(), name: "brex".into(), refused: None };
    let finding = ConfigFinding::new("flow[0]", "is beyond the guard rails", "lower it");
    let refused = RevisionVerdict { number: 4, refused: [finding].into_iter().collect() };
    agent.sync(&agent.reports(1, vec![stored, ReportBody::Revision(refused)])).await.unwrap();
    let mut connection = store.read().await.unwrap();
    let all = sealed::of_agent(&mut connection, &house.tenant, &agent.id).await.unwrap();
    assert_eq!(all[0].state, "stored");
    assert_eq!(deliveries::count(&mut connection, &agent.id).await.unwrap(), 0, "the copy is gone");
    drop(connection);
    assert_eq!(house.notices().await, ["configuration-refused"]);
    house.plane.stop().await;
}

#[tokio::test]
async fn an_audit_trail_that_was_cut_is_told_and_one_that_grows_is_not() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let says = async |entries, head: &str| {
        let mut says = agent.says_nothing();
        says.audit = Some(AuditHead { entries, head: head.into() });
        agent.sync(&says).await.unwrap();
    };
    says(10, "a").await;
    says(10, "a").await;
    says(12, "b").await;
    assert!(house.notices().await.is_empty());
    says(11, "c").await;
    says(11, "c").await;
    assert_eq!(house.notices().await, ["audit-went-back"]);
    says(11, "d").await;
    assert_eq!(house.notices().await.len(), 2, "another end of the same length was replaced");
    house.plane.stop().await;
}

#[tokio::test]
async fn a_revoked_agent_is_refused_at_once_also_where_it_waits() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let says = agent.waits(50);
    let (refused, ()) = tokio::join!(agent.sync(&says), async {
        waits_here(&house).await;
        let (tenant, id) = (house.tenant.clone(), agent.id.clone());
        let revoke =
            house.plane.services.store.write(move |tx| {
                Box::pin(async move { agents::revoke(tx, &tenant, &id, "somebody", 5).await })
            });
        revoke.await.unwrap();
    });
    assert_eq!(refused.unwrap_err().code.as_str(), problem::REVOKED);
    let refused = agent.sync(&agent.says_nothing()).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.status), (problem::REVOKED, 403));
    house.plane.stop().await;
}

#[tokio::test]
async fn keys_are_replaced_and_the_old_ones_are_worth_nothing() {
    let house = House::new().await;
    let mut agent = house.plane.agent(&house.tenant).await;
    let mut old = agent.says_nothing();
    old.wait_seconds = 0;
    let body = serde_json::to_vec(&old).unwrap();
    let before = agent.keys();
    let signed_with_the_old_key = agent.assert(&agent.id, "/v1/agent/sync", &body);
    agent.rotate().await.unwrap();
    assert_ne!(agent.keys(), before);
    let refused = agent.post("/v1/agent/sync", body, Some(signed_with_the_old_key)).await;
    assert_eq!(refused.problem().code.as_str(), problem::BAD_SIGNATURE);
    agent.sync(&agent.says_nothing()).await.unwrap();
    assert_eq!(house.notices().await, ["keys-rotated"]);
    let mut connection = house.plane.services.store.read().await.unwrap();
    let kept = agents::by_id(&mut connection, &agent.id).await.unwrap().unwrap();
    assert_eq!(kept.fingerprint, agent.keys().fingerprint());
    drop(connection);
    house.plane.stop().await;
}

#[tokio::test]
async fn a_request_that_says_nothing_new_writes_its_nonce_only() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    agent.sync(&agent.says_nothing()).await.unwrap();
    let store = &house.plane.services.store;
    let before = agents::by_id(&mut store.read().await.unwrap(), &agent.id).await.unwrap();
    let nonces_before = nonces::count(&mut store.read().await.unwrap()).await.unwrap();
    for _ in 0..5 {
        agent.sync(&agent.says_nothing()).await.unwrap();
    }
    let mut connection = store.read().await.unwrap();
    assert_eq!(agents::by_id(&mut connection, &agent.id).await.unwrap(), before);
    assert_eq!(nonces::count(&mut connection).await.unwrap(), nonces_before + 5);
    drop(connection);
    house.plane.stop().await;
}

#[tokio::test]
async fn another_process_that_writes_to_the_file_wakes_the_agent() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let url = format!("sqlite:{}/control.db", house._folder.path().display());
    let beside = crate::store::Store::open(&url).await.unwrap();
    let says = agent.waits(50);
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(agent.sync(&says), async {
        waits_here(&house).await;
        let new = NewCommand {
            tenant: house.tenant.clone(),
            agent: agent.id.clone(),
            verb: Verb::Diagnostics,
            by: "command line".into(),
            reason: "a look".into(),
            expires_at: i64::MAX / 2,
        };
        beside.write(move |tx| Box::pin(async move { commands::create(tx, &new, 1).await })).await.unwrap();
    });
    assert_eq!(answer.unwrap().deliveries.as_slice().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(20));
    beside.close().await;
    house.plane.stop().await;
}

#[tokio::test]
async fn more_agents_wait_than_are_worked_on_at_once() {
    let house = House::new().await;
    let more = crate::link::AT_ONCE + 20;
    let mut agents = Vec::new();
    for _ in 0..more {
        agents.push(house.plane.agent(&house.tenant).await);
    }
    let wake = &house.plane.services.wake;
    let all = futures_util::future::join_all(agents.iter().map(async |agent| {
        agent.sync(&agent.waits(50)).await.unwrap();
    }));
    let begun = Instant::now();
    let meanwhile = async {
        while wake.waiting() < more {
            assert!(begun.elapsed() < Duration::from_secs(40), "only {} wait", wake.waiting());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let another = house.plane.agent(&house.tenant).await;
        another.sync(&another.says_nothing()).await.unwrap();
        wake.drain();
    };
    tokio::join!(all, meanwhile);
    house.plane.stop().await;
}
