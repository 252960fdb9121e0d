//! One immutable line of an account's history.

use serde::{Deserialize, Serialize};

use super::{
    id::{CustomerId, ProgramId, Sequence},
    job::JobKind,
    lot::Taken,
    reference::Reference,
    time::{Date, Timestamp},
};

/// What an entry records. The byte is stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Points were added.
    Credit = 1,
    /// Points were taken.
    Debit = 2,
    /// The balance was set.
    Reset = 3,
    /// Lots reached their last day.
    Expire = 4,
    /// A lot's last day was changed.
    ExpiryChange = 5,
    /// Points were promised.
    Promise = 6,
    /// Promised points became available.
    Convert = 7,
    /// Promised points reached their last day.
    PromiseExpire = 8,
    /// An earlier entry was taken back.
    Reversal = 9,
    /// The points went to the customer that this one became part of.
    MergeOut = 10,
    /// Points came from a customer that became part of this one.
    MergeIn = 11,
    /// As `MergeOut`, for promised points.
    PromiseMergeOut = 12,
    /// As `MergeIn`, for promised points.
    PromiseMergeIn = 13,
    /// As `Reversal`, for promised points.
    PromiseReversal = 14,
}

impl EntryKind {
    /// Every kind, by ascending number.
    pub const ALL: [EntryKind; 14] = [
        EntryKind::Credit,
        EntryKind::Debit,
        EntryKind::Reset,
        EntryKind::Expire,
        EntryKind::ExpiryChange,
        EntryKind::Promise,
        EntryKind::Convert,
        EntryKind::PromiseExpire,
        EntryKind::Reversal,
        EntryKind::MergeOut,
        EntryKind::MergeIn,
        EntryKind::PromiseMergeOut,
        EntryKind::PromiseMergeIn,
        EntryKind::PromiseReversal,
    ];

    /// The word that exports and histories show.
    pub fn word(self) -> &'static str {
        match self {
            EntryKind::Credit => "credit",
            EntryKind::Debit => "debit",
            EntryKind::Reset => "reset",
            EntryKind::Expire => "expire",
            EntryKind::ExpiryChange => "expiry_change",
            EntryKind::Promise => "promise",
            EntryKind::Convert => "convert",
            EntryKind::PromiseExpire => "promise_expire",
            EntryKind::Reversal => "reversal",
            EntryKind::MergeOut => "merge_out",
            EntryKind::MergeIn => "merge_in",
            EntryKind::PromiseMergeOut => "promise_merge_out",
            EntryKind::PromiseMergeIn => "promise_merge_in",
            EntryKind::PromiseReversal => "promise_reversal",
        }
    }

    /// Whether an entry of this kind that a job of that kind wrote for a row (0: for none) has the job's reason and comment: what
    /// expires on the way of a credit has nothing to do with what the customer is told of the credit.
    pub fn has_texts_of(self, job: JobKind, row: u64) -> bool {
        let is_meant = job == JobKind::Expire || job == JobKind::ImportExpiry && row > 0;
        is_meant || !self.is_expiry()
    }

    /// Whether its amount is one of promised points, and not of the balance.
    pub fn is_of_promises(self) -> bool {
        matches!(
            self,
            EntryKind::Promise
                | EntryKind::PromiseExpire
                | EntryKind::PromiseMergeOut
                | EntryKind::PromiseMergeIn
                | EntryKind::PromiseReversal
        )
    }

    /// Whether it takes an earlier entry back.
    pub fn is_reversal(self) -> bool {
        matches!(self, EntryKind::Reversal | EntryKind::PromiseReversal)
    }

    /// Whether points expire by it.
    pub fn is_expiry(self) -> bool {
        matches!(self, EntryKind::Expire | EntryKind::PromiseExpire)
    }

    /// Whether it moves points between records of one person: all such entries of a program sum up to nothing.
    pub fn is_merge(self) -> bool {
        matches!(
            self,
            EntryKind::MergeOut | EntryKind::MergeIn | EntryKind::PromiseMergeOut | EntryKind::PromiseMergeIn
        )
    }

    /// The kind with this stored number, if there is one.
    pub fn from_number(number: u8) -> Option<EntryKind> {
        EntryKind::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }
}

