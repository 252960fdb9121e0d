//! The stores and files of scenarios, and what is known of each row beforehand.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

use super::{BEFORE, Kind, NOW, reports, workbook};
use crate::{
    audit::{Outcome, Row},
    program::Program,
    random::Random,
    state::PROCESSED,
    verdict::Problem,
};

/// A job that can be run.
pub struct Job {
    pub command: Vec<String>,
    pub number: u32,
    pub input: Option<String>,
    pub rows: Vec<Row>,
}

/// A customer of the store before the job.
struct Customer {
    number: u64,
    mobile: Option<String>,
    /// Points that are available at [`NOW`].
    balance: i64,
    has_set: bool,
}

impl Customer {
    fn user_id(&self) -> String {
        format!("u{}", self.number)
    }

    fn email(&self) -> String {
        format!("c{}@example.com", self.number)
    }
}

/// A file that grows row by row.
struct Table {
    text: String,
    line: u64,
    rows: Vec<Row>,
}

impl Table {
    fn new(header: &str) -> Table {
        Table { text: format!("{header}\n"), line: 2, rows: Vec::new() }
    }

    fn push(&mut self, row: &str, outcome: Option<Outcome>) {
        self.rows.push(Row { line: self.line, outcome });
        self.text.push_str(row);
        self.text.push('\n');
        // A cell may hold a line's end.
        self.line += 1 + row.matches('\n').count() as u64;
    }
}

/// These bytes, compressed.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Makes the store and the files of a job of this kind and about so many rows.
pub fn write(program: &Program, directory: &Path, kind: Kind, rows: u64, random: &mut Random) -> Result<Job, Problem> {
    if kind == Kind::Customers && random.one_in(2) {
        return customers_job(directory, rows, 1, random);
    }
    let mut customers = customers(program, directory, (rows / 3).max(5), random)?;
    let number = 3;
    let run = |job: &Job| program.succeed(directory, &job.command);
    let undo = |job: Job| Job {
        command: words(&format!("job undo {} --reason undone --now {NOW} --processed {PROCESSED}", job.number)),
        number: job.number + 1,
        input: None,
        rows: Vec::new(),
    };
    Ok(match kind {
        Kind::Customers => customers_job(directory, rows, number, random)?,
        Kind::Points | Kind::GzPoints | Kind::Workbook | Kind::PipedPoints => {
            points(directory, kind, rows, &mut customers, random)?
        }
        Kind::DatedPoints => dated_points(directory, rows, &mut customers, random)?,
        Kind::BulkCredit => bulk_credit(),
        Kind::BulkReset => bulk(&format!("bulk reset --all --to {}", random.within(1..500))),
        Kind::Expiry => expiry(directory, rows, &customers, random)?,
        Kind::Expire => Job {
            command: words("expire --now 2036-12-05T12:00:00Z --reason over"),
            number,
            input: None,
            rows: Vec::new(),
        },
        Kind::UndoPoints => {
            let job = dated_points(directory, rows, &mut customers, random)?;
            run(&job)?;
            undo(job)
        }
        Kind::UndoBulk => {
            let job = bulk_credit();
            run(&job)?;
            undo(job)
        }
        Kind::UndoExpiry => {
            let job = expiry(directory, rows, &customers, random)?;
            run(&job)?;
            undo(job)
        }
    })
}

/// Imports customers as job 1, and dated points for some as job 2.
fn customers(program: &Program, directory: &Path, count: u64, random: &mut Random) -> Result<Vec<Customer>, Problem> {
    let mut file = String::from("user_id,email,mobile,tier,ltv,orders,balance\n");
    let mut points = String::from("user_id,amount,expires_on,ref_type\n");
    let mut customers = Vec::new();
    for number in 0..count {
        let mobile = (!random.one_in(3)).then(|| format!("+3706{number:07}"));
        let mut customer = Customer { number, mobile, balance: 0, has_set: false };
        let tier = random.one_of(&["silver", "gold", ""]);
        let (ltv, orders) = (random.below(900), random.below(9));
        let balance = if random.one_in(3) { 0 } else { random.within(1..600).cast_signed() };
        customer.balance = balance;
        let cell = if balance == 0 { String::new() } else { balance.to_string() };
        let (user_id, email) = (customer.user_id(), customer.email());
        let mobile = customer.mobile.as_deref().unwrap_or_default();
        file.push_str(&format!("{user_id},{email},{mobile},{tier},{ltv}.5,{orders},{cell}\n"));
        for _ in 0..random.below(3) {
            let (amount, day) = (random.within(1..200), random.within(20..31));
            points.push_str(&format!("{user_id},{amount},2036-11-{day},order\n"));
            // Its last day is valid to its end.
            customer.balance += if day >= 25 { amount.cast_signed() } else { 0 };
        }
        customers.push(customer);
    }
    points.push_str("u0,1,2037-11-30,order\n");
    customers[0].balance += 1;
    fs::write(directory.join("before-customers.csv"), file)?;
    fs::write(directory.join("before-points.csv"), points)?;
    for command in [
        "store set --tiers silver,gold",
        "import customers before-customers.csv --now",
        "import points --mode add before-points.csv --now",
    ] {
        let mut command = words(command);
        if command.last().is_some_and(|last| last == "--now") {
            command.push(BEFORE.to_owned());
        }
        program.succeed(directory, &command)?;
    }
    Ok(customers)
}

