//! Random files through the engine and through the plain model: the same answers, totals, balances, lots, ledger,
//! customers. Then through engines that work in other ways, and are stopped meanwhile: the same bytes.
//!
//! `expected` says what the model's words are in the engine's exports and reports. `live` has adjustments come while a job
//! runs, which nobody can foretell the order of: there the ledger is what the model replays.

use std::{
    path::{Path, PathBuf},
    thread,
};

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use tidemill::{
    domain::{
        command,
        expiry::{ExpiryDirection, NewExpiry},
        expiry_terms::{ExpiryProfile, ExpiryTerms},
        id::JobId,
        identifier::IdentifierKind,
        program::Program,
        time::{Date, Timestamp},
        undo,
    },
    engine::{
        Engine,
        request::{
            BulkOperation, BulkRequest, CustomersRequest, ExpireRequest, ExpiryUpdateRequest, FileRequest, JobRequest,
            PointsRequest, ResumeRequest, SelectionRequest, SettingsChange, UndoRequest,
        },
        view::{CustomerView, HistoryPage, ProgramView},
    },
    error::{ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::summary::Summary,
};

use super::support::{
    cases,
    content::{Content, difference, rows},
    model::{
        Kind,
        calendar::{Day, Moment, day_text},
        customers::CustomersOptions,
        expiry::{Change, ExpiryOptions, Picks, Set},
        points::{Format, Mode, OnOverdraft, OnRepeat, OnUnknown, PointsOptions},
        undo::OnSpent,
    },
    model_strategies::{CURRENCIES, Dry, PROGRAMS, Step, Work, World, job_before, world},
};
pub use expected::compare;
use expected::{compare_shown, compare_totals, summary_totals};

mod expected;
mod live;

/// What an engine made of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub steps: Vec<StepOutcome>,
    pub content: Content,
}

/// What it said of one step, in a dry run and in the real one.
#[derive(Clone, Debug, Default)]
pub struct StepOutcome {
    pub dry: Option<Said>,
    pub real: Option<Said>,
    /// The code by which it was refused, and then nothing was said.
    pub refused: Option<String>,
}

/// What it said of one run.
#[derive(Clone, Debug)]
pub struct Said {
    pub summary: Value,
    /// Empty where there is no file.
    pub processed: String,
    pub rejects: String,
}

/// What single customers and programs look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    customers: Vec<CustomerView>,
    histories: Vec<HistoryPage>,
    programs: Vec<ProgramView>,
}

/// How an engine works, which must not be seen in what it does.
#[derive(Clone, Debug)]
struct Way {
    threads: usize,
    chunk_bytes_max: usize,
    window_rows: u64,
    cache_lag_entries_min: u64,
    row_keys_max: usize,
    /// Whether the store is opened anew for each step.
    reopened: bool,
    /// Rows after which a step is stopped and gone on with by a new engine, one stop after the other.
    stops: Vec<u64>,
}

impl Way {
    /// As nobody asked for anything.
    fn plain() -> Way {
        let Options { threads, chunk_bytes_max, window_rows, cache_lag_entries_min, row_keys_max, .. } =
            Options::default();
        let (reopened, stops) = (false, Vec::new());
        Way { threads, chunk_bytes_max, window_rows, cache_lag_entries_min, row_keys_max, reopened, stops }
    }

    fn options(&self) -> Options {
        Options {
            threads: self.threads,
            chunk_bytes_max: self.chunk_bytes_max,
            window_rows: self.window_rows,
            cache_lag_entries_min: self.cache_lag_entries_min,
            row_keys_max: self.row_keys_max,
            ..Options::default()
        }
    }
}

fn any_way() -> impl Strategy<Value = Way> {
    let plain = Way::plain();
    (
        select(vec![1, 2, 8]),
        select(vec![64, 4096, plain.chunk_bytes_max]),
        select(vec![1, 50, plain.window_rows]),
        select(vec![0, 10, plain.cache_lag_entries_min]),
        select(vec![1, 3, plain.row_keys_max]),
        any::<bool>(),
        prop::collection::vec(0..60_u64, 0..3),
    )
        .prop_map(
            |(threads, chunk_bytes_max, window_rows, cache_lag_entries_min, row_keys_max, reopened, stops)| Way {
                threads,
                chunk_bytes_max,
                window_rows,
                cache_lag_entries_min,
                row_keys_max,
                reopened,
                stops,
            },
        )
}

/// A moment as the engine takes it.
fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from_millis(moment * 1000).expect("a moment of these centuries")
}

