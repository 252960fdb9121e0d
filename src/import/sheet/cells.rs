//! The cells of a sheet as text.
//!
//! A row is written when the next one begins: cells filled up to the header's last column, then those beyond it that hold
//! anything, so that such a row is refused as one with too many. What is written is what the file holds: whole numbers with
//! all their digits, others by the shortest text that means the same number, days as `2029-06-30`. What cannot be written
//! so is a [`BadCell`].

use std::{io::Write, rc::Rc, sync::Arc};

use calamine::{CellErrorType, DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xlsx, XlsxError};

use super::{
    COLUMNS_MAX, ROWS_MAX, SheetChoice, SheetProblem,
    bad_cell::BadCell,
    guard::disordered,
    package::{Package, View, Watch},
    reader::Opened,
};
use crate::{
    domain::time::Date,
    import::{csv::ROW_BYTES_MAX, dialect::Dialect, rows::is_blank},
};

/// Bytes of text that are handed on at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Cells of one row in the file. A sheet has 16,384 columns; more are cells that stand there twice.
const CELLS_MAX: usize = 20_000;

/// Columns of a sheet, by the file format.
const SHEET_COLUMNS: u32 = 16_384;

/// Rows that may hold what no spreadsheet program writes, before the file is given up.
const UNREADABLE_MAX: u64 = 100_000;

/// From here on a number has more digits than the 15 that spreadsheets keep.
const SIXTEEN_DIGITS: f64 = 1e15;

/// From here on not every whole number can be written at all: 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Days that a date can be: to the end of 9999.
const DATE_END: f64 = 2_958_466.0;

/// Where the text goes.
pub(super) trait Out {
    /// The sheet was found.
    fn opened(&mut self, opened: Opened) -> bool;
    /// The next piece of text, and how many bytes of the file were read. False: nobody wants more.
    fn block(&mut self, text: Vec<u8>, read: u64) -> bool;
}

/// Reads a sheet to its end, or as long as it is wanted.
///
/// # Errors
/// When it cannot be read on.
pub(super) fn write_text(package: &Arc<Package>, choice: &SheetChoice, out: &mut dyn Out) -> Result<(), SheetProblem> {
    let watch = Rc::new(Watch::default());
    let view = View::new(package, &watch).map_err(|error| SheetProblem::unreadable(&error))?;
    // What stopped the view says more than what calamine makes of it.
    let problem = |error: &XlsxError| watch.problem.take().unwrap_or_else(|| problem_of(error));
    let mut workbook: Xlsx<View> = Xlsx::new(view).map_err(|error| problem(&error))?;
    let name = chosen(&workbook, choice)?;
    watch.reads_sheet.set(true);
    let mut cells = workbook.worksheet_cells_reader(&name).map_err(|error| problem(&error))?;
    if !out.opened(Opened { name, part: watch.part.get() }) {
        return Ok(());
    }
    let mut text = SheetText::new(choice);
    let mut unreadable = 0;
    loop {
        match cells.next_cell_with_formula_metadata() {
            Ok(Some(cell)) => text.cell(cell.pos, &cell.value, cell.formula.is_some())?,
            Ok(None) => break,
            Err(error) if watch.problem.borrow().is_none() && is_of_one_cell(&error) && unreadable < UNREADABLE_MAX => {
                unreadable += 1;
                text.unreadable(error.to_string());
            }
            Err(error) => return Err(problem(&error)),
        }
        if text.out.len() >= BLOCK_BYTES && !out.block(std::mem::take(&mut text.out), watch.bytes_read()) {
            return Ok(());
        }
    }
    text.end()?;
    out.block(text.out, watch.bytes_read());
    Ok(())
}

