//! Customers: who has which identifiers, and what a customers file does to them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, File, Job, Kind, Model, Report, Row, Run,
    account::{Account, Terms, Wanted},
    calendar,
    cells::{self, Cells, Code},
    points::{Command, OnOverdraft},
};

/// A customer as the model keeps it. Absent and empty are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// At most one value a kind, but for cards, which stand in the order in which they came.
    pub identifiers: BTreeMap<Kind, Vec<String>>,
    pub name: String,
    /// Without its year it is `--` and month and day.
    pub birthday: String,
    pub gender: String,
    pub consent: String,
    pub tier: String,
    /// In ten-thousandths.
    pub ltv: Option<u128>,
    pub orders: Option<u64>,
    /// As the last file gave it that did, else when the customer was created.
    pub created_at: calendar::Moment,
    /// One for each program.
    pub accounts: Vec<Account>,
}

impl Customer {
    /// The only value of a kind, or nothing; of cards, the first.
    pub fn identifier(&self, kind: Kind) -> &str {
        self.identifiers.get(&kind).and_then(|values| values.first()).map_or("", String::as_str)
    }
}

/// Format of a customers file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomersFormat {
    /// All of ours, and `first_name` and `last_name` where somebody maps them.
    Tidemill,
    /// Columns by the names of inCust's page, or short ones.
    Incust,
}

/// Format and policies of a customers import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomersOptions {
    pub format: CustomersFormat,
    /// What alone says whose a row is. None: what the format says.
    pub key: Option<Kind>,
    pub phone_digits: Option<usize>,
    /// Whether `first_name` and `last_name` are mapped.
    pub has_name_parts: bool,
}

impl CustomersOptions {
    /// Those of a format by itself.
    pub const fn of(format: CustomersFormat) -> CustomersOptions {
        CustomersOptions { format, key: None, phone_digits: None, has_name_parts: false }
    }

    fn key(&self) -> Option<Kind> {
        self.key.or(match self.format {
            CustomersFormat::Tidemill => None,
            CustomersFormat::Incust => Some(Kind::Mobile),
        })
    }

    fn kinds(&self) -> &'static [Kind] {
        match self.format {
            CustomersFormat::Tidemill => &[Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile, Kind::Card],
            CustomersFormat::Incust => &[Kind::Email, Kind::Mobile, Kind::Card],
        }
    }

    /// Those that no customer is given later.
    fn set_at_creation(&self) -> &'static [Kind] {
        match self.format {
            CustomersFormat::Tidemill => &[],
            CustomersFormat::Incust => &[Kind::Email, Kind::Mobile],
        }
    }

    /// The header in our words.
    fn header(&self, file: &File) -> Vec<String> {
        let ours = |column: &String| match (self.format, column.to_lowercase().as_str()) {
            (CustomersFormat::Tidemill, column) => column.to_owned(),
            (CustomersFormat::Incust, column) => match column {
                "phone number" | "phone" => "mobile",
                "customer email address" => "email",
                "customer name" => "name",
                "plastic card numbers" => "card",
                "sum of credited bonus points" => "amount",
                "bonus currency" => "currency",
                "bonus points expiration date" => "expires_on",
                "customer account" => "account",
                short => short,
            }
            .to_owned(),
        };
        file.header.iter().map(ours).collect()
    }
}

/// What a row of a customers file asks for, as far as it can be read.
#[derive(Default)]
struct Profile {
    /// The first failure in the order of checks; the row is rejected, whatever else it says.
    fault: Option<Code>,
    names: Vec<(Kind, String)>,
    name: String,
    birthday: String,
    gender: String,
    consent: String,
    tier: String,
    ltv: Option<u128>,
    orders: Option<u64>,
    created_at: Option<calendar::Moment>,
    balance: Option<i64>,
    /// How many points to credit, where that can be read.
    amount: Option<i64>,
    /// In which program, if anybody says so.
    program: Option<usize>,
    expires_on: Option<calendar::Day>,
    /// Whether an amount stands there that cannot be read.
    is_amount_unread: bool,
}

