//! Reading a row of a points file: who, how much, and what to do with it.
//!
//! `parse_row` is the fast path, which gives up at the first doubt; `refused` then makes every check in order, for the code
//! and the message.

use super::{PointsRules, Row};
use crate::{
    domain::{
        command::{Mode, Operation},
        entry::DetailAt,
        id::{CustomerId, ProgramId},
        identifier::{normalize, put_plain},
        outcome::Status,
        points::{AmountProblem, DECIMALS_MAX, parse_amount},
        program::PROGRAM_DECIMALS_MAX,
        rejection::Rejection,
    },
    import::{
        csv::Record,
        format::OperationWord,
        rows::{Cells, Fault, Faults, is_blank, quoted, record_fault},
    },
    store::identifiers::IdentifierHash,
};

/// Why an amount and an operation do not make a command.
enum CommandFault {
    Negative,
    Range,
    Operation,
}

impl PointsRules {
    /// The fast path: a row without any fault. None: look closer.
    #[inline]
    pub(super) fn parse_row(
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
        for &(kind, column) in &self.fields.identifiers {
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
        let program = if self.fields.program.is_none() { Some(self.program) } else { self.program_of(cells, scratch) };
        let command = program.and_then(|program| {
            let cell = cells.text(self.fields.amount, scratch);
            let decimals = self.decimals_of(program);
            let amount = if self.has_plain_amounts {
                parse_amount(cell, decimals, self.numbers).ok()?
            } else {
                self.other_amount(cell, decimals)?
            };
            Some((program, self.command(amount, cells, scratch).ok()?))
        });
        let Some((program, (operation, amount))) = command else {
            hashes.truncate(before);
            return None;
        };
        Some(Row {
            amount,
            balance: 0,
            not_taken: 0,
            expires_on: None,
            customer: CustomerId::NONE,
            detail: DetailAt::NONE,
            program,
            operation,
            status: Status::Applied,
            rejection: None,
            is_readable: true,
            has_operation: true,
            has_balance: false,
            is_over: false,
            is_known: false,
            is_expiry_ignored: false,
            unfound: (hashes.len() - before) as u8,
        })
    }

    /// The program that a row names, or the job's; none: the store does not have it.
    #[inline]
    fn program_of(&self, cells: Cells<'_>, scratch: &mut Vec<u8>) -> Option<ProgramId> {
        let Some(column) = self.fields.program else { return Some(self.program) };
        let code = cells.text(column, scratch).trim();
        if code.is_empty() {
            return Some(self.program);
        }
        self.programs.iter().position(|program| program.code == code).map(|at| ProgramId(at as u16))
    }

    /// The points that a cell asks for.
    #[inline]
    fn amount_of(&self, cell: &str, decimals: u8) -> std::result::Result<i64, AmountProblem> {
        match self.conversion {
            None => parse_amount(cell, decimals, self.numbers),
            Some(conversion) => conversion.convert(cell, decimals, self.numbers),
        }
    }

    /// An amount that is converted or limited; none: look closer. Apart, so that all others pay for one branch only.
    #[cold]
    #[inline(never)]
    fn other_amount(&self, cell: &str, decimals: u8) -> Option<i64> {
        self.amount_of(cell, decimals).ok().filter(|_| self.limit_missed(cell).is_none())
    }

    /// How a readable amount, as it is written, misses the format's least or most; none: it does not.
    #[inline(never)]
    fn limit_missed(&self, cell: &str) -> Option<String> {
        // With as many decimals as hold it: before `--multiply` it may have more than the program.
        let written = (0..=DECIMALS_MAX).find_map(|decimals| {
            let amount = parse_amount(cell, decimals, self.numbers).ok()?;
            Some((i128::from(amount), 10i128.pow(u32::from(decimals))))
        });
        let name = &self.format.name;
        match (written, self.format.amount_min, self.format.amount_max) {
            (Some((amount, unit)), Some(min), _) if amount < i128::from(min) * unit => {
                Some(format!("is less than {min}, the least that a file of `{name}` can have"))
            }
            (Some((amount, unit)), _, Some(max)) if amount > i128::from(max) * unit => {
                Some(format!("is more than {max}, the most that a file of `{name}` can have"))
            }
            _ => None,
        }
    }

    /// What an amount and the row's operation ask for; else which of the two is wrong.
    #[inline]
    fn command(
        &self,
        amount: i64,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
    ) -> std::result::Result<(Operation, i64), CommandFault> {
        let operation = match self.stated_operation(cells, scratch).ok_or(CommandFault::Operation)? {
            Operation::Credit if amount < 0 && self.fields.operation.is_none() => {
                let amount = amount.checked_neg().ok_or(CommandFault::Range)?;
                return Ok((Operation::Debit, amount));
            }
            operation => operation,
        };
        if amount < 0 { Err(CommandFault::Negative) } else { Ok((operation, amount)) }
    }

    /// The operation that a row's cell or the mode states, whatever the sign of the amount; none: a cell with no known word.
    #[inline]
    fn stated_operation(&self, cells: Cells<'_>, scratch: &mut Vec<u8>) -> Option<Operation> {
        let Some(column) = self.fields.operation else {
            return Some(if self.mode == Some(Mode::Reset) { Operation::Set } else { Operation::Credit });
        };
        let cell = cells.text(column, scratch);
        let known = self.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(cell));
        Some(match known.map_or_else(|| self.format.operation(cell), |&(_, operation)| Some(operation))? {
            OperationWord::Credit => Operation::Credit,
            OperationWord::Debit => Operation::Debit,
            OperationWord::Set => Operation::Set,
        })
    }

