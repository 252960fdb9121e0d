//! The filter columns as of the end of the logs: stored pages, and what the logs say beyond them.
//!
//! A column is one attribute of all customers. Its pages are scanned as they lie in the database, or in memory if the
//! process asks more than once. What changed since they were written is a short sorted list beside them: at most what a
//! job may leave behind before it writes its caches (`caches::write_behind`).

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use rayon::prelude::*;
use rocksdb::DBRawIterator;

use super::{
    caches::CachePositions,
    customer_page::CustomerPage,
    family,
    filter_page::{Attribute, FilterPage, MISSING, ROWS},
    handle,
    key::{self, LogKey},
    ledger_page::LedgerPage,
    lock,
    state::{State, hole, log_end, records_end, scan_pages},
    view::{Readable, View},
};
use crate::{
    domain::{
        entry::EntryKind,
        id::{CustomerId, ProgramId, Sequence},
        lot::LotState,
        tier::Tiers,
        time::Date,
    },
    error::{CacheKind, Error, Result},
};

/// Names a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId {
    /// What it holds.
    pub attribute: Attribute,
    /// Of which program, where it is a balance.
    pub program: ProgramId,
}

impl ColumnId {
    /// A customer's attribute.
    pub fn of(attribute: Attribute) -> ColumnId {
        ColumnId { attribute, program: ProgramId(0) }
    }

    /// The balance in a program.
    pub fn balance(program: ProgramId) -> ColumnId {
        ColumnId { attribute: Attribute::Balance, program }
    }

    /// The cache that it is a part of.
    fn cache(self) -> CacheKind {
        match self.attribute {
            Attribute::Balance => CacheKind::Accounts,
            Attribute::Ltv | Attribute::Orders | Attribute::Tier | Attribute::CreatedAt => CacheKind::Profiles,
        }
    }

    /// The value of customers whom neither a page nor a change names.
    fn absent(self) -> i64 {
        if self.attribute == Attribute::Balance { 0 } else { MISSING }
    }
}

/// A customer's number and new value.
type Change = (u32, i64);

/// Pages of a column, one behind the other.
#[derive(Default)]
struct Resident {
    bytes: Vec<u8>,
    /// Where each page lies.
    places: Vec<Range<usize>>,
}

impl Resident {
    fn load(store: &View<'_>, column: ColumnId, generation: u32, covered: u32) -> Result<Resident> {
        let pages = (covered as usize).div_ceil(ROWS) as u32;
        let step = pages.div_ceil(rayon::current_num_threads() as u32 * 2).max(1);
        let parts = Mutex::new(BTreeMap::new());
        (0..pages.div_ceil(step)).into_par_iter().try_for_each(|part| {
            let range = part * step..((part + 1) * step).min(pages);
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            let attribute = column.attribute as u8;
            scan_pages(store, family::FILTERS, generation, attribute, column.program, range.clone(), |_, value| {
                bytes.extend_from_slice(value);
                ends.push(bytes.len());
                Ok(())
            })?;
            if ends.len() != range.len() {
                return Err(missing_pages(column, ends.len(), range.len()));
            }
            lock(&parts).insert(part, (bytes, ends));
            Ok::<(), Error>(())
        })?;
        let parts = parts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut resident = Resident::default();
        resident.bytes.reserve_exact(parts.values().map(|(bytes, _)| bytes.len()).sum());
        for (bytes, ends) in parts.into_values() {
            let offset = resident.bytes.len();
            let mut start = offset;
            for end in ends {
                resident.places.push(start..offset + end);
                start = offset + end;
            }
            resident.bytes.extend_from_slice(&bytes);
        }
        // Each is checked once; later looks trust the memory.
        resident
            .places
            .par_iter()
            .enumerate()
            .try_for_each(|(page, place)| FilterPage::open(page as u32, &resident.bytes[place.clone()]).map(drop))?;
        Ok(resident)
    }
}

fn missing_pages(column: ColumnId, found: usize, expected: usize) -> Error {
    Error::corrupt(format!("the filter column {:?} has {found} of {expected} pages", column.attribute))
}

