//! The jobs that run or wait in this process, for whoever wants to list them, watch them or stop one.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use dashmap::DashMap;

use super::Engine;
use crate::{
    domain::{id::JobId, job::JobKind},
    job::progress::{Progress, Snapshot},
};

/// A job that runs or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningJob {
    /// In which order it was asked for; unlike the job's number it is there from the start.
    pub ticket: u64,
    /// What it does.
    pub kind: JobKind,
    /// Its file, as the caller named it.
    pub input: PathBuf,
    /// How far it is; its number is 0 before the job has one, and in a dry run.
    pub snapshot: Snapshot,
}

/// All of them; clones are the same list. It is read at any time while jobs come and go, by callers that must not wait for a job.
#[derive(Clone, Default)]
pub(super) struct RunningJobs {
    jobs: Arc<DashMap<u64, (JobKind, PathBuf, Progress)>>,
    tickets: Arc<AtomicU64>,
}

/// A place in the list, which the job leaves when this is dropped, however it ends.
pub(crate) struct Listed {
    jobs: RunningJobs,
    ticket: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.jobs.jobs.remove(&self.ticket);
    }
}

impl RunningJobs {
    /// Gives a job its place; none if it has one already, from whoever has had it wait for its turn.
    pub(super) fn list(&self, kind: JobKind, input: PathBuf, progress: &Progress) -> Option<Listed> {
        if self.jobs.iter().any(|entry| entry.value().2.is_same(progress)) {
            return None;
        }
        let ticket = self.tickets.fetch_add(1, Relaxed) + 1;
        self.jobs.insert(ticket, (kind, input, progress.clone()));
        Some(Listed { jobs: self.clone(), ticket })
    }

    /// Asks a job to stop, if it runs.
    pub(super) fn stop(&self, job: JobId) {
        for entry in self.jobs.iter().filter(|entry| entry.value().2.snapshot().job == u64::from(job.0)) {
            entry.value().2.stop();
        }
    }

    fn snapshots(&self) -> Vec<RunningJob> {
        // Nothing is locked in the loop that could wait for this list.
        let mut jobs: Vec<RunningJob> = self
            .jobs
            .iter()
            .map(|entry| {
                let (kind, input, progress) = entry.value();
                RunningJob { ticket: *entry.key(), kind: *kind, input: input.clone(), snapshot: progress.snapshot() }
            })
            .collect();
        jobs.sort_by_key(|job| job.ticket);
        jobs
    }
}

impl Engine {
    /// The imports that run or wait in this process, in the order they were asked for. Never waits for one.
    pub fn running(&self) -> Vec<RunningJob> {
        self.running.snapshots()
    }

    /// Lists a job that is going to be run.
    pub(crate) fn list_running(&self, kind: JobKind, input: PathBuf, progress: &Progress) -> Option<Listed> {
        self.running.list(kind, input, progress)
    }
}
