//! The power goes: what was not synced is lost, and what was acknowledged is not.

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{Control, Fault};
use crate::{
    harness::Run,
    mount::{self, FileSystem, Mount},
    random::Random,
    script::Scripts,
    shim::Shim,
    verdict::Problem,
};

/// The file system under store, files and reports is shut down at any moment, without a flush.
#[derive(Default)]
pub struct Power(Scripts);

impl Fault for Power {
    fn name(&self) -> &'static str {
        "power"
    }

    fn what(&self) -> &'static str {
        "the power goes at any moment, on ext4 and xfs: what was acknowledged is there, and the job goes on"
    }

    fn faults_claim(&self) -> u64 {
        500
    }

    fn faults_small(&self) -> u64 {
        4
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let shim = Shim::find()?;
        mount::private()?;
        let script = self.0.of(run)?;
        let mut random = run.random("power");
        let system = *random.one_of(&FileSystem::ALL);
        let (image, place) = (run.directory.join("disk.img"), run.directory.join("disk"));
        mount::format(system, &image)?;
        let disk = Mount::new(system, &image, &place)?;
        let work = place.join("work");
        script.scenario.copy_to(&work)?;
        disk.sync()?;
        // Slow syncs, so that the power goes between two of them, and progress is told meanwhile.
        let sync_ms = *random.one_of(&[0, 0, 10, 50]);
        let took = script.took + Duration::from_millis(sync_ms * script.syncs);
        let moment = Instant::now() + took.mul_f64(random.share() * 1.1);
        let mut player = script.play(&shim.slow_syncs(&run.program, sync_ms), &work);
        player.until(moment)?;
        if random.one_in(2) {
            write_back(&work, &mut random)?;
        }
        disk.cut()?;
        // What the process does without a disk must acknowledge nothing.
        if random.one_in(2) {
            thread::sleep(Duration::from_millis(random.below(60)));
        }
        let told = player.kill()?;
        disk.unmount()?;
        let _disk = Mount::new(system, &image, &place)?;
        script.check(run, &work, told).map_err(|problem| problem.at(system.name()))?;
        Ok(1)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control {
            name: "syncs",
            runs_max: 40,
            program: |harness| Ok(Shim::find()?.without_syncs(&harness.tidemill)),
        }]
    }
}

/// Has some files reach the disk before they are synced, as happens after a while.
fn write_back(directory: &Path, random: &mut Random) -> Result<(), Problem> {
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
                continue;
            }
            // The process may have removed it meanwhile.
            match File::open(entry.path()) {
                Ok(file) if random.one_in(3) => {
                    // SAFETY: the descriptor is open.
                    unsafe { libc::fdatasync(file.as_raw_fd()) };
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}
