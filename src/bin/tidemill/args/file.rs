//! What commands take that read a file: the imports and `preview`.

use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Subcommand, builder::PossibleValuesParser};
use tidemill::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown},
        expiry::{ExpiryDirection, NewExpiry},
        expiry_terms::{ExpiryProfile, ExpiryTerms, parse_new_expiry},
        identifier::IdentifierKind,
        points::{Conversion, NUMBER_STYLES, Rounding},
        time::{Date, DateStyle, Timestamp},
    },
    engine::request::{
        CustomersRequest, ExpiryUpdateRequest, FileRequest, JobRequest, MaxRejects, PointsRequest, PreviewRequest,
    },
    error::{Error, Result},
    import::format::Kind,
};

use super::{
    notify::NotifyArgs,
    points::EntryFlags,
    values::{
        DATE_STYLES, IDENTIFIERS, KINDS, MODES, ON_OVERDRAFT, ON_REPEAT, ON_UNKNOWN, PROFILES, Profile, ROUNDINGS,
        character, day, delimiter, direction, factor, max_rejects, moment, one_of, rows_max,
    },
};

#[derive(Subcommand)]
pub enum ImportCommand {
    /// Credit, debit or set the points of many customers
    Points(PointsArgs),
    /// Create and update customers
    Customers(CustomersArgs),
    /// Change when points expire, of the customers in a file
    Expiry(ExpiryArgs),
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
    /// The identifier by which a row's customer is found [default: the format's, or any that is filled]
    #[arg(long, value_name = "KIND", value_parser = one_of(IDENTIFIERS))]
    key: Option<IdentifierKind>,
    /// Reject phone numbers that have not so many digits, country code included: inCust's page asks for 12
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(4..=15))]
    phone_digits: Option<u8>,
    /// Write an event for each customer that is credited, into the file of `--notifications`
    #[arg(long, requires = "notifications")]
    notify: bool,
    /// Where the events go: a JSON object a line, for the host's messaging
    #[arg(long, value_name = "FILE", requires = "notify")]
    notifications: Option<PathBuf>,
    #[command(flatten)]
    pub job: JobFlags,
}

impl CustomersArgs {
    /// What the engine is asked for.
    pub fn request(self) -> (JobRequest, CustomersRequest) {
        let request = CustomersRequest {
            file: self.file.request(),
            key: self.key,
            phone_digits: self.phone_digits,
            notifications: self.notifications.filter(|_| self.notify),
        };
        (self.job.request(), request)
    }
}

#[derive(Args)]
pub struct ExpiryArgs {
    #[command(flatten)]
    pub file: FileFlags,
    /// Which points are meant: by their last day, by what they were given for, by promotion
    #[arg(long, value_name = "PROFILE", value_parser = one_of(PROFILES))]
    profile: Profile,
    #[command(flatten)]
    terms: TermsFlags,
    #[command(flatten)]
    pub job: JobFlags,
}

impl ExpiryArgs {
    /// What the engine is asked for.
    ///
    /// # Errors
    /// When a flag is missing, or means nothing in the profile.
    pub fn request(self) -> Result<(JobRequest, ExpiryUpdateRequest)> {
        let identifier = self.terms.identifier;
        let terms = self.terms.terms(self.profile)?;
        let file = FileRequest { identifier, ..self.file.request() };
        let request = ExpiryUpdateRequest { file, terms };
        let file = request.read_file();
        Ok((self.job.request(), ExpiryUpdateRequest { file, ..request }))
    }
}