/// What is kept of a column between two looks.
struct Kept {
    generation: u32,
    /// Customers of its pages.
    covered: u32,
    resident: Option<Arc<Resident>>,
    /// Sorted by customer, each once.
    changes: Arc<Vec<Change>>,
    /// The entry or record up to which the changes go.
    until: u64,
    /// The earliest last day of lots that the logs made since.
    first_day: Option<Date>,
}

/// What is kept of the columns between two looks.
#[derive(Default)]
pub struct FilterColumns {
    kept: BTreeMap<ColumnId, Kept>,
    tiers: Option<Tiers>,
    customers: u32,
    looks: u64,
}

/// The attributes of customers, in the order of their numbers.
const OF_CUSTOMERS: [Attribute; 4] = [Attribute::Ltv, Attribute::Orders, Attribute::Tier, Attribute::CreatedAt];

/// The columns at one moment.
pub struct FilterView<'a> {
    store: &'a View<'a>,
    /// Number of customers.
    pub customers: u32,
    /// The tiers by the numbers in their column.
    pub tiers: Tiers,
    columns: BTreeMap<ColumnId, ColumnView>,
}

struct ColumnView {
    generation: u32,
    covered: u32,
    resident: Option<Arc<Resident>>,
    changes: Arc<Vec<Change>>,
    /// Balances that have points whose last day is over, without these.
    overdue: Vec<Change>,
}

impl FilterColumns {
    /// Forgets everything: the pages were changed in place, or the settings.
    pub fn forget(&mut self) {
        *self = FilterColumns { looks: self.looks, ..FilterColumns::default() };
    }

    /// Counts a look: from the second on, pages are kept in memory.
    pub fn look(&mut self) {
        self.looks += 1;
    }

    /// The tiers by the numbers in their column.
    ///
    /// # Errors
    /// As `view`.
    pub fn tiers(&mut self, store: &View<'_>) -> Result<Tiers> {
        self.take_records(store, &store.positions(), records_end(store)?)?;
        Ok(self.tiers.clone().unwrap_or_default())
    }

