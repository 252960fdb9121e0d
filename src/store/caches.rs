//! The stored caches: what they reflect, how they are written.
//!
//! A cache is never changed in place. It is written whole as a new generation (identifiers: as a new run with what
//! came since the last one), ingested, and only then do the positions in `meta` name it; what they do not name is
//! dropped at the next open. So a crash at any moment leaves a cache that is older, never one that is wrong.

use std::collections::BTreeMap;

use rocksdb::IngestExternalFileOptions;
use serde::{Deserialize, Serialize};

use super::{
    Store, column, family,
    filter_page::{self, Attribute, MISSING, ROWS},
    handle, key,
    log::{first_key_from, write_sst},
    state::{Accounts, Profiles, State},
    tuning,
    value::{self, Kind},
};
use crate::{
    domain::{id::ProgramId, identifier::IdentifierKind},
    error::{Error, Result},
};

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
    }
}

/// Writes what has fallen behind by more than the bound, of what `state` has loaded.
///
/// The bound is `lag_min` log records or an eighth of the customers, whichever is more: a cache is then rewritten at
/// most once for every eighth of its size, and what is behind is replayed at open in well under a second.
///
/// # Errors
/// When the disk or database fails. The caches then stay as they were.
pub fn write_behind(store: &Store, state: &mut State, lag_min: u64) -> Result<()> {
    let positions = store.positions();
    let bound = lag_min.max(u64::from(state.customers) / 8);
    // A record weighs far more in replay than an entry: it is unpacked and its identifiers are hashed.
    let record_bound = bound / 8;
    if !state.kinds.is_empty() && state.next_record - positions.identifiers_next_record > record_bound {
        write_identifiers(store, state)?;
        // They are in a run now; in the next one too, they would have two owners.
        state.late_identifiers.clear();
    }
    if let Some(profiles) = &state.profiles
        && state.next_record - positions.profiles_next_record > record_bound
    {
        write_profiles(store, state, profiles)?;
    }
    for (&program, accounts) in &state.accounts {
        let written = positions.accounts.get(&program.0).map_or(1, |position| position.next_sequence);
        if state.next_sequence - written > bound {
            write_accounts(store, state, program, accounts)?;
        }
    }
    Ok(())
}

/// Writes the identifiers that came since the last run as a new run, or all as one run where there are too many.
///
/// # Errors
/// As `write_behind`.
pub fn write_identifiers(store: &Store, state: &State) -> Result<()> {
    let mut positions = store.positions();
    let merge = positions.runs.len() >= RUNS_MAX && state.kinds.len() == IdentifierKind::ALL.len();
    let since = if merge { 0 } else { positions.customers };
    // Identifiers that existing customers got since the last run are not told apart by the customer's number.
    let late = if merge { &[][..] } else { state.late_identifiers.as_slice() };
    let generation = positions.take_generation();
    let path = store.directory().join("staging").join("identifiers.sst");
    let options = tuning::of_family(family::IDENTIFIERS);
    let mut writer = rocksdb::SstFileWriter::create(&options);
    writer.open(&path)?;
    let late: std::collections::HashSet<_> = late.iter().copied().collect();
    let keep = |customer: crate::domain::id::CustomerId, hash| customer.0 >= since || late.contains(&hash);
    let identifiers = state.identifiers.write_run(keep, |kind, page, value| {
        Ok(writer.put(key::cache_page(generation, kind, ProgramId(0), page), value)?)
    })?;
    let is_empty = identifiers.iter().all(|&count| count == 0);
    if !is_empty {
        writer.finish()?;
        ingest(store, family::IDENTIFIERS, path)?;
    }
    let dropped = if merge { std::mem::take(&mut positions.runs) } else { Vec::new() };
    if !is_empty {
        positions.runs.push(Run { generation, identifiers });
    }
    positions.identifiers_next_record = state.next_record;
    positions.customers = state.customers;
    store.set_positions(positions)?;
    dropped.iter().try_for_each(|run| drop_generation(store, family::IDENTIFIERS, run.generation))
}

