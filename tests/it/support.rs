//! What the tests have in common.

pub mod binary;
pub mod content;
pub mod model;
pub mod model_strategies;
pub mod servers;
pub mod shop;
pub mod terminal;
pub mod till;
pub mod workbook;

use proptest::test_runner::Config;
use tidemill::domain::time::Timestamp;

/// The moment of all jobs: nothing depends on the day on which the tests run.
pub const NOW: &str = "2026-11-22T12:00:00Z";
/// Its day.
pub const TODAY: &str = "2026-11-22";

/// [`NOW`], as the library takes it.
pub fn now() -> Timestamp {
    Timestamp::parse_rfc3339(NOW).expect("a moment")
}

/// So many random cases, or as many as `PROPTEST_CASES` says.
pub fn cases(default: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default);
    // Each case makes stores on disk, so shrinking for hours helps nobody.
    Config { cases, max_shrink_iters: 300, failure_persistence: None, ..Config::default() }
}

/// Says that a test, or a part of one, cannot run on this machine.
///
/// # Panics
/// Where everything must run: where `TIDEMILL_TEST_ALL` is set, as `.ci/run` does if the machine has what it takes.
#[track_caller]
pub fn not_run(why: &str) {
    let must_run = std::env::var_os("TIDEMILL_TEST_ALL").is_some_and(|value| !value.is_empty());
    assert!(!must_run, "not run, and here all must run: {why}");
    println!("not run: {why}");
}

/// Points in a program's smallest unit, as text with its decimals.
pub fn decimal(units: i128, decimals: u32) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = decimals as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals as usize);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}
