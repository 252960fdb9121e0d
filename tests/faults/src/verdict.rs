//! What came of a fault, and the table at the end.

use std::{fmt, io, time::Duration};

use serde_json::{Value, json};

/// Why a run did not end well.
#[derive(Clone, Debug)]
pub enum Problem {
    /// The program under test is wrong: this is what the harness is for.
    Wrong(String),
    /// The harness could not do its own work; never taken for the program's fault, nor for a control that was noticed.
    Harness(String),
    /// This machine has not what the fault needs.
    NotRun(String),
}

impl Problem {
    /// Says where it was found, before what is wrong.
    pub fn at(self, place: impl fmt::Display) -> Problem {
        match self {
            Problem::Wrong(what) => Problem::Wrong(format!("{place}: {what}")),
            Problem::Harness(what) => Problem::Harness(format!("{place}: {what}")),
            Problem::NotRun(why) => Problem::NotRun(why),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Wrong(what) => f.write_str(what),
            Problem::Harness(what) => write!(f, "the harness itself: {what}"),
            Problem::NotRun(why) => write!(f, "not run: {why}"),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        Problem::Harness(error.to_string())
    }
}

/// Ends a run unless something holds.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::verdict::Problem::Wrong(format!($($what)+)));
        }
    };
}

/// What came of all runs of a fault, or of one of its controls.
#[derive(Debug)]
pub enum Verdict {
    /// As it must be.
    Passed,
    /// Not so: the seed with which it can be had again, if it is one run, and what was found.
    Failed {
        /// The run's seed.
        seed: Option<u64>,
        /// What was found.
        what: String,
    },
    /// Not even tried, and why.
    NotRun(String),
}

/// A line of the table.
#[derive(Debug)]
pub struct Line {
    /// The fault, or `fault: control`.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Runs that were made.
    pub runs: u64,
    /// Faults that took effect in them.
    pub faults: u64,
    /// How long all took.
    pub took: Duration,
}

impl Line {
    fn json(&self) -> Value {
        let (verdict, seed, what) = match &self.verdict {
            Verdict::Passed => ("passed", None, None),
            Verdict::Failed { seed, what } => ("failed", *seed, Some(what)),
            Verdict::NotRun(why) => ("skipped", None, Some(why)),
        };
        json!({
            "name": self.name, "verdict": verdict, "runs": self.runs, "faults": self.faults,
            "seconds": self.took.as_secs_f64(), "seed": seed, "what": what,
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { name, runs, faults, .. } = self;
        let seconds = self.took.as_secs_f64();
        let word = match self.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed { .. } => "FAILED",
            Verdict::NotRun(_) => "skipped",
        };
        write!(f, "{word:<8} {name:<28} {runs:>6} runs {faults:>7} faults {seconds:>8.1} s")?;
        match &self.verdict {
            Verdict::Passed => Ok(()),
            Verdict::Failed { seed: Some(seed), what } => write!(f, "\n         seed {seed}: {what}"),
            Verdict::Failed { seed: None, what } | Verdict::NotRun(what) => write!(f, "\n         {what}"),
        }
    }
}

/// All lines of a session.
#[derive(Debug, Default)]
pub struct Table(pub Vec<Line>);

impl Table {
    /// How many lines passed, failed and were skipped.
    pub fn counts(&self) -> [usize; 3] {
        let count = |is: fn(&Verdict) -> bool| self.0.iter().filter(|line| is(&line.verdict)).count();
        [
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Failed { .. })),
            count(|verdict| matches!(verdict, Verdict::NotRun(_))),
        ]
    }

    /// The same as a document.
    pub fn json(&self, seed: u64) -> Value {
        let [passed, failed, skipped] = self.counts();
        let lines: Vec<Value> = self.0.iter().map(Line::json).collect();
        json!({"seed": seed, "passed": passed, "failed": failed, "skipped": skipped, "lines": lines})
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            writeln!(f, "{line}")?;
        }
        let [passed, failed, skipped] = self.counts();
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
