//! A bit of a file of the store is flipped, or its end is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Control, Fault};
use crate::{
    ensure,
    harness::Run,
    program::{Ended, Program},
    random::Random,
    recovery,
    scenario::{self, Kind, Scenario},
    shim::{Act, Board, Call, Shim},
    state::{self, State},
    verdict::Problem,
};

/// Rows of the job.
const ROWS: u64 = 400;
const FLAGS: [&str; 2] = ["--window-rows", "40"];
/// Half of them from standard input, as only these keep a file of ours in the store.
const KINDS: [Kind; 10] = [
    Kind::PipedPoints,
    Kind::Points,
    Kind::PipedPoints,
    Kind::DatedPoints,
    Kind::PipedPoints,
    Kind::Customers,
    Kind::PipedPoints,
    Kind::Expiry,
    Kind::PipedPoints,
    Kind::UndoPoints,
];

/// A kind of file of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The write-ahead log of the database.
    Log,
    /// A table.
    Table,
    /// The list of tables.
    Manifest,
    /// The name of that list.
    Current,
    /// The database's options.
    Options,
    /// The format's version.
    Format,
    /// What was promised.
    Head,
    /// A stream that is kept until its job ends.
    Spool,
}

impl Class {
    const ALL: [Class; 8] = [
        Class::Log,
        Class::Table,
        Class::Manifest,
        Class::Current,
        Class::Options,
        Class::Format,
        Class::Head,
        Class::Spool,
    ];

    /// Whether a file, as it is named in the store, is one of these.
    fn has(self, name: &str) -> bool {
        match self {
            Class::Log => name.starts_with("db/") && name.ends_with(".log"),
            Class::Table => name.starts_with("db/") && name.ends_with(".sst"),
            Class::Manifest => name.starts_with("db/MANIFEST"),
            Class::Current => name == "db/CURRENT",
            Class::Options => name.starts_with("db/OPTIONS"),
            Class::Format => name == "TIDEMILL_FORMAT",
            Class::Head => name == "TIDEMILL_HEAD",
            Class::Spool => name.starts_with("spool/"),
        }
    }
}

/// Damaged files.
pub struct Flips;

impl Fault for Flips {
    fn name(&self) -> &'static str {
        "flips"
    }

    fn what(&self) -> &'static str {
        "a flipped bit or a missing end of any file of the store is named, or harms nothing: never another ledger as sound"
    }

    fn faults_claim(&self) -> u64 {
        // 500 of both for each class.
        16 * 500
    }

    fn faults_small(&self) -> u64 {
        28
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let scenario = run.scenario(&KINDS, ROWS)?;
        let mut random = run.random("flips");
        // All in one place, as a job remembers where its reports are.
        let (base, directory) = (run.directory.join("base"), run.directory.join("work"));
        let is_finished = make_base(run, &scenario, &directory, &mut random)?;
        fs::rename(&directory, &base)?;
        if !base.join("store/TIDEMILL_FORMAT").exists() {
            // It was killed before it was a store.
            return Ok(0);
        }
        let files = files_below(&base.join("store"))?;
        // What it says before it is damaged; a copy, as opening it changes files.
        let asked = run.directory.join("asked");
        scenario::copy(&base, &asked)?;
        let shown = run.harness.tidemill.run(&asked, &["job", "show", &scenario.job.to_string()])?;
        let before = Before {
            scenario: &scenario,
            is_finished,
            is_begun: shown.json["state"] == "unfinished",
            verified: state::verify(&run.harness.tidemill, &asked)?,
        };
        let mut faults = 0;
        for class in Class::ALL {
            let files: Vec<&String> = files.iter().filter(|name| class.has(name)).collect();
            if files.is_empty() {
                continue;
            }
            for is_cut in [false, true] {
                let name = *random.one_of(&files);
                scenario::copy(&base, &directory)?;
                let Some(what) = damage(&directory.join("store").join(name), is_cut, &mut random)? else { continue };
                let part = run.begun_in(&directory);
                let end = if is_finished { "finished" } else { "unfinished" };
                before
                    .check(&part, name, &mut random)
                    .map_err(|problem| problem.at(format!("{:?} {end}, `{name}` {what}", scenario.kind)))?;
                fs::remove_dir_all(&directory)?;
                faults += 1;
            }
        }
        Ok(faults)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checksum", runs_max: 100, program: |harness| harness.sabotage("checksum") }]
    }
}

