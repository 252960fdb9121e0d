//! Adjustments that come while a job runs. Nobody can foretell between which rows they fall, so the model replays the
//! ledger: each entry must be what its row or adjustment does to the account as it is then. A row without an entry must be
//! explained by the account as it was at some time between the rows before and behind it.

use std::{
    collections::{BTreeMap, HashMap},
    thread,
};

use proptest::prelude::*;
use tidemill::{
    domain::{command::Operation, id::JobId, identifier::IdentifierKind, outcome::Status},
    engine::{
        Engine,
        request::{AdjustRequest, JobRequest, PointsExpiry, ResumeRequest},
        view::AdjustView,
    },
    error::ErrorKind,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::{
    super::support::{
        cases,
        content::{export, rows},
        model::{
            Job, Model, Run,
            account::{Account, Terms, Wanted},
            points::{Asked, Command, Verdict},
        },
        model_strategies::{
            Step, Work,
            live::{Adjustment, LiveWorld, live_world},
        },
        shop::Held,
    },
    create, do_step,
    expected::{answer_cells, balance_rows, compare_rows, ledger_row, lot_rows, name_cells, points, run_model},
    job_request, on_overdraft,
};

/// Rows of a window: the job holds when the first ones are durable.
const WINDOW_ROWS: u64 = 20;

/// What came of a job and of what came meanwhile.
struct Live {
    ledger: Vec<Vec<String>>,
    lots: Vec<Vec<String>>,
    balances: Vec<Vec<String>>,
    processed: Vec<Vec<String>>,
    summary: Summary,
    /// By the reason that tells them.
    adjusted: Vec<(String, Adjustment, AdjustView)>,
}

fn run_live(live: &LiveWorld) -> Live {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let options = Options {
        threads: 2,
        chunk_bytes_max: 256,
        window_rows: WINDOW_ROWS,
        cache_lag_entries_min: 50,
        row_keys_max: 3,
        ..Options::default()
    };
    let engine = create(&path("store"), options.clone(), live.world.zone.0, &live.world.programs());
    let request = |step: &Step| job_request(step.program, step.now, &step.reason, &step.comment);
    for step in &live.world.steps {
        std::fs::write(path("before.csv"), &step.written().expect("an import").bytes).expect("the file is written");
        do_step(&engine, step, &request(step), &path("before.csv"), &Default::default()).expect("it is imported");
    }
    std::fs::write(path("input.csv"), &live.step.written().expect("an import").bytes).expect("the file is written");
    let job = JobRequest { processed: Some(path("processed.csv")), ..request(&live.step) };
    let held = Held::after(WINDOW_ROWS);
    let (summary, adjusted) = thread::scope(|threads| {
        let import = threads.spawn(|| {
            let done = do_step(&engine, &live.step, &job, &path("input.csv"), &held.progress);
            done.or_else(|error| {
                assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
                engine.resume(JobId(3), &ResumeRequest::default(), &Default::default())
            })
        });
        held.wait();
        if let Some(stop) = live.stop {
            let progress = held.progress.clone();
            threads.spawn(move || {
                // It may have stopped, and the job it was ended.
                while progress.snapshot().rows_durable < stop {
                    thread::yield_now();
                }
                progress.stop();
            });
        }
        let adjusters = live.adjustments.iter().enumerate().map(|(thread, adjustments)| {
            let engine = &engine;
            threads.spawn(move || {
                let reason = |number: usize| format!("thread {thread}, {number}");
                let of_thread = adjustments.iter().enumerate();
                of_thread.map(|(number, one)| adjust(engine, one, reason(number))).collect::<Vec<_>>()
            })
        });
        let adjusters = adjusters.collect::<Vec<_>>();
        held.go();
        let adjusted = adjusters.into_iter().flat_map(|adjuster| adjuster.join().expect("it adjusts"));
        let adjusted = adjusted.collect::<Vec<_>>();
        (import.join().expect("it imports").expect("the job ends"), adjusted)
    });
    let verified = engine.verify().expect("a store that can be read");
    assert!(verified.ok, "{:#?}", verified.problems);
    drop(engine);
    let engine = Engine::open(&path("store"), options).expect("the store opens");
    let table = |what| rows(&export(&engine, what));
    Live {
        ledger: table(Export::Ledger),
        lots: table(Export::Lots),
        balances: table(Export::Balances { nonzero: false }),
        processed: rows(&std::fs::read_to_string(path("processed.csv")).expect("the report is there")),
        summary,
        adjusted,
    }
}

fn adjust(engine: &Engine, one: &Adjustment, reason: String) -> (String, Adjustment, AdjustView) {
    let (operation, amount) = match one.wanted {
        Wanted::Credit(points) => (Operation::Credit, points),
        Wanted::Debit(points) => (Operation::Debit, points),
        Wanted::Set(points) => (Operation::Set, points),
        Wanted::Promise(points) => (Operation::Promise, points),
    };
    let request = AdjustRequest {
        identifiers: vec![(IdentifierKind::Email, one.email.clone())],
        operation,
        amount: amount.to_string(),
        on_overdraft: on_overdraft(one.on_overdraft),
        expiry: one.days_of_validity.map(PointsExpiry::InDays),
    };
    let view = engine.adjust(&job_request(one.program, one.now, &reason, ""), &request).expect("it is answered");
    (reason, one.clone(), view)
}

/// A row of the job, as far as the file alone decides it.
struct Resolved {
    asked: Asked,
    command: Command,
    customer: usize,
    is_new: bool,
}

/// The ledger, replayed.
struct Replay<'a> {
    model: Model,
    run: Run,
    live: &'a LiveWorld,
    found: &'a Live,
    /// Rows that could be read and that name a customer, by their places.
    rows: BTreeMap<usize, Resolved>,
    /// The first row that is not explained yet.
    next: usize,
    /// Accounts as they were since the newest entry of a row.
    before: HashMap<(usize, usize), Vec<Account>>,
}

