//! Windows: what makes the outputs of batches durable, in order and all at once.
//!
//! Outputs gather in a window; a full window goes to a thread of its own that syncs the processed report and commits
//! pages, rejected rows and the window's record with the position together (`store::log`). So the stages work on the
//! next window while the disk takes this one.

use std::{
    fs::File,
    thread::Builder,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;

use super::{
    growing_file::GrowingFile,
    live::LiveCommit,
    output::Output,
    progress::{Progress, Stage},
};
use crate::{
    domain::{
        id::JobId,
        job::{Counts, ExpiringAfter, JobState, Position, Total, WindowRecord},
    },
    error::{Error, ErrorKind, Result},
    options::Options,
    store::{
        Store, disk,
        jobs::{self, RejectedRow, Touch},
        log::Commit,
        outbox,
    },
};

/// Time between two windows that are cut for adjustments. A window costs about four syncs, whatever is in it: this many a
/// second cost a job less than a tenth of its speed, and leave an adjustment far inside a quarter of a second.
const LIVE_GAP: Duration = Duration::from_millis(40);

/// What a job knows of itself before its first new row: nothing, or what an earlier run committed.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The newest committed window; 0 before the first.
    pub window: u32,
    /// Counts until then.
    pub counts: Counts,
    /// Where to go on.
    pub position: Position,
    /// Length of the processed report.
    pub processed_bytes: u64,
    /// Length of the file of events.
    pub notified_bytes: u64,
    /// Milliseconds of work in earlier runs.
    pub elapsed_ms: u64,
}

impl Checkpoint {
    /// The checkpoint that a job's newest window is.
    pub fn of(window: Option<&(u32, WindowRecord)>) -> Checkpoint {
        window.map_or_else(Checkpoint::default, |(number, record)| Checkpoint {
            window: *number,
            counts: record.counts.clone(),
            position: record.position,
            processed_bytes: record.processed_bytes,
            notified_bytes: record.notified_bytes,
            elapsed_ms: record.elapsed_ms,
        })
    }
}

/// The files beside the store that grow with the job's rows.
#[derive(Default)]
pub struct GrowingReports {
    /// A line for every row.
    pub processed: Option<GrowingFile>,
    /// Events for those who are to be told.
    pub notifications: Option<GrowingFile>,
}

impl GrowingReports {
    fn flush(&mut self) -> Result<()> {
        [&mut self.processed, &mut self.notifications].into_iter().flatten().try_for_each(GrowingFile::flush)
    }

    fn syncers(&self) -> Result<[Option<File>; 2]> {
        let syncer = |file: &Option<GrowingFile>| file.as_ref().map(GrowingFile::syncer).transpose();
        Ok([syncer(&self.processed)?, syncer(&self.notifications)?])
    }
}

/// One window on its way.
struct Window {
    commit: Commit,
    rejects: Vec<u8>,
    reject_ends: Vec<usize>,
    touched: Vec<Touch>,
    number: u32,
    record: WindowRecord,
    /// Adjustments that are committed with it.
    live: Vec<LiveCommit>,
}

/// What the committer reports at the end.
pub struct Committed {
    /// How far the job is: everything counted, earlier runs included, and its newest window.
    pub checkpoint: Checkpoint,
    /// The ledger entry that comes next.
    pub next_sequence: u64,
    /// Sum of the program's balances.
    pub balance_after: Total,
    /// Milliseconds each window took to become durable.
    pub window_ms: Histogram<u64>,
    /// Bytes that the log took in.
    pub log_bytes: u64,
    /// When the program's points expire now, after a job on expiry.
    pub expiring_after: Option<ExpiringAfter>,
}

/// Where a job's outputs go.
pub struct Target<'a> {
    /// The store.
    pub store: &'a Store,
    /// The job; none in a dry run, which commits nothing.
    pub job: Option<JobId>,
    /// Limits.
    pub options: &'a Options,
    /// Whom to tell.
    pub progress: &'a Progress,
    /// When this run began.
    pub began: Instant,
}

/// Gathers outputs into windows.
pub struct Committer<'a> {
    target: &'a Target<'a>,
    checkpoint: Checkpoint,
    reports: GrowingReports,
    rows_in_window: u64,
    open: Option<Window>,
    next_sequence: u64,
    balance_after: Total,
    windows: Sender<Window>,
    spent: Receiver<Window>,
    sealed: Instant,
    dry_rejects: Option<DryRejects<'a>>,
}

/// Where a dry run's rejected rows go, as it keeps none.
pub type DryRejects<'a> = Box<dyn FnMut(RejectedRow) -> Result<()> + 'a>;

