//! Taking a customer out of what was written: the one exception to logs that only grow.
//!
//! All that changes goes into one write batch: the pages without what is taken out, what is added to the log, the caches'
//! positions, and a note of what is left to do. Pages go to `tail`, where they stand for those of the same keys in `log`.
//! So a crash leaves the store as it was before, or as it is afterwards with the note in it; and whoever opens it next does
//! what the note says (`complete`), which may be done any number of times:
//!
//! - the customer's identifiers and profile are taken out of the caches;
//! - what `log` had under the same keys is dropped;
//! - every file that may hold a byte of it is written anew, and the write-ahead log is begun anew.
//!
//! A table is written anew by a compaction of the range of its keys. Each is given only what lies in its own range: a
//! memtable that spans the family would have the whole family written anew.

use std::collections::BTreeSet;

use rocksdb::{BottommostLevelCompaction, CompactOptions, WriteBatch, WriteOptions};
use serde::{Deserialize, Serialize};

use super::{
    Store,
    caches::CachePositions,
    cold,
    column::{self, Column},
    customer_page::{self, CustomerPage},
    family,
    filter_page::{self, Attribute, FilterPage, MISSING, ROWS},
    handle,
    identifiers::{IdentifierHash, IdentifierPage},
    key::{self, LogKey},
    lock,
    log::Commit,
    value::{self, Kind},
};
use crate::{
    domain::{
        customer::CustomerChange,
        id::{CustomerId, JobId, ProgramId},
    },
    error::{Error, ErrorKind, Result},
};

/// The name under which `meta` keeps the note.
const NOTE: &str = "rewriting";

/// What is left to do once the batch is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Whose profile goes.
    customer: u32,
    /// Runs of identifiers, each with one of the customer's that it has.
    identifiers: Vec<(u32, IdentifierHash)>,
    /// Keys of the values that were replaced.
    keys: Vec<Vec<u8>>,
}

/// A change of what was written, until it is committed.
pub struct Rewrite<'a> {
    store: &'a Store,
    commit: Commit,
    replaced: Vec<(LogKey, Vec<u8>)>,
    /// Of the customer's identifiers.
    hashes: Vec<IdentifierHash>,
    records: u64,
    merged_into: Option<CustomerId>,
    note: Note,
}

impl<'a> Rewrite<'a> {
    /// Begins with the records of a customer: each keeps its number and its link, and says from now on what `fields` gives.
    /// The identifiers of all of them go from the caches.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged.
    pub fn begin(
        store: &'a Store,
        customer: CustomerId,
        fields: impl Fn(&customer_page::CustomerRecord<'_>) -> CustomerChange<'static>,
    ) -> Result<Rewrite<'a>> {
        let mut rewrite = Rewrite {
            store,
            commit: Commit::default(),
            replaced: Vec::new(),
            hashes: Vec::new(),
            records: 0,
            merged_into: None,
            note: Note { customer: customer.0, ..Note::default() },
        };
        let seed = store.settings().seed;
        let mut pages = BTreeSet::new();
        let records = cold::records_of(store, customer)?;
        rewrite.records = records.len() as u64;
        for number in records {
            let missing = || Error::corrupt(format!("customer record {number} is missing"));
            let found = store.log().last_at_or_before(LogKey::Customers(number))?;
            let Some((LogKey::Customers(first), stored)) = found else { return Err(missing()) };
            if !pages.insert(first) {
                continue;
            }
            for record in CustomerPage::open(first, &stored)?.records() {
                let record = record?;
                if record.customer == customer {
                    let hash = |(kind, value): (_, &str)| IdentifierHash::of(seed, kind, value.as_bytes());
                    rewrite.hashes.extend(record.change.identifiers().map(hash));
                }
            }
            let page = customer_page::rewritten(first, &stored, customer, &fields)?.ok_or_else(missing)?;
            rewrite.replace(LogKey::Customers(first), page);
        }
        rewrite.hashes.sort_unstable();
        rewrite.hashes.dedup();
        Ok(rewrite)
    }