/// The name of the sheet that is asked for.
fn chosen(workbook: &Xlsx<View>, choice: &SheetChoice) -> Result<String, SheetProblem> {
    let is_shown =
        |sheet: &&calamine::Sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet;
    let visible: Vec<String> =
        workbook.sheets_metadata().iter().filter(is_shown).map(|sheet| sheet.name.clone()).collect();
    let Some(first) = visible.first() else { return Err(SheetProblem::NoSheets) };
    let Some(wanted) = &choice.sheet else { return Ok(first.clone()) };
    let by_number = || wanted.parse::<usize>().ok().and_then(|number| visible.get(number.checked_sub(1)?));
    let found = visible.iter().find(|name| *name == wanted).or_else(by_number);
    found.cloned().ok_or_else(|| SheetProblem::NoSheet { wanted: format!("`{wanted}`"), visible: visible.clone() })
}

/// Whether reading can go on behind an error: it tells of one cell, and the cells behind it are read as if it were not.
fn is_of_one_cell(error: &XlsxError) -> bool {
    matches!(
        error,
        XlsxError::CellError(_)
            | XlsxError::ParseFloat(_)
            | XlsxError::Unrecognized { .. }
            | XlsxError::Unexpected(_)
            | XlsxError::UnexpectedNode(_)
            | XlsxError::CellTAttribute(_)
    )
}

fn problem_of(error: &XlsxError) -> SheetProblem {
    match error {
        XlsxError::Password => SheetProblem::Encrypted,
        XlsxError::Io(error) => {
            SheetProblem::of(error).cloned().unwrap_or_else(|| SheetProblem::damaged(error.to_string()))
        }
        XlsxError::NotAWorksheet(_) => SheetProblem::NoSheets,
        XlsxError::ColumnNumberOverflow | XlsxError::RowNumberOverflow => far(),
        other => SheetProblem::damaged(other.to_string()),
    }
}

pub(super) fn far() -> SheetProblem {
    SheetProblem::TooLarge { what: "it has a cell where no sheet has one".to_owned() }
}

/// A row while it is gathered, and the text of those before.
struct SheetText {
    skip_rows: u64,
    decimal_mark: u8,
    out: Vec<u8>,
    /// Rows that are written, empty ones too.
    rows_written: u32,
    /// The row that is gathered, from 0.
    row: u32,
    /// The columns of its cells and where these end in `text`; each begins where the one before ends.
    cells: Vec<(u32, usize)>,
    text: Vec<u8>,
    is_ordered: bool,
    /// The columns of the header; none before it was seen.
    columns: Option<usize>,
    /// What was wrong with a cell of this row.
    doubt: Option<String>,
    /// The same of a cell behind the last one that could be read, perhaps of another row.
    fresh_doubt: Option<String>,
}

impl SheetText {
    fn new(choice: &SheetChoice) -> SheetText {
        SheetText {
            skip_rows: choice.skip_rows,
            decimal_mark: if choice.decimal_mark == ',' { b',' } else { b'.' },
            out: Vec::new(),
            rows_written: 0,
            row: 0,
            cells: Vec::new(),
            text: Vec::new(),
            is_ordered: true,
            columns: None,
            doubt: None,
            fresh_doubt: None,
        }
    }

    fn cell(&mut self, (row, column): (u32, u32), value: &DataRef<'_>, is_formula: bool) -> Result<(), SheetProblem> {
        let fresh_doubt = self.fresh_doubt.take();
        if row != self.row {
            if row < self.row {
                return Err(disordered(u64::from(row) + 1, u64::from(self.row) + 1));
            }
            // The cell that could not be read is of one of these rows, and nobody knows of which.
            let last = if fresh_doubt.is_some() { row } else { self.row + 1 };
            for doubtful in (self.row..last).take(CELLS_MAX) {
                self.row = doubtful;
                self.doubt = self.doubt.take().or_else(|| fresh_doubt.clone());
                self.row_ends()?;
            }
            self.row = row;
        }
        self.doubt = self.doubt.take().or(fresh_doubt);
        if row >= ROWS_MAX || column >= SHEET_COLUMNS {
            return Err(far());
        }
        if self.cells.len() >= CELLS_MAX {
            return Err(SheetProblem::damaged(format!("its row {} has more than {CELLS_MAX} cells", row + 1)));
        }
        if self.text.len() <= ROW_BYTES_MAX {
            self.put(value, is_formula, column);
        }
        self.is_ordered &= self.cells.last().is_none_or(|&(last, _)| last < column);
        self.cells.push((column, self.text.len()));
        Ok(())
    }

