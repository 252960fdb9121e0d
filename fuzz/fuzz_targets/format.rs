//! See `tests/it/fuzz/format.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/format.rs"]
mod format;

libfuzzer_sys::fuzz_target!(|input: &[u8]| format::check(input));
