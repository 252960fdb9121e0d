//! What the jobs must do, as plainly as it can be said: vectors, maps, one row after the other.
//!
//! The model is the other opinion in the model test, so it shares no code with the engine, not even its words for
//! outcomes: a rule misread in one place must not be misread in both. It reads what README.md promises and says
//! of the formats, and nothing of `src/`. It knows no files: rows come to it as cells, or as [`Content::Broken`]
//! and [`Content::NotText`] where whoever wrote the row made it so. Its normalisation covers the spellings that the
//! tests write, no more. It never commits, never crashes, and is slow.
//!
//! `calendar` counts days, `cells` reads values, `account` says what a command does to lots, `points` and `customers` what
//! a row of a file does.
//!
//! Where the README is silent or short, the model decides:
//!
//! - Cells are trimmed. A cell of spaces is empty.
//! - A NUL makes a row `row_malformed`: it can be split, but is not trusted. Bytes that are no text are
//!   `encoding_invalid`.
//! - An unknown customer is created by any row that is not rejected, and such a row is `applied`, even if its amount is
//!   zero or clamped to zero and the ledger gets no entry. A row that the account then refuses creates nobody.
//! - `matched` counts the distinct customers, present before the job, to whom rows resolved, rejected afterwards or not;
//!   `repeated` those, created by the job included, to whom more than one row did. A row whose identifiers belong to two
//!   customers, be it `identifier_conflict` or `identifier_taken`, resolves to neither.
//! - The rise of a reset is counted as credited and its fall as debited: balance after = before + credited − debited −
//!   expired. Both balances hold points that are over and did not expire yet.
//! - Points that a clamped debit could not take are `not_taken`, all of them if there was nothing to take.
//! - A row of a customers file names a customer by user id, external id, e-mail and mobile, and by its cards if none of
//!   these is known. Named two by the former, or by cards alone: `identifier_conflict`. Named one, and a card is
//!   another's: `identifier_taken`. An unknown identifier beside a known one fills the customer's empty place, or is
//!   kept out if the place is taken, or may be set at creation only.
//! - Where a key is chosen, or the format has one, it alone names the customer; `--key` takes the place of the format's. Two
//!   customers' cards as the key: `identifier_conflict`. Beside a known key another's card is `identifier_taken`, any other
//!   identifier of another `identifier_conflict`; beside an unknown key everything that is somebody's is `identifier_taken`.
//! - An empty cell never clears a value. The balance of a customer that exists is kept out, whatever it is.
//! - `kept` counts a name, birthday, gender or consent that finds its place filled, be it with the same value; an
//!   identifier only where the customer has not this one.
//! - A currency cell that is no code refuses the row, also beside an account, which else decides alone, and where nothing is
//!   to be credited. A code without a program does so only where the currency decides. An account that is no program always
//!   does. Where one of them cannot be read, and where both are empty, the amount is read, and accounted for, as one of the
//!   job's program. Currency and account are looked at after all other cells: only the store knows its programs.
//! - Without a column of amounts, those of currency, account and last day say nothing.
//! - An amount of zero in a customers file touches no account. Its row tells the balance in the job's program, as that of a
//!   row without an amount does.
//! - A row of a customers file that cannot be split has no amount; nor has one whose cell is empty.
//! - An amount is looked at as a number first: one with too many decimals or digits is that, also where it is negative and
//!   must not be.
//! - The smallest number of 64 bits is no balance: it stands for "missing" in the store. Promised points of an account fit
//!   into 64 bits too.
//! - A row that is good has the account's lots that are over expire first, one entry each and without a row, even if it
//!   then changes nothing; a row that is refused, was applied before by its id, or repeats a reset, has not.
//! - Permanent points with a reference are taken before the plain ones, promised points never.
//! - A row id is known once a row that had it was good, whether it moved points or not. What was said with it is the
//!   amount, the operation, and the cells of expiry, date of credit, references, reason and comment as they stand there; a
//!   column that is missing says as much as an empty cell. A row that is known by its id counts
//!   as the reset that it was, and is known after its last day too.
//! - A file that sets balances counts the first row of a customer in each program.
//! - An undo goes over a job's entries from the newest back. One that was set since by another job is absorbed, promises are
//!   not; nor is anything by a setting that was taken back to the last point.
//! - What an entry added is taken of its own lot, or of the plain points, then in the order of debits, then becomes the
//!   overdraft again that it had paid back. What has expired of its lot, or is over, is not taken of others. What is missing
//!   is looked for once more at the end, among what came back.
//! - What an entry took goes into its lots, then to the plain points; the other way round if it had made an overdraft. A lot
//!   that is over gets nothing. Lots that ended on a job's way and are over are not told of.
//! - What is over of an account expires before its first reversal, and does not if there is none.
//! - A last day is set back where the lot still has the one that the entry gave it, whoever did so; points that it made a lot
//!   of are plain then, and stay plain if that undo is undone. A lot that is used up is not told of.
//! - What expired at once by a file on expiry, and is over by now, would be over in any case, and is not told of.
//! - A convert is taken back as a credit is: of its lot, or of the plain points if it made none, then of others. As much is
//!   promised again, with the last day that its lot has now, or else had then, unless that is over.
//! - An undo has an answer for each account that it changes, or of which something stays.
//! - Row ids of an undone job are new again; of two jobs that had one, the first one that counts is the one that is known.

