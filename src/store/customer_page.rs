//! A page of customer records: a header and packed records.
//!
//! Body: first record's number (8 bytes), job (4), time in milliseconds (8), count (2), length of the records (4), the
//! records. A record is its length, the customer's number, the distance to that customer's record before (0: there is
//! none, the record creates the customer), a mask of its fields, and these in the mask's order. Numbers are varints.
//!
//! A page is written anew only to take a customer out of it (`rewritten`): its records stay, with their numbers and their
//! links, and say nothing any more.
//!
//! Pages are not compressed: Zstandard at level 1 took 420 ns a record and LZ4 240, of the 1,000 that a core has for a
//! customer if two cores are to load a million a second, and left 54 and 71 bytes of 115.

use super::value::{self, Kind};
use crate::{
    domain::{
        birthday::Birthday,
        customer::{CustomerChange, Former, Gender, Merge},
        id::{CustomerId, JobId},
        identifier::IdentifierKind,
        time::{Date, Timestamp},
    },
    error::{Error, Result},
};

/// Records of a page at most: about 28 KB, which a cold `customer show` reads in 20 µs.
pub const RECORDS_MAX: usize = 256;

const HEADER_BYTES: usize = 26;
/// Among the kinds of identifiers, what says that a former text is a name.
const FORMER_NAME: u8 = 5;

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

/// Writes the fields of one record, each at most once and in the order of the methods: the part of a record that does not
/// depend on its place in the log, so that it can be made before the customer has a number.
pub struct FieldsWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    mask: u16,
}

impl<'a> FieldsWriter<'a> {
    /// Longest value whose length is one byte.
    const SHORT: usize = 0x7F;

