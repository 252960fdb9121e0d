//! What of a store and a job has a say in how a file is read.

use crate::domain::{
    id::ProgramId,
    phone::Region,
    program::Program,
    time::{Date, TimeZone, Timestamp},
};

/// What of a store and a job has a say in how a file is read. Without a store it is that of a new one.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The job's program.
    pub program: ProgramId,
    /// The store's programs, by their numbers.
    pub programs: Vec<Program>,
    /// Whether these are a store's. Without one, nobody knows which programs there will be, nor with how many decimals.
    pub has_store: bool,
    /// Region of phone numbers without country code.
    pub region: Option<Region>,
    /// The zone in which days begin.
    pub zone: TimeZone,
    /// The declared tiers, lowest first.
    pub tiers: Vec<String>,
    /// The present moment.
    pub now: Timestamp,
    /// The day that it is then, in the zone.
    pub today: Date,
}

impl Surroundings {
    /// Those of a new store.
    pub fn of_new_store(now: Timestamp) -> Surroundings {
        let zone = TimeZone::utc();
        Surroundings {
            program: ProgramId(0),
            programs: vec![Program::of_new_store()],
            has_store: false,
            region: None,
            tiers: Vec::new(),
            now,
            today: zone.day_of(now),
            zone,
        }
    }

    /// Decimals of the job's program.
    pub fn decimals(&self) -> u8 {
        self.programs.get(usize::from(self.program.0)).map_or(0, |program| program.decimals)
    }
}
