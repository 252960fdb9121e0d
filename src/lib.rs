//! tidemill moves customers and points into a loyalty programme: a streaming import engine, exactly once, with an
//! answer for every row.
//!
//! Modules in the order in which one may use the other, left to right:
//! `domain ← store ← {ledger, job} ← {import, report} ← engine`. A module uses only what stands to its left;
//! `tests/it/tidy.rs` keeps it so.

pub mod domain;
pub mod error;
pub mod options;
pub mod clock;
pub mod store;
pub mod job;
pub mod ledger;
pub mod import;
pub mod report;
pub mod engine;
