//! The façade: everything that tidemill does, for the binary and for a host service.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, TryLockError},
    time::{Duration, Instant},
};

use rayon::ThreadPool;

use crate::{
    clock,
    domain::{
        id::{JobId, ProgramId},
        job::{JobState, Total},
        phone::Region,
        program::Program,
        tier::Tiers,
        time::{Date, TimeZone, Timestamp},
    },
    error::{CacheKind, Error, Result},
    import::{
        format::Kind,
        spool::{self, Spool, Spooled},
    },
    job::progress::{Progress, Stage},
    options::Options,
    report::{
        export::{self, Export, format::ExportFormat},
        rejects,
        summary::{Summary, SummaryParts},
    },
    store::{
        FORMAT_VERSION, Store, caches,
        filter_columns::FilterColumns,
        jobs::{self, Job},
        lock,
        state::{self, Needs, State},
        view::Readable,
    },
};

pub mod request;
pub mod view;
mod parameters;
mod reports;
mod reading;
mod expectations;
mod run;
mod earlier;
mod pass;
mod adjust;
mod expire;
mod bulk;
mod expiry_update;
mod undo;
mod erase;
mod merge;
mod look;
pub mod preview;
mod given_up;
mod upkeep;
mod running;
pub mod tell;

use adjust::AdjustQueue;
use parameters::Parameters;
use request::{FileRequest, SettingsChange};
pub use running::RunningJob;
use running::RunningJobs;
use view::StoreView;

/// How many kinds of caches there are that can be made again.
const CACHE_KINDS: usize = 3;

/// An open store and the means to work on it. One job runs at a time; a second one waits.
pub struct Engine {
    store: Store,
    options: Options,
    pool: ThreadPool,
    /// For those who read while a job has the other one: they must not wait for it, nor take its threads.
    readers: ThreadPool,
    opening: Duration,
    /// What the last job left in memory, ready for the next. Taken while a job runs, so that it is also the lock which
    /// makes the next one wait; empty after a dry run or an error.
    state: Mutex<Option<State>>,
    running: RunningJobs,
    /// Damage to caches that was mended.
    rebuilt: Mutex<Vec<String>>,
    /// What is known of the columns that filters scan. Taken before a view is, and never while one is held.
    filters: Mutex<FilterColumns>,
    /// Adjustments that wait for the state, or for a place between the rows of the job that has it.
    adjustments: AdjustQueue,
    /// Held by whoever empties the outbox.
    telling: Mutex<()>,
}

impl Engine {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// `NotFound`, `Busy`, `Corrupt`, `Storage` as they say; another format version is refused.
    pub fn open(directory: &Path, options: Options) -> Result<Engine> {
        Engine::start(directory, options, false)
    }

    /// Opens a store, and creates it where there is none.
    ///
    /// # Errors
    /// As `open`, and when the directory holds something else.
    pub fn create(directory: &Path, options: Options) -> Result<Engine> {
        Engine::start(directory, options, true)
    }

    /// Finds out without a store whether the file of an import is there, and whether its format and columns are known: for
    /// whoever would not want a store to be created for a mistyped name.
    ///
    /// # Errors
    /// As `import_points` and `import_customers` for the file.
    pub fn check_file(kind: Kind, file: &FileRequest) -> Result<()> {
        reading::understood(file, Some(kind)).map(drop)
    }

    /// Takes in a stream, such as a request's body, for a job to read: put it into `FileRequest::spooled`. See
    /// [`Spool::write`].
    ///
    /// # Errors
    /// `Input` when the stream breaks off or is damaged; `Storage` when the disk has no room; `Stopped` on request.
    pub fn spool(&self, input: impl Read + Send, progress: &Progress) -> Result<Spooled> {
        Spool::write(&self.spool_directory(), self.options.disk_free_min, input, progress)
    }

    fn spool_directory(&self) -> PathBuf {
        self.store.directory().join(spool::DIRECTORY)
    }

