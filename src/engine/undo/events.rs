//! What an undo looks at: the job's entries, and what later ones have to do with them, by account.
//!
//! Read from the log side by side, a stretch of pages each, into one flat list that is sorted by account: 24 bytes an entry, and
//! more only for those that have more. How many are held at a time is bounded. If there are more, customers above a bound are
//! left for another pass, which reads the same pages again; as customers are undone by ascending number, that cannot be seen.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use crate::{
    domain::{
        apply::left_of_credit,
        entry::{Entry, EntryKind},
        id::{CustomerId, JobId, ProgramId, Sequence},
        job::JobKind,
        lot::{Lot, LotState, Taken},
        reference::Reference,
        time::{Date, Timestamp},
        undo::Event,
    },
    error::{Error, Result},
    ledger::account_book::AccountBook,
    store::{
        Store,
        jobs::{self, Job},
        key::LogKey,
        ledger_page::LedgerPage,
        tuning,
    },
};

/// Entries of a stretch that is read at once: 128 pages.
const STRETCH: u64 = 1 << 16;
/// Stretches between two looks at how much was found.
const STRETCHES: usize = 32;
/// Pages without a lot that is looked for, over which it is cheaper to read on than to look for the next.
const PAGES_APART: u64 = 16;

/// Marks an entry of the job.
const OWN: u8 = 1;
/// Marks one of which there is more in a table beside the list.
const MORE: u8 = 2;
/// Marks points that expired because the job was to expire them.
const STATED: u8 = 4;

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose account it is now.
    pub customer: CustomerId,
    /// Of which program.
    pub program: ProgramId,
    kind: EntryKind,
    flags: u8,
    /// The signed amount.
    pub amount: i64,
    /// Its number.
    pub sequence: Sequence,
}

impl Record {
    /// Whether it is an entry of the job about plain points, which neither paid an overdraft back nor made one.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.flags == OWN
            && matches!(self.kind, EntryKind::Credit | EntryKind::Debit | EntryKind::Reset | EntryKind::Reversal)
    }

    /// Whether it is an entry of the job.
    pub fn is_own(&self) -> bool {
        self.flags & OWN != 0
    }

    /// Of which account.
    #[inline]
    pub fn account(&self) -> (CustomerId, ProgramId) {
        (self.customer, self.program)
    }
}

/// What only some entries have.
#[derive(Clone, Copy, Debug)]
struct More {
    sequence: Sequence,
    customer: CustomerId,
    owner: CustomerId,
    beyond: i64,
    reverses: Option<Sequence>,
    lot: Option<Sequence>,
    /// Bounds of what it took.
    taken: (u32, u32),
    expires_on: Option<Date>,
    expires_before: Option<Date>,
}

/// What a lot was that is gone: 48 bytes.
#[derive(Clone, Copy, Debug)]
struct Terms {
    lot: u64,
    credited_at: i64,
    /// `i32::MAX`: none.
    last_day: i32,
    reference: Reference,
}

/// What was found in a stretch, or in all of them.
#[derive(Default)]
struct Found {
    records: Vec<Record>,
    /// By number, as stretches are.
    more: Vec<More>,
    taken: Vec<Taken>,
}

impl Found {
    fn len(&self) -> usize {
        self.records.len() + self.more.len() + self.taken.len()
    }

    fn append(&mut self, mut other: Found) {
        let offset = self.taken.len() as u32;
        other.more.iter_mut().for_each(|more| more.taken = (more.taken.0 + offset, more.taken.1 + offset));
        self.records.append(&mut other.records);
        self.more.append(&mut other.more);
        self.taken.append(&mut other.taken);
    }

    /// Drops what is of customers from `end` on.
    fn cut(&mut self, end: u32) {
        self.records.retain(|record| record.customer.0 < end);
        self.more.retain(|more| more.customer.0 < end);
        let all = std::mem::take(&mut self.taken);
        for more in &mut self.more {
            let own = all.get(more.taken.0 as usize..more.taken.1 as usize).unwrap_or_default();
            let start = self.taken.len() as u32;
            self.taken.extend_from_slice(own);
            more.taken = (start, self.taken.len() as u32);
        }
    }
}

/// How merges have changed the names of customers and lots since the job.
#[derive(Default)]
struct Merges {
    /// By lot, the one that it became, by as many merges as there were.
    lots: HashMap<u64, u64>,
    /// When a customer's account of a program became part of another.
    at: HashMap<(CustomerId, ProgramId), Sequence>,
}

