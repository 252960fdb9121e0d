//! Ways in which a run is disturbed. Each says what must hold all the same, and with what broken it must notice.

pub mod calls;
pub mod clocks;
pub mod flips;
pub mod full_disk;
pub mod images;
pub mod kill;
pub mod memory;
pub mod power;
pub mod repeats;
pub mod signals;
pub mod writers;

use crate::{
    harness::{Harness, Run},
    program::Program,
    verdict::Problem,
};

/// A way to disturb runs.
pub trait Fault: Sync {
    /// The word for `--only`.
    fn name(&self) -> &'static str;

    /// What happens and what must hold, in one line.
    fn what(&self) -> &'static str;

    /// Faults that must take effect before anything is claimed.
    fn faults_claim(&self) -> u64;

    /// Runs that must be made besides, where each has a part of what is to be gone through.
    fn runs_claim(&self) -> u64 {
        0
    }

    /// The same in a short session.
    fn faults_small(&self) -> u64;

    /// Makes one run; returns how many faults took effect in it, which may be none.
    ///
    /// # Errors
    /// Something was wrong afterwards, or the run could not be made.
    fn run(&self, run: &Run) -> Result<u64, Problem>;

    /// The controls: with something broken on purpose the same runs must fail.
    fn controls(&self) -> Vec<Control> {
        Vec::new()
    }
}

/// Something that is broken on purpose.
pub struct Control {
    /// What is broken.
    pub name: &'static str,
    /// Within so many runs it must be noticed.
    pub runs_max: u64,
    /// The program of these runs, or why there is none.
    pub program: fn(&Harness) -> Result<Program, Problem>,
}

/// All faults, in the order in which they are run.
pub fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(kill::Kill),
        Box::new(signals::Signals),
        Box::new(repeats::Repeats),
        Box::new(writers::Writers),
        Box::new(clocks::Clocks),
        Box::new(memory::Memory),
        Box::new(calls::Calls),
        Box::new(power::Power::default()),
        Box::new(images::Images::default()),
        Box::new(full_disk::FullDisk),
        Box::new(flips::Flips),
    ]
}
