//! A page of customer records: a header and packed records.
//!
//! Body: first record's number (8 bytes), job (4), time in milliseconds (8), count (2), length of the records (4), the
//! records. A record is its length, the customer's number, the distance to that customer's record before (0: there is
//! none, the record creates the customer), a mask of its fields, and these in the mask's order. Numbers are varints.
//!
//! Pages are not compressed: Zstandard at level 1 took 420 ns a record and LZ4 240, of the 1,000 that a core has for a
//! customer if two cores are to load a million a second, and left 54 and 71 bytes of 115.

use super::value::{self, Kind};
use crate::{
    domain::{
        customer::{CustomerChange, Gender},
        id::{CustomerId, JobId},
        time::{Date, Timestamp},
    },
    error::{Error, Result},
};

/// Records of a page at most: about 28 KB, which a cold `customer show` reads in 20 µs.
pub const RECORDS_MAX: usize = 256;

const HEADER_BYTES: usize = 26;

/// Appends a number in seven-bit groups.
pub fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number in seven-bit groups from the front.
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take_varint(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

/// Appends the fields of a change: the part of a record that does not depend on its place in the log, so that it can
/// be made before the customer has a number.
pub fn put_change(change: &CustomerChange<'_>, out: &mut Vec<u8>) {
    put_change_with(change, change.cards.iter().copied(), out);
}

/// As `put_change`, with cards that need not lie in a list of their own.
pub fn put_change_with<'a>(
    change: &CustomerChange<'_>,
    cards: impl ExactSizeIterator<Item = &'a str>,
    out: &mut Vec<u8>,
) {
    let filled = [
        change.user_id.is_some(),
        change.external_id.is_some(),
        change.email.is_some(),
        change.mobile.is_some(),
        cards.len() > 0,
        change.name.is_some(),
        change.birthday.is_some(),
        change.gender.is_some(),
        change.consent.is_some(),
        change.tier.is_some(),
        change.ltv.is_some(),
        change.orders.is_some(),
        change.created_at.is_some(),
    ];
    let mask = filled.iter().enumerate().fold(0_u16, |mask, (bit, &filled)| mask | u16::from(filled) << bit);
    out.extend_from_slice(&mask.to_le_bytes());
    for text in [change.user_id, change.external_id, change.email, change.mobile].into_iter().flatten() {
        put_text(text, out);
    }
    if cards.len() > 0 {
        put_varint(cards.len() as u64, out);
        cards.for_each(|card| put_text(card, out));
    }
    if let Some(name) = change.name {
        put_text(name, out);
    }
    if let Some(birthday) = change.birthday {
        put_varint(zigzag(i64::from(birthday.days())), out);
    }
    if let Some(gender) = change.gender {
        out.push(gender as u8);
    }
    for text in [change.consent, change.tier].into_iter().flatten() {
        put_text(text, out);
    }
    if let Some(ltv) = change.ltv {
        put_varint(zigzag(ltv), out);
    }
    if let Some(orders) = change.orders {
        put_varint(u64::from(orders), out);
    }
    if let Some(created_at) = change.created_at {
        put_varint(zigzag(created_at.millis()), out);
    }
}

