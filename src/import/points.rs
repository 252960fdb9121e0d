//! Points files: rows become commands, commands are applied in file order, what happened becomes pages and reports.

use std::sync::{RwLock, RwLockReadGuard};

use crate::{
    domain::{
        apply::Effect,
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown, Operation, ResolvedCommand},
        customer::CustomerChange,
        entry::Entry,
        id::{CustomerId, JobId},
        identifier::{IdentifierKind, normalize, put_plain},
        job::{Counts, Position},
        outcome::Status,
        phone::Region,
        points::{AmountProblem, Conversion, NumberStyle, parse_amount, write_amount},
        rejection::Rejection,
        time::Timestamp,
    },
    error::{Error, Result},
    import::{
        chunk::Chunk,
        csv::{self, Record, Records},
        dialect::Dialect,
        format::{ColumnField, Format, Mapping, OperationWord},
        rows::{
            Cells, Fault, Faults, column_of_kind, filled_identifiers, is_blank, noted, owner_fault, quoted,
            record_fault,
        },
    },
    job::{output::Output, seen::Seen},
    ledger::account_book::{AccountBook, encode_entries},
    report::{cell::write_cell, digits::Piece},
    store::{
        Store,
        customer_page::{CustomerPageWriter, RECORDS_MAX, put_change},
        identifiers::{IdentifierHash, IdentifierTable, LookupOrder},
        jobs::{RejectedRow, Touch},
        key::LogKey,
        state::State,
    },
};

/// Rows between the prefetch of an account and its use: 16 rows of 20 ns hide one memory access.
const PREFETCH_ROWS: usize = 16;

/// What the processed report begins with.
pub const PROCESSED_HEADER: &[u8] = b"line,status,code,message,customer,amount,balance\n";

/// How rows of a points file become commands: everything that the job's options and the file's header decide.
pub struct PointsRules {
    /// How the file is written.
    pub dialect: Dialect,
    /// How many columns its header has.
    pub columns: usize,
    /// Where identifiers stand.
    pub identifiers: Vec<(IdentifierKind, usize)>,
    /// Where the amount stands.
    pub amount: usize,
    /// Where the operation stands; none: `mode` decides.
    pub operation: Option<usize>,
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
    /// The program's decimals.
    pub decimals: u8,
    /// How numbers are written.
    pub numbers: NumberStyle,
    /// How the file's amounts become points of the program.
    pub conversion: Option<Conversion>,
    /// Region of phone numbers without country code.
    pub region: Option<Region>,
    /// Seed of identifier hashes.
    pub seed: u64,
    /// The job; 0 in a dry run.
    pub job: JobId,
    /// Its `now`.
    pub now: Timestamp,
    /// Whether a processed report is written.
    pub processed: bool,
}

/// A row on its way: 40 bytes.
#[derive(Clone, Copy)]
struct Row {
    amount: i64,
    balance: i64,
    customer: CustomerId,
    operation: Operation,
    status: Status,
    rejection: Option<Rejection>,
    /// What a clamped debit left, if anything.
    not_taken: i64,
    /// Whether the amount could be read, and whether it is known what to do with it.
    is_readable: bool,
    has_operation: bool,
    has_balance: bool,
    /// Identifiers that nobody had when the row was parsed; an earlier row may have given them to somebody since.
    unfound: u8,
}

const _: () = assert!(size_of::<Row>() == 40);

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
    scratch: Vec<u8>,
    normalized: Vec<u8>,
    first_line: u64,
    entries: Vec<Entry>,
    first_sequence: u64,
    records_created: Vec<(u64, CustomerId, std::ops::Range<usize>)>,
    bodies: Vec<u8>,
    /// What is left for the committer.
    pub output: Output,
}

impl PointsBatch {
    /// Puts in the next chunk.
    pub fn fill(&mut self, chunk: Chunk) {
        self.chunk = chunk;
    }

    /// What is wrong with rows of the parsed chunk, by their place, as far as the file alone tells.
    pub fn faults(&self) -> &[(u32, Fault)] {
        &self.faults
    }
}

