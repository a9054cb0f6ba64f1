//! A code is traded for an identity, once.

use super::House;
use crate::clock::Clock;
use crate::store::{agents, codes};
#[cfg(unix)]
use crate::testing::Postgres;
use crate::testing::{Plane, TestAgent};
use chrono::TimeDelta;
use futures_util::future::join_all;
use purser_proto::link::codes as problem;

#[tokio::test]
async fn an_agent_enrolls_and_may_ask_again_when_the_answer_was_lost() {
    let house = House::new().await;
    let code = house.plane.code(&house.tenant, false).await;
    let mut agent = TestAgent::new(&house.plane.base);
    let answer = agent.enroll(&code.to_lowercase().replace('-', " ")).await.unwrap();
    assert_eq!((answer.tenant.as_str(), answer.waits_for_approval), ("example", false));
    assert_eq!(answer.name.as_str(), "host.example.test");
    assert_eq!(agent.enroll(&code).await.unwrap(), answer);
    assert!(agent.sync(&agent.says_nothing()).await.unwrap().deliveries.is_empty());
    house.plane.stop().await;
}

#[tokio::test]
async fn codes_that_cannot_be_used_say_why() {
    let clock = Clock::manual(Clock::system().now());
    let house = House::at(clock.clone()).await;
    let agent = || {
        let mut agent = TestAgent::new(&house.plane.base);
        agent.clock = clock.clone();
        agent
    };
    let used = house.plane.code(&house.tenant, false).await;
    agent().enroll(&used).await.unwrap();
    let revoked = house.plane.code(&house.tenant, false).await;
    let store = &house.plane.services.store;
    let all = codes::of_tenant(&mut store.read().await.unwrap(), &house.tenant).await.unwrap();
    let id = all.into_iter().find(|code| code.used_at.is_none()).unwrap().id;
    let tenant = house.tenant.clone();
    store.write(move |tx| Box::pin(async move { codes::revoke(tx, &tenant, &id, 5).await })).await.unwrap();
    assert_eq!(agent().enroll(&revoked).await.unwrap_err().code.as_str(), problem::CODE_REVOKED);
    let late = house.plane.code(&house.tenant, false).await;
    clock.advance(TimeDelta::minutes(61));
    for (code, expected) in [
        (used.as_str(), problem::CODE_EXPIRED),
        (late.as_str(), problem::CODE_EXPIRED),
        ("AAAA-BBBB-CCCC-DDDD", problem::CODE_UNKNOWN),
    ] {
        let refused = agent().enroll(code).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), (expected, 403));
    }
    house.plane.stop().await;
}

#[tokio::test]
async fn a_used_code_makes_no_second_agent() {
    let house = House::new().await;
    let code = house.plane.code(&house.tenant, false).await;
    TestAgent::new(&house.plane.base).enroll(&code).await.unwrap();
    let refused = TestAgent::new(&house.plane.base).enroll(&code).await.unwrap_err();
    assert_eq!(refused.code.as_str(), problem::CODE_USED);
    house.plane.stop().await;
}

#[tokio::test]
async fn a_code_makes_an_agent_of_its_own_tenant() {
    let house = House::new().await;
    let other = house.plane.tenant("other").await;
    let agent = house.plane.agent(&other).await;
    let mut connection = house.plane.services.store.read().await.unwrap();
    assert!(agents::of(&mut connection, &house.tenant, &agent.id).await.is_err());
    assert_eq!(agents::of(&mut connection, &other, &agent.id).await.unwrap().tenant, other);
    drop(connection);
    house.plane.stop().await;
}

#[tokio::test]
async fn the_link_carries_nothing_until_a_person_has_approved() {
    let house = House::new().await;
    let code = house.plane.code(&house.tenant, true).await;
    let mut agent = TestAgent::new(&house.plane.base);
    assert!(agent.enroll(&code).await.unwrap().waits_for_approval);
    let refused = agent.sync(&agent.says_nothing()).await.unwrap_err();
    assert_eq!(refused.code.as_str(), problem::WAITS_FOR_APPROVAL);
    let says = agent.waits(30);
    let waits = agent.sync(&says);
    let approve = async {
        while house.plane.services.wake.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let (tenant, id) = (house.tenant.clone(), agent.id.clone());
        let approve =
            house.plane.services.store.write(move |tx| {
                Box::pin(async move { agents::approve(tx, &tenant, &id, "somebody", 5).await })
            });
        approve.await.unwrap();
    };
    let (answer, ()) = tokio::join!(waits, approve);
    assert!(answer.unwrap().deliveries.is_empty());
    house.plane.stop().await;
}

async fn of_a_hundred_one_wins(planes: &[Plane]) {
    let tenant = planes[0].tenant("race").await;
    let code = planes[0].code(&tenant, false).await;
    let first = TestAgent::new(&planes[0].base);
    let agents: Vec<TestAgent> = (0..100)
        .map(|n| TestAgent::with_client(&planes[n % planes.len()].base, first.client().clone()))
        .collect();
    let answers = join_all(agents.iter().map(|agent| agent.try_enroll(&code))).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.problem().code.as_str(), problem::CODE_USED);
    }
    let mut connection = planes[0].services.store.read().await.unwrap();
    assert_eq!(agents::of_tenant(&mut connection, &tenant, "", 200).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_parallel_uses_one_wins_on_sqlite() {
    let house = House::new().await;
    of_a_hundred_one_wins(std::slice::from_ref(&house.plane)).await;
    house.plane.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_parallel_uses_at_two_nodes_one_wins_on_postgresql() {
    let server = Postgres::start().await;
    let url = server.database().await;
    let nodes = [Plane::start(&url, Clock::system()).await, Plane::start(&url, Clock::system()).await];
    of_a_hundred_one_wins(&nodes).await;
    for node in nodes {
        node.stop().await;
    }
}
