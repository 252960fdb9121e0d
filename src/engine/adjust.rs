//! One customer's adjustment: the rules of a one-row import.
//!
//! Adjustments wait in a queue for whoever has the store's state: a job that runs takes them in between two chunks of its
//! rows and commits them with its window (`LiveDesk`); else the first of those who wait takes the state, applies all that
//! wait, and commits them together. So one sees all rows applied before it, and returns when they and it are durable.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{
    Engine,
    parameters::{JobSettings, Parameters},
    request::{AdjustRequest, JobRequest, PointsExpiry},
    view::AdjustView,
};
use crate::{
    clock,
    domain::{
        apply::Effect,
        command::{LotTerms, OnRepeat, OnUnknown, Operation, ResolvedCommand},
        entry::{DetailAt, Entries},
        id::{CustomerId, JobId, ProgramId},
        identifier::{IdentifierKind, normalize},
        job::{Counts, JobKind, JobStart, JobState, PointsCounts, Position, Total, WindowRecord},
        message::Notify,
        outcome::Status,
        points::{AmountProblem, NumberStyle, parse_amount},
        program::Program,
        rejection::Rejection,
        time::{Date, tz_version},
    },
    error::{Error, Result},
    import::{
        customers::CustomersApplier,
        points::PointsApplier,
        rows::{Faults, owner_fault, quoted},
    },
    job::{live::LiveCommit, output::Output},
    ledger::account_book::{AccountBook, BookRules, encode_entries},
    report::amount::amount_text,
    store::{
        caches, cold, disk,
        identifiers::{IdentifierHash, IdentifierTable},
        lock,
        log::Commit,
        state::{Needs, State},
    },
};

/// How long whoever waits lets pass before looking whether the job that had the state has ended. A job answers by itself;
/// this is only how late its end is noticed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An adjustment whose form is good.
struct Prepared {
    program_id: ProgramId,
    program: Program,
    /// As they were given, for messages.
    given: Vec<(IdentifierKind, String)>,
    normalized: Vec<(IdentifierKind, String)>,
    hashes: Vec<IdentifierHash>,
    command: ResolvedCommand,
    rules: BookRules,
    parameters: Parameters,
    dry_run: bool,
    /// Whether a job that cannot take it in refuses it, instead of letting it wait.
    no_wait: bool,
}

/// An adjustment that waits to be applied.
pub(super) struct Waiting {
    prepared: Prepared,
    /// Whose the identifiers are, by what is committed.
    owners: Vec<Option<CustomerId>>,
    /// Whether the job that runs cannot take it in: it lacks the program, or it is a dry run.
    is_late: bool,
    reply: Sender<Result<AdjustView>>,
}

/// The adjustments that wait.
#[derive(Default)]
pub(super) struct AdjustQueue {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Whether a job runs that takes them in.
    is_served: AtomicBool,
}

impl AdjustQueue {
    fn push(&self, waiting: Waiting) {
        lock(&self.waiting).push_back(waiting);
    }

    /// Takes out what a job can take in, or everything.
    fn take(&self, with_late: bool) -> Vec<Waiting> {
        self.take_if(|waiting| with_late || !waiting.is_late)
    }

    fn take_if(&self, is_wanted: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let mut queue = lock(&self.waiting);
        let (taken, left) = queue.drain(..).partition(is_wanted);
        *queue = left;
        Vec::from(taken)
    }

    fn is_empty(&self) -> bool {
        lock(&self.waiting).is_empty()
    }

    fn is_served(&self) -> bool {
        self.is_served.load(Relaxed)
    }
}

