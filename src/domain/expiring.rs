//! Points by the month in which they expire: what a merchant owes, and until when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{job::Total, lot::DueDay, time::Date};

/// Sums of a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthSums {
    /// Points that can be spent until then.
    pub available: Total,
    /// Promised points.
    pub promised: Total,
}

/// Points of a program that are valid on a day, by the month of their last day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring {
    /// By month, as in `2027-03`.
    pub months: BTreeMap<String, MonthSums>,
    /// Balances without what these months have of them.
    pub permanent: Total,
    /// Points whose last day is over, which wait to be expired: in no other sum.
    pub overdue: MonthSums,
}

impl Expiring {
    /// Of lots by their last days, and the sum of all balances.
    ///
    /// Cost: a step a day.
    pub fn of<'a>(days: impl Iterator<Item = (Date, &'a DueDay)>, balance: i128, today: Date) -> Expiring {
        let mut expiring = Expiring { permanent: Total(balance), ..Expiring::default() };
        for (day, due) in days {
            let sums = if day < today {
                &mut expiring.overdue
            } else {
                let (year, month, _) = day.year_month_day();
                expiring.months.entry(format!("{year:04}-{month:02}")).or_default()
            };
            sums.available += Total(due.available);
            sums.promised += Total(due.promised);
            expiring.permanent += Total(-due.available);
        }
        // A day whose points were all spent is a day of nothing.
        expiring.months.retain(|_, sums| *sums != MonthSums::default());
        expiring
    }
}