impl<'a> Replay<'a> {
    fn new(live: &'a LiveWorld, found: &'a Live) -> Replay<'a> {
        let (model, _) = run_model(&live.world);
        let Work::Points(_, options) = &live.step.work else { panic!("an import of points") };
        let run = model.begin_points(options, &live.step.job(3));
        let mut replay = Replay { model, run, live, found, rows: BTreeMap::new(), next: 0, before: HashMap::new() };
        replay.resolve();
        replay
    }

    /// Finds out whom the rows name. Adjustments neither create customers nor give identifiers away, so the file decides.
    fn resolve(&mut self) {
        let Work::Points(written, options) = &self.live.step.work else { panic!("an import of points") };
        assert_eq!(self.found.processed.len(), written.file.rows.len());
        for (place, row) in written.file.rows.iter().enumerate() {
            let asked = self.model.read(&written.file, row, options, &self.run);
            let refused = |code: &str| {
                let cells = &self.found.processed[place];
                assert_eq!(cells[1..3], ["rejected", code], "{cells:?}");
            };
            let command = match (asked.fault, &asked.command) {
                (None, Some(command)) => command.clone(),
                (fault, _) => {
                    refused(fault.expect("else it has a command"));
                    continue;
                }
            };
            let (customer, is_new) = match self.model.owner(&asked, options) {
                Err(code) => {
                    refused(code);
                    continue;
                }
                Ok(Some(customer)) => (customer, false),
                Ok(None) => {
                    let empty = Account::default();
                    match self.model.judge(&asked, &command, None, &empty, options, &self.run) {
                        Verdict::Rejected(code) => {
                            refused(code);
                            continue;
                        }
                        _ => (self.model.create(&asked.names, self.run.job.now), true),
                    }
                }
            };
            self.rows.insert(place, Resolved { asked, command, customer, is_new });
        }
    }

    /// What a row does to an account, if that is what was told of it.
    fn verdict(&self, place: usize, row: &Resolved, account: &Account) -> Result<Verdict, String> {
        let Work::Points(_, options) = &self.live.step.work else { panic!("an import of points") };
        let owner = Some(row.customer).filter(|_| !row.is_new);
        let verdict = self.model.judge(&row.asked, &row.command, owner, account, options, &self.run);
        let answer = verdict.answer(row.asked.line, &row.command, row.is_new, account, &self.run);
        let cells = &self.found.processed[place];
        let found = [0, 1, 2, 5, 6].map(|at: usize| cells[at].clone());
        let expected = answer_cells(&answer, &self.model);
        if found == expected { Ok(verdict) } else { Err(format!("found {found:?}, expected {expected:?}")) }
    }

    /// Explains rows without an entry until the one at this place.
    fn explain(&mut self, until: usize) {
        while self.next < until {
            let place = self.next;
            self.next += 1;
            let Some(row) = self.rows.remove(&place) else { continue };
            let program = row.command.program;
            let before = self.before.get(&(row.customer, program)).into_iter().flatten();
            let account = &self.model.customers[row.customer].accounts[program];
            let tried = before.chain([account]).map(|account| self.verdict(place, &row, account)).collect::<Vec<_>>();
            let explains = |verdict: &Verdict| match verdict {
                Verdict::Applied(decision) => decision.effect.moved.is_none(),
                Verdict::Rejected(_) | Verdict::Known => true,
            };
            let verdict = tried.iter().flatten().find(|verdict| explains(verdict));
            let verdict = verdict.unwrap_or_else(|| panic!("row {place} is not explained: {tried:?}"));
            if matches!(verdict, Verdict::Applied(_)) {
                self.model.remember(&row.asked, &row.command, row.customer, &mut self.run);
            }
        }
    }

    /// A row that has an entry.
    fn row(&mut self, line: u64) {
        let place = self.rows.iter().find(|(_, row)| row.asked.line == line).map(|(place, _)| *place);
        let place = place.unwrap_or_else(|| panic!("line {line} has no entry left"));
        self.explain(place);
        self.next += 1;
        let row = self.rows.remove(&place).expect("it is there");
        let account = &self.model.customers[row.customer].accounts[row.command.program];
        match self.verdict(place, &row, account) {
            Ok(Verdict::Applied(decision)) => {
                assert!(decision.expired.is_empty(), "line {line}: what is over expires before");
                self.model.remember(&row.asked, &row.command, row.customer, &mut self.run);
                self.model.enter(row.customer, line, &row.command, decision, row.asked.texts(), &self.run);
            }
            other => panic!("line {line} is not what its entry says: {other:?}"),
        }
        self.before.clear();
    }

    /// An adjustment that has an entry.
    fn adjustment(&mut self, job: u32, customer: usize) {
        let of_job = |(.., view): &&(String, Adjustment, AdjustView)| view.job == Some(JobId(job));
        let (reason, one, view) =
            self.found.adjusted.iter().find(of_job).expect("the ledger has what was acknowledged");
        let run = self.run_of(job, reason, one);
        let command = adjustment_command(&self.model, one, run.today);
        let decision = {
            let account = &self.model.customers[customer].accounts[one.program];
            self.model.decide(account, &command, one.on_overdraft, &run).expect("it was applied")
        };
        assert!(decision.expired.is_empty(), "{one:?}: what is over expires before");
        let moved = decision.effect.moved.map_or(0, |(_, amount)| i128::from(amount));
        let balance = decision.account.balance();
        assert_eq!(view.amount, points(&self.model, one.program, moved), "{one:?}");
        assert_eq!(view.balance, Some(points(&self.model, one.program, balance)), "{one:?}");
        self.keep(customer, one.program);
        self.model.enter(customer, 0, &command, decision, ["", ""], &run);
    }

    /// A lot that is over, which ends by an entry of its own.
    fn expiry(&mut self, job: u32, customer: usize, program: usize) {
        let of_job = |(.., view): &&(String, Adjustment, AdjustView)| view.job == Some(JobId(job));
        let adjusted = self.found.adjusted.iter().find(of_job);
        let of_adjustment = adjusted.map(|(reason, one, _)| self.run_of(job, reason, one));
        self.keep(customer, program);
        let run = of_adjustment.as_ref().unwrap_or(&self.run);
        let over = self.model.customers[customer].accounts[program].over_on(run.today);
        let first = over.first().expect("a lot of the account is over").clone();
        self.model.expire_lots(customer, program, &[first], run);
    }

    fn run_of(&self, job: u32, reason: &str, one: &Adjustment) -> Run {
        let (reason, comment) = (reason.to_owned(), String::new());
        self.model.begin(&Job { number: job, now: one.now, program: one.program, reason, comment })
    }

    /// Keeps an account as it is, before it changes.
    fn keep(&mut self, customer: usize, program: usize) {
        let account = self.model.customers[customer].accounts[program].clone();
        self.before.entry((customer, program)).or_default().push(account);
    }
}

