//! What becomes of an account when a job is undone: the rules, pure.
//!
//! Newest entry first, as if each had been the last thing that happened. What an entry added is taken back from where it went:
//! its own lot, or the plain points if it made none; what is missing there, from what is available, in the order of debits.
//! What it took goes back into the very lots that it came of, made again where they are gone, so that a job undone at once
//! leaves the account as it was before. What is missing all the same is looked for once more at the end, among the points that
//! came back by then: else whoever spent what a job gave would be given what it took. The rest is kept, and says why.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    apply::left_of_credit,
    entry::EntryKind,
    id::{CustomerId, Sequence},
    lot::{Lot, LotState, Lots, Taken, split_debit},
    time::Date,
};

/// The only customer of lots that are planned with.
const ALONE: CustomerId = CustomerId(0);

/// What happens where points that are to be taken back were spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSpent {
    /// What is there is taken; the rest is kept.
    #[default]
    Keep,
    /// All of it is taken: the account is overdrawn.
    Negative,
    /// Nothing is undone for anybody if one spent some.
    Refuse,
}

/// Why an entry stays, or a part of it. The number is the place in [`Missing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoReason {
    /// The balance was set since, whatever it was before.
    Absorbed = 0,
    /// The points were spent.
    Spent = 1,
    /// The points, or the lot that they came of, have expired.
    Expired = 2,
    /// The sum does not fit into 64 bits.
    Overflow = 3,
}

impl UndoReason {
    /// Every reason, in the order in which one is named for all.
    pub const ALL: [UndoReason; 4] =
        [UndoReason::Absorbed, UndoReason::Spent, UndoReason::Expired, UndoReason::Overflow];

    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            UndoReason::Absorbed => "absorbed",
            UndoReason::Spent => "spent",
            UndoReason::Expired => "expired",
            UndoReason::Overflow => "overflow",
        }
    }
}

/// Points that stay as the job left them, by reason; never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing([i128; 4]);

impl Missing {
    /// So many for one reason.
    pub fn of(reason: UndoReason, amount: i128) -> Missing {
        let mut missing = Missing::default();
        missing.add(reason, amount);
        missing
    }

    fn add(&mut self, reason: UndoReason, amount: i128) {
        self.0[reason as usize] += amount;
    }

    /// How many for a reason.
    pub fn get(&self, reason: UndoReason) -> i128 {
        self.0[reason as usize]
    }

    /// How many in all.
    pub fn total(&self) -> i128 {
        self.0.iter().sum()
    }

    /// The first reason that there is: the one by which the account is counted.
    pub fn reason(&self) -> Option<UndoReason> {
        UndoReason::ALL.into_iter().find(|&reason| self.get(reason) > 0)
    }
}

/// What became of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoStatus {
    /// All that the job did to it was taken back.
    Reversed,
    /// A part of it.
    PartlyReversed,
    /// Nothing of it.
    Kept,
}

impl UndoStatus {
    /// What `done` points taken or put back, and others kept, make; none if there was nothing to do.
    pub fn of(done: i128, missing: &Missing) -> Option<UndoStatus> {
        match (done > 0, missing.total() > 0) {
            (true, false) => Some(UndoStatus::Reversed),
            (true, true) => Some(UndoStatus::PartlyReversed),
            (false, true) => Some(UndoStatus::Kept),
            (false, false) => None,
        }
    }

    /// The word that reports show.
    pub fn word(self) -> &'static str {
        match self {
            UndoStatus::Reversed => "reversed",
            UndoStatus::PartlyReversed => "partly_reversed",
            UndoStatus::Kept => "kept",
        }
    }
}

/// An entry of an account, as far as an undo asks for it: one of the job's, or a later one that has to do with these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its number.
    pub sequence: Sequence,
    /// Whose it was: a customer that has become part of another since keeps its entries.
    pub owner: CustomerId,
    /// Its kind.
    pub kind: EntryKind,
    /// Its signed amount.
    pub amount: i64,
    /// How much of it was below zero: what of a credit paid an overdraft back, what of a debit made one. Never negative.
    pub beyond: i64,
    /// Whether the job that is undone wrote it.
    pub is_own: bool,
    /// Whether points expired by it because the job was to expire them. Lots that a job only met on its way are over in any
    /// case, and nothing is said of them.
    pub is_stated: bool,
    /// The entry that it takes back.
    pub reverses: Option<Sequence>,
    /// The lot that it made or refilled; none: plain points.
    pub lot: Option<Sequence>,
    /// What it took of lots.
    pub taken: &'a [Taken],
    /// Of an expiry or a changed last day, the last day that it says.
    pub expires_on: Option<Date>,
    /// Of a changed last day, the former one.
    pub expires_before: Option<Date>,
}

/// By what all accounts of an undo go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndoRules {
    /// Policy.
    pub on_spent: OnSpent,
    /// The undo's day.
    pub today: Date,
}

/// An entry that the undo writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it takes back.
    pub reverses: Sequence,
    /// `Reversal` or `PromiseReversal`.
    pub kind: EntryKind,
    /// Signed.
    pub amount: i64,
    /// The balance with it.
    pub balance_after: i64,
    /// What it takes of lots.
    pub taken: Vec<Taken>,
    /// The lot that it refills, with what comes into it: 0 if all of it pays an overdraft back; or the one that gets its former
    /// last day again.
    pub refill: Option<Lot>,
    /// Of a last day that is set back, the one that it was.
    pub expires_before: Option<Date>,
}

/// What is to be done to an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The entries, in order.
    pub changes: Vec<Change>,
    /// Points taken or put back, in all.
    pub done: i128,
    /// Points that stay as they are.
    pub missing: Missing,
}

