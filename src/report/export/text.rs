//! The formats of text: CSV, whose cells are guarded against spreadsheets, and NDJSON, an object a line.

use super::table::{ColumnType, Kind, MISSING, Table, Written};
use crate::report::cell::write_cell;

/// Appends the line of names.
pub fn write_header(columns: &[ColumnType], out: &mut Vec<u8>) {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    out.extend_from_slice(names.join(",").as_bytes());
    out.push(b'\n');
}

/// Appends rows as CSV.
pub fn write_csv(table: &Table, out: &mut Vec<u8>) {
    let mut written = Written::new(table.columns().len());
    for row in 0..table.rows() {
        for (at, column) in table.columns().iter().enumerate() {
            match column.of.kind {
                Kind::Text | Kind::Word => write_cell(column.text(row), out),
                _ => written.cell(at, column, row, out),
            }
            out.push(b',');
        }
        if let Some(last) = out.last_mut() {
            *last = b'\n';
        }
    }
}

/// Appends rows as JSON, an object a line. Amounts, days and moments are strings, as everywhere; what is missing is null, so
/// that every line has the same keys.
pub fn write_ndjson(table: &Table, out: &mut Vec<u8>) {
    let mut written = Written::new(table.columns().len());
    let keys: Vec<String> = table.columns().iter().map(|column| format!("\"{}\":", column.of.name)).collect();
    for row in 0..table.rows() {
        let mut mark = b'{';
        for (at, (column, key)) in table.columns().iter().zip(&keys).enumerate() {
            out.push(mark);
            mark = b',';
            out.extend_from_slice(key.as_bytes());
            match column.of.kind {
                Kind::Text | Kind::Word => match column.text(row) {
                    b"" => out.extend_from_slice(b"null"),
                    text => write_json_string(text, out),
                },
                _ if column.numbers[row] == MISSING => out.extend_from_slice(b"null"),
                Kind::Integer | Kind::Counter => written.cell(at, column, row, out),
                Kind::Amount | Kind::Decimal(_) | Kind::Date | Kind::Time => {
                    out.push(b'"');
                    written.cell(at, column, row, out);
                    out.push(b'"');
                }
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a text, which is UTF-8, as a JSON string.
fn write_json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !text.iter().any(|&byte| is_special(byte)) {
        out.extend_from_slice(text);
    } else {
        for &byte in text {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                byte if byte < 0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                byte => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{cell::unguarded, export::table::column};

    proptest! {
        #[test]
        fn any_texts_read_back_from_csv_and_json(
            rows in prop::collection::vec(("\\PC{0,12}", "[\u{0}-\u{1f}\"\\\\,=+@'é\u{2028}-]{0,6}"), 0..8),
        ) {
            let types = [column("a", Kind::Text), column("b", Kind::Word)];
            let mut table = Table::new(&types, 100);
            for (one, other) in &rows {
                table.text(0, one.as_bytes());
                table.text(1, other.as_bytes());
                table.end_row();
            }
            let mut csv = Vec::new();
            write_header(&types, &mut csv);
            write_csv(&table, &mut csv);
            let mut reader = csv::Reader::from_reader(csv.as_slice());
            let read: Vec<(String, String)> = reader
                .byte_records()
                .map(|record| {
                    let record = record.unwrap();
                    let cell = |at: usize| String::from_utf8(unguarded(&record[at]).to_vec()).unwrap();
                    (cell(0), cell(1))
                })
                .collect();
            prop_assert_eq!(&read, &rows);
            let mut json = Vec::new();
            write_ndjson(&table, &mut json);
            let lines = String::from_utf8(json).unwrap();
            let read: Vec<(String, String)> = lines
                .split_terminator('\n')
                .map(|line| {
                    let object: serde_json::Value = serde_json::from_str(line).unwrap();
                    let cell = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
                    (cell("a"), cell("b"))
                })
                .collect();
            prop_assert_eq!(&read, &rows);
        }
    }
}