    /// Begins behind what `out` holds.
    #[inline]
    pub fn begin(out: &'a mut Vec<u8>) -> FieldsWriter<'a> {
        let start = out.len();
        out.extend_from_slice(&[0; 2]);
        FieldsWriter { out, start, mask: 0 }
    }

    /// Whether no field was written yet.
    pub fn is_empty(&self) -> bool {
        self.mask == 0
    }

    /// An identifier that `put` appends; kinds ascend. Returns it as it was written; nothing if `put` refuses or it is
    /// longer than 127 bytes, and the record is of no use then. A card written so is the only one.
    #[inline]
    pub fn identifier(&mut self, kind: IdentifierKind, put: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<&[u8]> {
        self.mask |= 1 << kind as u16;
        if kind == IdentifierKind::Card {
            self.out.push(1);
        }
        let length_at = self.out.len();
        self.out.push(0);
        if !put(self.out) {
            return None;
        }
        let length = self.out.len() - length_at - 1;
        if length > Self::SHORT {
            return None;
        }
        self.out[length_at] = length as u8;
        self.out.get(length_at + 1..)
    }

    #[inline]
    fn text(&mut self, bit: u16, text: &str) {
        self.mask |= 1 << bit;
        put_text(text, self.out);
    }

    #[inline]
    fn number(&mut self, bit: u16, number: u64) {
        self.mask |= 1 << bit;
        put_varint(number, self.out);
    }

    /// Several cards, or one.
    pub fn cards<'b>(&mut self, cards: impl ExactSizeIterator<Item = &'b str>) {
        if cards.len() > 0 {
            self.number(IdentifierKind::Card as u16, cards.len() as u64);
            cards.for_each(|card| put_text(card, self.out));
        }
    }

    /// `name`
    #[inline]
    pub fn name(&mut self, name: &str) {
        self.text(5, name);
    }

    /// `birthday`
    #[inline]
    pub fn birthday(&mut self, birthday: Birthday) {
        self.number(6, zigzag(i64::from(birthday.date().days())));
    }

    /// `gender`
    #[inline]
    pub fn gender(&mut self, gender: Gender) {
        self.mask |= 1 << 7;
        self.out.push(gender as u8);
    }

    /// `consent`
    #[inline]
    pub fn consent(&mut self, consent: &str) {
        self.text(8, consent);
    }

    /// `tier`
    #[inline]
    pub fn tier(&mut self, tier: &str) {
        self.text(9, tier);
    }

    /// LTV with `LTV_DECIMALS` decimals.
    #[inline]
    pub fn ltv(&mut self, ltv: i64) {
        self.number(10, zigzag(ltv));
    }

    /// `orders`
    #[inline]
    pub fn orders(&mut self, orders: u32) {
        self.number(11, u64::from(orders));
    }

    /// `created_at`
    #[inline]
    pub fn created_at(&mut self, created_at: Timestamp) {
        self.number(12, zigzag(created_at.millis()));
    }

    /// What it says of other records of the same person.
    fn merge(&mut self, merge: &Merge<'_>) {
        self.number(13, merge.into.map_or(0, |into| u64::from(into.0) + 1));
        put_varint(merge.absorbed.len() as u64, self.out);
        merge.absorbed.iter().for_each(|absorbed| put_varint(u64::from(absorbed.0), self.out));
        put_varint(merge.former.len() as u64, self.out);
        for former in &merge.former {
            let (kind, text) = match *former {
                Former::Identifier(kind, value) => (kind as u8, value),
                Former::Name(name) => (FORMER_NAME, name),
            };
            self.out.push(kind);
            put_text(text, self.out);
        }
    }

    /// Ends: the mask of the fields goes before them.
    #[inline]
    pub fn end(self) {
        self.out[self.start..self.start + 2].copy_from_slice(&self.mask.to_le_bytes());
    }
}

/// Appends the fields of a change.
pub fn put_change(change: &CustomerChange<'_>, out: &mut Vec<u8>) {
    put_change_with(change, change.cards.iter().copied(), out);
}

/// As `put_change`, with cards that need not lie in a list of their own.
pub fn put_change_with<'a>(
    change: &CustomerChange<'_>,
    cards: impl ExactSizeIterator<Item = &'a str>,
    out: &mut Vec<u8>,
) {
    let mut fields = FieldsWriter::begin(out);
    let singles = [change.user_id, change.external_id, change.email, change.mobile];
    for (bit, text) in singles.into_iter().enumerate() {
        if let Some(text) = text {
            fields.text(bit as u16, text);
        }
    }
    fields.cards(cards);
    change.name.iter().for_each(|name| fields.name(name));
    change.birthday.iter().for_each(|&birthday| fields.birthday(birthday));
    change.gender.iter().for_each(|&gender| fields.gender(gender));
    change.consent.iter().for_each(|consent| fields.consent(consent));
    change.tier.iter().for_each(|tier| fields.tier(tier));
    change.ltv.iter().for_each(|&ltv| fields.ltv(ltv));
    change.orders.iter().for_each(|&orders| fields.orders(orders));
    change.created_at.iter().for_each(|&created_at| fields.created_at(created_at));
    change.merge.iter().for_each(|merge| fields.merge(merge));
    fields.end();
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
        let days = i32::try_from(unzigzag(take_varint(&mut bytes)?)).ok()?;
        change.birthday = Some(Birthday::new(Date::from_days(days)?));
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
    if has(13) {
        change.merge = Some(Box::new(take_merge(&mut bytes)?));
    }
    (bytes.is_empty() && mask >> 14 == 0).then_some(change)
}

fn take_merge<'a>(bytes: &mut &'a [u8]) -> Option<Merge<'a>> {
    let customer = |bytes: &mut &'a [u8]| u32::try_from(take_varint(bytes)?).ok();
    let mut merge = Merge { into: customer(bytes)?.checked_sub(1).map(CustomerId), ..Merge::default() };
    for _ in 0..take_varint(bytes)? {
        merge.absorbed.push(CustomerId(customer(bytes)?));
    }
    for _ in 0..take_varint(bytes)? {
        let (&kind, rest) = bytes.split_first()?;
        *bytes = rest;
        let text = take_text(bytes)?;
        merge.former.push(match kind {
            FORMER_NAME => Former::Name(text),
            kind => Former::Identifier(IdentifierKind::from_number(kind)?, text),
        });
    }
    Some(merge)
}

