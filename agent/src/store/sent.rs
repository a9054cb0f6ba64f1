//! Which claims may have been sent. Claims are made durable in batches, so a process that dies leaves claims behind
//! that it never got to. Right before a claim's first write, its key is appended to a small file *without* a sync:
//! that survives the death of the process, not that of the machine. So marks count only within one boot of the
//! operating system; after a reboot every open claim may have been sent.
//!
//! The file holds keys only, which are hashes.

use spend::ids::PostingKey;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// File name below the store's directory.
pub(super) const FILE: &str = "sent-marks";
/// Forgotten keys are dropped from the file when it has grown beyond this.
const COMPACT_ABOVE: u64 = 256 * 1024;

/// The keys of claims that may have been sent.
#[derive(Debug)]
pub(super) struct SentMarks {
    path: PathBuf,
    boot: Option<String>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    length: u64,
    keys: BTreeSet<PostingKey>,
}

impl SentMarks {
    /// Opens the marks. `boot` identifies this boot of the operating system, where it can be known. `open_claims`
    /// are all claims without an answer: when the marks cannot be trusted, all of them may have been sent.
    pub(super) fn open(dir: &Path, boot: Option<String>, open_claims: &[PostingKey]) -> io::Result<Self> {
        let path = dir.join(FILE);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let keys =
            read_marks(&before, boot.as_deref()).unwrap_or_else(|| open_claims.iter().cloned().collect());
        let (file, length) = write_whole(&path, boot.as_deref(), &keys)?;
        Ok(Self { path, boot, inner: Mutex::new(Inner { file, length, keys }) })
    }

    /// Notes that a claim is about to be sent.
    pub(super) fn mark(&self, key: &PostingKey) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{key}\n");
        inner.file.write_all(line.as_bytes())?;
        inner.length += line.len() as u64;
        inner.keys.insert(key.clone());
        Ok(())
    }

    /// Whether a claim may have been sent.
    pub(super) fn contains(&self, key: &PostingKey) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).keys.contains(key)
    }

    /// Forgets claims whose answer is durable.
    pub(super) fn forget(&self, keys: &[PostingKey]) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            inner.keys.remove(key);
        }
        if inner.length > COMPACT_ABOVE {
            let (file, length) = write_whole(&self.path, self.boot.as_deref(), &inner.keys)?;
            inner.file = file;
            inner.length = length;
        }
        Ok(())
    }
}

/// The marks of this boot; `None` when they cannot be trusted.
fn read_marks(text: &str, boot: Option<&str>) -> Option<BTreeSet<PostingKey>> {
    let (head, rest) = text.split_once('\n')?;
    if boot.is_none() || boot != Some(head) || !(rest.is_empty() || rest.ends_with('\n')) {
        return None;
    }
    let well_formed = |line: &str| line.len() == 32 && line.bytes().all(|b| b.is_ascii_hexdigit());
    rest.lines().map(|line| well_formed(line).then(|| PostingKey::new(line))).collect()
}

/// Replaces the file by way of a second one, so that a death in between leaves the old or the new.
fn write_whole(path: &Path, boot: Option<&str>, keys: &BTreeSet<PostingKey>) -> io::Result<(File, u64)> {
    let mut text = format!("{}\n", boot.unwrap_or("unknown"));
    for key in keys {
        text.push_str(key.as_str());
        text.push('\n');
    }
    let fresh = path.with_extension("new");
    // One handle from first to last: a second opening could fail after the rename, and marks would go astray.
    let mut file = File::options().write(true).create(true).truncate(true).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&fresh, path)?;
    Ok((file, text.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PostingKey {
        PostingKey::new(format!("{n:032x}"))
    }

    fn reopen(dir: &Path, boot: Option<&str>) -> SentMarks {
        SentMarks::open(dir, boot.map(str::to_owned), &[key(1), key(2)]).unwrap()
    }

    #[test]
    fn only_marked_claims_may_have_been_sent_within_one_boot() {
        let dir = tempfile::tempdir().unwrap();
        let marks = SentMarks::open(dir.path(), Some("boot-a".to_owned()), &[]).unwrap();
        marks.mark(&key(1)).unwrap();
        drop(marks);
        let marks = reopen(dir.path(), Some("boot-a"));
        assert!(marks.contains(&key(1)));
        assert!(!marks.contains(&key(2)));
    }

    #[test]
    fn after_a_reboot_every_open_claim_may_have_been_sent() {
        let dir = tempfile::tempdir().unwrap();
        drop(reopen(dir.path(), Some("boot-a")));
        let marks = reopen(dir.path(), Some("boot-b"));
        assert!(marks.contains(&key(1)) && marks.contains(&key(2)));
    }

    #[test]
    fn without_a_boot_id_or_with_a_torn_file_every_open_claim_may_have_been_sent() {
        let dir = tempfile::tempdir().unwrap();
        drop(reopen(dir.path(), None));
        assert!(reopen(dir.path(), None).contains(&key(2)));
        std::fs::write(dir.path().join(FILE), "boot-a\n0000").unwrap();
        assert!(reopen(dir.path(), Some("boot-a")).contains(&key(2)));
    }

    #[test]
    fn forgotten_marks_leave_the_file_when_it_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let marks = reopen(dir.path(), Some("boot-a"));
        for _ in 0..9_000 {
            marks.mark(&key(3)).unwrap();
        }
        marks.forget(&[key(1), key(2), key(3)]).unwrap();
        assert!(std::fs::metadata(dir.path().join(FILE)).unwrap().len() < 100);
    }
}
