//! What a customer row asks to be credited, beside an opening balance: an amount, in the program that its account or its
//! currency names, until its last day. It is credited every time that the row is applied.

use super::{CustomersRules, plain_row::PlainCells};
use crate::{
    domain::{
        command::{LotTerms, Operation, ResolvedCommand},
        currency::{currency_code, program_of},
        customer::Presence,
        id::ProgramId,
        points::parse_amount,
        program::PROGRAM_DECIMALS_MAX,
        rejection::Rejection,
        time::Date,
    },
    import::{
        csv::Field,
        format::{ColumnField, Mapping},
        rows::{Cells, Faults, is_blank, quoted},
    },
};

/// Where the fields of a credit stand.
pub(super) struct CreditColumns {
    amount: usize,
    currency: Option<usize>,
    account: Option<usize>,
    expires_on: Option<usize>,
}

impl CreditColumns {
    /// None where the file has no column of amounts: nothing is credited then, and its other columns say nothing.
    pub(super) fn of(mapping: &Mapping) -> Option<CreditColumns> {
        Some(CreditColumns {
            amount: mapping.column(ColumnField::Amount)?,
            currency: mapping.column(ColumnField::Currency),
            account: mapping.column(ColumnField::Account),
            expires_on: mapping.column(ColumnField::ExpiresOn),
        })
    }
}

/// What a row asks to be credited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Credit {
    /// How much, in the program's smallest unit; without a program in that of the job's.
    pub(super) amount: i64,
    /// Where; none: neither account nor currency says it, and nothing is credited.
    pub(super) program: Option<ProgramId>,
    /// Until when; none: for ever.
    pub(super) expires_on: Option<Date>,
    /// Whether the cell of the amount is filled, and whether it can be read.
    pub(super) is_filled: bool,
    pub(super) is_readable: bool,
    /// The balance with it, once it is credited.
    pub(super) balance_after: Option<i64>,
    /// Which of the row's identifiers are the customer's, whose message about it must reach nobody else.
    pub(super) own: Presence,
}

impl Credit {
    /// The command that credits it.
    pub(super) fn command(&self) -> ResolvedCommand {
        let terms = LotTerms { expires_on: self.expires_on, ..LotTerms::default() };
        ResolvedCommand { operation: Operation::Credit, amount: self.amount, terms }
    }
}

impl CustomersRules {
    /// The fast path: nothing where a cell needs a closer look. A row whose amount is empty is plain if all four are.
    #[inline]
    pub(super) fn plain_credit(
        &self,
        columns: Option<&CreditColumns>,
        (text, fields): (&str, &[Field]),
    ) -> Option<Credit> {
        let Some(columns) = columns else { return Some(Credit::default()) };
        let cells = PlainCells { text, fields };
        let get = |column: Option<usize>| cells.get(column.unwrap_or(usize::MAX));
        let (amount, currency) = (cells.get(columns.amount)?, get(columns.currency)?);
        let (account, expires_on) = (get(columns.account)?, get(columns.expires_on)?);
        if amount.is_empty() {
            let is_empty = currency.is_empty() && account.is_empty() && expires_on.is_empty();
            return is_empty.then(Credit::default);
        }
        let program = match (account, currency) {
            ("", "") => None,
            ("", _) => Some(program_of(&self.programs, self.program, currency).ok()?),
            (_, "") => Some(self.program_of_code(account)?),
            _ => return None,
        };
        let expires_on = match expires_on {
            "" => None,
            cell => Some(self.dates.parse(cell).filter(|&day| day >= self.today)?),
        };
        let decimals = self.decimals_of(program.unwrap_or(self.program));
        let amount = parse_amount(amount, decimals, self.numbers).ok().filter(|&amount| amount >= 0)?;
        Some(Credit { amount, program, expires_on, is_filled: true, is_readable: true, ..Credit::default() })
    }

    fn program_of_code(&self, code: &str) -> Option<ProgramId> {
        self.programs.iter().position(|program| program.code == code).map(|at| ProgramId(at as u16))
    }

