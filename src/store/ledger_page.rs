//! A page of ledger entries: packed columns with a header.
//!
//! Body: first sequence (8 bytes), job (4), time in milliseconds (8), count (2), columns (1); then each column as its
//! number (1 byte) and its packed values (`column`). Columns 1 to 7 are always there; the others only where an entry of the
//! page has what they hold, so that a page of plain points has no byte for them:
//!
//! | columns | hold |
//! |---|---|
//! | 8 | last day, as days since 0000-12-31; 0: none |
//! | 10, 11, 12, 13, 15 | reference type and id, promotion, reason, comment: number of a text, then the page's texts |
//! | 16 | how far back the entry lies that this one takes back; 0: none |
//! | 17, 18, 19 | how many lots an entry took of; and for each the distance of its entry, and the amount |
//! | 20 | when the points were earned, as milliseconds since that of column 8; 0: not said |
//! | 21, 22 | the row's own key: its upper half; its lower quarter and the hash of the content |
//! | 23 | the lot that an entry refills or changes: twice the distance of its credit, and 1 more if that says what for |
//! | 9 | the former last day of that lot |
//! | 24, 25, 26 | hashes of what its credit says of what for: type, id, promotion |
//!
//! 14 (reason type) is kept for what follows. A reader that meets a column it
//! does not know refuses the page instead of dropping what it says.

use std::collections::HashMap;

use super::{
    column::{self, Column},
    customer_page::{put_varint, take_varint},
    value::{self, Kind},
};
use crate::{
    domain::{
        apply::left_of_credit,
        entry::{Detail, DetailAt, Entries, Entry, EntryKind, EntryText, Refill, RowKey},
        id::{CustomerId, JobId, ProgramId, Sequence},
        lot::{Lot, LotState, Taken},
        reference::Reference,
        time::{Date, Timestamp},
    },
    error::{Error, Result},
};

/// Entries of a page at most. At 512 a page of 7 KB is decoded in 3 µs, which is what a history costs an entry at
/// worst; 2048 saved 1 % of the bytes.
pub const ENTRIES_MAX: usize = 512;

const CUSTOMER: u8 = 1;
const KIND: u8 = 2;
const PROGRAM: u8 = 3;
const AMOUNT: u8 = 4;
const BALANCE_AFTER: u8 = 5;
const DISTANCE: u8 = 6;
const ROW: u8 = 7;
const EXPIRES_ON: u8 = 8;
const REVERSES: u8 = 16;
const TAKEN_COUNT: u8 = 17;
const TAKEN_LOT: u8 = 18;
const TAKEN_AMOUNT: u8 = 19;
const CREDITED_AT: u8 = 20;
const ROW_KEY_HIGH: u8 = 21;
const ROW_KEY_REST: u8 = 22;
const EXPIRES_BEFORE: u8 = 9;
const REF_TYPE_HASH: u8 = 24;
const REF_ID_HASH: u8 = 25;
const PROMOTION_HASH: u8 = 26;
const REFILLS: u8 = 23;
/// Columns that every page has, which are the lowest numbers.
const ALWAYS: usize = 7;
/// One more than the highest number.
const NUMBERS: usize = 27;
const HEADER_BYTES: usize = 23;

/// The column of a text.
fn text_column(text: EntryText) -> u8 {
    match text {
        EntryText::RefType => 10,
        EntryText::RefId => 11,
        EntryText::PromotionId => 12,
        EntryText::Reason => 13,
        EntryText::Comment => 15,
    }
}

/// Appends the page of the entries at `range`, numbered from `first`, to `out`. At most `ENTRIES_MAX` entries.
pub fn encode(
    first: Sequence,
    job: JobId,
    time: Timestamp,
    entries: &Entries,
    range: std::ops::Range<usize>,
    out: &mut Vec<u8>,
) {
    let places = range.start;
    let list = &entries.list()[range];
    debug_assert!(list.len() <= ENTRIES_MAX);
    let start = value::begin(Kind::LedgerPage, out);
    out.extend_from_slice(&first.0.to_le_bytes());
    out.extend_from_slice(&job.0.to_le_bytes());
    out.extend_from_slice(&time.millis().to_le_bytes());
    out.extend_from_slice(&(list.len() as u16).to_le_bytes());
    let columns_at = out.len();
    out.push(ALWAYS as u8);
    let n = list.len();
    out.push(CUSTOMER);
    column::pack(n, |at| i64::from(list[at].customer.0), out);
    out.push(KIND);
    column::pack(n, |at| list[at].kind as i64, out);
    out.push(PROGRAM);
    column::pack(n, |at| i64::from(list[at].program.0), out);
    out.push(AMOUNT);
    column::pack(n, |at| list[at].amount, out);
    out.push(BALANCE_AFTER);
    column::pack(n, |at| list[at].balance_after, out);
    out.push(DISTANCE);
    column::pack(n, |at| distance(first.0 + at as u64, list[at].previous), out);
    out.push(ROW);
    column::pack(n, |at| list[at].row.cast_signed(), out);
    let mut columns = ALWAYS as u8;
    if entries.is_dated() && list.iter().any(|entry| entry.expires_on.is_some()) {
        columns += 1;
        out.push(EXPIRES_ON);
        column::pack(n, |at| list[at].expires_on.map_or(0, |day| i64::from(day.ordinal())), out);
    }
    columns += encode_refills(first, entries, places..places + n, out);
    if entries.has_details() && list.iter().any(|entry| !entry.detail.is_none()) {
        columns += encode_details(first, entries, list, out);
    }
    out[columns_at] = columns;
    column::pad(out);
    value::seal(start, out);
}

