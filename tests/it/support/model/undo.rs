//! Taking an earlier job back.
//!
//! What an entry did is what the account was before and after it: nothing else is kept of it here.

use std::collections::{BTreeMap, HashMap};

use super::{
    Answer, Does, Job, Kind, Model, Report,
    account::{Account, Lot},
    calendar::Day,
    cells::Code,
};

/// What happens where points that are to be taken back were spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSpent {
    Keep,
    Negative,
    Refuse,
}

/// A job that has ended.
#[derive(Clone, Debug)]
pub struct Made {
    pub number: u32,
    /// The program that its summary tells first.
    pub program: usize,
    pub does: Does,
    /// The job that it undoes.
    pub undoes: Option<u32>,
}

/// What an undo tells of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// User id, external id, e-mail and mobile, as they were then.
    pub names: [String; 4],
    pub program: usize,
    /// `reversed`, `partly_reversed` or `kept`.
    pub status: &'static str,
    /// The first reason why something stays; empty: nothing does.
    pub code: &'static str,
    pub amount: i128,
    pub balance: i64,
    /// Points that stay.
    pub stay: i128,
}

/// Reasons in the order in which one is named for all.
const REASONS: [&str; 4] = ["absorbed", "spent", "expired", "overflow"];

/// An entry to be written, and the account with it.
struct Change {
    kind: &'static str,
    amount: i64,
    reverses: usize,
    refills: Option<Lot>,
    /// Of a last day that is set back, the one that it was.
    expires_before: Option<Day>,
    account: Account,
}

/// What is to become of an account.
#[derive(Default)]
struct Plan {
    changes: Vec<Change>,
    missing: BTreeMap<&'static str, i128>,
}

impl Plan {
    fn stays(&mut self, reason: &'static str, points: i128) {
        *self.missing.entry(reason).or_default() += points;
    }

    fn total(&self) -> i128 {
        self.missing.values().sum()
    }
}

impl Model {
    /// The job that has undone another, if that was not undone itself since.
    fn undone_by(&self, number: u32) -> Option<u32> {
        let undos = self.jobs.iter().rev().filter(|made| made.undoes == Some(number));
        undos.map(|made| made.number).find(|&undo| self.undone_by(undo).is_none())
    }

    fn made(&self, number: u32) -> Option<&Made> {
        self.jobs.iter().find(|made| made.number == number)
    }

    /// Takes a job back; or refuses it, and nothing changes.
    pub fn undo(&mut self, number: u32, on_spent: OnSpent, job: &Job) -> Result<Report, Code> {
        let undone = self.made(number).ok_or("job_unknown")?.clone();
        let before = undone.undoes.and_then(|number| self.made(number));
        if before.is_some_and(|before| before.does == Does::Convert) {
            return Err("not_undoable");
        }
        if self.undone_by(number).is_some() {
            return Err("job_undone");
        }
        let mut target = undone.undoes;
        while let Some(number) = target {
            if self.jobs.iter().any(|made| made.undoes == Some(number) && made.number > undone.number) {
                return Err("undo_superseded");
            }
            target = self.made(number).and_then(|made| made.undoes);
        }
        let mut run = self.begin(&Job { program: undone.program, ..job.clone() });
        run.undoes = Some(number);
        let places =
            (0..self.customers.len()).flat_map(|customer| (0..self.programs.len()).map(move |p| (customer, p)));
        let plans: Vec<_> = places
            .map(|(customer, program)| {
                (customer, program, self.plan_undo(customer, program, &undone, on_spent, run.today))
            })
            .collect();
        if on_spent == OnSpent::Refuse && plans.iter().any(|(.., plan)| plan.missing.contains_key("spent")) {
            return Err("points_spent");
        }
        for (customer, program, plan) in plans {
            let stay = plan.total();
            let status = match (plan.changes.is_empty(), stay) {
                (true, 0) => continue,
                (true, _) => "kept",
                (false, 0) => "reversed",
                (false, _) => "partly_reversed",
            };
            run.name(customer);
            let amount = plan.changes.iter().map(|change| i128::from(change.amount)).sum();
            let code = REASONS.into_iter().find(|reason| plan.missing.contains_key(reason)).unwrap_or_default();
            if !plan.changes.is_empty() {
                let over = self.customers[customer].accounts[program].over_on(run.today);
                self.expire_lots(customer, program, &over, &run);
            }
            for change in plan.changes {
                let before = std::mem::replace(&mut self.customers[customer].accounts[program], change.account);
                let mut entry = self.entry(customer, program, change.kind, change.amount, &run);
                entry.before = before;
                entry.reverses = Some(change.reverses as u64 + 1);
                entry.expires_before = change.expires_before;
                entry.expires_on = change.refills.as_ref().and_then(|lot| lot.expires_on);
                entry.refills = change.refills.map(|lot| lot.entry);
                self.ledger.push(entry);
            }
            let answer = Answer::new(0, if status == "kept" { "unchanged" } else { "applied" }, program);
            run.report.answers.push(answer);
            let balance = self.balance(customer, program, run.today);
            let names = [Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile]
                .map(|kind| self.customers[customer].identifier(kind).to_owned());
            run.report.undone.push(Undone { names, program, status, code, amount, balance, stay });
        }
        let report = self.end(run);
        self.learn_row_ids();
        Ok(report)
    }