/// What an adjustment asks for.
fn adjustment_command(model: &Model, one: &Adjustment, today: i64) -> Command {
    let unit = 10_i64.pow(model.programs[one.program].decimals);
    let wanted = match one.wanted {
        Wanted::Credit(points) => Wanted::Credit(points * unit),
        Wanted::Debit(points) => Wanted::Debit(points * unit),
        Wanted::Set(points) => Wanted::Set(points * unit),
        Wanted::Promise(points) => Wanted::Promise(points * unit),
    };
    let expires_on = one.days_of_validity.map(|days| today + i64::from(days));
    Command { program: one.program, wanted, terms: Terms { expires_on, ..Terms::default() } }
}

/// Panics where the ledger is not one that the rules allow, or an acknowledged adjustment is not in it once.
fn check(live: &LiveWorld, found: &Live) {
    let mut replay = Replay::new(live, found);
    let customers: HashMap<Vec<String>, usize> =
        (0..replay.model.customers.len()).map(|customer| (name_cells(&replay.model, customer), customer)).collect();
    if customers.len() < replay.model.customers.len() {
        // Several have nothing but cards, which no row of the ledger tells.
        return;
    }
    let known = replay.model.ledger.len();
    for (at, cells) in found.ledger.iter().enumerate() {
        if at >= known {
            let customer = customers[&cells[..4]];
            let program = replay.model.programs.iter().position(|program| program.code == cells[4]).expect("a program");
            let (kind, job, line) = (&*cells[7], cells[16].parse().expect("a job"), cells[17].parse().expect("a line"));
            match (kind, line) {
                ("expire" | "promise_expire", 0) => replay.expiry(job, customer, program),
                (_, 0) => replay.adjustment(job, customer),
                (_, line) => replay.row(line),
            }
        }
        assert_eq!(*cells, ledger_row(&replay.model, at), "entry {}", at + 1);
    }
    replay.explain(found.processed.len());
    compare_rows("lots", &found.lots, &lot_rows(&replay.model));
    compare_rows("balances", &found.balances, &balance_rows(&replay.model));
    check_summary(&replay.model, &found.summary, &found.processed, live.step.program);
    check_acknowledged(found);
}