/// Appends the columns of what entries take back, and of the lots that they refill or change; returns how many.
fn encode_refills(first: Sequence, entries: &Entries, places: std::ops::Range<usize>, out: &mut Vec<u8>) -> u8 {
    let mut columns = 0;
    let (n, places) = (places.len(), places.start);
    if entries.has_reversals() && (0..n).any(|at| entries.reversed(places + at).is_some()) {
        columns += 1;
        out.push(REVERSES);
        let reversed = |at: usize| entries.reversed(places + at).unwrap_or(Sequence(0));
        column::pack(n, |at| distance(first.0 + at as u64, reversed(at)), out);
    }
    let refills: Vec<Option<Refill>> =
        if entries.has_refills() { (0..n).map(|at| entries.refill_at(places + at)).collect() } else { Vec::new() };
    if refills.iter().all(Option::is_none) {
        return columns;
    }
    let mut column = |number: u8, value: &dyn Fn(usize, &Refill) -> i64| {
        if (0..n).any(|at| refills[at].is_some_and(|refill| value(at, &refill) != 0)) {
            columns += 1;
            out.push(number);
            column::pack(n, |at| refills[at].map_or(0, |refill| value(at, &refill)), out);
        }
    };
    // An entry that makes a lot of plain points names none.
    column(REFILLS, &|at, refill| match refill.lot.0 {
        0 => 0,
        _ => distance(first.0 + at as u64, refill.lot) << 1 | i64::from(refill.reference.is_some()),
    });
    column(EXPIRES_BEFORE, &|_, refill| refill.expires_before.map_or(0, |day| i64::from(day.ordinal())));
    column(REF_TYPE_HASH, &|_, refill| refill.reference.ref_type.cast_signed());
    column(REF_ID_HASH, &|_, refill| refill.reference.ref_id.cast_signed());
    column(PROMOTION_HASH, &|_, refill| refill.reference.promotion_id.cast_signed());
    columns
}

