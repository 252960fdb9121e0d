//! Applying a bulk operation: customers in ascending order, a batch of them at a time. Entries become pages, and what became
//! of each customer a line of the report.

use std::collections::BTreeMap;

use super::selection::Selected;
use crate::{
    domain::{
        apply::Effect,
        bulk::BulkCommand,
        command::Operation,
        entry::{DetailAt, Entries},
        id::{CustomerId, JobId, ProgramId},
        job::Position,
        outcome::Status,
        points::write_amount,
        rejection::Rejection,
        time::Timestamp,
    },
    error::Result,
    job::output::Output,
    ledger::account_book::{AccountBook, Applied, encode_entries},
    report::cell::write_cell,
    store::{jobs::RejectedRow, names::NameReader, view::Readable},
};

/// Customers of a batch at most.
const CUSTOMERS_MAX: u64 = 1 << 14;

/// What stands for an amount that does not fit into 64 bits.
pub const AMOUNT_OUT_OF_RANGE: i64 = -1;

/// By what a job does what it does.
pub struct BulkRules<'a, R: Readable> {
    /// What is done to each.
    pub command: BulkCommand,
    /// The program.
    pub program: ProgramId,
    /// Its decimals.
    pub decimals: u8,
    /// The job; 0 in a dry run.
    pub job: JobId,
    /// Its `now`.
    pub now: Timestamp,
    /// Whether a line is written for each customer.
    pub processed: bool,
    /// Whether a file chose the customers, whose rejected rows stand in the same report.
    pub has_file: bool,
    /// Customers that became part of others since they were chosen.
    pub merges: &'a BTreeMap<CustomerId, CustomerId>,
    /// Where names are looked up.
    pub store: &'a R,
    /// The newest record of each customer, if they are at hand.
    pub newest: Option<&'a [u64]>,
}

/// What became of one customer.
#[derive(Clone, Copy)]
struct Row {
    customer: CustomerId,
    asked: i64,
    applied: Applied,
}

/// A batch on its way.
#[derive(Default)]
pub struct BulkBatch {
    customers: Vec<CustomerId>,
    /// Their amounts; empty where it is the same for all.
    amounts: Vec<i64>,
    /// The customer from which the next batch goes on.
    next: u32,
    rows: Vec<Row>,
    entries: Entries,
    first_sequence: u64,
    /// What is left for the committer.
    pub output: Output,
}

/// Gives out a job's customers batch by batch, from one of them on.
pub struct BulkReader<'a> {
    selected: &'a Selected,
    next: u32,
    /// Customers of a batch.
    customers_max: usize,
    /// How many amounts were given out.
    taken: usize,
}

impl<'a> BulkReader<'a> {
    /// From this customer on, in batches that are no larger than a window, but for what 64 need not be split for.
    pub fn from(selected: &'a Selected, next: u32, window_rows: u64) -> BulkReader<'a> {
        let taken = if selected.amounts.is_some() { selected.selection.count_before(next) } else { 0 };
        BulkReader { selected, next, customers_max: window_rows.min(CUSTOMERS_MAX) as usize, taken }
    }

    /// Fills a batch; false if nobody is left.
    pub fn fill(&mut self, batch: &mut BulkBatch) -> bool {
        batch.customers.clear();
        batch.amounts.clear();
        let Some(first) = self.selected.selection.next_from(self.next) else { return false };
        // Whole words of 64, so that where a batch ends depends on nothing but the customers.
        let mut at = first.0 / 64 * 64;
        while batch.customers.len() < self.customers_max.max(1) {
            let Some(next) = self.selected.selection.next_from(at.max(self.next)) else { break };
            at = next.0 / 64 * 64;
            batch.customers.extend(self.selected.selection.of_range(at.max(self.next)..at + 64));
            at += 64;
        }
        if let Some(amounts) = &self.selected.amounts {
            let end = (self.taken + batch.customers.len()).min(amounts.len());
            batch.amounts.extend_from_slice(&amounts[self.taken..end]);
            self.taken = end;
        }
        self.next = at;
        batch.next = at;
        true
    }
}

impl<R: Readable> BulkRules<'_, R> {
    /// Applies a batch to the accounts. Runs on one thread, in the order of the customers.
    pub fn apply(&self, book: &mut AccountBook, batch: &mut BulkBatch) {
        let BulkBatch { customers, amounts, next, rows, entries, first_sequence, output } = batch;
        output.clear();
        entries.clear();
        rows.clear();
        *first_sequence = book.next_sequence();
        let fixed = self.command.amount.fixed();
        let counts = &mut output.counts;
        for (at, &chosen) in customers.iter().enumerate() {
            let customer = self.now_part_of(chosen);
            let asked = fixed.or_else(|| amounts.get(at).copied()).unwrap_or(AMOUNT_OUT_OF_RANGE);
            counts.customers_matched += 1;
            let mut asked = asked;
            let applied = if let Some(selector) = self.command.converts {
                let applied = book.convert((self.program, customer), selector, entries);
                // What is promised is what is asked for.
                asked = match applied.effect {
                    Effect::Entry { amount, .. } => amount,
                    Effect::Unchanged { .. } | Effect::Rejected(_) => 0,
                };
                applied
            } else if asked == AMOUNT_OUT_OF_RANGE {
                let balance = book.balance(self.program, customer);
                Applied { effect: Effect::Rejected(Rejection::AmountRange), expired: Default::default(), balance }
            } else {
                let command = self.command.with(asked);
                book.apply(self.program, customer, command, 0, DetailAt::NONE, entries)
            };
            let points = &mut counts.points;
            points.expire(applied.expired);
            let is_set = self.command.operation == Operation::Set;
            let account =
                if self.command.operation == Operation::Debit { &mut points.debits } else { &mut points.credits };
            let known = asked.max(0);
            if !is_set {
                account.in_file += known;
            }
            match applied.effect {
                Effect::Entry { kind, amount, not_taken, .. } => {
                    if !is_set {
                        account.applied += known - not_taken;
                        account.not_taken += not_taken;
                    }
                    points.moved(kind, amount);
                    counts.outcome(Status::Applied);
                }
                Effect::Unchanged { not_taken } => {
                    if !is_set {
                        account.unchanged += known - not_taken;
                        account.not_taken += not_taken;
                    }
                    counts.outcome(Status::Unchanged);
                }
                Effect::Rejected(rejection) => {
                    if !is_set {
                        account.rejected += known;
                    }
                    counts.outcome(Status::Rejected);
                    counts.reject(rejection);
                }
            }
            if is_set {
                counts.points.set_rows += 1;
                counts.points.set += known;
            }
            if self.processed || matches!(applied.effect, Effect::Rejected(_)) {
                rows.push(Row { customer, asked, applied });
            }
        }
        output.position = Position { offset: u64::from(*next), ..Position::default() };
        output.next_sequence = book.next_sequence();
        output.balance_after = book.total(self.program);
    }

