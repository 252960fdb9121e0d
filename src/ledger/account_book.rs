//! The accounts of one program while a job changes them, and the entries that record it.

use crate::{
    domain::{
        account::{Account, SEQUENCE_MAX},
        apply::{Effect, apply},
        command::{OnOverdraft, ResolvedCommand},
        entry::Entry,
        id::{CustomerId, JobId, ProgramId, Sequence},
        time::Timestamp,
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

/// The accounts of one program, taken out of the state while a job changes them.
pub struct AccountBook {
    program: ProgramId,
    on_overdraft: OnOverdraft,
    accounts: Accounts,
    next_sequence: u64,
}

impl AccountBook {
    /// Takes a program's accounts out of the state.
    ///
    /// # Errors
    /// `Internal` when they were not loaded.
    pub fn take(state: &mut State, program: ProgramId, on_overdraft: OnOverdraft) -> Result<AccountBook> {
        let accounts = state.accounts.remove(&program);
        let accounts = accounts.ok_or_else(|| Error::internal("a program's accounts were not loaded"))?;
        Ok(AccountBook { program, on_overdraft, accounts, next_sequence: state.next_sequence })
    }

    /// Puts them back.
    pub fn give_back(self, state: &mut State) {
        state.next_sequence = self.next_sequence;
        state.accounts.insert(self.program, self.accounts);
    }

    /// Makes room for so many customers, without touching the memory yet.
    pub fn expect(&mut self, customers: usize) {
        tuning::make_room(&mut self.accounts.list, customers);
    }

    /// Starts to fetch an account that is needed soon.
    #[inline]
    pub fn prefetch(&self, customer: CustomerId) {
        if let Some(account) = self.accounts.list.get(customer.index()) {
            tuning::prefetch(account);
        }
    }

    /// A customer's balance; 0 for one without an account.
    #[inline]
    pub fn balance(&self, customer: CustomerId) -> i64 {
        self.accounts.list.get(customer.index()).map_or(0, |account| account.balance)
    }

    /// Sum of all balances.
    pub fn total(&self) -> i128 {
        self.accounts.total
    }

    /// The number of the next entry.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// What a command would do, without doing it.
    #[inline]
    pub fn effect(&self, customer: CustomerId, command: ResolvedCommand) -> Effect {
        apply(self.balance(customer), command, self.on_overdraft)
    }

    /// Applies a command to a customer's account; an entry, if one is due, is added to `entries`.
    #[inline]
    pub fn apply(
        &mut self,
        customer: CustomerId,
        command: ResolvedCommand,
        row: u64,
        entries: &mut Vec<Entry>,
    ) -> Effect {
        if customer.index() >= self.accounts.list.len() {
            // A customer that this job created. Half as many again where no room was made, so that creating millions
            // stays linear.
            let list = &mut self.accounts.list;
            let room =
                customer.index() + 1 + if list.capacity() > customer.index() { 4096 } else { list.len() / 2 + 1024 };
            list.resize(room, Account::default());
        }
        let account = &mut self.accounts.list[customer.index()];
        let effect = apply(account.balance, command, self.on_overdraft);
        if let Effect::Entry { kind, amount, balance_after, .. } = effect {
            debug_assert!(self.next_sequence < SEQUENCE_MAX);
            entries.push(Entry {
                customer,
                program: self.program,
                kind,
                amount,
                balance_after,
                previous: account.newest(),
                row,
            });
            *account = Account::new(balance_after, Sequence(self.next_sequence), account.has_lots());
            self.next_sequence += 1;
            self.accounts.total += i128::from(amount);
        }
        effect
    }
}

/// Encodes entries that follow each other from `first` into pages.
pub fn encode_entries(first: u64, job: JobId, now: Timestamp, entries: &[Entry], output: &mut Output) {
    let mut sequence = first;
    for page in entries.chunks(ledger_page::ENTRIES_MAX) {
        output.page(|out| {
            ledger_page::encode(Sequence(sequence), job, now, page, out);
            LogKey::Ledger(Sequence(sequence))
        });
        sequence += page.len() as u64;
    }
}
