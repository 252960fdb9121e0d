//! The integration tests: the engine as a host service calls it, and the binary as a user runs it.
//!
//! `model` is the first to read: random files against a plain model of the rules; `regressions` holds what
//! it found. `rules` says the same rules as
//! tables, `lots` those of dated, referenced and promised points, `row_ids` and `repeats` those of rows and files that are
//! sent again, `tidemill_format`, `formats` and `vendors` what each format reads, `round_trip` that an export can be imported,
//! `datasets` the rules on the sample data, `xlsx` what is read of workbooks, `expiry` and `expire` what becomes of points
//! whose last day is over, `expiry_updates` how a last day is changed, `undo` what an undone job leaves. `filters` is the other one with random stores: what a filter
//! means beside a full scan of exports; `bulk` has the rules of the operations on whom it means. `bad_input` says what
//! happens when input, disk or store are not as they should be, `kill`, `stop` and `unfinished` what happens when a job
//! ends in the middle, `service` the library on a runtime, `tell` who is told of a job that ended, `upkeep` and `backup` what is done to a store beside its jobs,
//! `exports` that all formats say the same, `history` what is shown to whom, `views` what is answered while a job runs, `cmd` what the command line says, `dialogue` what it asks, `addresses` what published lists say of e-mail addresses, `fuzz` what the fuzz targets claim of their seeds, `readme` that the README says the same. `tidy` looks at the sources themselves.
//!
//! Everything here makes its own directory; no test depends on another, on the clock or on the network.

mod addresses;
mod backup;
mod bad_input;
mod bulk;
mod caches;
mod cmd;
mod datasets;
mod dialogue;
mod erase;
mod exports;
mod expiry;
mod expiry_updates;
mod expire;
mod filters;
mod formats;
mod fuzz;
mod history;
mod incust;
mod kill;
mod live;
mod lots;
mod merge;
mod model;
mod preview;
mod promises;
mod readme;
mod regressions;
mod repeats;
mod round_trip;
mod row_ids;
mod rules;
mod service;
mod stop;
mod stream;
mod support;
mod tell;
mod tidemill_format;
mod tidy;
mod undo;
mod unfinished;
mod upkeep;
mod vendors;
mod views;
mod xlsx;
