//! Bulk operations: one command for all customers that a filter means.

use std::{path::PathBuf, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};

use super::{
    CACHE_KINDS, Engine,
    adjust::LiveDesk,
    balances, expectations,
    parameters::{JobSettings, Parameters},
    parameters_of,
    reading::understood,
    reports::{self, absolute},
    request::{BulkOperation, BulkRequest, JobRequest, Points, PointsExpiry, SelectionRequest},
    tell::notify_of,
    view::{ConditionView, CountView, ExplainView, SampleView},
};
use crate::{
    bulk::{
        batch::{AMOUNT_OUT_OF_RANGE, BulkBatch, BulkReader, BulkRules},
        scan::{Scan, Trace},
        selection::{Selected, Selection},
    },
    clock,
    domain::{
        apply::{Effect, apply},
        bulk::{BulkAmount, BulkCommand, Rate},
        command::{OnOverdraft, Operation},
        entry::EntryText,
        expiry::LotSelector,
        filter::Filter,
        id::{CustomerId, JobId, ProgramId},
        identifier::IdentifierKind,
        job::{Counts, JobKind, JobStart, JobState, Position, Total, WindowRecord},
        lot::{Lot, LotState},
        outcome::Status,
        points::{NumberStyle, parse_amount},
        program::Program,
        reference::reference_hash,
        tier::Tiers,
        time::{Date, Timestamp, tz_version},
    },
    error::{Error, Result},
    import::{
        fingerprint::fingerprint,
        format::Kind,
        input,
        list::{ListBatch, ListRules, put_processed},
        points::PROCESSED_HEADER,
        rows::noted,
        source::Source,
    },
    job::{
        committer::{Checkpoint, Committed, DryRejects, GrowingReports, finish, stopped, with_committer},
        growing_file::GrowingFile,
        pipeline,
        progress::{Progress, Stage},
    },
    ledger::account_book::{AccountBook, BookRules},
    report::{
        amount::amount_text,
        rejects::RejectFile,
        summary::{Cost, Summary, SummaryParts},
    },
    store::{
        caches, cold, disk,
        filter_columns::{ColumnId, FilterColumns},
        filter_page::{Attribute, MISSING},
        identifiers::IdentifierTable,
        jobs::{self, Job},
        lock,
        log::Commit,
        names::Names,
        state::{Needs, State},
        view::View,
    },
};

/// Customers that a count shows.
const SAMPLE_MAX: usize = 50;

/// What is recorded of a bulk operation besides what all jobs have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BulkParameters {
    /// What is done to each customer; days are resolved.
    pub command: BulkCommand,
    /// Whom, as it was asked for.
    pub selection: SelectionRequest,
    /// Which promised points become available, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised: Option<String>,
    /// What makes two commands the same.
    pub identity: String,
    /// Customers that it means; whether each has an amount of its own.
    #[serde(default)]
    pub selected: u64,
}

impl BulkParameters {
    /// Whom it means, in words; `has_file`: among those whom a file names.
    pub fn selection_text(&self, has_file: bool) -> String {
        let of = self.selection.text(has_file);
        match &self.promised {
            None => of,
            Some(promised) if of.is_empty() => promised.clone(),
            Some(promised) => format!("{promised}; {of}"),
        }
    }
}

/// A request that is understood.
struct Understood {
    kind: JobKind,
    parameters: Parameters,
    bulk: BulkParameters,
    program_id: ProgramId,
    program: Program,
    source: Option<Source>,
    now: Timestamp,
}

/// What a file of customers said.
#[derive(Default)]
struct Listed {
    selection: Selection,
    rejects: Vec<u8>,
    reject_ends: Vec<usize>,
    counts: Counts,
}

/// What is added up of those whom a count means.
#[derive(Default)]
struct Sums {
    points: i128,
    before: i128,
    after: i128,
    refused: u64,
    customers: u64,
    sample: Vec<(u32, i64, i64)>,
}

