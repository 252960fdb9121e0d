//! What the imports must do, as plainly as it can be said: vectors, maps, one row after the other.
//!
//! The model is the other opinion in the model test, so it shares no code with the engine, not even its words for
//! outcomes: a rule misread in one place must not be misread in both. It reads what README.md promises and says
//! of `nector`, `smile` and `tidemill-customers`, and nothing of `src/`. It knows no files: rows come to it as cells, or as [`Content::Broken`]
//! and [`Content::NotText`] where whoever wrote the row made it so. Its normalisation covers the spellings that the
//! tests write, no more. It never commits, never crashes, and is slow.
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
//! - The rise of a reset is counted as credited and its fall as debited: balance after = before + credited − debited.
//! - Points that a clamped debit could not take are `not_taken`, all of them if there was nothing to take.
//! - A row of a customers file names a customer by user id, external id, e-mail and mobile, and by its cards if none of
//!   these is known. Named two by the former, or by cards alone: `identifier_conflict`. Named one, and a card is
//!   another's: `identifier_taken`. An unknown identifier beside a known one fills the customer's empty place, or is
//!   kept out if the place is taken.
//! - An empty cell never clears a value. The balance of a customer that exists is kept out, whatever it is.
//! - `kept` counts a name, birthday, gender or consent that finds its place filled, be it with the same value; an
//!   identifier only where the customer has another.
//! - An amount is looked at as a number first: one with too many decimals or digits is that, also where it is negative and
//!   must not be.
//! - The smallest number of 64 bits is no balance: it stands for "missing" in the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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

/// Format of a points file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `email`, `mobile`, `amount`, `operation`.
    Nector,
    /// `email`, `points`, signed.
    Smile(Mode),
}

/// What an amount without an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Add,
    Reset,
}

/// Policies of a points import, and the program's decimals.
#[derive(Clone, Copy, Debug)]
pub struct PointsOptions {
    pub format: Format,
    pub on_unknown: OnUnknown,
    pub on_overdraft: OnOverdraft,
    pub on_repeat: OnRepeat,
    pub decimals: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    Reject,
    Create,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOverdraft {
    Reject,
    Clamp,
    Allow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRepeat {
    First,
    Last,
}

/// A customer as the model keeps it. Absent and empty are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// At most one value a kind, but for cards, which stand in the order in which they came.
    pub identifiers: BTreeMap<Kind, Vec<String>>,
    pub name: String,
    pub birthday: String,
    pub gender: String,
    pub consent: String,
    pub tier: String,
    /// In ten-thousandths.
    pub ltv: Option<u128>,
    pub orders: Option<u64>,
    /// As the file gave it; `None` is the time of the job that created the customer.
    pub created_at: Option<String>,
    pub balance: i64,
}

impl Customer {
    /// The only value of a kind, or nothing; of cards, the first.
    pub fn identifier(&self, kind: Kind) -> &str {
        self.identifiers.get(&kind).and_then(|values| values.first()).map_or("", String::as_str)
    }
}

/// A line of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place in [`Model::customers`].
    pub customer: usize,
    /// `credit`, `debit` or `reset`.
    pub kind: &'static str,
    pub amount: i64,
    pub balance_after: i64,
    /// Line of the row in its file.
    pub line: u64,
}

/// What became of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub line: u64,
    /// `applied`, `created`, `updated`, `unchanged` or `rejected`.
    pub status: &'static str,
    /// Only of rejected rows.
    pub code: Option<&'static str>,
    /// The row's customer, if it resolved to one that exists afterwards.
    pub customer: Option<usize>,
    /// The signed points that moved; 0 if none did.
    pub amount: i64,
    /// The customer's balance after the row.
    pub balance: Option<i64>,
}

/// A sum for each sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerSign {
    pub credit: i128,
    pub debit: i128,
}

impl PerSign {
    fn add(&mut self, signed: i128) {
        if signed < 0 { self.debit -= signed } else { self.credit += signed }
    }
}

/// Everything that a job reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub answers: Vec<Answer>,
    /// Points moved, resets included by the sign of their difference.
    pub credited: i128,
    pub debited: i128,
    /// Sum of all balances of the program before and after; beyond 64 bits where accounts are nearly full.
    pub balance_before: i128,
    pub balance_after: i128,
    pub matched: usize,
    pub created: usize,
    pub repeated: usize,
    /// Cells of a customers file that a rule kept from being written.
    pub kept: u64,
    /// Accounting of add and debit rows: `in_file` = `applied` + `rejected` + `not_taken`; the `unchanged` sum is 0.
    pub in_file: PerSign,
    pub applied: PerSign,
    pub rejected: PerSign,
    pub not_taken: PerSign,
    /// Rows of a reset, and rows whose amount or operation could not be read: not in the sums above.
    pub set_rows: u64,
    pub unread_rows: u64,
}

