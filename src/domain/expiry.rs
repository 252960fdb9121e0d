//! When points expire that get another last day, and whether they may.
//!
//! Source of the rules: section 7 of the specification, which settles the worked examples of the vendor's page on points
//! expiry updates.

use serde::{Deserialize, Serialize};

use super::{
    lot::{Expired, Lot},
    rejection::Rejection,
    time::Date,
};

/// Which way a last day may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpiryDirection {
    /// Forward only: points expire earlier than they would.
    Early,
    /// Back only: they are valid longer.
    Extended,
}

impl ExpiryDirection {
    /// Reads the words of the vendors' files too: `Extend_Expiry`, `Early expiry` …
    pub fn parse(text: &str) -> Option<ExpiryDirection> {
        let letters: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let word = letters.strip_suffix("expiry").unwrap_or(&letters);
        match word {
            "early" | "earlier" => Some(ExpiryDirection::Early),
            "extended" | "extend" | "extension" | "later" => Some(ExpiryDirection::Extended),
            _ => None,
        }
    }

    /// Which way a last day was moved.
    pub fn of(before: Option<Date>, after: Option<Date>) -> ExpiryDirection {
        let day = |day: Option<Date>| day.unwrap_or(Date::MAX);
        if day(after) < day(before) { ExpiryDirection::Early } else { ExpiryDirection::Extended }
    }

    /// The word that histories and exports show.
    pub fn word(self) -> &'static str {
        match self {
            ExpiryDirection::Early => "early",
            ExpiryDirection::Extended => "extended",
        }
    }
}

/// The last day that points get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewExpiry {
    /// This day.
    Fixed(Date),
    /// So many days from a base, which is the first of them.
    Days(u32),
    /// So many calendar months from a base.
    Months(u32),
    /// None at all: they expire at once.
    Immediate,
}

/// From which day a relative expiry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryBase {
    /// The job's day.
    Today,
    /// The lot's own last day; the job's for one that has none, and for those that shall expire early.
    OwnLastDay,
}

/// Which of a customer's lots get another last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LotSelector {
    /// Those whose last day is in this range, both ends included; no permanent ones.
    LastDay(Date, Date),
    /// Those with this reference type, and this id if it is given; without both all there are. Hashes of
    /// [`super::reference::reference_hash`]; 0: not given.
    Reference {
        /// Of the type.
        ref_type: u64,
        /// Of the id.
        ref_id: u64,
    },
    /// Those of this promotion.
    Promotion(u64),
}

/// What an expiry update asks for, of one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryUpdate {
    /// Which lots.
    pub selector: LotSelector,
    /// Which way their last day may move.
    pub direction: ExpiryDirection,
    /// The new last day.
    pub new: NewExpiry,
    /// From where a relative one counts.
    pub base: ExpiryBase,
    /// Whether promised lots are meant too.
    pub include_promised: bool,
}

/// What became of the lots that an expiry update means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpiryChanged {
    /// Lots that have another last day now.
    pub lots_moved: u32,
    /// What remains of them.
    pub points_moved: i64,
    /// Lots that expired at once.
    pub lots_expired: u32,
    /// What expired at once.
    pub expired_now: Expired,
    /// Lots that would not have expired earlier.
    pub not_earlier: u32,
    /// Lots that would not have expired later.
    pub not_later: u32,
    /// Lots whose new last day would be beyond the year 9999.
    pub out_of_range: u32,
    /// Promised lots that were left alone, as they are not meant.
    pub promised_left: u32,
    /// What was over, and expired before anything else happened.
    pub overdue: Expired,
}

impl LotSelector {
    /// Whether it means a lot.
    #[inline]
    pub fn means(self, lot: &Lot) -> bool {
        match self {
            LotSelector::LastDay(from, to) => lot.expires_on.is_some_and(|day| from <= day && day <= to),
            LotSelector::Reference { ref_type, ref_id } => {
                (ref_type == 0 || lot.reference.ref_type == ref_type) && (ref_id == 0 || lot.reference.ref_id == ref_id)
            }
            LotSelector::Promotion(promotion_id) => lot.reference.promotion_id == promotion_id,
        }
    }

    /// Whether it means all lots there are, plain points too.
    pub fn means_all(self) -> bool {
        self == LotSelector::Reference { ref_type: 0, ref_id: 0 }
    }
}

impl ExpiryChanged {
    /// Counts what a lot is refused for; whether it is changed.
    pub fn plan(&mut self, outcome: ExpiryOutcome) -> bool {
        match outcome {
            ExpiryOutcome::Moves(_) | ExpiryOutcome::Expires => return true,
            ExpiryOutcome::Stays(Rejection::ExpiryNotEarlier) => self.not_earlier += 1,
            ExpiryOutcome::Stays(Rejection::ExpiryNotLater) => self.not_later += 1,
            ExpiryOutcome::Stays(_) => self.out_of_range += 1,
        }
        false
    }

