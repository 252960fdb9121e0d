//! Replaying customer records: what the caches do not reflect yet.
//!
//! A job that was killed in the middle of a load leaves millions of records behind the caches, and whoever opens the store
//! next waits for this. So pages are unpacked and their identifiers hashed by all workers, a group of pages at a time, while
//! the group before is taken in; and where a group only creates customers, which is nearly always, its identifiers are
//! claimed in the order of the slots. One record after the other took a microsecond each.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    caches::CachePositions,
    customer_page::CustomerPage,
    identifiers::{IdentifierHash, IdentifierTable, LookupOrder},
    key::LogKey,
    state::{Profiles, State, hole, records_end},
    view::Readable,
};
use crate::{
    domain::{customer::Presence, id::CustomerId, identifier::IdentifierKind, tier::TierId, time::Timestamp},
    error::{Error, Result},
};

/// Pages that are unpacked together, of 256 records each: two groups of 2 MB are in memory. 256 pages were not faster.
const GROUP_PAGES: usize = 64;

/// What a record says that must be kept in memory.
pub struct ReplayedRecord {
    /// Its number.
    pub number: u64,
    /// Whose.
    pub customer: CustomerId,
    is_creation: bool,
    /// Which fields it fills.
    pub presence: Presence,
    tier: Option<u16>,
    /// LTV, if it says one.
    pub ltv: Option<i64>,
    /// Orders, if it says how many.
    pub orders: Option<u32>,
    /// Creation, if it says when.
    pub created_at: Option<Timestamp>,
    hashes: (u32, u32),
}

/// An unpacked page.
struct ReplayedPage {
    first: u64,
    end: u64,
    records: Vec<ReplayedRecord>,
    /// Of all records, one behind the other.
    hashes: Vec<IdentifierHash>,
    tiers: Vec<String>,
    /// Customers that became part of others.
    merges: Vec<(CustomerId, CustomerId)>,
}

impl ReplayedPage {
    fn open(first: u64, stored: &[u8], seed: u64, with_identifiers: bool) -> Result<ReplayedPage> {
        let page = CustomerPage::open(first, stored)?;
        let mut replayed = ReplayedPage {
            first,
            end: page.end(),
            records: Vec::with_capacity(page.count()),
            hashes: Vec::with_capacity(if with_identifiers { page.count() * 5 } else { 0 }),
            tiers: Vec::new(),
            merges: Vec::new(),
        };
        for record in page.records() {
            let record = record?;
            let change = &record.change;
            let absorbed = change.merge.iter().flat_map(|merge| &merge.absorbed);
            replayed.merges.extend(absorbed.map(|&absorbed| (absorbed, record.customer)));
            let start = replayed.hashes.len() as u32;
            if with_identifiers {
                let hash = |(kind, value): (IdentifierKind, &str)| IdentifierHash::of(seed, kind, value.as_bytes());
                replayed.hashes.extend(change.identifiers().map(hash));
            }
            let tier = change.tier.map(|tier| {
                let known = replayed.tiers.iter().position(|known| known == tier);
                known.unwrap_or_else(|| {
                    replayed.tiers.push(tier.to_owned());
                    replayed.tiers.len() - 1
                }) as u16
            });
            replayed.records.push(ReplayedRecord {
                number: record.number,
                customer: record.customer,
                is_creation: record.previous.is_none(),
                presence: change.presence(),
                tier,
                ltv: change.ltv,
                orders: change.orders,
                created_at: change.created_at,
                hashes: (start, replayed.hashes.len() as u32),
            });
        }
        Ok(replayed)
    }
}

/// What is replayed into.
struct Replay<'a> {
    identifiers: &'a mut IdentifierTable,
    late_identifiers: &'a mut Vec<IdentifierHash>,
    profiles: Option<&'a mut Profiles>,
    merges: &'a mut BTreeMap<CustomerId, CustomerId>,
    /// Customers of the stored runs.
    customers_stored: u32,
    customers: u32,
    identifiers_from: u64,
    profiles_from: u64,
    next: u64,
    /// The number behind the log's last record.
    end: u64,
    order: LookupOrder,
    is_begun: bool,
}