/// One immutable line of an account's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose account.
    pub customer: CustomerId,
    /// In which program.
    pub program: ProgramId,
    /// What it records.
    pub kind: EntryKind,
    /// Signed change of the balance, in the program's smallest unit; of promise kinds, of the promised points.
    pub amount: i64,
    /// The balance with this entry.
    pub balance_after: i64,
    /// The account's entry before this one; 0 if this is its first.
    pub previous: Sequence,
    /// Physical line of the input that caused it, from 1; 0 if none did.
    pub row: u64,
    /// Last day of the points that it credits, promises or expires; none: permanent, or several lots.
    pub expires_on: Option<Date>,
    /// What only some entries have, beside them.
    pub detail: DetailAt,
}

/// The place of an entry's detail among those of its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetailAt(u32);

impl DetailAt {
    /// No detail.
    pub const NONE: DetailAt = DetailAt(0);

    /// Whether there is none.
    #[inline]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The texts that an entry may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryText {
    /// Type of what the points were given for.
    RefType = 0,
    /// What they were given for.
    RefId = 1,
    /// The promotion that gave them.
    PromotionId = 2,
    /// Internal reason, where the row has one of its own.
    Reason = 3,
    /// Comment shown to the customer, where the row has one of its own.
    Comment = 4,
}

impl EntryText {
    /// Every text, in the order of their numbers.
    pub const ALL: [EntryText; 5] =
        [EntryText::RefType, EntryText::RefId, EntryText::PromotionId, EntryText::Reason, EntryText::Comment];
    /// Those by which a lot is told from the account's other points.
    pub const OF_LOT: [EntryText; 3] = [EntryText::RefType, EntryText::RefId, EntryText::PromotionId];
}

/// A row's own key and what it was applied with: 96 bits of a hash of program, customer and id, and 32 of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// Upper 64 bits of the key; never 0.
    pub high: u64,
    /// Lower 32 bits of the key.
    pub low: u32,
    /// Hash of what the row said.
    pub content: u32,
}

/// What only some entries have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// When the points were earned, if the row says so.
    pub credited_at: Option<Timestamp>,
    /// Bounds of its texts; empty: none.
    texts: [(u32, u32); EntryText::ALL.len()],
    /// Bounds of what it took of lots.
    taken: (u32, u32),
    /// The row's own key.
    pub row_key: Option<RowKey>,
}

impl Detail {
    /// The detail of points that were earned then.
    pub fn credited_at(credited_at: Option<Timestamp>) -> Detail {
        Detail { credited_at, ..Detail::default() }
    }
}

/// The lot that a reversal or a conversion puts points into, or whose last day is changed. What else is needed to make it
/// again, if it is gone, stands in the entry (its last day) and in its detail (when the points were earned).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// The entry that credited the lot.
    pub lot: Sequence,
    /// What that entry says of what for.
    pub reference: Reference,
    /// Of a changed last day, the former one.
    pub expires_before: Option<Date>,
}

/// Entries of a batch, with what only some of them have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    list: Vec<Entry>,
    /// By place, what an entry takes back; 0: nothing. Shorter than the list where the last ones take nothing back: a job that
    /// reverses nothing has none, and one that undoes another pays eight bytes an entry and not those of a detail.
    reversed: Vec<Sequence>,
    /// Which lots entries refill, by ascending place.
    refills: Vec<(u32, Refill)>,
    details: Vec<Detail>,
    texts: Vec<u8>,
    taken: Vec<Taken>,
    is_dated: bool,
}

impl Entries {
    /// Empties it, keeping its buffers.
    pub fn clear(&mut self) {
        self.list.clear();
        self.reversed.clear();
        self.refills.clear();
        self.details.clear();
        self.texts.clear();
        self.taken.clear();
        self.is_dated = false;
    }

    /// In the order of their numbers.
    #[inline]
    pub fn list(&self) -> &[Entry] {
        &self.list
    }

    /// Whether any entry may have a last day.
    pub fn is_dated(&self) -> bool {
        self.is_dated
    }

