//! A job and some adjustments after it, played until somebody cuts them short; and what was acknowledged by then.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    ensure,
    harness::Run,
    program::{PATIENCE, Process, Program},
    recovery,
    scenario::{Kind, NOW, Scenario},
    shim::{Board, Call, Shim},
    state::{State, check_reports},
    verdict::Problem,
};

/// Rows of the job, and of its windows.
const ROWS: u64 = 1200;
const FLAGS: [&str; 4] = ["--window-rows", "60", "--threads", "2"];
/// Adjustments that follow: each is a promise of its own once its command has ended.
const ADJUSTMENTS: u64 = 4;
/// Runs whose seeds are near have the same script.
const RUNS_OF_SCRIPT: u64 = 20;

/// What is done, and what that leaves.
pub struct Script {
    /// Its first command is the job of this one.
    pub scenario: Arc<Scenario>,
    commands: Vec<Vec<String>>,
    expected: State,
    /// How long it takes undisturbed.
    pub took: Duration,
    /// How many syncs it makes.
    pub syncs: u64,
}

/// The scripts in use.
#[derive(Default)]
pub struct Scripts(Mutex<VecDeque<(u64, Arc<Script>)>>);

impl Scripts {
    /// The script of a run, prepared or found again.
    ///
    /// # Errors
    /// It cannot be prepared, or does not end well undisturbed.
    pub fn of(&self, run: &Run) -> Result<Arc<Script>, Problem> {
        let seed = run.seed / RUNS_OF_SCRIPT;
        let mut scripts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, script)) = scripts.iter().find(|(other, _)| *other == seed) {
            return Ok(script.clone());
        }
        let kind = Kind::WITH_PIPES[usize::try_from(seed).unwrap_or(0) % Kind::WITH_PIPES.len()];
        let script = Arc::new(Script::prepare(run, run.harness.scenario(kind, ROWS, seed)?)?);
        scripts.truncate(3);
        scripts.push_front((seed, script.clone()));
        Ok(script)
    }
}

/// What was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// So many commands ended well.
    done: usize,
    /// The next one said that so many rows are durable.
    rows: u64,
}

impl Script {
    fn prepare(run: &Run, scenario: Arc<Scenario>) -> Result<Script, Problem> {
        let adjust = |number: u64| {
            let command = ["adjust", "credit", "--user-id", &format!("u{}", number * 3), "7"].map(str::to_owned);
            command.into_iter().chain(["--reason", "promised", "--now", NOW].map(str::to_owned)).collect()
        };
        let commands = std::iter::once(scenario.command.clone()).chain((0..ADJUSTMENTS).map(adjust)).collect();
        let mut script = Script { scenario, commands, expected: State::default(), took: Duration::ZERO, syncs: 0 };
        let undisturbed = tempfile::Builder::new().prefix("script-").tempdir_in(&run.harness.directory)?;
        let (work, board) = (undisturbed.path().join("work"), undisturbed.path().join("board"));
        script.scenario.copy_to(&work)?;
        let program = Shim::find()?.counting(&run.harness.tidemill, &board);
        let mut player = script.play(&program, &work);
        let began = Instant::now();
        player.until(began + PATIENCE)?;
        ensure!(player.done == script.commands.len(), "command {} does not end", player.done);
        drop(player);
        script.took = began.elapsed();
        script.syncs = Board::read(&board)?.count(Call::Sync);
        script.expected = State::read(&run.harness.tidemill, &work, script.scenario.job)?;
        script.scenario.audit(&script.expected)?;
        Ok(script)
    }

