//! Running an import: understand the file, refuse what must be refused, load, apply, make durable, report.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    clock,
    domain::{
        command::{OnRepeat, OnUnknown},
        expiring::Expiring,
        id::{JobId, ProgramId},
        identifier::IdentifierKind,
        job::{JobKind, JobStart, JobState, Total},
        program::Program,
        time::{Timestamp, tz_version},
    },
    engine::{
        Engine, balances,
        earlier::{refuse_changed, taken_up},
        expectations,
        expiry_update::expiring,
        parameters::{JobSettings, Parameters},
        parameters_of,
        pass::Pass,
        reading::understood,
        reports::{self, absolute},
        request::{CustomersRequest, JobRequest, PointsRequest, ResumeRequest},
        tell::notify_of,
    },
    error::{Error, ErrorKind, Result},
    import::{
        customers,
        fingerprint::{fingerprint, fingerprint_of},
        format::{ColumnField, Kind, Mapping},
        input::{self, Layout},
        points::PointsRules,
        rows::column_of_kind,
        source::Source,
        spool::Spooled,
    },
    job::{
        committer::{Checkpoint, Committed, Target, finish, stopped},
        progress::{Progress, Stage},
    },
    report::summary::{Cost, Summary, SummaryParts},
    sabotage::{self, Promise},
    store::{
        caches, disk, jobs,
        log::Commit,
        state::{Needs, State},
    },
};

/// Everything that an import's run is made of.
pub(super) struct Run {
    pub(super) kind: JobKind,
    pub(super) parameters: Parameters,
    pub(super) layout: Layout,
    pub(super) source: Source,
    pub(super) program: Program,
    /// The programs that its rows can name.
    programs: Vec<ProgramId>,
    pub(super) now: Timestamp,
    pub(super) began: Instant,
    /// The stream that it reads, if it is no file.
    pub(super) spooled: Option<Spooled>,
}

/// What of the store was there before a job.
struct Before {
    balance: Total,
    /// Of the other programs that its rows can name.
    others: BTreeMap<u16, Total>,
    /// When the program's points expired, of a job on expiry.
    expiring: Option<Expiring>,
}

