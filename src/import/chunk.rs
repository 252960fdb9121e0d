//! Cuts a stream of bytes into chunks that begin and end where a record does, so that each can be read alone.
//!
//! A chunk's borders follow from the bytes and the two sizes, never from how the reader hands them out, from threads
//! or from timing: a chunk is the most whole records that fit into `chunk_bytes_max`, and one record if even that does
//! not fit. The cutter is free to make a chunk smaller before a record that reaches over the border.
//!
//! Where a record ends is the rule of `csv.rs`. An unclosed quote makes the cutter look `row_bytes_max` bytes ahead
//! before it gives up on it, so it may hold that much beside the chunk. A record beyond that length is cut to
//! `row_bytes_max + 1` bytes, which is enough for the scan to call it too long, and the rest up to its newline is
//! dropped; no other byte of the input is.

use std::io::{self, Read};

use memchr::memchr2;

use crate::import::csv::{Outline, Walked, newline_length, outline, walk};
use crate::import::dialect::Dialect;

/// The bytes of a chunk: some 30,000 rows, a millisecond of work for a thread. Scanning a row costs the same from
/// 64 KiB to 1 MiB, so the size is free to be chosen for the stages behind it.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Whole records that lie together in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Consecutive from the cutter's first number.
    pub number: u64,
    /// Where the chunk begins in the source, in decompressed bytes.
    pub offset: u64,
    /// Where the next chunk begins. More than `offset` and the length of `bytes` only if a row too long was cut.
    pub end: u64,
    /// The records with their newlines.
    pub bytes: Vec<u8>,
    /// Whether nothing follows. An empty source has no chunk at all.
    pub ends_source: bool,
}

/// Cuts what a reader gives into chunks.
pub struct Cutter<R> {
    reader: R,
    dialect: Dialect,
    chunk_bytes_max: usize,
    row_bytes_max: usize,
    /// The number and the offset of the next chunk.
    number: u64,
    offset: u64,
    /// What was read from `offset` on.
    ahead: Vec<u8>,
    /// Whether the reader has ended.
    ended: bool,
}

/// Where the record ends that begins somewhere in the bytes ahead.
enum Place {
    /// This many bytes on, newline included.
    After(usize),
    /// Beyond the bytes that may be held.
    Overlong,
}

impl<R: Read> Cutter<R> {
    /// A cutter for a reader that stands at a record's boundary, `start_offset` bytes into the source.
    ///
    /// `chunk_bytes_max` ([`CHUNK_BYTES_MAX`]) is taken as at least 1 and at most `row_bytes_max`
    /// ([`ROW_BYTES_MAX`](crate::import::csv::ROW_BYTES_MAX)).
    pub fn new(
        reader: R,
        dialect: Dialect,
        chunk_bytes_max: usize,
        row_bytes_max: usize,
        start_offset: u64,
        start_number: u64,
    ) -> Cutter<R> {
        let row_bytes_max = row_bytes_max.clamp(1, u32::MAX as usize / 4);
        Cutter {
            reader,
            dialect,
            chunk_bytes_max: chunk_bytes_max.clamp(1, row_bytes_max),
            row_bytes_max,
            number: start_number,
            offset: start_offset,
            ahead: Vec::new(),
            ended: false,
        }
    }

    /// Returns the next chunk, or none after the last.
    ///
    /// # Errors
    ///
    /// What the reader returns; the cutter is of no further use then.
    #[expect(clippy::should_implement_trait, reason = "`Result<Option>` is what `?` wants, and nobody adapts chunks")]
    pub fn next(&mut self) -> io::Result<Option<Chunk>> {
        // One byte more than a chunk: it shows whether the source goes on, and whether an LF follows a last CR.
        self.read_ahead(self.chunk_bytes_max + 1)?;
        if self.ahead.is_empty() {
            return Ok(None);
        }
        if self.ended && self.ahead.len() <= self.chunk_bytes_max {
            let length = self.ahead.len();
            return self.take(length).map(Some);
        }
        let mut cut = 0;
        while cut < self.chunk_bytes_max.min(self.ahead.len()) {
            let (boundary, walked) = walk(&self.ahead[cut..self.chunk_bytes_max.min(self.ahead.len())], self.dialect);
            cut += boundary;
            if boundary > 0 && self.ahead[cut - 1] == b'\r' && self.ahead.get(cut) == Some(&b'\n') {
                cut += 1;
            }
            if cut > 0 && walked != Walked::Doubt {
                break;
            }
            // The next record is broken, or does not fit.
            match self.place(cut)? {
                Place::After(length) if cut == 0 || cut + length <= self.chunk_bytes_max => cut += length,
                Place::Overlong if cut == 0 => return self.take_overlong().map(Some),
                Place::After(_) | Place::Overlong => break,
            }
        }
        self.take(cut).map(Some)
    }