/// Writes one page, of at most [`RECORDS_MAX`] records, straight behind what a buffer holds.
pub struct CustomerPageWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    records_start: usize,
    first: u64,
    count: u16,
}

impl<'a> CustomerPageWriter<'a> {
    /// Begins a page whose first record has this number; `time` is the job's `now`.
    pub fn begin(first: u64, job: JobId, time: Timestamp, out: &'a mut Vec<u8>) -> CustomerPageWriter<'a> {
        let start = value::begin(Kind::CustomerPage, out);
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&job.0.to_le_bytes());
        out.extend_from_slice(&time.millis().to_le_bytes());
        // Count and length, known at the end.
        out.extend_from_slice(&[0; 6]);
        let records_start = out.len();
        CustomerPageWriter { out, start, records_start, first, count: 0 }
    }

    /// Adds the next record; `previous` is the customer's record before, `fields` comes from `put_change`.
    #[inline]
    pub fn push(&mut self, customer: CustomerId, previous: Option<u64>, fields: &[u8]) {
        let number = self.first + u64::from(self.count);
        let (customer, distance) = (u64::from(customer.0), previous.map_or(0, |previous| number - previous));
        let length = varint_length(customer) + varint_length(distance) + fields.len();
        put_varint(length as u64, self.out);
        put_varint(customer, self.out);
        put_varint(distance, self.out);
        self.out.extend_from_slice(fields);
        self.count += 1;
    }

    /// Ends the page; returns the number of its first record, which is its key.
    pub fn end(self) -> u64 {
        let length = (self.out.len() - self.records_start) as u32;
        self.out[self.records_start - 6..self.records_start - 4].copy_from_slice(&self.count.to_le_bytes());
        self.out[self.records_start - 4..self.records_start].copy_from_slice(&length.to_le_bytes());
        value::seal(self.start, self.out);
        self.first
    }
}

