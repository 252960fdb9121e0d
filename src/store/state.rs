//! What a job needs of the store in memory: loaded from the caches, brought up to date by replaying the logs.

use std::{collections::BTreeMap, sync::Mutex};

use rayon::prelude::*;

use super::{
    caches::CachePositions,
    column::Column,
    customer_page::{CustomerPage, CustomerRecord},
    family,
    filter_page::{Attribute, FilterPage, MISSING, ROWS},
    handle,
    identifiers::{IdentifierHash, IdentifierTable, PAGES},
    key::{self, LogKey},
    ledger_page::LedgerPage,
    lock, lot_page, memory,
    replay::ReplayedRecord,
    tuning,
    value::{self, Kind},
    view::Readable,
};
use crate::{
    domain::{
        account::Account,
        customer::Presence,
        entry::{Entry, EntryKind},
        id::{CustomerId, ProgramId, Sequence},
        identifier::IdentifierKind,
        lot::{Lot, LotState, Lots, Taken},
        reference::Reference,
        tier::{TierId, Tiers},
        time::{Date, Timestamp},
    },
    error::{CacheKind, Error, Result},
};

/// What a job needs to have in memory.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// The identifiers of these kinds.
    pub kinds: Vec<IdentifierKind>,
    /// Presence bits and attributes of customers.
    pub profiles: bool,
    /// The accounts of these programs.
    pub programs: Vec<ProgramId>,
}

/// The accounts of one program, one place a customer.
#[derive(Default)]
pub struct Accounts {
    /// By customer number.
    pub list: Vec<Account>,
    /// Sum of the balances.
    pub total: i128,
    /// What of the balances is dated, referenced or promised.
    pub lots: Lots,
}

impl Accounts {
    /// A customer's balance without points whose last day was before `today`.
    pub fn balance(&self, customer: CustomerId, today: Date) -> i64 {
        match self.list.get(customer.index()) {
            Some(account) if account.has_lots() => account.balance - self.lots.overdue(customer, today),
            Some(account) => account.balance,
            None => 0,
        }
    }

    /// Makes sure that a customer has an account, who may have come to be since these were loaded. Half as many again where
    /// no room was made, so that creating millions stays linear.
    #[inline]
    pub fn make_room_for(&mut self, customer: CustomerId) {
        if customer.index() >= self.list.len() {
            let more = if self.list.capacity() > customer.index() { 4096 } else { self.list.len() / 2 + 1024 };
            self.list.resize(customer.index() + 1 + more, Account::default());
        }
    }

    /// Adds a lot of an account that is there, and flags the account.
    pub fn add_lot(&mut self, customer: CustomerId, lot: Lot) {
        self.lots.insert(customer, lot);
        if let Some(account) = self.list.get_mut(customer.index()) {
            *account = Account::new(account.balance, account.newest(), true);
        }
    }

    /// Puts points back into a lot of an account that is there, or makes it again, and flags the account. False if they do not
    /// fit.
    pub fn refill_lot(&mut self, customer: CustomerId, lot: Lot) -> bool {
        let fits = self.lots.refill(customer, lot);
        if let Some(account) = self.list.get_mut(customer.index()) {
            *account = Account::new(account.balance, account.newest(), self.lots.has(customer));
        }
        fits
    }

    /// Gives a lot another last day, or all plain points of the account: without a lot they become one that is named by the
    /// entry `own` that does it. False, and nothing, if there is no such lot, or there are no points.
    pub fn change_last_day(
        &mut self,
        customer: CustomerId,
        lot: Option<Sequence>,
        own: Sequence,
        last_day: Option<Date>,
        credited_at: Timestamp,
    ) -> bool {
        let changed = match lot {
            Some(lot) => self.lots.set_last_day(customer, lot, last_day),
            None => {
                let balance = self.list.get(customer.index()).map_or(0, |account| account.balance);
                let remaining = self.lots.plain(customer, balance);
                if remaining > 0 {
                    let (state, reference) = (LotState::Available, Reference::NONE);
                    let expires_on = last_day;
                    self.lots
                        .insert(customer, Lot { credit: own, remaining, expires_on, credited_at, state, reference });
                }
                remaining > 0
            }
        };
        if let Some(account) = self.list.get_mut(customer.index()) {
            *account = Account::new(account.balance, account.newest(), self.lots.has(customer));
        }
        changed
    }