    /// A cell could not be read, and it is not known which.
    fn unreadable(&mut self, why: String) {
        self.fresh_doubt.get_or_insert(why);
    }

    /// Appends a cell's text.
    fn put(&mut self, value: &DataRef<'_>, is_formula: bool, column: u32) {
        let SheetText { text, row, decimal_mark, .. } = self;
        let bad =
            |bad: BadCell, shown: &str, text: &mut Vec<u8>| bad.put(&cell_name(*row, column), shown.as_bytes(), text);
        match value {
            DataRef::Empty if is_formula => bad(BadCell::NoValue, "", text),
            DataRef::Empty => {}
            DataRef::String(value) => put_text(value, text),
            DataRef::SharedString(value) => put_text(value, text),
            DataRef::DurationIso(value) => put_text(value, text),
            DataRef::Bool(value) => text.extend_from_slice(if *value { b"TRUE" } else { b"FALSE" }),
            DataRef::Int(value) => put_number(*value as f64, *decimal_mark, text, bad),
            DataRef::Float(value) => put_number(*value, *decimal_mark, text, bad),
            DataRef::DateTime(value) => put_date(value, text, bad),
            DataRef::DateTimeIso(value) => put_iso_date(value, text),
            DataRef::Error(error) => bad(BadCell::Error, error_text(error), text),
        }
    }

    /// Writes the row that was gathered.
    fn row_ends(&mut self) -> Result<(), SheetProblem> {
        let cells = std::mem::take(&mut self.cells);
        let text = std::mem::take(&mut self.text);
        let starts = std::iter::once(0).chain(cells.iter().map(|&(_, end)| end));
        let spans = starts.zip(&cells).map(|(start, &(column, end))| (column as usize, &text[start..end]));
        let mut sorted = Vec::new();
        if self.is_ordered {
            self.write(spans, self.doubt.clone())?;
        } else {
            sorted.extend(spans);
            sorted.sort_by_key(|&(column, _)| column);
            let mut doubled = Vec::new();
            let mut once: Vec<(usize, &[u8])> = Vec::new();
            for (column, cell) in sorted {
                match once.last_mut() {
                    Some((last, before)) if *last == column => {
                        doubled.push((column, [*before, b" ", cell].concat()));
                        *before = b"";
                    }
                    _ => once.push((column, cell)),
                }
            }
            let marks: Vec<(usize, Vec<u8>)> = doubled
                .into_iter()
                .map(|(column, shown)| {
                    let mut mark = Vec::new();
                    let shown = String::from_utf8_lossy(&shown).replace('\u{fffd}', " ");
                    BadCell::Twice.put(&cell_name(self.row, column as u32), shown.as_bytes(), &mut mark);
                    (column, mark)
                })
                .collect();
            for (column, mark) in &marks {
                if let Ok(at) = once.binary_search_by_key(column, |&(column, _)| column) {
                    once[at].1 = mark;
                }
            }
            self.write(once.into_iter(), self.doubt.clone())?;
        }
        self.doubt = None;
        self.is_ordered = true;
        (self.cells, self.text) = (cells, text);
        self.cells.clear();
        self.text.clear();
        Ok(())
    }

