//! Configurations: made at the control plane, put in force by the agent, refused where the machine says no.

use sandbox::harness::ControlOptions;
use serde_json::Value;

use super::site::{Site, until};
use crate::stage::quick;

pub(super) async fn a_revision_is_put_in_force_and_a_refused_one_keeps_the_last_good(on: ControlOptions) {
    let site = Site::open(on).await;
    let good = site.stage.config.render();
    assert_eq!(site.configure(&good).await, 1);
    let (state, words) = site.run().await;
    assert_eq!(state, "done", "{words}");
    let booked = site.stage.documents();
    assert!(booked > 5);

    // What the control plane's own check lets through, the machine's guard rails do not.
    let foreign = good.replace(&site.stage.config.epicor, "https://erp.example.test");
    let number = site.desk.configure(&site.id, &foreign).await;
    until("it is decided", async || site.desk.revision(&site.id, number).await.decided_at.is_some()).await;
    let refused = site.desk.revision(&site.id, number).await;
    let findings: Vec<Value> = serde_json::from_str(&refused.findings).unwrap();
    assert_eq!(refused.state, "refused", "{findings:?}");
    assert!(findings[0]["path"].as_str().unwrap().ends_with("url"), "{findings:?}");
    let notices = site.desk.notices(&site.id).await;
    assert!(notices.iter().any(|notice| notice.code == "revision-beyond-guard-rails"), "{notices:?}");
    until("the agent tells what is in force", async || site.desk.agent(&site.id).await.in_force == 1).await;
    let site = restarted(site).await;
    assert_eq!(site.run().await.0, "done");
    assert_eq!(site.stage.documents(), booked);

    // The next good one goes on from there.
    let quiet = good.replace("version = 1\n", "version = 1\n# mended\n");
    assert_eq!(site.configure(&quiet).await, number + 1);
    until("it is in force", async || site.desk.agent(&site.id).await.in_force == number + 1).await;
}

async fn restarted(mut site: Site) -> Site {
    site.restart().await;
    site
}

pub(super) async fn an_agent_without_a_file_works_by_revision_and_sealed_secrets_alone(on: ControlOptions) {
    let mut site = Site::bare(on, quick(30)).await;
    site.configure(&site.stage.config.render()).await;
    for system in [sandbox::harness::System::Brex, sandbox::harness::System::Epicor] {
        site.seal(system, &[]).await;
    }
    let (state, words) = site.run().await;
    assert_eq!(state, "done", "{words}");
    assert!(site.stage.documents() > 5);
    assert!(!site.stage.home.config_file().exists());
    site.stop().await;
    site.stage.judge().await;
}
