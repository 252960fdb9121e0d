//! One call to the file system goes wrong: each one of a small job, one after the other, in every way.

use std::fs;

use super::{Control, Fault};
use crate::{
    ensure,
    harness::Run,
    program::Ended,
    recovery,
    scenario::Kind,
    shim::{Act, Board, Call, Shim},
    verdict::Problem,
};

/// Rows of the job, and of its windows: each call of it is met, so it makes few.
const ROWS: u64 = 90;
const FLAGS: [&str; 4] = ["--window-rows", "30", "--threads", "1"];
/// Runs that share the calls of a job between them, so that a run does not take long: of eight, one has the 1st, the 9th, …
const SHARES: u64 = 8;

/// What is done to which calls.
const WAYS: [(Call, Act); 25] = [
    (Call::Sync, Act::KillAfter),
    (Call::Write, Act::KillBefore),
    (Call::Write, Act::KillHalf),
    (Call::Write, Act::KillAfter),
    (Call::Write, Act::Fail(libc::EIO)),
    (Call::Write, Act::Fail(libc::ENOSPC)),
    (Call::Write, Act::FailOn(libc::EIO)),
    (Call::Write, Act::FailOn(libc::ENOSPC)),
    (Call::Sync, Act::KillBefore),
    (Call::Sync, Act::Fail(libc::EIO)),
    (Call::Sync, Act::Fail(libc::ENOSPC)),
    (Call::Sync, Act::FailOn(libc::EIO)),
    (Call::Sync, Act::FailOn(libc::ENOSPC)),
    (Call::Rename, Act::KillBefore),
    (Call::Rename, Act::KillAfter),
    (Call::Rename, Act::Fail(libc::EIO)),
    (Call::Rename, Act::FailOn(libc::ENOSPC)),
    (Call::Unlink, Act::KillBefore),
    (Call::Unlink, Act::KillAfter),
    (Call::Unlink, Act::Fail(libc::EIO)),
    (Call::Resize, Act::KillBefore),
    (Call::Resize, Act::KillAfter),
    (Call::Resize, Act::Fail(libc::ENOSPC)),
    (Call::Link, Act::KillAfter),
    (Call::Link, Act::Fail(libc::EIO)),
];

/// The n-th call of a kind fails, or is the last that the process makes.
pub struct Calls;

impl Fault for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn what(&self) -> &'static str {
        "each write, sync, rename, unlink, resize and link fails or is the last: nothing is lost, and errors are named"
    }

    fn faults_claim(&self) -> u64 {
        1
    }

    fn runs_claim(&self) -> u64 {
        Kind::WITH_PIPES.len() as u64 * SHARES * WAYS.len() as u64
    }

    fn faults_small(&self) -> u64 {
        24
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let shim = Shim::find()?;
        let at = run.seed % self.runs_claim();
        let mut way = WAYS[usize::try_from(at).unwrap_or(0) % WAYS.len()];
        let mut rest = at / WAYS.len() as u64;
        let mut kind = Kind::WITH_PIPES[usize::try_from(rest / SHARES).unwrap_or(0) % Kind::WITH_PIPES.len()];
        if run.broken.is_some() {
            // Only a job that goes on behind its first window has a position to forget.
            (way, rest, kind) = ((Call::Sync, Act::KillAfter), at % SHARES, Kind::Points);
        }
        let (mut number, mut faults) = (rest % SHARES + 1, 0);
        loop {
            let directory = run.directory.join("call");
            fs::create_dir(&directory)?;
            let part = run.begun_in(&directory);
            let said = format!("{kind:?}, {} {} {number}", way.1.name(), way.0.name());
            if !broken(&part, shim, kind, way, number).map_err(|problem| problem.at(said))? {
                return Ok(faults);
            }
            fs::remove_dir_all(&directory)?;
            (number, faults) = (number + SHARES, faults + 1);
        }
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checkpoint", runs_max: SHARES, program: |harness| harness.sabotage("checkpoint") }]
    }
}

/// Runs the job with a broken call, and goes on in peace; false if it does not make so many calls.
fn broken(run: &Run, shim: Shim, kind: Kind, (call, act): (Call, Act), number: u64) -> Result<bool, Problem> {
    let scenario = run.harness.scenario(kind, ROWS, run.seed / (WAYS.len() as u64 * SHARES))?;
    run.copy(&scenario)?;
    let board = run.directory.join("board");
    let program = shim.breaking(&run.program.flags(FLAGS), &board, call, number, act);
    let ended = scenario.start(&program, run.directory)?.wait()?;
    let board = Board::read(&board)?;
    if board.broken == 0 {
        ensure!(ended.is_done(), "no call was broken, and the job {ended}");
        return Ok(false);
    }
    let place = format!("of `{}`", board.file);
    check_end(&ended, act).map_err(|problem| problem.at(&place))?;
    // Of a job that says that it is done nothing is left to do.
    let finished =
        if ended.is_done() { Ok(()) } else { recovery::finish(&run.program, run, &scenario, &mut run.random("go on")) };
    finished.and_then(|()| recovery::compare(run, &scenario)).map_err(|problem| problem.at(&place))?;
    Ok(true)
}

/// Whether the process ended as it may: killed; or with an error that says what failed; or well, where it can do without.
fn check_end(ended: &Ended, act: Act) -> Result<(), Problem> {
    let Some(error) = act.error() else {
        ensure!(ended.is_killed(), "the job was not killed, it {ended}");
        return Ok(());
    };
    let message = ended.error("message");
    let is_named = match error {
        libc::ENOSPC => message.contains("No space left on device") || message.contains("is full"),
        _ => message.contains("Input/output error"),
    };
    ensure!(ended.is_done() || ended.exit == Some(1) && is_named, "the job does not say what failed, it {ended}");
    ensure!(ended.is_done() || !ended.error("hint").is_empty(), "the job does not say what to do now, it {ended}");
    Ok(())
}