    /// Writes a row's cells, in the order of their columns; none of them twice.
    fn write<'a>(
        &mut self,
        cells: impl Iterator<Item = (usize, &'a [u8])> + Clone,
        doubt: Option<String>,
    ) -> Result<(), SheetProblem> {
        let filled = cells.filter(|(_, text)| !is_blank(text));
        let last = filled.clone().last().map(|(column, _)| column);
        if last.is_none() && doubt.is_none() {
            return Ok(());
        }
        let is_title = u64::from(self.row) < self.skip_rows;
        if let (None, Some(last), false) = (self.columns, last, is_title) {
            if last >= COLUMNS_MAX {
                return Err(SheetProblem::TooLarge {
                    what: format!(
                        "its first row reaches to cell {}, and {COLUMNS_MAX} columns are read",
                        cell_name(self.row, last as u32)
                    ),
                });
            }
            self.columns = Some(last + 1);
        }
        // Rows without a cell are lines without a text.
        self.out.resize(self.out.len() + (self.row - self.rows_written) as usize, b'\n');
        self.rows_written = self.row + 1;
        let delimiter = Dialect::SHEET.delimiter;
        if doubt.is_some() {
            BadCell::Unreadable.put(&cell_name(self.row, 0), &[], &mut self.out);
        }
        // Where the last field stands that was begun.
        let mut at = 0;
        for (column, text) in filled {
            // Far to the right only what is there is written, and not the way to it.
            let place = if column < COLUMNS_MAX { column } else { self.columns.unwrap_or(0).max(at + 1) };
            self.out.resize(self.out.len() + place - at, delimiter);
            at = place;
            self.out.extend_from_slice(text);
        }
        if !is_title {
            let missing = self.columns.unwrap_or(1).saturating_sub(at + 1);
            self.out.resize(self.out.len() + missing, delimiter);
        }
        self.out.push(b'\n');
        Ok(())
    }

    fn end(&mut self) -> Result<(), SheetProblem> {
        self.doubt = self.doubt.take().or_else(|| self.fresh_doubt.take());
        self.row_ends()
    }
}

/// What a cell is called, from its row and column from 0.
fn cell_name(row: u32, column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        letters.push(b'A' + ((rest - 1) % 26) as u8);
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().map(|&letter| char::from(letter)).chain((u64::from(row) + 1).to_string().chars()).collect()
}

/// Appends a text; what would end the line or the cell becomes a blank.
fn put_text(value: &str, text: &mut Vec<u8>) {
    let is_plain = |&byte: &u8| byte >= b' ' || byte == b'\t';
    if value.as_bytes().iter().all(is_plain) {
        text.extend_from_slice(value.as_bytes());
    } else {
        let value = value.replace("\r\n", "\n");
        text.extend(value.bytes().map(|byte| if is_plain(&byte) { byte } else { b' ' }));
    }
}

fn put_number(value: f64, decimal_mark: u8, text: &mut Vec<u8>, bad: impl Fn(BadCell, &str, &mut Vec<u8>)) {
    if value.trunc() == value && value.abs() < WHOLE_MAX {
        let whole = value as i64;
        // Spreadsheets make a zero of the sixteenth digit; a program that keeps it would have to end in another.
        if value.abs() >= SIXTEEN_DIGITS && whole % 10 == 0 {
            return bad(BadCell::Digits, &whole.to_string(), text);
        }
        text.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        return;
    }
    if !value.is_finite() || value.abs() >= WHOLE_MAX {
        return bad(BadCell::Digits, &format!("{value:e}"), text);
    }
    let from = text.len();
    // Rust writes the shortest text that reads as the same number, without an exponent. Writing into memory cannot fail.
    let _ = write!(text, "{value}");
    if decimal_mark != b'.'
        && let Some(at) = memchr::memchr(b'.', &text[from..])
    {
        text[from + at] = decimal_mark;
    }
}

