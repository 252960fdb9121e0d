//! Every limit of the engine, in one place. None of them may change an outcome, only speed and memory.

/// How an engine works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads for parsing and encoding; the reader, the apply stage and the committer have their own.
    pub threads: usize,
    /// Bytes of input a chunk holds at most. 1 MiB: large enough that a chunk's fixed costs (queues, buffers, a page cut
    /// short at its end) vanish, small enough that a chunk's working set stays in the second-level cache.
    pub chunk_bytes_max: usize,
    /// Rows after which a window is made durable. A commit costs about four syncs; at a million rows they are a few
    /// percent of a window even on a slow disk, and a crash repeats at most this much work.
    pub window_rows: u64,
    /// Bytes of ledger and reports after which a window is made durable, whatever its rows.
    pub window_bytes: usize,
    /// Log records that may lie behind the stored caches before these are written again: the bound of replay at open.
    pub cache_lag_entries_min: u64,
    /// Keys of rows that a job holds in memory before it writes them as a run: 48 MB of table. Fewer would be looked for in
    /// more runs.
    pub row_keys_max: usize,
    /// Ledger entries that an undo holds in memory, 24 bytes each and some have more; the customers of the others come in a
    /// second pass.
    pub undo_records_max: usize,
    /// Free bytes that the store's disk must have before a window is committed.
    pub disk_free_min: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            chunk_bytes_max: 1 << 20,
            window_rows: 1 << 20,
            window_bytes: 256 << 20,
            cache_lag_entries_min: 1 << 20,
            row_keys_max: 1 << 21,
            undo_records_max: 12 << 20,
            disk_free_min: 64 << 20,
        }
    }
}
