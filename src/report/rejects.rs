//! The reject file: always UTF-8, comma, RFC 4180. The input's columns as they came, then what was wrong; a row that
//! could not be split goes whole into the last column. Corrected, it can be imported again.

use std::io::Write;

use super::cell::write_cell;
use crate::{
    domain::id::JobId,
    error::{Error, Result},
    import::{
        csv::{self, Records},
        input::Layout,
    },
    store::{Store, jobs},
};

/// The columns that we add.
const ADDED: [&str; 5] = ["line", "column", "code", "message", "raw"];

/// Writes a job's rejected rows; returns how many there are. Without any it is the header only.
///
/// # Errors
/// When the store is damaged, or `out` fails.
pub fn write(store: &Store, job: JobId, layout: Option<&Layout>, out: &mut dyn Write) -> Result<u64> {
    let failed = |error: std::io::Error| Error::io("the reject file", &error);
    // A corrected reject file may come back with our columns still in it: they are not written twice.
    let header = layout.map_or(&[][..], |layout| layout.header.as_slice());
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
    let mut rows = 0;
    let (mut records, mut scratch) = (Records::default(), Vec::new());
    jobs::rejected_rows(store, job, |row| {
        line.clear();
        let is_split = row.is_split && layout.is_some();
        if let Some(layout) = layout.filter(|_| is_split) {
            csv::scan(&row.raw, layout.dialect, header.len(), &mut records);
        } else {
            records = Records::default();
        }
        let record = records.records.first();
        for at in 0..kept {
            if let (Some(record), Some(layout)) = (record, layout) {
                if let Some(&field) = records.fields_of(record).get(at) {
                    let cell = csv::cell(&row.raw, field, layout.dialect, record.flags, &mut scratch);
                    // Taken as it came: what was guarded stays guarded, and once only.
                    write_cell(super::cell::unguarded(cell), &mut line);
                }
            }
            line.push(b',');
        }
        line.extend_from_slice(row.line.to_string().as_bytes());
        for cell in [row.column.as_str(), row.rejection.code(), row.message.as_str()] {
            line.push(b',');
            write_cell(cell.as_bytes(), &mut line);
        }
        line.push(b',');
        if !is_split {
            write_cell(String::from_utf8_lossy(&row.raw).as_bytes(), &mut line);
        }
        line.push(b'\n');
        rows += 1;
        out.write_all(&line).map_err(failed)
    })?;
    out.flush().map_err(failed)?;
    Ok(rows)
}