impl Model {
    /// Imports a customers file; opening balances are in the job's program.
    pub fn import_customers(&mut self, file: &File, options: &CustomersOptions, job: &Job) -> Report {
        let mut run = self.begin(job);
        let file = File { header: options.header(file), rows: file.rows.clone() };
        for row in &file.rows {
            let wanted = self.profile(&file, row, options, &run);
            let answer = match wanted.fault {
                None => self.customers_row(row.line, &wanted, options, &mut run),
                Some(code) => Answer::rejected(row.line, code, job.program),
            };
            account_for(&mut run.report, &wanted, &answer, job.program);
            run.report.answers.push(answer);
        }
        self.end(run)
    }

    fn customers_row(&mut self, line: u64, wanted: &Profile, options: &CustomersOptions, run: &mut Run) -> Answer {
        let main = run.job.program;
        let owner = match self.customer_named(&wanted.names, options.key()) {
            Ok(owner) => owner,
            Err(code) => return Answer::rejected(line, code, main),
        };
        // Looked at before anything of the row is done.
        let credit = wanted.program.zip(wanted.amount).filter(|&(_, amount)| amount > 0).map(|(program, amount)| {
            let terms = Terms { expires_on: wanted.expires_on, ..Terms::default() };
            Command { program, wanted: Wanted::Credit(amount), terms }
        });
        if let Some(customer) = owner {
            run.name(customer);
            if let Some(command) = &credit {
                let account = &self.customers[customer].accounts[command.program];
                if let Err(code) = self.decide(account, command, OnOverdraft::Reject, run) {
                    return Answer::rejected(line, code, main);
                }
            }
        }
        let mut answer = match owner {
            None => self.new_customer(line, wanted, run),
            Some(customer) => self.known_customer(customer, line, wanted, options, run),
        };
        if let Some(command) = credit {
            let customer = owner.unwrap_or(self.customers.len() - 1);
            let account = &self.customers[customer].accounts[command.program];
            let decision = self.decide(account, &command, OnOverdraft::Reject, run).expect("it was looked at");
            self.enter(customer, line, &command, decision, ["", ""], run);
            if answer.status == "unchanged" {
                answer.status = "updated";
            }
            answer.program = command.program;
            answer.amount = wanted.amount.unwrap_or(0);
            answer.balance = Some(self.balance(customer, command.program, run.today));
        }
        answer
    }

    /// Whom the identifiers of a row name.
    fn customer_named(&self, names: &[(Kind, String)], key: Option<Kind>) -> Result<Option<usize>, Code> {
        let owners = |is_wanted: &dyn Fn(Kind) -> bool| -> BTreeSet<usize> {
            names
                .iter()
                .filter(|(kind, _)| is_wanted(*kind))
                .filter_map(|(kind, value)| self.find(*kind, value))
                .collect()
        };
        let by_singles = owners(&|kind| kind != Kind::Card && Some(kind) != key);
        let by_cards = owners(&|kind| kind == Kind::Card && Some(kind) != key);
        let named = match key {
            Some(key) => owners(&|kind| kind == key),
            None if by_singles.is_empty() => by_cards.clone(),
            None => by_singles.clone(),
        };
        if named.len() > 1 {
            return Err("identifier_conflict");
        }
        let owner = named.first().copied();
        let is_others = |named: &BTreeSet<usize>| named.iter().any(|&named| Some(named) != owner);
        if owner.is_some() && is_others(&by_singles) {
            return Err("identifier_conflict");
        }
        if is_others(&by_singles) || is_others(&by_cards) { Err("identifier_taken") } else { Ok(owner) }
    }

