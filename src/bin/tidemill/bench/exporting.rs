//! Exports of the ledger, a whole process each: from opening the store until the file is durable.

use std::{ffi::OsStr, path::Path};

use tidemill::error::{Error, Result};

use super::report::Sample;
use crate::{
    child::{Finished, Usage},
    text::{
        Side::{Left, Right},
        bytes, grouped, seconds, table,
    },
};

/// The kinds of files that are measured, by their endings.
const ENDINGS: [&str; 5] = ["parquet", "csv", "ndjson", "csv.zst", "csv.gz"];

/// An export.
pub struct Exported {
    ending: &'static str,
    /// Ledger entries.
    rows: u64,
    rows_per_s: f64,
    usage: Usage,
    file_bytes: u64,
}

impl Exported {
    /// For comparisons.
    pub fn sample(&self) -> Sample {
        Sample::process(format!("export-{}", self.ending), self.rows, self.usage)
    }
}

/// A program of this name, run with arguments.
type Run<'a> = dyn Fn(&[&OsStr]) -> Result<Finished> + 'a;

/// Exports the ledger in each way.
pub fn measure(place: &Path, run: &Run<'_>, note: &dyn Fn(String)) -> Result<Vec<Exported>> {
    ENDINGS
        .into_iter()
        .map(|ending| {
            note(format!("export: the ledger as `.{ending}`"));
            let path = place.join(format!("ledger.{ending}"));
            let failed = |error: &std::io::Error| Error::io(format_args!("`{}`", path.display()), error);
            let finished = run(&["export".as_ref(), "ledger".as_ref(), "-o".as_ref(), path.as_os_str()])?;
            let file_bytes = path.metadata().map_err(|error| failed(&error))?.len();
            std::fs::remove_file(&path).map_err(|error| failed(&error))?;
            let (usage, rows) = (finished.usage, finished.document["rows"].as_u64().unwrap_or(0));
            Ok(Exported { ending, rows, rows_per_s: (rows as f64 / usage.process_s).round(), usage, file_bytes })
        })
        .collect()
}

/// For people.
pub fn text(exports: &[Exported]) -> String {
    let head = ["", "entries/s", "whole process", "processor time", "memory peak", "file"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(exports.iter().map(|export| {
        vec![
            format!(".{}", export.ending),
            grouped(export.rows_per_s as u64),
            seconds(export.usage.process_s),
            seconds(export.usage.cpu_user_s + export.usage.cpu_system_s),
            bytes(export.usage.memory_peak_bytes),
            bytes(export.file_bytes),
        ]
    }));
    let entries = grouped(exports.first().map_or(0, |export| export.rows));
    format!("\nExports of {entries} ledger entries\n{}", table("  ", &[Left, Right, Right, Right, Right, Right], &rows))
}
