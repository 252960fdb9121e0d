//! Adjustments that come while a job runs: what they commit with the window of its rows.

use crate::{
    domain::{
        id::JobId,
        job::{JobStart, WindowRecord},
    },
    error::Result,
    job::output::Output,
    store::{jobs, log::Commit},
};

/// What an adjustment commits: a job of its own, begun and finished.
pub struct LiveCommit {
    /// Its number.
    pub job: JobId,
    /// How it began.
    pub start: JobStart,
    /// Its pages.
    pub pages: Output,
    /// Its only window.
    pub record: WindowRecord,
    /// Tells who waits that it is durable. Dropped without a call where nobody knows.
    pub done: Box<dyn FnOnce() + Send>,
}

impl LiveCommit {
    /// Adds its pages to a commit. Those of the rows before it must be there.
    pub fn put_pages(&self, commit: &mut Commit) {
        for (key, place) in &self.pages.keys {
            commit.put(*key, &self.pages.pages[place.clone()]);
        }
    }

    /// Adds its records to a commit. Those of jobs with lower numbers must be there.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn put_records(&self, commit: &mut Commit) -> Result<()> {
        jobs::put_start(commit, self.job, &self.start)?;
        jobs::put_window(commit, self.job, 1, &self.record, &[], &[], &[])
    }
}
