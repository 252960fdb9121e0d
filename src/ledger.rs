//! The only door for points: a resolved command goes in, an effect comes out, and an entry lies in the ledger.

pub mod account_book;
