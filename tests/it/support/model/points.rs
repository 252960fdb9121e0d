//! What a points file does, row by row.

use std::collections::BTreeSet;

use super::{
    Answer, File, Job, Kind, Model, Report, Row, Run,
    account::{Account, Effect, Lot, Terms, Wanted},
    calendar::{self, Day},
    cells::{self, Cells, Code},
};

/// Format of a points file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `email`, `mobile`, `amount`, `operation`.
    Nector,
    /// The same and `expiry`, whole days.
    NectorExpiry,
    /// `email`, `points`.
    Smile(Mode),
    /// Any of the columns that it knows; with a mode if `operation` is none of them.
    Tidemill(Option<Mode>),
}

/// What an amount without an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is signed.
    Add,
    Reset,
}

/// Format and policies of a points import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointsOptions {
    pub format: Format,
    pub on_unknown: OnUnknown,
    pub on_overdraft: OnOverdraft,
    pub on_repeat: OnRepeat,
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

/// What a row asks for, once it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Place in [`Model::programs`].
    pub program: usize,
    pub wanted: Wanted,
    pub terms: Terms,
}

/// What a row says, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub line: u64,
    /// The first failure in the order of checks; the row is rejected, whatever else it says.
    pub fault: Option<Code>,
    pub names: Vec<(Kind, String)>,
    /// The program's place and the amount, where both can be read.
    amount: Option<(usize, i64)>,
    /// What to do with it, where that can be read too.
    pub command: Option<Command>,
    /// Own reason and comment.
    texts: [String; 2],
    row_id: String,
    /// What must be the same where a row id is seen again: everything but the id and who it is.
    said: Vec<String>,
    is_expiry_ignored: bool,
    /// Whether all that is wrong with it is that its last day is over: a row with an id may have been applied before that.
    is_over: bool,
}

/// What a command would make of an account.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Lots that were over, and expire first.
    pub expired: Vec<Lot>,
    pub effect: Effect,
    /// The account afterwards.
    pub account: Account,
}

/// What becomes of a row.
#[derive(Clone, Debug)]
pub enum Verdict {
    Rejected(Code),
    /// It was applied before, and is not again.
    Known,
    Applied(Decision),
}

/// What is longer is refused: references and row ids; reasons and comments.
const KEY_BYTES_MAX: usize = 255;
const TEXT_BYTES_MAX: usize = 4096;
const REFERENCE: [&str; 3] = ["ref_type", "ref_id", "promotion_id"];
const TEXTS: [&str; 2] = ["reason", "comment"];
/// Decimals that no program exceeds: those of a program that nobody knows.
const DECIMALS_MAX: u32 = 4;

impl Model {
    /// Imports a points file.
    pub fn import_points(&mut self, file: &File, options: &PointsOptions, job: &Job) -> Report {
        let mut run = self.begin_points(options, job);
        for row in &file.rows {
            let asked = self.read(file, row, options, &run);
            let answer = self.points_row(&asked, options, &mut run);
            account_for(&mut run.report, &asked, &answer);
            run.report.answers.push(answer);
        }
        self.end(run)
    }

    /// Begins an import of points: the reason of Nector's formats is the comment too.
    pub fn begin_points(&self, options: &PointsOptions, job: &Job) -> Run {
        let comment_is_reason = matches!(options.format, Format::Nector | Format::NectorExpiry);
        let comment = if comment_is_reason && job.comment.is_empty() { &job.reason } else { &job.comment };
        self.begin(&Job { comment: comment.clone(), ..job.clone() })
    }