fn import(kind: &str, flags: &str, file: &str, number: u32, table: Table, directory: &Path) -> Result<Job, Problem> {
    let bytes = match file.rsplit_once('.') {
        Some((_, "gz")) => gzip(table.text.as_bytes())?,
        Some((_, "xlsx")) => workbook::of_csv(&table.text)?,
        _ => table.text.into_bytes(),
    };
    fs::write(directory.join(file), bytes)?;
    let mut command = words(&format!("import {kind} {file} {flags} --now {NOW}"));
    command.extend(reports());
    Ok(Job { command, number, input: Some(file.to_owned()), rows: table.rows })
}

/// New customers, known ones with cells that fill what was empty, doubles, and rows that must be rejected.
fn customers_job(directory: &Path, rows: u64, number: u32, random: &mut Random) -> Result<Job, Problem> {
    let mut table = Table::new("user_id,email,mobile,name,birthday,tier,ltv,orders,balance");
    for at in 0..rows {
        let customer = if random.one_in(5) { random.below(at + 1) } else { at };
        let name = if random.one_in(3) { "" } else { "\"Ana, the\nfirst\"" };
        let (ltv, orders, balance) = (random.below(900), random.below(9), random.below(300));
        let tier = random.one_of(&["silver", "gold", ""]);
        let (row, outcome) = match random.below(30) {
            0 => (
                format!("u{customer},c{customer}@example.com,,,1990-02-30,,,,"),
                Some(Outcome::Rejected("field_invalid")),
            ),
            1 => (",,,Nobody,,,,,".to_owned(), Some(Outcome::Rejected("identifier_missing"))),
            2 => (format!("u{customer},c{customer}@example.com,,,,,,,,"), Some(Outcome::Rejected("row_malformed"))),
            _ => (format!("u{customer},c{customer}@example.com,,{name},,{tier},{ltv}.25,{orders},{balance}"), None),
        };
        table.push(&row, outcome);
    }
    import("customers", "", "customers.csv", number, table, directory)
}

/// Credits and debits of the plain format, whose outcomes are all known.
fn points(
    directory: &Path,
    kind: Kind,
    rows: u64,
    customers: &mut [Customer],
    random: &mut Random,
) -> Result<Job, Problem> {
    let mut table = Table::new("email,mobile,amount,operation");
    for at in 0..rows {
        let index = usize::try_from(random.below(customers.len() as u64)).unwrap_or(0);
        let customer = &mut customers[index];
        let who = match &customer.mobile {
            Some(mobile) if random.one_in(2) => format!(",{mobile}"),
            _ => format!("{},", customer.email()),
        };
        let amount = random.within(1..250).cast_signed();
        let rejected = |code| Some(Outcome::Rejected(code));
        let (row, outcome) = match random.below(40) {
            0 => (format!("x{at}@example.com,,{amount},CR"), rejected("identifier_unknown")),
            1 => (format!("{who},{amount}x,CR"), rejected("amount_invalid")),
            2 => (format!("{who},{amount},MAYBE"), rejected("operation_invalid")),
            3 => (format!(",,{amount},CR"), rejected("identifier_missing")),
            // A sheet has no rows of too many cells.
            4 if kind != Kind::Workbook => (format!("{who},{amount},CR,more"), rejected("row_malformed")),
            5 => (format!("{who},0,CR"), Some(Outcome::Unchanged)),
            6..20 if customer.balance < amount => (format!("{who},{amount},DR"), rejected("insufficient_balance")),
            6..20 => {
                customer.balance -= amount;
                (format!("{who},{amount},DR"), Some(Outcome::Applied(-amount)))
            }
            _ => {
                customer.balance += amount;
                (format!("{who},{amount},"), Some(Outcome::Applied(amount)))
            }
        };
        table.push(&row, outcome);
    }
    let file = match kind {
        Kind::GzPoints => "points.csv.gz",
        Kind::Workbook => "points.xlsx",
        _ => "points.csv",
    };
    let mut job = import("points", "--reason campaign", file, 3, table, directory)?;
    if kind == Kind::PipedPoints {
        job.command = job.command.into_iter().map(|word| if word == file { "-".to_owned() } else { word }).collect();
    }
    Ok(job)
}

