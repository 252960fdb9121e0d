//! Rows on their way out, column by column: what is known of them, before any format writes them.
//!
//! A table holds a piece of an export. Its buffers are used again for the next piece, and no cell is a value of its own: a
//! text is a place among the column's bytes, everything else a number.

use crate::domain::{
    points::write_amount,
    time::{Date, Timestamp},
};

/// Stands where a number, an amount, a day or a time is missing. None of them comes near it.
pub const MISSING: i64 = i64::MIN;

/// Bytes of a column's texts from which on a table is full, whatever its rows.
const TEXT_BYTES_MAX: usize = 32 << 20;

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; an empty one is missing.
    Text,
    /// Text of which many rows have the same: a word, a code, what a job says of all its entries.
    Word,
    /// A whole number.
    Integer,
    /// A whole number, mostly a little more than that of the row before.
    Counter,
    /// An amount of points, with the decimals of the row's program.
    Amount,
    /// An amount with so many decimals, of which zeros at the end say nothing.
    Decimal(u8),
    /// A day.
    Date,
    /// A moment.
    Time,
}

/// A column of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// Its name.
    pub name: &'static str,
    /// What its cells are.
    pub kind: Kind,
    /// Whether every row has it.
    pub is_required: bool,
}

/// A column that some rows may lack.
pub const fn column(name: &'static str, kind: Kind) -> ColumnType {
    ColumnType { name, kind, is_required: false }
}

/// A column that every row has.
pub const fn required(name: &'static str, kind: Kind) -> ColumnType {
    ColumnType { name, kind, is_required: true }
}

/// The cells of a column.
#[derive(Clone, Debug)]
pub struct Column {
    /// What it is.
    pub of: ColumnType,
    /// Of texts: all of them.
    pub bytes: Vec<u8>,
    /// Of texts: where each begins and ends.
    pub places: Vec<(u32, u32)>,
    /// Of everything else: the number, the amount, days since 1970, milliseconds since 1970; or `MISSING`.
    pub numbers: Vec<i64>,
    /// Of amounts: the decimals.
    pub decimals: Vec<u8>,
}

impl Column {
    fn new(of: ColumnType) -> Column {
        Column { of, bytes: Vec::new(), places: Vec::new(), numbers: Vec::new(), decimals: Vec::new() }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.numbers.clear();
        self.decimals.clear();
    }

    /// The text of a row; empty: missing.
    #[inline]
    pub fn text(&self, row: usize) -> &[u8] {
        let (start, end) = self.places.get(row).copied().unwrap_or_default();
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// Some rows of an export.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: usize,
    rows_max: usize,
}

impl Table {
    /// A table without rows, which is full with `rows_max` of them.
    pub fn new(columns: &[ColumnType], rows_max: usize) -> Table {
        Table { columns: columns.iter().map(|&of| Column::new(of)).collect(), rows: 0, rows_max }
    }

    /// Its columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The same, for a writer that takes their bytes for a while.
    pub fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes out all rows.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        self.rows = 0;
    }

    /// Whether it must be written before the next row.
    pub fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.columns.iter().any(|column| column.bytes.len() >= TEXT_BYTES_MAX)
    }

    /// A text of the row that is being made; empty: missing.
    #[inline]
    pub fn text(&mut self, at: usize, text: &[u8]) {
        let column = &mut self.columns[at];
        let last = column.places.last().copied().unwrap_or_default();
        let place = if text.is_empty() {
            (0, 0)
        } else if column.bytes.get(last.0 as usize..last.1 as usize) == Some(text) {
            // What a row has in common with the one before is there once.
            last
        } else {
            let start = column.bytes.len() as u32;
            column.bytes.extend_from_slice(text);
            (start, column.bytes.len() as u32)
        };
        column.places.push(place);
    }

    /// A number of the row that is being made.
    #[inline]
    pub fn number(&mut self, at: usize, number: i64) {
        self.columns[at].numbers.push(number);
    }

    /// An amount of the row that is being made.
    #[inline]
    pub fn amount(&mut self, at: usize, amount: i64, decimals: u8) {
        let column = &mut self.columns[at];
        column.numbers.push(amount);
        column.decimals.push(decimals);
    }

    /// A day of the row that is being made.
    #[inline]
    pub fn date(&mut self, at: usize, date: Option<Date>) {
        self.number(at, date.map_or(MISSING, |date| i64::from(date.days())));
    }

    /// A moment of the row that is being made.
    #[inline]
    pub fn time(&mut self, at: usize, time: Option<Timestamp>) {
        self.number(at, time.map_or(MISSING, Timestamp::millis));
    }

    /// Ends a row, which has a cell in every column.
    #[inline]
    pub fn end_row(&mut self) {
        self.rows += 1;
        debug_assert!(self.columns.iter().all(|column| column.places.len().max(column.numbers.len()) == self.rows));
    }
}

/// Cells that are no texts, as all formats of text write them. Each column remembers its last one: entries of a page have
/// one time, and lots of a day one date.
pub struct Written {
    last: Vec<(i64, Vec<u8>)>,
}

impl Written {
    /// For so many columns.
    pub fn new(columns: usize) -> Written {
        Written { last: vec![(MISSING, Vec::new()); columns] }
    }

    /// Appends the cell of a row in a column that is no text; nothing, if it is missing.
    #[inline]
    pub fn cell(&mut self, at: usize, column: &Column, row: usize, out: &mut Vec<u8>) {
        let number = column.numbers[row];
        if number == MISSING {
            return;
        }
        match column.of.kind {
            Kind::Integer | Kind::Counter => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            Kind::Amount => write_amount(number, column.decimals[row], out),
            Kind::Decimal(decimals) => write_decimal(number, decimals, out),
            Kind::Date | Kind::Time | Kind::Text | Kind::Word => {
                let (last, text) = &mut self.last[at];
                if *last != number {
                    text.clear();
                    *last = number;
                    if column.of.kind == Kind::Time {
                        Timestamp::from_millis(number).inspect(|time| time.write(text));
                    } else {
                        i32::try_from(number).ok().and_then(Date::from_days).inspect(|date| date.write(text));
                    }
                }
                out.extend_from_slice(text);
            }
        }
    }
}

/// Appends an amount without the zeros at its end.
fn write_decimal(amount: i64, decimals: u8, out: &mut Vec<u8>) {
    let start = out.len();
    write_amount(amount, decimals, out);
    if decimals > 0 {
        let zeros = out[start..].iter().rev().take(usize::from(decimals)).take_while(|&&digit| digit == b'0').count();
        let point = usize::from(zeros == usize::from(decimals));
        out.truncate(out.len() - zeros - point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_of_a_decimal_say_nothing() {
        for (amount, text) in
            [(0, "0"), (10_000, "1"), (12_300, "1.23"), (-1, "-0.0001"), (-25_000, "-2.5"), (100_000, "10")]
        {
            let mut out = b"x".to_vec();
            write_decimal(amount, 4, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{text}"));
        }
    }

    #[test]
    fn what_rows_have_in_common_is_there_once_and_empty_texts_are_missing() {
        let mut table = Table::new(&[column("word", Kind::Word)], 10);
        for text in ["a", "a", "", "a", "bc", "bc"] {
            table.text(0, text.as_bytes());
            table.end_row();
        }
        let column = &table.columns()[0];
        assert_eq!(column.bytes, b"aabc");
        let texts: Vec<&[u8]> = (0..table.rows()).map(|row| column.text(row)).collect();
        assert_eq!(texts, [b"a".as_slice(), b"a", b"", b"a", b"bc", b"bc"]);
    }
}
