use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::import::csv::{Limits, RecordProblem, Records, scan_within};

const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"' };

/// A reader that gives a few bytes at a time, so that no border can depend on how they come.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(into.len()).min(self.0.len());
        into[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        self.1 = self.1 % 7 + 1;
        Ok(n)
    }
}

/// The same by a cutter that can look beyond what it holds.
fn seeing_chunks(text: &[u8], chunk_bytes_max: usize, row_bytes_max: usize) -> Vec<Chunk> {
    let ahead = text.to_vec();
    let look: LookAhead = Box::new(move |offset| Ok(Box::new(io::Cursor::new(ahead[offset as usize..].to_vec()))));
    let cutter = Cutter::new(Trickle(text, 3), COMMA, chunk_bytes_max, row_bytes_max, 0, 0);
    let mut cutter = cutter.seeing(Beyond::Reader(look));
    let mut chunks = Vec::new();
    while let Some(chunk) = cutter.next().expect("memory never fails") {
        chunks.push(chunk);
    }
    chunks
}

fn chunks(reader: impl Read, chunk_bytes_max: usize, row_bytes_max: usize) -> Vec<Chunk> {
    let mut cutter = Cutter::new(reader, COMMA, chunk_bytes_max, row_bytes_max, 0, 0);
    let mut chunks = Vec::new();
    while let Some(chunk) = cutter.next().expect("memory never fails") {
        chunks.push(chunk);
    }
    chunks
}

type Row = (u64, u32, Option<RecordProblem>, Vec<u8>);

/// Offset, line, problem and text of each record, where the text of a row too long is left out.
fn rows_of(chunks: &[Chunk], row_bytes_max: usize) -> (Vec<Row>, u32) {
    let limits = Limits { row_bytes_max, field_bytes_max: usize::MAX };
    let (mut rows, mut lines, mut records) = (Vec::new(), 0, Records::default());
    for chunk in chunks {
        scan_within(&chunk.bytes, COMMA, 2, limits, &mut records);
        chunk.settle(&mut records);
        for record in &records.records {
            let long = record.problem == Some(RecordProblem::RowTooLong);
            let text = if long { Vec::new() } else { record.raw(&chunk.bytes).to_vec() };
            rows.push((chunk.offset + u64::from(record.start), lines + record.line, record.problem, text));
        }
        lines += records.lines;
    }
    (rows, lines)
}

fn whole(text: &[u8]) -> Vec<Chunk> {
    vec![Chunk {
        number: 0,
        offset: 0,
        end: text.len() as u64,
        bytes: text.to_vec(),
        ends_source: true,
        lines_dropped: None,
    }]
}

fn assert_chunks_are_sound(text: &[u8], chunks: &[Chunk], row_bytes_max: usize) {
    let mut end = 0;
    for (at, chunk) in chunks.iter().enumerate() {
        assert_eq!((chunk.number, chunk.offset), (at as u64, end));
        assert!(!chunk.bytes.is_empty());
        end = chunk.end;
        assert_eq!(chunk.ends_source, end == text.len() as u64);
        if chunk.end - chunk.offset == chunk.bytes.len() as u64 {
            assert_eq!(chunk.bytes, text[chunk.offset as usize..end as usize]);
        } else {
            assert!(chunk.bytes.len() <= row_bytes_max + 3);
        }
    }
    assert_eq!(end, text.len() as u64);
}

#[test]
fn a_chunk_is_the_whole_records_that_fit() {
    for (text, max, expected) in [
        ("aa\nbb\ncc\n", 6, vec!["aa\nbb\n", "cc\n"]),
        ("aa\nbb\ncc\n", 8, vec!["aa\nbb\n", "cc\n"]),
        ("aa\nbb\ncc\n", 9, vec!["aa\nbb\ncc\n"]),
        ("aa\nbb\ncc", 1, vec!["aa\n", "bb\n", "cc"]),
        // Never between CR and LF.
        ("aa\r\nbb\r\n", 3, vec!["aa\r\n", "bb\r\n"]),
        ("aa\rbb\r", 3, vec!["aa\r", "bb\r"]),
        ("\"a\"\r\nbb\r\n", 4, vec!["\"a\"\r\n", "bb\r\n"]),
        // Never inside quotes, and before a record that does not fit.
        ("a,\"b\nc\"\nd\n", 4, vec!["a,\"b\nc\"\n", "d\n"]),
        ("x\na,\"b\nc\"\nd\n", 6, vec!["x\n", "a,\"b\nc\"\n", "d\n"]),
        ("x\na,\"b\nc\"\nd\n", 10, vec!["x\na,\"b\nc\"\n", "d\n"]),
        // An unclosed quote is a line of its own.
        ("a,\"b\nc\nd\ne\n", 7, vec!["a,\"b\nc\n", "d\ne\n"]),
        ("x\na\"b\nc\nd\n", 9, vec!["x\na\"b\nc\n", "d\n"]),
        ("", 4, vec![]),
    ] {
        let found = chunks(text.as_bytes(), max, 1 << 20);
        let texts: Vec<_> = found.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect();
        assert_eq!(texts, expected, "{text:?} by {max}");
        assert_chunks_are_sound(text.as_bytes(), &found, 1 << 20);
    }
}

#[test]
fn a_row_too_long_is_cut_and_the_rest_of_its_line_dropped() {
    let text = [b"a,b\n", "x".repeat(200_000).as_bytes(), b"\r\nc,d\n", "y".repeat(99).as_bytes()].concat();
    let found = chunks(&text[..], 4, 10);
    let texts: Vec<_> = found.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect();
    assert_eq!(texts, ["a,b\n", "xxxxxxxxxxx\r\n", "c,d\n", "yyyyyyyyyyy"]);
    assert_chunks_are_sound(&text, &found, 10);
}

