//! What a command does to an account: the rules of points, pure.

use super::{
    command::{OnOverdraft, Operation, ResolvedCommand},
    entry::EntryKind,
    rejection::Rejection,
};

/// What a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The balance changed by one entry.
    Entry {
        /// What kind of entry.
        kind: EntryKind,
        /// By how much, signed.
        amount: i64,
        /// The balance with it.
        balance_after: i64,
        /// What a clamped debit left.
        not_taken: i64,
    },
    /// There was nothing to do.
    Unchanged {
        /// What a clamped debit left: one of an empty account takes nothing.
        not_taken: i64,
    },
    /// The command was refused.
    Rejected(Rejection),
}

/// Applies a command to a balance: a debit beyond it goes by the policy, a reset sets it, sums are checked.
///
/// The command's amount is never negative, and `balance` has no points whose last day is over. Which lots the change is
/// made of: `lot_of` and `domain::lot::split_debit`. Pure: no clock, no randomness, nothing but its arguments.
#[inline]
pub fn apply(balance: i64, command: ResolvedCommand, on_overdraft: OnOverdraft) -> Effect {
    let amount = command.amount;
    match command.operation {
        Operation::Credit if amount == 0 => Effect::Unchanged { not_taken: 0 },
        Operation::Credit => match balance.checked_add(amount) {
            Some(balance_after) => Effect::Entry { kind: EntryKind::Credit, amount, balance_after, not_taken: 0 },
            None => Effect::Rejected(Rejection::BalanceOverflow),
        },
        // Promised points are not in the balance.
        Operation::Promise if amount == 0 => Effect::Unchanged { not_taken: 0 },
        Operation::Promise => Effect::Entry { kind: EntryKind::Promise, amount, balance_after: balance, not_taken: 0 },
        Operation::Debit if amount == 0 => Effect::Unchanged { not_taken: 0 },
        Operation::Debit => debit(balance, amount, on_overdraft),
        Operation::Set if balance == amount => Effect::Unchanged { not_taken: 0 },
        Operation::Set => match amount.checked_sub(balance) {
            Some(change) => {
                Effect::Entry { kind: EntryKind::Reset, amount: change, balance_after: amount, not_taken: 0 }
            }
            None => Effect::Rejected(Rejection::BalanceOverflow),
        },
    }
}

#[inline]
fn debit(balance: i64, amount: i64, on_overdraft: OnOverdraft) -> Effect {
    let available = balance.max(0);
    let taken = match on_overdraft {
        _ if amount <= available => amount,
        OnOverdraft::Reject => return Effect::Rejected(Rejection::InsufficientBalance),
        OnOverdraft::Clamp if available == 0 => return Effect::Unchanged { not_taken: amount },
        OnOverdraft::Clamp => available,
        OnOverdraft::Allow => amount,
    };
    // The smallest number of all stands for "missing" in filter columns; no balance may be it.
    match balance.checked_sub(taken).filter(|&balance_after| balance_after != i64::MIN) {
        Some(balance_after) => {
            Effect::Entry { kind: EntryKind::Debit, amount: -taken, balance_after, not_taken: amount - taken }
        }
        None => Effect::Rejected(Rejection::BalanceOverflow),
    }
}

/// What is left of points that were added: an overdraft is paid back first. None is left if it takes all.
#[inline]
pub fn left_of_credit(amount: i64, balance_after: i64) -> i64 {
    amount.min(balance_after.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: i64 = i64::MAX;

    /// Balance, operation, amount, policy, expected effect in words: `amount → balance (not taken)`.
    #[test]
    fn commands_follow_the_rules() {
        use OnOverdraft::{Allow, Clamp, Reject};
        use Operation::{Credit, Debit, Promise, Set};
        let cases = [
            // A credit adds, whatever the policy; nothing is nothing; an overdraft is paid back first.
            (0, Credit, 50, Reject, "credit +50 → 50"),
            (0, Credit, 0, Reject, "unchanged"),
            (-30, Credit, 50, Reject, "credit +50 → 20"),
            (1, Credit, MAX, Reject, "balance_overflow"),
            (-1, Credit, MAX, Reject, "credit +9223372036854775807 → 9223372036854775806"),
            // A debit takes what is there at most, unless told otherwise.
            (50, Debit, 50, Reject, "debit -50 → 0"),
            (50, Debit, 51, Reject, "insufficient_balance"),
            (50, Debit, 0, Reject, "unchanged"),
            (-5, Debit, 0, Reject, "unchanged"),
            (50, Debit, 80, Clamp, "debit -50 → 0, 30 not taken"),
            (0, Debit, 80, Clamp, "unchanged, 80 not taken"),
            (-5, Debit, 80, Clamp, "unchanged, 80 not taken"),
            (50, Debit, 80, Allow, "debit -80 → -30"),
            (-5, Debit, 80, Allow, "debit -80 → -85"),
            (-MAX, Debit, 1, Allow, "balance_overflow"),
            // A promise leaves the balance as it is.
            (50, Promise, 80, Reject, "promise +80 → 50"),
            (-5, Promise, 80, Reject, "promise +80 → -5"),
            (50, Promise, 0, Reject, "unchanged"),
            // A reset writes the difference, also of an overdraft.
            (50, Set, 80, Reject, "reset +30 → 80"),
            (50, Set, 20, Reject, "reset -30 → 20"),
            (50, Set, 0, Reject, "reset -50 → 0"),
            (50, Set, 50, Reject, "unchanged"),
            (-5, Set, 10, Reject, "reset +15 → 10"),
            (-5, Set, MAX, Reject, "balance_overflow"),
        ];
        for (balance, operation, amount, policy, expected) in cases {
            let found = match apply(balance, ResolvedCommand::plain(operation, amount), policy) {
                Effect::Entry { kind, amount, balance_after, not_taken: 0 } => {
                    format!("{} {amount:+} → {balance_after}", kind.word())
                }
                Effect::Entry { kind, amount, balance_after, not_taken } => {
                    format!("{} {amount:+} → {balance_after}, {not_taken} not taken", kind.word())
                }
                Effect::Unchanged { not_taken: 0 } => "unchanged".into(),
                Effect::Unchanged { not_taken } => format!("unchanged, {not_taken} not taken"),
                Effect::Rejected(rejection) => rejection.code().into(),
            };
            assert_eq!(found, expected, "{balance} {operation:?} {amount} {policy:?}");
        }
    }

    #[test]
    fn a_credit_pays_an_overdraft_back_first() {
        for (balance, amount, left) in [(0, 50, 50), (10, 50, 50), (-30, 50, 20), (-50, 50, 0), (-80, 50, 0)] {
            assert_eq!(left_of_credit(amount, balance + amount), left, "{balance} {amount}");
        }
    }
}
