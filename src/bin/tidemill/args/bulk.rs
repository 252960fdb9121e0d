//! What bulk operations take: whom, how much, and the job.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use tidemill::{
    domain::{command::OnOverdraft, filter::FilterText, time::Date},
    engine::request::{BulkOperation, BulkRequest, JobRequest, Points, SelectionRequest},
};

use super::{
    file::{ReadingFlags, RowsFlags},
    points::ExpiryFlags,
    values::{ON_OVERDRAFT, day, one_of},
};

#[derive(Subcommand)]
pub enum BulkCommand {
    /// Add points to all customers that a filter means
    Credit(BulkCreditArgs),
    /// Take points from all customers that a filter means
    Debit(BulkDebitArgs),
    /// Set the balance of all customers that a filter means
    Reset(BulkResetArgs),
    /// Make promised points available
    ConvertPromised(BulkConvertPromisedArgs),
}

#[derive(Args)]
#[command(group = ArgGroup::new("promised").required(true).args(["ref_type", "promotion"]))]
pub struct BulkConvertPromisedArgs {
    /// Points that were given for something of this type
    #[arg(long, value_name = "TYPE", help_heading = "Which points")]
    ref_type: Option<String>,
    /// Of those, only what was given for this
    #[arg(long, value_name = "ID", requires = "ref_type", help_heading = "Which points")]
    ref_id: Option<String>,
    /// Points that this promotion gave
    #[arg(long, value_name = "ID", help_heading = "Which points")]
    promotion: Option<String>,
    #[command(flatten)]
    bulk: BulkFlags,
}

#[derive(Args)]
pub struct BulkCreditArgs {
    #[command(flatten)]
    points: PointsFlags,
    #[command(flatten)]
    expiry: ExpiryFlags,
    #[command(flatten)]
    bulk: BulkFlags,
}

#[derive(Args)]
pub struct BulkDebitArgs {
    #[command(flatten)]
    points: PointsFlags,
    /// What to do with a debit beyond the balance [default: clamp]
    #[arg(long, value_name = "WHAT", value_parser = one_of(ON_OVERDRAFT), help_heading = "How much")]
    on_overdraft: Option<OnOverdraft>,
    #[command(flatten)]
    bulk: BulkFlags,
}

#[derive(Args)]
pub struct BulkResetArgs {
    /// What the balance becomes
    #[arg(long, value_name = "POINTS", help_heading = "How much", allow_hyphen_values = true)]
    to: String,
    #[command(flatten)]
    bulk: BulkFlags,
}

/// How many points; a count can do without.
#[derive(Args)]
#[command(next_help_heading = "How much", group = ArgGroup::new("points").multiple(false)
    .args(["amount", "per_ltv", "per_order"]))]
struct PointsFlags {
    /// The same for everybody
    #[arg(long, value_name = "POINTS", allow_hyphen_values = true)]
    amount: Option<String>,
    /// For each unit of LTV, rounded down: `1` makes 5,000 points of an LTV of 5,000
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    per_ltv: Option<String>,
    /// For each order
    #[arg(long, value_name = "POINTS", allow_hyphen_values = true)]
    per_order: Option<String>,
}

impl PointsFlags {
    fn points(self) -> Points {
        let amount = self.amount.map(Points::Amount);
        amount.or(self.per_ltv.map(Points::PerLtv)).or(self.per_order.map(Points::PerOrder)).unwrap_or(Points::Unsaid)
    }
}

/// Whom: all conditions must hold.
#[derive(Args)]
#[command(next_help_heading = "Whom")]
struct SelectionFlags {
    /// Whose balance is in this range; either end may be left out, both are included
    #[arg(long, value_name = "MIN..MAX", allow_hyphen_values = true)]
    balance: Option<String>,
    /// Whose LTV is in this range
    #[arg(long, value_name = "MIN..MAX", allow_hyphen_values = true)]
    ltv: Option<String>,
    /// Whose number of orders is in this range
    #[arg(long, value_name = "MIN..MAX", allow_hyphen_values = true)]
    orders: Option<String>,
    /// Who was created later than on this day
    #[arg(long, value_name = "DATE", value_parser = day)]
    created_after: Option<Date>,
    /// Who was created earlier than on this day
    #[arg(long, value_name = "DATE", value_parser = day)]
    created_before: Option<Date>,
    /// Who is in one of these tiers; `gold+` is gold and above
    #[arg(long, value_name = "A,B|A+", value_delimiter = ',')]
    tier: Vec<String>,
    /// Whom this file names; `-` is standard input
    #[arg(long, value_name = "FILE")]
    customers: Option<PathBuf>,
    /// Everybody
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    reading: ReadingFlags,
}

/// What all bulk operations take.
#[derive(Args)]
struct BulkFlags {
    #[command(flatten)]
    selection: SelectionFlags,
    /// Tell how many customers it means, and what it would do; change nothing
    #[arg(long, help_heading = "Look first")]
    count: bool,
    /// The same, and how it was found: pages skipped and read, values tested, time
    #[arg(long, help_heading = "Look first")]
    explain: bool,
    #[command(flatten)]
    rows: RowsFlags,
}

/// A bulk operation as the command line asks for it.
pub struct BulkArgs {
    /// What all jobs take.
    pub job: JobRequest,
    /// What is asked for.
    pub request: BulkRequest,
    /// Whether it is only counted.
    pub counts: bool,
}

impl BulkFlags {
    fn args(self, operation: BulkOperation, on_overdraft: Option<OnOverdraft>) -> BulkArgs {
        let SelectionFlags { balance, ltv, orders, created_after, created_before, tier, customers, all, reading } =
            self.selection;
        let filter = FilterText { balance, ltv, orders, created_after, created_before, tiers: tier };
        let file = customers.map(|path| reading.request(path));
        let selection = SelectionRequest { filter, file, all };
        BulkArgs {
            job: self.rows.request(),
            request: BulkRequest { operation, selection, on_overdraft, explain: self.explain },
            counts: self.count || self.explain,
        }
    }
}

impl BulkCommand {
    /// What is asked for.
    pub fn args(self) -> BulkArgs {
        match self {
            BulkCommand::Credit(credit) => {
                let expiry = credit.expiry.expiry();
                credit.bulk.args(BulkOperation::Credit { points: credit.points.points(), expiry }, None)
            }
            BulkCommand::Debit(debit) => {
                debit.bulk.args(BulkOperation::Debit { points: debit.points.points() }, debit.on_overdraft)
            }
            BulkCommand::ConvertPromised(convert) => {
                let BulkConvertPromisedArgs { ref_type, ref_id, promotion, bulk } = convert;
                bulk.args(BulkOperation::ConvertPromised { ref_type, ref_id, promotion_id: promotion }, None)
            }
            BulkCommand::Reset(reset) => reset.bulk.args(BulkOperation::Reset { to: reset.to }, None),
        }
    }
}
