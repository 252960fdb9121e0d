//! The stored caches: what they reflect, how they are written.
//!
//! A cache is never changed in place, but by a `rewrite`. It is written whole as a new generation (identifiers: as a new
//! run with what came since the last one), ingested, and only then do the positions in `meta` name it; what they do not
//! name is dropped at the next open. So a crash at any moment leaves a cache that is older, never one that is wrong.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    path::PathBuf,
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Store, column, family,
    filter_page::{self, Attribute, MISSING, ROWS},
    handle,
    identifiers::IdentifierHash,
    key,
    log::first_key_from,
    lot_page,
    row_keys::RowKeyPositions,
    staging,
    state::{Needs, Profiles, State},
    tuning,
    value::{self, Kind},
};
use crate::{
    domain::{
        account::Account,
        id::{CustomerId, ProgramId},
        identifier::IdentifierKind,
        lot::Lots,
        time::Date,
    },
    error::{CacheKind, Error, Result},
};

/// The families that hold generations.
const CACHES: [&str; 6] =
    [family::IDENTIFIERS, family::PROFILES, family::FILTERS, family::ACCOUNTS, family::LOTS, family::ROW_IDS];

/// Runs of the identifier table above which they are merged into one. A cold lookup reads one page of each.
const RUNS_MAX: usize = 12;

/// One run of identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number, the first part of its keys.
    pub generation: u32,
    /// How many identifiers of each kind it holds.
    pub identifiers: [u64; 5],
}

/// A cache of one program's accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountsPosition {
    /// Its number, the first part of its keys; 0: nothing was written yet.
    pub generation: u32,
    /// The first ledger entry it does not reflect.
    pub next_sequence: u64,
    /// How many customers its pages cover.
    pub customers: u32,
    /// How many lots its pages hold.
    #[serde(default)]
    pub lots: u64,
    /// A day that is not after the last day of any of them; none where nobody wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_day: Option<Date>,
}

/// What the stored caches reflect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachePositions {
    /// The number of the next generation.
    pub next_generation: u32,
    /// Runs of identifiers, oldest first.
    pub runs: Vec<Run>,
    /// The first customer record that the runs do not reflect.
    pub identifiers_next_record: u64,
    /// How many customers the records before that created.
    pub customers: u32,
    /// Generation of the profiles and attributes; 0: nothing was written yet.
    pub profiles: u32,
    /// How many customers its pages cover.
    pub profiles_customers: u32,
    /// The first customer record that the profiles do not reflect.
    pub profiles_next_record: u64,
    /// Names of tiers, by the numbers in the tier column.
    pub tiers: Vec<String>,
    /// Accounts by program.
    pub accounts: BTreeMap<u16, AccountsPosition>,
    /// Keys of rows.
    #[serde(default)]
    pub row_keys: RowKeyPositions,
    /// Customers that became part of others, each with the one that has its points now.
    #[serde(default)]
    pub merges: BTreeMap<u32, u32>,
}

impl Default for CachePositions {
    fn default() -> CachePositions {
        CachePositions {
            next_generation: 1,
            runs: Vec::new(),
            identifiers_next_record: 0,
            customers: 0,
            profiles: 0,
            profiles_customers: 0,
            profiles_next_record: 0,
            tiers: Vec::new(),
            accounts: BTreeMap::new(),
            row_keys: RowKeyPositions::default(),
            merges: BTreeMap::new(),
        }
    }
}

impl CachePositions {
    fn take_generation(&mut self) -> u32 {
        let generation = self.next_generation;
        self.next_generation += 1;
        generation
    }

    fn references(&self, generation: u32) -> bool {
        self.profiles == generation
            || self.runs.iter().any(|run| run.generation == generation)
            || self.accounts.values().any(|position| position.generation == generation)
            || self.row_keys.runs.iter().any(|run| run.generation == generation)
    }
}

