//! What is counted and remembered of a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    entry::EntryKind,
    expiring::Expiring,
    id::ProgramId,
    lot::Expired,
    outcome::Status,
    program::PROGRAM_DECIMALS_MAX,
    rejection::Rejection,
    time::Timestamp,
    undo::{Missing, UndoReason, UndoStatus},
};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// A points file.
    ImportPoints,
    /// A customer file.
    ImportCustomers,
    /// A file of customers whose points expire on another day.
    ImportExpiry,
    /// One customer's balance.
    Adjust,
    /// Lots whose last day is over.
    Expire,
    /// Points for all customers that a filter means.
    BulkCredit,
    /// Points taken of all customers that a filter means.
    BulkDebit,
    /// One balance for all customers that a filter means.
    BulkReset,
    /// Promised points that become available.
    BulkConvertPromised,
    /// One person's data, which leave the store.
    EraseCustomer,
    /// Two records of one person, which become one.
    MergeCustomers,
    /// An earlier job, taken back.
    Undo,
}

impl JobKind {
    /// Whether it does the same to many customers that it chose.
    pub fn is_bulk(self) -> bool {
        matches!(self, JobKind::BulkCredit | JobKind::BulkDebit | JobKind::BulkReset | JobKind::BulkConvertPromised)
    }

    /// The word that summaries show.
    pub fn word(self) -> &'static str {
        match self {
            JobKind::ImportPoints => "import-points",
            JobKind::ImportCustomers => "import-customers",
            JobKind::ImportExpiry => "import-expiry",
            JobKind::Adjust => "adjust",
            JobKind::Expire => "expire",
            JobKind::BulkCredit => "bulk-credit",
            JobKind::BulkDebit => "bulk-debit",
            JobKind::BulkReset => "bulk-reset",
            JobKind::BulkConvertPromised => "bulk-convert-promised",
            JobKind::EraseCustomer => "erase-customer",
            JobKind::MergeCustomers => "merge-customers",
            JobKind::Undo => "undo",
        }
    }

    /// Whether it can be taken back: not where what it did is more than points.
    pub fn can_be_undone(self) -> bool {
        !matches!(self, JobKind::EraseCustomer | JobKind::MergeCustomers)
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Begun and not ended: it runs, or was interrupted and can be resumed.
    Unfinished,
    /// All rows have their outcome.
    Finished,
    /// Given up in the middle: what was applied until then stays, and nothing more comes.
    Cancelled,
}

impl JobState {
    /// The word that summaries show.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Unfinished => "unfinished",
            JobState::Finished => "finished",
            JobState::Cancelled => "cancelled",
        }
    }
}

/// A sum of points, wide enough that no file overflows it. JSON shows it as a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total(pub i128);

impl Serialize for Total {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Total {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Total, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Total).map_err(serde::de::Error::custom)
    }
}

impl std::ops::AddAssign<i64> for Total {
    fn add_assign(&mut self, amount: i64) {
        self.0 += i128::from(amount);
    }
}

impl std::ops::AddAssign for Total {
    fn add_assign(&mut self, other: Total) {
        self.0 += other.0;
    }
}

/// Points of add and debit rows by what became of them: for each sign, what the file asked for is the sum of the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// What the file's readable amounts ask for.
    pub in_file: Total,
    /// What was applied.
    pub applied: Total,
    /// What stands in rejected rows.
    pub rejected: Total,
    /// What stands in rows that changed nothing.
    pub unchanged: Total,
    /// What clamped debits left.
    pub not_taken: Total,
    /// What stands in rows that say neither the currency nor the account to credit.
    #[serde(default)]
    pub not_credited: Total,
}

impl Accounting {
    /// Whether every point of the file is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.in_file.0 == self.applied.0 + self.rejected.0 + self.unchanged.0 + self.not_taken.0 + self.not_credited.0
    }

    fn add(&mut self, other: &Accounting) {
        self.in_file += other.in_file;
        self.applied += other.applied;
        self.rejected += other.rejected;
        self.unchanged += other.unchanged;
        self.not_taken += other.not_taken;
        self.not_credited += other.not_credited;
    }
}

/// What happened to the points of one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointsCounts {
    /// Sum of the entries that added points, positive.
    pub credited: Total,
    /// Sum of the entries that took points, positive.
    pub debited: Total,
    /// Sum of the points whose last day was over, positive.
    #[serde(default)]
    pub expired: Total,
    /// Sum of the points that were promised.
    #[serde(default)]
    pub promised: Total,
    /// Sum of the promised points whose last day was over, positive.
    #[serde(default)]
    pub promises_expired: Total,
    /// Sum of the points that have another last day.
    #[serde(default)]
    pub moved: Total,
    /// Credits of add rows.
    pub credits: Accounting,
    /// Debits of add rows, positive.
    pub debits: Accounting,
    /// Rows that set the balance.
    pub set_rows: u64,
    /// What these set it to, in all.
    #[serde(default)]
    pub set: Total,
    /// Rows whose amount can be read and whose operation cannot.
    #[serde(default)]
    pub unassigned_rows: u64,
    /// The amounts of these, in all.
    #[serde(default)]
    pub unassigned: Total,
}

