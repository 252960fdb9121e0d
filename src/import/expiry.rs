//! Files on expiry: rows become what they ask for, are applied in file order, and what happened becomes pages and reports.
//!
//! `row` reads what every row says, on any thread. `applier` applies, in file order. `encoding` turns what happened into pages
//! and reports, again on any thread.

use crate::{
    domain::{
        entry::{Entries, EntryText},
        expiry::{ExpiryBase, ExpiryChanged, ExpiryDirection, ExpiryUpdate, LotSelector, NewExpiry},
        expiry_terms::{ExpiryProfile, ExpiryTerms},
        id::{CustomerId, JobId, ProgramId},
        outcome::Status,
        points::NumberStyle,
        reference::reference_hash,
        rejection::Rejection,
        time::{Date, DateStyle, TimeZone, Timestamp},
    },
    import::{
        cell_rules::CellRules,
        chunk::Chunk,
        csv::{self, Records},
        dialect::Dialect,
        format::{ColumnField, Mapping},
        input::Layout,
        naming::{Names, Naming},
        rows::{Cells, Fault},
        sheet::bad_cell,
        surroundings::Surroundings,
    },
    job::output::Output,
    store::identifiers::IdentifierTable,
};

mod row;
mod applier;
mod encoding;

pub use applier::ExpiryApplier;

/// How rows of a file on expiry become what they ask for.
pub struct ExpiryRules {
    /// How the file is written.
    pub dialect: Dialect,
    /// How many columns its header has.
    pub columns: usize,
    /// Whom its rows mean.
    pub naming: Naming,
    /// What its rows say beside.
    pub fields: ExpiryColumns,
    /// Where fields stand, for messages on cells that cannot be read.
    pub read: Vec<(ColumnField, usize)>,
    /// What is taken off cells.
    pub cell_rules: CellRules,
    /// What rows ask for that say nothing.
    pub defaults: ExpiryDefaults,
    /// The job's program.
    pub program: ProgramId,
    /// Its decimals.
    pub decimals: u8,
    /// How numbers are written.
    pub numbers: NumberStyle,
    /// How dates are written.
    pub dates: DateStyle,
    /// The zone in which days begin and end.
    pub zone: TimeZone,
    /// The job's day there.
    pub today: Date,
    /// The job; 0 in a dry run.
    pub job: JobId,
    /// Its `now`.
    pub now: Timestamp,
    /// Whether a processed report is written.
    pub processed: bool,
}

/// Where the fields of a reference file stand; all none in the files of other profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpiryColumns {
    /// Whether rows say what they ask for; else the job says it for all.
    pub is_own: bool,
    /// The type of what points were given for.
    pub ref_type: Option<usize>,
    /// What they were given for.
    pub ref_id: Option<usize>,
    /// How the new last day is told.
    pub expiry_type: Option<usize>,
    /// What a relative one counts.
    pub unit: Option<usize>,
    /// The day, or how many.
    pub value: Option<usize>,
    /// Which way last days may move.
    pub change: Option<usize>,
    /// Why.
    pub note: Option<usize>,
}

/// What the job says, for all rows or for those that say nothing.
#[derive(Clone, Copy, Debug)]
pub struct ExpiryDefaults {
    /// Which lots, where rows do not say it.
    pub selector: LotSelector,
    /// Which way last days may move.
    pub direction: Option<ExpiryDirection>,
    /// The new last day.
    pub new: Option<NewExpiry>,
    /// From where a relative one counts.
    pub base: ExpiryBase,
    /// Whether promised lots are meant too.
    pub include_promised: bool,
}

impl ExpiryDefaults {
    /// As a job says it.
    pub fn of(terms: &ExpiryTerms) -> ExpiryDefaults {
        ExpiryDefaults {
            selector: match &terms.profile {
                ExpiryProfile::DateRange { from, to } => LotSelector::LastDay(*from, *to),
                ExpiryProfile::Reference => LotSelector::Reference { ref_type: 0, ref_id: 0 },
                ExpiryProfile::Promotion { id } => {
                    LotSelector::Promotion(reference_hash(EntryText::PromotionId, id.trim()))
                }
            },
            direction: terms.change,
            new: terms.set,
            base: terms.profile.base(),
            include_promised: terms.include_promised,
        }
    }

    /// What a row asks for that says nothing; none where it must say something.
    fn update(&self) -> Option<ExpiryUpdate> {
        Some(ExpiryUpdate {
            selector: self.selector,
            direction: self.direction?,
            new: self.new?,
            base: self.base,
            include_promised: self.include_promised,
        })
    }
}

/// What a row asks for, and the bounds of its note among its batch's.
#[derive(Clone, Copy)]
struct Ask {
    update: ExpiryUpdate,
    note: (u32, u32),
}

/// A row on its way.
#[derive(Clone, Copy)]
struct Row {
    customer: CustomerId,
    status: Status,
    rejection: Option<Rejection>,
    has_balance: bool,
    balance: i64,
    /// Points that have another last day, or that expired at once, negative.
    amount: i64,
    lots_moved: u32,
    lots_expired: u32,
    /// Lots that were left as they are: what would not be earlier, not later, beyond the year 9999, promised. Of as many as a
    /// number of 16 bits holds; nobody counts more.
    left: [u16; 4],
}

const _: () = assert!(size_of::<Row>() == 40);