/// The job's totals are those of its own entries and rows.
fn check_summary(model: &Model, summary: &Summary, processed: &[Vec<String>], program: usize) {
    let of_job = model.ledger.iter().filter(|entry| entry.job == 3 && entry.program == program);
    let (mut credited, mut debited, mut expired, mut promised) = (0, 0, 0, 0);
    for entry in of_job {
        let points = i128::from(entry.amount);
        match entry.kind {
            "promise" => promised += points,
            "promise_expire" => {}
            "expire" => expired -= points,
            _ if points > 0 => credited += points,
            _ => debited -= points,
        }
    }
    let found = [&summary.points.credited, &summary.points.debited, &summary.points.expired, &summary.points.promised];
    let expected = [credited, debited, expired, promised].map(|sum: i128| points(model, program, sum));
    assert_eq!(found, expected.each_ref());
    let with = |status: &str| processed.iter().filter(|cells| cells[1] == status).count() as u64;
    let rows = &summary.rows;
    assert_eq!((rows.applied, rows.unchanged, rows.rejected), (with("applied"), with("unchanged"), with("rejected")));
}

/// Each adjustment that moved points is in the ledger once, by its job and its reason; others are not.
fn check_acknowledged(found: &Live) {
    let entries = |reason: &str| {
        let own = found.ledger.iter().filter(|cells| cells[19] == reason && !cells[7].ends_with("expire"));
        own.map(|cells| cells[16].parse().expect("a job")).collect::<Vec<u32>>()
    };
    let mut jobs = Vec::new();
    for (reason, one, view) in &found.adjusted {
        let moved = view.status == Status::Applied && view.amount.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        let expected = view.job.iter().filter(|_| moved).map(|job| job.0).collect::<Vec<_>>();
        assert_eq!(entries(reason), expected, "{one:?}: {view:?}");
        jobs.extend(view.job);
    }
    let count = jobs.len();
    jobs.sort_unstable();
    jobs.dedup();
    assert_eq!(jobs.len(), count, "each is a job of its own");
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn adjustments_while_a_job_runs_come_between_its_rows_once_each(live in live_world()) {
        check(&live, &run_live(&live));
    }
}
