//! Memory runs out at any moment: the process may die of it, but never says that it is done, and nothing is lost.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Control, Fault};
use crate::{
    ensure,
    harness::Run,
    program::{Ended, Process},
    recovery,
    scenario::{self, Kind, Scenario},
    verdict::Problem,
};

/// Rows of the job.
const ROWS: u64 = 6000;
/// Processes that run short before the job may end in peace.
const SHORTAGES_OF_RUN_MAX: u64 = 3;
/// A part of the job's time: towards its end it has all the memory that it needs.
const EARLY: f64 = 0.6;
/// Where control groups of memory are: of version 1.
const GROUPS: &str = "/sys/fs/cgroup/memory";
/// Attempts to set a limit while the process takes more.
const TIGHTEN_MAX: u32 = 20;

/// A limit that is there from the start, or falls on the process at a moment of the job.
pub struct Memory;

impl Fault for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn what(&self) -> &'static str {
        "memory runs out at any moment: the process names that or is killed, and the job goes on to the same end"
    }

    fn faults_claim(&self) -> u64 {
        100
    }

    fn faults_small(&self) -> u64 {
        8
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let scenario = run.scenario(Kind::ALL, ROWS)?;
        let mut random = run.random("memory");
        run.copy(&scenario)?;
        let shortages_max = 1 + random.below(SHORTAGES_OF_RUN_MAX);
        let mut shortages = 0;
        for _ in 0..shortages_max {
            let program = scenario::any_windows(&run.program, &mut random);
            let moment = scenario.took.mul_f64(random.share() * EARLY);
            let ended = match random.below(3) {
                // The system's own way: the group's limit, and the process is killed. A limit that is there from the start would
                // have the job refused.
                0 if Path::new(GROUPS).is_dir() => {
                    let Some(group) = Group::new(run)? else { continue };
                    let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", group.0.display());
                    let process =
                        recovery::go_on(&program.started_by(["sh", "-c", &enter]), run, &scenario, &mut random)?;
                    if !process.ends_within(moment)? {
                        group.tighten(random.below(1 << 20))?;
                    }
                    let ended = process.wait()?;
                    ensure!(!ended.stderr.contains("cgroup.procs"), "the group: {ended}");
                    ended
                }
                // From a moment on it gets no more than it has.
                kind => {
                    let process = recovery::go_on(&program, run, &scenario, &mut random)?;
                    if !process.ends_within(moment)? {
                        let more = if random.one_in(3) { random.below(4 << 20) } else { 0 };
                        limit(&process, if kind == 1 { libc::RLIMIT_AS } else { libc::RLIMIT_DATA }, more)?;
                    }
                    process.wait()?
                }
            };
            if is_short(&ended, &scenario)? {
                shortages += 1;
            } else if ended.is_done() {
                break;
            }
        }
        recovery::finish(&run.program, run, &scenario, &mut random)?;
        recovery::compare(run, &scenario)?;
        Ok(shortages)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checkpoint", runs_max: 400, program: |harness| harness.sabotage("checkpoint") }]
    }
}

/// Whether the process died of a lack of memory, and said so where it could.
fn is_short(ended: &Ended, scenario: &Scenario) -> Result<bool, Problem> {
    if ended.is_killed() {
        return Ok(true);
    }
    let said = format!("{}{}", ended.stdout, ended.stderr).to_lowercase();
    let is_named = ["memory", "resource temporarily unavailable", "alloc", "mmap", "terminate called"]
        .iter()
        .any(|word| said.contains(word));
    match (ended.exit, ended.signal) {
        // 127 is the loader's, before the program begins.
        (None, Some(libc::SIGABRT)) | (Some(1 | 4 | 101 | 127), _) if is_named => Ok(true),
        // The stack of a thread cannot grow: nothing is left with which to say so.
        (None, Some(libc::SIGSEGV | libc::SIGBUS)) => Ok(true),
        _ => recovery::is_end(ended, scenario).map(|_| false),
    }
}

/// Lets a process have so many bytes more than it has.
fn limit(process: &Process, resource: libc::__rlimit_resource_t, more: u64) -> Result<(), Problem> {
    let pid = i32::try_from(process.id()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = if resource == libc::RLIMIT_AS { "VmSize:" } else { "VmData:" };
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let Some(kilobytes) = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()) else {
        // It has just ended.
        return Ok(());
    };
    let bytes = kilobytes * 1024 + more;
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: one structure that is read, and none to be written; the process is our child and not yet waited for.
    let result = unsafe { libc::prlimit(pid, resource, &raw const limit, std::ptr::null_mut()) };
    let error = std::io::Error::last_os_error();
    if result == 0 || error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error.into()) }
}

/// A control group, removed at the end.
struct Group(PathBuf);

impl Group {
    /// A group without a limit yet; none where nobody lets us make one.
    fn new(run: &Run) -> Result<Option<Group>, Problem> {
        let name = run.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let group = Group(Path::new(GROUPS).join(format!("tidemill-{name}")));
        Ok(fs::create_dir(&group.0).is_ok().then_some(group))
    }

    /// Lets its processes have so many bytes more than they hold.
    fn tighten(&self, more: u64) -> Result<(), Problem> {
        let mut result = Ok(());
        for _ in 0..TIGHTEN_MAX {
            let usage = fs::read_to_string(self.0.join("memory.usage_in_bytes"))?;
            let usage: u64 = usage.trim().parse().unwrap_or(0);
            result = fs::write(self.0.join("memory.limit_in_bytes"), (usage + more).to_string());
            if result.is_ok() {
                break;
            }
            // They have taken more meanwhile.
        }
        Ok(result?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nothing can be done where it does not work, and an empty group harms nobody.
        let _ = fs::remove_dir(&self.0);
    }
}