    /// Takes in the entry at a place of a page, as it stands in the log: what it says of the balance, of the lots it took
    /// of, and of the one it makes or refills. `taken` is what `LedgerPage::taken_from` says of it.
    ///
    /// # Errors
    /// `Corrupt` when its customer or a lot is not there.
    pub fn replay(&mut self, page: &LedgerPage<'_>, at: usize, entry: &Entry, taken: &[Taken]) -> Result<()> {
        let sequence = Sequence(page.first.0 + at as u64);
        let account = self.list.get_mut(entry.customer.index());
        let account = account.ok_or_else(|| Error::corrupt(format!("entry {}: no such customer", sequence.0)))?;
        *account = Account::new(entry.balance_after, sequence, account.has_lots());
        if !taken.is_empty() {
            for &taken in taken {
                let found = self.lots.take(entry.customer, taken);
                let lost = || {
                    Error::corrupt(format!("entry {} takes of lot {}, which has not so much", sequence.0, taken.lot.0))
                };
                found.ok_or_else(lost)?;
            }
            *account = Account::new(entry.balance_after, sequence, self.lots.has(entry.customer));
        }
        if let Some(lot) = page.lot_of(at, entry) {
            self.add_lot(entry.customer, lot);
        }
        if entry.kind == EntryKind::ExpiryChange {
            let lot = page.refill(at).map(|refill| refill.lot);
            if !self.change_last_day(entry.customer, lot, sequence, entry.expires_on, page.credited_at(at)) {
                return Err(Error::corrupt(format!("entry {} changes a lot that is not there", sequence.0)));
            }
        }
        if let Some(lot) = page.refill_of(at, entry)
            && !self.refill_lot(entry.customer, lot)
        {
            return Err(Error::corrupt(format!("entry {} puts more into lot {} than fits", sequence.0, lot.credit.0)));
        }
        Ok(())
    }
}

/// Presence bits and attributes, one place a customer in each.
#[derive(Default)]
pub struct Profiles {
    /// Which write-once fields are filled.
    pub presence: Vec<u8>,
    /// The customer's newest record.
    pub newest: Vec<u64>,
    /// Numbers of tiers; `u16::MAX`: none.
    pub tier: Vec<u16>,
    /// LTV; `MISSING`: none.
    pub ltv: Vec<i64>,
    /// Orders; `u32::MAX`: none.
    pub orders: Vec<u32>,
    /// Creation, milliseconds; `MISSING`: none.
    pub created_at: Vec<i64>,
    /// Names of the tiers.
    pub tiers: Tiers,
}

impl Profiles {
    pub(super) fn resize(&mut self, customers: usize) {
        self.presence.resize(customers, 0);
        self.newest.resize(customers, 0);
        self.tier.resize(customers, u16::MAX);
        self.ltv.resize(customers, MISSING);
        self.orders.resize(customers, u32::MAX);
        self.created_at.resize(customers, MISSING);
    }

    /// Makes room for so many customers, without touching the memory yet.
    pub fn expect(&mut self, customers: usize) {
        tuning::make_room(&mut self.presence, customers);
        tuning::make_room(&mut self.newest, customers);
        tuning::make_room(&mut self.tier, customers);
        tuning::make_room(&mut self.ltv, customers);
        tuning::make_room(&mut self.orders, customers);
        tuning::make_room(&mut self.created_at, customers);
    }

    /// Takes in a record.
    ///
    /// # Errors
    /// `Corrupt` when a tier cannot be registered.
    pub fn record(&mut self, record: &CustomerRecord<'_>) -> Result<()> {
        let change = &record.change;
        let tier = change.tier.map(|tier| self.tiers.register(tier));
        if tier == Some(None) {
            return Err(Error::corrupt("a record names more tiers than a store holds"));
        }
        self.set(record.number, record.customer, change.presence(), tier.flatten());
        self.set_attributes(record.customer, change.ltv, change.orders, change.created_at);
        Ok(())
    }