/// How many bytes `put_varint` appends.
#[inline]
fn varint_length(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
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

/// How many records a stored page says that it has, unchecked; 0 for what is too short to be one.
pub fn count_of(stored: &[u8]) -> u64 {
    value::unchecked(Kind::CustomerPage, stored)
        .and_then(|body| body.get(20..22)?.try_into().ok())
        .map_or(0, |count| u16::from_le_bytes(count).into())
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
        if first.checked_add(count as u64).is_none() {
            return Err(damaged("its records have no numbers"));
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

/// The stored page with other fields in the records of one customer; none if it has no record of that customer. The other
/// records stay as they are, byte for byte.
///
/// # Errors
/// `Corrupt` when it is damaged.
pub fn rewritten(
    key: u64,
    stored: &[u8],
    customer: CustomerId,
    fields: impl Fn(&CustomerRecord<'_>) -> CustomerChange<'static>,
) -> Result<Option<Vec<u8>>> {
    let page = CustomerPage::open(key, stored)?;
    let mut out = Vec::with_capacity(stored.len());
    let mut writer = CustomerPageWriter::begin(page.first, page.job, page.time, &mut out);
    let mut is_changed = false;
    let mut rest = page.raw.as_slice();
    for number in page.first..page.end() {
        let damaged = || Error::corrupt(format!("customer record {number} cannot be read"));
        let before = rest;
        let record = take_record(number, &mut rest).ok_or_else(damaged)?;
        if record.customer == customer {
            is_changed = true;
            let mut body = Vec::new();
            put_change(&fields(&record), &mut body);
            writer.push(customer, record.previous, &body);
            continue;
        }
        // Its fields are what is left behind length, customer and distance.
        let taken = before.len() - rest.len();
        let mut bytes = before.get(..taken).ok_or_else(damaged)?;
        for _ in 0..3 {
            take_varint(&mut bytes).ok_or_else(damaged)?;
        }
        writer.push(record.customer, record.previous, bytes);
    }
    writer.end();
    Ok(is_changed.then_some(out))
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
            birthday: Date::from_days(-400).map(Birthday::new),
            gender: Some(Gender::Female),
            tier: Some("gold"),
            ltv: Some(-12_345_678),
            orders: Some(7),
            created_at: Timestamp::from_millis(1_600_000_000_000),
            merge: Some(Box::new(Merge {
                into: Some(CustomerId(3)),
                absorbed: vec![CustomerId(7), CustomerId(800)],
                former: vec![Former::Identifier(IdentifierKind::Mobile, "+37061234567"), Former::Name("Ana K.")],
            })),
            ..CustomerChange::default()
        }
    }

    #[test]
    fn a_customer_is_taken_out_of_a_page_and_the_others_stay() {
        let mut page = Vec::new();
        let mut writer = CustomerPageWriter::begin(500, JobId(2), Timestamp::from_millis(5).unwrap(), &mut page);
        let mut fields = Vec::new();
        put_change(&change(), &mut fields);
        for (customer, previous) in [(9, None), (4, Some(77)), (9, Some(500))] {
            writer.push(CustomerId(customer), previous, &fields);
        }
        writer.end();
        let erased = rewritten(500, &page, CustomerId(9), |record| record.change.erased()).unwrap().unwrap();
        let (before, after) = (CustomerPage::open(500, &page).unwrap(), CustomerPage::open(500, &erased).unwrap());
        assert_eq!((after.end(), after.job, after.time), (503, before.job, before.time));
        for (before, after) in before.records().zip(after.records()) {
            let (before, after) = (before.unwrap(), after.unwrap());
            assert_eq!(
                (after.number, after.customer, after.previous),
                (before.number, before.customer, before.previous)
            );
            assert_eq!(after.change.is_nameless(), after.customer == CustomerId(9));
            assert_eq!(after.change == before.change, after.customer == CustomerId(4));
        }
        assert!(memchr::memmem::find(&erased, b"ana@example.com").is_some());
        let other = rewritten(500, &page, CustomerId(4), |_| CustomerChange::default()).unwrap().unwrap();
        let all = rewritten(500, &other, CustomerId(9), |_| CustomerChange::default()).unwrap().unwrap();
        assert!(memchr::memmem::find(&all, b"ana@example.com").is_none());
        assert!(rewritten(500, &page, CustomerId(5), |record| record.change.erased()).unwrap().is_none());
    }

    #[test]
    fn records_read_back() {
        let mut page = Vec::new();
        let mut writer = CustomerPageWriter::begin(500, JobId(2), Timestamp::from_millis(5).unwrap(), &mut page);
        let mut fields = Vec::new();
        put_change(&change(), &mut fields);
        writer.push(CustomerId(9), None, &fields);
        fields.clear();
        put_change(&CustomerChange { consent: Some("2026-01-01, 17"), ..CustomerChange::default() }, &mut fields);
        writer.push(CustomerId(4), Some(77), &fields);
        assert_eq!(writer.end(), 500);

        let opened = CustomerPage::open(500, &page).unwrap();
        assert_eq!((count_of(&page), count_of(b"short")), (opened.count() as u64, 0));
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
    fn a_varints_length_is_known_before_it_is_written() {
        for number in (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let mut out = Vec::new();
            put_varint(number, &mut out);
            assert_eq!(varint_length(number), out.len(), "{number}");
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

    #[test]
    fn a_page_whose_records_have_no_numbers_is_refused() {
        for (first, is_good) in [(u64::MAX - 1, true), (u64::MAX, false)] {
            let mut body = first.to_le_bytes().to_vec();
            body.extend_from_slice(&[0; 12]);
            body.extend_from_slice(&1_u16.to_le_bytes());
            body.extend_from_slice(&[0; 4]);
            assert_eq!(
                CustomerPage::open(first, &value::sealed(Kind::CustomerPage, &body)).is_ok(),
                is_good,
                "{first}"
            );
        }
    }
}