    /// Lots that were changed.
    pub fn lots_changed(&self) -> u32 {
        self.lots_moved + self.lots_expired
    }

    /// Why the row is rejected: every lot that it means was refused; none if one was changed, or none is meant.
    pub fn rejection(&self) -> Option<Rejection> {
        match self {
            _ if self.lots_changed() > 0 => None,
            ExpiryChanged { not_earlier: 1.., .. } => Some(Rejection::ExpiryNotEarlier),
            ExpiryChanged { not_later: 1.., .. } => Some(Rejection::ExpiryNotLater),
            ExpiryChanged { out_of_range: 1.., .. } => Some(Rejection::ExpiryInvalid),
            _ => None,
        }
    }
}

/// What becomes of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryOutcome {
    /// Its last day becomes this one.
    Moves(Date),
    /// It expires at once.
    Expires,
    /// It stays as it is, for this reason.
    Stays(Rejection),
}

/// The last of `days` days from a base that is the first of them; none beyond the year 9999, or of no days.
pub fn add_days(base: Date, days: u32) -> Option<Date> {
    base.add_days(i32::try_from(days).ok()?.checked_sub(1).filter(|days| *days >= 0)?)
}

/// The last day of so many calendar months from a base: the target month's last day if the base is the last day of its month
/// or the target month is too short for its day, otherwise the day before the same day of the month. None beyond the year
/// 9999, or of no months.
pub fn add_months(base: Date, months: u32) -> Option<Date> {
    if months == 0 {
        return None;
    }
    let (year, month, day) = base.year_month_day();
    let count = u32::from(year) * 12 + u32::from(month) - 1;
    let target = count.checked_add(months)?;
    let (year, month) = (u16::try_from(target / 12).ok()?, (target % 12 + 1) as u8);
    let last = Date::new(year, month, 1)?.month_length();
    if day == base.month_length() || day > last {
        return Date::new(year, month, last);
    }
    Date::new(year, month, day)?.add_days(-1)
}

