//! Days and moments, counted one by one.
//!
//! A day is the number of days since 1970-01-01, a moment the seconds since that day began in UTC. A zone is the minutes by
//! which its clocks are ahead of UTC: those of the tests never change theirs.

/// Days since 1970-01-01.
pub type Day = i64;
/// Seconds since 1970-01-01T00:00:00Z.
pub type Moment = i64;

const DAY_SECONDS: i64 = 86_400;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn year_length(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A day of the Gregorian calendar from 1970 to 9999, written `YYYY-MM-DD`; none if there is no such day.
pub fn day(text: &str) -> Option<Day> {
    let parts: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { return None };
    let number = |text: &str, width: usize| {
        let is_number = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i64>().expect("a few digits"))
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=month_length(year, month)).contains(&day) {
        return None;
    }
    let years: i64 = (1970..year).map(year_length).sum();
    let months: i64 = (1..month).map(|month| month_length(year, month)).sum();
    Some(years + months + day - 1)
}

/// A day from 1970 on, as `YYYY-MM-DD`.
pub fn day_text(day: Day) -> String {
    let (mut left, mut year, mut month) = (day, 1970, 1);
    while left >= year_length(year) {
        left -= year_length(year);
        year += 1;
    }
    while left >= month_length(year, month) {
        left -= month_length(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

/// The last of so many days, of which the base is the first; none if no file can name it.
pub fn after_days(base: Day, days: i64) -> Option<Day> {
    Some(base + days - 1).filter(|&last| last <= last_day())
}

/// The last day of so many months: the day before the same day of a later month; but the last of that month, if the base
/// is the last of its own, or that month has no such day. None if no file can name it.
pub fn after_months(base: Day, months: i64) -> Option<Day> {
    let text = day_text(base);
    let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().expect("digits");
    let (year, month, number) = (part(0..4), part(5..7), part(8..10));
    let (mut later_year, mut later_month) = (year, month);
    for _ in 0..months {
        later_month += 1;
        if later_month > 12 {
            (later_year, later_month) = (later_year + 1, 1);
        }
        if later_year > 9999 {
            return None;
        }
    }
    let same = |number: i64| day(&format!("{later_year:04}-{later_month:02}-{number:02}"));
    if number == month_length(year, month) {
        return same(month_length(later_year, later_month));
    }
    same(number).map(|day| day - 1).or_else(|| same(month_length(later_year, later_month)))
}

/// The last day that a file can name.
pub fn last_day() -> Day {
    day("9999-12-31").expect("it exists")
}

/// When a day begins in a zone.
pub fn start_of(day: Day, zone_minutes: i64) -> Moment {
    day * DAY_SECONDS - zone_minutes * 60
}

/// The day that it is in a zone.
pub fn day_of(moment: Moment, zone_minutes: i64) -> Day {
    (moment + zone_minutes * 60).div_euclid(DAY_SECONDS)
}

/// A moment as `YYYY-MM-DDTHH:MM:SSZ`.
pub fn moment_text(moment: Moment) -> String {
    let second = moment.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", day_text(moment.div_euclid(DAY_SECONDS)))
}

/// A day, which is its beginning in the zone, or a moment as `YYYY-MM-DDTHH:MM:SS` with `Z` or an offset as `+05:30`.
pub fn moment(text: &str, zone_minutes: i64) -> Option<Moment> {
    let Some((date, time)) = text.split_once('T') else { return Some(start_of(day(text)?, zone_minutes)) };
    let (clock, zone) = (time.get(..8)?, time.get(8..)?);
    let minutes = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        Some(hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)
    };
    let ahead = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        ("+", zone) => minutes(zone)?,
        ("-", zone) => -minutes(zone)?,
        _ => return None,
    };
    let seconds = minutes(&clock[..5])? * 60 + clock[6..].parse::<i64>().ok()?;
    Some(start_of(day(date)?, ahead) + seconds)
}

mod tests {
    use super::*;

    #[test]
    fn days_follow_each_other() {
        assert_eq!((day("1970-01-01"), day("1970-12-31"), day("1971-01-01")), (Some(0), Some(364), Some(365)));
        assert_eq!(day("2026-11-22"), Some(20_779));
        assert_eq!(day("2096-03-01").expect("a day") - day("2096-02-28").expect("a day"), 2);
        assert_eq!(day("2100-03-01").expect("a day") - day("2100-02-28").expect("a day"), 1);
        for text in ["2021-09-31", "2021-02-29", "2100-02-29", "2021-13-01", "2021-00-01", "2021-1-01", "x", ""] {
            assert_eq!(day(text), None, "{text}");
        }
        for number in (0..60_000).step_by(17) {
            assert_eq!(day(&day_text(number)), Some(number));
        }
    }

    /// The six of the specification first.
    #[test]
    fn days_and_months_are_counted_from_their_first_day_to_their_last() {
        for (base, count, is_months, last) in [
            ("2021-07-29", 5, false, "2021-08-02"),
            ("2021-08-31", 10, false, "2021-09-09"),
            ("2021-08-01", 24, true, "2023-07-31"),
            ("2021-08-01", 12, true, "2022-07-31"),
            ("2022-07-31", 12, true, "2023-07-31"),
            ("2021-08-31", 2, true, "2021-10-31"),
            ("2096-01-30", 1, true, "2096-02-29"),
            ("2096-02-29", 12, true, "2097-02-28"),
            ("2095-02-28", 12, true, "2096-02-29"),
            ("2095-12-15", 1, true, "2096-01-14"),
        ] {
            let base = day(base).expect("a day");
            let found = if is_months { after_months(base, count) } else { after_days(base, count) };
            assert_eq!(found.map(day_text).as_deref(), Some(last), "{} and {count}", day_text(base));
        }
        assert_eq!((after_days(last_day(), 2), after_months(last_day(), 4_000_000_000)), (None, None));
    }

    #[test]
    fn a_zone_has_its_own_days() {
        let noon = moment("2026-11-22T12:00:00Z", 0).expect("a moment");
        assert_eq!(noon, 20_779 * 86_400 + 43_200);
        for (text, zone) in [("2026-11-22T17:30:00+05:30", 0), ("2026-11-22T01:00:00-11:00", 330)] {
            assert_eq!(moment(text, zone), Some(noon), "{text}");
        }
        assert_eq!(moment_text(noon), "2026-11-22T12:00:00Z");
        assert_eq!(moment("2026-11-22", 330).map(moment_text).as_deref(), Some("2026-11-21T18:30:00Z"));
        assert_eq!((day_of(noon, 720), day_of(noon - 1, 720), day_of(noon, -720)), (20_780, 20_779, 20_779));
    }
}
