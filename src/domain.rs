//! The pure rules and words of points: no I/O, no clock, no thread, no randomness.
//!
//! Everything here may be used by every other module, and uses none of them. Read in the order of the list below.

pub mod id;
pub mod points;
pub mod time;
pub mod birthday;
pub mod program;
pub mod currency;
pub mod tier;
pub mod identifier;
pub mod phone;
pub mod rejection;
pub mod outcome;
pub mod customer;
pub mod traces;
pub mod entry;
pub mod account;
pub mod lot;
pub mod command;
pub mod apply;
pub mod undo;
pub mod job;
pub mod filter;
pub mod bulk;
pub mod expiry;
pub mod expiry_terms;
pub mod expiring;
pub mod reference;
pub mod message;