/// One entry of plain points, which paid and made no overdraft, on an account without lots: nearly all there are. Returns the
/// signed change of the balance and what is kept. The same as [`plan`], without its tables.
#[inline]
pub fn plain(balance: i64, amount: i64, on_spent: OnSpent) -> (i64, Option<(UndoReason, i64)>) {
    if amount < 0 {
        let put = amount.checked_neg().filter(|put| balance.checked_add(*put).is_some());
        return match put {
            Some(put) => (put, None),
            None => (0, Some((UndoReason::Overflow, amount.saturating_neg()))),
        };
    }
    let there = amount.min(balance.max(0));
    if there == amount {
        return (-amount, None);
    }
    match on_spent {
        OnSpent::Negative if fits(balance, amount) => (-amount, None),
        OnSpent::Negative => (-there, Some((UndoReason::Overflow, amount - there))),
        OnSpent::Keep | OnSpent::Refuse => (-there, Some((UndoReason::Spent, amount - there))),
    }
}

/// Whether so much can be taken. The smallest number of all is no balance.
fn fits(balance: i64, amount: i64) -> bool {
    balance.checked_sub(amount).is_some_and(|after| after != i64::MIN)
}

/// Plans what becomes of one account. `balance` has no points that are overdue, `lots` are all there are; `events` stand in the
/// order of their numbers, with lots named as they are called now. `merged_at` says when a customer became part of another,
/// `terms` what a lot was that is gone (what remains of it does not count).
///
/// # Errors
/// Those of `terms`.
pub fn plan<E>(
    balance: i64,
    lots: impl Iterator<Item = Lot>,
    events: &[Event<'_>],
    rules: UndoRules,
    merged_at: impl Fn(CustomerId) -> Sequence,
    terms: impl FnMut(Sequence) -> Result<Lot, E>,
) -> Result<Plan, E> {
    let nets = nets(events);
    let mut expired = expired(events, &nets);
    let mut working = Working {
        balance,
        in_lots: 0,
        promised: 0,
        lots: Lots::default(),
        emptied: HashMap::new(),
        rules,
        terms,
        plan: Plan::default(),
        short: Vec::new(),
    };
    for lot in lots {
        if lot.is_overdue(rules.today) {
            // As good as expired, and before anything else happens to the account it is.
            expired.entry(lot.credit).or_default().push((Sequence(u64::MAX), lot.remaining));
        } else {
            working.add(lot);
        }
    }
    let resets = Resets::of(events, &nets);
    for (event, net) in events.iter().zip(&nets).rev().filter(|(event, _)| event.is_own) {
        if event.kind == EntryKind::ExpiryChange {
            working.set_back(event);
        }
        if net.amount == 0 {
            continue;
        }
        let is_expiry = event.kind.is_expiry();
        let is_absorbed = !event.kind.is_of_promises() && resets.absorb(event, &merged_at);
        if is_absorbed && is_expiry && !event.is_stated {
            continue;
        }
        if is_absorbed {
            working.plan.missing.add(UndoReason::Absorbed, net.amount.abs());
        } else if net.amount > 0 {
            let over = event.lot.and_then(|lot| expired.get_mut(&lot));
            let own = working.own_lot(event)?;
            working.take_back(event, net, own, over);
            if event.kind == EntryKind::Convert {
                working.promise_again(event)?;
            }
        } else {
            working.put_back(event, net, is_expiry)?;
        }
    }
    working.take_what_came_back()?;
    Ok(working.plan)
}

/// What is in effect of an entry: itself without what later entries took back of it, as far as these were not taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Net {
    amount: i128,
    beyond: i64,
    /// What was put back into lots already.
    refilled: Vec<Taken>,
}

