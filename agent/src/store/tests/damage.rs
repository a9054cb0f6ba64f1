//! Files that are missing, short, foreign, falsified: an error with a name, never other data, nothing overwritten.

use super::samples::{MARKER, at, audit, batch, keys, open, posting, small};
use crate::clock::Clock;
use crate::secret::Origin;
use crate::store::access::Look as _;
use crate::store::marker::Marker;
use crate::store::tables::Table;
use crate::store::{
    AuditFaultKind, Batch, PostingFilter, StateTable, Store, StoreError, StoreKeys, StoredSecret,
};
use secrecy::SecretString;
use std::fs;
use std::path::Path;

fn try_open(dir: &Path) -> Result<Store, StoreError> {
    Store::open_with(dir, keys(), Clock::manual(at(0)), small())
}

/// A closed store with some of everything in it.
fn filled(dir: &Path, postings: u32) {
    let store = open(dir);
    let origins = vec![Origin::parse("https://erp.example.test").unwrap()];
    let fields = [("password".to_owned(), SecretString::from(MARKER))].into();
    let secret = StoredSecret { kind: MARKER.to_owned(), origins, fields };
    let fill = |b: &mut Batch| {
        b.put_secret(MARKER, secret).put(StateTable::Mirror, MARKER, &MARKER);
        (0..postings).for_each(|n| {
            b.put_posting(posting(n)).audit(audit(n));
        });
    };
    store.commit_blocking(batch(fill)).unwrap();
    store.close();
}

fn files(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_wrong_key_is_named_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let before = files(dir.path());
    let other = || StoreKeys::from_data_key(&[8; 32]);
    let clock = || Clock::manual(at(0));
    assert!(matches!(
        Store::open_with(dir.path(), other(), clock(), small()),
        Err(StoreError::WrongKey { .. })
    ));
    assert!(matches!(Store::open_read_only(dir.path(), other(), clock()), Err(StoreError::WrongKey { .. })));
    assert_eq!(files(dir.path()), before);
    assert!(try_open(dir.path()).unwrap().posting(&posting(1).key).unwrap().is_some());
}

#[test]
fn a_missing_short_or_empty_data_file_is_named_and_not_a_first_start() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let data = dir.path().join("data.mdb");
    let whole = fs::read(&data).unwrap();
    for length in [0, 1, 4096, 8192, whole.len() / 2, whole.len() - 1] {
        fs::write(&data, &whole[..length]).unwrap();
        let expected = whole.len() as u64;
        let refused = try_open(dir.path()).unwrap_err();
        assert_eq!(
            refused,
            StoreError::Truncated { path: data.canonicalize().unwrap(), expected, found: length as u64 }
        );
        assert_eq!(fs::metadata(&data).unwrap().len(), length as u64);
        assert!(matches!(
            Store::open_read_only(dir.path(), keys(), Clock::manual(at(0))),
            Err(StoreError::Truncated { .. })
        ));
    }
    fs::remove_file(&data).unwrap();
    assert!(matches!(try_open(dir.path()), Err(StoreError::Missing { .. })));
    assert!(!data.exists());
    fs::write(&data, vec![0; whole.len()]).unwrap();
    assert!(matches!(try_open(dir.path()), Err(StoreError::Damaged { .. })));
    fs::write(&data, &whole).unwrap();
    assert!(try_open(dir.path()).unwrap().posting(&posting(1).key).unwrap().is_some());
}

#[test]
fn a_foreign_data_file_or_a_missing_marker_is_named() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path(), 1);
    filled(other.path(), 2);
    fs::copy(other.path().join("data.mdb"), dir.path().join("data.mdb")).unwrap();
    assert!(matches!(try_open(dir.path()), Err(StoreError::Replaced { .. })));
    let mark = other.path().join("store.mark");
    let text = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, &text[..text.len() / 2]).unwrap();
    assert!(matches!(try_open(other.path()), Err(StoreError::Marker { .. })));
    fs::remove_file(&mark).unwrap();
    assert!(matches!(try_open(other.path()), Err(StoreError::Marker { .. })));
    fs::write(&mark, text.replace("\"schema\":1", "\"schema\":2")).unwrap();
    assert!(matches!(try_open(other.path()), Err(StoreError::NewerSchema { found: 2, known: 1, .. })));
    fs::write(&mark, text).unwrap();
    try_open(other.path()).unwrap().close();
}

