//! One pass over a file: the stages are put together, and run from a checkpoint to the file's end.

use std::{path::PathBuf, sync::RwLock};

use super::{Engine, adjust::LiveDesk, expiry_update::expiring_after, reports, run::Run};
use crate::{
    domain::{id::JobId, job::JobKind, rejection::Rejection},
    error::{Error, Result},
    import::{
        chunk::Chunk,
        customers::{self, CustomersApplier, CustomersBatch, CustomersRules, notification_start},
        expiry::{ExpiryApplier, ExpiryBatch, ExpiryRules},
        input::{self, Layout},
        points::{PROCESSED_HEADER, PointsApplier, PointsBatch, PointsRules},
        rows::noted,
    },
    job::{
        committer::{Checkpoint, Committed, DryRejects, GrowingReports, with_committer},
        growing_file::GrowingFile,
        output::Output,
        pipeline,
        progress::{Progress, Stage},
    },
    ledger::account_book::{AccountBook, BookRules},
    report::rejects::RejectFile,
    sabotage::{self, Promise},
    store::{
        jobs,
        row_keys::{RecentRowKeys, StoredRowKeys},
        state::State,
    },
};

/// One pass over the file.
pub(super) struct Pass {
    /// Whose rows these are; none in a dry pass, which commits nothing.
    pub(super) job: Option<JobId>,
    /// The job whose earlier rows the pass must remember.
    pub(super) resumes: Option<JobId>,
    pub(super) checkpoint: Checkpoint,
    pub(super) customers_before: u32,
    pub(super) first_record: u64,
    pub(super) processed: bool,
    /// Where a dry pass writes its rejected rows; a real one keeps them in the store.
    pub(super) rejects: Option<PathBuf>,
}

/// What the passes of the imports differ in, besides how their rows are read and applied.
struct Stages<'a> {
    run: &'a Run,
    pass: Pass,
    progress: &'a Progress,
    next_sequence: u64,
    balance: i128,
}

impl Engine {
    /// One pass over the file from its checkpoint; whether the file was read to its end.
    pub(super) fn pass(
        &self,
        run: &Run,
        state: State,
        pass: Pass,
        progress: &Progress,
    ) -> Result<(State, Committed, bool)> {
        progress.set_stage(Stage::Applying);
        match run.kind {
            JobKind::ImportCustomers => self.pass_customers(run, state, pass, progress),
            JobKind::ImportExpiry => self.pass_expiry(run, state, pass, progress),
            _ => self.pass_points(run, state, pass, progress),
        }
    }

    fn pass_points(
        &self,
        run: &Run,
        mut state: State,
        pass: Pass,
        progress: &Progress,
    ) -> Result<(State, Committed, bool)> {
        let parameters = &run.parameters;
        let surroundings = parameters.settings.surroundings(parameters.program, self.store.programs(), run.now);
        let rules = PointsRules {
            on_unknown: parameters.on_unknown,
            on_overdraft: parameters.on_overdraft,
            on_repeat: parameters.on_repeat,
            seed: self.store.settings().seed,
            job: pass.job.unwrap_or(JobId(0)),
            processed: pass.processed,
            ..PointsRules::reading(&run.layout, parameters.mode, parameters.conversion, &surroundings)?
        };
        let book_rules =
            BookRules { on_overdraft: parameters.on_overdraft, today: parameters.settings.today, now: run.now };
        let book = AccountBook::take(&mut state, &run.needs().programs, book_rules)?;
        let (next_sequence, balance) = (book.next_sequence(), book.total(parameters.program));
        // A row with a key is hardly shorter than this; an estimate that is too high costs memory of a bounded filter.
        const ROW_BYTES_MIN: u64 = 24;
        let has_keys = rules.fields.row_id.is_some();
        let expected = run.source.file_bytes() / ROW_BYTES_MIN;
        let stored_keys = has_keys.then(|| StoredRowKeys::open(&self.store, expected)).transpose()?;
        let mut recent_keys = stored_keys.as_ref().map(|stored| RecentRowKeys::new(stored, self.options.row_keys_max));
        if let Some(keys) = &mut recent_keys {
            keys.replay(&self.store)?;
        }
        let table = RwLock::new(std::mem::take(&mut state.identifiers));
        let position = pass.checkpoint.position;
        let resumed = pass.resumes.map(|job| (&self.store, job));
        let mut applier = PointsApplier::new(
            &rules,
            &table,
            &state,
            book,
            run.source.file_bytes(),
            position,
            pass.customers_before,
            resumed,
            recent_keys,
        )?;
        let mut desk = pass.job.map(|_| LiveDesk::open(self, &state.kinds)).transpose()?;
        let stages = Stages { run, pass, progress, next_sequence, balance };
        let (committed, is_finished) = self.drive(
            stages,
            |batch: &mut PointsBatch, chunk| {
                batch.fill(chunk, stored_keys.as_ref().map_or(0, StoredRowKeys::version));
            },
            |batch| rules.parse(&table, stored_keys.as_ref(), batch),
            |batch| {
                let live = match &mut desk {
                    Some(desk) => desk.serve(&table, &mut applier),
                    None => Vec::new(),
                };
                applier.apply(batch)?;
                batch.output.live = live;
                Ok(())
            },
            |batch| rules.encode(batch),
            |batch| &mut batch.output,
        )?;
        drop(desk);
        let keys = applier.finish(&mut state);
        state.identifiers = table.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(keys) = keys.filter(|_| is_finished && rules.job != JobId(0)) {
            keys.finish(&self.store, state.next_sequence, rules.job)?;
        }
        Ok((state, committed, is_finished))
    }

