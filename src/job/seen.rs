//! What a job remembers of the customers that its rows named.

use std::collections::BTreeMap;

use crate::{
    domain::{
        entry::{Entry, EntryKind},
        id::{CustomerId, JobId, ProgramId, Sequence},
        job::Counts,
    },
    error::Result,
    store::{Store, customer_page::CustomerPage, jobs, key::LogKey, ledger_page::LedgerPage, tuning},
};

/// Which customers the job's rows named, and what they were reset to: two bits a customer, and eight bytes for each
/// program that rows reset.
pub struct Seen {
    named: Vec<u8>,
    reset_to: Option<BTreeMap<ProgramId, Vec<u64>>>,
    customers_before: u32,
}

impl Seen {
    /// Nobody was named yet; `customers_before` were there before the job.
    pub fn new(customers: u32, customers_before: u32, tracks_resets: bool) -> Seen {
        let reset_to = tracks_resets.then(BTreeMap::new);
        Seen { named: vec![0; customers as usize / 4 + 1], reset_to, customers_before }
    }

    /// Notes that a row named a customer.
    #[inline]
    pub fn name(&mut self, customer: CustomerId, counts: &mut Counts) {
        let (at, shift) = (customer.index() / 4, customer.index() % 4 * 2);
        if at >= self.named.len() {
            self.named.resize(at + 1 + at / 2, 0);
        }
        match self.named[at] >> shift & 3 {
            0 => {
                self.named[at] |= 1 << shift;
                counts.customers_matched += u64::from(customer.0 < self.customers_before);
            }
            1 => {
                self.named[at] |= 2 << shift;
                counts.customers_repeated += 1;
            }
            _ => {}
        }
    }

    /// What an earlier row reset the customer to.
    #[inline]
    pub fn reset_to(&self, program: ProgramId, customer: CustomerId) -> Option<i64> {
        let stored = self.reset_to.as_ref()?.get(&program)?.get(customer.index()).copied()?;
        stored.checked_sub(1).map(u64::cast_signed)
    }

    /// Notes what a row reset the customer to; never negative.
    pub fn set_reset(&mut self, program: ProgramId, customer: CustomerId, amount: i64) {
        if let Some(reset_to) = &mut self.reset_to {
            let reset_to = reset_to.entry(program).or_default();
            if customer.index() >= reset_to.len() {
                reset_to.resize(customer.index() + 1 + customer.index() / 2, 0);
            }
            reset_to[customer.index()] = amount.cast_unsigned().wrapping_add(1);
        }
    }

    /// Starts to fetch what is known of a customer.
    #[inline]
    pub fn prefetch(&self, customer: CustomerId) {
        if let Some(place) = self.named.get(customer.index() / 4) {
            tuning::prefetch(place);
        }
    }

    fn remember_touched(&mut self, store: &Store, job: JobId) -> Result<()> {
        jobs::touched(store, job, |touch| {
            self.name(touch.customer, &mut Counts::default());
            if let Some(amount) = touch.reset_to {
                self.set_reset(touch.program, touch.customer, amount);
            }
        })
    }

    /// Learns from the log whom the earlier rows of a job on points named, so that its later rows are told apart as if it
    /// had never stopped: rows with an entry from the ledger, the others from the windows.
    ///
    /// # Errors
    /// When the log is damaged.
    pub fn remember_points(&mut self, store: &Store, job: JobId) -> Result<()> {
        self.remember_touched(store, job)?;
        let mut row = 0;
        each_entry(store, job, |entry| {
            // Lots that expired on the way have no row; the row's own entry, or a touch, names the customer. A row that changes
            // several lots has an entry for each, which follow each other.
            if entry.row == 0 || entry.row == row {
                return;
            }
            row = entry.row;
            self.name(entry.customer, &mut Counts::default());
            if entry.kind == EntryKind::Reset {
                self.set_reset(entry.program, entry.customer, entry.balance_after);
            }
        })
    }

    /// The same for a job that expires lots: its rows are accounts, and a window has all entries of one or none.
    ///
    /// # Errors
    /// When the log is damaged.
    pub fn remember_expired(&mut self, store: &Store, job: JobId) -> Result<()> {
        let mut account = None;
        each_entry(store, job, |entry| {
            // An account's entries follow each other.
            if account != Some((entry.program, entry.customer)) {
                account = Some((entry.program, entry.customer));
                self.name(entry.customer, &mut Counts::default());
            }
        })
    }

    /// The same for a customer job: rows that wrote a record from the log of customers, the others from the windows.
    ///
    /// # Errors
    /// When the log is damaged.
    pub fn remember_customers(&mut self, store: &Store, job: JobId, first_record: u64) -> Result<()> {
        self.remember_touched(store, job)?;
        store.log().scan(LogKey::Customers(first_record), LogKey::Customers(u64::MAX), |key, stored| {
            let LogKey::Customers(first) = key else { return Ok(false) };
            let page = CustomerPage::open(first, stored)?;
            if page.job == job {
                for record in page.records() {
                    self.name(record?.customer, &mut Counts::default());
                }
            }
            Ok(true)
        })
    }
}

/// Goes over the entries of a job's windows, without those of adjustments that came in between.
fn each_entry(store: &Store, job: JobId, mut visit: impl FnMut(&Entry)) -> Result<()> {
    for (from, to) in jobs::sequences(store, job)? {
        let (from, to) = (LogKey::Ledger(Sequence(from)), LogKey::Ledger(Sequence(to)));
        store.log().scan(from, to, |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let page = LedgerPage::open(first, stored)?;
            if page.job == job {
                (0..page.count()).try_for_each(|at| page.entry(at).map(|entry| visit(&entry)))?;
            }
            Ok(true)
        })?;
    }
    Ok(())
}
