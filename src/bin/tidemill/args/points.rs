//! What commands take that change points: of one customer, or of all whose points have expired.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tidemill::{
    domain::{
        command::OnOverdraft,
        id::JobId,
        time::{Date, Timestamp},
        undo::OnSpent,
    },
    engine::request::{ExpireRequest, JobRequest, PointsExpiry, UndoRequest},
};

use super::{
    notify::NotifyArgs,
    values::{ON_OVERDRAFT, ON_SPENT, day, days_of_validity, job_id, moment, one_of},
    who::IdentifierFlags,
};

#[derive(Subcommand)]
pub enum AdjustCommand {
    /// Add points
    Credit(AddArgs),
    /// Take points
    Debit(DebitArgs),
    /// Make this the balance
    Reset(AddArgs),
}

#[derive(Args)]
pub struct AdjustArgs {
    /// The points; to credit a negative number is to debit it
    #[arg(value_name = "AMOUNT", allow_negative_numbers = true)]
    pub amount: String,
    #[command(flatten)]
    pub who: IdentifierFlags,
    #[command(flatten)]
    pub entry: EntryFlags,
}

#[derive(Args)]
pub struct AddArgs {
    #[command(flatten)]
    pub adjust: AdjustArgs,
    #[command(flatten)]
    pub expiry: ExpiryFlags,
}

/// How long points that are added are valid.
#[derive(Clone, Copy, Args)]
#[command(next_help_heading = "The job")]
pub struct ExpiryFlags {
    /// The last day of points that are added [default: none, they are permanent]
    #[arg(long, value_name = "DATE", value_parser = day, conflicts_with = "expires_in")]
    expires_on: Option<Date>,
    /// Points that are added are valid to the end of today and so many days
    #[arg(long, value_name = "DAYS", value_parser = days_of_validity)]
    expires_in: Option<u32>,
}

impl ExpiryFlags {
    /// How long; none: for ever.
    pub fn expiry(self) -> Option<PointsExpiry> {
        self.expires_on.map(PointsExpiry::On).or(self.expires_in.map(PointsExpiry::InDays))
    }
}

#[derive(Args)]
pub struct DebitArgs {
    #[command(flatten)]
    pub adjust: AdjustArgs,
    /// What to do if the balance is smaller [default: reject]
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_OVERDRAFT), help_heading = "The job")]
    pub on_overdraft: Option<OnOverdraft>,
}

#[derive(Args)]
pub struct ExpireArgs {
    /// Expire points whose last day is before this one; one to come needs `--dry-run` [default: today]
    #[arg(long, value_name = "DATE", value_parser = day)]
    as_of: Option<Date>,
    #[command(flatten)]
    job: ExpireJobFlags,
}

/// What expiring takes of what jobs take: there is no file, and so nothing to be rejected.
#[derive(Args)]
#[command(next_help_heading = "The job")]
struct ExpireJobFlags {
    /// Only this points program [default: all]
    #[arg(long, value_name = "CODE")]
    program: Option<String>,
    #[command(flatten)]
    change: ChangeFlags,
    #[command(flatten)]
    notify: NotifyArgs,
}

impl ExpireArgs {
    /// What the engine is asked for.
    pub fn request(self) -> (JobRequest, ExpireRequest) {
        let ExpireJobFlags { program, change, notify } = self.job;
        (JobRequest { program, ..notify.asked(change.request()) }, ExpireRequest { as_of: self.as_of })
    }
}

#[derive(Args)]
pub struct UndoArgs {
    /// The number of the job to take back
    #[arg(value_name = "N", value_parser = job_id)]
    job: JobId,
    /// What to do where points that it added were spent [default: keep]
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_SPENT), help_heading = "The job")]
    on_spent: Option<OnSpent>,
    /// Write what became of each account to this file
    #[arg(long, value_name = "FILE", help_heading = "The job")]
    processed: Option<PathBuf>,
    #[command(flatten)]
    change: ChangeFlags,
    #[command(flatten)]
    notify: NotifyArgs,
}

impl UndoArgs {
    /// What the engine is asked for.
    pub fn request(self) -> (JobRequest, UndoRequest) {
        let job = JobRequest { processed: self.processed, ..self.change.request() };
        let job = self.notify.asked(job);
        (job, UndoRequest { job: self.job, on_spent: self.on_spent.unwrap_or_default() })
    }
}

/// What all changes of points in one program take.
#[derive(Args)]
#[command(next_help_heading = "The job")]
pub struct EntryFlags {
    /// The points program [default: the store's first]
    #[arg(long, value_name = "CODE")]
    program: Option<String>,
    #[command(flatten)]
    change: ChangeFlags,
}

impl EntryFlags {
    /// Whether nothing shall be changed.
    pub fn dry_run(&self) -> bool {
        self.change.dry_run
    }

    /// What the engine is asked for.
    pub fn request(self) -> JobRequest {
        JobRequest { program: self.program, ..self.change.request() }
    }
}

/// What all changes of points take.
#[derive(Args)]
#[command(next_help_heading = "The job")]
struct ChangeFlags {
    /// Why, for your own staff
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Why, as the customer is told
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Say what would happen; change and record nothing
    #[arg(long)]
    dry_run: bool,
    /// Take this as the present moment [default: the clock's]
    #[arg(long, value_name = "RFC3339", value_parser = moment)]
    now: Option<Timestamp>,
    /// Be refused instead of waiting while another job of this process runs
    #[arg(long)]
    no_wait: bool,
}

impl ChangeFlags {
    fn request(self) -> JobRequest {
        JobRequest {
            reason: self.reason,
            comment: self.comment,
            dry_run: self.dry_run,
            now: self.now,
            no_wait: self.no_wait,
            ..JobRequest::default()
        }
    }
}
