//! Marking reports as exported.

use super::*;
use crate::vendors::{SpendSource, exported};
use spend::ids::SourceId;

fn marked<S: AsRef<str>>(ids: &[S]) -> String {
    let lines: String =
        ids.iter().map(|id| format!("{{\"k\":\"M\",\"reportID\":\"{}\"}}\n", id.as_ref())).collect();
    lines + "{\"k\":\"F\"}\n"
}

fn source_ids(ids: &[&str]) -> Vec<SourceId> {
    ids.iter().map(|id| SourceId::new(*id)).collect()
}

/// Sheet item: Expensify 19, Expensify 22
#[tokio::test(start_paused = true)]
async fn exactly_the_listed_reports_count_as_marked() {
    let (client, script) = client(Settings::default(), [ok(NAME), ok(marked(&["R1", "R3", "R9"]))]);
    let done = client.acknowledge(&exported(&source_ids(&["R1", "R2", "R3", "R1"]))).await.unwrap();
    assert_eq!(done, source_ids(&["R1", "R3"]), "R2 was not listed, R9 was not asked for");
    let job = &script.sent()[0].job;
    assert_eq!(job["inputSettings"]["filters"]["reportIDList"], "R1,R2,R3");
    assert!(job["inputSettings"]["filters"].get("markedAsExported").is_none());
    assert_eq!(job["onFinish"][0]["label"], "purser");
}

#[tokio::test(start_paused = true)]
async fn many_reports_are_marked_a_hundred_at_a_time() {
    let ids: Vec<String> = (0..250).map(|n| format!("R{n:03}")).collect();
    let answers: Vec<_> = ids.chunks(100).flat_map(|chunk| [ok(NAME), ok(marked(chunk))]).collect();
    let (client, script) = client(Settings::default(), answers);
    let asked: Vec<SourceId> = ids.iter().map(|id| SourceId::new(id.as_str())).collect();
    assert_eq!(client.acknowledge(&exported(&asked)).await.unwrap(), asked);
    assert_eq!(script.operations().iter().filter(|operation| **operation == "mark").count(), 3);
}

/// Sheet item: Expensify 25 (marking is the only write)
#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_mark_is_no_doubt() {
    let (client, _) = client(Settings::default(), [lost(FailureClass::InDoubt)]);
    let failure = client.acknowledge(&exported(&source_ids(&["R1"]))).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_failure_half_way_keeps_what_is_marked() {
    let ids: Vec<String> = (0..150).map(|n| format!("R{n:03}")).collect();
    let answers = [ok(NAME), ok(marked(&ids[..100])), lost(FailureClass::NotSent)];
    let (client, _) = client(Settings::default(), answers);
    let asked: Vec<SourceId> = ids.iter().map(|id| SourceId::new(id.as_str())).collect();
    assert_eq!(client.acknowledge(&exported(&asked)).await.unwrap(), &asked[..100]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_ready_is_waited_for_and_the_job_is_not_repeated() {
    let answers = [ok(NAME), ok(NOT_FOUND), ok("{\"k\":\"M\",\"reportID\":\"R1\"}\n"), ok(marked(&["R1"]))];
    let (waiting, script) = client(Settings::default(), answers);
    assert_eq!(waiting.acknowledge(&exported(&source_ids(&["R1"]))).await.unwrap(), source_ids(&["R1"]));
    assert_eq!(script.operations(), ["mark", "download", "download", "download"]);

    let never = std::iter::once(ok(NAME)).chain((0..9).map(|_| ok(NOT_FOUND)));
    let (given_up, script) = client(Settings { give_up: 30, ..Settings::default() }, never);
    let failure = given_up.acknowledge(&exported(&source_ids(&["R1"]))).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unavailable);
    assert_eq!(script.operations().iter().filter(|operation| **operation == "mark").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_mark_sends_nothing() {
    let (client, script) = client(Settings::default(), []);
    assert!(client.acknowledge(&exported(&source_ids(&["a,b", ""]))).await.unwrap().is_empty());
    assert!(script.sent().is_empty());
}
