//! What the engine answers to questions about customers and the store.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{id::JobId, outcome::Status, rejection::Rejection};

/// One customer: profile, accounts, lots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomerView {
    /// Internal number.
    pub customer: u32,
    /// `user_id`
    pub user_id: Option<String>,
    /// `external_id`
    pub external_id: Option<String>,
    /// `email`
    pub email: Option<String>,
    /// `mobile`
    pub mobile: Option<String>,
    /// Cards in the order they were added.
    pub cards: Vec<String>,
    /// `name`
    pub name: Option<String>,
    /// `YYYY-MM-DD`
    pub birthday: Option<String>,
    /// `gender`
    pub gender: Option<String>,
    /// `consent`
    pub consent: Option<String>,
    /// `tier`
    pub tier: Option<String>,
    /// Decimal text.
    pub ltv: Option<String>,
    /// `orders`
    pub orders: Option<u32>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// Identifiers of customers that were merged into this one, of which it has another; they name it too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former_identifiers: Vec<FormerIdentifier>,
    /// The numbers of these customers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<u32>,
    /// One for each program.
    pub accounts: Vec<AccountView>,
}

/// An identifier that a customer had who was merged into another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FormerIdentifier {
    /// Its kind's name.
    pub kind: String,
    /// Its value, normalised.
    pub value: String,
}

/// A customer's account in one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// The program's code.
    pub program: String,
    /// Decimal text.
    pub balance: String,
    /// Promised points, decimal text.
    pub promised: String,
    /// Entries so far are reached from this one; none if there is none.
    pub newest_entry: Option<u64>,
    /// Its lots.
    pub lots: Vec<LotView>,
}

/// One lot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LotView {
    /// Decimal text.
    pub remaining: String,
    /// `available` or `promised`.
    pub state: String,
    /// Last day; none: permanent.
    pub expires_on: Option<String>,
    /// Type of what the points were given for.
    pub ref_type: Option<String>,
    /// What they were given for.
    pub ref_id: Option<String>,
    /// The promotion that gave them.
    pub promotion_id: Option<String>,
    /// When they were earned, RFC 3339; none for the account's plain points, which came at many times.
    pub credited_at: Option<String>,
}

/// One line of a customer's history, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryLine {
    /// The entry's number.
    pub sequence: u64,
    /// RFC 3339.
    pub time: String,
    /// The program's code.
    pub program: String,
    /// The entry's kind.
    pub kind: String,
    /// Signed decimal text.
    pub amount: String,
    /// Decimal text.
    pub balance_after: String,
    /// Last day of the points that the entry added or expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
    /// Their former last day, where the entry changed it; none: they had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on_before: Option<String>,
    /// Type of what the points were given for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_type: Option<String>,
    /// What they were given for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_id: Option<String>,
    /// The promotion that gave them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<String>,
    /// What it took of lots that are dated, referenced or promised, in that order; what is missing came of permanent points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<TakenLine>,
    /// The entry that it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverses: Option<u64>,
    /// The job that wrote it; left out of what the customer may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Physical line of the job's input; left out likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Internal reason; left out likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the customer is shown.
    pub comment: Option<String>,
    /// The number of the customer whose entry it is, if that one was merged into this one; left out likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<u32>,
}

/// What an entry took of a lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TakenLine {
    /// The number of the entry that credited the lot.
    pub lot: u64,
    /// Decimal text, above zero.
    pub amount: String,
}

/// A page of a customer's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryPage {
    /// Lines, newest first.
    pub lines: Vec<HistoryLine>,
    /// Pass it as `before` to get the next page; none: this was the last.
    pub next_before: Option<u64>,
}

/// Whom a bulk operation means, and what it would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountView {
    /// How many customers.
    pub customers: u64,
    /// Points that a credit gives, a debit takes, or by which a reset changes the balances; decimal text.
    pub points: String,
    /// Sum of their balances, decimal text.
    pub balance_before: String,
    /// What it would be.
    pub balance_after: String,
    /// The first of them.
    pub sample: Vec<SampleView>,
    /// The program's code.
    pub program: String,
    /// Customers who would be refused: the balance is too small or would be too large.
    pub refused: u64,
    /// Rows of the file of customers that name nobody, by code.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejects: BTreeMap<&'static str, u64>,
    /// How it was found, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<ExplainView>,
}

/// One of the customers whom a bulk operation means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SampleView {
    /// `user_id`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `external_id`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// `email`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `mobile`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile: Option<String>,
    /// The first card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Signed decimal text.
    pub points: String,
    /// Decimal text.
    pub balance_before: String,
    /// Decimal text.
    pub balance_after: String,
}

/// How a filter was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainView {
    /// Customers of the store.
    pub customers: u64,
    /// Pages of each column.
    pub pages: u64,
    /// Whether there was a condition beyond being a customer.
    pub is_filtered: bool,
    /// Conditions in the order in which they were evaluated: the most selective first.
    pub conditions: Vec<ConditionView>,
    /// Milliseconds of it all.
    pub elapsed_ms: f64,
}