/// Runs the job, to its end or until it is killed; whether it has ended.
fn make_base(run: &Run, scenario: &Scenario, base: &Path, random: &mut Random) -> Result<bool, Problem> {
    let program = run.program.flags(FLAGS);
    let is_killed = scenario.kind == Kind::PipedPoints || random.one_in(2);
    let (board, mut at) = (run.directory.join("board"), random.within(12..50));
    loop {
        scenario.copy_to(base)?;
        if !is_killed {
            let ended = scenario.start(&program, base)?.wait()?;
            ensure!(ended.is_done(), "the job {ended}");
            return Ok(true);
        }
        let program = Shim::find()?.breaking(&program, &board, Call::Sync, at, Act::KillAfter);
        let ended = scenario.start(&program, base)?.wait()?;
        let met = Board::read(&board)?;
        if met.broken == 0 {
            return Ok(ended.is_done());
        }
        // There every commit has just been noted beside the database. One that is not may be missing later, as nobody was told
        // of it, and what is left is another sound ledger.
        if met.file.ends_with("TIDEMILL_HEAD") {
            return Ok(false);
        }
        fs::remove_dir_all(base)?;
        fs::remove_file(&board)?;
        at += 1;
    }
}

/// The names of all files below a directory.
fn files_below(directory: &Path) -> Result<Vec<String>, Problem> {
    let (mut names, mut directories) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(relative) = directories.pop() {
        for entry in fs::read_dir(directory.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() { directories.push(path) } else { names.push(path.display().to_string()) }
        }
    }
    names.sort();
    Ok(names)
}

/// Flips a bit of a file, or cuts its end off; says which, unless it is empty.
fn damage(path: &Path, is_cut: bool, random: &mut Random) -> Result<Option<String>, Problem> {
    let mut bytes = fs::read(path)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let (length, at) = (bytes.len(), random.below(bytes.len() as u64));
    let index = usize::try_from(at).unwrap_or(0);
    let what = if is_cut {
        bytes.truncate(index);
        format!("cut from {length} to {at} bytes")
    } else {
        let bit = random.below(8);
        bytes[index] ^= 1 << bit;
        format!("with bit {bit} of byte {at} of {length} flipped")
    };
    // Another run's copy may be the same file under another name.
    fs::remove_file(path)?;
    fs::write(path, bytes)?;
    Ok(Some(what))
}

/// A store before it is damaged.
struct Before<'a> {
    scenario: &'a Scenario,
    is_finished: bool,
    is_begun: bool,
    verified: Value,
}

impl Before<'_> {
    fn check(&self, run: &Run, name: &str, random: &mut Random) -> Result<(), Problem> {
        let (program, directory, scenario) = (&run.program, run.directory, self.scenario);
        let is_sound = self.is_sound(program, directory, name)?;
        if !self.is_finished {
            // Whoever goes on without a look comes to the right end, or is told.
            let ended = recovery::go_on(program, run, scenario, random)?.wait()?;
            if recovery::is_end(&ended, scenario).is_ok_and(|is_end| is_end) {
                return recovery::compare(run, scenario);
            }
            if !self.is_begun && ended.error("code") == "job_unknown" {
                return Ok(());
            }
            return check_named(&ended, name);
        }
        if is_sound {
            return State::read(program, directory, scenario.job)?.difference(&scenario.expected);
        }
        // What can be had of it all the same is right.
        let expected = &scenario.expected;
        for (what, expected) in [("customers", &expected.customers), ("balances", &expected.balances)]
            .into_iter()
            .chain([("lots", &expected.lots), ("ledger", &expected.ledger)])
        {
            let file = format!("export-{what}.csv");
            let ended = program.run(directory, &["export", what, "-o", &file])?;
            if ended.is_done() {
                let text = fs::read_to_string(directory.join(&file))?;
                state::same_text(what, &text, expected)?;
            } else {
                check_named(&ended, name)?;
            }
        }
        // A second look is not content with what the first one made of it.
        self.is_sound(program, directory, name).map(drop)
    }

    /// Whether `verify` finds nothing; then all is as it was. Else it names what it found.
    fn is_sound(&self, program: &Program, directory: &Path, name: &str) -> Result<bool, Problem> {
        let ended = program.run(directory, &["verify"])?;
        if ended.exit == Some(0) {
            let (found, before) = (&ended.json, &self.verified);
            ensure!(found == before, "`verify` finds nothing wrong with {found}, which was {before}");
            return Ok(true);
        }
        check_named(&ended, name)?;
        Ok(false)
    }
}

/// Whether a command failed with a message that says where.
fn check_named(ended: &Ended, name: &str) -> Result<(), Problem> {
    let file = name.rsplit('/').next().unwrap_or(name);
    // `verify` says which entries, accounts or pages are wrong; others say that the store is damaged, and where, or which
    // file.
    let has_problems = ended.json["problems"].as_array().is_some_and(|problems| !problems.is_empty());
    let (code, said) = (ended.error("code"), ended.error("message"));
    let is_named = has_problems || code == "store_corrupt" || said.contains(file) || said.contains("the store");
    ensure!(matches!(ended.exit, Some(1 | 2)) && is_named, "nobody names `{file}`: the command {ended}");
    Ok(())
}
