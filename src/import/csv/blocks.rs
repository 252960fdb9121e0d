//! The fast scan: 64 bytes at a time, each byte of interest a bit. Must give what the plain twin gives, or give up.
//!
//! The work is the same on every machine; only comparing 64 bytes with one is done with the vectors at hand. AVX2 is
//! looked for when the program runs, SSE2 is part of x86-64, and elsewhere plain code is compiled.
//!
//! The only `unsafe` of the import lies here: vector loads, calls of code compiled for AVX2, and `set_len` after the
//! entries of a block were written into spare capacity.

use super::{FIELDS_MAX, Field, Limits, QUOTED, Record, RecordProblem, Records, Walked};
use crate::import::dialect::Dialect;

/// The number of bytes that one mask covers.
const BLOCK: usize = 64;

/// Scans a chunk of less than 4 GiB; `quoted` and `carriage` say whether it holds any quote or CR.
///
/// Returns false, and leaves anything in `out`, if the plain twin must decide.
pub(super) fn scan(
    bytes: &[u8],
    dialect: Dialect,
    columns: usize,
    limits: Limits,
    quoted: bool,
    carriage: bool,
    out: &mut Records,
) -> bool {
    // Special bytes that coincide cannot be told apart by masks.
    if dialect.delimiter == dialect.quote || [dialect.delimiter, dialect.quote].iter().any(|b| b"\r\n".contains(b)) {
        return false;
    }
    let scan = match (quoted, carriage) {
        (false, false) => lanes::scan::<false, false>,
        (false, true) => lanes::scan::<false, true>,
        (true, false) => lanes::scan::<true, false>,
        (true, true) => lanes::scan::<true, true>,
    };
    scan(bytes, dialect, columns, limits, out)
}

/// As [`super::walk`], for bytes that hold quotes.
pub(super) fn walk(bytes: &[u8], dialect: Dialect) -> (usize, Walked) {
    if dialect.delimiter == dialect.quote || [dialect.delimiter, dialect.quote].iter().any(|b| b"\r\n".contains(b)) {
        return (0, Walked::Doubt);
    }
    lanes::walk(bytes, dialect)
}

/// Compares each byte of a block with one byte: bit `i` of the mask is byte `i`.
trait Lanes: Copy {
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64;
}

/// What the parity of quotes says about a block, carried from block to block.
struct Parity {
    /// All ones while the next block begins inside quotes.
    inside: u64,
    /// Whether the byte before the next block lets a quote open: a delimiter, a newline, a closing quote.
    opening: u64,
    /// Whether the byte before the next block is a closing quote.
    closing: u64,
}

/// One block's quotes.
struct Quotes {
    /// Bytes inside quotes, the opening quote included, the closing one not.
    inside: u64,
    /// Second quotes of doubled ones.
    doubled: u64,
    /// Places where a quote does not stand where it should: before them parity is right.
    doubt: u64,
}

impl Parity {
    /// At a record's boundary.
    const START: Parity = Parity { inside: 0, opening: 1, closing: 0 };

    /// Takes the masks of the block's quotes, of its delimiters and newlines wherever they stand, and of the bytes
    /// that it has at all.
    #[inline(always)]
    fn quotes(&mut self, quote: u64, separator: u64, present: u64) -> Quotes {
        let mut inside = quote;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.inside;
        let (opens, closes) = (quote & inside, quote & !inside);
        let after_close = (closes << 1) | self.closing;
        let may_open = ((separator | closes) << 1) | self.opening;
        let doubt = (opens & !may_open) | (after_close & !(separator | opens) & present);
        self.inside = ((inside as i64) >> 63) as u64;
        self.opening = (separator | closes) >> 63;
        self.closing = closes >> 63;
        Quotes { inside, doubled: opens & after_close, doubt }
    }
}

/// The masks of a block.
struct Block {
    delimiters: u64,
    /// Newlines as they count: LF, and CR without an LF behind it.
    newlines: u64,
    /// The LF of CRLF.
    pairs: u64,
    quotes: u64,
    /// Delimiters, CR and LF.
    separators: u64,
}

