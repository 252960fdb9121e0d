//! Random files, options and moments for the model test.
//!
//! A row is made together with the truth about it, so nobody has to parse the bytes to know what they mean: [`Written`]
//! holds both. Repeats, conflicts and taken cards are common, as ten people own all identifiers; so are lots that are over,
//! as jobs go forth and back within some weeks.
//!
//! Exports leave out what is over on the day of the test, whichever that is. So the days of a world lie in 2004 or in 2096,
//! and none between [`CLOCK_YEARS`].
//!
//! Only what is decided is generated. Left out, because two readers could both be right: a `+` before an amount,
//! `.5` and `5.`, domains without a dot, phones without country code, `30.0` days, a quote left open before rows that hold
//! quotes.

use proptest::{prelude::*, sample::select};

use self::{
    cells::{
        CUSTOMERS, CUSTOMERS_NAME_PARTS, INCUST, INCUST_AMOUNT, INCUST_SHORT, TIDEMILL, TIDEMILL_AMOUNT,
        TIDEMILL_NAMES, TIDEMILL_OPERATION,
    },
    written::{FilePlan, RowPlan, Written},
};
use super::model::{
    Job, Kind, Model,
    calendar::{Day, Moment, day, moment_text},
    customers::{CustomersFormat, CustomersOptions},
    expiry::{ExpiryOptions, Picks},
    points::{Format, Mode, OnOverdraft, OnRepeat, OnUnknown, PointsOptions},
    undo::OnSpent,
};

pub mod written;
pub mod cells;
pub mod expiry;
pub mod live;
mod tests;

/// Programs of a world, the one that a new store has first.
pub const PROGRAMS: [&str; 3] = ["points", "coins", "miles"];
/// Their currencies.
pub const CURRENCIES: [&str; 3] = ["", "EUR", "USD"];
/// Years of which no world has a day, and in which the tests are run.
pub const CLOCK_YEARS: std::ops::Range<u32> = 2010..2090;
/// Days by which a job's `now` lies behind the base.
const DAYS: std::ops::RangeInclusive<Day> = 0..=40;
/// Rows of a file that is sent again and again at most.
const ROWS_MAX: usize = 200;

/// Jobs in their order.
#[derive(Clone, Debug)]
pub struct World {
    /// A zone whose clocks are never changed, and the minutes by which they are ahead of UTC.
    pub zone: (&'static str, i64),
    /// Of each program.
    pub decimals: [u32; 3],
    pub steps: Vec<Step>,
}

/// One job.
#[derive(Clone, Debug)]
pub struct Step {
    pub work: Work,
    pub now: Moment,
    /// Place of the job's program in [`PROGRAMS`].
    pub program: usize,
    /// Empty: none.
    pub reason: String,
    pub comment: String,
    pub dry: Dry,
}

/// Whether it is looked at before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dry {
    No,
    /// A dry run, then the real one.
    Before,
    /// A dry run, and no more.
    Only,
}

/// What it does.
#[derive(Clone, Debug)]
pub enum Work {
    Customers(Written, CustomersOptions),
    Points(Written, PointsOptions),
    /// Gives points another last day.
    Expiry(Written, ExpiryOptions),
    /// Makes promised points available.
    Convert(Picks),
    /// Expires what was over before a day, none for the job's; in one program or in all.
    Expire {
        as_of: Option<Day>,
        program: Option<usize>,
    },
    /// Takes back the job that came so many before, of those that ended.
    Undo {
        back: u32,
        on_spent: OnSpent,
    },
}

impl World {
    /// The programs with their decimals.
    pub fn programs(&self) -> [(&'static str, u32); 3] {
        [0, 1, 2].map(|place| (PROGRAMS[place], self.decimals[place]))
    }

    /// The store before its first job.
    pub fn model(&self) -> Model {
        let mut model = Model::new(&self.programs(), self.zone.1);
        model.programs.iter_mut().zip(CURRENCIES).for_each(|(program, currency)| program.currency = currency);
        model
    }

    /// The same without dry runs, and without what can be done by one command only that is not repeated.
    pub fn of_imports(mut self) -> World {
        self.steps.retain(|step| step.written().is_some());
        self.steps.iter_mut().for_each(|step| step.dry = Dry::No);
        self
    }
}

impl Step {
    /// Returns the file, if it has one.
    pub fn written(&self) -> Option<&Written> {
        match &self.work {
            Work::Customers(written, _) | Work::Points(written, _) | Work::Expiry(written, _) => Some(written),
            Work::Convert(_) | Work::Expire { .. } | Work::Undo { .. } => None,
        }
    }