/// Which points get another last day, and which.
#[derive(Args)]
pub struct TermsFlags {
    /// Of `date-range`: the first of the last days that are meant
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Option<Date>,
    /// Of `date-range`: the last of them
    #[arg(long, value_name = "DATE", value_parser = day)]
    to: Option<Date>,
    /// Of `promotion`: the promotion that gave the points
    #[arg(long, value_name = "ID")]
    promotion: Option<String>,
    /// `early` only brings last days forward, `extended` only pushes them back; of `reference` for rows that do not say it
    #[arg(long, value_name = "early|extended", value_parser = direction)]
    change: Option<ExpiryDirection>,
    /// The new last day: `fixed:DATE`, `relative:Ndays`, `relative:Nmonths`, or `immediate`; of `reference` for rows that do
    /// not say it
    #[arg(long, value_name = "EXPIRY", value_parser = parse_new_expiry)]
    set: Option<NewExpiry>,
    /// Change promised points too
    #[arg(long)]
    include_promised: bool,
    /// What the column of identifiers holds, whatever its header [default: by its header]
    #[arg(long, value_name = "KIND", value_parser = one_of(IDENTIFIERS))]
    identifier: Option<IdentifierKind>,
}

impl TermsFlags {
    fn terms(self, profile: Profile) -> Result<ExpiryTerms> {
        let given = [
            ("--from", self.from.is_some(), Profile::DateRange),
            ("--to", self.to.is_some(), Profile::DateRange),
            ("--promotion", self.promotion.is_some(), Profile::Promotion),
        ];
        let word = |profile| PROFILES.iter().find(|(_, known)| *known == profile).map_or("", |(word, _)| *word);
        if let Some((flag, _, _)) = given.iter().find(|(_, is_given, of)| *is_given && *of != profile) {
            return Err(Error::usage(format!("`{flag}` means nothing with `--profile {}`", word(profile)))
                .hint("leave it out, or choose another profile"));
        }
        if let Some((flag, _, _)) = given.iter().find(|(_, is_given, of)| !is_given && *of == profile) {
            return Err(Error::usage(format!("`--profile {}` needs `{flag}`", word(profile)))
                .hint("see `tidemill import expiry --help`"));
        }
        let profile = match (profile, self.from, self.to, self.promotion) {
            (Profile::DateRange, Some(from), Some(to), _) => ExpiryProfile::DateRange { from, to },
            (Profile::Promotion, _, _, Some(id)) => ExpiryProfile::Promotion { id },
            _ => ExpiryProfile::Reference,
        };
        let TermsFlags { change, set, include_promised, .. } = self;
        Ok(ExpiryTerms { profile, change, set, include_promised })
    }

    /// Whether any is given.
    fn is_given(&self) -> bool {
        self.from.is_some()
            || self.to.is_some()
            || self.promotion.is_some()
            || self.change.is_some()
            || self.set.is_some()
            || self.include_promised
    }
}

#[derive(Args)]
pub struct PreviewArgs {
    #[command(flatten)]
    pub file: FileFlags,
    /// How many rows, or `all`, which are held in memory
    #[arg(long, value_name = "N|all", default_value = "50", value_parser = rows_max)]
    pub rows: u64,
    /// As what the file is to be imported [default: what its format is for; points, if for both]
    #[arg(long, value_name = "KIND", value_parser = one_of(KINDS))]
    pub kind: Option<Kind>,
    /// Show the records as the reader sees them, without a format
    #[arg(long, conflicts_with_all = ["kind", "format", "map", "no_header", "number_format", "date_format", "outcome"])]
    pub raw: bool,
    #[command(flatten)]
    pub outcome: OutcomeFlags,
    #[command(flatten)]
    pub expiry: PreviewTermsFlags,
}

/// Which points a file on expiry would change.
#[derive(Args)]
#[command(next_help_heading = "Of a file on expiry")]
pub struct PreviewTermsFlags {
    /// As of `import expiry`, as what follows
    #[arg(long, value_name = "PROFILE", value_parser = one_of(PROFILES), conflicts_with = "raw")]
    profile: Option<Profile>,
    #[command(flatten)]
    terms: TermsFlags,
}