impl Engine {
    /// Adjusts one customer's balance; durable when it returns, also while a job runs. A refusal is an outcome, not an
    /// error, and records no job.
    ///
    /// # Errors
    /// `Usage` when no identifier is given; `NotFound` for the program; `Refused` with `no_wait` when the job that runs cannot
    /// take it in; `Storage` and `Corrupt` as they say. After `adjustment_unknown` it is not known whether it was applied: the
    /// customer's history tells.
    pub fn adjust(&self, job: &JobRequest, request: &AdjustRequest) -> Result<AdjustView> {
        let prepared = match self.prepared(job, request)? {
            Ok(prepared) => prepared,
            Err(refused) => return Ok(*refused),
        };
        let (reply, answer) = bounded(1);
        match self.state.try_lock() {
            Ok(mut held) => {
                // The state stays ours until it is applied: a job that began in between would look for the customer in a
                // table that may not have the kind of identifier.
                self.adjustments.push(Waiting { is_late: false, prepared, owners: Vec::new(), reply });
                self.adjust_waiting(&mut held);
            }
            Err(_) => {
                let is_taken_in = self.adjustments.is_served() && !prepared.dry_run;
                if prepared.no_wait && !is_taken_in && !self.running().is_empty() {
                    return Err(refused("a job is running that cannot take it in"));
                }
                // Only a job that runs goes by these, and only for kinds of identifiers that its file does not have.
                let owners = self.settled(|| {
                    let find = |(kind, value): &(IdentifierKind, String)| cold::find(&self.store, *kind, value);
                    prepared.normalized.iter().map(find).map(|found| Ok(found?.map(|(id, _)| id))).collect()
                })?;
                self.adjustments.push(Waiting { is_late: prepared.dry_run, prepared, owners, reply });
            }
        }
        self.answered(&answer)
    }

