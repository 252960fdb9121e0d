//! Kinds of jobs, each with its store and files: generated from a seed, with rows that must be rejected.

mod rows;
mod workbook;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

pub use rows::gzip;

use crate::{
    audit::{self, Row},
    ensure,
    program::{Process, Program},
    random::Random,
    state::{PROCESSED, REJECTS, State},
    verdict::Problem,
};

/// A kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `import customers`, into a new store or over customers that are there.
    Customers,
    /// `import points` of a plain format.
    Points,
    /// `import points` with last days and row ids.
    DatedPoints,
    /// `import points` of a compressed file.
    GzPoints,
    /// `import points` of a workbook.
    Workbook,
    /// `import points` of standard input, which the store keeps until the job ends.
    PipedPoints,
    /// `bulk credit` of a selection that the credit itself would change.
    BulkCredit,
    /// `bulk reset`.
    BulkReset,
    /// `import expiry`.
    Expiry,
    /// `expire`.
    Expire,
    /// `job undo` of an import of points.
    UndoPoints,
    /// `job undo` of a bulk credit.
    UndoBulk,
    /// `job undo` of an import of last days.
    UndoExpiry,
}

impl Kind {
    /// All kinds whose command reads no standard input.
    pub const ALL: &[Kind] = {
        let (_, others) = Kind::WITH_PIPES.split_at(1);
        others
    };

    /// All kinds.
    pub const WITH_PIPES: &[Kind] = &[
        Kind::PipedPoints,
        Kind::Points,
        Kind::Customers,
        Kind::BulkCredit,
        Kind::DatedPoints,
        Kind::UndoPoints,
        Kind::GzPoints,
        Kind::Expiry,
        Kind::BulkReset,
        Kind::Expire,
        Kind::Workbook,
        Kind::UndoBulk,
        Kind::UndoExpiry,
    ];

    /// The kinds that read a file by its name.
    pub const IMPORTS: &[Kind] =
        &[Kind::Points, Kind::Customers, Kind::DatedPoints, Kind::GzPoints, Kind::Workbook, Kind::Expiry];

    /// Whether the job has a row for each of an input, which makes its command known again.
    pub fn is_import(self) -> bool {
        self == Kind::PipedPoints || Kind::IMPORTS.contains(&self)
    }
}

/// A directory with a store and files, the command that is the job, and what an undisturbed run leaves.
pub struct Scenario {
    /// What kind of job it is.
    pub kind: Kind,
    /// The command, reports included.
    pub command: Vec<String>,
    /// The number that the job gets.
    pub job: u32,
    /// The file that it reads, if any.
    pub input: Option<String>,
    /// The rows of the file.
    pub rows: Vec<Row>,
    /// What an undisturbed run leaves.
    pub expected: State,
    /// How long that took.
    pub took: Duration,
    before: TempDir,
}

/// The moment of the jobs that prepare a store. All moments are far ahead: exports count what is valid on the day on which
/// they are made, and the clock must not pass a day that matters.
pub const BEFORE: &str = "2036-11-20T12:00:00Z";
/// The moment of the job: some points are over by then.
pub const NOW: &str = "2036-11-25T12:00:00Z";

impl Scenario {
    /// Makes the store and the files, runs the job undisturbed in a copy, and audits what it leaves.
    ///
    /// # Errors
    /// A command fails, or the audit finds something.
    pub fn prepare(program: &Program, directory: &Path, kind: Kind, rows: u64, seed: u64) -> Result<Scenario, Problem> {
        let before = tempfile::Builder::new().prefix("scenario-").tempdir_in(directory)?;
        let mut random = Random::new(seed, "scenario");
        let job = rows::write(program, before.path(), kind, rows, &mut random)?;
        let mut scenario = Scenario {
            kind,
            command: job.command,
            job: job.number,
            input: job.input,
            rows: job.rows,
            expected: State::default(),
            took: Duration::ZERO,
            before,
        };
        let undisturbed = tempfile::Builder::new().prefix("undisturbed-").tempdir_in(directory)?;
        scenario.copy_to(undisturbed.path())?;
        let ended = scenario.start(&any_windows(program, &mut random), undisturbed.path())?.wait()?;
        ensure!(ended.is_done(), "the job {ended}");
        scenario.took = ended.took;
        scenario.expected = State::read(program, undisturbed.path(), scenario.job)?;
        scenario.audit(&scenario.expected)?;
        Ok(scenario)
    }

    /// Whether a state after the job is right in itself, whatever an undisturbed run leaves.
    ///
    /// # Errors
    /// It is not.
    pub fn audit(&self, state: &State) -> Result<(), Problem> {
        audit::accounts(state)?;
        if self.kind.is_import() {
            audit::answers(state, &self.rows, self.job)?;
        }
        ensure!(state.summary["state"] == "finished", "the job has not finished: {}", state.summary);
        let changed = state.summary["rows"]["read"].as_u64().unwrap_or(0);
        ensure!(changed > 0, "the job did nothing: {}", state.summary);
        Ok(())
    }

    /// Copies the directory as it is before the job. Tables, which RocksDB never changes, are the very same: who means to
    /// damage one must write it anew.
    ///
    /// # Errors
    /// Files cannot be copied.
    pub fn copy_to(&self, directory: &Path) -> Result<(), Problem> {
        copy(self.before.path(), directory)
    }

    /// Starts the command, with its standard input if it reads one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, program: &Program, directory: &Path) -> Result<Process, Problem> {
        match &self.input {
            Some(input) if self.kind == Kind::PipedPoints => program.spawn_reading(directory, &self.command, input),
            _ => program.spawn(directory, &self.command),
        }
    }

    /// Whether the command, repeated now, would be another job and not this one: where no file makes it known again, it
    /// goes on only while the job is unfinished.
    ///
    /// # Errors
    /// The program does not say.
    pub fn is_repeated_anew(&self, program: &Program, directory: &Path) -> Result<bool, Problem> {
        if self.kind.is_import() || !directory.join("store").exists() {
            return Ok(false);
        }
        let shown = program.run(directory, &["job", "show", &self.job.to_string()])?;
        Ok(shown.json["state"] == "finished")
    }
}

/// The program with any size of windows and any number of threads, as the result depends on neither.
pub fn any_windows(program: &Program, random: &mut Random) -> Program {
    let (rows, threads) = (random.within(40..400).to_string(), random.within(1..4).to_string());
    program.flags(["--window-rows", &rows, "--threads", &threads])
}

/// Copies a directory into one that is there.
///
/// # Errors
/// Files cannot be copied.
pub fn copy(from: &Path, to: &Path) -> Result<(), Problem> {
    let mut directories = vec![PathBuf::new()];
    while let Some(relative) = directories.pop() {
        fs::create_dir_all(to.join(&relative))?;
        for entry in fs::read_dir(from.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                directories.push(path);
                continue;
            }
            let [from, to] = [from.join(&path), to.join(&path)];
            // Another file system cannot have a link to it.
            if path.extension().is_none_or(|end| end != "sst") || fs::hard_link(&from, &to).is_err() {
                fs::copy(from, to)?;
            }
        }
    }
    Ok(())
}

/// The arguments that ask for both reports.
fn reports() -> [String; 4] {
    ["--processed", PROCESSED, "--rejects", REJECTS].map(str::to_owned)
}
