//! What only some formats say beside who, how much and what to do with it: the points' last day, when they were earned,
//! what for, whether they are promised, texts of the row's own, and the row's key.

use super::{PointsRules, Row, column_of_text};
use crate::{
    domain::{
        command::Operation,
        entry::{Detail, Entries, EntryText},
        rejection::Rejection,
        time::{Date, Timestamp},
    },
    import::{
        format::ColumnField,
        rows::{Cells, Faults, KEY_BYTES_MAX, TEXT_BYTES_MAX, is_blank, quoted},
    },
    store::row_keys::RowKeyCell,
};

/// Words of a column of promises, in lower case; so `export lots` can be read again.
const PROMISED_WORDS: [&str; 6] = ["promised", "yes", "y", "true", "1", "on"];
const AVAILABLE_WORDS: [&str; 7] = ["", "available", "no", "n", "false", "0", "off"];

/// Takes a problem: code, column, and how to tell it, which costs nothing where nobody listens.
type Fail<'a> = dyn FnMut(Rejection, ColumnField, &dyn Fn() -> String) + 'a;

/// What the cells say.
struct Terms {
    expires_on: Option<Date>,
    credited_at: Option<Timestamp>,
    is_promised: bool,
    is_expiry_ignored: bool,
    is_over: bool,
}

impl PointsRules {
    /// A row of the fast path with what else it says; none if any of that is wrong. Where ids of rows are `known`, one whose
    /// last day is over goes on if it has an id: a file that is sent again has rows that were good when they were applied.
    pub(super) fn with_terms(
        &self,
        row: Row,
        known: bool,
        cells: Cells<'_>,
        keys: &mut Vec<RowKeyCell>,
        entries: &mut Entries,
        scratch: &mut Vec<u8>,
    ) -> Option<Row> {
        let mut is_good = true;
        let has_id = known && self.fields.row_id.is_some_and(|column| !is_blank(cells.get(column, scratch)));
        let terms = self.terms(row.operation, has_id, cells, scratch, &mut |_, _, _| is_good = false);
        if !is_good {
            return None;
        }
        let Terms { expires_on, is_expiry_ignored, is_over, .. } = terms;
        let mut row = Row { expires_on, is_expiry_ignored, is_over, ..row };
        if terms.is_promised {
            row.operation = Operation::Promise;
        }
        let mut detail = Detail::credited_at(terms.credited_at);
        let mut has_detail = terms.credited_at.is_some();
        for &(text, column) in &self.fields.texts {
            let cell = cells.text(column, scratch).trim();
            if !cell.is_empty() {
                entries.set_text(&mut detail, text, cell);
                has_detail = true;
            }
        }
        if let Some(column) = self.fields.row_id {
            let id = cells.text(column, scratch).trim();
            if !id.is_empty() {
                let id = id.to_owned();
                keys.push(RowKeyCell::new(id.as_bytes(), &self.content(&row, cells, scratch)));
                has_detail = true;
            }
        }
        if has_detail {
            row.detail = entries.add_detail(detail);
        }
        Some(row)
    }

    /// What is wrong with what else a row says.
    pub(super) fn check_terms(
        &self,
        operation: Operation,
        cells: Cells<'_>,
        faults: &mut Faults,
        scratch: &mut Vec<u8>,
    ) {
        self.terms(operation, false, cells, scratch, &mut |rejection, field, message| {
            faults.add(rejection, field.name(), message());
        });
        // Last, as only the store can tell.
        if let Some(column) = self.fields.program {
            let code = cells.text(column, scratch).trim();
            if !code.is_empty() && !self.programs.iter().any(|program| program.code == code) {
                let known: Vec<&str> = self.programs.iter().map(|program| program.code.as_str()).collect();
                let message = format!("there is no program {}: it must be one of {}", quoted(code), known.join(", "));
                faults.add(Rejection::ProgramUnknown, "program", message);
            }
        }
    }

