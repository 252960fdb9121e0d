//! The same rows as a workbook: how fast they are imported, and what calamine's cell reader takes for itself.

use std::{ffi::OsStr, fs::File, io::BufReader, path::Path, time::Instant};

use calamine::{Reader, Xlsx};
use rust_xlsxwriter::{Workbook, XlsxError};
use tidemill::error::{Error, Result};

use super::report::Sample;
use crate::{
    child::{Finished, Usage},
    text::{
        Side::{Left, Right},
        bytes, grouped, table,
    },
};

/// Rows of a sheet, without its header.
const ROWS_MAX: usize = 1_048_575;

/// What importing a workbook took.
pub struct SheetWork {
    rows: u64,
    file_bytes: u64,
    /// Of the whole import, until durable.
    rows_per_s: f64,
    /// Seconds of it.
    elapsed_s: f64,
    /// Seconds of calamine alone, on one thread: opening the workbook and reading every cell.
    cells_s: f64,
    /// Rows a second of that.
    cells_rows_per_s: f64,
    /// The import as a process.
    usage: Usage,
}

impl SheetWork {
    /// For comparisons.
    pub fn samples(&self) -> Vec<Sample> {
        vec![
            Sample::process("xlsx", self.rows, self.usage),
            Sample::new("xlsx-cells", Some(self.rows), vec![self.cells_s]),
        ]
    }
}

/// A program of this name, run with arguments.
type Run<'a> = dyn Fn(&[&OsStr]) -> Result<Finished> + 'a;

/// Writes the file as a workbook, and imports it.
pub fn measure(points: &Path, place: &Path, run: &Run<'_>, note: &dyn Fn(String)) -> Result<SheetWork> {
    let path = place.join("points.xlsx");
    note("xlsx: writing the points as a workbook".to_owned());
    let text =
        std::fs::read_to_string(points).map_err(|error| Error::io(format_args!("`{}`", points.display()), &error))?;
    write(&text, &path).map_err(|error| Error::internal(format!("the workbook cannot be written: {error}")))?;
    drop(text);
    note("xlsx: importing it".to_owned());
    let arguments = ["import", "points", "--format=nector", "--reason=bench", "--again"];
    let mut arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    arguments.push(path.as_os_str());
    let finished = run(&arguments)?;
    note("xlsx: reading its cells by calamine alone".to_owned());
    let cells_s = read_cells(&path).map_err(|error| Error::internal(format!("calamine cannot read it: {error}")))?;
    let rows = finished.document["rows"]["read"].as_u64().unwrap_or(0);
    Ok(SheetWork {
        rows,
        file_bytes: path.metadata().map_or(0, |metadata| metadata.len()),
        rows_per_s: finished.document["rows_per_s"].as_f64().unwrap_or(0.0),
        elapsed_s: finished.document["elapsed_s"].as_f64().unwrap_or(0.0),
        cells_s,
        cells_rows_per_s: (rows as f64 / cells_s).round(),
        usage: finished.usage,
    })
}

/// As spreadsheet programs write it: texts are shared, amounts are numbers.
fn write(csv: &str, path: &Path) -> std::result::Result<(), XlsxError> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet_with_low_memory()?;
    for (row, line) in (0..).zip(csv.lines().take(ROWS_MAX + 1)) {
        for (column, cell) in (0..).zip(line.split(',')).filter(|(_, cell)| !cell.is_empty()) {
            match cell.parse::<f64>() {
                Ok(number) if column == 2 => sheet.write_number(row, column, number)?,
                _ => sheet.write_string(row, column, cell)?,
            };
        }
    }
    workbook.save(path)
}

/// Seconds that calamine takes for all cells.
fn read_cells(path: &Path) -> std::result::Result<f64, calamine::XlsxError> {
    let begun = Instant::now();
    let mut workbook: Xlsx<_> = Xlsx::new(BufReader::new(File::open(path)?))?;
    let name = workbook.sheet_names().first().cloned().unwrap_or_default();
    let mut cells = workbook.worksheet_cells_reader(&name)?;
    while cells.next_cell()?.is_some() {}
    Ok(begun.elapsed().as_secs_f64())
}

/// For people.
pub fn text(work: &SheetWork) -> String {
    let row = |what: &str, rows_per_s: f64, took: f64| {
        vec![what.to_owned(), format!("{} rows/s", grouped(rows_per_s as u64)), format!("{took:.2} s")]
    };
    let rows = [
        row("import", work.rows_per_s, work.elapsed_s),
        row("cells by calamine alone", work.cells_rows_per_s, work.cells_s),
    ];
    let (file, memory) = (bytes(work.file_bytes), bytes(work.usage.memory_peak_bytes));
    let head = format!("\nThe same {} rows as a workbook of {file}; memory peak {memory}\n", grouped(work.rows));
    head + &table("  ", &[Left, Right, Right], &rows)
}