/// Points with last days, references, row ids and amounts to be set.
fn dated_points(directory: &Path, rows: u64, customers: &mut [Customer], random: &mut Random) -> Result<Job, Problem> {
    let mut table = Table::new("user_id,amount,operation,expires_on,ref_type,ref_id,comment,row_id");
    let mut given: Vec<(String, i64)> = Vec::new();
    for at in 0..rows {
        let index = usize::try_from(random.below(customers.len() as u64)).unwrap_or(0);
        let customer = &mut customers[index];
        let who = customer.user_id();
        let amount = random.within(1..250).cast_signed();
        let (month, day) = (random.within(1..13), random.within(1..29));
        let last_day = if random.one_in(2) { String::new() } else { format!("2037-{month:02}-{day:02}") };
        let comment = if random.one_in(9) { "\"so it\nis\"" } else { "" };
        let rejected = |code| Some(Outcome::Rejected(code));
        let (row, outcome) = match random.below(40) {
            0 => (format!("nobody,{amount},CR,{last_day},,,,n{at}"), rejected("identifier_unknown")),
            1 => (format!("{who},{amount},CR,2037-02-30,,,,{at}"), rejected("expiry_invalid")),
            2 => (format!("{who},{amount}.5,CR,,,,,{at}"), rejected("amount_precision")),
            // Sent again with the same content, and with another.
            3..6 if !given.is_empty() => {
                let (row, _) = random.one_of(&given).clone();
                (row, Some(Outcome::Unchanged))
            }
            6 if !given.is_empty() => {
                let (row, amount) = random.one_of(&given).clone();
                let other = row.replacen(&format!(",{amount},CR"), &format!(",{},CR", amount + 1), 1);
                (other, rejected("row_id_conflict"))
            }
            // Set at most once, and never told before what that makes of the balance.
            7 if !customer.has_set => {
                customer.has_set = true;
                let difference = amount - customer.balance;
                customer.balance = amount;
                let outcome = if difference == 0 { Outcome::Unchanged } else { Outcome::Applied(difference) };
                (format!("{who},{amount},SET,,,,{comment},{at}"), Some(outcome))
            }
            8..14 if customer.balance < amount => {
                (format!("{who},{amount},DR,,,,{comment},{at}"), rejected("insufficient_balance"))
            }
            8..14 => {
                customer.balance -= amount;
                (format!("{who},{amount},DR,,,,{comment},{at}"), Some(Outcome::Applied(-amount)))
            }
            _ => {
                customer.balance += amount;
                let row = format!("{who},{amount},CR,{last_day},order,o{at},{comment},{at}");
                given.push((row.clone(), amount));
                (row, Some(Outcome::Applied(amount)))
            }
        };
        table.push(&row, outcome);
    }
    import("points", "--format tidemill", "dated.csv", 3, table, directory)
}

fn bulk(command: &str) -> Job {
    let mut command = words(&format!("{command} --reason bulk --now {NOW}"));
    command.extend(reports());
    Job { command, number: 3, input: None, rows: Vec::new() }
}

/// What it credits moves its customers out of the range.
fn bulk_credit() -> Job {
    bulk("bulk credit --balance 20..399 --tier silver+ --ltv 1.. --per-ltv 1.5 --expires-in 30")
}

/// Changes of last days; some customers twice, some unknown, some rows that cannot be read.
fn expiry(directory: &Path, rows: u64, customers: &[Customer], random: &mut Random) -> Result<Job, Problem> {
    let mut table = Table::new("user_id,ref_type,ref_id,expiry_type,expiry_unit,expiry_value,expiry_change,reason");
    for _ in 0..rows {
        let index = usize::try_from(random.below(customers.len() as u64)).unwrap_or(0);
        let who = customers[index].user_id();
        let (said, outcome) = match random.below(20) {
            0 => ("fixed,,2020-01-01,early,", Some(Outcome::Rejected("expiry_invalid"))),
            1 => ("immediate,,,Early expiry,", None),
            2..6 => ("relative,days,20,early,", None),
            6..10 => ("fixed,,2037-02-28,extended,", None),
            10..13 => ("relative,days,40,extended,", None),
            13..16 => ("fixed,,2036-12-01,early,moved", None),
            _ => ("relative,months,3,Extend_Expiry,late parcel", None),
        };
        if random.one_in(40) {
            table.push(&format!("nobody,,,{said}"), outcome.or(Some(Outcome::Rejected("identifier_unknown"))));
        } else {
            table.push(&format!("{who},,,{said}"), outcome);
        }
    }
    import("expiry", "--profile reference --reason moved", "expiry.csv", 3, table, directory)
}
