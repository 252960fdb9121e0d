//! What people and programs are told: summaries, reports of rows, exports.

pub mod amount;
pub mod cell;
pub mod digits;
pub mod summary;
pub mod rejects;
pub mod export;
