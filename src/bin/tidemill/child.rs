//! Running ourselves as another process, to measure a work by what the system says of that process alone.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use clap::ValueEnum;
use serde_json::Value;
use tidemill::error::{Error, ErrorKind, Result};

use crate::{exit::Exit, settings::Settings};

/// What a process left behind.
pub struct Finished {
    /// Its JSON document.
    pub document: Value,
    /// What it took.
    pub usage: Usage,
}

/// What a process took, until it had ended.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Seconds from start to end.
    pub process_s: f64,
    /// Processor seconds in the program.
    pub cpu_user_s: f64,
    /// Processor seconds in the system on its behalf.
    pub cpu_system_s: f64,
    /// Most memory resident at a time.
    pub memory_peak_bytes: u64,
    /// Bytes that it made the system write to disks.
    pub disk_written_bytes: u64,
}

/// Runs `tidemill --json --store STORE ARGUMENTS` to its end.
///
/// # Errors
///
/// When it cannot be run, or ends otherwise than with its work done, rejected rows or not.
pub fn run(settings: &Settings, store: &Path, arguments: &[impl AsRef<OsStr>]) -> Result<Finished> {
    let failed = |what: &str, error: std::io::Error| Error::internal(format!("cannot {what} a process: {error}"));
    let program = std::env::current_exe().map_err(|error| failed("find the program of", error))?;
    let mut command = Command::new(program);
    command.args(shared_arguments(settings, store)).args(arguments);
    let begun = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| failed("start", error))?;
    let mut document = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut document).map_err(|error| failed("read from", error))?;
    }
    let (status, usage) = wait(child.id()).map_err(|error| failed("wait for", error))?;
    let usage = Usage { process_s: begun.elapsed().as_secs_f64(), ..usage };
    let document = serde_json::from_slice(&document).unwrap_or(Value::Null);
    match status.code() {
        Some(code) if code == Exit::Done as i32 || code == Exit::Rejected as i32 => Ok(Finished { document, usage }),
        code => Err(failure(code, status.signal(), &document)),
    }
}

fn shared_arguments(settings: &Settings, store: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--json".into(), "--store".into(), store.into(), "--progress".into()];
    arguments.push(settings.progress.to_possible_value().map_or("none".into(), |value| value.get_name().into()));
    if let Some(threads) = settings.threads {
        arguments.extend(["--threads".into(), threads.to_string().into()]);
    }
    arguments
}

fn failure(code: Option<i32>, signal: Option<i32>, document: &Value) -> Error {
    if code == Some(Exit::Interrupted as i32) || code == Some(Exit::Terminated as i32) {
        return Error::new(ErrorKind::Stopped, "stopped", "the measurement was stopped");
    }
    let said = &document["error"];
    let message = said["message"].as_str().unwrap_or("it did not say why");
    let end = match (code, signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    };
    let error = Error::new(ErrorKind::Internal, "bench_failed", format!("a measured work ended with {end}: {message}"));
    match said["hint"].as_str() {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Waits for a child of ours to end. `Child::wait` would throw away what it took.
fn wait(child: u32) -> std::io::Result<(ExitStatus, Usage)> {
    let child = libc::pid_t::try_from(child).map_err(std::io::Error::other)?;
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to our own memory, which lives longer than the call.
        if unsafe { libc::wait4(child, &raw mut status, 0, usage.as_mut_ptr()) } == child {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: it was all zeros, which is a valid value, and the call that succeeded has filled it.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let taken = Usage {
        process_s: 0.0,
        cpu_user_s: seconds(usage.ru_utime),
        cpu_system_s: seconds(usage.ru_stime),
        memory_peak_bytes: unsigned(usage.ru_maxrss).saturating_mul(MAXRSS_UNIT_BYTES),
        // Linux counts 512-byte blocks.
        disk_written_bytes: unsigned(usage.ru_oublock).saturating_mul(512),
    };
    Ok((ExitStatus::from_raw(status), taken))
}

/// Linux tells the memory in KiB, macOS in bytes.
const MAXRSS_UNIT_BYTES: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };

fn unsigned(number: libc::c_long) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
