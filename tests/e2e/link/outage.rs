//! The control plane dies under load: nothing that it has taken is lost, and everything comes in its order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use purser_proto::link::command::Verb;
use sandbox::harness::ControlOptions;

use super::site::{ROUTE, Site, until};
use crate::stage::quick;

/// Webhooks are sent until so many are taken after the kill.
const AFTER: u64 = 150;

pub(super) async fn a_node_that_is_killed_under_load_loses_nothing_and_the_agent_works_on(
    on: ControlOptions,
) {
    let mut site = Site::with(on, quick(20)).await;
    assert_eq!(site.run().await.0, "done");
    let path = site.desk.hook(&site.id, "brex").await;
    let address = site.control.address();
    let (taken, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    // Nobody has signed them, so each is judged and refused: what counts is that each is judged once.
    let send = async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        while !stop.load(Ordering::Relaxed) {
            let sent = client.post(format!("{address}{path}")).body("{}").send().await;
            match sent.map(|answer| answer.status().as_u16()) {
                Ok(200) => _ = taken.fetch_add(1, Ordering::Relaxed),
                // Too many, or nobody there: senders try again.
                Ok(429 | 503) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(other) => panic!("a sender was told {other}"),
            }
        }
    };
    let (control, desk, id) = (&mut site.control, &site.desk, site.id.as_str());
    let accidents = async {
        let reached = async |count: u64| {
            while taken.load(Ordering::Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        reached(50).await;
        let mut asked = Vec::new();
        for number in 0..6 {
            if number == 3 {
                control.kill(0).await.unwrap();
                if control.nodes() == 1 {
                    control.revive(0).await.unwrap();
                }
            }
            asked.push(desk.command(id, Verb::Preview { flow: ROUTE.flow().into() }).await);
        }
        let now = taken.load(Ordering::Relaxed);
        reached(now + AFTER).await;
        stop.store(true, Ordering::Relaxed);
        asked
    };
    let (asked, ()) = tokio::join!(accidents, send);
    let sent = i64::try_from(taken.load(Ordering::Relaxed)).unwrap();
    // What was cut off before its answer may have been kept all the same; a sender would repeat it.
    until("every webhook is judged", async || judged(&site).await >= sent).await;
    let unheard = judged(&site).await - sent;
    assert!((0..=5).contains(&unheard), "{unheard} more were judged than were taken");
    for id in &asked {
        until("every command is answered", async || site.desk.outcome(id).await.finished_at.is_some()).await;
        assert_eq!(site.desk.outcome(id).await.state, "done");
    }
    site.link_when("the link is up again", |link| link["state"] == "connected").await;
    site.stop().await;
    assert_eq!(site.stage.ask(0, &["audit", "verify"]).await["intact"], true);
}

async fn judged(site: &Site) -> i64 {
    site.desk.webhooks(&site.id).await.iter().map(|(_, _, count)| count).sum()
}

pub(super) async fn an_agent_works_and_reports_later_when_nobody_answers(on: ControlOptions) {
    let mut site = Site::with(on, quick(20)).await;
    for node in 0..site.control.nodes() {
        site.control.kill(node).await.unwrap();
    }
    let gone =
        site.link_when("the link says that nobody answers", |link| link["state"] == "unreachable").await;
    assert!(gone["fix"].as_str().unwrap().contains("works on without it"), "{gone:#}");
    site.stage.ask(4, &["flows", "run", ROUTE.flow()]).await;
    assert!(site.stage.documents() > 3);
    for node in 0..site.control.nodes() {
        site.control.revive(node).await.unwrap();
    }
    site.link_when("the link is up again", |link| link["state"] == "connected").await;
    assert_eq!(site.run().await.0, "done");
}