    fn answered(&self, answer: &Receiver<Result<AdjustView>>) -> Result<AdjustView> {
        let lost = || {
            Error::new(
                crate::error::ErrorKind::Storage,
                "adjustment_unknown",
                "the commit that the adjustment was part of failed, so it is not known whether it was applied",
            )
            .hint("look at the customer's history before you repeat it")
        };
        loop {
            match self.state.try_lock() {
                Ok(mut held) => self.adjust_waiting(&mut held),
                Err(std::sync::TryLockError::Poisoned(held)) => self.adjust_waiting(&mut held.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) => {}
            }
            match answer.recv_timeout(LOOK_AGAIN) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(lost()),
            }
        }
    }

    /// Applies those that wait for what a job has left in memory, before it goes on to write its caches: whoever came while
    /// its last rows became durable waits no longer.
    ///
    /// # Errors
    /// When they cannot be committed. The state is then gone.
    pub(super) fn adjust_between(&self, state: State) -> Result<State> {
        let has = |prepared: &Prepared| {
            let has_kinds = prepared.normalized.iter().all(|(kind, _)| state.kinds.contains(kind));
            has_kinds && state.accounts.contains_key(&prepared.program_id)
        };
        let waiting = self.adjustments.take_if(|waiting| has(&waiting.prepared));
        if waiting.is_empty() {
            return Ok(state);
        }
        let mut held = Some(state);
        self.adjust_together(waiting, &mut held)?;
        held.ok_or_else(|| Error::internal("adjustments lost the state"))
    }

    /// Applies all that wait, and commits them together.
    fn adjust_waiting(&self, held: &mut Option<State>) {
        let waiting = self.adjustments.take(true);
        if !waiting.is_empty() {
            // Each is told what became of it, errors too.
            let _ = self.adjust_together(waiting, held);
        }
    }

    fn adjust_together(&self, waiting: Vec<Waiting>, held: &mut Option<State>) -> Result<()> {
        let replies: Vec<_> = waiting.iter().map(|waiting| waiting.reply.clone()).collect();
        let result = self.adjust_all(waiting, held);
        if let Err(error) = &result {
            replies.iter().for_each(|reply| drop(reply.try_send(Err(error.clone()))));
        }
        result
    }

    fn adjust_all(&self, waiting: Vec<Waiting>, held: &mut Option<State>) -> Result<()> {
        let mut needs = Needs::default();
        for Waiting { prepared, .. } in &waiting {
            needs.kinds.extend(prepared.normalized.iter().map(|(kind, _)| *kind));
            needs.programs.push(prepared.program_id);
        }
        needs.kinds.sort_unstable_by_key(|kind| *kind as u8);
        needs.kinds.dedup();
        needs.programs.sort_unstable();
        needs.programs.dedup();
        let mut state = self.load(held, &needs)?;
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let first_rules = waiting.first().map(|waiting| waiting.prepared.rules);
        let Some(rules) = first_rules else { return Ok(()) };
        let mut book = AccountBook::take(&mut state, &needs.programs, rules)?;
        let mut next_job = self.store.newest_job()?.0 + 1;
        let mut commits = Vec::new();
        for Waiting { prepared, reply, .. } in waiting {
            let found = owner(prepared.hashes.iter().map(|hash| state.identifiers.get(*hash)));
            let place = Place { job: JobId(next_job), customers: state.customers, next_record: state.next_record };
            let entered = prepared.enter(found, &mut book, place, reply);
            next_job += u32::from(entered.is_some());
            commits.extend(entered);
        }
        book.give_back(&mut state);
        if !commits.is_empty() {
            let mut commit = Commit::default();
            commits.iter().for_each(|adjustment| adjustment.put_pages(&mut commit));
            commits.iter().try_for_each(|adjustment| adjustment.put_records(&mut commit))?;
            self.store.log().commit(&commit)?;
            commits.into_iter().for_each(|adjustment| (adjustment.done)());
            caches::write_behind(&self.store, &mut state, self.options.cache_lag_entries_min)?;
        }
        *held = Some(state);
        Ok(())
    }

    /// An adjustment whose form is good; else its refusal, as an import of one row would have it.
    fn prepared(
        &self,
        job: &JobRequest,
        request: &AdjustRequest,
    ) -> Result<std::result::Result<Prepared, Box<AdjustView>>> {
        let (program_id, program) = self.program(job.program.as_deref())?;
        if request.identifiers.is_empty() {
            return Err(Error::usage("say whose balance it is").hint("for example `--email ana@example.com`"));
        }
        let settings = self.store.settings();
        let now = job.now.unwrap_or_else(clock::now);
        let job_settings = JobSettings::of(&self.store, now);
        let mut faults = Faults::default();
        let (mut hashes, mut normalized) = (Vec::new(), Vec::new());
        for (kind, value) in &request.identifiers {
            let (name, mut bytes) = (kind.name(), Vec::new());
            match normalize(*kind, value, job_settings.region, false, &mut bytes) {
                Ok(()) => {
                    hashes.push(IdentifierHash::of(settings.seed, *kind, &bytes));
                    normalized.push((*kind, String::from_utf8_lossy(&bytes).into_owned()));
                }
                Err(problem) => {
                    faults.add(Rejection::IdentifierInvalid, name, format!("{name} {} {problem}", quoted(value)));
                }
            }
        }
        let command = command(request, program.decimals);
        if let Err((rejection, message)) = &command {
            faults.add(*rejection, "amount", message.clone());
        }
        let expires_on = match last_day(request, job_settings.today) {
            Ok(day) => day,
            Err(message) => {
                faults.add(Rejection::ExpiryInvalid, "expires_on", message);
                None
            }
        };
        if let Some(fault) = faults.first() {
            return Ok(Err(Box::new(AdjustView {
                job: None,
                status: Status::Rejected,
                code: Some(fault.rejection),
                message: Some(fault.message),
                amount: amount_text(0, program.decimals),
                balance: None,
            })));
        }
        let Ok(command) = command else { return Err(Error::internal("a refused adjustment has no fault")) };
        if expires_on.is_some() && command.operation == Operation::Debit {
            return Err(Error::usage("points that are taken have no last day: leave it out, or add points"));
        }
        Ok(Ok(Prepared {
            program_id,
            command: ResolvedCommand { terms: LotTerms { expires_on, ..LotTerms::default() }, ..command },
            given: request.identifiers.clone(),
            normalized,
            hashes,
            rules: BookRules { on_overdraft: request.on_overdraft, today: job_settings.today, now },
            parameters: Parameters {
                layout: None,
                program: program_id,
                program_code: program.code.clone(),
                reason: job.reason.clone(),
                comment: job.comment.clone().or_else(|| settings.default_comment.clone()),
                settings: job_settings,
                mode: None,
                on_unknown: OnUnknown::Reject,
                on_overdraft: request.on_overdraft,
                on_repeat: OnRepeat::First,
                conversion: None,
                as_of: None,
                only_program: false,
                key: None,
                phone_digits: None,
                undo: None,
                notifications: None,
                bulk: None,
                expiry: None,
                notify: Notify::default(),
                rejects: None,
                processed: None,
            },
            program,
            dry_run: job.dry_run,
            no_wait: job.no_wait,
        }))
    }
}

