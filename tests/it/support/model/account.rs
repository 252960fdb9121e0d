//! An account: its lots, as a list, and what it owes. What a command does to one.

use super::{
    calendar::{Day, Moment},
    cells::Code,
    points::OnOverdraft,
};

/// Points credited together. An account's permanent points without reference are one lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Number of the entry that credited or promised it; of the permanent points without reference, of the first one.
    pub entry: u64,
    pub remaining: i128,
    pub is_promised: bool,
    /// The last day; none: permanent.
    pub expires_on: Option<Day>,
    /// Type, id, promotion.
    pub reference: [String; 3],
    pub credited_at: Moment,
}

impl Lot {
    /// Whether these are the account's permanent points without reference.
    pub fn is_plain(&self) -> bool {
        !self.is_promised && self.expires_on.is_none() && self.reference.iter().all(String::is_empty)
    }

    /// Whether its last day is over.
    pub fn is_over(&self, today: Day) -> bool {
        self.expires_on.is_some_and(|last| last < today)
    }
}

/// A customer's points in one program. What it owes and what it has exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Those that are not used up, in the order in which they came.
    pub lots: Vec<Lot>,
    /// What was taken beyond the balance and not paid back yet.
    pub overdraft: i128,
}

/// What to do with how many points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Credit(i64),
    Debit(i64),
    Set(i64),
    Promise(i64),
}

/// What is said of points that are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub expires_on: Option<Day>,
    /// None: at the job's `now`.
    pub credited_at: Option<Moment>,
    pub reference: [String; 3],
}

/// What a command did: what moved, if anything, and what a clamped debit left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Kind of the entry and its signed amount.
    pub moved: Option<(&'static str, i64)>,
    pub not_taken: i64,
}

impl Account {
    /// Available points less the overdraft.
    pub fn balance(&self) -> i128 {
        self.available() - self.overdraft
    }

    /// The lot of an entry, if there is some of it left in this state.
    pub fn lot(&self, entry: u64, is_promised: bool) -> Option<&Lot> {
        self.lots.iter().find(|lot| !lot.is_plain() && (lot.entry, lot.is_promised) == (entry, is_promised))
    }

    /// The permanent points without reference.
    pub fn plain(&self) -> i128 {
        self.lots.iter().filter(|lot| lot.is_plain()).map(|lot| lot.remaining).sum()
    }

    /// Takes points of a lot that has them, or of the plain points.
    pub fn take_of(&mut self, lot: Option<u64>, points: i128) {
        let is_it = |held: &&mut Lot| lot.map_or(held.is_plain(), |lot| !held.is_plain() && held.entry == lot);
        if let Some(held) = self.lots.iter_mut().find(is_it) {
            held.remaining -= points;
        }
        self.lots.retain(|lot| lot.remaining > 0);
    }

    /// Puts points back: what pays an overdraft, the rest into a lot, or to the plain points, which may be new ones.
    pub fn put_back(&mut self, lot: Option<&Lot>, points: i128, entry: u64) {
        let is_promised = lot.is_some_and(|lot| lot.is_promised);
        let paid = if is_promised { 0 } else { points.min(self.overdraft) };
        self.overdraft -= paid;
        let remaining = points - paid;
        match lot.and_then(|lot| self.lots.iter_mut().find(|held| !held.is_plain() && held.entry == lot.entry)) {
            Some(held) => held.remaining += remaining,
            None => {
                let plain = Lot {
                    entry,
                    remaining,
                    is_promised: false,
                    expires_on: None,
                    reference: Default::default(),
                    credited_at: 0,
                };
                self.add(lot.map_or(plain, |lot| Lot { remaining, ..lot.clone() }));
            }
        }
    }

    fn available(&self) -> i128 {
        self.lots.iter().filter(|lot| !lot.is_promised).map(|lot| lot.remaining).sum()
    }

    /// Points that are promised.
    pub fn promised(&self) -> i128 {
        self.lots.iter().filter(|lot| lot.is_promised).map(|lot| lot.remaining).sum()
    }