fn nets(events: &[Event<'_>]) -> Vec<Net> {
    let net = |event: &Event<'_>| Net { amount: i128::from(event.amount), beyond: event.beyond, refilled: Vec::new() };
    let mut nets: Vec<Net> = events.iter().map(net).collect();
    if events.iter().all(|event| event.reverses.is_none()) {
        return nets;
    }
    let places: HashMap<u64, usize> = events.iter().enumerate().map(|(at, event)| (event.sequence.0, at)).collect();
    // What takes back is newer than what is taken back, so from the newest on each is known when it counts.
    for (at, event) in events.iter().enumerate().rev() {
        let reversed = event.reverses.and_then(|reversed| places.get(&reversed.0)).copied();
        // What is promised again as a convert is taken back is no part of what the convert did to the balance.
        let is_of_it =
            |&reversed: &usize| event.kind != EntryKind::PromiseReversal || events[reversed].kind != EntryKind::Convert;
        let reversed = reversed.filter(is_of_it);
        let Some(reversed) = reversed.filter(|&reversed| reversed < at && nets[at].amount != 0) else { continue };
        let (amount, beyond) = (nets[at].amount, nets[at].beyond);
        nets[reversed].amount += amount;
        if amount > 0
            && let Some(lot) = event.lot
        {
            nets[reversed].refilled.push(Taken { lot, amount: i64::try_from(amount).unwrap_or(i64::MAX) });
        }
        nets[reversed].beyond -= beyond.min(nets[reversed].beyond);
    }
    nets
}

/// The last time that somebody else set the balance, by whose account it was.
struct Resets(BTreeMap<CustomerId, Sequence>);

impl Resets {
    fn of(events: &[Event<'_>], nets: &[Net]) -> Resets {
        let others = events
            .iter()
            .zip(nets)
            .filter(|(event, net)| event.kind == EntryKind::Reset && !event.is_own && net.amount != 0);
        Resets(others.map(|(event, _)| (event.owner, event.sequence)).collect())
    }

    /// Whether one has made of the account what it is, whatever an event did before.
    fn absorb(&self, event: &Event<'_>, merged_at: impl Fn(CustomerId) -> Sequence) -> bool {
        self.0.iter().any(|(owner, &sequence)| {
            sequence > event.sequence && (*owner == event.owner || merged_at(event.owner) < sequence)
        })
    }
}

/// What has expired of each lot, after which entry.
fn expired(events: &[Event<'_>], nets: &[Net]) -> HashMap<Sequence, Vec<(Sequence, i64)>> {
    let mut expired: HashMap<Sequence, Vec<(Sequence, i64)>> = HashMap::new();
    for (event, net) in events.iter().zip(nets) {
        if event.kind.is_expiry() && net.amount < 0 {
            for taken in left_of_taken(event, net) {
                expired.entry(taken.lot).or_default().push((event.sequence, taken.amount));
            }
        }
    }
    expired
}

/// What an entry took of lots, without what was put back.
fn left_of_taken(event: &Event<'_>, net: &Net) -> Vec<Taken> {
    let mut left = event.taken.to_vec();
    let mut refilled: HashMap<Sequence, i64> = HashMap::new();
    for put in &net.refilled {
        let sum = refilled.entry(put.lot).or_default();
        *sum = sum.saturating_add(put.amount);
    }
    for taken in &mut left {
        if let Some(refilled) = refilled.get_mut(&taken.lot) {
            let back = taken.amount.min(*refilled);
            taken.amount -= back;
            *refilled -= back;
        }
    }
    left.retain(|taken| taken.amount > 0);
    left
}

/// The account as it is while entries are taken back.
struct Working<'a, T> {
    balance: i64,
    /// Sum of the available lots: what the balance has beyond it are plain points.
    in_lots: i128,
    promised: i128,
    lots: Lots,
    /// What lots were that are empty by now: their credits may say other last days.
    emptied: HashMap<Sequence, Lot>,
    rules: UndoRules,
    terms: T,
    plan: Plan,
    /// Points that were not there, by the entry that added them.
    short: Vec<(&'a Event<'a>, i64)>,
}

impl<'a, T> Working<'a, T> {
    fn add(&mut self, lot: Lot) {
        match lot.state {
            LotState::Available => self.in_lots += i128::from(lot.remaining),
            LotState::Promised => self.promised += i128::from(lot.remaining),
        }
        self.lots.insert(ALONE, lot);
    }

    /// The lot into which an entry put its points; none: they were plain, or paid an overdraft back.
    fn own_lot<E>(&mut self, event: &Event<'_>) -> Result<Option<Sequence>, E>
    where
        T: FnMut(Sequence) -> Result<Lot, E>,
    {
        let Some(lot) = event.lot.filter(|_| event.kind == EntryKind::Convert) else { return Ok(event.lot) };
        let is_plain = event.expires_on.is_none() && !self.terms_of(lot)?.reference.is_some();
        Ok(Some(lot).filter(|_| !is_plain && event.beyond < event.amount))
    }

    /// Takes back what an entry added, of its own lot first. `over` is what has expired of it.
    fn take_back(
        &mut self,
        event: &'a Event<'a>,
        net: &Net,
        own_lot: Option<Sequence>,
        over: Option<&mut Vec<(Sequence, i64)>>,
    ) {
        let mut want = i64::try_from(net.amount).unwrap_or(i64::MAX);
        for (_, gone) in over.into_iter().flatten().filter(|(sequence, _)| *sequence > event.sequence) {
            let part = want.min(*gone);
            *gone -= part;
            want -= part;
            self.plan.missing.add(UndoReason::Expired, i128::from(part));
        }
        let is_promise = event.kind.is_of_promises();
        let state = if is_promise { LotState::Promised } else { LotState::Available };
        let own = own_lot.and_then(|lot| self.lots.get(ALONE, lot)).filter(|lot| lot.state == state);
        let mut taken = Vec::new();
        let own_part = match (own_lot, own) {
            (Some(_), own) => own.map_or(0, |lot| lot.remaining),
            (None, _) if is_promise => 0,
            (None, _) => i64::try_from((i128::from(self.balance) - self.in_lots).max(0)).unwrap_or(i64::MAX),
        };
        let own_part = own_part.min(want);
        if let Some(own) = own.filter(|_| own_part > 0) {
            taken.push(Taken { lot: own.credit, amount: own_part });
            self.take(taken[0], state);
        }
        if is_promise {
            self.plan.missing.add(UndoReason::Spent, i128::from(want - own_part));
            self.change(event, EntryKind::PromiseReversal, -own_part, taken, None);
            return;
        }
        let others = (want - own_part).min(self.balance.max(0) - own_part);
        let of_lots = taken.len();
        split_debit(self.lots.available(ALONE), others, &mut taken);
        for &taken in &taken[of_lots..] {
            self.take(taken, state);
        }
        // What paid an overdraft back is owed again, which nobody has spent.
        let beyond = (want - own_part - others).min(net.beyond);
        let beyond = if fits(self.balance, own_part + others + beyond) { beyond } else { 0 };
        let there = own_part + others + beyond;
        let total = match self.rules.on_spent {
            OnSpent::Negative if fits(self.balance, want) => want,
            OnSpent::Negative => {
                self.plan.missing.add(UndoReason::Overflow, i128::from(want - there));
                there
            }
            OnSpent::Keep | OnSpent::Refuse => {
                if want > there {
                    self.short.push((event, want - there));
                }
                there
            }
        };
        self.change(event, EntryKind::Reversal, -total, taken, None);
    }

    /// Takes what was missing of what older entries have put back since.
    fn take_what_came_back<E>(&mut self) -> Result<(), E>
    where
        T: FnMut(Sequence) -> Result<Lot, E>,
    {
        for (event, want) in std::mem::take(&mut self.short) {
            let there = want.min(self.balance.max(0));
            let mut taken = Vec::new();
            split_debit(self.lots.available(ALONE), there, &mut taken);
            for &taken in &taken {
                self.take(taken, LotState::Available);
            }
            self.plan.missing.add(UndoReason::Spent, i128::from(want - there));
            self.change(event, EntryKind::Reversal, -there, taken, None);
            if event.kind == EntryKind::Convert && there > 0 {
                self.promise_again(event)?;
            }
        }
        Ok(())
    }

    /// What a lot is, was before it was emptied, or was when it was gone.
    fn terms_of<E>(&mut self, credit: Sequence) -> Result<Lot, E>
    where
        T: FnMut(Sequence) -> Result<Lot, E>,
    {
        match self.lots.get(ALONE, credit).or_else(|| self.emptied.get(&credit).copied()) {
            Some(lot) => Ok(lot),
            None => (self.terms)(credit),
        }
    }

    fn take(&mut self, taken: Taken, state: LotState) {
        if let Some(lot) = self.lots.get(ALONE, taken.lot).filter(|lot| lot.remaining == taken.amount) {
            self.emptied.insert(lot.credit, lot);
        }
        if self.lots.take(ALONE, taken).is_some() {
            match state {
                LotState::Available => self.in_lots -= i128::from(taken.amount),
                LotState::Promised => self.promised -= i128::from(taken.amount),
            }
        }
    }

    /// Puts back what an entry took.
    fn put_back<E>(&mut self, event: &Event<'_>, net: &Net, is_expiry: bool) -> Result<(), E>
    where
        T: FnMut(Sequence) -> Result<Lot, E>,
    {
        let taken = left_of_taken(event, net);
        let of_lots: i128 = taken.iter().map(|taken| i128::from(taken.amount)).sum();
        let plain = i64::try_from(-net.amount - of_lots).unwrap_or(i64::MAX).max(0);
        // Who made an overdraft had no plain points left, so these come first: what is in the lots then is what was in them.
        // Else an overdraft that came later takes of the lots first, as it would have.
        let is_plain_first = net.beyond > 0;
        if is_plain_first {
            self.put_plain(event, plain);
        }
        for taken in taken {
            self.refill(event, taken, is_expiry)?;
        }
        if !is_plain_first {
            self.put_plain(event, plain);
        }
        Ok(())
    }

    /// Gives a lot its former last day again, if it has the one that the entry gave it.
    fn set_back(&mut self, event: &Event<'_>) {
        let Some(lot) = event.lot.and_then(|credit| self.lots.get(ALONE, credit)) else { return };
        let amount = i128::from(lot.remaining);
        if lot.expires_on != event.expires_on {
            self.plan.missing.add(UndoReason::Absorbed, amount);
            return;
        }
        if event.expires_before.is_some_and(|day| day < self.rules.today) {
            self.plan.missing.add(UndoReason::Expired, amount);
            return;
        }
        self.lots.set_last_day(ALONE, lot.credit, event.expires_before);
        if lot.state == LotState::Available && self.lots.get(ALONE, lot.credit).is_none() {
            // It is no lot any more, but plain points.
            self.in_lots -= amount;
        }
        self.plan.done += amount;
        self.plan.changes.push(Change {
            reverses: event.sequence,
            kind: EntryKind::ExpiryChange,
            amount: 0,
            balance_after: self.balance,
            taken: Vec::new(),
            refill: Some(Lot { expires_on: event.expires_before, ..lot }),
            expires_before: lot.expires_on,
        });
    }

    /// Promises again what has just been taken back of points whose promise the entry kept.
    fn promise_again<E>(&mut self, event: &Event<'_>) -> Result<(), E>
    where
        T: FnMut(Sequence) -> Result<Lot, E>,
    {
        let taken = self.plan.changes.last().filter(|change| change.reverses == event.sequence);
        let (Some(credit), Some(amount)) = (event.lot, taken.map(|change| change.amount.saturating_neg())) else {
            return Ok(());
        };
        // The last day that it has now, which somebody may have changed since; of one that was gone, the one that it had then.
        let is_known = self.lots.get(ALONE, credit).is_some() || self.emptied.contains_key(&credit);
        let terms = self.terms_of(credit)?;
        let expires_on = if is_known { terms.expires_on } else { event.expires_on };
        let lot = Lot { credit, remaining: amount, state: LotState::Promised, expires_on, ..terms };
        let is_kept = self.lots.get(ALONE, credit).is_some_and(|lot| lot.state == LotState::Available);
        if lot.is_overdue(self.rules.today) || is_kept {
            return Ok(());
        }
        if i64::try_from(self.promised + i128::from(amount)).is_err() || !self.lots.refill(ALONE, lot) {
            return Ok(());
        }
        self.promised += i128::from(amount);
        self.change(event, EntryKind::PromiseReversal, amount, Vec::new(), Some(lot));
        // It is one thing that was done, not two.
        self.plan.done -= i128::from(amount);
        Ok(())
    }

    fn put_plain(&mut self, event: &Event<'_>, amount: i64) {
        if amount > 0 && self.balance.checked_add(amount).is_none() {
            self.plan.missing.add(UndoReason::Overflow, i128::from(amount));
        } else {
            self.change(event, EntryKind::Reversal, amount, Vec::new(), None);
        }
    }

    fn refill<E>(&mut self, event: &Event<'_>, put: Taken, is_expiry: bool) -> Result<(), E>
    where
        T: FnMut(Sequence) -> Result<Lot, E>,
    {
        let amount = put.amount;
        let (kind, state) = if event.kind.is_of_promises() {
            (EntryKind::PromiseReversal, LotState::Promised)
        } else {
            (EntryKind::Reversal, LotState::Available)
        };
        let lot = match self.lots.get(ALONE, put.lot).filter(|lot| lot.state == state) {
            Some(lot) => lot,
            None => {
                let terms = self.terms_of(put.lot)?;
                // An expiry says itself which day it was; the credit may have said another.
                let expires_on = if is_expiry { event.expires_on } else { terms.expires_on };
                Lot { credit: put.lot, state, expires_on, ..terms }
            }
        };
        if lot.is_overdue(self.rules.today) {
            if !is_expiry || event.is_stated {
                self.plan.missing.add(UndoReason::Expired, i128::from(amount));
            }
            return Ok(());
        }
        let sum = if state == LotState::Promised { self.promised } else { i128::from(self.balance) };
        if i64::try_from(sum + i128::from(amount)).is_err() {
            self.plan.missing.add(UndoReason::Overflow, i128::from(amount));
            return Ok(());
        }
        let remaining = match state {
            LotState::Promised => amount,
            LotState::Available => left_of_credit(amount, self.balance + amount),
        };
        let lot = Lot { remaining, ..lot };
        if self.lots.refill(ALONE, lot) {
            match state {
                LotState::Available => self.in_lots += i128::from(remaining),
                LotState::Promised => self.promised += i128::from(remaining),
            }
        }
        self.change(event, kind, amount, Vec::new(), Some(lot));
        Ok(())
    }

    fn change(&mut self, event: &Event<'_>, kind: EntryKind, amount: i64, taken: Vec<Taken>, refill: Option<Lot>) {
        if amount == 0 {
            return;
        }
        if kind == EntryKind::Reversal {
            self.balance += amount;
        }
        self.plan.done += i128::from(amount.unsigned_abs());
        let (reverses, balance_after) = (event.sequence, self.balance);
        self.plan.changes.push(Change { reverses, kind, amount, balance_after, taken, refill, expires_before: None });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Timestamp;

    const TODAY: i32 = 100;

    /// `credit:remaining`, with `@day` its last day, with `p` promised.
    fn lot(text: &str) -> Lot {
        let is_promised = text.ends_with('p');
        let text = text.trim_end_matches('p');
        let (text, day) = text.split_once('@').map_or((text, None), |(text, day)| (text, day.parse().ok()));
        let (credit, remaining) = text.split_once(':').unwrap();
        Lot {
            credit: Sequence(credit.parse().unwrap()),
            remaining: remaining.parse().unwrap(),
            expires_on: day.and_then(Date::from_days),
            credited_at: Timestamp::from_millis(0).unwrap(),
            state: if is_promised { LotState::Promised } else { LotState::Available },
            reference: crate::domain::reference::Reference::NONE,
        }
    }

    fn kind(word: &str) -> EntryKind {
        EntryKind::ALL.into_iter().find(|kind| kind.word() == word).unwrap()
    }

    /// `sequence kind amount` and what else there is of `beyond=`, `lot=`, `reverses=`, `took=credit:amount`; of the job unless
    /// it begins with `other`.
    fn event<'a>(text: &str, taken: &'a mut Vec<Taken>) -> Event<'a> {
        let is_own = !text.starts_with("other ");
        let mut words = text.trim_start_matches("other ").split(' ');
        let mut next = || words.next().unwrap();
        let (sequence, kind, amount) = (next().parse().unwrap(), kind(next()), next().parse().unwrap());
        let (mut beyond, mut lot, mut reverses) = (0, None, None);
        let (mut last_day, mut before) = (None, None);
        for word in words {
            let (name, value) = word.split_once('=').unwrap();
            match name {
                "beyond" => beyond = value.parse().unwrap(),
                "lot" => lot = value.parse().ok().map(Sequence),
                "on" => last_day = value.parse().ok(),
                "before" => before = value.parse().ok(),
                "reverses" => reverses = value.parse().ok().map(Sequence),
                _ => {
                    let (credit, amount) = value.split_once(':').unwrap();
                    taken.push(Taken { lot: Sequence(credit.parse().unwrap()), amount: amount.parse().unwrap() });
                }
            }
        }
        let day = |day: Option<i32>| day.and_then(Date::from_days);
        let (expires_on, expires_before) = (day(last_day), day(before));
        let (sequence, owner) = (Sequence(sequence), ALONE);
        Event {
            sequence,
            owner,
            kind,
            amount,
            beyond,
            is_own,
            is_stated: false,
            reverses,
            lot,
            taken,
            expires_on,
            expires_before,
        }
    }

    /// What an undo does to an account whose lots that are gone ended on `gone`: each entry as `of amount → balance`, with what
    /// it takes of lots, or `into` which lot it puts how much; then what is kept.
    fn done(balance: i64, lots: &[&str], events: &[&str], on_spent: OnSpent, is_stated: bool, gone: i32) -> String {
        let mut taken = vec![Vec::new(); events.len()];
        let mut events: Vec<Event<'_>> =
            events.iter().zip(&mut taken).map(|(text, taken)| event(text, taken)).collect();
        for event in events.iter_mut().filter(|event| event.kind.is_expiry()) {
            event.expires_on = event.expires_on.or(Date::from_days(gone));
            event.is_stated = is_stated;
        }
        let held = lots.iter().map(|text| lot(text));
        let rules = UndoRules { on_spent, today: Date::from_days(TODAY).unwrap() };
        let terms = |credit: Sequence| Ok::<_, ()>(lot(&format!("{}:0@{gone}", credit.0)));
        let plan = plan(balance, held, &events, rules, |_| Sequence(0), terms).unwrap();
        let of_change = |change: &Change| {
            let mark = if change.kind == EntryKind::PromiseReversal { "p" } else { "" };
            let took = change.taken.iter().map(|taken| format!(" took {}:{}", taken.lot.0, taken.amount));
            let into = change.refill.map(|lot| format!(" into {}:{}", lot.credit.0, lot.remaining));
            let more: String = took.chain(into).collect();
            format!("{}{mark} {:+} → {}{more}", change.reverses.0, change.amount, change.balance_after)
        };
        let kept = UndoReason::ALL.into_iter().filter(|&reason| plan.missing.get(reason) > 0);
        let kept = kept.map(|reason| format!("{} {}", reason.code(), plan.missing.get(reason)));
        plan.changes.iter().map(of_change).chain(kept).collect::<Vec<_>>().join(", ")
    }

    /// Balance, lots, entries, policy; what is done.
    #[test]
    fn entries_are_taken_back_by_the_rules() {
        use OnSpent::{Keep, Negative, Refuse};
        #[rustfmt::skip]
        type Case<'a> = (i64, &'a [&'a str], &'a [&'a str], OnSpent, &'a str);
        let cases: &[Case<'_>] = &[
            // Plain points: what is there, an overdraft, or as much as is there, of which the whole undo is refused.
            (50, &[], &["5 credit 50"], Keep, "5 -50 → 0"),
            (20, &[], &["5 credit 50"], Keep, "5 -20 → 0, spent 30"),
            (20, &[], &["5 credit 50"], Negative, "5 -50 → -30"),
            (20, &[], &["5 credit 50"], Refuse, "5 -20 → 0, spent 30"),
            (0, &[], &["5 credit 50"], Keep, "spent 50"),
            (-5, &[], &["5 credit 50"], Keep, "spent 50"),
            (-5, &[], &["5 credit 50"], Negative, "5 -50 → -55"),
            (-i64::MAX, &[], &["5 credit 50"], Negative, "overflow 50"),
            // The plain points first, then lots in the order of debits.
            (90, &["2:40@120"], &["5 credit 50"], Keep, "5 -50 → 40"),
            (60, &["2:40@120"], &["5 credit 50"], Keep, "5 -50 → 10 took 2:30"),
            (60, &["2:40@120", "3:20@110"], &["5 credit 50"], Keep, "5 -50 → 10 took 3:20 took 2:30"),
            // Its own lot first, then the others, permanent points last.
            (90, &["2:40@110", "5:50@120"], &["5 credit 50 lot=5"], Keep, "5 -50 → 40 took 5:50"),
            (70, &["2:40@110", "5:30@120"], &["5 credit 50 lot=5"], Keep, "5 -50 → 20 took 5:30 took 2:20"),
            (45, &["2:15@110"], &["5 credit 50 lot=5"], Keep, "5 -45 → 0 took 2:15, spent 5"),
            // Promised points are not available, and a promise is taken back from its own lot only.
            (0, &["2:40p"], &["5 credit 50"], Keep, "spent 50"),
            (9, &["5:40@120p"], &["5 promise 40 lot=5"], Keep, "5p -40 → 9 took 5:40"),
            (9, &["2:40@120p"], &["5 promise 40 lot=5"], Negative, "spent 40"),
            (9, &[], &["5 promise 40 lot=5", "other 7 promise_expire -40 took=5:40"], Keep, "expired 40"),
            // What has expired of its lot is not taken from other points.
            (90, &[], &["5 credit 50 lot=5", "other 7 expire -50 took=5:50"], Keep, "expired 50"),
            (90, &[], &["5 credit 50 lot=5", "other 7 expire -20 took=5:20"], Keep, "5 -30 → 60, expired 20"),
            (90, &[], &["5 credit 50 lot=5", "other 7 expire -20 took=5:20"], Negative, "5 -30 → 60, expired 20"),
            (
                90,
                &["5:20@120"],
                &["5 credit 50 lot=5", "other 7 expire -20 took=5:20", "other 8 reversal 20 reverses=7 lot=5"],
                Keep,
                "5 -50 → 40 took 5:20",
            ),
            // What is over, and will expire before anything else, is as good as expired.
            (30, &["5:40@99"], &["5 credit 50 lot=5"], Keep, "5 -10 → 20, expired 40"),
            (30, &["5:40@99p"], &["5 promise 40 lot=5"], Keep, "expired 40"),
            // What paid an overdraft back is owed again.
            (20, &[], &["5 credit 50 beyond=30"], Keep, "5 -50 → -30"),
            (10, &[], &["5 credit 50 beyond=30"], Keep, "5 -40 → -30, spent 10"),
            (90, &[], &["5 credit 50 beyond=30"], Refuse, "5 -50 → 40"),
            // A debit goes back into its lots; plain points come back as such.
            (0, &[], &["5 debit -50"], Keep, "5 +50 → 50"),
            (i64::MAX, &[], &["5 debit -50"], Keep, "overflow 50"),
            (
                0,
                &[],
                &["5 debit -50 took=2:20 took=3:10"],
                Keep,
                "5 +20 → 20 into 2:20, 5 +10 → 30 into 3:10, 5 +20 → 50",
            ),
            (7, &["2:7@130"], &["5 debit -50 took=2:50"], Keep, "5 +50 → 57 into 2:50"),
            // The overdraft that it made first, so that its lots hold what they held.
            (-30, &[], &["5 debit -50 beyond=30 took=2:20"], Keep, "5 +30 → 0, 5 +20 → 20 into 2:20"),
            // One that came later takes of the lots first.
            (-30, &[], &["5 debit -50 took=2:40"], Keep, "5 +40 → 10 into 2:10, 5 +10 → 20"),
            (-90, &[], &["5 debit -50 took=2:40"], Keep, "5 +40 → -50 into 2:0, 5 +10 → -40"),
            // Resets are what their sign makes them; those of the job absorb nothing of it.
            (80, &[], &["5 reset 80"], Keep, "5 -80 → 0"),
            (20, &[], &["5 reset -30 took=2:30"], Keep, "5 +30 → 50 into 2:30"),
            (10, &[], &["4 credit 50", "5 reset -40"], Keep, "5 +40 → 50, 4 -50 → 0"),
            // Somebody else's absorbs what was before it, but no promise; one that was taken back does not.
            (80, &[], &["5 credit 50", "other 7 reset 30"], Keep, "absorbed 50"),
            (80, &[], &["5 debit -50 took=2:50", "other 7 reset 30"], Keep, "absorbed 50"),
            (80, &[], &["5 credit 50", "other 7 reset 30", "9 credit 7"], Keep, "9 -7 → 73, absorbed 50"),
            (80, &["5:40p"], &["5 promise 40 lot=5", "other 7 reset 30"], Keep, "5p -40 → 80 took 5:40"),
            (50, &[], &["5 credit 50", "other 7 reset 30", "other 8 reversal -30 reverses=7"], Keep, "5 -50 → 0"),
            (60, &[], &["5 credit 50", "other 7 reset 30", "other 8 reversal -20 reverses=7"], Keep, "absorbed 50"),
            (
                80,
                &[],
                &[
                    "5 credit 50",
                    "other 7 reset 30",
                    "other 8 reversal -30 reverses=7",
                    "other 9 reversal 30 reverses=8",
                ],
                Keep,
                "absorbed 50",
            ),
            // The newest first.
            (70, &["4:50@120"], &["4 credit 50 lot=4", "5 credit 20"], Keep, "5 -20 → 50, 4 -50 → 0 took 4:50"),
            (
                20,
                &[],
                &["4 credit 50 lot=4", "5 debit -30 took=4:30"],
                Keep,
                "5 +30 → 50 into 4:30, 4 -50 → 0 took 4:30",
            ),
            // What was spent is taken of what comes back, or the customer would gain by it.
            (0, &[], &["4 debit -35", "5 credit 50"], Keep, "4 +35 → 35, 5 -35 → 0, spent 15"),
            (0, &[], &["4 debit -35", "5 credit 50"], Negative, "5 -50 → -50, 4 +35 → -15"),
            (0, &[], &["4 debit -60 took=2:60", "5 credit 50"], Refuse, "4 +60 → 60 into 2:60, 5 -50 → 10 took 2:50"),
            // What was taken back before, and what came again.
            (20, &[], &["5 credit 50", "other 7 reversal -30 reverses=5"], Keep, "5 -20 → 0"),
            (
                50,
                &[],
                &["5 credit 50", "other 7 reversal -50 reverses=5", "other 8 reversal 50 reverses=7"],
                Keep,
                "5 -50 → 0",
            ),
            (0, &[], &["5 credit 50", "other 7 reversal -50 reverses=5"], Keep, ""),
            (
                20,
                &["2:20@120"],
                &["5 debit -50 took=2:30", "other 7 reversal 20 reverses=5 lot=2"],
                Keep,
                "5 +10 → 30 into 2:10, 5 +20 → 50",
            ),
            (-30, &[], &["5 credit 50 beyond=30", "other 7 reversal -30 beyond=30 reverses=5"], Keep, "spent 20"),
            // An undo is undone: what it took back comes again, and the other way round.
            (0, &[], &["9 reversal -50 took=5:20"], Keep, "9 +20 → 20 into 5:20, 9 +30 → 50"),
            (-30, &[], &["9 reversal -50 beyond=30 took=5:20"], Keep, "9 +30 → 0, 9 +20 → 20 into 5:20"),
            (70, &["2:50@120"], &["9 reversal 50 lot=2"], Keep, "9 -50 → 20 took 2:50"),
            (7, &[], &["9 promise_reversal -40 took=5:40"], Keep, "9p +40 → 7 into 5:40"),
            (7, &["5:40@120p"], &["9 promise_reversal 40 lot=5"], Keep, "9p -40 → 7 took 5:40"),
            (7, &["2:9223372036854775807p"], &["9 promise_reversal -1 took=5:1"], Keep, "overflow 1"),
        ];
        for &(balance, lots, events, on_spent, expected) in cases {
            let found = done(balance, lots, events, on_spent, false, 130);
            assert_eq!(found, expected, "{balance} {lots:?} {events:?} {on_spent:?}");
        }
    }

    #[test]
    fn a_kept_promise_is_promised_again_as_it_is_now() {
        // Balance, lots, entries, the last day that the credits of lots say; what is done.
        type Case<'a> = (i64, &'a [&'a str], &'a [&'a str], i32, &'a str);
        let cases: &[Case<'_>] = &[
            (40, &["4:40@120"], &["5 convert 40 lot=4 on=120"], 120, "5 -40 → 0 took 4:40, 5p +40 → 0 into 4:40"),
            // Without a last day and a reference it has become plain, and no other lot's points are taken for it.
            (90, &["2:50@120"], &["5 convert 40 lot=4"], 120, "5 -40 → 50, 5p +40 → 50 into 4:40"),
            // It got a later last day since, and the one that it had is over.
            (40, &["4:40@150"], &["5 convert 40 lot=4 on=99"], 99, "5 -40 → 0 took 4:40, 5p +40 → 0 into 4:40"),
            // What was spent of it comes back by an older entry, and is promised again then.
            (
                10,
                &["4:10@120"],
                &["3 debit -30 took=2:30", "5 convert 40 lot=4 on=120"],
                130,
                "5 -10 → 0 took 4:10, 5p +10 → 0 into 4:10, 3 +30 → 30 into 2:30, 5 -30 → 0 took 2:30, \
                 5p +30 → 0 into 4:30",
            ),
            // A promise that an undo made again, in part taken back, is no part of what the convert gave.
            (
                30,
                &["4:30@120"],
                &[
                    "5 convert 40 lot=4 on=120",
                    "other 7 reversal -40 reverses=5 took=4:40",
                    "other 8 promise_reversal 40 reverses=5 lot=4",
                    "other 9 promise_reversal -30 reverses=8 took=4:30",
                    "other 10 reversal 30 reverses=7 lot=4",
                ],
                120,
                "5 -30 → 0 took 4:30, 5p +30 → 0 into 4:30",
            ),
        ];
        for &(balance, lots, events, gone, expected) in cases {
            assert_eq!(done(balance, lots, events, OnSpent::Keep, false, gone), expected, "{lots:?} {events:?}");
        }
    }

    #[test]
    fn a_lot_that_the_undo_has_emptied_gets_the_last_day_that_it_had() {
        let events: &[&str] = &["4 debit -10 took=2:10", "5 credit 8"];
        let expected = "5 -5 → 0 took 2:5, 4 +10 → 10 into 2:10, 5 -3 → 7 took 2:3";
        // Its credit says a day that is over by now.
        assert_eq!(done(5, &["2:5@130"], events, OnSpent::Keep, false, TODAY - 1), expected);
    }

    /// Whether it was the job's work to expire lots, and the last day of those that are gone.
    #[test]
    fn what_is_over_stays_over() {
        let debit: &[&str] = &["5 debit -50 took=2:50"];
        let expire: &[&str] = &["5 expire -50 took=2:50"];
        let promise: &[&str] = &["5 promise_expire -50 took=2:50"];
        for (events, is_stated, gone, expected) in [
            (debit, false, TODAY, "5 +50 → 57 into 2:50"),
            (debit, false, TODAY - 1, "expired 50"),
            (expire, true, TODAY, "5 +50 → 57 into 2:50"),
            (expire, true, TODAY - 1, "expired 50"),
            (promise, true, TODAY, "5p +50 → 7 into 2:50"),
            (promise, true, TODAY - 1, "expired 50"),
            // On the way of something else: it would have expired in any case.
            (expire, false, TODAY, "5 +50 → 57 into 2:50"),
            (expire, false, TODAY - 1, ""),
            (promise, false, TODAY - 1, ""),
        ] {
            assert_eq!(done(7, &[], events, OnSpent::Keep, is_stated, gone), expected, "{events:?} {gone}");
        }
    }

    #[test]
    fn a_balance_set_elsewhere_absorbs_what_had_come_from_there() {
        let (mut none, mut none_either) = (Vec::new(), Vec::new());
        let own = Event { owner: CustomerId(1), ..event("5 credit 50", &mut none) };
        let other = event("1 credit 3", &mut none_either);
        let rules = UndoRules { on_spent: OnSpent::Keep, today: Date::from_days(TODAY).unwrap() };
        // Whose balance was set when, and when customer 1 became part of customer 2.
        for (owner, sequence, merged, is_kept) in
            [(1, 7, 9, true), (2, 7, 9, false), (2, 12, 9, true), (1, 4, 9, false)]
        {
            let set = Event {
                owner: CustomerId(owner),
                sequence: Sequence(sequence),
                is_own: false,
                kind: EntryKind::Reset,
                ..other
            };
            let mut events = [own, set];
            events.sort_by_key(|event| event.sequence);
            let terms = |_| Err::<Lot, ()>(());
            let plan = plan(90, std::iter::empty(), &events, rules, |_| Sequence(merged), terms).unwrap();
            assert_eq!(plan.changes.is_empty(), is_kept, "{owner} {sequence}");
        }
    }

    proptest! {
        #[test]
        fn plain_entries_are_taken_back_as_all_others(
            balance in prop_oneof![any::<i64>(), -100..100_i64],
            amount in prop_oneof![any::<i64>(), -100..100_i64],
            on_spent in prop::sample::select(vec![OnSpent::Keep, OnSpent::Negative, OnSpent::Refuse]),
        ) {
            let (balance, amount) = (balance.max(-i64::MAX), amount.max(-i64::MAX));
            let (change, missing) = plain(balance, amount, on_spent);
            let rules = UndoRules { on_spent, today: Date::from_days(TODAY).unwrap() };
            let kind = if amount > 0 { EntryKind::Credit } else { EntryKind::Debit };
            let mut none = Vec::new();
            let event = Event { kind, amount, ..event("5 credit 1", &mut none) };
            let terms = |_| Err::<Lot, ()>(());
            let found = plan(balance, std::iter::empty(), &[event], rules, |_| Sequence(0), terms).unwrap();
            prop_assert_eq!(found.changes.first().map_or(0, |change| change.amount), change);
            let missing = missing.map_or(Missing::default(), |(why, amount)| Missing::of(why, i128::from(amount)));
            prop_assert_eq!(found.missing, missing);
        }
    }
}