impl PointsCounts {
    fn add(&mut self, other: &PointsCounts) {
        self.credited += other.credited;
        self.debited += other.debited;
        self.expired += other.expired;
        self.promised += other.promised;
        self.promises_expired += other.promises_expired;
        self.moved += other.moved;
        self.credits.add(&other.credits);
        self.debits.add(&other.debits);
        self.set_rows += other.set_rows;
        self.set += other.set;
        self.unassigned_rows += other.unassigned_rows;
        self.unassigned += other.unassigned;
    }

    /// Counts what an entry did to the balance.
    #[inline]
    pub fn moved(&mut self, kind: EntryKind, amount: i64) {
        match kind {
            EntryKind::Promise | EntryKind::PromiseReversal => self.promised += amount,
            EntryKind::Expire => self.expired.0 -= i128::from(amount),
            EntryKind::PromiseExpire => self.promises_expired.0 -= i128::from(amount),
            _ if amount >= 0 => self.credited += amount,
            _ => self.debited.0 -= i128::from(amount),
        }
    }

    /// Counts what expired of an account.
    #[inline]
    pub fn expire(&mut self, expired: Expired) {
        self.expired += expired.available;
        self.promises_expired += expired.promised;
    }

    /// By how much it changed the sum of the balances.
    pub fn change(&self) -> i128 {
        self.credited.0 - self.debited.0 - self.expired.0
    }

    fn amounts_total(&self) -> i128 {
        self.credits.in_file.0 - self.debits.in_file.0 + self.set.0 + self.unassigned.0
    }
}

/// What became of the accounts of a job that is undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoCounts {
    /// Accounts of which all was taken back.
    pub reversed: u64,
    /// Those of which a part was.
    pub partly_reversed: u64,
    /// Those of which nothing was.
    pub kept: u64,
    /// The last two by reason, each account by its first one.
    pub reasons: BTreeMap<UndoReason, u64>,
    /// Points that stay as the job left them, positive, by program.
    pub not_reversed: BTreeMap<u16, Total>,
}

impl UndoCounts {
    /// Counts an account.
    #[inline]
    pub fn account(&mut self, status: UndoStatus, program: ProgramId, missing: &Missing) {
        match status {
            UndoStatus::Reversed => {
                self.reversed += 1;
                return;
            }
            UndoStatus::PartlyReversed => self.partly_reversed += 1,
            UndoStatus::Kept => self.kept += 1,
        }
        if let Some(reason) = missing.reason() {
            *self.reasons.entry(reason).or_default() += 1;
        }
        *self.not_reversed.entry(program.0).or_default() += Total(missing.total());
    }

    fn add(&mut self, other: &UndoCounts) {
        self.reversed += other.reversed;
        self.partly_reversed += other.partly_reversed;
        self.kept += other.kept;
        for (&reason, &count) in &other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        for (&program, &points) in &other.not_reversed {
            *self.not_reversed.entry(program).or_default() += points;
        }
    }

    fn is_none(&self) -> bool {
        *self == UndoCounts::default()
    }
}

/// What a job, or a part of it, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records of the input.
    pub read: u64,
    /// Rows that moved points.
    pub applied: u64,
    /// Rows that created a customer.
    pub created: u64,
    /// Rows that changed a customer.
    pub updated: u64,
    /// Good rows with nothing to do.
    pub unchanged: u64,
    /// Refused rows.
    pub rejected: u64,
    /// Refused rows by reason.
    pub rejects: BTreeMap<Rejection, u64>,
    /// Points of the job's program.
    #[serde(flatten)]
    pub points: PointsCounts,
    /// Points of other programs that rows named.
    #[serde(default)]
    pub other_programs: BTreeMap<u16, PointsCounts>,
    /// Rows without a readable amount.
    pub unreadable_amounts: u64,
    /// Debits with a last day, which means nothing for points that are taken.
    #[serde(default)]
    pub expiries_ignored: u64,
    /// Cells that a rule kept from being written.
    pub kept: u64,
    /// Different customers who were there before the job and whom a row named. Rows that could not be read, or whose
    /// identifiers nobody has or several have, name nobody; rows that the balance then refuses do.
    pub customers_matched: u64,
    /// Customers created.
    pub customers_created: u64,
    /// Different customers named by more than one such row, created ones too: the row that creates one names it.
    pub customers_repeated: u64,
    /// What an undo did.
    #[serde(default, skip_serializing_if = "UndoCounts::is_none")]
    pub undo: UndoCounts,
}

impl Counts {
    /// Counts a row's outcome.
    #[inline]
    pub fn outcome(&mut self, status: Status) {
        self.read += 1;
        match status {
            Status::Applied => self.applied += 1,
            Status::Created => self.created += 1,
            Status::Updated => self.updated += 1,
            Status::Unchanged => self.unchanged += 1,
            Status::Rejected => self.rejected += 1,
        }
    }

