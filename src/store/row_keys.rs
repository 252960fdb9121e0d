//! Keys of rows that carry an id of their own: which were applied before, and with what content.
//!
//! The truth is the log: an entry holds the key of the row that wrote it, and a window the keys of its rows that wrote none.
//! This is a cache of them, and one that must not grow in memory with the file: keys lie in sorted runs on the disk. Those
//! since the last run are in a table of bounded size, and a filter of bounded size says of nearly every new key that no run
//! has it, so that a file which is sent for the first time reads no page.
//!
//! Runs are written in the middle of a job, when the table is full, but only the job's end has the store's positions name
//! them: a job that stops, and a dry run, drop theirs, as they may hold keys of rows that were never committed; those of a
//! process that is killed are dropped by the next open.
//!
//! A run's pages: number of keys (4 bytes), then each key's upper half, lower quarter, and hash of the content, sorted.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    path::PathBuf,
    sync::{
        RwLock,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use rocksdb::IngestExternalFileOptions;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

use super::{
    Store, caches, family, handle, jobs,
    key::{self, LogKey},
    ledger_page::LedgerPage,
    log::write_sst,
    state::scan_pages,
    tuning,
    value::{self, Kind},
};
use crate::{
    domain::{
        entry::RowKey,
        id::{CustomerId, JobId, ProgramId, Sequence},
        job::JobState,
    },
    error::{Error, Result},
};

/// Keys of a page on average: 3 KB, which a look reads for one key.
const PAGE_KEYS: usize = 192;
const KEY_BYTES: usize = 16;
/// Bytes of the filter at most. Ten bits a key let one new key of a hundred through, so 64 MiB serve 50 million keys, and
/// 100 million with one of ten; what passes costs a look into the runs, and never an answer.
const FILTER_BYTES_MAX: usize = 64 << 20;
const FILTER_BYTES_MIN: usize = 64 << 10;
/// Runs above which they are merged into one at a job's end: a key that is known is looked for in all of them.
const RUNS_MAX: usize = 8;

/// What a row's cell says, before it is known whose row it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowKeyCell {
    /// Hash of the id; 0: the row has none.
    id: u128,
    /// Hash of what the row says.
    content: u32,
    /// The content under which the stored runs have this key.
    pub found: Option<u32>,
    /// Whether the runs were asked.
    is_asked: bool,
}

impl RowKeyCell {
    /// The cell of a row with this id, which says this.
    pub fn new(id: &[u8], content: &[u8]) -> RowKeyCell {
        RowKeyCell { id: xxh3_128(id).max(1), content: xxh3_64(content) as u32, found: None, is_asked: false }
    }

    /// Whether the row has an id.
    pub fn is_some(&self) -> bool {
        self.id != 0
    }

    /// Whether the runs were asked for it.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The row's key, once its program and customer are known.
    pub fn key(&self, seed: u64, program: ProgramId, customer: CustomerId) -> RowKey {
        let mut bytes = [0; 22];
        bytes[..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..18].copy_from_slice(&program.0.to_le_bytes());
        bytes[18..].copy_from_slice(&customer.0.to_le_bytes());
        let hash = xxh3_128_with_seed(&bytes, seed);
        RowKey { high: ((hash >> 64) as u64).max(1), low: hash as u32, content: self.content }
    }
}

/// One run of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowKeyRun {
    /// Its number, the first part of its keys.
    pub generation: u32,
    /// How many pages its keys are cut into, a power of two.
    pub pages: u32,
    /// How many keys it holds.
    pub keys: u64,
}

impl RowKeyRun {
    fn page_of(&self, high: u64) -> u32 {
        page_of(high, self.pages)
    }
}

fn page_of(high: u64, pages: u32) -> u32 {
    ((u128::from(high) * u128::from(pages)) >> 64) as u32
}

/// What the stored runs reflect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowKeyPositions {
    /// Runs, oldest first.
    pub runs: Vec<RowKeyRun>,
    /// The first ledger entry whose key they may lack.
    pub next_sequence: u64,
    /// The first job of whose rows without an entry they may lack keys.
    pub next_job: u32,
}

