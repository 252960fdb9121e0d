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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        FilterPage::of_body(page, value::open(Kind::FilterPage, stored, &format_args!("filter page {page}"))?)
    }

    fn of_body(page: u32, body: &'a [u8]) -> Result<FilterPage<'a>> {
        let damaged = || Error::corrupt(format!("filter page {page} cannot be read"));
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

    /// Opens a page whose checksum was looked at when it was taken into memory.
    ///
    /// # Errors
    /// `Corrupt` when it is cut short.
    pub fn trusted(page: u32, stored: &'a [u8]) -> Result<FilterPage<'a>> {
        let body = value::unchecked(Kind::FilterPage, stored);
        FilterPage::of_body(page, body.unwrap_or_default())
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
            (true, place) => self.minimum.wrapping_add(place.wrapping_sub(1)),
        }
    }
}

/// Words of a mask of a page's customers.
pub const MASK_WORDS: usize = ROWS / 64;

/// Which customers of a page are still meant, a bit each.
pub type Mask = [u64; MASK_WORDS];

/// Set bits of a word up to which its values are looked at one by one: below, most of 64 would be unpacked for nothing.
const SPARSE_BITS: u32 = 20;

/// What a page tells about a range without its values being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// No value of it is in the range.
    None,
    /// All its values are.
    All,
    /// Some may be.
    Some,
}

impl FilterPage<'_> {
    /// What its minimum and maximum tell about the range from `min` to `max`, both included.
    pub fn overlap(&self, min: i64, max: i64) -> Overlap {
        if self.values.is_empty() || max < self.minimum || self.maximum < min {
            Overlap::None
        } else if !self.has_missing && min <= self.minimum && self.maximum <= max {
            Overlap::All
        } else {
            Overlap::Some
        }
    }

    /// Leaves in `mask` only customers whose value is in the range from `min` to `max`, both included; a missing one is in
    /// none. Places behind the page's last customer are cleared. Returns how many values were looked at.
    pub fn keep_within(&self, min: i64, max: i64, mask: &mut Mask) -> u64 {
        // In stored distances: a subtraction and a comparison tell both ends, with unsigned numbers that wrap around.
        let (min, max) = (min.max(self.minimum), max.min(self.maximum));
        if min > max {
            mask.fill(0);
            return 0;
        }
        let shift = i64::from(self.has_missing);
        let least = min.wrapping_sub(self.minimum).wrapping_add(shift).cast_unsigned();
        let span = max.wrapping_sub(min).cast_unsigned();
        let base = self.values.base().wrapping_sub(if self.has_missing { 0 } else { self.minimum });
        // The column keeps distances from its own smallest value, which may be one that is missing.
        let least = least.wrapping_sub(base.cast_unsigned());
        self.keep(mask, |raw| raw.wrapping_sub(least) <= span)
    }

    /// Leaves in `mask` only customers whose value is one of a set of small numbers, given as a table.
    pub fn keep_among(&self, is_wanted: &[bool], mask: &mut Mask) -> u64 {
        let minimum = self.minimum;
        let (base, has_missing) = (self.values.base().cast_unsigned(), self.has_missing);
        self.keep(mask, |raw| {
            let stored = raw.wrapping_add(base).cast_signed();
            let value = match (has_missing, stored) {
                (false, value) => value,
                (true, 0) => return false,
                (true, place) => minimum.wrapping_add(place.wrapping_sub(1)),
            };
            usize::try_from(value).is_ok_and(|value| is_wanted.get(value).copied().unwrap_or(false))
        })
    }

    /// Leaves in `mask` only customers whose packed distance `holds`.
    #[inline]
    fn keep(&self, mask: &mut Mask, holds: impl Fn(u64) -> bool) -> u64 {
        let (width, bytes) = self.values.packed();
        match width {
            0 => self.keep_each(mask, |_| 0, holds),
            1 => self.keep_each(mask, |at| u64::from(bytes[at]), holds),
            2 => self.keep_each(mask, |at| u64::from(u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]])), holds),
            _ => self.keep_each(mask, |at| self.values.distance(at), holds),
        }
    }

    #[inline]
    fn keep_each(&self, mask: &mut Mask, raw: impl Fn(usize) -> u64, holds: impl Fn(u64) -> bool) -> u64 {
        let mut tested = 0;
        let count = self.values.len();
        for (number, word) in mask.iter_mut().enumerate() {
            let start = number * 64;
            if *word == 0 {
                continue;
            }
            if start + 64 <= count && word.count_ones() > SPARSE_BITS {
                // Without a branch, so that the compiler takes many values at once.
                let mut flags = [0_u8; 64];
                for (at, flag) in flags.iter_mut().enumerate() {
                    *flag = u8::from(holds(raw(start + at)));
                }
                *word &= bits_of(&flags);
                tested += 64;
                continue;
            }
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                let at = start + bit;
                if at >= count || !holds(raw(at)) {
                    *word &= !(1 << bit);
                }
                tested += 1;
            }
        }
        tested
    }
}

