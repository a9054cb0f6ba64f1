//! A control plane that is gone, slow of mind, or of another opinion about who is who.

use super::bench::{Bench, CANARY};
use crate::runtime::link::exchange::Round;
use crate::runtime::link::status::LinkState;
use crate::runtime::link::{fenced, reports::Watched};
use crate::store::{Batch, StateTable, StoreError};
use chrono::TimeDelta;
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody};

fn notice(bench: &Bench, what: &str) {
    let mut batch = Batch::new();
    let (level, code) = (NoticeLevel::Warning, "n".into());
    let notice = Notice { level, code, concerns: None, what: what.into(), fix: "".into() };
    batch.report(bench.clock.now(), &ReportBody::Notice(notice));
    bench.store.commit_blocking(batch).unwrap();
}

#[actix_rt::test]
async fn after_a_week_without_a_control_plane_everything_is_told_in_order() {
    let bench = Bench::start().await;
    let mut watched = Watched::default();
    bench.exchange.look(&mut watched).await.unwrap();
    bench.settle().await;
    let before = bench.plane.lock().order.len();
    bench.plane.lock().down = true;
    // Each hour of seven days.
    for hour in 0..7 * 24 {
        bench.clock.advance(TimeDelta::hours(1));
        bench.exchange.look(&mut watched).await.unwrap();
        notice(&bench, &format!("hour {hour}"));
        assert!(matches!(bench.exchange.round().await, Round::Failed(_)));
    }
    let waiting = bench.store.outbox_stats().unwrap().unwrap();
    assert_eq!(waiting.reports, 7 * 24 + 1, "one status, and every notice");
    bench.plane.lock().down = false;
    bench.settle().await;
    let told: Vec<String> =
        bench.plane.told("notice").iter().map(|notice| notice["what"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, (0..7 * 24).map(|hour| format!("hour {hour}")).collect::<Vec<_>>());
    let order = bench.plane.lock().order.clone();
    assert!(order.is_sorted() && order.len() > before);
    let last = bench.plane.lock().reports.values().last().unwrap().clone();
    assert_eq!(last["at"], "2026-08-17T12:00:00Z");
}

#[actix_rt::test]
async fn what_is_not_durable_there_is_told_again_with_the_same_number() {
    let bench = Bench::start().await;
    bench.plane.lock().forgetful = true;
    notice(&bench, "one");
    for _ in 0..3 {
        assert!(matches!(bench.exchange.round().await, Round::Quiet));
    }
    assert_eq!(bench.store.outbox_stats().unwrap().unwrap().reports, 1);
    bench.plane.lock().forgetful = false;
    bench.settle().await;
    assert_eq!(bench.plane.told("notice").len(), 1);
    assert_eq!(bench.store.outbox_stats().unwrap().unwrap().reports, 0);
}

#[actix_rt::test]
async fn a_status_is_told_when_it_changes_and_from_time_to_time_when_it_does_not() {
    let bench = Bench::start().await;
    let mut watched = Watched::default();
    for _ in 0..3 {
        bench.exchange.look(&mut watched).await.unwrap();
    }
    bench.settle().await;
    assert_eq!(bench.plane.told("status").len(), 1);
    bench.clock.advance(TimeDelta::seconds(299));
    bench.exchange.look(&mut watched).await.unwrap();
    assert_eq!(bench.store.outbox_stats().unwrap().unwrap().reports, 0);
    bench.clock.advance(TimeDelta::seconds(1));
    bench.exchange.look(&mut watched).await.unwrap();
    bench.settle().await;
    assert_eq!(bench.plane.told("status").len(), 2);
}

#[actix_rt::test]
async fn words_leave_the_machine_only_when_its_guard_rails_say_so() {
    let bench = Bench::start().await;
    bench.exchange.look(&mut Watched::default()).await.unwrap();
    bench.settle().await;
    let status = bench.plane.told("status").pop().unwrap();
    assert_eq!(status["connections"]["cards"]["state"], "failed");
    assert!(!bench.sent().contains(CANARY), "by default nothing but states and counts");
    bench.rails("version = 1\nvisibility = \"summary\"\n");
    bench.exchange.look(&mut Watched::default()).await.unwrap();
    bench.settle().await;
    let status = bench.plane.told("status").pop().unwrap();
    assert!(status["connections"]["cards"]["why"].as_str().unwrap().contains(CANARY));
}

#[actix_rt::test]
async fn a_parked_request_is_given_up_when_there_is_news() {
    let bench = Bench::start().await;
    bench.settle().await;
    let before = bench.plane.lock().syncs.len();
    bench.exchange.news.notify_one();
    // Whichever is first, the answer after some milliseconds or the news: nothing is lost either way.
    assert!(!matches!(bench.exchange.round().await, Round::Failed(_) | Round::Stuck(_)));
    notice(&bench, "news");
    bench.settle().await;
    assert!(bench.plane.lock().syncs.len() > before);
    assert_eq!(bench.plane.told("notice").len(), 1);
    let parked =
        bench.plane.lock().syncs.iter().filter(|sync| sync["wait_seconds"] != 0).cloned().collect::<Vec<_>>();
    assert!(parked.iter().all(|sync| sync["reports"].as_array().unwrap().is_empty()));
}

#[actix_rt::test]
async fn a_fenced_life_stops_to_book_says_so_and_stays_fenced_after_a_restart() {
    let mut bench = Bench::start().await;
    bench.settle().await;
    bench.plane.lock().fenced = Some("another machine is older".to_owned());
    assert!(matches!(bench.exchange.round().await, Round::Fenced));
    assert_eq!(bench.asked().await, ["renew"], "the agent begins anew, and its flows do not run");
    assert_eq!(fenced(&bench.store).unwrap().as_deref(), Some("another machine is older"));
    bench.exchange.shown.change(|shown| {
        assert_eq!(shown.state, LinkState::Fenced);
        assert!(shown.fix.as_ref().unwrap().contains("purser enroll --again"));
    });
    bench.restart();
    assert!(bench.exchange.is_fenced());
    assert!(matches!(bench.exchange.round().await, Round::Fenced));
    assert_eq!(bench.asked().await.len(), 1);
    let notice = bench.plane.told("notice").pop().unwrap();
    assert_eq!((notice["level"].as_str(), notice["code"].as_str()), (Some("security"), Some("fenced")));
    bench.plane.lock().fenced = None;
    bench.settle().await;
    assert_eq!(fenced(&bench.store).unwrap(), None);
    assert_eq!(bench.asked().await.len(), 2, "and begins anew once more");
}

#[actix_rt::test]
async fn a_link_writes_nothing_more_once_the_agent_has_left_its_control_plane() {
    let bench = Bench::start().await;
    bench.settle().await;
    bench.plane.deliver("d1", "dance", serde_json::json!({}));
    let mut leaving = Batch::new();
    leaving.leave();
    bench.store.commit_blocking(leaving).unwrap();
    let refused = |written: &Result<(), StoreError>| assert_eq!(*written, Err(StoreError::OtherEnrollment));
    let Round::Stuck(error) = bench.exchange.round().await else { panic!("it took a delivery") };
    refused(&Err(error));
    refused(&bench.exchange.look(&mut Watched::default()).await);
    assert!(bench.exchange.rotate().await.is_ok_and(|()| bench.store.link_keys().unwrap().is_none()));
    bench.plane.lock().fenced = Some("another".to_owned());
    let Round::Stuck(error) = bench.exchange.round().await else { panic!("it was fenced") };
    refused(&Err(error));
    assert_eq!(fenced(&bench.store).unwrap(), None);
    for table in [StateTable::Link, StateTable::Delivery] {
        assert!(bench.store.names(table).unwrap().is_empty());
    }
}

#[actix_rt::test]
async fn an_empty_control_plane_changes_nothing() {
    let bench = Bench::start().await;
    bench.settle().await;
    let last = bench.plane.lock().syncs.last().unwrap().clone();
    assert_eq!((last["in_force"]["number"].as_u64(), last["version"].as_u64()), (Some(0), Some(1)));
    assert_eq!(last["audit"]["entries"], 1, "the enrollment");
    assert!(bench.asked().await.is_empty());
}