impl Block {
    /// The block of `present` bytes at `base`; `after_carriage` is carried from one to the next.
    #[inline(always)]
    fn of<const QUOTES: bool, const CARRIAGE: bool>(
        lanes: impl Lanes,
        (block, present): (&[u8; BLOCK], u64),
        next: Option<&u8>,
        dialect: Dialect,
        after_carriage: &mut u64,
    ) -> Block {
        let delimiters = lanes.equal(block, dialect.delimiter) & present;
        let feeds = lanes.equal(block, b'\n') & present;
        let quotes = if QUOTES { lanes.equal(block, dialect.quote) & present } else { 0 };
        if !CARRIAGE {
            return Block { delimiters, newlines: feeds, pairs: 0, quotes, separators: delimiters | feeds };
        }
        let carriages = lanes.equal(block, b'\r') & present;
        let before_feed = (feeds >> 1) | (u64::from(next == Some(&b'\n')) << (BLOCK - 1));
        let pairs = feeds & ((carriages << 1) | *after_carriage);
        *after_carriage = carriages >> (BLOCK - 1);
        let newlines = feeds | (carriages & !before_feed);
        Block { delimiters, newlines, pairs, quotes, separators: delimiters | carriages | feeds }
    }
}

/// The block at `base`, filled up with zeros, and the mask of the bytes that it has.
#[inline(always)]
fn load<'a>(bytes: &'a [u8], base: usize, last: &'a mut [u8; BLOCK]) -> (&'a [u8; BLOCK], u64) {
    let rest = bytes.get(base..).unwrap_or_default();
    if let Some(block) = rest.first_chunk::<BLOCK>() {
        return (block, u64::MAX);
    }
    if let Some(filled) = last.get_mut(..rest.len()) {
        filled.copy_from_slice(rest);
    }
    (last, (1u64 << (rest.len() % BLOCK)) - 1)
}

#[inline(always)]
fn scan_blocks<const QUOTES: bool, const CARRIAGE: bool>(
    lanes: impl Lanes,
    bytes: &[u8],
    dialect: Dialect,
    columns: usize,
    limits: Limits,
    out: &mut Records,
) -> bool {
    let length_max = limits.row_bytes_max.min(limits.field_bytes_max);
    let mut last = [0; BLOCK];
    let mut parity = Parity::START;
    let mut after_carriage = 0;
    // The record and the field that are being read.
    let (mut record_start, mut field_start, mut first_field) = (0u32, 0u32, 0usize);
    let (mut record_line, mut lines, mut doubled_before) = (0u32, 0u32, false);
    let mut base = 0;
    // A field that lies at `start..end` of the chunk with its quotes. An empty one has a separator at its start.
    let field = |start: u32, end: u32| {
        let quote = QUOTES && bytes.get(start as usize) == Some(&dialect.quote);
        Field { start: start + u32::from(quote), end: end.wrapping_sub(u32::from(quote)) }
    };

    while base < bytes.len() {
        let block = load(bytes, base, &mut last);
        let present = block.1;
        let Block { delimiters, newlines, pairs, quotes, separators } =
            Block::of::<QUOTES, CARRIAGE>(lanes, block, bytes.get(base + BLOCK), dialect, &mut after_carriage);
        let (mut doubled, mut outside) = (0, u64::MAX);
        if QUOTES {
            let quotes = parity.quotes(quotes, separators, present);
            if quotes.doubt != 0 {
                return false;
            }
            (doubled, outside) = (quotes.doubled, !quotes.inside);
        }
        let mut ends = newlines & outside;
        let borders = (delimiters | newlines) & outside;
        let borders_count = borders.count_ones() as usize;

        out.fields.reserve(BLOCK);
        out.records.reserve(BLOCK);
        let fields_before = out.fields.len();
        let (Some(fields), Some(records)) = (
            out.fields.spare_capacity_mut().first_chunk_mut::<BLOCK>(),
            out.records.spare_capacity_mut().first_chunk_mut::<BLOCK>(),
        ) else {
            return false;
        };
        // Fields first, as if a newline were a delimiter, and eight at a time whether there are eight or not: what is
        // too much is not counted, and no branch depends on where the borders lie.
        let mut bits = borders;
        for (group, eight) in fields.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            if group * 8 >= borders_count {
                break;
            }
            for entry in eight {
                let at = base as u32 + bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
                entry.write(field(field_start, at));
                field_start = at + 1;
            }
        }
        if borders != 0 {
            field_start = base as u32 + (BLOCK as u32 - borders.leading_zeros());
        }
        // Then the newlines make records of them.
        let mut records_count = 0;
        while ends != 0 {
            let bit = ends & ends.wrapping_neg();
            let before = bit - 1;
            ends ^= bit;
            let at = base as u32 + bit.trailing_zeros();
            let index = (borders & before).count_ones() as usize;
            let mut end = at;
            if CARRIAGE && pairs & bit != 0 {
                // The newline began one byte earlier.
                end -= 1;
                // SAFETY: `index` is less than `borders_count`, and so many entries were written.
                unsafe { fields[index].assume_init_mut() }.end -= 1;
            }
            let next_line = if QUOTES { lines + (newlines & (before | bit)).count_ones() } else { lines + 1 };
            // An empty line is no record; its one empty field stays behind, of no record.
            if end != record_start {
                let count = fields_before + index + 1 - first_field;
                if (end - record_start) as usize > length_max || count > FIELDS_MAX {
                    return false;
                }
                records[records_count].write(Record {
                    start: record_start,
                    end,
                    line: record_line,
                    first_field: first_field as u32,
                    fields: count as u16,
                    flags: u8::from(QUOTES && (doubled_before || doubled & before != 0)) * QUOTED,
                    problem: problem(count, columns),
                });
                records_count += 1;
            }
            if QUOTES {
                doubled &= !before;
                doubled_before = false;
            } else {
                lines = next_line;
            }
            (record_start, first_field, record_line) = (at + 1, fields_before + index + 1, next_line);
        }
        // SAFETY: the entries from the first one on were written, of fields at least `borders_count`, as each group
        // that holds one of them was, and of records `records_count`, one for each at most of 64 bits.
        unsafe {
            out.fields.set_len(fields_before + borders_count);
            out.records.set_len(out.records.len() + records_count);
        }
        if QUOTES {
            lines += newlines.count_ones();
            doubled_before |= doubled != 0;
        }
        if out.fields.len() - first_field > FIELDS_MAX {
            return false;
        }
        base += BLOCK;
    }

    if parity.inside != 0 {
        return false;
    }
    let end = bytes.len() as u32;
    if record_start < end {
        // The last line has no newline.
        out.fields.push(field(field_start, end));
        let count = out.fields.len() - first_field;
        if (end - record_start) as usize > length_max || count > FIELDS_MAX {
            return false;
        }
        out.records.push(Record {
            start: record_start,
            end,
            line: record_line,
            first_field: first_field as u32,
            fields: count as u16,
            flags: u8::from(doubled_before) * QUOTED,
            problem: problem(count, columns),
        });
        lines += 1;
    }
    out.lines = lines;
    true
}

