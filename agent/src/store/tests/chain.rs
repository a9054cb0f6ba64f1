//! The audit trail: notes are written in order, and every way of falsifying the chain is noticed.

use super::samples::{at, audit, batch, keys, open, posting, small};
use crate::clock::Clock;
use crate::store::access::Look as _;
use crate::store::apply::{HEADS, Heads};
use crate::store::tables::Table;
use crate::store::{AuditFaultKind, AuditKind, Batch, Store, StoreError};

/// A store with entries 1 to `n`, alternately noted and committed.
fn with_entries(dir: &std::path::Path, n: u32) -> Store {
    let store = open(dir);
    for i in 1..=n {
        match i % 2 {
            0 => store
                .commit_blocking(batch(|b| {
                    b.audit(audit(i));
                }))
                .unwrap(),
            _ => store.note(audit(i)),
        }
    }
    store.commit_blocking(Batch::new()).unwrap();
    store
}

#[test]
fn every_kind_has_its_word_as_it_is_written() {
    let words: Vec<String> =
        AuditKind::ALL.iter().map(|kind| serde_json::to_string(kind).unwrap().replace('"', "")).collect();
    assert_eq!(words, AuditKind::ALL.map(AuditKind::as_str));
    // The reader names all that there are.
    let refused = serde_json::from_str::<AuditKind>("\"gossip\"").unwrap_err().to_string();
    assert_eq!(refused.matches('`').count(), 2 * (1 + words.len()), "{refused}");
}

#[test]
fn entries_are_chained_in_the_order_they_were_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_entries(dir.path(), 9);
    let entries = store.audit().entries(1, 100).unwrap();
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    assert_eq!(entries.iter().map(|e| e.draft.at).collect::<Vec<_>>(), (1..=9).map(at).collect::<Vec<_>>());
    assert!(entries.windows(2).all(|pair| pair[1].prev == pair[0].hash));
    let head = store.audit().verify().unwrap();
    assert_eq!((head.entries, head.hash), (9, entries[8].hash));
    assert_eq!(store.audit().of_posting(&posting(4).key).unwrap(), vec![entries[3].clone()]);
    let mut seen = 0;
    store.audit().for_each(3, |_| seen += 1).unwrap();
    assert_eq!(seen, 7);
}

#[test]
fn notes_cost_no_sync_of_their_own_and_survive_closing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = store.stats().commits;
    (0..100).for_each(|n| store.note(audit(n)));
    store.close();
    let store = open(dir.path());
    assert_eq!(store.audit().verify().unwrap().entries, 100);
    assert!(before <= 2);
}

#[test]
fn notes_are_never_dropped_when_many_more_come_than_fit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..3_000).for_each(|n| store.note(audit(n))));
        }
    });
    store.commit_blocking(Batch::new()).unwrap();
    assert_eq!(store.audit().verify().unwrap().entries, 12_000);
    assert!(store.stats().commits < 100, "{:?}", store.stats());
}

#[test]
fn a_note_is_written_by_itself_within_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.note(audit(1));
    while store.audit().head().unwrap().entries == 0 {
        std::thread::yield_now();
    }
}

/// What a falsifier does to the raw table. `i` is the entry it is about.
type Falsify = fn(&Store);

fn raw(store: &Store, seq: u64) -> Vec<u8> {
    store.engine().read(|r| r.raw(Table::Audit, &seq.to_be_bytes())).unwrap().unwrap()
}

/// As one who has no key: raw bytes are put where others were.
fn put_raw(store: &Store, seq: u64, bytes: &[u8]) {
    store.engine().write(|w| w.put_raw(Table::Audit, &seq.to_be_bytes(), bytes)).unwrap();
}

/// As one who has the key: the value is sealed for its new place.
fn put_sealed(store: &Store, seq: u64, plain: &[u8]) {
    store.engine().write(|w| w.put_sealed(Table::Audit, &seq.to_be_bytes(), plain)).unwrap();
}

fn plain(store: &Store, seq: u64) -> Vec<u8> {
    let key = seq.to_be_bytes();
    store.engine().keys.open("audit", &key, &raw(store, seq)).unwrap().to_vec()
}

fn remove(store: &Store, seq: u64) {
    assert!(store.engine().write(|w| w.remove(Table::Audit, &seq.to_be_bytes())).unwrap());
}

#[test]
fn every_falsification_is_found_where_it_begins() {
    let no_heads = StoreError::Tampered { table: "meta" };
    let cases: [(&str, u64, AuditFaultKind, Falsify); 10] = [
        ("one bit of a sealed entry", 4, AuditFaultKind::Edited, |s| {
            let mut bytes = raw(s, 4);
            bytes[50] ^= 1;
            put_raw(s, 4, &bytes);
        }),
        ("a body written anew with the key", 5, AuditFaultKind::Edited, |s| {
            let mut bytes = plain(s, 5);
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
            put_sealed(s, 5, &bytes);
        }),
        ("two sealed entries swapped", 2, AuditFaultKind::Reordered, |s| {
            let (two, three) = (raw(s, 2), raw(s, 3));
            put_raw(s, 2, &three);
            put_raw(s, 3, &two);
        }),
        ("two entries swapped with the key", 2, AuditFaultKind::Reordered, |s| {
            let (two, three) = (plain(s, 2), plain(s, 3));
            put_sealed(s, 2, &three);
            put_sealed(s, 3, &two);
        }),
        ("the first entry removed", 1, AuditFaultKind::Dropped, |s| remove(s, 1)),
        ("an entry in the middle removed", 6, AuditFaultKind::Dropped, |s| remove(s, 6)),
        ("the last entry removed", 9, AuditFaultKind::Truncated, |s| remove(s, 9)),
        ("the tail removed", 3, AuditFaultKind::Truncated, |s| (3..=9).for_each(|n| remove(s, n))),
        ("the tail removed and the head set back without the right hash", 8, AuditFaultKind::Edited, |s| {
            remove(s, 9);
            let heads = s.engine().read(|r| Heads::read(r)).unwrap();
            s.engine().write(|w| Heads { audit: 8, ..heads.clone() }.write(w)).unwrap();
        }),
        ("the head removed", 0, AuditFaultKind::Unreadable(no_heads.clone()), |s| {
            assert!(s.engine().write(|w| w.remove(Table::Meta, HEADS)).unwrap());
        }),
    ];
    for (what, seq, kind, falsify) in cases {
        let dir = tempfile::tempdir().unwrap();
        let store = with_entries(dir.path(), 9);
        assert!(store.audit().verify().is_ok());
        falsify(&store);
        let fault = store.audit().verify().unwrap_err();
        assert_eq!((fault.seq, fault.kind), (seq, kind), "{what}");
    }
}

#[test]
fn a_store_that_was_emptied_together_with_its_head_is_not_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_entries(dir.path(), 3);
    (1..=3).for_each(|n| remove(&store, n));
    assert!(store.engine().write(|w| w.remove(Table::Meta, HEADS)).unwrap());
    store.close();
    let opened = Store::open_with(dir.path(), keys(), Clock::manual(at(0)), small());
    assert_eq!(opened.unwrap_err(), StoreError::Tampered { table: "meta" });
}

/// Stores of releases that wrote no head before the first entry.
#[test]
fn an_empty_store_of_an_older_release_needs_no_head() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(store.engine().write(|w| w.remove(Table::Meta, HEADS)).unwrap());
    assert_eq!(store.audit().verify().unwrap().entries, 0);
    store
        .commit_blocking(batch(|b| {
            b.audit(audit(1));
        }))
        .unwrap();
    assert_eq!(store.audit().verify().unwrap().entries, 1);
}
