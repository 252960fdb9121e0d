//! A page of a filter column: one attribute of 4096 customers, packed, with its minimum and maximum.
//!
//! Body: count (2 bytes), whether a value is missing (1), minimum and maximum of those present (8 + 8), values as a
//! packed column: the distance from the minimum, plus one where values are missing, so that 0 means "missing".

use super::{
    column::{self, Column},
    value::{self, Kind},
};
use crate::error::{Error, Result};

/// Customers of a page.
pub const ROWS: usize = 4096;
/// The value that stands for "missing" while a column is in memory; no attribute has it.
pub const MISSING: i64 = i64::MIN;

/// An attribute that bulk filters scan. The byte is stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Attribute {
    /// Balance in a program.
    Balance = 1,
    /// Lifetime value.
    Ltv = 2,
    /// Number of orders.
    Orders = 3,
    /// Tier, by its number in `CachePositions::tiers`.
    Tier = 4,
    /// Creation, milliseconds since 1970.
    CreatedAt = 5,
}

/// Appends the page of these values to `out`.
pub fn encode(values: &[i64], out: &mut Vec<u8>) {
    debug_assert!(values.len() <= ROWS);
    let present = || values.iter().copied().filter(|&value| value != MISSING);
    let has_missing = present().count() < values.len();
    let minimum = present().min().unwrap_or(0);
    let maximum = present().max().unwrap_or(0);
    let start = value::begin(Kind::FilterPage, out);
    out.extend_from_slice(&(values.len() as u16).to_le_bytes());
    out.push(u8::from(has_missing));
    out.extend_from_slice(&minimum.to_le_bytes());
    out.extend_from_slice(&maximum.to_le_bytes());
    if has_missing {
        let place = |value: i64| if value == MISSING { 0 } else { value.wrapping_sub(minimum).wrapping_add(1) };
        column::pack(values.len(), |at| place(values[at]), out);
    } else {
        column::pack(values.len(), |at| values[at], out);
    }
    column::pad(out);
    value::seal(start, out);
}

/// A stored page.
pub struct FilterPage<'a> {
    /// The smallest value present.
    pub minimum: i64,
    /// The largest value present.
    pub maximum: i64,
    has_missing: bool,
    values: Column<'a>,
}

impl<'a> FilterPage<'a> {
    /// Opens a stored page; `page` names it in errors.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    pub fn open(page: u32, stored: &'a [u8]) -> Result<FilterPage<'a>> {
        let damaged = || Error::corrupt(format!("filter page {page} cannot be read"));
        let body = value::open(Kind::FilterPage, stored, &format_args!("filter page {page}"))?;
        let (header, mut rest) = body.split_first_chunk::<19>().ok_or_else(damaged)?;
        let eight = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            i64::from_le_bytes(bytes)
        };
        let count = usize::from(u16::from_le_bytes([header[0], header[1]]));
        let values = Column::take(&mut rest, count)?;
        Ok(FilterPage { minimum: eight(3), maximum: eight(11), has_missing: header[2] != 0, values })
    }

    /// How many customers it has.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The value of the customer at this place, `MISSING` if there is none.
    #[inline]
    pub fn get(&self, at: usize) -> i64 {
        let value = self.values.get(at);
        match (self.has_missing, value) {
            (false, value) => value,
            (true, 0) => MISSING,
            (true, place) => self.minimum.wrapping_add(place - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_read_back_with_their_bounds(
            values in prop::collection::vec(prop_oneof![Just(MISSING), 0..i64::MAX / 2, -5..5_i64], 0..50)
        ) {
            let mut page = Vec::new();
            encode(&values, &mut page);
            let opened = FilterPage::open(0, &page).unwrap();
            let read: Vec<i64> = (0..opened.count()).map(|at| opened.get(at)).collect();
            prop_assert_eq!(&read, &values);
            for &value in values.iter().filter(|&&value| value != MISSING) {
                prop_assert!((opened.minimum..=opened.maximum).contains(&value));
            }
        }
    }

    #[test]
    fn balances_of_the_whole_range_read_back() {
        let values = [i64::MAX, i64::MIN + 1, 0];
        let mut page = Vec::new();
        encode(&values, &mut page);
        let opened = FilterPage::open(0, &page).unwrap();
        assert_eq!([opened.get(0), opened.get(1), opened.get(2)], values);
    }
}
