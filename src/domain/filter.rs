//! Whom a bulk operation means: conditions on attributes of customers, all of which must hold.

use serde::{Deserialize, Serialize};

use super::{
    customer::LTV_DECIMALS,
    points::{NumberStyle, parse_amount},
    tier::{TierId, Tiers},
    time::{Date, TimeZone},
};

/// A range of values, both ends included. A missing value is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Within {
    /// The smallest value that it has.
    pub min: i64,
    /// The largest.
    pub max: i64,
}

impl Within {
    /// Whether it has this value.
    #[inline]
    pub fn has(self, value: i64) -> bool {
        self.min <= value && value <= self.max
    }
}

/// The conditions; without any it means everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Balance in the program, in its smallest unit, without points whose last day is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Within>,
    /// LTV, in units of 10^-`LTV_DECIMALS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ltv: Option<Within>,
    /// Number of orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<Within>,
    /// Creation, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Within>,
    /// Numbers of tiers, ascending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<u16>>,
}

/// The attributes of one customer that a filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Balance; 0 without an account.
    pub balance: i64,
    /// LTV, if it is known.
    pub ltv: Option<i64>,
    /// Number of orders, if it is known.
    pub orders: Option<i64>,
    /// Creation, if it is known.
    pub created_at: Option<i64>,
    /// Number of the tier, if there is one.
    pub tier: Option<u16>,
}

impl Filter {
    /// Whether it means a customer with these: the plain twin of the scan over packed pages.
    pub fn has(&self, customer: &Attributes) -> bool {
        let holds = |within: Option<Within>, value: Option<i64>| {
            within.is_none_or(|within| value.is_some_and(|value| within.has(value)))
        };
        holds(self.balance, Some(customer.balance))
            && holds(self.ltv, customer.ltv)
            && holds(self.orders, customer.orders)
            && holds(self.created_at, customer.created_at)
            && self.tiers.as_ref().is_none_or(|tiers| customer.tier.is_some_and(|tier| tiers.contains(&tier)))
    }

    /// Whether it has no condition.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether it looks at attributes that only a customer with a profile has.
    pub fn has_profile_condition(&self) -> bool {
        self.ltv.is_some() || self.orders.is_some() || self.created_at.is_some() || self.tiers.is_some()
    }
}

/// A filter as a person writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterText {
    /// `MIN..MAX`, in points of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// `MIN..MAX`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ltv: Option<String>,
    /// `MIN..MAX`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<String>,
    /// Created later than on this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_after: Option<Date>,
    /// Created earlier than on this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Date>,
    /// Tiers by name; `gold+` is gold and those above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<String>,
}

/// Why a filter cannot be understood: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterProblem {
    /// Where and what.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl FilterProblem {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> FilterProblem {
        FilterProblem { message: message.into(), hint: hint.into() }
    }
}

/// The largest number of orders that is kept.
const ORDERS_MAX: i64 = u32::MAX as i64 - 1;

impl FilterText {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == FilterText::default()
    }

    /// What it means, in a program with so many decimals, with these tiers, in this zone.
    ///
    /// # Errors
    /// When it cannot be understood, or can mean nobody.
    pub fn filter(&self, decimals: u8, tiers: &Tiers, zone: &TimeZone) -> Result<Filter, FilterProblem> {
        let range = |flag: &str, text: &Option<String>, decimals: u8, least: i64, most: i64| {
            text.as_deref().map(|text| read_range(flag, text, decimals, least, most)).transpose()
        };
        Ok(Filter {
            // The smallest number of all stands for "missing".
            balance: range("--balance", &self.balance, decimals, i64::MIN + 1, i64::MAX)?,
            ltv: range("--ltv", &self.ltv, LTV_DECIMALS, 0, i64::MAX)?,
            orders: range("--orders", &self.orders, 0, 0, ORDERS_MAX)?,
            created_at: self.created(zone)?,
            tiers: if self.tiers.is_empty() { None } else { Some(read_tiers(&self.tiers, tiers)?) },
        })
    }

    fn created(&self, zone: &TimeZone) -> Result<Option<Within>, FilterProblem> {
        if self.created_after.is_none() && self.created_before.is_none() {
            return Ok(None);
        }
        let min = match self.created_after {
            None => i64::MIN + 1,
            Some(day) => match day.add_days(1) {
                Some(next) => zone.start_of_day(next).millis(),
                None => {
                    return Err(FilterProblem::new(
                        format!("`--created-after {day}`: no day comes after it"),
                        "give an earlier day",
                    ));
                }
            },
        };
        let max = self.created_before.map_or(i64::MAX, |day| zone.start_of_day(day).millis() - 1);
        if min > max {
            let text = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
            let (after, before) = (text(self.created_after), text(self.created_before));
            return Err(FilterProblem::new(
                format!("nobody is created after {after} and before {before}: both days are excluded"),
                "give an earlier `--created-after` or a later `--created-before`",
            ));
        }
        Ok(Some(Within { min, max }))
    }
}

