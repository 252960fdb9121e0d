//! Splits the bytes of a chunk into records and fields.
//!
//! One rule says where a record ends, `outline`, and everything here and in `chunk.rs` must agree with it:
//!
//! * A quote opens a quoted field only where a field begins. It closes at the first quote that is not doubled, and
//!   *properly* if a delimiter, a newline or the end of the input follows. Newlines inside belong to the field.
//! * A quoted field that does not close properly, or not within [`Limits::row_bytes_max`] bytes of its record's
//!   beginning, or not at all, is not believed: its record ends with the physical line on which that quote stands and
//!   is malformed, and the next physical line begins a record again. So one stray quote costs one row, not the file.
//!   (`MisplacedQuote` if the improper end lies on that same line, `UnclosedQuote` if it lies further on or nowhere:
//!   this way the problem, too, can be told without what follows the chunk.)
//! * A quote inside an unquoted field is malformed too, but an ordinary character: the line's later fields may still
//!   be quoted.
//! * A record that reaches beyond `row_bytes_max` is malformed and ends at the next newline.
//!
//! * A quoted field that does close properly, but beyond `row_bytes_max`, is one row too long with all that lies inside it:
//!   lines of its text must not be taken for rows. Only the cutter sees so far ahead, and it hands out the row cut short.
//!
//! A failed search for the closing quote ends at a run of an odd number of quotes or at the limit, and no line in
//! between holds such a run, so none of them starts a long search: the work is linear in the input.
//!
//! [`scan`] gives the same answer as [`scan_plain`]. It works on 64 bytes at a time: bit masks of the delimiters,
//! newlines and quotes, where the parity of the quotes tells what lies inside them. Parity is the rule above only
//! while every quote stands where it should, so each one's neighbours are checked, and a chunk with any doubt is
//! scanned again by the plain twin.

use memchr::{memchr, memchr_iter, memchr2, memrchr2};

use crate::domain::rejection::Rejection;
use crate::import::dialect::Dialect;

/// The longest record that is read. What is longer is one malformed row, so an endless line cannot take the memory.
pub const ROW_BYTES_MAX: usize = 16 << 20;

/// The longest field that is read; no field of any format comes near it.
pub const FIELD_BYTES_MAX: usize = 1 << 20;

/// The most fields that are listed of one record; a record with more has too many.
const FIELDS_MAX: usize = u16::MAX as usize;

/// A flag of [`Record::flags`]: some field holds doubled quotes, which [`cell`] makes single ones.
pub const QUOTED: u8 = 1;

/// A field's bytes in the chunk: without the outer quotes, where it has some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Field {
    /// The field as it stands in the chunk, doubled quotes included; empty if the field is not of this chunk.
    pub fn raw(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// One record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The first byte in the chunk.
    pub start: u32,
    /// The byte after the last, the newline excluded.
    pub end: u32,
    /// The physical line on which the record begins, from 0 at the chunk's first.
    pub line: u32,
    /// Where the record's fields begin in [`Records::fields`].
    pub first_field: u32,
    /// How many fields the record has. None are listed when a quote is wrong or the row too long, as then the row
    /// cannot be split; at most 65,535 are.
    pub fields: u16,
    /// [`QUOTED`], or 0.
    pub flags: u8,
    /// Why the record cannot be used, if so; the first by precedence.
    pub problem: Option<RecordProblem>,
}

impl Record {
    /// Whether its fields are those of the header, so that it is reported by them. A row of a sheet is, with bad cells too.
    pub fn is_split(&self, dialect: Dialect) -> bool {
        self.problem.is_none() || (dialect == Dialect::SHEET && self.problem == Some(RecordProblem::NotText))
    }

    /// The record as it stands in the chunk, without its newline.
    pub fn raw<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Why a record cannot be used.
///
/// In order of precedence: wrong quotes, `RowTooLong`, `Nul`, `FieldTooLong`, ragged rows, `NotText`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordProblem {
    /// Fewer fields than the header.
    TooFewFields,
    /// More fields than the header.
    TooManyFields,
    /// A quoted field has no end, or none that can be trusted.
    UnclosedQuote,
    /// A quote inside an unquoted field, or text after a closing quote.
    MisplacedQuote,
    /// A NUL byte.
    Nul,
    /// Bytes that are not UTF-8.
    NotText,
    /// A field longer than [`FIELD_BYTES_MAX`].
    FieldTooLong,
    /// A record longer than [`ROW_BYTES_MAX`].
    RowTooLong,
}

