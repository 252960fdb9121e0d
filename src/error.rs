//! What stops a job or a command. Rows that are refused are data (`domain::rejection`) and never come here.

use std::{fmt, io};

use crate::domain::id::JobId;

/// The coarse kind a caller acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The call itself is wrong: contradictory options, an unknown column, a value that no option takes.
    Usage,
    /// Everything is in order and the answer is no; nothing was changed (a repeat, an expectation that failed).
    Refused,
    /// The input cannot be read.
    Input,
    /// The disk or the database failed; what was done is unknown until the store is opened again.
    Storage,
    /// Stored bytes contradict themselves.
    Corrupt,
    /// Somebody else holds the store.
    Busy,
    /// No such customer, job, program or store.
    NotFound,
    /// A stop was asked for; the job ended at a commit boundary.
    Stopped,
    /// A defect of this program.
    Internal,
}

/// A cache that can be made again from the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheKind {
    /// Runs of identifiers.
    Identifiers,
    /// Presence bits and attributes of customers.
    Profiles,
    /// Accounts, balances and lots.
    Accounts,
}

impl CacheKind {
    const ALL: [CacheKind; 3] = [CacheKind::Identifiers, CacheKind::Profiles, CacheKind::Accounts];

    fn code(self) -> &'static str {
        match self {
            CacheKind::Identifiers => "identifiers_damaged",
            CacheKind::Profiles => "profiles_damaged",
            CacheKind::Accounts => "accounts_damaged",
        }
    }
}

/// An error that ends a job or command: where, what, and what to do now.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    hint: Option<String>,
    job: Option<JobId>,
}

impl Error {
    /// An error of this kind; `code` is stable and for programs, `message` is for people.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Error {
        Error { kind, code, message: message.into(), hint: None, job: None }
    }

    /// Wrong use.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Usage, "usage", message)
    }

    /// Refused, nothing changed.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, code, message)
    }

    /// Unreadable input.
    pub fn input(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Input, "input_unreadable", message)
    }

    /// Stored bytes contradict themselves.
    pub fn corrupt(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, "store_corrupt", message)
            .hint("run `tidemill verify`, and restore a backup if it confirms the damage")
    }

    /// A defect of this program.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, "internal", message)
    }

    /// No such thing.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, code, message)
    }

    /// Adds what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Names the job that the error ended.
    #[must_use]
    pub fn of_job(mut self, job: JobId) -> Error {
        self.job.get_or_insert(job);
        self
    }

    /// Puts before the message where it happened.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Error {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Says that it was a cache whose bytes contradict themselves: the logs have all that it held.
    #[must_use]
    pub fn of_cache(mut self, cache: CacheKind) -> Error {
        if self.kind == ErrorKind::Corrupt {
            self.code = cache.code();
        }
        self
    }

    /// The cache that is damaged, if it is one.
    pub fn damaged_cache(&self) -> Option<CacheKind> {
        CacheKind::ALL.into_iter().find(|cache| cache.code() == self.code)
    }

    /// The kind to act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable code for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The message, without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do now, if there is something.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The job that the error ended or that stands in the way.
    pub fn job(&self) -> Option<JobId> {
        self.job
    }

    /// An I/O error on our own files: `what` names the file and the action.
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Error {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let fails = cfg!(unix) && matches!(error.raw_os_error(), Some(EIO | ENXIO | ENODEV));
        let code = if full { "disk_full" } else { "io" };
        let error = Error::new(ErrorKind::Storage, code, format!("{what}: {error}"));
        match (full, fails) {
            (true, _) => error.hint(DISK_FULL_HINT),
            (_, true) => error.hint(DISK_FAILS_HINT),
            _ => error,
        }
    }
}

// Linux's numbers of what `std::io::ErrorKind` has no name for: a disk that answers with errors, or no more.
const EIO: i32 = 5;
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;

const DISK_FULL_HINT: &str = "free some space and repeat the command: it goes on where the last commit ended";
const DISK_FAILS_HINT: &str = "the disk or its connection fails: look into the system's messages (`dmesg`), and repeat the command when \
     it is well again; a job goes on where its last commit ended";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<rocksdb::Error> for Error {
    fn from(error: rocksdb::Error) -> Error {
        let text = error.to_string();
        if text.contains("No space left") || text.contains("Disk quota exceeded") {
            return Error::new(ErrorKind::Storage, "disk_full", format!("the store's disk is full: {text}"))
                .hint(DISK_FULL_HINT);
        }
        match error.kind() {
            rocksdb::ErrorKind::Corruption => Error::corrupt(format!("the store is damaged: {text}")),
            _ => {
                let error = Error::new(ErrorKind::Storage, "storage", format!("the store failed: {text}"));
                let fails = ["Input/output error", "No such device"];
                if fails.iter().any(|part| text.contains(part)) { error.hint(DISK_FAILS_HINT) } else { error }
            }
        }
    }
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_disk_says_what_to_do_now() {
        for (failure, code, hint) in [
            (io::Error::from(io::ErrorKind::StorageFull), "disk_full", Some(DISK_FULL_HINT)),
            (io::Error::from(io::ErrorKind::QuotaExceeded), "disk_full", Some(DISK_FULL_HINT)),
            // It may be meant so.
            (io::Error::from(io::ErrorKind::ReadOnlyFilesystem), "io", None),
            (io::Error::from_raw_os_error(EIO), "io", Some(DISK_FAILS_HINT)),
            // The message says all.
            (io::Error::from(io::ErrorKind::NotFound), "io", None),
            (io::Error::from(io::ErrorKind::PermissionDenied), "io", None),
        ] {
            let error = Error::io("cannot write `x`", &failure);
            assert_eq!((error.kind(), error.code(), error.hint_text()), (ErrorKind::Storage, code, hint), "{failure}");
        }
    }
}
