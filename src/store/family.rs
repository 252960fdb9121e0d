//! The column families of a store, each with its keys, its values and its purpose.
//!
//! | family | key → value | role |
//! |---|---|---|
//! | `log` | see `key::LogKey` → page, window record, rejected rows, message | truth: what windows committed by ingest |
//! | `tail` | the same keys → the same values | truth: what small windows committed through the write-ahead log |
//! | `identifiers` | (run, page) → slots ordered by hash | cache of the customer records |
//! | `profiles` | (generation, page) → presence bits, newest record | cache of the customer records |
//! | `filters` | (generation, attribute, program, page) → packed column with minimum and maximum | cache; bulk filters scan it |
//! | `accounts` | (generation, program, page) → newest entry, flags | cache of the ledger |
//! | `lots` | (generation, program, page) → what remains of dated lots | cache of the ledger |
//! | `row_ids` | (program, fingerprint of customer and id) → content hash, job | rows that carried their own id |
//! | `dictionary` | number → text | reasons, comments and references used by many entries |
//! | `meta` | name → settings, programs, what the caches reflect | small |
//!
//! `log` and `tail` share one key space and are always read together (`store::log`). They are two families so that
//! the large files that windows ingest never overlap a memtable or a level-0 file: they go straight to the last level
//! and are never compacted, which is what makes a job cost its bytes once.

/// What windows committed by ingest.
pub const LOG: &str = "log";
/// What small windows committed by write batch.
pub const TAIL: &str = "tail";
/// Runs of the identifier table.
pub const IDENTIFIERS: &str = "identifiers";
/// Presence bits and newest record of each customer.
pub const PROFILES: &str = "profiles";
/// Filter columns.
pub const FILTERS: &str = "filters";
/// Newest entry of each account.
pub const ACCOUNTS: &str = "accounts";
/// Remaining amounts of dated lots.
pub const LOTS: &str = "lots";
/// Row ids.
pub const ROW_IDS: &str = "row_ids";
/// Texts by number.
pub const DICTIONARY: &str = "dictionary";
/// Settings.
pub const META: &str = "meta";

/// Every family, in the order they are opened.
pub const ALL: [&str; 10] = [LOG, TAIL, IDENTIFIERS, PROFILES, FILTERS, ACCOUNTS, LOTS, ROW_IDS, DICTIONARY, META];
