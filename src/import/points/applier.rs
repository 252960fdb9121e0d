//! Applying rows of a points file, in file order: the one place where such a file changes accounts.

use std::{collections::BTreeMap, sync::RwLock};

use super::{PointsBatch, PointsRules, Row};
use crate::{
    domain::{
        apply::Effect,
        command::{LotTerms, Mode, OnRepeat, OnUnknown, Operation, ResolvedCommand},
        customer::CustomerChange,
        entry::{DetailAt, Entries, RowKey},
        id::{CustomerId, JobId, ProgramId},
        identifier::{IdentifierKind, normalize},
        job::{Counts, Position},
        outcome::Status,
        reference::Reference,
        rejection::Rejection,
    },
    error::Result,
    import::{
        format::OperationWord,
        rows::{Cells, is_blank},
    },
    job::{output::Output, seen::Seen},
    ledger::account_book::AccountBook,
    store::{
        Store,
        customer_page::put_change,
        identifiers::{IdentifierHash, IdentifierTable},
        jobs::Touch,
        row_keys::{RecentRowKeys, RowKeyCell},
        state::State,
    },
};

/// Rows between the prefetch of an account and its use: 16 rows of 20 ns hide one memory access. Its lots, whose place the
/// account's own line tells, are fetched half way.
const PREFETCH_ROWS: usize = 16;

/// Lots for which room is made at once, whatever a file may bring: 2 GB that are not touched before they are filled.
const LOTS_EXPECTED_MAX: usize = 1 << 26;

/// Applies batches in file order: the one place where a points file changes accounts.
pub struct PointsApplier<'a, 'k> {
    rules: &'a PointsRules,
    table: &'a RwLock<IdentifierTable>,
    book: AccountBook,
    seen: Seen,
    lines: u64,
    customers: u32,
    next_record: u64,
    row_keys: Option<RecentRowKeys<'k>>,
    /// Bytes of the file, until room was made for what it brings.
    input_bytes: Option<u64>,
    /// Customers that became part of others: what was applied to them is known of these.
    absorbed: BTreeMap<CustomerId, Vec<CustomerId>>,
}