fn write_profiles(store: &Store, state: &State, profiles: &Profiles) -> Result<()> {
    let mut positions = store.positions();
    let generation = positions.take_generation();
    let customers = state.customers as usize;
    let mut scratch = Vec::with_capacity(ROWS);
    let pages = (0..customers.div_ceil(ROWS) as u32).map(|page| (page, page_range(page, customers)));
    write_generation(
        store,
        family::PROFILES,
        pages.clone().map(|(page, range)| {
            let mut value = Vec::new();
            let start = value::begin(Kind::ProfilePage, &mut value);
            value.extend_from_slice(&(range.len() as u16).to_le_bytes());
            column::pack(range.len(), |at| i64::from(profiles.presence[range.start + at]), &mut value);
            column::pack(range.len(), |at| profiles.newest[range.start + at].cast_signed(), &mut value);
            column::pad(&mut value);
            value::seal(start, &mut value);
            (key::cache_page(generation, 0, ProgramId(0), page).to_vec(), value)
        }),
    )?;
    let attributes: [(Attribute, &dyn Fn(usize) -> i64); 4] = [
        (Attribute::Ltv, &|at| profiles.ltv[at]),
        (Attribute::Orders, &|at| {
            if profiles.orders[at] == u32::MAX { MISSING } else { i64::from(profiles.orders[at]) }
        }),
        (Attribute::Tier, &|at| if profiles.tier[at] == u16::MAX { MISSING } else { i64::from(profiles.tier[at]) }),
        (Attribute::CreatedAt, &|at| profiles.created_at[at]),
    ];
    let columns = attributes
        .iter()
        .flat_map(|(attribute, value)| pages.clone().map(move |(page, range)| (*attribute, page, range, value)));
    write_generation(
        store,
        family::FILTERS,
        columns.map(|(attribute, page, range, value_of)| {
            scratch.clear();
            scratch.extend(range.map(value_of));
            let mut value = Vec::new();
            filter_page::encode(&scratch, &mut value);
            (key::cache_page(generation, attribute as u8, ProgramId(0), page).to_vec(), value)
        }),
    )?;
    let old = std::mem::replace(&mut positions.profiles, generation);
    positions.profiles_customers = state.customers;
    positions.profiles_next_record = state.next_record;
    positions.tiers = profiles.tiers.names().to_vec();
    store.set_positions(positions)?;
    drop_generation(store, family::PROFILES, old)?;
    drop_generation(store, family::FILTERS, old)
}

fn write_accounts(store: &Store, state: &State, program: ProgramId, accounts: &Accounts) -> Result<()> {
    let mut positions = store.positions();
    let generation = positions.take_generation();
    let customers = accounts.list.len().min(state.customers as usize);
    let pages = (0..customers.div_ceil(ROWS) as u32).map(|page| (page, page_range(page, customers)));
    write_generation(
        store,
        family::ACCOUNTS,
        pages.clone().map(|(page, range)| {
            let mut value = Vec::new();
            let start = value::begin(Kind::AccountPage, &mut value);
            value.extend_from_slice(&(range.len() as u16).to_le_bytes());
            let list = &accounts.list[range];
            column::pack(list.len(), |at| list[at].newest().0.cast_signed(), &mut value);
            column::pack(list.len(), |at| i64::from(list[at].has_lots()), &mut value);
            column::pad(&mut value);
            value::seal(start, &mut value);
            (key::cache_page(generation, 0, program, page).to_vec(), value)
        }),
    )?;
    let mut scratch = Vec::with_capacity(ROWS);
    write_generation(
        store,
        family::FILTERS,
        pages.map(|(page, range)| {
            scratch.clear();
            scratch.extend(accounts.list[range].iter().map(|account| account.balance));
            let mut value = Vec::new();
            filter_page::encode(&scratch, &mut value);
            (key::cache_page(generation, Attribute::Balance as u8, program, page).to_vec(), value)
        }),
    )?;
    let position = positions.accounts.entry(program.0).or_default();
    let old = std::mem::replace(&mut position.generation, generation);
    position.next_sequence = state.next_sequence;
    position.customers = customers as u32;
    store.set_positions(positions)?;
    drop_generation(store, family::ACCOUNTS, old)?;
    drop_generation(store, family::FILTERS, old)
}

fn page_range(page: u32, customers: usize) -> std::ops::Range<usize> {
    let start = page as usize * ROWS;
    start..(start + ROWS).min(customers)
}

fn write_generation(store: &Store, family: &str, pages: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<()> {
    let mut pages = pages.peekable();
    if pages.peek().is_none() {
        return Ok(());
    }
    let path = store.directory().join("staging").join(format!("{family}.sst"));
    write_sst(&tuning::of_family(family), &path, pages)?;
    ingest(store, family, path)
}

fn ingest(store: &Store, family: &str, path: std::path::PathBuf) -> Result<()> {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    Ok(store.db().ingest_external_file_cf_opts(handle(store.db(), family)?, &options, vec![path])?)
}

/// Drops a generation that nothing names any more. Its files hold nothing else, so this only unlinks them.
fn drop_generation(store: &Store, family: &str, generation: u32) -> Result<()> {
    if generation == 0 {
        return Ok(());
    }
    let (from, to) = (generation.to_be_bytes(), (generation + 1).to_be_bytes());
    Ok(store.db().delete_file_in_range_cf(handle(store.db(), family)?, from, to)?)
}

/// Drops the generations that a crash left behind before the positions named them.
///
/// # Errors
/// When the database fails.
pub fn drop_unreferenced(store: &Store) -> Result<()> {
    let positions = store.positions();
    for family in [family::IDENTIFIERS, family::PROFILES, family::FILTERS, family::ACCOUNTS] {
        let mut from = 0_u32;
        while let Some(found) = first_key_from(store.db(), family, &from.to_be_bytes())? {
            let generation = found.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
            let generation =
                generation.ok_or_else(|| Error::corrupt(format!("`{family}` has a key of no known kind")))?;
            if !positions.references(generation) {
                drop_generation(store, family, generation)?;
            }
            from = generation + 1;
        }
    }
    Ok(())
}
