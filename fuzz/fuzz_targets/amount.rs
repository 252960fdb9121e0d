//! See `tests/it/fuzz/amount.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/amount.rs"]
mod amount;

libfuzzer_sys::fuzz_target!(|input: &[u8]| amount::check(input));