impl RecordProblem {
    /// The rejection that the row gets.
    pub fn rejection(self) -> Rejection {
        use RecordProblem::*;
        match self {
            NotText => Rejection::EncodingInvalid,
            TooFewFields | TooManyFields | UnclosedQuote | MisplacedQuote | Nul | FieldTooLong | RowTooLong => {
                Rejection::RowMalformed
            }
        }
    }

    /// The message for people; `found` is the record's number of fields, `expected` the header's.
    pub fn message(self, found: u16, expected: usize) -> String {
        let fields = |n: usize| if n == 1 { "1 field".to_owned() } else { format!("{n} fields") };
        match self {
            RecordProblem::TooFewFields | RecordProblem::TooManyFields => {
                format!("the row has {}, the header {expected}", fields(found.into()))
            }
            RecordProblem::UnclosedQuote => {
                "a quoted field that begins on this line is not closed properly: close it, or double the quotes that \
                 belong to its text"
                    .to_owned()
            }
            RecordProblem::MisplacedQuote => {
                "a quote stands inside a field: put the whole field in quotes and double those that belong to its text"
                    .to_owned()
            }
            RecordProblem::Nul => "the row holds a NUL byte".to_owned(),
            RecordProblem::NotText => {
                "the row holds bytes that are not text in the encoding that the file is read in: correct the row; if all of \
                 the file is written so, name its encoding before it is imported, as in `--encoding windows-1252`"
                    .to_owned()
            }
            RecordProblem::FieldTooLong => format!("a field is longer than {FIELD_BYTES_MAX} bytes"),
            RecordProblem::RowTooLong => format!("the row is longer than {ROW_BYTES_MAX} bytes"),
        }
    }
}

/// What a chunk holds. Meant to be used again for the next chunk, so that nothing is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The fields of all records, in order. [`scan`] may leave some in between that are of no record.
    pub fields: Vec<Field>,
    /// The records, in the order of the file. Empty lines are none.
    pub records: Vec<Record>,
    /// The physical lines of the chunk, empty ones and those inside quotes too; one that ends with the file counts.
    pub lines: u32,
}

impl Records {
    /// The fields of a record of this chunk.
    pub fn fields_of(&self, record: &Record) -> &[Field] {
        let first = record.first_field as usize;
        self.fields.get(first..first + usize::from(record.fields)).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.fields.clear();
        self.records.clear();
        self.lines = 0;
    }
}

/// How long records and fields may be; other than the default only in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`ROW_BYTES_MAX`].
    pub row_bytes_max: usize,
    /// See [`FIELD_BYTES_MAX`].
    pub field_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { row_bytes_max: ROW_BYTES_MAX, field_bytes_max: FIELD_BYTES_MAX }
    }
}

/// Splits a chunk, which begins and ends at a record's boundary, into records of `columns` fields.
///
/// What `out` held before is dropped. A chunk of more than 4 GiB, which no cutter makes, is one row that is too long.
pub fn scan(bytes: &[u8], dialect: Dialect, columns: usize, out: &mut Records) {
    scan_within(bytes, dialect, columns, Limits::default(), out);
}

/// As [`scan`]; returns the chunk as text if all of it is, so that nobody checks it a second time.
pub fn scan_text<'a>(bytes: &'a [u8], dialect: Dialect, columns: usize, out: &mut Records) -> Option<&'a str> {
    let text = std::str::from_utf8(bytes).ok();
    scan_checked(bytes, text.is_some(), dialect, columns, Limits::default(), out);
    text
}

/// As [`scan`], with other limits.
pub fn scan_within(bytes: &[u8], dialect: Dialect, columns: usize, limits: Limits, out: &mut Records) {
    let is_text = bytes.is_ascii() || std::str::from_utf8(bytes).is_ok();
    scan_checked(bytes, is_text, dialect, columns, limits, out);
}

