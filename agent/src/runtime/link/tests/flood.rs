//! A control plane that never comes to an end: answers at once, deliveries without end, refusals without end.

use super::bench::Bench;
use super::plane::problem;
use crate::runtime::link::pace::Pace;
use crate::store::AuditKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use serde_json::json;
use std::time::Duration;

/// The pauses after so many rounds that take no time.
async fn pauses(bench: &Bench, pace: &mut Pace, rounds: usize) -> Vec<Duration> {
    let mut pauses = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let round = bench.exchange.round().await;
        let since = pauses.last().copied().unwrap_or_default();
        pauses.push(bench.exchange.pause(pace, round, Duration::ZERO, since));
    }
    pauses
}

fn refused(entries: &Bench) -> usize {
    let mut count = 0;
    entries
        .store
        .audit()
        .for_each(0, |entry| count += usize::from(entry.draft.kind == AuditKind::Security))
        .unwrap();
    count
}

#[actix_rt::test]
async fn answers_at_once_that_bring_nothing_are_asked_for_less_and_less_often() {
    let bench = Bench::start().await;
    bench.settle().await;
    let seconds = |pauses: Vec<Duration>| pauses.iter().map(Duration::as_secs).collect::<Vec<_>>();
    // Nothing at all.
    assert_eq!(seconds(pauses(&bench, &mut Pace::default(), 6).await), [2, 4, 8, 16, 32, 60]);
    // What was taken, again and again.
    bench.plane.deliver("d1", "dance", json!({}));
    bench.plane.lock().repeat = true;
    bench.settle().await;
    assert_eq!(seconds(pauses(&bench, &mut Pace::default(), 6).await), [2, 4, 8, 16, 32, 60]);
    // That somebody has still to approve, although nobody waited.
    bench.plane.lock().refuse = Some((403, problem(403, "waits-for-approval")));
    assert_eq!(seconds(pauses(&bench, &mut Pace::default(), 6).await), [2, 4, 8, 16, 32, 60]);
    // Busy, and to be asked again at once.
    bench.plane.lock().refuse = Some((503, problem(503, "busy")));
    assert!(
        pauses(&bench, &mut Pace::default(), 40).await.iter().all(|pause| *pause >= Duration::from_secs(1))
    );
}

#[actix_rt::test]
async fn deliveries_without_end_are_taken_at_a_bounded_pace() {
    let bench = Bench::start().await;
    bench.settle().await;
    let mut pace = Pace::default();
    let mut pauses_of = Vec::new();
    for n in 0..120 {
        bench.plane.deliver(&format!("d{n}"), "dance", json!({}));
        // One that brings it, one that tells of it.
        pauses_of.extend(pauses(&bench, &mut pace, 2).await);
    }
    assert!(pauses_of[..200].iter().all(Duration::is_zero), "what has gathered is taken at once");
    assert!(
        pauses_of[205..].iter().any(|pause| *pause >= Duration::from_millis(200)),
        "{:?}",
        &pauses_of[200..]
    );
    assert!(pauses_of.iter().sum::<Duration>() >= Duration::from_secs(4));
}

#[actix_rt::test]
async fn what_is_refused_without_end_is_counted_and_does_not_fill_the_audit_trail() {
    let bench = Bench::start().await;
    let rubbish = STANDARD.encode("rubbish");
    for n in 0..150 {
        bench.plane.deliver(
            &format!("w{n}"),
            "webhook",
            json!({ "connection": format!("c{n}"), "sealed": rubbish }),
        );
        bench.plane.deliver(
            &format!("s{n}"),
            "secret",
            json!({ "name": "erp", "armored": "rubbish", "by": "ann" }),
        );
    }
    for _ in 0..4 {
        bench.settle().await;
    }
    assert_eq!(bench.plane.told("webhook").len(), 150, "each is answered");
    assert_eq!(refused(&bench), 20, "one by one, and no more");
    bench.clock.advance(TimeDelta::minutes(61));
    bench.plane.deliver("last", "dance", json!({}));
    bench.settle().await;
    let mut counts = Vec::new();
    let seen = |entry: crate::store::AuditEntry| {
        if let Some(count) = entry.draft.detail["count"].as_u64() {
            counts.push((entry.draft.detail["of"].as_str().unwrap().to_owned(), count));
        }
    };
    bench.store.audit().for_each(0, seen).unwrap();
    assert_eq!(counts, [("secrets".to_owned(), 130), ("webhooks".to_owned(), 130)]);
}

#[actix_rt::test]
async fn commands_that_wait_are_bounded() {
    let bench = Bench::start().await;
    let command = json!({ "by": "ann", "reason": "x", "expires": "2026-08-10T13:00:00Z",
                          "verb": { "verb": "preview", "flow": "cards" } });
    for n in 0..220 {
        bench.plane.deliver(&format!("d{n}"), "command", command.clone());
    }
    bench.exchange.round().await;
    bench.settle().await;
    let results = bench.plane.told("result");
    let refused = results.iter().filter(|told| told["result"]["outcome"] == "refused").count();
    assert_eq!((results.len(), refused), (220, 20));
}
