//! The accounts of a job's programs while it changes them, and the entries that record it.

use crate::{
    domain::{
        account::{Account, SEQUENCE_MAX},
        apply::{Effect, apply, left_of_credit},
        command::{OnOverdraft, ResolvedCommand},
        entry::{Detail, DetailAt, Entries, Entry, EntryKind, Refill},
        expiry::{ExpiryChanged, ExpiryOutcome, ExpiryUpdate, LotSelector},
        id::{CustomerId, JobId, ProgramId, Sequence},
        lot::{Expired, Lot, LotState, Taken, split_debit},
        reference::Reference,
        rejection::Rejection,
        time::{Date, Timestamp},
        undo::{self, Event, Plan, UndoRules},
    },
    error::{Error, Result},
    job::output::Output,
    store::{
        key::LogKey,
        ledger_page,
        state::{Accounts, State},
        tuning,
    },
};

/// By what a job applies its commands: nothing else decides what one does to an account.
#[derive(Clone, Copy, Debug)]
pub struct BookRules {
    /// Policy.
    pub on_overdraft: OnOverdraft,
    /// The job's day: lots whose last day is before it are dead.
    pub today: Date,
    /// The job's `now`: when points are earned whose row does not say it.
    pub now: Timestamp,
}

/// What a command did to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What the command did.
    pub effect: Effect,
    /// What expired before.
    pub expired: Expired,
    /// The balance that it met, without these.
    pub balance: i64,
}

/// The accounts of a job's programs, taken out of the state while it changes them.
pub struct AccountBook {
    rules: BookRules,
    /// By program; none where the job does not have it.
    books: Vec<Option<Accounts>>,
    next_sequence: u64,
    taken: Vec<Taken>,
    /// Scratch: lots that an expiry update changes, what remains of each, and how.
    planned: Vec<(Option<Lot>, i64, ExpiryOutcome)>,
}

impl AccountBook {
    /// Takes programs' accounts out of the state.
    ///
    /// # Errors
    /// `Internal` when they were not loaded.
    pub fn take(state: &mut State, programs: &[ProgramId], rules: BookRules) -> Result<AccountBook> {
        let mut books = Vec::new();
        for program in programs {
            let accounts = state.accounts.remove(program);
            let accounts = accounts.ok_or_else(|| Error::internal("a program's accounts were not loaded"))?;
            let at = usize::from(program.0);
            if at >= books.len() {
                books.resize_with(at + 1, || None);
            }
            books[at] = Some(accounts);
        }
        Ok(AccountBook { rules, books, next_sequence: state.next_sequence, taken: Vec::new(), planned: Vec::new() })
    }

    /// Puts them back.
    pub fn give_back(self, state: &mut State) {
        state.next_sequence = self.next_sequence;
        let books = self.books.into_iter().enumerate();
        state.accounts.extend(books.filter_map(|(at, accounts)| Some((ProgramId(at as u16), accounts?))));
    }

    /// By what it applies commands.
    pub fn rules(&self) -> BookRules {
        self.rules
    }

    /// Applies what follows by other rules; returns those until now. For adjustments between the rows of a job.
    pub fn set_rules(&mut self, rules: BookRules) -> BookRules {
        std::mem::replace(&mut self.rules, rules)
    }

    /// Whether it has a program's accounts.
    pub fn has(&self, program: ProgramId) -> bool {
        self.accounts(program).is_some()
    }

    #[inline]
    fn accounts(&self, program: ProgramId) -> Option<&Accounts> {
        self.books.get(usize::from(program.0))?.as_ref()
    }

    /// Makes room for so many customers, without touching the memory yet.
    pub fn expect(&mut self, customers: usize) {
        for accounts in self.books.iter_mut().flatten() {
            tuning::make_room(&mut accounts.list, customers);
        }
    }

