//! Connections to one site use one licence.

use super::fake::Fake;
use super::*;
use crate::vendors::http::{Body, Call, Effect};
use std::time::Duration;
use tokio::time::Instant;

fn to(sites: &Sites, address: &str, secrets: &[(&str, &str)], more: Value) -> Acumatica {
    let (transport, base) = (Arc::new(Fake::default()), Url::parse(address).unwrap());
    let clock = Clock::manual(now());
    let kept = Arc::new(Kept::default());
    Acumatica::new(transport, credential(secrets), kept, &base, settings(more), clock, sites)
}

fn read() -> Call {
    Call {
        operation: "test",
        method: reqwest::Method::GET,
        url: Url::parse("https://erp.example.test/instance/entity").unwrap(),
        headers: Vec::new(),
        body: Body::Empty,
        effect: Effect::Read,
        timeout: None,
        secret_answer: false,
    }
}

#[test]
fn the_site_counts_whoever_signs_in() {
    let sites = Sites::default();
    let first = to(&sites, "https://erp.example.test/Instance", &[], json!({}));
    let same = "https://ERP.example.test/instance/entity/Default/24.200.001/";
    let other_user = to(&sites, same, &[("user", "somebody-else")], json!({}));
    let other_site = to(&sites, "https://erp.example.test/other", &[], json!({}));
    assert!(Arc::ptr_eq(&first.client.licence, &other_user.client.licence));
    assert!(!Arc::ptr_eq(&first.client.licence, &other_site.client.licence));
}

/// Sheet item: Acumatica 17
#[tokio::test(start_paused = true)]
async fn two_connections_together_keep_the_pace_of_one() {
    let sites = Sites::default();
    // The one was told the licence, the other a smaller part of it: together they keep to both.
    let licensed = |share: u8| json!({ "requests_per_minute": 50, "share": share });
    let address = "https://erp.example.test/instance";
    let connections = [to(&sites, address, &[], licensed(90)), to(&sites, address, &[], licensed(60))];
    let transport = Fake::default();
    let began = Instant::now();
    let work = connections.iter().map(|connection| async {
        let mut within = 0;
        while began.elapsed() < Duration::from_secs(120) {
            connection.client.licence.send(&transport, read()).await.ok();
            within += u32::from(began.elapsed() < Duration::from_secs(120));
        }
        within
    });
    let made = futures_util::future::join_all(work).await;
    let all: u32 = made.iter().sum();
    assert!((40..=60).contains(&all), "{made:?}: 30 a minute are theirs");
    assert!(made.iter().all(|made| *made >= all / 3), "{made:?}");
}
