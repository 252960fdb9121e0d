//! Makes the runs of each fault, in as many workers as there are processors for, and says what came of them.

use std::{
    cell::Cell,
    io::IsTerminal,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    fault::{Control, Fault},
    harness::{Harness, Run},
    program::Program,
    verdict::{Line, Problem, Verdict},
};

/// How often a session without a terminal says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Runs of which so few faults take effect say nothing.
const RUNS_OF_FAULT_MAX: u64 = 30;

/// Which runs are made.
pub struct Session<'a> {
    /// What they share.
    pub harness: &'a Harness,
    /// The seed of the first; the others follow.
    pub seed: u64,
    /// Runs at a time.
    pub workers: usize,
    /// Leave the directory of a run that failed.
    pub keep: bool,
}

/// What workers have done.
struct Tally {
    next: AtomicU64,
    faults: AtomicU64,
    runs: AtomicU64,
    stop: AtomicBool,
    /// The first problem, and its seed.
    problem: Mutex<Option<(u64, Problem)>>,
    /// When it was last said how far it is.
    said: Mutex<Instant>,
}

impl Tally {
    /// Says how far it is: on a terminal always anew, elsewhere now and then.
    fn say(&self, name: &str, runs: u64, faults: u64) {
        if std::io::stderr().is_terminal() {
            eprint!("\r  {name}: {runs} runs, {faults} faults ");
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.elapsed() >= SAY_EVERY {
            eprintln!("  {name}: {runs} runs, {faults} faults");
            *said = Instant::now();
        }
    }
}

impl Session<'_> {
    /// Runs a fault until so many have taken effect, in at least so many runs.
    pub fn fault(&self, fault: &dyn Fault, wanted: u64, runs_min: u64) -> Line {
        let began = Instant::now();
        let runs_max = runs_min.max(wanted.saturating_mul(RUNS_OF_FAULT_MAX));
        let tally = self.runs(fault, None, &self.harness.tidemill, wanted, runs_min..runs_max);
        let faults = tally.faults.load(Ordering::Relaxed);
        let verdict = match tally.problem.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, Problem::NotRun(why))) => Verdict::NotRun(why),
            Some((seed, problem)) => Verdict::Failed { seed: Some(seed), what: problem.to_string() },
            None if faults < wanted => {
                Verdict::Failed { seed: None, what: format!("of {wanted} faults only {faults} took effect") }
            }
            None => Verdict::Passed,
        };
        let runs = tally.runs.load(Ordering::Relaxed);
        Line { name: fault.name().to_owned(), verdict, runs, faults, took: began.elapsed() }
    }

    /// Runs a fault with something broken, until that is noticed.
    pub fn control(&self, fault: &dyn Fault, control: &Control) -> Line {
        let began = Instant::now();
        let (mut runs, mut faults) = (0, 0);
        let verdict = match (control.program)(self.harness) {
            Err(Problem::NotRun(why)) => Verdict::NotRun(why),
            Err(problem) => Verdict::Failed { seed: None, what: problem.to_string() },
            Ok(program) => {
                let tally = self.runs(fault, Some(control.name), &program, u64::MAX, 0..control.runs_max);
                runs = tally.runs.load(Ordering::Relaxed);
                faults = tally.faults.load(Ordering::Relaxed);
                match tally.problem.into_inner().unwrap_or_else(PoisonError::into_inner) {
                    Some((seed, Problem::Wrong(what))) => {
                        eprintln!("  {}, {} broken: noticed by seed {seed}: {what}", fault.name(), control.name);
                        Verdict::Passed
                    }
                    Some((_, Problem::NotRun(why))) => Verdict::NotRun(why),
                    Some((seed, problem)) => Verdict::Failed { seed: Some(seed), what: problem.to_string() },
                    None => Verdict::Failed {
                        seed: None,
                        what: format!("what was broken on purpose was not noticed in {} runs", control.runs_max),
                    },
                }
            }
        };
        Line {
            name: format!("{}: {} broken", fault.name(), control.name),
            verdict,
            runs,
            faults,
            took: began.elapsed(),
        }
    }

    /// Makes runs until enough faults took effect, or one run failed.
    fn runs(
        &self,
        fault: &dyn Fault,
        broken: Option<&'static str>,
        program: &Program,
        wanted: u64,
        runs: Range<u64>,
    ) -> Tally {
        let tally = Tally {
            next: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            problem: Mutex::new(None),
            said: Mutex::new(Instant::now()),
        };
        thread::scope(|threads| {
            for _ in 0..self.workers {
                threads.spawn(|| {
                    loop {
                        let at = tally.next.fetch_add(1, Ordering::Relaxed);
                        let is_enough = at >= runs.start && tally.faults.load(Ordering::Relaxed) >= wanted;
                        if at >= runs.end || is_enough || tally.stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let seed = self.seed.wrapping_add(at);
                        match self.run(fault, broken, program, seed) {
                            Ok(faults) => {
                                let runs = tally.runs.fetch_add(1, Ordering::Relaxed) + 1;
                                let faults = tally.faults.fetch_add(faults, Ordering::Relaxed) + faults;
                                tally.say(fault.name(), runs, faults);
                            }
                            Err(problem) => {
                                tally.runs.fetch_add(1, Ordering::Relaxed);
                                tally.stop.store(true, Ordering::Relaxed);
                                let mut first = tally.problem.lock().unwrap_or_else(PoisonError::into_inner);
                                first.get_or_insert((seed, problem));
                            }
                        }
                    }
                });
            }
        });
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        tally
    }

    /// Makes one run in a directory of its own, which is kept on request where something was wrong.
    fn run(
        &self,
        fault: &dyn Fault,
        broken: Option<&'static str>,
        program: &Program,
        seed: u64,
    ) -> Result<u64, Problem> {
        let name = format!("{}-{seed}-", fault.name());
        let directory = tempfile::Builder::new().prefix(&name).tempdir_in(&self.harness.directory)?;
        let run = Run {
            harness: self.harness,
            program: program.clone(),
            broken,
            seed,
            directory: directory.path(),
            is_begun: Cell::new(false),
        };
        let result = catch_unwind(AssertUnwindSafe(|| fault.run(&run)));
        let result = result.unwrap_or_else(|_| Err(Problem::Harness("panicked".to_owned())));
        if let Err(problem @ Problem::Wrong(_)) = result {
            return Err(if self.keep { problem.at(directory.keep().display()) } else { problem });
        }
        result
    }
}