    fn new_customer(&mut self, line: u64, wanted: &Profile, run: &mut Run) -> Answer {
        let program = run.job.program;
        let customer = self.create(&wanted.names, run.job.now);
        run.name(customer);
        self.write_profile(customer, wanted, &mut 0);
        let amount = wanted.balance.unwrap_or(0);
        let command = Command { program, wanted: Wanted::Credit(amount), terms: Terms::default() };
        let account = Account::default();
        let decision = self.decide(&account, &command, OnOverdraft::Reject, run).expect("an account takes that in");
        self.enter(customer, line, &command, decision, ["", ""], run);
        Answer { amount, balance: Some(amount), ..Answer::new(line, "created", program) }
    }

    fn known_customer(
        &mut self,
        customer: usize,
        line: u64,
        wanted: &Profile,
        options: &CustomersOptions,
        run: &mut Run,
    ) -> Answer {
        let before = self.customers[customer].clone();
        for (kind, value) in &wanted.names {
            let held = before.identifiers.get(kind).map_or(&[][..], Vec::as_slice);
            if held.contains(value) {
                continue;
            }
            if *kind != Kind::Card && (!held.is_empty() || options.set_at_creation().contains(kind)) {
                run.report.kept += 1;
                continue;
            }
            self.customers[customer].identifiers.entry(*kind).or_default().push(value.clone());
            self.owners.insert((*kind, value.clone()), customer);
        }
        run.report.kept += u64::from(wanted.balance.is_some());
        self.write_profile(customer, wanted, &mut run.report.kept);
        let changed = self.customers[customer] != before;
        let status = if changed { "updated" } else { "unchanged" };
        let balance = Some(self.balance(customer, run.job.program, run.today));
        Answer { balance, ..Answer::new(line, status, run.job.program) }
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
        customer.created_at = wanted.created_at.unwrap_or(customer.created_at);
    }

    /// Adds a customer without points.
    pub fn create(&mut self, names: &[(Kind, String)], now: calendar::Moment) -> usize {
        let number = self.customers.len();
        let accounts = vec![Account::default(); self.programs.len()];
        let mut customer = Customer { created_at: now, accounts, ..Customer::default() };
        for (kind, value) in names {
            customer.identifiers.entry(*kind).or_default().push(value.clone());
            self.owners.insert((*kind, value.clone()), number);
        }
        self.customers.push(customer);
        number
    }

