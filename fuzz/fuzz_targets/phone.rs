//! See `tests/it/fuzz/phone.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/phone.rs"]
mod phone;

libfuzzer_sys::fuzz_target!(|input: &[u8]| phone::check(input));