    /// The wanted columns as of the end of the logs, on this day: points whose last day was before it are in no balance.
    /// None: lots may be over and `state`, which knows them, is needed with the programs that are looked at.
    ///
    /// Cost: the first look of a process reads what the logs have beyond the pages, and pages as they are scanned; a second
    /// one loads them, 10 to 20 bytes a customer for all columns.
    ///
    /// # Errors
    /// `Corrupt` when a page or the logs are damaged.
    pub fn view<'a>(
        &mut self,
        store: &'a View<'a>,
        wanted: &[ColumnId],
        today: Date,
        state: Option<&State>,
    ) -> Result<Option<FilterView<'a>>> {
        let positions = store.positions();
        let ends = (records_end(store)?, log_end(store)?);
        self.take_records(store, &positions, ends.0)?;
        let mut columns = BTreeMap::new();
        for &column in wanted {
            if column.attribute == Attribute::Balance {
                self.take_entries(store, &positions, column, ends.1)?;
            }
            let Some(kept) = self.kept.get_mut(&column) else { continue };
            if kept.resident.is_none() && kept.generation != 0 && self.looks > 1 {
                let loaded = Resident::load(store, column, kept.generation, kept.covered);
                kept.resident = Some(Arc::new(loaded.map_err(|error| error.of_cache(column.cache()))?));
            }
            let overdue = match column.attribute {
                Attribute::Balance => match overdue(&positions, kept.first_day, column.program, today, state)? {
                    Some(overdue) => overdue,
                    None => return Ok(None),
                },
                _ => Vec::new(),
            };
            columns.insert(
                column,
                ColumnView {
                    generation: kept.generation,
                    covered: kept.covered,
                    resident: kept.resident.clone(),
                    changes: Arc::clone(&kept.changes),
                    overdue,
                },
            );
        }
        let tiers = self.tiers.clone().unwrap_or_default();
        Ok(Some(FilterView { store, customers: self.customers, tiers, columns }))
    }

    /// Takes in the customer records that the pages do not reflect.
    fn take_records(&mut self, store: &View<'_>, positions: &CachePositions, end: u64) -> Result<()> {
        let first = ColumnId::of(OF_CUSTOMERS[0]);
        if self.kept.get(&first).is_none_or(|kept| kept.generation != positions.profiles) {
            for attribute in OF_CUSTOMERS {
                let kept = Kept {
                    generation: positions.profiles,
                    covered: positions.profiles_customers,
                    resident: None,
                    changes: Arc::default(),
                    until: positions.profiles_next_record,
                    first_day: None,
                };
                self.kept.insert(ColumnId::of(attribute), kept);
            }
            let declared = store.settings().tiers;
            self.tiers = Some(Tiers::from_parts(&positions.tiers, &declared).map_err(Error::corrupt)?);
            self.customers = positions.profiles_customers;
        }
        let from = self.kept.get(&first).map_or(0, |kept| kept.until);
        if from >= end {
            return Ok(());
        }
        let tiers = self.tiers.get_or_insert_default();
        let mut new: [Vec<Change>; OF_CUSTOMERS.len()] = Default::default();
        let (mut next, mut customers) = (from, self.customers);
        store.log().scan(LogKey::Customers(from), LogKey::Customers(end), |key, stored| {
            let LogKey::Customers(first) = key else { return Ok(false) };
            if first != next {
                return Err(hole("customer record", next, first));
            }
            let page = CustomerPage::open(first, stored)?;
            for record in page.records() {
                let record = record?;
                let (number, change) = (record.customer.0, &record.change);
                customers = customers.max(number + 1);
                let tier = match change.tier {
                    Some(tier) => Some(tiers.register(tier).ok_or_else(|| Error::corrupt("more tiers than fit"))?),
                    None => None,
                };
                let values = [
                    change.ltv,
                    change.orders.map(i64::from),
                    tier.map(|tier| i64::from(tier.0)),
                    change.created_at.map(|time| time.millis()),
                ];
                for (list, value) in new.iter_mut().zip(values) {
                    list.extend(value.map(|value| (number, value)));
                }
            }
            next = page.end();
            Ok(true)
        })?;
        if next != end {
            return Err(hole("customer record", next, end));
        }
        self.customers = customers;
        for (attribute, new) in OF_CUSTOMERS.into_iter().zip(new) {
            if let Some(kept) = self.kept.get_mut(&ColumnId::of(attribute)) {
                kept.changes = merged(&kept.changes, new);
                kept.until = end;
            }
        }
        Ok(())
    }

    /// Takes in the ledger entries that the balances of a program do not reflect.
    fn take_entries(&mut self, store: &View<'_>, positions: &CachePositions, column: ColumnId, end: u64) -> Result<()> {
        let position = positions.accounts.get(&column.program.0).cloned().unwrap_or_default();
        if self.kept.get(&column).is_none_or(|kept| kept.generation != position.generation) {
            let kept = Kept {
                generation: position.generation,
                covered: position.customers,
                resident: None,
                changes: Arc::default(),
                until: position.next_sequence.max(1),
                first_day: None,
            };
            self.kept.insert(column, kept);
        }
        let Some(kept) = self.kept.get_mut(&column).filter(|kept| kept.until < end) else { return Ok(()) };
        let (mut next, mut new, mut first_day) = (kept.until, Vec::new(), kept.first_day);
        let from = match store.log().last_at_or_before(LogKey::Ledger(Sequence(next)))? {
            Some((LogKey::Ledger(first), _)) => first,
            _ => Sequence(next),
        };
        store.log().scan(LogKey::Ledger(from), LogKey::Ledger(Sequence(end)), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            if page.end().0 <= next {
                return Ok(true);
            }
            if first.0 > next {
                return Err(hole("ledger entry", next, first.0));
            }
            for at in (next - first.0) as usize..page.count() {
                let entry = page.entry(at)?;
                if entry.program != column.program {
                    continue;
                }
                new.push((entry.customer.0, entry.balance_after));
                let lot = page.lot_of(at, &entry).or_else(|| page.refill_of(at, &entry));
                let day = match entry.kind {
                    EntryKind::ExpiryChange => entry.expires_on,
                    _ => lot.filter(|lot| lot.state == LotState::Available).and_then(|lot| lot.expires_on),
                };
                if let Some(day) = day {
                    first_day = Some(first_day.map_or(day, |first: Date| first.min(day)));
                }
            }
            next = page.end().0;
            Ok(true)
        })?;
        if next != end {
            return Err(hole("ledger entry", next, end));
        }
        kept.changes = merged(&kept.changes, new);
        (kept.until, kept.first_day) = (end, first_day);
        Ok(())
    }
}