    /// Row ids of undone jobs are not known.
    fn learn_row_ids(&mut self) {
        self.row_ids.clear();
        for (number, key, said) in self.said.clone() {
            if self.undone_by(number).is_none() {
                self.row_ids.entry(key).or_insert(said);
            }
        }
    }

    fn plan_undo(&self, customer: usize, program: usize, undone: &Made, on_spent: OnSpent, today: Day) -> Plan {
        let mut plan = Plan::default();
        let own: Vec<usize> = (0..self.ledger.len())
            .filter(|&at| (self.ledger[at].customer, self.ledger[at].program) == (customer, program))
            .collect();
        // What is in effect of each entry, and what of it was an overdraft: later entries took some of it back.
        let mut net: HashMap<usize, i128> = own.iter().map(|&at| (at, i128::from(self.ledger[at].amount))).collect();
        let owed = |at: usize| (self.ledger[at].after.overdraft - self.ledger[at].before.overdraft).abs();
        let mut owed: HashMap<usize, i128> = own.iter().map(|&at| (at, owed(at))).collect();
        for &at in own.iter().rev().filter(|&&at| self.ledger[at].reverses.is_some()) {
            let reversed = self.ledger[at].reverses.expect("it was looked at") as usize - 1;
            // What is promised again because a convert is taken back is no part of what the convert did to the balance.
            let is_of_balance = self.ledger[at].kind != "promise_reversal" || self.ledger[reversed].kind != "convert";
            if net[&at] != 0 && is_of_balance {
                let (amount, beyond) = (net[&at], owed[&at]);
                *net.get_mut(&reversed).expect("of the same account") += amount;
                let left = owed.get_mut(&reversed).expect("of the same account");
                *left -= beyond.min(*left);
            }
        }
        let is_set = |at: &&usize| {
            let entry = &self.ledger[**at];
            entry.kind == "reset" && entry.job != undone.number && net[*at] != 0
        };
        let set_at = own.iter().rev().find(is_set).copied();

        let held = &self.customers[customer].accounts[program];
        let (mut account, over) = (held.valid_on(today), held.over_on(today));
        // What has expired of which lot, by which entry.
        let mut expired: Vec<(u64, usize, i128)> =
            over.iter().map(|lot| (lot.entry, usize::MAX, lot.remaining)).collect();
        for &at in own.iter().filter(|&&at| self.ledger[at].kind.ends_with("expire") && net[&at] < 0) {
            // Plain points that expired at once are of no lot.
            expired.extend(self.ledger[at].taken().first().map(|(lot, _)| (lot.entry, at, -net[&at])));
        }
        let mut short: Vec<(usize, i128)> = Vec::new();
        for &at in own.iter().rev().filter(|&&at| self.ledger[at].job == undone.number) {
            let (entry, amount) = (&self.ledger[at], net[&at]);
            if entry.kind == "expiry_change" {
                let lot = entry.refills.or_else(|| entry.made()).expect("there is one that it changed");
                set_back(&mut plan, &mut account, lot, entry, at, today);
            }
            if amount == 0 {
                continue;
            }
            let is_promised = entry.kind.starts_with("promise");
            let is_end = entry.kind.ends_with("expire");
            let is_stated = undone.does == Does::Expire || (undone.does == Does::ExpiryUpdate && entry.line > 0);
            if !is_promised && set_at.is_some_and(|set| set > at) {
                if !is_end || is_stated {
                    plan.stays("absorbed", amount.abs());
                }
                continue;
            }
            let word = if is_promised { "promise_reversal" } else { "reversal" };
            if amount < 0 {
                let mut taken = entry.taken();
                for &later in own.iter().filter(|&&l| self.ledger[l].reverses == Some(at as u64 + 1) && net[&l] > 0) {
                    let lot = taken.iter_mut().find(|(lot, _)| Some(lot.entry) == self.ledger[later].refills);
                    if let Some((_, left)) = lot {
                        *left -= net[&later].min(*left);
                    }
                }
                let plain = -amount - taken.iter().map(|(_, points)| points).sum::<i128>();
                let mut puts: Vec<(Option<Lot>, i128)> =
                    taken.into_iter().map(|(lot, points)| (Some(lot), points)).collect();
                puts.insert(if owed[&at] > 0 { 0 } else { puts.len() }, (None, plain));
                for (lot, points) in puts.into_iter().filter(|(_, points)| *points > 0) {
                    let there = lot.as_ref().and_then(|lot| account.lot(lot.entry, is_promised)).cloned();
                    let lot = lot.map(|lot| Lot { is_promised, ..there.unwrap_or(lot) });
                    let sum = points + if is_promised { account.promised() } else { account.balance() };
                    if lot.as_ref().is_some_and(|lot| lot.is_over(today)) {
                        if !is_end || is_stated {
                            plan.stays("expired", points);
                        }
                    } else if i64::try_from(sum).is_err() {
                        plan.stays("overflow", points);
                    } else {
                        account.put_back(lot.as_ref(), points, self.ledger.len() as u64 + 1);
                        let amount = i64::try_from(points).expect("a part of a balance");
                        let account = account.clone();
                        plan.changes.push(Change {
                            kind: word,
                            amount,
                            reverses: at,
                            refills: lot,
                            expires_before: None,
                            account,
                        });
                    }
                }
                continue;
            }
            let lot = match entry.kind {
                // One that has neither a last day nor a reference became plain, and one that paid an overdraft is gone.
                "convert" => entry.refills.filter(|&lot| entry.after.lot(lot, false).is_some()),
                _ => entry.refills.or_else(|| entry.made()),
            };
            let promise = entry.refills.filter(|_| entry.kind == "convert").and_then(|lot| {
                let before = entry.before.lot(lot, true)?;
                let now = account.lot(lot, false).map_or(before.expires_on, |lot| lot.expires_on);
                Some(Lot { expires_on: now, ..before.clone() })
            });
            let mut want = amount;
            for (_, _, gone) in expired.iter_mut().filter(|(of, by, _)| Some(*of) == lot && *by > at) {
                let part = want.min(*gone);
                (want, *gone) = (want - part, *gone - part);
                plan.stays("expired", part);
            }
            let own_points = match lot {
                Some(lot) => account.lot(lot, is_promised).map_or(0, |lot| lot.remaining),
                None if is_promised => 0,
                None => account.plain(),
            };
            let first = own_points.min(want);
            account.take_of(lot, first);
            let mut total = first;
            if !is_promised {
                let others = (want - first).min(account.balance().max(0));
                account.take(others);
                let rest = want - first - others;
                let fits = |balance: i128| balance > i128::from(i64::MIN);
                let again = rest.min(owed[&at]);
                let again = if fits(account.balance() - again) { again } else { 0 };
                let beyond = match on_spent {
                    OnSpent::Negative if fits(account.balance() - rest) => rest,
                    _ => again,
                };
                account.overdraft += beyond;
                total += others + beyond;
            }
            match (on_spent, want - total) {
                (_, 0) => {}
                (_, left) if is_promised => plan.stays("spent", left),
                (OnSpent::Negative, left) => plan.stays("overflow", left),
                (OnSpent::Keep | OnSpent::Refuse, left) => short.push((at, left)),
            }
            if total > 0 {
                let amount = -i64::try_from(total).expect("a part of a balance");
                plan.changes.push(Change {
                    kind: word,
                    amount,
                    reverses: at,
                    refills: None,
                    expires_before: None,
                    account: account.clone(),
                });
                if let Some(promise) = promise.filter(|promise| !promise.is_over(today)) {
                    promise_again(&mut plan, &mut account, promise, total, at);
                }
            }
        }
        // What was spent is taken of what came back since.
        for (at, want) in short {
            let total = want.min(account.balance().max(0));
            account.take(total);
            plan.stays("spent", want - total);
            if total > 0 {
                let amount = -i64::try_from(total).expect("a part of a balance");
                plan.changes.push(Change {
                    kind: "reversal",
                    amount,
                    reverses: at,
                    refills: None,
                    expires_before: None,
                    account: account.clone(),
                });
                let entry = &self.ledger[at];
                let promise = entry.refills.filter(|_| entry.kind == "convert");
                let promise = promise.and_then(|lot| {
                    let again = account.lot(lot, true).or_else(|| entry.before.lot(lot, true));
                    again.filter(|lot| !lot.is_over(today)).cloned()
                });
                if let Some(promise) = promise {
                    promise_again(&mut plan, &mut account, promise, total, at);
                }
            }
        }
        plan.missing.retain(|_, points| *points > 0);
        plan
    }
}

