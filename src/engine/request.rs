//! What a caller asks the engine for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown, Operation},
        expiry_terms::ExpiryTerms,
        filter::FilterText,
        id::JobId,
        identifier::IdentifierKind,
        message::Notify,
        points::Conversion,
        time::{Date, DateStyle, Timestamp},
        undo::OnSpent,
    },
    import::{format::Kind, source::Stream, spool::Spooled},
};

/// How many rejected rows a job may have before it is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxRejects {
    /// So many.
    Rows(u64),
    /// So many of a hundred rows.
    Percent(u8),
}

/// What all jobs take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRequest {
    /// The program's code; none: the store's first.
    pub program: Option<String>,
    /// Internal reason.
    pub reason: Option<String>,
    /// Comment shown to the customer.
    pub comment: Option<String>,
    /// Give every outcome and total, change and record nothing.
    pub dry_run: bool,
    /// The job's `now`; none: the clock's.
    pub now: Option<Timestamp>,
    /// Apply the file even if an earlier job did.
    pub again: bool,
    /// Refuse the whole job when more rows than this would be rejected.
    pub max_rejects: Option<MaxRejects>,
    /// Refuse the whole job unless the file has so many rows.
    pub expect_rows: Option<u64>,
    /// Refuse the whole job unless the file's amounts sum up to this, in the program's decimals.
    pub expect_total: Option<String>,
    /// Be refused instead of waiting while another job of this process runs.
    pub no_wait: bool,
    /// Where to write the rejected rows.
    pub rejects: Option<PathBuf>,
    /// Where to write a line for every row.
    pub processed: Option<PathBuf>,
    /// Whom to tell when the job ends. Dry runs tell nobody, nor do adjustments, erasures and merges, which are done when they
    /// return.
    pub notify: Notify,
}

/// How an unfinished job goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResumeRequest {
    /// Give up the processed report, whose file is lost: the job goes on without one.
    pub without_processed: bool,
    /// Be refused instead of waiting while another job of this process runs.
    pub no_wait: bool,
}

/// The input of a job and how to read it; what is left out is recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRequest {
    /// The file; for a spooled stream what messages and the summary call it, such as `-`.
    pub path: PathBuf,
    /// The stream that is read instead of a file, see `Engine::spool`.
    pub spooled: Option<Spooled>,
    /// The stream that is read instead of a file and not kept: its job cannot be resumed, nor known again as a repeat.
    pub stream: Option<Stream>,
    /// The format's name.
    pub format: Option<String>,
    /// `COLUMN=field`, by header or, without a header, by number.
    pub map: Vec<String>,
    /// The first record is data.
    pub no_header: bool,
    /// The delimiter.
    pub delimiter: Option<u8>,
    /// The quote.
    pub quote: Option<u8>,
    /// The encoding's name.
    pub encoding: Option<String>,
    /// How numbers are written, by the name of a language.
    pub number_format: Option<String>,
    /// How dates are written.
    pub date_format: Option<DateStyle>,
    /// Rows before the header, empty lines among them.
    pub skip_rows: u64,
    /// The sheet of a workbook, by name or by number among the visible ones; none: the first visible one.
    pub sheet: Option<String>,
    /// What the only column of identifiers holds, whatever its header; none: its header says it.
    pub identifier: Option<IdentifierKind>,
}

/// A points file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointsRequest {
    /// The file.
    pub file: FileRequest,
    /// Add or reset; mandatory for files without an operation column.
    pub mode: Option<Mode>,
    /// What happens to unknown customers.
    pub on_unknown: OnUnknown,
    /// What happens to debits beyond the balance.
    pub on_overdraft: OnOverdraft,
    /// What happens to repeated customers when resetting.
    pub on_repeat: OnRepeat,
    /// How the file's amounts become points of the program.
    pub conversion: Option<Conversion>,
}

/// The first rows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewRequest {
    /// The file, and for outcomes how it would be imported; policies mean nothing for a customer file.
    pub points: PointsRequest,
    /// What it would be imported as; none: what its format, or the header, says.
    pub kind: Option<Kind>,
    /// What a file on expiry would do; none: of a file that says it itself, only what is in it.
    pub expiry: Option<ExpiryTerms>,
    /// The program's code; none: the store's first.
    pub program: Option<String>,
    /// The present moment; none: the clock's.
    pub now: Option<Timestamp>,
    /// How many rows.
    pub rows_max: u64,
}

/// A customer file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomersRequest {
    /// The file.
    pub file: FileRequest,
    /// The identifier by which a row's customer is found; none: the format's, or any that is filled.
    pub key: Option<IdentifierKind>,
    /// How many digits every phone number must have.
    pub phone_digits: Option<u8>,
    /// Where an event is written for each customer that the job credits, a JSON object a line.
    pub notifications: Option<PathBuf>,
}