impl<'a, 'k> PointsApplier<'a, 'k> {
    /// An applier that goes on behind `position`; `resumed` names the job whose earlier rows it must remember.
    ///
    /// # Errors
    /// When the earlier rows cannot be read.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the state that is borrowed on its own")]
    pub fn new(
        rules: &'a PointsRules,
        table: &'a RwLock<IdentifierTable>,
        state: &State,
        book: AccountBook,
        input_bytes: u64,
        position: Position,
        customers_before: u32,
        resumed: Option<(&Store, JobId)>,
        row_keys: Option<RecentRowKeys<'k>>,
    ) -> Result<PointsApplier<'a, 'k>> {
        // Eight bytes a customer, so only where a row can set a balance.
        let has_set = match rules.fields.operation {
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
            input_bytes: Some(input_bytes.saturating_sub(position.offset)).filter(|_| rules.fields.has_terms()),
            absorbed: if row_keys.is_some() { state.absorbed() } else { BTreeMap::new() },
            row_keys,
        })
    }

    /// Applies a parsed batch.
    ///
    /// # Errors
    /// When keys of rows cannot be read or written.
    pub fn apply(&mut self, batch: &mut PointsBatch) -> Result<()> {
        let PointsBatch { chunk, records, rows, row_keys, output, entries, records_created, bodies, .. } = batch;
        output.clear();
        records_created.clear();
        bodies.clear();
        if let Some(keys) = &mut self.row_keys {
            keys.forget(batch.row_keys_version);
        }
        batch.first_line = self.lines + 1;
        batch.first_sequence = self.book.next_sequence();
        if let Some(bytes) = self.input_bytes.take() {
            // As many lots as the file has rows, by its first chunk; compressed files have more. On huge pages W1x takes
            // 15 % less time: lots lie in no order.
            let rows = rows.len() as f64 * (bytes as f64 / chunk.bytes.len().max(1) as f64).max(1.0) * 1.02;
            self.book.expect_lots(self.rules.program, (rows as usize).min(LOTS_EXPECTED_MAX));
        }
        let creates = self.rules.on_unknown == OnUnknown::Create;
        let no_key = RowKeyCell::default();
        // Rows that may make lots look for those of their customers, too.
        let has_lots = self.book.has_lots() || self.rules.fields.has_terms();
        let is_plain = !self.rules.fields.has_terms();
        for at in 0..rows.len() {
            if let Some(ahead) = rows.get(at + PREFETCH_ROWS) {
                self.book.prefetch(ahead.program, ahead.customer);
                self.seen.prefetch(ahead.customer);
                if has_lots {
                    self.book.prefetch_heads(ahead.program, ahead.customer);
                }
                if let Some(keys) = &self.row_keys
                    && let Some(key) = row_keys.get(at + PREFETCH_ROWS).and_then(RowKeyCell::known_key)
                {
                    keys.prefetch(key);
                }
            }
            if has_lots && let Some(ahead) = rows.get(at + PREFETCH_ROWS / 2) {
                self.book.prefetch_lots(ahead.program, ahead.customer);
            }
            let line = batch.first_line + u64::from(records.records[at].line);
            let row = &rows[at];
            if row.is_over {
                self.refuse_unless_known(&mut rows[at], row_keys.get(at).unwrap_or(&no_key))?;
            }
            let row = &rows[at];
            let is_unsure = row.customer == CustomerId::NONE || (creates && row.unfound > 0);
            if is_unsure && row.rejection.is_none() {
                let record = &records.records[at];
                let cells = Cells::of(&chunk.bytes, None, records, record, self.rules.dialect);
                let command = command_of(row, entries);
                self.find_or_create(&mut rows[at], command, cells, records_created, bodies, &mut output.counts);
            }
            if !is_plain || !self.apply_plain_row(&mut rows[at], line, entries, output) {
                self.apply_row(&mut rows[at], line, row_keys.get(at).unwrap_or(&no_key), entries, output)?;
            }
        }
        self.lines += u64::from(records.lines);
        output.position = Position { offset: chunk.end, chunk: chunk.number + 1, lines: self.lines };
        output.next_sequence = self.book.next_sequence();
        output.balance_after = self.book.total(self.rules.program);
        Ok(())
    }

    /// The fast path of nearly every row of a file without terms: permanent points that are added or taken, on an account
    /// without lots, by an entry. Anything else: it returns false, and nothing is done.
    // W1 takes 3 % less processor time than with the general way alone, which carries terms, keys and what expired.
    #[inline]
    fn apply_plain_row(&mut self, row: &mut Row, line: u64, entries: &mut Entries, output: &mut Output) -> bool {
        let is_named = row.customer != CustomerId::NONE && row.rejection.is_none();
        if !is_named || row.status != Status::Applied || !matches!(row.operation, Operation::Credit | Operation::Debit)
        {
            return false;
        }
        let asked = row.amount;
        let command = ResolvedCommand::plain(row.operation, asked);
        let applied = self.book.apply_plain(row.program, row.customer, command, line, DetailAt::NONE, entries);
        let Some((Effect::Entry { kind, amount, balance_after, not_taken }, _)) = applied else { return false };
        (row.amount, row.balance, row.not_taken, row.has_balance) = (amount, balance_after, not_taken, true);
        let counts = &mut output.counts;
        self.seen.name(row.customer, counts);
        counts.outcome(Status::Applied);
        // Without a column of programs all rows are of the job's.
        let points = &mut counts.points;
        points.moved(kind, amount);
        let account = if row.operation == Operation::Credit { &mut points.credits } else { &mut points.debits };
        account.in_file += asked;
        account.not_taken += not_taken;
        account.applied += asked - not_taken;
        true
    }

    fn apply_row(
        &mut self,
        row: &mut Row,
        line: u64,
        key_cell: &RowKeyCell,
        entries: &mut Entries,
        output: &mut Output,
    ) -> Result<()> {
        let asked = row.amount;
        let counts = &mut output.counts;
        let is_named = row.customer != CustomerId::NONE && row.rejection.is_none();
        let mut has_entry = false;
        if is_named {
            self.seen.name(row.customer, counts);
            row.has_balance = true;
            let (key, known) = if key_cell.is_some() { self.known(row, key_cell)? } else { (None, None) };
            let mut first_reset = None;
            let repeat = match row.operation {
                Operation::Set => self.seen.reset_to(row.program, row.customer),
                _ => None,
            };
            match (known, repeat) {
                (Some(content), repeat) if key.is_some_and(|key| key.content == content) => {
                    row.status = Status::Unchanged;
                    row.is_known = true;
                    // It set the balance when it was applied, so the rows behind it are repeats as they were then.
                    if row.operation == Operation::Set && repeat.is_none() {
                        first_reset = Some(row.amount);
                        self.seen.set_reset(row.program, row.customer, row.amount);
                    }
                }
                (Some(_), _) => row.rejection = Some(Rejection::RowIdConflict),
                (None, Some(amount)) if amount == row.amount => row.status = Status::Unchanged,
                (None, Some(_)) => row.rejection = Some(Rejection::RepeatedCustomer),
                (None, None) => {
                    if let Some(key) = key {
                        entries.set_row_key(row.detail, key);
                    }
                    let command = command_of(row, entries);
                    let applied = self.book.apply(row.program, row.customer, command, line, row.detail, entries);
                    let points = counts.points_of(row.program, self.rules.program);
                    points.expire(applied.expired);
                    row.balance = applied.balance;
                    match applied.effect {
                        Effect::Entry { kind, amount, balance_after, not_taken } => {
                            row.amount = amount;
                            row.balance = balance_after;
                            row.not_taken = not_taken;
                            first_reset = Some(balance_after);
                            has_entry = true;
                            points.moved(kind, amount);
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
                        self.seen.set_reset(row.program, row.customer, amount);
                    }
                }
            }
            if known.is_some() || repeat.is_some() {
                row.balance = self.book.balance(row.program, row.customer);
            }
            if row.status == Status::Created {
                row.status = Status::Applied;
            }
            let new_key = key.filter(|_| known.is_none() && row.rejection.is_none());
            if let (Some(key), Some(keys)) = (new_key, &mut self.row_keys) {
                keys.insert(key)?;
            }
            if !has_entry {
                let reset_to = first_reset.filter(|_| row.operation == Operation::Set && row.rejection.is_none());
                let (customer, program) = (row.customer, row.program);
                output.touched.push(Touch { customer, program, reset_to, row_key: new_key });
            }
        }
        if row.rejection.is_some() {
            row.status = Status::Rejected;
            row.has_balance = false;
        }
        account_for(row, asked, self.rules.program, counts);
        // Reports show what moved; a rejected row keeps what it asked for, for its message.
        if row.status != Status::Rejected && !has_entry {
            row.amount = 0;
        }
        Ok(())
    }

    /// Refuses a row whose last day is over, unless it is one that was applied before. It names nobody then, as it would not
    /// without an id.
    fn refuse_unless_known(&mut self, row: &mut Row, cell: &RowKeyCell) -> Result<()> {
        let is_found = row.rejection.is_none() && row.customer != CustomerId::NONE;
        let (key, known) = if is_found { self.known(row, cell)? } else { (None, None) };
        if known.is_none() || key.map(|key| key.content) != known {
            row.rejection = Some(Rejection::ExpiryInvalid);
        }
        Ok(())
    }

    /// A row's key, and the content under which it was applied before, if it was.
    fn known(&self, row: &Row, cell: &RowKeyCell) -> Result<(Option<RowKey>, Option<u32>)> {
        let Some(keys) = &self.row_keys else { return Ok((None, None)) };
        let key = cell.known_key().copied();
        let key = key.unwrap_or_else(|| cell.key(self.rules.seed, row.program, row.customer));
        let known = match cell.found.or_else(|| keys.content_of(&key)) {
            None if !cell.is_asked() => keys.stored_content_of(&key)?,
            known => known,
        };
        if known.is_none() && !self.absorbed.is_empty() {
            for &former in self.absorbed.get(&row.customer).into_iter().flatten() {
                let former = cell.key(self.rules.seed, row.program, former);
                let known =
                    keys.content_of(&former).map_or_else(|| keys.stored_content_of(&former), |c| Ok(Some(c)))?;
                if known.is_some() {
                    return Ok((Some(key), known));
                }
            }
        }
        Ok((Some(key), known))
    }

    /// Looks again for the owners of identifiers, in case an earlier row created one that parsing did not find; creates a
    /// customer if there is none and rows may.
    fn find_or_create(
        &mut self,
        row: &mut Row,
        command: ResolvedCommand,
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
        for &(kind, column) in &rules.fields.identifiers {
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
        if customer == CustomerId::NONE {
            row.rejection = Some(Rejection::IdentifierUnknown);
            return;
        }
        if let Effect::Rejected(rejection) = self.book.effect(row.program, customer, command) {
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

    /// Numbers of the next customer and the next record.
    pub fn ends(&self) -> (u32, u64) {
        (self.customers, self.next_record)
    }

    /// The accounts, for adjustments between the rows of the job.
    pub fn book(&mut self) -> &mut AccountBook {
        &mut self.book
    }

    /// Ends: the state gets back its accounts and learns of new customers. Returns the keys of the job's rows.
    pub fn finish(self, state: &mut State) -> Option<RecentRowKeys<'k>> {
        if self.customers > state.customers {
            // Profiles know nothing of customers that rows of points created: who needs them loads them anew.
            state.profiles = None;
        }
        state.customers = self.customers;
        state.next_record = self.next_record;
        self.book.give_back(state);
        self.row_keys
    }
}

/// What a row asks for.
#[inline]
fn command_of(row: &Row, entries: &Entries) -> ResolvedCommand {
    let detail = entries.detail(row.detail);
    let terms = LotTerms {
        expires_on: row.expires_on,
        credited_at: detail.and_then(|detail| detail.credited_at),
        reference: match detail.filter(|detail| entries.is_referenced(detail)) {
            Some(detail) => Reference::of(|text| entries.text(detail, text)),
            None => Reference::NONE,
        },
    };
    ResolvedCommand { operation: row.operation, amount: row.amount, terms }
}

/// Counts a row's outcome and where its points went.
#[inline]
fn account_for(row: &Row, asked: i64, main: ProgramId, counts: &mut Counts) {
    counts.outcome(row.status);
    if let Some(rejection) = row.rejection {
        counts.reject(rejection);
    }
    counts.expiries_ignored += u64::from(row.is_expiry_ignored && row.status != Status::Rejected);
    if !row.is_readable {
        counts.unreadable_amounts += 1;
        return;
    }
    let points = counts.points_of(row.program, main);
    if !row.has_operation {
        points.unassigned_rows += 1;
        points.unassigned += asked;
        return;
    }
    let account = match row.operation {
        Operation::Credit | Operation::Promise => &mut points.credits,
        Operation::Debit => &mut points.debits,
        Operation::Set => {
            points.set_rows += 1;
            points.set += asked;
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
