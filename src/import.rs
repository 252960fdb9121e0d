//! Files become commands: sources, chunks, records, formats, and the two kinds of import.

pub mod sheet;
pub mod source;
pub mod spool;
pub mod dialect;
pub mod chunk;
pub mod csv;
pub mod format;
pub mod rows;
pub mod surroundings;
pub mod input;
pub mod points;
pub mod customers;
pub mod preview;
