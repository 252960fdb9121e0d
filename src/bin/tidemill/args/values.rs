//! How values of flags are read: in words that say what would be right.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use tidemill::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown},
        expiry::ExpiryDirection,
        id::JobId,
        identifier::IdentifierKind,
        points::{Conversion, Rounding},
        time::{Date, DateStyle, Timestamp},
        undo::OnSpent,
    },
    engine::request::MaxRejects,
    import::format::Kind,
};

/// Of `--mode`.
pub const MODES: &[(&str, Mode)] = &[("add", Mode::Add), ("reset", Mode::Reset)];
/// Of `--key` and `--identifier`.
pub const IDENTIFIERS: &[(&str, IdentifierKind)] = &[
    ("user_id", IdentifierKind::UserId),
    ("external_id", IdentifierKind::ExternalId),
    ("email", IdentifierKind::Email),
    ("mobile", IdentifierKind::Mobile),
    ("card", IdentifierKind::Card),
];
/// Of `--on-unknown`.
pub const ON_UNKNOWN: &[(&str, OnUnknown)] = &[("reject", OnUnknown::Reject), ("create", OnUnknown::Create)];
/// Of `--on-overdraft`.
pub const ON_OVERDRAFT: &[(&str, OnOverdraft)] =
    &[("reject", OnOverdraft::Reject), ("clamp", OnOverdraft::Clamp), ("allow", OnOverdraft::Allow)];
/// Of `--on-spent`.
pub const ON_SPENT: &[(&str, OnSpent)] =
    &[("keep", OnSpent::Keep), ("negative", OnSpent::Negative), ("refuse", OnSpent::Refuse)];
/// Of `--round`.
pub const ROUNDINGS: &[(&str, Rounding)] =
    &[("down", Rounding::Down), ("half-up", Rounding::HalfUp), ("up", Rounding::Up)];
/// Of `--date-format`.
pub const DATE_STYLES: &[(&str, DateStyle)] =
    &[("iso", DateStyle::Iso), ("dmy", DateStyle::Dmy), ("mdy", DateStyle::Mdy), ("ymd", DateStyle::Ymd)];
/// Of `--kind`.
pub const KINDS: &[(&str, Kind)] =
    &[("points", Kind::Points), ("customers", Kind::Customers), ("expiry", Kind::Expiry)];
/// Of `--profile`.
pub const PROFILES: &[(&str, Profile)] =
    &[("date-range", Profile::DateRange), ("reference", Profile::Reference), ("promotion", Profile::Promotion)];
/// Of `--on-repeat`.
pub const ON_REPEAT: &[(&str, OnRepeat)] = &[("first", OnRepeat::First), ("last", OnRepeat::Last)];

/// By what points are chosen whose expiry changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// By their last day.
    DateRange,
    /// By what they were given for.
    Reference,
    /// By the promotion that gave them.
    Promotion,
}

/// Reads which way last days may move, in the words of vendors too.
pub fn direction(given: &str) -> Result<ExpiryDirection, String> {
    ExpiryDirection::parse(given).ok_or_else(|| "neither `early` nor `extended`".to_owned())
}

/// Reads one of these words. The library's types know nothing of command lines.
pub fn one_of<T>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let meaning = |given: String| {
        let found = words.iter().find(|(word, _)| *word == given);
        found.map(|&(_, meaning)| meaning).ok_or("not one of the words")
    };
    PossibleValuesParser::new(words.iter().map(|&(word, _)| word)).try_map(meaning)
}

/// Reads a number of threads.
pub fn threads(given: &str) -> Result<usize, String> {
    let number = given.parse().map_err(|_| "not a whole number".to_owned())?;
    check_threads(number)
}

/// Returns the number of threads if it is one that a machine can have.
pub fn check_threads(number: usize) -> Result<usize, String> {
    if (1..=THREADS_MAX).contains(&number) { Ok(number) } else { Err(format!("not in 1 to {THREADS_MAX}")) }
}

/// More than any machine has processors; a mistyped number must not exhaust the system.
const THREADS_MAX: usize = 1024;

