//! Orders about flows that the configuration does not name, from here and from the control plane.

use super::*;
use crate::clock::Clock;
use crate::config;
use crate::flows::replay::Decided;
use crate::runtime::agent::Parts;
use crate::runtime::commands::Order;
use crate::runtime::supervisor::Policy;
use crate::store::tests::samples::{in_state, posting};
use crate::store::{Store, dir_of, key};
use spend::finding::Finding;
use spend::posting::{Hold, Posting, PostingState};
use std::path::Path;

/// An agent without any flow, whose posting log knows these.
fn agent(folder: &Path, postings: Vec<Posting>) -> Agent {
    let file = folder.join("purser.toml");
    std::fs::write(&file, "version = 1\n").unwrap();
    let clock = Clock::manual("2026-08-10T12:00:00Z".parse().unwrap());
    let keys = key::create_or_open(folder, None).unwrap();
    let store = Store::open(&dir_of(folder), keys, clock.clone()).unwrap();
    let mut batch = Batch::new();
    for posting in postings {
        batch.put_posting(posting);
    }
    store.commit_blocking(batch).unwrap();
    Agent::start(Parts {
        config: config::load(&file).unwrap().1,
        store,
        home: folder.to_owned(),
        clock,
        policy: Policy::default(),
        test_hooks: false,
        machine: Vec::new(),
        fenced: None,
    })
}

fn held() -> Posting {
    let findings = vec![Finding::source_unreadable("x")];
    let since = "2026-08-10T11:00:00Z".parse().unwrap();
    in_state(posting(1), PostingState::Held(Hold { findings, since, in_doubt: false }))
}

#[actix_rt::test]
async fn records_of_a_flow_that_is_configured_no_more_are_closed_from_here_and_from_afar_and_never_replayed()
{
    let near = Decision { by: "ann".to_owned(), note: "booked by hand".to_owned() };
    for (decision, actor) in [
        (near, "person:ann"),
        (Decision::from_afar("ada@example.test", "booked by hand"), "control-plane:ada@example.test"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let agent = agent(folder.path(), vec![held()]);
        let Posting { flow, key, .. } = held();
        let handle = |flow: &FlowId, report_failure| Order::Handle {
            flow: flow.clone(),
            key: key.clone(),
            decision: decision.clone(),
            report_failure,
        };
        let replay = Order::Replay { flow: flow.clone(), key: key.clone(), decision: decision.clone() };
        for (order, word) in [(replay, "purser records handle"), (handle(&flow, true), "--report-failure")] {
            let obeyed = agent.obey(order).await;
            assert!(matches!(&obeyed, Obeyed::Refused { why } if why.contains(word)), "{obeyed:?}");
        }
        // Named wrongly it is not this flow's.
        let obeyed = agent.obey(handle(&FlowId::from("another"), false)).await;
        assert!(matches!(&obeyed, Obeyed::Decided { decided: Decided::Refused { .. } }), "{obeyed:?}");
        assert_eq!(agent.store().posting(&key).unwrap(), Some(held()));
        let obeyed = agent.obey(handle(&flow, false)).await;
        assert!(matches!(&obeyed, Obeyed::Decided { decided: Decided::Handled }), "{obeyed:?}");
        assert_eq!(agent.store().posting(&key).unwrap().unwrap().state.name(), "handled");
        let history = agent.store().audit().of_posting(&key).unwrap();
        assert_eq!(history[0].draft.actor, actor);
        assert_eq!(history[0].draft.detail["note"], "booked by hand");
    }
}
