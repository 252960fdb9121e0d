//! Expiring lots whose last day is over, and what expires when.

use std::{path::PathBuf, time::Instant};

use super::{
    Engine, balances,
    expiry_update::expiring,
    parameters::{JobSettings, Parameters},
    parameters_of,
    request::{ExpireRequest, JobRequest},
    tell::notify_of,
    view::{MonthView, ProgramView},
};
use crate::{
    clock,
    domain::{
        command::{OnOverdraft, OnRepeat, OnUnknown},
        entry::Entries,
        expiring::{Expiring, MonthSums},
        id::{JobId, ProgramId},
        job::{JobKind, JobStart, JobState, Position, Total},
        outcome::Status,
        program::Program,
        time::tz_version,
    },
    error::{Error, Result},
    job::{
        committer::{Checkpoint, Committed, GrowingReports, finish, stopped, with_committer},
        output::Output,
        progress::{Progress, Stage},
        seen::Seen,
    },
    ledger::account_book::{AccountBook, BookRules, encode_entries},
    report::{
        amount::amount_text,
        summary::{Summary, SummaryParts},
    },
    store::{
        caches, disk,
        jobs::{self, Job},
        log::Commit,
        state::{Needs, State},
    },
};

/// Accounts that are expired between two looks whether somebody wants the job to stop.
const ACCOUNTS_MAX: usize = 1 << 14;

