//! The identifier table: hash of an identifier → the one customer that owns it.
//!
//! A fingerprint of 64 bits is compared in a slot chosen by 35 other bits of the same seeded 128-bit hash, and 32 of
//! those are compared too: a stranger matches with a chance below 2^-90 a lookup, so hits are not compared with the
//! stored text again. In memory it is 8 partitions for each kind of identifier, by the hash's top bits, each an
//! open-addressing table in hash order with 16-byte slots, four to a cache line; hash order makes growing and storing a
//! partition one sequential pass. Kinds lie apart so that a job loads only those that its file names customers by.
//!
//! On disk it is runs of pages (`identifiers` family): each run holds the identifiers of a range of customer records,
//! a page those of a kind with the same top 12 bits, sorted. One page a run answers a lookup without loading anything.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    column::{self, Column},
    value::{self, Kind},
};
use crate::{
    domain::{id::CustomerId, identifier::IdentifierKind},
    error::{Error, Result},
};

const PARTITION_BITS: u32 = 3;
/// Partitions of a kind.
const PARTITIONS: usize = 1 << PARTITION_BITS;
/// Kinds of identifiers.
const KINDS: usize = IdentifierKind::ALL.len();
/// Pages of a partition.
const PAGES_OF_PARTITION: u32 = 1 << (PAGE_BITS - PARTITION_BITS);
/// Bits of the place by which lookups are sorted: a bucket's slots are some 100 KB at 10 million identifiers of a kind.
const BUCKET_BITS: u32 = 11;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// The kind stands in the lowest bits of a hash's place.
const KIND_MASK: u64 = 7;
/// Bits of the hash's upper half that are dropped: what is left names the partition and, in 32 bits, the place in it.
const PLACE_SHIFT: u32 = 64 - PARTITION_BITS - 32;
/// Bits of the hash that name a stored page: at 50 million identifiers a page of one run holds 12,000 of them (190 KB).
const PAGE_BITS: u32 = 12;
/// Number of pages of a stored run.
pub const PAGES: u32 = 1 << PAGE_BITS;
/// A partition grows when it is fuller than 2/3. At 4/5 a lookup takes 37 ns instead of 28, for searches are longer …
const LOAD_MAX: (usize, usize) = (2, 3);
/// … by a quarter: an identifier costs 24 to 30 bytes, and is moved 4 times in all where no room was made for it.
/// Doubling would move it twice but cost up to 48 bytes.
const GROWTH: (usize, usize) = (5, 4);
const CAPACITY_MIN: usize = 16;
/// Lookups between the prefetch of a slot and its use.
const PREFETCH: usize = 24;

/// The hash of one identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdentifierHash {
    place: u64,
    fingerprint: u64,
}

