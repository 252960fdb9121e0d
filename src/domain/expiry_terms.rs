//! How a merchant says which points get another last day: the words of files and flags.

use serde::{Deserialize, Serialize};

use super::{
    expiry::{ExpiryBase, ExpiryDirection, NewExpiry},
    time::Date,
};

/// Which lots a job on expiry means, and where it finds what it does to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpiryProfile {
    /// Lots whose last day is in a range, of the customers whom the file names.
    DateRange {
        /// The first last day that is meant.
        from: Date,
        /// The last one.
        to: Date,
    },
    /// Lots by what they were given for, as each row says.
    Reference,
    /// Lots of one promotion, of the customers whom the file names.
    Promotion {
        /// Its id.
        id: String,
    },
}

impl ExpiryProfile {
    /// The word of the command line.
    pub fn name(&self) -> &'static str {
        match self {
            ExpiryProfile::DateRange { .. } => "date-range",
            ExpiryProfile::Reference => "reference",
            ExpiryProfile::Promotion { .. } => "promotion",
        }
    }

    /// The format of its files.
    pub fn format_name(&self) -> &'static str {
        match self {
            ExpiryProfile::DateRange { .. } => "expiry-date-range",
            ExpiryProfile::Reference => "expiry-reference",
            ExpiryProfile::Promotion { .. } => "expiry-promotion",
        }
    }

    /// From which day a relative expiry counts.
    pub fn base(&self) -> ExpiryBase {
        match self {
            ExpiryProfile::Reference => ExpiryBase::OwnLastDay,
            ExpiryProfile::DateRange { .. } | ExpiryProfile::Promotion { .. } => ExpiryBase::Today,
        }
    }
}

/// What a job on expiry does, besides what its rows say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryTerms {
    /// Which lots.
    pub profile: ExpiryProfile,
    /// Which way last days may move; in the reference profile of rows that do not say it.
    pub change: Option<ExpiryDirection>,
    /// The new last day; in the reference profile of rows that do not say it.
    pub set: Option<NewExpiry>,
    /// Whether promised lots are meant too.
    #[serde(default)]
    pub include_promised: bool,
}

impl ExpiryTerms {
    /// Why they cannot be meant so: what is wrong, and what to do now.
    pub fn contradiction(&self, today: Date) -> Option<(String, &'static str)> {
        let name = self.profile.name();
        match &self.profile {
            ExpiryProfile::DateRange { from, to } if from > to => {
                return Some((
                    format!("the range from {from} to {to} has no day"),
                    "give the earlier day as `--from` and the later one as `--to`",
                ));
            }
            ExpiryProfile::Promotion { id } if id.trim().is_empty() => {
                return Some(("the promotion has no id".to_owned(), "name it: `--promotion ID`"));
            }
            _ => {}
        }
        if self.profile != ExpiryProfile::Reference {
            if self.change.is_none() {
                return Some((
                    format!("the profile `{name}` needs `--change`: whether points expire earlier or later"),
                    "say `--change early` or `--change extended`",
                ));
            }
            if self.set.is_none() {
                return Some((
                    format!("the profile `{name}` needs `--set`: when the points shall expire"),
                    "for example `--set fixed:2030-12-31`, `--set relative:24months` or `--set immediate`",
                ));
            }
        }
        match self.set {
            Some(NewExpiry::Immediate) if self.change == Some(ExpiryDirection::Extended) => Some((
                "`--set immediate` contradicts `--change extended`: points that expire at once are not valid longer"
                    .to_owned(),
                "take `--change early`, or another `--set`",
            )),
            Some(NewExpiry::Fixed(day)) if day <= today => Some((
                format!("the new last day {day} is not after today, {today}"),
                "take a later day, or `--set immediate` for points that shall expire at once",
            )),
            Some(NewExpiry::Days(0) | NewExpiry::Months(0)) => Some((
                "a relative expiry is at least one day or month long".to_owned(),
                "for example `--set relative:30days`",
            )),
            _ => None,
        }
    }
}

/// How a new last day is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryType {
    /// As a day.
    Fixed,
    /// As a number of days or months.
    Relative,
    /// There is none: the points expire at once.
    Immediate,
}

