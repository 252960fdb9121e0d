//! The first records of an asynchronous source, before it is decided what becomes of it.
//!
//! The hot path has a scanner of its own, which wants whole chunks of a file that can be read again. A source that comes in
//! pieces, of which a screenful is wanted, is what csv-async is for.

use csv_async::{AsyncReaderBuilder, ByteRecord};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    domain::rejection::Rejection,
    error::{Error, Result},
    import::{
        dialect::{self, DialectHints, HEAD_BYTES, Recognized},
        preview::{RawPreview, RawProblem, RawRecord},
        source::{Encoding, push_windows_1252},
    },
};

/// Bytes of a source that are read at most: a quote that is never closed would otherwise make all of it one cell.
pub const PEEK_BYTES_MAX: u64 = 1 << 20;

/// The first records of a text, as [`crate::engine::preview::raw_preview`] shows those of a file, and what was read of the
/// source: whoever goes on with it puts that in front, for instance with `peeked.read.as_slice().chain(source)`.
#[derive(Debug, Default)]
pub struct Peeked {
    /// The records.
    pub preview: RawPreview,
    /// The bytes that were taken from the source.
    pub read: Vec<u8>,
}

/// Reads the first `rows_max` records of a source, within its first [`PEEK_BYTES_MAX`] bytes.
///
/// The text is UTF-8 or Windows-1252, as it comes: neither compressed nor UTF-16, for which it has to be uploaded. Ragged
/// records are shown as they are. Nothing is kept, and no store is needed.
///
/// # Errors
/// `Input` when the source fails, or is compressed or UTF-16.
pub async fn peek(mut source: impl AsyncRead + Unpin, hints: DialectHints, rows_max: u64) -> Result<Peeked> {
    let failed = |error: std::io::Error| Error::input(format!("the stream cannot be read: {error}"));
    let mut read = Vec::new();
    (&mut source).take(HEAD_BYTES as u64).read_to_end(&mut read).await.map_err(failed)?;
    let encoding = Encoding::recognize(&read, read.len() < HEAD_BYTES);
    if matches!(encoding, Encoding::Utf16Le | Encoding::Utf16Be) || is_compressed(&read) {
        return Err(Error::input("the stream is compressed or UTF-16, of which nothing can be shown on its way")
            .hint("upload it, and preview what was uploaded"));
    }
    let Recognized { dialect, skip_bytes, skip_lines } = dialect::recognize(&read, hints);
    // More is only read if the head does not hold as many records; what it holds is enough for any screen.
    if read.len() == HEAD_BYTES {
        (&mut source).take(PEEK_BYTES_MAX - HEAD_BYTES as u64).read_to_end(&mut read).await.map_err(failed)?;
    }
    let is_whole = (read.len() as u64) < PEEK_BYTES_MAX;
    let text = read.get(skip_bytes..).unwrap_or_default();
    let mut reader = AsyncReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.delimiter)
        .quote(dialect.quote)
        .create_reader(text);
    let (mut preview, mut record) = (RawPreview::default(), ByteRecord::new());
    let mut lines = Lines { line: 1 + u64::from(skip_lines), at: 0 };
    let mut rows = 0;
    while rows < rows_max && reader.read_byte_record(&mut record).await.map_err(|error| failed(error.into()))? {
        // The last record of a head that was cut may be cut itself.
        if !is_whole && reader.position().byte() == text.len() as u64 {
            break;
        }
        rows += 1;
        let start = record.position().map_or(0, |position| position.byte() as usize);
        lines.move_on(text, start);
        let line = lines.line;
        match cells(&record, encoding) {
            Some(cells) => {
                if cells.iter().any(|cell| cell.contains('\0')) {
                    preview.rejected.push(problem(line, Rejection::RowMalformed, "the row has a NUL"));
                }
                preview.records.push(RawRecord { line, cells });
            }
            None => preview.rejected.push(problem(line, Rejection::EncodingInvalid, "the row is not UTF-8")),
        }
    }
    Ok(Peeked { preview, read })
}

/// Counts physical lines. csv-async does too, but where a line ends in CR LF it has a record begin at the LF.
struct Lines {
    line: u64,
    at: usize,
}

impl Lines {
    /// Moves on to the record that begins at or behind `start`: behind it, where newlines stand there.
    fn move_on(&mut self, text: &[u8], start: usize) {
        while let Some(&byte) = text.get(self.at).filter(|byte| self.at < start || matches!(byte, b'\r' | b'\n')) {
            // CR LF is one newline, counted at its LF.
            let is_newline = byte == b'\n' || byte == b'\r' && text.get(self.at + 1) != Some(&b'\n');
            self.line += u64::from(is_newline);
            self.at += 1;
        }
    }
}

fn problem(line: u64, code: Rejection, message: &str) -> RawProblem {
    RawProblem { line, code, message: message.to_owned() }
}

fn cells(record: &ByteRecord, encoding: Encoding) -> Option<Vec<String>> {
    let text = |cell: &[u8]| match encoding {
        Encoding::Windows1252 => {
            let mut decoded = Vec::with_capacity(cell.len());
            cell.iter().for_each(|&byte| push_windows_1252(byte, &mut decoded));
            String::from_utf8(decoded).ok()
        }
        _ => std::str::from_utf8(cell).ok().map(str::to_owned),
    };
    record.iter().map(text).collect()
}

/// Whether the bytes begin as gzip or zstd does.
fn is_compressed(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peeked(text: &[u8], rows_max: u64) -> Result<Peeked> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(peek(text, DialectHints::default(), rows_max))
    }

    fn shown(text: &[u8], rows_max: u64) -> Vec<(u64, String)> {
        let records = peeked(text, rows_max).unwrap().preview.records;
        records.into_iter().map(|record| (record.line, record.cells.join("|"))).collect()
    }

    #[test]
    fn the_first_records_are_shown_as_they_are_written() {
        for (text, expected) in [
            (&b"email,points\na@x.io,5\n"[..], &[(1, "email|points"), (2, "a@x.io|5")][..]),
            (b"email;points\r\n\"a;\nb\";5\r\nc;6", &[(1, "email|points"), (2, "a;\nb|5"), (4, "c|6")]),
            (b"sep=;\na;b\n1;2\n", &[(2, "a|b"), (3, "1|2")]),
            (b"\xef\xbb\xbfa,b\n1,2,3\n", &[(1, "a|b"), (2, "1|2|3")]),
            (b"name,city\nJos\xe9,\x80\n", &[(1, "name|city"), (2, "Jos\u{e9}|\u{20ac}")]),
            (b"", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(line, cells)| (line, cells.to_owned())).collect();
            assert_eq!(shown(text, 50), expected, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(shown(b"a,b\n1,2\n3,4\n", 2).len(), 2);
    }

    #[test]
    fn what_was_read_is_given_back_and_is_bounded() {
        let text = b"a,\"never closed\n".repeat(1 << 17);
        let peeked = peeked(&text, 50).unwrap();
        assert_eq!(peeked.read.len() as u64, PEEK_BYTES_MAX);
        assert!(text.starts_with(&peeked.read));
    }

    #[test]
    fn what_cannot_be_shown_on_its_way_is_refused() {
        for head in [&b"\x1f\x8b\x08\x00"[..], b"\x28\xb5\x2f\xfd\x00", b"\xff\xfea\0,\0"] {
            assert_eq!(peeked(head, 5).unwrap_err().code(), "input_unreadable");
        }
    }
}