impl Report {
    /// Counts rows by status.
    pub fn statuses(&self) -> BTreeMap<&'static str, u64> {
        count(self.answers.iter().map(|answer| answer.status))
    }

    /// Counts rejected rows by code.
    pub fn codes(&self) -> BTreeMap<&'static str, u64> {
        count(self.answers.iter().filter_map(|answer| answer.code))
    }
}

/// A store with one program.
#[derive(Clone, Debug)]
pub struct Model {
    /// In order of creation.
    pub customers: Vec<Customer>,
    /// In order of effect.
    pub ledger: Vec<Entry>,
    /// Tiers that the store declares; none accepts any.
    pub tiers: Vec<String>,
    owners: HashMap<(Kind, String), usize>,
    /// `YYYY-MM-DD`, the day of all jobs.
    today: String,
}

impl Model {
    /// An empty store, on a day as `YYYY-MM-DD`.
    pub fn new(today: &str) -> Model {
        Model {
            customers: Vec::new(),
            ledger: Vec::new(),
            tiers: Vec::new(),
            owners: HashMap::new(),
            today: today.to_string(),
        }
    }

    /// Returns the customer that has an identifier, given in normal form.
    pub fn find(&self, kind: Kind, value: &str) -> Option<usize> {
        self.owners.get(&(kind, value.to_string())).copied()
    }

    /// Returns the sum of all balances.
    pub fn balance(&self) -> i128 {
        self.customers.iter().map(|customer| i128::from(customer.balance)).sum()
    }

    /// Imports a points file.
    pub fn import_points(&mut self, file: &File, options: &PointsOptions) -> Report {
        let mut job = self.begin();
        for row in &file.rows {
            let cells = cells(file, row);
            let wanted = cells.as_ref().map_err(|&code| code).and_then(|cells| wanted(cells, options));
            let answer = self.points_row(row.line, cells, wanted, options, &mut job);
            account(&mut job.report, wanted, &answer);
            job.report.answers.push(answer);
        }
        self.end(job)
    }

    /// Imports a customers file; opening balances are in a program with so many decimals.
    pub fn import_customers(&mut self, file: &File, decimals: u32) -> Report {
        let mut job = self.begin();
        for row in &file.rows {
            let wanted = self.profile(file, row, decimals);
            let answer = match wanted {
                Ok(wanted) => self.customers_row(row.line, wanted, &mut job),
                Err(code) => self.rejected(row.line, code, None),
            };
            job.report.answers.push(answer);
        }
        self.end(job)
    }

    fn begin(&self) -> Job {
        let report = Report { balance_before: self.balance(), ..Report::default() };
        Job { present: self.customers.len(), seen: BTreeMap::new(), resets: HashMap::new(), report }
    }

    fn end(&self, job: Job) -> Report {
        let mut report = job.report;
        for answer in &report.answers {
            if answer.amount < 0 {
                report.debited -= i128::from(answer.amount);
            } else {
                report.credited += i128::from(answer.amount);
            }
        }
        report.balance_after = self.balance();
        report.created = self.customers.len() - job.present;
        report.matched = job.seen.keys().filter(|&&customer| customer < job.present).count();
        report.repeated = job.seen.values().filter(|&&rows| rows > 1).count();
        report
    }

    fn points_row(
        &mut self,
        line: u64,
        cells: Result<BTreeMap<&str, &str>, Code>,
        wanted: Result<Wanted, Code>,
        options: &PointsOptions,
        job: &mut Job,
    ) -> Answer {
        let kinds: &[Kind] = match options.format {
            Format::Nector => &[Kind::Email, Kind::Mobile],
            Format::Smile(_) => &[Kind::Email],
        };
        let read = cells.and_then(|cells| identifiers(&cells, kinds)).and_then(|names| Ok((names, wanted?)));
        let (names, wanted) = match read {
            Ok(read) => read,
            Err(code) => return self.rejected(line, code, None),
        };
        let owners: BTreeSet<usize> = names.iter().filter_map(|(kind, value)| self.find(*kind, value)).collect();
        let owners: Vec<usize> = owners.into_iter().collect();
        match owners[..] {
            [customer] => {
                *job.seen.entry(customer).or_default() += 1;
                let balance = self.customers[customer].balance;
                match decide(balance, wanted, job.resets.get(&customer).copied(), options) {
                    Ok(amount) => self.moved(line, "unchanged", customer, wanted, amount, job),
                    Err(code) => self.rejected(line, code, Some(customer)),
                }
            }
            [] if options.on_unknown == OnUnknown::Create => match decide(0, wanted, None, options) {
                Ok(amount) => {
                    let customer = self.create(&names);
                    *job.seen.entry(customer).or_default() += 1;
                    self.moved(line, "applied", customer, wanted, amount, job)
                }
                Err(code) => self.rejected(line, code, None),
            },
            [] => self.rejected(line, "identifier_unknown", None),
            _ => self.rejected(line, "identifier_conflict", None),
        }
    }

