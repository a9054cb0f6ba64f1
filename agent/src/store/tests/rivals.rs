//! What the transaction of a claim refuses, whatever the flows have looked at before.

use super::samples::{at, open, posting};
use crate::store::{Batch, Owner, StateTable, StoreError};
use spend::finding::Finding;
use spend::ids::{CompanyId, FlowId, PostingKey};
use spend::mapping::LineSelection;
use spend::plan::DocumentReference;
use spend::posting::{Hold, Posting, PostingState};
use spend::route::Route;
use std::sync::Arc;

/// A claim of report `n` by a flow, into a company.
fn claim_of(n: u32, flow: &str, company: &str) -> Posting {
    let flow = FlowId::from(flow);
    let mut claim = posting(n);
    let (source_id, revision) = (claim.source_id.clone(), claim.revision.clone());
    claim.key = PostingKey::derive(&flow, &source_id, &revision);
    let mut plan = claim.plan.take().map(Arc::unwrap_or_clone).unwrap();
    plan.key = claim.key.clone();
    plan.reference = DocumentReference::derive("EXP", &flow, &source_id, &revision);
    plan.company = CompanyId::from(company);
    plan.hash = plan.compute_hash();
    let route = Route {
        source: "expensify".to_owned(),
        target: "epicor".to_owned(),
        company: CompanyId::from(company),
        books: Some(company.to_owned()),
        select: LineSelection::All,
        by_name: true,
    };
    Posting {
        flow,
        plan: Some(Arc::new(plan)),
        state: PostingState::Claimed { at: at(5) },
        attempts: 1,
        route: Some(route),
        ..claim
    }
}

#[tokio::test]
async fn of_twins_that_claim_at_the_same_moment_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 1..20 {
        // Both wait in one group of the writer, as a rule.
        let one = claim_of(n, "one", "C1");
        let two = claim_of(n, "two", "C1");
        let (first, second) = tokio::join!(
            store.claim(vec![one.clone()], Batch::new()),
            store.claim(vec![two.clone()], Batch::new())
        );
        let refused = match (first, second) {
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
            both => panic!("{both:?}"),
        };
        assert!(
            matches!(&refused, StoreError::NotClaimable { why, .. } if why.contains("flow `")),
            "{refused}"
        );
        let known = [&one, &two].map(|claim| store.posting(&claim.key).unwrap().is_some());
        assert_eq!(known.into_iter().filter(|known| *known).count(), 1);
    }
    // One that comes later is refused with all of its batch; another company is other money.
    let batch = vec![claim_of(30, "two", "C1"), claim_of(1, "three", "C1")];
    assert!(store.claim(batch, Batch::new()).await.is_err());
    assert_eq!(store.posting(&claim_of(30, "two", "C1").key).unwrap(), None);
    store.claim(vec![claim_of(1, "three", "C2")], Batch::new()).await.unwrap();
}

#[tokio::test]
async fn owners_are_flows_that_have_begun_something_with_what_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut batch = Batch::new();
    batch.put_posting(posting(1));
    store.commit(batch).await.unwrap();
    assert!(store.owners().unwrap().is_empty(), "nothing was begun");
    store.claim(vec![claim_of(1, "one", "C1"), claim_of(2, "one", "C1")], Batch::new()).await.unwrap();
    let done = PostingState::Superseded { by: "2".into(), at: at(6) };
    let mut batch = Batch::new();
    batch.put_posting(Posting { state: done, ..claim_of(2, "one", "C1") });
    store.commit(batch).await.unwrap();
    store.close();
    let store = open(dir.path());
    let owners = store.owners().unwrap();
    let [owner] = owners.as_slice() else { panic!("{owners:?}") };
    assert_eq!((owner.flow.as_str(), owner.open), ("one", 1));
    assert_eq!(owner.begun, [claim_of(1, "one", "C1")]);
    assert_eq!(store.under_way().unwrap(), [(FlowId::from("one"), 1)].into());
}

#[tokio::test]
async fn a_flow_whose_newest_postings_were_never_begun_is_an_owner_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let waiting = |n, attempts| {
        let state = PostingState::Waiting { next_at: at(9), why: "it is down".to_owned() };
        Posting { state, attempts, ..claim_of(n, "one", "C1") }
    };
    let mut batch = Batch::new();
    for n in 1..4 {
        batch.put_posting(waiting(n, u32::from(n == 1)));
        let hold = Hold { findings: vec![Finding::source_unreadable("x")], since: at(5), in_doubt: n == 1 };
        batch.put_posting(Posting { state: PostingState::Held(hold), ..claim_of(n + 10, "held", "C1") });
    }
    batch.put_posting(Posting { flow: FlowId::from("two"), ..waiting(5, 0) });
    store.commit(batch).await.unwrap();
    let owners = store.owners().unwrap();
    let of = |one: &Owner| (one.flow.to_string(), one.open, one.undecided, one.begun.len());
    let told: Vec<_> = owners.iter().map(of).collect();
    let [held, one, two] = [("held", 0, 1, 1), ("one", 3, 0, 1), ("two", 1, 0, 0)]
        .map(|(flow, open, undecided, begun)| (flow.to_owned(), open, undecided, begun));
    assert_eq!(told, [held, one, two]);
    assert_eq!(owners[1].begun, [waiting(1, 1)], "the newest that was begun");
}

#[tokio::test]
async fn what_rests_on_a_value_that_is_another_one_by_now_is_refused_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let read = || store.get_stamped::<u32>(StateTable::Flow, "*/spent").unwrap();
    let write = |seen, value: u32, n: u32| {
        let mut batch = Batch::new();
        batch.expect(StateTable::Flow, "*/spent", seen).put(StateTable::Flow, "*/spent", &value);
        store.claim(vec![claim_of(n, "one", "C1")], batch)
    };
    let (none, before) = read();
    assert_eq!(none, None);
    let (first, second) = tokio::join!(write(before, 1, 1), write(before, 2, 2));
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err(), StoreError::Overtaken);
    assert_eq!((read().0, store.posting(&claim_of(2, "one", "C1").key).unwrap()), (Some(1), None));
    write(read().1, 3, 2).await.unwrap();
    assert_eq!(read().0, Some(3));
}