/// Writes what has fallen behind by more than the bound, of what `state` has loaded.
///
/// The bound is `lag_min` log records or an eighth of the customers, whichever is more: a cache is then rewritten at
/// most once for every eighth of its size, and what is behind is replayed at open in well under a second.
///
/// All files are built side by side, each kind of identifiers and each family in one of its own: one after the other they
/// took 2.3 s of a load of 10 million customers, with a core idle.
///
/// # Errors
/// When the disk or database fails. The caches then stay as they were.
pub fn write_behind(store: &Store, state: &mut State, lag_min: u64) -> Result<()> {
    let mut positions = store.positions();
    let bound = lag_min.max(u64::from(state.customers) / 8);
    // A record weighs far more in replay than an entry: it is unpacked and its identifiers are hashed.
    let record_bound = bound / 8;
    let late: HashSet<IdentifierHash>;
    let mut files = Vec::new();
    let mut dropped = Vec::new();
    let mut run = None;
    if !state.kinds.is_empty() && state.next_record - positions.identifiers_next_record > record_bound {
        let merge = positions.runs.len() >= RUNS_MAX && state.kinds.len() == IdentifierKind::ALL.len();
        let since = if merge { 0 } else { positions.customers };
        // Identifiers that existing customers got since the last run are not told apart by the customer's number.
        late = if merge { HashSet::new() } else { state.late_identifiers.iter().copied().collect() };
        let generation = positions.take_generation();
        identifier_files(state, generation, since, &late, &mut files);
        if merge {
            dropped.extend(positions.runs.drain(..).map(|run| (family::IDENTIFIERS, run.generation)));
        }
        run = Some(generation);
        positions.identifiers_next_record = state.next_record;
        positions.customers = state.customers;
    }
    if let Some(profiles) = &state.profiles
        && state.next_record - positions.profiles_next_record > record_bound
    {
        let generation = positions.take_generation();
        profile_files(state, profiles, generation, &mut files);
        let old = std::mem::replace(&mut positions.profiles, generation);
        dropped.extend([(family::PROFILES, old), (family::FILTERS, old)]);
        positions.profiles_customers = state.customers;
        positions.profiles_next_record = state.next_record;
        positions.tiers = profiles.tiers.names().to_vec();
    }
    for (&program, accounts) in &state.accounts {
        let written = positions.accounts.get(&program.0).map_or(1, |position| position.next_sequence);
        if state.next_sequence - written > bound {
            let generation = positions.take_generation();
            let customers = accounts.list.len().min(state.customers as usize);
            account_files(&accounts.list[..customers], program, generation, &mut files);
            if accounts.lots.count() > 0 {
                lot_file(&accounts.lots, customers, program, generation, &mut files);
            }
            let position = positions.accounts.entry(program.0).or_default();
            let old = std::mem::replace(&mut position.generation, generation);
            position.next_sequence = state.next_sequence;
            position.customers = customers as u32;
            position.lots = accounts.lots.count();
            position.first_day = Some(accounts.lots.days().next().map_or(Date::MAX, |(day, _)| day));
            dropped.extend([(family::ACCOUNTS, old), (family::FILTERS, old), (family::LOTS, old)]);
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    positions.merges.extend(state.merges.iter().map(|(from, into)| (from.0, into.0)));
    let identifiers = build(store, files)?;
    if let Some(generation) = run
        && identifiers.iter().any(|&count| count > 0)
    {
        positions.runs.push(Run { generation, identifiers });
    }
    store.set_positions(positions)?;
    if run.is_some() {
        // They are in a run now; in the next one too, they would have two owners.
        state.late_identifiers.clear();
    }
    dropped.into_iter().try_for_each(|(family, generation)| drop_generation(store, family, generation))
}

/// Believes a stored cache no more: what it held is replayed from the logs from now on, until a job writes it anew.
///
/// # Errors
/// When that cannot be noted.
pub fn distrust(store: &Store, cache: CacheKind) -> Result<()> {
    let mut positions = store.positions();
    let mut dropped = Vec::new();
    match cache {
        CacheKind::Identifiers => {
            dropped.extend(positions.runs.drain(..).map(|run| (family::IDENTIFIERS, run.generation)));
            (positions.identifiers_next_record, positions.customers) = (0, 0);
        }
        CacheKind::Profiles => {
            let old = std::mem::take(&mut positions.profiles);
            dropped.extend([(family::PROFILES, old), (family::FILTERS, old)]);
            (positions.profiles_customers, positions.profiles_next_record) = (0, 0);
            positions.tiers.clear();
        }
        CacheKind::Accounts => {
            let families = [family::ACCOUNTS, family::FILTERS, family::LOTS];
            let old = std::mem::take(&mut positions.accounts).into_values();
            dropped.extend(old.flat_map(|old| families.map(|family| (family, old.generation))));
        }
    }
    store.set_positions(positions)?;
    dropped.into_iter().try_for_each(|(family, generation)| drop_generation(store, family, generation))
}

/// The number of a generation that is going to be written, and given to no other.
///
/// # Errors
/// When it cannot be noted.
pub fn new_generation(store: &Store) -> Result<u32> {
    let mut positions = store.positions();
    let generation = positions.take_generation();
    store.set_positions(positions)?;
    Ok(generation)
}

/// Has the system read the files of caches that a job is about to load, while it does something else: RocksDB drops what it
/// has written from the system's cache, so the caches of the job before lie on the disk only. Advice: it may fail.
pub fn read_ahead(store: &Store, needs: &Needs) {
    let Ok(files) = store.db().live_files() else { return };
    let is_needed = |file: &rocksdb::LiveFile| match file.column_family_name.as_str() {
        // The kind stands behind the generation, and a file has one.
        family::IDENTIFIERS => {
            let kind = file.start_key.as_ref().and_then(|key| key.get(4));
            needs.kinds.iter().any(|&wanted| kind == Some(&(wanted as u8)))
        }
        family::ACCOUNTS | family::LOTS => !needs.programs.is_empty(),
        family::PROFILES => needs.profiles,
        _ => false,
    };
    let database = store.directory().join("db");
    let paths: Vec<PathBuf> = files
        .iter()
        .filter(|file| is_needed(file))
        .map(|file| database.join(file.name.trim_start_matches('/')))
        .collect();
    // On a thread of its own, as it waits for the disk; nobody waits for it.
    let _ = std::thread::Builder::new()
        .name("read-ahead".to_owned())
        .spawn(move || paths.iter().for_each(|path| super::disk::read_ahead(path)));
}

/// Takes a page of a cache: key and value.
type Put<'a> = dyn FnMut(Vec<u8>, &[u8]) -> Result<()> + 'a;

/// Gives a file's pages in the order of their keys; returns how many values they hold.
type GivePages<'a> = dyn Fn(&mut Put<'_>) -> Result<u64> + Send + Sync + 'a;

/// One file of a new generation, and how its pages come about.
struct CacheFile<'a> {
    family: &'static str,
    /// For a file of identifiers, their kind.
    kind: Option<IdentifierKind>,
    pages: Box<GivePages<'a>>,
}

