//! Commands that a process leaves behind when it dies.

use super::bench::Bench;
use crate::flows::replay::Decision;
use crate::runtime::agent::Pause;
use crate::store::{Batch, StateTable};
use chrono::TimeDelta;
use serde_json::{Value, json};
use spend::ids::FlowId;

fn command(verb: Value) -> Value {
    json!({ "by": "ann", "reason": "month end", "expires": "2026-08-10T13:00:00Z", "verb": verb })
}

/// The process dies, and the next one takes up what it left.
async fn dies(bench: &mut Bench) {
    bench.restart();
    bench.exchange.take_up_commands().unwrap();
    bench.carry_out().await;
    bench.settle().await;
}

/// Takes the command that waits, begins it, and dies before anything comes of it.
async fn dies_at_work(bench: &mut Bench) {
    bench.exchange.round().await;
    let pending = bench.exchange.ordered.borrow_mut().as_mut().unwrap().try_recv().unwrap();
    assert_eq!(bench.exchange.begin(&pending).await.unwrap(), None);
}

#[actix_rt::test]
async fn commands_that_a_dead_process_left_are_carried_out_in_the_order_in_which_they_came() {
    let mut bench = Bench::start().await;
    // Ids whose own order is another one; more of them than one digit counts.
    for n in 0..12 {
        let id = format!("{:02}-d", 99 - n);
        bench.plane.deliver(&id, "command", command(json!({ "verb": "preview", "flow": format!("f{n}") })));
    }
    bench.exchange.round().await;
    // As the release before wrote them down.
    let mut batch = Batch::new();
    let old = json!({ "id": "x", "command": command(json!({ "verb": "preview", "flow": "old" })) });
    batch.put(StateTable::Link, "command/x", &old);
    bench.store.commit_blocking(batch).unwrap();
    dies(&mut bench).await;
    let flows = ["old".to_owned()].into_iter().chain((0..12).map(|n| format!("f{n}")));
    let wanted: Vec<String> = flows.map(|flow| format!(r#"{{"order":"preview","flow":"{flow}"}}"#)).collect();
    assert_eq!(bench.asked().await, wanted);
    assert!(!bench.store.names(StateTable::Link).unwrap().iter().any(|name| name.starts_with("command/")));
}

/// Each row: a verb, and whether it is carried out once more when it was begun and not answered.
#[actix_rt::test]
async fn what_was_begun_when_the_process_died_is_done_again_only_where_that_is_harmless() {
    let rows = [
        (json!({ "verb": "run", "flow": "cards" }), true),
        (json!({ "verb": "preview", "flow": "cards" }), true),
        (json!({ "verb": "refresh-reference", "flow": "staff" }), true),
        (json!({ "verb": "test-connection", "connection": "erp" }), true),
        (json!({ "verb": "pause", "flow": "cards" }), true),
        (json!({ "verb": "resume", "flow": "cards" }), true),
        (json!({ "verb": "replay", "flow": "cards", "posting": "p" }), false),
        (json!({ "verb": "handle", "flow": "cards", "posting": "p" }), false),
    ];
    for (verb, again) in rows {
        let mut bench = Bench::start().await;
        bench.rails("version = 1\ncommands = [\"run\", \"preview\", \"refresh-reference\", \"test-connection\", \"pause\", \"resume\", \"replay\", \"handle\"]\n");
        bench.plane.deliver("d1", "command", command(verb.clone()));
        dies_at_work(&mut bench).await;
        dies(&mut bench).await;
        assert_eq!(bench.asked().await.len(), usize::from(again), "{verb}");
        let told = bench.plane.told("result");
        assert_eq!(told.len(), 1, "{verb}");
        let words = told[0]["result"]["words"].as_str().unwrap();
        assert_eq!(
            told[0]["result"]["outcome"] == "failed" && words.contains("its end is not known"),
            !again
        );
        dies(&mut bench).await;
        assert_eq!(bench.asked().await.len(), usize::from(again), "{verb}: once");
    }
}

#[actix_rt::test]
async fn keys_that_were_being_replaced_are_not_replaced_twice() {
    let mut bench = Bench::start().await;
    bench.plane.deliver("d1", "command", command(json!({ "verb": "rotate-keys" })));
    dies_at_work(&mut bench).await;
    let keys = bench.exchange.keys().current.public();
    dies(&mut bench).await;
    assert_eq!(bench.exchange.keys().current.public(), keys);
    assert!(bench.plane.told("result")[0]["result"]["words"].as_str().unwrap().contains("not known"));
}

#[actix_rt::test]
async fn a_pause_that_was_begun_does_not_come_over_what_somebody_has_decided_since() {
    let mut bench = Bench::start().await;
    bench.plane.deliver("d1", "command", command(json!({ "verb": "pause", "flow": "cards" })));
    dies_at_work(&mut bench).await;
    bench.clock.advance(TimeDelta::seconds(1));
    let decision = Decision { by: "ann".to_owned(), note: String::new() };
    let mut batch = Batch::new();
    let resumed = Pause { paused: false, decision, at: bench.clock.now() };
    batch.put(StateTable::Flow, &Pause::place(&FlowId::new("cards")), &resumed);
    bench.store.commit_blocking(batch).unwrap();
    dies(&mut bench).await;
    assert!(bench.asked().await.is_empty());
    let told = bench.plane.told("result");
    assert!(told[0]["result"]["words"].as_str().unwrap().contains("decided otherwise"), "{told:?}");
}
