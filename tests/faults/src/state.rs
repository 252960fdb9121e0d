//! What a store holds, as everybody can ask for it, and whether that is right.
//!
//! Two questions, by two means. Is it what an undisturbed run leaves: [`State::difference`] compares texts. Is that itself
//! right: [`crate::audit`] computes balances from the ledger anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{ensure, program::Program, verdict::Problem};

/// What jobs write for each row.
pub const PROCESSED: &str = "processed.csv";
/// What they write for each rejected row.
pub const REJECTS: &str = "rejects.csv";

/// Everything that must not depend on what happened to the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The export of customers.
    pub customers: String,
    /// The export of balances.
    pub balances: String,
    /// The export of lots.
    pub lots: String,
    /// The export of the ledger.
    pub ledger: String,
    /// What `verify` says.
    pub verified: Value,
    /// The job's answer to each row; empty where it writes none.
    pub processed: String,
    /// The job's rejected rows; empty where it writes none.
    pub rejects: String,
    /// What `job show` says, without what depends on the speed of the machine.
    pub summary: Value,
}

impl State {
    /// Asks for everything, after a process of job `job` ended. A copy of the store is asked, in memory where the system has a directory
    /// there: that is faster, and the store stays as the job left it.
    ///
    /// # Errors
    /// The store is not sound, or something cannot be asked for.
    pub fn read(program: &Program, directory: &Path, job: u32) -> Result<State, Problem> {
        let copy = tempfile::Builder::new().prefix("tidemill-faults-read-").tempdir_in(in_memory())?;
        crate::scenario::copy(&directory.join("store"), &copy.path().join("store"))?;
        let [customers, balances, lots, ledger] =
            ["customers", "balances", "lots", "ledger"].map(|what| export(program, copy.path(), what));
        Ok(State {
            verified: verify(program, copy.path())?,
            customers: customers?,
            balances: balances?,
            lots: lots?,
            ledger: ledger?,
            processed: optional(&directory.join(PROCESSED))?,
            rejects: optional(&directory.join(REJECTS))?,
            summary: summary(program, copy.path(), job)?,
        })
    }

    /// In what it is not as expected, first of all.
    ///
    /// # Errors
    /// It is not.
    pub fn difference(&self, expected: &State) -> Result<(), Problem> {
        let [verified, summary] = [&self.verified, &self.summary].map(Value::to_string);
        let [expected_verified, expected_summary] = [&expected.verified, &expected.summary].map(Value::to_string);
        for (name, found, expected) in [
            ("customers", &self.customers, &expected.customers),
            ("balances", &self.balances, &expected.balances),
            ("lots", &self.lots, &expected.lots),
            ("ledger", &self.ledger, &expected.ledger),
            (PROCESSED, &self.processed, &expected.processed),
            (REJECTS, &self.rejects, &expected.rejects),
            ("verify", &verified, &expected_verified),
            ("job show", &summary, &expected_summary),
        ] {
            same_text(name, found, expected)?;
        }
        Ok(())
    }
}

/// A directory that is no disk, if there is one.
pub fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Checks that the reports in a directory are what is expected.
///
/// # Errors
/// They are not.
pub fn check_reports(directory: &Path, expected: &State) -> Result<(), Problem> {
    same_text(PROCESSED, &optional(&directory.join(PROCESSED))?, &expected.processed)?;
    same_text(REJECTS, &optional(&directory.join(REJECTS))?, &expected.rejects)
}

/// Runs `verify`, which must find nothing wrong; returns its document.
///
/// # Errors
/// It finds something.
pub fn verify(program: &Program, directory: &Path) -> Result<Value, Problem> {
    let ended = program.run(directory, &["verify"])?;
    ensure!(ended.exit == Some(0) && ended.json["ok"] == true, "`verify` {ended}");
    Ok(ended.json)
}

/// An export as text.
///
/// # Errors
/// It cannot be made.
pub fn export(program: &Program, directory: &Path, what: &str) -> Result<String, Problem> {
    let name = format!("export-{what}.csv");
    program.succeed(directory, &["export", what, "-o", &name])?;
    let text = optional(&directory.join(&name))?;
    ensure!(!text.is_empty(), "`export {what}` wrote nothing");
    Ok(text)
}

/// What `job show` says, without what depends on the speed of the machine.
///
/// # Errors
/// There is no such job.
pub fn summary(program: &Program, directory: &Path, job: u32) -> Result<Value, Problem> {
    let ended = program.run(directory, &["job", "show", &job.to_string()])?;
    ensure!(ended.exit == Some(0), "`job show {job}` {ended}");
    let mut summary = ended.json;
    for field in ["elapsed_s", "rows_per_s"] {
        summary[field].take();
    }
    Ok(summary)
}

/// The text of a file, empty where there is none.
fn optional(path: &Path) -> Result<String, Problem> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Problem::Wrong(format!("{}: {error}", path.display())))
        }
        Err(error) => Err(Problem::Harness(format!("{}: {error}", path.display()))),
    }
}

/// The first line in which two texts differ.
///
/// # Errors
/// They differ.
pub fn same_text(name: &str, found: &str, expected: &str) -> Result<(), Problem> {
    if found == expected {
        return Ok(());
    }
    let (mut found_lines, mut expected_lines) = (found.split('\n'), expected.split('\n'));
    let mut line = 0;
    loop {
        line += 1;
        let pair = (found_lines.next(), expected_lines.next());
        if pair.0 != pair.1 || pair.0.is_none() {
            let say = |line: Option<&str>| line.map_or("nothing more".to_owned(), |line| format!("{line:?}"));
            let [found, expected] = [pair.0, pair.1].map(say);
            return Err(Problem::Wrong(format!("{name}, line {line}: found {found}, expected {expected}")));
        }
    }
}