fn put_date(value: &ExcelDateTime, text: &mut Vec<u8>, bad: impl Fn(BadCell, &str, &mut Vec<u8>)) {
    let serial = value.as_f64();
    if !(0.0..DATE_END).contains(&serial) {
        return bad(BadCell::Date, &serial.to_string(), text);
    }
    let (year, month, day, hour, minute, second, milli) = value.to_ymd_hms_milli();
    let time = match (hour, minute, second, milli) {
        (0, 0, 0, 0) => None,
        (.., 0) => Some(format!("{hour:02}:{minute:02}:{second:02}")),
        _ => Some(format!("{hour:02}:{minute:02}:{second:02}.{milli:03}")),
    };
    let written = if value.is_duration() {
        // Hours beyond a day, too.
        let hours = serial.trunc() as u64 * 24 + u64::from(hour);
        write!(text, "{hours:02}:{minute:02}:{second:02}")
    } else {
        match (Date::new(year, month, day), time) {
            // A time of day alone.
            (_, Some(time)) if serial < 1.0 => text.write_all(time.as_bytes()),
            (Some(_), None) if year >= 1900 => write!(text, "{year:04}-{month:02}-{day:02}"),
            (Some(_), Some(time)) if year >= 1900 => write!(text, "{year:04}-{month:02}-{day:02}T{time}Z"),
            // The 29th of February 1900, and the day before the first.
            _ => return bad(BadCell::Date, &serial.to_string(), text),
        }
    };
    // Writing into memory cannot fail.
    let _ = written;
}

/// A day or moment that the file has as text. Few programs write them.
fn put_iso_date(value: &str, text: &mut Vec<u8>) {
    match value.split_once('T') {
        Some((day, time)) if time.trim_end_matches('Z').bytes().all(|byte| matches!(byte, b'0' | b':' | b'.')) => {
            put_text(day, text);
        }
        Some((_, time)) if !time.contains(['Z', '+', '-']) => {
            put_text(value, text);
            text.push(b'Z');
        }
        _ => put_text(value, text),
    }
}

fn error_text(error: &CellErrorType) -> &'static str {
    match error {
        CellErrorType::Div0 => "#DIV/0!",
        CellErrorType::NA => "#N/A",
        CellErrorType::Name => "#NAME?",
        CellErrorType::Null => "#NULL!",
        CellErrorType::Num => "#NUM!",
        CellErrorType::Ref => "#REF!",
        CellErrorType::Value => "#VALUE!",
        CellErrorType::GettingData => "#GETTING_DATA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_called_as_spreadsheets_call_them() {
        for (row, column, name) in [
            (0, 0, "A1"),
            (6, 2, "C7"),
            (0, 25, "Z1"),
            (0, 26, "AA1"),
            (9, 701, "ZZ10"),
            (9, 702, "AAA10"),
            (1_048_575, 16_383, "XFD1048576"),
        ] {
            assert_eq!(cell_name(row, column), name);
        }
    }

    #[test]
    fn numbers_are_written_exactly_or_not_at_all() {
        let bad = |bad: BadCell, shown: &str, text: &mut Vec<u8>| {
            text.extend_from_slice(format!("{bad:?} {shown}").as_bytes());
        };
        for (number, mark, expected) in [
            (0.0, b'.', "0"),
            (-0.0, b'.', "0"),
            (5e14, b',', "500000000000000"),
            (-1234.5, b',', "-1234,5"),
            (1e-9, b'.', "0.000000001"),
            (123_456_789.123_456_78, b'.', "123456789.12345678"),
            (1e15, b'.', "Digits 1000000000000000"),
            (1_000_000_000_000_001.0, b'.', "1000000000000001"),
            (WHOLE_MAX, b'.', "Digits 9.007199254740992e15"),
            (f64::NAN, b'.', "Digits NaN"),
            (f64::NEG_INFINITY, b'.', "Digits -inf"),
        ] {
            let mut text = Vec::new();
            put_number(number, mark, &mut text, bad);
            assert_eq!(String::from_utf8_lossy(&text), expected);
            if !expected.starts_with('D') {
                assert_eq!(expected.replace(',', ".").parse::<f64>().unwrap(), number);
            }
        }
    }
}