    /// Whether any entry may have a detail.
    pub fn has_details(&self) -> bool {
        !self.details.is_empty()
    }

    /// Adds an entry without a last day that took of no lot.
    #[inline]
    pub fn push_plain(&mut self, entry: Entry) {
        debug_assert!(entry.expires_on.is_none());
        self.list.push(entry);
    }

    /// Says what the entry that is added next takes back.
    #[inline]
    pub fn reverse(&mut self, reversed: Sequence) {
        self.reversed.resize(self.list.len(), Sequence(0));
        self.reversed.push(reversed);
    }

    /// Says which lot the entry that is added next refills.
    pub fn refill(&mut self, refill: Refill) {
        self.refills.push((self.list.len() as u32, refill));
    }

    /// Whether any entry may refill or change a lot.
    pub fn has_refills(&self) -> bool {
        !self.refills.is_empty()
    }

    /// Whether any entry may take another back.
    pub fn has_reversals(&self) -> bool {
        !self.reversed.is_empty()
    }

    /// What the entry at a place takes back.
    #[inline]
    pub fn reversed(&self, at: usize) -> Option<Sequence> {
        self.reversed.get(at).copied().filter(|reversed| reversed.0 > 0)
    }

    /// The lot that the entry at a place refills.
    pub fn refill_at(&self, at: usize) -> Option<Refill> {
        let found = self.refills.binary_search_by_key(&(at as u32), |(place, _)| *place).ok()?;
        self.refills.get(found).map(|(_, refill)| *refill)
    }

    /// Adds a detail that an entry can name.
    pub fn add_detail(&mut self, detail: Detail) -> DetailAt {
        self.details.push(detail);
        DetailAt(self.details.len() as u32)
    }

    /// Adds a text to a detail that is not added yet.
    pub fn set_text(&mut self, detail: &mut Detail, text: EntryText, value: &str) {
        let start = self.texts.len() as u32;
        self.texts.extend_from_slice(value.as_bytes());
        detail.texts[text as usize] = (start, self.texts.len() as u32);
    }

    /// Adds an entry that took these of lots.
    pub fn push(&mut self, mut entry: Entry, taken: &[Taken]) {
        if !taken.is_empty() {
            if entry.detail.is_none() {
                entry.detail = self.add_detail(Detail::default());
            }
            let start = self.taken.len() as u32;
            self.taken.extend_from_slice(taken);
            let end = self.taken.len() as u32;
            if let Some(detail) = self.details.get_mut(entry.detail.0 as usize - 1) {
                detail.taken = (start, end);
            }
        }
        self.is_dated |= entry.expires_on.is_some();
        self.list.push(entry);
    }

    /// A detail by its place.
    #[inline]
    pub fn detail(&self, at: DetailAt) -> Option<&Detail> {
        self.details.get(at.0.checked_sub(1)? as usize)
    }

    /// Gives a detail its row's key.
    pub fn set_row_key(&mut self, at: DetailAt, key: RowKey) {
        if let Some(detail) = at.0.checked_sub(1).and_then(|at| self.details.get_mut(at as usize)) {
            detail.row_key = Some(key);
        }
    }

    /// A text of a detail, if it has it.
    pub fn text(&self, detail: &Detail, text: EntryText) -> Option<&str> {
        let (start, end) = detail.texts[text as usize];
        let bytes = self.texts.get(start as usize..end as usize).filter(|bytes| !bytes.is_empty())?;
        std::str::from_utf8(bytes).ok()
    }

    /// Whether a detail has one of the texts by which a lot is told from other points.
    #[inline]
    pub fn is_referenced(&self, detail: &Detail) -> bool {
        EntryText::OF_LOT.iter().any(|&text| detail.texts[text as usize].0 < detail.texts[text as usize].1)
    }

    /// What the entry with this detail took of lots.
    pub fn taken(&self, detail: &Detail) -> &[Taken] {
        self.taken.get(detail.taken.0 as usize..detail.taken.1 as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_lead_back_to_their_kind() {
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(EntryKind::from_number(0), None);
        assert_eq!(EntryKind::from_number(EntryKind::ALL.len() as u8 + 1), None);
    }
}