    /// Moves the points of a good row; `status_of_none` is the row's status if there are none to move.
    fn moved(
        &mut self,
        line: u64,
        status_of_none: &'static str,
        customer: usize,
        wanted: Wanted,
        amount: i64,
        job: &mut Job,
    ) -> Answer {
        if let Wanted::Set(to) = wanted {
            job.resets.entry(customer).or_insert(to);
        }
        let kind = match wanted {
            Wanted::Set(_) => "reset",
            Wanted::Move(_) if amount < 0 => "debit",
            Wanted::Move(_) => "credit",
        };
        self.enter(line, customer, kind, amount);
        let status = if amount == 0 { status_of_none } else { "applied" };
        let balance = Some(self.customers[customer].balance);
        Answer { line, status, code: None, customer: Some(customer), amount, balance }
    }

    fn customers_row(&mut self, line: u64, wanted: Profile, job: &mut Job) -> Answer {
        let owner = |(kind, value): &(Kind, String)| self.find(*kind, value);
        let (cards, singles): (Vec<_>, Vec<_>) =
            wanted.names.iter().cloned().partition(|(kind, _)| *kind == Kind::Card);
        let by_singles: BTreeSet<usize> = singles.iter().filter_map(owner).collect();
        let by_cards: BTreeSet<usize> = cards.iter().filter_map(owner).collect();
        let named = if by_singles.is_empty() { &by_cards } else { &by_singles };
        if named.len() > 1 {
            return self.rejected(line, "identifier_conflict", None);
        }
        let Some(&customer) = named.first() else {
            let customer = self.create(&wanted.names);
            *job.seen.entry(customer).or_default() += 1;
            let amount = wanted.balance.unwrap_or(0);
            self.write_profile(customer, &wanted, &mut 0);
            self.enter(line, customer, "credit", amount);
            let balance = Some(amount);
            return Answer { line, status: "created", code: None, customer: Some(customer), amount, balance };
        };
        if by_cards.iter().any(|&other| other != customer) {
            return self.rejected(line, "identifier_taken", Some(customer));
        }
        *job.seen.entry(customer).or_default() += 1;
        let before = self.customers[customer].clone();
        for (kind, value) in &wanted.names {
            let held = self.customers[customer].identifiers.entry(*kind).or_default();
            if held.contains(value) {
                continue;
            }
            if *kind != Kind::Card && !held.is_empty() {
                job.report.kept += 1;
                continue;
            }
            held.push(value.clone());
            self.owners.insert((*kind, value.clone()), customer);
        }
        job.report.kept += u64::from(wanted.balance.is_some());
        self.write_profile(customer, &wanted, &mut job.report.kept);
        let changed = self.customers[customer] != before;
        let status = if changed { "updated" } else { "unchanged" };
        let balance = Some(before.balance);
        Answer { line, status, code: None, customer: Some(customer), amount: 0, balance }
    }

    fn write_profile(&mut self, customer: usize, wanted: &Profile, kept: &mut u64) {
        let customer = &mut self.customers[customer];
        fill(&mut customer.name, &wanted.name, kept);
        fill(&mut customer.birthday, &wanted.birthday, kept);
        fill(&mut customer.gender, &wanted.gender, kept);
        fill(&mut customer.consent, &wanted.consent, kept);
        if !wanted.tier.is_empty() {
            customer.tier.clone_from(&wanted.tier);
        }
        customer.ltv = wanted.ltv.or(customer.ltv);
        customer.orders = wanted.orders.or(customer.orders);
        customer.created_at = wanted.created_at.clone().or(customer.created_at.take());
    }

