//! Going on with a job whose process ended before its time, as a person does: by its number or by repeating the command.

use crate::{
    ensure,
    harness::Run,
    program::{Ended, Process, Program},
    random::Random,
    scenario::Scenario,
    state::State,
    verdict::Problem,
};

/// More than this many times in a row nobody must go on in peace: the first may only say that the job has not begun.
const ATTEMPTS_MAX: u32 = 3;

/// Starts the job, or goes on with it.
///
/// # Errors
/// No process can be started.
pub fn go_on(program: &Program, run: &Run, scenario: &Scenario, random: &mut Random) -> Result<Process, Problem> {
    let is_first = !run.is_begun.replace(true);
    if is_first || random.one_in(2) && !scenario.is_repeated_anew(&run.harness.tidemill, run.directory)? {
        scenario.start(program, run.directory)
    } else {
        program.spawn(run.directory, &["job", "resume", &scenario.job.to_string()])
    }
}

/// Whether the job is done with a process that ended by itself; if not, it has not even begun.
///
/// # Errors
/// The process ended in another way.
pub fn is_end(ended: &Ended, scenario: &Scenario) -> Result<bool, Problem> {
    let code = ended.error("code");
    // The one before ended before it was a job, or the store one.
    let has_not_begun = ended.exit == Some(1) && ["job_unknown", "store_unknown"].contains(&&*code);
    // It was finished, its reports included, though nobody was told.
    let is_known = ended.exit == Some(4) && code == "repeated_file" && ended.error("job") == scenario.job.to_string();
    ensure!(ended.is_done() || has_not_begun || is_known, "the job {ended}");
    Ok(!has_not_begun)
}

/// Goes on in peace until the job is done.
///
/// # Errors
/// It does not end well.
pub fn finish(program: &Program, run: &Run, scenario: &Scenario, random: &mut Random) -> Result<(), Problem> {
    for _ in 0..ATTEMPTS_MAX {
        if is_end(&go_on(program, run, scenario, random)?.wait()?, scenario)? {
            return Ok(());
        }
    }
    // The number stays unknown until the command is repeated.
    let ended = scenario.start(program, run.directory)?.wait()?;
    ensure!(is_end(&ended, scenario)?, "the job {ended}");
    Ok(())
}

/// Compares what is there with what an undisturbed run leaves.
///
/// # Errors
/// It is something else.
pub fn compare(run: &Run, scenario: &Scenario) -> Result<(), Problem> {
    State::read(&run.harness.tidemill, run.directory, scenario.job)?.difference(&scenario.expected)
}