    /// Takes in a record that was unpacked, and whose tier is registered.
    pub(super) fn take(&mut self, record: &ReplayedRecord, tier: Option<TierId>) {
        self.set(record.number, record.customer, record.presence, tier);
        self.set_attributes(record.customer, record.ltv, record.orders, record.created_at);
    }

    fn set(&mut self, number: u64, customer: CustomerId, presence: Presence, tier: Option<TierId>) {
        let at = customer.index();
        if at >= self.presence.len() {
            self.resize(at + 1);
        }
        self.presence[at] |= presence.0;
        self.newest[at] = number;
        if let Some(tier) = tier {
            self.tier[at] = tier.0;
        }
    }

    fn set_attributes(
        &mut self,
        customer: CustomerId,
        ltv: Option<i64>,
        orders: Option<u32>,
        created_at: Option<Timestamp>,
    ) {
        let at = customer.index();
        if let Some(ltv) = ltv {
            self.ltv[at] = ltv;
        }
        if let Some(orders) = orders {
            self.orders[at] = orders;
        }
        if let Some(created_at) = created_at {
            self.created_at[at] = created_at.millis();
        }
    }

    /// The filled write-once fields of a customer.
    pub fn presence_of(&self, customer: CustomerId) -> Presence {
        Presence(self.presence.get(customer.index()).copied().unwrap_or(0))
    }
}

/// What a job has in memory.
#[derive(Default)]
pub struct State {
    /// Number of customers.
    pub customers: u32,
    /// Number of the next customer record.
    pub next_record: u64,
    /// Number of the next ledger entry.
    pub next_sequence: u64,
    /// The kinds of which `identifiers` holds all; of the others it holds what came since the stored runs.
    pub kinds: Vec<IdentifierKind>,
    /// The identifier table.
    pub identifiers: IdentifierTable,
    /// Identifiers that customers of stored runs got since these were written.
    pub late_identifiers: Vec<IdentifierHash>,
    /// Presence bits and attributes, if loaded.
    pub profiles: Option<Profiles>,
    /// The loaded programs' accounts.
    pub accounts: BTreeMap<ProgramId, Accounts>,
    /// Customers that became part of others, each with the one that has its points now.
    pub merges: BTreeMap<CustomerId, CustomerId>,
}

impl State {
    /// Loads what is needed.
    ///
    /// Cost at 10 million customers with five identifiers each, on 2 cores: about a second, for 900 MB of pages.
    ///
    /// # Errors
    /// `Refused` when the machine has not the memory; `Corrupt` when a page or the logs are damaged, or the log has a hole.
    pub fn load(store: &impl Readable, needs: &Needs) -> Result<State> {
        let positions = store.positions();
        if !needs.kinds.is_empty() {
            memory::check(memory::needed_bytes(&positions, needs), memory::available_bytes())?;
        }
        let mut state = State {
            customers: positions.customers,
            next_record: positions.identifiers_next_record,
            next_sequence: 1,
            kinds: needs.kinds.clone(),
            merges: positions.merges.iter().map(|(&from, &into)| (CustomerId(from), CustomerId(into))).collect(),
            ..State::default()
        };
        if !needs.kinds.is_empty() {
            state.load_identifiers(store, &positions).map_err(|error| error.of_cache(CacheKind::Identifiers))?;
        }
        if needs.profiles {
            let profiles = load_profiles(store, &positions);
            state.profiles = Some(profiles.map_err(|error| error.of_cache(CacheKind::Profiles))?);
        }
        state.replay_records(store, &positions)?;
        for &program in &needs.programs {
            let accounts = load_accounts(store, &positions, program, state.customers as usize);
            let accounts = accounts.map_err(|error| error.of_cache(CacheKind::Accounts))?;
            state.accounts.insert(program, accounts);
        }
        state.replay_entries(store, &positions)?;
        for accounts in state.accounts.values_mut() {
            accounts.total = accounts.list.iter().map(|account| i128::from(account.balance)).sum();
        }
        Ok(state)
    }

