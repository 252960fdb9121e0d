//! The summary of a job: the JSON of the command line, as a type.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::{
    domain::{
        expiring::{Expiring, MonthSums},
        expiry_terms::{ExpiryProfile, ExpiryTerms},
        id::JobId,
        job::{Accounting, Counts, ExpiringAfter, JobKind, JobState, PointsCounts, Total, UndoCounts},
        message::{Channel, Message, MessageState},
        rejection::Rejection,
        undo::UndoReason,
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
    /// Promised: in no balance yet.
    pub promised: String,
    /// Promised points that expired.
    pub promises_expired: String,
    /// Points that have another last day; only of jobs on expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
}

/// Points that expire in a month, as decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpiringMonth {
    /// As in `2027-03`.
    pub month: String,
    /// Points that can be spent until then.
    pub available: String,
    /// Promised points.
    pub promised: String,
}

/// When the program's points expired before a job, and do after it: those that were or are valid on the job's day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpiringChange {
    /// By month, before.
    pub before: Vec<ExpiringMonth>,
    /// By month, after: with adjustments that came while it ran.
    pub after: Vec<ExpiringMonth>,
    /// Points that never expire.
    pub permanent: BalanceChange,
}

impl ExpiringChange {
    /// Whether no points were or are valid.
    pub fn is_nothing(&self) -> bool {
        let is_zero = |text: &String| !text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        let permanent = [&self.permanent.before, &self.permanent.after].into_iter().all(is_zero);
        permanent && self.before.is_empty() && self.after.is_empty()
    }

    fn of(before: &Expiring, after: &Expiring, decimals: u8) -> ExpiringChange {
        let months = |expiring: &Expiring| {
            let month = |(month, sums): (&String, &MonthSums)| ExpiringMonth {
                month: month.clone(),
                available: amount_text(sums.available.0, decimals),
                promised: amount_text(sums.promised.0, decimals),
            };
            expiring.months.iter().map(month).collect()
        };
        ExpiringChange {
            before: months(before),
            after: months(after),
            permanent: BalanceChange::of((before.permanent.0, after.permanent.0), decimals),
        }
    }
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
    /// What stands in rows that say neither the currency nor the account to credit.
    pub not_credited: String,
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

/// What happened to the points of another program than the job's, which rows named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProgramSums {
    /// The program's code.
    pub program: String,
    /// Points that moved.
    pub points: PointSums,
    /// The program's balances before, and with what the job changed: without adjustments that came while it ran.
    pub balance: BalanceChange,
    /// Where the file's points went.
    pub file_points: FilePoints,
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

/// What became of the accounts that an undone job had changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoSums {
    /// The job that is undone.
    pub undoes: JobId,
    /// Accounts of which all was taken back.
    pub reversed: u64,
    /// Those of which a part was.
    pub partly_reversed: u64,
    /// Those of which nothing was.
    pub kept: u64,
    /// The last two by reason, each account by its first one.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Points of the program that stay as the job left them, decimal text.
    pub not_reversed: String,
    /// The same of other programs, by code, where there are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub other_not_reversed: BTreeMap<String, String>,
    /// Customers that the job created or changed, which stay.
    pub customers_stay: u64,
}

impl UndoSums {
    /// What the counts of an undo are in words. `main` is the job's program with its decimals; `not_reversed` has all programs'
    /// codes and decimals.
    pub fn new(
        undoes: JobId,
        counts: &UndoCounts,
        main: (u16, u8),
        not_reversed: BTreeMap<u16, (String, u8, Total)>,
        customers_stay: u64,
    ) -> UndoSums {
        let of_main = counts.not_reversed.get(&main.0).copied().unwrap_or_default();
        let others = not_reversed.into_iter().filter(|(program, _)| *program != main.0);
        UndoSums {
            undoes,
            reversed: counts.reversed,
            partly_reversed: counts.partly_reversed,
            kept: counts.kept,
            reasons: counts.reasons.iter().map(|(reason, &count)| (UndoReason::code(*reason), count)).collect(),
            not_reversed: amount_text(of_main.0, main.1),
            other_not_reversed: others
                .map(|(_, (code, decimals, points))| (code, amount_text(points.0, decimals)))
                .collect(),
            customers_stay,
        }
    }
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
    /// The same for other programs that rows named, whose points are not in the sums above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_programs: Vec<ProgramSums>,
    /// Debits with a last day, which was ignored.
    pub expiries_ignored: u64,
    /// Columns of the input that no field reads.
    pub ignored_columns: Vec<String>,
    /// Files written.
    pub files: Vec<String>,
    /// When the program's points expire, before and after a job on expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiring: Option<ExpiringChange>,
    /// What may not be as it was meant, though nothing was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Internal reason.
    pub reason: Option<String>,
    /// Whom a bulk operation means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
    /// Input, as it was named.
    pub input: Option<String>,
    /// The encoding that it was read in.
    pub encoding: Option<String>,
    /// What an undo did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<UndoSums>,
    /// The job that has undone this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<JobId>,
    /// Whom it tells, and how far that is; only where one job is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
    /// What the job's rows and windows cost; only right after the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// Somebody who is told of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The job.
    pub job: JobId,
    /// By which the other side knows a message that it gets twice.
    pub id: String,
    /// The way that it takes.
    pub channel: Channel,
    /// The e-mail address, or the URL without what stands behind its `?`.
    pub recipient: String,
    /// How far it is.
    pub state: MessageState,
    /// How often it was tried.
    pub attempts: u32,
    /// What became of the last attempt, if it failed.
    pub error: Option<String>,
    /// When it was tried last, RFC 3339.
    pub last_tried: Option<String>,
    /// From when on it is tried again by itself, RFC 3339; none: at once, or never more.
    pub next_try: Option<String>,
}