impl Default for RowKeyPositions {
    fn default() -> RowKeyPositions {
        RowKeyPositions { runs: Vec::new(), next_sequence: 1, next_job: 1 }
    }
}

/// A filter that never denies a key it was given.
struct Filter {
    /// Blocks of 64 bytes: a key's bits lie in one, so that asking costs one miss of the cache.
    blocks: Vec<[AtomicU64; 8]>,
}

impl Filter {
    fn new(keys: u64) -> Filter {
        let bytes = usize::try_from(keys.saturating_mul(10) / 8).unwrap_or(FILTER_BYTES_MAX);
        let bytes = bytes.clamp(FILTER_BYTES_MIN, FILTER_BYTES_MAX);
        let mut blocks = Vec::with_capacity(bytes / 64);
        blocks.resize_with(bytes / 64, Default::default);
        Filter { blocks }
    }

    /// Seven bits of a block, by hash bits that neither pages nor tables go by alone.
    fn bits(&self, key: &RowKey) -> (&[AtomicU64; 8], impl Iterator<Item = (usize, u64)>) {
        let mixed = key.high.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(key.low).rotate_left(32);
        let block = ((u128::from(mixed) * self.blocks.len() as u128) >> 64) as usize;
        let bits = mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (
            &self.blocks[block],
            (0..7).map(move |at| {
                let bit = bits >> (at * 9) & 511;
                ((bit >> 6) as usize, 1 << (bit & 63))
            }),
        )
    }

    fn insert(&self, key: &RowKey) {
        let (block, bits) = self.bits(key);
        bits.for_each(|(word, bit)| {
            block[word].fetch_or(bit, Relaxed);
        });
    }

    fn may_have(&self, key: &RowKey) -> bool {
        let (block, mut bits) = self.bits(key);
        bits.all(|(word, bit)| block[word].load(Relaxed) & bit != 0)
    }
}

/// The keys on the disk: asked by any thread while a job adds to them.
pub struct StoredRowKeys<'a> {
    store: &'a Store,
    runs: RwLock<Vec<RowKeyRun>>,
    filter: Filter,
    /// How many runs this job added.
    version: AtomicU64,
}

impl<'a> StoredRowKeys<'a> {
    /// The runs that the store's positions name, with a filter for them and for `expected` more keys.
    ///
    /// Cost: one pass over the runs, 16 bytes a key.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged or missing.
    pub fn open(store: &'a Store, expected: u64) -> Result<StoredRowKeys<'a>> {
        let runs = store.positions().row_keys.runs;
        let filter = Filter::new(expected.saturating_add(runs.iter().map(|run| run.keys).sum()));
        for run in &runs {
            each_key(store, run, |key| filter.insert(&key))?;
        }
        Ok(StoredRowKeys { store, runs: RwLock::new(runs), filter, version: AtomicU64::new(0) })
    }

    /// How many runs this job has added so far: what a batch is stamped with when it is read.
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Looks the keys of rows up whose customers are known.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged or missing.
    pub fn find<'b>(
        &self,
        seed: u64,
        rows: impl Iterator<Item = ((ProgramId, CustomerId), &'b mut RowKeyCell)>,
    ) -> Result<()> {
        for ((program, customer), cell) in rows.filter(|((_, customer), _)| *customer != CustomerId::NONE) {
            if cell.is_some() {
                cell.found = self.content_of(&cell.key(seed, program, customer))?;
                cell.is_asked = true;
            }
        }
        Ok(())
    }

    /// The content under which the runs have a key.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged or missing.
    pub fn content_of(&self, wanted: &RowKey) -> Result<Option<u32>> {
        if !self.filter.may_have(wanted) {
            return Ok(None);
        }
        let runs = self.runs.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        for run in runs.iter().rev().filter(|run| run.keys > 0) {
            let page = run.page_of(wanted.high);
            let place = key::cache_page(run.generation, 0, ProgramId(0), page);
            let family = handle(self.store.db(), family::ROW_IDS)?;
            let Some(stored) = self.store.db().get_pinned_cf(family, place)? else { continue };
            let keys = open_page(page, &stored)?;
            let (mut low, mut high) = (0, keys.len() / KEY_BYTES);
            while low < high {
                let middle = usize::midpoint(low, high);
                let key = key_at(keys, middle);
                match (key.high, key.low).cmp(&(wanted.high, wanted.low)) {
                    std::cmp::Ordering::Less => low = middle + 1,
                    std::cmp::Ordering::Greater => high = middle,
                    std::cmp::Ordering::Equal => return Ok(Some(key.content)),
                }
            }
        }
        Ok(None)
    }

    /// Writes keys as one more run.
    fn add_run(&self, keys: Vec<RowKey>) -> Result<u64> {
        let run = write_run(self.store, keys)?;
        self.runs.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(run);
        Ok(self.version.fetch_add(1, Release) + 1)
    }
}

impl Drop for StoredRowKeys<'_> {
    /// Drops the runs that no job's end had the store name. What fails to go is dropped by the next open.
    fn drop(&mut self) {
        let named = self.store.positions().row_keys.runs;
        let runs = std::mem::take(self.runs.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner));
        for run in runs.iter().filter(|run| run.keys > 0 && !named.contains(run)) {
            let _ = caches::drop_generation(self.store, family::ROW_IDS, run.generation);
        }
    }
}