#[inline(always)]
fn problem(count: usize, columns: usize) -> Option<RecordProblem> {
    if count == columns {
        None
    } else if count < columns {
        Some(RecordProblem::TooFewFields)
    } else {
        Some(RecordProblem::TooManyFields)
    }
}

#[inline(always)]
fn walk_blocks(lanes: impl Lanes, bytes: &[u8], dialect: Dialect) -> (usize, Walked) {
    let mut last = [0; BLOCK];
    let (mut parity, mut after_carriage) = (Parity::START, 0);
    let (mut boundary, mut base) = (0, 0);
    while base < bytes.len() {
        let block = load(bytes, base, &mut last);
        let next = bytes.get(base + BLOCK);
        let masks = Block::of::<true, true>(lanes, block, next, dialect, &mut after_carriage);
        let quotes = parity.quotes(masks.quotes, masks.separators, block.1);
        // LF of CRLF is a separator, but no newline of its own: a boundary lies behind it.
        let newlines = masks.separators & !masks.delimiters & !quotes.inside;
        let certain = if quotes.doubt == 0 { u64::MAX } else { (1 << quotes.doubt.trailing_zeros()) - 1 };
        if newlines & certain != 0 {
            boundary = base + BLOCK - (newlines & certain).leading_zeros() as usize;
        }
        if quotes.doubt != 0 {
            return (boundary, Walked::Doubt);
        }
        base += BLOCK;
    }
    (boundary, if parity.inside == 0 { Walked::Outside } else { Walked::Inside })
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::*;

    use super::{BLOCK, Dialect, Lanes, Limits, Records, Walked, scan_blocks, walk_blocks};

    #[derive(Clone, Copy)]
    struct Sse2;

    impl Lanes for Sse2 {
        #[inline(always)]
        fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
            let mut mask = 0;
            for (part, sixteen) in block.as_chunks::<16>().0.iter().enumerate() {
                // SAFETY: `sixteen` is 16 readable bytes, the load needs no alignment, and x86-64 has SSE2.
                let equal = unsafe {
                    let vector = _mm_loadu_si128(sixteen.as_ptr().cast());
                    _mm_movemask_epi8(_mm_cmpeq_epi8(vector, _mm_set1_epi8(byte as i8)))
                };
                mask |= u64::from(equal as u32) << (16 * part);
            }
            mask
        }
    }

    /// Exists only where AVX2 was found.
    #[derive(Clone, Copy)]
    struct Avx2(());

    impl Avx2 {
        fn find() -> Option<Avx2> {
            let found = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt");
            found.then_some(Avx2(()))
        }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
            let mut mask = 0;
            for (part, half) in block.as_chunks::<32>().0.iter().enumerate() {
                // SAFETY: `half` is 32 readable bytes, the load needs no alignment, and AVX2 was found.
                let equal = unsafe {
                    let vector = _mm256_loadu_si256(half.as_ptr().cast());
                    _mm256_movemask_epi8(_mm256_cmpeq_epi8(vector, _mm256_set1_epi8(byte as i8)))
                };
                mask |= u64::from(equal as u32) << (32 * part);
            }
            mask
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn scan_avx2<const QUOTES: bool, const CARRIAGE: bool>(
        avx2: Avx2,
        bytes: &[u8],
        dialect: Dialect,
        columns: usize,
        limits: Limits,
        out: &mut Records,
    ) -> bool {
        scan_blocks::<QUOTES, CARRIAGE>(avx2, bytes, dialect, columns, limits, out)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn walk_avx2(avx2: Avx2, bytes: &[u8], dialect: Dialect) -> (usize, Walked) {
        walk_blocks(avx2, bytes, dialect)
    }

    pub(super) fn scan<const QUOTES: bool, const CARRIAGE: bool>(
        bytes: &[u8],
        dialect: Dialect,
        columns: usize,
        limits: Limits,
        out: &mut Records,
    ) -> bool {
        match Avx2::find() {
            // SAFETY: the features were found.
            Some(avx2) => unsafe { scan_avx2::<QUOTES, CARRIAGE>(avx2, bytes, dialect, columns, limits, out) },
            None => scan_blocks::<QUOTES, CARRIAGE>(Sse2, bytes, dialect, columns, limits, out),
        }
    }

    pub(super) fn walk(bytes: &[u8], dialect: Dialect) -> (usize, Walked) {
        match Avx2::find() {
            // SAFETY: the features were found.
            Some(avx2) => unsafe { walk_avx2(avx2, bytes, dialect) },
            None => walk_blocks(Sse2, bytes, dialect),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    use super::{Dialect, Limits, Plain, Records, Walked, scan_blocks, walk_blocks};

    pub(super) fn scan<const QUOTES: bool, const CARRIAGE: bool>(
        bytes: &[u8],
        dialect: Dialect,
        columns: usize,
        limits: Limits,
        out: &mut Records,
    ) -> bool {
        scan_blocks::<QUOTES, CARRIAGE>(Plain, bytes, dialect, columns, limits, out)
    }

    pub(super) fn walk(bytes: &[u8], dialect: Dialect) -> (usize, Walked) {
        walk_blocks(Plain, bytes, dialect)
    }
}

/// Eight bytes at a time, for processors without vectors that we know.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[derive(Clone, Copy)]
struct Plain;

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Lanes for Plain {
    #[inline(always)]
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
        let mut mask = 0;
        for (part, &eight) in block.as_chunks::<8>().0.iter().enumerate() {
            let difference = u64::from_le_bytes(eight) ^ u64::from_le_bytes([byte; 8]);
            // The high bit of each byte that is zero; without carries between bytes.
            let zero = !(((difference & LOW) + LOW) | difference | LOW);
            // Gathers the eight high bits into one byte.
            mask |= ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * part);
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_lanes_finds_the_same_bytes() {
        let mut block = [0; BLOCK];
        for round in 0..1000u32 {
            for (at, byte) in block.iter_mut().enumerate() {
                let pick = (round as usize).wrapping_mul(2_654_435_761).wrapping_add(at * at * 40_503) >> 7;
                *byte = [b',', b'\n', b'-', 0, 0x80 | b',', 0xff][pick % 6];
            }
            for byte in [b',', b'\n', 0, 0xff] {
                let expected = (0..BLOCK).filter(|&at| block[at] == byte).fold(0, |mask, at| mask | 1u64 << at);
                assert_eq!(Plain.equal(&block, byte), expected);
            }
        }
    }

    #[test]
    fn the_portable_scan_is_the_vector_scan() {
        let text = b"a,b\r\n\"x,\"\"y\"\"\n\",1\n\n,\r\"\",\"end\"\n".repeat(40);
        let dialect = Dialect { delimiter: b',', quote: b'"' };
        let (mut plain, mut vector) = (Records::default(), Records::default());
        assert!(scan_blocks::<true, true>(Plain, &text, dialect, 2, Limits::default(), &mut plain));
        assert!(scan(&text, dialect, 2, Limits::default(), true, true, &mut vector));
        assert_eq!(plain, vector);
        assert_eq!(walk_blocks(Plain, &text, dialect), walk(&text, dialect));
    }
}
