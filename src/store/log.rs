//! The truth: customer pages, ledger pages and job records, in the families `log` and `tail`.
//!
//! Nothing is written twice under one key, but for messages, which are only ever in `tail`, and for what is rewritten to take
//! a person out of it (`rewrite`): that goes to `tail`, and stands there for what `log` still has under the key until that is
//! dropped.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use rocksdb::{
    BottommostLevelCompaction, CompactOptions, DB, Direction, IteratorMode, Snapshot, SstFileWriter, WriteBatch,
    WriteOptions,
};

use super::{
    family,
    head::Head,
    key::{self, LogKey},
    staging, tuning,
    view::options_at,
};
use crate::error::{Error, Result};

/// Below this a window goes through the write-ahead log, which costs one sync; above, its files are ingested, which
/// costs four but writes every byte once.
const TAIL_BYTES_MAX: usize = 256 << 10;

/// What one commit makes durable together. Pages of a kind must be added in ascending order of their keys.
#[derive(Default)]
pub struct Commit {
    bytes: Vec<u8>,
    customers: Vec<(LogKey, std::ops::Range<usize>)>,
    jobs: Vec<(LogKey, std::ops::Range<usize>)>,
    ledger: Vec<(LogKey, std::ops::Range<usize>)>,
    messages: Vec<(LogKey, std::ops::Range<usize>)>,
}

impl Commit {
    /// Adds a value.
    pub fn put(&mut self, key: LogKey, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let list = match key {
            LogKey::Customers(_) => &mut self.customers,
            LogKey::Job(..) => &mut self.jobs,
            LogKey::Ledger(_) => &mut self.ledger,
            LogKey::Message(..) => &mut self.messages,
        };
        list.push((key, start..self.bytes.len()));
    }

    /// Bytes of its values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Empties it, keeping its buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.customers.clear();
        self.jobs.clear();
        self.ledger.clear();
        self.messages.clear();
    }

    /// Goes over its values.
    pub(super) fn each(&self, mut visit: impl FnMut(LogKey, &[u8])) {
        for (_, list) in self.kinds() {
            list.iter().for_each(|(key, range)| visit(*key, &self.bytes[range.clone()]));
        }
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, &[(LogKey, std::ops::Range<usize>)])> {
        [("customers", &self.customers), ("jobs", &self.jobs), ("ledger", &self.ledger), ("messages", &self.messages)]
            .into_iter()
            .map(|(name, list)| (name, list.as_slice()))
            .filter(|(_, list)| !list.is_empty())
    }
}

/// Writes and reads the log of one database.
pub struct Log<'a> {
    db: &'a DB,
    head: &'a Mutex<Head>,
    staging: PathBuf,
    snapshot: Option<&'a Snapshot<'a>>,
}