impl Committer<'_> {
    /// Takes in the next output.
    ///
    /// # Errors
    /// When the report cannot be written, or the committing thread failed.
    pub fn take(&mut self, output: &mut Output) -> Result<()> {
        let live = std::mem::take(&mut output.live);
        self.checkpoint.counts.add(&output.counts);
        self.checkpoint.position = output.position;
        self.balance_after = Total(output.balance_after);
        self.rows_in_window += output.counts.read;
        if let Some(processed) = &mut self.reports.processed {
            processed.append(&output.processed)?;
        }
        if let Some(notifications) = &mut self.reports.notifications {
            notifications.append(&output.notifications)?;
        }
        let counts = &self.checkpoint.counts;
        self.target.progress.set_rows(counts.read, counts.rejected);
        if self.target.job.is_none() {
            self.next_sequence = output.next_sequence;
            return match &mut self.dry_rejects {
                Some(write) => jobs::each_rejected(&output.rejects, write),
                None => Ok(()),
            };
        }
        let mut window = match self.open.take() {
            Some(window) => window,
            None => self.spare_window()?,
        };
        for adjustment in &live {
            adjustment.put_pages(&mut window.commit);
        }
        window.live.extend(live);
        for (key, place) in &output.keys {
            window.commit.put(*key, &output.pages[place.clone()]);
        }
        let offset = window.rejects.len();
        window.rejects.extend_from_slice(&output.rejects);
        window.reject_ends.extend(output.reject_ends.iter().map(|end| end + offset));
        window.touched.extend_from_slice(&output.touched);
        window.record.sequences.1 = output.next_sequence;
        let options = self.target.options;
        let bytes = window.commit.bytes() + window.rejects.len();
        // Somebody waits for an adjustment: the window is cut as soon as the disk is free for it.
        let is_awaited = !window.live.is_empty() && !self.spent.is_empty() && self.sealed.elapsed() >= LIVE_GAP;
        self.open = Some(window);
        if self.rows_in_window >= options.window_rows || bytes >= options.window_bytes || is_awaited {
            self.seal()?;
        }
        Ok(())
    }

    fn spare_window(&mut self) -> Result<Window> {
        let mut window = match self.spent.recv() {
            Ok(window) => window,
            Err(_) => return Err(gone()),
        };
        window.commit.clear();
        window.rejects.clear();
        window.reject_ends.clear();
        window.touched.clear();
        window.live.clear();
        window.record.sequences = (self.next_sequence, self.next_sequence);
        Ok(window)
    }

    /// Sends the open window, if there is one, to be made durable.
    fn seal(&mut self) -> Result<()> {
        let Some(mut window) = self.open.take() else { return Ok(()) };
        self.reports.flush()?;
        self.checkpoint.window += 1;
        self.checkpoint.processed_bytes = self.reports.processed.as_ref().map_or(0, GrowingFile::length);
        self.checkpoint.notified_bytes = self.reports.notifications.as_ref().map_or(0, GrowingFile::length);
        let elapsed_ms = self.checkpoint.elapsed_ms + self.target.began.elapsed().as_millis() as u64;
        window.number = self.checkpoint.window;
        window.record = WindowRecord {
            state: JobState::Unfinished,
            counts: self.checkpoint.counts.clone(),
            position: self.checkpoint.position,
            processed_bytes: self.checkpoint.processed_bytes,
            notified_bytes: self.checkpoint.notified_bytes,
            bytes_read: self.target.progress.snapshot().bytes_read,
            balance_after: self.balance_after,
            elapsed_ms,
            sequences: window.record.sequences,
            expiring_after: None,
        };
        self.next_sequence = window.record.sequences.1;
        self.rows_in_window = 0;
        self.sealed = Instant::now();
        self.windows.send(window).map_err(|_| gone())
    }
}

/// The committing thread ended early; its own error is the one that is reported.
fn gone() -> Error {
    Error::internal("the committing thread is gone")
}

