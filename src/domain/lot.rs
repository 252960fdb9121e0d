//! Points credited together.
//!
//! Permanent points without reference form one lot an account, which is not stored: it is what the balance has beyond
//! the account's other lots. The pages of the ledger and the family `lots` have their places for the others.

/// Whether the points of a lot can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LotState {
    /// They can.
    Available = 0,
    /// Not yet.
    Promised = 1,
}

impl LotState {
    /// The word that exports show.
    pub fn word(self) -> &'static str {
        match self {
            LotState::Available => "available",
            LotState::Promised => "promised",
        }
    }
}
