//! The clock jumps, by days and in both directions: a job takes the time once, so nothing depends on it afterwards.

use std::{fs, path::PathBuf};

use super::{Control, Fault};
use crate::{
    ensure,
    harness::Run,
    program::Program,
    random::Random,
    scenario::{Kind, NOW},
    state::State,
    verdict::Problem,
};

/// Rows of the job.
const ROWS: u64 = 3000;
/// How many times as long a job takes at most, roughly, under another clock.
const SLOWER_MAX: f64 = 20.0;
/// Where distributions put the library that tells processes another time.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];
/// The clock before a kill and after it: around a midnight, a last day, and years apart.
const CLOCKS: &[&str] = &[
    "@2036-11-25 12:00:00",
    "@2036-11-25 23:59:59",
    "@2036-11-27 00:00:01",
    "@2036-11-20 08:00:00",
    "@2037-01-01 00:00:00",
    "@2001-01-01 00:00:00",
    "-100d",
    "+400d",
];
/// Places whose day is another.
const ZONES: &[&str] = &["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Europe/Vilnius"];

/// A clock that jumps while the job runs, and between a kill and going on.
pub struct Clocks;

impl Fault for Clocks {
    fn name(&self) -> &'static str {
        "clocks"
    }

    fn what(&self) -> &'static str {
        "the clock jumps forward and back: all entries of a job have the time that it took first, and all else is the same"
    }

    fn faults_claim(&self) -> u64 {
        40
    }

    fn faults_small(&self) -> u64 {
        6
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let library = LIBRARIES.iter().map(PathBuf::from).find(|path| path.exists());
        let library = library.ok_or_else(|| Problem::NotRun("libfaketime is not installed".to_owned()))?;
        let scenario = run.scenario(&[Kind::Points, Kind::DatedPoints, Kind::BulkCredit, Kind::BulkReset], ROWS)?;
        let mut random = run.random("clocks");
        run.copy(&scenario)?;
        // Without `--now` the job asks the clock.
        let mut command = scenario.command.clone();
        let at = command.iter().position(|word| word == "--now");
        command.drain(at.map_or(0..0, |at| at..at + 2));
        let clock = run.directory.join("clock");
        let told = run
            .program
            .with("LD_PRELOAD", library)
            .with("FAKETIME_TIMESTAMP_FILE", &clock)
            .with("FAKETIME_NO_CACHE", "1")
            // That one never jumps, whatever the other does.
            .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with("DONT_FAKE_MONOTONIC", "1");
        let mut jumps = 0;
        for attempt in 0..2 {
            fs::write(&clock, first_clock(attempt, &mut random))?;
            let program = zoned(&told, &mut random).flags(["--window-rows", "60"]);
            let job = ["job".to_owned(), "resume".to_owned(), scenario.job.to_string()];
            let is_begun = attempt > 0 && told.run(run.directory, &["job", "show", &job[2]])?.exit == Some(0);
            let process = program.spawn(run.directory, if is_begun { &job } else { &command })?;
            for _ in 0..random.below(4) {
                if process.ends_within(scenario.took.mul_f64(random.share() / 3.0))? {
                    break;
                }
                // By rename, so that nobody reads half of it.
                fs::write(run.directory.join("clock-next"), *random.one_of(CLOCKS))?;
                fs::rename(run.directory.join("clock-next"), &clock)?;
                jumps += 1;
            }
            if attempt == 0 {
                // A process that asks libfaketime for each time takes several times as long, and a kill before its first window
                // proves nothing.
                if !process.ends_within(scenario.took.mul_f64(SLOWER_MAX * random.share()))? {
                    process.signal(libc::SIGKILL);
                }
            }
            let ended = process.wait()?;
            ensure!(ended.is_done() || ended.is_killed(), "the job {ended}");
            if ended.is_done() {
                break;
            }
            jumps += 1;
        }
        let found = State::read(&run.harness.tidemill, run.directory, scenario.job)?;
        // The same, undisturbed, at the moment that the job took.
        let now = moment_of(&found, scenario.job)?;
        let calm = run.directory.join("calm");
        scenario.copy_to(&calm)?;
        let mut command = scenario.command.clone();
        for word in command.iter_mut().filter(|word| *word == NOW) {
            now.clone_into(word);
        }
        run.harness.tidemill.succeed(&calm, &command)?;
        let expected = State::read(&run.harness.tidemill, &calm, scenario.job)?;
        found.difference(&expected)?;
        Ok(jumps)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checkpoint", runs_max: 300, program: |harness| harness.sabotage("checkpoint") }]
    }
}

/// The job begins on its day, so that it applies something; it goes on at any time.
fn first_clock(attempt: u32, random: &mut Random) -> &'static str {
    if attempt == 0 { CLOCKS[usize::from(random.one_in(2))] } else { random.one_of::<&str>(CLOCKS) }
}

fn zoned(program: &Program, random: &mut Random) -> Program {
    program.with("TZ", *random.one_of(ZONES))
}

/// The time of the job's entries, which must be one.
fn moment_of(state: &State, job: u32) -> Result<String, Problem> {
    let mut reader = csv::Reader::from_reader(state.ledger.as_bytes());
    let wrong = |error: csv::Error| Problem::Wrong(format!("ledger: {error}"));
    let header = reader.headers().map_err(wrong)?.clone();
    let place = |name: &str| header.iter().position(|column| column == name).unwrap_or(usize::MAX);
    let (time, of_job, job) = (place("time"), place("job"), job.to_string());
    let mut found: Option<String> = None;
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let moment = record.get(time).unwrap_or_default();
        if record.get(of_job) != Some(&*job) {
            continue;
        }
        let first = found.get_or_insert_with(|| moment.to_owned());
        ensure!(first == moment, "ledger: entries of job {job} are of {first} and of {moment}");
    }
    found.ok_or_else(|| Problem::Wrong(format!("ledger: job {job} has no entries")))
}
