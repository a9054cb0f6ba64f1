//! What a pace has to remember beyond the life of its process: when calls were begun, and until when the vendor wants
//! none. Two commands in quick succession would otherwise spend one budget twice, and so would a crash.
//!
//! The file is appended to before each call, without a sync: that survives the death of the process, and a reboot
//! outlasts every window. Moments are those of the wall clock; where it is set meanwhile, the worst is a needless wait
//! of one window, or one "too many calls", which is waited out.

use chrono::TimeDelta;
use spend::Timestamp;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file is written anew when it has grown beyond this.
const COMPACT_ABOVE: usize = 64 * 1024;
/// The longest pause that is believed after a restart.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// The send log of one credential.
#[derive(Debug)]
pub(super) struct SendLog {
    path: PathBuf,
    /// Newest calls that any window counts.
    keep: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    length: usize,
    kept: Kept,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// When calls were begun, oldest first.
    pub(super) begun: VecDeque<Timestamp>,
    /// Until when the vendor wants none.
    pub(super) closed: Option<Timestamp>,
}

impl SendLog {
    /// Opens or creates a log that keeps the newest `keep` calls; answers what it says as well.
    pub(super) fn open(path: &Path, keep: usize, now: Timestamp) -> io::Result<(Self, Kept)> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let kept = read(&text, keep, now);
        let (file, length) = write_whole(path, &kept)?;
        let inner = Mutex::new(Inner { file, length, kept: kept.clone() });
        Ok((Self { path: path.to_owned(), keep, inner }, kept))
    }

    /// Notes a call that is about to be begun.
    pub(super) fn begin(&self, at: Timestamp) {
        self.note(&format!("{}\n", at.timestamp_millis()), |kept, keep| {
            kept.begun.push_back(at);
            while kept.begun.len() > keep {
                kept.begun.pop_front();
            }
        });
    }

    /// Notes that the vendor wants no call before `until`.
    pub(super) fn close(&self, until: Timestamp) {
        self.note(&format!("until {}\n", until.timestamp_millis()), |kept, _| {
            kept.closed = kept.closed.max(Some(until));
        });
    }

    /// A log that cannot be written does not stop the calls: the worst is a "too many calls" after a restart.
    fn note(&self, line: &str, change: impl FnOnce(&mut Kept, usize)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut inner.kept, self.keep);
        let written = inner.file.write_all(line.as_bytes()).and_then(|()| {
            inner.length += line.len();
            if inner.length > COMPACT_ABOVE {
                (inner.file, inner.length) = write_whole(&self.path, &inner.kept)?;
            }
            Ok(())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "a call cannot be noted for the pace of the next process");
        }
    }
}

/// Lines that say nothing usable (a torn last one) are left out. What lies in the future was noted before the clock
/// was set back, and counts as just now.
fn read(text: &str, keep: usize, now: Timestamp) -> Kept {
    let moment = |digits: &str| Timestamp::from_timestamp_millis(digits.parse().ok()?);
    let mut kept = Kept::default();
    for line in text.lines() {
        match line.strip_prefix("until ") {
            Some(digits) => kept.closed = kept.closed.max(moment(digits)),
            None => kept.begun.extend(moment(line).map(|at| at.min(now))),
        }
    }
    while kept.begun.len() > keep {
        kept.begun.pop_front();
    }
    kept.closed = kept.closed.filter(|until| *until > now).map(|until| until.min(now + LONGEST_PAUSE));
    kept
}

/// Replaces the file by way of a second one, so that a death in between leaves the old or the new.
fn write_whole(path: &Path, kept: &Kept) -> io::Result<(File, usize)> {
    let mut text = String::new();
    for at in &kept.begun {
        text.push_str(&format!("{}\n", at.timestamp_millis()));
    }
    if let Some(until) = kept.closed {
        text.push_str(&format!("until {}\n", until.timestamp_millis()));
    }
    let fresh = path.with_extension("new");
    // One handle from first to last: a second opening could fail after the rename.
    let mut file = File::options().write(true).create(true).truncate(true).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&fresh, path)?;
    Ok((file, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn the_newest_calls_and_the_pause_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (log, kept) = SendLog::open(&path, 2, at(0)).unwrap();
        assert_eq!(kept, Kept::default());
        (1..=3).for_each(|second| log.begin(at(second)));
        log.close(at(60));
        log.close(at(50));
        let (_, kept) = SendLog::open(&path, 2, at(4)).unwrap();
        assert_eq!(kept, Kept { begun: [at(2), at(3)].into(), closed: Some(at(60)) });
        let (_, kept) = SendLog::open(&path, 2, at(61)).unwrap();
        assert_eq!(kept.closed, None, "it is over");
    }

    #[test]
    fn a_torn_line_or_a_clock_set_back_only_makes_the_next_call_wait() {
        let text = format!(
            "{}\nnonsense\nuntil x\n{}\n18000",
            at(10).timestamp_millis(),
            at(999).timestamp_millis()
        );
        let kept = read(&text, 9, at(20));
        assert_eq!(kept.begun.iter().filter(|begun| **begun >= at(0)).count(), 2);
        assert_eq!(kept.begun.iter().max(), Some(&at(20)));
        assert_eq!(
            read(&format!("until {}", at(9_999_999).timestamp_millis()), 9, at(0)).closed,
            Some(at(3600))
        );
    }

    #[test]
    fn a_log_that_has_grown_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (log, _) = SendLog::open(&path, 20, at(0)).unwrap();
        (0..5_000).for_each(|second| log.begin(at(second)));
        assert!(std::fs::metadata(&path).unwrap().len() <= COMPACT_ABOVE as u64);
        let (_, kept) = SendLog::open(&path, 20, at(5_000)).unwrap();
        assert_eq!(kept.begun.back(), Some(&at(4_999)));
        assert_eq!(kept.begun.len(), 20);
    }
}