    fn points_row(&mut self, asked: &Asked, options: &PointsOptions, run: &mut Run) -> Answer {
        let command = match (asked.fault, &asked.command) {
            (None, Some(command)) => command,
            (Some(_), Some(command)) if self.was_applied(asked, command, options) => command,
            (fault, _) => return Answer::rejected(asked.line, fault.expect("else it has a command"), run.job.program),
        };
        let owner = match self.owner(asked, options) {
            Ok(owner) => owner,
            Err(code) => return Answer::rejected(asked.line, code, command.program),
        };
        if let Some(customer) = owner {
            run.name(customer);
        }
        let account = owner.map(|customer| self.customers[customer].accounts[command.program].clone());
        let account = account.unwrap_or_default();
        let verdict = self.judge(asked, command, owner, &account, options, run);
        if let (Verdict::Known, Wanted::Set(to), Some(customer)) = (&verdict, command.wanted, owner) {
            // It set the balance when it was applied: what sets it behind it is a repeat, as it was then.
            run.resets.entry((command.program, customer)).or_insert(to);
        }
        let answer = verdict.answer(asked.line, command, owner.is_none(), &account, run);
        if let Verdict::Applied(decision) = verdict {
            let customer = owner.unwrap_or_else(|| {
                let customer = self.create(&asked.names, run.job.now);
                run.name(customer);
                customer
            });
            self.remember(asked, command, customer, run);
            self.enter(customer, asked.line, command, decision, asked.texts(), run);
        }
        answer
    }

    /// Whether a row whose last day is over was applied before that, by its id.
    fn was_applied(&self, asked: &Asked, command: &Command, options: &PointsOptions) -> bool {
        let Ok(Some(customer)) = self.owner(asked, options) else { return false };
        let known = self.row_ids.get(&(command.program, customer, asked.row_id.clone()));
        asked.is_over && known == Some(&asked.said)
    }

    /// The customer whom all known identifiers name; none where nobody is known and one may be created.
    pub fn owner(&self, asked: &Asked, options: &PointsOptions) -> Result<Option<usize>, Code> {
        let owners: BTreeSet<usize> = asked.names.iter().filter_map(|(kind, value)| self.find(*kind, value)).collect();
        match (owners.first(), owners.len()) {
            (None, _) if options.on_unknown == OnUnknown::Create => Ok(None),
            (None, _) => Err("identifier_unknown"),
            (Some(&owner), 1) => Ok(Some(owner)),
            _ => Err("identifier_conflict"),
        }
    }

    /// What becomes of a row on a customer's account, or on that of a customer whom it would create.
    pub fn judge(
        &self,
        asked: &Asked,
        command: &Command,
        owner: Option<usize>,
        account: &Account,
        options: &PointsOptions,
        run: &Run,
    ) -> Verdict {
        if let Some(customer) = owner {
            match self.row_ids.get(&(command.program, customer, asked.row_id.clone())) {
                Some(said) if *said == asked.said => return Verdict::Known,
                Some(_) => return Verdict::Rejected("row_id_conflict"),
                None => {}
            }
            let before = run.resets.get(&(command.program, customer));
            if let (Wanted::Set(to), Some(&first), OnRepeat::First) = (command.wanted, before, options.on_repeat) {
                if to != first {
                    return Verdict::Rejected("repeated_customer");
                }
                let (expired, effect) = (Vec::new(), Effect::default());
                return Verdict::Applied(Decision { expired, effect, account: account.clone() });
            }
        }
        match self.decide(account, command, options.on_overdraft, run) {
            Ok(decision) => Verdict::Applied(decision),
            Err(code) => Verdict::Rejected(code),
        }
    }

    /// What a command would make of an account: lots that are over expire, then it is applied, or refused.
    pub fn decide(
        &self,
        account: &Account,
        command: &Command,
        on_overdraft: OnOverdraft,
        run: &Run,
    ) -> Result<Decision, Code> {
        let expired = account.over_on(run.today);
        let mut account = account.valid_on(run.today);
        let entry = self.ledger.len() as u64 + expired.len() as u64 + 1;
        let effect = account.apply(command.wanted, &command.terms, on_overdraft, run.job.now, entry)?;
        Ok(Decision { expired, effect, account })
    }