impl IdentifierHash {
    /// Hashes a normalised identifier with the store's seed.
    #[inline]
    pub fn of(seed: u64, kind: IdentifierKind, value: &[u8]) -> IdentifierHash {
        // The kind goes into the seed: identifiers of two kinds that look alike are different, and nothing is copied.
        let hash = xxh3_128_with_seed(value, seed ^ (kind as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        // Only the bits that a slot can tell again are kept.
        let place = (hash >> 64) as u64 >> PLACE_SHIFT << PLACE_SHIFT | kind as u64;
        IdentifierHash { place, fingerprint: hash as u64 }
    }

    fn of_slot(partition: usize, slot: &Slot) -> IdentifierHash {
        let (kind, partition) = (partition / PARTITIONS, partition % PARTITIONS);
        let place = (partition as u64) << (64 - PARTITION_BITS) | u64::from(slot.position) << PLACE_SHIFT | kind as u64;
        IdentifierHash { place, fingerprint: slot.fingerprint }
    }

    /// The kind of the identifier, as a number.
    pub fn kind(self) -> u8 {
        (self.place & KIND_MASK) as u8
    }

    /// The kind and the upper bits of the place: equal for identifiers whose slots lie close together.
    #[inline]
    fn bucket(self) -> usize {
        (self.place & KIND_MASK) as usize * BUCKETS + (self.place >> (64 - BUCKET_BITS)) as usize
    }

    #[inline]
    fn partition(self) -> usize {
        (self.place & KIND_MASK) as usize * PARTITIONS + (self.place >> (64 - PARTITION_BITS)) as usize
    }

    #[inline]
    fn position(self) -> u32 {
        (self.place >> PLACE_SHIFT) as u32
    }

    /// The stored page on which it lies.
    pub fn page(self) -> u32 {
        (self.place >> (64 - PAGE_BITS)) as u32
    }
}

/// The order in which many identifiers are best looked up: by kind and place, as the slots lie in memory.
///
/// In the order of the rows each lookup is a miss of the TLB besides one of the cache, and a prefetch waits for the first:
/// 160 ns measured on a virtual machine with 400 MB of slots. In this order neighbours share pages. Sorting by 11 bits
/// costs 5 ns an identifier.
#[derive(Default)]
pub struct LookupOrder {
    order: Vec<(IdentifierHash, u32)>,
    ends: Vec<u32>,
}

impl LookupOrder {
    /// Sorts these identifiers; those of a bucket keep their order.
    pub fn sort<'a>(&mut self, hashes: impl Iterator<Item = &'a IdentifierHash> + Clone) {
        self.ends.clear();
        self.ends.resize(KINDS * BUCKETS, 0);
        let mut count = 0;
        for hash in hashes.clone() {
            self.ends[hash.bucket()] += 1;
            count += 1;
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        // Not cleared first: every place is written below, and filling 24 bytes an identifier twice is felt.
        self.order.resize(count, (IdentifierHash { place: 0, fingerprint: 0 }, 0));
        for (at, hash) in hashes.enumerate() {
            let end = &mut self.ends[hash.bucket()];
            self.order[*end as usize] = (*hash, at as u32);
            *end += 1;
        }
    }

    /// The identifiers in order, each with its index before.
    pub fn sorted(&self) -> &[(IdentifierHash, u32)] {
        &self.order
    }

    /// The identifiers of each partition that has some, with the partition's number: what a partition needs is looked up
    /// once for all of them.
    fn runs(&self) -> impl Iterator<Item = (usize, &[(IdentifierHash, u32)])> {
        const BUCKETS_OF_PARTITION: usize = BUCKETS / PARTITIONS;
        let mut start = 0;
        self.ends.chunks(BUCKETS_OF_PARTITION).enumerate().filter_map(move |(number, ends)| {
            let end = ends.last().map_or(start, |&end| end as usize);
            let run = &self.order[start..end];
            start = end;
            (!run.is_empty()).then_some((number, run))
        })
    }

    /// Whether two of the identifiers are the same; they lie in one bucket then.
    pub fn has_duplicates(&self) -> bool {
        let mut start = 0;
        for &end in &self.ends {
            let bucket = &self.order[start as usize..end as usize];
            for (at, (one, _)) in bucket.iter().enumerate() {
                if bucket[at + 1..].iter().any(|(other, _)| other == one) {
                    return true;
                }
            }
            start = end;
        }
        false
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Slot {
    fingerprint: u64,
    position: u32,
    customer: u32,
}

const EMPTY: Slot = Slot { fingerprint: 0, position: 0, customer: CustomerId::NONE.0 };

impl Slot {
    #[inline]
    fn is_empty(&self) -> bool {
        self.customer == CustomerId::NONE.0
    }
}

#[derive(Default)]
struct Partition {
    slots: Vec<Slot>,
    count: usize,
    /// Room to make before loading.
    expected: usize,
}

impl Partition {
    #[inline]
    fn home(&self, position: u32) -> usize {
        ((u64::from(position) * self.slots.len() as u64) >> 32) as usize
    }

    /// The slot of this identifier, or the empty one where it belongs. The partition must have slots.
    #[inline]
    fn find(&self, position: u32, fingerprint: u64) -> usize {
        let mut at = self.home(position);
        loop {
            let slot = &self.slots[at];
            if slot.is_empty() || (slot.fingerprint == fingerprint && slot.position == position) {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    #[inline]
    fn prefetch(&self, position: u32) {
        if !self.slots.is_empty() {
            let home = self.home(position);
            super::tuning::prefetch(&self.slots[home]);
            // A search that begins near the end of a cache line mostly ends in the next.
            super::tuning::prefetch(&self.slots[(home + 3).min(self.slots.len() - 1)]);
        }
    }

    fn set_capacity(&mut self, capacity: usize) {
        let old = std::mem::replace(&mut self.slots, super::tuning::table(capacity.max(CAPACITY_MIN), EMPTY));
        for slot in old.iter().filter(|slot| !slot.is_empty()) {
            let at = self.find(slot.position, slot.fingerprint);
            self.slots[at] = *slot;
        }
    }

    fn reserve(&mut self, additional: usize) {
        let needed = (self.count + additional) * LOAD_MAX.1 / LOAD_MAX.0 + 1;
        if additional > 0 && needed > self.slots.len() {
            self.set_capacity(needed);
        }
    }

    #[inline]
    fn grow_if_full(&mut self) {
        if (self.count + 1) * LOAD_MAX.1 > self.slots.len() * LOAD_MAX.0 {
            self.set_capacity(self.slots.len() * GROWTH.0 / GROWTH.1);
        }
    }
}

/// The identifiers of a store, in memory.
pub struct IdentifierTable {
    partitions: Vec<Partition>,
}

impl Default for IdentifierTable {
    fn default() -> IdentifierTable {
        IdentifierTable { partitions: (0..KINDS * PARTITIONS).map(|_| Partition::default()).collect() }
    }
}

impl IdentifierTable {
    /// How many identifiers it holds.
    pub fn len(&self) -> usize {
        self.partitions.iter().map(|partition| partition.count).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts to fetch the slot of a lookup that follows within some hundred nanoseconds. Without it a lookup in a
    /// large table waits 90 ns for memory, with it 20.
    #[inline]
    pub fn prefetch(&self, hash: IdentifierHash) {
        self.partitions[hash.partition()].prefetch(hash.position());
    }

    /// The customer that owns the identifier.
    #[inline]
    pub fn get(&self, hash: IdentifierHash) -> Option<CustomerId> {
        let partition = &self.partitions[hash.partition()];
        if partition.slots.is_empty() {
            return None;
        }
        let slot = &partition.slots[partition.find(hash.position(), hash.fingerprint)];
        if slot.is_empty() { None } else { Some(CustomerId(slot.customer)) }
    }

    /// Gives a free identifier to a customer; an owned one stays, and its owner is returned.
    #[inline]
    pub fn insert(&mut self, hash: IdentifierHash, customer: CustomerId) -> Option<CustomerId> {
        let partition = &mut self.partitions[hash.partition()];
        partition.grow_if_full();
        let at = partition.find(hash.position(), hash.fingerprint);
        let slot = &mut partition.slots[at];
        if !slot.is_empty() {
            return Some(CustomerId(slot.customer));
        }
        *slot = Slot { fingerprint: hash.fingerprint, position: hash.position(), customer: customer.0 };
        partition.count += 1;
        None
    }

    /// Looks up many identifiers in their order; each one's owner is put in its place in `owners`, which must have as many
    /// places, and those of unknown ones stay.
    ///
    /// The owners go into a list of their own, four bytes each, and not where they are needed: written in this order, they
    /// then miss the cache only once for many.
    pub fn get_each(&self, order: &LookupOrder, owners: &mut [CustomerId]) {
        for (number, run) in order.runs() {
            let partition = &self.partitions[number];
            if partition.slots.is_empty() {
                continue;
            }
            for (at, (hash, index)) in run.iter().enumerate() {
                if let Some((ahead, _)) = run.get(at + PREFETCH) {
                    partition.prefetch(ahead.position());
                }
                let slot = &partition.slots[partition.find(hash.position(), hash.fingerprint)];
                if !slot.is_empty()
                    && let Some(owner) = owners.get_mut(*index as usize)
                {
                    *owner = CustomerId(slot.customer);
                }
            }
        }
    }

    /// Gives many identifiers to their customers at once, in their order, if none of them has an owner and no two are the
    /// same; else changes nothing and returns false.
    pub fn claim_all(&mut self, order: &LookupOrder, customer: impl Fn(u32) -> CustomerId) -> bool {
        for (number, run) in order.runs() {
            let partition = &mut self.partitions[number];
            let needed = partition.count + run.len() + 1;
            if needed * LOAD_MAX.1 > partition.slots.len() * LOAD_MAX.0 {
                partition.set_capacity(needed * LOAD_MAX.1 / LOAD_MAX.0 * GROWTH.0 / GROWTH.1 + 1);
            }
        }
        let mut claimed = 0;
        for (number, run) in order.runs() {
            let partition = &mut self.partitions[number];
            for (at, &(hash, index)) in run.iter().enumerate() {
                if let Some((ahead, _)) = run.get(at + PREFETCH) {
                    partition.prefetch(ahead.position());
                }
                let slot_at = partition.find(hash.position(), hash.fingerprint);
                let slot = &mut partition.slots[slot_at];
                if !slot.is_empty() {
                    partition.count += at;
                    self.take_back(&order.sorted()[..claimed + at]);
                    return false;
                }
                *slot = Slot { fingerprint: hash.fingerprint, position: hash.position(), customer: customer(index).0 };
            }
            partition.count += run.len();
            claimed += run.len();
        }
        true
    }

    /// Undoes claims. Taken back last first, each slot is again the end of its run of slots and can just be emptied.
    fn take_back(&mut self, claimed: &[(IdentifierHash, u32)]) {
        for (hash, _) in claimed.iter().rev() {
            let partition = &mut self.partitions[hash.partition()];
            let at = partition.find(hash.position(), hash.fingerprint);
            partition.slots[at] = EMPTY;
            partition.count -= 1;
        }
    }

    /// Every identifier with its owner, in no order that means anything.
    pub fn entries(&self) -> impl Iterator<Item = (IdentifierHash, CustomerId)> + '_ {
        self.partitions.iter().enumerate().flat_map(|(number, partition)| {
            let slots = partition.slots.iter().filter(|slot| !slot.is_empty());
            slots.map(move |slot| (IdentifierHash::of_slot(number, slot), CustomerId(slot.customer)))
        })
    }

    /// How many identifiers of a kind it holds.
    pub fn len_of(&self, kind: IdentifierKind) -> usize {
        self.partitions_of(kind).iter().map(|partition| partition.count).sum()
    }

    fn partitions_of(&self, kind: IdentifierKind) -> &[Partition] {
        &self.partitions[kind as usize * PARTITIONS..][..PARTITIONS]
    }

    /// Gives the stored pages of the identifiers of a kind that `keep` wants to `write`, by page, empty pages left out.
    /// Returns how many identifiers they hold.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write_run(
        &self,
        kind: IdentifierKind,
        keep: impl Fn(CustomerId, IdentifierHash) -> bool,
        mut write: impl FnMut(u32, &[u8]) -> Result<()>,
    ) -> Result<u64> {
        let mut pages: Vec<Vec<Slot>> = vec![Vec::new(); PAGES_OF_PARTITION as usize];
        let mut value = Vec::new();
        let mut written = 0;
        for (number, partition) in self.partitions_of(kind).iter().enumerate() {
            let first_page = number as u32 * PAGES_OF_PARTITION;
            let number = kind as usize * PARTITIONS + number;
            let kept = |slot: &&Slot| {
                !slot.is_empty() && keep(CustomerId(slot.customer), IdentifierHash::of_slot(number, slot))
            };
            for slot in partition.slots.iter().filter(kept) {
                pages[(slot.position >> (32 - (PAGE_BITS - PARTITION_BITS))) as usize].push(*slot);
            }
            for (at, slots) in pages.iter_mut().enumerate().filter(|(_, slots)| !slots.is_empty()) {
                sort_nearly_sorted(slots);
                value.clear();
                encode_page(slots, &mut value);
                write(first_page + at as u32, &value)?;
                written += slots.len() as u64;
                slots.clear();
            }
        }
        Ok(written)
    }

    /// Makes the room that `reserve_evenly` noted at once, all workers taking part.
    pub fn reserve_now(&mut self) {
        use rayon::prelude::*;
        self.partitions.par_iter_mut().for_each(|partition| partition.reserve(partition.expected));
    }

    /// Notes that so many identifiers of a kind are to come, so that no partition need grow step by step.
    pub fn reserve_evenly(&mut self, kind: IdentifierKind, identifiers: u64) {
        let each = identifiers as usize / PARTITIONS;
        if each > 64 {
            // A partition's share differs by some square roots; a percent more avoids nearly all late growing.
            let partitions = &mut self.partitions[kind as usize * PARTITIONS..][..PARTITIONS];
            partitions.iter_mut().for_each(|partition| partition.expected = each + each / 64 + 64);
        }
    }

    /// Fills the partitions of some kinds from stored pages, side by side: `fill` gets a kind, a range of its pages, and
    /// the part of the table where these belong.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn fill_parallel(
        &mut self,
        kinds: &[IdentifierKind],
        fill: impl Fn(u8, std::ops::Range<u32>, &mut IdentifierPart<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        use rayon::prelude::*;
        /// Partitions that one worker fills at a time.
        const STEP: usize = 1;
        self.partitions.par_chunks_mut(STEP).enumerate().try_for_each(|(part, partitions)| {
            let (kind, first) = (part * STEP / PARTITIONS, part * STEP % PARTITIONS);
            if !kinds.iter().any(|&wanted| wanted as usize == kind) {
                return Ok(());
            }
            // Memory is taken here and not before, so that several workers wait for the system's pages, not one.
            partitions.iter_mut().for_each(|partition| partition.reserve(partition.expected));
            let pages = first as u32 * PAGES_OF_PARTITION..(first + partitions.len()) as u32 * PAGES_OF_PARTITION;
            fill(kind as u8, pages, &mut IdentifierPart { first_partition: first, partitions })
        })
    }
}

/// Some whole partitions of a table, while it is loaded.
pub struct IdentifierPart<'a> {
    first_partition: usize,
    partitions: &'a mut [Partition],
}

impl IdentifierPart<'_> {
    /// Takes in a stored page.
    ///
    /// # Errors
    /// `Corrupt` when the page is damaged or an identifier has two owners.
    pub fn load_page(&mut self, page: u32, stored: &[u8]) -> Result<()> {
        let at = (page >> (PAGE_BITS - PARTITION_BITS)) as usize;
        let partition = at.checked_sub(self.first_partition).and_then(|at| self.partitions.get_mut(at));
        let partition = partition.ok_or_else(|| Error::corrupt(format!("identifier page {page} is out of place")))?;
        let opened = IdentifierPage::open(page, stored)?;
        if (partition.count + opened.count) * LOAD_MAX.1 > partition.slots.len() * LOAD_MAX.0 {
            partition.reserve(opened.count + (partition.count + opened.count) / 8);
        }
        for at in 0..opened.count {
            let slot = opened.slot(at);
            let free = partition.find(slot.position, slot.fingerprint);
            if !partition.slots[free].is_empty() {
                return Err(Error::corrupt(format!("identifier page {page}: an identifier has two owners")));
            }
            partition.slots[free] = slot;
            partition.count += 1;
        }
        Ok(())
    }
}

/// Insertion sort: the slots of a table in hash order are at most some places from where they belong.
fn sort_nearly_sorted(slots: &mut [Slot]) {
    let key = |slot: &Slot| (slot.position, slot.fingerprint);
    for at in 1..slots.len() {
        let slot = slots[at];
        let mut place = at;
        while place > 0 && key(&slots[place - 1]) > key(&slot) {
            slots[place] = slots[place - 1];
            place -= 1;
        }
        slots[place] = slot;
    }
}

fn encode_page(slots: &[Slot], out: &mut Vec<u8>) {
    let start = value::begin(Kind::IdentifierPage, out);
    out.extend_from_slice(&(slots.len() as u32).to_le_bytes());
    column::pack(slots.len(), |at| i64::from(slots[at].position), out);
    column::pack(slots.len(), |at| i64::from(slots[at].customer), out);
    for slot in slots {
        out.extend_from_slice(&slot.fingerprint.to_le_bytes());
    }
    value::seal(start, out);
}

/// A stored page, ready to be probed.
pub struct IdentifierPage<'a> {
    count: usize,
    positions: Column<'a>,
    customers: Column<'a>,
    fingerprints: &'a [u8],
}

impl<'a> IdentifierPage<'a> {
    /// Opens a stored page.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    pub fn open(page: u32, stored: &'a [u8]) -> Result<IdentifierPage<'a>> {
        let damaged = || Error::corrupt(format!("identifier page {page} cannot be read"));
        let mut body = value::open(Kind::IdentifierPage, stored, &format_args!("identifier page {page}"))?;
        let (count, rest) = body.split_first_chunk::<4>().ok_or_else(damaged)?;
        body = rest;
        let count = u32::from_le_bytes(*count) as usize;
        let positions = Column::take(&mut body, count)?;
        let customers = Column::take(&mut body, count)?;
        if body.len() != count * 8 {
            return Err(damaged());
        }
        Ok(IdentifierPage { count, positions, customers, fingerprints: body })
    }

    #[inline]
    fn slot(&self, at: usize) -> Slot {
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&self.fingerprints[at * 8..at * 8 + 8]);
        Slot {
            fingerprint: u64::from_le_bytes(fingerprint),
            position: self.positions.get(at) as u32,
            customer: self.customers.get(at) as u32,
        }
    }

    /// The stored form of the page without an identifier, which is empty if it was the only one; none if it is not here.
    pub fn without(&self, hash: IdentifierHash) -> Option<Vec<u8>> {
        self.get(hash)?;
        let is_other = |slot: &Slot| (slot.position, slot.fingerprint) != (hash.position(), hash.fingerprint);
        let others: Vec<Slot> = (0..self.count).map(|at| self.slot(at)).filter(is_other).collect();
        let mut page = Vec::new();
        if !others.is_empty() {
            encode_page(&others, &mut page);
        }
        Some(page)
    }

    /// The customer that owns the identifier, if this page knows it.
    pub fn get(&self, hash: IdentifierHash) -> Option<CustomerId> {
        let wanted = i64::from(hash.position());
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.positions.get(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        (low..self.count)
            .take_while(|&at| self.positions.get(at) == wanted)
            .map(|at| self.slot(at))
            .find(|slot| slot.fingerprint == hash.fingerprint)
            .map(|slot| CustomerId(slot.customer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: (usize, u32, u32, u64) = (19, 1897, 3_032_281_502, 13_532_929_159_891_986_539);

    fn hash(number: u32) -> IdentifierHash {
        IdentifierHash::of(77, IdentifierKind::Email, format!("c{number}@example.com").as_bytes())
    }

    #[test]
    fn kinds_and_seeds_keep_identifiers_apart() {
        let email = IdentifierHash::of(1, IdentifierKind::Email, b"x");
        assert_ne!(email, IdentifierHash::of(1, IdentifierKind::Card, b"x"));
        assert_ne!(email, IdentifierHash::of(2, IdentifierKind::Email, b"x"));
    }

    /// Stored pages depend on these numbers: when this fails, the store's format version must be raised.
    #[test]
    fn hashes_never_change_within_a_format_version() {
        let hash = IdentifierHash::of(1, IdentifierKind::Email, b"ana@example.com");
        assert_eq!((hash.partition(), hash.page(), hash.position(), hash.fingerprint), PINNED);
    }

    #[test]
    fn claims_are_made_all_or_none() {
        let hashes: Vec<IdentifierHash> = (0..5000).map(hash).collect();
        let mut order = LookupOrder::default();
        order.sort(hashes.iter());
        assert!(!order.has_duplicates());
        let mut sorted = order.sorted().iter().map(|(_, index)| *index).collect::<Vec<u32>>();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..5000).collect::<Vec<_>>());

        let mut table = IdentifierTable::default();
        table.insert(hash(4321), CustomerId(9));
        table.insert(hash(70_000), CustomerId(10));
        assert!(!table.claim_all(&order, CustomerId));
        assert_eq!(table.len(), 2);
        assert_eq!((table.get(hash(1)), table.get(hash(4321))), (None, Some(CustomerId(9))));

        let mut table = IdentifierTable::default();
        assert!(table.claim_all(&order, CustomerId));
        assert!((0..5000).all(|number| table.get(hash(number)) == Some(CustomerId(number))));
        let mut owners = vec![CustomerId::NONE; 5000];
        table.get_each(&order, &mut owners);
        assert_eq!(owners, (0..5000).map(CustomerId).collect::<Vec<_>>());

        let twice: Vec<IdentifierHash> = [1, 2, 3, 2].map(hash).to_vec();
        order.sort(twice.iter());
        assert!(order.has_duplicates());
        assert!(!IdentifierTable::default().claim_all(&order, CustomerId));
    }

    #[test]
    fn a_table_answers_like_its_stored_runs() {
        let mut table = IdentifierTable::default();
        for number in 0..50_000 {
            assert_eq!(table.insert(hash(number), CustomerId(number)), None);
        }
        assert_eq!(table.insert(hash(7), CustomerId(1)), Some(CustomerId(7)));
        assert_eq!(table.len(), 50_000);

        let mut runs = Vec::new();
        for range in [0..20_000, 20_000..50_000] {
            let mut run = std::collections::BTreeMap::new();
            let keep = |customer: CustomerId, found: IdentifierHash| {
                assert_eq!(found, hash(customer.0));
                range.contains(&customer.0)
            };
            let written = table.write_run(IdentifierKind::Email, keep, |page, value| {
                run.insert(page, value.to_vec());
                Ok(())
            });
            assert_eq!(written.unwrap(), u64::from(range.end - range.start));
            assert_eq!(table.write_run(IdentifierKind::Card, |_, _| true, |_, _| panic!("no card")).unwrap(), 0);
            runs.push(run);
        }
        let mut loaded = IdentifierTable::default();
        loaded.reserve_evenly(IdentifierKind::Email, 50_000);
        loaded
            .fill_parallel(&[IdentifierKind::Email], |_, pages, part| {
                for run in &runs {
                    run.range(pages.clone()).try_for_each(|(&page, value)| part.load_page(page, value))?;
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(loaded.len(), 50_000);
        for number in 0..60_000 {
            let expected = (number < 50_000).then_some(CustomerId(number));
            assert_eq!(table.get(hash(number)), expected);
            assert_eq!(loaded.get(hash(number)), expected);
            let page = hash(number).page();
            let cold =
                runs.iter().find_map(|run| IdentifierPage::open(page, run.get(&page)?).unwrap().get(hash(number)));
            assert_eq!(cold, expected);
        }
        // A page without one of its identifiers, and without the last.
        let page = hash(7).page();
        let mut stored = runs[0][&page].clone();
        let all: Vec<u32> = (0..20_000).filter(|&number| hash(number).page() == page).collect();
        for (at, &number) in all.iter().enumerate() {
            let opened = IdentifierPage::open(page, &stored).unwrap();
            assert!(opened.without(hash(70_000)).is_none());
            let left = opened.without(hash(number)).unwrap();
            if at + 1 == all.len() {
                assert!(left.is_empty());
                break;
            }
            stored = left;
            let opened = IdentifierPage::open(page, &stored).unwrap();
            assert!(all.iter().enumerate().all(|(other, &number)| opened.get(hash(number)).is_some() == (other > at)));
        }
        // The same run twice gives an identifier two owners.
        let twice = loaded.fill_parallel(&[IdentifierKind::Email], |_, pages, part| {
            runs[0].range(pages).try_for_each(|(&page, value)| part.load_page(page, value))
        });
        assert!(twice.is_err());
    }
}
