//! Points files: rows become commands, commands are applied in file order, what happened becomes pages and reports.
//!
//! `row` reads what every row says, `terms` what only some formats have beside it; both on any thread. `applier` applies,
//! in file order. `encoding` turns what happened into pages and reports, again on any thread.

use std::sync::{RwLock, RwLockReadGuard};

use crate::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown, Operation},
        entry::{DetailAt, Entries, EntryText},
        id::{CustomerId, JobId, ProgramId},
        identifier::IdentifierKind,
        outcome::Status,
        phone::Region,
        points::{Conversion, NumberStyle},
        program::Program,
        rejection::Rejection,
        time::{Date, DateStyle, TimeZone, Timestamp},
    },
    error::{Error, Result},
    import::{
        cell_rules::CellRules,
        chunk::Chunk,
        csv::{self, Records},
        dialect::Dialect,
        format::{ColumnField, Format, Mapping, OperationWord},
        input::Layout,
        rows::{Cells, Fault, column_of_kind},
        sheet::bad_cell,
        surroundings::Surroundings,
    },
    job::output::Output,
    store::{
        identifiers::{IdentifierHash, IdentifierTable, LookupOrder},
        row_keys::{RowKeyCell, StoredRowKeys},
    },
};

mod row;
mod terms;
mod applier;
mod encoding;

pub use applier::PointsApplier;

/// What the processed report begins with.
pub const PROCESSED_HEADER: &[u8] = b"line,status,code,message,customer,amount,balance\n";

/// How rows of a points file become commands: everything that the job's options and the file's header decide.
pub struct PointsRules {
    /// How the file is written.
    pub dialect: Dialect,
    /// How many columns its header has.
    pub columns: usize,
    /// Where its fields stand.
    pub fields: PointsColumns,
    /// What is taken off cells.
    pub cell_rules: CellRules,
    /// Whether amounts are neither converted nor limited.
    pub has_plain_amounts: bool,
    /// The same as a list.
    pub read: Vec<(ColumnField, usize)>,
    /// The format.
    pub format: Format,
    /// Its words of operation, the empty cell among them, so that a row's is found without making a lower-case copy.
    pub words: Vec<(String, OperationWord)>,
    /// What a file without operations does.
    pub mode: Option<Mode>,
    /// Policies.
    pub on_unknown: OnUnknown,
    /// Policies.
    pub on_overdraft: OnOverdraft,
    /// Policies.
    pub on_repeat: OnRepeat,
    /// The job's program: that of rows which name none.
    pub program: ProgramId,
    /// The store's programs, by their numbers.
    pub programs: Vec<Program>,
    /// How numbers are written.
    pub numbers: NumberStyle,
    /// How dates are written.
    pub dates: DateStyle,
    /// How the file's amounts become points of the program.
    pub conversion: Option<Conversion>,
    /// Region of phone numbers without country code.
    pub region: Option<Region>,
    /// The zone in which days begin and end.
    pub zone: TimeZone,
    /// The job's day there.
    pub today: Date,
    /// Seed of identifier hashes.
    pub seed: u64,
    /// The job; 0 in a dry run.
    pub job: JobId,
    /// Its `now`.
    pub now: Timestamp,
    /// Whether a processed report is written.
    pub processed: bool,
}

/// A row on its way.
#[derive(Clone, Copy)]
struct Row {
    amount: i64,
    balance: i64,
    /// What a clamped debit left, if anything.
    not_taken: i64,
    expires_on: Option<Date>,
    customer: CustomerId,
    detail: DetailAt,
    program: ProgramId,
    operation: Operation,
    status: Status,
    rejection: Option<Rejection>,
    /// Whether the amount could be read, and whether it is known what to do with it.
    is_readable: bool,
    has_operation: bool,
    has_balance: bool,
    /// Whether its last day is over, which only a row that was applied before may be.
    is_over: bool,
    /// Whether a row with its id was applied before.
    is_known: bool,
    /// Whether it is a debit with a last day.
    is_expiry_ignored: bool,
    /// Identifiers that nobody had when the row was parsed; an earlier row may have given them to somebody since.
    unfound: u8,
}

const _: () = assert!(size_of::<Row>() == 48);

/// One chunk of a points file on its way through the stages.
#[derive(Default)]
pub struct PointsBatch {
    chunk: Chunk,
    records: Records,
    rows: Vec<Row>,
    faults: Vec<(u32, Fault)>,
    hashes: Vec<(u32, IdentifierHash)>,
    order: LookupOrder,
    owners: Vec<CustomerId>,
    /// The rows' own keys, one a row where the file has them.
    row_keys: Vec<RowKeyCell>,
    /// Which runs of stored keys were there when the chunk was read.
    row_keys_version: u64,
    scratch: Vec<u8>,
    normalized: Vec<u8>,
    first_line: u64,
    entries: Entries,
    first_sequence: u64,
    records_created: Vec<(u64, CustomerId, std::ops::Range<usize>)>,
    bodies: Vec<u8>,
    /// What is left for the committer.
    pub output: Output,
}

