//! When points expire that get another last day, and promises that are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, Does, Entry, File, Job, Kind, Model, Report, Row, Run,
    account::{Account, Lot},
    calendar::{self, Day, day_text},
    cells::{self, Cells, Code},
};

/// Which way a last day may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Early,
    Extended,
}

/// The new last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Fixed(Day),
    Days(i64),
    Months(i64),
    Immediate,
}

/// Which lots of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picks {
    /// Whose last day is one of these.
    Range(Day, Day),
    /// Of this type and id, where they are not empty.
    Reference(String, String),
    Promotion(String),
}

/// What a file on expiry is imported with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryOptions {
    /// A reference, which is empty then: each row says what it asks for.
    pub picks: Picks,
    pub change: Option<Change>,
    pub set: Option<Set>,
    pub include_promised: bool,
}

impl ExpiryOptions {
    /// Whether rows say more than whom they mean.
    pub fn is_of_rows(&self) -> bool {
        matches!(self.picks, Picks::Reference(..))
    }
}

/// What a row asks for.
struct Asked {
    names: Vec<(Kind, String)>,
    picks: Picks,
    change: Change,
    set: Set,
    note: String,
}

/// Points by the month of their last day, available ones and promised ones; and those that have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiring {
    pub months: BTreeMap<String, [i128; 2]>,
    pub permanent: i128,
}

const KEY_BYTES_MAX: usize = 255;
const TEXT_BYTES_MAX: usize = 4096;

impl Picks {
    fn mean(&self, lot: &Lot) -> bool {
        match self {
            Picks::Range(from, to) => lot.expires_on.is_some_and(|day| (*from..=*to).contains(&day)),
            Picks::Reference(kind, id) => {
                [(kind, 0), (id, 1)].iter().all(|(wanted, at)| wanted.is_empty() || **wanted == lot.reference[*at])
            }
            Picks::Promotion(promotion) => lot.reference[2] == *promotion,
        }
    }
}

impl Model {
    /// Imports a file on expiry.
    pub fn import_expiry(&mut self, file: &File, options: &ExpiryOptions, job: &Job) -> Report {
        let mut run = Run { does: Does::ExpiryUpdate, ..self.begin(job) };
        let before = self.expiring(job.program, run.today);
        for row in &file.rows {
            let answer = match self.read_expiry(file, row, options, &run) {
                Ok(asked) => self.expiry_row(row.line, &asked, options, &mut run),
                Err(code) => Answer::rejected(row.line, code, job.program),
            };
            run.report.answers.push(answer);
        }
        run.report.expiring = Some([before, self.expiring(job.program, run.today)]);
        self.end(run)
    }

    fn expiring(&self, program: usize, today: Day) -> Expiring {
        let mut expiring = Expiring::default();
        for account in self.customers.iter().map(|customer| &customer.accounts[program]) {
            expiring.permanent -= account.overdraft;
            for lot in account.valid_on(today).lots {
                match lot.expires_on {
                    Some(day) => {
                        let month = expiring.months.entry(day_text(day)[..7].to_owned()).or_default();
                        month[usize::from(lot.is_promised)] += lot.remaining;
                    }
                    None if lot.is_promised => {}
                    None => expiring.permanent += lot.remaining,
                }
            }
        }
        expiring
    }

    /// Reads a row, in the order of checks: row, identifiers, the new last day, which way, other fields.
    fn read_expiry(&self, file: &File, row: &Row, options: &ExpiryOptions, run: &Run) -> Result<Asked, Code> {
        let cells = Cells::of(file, row)?;
        let names =
            cells::identifiers(&cells, &[Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile, Kind::Card])?;
        if !options.is_of_rows() {
            let (change, set) = (options.change.expect("said"), options.set.expect("said"));
            return Ok(Asked { names, picks: options.picks.clone(), change, set, note: String::new() });
        }
        let said = ["expiry_type", "expiry_unit", "expiry_value"].map(|column| cells.get(column));
        let set = self.new_last_day(said, options.set, run)?;
        let change = which_way(cells.get("expiry_change"), options)?;
        if (set, change) == (Set::Immediate, Change::Extended) {
            return Err("expiry_invalid");
        }
        let [kind, id, note] = ["ref_type", "ref_id", "reason"].map(|column| cells.get(column).to_owned());
        let is_long = kind.len() > KEY_BYTES_MAX || id.len() > KEY_BYTES_MAX || note.len() > TEXT_BYTES_MAX;
        if is_long || (kind.is_empty() && !id.is_empty()) {
            return Err("field_invalid");
        }
        Ok(Asked { names, picks: Picks::Reference(kind, id), change, set, note })
    }