/// Where an adjustment stands among the store's jobs and customers.
#[derive(Clone, Copy)]
struct Place {
    job: JobId,
    customers: u32,
    next_record: u64,
}

impl Prepared {
    /// Applies it to the book. Whoever waits is told at once what is refused or changes nothing on purpose, and by the commit
    /// that is returned what is not.
    fn enter(
        self,
        owner: std::result::Result<Option<CustomerId>, Rejection>,
        book: &mut AccountBook,
        place: Place,
        reply: Sender<Result<AdjustView>>,
    ) -> Option<LiveCommit> {
        match self.entered(owner, book, place) {
            Ok((view, Some(mut commit))) => {
                commit.done = Box::new(move || drop(reply.try_send(Ok(view))));
                Some(commit)
            }
            Ok((view, None)) => {
                let _ = reply.try_send(Ok(view));
                None
            }
            Err(error) => {
                let _ = reply.try_send(Err(error));
                None
            }
        }
    }

    fn entered(
        self,
        owner: std::result::Result<Option<CustomerId>, Rejection>,
        book: &mut AccountBook,
        place: Place,
    ) -> Result<(AdjustView, Option<LiveCommit>)> {
        let decimals = self.program.decimals;
        let text = |amount: i64| amount_text(i128::from(amount), decimals);
        let refused = |rejection, message, balance: Option<i64>| AdjustView {
            job: None,
            status: Status::Rejected,
            code: Some(rejection),
            message: Some(message),
            amount: text(0),
            balance: balance.map(text),
        };
        let (program, command) = (self.program_id, self.command);
        let customer = match owner.and_then(|owner| owner.ok_or(Rejection::IdentifierUnknown)) {
            Ok(customer) => customer,
            Err(rejection) => {
                let fault = owner_fault(rejection, &self.given);
                let message = fault.map_or_else(|| rejection.code().replace('_', " "), |fault| fault.message);
                return Ok((refused(rejection, message, None), None));
            }
        };
        let rules = book.set_rules(self.rules);
        let (before, first) = (book.total(program), book.next_sequence());
        let balance = book.balance(program, customer);
        let effect = book.effect(program, customer, command);
        let mut entries = Entries::default();
        let applied = match effect {
            Effect::Rejected(_) => None,
            _ if self.dry_run => None,
            _ => Some(book.apply(program, customer, command, 0, DetailAt::NONE, &mut entries)),
        };
        book.set_rules(rules);
        let effect = applied.map_or(effect, |applied| applied.effect);
        let (status, moved, balance_after, not_taken) = match effect {
            Effect::Entry { amount, balance_after, not_taken, .. } => {
                (Status::Applied, amount, balance_after, not_taken)
            }
            Effect::Unchanged { not_taken } => (Status::Unchanged, 0, balance, not_taken),
            Effect::Rejected(rejection) => {
                let message = match rejection {
                    Rejection::InsufficientBalance => {
                        format!("the balance of {} does not cover {}", text(balance), text(command.amount))
                    }
                    _ => format!("the balance of {} cannot take in {}", text(balance), text(command.amount)),
                };
                return Ok((refused(rejection, message, Some(balance)), None));
            }
        };
        let view = AdjustView {
            job: Some(place.job).filter(|_| !self.dry_run),
            status,
            code: None,
            message: (not_taken != 0).then(|| format!("took what was there: {} not taken", text(not_taken))),
            amount: text(moved),
            balance: Some(text(balance_after)),
        };
        let Some(applied) = applied else { return Ok((view, None)) };
        let parameters = serde_json::to_value(&self.parameters).map_err(|error| Error::internal(error.to_string()))?;
        let start = JobStart {
            kind: JobKind::Adjust,
            now: self.rules.now,
            tz_version: tz_version(),
            parameters,
            fingerprint: String::new(),
            balance_before: Total(before),
            other_balances_before: Default::default(),
            customers_before: place.customers,
            first_record: place.next_record,
            first_sequence: first,
            expiring_before: None,
        };
        let mut counts = Counts { customers_matched: 1, points: points_of(command, effect), ..Counts::default() };
        counts.points.expire(applied.expired);
        counts.outcome(status);
        let mut pages = Output::default();
        encode_entries(first, place.job, self.rules.now, &entries, &mut pages);
        let record = WindowRecord {
            state: JobState::Finished,
            counts,
            position: Position::default(),
            processed_bytes: 0,
            notified_bytes: 0,
            bytes_read: 0,
            balance_after: Total(book.total(program)),
            elapsed_ms: 0,
            sequences: (first, book.next_sequence()),
            expiring_after: None,
        };
        Ok((view, Some(LiveCommit { job: place.job, start, pages, record, done: Box::new(|| {}) })))
    }
}

