//! Two machines with one identity, over the link.

use super::House;
use crate::clock::Clock;
use crate::store::lives;
use crate::testing::TestAgent;
use chrono::TimeDelta;
use purser_proto::link::sync::Instance;
use std::time::{Duration, Instant};

fn life(id: &str, agent: &TestAgent, after: i64, before: Option<&str>) -> Instance {
    Instance {
        id: id.into(),
        started: agent.instance.started + TimeDelta::milliseconds(after),
        before: before.map(Into::into),
    }
}

/// What a life is told: nothing, or why it must not work.
async fn speaks(agent: &TestAgent, life: &Instance) -> Option<String> {
    let mut says = agent.says_nothing();
    says.instance = life.clone();
    agent.sync(&says).await.unwrap().fenced.map(|words| words.to_string())
}

#[tokio::test]
async fn the_younger_of_two_machines_is_fenced_with_its_first_request() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let (older, younger) = (life("older", &agent, 0, None), life("younger", &agent, 1, None));
    assert_eq!(speaks(&agent, &older).await, None);
    let told = speaks(&agent, &younger).await.unwrap();
    assert!(told.contains("another machine"), "{told}");
    assert_eq!(house.notices().await, ["cloned-identity"]);
    assert_eq!(speaks(&agent, &older).await, None);
    assert!(speaks(&agent, &younger).await.is_some());
    assert_eq!(house.notices().await, ["cloned-identity"], "told once");
    house.plane.stop().await;
}

#[tokio::test]
async fn a_copy_that_takes_the_original_for_its_life_before_is_found_out() {
    let clock = Clock::manual(Clock::system().now());
    let house = House::at(clock.clone()).await;
    let agent = house.plane.agent(&house.tenant).await;
    let original = life("original", &agent, 0, None);
    assert_eq!(speaks(&agent, &original).await, None);
    let copy = life("copy", &agent, 1000, Some("original"));
    clock.advance(TimeDelta::seconds(2));
    assert_eq!(speaks(&agent, &copy).await, None, "it looks like a restart");
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(speaks(&agent, &original).await, None);
    assert!(speaks(&agent, &copy).await.is_some());
    let again = life("copy again", &agent, 2000, Some("copy"));
    assert!(speaks(&agent, &again).await.is_some());
    assert!(house.notices().await.contains(&"cloned-identity".to_owned()));
    house.plane.stop().await;
}

#[tokio::test]
async fn restarts_are_no_copies() {
    let house = House::new().await;
    let mut agent = house.plane.agent(&house.tenant).await;
    for _ in 0..5 {
        assert!(agent.sync(&agent.says_nothing()).await.unwrap().fenced.is_none());
        agent.restart();
    }
    assert!(house.notices().await.is_empty());
    house.plane.stop().await;
}

#[tokio::test]
async fn what_a_fenced_life_reports_is_not_kept_and_it_gets_nothing() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    speaks(&agent, &life("older", &agent, 0, None)).await;
    let unknown = serde_json::from_str(r#"{"kind":"from the future"}"#).unwrap();
    let mut says = agent.reports(1, vec![unknown]);
    says.instance = life("younger", &agent, 1, None);
    let answer = agent.sync(&says).await.unwrap();
    assert_eq!((answer.reported, answer.fenced.is_some()), (0, true));
    let mut says = agent.says_nothing();
    says.instance = life("older", &agent, 0, None);
    assert_eq!(agent.sync(&says).await.unwrap().reported, 0);
    house.plane.stop().await;
}

#[tokio::test]
async fn a_person_can_let_the_other_machine_work() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let (older, younger) = (life("older", &agent, 0, None), life("younger", &agent, 1, None));
    speaks(&agent, &older).await;
    speaks(&agent, &younger).await;
    speaks(&agent, &older).await;
    let (tenant, id) = (house.tenant.clone(), agent.id.clone());
    let forget = house
        .plane
        .services
        .store
        .write(move |tx| Box::pin(async move { lives::forget(tx, &tenant, &id).await }));
    forget.await.unwrap();
    assert_eq!(speaks(&agent, &younger).await, None);
    house.plane.stop().await;
}

#[tokio::test]
async fn a_machine_that_fell_silent_is_replaced_and_that_is_told() {
    let clock = Clock::manual(Clock::system().now());
    let house = House::at(clock.clone()).await;
    let agent = house.plane.agent(&house.tenant).await;
    let (lost, restored) = (life("lost", &agent, 0, None), life("restored", &agent, 1, Some("long ago")));
    speaks(&agent, &lost).await;
    clock.advance(TimeDelta::seconds(5));
    assert!(speaks(&agent, &restored).await.is_some());
    clock.advance(TimeDelta::seconds(130));
    assert_eq!(speaks(&agent, &restored).await, None);
    assert_eq!(house.notices().await, ["cloned-identity", "took-over"]);
    house.plane.stop().await;
}

#[tokio::test]
async fn the_other_life_is_woken_so_that_it_says_whether_it_lives() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let (older, younger) = (life("older", &agent, 0, None), life("younger", &agent, 1, None));
    let mut waits = agent.waits(50);
    waits.instance = older;
    let begun = Instant::now();
    let (answer, told) = tokio::join!(agent.sync(&waits), async {
        while house.plane.services.wake.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        speaks(&agent, &younger).await
    });
    assert!(told.is_some());
    assert!(answer.unwrap().fenced.is_none());
    assert!(begun.elapsed() < Duration::from_secs(20));
    house.plane.stop().await;
}

#[tokio::test]
async fn a_life_that_was_last_heard_by_a_clock_that_was_ahead_is_replaced_when_it_is_silent() {
    let clock = Clock::manual(Clock::system().now());
    let house = House::at(clock.clone()).await;
    let agent = house.plane.agent(&house.tenant).await;
    let (older, younger) = (life("older", &agent, 0, None), life("younger", &agent, 1, None));
    clock.set_by(TimeDelta::days(400));
    assert_eq!(speaks(&agent, &older).await, None);
    clock.set_by(TimeDelta::days(-400));
    assert!(speaks(&agent, &younger).await.is_some(), "the other one may be alive");
    clock.advance(TimeDelta::minutes(2));
    assert_eq!(speaks(&agent, &younger).await, None);
    house.plane.stop().await;
}
