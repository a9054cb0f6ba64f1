//! LMDB: opening, tables, map growth, short transactions. The only `unsafe` of the project is here.
//!
//! Newcomers get the map wrong: it may be resized only while this process has no transaction open, so every
//! transaction holds `gate` shared and growth holds it alone. Never start a read inside a read.

use super::Options;
use super::access::{Reader, Writer};
use super::error::StoreError;
use super::marker::{Marker, data_path};
use super::seal::StoreKeys;
use super::tables::{Raw, Table, create_tables, find_tables};
use super::upgrade;
use heed::{Env, EnvFlags, EnvOpenOptions, MdbError, WithoutTls};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// After so many touched pages the map is made anew. A page that was touched once counts as resident memory from then
/// on (with its neighbours, up to 64 KiB), so a large log would grow the process without ever needing the memory.
const TRIM_AFTER: u64 = 12;

/// How often it is looked for readers that died: a transaction that nobody will end keeps every page that was freed
/// since from being used again, and the file would grow with each commit.
const LOOK_FOR_DEAD: Duration = Duration::from_secs(3600);

/// Greatest map: 1 TiB of address space.
const MAP_LIMIT: u64 = 1 << 40;

/// The open environment with its tables.
pub(crate) struct Engine {
    env: Env<WithoutTls>,
    tables: [Raw; Table::COUNT],
    gate: RwLock<()>,
    pub(crate) dir: PathBuf,
    pub(crate) keys: StoreKeys,
    options: Options,
    /// The marker as last written; the writer updates it when the file grows.
    marker: Mutex<Marker>,
    map: AtomicU64,
    /// Pages looked at since the map was last made anew, roughly.
    touched: AtomicU64,
    commits: AtomicU64,
    /// When it was last looked for readers that died.
    looked_for_dead: Mutex<Instant>,
    poison: Mutex<Option<String>>,
    /// What the disk answers to the next commit, in tests.
    #[cfg(test)]
    pub(crate) fails_next: Mutex<Option<std::io::Error>>,
    /// Held while the environment is open, by the writer; dropped after it.
    _lock: Option<File>,
}

/// What was opened.
struct Opened {
    env: Env<WithoutTls>,
    tables: [Raw; Table::COUNT],
    map: u64,
    lock: Option<File>,
}

