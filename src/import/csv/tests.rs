use proptest::prelude::*;

use super::*;

const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"' };

/// What matters of a record: its line, its text or the fields, and its problem.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: u32,
    cells: Vec<Vec<u8>>,
    problem: Option<RecordProblem>,
}

fn rows(bytes: &[u8], dialect: Dialect, records: &Records) -> Vec<Row> {
    let mut scratch = Vec::new();
    let row = |record: &Record| Row {
        line: record.line,
        cells: records
            .fields_of(record)
            .iter()
            .map(|&field| cell(bytes, field, dialect, record.flags, &mut scratch).to_vec())
            .collect(),
        problem: record.problem,
    };
    records.records.iter().map(row).collect()
}

/// Scans both ways, and demands that they agree to the byte.
fn scanned(bytes: &[u8], dialect: Dialect, columns: usize, limits: Limits) -> Records {
    let (mut fast, mut plain) = (Records::default(), Records::default());
    scan_within(bytes, dialect, columns, limits, &mut fast);
    scan_plain_within(bytes, dialect, columns, limits, &mut plain);
    // The fields may lie elsewhere in the list, as those of empty lines do.
    let told = |records: &Records| {
        let at = |record: &Record| (Record { first_field: 0, ..*record }, records.fields_of(record).to_vec());
        (records.records.iter().map(at).collect::<Vec<_>>(), records.lines)
    };
    assert_eq!(told(&fast), told(&plain), "{:?}", String::from_utf8_lossy(bytes));
    fast
}

/// One line a record: its line, its cells in brackets, its problem.
fn told(text: &[u8], columns: usize) -> String {
    let records = scanned(text, COMMA, columns, Limits::default());
    let mut told = String::new();
    for row in rows(text, COMMA, &records) {
        let cells: Vec<_> = row.cells.iter().map(|cell| String::from_utf8_lossy(cell)).collect();
        let problem = row.problem.map_or(String::new(), |problem| format!(" {problem:?}"));
        told += &format!("{}[{}]{problem}; ", row.line, cells.join("|"));
    }
    format!("{told}{} lines", records.lines)
}

#[test]
fn records_are_read_as_rfc_4180_says() {
    for (text, columns, expected) in [
        // Newlines of every style, and none at the end.
        ("a,b\nc,d\n", 2, "0[a|b]; 1[c|d]; 2 lines"),
        ("a,b\r\nc,d\r\n", 2, "0[a|b]; 1[c|d]; 2 lines"),
        ("a,b\rc,d\r", 2, "0[a|b]; 1[c|d]; 2 lines"),
        ("a,b\nc,d", 2, "0[a|b]; 1[c|d]; 2 lines"),
        ("a,b\r\n\"c\",d\re,\"f\"\n", 2, "0[a|b]; 1[c|d]; 2[e|f]; 3 lines"),
        // Empty lines are skipped and counted; blanks and delimiters are a record.
        ("", 1, "0 lines"),
        ("\n", 1, "1 lines"),
        ("\r\n\n\ra\n\n", 1, "3[a]; 5 lines"),
        ("\n \n,\n\"\"\n", 1, "1[ ]; 2[|] TooManyFields; 3[]; 4 lines"),
        (",,\n,,", 3, "0[||]; 1[||]; 2 lines"),
        // Quotes.
        ("\"a\",\"b,c\"\n", 2, "0[a|b,c]; 1 lines"),
        ("\"a\"\"b\",\"\"\"\"\nc,d", 2, "0[a\"b|\"]; 1[c|d]; 2 lines"),
        ("\"\",\"\"\n", 2, "0[|]; 1 lines"),
        ("\"a\r\nb\",\"\nc\"\nd,e\n", 2, "0[a\r\nb|\nc]; 3[d|e]; 4 lines"),
        (" \"a\",b\n", 2, "0[] MisplacedQuote; 1 lines"),
    ] {
        assert_eq!(told(text.as_bytes(), columns), expected, "{text:?}");
    }
}