    fn pass_customers(
        &self,
        run: &Run,
        mut state: State,
        pass: Pass,
        progress: &Progress,
    ) -> Result<(State, Committed, bool)> {
        let parameters = &run.parameters;
        let (settings, program) = (&parameters.settings, parameters.program);
        let surroundings = settings.surroundings(program, self.store.programs(), run.now);
        let reading = CustomersRules::reading(&run.layout, &surroundings)?;
        let rules = CustomersRules {
            key: parameters.key.or(reading.key),
            phone_digits: parameters.phone_digits,
            seed: self.store.settings().seed,
            job: pass.job.unwrap_or(JobId(0)),
            processed: pass.processed,
            notifies: parameters.notifications.is_some(),
            comment: parameters.comment.clone(),
            ..reading
        };
        let book_rules = BookRules { on_overdraft: customers::ON_OVERDRAFT, today: settings.today, now: run.now };
        let book = AccountBook::take(&mut state, &run.needs().programs, book_rules)?;
        let (next_sequence, balance) = (book.next_sequence(), book.total(program));
        let mut table = std::mem::take(&mut state.identifiers);
        let mut profiles = state.profiles.take().ok_or_else(|| Error::internal("the profiles were not loaded"))?;
        let resumed = pass.resumes.map(|job| (&self.store, job, pass.first_record));
        let stored_customers = self.store.positions().customers;
        let mut applier = CustomersApplier::new(
            &rules,
            &mut table,
            &mut profiles,
            book,
            (state.customers, state.next_record, stored_customers),
            run.source.file_bytes(),
            pass.checkpoint.position,
            pass.customers_before,
            resumed,
        )?;
        let mut desk = pass.job.map(|_| LiveDesk::open(self, &state.kinds)).transpose()?;
        let stages = Stages { run, pass, progress, next_sequence, balance };
        let (committed, is_finished) = self.drive(
            stages,
            |batch: &mut CustomersBatch, chunk| batch.fill(chunk),
            |batch| {
                rules.parse(batch);
                Ok(())
            },
            |batch| {
                let live = match &mut desk {
                    Some(desk) => desk.serve_customers(&mut applier),
                    None => Vec::new(),
                };
                applier.apply(batch)?;
                batch.output.live = live;
                Ok(())
            },
            |batch| rules.encode(batch),
            |batch| &mut batch.output,
        )?;
        drop(desk);
        let (book, customers, next_record, late) = applier.finish();
        book.give_back(&mut state);
        state.customers = customers;
        state.next_record = next_record;
        state.late_identifiers.extend(late);
        state.identifiers = table;
        state.profiles = Some(profiles);
        Ok((state, committed, is_finished))
    }

