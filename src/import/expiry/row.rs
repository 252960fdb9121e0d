//! Reading a row of a file on expiry: whose points, which of them, and when they shall expire.

use super::{Ask, ExpiryRules};
use crate::{
    domain::{
        entry::EntryText,
        expiry::{ExpiryDirection, ExpiryUpdate, LotSelector, NewExpiry},
        expiry_terms::{ExpiryType, ExpiryUnit},
        points::parse_amount,
        reference::reference_hash,
        rejection::Rejection,
    },
    import::{
        csv::Record,
        format::ColumnField,
        naming::Names,
        rows::{Cells, Fault, Faults, KEY_BYTES_MAX, TEXT_BYTES_MAX, quoted, record_fault},
    },
};

impl ExpiryRules {
    /// What a row asks for, where it says it itself; else what is wrong with it, by the first failure in the order of the
    /// checks. Its identifiers are added to `names`, its note to `notes`, unless it is refused.
    #[expect(clippy::too_many_arguments, reason = "each is a buffer of its own")]
    pub(super) fn read_row(
        &self,
        record: &Record,
        cells: Cells<'_>,
        at: usize,
        notes: &mut String,
        names: &mut Names,
        scratch: &mut Vec<u8>,
        normalized: &mut Vec<u8>,
    ) -> std::result::Result<Option<Ask>, Fault> {
        if let Some(fault) = record_fault(record, cells, self.columns, self.read.iter().copied()) {
            return Err(fault);
        }
        let mut faults = Faults::default();
        self.naming.read(cells, at, names, &mut faults, scratch, normalized);
        let update = if self.fields.is_own { self.update(cells, &mut faults, scratch) } else { self.defaults.update() };
        if let Some(fault) = faults.first() {
            self.naming.forget(at, names);
            return Err(fault);
        }
        let Some(update) = update.filter(|_| self.fields.is_own) else { return Ok(None) };
        let start = notes.len() as u32;
        if let Some(column) = self.fields.note {
            notes.push_str(cells.text(column, scratch).trim());
        }
        Ok(Some(Ask { update, note: (start, notes.len() as u32) }))
    }

    /// What a row asks for that says it itself; none, and a fault, if anything in it is wrong.
    fn update(&self, cells: Cells<'_>, faults: &mut Faults, scratch: &mut Vec<u8>) -> Option<ExpiryUpdate> {
        let fields = &self.fields;
        let new = self.new_expiry(cells, faults, scratch);
        let direction = self.direction(cells, faults, scratch);
        if let (Some(NewExpiry::Immediate), Some(ExpiryDirection::Extended)) = (new, direction) {
            let message = "points that expire at once are not valid longer: immediate contradicts extended";
            faults.add(Rejection::ExpiryInvalid, ColumnField::ExpiryType.name(), message);
        }
        let mut hash = |which, field: ColumnField, column: Option<usize>| {
            let cell = column.map_or("", |column| cells.text(column, scratch).trim());
            if cell.len() > KEY_BYTES_MAX {
                faults.add(Rejection::FieldInvalid, field.name(), too_long(field, cell.len(), KEY_BYTES_MAX));
            }
            if cell.is_empty() { 0 } else { reference_hash(which, cell) }
        };
        let ref_type = hash(EntryText::RefType, ColumnField::RefType, fields.ref_type);
        let ref_id = hash(EntryText::RefId, ColumnField::RefId, fields.ref_id);
        if ref_id != 0 && ref_type == 0 {
            let id = fields.ref_id.map_or("", |column| cells.text(column, scratch));
            let message = format!("ref_type is empty: the id {} means nothing without a type", quoted(id));
            faults.add(Rejection::FieldInvalid, ColumnField::RefType.name(), message);
        }
        if let Some(column) = fields.note {
            let length = cells.text(column, scratch).trim().len();
            if length > TEXT_BYTES_MAX {
                let field = ColumnField::Reason;
                faults.add(Rejection::FieldInvalid, field.name(), too_long(field, length, TEXT_BYTES_MAX));
            }
        }
        Some(ExpiryUpdate {
            selector: LotSelector::Reference { ref_type, ref_id },
            direction: direction?,
            new: new?,
            base: self.defaults.base,
            include_promised: self.defaults.include_promised,
        })
    }