    /// How many identifiers go.
    pub fn identifiers(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// How many records the customer has.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Replaces the value of a key that is there.
    pub fn replace(&mut self, key: LogKey, value: Vec<u8>) {
        self.replaced.push((key, value));
    }

    /// Says that the customer becomes part of another, by a record that the same commit adds.
    pub fn merge_into(&mut self, into: CustomerId) {
        self.merged_into = Some(into);
    }

    /// What the same commit adds to the log.
    pub fn added(&mut self) -> &mut Commit {
        &mut self.commit
    }

    /// Makes all of it durable, as window `window` of a job, and has no byte of what was replaced left in the files. Waits
    /// for all views to end.
    ///
    /// # Errors
    /// When the database fails: the store must then be opened again to find out whether it was done, and to have it completed.
    pub fn commit(mut self, job: JobId, window: u32) -> Result<()> {
        let store = self.store;
        // A view's snapshot would keep on the disk what is taken out.
        let _alone = store.readers.alone();
        let tail = handle(&store.db, family::TAIL)?;
        let mut batch = WriteBatch::default();
        for (key, value) in &self.replaced {
            batch.put_cf(tail, key.bytes(), value);
            self.note.keys.push(key.bytes());
        }
        self.commit.each(|key, value| batch.put_cf(tail, key.bytes(), value));
        let mut positions = store.positions();
        for run in &mut positions.runs {
            for hash in &self.hashes {
                if page_without(store, run.generation, *hash)?.is_some() {
                    self.note.identifiers.push((run.generation, *hash));
                    let count = &mut run.identifiers[usize::from(hash.kind())];
                    *count = count.saturating_sub(1);
                }
            }
        }
        if let Some(into) = self.merged_into {
            positions
                .merges
                .values_mut()
                .filter(|owner| **owner == self.note.customer)
                .for_each(|owner| *owner = into.0);
            positions.merges.insert(self.note.customer, into.0);
        }
        {
            let mut head = lock(&store.head);
            let changes = head.promise().changes + 1;
            let meta = handle(&store.db, family::META)?;
            let json = |content| serde_json::to_vec(content).map_err(|error| Error::internal(error.to_string()));
            batch.put_cf(meta, "caches", value::sealed(Kind::Meta, &json(&positions)?));
            batch.put_cf(meta, "changes", value::sealed(Kind::Meta, changes.to_string().as_bytes()));
            let note = serde_json::to_vec(&self.note).map_err(|error| Error::internal(error.to_string()))?;
            batch.put_cf(meta, NOTE, value::sealed(Kind::Meta, &note));
            write(store, batch)?;
            *lock(&store.positions) = positions;
            head.note_window(job, window)?;
            head.note_changes(changes)?;
        }
        complete(store).map_err(|error| {
            let next =
                "it is done, but for files that still hold what was taken out: open the store again to complete it";
            if error.hint_text().is_some() { error } else { error.hint(next) }
        })
    }
}

fn write(store: &Store, batch: WriteBatch) -> Result<()> {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    Ok(store.db.write_opt(batch, &options)?)
}

/// Does what is left to do of a rewrite whose batch is written; nothing, if there is none.
///
/// # Errors
/// When the database fails, or the disk has no room for a file that is written anew: then it is done again at the next open.
pub fn complete(store: &Store) -> Result<()> {
    let Some(note) = store.meta::<Note>(NOTE)? else { return Ok(()) };
    let positions = store.positions();
    forget_identifiers(store, &note.identifiers)?;
    forget_profile(store, &positions, CustomerId(note.customer))?;
    drop_from_log(store, &note.keys)?;
    {
        // Nothing may come between: the write-ahead log is dropped when no family needs it.
        let _head = lock(&store.head);
        for name in family::ALL {
            store.db.flush_cf(handle(&store.db, name)?)?;
        }
    }
    if let (Some(first), Some(last)) = (note.keys.iter().min(), note.keys.iter().max()) {
        write_anew(store, family::TAIL, first, last)?;
    }
    let mut batch = WriteBatch::default();
    batch.delete_cf(handle(&store.db, family::META)?, NOTE);
    write(store, batch)?;
    // The note has hashes of what was taken out.
    store.db.flush_cf(handle(&store.db, family::META)?)?;
    store.db.compact_range_cf_opt(handle(&store.db, family::META)?, None::<&[u8]>, None::<&[u8]>, &forced());
    Ok(())
}

/// The page of a run that holds an identifier, as it is without it: its key and what it is then, none if that is nothing.
type Without = (Vec<u8>, Option<Vec<u8>>);

fn page_without(store: &Store, generation: u32, hash: IdentifierHash) -> Result<Option<Without>> {
    let key = key::cache_page(generation, hash.kind(), ProgramId(0), hash.page()).to_vec();
    let Some(stored) = store.db.get_cf(handle(&store.db, family::IDENTIFIERS)?, &key)? else { return Ok(None) };
    let without = IdentifierPage::open(hash.page(), &stored)?.without(hash);
    Ok(without.map(|page| (key, Some(page).filter(|page| !page.is_empty()))))
}

fn forget_identifiers(store: &Store, identifiers: &[(u32, IdentifierHash)]) -> Result<()> {
    let family = handle(&store.db, family::IDENTIFIERS)?;
    for (generation, hash) in identifiers {
        if let Some((key, page)) = page_without(store, *generation, *hash)? {
            let mut batch = WriteBatch::default();
            match page {
                Some(page) => batch.put_cf(family, &key, page),
                None => batch.delete_cf(family, &key),
            }
            write(store, batch)?;
        }
        // Also where an attempt that was cut short had the page changed already.
        let key = key::cache_page(*generation, hash.kind(), ProgramId(0), hash.page());
        write_anew(store, family::IDENTIFIERS, &key, &key)?;
    }
    Ok(())
}

/// Leaves a customer's record in the caches without any field, but for its number.
fn forget_profile(store: &Store, positions: &CachePositions, customer: CustomerId) -> Result<()> {
    if positions.profiles == 0 || customer.0 >= positions.profiles_customers {
        return Ok(());
    }
    let (page, at) = ((customer.index() / ROWS) as u32, customer.index() % ROWS);
    let missing = || Error::corrupt(format!("profile page {page} is missing"));
    let key = key::cache_page(positions.profiles, 0, ProgramId(0), page);
    let profiles = handle(&store.db, family::PROFILES)?;
    let stored = store.db.get_cf(profiles, key)?.ok_or_else(missing)?;
    let mut body = value::open(Kind::ProfilePage, &stored, &format_args!("profile page {page}"))?;
    let (count, rest) = body.split_first_chunk::<2>().ok_or_else(missing)?;
    body = rest;
    let rows = usize::from(u16::from_le_bytes(*count));
    let (presence, newest) = (Column::take(&mut body, rows)?, Column::take(&mut body, rows)?);
    let mut changed = Vec::new();
    let start = value::begin(Kind::ProfilePage, &mut changed);
    changed.extend_from_slice(count);
    column::pack(rows, |row| if row == at { 0 } else { presence.get(row) }, &mut changed);
    column::pack(rows, |row| newest.get(row), &mut changed);
    column::pad(&mut changed);
    value::seal(start, &mut changed);
    let mut batch = WriteBatch::default();
    batch.put_cf(profiles, key, changed);
    write(store, batch)?;
    write_anew(store, family::PROFILES, &key, &key)?;
    for attribute in [Attribute::Ltv, Attribute::Orders, Attribute::Tier, Attribute::CreatedAt] {
        let key = key::cache_page(positions.profiles, attribute as u8, ProgramId(0), page);
        let filters = handle(&store.db, family::FILTERS)?;
        let stored = store.db.get_cf(filters, key)?.ok_or_else(missing)?;
        let opened = FilterPage::open(page, &stored)?;
        let value = |row| if row == at { MISSING } else { opened.get(row) };
        let values: Vec<i64> = (0..opened.count()).map(value).collect();
        let mut changed = Vec::new();
        filter_page::encode(&values, &mut changed);
        let mut batch = WriteBatch::default();
        batch.put_cf(filters, key, changed);
        write(store, batch)?;
        write_anew(store, family::FILTERS, &key, &key)?;
    }
    Ok(())
}

/// Drops from `log` what `tail` replaces, file by file.
fn drop_from_log(store: &Store, keys: &[Vec<u8>]) -> Result<()> {
    let log = handle(&store.db, family::LOG)?;
    let mut left: BTreeSet<&Vec<u8>> = keys.iter().collect();
    while let Some(&first) = left.first() {
        let files = files(store, family::LOG, first, first)?;
        // Keys of one file go together, up to its end; one that no file has may still be marked in the memtable only.
        let end = files.iter().map(|(_, _, end)| end.clone()).min().unwrap_or_else(|| first.clone());
        let group: Vec<&Vec<u8>> = left.range::<Vec<u8>, _>(first..=&end).copied().collect();
        let mut batch = WriteBatch::default();
        group.iter().for_each(|key| batch.delete_cf(log, key));
        write(store, batch)?;
        let last = group.last().map_or(first, |last| *last);
        write_anew(store, family::LOG, first, last)?;
        left.retain(|key| !group.contains(key));
    }
    Ok(())
}

/// A table's name, and its first and last key.
type Table = (String, Vec<u8>, Vec<u8>);

/// The files of a family that overlap a range, its end included.
fn files(store: &Store, family: &str, from: &[u8], to: &[u8]) -> Result<Vec<Table>> {
    let files = store.db.live_files()?.into_iter().filter(|file| file.column_family_name == family);
    let bounded = files.filter_map(|file| Some((file.name, file.start_key?, file.end_key?)));
    Ok(bounded.filter(|(_, start, end)| start.as_slice() <= to && from <= end.as_slice()).collect())
}

fn forced() -> CompactOptions {
    let mut options = CompactOptions::default();
    // The last level too, where large windows and caches lie.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    options
}

/// Writes the files of a family anew that hold something of a range, its end included: so that what was replaced or dropped
/// there is gone from them.
fn write_anew(store: &Store, name: &str, from: &[u8], to: &[u8]) -> Result<()> {
    let family = handle(&store.db, name)?;
    let before = files(store, name, from, to)?;
    store.db.flush_cf(family)?;
    store.db.compact_range_cf_opt(family, Some(from), Some(to), &forced());
    let after = files(store, name, from, to)?;
    // The call does not say whether it failed.
    match after.iter().find(|file| before.contains(file)) {
        None => Ok(()),
        Some(_) => Err(Error::new(
            ErrorKind::Storage,
            "rewrite_incomplete",
            "a file of the store could not be written anew, so it still holds what was taken out of the store",
        )
        .hint("make sure that the disk has room for the largest file in the store's directory `db`, and open the store again")),
    }
}
