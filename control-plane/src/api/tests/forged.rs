//! Requests that are not what they should be.

use super::House;
use crate::clock::Clock;
use crate::server::sweep_once;
use crate::testing::TestAgent;
use chrono::TimeDelta;
use purser_proto::link::limits::LARGEST_MESSAGE;
use purser_proto::link::{SYNC, codes as problem};
use serde_json::{Value, json};

#[tokio::test]
async fn a_request_counts_once() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let body = serde_json::to_vec(&agent.says_nothing()).unwrap();
    let assertion = agent.assert(&agent.id, SYNC, &body);
    let first = agent.post(SYNC, body.clone(), Some(assertion.clone())).await;
    assert_eq!(first.status, 200);
    for _ in 0..3 {
        let again = agent.post(SYNC, body.clone(), Some(assertion.clone())).await;
        assert_eq!((again.status, again.problem().code.as_str()), (401, problem::REPLAYED));
        assert_eq!(again.content_type, "application/problem+json");
    }
    house.plane.stop().await;
}

#[tokio::test]
async fn a_request_counts_once_also_when_the_clock_goes_back_or_leapt_ahead() {
    let clock = Clock::manual(Clock::system().now());
    let house = House::at(clock.clone()).await;
    let agent = house.plane.agent(&house.tenant).await;
    let body = serde_json::to_vec(&agent.says_nothing()).unwrap();
    let send = async |assertion: &str| {
        let answered = agent.post(SYNC, body.clone(), Some(assertion.to_owned())).await;
        match answered.status {
            200 => "taken".to_owned(),
            _ => answered.problem().code.to_string(),
        }
    };
    sweep_once(&house.plane.services).await.unwrap();
    let first = agent.assert(&agent.id, SYNC, &body);
    assert_eq!(send(&first).await, "taken");
    clock.set_by(TimeDelta::days(2));
    sweep_once(&house.plane.services).await.unwrap();
    clock.set_by(TimeDelta::days(-2));
    assert_eq!(send(&first).await, problem::REPLAYED, "its nonce was not forgotten");
    clock.advance(TimeDelta::hours(1));
    sweep_once(&house.plane.services).await.unwrap();
    clock.set_by(TimeDelta::hours(-1));
    assert_eq!(send(&first).await, problem::REPLAYED, "its nonce was forgotten, and that is known");
    clock.set_by(TimeDelta::hours(1));
    assert_eq!(send(&agent.assert(&agent.id, SYNC, &body)).await, "taken");
    // A clock that stays where it went is believed in the end.
    clock.set_by(TimeDelta::hours(-1));
    sweep_once(&house.plane.services).await.unwrap();
    clock.advance(TimeDelta::minutes(15));
    sweep_once(&house.plane.services).await.unwrap();
    assert_eq!(send(&agent.assert(&agent.id, SYNC, &body)).await, "taken");
    house.plane.stop().await;
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_refused() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let other = house.plane.agent(&house.tenant).await;
    let body = serde_json::to_vec(&agent.says_nothing()).unwrap();
    let assertion = agent.assert(&agent.id, SYNC, &body);
    let mut changed = body.clone();
    changed.push(b' ');
    let for_other = assertion.replace(&agent.id, &other.id);
    let elsewhere = agent.assert(&agent.id, "/v1/agent/keys", &body);
    let in_anothers_name = agent.assert(&other.id, SYNC, &body);
    let later = assertion.replacen("; 1", "; 2", 1);
    for (body, assertion) in [
        (changed, assertion),
        (body.clone(), for_other),
        (body.clone(), elsewhere),
        (body.clone(), in_anothers_name),
        (body.clone(), later),
    ] {
        let refused = agent.post(SYNC, body, Some(assertion)).await;
        assert_eq!((refused.status, refused.problem().code.as_str()), (401, problem::BAD_SIGNATURE));
    }
    for assertion in [None, Some(String::new()), Some("a; b; c; d".to_owned())] {
        let refused = agent.post(SYNC, body.clone(), assertion).await;
        assert_eq!((refused.status, refused.problem().code.as_str()), (401, problem::BAD_ASSERTION));
    }
    house.plane.stop().await;
}

