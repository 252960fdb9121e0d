//! The thread that empties the outbox for a service: when a job has ended, and when the time of a message comes that could not
//! be sent before.
//!
//! It is a thread and not a task, as sending blocks and a host's runtime may have no clock. It keeps nothing open: it has the
//! engine only while it works, and ends with the last handle of the service.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    clock,
    engine::{Engine, tell::Told},
    error::{Error, Result},
    tell::TellOptions,
};

/// How long one round lasts: a server may be slow, and behind it others wait.
const ROUND: Duration = Duration::from_secs(60);

/// The longest sleep: what came into the outbox by another way is found then.
const SLEEP_MAX: Duration = Duration::from_secs(300);

/// The shortest: a disk that fails is not asked a thousand times a second.
const SLEEP_MIN: Duration = Duration::from_millis(100);

/// The running thread. Dropping it ends the thread, within a fraction of a second.
pub(super) struct Teller {
    wake: Option<Sender<()>>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    /// Starts it; what waits in the outbox is tried at once.
    pub(super) fn start(engine: &Arc<Engine>, options: TellOptions) -> Result<Teller> {
        let (wake, woken) = channel();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (Arc::downgrade(engine), Arc::clone(&is_stopped));
        let work = move || {
            let mut sleep = Duration::ZERO;
            while woken.recv_timeout(sleep) != Err(RecvTimeoutError::Disconnected) {
                match round(&engine, &options, &stopped) {
                    Some(next) => sleep = next,
                    None => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("teller".into()).spawn(work);
        let thread = thread.map_err(|error| Error::internal(format!("no thread can be started: {error}")))?;
        Ok(Teller { wake: Some(wake), is_stopped, thread: Some(thread) })
    }

    /// Says that a job has ended.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // If it is gone, it was stopped.
            let _ = wake.send(());
        }
    }
}

/// Sends what is due; returns how long to sleep then, or nothing if the service is gone.
fn round(engine: &Weak<Engine>, options: &TellOptions, is_stopped: &AtomicBool) -> Option<Duration> {
    let engine = engine.upgrade()?;
    // What goes wrong here stands in the outbox, or is met by whoever reads the store next.
    let told = engine.tell(options, Told::Due, ROUND, || is_stopped.load(Relaxed));
    let next = told.and_then(|_| engine.next_due()).ok().flatten();
    let wait_ms = next.map_or(u64::MAX, |due| u64::try_from(due.millis() - clock::now().millis()).unwrap_or(0));
    Some(Duration::from_millis(wait_ms).clamp(SLEEP_MIN, SLEEP_MAX))
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.is_stopped.store(true, Relaxed);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // So that the store is free for the next process when the service is gone.
            let _ = thread.join();
        }
    }
}
