//! The disk is full, and later it is not.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use super::{Control, Fault};
use crate::{
    ensure,
    harness::Run,
    mount::{self, FileSystem, Mount},
    program::Ended,
    random::Random,
    recovery,
    scenario::Kind,
    shim::Shim,
    verdict::Problem,
};

/// Rows of the job.
const ROWS: u64 = 600;
const FLAGS: [&str; 2] = ["--window-rows", "60"];
/// No job here takes more than this of a disk.
const JOB_BYTES: u64 = 3 << 20;
/// The program begins no commit with less than this.
const RESERVE_BYTES: u64 = 64 << 20;
/// What a file system has before it is filled up.
const DISK_BYTES: u64 = 256 << 20;

/// A job on a disk that has too little room for the store, for the reports, or even for opening the store.
pub struct FullDisk;

impl Fault for FullDisk {
    fn name(&self) -> &'static str {
        "full_disk"
    }

    fn what(&self) -> &'static str {
        "the disk has nearly nothing to nearly enough room, and later more: the job says so, then goes on"
    }

    fn faults_claim(&self) -> u64 {
        100
    }

    fn faults_small(&self) -> u64 {
        8
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let shim = Shim::find()?;
        mount::private()?;
        let scenario = run.scenario(Kind::WITH_PIPES, ROWS)?;
        let mut random = run.random("disk");
        let work = run.directory.join("work");
        let disk = Disk::new(run.directory, &work, &mut random)?;
        // The store beside the reports, on the disk that fills up; or on one of its own, and only the reports are on it.
        let is_all = !random.one_in(4);
        let store = work.join("store");
        let _apart = if is_all { None } else { Some(Mount::in_memory(DISK_BYTES, &store)?) };
        scenario.copy_to(&work)?;
        let mut program = run.program.flags(FLAGS);
        // Honest disks are asked beforehand; those with a quota say that they have room until a write fails.
        let is_honest = is_all && random.one_in(3);
        let share = random.share();
        let free = if is_honest {
            (share * (RESERVE_BYTES + JOB_BYTES) as f64) as u64
        } else {
            program = shim.pretending_room(&program);
            // Most of what matters is where it is nearly nothing.
            (share * share * if is_all { JOB_BYTES as f64 } else { scenario.expected.processed.len() as f64 * 1.5 })
                as u64
        };
        let filled = disk.fill(free)?;
        let there = run.begun_in(&work);
        let ended = scenario.start(&program, &work)?.wait()?;
        let place = format!(
            "{:?}, {free} bytes free on {}, honest {is_honest}, store too {is_all}",
            scenario.kind,
            disk.name()
        );
        let checked = (|| {
            check_end(&ended)?;
            if !ended.is_done() && random.one_in(2) {
                // Whoever looks or tries again while it is full harms nothing either.
                check_look(&program.run(&work, &["verify"])?)?;
                check_look(&recovery::go_on(&program, &there, &scenario, &mut random)?.wait()?)?;
            }
            disk.free(filled)?;
            if !ended.is_done() {
                recovery::finish(&run.program, &there, &scenario, &mut random)?;
            }
            recovery::compare(&there, &scenario)
        })();
        checked.map_err(|problem| problem.at(place))?;
        Ok(u64::from(!ended.is_done()))
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "checkpoint", runs_max: 200, program: |harness| harness.sabotage("checkpoint") }]
    }
}

/// Whether a command was done, or says that there is no room.
fn check_end(ended: &Ended) -> Result<(), Problem> {
    let message = ended.error("message");
    let is_named = ended.error("code") == "disk_full" || message.contains("No space left on device");
    // A report that cannot even be begun is a wrong flag.
    let is_error = ended.exit == Some(1) || ended.exit == Some(2) && ended.error("code") == "report_unwritable";
    ensure!(ended.is_done() || is_error && is_named, "a command does not say that the disk is full, it {ended}");
    Ok(())
}

/// The same of one that may find that the job has not begun, or has ended.
fn check_look(ended: &Ended) -> Result<(), Problem> {
    let codes = ["job_unknown", "store_unknown", "repeated_file"];
    if codes.contains(&&*ended.error("code")) { Ok(()) } else { check_end(ended) }
}

/// A disk that can be filled up.
struct Disk {
    mount: Mount,
    /// None is memory.
    system: Option<FileSystem>,
    filler: PathBuf,
}

/// What fills it.
enum Filled {
    Size,
    File,
}

impl Disk {
    fn new(directory: &Path, place: &Path, random: &mut Random) -> Result<Disk, Problem> {
        let system = *random.one_of(&[None, None, Some(FileSystem::Ext4), Some(FileSystem::Xfs)]);
        let mount = match system {
            None => Mount::in_memory(DISK_BYTES, place)?,
            Some(system) => {
                let image = directory.join("disk.img");
                mount::format(system, &image)?;
                Mount::new(system, &image, place)?
            }
        };
        Ok(Disk { mount, system, filler: place.join("filler") })
    }

    fn name(&self) -> &'static str {
        self.system.map_or("tmpfs", FileSystem::name)
    }

    /// Leaves so many bytes free, more or less.
    fn fill(&self, free: u64) -> Result<Filled, Problem> {
        self.mount.sync()?;
        let room = self.mount.room()?;
        if self.system.is_none() {
            self.mount.resize(room.used + free)?;
            return Ok(Filled::Size);
        }
        let file = File::create(&self.filler)?;
        let mut length = room.free.saturating_sub(free);
        // Some is needed for what describes the file.
        while length > 0 {
            let bytes = libc::off_t::try_from(length).unwrap_or(libc::off_t::MAX);
            // SAFETY: the descriptor is open.
            if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes) } == 0 {
                break;
            }
            length = length.saturating_sub(64 << 10);
        }
        self.mount.sync()?;
        Ok(Filled::File)
    }

    fn free(&self, filled: Filled) -> Result<(), Problem> {
        match filled {
            Filled::Size => self.mount.resize(DISK_BYTES),
            Filled::File => Ok(fs::remove_file(&self.filler)?),
        }
    }
}
