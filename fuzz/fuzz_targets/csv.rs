//! See `tests/it/fuzz/csv.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/csv.rs"]
mod csv;

libfuzzer_sys::fuzz_target!(|input: &[u8]| csv::check(input));
