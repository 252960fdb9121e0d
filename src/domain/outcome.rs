//! What became of one input row.

use serde::{Deserialize, Serialize};

/// What became of one input row or one matched customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The row was refused; a `Rejection` says why.
    Rejected = 0,
    /// Points moved.
    Applied = 1,
    /// A customer was created.
    Created = 2,
    /// A customer was changed.
    Updated = 3,
    /// The row is good and there was nothing to do.
    Unchanged = 4,
}

impl Status {
    /// The word that reports show.
    pub fn word(self) -> &'static str {
        match self {
            Status::Rejected => "rejected",
            Status::Applied => "applied",
            Status::Created => "created",
            Status::Updated => "updated",
            Status::Unchanged => "unchanged",
        }
    }
}
