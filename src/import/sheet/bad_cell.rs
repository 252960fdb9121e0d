//! Cells that nobody may read as a value: in the text of a sheet, and as the reason why a row is refused.
//!
//! Such a cell begins with a byte that no text has, so its record is no text. That is found out where rows that are no text
//! are found out anyway, and costs the others nothing. In a column that no field reads it does not matter.

use crate::{
    domain::rejection::Rejection,
    import::{
        csv::{Record, RecordProblem, Records},
        dialect::Dialect,
        format::ColumnField,
        rows::{Cells, Fault, Faults, quoted},
    },
};

/// What a bad cell begins with, and what its parts end with.
const MARK: u8 = 0xff;

/// Why a cell is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCell {
    /// A formula whose result was not saved.
    NoValue,
    /// An error such as `#N/A`.
    Error,
    /// It stands in the file more than once.
    Twice,
    /// A number with more digits than spreadsheets keep.
    Digits,
    /// A day that does not exist, or none at all.
    Date,
    /// The row has a cell that says of itself what cannot be.
    Unreadable,
}

impl BadCell {
    const ALL: [BadCell; 6] =
        [BadCell::NoValue, BadCell::Error, BadCell::Twice, BadCell::Digits, BadCell::Date, BadCell::Unreadable];

    fn code(self) -> u8 {
        b'a' + self as u8
    }

    /// What is wrong with a cell that is shown so.
    fn message(self, cell: &str, shown: &str) -> String {
        match self {
            BadCell::NoValue => format!(
                "cell {cell} holds a formula without a saved value: open the file in a spreadsheet program, save it, and \
                 import it again"
            ),
            BadCell::Error => format!("cell {cell} holds the error {}: correct its formula", quoted(shown)),
            BadCell::Twice => format!(
                "cell {cell} stands in the file twice: open the file in a spreadsheet program, save it, and import it again"
            ),
            BadCell::Digits => format!(
                "cell {cell} holds the number {}, of which digits may be lost, as a spreadsheet keeps 15: format the column \
                 as text, and enter it again",
                quoted(shown)
            ),
            BadCell::Date => format!("cell {cell} is formatted as a date, and {} is none", quoted(shown)),
            BadCell::Unreadable => format!(
                "a cell at or near {cell} cannot be read: open the file in a spreadsheet program, save it, and import it again"
            ),
        }
    }

    /// The code of a row whose cell for this field is bad.
    fn rejection(self, field: ColumnField) -> Rejection {
        if matches!(self, BadCell::Twice | BadCell::Unreadable) {
            return Rejection::RowMalformed;
        }
        match field {
            ColumnField::UserId
            | ColumnField::ExternalId
            | ColumnField::Email
            | ColumnField::Mobile
            | ColumnField::Card => Rejection::IdentifierInvalid,
            ColumnField::Amount | ColumnField::Balance => Rejection::AmountInvalid,
            ColumnField::Operation => Rejection::OperationInvalid,
            ColumnField::ExpiresOn | ColumnField::ExpiresInDays => Rejection::ExpiryInvalid,
            _ => Rejection::FieldInvalid,
        }
    }

    /// Appends the cell that is called so, and that is shown so.
    pub(super) fn put(self, cell: &str, shown: &[u8], text: &mut Vec<u8>) {
        text.extend_from_slice(&[MARK, self.code()]);
        text.extend_from_slice(cell.as_bytes());
        text.push(MARK);
        text.extend_from_slice(shown);
    }

    /// What a cell of a sheet says, if it is bad: why, its name, and what is shown of it.
    pub fn read(cell: &[u8]) -> Option<(BadCell, &str, &str)> {
        let [MARK, code, rest @ ..] = cell else { return None };
        let bad = BadCell::ALL.into_iter().find(|bad| bad.code() == *code)?;
        let at = memchr::memchr(MARK, rest)?;
        Some((bad, std::str::from_utf8(&rest[..at]).ok()?, std::str::from_utf8(&rest[at + 1..]).ok()?))
    }
}

/// A cell as it is shown, bad or not.
pub fn shown(cell: &[u8]) -> &[u8] {
    BadCell::read(cell).map_or(cell, |(_, _, shown)| shown.as_bytes())
}

/// What is wrong with the bad cells of a record, for people; none of a record without.
pub fn story<'a>(cells: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let told: Vec<String> =
        cells.filter_map(BadCell::read).map(|(bad, cell, shown)| bad.message(cell, shown)).collect();
    (!told.is_empty()).then(|| told.join("; also: "))
}

/// Forgives the bad cells of columns that nobody reads. To be called for a chunk that is no text.
#[cold]
#[inline(never)]
pub fn forgive(records: &mut Records, bytes: &[u8], dialect: Dialect, is_read: impl Fn(usize) -> bool) {
    if dialect != Dialect::SHEET {
        return;
    }
    let Records { fields, records, .. } = records;
    for record in records.iter_mut().filter(|record| record.problem == Some(RecordProblem::NotText)) {
        let first = record.first_field as usize;
        let cells = fields.get(first..first + usize::from(record.fields)).unwrap_or_default();
        let is_bad = |cell: &[u8]| match BadCell::read(cell) {
            Some((BadCell::Unreadable, ..)) => Some(false),
            Some(_) => Some(true),
            None => None,
        };
        // The cell itself is not known where the row has one that is unreadable.
        let matters = cells.iter().enumerate().any(|(column, field)| {
            is_bad(field.raw(bytes)).is_some_and(|is_of_column| !is_of_column || is_read(column))
        });
        if !matters {
            record.problem = None;
        }
    }
}

/// The fault of a record with bad cells in columns that are read.
pub fn fault(record: &Record, cells: Cells<'_>, read: impl Iterator<Item = (ColumnField, usize)>) -> Option<Fault> {
    if cells.dialect != Dialect::SHEET || record.problem != Some(RecordProblem::NotText) {
        return None;
    }
    let bad = |column: usize| cells.fields.get(column).and_then(|field| BadCell::read(field.raw(cells.bytes)));
    let mut found: Vec<_> = read
        .filter_map(|(field, column)| {
            bad(column).map(|(bad, cell, shown)| (bad.rejection(field), field, bad, cell, shown))
        })
        .collect();
    // As the checks of a row: what makes all of it doubtful, then identifiers, and so on.
    found.sort_by_key(|&(rejection, field, ..)| (rejection, field));
    let mut faults = Faults::default();
    for (rejection, field, bad, cell, shown) in found {
        let column = if rejection == Rejection::RowMalformed { "" } else { field.name() };
        faults.add(rejection, column, bad.message(cell, shown));
    }
    if let Some(message) = (0..cells.fields.len())
        .filter_map(bad)
        .find_map(|(bad, cell, shown)| (bad == BadCell::Unreadable).then(|| bad.message(cell, shown)))
    {
        return Some(Fault { rejection: Rejection::RowMalformed, column: "", message });
    }
    faults.first()
}
