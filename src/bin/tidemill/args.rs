//! The command line: every command, flag and accepted value. No flag is here that does nothing.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use tidemill::domain::{id::JobId, time::Timestamp};

mod bulk;
mod file;
mod notify;
mod points;
mod who;
mod values;

pub use bulk::BulkCommand;
pub use file::{CustomersArgs, ExpiryArgs, ImportCommand, PointsArgs, PreviewArgs};
pub use points::{AddArgs, AdjustArgs, AdjustCommand, DebitArgs, ExpireArgs, UndoArgs};
pub use values::check_threads;
use values::{job_id, lines, moment, threads};
use who::{FromFlag, IdentifierFlag};

use crate::exit;

/// Moves customers and points into a loyalty programme: fast, exactly once, with an answer for every row.
#[derive(Parser)]
#[command(name = "tidemill", bin_name = "tidemill", version, after_help = exit::TABLE)]
#[command(max_term_width = 100, subcommand_required = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes. What is not given is looked up in `tidemill.toml`, so nothing has a default here.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The store's directory [default: ./tidemill-data]
    #[arg(long, global = true, value_name = "DIR", env = "TIDEMILL_STORE", hide_env_values = true)]
    pub store: Option<PathBuf>,
    /// Write one JSON document to standard output and nothing else, on failure too
    #[arg(long, global = true)]
    pub json: bool,
    /// Worker threads [default: one for each processor]
    #[arg(long, global = true, value_name = "N", env = "TIDEMILL_THREADS", hide_env_values = true,
          value_parser = threads)]
    pub threads: Option<usize>,
    /// No progress and no notes: results and errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How progress is shown on standard error [default: auto]
    #[arg(long, global = true, value_name = "HOW", env = "TIDEMILL_PROGRESS", hide_env_values = true)]
    pub progress: Option<ProgressMode>,
    /// When to use colour [default: auto]
    #[arg(long, global = true, value_name = "WHEN", env = "TIDEMILL_COLOR", hide_env_values = true)]
    pub color: Option<ColorMode>,
    /// For tests: commit after about so many rows
    #[arg(long, global = true, hide = true, value_name = "N")]
    pub window_rows: Option<u64>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressMode {
    /// A bar on a terminal, lines elsewhere
    Auto,
    /// A bar, if standard error is a terminal
    Bar,
    /// A line every ten seconds
    Lines,
    /// A JSON object every second
    Json,
    /// Nothing
    None,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorMode {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Subcommand)]
pub enum Command {
    /// Import a file of customers or points
    #[command(subcommand)]
    Import(ImportCommand),
    /// Show the first rows of a file as they will be read, and what is wrong with them
    Preview(PreviewArgs),
    /// Change one customer's balance, by the rules of an import of one row
    #[command(subcommand)]
    Adjust(AdjustCommand),
    /// Credit, debit or reset all customers that a filter means
    #[command(subcommand)]
    Bulk(BulkCommand),
    /// Expire the points whose last day is over
    Expire(ExpireArgs),
    /// Show, merge or erase one customer
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// List jobs, go on with them, give them up or undo them, and get their rejected rows
    #[command(subcommand)]
    Job(JobCommand),
    /// Write customers, balances, the ledger or lots as CSV, NDJSON or Parquet
    Export(ExportArgs),
    /// The store's points programs
    #[command(subcommand)]
    Program(ProgramCommand),
    /// The store's settings and sizes
    #[command(subcommand)]
    Store(StoreCommand),
    /// List the formats of files
    Formats,
    /// Write a format's sample file
    Template(TemplateArgs),
    /// Tell those who are still to be told that a job has ended
    #[command(after_help = NOTIFY_SETTINGS)]
    Notify(NotifyCommandArgs),
    /// Check the whole store
    Verify,
    /// Write a copy of the store
    Backup(BackupArgs),
    /// Make a store of a copy
    Restore(RestoreArgs),
    /// Write a script that completes command lines in a shell
    Completions(CompletionsArgs),
    /// Measure the main works on this machine, or generate their input
    Bench(BenchArgs),
}

#[derive(Subcommand)]
pub enum CustomerCommand {
    /// Show profile, accounts and lots
    Show(ShowArgs),
    /// Show the ledger of one customer, newest first
    History(HistoryArgs),
    /// Remove everything that says who a customer is; amounts stay, without a name
    Erase(EraseArgs),
    /// Make two records of one person one: identifiers, points and history of one go to the other
    Merge(MergeArgs),
}

