//! See `tests/it/fuzz/sheet.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/sheet.rs"]
mod sheet;

libfuzzer_sys::fuzz_target!(|input: &[u8]| sheet::check(input));
