//! The handle of a job that runs on its own.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::id::JobId,
    error::{Error, Result},
    job::progress::{Progress, Snapshot},
    report::summary::Summary,
};

/// A job on its way. Clones are handles of the same job, each with its own place in the progress; without any the job goes
/// on all the same.
#[derive(Clone)]
pub struct Job {
    progress: Progress,
    seen: watch::Receiver<Snapshot>,
    ended: watch::Receiver<Option<Result<Summary>>>,
    cancellation: CancellationToken,
}

impl Job {
    pub(super) fn new(
        progress: Progress,
        seen: watch::Receiver<Snapshot>,
        ended: watch::Receiver<Option<Result<Summary>>>,
        cancellation: CancellationToken,
    ) -> Job {
        Job { progress, seen, ended, cancellation }
    }

    /// How far it is, when that has changed since the last call; none once it has ended. Steps between two calls are not
    /// kept, so a slow watcher holds up nothing.
    pub async fn progress(&mut self) -> Option<Snapshot> {
        tokio::select! {
            // What happened last is seen before the end.
            biased;
            changed = self.seen.changed() => changed.is_ok().then(|| *self.seen.borrow_and_update()),
            _ = self.ended.wait_for(Option::is_some) => None,
        }
    }

    /// How far it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.progress.snapshot()
    }

    /// Its number, once it has one; a dry run never has.
    pub fn id(&self) -> Option<JobId> {
        u32::try_from(self.snapshot().job).ok().filter(|&number| number > 0).map(JobId)
    }

    /// Asks it to stop at its next commit. It then ends with an error of the kind `Stopped`, and can be resumed.
    pub fn stop(&self) {
        self.cancellation.cancel();
    }

    /// The token that stops it, for a host that stops many things at once.
    pub fn cancellation(&self) -> CancellationToken {
        self.cancellation.clone()
    }

    /// Its end. Every handle may wait for it.
    ///
    /// # Errors
    /// Those of the job.
    pub async fn finish(mut self) -> Result<Summary> {
        let end = self.ended.wait_for(Option::is_some).await.map(|end| end.clone());
        // The sender goes without a word only if the runtime was shut down.
        end.ok().flatten().unwrap_or_else(|| {
            Err(Error::internal("the runtime was shut down before the job ended")
                .hint("open the store again and look at `jobs`: what was committed stays"))
        })
    }
}