    fn create(&mut self, names: &[(Kind, String)]) -> usize {
        let number = self.customers.len();
        let mut customer = Customer::default();
        for (kind, value) in names {
            customer.identifiers.entry(*kind).or_default().push(value.clone());
            self.owners.insert((*kind, value.clone()), number);
        }
        self.customers.push(customer);
        number
    }

    fn enter(&mut self, line: u64, customer: usize, kind: &'static str, amount: i64) {
        if amount != 0 {
            self.customers[customer].balance += amount;
            let balance_after = self.customers[customer].balance;
            self.ledger.push(Entry { customer, kind, amount, balance_after, line });
        }
    }

    fn rejected(&self, line: u64, code: Code, customer: Option<usize>) -> Answer {
        let balance = customer.map(|customer| self.customers[customer].balance);
        Answer { line, status: "rejected", code: Some(code), customer, amount: 0, balance }
    }

    /// Reads a row of a customers file, in the order of checks: row, identifiers, amount, other fields.
    fn profile(&self, file: &File, row: &Row, decimals: u32) -> Result<Profile, Code> {
        let cells = cells(file, row)?;
        let names = identifiers(&cells, &[Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile, Kind::Card])?;
        let balance = match cell(&cells, "balance") {
            "" => None,
            text => Some(amount(text, decimals, false)?),
        };
        let birthday = cell(&cells, "birthday");
        if !birthday.is_empty() && (!is_date(birthday) || birthday > self.today.as_str()) {
            return Err("field_invalid");
        }
        let gender = cell(&cells, "gender").to_lowercase();
        if !["", "male", "female", "other"].contains(&gender.as_str()) {
            return Err("field_invalid");
        }
        let tier = cell(&cells, "tier");
        if !tier.is_empty() && !self.tiers.is_empty() && !self.tiers.iter().any(|declared| declared == tier) {
            return Err("tier_unknown");
        }
        let ltv = match cell(&cells, "ltv") {
            "" => None,
            text => Some(ten_thousandths(text)?),
        };
        let orders = match cell(&cells, "orders") {
            "" => None,
            text if digits(text) => Some(text.parse().map_err(|_| "field_invalid")?),
            _ => return Err("field_invalid"),
        };
        let created_at = match cell(&cells, "created_at") {
            "" => None,
            text if is_date(text) => Some(text.to_string()),
            _ => return Err("field_invalid"),
        };
        Ok(Profile {
            names,
            name: cell(&cells, "name").to_string(),
            birthday: birthday.to_string(),
            gender,
            consent: cell(&cells, "consent").to_string(),
            tier: tier.to_string(),
            ltv,
            orders,
            created_at,
            balance,
        })
    }
}

/// A code of rejection, as README.md lists them.
type Code = &'static str;

/// What is remembered from row to row of one job.
struct Job {
    /// Customers before the job; those that it creates have higher numbers.
    present: usize,
    /// Rows that resolved to each customer.
    seen: BTreeMap<usize, u64>,
    /// Amount of each customer's first good reset.
    resets: HashMap<usize, i64>,
    report: Report,
}

/// What a points row asks for.
#[derive(Clone, Copy)]
enum Wanted {
    /// Signed: a credit or a debit.
    Move(i64),
    Set(i64),
}

/// What a row of a customers file asks for.
struct Profile {
    names: Vec<(Kind, String)>,
    name: String,
    birthday: String,
    gender: String,
    consent: String,
    tier: String,
    ltv: Option<u128>,
    orders: Option<u64>,
    created_at: Option<String>,
    balance: Option<i64>,
}

/// Decides by how much a balance moves.
fn decide(balance: i64, wanted: Wanted, reset_before: Option<i64>, options: &PointsOptions) -> Result<i64, Code> {
    match wanted {
        Wanted::Set(to) if options.on_repeat == OnRepeat::First && reset_before.is_some() => {
            if reset_before == Some(to) { Ok(0) } else { Err("repeated_customer") }
        }
        Wanted::Set(to) => to.checked_sub(balance).ok_or("balance_overflow"),
        Wanted::Move(points) if points < 0 && balance.max(0) < -points => match options.on_overdraft {
            OnOverdraft::Reject => Err("insufficient_balance"),
            OnOverdraft::Clamp => Ok(-balance.max(0)),
            OnOverdraft::Allow => {
                let after = balance.checked_add(points).filter(|&after| after != i64::MIN);
                after.map(|_| points).ok_or("balance_overflow")
            }
        },
        Wanted::Move(points) => balance.checked_add(points).map(|_| points).ok_or("balance_overflow"),
    }
}