impl Merges {
    /// Learns from the log which lots became which.
    fn read(store: &Store, from: u64, end: u64) -> Result<Merges> {
        type Parts = [(Vec<u64>, Vec<u64>); 2];
        let mut merges = Merges::default();
        let mut parts: BTreeMap<(JobId, ProgramId), Parts> = BTreeMap::new();
        store.log().scan(ledger(from), ledger(end), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            if !page.may_have_kind(EntryKind::is_merge) {
                return Ok(true);
            }
            let (mut taken_at, mut taken) = (0, Vec::new());
            for at in 0..page.count() {
                let entry = page.entry(at)?;
                page.taken_from(&mut taken_at, at, &mut taken);
                let sequence = first.0 + at as u64;
                let [available, promised] = parts.entry((page.job, entry.program)).or_default();
                match entry.kind {
                    EntryKind::MergeOut => available.0.extend(taken.iter().map(|taken| taken.lot.0)),
                    EntryKind::PromiseMergeOut => promised.0.extend(taken.iter().map(|taken| taken.lot.0)),
                    EntryKind::MergeIn => available.1.push(sequence),
                    EntryKind::PromiseMergeIn => promised.1.push(sequence),
                    _ => {}
                }
                if matches!(entry.kind, EntryKind::MergeOut | EntryKind::PromiseMergeOut) {
                    merges.at.insert((entry.customer, entry.program), Sequence(sequence));
                }
            }
            Ok(true)
        })?;
        // Lots go over in the order in which they were taken, one entry each; plain points come behind them.
        for (out, into) in parts.into_values().flatten() {
            merges.lots.extend(out.into_iter().zip(into));
        }
        Ok(merges)
    }

    /// What a lot is called now.
    fn lot(&self, lot: Sequence) -> Sequence {
        let mut lot = lot.0;
        // Each merge is newer than the one before.
        while let Some(&next) = self.lots.get(&lot).filter(|&&next| next > lot) {
            lot = next;
        }
        Sequence(lot)
    }
}

/// The entries of a job that is undone, pass by pass.
pub struct Events<'a> {
    store: &'a Store,
    job: JobId,
    kind: JobKind,
    /// The numbers of its windows' entries, in which those of adjustments may stand between.
    own: Vec<(u64, u64)>,
    /// The number behind the last entry that is looked at.
    end: u64,
    roots: &'a BTreeMap<CustomerId, CustomerId>,
    merges: Merges,
    records_max: usize,
}

/// Those of one pass.
pub struct Pass<'a> {
    /// Sorted by account, then by number.
    pub records: Vec<Record>,
    more: Vec<More>,
    taken: Vec<Taken>,
    terms: Vec<Terms>,
    /// The customer with whom the next pass begins, if there is one.
    pub next: Option<u32>,
    store: &'a Store,
    merges: &'a Merges,
}

fn ledger(sequence: u64) -> LogKey {
    LogKey::Ledger(Sequence(sequence))
}

