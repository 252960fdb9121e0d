//! Random files through the engine and through the plain model: the same answers, totals, balances, ledger, customers.
//! Then through engines that work in other ways, and are stopped meanwhile: the same bytes.

use std::{collections::BTreeMap, path::Path, thread};

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use tidemill::{
    domain::{
        command::{self},
        id::JobId,
        program::Program,
    },
    engine::{
        Engine,
        request::{CustomersRequest, FileRequest, JobRequest, PointsRequest, ResumeRequest},
    },
    error::{ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::summary::Summary,
};

use super::support::{
    NOW, TODAY, cases,
    content::{Content, difference, rows},
    decimal,
    model::{Answer, Format, Kind, Mode, Model, OnOverdraft, OnRepeat, OnUnknown, Report},
    model_strategies::{Step, World, world},
    now,
};

/// The program of all steps: the one that a new store has does not have every number of decimals.
pub const PROGRAM: &str = "coins";

/// What an engine made of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub steps: Vec<StepOutcome>,
    pub content: Content,
}

/// What it said of one step.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    pub summary: Value,
    pub processed: String,
    pub rejects: String,
}

/// How an engine works, which must not be seen in what it does.
#[derive(Clone, Debug)]
struct Way {
    threads: usize,
    chunk_bytes_max: usize,
    window_rows: u64,
    cache_lag_entries_min: u64,
    /// Whether the store is opened anew for each step.
    reopened: bool,
    /// Rows after which a step is stopped and gone on with by a new engine, one stop after the other.
    stops: Vec<u64>,
}

impl Way {
    /// As nobody asked for anything.
    fn plain() -> Way {
        let Options { threads, chunk_bytes_max, window_rows, cache_lag_entries_min, .. } = Options::default();
        Way { threads, chunk_bytes_max, window_rows, cache_lag_entries_min, reopened: false, stops: Vec::new() }
    }

    fn options(&self) -> Options {
        Options {
            threads: self.threads,
            chunk_bytes_max: self.chunk_bytes_max,
            window_rows: self.window_rows,
            cache_lag_entries_min: self.cache_lag_entries_min,
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
        any::<bool>(),
        prop::collection::vec(0..60_u64, 0..3),
    )
        .prop_map(|(threads, chunk_bytes_max, window_rows, cache_lag_entries_min, reopened, stops)| Way {
            threads,
            chunk_bytes_max,
            window_rows,
            cache_lag_entries_min,
            reopened,
            stops,
        })
}

/// The requests that mean a step, on the file at `path`.
fn requests(step: &Step, path: &Path) -> (JobRequest, PointsRequest) {
    // Two random files may be equal, and one may hold a byte that is no text in the encoding it should be in.
    let job = JobRequest { program: Some(PROGRAM.to_owned()), now: Some(now()), again: true, ..JobRequest::default() };
    let file = FileRequest { path: path.to_owned(), encoding: Some("utf-8".to_owned()), ..FileRequest::default() };
    let Step::Points(_, options) = step else {
        return (job, PointsRequest { file, ..PointsRequest::default() });
    };
    let (format, mode, reason) = match options.format {
        Format::Nector => ("nector", None, Some("test".to_owned())),
        Format::Smile(Mode::Add) => ("smile", Some(command::Mode::Add), None),
        Format::Smile(Mode::Reset) => ("smile", Some(command::Mode::Reset), None),
    };
    let request = PointsRequest {
        file: FileRequest { format: Some(format.to_owned()), ..file },
        mode,
        on_unknown: match options.on_unknown {
            OnUnknown::Reject => command::OnUnknown::Reject,
            OnUnknown::Create => command::OnUnknown::Create,
        },
        on_overdraft: match options.on_overdraft {
            OnOverdraft::Reject => command::OnOverdraft::Reject,
            OnOverdraft::Clamp => command::OnOverdraft::Clamp,
            OnOverdraft::Allow => command::OnOverdraft::Allow,
        },
        on_repeat: match options.on_repeat {
            OnRepeat::First => command::OnRepeat::First,
            OnRepeat::Last => command::OnRepeat::Last,
        },
        conversion: None,
    };
    (JobRequest { reason, ..job }, request)
}

fn import(
    engine: &Engine,
    step: &Step,
    job: &JobRequest,
    request: &PointsRequest,
    progress: &Progress,
) -> Result<Summary> {
    match step {
        Step::Customers(_) => engine.import_customers(job, &CustomersRequest { file: request.file.clone() }, progress),
        Step::Points(..) => engine.import_points(job, request, progress),
    }
}

/// Runs a world through an engine that works in this way.
fn run(world: &World, way: &Way) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("store");
    let open = || Engine::open(&store, way.options()).expect("the store opens");
    let mut engine = Engine::create(&store, way.options()).expect("a store is made");
    let decimals = u8::try_from(world.decimals).expect("at most 4");
    engine.add_program(Program::new(PROGRAM, "", decimals, None).expect("a program")).expect("it is added");
    let mut steps = Vec::new();
    for (step, number) in world.steps.iter().zip(1_u32..) {
        let path = |name: &str| directory.path().join(format!("{number}-{name}.csv"));
        std::fs::write(path("input"), &step.written().bytes).expect("the file is written");
        let (mut job, request) = requests(step, &path("input"));
        (job.processed, job.rejects) = (Some(path("processed")), Some(path("rejects")));
        if way.reopened {
            drop(engine);
            engine = open();
        }
        let mut stops = way.stops.iter();
        let mut stop = stops.next();
        let mut done = stopped_at(stop, |progress| import(&engine, step, &job, &request, progress));
        let summary = loop {
            match done {
                Ok(summary) => break summary,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Stopped, "{error}"),
            }
            drop(engine);
            engine = open();
            stop = stops.next();
            done = stopped_at(stop, |progress| engine.resume(JobId(number), &ResumeRequest::default(), progress));
        };
        let text = |name| std::fs::read_to_string(path(name)).expect("the report is there");
        steps.push(StepOutcome { summary: json!(summary), processed: text("processed"), rejects: text("rejects") });
    }
    Outcome { content: Content::of(&engine), steps }
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

