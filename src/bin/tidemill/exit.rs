//! The exit codes, a contract with every script that calls us.

use std::process::ExitCode;

use tidemill::error::{Error, ErrorKind};

use crate::signals::Signal;

/// The table in `--help`.
pub const TABLE: &str = "\
Exit codes:
    0  done, every row good, or nothing to do
    1  failed: the message says what was done and how to go on
    2  wrong usage
    3  done, with rejected rows, or points that an undo had to keep
    4  refused, nothing changed: a repeated file, `--max-rejects`, `--expect-rows`, `--expect-total`
  130  stopped by Ctrl-C (SIGINT) at a commit: repeat the command to go on
  143  stopped by SIGTERM, likewise

Settings: a flag wins over its environment variable, that over `tidemill.toml` in the working directory \
(keys `store`, `threads`, `progress`, `color`; sections see `tidemill notify --help`), that over the default.";

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, every row good.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Done, with rejected rows.
    Rejected = 3,
    /// Refused, nothing changed.
    Refused = 4,
    /// Stopped by SIGINT: 128 + 2, as shells count.
    Interrupted = 130,
    /// Stopped by SIGTERM: 128 + 15.
    Terminated = 143,
}

impl Exit {
    /// The end of a job or adjustment with so many rejected rows.
    pub fn of_rejected(rejected: u64) -> Exit {
        if rejected == 0 { Exit::Done } else { Exit::Rejected }
    }

    /// The end that an error makes; `signal` is what asked for a stop, if one did.
    pub fn of_error(error: &Error, signal: Option<Signal>) -> Exit {
        match error.kind() {
            ErrorKind::Usage => Exit::Usage,
            ErrorKind::Refused => Exit::Refused,
            ErrorKind::Input
            | ErrorKind::Storage
            | ErrorKind::Corrupt
            | ErrorKind::Busy
            | ErrorKind::NotFound
            | ErrorKind::Internal => Exit::Failed,
            ErrorKind::Stopped => match signal {
                Some(Signal::Terminate) => Exit::Terminated,
                Some(Signal::Interrupt) | None => Exit::Interrupted,
            },
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_exit_code() {
        let cases = [
            (ErrorKind::Usage, None, 2),
            (ErrorKind::Refused, None, 4),
            (ErrorKind::Input, None, 1),
            (ErrorKind::Storage, None, 1),
            (ErrorKind::Corrupt, None, 1),
            (ErrorKind::Busy, None, 1),
            (ErrorKind::NotFound, None, 1),
            (ErrorKind::Internal, None, 1),
            (ErrorKind::Stopped, Some(Signal::Interrupt), 130),
            (ErrorKind::Stopped, Some(Signal::Terminate), 143),
        ];
        for (kind, signal, code) in cases {
            assert_eq!(Exit::of_error(&Error::new(kind, "code", "message"), signal) as u8, code, "{kind:?}");
        }
    }

    #[test]
    fn the_help_lists_every_exit_code() {
        for exit in
            [Exit::Done, Exit::Failed, Exit::Usage, Exit::Rejected, Exit::Refused, Exit::Interrupted, Exit::Terminated]
        {
            assert!(TABLE.lines().any(|line| line.trim_start().starts_with(&format!("{}  ", exit as u8))), "{exit:?}");
        }
    }
}