impl Row {
    const NEW: Row = Row {
        customer: CustomerId::NONE,
        status: Status::Applied,
        rejection: None,
        has_balance: false,
        balance: 0,
        amount: 0,
        lots_moved: 0,
        lots_expired: 0,
        left: [0; 4],
    };

    /// Takes in what became of its lots.
    fn set(&mut self, changed: &ExpiryChanged) {
        let few = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let expired = changed.expired_now;
        self.amount = changed.points_moved.saturating_sub(expired.available).saturating_sub(expired.promised);
        self.lots_moved = changed.lots_moved;
        self.lots_expired = changed.lots_expired;
        self.left = [changed.not_earlier, changed.not_later, changed.out_of_range, changed.promised_left].map(few);
        self.rejection = changed.rejection();
        self.status = match (self.rejection, changed.lots_changed()) {
            (Some(_), _) => Status::Rejected,
            (None, 0) => Status::Unchanged,
            (None, _) => Status::Applied,
        };
    }
}

/// One chunk of a file on expiry on its way through the stages.
#[derive(Default)]
pub struct ExpiryBatch {
    chunk: Chunk,
    records: Records,
    rows: Vec<Row>,
    /// One a row where rows say what they ask for; else none.
    asks: Vec<Option<Ask>>,
    notes: String,
    faults: Vec<(u32, Fault)>,
    names: Names,
    scratch: Vec<u8>,
    normalized: Vec<u8>,
    first_line: u64,
    entries: Entries,
    first_sequence: u64,
    /// What is left for the committer.
    pub output: Output,
}

impl ExpiryBatch {
    /// Puts in the next chunk.
    pub fn fill(&mut self, chunk: Chunk) {
        self.chunk = chunk;
    }

    /// What is wrong with rows of the parsed chunk, by their place, as far as the file alone tells.
    pub fn faults(&self) -> &[(u32, Fault)] {
        &self.faults
    }
}

impl ExpiryColumns {
    /// Where a mapping finds them.
    pub fn of(mapping: &Mapping) -> ExpiryColumns {
        let columns = ExpiryColumns {
            is_own: false,
            ref_type: mapping.column(ColumnField::RefType),
            ref_id: mapping.column(ColumnField::RefId),
            expiry_type: mapping.column(ColumnField::ExpiryType),
            unit: mapping.column(ColumnField::ExpiryUnit),
            value: mapping.column(ColumnField::ExpiryValue),
            change: mapping.column(ColumnField::ExpiryChange),
            note: mapping.column(ColumnField::Reason),
        };
        ExpiryColumns { is_own: columns != ExpiryColumns::default(), ..columns }
    }
}

impl ExpiryRules {
    /// The rules by which a file is read, of no job. Without terms what rows leave to the job is left open: no row is refused
    /// for it.
    pub fn reading(
        layout: &Layout,
        terms: Option<&ExpiryTerms>,
        surroundings: &Surroundings,
        seed: u64,
    ) -> ExpiryRules {
        let open = ExpiryTerms {
            profile: ExpiryProfile::Reference,
            change: Some(ExpiryDirection::Early),
            set: Some(NewExpiry::Days(1)),
            include_promised: false,
        };
        let fields = ExpiryColumns::of(&layout.mapping);
        let is_own = terms.map_or(fields.is_own, |terms| terms.profile == ExpiryProfile::Reference);
        let terms = terms.unwrap_or(&open);
        ExpiryRules {
            dialect: layout.dialect,
            columns: layout.mapping.columns,
            naming: Naming::of(layout, surroundings.region, seed),
            fields: ExpiryColumns { is_own, ..fields },
            read: layout.mapping.fields.iter().map(|(&field, &column)| (field, column)).collect(),
            cell_rules: layout.cell_rules(),
            defaults: ExpiryDefaults::of(terms),
            program: surroundings.program,
            decimals: surroundings.decimals(),
            numbers: layout.number_style(),
            dates: layout.dates,
            zone: surroundings.zone.clone(),
            today: surroundings.today,
            job: JobId(0),
            now: surroundings.now,
            processed: false,
        }
    }

    /// Parses a chunk: rows become what they ask of whom, or faults. Runs on any thread.
    pub fn parse(&self, table: &IdentifierTable, batch: &mut ExpiryBatch) {
        let ExpiryBatch { chunk, records, rows, asks, notes, faults, names, scratch, normalized, .. } = batch;
        rows.clear();
        asks.clear();
        notes.clear();
        faults.clear();
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
            let mut row = Row::NEW;
            match self.read_row(record, cells, at, notes, names, scratch, normalized) {
                Ok(ask) if self.fields.is_own => asks.push(ask),
                Ok(_) => {}
                Err(fault) => {
                    (row.status, row.rejection) = (Status::Rejected, Some(fault.rejection));
                    faults.push((at as u32, fault));
                    if self.fields.is_own {
                        asks.push(None);
                    }
                }
            }
            rows.push(row);
        }
        self.naming.look_up(table, names, |row, owner| {
            // Two different owners are a conflict, whichever is found first.
            let row = &mut rows[row];
            if row.customer == CustomerId::NONE {
                row.customer = owner;
            } else if row.customer != owner {
                (row.status, row.rejection) = (Status::Rejected, Some(Rejection::IdentifierConflict));
            }
        });
        for row in rows.iter_mut().filter(|row| row.customer == CustomerId::NONE && row.rejection.is_none()) {
            (row.status, row.rejection) = (Status::Rejected, Some(Rejection::IdentifierUnknown));
        }
    }
}

#[cfg(test)]
mod tests;
