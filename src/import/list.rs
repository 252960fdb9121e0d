//! Files that only name customers: a column of identifiers, or several.
//!
//! Rows become customers or faults on any thread; whoever is named twice counts once.

use crate::{
    domain::{id::CustomerId, identifier::IdentifierKind, outcome::Status, phone::Region, rejection::Rejection},
    import::{
        cell_rules::CellRules,
        chunk::Chunk,
        csv::{self, Record, Records},
        dialect::Dialect,
        format::ColumnField,
        input::Layout,
        naming::{Names, Naming},
        rows::{Cells, Fault, Faults, column_of_kind, is_blank, noted, record_fault},
        sheet::bad_cell,
    },
    report::cell::{unguarded, write_cell},
    store::{identifiers::IdentifierTable, jobs::RejectedRow},
};

/// How rows of such a file become customers.
pub struct ListRules {
    dialect: Dialect,
    columns: usize,
    naming: Naming,
    read: Vec<(ColumnField, usize)>,
    cell_rules: CellRules,
}

/// A chunk of the file on its way.
#[derive(Default)]
pub struct ListBatch {
    chunk: Chunk,
    records: Records,
    names: Names,
    scratch: Vec<u8>,
    normalized: Vec<u8>,
    /// Customer and fault of each row; one of the two is there.
    rows: Vec<(CustomerId, Option<Fault>)>,
}

impl ListRules {
    /// The rules by which a file is read.
    pub fn reading(layout: &Layout, region: Option<Region>, seed: u64) -> ListRules {
        ListRules {
            dialect: layout.dialect,
            columns: layout.mapping.columns,
            naming: Naming::of(layout, region, seed),
            read: layout.mapping.fields.iter().map(|(&field, &column)| (field, column)).collect(),
            cell_rules: layout.cell_rules(),
        }
    }

    /// The kinds of identifiers that it names customers by.
    pub fn kinds(&self) -> Vec<IdentifierKind> {
        self.naming.identifiers.iter().map(|(kind, _)| *kind).collect()
    }

    /// Parses a chunk. Runs on any thread.
    pub fn parse(&self, table: &IdentifierTable, batch: &mut ListBatch) {
        let ListBatch { chunk, records, names, scratch, normalized, rows } = batch;
        rows.clear();
        names.clear();
        let text = csv::scan_text(&chunk.bytes, self.dialect, self.columns, records);
        chunk.settle(records);
        if text.is_none() {
            let is_read = |column| self.read.iter().any(|&(_, read)| read == column);
            bad_cell::forgive(records, &chunk.bytes, self.dialect, is_read);
        }
        self.cell_rules.apply(&chunk.bytes, self.dialect, records);
        for (at, record) in records.records.iter().enumerate() {
            let cells = Cells::of(&chunk.bytes, text, records, record, self.dialect);
            let fault = self.read_row(record, cells, at, names, scratch, normalized);
            rows.push((CustomerId::NONE, fault));
        }
        let mut conflicts = Vec::new();
        self.naming.look_up(table, names, |row, owner| {
            let place = &mut rows[row].0;
            if *place != CustomerId::NONE && *place != owner {
                conflicts.push(row);
            }
            *place = owner;
        });
        for (at, (customer, fault)) in rows.iter_mut().enumerate().filter(|(_, (_, fault))| fault.is_none()) {
            let rejection = match *customer {
                CustomerId::NONE => Rejection::IdentifierUnknown,
                _ if conflicts.contains(&at) => Rejection::IdentifierConflict,
                _ => continue,
            };
            let cells = Cells::of(&chunk.bytes, None, records, &records.records[at], self.dialect);
            *fault = self.naming.fault(rejection, cells, scratch);
            *customer = CustomerId::NONE;
        }
    }

    /// Reads the identifiers of a row; what is wrong with it, if anything is.
    fn read_row(
        &self,
        record: &Record,
        cells: Cells<'_>,
        at: usize,
        names: &mut Names,
        scratch: &mut Vec<u8>,
        normalized: &mut Vec<u8>,
    ) -> Option<Fault> {
        if record.problem.is_some() {
            return record_fault(record, cells, self.columns, self.read.iter().copied());
        }
        let mut faults = Faults::default();
        self.naming.read(cells, at, names, &mut faults, scratch, normalized);
        let fault = faults.first();
        if fault.is_some() {
            self.naming.forget(at, names);
        }
        fault
    }

    /// Goes over the rows of a parsed chunk in the order of the file: customers, and the stored forms of rejected rows, which
    /// `lines` is moved on for.
    pub fn each_row(
        &self,
        batch: &ListBatch,
        lines: &mut u64,
        mut visit: impl FnMut(Option<CustomerId>, Option<(Rejection, &[u8])>),
    ) {
        let mut stored = Vec::new();
        for (record, (customer, fault)) in batch.records.records.iter().zip(&batch.rows) {
            match fault {
                None => visit(Some(*customer), None),
                Some(fault) => {
                    stored.clear();
                    let (line, raw) = (*lines + 1 + u64::from(record.line), record.raw(&batch.chunk.bytes));
                    let is_split = record.is_split(self.dialect);
                    let Fault { rejection, column, message } = fault;
                    RejectedRow::put(line, *rejection, is_split, column, message, raw, &mut stored);
                    visit(None, Some((*rejection, &stored)));
                }
            }
        }
        *lines += u64::from(batch.records.lines);
    }
}

/// Appends the line of the processed report of a rejected row: the customer is called as the row does.
pub fn put_processed(row: &RejectedRow, layout: &Layout, is_dry: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(row.line.to_string().as_bytes());
    out.push(b',');
    out.extend_from_slice(Status::Rejected.word().as_bytes());
    out.push(b',');
    out.extend_from_slice(row.rejection.code().as_bytes());
    out.push(b',');
    write_cell(noted(is_dry, &row.message).as_bytes(), out);
    out.push(b',');
    if row.is_split {
        let (mut records, mut scratch) = (Records::default(), Vec::new());
        csv::scan(&row.raw, layout.dialect, layout.mapping.columns, &mut records);
        let name = records.records.first().and_then(|record| {
            IdentifierKind::ALL.iter().find_map(|&kind| {
                let column = layout.mapping.column(column_of_kind(kind))?;
                let field = *records.fields_of(record).get(column)?;
                let cell = csv::cell(&row.raw, field, layout.dialect, record.flags, &mut scratch);
                (!is_blank(cell)).then(|| bad_cell::shown(cell).to_owned())
            })
        });
        write_cell(unguarded(&name.unwrap_or_default()), out);
    }
    out.extend_from_slice(b",,\n");
}

impl ListBatch {
    /// Puts in the next chunk.
    pub fn fill(&mut self, chunk: Chunk) {
        self.chunk = chunk;
    }
}
