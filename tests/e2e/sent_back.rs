//! A record that a person closes and reports to Brex as not exported, through the running agent: it leaves what Brex
//! offers, and is booked, once, when somebody approves it there again.

use sandbox::harness::Route;
use serde_json::{Value, json};

use crate::stage::{Stage, quick, wait_for};

/// Where the simulator's record stands.
fn status(stage: &Stage, id: &str) -> String {
    let state = stage.source().state();
    let found = state["records"].as_array().unwrap().iter().find(|record| record["id"] == id);
    found.unwrap()["review_status"].as_str().unwrap().to_owned()
}

/// A record that waits for a person because nobody has coded it.
async fn not_coded(stage: &Stage) -> Value {
    let held = stage.records("held").await;
    let found = held.into_iter().find(|one| one["code"] == "category-missing");
    found.unwrap_or_else(|| panic!("nothing is held for its coding"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_reported_as_not_exported_is_booked_once_when_it_is_offered_again() {
    let stage = Stage::set_route(Route::BrexEpicor, quick(40), |_| {}).await;
    let account = stage.sandbox.world.categories.iter().find_map(|c| c.gl_code.clone()).unwrap();
    stage.run().await;
    let before = stage.documents();
    let record = not_coded(&stage).await;
    let id = record["source_id"].as_str().unwrap();

    let agent = stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
    stage.status_when("the agent runs", |status| status["connections"]["brex"]["state"] == "running").await;
    let handle = ["records", "handle", id, "--note", "no receipt", "--report-failure"];
    let decided = stage.ask(0, &handle).await["decided"][0].clone();
    assert_eq!(decided["outcome"], "reported", "{decided}");
    assert_eq!(status(&stage, id), "REVIEW");
    let shown = stage.say(0, &["records", "show", id]).await.stdout;
    assert!(shown.contains("reported as not exported: no receipt"), "{shown}");

    // Out of the list, a run does not see it. Coded and approved again, it is a record like any other.
    stage.ask(0, &["flows", "run", stage.route.flow()]).await;
    assert_eq!(stage.documents(), before);
    stage.source().control("edit", &json!({ "id": id, "account": account })).unwrap();
    stage.source().control("ready", &json!({ "id": id })).unwrap();
    let report = stage.ask(0, &["flows", "run", stage.route.flow()]).await;
    assert!(wait_for(|| status(&stage, id) == "EXPORTED").await, "{report:#}");
    assert_eq!(stage.documents(), before + 1);

    // What is booked is not reported as failed, whatever a person types.
    let again = stage.ask(0, &handle).await["decided"][0].clone();
    assert_eq!((&again["outcome"], status(&stage, id).as_str()), (&json!("already-posted"), "EXPORTED"));
    agent.terminate().await.unwrap();
    agent.wait().await.unwrap();
    let trail = stage.ask(0, &["audit", "show", "--kind", "transition", "--limit", "100000"]).await;
    let told = trail["entries"].as_array().unwrap().iter().map(|entry| &entry["detail"]);
    let told = told.filter(|detail| detail["record"] == id && detail["event"] == "offered-again").count();
    assert_eq!(told, 1);
    assert_eq!(stage.misuse(), Vec::<String>::new());
}