    /// Reads a row's credit; what is wrong with it is added to `faults`, in the contract's order, but to `program_faults`
    /// where it is wrong with the program. A cell that cannot be read refuses the row, also where nothing is to be credited.
    pub(super) fn credit(
        &self,
        columns: &CreditColumns,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
        faults: &mut Faults,
        program_faults: &mut Faults,
    ) -> Credit {
        let is_filled = !is_blank(cells.text(columns.amount, scratch).as_bytes());
        let program = self.credited_program(columns, is_filled, cells, scratch, program_faults);
        let mut credit = Credit { program: program.unwrap_or(None), is_filled, ..Credit::default() };
        if is_filled {
            let cell = cells.text(columns.amount, scratch);
            // Where the program is not known, neither are its decimals: the job's own serve.
            let decimals = match credit.program {
                None if !self.knows_programs => PROGRAM_DECIMALS_MAX,
                program => self.decimals_of(program.unwrap_or(self.program)),
            };
            match parse_amount(cell, decimals, self.numbers) {
                Ok(amount) if amount >= 0 => (credit.amount, credit.is_readable) = (amount, true),
                Ok(_) => faults.add(
                    Rejection::AmountInvalid,
                    "amount",
                    format!("amount {} is negative: a customer file only credits", quoted(cell)),
                ),
                Err(problem) => {
                    faults.add(problem.rejection(), "amount", format!("amount {} {}", quoted(cell), problem.message()));
                }
            }
        }
        if let Some(column) = columns.expires_on {
            let cell = cells.text(column, scratch);
            if !is_blank(cell.as_bytes()) {
                let mut fault = |what: &str| {
                    faults.add(Rejection::ExpiryInvalid, "expires_on", format!("expires_on {} {what}", quoted(cell)));
                };
                match self.dates.parse(cell.trim()) {
                    Some(day) if day < self.today => fault("is in the past"),
                    Some(day) => credit.expires_on = Some(day),
                    None => fault(&format!("is not a date that exists, written as {}", self.dates.form())),
                }
            }
        }
        credit
    }

    /// The program that a row's account or currency names; an error where one of them cannot be read.
    fn credited_program(
        &self,
        columns: &CreditColumns,
        is_filled: bool,
        cells: Cells<'_>,
        scratch: &mut Vec<u8>,
        faults: &mut Faults,
    ) -> Result<Option<ProgramId>, ()> {
        let mut currency_program = None;
        let mut is_readable = true;
        let has_account = columns.account.is_some_and(|column| !is_blank(cells.text(column, scratch).as_bytes()));
        if let Some(column) = columns.currency {
            let cell = cells.text(column, scratch);
            if !is_blank(cell.as_bytes()) {
                let mut fault = |what: String| {
                    is_readable = false;
                    faults.add(Rejection::CurrencyUnknown, "currency", format!("currency {} {what}", quoted(cell)));
                };
                match currency_code(cell) {
                    None => fault("is no code of ISO 4217, such as EUR".to_owned()),
                    // An account decides alone, and where nothing is credited no program is needed.
                    Some(_) if has_account || !is_filled => {}
                    Some(code) => {
                        currency_program = program_of(&self.programs, self.program, code).ok();
                        if currency_program.is_none() && self.knows_programs {
                            let add = format!("`tidemill program add CODE --currency {code}`");
                            fault(format!("is that of no program: add one with {add}"));
                        }
                    }
                }
            }
        }
        let mut account_program = None;
        if let Some(column) = columns.account.filter(|_| has_account) {
            let cell = cells.text(column, scratch);
            account_program = self.program_of_code(cell.trim());
            if account_program.is_none() && self.knows_programs {
                let known: Vec<&str> = self.programs.iter().map(|program| program.code.as_str()).collect();
                let message = format!("account {} is no program: there are {}", quoted(cell), known.join(", "));
                faults.add(Rejection::ProgramUnknown, "account", message);
                is_readable = false;
            }
        }
        if is_readable { Ok(account_program.or(currency_program)) } else { Err(()) }
    }
}
