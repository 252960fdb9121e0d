//! Chance that can be had again: a run is its seed.

use std::ops::Range;

use fastrand::Rng;

/// The numbers of one run, always the same for the same seed.
pub struct Random(Rng);

impl Random {
    /// Numbers for one purpose of a run, so that a number more for one does not move all others.
    pub fn new(seed: u64, purpose: &str) -> Random {
        // FNV-1a: any mixing will do, as long as it never changes with a release of something.
        let mixed = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Random(Rng::with_seed(mixed))
    }

    /// A number in the range, which must not be empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.0.u64(range)
    }

    /// A number below this one, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(0..bound)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A number from 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0.f64()
    }

    /// One of these, which must not be none.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.0.usize(0..choices.len())]
    }
}

/// A seed that nobody chose.
pub fn any_seed() -> u64 {
    // Short enough to be typed again.
    u64::from(Rng::new().u32(..))
}