#[test]
fn a_broken_row_is_reported_and_the_next_one_is_read() {
    for (text, expected) in [
        ("a\nb,c\nd,e,f\ng,h\n", "0[a] TooFewFields; 1[b|c]; 2[d|e|f] TooManyFields; 3[g|h]; 4 lines"),
        // A quote where none belongs.
        ("a\"b,c\nd,e\n", "0[] MisplacedQuote; 1[d|e]; 2 lines"),
        ("\"a\"b,c\nd,e\n", "0[] MisplacedQuote; 1[d|e]; 2 lines"),
        ("\"a\" ,c\nd,e\n", "0[] MisplacedQuote; 1[d|e]; 2 lines"),
        ("a\",\"b\nc\"\nd,e\n", "0[] MisplacedQuote; 2[d|e]; 3 lines"),
        // A quote that nobody closes, and one that only seems closed by the next quoted field.
        ("a,\"b\nc,d\ne,f\n", "0[] UnclosedQuote; 1[c|d]; 2[e|f]; 3 lines"),
        ("a,\"b\nc,\"d\"\ne,f\n", "0[] UnclosedQuote; 1[c|d]; 2[e|f]; 3 lines"),
        ("\"a,b\n\"c\",d\n\"e\",f\n", "0[] UnclosedQuote; 1[c|d]; 2[e|f]; 3 lines"),
        ("a,\"b\nc,\"d\ne,f\n", "0[] UnclosedQuote; 1[] UnclosedQuote; 2[e|f]; 3 lines"),
        ("a,\"b", "0[] UnclosedQuote; 1 lines"),
        ("a,\"", "0[] UnclosedQuote; 1 lines"),
        ("a,\"b\r\n\r\nc,d", "0[] UnclosedQuote; 2[c|d]; 3 lines"),
        // The part of the record that was sound keeps its lines.
        ("\"a\nb\",\"c\nd,e\n", "0[] UnclosedQuote; 2[d|e]; 3 lines"),
        ("a,b\0\nd,e\n", "0[a|b\0] Nul; 1[d|e]; 2 lines"),
        ("\0\nd,e\n", "0[\0] Nul; 1[d|e]; 2 lines"),
    ] {
        assert_eq!(told(text.as_bytes(), 2), expected, "{text:?}");
    }
    let not_text = b"a,\xff\nd,e\nf\xc3\n\"\xc3\xa4\",g\n";
    assert_eq!(told(not_text, 2), "0[a|\u{fffd}] NotText; 1[d|e]; 2[f\u{fffd}] TooFewFields; 3[ä|g]; 4 lines");
}

#[test]
fn a_field_or_row_too_long_is_reported_and_the_next_one_is_read() {
    let limits = Limits { row_bytes_max: 10, field_bytes_max: 5 };
    for (text, expected) in [
        ("12345,1234\na,b\n", vec![(0, None), (1, None)]),
        ("12345,12345\na,b\n", vec![(0, Some(RecordProblem::RowTooLong)), (1, None)]),
        ("123456,1\na,b\n", vec![(0, Some(RecordProblem::FieldTooLong)), (1, None)]),
        ("\"12345\",1\na,b\n", vec![(0, None), (1, None)]),
        ("\"123456\",1\na,b", vec![(0, Some(RecordProblem::FieldTooLong)), (1, None)]),
        // A quoted field that closes, but beyond the limit, is not believed.
        (
            "\"1\n2\n3\n4\n5\n6\",\"1\"\n",
            vec![
                (0, Some(RecordProblem::UnclosedQuote)),
                (1, Some(RecordProblem::TooFewFields)),
                (2, Some(RecordProblem::TooFewFields)),
                (3, Some(RecordProblem::TooFewFields)),
                (4, Some(RecordProblem::TooFewFields)),
                (5, Some(RecordProblem::MisplacedQuote)),
            ],
        ),
        ("\"1,23456789012\na,\"\"\n", vec![(0, Some(RecordProblem::RowTooLong)), (1, None)]),
    ] {
        let records = scanned(text.as_bytes(), COMMA, 2, limits);
        let found: Vec<_> = records.records.iter().map(|record| (record.line, record.problem)).collect();
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn more_fields_than_can_be_counted_are_too_many() {
    let text = [",".repeat(70_000).as_bytes(), b"\na,b\n"].concat();
    let records = scanned(&text, COMMA, 2, Limits::default());
    let found: Vec<_> = records.records.iter().map(|record| (record.fields, record.problem)).collect();
    assert_eq!(found, [(u16::MAX, Some(RecordProblem::TooManyFields)), (2, None)]);
}

#[test]
fn masks_carry_over_from_block_to_block() {
    // Every offset of the same text within the blocks of 64 bytes.
    let text = b"ab,\"c\"\"d\r\n,\"\r\n\r\n\"\",x\"\r\ny\"z,1\n\"q\",\"\"\"\"\n";
    for shift in 0..130 {
        let padded = ["p".repeat(shift).as_bytes(), b",p\r\n", &text.repeat(4)].concat();
        scanned(&padded, COMMA, 2, Limits::default());
        let sound: Vec<u8> = padded.iter().copied().filter(|&byte| byte != b'z').collect();
        scanned(&sound, COMMA, 2, Limits::default());
    }
}

#[test]
fn rows_above_a_table_are_skipped_as_a_person_counts_them() {
    for (text, rows, expected) in [
        ("a\nb,c\n", 0, Some("a\nb,c\n")),
        ("a\nb,c\n", 1, Some("b,c\n")),
        ("a\r\n\r\n\rb", 3, Some("b")),
        ("\"a\nb\",c\nd\n", 1, Some("d\n")),
        ("\"a\nb,c\nd\n", 2, Some("d\n")),
        ("a\n", 1, None),
        ("a\nb\n", 3, None),
        ("", 1, None),
    ] {
        let found = skip_rows(text.as_bytes(), COMMA, rows, true);
        let lines = |skipped: &str| skipped.replace("\r\n", "\n").matches(['\n', '\r']).count() as u32;
        let expected = expected.map(|rest| (text.len() - rest.len(), lines(&text[..text.len() - rest.len()])));
        assert_eq!(found, expected, "{text:?}");
    }
    // A row that the text cuts is not known yet.
    assert_eq!(skip_rows(b"a,\"b", COMMA, 1, false), None);
}

#[test]
fn odd_dialects_are_read_by_both_twins() {
    for (delimiter, quote) in [(b';', b'\''), (b'\t', b'"'), (b'"', b'"'), (b'\n', b'"'), (b',', b'\r'), (0, b'"')] {
        scanned(b"a;'b\n'\t\"c\"\n,\r\n\"\"\0x\n", Dialect { delimiter, quote }, 2, Limits::default());
    }
}

/// Text that is dense in everything that matters to the scanner.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(&b","[..]),
        4 => Just(&b"\n"[..]),
        2 => Just(&b"\r\n"[..]),
        1 => Just(&b"\r"[..]),
        4 => Just(&b"\""[..]),
        2 => Just(&b"\"\""[..]),
        2 => Just(&b",\""[..]),
        2 => Just(&b"\","[..]),
        2 => Just(&b"\"\n"[..]),
        6 => Just(&b"ab"[..]),
        2 => Just(&b"a longer piece of text that makes the blocks move on"[..]),
        1 => Just(&b"\xc3\xa4"[..]),
        1 => Just(&b"\xff"[..]),
        1 => Just(&b"\0"[..]),
    ];
    proptest::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

fn any_cell() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9@. ]{0,12}", 1 => "[a-zäß,;\"\r\n ]{0,70}"]
}