    /// Remembers a good row: its id, and what it reset the customer to.
    pub fn remember(&mut self, asked: &Asked, command: &Command, customer: usize, run: &mut Run) {
        if !asked.row_id.is_empty() {
            let key = (command.program, customer, asked.row_id.clone());
            self.said.push((run.job.number, key.clone(), asked.said.clone()));
            self.row_ids.insert(key, asked.said.clone());
        }
        if let Wanted::Set(to) = command.wanted {
            run.resets.entry((command.program, customer)).or_insert(to);
        }
    }

    /// Reads a row, in the order of checks: row, encoding, identifiers, amount, operation, expiry, other fields; and of
    /// these the program last, as only the store knows which there are.
    pub fn read(&self, file: &File, row: &Row, options: &PointsOptions, run: &Run) -> Asked {
        let mut asked = Asked { line: row.line, ..Asked::default() };
        let cells = match Cells::of(file, row) {
            Ok(cells) => cells,
            Err(code) => return Asked { fault: Some(code), ..asked },
        };
        let mut faults = Vec::new();

        let kinds: &[Kind] = match options.format {
            Format::Nector | Format::NectorExpiry => &[Kind::Email, Kind::Mobile],
            Format::Smile(_) => &[Kind::Email],
            Format::Tidemill(_) => &[Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile, Kind::Card],
        };
        match cells::identifiers(&cells, kinds) {
            Ok(names) => asked.names = names,
            Err(code) => faults.push(code),
        }

        let program = match cells.get("program") {
            "" => Some(run.job.program),
            code => self.programs.iter().position(|program| program.code == code),
        };
        let decimals = program.map_or(DECIMALS_MAX, |program| self.programs[program].decimals);
        let text = cells.get(if matches!(options.format, Format::Smile(_)) { "points" } else { "amount" });
        let is_signed = matches!(options.format, Format::Smile(Mode::Add) | Format::Tidemill(Some(Mode::Add)));
        let amount = cells::amount(text, decimals, is_signed).map_err(|code| faults.push(code)).ok();

        let operation = match options.format {
            Format::Smile(Mode::Reset) | Format::Tidemill(Some(Mode::Reset)) => "set",
            _ if is_signed && amount.is_some_and(|amount| amount < 0) => "debit",
            _ if is_signed => "credit",
            _ => match (cells.get("operation").to_lowercase().as_str(), options.format) {
                ("" | "cr" | "credit", _) => "credit",
                ("dr" | "debit", _) => "debit",
                ("set", Format::Tidemill(_)) => "set",
                _ => "",
            },
        };
        if operation.is_empty() {
            faults.push("operation_invalid");
        }

        let mut terms = Terms::default();
        let days = if options.format == Format::NectorExpiry { "expiry" } else { "expires_in_days" };
        let expiry = [cells.get("expires_on"), cells.get(days)];
        if operation == "debit" {
            asked.is_expiry_ignored = expiry != ["", ""];
        } else {
            let last = self.last_day(expiry, run.today);
            let is_day = |day| self.last_day([day, ""], Day::MIN).is_ok();
            asked.is_over = last.is_err() && expiry[1].is_empty() && is_day(expiry[0]);
            terms.expires_on = last.map_err(|code| faults.push(code)).ok().flatten();
        }

        let credited_on = cells.get("credited_on");
        if !credited_on.is_empty() {
            terms.credited_at = calendar::moment(credited_on, self.zone_minutes);
            if terms.credited_at.is_none_or(|at| at > run.job.now) {
                faults.push("field_invalid");
            }
        }
        terms.reference = REFERENCE.map(|column| cells.get(column).to_owned());
        asked.texts = TEXTS.map(|column| cells.get(column).to_owned());
        asked.row_id = cells.get("row_id").to_owned();
        let is_promised = match cells.get("promised").to_lowercase().as_str() {
            "" | "no" | "available" => false,
            "yes" | "true" | "promised" => true,
            _ => {
                faults.push("field_invalid");
                false
            }
        };
        let is_long = |texts: &[String], bytes_max| texts.iter().any(|text| text.len() > bytes_max);
        if (is_promised && operation != "credit")
            || is_long(&terms.reference, KEY_BYTES_MAX)
            || is_long(&asked.texts, TEXT_BYTES_MAX)
            || asked.row_id.len() > KEY_BYTES_MAX
        {
            faults.push("field_invalid");
        }
        if program.is_none() {
            faults.push("program_unknown");
        }

        asked.fault = faults.first().copied();
        asked.is_over &= faults.len() == 1;
        asked.amount = program.zip(amount);
        let points = amount.map_or(0, i64::abs);
        let wanted = match operation {
            "credit" if is_promised => Some(Wanted::Promise(points)),
            "credit" => Some(Wanted::Credit(points)),
            "debit" => Some(Wanted::Debit(points)),
            "set" => Some(Wanted::Set(points)),
            _ => None,
        };
        let said = ["expires_on", days, "credited_on"].into_iter().chain(REFERENCE).chain(TEXTS);
        asked.said = said.map(|column| cells.get(column).to_owned()).collect();
        asked.said.push(format!("{wanted:?}"));
        asked.command = asked.amount.zip(wanted).map(|((program, _), wanted)| Command { program, wanted, terms });
        asked
    }

