//! Running an import: understand the file, refuse what must be refused, load, apply, make durable, report.

use std::{path::PathBuf, sync::RwLock, time::Instant};

use crate::{
    clock,
    domain::{
        command::{OnOverdraft, OnRepeat, OnUnknown},
        id::JobId,
        identifier::IdentifierKind,
        job::{Counts, JobKind, JobStart, JobState, Total},
        points::parse_amount,
        program::Program,
        tier::Tiers,
        time::{Timestamp, tz_version},
    },
    engine::{
        Engine, balances,
        parameters::{JobSettings, Parameters},
        parameters_of,
        reports::{self, absolute},
        request::{CustomersRequest, FileRequest, JobRequest, MaxRejects, PointsRequest, ResumeRequest},
    },
    error::{Error, ErrorKind, Result},
    import::{
        customers::{self, CustomersApplier, CustomersBatch, CustomersRules},
        dialect::DialectHints,
        format::{Kind, Mapping},
        input::{self, InputHints, Layout},
        points::{PROCESSED_HEADER, PointsApplier, PointsBatch, PointsColumns, PointsRules},
        rows::{column_of_kind, noted},
        source::{Encoding, Source},
        spool::Spooled,
    },
    job::{
        committer::{Checkpoint, Committed, DryRejects, Target, finish, stopped, with_committer},
        pipeline,
        processed_file::ProcessedFile,
        progress::{Progress, Stage},
    },
    ledger::account_book::AccountBook,
    report::{
        amount::amount_text,
        rejects::RejectFile,
        summary::{Cost, Summary, SummaryParts},
    },
    store::{
        caches, disk, jobs,
        log::Commit,
        state::{Needs, State},
        uploads,
    },
};

/// Everything that an import's run is made of.
pub(super) struct Run {
    kind: JobKind,
    pub(super) parameters: Parameters,
    pub(super) layout: Layout,
    pub(super) source: Source,
    program: Program,
    now: Timestamp,
    began: Instant,
    /// The stream that it reads, if it is no file.
    spooled: Option<Spooled>,
}

/// One pass over the file.
struct Pass {
    /// Whose rows these are; none in a dry pass, which commits nothing.
    job: Option<JobId>,
    /// The job whose earlier rows the pass must remember.
    resumes: Option<JobId>,
    checkpoint: Checkpoint,
    customers_before: u32,
    first_record: u64,
    processed: bool,
    /// Where a dry pass writes its rejected rows; a real one keeps them in the store.
    rejects: Option<PathBuf>,
}

impl Engine {
    /// Applies a points file.
    ///
    /// # Errors
    /// `Usage` when the file and the request do not fit; `Refused` (nothing changed) for a repeat or an expectation that
    /// failed; `Stopped` on request; `Input`, `Storage` and `Corrupt` as they say.
    pub fn import_points(&self, job: &JobRequest, request: &PointsRequest, progress: &Progress) -> Result<Summary> {
        let _listed = self.running.list(JobKind::ImportPoints, request.file.path.clone(), progress);
        let result = self.points(job, request, progress);
        let dropped = self.drop_upload(&request.file);
        result.and_then(|summary| dropped.map(|()| summary))
    }

    fn points(&self, job: &JobRequest, request: &PointsRequest, progress: &Progress) -> Result<Summary> {
        progress.set_stage(Stage::Preparing);
        let run = self.points_run(job, request)?;
        let format = &run.layout.format;
        if format.reason_required && job.reason.is_none() {
            return Err(Error::usage(format!("the format `{}` needs a reason", format.name)).hint(
                "say why the points move: `--reason \"Diwali campaign\"`; customers see it unless `--comment` is given",
            ));
        }
        self.begin(run, job, progress)
    }

    /// What an import of points is made of.
    pub(super) fn points_run(&self, job: &JobRequest, request: &PointsRequest) -> Result<Run> {
        let began = Instant::now();
        let (source, layout) = understood(&request.file, Some(Kind::Points))?;
        PointsRules::columns_of(&layout.mapping, request.mode)?;
        let comment_is_reason = layout.format.reason_required;
        let (program_id, program) = self.program(job.program.as_deref())?;
        let now = job.now.unwrap_or_else(clock::now);
        let settings = self.store.settings();
        let comment = job.comment.clone().or_else(|| job.reason.clone().filter(|_| comment_is_reason));
        let parameters = Parameters {
            layout: Some(layout.clone()),
            program: program_id,
            program_code: program.code.clone(),
            reason: job.reason.clone(),
            comment: comment.or_else(|| settings.default_comment.clone()),
            settings: JobSettings::of(&settings, now),
            mode: request.mode,
            on_unknown: request.on_unknown,
            on_overdraft: request.on_overdraft,
            on_repeat: request.on_repeat,
            conversion: request.conversion,
            rejects: absolute(job.rejects.as_deref())?,
            processed: absolute(job.processed.as_deref())?,
        };
        let spooled = request.file.spooled.clone();
        Ok(Run { kind: JobKind::ImportPoints, parameters, layout, source, program, now, began, spooled })
    }