impl PointsBatch {
    /// Puts in the next chunk, read when the stored keys of rows had this version.
    pub fn fill(&mut self, chunk: Chunk, row_keys_version: u64) {
        self.chunk = chunk;
        self.row_keys_version = row_keys_version;
    }

    /// What is wrong with rows of the parsed chunk, by their place, as far as the file alone tells.
    pub fn faults(&self) -> &[(u32, Fault)] {
        &self.faults
    }
}

/// Where the fields of a points file stand.
#[derive(Clone, Debug, Default)]
pub struct PointsColumns {
    /// Identifiers.
    pub identifiers: Vec<(IdentifierKind, usize)>,
    /// The amount.
    pub amount: usize,
    /// The operation; none: the mode decides.
    pub operation: Option<usize>,
    /// The program.
    pub program: Option<usize>,
    /// The last day.
    pub expires_on: Option<usize>,
    /// The days of validity.
    pub expires_in_days: Option<usize>,
    /// When the points were earned.
    pub credited_on: Option<usize>,
    /// Whether they are promised only.
    pub promised: Option<usize>,
    /// Reference, promotion, reason, comment.
    pub texts: Vec<(EntryText, usize)>,
    /// The row's own key.
    pub row_id: Option<usize>,
}

impl PointsColumns {
    /// Whether rows say more than who, how much and what to do with it.
    pub fn has_terms(&self) -> bool {
        let columns =
            [self.program, self.expires_on, self.expires_in_days, self.credited_on, self.promised, self.row_id];
        columns.iter().any(Option::is_some) || !self.texts.is_empty()
    }
}

/// The column that a text is read from.
fn column_of_text(text: EntryText) -> ColumnField {
    match text {
        EntryText::RefType => ColumnField::RefType,
        EntryText::RefId => ColumnField::RefId,
        EntryText::PromotionId => ColumnField::PromotionId,
        EntryText::Reason => ColumnField::Reason,
        EntryText::Comment => ColumnField::Comment,
    }
}

impl PointsRules {
    /// The rules by which a file is read, with the default of each policy; of no job.
    ///
    /// # Errors
    /// As `columns_of`.
    pub fn reading(
        layout: &Layout,
        mode: Option<Mode>,
        conversion: Option<Conversion>,
        surroundings: &Surroundings,
    ) -> Result<PointsRules> {
        let mode = PointsRules::mode_of(layout, mode)?;
        Ok(PointsRules {
            dialect: layout.dialect,
            columns: layout.mapping.columns,
            fields: PointsRules::columns_of(&layout.mapping, mode)?,
            cell_rules: layout.cell_rules(),
            has_plain_amounts: conversion.is_none()
                && layout.format.amount_min.is_none()
                && layout.format.amount_max.is_none(),
            read: layout.mapping.fields.iter().map(|(&field, &column)| (field, column)).collect(),
            words: PointsRules::words_of(&layout.format),
            format: layout.format.clone(),
            mode,
            on_unknown: OnUnknown::default(),
            on_overdraft: OnOverdraft::default(),
            on_repeat: OnRepeat::default(),
            program: surroundings.program,
            programs: surroundings.programs.clone(),
            numbers: layout.number_style(),
            dates: layout.dates,
            conversion,
            region: layout.region(surroundings.region),
            zone: surroundings.zone.clone(),
            today: surroundings.today,
            seed: 0,
            job: JobId(0),
            now: surroundings.now,
            processed: false,
        })
    }

    /// What the amounts of a file do, if its rows do not say it: as the job or its format has it.
    ///
    /// # Errors
    /// `Usage` when both contradict each other.
    pub fn mode_of(layout: &Layout, asked: Option<Mode>) -> Result<Option<Mode>> {
        if layout.mapping.column(ColumnField::Operation).is_some() {
            return Ok(asked);
        }
        layout.format.mode_of(asked).map_err(|error| Error::usage(error.to_string()))
    }