    /// The slow path: every check in order, for the code and the message.
    #[cold]
    #[inline(never)]
    pub(super) fn refused(
        &self,
        record: &Record,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
        normalized: &mut Vec<u8>,
    ) -> (Row, Fault) {
        let mut row = Row {
            amount: 0,
            balance: 0,
            not_taken: 0,
            expires_on: None,
            customer: CustomerId::NONE,
            detail: DetailAt::NONE,
            program: self.program,
            operation: Operation::Credit,
            status: Status::Rejected,
            rejection: None,
            is_readable: false,
            has_operation: false,
            has_balance: false,
            is_over: false,
            is_known: false,
            is_expiry_ignored: false,
            unfound: 0,
        };
        if let Some(fault) = record_fault(record, cells, self.columns, self.read.iter().copied()) {
            row.rejection = Some(fault.rejection);
            return (row, fault);
        }
        let mut faults = Faults::default();
        let mut filled = false;
        for &(kind, column) in &self.fields.identifiers {
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
            let names: Vec<&str> = self.fields.identifiers.iter().map(|(kind, _)| kind.name()).collect();
            let message = format!("no identifier is filled: one of {} is needed", names.join(", "));
            faults.add(
                Rejection::IdentifierMissing,
                self.fields.identifiers.first().map_or("", |(kind, _)| kind.name()),
                message,
            );
        }
        let program = self.program_of(cells, scratch);
        // An amount in points of nobody knows what is still a number or none.
        let decimals = program.map_or(PROGRAM_DECIMALS_MAX, |program| self.decimals_of(program));
        row.program = program.unwrap_or(self.program);
        let cell = cells.text(self.fields.amount, scratch).to_owned();
        let missed = self.limit_missed(&cell);
        match self.amount_of(&cell, decimals) {
            Ok(_) if missed.is_some() => {
                let why = missed.unwrap_or_default();
                faults.add(Rejection::AmountInvalid, "amount", format!("amount {} {why}", quoted(&cell)));
            }
            Ok(amount) => {
                let negative = match self.command(amount, cells, scratch) {
                    Ok(command) => {
                        (row.operation, row.amount) = command;
                        (row.is_readable, row.has_operation) = (program.is_some(), true);
                        false
                    }
                    Err(CommandFault::Negative) => true,
                    Err(CommandFault::Range) => {
                        faults.add(Rejection::AmountRange, "amount", format!("amount {} does not fit", quoted(&cell)));
                        false
                    }
                    Err(CommandFault::Operation) if amount < 0 => true,
                    Err(CommandFault::Operation) => {
                        (row.amount, row.is_readable) = (amount, program.is_some());
                        false
                    }
                };
                if negative {
                    let why = if self.fields.operation.is_some() {
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
        if let Some(column) = self.fields.operation {
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
        // Without a readable amount too, the operation decides what else matters.
        let operation = if row.has_operation { Some(row.operation) } else { self.stated_operation(cells, scratch) };
        self.check_terms(operation.unwrap_or(Operation::Credit), cells, &mut faults, scratch);
        let fault = faults.first().unwrap_or_else(|| Fault {
            rejection: Rejection::RowMalformed,
            column: "",
            message: "the row cannot be read".to_owned(),
        });
        row.rejection = Some(fault.rejection);
        (row, fault)
    }
}