/// Reads the number of a job.
pub fn job_id(given: &str) -> Result<JobId, String> {
    match given.parse() {
        Ok(0) | Err(_) => Err("jobs are numbered 1, 2, 3 …: see `tidemill job list`".to_owned()),
        Ok(number) => Ok(JobId(number)),
    }
}

/// Reads a moment.
pub fn moment(given: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(given)
        .ok_or_else(|| "not a moment as RFC 3339 writes it, such as `2026-11-05T08:30:00Z`".to_owned())
}

/// Reads a day.
pub fn day(given: &str) -> Result<Date, String> {
    Date::parse(given).ok_or_else(|| "not a day that exists, written as in `2029-12-31`".to_owned())
}

/// Reads for how many days points are valid.
pub fn days_of_validity(given: &str) -> Result<u32, String> {
    given.parse().ok().filter(|&days| days >= 1).ok_or_else(|| "not a whole number of days from 1".to_owned())
}

/// Reads a number of rows, or `all`.
pub fn rows_max(given: &str) -> Result<u64, String> {
    match given {
        "all" => Ok(u64::MAX),
        _ => given.parse().map_err(|_| "not a number of rows, and not `all`".to_owned()),
    }
}

/// Reads the factor of a conversion.
pub fn factor(given: &str) -> Result<Conversion, String> {
    Conversion::new(given, None)
        .ok_or_else(|| "not a number above zero with at most 9 decimals, such as `0.1`".to_owned())
}

/// Reads the number of lines of a page.
pub fn lines(given: &str) -> Result<usize, String> {
    given
        .parse()
        .ok()
        .filter(|lines| (1..=10_000).contains(lines))
        .ok_or_else(|| "not a number from 1 to 10000".to_owned())
}

/// Reads how many rows may be rejected.
pub fn max_rejects(given: &str) -> Result<MaxRejects, String> {
    let reads = match given.strip_suffix('%') {
        Some(percent) => percent.trim().parse().ok().filter(|percent| *percent <= 100).map(MaxRejects::Percent),
        None => given.parse().ok().map(MaxRejects::Rows),
    };
    reads.ok_or_else(|| "not a number of rows, and not a whole number of percent from `0%` to `100%`".to_owned())
}

/// Reads a delimiter, as itself or by its name.
pub fn delimiter(given: &str) -> Result<u8, String> {
    match given {
        "comma" => Ok(b','),
        "semicolon" => Ok(b';'),
        "tab" | "\\t" => Ok(b'\t'),
        "pipe" => Ok(b'|'),
        _ => character(given),
    }
}

/// Reads a character that can stand between or around cells.
pub fn character(given: &str) -> Result<u8, String> {
    match given.as_bytes() {
        &[byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\r\n".contains(&byte) => Ok(byte),
        _ => Err("not one ASCII character that is no letter or digit".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!(max_rejects("12"), Ok(MaxRejects::Rows(12)));
        assert_eq!(max_rejects("5%"), Ok(MaxRejects::Percent(5)));
        for wrong in ["", "%", "101%", "-1", "1.5%", "x"] {
            assert!(max_rejects(wrong).is_err(), "{wrong}");
        }
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert_eq!(delimiter(";"), Ok(b';'));
        for wrong in ["", ",,", "a", "–"] {
            assert!(delimiter(wrong).is_err(), "{wrong}");
        }
        assert_eq!(day("2028-02-29"), Ok(Date::new(2028, 2, 29).unwrap()));
        for wrong in ["", "2027-02-29", "2021-09-31", "31.12.2029", "2029-12-31T00:00:00Z", "tomorrow"] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
        assert_eq!(days_of_validity("1"), Ok(1));
        for wrong in ["", "0", "-1", "1.5", "30d", "4294967296"] {
            assert!(days_of_validity(wrong).is_err(), "{wrong}");
        }
        assert_eq!(job_id("7"), Ok(JobId(7)));
        assert!(job_id("0").is_err() && job_id("x").is_err());
        assert!(threads("0").is_err() && threads("1025").is_err() && threads("2") == Ok(2));
    }
}