impl NewExpiry {
    /// What becomes of a lot with this last day, if its job's day is `today`. Pure.
    ///
    /// `early` must bring the last day forward and `extended` must push it back, strictly; points without one are later than
    /// all others.
    pub fn outcome(
        self,
        direction: ExpiryDirection,
        base: ExpiryBase,
        last_day: Option<Date>,
        today: Date,
    ) -> ExpiryOutcome {
        let from = match (base, direction, last_day) {
            (ExpiryBase::OwnLastDay, ExpiryDirection::Extended, Some(day)) => day,
            _ => today,
        };
        let day = match self {
            NewExpiry::Immediate => {
                return match direction {
                    ExpiryDirection::Early => ExpiryOutcome::Expires,
                    ExpiryDirection::Extended => ExpiryOutcome::Stays(Rejection::ExpiryNotLater),
                };
            }
            NewExpiry::Fixed(day) => Some(day),
            NewExpiry::Days(days) => add_days(from, days),
            NewExpiry::Months(months) => add_months(from, months),
        };
        let Some(day) = day else { return ExpiryOutcome::Stays(Rejection::ExpiryInvalid) };
        match (direction, last_day) {
            (ExpiryDirection::Early, Some(last)) if day >= last => ExpiryOutcome::Stays(Rejection::ExpiryNotEarlier),
            (ExpiryDirection::Extended, None) => ExpiryOutcome::Stays(Rejection::ExpiryNotLater),
            (ExpiryDirection::Extended, Some(last)) if day <= last => ExpiryOutcome::Stays(Rejection::ExpiryNotLater),
            _ => ExpiryOutcome::Moves(day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap_or_else(|| panic!("{text} is no day"))
    }

    /// The six test cases of the specification, each with the place of the source page that it settles, and days around the
    /// ends of months and leap days.
    #[test]
    fn days_and_months_are_counted_as_the_source_page_does() {
        let days = [
            // "If the current date is July 29, 2021(today) and you set the expiry count to 5 days then … August 02, 2021."
            ("2021-07-29", 5, "2021-08-02"),
            // Use case 2: "2021-08-31 … September 09, 2021 (Points expiring after 10 days from actual point expiry date)".
            ("2021-08-31", 10, "2021-09-09"),
            ("2021-08-31", 1, "2021-08-31"),
            ("2024-02-28", 2, "2024-02-29"),
            ("2023-02-28", 2, "2023-03-01"),
        ];
        for (base, count, last) in days {
            assert_eq!(add_days(day(base), count), Some(day(last)), "{base} + {count} days");
        }
        let months = [
            // "Extended point expiry date: July 31, 2023 (24 months from current date)", August 01, 2021.
            ("2021-08-01", 24, "2023-07-31"),
            // "Actual point expiry date: July 31, 2022 (12 months from current date)".
            ("2021-08-01", 12, "2022-07-31"),
            // The same extension from the lot's own last day.
            ("2022-07-31", 12, "2023-07-31"),
            // Use case 1: "October 31, 2021 (After 2 months from incorrect point expiry date)", which is no day: the last of
            // August is what it must mean.
            ("2021-08-31", 2, "2021-10-31"),
            ("2021-01-31", 1, "2021-02-28"),
            ("2024-01-31", 1, "2024-02-29"),
            ("2023-01-29", 1, "2023-02-28"),
            ("2024-01-29", 1, "2024-02-28"),
            ("2024-01-30", 1, "2024-02-29"),
            ("2023-01-28", 1, "2023-02-27"),
            ("2024-02-29", 12, "2025-02-28"),
            ("2023-02-28", 12, "2024-02-29"),
            ("2021-12-15", 1, "2022-01-14"),
            ("2021-03-01", 1, "2021-03-31"),
        ];
        for (base, count, last) in months {
            assert_eq!(add_months(day(base), count), Some(day(last)), "{base} + {count} months");
        }
        assert_eq!((add_days(day("2021-08-01"), 0), add_months(day("2021-08-01"), 0)), (None, None));
        assert_eq!(add_months(day("9999-12-01"), 1), None);
        assert_eq!((add_days(Date::MAX, u32::MAX), add_months(Date::MAX, u32::MAX)), (None, None));
        // The source page's "September 31, 2021" is no day.
        assert_eq!(Date::parse("2021-09-31"), None);
    }

    #[test]
    fn a_last_day_moves_the_stated_way_or_not_at_all() {
        use ExpiryBase::{OwnLastDay, Today};
        use ExpiryDirection::{Early, Extended};
        let fixed = |text| NewExpiry::Fixed(day(text));
        let today = "2021-08-01";
        let cases = [
            (fixed("2021-08-31"), Early, Today, Some("2021-09-30"), "2021-08-31"),
            (fixed("2021-09-30"), Early, Today, Some("2021-09-30"), "expiry_not_earlier"),
            (fixed("2021-10-01"), Early, Today, Some("2021-09-30"), "expiry_not_earlier"),
            (fixed("2021-10-01"), Early, Today, None, "2021-10-01"),
            (fixed("2021-10-01"), Extended, Today, Some("2021-09-30"), "2021-10-01"),
            (fixed("2021-09-30"), Extended, Today, Some("2021-09-30"), "expiry_not_later"),
            (fixed("2021-10-01"), Extended, Today, None, "expiry_not_later"),
            (NewExpiry::Months(24), Extended, Today, Some("2022-07-31"), "2023-07-31"),
            (NewExpiry::Months(2), Extended, OwnLastDay, Some("2021-08-31"), "2021-10-31"),
            (NewExpiry::Days(10), Extended, OwnLastDay, Some("2021-08-31"), "2021-09-09"),
            (NewExpiry::Days(1), Extended, OwnLastDay, Some("2021-08-31"), "expiry_not_later"),
            // Early counts from today, whatever the base; so do points that have no last day.
            (NewExpiry::Days(10), Early, OwnLastDay, Some("2021-08-31"), "2021-08-10"),
            (NewExpiry::Months(1), Early, OwnLastDay, None, "2021-08-31"),
            (NewExpiry::Months(1), Extended, OwnLastDay, None, "expiry_not_later"),
            (NewExpiry::Immediate, Early, Today, Some("2021-08-31"), "at once"),
            (NewExpiry::Immediate, Early, OwnLastDay, None, "at once"),
            (NewExpiry::Immediate, Extended, Today, Some("2021-08-31"), "expiry_not_later"),
            (NewExpiry::Months(u32::MAX), Extended, Today, Some("2021-08-31"), "expiry_invalid"),
        ];
        for (new, direction, base, last_day, expected) in cases {
            let found = match new.outcome(direction, base, last_day.map(day), day(today)) {
                ExpiryOutcome::Moves(day) => day.to_string(),
                ExpiryOutcome::Expires => "at once".to_owned(),
                ExpiryOutcome::Stays(rejection) => rejection.code().to_owned(),
            };
            assert_eq!(found, expected, "{new:?} {direction:?} {base:?} {last_day:?}");
        }
    }

    #[test]
    fn directions_are_read_in_the_words_of_vendors() {
        for word in ["extended", "Extend_Expiry", "Extended expiry", "EXTENDED_EXPIRY", " extend "] {
            assert_eq!(ExpiryDirection::parse(word), Some(ExpiryDirection::Extended), "{word}");
        }
        for word in ["early", "Early expiry", "EARLY_EXPIRY", "Early-Expiry"] {
            assert_eq!(ExpiryDirection::parse(word), Some(ExpiryDirection::Early), "{word}");
        }
        for word in ["", "expiry", "soon", "ext"] {
            assert_eq!(ExpiryDirection::parse(word), None, "{word}");
        }
    }
}
