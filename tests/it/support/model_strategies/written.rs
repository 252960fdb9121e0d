//! How a file is written: the bytes of rows whose meaning is known.

use std::fmt;

use proptest::{prelude::*, sample::select};

use super::super::model::{Content, File, Row};

/// A file's bytes, and what they mean.
#[derive(Clone)]
pub struct Written {
    pub bytes: Vec<u8>,
    pub file: File,
}

impl fmt::Debug for Written {
    /// The bytes as text: that is what one looks at when a case fails.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.bytes))
    }
}

/// A file before it is written: a later one may be made of its rows.
#[derive(Clone, Debug)]
pub struct FilePlan {
    pub columns: Vec<&'static str>,
    /// The columns that it has, in its order, by their place in `columns`.
    pub order: Vec<usize>,
    pub rows: Vec<RowPlan>,
    pub layout: Layout,
}

impl FilePlan {
    /// Writes it.
    pub fn written(&self) -> Written {
        write(&self.columns, &self.order, &self.rows, &self.layout)
    }
}

/// How a row stands in the file.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Whole,
    CellTooFew,
    CellTooMany,
    QuoteInside,
    TextAfterQuote,
    Nul,
    InvalidByte,
}

/// How a file is written.
#[derive(Clone, Debug)]
pub struct Layout {
    newline: &'static str,
    delimiter: char,
    byte_order_mark: bool,
    newline_at_end: bool,
    /// A last row whose quote is never closed.
    open_quote_at_end: bool,
    header: HeaderStyle,
}

#[derive(Clone, Copy, Debug)]
enum HeaderStyle {
    Canonical,
    UpperWithDashes,
    WithSpaces,
}

/// A row before it is written.
#[derive(Clone, Debug)]
pub struct RowPlan {
    pub cells: Vec<String>,
    shape: Shape,
    /// Cells that are quoted though they need not be, by bit.
    quoted: u16,
    blank_lines_before: usize,
}

/// A row of these cells, in the order of the plan's columns.
pub fn row(cells: impl Strategy<Value = Vec<String>>) -> impl Strategy<Value = RowPlan> {
    let quoted = prop_oneof![3 => Just(0), 1 => any::<u16>()];
    let blank_lines = prop_oneof![9 => Just(0), 1 => 1..3_usize];
    (cells, any_shape(), quoted, blank_lines).prop_map(|(cells, shape, quoted, blank_lines_before)| RowPlan {
        cells,
        shape,
        quoted,
        blank_lines_before,
    })
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        150 => Just(Shape::Whole),
        1 => Just(Shape::CellTooFew),
        1 => Just(Shape::CellTooMany),
        1 => Just(Shape::QuoteInside),
        1 => Just(Shape::TextAfterQuote),
        1 => Just(Shape::Nul),
        1 => Just(Shape::InvalidByte),
    ]
}

/// Any way to write a file.
pub fn layout() -> impl Strategy<Value = Layout> {
    (
        select(vec!["\n", "\n", "\r\n", "\r"]),
        select(vec![',', ',', ';', '\t', '|']),
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::bool::weighted(0.1),
        select(vec![HeaderStyle::Canonical, HeaderStyle::UpperWithDashes, HeaderStyle::WithSpaces]),
    )
        .prop_map(|(newline, delimiter, byte_order_mark, newline_at_end, open_quote_at_end, header)| Layout {
            newline,
            delimiter,
            byte_order_mark,
            newline_at_end,
            open_quote_at_end,
            header,
        })
}

