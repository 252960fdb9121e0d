//! A page of the cache of lots: what remains of the dated, referenced and promised lots of up to 4,096 customers.
//!
//! Body: number of lots (4 bytes), then packed columns: the customer's place on the page, the credit's number, what
//! remains, the last day (as `ledger_page` stores it), when the points were earned, the state; then hashes of the references'
//! types, ids and promotions, for a column without any a byte and eight. Lots stand by customer and, of one customer, in the
//! order in which they are taken.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    column::{self, Column},
    family,
    filter_page::ROWS,
    key,
    state::scan_pages,
    tuning,
    value::{self, Kind},
    view::Readable,
};
use crate::{
    domain::{
        id::{CustomerId, ProgramId, Sequence},
        lot::{Lot, LotState, Lots, SortedLots},
        reference::Reference,
        time::{Date, Timestamp},
    },
    error::{Error, Result},
};

/// Pages that are unpacked together when all lots are loaded.
const STRETCH_PAGES: u32 = 16;
/// Columns of a page.
const COLUMNS: usize = 9;

/// Customers between the fetch of a lot and its use: each lies anywhere in memory.
const FETCH_CUSTOMERS: usize = 32;

/// Appends the page of these customers' lots; false, and nothing, if they have none.
///
/// A customer's lots lie where rows put them, so each costs a miss of the cache unless it is fetched ahead: then 10 million
/// take 0.2 s instead of 1.1.
pub fn encode(lots: &Lots, customers: Range<usize>, out: &mut Vec<u8>) -> bool {
    let first = customers.start;
    let mut list: Vec<(usize, Lot)> = Vec::with_capacity(customers.len());
    for customer in customers {
        let ahead = |by: usize| CustomerId((customer + by) as u32);
        if let Some(node) = lots.first_of(ahead(2 * FETCH_CUSTOMERS)) {
            tuning::prefetch_at(node);
        }
        if let Some(node) = lots.second_of(ahead(FETCH_CUSTOMERS)) {
            tuning::prefetch_at(node);
        }
        list.extend(lots.of(CustomerId(customer as u32)).map(|lot| (customer - first, lot)));
    }
    if list.is_empty() {
        return false;
    }
    let start = value::begin(Kind::Lots, out);
    out.extend_from_slice(&(list.len() as u32).to_le_bytes());
    let n = list.len();
    column::pack(n, |at| list[at].0 as i64, out);
    column::pack(n, |at| list[at].1.credit.0.cast_signed(), out);
    column::pack(n, |at| list[at].1.remaining, out);
    column::pack(n, |at| list[at].1.expires_on.map_or(0, |day| i64::from(day.ordinal())), out);
    column::pack(n, |at| list[at].1.credited_at.millis(), out);
    column::pack(n, |at| list[at].1.state as i64, out);
    column::pack(n, |at| list[at].1.reference.ref_type.cast_signed(), out);
    column::pack(n, |at| list[at].1.reference.ref_id.cast_signed(), out);
    column::pack(n, |at| list[at].1.reference.promotion_id.cast_signed(), out);
    column::pad(out);
    value::seal(start, out);
    true
}

/// A stored page, checked.
struct LotPage<'a> {
    page: u32,
    count: usize,
    columns: Vec<Column<'a>>,
}

impl<'a> LotPage<'a> {
    fn open(page: u32, stored: &'a [u8]) -> Result<LotPage<'a>> {
        let body = value::open(Kind::Lots, stored, &format_args!("lot page {page}"))?;
        let (count, mut rest) = body.split_first_chunk::<4>().ok_or_else(|| damaged(page))?;
        let count = u32::from_le_bytes(*count) as usize;
        let mut columns = Vec::with_capacity(COLUMNS);
        for _ in 0..COLUMNS {
            columns.push(Column::take(&mut rest, count)?);
        }
        // Each lot has another credit, so a few bytes cannot stand for billions of lots.
        if columns[1].values_max().is_some_and(|max| count as u64 > max) {
            return Err(damaged(page));
        }
        Ok(LotPage { page, count, columns })
    }

    /// The lots with their owners, who ascend.
    fn lots(&self) -> impl Iterator<Item = Result<(CustomerId, Lot)>> + '_ {
        let mut before = CustomerId(0);
        (0..self.count).map(move |at| {
            let (owner, lot) = self.lot(at).filter(|(owner, _)| *owner >= before).ok_or_else(|| damaged(self.page))?;
            before = owner;
            Ok((owner, lot))
        })
    }

    #[inline]
    fn lot(&self, at: usize) -> Option<(CustomerId, Lot)> {
        let columns = &self.columns;
        let owner = usize::try_from(columns[0].get(at)).ok().filter(|&place| place < ROWS)?;
        let expires_on = match columns[3].get(at) {
            0 => None,
            stored => Some(Date::from_ordinal(u32::try_from(stored).ok()?)?),
        };
        let lot = Lot {
            credit: Sequence(columns[1].get(at).cast_unsigned()),
            remaining: Some(columns[2].get(at)).filter(|&remaining| remaining > 0)?,
            expires_on,
            credited_at: Timestamp::from_millis(columns[4].get(at))?,
            state: match columns[5].get(at) {
                0 => LotState::Available,
                1 => LotState::Promised,
                _ => return None,
            },
            reference: Reference {
                ref_type: columns[6].get(at).cast_unsigned(),
                ref_id: columns[7].get(at).cast_unsigned(),
                promotion_id: columns[8].get(at).cast_unsigned(),
            },
        };
        Some((CustomerId((self.page as usize * ROWS + owner) as u32), lot))
    }
}

