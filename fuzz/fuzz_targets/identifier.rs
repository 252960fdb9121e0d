//! See `tests/it/fuzz/identifier.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/identifier.rs"]
mod identifier;

libfuzzer_sys::fuzz_target!(|input: &[u8]| identifier::check(input));
