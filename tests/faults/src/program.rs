//! The binary as a process: what it is given, how it is ended, and what it said.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::{
        fd::FromRawFd,
        unix::{fs::FileExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::verdict::Problem;

/// A process that has not ended by then hangs; all jobs here end within a second.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A binary, and the environment in which it runs.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    variables: Vec<(String, OsString)>,
    /// What stands before the path: `faketime`, `strace`.
    before: Vec<OsString>,
    /// Arguments before those of the command.
    flags: Vec<String>,
}

impl Program {
    /// A binary as it is.
    pub fn new(path: impl Into<PathBuf>) -> Program {
        Program { path: path.into(), variables: Vec::new(), before: Vec::new(), flags: Vec::new() }
    }

    /// The same with a variable of its environment.
    pub fn with(&self, name: &str, value: impl Into<OsString>) -> Program {
        let mut program = self.clone();
        program.variables.push((name.to_owned(), value.into()));
        program
    }

    /// The same with arguments before those of the command.
    pub fn flags<'a>(&self, flags: impl IntoIterator<Item = &'a str>) -> Program {
        let mut program = self.clone();
        program.flags.extend(flags.into_iter().map(str::to_owned));
        program
    }

    /// The same, started by another program.
    pub fn started_by(&self, before: impl IntoIterator<Item = impl Into<OsString>>) -> Program {
        let mut program = self.clone();
        program.before.extend(before.into_iter().map(Into::into));
        program
    }

    /// The command to be run in a directory, on its store `store`.
    pub fn command(&self, directory: &Path, arguments: &[impl AsRef<str>]) -> Command {
        let mut words = self.before.iter().cloned().chain([self.path.clone().into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir(directory);
        command.args(["--store", "store", "--json"]);
        command.args(&self.flags).args(arguments.iter().map(AsRef::as_ref));
        for name in ["STORE", "THREADS", "PROGRESS", "COLOR", "SABOTAGE"] {
            command.env_remove(format!("TIDEMILL_{name}"));
        }
        // Where memory runs out while a backtrace is printed, Rust's runtime waits for itself.
        command.env_remove("RUST_BACKTRACE");
        command.env("TIDEMILL_PROGRESS", "none");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a command that reads nothing.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, directory: &Path, arguments: &[impl AsRef<str>]) -> Result<Process, Problem> {
        Process::start(self.command(directory, arguments).stdin(Stdio::null()))
    }

    /// Starts a command that reads a file as its standard input.
    ///
    /// # Errors
    /// It cannot be started, or there is no such file.
    pub fn spawn_reading(
        &self,
        directory: &Path,
        arguments: &[impl AsRef<str>],
        input: &str,
    ) -> Result<Process, Problem> {
        let input = File::open(directory.join(input))?;
        Process::start(self.command(directory, arguments).stdin(input))
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// It cannot be started, or hangs.
    pub fn run(&self, directory: &Path, arguments: &[impl AsRef<str>]) -> Result<Ended, Problem> {
        self.spawn(directory, arguments)?.wait()
    }

    /// Runs a command that must end well, perhaps with rejected rows.
    ///
    /// # Errors
    /// It does not.
    pub fn succeed(&self, directory: &Path, arguments: &[impl AsRef<str>]) -> Result<Ended, Problem> {
        let ended = self.run(directory, arguments)?;
        if ended.is_done() {
            return Ok(ended);
        }
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        Err(Problem::Wrong(format!("`{}` {ended}", words.join(" "))))
    }
}

/// A process that runs. It is killed where it is dropped before its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: File,
    stderr: File,
    began: Instant,
    program: String,
}

impl Process {
    /// Starts it. What it says goes to files, so that nobody need read along.
    fn start(command: &mut Command) -> Result<Process, Problem> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let began = Instant::now();
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| Problem::Harness(format!("{program}: {error}")))?;
        Ok(Process { child, stdout, stderr, began, program })
    }

    /// What it has said on standard error by now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn said(&self) -> Result<String, Problem> {
        // By places, as the process goes on writing where this descriptor stands.
        let (mut bytes, mut at) = (vec![0; 1 << 16], 0);
        loop {
            match self.stderr.read_at(&mut bytes[at..], at as u64)? {
                0 => break,
                length => at += length,
            }
            bytes.resize(at + (1 << 16), 0);
        }
        Ok(String::from_utf8_lossy(&bytes[..at]).into_owned())
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal; nothing if it has ended.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap_or(0);
        if pid > 0 {
            // SAFETY: the process is our child and not yet waited for, or a zombie that keeps its number.
            unsafe { libc::kill(pid, signal) };
        }
    }

    /// Whether it ends within this time.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ends_within(&self, time: Duration) -> Result<bool, Problem> {
        let pid = libc::c_long::from(self.child.id());
        // SAFETY: a system call with two numbers; the process is our child and not yet waited for.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = i32::try_from(descriptor).unwrap_or(-1);
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let _closed_at_the_end = unsafe { File::from_raw_fd(descriptor) };
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
            // SAFETY: one structure, which lives until the call returns.
            match unsafe { libc::poll(&raw mut poll, 1, milliseconds) } {
                0 if left.is_zero() || milliseconds == 0 => return Ok(false),
                0 => {}
                1.. => return Ok(true),
                _ => {
                    let error = std::io::Error::last_os_error();
                    if error.kind() != std::io::ErrorKind::Interrupted {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It hangs, and was killed.
    pub fn wait(self) -> Result<Ended, Problem> {
        self.wait_within(PATIENCE)
    }

    /// Waits for its end, for so long.
    ///
    /// # Errors
    /// It hangs, and was killed.
    pub fn wait_within(mut self, patience: Duration) -> Result<Ended, Problem> {
        if !self.ends_within(patience)? {
            return Err(Problem::Wrong(format!("{} has not ended after {patience:?}", self.program)));
        }
        let status = self.child.wait()?;
        let took = self.began.elapsed();
        let stdout = text(&mut self.stdout)?;
        let json = serde_json::from_str(&stdout).unwrap_or_default();
        let stderr = text(&mut self.stderr)?;
        Ok(Ended { exit: status.code(), signal: status.signal(), json, stdout, stderr, took })
    }

    /// Kills it at once and waits; whether that was before its end.
    ///
    /// # Errors
    /// It does not even end then.
    pub fn kill(self) -> Result<Ended, Problem> {
        self.signal(libc::SIGKILL);
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(file: &mut File) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; none of a process that was killed.
    pub exit: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The document on standard output; null where there is none.
    pub json: Value,
    /// Standard output as it is.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Ended {
    /// Whether it did all, perhaps with rejected rows.
    pub fn is_done(&self) -> bool {
        matches!(self.exit, Some(0 | 3))
    }

    /// Whether SIGKILL ended it.
    pub fn is_killed(&self) -> bool {
        self.signal == Some(libc::SIGKILL)
    }

    /// A field of the error that it ended with; empty where there is none.
    pub fn error(&self, field: &str) -> String {
        match &self.json["error"][field] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.exit, self.signal) {
            (Some(exit), _) => write!(f, "ended with exit code {exit}")?,
            (None, Some(signal)) => write!(f, "was ended by signal {signal}")?,
            (None, None) => write!(f, "ended")?,
        }
        write!(f, ", said {:?} and {:?}", self.stdout.trim_end(), self.stderr.trim_end())
    }
}
