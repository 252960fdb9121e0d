//! SIGINT and SIGTERM: the first asks for a stop at a commit, a second ends the process at once.
//!
//! The handlers only set flags, which is all that a signal handler may do; `watch` reads them ten times a second. The
//! second signal needs no thread of ours: it works even if every one hangs on a dead disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use signal_hook::{
    consts::signal::{SIGINT, SIGTERM},
    flag,
};
use tidemill::error::{Error, ErrorKind, Result};

/// A signal that asks for a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

static ARMED: AtomicBool = AtomicBool::new(false);
static RECEIVED: AtomicUsize = AtomicUsize::new(0);

/// Turns the first signal into a flag, and every later one into the end of the process.
pub fn arm() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the shutdown looks at the flag before this signal sets it.
        flag::register_conditional_shutdown(signal, 128 + signal, &ARMED)
            .and_then(|_| flag::register_usize(signal, &RECEIVED, signal.unsigned_abs() as usize))
            .and_then(|_| flag::register(signal, &ARMED))
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "internal", format!("signal {signal} cannot be watched: {error}"))
            })?;
    }
    Ok(())
}

/// Notes SIGINT, which then no longer ends the process, until [`arm`] does more with it: for questions on a terminal, where
/// Ctrl-C breaks off the reading of a key, and the terminal must be left as it was.
pub fn note_interrupts() -> Result<()> {
    flag::register_usize(SIGINT, &RECEIVED, SIGINT.unsigned_abs() as usize).map(drop).map_err(|error| {
        Error::new(ErrorKind::Internal, "internal", format!("signal {SIGINT} cannot be watched: {error}"))
    })
}

/// The signal that came, if one did.
pub fn received() -> Option<Signal> {
    match i32::try_from(RECEIVED.load(SeqCst)) {
        Ok(SIGINT) => Some(Signal::Interrupt),
        Ok(SIGTERM) => Some(Signal::Terminate),
        _ => None,
    }
}