fn open_page(page: u32, stored: &[u8]) -> Result<&[u8]> {
    let damaged = || Error::corrupt(format!("page {page} of row keys cannot be read"));
    let body = value::open(Kind::RowKeyPage, stored, &format_args!("page {page} of row keys"))?;
    let (count, keys) = body.split_first_chunk::<4>().ok_or_else(damaged)?;
    if keys.len() != u32::from_le_bytes(*count) as usize * KEY_BYTES {
        return Err(damaged());
    }
    Ok(keys)
}

fn key_at(keys: &[u8], at: usize) -> RowKey {
    let mut bytes = [0; KEY_BYTES];
    if let Some(found) = keys.get(at * KEY_BYTES..(at + 1) * KEY_BYTES) {
        bytes.copy_from_slice(found);
    }
    let all = u128::from_le_bytes(bytes);
    RowKey { high: all as u64, low: (all >> 64) as u32, content: (all >> 96) as u32 }
}

/// Goes over a run's keys in their order.
fn each_key(store: &Store, run: &RowKeyRun, mut visit: impl FnMut(RowKey)) -> Result<()> {
    let mut found = 0;
    scan_pages(store, family::ROW_IDS, run.generation, 0, ProgramId(0), 0..run.pages, |page, stored| {
        let keys = open_page(page, stored)?;
        let count = keys.len() / KEY_BYTES;
        (0..count).for_each(|at| visit(key_at(keys, at)));
        found += count as u64;
        Ok(())
    })?;
    if found != run.keys {
        let (generation, keys) = (run.generation, run.keys);
        return Err(Error::corrupt(format!("run {generation} of row keys holds {found} of {keys} keys")));
    }
    Ok(())
}

/// Writes keys as a run of their own; one that is there twice is written once.
fn write_run(store: &Store, mut keys: Vec<RowKey>) -> Result<RowKeyRun> {
    keys.sort_unstable_by_key(|key| (key.high, key.low));
    keys.dedup_by_key(|key| (key.high, key.low));
    let pages = u32::try_from((keys.len() / PAGE_KEYS).next_power_of_two()).unwrap_or(1 << 31);
    let run = RowKeyRun { generation: caches::new_generation(store)?, pages, keys: keys.len() as u64 };
    if keys.is_empty() {
        return Ok(run);
    }
    let path = staged(store, run.generation);
    let chunks = keys.chunk_by(|one, other| run.page_of(one.high) == run.page_of(other.high));
    let values = chunks.map(|chunk| {
        let page = chunk.first().map_or(0, |key| run.page_of(key.high));
        (key::cache_page(run.generation, 0, ProgramId(0), page).to_vec(), page_value(chunk))
    });
    write_sst(&tuning::of_family(family::ROW_IDS), &path, values)?;
    take_in(store, path)?;
    Ok(run)
}