impl Engine {
    /// Applies a points file.
    ///
    /// # Errors
    /// `Usage` when the file and the request do not fit; `Refused` (nothing changed) for a repeat or an expectation that
    /// failed; `Stopped` on request; `Input`, `Storage` and `Corrupt` as they say.
    pub fn import_points(&self, job: &JobRequest, request: &PointsRequest, progress: &Progress) -> Result<Summary> {
        let _listed = self.running.list(JobKind::ImportPoints, request.file.path.clone(), progress);
        self.points(job, request, progress)
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
        let mode = PointsRules::mode_of(&layout, request.mode)?;
        PointsRules::columns_of(&layout.mapping, mode)?;
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
            settings: JobSettings::of(&self.store, now),
            mode,
            on_unknown: request.on_unknown,
            on_overdraft: request.on_overdraft,
            on_repeat: request.on_repeat,
            conversion: request.conversion,
            as_of: None,
            only_program: false,
            key: None,
            phone_digits: None,
            undo: None,
            notifications: None,
            bulk: None,
            expiry: None,
            notify: notify_of(job)?,
            rejects: absolute(job.rejects.as_deref())?,
            processed: absolute(job.processed.as_deref())?,
        };
        let spooled = request.file.spooled.clone();
        Ok(Run::new(JobKind::ImportPoints, parameters, layout, source, program, now, began, spooled))
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
        self.customers_run(job, request).and_then(|run| self.begin(run, job, progress))
    }

    /// What an import of customers is made of.
    pub(super) fn customers_run(&self, job: &JobRequest, request: &CustomersRequest) -> Result<Run> {
        let began = Instant::now();
        let (source, layout) = understood(&request.file, Some(Kind::Customers))?;
        if let Some(key) = request.key.filter(|&key| layout.mapping.column(column_of_kind(key)).is_none()) {
            let name = key.name();
            return Err(Error::usage(format!("the file has no column for `{name}`, which is to be the key"))
                .hint(format!("name it with `--map \"Header={name}\"`, or choose another `--key`")));
        }
        let (program_id, program) = self.program(job.program.as_deref())?;
        let now = job.now.unwrap_or_else(clock::now);
        let settings = self.store.settings();
        let parameters = Parameters {
            layout: Some(layout.clone()),
            program: program_id,
            program_code: program.code.clone(),
            reason: job.reason.clone(),
            comment: job.comment.clone().or_else(|| settings.default_comment.clone()),
            settings: JobSettings::of(&self.store, now),
            mode: None,
            on_unknown: OnUnknown::Create,
            on_overdraft: customers::ON_OVERDRAFT,
            on_repeat: OnRepeat::First,
            conversion: None,
            as_of: None,
            only_program: false,
            key: request.key,
            phone_digits: request.phone_digits,
            undo: None,
            notifications: absolute(request.notifications.as_deref())?,
            bulk: None,
            expiry: None,
            notify: notify_of(job)?,
            rejects: absolute(job.rejects.as_deref())?,
            processed: absolute(job.processed.as_deref())?,
        };
        let spooled = request.file.spooled.clone();
        Ok(Run::new(JobKind::ImportCustomers, parameters, layout, source, program, now, began, spooled))
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
        match job.start.kind {
            JobKind::Expire => return self.resume_expire(&job, &mut held, began, progress),
            JobKind::Undo => return self.resume_undo(&job, request, &mut held, began, progress),
            kind if kind.is_bulk() => return self.resume_bulk(&job, &mut held, began, progress),
            _ => {}
        }
        let mut parameters = parameters_of(&job)?;
        let layout = parameters.layout.clone();
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
        let fingerprint = self.pool.install(|| fingerprint(&source, &parameters.identity()))?;
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
        let run = Run::new(job.start.kind, parameters, layout, source, program, job.start.now, began, None);
        self.go_on(run, &job, &mut held, progress)
    }

    pub(super) fn begin(&self, run: Run, request: &JobRequest, progress: &Progress) -> Result<Summary> {
        progress.set_bytes_total(run.source.file_bytes());
        reports::check(&run.layout.location, &run.parameters)?;
        let mut held = self.state_for_job(request.no_wait, progress)?;
        if progress.is_stopped() {
            return Err(stopped(None));
        }
        if held.is_none() {
            // The disk works while the file is fingerprinted.
            caches::read_ahead(&self.store, &run.needs());
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
            // Its bytes were hashed on their way.
            Some(spooled) => {
                input::prove(&run.source)?;
                fingerprint_of(spooled.content(), &identity)
            }
            // Nobody knows what a stream holds before it is read.
            _ if run.layout.is_stream => String::new(),
            _ => self.pool.install(|| fingerprint(&run.source, &identity))?,
        };
        let all = jobs::jobs(&self.store)?;
        let same = all
            .iter()
            .rev()
            .filter(|earlier| earlier.start.kind == run.kind && !fingerprint.is_empty())
            .filter(|earlier| earlier.start.fingerprint == fingerprint && !sabotage::is_on(Promise::Repeat))
            // One that was given up before its first row left nothing that could be done twice.
            .filter(|earlier| earlier.state() != JobState::Cancelled || earlier.rows_read() > 0);
        let mut earlier = None;
        for job in same {
            // Nor did one that was undone.
            if jobs::undone_by(&self.store, job.id)?.is_none() {
                earlier = Some(job.clone());
                break;
            }
        }
        match earlier {
            Some(earlier) if earlier.state() == JobState::Unfinished => {
                let run = taken_up(run, &earlier, request.dry_run, |layout| self.found_again(layout))?;
                if request.dry_run {
                    return self.look_ahead(&run, Some(&earlier), request, &mut held, progress);
                }
                if expects {
                    self.expect(&run, Some(&earlier), request, &mut held, progress)
                        .map_err(|error| match error.kind() {
                            ErrorKind::Refused => {
                                let id = earlier.id;
                                let hint = format!(
                                    "what job {id} applied before stays, and nothing was added; go on without the condition, \
                                     or give it up with `tidemill job cancel {id}`"
                                );
                                error.hint(hint).of_job(id)
                            }
                            _ => error.of_job(earlier.id),
                        })?;
                }
                let known = parameters_of(&earlier)?;
                if earlier.window.is_none() || known.notify != run.parameters.notify {
                    // As long as nothing came of it, it may still learn of other reports, and until it ends whom to tell; later
                    // runs find them here.
                    let parameters = match earlier.window {
                        None => run.parameters.clone(),
                        Some(_) => Parameters { notify: run.parameters.notify.clone(), ..known.clone() },
                    };
                    let mut commit = Commit::default();
                    let start = JobStart { parameters: recorded(&parameters)?, ..earlier.start.clone() };
                    jobs::put_start(&mut commit, earlier.id, &start)?;
                    self.store.log().commit(&commit)?;
                }
                if earlier.window.is_none() {
                    run.keep_spool();
                }
                let recorded = known.layout;
                let summary = self.go_on(run, &earlier, &mut held, progress)?;
                // The input that the job began with, if it came as a stream, and this time as another one.
                self.drop_spool(recorded);
                return Ok(summary);
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
            None if !request.again && !request.dry_run => refuse_changed(&run, &all)?,
            _ => {}
        }
        if request.dry_run {
            return self.look_ahead(&run, None, request, &mut held, progress);
        }
        let needs = run.needs();
        if expects {
            self.expect(&run, None, request, &mut held, progress)?;
        }
        let loading = Instant::now();
        progress.set_stage(Stage::Loading);
        let state = self.load(&mut held, &needs)?;
        let load_s = loading.elapsed().as_secs_f64();
        let balance_before = Total(state.accounts(run.parameters.program)?.total);
        let expiring_before = run.expiring(&state)?;
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let id = JobId(self.store.newest_job()?.0 + 1);
        let start = JobStart {
            kind: run.kind,
            now: run.now,
            tz_version: tz_version(),
            parameters: recorded(&run.parameters)?,
            fingerprint,
            balance_before,
            other_balances_before: other_balances(&state, run.parameters.program),
            customers_before: state.customers,
            first_record: state.next_record,
            first_sequence: state.next_sequence,
            expiring_before: expiring_before.clone(),
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
        let before = Before { balance: balance_before, others: start.other_balances_before, expiring: expiring_before };
        let (state, summary) = self.complete(run, state, pass, before, load_s, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    /// Reads the file once in advance, or what is left of it, and refuses the job unless it does as was expected.
    fn expect(
        &self,
        run: &Run,
        resumed: Option<&jobs::Job>,
        request: &JobRequest,
        held: &mut Option<State>,
        progress: &Progress,
    ) -> Result<()> {
        progress.set_stage(Stage::Loading);
        let state = self.load(held, &run.needs())?;
        let dry = match resumed {
            Some(job) => Pass { job: None, ..Pass::going_on(job, run, false) },
            None => Pass::dry(&state, &run.layout),
        };
        let (_, committed, is_finished) = self.pass(run, state, dry, progress)?;
        if !is_finished {
            return Err(stopped(None));
        }
        expectations::check(&run.program, &self.store.programs(), request, &committed.checkpoint.counts)
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
        let loading = Instant::now();
        let state = self.load(held, &run.needs())?;
        let load_s = loading.elapsed().as_secs_f64();
        let mut pass = match resumed {
            Some(job) => Pass { job: None, ..Pass::going_on(job, run, false) },
            None => Pass::dry(&state, &run.layout),
        };
        pass.processed = run.parameters.processed.is_some();
        pass.rejects.clone_from(&run.parameters.rejects);
        pass.checkpoint.processed_bytes = 0;
        let elapsed_before = pass.checkpoint.elapsed_ms;
        let before = Total(state.accounts(run.parameters.program)?.total);
        let others = match resumed {
            Some(job) => job.start.other_balances_before.clone(),
            None => other_balances(&state, run.parameters.program),
        };
        let before = resumed.map_or(before, |job| job.start.balance_before);
        let expiring = match resumed {
            Some(job) => job.start.expiring_before.clone(),
            None => run.expiring(&state)?,
        };
        let before = Before { balance: before, others, expiring };
        let applying = Instant::now();
        let (_, committed, is_finished) = self.pass(run, state, pass, progress)?;
        let apply_s = applying.elapsed().as_secs_f64();
        if !is_finished {
            return Err(stopped(None));
        }
        expectations::check(&run.program, &self.store.programs(), request, &committed.checkpoint.counts)?;
        let elapsed_ms = elapsed_before + (self.opening + run.began.elapsed()).as_millis() as u64;
        let mut summary = run.summary(
            None,
            JobState::Finished,
            &committed,
            &before,
            elapsed_ms,
            progress,
            self.named(&before.others),
        );
        summary.list_reports(&run.parameters.rejects, &run.parameters.processed, &None);
        let processed_bytes = committed.checkpoint.processed_bytes;
        summary.cost = Some(Cost { load_s, apply_s, processed_bytes, ..Cost::default() });
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
        let before = Before {
            balance: job.start.balance_before,
            others: job.start.other_balances_before.clone(),
            expiring: job.start.expiring_before.clone(),
        };
        let (state, summary) = self.complete(run, state, pass, before, load_s, progress)?;
        *held = Some(state);
        Ok(summary)
    }

    /// The real pass, then reports, the end of the job, caches and the summary.
    fn complete(
        &self,
        run: Run,
        state: State,
        pass: Pass,
        before: Before,
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
        let mut summary = run.summary(
            Some(id),
            JobState::Finished,
            &committed,
            &before,
            elapsed_ms,
            progress,
            self.named(&before.others),
        );
        let Parameters { rejects, processed, notifications, .. } = &run.parameters;
        summary.list_reports(rejects, processed, notifications);
        state = self.adjust_between(state).map_err(|error| error.of_job(id))?;
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

    /// A job's layout with its spool where the store lies now: it may have been moved.
    fn found_again(&self, layout: Layout) -> Layout {
        match layout.location.file_name().filter(|_| layout.is_spooled) {
            Some(name) => Layout { location: self.spool_directory().join(name), ..layout },
            None => layout,
        }
    }

    /// Removes the spooled input of a job that needs it no more. If that fails, it goes when the store is opened next.
    pub(super) fn drop_spool(&self, layout: Option<Layout>) {
        if let Some(layout) = layout.filter(|layout| layout.is_spooled) {
            let _ = std::fs::remove_file(self.found_again(layout).location);
        }
    }

    pub(super) fn target<'a>(&'a self, job: Option<JobId>, progress: &'a Progress, began: Instant) -> Target<'a> {
        Target {
            store: &self.store,
            job,
            options: &self.options,
            progress,
            began: began.checked_sub(self.opening).unwrap_or(began),
        }
    }
}

impl Run {
    /// A run of these parts.
    #[expect(clippy::too_many_arguments, reason = "each is a part that comes from somewhere else")]
    pub(super) fn new(
        kind: JobKind,
        parameters: Parameters,
        layout: Layout,
        source: Source,
        program: Program,
        now: Timestamp,
        began: Instant,
        spooled: Option<Spooled>,
    ) -> Run {
        const NAMING: [ColumnField; 3] = [ColumnField::Program, ColumnField::Currency, ColumnField::Account];
        let programs = if NAMING.iter().any(|&field| layout.mapping.column(field).is_some()) {
            (0..parameters.settings.programs).map(ProgramId).collect()
        } else {
            vec![parameters.program]
        };
        Run { kind, parameters, layout, source, program, programs, now, began, spooled }
    }

    /// Lets the spooled input outlive this run: a job is recorded that needs it.
    fn keep_spool(&self) {
        if let Some(spooled) = &self.spooled {
            spooled.keep();
        }
    }

    pub(super) fn needs(&self) -> Needs {
        Needs {
            kinds: kinds_of(&self.layout.mapping),
            profiles: self.kind == JobKind::ImportCustomers,
            programs: self.programs.clone(),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part that comes from somewhere else")]
    fn summary(
        &self,
        job: Option<JobId>,
        state: JobState,
        committed: &Committed,
        before: &Before,
        elapsed_ms: u64,
        progress: &Progress,
        others: BTreeMap<u16, (String, u8, Total)>,
    ) -> Summary {
        let mut summary = Summary::new(SummaryParts {
            job,
            kind: self.kind,
            state,
            format: Some(self.layout.format.name.clone()),
            counts: &committed.checkpoint.counts,
            balance: balances(before.balance, committed.balance_after),
            program: (self.program.code.clone(), self.program.decimals),
            others,
            elapsed_ms,
            bytes_read: progress.snapshot().bytes_read,
        });
        summary.ignored_columns.clone_from(&self.layout.mapping.ignored);
        summary.reason.clone_from(&self.parameters.reason);
        summary.input = Some(self.layout.path.display().to_string());
        summary.encoding = Some(self.layout.encoding.clone());
        if let (Some(before), Some(after)) = (&before.expiring, &committed.expiring_after) {
            summary.tell_expiring(before, after, self.program.decimals, self.parameters.expiry.as_ref());
        }
        summary
    }

    /// When the program's points expire, of a job on expiry.
    fn expiring(&self, state: &State) -> Result<Option<Expiring>> {
        if self.kind != JobKind::ImportExpiry {
            return Ok(None);
        }
        expiring(state, self.parameters.program, self.parameters.settings.today).map(Some)
    }
}

/// The kinds of identifiers that a file names customers by.
fn kinds_of(mapping: &Mapping) -> Vec<IdentifierKind> {
    IdentifierKind::ALL.iter().copied().filter(|&kind| mapping.column(column_of_kind(kind)).is_some()).collect()
}

/// A job's parameters as its record has them.
fn recorded(parameters: &Parameters) -> Result<serde_json::Value> {
    serde_json::to_value(parameters).map_err(|error| Error::internal(error.to_string()))
}

/// Sums of the balances of the programs besides the job's that its rows can name.
fn other_balances(state: &State, main: ProgramId) -> BTreeMap<u16, Total> {
    let others = state.accounts.iter().filter(|(program, _)| **program != main);
    others.map(|(program, accounts)| (program.0, Total(accounts.total))).collect()
}
