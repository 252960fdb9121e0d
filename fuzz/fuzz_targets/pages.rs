//! See `tests/it/fuzz/pages.rs`, which the ordinary tests run on the seeds.

#![no_main]

#[path = "../../tests/it/fuzz/pages.rs"]
mod pages;

libfuzzer_sys::fuzz_target!(|input: &[u8]| pages::check(input));