/// Where the fields of a points file stand.
pub struct PointsColumns {
    /// Identifiers.
    pub identifiers: Vec<(IdentifierKind, usize)>,
    /// The amount.
    pub amount: usize,
    /// The operation; none: the mode decides.
    pub operation: Option<usize>,
}

impl PointsRules {
    /// Where a mapping finds the fields.
    ///
    /// # Errors
    /// `Usage` when the file has no operation column and no mode is given, or both contradict each other.
    pub fn columns_of(mapping: &Mapping, mode: Option<Mode>) -> Result<PointsColumns> {
        let identifiers = IdentifierKind::ALL
            .iter()
            .filter_map(|&kind| Some((kind, mapping.column(column_of_kind(kind))?)))
            .collect();
        let amount = mapping.column(ColumnField::Amount);
        let amount = amount.ok_or_else(|| Error::usage("the file has no column for `amount`"))?;
        let operation = mapping.column(ColumnField::Operation);
        match (operation, mode) {
            (None, None) => Err(Error::usage(
                "the file has no operation column, so it must be said what its amounts are: `--mode add` adds each to \
                 the balance, `--mode reset` makes each the balance",
            )
            .hint("a wrong guess would double every balance, so there is no default")),
            (Some(_), Some(Mode::Reset)) => {
                Err(Error::usage("the file has an operation column, which `--mode reset` contradicts")
                    .hint("leave `--mode` out, or the column with `--map`"))
            }
            _ => Ok(PointsColumns { identifiers, amount, operation }),
        }
    }

    /// The words of a format's operations.
    pub fn words_of(format: &Format) -> Vec<(String, OperationWord)> {
        let blank = format.operation_blank.map(|operation| (String::new(), operation));
        blank.into_iter().chain(format.operations.iter().map(|(word, operation)| (word.clone(), *operation))).collect()
    }

    /// Parses a chunk: rows become commands with customers, or faults. Runs on any thread.
    pub fn parse(&self, table: &RwLock<IdentifierTable>, batch: &mut PointsBatch) {
        let PointsBatch { chunk, records, rows, faults, hashes, order, owners, scratch, normalized, .. } = batch;
        rows.clear();
        faults.clear();
        hashes.clear();
        let text = csv::scan_text(&chunk.bytes, self.dialect, self.columns, records);
        for (at, record) in records.records.iter().enumerate() {
            let cells = Cells::of(&chunk.bytes, text, records, record, self.dialect);
            let row = match self.parse_row(record, cells, at, hashes, scratch, normalized) {
                Some(row) => row,
                None => {
                    let (row, fault) = self.refused(record, cells, scratch, normalized);
                    faults.push((at as u32, fault));
                    row
                }
            };
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
    }

    /// The fast path: a row without any fault. None: look closer.
    #[inline]
    fn parse_row(
        &self,
        record: &Record,
        cells: Cells<'_>,
        at: usize,
        hashes: &mut Vec<(u32, IdentifierHash)>,
        scratch: &mut Vec<u8>,
        normalized: &mut Vec<u8>,
    ) -> Option<Row> {
        if record.problem.is_some() {
            return None;
        }
        let before = hashes.len();
        for &(kind, column) in &self.identifiers {
            let cell = cells.text(column, scratch);
            if is_blank(cell.as_bytes()) {
                continue;
            }
            normalized.clear();
            if !put_plain(kind, cell.as_bytes(), false, normalized)
                && normalize(kind, cell, self.region, false, normalized).is_err()
            {
                hashes.truncate(before);
                return None;
            }
            hashes.push((at as u32, IdentifierHash::of(self.seed, kind, normalized)));
        }
        if hashes.len() == before {
            return None;
        }
        let command = self
            .amount_of(cells.text(self.amount, scratch))
            .ok()
            .and_then(|amount| self.command(amount, cells, scratch).ok());
        let Some(command) = command else {
            hashes.truncate(before);
            return None;
        };
        Some(Row {
            amount: command.amount,
            balance: 0,
            customer: CustomerId::NONE,
            operation: command.operation,
            status: Status::Applied,
            rejection: None,
            not_taken: 0,
            is_readable: true,
            has_operation: true,
            has_balance: false,
            unfound: (hashes.len() - before) as u8,
        })
    }

    /// The points that a cell asks for.
    #[inline]
    fn amount_of(&self, cell: &str) -> std::result::Result<i64, AmountProblem> {
        match self.conversion {
            None => parse_amount(cell, self.decimals, self.numbers),
            Some(conversion) => conversion.convert(cell, self.decimals, self.numbers),
        }
    }

    /// What an amount and the row's operation ask for; else which of the two is wrong.
    #[inline]
    fn command(
        &self,
        amount: i64,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
    ) -> std::result::Result<ResolvedCommand, CommandFault> {
        let operation = match self.operation {
            Some(column) => {
                let cell = cells.text(column, scratch);
                let known = self.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(cell));
                match known.map_or_else(|| self.format.operation(cell), |&(_, operation)| Some(operation)) {
                    Some(OperationWord::Credit) => Operation::Credit,
                    Some(OperationWord::Debit) => Operation::Debit,
                    Some(OperationWord::Set) => Operation::Set,
                    None => return Err(CommandFault::Operation),
                }
            }
            None if self.mode == Some(Mode::Reset) => Operation::Set,
            None if amount < 0 => {
                let amount = amount.checked_neg().ok_or(CommandFault::Range)?;
                return Ok(ResolvedCommand { operation: Operation::Debit, amount });
            }
            None => Operation::Credit,
        };
        if amount < 0 { Err(CommandFault::Negative) } else { Ok(ResolvedCommand { operation, amount }) }
    }

