//! Reading all that the control plane keeps, also its logs and backups, gives no credential, no address of a hook, no
//! webhook's content and no text of a record.

use purser_proto::link::command::Verb;
use sandbox::harness::{ControlOptions, SandboxOptions, Secrets, System};
use sandbox::invariants::Needles;

use super::hand::client;
use super::site::{ROUTE, Site, until};
use crate::stage::{quick, wait_for};

pub(super) async fn nothing_secret_is_left_at_the_control_plane(on: ControlOptions) {
    let options = SandboxOptions { secrets: Secrets::canaries(0x1EA6), plant: true, ..quick(30) };
    let mut site = Site::bare(on, options).await;
    site.configure(&site.stage.config.render()).await;
    site.seal(System::Epicor, &[]).await;
    let hook = site.listen().await;
    assert_eq!(site.run().await.0, "done");
    let booked = site.stage.documents();
    let bought = site.buy(9876);
    assert!(wait_for(|| site.stage.documents() == booked + 1).await, "no document");
    for verb in [Verb::Preview { flow: ROUTE.flow().into() }, Verb::Diagnostics, Verb::RotateKeys] {
        site.ask(verb).await;
    }
    // One that the agent does not take, so that it stays there.
    site.stop().await;
    let client = client();
    let body = "canary of a body that nobody has fetched";
    let url = format!("{}{hook}", site.control.address());
    let made = site.control.hook(&site.id, "brex").await.unwrap();
    let names = site.control.hooks(&site.id).await.unwrap();
    let name = names.last().unwrap().split_whitespace().last().unwrap();
    let rotated = site.control.rotate_hook(name).await.unwrap();
    for url in [&url, &rotated] {
        assert_eq!(client.post(url).body(body).send().await.unwrap().status(), 200);
    }
    let addresses = [&url, &made, &rotated].map(|url| url.rsplit('/').next().unwrap());
    let secrets = &site.stage.sandbox.secrets;
    let company = site.stage.sandbox.brex.state()["company_id"].as_str().unwrap().to_owned();
    let needles = Needles::default()
        .with("the address of a hook", addresses)
        .with("a secret", site.stage.hidden())
        .with("an account name", [secrets.user.as_str()])
        .with("a text of a record", site.stage.sandbox.planted.iter().map(String::as_str))
        .with("a webhook's content", [body, bought.as_str(), company.as_str(), "ACCOUNTING_RECORD_READY"]);
    let backup = back_up(&site, on).await;
    let kept = site.control.kept().unwrap();
    let looked_at =
        |backup: &String| kept.iter().any(|(place, bytes)| place == backup && bytes.len() > 10_000);
    assert!(backup.as_ref().is_none_or(looked_at), "no backup was looked at");
    assert!(kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 10_000, "nothing was looked at");
    for (place, bytes) in kept {
        assert_eq!(needles.in_bytes(&bytes), Default::default(), "in {place}");
    }
    // The search can fail: the id of the agent is there.
    let known = Needles::default().with("the agent", [site.id.as_str()]);
    let kept = site.control.kept().unwrap();
    assert!(kept.iter().any(|(_, bytes)| !known.in_bytes(bytes).is_empty()));
    until("copies of secrets are gone", async || site.desk.agent(&site.id).await.in_force == 1).await;
}

/// A backup by the command, made beside the running server into the folder that is searched. On PostgreSQL the command copies
/// nothing; the dump that it names is made by the search.
async fn back_up(site: &Site, on: ControlOptions) -> Option<String> {
    let to = site.control.folder().join("backup.db").display().to_string();
    match on {
        ControlOptions::Sqlite => {
            site.control.says(&["backup", &to]).await.unwrap();
            Some(to)
        }
        ControlOptions::Postgres => None,
    }
}
