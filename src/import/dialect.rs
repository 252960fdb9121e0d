//! Recognises how a text file separates and quotes its fields.
//!
//! Looks only at the beginning, and never at the names in the header: those are `format.rs`'s.

use memchr::{memchr, memchr2};
use serde::{Deserialize, Serialize};

use crate::import::csv::{RecordProblem, Records, newline_length, scan_plain};

/// The bytes that recognition looks at: some hundred rows, unless they are very long.
pub const HEAD_BYTES: usize = 64 << 10;

/// The records that recognition looks at: rows far down in the head are as a rule like the first.
const HEAD_RECORDS: usize = 200;

/// The delimiters that are recognised. Where two fit alike the earlier is taken: a comma is also a decimal mark and
/// stands in texts, so it is seldom the others that are in every row by chance.
const DELIMITERS: [u8; 4] = *b"\t|;,";

/// How a file separates and quotes its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// The byte between two fields.
    pub delimiter: u8,
    /// The byte around a field, doubled where it belongs to the text.
    pub quote: u8,
}

impl Dialect {
    /// How the text of a sheet is written: by bytes that no cell holds, so that nothing is quoted. No text file is read so,
    /// as nobody can ask for a NUL.
    pub const SHEET: Dialect = Dialect { delimiter: 0x1f, quote: 0 };
}

impl Default for Dialect {
    /// Comma and double quote, as RFC 4180 has them.
    fn default() -> Dialect {
        Dialect { delimiter: b',', quote: b'"' }
    }
}

/// The parts of a dialect that the user has fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialectHints {
    /// From `--delimiter`.
    pub delimiter: Option<u8>,
    /// From `--quote`.
    pub quote: Option<u8>,
}

impl DialectHints {
    /// Whether a byte can be a delimiter or a quote: an ASCII character other than letters, digits, newlines and NUL.
    pub fn allows(byte: u8) -> bool {
        byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\r\n\0".contains(&byte)
    }
}

/// What the beginning of a file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognized {
    /// How the records are written.
    pub dialect: Dialect,
    /// The bytes before the first record: a byte order mark, an Excel `sep=` line.
    pub skip_bytes: usize,
    /// The physical lines among them, 0 or 1.
    pub skip_lines: u32,
}

/// Recognises the dialect of a text from its beginning, at best [`HEAD_BYTES`].
///
/// The delimiter is the one whose records agree best on the number of fields, where the first record has at least two;
/// if there is none, a comma. A `sep=` line decides before that, and a hint before everything. A hint that
/// [`DialectHints::allows`] refuses, or a quote that is the delimiter too, is not followed.
pub fn recognize(head: &[u8], hints: DialectHints) -> Recognized {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let mark = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let (separator, line) = separator_line(&head[mark..]).map_or((None, 0), |(byte, length)| (Some(byte), length));
    let skip_bytes = mark + line;
    let text = whole_lines(&head[skip_bytes..]);

    let fixed = hints.delimiter.filter(|&byte| DialectHints::allows(byte)).or(separator);
    let quote_fixed = hints.quote.filter(|&byte| DialectHints::allows(byte) && fixed != Some(byte));
    let quotes = quote_fixed.map_or(b"\"'".to_vec(), |quote| vec![quote]);
    let delimiters = fixed.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
    let mut best: Option<(Score, Dialect)> = None;
    for &quote in &quotes {
        for &delimiter in delimiters.iter().filter(|&&delimiter| delimiter != quote) {
            let dialect = Dialect { delimiter, quote };
            let proved = quote == b'\'' && quote_fixed.is_none();
            let Some(score) = score(text, dialect, proved) else { continue };
            if best.is_none_or(|(best, _)| score > best) {
                best = Some((score, dialect));
            }
        }
    }
    let fallback = Dialect { delimiter: fixed.unwrap_or(b','), quote: quote_fixed.unwrap_or(b'"') };
    let dialect = best.map_or(fallback, |(_, dialect)| dialect);
    Recognized { dialect, skip_bytes, skip_lines: u32::from(line > 0) }
}

/// How well a dialect fits: the share of records that have as many fields as the first, in thousandths, then whether
/// its quote is proved, then that number of fields.
type Score = (usize, bool, usize);

/// None if the dialect splits nothing. A `'` is more often an apostrophe than a quote, so it must be `proved`: it opens
/// at least two fields and closes every one that it opens, and the text has no double quote.
fn score(text: &[u8], dialect: Dialect, proved: bool) -> Option<Score> {
    let mut records = Records::default();
    scan_plain(text, dialect, 0, &mut records);
    let sample = records.records.get(..HEAD_RECORDS).unwrap_or(&records.records);
    let broken = |problem| matches!(problem, Some(RecordProblem::UnclosedQuote | RecordProblem::MisplacedQuote));
    if proved {
        let quoted = sample.iter().flat_map(|record| records.fields_of(record));
        let quoted = quoted.filter(|field| field.start > 0 && text.get(field.start as usize - 1) == Some(&b'\''));
        let wrong = sample.iter().any(|record| broken(record.problem));
        if memchr(b'"', text).is_some() || wrong || quoted.count() < 2 {
            return None;
        }
    }
    let fields = sample.iter().find(|record| !broken(record.problem))?.fields;
    if fields < 2 {
        return None;
    }
    let agreeing = sample.iter().filter(|record| record.fields == fields).count();
    Some((agreeing * 1000 / sample.len(), proved, usize::from(fields)))
}

