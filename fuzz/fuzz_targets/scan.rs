//! See `tests/it/fuzz/scan.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/scan.rs"]
mod scan;

libfuzzer_sys::fuzz_target!(|input: &[u8]| scan::check(input));