/// Runs a world through the model.
fn run_model(world: &World) -> (Model, Vec<Report>) {
    let mut model = Model::new(TODAY);
    let import = |step: &Step| match step {
        Step::Customers(written) => model.import_customers(&written.file, world.decimals),
        Step::Points(written, options) => model.import_points(&written.file, options),
    };
    let reports = world.steps.iter().map(import).collect();
    (model, reports)
}

/// The cells that an answer has in the processed report; those of message and customer are not the model's.
fn answer_cells(answer: &Answer, decimals: u32) -> [String; 5] {
    let rejected = answer.status == "rejected";
    let amount = |amount: Option<i64>| match amount {
        Some(amount) if !rejected => decimal(amount.into(), decimals),
        _ => String::new(),
    };
    let code = answer.code.unwrap_or_default().to_owned();
    [answer.line.to_string(), answer.status.to_owned(), code, amount(Some(answer.amount)), amount(answer.balance)]
}

/// What a summary says of a job, in the model's words.
fn totals(world: &World, step: &Step, report: &Report) -> BTreeMap<&'static str, String> {
    let points = |units: i128| decimal(units, world.decimals);
    let statuses = report.statuses();
    let rows = |status: &str| statuses.get(status).copied().unwrap_or(0).to_string();
    let mut totals = BTreeMap::from([
        ("read", report.answers.len().to_string()),
        ("applied", rows("applied")),
        ("created", rows("created")),
        ("updated", rows("updated")),
        ("unchanged", rows("unchanged")),
        ("rejected", rows("rejected")),
        ("rejects", format!("{:?}", report.codes())),
        ("credited", points(report.credited)),
        ("debited", points(report.debited)),
        ("before", points(report.balance_before)),
        ("after", points(report.balance_after)),
        ("matched", report.matched.to_string()),
        ("customers created", report.created.to_string()),
        ("repeated", report.repeated.to_string()),
        ("kept", report.kept.to_string()),
    ]);
    if matches!(step, Step::Points(..)) {
        totals.extend([
            ("credits in file", points(report.in_file.credit)),
            ("credits applied", points(report.applied.credit)),
            ("credits rejected", points(report.rejected.credit)),
            ("debits in file", points(report.in_file.debit)),
            ("debits applied", points(report.applied.debit)),
            ("debits rejected", points(report.rejected.debit)),
            ("debits not taken", points(report.not_taken.debit)),
            ("set rows", report.set_rows.to_string()),
            ("unreadable rows", report.unread_rows.to_string()),
        ]);
    }
    totals
}