    /// Whether it writes a processed report.
    pub fn has_processed(&self) -> bool {
        !matches!(self.work, Work::Convert(_) | Work::Expire { .. })
    }

    /// What the model takes.
    pub fn job(&self, number: u32) -> Job {
        let Step { now, program, .. } = *self;
        Job { number, now, program, reason: self.reason.clone(), comment: self.comment.clone() }
    }

    /// Returns the arguments of the command line that mean this import, without the file's path.
    ///
    /// A file may hold a byte that is no text, hence `--encoding`.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = match self.work {
            Work::Customers(..) => vec!["import", "customers"],
            Work::Points(..) => vec!["import", "points"],
            Work::Expiry(..) => vec!["import", "expiry"],
            Work::Convert(_) | Work::Expire { .. } | Work::Undo { .. } => unreachable!("it is no import"),
        };
        arguments.extend(["--encoding", "utf-8", "--program", PROGRAMS[self.program]]);
        for (flag, text) in [("--reason", &self.reason), ("--comment", &self.comment)] {
            arguments.extend([flag, text].into_iter().filter(|_| !text.is_empty()));
        }
        if let Work::Points(_, options) = &self.work {
            let (format, mode) = match options.format {
                Format::Nector => ("nector", None),
                Format::NectorExpiry => ("nector-expiry", None),
                Format::Smile(mode) => ("smile", Some(mode)),
                Format::Tidemill(mode) => ("tidemill", mode),
            };
            arguments.extend(["--format", format]);
            arguments.extend(match mode {
                None => [].as_slice(),
                Some(Mode::Add) => &["--mode", "add"],
                Some(Mode::Reset) => &["--mode", "reset"],
            });
            arguments.extend(match options.on_unknown {
                OnUnknown::Reject => ["--on-unknown", "reject"],
                OnUnknown::Create => ["--on-unknown", "create"],
            });
            arguments.extend(match options.on_overdraft {
                OnOverdraft::Reject => ["--on-overdraft", "reject"],
                OnOverdraft::Clamp => ["--on-overdraft", "clamp"],
                OnOverdraft::Allow => ["--on-overdraft", "allow"],
            });
            arguments.extend(match options.on_repeat {
                OnRepeat::First => ["--on-repeat", "first"],
                OnRepeat::Last => ["--on-repeat", "last"],
            });
        }
        let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        if let Work::Customers(_, options) = &self.work {
            let own = [("--format", options.format_name()), ("--key", options.key.map(kind_name))];
            arguments
                .extend(own.into_iter().filter_map(|(flag, name)| Some([flag, name?])).flatten().map(str::to_owned));
            arguments.extend(options.maps().iter().flat_map(|map| ["--map", map]).map(str::to_owned));
            arguments.extend(
                options.phone_digits.into_iter().flat_map(|digits| ["--phone-digits".to_owned(), digits.to_string()]),
            );
        }
        if let Work::Expiry(_, options) = &self.work {
            arguments.extend(options.arguments());
        }
        arguments.extend(["--now".to_owned(), moment_text(self.now)]);
        arguments
    }
}

/// The number of the job that came so many before the next one, among those that ended; of none, the first.
pub fn job_before(ended: u32, back: u32) -> u32 {
    ended.saturating_sub(back).max(1)
}

impl CustomersOptions {
    /// The format's name; none: its file's header says it.
    pub fn format_name(&self) -> Option<&'static str> {
        match self.format {
            CustomersFormat::Incust => Some("incust"),
            // With columns that are not its own, the header might be somebody else's.
            CustomersFormat::Tidemill => self.has_name_parts.then_some("tidemill-customers"),
        }
    }

    /// The columns that are mapped.
    pub fn maps(&self) -> &'static [&'static str] {
        if self.has_name_parts { &["first_name=first_name", "last_name=last_name"] } else { &[] }
    }
}

