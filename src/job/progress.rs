//! How far a running job is, for whoever watches, and the wish that it stop.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
};

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Opening the input and recognising it.
    Preparing = 0,
    /// Waiting for another job of this process to end.
    Waiting = 1,
    /// Loading the store's tables.
    Loading = 2,
    /// Reading and applying rows.
    Applying = 3,
    /// Making the last rows durable.
    Committing = 4,
    /// Writing the caches and reports.
    Finishing = 5,
    /// All durable.
    Done = 6,
}

impl Stage {
    /// The word that progress shows.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Preparing => "preparing",
            Stage::Waiting => "waiting",
            Stage::Loading => "loading",
            Stage::Applying => "applying",
            Stage::Committing => "committing",
            Stage::Finishing => "finishing",
            Stage::Done => "done",
        }
    }
}

#[derive(Default)]
struct Shared {
    stage: AtomicU8,
    rows: AtomicU64,
    rows_durable: AtomicU64,
    rejected: AtomicU64,
    bytes_read: Arc<AtomicU64>,
    bytes_total: AtomicU64,
    job: AtomicU64,
    stop: AtomicBool,
    observer: OnceLock<Observer>,
}

type Observer = Box<dyn Fn(Snapshot) + Send + Sync>;

/// A handle on a job's progress; clones show the same job. Cheap to read at any time from any thread.
#[derive(Clone, Default)]
pub struct Progress(Arc<Shared>);

/// Progress at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What the job is doing.
    pub stage: Stage,
    /// The job's number; 0 before it has one, and in a dry run.
    pub job: u64,
    /// Rows applied.
    pub rows: u64,
    /// Rows that are durable.
    pub rows_durable: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Bytes of the input read, as they lie in the file.
    pub bytes_read: u64,
    /// Bytes of the input; 0 when not known.
    pub bytes_total: u64,
}

impl Progress {
    /// A progress that tells `observer` of every step, which is about every chunk of the input. It is called by the threads
    /// that do the work, so it must be quick.
    pub fn observed(observer: impl Fn(Snapshot) + Send + Sync + 'static) -> Progress {
        Progress(Arc::new(Shared { observer: OnceLock::from(Box::new(observer) as Observer), ..Shared::default() }))
    }

    /// Whether it shows the same job.
    pub(crate) fn is_same(&self, other: &Progress) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn tell(&self) {
        if let Some(observer) = self.0.observer.get() {
            observer(self.snapshot());
        }
    }

    /// What is so now.
    pub fn snapshot(&self) -> Snapshot {
        let stage = match self.0.stage.load(Relaxed) {
            0 => Stage::Preparing,
            1 => Stage::Waiting,
            2 => Stage::Loading,
            3 => Stage::Applying,
            4 => Stage::Committing,
            5 => Stage::Finishing,
            _ => Stage::Done,
        };
        Snapshot {
            stage,
            job: self.0.job.load(Relaxed),
            rows: self.0.rows.load(Relaxed),
            rows_durable: self.0.rows_durable.load(Relaxed),
            rejected: self.0.rejected.load(Relaxed),
            bytes_read: self.0.bytes_read.load(Relaxed),
            bytes_total: self.0.bytes_total.load(Relaxed),
        }
    }

    /// Asks the job to stop at the next commit boundary. What was read until then is made durable.
    pub fn stop(&self) {
        self.0.stop.store(true, Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.stop.load(Relaxed)
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Relaxed);
        self.tell();
    }

    pub(crate) fn set_job(&self, job: u32) {
        self.0.job.store(u64::from(job), Relaxed);
        self.tell();
    }

    pub(crate) fn set_bytes_total(&self, bytes: u64) {
        self.0.bytes_total.store(bytes, Relaxed);
    }

    /// The counter that a source raises as it reads.
    pub(crate) fn bytes_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.bytes_read)
    }

    pub(crate) fn set_rows(&self, rows: u64, rejected: u64) {
        self.0.rows.store(rows, Relaxed);
        self.0.rejected.store(rejected, Relaxed);
        self.tell();
    }

    pub(crate) fn set_rows_durable(&self, rows: u64) {
        self.0.rows_durable.store(rows, Relaxed);
        self.tell();
    }
}