    fn load_identifiers(&mut self, store: &impl Readable, positions: &CachePositions) -> Result<()> {
        let count = |kind: IdentifierKind| positions.runs.iter().map(|run| run.identifiers[kind as usize]).sum();
        for &kind in &self.kinds {
            self.identifiers.reserve_evenly(kind, count(kind));
        }
        self.identifiers.fill_parallel(&self.kinds, |kind, pages, part| {
            for run in &positions.runs {
                scan_pages(
                    store,
                    family::IDENTIFIERS,
                    run.generation,
                    kind,
                    ProgramId(0),
                    pages.clone(),
                    |page, value| part.load_page(page, value),
                )?;
            }
            Ok(())
        })?;
        for &kind in &self.kinds {
            let (found, expected) = (self.identifiers.len_of(kind) as u64, count(kind));
            if found != expected {
                let name = kind.name();
                return Err(Error::corrupt(format!("the cache of {name} holds {found} of {expected} identifiers")));
            }
        }
        Ok(())
    }

    /// Brings the loaded accounts up to the log's end, and finds that end.
    fn replay_entries(&mut self, store: &impl Readable, positions: &CachePositions) -> Result<()> {
        let from =
            |program: &ProgramId| positions.accounts.get(&program.0).map_or(1, |position| position.next_sequence);
        let Some(start) = self.accounts.keys().map(&from).min() else {
            self.next_sequence = log_end(store)?;
            return Ok(());
        };
        let froms: BTreeMap<ProgramId, u64> = self.accounts.keys().map(|program| (*program, from(program))).collect();
        let mut next = start;
        let mut taken = Vec::new();
        store.log().scan(LogKey::Ledger(Sequence(start)), LogKey::Ledger(Sequence(u64::MAX)), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            if first.0 != next {
                return Err(hole("ledger entry", next, first.0));
            }
            let page = LedgerPage::open(first, stored)?;
            let mut taken_at = 0;
            for at in 0..page.count() {
                let entry = page.entry(at)?;
                let sequence = first.0 + at as u64;
                page.taken_from(&mut taken_at, at, &mut taken);
                let Some(accounts) = self.accounts.get_mut(&entry.program) else { continue };
                if froms.get(&entry.program).is_some_and(|&from| sequence < from) {
                    continue;
                }
                accounts.replay(&page, at, &entry, &taken)?;
            }
            next = page.end().0;
            Ok(true)
        })?;
        let end = log_end(store)?;
        if next != end {
            return Err(hole("ledger entry", next, end));
        }
        self.next_sequence = next;
        Ok(())
    }

    /// The customers that became part of others, by those.
    pub fn absorbed(&self) -> BTreeMap<CustomerId, Vec<CustomerId>> {
        let mut absorbed: BTreeMap<CustomerId, Vec<CustomerId>> = BTreeMap::new();
        self.merges.iter().for_each(|(&from, &into)| absorbed.entry(into).or_default().push(from));
        absorbed
    }

    /// The accounts of a loaded program.
    ///
    /// # Errors
    /// `Internal` when it is not loaded.
    pub fn accounts(&self, program: ProgramId) -> Result<&Accounts> {
        self.accounts.get(&program).ok_or_else(|| Error::internal("a program's accounts were not loaded"))
    }
}

/// The log lacks something.
pub fn hole(what: &str, expected: u64, found: u64) -> Error {
    Error::corrupt(format!("the log has a hole: {what} {expected} should follow, {found} was found"))
}

/// The number behind the last ledger entry.
///
/// # Errors
/// When the log cannot be read.
pub fn log_end(store: &impl Readable) -> Result<u64> {
    Ok(match store.log().last(key::LEDGER)? {
        Some((LogKey::Ledger(first), stored)) => LedgerPage::open(first, &stored)?.end().0,
        _ => 1,
    })
}

