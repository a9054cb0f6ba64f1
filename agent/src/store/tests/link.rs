//! The link's part of the store: an outbox that keeps order, is bounded and survives; keys and enrollment together.

use crate::clock::Clock;
use crate::store::{
    Batch, Enrollment, LinkKeyring, LinkKeys, MOST_OUTBOX_BYTES, StateTable, Store, StoreError, StoreKeys,
};
use purser_proto::config::NetworkSettings;
use purser_proto::link::command::{CommandResult, Outcome};
use purser_proto::link::limits::Text;
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody, StatusReport};
use spend::Timestamp;
use std::path::Path;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreKeys::from_data_key(&[7; 32]), Clock::manual(AT)).unwrap()
}

fn enrolled(dir: &Path) -> Store {
    let store = open(dir);
    let mut batch = Batch::new();
    batch.enroll(&enrollment("a1"), &LinkKeyring::first(LinkKeys::generate()));
    store.commit_blocking(batch).unwrap();
    store
}

fn enrollment(agent: &str) -> Enrollment {
    Enrollment {
        url: "https://control.example.test:443".to_owned(),
        agent: agent.to_owned(),
        name: "plant".to_owned(),
        tenant: "works".to_owned(),
        network: NetworkSettings::default(),
        at: AT,
        waited_for_approval: false,
    }
}

fn notice(level: NoticeLevel, code: &str, what: &str) -> ReportBody {
    let (code, what, fix) = (code.into(), what.into(), "".into());
    ReportBody::Notice(Notice { level, code, concerns: None, what, fix })
}

fn status(version: &str) -> ReportBody {
    ReportBody::Status(Box::new(StatusReport { agent_version: version.into(), ..StatusReport::default() }))
}

fn put(store: &Store, body: &ReportBody) {
    let mut batch = Batch::new();
    batch.report(AT, body);
    store.commit_blocking(batch).unwrap();
}

fn ids(store: &Store) -> Vec<u64> {
    store.outbox(1000, usize::MAX).unwrap().iter().map(|report| report.id).collect()
}

#[test]
fn reports_wait_in_their_order_until_they_are_durable_elsewhere_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = enrolled(dir.path());
    for n in 0..300 {
        put(&store, &notice(NoticeLevel::Warning, "n", &n.to_string()));
    }
    store.close();
    let store = open(dir.path());
    assert_eq!(ids(&store), (1..=300).collect::<Vec<_>>());
    assert_eq!(store.outbox(5, usize::MAX).unwrap().len(), 5);
    assert_eq!(store.outbox(1000, 1).unwrap().len(), 1, "one is always sent, however large");
    let mut batch = Batch::new();
    batch.reported(290);
    store.commit_blocking(batch).unwrap();
    assert_eq!(ids(&store), (291..=300).collect::<Vec<_>>());
    let mut batch = Batch::new();
    batch.reported(u64::MAX);
    store.commit_blocking(batch).unwrap();
    put(&store, &notice(NoticeLevel::Warning, "n", "last"));
    assert_eq!(ids(&store), [301], "numbers go on");
    let stats = store.outbox_stats().unwrap().unwrap();
    assert_eq!((stats.reports, stats.last), (1, 301));
    assert!(stats.bytes > 0 && stats.bytes < 1000, "{stats:?}");
}

#[test]
fn a_new_status_takes_the_place_of_the_one_that_waits_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = enrolled(dir.path());
    put(&store, &status("1"));
    put(&store, &notice(NoticeLevel::Security, "n", "x"));
    put(&store, &status("2"));
    put(&store, &status("3"));
    assert_eq!(ids(&store), [2, 4]);
    let reports = store.outbox(10, usize::MAX).unwrap();
    let ReportBody::Status(last) = &reports[1].body else { panic!("{reports:?}") };
    assert_eq!(last.agent_version.as_str(), "3");
}

#[test]
fn a_full_outbox_leaves_plain_news_out_says_so_once_and_keeps_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = enrolled(dir.path());
    // What cannot be compressed, so that it counts in full.
    let noise = |n: u64| -> String {
        let mut reader = blake3::Hasher::new().update(&n.to_be_bytes()).finalize_xof();
        let mut bytes = vec![0; 120 << 10];
        reader.fill(&mut bytes);
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    };
    let mut n = 0;
    while !store.outbox_stats().unwrap().unwrap().is_full() {
        n += 1;
        let result = CommandResult {
            outcome: Outcome::Done,
            words: "".into(),
            detail: Text::whole(noise(n)).unwrap(),
        };
        put(&store, &ReportBody::Result { delivery: "d".into(), result });
    }
    let before = store.outbox_stats().unwrap().unwrap();
    assert!(before.bytes < MOST_OUTBOX_BYTES + (1 << 20));
    for _ in 0..3 {
        put(&store, &notice(NoticeLevel::Info, "news", "x"));
    }
    put(&store, &notice(NoticeLevel::Security, "kept", "x"));
    let stats = store.outbox_stats().unwrap().unwrap();
    assert_eq!((stats.reports, stats.left_out), (before.reports + 2, 3));
    let mut batch = Batch::new();
    batch.reported(before.last);
    store.commit_blocking(batch).unwrap();
    let codes: Vec<String> = store
        .outbox(10, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|report| match report.body {
            ReportBody::Notice(notice) => notice.code.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, ["outbox-full", "kept"]);
    put(&store, &notice(NoticeLevel::Info, "news", "x"));
    assert_eq!(store.outbox_stats().unwrap().unwrap().reports, 3, "there is room again");
}

