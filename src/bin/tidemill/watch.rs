//! What happens around a job: its progress is shown, and a signal stops it at a commit.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tidemill::{
    engine::Engine,
    error::{Error, Result},
    job::progress::Progress,
};

use crate::{progress::Display, settings::Settings, signals};

/// How often signals and progress are looked at: fast enough for a person, and nothing for the job.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs a job that `Ctrl-C` stops at a commit, and shows its progress meanwhile.
///
/// # Errors
///
/// Those of the job, and where signals cannot be watched: then nothing has begun.
pub fn watched<T>(settings: &Settings, job: impl FnOnce(&Progress) -> Result<T>) -> Result<T> {
    signals::arm()?;
    let progress = Progress::default();
    let mut display = Display::new(settings.progress);
    let (seen, output) = (progress.clone(), settings.output);
    let (end, ended) = mpsc::channel::<()>();
    let watcher = thread::Builder::new().name("watch".into()).spawn(move || {
        while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if signals::received().is_some() && !seen.is_stopped() {
                seen.stop();
                if !output.is_quiet() {
                    display.say("stopping at the next commit; a second signal stops at once");
                }
            }
            display.show(&seen.snapshot());
        }
        display.finish(&seen.snapshot());
    });
    let watcher = watcher.map_err(|error| Error::internal(format!("no thread can be started: {error}")))?;
    let result = job(&progress);
    drop(end);
    // It does not panic, and if it did the job's result would count all the same.
    let _ = watcher.join();
    result
}

/// Says what was found damaged and mended: the disk that did this may do worse.
pub fn note_rebuilt(settings: &Settings, engine: &Engine) {
    for damage in engine.take_rebuilt() {
        settings.output.note(format!(
            "a cache was damaged and has been made again from the logs, nothing is lost ({damage}); check the disk, and run \
             `tidemill verify`"
        ));
    }
}