    /// The last day that two cells ask for, as a date and as days of validity; none: permanent.
    fn last_day(&self, [date, days]: [&str; 2], today: Day) -> Result<Option<Day>, Code> {
        let day = match (date, days) {
            ("", "") => return Ok(None),
            (date, "") => calendar::moment(date, self.zone_minutes).map(|at| calendar::day_of(at, self.zone_minutes)),
            ("", days) if cells::digits(days) => {
                days.parse::<Day>().ok().filter(|&days| days >= 1).and_then(|days| today.checked_add(days))
            }
            _ => None,
        };
        match day {
            Some(day) if day >= today && day <= calendar::last_day() => Ok(Some(day)),
            _ => Err("expiry_invalid"),
        }
    }
}

impl Asked {
    /// Its own reason and comment, empty where it has none.
    pub fn texts(&self) -> [&str; 2] {
        [&self.texts[0], &self.texts[1]]
    }
}

impl Verdict {
    /// What is told of the row, whose account was this one; `is_new` if it creates the customer.
    pub fn answer(&self, line: u64, command: &Command, is_new: bool, account: &Account, run: &Run) -> Answer {
        let (after, moved) = match self {
            Verdict::Rejected(code) => return Answer::rejected(line, code, command.program),
            Verdict::Known => (account, None),
            Verdict::Applied(decision) => (&decision.account, decision.effect.moved),
        };
        let balance = after.valid_on(run.today).balance();
        Answer {
            amount: moved.map_or(0, |(_, amount)| amount),
            balance: Some(i64::try_from(balance).expect("nothing was applied that does not fit")),
            is_known: matches!(self, Verdict::Known),
            ..Answer::new(line, if moved.is_some() || is_new { "applied" } else { "unchanged" }, command.program)
        }
    }
}

/// Accounts for the points of a row, moved or not: those of every row are in one sum or another.
fn account_for(report: &mut Report, asked: &Asked, answer: &Answer) {
    report.expiries_ignored += u64::from(asked.is_expiry_ignored && answer.status != "rejected");
    let Some((program, amount)) = asked.amount else {
        report.unread_rows += 1;
        return;
    };
    let sums = &mut report.programs[program];
    sums.is_named = true;
    let Some(Command { wanted, .. }) = asked.command else {
        sums.unassigned_rows += 1;
        sums.unassigned += i128::from(amount);
        return;
    };
    let points = i128::from(amount.abs());
    let file = match wanted {
        Wanted::Credit(_) | Wanted::Promise(_) => &mut sums.credits,
        Wanted::Debit(_) => &mut sums.debits,
        Wanted::Set(_) => {
            sums.set_rows += 1;
            sums.set += points;
            return;
        }
    };
    file.in_file += points;
    match answer.status {
        "rejected" => file.rejected += points,
        "unchanged" if answer.is_known => file.unchanged += points,
        _ => {
            let moved = i128::from(answer.amount.abs());
            file.applied += moved;
            file.not_taken += points - moved;
        }
    }
}