/// How a condition was evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionView {
    /// What it looks at.
    pub condition: &'static str,
    /// Pages on which nobody was left when its turn came.
    pub pages_empty: u64,
    /// Pages of which the smallest and largest value said enough.
    pub pages_skipped: u64,
    /// Pages whose values were read.
    pub pages_read: u64,
    /// Values that were looked at.
    pub rows_tested: u64,
    /// Customers that were left then.
    pub customers_left: u64,
}

/// What an adjustment did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdjustView {
    /// The job that it is; none in a dry run.
    pub job: Option<JobId>,
    /// Its outcome.
    pub status: Status,
    /// Why it was refused.
    pub code: Option<Rejection>,
    /// The same in words, or what a clamped debit left.
    pub message: Option<String>,
    /// Signed decimal text of what moved.
    pub amount: String,
    /// Decimal text; none if the customer is not known.
    pub balance: Option<String>,
}

/// A program and the points in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramView {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Decimals of its amounts.
    pub decimals: u8,
    /// ISO 4217 code of its currency.
    pub currency: Option<String>,
    /// Accounts with a ledger entry.
    pub accounts: u64,
    /// Sum of all balances, decimal text: what the program owes, less overdrafts.
    pub balance: String,
    /// Promised points, decimal text: in no balance yet.
    pub promised: String,
    /// Points by the month of their last day, earliest first.
    pub expiring: Vec<MonthView>,
    /// Points that never expire, less overdrafts.
    pub permanent: String,
    /// Points whose last day is over and which no job has expired yet: in no balance, promised ones included.
    pub overdue: String,
}

/// What expires in one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonthView {
    /// `YYYY-MM`.
    pub month: String,
    /// Points that can be spent until then, decimal text.
    pub available: String,
    /// Promised points, decimal text.
    pub promised: String,
}

/// A store at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreView {
    /// Its directory.
    pub directory: String,
    /// Version of its format.
    pub format_version: u32,
    /// Number of customers.
    pub customers: u32,
    /// Number of identifiers in the stored runs.
    pub identifiers: u64,
    /// Number of ledger entries.
    pub ledger_entries: u64,
    /// Number of jobs.
    pub jobs: u32,
    /// Log records not yet reflected by the caches: replayed at open.
    pub cache_lag: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Declared tiers, lowest first.
    pub tiers: Vec<String>,
    /// Time zone.
    pub time_zone: String,
    /// Region of phone numbers without country code.
    pub default_region: Option<String>,
    /// Comment shown where a job gives none.
    pub default_comment: Option<String>,
    /// Codes of its programs.
    pub programs: Vec<String>,
}

/// What became of a job's rejected rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ForgetView {
    /// The job.
    pub job: JobId,
    /// How many rows were dropped now.
    pub rows_dropped: u64,
}

/// A customer who was erased, and what of the person left the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EraseView {
    /// The job that it is; none in a dry run.
    pub job: Option<JobId>,
    /// The customer's number, under which the amounts stay.
    pub customer: u32,
    /// Identifiers, which nobody has any more.
    pub identifiers: u64,
    /// Records of the customer that said something.
    pub records: u64,
    /// Rejected rows of imports that named the person: their line, code and column stay.
    pub rejected_rows: u64,
    /// Pages of ledger entries with reasons, comments or references that named the person.
    pub ledger_pages: u64,
    /// Jobs whose reason, comment or file names named the person.
    pub jobs: u64,
}

/// Two customers that became one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MergeView {
    /// The job that it is; none in a dry run.
    pub job: Option<JobId>,
    /// The number of the customer that stays.
    pub customer: u32,
    /// The number of the one that became part of it.
    pub merged: u32,
    /// Identifiers that name the customer now, former ones among them.
    pub identifiers: u64,
    /// Those of them of which the customer has another, and which name it all the same.
    pub former_identifiers: u64,
    /// What moved, by program; programs in which nothing did are left out.
    pub programs: Vec<MergedPoints>,
}

/// What a merge did in one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MergedPoints {
    /// The program's code.
    pub program: String,
    /// Points that came to the balance, decimal text; negative: an overdraft.
    pub moved: String,
    /// Promised points that came.
    pub promised: String,
    /// The balance with them.
    pub balance: String,
    /// What of both customers' points had expired before, promised ones included.
    pub expired: String,
}

/// A backup that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupView {
    /// Its directory.
    pub directory: String,
    /// Bytes of its files, those included that are links.
    pub bytes: u64,
}

/// What writing the store's caches anew gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CompactView {
    /// Bytes on disk before.
    pub bytes_before: u64,
    /// Bytes on disk now.
    pub bytes_after: u64,
}

/// What a check of the whole store found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyView {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Equal content, equal digest.
    pub digest: DigestView,
    /// Number of customers.
    pub customers: u64,
    /// Number of accounts with a ledger entry.
    pub accounts: u64,
    /// Number of ledger entries.
    pub ledger_entries: u64,
    /// What is wrong, the first hundred of it.
    pub problems: Vec<String>,
}

/// Digests in hex over exported values, without job times, seeds or layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DigestView {
    /// Of customers.
    pub customers: String,
    /// Of accounts.
    pub accounts: String,
    /// Of ledger entries.
    pub ledger: String,
}