#[derive(Args)]
pub struct MergeArgs {
    #[command(flatten)]
    pub who: IdentifierFlag,
    #[command(flatten)]
    pub from: FromFlag,
    /// Why, for your staff: the history shows it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Say what would move, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The moment of the merge, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub now: Option<Timestamp>,
}

#[derive(Args)]
pub struct EraseArgs {
    #[command(flatten)]
    pub who: IdentifierFlag,
    /// Do not ask: what is removed cannot be brought back
    #[arg(long)]
    pub yes: bool,
    /// Say what would be removed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub who: IdentifierFlag,
}

#[derive(Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub who: IdentifierFlag,
    /// Only this program
    #[arg(long, value_name = "CODE")]
    pub program: Option<String>,
    /// Begin before this entry: the next page, as the page before it says
    #[arg(long, value_name = "ENTRY")]
    pub before: Option<u64>,
    /// Lines of a page
    #[arg(long, visible_alias = "limit", value_name = "N", default_value = "50", value_parser = lines)]
    pub lines: usize,
    /// Leave out what the customer may not see
    #[arg(long)]
    pub public: bool,
}

#[derive(Subcommand)]
pub enum JobCommand {
    /// List all jobs
    List,
    /// Show the summary of a job
    Show(JobArgs),
    /// Go on with a job that was interrupted
    Resume(ResumeArgs),
    /// Give up a job that was interrupted: what it applied stays, and it cannot be resumed
    Cancel(JobArgs),
    /// Take back what a job did to points; customers that it imported stay
    Undo(UndoArgs),
    /// Write the rejected rows of a job as CSV
    Rejects(RejectsArgs),
    /// Drop the rejected rows of a job that has ended
    Forget(JobArgs),
}

#[derive(Clone, Copy, Args)]
pub struct JobArgs {
    /// The job's number
    #[arg(value_name = "N", value_parser = job_id)]
    pub job: JobId,
}

#[derive(Clone, Copy, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Give up the processed report, whose file is lost
    #[arg(long)]
    pub without_processed: bool,
    /// Be refused instead of waiting while another job of this process runs
    #[arg(long)]
    pub no_wait: bool,
}

/// The settings of `tidemill notify`.
const NOTIFY_SETTINGS: &str = "\
Settings in `tidemill.toml`:
  [smtp]
  host = \"mail.shop.example\"             # needed, as is `from`
  from = \"Tidemill <tidemill@shop.example>\"
  security = \"starttls\"                  # or \"tls\"; \"none\" only for a server on this host
  port = 587                             # 465 for \"tls\", 25 for \"none\"
  username = \"tidemill\"                  # its password is in TIDEMILL_SMTP_PASSWORD
  timeout = 10                           # seconds that the server may be silent
  allow_insecure = false                 # \"none\" for a server elsewhere too
  [webhook]                              # the secret that signs is in TIDEMILL_WEBHOOK_SECRET
  allow_private = false                  # may reach this host and private networks, and do without TLS
  timeout = 10                           # seconds that a call may take
  [notify]
  wait = 15                              # seconds that a command goes on trying once its job is done";

#[derive(Clone, Copy, Args)]
pub struct NotifyCommandArgs {
    /// Only list the messages that were not sent
    #[arg(long, conflicts_with = "failed")]
    pub list: bool,
    /// Try those too that were given up
    #[arg(long)]
    pub failed: bool,
}

#[derive(Args)]
pub struct RejectsArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// The file; `-` or none is standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct ExportArgs {
    /// What to export
    #[arg(value_name = "WHAT")]
    pub what: ExportWhat,
    /// The file, ending in `.csv`, `.ndjson` (each also with `.gz` or `.zst`) or `.parquet`; `-` or none is standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How rows go to standard output; a file's ending says it
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<ExportTextFormat>,
    /// Leave out balances of zero (balances only)
    #[arg(long)]
    pub nonzero: bool,
}

/// What standard output can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportTextFormat {
    /// CSV, as without this flag
    Csv,
    /// A JSON object a line
    Ndjson,
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportWhat {
    /// Customers with identifiers and profile; can be imported again
    Customers,
    /// The balance of each customer in each program
    Balances,
    /// Every entry of the ledger
    Ledger,
    /// What remains of points credited together, with their expiry
    Lots,
}

