//! One customer's points in one program, as the engine keeps them in memory.

use super::id::Sequence;

/// Bits of the newest entry's number that share their word with the flags.
const SEQUENCE_BITS: u32 = 48;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;

/// Balance and newest entry of one account: 16 bytes, so that a cache line holds four and ten million take 160 MB.
///
/// Permanent points without reference need nothing more: they are what the balance has beyond the other lots. An account
/// that has those says so by a flag, and they are kept beside it (`domain::lot`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Available points less overdraft, in the program's smallest unit.
    pub balance: i64,
    newest_and_flags: u64,
}

impl Account {
    /// An account as a page or an entry tells it.
    #[inline]
    pub fn new(balance: i64, newest: Sequence, has_lots: bool) -> Account {
        Account { balance, newest_and_flags: newest.0 & SEQUENCE_MASK | u64::from(has_lots) << SEQUENCE_BITS }
    }

    /// The newest entry; 0 if the account has none.
    #[inline]
    pub fn newest(self) -> Sequence {
        Sequence(self.newest_and_flags & SEQUENCE_MASK)
    }

    /// Whether dated, referenced or promised lots are kept beside it.
    #[inline]
    pub fn has_lots(self) -> bool {
        self.newest_and_flags >> SEQUENCE_BITS != 0
    }
}

/// The largest entry number that an account can point to: 2.8 × 10^14.
pub const SEQUENCE_MAX: u64 = SEQUENCE_MASK;