impl<'a> Log<'a> {
    /// The log of this database; windows are staged in `staging`, on the same file system.
    pub fn new(db: &'a DB, head: &'a Mutex<Head>, staging: &Path) -> Log<'a> {
        Log { db, head, staging: staging.to_owned(), snapshot: None }
    }

    /// The same, read as it was at a snapshot; without one as it is.
    pub fn at(self, snapshot: Option<&'a Snapshot<'a>>) -> Log<'a> {
        Log { snapshot, ..self }
    }

    /// Makes all of `commit` durable, or none of it.
    ///
    /// # Errors
    /// After an error it is not known whether the commit was made: the store must be opened again to find out.
    pub fn commit(&self, commit: &Commit) -> Result<()> {
        // Held until the commit is noted: a backup, which takes it too, never copies a note without what it notes.
        let mut head = super::lock(self.head);
        if commit.bytes() <= TAIL_BYTES_MAX {
            self.commit_small(commit)?
        } else {
            self.commit_large(commit)?
        }
        // Every commit has a job's start or a window's record, and one of them stands for all; only how far a message is may be
        // forgotten: it is sent again then, which its id tells.
        let records = commit.jobs.iter().filter_map(|(key, _)| match key {
            LogKey::Job(job, window, 0) => Some((*job, *window)),
            _ => None,
        });
        match records.max() {
            Some((job, window)) => head.note_window(job, window),
            None => Ok(()),
        }
    }

    /// Puts `commit` and removes these keys, which all lie in `range`: all of it or nothing, and durably. Then the files that
    /// hold something of the range are written anew, so that what was removed is gone from the disk too.
    ///
    /// # Errors
    /// As `commit`.
    pub fn replace(&self, commit: &Commit, removed: &[LogKey], range: std::ops::Range<LogKey>) -> Result<()> {
        let families = [super::handle(self.db, family::LOG)?, super::handle(self.db, family::TAIL)?];
        let mut batch = WriteBatch::default();
        for (_, list) in commit.kinds() {
            for (key, range) in list {
                batch.put_cf(families[1], key.bytes(), &commit.bytes[range.clone()]);
            }
        }
        for (key, family) in removed.iter().flat_map(|key| families.map(|family| (key, family))) {
            batch.delete_cf(family, key.bytes());
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let head = super::lock(self.head);
        self.db.write_opt(batch, &options)?;
        drop(head);
        let mut compaction = CompactOptions::default();
        // The last level too, where large windows lie; only files that touch the range are written anew.
        compaction.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for family in families {
            // What is still in memory only, else it would stay in the write-ahead log.
            self.db.flush_cf(family)?;
            self.db.compact_range_cf_opt(family, Some(range.start.bytes()), Some(range.end.bytes()), &compaction);
        }
        Ok(())
    }

    fn commit_small(&self, commit: &Commit) -> Result<()> {
        let tail = super::handle(self.db, family::TAIL)?;
        let mut batch = WriteBatch::default();
        for (_, list) in commit.kinds() {
            for (key, range) in list {
                batch.put_cf(tail, key.bytes(), &commit.bytes[range.clone()]);
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    fn commit_large(&self, commit: &Commit) -> Result<()> {
        let log = super::handle(self.db, family::LOG)?;
        let options = tuning::of_family(family::LOG);
        let mut paths = Vec::new();
        for (name, list) in commit.kinds() {
            let path = staging::path(&self.staging, name);
            let entries = list.iter().map(|(key, range)| (key.bytes(), &commit.bytes[range.clone()]));
            if let Err(error) = write_sst(&options, &path, entries) {
                // Nothing names it yet, and the disk may be full.
                paths.push(path);
                paths.iter().for_each(|path| drop(std::fs::remove_file(path)));
                return Err(error);
            }
            // It is synced, and read again only by a replay or one page at a time.
            if let Ok(file) = std::fs::File::open(&path) {
                super::disk::forget_pages(&file, 0, u64::MAX >> 1);
            }
            paths.push(path);
        }
        let mut ingest = staging::ingest_options();
        ingest.set_allow_blocking_flush(true);
        // One call over files that do not overlap is one edit of the manifest: all of them or none.
        Ok(self.db.ingest_external_file_cf_opts(log, &ingest, paths)?)
    }

    /// The value under a key.
    ///
    /// # Errors
    /// When the database fails.
    pub fn get(&self, key: LogKey) -> Result<Option<Vec<u8>>> {
        let bytes = key.bytes();
        // In this order: what is dropped from `log` is in `tail` before.
        let options = options_at(self.snapshot);
        let in_log = self.db.get_cf_opt(super::handle(self.db, family::LOG)?, &bytes, &options)?;
        let in_tail = self.db.get_cf_opt(super::handle(self.db, family::TAIL)?, &bytes, &options)?;
        Ok(in_tail.or(in_log))
    }

    /// The last entry at or before a key, of the same kind.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_at_or_before(&self, key: LogKey) -> Result<Option<(LogKey, Vec<u8>)>> {
        let bytes = key.bytes();
        let mut found: Option<(LogKey, Vec<u8>)> = None;
        for name in [family::LOG, family::TAIL] {
            let mut cursor = self.db.raw_iterator_cf_opt(super::handle(self.db, name)?, options_at(self.snapshot));
            cursor.seek_for_prev(&bytes);
            cursor.status()?;
            let (Some(at), Some(value)) = (cursor.key(), cursor.value()) else { continue };
            let Some(at) = LogKey::parse(at).filter(|_| at[0] == bytes[0]) else { continue };
            if found.as_ref().is_none_or(|(best, _)| *best <= at) {
                found = Some((at, value.to_vec()));
            }
        }
        Ok(found)
    }

    /// The last entry of a kind (`key::CUSTOMERS` …).
    ///
    /// # Errors
    /// When the database fails.
    pub fn last(&self, kind: u8) -> Result<Option<(LogKey, Vec<u8>)>> {
        use crate::domain::id::{JobId, Sequence};
        self.last_at_or_before(match kind {
            key::CUSTOMERS => LogKey::Customers(u64::MAX),
            key::JOBS => LogKey::Job(JobId(u32::MAX), u32::MAX, u32::MAX),
            _ => LogKey::Ledger(Sequence(u64::MAX)),
        })
    }

    /// Goes over all entries from `from` to before `to` in order; `visit` says whether to go on.
    ///
    /// # Errors
    /// Those of `visit`; and when the database fails, also in the middle: an iterator that meets a bad block would
    /// otherwise just end.
    pub fn scan(&self, from: LogKey, to: LogKey, mut visit: impl FnMut(LogKey, &[u8]) -> Result<bool>) -> Result<()> {
        let (from, to) = (from.bytes(), to.bytes());
        let mut cursors = Vec::new();
        for name in [family::LOG, family::TAIL] {
            let mut options = options_at(self.snapshot);
            options.set_iterate_upper_bound(to.clone());
            options.fill_cache(false);
            options.set_readahead_size(2 << 20);
            let mut cursor = self.db.raw_iterator_cf_opt(super::handle(self.db, name)?, options);
            cursor.seek(&from);
            cursors.push(cursor);
        }
        loop {
            let mut next: Option<usize> = None;
            for (at, cursor) in cursors.iter().enumerate() {
                cursor.status()?;
                if let Some(key) = cursor.key()
                    && next.and_then(|best| cursors[best].key()).is_none_or(|best| key < best)
                {
                    next = Some(at);
                }
            }
            let Some(next) = next else { return Ok(()) };
            let (Some(bytes), Some(value)) = (cursors[next].key(), cursors[next].value()) else { return Ok(()) };
            let at = LogKey::parse(bytes).ok_or_else(|| Error::corrupt("the log has a key of no known kind"))?;
            // Of two values under one key the one of `tail`, which is the last cursor, is the newer.
            let is_twice = next == 0 && cursors[1].key() == Some(bytes);
            if !visit(at, if is_twice { cursors[1].value().unwrap_or(value) } else { value })? {
                return Ok(());
            }
            if is_twice {
                cursors[1].next();
            }
            cursors[next].next();
        }
    }
}

/// Writes a sorted file that can be ingested, and syncs it.
pub fn write_sst<V: AsRef<[u8]>>(
    options: &rocksdb::Options,
    path: &Path,
    entries: impl Iterator<Item = (Vec<u8>, V)>,
) -> Result<()> {
    let mut writer = SstFileWriter::create(options);
    writer.open(path)?;
    for (key, value) in entries {
        writer.put(key, value)?;
    }
    Ok(writer.finish()?)
}

/// The first entry of a family at or after `from`, for looking at what is there.
pub fn first_key_from(db: &DB, family: &str, from: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut entries = db.iterator_cf(super::handle(db, family)?, IteratorMode::From(from, Direction::Forward));
    Ok(entries.next().transpose()?.map(|(key, _)| key.to_vec()))
}
