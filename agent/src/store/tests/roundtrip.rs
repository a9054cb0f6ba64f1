//! What is written is read back, also after closing and opening again.

use super::samples::{
    MARKER, at, audit, batch, claimed, flow, keys, open, posted, posting, revision_of, waiting,
};
use crate::clock::Clock;
use crate::secret::{BoundSecret, Origin, SecretText};
use crate::store::{Batch, PostingFilter, RunRecord, RunReport, StateTable, Store, StoreError, StoredSecret};
use secrecy::SecretString;
use spend::Timestamp;
use spend::ids::{FlowId, PostingKey, RunId, SourceId};
use spend::watermark::Watermark;
use std::sync::Arc;

fn run_record(id: &str, flow: FlowId, started: Timestamp) -> RunRecord {
    let report = RunReport::default();
    RunRecord { id: RunId::from(id), flow, trigger: "schedule".to_owned(), started, ended: started, report }
}

#[test]
fn a_posting_is_read_back_by_key_and_by_record_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (first, second) = (revision_of(1, 1), revision_of(1, 2));
    store
        .commit_blocking(batch(|b| {
            b.put_posting(first.clone()).put_posting(second.clone());
        }))
        .unwrap();
    store.close();
    let store = open(dir.path());
    assert_eq!(store.posting(&first.key).unwrap().as_ref(), Some(&first));
    assert_eq!(store.postings_of(&flow(), &first.source_id).unwrap(), vec![first.clone(), second]);
    assert_eq!(store.posting(&PostingKey::from("nobody")).unwrap(), None);
    assert_eq!(store.postings_of(&FlowId::from("other"), &first.source_id).unwrap(), vec![]);
    assert_eq!(store.postings_of(&flow(), &SourceId::from("other")).unwrap(), vec![]);
}

#[test]
fn a_posting_is_found_by_the_ids_that_its_record_names_also_when_they_are_told_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let put = |store: &Store, posting: &spend::posting::Posting| {
        store.commit_blocking(batch(|b| {
            b.put_posting(posting.clone());
        }))
    };
    // As it was written before records named others.
    let (mut late, mut part) = (posting(1), posting(2));
    put(&store, &late).unwrap();
    Arc::make_mut(&mut part.document).part_of = Some(SourceId::from("whole"));
    put(&store, &part).unwrap();
    let of = |store: &Store, id: &str| {
        let mut asked = Arc::unwrap_or_clone(posting(9).document);
        asked.source_id = SourceId::from(id);
        let found = store.kin_of(&flow(), &asked).unwrap();
        found.into_iter().map(|p| p.source_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((of(&store, "whole"), of(&store, "other")), (vec![part.source_id.to_string()], vec![]));
    Arc::make_mut(&mut late.document).same_as = Some(SourceId::from("other"));
    for _ in 0..2 {
        put(&store, &late).unwrap();
    }
    store.close();
    let store = open(dir.path());
    assert_eq!(of(&store, "other"), [late.source_id.to_string()]);
    assert_eq!(store.kin_of(&flow(), &late.document).unwrap(), vec![], "it is not its own kin");
    let mut listed = Arc::unwrap_or_clone(posting(3).document);
    listed.same_as = Some(part.source_id.clone());
    assert_eq!(store.kin_of(&flow(), &listed).unwrap(), vec![part.clone()], "named by the new record");
    listed.same_as = Some(SourceId::from("whole"));
    assert_eq!(store.kin_of(&flow(), &listed).unwrap(), vec![part], "stands for the whole of a part");
    assert_eq!(store.kin_of(&FlowId::from("another"), &listed).unwrap(), vec![]);
    assert_eq!(store.postings_of(&flow(), &SourceId::from("whole")).unwrap(), vec![], "it has no posting");
}

#[test]
fn due_postings_come_by_due_time_and_leave_the_index_when_they_move_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let batch_of = |postings: Vec<_>| {
        batch(|b| {
            postings.into_iter().for_each(|p| {
                b.put_posting(p);
            })
        })
    };
    store
        .commit_blocking(batch_of(vec![
            waiting(1, at(300)),
            waiting(2, at(-50)),
            posted(3, at(100)),
            claimed(4),
        ]))
        .unwrap();
    let due = |now| {
        let due = store.due(&flow(), at(now), 10).unwrap();
        due.into_iter().map(|p| p.source_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(due(1000), ["R00000002", "R00000003", "R00000001"]);
    assert_eq!(due(100), ["R00000002", "R00000003"]);
    assert_eq!(due(99), ["R00000002"]);
    assert_eq!(store.next_due(&flow()).unwrap(), Some(at(-50)));
    store.commit_blocking(batch_of(vec![claimed(2), waiting(3, at(400))])).unwrap();
    assert_eq!(due(1000), ["R00000001", "R00000003"]);
    assert_eq!(store.next_due(&flow()).unwrap(), Some(at(300)));
    assert_eq!(store.next_due(&FlowId::from("other")).unwrap(), None);
}

#[test]
fn a_posting_that_is_due_later_within_the_same_millisecond_is_not_due_yet_and_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let due_at = at(10) + chrono::TimeDelta::microseconds(700);
    store
        .commit_blocking(batch(|b| {
            b.put_posting(waiting(1, due_at));
        }))
        .unwrap();
    let due = |micros| {
        let now = at(10) + chrono::TimeDelta::microseconds(micros);
        store.due(&flow(), now, 10).unwrap().len()
    };
    assert_eq!((due(-1), due(200), due(699), due(700), due(1000)), (0, 0, 0, 1, 1));
}

#[test]
fn counters_follow_every_transition() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .commit_blocking(batch(|b| {
            (0..5).for_each(|n| {
                b.put_posting(posting(n));
            })
        }))
        .unwrap();
    store
        .commit_blocking(batch(|b| {
            b.put_posting(claimed(0)).put_posting(posted(0, at(0)));
        }))
        .unwrap();
    store
        .commit_blocking(batch(|b| {
            b.put_posting(claimed(1));
        }))
        .unwrap();
    let counts = store.counts().unwrap();
    assert_eq!(counts[&(flow(), "planned")], 3);
    assert_eq!(counts[&(flow(), "claimed")], 1);
    assert_eq!(counts[&(flow(), "posted")], 1);
}