#[tokio::test]
async fn a_wrong_clock_is_told_from_the_date_and_in_words() {
    let house = House::new().await;
    let mut agent = house.plane.agent(&house.tenant).await;
    for (skew, words) in
        [(119, None), (-119, None), (300, Some("300 s ahead")), (-3600, Some("3600 s behind"))]
    {
        agent.skew = TimeDelta::seconds(skew);
        let answered = agent.try_sync(&agent.says_nothing()).await;
        assert!(answered.date.is_some());
        match words {
            None => assert_eq!(answered.status, 200),
            Some(_) => {
                let problem = answered.problem();
                assert_eq!((answered.status, problem.code.as_str()), (401, problem::CLOCK_SKEWED));
                let told: i64 = problem.title.as_str().split(' ').nth(4).unwrap().parse().unwrap();
                assert!((told - skew.abs()).abs() <= 2, "{}", problem.title);
                assert_eq!(problem.title.as_str().ends_with("ahead"), skew > 0);
            }
        }
    }
    house.plane.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_not_known_is_told_so() {
    let house = House::new().await;
    let mut agent = TestAgent::new(&house.plane.base);
    agent.id = "a0000000000000000000000000".to_owned();
    let refused = agent.sync(&agent.says_nothing()).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.status), (problem::UNKNOWN_AGENT, 401));
    assert!(refused.detail.as_str().contains("the agent works on"));
    house.plane.stop().await;
}

#[tokio::test]
async fn messages_that_cannot_be_read_are_refused_by_what_is_wrong() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let good = serde_json::to_value(agent.says_nothing()).unwrap();
    let with = |field: &str, value: Value| {
        let mut message = good.clone();
        message[field] = value;
        serde_json::to_vec(&message).unwrap()
    };
    let report = json!({"id": 1, "at": "2026-01-01T00:00:00Z", "body": {"kind": "dance"}});
    for (body, status, code) in [
        (with("version", json!(2)), 400, problem::VERSION),
        (with("version", json!(0)), 400, problem::VERSION),
        (with("version", json!("one")), 400, problem::MALFORMED),
        (with("taken", json!(vec!["x"; 257])), 400, problem::MALFORMED),
        (with("taken", json!(["x".repeat(129)])), 400, problem::MALFORMED),
        (
            with(
                "reports",
                json!([{ "id": u64::MAX, "at": "2026-01-01T00:00:00Z", "body": {"kind": "dance"} }]),
            ),
            400,
            problem::MALFORMED,
        ),
        (b"{".to_vec(), 400, problem::MALFORMED),
        (b"\xff\xfe".to_vec(), 400, problem::MALFORMED),
        (Vec::new(), 400, problem::MALFORMED),
    ] {
        let assertion = agent.assert(&agent.id, SYNC, &body);
        let refused = agent.post(SYNC, body, Some(assertion)).await;
        assert_eq!((refused.status, refused.problem().code.as_str()), (status, code));
    }
    let body = with("reports", json!([report]));
    let assertion = agent.assert(&agent.id, SYNC, &body);
    let answered = agent.post(SYNC, body, Some(assertion)).await;
    let answer: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(answer["reported"], 1, "a kind from the future is acknowledged");
    house.plane.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_read() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let body = vec![b' '; LARGEST_MESSAGE + 1];
    let assertion = agent.assert(&agent.id, SYNC, &body);
    let refused = agent.post(SYNC, body, Some(assertion)).await;
    assert_eq!((refused.status, refused.problem().code.as_str()), (413, problem::TOO_LARGE));
    house.plane.stop().await;
}

#[tokio::test]
async fn what_is_written_while_a_leap_is_doubted_keeps_its_time() {
    let clock = Clock::manual(Clock::system().now());
    let house = House::at(clock.clone()).await;
    let agent = house.plane.agent(&house.tenant).await;
    let body = serde_json::to_vec(&agent.says_nothing()).unwrap();
    sweep_once(&house.plane.services).await.unwrap();
    clock.set_by(TimeDelta::days(2));
    sweep_once(&house.plane.services).await.unwrap();
    let assertion = agent.assert(&agent.id, SYNC, &body);
    assert_eq!(agent.post(SYNC, body, Some(assertion)).await.status, 200);
    sweep_once(&house.plane.services).await.unwrap();
    let mut connection = house.plane.services.store.read().await.unwrap();
    let seen = crate::store::agents::by_id(&mut connection, &agent.id).await.unwrap().unwrap().last_seen;
    assert_eq!(seen, Some(crate::clock::millis(&clock)));
    drop(connection);
    house.plane.stop().await;
}
