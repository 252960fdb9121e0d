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
    created_at: Option<calendar::Moment>,
    balance: Option<i64>,
}

impl Model {
    /// Imports a customers file; opening balances are in the job's program.
    pub fn import_customers(&mut self, file: &File, job: &Job) -> Report {
        let mut run = self.begin(job);
        for row in &file.rows {
            let answer = match self.profile(file, row, &run) {
                Ok(wanted) => self.customers_row(row.line, wanted, &mut run),
                Err(code) => Answer::rejected(row.line, code, job.program),
            };
            run.report.answers.push(answer);
        }
        self.end(run)
    }

    fn customers_row(&mut self, line: u64, wanted: Profile, run: &mut Run) -> Answer {
        let program = run.job.program;
        let owner = |(kind, value): &(Kind, String)| self.find(*kind, value);
        let (cards, singles): (Vec<_>, Vec<_>) =
            wanted.names.iter().cloned().partition(|(kind, _)| *kind == Kind::Card);
        let by_singles: BTreeSet<usize> = singles.iter().filter_map(owner).collect();
        let by_cards: BTreeSet<usize> = cards.iter().filter_map(owner).collect();
        let named = if by_singles.is_empty() { &by_cards } else { &by_singles };
        if named.len() > 1 {
            return Answer::rejected(line, "identifier_conflict", program);
        }
        let Some(&customer) = named.first() else {
            let customer = self.create(&wanted.names, run.job.now);
            run.name(customer);
            let amount = wanted.balance.unwrap_or(0);
            self.write_profile(customer, &wanted, &mut 0);
            let command = Command { program, wanted: Wanted::Credit(amount), terms: Terms::default() };
            let account = Account::default();
            let decision = self.decide(&account, &command, OnOverdraft::Reject, run).expect("an account takes that in");
            self.enter(customer, line, &command, decision, ["", ""], run);
            let new = Answer::new(line, "created", program);
            return Answer { amount, balance: Some(amount), ..new };
        };
        if by_cards.iter().any(|&other| other != customer) {
            return Answer::rejected(line, "identifier_taken", program);
        }
        run.name(customer);
        let before = self.customers[customer].clone();
        for (kind, value) in &wanted.names {
            let held = self.customers[customer].identifiers.entry(*kind).or_default();
            if held.contains(value) {
                continue;
            }
            if *kind != Kind::Card && !held.is_empty() {
                run.report.kept += 1;
                continue;
            }
            held.push(value.clone());
            self.owners.insert((*kind, value.clone()), customer);
        }
        run.report.kept += u64::from(wanted.balance.is_some());
        self.write_profile(customer, &wanted, &mut run.report.kept);
        let changed = self.customers[customer] != before;
        let status = if changed { "updated" } else { "unchanged" };
        let balance = Some(self.balance(customer, program, run.today));
        Answer { balance, ..Answer::new(line, status, program) }
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

    /// Reads a row of a customers file, in the order of checks: row, identifiers, amount, other fields.
    fn profile(&self, file: &File, row: &Row, run: &Run) -> Result<Profile, Code> {
        let cells = Cells::of(file, row)?;
        let kinds = [Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile, Kind::Card];
        let names = cells::identifiers(&cells, &kinds)?;
        let balance = match cells.get("balance") {
            "" => None,
            text => Some(cells::amount(text, self.programs[run.job.program].decimals, false)?),
        };
        let birthday = cells.get("birthday");
        if !birthday.is_empty() && calendar::day(birthday).is_none_or(|day| day > run.today) {
            return Err("field_invalid");
        }
        let gender = cells.get("gender").to_lowercase();
        if !["", "male", "female", "other"].contains(&gender.as_str()) {
            return Err("field_invalid");
        }
        let tier = cells.get("tier");
        if !tier.is_empty() && !self.tiers.is_empty() && !self.tiers.iter().any(|declared| declared == tier) {
            return Err("tier_unknown");
        }
        let ltv = match cells.get("ltv") {
            "" => None,
            text => Some(cells::ten_thousandths(text)?),
        };
        let orders = match cells.get("orders") {
            "" => None,
            text if cells::digits(text) => Some(text.parse().map_err(|_| "field_invalid")?),
            _ => return Err("field_invalid"),
        };
        let created_at = match cells.get("created_at") {
            "" => None,
            text => Some(calendar::moment(text, self.zone_minutes).ok_or("field_invalid")?),
        };
        Ok(Profile {
            names,
            name: cells.get("name").to_owned(),
            birthday: birthday.to_owned(),
            gender,
            consent: cells.get("consent").to_owned(),
            tier: tier.to_owned(),
            ltv,
            orders,
            created_at,
            balance,
        })
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
