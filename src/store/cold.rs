//! Answers about one customer without loading any table: a page of each cache, and what the logs have beyond them.

use super::{
    column::Column,
    customer_page::{CustomerPage, put_change, read_change},
    family,
    filter_page::{Attribute, FilterPage, ROWS},
    identifiers::{IdentifierHash, IdentifierPage},
    key::{self, LogKey},
    ledger_page::LedgerPage,
    lot_page,
    value::{self, Kind},
    view::Readable,
};
use crate::{
    domain::{
        customer::Customer,
        entry::{Entry, EntryKind, EntryText},
        id::{CustomerId, JobId, ProgramId, Sequence},
        identifier::IdentifierKind,
        lot::{Lot, LotState, Lots, Taken},
        reference::Reference,
        time::{Date, Timestamp},
    },
    error::{Error, Result},
};

/// The only customer of lots that are looked at alone.
const ALONE: CustomerId = CustomerId(0);

/// An account as a cold look finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColdAccount {
    /// Its balance.
    pub balance: i64,
    /// Its newest entry; 0: none.
    pub newest: Sequence,
    /// Its dated, referenced and promised lots, in the order in which they are taken.
    pub lots: Vec<Lot>,
}

impl ColdAccount {
    /// Brings it and its lots up to an entry behind it.
    fn replay(&mut self, lots: &mut Lots, page: &LedgerPage<'_>, at: usize, entry: &Entry) -> Result<()> {
        let sequence = Sequence(page.first.0 + at as u64);
        self.balance = entry.balance_after;
        self.newest = sequence;
        for taken in page.taken(at) {
            let lost = || Error::corrupt(format!("entry {} takes of a lot that has not so much", sequence.0));
            lots.take(ALONE, taken).ok_or_else(lost)?;
        }
        if let Some(lot) = page.lot_of(at, entry) {
            lots.insert(ALONE, lot);
        }
        if entry.kind == EntryKind::ExpiryChange {
            match page.refill(at) {
                Some(refill) => drop(lots.set_last_day(ALONE, refill.lot, entry.expires_on)),
                None => {
                    let remaining = lots.plain(ALONE, self.balance);
                    let (expires_on, credited_at) = (entry.expires_on, page.credited_at(at));
                    let (state, reference) = (LotState::Available, Reference::NONE);
                    if remaining > 0 {
                        lots.insert(
                            ALONE,
                            Lot { credit: sequence, remaining, expires_on, credited_at, state, reference },
                        );
                    }
                }
            }
        }
        if let Some(lot) = page.refill_of(at, entry)
            && !lots.refill(ALONE, lot)
        {
            return Err(Error::corrupt(format!("entry {} puts more into a lot than fits", sequence.0)));
        }
        Ok(())
    }
}

/// An entry with what its page tells of it.
#[derive(Clone, Debug)]
pub struct DatedEntry {
    /// Its number.
    pub sequence: Sequence,
    /// The job that wrote it.
    pub job: JobId,
    /// The job's `now`.
    pub time: Timestamp,
    /// The entry.
    pub entry: Entry,
    /// Its texts, by the numbers of `EntryText`.
    pub texts: [Option<String>; EntryText::ALL.len()],
    /// What it took of lots.
    pub taken: Vec<Taken>,
    /// The entry that it takes back.
    pub reversed: Option<Sequence>,
    /// Of a changed last day, the former one.
    pub expires_before: Option<Date>,
}

impl DatedEntry {
    /// One of its texts.
    pub fn text(&self, text: EntryText) -> Option<&str> {
        self.texts[text as usize].as_deref()
    }
}

/// The customer that owns a normalised identifier, with everything its records say; none if nobody does.
///
/// The whole value is compared, not only its hash. Cost: one page of each run of identifiers, one of profiles, one for
/// each record of the customer, and the replay of what the caches lag behind.
///
/// # Errors
/// `Corrupt` when a page is damaged.
pub fn find(store: &impl Readable, kind: IdentifierKind, value: &str) -> Result<Option<(CustomerId, Customer)>> {
    let hash = IdentifierHash::of(store.settings().seed, kind, value.as_bytes());
    let mut found = None;
    for run in &store.positions().runs {
        let key = key::cache_page(run.generation, hash.kind(), ProgramId(0), hash.page());
        if let Some(stored) = store.stored(family::IDENTIFIERS, &key)?
            && let Some(customer) = IdentifierPage::open(hash.page(), &stored)?.get(hash)
        {
            found = Some(customer);
        }
    }
    if let Some(customer) = found {
        let content = read(store, customer)?;
        if content.has_identifier(kind, value) {
            return Ok(Some((customer, content)));
        }
    }
    // In no run, or in one that is just losing it, as its customer becomes part of another.
    let Some(customer) = find_behind(store, kind, value)? else { return Ok(None) };
    let content = read(store, customer)?;
    Ok(content.has_identifier(kind, value).then_some((customer, content)))
}