fn date(day: Day) -> Date {
    Date::parse(&day_text(day)).expect("a day that exists")
}

fn filled(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// What all jobs are asked.
fn job_request(program: usize, now: Moment, reason: &str, comment: &str) -> JobRequest {
    JobRequest {
        program: Some(PROGRAMS[program].to_owned()),
        now: Some(timestamp(now)),
        reason: filled(reason),
        comment: filled(comment),
        // Files are sent again, and two random ones may be equal.
        again: true,
        ..JobRequest::default()
    }
}

fn file_request(path: &Path) -> FileRequest {
    // A file may hold a byte that is no text in the encoding it should be in.
    FileRequest { path: path.to_owned(), encoding: Some("utf-8".to_owned()), ..FileRequest::default() }
}

/// The request that means these options.
fn points_request(options: &PointsOptions, path: &Path) -> PointsRequest {
    let (format, mode) = match options.format {
        Format::Nector => ("nector", None),
        Format::NectorExpiry => ("nector-expiry", None),
        Format::Smile(mode) => ("smile", Some(mode)),
        Format::Tidemill(mode) => ("tidemill", mode),
    };
    PointsRequest {
        file: FileRequest { format: Some(format.to_owned()), ..file_request(path) },
        mode: mode.map(|mode| match mode {
            Mode::Add => command::Mode::Add,
            Mode::Reset => command::Mode::Reset,
        }),
        on_unknown: match options.on_unknown {
            OnUnknown::Reject => command::OnUnknown::Reject,
            OnUnknown::Create => command::OnUnknown::Create,
        },
        on_overdraft: on_overdraft(options.on_overdraft),
        on_repeat: match options.on_repeat {
            OnRepeat::First => command::OnRepeat::First,
            OnRepeat::Last => command::OnRepeat::Last,
        },
        conversion: None,
    }
}

/// The request that means these options.
fn customers_request(options: &CustomersOptions, path: &Path) -> CustomersRequest {
    let file = FileRequest {
        format: options.format_name().map(str::to_owned),
        map: options.maps().iter().map(|&map| map.to_owned()).collect(),
        ..file_request(path)
    };
    let key = options.key.map(|key| match key {
        Kind::UserId => IdentifierKind::UserId,
        Kind::ExternalId => IdentifierKind::ExternalId,
        Kind::Email => IdentifierKind::Email,
        Kind::Mobile => IdentifierKind::Mobile,
        Kind::Card => IdentifierKind::Card,
    });
    let phone_digits = options.phone_digits.map(|digits| u8::try_from(digits).expect("at most 15"));
    CustomersRequest { file, key, phone_digits, notifications: None }
}

fn expiry_terms(options: &ExpiryOptions) -> ExpiryTerms {
    let profile = match &options.picks {
        Picks::Range(from, to) => ExpiryProfile::DateRange { from: date(*from), to: date(*to) },
        Picks::Reference(..) => ExpiryProfile::Reference,
        Picks::Promotion(id) => ExpiryProfile::Promotion { id: id.clone() },
    };
    let count = |count: i64| u32::try_from(count).expect("a small number");
    ExpiryTerms {
        profile,
        change: options.change.map(|change| match change {
            Change::Early => ExpiryDirection::Early,
            Change::Extended => ExpiryDirection::Extended,
        }),
        set: options.set.map(|set| match set {
            Set::Fixed(day) => NewExpiry::Fixed(date(day)),
            Set::Days(days) => NewExpiry::Days(count(days)),
            Set::Months(months) => NewExpiry::Months(count(months)),
            Set::Immediate => NewExpiry::Immediate,
        }),
        include_promised: options.include_promised,
    }
}

fn convert_promised(picks: &Picks) -> BulkOperation {
    let (ref_type, ref_id, promotion_id) = match picks {
        Picks::Reference(kind, id) => (filled(kind), filled(id), None),
        Picks::Promotion(id) => (None, None, filled(id)),
        Picks::Range(..) => unreachable!("promises are kept by what they were given for"),
    };
    BulkOperation::ConvertPromised { ref_type, ref_id, promotion_id }
}

fn on_overdraft(policy: OnOverdraft) -> command::OnOverdraft {
    match policy {
        OnOverdraft::Reject => command::OnOverdraft::Reject,
        OnOverdraft::Clamp => command::OnOverdraft::Clamp,
        OnOverdraft::Allow => command::OnOverdraft::Allow,
    }
}

/// Does a step whose file, if it has one, is at `path`.
fn do_step(engine: &Engine, step: &Step, job: &JobRequest, path: &Path, progress: &Progress) -> Result<Summary> {
    match &step.work {
        Work::Customers(_, options) => engine.import_customers(job, &customers_request(options, path), progress),
        Work::Points(_, options) => engine.import_points(job, &points_request(options, path), progress),
        Work::Expire { as_of, program } => {
            let program = program.map(|place| PROGRAMS[place].to_owned());
            engine.expire(&JobRequest { program, ..job.clone() }, &ExpireRequest { as_of: as_of.map(date) }, progress)
        }
        Work::Expiry(_, options) => {
            let request = ExpiryUpdateRequest { file: file_request(path), terms: expiry_terms(options) };
            engine.import_expiry(job, &request, progress)
        }
        Work::Convert(picks) => {
            let operation = convert_promised(picks);
            let selection = SelectionRequest::default();
            engine.bulk(job, &BulkRequest { operation, selection, on_overdraft: None, explain: false }, progress)
        }
        Work::Undo { back, on_spent } => {
            let ended = u32::try_from(engine.jobs()?.len()).expect("a few jobs");
            let on_spent = match on_spent {
                OnSpent::Keep => undo::OnSpent::Keep,
                OnSpent::Negative => undo::OnSpent::Negative,
                OnSpent::Refuse => undo::OnSpent::Refuse,
            };
            engine.undo(job, &UndoRequest { job: JobId(job_before(ended, *back)), on_spent }, progress)
        }
    }
}

/// A store in this directory with the programs of a world.
fn create(store: &Path, options: Options, zone: &str, programs: &[(&str, u32)]) -> Engine {
    let engine = Engine::create(store, options).expect("a store is made");
    engine.set(SettingsChange { time_zone: Some(zone.to_owned()), ..SettingsChange::default() }).expect("a zone");
    for (&(code, decimals), currency) in programs.iter().zip(CURRENCIES).skip(1) {
        let decimals = u8::try_from(decimals).expect("at most 4");
        let program = Program::new(code, "", decimals, Some(currency)).expect("a program");
        engine.add_program(program).expect("it is added");
    }
    engine
}

/// Runs a world through an engine that works in this way.
fn run(world: &World, way: &Way) -> (Outcome, Shown) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("store");
    let open = || Engine::open(&store, way.options()).expect("the store opens");
    let mut engine = create(&store, way.options(), world.zone.0, &world.programs());
    let (mut steps, mut number) = (Vec::new(), 0);
    for (place, step) in world.steps.iter().enumerate() {
        let path = |name: &str| directory.path().join(format!("{place}-{name}.csv"));
        let input = path("input");
        if let Some(written) = step.written() {
            std::fs::write(&input, &written.bytes).expect("the file is written");
        }
        let job = job_request(step.program, step.now, &step.reason, &step.comment);
        // Where there is a file, there are reports.
        let reports = |of: &str| {
            let report = |name, is_wanted: bool| is_wanted.then(|| path(&format!("{of}{name}")));
            (report("processed", step.has_processed()), report("rejects", step.written().is_some()))
        };
        let mut outcome = StepOutcome::default();
        if step.dry != Dry::No {
            let before = Content::of(&engine);
            let (processed, rejects) = reports("dry-");
            let job = JobRequest { dry_run: true, processed, rejects, ..job.clone() };
            let done = do_step(&engine, step, &job, &input, &Progress::default());
            assert_eq!(Content::of(&engine).difference(&before), None, "a dry run of step {place} changed something");
            outcome.dry = done_or_refused(done, &mut outcome).map(|summary| said(&summary, &job));
        }
        if step.dry != Dry::Only {
            number += 1;
            let (processed, rejects) = reports("");
            let job = JobRequest { processed, rejects, ..job };
            if way.reopened {
                drop(engine);
                engine = open();
            }
            let mut stops = way.stops.iter();
            let mut done = stopped_at(stops.next(), |progress| do_step(&engine, step, &job, &input, progress));
            let summary = loop {
                match done {
                    Err(error) if error.kind() == ErrorKind::Stopped => {}
                    done => break done_or_refused(done, &mut outcome),
                }
                drop(engine);
                engine = open();
                done = stopped_at(stops.next(), |progress| {
                    engine.resume(JobId(number), &ResumeRequest::default(), progress)
                });
            };
            let verified = engine.verify().expect("a store that can be read");
            assert!(verified.ok, "step {place}: {:#?}", verified.problems);
            number -= u32::from(summary.is_none());
            outcome.real = summary.map(|summary| said(&summary, &job));
        }
        steps.push(outcome);
    }
    let outcome = Outcome { content: Content::of(&engine), steps };
    let shown = shown(&engine, &outcome.content);
    (outcome, shown)
}