/// Builds the files side by side and takes them in. Returns how many identifiers of each kind they hold.
fn build(store: &Store, files: Vec<CacheFile<'_>>) -> Result<[u64; 5]> {
    let directory = staging::directory(store.directory());
    let paths: Vec<PathBuf> = files.iter().map(|file| staging::path(&directory, file.family)).collect();
    let built: Vec<(u64, Option<PathBuf>)> = files
        .par_iter()
        .zip(paths)
        .with_max_len(1)
        .map(|(file, path)| {
            let options = tuning::of_family(file.family);
            let mut writer = rocksdb::SstFileWriter::create(&options);
            writer.open(&path)?;
            let mut pages = 0_u64;
            let values = (file.pages)(&mut |key, value| {
                pages += 1;
                Ok(writer.put(key, value)?)
            })?;
            if pages == 0 {
                return Ok((0, None));
            }
            writer.finish()?;
            Ok((values, Some(path)))
        })
        .collect::<Result<_>>()?;
    let mut identifiers = [0; 5];
    let mut by_family: BTreeMap<&'static str, Vec<PathBuf>> = BTreeMap::new();
    for (file, (values, path)) in files.iter().zip(built) {
        if let Some(kind) = file.kind {
            identifiers[kind as usize] = values;
        }
        by_family.entry(file.family).or_default().extend(path);
    }
    let options = staging::ingest_options();
    for (family, paths) in by_family.into_iter().filter(|(_, paths)| !paths.is_empty()) {
        store.db().ingest_external_file_cf_opts(handle(store.db(), family)?, &options, paths)?;
    }
    Ok(identifiers)
}

