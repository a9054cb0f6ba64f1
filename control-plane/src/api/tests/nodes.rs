//! Two nodes on one PostgreSQL database are one control plane.

use crate::clock::Clock;
use crate::store::commands::{self, NewCommand};
use crate::testing::{Plane, Postgres};
use futures_util::future::join_all;
use purser_proto::link::codes as problem;
use purser_proto::link::command::Verb;
use purser_proto::link::{SYNC, sync::SyncAnswer};
use std::time::{Duration, Instant};

async fn command(plane: &Plane, tenant: &str, agent: &str) {
    let new = NewCommand {
        tenant: tenant.to_owned(),
        agent: agent.to_owned(),
        verb: Verb::Diagnostics,
        by: "somebody".into(),
        reason: "a look".into(),
        expires_at: i64::MAX / 2,
    };
    let op =
        plane.services.store.write(move |tx| Box::pin(async move { commands::create(tx, &new, 1).await }));
    op.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_are_one_control_plane() {
    let server = Postgres::start().await;
    let url = server.database().await;
    let (one, two) = (Plane::start(&url, Clock::system()).await, Plane::start(&url, Clock::system()).await);
    let tenant = one.tenant("example").await;
    let mut agent = one.agent(&tenant).await;

    // What was used at one node is used up at the other.
    let body = serde_json::to_vec(&agent.says_nothing()).unwrap();
    let assertion = agent.assert(&agent.id, SYNC, &body);
    assert_eq!(agent.post(SYNC, body.clone(), Some(assertion.clone())).await.status, 200);
    agent.base.clone_from(&two.base);
    let again = agent.post(SYNC, body, Some(assertion)).await;
    assert_eq!(again.problem().code.as_str(), problem::REPLAYED);

    // It waits at the second node and is woken by the first.
    let says = agent.waits(50);
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(agent.sync(&says), async {
        while two.services.wake.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        command(&one, &tenant, &agent.id).await;
    });
    assert_eq!(answer.unwrap().deliveries.as_slice().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(20));

    // One is killed; the other goes on where it was.
    two.kill().await;
    agent.base.clone_from(&one.base);
    assert_eq!(agent.sync(&agent.says_nothing()).await.unwrap().deliveries.as_slice().len(), 1);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_sent_to_two_nodes_at_once_counts_once() {
    let server = Postgres::start().await;
    let url = server.database().await;
    let nodes = [Plane::start(&url, Clock::system()).await, Plane::start(&url, Clock::system()).await];
    let tenant = nodes[0].tenant("example").await;
    let agent = nodes[0].agent(&tenant).await;
    for round in 1..=10 {
        let unknown = || serde_json::from_str(r#"{"kind":"from the future"}"#).unwrap();
        let body = serde_json::to_vec(&agent.reports(round, vec![unknown()])).unwrap();
        let assertion = agent.assert(&agent.id, SYNC, &body);
        let posts = (0..8).map(|n| {
            let (url, body, assertion) =
                (format!("{}{SYNC}", nodes[n % 2].base), body.clone(), assertion.clone());
            let post = agent.client().post(url).header("purser-assertion", assertion).body(body).send();
            async { post.await.unwrap() }
        });
        let mut won = Vec::new();
        for answer in join_all(posts).await {
            if answer.status() == 200 {
                won.push(serde_json::from_slice::<SyncAnswer>(&answer.bytes().await.unwrap()).unwrap());
            } else {
                assert_eq!(answer.status(), 401);
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].reported, round);
    }
    for node in nodes {
        node.stop().await;
    }
}