/// The summary of a step that was done; an undo may be refused.
fn done_or_refused(done: Result<Summary>, outcome: &mut StepOutcome) -> Option<Summary> {
    match done {
        Ok(summary) => Some(summary),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Refused | ErrorKind::NotFound), "{error}");
            outcome.refused = Some(error.code().to_owned());
            None
        }
    }
}

fn said(summary: &Summary, job: &JobRequest) -> Said {
    let text = |path: &Option<PathBuf>| match path {
        Some(path) => std::fs::read_to_string(path).expect("the report is there"),
        None => String::new(),
    };
    Said { summary: json!(summary), processed: text(&job.processed), rejects: text(&job.rejects) }
}

/// All customers by the first identifier that the export tells, and all programs.
fn shown(engine: &Engine, content: &Content) -> Shown {
    use IdentifierKind::{Card, Email, ExternalId, Mobile, UserId};
    let name = |cells: Vec<String>| {
        let kinds = [UserId, ExternalId, Email, Mobile, Card].into_iter().zip(cells);
        let (kind, cell) = kinds.into_iter().find(|(_, cell)| !cell.is_empty()).expect("a customer has an identifier");
        (kind, cell.split('|').next().expect("one card at least").to_owned())
    };
    let names = rows(&content.customers).into_iter().map(name).collect::<Vec<_>>();
    let customer = |(kind, value): &(_, String)| engine.customer(*kind, value).expect("the customer is there");
    let history = |(kind, value): &(_, String)| {
        engine.history(*kind, value, None, None, usize::MAX, false).expect("the customer is there")
    };
    let programs = PROGRAMS.iter().map(|code| engine.program_view(code).expect("the program is there"));
    Shown {
        customers: names.iter().map(customer).collect(),
        histories: names.iter().map(history).collect(),
        programs: programs.collect(),
    }
}