/// The identifiers of customers from `since` on, and `late` ones, as a new run.
fn identifier_files<'a>(
    state: &'a State,
    generation: u32,
    since: u32,
    late: &'a HashSet<IdentifierHash>,
    files: &mut Vec<CacheFile<'a>>,
) {
    for &kind in IdentifierKind::ALL {
        let pages = move |put: &mut Put<'_>| {
            let keep = |customer: CustomerId, hash| customer.0 >= since || (!late.is_empty() && late.contains(&hash));
            state.identifiers.write_run(kind, keep, |page, value| {
                put(key::cache_page(generation, kind as u8, ProgramId(0), page).to_vec(), value)
            })
        };
        files.push(CacheFile { family: family::IDENTIFIERS, kind: Some(kind), pages: Box::new(pages) });
    }
}

/// What `state` knows of customers besides their identifiers and points.
fn profile_files<'a>(state: &State, profiles: &'a Profiles, generation: u32, files: &mut Vec<CacheFile<'a>>) {
    let customers = state.customers as usize;
    let pages = move |put: &mut Put<'_>| {
        for (page, range) in page_ranges(customers) {
            let mut value = Vec::new();
            let start = value::begin(Kind::ProfilePage, &mut value);
            value.extend_from_slice(&(range.len() as u16).to_le_bytes());
            column::pack(range.len(), |at| i64::from(profiles.presence[range.start + at]), &mut value);
            column::pack(range.len(), |at| profiles.newest[range.start + at].cast_signed(), &mut value);
            column::pad(&mut value);
            value::seal(start, &mut value);
            put(key::cache_page(generation, 0, ProgramId(0), page).to_vec(), &value)?;
        }
        Ok(customers as u64)
    };
    files.push(CacheFile { family: family::PROFILES, kind: None, pages: Box::new(pages) });
    type ValueOf = fn(&Profiles, usize) -> i64;
    const ATTRIBUTES: [(Attribute, ValueOf); 4] = [
        (Attribute::Ltv, |profiles, at| profiles.ltv[at]),
        (Attribute::Orders, |profiles, at| match profiles.orders[at] {
            u32::MAX => MISSING,
            orders => i64::from(orders),
        }),
        (Attribute::Tier, |profiles, at| match profiles.tier[at] {
            u16::MAX => MISSING,
            tier => i64::from(tier),
        }),
        (Attribute::CreatedAt, |profiles, at| profiles.created_at[at]),
    ];
    for (attribute, value_of) in ATTRIBUTES {
        let value_of = move |at: usize| value_of(profiles, at);
        files.push(filter_file(attribute, ProgramId(0), generation, customers, value_of));
    }
}

/// A program's accounts: their newest entries, and the balances as a filter.
fn account_files<'a>(list: &'a [Account], program: ProgramId, generation: u32, files: &mut Vec<CacheFile<'a>>) {
    let pages = move |put: &mut Put<'_>| {
        for (page, range) in page_ranges(list.len()) {
            let mut value = Vec::new();
            let start = value::begin(Kind::AccountPage, &mut value);
            value.extend_from_slice(&(range.len() as u16).to_le_bytes());
            let list = &list[range];
            column::pack(list.len(), |at| list[at].newest().0.cast_signed(), &mut value);
            column::pack(list.len(), |at| i64::from(list[at].has_lots()), &mut value);
            column::pad(&mut value);
            value::seal(start, &mut value);
            put(key::cache_page(generation, 0, program, page).to_vec(), &value)?;
        }
        Ok(list.len() as u64)
    };
    files.push(CacheFile { family: family::ACCOUNTS, kind: None, pages: Box::new(pages) });
    files.push(filter_file(Attribute::Balance, program, generation, list.len(), |at| list[at].balance));
}

/// Files that the lots of a program are spread over.
const LOT_FILES: usize = 8;

/// A program's lots, page by page of customers; pages without lots are left out.
fn lot_file<'a>(lots: &'a Lots, customers: usize, program: ProgramId, generation: u32, files: &mut Vec<CacheFile<'a>>) {
    // Several files: this cache takes longer than the others together, and files are built side by side.
    let pages: Vec<(u32, Range<usize>)> = page_ranges(customers).collect();
    for part in pages.chunks(pages.len().div_ceil(LOT_FILES).max(1)).map(<[_]>::to_vec) {
        let pages = move |put: &mut Put<'_>| {
            let mut value = Vec::new();
            for (page, range) in &part {
                value.clear();
                if lot_page::encode(lots, range.clone(), &mut value) {
                    put(key::cache_page(generation, 0, program, *page).to_vec(), &value)?;
                }
            }
            Ok(lots.count())
        };
        files.push(CacheFile { family: family::LOTS, kind: None, pages: Box::new(pages) });
    }
}