/// What an adjustment's points did, and where they went.
fn points_of(command: ResolvedCommand, effect: Effect) -> PointsCounts {
    let mut points = PointsCounts::default();
    let not_taken = match effect {
        Effect::Entry { kind, amount, not_taken, .. } => {
            points.moved(kind, amount);
            not_taken
        }
        Effect::Unchanged { not_taken } => not_taken,
        Effect::Rejected(_) => 0,
    };
    let account = match command.operation {
        Operation::Credit | Operation::Promise => &mut points.credits,
        Operation::Debit => &mut points.debits,
        Operation::Set => {
            points.set_rows += 1;
            points.set += command.amount;
            return points;
        }
    };
    account.in_file += command.amount;
    account.not_taken += not_taken;
    account.applied += command.amount - not_taken;
    points
}

/// Where a job that runs takes adjustments in.
pub(super) struct LiveDesk<'a> {
    engine: &'a Engine,
    next_job: u32,
    /// The kinds of identifiers that the job's table holds all of.
    kinds: Vec<IdentifierKind>,
}

impl<'a> LiveDesk<'a> {
    /// The desk of a job, behind whose number others follow.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open(engine: &'a Engine, kinds: &[IdentifierKind]) -> Result<LiveDesk<'a>> {
        let next_job = engine.store.newest_job()?.0 + 1;
        engine.adjustments.is_served.store(true, Relaxed);
        Ok(LiveDesk { engine, next_job, kinds: kinds.to_vec() })
    }

    /// Applies what waits before the next rows of a points file.
    pub fn serve(&mut self, table: &RwLock<IdentifierTable>, applier: &mut PointsApplier<'_, '_>) -> Vec<LiveCommit> {
        if self.engine.adjustments.is_empty() {
            return Vec::new();
        }
        let table = table.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (customers, next_record) = applier.ends();
        self.serve_from(&table, customers, next_record, applier.book())
    }

    /// The same for a customer file.
    pub fn serve_customers(&mut self, applier: &mut CustomersApplier<'_>) -> Vec<LiveCommit> {
        if self.engine.adjustments.is_empty() {
            return Vec::new();
        }
        let (customers, next_record) = applier.ends();
        let (table, book) = applier.table_and_book();
        self.serve_from(table, customers, next_record, book)
    }

    /// The same for a job that has a book and no identifiers.
    pub fn serve_book(
        &mut self,
        table: &IdentifierTable,
        customers: u32,
        next_record: u64,
        book: &mut AccountBook,
    ) -> Vec<LiveCommit> {
        if self.engine.adjustments.is_empty() {
            return Vec::new();
        }
        self.serve_from(table, customers, next_record, book)
    }

    fn serve_from(
        &mut self,
        table: &IdentifierTable,
        customers: u32,
        next_record: u64,
        book: &mut AccountBook,
    ) -> Vec<LiveCommit> {
        let mut commits = Vec::new();
        for mut waiting in self.engine.adjustments.take(false) {
            if !book.has(waiting.prepared.program_id) {
                if waiting.prepared.no_wait {
                    let _ = waiting.reply.try_send(Err(refused("a job is running that does not have this program")));
                } else {
                    waiting.is_late = true;
                    self.engine.adjustments.push(waiting);
                }
                continue;
            }
            let Waiting { prepared, owners, reply, .. } = waiting;
            let find =
                |((hash, (kind, _)), known): ((&IdentifierHash, &(IdentifierKind, String)), &Option<CustomerId>)| {
                    let found = table.get(*hash);
                    if self.kinds.contains(kind) { found } else { found.or(*known) }
                };
            let found = owner(prepared.hashes.iter().zip(&prepared.normalized).zip(&owners).map(find));
            let entered =
                prepared.enter(found, book, Place { job: JobId(self.next_job), customers, next_record }, reply);
            self.next_job += u32::from(entered.is_some());
            commits.extend(entered);
        }
        commits
    }
}

