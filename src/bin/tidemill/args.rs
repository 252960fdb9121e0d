//! The command line: every command, flag and accepted value. No flag is here that does nothing.

use std::path::PathBuf;

use clap::{
    ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde::Deserialize;
use tidemill::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown},
        id::JobId,
        identifier::IdentifierKind,
        points::{Conversion, NUMBER_STYLES, Rounding},
        time::{DateStyle, Timestamp},
    },
    engine::request::{CustomersRequest, FileRequest, JobRequest, MaxRejects, PointsRequest, PreviewRequest},
};

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
    /// Show one customer
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// List jobs, go on with them or give them up, and get their rejected rows
    #[command(subcommand)]
    Job(JobCommand),
    /// Write customers, balances, the ledger or lots as CSV
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
pub enum ImportCommand {
    /// Credit, debit or set the points of many customers
    Points(PointsArgs),
    /// Create and update customers
    Customers(CustomersArgs),
}

#[derive(Args)]
pub struct PointsArgs {
    #[command(flatten)]
    pub file: FileFlags,
    /// Add the amounts to the balances, or make them the balances; needed for files without an operation column
    #[arg(long, value_name = "MODE", value_parser = one_of(MODES))]
    pub mode: Option<Mode>,
    /// What to do with the row of an unknown customer [default: reject]
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_UNKNOWN))]
    pub on_unknown: Option<OnUnknown>,
    /// What to do with a debit beyond the balance [default: reject]
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_OVERDRAFT))]
    pub on_overdraft: Option<OnOverdraft>,
    /// Which row of a repeated customer counts when balances are set [default: first]
    #[arg(long, value_name = "WHICH", value_parser = one_of(ON_REPEAT))]
    pub on_repeat: Option<OnRepeat>,
    #[command(flatten)]
    pub conversion: ConversionFlags,
    #[command(flatten)]
    pub job: JobFlags,
}

impl PointsArgs {
    /// What the engine is asked for.
    pub fn request(self) -> (JobRequest, PointsRequest) {
        let request = PointsRequest {
            file: self.file.request(),
            mode: self.mode,
            on_unknown: self.on_unknown.unwrap_or_default(),
            on_overdraft: self.on_overdraft.unwrap_or_default(),
            on_repeat: self.on_repeat.unwrap_or_default(),
            conversion: self.conversion.conversion(),
        };
        (self.job.request(), request)
    }
}

/// How old points become new ones.
#[derive(Clone, Copy, Args)]
pub struct ConversionFlags {
    /// Multiply each amount by this, exactly: `0.1` makes one point of ten
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    multiply: Option<Conversion>,
    /// How to round products with more decimals than the program [default: such rows are rejected]
    #[arg(long, value_name = "HOW", requires = "multiply", value_parser = one_of(ROUNDINGS))]
    round: Option<Rounding>,
}

impl ConversionFlags {
    fn conversion(self) -> Option<Conversion> {
        self.multiply.map(|factor| factor.rounded(self.round))
    }
}

#[derive(Args)]
pub struct CustomersArgs {
    #[command(flatten)]
    pub file: FileFlags,
    #[command(flatten)]
    pub job: JobFlags,
}

impl CustomersArgs {
    /// What the engine is asked for.
    pub fn request(self) -> (JobRequest, CustomersRequest) {
        (self.job.request(), CustomersRequest { file: self.file.request() })
    }
}

#[derive(Args)]
pub struct PreviewArgs {
    #[command(flatten)]
    pub file: FileFlags,
    /// How many rows, or `all`, which are held in memory
    #[arg(long, value_name = "N|all", default_value = "50", value_parser = rows_max)]
    pub rows: u64,
    /// Show the records as the reader sees them, without a format
    #[arg(long, conflicts_with_all = ["format", "map", "no_header", "number_format", "date_format", "outcome"])]
    pub raw: bool,
    #[command(flatten)]
    pub outcome: OutcomeFlags,
}

impl PreviewArgs {
    /// What the engine is asked for.
    pub fn request(self) -> PreviewRequest {
        let outcome = self.outcome;
        PreviewRequest {
            points: PointsRequest {
                file: self.file.request(),
                mode: outcome.mode,
                on_unknown: outcome.on_unknown.unwrap_or_default(),
                on_overdraft: outcome.on_overdraft.unwrap_or_default(),
                on_repeat: outcome.on_repeat.unwrap_or_default(),
                conversion: outcome.conversion.conversion(),
            },
            program: outcome.program,
            now: outcome.now,
            rows_max: self.rows,
        }
    }
}

/// How the rows would be imported: with `--store` each is shown with what would become of it.
#[derive(Args)]
#[command(group = ArgGroup::new("outcome").multiple(true)
    .args(["mode", "on_unknown", "on_overdraft", "on_repeat", "program", "now"]))]