impl Engine {
    /// Expires lots, available and promised ones, whose last day is before a date: today, if none is given. Of one program,
    /// or of all.
    ///
    /// What an unfinished job of the same command and day left is gone on with. Finds them by an index of last days. Its rows are the accounts that had such lots.
    ///
    /// # Errors
    /// `Usage` for a date that is not over yet, unless it is a dry run; `Refused` and `Stopped` as an import.
    pub fn expire(&self, job: &JobRequest, request: &ExpireRequest, progress: &Progress) -> Result<Summary> {
        let began = Instant::now();
        let _listed = self.running.list(JobKind::Expire, PathBuf::new(), progress);
        progress.set_stage(Stage::Preparing);
        let now = job.now.unwrap_or_else(clock::now);
        let settings = JobSettings::of(&self.store, now);
        let as_of = request.as_of.unwrap_or(settings.today);
        if as_of > settings.today && !job.dry_run {
            let today = settings.today;
            return Err(Error::usage(format!("points that are valid on {today} cannot be expired as of {as_of}"))
                .hint("to see what will have expired by then, add `--dry-run`; nothing was changed"));
        }
        let (program_id, program) = self.program(job.program.as_deref())?;
        let parameters = Parameters {
            layout: None,
            program: program_id,
            program_code: program.code,
            reason: job.reason.clone(),
            comment: job.comment.clone().or_else(|| self.store.settings().default_comment),
            mode: None,
            on_unknown: OnUnknown::Reject,
            on_overdraft: OnOverdraft::Reject,
            on_repeat: OnRepeat::First,
            conversion: None,
            as_of: Some(as_of),
            only_program: job.program.is_some(),
            key: None,
            phone_digits: None,
            undo: None,
            notifications: None,
            bulk: None,
            expiry: None,
            notify: notify_of(job)?,
            rejects: None,
            processed: None,
            settings,
        };
        let mut held = self.state_for_job(job.no_wait, progress)?;
        let begun = if job.dry_run { None } else { self.begun_expire(&parameters)? };
        if let Some(begun) = begun {
            let begun = self.repeated(&parameters, begun)?;
            return self.resume_expire(&begun, &mut held, began, progress);
        }
        progress.set_stage(Stage::Loading);
        let state = self.load(&mut held, &needs(&parameters))?;
        let others = state.accounts.iter().filter(|(program, _)| **program != program_id);
        let start = JobStart {
            kind: JobKind::Expire,
            now,
            tz_version: tz_version(),
            parameters: serde_json::to_value(&parameters).map_err(|error| Error::internal(error.to_string()))?,
            fingerprint: String::new(),
            balance_before: Total(state.accounts(program_id)?.total),
            other_balances_before: others.map(|(program, accounts)| (program.0, Total(accounts.total))).collect(),
            customers_before: state.customers,
            first_record: state.next_record,
            first_sequence: state.next_sequence,
            expiring_before: None,
        };
        if job.dry_run {
            // The state that a dry run changed is dropped.
            let (_, summary) =
                self.run_expire(None, &start, &parameters, Checkpoint::default(), state, began, progress)?;
            return Ok(summary);
        }
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let id = JobId(self.store.newest_job()?.0 + 1);
        let mut commit = Commit::default();
        jobs::put_start(&mut commit, id, &start)?;
        self.store.log().commit(&commit)?;
        progress.set_job(id.0);
        let (state, summary) =
            self.run_expire(Some(id), &start, &parameters, Checkpoint::default(), state, began, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    /// The unfinished job of the same command, if there is one: of the same day, as what is over later has to go too.
    fn begun_expire(&self, asked: &Parameters) -> Result<Option<Job>> {
        for job in jobs::jobs(&self.store)?.into_iter().rev() {
            if job.start.kind != JobKind::Expire || job.state() != JobState::Unfinished {
                continue;
            }
            let begun = parameters_of(&job)?;
            let what = |of: &Parameters| (of.as_of, of.only_program, of.program);
            if what(&begun) == what(asked) {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    /// Goes on with an unfinished one: what is expired has no lots that are due any more.
    pub(super) fn resume_expire(
        &self,
        job: &Job,
        held: &mut Option<State>,
        began: Instant,
        progress: &Progress,
    ) -> Result<Summary> {
        let parameters = parameters_of(job)?;
        let _listed = self.running.list(JobKind::Expire, PathBuf::new(), progress);
        progress.set_job(job.id.0);
        progress.set_stage(Stage::Loading);
        let state = self.load(held, &needs(&parameters))?;
        let checkpoint = Checkpoint::of(job.window.as_ref());
        let (state, summary) =
            self.run_expire(Some(job.id), &job.start, &parameters, checkpoint, state, began, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part that comes from somewhere else")]
    fn run_expire(
        &self,
        id: Option<JobId>,
        start: &JobStart,
        parameters: &Parameters,
        checkpoint: Checkpoint,
        mut state: State,
        began: Instant,
        progress: &Progress,
    ) -> Result<(State, Summary)> {
        progress.set_stage(Stage::Applying);
        let (elapsed_before, is_resumed) = (checkpoint.elapsed_ms, checkpoint.window > 0);
        let main = parameters.program;
        let rules =
            BookRules { on_overdraft: parameters.on_overdraft, today: parameters.settings.today, now: start.now };
        let as_of = parameters.as_of.unwrap_or(parameters.settings.today);
        let programs = needs(parameters).programs;
        let mut book = AccountBook::take(&mut state, &programs, rules)?;
        let target = self.target(id, progress, began);
        let (next_sequence, balance) = (book.next_sequence(), book.total(main));
        let mut is_stopped = false;
        let committed =
            with_committer(&target, checkpoint, GrowingReports::default(), next_sequence, balance, None, |committer| {
                let (mut entries, mut output) = (Entries::default(), Output::default());
                let mut seen = Seen::new(start.customers_before, start.customers_before, false);
                if let Some(id) = id.filter(|_| is_resumed) {
                    seen.remember_expired(&self.store, id)?;
                }
                for &program in &programs {
                    for accounts in book.due(program, as_of).chunks(ACCOUNTS_MAX) {
                        if progress.is_stopped() {
                            is_stopped = true;
                            return Ok(());
                        }
                        output.clear();
                        entries.clear();
                        let first = book.next_sequence();
                        for &customer in accounts {
                            let expired = book.expire(program, customer, as_of, 0, &mut entries);
                            output.counts.points_of(program, main).expire(expired);
                            seen.name(customer, &mut output.counts);
                            output.counts.outcome(Status::Applied);
                        }
                        encode_entries(first, id.unwrap_or(JobId(0)), start.now, &entries, &mut output);
                        output.position = Position::default();
                        output.next_sequence = book.next_sequence();
                        output.balance_after = book.total(main);
                        committer.take(&mut output)?;
                    }
                }
                Ok(())
            });
        let committed = match (committed, id) {
            (Err(error), Some(id)) => return Err(error.of_job(id)),
            (committed, _) => committed?,
        };
        if is_stopped {
            return Err(stopped(id));
        }
        book.give_back(&mut state);
        let elapsed_ms = elapsed_before + (self.opening + began.elapsed()).as_millis() as u64;
        if let Some(id) = id {
            finish(&target, id, &committed, elapsed_ms).map_err(|error| error.of_job(id))?;
            progress.set_stage(Stage::Finishing);
            self.pool
                .install(|| caches::write_behind(&self.store, &mut state, self.options.cache_lag_entries_min))
                .map_err(|error| error.of_job(id))?;
        }
        progress.set_stage(Stage::Done);
        Ok((state, self.expire_summary(id, start, parameters, &committed, elapsed_ms)?))
    }

    fn expire_summary(
        &self,
        job: Option<JobId>,
        start: &JobStart,
        parameters: &Parameters,
        committed: &Committed,
        elapsed_ms: u64,
    ) -> Result<Summary> {
        let mut summary = Summary::new(SummaryParts {
            job,
            kind: JobKind::Expire,
            state: JobState::Finished,
            format: None,
            counts: &committed.checkpoint.counts,
            balance: balances(start.balance_before, committed.balance_after),
            program: (parameters.program_code.clone(), self.store.program(&parameters.program_code)?.1.decimals),
            others: self.named(&start.other_balances_before),
            elapsed_ms,
            bytes_read: 0,
        });
        summary.reason.clone_from(&parameters.reason);
        Ok(summary)
    }

    /// A program and the points in it, as of today: balances, promised points, what expires in which month. Waits for no job.
    ///
    /// # Errors
    /// `NotFound`; when the caches or the log are damaged.
    pub fn program_view(&self, code: &str) -> Result<ProgramView> {
        let (id, program) = self.store.program(code)?;
        let needs = Needs { programs: vec![id], ..Needs::default() };
        // What the last job left in memory serves best; while one runs, it is what is committed.
        if let Ok(mut held) = self.state.try_lock() {
            let state = self.load(&mut held, &needs)?;
            let view = self.program_in(&state, id, program);
            *held = Some(state);
            return view;
        }
        let view = self.store.view()?;
        let state = self.readers.install(|| State::load(&view, &needs))?;
        drop(view);
        self.program_in(&state, id, program)
    }

    fn program_in(&self, state: &State, id: ProgramId, program: Program) -> Result<ProgramView> {
        let today = self.today(None);
        let accounts = state.accounts(id)?;
        let text = |amount: i128| amount_text(amount, program.decimals);
        let Expiring { months, permanent, overdue } = expiring(state, id, today)?;
        let overdue = (overdue.available.0, overdue.promised.0);
        let balance = accounts.total - overdue.0;
        let month = |(month, sums): (String, MonthSums)| MonthView {
            month,
            available: text(sums.available.0),
            promised: text(sums.promised.0),
        };
        Ok(ProgramView {
            accounts: accounts.list.iter().filter(|account| account.newest().0 > 0).count() as u64,
            balance: text(balance),
            promised: text(accounts.lots.promised_total() - overdue.1),
            expiring: months.into_iter().map(month).collect(),
            permanent: text(permanent.0),
            overdue: text(overdue.0 + overdue.1),
            code: program.code,
            name: program.name,
            decimals: program.decimals,
            currency: program.currency,
        })
    }
}

/// The programs whose lots a job expires.
fn needs(parameters: &Parameters) -> Needs {
    let programs = if parameters.only_program {
        vec![parameters.program]
    } else {
        (0..parameters.settings.programs).map(ProgramId).collect()
    };
    Needs { programs, ..Needs::default() }
}