fn damaged(page: u32) -> Error {
    Error::corrupt(format!("lot page {page} cannot be read"))
}

/// The lots of a stored page, with their owners' numbers.
///
/// # Errors
/// `Corrupt` when it is damaged.
pub fn decode(page: u32, stored: &[u8]) -> Result<Vec<(CustomerId, Lot)>> {
    LotPage::open(page, stored)?.lots().collect()
}

/// Loads a program's lots as the cache knows them.
///
/// # Errors
/// `Corrupt` when a page is damaged, or there are not `expected` lots.
pub fn load(
    store: &impl Readable,
    generation: u32,
    program: ProgramId,
    customers: usize,
    expected: u64,
) -> Result<Lots> {
    let mut lots = Lots::default();
    if generation == 0 || expected == 0 {
        return Ok(lots);
    }
    lots.reserve(usize::try_from(expected).unwrap_or(0), customers, tuning::advise_huge_pages_at);
    // Pages are unpacked and counted side by side, a stretch of customers each; one thread links the lists, in their order. A
    // few stretches at a time: all of them unpacked would take twice the memory of the lots, touched for the first time.
    let pages = customers.div_ceil(ROWS) as u32;
    let stretches: Vec<u32> = (0..pages).step_by(STRETCH_PAGES as usize).collect();
    let mut parts: Vec<SortedLots> = Vec::new();
    parts.resize_with(rayon::current_num_threads() * 2, SortedLots::default);
    for group in stretches.chunks(parts.len()) {
        group.par_iter().zip(&mut parts).try_for_each(|(&from, part)| {
            let range = from..(from + STRETCH_PAGES).min(pages);
            scan_pages(store, family::LOTS, generation, 0, program, range, |page, stored| {
                let stored = LotPage::open(page, stored)?;
                part.reserve(stored.count);
                for lot in stored.lots() {
                    let (customer, lot) = lot?;
                    part.push(customer, lot);
                }
                Ok(())
            })
        })?;
        parts.iter_mut().for_each(|part| lots.append(part));
    }
    if lots.count() != expected {
        return Err(Error::corrupt(format!("the cache of lots holds {} of {expected}", lots.count())));
    }
    Ok(lots)
}

/// The lots of one customer as the cache knows them.
///
/// # Errors
/// `Corrupt` when the page is damaged.
pub fn of_customer(
    store: &impl Readable,
    generation: u32,
    program: ProgramId,
    customer: CustomerId,
) -> Result<Vec<Lot>> {
    let page = (customer.index() / ROWS) as u32;
    let key = key::cache_page(generation, 0, program, page);
    match store.stored(family::LOTS, &key)? {
        Some(stored) => {
            let all = decode(page, &stored)?.into_iter();
            Ok(all.filter(|(owner, _)| *owner == customer).map(|(_, lot)| lot).collect())
        }
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lots() -> Lots {
        let mut lots = Lots::default();
        for at in 0..300_i32 {
            let lot = Lot {
                credit: Sequence(at as u64 + 1),
                remaining: i64::from(at) * 7 + 1,
                expires_on: if at % 4 == 0 { None } else { Date::from_days(20_000 + at % 11) },
                credited_at: Timestamp::from_millis(i64::from(at % 5) * 1000).unwrap(),
                state: if at % 6 == 0 { LotState::Promised } else { LotState::Available },
                reference: Reference {
                    ref_id: u64::from(at % 5 == 0),
                    promotion_id: u64::from(at % 7 == 0),
                    ..Reference::NONE
                },
            };
            lots.insert(CustomerId((at * at % 40) as u32 + 4096), lot);
        }
        lots
    }

    #[test]
    fn a_page_reads_back() {
        let lots = lots();
        let mut page = Vec::new();
        assert!(encode(&lots, 4096..8192, &mut page));
        let read = decode(1, &page).unwrap();
        let expected: Vec<_> =
            (4096..8192).flat_map(|at| lots.of(CustomerId(at)).map(move |lot| (CustomerId(at), lot))).collect();
        assert_eq!(read, expected);
        assert!(!encode(&lots, 0..4096, &mut Vec::new()));
    }

    #[test]
    fn no_damage_goes_unnoticed_or_panics() {
        let mut page = Vec::new();
        encode(&lots(), 4096..8192, &mut page);
        for at in 0..page.len() {
            let mut damaged = page.clone();
            damaged[at] ^= 0x21;
            assert!(decode(1, &damaged).is_err(), "byte {at}");
            if (2..page.len() - 4).contains(&at) {
                damaged.truncate(page.len() - 4);
                value::seal(0, &mut damaged);
                let _ = decode(1, &damaged);
            }
        }
        // Columns of one value have no bytes, so nothing but the count says how many lots there are.
        for count in [ROWS as u32 + 1, u32::MAX] {
            let mut body = count.to_le_bytes().to_vec();
            for value in [1, 1, 1, 0, 0, 0, 0, 0, 0] {
                column::pack(1, |_| value, &mut body);
            }
            column::pad(&mut body);
            assert!(decode(1, &value::sealed(Kind::Lots, &body)).is_err(), "{count} lots");
        }
    }
}