impl ExpiryType {
    /// Reads the words of the vendors' files too: `Relative date expiry`, `FIXED` …
    pub fn parse(text: &str) -> Option<ExpiryType> {
        // Nearly all cells have one of these, which needs no copy.
        for known in [ExpiryType::Fixed, ExpiryType::Relative, ExpiryType::Immediate] {
            if text.eq_ignore_ascii_case(known.word()) {
                return Some(known);
            }
        }
        let letters = letters(text);
        let word = letters.strip_suffix("expiry").unwrap_or(&letters);
        match word {
            "fixed" | "fixeddate" | "date" => Some(ExpiryType::Fixed),
            "relative" | "relativedate" => Some(ExpiryType::Relative),
            "immediate" | "immediately" => Some(ExpiryType::Immediate),
            _ => None,
        }
    }

    /// The word that previews show.
    pub fn word(self) -> &'static str {
        match self {
            ExpiryType::Fixed => "fixed",
            ExpiryType::Relative => "relative",
            ExpiryType::Immediate => "immediate",
        }
    }
}

/// What a relative expiry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryUnit {
    /// Days.
    Days,
    /// Calendar months.
    Months,
}

impl ExpiryUnit {
    /// Reads `days`, `Month` …
    pub fn parse(text: &str) -> Option<ExpiryUnit> {
        for known in [ExpiryUnit::Days, ExpiryUnit::Months] {
            if text.eq_ignore_ascii_case(known.word()) {
                return Some(known);
            }
        }
        match letters(text).as_str() {
            "day" | "days" => Some(ExpiryUnit::Days),
            "month" | "months" => Some(ExpiryUnit::Months),
            _ => None,
        }
    }

    /// The word that previews show.
    pub fn word(self) -> &'static str {
        match self {
            ExpiryUnit::Days => "days",
            ExpiryUnit::Months => "months",
        }
    }

    /// So many of it.
    pub fn times(self, count: u32) -> NewExpiry {
        match self {
            ExpiryUnit::Days => NewExpiry::Days(count),
            ExpiryUnit::Months => NewExpiry::Months(count),
        }
    }
}