/// The byte that an Excel `sep=` line names, and the line's length with its newline.
fn separator_line(text: &[u8]) -> Option<(u8, usize)> {
    let (key, rest) = text.split_at_checked(4)?;
    let (&byte, rest) = rest.split_first()?;
    let newline = newline_length(rest);
    let whole = key.eq_ignore_ascii_case(b"sep=") && (newline > 0 || rest.is_empty());
    (whole && DialectHints::allows(byte)).then_some((byte, 5 + newline))
}

/// The text up to its last newline, as what follows may be cut; all of it if there is none.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte == b'\n' || byte == b'\r');
    match end {
        Some(end) if memchr2(b'\n', b'\r', &text[..end]).is_some() => &text[..=end],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognized(head: &str) -> (char, char, usize, u32) {
        let Recognized { dialect, skip_bytes, skip_lines } = recognize(head.as_bytes(), DialectHints::default());
        (dialect.delimiter.into(), dialect.quote.into(), skip_bytes, skip_lines)
    }

    #[test]
    fn the_delimiter_is_the_one_on_which_records_agree() {
        for (head, delimiter) in [
            ("email,amount\na@x.io,5\n", ','),
            ("email;amount\na@x.io;5\n", ';'),
            ("email\tamount\na@x.io\t5\n", '\t'),
            ("email|amount\na@x.io|5\n", '|'),
            // Decimal commas, and a comma in every row.
            ("email;amount\na@x.io;5,50\nb@x.io;7,25\n", ';'),
            ("name,amount;old\n\"Li; Wu\",5\n\"Ng; Li\",7\n", ','),
            // Delimiters inside quotes do not count, nor do newlines.
            ("name;amount\n\"a,b,c\nd,e\";5\n\"f,g\";6\n", ';'),
            // One column, no rows, nothing.
            ("email\na@x.io\n", ','),
            ("email;amount", ';'),
            ("", ','),
            ("\n\n\n", ','),
            // A ragged row does not outvote the others.
            ("a,b,c\n1,2,3\n1,2\n1;2;3;4\n1,2,3\n", ','),
            // Where both fit, it is not the comma.
            ("name, full;amount\nA;5,50\nB;7,25\n", ';'),
        ] {
            assert_eq!(recognized(head).0, delimiter, "{head:?}");
        }
    }

    #[test]
    fn an_apostrophe_is_a_quote_only_when_clearly_used() {
        for (head, quote) in [
            ("'email','amount'\n'a@x.io','5'\n", '\''),
            ("email,name\na@x.io,'O, Neil'\nb@x.io,'Li'\n", '\''),
            ("email,name\na@x.io,'Neil\nb@x.io,'Li\n", '"'),
            ("email,name\na@x.io,O'Neil\n", '"'),
            ("mobile,name\n'+370611,'=x\n'+370612,\"'y'\"\n", '"'),
            ("email,name\na@x.io,\"Neil\"\n", '"'),
        ] {
            assert_eq!(recognized(head).1, quote, "{head:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_a_sep_line_are_skipped() {
        for (head, expected) in [
            ("\u{feff}email;amount\n", (';', '"', 3, 0)),
            ("sep=;\r\nemail,x;amount\r\n", (';', '"', 7, 1)),
            ("\u{feff}SEP=|\nemail|amount\n", ('|', '"', 9, 1)),
            ("sep=\t\nemail\tamount\n", ('\t', '"', 6, 1)),
            ("sep=^\nemail^amount\n", ('^', '"', 6, 1)),
            ("sep=;", (';', '"', 5, 1)),
            ("sep=x\nemail,amount\n", (',', '"', 0, 0)),
            ("sep=,,\n1,2,3\n", (',', '"', 0, 0)),
        ] {
            assert_eq!(recognized(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_hint_wins_over_what_is_seen() {
        let head = b"sep=;\na;b|c\n1;2|3\n";
        let hints = DialectHints { delimiter: Some(b'|'), quote: Some(b'\'') };
        let expected = Dialect { delimiter: b'|', quote: b'\'' };
        assert_eq!(recognize(head, hints).dialect, expected);
        assert_eq!(recognize(head, hints).skip_lines, 1);
        let absurd = DialectHints { delimiter: Some(b'\n'), quote: Some(b';') };
        assert_eq!(recognize(head, absurd).dialect, Dialect { delimiter: b';', quote: b'"' });
    }

    #[test]
    fn the_cut_last_line_of_a_long_head_is_not_counted() {
        let row = "a@x.io;1,2\n";
        let head = row.repeat(HEAD_BYTES / row.len() + 1);
        assert_eq!(recognized(&head).0, ';');
    }
}