    /// The lots in the order in which debits take them and expiry ends them: the one that ends first, then the oldest; the
    /// permanent ones last, and of these the plain points.
    pub fn in_order(&self) -> Vec<Lot> {
        let mut lots = self.lots.clone();
        lots.sort_by_key(|lot| (lot.expires_on.unwrap_or(Day::MAX), lot.is_plain(), lot.credited_at, lot.entry));
        lots
    }

    /// The account without what is over on a day.
    pub fn valid_on(&self, today: Day) -> Account {
        let lots = self.lots.iter().filter(|lot| !lot.is_over(today)).cloned().collect();
        Account { lots, overdraft: self.overdraft }
    }

    /// What of it is over on a day, in order.
    pub fn over_on(&self, today: Day) -> Vec<Lot> {
        self.in_order().into_iter().filter(|lot| lot.is_over(today)).collect()
    }

    /// Does what is wanted, at a moment, by an entry with this number; or refuses, whatever the account is then.
    pub fn apply(
        &mut self,
        wanted: Wanted,
        terms: &Terms,
        on_overdraft: OnOverdraft,
        now: Moment,
        entry: u64,
    ) -> Result<Effect, Code> {
        let (kind, amount, not_taken) = match wanted {
            Wanted::Credit(points) => ("credit", i128::from(points), 0),
            Wanted::Promise(points) => ("promise", i128::from(points), 0),
            Wanted::Set(points) => ("reset", i128::from(points) - self.balance(), 0),
            Wanted::Debit(points) => {
                let (points, available) = (i128::from(points), self.available());
                let beyond = (points - available).max(0);
                match on_overdraft {
                    OnOverdraft::Reject if beyond > 0 => return Err("insufficient_balance"),
                    OnOverdraft::Clamp => ("debit", beyond - points, beyond),
                    OnOverdraft::Reject | OnOverdraft::Allow => ("debit", -points, 0),
                }
            }
        };
        let lot = |remaining, is_promised| Lot {
            entry,
            remaining,
            is_promised,
            expires_on: terms.expires_on,
            reference: terms.reference.clone(),
            credited_at: terms.credited_at.unwrap_or(now),
        };
        match wanted {
            Wanted::Promise(_) => self.add(lot(amount, true)),
            _ if amount > 0 => {
                let paid_back = amount.min(self.overdraft);
                self.overdraft -= paid_back;
                self.add(lot(amount - paid_back, false));
            }
            _ => self.take(-amount),
        }
        let fits = |points: i128| i64::try_from(points).ok().filter(|&points| points != i64::MIN);
        let amount = fits(amount).ok_or("balance_overflow")?;
        fits(self.balance()).and(fits(self.promised())).ok_or("balance_overflow")?;
        let not_taken = i64::try_from(not_taken).expect("a part of what was wanted");
        Ok(Effect { moved: (amount != 0).then_some((kind, amount)), not_taken })
    }

    pub fn add(&mut self, lot: Lot) {
        let plain = self.lots.iter_mut().find(|held| held.is_plain() && lot.is_plain());
        match plain {
            _ if lot.remaining == 0 => {}
            Some(plain) => plain.remaining += lot.remaining,
            None => self.lots.push(lot),
        }
    }

    /// Takes points in the order of debits, and owes what is not there.
    pub fn take(&mut self, points: i128) {
        let mut left = points;
        for next in self.in_order().iter().filter(|lot| !lot.is_promised) {
            let lot = self.lots.iter_mut().find(|lot| *lot == next).expect("it is one of ours");
            let taken = lot.remaining.min(left);
            lot.remaining -= taken;
            left -= taken;
        }
        self.lots.retain(|lot| lot.remaining > 0);
        self.overdraft += left;
    }
}

mod tests {
    use super::*;

    const MAX: i64 = i64::MAX;

    /// An account that was given points, as `amount`, `amount until day`, `amount for reference` or `amount promised`.
    fn account(lots: &[&str]) -> Account {
        let mut account = Account::default();
        for (text, entry) in lots.iter().zip(1..) {
            let words: Vec<&str> = text.split(' ').collect();
            let points = words[0].parse().expect("points");
            let mut terms = Terms::default();
            match words[1..] {
                ["until", day] => terms.expires_on = day.parse().ok(),
                ["for", reference] => terms.reference[1] = reference.to_owned(),
                _ => {}
            }
            let is_promise = words.last() == Some(&"promised");
            let wanted = if is_promise { Wanted::Promise(points) } else { Wanted::Credit(points) };
            account.apply(wanted, &terms, OnOverdraft::Reject, 0, entry).expect("it fits");
        }
        account
    }