/// Looks for an identifier in the records that the runs do not reflect.
fn find_behind(store: &impl Readable, kind: IdentifierKind, value: &str) -> Result<Option<CustomerId>> {
    let mut found = None;
    let from = LogKey::Customers(store.positions().identifiers_next_record);
    store.log().scan(from, LogKey::Customers(u64::MAX), |key, stored| {
        let LogKey::Customers(first) = key else { return Ok(false) };
        for record in CustomerPage::open(first, stored)?.records() {
            let record = record?;
            if record.change.identifiers().any(|(other, text)| other == kind && text == value) {
                found = Some(record.customer);
            }
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// Everything that the records say of a customer.
///
/// # Errors
/// `Corrupt` when a page is damaged or the customer has no record.
pub fn read(store: &impl Readable, customer: CustomerId) -> Result<Customer> {
    read_chain(store, customer, newest_record(store, customer)?)
}

/// The number of a customer's newest record.
fn newest_record(store: &impl Readable, customer: CustomerId) -> Result<u64> {
    let positions = store.positions();
    let mut newest = None;
    if positions.profiles != 0 && customer.0 < positions.profiles_customers {
        let page = (customer.index() / ROWS) as u32;
        let key = key::cache_page(positions.profiles, 0, ProgramId(0), page);
        let stored = store.stored(family::PROFILES, &key)?;
        let stored = stored.ok_or_else(|| Error::corrupt(format!("profile page {page} is missing")))?;
        newest = Some(second_column(Kind::ProfilePage, page, &stored, customer)?.cast_unsigned());
    }
    // Records that the profiles do not reflect yet are newer than what they name.
    let from = if newest.is_some() { positions.profiles_next_record } else { 0 };
    let from = if newest.is_none() && customer.0 >= positions.profiles_customers {
        positions.profiles_next_record
    } else {
        from
    };
    store.log().scan(LogKey::Customers(from), LogKey::Customers(u64::MAX), |key, stored| {
        let LogKey::Customers(first) = key else { return Ok(false) };
        for record in CustomerPage::open(first, stored)?.records() {
            let record = record?;
            if record.customer == customer {
                newest = Some(record.number);
            }
        }
        Ok(true)
    })?;
    newest.ok_or_else(|| Error::corrupt(format!("customer {} has no record", customer.0)))
}

/// The numbers of a customer's records, newest first.
///
/// # Errors
/// `Corrupt` when one is missing or damaged.
pub fn records_of(store: &impl Readable, customer: CustomerId) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut next = Some(newest_record(store, customer)?);
    while let Some(number) = next {
        numbers.push(number);
        next = record(store, customer, number)?.0;
    }
    Ok(numbers)
}

/// A record of a customer: the one before it, and its fields in their stored form.
fn record(store: &impl Readable, customer: CustomerId, number: u64) -> Result<(Option<u64>, Vec<u8>)> {
    let missing = || Error::corrupt(format!("customer record {number} is missing"));
    let Some((LogKey::Customers(first), stored)) = store.log().last_at_or_before(LogKey::Customers(number))? else {
        return Err(missing());
    };
    let page = CustomerPage::open(first, &stored)?;
    let record = page.records().nth((number - first) as usize).transpose()?;
    let record = record.filter(|record| record.customer == customer).ok_or_else(missing)?;
    let mut fields = Vec::new();
    put_change(&record.change, &mut fields);
    Ok((record.previous, fields))
}

/// What a customer's records say, from the newest back to the one that created the customer.
///
/// # Errors
/// `Corrupt` when one is missing or damaged.
pub fn read_chain(store: &impl Readable, customer: CustomerId, newest: u64) -> Result<Customer> {
    let mut chain = Vec::new();
    let mut next = Some(newest);
    while let Some(number) = next {
        let (previous, fields) = record(store, customer, number)?;
        next = previous;
        chain.push(fields);
    }
    let mut content = Customer::default();
    for fields in chain.iter().rev() {
        let change = read_change(fields);
        content.change(&change.ok_or_else(|| Error::corrupt(format!("customer {} cannot be read", customer.0)))?);
    }
    Ok(content)
}

fn second_column(kind: Kind, page: u32, stored: &[u8], customer: CustomerId) -> Result<i64> {
    let (_, second) = columns(kind, page, stored, customer)?;
    Ok(second)
}

fn columns(kind: Kind, page: u32, stored: &[u8], customer: CustomerId) -> Result<(i64, i64)> {
    let short = || Error::corrupt(format!("cache page {page} is cut short"));
    let mut body = value::open(kind, stored, &format_args!("cache page {page}"))?;
    let (count, rest) = body.split_first_chunk::<2>().ok_or_else(short)?;
    body = rest;
    let count = usize::from(u16::from_le_bytes(*count));
    let (first, second) = (Column::take(&mut body, count)?, Column::take(&mut body, count)?);
    let at = customer.index() % ROWS;
    if at < count { Ok((first.get(at), second.get(at))) } else { Err(short()) }
}

/// A customer's accounts in all of the store's programs, in their order.
///
/// # Errors
/// `Corrupt` when a page is damaged.
pub fn accounts(store: &impl Readable, customer: CustomerId) -> Result<Vec<ColdAccount>> {
    let positions = store.positions();
    let programs = store.programs().len();
    let mut accounts = vec![ColdAccount::default(); programs];
    let mut froms = vec![1; programs];
    for (at, account) in accounts.iter_mut().enumerate() {
        let program = ProgramId(at as u16);
        let Some(position) = positions.accounts.get(&program.0) else { continue };
        froms[at] = position.next_sequence;
        if customer.0 >= position.customers {
            continue;
        }
        let page = (customer.index() / ROWS) as u32;
        let missing = || Error::corrupt(format!("account page {page} is missing"));
        let key = key::cache_page(position.generation, 0, program, page);
        let stored = store.stored(family::ACCOUNTS, &key)?.ok_or_else(missing)?;
        account.newest = Sequence(columns(Kind::AccountPage, page, &stored, customer)?.0.cast_unsigned());
        let key = key::cache_page(position.generation, Attribute::Balance as u8, program, page);
        let stored = store.stored(family::FILTERS, &key)?.ok_or_else(missing)?;
        let page_values = FilterPage::open(page, &stored)?;
        if customer.index() % ROWS >= page_values.count() {
            return Err(missing());
        }
        account.balance = page_values.get(customer.index() % ROWS);
        if position.lots > 0 {
            account.lots = lot_page::of_customer(store, position.generation, program, customer)?;
        }
    }
    let Some(&from) = froms.iter().min() else { return Ok(accounts) };
    // An account may have a million lots, of which each entry takes some.
    let mut lots = vec![Lots::default(); programs];
    for (lots, account) in lots.iter_mut().zip(&mut accounts) {
        account.lots.drain(..).for_each(|lot| lots.insert(ALONE, lot));
    }
    store.log().scan(LogKey::Ledger(Sequence(from)), LogKey::Ledger(Sequence(u64::MAX)), |key, stored| {
        let LogKey::Ledger(first) = key else { return Ok(false) };
        let page = LedgerPage::open(first, stored)?;
        for at in 0..page.count() {
            if page.customer(at) != customer {
                continue;
            }
            let entry = page.entry(at)?;
            let sequence = first.0 + at as u64;
            let program = usize::from(entry.program.0);
            if program < programs && sequence >= froms[program] {
                accounts[program].replay(&mut lots[program], &page, at, &entry)?;
            }
        }
        Ok(true)
    })?;
    for (lots, account) in lots.iter().zip(&mut accounts) {
        account.lots.extend(lots.of(ALONE));
    }
    Ok(accounts)
}

/// The entry with this number.
///
/// # Errors
/// `Corrupt` when it is missing or damaged.
pub fn entry(store: &impl Readable, sequence: Sequence) -> Result<DatedEntry> {
    let missing = || Error::corrupt(format!("ledger entry {} is missing", sequence.0));
    let Some((LogKey::Ledger(first), stored)) = store.log().last_at_or_before(LogKey::Ledger(sequence))? else {
        return Err(missing());
    };
    let page = LedgerPage::open(first, &stored)?;
    let at = (sequence.0 - first.0) as usize;
    if at >= page.count() {
        return Err(missing());
    }
    let texts = EntryText::ALL.map(|text| page.text(at, text).map(str::to_owned));
    Ok(DatedEntry {
        sequence,
        job: page.job,
        time: page.time,
        entry: page.entry(at)?,
        texts,
        taken: page.taken(at),
        reversed: page.reversed(at),
        expires_before: page.expires_before(at),
    })
}
