//! SIGINT and SIGTERM: the first stops the job at a commit, a second ends the process at once.

use std::{thread, time::Duration};

use super::{Control, Fault};
use crate::{
    audit, ensure,
    harness::Run,
    program::Ended,
    recovery,
    scenario::{Kind, Scenario},
    state::{self, State},
    verdict::Problem,
};

/// Rows of the job: signals are looked at ten times a second, so it must take longer.
const ROWS: u64 = 9000;
/// A stop takes no longer than this.
const STOP_MAX: Duration = Duration::from_secs(5);
/// Stops before a job may end in peace.
const STOPS_OF_RUN_MAX: u64 = 3;

/// A signal, or two, at a moment of the job.
pub struct Signals;

impl Fault for Signals {
    fn name(&self) -> &'static str {
        "signals"
    }

    fn what(&self) -> &'static str {
        "SIGINT and SIGTERM stop a job at a commit within 5 s and say how to go on; a second one ends it at once"
    }

    fn faults_claim(&self) -> u64 {
        500
    }

    fn faults_small(&self) -> u64 {
        12
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let scenario = run.scenario(Kind::ALL, ROWS)?;
        let mut random = run.random("signals");
        run.copy(&scenario)?;
        let stops_max = 1 + random.below(STOPS_OF_RUN_MAX);
        let mut stops = 0;
        let mut rows_before = 0;
        while stops < stops_max {
            let window = random.within(5..20).to_string();
            let program = run.program.flags(["--window-rows", &window]);
            let process = recovery::go_on(&program, run, &scenario, &mut random)?;
            let signal = *random.one_of(&[libc::SIGINT, libc::SIGTERM]);
            let is_twice = random.one_in(3);
            if !process.ends_within(scenario.took.mul_f64(random.share()))? {
                process.signal(signal);
                if is_twice {
                    thread::sleep(Duration::from_micros(random.below(5000)));
                    process.signal(libc::SIGINT);
                }
            }
            let ended = process.wait_within(STOP_MAX)?;
            if ended.exit.is_some_and(|exit| exit < 128) {
                // It was done before it looked, or had nothing to do.
                if recovery::is_end(&ended, &scenario)? {
                    break;
                }
                continue;
            }
            stops += 1;
            rows_before = stopped(run, &scenario, &ended, signal, is_twice, rows_before)?;
        }
        recovery::finish(&run.program, run, &scenario, &mut random)?;
        recovery::compare(run, &scenario)?;
        Ok(stops)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checkpoint", runs_max: 200, program: |harness| harness.sabotage("checkpoint") }]
    }
}

/// Checks how a process ended that a signal reached, and what it left; returns the rows that the job has read.
fn stopped(
    run: &Run,
    scenario: &Scenario,
    ended: &Ended,
    signal: i32,
    is_twice: bool,
    rows_before: u64,
) -> Result<u64, Problem> {
    let tidemill = &run.harness.tidemill;
    let shown = if run.directory.join("store").exists() {
        tidemill.run(run.directory, &["job", "show", &scenario.job.to_string()])?.json
    } else {
        serde_json::Value::Null
    };
    let rows = shown["rows"]["read"].as_u64().unwrap_or(0);
    ensure!(rows >= rows_before, "the job had read {rows_before} rows and now {rows}");
    if ended.exit.is_none() {
        // So early that nobody watched for signals yet.
        ensure!(ended.signal == Some(signal) || is_twice, "signal {signal}: the process {ended}");
        ensure!(rows == rows_before, "without a stop at a commit the job went on to row {rows}: {ended}");
        return Ok(rows);
    }
    let is_at_once = is_twice && ended.exit == Some(128 + libc::SIGINT) && ended.stdout.is_empty();
    if !is_at_once {
        let is_said = ended.exit == Some(128 + signal) || is_twice && ended.exit == Some(128 + libc::SIGINT);
        ensure!(is_said && ended.error("code") == "stopped", "signal {signal}: the process {ended}");
        if ended.error("job") == scenario.job.to_string() {
            let how = format!("tidemill job resume {}", scenario.job);
            ensure!(ended.error("hint").contains(&how), "it does not say how to go on: {ended}");
            ensure!(shown["state"] == "unfinished", "the job is not unfinished: {shown}");
        } else {
            // So early that it had not looked for the job yet, though one before may have begun it.
            ensure!(rows == rows_before, "it names no job, but the job went on to row {rows}: {ended}");
        }
    }
    // What is there in the middle is right in itself.
    if !shown["rows"].is_null() {
        audit::accounts(&State::read(tidemill, run.directory, scenario.job)?)?;
    } else if run.directory.join("store").exists() {
        state::verify(tidemill, run.directory)?;
    }
    Ok(rows)
}
