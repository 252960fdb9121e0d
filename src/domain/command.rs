//! What a row asks for.

use serde::{Deserialize, Serialize};

use super::{
    reference::Reference,
    time::{Date, Timestamp},
};

/// What to do with an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Add it.
    Credit = 0,
    /// Take it.
    Debit = 1,
    /// Make it the balance.
    Set = 2,
    /// Promise it: it is added when the promise is kept.
    Promise = 3,
}

/// What happens to a debit beyond the available balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOverdraft {
    /// The row is rejected.
    #[default]
    Reject,
    /// What is there is taken.
    Clamp,
    /// The balance becomes negative; a later credit pays that back first.
    Allow,
}

/// What happens to a row whose customer nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// The row is rejected.
    #[default]
    Reject,
    /// The customer is created with the row's identifiers.
    Create,
}

/// What happens to a customer's second and later rows in a file that resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRepeat {
    /// The first row counts; later ones with another amount are rejected.
    #[default]
    First,
    /// Each row takes effect in turn.
    Last,
}

/// Whether a file without operations adds its amounts or makes them the balances. Never guessed: a wrong guess doubles
/// every balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Positive amounts are credits, negative ones debits.
    Add,
    /// The balance becomes the amount.
    Reset,
}

/// What tells points that are added from the account's plain ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LotTerms {
    /// Their last day; none: permanent.
    pub expires_on: Option<Date>,
    /// When they were earned; none: now.
    pub credited_at: Option<Timestamp>,
    /// Their reference and promotion.
    pub reference: Reference,
}

/// A command for one account, complete: applying it needs nothing but the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedCommand {
    /// What to do.
    pub operation: Operation,
    /// With how much; never negative.
    pub amount: i64,
    /// Of what kind the points are that it adds.
    pub terms: LotTerms,
}

impl ResolvedCommand {
    /// A command on permanent points without reference.
    pub fn plain(operation: Operation, amount: i64) -> ResolvedCommand {
        ResolvedCommand { operation, amount, terms: LotTerms::default() }
    }

    /// Whether points that it adds are a lot of their own.
    #[inline]
    pub fn makes_lot(&self) -> bool {
        self.terms.expires_on.is_some() || self.terms.reference.is_some() || self.operation == Operation::Promise
    }
}
