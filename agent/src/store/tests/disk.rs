//! A disk that fails while it is written: what was acknowledged before stays, and nothing is promised afterwards.

use super::samples::{audit, batch, claimed, flow, open, posting};
use crate::store::engine::Fault;
use crate::store::{Batch, StoreError};
use std::io;

fn failed() -> io::Error {
    io::Error::other("Input/output error (os error 5)")
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let write = |n| {
        batch(|b| {
            b.put_posting(posting(n)).audit(audit(n));
        })
    };
    store.commit(write(1)).await.unwrap();
    store.fail_next_commit(failed());
    let lost = store.commit(write(2)).await.unwrap_err();
    let StoreError::Poisoned { dir: named, cause } = &lost else { panic!("{lost:?}") };
    assert_eq!(
        (named, cause.as_str()),
        (&dir.path().canonicalize().unwrap(), "Input/output error (os error 5)")
    );
    // The disk answers again, but what it holds is not known any more.
    assert!(matches!(store.commit(write(3)).await, Err(StoreError::Poisoned { .. })));
    assert!(matches!(store.claim(vec![claimed(4)], Batch::new()).await, Err(StoreError::Poisoned { .. })));
    assert!(store.stats().poisoned.is_some());
    assert_eq!(store.posting(&posting(1).key).unwrap(), Some(posting(1)), "reading goes on");
    store.close();
    let store = open(dir.path());
    assert_eq!(store.posting(&posting(1).key).unwrap(), Some(posting(1)));
    store.commit(write(5)).await.unwrap();
    assert_eq!(store.counts().unwrap()[&(flow(), "planned")], 2);
    store.audit().verify().unwrap();
}

#[tokio::test]
async fn an_engine_that_gave_up_for_good_asks_for_a_restart_whichever_call_finds_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // A full disk at the write of LMDB's own head makes this the answer to every later transaction.
    let told = store.engine().fault(heed::Error::Mdb(heed::MdbError::Panic));
    assert!(matches!(told, Fault::Store(StoreError::Poisoned { .. })), "{told:?}");
    assert!(store.stats().poisoned.is_some());
    assert!(matches!(store.commit(Batch::new()).await, Err(StoreError::Poisoned { .. })));
}

#[tokio::test]
async fn a_claim_whose_sync_failed_gives_no_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.fail_next_commit(failed());
    assert!(matches!(store.claim(vec![claimed(1)], Batch::new()).await, Err(StoreError::Poisoned { .. })));
}

#[tokio::test]
async fn a_disk_that_was_full_at_the_sync_is_written_again_when_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let write = || {
        batch(|b| {
            b.put_posting(posting(1));
        })
    };
    store.fail_next_commit(io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(store.commit(write()).await, Err(StoreError::DiskFull { .. })));
    assert_eq!((store.stats().poisoned, store.posting(&posting(1).key).unwrap()), (None, None));
    store.commit(write()).await.unwrap();
    assert_eq!(store.posting(&posting(1).key).unwrap(), Some(posting(1)));
}
