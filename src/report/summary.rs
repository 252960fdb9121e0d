//! The summary of a job: the JSON of the command line, as a type.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::{
    domain::{
        id::JobId,
        job::{Counts, JobKind, JobState},
        rejection::Rejection,
    },
    report::amount::amount_text,
};

/// Rows by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
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
}

/// Points that moved, as decimal text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PointSums {
    /// Added.
    pub credited: String,
    /// Taken.
    pub debited: String,
    /// Expired.
    pub expired: String,
}

/// Where the points of a file's add and debit rows went, as decimal text: `in_file` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SignAccount {
    /// What the file's readable amounts ask for.
    pub in_file: String,
    /// What was applied.
    pub applied: String,
    /// What stands in rejected rows.
    pub rejected: String,
    /// What stands in rows that changed nothing.
    pub unchanged: String,
    /// What clamped debits left.
    pub not_taken: String,
}

/// The file's points, per sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilePoints {
    /// Of credits.
    pub credits: SignAccount,
    /// Of debits, positive.
    pub debits: SignAccount,
    /// Rows that set the balance, which are not in the sums.
    pub set_rows: u64,
    /// What these set it to, in all.
    pub set: String,
    /// Rows with a readable amount and no readable operation, which are in no sum either.
    pub unassigned_rows: u64,
    /// The amounts of these, in all.
    pub unassigned: String,
    /// Rows without a readable amount, which are not either.
    pub unreadable_rows: u64,
}

/// The sum of a program's balances, as decimal text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BalanceChange {
    /// Before the job.
    pub before: String,
    /// After it.
    pub after: String,
}

/// Customers that the file named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CustomerCounts {
    /// Different ones that were there before the job.
    pub matched: u64,
    /// Created.
    pub created: u64,
    /// Different ones named by more than one row.
    pub repeated: u64,
}

/// The summary of a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Its number; none for a dry run.
    pub job: Option<JobId>,
    /// What it did.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// The format of its file, if it has one.
    pub format: Option<String>,
    /// Rows by outcome.
    pub rows: RowCounts,
    /// Points that moved.
    pub points: PointSums,
    /// The program's balances.
    pub balance: BalanceChange,
    /// Customers.
    pub customers: CustomerCounts,
    /// Rejected rows by code.
    pub rejects: BTreeMap<&'static str, u64>,
    /// Seconds from opening the store to durable, over all runs of the job.
    pub elapsed_s: f64,
    /// Rows read for each of them.
    pub rows_per_s: f64,
    /// Bytes read of the input, as they lie in the file.
    pub bytes_read: u64,
    /// The program's code.
    pub program: String,
    /// Whether nothing was changed or recorded on purpose.
    pub dry_run: bool,
    /// Cells that a rule kept from being written.
    pub kept: u64,
    /// Where the file's points went.
    pub file_points: FilePoints,
    /// Columns of the input that no field reads.
    pub ignored_columns: Vec<String>,
    /// Files written.
    pub files: Vec<String>,
    /// Internal reason.
    pub reason: Option<String>,
    /// Input, as it was named.
    pub input: Option<String>,
    /// What the job's rows and windows cost; only right after the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What a run of a job cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Seconds to load the store's tables.
    pub load_s: f64,
    /// Seconds from then until all rows were durable.
    pub apply_s: f64,
    /// Seconds to write caches and reports afterwards.
    pub finish_s: f64,
    /// Bytes the log took in.
    pub log_bytes: u64,
    /// Bytes of the processed report.
    pub processed_bytes: u64,
    /// Windows made durable in this run.
    pub windows: u64,
    /// Milliseconds a window took to become durable: median, 99th percentile, longest.
    pub window_ms: [u64; 3],
}

/// What a summary is made of.
pub struct SummaryParts<'a> {
    /// The job's number.
    pub job: Option<JobId>,
    /// Its kind.
    pub kind: JobKind,
    /// Its state.
    pub state: JobState,
    /// Its format.
    pub format: Option<String>,
    /// Its counts.
    pub counts: &'a Counts,
    /// Balances before and after.
    pub balance: (i128, i128),
    /// Program code and decimals.
    pub program: (String, u8),
    /// Milliseconds of work.
    pub elapsed_ms: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

impl Summary {
    /// Names the reports that the job wrote.
    pub fn list_reports(&mut self, rejects: &Option<PathBuf>, processed: &Option<PathBuf>) {
        self.files.extend([rejects, processed].into_iter().flatten().map(|path| path.display().to_string()));
    }

    /// The summary of these parts.
    pub fn new(parts: SummaryParts<'_>) -> Summary {
        let counts = parts.counts;
        let text = |amount: i128| amount_text(amount, parts.program.1);
        let account = |account: &crate::domain::job::Accounting| SignAccount {
            in_file: text(account.in_file.0),
            applied: text(account.applied.0),
            rejected: text(account.rejected.0),
            unchanged: text(account.unchanged.0),
            not_taken: text(account.not_taken.0),
        };
        let elapsed_s = parts.elapsed_ms as f64 / 1000.0;
        Summary {
            job: parts.job,
            kind: parts.kind,
            state: parts.state,
            format: parts.format,
            rows: RowCounts {
                read: counts.read,
                applied: counts.applied,
                created: counts.created,
                updated: counts.updated,
                unchanged: counts.unchanged,
                rejected: counts.rejected,
            },
            points: PointSums { credited: text(counts.credited.0), debited: text(counts.debited.0), expired: text(0) },
            balance: BalanceChange { before: text(parts.balance.0), after: text(parts.balance.1) },
            customers: CustomerCounts {
                matched: counts.customers_matched,
                created: counts.customers_created,
                repeated: counts.customers_repeated,
            },
            rejects: counts.rejects.iter().map(|(rejection, &count)| (Rejection::code(*rejection), count)).collect(),
            elapsed_s,
            rows_per_s: if elapsed_s > 0.0 { (counts.read as f64 / elapsed_s).round() } else { 0.0 },
            bytes_read: parts.bytes_read,
            program: parts.program.0.clone(),
            dry_run: parts.job.is_none(),
            kept: counts.kept,
            file_points: FilePoints {
                credits: account(&counts.credits),
                debits: account(&counts.debits),
                set_rows: counts.set_rows,
                set: text(counts.set.0),
                unassigned_rows: counts.unassigned_rows,
                unassigned: text(counts.unassigned.0),
                unreadable_rows: counts.unreadable_amounts,
            },
            ignored_columns: Vec::new(),
            files: Vec::new(),
            reason: None,
            input: None,
            cost: None,
        }
    }
}