/// Gives a lot its former last day again, if it still has the one that an entry gave it.
fn set_back(plan: &mut Plan, account: &mut Account, lot: u64, entry: &super::Entry, at: usize, today: Day) {
    let Some(place) = account.lots.iter().position(|held| !held.is_plain() && held.entry == lot) else { return };
    let held = account.lots[place].clone();
    if held.expires_on != entry.expires_on {
        plan.stays("absorbed", held.remaining);
    } else if entry.expires_before.is_some_and(|day| day < today) {
        plan.stays("expired", held.remaining);
    } else {
        account.lots.remove(place);
        let again = Lot { expires_on: entry.expires_before, ..held.clone() };
        account.add(again.clone());
        plan.changes.push(Change {
            kind: "expiry_change",
            amount: 0,
            reverses: at,
            refills: Some(again),
            expires_before: held.expires_on,
            account: account.clone(),
        });
    }
}

/// Promises points again that were taken back of a promise that was kept.
fn promise_again(plan: &mut Plan, account: &mut Account, promise: Lot, points: i128, at: usize) {
    if i64::try_from(account.promised() + points).is_err() || account.lot(promise.entry, false).is_some() {
        return;
    }
    account.put_back(Some(&promise), points, 0);
    plan.changes.push(Change {
        kind: "promise_reversal",
        amount: i64::try_from(points).expect("a part of a balance"),
        reverses: at,
        refills: Some(promise),
        expires_before: None,
        account: account.clone(),
    });
}

impl super::Entry {
    /// What it took of lots, plain points aside, in the order of debits.
    fn taken(&self) -> Vec<(Lot, i128)> {
        let left = |lot: &Lot| self.after.lots.iter().find(|l| l.entry == lot.entry).map_or(0, |lot| lot.remaining);
        let lots = self.before.in_order().into_iter().filter(|lot| !lot.is_plain());
        lots.map(|lot| (lot.clone(), lot.remaining - left(&lot))).filter(|(_, points)| *points > 0).collect()
    }

    /// The lot that it made, plain points aside.
    fn made(&self) -> Option<u64> {
        let is_new = |lot: &&Lot| !lot.is_plain() && self.before.lots.iter().all(|held| held.entry != lot.entry);
        self.after.lots.iter().find(is_new).map(|lot| lot.entry)
    }
}