    /// The slow path: every check in order, for the code and the message.
    fn refused(
        &self,
        record: &Record,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
        normalized: &mut Vec<u8>,
    ) -> (Row, Fault) {
        let mut row = Row {
            amount: 0,
            balance: 0,
            customer: CustomerId::NONE,
            operation: Operation::Credit,
            status: Status::Rejected,
            rejection: None,
            not_taken: 0,
            is_readable: false,
            has_operation: false,
            has_balance: false,
            unfound: 0,
        };
        if let Some(fault) = record_fault(record, self.columns) {
            row.rejection = Some(fault.rejection);
            return (row, fault);
        }
        let mut faults = Faults::default();
        let mut filled = false;
        for &(kind, column) in &self.identifiers {
            let cell = cells.text(column, scratch);
            if is_blank(cell.as_bytes()) {
                continue;
            }
            filled = true;
            if let Err(problem) = normalize(kind, cell, self.region, false, normalized) {
                let name = kind.name();
                faults.add(Rejection::IdentifierInvalid, name, format!("{name} {} {problem}", quoted(cell)));
            }
        }
        if !filled {
            let names: Vec<&str> = self.identifiers.iter().map(|(kind, _)| kind.name()).collect();
            let message = format!("no identifier is filled: one of {} is needed", names.join(", "));
            faults.add(
                Rejection::IdentifierMissing,
                self.identifiers.first().map_or("", |(kind, _)| kind.name()),
                message,
            );
        }
        let cell = cells.text(self.amount, scratch).to_owned();
        match self.amount_of(&cell) {
            Ok(amount) => {
                let negative = match self.command(amount, cells, scratch) {
                    Ok(command) => {
                        (row.amount, row.operation) = (command.amount, command.operation);
                        (row.is_readable, row.has_operation) = (true, true);
                        false
                    }
                    Err(CommandFault::Negative) => true,
                    Err(CommandFault::Range) => {
                        faults.add(Rejection::AmountRange, "amount", format!("amount {} does not fit", quoted(&cell)));
                        false
                    }
                    Err(CommandFault::Operation) if amount < 0 => true,
                    Err(CommandFault::Operation) => {
                        (row.amount, row.is_readable) = (amount, true);
                        false
                    }
                };
                if negative {
                    let why = if self.operation.is_some() {
                        "is negative: the operation says whether points are added or taken"
                    } else {
                        "is negative: a balance cannot be set to it"
                    };
                    faults.add(Rejection::AmountInvalid, "amount", format!("amount {} {why}", quoted(&cell)));
                }
            }
            Err(problem) => {
                let message = format!("amount {} {}", quoted(&cell), problem.message());
                let message = if is_blank(cell.as_bytes()) { "amount is empty".to_owned() } else { message };
                faults.add(problem.rejection(), "amount", message);
            }
        }
        if let Some(column) = self.operation {
            let cell = cells.text(column, scratch);
            if self.format.operation(cell).is_none() {
                let words: Vec<&str> = self.format.operations.keys().map(String::as_str).collect();
                let message = if is_blank(cell.as_bytes()) {
                    format!("operation is empty: it must be one of {}", words.join(", "))
                } else {
                    format!("operation {} is none of {}", quoted(cell), words.join(", "))
                };
                faults.add(Rejection::OperationInvalid, "operation", message);
            }
        }
        let fault = faults.first().unwrap_or_else(|| Fault {
            rejection: Rejection::RowMalformed,
            column: "",
            message: "the row cannot be read".to_owned(),
        });
        row.rejection = Some(fault.rejection);
        (row, fault)
    }