#[command(next_help_heading = "The outcome, with --store")]
pub struct OutcomeFlags {
    /// As of `import points`
    #[arg(long, value_name = "MODE", value_parser = one_of(MODES))]
    mode: Option<Mode>,
    /// As of `import points`
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_UNKNOWN))]
    on_unknown: Option<OnUnknown>,
    /// As of `import points`
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_OVERDRAFT))]
    on_overdraft: Option<OnOverdraft>,
    /// As of `import points`
    #[arg(long, value_name = "WHICH", value_parser = one_of(ON_REPEAT))]
    on_repeat: Option<OnRepeat>,
    #[command(flatten)]
    conversion: ConversionFlags,
    /// The points program [default: the store's first]
    #[arg(long, value_name = "CODE")]
    program: Option<String>,
    /// Take this as the present moment [default: the clock's]
    #[arg(long, value_name = "RFC3339", value_parser = moment)]
    now: Option<Timestamp>,
}

/// The input of an import, and how to read it.
#[derive(Args)]
pub struct FileFlags {
    /// The file, or `-` for standard input; `.gz` and `.zst` are read as they are
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// The file's format, see `tidemill formats` [default: recognised from the header]
    #[arg(long, value_name = "NAME", help_heading = READING)]
    format: Option<String>,
    /// Read a field from a column, by header or, with `--no-header`, by number: `"Points Balance=amount"`
    #[arg(long, value_name = "COLUMN=FIELD", action = ArgAction::Append, help_heading = READING)]
    map: Vec<String>,
    /// The first record is data, not a header
    #[arg(long, help_heading = READING)]
    no_header: bool,
    /// The character between cells, or `comma`, `semicolon`, `tab`, `pipe` [default: recognised]
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = READING)]
    delimiter: Option<u8>,
    /// The character around cells [default: recognised]
    #[arg(long, value_name = "CHAR", value_parser = character, help_heading = READING)]
    quote: Option<u8>,
    /// The file's encoding [default: recognised]
    #[arg(long, value_name = "NAME", help_heading = READING,
          value_parser = PossibleValuesParser::new(["utf-8", "utf-16le", "utf-16be", "windows-1252"]))]
    encoding: Option<String>,
    /// How numbers are written: `en` reads `52,620.5`, `de` reads `52.620,5` [default: the format's]
    #[arg(long, value_name = "LANGUAGE", help_heading = READING,
          value_parser = PossibleValuesParser::new(NUMBER_STYLES))]
    number_format: Option<String>,
    /// The order of day, month and year in dates: `dmy` reads `30.06.2029`, `mdy` reads `06/30/2029` [default: the format's]
    #[arg(long, value_name = "ORDER", help_heading = READING, value_parser = one_of(DATE_STYLES))]
    date_format: Option<DateStyle>,
    /// Leave out so many rows above the header, empty ones counted
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = READING)]
    skip_rows: u64,
}

const READING: &str = "Reading the file";

impl FileFlags {
    fn request(self) -> FileRequest {
        FileRequest {
            path: self.path,
            spooled: None,
            stream: None,
            upload: None,
            format: self.format,
            map: self.map,
            no_header: self.no_header,
            delimiter: self.delimiter,
            quote: self.quote,
            encoding: self.encoding,
            number_format: self.number_format,
            date_format: self.date_format,
            skip_rows: self.skip_rows,
        }
    }
}

/// What all imports take.
#[derive(Args)]
#[command(next_help_heading = "The job")]
pub struct JobFlags {
    #[command(flatten)]
    entry: EntryFlags,
    /// Apply the file even if an earlier job did
    #[arg(long)]
    again: bool,
    /// Refuse the whole job, changing nothing, if more rows than this would be rejected
    #[arg(long, value_name = "N|N%", value_parser = max_rejects)]
    max_rejects: Option<MaxRejects>,
    /// Refuse the whole job, changing nothing, unless the file has so many rows
    #[arg(long, value_name = "N")]
    expect_rows: Option<u64>,
    /// Refuse the whole job, changing nothing, unless the file's amounts sum up to this
    #[arg(long, value_name = "POINTS", allow_hyphen_values = true)]
    expect_total: Option<String>,
    /// Do not keep standard input until the job ends: the job cannot be resumed, nor be refused as a repeat
    #[arg(long)]
    no_spool: bool,
    /// Write the rejected rows, with line, column, code and message
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Write a line for every row: what became of it, and the balance
    #[arg(long, value_name = "FILE")]
    processed: Option<PathBuf>,
}

impl JobFlags {
    /// Whether nothing shall be changed.
    pub fn dry_run(&self) -> bool {
        self.entry.dry_run
    }