    fn pass_expiry(
        &self,
        run: &Run,
        mut state: State,
        pass: Pass,
        progress: &Progress,
    ) -> Result<(State, Committed, bool)> {
        let (parameters, program) = (&run.parameters, run.parameters.program);
        let settings = &parameters.settings;
        let terms = parameters.expiry.as_ref();
        let terms = terms.ok_or_else(|| Error::internal("the job does not say which points are meant"))?;
        let surroundings = settings.surroundings(program, self.store.programs(), run.now);
        let rules = ExpiryRules {
            job: pass.job.unwrap_or(JobId(0)),
            processed: pass.processed,
            ..ExpiryRules::reading(&run.layout, Some(terms), &surroundings, self.store.settings().seed)
        };
        let book_rules = BookRules { on_overdraft: parameters.on_overdraft, today: settings.today, now: run.now };
        let book = AccountBook::take(&mut state, &run.needs().programs, book_rules)?;
        let (next_sequence, balance) = (book.next_sequence(), book.total(program));
        let table = std::mem::take(&mut state.identifiers);
        let customers = (state.customers, pass.customers_before);
        let resumed = pass.resumes.map(|job| (&self.store, job));
        let mut applier = ExpiryApplier::new(&rules, book, pass.checkpoint.position, customers, resumed)?;
        let mut desk = pass.job.map(|_| LiveDesk::open(self, &state.kinds)).transpose()?;
        let stages = Stages { run, pass, progress, next_sequence, balance };
        let (mut committed, is_finished) = self.drive(
            stages,
            |batch: &mut ExpiryBatch, chunk| batch.fill(chunk),
            |batch| {
                rules.parse(&table, batch);
                Ok(())
            },
            |batch| {
                let live = match &mut desk {
                    Some(desk) => desk.serve_book(&table, state.customers, state.next_record, applier.book()),
                    None => Vec::new(),
                };
                applier.apply(batch);
                batch.output.live = live;
                Ok(())
            },
            |batch| rules.encode(batch),
            |batch| &mut batch.output,
        )?;
        drop(desk);
        applier.finish().give_back(&mut state);
        state.identifiers = table;
        if is_finished {
            let counts = &committed.checkpoint.counts;
            let refused = [Rejection::ExpiryNotEarlier, Rejection::ExpiryNotLater];
            let has_matched = counts.applied > 0 || refused.iter().any(|code| counts.rejects.contains_key(code));
            committed.expiring_after = Some(expiring_after(&state, program, terms, has_matched, settings.today)?);
        }
        Ok((state, committed, is_finished))
    }