/// A file that changes when points expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryUpdateRequest {
    /// The file. Its format is its profile's, where it names none.
    pub file: FileRequest,
    /// Which points, and when they shall expire.
    pub terms: ExpiryTerms,
}

impl ExpiryUpdateRequest {
    /// The file with the format that it is read by.
    pub fn read_file(&self) -> FileRequest {
        let format = self.file.format.clone().or_else(|| Some(self.terms.profile.format_name().to_owned()));
        FileRequest { format, ..self.file.clone() }
    }
}

/// One customer's adjustment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdjustRequest {
    /// Who: all that are known must be the same customer's.
    pub identifiers: Vec<(IdentifierKind, String)>,
    /// What to do.
    pub operation: Operation,
    /// With how much, as written; a negative amount of a credit is a debit.
    pub amount: String,
    /// What happens to a debit beyond the balance.
    pub on_overdraft: OnOverdraft,
    /// How long points that it adds are valid; none: for ever.
    pub expiry: Option<PointsExpiry>,
}

/// Whom a bulk operation means: all conditions must hold, and whom a file names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionRequest {
    /// Conditions on attributes.
    #[serde(default, skip_serializing_if = "FilterText::is_empty")]
    pub filter: FilterText,
    /// A file that names customers; whom it names twice counts once.
    #[serde(skip)]
    pub file: Option<FileRequest>,
    /// Everybody: nothing else may be said then.
    #[serde(default)]
    pub all: bool,
}

impl SelectionRequest {
    /// Whether nothing is said.
    pub fn is_nobody(&self) -> bool {
        !self.all && self.filter.is_empty() && self.file.is_none()
    }

    /// In words, for summaries; `has_file`: among those whom a file names.
    pub fn text(&self, has_file: bool) -> String {
        let FilterText { balance, ltv, orders, created_after, created_before, tiers } = &self.filter;
        let day = |day: &Option<Date>| day.map(|day| day.to_string());
        let tiers = (!tiers.is_empty()).then(|| tiers.join(", "));
        let parts = [
            ("balance", balance.clone()),
            ("LTV", ltv.clone()),
            ("orders", orders.clone()),
            ("created after", day(created_after)),
            ("created before", day(created_before)),
            ("tier", tiers),
        ];
        let mut parts: Vec<_> =
            parts.into_iter().filter_map(|(name, part)| Some(format!("{name} {}", part?))).collect();
        if has_file {
            parts.insert(0, "the customers of the file".to_owned());
        }
        if self.all { "all customers".to_owned() } else { parts.join("; ") }
    }
}

/// How many points each customer gets or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Points {
    /// The same for all, as written.
    Amount(String),
    /// For each unit of LTV: an exact decimal.
    PerLtv(String),
    /// For each order, as written.
    PerOrder(String),
    /// It is only counted whom a selection means.
    Unsaid,
}

/// What a bulk operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkOperation {
    /// Adds points.
    Credit {
        /// How many.
        points: Points,
        /// How long they are valid; none: for ever.
        expiry: Option<PointsExpiry>,
    },
    /// Takes points.
    Debit {
        /// How many.
        points: Points,
    },
    /// Makes promised points available: those given for something of a type, or by a promotion.
    ConvertPromised {
        /// Type of what they were given for.
        ref_type: Option<String>,
        /// What they were given for, of that type.
        ref_id: Option<String>,
        /// The promotion that gave them.
        promotion_id: Option<String>,
    },
    /// Sets balances.
    Reset {
        /// To what, as written.
        to: String,
    },
}

/// One operation for all customers that a selection means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRequest {
    /// What to do.
    pub operation: BulkOperation,
    /// Whom.
    pub selection: SelectionRequest,
    /// What happens to a debit beyond the balance; none: what is there is taken.
    pub on_overdraft: Option<OnOverdraft>,
    /// Whether a count says how it was found.
    pub explain: bool,
}

/// How long points are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointsExpiry {
    /// To the end of this day.
    On(Date),
    /// To the end of today and so many days.
    InDays(u32),
}

/// Two records of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRequest {
    /// By which the customer is known that stays.
    pub into: (IdentifierKind, String),
    /// By which the one is known that becomes part of it.
    pub from: (IdentifierKind, String),
}

/// Lots whose last day is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireRequest {
    /// Lots whose last day is before this one; none: before today.
    pub as_of: Option<Date>,
}

/// A job to take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRequest {
    /// Its number.
    pub job: JobId,
    /// What happens where points that it added were spent.
    pub on_spent: OnSpent,
}

/// What `store set` changes; none leaves a setting as it is, an empty text clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// Tiers, lowest first.
    pub tiers: Option<Vec<String>>,
    /// Time zone.
    pub time_zone: Option<String>,
    /// Region of phone numbers without country code.
    pub default_region: Option<String>,
    /// Comment shown where a job gives none.
    pub default_comment: Option<String>,
}