/// Both lists as one, sorted and without repeats; of one customer's changes the newest stays.
fn merged(old: &Arc<Vec<Change>>, mut new: Vec<Change>) -> Arc<Vec<Change>> {
    if new.is_empty() {
        return Arc::clone(old);
    }
    // Stable: the last of each customer is the newest.
    new.par_sort_by_key(|&(customer, _)| customer);
    let mut all = Vec::with_capacity(old.len() + new.len());
    let mut olds = old.iter().copied().peekable();
    let mut news = new.into_iter().peekable();
    while let Some(mut change) = news.next() {
        while let Some(later) = news.next_if(|later| later.0 == change.0) {
            change = later;
        }
        while let Some(other) = olds.next_if(|other| other.0 <= change.0) {
            if other.0 < change.0 {
                all.push(other);
            }
        }
        all.push(change);
    }
    all.extend(olds);
    Arc::new(all)
}

/// Balances with points that are over, without these; none if nobody knows.
fn overdue(
    positions: &CachePositions,
    made_since: Option<Date>,
    program: ProgramId,
    today: Date,
    state: Option<&State>,
) -> Result<Option<Vec<Change>>> {
    let stored = positions.accounts.get(&program.0);
    let none_stored =
        stored.is_none_or(|position| position.lots == 0 || position.first_day.is_some_and(|day| day >= today));
    if none_stored && made_since.is_none_or(|day| day >= today) {
        return Ok(Some(Vec::new()));
    }
    let Some(accounts) = state.and_then(|state| state.accounts.get(&program)) else { return Ok(None) };
    let corrected = |customer: CustomerId| (customer.0, accounts.balance(customer, today));
    Ok(Some(accounts.lots.due(today).into_iter().map(corrected).collect()))
}

/// The pages of one column, for a worker that goes over them in ascending order.
pub struct ColumnPages<'a> {
    column: ColumnId,
    view: &'a ColumnView,
    cursor: Option<DBRawIterator<'a>>,
}

/// What is known of one page's customers in one column.
pub struct PageValues<'a> {
    /// The stored page; none behind the last one.
    pub page: Option<FilterPage<'a>>,
    /// The first customer of the page.
    first: u32,
    /// Changes of its customers.
    changes: &'a [Change],
    /// Balances of its customers without points that are over: these stand for everything else.
    overdue: &'a [Change],
    /// The value of whom neither names.
    pub absent: i64,
}

impl PageValues<'_> {
    /// Places on the page whose value is another than the stored page says, and the value.
    pub fn changes(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        let at = |&(customer, value): &Change| ((customer - self.first) as usize, value);
        // Where both name a customer, the later one counts.
        self.changes.iter().map(at).chain(self.overdue.iter().map(at))
    }

    /// Whether the stored page says it all.
    pub fn is_unchanged(&self) -> bool {
        self.changes.is_empty() && self.overdue.is_empty()
    }

    /// The value of the customer at this place.
    pub fn get(&self, at: usize) -> i64 {
        let customer = self.first + at as u32;
        for list in [self.overdue, self.changes] {
            if let Ok(found) = list.binary_search_by_key(&customer, |&(customer, _)| customer) {
                return list[found].1;
            }
        }
        match &self.page {
            Some(page) if at < page.count() => page.get(at),
            _ => self.absent,
        }
    }
}