/// The number behind the last customer record.
///
/// # Errors
/// When the log cannot be read.
pub fn records_end(store: &impl Readable) -> Result<u64> {
    Ok(match store.log().last(key::CUSTOMERS)? {
        Some((LogKey::Customers(first), stored)) => CustomerPage::open(first, &stored)?.end(),
        _ => 0,
    })
}

/// Goes over stored cache pages of one generation in order.
pub(crate) fn scan_pages(
    store: &impl Readable,
    family: &str,
    generation: u32,
    attribute: u8,
    program: ProgramId,
    pages: std::ops::Range<u32>,
    mut visit: impl FnMut(u32, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut options = store.read_options();
    options.set_iterate_upper_bound(key::cache_page(generation, attribute, program, pages.end).to_vec());
    options.fill_cache(false);
    options.set_readahead_size(2 << 20);
    let db = store.store().db();
    let mut cursor = db.raw_iterator_cf_opt(handle(db, family)?, options);
    cursor.seek(key::cache_page(generation, attribute, program, pages.start));
    while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
        let page = key.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        visit(page, value)?;
        cursor.next();
    }
    Ok(cursor.status()?)
}

/// A cut of a table with one place a customer, filled by one worker.
struct Cut<'a, T> {
    page: u32,
    places: &'a mut [T],
}

/// Cuts a table at page borders, so that workers can fill it side by side.
fn cuts<T>(table: &mut [T]) -> Vec<Cut<'_, T>> {
    let size = ROWS * table.len().div_ceil(ROWS).div_ceil(rayon::current_num_threads() * 4).max(1);
    let cuts = table.chunks_mut(size).enumerate();
    cuts.map(|(at, places)| Cut { page: (at * size / ROWS) as u32, places }).collect()
}

/// Fills the first `covered` places of a table from pages that `decode` turns into values.
#[expect(
    clippy::too_many_arguments,
    reason = "a page's key has five parts, and a type for them would have this one user"
)]
fn fill<T: Send>(
    store: &impl Readable,
    table: &mut [T],
    covered: usize,
    generation: u32,
    family: &str,
    attribute: u8,
    program: ProgramId,
    decode: impl Fn(u32, &[u8], &mut [T]) -> Result<usize> + Sync,
) -> Result<()> {
    if generation == 0 {
        return Ok(());
    }
    let covered = covered.min(table.len());
    let filled = Mutex::new(0);
    cuts(&mut table[..covered]).into_par_iter().try_for_each(|cut| {
        let pages = cut.page..cut.page + cut.places.len().div_ceil(ROWS) as u32;
        let mut count = 0;
        scan_pages(store, family, generation, attribute, program, pages, |page, stored| {
            let places = cut.places.chunks_mut(ROWS).nth((page - cut.page) as usize);
            let places = places.ok_or_else(|| Error::corrupt(format!("`{family}` has a page too many ({page})")))?;
            let expected = places.len();
            let found = decode(page, stored, places)?;
            if found != expected {
                return Err(Error::corrupt(format!("`{family}` page {page} has {found} of {expected} customers")));
            }
            count += found;
            Ok(())
        })?;
        *lock(&filled) += count;
        Ok::<(), Error>(())
    })?;
    let filled = *lock(&filled);
    if filled != covered {
        return Err(Error::corrupt(format!("`{family}` covers {filled} of {covered} customers")));
    }
    Ok(())
}

/// Two packed columns behind a count: how account and profile pages are laid out.
pub(super) fn two_columns<T>(
    kind: Kind,
    page: u32,
    stored: &[u8],
    places: &mut [T],
    set: impl Fn(&mut T, i64, i64),
) -> Result<usize> {
    let mut body = value::open(kind, stored, &format_args!("page {page}"))?;
    let (count, rest) =
        body.split_first_chunk::<2>().ok_or_else(|| Error::corrupt(format!("page {page} is cut short")))?;
    body = rest;
    let count = usize::from(u16::from_le_bytes(*count));
    let first = Column::take(&mut body, count)?;
    let second = Column::take(&mut body, count)?;
    for (at, place) in places.iter_mut().enumerate().take(count) {
        set(place, first.get(at), second.get(at));
    }
    Ok(count)
}