/// Reads `MIN..MAX`; one end may be left out, and a number alone is both.
fn read_range(flag: &str, text: &str, decimals: u8, least: i64, most: i64) -> Result<Within, FilterProblem> {
    let form = || "write it as in `300..500`, `300..` or `..500`; both ends are included";
    let end = |end: &str| match end.trim() {
        "" => Ok(None),
        end => parse_amount(end, decimals, NumberStyle::PLAIN)
            .map(Some)
            .map_err(|problem| FilterProblem::new(format!("`{flag} {text}`: `{end}` {}", problem.complaint()), form())),
    };
    let (min, max) = match text.split_once("..") {
        Some((min, max)) => (end(min)?, end(max.strip_prefix('=').unwrap_or(max))?),
        None => {
            let only = end(text)?;
            (only, only)
        }
    };
    if min.is_none() && max.is_none() {
        return Err(FilterProblem::new(format!("`{flag} {text}` says neither a least nor a most"), form()));
    }
    if let (Some(min_given), Some(max_given)) = (min, max)
        && min_given > max_given
    {
        return Err(FilterProblem::new(
            format!("`{flag} {text}`: the least is above the most, so it means nobody"),
            "the smaller number comes first",
        ));
    }
    let within = Within { min: min.unwrap_or(least).max(least), max: max.unwrap_or(most).min(most) };
    if within.min > within.max {
        return Err(FilterProblem::new(format!("`{flag} {text}`: nobody can have that"), form()));
    }
    Ok(within)
}