#[test]
fn lines_of_a_quoted_field_too_long_are_no_rows() {
    let inner = "ana@example.com,1000\n".repeat(50);
    let closed = format!("a,1\nb,\"{inner}\"\"{inner}\",x,\"y\nz\"\nc,3\n");
    let lines_after = 103;
    for (text, expected) in [
        (closed.clone(), vec![(0, None), (1, Some(RecordProblem::RowTooLong)), (lines_after, None)]),
        (closed.replace('\n', "\r\n"), vec![(0, None), (1, Some(RecordProblem::RowTooLong)), (lines_after, None)]),
        // The end of the file closes it as well.
        (format!("a,1\nb,\"{inner}\""), vec![(0, None), (1, Some(RecordProblem::RowTooLong))]),
        // A field that begins beyond what may be held is followed too.
        (format!("{},\"{inner}\"\nc,3\n", "x".repeat(90)), vec![(0, Some(RecordProblem::RowTooLong)), (51, None)]),
    ] {
        let found = seeing_chunks(text.as_bytes(), 32, 64);
        let rows: Vec<_> = rows_of(&found, 64).0.into_iter().map(|(_, line, problem, _)| (line, problem)).collect();
        assert_eq!(rows, expected, "{text:?}");
        assert_chunks_are_sound(text.as_bytes(), &found, 64);
    }
    // Whoever can read only once takes an open quote for one; nothing inside is applied.
    let mut once = Cutter::new(closed.as_bytes(), COMMA, 32, 64, 0, 0).seeing(Beyond::Once);
    let mut found = Vec::new();
    while let Some(chunk) = once.next().expect("memory never fails") {
        found.push(chunk);
    }
    assert_eq!(found, seeing_chunks(closed.as_bytes(), 32, 64));
}

#[test]
fn a_chunk_of_short_rows_has_a_bounded_number_of_them() {
    for newline in ["\n", "\r", "\r\n"] {
        let text = format!("q{newline}").repeat(200_000);
        let found = chunks(text.as_bytes(), 1 << 20, 1 << 24);
        let (rows, lines) = rows_of(&found, 1 << 24);
        assert_eq!((rows.len(), lines), (200_000, 200_000));
        let most = found.iter().map(|chunk| chunk.bytes.len() / (1 + newline.len())).max();
        assert_eq!(most, Some(CHUNK_LINES_MAX));
        assert_chunks_are_sound(text.as_bytes(), &found, 1 << 24);
    }
}

#[test]
fn an_unclosed_quote_costs_its_row_only() {
    let sound = "ana@example.com,5\n".repeat(100_000);
    let text = format!("a,1\nb,\"2\n{sound}");
    for max in [1 << 10, 1 << 16, 1 << 20] {
        let (rows, lines) = rows_of(&chunks(text.as_bytes(), max, 1 << 21), 1 << 21);
        let bad: Vec<_> = rows.iter().filter(|row| row.2.is_some()).map(|row| row.1).collect();
        assert_eq!((rows.len(), lines, bad), (100_002, 100_002, vec![1]), "{max}");
    }
}

#[test]
fn cutting_can_begin_at_any_chunk() {
    let text = b"a,\"x\ny\"\nb,1\nc\"d\n\"e,f\ng,h\n".repeat(20);
    let all = chunks(&text[..], 32, 64);
    for chunk in &all {
        let from = &text[chunk.offset as usize..];
        let mut cutter = Cutter::new(from, COMMA, 32, 64, chunk.offset, chunk.number);
        for expected in &all[chunk.number as usize..] {
            assert_eq!(cutter.next().expect("memory never fails").as_ref(), Some(expected));
        }
    }
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(&b","[..]),
        6 => Just(&b"\n"[..]),
        2 => Just(&b"\r\n"[..]),
        1 => Just(&b"\r"[..]),
        3 => Just(&b"\""[..]),
        2 => Just(&b"\"\""[..]),
        2 => Just(&b",\""[..]),
        2 => Just(&b"\","[..]),
        2 => Just(&b"\"\n"[..]),
        6 => Just(&b"ab"[..]),
        2 => Just(&b"text that is longer"[..]),
    ];
    proptest::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn chunks_hold_the_rows_of_the_whole(text in any_text(), max in 1usize..300, row_max in 1usize..400) {
        for (max, row_max) in [(max, row_max), (1, row_max), (max, 1 << 20), (1, 1 << 20), (1 << 20, 1 << 20)] {
            let found = chunks(&text[..], max, row_max);
            assert_chunks_are_sound(&text, &found, row_max);
            prop_assert_eq!(rows_of(&found, row_max), rows_of(&whole(&text), row_max));
            prop_assert_eq!(chunks(Trickle(&text, 3), max, row_max), found);
        }
    }

    /// However little may be held, records begin where they do if all of the text may be.
    #[test]
    fn who_sees_beyond_begins_records_where_who_holds_all_does(
        text in any_text(), max in 1usize..300, row_max in 1usize..400,
    ) {
        let begins = |chunks: &[Chunk], row_max| -> Vec<(u64, u32)> {
            rows_of(chunks, row_max).0.into_iter().map(|(offset, line, ..)| (offset, line)).collect()
        };
        let found = seeing_chunks(&text, max, row_max);
        assert_chunks_are_sound(&text, &found, row_max);
        prop_assert_eq!(begins(&found, row_max), begins(&whole(&text), 1 << 20));
        prop_assert_eq!(rows_of(&found, row_max).1, rows_of(&whole(&text), 1 << 20).1);
    }
}
