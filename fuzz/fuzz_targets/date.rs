//! See `tests/it/fuzz/date.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/date.rs"]
mod date;

libfuzzer_sys::fuzz_target!(|input: &[u8]| date::check(input));