/// Does some work and asks it to stop once it has gone over so many rows. Where it stops is up to the threads.
fn stopped_at(rows: Option<&u64>, work: impl FnOnce(&Progress) -> Result<Summary>) -> Result<Summary> {
    let progress = Progress::default();
    let Some(&rows) = rows else { return work(&progress) };
    let (seen, (end, ended)) = (progress.clone(), std::sync::mpsc::channel::<()>());
    thread::scope(|threads| {
        threads.spawn(move || {
            while ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                if seen.snapshot().job > 0 && seen.snapshot().rows >= rows {
                    seen.stop();
                }
                thread::yield_now();
            }
        });
        let done = work(&progress);
        drop(end);
        done
    })
}

/// Panics where two ways are seen to differ.
fn compare_ways(world: &World, way: &Way, (found, found_shown): &(Outcome, Shown), expected: &(Outcome, Shown)) {
    let (expected, expected_shown) = expected;
    for (number, (found, expected)) in found.steps.iter().zip(&expected.steps).enumerate() {
        let step = &world.steps[number];
        assert_eq!(found.refused, expected.refused, "step {number}, {way:?}");
        for (found, expected) in [(&found.dry, &expected.dry), (&found.real, &expected.real)] {
            let (Some(found), Some(expected)) = (found, expected) else { continue };
            let name = |report| format!("step {number}, {report}, {way:?}");
            let processed = difference(&name("processed"), &found.processed, &expected.processed);
            let rejects = difference(&name("rejects"), &found.rejects, &expected.rejects);
            assert_eq!(processed.or(rejects), None);
            let [found, expected] = [found, expected].map(|said| summary_totals(step, &said.summary));
            compare_totals(&found, &expected, &name("summary"));
        }
    }
    assert_eq!(found.content.difference(&expected.content), None, "{way:?}");
    assert_eq!(found_shown, expected_shown, "{way:?}");
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn the_engine_does_what_the_model_does(world in world(60)) {
        let (outcome, shown) = run(&world, &Way::plain());
        let model = compare(&world, &outcome);
        compare_shown(&model, &shown);
    }

    #[test]
    fn how_an_engine_works_cannot_be_seen(world in world(60), ways in prop::collection::vec(any_way(), 2)) {
        let expected = run(&world, &Way::plain());
        for way in ways {
            compare_ways(&world, &way, &run(&world, &way), &expected);
        }
    }
}