    /// Whether standard input is not to be kept.
    pub fn no_spool(&self) -> bool {
        self.no_spool
    }

    fn request(self) -> JobRequest {
        JobRequest {
            again: self.again,
            max_rejects: self.max_rejects,
            expect_rows: self.expect_rows,
            expect_total: self.expect_total,
            rejects: self.rejects,
            processed: self.processed,
            ..self.entry.request()
        }
    }
}

/// What all changes of points take.
#[derive(Args)]
#[command(next_help_heading = "The job")]
pub struct EntryFlags {
    /// The points program [default: the store's first]
    #[arg(long, value_name = "CODE")]
    program: Option<String>,
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

impl EntryFlags {
    /// What the engine is asked for.
    pub fn request(self) -> JobRequest {
        JobRequest {
            program: self.program,
            reason: self.reason,
            comment: self.comment,
            dry_run: self.dry_run,
            now: self.now,
            no_wait: self.no_wait,
            ..JobRequest::default()
        }
    }
}

#[derive(Subcommand)]
pub enum AdjustCommand {
    /// Add points
    Credit(AdjustArgs),
    /// Take points
    Debit(DebitArgs),
    /// Make this the balance
    Reset(AdjustArgs),
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
pub struct DebitArgs {
    #[command(flatten)]
    pub adjust: AdjustArgs,
    /// What to do if the balance is smaller [default: reject]
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_OVERDRAFT), help_heading = "The job")]
    pub on_overdraft: Option<OnOverdraft>,
}

/// Who: one or more identifiers of one customer.
#[derive(Args)]
#[command(group = ArgGroup::new("who").required(true).multiple(true).args(WHO), next_help_heading = "The customer")]
pub struct IdentifierFlags {
    #[command(flatten)]
    identifiers: Identifiers,
}

impl IdentifierFlags {
    /// The given identifiers, by kind.
    pub fn pairs(self) -> Vec<(IdentifierKind, String)> {
        self.identifiers.pairs()
    }
}

/// Who: exactly one identifier.
#[derive(Args)]
#[command(group = ArgGroup::new("who").required(true).multiple(false).args(WHO), next_help_heading = "The customer")]
pub struct IdentifierFlag {
    #[command(flatten)]
    identifiers: Identifiers,
}

impl IdentifierFlag {
    /// The given identifier. There always is one: the command line was refused otherwise.
    pub fn pair(&self) -> (IdentifierKind, &str) {
        let given = IdentifierKind::ALL.iter().find_map(|&kind| Some((kind, self.identifiers.of(kind)?)));
        given.unwrap_or((IdentifierKind::UserId, ""))
    }
}

const WHO: [&str; 5] = ["user_id", "external_id", "email", "mobile", "card"];

#[derive(Args)]
struct Identifiers {
    /// The customer's user id
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The customer's id in another system
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// The customer's e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The customer's mobile number
    #[arg(long, value_name = "NUMBER")]
    mobile: Option<String>,
    /// A card of the customer
    #[arg(long, value_name = "NUMBER")]
    card: Option<String>,
}

impl Identifiers {
    fn of(&self, kind: IdentifierKind) -> Option<&str> {
        match kind {
            IdentifierKind::UserId => self.user_id.as_deref(),
            IdentifierKind::ExternalId => self.external_id.as_deref(),
            IdentifierKind::Email => self.email.as_deref(),
            IdentifierKind::Mobile => self.mobile.as_deref(),
            IdentifierKind::Card => self.card.as_deref(),
        }
    }

    fn pairs(&self) -> Vec<(IdentifierKind, String)> {
        IdentifierKind::ALL.iter().filter_map(|&kind| Some((kind, self.of(kind)?.to_owned()))).collect()
    }
}

#[derive(Subcommand)]
pub enum CustomerCommand {
    /// Show profile, accounts and lots
    Show(ShowArgs),
    /// Show the ledger of one customer, newest first
    History(HistoryArgs),
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
    #[arg(long, value_name = "N", default_value = "50", value_parser = lines)]
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
    /// The file, ending in `.csv`; `-` or none is standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave out balances of zero (balances only)
    #[arg(long)]
    pub nonzero: bool,
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
    /// Decimals of the points, 0 to 4
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub decimals: u8,
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
    /// The file, ending in `.csv`; `-` or none is standard output
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
    /// Only write `customers.csv` and `points.csv` into this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "keep", "works"])]
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
    /// Keep the temporary directory
    #[arg(long)]
    pub keep: bool,
    /// The works to do and report, in this order; the customers are imported in any case
    #[arg(long, value_name = "W0,W1,…", value_delimiter = ',', default_values = ["w0", "w1"])]
    pub works: Vec<BenchWork>,
}

