//! Bytes of keys. Big-endian, so that keys sort as their numbers do.

use crate::domain::id::{JobId, ProgramId, Sequence};

/// Keys of the families `log` and `tail`. The leading byte keeps the kinds apart and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogKey {
    /// A page of customer records, by the number of its first record.
    Customers(u64),
    /// Part of a job's window. Window 0, part 0 is the job's start, part 1 the note that its rejected rows were dropped; in a
    /// later window part 0 is the window's record, part 1 the customers it touched without an entry, parts from 2 its
    /// rejected rows.
    Job(JobId, u32, u32),
    /// A page of ledger entries, by the number of its first entry.
    Ledger(Sequence),
    /// A message that a job which ended sends, by its number among the job's. The only value that changes under its key, which
    /// is always in `tail`: how far the message is.
    Message(JobId, u32),
}

/// Leading byte of customer pages.
pub const CUSTOMERS: u8 = b'C';
/// Leading byte of job records.
pub const JOBS: u8 = b'J';
/// Leading byte of ledger pages.
pub const LEDGER: u8 = b'L';
/// Leading byte of messages.
pub const MESSAGES: u8 = b'M';

impl LogKey {
    /// The key's bytes.
    pub fn bytes(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(13);
        match self {
            LogKey::Customers(first) => {
                key.push(CUSTOMERS);
                key.extend_from_slice(&first.to_be_bytes());
            }
            LogKey::Job(job, window, part) => {
                key.push(JOBS);
                key.extend_from_slice(&job.0.to_be_bytes());
                key.extend_from_slice(&window.to_be_bytes());
                key.extend_from_slice(&part.to_be_bytes());
            }
            LogKey::Ledger(first) => {
                key.push(LEDGER);
                key.extend_from_slice(&first.0.to_be_bytes());
            }
            LogKey::Message(job, number) => {
                key.push(MESSAGES);
                key.extend_from_slice(&job.0.to_be_bytes());
                key.extend_from_slice(&number.to_be_bytes());
            }
        }
        key
    }

    /// The key that these bytes are, if they are one.
    pub fn parse(bytes: &[u8]) -> Option<LogKey> {
        let (&kind, rest) = bytes.split_first()?;
        match kind {
            CUSTOMERS => Some(LogKey::Customers(u64::from_be_bytes(rest.try_into().ok()?))),
            LEDGER => Some(LogKey::Ledger(Sequence(u64::from_be_bytes(rest.try_into().ok()?)))),
            JOBS if rest.len() == 12 => {
                let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
                Some(LogKey::Job(JobId(number(0)?), number(4)?, number(8)?))
            }
            MESSAGES if rest.len() == 8 => {
                let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
                Some(LogKey::Message(JobId(number(0)?), number(4)?))
            }
            _ => None,
        }
    }
}

/// Key of a cache page: generation or run first, so that an old generation is one range that can be dropped.
pub fn cache_page(generation: u32, attribute: u8, program: ProgramId, page: u32) -> [u8; 11] {
    let mut key = [0; 11];
    key[..4].copy_from_slice(&generation.to_be_bytes());
    key[4] = attribute;
    key[5..7].copy_from_slice(&program.0.to_be_bytes());
    key[7..].copy_from_slice(&page.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_sort_as_their_numbers() {
        let keys = [
            LogKey::Customers(0),
            LogKey::Customers(300),
            LogKey::Job(JobId(1), 0, 0),
            LogKey::Job(JobId(1), 2, 0),
            LogKey::Job(JobId(256), 0, 0),
            LogKey::Ledger(Sequence(1)),
            LogKey::Ledger(Sequence(u64::MAX)),
            LogKey::Message(JobId(1), 0),
            LogKey::Message(JobId(256), 1),
        ];
        for pair in keys.windows(2) {
            assert!(pair[0].bytes() < pair[1].bytes(), "{pair:?}");
        }
        for key in keys {
            assert_eq!(LogKey::parse(&key.bytes()), Some(key));
            assert_eq!(LogKey::parse(&key.bytes()[1..]), None);
        }
    }
}