impl<'a> Events<'a> {
    /// Those of `job`, and what has to do with them before the entry `end`. `roots` says of which customers merged ones are a
    /// part; about `records_max` entries are held at a time.
    ///
    /// # Errors
    /// `Corrupt` when the log is damaged.
    pub fn of(
        store: &'a Store,
        job: &Job,
        end: u64,
        roots: &'a BTreeMap<CustomerId, CustomerId>,
        records_max: usize,
    ) -> Result<Events<'a>> {
        let own: Vec<(u64, u64)> = jobs::sequences(store, job.id)?.into_iter().collect();
        let first = own.first().map_or(end, |(from, _)| *from);
        let merges = if roots.is_empty() { Merges::default() } else { Merges::read(store, first, end)? };
        Ok(Events { store, job: job.id, kind: job.start.kind, own, end, roots, merges, records_max })
    }

    /// The pass that begins with a customer. `book` says which lots are still there.
    ///
    /// # Errors
    /// `Corrupt` when the log is damaged.
    pub fn pass(&self, first: u32, book: &AccountBook) -> Result<Pass<'_>> {
        let mut found = Found::default();
        let own: u64 = self.own.iter().map(|(from, to)| to - from).sum();
        tuning::make_room(&mut found.records, self.records_max.min(usize::try_from(own).unwrap_or(usize::MAX)));
        let mut end = u32::MAX;
        self.read(&self.own, (first, &mut end), None, &mut found)?;
        let mut wanted = vec![0_u64; found.records.iter().map(|r| r.customer.index() / 64 + 1).max().unwrap_or(0)];
        for record in found.records.iter().filter(|record| record.is_own()) {
            wanted[record.customer.index() / 64] |= 1 << (record.customer.index() % 64);
        }
        let after = |at: usize| self.own.get(at + 1).map_or(self.end, |(from, _)| *from);
        let gaps: Vec<(u64, u64)> = self.own.iter().enumerate().map(|(at, &(_, to))| (to, after(at))).collect();
        self.read(&gaps, (first, &mut end), Some(&wanted), &mut found)?;
        let Found { mut records, mut more, taken } = found;
        // A job that went through the customers by their numbers left them sorted, which is found out at once.
        records.par_sort_unstable_by_key(|record| (record.customer, record.program, record.sequence));
        more.sort_unstable_by_key(|more| more.sequence);
        let next = Some(end).filter(|&end| end < u32::MAX);
        let mut pass = Pass { records, more, taken, terms: Vec::new(), next, store: self.store, merges: &self.merges };
        pass.learn_terms(book)?;
        Ok(pass)
    }

    /// Reads ranges of entries, as far as they are of customers from `first` to before `end`, which is lowered where there are
    /// too many.
    fn read(
        &self,
        ranges: &[(u64, u64)],
        (first, end): (u32, &mut u32),
        wanted: Option<&[u64]>,
        found: &mut Found,
    ) -> Result<()> {
        let stretches: Vec<(u64, u64)> = ranges
            .iter()
            .flat_map(|&(from, to)| {
                (from..to).step_by(STRETCH as usize).map(move |at| (at, to.min(at.saturating_add(STRETCH))))
            })
            .collect();
        for group in stretches.chunks(STRETCHES) {
            let bound = *end;
            let read = |&stretch: &(u64, u64)| self.stretch(stretch, (first, bound), wanted);
            for part in group.par_iter().map(read).collect::<Result<Vec<_>>>()? {
                found.append(part);
            }
            while found.len() > self.records_max {
                // The lower half of the customers is done first. One alone is done however many entries it has.
                let mut customers: Vec<u32> = found.records.iter().map(|record| record.customer.0).collect();
                let middle = customers.len() / 2;
                let (below, &mut middle, _) = customers.select_nth_unstable(middle);
                let lowest = below.iter().copied().min().unwrap_or(middle).min(middle);
                let bound = middle.max(lowest + 1);
                if bound >= *end || customers.iter().all(|&customer| customer < bound) {
                    break;
                }
                *end = bound;
                found.cut(bound);
            }
        }
        Ok(())
    }

    fn stretch(&self, (from, to): (u64, u64), customers: (u32, u32), wanted: Option<&[u64]>) -> Result<Found> {
        let mut found = Found::default();
        let mut taken = Vec::new();
        self.store.log().scan(ledger(from), ledger(to), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            let is_own = page.job == self.job;
            if !is_own && !page.may_have_kind(is_of_others) {
                return Ok(true);
            }
            if is_own && found.records.is_empty() {
                found.records.reserve((to - from) as usize);
            }
            let mut taken_at = 0;
            for at in 0..page.count() {
                let owner = page.customer(at);
                page.taken_from(&mut taken_at, at, &mut taken);
                let customer = self.roots.get(&owner).copied().unwrap_or(owner);
                let is_wanted =
                    |words: &[u64]| words.get(customer.index() / 64).is_some_and(|w| w >> (customer.0 % 64) & 1 == 1);
                if customer.0 < customers.0 || customer.0 >= customers.1 || !wanted.is_none_or(is_wanted) {
                    continue;
                }
                let entry = page.entry(at)?;
                if is_own || self.matters(&page, at, &entry, &taken) {
                    self.take(&page, at, &entry, customer, &taken, &mut found);
                }
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// Whether somebody else's entry may have to do with those of the job.
    fn matters(&self, page: &LedgerPage<'_>, at: usize, entry: &Entry, taken: &[Taken]) -> bool {
        match entry.kind {
            EntryKind::Reset => true,
            EntryKind::Expire | EntryKind::PromiseExpire => {
                // Lots of others are refilled by an undo, become available as promises are kept, and take other numbers by a
                // merge.
                let is_of_others = matches!(self.kind, JobKind::Undo | JobKind::BulkConvertPromised);
                let is_any = is_of_others || !self.roots.is_empty();
                is_any || taken.iter().any(|taken| self.is_in_own(taken.lot))
            }
            EntryKind::Reversal | EntryKind::PromiseReversal => {
                let first = self.own.first().map_or(u64::MAX, |(from, _)| *from);
                page.reversed(at).is_some_and(|reversed| reversed.0 >= first)
            }
            _ => false,
        }
    }

    fn is_in_own(&self, sequence: Sequence) -> bool {
        let behind = self.own.partition_point(|(from, _)| *from <= sequence.0);
        behind.checked_sub(1).and_then(|at| self.own.get(at)).is_some_and(|(_, to)| sequence.0 < *to)
    }

    #[inline]
    fn take(
        &self,
        page: &LedgerPage<'_>,
        at: usize,
        entry: &Entry,
        customer: CustomerId,
        taken: &[Taken],
        found: &mut Found,
    ) {
        let sequence = Sequence(page.first.0 + at as u64);
        let is_own = page.job == self.job;
        let beyond = match entry.amount {
            _ if entry.kind.is_of_promises() => 0,
            amount if amount >= 0 => amount - left_of_credit(amount, entry.balance_after),
            amount => amount.saturating_neg().min(entry.balance_after.min(0).saturating_neg()),
        };
        let refill = page.refill(at).map(|refill| refill.lot);
        // A changed last day that names no lot made one of plain points.
        let made = || match entry.kind {
            EntryKind::ExpiryChange => Some(sequence),
            _ => page.lot_of(at, entry).map(|lot| lot.credit),
        };
        let lot = refill.or_else(made).map(|lot| self.merges.lot(lot));
        // Of a job's own entry it does not matter what it takes back, but what takes it back.
        let reverses = page.reversed(at).filter(|_| !is_own);
        let has_more =
            beyond != 0 || lot.is_some() || reverses.is_some() || !taken.is_empty() || customer != entry.customer;
        // An update of expiry meets lots that are over, as any job does; what it expires itself belongs to a row.
        let is_stated = is_own && entry.kind.is_expiry() && entry.kind.has_texts_of(self.kind, entry.row);
        let flags = if is_own { OWN } else { 0 } | if has_more { MORE } else { 0 } | if is_stated { STATED } else { 0 };
        let (program, kind, amount) = (entry.program, entry.kind, entry.amount);
        found.records.push(Record { customer, program, kind, flags, amount, sequence });
        if has_more {
            let start = found.taken.len() as u32;
            found.taken.extend(taken.iter().map(|taken| Taken { lot: self.merges.lot(taken.lot), ..*taken }));
            let taken = (start, found.taken.len() as u32);
            let (expires_on, expires_before) = (entry.expires_on, page.expires_before(at));
            found.more.push(More {
                sequence,
                customer,
                owner: entry.customer,
                beyond,
                reverses,
                lot,
                taken,
                expires_on,
                expires_before,
            });
        }
    }
}

/// Kinds of which entries of others have to do with those of the job.
fn is_of_others(kind: EntryKind) -> bool {
    kind.is_reversal() || kind.is_expiry() || kind == EntryKind::Reset
}

impl Pass<'_> {
    fn more_of(&self, record: &Record) -> Option<&More> {
        if record.flags & MORE == 0 {
            return None;
        }
        let at = self.more.binary_search_by_key(&record.sequence, |more| more.sequence).ok()?;
        self.more.get(at)
    }

    /// The events that an account's records are.
    pub fn events<'b>(&'b self, records: &[Record], events: &mut Vec<Event<'b>>) {
        events.clear();
        events.extend(records.iter().map(|record| {
            let more = self.more_of(record);
            let taken = more.map_or((0, 0), |more| more.taken);
            Event {
                sequence: record.sequence,
                owner: more.map_or(record.customer, |more| more.owner),
                kind: record.kind,
                amount: record.amount,
                beyond: more.map_or(0, |more| more.beyond),
                is_own: record.is_own(),
                is_stated: record.flags & STATED != 0,
                reverses: more.and_then(|more| more.reverses),
                lot: more.and_then(|more| more.lot),
                taken: self.taken.get(taken.0 as usize..taken.1 as usize).unwrap_or_default(),
                expires_on: more.and_then(|more| more.expires_on),
                expires_before: more.and_then(|more| more.expires_before),
            }
        }));
    }

    /// When a customer's account became part of another; that of one who had nothing then was part of it all along.
    pub fn merged_at(&self, customer: CustomerId, program: ProgramId) -> Sequence {
        self.merges.at.get(&(customer, program)).copied().unwrap_or(Sequence(0))
    }

    /// What a lot was that is gone; 0 remains of it.
    ///
    /// # Errors
    /// `Corrupt` when the log is damaged.
    pub fn terms(&self, lot: Sequence) -> Result<Lot> {
        let known = self.terms.binary_search_by_key(&lot.0, |terms| terms.lot).ok().and_then(|at| self.terms.get(at));
        let terms = match known {
            Some(terms) => *terms,
            // One that was there, and that the job itself has emptied.
            None => {
                let mut terms = Vec::new();
                read_terms(self.store, &[lot.0], &mut terms)?;
                *terms.first().ok_or_else(|| Error::corrupt(format!("ledger entry {} is missing", lot.0)))?
            }
        };
        Ok(terms.lot())
    }

    /// Learns what the lots were that are gone and of which the job took: their credits lie anywhere in the log, and looking for
    /// each alone would take longer than all else.
    fn learn_terms(&mut self, book: &AccountBook) -> Result<()> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let gone = |record: &Record| -> Vec<u64> {
            let Some(more) = self.more_of(record).filter(|_| record.is_own()) else { return Vec::new() };
            let taken = self.taken.get(more.taken.0 as usize..more.taken.1 as usize).unwrap_or_default();
            let is_gone = |taken: &&Taken| book.lot(record.program, record.customer, taken.lot).is_none();
            taken.iter().filter(is_gone).map(|taken| taken.lot.0).collect()
        };
        let mut gone: Vec<u64> = self.records.par_iter().flat_map_iter(gone).collect();
        gone.par_sort_unstable();
        gone.dedup();
        let mut terms = Vec::with_capacity(gone.len());
        let parts: Vec<&[u64]> = gone.chunks(1 << 14).collect();
        let read = |part: &&[u64]| {
            let mut terms = Vec::with_capacity(part.len());
            read_terms(self.store, part, &mut terms).map(|()| terms)
        };
        for part in parts.par_iter().map(read).collect::<Result<Vec<_>>>()? {
            terms.extend(part);
        }
        self.learn_last_days(&mut terms)?;
        self.terms = terms;
        Ok(())
    }
}

