//! Files become commands: sources, chunks, records, formats, and the three kinds of import.

pub mod sheet;
pub mod source;
pub mod spool;
pub mod dialect;
pub mod chunk;
pub mod csv;
pub mod format;
pub mod cell_rules;
pub mod rows;
pub mod guess;
pub mod proposal;
pub mod surroundings;
pub mod input;
pub mod fingerprint;
pub mod naming;
pub mod list;
pub mod points;
pub mod customers;
pub mod expiry;
pub mod preview;