/// The lowest bits of 64 bytes, each 0 or 1, as one word.
#[inline]
fn bits_of(flags: &[u8; 64]) -> u64 {
    let mut word = 0;
    for (at, eight) in flags.chunks_exact(8).enumerate() {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(eight);
        // The product gathers the eight bits in its highest byte, each at its place.
        let gathered = u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= gathered << (8 * at);
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The scan of packed values beside one value after the other.
        #[test]
        fn masks_keep_what_each_value_alone_says(
            values in prop::collection::vec(prop_oneof![
                1 => Just(MISSING), 4 => 0..40_i64, 2 => -70_000..70_000_i64, 1 => any::<i64>()
            ], 0..300),
            spread in prop_oneof![Just(40_i64), Just(1000), Just(i64::MAX)],
            holes in 0_u64..4,
            (one, other) in (any::<i64>(), any::<i64>()),
        ) {
            let values: Vec<i64> =
                values.into_iter().map(|v| if v == MISSING { v } else { v.wrapping_rem(spread) }).collect();
            let mut page = Vec::new();
            encode(&values, &mut page);
            let opened = FilterPage::open(0, &page).unwrap();
            let (one, other) = (one.wrapping_rem(spread), other.wrapping_rem(spread));
            for (min, max) in [(one.min(other), one.max(other)), (0, 20), (i64::MIN + 1, i64::MAX), (1, 0)] {
                let mut mask = [u64::MAX; MASK_WORDS];
                for at in 0..ROWS {
                    if holes > 0 && at % (holes as usize * 3) == 0 {
                        mask[at / 64] &= !(1 << (at % 64));
                    }
                }
                let before = mask;
                opened.keep_within(min, max, &mut mask);
                let among: Vec<bool> = (0..60).map(|value| (min..=max).contains(&value)).collect();
                let mut chosen = before;
                opened.keep_among(&among, &mut chosen);
                let overlap = opened.overlap(min, max);
                for at in 0..ROWS {
                    let was = before[at / 64] >> (at % 64) & 1 == 1;
                    let value = values.get(at).copied().filter(|&value| value != MISSING);
                    let is_in = value.is_some_and(|value| min <= value && value <= max);
                    prop_assert_eq!(mask[at / 64] >> (at % 64) & 1 == 1, was && is_in, "{} {}..{}", at, min, max);
                    let is_chosen = is_in && value.is_some_and(|value| (0..60).contains(&value));
                    prop_assert_eq!(chosen[at / 64] >> (at % 64) & 1 == 1, was && is_chosen, "{} among", at);
                    prop_assert!(!(is_in && overlap == Overlap::None));
                    prop_assert!(at >= values.len() || is_in || overlap != Overlap::All);
                }
            }
        }
    }

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
        // The third is as far from the smallest as half of all numbers; with one missing, places are one more than that.
        for values in [vec![i64::MAX, i64::MIN + 1, 0], vec![i64::MAX, i64::MIN + 1, 0, MISSING], vec![MISSING; 3]] {
            let mut page = Vec::new();
            encode(&values, &mut page);
            let opened = FilterPage::open(0, &page).unwrap();
            assert_eq!((0..values.len()).map(|at| opened.get(at)).collect::<Vec<_>>(), values);
            let mut mask: Mask = [u64::MAX; MASK_WORDS];
            opened.keep_among(&[true], &mut mask);
            assert_eq!(mask[0], if values.contains(&0) { 1 << 2 } else { 0 });
        }
    }
}