/// Reads a new last day as one word: `fixed:2030-12-31`, `relative:24months`, `relative:5 days`, `immediate`.
///
/// # Errors
/// What would be right, in words.
pub fn parse_new_expiry(text: &str) -> Result<NewExpiry, &'static str> {
    const FORMS: &str = "none of `fixed:DATE`, `relative:Ndays`, `relative:Nmonths`, `immediate`";
    let (word, value) = match text.split_once(':') {
        Some((word, value)) => (word, Some(value.trim())),
        None => (text, None),
    };
    match (ExpiryType::parse(word), value) {
        (Some(ExpiryType::Immediate), None) => Ok(NewExpiry::Immediate),
        (Some(ExpiryType::Immediate), Some(_)) => Err("`immediate` takes no value"),
        (Some(ExpiryType::Fixed), Some(value)) => {
            let day = Date::parse(value);
            day.map(NewExpiry::Fixed).ok_or("not a day that exists, written as in `fixed:2030-12-31`")
        }
        (Some(ExpiryType::Relative), Some(value)) => {
            let digits = value.bytes().take_while(u8::is_ascii_digit).count();
            let (count, unit) = value.split_at(digits);
            let count = count.parse::<u32>().ok().filter(|&count| count >= 1);
            let count = count.ok_or("not a whole number from 1, as in `relative:24months`")?;
            let unit = ExpiryUnit::parse(unit).ok_or("neither days nor months, as in `relative:5days`")?;
            Ok(unit.times(count))
        }
        (Some(ExpiryType::Fixed | ExpiryType::Relative), None) | (None, _) => Err(FORMS),
    }
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn new_last_days_are_read_as_one_word() {
        for (text, expected) in [
            ("fixed:2030-12-31", Ok(NewExpiry::Fixed(day("2030-12-31")))),
            ("Fixed: 2030-12-31", Ok(NewExpiry::Fixed(day("2030-12-31")))),
            ("relative:24months", Ok(NewExpiry::Months(24))),
            ("relative:1month", Ok(NewExpiry::Months(1))),
            ("relative:5 days", Ok(NewExpiry::Days(5))),
            ("relative: 1 Day", Ok(NewExpiry::Days(1))),
            ("immediate", Ok(NewExpiry::Immediate)),
            ("Immediate expiry", Ok(NewExpiry::Immediate)),
            ("fixed:2021-09-31", Err("not a day that exists, written as in `fixed:2030-12-31`")),
            ("fixed:31.12.2030", Err("not a day that exists, written as in `fixed:2030-12-31`")),
            ("relative:0days", Err("not a whole number from 1, as in `relative:24months`")),
            ("relative:-5days", Err("not a whole number from 1, as in `relative:24months`")),
            ("relative:1.5months", Err("neither days nor months, as in `relative:5days`")),
            ("relative:5", Err("neither days nor months, as in `relative:5days`")),
            ("relative:5years", Err("neither days nor months, as in `relative:5days`")),
            ("relative:4294967296days", Err("not a whole number from 1, as in `relative:24months`")),
            ("immediate:now", Err("`immediate` takes no value")),
            ("", Err("none of `fixed:DATE`, `relative:Ndays`, `relative:Nmonths`, `immediate`")),
            ("fixed", Err("none of `fixed:DATE`, `relative:Ndays`, `relative:Nmonths`, `immediate`")),
            ("2030-12-31", Err("none of `fixed:DATE`, `relative:Ndays`, `relative:Nmonths`, `immediate`")),
        ] {
            assert_eq!(parse_new_expiry(text), expected, "{text}");
        }
    }

    #[test]
    fn words_of_types_and_units_are_read_as_vendors_write_them() {
        for (text, expected) in [
            ("relative", Some(ExpiryType::Relative)),
            ("Relative date expiry", Some(ExpiryType::Relative)),
            ("FIXED_DATE", Some(ExpiryType::Fixed)),
            ("Fixed date expiry", Some(ExpiryType::Fixed)),
            ("Immediate expiry", Some(ExpiryType::Immediate)),
            ("expiry", None),
            ("soon", None),
        ] {
            assert_eq!(ExpiryType::parse(text), expected, "{text}");
        }
        for (text, expected) in [
            ("months", Some(ExpiryUnit::Months)),
            ("MONTH", Some(ExpiryUnit::Months)),
            (" Days ", Some(ExpiryUnit::Days)),
            ("day", Some(ExpiryUnit::Days)),
            ("weeks", None),
            ("", None),
        ] {
            assert_eq!(ExpiryUnit::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn terms_that_contradict_themselves_are_told_with_what_to_do() {
        let range = ExpiryProfile::DateRange { from: day("2021-08-01"), to: day("2021-08-31") };
        let promotion = ExpiryProfile::Promotion { id: "SPRING".to_owned() };
        let (early, extended) = (Some(ExpiryDirection::Early), Some(ExpiryDirection::Extended));
        let fixed = |text| Some(NewExpiry::Fixed(day(text)));
        let today = day("2021-08-29");
        for (profile, change, set, expected) in [
            (range.clone(), early, Some(NewExpiry::Immediate), None),
            // "If the current date is August 29, 2021, then the fixed date expiry must start from August 30, 2021".
            (range.clone(), extended, fixed("2021-08-30"), None),
            (range.clone(), extended, fixed("2021-08-29"), Some("is not after today")),
            (range.clone(), extended, Some(NewExpiry::Immediate), Some("contradicts `--change extended`")),
            (range.clone(), None, fixed("2021-08-30"), Some("needs `--change`")),
            (range.clone(), early, None, Some("needs `--set`")),
            (range.clone(), early, Some(NewExpiry::Days(0)), Some("at least one day or month")),
            (
                ExpiryProfile::DateRange { from: day("2021-09-01"), to: day("2021-08-31") },
                early,
                fixed("2021-08-30"),
                Some("has no day"),
            ),
            (promotion.clone(), None, Some(NewExpiry::Immediate), Some("needs `--change`")),
            (ExpiryProfile::Promotion { id: " ".to_owned() }, early, Some(NewExpiry::Immediate), Some("has no id")),
            (ExpiryProfile::Reference, None, None, None),
            (ExpiryProfile::Reference, extended, Some(NewExpiry::Immediate), Some("contradicts `--change extended`")),
            (ExpiryProfile::Reference, None, fixed("2021-08-29"), Some("is not after today")),
        ] {
            let terms = ExpiryTerms { profile, change, set, include_promised: false };
            let found = terms.contradiction(today);
            match (&found, expected) {
                (None, None) => {}
                (Some((message, _)), Some(part)) if message.contains(part) => {}
                _ => panic!("{terms:?}: {found:?}, not {expected:?}"),
            }
        }
    }
}