    /// Encodes what was applied: ledger pages, the processed report, rejected rows. Runs on any thread.
    ///
    /// # Errors
    /// Never; a stage of the pipeline returns a result.
    pub fn encode(&self, batch: &mut PointsBatch) -> Result<()> {
        for page in batch.records_created.chunks(RECORDS_MAX) {
            batch.output.page(|out| {
                let first = page.first().map_or(0, |(record, ..)| *record);
                let mut writer = CustomerPageWriter::begin(first, self.job, self.now, out);
                for (_, customer, body) in page {
                    writer.push(*customer, None, &batch.bodies[body.clone()]);
                }
                LogKey::Customers(writer.end())
            });
        }
        encode_entries(batch.first_sequence, self.job, self.now, &batch.entries, &mut batch.output);
        self.report(batch);
        Ok(())
    }

    fn report(&self, batch: &mut PointsBatch) {
        let PointsBatch { chunk, records, rows, faults, scratch, output, first_line, .. } = batch;
        let is_dry = self.job == JobId(0);
        let mut faults = faults.iter().peekable();
        for (at, (record, row)) in records.records.iter().zip(rows.iter()).enumerate() {
            let line = *first_line + u64::from(record.line);
            let found = faults.next_if(|(row, _)| *row as usize == at).map(|(_, fault)| fault);
            let late;
            let fault = match (found, row.rejection) {
                (None, Some(rejection)) => {
                    let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
                    let filled = filled_identifiers(&self.identifiers, cells, scratch);
                    late = owner_fault(rejection, &filled).unwrap_or_else(|| self.late_fault(rejection, row));
                    Some(&late)
                }
                (found, _) => found,
            };
            if let Some(fault) = fault {
                let raw = record.raw(&chunk.bytes);
                let (column, message) = (fault.column, fault.message.as_str());
                RejectedRow::put(
                    line,
                    fault.rejection,
                    record.problem.is_none(),
                    column,
                    message,
                    raw,
                    &mut output.rejects,
                );
                output.reject_ends.push(output.rejects.len());
            }
            if !self.processed {
                continue;
            }
            let out = &mut output.processed;
            let mut head = Piece::new();
            head.byte(b',');
            head.number(line);
            out.extend_from_slice(head.as_bytes());
            match fault {
                Some(fault) => {
                    out.extend_from_slice(b"rejected,");
                    out.extend_from_slice(fault.rejection.code().as_bytes());
                    out.push(b',');
                    write_cell(noted(is_dry, &fault.message).as_bytes(), out);
                    out.push(b',');
                }
                None if row.not_taken != 0 => {
                    out.extend_from_slice(row.status.word().as_bytes());
                    out.extend_from_slice(if is_dry { b",,dry run: " } else { b",," });
                    out.extend_from_slice(b"took what was there: ");
                    write_amount(row.not_taken, self.decimals, out);
                    out.extend_from_slice(b" not taken,");
                }
                None if is_dry => {
                    out.extend_from_slice(row.status.word().as_bytes());
                    out.extend_from_slice(b",,dry run,");
                }
                None if row.status == Status::Applied => out.extend_from_slice(b"applied,,,"),
                None => {
                    out.extend_from_slice(row.status.word().as_bytes());
                    out.extend_from_slice(b",,,");
                }
            }
            let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
            for &(_, column) in &self.identifiers {
                let cell = cells.get(column, scratch);
                if !is_blank(cell) && record.problem.is_none() {
                    write_cell(cell, out);
                    break;
                }
            }
            let mut tail = Piece::new();
            tail.byte(b'\n');
            if row.has_balance {
                tail.amount(row.balance, self.decimals);
            }
            tail.byte(b',');
            if row.status != Status::Rejected {
                tail.amount(row.amount, self.decimals);
            }
            tail.byte(b',');
            out.extend_from_slice(tail.as_bytes());
        }
    }

