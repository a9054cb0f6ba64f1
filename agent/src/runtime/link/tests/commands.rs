//! Commands that a process leaves behind when it dies.

use super::bench::Bench;
use crate::flows::replay::Decision;
use crate::runtime::agent::Pause;
use crate::runtime::commands::Obeyed;
use crate::runtime::link::desk::{Ask, Desk};
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

/// Each row: whether the process ends under the order, or only whoever obeys it.
#[actix_rt::test]
async fn an_order_that_nobody_answers_is_not_said_to_be_refused() {
    for ends in [true, false] {
        let mut bench = Bench::start().await;
        bench.rails("version = 1\ncommands = [\"replay\"]\n");
        let (desk, mut questions) = Desk::new();
        bench.restart_at(desk);
        let verb = json!({ "verb": "replay", "flow": "cards", "posting": "p" });
        bench.plane.deliver("d1", "command", command(verb));
        bench.exchange.round().await;
        let agent = async {
            let taken = questions.recv().await;
            assert!(matches!(taken, Some(Ask::Order(..))));
            if ends {
                questions.close();
            }
            // It may have been obeyed; nobody says so.
            drop(taken);
        };
        futures_util::join!(bench.carry_out(), agent);
        let left = bench.store.names(StateTable::Link).unwrap();
        assert_eq!(left.iter().any(|name| name.starts_with("command/")), ends, "{left:?}");
        if ends {
            assert_eq!(bench.store.outbox_stats().unwrap().unwrap().reports, 0, "nothing is said of it");
            dies(&mut bench).await;
        } else {
            bench.settle().await;
        }
        let told = bench.plane.told("result");
        assert_eq!((told.len(), &told[0]["result"]["outcome"]), (1, &json!("failed")));
        assert!(told[0]["result"]["words"].as_str().unwrap().contains("its end is not known"), "{told:?}");
    }
}

#[actix_rt::test]
async fn a_command_that_comes_when_nobody_is_there_is_carried_out_by_the_next_process() {
    let mut bench = Bench::start().await;
    bench.rails("version = 1\ncommands = [\"replay\"]\n");
    let (desk, questions) = Desk::new();
    bench.restart_at(desk);
    drop(questions);
    bench.plane.deliver(
        "d1",
        "command",
        command(json!({ "verb": "replay", "flow": "cards", "posting": "p" })),
    );
    bench.exchange.round().await;
    bench.carry_out().await;
    assert_eq!(bench.store.outbox_stats().unwrap().unwrap().reports, 0, "nothing is said of it");
    dies(&mut bench).await;
    assert_eq!(bench.asked().await.len(), 1, "it was not begun, so it is done");
    assert_eq!(bench.plane.told("result")[0]["result"]["outcome"], "done");
}

#[actix_rt::test]
async fn a_command_is_begun_and_answered_once_a_full_disk_has_room_again() {
    let mut bench = Bench::start().await;
    let (desk, mut questions) = Desk::new();
    bench.restart_at(desk);
    bench.plane.deliver("d1", "command", command(json!({ "verb": "preview", "flow": "cards" })));
    bench.exchange.round().await;
    let disk = bench.disk.clone();
    disk.fill();
    let agent = async {
        disk.refuses().await;
        let Some(Ask::Order(_, reply)) = questions.recv().await else { panic!("no order") };
        disk.fill();
        let refused = disk.refuses();
        futures_util::join!(reply.answer(Obeyed::Done), refused);
        assert!(questions.try_recv().is_err(), "once");
    };
    futures_util::join!(bench.carry_out(), agent);
    bench.settle().await;
    let told = bench.plane.told("result");
    assert_eq!((told.len(), &told[0]["result"]["outcome"]), (1, &json!("done")), "{told:?}");
}

#[actix_rt::test]
async fn a_command_that_cannot_be_read_keeps_no_other_back() {
    let mut bench = Bench::start().await;
    let mut batch = Batch::new();
    batch.put(StateTable::Link, "command/00000000000000000001/x", &"of a release to come");
    bench.store.commit_blocking(batch).unwrap();
    bench.plane.deliver("d1", "command", command(json!({ "verb": "preview", "flow": "cards" })));
    bench.exchange.round().await;
    dies(&mut bench).await;
    assert_eq!(bench.asked().await.len(), 1);
}

fn set(bench: &Bench, pause: Pause) {
    let mut batch = Batch::new();
    batch.put(StateTable::Flow, &Pause::place(&FlowId::new("cards")), &pause);
    bench.store.commit_blocking(batch).unwrap();
}

