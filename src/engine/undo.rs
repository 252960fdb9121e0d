//! Undoing a job: what it did to points is taken back, customer by customer, by entries of its own.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use rayon::prelude::*;

use super::{
    Engine, balances,
    parameters::{JobSettings, Parameters},
    parameters_of, reports,
    request::{JobRequest, ResumeRequest, UndoRequest},
    tell::notify_of,
};
use crate::{
    clock,
    domain::{
        command::OnOverdraft,
        entry::{Entries, EntryKind},
        id::{CustomerId, JobId, ProgramId},
        job::{Counts, JobKind, JobStart, JobState, Position, Total},
        outcome::Status,
        time::tz_version,
        undo::{self, Missing, OnSpent, UndoReason, UndoRules, UndoStatus},
    },
    error::{Error, Result},
    import::format::ColumnField,
    job::{
        committer::{Checkpoint, Committed, GrowingReports, finish, stopped, with_committer},
        growing_file::GrowingFile,
        output::Output,
        pipeline,
        progress::{Progress, Stage},
    },
    ledger::account_book::{AccountBook, BookRules, encode_entries},
    report::summary::{Cost, Summary, SummaryParts, UndoSums},
    store::{
        caches, disk,
        jobs::{self, Job},
        log::Commit,
        row_keys,
        state::{Needs, Profiles, State},
    },
};
use events::{Events, Pass, Record, account_end};
use lines::{Cells, Identities, Line};

mod events;
mod lines;

/// Entries of a batch at most, but for what is needed to end with a customer. A window has whole batches.
const BATCH_MAX: u64 = 1 << 13;

/// What a batch of customers has on its way.
#[derive(Default)]
struct Batch {
    /// Bounds of its records.
    range: (usize, usize),
    first: u64,
    entries: Entries,
    lines: Vec<Line>,
    cells: Cells,
    output: Output,
}

/// An undo that runs.
struct Undo<'a> {
    /// The job to take back.
    undone: &'a Job,
    /// Its own number; none in a dry run.
    id: Option<JobId>,
    start: &'a JobStart,
    parameters: &'a Parameters,
    rules: UndoRules,
    programs: Vec<ProgramId>,
}