    /// Counts a refusal's reason.
    pub fn reject(&mut self, rejection: Rejection) {
        *self.rejects.entry(rejection).or_default() += 1;
    }

    /// What is counted of a program's points; `main` is the job's program.
    #[inline]
    pub fn points_of(&mut self, program: ProgramId, main: ProgramId) -> &mut PointsCounts {
        if program == main { &mut self.points } else { self.other_programs.entry(program.0).or_default() }
    }

    /// Adds another part's counts.
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.applied += other.applied;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.rejected += other.rejected;
        for (&rejection, &count) in &other.rejects {
            *self.rejects.entry(rejection).or_default() += count;
        }
        self.points.add(&other.points);
        for (&program, points) in &other.other_programs {
            self.other_programs.entry(program).or_default().add(points);
        }
        self.unreadable_amounts += other.unreadable_amounts;
        self.expiries_ignored += other.expiries_ignored;
        self.kept += other.kept;
        self.customers_matched += other.customers_matched;
        self.customers_created += other.customers_created;
        self.customers_repeated += other.customers_repeated;
        self.undo.add(&other.undo);
    }

    /// The sum of all amounts that can be read, debits negative, in units of 10^-`PROGRAM_DECIMALS_MAX`: what
    /// `--expect-total` is compared with. Amounts that balances were set to, and those without a readable operation, stand
    /// in it as they stand in the file. `decimals` says how many a program has; none is asked for the job's own.
    pub fn amounts_total(&self, decimals: impl Fn(Option<ProgramId>) -> u8) -> i128 {
        let scaled = |points: &PointsCounts, program| {
            let missing = PROGRAM_DECIMALS_MAX.saturating_sub(decimals(program));
            points.amounts_total() * 10_i128.pow(u32::from(missing))
        };
        let others = self.other_programs.iter().map(|(&program, points)| scaled(points, Some(ProgramId(program))));
        scaled(&self.points, None) + others.sum::<i128>()
    }

    /// Whether every row and every point is accounted for: the parts add up to what was read.
    pub fn is_balanced(&self) -> bool {
        let rows = self.applied + self.created + self.updated + self.unchanged + self.rejected;
        let reasons: u64 = self.rejects.values().sum();
        let mut points = self.other_programs.values().chain([&self.points]);
        self.read == rows
            && self.rejected == reasons
            && points.all(|points| points.credits.is_balanced() && points.debits.is_balanced())
    }
}

/// Where in its input a job is: the next record to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Offset in the decompressed input.
    pub offset: u64,
    /// Number of the next chunk.
    pub chunk: u64,
    /// Physical lines before it.
    pub lines: u64,
}

/// How a job began: everything that decides what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStart {
    /// What it does.
    pub kind: JobKind,
    /// Its `now`: taken once, and never from a clock again.
    pub now: Timestamp,
    /// Version of the time-zone data that resolved its days.
    pub tz_version: String,
    /// The kind's own parameters.
    pub parameters: serde_json::Value,
    /// BLAKE3 of what makes two jobs the same, in hex; empty for jobs that may be repeated.
    pub fingerprint: String,
    /// Sum of the program's balances before.
    pub balance_before: Total,
    /// The same of other programs that rows may name.
    #[serde(default)]
    pub other_balances_before: BTreeMap<u16, Total>,
    /// Number of customers before.
    pub customers_before: u32,
    /// First customer record that may be this job's.
    pub first_record: u64,
    /// First ledger entry that may be this job's.
    pub first_sequence: u64,
    /// When the program's points expired before, of a job on expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiring_before: Option<Expiring>,
}

/// What a committed window says: the job up to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// Whether the job ended with it.
    pub state: JobState,
    /// Everything counted so far.
    pub counts: Counts,
    /// Where the next window begins.
    pub position: Position,
    /// Length of the processed report, if one is written.
    pub processed_bytes: u64,
    /// Length of the file of events until then.
    #[serde(default)]
    pub notified_bytes: u64,
    /// Bytes of the input read, as they lie in the file.
    pub bytes_read: u64,
    /// Sum of the program's balances now.
    pub balance_after: Total,
    /// Milliseconds of work so far, over all runs.
    pub elapsed_ms: u64,
    /// First and next ledger entry of this window.
    pub sequences: (u64, u64),
    /// When the program's points expire now, where a job on expiry ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiring_after: Option<ExpiringAfter>,
}

/// What a job on expiry left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiringAfter {
    /// When the program's points expire.
    pub expiring: Expiring,
    /// Whether no points of the program are of the promotion that the job named.
    #[serde(default)]
    pub is_promotion_unknown: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_travel_as_text() {
        let total = Total(i128::MAX);
        let json = serde_json::to_string(&total).unwrap();
        assert_eq!(json, format!("\"{}\"", i128::MAX));
        assert_eq!(serde_json::from_str::<Total>(&json).unwrap(), total);
    }
}
