//! Cuts a stream of bytes into chunks that begin and end where a record does, so that each can be read alone.
//!
//! A chunk's borders follow from the bytes and the two sizes, never from how the reader hands them out, from threads
//! or from timing: a chunk is the most whole records that fit into `chunk_bytes_max`, and one record if even that does
//! not fit. The cutter is free to make a chunk smaller before a record that reaches over the border.
//!
//! Where a record ends is the rule of `csv.rs`. An unclosed quote makes the cutter look `row_bytes_max` bytes ahead
//! before it gives up on it, so it may hold that much beside the chunk. A record beyond that length is cut to
//! `row_bytes_max + 1` bytes, which is enough for the scan to call it too long, and the rest up to its newline is
//! dropped; no other byte of the input is. If a quoted field of it is closed properly further on, what it holds is dropped up
//! to there, however long: lines of a text are not rows. To know that, a second reader looks ahead to the next quote of the
//! file, once for each stretch without one.
//!
//! A chunk has no more than `CHUNK_LINES_MAX` lines, so that a file of very short rows, each of which costs the stages more
//! than its bytes, does not take more memory than another.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use crate::import::csv::{Outline, RecordProblem, Records, Tail, Walked, newline_length, newlines_in, outline, walk};
use crate::import::dialect::Dialect;

/// The bytes of a chunk: some 30,000 rows, a millisecond of work for a thread. Scanning a row costs the same from
/// 64 KiB to 1 MiB, so the size is free to be chosen for the stages behind it.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The lines of a chunk: a row on its way takes about 200 bytes besides its own, so at most 13 MB a chunk.
const CHUNK_LINES_MAX: usize = 1 << 16;

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
    /// Of a record too long, whose beginning the chunk is: the physical lines that were dropped with its rest.
    pub lines_dropped: Option<u32>,
}

impl Chunk {
    /// Adds to the records of the chunk's bytes what only the cutter knows.
    pub fn settle(&self, records: &mut Records) {
        if let Some(lines) = self.lines_dropped {
            records.lines = records.lines.saturating_add(lines);
            for record in &mut records.records {
                (record.problem, record.fields) = (Some(RecordProblem::RowTooLong), 0);
            }
        }
    }
}

/// Opens the source at an offset, to look ahead.
pub type LookAhead = Box<dyn FnMut(u64) -> io::Result<Box<dyn Read>> + Send>;

/// How the cutter finds out what lies beyond the bytes that it may hold.
pub enum Beyond {
    /// It does not: a quote that is open so long is none.
    Unseen,
    /// The source can be read only once: a quote that is open so long is one, and takes with it all up to the next.
    Once,
    /// By a second reader.
    Reader(LookAhead),
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
    beyond: Beyond,
}