fn scan_checked(bytes: &[u8], is_text: bool, dialect: Dialect, columns: usize, limits: Limits, out: &mut Records) {
    out.clear();
    if bytes.len() >= u32::MAX as usize {
        out.records.push(Record {
            start: 0,
            end: u32::MAX,
            line: 0,
            first_field: 0,
            fields: 0,
            flags: 0,
            problem: Some(RecordProblem::RowTooLong),
        });
        return;
    }
    let quoted = memchr(dialect.quote, bytes).is_some();
    let carriage = memchr(b'\r', bytes).is_some();
    if !blocks::scan(bytes, dialect, columns, limits, quoted, carriage, out) {
        scan_plain_within(bytes, dialect, columns, limits, out);
        return;
    }
    // Passes over the whole chunk (all four together 1.4 to 1.7 ns a row); only one that fails pays for each record.
    if !is_text || memchr(0, bytes).is_some() {
        for record in &mut out.records {
            record.problem = with_text_problem(record.problem, record.raw(bytes));
        }
    }
}

/// The plain twin of [`scan`]: the same records, one byte after the other.
pub fn scan_plain(bytes: &[u8], dialect: Dialect, columns: usize, out: &mut Records) {
    scan_plain_within(bytes, dialect, columns, Limits::default(), out);
}

/// As [`scan_plain`], with other limits.
pub fn scan_plain_within(bytes: &[u8], dialect: Dialect, columns: usize, limits: Limits, out: &mut Records) {
    out.clear();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let line = out.lines;
        if is_newline(rest[0]) {
            at += newline_length(rest);
            out.lines += 1;
            continue;
        }
        let (end, next, problem) = match outline(rest, dialect, limits.row_bytes_max, true) {
            Outline::Ends { end, next, problem, .. } => (end, next, problem),
            Outline::Overlong { .. } | Outline::NeedsMore => (rest.len(), rest.len(), Some(RecordProblem::RowTooLong)),
        };
        let first_field = out.fields.len();
        let mut flags = 0;
        let mut problem = problem;
        if problem.is_none() {
            flags = split(bytes, at, at + end, dialect, &mut out.fields);
            problem = shape_problem(&out.fields[first_field..], columns, limits);
            out.fields.truncate(first_field + FIELDS_MAX);
        }
        problem = with_text_problem(problem, &rest[..end]);
        out.records.push(Record {
            start: at as u32,
            end: (at + end) as u32,
            line,
            first_field: first_field as u32,
            fields: (out.fields.len() - first_field) as u16,
            flags,
            problem,
        });
        out.lines += lines_in(&rest[..next]);
        at += next;
    }
}

/// The bytes and physical lines of the first rows of a text, as a person counts them: an empty line is one too. None if
/// there are fewer, or nothing behind them; `complete` says that the text is all there is.
pub fn skip_rows(bytes: &[u8], dialect: Dialect, rows: u64, complete: bool) -> Option<(usize, u32)> {
    let (mut at, mut lines) = (0, 0);
    for _ in 0..rows {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let next = match rest.first() {
            Some(&byte) if is_newline(byte) => newline_length(rest),
            _ => match outline(rest, dialect, ROW_BYTES_MAX, complete) {
                Outline::Ends { next, .. } => next,
                Outline::Overlong { .. } | Outline::NeedsMore => return None,
            },
        };
        lines += lines_in(&rest[..next]);
        at += next;
    }
    (at < bytes.len()).then_some((at, lines))
}

/// The text of a field: doubled quotes are made single ones in `scratch`, which costs only the records that have some.
#[inline]
pub fn cell<'a>(bytes: &'a [u8], field: Field, dialect: Dialect, flags: u8, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let raw = field.raw(bytes);
    if flags & QUOTED == 0 || memchr(dialect.quote, raw).is_none() {
        return raw;
    }
    scratch.clear();
    let mut from = 0;
    // The quotes of a field come in pairs: each search starts after the second of one.
    while let Some(found) = raw.get(from..).and_then(|rest| memchr(dialect.quote, rest)) {
        scratch.extend_from_slice(&raw[from..=from + found]);
        from += found + 2;
    }
    scratch.extend_from_slice(raw.get(from..).unwrap_or_default());
    scratch
}

