//! Stored pages of any bytes, with a good envelope around them: each is read or refused, and takes memory in proportion.

use tidemill::{
    bulk::selection::Selected,
    domain::{
        customer::CustomerChange,
        entry::EntryText,
        id::Sequence,
        identifier::IdentifierKind,
        job::{JobStart, WindowRecord},
        lot::{Lots, SortedLots},
        message::Message,
        program::Program,
    },
    error::ErrorKind,
    store::{
        caches::CachePositions,
        customer_page::{self, CustomerPage, put_change, read_change},
        filter_page::{self, FilterPage, MASK_WORDS, MISSING, Mask},
        identifiers::{IdentifierHash, IdentifierPage, IdentifierTable},
        jobs,
        key::LogKey,
        ledger_page::{self, LedgerPage},
        lot_page,
        settings::Settings,
        value::{self, Kind},
    },
};

/// The number of a page's first record, as its body has it: it must be the number under which it is found.
fn first_number(body: &[u8]) -> u64 {
    body.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn refused<T>(result: tidemill::error::Result<T>) -> Option<T> {
    result.map_err(|error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}")).ok()
}

fn ledger_page(body: &[u8]) {
    let stored = value::sealed(Kind::LedgerPage, body);
    let key = Sequence(first_number(body));
    let Some(page) = refused(LedgerPage::open(key, &stored)) else { return };
    assert_eq!(page.end().0 - key.0, page.count() as u64);
    let (mut start, mut taken) = (0, Vec::new());
    let mut all = 0;
    for at in 0..page.count() {
        let _ = (page.customer(at), page.credited_at(at), page.row_key(at), page.reversed(at));
        let _ = (page.refill(at), page.expires_before(at), page.is_referenced(at));
        for text in EntryText::ALL {
            let _ = page.text(at, text);
        }
        page.taken_from(&mut start, at, &mut taken);
        if at < 8 {
            assert_eq!(page.taken(at), taken);
        }
        all += taken.len();
        let Some(entry) = refused(page.entry(at)) else { continue };
        assert_eq!(entry.customer, page.customer(at));
        assert!(page.may_have_kind(|kind| kind == entry.kind));
        let lots = [page.lot_of(at, &entry), page.refill_of(at, &entry)];
        assert!(lots.iter().flatten().all(|lot| lot.remaining > 0));
    }
    assert!(all <= stored.len().max(page.count()), "more lots than the page has room for");
    let _ = page.has_details();
    let blot = |text: &str, is_own: bool| is_own.then(|| "x".repeat(text.len()));
    let changed = ledger_page::with_texts(key, &stored, |customer| customer.0 % 2 == 0, blot).expect("it was opened");
    if let Some(changed) = changed {
        let changed = LedgerPage::open(key, &changed).expect("a page stays one").count();
        assert_eq!(changed, page.count());
    }
}

fn change(bytes: &[u8]) {
    let Some(change) = read_change(bytes) else { return };
    let mut written = Vec::new();
    put_change(&change, &mut written);
    assert_eq!(read_change(&written), Some(change));
}

fn customer_page(body: &[u8]) {
    let stored = value::sealed(Kind::CustomerPage, body);
    let key = first_number(body);
    let Some(page) = refused(CustomerPage::open(key, &stored)) else { return };
    let mut some = None;
    for record in page.records() {
        let Some(record) = refused(record) else { return };
        assert!(record.previous.is_none_or(|previous| previous < record.number));
        some = Some(record.customer);
    }
    let Some(customer) = some else { return };
    // A page may be longer than one that is written now; that it is not written anew is no matter then.
    let Some(rewritten) = refused(customer_page::rewritten(key, &stored, customer, |_| CustomerChange::default()))
    else {
        return;
    };
    let rewritten = rewritten.expect("it has a record of this customer");
    let again = CustomerPage::open(key, &rewritten).expect("it was just written");
    assert_eq!(again.count(), page.count());
    for (before, after) in page.records().zip(again.records()) {
        let (before, after) = (before.expect("it was read"), after.expect("it was written"));
        assert_eq!((before.customer, before.previous), (after.customer, after.previous));
        assert!(before.change == after.change || after.customer == customer);
    }
}

fn lot_page(number: u32, body: &[u8]) {
    let stored = value::sealed(Kind::Lots, body);
    let Some(found) = refused(lot_page::decode(number, &stored)) else { return };
    let mut lots = Lots::default();
    let count = found.len() as u64;
    // The table of lots has a place for each customer before the last.
    if number < 4 {
        let mut sorted = SortedLots::default();
        found.into_iter().for_each(|(customer, lot)| sorted.push(customer, lot));
        lots.append(&mut sorted);
        assert_eq!(lots.count(), count);
        let range = number as usize * filter_page::ROWS..(number as usize + 1) * filter_page::ROWS;
        let mut again = Vec::new();
        assert_eq!(lot_page::encode(&lots, range, &mut again), count > 0);
    }
}

fn filter_page(number: u32, body: &[u8]) {
    let stored = value::sealed(Kind::FilterPage, body);
    let Some(page) = refused(FilterPage::open(number, &stored)) else { return };
    let values: Vec<i64> = (0..page.count()).map(|at| page.get(at)).collect();
    let full: Mask = [u64::MAX; MASK_WORDS];
    let mut kept = full;
    page.keep_within(page.minimum, page.maximum, &mut kept);
    let _ = page.overlap(page.maximum, page.minimum);
    kept = full;
    page.keep_among(&[true, false, true], &mut kept);
    let trusted = FilterPage::trusted(number, &stored).expect("it was opened");
    assert_eq!((trusted.minimum, trusted.maximum, trusted.count()), (page.minimum, page.maximum, page.count()));
    if values.len() <= filter_page::ROWS && values.iter().all(|&value| value != MISSING) {
        let mut again = Vec::new();
        filter_page::encode(&values, &mut again);
        let again = FilterPage::open(number, &again).expect("it was just written");
        assert!((0..values.len()).all(|at| again.get(at) == values[at]));
    }
}

fn identifier_page(number: u32, body: &[u8]) {
    let stored = value::sealed(Kind::IdentifierPage, body);
    let Some(page) = refused(IdentifierPage::open(number, &stored)) else { return };
    let hash = IdentifierHash::of(1, IdentifierKind::Email, b"ana@example.com");
    if page.get(hash).is_some() {
        let without = page.without(hash).expect("it is here");
        assert!(without.is_empty() || IdentifierPage::open(number, &without).is_ok());
    }
    let number = number % 4096;
    let mut table = IdentifierTable::default();
    let loaded = table.fill_parallel(&[IdentifierKind::Email], |_, pages, part| {
        if pages.contains(&number) { part.load_page(number, &stored) } else { Ok(()) }
    });
    if refused(loaded).is_some() {
        let _ = table.get(hash);
        assert_eq!(table.entries().count(), table.len());
    }
}

fn selection(body: &[u8]) {
    let mut selected = Selected::default();
    if refused(selected.add_part(body)).is_none() {
        return;
    }
    let count = selected.selection.count();
    assert!(selected.amounts.as_ref().is_none_or(|amounts| amounts.len() as u64 == count));
    let mut again = Selected::default();
    for part in selected.parts().expect("it can be compressed") {
        again.add_part(&part).expect("it was just written");
    }
    assert_eq!(again.selection.count(), count);
}

/// Values that are JSON, which are written as they were read.
fn json(body: &[u8]) {
    fn both<T: serde::Serialize + serde::de::DeserializeOwned>(body: &[u8]) {
        let Ok(found) = serde_json::from_slice::<T>(body) else { return };
        let written = serde_json::to_vec(&found).expect("what was read can be written");
        let again: T = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(serde_json::to_vec(&again).expect("the same"), written);
    }
    both::<JobStart>(body);
    both::<WindowRecord>(body);
    both::<Message>(body);
    both::<Settings>(body);
    both::<CachePositions>(body);
    both::<Vec<Program>>(body);
}

fn envelope(bytes: &[u8]) {
    for kind in [Kind::LedgerPage, Kind::CustomerPage, Kind::Meta] {
        if let Some(body) = refused(value::open(kind, bytes, &"a value")) {
            assert_eq!(value::sealed(kind, body), bytes);
            assert_eq!(value::unchecked(kind, bytes), Some(body));
        }
        let _ = value::unchecked(kind, bytes);
    }
    // Three bytes can be any; that the checksum is right too would be a rare chance.
    let again = value::sealed_again(bytes.to_vec());
    if bytes.len() >= 6 && again != bytes {
        assert!(value::open(Kind::Meta, bytes, &"a value").is_err());
    }
    if let Some(key) = LogKey::parse(bytes) {
        assert_eq!(key.bytes(), bytes);
    }
}

pub fn check(input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else { return };
    let number = u32::from(choice / 16);
    match choice % 16 {
        0..=2 => ledger_page(body),
        3 | 4 => customer_page(body),
        5 => change(body),
        6 => lot_page(number, body),
        7 => filter_page(number, body),
        8 => identifier_page(number * 256, body),
        9 => selection(body),
        10 => json(body),
        11 => {
            let _ = refused(jobs::each_rejected(body, |row| {
                let mut written = Vec::new();
                let jobs::RejectedRow { line, rejection, is_split, column, message, raw } = &row;
                jobs::RejectedRow::put(*line, *rejection, *is_split, column, message, raw, &mut written);
                let mut again = Vec::new();
                jobs::each_rejected(&written, |row| {
                    again.push(row);
                    Ok(())
                })?;
                assert_eq!(again, [row]);
                Ok(())
            }));
        }
        12 | 13 => inner(body, number),
        _ => envelope(body),
    }
}

/// Decoders that only the store calls.
#[cfg(fuzzing)]
fn inner(body: &[u8], number: u32) {
    use tidemill::store::fuzzed;
    match number % 4 {
        0 => refused(fuzzed::touched(body)),
        1 => refused(fuzzed::rejects(body)),
        2 => refused(fuzzed::row_keys(body)),
        _ => refused(fuzzed::two_columns(body)),
    };
}

#[cfg(not(fuzzing))]
fn inner(_: &[u8], _: u32) {}