use std::collections::{BTreeMap, HashMap};

use account::{Account, Lot};
use calendar::{Day, Moment};
pub use cells::Code;
pub use customers::Customer;
use expiry::Expiring;
use points::{Command, Decision};
use undo::{Made, Undone};

pub mod calendar;
pub mod cells;
pub mod account;
pub mod customers;
pub mod points;
pub mod expiry;
pub mod undo;
mod tests;

/// The sorts of identifier, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    UserId,
    ExternalId,
    Email,
    Mobile,
    Card,
}

/// A file as it was meant: the header's columns in their canonical spelling, and the rows.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Canonical column names; a name that the format does not know is an unmapped column.
    pub header: Vec<String>,
    pub rows: Vec<Row>,
}

/// One row and the physical line on which it begins.
#[derive(Clone, Debug)]
pub struct Row {
    pub line: u64,
    pub content: Content,
}

/// What a reader sees in a row.
#[derive(Clone, Debug)]
pub enum Content {
    /// Split, perhaps into too many cells or too few.
    Cells(Vec<String>),
    /// An unclosed or misplaced quote, or a NUL.
    Broken,
    /// Bytes that are no text in the file's encoding.
    NotText,
}

/// A points programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub code: String,
    pub decimals: u32,
    /// Empty: none.
    pub currency: &'static str,
}

/// What a job is given beside its file and the policies of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub number: u32,
    pub now: Moment,
    /// Place of the program in [`Model::programs`].
    pub program: usize,
    /// Empty: none.
    pub reason: String,
    pub comment: String,
}

/// A line of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place in [`Model::customers`].
    pub customer: usize,
    pub program: usize,
    /// `credit`, `debit`, `reset`, `promise`, `convert`, `expire`, `promise_expire`, `expiry_change`, `reversal` or
    /// `promise_reversal`.
    pub kind: &'static str,
    pub amount: i64,
    pub balance_after: i64,
    pub now: Moment,
    pub job: u32,
    /// Line of the row in its file; 0 if no row asked for it.
    pub line: u64,
    /// The last day of the points that it adds or ends, or that it gives them.
    pub expires_on: Option<Day>,
    /// Of a changed last day, the former one.
    pub expires_before: Option<Day>,
    /// `early` or `extended`, of what a file on expiry asked for.
    pub reason_type: &'static str,
    pub reference: [String; 3],
    pub reason: String,
    pub comment: String,
    /// The account before and after it.
    pub before: Account,
    pub after: Account,
    /// The number of the entry that it takes back, and that of the lot that it refills.
    pub reverses: Option<u64>,
    pub refills: Option<u64>,
}

/// What became of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub line: u64,
    /// `applied`, `created`, `updated`, `unchanged` or `rejected`.
    pub status: &'static str,
    /// Only of rejected rows.
    pub code: Option<Code>,
    pub program: usize,
    /// The signed points that moved, or were promised; 0 if none were.
    pub amount: i64,
    /// The customer's balance after the row, without points that are over.
    pub balance: Option<i64>,
    /// Whether the row was applied before, by its id.
    pub is_known: bool,
}

impl Answer {
    fn new(line: u64, status: &'static str, program: usize) -> Answer {
        Answer { line, status, code: None, program, amount: 0, balance: None, is_known: false }
    }

    fn rejected(line: u64, code: Code, program: usize) -> Answer {
        Answer { code: Some(code), ..Answer::new(line, "rejected", program) }
    }
}

/// Where the points of one sign went: `in_file` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignSums {
    pub in_file: i128,
    pub applied: i128,
    pub rejected: i128,
    pub unchanged: i128,
    pub not_taken: i128,
    /// Nobody said in which program.
    pub not_credited: i128,
}