#[test]
fn lists_are_filtered_and_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .commit_blocking(batch(|b| {
            (0..300).for_each(|n| {
                b.put_posting(posting(n));
            })
        }))
        .unwrap();
    store
        .commit_blocking(batch(|b| {
            b.put_posting(claimed(7)).put_posting(claimed(250));
        }))
        .unwrap();
    let ids = |filter: &PostingFilter, limit| {
        let list = store.list(filter, limit).unwrap();
        list.into_iter().map(|p| p.source_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&PostingFilter::default(), 2), ["R00000299", "R00000298"]);
    let claimed = PostingFilter { state: Some("claimed".to_owned()), ..PostingFilter::default() };
    assert_eq!(ids(&claimed, 10), ["R00000250", "R00000007"]);
    // Report n is approved n hours after the first; a day has at most 24 of them.
    let day = at(48 * 3600).date_naive();
    let one_day =
        PostingFilter { from: Some(day), to: Some(day), flow: Some(flow()), ..PostingFilter::default() };
    let expected: Vec<_> =
        (0..300).rev().filter(|n| at(n * 3600).date_naive() == day).map(|n| format!("R{n:08}")).collect();
    assert!(!expected.is_empty());
    assert_eq!(ids(&one_day, 100), expected);
    let mut streamed = Vec::new();
    store.for_each(&one_day, |p| streamed.insert(0, p.source_id.to_string())).unwrap();
    assert_eq!(streamed, expected);
    let mut all = 0;
    store.for_each(&PostingFilter::default(), |_| all += 1).unwrap();
    assert_eq!(all, 300);
}

#[test]
fn named_values_runs_and_secrets_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mark = Watermark { through: at(0).date_naive() };
    let origin = Origin::parse("https://erp.example.test").unwrap();
    let fields = [("password".to_owned(), SecretString::from(MARKER))].into();
    let secret = StoredSecret { kind: "epicor".to_owned(), origins: vec![origin.clone()], fields };
    let mut run = run_record("run-1", flow(), at(1));
    store
        .commit_blocking(batch(|b| {
            b.put(StateTable::Watermark, "expensify-epicor", &mark)
                .put(StateTable::Schedule, "x", &41)
                .put_secret("erp", secret)
                .run(run.clone())
                .run(run_record("run-2", FlowId::from("other"), at(2)));
        }))
        .unwrap();
    run.report.posted = 3;
    run.ended = at(9);
    store
        .commit_blocking(batch(|b| {
            b.run(run.clone()).put(StateTable::Schedule, "x", &42);
        }))
        .unwrap();
    assert_eq!(store.watermark(&flow()).unwrap(), Some(mark));
    assert_eq!(store.get::<i32>(StateTable::Schedule, "x").unwrap(), Some(42));
    assert_eq!(store.get::<i32>(StateTable::Mirror, "x").unwrap(), None);
    assert_eq!(store.names(StateTable::Schedule).unwrap(), ["x"]);
    assert_eq!(store.runs(Some(&flow()), 10).unwrap(), vec![run]);
    assert_eq!(store.runs(None, 10).unwrap().len(), 2);
    assert_eq!(store.runs(None, 1).unwrap()[0].id, RunId::from("run-2"));
    let credential = store.secret("erp").unwrap().unwrap();
    let password = credential.get("password").unwrap();
    assert_eq!(password.expose(), MARKER);
    assert!(password.may_go_to(&origin));
    assert!(!password.may_go_to(&Origin::parse("https://evil.example.test").unwrap()));
    let info = &store.secrets().unwrap()[0];
    assert_eq!((info.name.as_str(), info.fields.as_slice()), ("erp", ["password".to_owned()].as_slice()));
    store
        .commit_blocking(batch(|b| {
            b.remove_secret("erp").remove(StateTable::Schedule, "x");
        }))
        .unwrap();
    assert!(store.secret("erp").unwrap().is_none());
    assert_eq!(store.get::<i32>(StateTable::Schedule, "x").unwrap(), None);
}