#[test]
fn a_creation_that_was_cut_short_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let unfinished = Marker::fresh(&keys(), 1);
    unfinished.write(dir.path()).unwrap();
    fs::write(dir.path().join("data.mdb"), b"half").unwrap();
    assert!(matches!(
        Store::open_with(dir.path(), StoreKeys::from_data_key(&[8; 32]), Clock::manual(at(0)), small()),
        Err(StoreError::WrongKey { .. })
    ));
    open(dir.path()).close();
    assert_ne!(Marker::read(dir.path()).unwrap().unwrap(), unfinished);
}

#[test]
fn a_store_that_was_declared_unfinished_or_lost_its_files_is_not_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let (mark, data) = (dir.path().join("store.mark"), dir.path().join("data.mdb"));
    let (text, whole) = (fs::read_to_string(&mark).unwrap(), fs::read(&data).unwrap());
    let declared = text.replace(&format!("\"length\":{}", whole.len()), "\"length\":0");
    assert_ne!(declared, text);
    fs::write(&mark, declared).unwrap();
    assert!(matches!(try_open(dir.path()), Err(StoreError::Marker { .. })));
    fs::remove_file(&mark).unwrap();
    fs::remove_file(&data).unwrap();
    assert!(matches!(try_open(dir.path()), Err(StoreError::Marker { .. })));
    assert!(!data.exists());
    fs::write(&mark, text).unwrap();
    fs::write(&data, whole).unwrap();
    assert!(try_open(dir.path()).unwrap().posting(&posting(1).key).unwrap().is_some());
}

#[test]
fn a_value_moved_to_another_place_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .commit_blocking(batch(|b| {
            b.put_posting(posting(1)).put_posting(posting(2));
        }))
        .unwrap();
    let raw =
        |seq: u64| store.engine().read(|r| r.raw(Table::Postings, &seq.to_be_bytes())).unwrap().unwrap();
    let (one, two) = (raw(1), raw(2));
    store.engine().write(|w| w.put_raw(Table::Postings, &1u64.to_be_bytes(), &two)).unwrap();
    let tampered = StoreError::Tampered { table: "postings" };
    assert_eq!(store.posting(&posting(1).key), Err(tampered.clone()));
    assert!(!tampered.to_string().contains(MARKER));
    store.engine().write(|w| w.put_raw(Table::Postings, &1u64.to_be_bytes(), &one)).unwrap();
    assert_eq!(store.posting(&posting(1).key).unwrap(), Some(posting(1)));
}

#[test]
fn a_posting_lost_from_the_index_is_noticed_before_it_can_be_claimed_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .commit_blocking(batch(|b| {
            b.put_posting(posting(1));
        }))
        .unwrap();
    let key = store.engine().keys.index_hash("posting", &[posting(1).key.as_str()]);
    assert!(store.engine().write(|w| w.remove(Table::ByKey, &key)).unwrap());
    assert_eq!(
        store.commit_blocking(batch(|b| {
            b.put_posting(posting(1));
        })),
        Err(StoreError::Tampered { table: "posting-by-key" })
    );
}

#[test]
fn nothing_that_was_written_can_be_read_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 50);
    let words = [MARKER, "example.test", "expensify-epicor", "R00000001", "6100|00", posting(1).key.as_str()]
        .map(|word| word.to_owned());
    for (path, bytes) in files(dir.path()) {
        for word in &words {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "`{word}` is in {}", path.display());
        }
    }
}

/// The outcome of reading a store whose file has one wrong byte, as the child process reports it.
const INTACT: i32 = 40;
const REFUSED: i32 = 41;
const WRONG: i32 = 42;
const PLAN: &str = "PURSER_TEST_FLIPPED_STORE";

