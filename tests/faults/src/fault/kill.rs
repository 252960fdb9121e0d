//! The process is killed at any moment, again and again.
//!
//! What this cannot show is a power loss: after a kill the system still has what the process wrote.

use super::{Control, Fault};
use crate::{
    harness::Run,
    recovery,
    scenario::{self, Kind},
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
        let scenario = run.scenario(Kind::WITH_PIPES, ROWS)?;
        let mut random = run.random("kill");
        run.copy(&scenario)?;
        let kills_max = 1 + random.below(KILLS_OF_RUN_MAX);
        let mut kills = 0;
        loop {
            let program = scenario::any_windows(&run.program, &mut random);
            let process = recovery::go_on(&program, run, &scenario, &mut random)?;
            let is_peace = kills == kills_max;
            let moment = scenario.took.mul_f64(random.share());
            let ended = if is_peace || process.ends_within(moment)? { process.wait()? } else { process.kill()? };
            if ended.is_killed() && !is_peace {
                kills += 1;
            } else if recovery::is_end(&ended, &scenario)? {
                break;
            }
        }
        recovery::compare(run, &scenario)?;
        Ok(kills)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checkpoint", runs_max: 300, program: |harness| harness.sabotage("checkpoint") }]
    }
}
