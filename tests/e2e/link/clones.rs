//! Two machines with one identity: the younger one must not work, and both sides say so.

use std::path::Path;

use sandbox::harness::{ControlOptions, Home, Purser};

use super::site::{ROUTE, Site, start, until};
use crate::stage::{quick, wait_for};

/// Copies a folder with all that is in it, over what is there.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

pub(super) async fn a_copy_of_an_agent_stops_and_both_sides_say_so(on: ControlOptions) {
    let mut site = Site::with(on, quick(20)).await;
    site.stop().await;
    let twin = Home::new().unwrap();
    copy(site.stage.home.path(), twin.path());
    site.restart().await;
    assert_eq!(site.run().await.0, "done");
    let booked = site.stage.documents();
    let younger = Purser::new(twin.path()).await.unwrap();
    let agent = start(&younger);
    let status = twin.path().join("status.json");
    let fenced = || {
        let read = std::fs::read(&status).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.is_some_and(|status: serde_json::Value| status["link"]["state"] == "fenced")
    };
    assert!(wait_for(fenced).await, "the younger one works on");
    until("the control plane says so", async || {
        site.desk.notices(&site.id).await.iter().any(|notice| notice.origin == "control-plane")
    })
    .await;
    // The younger one books nothing, also when somebody at that machine asks for it.
    site.buy(4242);
    let (_, asked) = younger.json(&["flows", "run", ROUTE.flow()]).await.unwrap();
    assert_eq!(site.stage.documents(), booked, "{asked:#}");
    // The elder one works as before.
    assert_eq!(site.run().await.0, "done");
    assert_eq!(site.stage.documents(), booked + 1);
    agent.terminate().await.unwrap();
    agent.wait().await.unwrap();
}
