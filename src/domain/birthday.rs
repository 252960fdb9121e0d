//! A day of birth. Some systems ask for the year, others for month and day only.

use std::fmt;

use super::time::{Date, DateStyle};

/// The year of a birthday whose year nobody knows, as Smile.io's exports have it. A leap year, so that 29 February exists.
const YEAR_UNKNOWN: u16 = 1004;

/// A day of birth, with its year or without: then it is kept in the year 1004, and shown as `--05-27`, as ISO 8601 and
/// vCards write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birthday(Date);

impl Birthday {
    /// The birthday of somebody who was born on this day; of the year 1004, on this month and day of an unknown year.
    pub fn new(date: Date) -> Birthday {
        Birthday(date)
    }

    /// The day that is stored.
    #[inline]
    pub fn date(self) -> Date {
        self.0
    }

    /// Reads a date of this style that exists, or one without its year: `--05-27` in every style, and `05/27` (`27/05`)
    /// where the style says which of the two the month is. Of the year 1004 it is the same birthday.
    #[inline]
    pub fn parse(text: &str, style: DateStyle) -> Option<Birthday> {
        style.parse(text).or_else(|| without_year(text, style)).map(Birthday)
    }
}

/// A month and day, if they exist in some year.
fn without_year(text: &str, style: DateStyle) -> Option<Date> {
    let (month, day) = match (text.strip_prefix("--"), style) {
        (Some(rest), _) => rest.split_once('-').filter(|(month, day)| month.len() == 2 && day.len() == 2)?,
        (None, DateStyle::Iso | DateStyle::Ymd) => return None,
        (None, DateStyle::Mdy) => text.split_once(['/', '-', '.'])?,
        (None, DateStyle::Dmy) => text.split_once(['/', '-', '.']).map(|(day, month)| (month, day))?,
    };
    // `u8` would also read a sign.
    let number = |part: &str| {
        let is_number = part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse().ok() } else { None }
    };
    Date::new(YEAR_UNKNOWN, number(month)?, number(day)?)
}

impl fmt::Display for Birthday {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.year_month_day() {
            (YEAR_UNKNOWN, month, day) => write!(formatter, "--{month:02}-{day:02}"),
            _ => self.0.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birthday_is_a_date_with_or_without_its_year() {
        #[rustfmt::skip]
        let cases = [
            // With its year, as any date of the style.
            ("1990-05-27", Some("1990-05-27"), Some("1990-05-27"), Some("1990-05-27")),
            ("27/05/1990", None, Some("1990-05-27"), None), ("05/27/1990", None, None, Some("1990-05-27")),
            // The year 1004 says that nobody knows the year.
            ("1004-05-27", Some("--05-27"), Some("--05-27"), Some("--05-27")),
            ("1004-02-29", Some("--02-29"), Some("--02-29"), Some("--02-29")),
            ("05/27/1004", None, None, Some("--05-27")), ("1005-05-27", Some("1005-05-27"), Some("1005-05-27"), Some("1005-05-27")),
            ("--05-27", Some("--05-27"), Some("--05-27"), Some("--05-27")), ("--02-29", Some("--02-29"), Some("--02-29"), Some("--02-29")),
            // Month and day alone only where their order is known.
            ("05/27", None, None, Some("--05-27")), ("27/05", None, Some("--05-27"), None), ("27.5", None, Some("--05-27"), None),
            ("5/7", None, Some("--07-05"), Some("--05-07")), ("02/29", None, None, Some("--02-29")), ("05-27", None, None, Some("--05-27")),
            // Days that do not exist, and what is no date.
            ("--02-30", None, None, None), ("--13-01", None, None, None), ("--00-10", None, None, None), ("--05-00", None, None, None),
            ("--5-27", None, None, None), ("--05-27-", None, None, None), ("-05-27", None, None, None), ("---05-27", None, None, None),
            ("--+5-27", None, None, None), ("31/06", None, None, None), ("06/31", None, None, None), ("1990/05", None, None, None),
            ("05/90", None, None, None), ("/", None, None, None), ("--", None, None, None), ("0", None, None, None), ("", None, None, None),
            ("+5/27", None, None, None), ("05/27/", None, None, None), ("05/27/90", None, None, None), ("０5/27", None, None, None),
        ];
        for (cell, iso, dmy, mdy) in cases {
            let read = [DateStyle::Iso, DateStyle::Dmy, DateStyle::Mdy]
                .map(|style| Birthday::parse(cell, style).map(|birthday| birthday.to_string()));
            assert_eq!(read, [iso, dmy, mdy].map(|day| day.map(str::to_owned)), "{cell}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for days in (-400_000..40_000).step_by(7).filter_map(Date::from_days) {
            let birthday = Birthday::new(days);
            for style in DateStyle::ALL {
                assert_eq!(Birthday::parse(&birthday.to_string(), style), Some(birthday));
            }
        }
    }
}