fn write(columns: &[&str], order: &[usize], rows: &[RowPlan], layout: &Layout) -> Written {
    let mut bytes = if layout.byte_order_mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    let mut line = 1;
    let mut meant = File { header: order.iter().map(|&at| columns[at].to_string()).collect(), rows: Vec::new() };
    let header = meant.header.iter().map(|column| match layout.header {
        HeaderStyle::Canonical => column.clone(),
        HeaderStyle::UpperWithDashes => column.to_uppercase().replace('_', "-"),
        HeaderStyle::WithSpaces => format!(" {} ", column.replace('_', " ")),
    });
    let delimiter = layout.delimiter.to_string();
    bytes.extend(header.collect::<Vec<_>>().join(&delimiter).bytes());
    for row in rows {
        for _ in 0..=row.blank_lines_before {
            bytes.extend(layout.newline.bytes());
            line += 1;
        }
        let mut cells: Vec<String> = order.iter().map(|&at| row.cells[at].replace('\n', layout.newline)).collect();
        match row.shape {
            Shape::CellTooFew => {
                cells.pop();
                // A single empty cell would be an empty line, which is no row.
                cells[0].push('x');
            }
            Shape::CellTooMany => cells.push("more".to_string()),
            _ => {}
        }
        // What follows a misplaced quote must not hold another: where such a row ends would be a matter of taste.
        let plain = |cell: &String| cell.replace(['"', '\r', '\n', layout.delimiter], "");
        let first = plain(&cells[0]);
        let mut texts: Vec<Vec<u8>> = match row.shape {
            Shape::QuoteInside | Shape::TextAfterQuote => cells.iter().map(|cell| plain(cell).into_bytes()).collect(),
            _ => cells.iter().zip(0..).map(|(cell, at)| quoted(cell, row.quoted >> at & 1 == 1, layout)).collect(),
        };
        let content = match row.shape {
            Shape::Whole | Shape::CellTooFew | Shape::CellTooMany => Content::Cells(cells),
            Shape::QuoteInside => {
                texts[0] = format!("{first}a\"b").into_bytes();
                Content::Broken
            }
            Shape::TextAfterQuote => {
                texts[0] = format!("\"{first}\"b").into_bytes();
                Content::Broken
            }
            Shape::Nul => {
                texts[0] = format!("{first}\0").into_bytes();
                Content::Broken
            }
            Shape::InvalidByte => {
                // No text in UTF-8, nor in Windows-1252.
                texts[0] = [first.as_bytes(), b"\x81"].concat();
                Content::NotText
            }
        };
        let text = texts.join(delimiter.as_bytes());
        bytes.extend(&text);
        meant.rows.push(Row { line, content });
        line += newlines(&text, layout.newline);
    }
    if layout.open_quote_at_end {
        bytes.extend(layout.newline.bytes());
        bytes.extend(format!("\"open{delimiter}5").bytes());
        meant.rows.push(Row { line: line + 1, content: Content::Broken });
    }
    if layout.newline_at_end {
        bytes.extend(layout.newline.bytes());
    }
    Written { bytes, file: meant }
}

fn quoted(cell: &str, anyway: bool, layout: &Layout) -> Vec<u8> {
    if anyway || cell.contains(['"', '\r', '\n', layout.delimiter]) {
        format!("\"{}\"", cell.replace('"', "\"\"")).into_bytes()
    } else {
        cell.as_bytes().to_vec()
    }
}

fn newlines(text: &[u8], newline: &str) -> u64 {
    text.windows(newline.len()).filter(|&window| window == newline.as_bytes()).count() as u64
}

mod tests {
    use super::*;

    proptest! {
        /// The csv crate, put on the line where a row is said to begin, finds the cells that it is said to have.
        #[test]
        fn the_bytes_of_a_file_are_what_it_means(
            rows in prop::collection::vec(row(vec_of_cells(3)), 1..20),
            layout in layout(),
        ) {
            let written = write(&["email", "points", "note"], &[0, 1, 2], &rows, &layout);
            let newline = layout.newline.as_bytes();
            let ends = (0..written.bytes.len()).filter(|&at| written.bytes[at..].starts_with(newline));
            let starts: Vec<usize> = std::iter::once(0).chain(ends.map(|at| at + newline.len())).collect();
            prop_assert_eq!(written.file.rows.len(), rows.len() + usize::from(layout.open_quote_at_end));
            for row in &written.file.rows {
                let start = starts[usize::try_from(row.line).expect("a small file") - 1];
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .flexible(true)
                    .delimiter(layout.delimiter as u8)
                    .from_reader(&written.bytes[start..]);
                let record = reader.byte_records().next().expect("a row begins here").expect("memory can be read");
                match &row.content {
                    Content::Cells(cells) => {
                        prop_assert!(record.iter().eq(cells.iter().map(String::as_bytes)), "{record:?} {cells:?}");
                    }
                    Content::NotText => prop_assert!(record.iter().any(|cell| std::str::from_utf8(cell).is_err())),
                    Content::Broken => {
                        let text = &written.bytes[start..];
                        prop_assert!(text.contains(&b'"') || text.contains(&0));
                    }
                }
            }
        }
    }

    fn vec_of_cells(count: usize) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a\"',;|\t\né ]{0,6}", count).prop_map(|mut cells| {
            // No row is an empty line, and the csv crate skips none of ours.
            cells[0].push('x');
            cells
        })
    }
}
