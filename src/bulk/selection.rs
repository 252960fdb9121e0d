//! Whom a job means: a bit for each customer, and for some operations an amount for each of them.
//!
//! It is stored with the job before the first effect, in parts of about a million customers (`store::jobs`): a credit
//! cannot move anybody into it or out of it, and a resume goes by it.

use std::ops::Range;

use crate::{
    domain::id::CustomerId,
    error::{Error, Result},
    store::{
        column::{self, Column},
        customer_page::{put_varint, take_varint},
    },
};

/// Customers of a stored part: its bits are 128 KiB.
pub const PART_CUSTOMERS: u32 = 1 << 20;
const PART_WORDS: usize = PART_CUSTOMERS as usize / 64;
const COMPRESSION: i32 = 1;

/// Whom a job means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    words: Vec<u64>,
}

/// Whom a job means, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Whom.
    pub selection: Selection,
    /// The amount of each, in ascending order of customers; none where it is the same for all.
    pub amounts: Option<Vec<i64>>,
}

impl Selection {
    /// The customers whose bits are set.
    pub fn of_words(words: Vec<u64>) -> Selection {
        Selection { words }
    }

    /// 64 customers from 64 times `at` on.
    #[inline]
    pub fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// Adds a customer; whether that is new.
    pub fn add(&mut self, customer: CustomerId) -> bool {
        let at = customer.index() / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1 + at / 2, 0);
        }
        let bit = 1 << (customer.0 % 64);
        let is_new = self.words[at] & bit == 0;
        self.words[at] |= bit;
        is_new
    }

    /// How many customers it has.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Its customers of a range, ascending.
    pub fn of_range(&self, range: Range<u32>) -> impl Iterator<Item = CustomerId> + '_ {
        let words = range.start as usize / 64..(range.end as usize).div_ceil(64);
        let (start, end) = (range.start, range.end);
        words
            .flat_map(move |at| Bits(self.word(at)).map(move |bit| (at * 64) as u32 + bit))
            .filter_map(move |customer| (start <= customer && customer < end).then_some(CustomerId(customer)))
    }

    /// The first of its customers at or behind one.
    pub fn next_from(&self, customer: u32) -> Option<CustomerId> {
        let first = customer as usize / 64;
        let masked = |at: usize| {
            let word = self.word(at);
            if at == first { word & (u64::MAX << (customer % 64)) } else { word }
        };
        let at = (first..self.words.len()).find(|&at| masked(at) != 0)?;
        Some(CustomerId((at * 64) as u32 + masked(at).trailing_zeros()))
    }

    /// How many of its customers are before one.
    pub fn count_before(&self, customer: u32) -> usize {
        let whole = customer as usize / 64;
        let before: usize = self.words.iter().take(whole).map(|word| word.count_ones() as usize).sum();
        before + (self.word(whole) & !(u64::MAX << (customer % 64))).count_ones() as usize
    }
}

/// The places of the bits that are set.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        (self.0 != 0).then(|| {
            let bit = self.0.trailing_zeros();
            self.0 &= self.0 - 1;
            bit
        })
    }
}

impl Selected {
    /// The bodies of the parts in which it is stored; those without customers are empty.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn parts(&self) -> Result<Vec<Vec<u8>>> {
        let mut first = 0;
        let mut parts = Vec::new();
        for words in self.selection.words.chunks(PART_WORDS) {
            let count: usize = words.iter().map(|word| word.count_ones() as usize).sum();
            let mut body = Vec::new();
            put_varint(words.len() as u64, &mut body);
            put_varint(count as u64, &mut body);
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let frame = zstd::bulk::compress(&bytes, COMPRESSION)
                .map_err(|error| Error::internal(format!("a selection cannot be compressed: {error}")))?;
            put_varint(frame.len() as u64, &mut body);
            body.extend_from_slice(&frame);
            body.push(u8::from(self.amounts.is_some()));
            if let Some(amounts) = &self.amounts {
                let amounts = &amounts[first..first + count];
                column::pack(count, |at| amounts[at], &mut body);
                column::pad(&mut body);
            }
            first += count;
            parts.push(body);
        }
        Ok(parts)
    }

    /// Adds what a part's body says.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub fn add_part(&mut self, mut body: &[u8]) -> Result<()> {
        let damaged = || Error::corrupt("a job's selection cannot be read");
        let mut length = || take_varint(&mut body).and_then(|length| usize::try_from(length).ok()).ok_or_else(damaged);
        let (words, count, frame) = (length()?, length()?, length()?);
        if words > PART_WORDS || frame > body.len() {
            return Err(damaged());
        }
        let (frame, rest) = body.split_at(frame);
        let bytes = zstd::bulk::decompress(frame, words * 8).map_err(|_| damaged())?;
        let found: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if bytes.len() != words * 8 || found.iter().map(|word| word.count_ones() as usize).sum::<usize>() != count {
            return Err(damaged());
        }
        self.selection.words.extend_from_slice(&found);
        let (&has_amounts, mut rest) = rest.split_first().ok_or_else(damaged)?;
        if has_amounts != 0 {
            let amounts = Column::take(&mut rest, count)?;
            self.amounts.get_or_insert_default().extend((0..count).map(|at| amounts.get(at)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_selection_reads_back_and_answers_as_a_set_does(
            customers in prop::collection::btree_set(prop_oneof![0..200_u32, 1_000_000..3_000_000_u32], 0..60),
            has_amounts: bool,
            from in 0..3_000_001_u32,
        ) {
            let mut selection = Selection::default();
            for &customer in &customers {
                prop_assert!(selection.add(CustomerId(customer)));
                prop_assert!(!selection.add(CustomerId(customer)));
            }
            let amounts = has_amounts.then(|| customers.iter().map(|&customer| i64::from(customer) * 3).collect());
            let selected = Selected { selection, amounts };
            let mut read = Selected::default();
            for part in selected.parts().unwrap() {
                read.add_part(&part).unwrap();
                for at in 0..part.len().min(40) {
                    let mut damaged = part.clone();
                    damaged[at] ^= 0x41;
                    let _ = Selected::default().add_part(&damaged);
                    let _ = Selected::default().add_part(&part[..at]);
                }
            }
            prop_assert_eq!(read.amounts.unwrap_or_default(), selected.amounts.clone().unwrap_or_default());
            let selection = read.selection;
            prop_assert_eq!(selection.count(), customers.len() as u64);
            prop_assert_eq!(selection.next_from(from), customers.range(from..).next().map(|&c| CustomerId(c)));
            prop_assert_eq!(selection.count_before(from), customers.range(..from).count());
            let ranged: Vec<u32> = selection.of_range(from / 2..from).map(|customer| customer.0).collect();
            prop_assert_eq!(ranged, customers.range(from / 2..from).copied().collect::<Vec<_>>());
        }
    }
}