/// Where a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outline {
    /// At `end`, and the next one begins at `next`, behind the newline. Whoever sees beyond the longest record may know
    /// better, by `tail`.
    Ends { end: usize, next: usize, problem: Option<RecordProblem>, tail: Tail },
    /// It is too long, and its newline is not among the bytes: it ends at the next newline, or as `tail` says.
    Overlong { tail: Tail },
    /// The bytes do not tell.
    NeedsMore,
}

impl Outline {
    fn with(self, tail: Tail) -> Outline {
        match self {
            Outline::Ends { end, next, problem, .. } => Outline::Ends { end, next, problem, tail },
            other => other,
        }
    }
}

/// What lies beyond the bytes that a record may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing that matters: the record ends with its line.
    Settled,
    /// More fields, or more of an unquoted one.
    Fields,
    /// Perhaps the close of the field that this quote opens; if there is none, the record ends with its line.
    Quote(usize),
}

/// The rule of this module: where the record ends that begins with `bytes`, and whether its quotes are right.
///
/// `complete` says that nothing follows `bytes`; then the answer is always `Ends`. No answer but `NeedsMore` changes
/// when more bytes are added.
pub(crate) fn outline(bytes: &[u8], dialect: Dialect, row_bytes_max: usize, complete: bool) -> Outline {
    let full = bytes.len() > row_bytes_max;
    // All that decides lies in the first `row_bytes_max + 1` bytes, so a row cut there (see `chunk.rs`) reads alike.
    let window = if full { &bytes[..=row_bytes_max] } else { bytes };
    let mut problem = None;
    let mut at = 0;
    loop {
        if window.get(at) == Some(&dialect.quote) {
            let close = match closing_quote(window, at + 1, dialect.quote) {
                Some(close) if close + 1 < window.len() => Some(close),
                Some(close) if !full && complete => Some(close),
                _ if !full && !complete => return Outline::NeedsMore,
                _ => None,
            };
            match close.map(|close| window.get(close + 1)) {
                Some(None) => return ends(bytes, bytes.len(), row_bytes_max, complete, problem),
                Some(Some(&next)) if next == dialect.delimiter || is_newline(next) => {
                    at = close.map_or(at, |close| close + 1);
                }
                Some(Some(_)) | None => {
                    // Not believed: the record ends with this quote's line.
                    let newline = memchr2(b'\n', b'\r', &bytes[at..]).map(|found| at + found);
                    let line_end = newline.unwrap_or(bytes.len());
                    let same_line = close.is_some_and(|close| close < line_end);
                    let found = if same_line { RecordProblem::MisplacedQuote } else { RecordProblem::UnclosedQuote };
                    let tail = if full && close.is_none() { Tail::Quote(at) } else { Tail::Settled };
                    if newline.is_none() && !complete {
                        return if full { Outline::Overlong { tail } } else { Outline::NeedsMore };
                    }
                    return ends(bytes, line_end, row_bytes_max, complete, problem.or(Some(found))).with(tail);
                }
            }
        } else {
            while let Some(&byte) = window.get(at) {
                if byte == dialect.delimiter || is_newline(byte) {
                    break;
                }
                if byte == dialect.quote {
                    problem = problem.or(Some(RecordProblem::MisplacedQuote));
                }
                at += 1;
            }
        }
        match window.get(at) {
            Some(&byte) if byte == dialect.delimiter => at += 1,
            Some(_) => return ends(bytes, at, row_bytes_max, complete, problem),
            None if full => {
                return match memchr2(b'\n', b'\r', &bytes[at..]) {
                    Some(found) => ends(bytes, at + found, row_bytes_max, complete, problem).with(Tail::Fields),
                    None if complete => ends(bytes, bytes.len(), row_bytes_max, complete, problem),
                    None => Outline::Overlong { tail: Tail::Fields },
                };
            }
            None if complete => return ends(bytes, at, row_bytes_max, complete, problem),
            None => return Outline::NeedsMore,
        }
    }
}

