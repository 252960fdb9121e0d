//! The binary, run as a user runs it, on a store in a directory of its own.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::NOW;

/// A working directory with a store `store` in it.
pub struct Binary {
    directory: TempDir,
    flags: Vec<String>,
    program: PathBuf,
    user: Option<u32>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none of a process that was killed.
    pub exit: Option<i32>,
    /// The document on standard output; null where there is none.
    pub json: Value,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Panics unless the run ended so.
    #[track_caller]
    pub fn expect(self, exit: i32) -> Ended {
        assert_eq!(self.exit, Some(exit), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// A field of the error that it ended with.
    pub fn error(&self, field: &str) -> String {
        match &self.json["error"][field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl Binary {
    /// A new directory, without a store yet.
    pub fn new() -> Binary {
        Binary {
            directory: tempfile::tempdir().expect("a temporary directory"),
            flags: Vec::new(),
            program: env!("CARGO_BIN_EXE_tidemill").into(),
            user: None,
        }
    }

    /// A directory with the same files. Tables, which RocksDB never changes, are the very same: who means to damage one
    /// must write it anew.
    pub fn copy(&self) -> Binary {
        let copy =
            Binary { flags: self.flags.clone(), program: self.program.clone(), user: self.user, ..Binary::new() };
        for file in files_below(self.directory.path()) {
            let to = copy.directory.path().join(&file);
            std::fs::create_dir_all(to.parent().expect("it is in the directory")).expect("a directory is made");
            let from = self.directory.path().join(&file);
            if file.extension().is_some_and(|end| end == "sst") {
                std::fs::hard_link(from, to).expect("a file is linked");
            } else {
                std::fs::copy(from, to).expect("a file is copied");
            }
        }
        copy
    }

    /// Adds a global flag to every run.
    pub fn flag(mut self, flag: impl Into<String>) -> Binary {
        self.flags.push(flag.into());
        self
    }

    /// Lets another user do every run from now on, with this program of the directory; the directory and what is in it
    /// become that user's. Only root can.
    pub fn run_by(mut self, user: u32, program: &str) -> Binary {
        let own = |path: &Path| std::os::unix::fs::chown(path, Some(user), Some(user)).expect("the owner is changed");
        own(self.directory.path());
        for file in files_below(self.directory.path()) {
            let folders = file.ancestors().filter(|folder| *folder != Path::new(""));
            folders.for_each(|path| own(&self.directory.path().join(path)));
        }
        (self.program, self.user) = (self.path(program), Some(user));
        self
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The store's directory.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes a file into the directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a file is written");
    }

    /// Reads a text of the directory.
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        String::from_utf8(bytes).expect("reports are UTF-8")
    }

    fn command(&self, store: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.current_dir(self.directory.path()).args(["--store", store, "--json", "--progress", "none"]);
        command.args(&self.flags).args(arguments);
        for name in ["STORE", "THREADS", "PROGRESS", "COLOR"] {
            command.env_remove(format!("TIDEMILL_{name}"));
        }
        // What takes `--now` is an import, an adjustment, a bulk operation or an expiring job.
        let takes_now = arguments.iter().any(|argument| ["import", "adjust", "bulk", "expire"].contains(argument));
        if takes_now && !arguments.contains(&"--now") {
            command.args(["--now", NOW]);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_on("store", arguments)
    }

    /// The same on a store elsewhere.
    pub fn run_on(&self, store: &str, arguments: &[&str]) -> Ended {
        ended(self.command(store, arguments).output().expect("the binary runs"))
    }

    /// Runs a command with this on its standard input.
    pub fn run_reading(&self, input: &[u8], arguments: &[&str]) -> Ended {
        self.run_reading_on("store", input, arguments)
    }

    /// The same on a store elsewhere.
    pub fn run_reading_on(&self, store: &str, input: &[u8], arguments: &[&str]) -> Ended {
        let mut command = self.command(store, arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        std::thread::scope(|threads| {
            // It may end before it has read everything.
            threads.spawn(move || stdin.write_all(input));
            ended(child.wait_with_output().expect("the process ends"))
        })
    }

    /// Starts a command that reads a file of the directory as standard input.
    pub fn spawn_reading(&self, name: &str, arguments: &[&str]) -> Child {
        let mut command = self.command("store", arguments);
        let input = std::fs::File::open(self.path(name)).expect("a file");
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    }

    /// Starts a command; what it says is kept for [`finish`].
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command("store", arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    }

    /// Runs `verify`, which must find nothing wrong; returns its document.
    #[track_caller]
    pub fn verify(&self) -> Value {
        let verified = self.run(&["verify"]).expect(0).json;
        assert_eq!(verified["ok"], true);
        verified
    }

    /// An export as text.
    pub fn export(&self, what: &str) -> String {
        let name = format!("export-{what}.csv");
        self.run(&["export", what, "-o", &name]).expect(0);
        self.read(&name)
    }
}

/// Waits for the end of a process that [`Binary::spawn`] started.
pub fn finish(child: Child) -> Ended {
    ended(child.wait_with_output().expect("the process ends"))
}

fn ended(output: std::process::Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).expect("the binary writes UTF-8");
    let stdout = text(output.stdout);
    let json = serde_json::from_str(&stdout).unwrap_or_default();
    Ended { exit: output.status.code(), json, stdout, stderr: text(output.stderr) }
}

/// All files below a directory, with their paths relative to it, in order.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(relative) = directories.pop() {
        for entry in std::fs::read_dir(directory.join(&relative)).expect("a directory").flatten() {
            let path = relative.join(entry.file_name());
            if entry.path().is_dir() { directories.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
