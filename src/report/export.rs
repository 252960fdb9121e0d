//! Exports of the whole store as CSV, on one consistent state.

use std::{collections::BTreeMap, io::Write};

use super::cell::write_cell;
use crate::{
    domain::{
        customer::{CustomerChange, LTV_DECIMALS},
        entry::{EntryKind, EntryText},
        id::{CustomerId, JobId, ProgramId, Sequence},
        job::JobKind,
        lot::LotState,
        points::write_amount,
        tier::TierId,
        time::Date,
    },
    error::{Error, Result},
    store::{
        cold,
        customer_page::CustomerPage,
        key::LogKey,
        ledger_page::LedgerPage,
        state::{Needs, State},
        view::Readable,
    },
};

/// What to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// Customers, with the columns of `tidemill-customers`.
    Customers,
    /// A row for each customer and program.
    Balances {
        /// Leave out zeros.
        nonzero: bool,
    },
    /// A row for each ledger entry.
    Ledger,
    /// A row for each lot.
    Lots,
}

/// A job's kind, internal reason and customer comment.
pub type Texts<'a> = dyn Fn(JobId) -> Result<(JobKind, Option<String>, Option<String>)> + 'a;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Lines on their way out.
struct Lines<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    rows: u64,
}

impl Lines<'_> {
    fn end(&mut self) -> Result<()> {
        self.buffer.push(b'\n');
        self.rows += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        self.buffer.clear();
        written.map_err(|error| Error::io("the export", &error))
    }

    fn cell(&mut self, cell: &str) {
        write_cell(cell.as_bytes(), &mut self.buffer);
        self.buffer.push(b',');
    }

    fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.buffer.push(b',');
    }

    fn amount(&mut self, amount: i64, decimals: u8) {
        write_amount(amount, decimals, &mut self.buffer);
        self.buffer.push(b',');
    }

    fn date(&mut self, date: Option<Date>) {
        if let Some(date) = date {
            date.write(&mut self.buffer);
        }
        self.buffer.push(b',');
    }

    /// Takes back the comma behind the last cell.
    fn close(&mut self) -> Result<()> {
        self.buffer.pop();
        self.end()
    }
}

/// Writes an export; returns the number of rows. Points whose last day was before `today` are dead, and in no balance or
/// lot that is written.
///
/// Memory: what a job needs for `Balances` and `Lots`; about 80 bytes a customer more for `Ledger`, whose rows name
/// customers in no order.
///
/// # Errors
/// When the logs are damaged, or `out` fails.
pub fn write(store: &impl Readable, what: Export, today: Date, texts: &Texts<'_>, out: &mut dyn Write) -> Result<u64> {
    let mut lines = Lines { out, buffer: Vec::with_capacity(BUFFER_BYTES + 4096), rows: 0 };
    match what {
        Export::Customers => customers(store, &mut lines)?,
        Export::Balances { nonzero } => balances(store, nonzero, today, &mut lines)?,
        Export::Ledger => ledger(store, texts, &mut lines)?,
        Export::Lots => lots(store, today, &mut lines)?,
    }
    lines.flush()?;
    Ok(lines.rows)
}

fn header(lines: &mut Lines<'_>, header: &str) {
    lines.buffer.extend_from_slice(header.as_bytes());
    lines.buffer.push(b'\n');
}