    /// What an account holds, in order, each lot by the number of its entry.
    fn shown(account: &Account) -> String {
        let lots = account.in_order().into_iter().map(|lot| format!("{}:{}", lot.entry, lot.remaining));
        let owed = (account.overdraft > 0).then(|| format!("-{}", account.overdraft));
        lots.chain(owed).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_debit_takes_what_ends_first_then_what_is_oldest_and_plain_points_last() {
        use OnOverdraft::{Allow, Clamp, Reject};
        let lots = ["5", "10 until 9", "20 for order", "30 until 8", "40 promised", "50 until 9", "6"];
        for (points, policy, expected) in [
            (29, Reject, "4:1 2:10 6:50 3:20 5:40 1:11"),
            (35, Reject, "2:5 6:50 3:20 5:40 1:11"),
            (95, Reject, "3:15 5:40 1:11"),
            (115, Reject, "5:40 1:6"),
            (121, Reject, "5:40"),
            (122, Clamp, "5:40"),
            (125, Allow, "5:40 -4"),
        ] {
            let mut account = account(&lots);
            assert!(account.apply(Wanted::Debit(points), &Terms::default(), policy, 0, 9).is_ok());
            assert_eq!(shown(&account), expected, "{points}");
        }
        let mut account = account(&lots);
        let debit = account.apply(Wanted::Debit(122), &Terms::default(), Reject, 0, 9);
        assert_eq!(debit, Err("insufficient_balance"));
    }

    #[test]
    fn a_lot_holds_what_is_left_of_a_credit() {
        let dated = Terms { expires_on: Some(7), ..Terms::default() };
        for (owed, wanted, expected) in [
            (30, Wanted::Credit(50), "9:20"),
            (30, Wanted::Credit(30), ""),
            (30, Wanted::Credit(10), "-20"),
            (30, Wanted::Set(50), "9:50"),
            (30, Wanted::Promise(50), "9:50 -30"),
            (0, Wanted::Set(0), ""),
        ] {
            let mut account = Account { overdraft: owed, ..Account::default() };
            assert!(account.apply(wanted, &dated, OnOverdraft::Reject, 0, 9).is_ok());
            assert_eq!(shown(&account), expected, "{wanted:?}");
        }
    }

    #[test]
    fn sums_that_do_not_fit_are_refused() {
        let owing = Account { overdraft: i128::from(MAX), ..Account::default() };
        for (mut account, wanted, expected) in [
            (account(&["9223372036854775807"]), Wanted::Credit(1), Err("balance_overflow")),
            (account(&["9223372036854775807"]), Wanted::Promise(MAX), Ok(Some(("promise", MAX)))),
            (account(&["1 promised"]), Wanted::Promise(MAX), Err("balance_overflow")),
            (owing.clone(), Wanted::Debit(1), Err("balance_overflow")),
            (owing.clone(), Wanted::Set(1), Err("balance_overflow")),
            (owing, Wanted::Set(0), Ok(Some(("reset", MAX)))),
        ] {
            let found = account.apply(wanted, &Terms::default(), OnOverdraft::Allow, 0, 9);
            assert_eq!(found.map(|effect| effect.moved), expected, "{wanted:?}");
        }
    }

    #[test]
    fn what_is_over_is_neither_valid_nor_forgotten() {
        let account = account(&["5", "10 until 9", "30 until 8", "40 promised"]);
        assert_eq!((account.balance(), account.valid_on(9).balance(), account.valid_on(10).balance()), (45, 15, 5));
        let over = |today| account.over_on(today).iter().map(|lot| lot.entry).collect::<Vec<_>>();
        assert_eq!((over(8), over(9), over(10)), (vec![], vec![3], vec![3, 2]));
    }
}