/// Why a transaction did not do what it should.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The map is full: grow it and try again.
    MapFull,
    /// The file outgrew our map (another process is the writer): map it anew and try again.
    MapResized,
    /// Final.
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Engine {
    /// Opens the one writable environment, or creates the store.
    pub(crate) fn open_writer(
        dir: &Path,
        keys: StoreKeys,
        options: Options,
        lock: File,
    ) -> Result<Self, StoreError> {
        let known = Marker::read(dir)?;
        let (mut marker, length) = match known {
            Some(marker) if !marker.is_unfinished(dir, &keys)? => {
                let length = marker.examine(dir, &keys)?;
                (marker, length)
            }
            // Nothing of an unfinished creation was ever acknowledged: begin again.
            Some(_) | None => {
                enough_space(dir, &options)?;
                (start_over(dir, &keys)?, 0)
            }
        };
        upgrade::check(dir, marker.schema)?;
        let map = page_multiple(length.max(options.initial_map));
        let env = open_env(dir, map, EnvFlags::empty())?;
        drop(env.clear_stale_readers());
        let tables = create_tables(dir, &env)?;
        if length < map {
            extend(dir, map)?;
        }
        let creating = marker.length == 0;
        let grown = marker.finished(&keys, map);
        let changed = std::mem::replace(&mut marker, grown.clone()) != grown;
        let engine =
            Self::assemble(dir, keys, options, Opened { env, tables, map, lock: Some(lock) }, marker);
        if creating {
            engine.write(|w| upgrade::stamp_new(w, &engine.marker_now()))?;
        } else {
            engine.read(|r| upgrade::verify(r, &engine.marker_now()))?;
        }
        if changed {
            engine.marker_now().write(dir)?;
        }
        Ok(engine)
    }

    /// Opens a reading environment beside the writer's, usually in another process.
    pub(crate) fn open_reader(dir: &Path, keys: StoreKeys, options: Options) -> Result<Self, StoreError> {
        let marker = Marker::read(dir)?
            .filter(|marker| marker.length > 0)
            .ok_or_else(|| StoreError::NotCreated { dir: dir.to_owned() })?;
        let length = marker.examine(dir, &keys)?;
        upgrade::check(dir, marker.schema)?;
        let map = page_multiple(length);
        let env = open_env(dir, map, EnvFlags::READ_ONLY)?;
        let tables = find_tables(dir, &env)?;
        let engine = Self::assemble(dir, keys, options, Opened { env, tables, map, lock: None }, marker);
        engine.read(|r| upgrade::verify(r, &engine.marker_now()))?;
        Ok(engine)
    }

    fn assemble(dir: &Path, keys: StoreKeys, options: Options, opened: Opened, marker: Marker) -> Self {
        Self {
            env: opened.env,
            tables: opened.tables,
            gate: RwLock::new(()),
            dir: dir.to_owned(),
            keys,
            options,
            marker: Mutex::new(marker),
            map: AtomicU64::new(opened.map),
            touched: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            looked_for_dead: Mutex::new(Instant::now()),
            poison: Mutex::new(None),
            #[cfg(test)]
            fails_next: Mutex::new(None),
            _lock: opened.lock,
        }
    }

    fn marker_now(&self) -> Marker {
        self.marker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs a short read. The closure must not start another.
    pub(crate) fn read<R>(&self, f: impl Fn(&Reader<'_>) -> Result<R, Fault>) -> Result<R, StoreError> {
        loop {
            let shared = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            let outcome = self.env.read_txn().map_err(|e| self.fault(e)).and_then(|txn| {
                let answer = f(&Reader::new(self, &txn))?;
                Ok(answer)
            });
            drop(shared);
            self.trim();
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(Fault::Store(error)) => return Err(error),
                Err(Fault::MapResized | Fault::MapFull) => self.remap()?,
            }
        }
    }

    /// Runs one write transaction and makes it durable. The closure runs again after the map has grown.
    pub(crate) fn write<R>(&self, f: impl Fn(&mut Writer<'_>) -> Result<R, Fault>) -> Result<R, StoreError> {
        loop {
            let shared = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            let outcome = self.write_once(&f);
            drop(shared);
            match outcome {
                Ok(answer) => {
                    self.commits.fetch_add(1, Ordering::Relaxed);
                    self.keep_headroom();
                    self.look_for_dead_readers();
                    self.trim();
                    return Ok(answer);
                }
                Err(Fault::Store(error)) => return Err(error),
                Err(Fault::MapFull) => self.grow()?,
                Err(Fault::MapResized) => self.remap()?,
            }
        }
    }

    fn write_once<R>(&self, f: &impl Fn(&mut Writer<'_>) -> Result<R, Fault>) -> Result<R, Fault> {
        let txn = self.env.write_txn().map_err(|e| self.fault(e))?;
        let mut writer = Writer::new(self, txn);
        let answer = f(&mut writer)?;
        writer.commit()?;
        Ok(answer)
    }

    /// A failed commit: the disk's own failures poison the store, since what was synced is not known any more.
    pub(crate) fn commit_fault(&self, error: heed::Error) -> Fault {
        match &error {
            heed::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => {
                let needed = self.options.free_floor;
                Fault::Store(StoreError::DiskFull { path: self.dir.clone(), free: 0, needed })
            }
            heed::Error::Io(cause) => Fault::Store(self.poison(cause.to_string())),
            _ => self.fault(error),
        }
    }

    #[cfg(test)]
    pub(crate) fn fail_if_asked(&self) -> Result<(), Fault> {
        let fault = self.fails_next.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault.map_or(Ok(()), |error| Err(self.commit_fault(heed::Error::Io(error))))
    }

    fn poison(&self, cause: String) -> StoreError {
        let mut poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        let cause = poison.get_or_insert(cause).clone();
        StoreError::Poisoned { dir: self.dir.clone(), cause }
    }

    /// Refuses when an earlier write failed, or when the disk is nearly full.
    pub(crate) fn may_write(&self) -> Result<(), StoreError> {
        if let Some(cause) = self.poisoned() {
            return Err(StoreError::Poisoned { dir: self.dir.clone(), cause });
        }
        enough_space(&self.dir, &self.options)
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn free_disk(&self) -> Option<u64> {
        (self.options.free_space)(&self.dir).ok()
    }

    pub(crate) fn poisoned(&self) -> Option<String> {
        self.poison.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn fault(&self, error: heed::Error) -> Fault {
        match error {
            heed::Error::Mdb(MdbError::MapFull) => Fault::MapFull,
            heed::Error::Mdb(MdbError::MapResized) => Fault::MapResized,
            // LMDB gave up for good, at this or at an earlier commit: a fresh process must read the state from disk.
            heed::Error::Mdb(MdbError::Panic) => Fault::Store(self.poison(error.to_string())),
            other => Fault::Store(named(&self.dir, &other)),
        }
    }

    fn look_for_dead_readers(&self) {
        let mut looked = self.looked_for_dead.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() >= LOOK_FOR_DEAD {
            *looked = Instant::now();
            self.forget_dead_readers();
        }
    }

    /// Gives up the transactions of processes that were killed while they read.
    fn forget_dead_readers(&self) {
        match self.env.clear_stale_readers() {
            Ok(0) => {}
            Ok(readers) => tracing::info!(readers, "gave up the reads of processes that have died"),
            Err(error) => tracing::warn!(%error, "cannot look for readers that have died"),
        }
    }

    /// Ten per cent of the map stay free, since deletes need room too. What was committed before stays committed
    /// when the growth fails; the next write tries again.
    fn keep_headroom(&self) {
        if self.used() > self.map() / 10 * 9
            && let Err(error) = self.grow()
        {
            tracing::warn!(%error, "the store could not grow ahead of need");
        }
    }

    fn grow(&self) -> Result<(), StoreError> {
        let map = self.map() * 2;
        if map > MAP_LIMIT {
            return Err(StoreError::TooLarge { dir: self.dir.clone(), limit: MAP_LIMIT });
        }
        // What they keep from being used again may be why the map is full; then this is the last time it grows.
        self.forget_dead_readers();
        let alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        // File first, then the marker, then the map: a crash in between leaves a file that is too long, which is fine.
        extend(&self.dir, map)?;
        let mut marker = self.marker.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = Marker { length: map, ..marker.clone() };
        grown.write(&self.dir)?;
        *marker = grown;
        drop(marker);
        self.resize(map)?;
        drop(alone);
        Ok(())
    }

    /// Gives touched pages back to the system, when nobody is reading just now.
    fn trim(&self) {
        if self.touched.load(Ordering::Relaxed) < TRIM_AFTER {
            return;
        }
        let Ok(alone) = self.gate.try_write() else { return };
        self.touched.store(0, Ordering::Relaxed);
        if let Err(error) = self.resize(self.map()) {
            tracing::error!(%error, "the store could not be mapped anew");
        }
        drop(alone);
    }

    pub(crate) fn touch(&self, pages: usize) {
        self.touched.fetch_add(pages as u64, Ordering::Relaxed);
    }

    /// Follows the writer's growth in another process.
    fn remap(&self) -> Result<(), StoreError> {
        let path = data_path(&self.dir);
        let length =
            std::fs::metadata(&path).map_err(|cause| StoreError::io("examine", &path, &cause))?.len();
        if length <= self.map() {
            // Nothing to follow: the file says it is larger than it is.
            return Err(StoreError::Damaged {
                dir: self.dir.clone(),
                cause: "pages beyond its end".to_owned(),
            });
        }
        let alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.resize(page_multiple(length))?;
        drop(alone);
        Ok(())
    }

    #[expect(
        unsafe_code,
        reason = "LMDB cannot see our transactions; `gate` is held alone here, so none is open"
    )]
    fn resize(&self, map: u64) -> Result<(), StoreError> {
        // SAFETY: both callers hold `gate` exclusively and every transaction of this process holds it shared.
        unsafe { self.env.resize(to_usize(map)) }.map_err(|e| named(&self.dir, &e))?;
        self.map.store(map, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn map(&self) -> u64 {
        self.map.load(Ordering::Relaxed)
    }

    /// Bytes of the file that were ever used.
    pub(crate) fn used(&self) -> u64 {
        // LMDB answers from pages of the map, which must not be made anew meanwhile.
        let _shared = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        (self.env.info().last_page_number as u64 + 1) * PAGE
    }

    pub(crate) fn table(&self, table: Table) -> Raw {
        self.tables[table as usize]
    }
}

/// LMDB's page on every platform we build for; `page_multiple` keeps lengths multiples of the larger system pages.
const PAGE: u64 = 4096;

fn page_multiple(bytes: u64) -> u64 {
    bytes.max(1 << 20).next_multiple_of(1 << 16)
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

pub(crate) fn named(dir: &Path, error: &heed::Error) -> StoreError {
    match error {
        heed::Error::Io(cause) => StoreError::io("use the data file in", dir, cause),
        heed::Error::EnvAlreadyOpened => StoreError::Locked { dir: dir.to_owned() },
        heed::Error::Mdb(
            MdbError::PageNotFound
            | MdbError::Corrupted
            | MdbError::Panic
            | MdbError::VersionMismatch
            | MdbError::Invalid
            | MdbError::Incompatible
            | MdbError::Problem
            | MdbError::PageFull
            | MdbError::CursorFull,
        ) => StoreError::Damaged { dir: dir.to_owned(), cause: error.to_string() },
        other => StoreError::Engine(other.to_string()),
    }
}

fn enough_space(dir: &Path, options: &Options) -> Result<(), StoreError> {
    let free = (options.free_space)(dir);
    let free = free.map_err(|cause| StoreError::io("ask for the free space of", dir, &cause))?;
    if free < options.free_floor {
        return Err(StoreError::DiskFull { path: dir.to_owned(), free, needed: options.free_floor });
    }
    Ok(())
}

fn start_over(dir: &Path, keys: &StoreKeys) -> Result<Marker, StoreError> {
    for name in ["data.mdb", "lock.mdb"] {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(StoreError::io("remove the unfinished", &path, &cause)),
        }
    }
    let marker = Marker::fresh(keys, upgrade::CURRENT);
    marker.write(dir)?;
    Ok(marker)
}

fn extend(dir: &Path, length: u64) -> Result<(), StoreError> {
    let path = data_path(dir);
    let grown = OpenOptions::new().write(true).open(&path).and_then(|file| {
        if file.metadata()?.len() < length {
            file.set_len(length)?;
        }
        file.sync_all()
    });
    grown.map_err(|cause| StoreError::io("extend", &path, &cause))
}

#[expect(unsafe_code, reason = "LMDB maps its file into memory; this is the one place that opens it")]
fn open_env(dir: &Path, map: u64, flags: EnvFlags) -> Result<Env<WithoutTls>, StoreError> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(to_usize(map)).max_dbs(32);
    // SAFETY: the file is ours alone (private folder, `store.lock` for the writer, LMDB's own lock file for readers),
    // is at least as long as when we last wrote it (marker), and no unsafe flag is set, only READ_ONLY or none.
    let opened = unsafe { options.flags(flags).open(dir) };
    opened.map_err(|e| named(dir, &e))
}
