//! What all runs of a session share, and what one run has of its own.

use std::{
    cell::Cell,
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    program::Program,
    random::Random,
    scenario::{Kind, Scenario},
    verdict::Problem,
};

/// Runs that follow each other use the same scenario, as preparing one takes as long as a run: a seed names it still.
const RUNS_OF_SCENARIO: u64 = 20;
/// Scenarios that are kept: those in use by all workers, and some more.
const SCENARIOS_KEPT: usize = 8;

/// A kind of job, about how many rows, and a seed.
type Key = (Kind, u64, u64);
/// A scenario that is made once, by whoever needs it first.
type Prepared = Arc<OnceLock<Result<Arc<Scenario>, Problem>>>;

/// The programs under test, and where they may work.
pub struct Harness {
    /// The binary under test.
    pub tidemill: Program,
    /// A build that breaks its promises where it is told to.
    pub sabotaged: Option<Program>,
    /// Where all directories are made.
    pub directory: PathBuf,
    scenarios: Mutex<VecDeque<(Key, Prepared)>>,
}

impl Harness {
    /// A harness without scenarios yet.
    pub fn new(tidemill: Program, sabotaged: Option<Program>, directory: PathBuf) -> Harness {
        Harness { tidemill, sabotaged, directory, scenarios: Mutex::default() }
    }

    /// The sabotaged build, told to break this promise.
    ///
    /// # Errors
    /// None was given.
    pub fn sabotage(&self, promise: &str) -> Result<Program, Problem> {
        match &self.sabotaged {
            Some(program) => Ok(program.with("TIDEMILL_SABOTAGE", promise)),
            None => Err(Problem::NotRun("`--sabotaged` names no build that breaks its promises".to_owned())),
        }
    }

    /// A scenario that is the same for the same seed, made anew or found again.
    ///
    /// # Errors
    /// It cannot be prepared, or its undisturbed run is not right.
    pub fn scenario(&self, kind: Kind, rows: u64, seed: u64) -> Result<Arc<Scenario>, Problem> {
        let key = (kind, rows, seed);
        let prepared = {
            let mut scenarios = self.scenarios.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, prepared)) = scenarios.iter().find(|(other, _)| *other == key) {
                prepared.clone()
            } else {
                let prepared = Prepared::default();
                scenarios.truncate(SCENARIOS_KEPT - 1);
                scenarios.push_front((key, prepared.clone()));
                prepared
            }
        };
        let made = prepared
            .get_or_init(|| Scenario::prepare(&self.tidemill, &self.directory, kind, rows, seed).map(Arc::new))
            .clone();
        made.map_err(|problem| problem.at(format_args!("undisturbed, scenario {kind:?} {rows} {seed}")))
    }
}

/// One run of a fault.
pub struct Run<'a> {
    /// What all runs share.
    pub harness: &'a Harness,
    /// The program that the fault happens to: the binary under test, or what a control makes of it.
    pub program: Program,
    /// What is broken, of a control: a fault may have to break it itself.
    pub broken: Option<&'static str>,
    /// Everything that is chosen comes from it.
    pub seed: u64,
    /// An empty directory, removed after a run that ends well.
    pub directory: &'a Path,
    /// Whether the job's command was started: before that nobody knows its number.
    pub is_begun: Cell<bool>,
}

impl<'a> Run<'a> {
    /// The same run with a directory of its own in which the job's command was started.
    pub fn begun_in<'b>(&'b self, directory: &'b Path) -> Run<'b>
    where
        'a: 'b,
    {
        Run {
            harness: self.harness,
            program: self.program.clone(),
            broken: self.broken,
            seed: self.seed,
            directory,
            is_begun: Cell::new(true),
        }
    }

    /// The numbers of this run for a purpose.
    pub fn random(&self, purpose: &str) -> Random {
        Random::new(self.seed, purpose)
    }

    /// The scenario of this run: of one of these kinds, shared with the runs whose seeds are near.
    ///
    /// # Errors
    /// It cannot be prepared.
    pub fn scenario(&self, kinds: &[Kind], rows: u64) -> Result<Arc<Scenario>, Problem> {
        let seed = self.seed / RUNS_OF_SCENARIO;
        // Only imports have the position that this breaks.
        let has_broken = |kind: &&Kind| self.broken != Some("checkpoint") || kind.is_import();
        let kinds: Vec<&Kind> = kinds.iter().filter(has_broken).collect();
        let kind = *kinds[usize::try_from(seed).unwrap_or(0) % kinds.len()];
        self.harness.scenario(kind, rows, seed)
    }

    /// Copies the scenario's directory, as it is before the job, into this run's.
    ///
    /// # Errors
    /// Files cannot be copied.
    pub fn copy(&self, scenario: &Scenario) -> Result<(), Problem> {
        scenario.copy_to(self.directory)
    }
}