fn filter_file<'a>(
    attribute: Attribute,
    program: ProgramId,
    generation: u32,
    customers: usize,
    value_of: impl Fn(usize) -> i64 + Send + Sync + 'a,
) -> CacheFile<'a> {
    let pages = move |put: &mut Put<'_>| {
        let (mut values, mut page_bytes) = (Vec::with_capacity(ROWS), Vec::new());
        for (page, range) in page_ranges(customers) {
            values.clear();
            values.extend(range.map(&value_of));
            page_bytes.clear();
            filter_page::encode(&values, &mut page_bytes);
            put(key::cache_page(generation, attribute as u8, program, page).to_vec(), &page_bytes)?;
        }
        Ok(customers as u64)
    };
    CacheFile { family: family::FILTERS, kind: None, pages: Box::new(pages) }
}

/// The pages of so many customers, each with the customers on it.
fn page_ranges(customers: usize) -> impl Iterator<Item = (u32, Range<usize>)> {
    (0..customers.div_ceil(ROWS)).map(move |page| (page as u32, page * ROWS..((page + 1) * ROWS).min(customers)))
}

/// Drops a generation that nothing names any more, at once or when the last view ends that may have named it. Its files
/// hold nothing else, so this only unlinks them.
///
/// # Errors
/// When the database fails.
pub fn drop_generation(store: &Store, family: &'static str, generation: u32) -> Result<()> {
    if generation == 0 || store.readers.put_off(family, generation) {
        return Ok(());
    }
    unlink_generation(store, family, generation)
}

/// Unlinks a generation's files, which no snapshot prevents.
pub(super) fn unlink_generation(store: &Store, family: &str, generation: u32) -> Result<()> {
    let (from, to) = (generation.to_be_bytes(), (generation + 1).to_be_bytes());
    Ok(store.db().delete_file_in_range_cf(handle(store.db(), family)?, from, to)?)
}

/// Writes the caches and `tail` anew without what nothing names any more: dropping a generation unlinks its files, and
/// leaves what was merged into a file with another one. Nothing may write caches meanwhile.
///
/// # Errors
/// When the database fails.
pub fn compact(store: &Store) -> Result<()> {
    let positions = store.positions();
    for family in CACHES {
        for generation in generations(store, family)? {
            if !positions.references(generation) {
                // Numbers of generations are never given twice, so that the mark in the way harms no later one.
                let (from, to) = (generation.to_be_bytes(), (generation + 1).to_be_bytes());
                store.db().delete_range_cf(handle(store.db(), family)?, from, to)?;
            }
        }
    }
    // `log` is left out: its files do not overlap, so they would only be copied.
    for family in family::ALL.into_iter().filter(|&family| family != family::LOG) {
        let family = handle(store.db(), family)?;
        store.db().flush_cf(family)?;
        store.db().compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
    }
    Ok(())
}

/// The numbers of all generations that have pages in a family.
fn generations(store: &Store, family: &str) -> Result<Vec<u32>> {
    let (mut found, mut from) = (Vec::new(), 0_u32);
    while let Some(key) = first_key_from(store.db(), family, &from.to_be_bytes())? {
        let generation = key.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let generation = generation.ok_or_else(|| Error::corrupt(format!("`{family}` has a key of no known kind")))?;
        found.push(generation);
        let Some(next) = generation.checked_add(1) else { break };
        from = next;
    }
    Ok(found)
}

/// Drops the generations that a crash left behind before the positions named them.
///
/// # Errors
/// When the database fails.
pub fn drop_unreferenced(store: &Store) -> Result<()> {
    let positions = store.positions();
    for family in CACHES {
        for generation in generations(store, family)? {
            if !positions.references(generation) {
                drop_generation(store, family, generation)?;
            }
        }
    }
    Ok(())
}