fn read_everything(dir: &Path, postings: u32) -> Result<bool, StoreError> {
    let store = try_open(dir)?;
    for n in 0..postings {
        // A posting that is not found by its key must be found by its record, or an error be told.
        let wanted = posting(n);
        let found = store.posting(&wanted.key)?;
        let by_record = store.postings_of(&wanted.flow, &wanted.source_id)?;
        if found.as_ref().or(by_record.first()) != Some(&wanted) {
            return Ok(false);
        }
    }
    store.counts()?;
    store.secret(MARKER)?;
    store.get::<String>(StateTable::Mirror, MARKER)?;
    let mut right = true;
    store.for_each(&PostingFilter::default(), |p| {
        right &= u32::try_from(p.total.minor - 1).is_ok_and(|n| p == posting(n));
    })?;
    match store.audit().verify() {
        Ok(head) => Ok(right && head.entries == u64::from(postings)),
        Err(fault) => match fault.kind {
            AuditFaultKind::Unreadable(error) => Err(error),
            _ => Err(StoreError::Tampered { table: "audit" }),
        },
    }
}

/// Runs only as the child of the test below; damaged pages may end a process, which is not wrong data either.
#[test]
fn child_reads_a_store_with_a_flipped_byte() {
    let Ok(dir) = std::env::var(PLAN) else { return };
    let code = match read_everything(Path::new(&dir), 40) {
        Ok(true) => INTACT,
        Ok(false) => WRONG,
        Err(_) => REFUSED,
    };
    std::process::exit(code);
}

#[test]
fn a_flipped_byte_anywhere_in_the_file_is_an_error_or_harmless_and_never_other_data() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path(), 40);
    let used = usize::try_from({
        let store = open(dir.path());
        store.stats().used
    })
    .unwrap();
    let whole = files(dir.path());
    let mut tally = std::collections::BTreeMap::<Option<i32>, u32>::new();
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..120 {
        for (path, bytes) in &whole {
            let mut bytes = bytes.clone();
            if path.ends_with("data.mdb") {
                bytes[random.usize(..used)] ^= 1 << random.u32(..8);
            }
            fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::damage::child_reads_a_store_with_a_flipped_byte"])
            .env(PLAN, copy.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        *tally.entry(child.code()).or_default() += 1;
        assert_ne!(child.code(), Some(WRONG), "other data was read");
    }
    assert!(tally.contains_key(&Some(REFUSED)) && tally.contains_key(&Some(INTACT)), "{tally:?}");
}

/// Runs only as the child of the test below.
#[test]
fn child_reads_beside_the_writer() {
    let Ok(dir) = std::env::var("PURSER_TEST_READER_STORE") else { return };
    let store = Store::open_read_only(Path::new(&dir), keys(), Clock::manual(at(0))).unwrap();
    let first = store.list(&PostingFilter::default(), 1).unwrap().len();
    // Tell the writer to go on; it answers when the file has grown.
    println!("opened {first}");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let mut seen = 0;
    store.for_each(&PostingFilter::default(), |_| seen += 1).unwrap();
    assert_eq!(line.trim(), seen.to_string());
    assert!(matches!(store.commit_blocking(Batch::new()), Err(StoreError::ReadOnly)));
    assert!(matches!(try_open(Path::new(&dir)), Err(StoreError::Locked { .. })));
    std::process::exit(INTACT);
}

#[test]
fn another_process_reads_beside_the_writer_and_follows_its_growth() {
    use std::io::{BufRead as _, Write as _};
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .commit_blocking(batch(|b| {
            b.put_posting(posting(0));
        }))
        .unwrap();
    let before = store.stats().map_size;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "store::tests::damage::child_reads_beside_the_writer"])
        .env("PURSER_TEST_READER_STORE", dir.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains("opened 1")));
    store
        .commit_blocking(batch(|b| {
            (1..2_000).for_each(|n| {
                b.put_posting(posting(n));
            })
        }))
        .unwrap();
    assert!(store.stats().map_size > before);
    writeln!(child.stdin.take().unwrap(), "2000").unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(INTACT), "{rest:?}");
}