fn ends(bytes: &[u8], end: usize, row_bytes_max: usize, complete: bool, problem: Option<RecordProblem>) -> Outline {
    let rest = &bytes[end..];
    if rest == b"\r" && !complete {
        return Outline::NeedsMore;
    }
    let problem = if end > row_bytes_max { Some(RecordProblem::RowTooLong) } else { problem };
    Outline::Ends { end, next: end + newline_length(rest), problem, tail: Tail::Settled }
}

/// The first quote from `from` on that is not one of a doubled pair.
fn closing_quote(bytes: &[u8], mut from: usize, quote: u8) -> Option<usize> {
    loop {
        let close = from + memchr(quote, bytes.get(from..)?)?;
        if bytes.get(close + 1) != Some(&quote) {
            return Some(close);
        }
        from = close + 2;
    }
}

/// Lists the fields of a record whose quotes are right, and returns its flags.
fn split(bytes: &[u8], start: usize, end: usize, dialect: Dialect, fields: &mut Vec<Field>) -> u8 {
    let record = &bytes[..end];
    let first = fields.len();
    let mut flags = 0;
    let mut at = start;
    loop {
        let (from, to);
        if record.get(at) == Some(&dialect.quote) {
            (from, to) = (at + 1, closing_quote(record, at + 1, dialect.quote).unwrap_or(end));
            at = to + 1;
            if memchr(dialect.quote, &record[from..to]).is_some() {
                flags = QUOTED;
            }
        } else {
            (from, to) = (at, memchr(dialect.delimiter, &record[at..]).map_or(end, |found| at + found));
            at = to;
        }
        fields.push(Field { start: from as u32, end: to as u32 });
        // One more than are listed, so that they are seen to be too many.
        if at >= end || fields.len() - first > FIELDS_MAX {
            return flags;
        }
        at += 1;
    }
}

fn shape_problem(fields: &[Field], columns: usize, limits: Limits) -> Option<RecordProblem> {
    if fields.iter().any(|field| (field.end - field.start) as usize > limits.field_bytes_max) {
        return Some(RecordProblem::FieldTooLong);
    }
    if fields.len() > FIELDS_MAX {
        return Some(RecordProblem::TooManyFields);
    }
    match fields.len().cmp(&columns) {
        std::cmp::Ordering::Less => Some(RecordProblem::TooFewFields),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(RecordProblem::TooManyFields),
    }
}

fn with_text_problem(problem: Option<RecordProblem>, record: &[u8]) -> Option<RecordProblem> {
    use RecordProblem::*;
    match problem {
        Some(UnclosedQuote | MisplacedQuote | RowTooLong) => problem,
        _ if memchr(0, record).is_some() => Some(Nul),
        None if std::str::from_utf8(record).is_err() => Some(NotText),
        _ => problem,
    }
}

fn is_newline(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

/// The length of the newline with which the bytes begin; 0 if there is none.
pub(crate) fn newline_length(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// The physical lines of bytes; what follows the last newline is one.
fn lines_in(bytes: &[u8]) -> u32 {
    newlines_in(bytes) + u32::from(bytes.last().is_some_and(|&byte| !is_newline(byte)))
}

/// The newlines in bytes.
pub(crate) fn newlines_in(bytes: &[u8]) -> u32 {
    let lone = memchr_iter(b'\r', bytes).filter(|&at| bytes.get(at + 1) != Some(&b'\n')).count();
    (memchr_iter(b'\n', bytes).count() + lone) as u32
}

/// How far [`walk`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walked {
    /// To the end, which lies outside quotes.
    Outside,
    /// To the end, which lies inside quotes.
    Inside,
    /// To a record with a quote that stands where it should not.
    Doubt,
}

/// The last record boundary of bytes that begin at one, and how far that is certain.
///
/// A boundary may lie between CR and LF only where the bytes end between them.
pub(crate) fn walk(bytes: &[u8], dialect: Dialect) -> (usize, Walked) {
    if memchr(dialect.quote, bytes).is_none() {
        return (memrchr2(b'\n', b'\r', bytes).map_or(0, |at| at + 1), Walked::Outside);
    }
    blocks::walk(bytes, dialect)
}

mod blocks;

#[cfg(test)]
mod tests;
