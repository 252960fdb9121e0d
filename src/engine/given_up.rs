//! Jobs that nobody wants to go on with, and rejected rows that nobody needs any more.

use super::{Engine, parameters_of, view::ForgetView};
use crate::{
    domain::{
        id::JobId,
        job::{Counts, JobState, Position, WindowRecord},
    },
    error::{Error, Result},
    report::summary::Summary,
    store::{jobs, lock, log::Commit, outbox},
};

impl Engine {
    /// Gives an unfinished job up: what it applied stays, and it cannot be resumed any more. One that runs in this process
    /// is first stopped at its next commit.
    ///
    /// Its rows stand in the ledger, so that the same file is still refused as a repeat; a job that had applied nothing yet
    /// is no obstacle.
    ///
    /// # Errors
    /// `NotFound`; `Refused` for a job that is finished.
    pub fn cancel(&self, id: JobId) -> Result<Summary> {
        self.running.stop(id);
        let held = lock(&self.state);
        let mut job = jobs::job(&self.store, id)?;
        match job.state() {
            JobState::Finished => {
                return Err(Error::refused(
                    "job_finished",
                    format!("job {id} is finished, there is nothing to give up"),
                )
                .hint(format!("`tidemill job show {id}` tells what it did"))
                .of_job(id));
            }
            JobState::Cancelled => return self.summary(&job),
            JobState::Unfinished => {}
        }
        let (window, before) = match job.window.take() {
            Some((window, record)) => (window, Some(record)),
            None => (0, None),
        };
        let record = match before {
            Some(record) => {
                let end = record.sequences.1;
                WindowRecord { state: JobState::Cancelled, sequences: (end, end), ..record }
            }
            None => WindowRecord {
                state: JobState::Cancelled,
                counts: Counts::default(),
                position: Position::default(),
                processed_bytes: 0,
                notified_bytes: 0,
                bytes_read: 0,
                balance_after: job.start.balance_before,
                elapsed_ms: 0,
                sequences: (job.start.first_sequence, job.start.first_sequence),
                expiring_after: None,
            },
        };
        let mut commit = Commit::default();
        jobs::put_window(&mut commit, id, window + 1, &record, &[], &[], &[])?;
        outbox::put_messages(&mut commit, &self.store, id, &job.start)?;
        self.store.log().commit(&commit).map_err(|error| error.of_job(id))?;
        job.window = Some((window + 1, record));
        drop(held);
        self.drop_spool(parameters_of(&job)?.layout);
        self.summary(&job)
    }

    /// Drops the rejected rows of a job that has ended, which hold what stood in the file. Counts and reasons stay.
    ///
    /// # Errors
    /// `NotFound`; `Refused` for a job that has not ended, whose reports are not written yet.
    pub fn forget(&self, id: JobId) -> Result<ForgetView> {
        // The check of the whole store must not see one half of it.
        let held = lock(&self.state);
        let job = jobs::job(&self.store, id)?;
        if job.state() == JobState::Unfinished {
            return Err(Error::refused(
                "job_unfinished",
                format!("job {id} has not ended, its rejected rows are needed"),
            )
            .hint(format!("go on with `tidemill job resume {id}`, or give it up with `tidemill job cancel {id}`"))
            .of_job(id));
        }
        let already = jobs::forgotten(&self.store, id)?;
        let rejected = job.window.map_or(0, |(_, record)| record.counts.rejected);
        jobs::forget(&self.store, id, rejected).map_err(|error| error.of_job(id))?;
        drop(held);
        Ok(ForgetView { job: id, rows_dropped: if already.is_some() { 0 } else { rejected } })
    }
}