    /// Reads a row of a customers file, in the order of checks: row, identifiers, amount, last day, other fields; and of
    /// these the program last, as only the store knows which there are.
    fn profile(&self, file: &File, row: &Row, options: &CustomersOptions, run: &Run) -> Profile {
        let mut wanted = Profile::default();
        let cells = match Cells::of(file, row) {
            Ok(cells) => cells,
            Err(code) => return Profile { fault: Some(code), ..wanted },
        };
        let mut faults = Vec::new();
        match cells::identifiers(&cells, options.kinds()) {
            Ok(names) => wanted.names = names,
            Err(code) => faults.push(code),
        }
        let mobile = wanted.names.iter().find(|(kind, _)| *kind == Kind::Mobile);
        let digits = mobile.map(|(_, number)| number.len() - 1);
        if digits.zip(options.phone_digits).is_some_and(|(digits, wanted)| digits != wanted) {
            faults.push("identifier_invalid");
        } else if options.key().is_some_and(|key| wanted.names.iter().all(|(kind, _)| *kind != key)) {
            faults.push("identifier_missing");
        }

        let points = |text: &str, program: usize| {
            let decimals = self.programs[program].decimals;
            if text.is_empty() { Ok(None) } else { cells::amount(text, decimals, false).map(Some) }
        };
        let mut program = Ok(None);
        match options.format {
            CustomersFormat::Tidemill => {
                let balance = points(cells.get("balance"), run.job.program);
                wanted.is_amount_unread = balance.is_err();
                wanted.balance = balance.map_err(|code| faults.push(code)).unwrap_or(None);
            }
            CustomersFormat::Incust if file.header.iter().any(|column| column == "amount") => {
                program = self.credited_program(&cells);
                wanted.program = program.unwrap_or(None);
                let amount = points(cells.get("amount"), wanted.program.unwrap_or(run.job.program));
                wanted.is_amount_unread = amount.is_err();
                wanted.amount = amount.map_err(|code| faults.push(code)).unwrap_or(None);
                let last = cells.get("expires_on");
                wanted.expires_on = calendar::day(last).filter(|&day| day >= run.today);
                if wanted.expires_on.is_none() && !last.is_empty() {
                    faults.push("expiry_invalid");
                }
            }
            CustomersFormat::Incust => {}
        }

        wanted.name = cells.get("name").to_owned();
        if options.has_name_parts && wanted.name.is_empty() {
            wanted.name = format!("{} {}", cells.get("first_name"), cells.get("last_name")).trim().to_owned();
        }
        wanted.consent = cells.get("consent").to_owned();
        let birthday = cells::birthday(cells.get("birthday"), run.today);
        wanted.birthday = birthday.map_err(|code| faults.push(code)).unwrap_or_default();
        let gender = cells::gender(cells.get("gender"));
        wanted.gender = gender.map_err(|code| faults.push(code)).unwrap_or_default().to_owned();
        if options.format == CustomersFormat::Tidemill {
            wanted.tier = cells.get("tier").to_owned();
            let is_declared = self.tiers.is_empty() || self.tiers.contains(&wanted.tier);
            if !is_declared && !wanted.tier.is_empty() {
                faults.push("tier_unknown");
            }
            let [ltv, orders, created_at] = ["ltv", "orders", "created_at"].map(|column| cells.get(column));
            wanted.ltv = cells::ten_thousandths(ltv).ok();
            wanted.orders = Some(orders).filter(|text| cells::digits(text)).and_then(|text| text.parse().ok());
            wanted.created_at = calendar::moment(created_at, self.zone_minutes);
            let are_read = [wanted.ltv.is_some(), wanted.orders.is_some(), wanted.created_at.is_some()];
            if [ltv, orders, created_at].iter().zip(are_read).any(|(cell, is_read)| !is_read && !cell.is_empty()) {
                faults.push("field_invalid");
            }
        }
        faults.extend(program.err());
        wanted.fault = faults.first().copied();
        wanted
    }

    /// The program that a row's account names, else its currency.
    fn credited_program(&self, cells: &Cells<'_>) -> Result<Option<usize>, Code> {
        let currency = cells::currency(cells.get("currency"))?;
        let account = cells.get("account");
        if !account.is_empty() {
            let program = self.programs.iter().position(|program| program.code == account);
            return program.map(Some).ok_or("program_unknown");
        }
        if currency.is_empty() || cells.get("amount").is_empty() {
            return Ok(None);
        }
        self.programs.iter().position(|program| program.currency == currency).map(Some).ok_or("currency_unknown")
    }
}

/// Accounts for the points that a row names, whatever became of it.
fn account_for(report: &mut Report, wanted: &Profile, answer: &Answer, main: usize) {
    report.unread_rows += u64::from(wanted.is_amount_unread);
    if let Some(points) = wanted.balance.map(i128::from) {
        let opening = &mut report.programs[main].credits;
        opening.in_file += points;
        match answer.status {
            "rejected" => opening.rejected += points,
            "created" => opening.applied += points,
            _ => opening.unchanged += points,
        }
    }
    if let Some(points) = wanted.amount.map(i128::from) {
        let sums = &mut report.programs[wanted.program.unwrap_or(main)];
        sums.is_named = true;
        sums.credits.in_file += points;
        match (answer.status, wanted.program) {
            ("rejected", _) => sums.credits.rejected += points,
            (_, None) => sums.credits.not_credited += points,
            (_, Some(_)) => sums.credits.applied += points,
        }
    }
}

/// Fills a place that is empty; where it is not, any value is kept out, an equal one too.
fn fill(place: &mut String, value: &str, kept: &mut u64) {
    if place.is_empty() {
        *place = value.to_owned();
    } else if !value.is_empty() {
        *kept += 1;
    }
}
