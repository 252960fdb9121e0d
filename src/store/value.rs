//! The envelope of every stored value: a kind byte, a version byte, the body, a CRC-32 of all of it.
//!
//! RocksDB checks its blocks, but not that the right value stands under the right key, nor bytes that changed in our
//! own hands before they reached it.

use crate::{
    error::{Error, Result},
    sabotage::{self, Promise},
};

/// What a value holds. The byte is stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Ledger entries.
    LedgerPage = 1,
    /// Customer records.
    CustomerPage = 2,
    /// A job's start.
    JobStart = 3,
    /// A committed window.
    Window = 4,
    /// Customers touched without an entry.
    Touched = 5,
    /// Rejected rows.
    Rejects = 6,
    /// Slots of the identifier table.
    IdentifierPage = 7,
    /// Presence and newest record.
    ProfilePage = 8,
    /// A packed filter column.
    FilterPage = 9,
    /// Newest entries.
    AccountPage = 10,
    /// Settings, programs, cache positions.
    Meta = 11,
    /// What remains of lots, as it was stored before references were told apart: read by nobody, and made again from the logs.
    LotPage = 12,
    /// Keys of rows.
    RowKeyPage = 13,
    /// The note that a job's rejected rows were dropped.
    Forgotten = 15,
    /// What remains of lots.
    Lots = 21,
    /// Whom a job means.
    Selection = 20,
    /// The jobs that undo a job.
    Undos = 18,
    /// A message of the outbox.
    Message = 16,
}

/// Version of every body's layout; raised one by one when a layout changes.
const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// Starts a value in `out`; returns where it starts, for `seal`.
pub fn begin(kind: Kind, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[kind as u8, VERSION]);
    start
}

/// Ends the value that began at `start`: everything since is its body.
pub fn seal(start: usize, out: &mut Vec<u8>) {
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// A whole value from its body.
pub fn sealed(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 2 + CRC_BYTES);
    let start = begin(kind, &mut out);
    out.extend_from_slice(body);
    seal(start, &mut out);
    out
}

/// A value whose body was changed in its place, with the checksum that it needs then.
pub fn sealed_again(mut value: Vec<u8>) -> Vec<u8> {
    value.truncate(value.len().saturating_sub(CRC_BYTES));
    seal(0, &mut value);
    value
}

/// The body of a value, checked.
///
/// # Errors
/// `Corrupt` when the checksum, kind or version is not what it should be; `what` names the value.
pub fn open<'a>(kind: Kind, value: &'a [u8], what: &dyn std::fmt::Display) -> Result<&'a [u8]> {
    let Some(body_end) = value.len().checked_sub(CRC_BYTES).filter(|&end| end >= 2) else {
        return Err(Error::corrupt(format!("{what}: the value is cut short")));
    };
    let (content, crc) = value.split_at(body_end);
    if crc32fast::hash(content).to_le_bytes() != crc && !sabotage::is_on(Promise::Checksum) {
        return Err(Error::corrupt(format!("{what}: the checksum is wrong")));
    }
    if content[0] != kind as u8 {
        return Err(Error::corrupt(format!("{what}: another kind of value stands there ({})", content[0])));
    }
    if content[1] != VERSION {
        return Err(Error::corrupt(format!("{what}: layout version {} is not known", content[1])));
    }
    Ok(&content[2..])
}

/// The body of a value of this kind whose checksum was looked at before; none if it is another kind or version.
pub fn unchecked(kind: Kind, value: &[u8]) -> Option<&[u8]> {
    let content = &value[..value.len().checked_sub(CRC_BYTES)?];
    content.strip_prefix(&[kind as u8, VERSION])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_byte_is_noticed() {
        let value = sealed(Kind::Meta, b"some body");
        assert_eq!(open(Kind::Meta, &value, &"it").expect("intact"), b"some body");
        assert!(open(Kind::Window, &value, &"it").is_err());
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 0x10;
            assert!(open(Kind::Meta, &damaged, &"it").is_err(), "byte {at}");
            assert!(open(Kind::Meta, &value[..at], &"it").is_err(), "cut at {at}");
        }
    }
}
