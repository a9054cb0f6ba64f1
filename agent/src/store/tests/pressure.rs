//! Many callers, a map that fills, a disk that fills.

use super::samples::{at, audit, batch, claimed, flow, keys, open, posting, small};
use crate::clock::Clock;
use crate::store::access::Reader;
use crate::store::engine::Fault;
use crate::store::{AuditDraft, Batch, Options, PostingFilter, StateTable, Store, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test]
async fn commits_that_wait_together_share_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = store.stats().commits;
    let commits = (0..400).map(|n| {
        store.commit(batch(|b| {
            b.put_posting(posting(n));
        }))
    });
    for outcome in futures_util::future::join_all(commits).await {
        outcome.unwrap();
    }
    let syncs = store.stats().commits - before;
    assert!(syncs <= 40, "{syncs} syncs for 400 commits");
    assert_eq!(store.counts().unwrap()[&(flow(), "planned")], 400);
}

#[tokio::test]
async fn a_batch_that_fails_does_not_take_its_neighbours_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .commit(batch(|b| {
            b.put_posting(claimed(50));
        }))
        .await
        .unwrap();
    let claims = (40..60).map(|n| {
        store.claim(
            vec![claimed(n)],
            batch(|b| {
                b.audit(audit(n));
            }),
        )
    });
    let outcomes = futures_util::future::join_all(claims).await;
    let refused: Vec<_> = outcomes.iter().enumerate().filter(|(_, o)| o.is_err()).map(|(at, _)| at).collect();
    assert_eq!(refused, [10]);
    assert_eq!(store.counts().unwrap()[&(flow(), "claimed")], 20);
    assert_eq!(store.audit().verify().unwrap().entries, 19);
}

#[test]
fn the_map_grows_under_load_while_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = store.stats().map_size;
    let running = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while running.load(Ordering::Relaxed) {
                let seen = store.list(&PostingFilter::default(), 20).unwrap();
                for summary in &seen {
                    assert!(store.posting(&summary.key).unwrap().is_some());
                }
            }
        });
        for start in (0..6_000).step_by(500) {
            let fill = |b: &mut Batch| {
                (start..start + 500).for_each(|n| {
                    b.put_posting(posting(n));
                })
            };
            store.commit_blocking(batch(fill)).unwrap();
        }
        running.store(false, Ordering::Relaxed);
    });
    let stats = store.stats();
    assert!(stats.map_size >= first * 8, "{stats:?}");
    assert!(stats.used <= stats.map_size / 10 * 9, "{stats:?}");
    store.close();
    let store = open(dir.path());
    let mut seen = 0;
    store
        .for_each(&PostingFilter::default(), |p| {
            assert_eq!(p, posting(seen));
            seen += 1;
        })
        .unwrap();
    assert_eq!(seen, 6_000);
}

/// Runs only as the child of the test below: reads until it is killed.
#[test]
fn child_holds_a_read() {
    let Ok(dir) = std::env::var("PURSER_TEST_HELD_STORE") else { return };
    let store = Store::open_read_only(Path::new(&dir), keys(), Clock::manual(at(0))).unwrap();
    let hold = |_: &Reader<'_>| -> Result<(), Fault> {
        println!("holding");
        loop {
            std::thread::park();
        }
    };
    store.engine().read(hold).unwrap();
}

#[test]
fn a_reader_that_was_killed_does_not_make_the_file_grow() {
    use std::io::BufRead as _;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut random = fastrand::Rng::with_seed(4);
    let mut write = || {
        let text: String = (0..40_000).map(|_| random.alphanumeric()).collect();
        let put = batch(|b| {
            b.put(StateTable::Mirror, "one", &text);
        });
        store.commit_blocking(put).unwrap();
    };
    write();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "store::tests::pressure::child_holds_a_read"])
        .env("PURSER_TEST_HELD_STORE", dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("holding")));
    child.kill().unwrap();
    child.wait().unwrap();
    (1..400).for_each(|_| write());
    let stats = store.stats();
    assert!(stats.used < 3 << 20, "400 times the same 40 KB: {stats:?}");
}