fn staged(store: &Store, generation: u32) -> PathBuf {
    store.directory().join("staging").join(format!("row-keys-{generation}.sst"))
}

fn take_in(store: &Store, path: PathBuf) -> Result<()> {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    Ok(store.db().ingest_external_file_cf_opts(handle(store.db(), family::ROW_IDS)?, &options, vec![path])?)
}

/// The page of keys that are sorted.
fn page_value(keys: &[RowKey]) -> Vec<u8> {
    let mut value = Vec::with_capacity(keys.len() * KEY_BYTES + 16);
    let start = value::begin(Kind::RowKeyPage, &mut value);
    value.extend_from_slice(&(keys.len() as u32).to_le_bytes());
    for key in keys {
        value.extend_from_slice(&key.high.to_le_bytes());
        value.extend_from_slice(&key.low.to_le_bytes());
        value.extend_from_slice(&key.content.to_le_bytes());
    }
    value::seal(start, &mut value);
    value
}

/// Keys are hashes already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
    fn write_u32(&mut self, number: u32) {
        self.0 ^= u64::from(number);
    }
}

type KeyTable = HashMap<(u64, u32), u32, BuildHasherDefault<KeyHasher>>;

/// Keys that no run held when the batches under way were parsed: those of the job's own rows.
pub struct RecentRowKeys<'a> {
    stored: &'a StoredRowKeys<'a>,
    table: KeyTable,
    /// Tables that became runs, with the version since which these are found there.
    written: VecDeque<(u64, KeyTable)>,
    keys_max: usize,
}

impl<'a> RecentRowKeys<'a> {
    /// Nothing yet; above `keys_max` keys a run is written.
    pub fn new(stored: &'a StoredRowKeys<'a>, keys_max: usize) -> RecentRowKeys<'a> {
        RecentRowKeys { stored, table: KeyTable::default(), written: VecDeque::new(), keys_max: keys_max.max(1) }
    }

    /// Takes in what the log has beyond the stored runs.
    ///
    /// # Errors
    /// `Corrupt` when the log is damaged.
    pub fn replay(&mut self, store: &Store) -> Result<()> {
        let positions = store.positions().row_keys;
        let from = LogKey::Ledger(Sequence(positions.next_sequence));
        store.log().scan(from, LogKey::Ledger(Sequence(u64::MAX)), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            for at in (0..page.count()).filter(|_| page.has_details()) {
                page.row_key(at).map_or(Ok(()), |key| self.insert(key))?;
            }
            Ok(true)
        })?;
        for job in positions.next_job..=store.newest_job()?.0 {
            let mut keys = Vec::new();
            jobs::touched(store, JobId(job), |touch| keys.extend(touch.row_key))?;
            keys.into_iter().try_for_each(|key| self.insert(key))?;
        }
        // Nothing is under way yet that could have looked before a run was written.
        self.written.clear();
        Ok(())
    }

    /// The content of a key among the job's own, and those that were behind the runs.
    pub fn content_of(&self, key: &RowKey) -> Option<u32> {
        let place = (key.high, key.low);
        let written = || self.written.iter().find_map(|(_, table)| table.get(&place));
        self.table.get(&place).or_else(written).copied()
    }

    /// Whether the stored runs hold a key, for a row whose customer was not known when they were asked.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged or missing.
    pub fn stored_content_of(&self, key: &RowKey) -> Result<Option<u32>> {
        self.stored.content_of(key)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// When a run cannot be written.
    pub fn insert(&mut self, key: RowKey) -> Result<()> {
        self.table.insert((key.high, key.low), key.content);
        self.stored.filter.insert(&key);
        if self.table.len() >= self.keys_max {
            self.write()?;
        }
        Ok(())
    }

    /// Forgets tables whose keys were found in runs by whoever was stamped with this version, and all who come later.
    pub fn forget(&mut self, version: u64) {
        while self.written.front().is_some_and(|(since, _)| *since <= version) {
            self.written.pop_front();
        }
    }

    fn write(&mut self) -> Result<()> {
        let table = std::mem::take(&mut self.table);
        let keys = table.iter().map(|(&(high, low), &content)| RowKey { high, low, content }).collect();
        let version = self.stored.add_run(keys)?;
        self.written.push_back((version, table));
        Ok(())
    }

    /// Ends a job whose rows are all durable: what it added is named by the store's positions. `next_sequence` is the
    /// ledger's end; the job itself may still have its reports to write.
    ///
    /// # Errors
    /// When it cannot be written; the runs then stay as they were, and the log is replayed next time.
    pub fn finish(mut self, store: &Store, next_sequence: u64, job: JobId) -> Result<()> {
        if !self.table.is_empty() {
            self.write()?;
        }
        let mut runs =
            std::mem::take(&mut *self.stored.runs.write().unwrap_or_else(std::sync::PoisonError::into_inner));
        runs.retain(|run| run.keys > 0);
        let mut dropped = Vec::new();
        if runs.len() > RUNS_MAX {
            let merged = merge(store, &runs)?;
            dropped = std::mem::replace(&mut runs, vec![merged]);
        }
        // A job that is not finished may add keys of rows without an entry later.
        let unfinished =
            jobs::jobs(store)?.into_iter().find(|other| other.state() == JobState::Unfinished && other.id != job);
        let next_job = unfinished.map_or(store.newest_job()?.0 + 1, |job| job.id.0);
        let mut positions = store.positions();
        positions.row_keys = RowKeyPositions { runs, next_sequence, next_job };
        store.set_positions(positions)?;
        dropped.iter().try_for_each(|run| caches::drop_generation(store, family::ROW_IDS, run.generation))
    }
}

