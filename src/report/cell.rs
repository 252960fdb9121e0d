//! Cells of our CSV files: quoted where RFC 4180 wants it, and guarded so that no spreadsheet takes one for a formula.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, tab or CR and is not a plain number or phone number gets a leading `'`; so
//! does one that begins with `'`s before such a character. Imports remove one such `'`, so that files round-trip.

use memchr::memchr3;

/// Whether a spreadsheet may take a cell that begins so for a formula.
#[inline]
fn starts_formula(byte: u8) -> bool {
    matches!(byte, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')
}

/// Whether what follows any leading `'`s starts a formula.
#[inline]
fn is_guarded(cell: &[u8]) -> bool {
    let rest = cell.iter().position(|&byte| byte != b'\'').map_or(&[][..], |at| &cell[at..]);
    rest.len() < cell.len() && rest.first().is_some_and(|&byte| starts_formula(byte))
}

/// A number such as `-12.50` or a phone number such as `+370 612 34567`: harmless, and useless with a `'` before it. Only a
/// sign may lead it: `=5` and `@5` are formulas like any other.
fn is_number_or_phone(cell: &[u8]) -> bool {
    let Some((b'+' | b'-', rest)) = cell.split_first() else { return false };
    let digits = rest.iter().filter(|byte| byte.is_ascii_digit()).count();
    let points = rest.iter().filter(|&&byte| byte == b'.').count();
    if digits > 0 && digits + points == rest.len() && points <= 1 && rest[0] != b'.' && rest[rest.len() - 1] != b'.' {
        return true;
    }
    cell[0] == b'+'
        && (5..=15).contains(&digits)
        && rest.first().is_some_and(u8::is_ascii_digit)
        && rest.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'(' | b')'))
        && rest.last().is_some_and(u8::is_ascii_digit)
}

/// Takes off the `'` that `write_cell` puts before what looks like a formula.
#[inline]
pub fn unguarded(cell: &[u8]) -> &[u8] {
    if cell.first() == Some(&b'\'') && is_guarded(cell) { &cell[1..] } else { cell }
}

/// Appends a cell that came from outside.
#[inline]
pub fn write_cell(cell: &[u8], out: &mut Vec<u8>) {
    let Some(&first) = cell.first() else { return };
    let guard = (starts_formula(first) && !is_number_or_phone(cell)) || (first == b'\'' && is_guarded(cell));
    if memchr3(b',', b'"', b'\n', cell).is_none() && memchr::memchr(b'\r', cell).is_none() {
        if guard {
            out.push(b'\'');
        }
        out.extend_from_slice(cell);
        return;
    }
    out.push(b'"');
    if guard {
        out.push(b'\'');
    }
    for &byte in cell {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(cell: &str) -> String {
        let mut out = Vec::new();
        write_cell(cell.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formulas_are_guarded_and_numbers_are_not() {
        for (cell, expected) in [
            ("ana@example.com", "ana@example.com"),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-5", "-5"),
            ("-5.25", "-5.25"),
            ("+37061234567", "+37061234567"),
            ("+370 612-34567", "+370 612-34567"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("-", "'-"),
            ("+", "'+"),
            ("=5", "'=5"),
            ("=-5", "'=-5"),
            ("@5", "'@5"),
            ("@5.25", "'@5.25"),
            ("\t5", "'\t5"),
            ("\r5", "\"'\r5\""),
            ("'=5", "''=5"),
            ("+5", "+5"),
            ("-5.", "'-5."),
            ("5", "5"),
            ("\tx", "'\tx"),
            ("'=x", "''=x"),
            ("'plain", "'plain"),
            ("a,b", "\"a,b\""),
            ("=a\"b", "\"'=a\"\"b\""),
        ] {
            assert_eq!(written(cell), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(cell in "['=+@\t\r,\"a1.-]{0,6}") {
            let line = format!("{},end\n", written(&cell));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(unguarded(record[0].as_bytes()), cell.as_bytes());
            // Nothing that is written starts a formula, apart from numbers with a sign.
            let is_number = record[0].strip_prefix(['+', '-']).is_some_and(|rest| {
                rest.starts_with(|first: char| first.is_ascii_digit())
                    && rest.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-')
            });
            prop_assert!(is_number || !record[0].starts_with(['=', '+', '-', '@', '\t', '\r']));
        }
    }
}
