//! What the rows of both imports have in common: cells, and the story of a refused row.

use std::borrow::Cow;

use crate::{
    domain::{identifier::IdentifierKind, rejection::Rejection},
    import::{
        csv::{self, Field, Record, Records},
        dialect::Dialect,
        format::ColumnField,
        sheet::bad_cell,
    },
};

/// Characters of a value that a message shows.
const VALUE_CHARS_MAX: usize = 60;

/// Bytes of a row id, a reference or a promotion.
pub const KEY_BYTES_MAX: usize = 255;
/// Bytes of a reason or a comment. They are kept with the entry, in pages that are read whole.
pub const TEXT_BYTES_MAX: usize = 4096;

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first failure by the order of checks: the row's code.
    pub rejection: Rejection,
    /// The refused field; empty where it is the whole row.
    pub column: &'static str,
    /// The first failure in words, then the others.
    pub message: String,
}

/// Gathers what is wrong with a row, in the order of the checks.
#[derive(Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a failure.
    pub fn add(&mut self, rejection: Rejection, column: &'static str, message: impl Into<String>) {
        self.0.push(Fault { rejection, column, message: message.into() });
    }

    /// Adds failures of checks that come later.
    pub fn append(&mut self, later: Faults) {
        self.0.extend(later.0);
    }

    /// The row's fault: the first failure, whose message names the others; none if there is none.
    pub fn first(self) -> Option<Fault> {
        let mut faults = self.0.into_iter();
        let mut first = faults.next()?;
        for other in faults {
            first.message.push_str("; also: ");
            first.message.push_str(&other.message);
        }
        Some(first)
    }
}

/// A value as a message quotes it, cut where it is long.
pub fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(VALUE_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < value.len() && value.chars().count() > VALUE_CHARS_MAX {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A message as a report has it: one of a dry run says so in each row, as the file may lie beside a real one.
pub fn noted(is_dry: bool, message: &str) -> Cow<'_, str> {
    if is_dry { Cow::Owned(format!("dry run: {message}")) } else { Cow::Borrowed(message) }
}

/// The fault of a record that could not be read at all.
///
/// `read` are the columns that fields are read from: of a workbook's row, the first of them that is bad is told.
pub fn record_fault(
    record: &Record,
    cells: Cells<'_>,
    columns: usize,
    read: impl Iterator<Item = (ColumnField, usize)>,
) -> Option<Fault> {
    let problem = record.problem?;
    if let Some(fault) = bad_cell::fault(record, cells, read) {
        return Some(fault);
    }
    let message = problem.message(record.fields, columns);
    Some(Fault { rejection: problem.rejection(), column: "", message })
}

/// The filled identifier cells of a row as they came. Only for rows that are refused: it copies them.
pub fn filled_identifiers(
    identifiers: &[(IdentifierKind, usize)],
    cells: Cells<'_>,
    scratch: &mut Vec<u8>,
) -> Vec<(IdentifierKind, String)> {
    let mut filled = Vec::new();
    for &(kind, column) in identifiers {
        let cell = cells.text(column, scratch);
        if !is_blank(cell.as_bytes()) {
            filled.push((kind, cell.trim().to_owned()));
        }
    }
    filled
}

/// The story of identifiers that can all be read, and that the store refused; none for any other refusal.
///
/// It names a column that is filled, and the values seen. Which of several contradicts which is not told: a person who
/// sees them finds out with `customer show`.
pub fn owner_fault(rejection: Rejection, filled: &[(IdentifierKind, String)]) -> Option<Fault> {
    let first = filled.first().map_or("", |(kind, _)| kind.name());
    let seen = |word: &str| {
        let values: Vec<_> =
            filled.iter().map(|(kind, value)| format!("the {} {}", kind.name(), quoted(value))).collect();
        match values.split_last() {
            Some((last, before)) if !before.is_empty() => format!("{} {word} {last}", before.join(", ")),
            Some((only, _)) => only.clone(),
            None => "the identifier".to_owned(),
        }
    };
    let (column, message) = match rejection {
        Rejection::IdentifierUnknown => (first, format!("no customer has {}", seen("or"))),
        Rejection::IdentifierConflict if filled.len() == 1 => {
            (first, format!("{} belongs to different customers", seen("and")))
        }
        Rejection::IdentifierConflict => (first, format!("{} belong to different customers", seen("and"))),
        Rejection::IdentifierTaken => {
            let cards = filled.iter().find(|(kind, _)| *kind == IdentifierKind::Card).map_or("", |(_, cards)| cards);
            let which = if cards.contains([',', '|']) { "a card of" } else { "the card" };
            (IdentifierKind::Card.name(), format!("{which} {} belongs to another customer", quoted(cards)))
        }
        _ => return None,
    };
    Some(Fault { rejection, column, message })
}

/// The column that an identifier is read from.
pub fn column_of_kind(kind: IdentifierKind) -> ColumnField {
    match kind {
        IdentifierKind::UserId => ColumnField::UserId,
        IdentifierKind::ExternalId => ColumnField::ExternalId,
        IdentifierKind::Email => ColumnField::Email,
        IdentifierKind::Mobile => ColumnField::Mobile,
        IdentifierKind::Card => ColumnField::Card,
    }
}

/// A record's cells.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    /// The chunk.
    pub bytes: &'a [u8],
    /// The chunk as text, if all of it is: a cell is then a piece of it that needs no check of its own.
    pub text: Option<&'a str>,
    /// The record's fields.
    pub fields: &'a [Field],
    /// The record's flags.
    pub flags: u8,
    /// How the chunk is written.
    pub dialect: Dialect,
}

impl<'a> Cells<'a> {
    /// The cells of a record of this chunk.
    #[inline]
    pub fn of(
        bytes: &'a [u8],
        text: Option<&'a str>,
        records: &'a Records,
        record: &Record,
        dialect: Dialect,
    ) -> Cells<'a> {
        Cells { bytes, text, fields: records.fields_of(record), flags: record.flags, dialect }
    }

    /// A cell as the file's author meant it: quotes and the guard against formulas taken off. `scratch` serves the rare
    /// cell that cannot be lent from the chunk.
    #[inline]
    pub fn get<'b>(&self, column: usize, scratch: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        match self.fields.get(column) {
            Some(&field) => {
                crate::report::cell::unguarded(csv::cell(self.bytes, field, self.dialect, self.flags, scratch))
            }
            None => &[],
        }
    }

    /// A cell as text; a cell of a record that was not refused always is.
    #[inline]
    pub fn text<'b>(&self, column: usize, scratch: &'b mut Vec<u8>) -> &'b str
    where
        'a: 'b,
    {
        if self.flags == 0
            && let (Some(text), Some(field)) = (self.text, self.fields.get(column))
            && let Some(cell) = text.get(field.start as usize..field.end as usize)
            && !cell.starts_with('\'')
        {
            return cell;
        }
        self.checked(column, scratch)
    }

    fn checked<'b>(&self, column: usize, scratch: &'b mut Vec<u8>) -> &'b str
    where
        'a: 'b,
    {
        std::str::from_utf8(self.get(column, scratch)).unwrap_or_default()
    }
}

/// Whether a cell holds nothing but white space.
#[inline]
pub fn is_blank(cell: &[u8]) -> bool {
    match cell.first() {
        None => true,
        Some(byte) if byte.is_ascii_graphic() => false,
        Some(_) => std::str::from_utf8(cell).is_ok_and(|text| text.trim().is_empty()),
    }
}
