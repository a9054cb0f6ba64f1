//! Commands: asked for at the control plane, carried out by the agent within its guard rails.

use purser_proto::link::command::Verb;
use sandbox::harness::{ControlOptions, EPICOR};
use serde_json::json;

use super::site::{ROUTE, Site};
use crate::stage::wait_for;

pub(super) async fn a_held_record_is_replayed_from_afar_and_booked(on: ControlOptions) {
    let site = Site::open(on).await;
    assert_eq!(site.run().await.0, "done");
    let booked = site.stage.documents();
    let held = site.stage.records("held").await;
    let record =
        held.iter().find(|one| one["code"] == "category-missing").expect("a record that nobody coded");
    let (id, posting) = (record["source_id"].as_str().unwrap(), record["key"].as_str().unwrap());
    let replay = || Verb::Replay { flow: ROUTE.flow().into(), posting: posting.into() };
    // Nothing was mended.
    let (state, words) = site.ask(replay()).await;
    assert_eq!(state, "failed", "{words}");
    let account = site.stage.sandbox.world.categories.iter().find_map(|c| c.gl_code.clone()).unwrap();
    site.stage.source().control("edit", &json!({ "id": id, "account": account })).unwrap();
    let (state, words) = site.ask(replay()).await;
    assert_eq!(state, "done", "{words}");
    assert!(wait_for(|| site.stage.documents() == booked + 1).await, "it was not booked");
    // The agent's trail says who asked.
    let trail = site.stage.ask(0, &["audit", "show", "--kind", "decision", "--limit", "1000"]).await;
    assert!(trail.to_string().contains("control-plane:ada@example.test"), "{trail:#}");
}

pub(super) async fn what_a_machine_does_not_allow_is_refused_and_the_rest_is_answered(on: ControlOptions) {
    let site = Site::open(on).await;
    assert_eq!(site.run().await.0, "done");
    let held = site.stage.records("held").await;
    let posting = held[0]["key"].as_str().unwrap();
    let flow = || ROUTE.flow().into();
    let (state, words) = site.ask(Verb::Handle { flow: flow(), posting: posting.into() }).await;
    assert_eq!(state, "refused", "{words}");
    assert!(words.contains("guard-rails.toml"), "{words}");
    assert_eq!(site.stage.records("held").await.len(), held.len());
    for verb in [
        Verb::Preview { flow: flow() },
        Verb::Pause { flow: flow() },
        Verb::Resume { flow: flow() },
        Verb::TestConnection { connection: EPICOR.into() },
        Verb::Diagnostics,
        Verb::RotateKeys,
        // With the new keys.
        Verb::Run { flow: flow() },
    ] {
        let word = verb.word();
        let (state, words) = site.ask(verb).await;
        assert_eq!(state, "done", "{word}: {words}");
    }
}
