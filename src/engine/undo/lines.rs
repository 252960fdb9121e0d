//! The processed report of an undo: a line for each account, with the customer's identifiers.
//!
//! Customers are undone by ascending number, and created in that order too, so their identifiers are read along from the log.

use std::io::Write;

use crate::{
    domain::{
        customer::CustomerChange,
        id::{CustomerId, ProgramId},
        points::write_amount,
        program::Program,
        undo::{Missing, UndoReason, UndoStatus},
    },
    error::Result,
    report::{amount::amount_text, cell::write_cell},
    store::{Store, cold, customer_page::CustomerPage, key::LogKey, state::Profiles},
};

/// The header.
pub const HEADER: &[u8] = b"user_id,external_id,email,mobile,program,status,code,message,amount,balance\n";

/// What became of one account.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub program: ProgramId,
    /// What.
    pub status: UndoStatus,
    /// The signed change of the balance, or of the promised points.
    pub amount: i128,
    /// The balance afterwards.
    pub balance: i64,
    /// What stays as it was.
    pub missing: Missing,
}

/// Reads the identifiers of customers along.
pub struct Identities<'a> {
    store: &'a Store,
    /// The newest record of each customer.
    profiles: &'a Profiles,
    /// A page that no customer comes before who is asked for next.
    next: u64,
}

/// The first cells of some customers' lines, by ascending number.
#[derive(Default)]
pub struct Cells {
    bytes: Vec<u8>,
    ends: Vec<(CustomerId, usize)>,
}

impl<'a> Identities<'a> {
    /// From the first customer on.
    pub fn new(store: &'a Store, profiles: &'a Profiles) -> Identities<'a> {
        Identities { store, profiles, next: 0 }
    }

    /// Fills in the cells of customers, who are sorted and come behind those of the last call.
    ///
    /// # Errors
    /// `Corrupt` when a record is damaged.
    pub fn read(&mut self, customers: &[CustomerId], cells: &mut Cells) -> Result<()> {
        cells.bytes.clear();
        cells.ends.clear();
        let mut left = customers;
        if left.is_empty() {
            return Ok(());
        }
        self.store.log().scan(LogKey::Customers(self.next), LogKey::Customers(u64::MAX), |key, stored| {
            let LogKey::Customers(first) = key else { return Ok(false) };
            self.next = first;
            for record in CustomerPage::open(first, stored)?.records() {
                let record = record?;
                let Some(&wanted) = left.first() else { break };
                if record.previous.is_some() || record.customer != wanted {
                    continue;
                }
                let newest = self.profiles.newest.get(wanted.index()).copied().unwrap_or(record.number);
                if newest == record.number {
                    cells.push(wanted, &record.change);
                } else {
                    cells.push(wanted, &cold::read_chain(self.store, wanted, newest)?.as_change());
                }
                left = &left[1..];
            }
            Ok(!left.is_empty())
        })
    }
}

impl Cells {
    fn push(&mut self, customer: CustomerId, change: &CustomerChange<'_>) {
        for text in [change.user_id, change.external_id, change.email, change.mobile] {
            write_cell(text.unwrap_or_default().as_bytes(), &mut self.bytes);
            self.bytes.push(b',');
        }
        self.ends.push((customer, self.bytes.len()));
    }

    fn of(&self, customer: CustomerId) -> &[u8] {
        let Ok(at) = self.ends.binary_search_by_key(&customer, |(customer, _)| *customer) else { return b",,,," };
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(_, end)| *end);
        self.bytes.get(start..self.ends[at].1).unwrap_or(b",,,,")
    }
}

/// Writes lines.
pub fn write(lines: &[Line], cells: &Cells, programs: &[Program], is_dry: bool, out: &mut Vec<u8>) {
    for line in lines {
        let Some(program) = programs.get(usize::from(line.program.0)) else { continue };
        out.extend_from_slice(cells.of(line.customer));
        write_cell(program.code.as_bytes(), out);
        let code = line.missing.reason().map_or("", UndoReason::code);
        let _ = write!(out, ",{},{code},", line.status.word());
        let message = message(line, program.decimals);
        let message = match (is_dry, message.is_empty()) {
            (true, true) => "dry run".to_owned(),
            (true, false) => format!("dry run: {message}"),
            (false, _) => message,
        };
        write_cell(message.as_bytes(), out);
        let _ = write!(out, ",{},", amount_text(line.amount, program.decimals));
        write_amount(line.balance, program.decimals, out);
        out.push(b'\n');
    }
}

/// How much stays as it was, and why.
fn message(line: &Line, decimals: u8) -> String {
    let kept = UndoReason::ALL.into_iter().filter(|&reason| line.missing.get(reason) > 0);
    let said = kept.map(|reason| {
        let points = amount_text(line.missing.get(reason), decimals);
        match reason {
            UndoReason::Absorbed => format!("{points} stay: another job has set the balance or the last day since"),
            UndoReason::Spent => format!("{points} were spent"),
            UndoReason::Expired => format!("{points} have expired"),
            UndoReason::Overflow => format!("{points} stay: the sum would not fit"),
        }
    });
    said.collect::<Vec<_>>().join("; ")
}
