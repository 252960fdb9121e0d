//! Packed columns: a run of numbers as their distance from the smallest, in as few whole bytes as the largest needs.
//!
//! Whole bytes and not bits: packing costs about 1 ns a value either way, but bytes unpack with one unaligned load.
//! Ledger entries take 12 to 16 bytes so, against 40 in memory.

use crate::error::{Error, Result};

/// Bytes of a column's head: width, base.
const HEAD_BYTES: usize = 9;
/// Bytes behind the last column of a value, so that every unpacking load of 8 bytes stays inside it.
pub const PAD_BYTES: usize = 8;

/// Appends the column `value(0) … value(count - 1)` to `out`. Returns the smallest and largest value (0, 0 of none).
#[inline]
pub fn pack(count: usize, value: impl Fn(usize) -> i64, out: &mut Vec<u8>) -> (i64, i64) {
    let (mut minimum, mut maximum) = if count == 0 { (0, 0) } else { (i64::MAX, i64::MIN) };
    for at in 0..count {
        let v = value(at);
        minimum = minimum.min(v);
        maximum = maximum.max(v);
    }
    let span = maximum.wrapping_sub(minimum).cast_unsigned();
    let width = (64 - span.leading_zeros() as usize).div_ceil(8);
    out.push(width as u8);
    out.extend_from_slice(&minimum.to_le_bytes());
    match width {
        0 => {}
        1 => out.extend((0..count).map(|at| value(at).wrapping_sub(minimum) as u8)),
        _ => {
            let start = out.len();
            out.resize(start + count * width + 8, 0);
            let mut at_byte = start;
            for at in 0..count {
                let distance = value(at).wrapping_sub(minimum);
                out[at_byte..at_byte + 8].copy_from_slice(&distance.to_le_bytes());
                at_byte += width;
            }
            out.truncate(start + count * width);
        }
    }
    (minimum, maximum)
}

/// A packed column inside a value's body. The body must go on for `PAD_BYTES` behind the column.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    base: i64,
    width: usize,
    mask: u64,
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Column<'a> {
    /// Takes the column of `count` values from the front of `body`.
    ///
    /// # Errors
    /// `Corrupt` when the body is too short.
    pub fn take(body: &mut &'a [u8], count: usize) -> Result<Column<'a>> {
        let short = || Error::corrupt("a packed column is cut short");
        let width = usize::from(*body.first().ok_or_else(short)?);
        let base = body.get(1..HEAD_BYTES).and_then(|bytes| bytes.try_into().ok()).ok_or_else(short)?;
        let bytes = &body[HEAD_BYTES..];
        let length = count.checked_mul(width).ok_or_else(short)?;
        if width > 8 || bytes.len() < length + PAD_BYTES {
            return Err(short());
        }
        *body = &bytes[length..];
        let mask = if width == 0 { 0 } else { u64::MAX >> (64 - 8 * width) };
        Ok(Column { base: i64::from_le_bytes(base), width, mask, count, bytes: &bytes[..length + PAD_BYTES] })
    }

    /// The value at this place.
    #[inline]
    pub fn get(&self, at: usize) -> i64 {
        debug_assert!(at < self.count);
        let start = at * self.width;
        // The slice holds 8 bytes more than the values, so this reads them; were it ever shorter, the value would be
        // the base, and the page's checksum and `verify` would tell.
        let raw = self.bytes.get(start..start + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        self.base.wrapping_add((raw & self.mask).cast_signed())
    }

    /// How far the value at this place is from the smallest.
    #[inline]
    pub fn distance(&self, at: usize) -> u64 {
        self.get(at).wrapping_sub(self.base).cast_unsigned()
    }

    /// How many different values it can tell apart; none: more than there are.
    pub fn values_max(&self) -> Option<u64> {
        (self.width < 8).then(|| 1 << (8 * self.width))
    }

    /// The smallest value, from which distances are kept.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Bytes of a distance, and the distances, little-endian.
    pub fn packed(&self) -> (usize, &'a [u8]) {
        (self.width, self.bytes)
    }

    /// Whether all its values are the same, as far as their width tells.
    pub fn is_constant(&self) -> bool {
        self.width == 0
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no value.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Ends a body whose last part is a column.
pub fn pad(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; PAD_BYTES]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_unpacks(values in prop::collection::vec(prop_oneof![any::<i64>(), -300..300_i64, Just(7_i64)], 0..70)) {
            let mut body = Vec::new();
            let (minimum, maximum) = pack(values.len(), |at| values[at], &mut body);
            pack(1, |_| 42, &mut body);
            pad(&mut body);
            let mut rest = body.as_slice();
            let column = Column::take(&mut rest, values.len()).unwrap();
            let unpacked: Vec<i64> = (0..values.len()).map(|at| column.get(at)).collect();
            prop_assert_eq!(&unpacked, &values);
            prop_assert_eq!(minimum, values.iter().copied().min().unwrap_or(0));
            prop_assert_eq!(maximum, values.iter().copied().max().unwrap_or(0));
            prop_assert_eq!(Column::take(&mut rest, 1).unwrap().get(0), 42);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0..40_usize) {
            if let Ok(column) = Column::take(&mut bytes.as_slice(), count) {
                for at in 0..count { column.get(at); }
            }
        }
    }
}