fn filter_column<T>(page: u32, stored: &[u8], places: &mut [T], set: impl Fn(&mut T, i64)) -> Result<usize> {
    let opened = FilterPage::open(page, stored)?;
    for (at, place) in places.iter_mut().enumerate().take(opened.count()) {
        set(place, opened.get(at));
    }
    Ok(opened.count())
}

/// Loads a program's accounts as the cache knows them, with room for `customers`.
fn load_accounts(
    store: &impl Readable,
    positions: &CachePositions,
    program: ProgramId,
    customers: usize,
) -> Result<Accounts> {
    let mut list = tuning::table(customers, Account::default());
    if let Some(position) = positions.accounts.get(&program.0) {
        let (generation, covered) = (position.generation, position.customers as usize);
        fill(store, &mut list, covered, generation, family::ACCOUNTS, 0, program, |page, stored, places| {
            two_columns(Kind::AccountPage, page, stored, places, |account, newest, has_lots| {
                *account = Account::new(0, Sequence(newest.cast_unsigned()), has_lots != 0);
            })
        })?;
        let balance = Attribute::Balance as u8;
        fill(store, &mut list, covered, generation, family::FILTERS, balance, program, |page, stored, places| {
            filter_column(page, stored, places, |account, balance| account.balance = balance)
        })?;
        let lots = lot_page::load(store, generation, program, covered, position.lots)?;
        return Ok(Accounts { list, total: 0, lots });
    }
    Ok(Accounts { list, total: 0, lots: Lots::default() })
}

fn load_profiles(store: &impl Readable, positions: &CachePositions) -> Result<Profiles> {
    let covered = positions.profiles_customers as usize;
    let declared = store.settings().tiers;
    let tiers = Tiers::from_parts(&positions.tiers, &declared).map_err(Error::corrupt)?;
    let mut profiles = Profiles { tiers, ..Profiles::default() };
    profiles.resize(covered);
    let generation = positions.profiles;
    let mut both = vec![(0_u8, 0_u64); covered];
    fill(store, &mut both, covered, generation, family::PROFILES, 0, ProgramId(0), |page, stored, places| {
        two_columns(Kind::ProfilePage, page, stored, places, |place, presence, newest| {
            *place = (presence as u8, newest.cast_unsigned());
        })
    })?;
    for (at, (presence, newest)) in both.into_iter().enumerate() {
        profiles.presence[at] = presence;
        profiles.newest[at] = newest;
    }
    let none = ProgramId(0);
    let filters = family::FILTERS;
    fill(
        store,
        &mut profiles.ltv,
        covered,
        generation,
        filters,
        Attribute::Ltv as u8,
        none,
        |page, stored, places| filter_column(page, stored, places, |place, value| *place = value),
    )?;
    fill(
        store,
        &mut profiles.orders,
        covered,
        generation,
        filters,
        Attribute::Orders as u8,
        none,
        |page, stored, places| {
            filter_column(page, stored, places, |place, value| *place = u32::try_from(value).unwrap_or(u32::MAX))
        },
    )?;
    fill(
        store,
        &mut profiles.tier,
        covered,
        generation,
        filters,
        Attribute::Tier as u8,
        none,
        |page, stored, places| {
            filter_column(page, stored, places, |place, value| *place = u16::try_from(value).unwrap_or(u16::MAX))
        },
    )?;
    let created_at = Attribute::CreatedAt as u8;
    fill(store, &mut profiles.created_at, covered, generation, filters, created_at, none, |page, stored, places| {
        filter_column(page, stored, places, |place, value| *place = value)
    })?;
    Ok(profiles)
}

/// How many pages an identifier run has at most.
pub const IDENTIFIER_PAGES: u32 = PAGES;