/// What the command line calls a sort of identifier.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::UserId => "user_id",
        Kind::ExternalId => "external_id",
        Kind::Email => "email",
        Kind::Mobile => "mobile",
        Kind::Card => "card",
    }
}

/// A customers file, then one to seven further jobs; each file has at most `rows_max` rows of its own.
pub fn world(rows_max: usize) -> impl Strategy<Value = World> {
    bases().prop_flat_map(move |(base, zone, decimals)| {
        let opening = customers_plan(base, rows_max);
        let opening = (opening, any_circumstances(base)).prop_map(|(work, rest)| StepPlan { work, ..rest });
        let later =
            (any_work(base, rows_max), any_circumstances(base)).prop_map(|(work, rest)| StepPlan { work, ..rest });
        (opening, prop::collection::vec(later, 1..=7)).prop_map(move |(first, later)| {
            let steps = steps(std::iter::once(first).chain(later));
            World { zone, decimals, steps }
        })
    })
}

/// A day, a zone, and the decimals of the programs.
pub fn bases() -> impl Strategy<Value = (Day, (&'static str, i64), [u32; 3])> {
    let base = select(vec!["2096-02-20", "2096-02-20", "2004-02-20"]).prop_map(|text| day(text).expect("it exists"));
    let zone = select(vec![("UTC", 0), ("Asia/Kolkata", 330), ("Pacific/Pago_Pago", -660)]);
    // A new store's program has none.
    (base, zone, 0..=4_u32, 0..=4_u32).prop_map(|(base, zone, one, other)| (base, zone, [0, one, other]))
}

/// A step before its file is written.
#[derive(Clone, Debug)]
struct StepPlan {
    work: WorkPlan,
    now: Moment,
    program: usize,
    reason: &'static str,
    comment: &'static str,
    dry: Dry,
}

#[derive(Clone, Debug)]
enum WorkPlan {
    Customers(FilePlan, CustomersOptions, Sent),
    Points(FilePlan, PointsOptions, Sent),
    Expiry(FilePlan, ExpiryOptions),
    /// With a file of promises that comes before.
    Convert(FilePlan, Picks),
    Expire {
        days_ago: Option<Day>,
        program: Option<usize>,
    },
    Undo {
        back: u32,
        on_spent: OnSpent,
    },
}

/// Whether a file is an earlier one.
#[derive(Clone, Copy, Debug)]
enum Sent {
    New,
    /// The rows of an earlier one, as they were written or otherwise, and perhaps with rows appended.
    Again {
        is_appended: bool,
        is_rewritten: bool,
    },
}

/// A step without its work.
fn any_circumstances(base: Day) -> impl Strategy<Value = StepPlan> {
    (
        DAYS,
        select(vec![0, 0, 1, 39_600, 43_200, 43_200, 66_599, 66_600, 86_399]),
        select(vec![1, 1, 1, 0, 2]),
        select(vec!["", "test", "Diwali, \"2096\""]),
        select(vec!["", "", "With love"]),
        prop_oneof![6 => Just(Dry::No), 1 => Just(Dry::Before), 1 => Just(Dry::Only)],
    )
        .prop_map(move |(days, second, program, reason, comment, dry)| StepPlan {
            work: WorkPlan::Expire { days_ago: None, program: None },
            now: (base + days) * 86_400 + second,
            program,
            reason,
            comment,
            dry,
        })
}

fn any_work(base: Day, rows_max: usize) -> impl Strategy<Value = WorkPlan> {
    let program = prop_oneof![2 => Just(None), 1 => (0..3_usize).prop_map(Some)];
    let on_spent = select(vec![OnSpent::Keep, OnSpent::Keep, OnSpent::Negative, OnSpent::Refuse]);
    let days_ago = prop_oneof![2 => Just(None), 1 => (0..20_i64).prop_map(Some)];
    let sent = prop_oneof![
        5 => Just(Sent::New),
        4 => sent_again(),
    ];
    let points = (points_options(), sent).prop_flat_map(move |(options, sent)| {
        points_plan(options.format, base, rows_max).prop_map(move |plan| WorkPlan::Points(plan, options, sent))
    });
    prop_oneof![
        5 => customers_plan(base, rows_max),
        12 => points,
        8 => expiry::any_file(base, rows_max),
        4 => (expiry::promises(base, rows_max), expiry::any_promise()).prop_map(|(file, picks)| WorkPlan::Convert(file, picks)),
        3 => (days_ago, program).prop_map(|(days_ago, program)| WorkPlan::Expire { days_ago, program }),
        8 => (prop_oneof![3 => Just(0), 2 => Just(1), 2 => 0..6_u32], on_spent).prop_map(|(back, on_spent)| WorkPlan::Undo { back, on_spent }),
    ]
}

fn sent_again() -> impl Strategy<Value = Sent> {
    any::<(bool, bool)>().prop_map(|(is_appended, is_rewritten)| Sent::Again { is_appended, is_rewritten })
}

/// Writes the files of steps.
fn steps(plans: impl Iterator<Item = StepPlan>) -> Vec<Step> {
    let mut sent: Option<(FilePlan, PointsOptions, usize)> = None;
    let mut customers_sent: Option<(FilePlan, CustomersOptions, usize)> = None;
    let mut steps = Vec::new();
    for mut plan in plans {
        let work = match plan.work {
            WorkPlan::Customers(mut file, mut options, how) => {
                let earlier = customers_sent.take().filter(|(_, as_before, _)| as_before.format == options.format);
                if let (Some((earlier, as_before, program)), Sent::Again { is_appended, is_rewritten }) = (earlier, how)
                {
                    file.rows = with_rows_of(&earlier, file.rows, is_appended);
                    if !is_rewritten {
                        file = FilePlan { rows: file.rows, ..earlier };
                        options = as_before;
                        plan.program = program;
                    }
                }
                let written = file.written();
                customers_sent = Some((file, options, plan.program));
                Work::Customers(written, options)
            }
            WorkPlan::Expire { days_ago, program } => {
                // A dry run may ask for days to come.
                let sign = if plan.dry == Dry::Only { 1 } else { -1 };
                Work::Expire { as_of: days_ago.map(|days| plan.now / 86_400 + sign * (days + 1)), program }
            }
            WorkPlan::Expiry(file, options) => Work::Expiry(file.written(), expiry::after(options, plan.now)),
            WorkPlan::Convert(promises, picks) => {
                let (on_unknown, on_overdraft, on_repeat) = (OnUnknown::Reject, OnOverdraft::Reject, OnRepeat::First);
                let options = PointsOptions { format: Format::Tidemill(None), on_unknown, on_overdraft, on_repeat };
                let (reason, comment, dry) = (plan.reason.to_owned(), plan.comment.to_owned(), Dry::No);
                let work = Work::Points(promises.written(), options);
                steps.push(Step { work, now: plan.now - 43_200, program: plan.program, reason, comment, dry });
                Work::Convert(picks)
            }
            WorkPlan::Undo { back, on_spent } => Work::Undo { back, on_spent },
            WorkPlan::Points(mut file, mut options, how) if matches!(options.format, Format::Tidemill(_)) => {
                if let (Some((earlier, as_before, program)), Sent::Again { is_appended, is_rewritten }) = (&sent, how) {
                    file.rows = with_rows_of(earlier, file.rows, is_appended);
                    if !is_rewritten {
                        file = FilePlan { rows: file.rows, ..earlier.clone() };
                        options.format = as_before.format;
                        plan.program = *program;
                    }
                }
                let written = file.written();
                sent = Some((file, options, plan.program));
                Work::Points(written, options)
            }
            WorkPlan::Points(file, options, _) => Work::Points(file.written(), options),
        };
        // Nector's formats need one, and so does what has no file.
        let reason = if plan.reason.is_empty() && needs_reason(&work) { "test" } else { plan.reason }.to_owned();
        let comment = plan.comment.to_owned();
        steps.push(Step { work, now: plan.now, program: plan.program, reason, comment, dry: plan.dry });
    }
    steps
}

/// The rows of an earlier file, and perhaps own ones behind them.
fn with_rows_of(earlier: &FilePlan, own: Vec<RowPlan>, is_appended: bool) -> Vec<RowPlan> {
    let own = own.into_iter().filter(|_| is_appended);
    earlier.rows.iter().cloned().chain(own).take(ROWS_MAX).collect()
}

fn needs_reason(work: &Work) -> bool {
    let is_nector = |options: &PointsOptions| matches!(options.format, Format::Nector | Format::NectorExpiry);
    match work {
        Work::Points(_, options) => is_nector(options),
        Work::Convert(_) => true,
        _ => false,
    }
}

/// Every format and every policy.
pub fn points_options() -> impl Strategy<Value = PointsOptions> {
    (
        prop_oneof![
            1 => Just(Format::Nector),
            2 => Just(Format::NectorExpiry),
            1 => Just(Format::Smile(Mode::Add)),
            1 => Just(Format::Smile(Mode::Reset)),
            6 => Just(Format::Tidemill(None)),
            1 => Just(Format::Tidemill(Some(Mode::Add))),
            1 => Just(Format::Tidemill(Some(Mode::Reset))),
        ],
        select(vec![OnUnknown::Reject, OnUnknown::Create]),
        select(vec![OnOverdraft::Reject, OnOverdraft::Clamp, OnOverdraft::Allow]),
        select(vec![OnRepeat::First, OnRepeat::Last]),
    )
        .prop_map(|(format, on_unknown, on_overdraft, on_repeat)| PointsOptions {
            format,
            on_unknown,
            on_overdraft,
            on_repeat,
        })
}

/// A points file of 1 to `rows_max` rows.
pub fn points_plan(format: Format, base: Day, rows_max: usize) -> BoxedStrategy<FilePlan> {
    match format {
        Format::Nector => {
            let cells = (cells::names(), cells::amount(false), cells::operation(), cells::note())
                .prop_map(|((email, mobile), amount, operation, note)| vec![email, mobile, amount, operation, note]);
            plan(&["email", "mobile", "amount", "operation", "note"], cells, rows_max)
        }
        Format::NectorExpiry => {
            let days = prop_oneof![1 => Just(String::new()), 3 => cells::days_of_validity()];
            let cells = (cells::names(), cells::amount(false), cells::operation(), days)
                .prop_map(|((email, mobile), amount, operation, days)| vec![email, mobile, amount, operation, days]);
            plan(&["email", "mobile", "amount", "operation", "expiry"], cells, rows_max)
        }
        Format::Smile(mode) => {
            let cells = (cells::names(), cells::amount(mode == Mode::Add), cells::note())
                .prop_map(|((email, _), amount, note)| vec![email, amount, note]);
            plan(&["email", "points", "note"], cells, rows_max)
        }
        Format::Tidemill(mode) => {
            let rows = cells::tidemill_row(base, mode == Some(Mode::Add));
            let copies = prop::collection::vec(any_copy(), rows_max);
            let kept = prop::collection::vec(prop::bool::weighted(0.7), TIDEMILL.len());
            (plan(&TIDEMILL, rows, rows_max), copies, kept)
                .prop_map(move |(mut plan, copies, kept)| {
                    // An e-mail column in each file, or most rows would name nobody; and what makes promises that can be kept.
                    let is_mandatory = |at: usize| ["email", "amount", "promised", "ref_type"].contains(&TIDEMILL[at]);
                    plan.order.retain(|&at| match at {
                        TIDEMILL_OPERATION => mode.is_none(),
                        at => kept[at] || is_mandatory(at),
                    });
                    copy_rows(&mut plan.rows, &copies);
                    plan
                })
                .boxed()
        }
    }
}

/// How a row repeats one before it.
#[derive(Clone, Copy, Debug)]
enum Copied {
    No,
    /// So many rows before, at most.
    Whole(usize),
    /// All but who it is.
    OfOther(usize),
    /// In another spelling.
    Respelled(usize),
}

fn any_copy() -> impl Strategy<Value = Copied> {
    prop_oneof![
        8 => Just(Copied::No),
        1 => (0..20_usize).prop_map(Copied::Whole),
        1 => (0..20_usize).prop_map(Copied::OfOther),
        1 => (0..20_usize).prop_map(Copied::Respelled),
    ]
}

fn copy_rows(rows: &mut [RowPlan], copies: &[Copied]) {
    for (at, copy) in (0..rows.len()).zip(copies).skip(1) {
        let before = |back: usize| rows[at - 1 - back % at].cells.clone();
        let cells = match *copy {
            Copied::No => continue,
            Copied::Whole(back) => before(back),
            Copied::OfOther(back) => {
                let own = rows[at].cells[..TIDEMILL_NAMES].iter().cloned();
                own.chain(before(back).split_off(TIDEMILL_NAMES)).collect()
            }
            Copied::Respelled(back) => {
                let mut cells = before(back);
                let amount = &mut cells[TIDEMILL_AMOUNT];
                if !amount.is_empty() && amount.bytes().all(|byte| byte.is_ascii_digit()) {
                    *amount += ".0";
                }
                cells[TIDEMILL_OPERATION] = cells[TIDEMILL_OPERATION].to_lowercase();
                cells
            }
        };
        rows[at].cells = cells;
    }
}

/// A customers file of 1 to `rows_max` rows; about two thirds of the rows are good.
fn customers_plan(base: Day, rows_max: usize) -> impl Strategy<Value = WorkPlan> {
    let sent = prop_oneof![2 => Just(Sent::New), 1 => sent_again()];
    (customers_options(), sent).prop_flat_map(move |(options, sent)| {
        let file = match options.format {
            CustomersFormat::Tidemill => tidemill_customers_plan(options, rows_max),
            CustomersFormat::Incust => incust_plan(base, rows_max),
        };
        file.prop_map(move |file| WorkPlan::Customers(file, options, sent))
    })
}

fn customers_options() -> impl Strategy<Value = CustomersOptions> {
    let key = |kinds: Vec<Kind>| prop_oneof![3 => Just(None), 1 => select(kinds).prop_map(Some)];
    let format = prop_oneof![
        (
            Just(CustomersFormat::Tidemill),
            key(vec![Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile, Kind::Card]),
            prop::bool::weighted(0.3)
        ),
        (Just(CustomersFormat::Incust), key(vec![Kind::Email, Kind::Mobile, Kind::Card]), Just(false)),
    ];
    let phone_digits = prop_oneof![6 => Just(None), 2 => Just(Some(12)), 1 => Just(Some(11))];
    (format, phone_digits).prop_map(|((format, key, has_name_parts), phone_digits)| CustomersOptions {
        format,
        key,
        phone_digits,
        has_name_parts,
    })
}

fn tidemill_customers_plan(options: CustomersOptions, rows_max: usize) -> BoxedStrategy<FilePlan> {
    let cells = (cells::identifiers(), cells::profile(), cells::amount(false), cells::name_parts()).prop_map(
        |(identifiers, profile, balance, parts)| {
            let mut cells = identifiers;
            cells.extend(profile);
            cells.push(balance);
            cells.extend(parts);
            cells
        },
    );
    let is_there = move |at: &usize| options.has_name_parts || !CUSTOMERS_NAME_PARTS.contains(at);
    plan(&CUSTOMERS, cells, rows_max)
        .prop_map(move |mut plan| {
            plan.order.retain(is_there);
            plan
        })
        .boxed()
}

fn incust_plan(base: Day, rows_max: usize) -> BoxedStrategy<FilePlan> {
    let kept = prop::collection::vec(prop::bool::weighted(0.9), INCUST.len());
    (plan(&INCUST, cells::incust_row(base), rows_max), kept, any::<bool>())
        .prop_map(|(mut plan, kept, is_short)| {
            // What names a customer is in each file, as it may be the key; the amount is in nearly all.
            let is_name = |at: usize| ["phone", "email", "card"].contains(&INCUST_SHORT[at]);
            let is_amount = |at: usize| at == INCUST_AMOUNT && kept[0];
            plan.order.retain(|&at| kept[at] || is_name(at) || is_amount(at));
            if is_short {
                plan.columns = INCUST_SHORT.to_vec();
            }
            plan
        })
        .boxed()
}

/// Rows of cells in the order of `columns`, to be written in any order of columns and in any dialect.
fn plan(
    columns: &[&'static str],
    cells: impl Strategy<Value = Vec<String>> + 'static,
    rows_max: usize,
) -> BoxedStrategy<FilePlan> {
    let columns = columns.to_vec();
    let order = prop_oneof![
        Just((0..columns.len()).collect::<Vec<_>>()),
        Just((0..columns.len()).collect::<Vec<_>>()).prop_shuffle()
    ];
    (prop::collection::vec(written::row(cells), 1..=rows_max), written::layout(), order)
        .prop_map(move |(rows, layout, order)| FilePlan { columns: columns.clone(), order, rows, layout })
        .boxed()
}