impl Pass<'_> {
    /// Learns which of these lots got another last day before the job took of them: what their credits say is no longer so.
    fn learn_last_days(&self, terms: &mut [Terms]) -> Result<()> {
        let first = self.records.iter().filter(|record| record.is_own()).map(|record| record.sequence.0).min();
        let (Some(from), Some(to)) = (terms.first().map(|terms| terms.lot), first) else { return Ok(()) };
        self.store.log().scan(ledger(from), ledger(to), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            if !page.may_have_kind(|kind| kind == EntryKind::ExpiryChange) {
                return Ok(true);
            }
            for at in 0..page.count() {
                let entry = page.entry(at)?;
                if entry.kind != EntryKind::ExpiryChange {
                    continue;
                }
                let lot = page.refill(at).map_or(first.0 + at as u64, |refill| refill.lot.0);
                if let Ok(found) = terms.binary_search_by_key(&lot, |terms| terms.lot) {
                    terms[found].last_day = entry.expires_on.map_or(i32::MAX, Date::days);
                }
            }
            Ok(true)
        })
    }
}

impl Terms {
    fn lot(&self) -> Lot {
        Lot {
            credit: Sequence(self.lot),
            remaining: 0,
            expires_on: Date::from_days(self.last_day),
            credited_at: Timestamp::from_millis(self.credited_at).unwrap_or(Timestamp::MIN),
            state: LotState::Available,
            reference: self.reference,
        }
    }
}

