//! The process is killed at any moment, again and again.
//!
//! What this cannot show is a power loss: after a kill the system still has what the process wrote.

use super::{Control, Fault};
use crate::{
    ensure,
    harness::Run,
    program::{Ended, Process, Program},
    random::Random,
    scenario::{self, Kind, Scenario},
    state::State,
    verdict::Problem,
};

/// Rows of the job; most of a run is the start of processes, so more would only take longer.
const ROWS: u64 = 3000;
/// Kills before a job may end in peace: few in some runs and many in others, so that all stages are met after a resume too.
const KILLS_OF_RUN_MAX: u64 = 5;

/// `kill -9` at a moment of the job, of its resume, and of the resume of that.
pub struct Kill;

impl Fault for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn what(&self) -> &'static str {
        "killed at any moment, a job that goes on ends where an undisturbed one ends"
    }

    fn faults_claim(&self) -> u64 {
        5000
    }

    fn faults_small(&self) -> u64 {
        60
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let scenario = run.scenario(Kind::ALL, ROWS)?;
        let mut random = run.random("kill");
        run.copy(&scenario)?;
        let kills_max = 1 + random.below(KILLS_OF_RUN_MAX);
        let mut kills = 0;
        loop {
            let program = scenario::any_windows(&run.program, &mut random);
            let process = go_on(&program, run, &scenario, &mut random)?;
            let is_peace = kills == kills_max;
            let moment = scenario.took.mul_f64(random.share());
            let ended = if is_peace || process.ends_within(moment)? { process.wait()? } else { process.kill()? };
            if ended.is_killed() && !is_peace {
                kills += 1;
            } else if is_end(&ended, &scenario)? {
                break;
            }
        }
        State::read(&run.harness.tidemill, run.directory, scenario.job)?.difference(&scenario.expected)?;
        Ok(kills)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checkpoint", runs_max: 60, program: |harness| harness.sabotage("checkpoint") }]
    }
}

/// Starts the job anew or goes on with it: by its number, or by repeating the command.
fn go_on(program: &Program, run: &Run, scenario: &Scenario, random: &mut Random) -> Result<Process, Problem> {
    if random.one_in(2) && !scenario.is_repeated_anew(&run.harness.tidemill, run.directory)? {
        program.spawn(run.directory, &scenario.command)
    } else {
        program.spawn(run.directory, &["job", "resume", &scenario.job.to_string()])
    }
}

/// Whether the job is done with a process that ended by itself, or has not even begun.
fn is_end(ended: &Ended, scenario: &Scenario) -> Result<bool, Problem> {
    let code = ended.error("code");
    // It was killed before it was a job, or the store one.
    let has_not_begun = ended.exit == Some(1) && ["job_unknown", "store_unknown"].contains(&&*code);
    // It was killed when it was finished, its reports included.
    let is_known = ended.exit == Some(4) && code == "repeated_file" && ended.error("job") == scenario.job.to_string();
    ensure!(ended.is_done() || has_not_begun || is_known, "the job {ended}");
    Ok(!has_not_begun)
}