    /// Applies a customer file.
    ///
    /// # Errors
    /// As `import_points`.
    pub fn import_customers(
        &self,
        job: &JobRequest,
        request: &CustomersRequest,
        progress: &Progress,
    ) -> Result<Summary> {
        let _listed = self.running.list(JobKind::ImportCustomers, request.file.path.clone(), progress);
        progress.set_stage(Stage::Preparing);
        let result = self.customers_run(job, request).and_then(|run| self.begin(run, job, progress));
        let dropped = self.drop_upload(&request.file);
        result.and_then(|summary| dropped.map(|()| summary))
    }

    /// What an import of customers is made of.
    pub(super) fn customers_run(&self, job: &JobRequest, request: &CustomersRequest) -> Result<Run> {
        let began = Instant::now();
        let (source, layout) = understood(&request.file, Some(Kind::Customers))?;
        let (program_id, program) = self.program(job.program.as_deref())?;
        let now = job.now.unwrap_or_else(clock::now);
        let settings = self.store.settings();
        let parameters = Parameters {
            layout: Some(layout.clone()),
            program: program_id,
            program_code: program.code.clone(),
            reason: job.reason.clone(),
            comment: job.comment.clone().or_else(|| settings.default_comment.clone()),
            settings: JobSettings::of(&settings, now),
            mode: None,
            on_unknown: OnUnknown::Create,
            on_overdraft: customers::ON_OVERDRAFT,
            on_repeat: OnRepeat::First,
            conversion: None,
            rejects: absolute(job.rejects.as_deref())?,
            processed: absolute(job.processed.as_deref())?,
        };
        let spooled = request.file.spooled.clone();
        Ok(Run { kind: JobKind::ImportCustomers, parameters, layout, source, program, now, began, spooled })
    }

    /// Goes on with an unfinished job; a finished one just tells its summary.
    ///
    /// # Errors
    /// `Refused` when the file changed since, or the job was cancelled; else as `import_points`.
    pub fn resume(&self, id: JobId, request: &ResumeRequest, progress: &Progress) -> Result<Summary> {
        let began = Instant::now();
        let mut job = jobs::job(&self.store, id)?;
        let mut held = None;
        if job.state() == JobState::Unfinished {
            // It may be running, and end while we wait for it: then this is no unfinished job any more.
            held = Some(self.state_for_job(request.no_wait, progress)?);
            job = jobs::job(&self.store, id)?;
        }
        let mut held = match (job.state(), held) {
            (JobState::Unfinished, Some(held)) => held,
            (JobState::Cancelled, _) => {
                return Err(Error::refused("job_cancelled", format!("job {id} was cancelled and cannot be resumed"))
                    .hint(format!("what it applied stays; `tidemill job show {id}` tells how far it was"))
                    .of_job(id));
            }
            (JobState::Finished | JobState::Unfinished, _) => {
                progress.set_stage(Stage::Done);
                return self.summary(&job);
            }
        };
        let mut parameters = parameters_of(&job)?;
        let layout = parameters.layout.clone().map(|layout| {
            let location = uploads::located(&self.store, &layout.location).unwrap_or(layout.location);
            Layout { location, ..layout }
        });
        let layout = layout.ok_or_else(|| Error::internal(format!("job {id} has no file to go on with")))?;
        if layout.is_stream {
            let lines = job.window.as_ref().map_or(layout.start.lines, |(_, record)| record.position.lines);
            let what = format!("job {id} read a stream that was not kept, so it cannot go on");
            let next = format!("its rows up to line {lines} are done: import those behind it, under the same header");
            return Err(Error::refused("stream_not_kept", what).hint(next).of_job(id));
        }
        let layout = self.found_again(layout);
        let _listed = self.running.list(job.start.kind, layout.path.clone(), progress);
        let source = layout.open()?;
        let (_, program) = self.store.program(&parameters.program_code)?;
        let fingerprint = self.pool.install(|| input::fingerprint(&source, &parameters.identity()))?;
        if fingerprint != job.start.fingerprint {
            return Err(Error::refused(
                "file_changed",
                format!("`{}` is not the file that job {id} began with", layout.path.display()),
            )
            .hint("put the file back as it was, then resume; rows that were committed stay")
            .of_job(id));
        }
        if request.without_processed {
            parameters.processed = None;
        }
        let run =
            Run { kind: job.start.kind, parameters, layout, source, program, now: job.start.now, began, spooled: None };
        let location = run.layout.location.clone();
        let result = self.go_on(run, &job, &mut held, progress);
        let dropped = uploads::drop_unless_needed(&self.store, &location);
        result.and_then(|summary| dropped.map(|()| summary))
    }