    fn new_last_day(&self, said: [&str; 3], of_job: Option<Set>, run: &Run) -> Result<Set, Code> {
        let [word, unit, value] = said;
        let set = match word.to_lowercase().as_str() {
            "" => of_job.filter(|_| unit.is_empty() && value.is_empty()),
            "immediate" => Some(Set::Immediate).filter(|_| value.is_empty()),
            "fixed" | "fixed date" => {
                let day = calendar::moment(value, self.zone_minutes).map(|at| calendar::day_of(at, self.zone_minutes));
                day.filter(|&day| day > run.today).map(Set::Fixed)
            }
            "relative" | "relative date expiry" => {
                let count = cells::amount(value, 0, false).ok().filter(|count| (1..=4_294_967_295).contains(count));
                match unit.to_lowercase().as_str() {
                    "day" | "days" => count.map(Set::Days),
                    "month" | "months" => count.map(Set::Months),
                    _ => None,
                }
            }
            _ => return Err("field_invalid"),
        };
        set.ok_or("expiry_invalid")
    }

    fn expiry_row(&mut self, line: u64, asked: &Asked, options: &ExpiryOptions, run: &mut Run) -> Answer {
        let (program, today) = (run.job.program, run.today);
        let owners: BTreeSet<usize> = asked.names.iter().filter_map(|(kind, value)| self.find(*kind, value)).collect();
        let customer = match (owners.first(), owners.len()) {
            (None, _) => return Answer::rejected(line, "identifier_unknown", program),
            (Some(&owner), 1) => owner,
            _ => return Answer::rejected(line, "identifier_conflict", program),
        };
        run.name(customer);
        let (mut wanted, mut refused) = (Vec::new(), Vec::new());
        for lot in self.customers[customer].accounts[program].valid_on(today).in_order() {
            if asked.picks.mean(&lot) && (!lot.is_promised || options.include_promised) {
                match last_day(asked, options, lot.expires_on, today) {
                    Ok(day) => wanted.push((lot, day)),
                    Err(code) => refused.push(code),
                }
            }
        }
        let codes = ["expiry_not_earlier", "expiry_not_later", "expiry_invalid"];
        if let (true, Some(code)) = (wanted.is_empty(), codes.into_iter().find(|code| refused.contains(code))) {
            return Answer::rejected(line, code, program);
        }
        let status = if wanted.is_empty() { "unchanged" } else { "applied" };
        let mut amount = 0;
        if !wanted.is_empty() {
            let over = self.customers[customer].accounts[program].over_on(today);
            self.expire_lots(customer, program, &over, run);
        }
        for (lot, day) in wanted {
            amount += if day.is_some() { lot.remaining } else { -lot.remaining };
            let number = self.ledger.len() as u64 + 1;
            let before = self.customers[customer].accounts[program].clone();
            let lots = &mut self.customers[customer].accounts[program].lots;
            let at = lots.iter().position(|held| *held == lot).expect("it is one of ours");
            match day {
                // Plain points are a lot from now on.
                Some(_) if lot.is_plain() => {
                    lots[at] = Lot { entry: number, expires_on: day, credited_at: run.job.now, ..lot.clone() };
                }
                Some(_) => lots[at].expires_on = day,
                None => drop(lots.remove(at)),
            }
            let (kind, taken) = match day {
                Some(_) => ("expiry_change", 0),
                None if lot.is_promised => ("promise_expire", lot.remaining),
                None => ("expire", lot.remaining),
            };
            let entry = self.entry(customer, program, kind, -i64::try_from(taken).expect("it fits"), run);
            let reason = if asked.note.is_empty() { entry.reason.clone() } else { asked.note.clone() };
            self.ledger.push(Entry {
                line,
                expires_on: day.or(lot.expires_on),
                expires_before: day.and(lot.expires_on),
                reason_type: if asked.change == Change::Early { "early" } else { "extended" },
                reason,
                before,
                refills: (day.is_some() && !lot.is_plain()).then_some(lot.entry),
                ..entry
            });
        }
        run.report.moved += amount.clamp(0, i64::MAX.into());
        let amount = i64::try_from(amount.clamp(i64::MIN.into(), i64::MAX.into())).expect("it was made to fit");
        let balance = Some(self.balance(customer, program, today));
        Answer { amount, balance, ..Answer::new(line, status, program) }
    }

