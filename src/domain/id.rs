//! Numbers that name things in one store. They are dense and given in apply order, so they are a function of the log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A customer's internal number, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CustomerId(pub u32);

impl CustomerId {
    /// The number that no customer has: "not known" in tables that have no room for an `Option`.
    pub const NONE: CustomerId = CustomerId(u32::MAX);

    /// Index into a table with one place a customer.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A job's number: 1, 2, 3 …
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u32);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A programme's place in the store's list of programs, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProgramId(pub u16);

/// The place of an entry in the ledger, dense from 1; 0 means "no entry".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);