/// Reads what the credits of lots, sorted by number, say of these.
fn read_terms(store: &Store, lots: &[u64], terms: &mut Vec<Terms>) -> Result<()> {
    let mut left = lots;
    while let Some(&lot) = left.first() {
        let missing = || Error::corrupt(format!("ledger entry {lot} is missing"));
        let Some((LogKey::Ledger(first), _)) = store.log().last_at_or_before(ledger(lot))? else {
            return Err(missing());
        };
        let before = left.len();
        store.log().scan(LogKey::Ledger(first), ledger(u64::MAX), |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            while let Some((&lot, rest)) = left.split_first().filter(|(lot, _)| **lot < page.end().0) {
                let at = (lot.checked_sub(first.0)).ok_or_else(missing)? as usize;
                let entry = page.entry(at)?;
                terms.push(Terms {
                    lot,
                    credited_at: page.credited_at(at).millis(),
                    last_day: entry.expires_on.map_or(i32::MAX, |day| day.days()),
                    reference: match page.is_referenced(at) {
                        true => Reference::of(|text| page.text(at, text)),
                        false => Reference::NONE,
                    },
                });
                left = rest;
            }
            // The next lot's page is looked for, unless it comes soon.
            let near = page.end().0 + PAGES_APART * page.count() as u64;
            Ok(left.first().is_some_and(|&lot| lot < near))
        })?;
        if left.len() == before {
            return Err(missing());
        }
    }
    Ok(())
}

/// The accounts of a list that is sorted by account, each as the range of its records.
pub fn account_end(records: &[Record], start: usize) -> usize {
    let Some(first) = records.get(start) else { return start };
    let same = records[start..].iter().take_while(|record| record.account() == first.account());
    start + same.count()
}