#[test]
fn a_renewed_secret_replaces_its_own_fields_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let set = |values: &[(&str, &str)]| StoredSecret {
        kind: "erp".to_owned(),
        origins: vec![Origin::parse("https://erp.example.test").unwrap()],
        fields: values.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from(*v))).collect(),
    };
    let put = |store: &Store, values: &[(&str, &str)]| {
        store
            .commit_blocking(batch(|b| {
                b.put_secret("erp", set(values));
            }))
            .unwrap();
    };
    let renew = |store: &Store, stamp, field: &str, value: SecretText| {
        store.commit_blocking(batch(|b| {
            b.renew_secret("erp", stamp, vec![(field.to_owned(), value)]);
        }))
    };
    let field = |store: &Store, name: &str| {
        store.secret("erp").unwrap().unwrap().get(name).map(|value| value.expose().to_owned())
    };
    assert_eq!(store.secret_stamp("erp").unwrap(), None);
    put(&store, &[("client", "C1"), ("refresh", "old")]);
    let stamp = store.secret_stamp("erp").unwrap().unwrap();
    let own = store.secret("erp").unwrap().unwrap();
    let derived =
        |value: &str| SecretText::secret(&own.get("refresh").unwrap().derived(SecretString::from(value)));
    renew(&store, stamp, "refresh", derived("new")).unwrap();
    renew(&store, stamp, "issued", SecretText::plain("2026-01-01")).unwrap();
    store.close();
    let store = open(dir.path());
    for (name, value) in [("client", "C1"), ("refresh", "new"), ("issued", "2026-01-01")] {
        assert_eq!(field(&store, name).as_deref(), Some(value));
    }
    assert_eq!(store.secrets().unwrap()[0].origins, ["https://erp.example.test:443"]);
    // What may be sent elsewhere is not taken in.
    let foreign = BoundSecret::new(
        SecretString::from("astray"),
        [Origin::parse("https://evil.example.test").unwrap()].into(),
    );
    let refused = renew(&store, stamp, "refresh", SecretText::secret(&foreign)).unwrap_err();
    assert!(matches!(refused, StoreError::NotRenewed { .. }) && !refused.to_string().contains("astray"));
    // What a person has set since then stays.
    put(&store, &[("client", "C1"), ("refresh", "by hand")]);
    assert!(matches!(renew(&store, stamp, "refresh", derived("late")), Err(StoreError::NotRenewed { .. })));
    assert_eq!(field(&store, "refresh").as_deref(), Some("by hand"));
    store
        .commit_blocking(batch(|b| {
            b.remove_secret("erp");
        }))
        .unwrap();
    assert!(matches!(renew(&store, stamp, "refresh", derived("late")), Err(StoreError::NotRenewed { .. })));
}

#[tokio::test]
async fn a_claim_becomes_a_ticket_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let tickets = store
        .claim(
            vec![claimed(1)],
            batch(|b| {
                b.audit(audit(1));
            }),
        )
        .await
        .unwrap();
    assert_eq!(tickets[0].plan().key, posting(1).key);
    assert_eq!(tickets[0].at(), at(5));
    assert_eq!(store.posting(&posting(1).key).unwrap(), Some(claimed(1)));
    assert_eq!(store.audit().of_posting(&posting(1).key).unwrap().len(), 1);
    for taken in [claimed(1), posted(1, at(0))] {
        store
            .commit(batch(|b| {
                b.put_posting(taken);
            }))
            .await
            .unwrap();
        let refused = store.claim(vec![claimed(2), claimed(1)], Batch::new()).await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::NotClaimable { key, .. } if *key == posting(1).key),
            "{refused}"
        );
        assert_eq!(store.posting(&posting(2).key).unwrap(), None);
    }
    let refused = store.claim(vec![posting(3)], Batch::new()).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotClaimable { .. }));
}

#[test]
fn the_writer_is_alone_and_readers_see_its_commits() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Store::open_read_only(dir.path(), keys(), Clock::manual(at(0))),
        Err(StoreError::NotCreated { .. })
    ));
    let store = open(dir.path());
    let again = Store::open(dir.path(), keys(), Clock::manual(at(0)));
    assert!(matches!(again, Err(StoreError::Locked { .. })));
    let reader = Store::open_read_only(dir.path(), keys(), Clock::manual(at(0))).unwrap();
    store
        .commit_blocking(batch(|b| {
            b.put_posting(posting(1));
        }))
        .unwrap();
    assert_eq!(reader.posting(&posting(1).key).unwrap(), Some(posting(1)));
    assert_eq!(reader.commit_blocking(Batch::new()), Err(StoreError::ReadOnly));
    drop(reader);
    store.close();
    open(dir.path()).close();
}
