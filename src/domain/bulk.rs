//! How much a bulk operation gives or takes of each customer.

use serde::{Deserialize, Serialize};

use super::{
    command::{LotTerms, Operation, ResolvedCommand},
    customer::LTV_DECIMALS,
    expiry::LotSelector,
    time::Date,
};

/// Decimals that a rate has at most.
const RATE_DECIMALS_MAX: u8 = 9;
/// Digits that a rate has at most: with those of an LTV they fit into 128 bits.
const RATE_DIGITS_MAX: usize = 18;

/// Points for each unit of LTV: an exact decimal above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    digits: u64,
    decimals: u8,
}

impl Rate {
    /// Reads it; none for what is no number above zero of at most 9 decimals and 18 digits.
    pub fn parse(text: &str) -> Option<Rate> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || (fraction.is_empty() && text.contains('.'))
        {
            return None;
        }
        let decimals = u8::try_from(fraction.len()).ok().filter(|&decimals| decimals <= RATE_DECIMALS_MAX)?;
        let digits = format!("{}{fraction}", whole.trim_start_matches('0'));
        let digits = (digits.len() <= RATE_DIGITS_MAX).then(|| digits.parse::<u64>().ok()).flatten()?;
        (digits > 0).then_some(Rate { digits, decimals })
    }

    /// The floor of an LTV times the rate, in the smallest unit of a program with so many decimals; none: it does not fit.
    pub fn of(self, ltv: i64, decimals: u8) -> Option<i64> {
        let product = i128::from(ltv).checked_mul(i128::from(self.digits))?;
        let (given, wanted) = (u32::from(LTV_DECIMALS + self.decimals), u32::from(decimals));
        let points = match given.checked_sub(wanted) {
            Some(surplus) => product.div_euclid(10_i128.pow(surplus)),
            None => product.checked_mul(10_i128.pow(wanted - given))?,
        };
        i64::try_from(points).ok()
    }
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkAmount {
    /// The same for everybody, in the program's smallest unit.
    Fixed(i64),
    /// For each unit of LTV.
    PerLtv(Rate),
    /// For each order.
    PerOrder(i64),
}

impl BulkAmount {
    /// How much of a customer with these: nothing without the attribute that it depends on; none: it does not fit into 64
    /// bits.
    #[inline]
    pub fn of(self, ltv: Option<i64>, orders: Option<i64>, decimals: u8) -> Option<i64> {
        match self {
            BulkAmount::Fixed(amount) => Some(amount),
            BulkAmount::PerLtv(rate) => ltv.map_or(Some(0), |ltv| rate.of(ltv, decimals)),
            BulkAmount::PerOrder(amount) => orders.map_or(Some(0), |orders| amount.checked_mul(orders)),
        }
    }

    /// The amount that all have; none if it differs.
    pub fn fixed(self) -> Option<i64> {
        match self {
            BulkAmount::Fixed(amount) => Some(amount),
            BulkAmount::PerLtv(_) | BulkAmount::PerOrder(_) => None,
        }
    }
}

/// What is done to each account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkCommand {
    /// What to do.
    pub operation: Operation,
    /// With how much.
    pub amount: BulkAmount,
    /// Last day of points that are added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<Date>,
    /// Which promised lots become available instead; operation and amount say nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converts: Option<LotSelector>,
}

impl BulkCommand {
    /// The command for one account.
    #[inline]
    pub fn with(&self, amount: i64) -> ResolvedCommand {
        let terms = LotTerms { expires_on: self.expires_on, ..LotTerms::default() };
        ResolvedCommand { operation: self.operation, amount, terms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_an_exact_decimal_above_zero() {
        for (text, ltv, decimals, points) in [
            // The example of the specification: 5,000 points for an LTV of 5,000.
            ("1", 50_000_000, 0, Some(5000)),
            ("1", 50_000_000, 2, Some(500_000)),
            ("0.1", 19_9999, 0, Some(1)),
            ("0.333333333", 30_000, 0, Some(0)),
            ("0.333333334", 30_000, 0, Some(1)),
            ("1.5", 10_001, 4, Some(15_001)),
            ("007.50", 20_000, 0, Some(15)),
            ("999999999", i64::MAX, 4, None),
            ("999999999999999999", i64::MAX, 4, None),
            ("1", i64::MAX, 4, Some(i64::MAX)),
        ] {
            assert_eq!(Rate::parse(text).unwrap().of(ltv, decimals), points, "{text} of {ltv}");
        }
        for wrong in ["", "0", "0.0", "-1", "+1", "1.", ".5", "1e3", "1,5", "0.0000000001", "1000000000000000000", "x"]
        {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_lacks_the_attribute_gets_nothing() {
        let per_ltv = BulkAmount::PerLtv(Rate::parse("2").unwrap());
        assert_eq!(per_ltv.of(None, Some(7), 0), Some(0));
        assert_eq!(per_ltv.of(Some(15_000), None, 0), Some(3));
        assert_eq!(BulkAmount::PerOrder(5).of(Some(1), None, 0), Some(0));
        assert_eq!(BulkAmount::PerOrder(5).of(None, Some(7), 0), Some(35));
        assert_eq!(BulkAmount::PerOrder(i64::MAX).of(None, Some(2), 0), None);
        assert_eq!(BulkAmount::Fixed(5).of(None, None, 0), Some(5));
    }
}