/// The same of the engine's summary.
fn summary_totals(step: &Step, summary: &Value) -> BTreeMap<&'static str, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (rows, customers, file) = (&summary["rows"], &summary["customers"], &summary["file_points"]);
    let rejects: BTreeMap<String, u64> = serde_json::from_value(summary["rejects"].clone()).expect("counts");
    let mut totals = BTreeMap::from([
        ("read", text(&rows["read"])),
        ("applied", text(&rows["applied"])),
        ("created", text(&rows["created"])),
        ("updated", text(&rows["updated"])),
        ("unchanged", text(&rows["unchanged"])),
        ("rejected", text(&rows["rejected"])),
        ("rejects", format!("{rejects:?}")),
        ("credited", text(&summary["points"]["credited"])),
        ("debited", text(&summary["points"]["debited"])),
        ("before", text(&summary["balance"]["before"])),
        ("after", text(&summary["balance"]["after"])),
        ("matched", text(&customers["matched"])),
        ("customers created", text(&customers["created"])),
        ("repeated", text(&customers["repeated"])),
        ("kept", text(&summary["kept"])),
    ]);
    if matches!(step, Step::Points(..)) {
        totals.extend([
            ("credits in file", text(&file["credits"]["in_file"])),
            ("credits applied", text(&file["credits"]["applied"])),
            ("credits rejected", text(&file["credits"]["rejected"])),
            ("debits in file", text(&file["debits"]["in_file"])),
            ("debits applied", text(&file["debits"]["applied"])),
            ("debits rejected", text(&file["debits"]["rejected"])),
            ("debits not taken", text(&file["debits"]["not_taken"])),
            ("set rows", text(&file["set_rows"])),
            ("unreadable rows", text(&file["unreadable_rows"])),
        ]);
    }
    totals
}

/// The four cells with which exports name a customer.
fn name_cells(model: &Model, customer: usize) -> Vec<String> {
    let customer = &model.customers[customer];
    [Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile].map(|kind| customer.identifier(kind).to_owned()).into()
}

/// The rows of `export customers` that the model expects.
fn customer_rows(model: &Model) -> Vec<Vec<String>> {
    let row = |number: usize| {
        let customer = &model.customers[number];
        let ltv = customer.ltv.map(|ltv| {
            let text = decimal(i128::try_from(ltv).expect("it fits"), 4);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        });
        let created_at = customer.created_at.as_ref().map_or(NOW.to_owned(), |day| format!("{day}T00:00:00Z"));
        let mut cells = name_cells(model, number);
        cells.extend([
            customer.identifiers.get(&Kind::Card).map(|cards| cards.join("|")).unwrap_or_default(),
            customer.name.clone(),
            customer.birthday.clone(),
            customer.gender.clone(),
            customer.consent.clone(),
            customer.tier.clone(),
            ltv.unwrap_or_default(),
            customer.orders.map(|orders| orders.to_string()).unwrap_or_default(),
            created_at,
            String::new(),
        ]);
        cells
    };
    (0..model.customers.len()).map(row).collect()
}

/// The rows of `export balances` that the model expects: of each customer the store's first program and ours.
fn balance_rows(model: &Model, decimals: u32) -> Vec<Vec<String>> {
    let row = |number: usize, program: &str, balance: i64, decimals: u32| {
        let mut cells = name_cells(model, number);
        cells.extend([program.to_owned(), decimal(balance.into(), decimals), decimal(0, decimals)]);
        cells
    };
    let customers = model.customers.iter().enumerate();
    customers
        .flat_map(|(number, customer)| [row(number, "points", 0, 0), row(number, PROGRAM, customer.balance, decimals)])
        .collect()
}