    fn begin(&self, run: Run, request: &JobRequest, progress: &Progress) -> Result<Summary> {
        progress.set_bytes_total(run.source.file_bytes());
        reports::check(&run.layout.location, &run.parameters)?;
        let mut held = self.state_for_job(request.no_wait, progress)?;
        if progress.is_stopped() {
            return Err(stopped(None));
        }
        let expects = request.max_rejects.is_some() || request.expect_rows.is_some() || request.expect_total.is_some();
        if run.layout.is_stream && expects && !request.dry_run {
            return Err(Error::usage(
                "`--max-rejects`, `--expect-rows` and `--expect-total` read the input twice, and `--no-spool` lets it be \
                 read once",
            )
            .hint("nothing was changed; leave `--no-spool` out, so that the input is kept until the job ends"));
        }
        let identity = run.parameters.identity();
        let fingerprint = match &run.spooled {
            // The stream's bytes are its text: they were hashed on their way.
            Some(spooled) if run.source.encoding() == Encoding::Utf8 => {
                input::fingerprint_of(spooled.content(), &identity)
            }
            // Nobody knows what a stream holds before it is read.
            _ if run.layout.is_stream => String::new(),
            _ => self.pool.install(|| input::fingerprint(&run.source, &identity))?,
        };
        let earlier = jobs::jobs(&self.store)?
            .into_iter()
            .rev()
            .filter(|earlier| earlier.start.kind == run.kind && !fingerprint.is_empty())
            .filter(|earlier| earlier.start.fingerprint == fingerprint)
            // One that was given up before its first row left nothing that could be done twice.
            .find(|earlier| earlier.state() != JobState::Cancelled || earlier.rows_read() > 0);
        match earlier {
            Some(earlier) if earlier.state() == JobState::Unfinished => {
                let run = taken_up(run, &earlier, request.dry_run, |layout| self.found_again(layout))?;
                if request.dry_run {
                    return self.look_ahead(&run, Some(&earlier), request, &mut held, progress);
                }
                if earlier.window.is_none() {
                    // Nothing came of it yet, so it may still learn of other reports; later runs find them here.
                    let mut commit = Commit::default();
                    let start = JobStart { parameters: recorded(&run.parameters)?, ..earlier.start.clone() };
                    jobs::put_start(&mut commit, earlier.id, &start)?;
                    self.store.log().commit(&commit)?;
                    run.keep_spool();
                }
                let recorded = parameters_of(&earlier)?.layout;
                let result = self.go_on(run, &earlier, &mut held, progress);
                // The input that the job began with, if it came as a stream, and this time as another one.
                let dropped =
                    recorded.map_or(Ok(()), |layout| uploads::drop_unless_needed(&self.store, &layout.location));
                return result.and_then(|summary| dropped.map(|()| summary));
            }
            Some(earlier) if !request.again && earlier.state() == JobState::Cancelled => {
                let (id, rows) = (earlier.id, earlier.rows_read());
                return Err(Error::refused(
                    "repeated_file",
                    format!("job {id} applied the first {rows} rows of this file before it was cancelled"),
                )
                .hint(
                    "nothing was changed; import the other rows as a file of their own, or add `--again` if all of it is \
                     meant to be applied",
                )
                .of_job(id));
            }
            Some(earlier) if !request.again => {
                return Err(Error::refused(
                    "repeated_file",
                    format!(
                        "job {} applied this file already, with the same program, mapping and policies",
                        earlier.id
                    ),
                )
                .hint("nothing was changed; if it is meant to be applied twice, add `--again`")
                .of_job(earlier.id));
            }
            _ => {}
        }
        if request.dry_run {
            return self.look_ahead(&run, None, request, &mut held, progress);
        }
        let needs = run.needs();
        if expects {
            progress.set_stage(Stage::Loading);
            let state = self.load(&mut held, &needs)?;
            let dry = Pass::dry(&state, &run.layout);
            let (_, committed, is_finished) = self.pass(&run, state, dry, progress)?;
            if !is_finished {
                return Err(stopped(None));
            }
            check_expectations(&run.program, request, &committed.checkpoint.counts)?;
        }
        let loading = Instant::now();
        progress.set_stage(Stage::Loading);
        let state = self.load(&mut held, &needs)?;
        let load_s = loading.elapsed().as_secs_f64();
        let balance_before = Total(state.accounts(run.parameters.program)?.total);
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let id = JobId(self.store.newest_job()?.0 + 1);
        let start = JobStart {
            kind: run.kind,
            now: run.now,
            tz_version: tz_version(),
            parameters: recorded(&run.parameters)?,
            fingerprint,
            balance_before,
            customers_before: state.customers,
            first_record: state.next_record,
            first_sequence: state.next_sequence,
        };
        let mut commit = Commit::default();
        jobs::put_start(&mut commit, id, &start)?;
        // Before the commit: if that fails, nobody knows whether the job is there and needs its input.
        run.keep_spool();
        self.store.log().commit(&commit)?;
        progress.set_job(id.0);
        let pass = Pass {
            job: Some(id),
            resumes: None,
            checkpoint: Checkpoint { position: run.layout.start, ..Checkpoint::default() },
            customers_before: state.customers,
            first_record: state.next_record,
            processed: run.parameters.processed.is_some(),
            rejects: None,
        };
        let (state, summary) = self.complete(run, state, pass, balance_before, load_s, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    /// A dry run: every outcome and total of what the command would do, from the beginning or from where an unfinished job
    /// stopped.
    pub(super) fn look_ahead(
        &self,
        run: &Run,
        resumed: Option<&jobs::Job>,
        request: &JobRequest,
        held: &mut Option<State>,
        progress: &Progress,
    ) -> Result<Summary> {
        progress.set_stage(Stage::Loading);
        let state = self.load(held, &run.needs())?;
        let mut pass = match resumed {
            Some(job) => Pass { job: None, ..Pass::going_on(job, run, false) },
            None => Pass::dry(&state, &run.layout),
        };
        pass.processed = run.parameters.processed.is_some();
        pass.rejects.clone_from(&run.parameters.rejects);
        pass.checkpoint.processed_bytes = 0;
        let elapsed_before = pass.checkpoint.elapsed_ms;
        let before = Total(state.accounts(run.parameters.program)?.total);
        let before = resumed.map_or(before, |job| job.start.balance_before);
        let (_, committed, is_finished) = self.pass(run, state, pass, progress)?;
        if !is_finished {
            return Err(stopped(None));
        }
        check_expectations(&run.program, request, &committed.checkpoint.counts)?;
        let elapsed_ms = elapsed_before + (self.opening + run.began.elapsed()).as_millis() as u64;
        let mut summary = run.summary(None, JobState::Finished, &committed, before, elapsed_ms, progress);
        summary.list_reports(&run.parameters.rejects, &run.parameters.processed);
        progress.set_stage(Stage::Done);
        Ok(summary)
    }

    fn go_on(&self, mut run: Run, job: &jobs::Job, held: &mut Option<State>, progress: &Progress) -> Result<Summary> {
        progress.set_job(job.id.0);
        progress.set_bytes_total(run.source.file_bytes());
        reports::check(&run.layout.location, &run.parameters).map_err(|error| error.of_job(job.id))?;
        let loading = Instant::now();
        progress.set_stage(Stage::Loading);
        let state = self.load(held, &run.needs())?;
        let load_s = loading.elapsed().as_secs_f64();
        let pass = Pass::going_on(job, &run, run.parameters.processed.is_some());
        if !pass.processed {
            // An earlier run went on without it: it is no report of this job any more.
            run.parameters.processed = None;
        }
        let (state, summary) = self.complete(run, state, pass, job.start.balance_before, load_s, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    /// The real pass, then reports, the end of the job, caches and the summary.
    fn complete(
        &self,
        run: Run,
        state: State,
        pass: Pass,
        balance_before: Total,
        load_s: f64,
        progress: &Progress,
    ) -> Result<(State, Summary)> {
        let id = pass.job.ok_or_else(|| Error::internal("a real pass has a job"))?;
        let elapsed_before = pass.checkpoint.elapsed_ms;
        let applying = Instant::now();
        let (mut state, committed, is_finished) =
            self.pass(&run, state, pass, progress).map_err(|error| error.of_job(id))?;
        let apply_s = applying.elapsed().as_secs_f64();
        if !is_finished {
            let error = stopped(Some(id));
            return Err(if run.layout.is_stream {
                error.hint(format!("the rest of the stream is lost: `tidemill job resume {id}` tells where it stopped"))
            } else {
                error
            });
        }
        progress.set_stage(Stage::Finishing);
        let counts = &committed.checkpoint.counts;
        if !counts.is_balanced() {
            return Err(
                Error::internal(format!("job {id} is done, but its counts do not add up: {counts:?}")).of_job(id)
            );
        }
        // Reports come before the window that says "finished": whoever repeats a command that ended in between gets them.
        reports::write_rejects(&self.store, id, &run.parameters)?;
        let elapsed_ms = elapsed_before + (self.opening + run.began.elapsed()).as_millis() as u64;
        finish(&self.target(Some(id), progress, run.began), id, &committed, elapsed_ms)
            .map_err(|error| error.of_job(id))?;
        if run.layout.is_spooled {
            // The job is finished, and needs it no more; if this fails, it goes when the store is opened next.
            let _ = std::fs::remove_file(&run.layout.location);
        }
        let mut summary = run.summary(Some(id), JobState::Finished, &committed, balance_before, elapsed_ms, progress);
        summary.list_reports(&run.parameters.rejects, &run.parameters.processed);
        // The rows are durable. Caches that cannot be written now are written by a later job; nothing is lost.
        let finishing = Instant::now();
        self.pool
            .install(|| caches::write_behind(&self.store, &mut state, self.options.cache_lag_entries_min))
            .map_err(|error| error.of_job(id))?;
        let window_ms = [0.5, 0.99, 1.0].map(|quantile| committed.window_ms.value_at_quantile(quantile));
        summary.cost = Some(Cost {
            load_s,
            apply_s,
            finish_s: finishing.elapsed().as_secs_f64(),
            log_bytes: committed.log_bytes,
            processed_bytes: committed.checkpoint.processed_bytes,
            windows: committed.window_ms.len(),
            window_ms,
        });
        progress.set_stage(Stage::Done);
        Ok((state, summary))
    }

    /// One pass over the file from its checkpoint; whether the file was read to its end.
    fn pass(&self, run: &Run, state: State, pass: Pass, progress: &Progress) -> Result<(State, Committed, bool)> {
        progress.set_stage(Stage::Applying);
        match run.kind {
            JobKind::ImportCustomers => self.pass_customers(run, state, pass, progress),
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
        let PointsColumns { identifiers, amount, operation } =
            PointsRules::columns_of(&run.layout.mapping, parameters.mode)?;
        let settings = &parameters.settings;
        let rules = PointsRules {
            dialect: run.layout.dialect,
            columns: run.layout.mapping.columns,
            identifiers,
            amount,
            operation,
            words: PointsRules::words_of(&run.layout.format),
            format: run.layout.format.clone(),
            mode: parameters.mode,
            on_unknown: parameters.on_unknown,
            on_overdraft: parameters.on_overdraft,
            on_repeat: parameters.on_repeat,
            decimals: run.program.decimals,
            numbers: run.layout.number_style(),
            conversion: parameters.conversion,
            region: settings.region,
            seed: self.store.settings().seed,
            job: pass.job.unwrap_or(JobId(0)),
            now: run.now,
            processed: pass.processed,
        };
        let book = AccountBook::take(&mut state, parameters.program, parameters.on_overdraft)?;
        let (next_sequence, balance) = (book.next_sequence(), book.total());
        let table = RwLock::new(std::mem::take(&mut state.identifiers));
        let position = pass.checkpoint.position;
        let resumed = pass.resumes.map(|job| (&self.store, job));
        let mut applier = PointsApplier::new(&rules, &table, &state, book, position, pass.customers_before, resumed)?;
        let target = self.target(pass.job, progress, run.began);
        let processed = self.processed_file(run, &pass)?;
        let mut reject_out = pass.rejects.as_deref().map(reports::create).transpose()?;
        let mut reject_file = match &mut reject_out {
            Some(out) => Some(self.dry_reject_file(run, &pass, out)?),
            None => None,
        };
        let dry_rejects = reject_file.as_mut().map(|file| Box::new(|row| file.row(&dry(row))) as DryRejects<'_>);
        let mut chunks =
            input::chunks(&run.source, &run.layout, position, self.options.chunk_bytes_max, progress.bytes_counter())?;
        let mut is_finished = false;
        let committed =
            with_committer(&target, pass.checkpoint, processed, next_sequence, balance, dry_rejects, |committer| {
                pipeline::run(
                    &self.pool,
                    self.batches_max(),
                    |batch: &mut PointsBatch| {
                        read_chunk(&mut chunks, progress, &mut is_finished, |chunk| batch.fill(chunk))
                    },
                    |batch| {
                        rules.parse(&table, batch);
                        Ok(())
                    },
                    |batch| {
                        applier.apply(batch);
                        Ok(())
                    },
                    |batch| rules.encode(batch),
                    |batch| committer.take(&batch.output),
                )
            })?;
        reject_file.map(RejectFile::end).transpose()?;
        applier.finish(&mut state);
        state.identifiers = table.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((state, committed, is_finished))
    }

    fn pass_customers(
        &self,
        run: &Run,
        mut state: State,
        pass: Pass,
        progress: &Progress,
    ) -> Result<(State, Committed, bool)> {
        let settings = &run.parameters.settings;
        let rules = CustomersRules {
            dialect: run.layout.dialect,
            columns: run.layout.mapping.columns,
            mapping: run.layout.mapping.clone(),
            decimals: run.program.decimals,
            numbers: run.layout.number_style(),
            dates: run.layout.dates,
            region: settings.region,
            today: settings.today,
            zone: settings.zone.clone(),
            tiers: Tiers::from_parts(&[], &settings.tiers).map_err(Error::corrupt)?,
            seed: self.store.settings().seed,
            job: pass.job.unwrap_or(JobId(0)),
            now: run.now,
            processed: pass.processed,
        };
        let book = AccountBook::take(&mut state, run.parameters.program, OnOverdraft::Reject)?;
        let (next_sequence, balance) = (book.next_sequence(), book.total());
        let mut table = std::mem::take(&mut state.identifiers);
        let mut profiles = state.profiles.take().ok_or_else(|| Error::internal("the profiles were not loaded"))?;
        let position = pass.checkpoint.position;
        let resumed = pass.resumes.map(|job| (&self.store, job, pass.first_record));
        let stored_customers = self.store.positions().customers;
        let mut applier = CustomersApplier::new(
            &rules,
            &mut table,
            &mut profiles,
            book,
            (state.customers, state.next_record, stored_customers),
            run.source.file_bytes(),
            position,
            pass.customers_before,
            resumed,
        )?;
        let target = self.target(pass.job, progress, run.began);
        let processed = self.processed_file(run, &pass)?;
        let mut reject_out = pass.rejects.as_deref().map(reports::create).transpose()?;
        let mut reject_file = match &mut reject_out {
            Some(out) => Some(self.dry_reject_file(run, &pass, out)?),
            None => None,
        };
        let dry_rejects = reject_file.as_mut().map(|file| Box::new(|row| file.row(&dry(row))) as DryRejects<'_>);
        let mut chunks =
            input::chunks(&run.source, &run.layout, position, self.options.chunk_bytes_max, progress.bytes_counter())?;
        let mut is_finished = false;
        let committed =
            with_committer(&target, pass.checkpoint, processed, next_sequence, balance, dry_rejects, |committer| {
                pipeline::run(
                    &self.pool,
                    self.batches_max(),
                    |batch: &mut CustomersBatch| {
                        read_chunk(&mut chunks, progress, &mut is_finished, |chunk| batch.fill(chunk))
                    },
                    |batch| {
                        rules.parse(batch);
                        Ok(())
                    },
                    |batch| applier.apply(batch),
                    |batch| rules.encode(batch),
                    |batch| committer.take(&batch.output),
                )
            })?;
        reject_file.map(RejectFile::end).transpose()?;
        let (book, customers, next_record, late) = applier.finish();
        book.give_back(&mut state);
        state.customers = customers;
        state.next_record = next_record;
        state.late_identifiers.extend(late);
        state.identifiers = table;
        state.profiles = Some(profiles);
        Ok((state, committed, is_finished))
    }

    /// A job's layout with its spool where the store lies now: it may have been moved.
    fn found_again(&self, layout: Layout) -> Layout {
        match layout.location.file_name().filter(|_| layout.is_spooled) {
            Some(name) => Layout { location: self.spool_directory().join(name), ..layout },
            None => layout,
        }
    }

    /// A name for a file that a stream is copied to, before it is imported with [`FileRequest::upload`].
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn new_upload(&self) -> Result<PathBuf> {
        uploads::new_file(&self.store)
    }

    /// Removes the input of an import that came as a stream, unless the job can still go on.
    fn drop_upload(&self, file: &FileRequest) -> Result<()> {
        file.upload.as_deref().map_or(Ok(()), |upload| uploads::drop_unless_needed(&self.store, upload))
    }

    fn target<'a>(&'a self, job: Option<JobId>, progress: &'a Progress, began: Instant) -> Target<'a> {
        Target {
            store: &self.store,
            job,
            options: &self.options,
            progress,
            began: began.checked_sub(self.opening).unwrap_or(began),
        }
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

    fn processed_file(&self, run: &Run, pass: &Pass) -> Result<Option<ProcessedFile>> {
        let path = run.parameters.processed.as_deref().filter(|_| pass.processed);
        path.map(|path| ProcessedFile::open(path, pass.checkpoint.processed_bytes, PROCESSED_HEADER)).transpose()
    }

    /// Batches under way: enough that every worker has one and one waits at each stage between.
    fn batches_max(&self) -> usize {
        self.options.threads * 3 + 4
    }
}

impl Pass {
    /// A pass that changes nothing.
    fn dry(state: &State, layout: &Layout) -> Pass {
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
    fn going_on(job: &jobs::Job, run: &Run, processed: bool) -> Pass {
        let mut checkpoint = Checkpoint::of(job.window.as_ref());
        if checkpoint.window == 0 {
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

impl Run {
    /// Lets the spooled input outlive this run: a job is recorded that needs it.
    fn keep_spool(&self) {
        if let Some(spooled) = &self.spooled {
            spooled.keep();
        }
    }

    fn needs(&self) -> Needs {
        Needs {
            kinds: kinds_of(&self.layout.mapping),
            profiles: self.kind == JobKind::ImportCustomers,
            programs: vec![self.parameters.program],
        }
    }

    fn summary(
        &self,
        job: Option<JobId>,
        state: JobState,
        committed: &Committed,
        before: Total,
        elapsed_ms: u64,
        progress: &Progress,
    ) -> Summary {
        let mut summary = Summary::new(SummaryParts {
            job,
            kind: self.kind,
            state,
            format: Some(self.layout.format.name.clone()),
            counts: &committed.checkpoint.counts,
            balance: balances(before, committed.balance_after),
            program: (self.program.code.clone(), self.program.decimals),
            elapsed_ms,
            bytes_read: progress.snapshot().bytes_read,
        });
        summary.ignored_columns.clone_from(&self.layout.mapping.ignored);
        summary.reason.clone_from(&self.parameters.reason);
        summary.input = Some(self.layout.path.display().to_string());
        summary
    }
}

/// The kinds of identifiers that a file names customers by.
fn kinds_of(mapping: &Mapping) -> Vec<IdentifierKind> {
    IdentifierKind::ALL.iter().copied().filter(|&kind| mapping.column(column_of_kind(kind)).is_some()).collect()
}

/// Gives a batch the next chunk; false at the end of the file, or where a stop was asked for.
fn read_chunk(
    chunks: &mut (impl FnMut() -> Result<Option<crate::import::chunk::Chunk>> + Send),
    progress: &Progress,
    is_finished: &mut bool,
    fill: impl FnOnce(crate::import::chunk::Chunk),
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

/// Opens what is to be imported, and finds out how it is to be read; as which kind of file is left open without one.
pub(super) fn understood(file: &FileRequest, kind: Option<Kind>) -> Result<(Source, Layout)> {
    let hints = hints(file);
    let source = source(file)?;
    // An upload, like a stream, is called what the caller calls it.
    let location = file.upload.as_deref().unwrap_or(&file.path);
    let layout = input::understand(&source, location, kind, &hints)?;
    let layout = Layout { path: file.path.clone(), ..layout };
    Ok((source, Layout { is_spooled: file.spooled.is_some(), is_stream: file.stream.is_some(), ..layout }))
}

/// Opens what is to be imported.
pub(super) fn source(file: &FileRequest) -> Result<Source> {
    let hints = hints(file);
    match (&file.spooled, &file.stream) {
        (Some(spooled), _) => input::open(spooled.path(), &hints),
        (None, Some(stream)) => input::open_stream(&file.path, stream.clone(), &hints),
        (None, None) => input::open(file.upload.as_deref().unwrap_or(&file.path), &hints),
    }
}

pub(super) fn hints(file: &FileRequest) -> InputHints {
    InputHints {
        format: file.format.clone(),
        map: file.map.clone(),
        no_header: file.no_header,
        dialect: DialectHints { delimiter: file.delimiter, quote: file.quote },
        encoding: file.encoding.clone(),
        number_format: file.number_format.clone(),
        date_format: file.date_format,
        skip_rows: file.skip_rows,
    }
}

/// A rejected row as the report of a dry run has it.
fn dry(row: jobs::RejectedRow) -> jobs::RejectedRow {
    jobs::RejectedRow { message: noted(true, &row.message).into_owned(), ..row }
}

/// A job's parameters as its record has them.
fn recorded(parameters: &Parameters) -> Result<serde_json::Value> {
    serde_json::to_value(parameters).map_err(|error| Error::internal(error.to_string()))
}

/// A run that goes on with an unfinished job of the same file: by that job's parameters, whatever was set or edited since.
///
/// # Errors
/// `Usage` when a processed report is asked for that the job cannot give any more.
fn taken_up(run: Run, job: &jobs::Job, is_dry: bool, found_again: impl FnOnce(Layout) -> Layout) -> Result<Run> {
    let recorded = parameters_of(job)?;
    let layout = recorded.layout.clone().ok_or_else(|| Error::internal("an import without a file"))?;
    // The stream that the job kept will do; what was sent again is dropped.
    let kept = found_again(layout.clone());
    let (layout, spooled) = if kept.is_spooled && kept.location.exists() {
        (Layout { path: run.layout.path, ..kept }, None)
    } else {
        let Layout { path, location, is_spooled, .. } = run.layout;
        (Layout { path, location, is_spooled, ..layout }, run.spooled)
    };
    let source = layout.open()?;
    let mut parameters = Parameters { layout: Some(layout.clone()), ..recorded.clone() };
    parameters.rejects = run.parameters.rejects.or(recorded.rejects.filter(|_| !is_dry));
    let has_rows = job.window.is_some();
    let has_report = job.window.as_ref().is_none_or(|(_, record)| record.processed_bytes > 0);
    let begun = recorded.processed.filter(|_| has_report);
    parameters.processed = match run.parameters.processed {
        Some(wanted) if is_dry && has_rows => {
            return Err(Error::usage(format!(
                "job {} has applied a part of this file, so a dry run cannot write `{}`: it has no line for that part",
                job.id,
                wanted.display()
            ))
            .hint(format!("leave `--processed` out, or go on with `tidemill job resume {}`", job.id))
            .of_job(job.id));
        }
        Some(wanted) if has_rows && begun.as_ref() != Some(&wanted) => {
            let error = Error::usage(format!(
                "job {} has applied a part of this file, and its processed report is {}",
                job.id,
                begun.as_ref().map_or("not written".to_owned(), |path| format!("`{}`", path.display()))
            ));
            return Err(match &begun {
                Some(path) => error.hint(format!("repeat the command with `--processed {}`", path.display())),
                None => error.hint("repeat the command without `--processed`"),
            }
            .of_job(job.id));
        }
        Some(wanted) => Some(wanted),
        None if is_dry => None,
        None => begun,
    };
    Ok(Run {
        kind: run.kind,
        parameters,
        layout,
        source,
        program: run.program,
        now: job.start.now,
        began: run.began,
        spooled,
    })
}

/// Compares what a dry pass counted with what the caller expects.
fn check_expectations(program: &Program, request: &JobRequest, counts: &Counts) -> Result<()> {
    let refused = |code, message: String| {
        Err(Error::refused(code, message)
            .hint("nothing was changed; look with `--dry-run --processed FILE`, then correct file or expectation"))
    };
    if let Some(rows) = request.expect_rows.filter(|&rows| rows != counts.read) {
        return refused("expect_rows", format!("the file has {} rows, {rows} were expected", counts.read));
    }
    if let Some(expected) = &request.expect_total {
        let total = counts.amounts_total();
        let wanted =
            parse_amount(expected, program.decimals, crate::domain::points::NumberStyle::PLAIN).map_err(|problem| {
                Error::new(ErrorKind::Usage, "usage", format!("`--expect-total {expected}` {}", problem.message()))
            })?;
        if i128::from(wanted) != total {
            let found = amount_text(total, program.decimals);
            return refused("expect_total", format!("the file's amounts sum up to {found}, {expected} was expected"));
        }
    }
    match request.max_rejects {
        Some(MaxRejects::Rows(max)) if counts.rejected > max => {
            refused("max_rejects", format!("{} rows would be rejected, at most {max} were allowed", counts.rejected))
        }
        Some(MaxRejects::Percent(max)) if counts.rejected * 100 > counts.read * u64::from(max) => refused(
            "max_rejects",
            format!("{} of {} rows would be rejected, at most {max} % were allowed", counts.rejected, counts.read),
        ),
        _ => Ok(()),
    }
}