/// A work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchWork {
    /// Import customers with five identifiers each into a new store
    W0,
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
}

const MODES: &[(&str, Mode)] = &[("add", Mode::Add), ("reset", Mode::Reset)];
const ON_UNKNOWN: &[(&str, OnUnknown)] = &[("reject", OnUnknown::Reject), ("create", OnUnknown::Create)];
const ON_OVERDRAFT: &[(&str, OnOverdraft)] =
    &[("reject", OnOverdraft::Reject), ("clamp", OnOverdraft::Clamp), ("allow", OnOverdraft::Allow)];
const ROUNDINGS: &[(&str, Rounding)] = &[("down", Rounding::Down), ("half-up", Rounding::HalfUp), ("up", Rounding::Up)];
const DATE_STYLES: &[(&str, DateStyle)] = &[("iso", DateStyle::Iso), ("dmy", DateStyle::Dmy), ("mdy", DateStyle::Mdy)];
const ON_REPEAT: &[(&str, OnRepeat)] = &[("first", OnRepeat::First), ("last", OnRepeat::Last)];

/// Reads one of these words. The library's types know nothing of command lines.
fn one_of<T>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let meaning = |given: String| {
        let found = words.iter().find(|(word, _)| *word == given);
        found.map(|&(_, meaning)| meaning).ok_or("not one of the words")
    };
    PossibleValuesParser::new(words.iter().map(|&(word, _)| word)).try_map(meaning)
}

fn threads(given: &str) -> Result<usize, String> {
    let number = given.parse().map_err(|_| "not a whole number".to_owned())?;
    check_threads(number)
}

/// Returns the number of threads if it is one that a machine can have.
pub fn check_threads(number: usize) -> Result<usize, String> {
    if (1..=THREADS_MAX).contains(&number) { Ok(number) } else { Err(format!("not in 1 to {THREADS_MAX}")) }
}

/// More than any machine has processors; a mistyped number must not exhaust the system.
const THREADS_MAX: usize = 1024;

fn job_id(given: &str) -> Result<JobId, String> {
    match given.parse() {
        Ok(0) | Err(_) => Err("jobs are numbered 1, 2, 3 …: see `tidemill job list`".to_owned()),
        Ok(number) => Ok(JobId(number)),
    }
}

fn moment(given: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(given)
        .ok_or_else(|| "not a moment as RFC 3339 writes it, such as `2026-11-05T08:30:00Z`".to_owned())
}

fn rows_max(given: &str) -> Result<u64, String> {
    match given {
        "all" => Ok(u64::MAX),
        _ => given.parse().map_err(|_| "not a number of rows, and not `all`".to_owned()),
    }
}

fn factor(given: &str) -> Result<Conversion, String> {
    Conversion::new(given, None)
        .ok_or_else(|| "not a number above zero with at most 9 decimals, such as `0.1`".to_owned())
}

fn lines(given: &str) -> Result<usize, String> {
    given
        .parse()
        .ok()
        .filter(|lines| (1..=10_000).contains(lines))
        .ok_or_else(|| "not a number from 1 to 10000".to_owned())
}

fn max_rejects(given: &str) -> Result<MaxRejects, String> {
    let reads = match given.strip_suffix('%') {
        Some(percent) => percent.trim().parse().ok().filter(|percent| *percent <= 100).map(MaxRejects::Percent),
        None => given.parse().ok().map(MaxRejects::Rows),
    };
    reads.ok_or_else(|| "not a number of rows, and not a whole number of percent from `0%` to `100%`".to_owned())
}

fn delimiter(given: &str) -> Result<u8, String> {
    match given {
        "comma" => Ok(b','),
        "semicolon" => Ok(b';'),
        "tab" | "\\t" => Ok(b'\t'),
        "pipe" => Ok(b'|'),
        _ => character(given),
    }
}

fn character(given: &str) -> Result<u8, String> {
    match given.as_bytes() {
        &[byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\r\n".contains(&byte) => Ok(byte),
        _ => Err("not one ASCII character that is no letter or digit".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!(max_rejects("12"), Ok(MaxRejects::Rows(12)));
        assert_eq!(max_rejects("5%"), Ok(MaxRejects::Percent(5)));
        for wrong in ["", "%", "101%", "-1", "1.5%", "x"] {
            assert!(max_rejects(wrong).is_err(), "{wrong}");
        }
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert_eq!(delimiter(";"), Ok(b';'));
        for wrong in ["", ",,", "a", "–"] {
            assert!(delimiter(wrong).is_err(), "{wrong}");
        }
        assert_eq!(job_id("7"), Ok(JobId(7)));
        assert!(job_id("0").is_err() && job_id("x").is_err());
        assert!(threads("0").is_err() && threads("1025").is_err() && threads("2") == Ok(2));
    }
}