/// Each row: a verb, and how it is answered that was begun, and whose time is over when the next process takes it up.
#[actix_rt::test]
async fn what_was_begun_and_has_expired_since_is_answered_by_what_is_known_of_it() {
    let rows = [
        (json!({ "verb": "run", "flow": "cards" }), "failed", "its end is not known"),
        (json!({ "verb": "diagnostics" }), "failed", "its end is not known"),
        (json!({ "verb": "replay", "flow": "cards", "posting": "p" }), "failed", "its end is not known"),
        (json!({ "verb": "pause", "flow": "cards" }), "expired", "to be obeyed until"),
    ];
    for (verb, outcome, words) in rows {
        let mut bench = Bench::start().await;
        bench.rails("version = 1\ncommands = [\"run\", \"diagnostics\", \"replay\", \"pause\"]\n");
        bench.plane.deliver("d1", "command", command(verb.clone()));
        dies_at_work(&mut bench).await;
        bench.clock.advance(TimeDelta::hours(2));
        dies(&mut bench).await;
        assert!(bench.asked().await.is_empty(), "{verb}: it is too late");
        let told = bench.plane.told("result");
        assert_eq!((told.len(), &told[0]["result"]["outcome"]), (1, &json!(outcome)), "{verb}: {told:?}");
        assert!(told[0]["result"]["words"].as_str().unwrap().contains(words), "{verb}: {told:?}");
    }
}

#[actix_rt::test]
async fn what_was_never_begun_expires() {
    let mut bench = Bench::start().await;
    bench.plane.deliver("d1", "command", command(json!({ "verb": "run", "flow": "cards" })));
    bench.exchange.round().await;
    bench.clock.advance(TimeDelta::hours(2));
    dies(&mut bench).await;
    assert!(bench.asked().await.is_empty());
    assert_eq!(bench.plane.told("result")[0]["result"]["outcome"], "expired");
}

/// Each row: by how many seconds the clock goes on until somebody decides otherwise, or until the command itself is done.
#[actix_rt::test]
async fn whether_a_pause_was_done_or_undone_does_not_depend_on_the_clock() {
    for seconds in [-3600, 0, 1] {
        for paused in [true, false] {
            let mut bench = Bench::start().await;
            let decision = Decision::from_afar("ann", "month end");
            set(&bench, Pause { paused: false, decision: decision.clone(), at: bench.clock.now() });
            bench.plane.deliver("d1", "command", command(json!({ "verb": "pause", "flow": "cards" })));
            dies_at_work(&mut bench).await;
            bench.clock.advance(TimeDelta::seconds(seconds));
            let other = Decision { note: "another".to_owned(), ..decision };
            set(&bench, Pause { paused, decision: other, at: bench.clock.now() });
            dies(&mut bench).await;
            assert!(bench.asked().await.is_empty(), "{seconds} s, paused: {paused}");
            let told = bench.plane.told("result");
            let words = told[0]["result"]["words"].as_str().unwrap();
            let (outcome, wanted) =
                if paused { ("done", "is paused") } else { ("failed", "decided otherwise") };
            assert_eq!(told[0]["result"]["outcome"], outcome, "{seconds} s, paused: {paused}: {words}");
            assert!(words.contains(wanted), "{words}");
        }
        // As it was, whatever its moment says: it is done.
        let mut bench = Bench::start().await;
        let at = bench.clock.now() - TimeDelta::seconds(seconds);
        set(&bench, Pause { paused: false, decision: Decision::from_afar("ann", "x"), at });
        bench.plane.deliver("d1", "command", command(json!({ "verb": "pause", "flow": "cards" })));
        dies_at_work(&mut bench).await;
        dies(&mut bench).await;
        assert_eq!(bench.asked().await.len(), 1, "{seconds} s");
    }
}

#[actix_rt::test]
async fn a_pause_that_was_begun_does_not_come_over_what_somebody_has_decided_since() {
    let mut bench = Bench::start().await;
    bench.plane.deliver("d1", "command", command(json!({ "verb": "pause", "flow": "cards" })));
    dies_at_work(&mut bench).await;
    bench.clock.advance(TimeDelta::seconds(1));
    let decision = Decision { by: "ann".to_owned(), note: String::new() };
    set(&bench, Pause { paused: false, decision, at: bench.clock.now() });
    dies(&mut bench).await;
    assert!(bench.asked().await.is_empty());
    let told = bench.plane.told("result");
    assert!(told[0]["result"]["words"].as_str().unwrap().contains("decided otherwise"), "{told:?}");
}
