//! Bulk operations: whom a filter means (`scan`), who they are (`selection`), what is done to each (`batch`).
//!
//! A filter is evaluated over packed columns, a page of 4096 customers at a time. Whom it means is decided once, at the
//! job's start, and stored with the job; from then on the job goes by that list and no more by the filter.

pub mod scan;
pub mod selection;
pub mod batch;
