//! What a batch of rows leaves behind for the committer.

use std::ops::Range;

use crate::{
    domain::job::{Counts, Position},
    job::live::LiveCommit,
    store::{jobs::Touch, key::LogKey},
};

/// Pages, reports and counts of one chunk of rows, ready to be committed in order.
#[derive(Default)]
pub struct Output {
    /// Stored values, one behind the other.
    pub pages: Vec<u8>,
    /// Their keys and places, ascending within each kind of key.
    pub keys: Vec<(LogKey, Range<usize>)>,
    /// Lines of the processed report.
    pub processed: Vec<u8>,
    /// Events for customers that were credited, where they are to be told.
    pub notifications: Vec<u8>,
    /// Stored forms of the rejected rows.
    pub rejects: Vec<u8>,
    /// Where each of them ends.
    pub reject_ends: Vec<usize>,
    /// Customers named without an entry.
    pub touched: Vec<Touch>,
    /// What was counted.
    pub counts: Counts,
    /// Where the next chunk begins.
    pub position: Position,
    /// The next ledger entry after this chunk.
    pub next_sequence: u64,
    /// Sum of the program's balances after this chunk.
    pub balance_after: i128,
    /// Adjustments that were applied before this chunk's rows.
    pub live: Vec<LiveCommit>,
}

impl Output {
    /// Empties it for the next chunk, keeping its buffers.
    pub fn clear(&mut self) {
        self.pages.clear();
        self.keys.clear();
        self.processed.clear();
        self.notifications.clear();
        self.rejects.clear();
        self.reject_ends.clear();
        self.touched.clear();
        self.counts = Counts::default();
    }

    /// Adds a page that `write` appends, and whose key it gives.
    pub fn page(&mut self, write: impl FnOnce(&mut Vec<u8>) -> LogKey) {
        let start = self.pages.len();
        let key = write(&mut self.pages);
        self.keys.push((key, start..self.pages.len()));
    }
}
