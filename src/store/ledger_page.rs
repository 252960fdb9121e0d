//! A page of ledger entries: packed columns with a header.
//!
//! Body: first sequence (8 bytes), job (4), time in milliseconds (8), count (2), columns (1); then each column as its
//! number (1 byte) and its packed values (`column`). Columns 1 to 7 are always there. Numbers 8 and above are kept for
//! what only some entries have: expiry and its former date (8, 9), reference type and id (10, 11), promotion (12),
//! reason, reason type and comment (13, 14, 15), reversed entry (16), lots taken (17, 18, 19), the entry's own time
//! (20). A reader that meets a column it does not know refuses the page instead of dropping what it says.

use super::{
    column::{self, Column},
    value::{self, Kind},
};
use crate::{
    domain::{
        entry::{Entry, EntryKind},
        id::{CustomerId, JobId, ProgramId, Sequence},
        time::Timestamp,
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
const COLUMNS: [u8; 7] = [CUSTOMER, KIND, PROGRAM, AMOUNT, BALANCE_AFTER, DISTANCE, ROW];
const HEADER_BYTES: usize = 23;

/// Appends the page of these entries, numbered from `first`, to `out`. At most `ENTRIES_MAX` entries.
pub fn encode(first: Sequence, job: JobId, time: Timestamp, entries: &[Entry], out: &mut Vec<u8>) {
    debug_assert!(entries.len() <= ENTRIES_MAX);
    let start = value::begin(Kind::LedgerPage, out);
    out.extend_from_slice(&first.0.to_le_bytes());
    out.extend_from_slice(&job.0.to_le_bytes());
    out.extend_from_slice(&time.millis().to_le_bytes());
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    out.push(COLUMNS.len() as u8);
    let n = entries.len();
    out.push(CUSTOMER);
    column::pack(n, |at| i64::from(entries[at].customer.0), out);
    out.push(KIND);
    column::pack(n, |at| entries[at].kind as i64, out);
    out.push(PROGRAM);
    column::pack(n, |at| i64::from(entries[at].program.0), out);
    out.push(AMOUNT);
    column::pack(n, |at| entries[at].amount, out);
    out.push(BALANCE_AFTER);
    column::pack(n, |at| entries[at].balance_after, out);
    out.push(DISTANCE);
    column::pack(n, |at| distance(first.0 + at as u64, entries[at].previous), out);
    out.push(ROW);
    column::pack(n, |at| entries[at].row.cast_signed(), out);
    column::pad(out);
    value::seal(start, out);
}

/// How far back an account's previous entry lies: small for a customer who comes often; 0 for none.
#[inline]
fn distance(sequence: u64, previous: Sequence) -> i64 {
    if previous.0 == 0 { 0 } else { (sequence - previous.0).cast_signed() }
}

/// A page, ready to be read entry by entry.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPage<'a> {
    /// Number of the first entry.
    pub first: Sequence,
    /// The job that wrote it.
    pub job: JobId,
    /// When: the job's `now`.
    pub time: Timestamp,
    count: usize,
    customer: Column<'a>,
    kind: Column<'a>,
    program: Column<'a>,
    amount: Column<'a>,
    balance_after: Column<'a>,
    distance: Column<'a>,
    row: Column<'a>,
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
        let mut columns = [None; COLUMNS.len()];
        for _ in 0..header[22] {
            let (&number, after) = rest.split_first().ok_or_else(|| damaged("a column is missing"))?;
            rest = after;
            let place = COLUMNS.iter().position(|&known| known == number);
            let place = place.ok_or_else(|| damaged("it has a column that this version does not know"))?;
            columns[place] = Some(Column::take(&mut rest, count)?);
        }
        let column = |number: u8| columns[usize::from(number) - 1].ok_or_else(|| damaged("a column is missing"));
        Ok(LedgerPage {
            first,
            job,
            time: Timestamp::from_millis(millis).ok_or_else(|| damaged("its time is impossible"))?,
            count,
            customer: column(CUSTOMER)?,
            kind: column(KIND)?,
            program: column(PROGRAM)?,
            amount: column(AMOUNT)?,
            balance_after: column(BALANCE_AFTER)?,
            distance: column(DISTANCE)?,
            row: column(ROW)?,
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
        CustomerId(self.customer.get(at) as u32)
    }

    /// The entry at this place.
    ///
    /// # Errors
    /// `Corrupt` when its kind is not known.
    #[inline]
    pub fn entry(&self, at: usize) -> Result<Entry> {
        let sequence = self.first.0 + at as u64;
        let kind = u8::try_from(self.kind.get(at)).ok().and_then(EntryKind::from_number);
        let distance = self.distance.get(at).cast_unsigned();
        Ok(Entry {
            customer: CustomerId(self.customer.get(at) as u32),
            program: ProgramId(self.program.get(at) as u16),
            kind: kind.ok_or_else(|| Error::corrupt(format!("ledger entry {sequence}: its kind is not known")))?,
            amount: self.amount.get(at),
            balance_after: self.balance_after.get(at),
            previous: Sequence(if distance == 0 { 0 } else { sequence.saturating_sub(distance) }),
            row: self.row.get(at).cast_unsigned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u64) -> Vec<Entry> {
        (0..count)
            .map(|at| Entry {
                customer: CustomerId(u32::try_from(at * 7919 % 1_000_003).unwrap()),
                program: ProgramId(0),
                kind: if at % 9 == 0 { EntryKind::Debit } else { EntryKind::Credit },
                amount: if at % 9 == 0 { -100 } else { 5000 },
                balance_after: i64::try_from(at).unwrap() * 31 - 5,
                previous: Sequence(if at % 3 == 0 { 0 } else { 1000 + at - at % 3 }),
                row: 2 + at,
            })
            .collect()
    }

    #[test]
    fn a_page_reads_back() {
        let entries = entries(500);
        let mut page = Vec::new();
        encode(Sequence(2000), JobId(3), Timestamp::from_millis(77).unwrap(), &entries, &mut page);
        assert!(page.len() < entries.len() * 17, "{} bytes", page.len());
        let opened = LedgerPage::open(Sequence(2000), &page).unwrap();
        assert_eq!((opened.count(), opened.end(), opened.job), (500, Sequence(2500), JobId(3)));
        let read: Vec<Entry> = (0..500).map(|at| opened.entry(at).unwrap()).collect();
        assert_eq!(read, entries);
        assert!(LedgerPage::open(Sequence(2001), &page).is_err());
    }

    #[test]
    fn no_damage_goes_unnoticed_or_panics() {
        let mut page = Vec::new();
        encode(Sequence(1), JobId(1), Timestamp::from_millis(0).unwrap(), &entries(9), &mut page);
        for at in 0..page.len() {
            let mut damaged = page.clone();
            damaged[at] ^= 0x81;
            assert!(LedgerPage::open(Sequence(1), &damaged).is_err(), "byte {at}");
        }
        // With a right checksum over wrong bytes it may answer, but must not panic.
        for at in 2..page.len() - 4 {
            let mut forged = page[..page.len() - 4].to_vec();
            forged[at] = 0xFF;
            value::seal(0, &mut forged);
            if let Ok(opened) = LedgerPage::open(Sequence(1), &forged) {
                (0..opened.count()).for_each(|at| drop(opened.entry(at)));
            }
        }
    }
}
