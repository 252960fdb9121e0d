//! One customer's adjustment: the rules of a one-row import.

use super::{
    Engine,
    parameters::{JobSettings, Parameters},
    request::{AdjustRequest, JobRequest},
    view::AdjustView,
};
use crate::{
    clock,
    domain::{
        apply::Effect,
        command::{OnRepeat, OnUnknown, Operation, ResolvedCommand},
        id::{CustomerId, JobId},
        identifier::normalize,
        job::{Counts, JobKind, JobStart, JobState, Position, Total, WindowRecord},
        outcome::Status,
        phone::Region,
        points::{AmountProblem, NumberStyle, parse_amount},
        rejection::Rejection,
        time::tz_version,
    },
    error::{Error, Result},
    import::rows::{Faults, owner_fault, quoted},
    job::{output::Output, progress::Progress},
    ledger::account_book::{AccountBook, encode_entries},
    report::amount::amount_text,
    store::{
        caches, disk,
        identifiers::IdentifierHash,
        jobs,
        log::Commit,
        state::{Needs, State},
    },
};

impl Engine {
    /// Adjusts one customer's balance; durable when it returns. A refusal is an outcome, not an error, and records no job.
    ///
    /// # Errors
    /// `Usage` when no identifier is given; `NotFound` for the program; `Storage` and `Corrupt` as they say.
    pub fn adjust(&self, job: &JobRequest, request: &AdjustRequest) -> Result<AdjustView> {
        let (program_id, program) = self.program(job.program.as_deref())?;
        if request.identifiers.is_empty() {
            return Err(Error::usage("say whose balance it is").hint("for example `--email ana@example.com`"));
        }
        let settings = self.store.settings();
        let region = settings.default_region.as_deref().and_then(Region::new);
        let text = |amount: i64| amount_text(i128::from(amount), program.decimals);
        let refused = |rejection, message: String, balance: Option<i64>| AdjustView {
            job: None,
            status: Status::Rejected,
            code: Some(rejection),
            message: Some(message),
            amount: text(0),
            balance: balance.map(text),
        };
        let mut faults = Faults::default();
        let mut hashes = Vec::new();
        let mut normalized = Vec::new();
        for (kind, value) in &request.identifiers {
            let name = kind.name();
            match normalize(*kind, value, region, false, &mut normalized) {
                Ok(()) => hashes.push(IdentifierHash::of(settings.seed, *kind, &normalized)),
                Err(problem) => {
                    faults.add(Rejection::IdentifierInvalid, name, format!("{name} {} {problem}", quoted(value)));
                }
            }
        }
        let command = match command(request, program.decimals) {
            Ok(command) if hashes.len() == request.identifiers.len() => command,
            read => {
                if let Err((rejection, message)) = read {
                    faults.add(rejection, "amount", message);
                }
                let fault = faults.first().ok_or_else(|| Error::internal("a refused adjustment has no fault"))?;
                return Ok(refused(fault.rejection, fault.message, None));
            }
        };
        let kinds = request.identifiers.iter().map(|(kind, _)| *kind).collect();
        let mut held = self.state_for_job(job.no_wait, &Progress::default())?;
        let mut state = self.load(&mut held, &Needs { kinds, profiles: false, programs: vec![program_id] })?;
        let owned = owner(&state, &hashes).and_then(|owner| owner.ok_or(Rejection::IdentifierUnknown));
        let customer = match owned {
            Ok(customer) => customer,
            Err(rejection) => {
                *held = Some(state);
                let fault = owner_fault(rejection, &request.identifiers);
                let message = fault.map_or_else(|| rejection.code().replace('_', " "), |fault| fault.message);
                return Ok(refused(rejection, message, None));
            }
        };
        let before = state.accounts(program_id)?.total;
        let mut book = AccountBook::take(&mut state, program_id, request.on_overdraft)?;
        let first = book.next_sequence();
        let mut entries = Vec::new();
        let balance = book.balance(customer);
        let (status, moved, not_taken) = match book.effect(customer, command) {
            Effect::Entry { amount, not_taken, .. } => (Status::Applied, amount, not_taken),
            Effect::Unchanged { not_taken } => (Status::Unchanged, 0, not_taken),
            Effect::Rejected(rejection) => {
                let message = match rejection {
                    Rejection::InsufficientBalance => {
                        format!("the balance of {} does not cover {}", text(balance), text(command.amount))
                    }
                    _ => format!("the balance of {} cannot take in {}", text(balance), text(command.amount)),
                };
                book.give_back(&mut state);
                *held = Some(state);
                return Ok(refused(rejection, message, Some(balance)));
            }
        };
        let message = (not_taken != 0).then(|| format!("took what was there: {} not taken", text(not_taken)));
        let view = |job| AdjustView {
            job,
            status,
            code: None,
            message,
            amount: text(moved),
            balance: Some(text(balance + moved)),
        };
        if job.dry_run {
            book.give_back(&mut state);
            *held = Some(state);
            return Ok(view(None));
        }
        book.apply(customer, command, 0, &mut entries);
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let id = JobId(self.store.newest_job()?.0 + 1);
        let now = job.now.unwrap_or_else(clock::now);
        let parameters = Parameters {
            layout: None,
            program: program_id,
            program_code: program.code.clone(),
            reason: job.reason.clone(),
            comment: job.comment.clone().or_else(|| settings.default_comment.clone()),
            settings: JobSettings::of(&settings, now),
            mode: None,
            on_unknown: OnUnknown::Reject,
            on_overdraft: request.on_overdraft,
            on_repeat: OnRepeat::First,
            conversion: None,
            rejects: None,
            processed: None,
        };
        let start = JobStart {
            kind: JobKind::Adjust,
            now,
            tz_version: tz_version(),
            parameters: serde_json::to_value(&parameters).map_err(|error| Error::internal(error.to_string()))?,
            fingerprint: String::new(),
            balance_before: Total(before),
            customers_before: state.customers,
            first_record: state.next_record,
            first_sequence: first,
        };
        let mut output = Output::default();
        encode_entries(first, id, now, &entries, &mut output);
        let mut counts = Counts { customers_matched: 1, ..Counts::default() };
        counts.outcome(status);
        if moved >= 0 {
            counts.credited += moved
        } else {
            counts.debited.0 -= i128::from(moved)
        }
        let account = match command.operation {
            Operation::Credit => Some(&mut counts.credits),
            Operation::Debit => Some(&mut counts.debits),
            Operation::Set => None,
        };
        match account {
            Some(account) => {
                account.in_file += command.amount;
                account.not_taken += not_taken;
                account.applied += command.amount - not_taken;
            }
            None => {
                counts.set_rows += 1;
                counts.set += command.amount;
            }
        }
        let record = WindowRecord {
            state: JobState::Finished,
            counts,
            position: Position::default(),
            processed_bytes: 0,
            bytes_read: 0,
            balance_after: Total(book.total()),
            elapsed_ms: 0,
            sequences: (first, book.next_sequence()),
        };
        let mut commit = Commit::default();
        jobs::put_start(&mut commit, id, &start)?;
        for (key, place) in &output.keys {
            commit.put(*key, &output.pages[place.clone()]);
        }
        jobs::put_window(&mut commit, id, 1, &record, &[], &[], &[])?;
        self.store.log().commit(&commit).map_err(|error| error.of_job(id))?;
        book.give_back(&mut state);
        caches::write_behind(&self.store, &mut state, self.options.cache_lag_entries_min)?;
        *held = Some(state);
        Ok(view(Some(id)))
    }
}