    /// The story of a row that only the customer's account could refuse.
    fn late_fault(&self, rejection: Rejection, row: &Row) -> Fault {
        let text = |amount: i64| {
            let mut out = Vec::new();
            write_amount(amount, self.decimals, &mut out);
            String::from_utf8(out).unwrap_or_default()
        };
        let (column, message) = match rejection {
            Rejection::InsufficientBalance => {
                ("amount", format!("the balance of {} does not cover {}", text(row.balance), text(row.amount)))
            }
            Rejection::BalanceOverflow => {
                ("amount", format!("the balance of {} cannot take in {}", text(row.balance), text(row.amount)))
            }
            Rejection::RepeatedCustomer => {
                ("amount", format!("an earlier row set this customer to another amount than {}", text(row.amount)))
            }
            other => ("", other.code().replace('_', " ")),
        };
        Fault { rejection, column, message }
    }
}

enum CommandFault {
    Negative,
    Range,
    Operation,
}

fn read(table: &RwLock<IdentifierTable>) -> RwLockReadGuard<'_, IdentifierTable> {
    table.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Applies batches in file order: the one place where a points file changes accounts.
pub struct PointsApplier<'a> {
    rules: &'a PointsRules,
    table: &'a RwLock<IdentifierTable>,
    book: AccountBook,
    seen: Seen,
    lines: u64,
    customers: u32,
    next_record: u64,
}