    /// The new last day of a row, or the job's if the row says nothing.
    fn new_expiry(&self, cells: Cells<'_>, faults: &mut Faults, scratch: &mut Vec<u8>) -> Option<NewExpiry> {
        let fields = &self.fields;
        // Of the rare cells that cannot be lent from the chunk: all three are looked at together.
        let (mut unit_scratch, mut value_scratch) = (Vec::new(), Vec::new());
        let word = fields.expiry_type.map_or("", |column| cells.text(column, scratch).trim());
        let unit = fields.unit.map_or("", |column| cells.text(column, &mut unit_scratch).trim());
        let value = fields.value.map_or("", |column| cells.text(column, &mut value_scratch).trim());
        let mut fail = |rejection, field: ColumnField, message: String| {
            faults.add(rejection, field.name(), message);
            None
        };
        let invalid = Rejection::ExpiryInvalid;
        if word.is_empty() {
            return match (unit.is_empty() && value.is_empty(), self.defaults.new) {
                (true, Some(new)) => Some(new),
                (true, None) => fail(
                    invalid,
                    ColumnField::ExpiryType,
                    "expiry_type is empty, and the job has no `--set` for such rows".to_owned(),
                ),
                (false, _) => {
                    let message = "expiry_type is empty, but a unit or a value is there: fixed, relative or immediate?";
                    fail(invalid, ColumnField::ExpiryType, message.to_owned())
                }
            };
        }
        let Some(expiry_type) = ExpiryType::parse(word) else {
            let message = format!("expiry_type {} is none of fixed, relative, immediate", quoted(word));
            return fail(Rejection::FieldInvalid, ColumnField::ExpiryType, message);
        };
        match expiry_type {
            ExpiryType::Immediate if value.is_empty() => Some(NewExpiry::Immediate),
            ExpiryType::Immediate => {
                let message = format!("points that expire at once have no expiry_value {}: empty it", quoted(value));
                fail(invalid, ColumnField::ExpiryValue, message)
            }
            ExpiryType::Fixed => match self.dates.parse(value).or_else(|| self.day_of(value)) {
                Some(day) if day > self.today => Some(NewExpiry::Fixed(day)),
                Some(_) => {
                    let message = format!("expiry_value {} is not after today, {}", quoted(value), self.today);
                    fail(invalid, ColumnField::ExpiryValue, message)
                }
                None if value.is_empty() => {
                    fail(invalid, ColumnField::ExpiryValue, "expiry_value is empty: fixed needs a date".to_owned())
                }
                None => {
                    let form = self.dates.form();
                    let message = format!("expiry_value {} is not a date that exists, as {form}", quoted(value));
                    fail(invalid, ColumnField::ExpiryValue, message)
                }
            },
            ExpiryType::Relative => {
                let counted = ExpiryUnit::parse(unit);
                if counted.is_none() {
                    let message = match unit.is_empty() {
                        true => "expiry_unit is empty: relative needs days or months".to_owned(),
                        false => format!("expiry_unit {} is neither days nor months", quoted(unit)),
                    };
                    fail(invalid, ColumnField::ExpiryUnit, message);
                }
                // Whole: `12`, and what spreadsheets make of it, `12.0`.
                let count = parse_amount(value, 0, self.numbers).ok().filter(|&count| count >= 1);
                let Some(count) = count.and_then(|count| u32::try_from(count).ok()) else {
                    let message = match value.is_empty() {
                        true => "expiry_value is empty: relative needs a number of days or months".to_owned(),
                        false => format!("expiry_value {} is not a whole number from 1", quoted(value)),
                    };
                    return fail(invalid, ColumnField::ExpiryValue, message);
                };
                Some(counted?.times(count))
            }
        }
    }

    fn day_of(&self, cell: &str) -> Option<crate::domain::time::Date> {
        self.dates.parse_or_timestamp(cell, &self.zone).map(|moment| self.zone.day_of(moment))
    }

    /// Which way the row's last days may move, or the job's if the row says nothing.
    fn direction(&self, cells: Cells<'_>, faults: &mut Faults, scratch: &mut Vec<u8>) -> Option<ExpiryDirection> {
        let cell = self.fields.change.map_or("", |column| cells.text(column, scratch).trim());
        let found = if cell.is_empty() { self.defaults.direction } else { ExpiryDirection::parse(cell) };
        if found.is_none() {
            let message = match cell.is_empty() {
                true => "expiry_change is empty, and the job has no `--change` for such rows".to_owned(),
                false => format!("expiry_change {} is neither early nor extended", quoted(cell)),
            };
            faults.add(Rejection::FieldInvalid, ColumnField::ExpiryChange.name(), message);
        }
        found
    }
}

fn too_long(field: ColumnField, length: usize, bytes_max: usize) -> String {
    format!("{field} is {length} bytes long, at most {bytes_max} are allowed")
}
