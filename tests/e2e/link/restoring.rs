//! A control plane that was restored from yesterday's backup never moves an agent back.

use sandbox::harness::{Control, ControlOptions};

use super::clones::copy;
use super::desk::Desk;
use super::site::{Site, until};
use crate::stage::quick;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_was_restored_never_moves_an_agent_back() {
    let mut site = Site::with(ControlOptions::Sqlite, quick(20)).await;
    let text =
        |mark: &str| site.stage.config.render().replace("version = 1\n", &format!("version = 1\n# {mark}\n"));
    let (first, second, third) = (text("first"), text("second"), text("third"));
    assert_eq!(site.configure(&first).await, 1);
    // As a snapshot of the machine's disk: nothing runs on it.
    site.control.kill(0).await.unwrap();
    site.desk.leave().await;
    let yesterday = tempfile::tempdir().unwrap();
    copy(site.control.folder(), yesterday.path());
    site.control.revive(0).await.unwrap();
    site.desk = Desk::at(&site.control).await;
    assert_eq!(site.configure(&second).await, 2);
    until("the second is in force", async || site.desk.agent(&site.id).await.in_force == 2).await;

    site.control.kill(0).await.unwrap();
    site.desk.leave().await;
    copy(yesterday.path(), site.control.folder());
    site.control.revive(0).await.unwrap();
    site.desk = Desk::at(&site.control).await;
    assert!(site.desk.revision(&site.id, 1).await.toml.contains("# first"));
    until("the agent tells that it is ahead", async || site.desk.agent(&site.id).await.in_force == 2).await;
    let shown = site.stage.ask(0, &["config", "show"]).await;
    assert!(shown.to_string().contains("version"), "{shown:#}");
    assert_eq!(site.run().await.0, "done");

    // What a person makes from here on is newer than what the agent has.
    let number = site.configure(&third).await;
    assert!(number > 2, "{number}");
    until("the third is in force", async || site.desk.agent(&site.id).await.in_force == number).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_control_plane_takes_nothing_from_an_agent() {
    let mut site = Site::with(ControlOptions::Sqlite, quick(20)).await;
    assert_eq!(site.configure(&site.stage.config.render()).await, 1);
    // Another control plane at the same address, with nothing in it.
    site.control.kill(0).await.unwrap();
    site.desk.leave().await;
    let empty = Control::start(ControlOptions::Sqlite).await.unwrap();
    site.control.exchange_database(&empty);
    site.control.revive(0).await.unwrap();
    site.desk = Desk::at(&site.control).await;
    let refused = site.link_when("the agent is not known", |link| link["state"] == "refused").await;
    assert!(refused["why"].as_str().unwrap().contains("does not know"), "{refused:#}");
    site.stage.ask(4, &["flows", "run", super::site::ROUTE.flow()]).await;
    assert!(site.stage.documents() > 3, "it works on with what it has");
}
