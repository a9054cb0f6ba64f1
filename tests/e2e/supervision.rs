//! A panic inside one connection's actor: it is started again, the others never notice.

use purser::runtime::commands::{Obeyed, Order, give};
use sandbox::harness::{EPICOR, EXPENSIFY, FLOW};
use serde_json::Value;
use spend::ids::ConnectionId;

use crate::stage::{LONGEST, Stage, quick, wait_for};

async fn panic_in(stage: &Stage, connection: &str) -> Option<Obeyed> {
    give(stage.home.path(), &Order::Panic { connection: ConnectionId::new(connection) }, LONGEST)
        .await
        .unwrap()
}

fn actor<'s>(status: &'s Value, connection: &str) -> &'s Value {
    &status["connections"][connection]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_one_connection_restarts_it_alone_and_the_agent_works_on() {
    let stage = Stage::set(quick(20), |_| {}).await;
    let agent = stage.purser.spawn(&["run", "--no-jitter", "--test-hooks"]).unwrap();
    let running = |status: &Value| {
        [EXPENSIFY, EPICOR].iter().all(|id| actor(status, id)["state"] == "running")
            && status["flows"][FLOW]["actor"]["state"] == "running"
    };
    let before = stage.status_when("all parts run", running).await;
    assert_eq!(actor(&before, EPICOR)["restarts"], 0);

    assert_eq!(panic_in(&stage, EPICOR).await, Some(Obeyed::Done));
    let restarted = |status: &Value| running(status) && actor(status, EPICOR)["restarts"] == 1;
    let after = stage.status_when("the ERP's actor runs again", restarted).await;
    assert_eq!(actor(&after, EXPENSIFY), actor(&before, EXPENSIFY), "the other connection was touched");
    assert_eq!(after["flows"][FLOW]["actor"], before["flows"][FLOW]["actor"], "the flow was touched");
    assert_eq!(after["pid"], before["pid"]);
    let error = actor(&after, EPICOR)["last_error"].as_str().unwrap();
    assert!(error.contains("panic"), "{error}");

    let shown = stage.say(0, &["status"]).await.stdout;
    let line = shown.lines().find(|line| line.contains(EPICOR) && line.contains("connection")).unwrap();
    assert!(line.contains("running") && line.contains(" 1 ") && line.contains("panic"), "{shown}");

    // The connection that panicked does its work again.
    stage.ask(4, &["flows", "run", FLOW]).await;
    let tally = stage.judge().await;
    assert_eq!(tally.posted, stage.bookable().len());
    agent.terminate().await.unwrap();
    assert_eq!(agent.wait_within(LONGEST).await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_middle_of_a_run_loses_and_doubles_nothing() {
    let stage = Stage::set(quick(40), |_| {}).await;
    let agent = stage.purser.spawn(&["run", "--no-jitter", "--test-hooks"]).unwrap();
    stage.status_when("it runs", |status| actor(status, EPICOR)["state"] == "running").await;
    let run = stage.purser.spawn(&["flows", "run", FLOW]).unwrap();
    assert!(wait_for(|| stage.sandbox.documents_in_erp() >= 3).await, "nothing was booked");
    assert_eq!(panic_in(&stage, EPICOR).await, Some(Obeyed::Done));
    run.wait_within(LONGEST).await.unwrap();
    // What the panic left in doubt is settled by the service itself.
    let open = |state: &str| format!("/flows/{FLOW}/counts/{state}");
    let mut left = 1;
    for _ in 0..60 {
        let status = stage.purser.json(&["status"]).await.unwrap().1;
        let count = |state: &str| status.pointer(&open(state)).and_then(Value::as_u64).unwrap_or_default();
        left = ["planned", "claimed", "in-doubt", "waiting", "posted"].into_iter().map(count).sum();
        if left == 0 && stage.sandbox.documents_in_erp() >= stage.bookable().len() as u64 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    assert_eq!(left, 0, "postings are still open");
    let tally = stage.judge().await;
    assert_eq!((tally.posted, tally.held), (stage.bookable().len(), stage.holdable().len()));
    agent.terminate().await.unwrap();
    assert_eq!(agent.wait_within(LONGEST).await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_test_hooks_refuses_to_panic() {
    let stage = Stage::set(quick(5), |_| {}).await;
    let agent = stage.purser.spawn(&["run"]).unwrap();
    stage.status_when("it runs", |status| actor(status, EPICOR)["state"] == "running").await;
    let answer = panic_in(&stage, EPICOR).await;
    assert!(matches!(answer, Some(Obeyed::Refused { .. })), "{answer:?}");
    agent.terminate().await.unwrap();
    assert_eq!(agent.wait_within(LONGEST).await.unwrap().code, Some(0));
}
