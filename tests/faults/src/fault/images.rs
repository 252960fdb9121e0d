//! The disk under a running job is copied at one moment: the copy opens, is sound, and goes on.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{Control, Fault};
use crate::{
    harness::Run,
    mount::{self, FileSystem, Mount},
    scenario,
    script::{Script, Scripts, Told},
    shim::Shim,
    state,
    verdict::Problem,
};

/// Images that are taken while a script is played.
const IMAGES_OF_RUN: u64 = 8;

/// Images of a running store, as a snapshot of its disk takes them.
#[derive(Default)]
pub struct Images(Scripts);

impl Fault for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn what(&self) -> &'static str {
        "an image of the disk, or of the frozen file system, taken at any moment of a job: it opens, is sound and goes on"
    }

    fn faults_claim(&self) -> u64 {
        2000
    }

    fn faults_small(&self) -> u64 {
        8
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let shim = Shim::find()?;
        mount::private()?;
        let script = self.0.of(run)?;
        let mut random = run.random("images");
        let system = *random.one_of(&FileSystem::ALL);
        // Images share what they have in common with the disk, so taking one is a matter of a moment.
        let room = mount::room(run.directory)?;
        let image = room.path().join("disk.img");
        mount::format(system, &image)?;
        let disk = Mount::new(system, &image, &run.directory.join("disk"))?;
        let work = disk.path().join("work");
        script.scenario.copy_to(&work)?;
        disk.sync()?;
        let sync_ms = *random.one_of(&[0, 0, 5, 20]);
        let took = script.took + Duration::from_millis(sync_ms * script.syncs);
        let mut moments: Vec<f64> = (0..IMAGES_OF_RUN).map(|_| random.share() * 1.1).collect();
        moments.sort_by(f64::total_cmp);
        let mut player = script.play(&shim.slow_syncs(&run.program, sync_ms), &work);
        let mut taken: Vec<(Told, bool)> = Vec::new();
        let began = Instant::now();
        for (number, moment) in moments.into_iter().enumerate() {
            player.until(began + took.mul_f64(moment))?;
            // Asked before, as what is acknowledged while the image is taken need not be in it.
            let told = player.told()?;
            let is_frozen = random.one_in(4);
            if is_frozen {
                let frozen = disk.freeze()?;
                scenario::copy(&work, &run.directory.join(format!("frozen-{number}")))?;
                drop(frozen);
            } else {
                mount::copy_at_once(&image, &room.path().join(format!("image-{number}")))?;
            }
            taken.push((told, is_frozen));
        }
        player.kill()?;
        let place = disk.path().to_owned();
        disk.unmount()?;
        // Each in the same place, as a job remembers where its reports are.
        for (number, (told, is_frozen)) in taken.iter().enumerate() {
            let how = if *is_frozen { "frozen" } else { "image" };
            let copy = if *is_frozen {
                fs::rename(run.directory.join(format!("frozen-{number}")), &work)?;
                None
            } else {
                Some(Mount::new(system, &room.path().join(format!("image-{number}")), &place)?)
            };
            let said = format!("{}, {how} {number} of {took:?}", system.name());
            check(run, &script, &work, *told).map_err(|problem| problem.at(said))?;
            match copy {
                Some(copy) => copy.unmount()?,
                None => fs::remove_dir_all(&work)?,
            }
        }
        Ok(IMAGES_OF_RUN)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control {
            name: "syncs",
            runs_max: 20,
            program: |harness| Ok(Shim::find()?.without_syncs(&harness.tidemill)),
        }]
    }
}

/// Checks an image as it is, and then that it goes on.
fn check(run: &Run, script: &Script, directory: &Path, told: Told) -> Result<(), Problem> {
    // Before the first commit of a new store there may be none.
    if directory.join("store/TIDEMILL_FORMAT").exists() {
        state::verify(&run.harness.tidemill, directory)?;
    }
    script.check(run, directory, told)
}