    /// Makes promised points available.
    pub fn convert(&mut self, picks: &Picks, job: &Job) -> Report {
        let (mut run, program) = (Run { does: Does::Convert, ..self.begin(job) }, job.program);
        for customer in 0..self.customers.len() {
            let account = &self.customers[customer].accounts[program];
            let (over, valid) = (account.over_on(run.today), account.valid_on(run.today));
            let mut lots = valid.in_order();
            lots.retain(|lot| lot.is_promised && picks.mean(lot));
            if lots.is_empty() {
                continue;
            }
            run.name(customer);
            let sum = lots.iter().map(|lot| lot.remaining).sum::<i128>();
            if i64::try_from(sum).is_err() || i64::try_from(sum + valid.balance()).is_err() {
                run.report.answers.push(Answer::rejected(0, "balance_overflow", program));
                continue;
            }
            run.report.answers.push(Answer::new(0, "applied", program));
            self.expire_lots(customer, program, &over, &run);
            for lot in lots {
                let before = self.customers[customer].accounts[program].clone();
                let account = &mut self.customers[customer].accounts[program];
                account.lots.retain(|held| *held != lot);
                keep_promise(account, &lot);
                let amount = i64::try_from(lot.remaining).expect("it fits");
                let entry = self.entry(customer, program, "convert", amount, &run);
                let (expires_on, refills) = (lot.expires_on, Some(lot.entry));
                self.ledger.push(Entry { expires_on, refills, before, ..entry });
            }
        }
        self.end(run)
    }
}

/// Adds the points of a promise to an account: they pay an overdraft back, the rest is a lot as it was, or plain.
fn keep_promise(account: &mut Account, lot: &Lot) {
    let paid = lot.remaining.min(account.overdraft);
    account.overdraft -= paid;
    account.add(Lot { is_promised: false, remaining: lot.remaining - paid, ..lot.clone() });
}

/// The day that a lot gets, none if it expires at once; or why it is left as it is.
fn last_day(asked: &Asked, options: &ExpiryOptions, own: Option<Day>, today: Day) -> Result<Option<Day>, Code> {
    let base = match asked.change {
        Change::Extended if options.is_of_rows() => own.unwrap_or(today),
        _ => today,
    };
    let day = match asked.set {
        Set::Immediate => return Ok(None),
        Set::Fixed(day) => Some(day),
        Set::Days(days) => calendar::after_days(base, days),
        Set::Months(months) => calendar::after_months(base, months),
    };
    let day = day.ok_or("expiry_invalid")?;
    match asked.change {
        Change::Early if own.is_some_and(|own| day >= own) => Err("expiry_not_earlier"),
        Change::Extended if own.is_none_or(|own| day <= own) => Err("expiry_not_later"),
        _ => Ok(Some(day)),
    }
}

fn which_way(word: &str, options: &ExpiryOptions) -> Result<Change, Code> {
    match word.to_lowercase().as_str() {
        "" => options.change.ok_or("field_invalid"),
        "early" | "early expiry" => Ok(Change::Early),
        "extended" | "extend_expiry" | "extended expiry" => Ok(Change::Extended),
        _ => Err("field_invalid"),
    }
}