/// Everything that a job reports of one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Whether a row named it whose amount could be read, or something of it expired.
    pub is_named: bool,
    /// Points moved, resets included by the sign of their difference.
    pub credited: i128,
    pub debited: i128,
    pub expired: i128,
    pub promised: i128,
    /// Sum of all balances before and after; beyond 64 bits where accounts are nearly full.
    pub before: i128,
    pub after: i128,
    pub credits: SignSums,
    pub debits: SignSums,
    /// Rows of a reset, and what they set, in all.
    pub set_rows: u64,
    pub set: i128,
    /// Rows whose operation could not be read, and their amounts.
    pub unassigned_rows: u64,
    pub unassigned: i128,
}

/// Everything that a job reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub answers: Vec<Answer>,
    /// One for each program.
    pub programs: Vec<Sums>,
    pub matched: usize,
    pub created: usize,
    pub repeated: usize,
    /// Cells of a customers file that a rule kept from being written.
    pub kept: u64,
    /// Rows whose amount or program could not be read: not in the sums.
    pub unread_rows: u64,
    /// Debits with a last day.
    pub expiries_ignored: u64,
    /// Points that have another last day, of a file on expiry; and when points expire before and after it.
    pub moved: i128,
    pub expiring: Option<[Expiring; 2]>,
    /// What an undo tells of accounts.
    pub undone: Vec<Undone>,
    /// The program that an undo's summary tells first.
    pub main_program: usize,
    /// Why the whole job was refused.
    pub refused: Option<Code>,
}

impl Report {
    /// Counts rows by status.
    pub fn statuses(&self) -> BTreeMap<&'static str, u64> {
        count(self.answers.iter().map(|answer| answer.status))
    }

    /// Counts rejected rows by code.
    pub fn codes(&self) -> BTreeMap<Code, u64> {
        count(self.answers.iter().filter_map(|answer| answer.code))
    }
}

/// A store.
#[derive(Clone, Debug)]
pub struct Model {
    pub programs: Vec<Program>,
    /// In order of creation.
    pub customers: Vec<Customer>,
    /// In order of effect; the first is number 1.
    pub ledger: Vec<Entry>,
    /// Tiers that the store declares; none accepts any.
    pub tiers: Vec<String>,
    /// How far its clocks are ahead of UTC.
    pub zone_minutes: i64,
    owners: HashMap<(Kind, String), usize>,
    /// What was said with each row id of a program and customer.
    row_ids: HashMap<(usize, usize, String), Vec<String>>,
    /// The same of all jobs, undone ones too, in their order.
    said: Vec<RowSaid>,
    /// In their order.
    jobs: Vec<Made>,
}

/// A job, the program, customer and id of one of its rows, and what was said with that id.
type RowSaid = (u32, (usize, usize, String), Vec<String>);

/// What a job does, as far as an undo asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Nothing but expire.
    Expire,
    /// What a file on expiry says.
    ExpiryUpdate,
    /// Promised points become available.
    Convert,
    Other,
}

/// A job while it runs: what it remembers from row to row.
pub struct Run {
    pub job: Job,
    pub today: Day,
    /// Customers before it; those that it creates have higher numbers.
    present: usize,
    /// Entries before it.
    first_entry: usize,
    /// Rows that resolved to each customer.
    seen: BTreeMap<usize, u64>,
    /// Amount of the first good reset of each program and customer.
    resets: HashMap<(usize, usize), i64>,
    does: Does,
    /// The job that it undoes.
    undoes: Option<u32>,
    report: Report,
}

impl Run {
    /// A row resolved to this customer.
    fn name(&mut self, customer: usize) {
        *self.seen.entry(customer).or_default() += 1;
    }
}

