//! Applying rows of a file on expiry, in file order.

use super::{Ask, ExpiryBatch, ExpiryRules, Row};
use crate::{
    domain::{
        entry::{Detail, DetailAt, Entries, EntryText},
        id::JobId,
        job::Position,
    },
    error::Result,
    job::{output::Output, seen::Seen},
    ledger::account_book::AccountBook,
    store::{Store, jobs::Touch},
};

/// Rows between the prefetch of an account and its use; its lots are fetched half way.
const PREFETCH_ROWS: usize = 16;

/// Applies batches in file order: the one place where a file on expiry changes accounts.
pub struct ExpiryApplier<'a> {
    rules: &'a ExpiryRules,
    book: AccountBook,
    seen: Seen,
    lines: u64,
}

impl<'a> ExpiryApplier<'a> {
    /// An applier that goes on behind `position`; `resumed` names the job whose earlier rows it must remember.
    ///
    /// # Errors
    /// When the earlier rows cannot be read.
    pub fn new(
        rules: &'a ExpiryRules,
        book: AccountBook,
        position: Position,
        customers: (u32, u32),
        resumed: Option<(&Store, JobId)>,
    ) -> Result<ExpiryApplier<'a>> {
        let (customers, customers_before) = customers;
        let mut seen = Seen::new(customers, customers_before, false);
        if let Some((store, job)) = resumed {
            seen.remember_points(store, job)?;
        }
        Ok(ExpiryApplier { rules, book, seen, lines: position.lines })
    }

    /// Applies a parsed batch.
    pub fn apply(&mut self, batch: &mut ExpiryBatch) {
        let ExpiryBatch { chunk, records, rows, asks, notes, output, entries, .. } = batch;
        output.clear();
        entries.clear();
        batch.first_line = self.lines + 1;
        batch.first_sequence = self.book.next_sequence();
        let program = self.rules.program;
        let of_all = self.rules.defaults.update().map(|update| Ask { update, note: (0, 0) });
        for at in 0..rows.len() {
            if let Some(ahead) = rows.get(at + PREFETCH_ROWS) {
                self.book.prefetch(program, ahead.customer);
                self.book.prefetch_heads(program, ahead.customer);
                self.seen.prefetch(ahead.customer);
            }
            if let Some(ahead) = rows.get(at + PREFETCH_ROWS / 2) {
                self.book.prefetch_lots(program, ahead.customer);
            }
            let ask = if self.rules.fields.is_own { asks.get(at).copied().flatten() } else { of_all };
            let row = &mut rows[at];
            if let Some(ask) = ask.filter(|_| row.rejection.is_none()) {
                let line = batch.first_line + u64::from(records.records[at].line);
                let note = notes.get(ask.note.0 as usize..ask.note.1 as usize).unwrap_or_default();
                self.apply_row(row, &ask, line, note, entries, output);
            }
            output.counts.outcome(row.status);
            if let Some(rejection) = row.rejection {
                output.counts.reject(rejection);
            }
        }
        self.lines += u64::from(records.lines);
        output.position = Position { offset: chunk.end, chunk: chunk.number + 1, lines: self.lines };
        output.next_sequence = self.book.next_sequence();
        output.balance_after = self.book.total(program);
    }

    fn apply_row(
        &mut self,
        row: &mut Row,
        ask: &Ask,
        line: u64,
        note: &str,
        entries: &mut Entries,
        output: &mut Output,
    ) {
        let (program, customer) = (self.rules.program, row.customer);
        let detail = |entries: &mut Entries| {
            if note.is_empty() {
                return DetailAt::NONE;
            }
            let mut detail = Detail::default();
            entries.set_text(&mut detail, EntryText::Reason, note);
            entries.add_detail(detail)
        };
        let changed = self.book.change_expiry((program, customer), &ask.update, line, detail, entries);
        self.seen.name(customer, &mut output.counts);
        let points = &mut output.counts.points;
        points.moved += changed.points_moved;
        points.expire(changed.expired_now);
        points.expire(changed.overdue);
        row.set(&changed);
        if row.rejection.is_none() {
            (row.has_balance, row.balance) = (true, self.book.balance(program, customer));
        }
        if changed.lots_changed() == 0 {
            output.touched.push(Touch::named(customer));
        }
    }

    /// The accounts, for adjustments between the rows of the job.
    pub fn book(&mut self) -> &mut AccountBook {
        &mut self.book
    }

    /// Ends: gives back the accounts.
    pub fn finish(self) -> AccountBook {
        self.book
    }
}
