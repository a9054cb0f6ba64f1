//! Webhooks: from the sender through the control plane to a document in the ERP.

use std::time::Instant;

use sandbox::harness::ControlOptions;

use super::site::{Site, until};
use crate::stage::{quick, wait_for};

pub(super) async fn a_signed_webhook_leads_to_a_document(on: ControlOptions) {
    let mut site = Site::open(on).await;
    site.configure(&site.stage.config.render()).await;
    site.listen().await;
    assert_eq!(site.run().await.0, "done");
    let booked = site.stage.documents();
    let mut times = Vec::new();
    for minor in [1234, 4321, 777] {
        let (before, begun) = (site.stage.documents(), Instant::now());
        site.buy(minor);
        assert!(wait_for(|| site.stage.documents() == before + 1).await, "no document");
        times.push(begun.elapsed().as_millis());
    }
    // Printed, not judged: a busy machine is slow.
    println!("from the record's approval to the document in the ERP: {times:?} ms");
    until("the control plane knows what became of them", async || {
        site.desk
            .webhooks(&site.id)
            .await
            .iter()
            .any(|(outcome, _, count)| outcome == "accepted" && *count >= 3)
    })
    .await;
    assert_eq!(site.stage.documents(), booked + 3);
    site.stop().await;
    assert_eq!(site.stage.misuse(), Vec::<String>::new());
}

pub(super) async fn senders_are_never_told_that_an_event_is_lost(on: ControlOptions) {
    let site = Site::with(on, quick(3)).await;
    let path = site.desk.hook(&site.id, "brex").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str, body: Vec<u8>| {
        let url = format!("{}{path}", site.control.address());
        client.post(url).body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(&path, b"anything".to_vec()).await, 200);
    // An unknown address and a body that is too large may be mended while the sender tries again.
    assert_eq!(post("/hooks/nobody", b"anything".to_vec()).await, 503);
    assert_eq!(post(&path, vec![b' '; 2 << 20]).await, 503);
    until("the agent has judged the first", async || {
        site.desk
            .webhooks(&site.id)
            .await
            .iter()
            .any(|(outcome, _, count)| outcome == "refused" && *count == 1)
    })
    .await;
}
