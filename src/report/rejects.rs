//! The reject file: always UTF-8, comma, RFC 4180. The input's columns as they came, then what was wrong; a row that
//! could not be split goes whole into the last column. Corrected, it can be imported again.

use std::io::Write;

use super::cell::write_cell;
use crate::{
    domain::id::JobId,
    error::{Error, Result},
    import::{
        csv::{self, Records},
        dialect::Dialect,
        input::Layout,
        sheet::bad_cell,
    },
    store::{
        Store,
        jobs::{self, RejectedRow},
    },
};

/// The columns that we add.
pub const ADDED: [&str; 5] = ["line", "column", "code", "message", "raw"];

/// Writes a job's rejected rows; returns how many there are. Without any it is the header only.
///
/// # Errors
/// When the store is damaged, or `out` fails.
pub fn write(store: &Store, job: JobId, layout: Option<&Layout>, out: &mut dyn Write) -> Result<u64> {
    let mut file = RejectFile::begin(layout, out)?;
    jobs::rejected_rows(store, job, |row| file.row(&row))?;
    file.end()
}

/// A reject file while it is written.
pub struct RejectFile<'a> {
    layout: Option<&'a Layout>,
    out: &'a mut dyn Write,
    /// How many of the input's columns are written.
    kept: usize,
    rows: u64,
    line: Vec<u8>,
    records: Records,
    scratch: Vec<u8>,
}

fn failed(error: std::io::Error) -> Error {
    Error::io("the reject file", &error)
}

/// A row of a sheet as a line of CSV.
fn as_csv(row: &[u8]) -> String {
    let mut line = Vec::new();
    for (at, cell) in row.split(|&byte| byte == Dialect::SHEET.delimiter).enumerate() {
        if at > 0 {
            line.push(b',');
        }
        write_cell(super::cell::unguarded(bad_cell::shown(cell)), &mut line);
    }
    String::from_utf8_lossy(&line).into_owned()
}

impl<'a> RejectFile<'a> {
    /// Writes the header.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn begin(layout: Option<&'a Layout>, out: &'a mut dyn Write) -> Result<RejectFile<'a>> {
        let header = layout.map_or(&[][..], |layout| layout.header.as_slice());
        // A corrected reject file may come back with our columns still in it: they are not written twice.
        let kept = header.len() - if header.ends_with(&ADDED.map(str::to_owned)) { ADDED.len() } else { 0 };
        let mut line = Vec::new();
        for name in header[..kept].iter().map(String::as_str).chain(ADDED) {
            if !line.is_empty() {
                line.push(b',');
            }
            write_cell(name.as_bytes(), &mut line);
        }
        line.push(b'\n');
        out.write_all(&line).map_err(failed)?;
        Ok(RejectFile { layout, out, kept, rows: 0, line, records: Records::default(), scratch: Vec::new() })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn row(&mut self, row: &RejectedRow) -> Result<()> {
        let line = &mut self.line;
        line.clear();
        let split = self.layout.filter(|_| row.is_split);
        if let Some(layout) = split {
            csv::scan(&row.raw, layout.dialect, layout.header.len(), &mut self.records);
        }
        for at in 0..self.kept {
            let record = split.and_then(|layout| Some((layout, self.records.records.first()?)));
            if let Some((layout, record)) = record
                && let Some(&field) = self.records.fields_of(record).get(at)
            {
                let cell = csv::cell(&row.raw, field, layout.dialect, record.flags, &mut self.scratch);
                // Taken as it came: what was guarded stays guarded, and once only.
                write_cell(super::cell::unguarded(bad_cell::shown(cell)), line);
            }
            line.push(b',');
        }
        line.extend_from_slice(row.line.to_string().as_bytes());
        for cell in [row.column.as_str(), row.rejection.code(), row.message.as_str()] {
            line.push(b',');
            write_cell(cell.as_bytes(), line);
        }
        line.push(b',');
        if split.is_none() {
            let is_sheet = self.layout.is_some_and(|layout| layout.dialect == Dialect::SHEET);
            let raw = if is_sheet { as_csv(&row.raw) } else { String::from_utf8_lossy(&row.raw).into_owned() };
            write_cell(raw.as_bytes(), line);
        }
        line.push(b'\n');
        self.rows += 1;
        self.out.write_all(line).map_err(failed)
    }

    /// Ends the file; returns how many rows it has.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn end(self) -> Result<u64> {
        self.out.flush().map_err(failed)?;
        Ok(self.rows)
    }
}
