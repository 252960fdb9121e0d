//! The library that stands between a program and the file system (`shim/`), from outside: which calls it breaks, and what it
//! counted.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{program::Program, verdict::Problem};

/// A kind of call that changes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `write` and its kin.
    Write,
    /// `fsync` and its kin.
    Sync,
    /// `rename`.
    Rename,
    /// `unlink`.
    Unlink,
    /// `ftruncate` and `fallocate`.
    Resize,
    /// `link`.
    Link,
}

impl Call {
    /// All kinds, in the order in which they are counted.
    pub const ALL: [Call; 6] = [Call::Write, Call::Sync, Call::Rename, Call::Unlink, Call::Resize, Call::Link];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Call::Write => "write",
            Call::Sync => "sync",
            Call::Rename => "rename",
            Call::Unlink => "unlink",
            Call::Resize => "resize",
            Call::Link => "link",
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The process is killed before it.
    KillBefore,
    /// The process is killed when half of the bytes are written.
    KillHalf,
    /// The process is killed after it.
    KillAfter,
    /// It fails with this error, once.
    Fail(i32),
    /// It fails with this error, and so do all that follow.
    FailOn(i32),
}

impl Act {
    /// Its name.
    pub fn name(self) -> String {
        match self {
            Act::KillBefore => "killed before".to_owned(),
            Act::KillHalf => "killed in the middle of".to_owned(),
            Act::KillAfter => "killed after".to_owned(),
            Act::Fail(error) => format!("{} of", error_name(error)),
            Act::FailOn(error) => format!("{} from", error_name(error)),
        }
    }

    /// The error that the call meets, if the process goes on.
    pub fn error(self) -> Option<i32> {
        match self {
            Act::Fail(error) | Act::FailOn(error) => Some(error),
            _ => None,
        }
    }

    fn variable(self) -> String {
        match self {
            Act::KillBefore => "kill-before".to_owned(),
            Act::KillHalf => "kill-half".to_owned(),
            Act::KillAfter => "kill-after".to_owned(),
            Act::Fail(error) | Act::FailOn(error) => error.to_string(),
        }
    }
}

fn error_name(error: i32) -> &'static str {
    match error {
        libc::EIO => "EIO",
        libc::ENOSPC => "ENOSPC",
        _ => "an error",
    }
}

/// The library.
#[derive(Clone, Copy, Debug)]
pub struct Shim(&'static Path);

impl Shim {
    /// Finds it where cargo puts it: beside this binary.
    ///
    /// # Errors
    /// It is not there: it was not built, or cannot be on this system.
    pub fn find() -> Result<Shim, Problem> {
        static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let library = std::env::current_exe().ok()?.parent()?.join("libfaults_shim.so");
            library.exists().then_some(library)
        });
        let missing = || Problem::NotRun("`libfaults_shim.so` does not lie beside this binary".to_owned());
        found.as_deref().map(Shim).ok_or_else(missing)
    }

    /// The program with the library loaded, which does nothing yet.
    pub fn load(self, program: &Program) -> Program {
        program.with("LD_PRELOAD", self.0)
    }

    /// The program with the library loaded, counting on this board.
    pub fn counting(self, program: &Program, board: &Path) -> Program {
        self.load(program).with("FAULTS_BOARD", board)
    }

    /// The same, and the call of this number is broken.
    pub fn breaking(self, program: &Program, board: &Path, call: Call, number: u64, act: Act) -> Program {
        let program = self
            .counting(program, board)
            .with("FAULTS_CALL", call.name())
            .with("FAULTS_AT", number.to_string())
            .with("FAULTS_ACT", act.variable());
        if matches!(act, Act::FailOn(_)) { program.with("FAULTS_ON", "1") } else { program }
    }

    /// The program of which no sync does anything.
    pub fn without_syncs(self, program: &Program) -> Program {
        self.load(program).with("FAULTS_NO_SYNC", "1")
    }

    /// The program of which each sync takes so much longer.
    pub fn slow_syncs(self, program: &Program, milliseconds: u64) -> Program {
        self.load(program).with("FAULTS_SYNC_MS", milliseconds.to_string())
    }

    /// The program that believes each disk to have room.
    pub fn pretending_room(self, program: &Program) -> Program {
        self.load(program).with("FAULTS_ROOM", "1")
    }
}

/// What the library counted.
#[derive(Clone, Debug, Default)]
pub struct Board {
    counts: [u64; Call::ALL.len()],
    /// How many calls were broken.
    pub broken: u64,
    /// The file of the first of them.
    pub file: String,
}

impl Board {
    /// Reads a board.
    ///
    /// # Errors
    /// It is not there: the library was not loaded.
    pub fn read(path: &Path) -> Result<Board, Problem> {
        let bytes = fs::read(path)?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let number = |at: usize| numbers.get(at).map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let mut board = Board { broken: number(Call::ALL.len()), ..Board::default() };
        for (at, count) in board.counts.iter_mut().enumerate() {
            *count = number(at);
        }
        let name = bytes.get(8 * (Call::ALL.len() + 1)..).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        board.file = String::from_utf8_lossy(name).into_owned();
        Ok(board)
    }

    /// How many calls of a kind there were.
    pub fn count(&self, call: Call) -> u64 {
        self.counts[call as usize]
    }
}