/// Goes over all customers by number, each with everything that its records say.
fn each_customer(
    store: &impl Readable,
    state: &State,
    mut visit: impl FnMut(CustomerId, &CustomerChange<'_>) -> Result<()>,
) -> Result<()> {
    let profiles = state.profiles.as_ref().ok_or_else(|| Error::internal("the profiles were not loaded"))?;
    store.log().scan(LogKey::Customers(0), LogKey::Customers(u64::MAX), |key, stored| {
        let LogKey::Customers(first) = key else { return Ok(false) };
        for record in CustomerPage::open(first, stored)?.records() {
            let record = record?;
            if record.previous.is_some() {
                continue;
            }
            let newest = profiles.newest.get(record.customer.index()).copied().unwrap_or(record.number);
            if newest == record.number {
                visit(record.customer, &record.change)?;
            } else {
                visit(record.customer, &cold::read_chain(store, record.customer, newest)?.as_change())?;
            }
        }
        Ok(true)
    })
}

fn load(store: &impl Readable, with_accounts: bool) -> Result<State> {
    let programs = if with_accounts { (0..store.programs().len() as u16).map(ProgramId).collect() } else { Vec::new() };
    State::load(store, &Needs { kinds: Vec::new(), profiles: true, programs })
}

fn customers(store: &impl Readable, lines: &mut Lines<'_>) -> Result<()> {
    header(
        lines,
        "user_id,external_id,email,mobile,card,name,birthday,gender,consent,tier,ltv,orders,created_at,balance",
    );
    let state = load(store, false)?;
    let profiles = state.profiles.as_ref();
    each_customer(store, &state, |id, customer| {
        // Of one who was erased there is nothing to tell, and one who was merged is told as another.
        if customer.is_nameless() {
            return Ok(());
        }
        identity(lines, customer);
        lines.cell(&customer.cards.join("|"));
        lines.cell(customer.name.unwrap_or_default());
        lines.cell(&customer.birthday.map(|birthday| birthday.to_string()).unwrap_or_default());
        lines.cell(customer.gender.map_or("", |gender| gender.word()));
        lines.cell(customer.consent.unwrap_or_default());
        // As the store shows it, which may have declared another spelling since the record was written.
        let tier = profiles.and_then(|profiles| profiles.tiers.name(TierId(*profiles.tier.get(id.index())?)));
        lines.cell(tier.or(customer.tier).unwrap_or_default());
        if let Some(ltv) = customer.ltv {
            // Always four decimals, of which zeros at the end say nothing.
            let mut text = Vec::new();
            write_amount(ltv, LTV_DECIMALS, &mut text);
            let zeros = text.iter().rev().take(LTV_DECIMALS as usize).take_while(|&&digit| digit == b'0').count();
            let kept = if zeros == LTV_DECIMALS as usize { text.len() - zeros - 1 } else { text.len() - zeros };
            lines.buffer.extend_from_slice(&text[..kept]);
        }
        lines.buffer.push(b',');
        if let Some(orders) = customer.orders {
            lines.buffer.extend_from_slice(itoa::Buffer::new().format(orders).as_bytes());
        }
        lines.buffer.push(b',');
        lines.cell(&customer.created_at.map(|time| time.to_string()).unwrap_or_default());
        lines.end()
    })
}

/// The customer that this one became part of, with all its points.
fn merged_into(customer: &CustomerChange<'_>) -> Option<CustomerId> {
    customer.merge.as_ref().and_then(|merge| merge.into)
}

fn identity(lines: &mut Lines<'_>, customer: &CustomerChange<'_>) {
    for text in [customer.user_id, customer.external_id, customer.email, customer.mobile] {
        lines.cell(text.unwrap_or_default());
    }
}

fn balances(store: &impl Readable, nonzero: bool, today: Date, lines: &mut Lines<'_>) -> Result<()> {
    header(lines, "user_id,external_id,email,mobile,program,balance,promised");
    let state = load(store, true)?;
    let programs = store.programs();
    each_customer(store, &state, |id, customer| {
        if merged_into(customer).is_some() {
            return Ok(());
        }
        for (at, program) in programs.iter().enumerate() {
            let accounts = state.accounts(ProgramId(at as u16))?;
            let (balance, promised) = (accounts.balance(id, today), accounts.lots.promised(id, today));
            if nonzero && balance == 0 && promised == 0 {
                continue;
            }
            identity(lines, customer);
            lines.cell(&program.code);
            lines.amount(balance, program.decimals);
            lines.amount(promised, program.decimals);
            lines.close()?;
        }
        Ok(())
    })
}

fn lots(store: &impl Readable, today: Date, lines: &mut Lines<'_>) -> Result<()> {
    header(
        lines,
        "user_id,external_id,email,mobile,program,remaining,state,expires_on,ref_type,ref_id,promotion_id,credited_at",
    );
    let state = load(store, true)?;
    let programs = store.programs();
    each_customer(store, &state, |id, customer| {
        if merged_into(customer).is_some() {
            return Ok(());
        }
        for (at, program) in programs.iter().enumerate() {
            let accounts = state.accounts(ProgramId(at as u16))?;
            let mut plain = accounts.balance(id, today);
            for lot in accounts.lots.of(id).filter(|lot| !lot.is_overdue(today)) {
                plain -= if lot.state == LotState::Available { lot.remaining } else { 0 };
                identity(lines, customer);
                lines.cell(&program.code);
                lines.amount(lot.remaining, program.decimals);
                lines.cell(lot.state.word());
                lines.date(lot.expires_on);
                if lot.is_referenced {
                    let credit = cold::entry(store, lot.credit)?;
                    for text in EntryText::OF_LOT {
                        lines.cell(credit.text(text).unwrap_or_default());
                    }
                } else {
                    lines.buffer.extend_from_slice(b",,,");
                }
                lot.credited_at.write(&mut lines.buffer);
                lines.end()?;
            }
            if plain > 0 {
                // Permanent points without reference are one lot an account, credited at many times.
                identity(lines, customer);
                lines.cell(&program.code);
                lines.amount(plain, program.decimals);
                lines.cell(LotState::Available.word());
                lines.buffer.extend_from_slice(b",,,,");
                lines.end()?;
            }
        }
        Ok(())
    })
}

fn ledger(store: &impl Readable, texts: &Texts<'_>, lines: &mut Lines<'_>) -> Result<()> {
    header(
        lines,
        "user_id,external_id,email,mobile,program,sequence,time,kind,amount,balance_after,expires_on,expires_on_before,\
         ref_type,ref_id,promotion_id,reverses,job,row,reason_type,reason,comment",
    );
    let state = load(store, false)?;
    let programs = store.programs();
    // The first cells of every customer's rows, one behind the other.
    let mut cells = Vec::new();
    let mut ends = Vec::with_capacity(state.customers as usize);
    let mut merged = BTreeMap::new();
    each_customer(store, &state, |id, customer| {
        merged.extend(merged_into(customer).map(|into| (id, into)));
        for text in [customer.user_id, customer.external_id, customer.email, customer.mobile] {
            write_cell(text.unwrap_or_default().as_bytes(), &mut cells);
            cells.push(b',');
        }
        ends.push(cells.len());
        Ok(())
    })?;
    drop(state);
    let root = |customer: CustomerId| {
        let steps = (0..merged.len()).try_fold(customer, |at, _| merged.get(&at).copied().ok_or(at));
        steps.unwrap_or_else(|root| root)
    };
    let roots: BTreeMap<CustomerId, CustomerId> = merged.keys().map(|&customer| (customer, root(customer))).collect();
    let mut job_texts: Option<(JobId, JobKind, [String; 2])> = None;
    store.log().scan(LogKey::Ledger(Sequence(1)), LogKey::Ledger(Sequence(u64::MAX)), |key, stored| {
        let LogKey::Ledger(first) = key else { return Ok(false) };
        let page = LedgerPage::open(first, stored)?;
        if job_texts.as_ref().is_none_or(|(job, ..)| *job != page.job) {
            let (kind, reason, comment) = texts(page.job)?;
            job_texts = Some((page.job, kind, [reason.unwrap_or_default(), comment.unwrap_or_default()]));
        }
        let of_job = |kind: EntryKind| match &job_texts {
            Some((_, job_kind, [reason, comment])) if kind.has_texts_of(*job_kind) => [reason.as_str(), comment],
            _ => ["", ""],
        };
        let time = page.time.to_string();
        for at in 0..page.count() {
            let entry = page.entry(at)?;
            let sequence = first.0 + at as u64;
            let damaged = || Error::corrupt(format!("ledger entry {sequence}: no such customer or program"));
            // What a merged customer did is the history of the one it is a part of.
            let customer = roots.get(&entry.customer).copied().unwrap_or(entry.customer).index();
            let program = programs.get(usize::from(entry.program.0)).ok_or_else(damaged)?;
            let end = *ends.get(customer).ok_or_else(damaged)?;
            let start = if customer == 0 { 0 } else { ends[customer - 1] };
            lines.buffer.extend_from_slice(&cells[start..end]);
            lines.cell(&program.code);
            lines.number(sequence);
            lines.buffer.extend_from_slice(time.as_bytes());
            lines.buffer.push(b',');
            lines.cell(entry.kind.word());
            lines.amount(entry.amount, program.decimals);
            lines.amount(entry.balance_after, program.decimals);
            lines.date(entry.expires_on);
            lines.buffer.push(b',');
            for text in EntryText::OF_LOT {
                lines.cell(page.text(at, text).unwrap_or_default());
            }
            match page.reversed(at) {
                Some(reversed) => lines.number(reversed.0),
                None => lines.buffer.push(b','),
            }
            lines.number(u64::from(page.job.0));
            lines.number(entry.row);
            lines.buffer.push(b',');
            lines.cell(page.text(at, EntryText::Reason).unwrap_or(of_job(entry.kind)[0]));
            lines.cell(page.text(at, EntryText::Comment).unwrap_or(of_job(entry.kind)[1]));
            lines.close()?;
        }
        Ok(true)
    })
}