impl PreviewArgs {
    /// What the engine is asked for.
    ///
    /// # Errors
    /// As of `ExpiryArgs`.
    pub fn request(self) -> Result<PreviewRequest> {
        let (outcome, PreviewTermsFlags { profile, terms }) = (self.outcome, self.expiry);
        if profile.is_none() && terms.is_given() {
            return Err(Error::usage("flags of `import expiry` need `--profile`, which says what they mean")
                .hint("add it, or leave them out"));
        }
        let identifier = terms.identifier;
        let expiry = profile.map(|profile| terms.terms(profile)).transpose()?;
        Ok(PreviewRequest {
            points: PointsRequest {
                file: FileRequest { identifier, ..self.file.request() },
                mode: outcome.mode,
                on_unknown: outcome.on_unknown.unwrap_or_default(),
                on_overdraft: outcome.on_overdraft.unwrap_or_default(),
                on_repeat: outcome.on_repeat.unwrap_or_default(),
                conversion: outcome.conversion.conversion(),
            },
            kind: self.kind,
            expiry,
            program: outcome.program,
            now: outcome.now,
            rows_max: self.rows,
        })
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
    /// How numbers are written: `en` reads `52,620.5`, `de` reads `52.620,5` [default: the format's]
    #[arg(long, value_name = "LANGUAGE", help_heading = READING,
          value_parser = PossibleValuesParser::new(NUMBER_STYLES))]
    number_format: Option<String>,
    /// The order of day, month and year in dates: `dmy` reads `30.06.2029`, `mdy` `06/30/2029`, `ymd` `2029/6/30` [default:
    /// the format's]
    #[arg(long, value_name = "ORDER", help_heading = READING, value_parser = one_of(DATE_STYLES))]
    date_format: Option<DateStyle>,
    #[command(flatten)]
    reading: ReadingFlags,
}

/// How the records of a file are written, and what stands where.
#[derive(Args)]
pub struct ReadingFlags {
    /// Read a field from a column, by header or, with `--no-header`, by number: `"Points Balance=amount"`; `State=ignore` leaves a column out
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
    /// Leave out so many rows above the header, empty ones counted
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = READING)]
    skip_rows: u64,
    /// The sheet of a workbook [default: the first visible one]
    #[arg(long, value_name = "NAME|NUMBER", help_heading = READING)]
    sheet: Option<String>,
}

const READING: &str = "Reading the file";

impl FileFlags {
    fn request(self) -> FileRequest {
        FileRequest {
            format: self.format,
            number_format: self.number_format,
            date_format: self.date_format,
            ..self.reading.request(self.path)
        }
    }
}

impl ReadingFlags {
    /// What the engine is asked to read.
    pub fn request(self, path: PathBuf) -> FileRequest {
        FileRequest {
            path,
            map: self.map,
            no_header: self.no_header,
            delimiter: self.delimiter,
            quote: self.quote,
            encoding: self.encoding,
            skip_rows: self.skip_rows,
            sheet: self.sheet,
            ..FileRequest::default()
        }
    }
}

/// What all imports take.
#[derive(Args)]
#[command(next_help_heading = "The job")]
pub struct JobFlags {
    #[command(flatten)]
    flags: RowsFlags,
    /// Do not keep standard input until the job ends: the job cannot be resumed, nor be refused as a repeat
    #[arg(long)]
    no_spool: bool,
}

/// What all jobs take that have many rows.
#[derive(Args)]
#[command(next_help_heading = "The job")]
pub struct RowsFlags {
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
    /// Write the rejected rows, with line, column, code and message
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Write a line for every row: what became of it, and the balance
    #[arg(long, value_name = "FILE")]
    processed: Option<PathBuf>,
    #[command(flatten)]
    notify: NotifyArgs,
}

impl JobFlags {
    /// Whether nothing shall be changed.
    pub fn dry_run(&self) -> bool {
        self.flags.entry.dry_run()
    }

    /// Whether standard input is not to be kept.
    pub fn no_spool(&self) -> bool {
        self.no_spool
    }

    fn request(self) -> JobRequest {
        self.flags.request()
    }
}

impl RowsFlags {
    /// What the engine is asked for.
    pub fn request(self) -> JobRequest {
        JobRequest {
            again: self.again,
            max_rejects: self.max_rejects,
            expect_rows: self.expect_rows,
            expect_total: self.expect_total,
            rejects: self.rejects,
            processed: self.processed,
            ..self.notify.asked(self.entry.request())
        }
    }
}
