//! Breaks runs of tidemill in every way that a machine can, and checks from outside that nothing is lost. See README.md.

mod audit;
mod fault;
mod harness;
mod mount;
mod program;
mod random;
mod recovery;
mod scenario;
mod script;
mod session;
mod shim;
mod state;
mod verdict;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::{harness::Harness, program::Program, session::Session, verdict::Table};

/// Runs of a short session have always the same seed, so that it never fails for a change that is not to blame.
const SEED_SMALL: u64 = 20_261_125;

/// Breaks runs of tidemill and checks from outside that nothing is lost.
#[derive(Debug, Parser)]
struct Arguments {
    /// The binary under test
    #[arg(long, value_name = "PATH")]
    tidemill: PathBuf,

    /// A build with the feature `sabotage`: without it the controls that need it are not run
    #[arg(long, value_name = "PATH")]
    sabotaged: Option<PathBuf>,

    /// The seed of the first run of each fault [default: any, with `--runs small` always the same]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Only these faults
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    only: Vec<String>,

    /// How many faults must take effect: `small`, `claim` for what is claimed, or a number
    #[arg(long, value_name = "small|claim|N", default_value = "small")]
    runs: Runs,

    /// Leave out the controls
    #[arg(long)]
    no_controls: bool,

    /// Leave the directory of a run that failed, and name it
    #[arg(long)]
    keep: bool,

    /// Runs at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    workers: usize,

    /// Where stores are made [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Write the table as a JSON document
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// List the faults, and run none
    #[arg(long)]
    list: bool,
}

/// How many faults must take effect.
#[derive(Clone, Copy, Debug)]
enum Runs {
    Small,
    Claim,
    Number(u64),
}

impl std::str::FromStr for Runs {
    type Err = String;

    fn from_str(text: &str) -> Result<Runs, String> {
        match text {
            "small" => Ok(Runs::Small),
            "claim" => Ok(Runs::Claim),
            number => number.parse().map(Runs::Number).map_err(|_| "one of small, claim, or a number".to_owned()),
        }
    }
}

fn main() -> ExitCode {
    match session(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("faults: {what}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing failed.
fn session(arguments: &Arguments) -> Result<bool, String> {
    let faults = fault::all();
    if arguments.list {
        for fault in &faults {
            println!("{:<10} {:>6} faults  {}", fault.name(), fault.faults_claim(), fault.what());
        }
        return Ok(true);
    }
    if let Some(unknown) = arguments.only.iter().find(|name| faults.iter().all(|fault| fault.name() != **name)) {
        return Err(format!("there is no fault `{unknown}`; `--list` names all"));
    }
    let path = |path: &PathBuf| fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()));
    let tidemill = Program::new(path(&arguments.tidemill)?);
    let sabotaged = arguments.sabotaged.as_ref().map(path).transpose()?.map(Program::new);
    let directory = tempfile::Builder::new().prefix("tidemill-faults-").tempdir_in(match &arguments.dir {
        Some(directory) => path(directory)?,
        None => std::env::temp_dir(),
    });
    let directory = directory.map_err(|error| format!("a directory for stores: {error}"))?;
    let harness = Harness::new(tidemill, sabotaged, directory.path().to_owned());
    let seed = arguments.seed.unwrap_or_else(|| match arguments.runs {
        Runs::Small => SEED_SMALL,
        Runs::Claim | Runs::Number(_) => random::any_seed(),
    });
    let session = Session { harness: &harness, seed, workers: arguments.workers.max(1), keep: arguments.keep };
    eprintln!("faults: seed {seed}");
    let mut table = Table::default();
    for fault in
        faults.iter().filter(|fault| arguments.only.is_empty() || arguments.only.iter().any(|n| n == fault.name()))
    {
        let (wanted, runs_min) = match arguments.runs {
            Runs::Small => (fault.faults_small(), 0),
            Runs::Claim => (fault.faults_claim(), fault.runs_claim()),
            Runs::Number(number) => (number, 0),
        };
        table.0.push(session.fault(&**fault, wanted, runs_min));
        eprintln!("{}", table.0[table.0.len() - 1]);
        for control in fault.controls().iter().filter(|_| !arguments.no_controls) {
            table.0.push(session.control(&**fault, control));
            eprintln!("{}", table.0[table.0.len() - 1]);
        }
    }
    // The directory of a failed run lies in it.
    if arguments.keep && table.counts()[1] > 0 {
        eprintln!("faults: {} is left", directory.keep().display());
    }
    println!("{table}");
    if let Some(report) = &arguments.report {
        fs::write(report, format!("{:#}\n", table.json(seed)))
            .map_err(|error| format!("{}: {error}", report.display()))?;
    }
    let [_, failed, _] = table.counts();
    Ok(failed == 0)
}