/// Runs `work` with a committer, then commits what is left. The job stays unfinished: whoever has written its reports ends
/// it with `finish`, so that a job that is called finished has them.
///
/// # Errors
/// Those of `work` and of commits. What was committed before stays.
pub fn with_committer<'a>(
    target: &'a Target<'a>,
    checkpoint: Checkpoint,
    reports: GrowingReports,
    next_sequence: u64,
    balance: i128,
    dry_rejects: Option<DryRejects<'a>>,
    work: impl FnOnce(&mut Committer<'a>) -> Result<()>,
) -> Result<Committed> {
    let syncers = reports.syncers()?;
    std::thread::scope(|threads| {
        // Two windows: one gathers while the other becomes durable.
        let (windows, full) = bounded::<Window>(2);
        let (spent_sender, spent) = bounded::<Window>(2);
        for _ in 0..2 {
            let _ = spent_sender.send(Window {
                commit: Commit::default(),
                rejects: Vec::new(),
                reject_ends: Vec::new(),
                touched: Vec::new(),
                number: 0,
                record: WindowRecord {
                    state: JobState::Unfinished,
                    counts: Counts::default(),
                    position: Position::default(),
                    processed_bytes: 0,
                    notified_bytes: 0,
                    bytes_read: 0,
                    balance_after: Total(0),
                    elapsed_ms: 0,
                    sequences: (0, 0),
                    expiring_after: None,
                },
                live: Vec::new(),
            });
        }
        let sealing = Builder::new()
            .name("seal".to_owned())
            .spawn_scoped(threads, move || make_durable(target, &full, &spent_sender, syncers))
            .map_err(|error| Error::io("a thread of the job", &error))?;
        let mut committer = Committer {
            target,
            checkpoint,
            reports,
            rows_in_window: 0,
            open: None,
            next_sequence,
            balance_after: Total(balance),
            windows,
            spent,
            sealed: Instant::now(),
            dry_rejects,
        };
        let worked = work(&mut committer).and_then(|()| {
            target.progress.set_stage(Stage::Committing);
            committer.seal()?;
            // A dry run has a report and no window.
            committer.reports.flush()
        });
        let Committer { checkpoint, next_sequence, balance_after, windows, spent, .. } = committer;
        drop((windows, spent));
        let sealed = sealing.join().unwrap_or_else(|_| Err(Error::internal("the committing thread panicked")));
        // If committing failed, the stages only saw that it was gone.
        let (window_ms, log_bytes) = sealed?;
        worked?;
        Ok(Committed { checkpoint, next_sequence, balance_after, window_ms, log_bytes, expiring_after: None })
    })
}

/// Ends a job: its last window has no rows, and says that there are no more.
///
/// # Errors
/// Those of a commit.
pub fn finish(target: &Target<'_>, job: JobId, committed: &Committed, elapsed_ms: u64) -> Result<()> {
    let checkpoint = &committed.checkpoint;
    let record = WindowRecord {
        state: JobState::Finished,
        counts: checkpoint.counts.clone(),
        position: checkpoint.position,
        processed_bytes: checkpoint.processed_bytes,
        notified_bytes: checkpoint.notified_bytes,
        bytes_read: target.progress.snapshot().bytes_read,
        balance_after: committed.balance_after,
        elapsed_ms,
        sequences: (committed.next_sequence, committed.next_sequence),
        expiring_after: committed.expiring_after.clone(),
    };
    let mut commit = Commit::default();
    jobs::put_window(&mut commit, job, checkpoint.window + 1, &record, &[], &[], &[])?;
    // Whoever is to be told is told of a job that is done: never before this commit, and whatever happens after it.
    outbox::put_messages(&mut commit, target.store, job, &jobs::job(target.store, job)?.start)?;
    target.store.log().commit(&commit)
}

fn make_durable(
    target: &Target<'_>,
    full: &Receiver<Window>,
    spent: &Sender<Window>,
    [processed, notifications]: [Option<File>; 2],
) -> Result<(Histogram<u64>, u64)> {
    let mut window_ms = Histogram::new(3).map_err(|error| Error::internal(error.to_string()))?;
    let mut log_bytes = 0;
    let Some(job) = target.job else { return Ok((window_ms, 0)) };
    let log = target.store.log();
    let mut forgotten = 0;
    for mut window in full {
        let began = Instant::now();
        let needed = window.commit.bytes() as u64 + window.rejects.len() as u64 + target.options.disk_free_min;
        disk::check_free(target.store.directory(), needed)?;
        if let Some(file) = &notifications {
            file.sync_data().map_err(|error| Error::io("the file of notifications cannot be synced", &error))?;
        }
        if let Some(file) = &processed {
            file.sync_data().map_err(|error| Error::io("the processed file cannot be synced", &error))?;
            disk::forget_pages(file, forgotten, window.record.processed_bytes);
            forgotten = window.record.processed_bytes;
        }
        jobs::put_window(
            &mut window.commit,
            job,
            window.number,
            &window.record,
            &window.touched,
            &window.rejects,
            &window.reject_ends,
        )?;
        for adjustment in &window.live {
            adjustment.put_records(&mut window.commit)?;
        }
        log.commit(&window.commit)?;
        for adjustment in window.live.drain(..) {
            (adjustment.done)();
        }
        log_bytes += window.commit.bytes() as u64;
        target.progress.set_rows_durable(window.record.counts.read);
        window_ms.saturating_record(began.elapsed().as_millis() as u64);
        let _ = spent.send(window);
    }
    Ok((window_ms, log_bytes))
}

/// The error that says that a job was stopped on request.
pub fn stopped(job: Option<JobId>) -> Error {
    let error = |message: &str| Error::new(ErrorKind::Stopped, "stopped", format!("stopped on request; {message}"));
    match job {
        Some(job) => error("what was read until then is durable")
            .hint(format!("go on with `tidemill job resume {job}`, or by repeating the command"))
            .of_job(job),
        // Before a job was begun or taken up again, or in a dry run.
        None => error("nothing was changed")
            .hint("repeat the command; where it had begun a job earlier, that one goes on from where it stood"),
    }
}