#[derive(Subcommand)]
pub enum ProgramCommand {
    /// Add a points program
    Add(ProgramAddArgs),
    /// List the points programs
    List,
    /// Show what is in a program: balances, promised points, and what expires in which month
    Show(ProgramShowArgs),
}

#[derive(Args)]
pub struct ProgramAddArgs {
    /// The program's code, as files and flags name it
    #[arg(value_name = "CODE")]
    pub code: String,
    /// The program's name, for people [default: the code]
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// The ISO 4217 currency that selects the program in customer imports
    #[arg(long, value_name = "CODE")]
    pub currency: Option<String>,
    /// Decimals of the points, 0 to 4 [default: those of the currency, or 0]
    #[arg(long, value_name = "N")]
    pub decimals: Option<u8>,
}

#[derive(Args)]
pub struct ProgramShowArgs {
    /// The program's code, see `tidemill program list`
    #[arg(value_name = "CODE")]
    pub code: String,
}

#[derive(Subcommand)]
pub enum StoreCommand {
    /// Show settings and sizes
    Info,
    /// Change settings
    Set(StoreSetArgs),
    /// Write the caches anew without what is no longer used
    Compact,
}

#[derive(Args)]
#[command(group = ArgGroup::new("settings").required(true).multiple(true)
    .args(["tiers", "time_zone", "default_region", "default_comment"]))]
pub struct StoreSetArgs {
    /// The tiers, lowest first; an empty text undeclares them
    #[arg(long, value_name = "A,B,C")]
    pub tiers: Option<String>,
    /// The IANA time zone in which days begin and end
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// The country of phone numbers without country code, such as `LT`; an empty text for none
    #[arg(long, value_name = "CC")]
    pub default_region: Option<String>,
    /// What customers are told where a job gives no comment; an empty text for nothing
    #[arg(long, value_name = "TEXT")]
    pub default_comment: Option<String>,
}

#[derive(Args)]
pub struct TemplateArgs {
    /// The format's name, see `tidemill formats`
    #[arg(value_name = "FORMAT")]
    pub format: String,
    /// The file, ending in `.csv` or `.xlsx`; `-` or none is standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct BackupArgs {
    /// The directory, which must be empty or not there yet
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// The directory that `backup` wrote; the store to make is the one of `--store`, and must not exist yet
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[derive(Args)]
pub struct BenchArgs {
    /// Only write `customers.csv`, `points.csv` and what else the works read into this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "keep", "runs", "warm_memory"])]
    pub generate: Option<PathBuf>,
    /// Customers of the load
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(1..=crate::bench::CUSTOMERS_MAX))]
    pub customers: u64,
    /// Rows of its points file
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: u64,
    /// Chooses everything random in it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Work in a temporary directory in this one, on the disk to measure [default: the working directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Take and give back memory before each work, so that a host that takes back free memory is not what is measured
    #[arg(long)]
    pub warm_memory: bool,
    /// Keep the temporary directory; of several runs, the last one's
    #[arg(long)]
    pub keep: bool,
    /// Do all works so often, each time on a new store; the median is told
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// The works to do and report, in this order; the customers are imported in any case
    #[arg(long, value_name = "W0,W1,…", value_delimiter = ',', default_values = ["w0", "w1"])]
    pub works: Vec<BenchWork>,
}

/// A work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchWork {
    /// Import customers with five identifiers each into a new store
    W0,
    /// Change one attribute of each of these customers, in another order
    W0u,
    /// Import customers with bonus points from a file of inCust's into a new store
    W0i,
    /// Import points, with a line for every row in a processed report
    W1,
    /// The same with days of validity in every row: each credit is a lot
    W1x,
    /// The same with an id in every row, and the file sent a second time
    W1r,
    /// The same with 100 adjustments a second made meanwhile, and without, both in one process
    Live,
    /// Dry runs of the same rows as other programs write them: UTF-16, `;`, quoted, CRLF, `.gz`, `.zst`
    Reading,
    /// Count and credit customers by a filter, credit all, and undo that
    W2,
    /// Change when the points of all customers expire, and expire those of a tenth
    W3,
    /// Import the same rows from a workbook, of at most 1,048,575 rows
    Xlsx,
    /// Export the ledger, as Parquet, CSV and NDJSON, after the points are imported
    Export,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