    /// Runs the stages; whether the file was read to its end.
    fn drive<B: Default + Send>(
        &self,
        stages: Stages<'_>,
        fill: impl Fn(&mut B, Chunk) + Send + Sync,
        parse: impl Fn(&mut B) -> Result<()> + Sync,
        apply: impl FnMut(&mut B) -> Result<()> + Send,
        encode: impl Fn(&mut B) -> Result<()> + Sync,
        output: impl Fn(&mut B) -> &mut Output,
    ) -> Result<(Committed, bool)> {
        let Stages { run, pass, progress, next_sequence, balance } = stages;
        let target = self.target(pass.job, progress, run.began);
        let reports = GrowingReports {
            processed: self.processed_file(run, &pass)?,
            notifications: notifications_file(run, &pass)?,
        };
        let mut reject_out = pass.rejects.as_deref().map(reports::create).transpose()?;
        let mut reject_file = match &mut reject_out {
            Some(out) => Some(self.dry_reject_file(run, &pass, out)?),
            None => None,
        };
        let dry_rejects = reject_file.as_mut().map(|file| Box::new(|row| file.row(&dry(row))) as DryRejects<'_>);
        let (position, chunk_bytes_max) = (pass.checkpoint.position, self.options.chunk_bytes_max);
        let mut chunks = input::chunks(&run.source, &run.layout, position, chunk_bytes_max, progress.bytes_counter())?;
        let mut is_finished = false;
        let committed =
            with_committer(&target, pass.checkpoint, reports, next_sequence, balance, dry_rejects, |committer| {
                pipeline::run(
                    &self.pool,
                    self.batches_max(),
                    |batch: &mut B| read_chunk(&mut chunks, progress, &mut is_finished, |chunk| fill(batch, chunk)),
                    parse,
                    apply,
                    encode,
                    |batch| committer.take(output(batch)),
                )
            })?;
        reject_file.map(RejectFile::end).transpose()?;
        Ok((committed, is_finished))
    }

    /// The reject file of a dry pass; one that goes on with a job begins with the rows that this job refused.
    fn dry_reject_file<'a>(
        &self,
        run: &'a Run,
        pass: &Pass,
        out: &'a mut dyn std::io::Write,
    ) -> Result<RejectFile<'a>> {
        let mut file = RejectFile::begin(Some(&run.layout), out)?;
        if let Some(job) = pass.resumes {
            jobs::rejected_rows(&self.store, job, |row| file.row(&dry(row)))?;
        }
        Ok(file)
    }

    fn processed_file(&self, run: &Run, pass: &Pass) -> Result<Option<GrowingFile>> {
        let path = run.parameters.processed.as_deref().filter(|_| pass.processed);
        path.map(|path| GrowingFile::open(path, pass.checkpoint.processed_bytes, PROCESSED_HEADER)).transpose()
    }

    /// Batches under way: enough that every worker has one and one waits at each stage between.
    pub(super) fn batches_max(&self) -> usize {
        self.options.threads * 3 + 4
    }
}

impl Pass {
    /// A pass that changes nothing.
    pub(super) fn dry(state: &State, layout: &Layout) -> Pass {
        Pass {
            job: None,
            resumes: None,
            checkpoint: Checkpoint { position: layout.start, ..Checkpoint::default() },
            customers_before: state.customers,
            first_record: state.next_record,
            processed: false,
            rejects: None,
        }
    }

    /// A pass that goes on where a job stopped; `processed` says whether the report is wanted. One that an earlier run of the
    /// job left behind has a hole, and is not gone on with.
    pub(super) fn going_on(job: &jobs::Job, run: &Run, processed: bool) -> Pass {
        let mut checkpoint = Checkpoint::of(job.window.as_ref());
        if checkpoint.window == 0 || sabotage::is_on(Promise::Checkpoint) {
            checkpoint.position = run.layout.start;
        }
        Pass {
            job: Some(job.id),
            resumes: Some(job.id).filter(|_| checkpoint.window > 0),
            processed: processed && (checkpoint.window == 0 || checkpoint.processed_bytes > 0),
            checkpoint,
            customers_before: job.start.customers_before,
            first_record: job.start.first_record,
            rejects: None,
        }
    }
}

/// The events of a real pass; a dry one tells nobody anything.
fn notifications_file(run: &Run, pass: &Pass) -> Result<Option<GrowingFile>> {
    let (Some(path), Some(job)) = (run.parameters.notifications.as_deref(), pass.job) else { return Ok(None) };
    let length = Some(pass.checkpoint.notified_bytes).filter(|_| pass.checkpoint.window > 0);
    GrowingFile::append_to(path, length, notification_start(job).as_bytes()).map(Some)
}

/// Gives a batch the next chunk; false at the end of the file, or where a stop was asked for.
fn read_chunk(
    chunks: &mut (impl FnMut() -> Result<Option<Chunk>> + Send),
    progress: &Progress,
    is_finished: &mut bool,
    fill: impl FnOnce(Chunk),
) -> Result<bool> {
    if progress.is_stopped() {
        return Ok(false);
    }
    match chunks()? {
        Some(chunk) => {
            fill(chunk);
            Ok(true)
        }
        None => {
            *is_finished = true;
            Ok(false)
        }
    }
}

/// A rejected row as the report of a dry run has it.
fn dry(row: jobs::RejectedRow) -> jobs::RejectedRow {
    jobs::RejectedRow { message: noted(true, &row.message).into_owned(), ..row }
}