#[tokio::test]
async fn nothing_is_written_below_the_floor_and_work_goes_on_when_space_returns() {
    let dir = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(1_000));
    let told = Arc::clone(&free);
    let options = Options {
        free_floor: 500,
        free_space: Arc::new(move |_: &Path| Ok(told.load(Ordering::Relaxed))),
        ..small()
    };
    let store = Store::open_with(dir.path(), keys(), Clock::manual(at(0)), options).unwrap();
    free.store(499, Ordering::Relaxed);
    store.note(audit(1));
    let refused = store
        .commit(batch(|b| {
            b.put_posting(posting(1)).audit(audit(2));
        }))
        .await
        .unwrap_err();
    let path = dir.path().canonicalize().unwrap();
    assert_eq!(refused, StoreError::DiskFull { path: path.clone(), free: 499, needed: 500 });
    assert!(refused.to_string().contains(path.to_str().unwrap()));
    assert!(store.claim(vec![claimed(3)], Batch::new()).await.is_err());
    assert_eq!(store.posting(&posting(1).key).unwrap(), None);
    assert_eq!(store.audit().head().unwrap().entries, 0);
    free.store(500, Ordering::Relaxed);
    store
        .commit(batch(|b| {
            b.put_posting(posting(1)).audit(audit(2));
        }))
        .await
        .unwrap();
    // The note that waited is there too, before what came later.
    let times: Vec<_> = store.audit().entries(1, 9).unwrap().iter().map(|e| e.draft.at).collect();
    assert_eq!(times, [at(1), at(2)]);
}

#[test]
fn a_backlog_of_notes_waits_for_space_without_haste_and_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let (free, attempts) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
    let (told, counted) = (Arc::clone(&free), Arc::clone(&attempts));
    let options = Options {
        free_floor: 500,
        free_space: Arc::new(move |_: &Path| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(told.load(Ordering::Relaxed))
        }),
        ..small()
    };
    let store = Store::open_with(dir.path(), keys(), Clock::manual(at(0)), options).unwrap();
    free.store(0, Ordering::Relaxed);
    let (done, all_taken) = std::sync::mpsc::channel();
    let writer = store.clone();
    std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(6);
        for n in 0..160 {
            let text: String = (0..50_000).map(|_| random.alphanumeric()).collect();
            writer.note(AuditDraft { detail: serde_json::json!(text), ..audit(n) });
        }
        done.send(()).unwrap();
    });
    all_taken.recv_timeout(std::time::Duration::from_secs(60)).expect("a caller was held up");
    while !store.notes_stuck() {
        std::thread::yield_now();
    }
    let before = attempts.load(Ordering::Relaxed);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let more = attempts.load(Ordering::Relaxed) - before;
    assert!(more <= 2, "{more} attempts in a second");
    free.store(u64::MAX, Ordering::Relaxed);
    while store.audit().head().unwrap().entries < 160 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(!store.notes_stuck());
    let mut times = Vec::new();
    store.audit().for_each(1, |entry| times.push(entry.draft.at)).unwrap();
    assert_eq!(times, (0..160).map(at).collect::<Vec<_>>());
    store.audit().verify().unwrap();
}

#[test]
fn creating_a_store_on_a_full_disk_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { free_floor: u64::MAX, ..small() };
    let refused = Store::open_with(dir.path(), keys(), Clock::manual(at(0)), options);
    assert!(matches!(refused, Err(StoreError::DiskFull { .. })));
    open(dir.path()).close();
}

/// A small disk of its own, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` only where it cannot be had: without root. A root that may not mount fails the test.
    fn mount(megabytes: u32) -> Option<Self> {
        let id = std::process::Command::new("id").arg("-u").output();
        if !id.is_ok_and(|id| id.stdout.trim_ascii() == b"0") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(mount.success(), "root, but a tmpfs cannot be mounted: {mount}");
        Some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[test]
fn a_disk_that_really_fills_loses_nothing_and_work_goes_on_after_it_was_cleared() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let dir = disk.0.path().join("store");
    let options = || Options { free_floor: 1 << 20, ..small() };
    let store = Store::open_with(&dir, keys(), Clock::manual(at(0)), options()).unwrap();
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let mut stored = 0;
    let refused = loop {
        let put = store.commit_blocking(batch(|b| {
            b.put_posting(posting(stored)).audit(audit(stored));
        }));
        match put {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::DiskFull { .. }), "{refused}");
    assert!(stored > 100);
    assert_eq!(store.posting(&posting(stored).key).unwrap(), None);
    assert_eq!(store.counts().unwrap()[&(flow(), "planned")], u64::from(stored));
    std::fs::remove_file(&ballast).unwrap();
    store
        .commit_blocking(batch(|b| {
            b.put_posting(posting(stored)).audit(audit(stored));
        }))
        .unwrap();
    store.close();
    let store = Store::open_with(&dir, keys(), Clock::manual(at(0)), options()).unwrap();
    let mut seen = 0;
    store
        .for_each(&PostingFilter::default(), |p| {
            assert_eq!(p, posting(seen));
            seen += 1;
        })
        .unwrap();
    assert_eq!(seen, stored + 1);
    assert_eq!(store.audit().verify().unwrap().entries, u64::from(stored) + 1);
    drop(store);
}