/// Writes the keys of several runs as one, page by page: of each run a sixteenth is in memory at a time.
fn merge(store: &Store, runs: &[RowKeyRun]) -> Result<RowKeyRun> {
    const PARTS: u32 = 16;
    let total: u64 = runs.iter().map(|run| run.keys).sum();
    let pages = u32::try_from((total as usize / PAGE_KEYS).next_power_of_two()).unwrap_or(1 << 31).max(PARTS);
    let mut merged = RowKeyRun { generation: caches::new_generation(store)?, pages, keys: 0 };
    let path = staged(store, merged.generation);
    let options = tuning::of_family(family::ROW_IDS);
    let mut writer = rocksdb::SstFileWriter::create(&options);
    writer.open(&path)?;
    for part in 0..PARTS {
        let mut keys: Vec<RowKey> = Vec::new();
        for run in runs {
            // Runs have at least a page; one with fewer pages than parts is read for the part where a page begins.
            let pages = page_range(part, PARTS, run.pages);
            scan_pages(store, family::ROW_IDS, run.generation, 0, ProgramId(0), pages, |page, stored| {
                let stored = open_page(page, stored)?;
                let all = (0..stored.len() / KEY_BYTES).map(|at| key_at(stored, at));
                keys.extend(all.filter(|key| page_of(key.high, PARTS) == part));
                Ok(())
            })?;
        }
        keys.sort_by_key(|key| (key.high, key.low));
        keys.dedup_by_key(|key| (key.high, key.low));
        merged.keys += keys.len() as u64;
        for chunk in keys.chunk_by(|one, other| merged.page_of(one.high) == merged.page_of(other.high)) {
            let page = chunk.first().map_or(0, |key| merged.page_of(key.high));
            writer.put(key::cache_page(merged.generation, 0, ProgramId(0), page), page_value(chunk))?;
        }
    }
    writer.finish()?;
    take_in(store, path)?;
    Ok(merged)
}

/// The pages of a run that can hold keys of a part.
fn page_range(part: u32, parts: u32, pages: u32) -> std::ops::Range<u32> {
    let at = |part: u32| u64::from(part) * u64::from(pages);
    let (from, to) = (at(part) / u64::from(parts), at(part + 1).div_ceil(u64::from(parts)));
    from as u32..to as u32
}
