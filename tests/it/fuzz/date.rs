//! Days and instants beside a twin that reads character by character and leaves the calendar to chrono.

use chrono::{Datelike, NaiveDate};
use tidemill::domain::{
    birthday::Birthday,
    expiry::{add_days, add_months},
    expiry_terms::parse_new_expiry,
    time::{Date, DateStyle, DayStarts, TimeZone, Timestamp},
};

/// A number of so many digits.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let is_number = digits.contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn day(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    any_day(year, month, day).filter(|date| date.year() > 0)
}

fn any_day(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

fn iso(text: &str) -> Option<NaiveDate> {
    any_iso(text).filter(|date| date.year() > 0)
}

fn any_iso(text: &str) -> Option<NaiveDate> {
    let parts: Vec<&str> = text.split('-').collect();
    let &[y, m, d] = &parts[..] else { return None };
    any_day(number(y, 4..=4)?, number(m, 2..=2)?, number(d, 2..=2)?)
}

fn plain(text: &str, style: DateStyle) -> Option<NaiveDate> {
    if let Some(date) = iso(text) {
        return Some(date);
    }
    let free = |separator: char| {
        let parts: Vec<&str> = text.split(separator).collect();
        let &[first, second, third] = &parts[..] else { return None };
        let (y, m, d) = match style {
            DateStyle::Iso => return None,
            DateStyle::Ymd => (first, second, third),
            DateStyle::Dmy => (third, second, first),
            DateStyle::Mdy => (third, first, second),
        };
        day(number(y, 4..=4)?, number(m, 1..=2)?, number(d, 1..=2)?)
    };
    ['-', '/', '.'].into_iter().find_map(free)
}

/// RFC 3339 as its grammar has it, in milliseconds since 1970.
fn instant(text: &str) -> Option<i64> {
    // The instant must be in the years 1 to 9999, its text need not: a leap second, or an hour elsewhere, can be in the next.
    let (date, rest) = (any_iso(text.get(..10)?)?, &text[10..]);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let clock: Vec<&str> = rest.get(..8)?.split(':').collect();
    let &[h, m, s] = &clock[..] else { return None };
    let (h, m, s) = (number(h, 2..=2)?, number(m, 2..=2)?, number(s, 2..=2)?);
    let mut rest = &rest[8..];
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.chars().take_while(char::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        ms = format!("{:0<3}", &fraction[..digits]).get(..3)?.parse().ok()?;
        rest = &fraction[digits..];
    }
    let ahead = match rest {
        "Z" | "z" => 0,
        _ => {
            let (h, m) = rest.get(1..)?.split_once(':')?;
            let (h, m) = (number(h, 2..=2)?, number(m, 2..=2)?);
            let minutes = i64::from(h * 60 + m);
            match rest.as_bytes()[0] {
                _ if h > 23 || m > 59 => return None,
                b'+' => minutes,
                b'-' => -minutes,
                _ => return None,
            }
        }
    };
    // A leap second belongs to the next minute, as far as milliseconds since 1970 know it.
    if h > 23 || m > 59 || s > 60 {
        return None;
    }
    let days = i64::from(date.num_days_from_ce() - 719_163);
    let seconds = days * 86_400 + i64::from(h * 3600 + m * 60 + s) - ahead * 60;
    Some(seconds * 1000 + ms)
}

fn told(date: Option<Date>) -> Option<(i32, u32, u32)> {
    date.map(|date| {
        let (y, m, d) = date.year_month_day();
        (y.into(), m.into(), d.into())
    })
}

fn check_day(date: Date, zone: &TimeZone, count: u32) {
    let text = date.to_string();
    assert_eq!(Date::parse(&text), Some(date));
    assert_eq!(Date::from_days(date.days()), Some(date));
    assert_eq!(Date::from_ordinal(date.ordinal()), Some(date));
    let civil = iso(&text).expect("it is a day");
    assert_eq!(date.month_length(), civil.num_days_in_month());
    let start = zone.start_of_day(date);
    assert_eq!(start, DayStarts::default().start_of(zone, date));
    assert!(start <= zone.end_of_day(date) || zone.day_of(start) != date, "{date} in {zone:?}");
    // A day that the zone left out begins with the next one; the first and the last of all may reach beyond the years.
    assert!(zone.day_of(start) >= date || start == Timestamp::MAX, "{date} in {zone:?}");
    if let Some(before) = Timestamp::from_millis(start.millis() - 1).filter(|_| start != Timestamp::MAX) {
        // There is no day before the first.
        assert!(zone.day_of(before) < date || date == Date::MIN, "{date} in {zone:?}");
    }
    let later = |days: u32| {
        let later = civil.checked_add_days(chrono::Days::new(days.into())).filter(|later| later.year() < 10_000);
        later.map(|later| (later.year(), later.month(), later.day()))
    };
    assert_eq!(told(i32::try_from(count).ok().and_then(|count| date.add_days(count))), later(count));
    // The day from which it counts is the first one.
    assert_eq!(told(add_days(date, count)), count.checked_sub(1).and_then(later));
    assert_eq!(told(add_months(date, count)), months_later(civil, count), "{date} and {count} months");
}

/// The last of so many months of which this day is the first.
fn months_later(civil: NaiveDate, count: u32) -> Option<(i32, u32, u32)> {
    let months = chrono::Months::new(Some(count).filter(|&count| count > 0)?);
    let reached = civil.checked_add_months(months).filter(|reached| reached.year() < 10_000)?;
    let length = |date: NaiveDate| u32::from(date.num_days_in_month());
    let is_last = civil.day() == length(civil) || reached.day() < civil.day();
    let last = if is_last { reached.with_day(length(reached))? } else { reached.pred_opt()? };
    Some((last.year(), last.month(), last.day()))
}

pub fn check(input: &[u8]) {
    const ZONES: [&str; 8] = [
        "UTC",
        "Europe/Vilnius",
        "America/New_York",
        "Pacific/Apia",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Antarctica/Troll",
        "America/St_Johns",
    ];
    let Some((&[style, zone, a, b, c], text)) = input.split_first_chunk::<5>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let style = DateStyle::ALL[usize::from(style) % 4];
    let zone = TimeZone::new(ZONES[usize::from(zone) % 8]).expect("it is bundled");
    let number = u32::from_le_bytes([a, b, c, 0]);
    let date = style.parse(text);
    let civil = plain(text, style).map(|date| (date.year(), date.month(), date.day()));
    assert_eq!(told(date), civil, "{text:?} as {style:?}");
    let time = Timestamp::parse_rfc3339(text);
    let range = Timestamp::MIN.millis()..=Timestamp::MAX.millis();
    let expected = instant(text).filter(|millis| range.contains(millis));
    assert_eq!(time.map(Timestamp::millis), expected, "{text:?}");
    if let Some(time) = time {
        assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Some(time), "{text:?}");
        let _ = zone.day_of(time);
    }
    let either = style.parse_or_timestamp(text, &zone);
    let trimmed = text.trim();
    let expected = style.parse(trimmed).map(|date| zone.start_of_day(date));
    assert_eq!(either, expected.or_else(|| Timestamp::parse_rfc3339(trimmed)), "{text:?}");
    if let Some(birthday) = Birthday::parse(text, style) {
        let shown = birthday.to_string();
        assert_eq!(Birthday::parse(&shown, style), Some(birthday), "{shown}");
    }
    if let Some(date) = date {
        assert_eq!(Birthday::parse(text, style), Some(Birthday::new(date)));
        check_day(date, &zone, number);
    }
    if let Some(date) = Date::from_ordinal(number) {
        check_day(date, &zone, u32::from(a));
    }
    let _ = parse_new_expiry(text);
    if let Some(zone) = TimeZone::new(text) {
        assert_eq!(TimeZone::new(zone.name()).as_ref(), Some(&zone));
        check_day(date.unwrap_or(Date::MAX), &zone, number);
    }
}