#[test]
fn nothing_is_kept_for_nobody_and_nothing_of_one_control_plane_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, &status("1"));
    assert!(ids(&store).is_empty() && store.outbox_stats().unwrap().is_none());
    store.close();
    let store = enrolled(dir.path());
    let first = store.enrollment_mark().unwrap().unwrap();
    put(&store, &status("1"));
    let mut batch = Batch::new();
    batch.put(StateTable::Link, "revision", &1).put(StateTable::Delivery, "d1", &AT);
    batch.put(StateTable::Meta, "own", &1);
    store.commit_blocking(batch).unwrap();
    let mut batch = Batch::new();
    batch.enroll(&enrollment("a2"), &LinkKeyring::first(LinkKeys::generate()));
    store.commit_blocking(batch).unwrap();
    assert_ne!(store.enrollment_mark().unwrap().unwrap(), first);
    assert_eq!(store.enrollment().unwrap().unwrap().agent, "a2");
    assert!(ids(&store).is_empty());
    assert!(store.names(StateTable::Link).unwrap().is_empty());
    assert!(store.names(StateTable::Delivery).unwrap().is_empty());
    put(&store, &status("2"));
    assert_eq!(ids(&store), [1], "a new outbox begins anew");
    let mut batch = Batch::new();
    batch.leave();
    store.commit_blocking(batch).unwrap();
    assert!(store.enrollment().unwrap().is_none() && store.link_keys().unwrap().is_none());
    assert!(ids(&store).is_empty() && store.outbox_stats().unwrap().is_none());
    assert_eq!(store.get::<u32>(StateTable::Meta, "own").unwrap(), Some(1), "the agent's own stays");
}

#[test]
fn what_was_made_for_one_control_plane_is_refused_whole_once_the_agent_has_left_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = enrolled(dir.path());
    let mark = store.enrollment_mark().unwrap().unwrap();
    let late = || {
        let mut batch = Batch::only_for(mark);
        batch.put(StateTable::Link, "revision", &7).put(StateTable::Meta, "own", &1);
        batch.put_link_keys(&LinkKeyring::first(LinkKeys::generate())).report(AT, &status("late"));
        batch
    };
    store.commit_blocking(late()).unwrap();
    let mut leaving = Batch::new();
    leaving.leave().remove(StateTable::Meta, "own");
    store.commit_blocking(leaving).unwrap();
    assert_eq!(store.commit_blocking(late()), Err(StoreError::OtherEnrollment));
    assert!(store.names(StateTable::Link).unwrap().is_empty() && store.link_keys().unwrap().is_none());
    let mut again = Batch::new();
    let keys = LinkKeyring::first(LinkKeys::generate());
    let public = keys.current.public();
    // The same words, and yet another enrollment.
    again.enroll(&enrollment("a1"), &keys);
    store.commit_blocking(again).unwrap();
    assert_eq!(store.commit_blocking(late()), Err(StoreError::OtherEnrollment));
    assert!(store.names(StateTable::Link).unwrap().is_empty() && ids(&store).is_empty());
    assert_eq!(store.link_keys().unwrap().unwrap().current.public(), public);
    assert_eq!(store.get::<u32>(StateTable::Meta, "own").unwrap(), None);
}

#[test]
fn taking_and_effect_are_durable_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = enrolled(dir.path());
    let effect = || {
        let mut batch = Batch::new();
        batch.put(StateTable::Delivery, "d1", &AT).put(StateTable::Link, "revision", &7);
        batch.report(AT, &notice(NoticeLevel::Warning, "n", "x"));
        batch
    };
    store.fail_next_commit(std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert!(store.commit_blocking(effect()).is_err());
    assert_eq!(store.get::<Timestamp>(StateTable::Delivery, "d1").unwrap(), None);
    assert_eq!(store.get::<u32>(StateTable::Link, "revision").unwrap(), None);
    assert!(ids(&store).is_empty());
    store.close();
    let store = open(dir.path());
    store.commit_blocking(effect()).unwrap();
    store.close();
    let store = open(dir.path());
    assert_eq!(store.get::<u32>(StateTable::Link, "revision").unwrap(), Some(7));
    assert_eq!((ids(&store).len(), store.names(StateTable::Delivery).unwrap().len()), (1, 1));
}