    /// Reads the cells, in the order of the checks. A last day that is over is no problem yet where it `may_be_over`.
    fn terms(
        &self,
        operation: Operation,
        may_be_over: bool,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
        fail: &mut Fail<'_>,
    ) -> Terms {
        let mut terms =
            Terms { expires_on: None, credited_at: None, is_promised: false, is_expiry_ignored: false, is_over: false };
        let columns = [self.fields.expires_on, self.fields.expires_in_days];
        if operation == Operation::Debit {
            let is_filled = |column: Option<usize>, scratch: &mut Vec<u8>| {
                column.is_some_and(|column| !is_blank(cells.get(column, scratch)))
            };
            terms.is_expiry_ignored = columns.into_iter().any(|column| is_filled(column, scratch));
        } else {
            terms.expires_on = self.expiry(may_be_over, cells, scratch, fail);
            terms.is_over = terms.expires_on.is_some_and(|day| day < self.today);
        }
        if let Some(column) = self.fields.credited_on {
            let cell = cells.text(column, scratch).trim();
            if !cell.is_empty() {
                match self.dates.parse_or_timestamp(cell, &self.zone) {
                    Some(at) if at <= self.now => {
                        terms.credited_at = Some(at).filter(|_| operation != Operation::Debit)
                    }
                    Some(_) => fail(Rejection::FieldInvalid, ColumnField::CreditedOn, &|| {
                        format!("credited_on {} is in the future: points that begin later cannot be kept", quoted(cell))
                    }),
                    None => fail(Rejection::FieldInvalid, ColumnField::CreditedOn, &|| {
                        format!("credited_on {} is not a date that exists, as {}", quoted(cell), self.dates.form())
                    }),
                }
            }
        }
        for &(text, column) in self.fields.texts.iter().filter(|(text, _)| EntryText::OF_LOT.contains(text)) {
            self.check_length(text, column, KEY_BYTES_MAX, cells, scratch, fail);
        }
        if let Some(column) = self.fields.promised {
            let cell = cells.text(column, scratch).trim();
            let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(cell));
            terms.is_promised = is_one_of(&PROMISED_WORDS);
            if terms.is_promised && operation != Operation::Credit {
                fail(Rejection::FieldInvalid, ColumnField::Promised, &|| {
                    "promised: only points that are added can be promised".to_owned()
                });
            } else if !terms.is_promised && !is_one_of(&AVAILABLE_WORDS) {
                fail(Rejection::FieldInvalid, ColumnField::Promised, &|| {
                    format!("promised {} is neither yes nor no", quoted(cell))
                });
            }
        }
        for &(text, column) in self.fields.texts.iter().filter(|(text, _)| !EntryText::OF_LOT.contains(text)) {
            self.check_length(text, column, TEXT_BYTES_MAX, cells, scratch, fail);
        }
        if let Some(column) = self.fields.row_id {
            let length = cells.text(column, scratch).trim().len();
            if length > KEY_BYTES_MAX {
                fail(Rejection::FieldInvalid, ColumnField::RowId, &|| {
                    format!("row_id is {length} bytes long, at most {KEY_BYTES_MAX} are allowed")
                });
            }
        }
        terms
    }

    fn check_length(
        &self,
        text: EntryText,
        column: usize,
        bytes_max: usize,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
        fail: &mut Fail<'_>,
    ) {
        let length = cells.text(column, scratch).trim().len();
        if length > bytes_max {
            let field = column_of_text(text);
            fail(Rejection::FieldInvalid, field, &|| {
                format!("{field} is {length} bytes long, at most {bytes_max} are allowed")
            });
        }
    }

    /// The last day of a row's points; none: permanent.
    fn expiry(&self, may_be_over: bool, cells: Cells<'_>, scratch: &mut Vec<u8>, fail: &mut Fail<'_>) -> Option<Date> {
        let mut by_days = None;
        if let Some(column) = self.fields.expires_in_days {
            let field = ColumnField::ExpiresInDays;
            let cell = cells.text(column, scratch).trim();
            if !cell.is_empty() {
                // Whole days: `30`, and what spreadsheets make of it, `30.0`.
                let days = crate::domain::points::parse_amount(cell, 0, self.numbers).ok();
                by_days = match days.filter(|&days| days >= 1).map(|days| i32::try_from(days).ok()) {
                    None => {
                        fail(Rejection::ExpiryInvalid, field, &|| {
                            format!("the days of validity {} are not a whole number of at least 1", quoted(cell))
                        });
                        return None;
                    }
                    Some(days) => {
                        days.and_then(|days| self.today.add_days(days - i32::from(self.format.first_day_counts)))
                    }
                };
                if by_days.is_none() {
                    fail(Rejection::ExpiryInvalid, field, &|| {
                        format!("the days of validity {} reach beyond the year 9999", quoted(cell))
                    });
                    return None;
                }
            }
        }
        let Some(column) = self.fields.expires_on else { return by_days };
        let cell = cells.text(column, scratch).trim();
        if cell.is_empty() {
            return by_days;
        }
        let field = ColumnField::ExpiresOn;
        let parsed = self.dates.parse(cell);
        let parsed = parsed.or_else(|| Some(self.zone.day_of(self.dates.parse_or_timestamp(cell, &self.zone)?)));
        match parsed {
            None => fail(Rejection::ExpiryInvalid, field, &|| {
                format!("expires_on {} is not a date that exists, as {}", quoted(cell), self.dates.form())
            }),
            Some(_) if by_days.is_some() => fail(Rejection::ExpiryInvalid, field, &|| {
                format!("expires_on {} and days of validity are both given: one must be empty", quoted(cell))
            }),
            Some(day) if day < self.today && !may_be_over => fail(Rejection::ExpiryInvalid, field, &|| {
                format!("expires_on {} is over: the points would be dead, today is {}", quoted(cell), self.today)
            }),
            Some(_) => {}
        }
        parsed.filter(|_| by_days.is_none()).or(by_days)
    }

    /// What a row says, for its key: everything but who it is about, which is in the key, as it stands in the file. Days of
    /// validity are compared as such, so that a file sent again tomorrow says the same. A column that the file does not have
    /// counts as an empty one.
    fn content(&self, row: &Row, cells: Cells<'_>, scratch: &mut Vec<u8>) -> Vec<u8> {
        let mut content = Vec::with_capacity(64);
        content.extend_from_slice(&row.amount.to_le_bytes());
        content.push(row.operation as u8);
        let fields = &self.fields;
        let texts = EntryText::ALL.map(|text| {
            let found = fields.texts.iter().find(|(other, _)| *other == text);
            found.map(|&(_, column)| column)
        });
        for column in [fields.expires_on, fields.expires_in_days, fields.credited_on].into_iter().chain(texts) {
            if let Some(column) = column {
                content.extend_from_slice(cells.text(column, scratch).trim().as_bytes());
            }
            // No cell of text has this byte.
            content.push(0xFF);
        }
        content
    }
}