fn any_table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1usize..6).prop_flat_map(|columns| {
        proptest::collection::vec(proptest::collection::vec(any_cell(), columns..=columns), 0..20)
    })
}

fn written(table: &[Vec<String>], terminator: csv::Terminator) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
    for row in table {
        writer.write_record(row).expect("rows of one length");
    }
    writer.into_inner().expect("a vector takes all")
}

fn read_by_csv(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let records = reader.byte_records().map(|record| record.expect("a slice never fails"));
    records.map(|record| record.iter().map(<[u8]>::to_vec).collect()).collect()
}

proptest! {
    #[test]
    fn the_fast_scan_is_the_plain_scan(text in any_text(), columns in 0usize..5, row in 1usize..200, field in 1usize..60) {
        scanned(&text, COMMA, columns, Limits::default());
        scanned(&text, COMMA, columns, Limits { row_bytes_max: row, field_bytes_max: field });
    }

    #[test]
    fn well_formed_files_are_read_as_the_csv_crate_reads_them(table in any_table(), style in 0usize..3) {
        let terminator =
            [csv::Terminator::CRLF, csv::Terminator::Any(b'\n'), csv::Terminator::Any(b'\r')][style];
        let text = written(&table, terminator);
        let columns = table.first().map_or(0, Vec::len);
        let records = scanned(&text, COMMA, columns, Limits::default());
        let found = rows(&text, COMMA, &records);
        prop_assert!(found.iter().all(|row| row.problem.is_none()));
        let found: Vec<_> = found.into_iter().map(|row| row.cells).collect();
        let table: Vec<Vec<Vec<u8>>> =
            table.into_iter().map(|row| row.into_iter().map(String::into_bytes).collect()).collect();
        prop_assert_eq!(&found, &table);
        prop_assert_eq!(found, read_by_csv(&text));
    }

    #[test]
    fn a_broken_file_is_read_as_the_csv_crate_reads_it_or_reported(
        table in any_table(), at in any::<prop::sample::Index>(), byte in prop::sample::select(&b"\",\n\rx"[..]),
    ) {
        let mut text = written(&table, csv::Terminator::Any(b'\n'));
        if !text.is_empty() {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let columns = table.first().map_or(0, Vec::len);
        let found = rows(&text, COMMA, &scanned(&text, COMMA, columns, Limits::default()));
        let quotes_right = found.iter().all(|row| {
            !matches!(row.problem, Some(RecordProblem::MisplacedQuote | RecordProblem::UnclosedQuote))
        });
        if quotes_right {
            let found: Vec<_> = found.into_iter().map(|row| row.cells).collect();
            prop_assert_eq!(found, read_by_csv(&text));
        }
    }
}