    /// Makes room for so many more lots of a program, without touching their memory yet.
    pub fn expect_lots(&mut self, program: ProgramId, lots: usize) {
        if let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut) {
            accounts.lots.reserve(lots, accounts.list.len(), tuning::advise_huge_pages_at);
        }
    }

    /// Starts to fetch an account that is needed soon.
    #[inline]
    pub fn prefetch(&self, program: ProgramId, customer: CustomerId) {
        if let Some(account) = self.accounts(program).and_then(|accounts| accounts.list.get(customer.index())) {
            tuning::prefetch(account);
        }
    }

    /// Whether any account has lots.
    pub fn has_lots(&self) -> bool {
        self.books.iter().flatten().any(|accounts| accounts.lots.count() > 0)
    }

    /// Starts to fetch where an account's lots begin to be found.
    #[inline]
    pub fn prefetch_heads(&self, program: ProgramId, customer: CustomerId) {
        if let Some(head) = self.accounts(program).and_then(|accounts| accounts.lots.head_of(customer)) {
            tuning::prefetch_at(head);
        }
    }

    /// Starts to fetch the first lot of an account; where it begins to be found was fetched before.
    #[inline]
    pub fn prefetch_lots(&self, program: ProgramId, customer: CustomerId) {
        if let Some(accounts) = self.accounts(program)
            && let Some(node) = accounts.lots.first_of(customer)
        {
            tuning::prefetch_at(node);
            if let Some(reference) = accounts.lots.first_reference_of(customer) {
                tuning::prefetch_at(reference);
            }
        }
    }

    /// A customer's balance without points whose last day is over; 0 for one without an account.
    #[inline]
    pub fn balance(&self, program: ProgramId, customer: CustomerId) -> i64 {
        self.accounts(program).map_or(0, |accounts| accounts.balance(customer, self.rules.today))
    }

    /// Sum of all balances of a program.
    pub fn total(&self, program: ProgramId) -> i128 {
        self.accounts(program).map_or(0, |accounts| accounts.total)
    }

    /// The number of the next entry.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// What a command would do, without doing it.
    #[inline]
    pub fn effect(&self, program: ProgramId, customer: CustomerId, command: ResolvedCommand) -> Effect {
        match apply(self.balance(program, customer), command, self.rules.on_overdraft) {
            Effect::Entry { kind: EntryKind::Promise, amount, .. } if !self.can_promise(program, customer, amount) => {
                Effect::Rejected(Rejection::BalanceOverflow)
            }
            effect => effect,
        }
    }

    /// Whether an account's promised points and so many more fit into 64 bits. Those that are over expire before.
    fn can_promise(&self, program: ProgramId, customer: CustomerId, amount: i64) -> bool {
        let promised = |accounts: &Accounts| accounts.lots.promised(customer, self.rules.today);
        self.accounts(program).map_or(0, promised).checked_add(amount).is_some()
    }

    /// Applies a command to a customer's account. Entries that are due are added to `entries`: those of lots whose last day
    /// is over first, without a row, then the command's own. A command that is refused changes nothing.
    pub fn apply(
        &mut self,
        program: ProgramId,
        customer: CustomerId,
        command: ResolvedCommand,
        row: u64,
        detail: DetailAt,
        entries: &mut Entries,
    ) -> Applied {
        if !command.makes_lot()
            && let Some((effect, balance)) = self.apply_plain(program, customer, command, row, detail, entries)
        {
            return Applied { effect, expired: Expired::default(), balance };
        }
        self.apply_to_lots(program, customer, command, row, detail, entries)
    }

    /// The same for a command that makes no lot, on an account that has none: nearly all there are. Returns what it did and
    /// the balance that it met; nothing, and nothing is done, if the account has lots.
    // Always: left to itself the compiler does not, and W1 takes 3 % more processor time.
    #[inline(always)]
    pub fn apply_plain(
        &mut self,
        program: ProgramId,
        customer: CustomerId,
        command: ResolvedCommand,
        row: u64,
        detail: DetailAt,
        entries: &mut Entries,
    ) -> Option<(Effect, i64)> {
        let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut) else {
            // Rows of programs that were not loaded are refused before.
            return Some((Effect::Rejected(Rejection::ProgramUnknown), 0));
        };
        accounts.make_room_for(customer);
        let account = &mut accounts.list[customer.index()];
        if account.has_lots() {
            return None;
        }
        let balance = account.balance;
        let effect = apply(balance, command, self.rules.on_overdraft);
        if let Effect::Entry { kind, amount, balance_after, .. } = effect {
            debug_assert!(self.next_sequence < SEQUENCE_MAX);
            entries.push_plain(Entry {
                customer,
                program,
                kind,
                amount,
                balance_after,
                previous: account.newest(),
                row,
                expires_on: None,
                detail,
            });
            *account = Account::new(balance_after, Sequence(self.next_sequence), false);
            self.next_sequence += 1;
            accounts.total += i128::from(amount);
        }
        Some((effect, balance))
    }

    /// The same for an account that has lots, or gets one.
    #[inline(never)]
    fn apply_to_lots(
        &mut self,
        program: ProgramId,
        customer: CustomerId,
        command: ResolvedCommand,
        row: u64,
        detail: DetailAt,
        entries: &mut Entries,
    ) -> Applied {
        if let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut) {
            accounts.make_room_for(customer);
        }
        let balance = self.balance(program, customer);
        let effect = self.effect(program, customer, command);
        if matches!(effect, Effect::Rejected(_)) {
            return Applied { effect, expired: Expired::default(), balance };
        }
        let expired = self.expire(program, customer, self.rules.today, 0, entries);
        let Effect::Entry { kind, amount, balance_after, .. } = effect else {
            return Applied { effect, expired, balance };
        };
        let mut taken = std::mem::take(&mut self.taken);
        taken.clear();
        if amount < 0
            && let Some(accounts) = self.accounts(program)
        {
            split_debit(accounts.lots.available(customer), -amount, &mut taken);
        }
        let expires_on = if amount > 0 { command.terms.expires_on } else { None };
        let sequence = self.enter(
            Entry { customer, program, kind, amount, balance_after, previous: Sequence(0), row, expires_on, detail },
            &taken,
            entries,
        );
        self.taken = taken;
        let remaining = if kind == EntryKind::Promise { amount } else { left_of_credit(amount, balance_after) };
        if amount > 0 && remaining > 0 && command.makes_lot() {
            let state = if kind == EntryKind::Promise { LotState::Promised } else { LotState::Available };
            let credited_at = command.terms.credited_at.unwrap_or(self.rules.now);
            let reference = command.terms.reference;
            let lot = Lot { credit: sequence, remaining, expires_on, credited_at, state, reference };
            self.add_lot(program, customer, lot);
        }
        Applied { effect, expired, balance }
    }

    /// Expires a customer's lots whose last day is before `as_of`, each by an entry of its own. Returns how many points that
    /// were.
    pub fn expire(
        &mut self,
        program: ProgramId,
        customer: CustomerId,
        as_of: Date,
        row: u64,
        entries: &mut Entries,
    ) -> Expired {
        let mut expired = Expired::default();
        loop {
            let Some(accounts) = self.accounts(program) else { return expired };
            let Some(lot) = accounts.lots.of(customer).next().filter(|lot| lot.is_overdue(as_of)) else {
                return expired;
            };
            let balance = accounts.list.get(customer.index()).map_or(0, |account| account.balance);
            let (kind, balance_after) = match lot.state {
                LotState::Available => {
                    expired.available += lot.remaining;
                    (EntryKind::Expire, balance - lot.remaining)
                }
                LotState::Promised => {
                    expired.promised += lot.remaining;
                    (EntryKind::PromiseExpire, balance)
                }
            };
            let entry = Entry {
                customer,
                program,
                kind,
                amount: -lot.remaining,
                balance_after,
                previous: Sequence(0),
                row,
                expires_on: lot.expires_on,
                detail: DetailAt::NONE,
            };
            self.enter(entry, &[Taken { lot: lot.credit, amount: lot.remaining }], entries);
        }
    }

    /// Moves everything that a customer has in a program to another: each lot by an entry of its own, so that it keeps its last
    /// day, its age and its state; an overdraft as a debit. What is over of both expires before. `detail` gives what the
    /// entry that credited a lot says of it.
    ///
    /// Returns what expired, or that the other account cannot hold it all: then the book is of no use any more.
    ///
    /// # Errors
    /// Those of `detail`.
    pub fn merge(
        &mut self,
        program: ProgramId,
        (from, into): (CustomerId, CustomerId),
        mut detail: impl FnMut(&Lot, &mut Entries) -> Result<DetailAt>,
        entries: &mut Entries,
    ) -> Result<std::result::Result<Expired, Rejection>> {
        for customer in [from, into] {
            if let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut) {
                accounts.make_room_for(customer);
            }
        }
        let today = self.rules.today;
        let mut expired = Expired::default();
        for customer in [from, into] {
            let of_one = self.expire(program, customer, today, 0, entries);
            let sums = (expired.available.checked_add(of_one.available), expired.promised.checked_add(of_one.promised));
            let (Some(available), Some(promised)) = sums else { return Ok(Err(Rejection::BalanceOverflow)) };
            expired = Expired { available, promised };
        }
        let Some(accounts) = self.accounts(program) else { return Ok(Ok(expired)) };
        let lots: Vec<Lot> = accounts.lots.of(from).collect();
        let promised = accounts.lots.promised(from, today);
        let (moved, mut balance) = (self.balance(program, from), self.balance(program, into));
        if balance.checked_add(moved).is_none_or(|sum| sum == i64::MIN) || !self.can_promise(program, into, promised) {
            return Ok(Err(Rejection::BalanceOverflow));
        }
        let taken_of = |state: LotState| -> Vec<Taken> {
            let of_state = lots.iter().filter(|lot| lot.state == state);
            of_state.map(|lot| Taken { lot: lot.credit, amount: lot.remaining }).collect()
        };
        let entry = |customer, kind, amount, balance_after, expires_on, detail| Entry {
            customer,
            program,
            kind,
            amount,
            balance_after,
            previous: Sequence(0),
            row: 0,
            expires_on,
            detail,
        };
        if moved != 0 {
            let out = entry(from, EntryKind::MergeOut, -moved, 0, None, DetailAt::NONE);
            self.enter(out, &taken_of(LotState::Available), entries);
        }
        if promised > 0 {
            let out = entry(from, EntryKind::PromiseMergeOut, -promised, 0, None, DetailAt::NONE);
            self.enter(out, &taken_of(LotState::Promised), entries);
        }
        let mut plain = moved;
        for lot in &lots {
            let detail = detail(lot, entries)?;
            let (kind, change) = match lot.state {
                LotState::Available => (EntryKind::MergeIn, lot.remaining),
                LotState::Promised => (EntryKind::PromiseMergeIn, 0),
            };
            balance += change;
            plain -= change;
            let credit = self.enter(entry(into, kind, lot.remaining, balance, lot.expires_on, detail), &[], entries);
            let remaining = if change == 0 { lot.remaining } else { left_of_credit(lot.remaining, balance) };
            if remaining > 0 {
                self.add_lot(program, into, Lot { credit, remaining, ..*lot });
            }
        }
        if plain != 0 {
            let mut taken = Vec::new();
            if plain < 0
                && let Some(accounts) = self.accounts(program)
            {
                split_debit(accounts.lots.available(into), -plain, &mut taken);
            }
            let plain = entry(into, EntryKind::MergeIn, plain, balance + plain, None, DetailAt::NONE);
            self.enter(plain, &taken, entries);
        }
        Ok(Ok(expired))
    }

    /// Gives the lots that an update means another last day, or expires them, each by an entry of its own with what `detail`
    /// adds to it. What is overdue expires before. Lots that are refused stay as they are.
    pub fn change_expiry(
        &mut self,
        (program, customer): (ProgramId, CustomerId),
        update: &ExpiryUpdate,
        row: u64,
        mut detail: impl FnMut(&mut Entries) -> DetailAt,
        entries: &mut Entries,
    ) -> ExpiryChanged {
        let mut changed = ExpiryChanged::default();
        let mut planned = std::mem::take(&mut self.planned);
        planned.clear();
        let today = self.rules.today;
        let Some(accounts) = self.accounts(program) else { return changed };
        for lot in accounts.lots.of(customer).filter(|lot| !lot.is_overdue(today) && update.selector.means(lot)) {
            if lot.state == LotState::Promised && !update.include_promised {
                changed.promised_left += 1;
                continue;
            }
            let outcome = update.new.outcome(update.direction, update.base, lot.expires_on, today);
            if changed.plan(outcome) {
                planned.push((Some(lot), lot.remaining, outcome));
            }
        }
        // Plain points are one permanent lot, which no table has.
        let balance = accounts.list.get(customer.index()).map_or(0, |account| account.balance);
        let plain = if update.selector.means_all() { accounts.lots.plain(customer, balance) } else { 0 };
        if plain > 0 {
            let outcome = update.new.outcome(update.direction, update.base, None, today);
            if changed.plan(outcome) {
                planned.push((None, plain, outcome));
            }
        }
        if !planned.is_empty() {
            changed.overdue = self.expire(program, customer, today, 0, entries);
        }
        for &(lot, amount, outcome) in &planned {
            let detail = detail(entries);
            let account = self.accounts(program).and_then(|accounts| accounts.list.get(customer.index()));
            let balance = account.map_or(0, |account| account.balance);
            let (last_day, state) = lot.map_or((None, LotState::Available), |lot| (lot.expires_on, lot.state));
            let entry = |kind, amount, balance_after, expires_on| Entry {
                customer,
                program,
                kind,
                amount,
                balance_after,
                previous: Sequence(0),
                row,
                expires_on,
                detail,
            };
            match outcome {
                ExpiryOutcome::Moves(day) => {
                    let (credit, reference) =
                        lot.map_or((Sequence(0), Reference::NONE), |lot| (lot.credit, lot.reference));
                    entries.refill(Refill { lot: credit, reference, expires_before: last_day });
                    let entry = entry(EntryKind::ExpiryChange, 0, balance, Some(day));
                    let sequence = self.enter(entry, &[], entries);
                    self.set_last_day((program, customer), lot.map(|lot| lot.credit), sequence, Some(day));
                    changed.lots_moved += 1;
                    changed.points_moved = changed.points_moved.saturating_add(amount);
                }
                ExpiryOutcome::Expires => {
                    let taken = lot.map(|lot| Taken { lot: lot.credit, amount });
                    let (kind, balance_after) = match state {
                        LotState::Available => {
                            changed.expired_now.available += amount;
                            (EntryKind::Expire, balance - amount)
                        }
                        LotState::Promised => {
                            changed.expired_now.promised += amount;
                            (EntryKind::PromiseExpire, balance)
                        }
                    };
                    self.enter(entry(kind, -amount, balance_after, last_day), taken.as_slice(), entries);
                    changed.lots_expired += 1;
                }
                ExpiryOutcome::Stays(_) => {}
            }
        }
        self.planned = planned;
        changed
    }

    /// Gives a lot another last day, or the plain points: those become a lot that is named by the entry `own`.
    fn set_last_day(
        &mut self,
        (program, customer): (ProgramId, CustomerId),
        lot: Option<Sequence>,
        own: Sequence,
        last_day: Option<Date>,
    ) {
        let now = self.rules.now;
        if let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut) {
            let is_changed = accounts.change_last_day(customer, lot, own, last_day, now);
            debug_assert!(is_changed, "an entry changes a lot that is there");
        }
    }

    /// Makes a customer's promised lots that are meant available, each by an entry of its own; what is overdue expires before.
    /// Returns how many points that were, or that the balance cannot hold them: then nothing is changed.
    pub fn convert(
        &mut self,
        (program, customer): (ProgramId, CustomerId),
        selector: LotSelector,
        entries: &mut Entries,
    ) -> Applied {
        let today = self.rules.today;
        let balance = self.balance(program, customer);
        let Some(accounts) = self.accounts(program) else {
            return Applied {
                effect: Effect::Rejected(Rejection::ProgramUnknown),
                expired: Expired::default(),
                balance,
            };
        };
        let is_meant = |lot: &Lot| lot.state == LotState::Promised && !lot.is_overdue(today) && selector.means(lot);
        let lots: Vec<Lot> = accounts.lots.of(customer).filter(is_meant).collect();
        let sum = lots.iter().try_fold(0_i64, |sum, lot| sum.checked_add(lot.remaining));
        let Some((amount, _)) = sum.and_then(|sum| Some((sum, balance.checked_add(sum)?))) else {
            return Applied {
                effect: Effect::Rejected(Rejection::BalanceOverflow),
                expired: Expired::default(),
                balance,
            };
        };
        if amount == 0 {
            return Applied { effect: Effect::Unchanged { not_taken: 0 }, expired: Expired::default(), balance };
        }
        let expired = self.expire(program, customer, today, 0, entries);
        let mut balance_after = balance;
        for lot in lots {
            balance_after += lot.remaining;
            let Lot { credit, reference, expires_on, credited_at, .. } = lot;
            entries.refill(Refill { lot: credit, reference, expires_before: None });
            let entry = Entry {
                customer,
                program,
                kind: EntryKind::Convert,
                amount: lot.remaining,
                balance_after,
                previous: Sequence(0),
                row: 0,
                expires_on,
                detail: entries.add_detail(Detail::credited_at(Some(credited_at))),
            };
            self.enter(entry, &[Taken { lot: credit, amount: lot.remaining }], entries);
            let remaining = left_of_credit(lot.remaining, balance_after);
            // One that has neither a last day nor a reference is plain from now on.
            if remaining > 0
                && (expires_on.is_some() || reference.is_some())
                && let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut)
            {
                let fits = accounts.refill_lot(customer, Lot { remaining, state: LotState::Available, ..lot });
                debug_assert!(fits, "the promise is gone");
            }
        }
        let effect = Effect::Entry { kind: EntryKind::Convert, amount, balance_after, not_taken: 0 };
        Applied { effect, expired, balance }
    }

    /// What becomes of an account when these entries are taken back, without doing it.
    /// `merged_at` and `terms` are those of [`undo::plan`].
    ///
    /// # Errors
    /// Those of `terms`.
    pub fn plan_undo(
        &self,
        (program, customer): (ProgramId, CustomerId),
        events: &[Event<'_>],
        rules: UndoRules,
        merged_at: impl Fn(CustomerId) -> Sequence,
        terms: impl FnMut(Sequence) -> Result<Lot>,
    ) -> Result<Plan> {
        let lots = self.accounts(program).into_iter().flat_map(|accounts| accounts.lots.of(customer));
        undo::plan(self.balance(program, customer), lots, events, rules, merged_at, terms)
    }

    /// Does what was planned for an account as it is: what is overdue expires before, then each change is an entry of its own.
    /// A plan without changes changes nothing. Returns what expired.
    pub fn undo(
        &mut self,
        (program, customer): (ProgramId, CustomerId),
        plan: &Plan,
        entries: &mut Entries,
    ) -> Expired {
        if plan.changes.is_empty() {
            return Expired::default();
        }
        if let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut) {
            accounts.make_room_for(customer);
        }
        let expired = self.expire(program, customer, self.rules.today, 0, entries);
        for change in &plan.changes {
            entries.reverse(change.reverses);
            let detail = match change.refill {
                Some(lot) => {
                    let expires_before = change.expires_before;
                    entries.refill(Refill { lot: lot.credit, reference: lot.reference, expires_before });
                    match change.kind {
                        EntryKind::ExpiryChange => DetailAt::NONE,
                        _ => entries.add_detail(Detail::credited_at(Some(lot.credited_at))),
                    }
                }
                None => DetailAt::NONE,
            };
            let entry = Entry {
                customer,
                program,
                kind: change.kind,
                amount: change.amount,
                balance_after: change.balance_after,
                previous: Sequence(0),
                row: 0,
                expires_on: change.refill.and_then(|lot| lot.expires_on),
                detail,
            };
            let sequence = self.enter(entry, &change.taken, entries);
            if let (EntryKind::ExpiryChange, Some(lot)) = (change.kind, change.refill) {
                self.set_last_day((program, customer), Some(lot.credit), sequence, lot.expires_on);
            } else if let Some(lot) = change.refill.filter(|lot| lot.remaining > 0)
                && let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut)
            {
                let fits = accounts.refill_lot(customer, lot);
                debug_assert!(fits, "a plan puts back what fits");
            }
        }
        expired
    }

    /// The balance of an account that is there and has no lots.
    #[inline]
    pub fn plain_balance(&self, program: ProgramId, customer: CustomerId) -> Option<i64> {
        let account = self.accounts(program)?.list.get(customer.index())?;
        (!account.has_lots()).then_some(account.balance)
    }

    /// Takes an entry back by one that changes such a balance.
    #[inline]
    pub fn undo_plain(
        &mut self,
        (program, customer): (ProgramId, CustomerId),
        reversed: Sequence,
        amount: i64,
        entries: &mut Entries,
    ) {
        debug_assert!(self.next_sequence < SEQUENCE_MAX);
        let accounts = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut);
        let Some(accounts) = accounts else { return };
        let Some(account) = accounts.list.get_mut(customer.index()) else { return };
        let balance_after = account.balance + amount;
        entries.reverse(reversed);
        entries.push_plain(Entry {
            customer,
            program,
            kind: EntryKind::Reversal,
            amount,
            balance_after,
            previous: account.newest(),
            row: 0,
            expires_on: None,
            detail: DetailAt::NONE,
        });
        *account = Account::new(balance_after, Sequence(self.next_sequence), false);
        self.next_sequence += 1;
        accounts.total += i128::from(amount);
    }

    /// A lot of an account by its credit.
    pub fn lot(&self, program: ProgramId, customer: CustomerId, credit: Sequence) -> Option<Lot> {
        self.accounts(program)?.lots.get(customer, credit)
    }

    /// Adds an entry behind its account's newest, and takes what it took of lots. Returns its number.
    fn enter(&mut self, mut entry: Entry, taken: &[Taken], entries: &mut Entries) -> Sequence {
        debug_assert!(self.next_sequence < SEQUENCE_MAX);
        let sequence = Sequence(self.next_sequence);
        let accounts = self.books.get_mut(usize::from(entry.program.0)).and_then(Option::as_mut);
        let Some(accounts) = accounts else { return sequence };
        for &taken in taken {
            let found = accounts.lots.take(entry.customer, taken);
            debug_assert!(found.is_some(), "an entry takes of lots that are there");
        }
        if let Some(account) = accounts.list.get_mut(entry.customer.index()) {
            entry.previous = account.newest();
            accounts.total += i128::from(entry.balance_after) - i128::from(account.balance);
            *account = Account::new(entry.balance_after, sequence, accounts.lots.has(entry.customer));
        }
        self.next_sequence += 1;
        entries.push(entry, taken);
        sequence
    }

    fn add_lot(&mut self, program: ProgramId, customer: CustomerId, lot: Lot) {
        if let Some(accounts) = self.books.get_mut(usize::from(program.0)).and_then(Option::as_mut) {
            accounts.add_lot(customer, lot);
        }
    }

    /// Customers of a program with lots whose last day is before `as_of`.
    pub fn due(&self, program: ProgramId, as_of: Date) -> Vec<CustomerId> {
        self.accounts(program).map(|accounts| accounts.lots.due(as_of)).unwrap_or_default()
    }
}

/// Encodes entries that follow each other from `first` into pages.
pub fn encode_entries(first: u64, job: JobId, now: Timestamp, entries: &Entries, output: &mut Output) {
    let mut sequence = first;
    let count = entries.list().len();
    for start in (0..count).step_by(ledger_page::ENTRIES_MAX) {
        let page = start..(start + ledger_page::ENTRIES_MAX).min(count);
        let length = page.len() as u64;
        output.page(|out| {
            ledger_page::encode(Sequence(sequence), job, now, entries, page, out);
            LogKey::Ledger(Sequence(sequence))
        });
        sequence += length;
    }
}