impl FilterView<'_> {
    /// How many pages there are.
    pub fn pages(&self) -> u32 {
        (self.customers as usize).div_ceil(ROWS) as u32
    }

    /// The customers of a page.
    pub fn customers_of(&self, page: u32) -> Range<u32> {
        let first = page * ROWS as u32;
        first..(first + ROWS as u32).min(self.customers)
    }

    /// A column's pages within a range of pages.
    ///
    /// # Errors
    /// `Internal` for a column that was not wanted; when the database fails.
    pub fn column(&self, column: ColumnId, pages: Range<u32>) -> Result<ColumnPages<'_>> {
        let view = self.columns.get(&column).ok_or_else(|| Error::internal("a filter column was not loaded"))?;
        let mut cursor = None;
        if view.resident.is_none() && view.generation != 0 {
            let mut options = self.store.read_options();
            let end = key::cache_page(view.generation, column.attribute as u8, column.program, pages.end);
            options.set_iterate_upper_bound(end.to_vec());
            options.fill_cache(false);
            options.set_readahead_size(1 << 20);
            let db = self.store.store().db();
            cursor = Some(db.raw_iterator_cf_opt(handle(db, family::FILTERS)?, options));
        }
        Ok(ColumnPages { column, view, cursor })
    }
}

impl ColumnPages<'_> {
    /// What is known of a page's customers.
    ///
    /// # Errors
    /// `Corrupt` when the page is missing or damaged.
    pub fn page(&mut self, page: u32) -> Result<PageValues<'_>> {
        let cache = self.column.cache();
        self.stored_page(page).map_err(|error| error.of_cache(cache))
    }

    fn stored_page(&mut self, page: u32) -> Result<PageValues<'_>> {
        let view = self.view;
        let first = page * ROWS as u32;
        let covered = (view.covered as usize).div_ceil(ROWS) as u32;
        let within = |list: &'_ [Change]| {
            let start = list.partition_point(|&(customer, _)| customer < first);
            let end = start + list[start..].partition_point(|&(customer, _)| customer < first + ROWS as u32);
            start..end
        };
        let stored = match (&view.resident, &mut self.cursor) {
            _ if page >= covered => None,
            (Some(resident), _) => {
                let place = resident.places.get(page as usize);
                let place = place.ok_or_else(|| missing_pages(self.column, resident.places.len(), covered as usize))?;
                Some(FilterPage::trusted(page, &resident.bytes[place.clone()])?)
            }
            (None, Some(cursor)) => {
                let key = key::cache_page(view.generation, self.column.attribute as u8, self.column.program, page);
                if cursor.key() == Some(&key[..]) {
                    // Where the last look left it.
                } else {
                    if cursor.valid() {
                        cursor.next();
                    }
                    if cursor.key() != Some(&key[..]) {
                        cursor.seek(key);
                    }
                }
                cursor.status()?;
                match (cursor.key(), cursor.value()) {
                    (Some(found), Some(value)) if found == key => Some(FilterPage::open(page, value)?),
                    _ => return Err(missing_pages(self.column, page as usize, covered as usize)),
                }
            }
            (None, None) => None,
        };
        let (changes, overdue) = (&view.changes[within(&view.changes)], &view.overdue[within(&view.overdue)]);
        Ok(PageValues { page: stored, first, changes, overdue, absent: self.column.absent() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_changes_of_one_customer_the_newest_stays() {
        let old = Arc::new(vec![(1, 10), (3, 30), (5, 50)]);
        assert_eq!(
            *merged(&old, vec![(3, 31), (2, 20), (3, 32), (9, 90)]),
            [(1, 10), (2, 20), (3, 32), (5, 50), (9, 90)]
        );
        assert_eq!(*merged(&Arc::default(), vec![(7, 1), (7, 2)]), [(7, 2)]);
        assert_eq!(*merged(&old, Vec::new()), *old);
    }
}
