//! Workbooks that the binary writes.

use std::path::Path;

use rust_xlsxwriter::{Format as CellFormat, Workbook, XlsxError};
use tidemill::{
    error::{Error, Result},
    import::format::{ColumnField, Format},
};

/// A width at which an e-mail address can be read.
const COLUMN_WIDTH: f64 = 24.0;

/// Whether a file's ending says that it is a workbook.
pub fn is_workbook(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"))
}

/// A format's template. All but amounts and counts is formatted as text, so that nothing that is typed into it loses its
/// zeros, its plus or its last digits.
///
/// # Errors
///
/// When the temporary file cannot be written that rows go through.
pub fn template(format: &Format) -> Result<Vec<u8>> {
    written(format).map_err(|error| Error::internal(format!("the workbook cannot be written: {error}")))
}

fn written(format: &Format) -> std::result::Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let (text, header) = (CellFormat::new().set_num_format("@"), CellFormat::new().set_num_format("@").set_bold());
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name(&format.name)?;
    sheet.set_freeze_panes(1, 0)?;
    for (at, column) in (0..).zip(&format.columns) {
        sheet.set_column_width(at, COLUMN_WIDTH)?;
        if !is_number(column.field) {
            sheet.set_column_format(at, &text)?;
        }
    }
    for (at, name) in (0..).zip(format.template_header()) {
        sheet.write_string_with_format(0, at, name, &header)?;
    }
    for (row, cells) in (1..).zip(&format.sample.rows) {
        for ((at, column), cell) in (0..).zip(&format.columns).zip(cells) {
            // A number that is written in another way than programs write it stays as it is written.
            let number = cell.parse::<f64>().ok().filter(|number| number.to_string() == *cell);
            match number.filter(|_| is_number(column.field)) {
                Some(number) => {
                    sheet.write_number(row, at, number)?;
                }
                None if !cell.is_empty() => {
                    sheet.write_string_with_format(row, at, cell, &text)?;
                }
                None => {}
            }
        }
    }
    workbook.save_to_buffer()
}

/// Whether a field's cells are numbers to calculate with.
fn is_number(field: Option<ColumnField>) -> bool {
    matches!(
        field,
        Some(
            ColumnField::Amount
                | ColumnField::Balance
                | ColumnField::Ltv
                | ColumnField::Orders
                | ColumnField::ExpiresInDays
        )
    )
}