    /// Finds the end of the record that begins at `at`, reading as far as it needs.
    fn place(&mut self, at: usize) -> io::Result<Place> {
        loop {
            match outline(&self.ahead[at..], self.dialect, self.row_bytes_max, self.ended) {
                Outline::Ends { end, next, .. } if end <= self.row_bytes_max => return Ok(Place::After(next)),
                // Cut even if its newline was read by chance, so that a resumed job sees the same bytes.
                Outline::Ends { .. } | Outline::Overlong => return Ok(Place::Overlong),
                // Doubled, so that the search from the record's beginning stays linear.
                Outline::NeedsMore => {
                    let held = self.ahead.len() - at;
                    self.read_ahead(at + (2 * held).min(self.row_bytes_max + 2).max(held + 64))?;
                }
            }
        }
    }

    /// Reads until this many bytes are ahead or the reader ends.
    fn read_ahead(&mut self, length: usize) -> io::Result<()> {
        let missing = length.saturating_sub(self.ahead.len());
        if missing > 0 && !self.ended {
            self.ahead.reserve_exact(missing);
            self.reader.by_ref().take(missing as u64).read_to_end(&mut self.ahead)?;
            self.ended = self.ahead.len() < length;
        }
        Ok(())
    }

    /// Makes the first `length` bytes ahead a chunk.
    fn take(&mut self, length: usize) -> io::Result<Chunk> {
        let rest = self.ahead.len() - length;
        if rest == 0 {
            // Only to learn whether anything follows; before the bytes are taken, as it may fail.
            self.read_ahead(length + 1)?;
        }
        let bytes = if self.ahead.len() - length <= length {
            let mut next = Vec::with_capacity(self.chunk_bytes_max + 1);
            next.extend_from_slice(&self.ahead[length..]);
            self.ahead.truncate(length);
            std::mem::replace(&mut self.ahead, next)
        } else {
            let bytes = self.ahead[..length].to_vec();
            self.ahead.drain(..length);
            bytes
        };
        Ok(self.chunk(bytes, length as u64))
    }

    /// Makes the record ahead a chunk, cut after `row_bytes_max + 1` bytes and with its newline.
    fn take_overlong(&mut self) -> io::Result<Chunk> {
        let kept = self.row_bytes_max + 1;
        let mut dropped = 0;
        loop {
            let rest = &self.ahead[kept..];
            let at = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            dropped += at as u64;
            self.ahead.drain(kept..kept + at);
            // A CR that is the last byte so far may be half a newline.
            if self.ended || self.ahead[kept..].len() > 1 || self.ahead[kept..] == *b"\n" {
                break;
            }
            self.read_ahead(self.ahead.len() + DROP_BYTES)?;
        }
        let length = kept + newline_length(&self.ahead[kept..]);
        let mut chunk = self.take(length)?;
        chunk.end += dropped;
        self.offset = chunk.end;
        Ok(chunk)
    }

    fn chunk(&mut self, bytes: Vec<u8>, length: u64) -> Chunk {
        let chunk = Chunk {
            number: self.number,
            offset: self.offset,
            end: self.offset + length,
            bytes,
            ends_source: self.ended && self.ahead.is_empty(),
        };
        self.number += 1;
        self.offset = chunk.end;
        chunk
    }
}

/// The bytes read at once while the rest of a row too long is dropped.
const DROP_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