impl Engine {
    /// Takes an earlier job back: what it added goes, what it took comes back into the lots that it was taken of, and what it
    /// expired, where that is not over. Customers and attributes that it imported stay.
    ///
    /// Each account is undone alone, newest entry first, by entries of the kinds `reversal` and `promise_reversal`. What cannot
    /// be taken or put back is kept, counted by reason, and named by the processed report. Of the request count reason, comment,
    /// `dry_run`, `now`, `no_wait` and `processed`; programs are those of the job.
    ///
    /// What an unfinished job of the same command left is gone on with.
    ///
    /// Cost: at most two passes over the entries since the job, one more where nothing may have been spent.
    ///
    /// # Errors
    /// `NotFound`; `Refused`, and nothing changed, for a job that has not ended (`job_unfinished`), one that erased or merged
    /// customers (`not_undoable`), one that is undone already (`job_undone`), an undo whose job was undone again since
    /// (`undo_superseded`), and where points were spent that may not be (`points_spent`); `Stopped` as an import.
    pub fn undo(&self, job: &JobRequest, request: &UndoRequest, progress: &Progress) -> Result<Summary> {
        let began = Instant::now();
        let _listed = self.running.list(JobKind::Undo, PathBuf::new(), progress);
        progress.set_stage(Stage::Preparing);
        let now = job.now.unwrap_or_else(clock::now);
        let mut held = self.state_for_job(job.no_wait, progress)?;
        let undone = jobs::job(&self.store, request.job)?;
        let begun = if job.dry_run { None } else { self.begun_undo(request)? };
        if begun.is_none() {
            self.check_undoable(&undone)?;
        }
        let of_job = parameters_of(&undone)?;
        let comment = job.comment.clone().or_else(|| self.store.settings().default_comment);
        let mut parameters = Parameters::of_kind(
            of_job.program,
            of_job.program_code,
            job.reason.clone(),
            JobSettings::of(&self.store, now),
        );
        parameters.comment = comment;
        parameters.undo = Some(*request);
        parameters.notify = notify_of(job)?;
        parameters.processed = reports::absolute(job.processed.as_deref())?;
        reports::check(Path::new(""), &parameters)?;
        if let Some(begun) = begun {
            let begun = self.repeated(&parameters, begun)?;
            return self.resume_undo(&begun, &ResumeRequest::default(), &mut held, began, progress);
        }
        progress.set_stage(Stage::Loading);
        let programs = programs_of(&undone, parameters.program);
        let state = self.load(&mut held, &needs(&programs, &parameters))?;
        let main = parameters.program;
        let others = programs.iter().filter(|&&program| program != main);
        let others = others.map(|&program| Ok((program.0, Total(state.accounts(program)?.total))));
        let start = JobStart {
            kind: JobKind::Undo,
            now,
            tz_version: tz_version(),
            parameters: serde_json::to_value(&parameters).map_err(|error| Error::internal(error.to_string()))?,
            fingerprint: String::new(),
            balance_before: Total(state.accounts(main)?.total),
            other_balances_before: others.collect::<Result<_>>()?,
            customers_before: state.customers,
            first_record: state.next_record,
            first_sequence: state.next_sequence,
            expiring_before: None,
        };
        let rules = rules(&parameters, request);
        let mut undo = Undo { undone: &undone, id: None, start: &start, parameters: &parameters, rules, programs };
        let state = self.refuse_spent(&undo, state, &mut held)?;
        if job.dry_run {
            // The state that a dry run changed is dropped.
            return Ok(self.run_undo(&undo, Checkpoint::default(), state, began, progress)?.1);
        }
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let id = JobId(self.store.newest_job()?.0 + 1);
        let mut commit = Commit::default();
        jobs::put_start(&mut commit, id, &start)?;
        jobs::put_undo(&self.store, &mut commit, undone.id, id)?;
        self.store.log().commit(&commit)?;
        progress.set_job(id.0);
        undo.id = Some(id);
        let (state, summary) = self.run_undo(&undo, Checkpoint::default(), state, began, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    /// Goes on with an unfinished one behind the last customer that is done. What somebody has spent since it began is kept,
    /// also where nothing might have been spent: what was done until then would stay in any case.
    pub(super) fn resume_undo(
        &self,
        job: &Job,
        request: &ResumeRequest,
        held: &mut Option<State>,
        began: Instant,
        progress: &Progress,
    ) -> Result<Summary> {
        let mut parameters = parameters_of(job)?;
        let _listed = self.running.list(JobKind::Undo, PathBuf::new(), progress);
        progress.set_job(job.id.0);
        progress.set_stage(Stage::Loading);
        let wanted = parameters.undo.ok_or_else(|| Error::corrupt(format!("job {} undoes nothing", job.id)))?;
        let checkpoint = Checkpoint::of(job.window.as_ref());
        // An earlier run may have gone on without the report: it is no report of this job any more.
        let is_given_up = checkpoint.window > 0 && checkpoint.processed_bytes == 0;
        if request.without_processed || is_given_up {
            parameters.processed = None;
        }
        let undone = jobs::job(&self.store, wanted.job)?;
        let programs = programs_of(&undone, parameters.program);
        let state = self.load(held, &needs(&programs, &parameters))?;
        let rules = rules(&parameters, &wanted);
        let undo =
            Undo { undone: &undone, id: Some(job.id), start: &job.start, parameters: &parameters, rules, programs };
        let state = if checkpoint.window == 0 { self.refuse_spent(&undo, state, held)? } else { state };
        let (state, summary) = self.run_undo(&undo, checkpoint, state, began, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    /// The unfinished job of the same command, if there is one.
    fn begun_undo(&self, request: &UndoRequest) -> Result<Option<Job>> {
        let Some(&newest) = jobs::undos(&self.store, request.job)?.last() else { return Ok(None) };
        let newest = jobs::job(&self.store, newest)?;
        let is_begun = newest.state() == JobState::Unfinished && parameters_of(&newest)?.undo == Some(*request);
        Ok(Some(newest).filter(|_| is_begun))
    }

    /// Refuses a job that cannot be undone, or not now.
    fn check_undoable(&self, job: &Job) -> Result<()> {
        let id = job.id;
        if !job.start.kind.can_be_undone() {
            let (what, next) = match job.start.kind {
                JobKind::EraseCustomer => (
                    "erased a customer, and what it removed is nowhere any more",
                    "the points are still there, without a name; import the customer again if the person comes back",
                ),
                _ => (
                    "made two records of one person one, which cannot be told apart again",
                    "move points with `tidemill adjust` if the two are different people",
                ),
            };
            return Err(Error::refused("not_undoable", format!("job {id} {what}"))
                .hint(format!("nothing was changed; {next}"))
                .of_job(id));
        }
        // Another job may have kept the same promises since, and their points would come twice.
        if let Some(undone) = parameters_of(job)?.undo
            && jobs::job(&self.store, undone.job)?.start.kind == JobKind::BulkConvertPromised
        {
            let message = format!("job {id} took back that promised points became available, and is not undone itself");
            return Err(Error::refused("not_undoable", message)
                .hint("nothing was changed; `tidemill bulk convert-promised` makes what is promised available again")
                .of_job(id));
        }
        if job.state() == JobState::Unfinished {
            return Err(unfinished(id, format!("job {id} has not ended")));
        }
        if let Some(undo) = jobs::undone_by(&self.store, id)? {
            return Err(Error::refused("job_undone", format!("job {id} is undone, by job {undo}"))
                .hint(format!("nothing was changed; `tidemill job undo {undo}` applies it again"))
                .of_job(undo));
        }
        for undo in jobs::undos(&self.store, id)? {
            if jobs::job(&self.store, undo)?.state() == JobState::Unfinished {
                return Err(unfinished(undo, format!("job {undo} undoes job {id}, and has not ended")));
            }
        }
        // An undo of an undo applies a job again. Once that was undone anew, another job has taken back what this one gave.
        let mut undone = parameters_of(job)?.undo.map(|undo| undo.job);
        while let Some(target) = undone {
            if let Some(&newer) = jobs::undos(&self.store, target)?.last().filter(|newer| **newer > id) {
                return Err(Error::refused(
                    "undo_superseded",
                    format!("job {id} undid what has been undone since: job {newer} undoes job {target}"),
                )
                .hint(format!("nothing was changed; `tidemill job show {target}` tells how that job stands now"))
                .of_job(newer));
            }
            undone = parameters_of(&jobs::job(&self.store, target)?)?.undo.map(|undo| undo.job);
        }
        Ok(())
    }

    /// Looks ahead where nothing may have been spent, and refuses the undo if something was. The state stays as it is.
    fn refuse_spent(&self, undo: &Undo<'_>, mut state: State, held: &mut Option<State>) -> Result<State> {
        if undo.rules.on_spent != OnSpent::Refuse {
            return Ok(state);
        }
        let book = AccountBook::take(&mut state, &undo.programs, undo.book_rules())?;
        let spent = self.pool.install(|| self.spent(undo, &state, &book));
        book.give_back(&mut state);
        let accounts = match spent {
            Ok(0) => return Ok(state),
            Ok(accounts) => accounts,
            Err(error) => {
                *held = Some(state);
                return Err(error);
            }
        };
        *held = Some(state);
        let id = undo.undone.id;
        let of = if accounts == 1 { "1 account has".to_owned() } else { format!("{accounts} accounts have") };
        let error = Error::refused("points_spent", format!("{of} spent points of job {id}"));
        Err(match undo.id {
            None => error
                .hint("nothing was changed; `--on-spent keep` takes what is there, `--on-spent negative` makes overdrafts")
                .of_job(id),
            Some(undo) => error.hint(format!("nothing was changed; give it up with `tidemill job cancel {undo}`")).of_job(undo),
        })
    }

    /// How many accounts have spent points that the undo would take.
    fn spent(&self, undo: &Undo<'_>, state: &State, book: &AccountBook) -> Result<u64> {
        let events = self.events(undo, state, book.next_sequence())?;
        let (mut spent, mut next) = (0, Some(0));
        while let Some(first) = next {
            let pass = events.pass(first, book)?;
            let batches: Vec<(usize, usize)> = self.batches(&pass.records).collect();
            let in_batch = |&(start, end): &(usize, usize)| {
                let mut spent = 0;
                let records = &pass.records[start..end];
                let mut at = 0;
                while at < records.len() {
                    let account = &records[at..account_end(records, at)];
                    at += account.len();
                    let (_, missing) = undo.plan(&pass, account, book)?;
                    spent += u64::from(missing.get(UndoReason::Spent) > 0);
                }
                Ok(spent)
            };
            spent += batches.par_iter().map(in_batch).sum::<Result<u64>>()?;
            next = pass.next;
        }
        Ok(spent)
    }

    /// Cuts records into ranges that end with a customer.
    fn batches<'a>(&self, records: &'a [Record]) -> impl Iterator<Item = (usize, usize)> + Send + use<'a> {
        let length = BATCH_MAX.min(self.options.window_rows).max(1) as usize;
        let mut start = 0;
        std::iter::from_fn(move || {
            let from = start;
            let mut end = (from + length).min(records.len());
            while end > from && end < records.len() && records[end].customer == records[end - 1].customer {
                end += 1;
            }
            start = end;
            (end > from).then_some((from, end))
        })
    }

    fn events<'a>(&'a self, undo: &'a Undo<'_>, state: &'a State, end: u64) -> Result<Events<'a>> {
        Events::of(&self.store, undo.undone, end, &state.merges, self.options.undo_records_max)
    }

    fn run_undo(
        &self,
        undo: &Undo<'_>,
        checkpoint: Checkpoint,
        mut state: State,
        began: Instant,
        progress: &Progress,
    ) -> Result<(State, Summary)> {
        progress.set_stage(Stage::Applying);
        let applying = Instant::now();
        let (id, start, parameters) = (undo.id, undo.start, undo.parameters);
        let (elapsed_before, main) = (checkpoint.elapsed_ms, parameters.program);
        let first = checkpoint.position.offset;
        let mut book = AccountBook::take(&mut state, &undo.programs, undo.book_rules())?;
        let target = self.target(id, progress, began);
        let (next_sequence, balance) = (book.next_sequence(), book.total(main));
        let processed = parameters.processed.as_deref();
        let open = |path| GrowingFile::open(path, checkpoint.processed_bytes, lines::HEADER);
        let reports = GrowingReports { processed: processed.map(open).transpose()?, ..GrowingReports::default() };
        let mut is_stopped = false;
        let committed = with_committer(&target, checkpoint, reports, next_sequence, balance, None, |committer| {
            let events = self.pool.install(|| self.events(undo, &state, next_sequence))?;
            let none = Profiles::default();
            let profiles = state.profiles.as_ref().unwrap_or(&none);
            let mut identities = processed.map(|_| Identities::new(&self.store, profiles));
            let mut next = u32::try_from(first).ok();
            while let Some(first) = next.filter(|_| !is_stopped) {
                let pass = self.pool.install(|| events.pass(first, &book))?;
                let mut cut = self.batches(&pass.records);
                let mut work = |batch: &mut Batch| undo.apply(&pass, &mut book, batch);
                pipeline::run(
                    &self.pool,
                    self.options.threads * 3 + 4,
                    |batch: &mut Batch| {
                        if progress.is_stopped() {
                            is_stopped = true;
                            return Ok(false);
                        }
                        let Some(range) = cut.next() else { return Ok(false) };
                        batch.range = range;
                        if let Some(identities) = &mut identities {
                            identities.read(&customers_of(&pass.records[range.0..range.1]), &mut batch.cells)?;
                        }
                        Ok(true)
                    },
                    |_| Ok(()),
                    |batch| work(batch),
                    |batch| {
                        let Batch { first, entries, lines, cells, output, .. } = batch;
                        encode_entries(*first, id.unwrap_or(JobId(0)), start.now, entries, output);
                        if processed.is_some() {
                            lines::write(lines, cells, &self.store.programs(), id.is_none(), &mut output.processed);
                        }
                        Ok(())
                    },
                    |batch| committer.take(&mut batch.output),
                )?;
                next = pass.next;
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
        let apply_s = applying.elapsed().as_secs_f64();
        let elapsed_ms = elapsed_before + (self.opening + began.elapsed()).as_millis() as u64;
        let finishing = Instant::now();
        if let Some(id) = id {
            // Before it counts as done: whoever is killed in between forgets once more.
            if self.has_row_keys(undo.undone)? {
                row_keys::forget(&self.store).map_err(|error| error.of_job(id))?;
            }
            finish(&target, id, &committed, elapsed_ms).map_err(|error| error.of_job(id))?;
            progress.set_stage(Stage::Finishing);
            self.pool
                .install(|| caches::write_behind(&self.store, &mut state, self.options.cache_lag_entries_min))
                .map_err(|error| error.of_job(id))?;
        }
        progress.set_stage(Stage::Done);
        let mut summary = self.undo_summary(undo, &committed, elapsed_ms)?;
        summary.cost = Some(Cost {
            load_s: (applying - began).as_secs_f64(),
            apply_s,
            finish_s: finishing.elapsed().as_secs_f64(),
            log_bytes: committed.log_bytes,
            processed_bytes: committed.checkpoint.processed_bytes,
            windows: committed.window_ms.len(),
            window_ms: [0.5, 0.99, 1.0].map(|quantile| committed.window_ms.value_at_quantile(quantile)),
        });
        Ok((state, summary))
    }

    /// Whether rows of the job, or of the one whose undo it undoes, carried ids.
    fn has_row_keys(&self, job: &Job) -> Result<bool> {
        let mut parameters = parameters_of(job)?;
        while let Some(undo) = parameters.undo {
            parameters = parameters_of(&jobs::job(&self.store, undo.job)?)?;
        }
        Ok(parameters.layout.is_some_and(|layout| layout.mapping.column(ColumnField::RowId).is_some()))
    }

    fn undo_summary(&self, undo: &Undo<'_>, committed: &Committed, elapsed_ms: u64) -> Result<Summary> {
        let Undo { start, parameters, .. } = undo;
        let counts = &committed.checkpoint.counts;
        let mut summary = Summary::new(SummaryParts {
            job: undo.id,
            kind: JobKind::Undo,
            state: JobState::Finished,
            format: None,
            counts,
            balance: balances(start.balance_before, committed.balance_after),
            program: (parameters.program_code.clone(), self.store.program(&parameters.program_code)?.1.decimals),
            others: self.named(&start.other_balances_before),
            elapsed_ms,
            bytes_read: 0,
        });
        summary.reason.clone_from(&parameters.reason);
        summary.undo = Some(self.undo_sums(undo.undone, counts, parameters)?);
        summary.list_reports(&None, &parameters.processed, &None);
        Ok(summary)
    }

    /// What an undo's summary says of the job that it undoes.
    pub(super) fn undo_sums(&self, undone: &Job, counts: &Counts, parameters: &Parameters) -> Result<UndoSums> {
        let points = self.named(&counts.undo.not_reversed);
        let main = parameters.program;
        let decimals = self.store.program(&parameters.program_code)?.1.decimals;
        let of_job = undone.window.as_ref().map(|(_, record)| &record.counts);
        let stay = of_job.map_or(0, |counts| counts.customers_created + counts.updated);
        Ok(UndoSums::new(undone.id, &counts.undo, (main.0, decimals), points, stay))
    }
}

fn unfinished(id: JobId, what: String) -> Error {
    let hint = format!(
        "nothing was changed; go on with `tidemill job resume {id}`, or give it up with `tidemill job cancel {id}`, first"
    );
    Error::refused("job_unfinished", what).hint(hint).of_job(id)
}

/// The programs whose points a job may have moved.
fn programs_of(job: &Job, main: ProgramId) -> Vec<ProgramId> {
    let others = job.start.other_balances_before.keys().map(|&program| ProgramId(program));
    let mut programs: Vec<ProgramId> = others.chain([main]).collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

fn needs(programs: &[ProgramId], parameters: &Parameters) -> Needs {
    Needs { programs: programs.to_vec(), profiles: parameters.processed.is_some(), ..Needs::default() }
}

fn rules(parameters: &Parameters, request: &UndoRequest) -> UndoRules {
    UndoRules { on_spent: request.on_spent, today: parameters.settings.today }
}

/// The customers of the job's own entries.
fn customers_of(records: &[Record]) -> Vec<CustomerId> {
    let mut customers: Vec<CustomerId> =
        records.iter().filter(|record| record.is_own()).map(|record| record.customer).collect();
    customers.dedup();
    customers
}

impl Undo<'_> {
    fn book_rules(&self) -> BookRules {
        BookRules { on_overdraft: OnOverdraft::Allow, today: self.rules.today, now: self.start.now }
    }

    /// What would become of an account, and what would stay.
    fn plan(&self, pass: &Pass<'_>, records: &[Record], book: &AccountBook) -> Result<(undo::Plan, Missing)> {
        let (mut events, mut plan) = (Vec::new(), undo::Plan::default());
        let Some((customer, program)) = records.first().map(Record::account) else {
            return Ok((plan, Missing::default()));
        };
        if records.iter().any(Record::is_own) {
            pass.events(records, &mut events);
            let merged_at = |owner| pass.merged_at(owner, program);
            plan = book.plan_undo((program, customer), &events, self.rules, merged_at, |lot| pass.terms(lot))?;
        }
        let missing = plan.missing;
        Ok((plan, missing))
    }

    /// Undoes a batch of customers.
    fn apply(&self, pass: &Pass<'_>, book: &mut AccountBook, batch: &mut Batch) -> Result<()> {
        let Batch { range, first, entries, lines, output, .. } = batch;
        entries.clear();
        lines.clear();
        output.clear();
        *first = book.next_sequence();
        let main = self.parameters.program;
        let with_lines = self.parameters.processed.is_some();
        let records = &pass.records[range.0..range.1];
        let (mut last, mut accounts) = (None, 0_u32);
        let mut at = 0;
        while let Some(record) = records.get(at) {
            let (customer, program) = record.account();
            let is_alone = records.get(at + 1).is_none_or(|next| next.account() != record.account());
            let plain = book.plain_balance(program, customer).filter(|_| is_alone && record.is_plain());
            let (amount, missing, done);
            if let Some(balance) = plain {
                at += 1;
                let (change, kept) = undo::plain(balance, record.amount, self.rules.on_spent);
                (amount, done) = (i128::from(change), i128::from(change.unsigned_abs()));
                missing = kept.map_or(Missing::default(), |(why, points)| Missing::of(why, i128::from(points)));
                if change != 0 {
                    book.undo_plain((program, customer), record.sequence, change, entries);
                    output.counts.points_of(program, main).moved(EntryKind::Reversal, change);
                }
            } else {
                let account = &records[at..account_end(records, at)];
                at += account.len();
                let plan;
                (plan, missing) = self.plan(pass, account, book)?;
                if !plan.changes.is_empty() {
                    let expired = book.undo((program, customer), &plan, entries);
                    let points = output.counts.points_of(program, main);
                    points.expire(expired);
                    plan.changes.iter().for_each(|change| points.moved(change.kind, change.amount));
                }
                amount = plan.changes.iter().map(|change| i128::from(change.amount)).sum();
                done = plan.done;
            }
            let Some(status) = UndoStatus::of(done, &missing) else { continue };
            output.counts.undo.account(status, program, &missing);
            output.counts.outcome(if status == UndoStatus::Kept { Status::Unchanged } else { Status::Applied });
            accounts = if last == Some(customer) { accounts + 1 } else { 1 };
            last = Some(customer);
            output.counts.customers_matched += u64::from(accounts == 1);
            output.counts.customers_repeated += u64::from(accounts == 2);
            if with_lines {
                let balance = book.balance(program, customer);
                lines.push(Line { customer, program, status, amount, balance, missing });
            }
        }
        let behind = records.last().map_or(0, |record| u64::from(record.customer.0) + 1);
        output.position = Position { offset: behind, ..Position::default() };
        output.next_sequence = book.next_sequence();
        output.balance_after = book.total(main);
        Ok(())
    }
}