impl Model {
    /// An empty store with these programs.
    pub fn new(programs: &[(&str, u32)], zone_minutes: i64) -> Model {
        let program = |&(code, decimals): &(&str, u32)| Program { code: code.to_owned(), decimals, currency: "" };
        Model {
            programs: programs.iter().map(program).collect(),
            customers: Vec::new(),
            ledger: Vec::new(),
            tiers: Vec::new(),
            zone_minutes,
            owners: HashMap::new(),
            row_ids: HashMap::new(),
            said: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Returns the customer that has an identifier, given in normal form.
    pub fn find(&self, kind: Kind, value: &str) -> Option<usize> {
        self.owners.get(&(kind, value.to_owned())).copied()
    }

    /// A customer's balance without points that are over.
    pub fn balance(&self, customer: usize, program: usize, today: Day) -> i64 {
        let balance = self.customers[customer].accounts[program].valid_on(today).balance();
        i64::try_from(balance).expect("nothing was applied that does not fit")
    }

    /// Sum of all balances of a program, with points that are over and did not expire yet.
    pub fn total(&self, program: usize) -> i128 {
        self.customers.iter().map(|customer| customer.accounts[program].balance()).sum()
    }

    /// Expires what was over before a day: of one program, or of all. Its rows are the accounts that had something.
    pub fn expire(&mut self, as_of: Day, program: Option<usize>, job: &Job) -> Report {
        let mut run = Run { does: Does::Expire, ..self.begin(&Job { program: program.unwrap_or(0), ..job.clone() }) };
        for program in (0..self.programs.len()).filter(|&place| program.is_none_or(|only| only == place)) {
            for customer in 0..self.customers.len() {
                let expired = self.customers[customer].accounts[program].over_on(as_of);
                if !expired.is_empty() {
                    run.name(customer);
                    self.expire_lots(customer, program, &expired, &run);
                    run.report.answers.push(Answer::new(0, "applied", program));
                }
            }
        }
        self.end(run)
    }

    /// Begins a job.
    pub fn begin(&self, job: &Job) -> Run {
        let sums = |program| Sums { before: self.total(program), ..Sums::default() };
        let programs = (0..self.programs.len()).map(sums).collect();
        Run {
            job: job.clone(),
            today: calendar::day_of(job.now, self.zone_minutes),
            present: self.customers.len(),
            first_entry: self.ledger.len(),
            seen: BTreeMap::new(),
            resets: HashMap::new(),
            does: Does::Other,
            undoes: None,
            report: Report { programs, main_program: job.program, ..Report::default() },
        }
    }

    fn end(&mut self, run: Run) -> Report {
        let &Run { does, undoes, .. } = &run;
        let (number, program) = (run.job.number, run.job.program);
        self.jobs.push(Made { number, program, does, undoes });
        let mut report = run.report;
        for entry in &self.ledger[run.first_entry..] {
            let (sums, points) = (&mut report.programs[entry.program], i128::from(entry.amount));
            sums.is_named = true;
            match entry.kind {
                "promise" | "promise_reversal" => sums.promised += points,
                "promise_expire" => {}
                "expire" => sums.expired -= points,
                _ if points > 0 => sums.credited += points,
                _ => sums.debited -= points,
            }
        }
        for (program, sums) in report.programs.iter_mut().enumerate() {
            sums.after = self.total(program);
        }
        report.created = self.customers.len() - run.present;
        report.matched = run.seen.keys().filter(|&&customer| customer < run.present).count();
        report.repeated = run.seen.values().filter(|&&rows| rows > 1).count();
        report
    }

    /// Writes down what was decided, and makes it so.
    pub fn enter(
        &mut self,
        customer: usize,
        line: u64,
        command: &Command,
        decision: Decision,
        [reason, comment]: [&str; 2],
        run: &Run,
    ) {
        let program = command.program;
        self.expire_lots(customer, program, &decision.expired, run);
        let before = std::mem::replace(&mut self.customers[customer].accounts[program], decision.account);
        if let Some((kind, amount)) = decision.effect.moved {
            let or = |own: &str, of_job: &str| if own.is_empty() { of_job.to_owned() } else { own.to_owned() };
            self.ledger.push(Entry {
                line,
                expires_on: command.terms.expires_on.filter(|_| amount > 0),
                reference: command.terms.reference.clone(),
                reason: or(reason, &run.job.reason),
                comment: or(comment, &run.job.comment),
                before,
                ..self.entry(customer, program, kind, amount, run)
            });
        }
    }

    /// Ends lots, in this order, by an entry each.
    pub fn expire_lots(&mut self, customer: usize, program: usize, lots: &[Lot], run: &Run) {
        for lot in lots {
            let before = self.customers[customer].accounts[program].clone();
            self.customers[customer].accounts[program].lots.retain(|held| held != lot);
            let kind = if lot.is_promised { "promise_expire" } else { "expire" };
            let amount = -i64::try_from(lot.remaining).expect("a part of what was added");
            let entry = self.entry(customer, program, kind, amount, run);
            let mut entry = Entry { expires_on: lot.expires_on, before, ..entry };
            if run.does != Does::Expire {
                // What ends on the way of another job is not what that job tells of.
                (entry.reason, entry.comment) = Default::default();
            }
            self.ledger.push(entry);
        }
    }

    /// An entry on an account as it is now.
    fn entry(&self, customer: usize, program: usize, kind: &'static str, amount: i64, run: &Run) -> Entry {
        let account = &self.customers[customer].accounts[program];
        let balance = account.balance();
        Entry {
            customer,
            program,
            kind,
            amount,
            balance_after: i64::try_from(balance).expect("nothing was applied that does not fit"),
            now: run.job.now,
            job: run.job.number,
            line: 0,
            expires_on: None,
            expires_before: None,
            reason_type: "",
            reference: Default::default(),
            reason: run.job.reason.clone(),
            comment: run.job.comment.clone(),
            before: Account::default(),
            after: account.clone(),
            reverses: None,
            refills: None,
        }
    }
}

fn count(words: impl Iterator<Item = &'static str>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}