/// Reads the fields of a change; nothing when the bytes are none.
pub fn read_change<'a>(mut bytes: &'a [u8]) -> Option<CustomerChange<'a>> {
    let (mask, rest) = bytes.split_first_chunk::<2>()?;
    bytes = rest;
    let mask = u16::from_le_bytes(*mask);
    let has = |bit: u16| mask & 1 << bit != 0;
    let mut change = CustomerChange::default();
    fn text<'a>(filled: bool, bytes: &mut &'a [u8]) -> Option<Option<&'a str>> {
        if filled { take_text(bytes).map(Some) } else { Some(None) }
    }
    change.user_id = text(has(0), &mut bytes)?;
    change.external_id = text(has(1), &mut bytes)?;
    change.email = text(has(2), &mut bytes)?;
    change.mobile = text(has(3), &mut bytes)?;
    if has(4) {
        for _ in 0..take_varint(&mut bytes)? {
            change.cards.push(take_text(&mut bytes)?);
        }
    }
    change.name = text(has(5), &mut bytes)?;
    if has(6) {
        change.birthday = Some(Date::from_days(i32::try_from(unzigzag(take_varint(&mut bytes)?)).ok()?)?);
    }
    if has(7) {
        let (&gender, rest) = bytes.split_first()?;
        bytes = rest;
        change.gender = Some(Gender::from_number(gender)?);
    }
    change.consent = text(has(8), &mut bytes)?;
    change.tier = text(has(9), &mut bytes)?;
    if has(10) {
        change.ltv = Some(unzigzag(take_varint(&mut bytes)?));
    }
    if has(11) {
        change.orders = Some(u32::try_from(take_varint(&mut bytes)?).ok()?);
    }
    if has(12) {
        change.created_at = Some(Timestamp::from_millis(unzigzag(take_varint(&mut bytes)?))?);
    }
    (bytes.is_empty() && mask >> 13 == 0).then_some(change)
}

/// Builds pages; keeps its buffers between them.
#[derive(Default)]
pub struct CustomerPageBuilder {
    raw: Vec<u8>,
    head: Vec<u8>,
    first: u64,
    count: usize,
}

impl CustomerPageBuilder {
    /// Adds the record with this number; `previous` is the customer's record before, `fields` comes from `put_change`.
    pub fn push(&mut self, record: u64, customer: CustomerId, previous: Option<u64>, fields: &[u8]) {
        if self.count == 0 {
            self.first = record;
        }
        self.head.clear();
        put_varint(u64::from(customer.0), &mut self.head);
        put_varint(previous.map_or(0, |previous| record - previous), &mut self.head);
        put_varint((self.head.len() + fields.len()) as u64, &mut self.raw);
        self.raw.extend_from_slice(&self.head);
        self.raw.extend_from_slice(fields);
        self.count += 1;
    }

    /// Whether the page must be finished before the next record.
    pub fn is_full(&self) -> bool {
        self.count >= RECORDS_MAX
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends the page to `out`, returns the number of its first record, and starts the next.
    pub fn finish(&mut self, job: JobId, time: Timestamp, out: &mut Vec<u8>) -> u64 {
        let start = value::begin(Kind::CustomerPage, out);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&job.0.to_le_bytes());
        out.extend_from_slice(&time.millis().to_le_bytes());
        out.extend_from_slice(&(self.count as u16).to_le_bytes());
        out.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.raw);
        value::seal(start, out);
        self.raw.clear();
        self.count = 0;
        self.first
    }
}

/// A record of a customer, as a page holds it.
#[derive(Clone, Debug)]
pub struct CustomerRecord<'a> {
    /// Its number in the log.
    pub number: u64,
    /// Whose.
    pub customer: CustomerId,
    /// The customer's record before; none if this one creates it.
    pub previous: Option<u64>,
    /// What it says.
    pub change: CustomerChange<'a>,
}

/// A page of customer records, checked and ready to be read.
pub struct CustomerPage {
    /// Number of the first record.
    pub first: u64,
    /// The job that wrote it.
    pub job: JobId,
    /// When: the job's `now`.
    pub time: Timestamp,
    count: usize,
    raw: Vec<u8>,
}

