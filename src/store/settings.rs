//! What a store says of itself, apart from its customers and points.

use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};

use crate::domain::time::TimeZone;

/// A store's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Declared tiers in rank order, lowest first; none: any tier is accepted and has no rank.
    pub tiers: Vec<String>,
    /// Name of the time zone in which days begin and end.
    pub time_zone: String,
    /// Country (ISO 3166 two letters) of phone numbers without a country code.
    pub default_region: Option<String>,
    /// What a customer is shown for an entry whose job gives no comment.
    pub default_comment: Option<String>,
    /// Seed of identifier hashes, random per store: nobody can make a file whose identifiers all collide.
    pub seed: u64,
}

impl Settings {
    /// The settings of a new store: UTC, no region, a seed of its own.
    pub fn of_new_store() -> Settings {
        // The standard library's hasher is keyed by the system's randomness.
        let seed = std::hash::RandomState::new().build_hasher().finish();
        Settings { time_zone: "UTC".to_owned(), seed, ..Settings::default() }
    }

    /// The time zone. One that was accepted once and is no longer known falls back to UTC; `store set` refuses others.
    pub fn zone(&self) -> TimeZone {
        TimeZone::new(&self.time_zone).unwrap_or_else(TimeZone::utc)
    }
}