/// Accounts for the points of a row, moved or not: those of every row are in one sum or another.
fn account(report: &mut Report, wanted: Result<Wanted, Code>, answer: &Answer) {
    match wanted {
        // Its amount can be read: such rows are counted by themselves.
        Err("operation_invalid") => {}
        Err(_) => report.unread_rows += 1,
        Ok(Wanted::Set(_)) => report.set_rows += 1,
        Ok(Wanted::Move(points)) => {
            let (points, moved) = (i128::from(points), i128::from(answer.amount));
            report.in_file.add(points);
            if answer.status == "rejected" {
                report.rejected.add(points);
            } else {
                report.applied.add(moved);
                report.not_taken.add(points - moved);
            }
        }
    }
}

/// Reads what a points row asks for, whoever it names.
fn wanted(cells: &BTreeMap<&str, &str>, options: &PointsOptions) -> Result<Wanted, Code> {
    match options.format {
        Format::Smile(Mode::Add) => Ok(Wanted::Move(amount(cell(cells, "points"), options.decimals, true)?)),
        Format::Smile(Mode::Reset) => Ok(Wanted::Set(amount(cell(cells, "points"), options.decimals, false)?)),
        Format::Nector => {
            let points = amount(cell(cells, "amount"), options.decimals, false)?;
            match cell(cells, "operation").to_lowercase().as_str() {
                "" | "cr" | "credit" => Ok(Wanted::Move(points)),
                "dr" | "debit" => Ok(Wanted::Move(-points)),
                _ => Err("operation_invalid"),
            }
        }
    }
}

fn cells<'a>(file: &'a File, row: &'a Row) -> Result<BTreeMap<&'a str, &'a str>, Code> {
    match &row.content {
        Content::NotText => Err("encoding_invalid"),
        Content::Cells(cells) if cells.len() == file.header.len() => {
            Ok(file.header.iter().map(String::as_str).zip(cells.iter().map(|cell| cell.trim())).collect())
        }
        Content::Cells(_) | Content::Broken => Err("row_malformed"),
    }
}

/// The trimmed cell of a column; empty if the file has no such column.
fn cell<'a>(cells: &BTreeMap<&str, &'a str>, column: &str) -> &'a str {
    cells.get(column).copied().unwrap_or("")
}