impl Replay<'_> {
    /// Makes room for all that follows, going by the first group: growing step by step moved every identifier four times,
    /// and the memory's first touch was most of a recovery.
    fn expect(&mut self, group: &[ReplayedPage]) {
        let records: usize = group.iter().map(|page| page.records.len()).sum();
        if records == 0 || std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        let groups = self.end.saturating_sub(self.next) as f64 / records as f64;
        for &kind in IdentifierKind::ALL {
            let of_kind = |hash: &&IdentifierHash| hash.kind() == kind as u8;
            let count = group.iter().flat_map(|page| &page.hashes).filter(of_kind).count();
            self.identifiers.reserve_evenly(kind, (count as f64 * groups * 1.02) as u64);
        }
        self.identifiers.reserve_now();
    }

    fn take(&mut self, group: &[ReplayedPage]) -> Result<()> {
        self.expect(group);
        let first_customer = self.customers;
        let is_new = |record: &ReplayedRecord, at: usize| {
            record.is_creation
                && record.number >= self.identifiers_from
                && record.customer.0 == first_customer + at as u32
        };
        let all_new = group.iter().flat_map(|page| &page.records).enumerate().all(|(at, record)| is_new(record, at));
        for page in group {
            if page.first != self.next {
                return Err(hole("customer record", self.next, page.first));
            }
            self.next = page.end;
            self.merges.extend(page.merges.iter().copied());
            self.profiles(page)?;
            for record in page.records.iter().filter(|record| record.number >= self.identifiers_from) {
                if record.is_creation {
                    if record.customer.0 != self.customers {
                        return Err(hole("customer", u64::from(self.customers), u64::from(record.customer.0)));
                    }
                    self.customers += 1;
                }
            }
        }
        if all_new && self.claim(group) {
            return Ok(());
        }
        group.iter().try_for_each(|page| self.insert(page))
    }

    fn profiles(&mut self, page: &ReplayedPage) -> Result<()> {
        let Some(profiles) = self.profiles.as_deref_mut() else { return Ok(()) };
        let tiers: Vec<Option<TierId>> = page.tiers.iter().map(|name| profiles.tiers.register(name)).collect();
        if tiers.contains(&None) {
            return Err(Error::corrupt("a record names more tiers than a store holds"));
        }
        for record in page.records.iter().filter(|record| record.number >= self.profiles_from) {
            let tier = record.tier.and_then(|tier| tiers.get(usize::from(tier)).copied().flatten());
            profiles.take(record, tier);
        }
        Ok(())
    }

    /// Claims the identifiers of a group that only creates customers; false, and nothing, if one has an owner.
    fn claim(&mut self, group: &[ReplayedPage]) -> bool {
        self.order.sort(group.iter().flat_map(|page| &page.hashes));
        if self.order.has_duplicates() {
            return false;
        }
        let owners: Vec<CustomerId> = group
            .iter()
            .flat_map(|page| &page.records)
            .flat_map(|record| std::iter::repeat_n(record.customer, (record.hashes.1 - record.hashes.0) as usize))
            .collect();
        self.identifiers.claim_all(&self.order, |index| owners.get(index as usize).copied().unwrap_or(CustomerId::NONE))
    }

    /// As `claim`, one after the other, and for records that change customers.
    fn insert(&mut self, page: &ReplayedPage) -> Result<()> {
        for record in page.records.iter().filter(|record| record.number >= self.identifiers_from) {
            let hashes = page.hashes.get(record.hashes.0 as usize..record.hashes.1 as usize).unwrap_or_default();
            for &hash in hashes {
                match self.identifiers.insert(hash, record.customer) {
                    Some(owner) if owner != record.customer => {
                        return Err(Error::corrupt(format!("record {}: an identifier has two owners", record.number)));
                    }
                    Some(_) => {}
                    None if record.customer.0 < self.customers_stored => self.late_identifiers.push(hash),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// Brings identifiers, profiles and the number of customers up to the log's end.
    ///
    /// # Errors
    /// `Corrupt` when the log has a hole, a record is damaged or gives an identifier a second owner.
    pub(super) fn replay_records(&mut self, store: &impl Readable, positions: &CachePositions) -> Result<()> {
        let seed = store.settings().seed;
        let identifiers_from = positions.identifiers_next_record;
        let profiles_from = if self.profiles.is_some() { positions.profiles_next_record } else { identifiers_from };
        let with_identifiers = !self.kinds.is_empty();
        let start = identifiers_from.min(profiles_from);
        let mut replay = Replay {
            identifiers: &mut self.identifiers,
            late_identifiers: &mut self.late_identifiers,
            profiles: self.profiles.as_mut(),
            merges: &mut self.merges,
            customers_stored: positions.customers,
            customers: self.customers,
            identifiers_from,
            profiles_from,
            next: start,
            end: records_end(store)?,
            order: LookupOrder::default(),
            is_begun: false,
        };
        let mut stored: Vec<(u64, Vec<u8>)> = Vec::with_capacity(GROUP_PAGES);
        let mut unpacked: Vec<ReplayedPage> = Vec::new();
        let mut turn = |stored: &mut Vec<(u64, Vec<u8>)>| -> Result<()> {
            let (opened, taken) = rayon::join(
                || {
                    let open =
                        |(first, stored): &(u64, Vec<u8>)| ReplayedPage::open(*first, stored, seed, with_identifiers);
                    stored.par_iter().map(open).collect::<Result<Vec<_>>>()
                },
                || replay.take(&unpacked),
            );
            taken?;
            unpacked = opened?;
            stored.clear();
            Ok(())
        };
        store.log().scan(LogKey::Customers(start), LogKey::Customers(u64::MAX), |key, value| {
            let LogKey::Customers(first) = key else { return Ok(false) };
            stored.push((first, value.to_vec()));
            if stored.len() >= GROUP_PAGES {
                turn(&mut stored)?;
            }
            Ok(true)
        })?;
        turn(&mut stored)?;
        turn(&mut stored)?;
        let (next, customers) = (replay.next, replay.customers);
        self.customers = customers;
        self.next_record = next.max(identifiers_from);
        if let Some(profiles) = &mut self.profiles {
            profiles.resize(customers as usize);
        }
        Ok(())
    }
}