/// Appends the columns of what only some entries have; returns how many.
fn encode_details(first: Sequence, entries: &Entries, list: &[Entry], out: &mut Vec<u8>) -> u8 {
    let none = Detail::default();
    let details: Vec<&Detail> = list.iter().map(|entry| entries.detail(entry.detail).unwrap_or(&none)).collect();
    let n = details.len();
    let mut columns = 0;
    for text in EntryText::ALL {
        if details.iter().all(|detail| entries.text(detail, text).is_none()) {
            continue;
        }
        columns += 1;
        // Texts of a page are written once each, however many entries have them.
        let (mut texts, mut numbers): (Vec<&str>, HashMap<&str, i64>) = Default::default();
        let number = |detail: &&Detail| match entries.text(detail, text) {
            None => 0,
            Some(text) => *numbers.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as i64
            }),
        };
        let of_entries: Vec<i64> = details.iter().map(number).collect();
        out.push(text_column(text));
        column::pack(n, |at| of_entries[at], out);
        put_varint(texts.iter().map(|text| text.len() as u64 + varint_bytes(text.len() as u64)).sum(), out);
        for text in texts {
            put_varint(text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    let taken: Vec<(usize, Taken)> = details
        .iter()
        .enumerate()
        .flat_map(|(at, detail)| entries.taken(detail).iter().map(move |taken| (at, *taken)))
        .collect();
    if !taken.is_empty() {
        columns += 3;
        out.push(TAKEN_COUNT);
        column::pack(n, |at| entries.taken(details[at]).len() as i64, out);
        out.push(TAKEN_LOT);
        let lot_distance = |(at, taken): &(usize, Taken)| (first.0 + *at as u64).wrapping_sub(taken.lot.0);
        column::pack(taken.len(), |at| lot_distance(&taken[at]).cast_signed(), out);
        out.push(TAKEN_AMOUNT);
        column::pack(taken.len(), |at| taken[at].1.amount, out);
    }
    if details.iter().any(|detail| detail.credited_at.is_some()) {
        columns += 1;
        out.push(CREDITED_AT);
        let stored = |at: Timestamp| at.millis() - Timestamp::MIN.millis() + 1;
        column::pack(n, |at| details[at].credited_at.map_or(0, stored), out);
    }
    if details.iter().any(|detail| detail.row_key.is_some()) {
        columns += 2;
        out.push(ROW_KEY_HIGH);
        column::pack(n, |at| details[at].row_key.map_or(0, |key| key.high).cast_signed(), out);
        out.push(ROW_KEY_REST);
        let rest = |key: RowKey| u64::from(key.low) | u64::from(key.content) << 32;
        column::pack(n, |at| details[at].row_key.map_or(0, rest).cast_signed(), out);
    }
    columns
}

fn varint_bytes(number: u64) -> u64 {
    u64::from((64 - (number | 1).leading_zeros()).div_ceil(7))
}

/// How far back an account's previous entry lies: small for a customer who comes often; 0 for none.
#[inline]
fn distance(sequence: u64, previous: Sequence) -> i64 {
    if previous.0 == 0 { 0 } else { (sequence - previous.0).cast_signed() }
}

/// A page, ready to be read entry by entry.
#[derive(Clone, Debug)]
pub struct LedgerPage<'a> {
    /// Number of the first entry.
    pub first: Sequence,
    /// The job that wrote it.
    pub job: JobId,
    /// When: the job's `now`.
    pub time: Timestamp,
    count: usize,
    always: [Column<'a>; ALWAYS],
    /// By their numbers.
    others: [Option<Column<'a>>; NUMBERS],
    texts: [Vec<&'a str>; EntryText::ALL.len()],
}

/// How many entries a stored page says that it has, unchecked; 0 for what is too short to be one.
pub fn count_of(stored: &[u8]) -> u64 {
    value::unchecked(Kind::LedgerPage, stored)
        .and_then(|body| body.get(20..22)?.try_into().ok())
        .map_or(0, |count| u16::from_le_bytes(count).into())
}

impl<'a> LedgerPage<'a> {
    /// Opens the stored page; `key` is the number under which it was found.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, holds a column of a later version, or stands under the wrong key.
    pub fn open(key: Sequence, stored: &'a [u8]) -> Result<LedgerPage<'a>> {
        let damaged = |what: &str| Error::corrupt(format!("ledger page {}: {what}", key.0));
        let body = value::open(Kind::LedgerPage, stored, &format_args!("ledger page {}", key.0))?;
        let (header, mut rest) = body.split_at_checked(HEADER_BYTES).ok_or_else(|| damaged("no header"))?;
        let first = Sequence(u64::from_le_bytes(header[..8].try_into().map_err(|_| damaged("no number"))?));
        let job = JobId(u32::from_le_bytes(header[8..12].try_into().map_err(|_| damaged("no job"))?));
        let millis = i64::from_le_bytes(header[12..20].try_into().map_err(|_| damaged("no time"))?);
        let count = usize::from(u16::from_le_bytes([header[20], header[21]]));
        if first != key {
            return Err(damaged("it is the page of another number"));
        }
        if first.0.checked_add(count as u64).is_none() {
            return Err(damaged("its entries have no numbers"));
        }
        let mut others = [None; NUMBERS];
        let mut texts: [Vec<&str>; EntryText::ALL.len()] = Default::default();
        for _ in 0..header[22] {
            let (&number, after) = rest.split_first().ok_or_else(|| damaged("a column is missing"))?;
            rest = after;
            let text = EntryText::ALL.into_iter().find(|&text| text_column(text) == number);
            let length = match number {
                TAKEN_LOT => {
                    let counts: Option<Column<'_>> = others[usize::from(TAKEN_COUNT)];
                    let counts = counts.ok_or_else(|| damaged("a column is missing"))?;
                    // The lots of one entry are different ones, so where an entry took of two they need a byte each. Only
                    // where none did are there at most as many as entries, which may be packed into no bytes at all.
                    let lots_max = rest.len().max(count);
                    let total = (0..count).try_fold(0_usize, |sum, at| {
                        sum.checked_add(usize::try_from(counts.get(at)).ok()?).filter(|&sum| sum <= lots_max)
                    });
                    total.ok_or_else(|| damaged("more lots than it has room for"))?
                }
                // Of all lots the same may be taken, so the bytes say nothing here.
                TAKEN_AMOUNT => {
                    let lots: Option<Column<'_>> = others[usize::from(TAKEN_LOT)];
                    lots.ok_or_else(|| damaged("a column is missing"))?.len()
                }
                EXPIRES_BEFORE | REF_TYPE_HASH | REF_ID_HASH | PROMOTION_HASH => count,
                1..=7 | EXPIRES_ON | REVERSES | REFILLS | TAKEN_COUNT | CREDITED_AT | ROW_KEY_HIGH | ROW_KEY_REST => {
                    count
                }
                _ if text.is_some() => count,
                _ => return Err(damaged("it has a column that this version does not know")),
            };
            // What was counted by a column holds only if no other takes its place.
            if others[usize::from(number)].replace(Column::take(&mut rest, length)?).is_some() {
                return Err(damaged("a column is there twice"));
            }
            if let Some(text) = text {
                texts[text as usize] = take_texts(&mut rest).ok_or_else(|| damaged("its texts cannot be read"))?;
            }
        }
        let column = |number: u8| others[usize::from(number)].ok_or_else(|| damaged("a column is missing"));
        Ok(LedgerPage {
            first,
            job,
            time: Timestamp::from_millis(millis).ok_or_else(|| damaged("its time is impossible"))?,
            count,
            always: [
                column(CUSTOMER)?,
                column(KIND)?,
                column(PROGRAM)?,
                column(AMOUNT)?,
                column(BALANCE_AFTER)?,
                column(DISTANCE)?,
                column(ROW)?,
            ],
            others,
            texts,
        })
    }

    /// How many entries it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number behind its last entry: where the next page begins.
    pub fn end(&self) -> Sequence {
        Sequence(self.first.0 + self.count as u64)
    }

    /// Whose the entry at this place is, without reading the rest of it.
    #[inline]
    pub fn customer(&self, at: usize) -> CustomerId {
        CustomerId(self.always[usize::from(CUSTOMER) - 1].get(at) as u32)
    }

    /// The entry at this place, without its detail.
    ///
    /// # Errors
    /// `Corrupt` when its kind is not known.
    #[inline]
    pub fn entry(&self, at: usize) -> Result<Entry> {
        let sequence = self.first.0 + at as u64;
        let of = |number: u8| self.always[usize::from(number) - 1].get(at);
        let kind = u8::try_from(of(KIND)).ok().and_then(EntryKind::from_number);
        let distance = of(DISTANCE).cast_unsigned();
        let expires_on = self.others[usize::from(EXPIRES_ON)].map_or(0, |column| column.get(at));
        Ok(Entry {
            customer: CustomerId(of(CUSTOMER) as u32),
            program: ProgramId(of(PROGRAM) as u16),
            kind: kind.ok_or_else(|| Error::corrupt(format!("ledger entry {sequence}: its kind is not known")))?,
            amount: of(AMOUNT),
            balance_after: of(BALANCE_AFTER),
            previous: Sequence(if distance == 0 { 0 } else { sequence.saturating_sub(distance) }),
            row: of(ROW).cast_unsigned(),
            expires_on: u32::try_from(expires_on).ok().and_then(Date::from_ordinal),
            detail: DetailAt::NONE,
        })
    }

    /// Whether any entry has more than the columns of every page, or a last day.
    pub fn has_details(&self) -> bool {
        self.others.iter().skip(ALWAYS + 1).any(Option::is_some)
    }

    fn other(&self, number: u8, at: usize) -> i64 {
        self.others[usize::from(number)].map_or(0, |column| column.get(at))
    }

    /// A text of the entry at this place.
    pub fn text(&self, at: usize, text: EntryText) -> Option<&'a str> {
        let number = usize::try_from(self.other(text_column(text), at)).ok()?;
        self.texts[text as usize].get(number.checked_sub(1)?).copied()
    }

    /// Whether the entry at this place has a text by which a lot is told from other points.
    pub fn is_referenced(&self, at: usize) -> bool {
        EntryText::OF_LOT.iter().any(|&text| self.text(at, text).is_some())
    }

    /// When the points of the entry at this place were earned: as its row says, else when it was written.
    pub fn credited_at(&self, at: usize) -> Timestamp {
        let said = match self.other(CREDITED_AT, at) {
            0 => None,
            stored => Timestamp::from_millis(stored.wrapping_sub(1).wrapping_add(Timestamp::MIN.millis())),
        };
        said.unwrap_or(self.time)
    }

    /// The lot that the entry at this place made, as it was then; none if it made none: a debit, or plain points.
    #[inline]
    pub fn lot_of(&self, at: usize, entry: &Entry) -> Option<Lot> {
        let (remaining, state) = match entry.kind {
            EntryKind::Credit | EntryKind::Reset | EntryKind::MergeIn if entry.amount > 0 => {
                (left_of_credit(entry.amount, entry.balance_after), LotState::Available)
            }
            EntryKind::Promise | EntryKind::PromiseMergeIn => (entry.amount, LotState::Promised),
            _ => return None,
        };
        let reference =
            if self.is_referenced(at) { Reference::of(|text| self.text(at, text)) } else { Reference::NONE };
        let is_own = state == LotState::Promised || entry.expires_on.is_some() || reference.is_some();
        (is_own && remaining > 0).then(|| Lot {
            credit: Sequence(self.first.0 + at as u64),
            remaining,
            expires_on: entry.expires_on,
            credited_at: self.credited_at(at),
            state,
            reference,
        })
    }

    /// Whether an entry of the page may be of one of these kinds: by the column alone, which most often has one value.
    pub fn may_have_kind(&self, is_wanted: impl Fn(EntryKind) -> bool) -> bool {
        let kinds = &self.always[usize::from(KIND) - 1];
        let mut found = [false; EntryKind::ALL.len() + 1];
        let is_of_one = kinds.is_constant();
        for at in 0..if is_of_one { self.count.min(1) } else { self.count } {
            let kind = usize::try_from(kinds.get(at)).unwrap_or(0);
            // An unknown kind is found out when the entry is read.
            found[if kind < found.len() { kind } else { 0 }] = true;
        }
        found[0] || EntryKind::ALL.iter().any(|&kind| found[kind as usize] && is_wanted(kind))
    }

    /// What the entry at this place takes back.
    #[inline]
    pub fn reversed(&self, at: usize) -> Option<Sequence> {
        let sequence = self.first.0 + at as u64;
        let distance = self.other(REVERSES, at).cast_unsigned();
        sequence.checked_sub(distance).filter(|_| distance > 0).map(Sequence)
    }

    /// The lot that the entry at this place refills, and whether its credit says what for.
    #[inline]
    pub fn refill(&self, at: usize) -> Option<Refill> {
        let stored = self.other(REFILLS, at).cast_unsigned();
        let credit = (self.first.0 + at as u64).checked_sub(stored >> 1).filter(|_| stored > 1)?;
        let hash = |number| self.other(number, at).cast_unsigned();
        let reference = match stored & 1 {
            0 => Reference::NONE,
            _ => Reference {
                ref_type: hash(REF_TYPE_HASH),
                ref_id: hash(REF_ID_HASH),
                promotion_id: hash(PROMOTION_HASH),
            },
        };
        Some(Refill { lot: Sequence(credit), reference, expires_before: self.expires_before(at) })
    }

    /// The former last day of a lot whose last day the entry at this place changed.
    #[inline]
    pub fn expires_before(&self, at: usize) -> Option<Date> {
        u32::try_from(self.other(EXPIRES_BEFORE, at)).ok().and_then(Date::from_ordinal)
    }

    /// What the entry at this place puts back into a lot: the lot with that much in it; none if it refills none, or if all of
    /// it paid an overdraft back.
    #[inline]
    pub fn refill_of(&self, at: usize, entry: &Entry) -> Option<Lot> {
        let refill = self.refill(at)?;
        let (remaining, state) = match entry.kind {
            EntryKind::Reversal | EntryKind::Convert => {
                (left_of_credit(entry.amount, entry.balance_after), LotState::Available)
            }
            EntryKind::PromiseReversal => (entry.amount, LotState::Promised),
            _ => return None,
        };
        // A promise without a last day and a reference is plain points once it is kept.
        let is_plain = entry.kind == EntryKind::Convert && entry.expires_on.is_none() && !refill.reference.is_some();
        (remaining > 0 && !is_plain).then(|| Lot {
            credit: refill.lot,
            remaining,
            expires_on: entry.expires_on,
            credited_at: self.credited_at(at),
            state,
            reference: refill.reference,
        })
    }

    /// Whether any entry of the page has the key of its row.
    pub fn has_row_keys(&self) -> bool {
        self.others[usize::from(ROW_KEY_HIGH)].is_some()
    }

    /// The key of the row that wrote the entry at this place, if it has one.
    pub fn row_key(&self, at: usize) -> Option<RowKey> {
        let high = self.other(ROW_KEY_HIGH, at).cast_unsigned();
        let rest = self.other(ROW_KEY_REST, at).cast_unsigned();
        (high != 0).then_some(RowKey { high, low: rest as u32, content: (rest >> 32) as u32 })
    }

    /// What the entry at this place took of lots. Costs the entries before it: a scan asks in order, with `taken_from`.
    pub fn taken(&self, at: usize) -> Vec<Taken> {
        let Some(counts) = self.others[usize::from(TAKEN_COUNT)] else { return Vec::new() };
        let mut start = (0..at).map(|at| counts.get(at) as usize).sum();
        let mut taken = Vec::new();
        self.taken_from(&mut start, at, &mut taken);
        taken
    }

    /// The same for a scan: `start` is 0 for the first entry, and is moved on by each call. Replaces what is in `taken`.
    #[inline]
    pub fn taken_from(&self, start: &mut usize, at: usize, taken: &mut Vec<Taken>) {
        taken.clear();
        let numbers = [TAKEN_COUNT, TAKEN_LOT, TAKEN_AMOUNT].map(|number| self.others[usize::from(number)]);
        let [Some(counts), Some(lots), Some(amounts)] = numbers else { return };
        let end = (*start + counts.get(at) as usize).min(lots.len()).min(amounts.len());
        let sequence = self.first.0 + at as u64;
        for place in *start..end {
            let lot = Sequence(sequence.wrapping_sub(lots.get(place).cast_unsigned()));
            taken.push(Taken { lot, amount: amounts.get(place) });
        }
        *start = end.max(*start);
    }
}

/// The stored page with other texts in the place of some; none if there are none to change. `change` is given a text and
/// whether all entries that have it are of customers for whom `is_own` says so, and gives another as long.
///
/// # Errors
/// `Corrupt` when the page is damaged.
pub fn with_texts(
    key: Sequence,
    stored: &[u8],
    is_own: impl Fn(CustomerId) -> bool,
    change: impl Fn(&str, bool) -> Option<String>,
) -> Result<Option<Vec<u8>>> {
    let page = LedgerPage::open(key, stored)?;
    let mut changed: Option<Vec<u8>> = None;
    // Most pages have no entry of theirs, and then nothing needs to be counted up.
    let has_own = (0..page.count).any(|at| is_own(page.customer(at)));
    for text in EntryText::ALL {
        let Some(numbers) = page.others[usize::from(text_column(text))] else { continue };
        for (number, &value) in (1_i64..).zip(&page.texts[text as usize]) {
            let mut owners = (0..page.count).filter(|&at| numbers.get(at) == number).map(|at| page.customer(at));
            let Some(other) = change(value, has_own && owners.all(&is_own)) else { continue };
            // It is a part of the stored bytes.
            let start = value.as_ptr() as usize - stored.as_ptr() as usize;
            let place = changed.get_or_insert_with(|| stored.to_vec()).get_mut(start..start + value.len());
            match place.filter(|_| other.len() == value.len()) {
                Some(place) => place.copy_from_slice(other.as_bytes()),
                None => return Err(Error::internal("a text is changed to one of another length")),
            }
        }
    }
    Ok(changed.map(value::sealed_again))
}

/// Takes a column's texts from the front of `body`.
fn take_texts<'a>(body: &mut &'a [u8]) -> Option<Vec<&'a str>> {
    let length = usize::try_from(take_varint(body)?).ok()?;
    let (mut bytes, rest) = body.split_at_checked(length)?;
    *body = rest;
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        texts.push(std::str::from_utf8(text).ok()?);
        bytes = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u64, with_details: bool) -> Entries {
        let mut entries = Entries::default();
        for at in 0..count {
            let mut detail = DetailAt::NONE;
            if with_details && at % 3 == 0 {
                let mut content = Detail::credited_at(
                    (at % 2 == 0).then(|| Timestamp::from_millis(at.cast_signed() * 1000).unwrap()),
                );
                content.row_key = Some(RowKey { high: at + 1, low: 7, content: u32::MAX - at as u32 });
                entries.set_text(&mut content, EntryText::RefType, ["order", "visit"][at as usize % 2]);
                entries.set_text(&mut content, EntryText::RefId, &format!("№ {at}"));
                if at % 4 == 0 {
                    entries.set_text(&mut content, EntryText::Comment, "for you");
                }
                detail = entries.add_detail(content);
            }
            let entry = Entry {
                customer: CustomerId(u32::try_from(at * 7919 % 1_000_003).unwrap()),
                program: ProgramId(0),
                kind: match at % 9 {
                    0 => EntryKind::Debit,
                    1 | 6 if with_details => EntryKind::Reversal,
                    2 if with_details => EntryKind::PromiseReversal,
                    _ => EntryKind::Credit,
                },
                amount: if at % 9 == 0 { -100 } else { 5000 },
                balance_after: i64::try_from(at).unwrap() * 31 - 5,
                previous: Sequence(if at % 3 == 0 { 0 } else { 1000 + at - at % 3 }),
                row: 2 + at,
                expires_on: if with_details && at % 2 == 0 { Date::from_days(20_000 + at as i32) } else { None },
                detail,
            };
            if with_details && at % 5 == 1 {
                entries.reverse(Sequence(1 + at / 2));
                if at % 2 == 0 {
                    entries.refill(Refill {
                        lot: Sequence(1 + at / 3),
                        reference: Reference { ref_id: at % 4, ..Reference::NONE },
                        expires_before: if at % 3 == 0 { Date::from_days(at as i32) } else { None },
                    });
                }
            }
            let lots = |n: u64| (0..n).map(|lot| Taken { lot: Sequence(at + lot), amount: 1 + lot.cast_signed() });
            let taken: Vec<Taken> = lots(if with_details && at % 9 == 0 { at % 4 } else { 0 }).collect();
            entries.push(entry, &taken);
        }
        entries
    }

    fn page_of(first: u64, entries: &Entries) -> Vec<u8> {
        let (mut page, time) = (Vec::new(), Timestamp::from_millis(77).unwrap());
        encode(Sequence(first), JobId(3), time, entries, 0..entries.list().len(), &mut page);
        page
    }

    #[test]
    fn a_page_reads_back() {
        let entries = entries(500, false);
        let page = page_of(2000, &entries);
        assert!(page.len() < entries.list().len() * 17, "{} bytes", page.len());
        let opened = LedgerPage::open(Sequence(2000), &page).unwrap();
        assert_eq!((opened.count(), opened.end(), opened.job), (500, Sequence(2500), JobId(3)));
        assert_eq!((count_of(&page), count_of(b"short")), (500, 0));
        let read: Vec<Entry> = (0..500).map(|at| opened.entry(at).unwrap()).collect();
        assert_eq!(read, entries.list());
        assert!(!opened.has_details());
        assert!((0..500).all(|at| opened.reversed(at).is_none() && opened.refill(at).is_none()));
        assert!(LedgerPage::open(Sequence(2001), &page).is_err());
    }

    #[test]
    fn what_only_some_entries_have_reads_back() {
        let entries = entries(500, true);
        let page = page_of(2000, &entries);
        let opened = LedgerPage::open(Sequence(2000), &page).unwrap();
        assert!(opened.has_details());
        let (mut start, mut taken, mut refilled) = (0, Vec::new(), 0);
        for (at, entry) in entries.list().iter().enumerate() {
            assert_eq!(opened.entry(at).unwrap(), Entry { detail: DetailAt::NONE, ..*entry });
            let none = Detail::default();
            let detail = entries.detail(entry.detail).unwrap_or(&none);
            for text in EntryText::ALL {
                assert_eq!(opened.text(at, text), entries.text(detail, text));
            }
            assert_eq!(opened.is_referenced(at), entries.is_referenced(detail));
            assert_eq!(opened.credited_at(at), detail.credited_at.unwrap_or(opened.time));
            assert_eq!(opened.row_key(at), detail.row_key);
            assert_eq!(opened.reversed(at), entries.reversed(at));
            assert_eq!(opened.refill(at), entries.refill_at(at));
            if let Some(lot) = opened.refill_of(at, entry) {
                assert!(entry.kind.is_reversal(), "{entry:?}");
                assert_eq!(
                    (Some(lot.credit), lot.expires_on),
                    (opened.refill(at).map(|refill| refill.lot), entry.expires_on)
                );
                refilled += 1;
            }
            opened.taken_from(&mut start, at, &mut taken);
            assert_eq!(taken, entries.taken(detail));
            assert_eq!(opened.taken(at), taken);
        }
        assert!(refilled > 0);
        assert!(opened.may_have_kind(EntryKind::is_reversal) && !opened.may_have_kind(EntryKind::is_merge));
    }

    /// How many lots each entry takes of, how far back they lie, and how much it takes of each.
    #[test]
    fn lots_that_are_packed_into_few_bytes_read_back() {
        type Of = fn(u64) -> u64;
        let cases: [(&str, u64, Of, Of, Of); 6] = [
            ("one each, alike", 512, |_| 1, |_| 600, |_| 5),
            ("one each, of all amounts", 512, |_| 1, |_| 600, |at| at + 1),
            ("one each, from all over", 512, |_| 1, |at| 600 + at * at, |_| 5),
            ("none, and one", 512, |at| at % 2, |_| 600, |_| 5),
            ("many of one entry, alike", 1, |_| 5000, |lot| 600 + lot, |_| 1),
            ("many of some entries, alike", 40, |at| at % 7 * 30, |lot| 600 + lot, |_| 1),
        ];
        for (name, count, lots, distance, amount) in cases {
            let mut entries = Entries::default();
            for at in 0..count {
                let entry = Entry {
                    customer: CustomerId(1),
                    program: ProgramId(0),
                    kind: EntryKind::Expire,
                    amount: -1_000_000,
                    balance_after: 0,
                    previous: Sequence(0),
                    row: 0,
                    expires_on: None,
                    detail: DetailAt::NONE,
                };
                let taken = (0..lots(at)).map(|lot| Taken {
                    lot: Sequence(1_000_000 + at - distance(lot + if count > 500 { at } else { 0 })),
                    amount: amount(lot + at).cast_signed(),
                });
                entries.push(entry, &taken.collect::<Vec<_>>());
            }
            let page = page_of(1_000_000, &entries);
            let opened =
                LedgerPage::open(Sequence(1_000_000), &page).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            let (mut start, mut taken) = (0, Vec::new());
            for (at, entry) in entries.list().iter().enumerate() {
                opened.taken_from(&mut start, at, &mut taken);
                assert_eq!(taken, entries.detail(entry.detail).map(|detail| entries.taken(detail)).unwrap_or_default());
                assert_eq!(opened.taken(at), taken, "{name}");
            }
        }
    }

    #[test]
    fn texts_are_changed_where_they_lie() {
        let entries = entries(100, true);
        let page = page_of(1, &entries);
        let own = CustomerId(0);
        let blot = |text: &str, is_own: bool| match text {
            "№ 0" if is_own => Some("****".to_owned() + "*"),
            // Others have it too.
            "order" if is_own => Some("*****".to_owned()),
            "for you" => Some("for  me".to_owned()),
            _ => None,
        };
        let blotted = with_texts(Sequence(1), &page, |customer| customer == own, blot).unwrap().unwrap();
        assert_eq!(blotted.len(), page.len());
        let (before, after) =
            (LedgerPage::open(Sequence(1), &page).unwrap(), LedgerPage::open(Sequence(1), &blotted).unwrap());
        for at in 0..100 {
            assert_eq!(after.entry(at).unwrap(), before.entry(at).unwrap());
            let [ref_type, ref_id, _, _, comment] =
                EntryText::ALL.map(|text| (before.text(at, text), after.text(at, text)));
            assert_eq!(ref_type.0, ref_type.1);
            assert_eq!(ref_id.1, ref_id.0.map(|id| if id == "№ 0" { "*****" } else { id }));
            assert_eq!(comment.1, comment.0.map(|_| "for  me"));
        }
        assert!(
            with_texts(Sequence(1), &page, |_| false, |text, is_own| blot(text, is_own).filter(|_| is_own))
                .unwrap()
                .is_none()
        );
        assert!(with_texts(Sequence(1), &page, |_| true, |_, _| Some(String::new())).is_err());
    }

    #[test]
    fn no_damage_goes_unnoticed_or_panics() {
        let page = page_of(1, &entries(19, true));
        for at in 0..page.len() {
            let mut damaged = page.clone();
            damaged[at] ^= 0x81;
            assert!(LedgerPage::open(Sequence(1), &damaged).is_err(), "byte {at}");
        }
        // With a right checksum over wrong bytes it may answer, but must not panic.
        for at in 2..page.len() - 4 {
            for byte in [0, 1, 0x7F, 0xFF] {
                let mut forged = page[..page.len() - 4].to_vec();
                forged[at] = byte;
                value::seal(0, &mut forged);
                if let Ok(opened) = LedgerPage::open(Sequence(1), &forged) {
                    let (mut start, mut taken) = (0, Vec::new());
                    opened.may_have_kind(EntryKind::is_merge);
                    for at in 0..opened.count() {
                        drop(opened.entry(at));
                        EntryText::ALL.iter().for_each(|&text| {
                            assert!(opened.text(at, text).is_none_or(|text| text.len() <= forged.len()))
                        });
                        opened.credited_at(at);
                        opened.row_key(at);
                        opened.reversed(at);
                        opened.refill(at);
                        drop(opened.entry(at).map(|entry| opened.refill_of(at, &entry)));
                        opened.taken(at);
                        opened.taken_from(&mut start, at, &mut taken);
                    }
                }
            }
        }
    }

    #[test]
    fn a_forged_page_is_refused_where_it_would_be_counted_wrong() {
        let page = |first: u64, count: u16, columns: &[(u8, usize, i64)]| {
            let mut body = first.to_le_bytes().to_vec();
            body.extend_from_slice(&[0; 12]);
            body.extend_from_slice(&count.to_le_bytes());
            body.push(ALWAYS as u8 + columns.len() as u8);
            let always = (1..=ALWAYS as u8).map(|number| (number, usize::from(count), 1));
            for (number, count, value) in always.chain(columns.iter().copied()) {
                body.push(number);
                column::pack(count, |_| value, &mut body);
            }
            column::pad(&mut body);
            value::sealed(Kind::LedgerPage, &body)
        };
        #[rustfmt::skip]
        type Case<'a> = (&'a str, u64, u16, &'a [(u8, usize, i64)], bool);
        let cases: [Case<'_>; 6] = [
            ("plain points", 9, 2, &[], true),
            ("a lot of each", 9, 2, &[(TAKEN_COUNT, 2, 1), (TAKEN_LOT, 2, 1), (TAKEN_AMOUNT, 2, 1)], true),
            // The second count was not looked at when the lots were counted.
            ("two counts", 9, 2, &[(TAKEN_COUNT, 2, 1), (TAKEN_LOT, 2, 1), (TAKEN_COUNT, 2, i64::MAX)], false),
            ("the last numbers there are", u64::MAX - 2, 2, &[], true),
            ("numbers beyond the last", u64::MAX - 1, 2, &[], false),
            ("a time before all others", 9, 1, &[(CREDITED_AT, 1, i64::MIN)], true),
        ];
        for (name, first, count, columns, is_good) in cases {
            let stored = page(first, count, columns);
            let opened = LedgerPage::open(Sequence(first), &stored);
            assert_eq!(opened.is_ok(), is_good, "{name}");
            if let Ok(opened) = opened {
                assert_eq!(opened.end().0 - first, u64::from(count));
                assert_eq!(opened.credited_at(0), opened.time, "{name}");
                assert!(opened.taken(usize::from(count) - 1).len() <= 1, "{name}");
            }
        }
    }
}