/// Reads and normalises the identifiers of a row, at least one.
fn identifiers(cells: &BTreeMap<&str, &str>, kinds: &[Kind]) -> Result<Vec<(Kind, String)>, Code> {
    let mut names = Vec::new();
    for &kind in kinds {
        match kind {
            Kind::UserId => names.push((kind, cell(cells, "user_id").to_string())),
            Kind::ExternalId => names.push((kind, cell(cells, "external_id").to_string())),
            Kind::Email => names.push((kind, email(cell(cells, "email"))?)),
            Kind::Mobile => names.push((kind, mobile(cell(cells, "mobile"))?)),
            Kind::Card => {
                for card in cell(cells, "card").split([',', '|']) {
                    let name = (kind, card.replace([' ', '-'], ""));
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
    }
    names.retain(|(_, value)| !value.is_empty());
    if names.is_empty() { Err("identifier_missing") } else { Ok(names) }
}

/// An e-mail in lower case, with the one decomposed letter that the tests write composed; empty stays empty.
fn email(text: &str) -> Result<String, Code> {
    let text = text.to_lowercase().replace("e\u{301}", "é");
    let (local, domain) = text.split_once('@').unwrap_or((&text, ""));
    let good = !local.is_empty()
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
        && !text.contains(char::is_whitespace)
        && !domain.contains('@');
    if good || text.is_empty() { Ok(text) } else { Err("identifier_invalid") }
}

/// An Indian mobile number as `+91` and ten digits; the tests write no others that are valid.
fn mobile(text: &str) -> Result<String, Code> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let text = text.replace([' ', '-', '(', ')'], "");
    let number = text.strip_prefix('+').or(text.strip_prefix("00")).unwrap_or(&text);
    match number.strip_prefix("91") {
        Some(national) if digits(national) && national.len() == 10 && national >= "6" => Ok(format!("+{number}")),
        _ => Err("identifier_invalid"),
    }
}

/// Points in the smallest unit: digits, a point, digits, a minus in front where it is allowed.
fn amount(text: &str, decimals: u32, signed: bool) -> Result<i64, Code> {
    if text.is_empty() {
        return Err("amount_missing");
    }
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, text),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) {
        return Err("amount_invalid");
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals as usize {
        return Err("amount_precision");
    }
    let units = format!("{whole}{fraction:0<width$}", width = decimals as usize);
    let units = units.parse::<i128>().map_err(|_| "amount_range")? * sign;
    let range = if signed { -i64::MAX..=i64::MAX } else { i64::MIN..=i64::MAX };
    match i64::try_from(units) {
        Ok(units) if !signed && units < 0 => Err("amount_invalid"),
        Ok(units) if range.contains(&units) => Ok(units),
        _ => Err("amount_range"),
    }
}

/// A lifetime value: at most 4 decimals, no sign.
fn ten_thousandths(text: &str) -> Result<u128, Code> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
        return Err("field_invalid");
    }
    format!("{whole}{fraction:0<4}").parse().map_err(|_| "field_invalid")
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is a day of the Gregorian calendar, as `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { return false };
    if !(digits(year) && year.len() == 4 && digits(month) && month.len() == 2 && digits(day) && day.len() == 2) {
        return false;
    }
    let number = |digits: &str| digits.parse::<u32>().expect("four digits at most");
    let leap =
        number(year).is_multiple_of(4) && (!number(year).is_multiple_of(100) || number(year).is_multiple_of(400));
    let days = match number(month) {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&number(day))
}

/// Fills a place that is empty; where it is not, any value is kept out, an equal one too.
fn fill(place: &mut String, value: &str, kept: &mut u64) {
    if place.is_empty() {
        *place = value.to_string();
    } else if !value.is_empty() {
        *kept += 1;
    }
}

fn count(words: impl Iterator<Item = &'static str>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

mod tests {
    use super::*;

    const COLUMNS: [&str; 14] = [
        "user_id",
        "external_id",
        "email",
        "mobile",
        "card",
        "name",
        "birthday",
        "gender",
        "consent",
        "tier",
        "ltv",
        "orders",
        "created_at",
        "balance",
    ];

    fn nector() -> PointsOptions {
        PointsOptions {
            format: Format::Nector,
            on_unknown: OnUnknown::Reject,
            on_overdraft: OnOverdraft::Reject,
            on_repeat: OnRepeat::First,
            decimals: 0,
        }
    }

    fn reset() -> PointsOptions {
        PointsOptions { format: Format::Smile(Mode::Reset), ..nector() }
    }

    /// Rows from lines of cells, separated by `;` so that a cell may hold a comma.
    fn file(header: &[&str], lines: &[&str]) -> File {
        let rows = lines.iter().zip(2..).map(|(text, line)| {
            let content = match *text {
                "BROKEN" => Content::Broken,
                "NOT TEXT" => Content::NotText,
                text => Content::Cells(text.split(';').map(str::to_string).collect()),
            };
            Row { line, content }
        });
        File { header: header.iter().map(|column| (*column).to_string()).collect(), rows: rows.collect() }
    }

    /// Ana with 100 points, Ben with none, Max with as many as fit.
    fn three() -> Model {
        let mut model = Model::new("2026-11-22");
        let lines = [
            "u1;;ana@example.com;+916000000001;9001;;;;;;;;;100",
            "u2;;ben@example.com;+916000000002;9002;;;;;;;;;",
            "u3;;max@example.com;;;;;;;;;;;9223372036854775807",
        ];
        let report = model.import_customers(&file(&COLUMNS, &lines), 0);
        assert_eq!(report.statuses(), BTreeMap::from([("created", 3)]));
        model
    }

    /// Each line is a row, `→`, and its expected `status-or-code amount balance`.
    fn check(answers: &[Answer], cases: &[(&str, &str)]) {
        for (answer, (row, expected)) in answers.iter().zip(cases) {
            let word = answer.code.unwrap_or(answer.status);
            let text = match answer.status {
                "rejected" => word.to_string(),
                _ => format!("{word} {} {}", answer.amount, answer.balance.expect("a customer was named")),
            };
            assert_eq!(text, *expected, "row {row}");
        }
        assert_eq!(answers.len(), cases.len());
    }

    fn check_points(model: &mut Model, options: &PointsOptions, cases: &[(&str, &str)]) -> Report {
        let header: &[&str] = match options.format {
            Format::Nector => &["email", "mobile", "amount", "operation"],
            Format::Smile(_) => &["email", "points"],
        };
        let rows: Vec<&str> = cases.iter().map(|case| case.0).collect();
        let report = model.import_points(&file(header, &rows), options);
        check(&report.answers, cases);
        report
    }

    fn check_customers(model: &mut Model, cases: &[(&str, &str)]) -> Report {
        let rows: Vec<&str> = cases.iter().map(|case| case.0).collect();
        let report = model.import_customers(&file(&COLUMNS, &rows), 0);
        check(&report.answers, cases);
        report
    }

    #[test]
    fn the_first_failure_in_the_order_of_checks_is_the_code() {
        check_points(
            &mut three(),
            &nector(),
            &[
                ("BROKEN", "row_malformed"),
                ("ana;x;y", "row_malformed"),
                ("NOT TEXT", "encoding_invalid"),
                ("ana;;x;y", "identifier_invalid"),
                (";;x;y", "identifier_missing"),
                ("ana@example.com;91;x;y", "identifier_invalid"),
                ("nobody@example.com;;;y", "amount_missing"),
                ("nobody@example.com;;52,620;y", "amount_invalid"),
                ("nobody@example.com;;-5;y", "amount_invalid"),
                ("nobody@example.com;;99999999999999999999.5;y", "amount_precision"),
                ("nobody@example.com;;9223372036854775808;y", "amount_range"),
                ("nobody@example.com;;5;y", "operation_invalid"),
                ("nobody@example.com;;5;DR", "identifier_unknown"),
                ("ana@example.com;+916000000002;500;DR", "identifier_conflict"),
                ("ana@example.com;;500;DR", "insufficient_balance"),
                ("max@example.com;;1;CR", "balance_overflow"),
            ],
        );
    }

    #[test]
    fn spellings_of_one_customer_name_one_customer() {
        let report = check_points(
            &mut three(),
            &nector(),
            &[
                (" ANA@Example.Com ;;1;", "applied 1 101"),
                (";+91 60000-00001;2.00;cr", "applied 2 103"),
                (";00916000000001;3;Credit", "applied 3 106"),
                ("nobody@example.com;916000000001;006;DEBIT", "applied -6 100"),
                ("ben@example.com;;0;DR", "unchanged 0 0"),
            ],
        );
        assert_eq!((report.matched, report.created, report.repeated), (2, 0, 1));
        assert_eq!((report.credited, report.debited), (6, 6));
        assert_eq!(email("JOSE\u{301}@example.com"), Ok("josé@example.com".to_string()));
    }

    #[test]
    fn overdraft_policies_take_nothing_what_is_there_or_all() {
        let debit =
            [("ana@example.com;;150;DR", "insufficient_balance"), ("ana@example.com;;100;DR", "applied -100 0")];
        check_points(&mut three(), &nector(), &debit);

        let clamp = PointsOptions { on_overdraft: OnOverdraft::Clamp, ..nector() };
        let debit = [("ana@example.com;;150;DR", "applied -100 0"), ("ana@example.com;;5;DR", "unchanged 0 0")];
        let report = check_points(&mut three(), &clamp, &debit);
        assert_eq!((report.in_file.debit, report.applied.debit, report.not_taken.debit), (155, 100, 55));

        let allow = PointsOptions { on_overdraft: OnOverdraft::Allow, ..nector() };
        let mut model = three();
        let debit = [
            ("ana@example.com;;150;DR", "applied -150 -50"),
            ("ana@example.com;;9223372036854775807;DR", "balance_overflow"),
            ("ana@example.com;;30;CR", "applied 30 -20"),
        ];
        check_points(&mut model, &allow, &debit);
        check_points(&mut model, &clamp, &[("ana@example.com;;5;DR", "unchanged 0 -20")]);
        check_points(&mut model, &reset(), &[("ana@example.com;9223372036854775807", "balance_overflow")]);
    }

    #[test]
    fn a_reset_counts_once_for_a_customer() {
        let mut model = three();
        let rows = [
            ("ana@example.com;-5", "amount_invalid"),
            ("ana@example.com;40", "applied -60 40"),
            ("ana@example.com;40", "unchanged 0 40"),
            ("ana@example.com;41", "repeated_customer"),
            ("ben@example.com;0", "unchanged 0 0"),
            ("ben@example.com;1", "repeated_customer"),
        ];
        let report = check_points(&mut model, &reset(), &rows);
        assert_eq!((report.credited, report.debited, report.set_rows, report.unread_rows), (0, 60, 5, 1));
        assert_eq!(model.ledger.last().map(|entry| (entry.kind, entry.amount, entry.line)), Some(("reset", -60, 3)));

        let last = PointsOptions { on_repeat: OnRepeat::Last, ..reset() };
        check_points(
            &mut model,
            &last,
            &[("ana@example.com;7", "applied -33 7"), ("ana@example.com;8", "applied 1 8")],
        );
    }

    #[test]
    fn a_signed_amount_credits_or_debits() {
        let add = PointsOptions { format: Format::Smile(Mode::Add), decimals: 2, ..nector() };
        let rows = [
            ("ana@example.com;1.5", "applied 150 250"),
            ("ana@example.com;-2.50", "applied -250 0"),
            ("ana@example.com;1.505", "amount_precision"),
            ("ana@example.com;92233720368547758.08", "amount_range"),
            ("ana@example.com;-0.01", "insufficient_balance"),
        ];
        check_points(&mut three(), &add, &rows);
    }

    #[test]
    fn an_unknown_customer_is_created_only_by_a_row_that_stands() {
        let create = PointsOptions { on_unknown: OnUnknown::Create, ..nector() };
        let mut model = three();
        let rows = [
            ("new@example.com;+916000000009;5;DR", "insufficient_balance"),
            ("new@example.com;+916000000009;5;XX", "operation_invalid"),
            ("new@example.com;+916000000009;5;", "applied 5 5"),
            (";+916000000009;5;DR", "applied -5 0"),
            ("zero@example.com;;0;", "applied 0 0"),
            ("zero@example.com;;0;", "unchanged 0 0"),
        ];
        let report = check_points(&mut model, &create, &rows);
        assert_eq!((report.matched, report.created, report.repeated), (0, 2, 2));
        let create = PointsOptions { on_unknown: OnUnknown::Create, ..reset() };
        check_points(
            &mut model,
            &create,
            &[("set@example.com;9", "applied 9 9"), ("set@example.com;8", "repeated_customer")],
        );
        assert_eq!(model.customers.len(), 6);
    }

    #[test]
    fn identifiers_are_unique_in_file_order() {
        let mut model = three();
        let rows = [
            ("u1;;ben@example.com;;;;;;;;;;;", "identifier_conflict"),
            ("u1;;;;9002;;;;;;;;;", "identifier_taken"),
            (";;;;9001|9002;;;;;;;;;", "identifier_conflict"),
            ("u9;;;;9001;;;;;;;;;5", "unchanged 0 100"),
            ("u9;;nine@example.com;;9-00 9;;;;;;;;;5", "created 5 5"),
            ("u1;x1;;;9001,9101;;;;;;;;;", "updated 0 100"),
            (";x1;;+916000000008;9009;;;;;;;;;", "identifier_taken"),
            (";x1;;+916000000008;9101;;;;;;;;;", "unchanged 0 100"),
            (";;;+916000000008;;;;;;;;;;", "created 0 0"),
        ];
        let report = check_customers(&mut model, &rows);
        assert_eq!((report.matched, report.created, report.repeated, report.kept), (1, 2, 1, 3));
    }

    #[test]
    fn each_field_obeys_its_overwrite_rule() {
        let mut model = three();
        let rows = [
            ("u1;;;;;Ana;1990-01-31;Female;web;gold;10.5;3;2020-01-01;", "updated 0 100"),
            ("u1;;;;;Anna;1990-01-30;other;shop;gold;10.50;3;2020-01-01;7", "unchanged 0 100"),
            ("u1;;;;;Ana;;;;silver;;;;", "updated 0 100"),
            ("u1;;;;;;;;;;11;;;", "updated 0 100"),
            ("u1;;;;;;2021-02-29;;;;;;;", "field_invalid"),
            ("u1;;;;;;2027-01-01;;;;;;;", "field_invalid"),
            ("u1;;;;;;;f;;;;;;", "field_invalid"),
            ("u1;;;;;;;;;;1.00001;;;", "field_invalid"),
            ("u1;;;;;;;;;;;1.0;;", "field_invalid"),
            ("u1;;;;;;;;;;;;2020-13-01;", "field_invalid"),
            ("u1;;;;;;;;;;;;x;-1", "amount_invalid"),
        ];
        let report = check_customers(&mut model, &rows);
        assert_eq!(report.kept, 6);
        let ana = &model.customers[0];
        assert_eq!((ana.name.as_str(), ana.gender.as_str(), ana.tier.as_str()), ("Ana", "female", "silver"));
        assert_eq!((ana.ltv, ana.orders), (Some(110_000), Some(3)));
        model.tiers = vec!["gold".to_string()];
        check_customers(
            &mut model,
            &[("u1;;;;;;;;;silver;;;;", "tier_unknown"), ("u1;;;;;;;;;gold;;;;", "updated 0 100")],
        );
    }
}