/// The rows of `export ledger` that the model expects.
fn ledger_rows(model: &Model, world: &World, reports: &[Report]) -> Vec<Vec<String>> {
    let moved = |report: &Report| report.answers.iter().filter(|answer| answer.amount != 0).count();
    let jobs = reports.iter().zip(1_u32..).flat_map(|(report, job)| std::iter::repeat_n(job, moved(report)));
    let row = |((entry, job), sequence): ((&super::support::model::Entry, u32), u32)| {
        let is_nector = |step: &Step| matches!(step, Step::Points(_, options) if options.format == Format::Nector);
        let reason = if is_nector(&world.steps[job as usize - 1]) { "test" } else { "" };
        let mut cells = name_cells(model, entry.customer);
        cells.extend([PROGRAM.to_owned(), sequence.to_string(), NOW.to_owned(), entry.kind.to_owned()]);
        cells.extend([entry.amount, entry.balance_after].map(|units| decimal(units.into(), world.decimals)));
        cells.extend(vec![String::new(); 6]);
        cells.extend([job.to_string(), entry.line.to_string(), String::new()]);
        cells.extend([reason, reason].map(str::to_owned));
        cells
    };
    model.ledger.iter().zip(jobs).zip(1..).map(row).collect()
}

/// Panics where an outcome is not what the model says.
pub fn compare(world: &World, outcome: &Outcome) {
    let (model, reports) = run_model(world);
    for (number, ((step, found), report)) in world.steps.iter().zip(&outcome.steps).zip(&reports).enumerate() {
        let processed = rows(&found.processed);
        for (cells, answer) in processed.iter().zip(&report.answers) {
            let found = [0, 1, 2, 5, 6].map(|at: usize| cells[at].clone());
            assert_eq!(found, answer_cells(answer, world.decimals), "step {number}: {cells:?}");
        }
        assert_eq!(processed.len(), report.answers.len(), "step {number}");
        let rejected =
            report.answers.iter().filter_map(|answer| Some((answer.line.to_string(), answer.code?.to_owned())));
        // The last five columns are ours: line, column, code, message, raw.
        let listed = rows(&found.rejects).into_iter().map(|cells| {
            let ours = &cells[cells.len() - 5..];
            (ours[0].clone(), ours[2].clone())
        });
        assert_eq!(listed.collect::<Vec<_>>(), rejected.collect::<Vec<_>>(), "step {number}");
        assert_eq!(summary_totals(step, &found.summary), totals(world, step, report), "step {number}");
    }
    let Content { customers, balances, ledger, verified } = &outcome.content;
    assert_eq!(rows(customers), customer_rows(&model));
    assert_eq!(rows(balances), balance_rows(&model, world.decimals));
    assert_eq!(rows(ledger), ledger_rows(&model, world, &reports));
    assert_eq!(verified["customers"], model.customers.len());
    assert_eq!(verified["ledger_entries"], model.ledger.len());
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn the_engine_does_what_the_model_does(world in world(60)) {
        compare(&world, &run(&world, &Way::plain()));
    }

    #[test]
    fn how_an_engine_works_cannot_be_seen(world in world(60), ways in prop::collection::vec(any_way(), 2)) {
        let expected = run(&world, &Way::plain());
        for way in ways {
            let found = run(&world, &way);
            for (number, (found, expected)) in found.steps.iter().zip(&expected.steps).enumerate() {
                let step = &world.steps[number];
                let name = |report| format!("step {number}, {report}, {way:?}");
                let processed = difference(&name("processed"), &found.processed, &expected.processed);
                let rejects = difference(&name("rejects"), &found.rejects, &expected.rejects);
                prop_assert_eq!(processed.or(rejects), None);
                prop_assert_eq!(summary_totals(step, &found.summary), summary_totals(step, &expected.summary));
            }
            prop_assert_eq!(found.content.difference(&expected.content), None, "{:?}", way);
        }
    }
}
