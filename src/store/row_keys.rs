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
    collections::{HashMap, VecDeque, hash_map::Entry},
    path::PathBuf,
    sync::{
        Arc, RwLock,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

use super::{
    Store, caches, family, handle, jobs,
    key::{self, LogKey},
    ledger_page::LedgerPage,
    log::write_sst,
    staging,
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
/// Keys of all runs above which they are looked for on the disk, one by one, and not in memory: half a gigabyte.
const KNOWN_MAX: u64 = 32 << 20;
/// Of so many keys of a chunk one must seem to be known before all runs are read into memory: a file that is sent again has
/// nearly all of them there, and a look on the disk takes some microseconds for each; one that is new has next to none.
const KNOWN_ONE_IN: usize = 8;

/// Runs above which they are merged into one at a job's end: a key that is known is looked for in all of them.
const RUNS_MAX: usize = 8;

/// What a row's cell says, before it is known whose row it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowKeyCell {
    /// Hash of the id; 0: the row has none.
    id: u128,
    /// Hash of what the row says.
    content: u32,
    /// The key, once it is known whose row it is.
    key: Option<RowKey>,
    /// The content under which the stored runs have this key.
    pub found: Option<u32>,
    /// Whether the runs were asked.
    is_asked: bool,
}

impl RowKeyCell {
    /// The cell of a row with this id, which says this.
    pub fn new(id: &[u8], content: &[u8]) -> RowKeyCell {
        RowKeyCell { id: xxh3_128(id).max(1), content: xxh3_64(content) as u32, ..RowKeyCell::default() }
    }

    /// Whether the row has an id.
    pub fn is_some(&self) -> bool {
        self.id != 0
    }

    /// Whether the runs were asked for it.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The key, if it was known whose row it is when the runs were asked.
    #[inline]
    pub fn known_key(&self) -> Option<&RowKey> {
        self.key.as_ref()
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
        let mut blocks = Vec::new();
        tuning::make_room(&mut blocks, bytes / 64);
        blocks.resize_with(bytes / 64, Default::default);
        Filter { blocks }
    }

    /// Seven bits of a block. Blocks go by the upper bits, as the runs do: so a run's keys come to them in order.
    #[inline]
    fn bits(&self, key: &RowKey) -> (&[AtomicU64; 8], impl Iterator<Item = (usize, u64)>) {
        let block = ((u128::from(key.high) * self.blocks.len() as u128) >> 64) as usize;
        let bits =
            key.high.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(key.low).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (
            &self.blocks[block],
            (0..7).map(move |at| {
                let bit = bits >> (at * 9) & 511;
                ((bit >> 6) as usize, 1 << (bit & 63))
            }),
        )
    }

    #[inline]
    fn prefetch(&self, key: &RowKey) {
        tuning::prefetch(self.bits(key).0);
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

/// The keys of runs in memory.
struct KnownKeys {
    /// How many runs they are of, the first ones.
    runs: usize,
    /// Sorted.
    keys: Vec<RowKey>,
    /// Where the keys of each of so many equal parts begin.
    starts: Vec<u32>,
}

impl KnownKeys {
    fn load(store: &Store, runs: &[RowKeyRun]) -> Result<KnownKeys> {
        let total: u64 = runs.iter().map(|run| run.keys).sum();
        let mut keys = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
        for run in runs {
            each_key(store, run, |key| keys.push(key))?;
        }
        // Not by all workers: others wait for the lock that is held meanwhile, and one that helped sorting would take up their
        // work in between, wait for the lock itself, and never come back. Runs are sorted, so this merges them.
        keys.sort_by_key(|key| (key.high, key.low));
        // Eight keys a part on average: a look costs two misses of the cache.
        let parts = (keys.len() / 8).next_power_of_two();
        let mut starts = vec![0; parts + 1];
        for key in &keys {
            starts[page_of(key.high, parts as u32) as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Ok(KnownKeys { runs: runs.len(), keys, starts })
    }

    fn content_of(&self, wanted: &RowKey) -> Option<u32> {
        let part = page_of(wanted.high, (self.starts.len() - 1) as u32) as usize;
        let range = *self.starts.get(part)? as usize..*self.starts.get(part + 1)? as usize;
        let mut keys = self.keys.get(range)?.iter();
        keys.find(|key| (key.high, key.low) == (wanted.high, wanted.low)).map(|key| key.content)
    }
}

/// The keys on the disk: asked by any thread while a job adds to them.
pub struct StoredRowKeys<'a> {
    store: &'a Store,
    runs: RwLock<Vec<RowKeyRun>>,
    filter: Filter,
    /// How many runs this job added.
    version: AtomicU64,
    known: RwLock<Option<Arc<KnownKeys>>>,
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
        Ok(StoredRowKeys {
            store,
            runs: RwLock::new(runs),
            filter,
            version: AtomicU64::new(0),
            known: RwLock::default(),
        })
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
        let mut asked: Vec<(RowKey, &mut RowKeyCell)> = Vec::new();
        for ((program, customer), cell) in rows.filter(|((_, customer), _)| *customer != CustomerId::NONE) {
            if cell.is_some() {
                let key = cell.key(seed, program, customer);
                // All blocks of a chunk are fetched at once: one after the other, each is a miss of its own.
                self.filter.prefetch(&key);
                cell.key = Some(key);
                cell.is_asked = true;
                asked.push((key, cell));
            }
        }
        let count = asked.len();
        asked.retain(|(key, _)| self.filter.may_have(key));
        let likely = asked;
        let known = if likely.len() * KNOWN_ONE_IN > count { self.known()? } else { self.known_already() };
        for (key, cell) in likely {
            cell.found = match &known {
                Some(known) => match known.content_of(&key) {
                    None => self.look(&key, known.runs)?,
                    found => found,
                },
                None => self.look(&key, 0)?,
            };
        }
        Ok(())
    }

    fn known_already(&self) -> Option<Arc<KnownKeys>> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The keys of all runs in memory; none if they are too many.
    fn known(&self) -> Result<Option<Arc<KnownKeys>>> {
        if let Some(known) = self.known_already() {
            return Ok(Some(known));
        }
        let runs = self.runs.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let keys: u64 = runs.iter().map(|run| run.keys).sum();
        if keys == 0 || keys > KNOWN_MAX {
            return Ok(None);
        }
        // One worker loads, the others wait for it.
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.is_none() {
            *known = Some(Arc::new(KnownKeys::load(self.store, &runs)?));
        }
        Ok(known.clone())
    }

    /// The content under which the runs have a key.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged or missing.
    pub fn content_of(&self, wanted: &RowKey) -> Result<Option<u32>> {
        if self.filter.may_have(wanted) { self.look(wanted, 0) } else { Ok(None) }
    }

    /// The same on the disk, in the runs from one on.
    fn look(&self, wanted: &RowKey, from: usize) -> Result<Option<u32>> {
        let runs = self.runs.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The oldest first: after an undo two jobs may have had one key, and the first that counts is the one that is known,
        // wherever it is looked for.
        for run in runs.iter().skip(from).filter(|run| run.keys > 0) {
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
    fn add_run(&self, mut keys: Vec<RowKey>) -> Result<u64> {
        keys.sort_unstable_by_key(|key| (key.high, key.low));
        keys.iter().for_each(|key| self.filter.insert(key));
        let run = write_run(self.store, &keys)?;
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

pub(super) fn open_page(page: u32, stored: &[u8]) -> Result<&[u8]> {
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

/// Writes keys, which are sorted and all different, as a run of their own.
fn write_run(store: &Store, keys: &[RowKey]) -> Result<RowKeyRun> {
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
    staging::path(&staging::directory(store.directory()), &format!("row-keys-{generation}"))
}

fn take_in(store: &Store, path: PathBuf) -> Result<()> {
    let options = staging::ingest_options();
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

/// A table of keys of bounded size, at most half full. Keys are hashes already, so they say their places themselves.
struct KeyTable {
    /// Upper half, lower quarter, content; an upper half of 0 is an empty place.
    places: Vec<(u64, u32, u32)>,
    length: usize,
}

impl KeyTable {
    /// Room for so many keys.
    fn new(keys_max: usize) -> KeyTable {
        let places = (keys_max * 2).next_power_of_two().max(16);
        KeyTable { places: tuning::table(places, (0, 0, 0)), length: 0 }
    }

    #[inline]
    fn first_place(&self, key: &RowKey) -> usize {
        key.high.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32) as usize & (self.places.len() - 1)
    }

    #[inline]
    fn prefetch(&self, key: &RowKey) {
        tuning::prefetch(&self.places[self.first_place(key)]);
    }

    #[inline]
    fn get(&self, key: &RowKey) -> Option<u32> {
        let mut at = self.first_place(key);
        loop {
            match self.places[at] {
                (0, ..) => return None,
                (high, low, content) if (high, low) == (key.high, key.low) => return Some(content),
                _ => at = (at + 1) & (self.places.len() - 1),
            }
        }
    }

    /// Adds a key that is not there. Whoever adds looks at the length: a full table has no end.
    #[inline]
    fn insert(&mut self, key: &RowKey) {
        let mut at = self.first_place(key);
        while self.places[at].0 != 0 {
            if (self.places[at].0, self.places[at].1) == (key.high, key.low) {
                return;
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = (key.high, key.low, key.content);
        self.length += 1;
    }

    fn keys(&self) -> Vec<RowKey> {
        let filled = self.places.iter().filter(|(high, ..)| *high != 0);
        filled.map(|&(high, low, content)| RowKey { high, low, content }).collect()
    }
}

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
        let keys_max = keys_max.max(1);
        RecentRowKeys { stored, table: KeyTable::new(keys_max), written: VecDeque::new(), keys_max }
    }

    /// Takes in what the log has beyond the stored runs, but for jobs that were undone.
    ///
    /// # Errors
    /// `Corrupt` when the log is damaged.
    pub fn replay(&mut self, store: &Store) -> Result<()> {
        let positions = store.positions().row_keys;
        let from = LogKey::Ledger(Sequence(positions.next_sequence));
        // Rows of a job that was undone are as if they had never come.
        let mut known: HashMap<JobId, bool> = HashMap::new();
        let mut is_undone = |job: JobId| -> Result<bool> {
            Ok(match known.entry(job) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => *place.insert(jobs::undone_by(store, job)?.is_some()),
            })
        };
        store.log().scan(from, LogKey::Ledger(Sequence(u64::MAX)), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            if !page.has_row_keys() || is_undone(page.job)? {
                return Ok(true);
            }
            for at in 0..page.count() {
                page.row_key(at).map_or(Ok(()), |key| self.insert(key))?;
            }
            Ok(true)
        })?;
        for job in positions.next_job..=store.newest_job()?.0 {
            let mut keys = Vec::new();
            jobs::touched(store, JobId(job), |touch| keys.extend(touch.row_key))?;
            if keys.is_empty() || is_undone(JobId(job))? {
                continue;
            }
            keys.into_iter().try_for_each(|key| self.insert(key))?;
        }
        // Nothing is under way yet that could have looked before a run was written.
        self.written.clear();
        Ok(())
    }

    /// Starts to fetch what is known of a key that is needed soon.
    #[inline]
    pub fn prefetch(&self, key: &RowKey) {
        self.table.prefetch(key);
        self.written.iter().for_each(|(_, table)| table.prefetch(key));
    }

    /// The content of a key among the job's own, and those that were behind the runs.
    pub fn content_of(&self, key: &RowKey) -> Option<u32> {
        self.table.get(key).or_else(|| self.written.iter().find_map(|(_, table)| table.get(key)))
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
        self.table.insert(&key);
        if self.table.length >= self.keys_max {
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
        let table = std::mem::replace(&mut self.table, KeyTable::new(self.keys_max));
        let version = self.stored.add_run(table.keys())?;
        self.written.push_back((version, table));
        Ok(())
    }

    /// Ends a job whose rows are all durable: what it added is named by the store's positions. `next_sequence` is the
    /// ledger's end; the job itself may still have its reports to write.
    ///
    /// # Errors
    /// When it cannot be written; the runs then stay as they were, and the log is replayed next time.
    pub fn finish(mut self, store: &Store, next_sequence: u64, job: JobId) -> Result<()> {
        if self.table.length > 0 {
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

/// Forgets all runs, so that the next job that asks for keys learns them from the log again: what of it counts has changed,
/// because a job was undone, or its undo was.
///
/// # Errors
/// When the database fails; the runs then stay as they were.
pub fn forget(store: &Store) -> Result<()> {
    let mut positions = store.positions();
    let runs = std::mem::take(&mut positions.row_keys).runs;
    store.set_positions(positions)?;
    runs.iter().try_for_each(|run| caches::drop_generation(store, family::ROW_IDS, run.generation))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys of few values, so that the same comes again.
    fn key(number: u64) -> RowKey {
        let hash = xxh3_128(&number.to_le_bytes());
        RowKey { high: ((hash >> 64) as u64).max(1), low: hash as u32, content: number as u32 ^ 0xABCD }
    }

    /// What each way of asking answers: the filter with a look into the runs, and all runs in memory.
    fn answers(stored: &StoredRowKeys<'_>, key: &RowKey) -> [Option<u32>; 2] {
        let known = stored.known().unwrap();
        [stored.content_of(key).unwrap(), known.and_then(|known| known.content_of(key))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Jobs that add keys, with runs of a few keys each and merges of them, beside a plain map.
        #[test]
        fn keys_are_known_as_a_plain_map_knows_them(
            jobs in prop::collection::vec(prop::collection::vec(0..400_u64, 0..60), 1..6),
            keys_max in 1..9_usize,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(&directory.path().join("store"), true).unwrap();
            let mut plain = BTreeMap::new();
            for numbers in jobs {
                let stored = StoredRowKeys::open(&store, 10).unwrap();
                let mut recent = RecentRowKeys::new(&stored, keys_max);
                for number in numbers {
                    let key = key(number);
                    let found = recent.content_of(&key).or(recent.stored_content_of(&key).unwrap());
                    prop_assert_eq!(found, plain.get(&number).copied());
                    if found.is_none() {
                        recent.insert(key).unwrap();
                        plain.insert(number, key.content);
                    }
                    // Whoever asks now finds in runs what became one.
                    recent.forget(stored.version());
                }
                recent.finish(&store, 1, JobId(1)).unwrap();
                prop_assert!(store.positions().row_keys.runs.len() <= RUNS_MAX);
                let stored = StoredRowKeys::open(&store, 0).unwrap();
                for number in 0..400 {
                    let expected = plain.get(&number).copied();
                    prop_assert_eq!(answers(&stored, &key(number)), [expected; 2], "{}", number);
                }
            }
        }
    }

    #[test]
    fn a_damaged_page_is_noticed() {
        let mut keys: Vec<RowKey> = (0..20).map(key).collect();
        keys.sort_unstable_by_key(|key| (key.high, key.low));
        let page = page_value(&keys);
        let read = |page: &[u8]| open_page(0, page).map(|keys| (0..20).map(|at| key_at(keys, at)).collect::<Vec<_>>());
        assert_eq!(read(&page).unwrap(), keys);
        for at in 0..page.len() {
            let mut damaged = page.clone();
            damaged[at] ^= 0x40;
            assert!(read(&damaged).is_err(), "byte {at}");
            assert!(read(&page[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn every_key_of_a_run_is_in_a_part_that_a_merge_reads_for_it() {
        for pages in [1, 2, 8, 64] {
            for high in (0..1000_u64).map(|at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
                let part = page_of(high, 16);
                assert!(page_range(part, 16, pages).contains(&page_of(high, pages)), "{high:x} {pages}");
            }
        }
    }
}