/// Where the record ends that begins somewhere in the bytes ahead.
enum Place {
    /// This many bytes on, newline included.
    After(usize),
    /// Beyond the bytes that may be held. A quote there is closed.
    Overlong(Tail),
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
            beyond: Beyond::Unseen,
        }
    }

    /// Lets it look beyond the bytes that it may hold.
    pub fn seeing(self, beyond: Beyond) -> Cutter<R> {
        Cutter { beyond, ..self }
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
        let limit = self.chunk_limit();
        if self.ended && self.ahead.len() <= limit {
            let length = self.ahead.len();
            return self.take(length).map(Some);
        }
        let mut cut = 0;
        while cut < limit.min(self.ahead.len()) {
            let (boundary, walked) = walk(&self.ahead[cut..limit.min(self.ahead.len())], self.dialect);
            cut += boundary;
            if boundary > 0 && self.ahead[cut - 1] == b'\r' && self.ahead.get(cut) == Some(&b'\n') {
                cut += 1;
            }
            if cut > 0 && walked != Walked::Doubt {
                break;
            }
            // The next record is broken, or does not fit.
            match self.place(cut)? {
                Place::After(length) if cut == 0 || cut + length <= limit => cut += length,
                Place::Overlong(tail) if cut == 0 => return self.take_overlong(tail).map(Some),
                Place::After(_) | Place::Overlong(_) => break,
            }
        }
        self.take(cut).map(Some)
    }

    /// The bytes of the next chunk at most, by both limits.
    fn chunk_limit(&self) -> usize {
        let window = &self.ahead[..self.ahead.len().min(self.chunk_bytes_max)];
        let newline = if memchr(b'\n', window).is_some() { b'\n' } else { b'\r' };
        // Rows of 16 bytes and more cannot be too many for a chunk of 1 MiB, and most files have no shorter ones.
        if window.len() <= CHUNK_LINES_MAX || memchr_iter(newline, window).count() <= CHUNK_LINES_MAX {
            return self.chunk_bytes_max;
        }
        memchr_iter(newline, window).nth(CHUNK_LINES_MAX - 1).map_or(self.chunk_bytes_max, |at| at + 1)
    }

    /// Whether the field that a quote at an offset of the source opens is closed properly, however far away.
    fn closes(&mut self, offset: u64) -> io::Result<bool> {
        let quote = self.dialect.quote;
        let mut reader = match &mut self.beyond {
            Beyond::Unseen => return Ok(false),
            Beyond::Once => return Ok(true),
            Beyond::Reader(open) => open(offset + 1)?,
        };
        let mut piece = vec![0; DROP_BYTES];
        // Whether the byte before was a quote that may be half of a doubled one.
        let mut is_half = false;
        loop {
            let count = match reader.read(&mut piece) {
                // The end closes it as a newline does.
                Ok(0) => return Ok(is_half),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut rest = &piece[..count];
            while let Some(&first) = rest.first() {
                if is_half {
                    if first != quote {
                        return Ok(first == self.dialect.delimiter || matches!(first, b'\n' | b'\r'));
                    }
                    is_half = false;
                    rest = &rest[1..];
                    continue;
                }
                let Some(found) = memchr(quote, rest) else { break };
                is_half = true;
                rest = &rest[found + 1..];
            }
        }
    }

    /// Finds the end of the record that begins at `at`, reading as far as it needs.
    fn place(&mut self, at: usize) -> io::Result<Place> {
        loop {
            match outline(&self.ahead[at..], self.dialect, self.row_bytes_max, self.ended) {
                Outline::Ends { tail: Tail::Quote(quote), .. } | Outline::Overlong { tail: Tail::Quote(quote) }
                    if self.closes(self.offset + (at + quote) as u64)? =>
                {
                    return Ok(Place::Overlong(Tail::Quote(quote)));
                }
                Outline::Ends { end, next, .. } if end <= self.row_bytes_max => return Ok(Place::After(next)),
                // Cut even if its newline was read by chance, so that a resumed job sees the same bytes.
                Outline::Ends { tail: Tail::Fields, .. } | Outline::Overlong { tail: Tail::Fields } => {
                    return Ok(Place::Overlong(Tail::Fields));
                }
                Outline::Ends { .. } | Outline::Overlong { .. } => return Ok(Place::Overlong(Tail::Settled)),
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

    /// Makes the first line of the record ahead a chunk, cut after `row_bytes_max + 1` bytes, and drops the record's rest: up
    /// to the next newline that is not inside a quoted field which is closed properly.
    fn take_overlong(&mut self, tail: Tail) -> io::Result<Chunk> {
        let held = self.row_bytes_max + 1;
        let line_end = memchr2(b'\n', b'\r', &self.ahead).unwrap_or(self.ahead.len());
        let mut bytes = self.ahead[..line_end.min(held)].to_vec();
        let (mut is_inside, mut at) = match tail {
            Tail::Quote(quote) => (true, quote + 1),
            Tail::Fields | Tail::Settled => (false, held),
        };
        // Behind a quote that is not believed no other one counts.
        let mut is_settled = tail == Tail::Settled;
        let mut dropped = 0_u64;
        let mut lines = newlines_in(&self.ahead[line_end.min(at)..at]);
        let mut begins_field = self.ahead.get(at - 1) == Some(&self.dialect.delimiter);
        loop {
            // Two bytes: a quote may be doubled, a CR be half a newline.
            if at + 1 >= self.ahead.len() && !self.ended {
                self.ahead.drain(..at);
                dropped += at as u64;
                at = 0;
                self.read_ahead(DROP_BYTES)?;
                continue;
            }
            let rest = &self.ahead[at..];
            let Some(&first) = rest.first() else { break };
            let newline = newline_length(rest);
            if newline > 0 && !is_inside {
                bytes.extend_from_slice(&rest[..newline]);
                at += newline;
                break;
            }
            if newline > 0 {
                at += newline;
                lines = lines.saturating_add(1);
            } else if is_inside && first == self.dialect.quote {
                is_inside = rest.get(1) == Some(&first);
                at += 1 + usize::from(is_inside);
            } else if is_inside {
                at += memchr3(self.dialect.quote, b'\n', b'\r', rest).unwrap_or(rest.len());
            } else if begins_field && !is_settled && first == self.dialect.quote {
                is_inside = self.closes(self.offset + dropped + at as u64)?;
                is_settled = !is_inside;
                begins_field = false;
                at += 1;
            } else {
                let end = memchr3(self.dialect.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len());
                begins_field = rest.get(end) == Some(&self.dialect.delimiter);
                at += end + usize::from(begins_field);
            }
        }
        self.ahead.drain(..at);
        // Only to learn whether anything follows.
        self.read_ahead(1)?;
        Ok(Chunk { lines_dropped: Some(lines), ..self.chunk(bytes, dropped + at as u64) })
    }

    fn chunk(&mut self, bytes: Vec<u8>, length: u64) -> Chunk {
        let chunk = Chunk {
            number: self.number,
            offset: self.offset,
            end: self.offset + length,
            bytes,
            ends_source: self.ended && self.ahead.is_empty(),
            lines_dropped: None,
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