impl Notification {
    /// A message as people may see it.
    pub fn of(message: &Message) -> Notification {
        Notification {
            job: message.job,
            id: message.id.clone(),
            channel: message.channel,
            recipient: message.shown_recipient().to_owned(),
            state: message.state,
            attempts: message.attempts,
            error: message.error.clone(),
            last_tried: message.last_tried.map(|moment| moment.to_string()),
            next_try: message.due.map(|moment| moment.to_string()),
        }
    }
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
    /// Of other programs that rows may have named: code, decimals, sum of the balances before.
    pub others: BTreeMap<u16, (String, u8, Total)>,
    /// Milliseconds of work.
    pub elapsed_ms: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

impl Summary {
    /// Names the reports that the job wrote.
    pub fn list_reports(
        &mut self,
        rejects: &Option<PathBuf>,
        processed: &Option<PathBuf>,
        notifications: &Option<PathBuf>,
    ) {
        self.files
            .extend([rejects, processed, notifications].into_iter().flatten().map(|path| path.display().to_string()));
    }

    /// Tells when points expire, before and after the job; warns of a promotion that no points have.
    pub fn tell_expiring(
        &mut self,
        before: &Expiring,
        after: &ExpiringAfter,
        decimals: u8,
        terms: Option<&ExpiryTerms>,
    ) {
        self.expiring = Some(ExpiringChange::of(before, &after.expiring, decimals));
        if let (true, Some(ExpiryProfile::Promotion { id })) =
            (after.is_promotion_unknown, terms.map(|terms| &terms.profile))
        {
            let program = &self.program;
            self.warnings.push(format!("no points of the program `{program}` are of the promotion `{id}`"));
        }
    }

    /// The summary of these parts.
    pub fn new(parts: SummaryParts<'_>) -> Summary {
        let counts = parts.counts;
        let elapsed_s = parts.elapsed_ms as f64 / 1000.0;
        let (code, decimals) = parts.program;
        let other = |(program, points): (&u16, &PointsCounts)| {
            let (code, decimals, before) = parts.others.get(program)?;
            Some(ProgramSums {
                program: code.clone(),
                points: PointSums::of(points, *decimals),
                balance: BalanceChange::of((before.0, before.0 + points.change()), *decimals),
                file_points: FilePoints::of(points, 0, *decimals),
            })
        };
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
            points: PointSums {
                moved: (parts.kind == JobKind::ImportExpiry).then(|| amount_text(counts.points.moved.0, decimals)),
                ..PointSums::of(&counts.points, decimals)
            },
            balance: BalanceChange::of(parts.balance, decimals),
            customers: CustomerCounts {
                matched: counts.customers_matched,
                created: counts.customers_created,
                repeated: counts.customers_repeated,
            },
            rejects: counts.rejects.iter().map(|(rejection, &count)| (Rejection::code(*rejection), count)).collect(),
            elapsed_s,
            rows_per_s: if elapsed_s > 0.0 { (counts.read as f64 / elapsed_s).round() } else { 0.0 },
            bytes_read: parts.bytes_read,
            program: code,
            dry_run: parts.job.is_none(),
            kept: counts.kept,
            file_points: FilePoints::of(&counts.points, counts.unreadable_amounts, decimals),
            other_programs: counts.other_programs.iter().filter_map(other).collect(),
            expiries_ignored: counts.expiries_ignored,
            ignored_columns: Vec::new(),
            files: Vec::new(),
            expiring: None,
            warnings: Vec::new(),
            reason: None,
            selection: None,
            input: None,
            encoding: None,
            undo: None,
            undone_by: None,
            notifications: Vec::new(),
            cost: None,
        }
    }
}

impl PointSums {
    fn of(points: &PointsCounts, decimals: u8) -> PointSums {
        PointSums {
            credited: amount_text(points.credited.0, decimals),
            debited: amount_text(points.debited.0, decimals),
            expired: amount_text(points.expired.0, decimals),
            promised: amount_text(points.promised.0, decimals),
            promises_expired: amount_text(points.promises_expired.0, decimals),
            moved: None,
        }
    }
}

impl BalanceChange {
    fn of((before, after): (i128, i128), decimals: u8) -> BalanceChange {
        BalanceChange { before: amount_text(before, decimals), after: amount_text(after, decimals) }
    }
}

impl FilePoints {
    fn of(points: &PointsCounts, unreadable_rows: u64, decimals: u8) -> FilePoints {
        let text = |amount: Total| amount_text(amount.0, decimals);
        let account = |account: &Accounting| SignAccount {
            in_file: text(account.in_file),
            applied: text(account.applied),
            rejected: text(account.rejected),
            unchanged: text(account.unchanged),
            not_taken: text(account.not_taken),
            not_credited: text(account.not_credited),
        };
        FilePoints {
            credits: account(&points.credits),
            debits: account(&points.debits),
            set_rows: points.set_rows,
            set: text(points.set),
            unassigned_rows: points.unassigned_rows,
            unassigned: text(points.unassigned),
            unreadable_rows,
        }
    }
}
