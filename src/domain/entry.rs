//! One immutable line of an account's history.

use serde::{Deserialize, Serialize};

use super::id::{CustomerId, ProgramId, Sequence};

/// What an entry records. The byte is stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Points were added.
    Credit = 1,
    /// Points were taken.
    Debit = 2,
    /// The balance was set.
    Reset = 3,
    /// Lots reached their last day.
    Expire = 4,
    /// A lot's last day was changed.
    ExpiryChange = 5,
    /// Points were promised.
    Promise = 6,
    /// Promised points became available.
    Convert = 7,
    /// Promised points reached their last day.
    PromiseExpire = 8,
    /// An earlier entry was taken back.
    Reversal = 9,
}

impl EntryKind {
    /// Every kind, by ascending number.
    pub const ALL: [EntryKind; 9] = [
        EntryKind::Credit,
        EntryKind::Debit,
        EntryKind::Reset,
        EntryKind::Expire,
        EntryKind::ExpiryChange,
        EntryKind::Promise,
        EntryKind::Convert,
        EntryKind::PromiseExpire,
        EntryKind::Reversal,
    ];

    /// The word that exports and histories show.
    pub fn word(self) -> &'static str {
        match self {
            EntryKind::Credit => "credit",
            EntryKind::Debit => "debit",
            EntryKind::Reset => "reset",
            EntryKind::Expire => "expire",
            EntryKind::ExpiryChange => "expiry_change",
            EntryKind::Promise => "promise",
            EntryKind::Convert => "convert",
            EntryKind::PromiseExpire => "promise_expire",
            EntryKind::Reversal => "reversal",
        }
    }

    /// The kind with this stored number, if there is one.
    pub fn from_number(number: u8) -> Option<EntryKind> {
        EntryKind::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }
}

/// One immutable line of an account's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose account.
    pub customer: CustomerId,
    /// In which program.
    pub program: ProgramId,
    /// What it records.
    pub kind: EntryKind,
    /// Signed change of the balance, in the program's smallest unit.
    pub amount: i64,
    /// The balance with this entry.
    pub balance_after: i64,
    /// The account's entry before this one; 0 if this is its first.
    pub previous: Sequence,
    /// Physical line of the input that caused it, from 1; 0 if none did.
    pub row: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_lead_back_to_their_kind() {
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(EntryKind::from_number(0), None);
        assert_eq!(EntryKind::from_number(10), None);
    }
}