/// The numbers of tiers that are named.
fn read_tiers(names: &[String], tiers: &Tiers) -> Result<Vec<u16>, FilterProblem> {
    let known = || match tiers.is_declared_mode() {
        true => tiers.declared().iter().filter_map(|&id| tiers.name(id)).collect::<Vec<_>>().join(", "),
        false => tiers.names().join(", "),
    };
    let mut numbers = Vec::new();
    for name in names {
        let name = name.trim();
        // A tier may be called so.
        if let Some(id) = tiers.lookup(name) {
            numbers.push(id.0);
            continue;
        }
        let (named, is_open) = match name.strip_suffix('+') {
            Some(lowest) => (lowest.trim(), true),
            None => (name, false),
        };
        let Some(id) = tiers.lookup(named) else {
            let hint = match known() {
                known if known.is_empty() => "no customer has a tier yet, and the store declares none".to_owned(),
                known => format!("tiers are {known}"),
            };
            return Err(FilterProblem::new(format!("`--tier {name}`: there is no tier `{named}`"), hint));
        };
        if !is_open {
            numbers.push(id.0);
            continue;
        }
        let Some(lowest) = tiers.rank(id) else {
            return Err(FilterProblem::new(
                format!("`--tier {name}`: tiers have no order that says what is above `{named}`"),
                "declare them, lowest first: `tidemill store set --tiers A,B,C`",
            ));
        };
        let above = |id: &&TierId| tiers.rank(**id).is_some_and(|rank| rank >= lowest);
        numbers.extend(tiers.declared().iter().filter(above).map(|id| id.0));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers() -> Tiers {
        Tiers::from_parts(&["old".to_owned()], &["silver", "gold", "platinum"].map(str::to_owned)).unwrap()
    }

    fn read(text: &FilterText) -> Result<Filter, String> {
        let zone = TimeZone::new("Asia/Kolkata").unwrap();
        text.filter(2, &tiers(), &zone).map_err(|problem| format!("{} | {}", problem.message, problem.hint))
    }

    #[test]
    fn ranges_include_both_ends_and_either_may_be_left_out() {
        let cases = [
            ("300..500", Ok((30000, 50000))),
            ("300.50..", Ok((30050, i64::MAX))),
            ("..500", Ok((i64::MIN + 1, 50000))),
            ("-5..-1.25", Ok((-500, -125))),
            ("7", Ok((700, 700))),
            (" 1 .. 2 ", Ok((100, 200))),
            ("0..0", Ok((0, 0))),
            ("..", Err("says neither")),
            ("", Err("says neither")),
            ("5..3", Err("the least is above the most")),
            ("1.234..", Err("`1.234`")),
            ("a..b", Err("`a`")),
            ("1..2..3", Err("`2..3`")),
            ("1,000..", Err("`1,000`")),
        ];
        for (text, expected) in cases {
            let found = read(&FilterText { balance: Some(text.to_owned()), ..FilterText::default() });
            match (&found, expected) {
                (Ok(filter), Ok((min, max))) => assert_eq!(filter.balance, Some(Within { min, max }), "{text}"),
                (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                _ => panic!("{text}: {found:?}"),
            }
        }
        let orders = |text: &str| read(&FilterText { orders: Some(text.to_owned()), ..FilterText::default() });
        assert_eq!(orders("1..").unwrap().orders, Some(Within { min: 1, max: ORDERS_MAX }));
        assert!(orders("..-1").unwrap_err().contains("nobody can have that"));
        assert!(orders("1.5..").is_err());
    }

    #[test]
    fn tiers_are_named_one_by_one_or_from_one_upwards() {
        let t = tiers();
        let number = |name: &str| t.lookup(name).unwrap().0;
        type Case<'a> = (&'a [&'a str], Result<Vec<u16>, &'a str>);
        let cases: [Case<'_>; 7] = [
            (&["Gold"], Ok(vec![number("gold")])),
            (&["gold+"], Ok(vec![number("gold"), number("platinum")])),
            (&["silver", "platinum", "silver"], Ok(vec![number("silver"), number("platinum")])),
            (&["old"], Ok(vec![number("old")])),
            (&["old+"], Err("no order")),
            (&["diamond"], Err("tiers are silver, gold, platinum")),
            (&["diamond+"], Err("no tier `diamond`")),
        ];
        for (names, expected) in cases {
            let text = FilterText { tiers: names.iter().map(|&name| name.to_owned()).collect(), ..Default::default() };
            match (read(&text), expected) {
                (Ok(filter), Ok(mut numbers)) => {
                    numbers.sort_unstable();
                    assert_eq!(filter.tiers, Some(numbers), "{names:?}");
                }
                (Err(message), Err(part)) => assert!(message.contains(part), "{names:?}: {message}"),
                (found, _) => panic!("{names:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn days_of_creation_are_excluded_and_begin_in_the_stores_zone() {
        let day = |text: &str| Date::parse(text);
        let text =
            FilterText { created_after: day("2020-01-01"), created_before: day("2020-01-03"), ..Default::default() };
        let within = read(&text).unwrap().created_at.unwrap();
        // The second of January in Kolkata, which is 5:30 ahead.
        assert_eq!(within.min, 1_577_903_400_000);
        assert_eq!(within.max, 1_577_903_400_000 + 86_400_000 - 1);
        for (after, before) in [("2020-01-01", "2020-01-02"), ("2020-01-02", "2020-01-01")] {
            let text = FilterText { created_after: day(after), created_before: day(before), ..Default::default() };
            assert!(read(&text).unwrap_err().contains("nobody is created after"), "{after} {before}");
        }
    }

    #[test]
    fn a_missing_attribute_matches_no_range_and_no_account_is_a_balance_of_zero() {
        let nobody = Attributes { balance: 0, ltv: None, orders: None, created_at: None, tier: None };
        let any = Some(Within { min: i64::MIN, max: i64::MAX });
        assert!(Filter::default().has(&nobody));
        assert!(Filter { balance: Some(Within { min: 0, max: 0 }), ..Filter::default() }.has(&nobody));
        for filter in [
            Filter { ltv: any, ..Filter::default() },
            Filter { orders: any, ..Filter::default() },
            Filter { created_at: any, ..Filter::default() },
            Filter { tiers: Some(vec![0, 1]), ..Filter::default() },
        ] {
            assert!(!filter.has(&nobody), "{filter:?}");
        }
    }
}