/// What the request asks for; else the row's code and message, as an import of one row would have them. A credit of a
/// negative amount is a debit.
fn command(request: &AdjustRequest, decimals: u8) -> std::result::Result<ResolvedCommand, (Rejection, String)> {
    let shown = quoted(&request.amount);
    let amount = parse_amount(&request.amount, decimals, NumberStyle::PLAIN).map_err(|problem| {
        let message = match problem {
            AmountProblem::Missing => "amount is empty".to_owned(),
            // An import would name its flags for other number formats; here the amount can just be written otherwise.
            AmountProblem::Invalid(_) => {
                format!("amount {shown} {}: write it in digits, as in `1250` or `12.50`", problem.complaint())
            }
            AmountProblem::Precision | AmountProblem::Inexact | AmountProblem::Range => {
                format!("amount {shown} {}", problem.message())
            }
        };
        (problem.rejection(), message)
    })?;
    let negative = |why: &str| (Rejection::AmountInvalid, format!("amount {shown} is negative: {why}"));
    match request.operation {
        Operation::Credit if amount < 0 => match amount.checked_neg() {
            Some(amount) => Ok(ResolvedCommand { operation: Operation::Debit, amount }),
            None => Err((Rejection::AmountRange, format!("amount {shown} does not fit"))),
        },
        Operation::Debit if amount < 0 => Err(negative("the operation says whether points are added or taken")),
        Operation::Set if amount < 0 => Err(negative("a balance cannot be set to it")),
        operation => Ok(ResolvedCommand { operation, amount }),
    }
}

/// The customer whom all known identifiers name.
fn owner(state: &State, hashes: &[IdentifierHash]) -> std::result::Result<Option<CustomerId>, Rejection> {
    let mut owner = None;
    for hash in hashes {
        match (owner, state.identifiers.get(*hash)) {
            (None, found) => owner = found,
            (Some(one), Some(other)) if one != other => return Err(Rejection::IdentifierConflict),
            _ => {}
        }
    }
    Ok(owner)
}