    /// Where a mapping finds the fields.
    ///
    /// # Errors
    /// `Usage` when the file has no operation column and no mode is given, or both contradict each other.
    pub fn columns_of(mapping: &Mapping, mode: Option<Mode>) -> Result<PointsColumns> {
        let amount = mapping.column(ColumnField::Amount);
        let amount = amount.ok_or_else(|| Error::usage("the file has no column for `amount`"))?;
        let operation = mapping.column(ColumnField::Operation);
        match (operation, mode) {
            (None, None) => {
                return Err(Error::usage(
                    "the file has no operation column, so it must be said what its amounts are: `--mode add` adds each to \
                     the balance, `--mode reset` makes each the balance",
                )
                .hint("a wrong guess would double every balance, so there is no default"));
            }
            (Some(_), Some(Mode::Reset)) => {
                return Err(Error::usage("the file has an operation column, which `--mode reset` contradicts")
                    .hint("leave `--mode` out, or the column with `--map`"));
            }
            _ => {}
        }
        let identifier = |&kind: &IdentifierKind| Some((kind, mapping.column(column_of_kind(kind))?));
        let text = |text: EntryText| Some((text, mapping.column(column_of_text(text))?));
        Ok(PointsColumns {
            identifiers: IdentifierKind::ALL.iter().filter_map(identifier).collect(),
            amount,
            operation,
            program: mapping.column(ColumnField::Program),
            expires_on: mapping.column(ColumnField::ExpiresOn),
            expires_in_days: mapping.column(ColumnField::ExpiresInDays),
            credited_on: mapping.column(ColumnField::CreditedOn),
            promised: mapping.column(ColumnField::Promised),
            texts: EntryText::ALL.into_iter().filter_map(text).collect(),
            row_id: mapping.column(ColumnField::RowId),
        })
    }

    /// The words of a format's operations.
    pub fn words_of(format: &Format) -> Vec<(String, OperationWord)> {
        let blank = format.operation_blank.map(|operation| (String::new(), operation));
        blank.into_iter().chain(format.operations.iter().map(|(word, operation)| (word.clone(), *operation))).collect()
    }

    /// A program's decimals.
    #[inline]
    fn decimals_of(&self, program: ProgramId) -> u8 {
        self.programs.get(usize::from(program.0)).map_or(0, |program| program.decimals)
    }

    /// Parses a chunk: rows become commands with customers, or faults. Runs on any thread.
    ///
    /// # Errors
    /// When stored keys of rows cannot be read.
    pub fn parse(
        &self,
        table: &RwLock<IdentifierTable>,
        row_keys: Option<&StoredRowKeys<'_>>,
        batch: &mut PointsBatch,
    ) -> Result<()> {
        batch.entries.clear();
        let PointsBatch {
            chunk,
            records,
            rows,
            faults,
            hashes,
            order,
            owners,
            row_keys: keys,
            scratch,
            normalized,
            entries,
            ..
        } = batch;
        rows.clear();
        faults.clear();
        hashes.clear();
        keys.clear();
        let has_terms = self.fields.has_terms();
        let text = csv::scan_text(&chunk.bytes, self.dialect, self.columns, records);
        chunk.settle(records);
        if text.is_none() {
            let is_read = |column| self.read.iter().any(|&(_, read)| read == column);
            bad_cell::forgive(records, &chunk.bytes, self.dialect, is_read);
        }
        self.cell_rules.apply(&chunk.bytes, self.dialect, records);
        for (at, record) in records.records.iter().enumerate() {
            let cells = Cells::of(&chunk.bytes, text, records, record, self.dialect);
            let mut row = self.parse_row(record, cells, at, hashes, scratch, normalized);
            if has_terms && let Some(good) = row {
                row = self.with_terms(good, row_keys.is_some(), cells, keys, entries, scratch);
                if row.is_none() {
                    hashes.truncate(hashes.len() - usize::from(good.unfound));
                }
            }
            let row = row.unwrap_or_else(|| {
                let (row, fault) = self.refused(record, cells, scratch, normalized);
                faults.push((at as u32, fault));
                row
            });
            if self.fields.row_id.is_some() && keys.len() <= at {
                keys.push(RowKeyCell::default());
            }
            rows.push(row);
        }
        order.sort(hashes.iter().map(|(_, hash)| hash));
        owners.clear();
        owners.resize(hashes.len(), CustomerId::NONE);
        read(table).get_each(order, owners);
        for ((row, _), &owner) in hashes.iter().zip(owners.iter()).filter(|(_, owner)| **owner != CustomerId::NONE) {
            // Two different owners are a conflict, whichever is found first.
            let row = &mut rows[*row as usize];
            row.unfound -= 1;
            if row.customer == CustomerId::NONE {
                row.customer = owner;
            } else if row.customer != owner {
                row.rejection = Some(Rejection::IdentifierConflict);
            }
        }
        if let Some(stored) = row_keys {
            stored.find(self.seed, rows.iter().map(|row| (row.program, row.customer)).zip(keys.iter_mut()))?;
        }
        Ok(())
    }
}

fn read(table: &RwLock<IdentifierTable>) -> RwLockReadGuard<'_, IdentifierTable> {
    table.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}