impl CustomerPage {
    /// Opens the stored page; `key` is the number under which it was found.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or stands under the wrong key.
    pub fn open(key: u64, stored: &[u8]) -> Result<CustomerPage> {
        let damaged = |what: &str| Error::corrupt(format!("customer page {key}: {what}"));
        let body = value::open(Kind::CustomerPage, stored, &format_args!("customer page {key}"))?;
        let (header, records) = body.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| damaged("no header"))?;
        let eight = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            bytes
        };
        let first = u64::from_le_bytes(eight(0));
        let job = JobId(u32::from_le_bytes([header[8], header[9], header[10], header[11]]));
        let time =
            Timestamp::from_millis(i64::from_le_bytes(eight(12))).ok_or_else(|| damaged("its time is impossible"))?;
        let count = usize::from(u16::from_le_bytes([header[20], header[21]]));
        let length = u32::from_le_bytes([header[22], header[23], header[24], header[25]]) as usize;
        if first != key {
            return Err(damaged("it is the page of another number"));
        }
        if records.len() != length {
            return Err(damaged("it is cut short"));
        }
        let raw = records.to_vec();
        Ok(CustomerPage { first, job, time, count, raw })
    }

    /// How many records it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number behind its last record: where the next page begins.
    pub fn end(&self) -> u64 {
        self.first + self.count as u64
    }

    /// Its records in order. A damaged one is an error, and the last.
    pub fn records(&self) -> impl Iterator<Item = Result<CustomerRecord<'_>>> {
        let mut rest = self.raw.as_slice();
        (0..self.count as u64).map(move |at| {
            let number = self.first + at;
            take_record(number, &mut rest)
                .ok_or_else(|| Error::corrupt(format!("customer record {number} cannot be read")))
        })
    }
}

fn take_record<'a>(number: u64, rest: &mut &'a [u8]) -> Option<CustomerRecord<'a>> {
    let length = usize::try_from(take_varint(rest)?).ok()?;
    let (mut record, after) = rest.split_at_checked(length)?;
    *rest = after;
    let customer = CustomerId(u32::try_from(take_varint(&mut record)?).ok()?);
    let distance = take_varint(&mut record)?;
    let previous = if distance == 0 { None } else { Some(number.checked_sub(distance)?) };
    Some(CustomerRecord { number, customer, previous, change: read_change(record)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> CustomerChange<'static> {
        CustomerChange {
            user_id: Some("U1"),
            email: Some("ana@example.com"),
            cards: vec!["4000", "4001"],
            name: Some("Ana Kęs"),
            birthday: Date::from_days(-400),
            gender: Some(Gender::Female),
            tier: Some("gold"),
            ltv: Some(-12_345_678),
            orders: Some(7),
            created_at: Timestamp::from_millis(1_600_000_000_000),
            ..CustomerChange::default()
        }
    }

    #[test]
    fn records_read_back() {
        let mut builder = CustomerPageBuilder::default();
        let mut fields = Vec::new();
        put_change(&change(), &mut fields);
        builder.push(500, CustomerId(9), None, &fields);
        fields.clear();
        put_change(&CustomerChange { consent: Some("2026-01-01, 17"), ..CustomerChange::default() }, &mut fields);
        builder.push(501, CustomerId(4), Some(77), &fields);
        let mut page = Vec::new();
        assert_eq!(builder.finish(JobId(2), Timestamp::from_millis(5).unwrap(), &mut page), 500);
        assert!(builder.is_empty());

        let opened = CustomerPage::open(500, &page).unwrap();
        assert_eq!((opened.count(), opened.end(), opened.job), (2, 502, JobId(2)));
        let records: Vec<_> = opened.records().map(Result::unwrap).collect();
        assert_eq!(records[0].change, change());
        assert_eq!((records[1].number, records[1].customer, records[1].previous), (501, CustomerId(4), Some(77)));
        assert_eq!(records[1].change.consent, Some("2026-01-01, 17"));
        for at in 0..page.len() {
            let mut damaged = page.clone();
            damaged[at] ^= 4;
            assert!(CustomerPage::open(500, &damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn forged_fields_are_refused_without_a_panic() {
        let mut fields = Vec::new();
        put_change(&change(), &mut fields);
        for at in 0..fields.len() {
            assert_eq!(read_change(&fields[..at]), None, "cut at {at}");
            let mut forged = fields.clone();
            forged[at] = 0xFF;
            let _ = read_change(&forged);
        }
        assert_eq!(read_change(&fields), Some(change()));
    }
}