impl<'a> PointsApplier<'a> {
    /// An applier that goes on behind `position`; `resumed` names the job whose earlier rows it must remember.
    ///
    /// # Errors
    /// When the earlier rows cannot be read.
    pub fn new(
        rules: &'a PointsRules,
        table: &'a RwLock<IdentifierTable>,
        state: &State,
        book: AccountBook,
        position: Position,
        customers_before: u32,
        resumed: Option<(&Store, JobId)>,
    ) -> Result<PointsApplier<'a>> {
        // Eight bytes a customer, so only where a row can set a balance.
        let has_set = match rules.operation {
            Some(_) => rules.words.iter().any(|(_, operation)| *operation == OperationWord::Set),
            None => rules.mode == Some(Mode::Reset),
        };
        let tracks_resets = has_set && rules.on_repeat == OnRepeat::First;
        let mut seen = Seen::new(state.customers, customers_before, tracks_resets);
        if let Some((store, job)) = resumed {
            seen.remember_points(store, job)?;
        }
        Ok(PointsApplier {
            rules,
            table,
            book,
            seen,
            lines: position.lines,
            customers: state.customers,
            next_record: state.next_record,
        })
    }

    /// Applies a parsed batch.
    pub fn apply(&mut self, batch: &mut PointsBatch) {
        let PointsBatch { chunk, records, rows, output, entries, records_created, bodies, .. } = batch;
        output.clear();
        entries.clear();
        records_created.clear();
        bodies.clear();
        batch.first_line = self.lines + 1;
        batch.first_sequence = self.book.next_sequence();
        let creates = self.rules.on_unknown == OnUnknown::Create;
        for at in 0..rows.len() {
            if let Some(ahead) = rows.get(at + PREFETCH_ROWS) {
                self.book.prefetch(ahead.customer);
                self.seen.prefetch(ahead.customer);
            }
            let line = batch.first_line + u64::from(records.records[at].line);
            let row = &rows[at];
            let is_unsure = row.customer == CustomerId::NONE || (creates && row.unfound > 0);
            if is_unsure && row.rejection.is_none() {
                let record = &records.records[at];
                let cells = Cells::of(&chunk.bytes, None, records, record, self.rules.dialect);
                self.find_or_create(&mut rows[at], cells, records_created, bodies, &mut output.counts);
            }
            self.apply_row(&mut rows[at], line, entries, output);
        }
        self.lines += u64::from(records.lines);
        output.position = Position { offset: chunk.end, chunk: chunk.number + 1, lines: self.lines };
        output.next_sequence = self.book.next_sequence();
        output.balance_after = self.book.total();
    }

    #[inline]
    fn apply_row(&mut self, row: &mut Row, line: u64, entries: &mut Vec<Entry>, output: &mut Output) {
        let asked = row.amount;
        let counts = &mut output.counts;
        let is_named = row.customer != CustomerId::NONE && row.rejection.is_none();
        if is_named {
            self.seen.name(row.customer, counts);
            row.has_balance = true;
            row.balance = self.book.balance(row.customer);
            let mut first_reset = None;
            let repeat = if row.operation == Operation::Set { self.seen.reset_to(row.customer) } else { None };
            match repeat {
                Some(amount) if amount == row.amount => row.status = Status::Unchanged,
                Some(_) => row.rejection = Some(Rejection::RepeatedCustomer),
                None => {
                    let command = ResolvedCommand { operation: row.operation, amount: row.amount };
                    match self.book.apply(row.customer, command, line, entries) {
                        Effect::Entry { amount, balance_after, not_taken, .. } => {
                            row.amount = amount;
                            row.balance = balance_after;
                            row.not_taken = not_taken;
                            first_reset = Some(balance_after);
                            if amount >= 0 { counts.credited += amount } else { counts.debited.0 -= i128::from(amount) }
                        }
                        Effect::Unchanged { not_taken } => {
                            // A customer that this row created was changed by it, if only by coming to be.
                            if row.status != Status::Created {
                                row.status = Status::Unchanged;
                            }
                            row.not_taken = not_taken;
                            first_reset = Some(row.balance);
                        }
                        Effect::Rejected(rejection) => row.rejection = Some(rejection),
                    }
                    if let (Operation::Set, Some(amount)) = (row.operation, first_reset) {
                        self.seen.set_reset(row.customer, amount);
                    }
                }
            }
            if row.status == Status::Created {
                row.status = Status::Applied;
            }
            let has_entry = entries.last().is_some_and(|entry| entry.row == line);
            if !has_entry {
                let reset_to = first_reset.filter(|_| row.operation == Operation::Set && row.rejection.is_none());
                output.touched.push(Touch { customer: row.customer, reset_to });
            }
        }
        if row.rejection.is_some() {
            row.status = Status::Rejected;
            row.has_balance = false;
        }
        account_for(row, asked, counts);
        // Reports show what moved; a rejected row keeps what it asked for, for its message.
        let has_moved = entries.last().is_some_and(|entry| entry.row == line);
        if row.status != Status::Rejected && !has_moved {
            row.amount = 0;
        }
    }

    /// Looks again for the owners of identifiers, in case an earlier row created one that parsing did not find; creates a
    /// customer if there is none and rows may.
    fn find_or_create(
        &mut self,
        row: &mut Row,
        cells: Cells<'_>,
        created: &mut Vec<(u64, CustomerId, std::ops::Range<usize>)>,
        bodies: &mut Vec<u8>,
        counts: &mut Counts,
    ) {
        let rules = self.rules;
        if rules.on_unknown == OnUnknown::Reject {
            row.rejection = Some(Rejection::IdentifierUnknown);
            return;
        }
        let (mut scratch, mut normalized) = (Vec::new(), Vec::new());
        let mut identifiers: Vec<(IdentifierKind, String, IdentifierHash)> = Vec::new();
        for &(kind, column) in &rules.identifiers {
            let cell = cells.text(column, &mut scratch);
            if !is_blank(cell.as_bytes()) && normalize(kind, cell, rules.region, false, &mut normalized).is_ok() {
                let hash = IdentifierHash::of(rules.seed, kind, &normalized);
                identifiers.push((kind, String::from_utf8_lossy(&normalized).into_owned(), hash));
            }
        }
        // A worker holds the lock while it parses a chunk, so this waits for a millisecond; only rows that create pay.
        let mut table = self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (_, _, hash) in &identifiers {
            match table.get(*hash) {
                Some(owner) if row.customer == CustomerId::NONE => row.customer = owner,
                Some(owner) if owner != row.customer => {
                    row.rejection = Some(Rejection::IdentifierConflict);
                    return;
                }
                _ => {}
            }
        }
        if row.customer != CustomerId::NONE {
            return;
        }
        let customer = CustomerId(self.customers);
        let command = ResolvedCommand { operation: row.operation, amount: row.amount };
        if customer == CustomerId::NONE {
            row.rejection = Some(Rejection::IdentifierUnknown);
            return;
        }
        if let Effect::Rejected(rejection) = self.book.effect(customer, command) {
            row.rejection = Some(rejection);
            return;
        }
        let mut change = CustomerChange { created_at: Some(rules.now), ..CustomerChange::default() };
        for (kind, value, hash) in &identifiers {
            table.insert(*hash, customer);
            match kind {
                IdentifierKind::UserId => change.user_id = Some(value),
                IdentifierKind::ExternalId => change.external_id = Some(value),
                IdentifierKind::Email => change.email = Some(value),
                IdentifierKind::Mobile => change.mobile = Some(value),
                IdentifierKind::Card => change.cards.push(value),
            }
        }
        let start = bodies.len();
        put_change(&change, bodies);
        created.push((self.next_record, customer, start..bodies.len()));
        self.next_record += 1;
        self.customers += 1;
        counts.customers_created += 1;
        row.customer = customer;
        row.status = Status::Created;
    }

    /// Ends: the state gets back its accounts and learns of new customers.
    pub fn finish(self, state: &mut State) {
        if self.customers > state.customers {
            // Profiles know nothing of customers that rows of points created: who needs them loads them anew.
            state.profiles = None;
        }
        state.customers = self.customers;
        state.next_record = self.next_record;
        self.book.give_back(state);
    }
}

/// Counts a row's outcome and where its points went.
#[inline]
fn account_for(row: &Row, asked: i64, counts: &mut Counts) {
    counts.outcome(row.status);
    if let Some(rejection) = row.rejection {
        counts.reject(rejection);
    }
    if !row.is_readable {
        counts.unreadable_amounts += 1;
        return;
    }
    if !row.has_operation {
        counts.unassigned_rows += 1;
        counts.unassigned += asked;
        return;
    }
    let account = match row.operation {
        Operation::Credit => &mut counts.credits,
        Operation::Debit => &mut counts.debits,
        Operation::Set => {
            counts.set_rows += 1;
            counts.set += asked;
            return;
        }
    };
    account.in_file += asked;
    match row.status {
        Status::Rejected => account.rejected += asked,
        _ => {
            account.not_taken += row.not_taken;
            if row.status == Status::Unchanged {
                account.unchanged += asked - row.not_taken;
            } else {
                account.applied += asked - row.not_taken;
            }
        }
    }
}