    /// The customer that has this one's points now.
    #[inline]
    fn now_part_of(&self, customer: CustomerId) -> CustomerId {
        if self.merges.is_empty() {
            return customer;
        }
        let steps = (0..self.merges.len()).try_fold(customer, |at, _| self.merges.get(&at).copied().ok_or(at));
        steps.unwrap_or_else(|root| root)
    }

    /// Encodes what was applied. Runs on any thread.
    ///
    /// # Errors
    /// When names cannot be read.
    pub fn encode(&self, batch: &mut BulkBatch) -> Result<()> {
        encode_entries(batch.first_sequence, self.job, self.now, &batch.entries, &mut batch.output);
        let mut names = NameReader::new(self.store, self.newest);
        for row in &batch.rows {
            let named = names.names(row.customer)?;
            let (_, name) = named.first().unwrap_or((crate::domain::identifier::IdentifierKind::UserId, ""));
            let refusal = match row.applied.effect {
                Effect::Rejected(rejection) => Some((rejection, self.message(rejection, row))),
                Effect::Entry { .. } | Effect::Unchanged { .. } => None,
            };
            if let Some((rejection, message)) = &refusal {
                let mut raw = Vec::new();
                for (at, name) in named.all().enumerate() {
                    raw.extend_from_slice(if at == 0 { b"" } else { b"," });
                    write_cell(name.unwrap_or_default().as_bytes(), &mut raw);
                }
                let out = &mut batch.output.rejects;
                RejectedRow::put(0, *rejection, !self.has_file, "amount", message, &raw, out);
                batch.output.reject_ends.push(out.len());
            }
            if self.processed {
                self.line(row, name, refusal.as_ref(), &mut batch.output.processed);
            }
        }
        Ok(())
    }

    fn line(&self, row: &Row, name: &str, refusal: Option<&(Rejection, String)>, out: &mut Vec<u8>) {
        let is_dry = self.job == JobId(0);
        let (status, amount, balance, not_taken) = match row.applied.effect {
            Effect::Entry { amount, balance_after, not_taken, .. } => {
                (Status::Applied, Some(amount), balance_after, not_taken)
            }
            Effect::Unchanged { not_taken } => (Status::Unchanged, Some(0), row.applied.balance, not_taken),
            Effect::Rejected(_) => (Status::Rejected, None, row.applied.balance, 0),
        };
        out.push(b',');
        out.extend_from_slice(status.word().as_bytes());
        out.push(b',');
        let mut message = if is_dry { "dry run".to_owned() } else { String::new() };
        let mut say = |text: &str| {
            message.push_str(if message.is_empty() { "" } else { ": " });
            message.push_str(text);
        };
        if let Some((rejection, text)) = refusal {
            out.extend_from_slice(rejection.code().as_bytes());
            say(text);
        }
        if not_taken != 0 {
            say(&format!("took what was there: {} not taken", self.text(not_taken)));
        }
        out.push(b',');
        write_cell(message.as_bytes(), out);
        out.push(b',');
        write_cell(name.as_bytes(), out);
        out.push(b',');
        if let Some(amount) = amount {
            write_amount(amount, self.decimals, out);
        }
        out.push(b',');
        write_amount(balance, self.decimals, out);
        out.push(b'\n');
    }

    fn text(&self, amount: i64) -> String {
        let mut out = Vec::new();
        write_amount(amount, self.decimals, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    fn message(&self, rejection: Rejection, row: &Row) -> String {
        let (balance, asked) = (self.text(row.applied.balance), self.text(row.asked));
        match rejection {
            Rejection::InsufficientBalance => format!("the balance of {balance} does not cover {asked}"),
            Rejection::BalanceOverflow => format!("the balance of {balance} cannot take in {asked}"),
            Rejection::AmountRange => "the LTV or number of orders makes more points than fit".to_owned(),
            other => other.code().replace('_', " "),
        }
    }
}