impl Engine {
    /// Gives to, takes from or sets all customers that a selection means. Whom it means is decided once, and stored with the
    /// job before the first effect. What an unfinished job of the same command left is gone on with.
    ///
    /// # Errors
    /// `Usage` for what cannot be; `Refused` (nothing changed) without a selection, for a file that was used by the same
    /// command before, or an expectation that failed; `Stopped` on request; `Input`, `Storage` and `Corrupt` as they say.
    pub fn bulk(&self, job: &JobRequest, request: &BulkRequest, progress: &Progress) -> Result<Summary> {
        let began = Instant::now();
        progress.set_stage(Stage::Preparing);
        if job.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Error::usage("a bulk operation needs a reason")
                .hint("say why the points move, for your own staff: `--reason \"Spring campaign\"`"));
        }
        let understood = self.understood_bulk(job, request, false)?;
        let input = understood.parameters.layout.as_ref().map_or_else(PathBuf::new, |layout| layout.path.clone());
        let _listed = self.running.list(understood.kind, input, progress);
        if let Some(layout) = &understood.parameters.layout {
            reports::check(&layout.location, &understood.parameters)?;
        } else {
            reports::check(&PathBuf::new(), &understood.parameters)?;
        }
        let mut held = self.state_for_job(job.no_wait, progress)?;
        if progress.is_stopped() {
            return Err(stopped(None));
        }
        let fingerprint = match &understood.source {
            Some(source) => self.pool.install(|| fingerprint(source, &understood.bulk.identity))?,
            None => blake3::hash(understood.bulk.identity.as_bytes()).to_hex().to_string(),
        };
        let mut earlier = None;
        for job in jobs::jobs(&self.store)?.into_iter().rev() {
            let is_same = job.start.kind == understood.kind && job.start.fingerprint == fingerprint;
            let counts = match job.state() {
                JobState::Unfinished => is_same,
                // Only a file is known again: the same campaign may be meant every month. What was undone is no repeat.
                JobState::Finished => {
                    is_same && understood.source.is_some() && jobs::undone_by(&self.store, job.id)?.is_none()
                }
                JobState::Cancelled => false,
            };
            if counts {
                earlier = Some(job);
                break;
            }
        }
        match earlier {
            Some(earlier) if earlier.state() == JobState::Unfinished => {
                if job.dry_run {
                    let id = earlier.id;
                    return Err(Error::refused("job_unfinished", format!("job {id} is this command, and unfinished"))
                        .hint(format!(
                            "go on with `tidemill job resume {id}`, or give it up with `tidemill job cancel {id}`"
                        ))
                        .of_job(id));
                }
                let earlier = self.repeated(&understood.parameters, earlier)?;
                return self.resume_bulk(&earlier, &mut held, began, progress);
            }
            Some(earlier) if !job.again => {
                return Err(Error::refused(
                    "repeated_file",
                    format!("job {} used this file already, with the same operation and selection", earlier.id),
                )
                .hint("nothing was changed; if it is meant to be applied twice, add `--again`")
                .of_job(earlier.id));
            }
            _ => {}
        }
        progress.set_stage(Stage::Loading);
        let loading = Instant::now();
        let mut state = self.load(&mut held, &understood.needs())?;
        let listed = self.listed(&understood, &state, progress)?;
        let among = listed.as_ref().map(|listed| &listed.selection);
        let selected = self.mended(Some(&held), || self.select(&understood, Some(&state), among))?;
        let selected = with_promises(selected, &understood, &state)?;
        let listed = listed.unwrap_or_default();
        let load_s = loading.elapsed().as_secs_f64();
        let expects = job.max_rejects.is_some() || job.expect_rows.is_some() || job.expect_total.is_some();
        let mut parameters = understood.parameters.clone();
        let mut bulk = understood.bulk.clone();
        bulk.selected = selected.selection.count();
        parameters.bulk = Some(bulk);
        let start = JobStart {
            kind: understood.kind,
            now: understood.now,
            tz_version: tz_version(),
            parameters: serde_json::to_value(&parameters).map_err(|error| Error::internal(error.to_string()))?,
            fingerprint,
            balance_before: Total(state.accounts(understood.program_id)?.total),
            other_balances_before: Default::default(),
            customers_before: state.customers,
            first_record: state.next_record,
            first_sequence: state.next_sequence,
            expiring_before: None,
        };
        if job.dry_run || expects {
            let checkpoint = Checkpoint { counts: listed.counts.clone(), ..Checkpoint::default() };
            let (_, summary, counts) = self.run_bulk(
                None,
                &start,
                &parameters,
                &selected,
                &listed,
                checkpoint,
                state,
                load_s,
                began,
                progress,
            )?;
            expectations::check(&understood.program, &self.store.programs(), job, &counts)?;
            if job.dry_run {
                return Ok(summary);
            }
            state = self.load(&mut held, &understood.needs())?;
        }
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let id = JobId(self.store.newest_job()?.0 + 1);
        let mut commit = Commit::default();
        jobs::put_start(&mut commit, id, &start)?;
        jobs::put_selection(&mut commit, id, &selected.parts()?);
        let mut checkpoint = Checkpoint::default();
        if listed.counts.read > 0 {
            // The rows of the file that name nobody are there from the start, whatever comes.
            checkpoint = Checkpoint { window: 1, counts: listed.counts.clone(), ..checkpoint };
            let sequence = state.next_sequence;
            let record = WindowRecord {
                state: JobState::Unfinished,
                counts: listed.counts.clone(),
                position: Position::default(),
                processed_bytes: 0,
                notified_bytes: 0,
                bytes_read: progress.snapshot().bytes_read,
                balance_after: start.balance_before,
                elapsed_ms: 0,
                sequences: (sequence, sequence),
                expiring_after: None,
            };
            jobs::put_window(&mut commit, id, 1, &record, &[], &listed.rejects, &listed.reject_ends)?;
        }
        self.store.log().commit(&commit)?;
        progress.set_job(id.0);
        let (state, summary, _) = self.run_bulk(
            Some(id),
            &start,
            &parameters,
            &selected,
            &listed,
            checkpoint,
            state,
            load_s,
            began,
            progress,
        )?;
        *held = Some(state);
        Ok(summary)
    }

    /// Goes on with an unfinished one, for the customers that it chose then.
    pub(super) fn resume_bulk(
        &self,
        job: &Job,
        held: &mut Option<State>,
        began: Instant,
        progress: &Progress,
    ) -> Result<Summary> {
        let parameters = parameters_of(job)?;
        let _listed = self.running.list(job.start.kind, PathBuf::new(), progress);
        progress.set_job(job.id.0);
        progress.set_stage(Stage::Loading);
        let loading = Instant::now();
        let mut selected = Selected::default();
        jobs::selection(&self.store, job.id, |body| selected.add_part(body))?;
        let state = self.load(held, &needs_of(&parameters, Vec::new()))?;
        let load_s = loading.elapsed().as_secs_f64();
        let checkpoint = Checkpoint::of(job.window.as_ref());
        // The file was read to its end before the first customer.
        let bytes_read = job.window.as_ref().map_or(0, |(_, record)| record.bytes_read);
        progress.bytes_counter().store(bytes_read, std::sync::atomic::Ordering::Relaxed);
        let listed = Listed::default();
        let (state, summary, _) = self.run_bulk(
            Some(job.id),
            &job.start,
            &parameters,
            &selected,
            &listed,
            checkpoint,
            state,
            load_s,
            began,
            progress,
        )?;
        *held = Some(state);
        Ok(summary)
    }

    /// Whom a selection means, how many points that makes, and what the balances would be. Changes nothing, and waits for no
    /// job.
    ///
    /// # Errors
    /// As `bulk`.
    pub fn bulk_count(&self, job: &JobRequest, request: &BulkRequest, progress: &Progress) -> Result<CountView> {
        self.mended(None, || self.count(job, request, progress))
    }

    /// Does it again where a cache was damaged, which is made again from the logs then. `held` is there if the state is ours.
    fn mended<T>(&self, held: Option<&Option<State>>, work: impl Fn() -> Result<T>) -> Result<T> {
        let mut result = work();
        for _ in 0..CACHE_KINDS {
            let Some(cache) = result.as_ref().err().and_then(Error::damaged_cache) else { break };
            let lent = if held.is_none() { Some(self.state()) } else { None };
            self.distrust(cache, result.as_ref().err())?;
            drop(lent);
            result = work();
        }
        result
    }

    fn count(&self, job: &JobRequest, request: &BulkRequest, progress: &Progress) -> Result<CountView> {
        let began = Instant::now();
        let understood = self.understood_bulk(job, request, true)?;
        let mut held_filters = lock(&self.filters);
        let filters = &mut *held_filters;
        filters.look();
        let view = self.store.view()?;
        let listed = match &understood.source {
            None => None,
            Some(_) => {
                let needs = Needs { kinds: understood.kinds(), ..Needs::default() };
                let state = self.readers.install(|| State::load(&view, &needs))?;
                self.listed(&understood, &state, progress)?
            }
        };
        let (command, decimals) = (understood.bulk.command, understood.program.decimals);
        let basis = basis_of(command.amount);
        let on_overdraft = understood.parameters.on_overdraft;
        // Promises are no column: whose they are is known by the lots.
        let promised = match command.converts {
            None => None,
            Some(selector) => {
                let needs = Needs { programs: vec![understood.program_id], ..Needs::default() };
                Some((selector, self.readers.install(|| State::load(&view, &needs))?))
            }
        };
        let today = understood.parameters.settings.today;
        let kept = |customer: u32| -> i64 {
            let Some((selector, state)) = &promised else { return 0 };
            let lots = state.accounts(understood.program_id).ok().map(|accounts| &accounts.lots);
            let lots = lots.into_iter().flat_map(|lots| lots.of(CustomerId(customer)));
            let is_meant = |lot: &Lot| lot.state == LotState::Promised && !lot.is_overdue(today) && selector.means(lot);
            lots.filter(is_meant).map(|lot| lot.remaining).fold(0, i64::saturating_add)
        };
        let gather = |sums: &mut Sums, customer: u32, values: &[i64]| {
            let balance = values[0];
            let amount = match command.converts {
                None => amount_of(command.amount, basis.map(|_| values[1]), decimals),
                Some(_) => Some(kept(customer)).filter(|&amount| amount > 0),
            };
            if command.converts.is_some() && amount.is_none() {
                return;
            }
            sums.customers += 1;
            let after = match amount.map(|amount| apply(balance, command.with(amount), on_overdraft)) {
                Some(Effect::Entry { balance_after, .. }) => balance_after,
                Some(Effect::Unchanged { .. }) => balance,
                Some(Effect::Rejected(_)) | None => {
                    sums.refused += 1;
                    balance
                }
            };
            sums.before += i128::from(balance);
            sums.after += i128::from(after);
            sums.points += i128::from(after) - i128::from(balance);
            if sums.sample.len() < SAMPLE_MAX {
                sums.sample.push((customer, balance, after));
            }
        };
        let mut values = vec![ColumnId::balance(understood.program_id)];
        values.extend(basis.map(ColumnId::of));
        let among = listed.as_ref().map(|listed| &listed.selection);
        let (filter, scanned) = self.readers.install(|| {
            let tiers = filters.tiers(&view)?;
            let filter = understood.filter(&tiers)?;
            let scan = Scan::new(&filter, understood.program_id, &values);
            let columns = scan.columns();
            let today = understood.parameters.settings.today;
            let state = self.state_of_lots(filters, &view, &columns, today, understood.program_id)?;
            let state = state.as_ref();
            let columns = filters
                .view(&view, &columns, today, state)?
                .ok_or_else(|| Error::internal("lots are not known that were loaded"))?;
            Ok::<_, Error>((filter, scan.run(&columns, among, gather)?))
        })?;
        let text = |amount: i128| amount_text(amount, decimals);
        let mut sums = Sums::default();
        for part in scanned.gathered {
            sums.points += part.points;
            sums.before += part.before;
            sums.after += part.after;
            sums.refused += part.refused;
            sums.customers += part.customers;
            let room = SAMPLE_MAX - sums.sample.len();
            sums.sample.extend(part.sample.into_iter().take(room));
        }
        let sample = |&(customer, before, after): &(u32, i64, i64)| {
            let names = Names::of(&cold::read(&view, CustomerId(customer))?);
            let mut all = names.all().map(|name| name.map(str::to_owned));
            let mut next = || all.next().flatten();
            Ok(SampleView {
                user_id: next(),
                external_id: next(),
                email: next(),
                mobile: next(),
                card: next(),
                points: text(i128::from(after) - i128::from(before)),
                balance_before: text(i128::from(before)),
                balance_after: text(i128::from(after)),
            })
        };
        let sample = sums.sample.iter().map(sample).collect::<Result<Vec<_>>>()?;
        // A debit's points are told as what it takes.
        let points = if command.operation == Operation::Debit { -sums.points } else { sums.points };
        let rejects = listed.as_ref().map(|listed| &listed.counts.rejects);
        Ok(CountView {
            customers: sums.customers,
            points: text(points),
            balance_before: text(sums.before),
            balance_after: text(sums.after),
            sample,
            program: understood.program.code.clone(),
            refused: sums.refused,
            rejects: rejects.into_iter().flatten().map(|(rejection, &count)| (rejection.code(), count)).collect(),
            explain: request.explain.then(|| explained(&scanned.trace, &filter, began)),
        })
    }

    /// What is known of lots whose last day is over, if the columns alone do not tell.
    fn state_of_lots(
        &self,
        filters: &mut FilterColumns,
        view: &View<'_>,
        columns: &[ColumnId],
        today: Date,
        program: ProgramId,
    ) -> Result<Option<State>> {
        if filters.view(view, columns, today, None)?.is_some() {
            return Ok(None);
        }
        State::load(view, &Needs { programs: vec![program], ..Needs::default() }).map(Some)
    }

    fn understood_bulk(&self, job: &JobRequest, request: &BulkRequest, counts: bool) -> Result<Understood> {
        let (program_id, program) = self.program(job.program.as_deref())?;
        let now = job.now.unwrap_or_else(clock::now);
        let settings = JobSettings::of(&self.store, now);
        let selection = &request.selection;
        let converts = matches!(request.operation, BulkOperation::ConvertPromised { .. });
        // Whose promises are kept is said by what they were given for.
        if selection.is_nobody() && !converts {
            return Err(Error::refused("no_selection", "it is not said whose points shall move")
                .hint("nothing was changed; choose customers, for example `--tier gold` or `--balance 300..500`, or say `--all`"));
        }
        if selection.all && (!selection.filter.is_empty() || selection.file.is_some()) {
            return Err(Error::usage("`--all` means everybody, and the other conditions do not").hint("leave one out"));
        }
        let (kind, command) = command_of(&request.operation, program.decimals, settings.today, counts)?;
        let (source, layout) = match &selection.file {
            Some(file) => {
                let (source, layout) = understood(file, Some(Kind::Selection))?;
                (Some(source), Some(layout))
            }
            None => (None, None),
        };
        let on_overdraft = request.on_overdraft.unwrap_or(OnOverdraft::Clamp);
        let conditions =
            serde_json::to_string(&selection.filter).map_err(|error| Error::internal(error.to_string()))?;
        let identity =
            format!("{} {:?} {on_overdraft:?} {conditions} {}", program.code, request.operation, selection.all);
        let settings_comment = self.store.settings().default_comment;
        let mut parameters = Parameters::of_kind(program_id, program.code.clone(), job.reason.clone(), settings);
        parameters.notify = notify_of(job)?;
        parameters.layout = layout;
        parameters.comment = job.comment.clone().or(settings_comment);
        parameters.on_overdraft = on_overdraft;
        parameters.rejects = absolute(job.rejects.as_deref())?;
        parameters.processed = absolute(job.processed.as_deref())?;
        let recorded = SelectionRequest { file: None, ..selection.clone() };
        let bulk = BulkParameters {
            command,
            selection: recorded,
            promised: promised_text(&request.operation),
            identity,
            selected: 0,
        };
        let understood = Understood { kind, parameters, bulk, program_id, program, source, now };
        // What it means is found out before anything waits or is loaded.
        let mut held_filters = lock(&self.filters);
        let filters = &mut *held_filters;
        let view = self.store.view()?;
        understood.filter(&self.readers.install(|| filters.tiers(&view))?)?;
        Ok(understood)
    }

    /// Whom the file of a selection names; none if there is no file. Not to be called on a thread of the pool, which has the
    /// stages to work on and may have no other.
    fn listed(&self, understood: &Understood, state: &State, progress: &Progress) -> Result<Option<Listed>> {
        let (Some(source), Some(layout)) = (&understood.source, &understood.parameters.layout) else { return Ok(None) };
        let region = understood.parameters.settings.region;
        let rules = ListRules::reading(layout, region, self.store.settings().seed);
        // The table is only read, and lent for as long.
        let table: &IdentifierTable = &state.identifiers;
        let mut listed = Listed::default();
        let mut lines = layout.start.lines;
        let counter = progress.bytes_counter();
        progress.set_bytes_total(source.file_bytes());
        let mut chunks =
            input::chunks(source, layout, layout.start, self.options.chunk_bytes_max, Arc::clone(&counter))?;
        let is_stopped = std::sync::atomic::AtomicBool::new(false);
        pipeline::run(
            &self.pool,
            self.batches_max(),
            |batch: &mut ListBatch| {
                if progress.is_stopped() {
                    is_stopped.store(true, std::sync::atomic::Ordering::Relaxed);
                    return Ok(false);
                }
                let chunk = chunks()?;
                Ok(chunk.map(|chunk| batch.fill(chunk)).is_some())
            },
            |batch| {
                rules.parse(table, batch);
                Ok(())
            },
            |_| Ok(()),
            |_| Ok(()),
            |batch| {
                rules.each_row(batch, &mut lines, |customer, rejected| {
                    if let Some(customer) = customer
                        && !listed.selection.add(customer)
                    {
                        listed.counts.customers_repeated += 1;
                    }
                    if let Some((rejection, stored)) = rejected {
                        listed.rejects.extend_from_slice(stored);
                        listed.reject_ends.push(listed.rejects.len());
                        listed.counts.outcome(Status::Rejected);
                        listed.counts.reject(rejection);
                    }
                });
                Ok(())
            },
        )?;
        if is_stopped.into_inner() {
            return Err(stopped(None));
        }
        Ok(Some(listed))
    }

    /// Whom the selection means, on one consistent state, and how much of each.
    fn select(&self, understood: &Understood, state: Option<&State>, among: Option<&Selection>) -> Result<Selected> {
        let mut held_filters = lock(&self.filters);
        let filters = &mut *held_filters;
        filters.look();
        let view = self.store.view()?;
        let (amount, decimals) = (understood.bulk.command.amount, understood.program.decimals);
        let basis = basis_of(amount);
        let values: Vec<ColumnId> = basis.map(ColumnId::of).into_iter().collect();
        self.pool.install(|| {
            let filter = understood.filter(&filters.tiers(&view)?)?;
            let scan = Scan::new(&filter, understood.program_id, &values);
            let today = understood.parameters.settings.today;
            let columns = filters
                .view(&view, &scan.columns(), today, state)?
                .ok_or_else(|| Error::internal("lots are not known that were loaded"))?;
            let scanned = scan.run(&columns, among, |amounts: &mut Vec<i64>, _, values| {
                if basis.is_some() {
                    amounts.push(amount_of(amount, values.first().copied(), decimals).unwrap_or(AMOUNT_OUT_OF_RANGE));
                }
            })?;
            let amounts = basis.map(|_| scanned.gathered.concat());
            Ok(Selected { selection: scanned.selection, amounts })
        })
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part that comes from somewhere else")]
    fn run_bulk(
        &self,
        id: Option<JobId>,
        start: &JobStart,
        parameters: &Parameters,
        selected: &Selected,
        listed: &Listed,
        checkpoint: Checkpoint,
        mut state: State,
        load_s: f64,
        began: Instant,
        progress: &Progress,
    ) -> Result<(State, Summary, Counts)> {
        progress.set_stage(Stage::Applying);
        let of_job = |error: Error| id.map_or(error.clone(), |id| error.of_job(id));
        let bulk =
            parameters.bulk.as_ref().ok_or_else(|| Error::internal("a bulk operation without its parameters"))?;
        let program = parameters.program;
        let decimals = self.store.program(&parameters.program_code)?.1.decimals;
        let book_rules =
            BookRules { on_overdraft: parameters.on_overdraft, today: parameters.settings.today, now: start.now };
        let mut book = AccountBook::take(&mut state, &[program], book_rules)?;
        let (next_sequence, balance) = (book.next_sequence(), book.total(program));
        let target = self.target(id, progress, began);
        let is_new = checkpoint.window <= 1 && checkpoint.position.offset == 0;
        // One that an earlier run of the job went on without has a hole, and is not gone on with.
        let processed = parameters.processed.as_deref().filter(|_| is_new || checkpoint.processed_bytes > 0);
        let layout = reports::layout_of(parameters);
        let growing = GrowingReports {
            processed: processed
                .map(|path| {
                    let begin = match checkpoint.processed_bytes {
                        0 => self.processed_begin(id, parameters, listed)?,
                        _ => Vec::new(),
                    };
                    GrowingFile::open(path, checkpoint.processed_bytes, &begin)
                })
                .transpose()?,
            notifications: None,
        };
        let dry_path = parameters.rejects.as_deref().filter(|_| id.is_none());
        let mut reject_out = dry_path.map(reports::create).transpose()?;
        let mut reject_file = match &mut reject_out {
            Some(out) => Some(RejectFile::begin(layout.as_ref(), out)?),
            None => None,
        };
        let dry = |row: jobs::RejectedRow| jobs::RejectedRow { message: noted(true, &row.message).into_owned(), ..row };
        if let Some(file) = &mut reject_file {
            jobs::each_rejected(&listed.rejects, |row| file.row(&dry(row)))?;
        }
        let dry_rejects = reject_file.as_mut().map(|file| Box::new(|row| file.row(&dry(row))) as DryRejects<'_>);
        let rules = BulkRules {
            command: bulk.command,
            program,
            decimals,
            job: id.unwrap_or(JobId(0)),
            now: start.now,
            processed: processed.is_some(),
            has_file: parameters.layout.is_some(),
            store: &self.store,
            newest: state.profiles.as_ref().map(|profiles| profiles.newest.as_slice()),
            merges: &state.merges,
        };
        let mut desk = id.map(|_| LiveDesk::open(self, &[])).transpose()?;
        let no_identifiers = IdentifierTable::default();
        let first = u32::try_from(checkpoint.position.offset).unwrap_or(u32::MAX);
        let mut reader = BulkReader::from(selected, first, self.options.window_rows);
        let mut is_finished = false;
        let applying = Instant::now();
        let committed =
            with_committer(&target, checkpoint, growing, next_sequence, balance, dry_rejects, |committer| {
                pipeline::run(
                    &self.pool,
                    self.batches_max(),
                    |batch: &mut BulkBatch| {
                        if progress.is_stopped() {
                            return Ok(false);
                        }
                        let is_filled = reader.fill(batch);
                        is_finished = !is_filled;
                        Ok(is_filled)
                    },
                    |_| Ok(()),
                    |batch| {
                        let live = match &mut desk {
                            Some(desk) => {
                                desk.serve_book(&no_identifiers, state.customers, state.next_record, &mut book)
                            }
                            None => Vec::new(),
                        };
                        rules.apply(&mut book, batch);
                        batch.output.live = live;
                        Ok(())
                    },
                    |batch| rules.encode(batch),
                    |batch| committer.take(&mut batch.output),
                )
            })
            .map_err(of_job)?;
        drop(desk);
        if !is_finished {
            return Err(stopped(id));
        }
        reject_file.map(RejectFile::end).transpose()?;
        book.give_back(&mut state);
        let apply_s = applying.elapsed().as_secs_f64();
        let counts = committed.checkpoint.counts.clone();
        if !counts.is_balanced() {
            return Err(of_job(Error::internal(format!("a bulk operation's counts do not add up: {counts:?}"))));
        }
        let elapsed_ms = committed.checkpoint.elapsed_ms + (self.opening + began.elapsed()).as_millis() as u64;
        let finishing = Instant::now();
        if let Some(id) = id {
            progress.set_stage(Stage::Finishing);
            reports::write_rejects(&self.store, id, parameters)?;
            finish(&target, id, &committed, elapsed_ms).map_err(of_job)?;
            state = self.adjust_between(state).map_err(of_job)?;
            self.pool
                .install(|| caches::write_behind(&self.store, &mut state, self.options.cache_lag_entries_min))
                .map_err(of_job)?;
        }
        progress.set_stage(Stage::Done);
        let mut summary = self.bulk_summary(id, start, parameters, &committed, elapsed_ms, progress)?;
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
        Ok((state, summary, counts))
    }

    /// What the processed report begins with: the header, and the rows of the file of customers that name nobody.
    fn processed_begin(&self, id: Option<JobId>, parameters: &Parameters, listed: &Listed) -> Result<Vec<u8>> {
        let mut begin = PROCESSED_HEADER.to_vec();
        let Some(layout) = &parameters.layout else { return Ok(begin) };
        let mut put = |row: jobs::RejectedRow| {
            put_processed(&row, layout, id.is_none(), &mut begin);
            Ok(())
        };
        match id {
            None => jobs::each_rejected(&listed.rejects, put)?,
            // Their commit came before the first customer's.
            Some(id) => jobs::rejected_rows(&self.store, id, |row| if row.line > 0 { put(row) } else { Ok(()) })?,
        }
        Ok(begin)
    }

    fn bulk_summary(
        &self,
        job: Option<JobId>,
        start: &JobStart,
        parameters: &Parameters,
        committed: &Committed,
        elapsed_ms: u64,
        progress: &Progress,
    ) -> Result<Summary> {
        let mut summary = Summary::new(SummaryParts {
            job,
            kind: start.kind,
            state: JobState::Finished,
            format: parameters.layout.as_ref().map(|layout| layout.format.name.clone()),
            counts: &committed.checkpoint.counts,
            balance: balances(start.balance_before, committed.balance_after),
            program: (parameters.program_code.clone(), self.store.program(&parameters.program_code)?.1.decimals),
            others: self.named(&start.other_balances_before),
            elapsed_ms,
            bytes_read: progress.snapshot().bytes_read,
        });
        summary.reason.clone_from(&parameters.reason);
        summary.selection = parameters.bulk.as_ref().map(|bulk| bulk.selection_text(parameters.layout.is_some()));
        if let Some(layout) = &parameters.layout {
            summary.input = Some(layout.path.display().to_string());
            summary.encoding = Some(layout.encoding.clone());
            summary.ignored_columns.clone_from(&layout.mapping.ignored);
        }
        summary.list_reports(&parameters.rejects, &parameters.processed, &None);
        Ok(summary)
    }
}

impl Understood {
    fn kinds(&self) -> Vec<IdentifierKind> {
        match &self.parameters.layout {
            Some(layout) => ListRules::reading(layout, None, 0).kinds(),
            None => Vec::new(),
        }
    }

    fn needs(&self) -> Needs {
        let parameters = Parameters { bulk: Some(self.bulk.clone()), ..self.parameters.clone() };
        needs_of(&parameters, self.kinds())
    }

    /// The conditions, as these tiers have it.
    fn filter(&self, tiers: &Tiers) -> Result<Filter> {
        let text = &self.bulk.selection.filter;
        text.filter(self.program.decimals, tiers, &self.parameters.settings.zone)
            .map_err(|problem| Error::usage(problem.message).hint(problem.hint))
    }
}

/// Which promised points an operation makes available, in words.
fn promised_text(operation: &BulkOperation) -> Option<String> {
    let BulkOperation::ConvertPromised { ref_type, ref_id, promotion_id } = operation else { return None };
    let parts = [("of type", ref_type), ("for", ref_id), ("of promotion", promotion_id)];
    let parts = parts.into_iter().filter_map(|(word, text)| Some(format!("{word} `{}`", text.as_deref()?)));
    Some(format!("promised points {}", parts.collect::<Vec<_>>().join(" ")))
}

/// Of whom a selection means, those who have promised lots that become available; everybody, of an operation on balances.
fn with_promises(selected: Selected, understood: &Understood, state: &State) -> Result<Selected> {
    let Some(selector) = understood.bulk.command.converts else { return Ok(selected) };
    let today = understood.parameters.settings.today;
    let lots = &state.accounts(understood.program_id)?.lots;
    let mut selection = Selection::default();
    let is_meant = |lot: Lot| lot.state == LotState::Promised && !lot.is_overdue(today) && selector.means(&lot);
    for customer in lots.with_promises() {
        let is_selected = selected.selection.word(customer.index() / 64) >> (customer.0 % 64) & 1 == 1;
        if is_selected && lots.of(customer).any(is_meant) {
            selection.add(customer);
        }
    }
    Ok(Selected { selection, amounts: None })
}

/// What a job needs in memory. Names are looked up fast by the profiles, where many may be asked for.
fn needs_of(parameters: &Parameters, kinds: Vec<IdentifierKind>) -> Needs {
    let is_debit = parameters.bulk.as_ref().is_some_and(|bulk| bulk.command.operation == Operation::Debit);
    let names_many = parameters.processed.is_some() || (is_debit && parameters.on_overdraft == OnOverdraft::Reject);
    Needs { kinds, profiles: names_many, programs: vec![parameters.program] }
}

/// What the request does to each customer.
fn command_of(operation: &BulkOperation, decimals: u8, today: Date, counts: bool) -> Result<(JobKind, BulkCommand)> {
    let amount_at_least = |flag: &str, text: &str, least: i64| {
        let amount = parse_amount(text, decimals, NumberStyle::PLAIN).map_err(|problem| {
            Error::usage(format!("`{flag} {text}` {}", problem.complaint())).hint("write it as in `250` or `12.50`")
        })?;
        if amount >= least {
            return Ok(amount);
        }
        Err(match amount {
            0 => Error::usage(format!("`{flag} {text}` moves no points")).hint("give a number above zero"),
            _ => Error::usage(format!("`{flag} {text}` is negative"))
                .hint("to take points, use `bulk debit`; to set a balance, `bulk reset --to`"),
        })
    };
    let amount_of = |points: &Points| match points {
        Points::Amount(text) => amount_at_least("--amount", text, 1).map(BulkAmount::Fixed),
        Points::Unsaid if counts => Ok(BulkAmount::Fixed(0)),
        Points::Unsaid => Err(Error::usage("it is not said how many points")
            .hint("give `--amount N`, `--per-ltv RATE` or `--per-order N`")),
        Points::PerOrder(text) => amount_at_least("--per-order", text, 1).map(BulkAmount::PerOrder),
        Points::PerLtv(text) => Rate::parse(text).map(BulkAmount::PerLtv).ok_or_else(|| {
            Error::usage(format!("`--per-ltv {text}` is no rate above zero"))
                .hint("write points for each unit of LTV, as in `1` or `0.05`, with at most 9 decimals")
        }),
    };
    Ok(match operation {
        BulkOperation::Credit { points, expiry } => {
            let expires_on = match *expiry {
                None => None,
                Some(PointsExpiry::On(day)) if day < today => {
                    return Err(Error::usage(format!("`--expires-on {day}`: that day is over, today is {today}"))
                        .hint("give today or a later day"));
                }
                Some(PointsExpiry::On(day)) => Some(day),
                Some(PointsExpiry::InDays(days)) => {
                    let day = i32::try_from(days).ok().filter(|&days| days > 0).and_then(|days| today.add_days(days));
                    Some(day.ok_or_else(|| {
                        Error::usage(format!("`--expires-in {days}` reaches beyond the year 9999, or is no day at all"))
                            .hint("give fewer days, at least 1, or none for points that stay")
                    })?)
                }
            };
            let command =
                BulkCommand { operation: Operation::Credit, amount: amount_of(points)?, expires_on, converts: None };
            (JobKind::BulkCredit, command)
        }
        BulkOperation::Debit { points } => {
            let command = BulkCommand {
                operation: Operation::Debit,
                amount: amount_of(points)?,
                expires_on: None,
                converts: None,
            };
            (JobKind::BulkDebit, command)
        }
        BulkOperation::ConvertPromised { ref_type, ref_id, promotion_id } => {
            let hash =
                |which, text: &Option<String>| text.as_deref().map_or(0, |text| reference_hash(which, text.trim()));
            let selector = match (ref_type, promotion_id) {
                (Some(_), None) => LotSelector::Reference {
                    ref_type: hash(EntryText::RefType, ref_type),
                    ref_id: hash(EntryText::RefId, ref_id),
                },
                (None, Some(promotion)) if ref_id.is_none() => {
                    LotSelector::Promotion(reference_hash(EntryText::PromotionId, promotion.trim()))
                }
                _ => {
                    return Err(Error::usage("it is not said which promised points become available")
                        .hint("give `--ref-type T`, with `--ref-id I` if it is one of them, or else `--promotion P`"));
                }
            };
            let (operation, amount) = (Operation::Credit, BulkAmount::Fixed(0));
            let command = BulkCommand { operation, amount, expires_on: None, converts: Some(selector) };
            (JobKind::BulkConvertPromised, command)
        }
        BulkOperation::Reset { to } => {
            let amount = BulkAmount::Fixed(amount_at_least("--to", to, 0)?);
            (JobKind::BulkReset, BulkCommand { operation: Operation::Set, amount, expires_on: None, converts: None })
        }
    })
}

/// The attribute on which an amount depends.
fn basis_of(amount: BulkAmount) -> Option<Attribute> {
    match amount {
        BulkAmount::Fixed(_) => None,
        BulkAmount::PerLtv(_) => Some(Attribute::Ltv),
        BulkAmount::PerOrder(_) => Some(Attribute::Orders),
    }
}

/// How much of a customer with this value of that attribute.
fn amount_of(amount: BulkAmount, basis: Option<i64>, decimals: u8) -> Option<i64> {
    let basis = basis.filter(|&value| value != MISSING);
    amount.of(basis, basis, decimals)
}

fn explained(trace: &Trace, filter: &Filter, began: Instant) -> ExplainView {
    let conditions = trace.conditions.iter().map(|condition| ConditionView {
        condition: condition.name,
        pages_empty: condition.pages_empty,
        pages_skipped: condition.pages_skipped,
        pages_read: condition.pages_read,
        rows_tested: condition.rows_tested,
        customers_left: condition.customers_left,
    });
    ExplainView {
        customers: trace.customers,
        pages: trace.pages,
        is_filtered: !filter.is_empty(),
        conditions: conditions.collect(),
        elapsed_ms: began.elapsed().as_secs_f64() * 1e3,
    }
}