impl Drop for LiveDesk<'_> {
    fn drop(&mut self) {
        self.engine.adjustments.is_served.store(false, Relaxed);
    }
}

/// The error of an adjustment that shall not wait.
fn refused(why: &str) -> Error {
    Error::refused("job_running", why).hint("nothing was changed; wait for the job, or leave `--no-wait` out")
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
            Some(amount) => Ok(ResolvedCommand::plain(Operation::Debit, amount)),
            None => Err((Rejection::AmountRange, format!("amount {shown} does not fit"))),
        },
        Operation::Debit | Operation::Promise if amount < 0 => {
            Err(negative("the operation says whether points are added or taken"))
        }
        Operation::Set if amount < 0 => Err(negative("a balance cannot be set to it")),
        operation => Ok(ResolvedCommand::plain(operation, amount)),
    }
}

/// The last day that the request asks for.
fn last_day(request: &AdjustRequest, today: Date) -> std::result::Result<Option<Date>, String> {
    match request.expiry {
        None => Ok(None),
        Some(PointsExpiry::On(day)) if day < today => Err(format!("the last day {day} is over, today is {today}")),
        Some(PointsExpiry::On(day)) => Ok(Some(day)),
        Some(PointsExpiry::InDays(0)) => Err("points are valid for at least one day".to_owned()),
        Some(PointsExpiry::InDays(days)) => {
            let day = i32::try_from(days).ok().and_then(|days| today.add_days(days));
            day.map(Some).ok_or_else(|| format!("{days} days reach beyond the year 9999"))
        }
    }
}

/// The customer whom all known identifiers name.
fn owner(found: impl Iterator<Item = Option<CustomerId>>) -> std::result::Result<Option<CustomerId>, Rejection> {
    let mut owner = None;
    for found in found.flatten() {
        match owner {
            Some(other) if other != found => return Err(Rejection::IdentifierConflict),
            _ => owner = Some(found),
        }
    }
    Ok(owner)
}
