//! Exports of the whole store, on one committed state.
//!
//! Pages of the logs are read in order, become rows (`people`, `ledger`) in a table of typed columns (`table`), and these
//! bytes of a format (`text`, `parquet`; `part`) on the workers, a part of the export each; parts are written in order
//! (`flow`). So every format has the same rows, and a new one is a way to write a table.

use std::{io::Write, sync::Mutex};

use rayon::ThreadPool;

use crate::{
    domain::{
        id::{JobId, ProgramId},
        job::JobKind,
        time::Date,
    },
    error::{Error, Result},
    store::{
        lock,
        state::{Needs, State},
        view::Readable,
    },
};

pub mod table;
pub mod format;
mod flow;
mod ledger;
mod parquet;
mod part;
mod people;
mod text;

use flow::{Pages, Source};
use format::{ExportFormat, Shape};
use ledger::Identities;
use parquet::{ParquetFile, RowGroups};
use part::{Encoder, Part, Rows};
use table::{ColumnType, Table};

/// What to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// Customers, with the columns of `tidemill-customers`.
    Customers,
    /// A row for each customer and program.
    Balances {
        /// Leave out zeros.
        nonzero: bool,
    },
    /// A row for each ledger entry.
    Ledger,
    /// A row for each lot.
    Lots,
}

impl Export {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Export::Customers => "customers",
            Export::Balances { .. } => "balances",
            Export::Ledger => "ledger",
            Export::Lots => "lots",
        }
    }

    fn columns(self) -> &'static [ColumnType] {
        match self {
            Export::Customers => &people::CUSTOMERS,
            Export::Balances { .. } => &people::BALANCES,
            Export::Ledger => &ledger::LEDGER,
            Export::Lots => &people::LOTS,
        }
    }

    fn source(self) -> Source {
        if self == Export::Ledger { Source::Ledger } else { Source::Customers }
    }
}

/// A job's kind, internal reason and customer comment.
pub type Texts<'a> = dyn Fn(JobId) -> Result<(JobKind, Option<String>, Option<String>)> + Sync + 'a;

/// Rows that a worker makes at a time of text: some 2 MB, which a cache holds and a packed part needs to be worth it.
const TEXT_ROWS: usize = 1 << 14;
/// Rows of a group in Parquet: what its readers take at a time, and some 30 MB in memory until they are encoded.
const PARQUET_ROWS: usize = 1 << 17;

/// Writes an export; returns the number of rows. Points whose last day was before `today` are dead, and in no balance or
/// lot that is written.
///
/// Memory: what a job needs for `Balances` and `Lots`; about 80 bytes a customer more for `Ledger`, whose rows name
/// customers in no order. Besides that the parts under way, two more than `pool` has threads: 5 MB each, of Parquet 40.
///
/// # Errors
/// When the logs are damaged, or `out` fails; `Usage` when an amount does not fit into a column of Parquet.
pub fn write(
    view: &impl Readable,
    pool: &ThreadPool,
    what: Export,
    format: ExportFormat,
    today: Date,
    texts: &Texts<'_>,
    out: &mut dyn Write,
) -> Result<u64> {
    let programs = view.programs();
    let with_accounts = matches!(what, Export::Balances { .. } | Export::Lots);
    let needed = if with_accounts { (0..programs.len() as u16).map(ProgramId).collect() } else { Vec::new() };
    let needs = Needs { kinds: Vec::new(), profiles: true, programs: needed };
    let mut state = pool.install(|| State::load(view, &needs))?;
    let identities = if what == Export::Ledger {
        Identities::gather(view, pool, std::mem::take(&mut state))?
    } else {
        Identities::default()
    };
    let (is_parquet, columns) = (format.shape == Shape::Parquet, what.columns());
    let row_groups = if is_parquet {
        let facts = [
            ("tidemill.export", what.name().to_owned()),
            ("tidemill.as_of", today.to_string()),
            ("tidemill.newest_job", view.newest_job()?.to_string()),
        ];
        Some(RowGroups::new(columns, &programs, &facts)?)
    } else {
        None
    };
    let mut file = row_groups.as_ref().map(ParquetFile::begin).transpose()?;
    let encoder = Encoder { format, row_groups };
    let rows_max = if is_parquet { PARQUET_ROWS } else { TEXT_ROWS };
    let make = |pages: &Pages, rows: &mut Rows<'_>| match what {
        Export::Customers => people::customers(view, &state, pages, rows),
        Export::Balances { nonzero } => people::balances(view, &state, &programs, today, nonzero, pages, rows),
        Export::Ledger => ledger::ledger(&identities, &programs, texts, pages, rows),
        Export::Lots => people::lots(view, &state, &programs, today, pages, rows),
    };
    // As many as there are workers, since whoever has one uses it until its part is done.
    let tables: Mutex<Vec<Table>> = Mutex::default();
    let work = |pages: &Pages, part: &mut Part| {
        let table = lock(&tables).pop().unwrap_or_else(|| Table::new(columns, rows_max));
        let mut rows = Rows::of(part, table, &encoder);
        make(pages, &mut rows)?;
        let table = rows.finish()?;
        lock(&tables).push(table);
        Ok(())
    };
    let failed = |error: std::io::Error| Error::io("the export", &error);
    if !is_parquet {
        // NDJSON has no header, but what is packed begins with a member of it: a file without any is no packed file.
        let mut header = Vec::new();
        if format.shape == Shape::Csv {
            text::write_header(columns, &mut header);
        }
        out.write_all(&encoder.packed(header)?).map_err(failed)?;
    }
    let mut count = 0;
    // A customer has a row for each program.
    let records_max = if with_accounts { rows_max / programs.len().max(1) } else { rows_max };
    flow::each(view, pool, what.source(), records_max.max(1) as u64, work, |part: &mut Part| {
        count += part.rows;
        match &mut file {
            Some(file) => part.row_groups.drain(..).try_for_each(|group| file.append(group, out)),
            None => out.write_all(&part.bytes).map_err(failed),
        }
    })?;
    if let Some(file) = file {
        file.end(out)?;
    }
    out.flush().map_err(failed)?;
    Ok(count)
}