    /// Plays it from the beginning, in a directory that has the store and the files.
    pub fn play(&self, program: &Program, directory: &Path) -> Player<'_> {
        let program = program.flags(FLAGS).with("TIDEMILL_PROGRESS", "json");
        Player { script: self, program, directory: directory.to_owned(), done: 0, process: None }
    }

    /// Checks that what was acknowledged is there, goes on to the end, and checks what that leaves.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub fn check(&self, run: &Run, directory: &Path, told: Told) -> Result<(), Problem> {
        let program = &run.harness.tidemill;
        let at = format!("{told:?} acknowledged");
        self.check_told(program, directory, told).map_err(|problem| problem.at(&at))?;
        let there = run.begun_in(directory);
        recovery::finish(program, &there, &self.scenario, &mut run.random("go on"))
            .and_then(|()| self.finish_adjustments(program, directory))
            .and_then(|()| State::read(program, directory, self.scenario.job))
            .and_then(|state| state.difference(&self.expected))
            .map_err(|problem| problem.at(&at))
    }

    fn check_told(&self, program: &Program, directory: &Path, told: Told) -> Result<(), Problem> {
        for at in 0..told.done {
            let shown = self.show(program, directory, at)?;
            ensure!(shown["state"] == "finished", "command {at} was done, and now `job show` says {shown}");
        }
        if told.rows > 0 {
            let shown = self.show(program, directory, told.done)?;
            let rows = shown["rows"]["read"].as_u64();
            ensure!(rows >= Some(told.rows), "{} rows were durable, and now `job show` says {shown}", told.rows);
        }
        if told.done > 0 {
            check_reports(directory, &self.expected)?;
        }
        Ok(())
    }

    fn show(&self, program: &Program, directory: &Path, command: usize) -> Result<Value, Problem> {
        Ok(program.run(directory, &["job", "show", &self.job(command)])?.json)
    }

    fn job(&self, command: usize) -> String {
        (u64::from(self.scenario.job) + command as u64).to_string()
    }

    fn finish_adjustments(&self, program: &Program, directory: &Path) -> Result<(), Problem> {
        for (at, command) in self.commands.iter().enumerate().skip(1) {
            let shown = self.show(program, directory, at)?;
            if shown["state"] != "finished" {
                ensure!(shown["error"]["code"] == "job_unknown", "an adjustment is half done: {shown}");
                program.succeed(directory, command)?;
            }
        }
        Ok(())
    }
}

/// A script that is being played.
pub struct Player<'a> {
    script: &'a Script,
    program: Program,
    directory: PathBuf,
    done: usize,
    process: Option<Process>,
}

impl Player<'_> {
    /// Plays on until a moment, at most to the end.
    ///
    /// # Errors
    /// A command does not end well.
    pub fn until(&mut self, moment: Instant) -> Result<(), Problem> {
        while let Some(command) = self.script.commands.get(self.done) {
            let process = match self.process.take() {
                Some(process) => process,
                None if self.done == 0 => self.script.scenario.start(&self.program, &self.directory)?,
                None => self.program.spawn(&self.directory, command)?,
            };
            if !process.ends_within(moment.saturating_duration_since(Instant::now()))? {
                self.process = Some(process);
                return Ok(());
            }
            let ended = process.wait()?;
            ensure!(ended.is_done(), "command {} {ended}", self.done);
            self.done += 1;
        }
        Ok(())
    }

    /// What it has acknowledged by now.
    ///
    /// # Errors
    /// What it said cannot be read.
    pub fn told(&self) -> Result<Told, Problem> {
        let said = self.process.as_ref().map(Process::said).transpose()?.unwrap_or_default();
        Ok(Told { done: self.done, rows: rows_durable(&said) })
    }

    /// Kills it; what it acknowledged until then.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill(self) -> Result<Told, Problem> {
        let Some(process) = self.process else { return Ok(Told { done: self.done, rows: 0 }) };
        let ended = process.kill()?;
        // It may have been quicker.
        let done = self.done + usize::from(ended.is_done());
        Ok(Told { done, rows: if ended.is_done() { 0 } else { rows_durable(&ended.stderr) } })
    }
}

/// How many rows of the job are durable, as the last whole line of progress says.
fn rows_durable(said: &str) -> u64 {
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["rows_durable"].as_u64()).max().unwrap_or(0)
}