    /// Removes spooled input that no unfinished job needs: what a killed process left behind.
    fn remove_spool_orphans(&self) -> Result<()> {
        let directory = self.spool_directory();
        if spool::is_empty(&directory) {
            return Ok(());
        }
        let mut needed = Vec::new();
        for job in jobs::jobs(&self.store)?.iter().filter(|job| job.state() == JobState::Unfinished) {
            needed.extend(parameters_of(job)?.layout.filter(|layout| layout.is_spooled).map(|layout| layout.location));
        }
        spool::remove_orphans(&directory, &needed)
    }

    fn start(directory: &Path, options: Options, create: bool) -> Result<Engine> {
        let began = Instant::now();
        let pool = |name: &'static str| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(options.threads.max(1))
                .thread_name(move |number| format!("{name}-{number}"))
                .build()
                .map_err(|error| Error::internal(format!("the {name} threads cannot start: {error}")))
        };
        let (pool, readers) = (pool("worker")?, pool("reader")?);
        let store = Store::open(directory, create)?;
        let mut engine = Engine {
            store,
            options,
            pool,
            readers,
            opening: Duration::ZERO,
            state: Mutex::new(None),
            running: RunningJobs::default(),
            rebuilt: Mutex::default(),
            filters: Mutex::default(),
            adjustments: AdjustQueue::default(),
            telling: Mutex::new(()),
        };
        engine.remove_spool_orphans()?;
        engine.opening = began.elapsed();
        Ok(engine)
    }

    /// Locks the state for a job; waits for the job that has it, unless it shall not.
    fn state_for_job(&self, no_wait: bool, progress: &Progress) -> Result<MutexGuard<'_, Option<State>>> {
        match self.state.try_lock() {
            Ok(held) => return Ok(held),
            Err(TryLockError::Poisoned(held)) => return Ok(held.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        if no_wait {
            let numbers = self.running().into_iter().filter_map(|running| u32::try_from(running.snapshot.job).ok());
            let job = numbers.filter(|&number| number > 0).map(JobId).next();
            let name = job.map_or("another job".to_owned(), |job| format!("job {job}"));
            let error = Error::refused("job_running", format!("{name} is running, and one job runs at a time"))
                .hint("nothing was changed; wait for it, or leave `--no-wait` out");
            return Err(match job {
                Some(job) => error.of_job(job),
                None => error,
            });
        }
        progress.set_stage(Stage::Waiting);
        Ok(self.state())
    }

    /// Locks the state; waits for the job that has it.
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }

    /// What a job needs, from the last job's memory if that has it all, else from the store.
    fn load(&self, held: &mut Option<State>, needs: &Needs) -> Result<State> {
        if let Some(state) = held.take() {
            let has_programs = needs.programs.iter().all(|program| state.accounts.contains_key(program));
            let has_profiles = state.profiles.is_some() || !needs.profiles;
            let has_kinds = needs.kinds.iter().all(|kind| state.kinds.contains(kind));
            if has_programs && has_profiles && has_kinds {
                return Ok(state);
            }
        }
        let load = || self.pool.install(|| State::load(&self.store, needs));
        let mut loaded = load();
        // Each of the caches may be damaged, and none is twice, as it is empty then.
        for _ in 0..CACHE_KINDS {
            let Some(cache) = loaded.as_ref().err().and_then(Error::damaged_cache) else { break };
            self.distrust(cache, loaded.as_ref().err())?;
            loaded = load();
        }
        loaded
    }

    /// Makes a damaged cache again from the logs, and remembers to tell it. For whoever has the state.
    fn distrust(&self, cache: CacheKind, error: Option<&Error>) -> Result<()> {
        caches::distrust(&self.store, cache)?;
        lock(&self.rebuilt).extend(error.map(|error| error.message().to_owned()));
        Ok(())
    }

    /// What was found damaged since the last time that somebody asked, and was made again from the logs.
    pub fn take_rebuilt(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.rebuilt))
    }

    /// The programs, in the order they were added.
    pub fn programs(&self) -> Vec<Program> {
        self.store.programs()
    }

    /// Adds a program.
    ///
    /// # Errors
    /// `Usage` when its code or currency is taken.
    pub fn add_program(&self, program: Program) -> Result<()> {
        self.store.add_program(program).map(drop)
    }

    /// The program of this code; without one the store's first.
    fn program(&self, code: Option<&str>) -> Result<(ProgramId, Program)> {
        match code {
            Some(code) => self.store.program(code),
            None => {
                let first = self.store.programs().into_iter().next();
                first.map(|program| (ProgramId(0), program)).ok_or_else(|| Error::corrupt("the store has no program"))
            }
        }
    }

    /// Changes settings.
    ///
    /// # Errors
    /// `Usage` for a time zone, region or tiers that cannot be.
    pub fn set(&self, change: SettingsChange) -> Result<StoreView> {
        let mut settings = self.store.settings();
        if let Some(tiers) = change.tiers {
            let tiers: Vec<String> =
                tiers.iter().map(|tier| tier.trim().to_owned()).filter(|tier| !tier.is_empty()).collect();
            Tiers::from_parts(&[], &tiers).map_err(Error::usage)?;
            settings.tiers = tiers;
        }
        if let Some(zone) = change.time_zone {
            let known = TimeZone::new(&zone).ok_or_else(|| {
                Error::usage(format!("there is no time zone `{zone}`")).hint("name it as in `Europe/Vilnius` or `UTC`")
            })?;
            settings.time_zone = known.name().to_owned();
        }
        if let Some(region) = change.default_region {
            settings.default_region = match region.as_str() {
                "" => None,
                code => {
                    let known = Region::new(code).ok_or_else(|| {
                        Error::usage(format!("there is no region `{code}`"))
                            .hint("name it by its two letters, as in `LT`")
                    })?;
                    Some(known.code().to_owned())
                }
            };
        }
        if let Some(comment) = change.default_comment {
            settings.default_comment = Some(comment).filter(|comment| !comment.is_empty());
        }
        // The declared tiers are part of what a loaded state knows.
        let mut held = self.state();
        self.store.set_settings(settings)?;
        lock(&self.filters).forget();
        *held = None;
        drop(held);
        self.info()
    }

    /// The store at a glance.
    ///
    /// # Errors
    /// When the logs cannot be read.
    pub fn info(&self) -> Result<StoreView> {
        let settings = self.store.settings();
        let view = self.store.view()?;
        let positions = view.positions();
        let (entries, records) = (state::log_end(&view)?, state::records_end(&view)?);
        let reflected = positions.accounts.values().map(|position| position.next_sequence).min().unwrap_or(1);
        let state = State::load(&view, &Needs::default())?;
        let customers = state.customers - state.merges.len() as u32;
        Ok(StoreView {
            directory: self.store.directory().display().to_string(),
            format_version: FORMAT_VERSION,
            customers,
            identifiers: positions.runs.iter().flat_map(|run| run.identifiers).sum(),
            ledger_entries: entries - 1,
            jobs: view.newest_job()?.0,
            cache_lag: (entries - reflected)
                + (records - positions.identifiers_next_record.min(positions.profiles_next_record)),
            disk_bytes: crate::store::disk::bytes_of(self.store.directory()),
            tiers: settings.tiers,
            time_zone: settings.time_zone,
            default_region: settings.default_region,
            default_comment: settings.default_comment,
            programs: self.store.programs().into_iter().map(|program| program.code).collect(),
        })
    }

    /// All jobs, oldest first.
    ///
    /// # Errors
    /// When their records are damaged.
    pub fn jobs(&self) -> Result<Vec<Summary>> {
        jobs::jobs(&self.store)?.iter().map(|job| self.summary(job)).collect()
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn job(&self, id: JobId) -> Result<Summary> {
        let summary = self.summary(&jobs::job(&self.store, id)?)?;
        Ok(Summary { notifications: self.notifications(id)?, ..summary })
    }

    /// Writes a job's rejected rows as CSV; returns how many there are.
    ///
    /// # Errors
    /// `NotFound`, with the code `rejects_forgotten` where they were dropped; when they cannot be written.
    pub fn write_rejects(&self, id: JobId, out: &mut dyn Write) -> Result<u64> {
        let job = jobs::job(&self.store, id)?;
        if let Some(rows) = jobs::forgotten(&self.store, id)?.filter(|&rows| rows > 0) {
            let message = format!("the rejected rows of job {id}, {rows} in number, were dropped");
            return Err(Error::not_found("rejects_forgotten", message)
                .hint("import the file once more as a dry run with `--rejects FILE`, if it is still there")
                .of_job(id));
        }
        rejects::write(&self.store, id, reports::layout_of(&parameters_of(&job)?).as_ref(), out)
    }

    /// The day that it is in the store's time zone, now or at another moment.
    fn today(&self, now: Option<Timestamp>) -> Date {
        self.store.settings().zone().day_of(now.unwrap_or_else(clock::now))
    }

    /// Writes an export of one committed state; returns the number of rows. Jobs go on meanwhile, and are not waited for.
    ///
    /// # Errors
    /// When the logs are damaged, or `out` fails, with which it ends at once; `Usage` when an amount does not fit into a
    /// column of Parquet.
    pub fn export(&self, what: Export, format: ExportFormat, out: &mut dyn Write) -> Result<u64> {
        let view = self.store.view()?;
        let texts = |id: JobId| {
            let job = jobs::job(&view, id)?;
            let parameters = parameters_of(&job)?;
            Ok((job.start.kind, parameters.reason, parameters.comment))
        };
        export::write(&view, &self.readers, what, format, self.today(None), &texts, out)
    }

    /// Programs with their codes and decimals, and a sum of each.
    fn named(&self, sums: &BTreeMap<u16, Total>) -> BTreeMap<u16, (String, u8, Total)> {
        let programs = self.store.programs();
        let named = |(&number, &sum): (&u16, &Total)| {
            let program = programs.get(usize::from(number))?;
            Some((number, (program.code.clone(), program.decimals, sum)))
        };
        sums.iter().filter_map(named).collect()
    }

    fn summary(&self, job: &Job) -> Result<Summary> {
        let parameters = parameters_of(job)?;
        let decimals = self.store.program(&parameters.program_code)?.1.decimals;
        let record = job.window.as_ref().map(|(_, record)| record);
        let before = job.start.balance_before;
        let counts = record.map(|record| record.counts.clone()).unwrap_or_default();
        let mut summary = Summary::new(SummaryParts {
            job: Some(job.id),
            kind: job.start.kind,
            state: record.map_or(JobState::Unfinished, |record| record.state),
            format: parameters.layout.as_ref().map(|layout| layout.format.name.clone()),
            counts: &counts,
            balance: (before.0, record.map_or(before, |record| record.balance_after).0),
            program: (parameters.program_code.clone(), decimals),
            others: self.named(&job.start.other_balances_before),
            elapsed_ms: record.map_or(0, |record| record.elapsed_ms),
            bytes_read: record.map_or(0, |record| record.bytes_read),
        });
        summary.undone_by = jobs::undone_by(&self.store, job.id)?;
        if let Some(undo) = parameters.undo {
            let undone = jobs::job(&self.store, undo.job)?;
            summary.undo = Some(self.undo_sums(&undone, &counts, &parameters)?);
        }
        if let (Some(before), Some(after)) =
            (&job.start.expiring_before, record.and_then(|record| record.expiring_after.as_ref()))
        {
            summary.tell_expiring(before, after, decimals, parameters.expiry.as_ref());
        }
        summary.reason = parameters.reason;
        let has_file = parameters.layout.is_some();
        summary.selection = parameters.bulk.map(|bulk| bulk.selection_text(has_file));
        if let Some(layout) = parameters.layout {
            summary.input = Some(layout.path.display().to_string());
            summary.encoding = Some(layout.encoding.clone());
            summary.ignored_columns = layout.mapping.ignored;
        }
        Ok(summary)
    }
}

/// A job's recorded parameters.
fn parameters_of(job: &Job) -> Result<Parameters> {
    serde_json::from_value(job.start.parameters.clone())
        .map_err(|error| Error::corrupt(format!("the parameters of job {} cannot be read: {error}", job.id)))
}

/// The change of a program's balances that a job has made so far.
fn balances(before: Total, after: Total) -> (i128, i128) {
    (before.0, after.0)
}
