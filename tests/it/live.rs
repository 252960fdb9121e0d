//! Adjustments while a job runs: each is taken in between the job's rows, once, and is durable when it is told.
//!
//! A normal run makes some hundreds of them. For a million, in a release build as always:
//!
//! ```text
//! TIDEMILL_ADJUSTMENTS=1000000 cargo test --release many_who_adjust -- --nocapture
//! ```
//!
//! Where an adjustment must meet the job in the middle, the job reads a stream that does not end before the test says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
    time::Instant,
};

use tidemill::{
    domain::{
        command::{Mode, OnOverdraft, OnUnknown, Operation},
        id::JobId,
        identifier::IdentifierKind,
        job::JobState,
        program::Program,
    },
    engine::{
        Engine,
        request::{
            AdjustRequest, CustomersRequest, ExpireRequest, FileRequest, JobRequest, PointsExpiry, PointsRequest,
            ResumeRequest,
        },
        view::AdjustView,
    },
    error::{Error, ErrorKind},
    import::source::Stream,
    job::progress::{Progress, Snapshot},
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    content::{export, rows},
    shop::Held,
    till::{NOW, moment},
};

/// Limits so small that every chunk of a hundred rows is a window, and that a job leaves little to the log alone: a table of
/// identifiers then has no others than those of the kinds that a file needs.
fn small() -> Options {
    Options { window_rows: 50, chunk_bytes_max: 4096, threads: 2, cache_lag_entries_min: 0, ..Options::default() }
}

/// A store with so many customers: `u7` has the e-mail address `c7@example.com` and the card `9007`.
fn store(directory: &tempfile::TempDir, customers: usize, options: Options) -> Engine {
    let engine = Engine::create(&directory.path().join("store"), options).expect("a store");
    engine.add_program(Program::new("eur", "", 2, None).expect("a program")).expect("it is added");
    let line = |at: usize| format!("u{at},c{at}@example.com,{}\n", 90_000 + at);
    let path = directory.path().join("customers.csv");
    let content: String = std::iter::once("user_id,email,card\n".to_owned()).chain((0..customers).map(line)).collect();
    std::fs::write(&path, content).expect("a file is written");
    let request =
        CustomersRequest { file: FileRequest { path, ..FileRequest::default() }, ..CustomersRequest::default() };
    engine.import_customers(&job(), &request, &Progress::default()).expect("customers");
    engine
}

fn job() -> JobRequest {
    JobRequest { reason: Some("file".to_owned()), now: Some(moment(NOW)), ..JobRequest::default() }
}

fn credit(kind: IdentifierKind, value: &str, amount: &str) -> AdjustRequest {
    AdjustRequest {
        identifiers: vec![(kind, value.to_owned())],
        operation: Operation::Credit,
        amount: amount.to_owned(),
        on_overdraft: OnOverdraft::Reject,
        expiry: None,
    }
}

/// Adjusts a customer by hand.
fn adjust(engine: &Engine, kind: IdentifierKind, value: &str, amount: &str) -> AdjustView {
    let job = JobRequest { reason: Some("by hand".to_owned()), ..job() };
    engine.adjust(&job, &credit(kind, value, amount)).expect("an answer")
}

/// A file whose rows go on until somebody has seen enough.
struct Endless {
    row: Box<dyn Fn(u64) -> String + Send>,
    next: u64,
    pending: Vec<u8>,
    is_over: Arc<AtomicBool>,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.pending.is_empty() && !self.is_over.load(SeqCst) {
            self.pending = (self.row)(self.next).into_bytes();
            self.next += 1;
        }
        let count = self.pending.len().min(out.len());
        out[..count].copy_from_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Ok(count)
    }
}

/// A job that reads such a file.
struct Running {
    rows: Arc<(Mutex<u64>, Condvar)>,
    is_over: Arc<AtomicBool>,
}

impl Running {
    /// Waits until so many rows are applied.
    fn wait_for(&self, rows: u64) {
        let (applied, changed) = &*self.rows;
        let applied = applied.lock().expect("no panic");
        drop(changed.wait_while(applied, |applied| *applied < rows).expect("no panic"));
    }
}

impl Drop for Running {
    /// Also where the test fails, so that the job ends and does not hide why.
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
    }
}

/// Runs an import of a file whose rows go on until `during` has ended.
fn while_importing<R>(
    import: impl FnOnce(FileRequest, &Progress) -> tidemill::error::Result<Summary> + Send,
    row: impl Fn(u64) -> String + Send + 'static,
    during: impl FnOnce(&Running) -> R,
) -> (Summary, R) {
    let running = Running { rows: Arc::default(), is_over: Arc::default() };
    let (applied, ended) = (Arc::clone(&running.rows), Arc::clone(&running.rows));
    let tell = |(applied, changed): &(Mutex<u64>, Condvar), rows| {
        *applied.lock().expect("no panic") = rows;
        changed.notify_all();
    };
    let progress = Progress::observed(move |snapshot: Snapshot| tell(&applied, snapshot.rows));
    let endless = Endless { row: Box::new(row), next: 0, pending: Vec::new(), is_over: Arc::clone(&running.is_over) };
    let stream = Some(Stream::begin(endless).expect("its beginning is read"));
    let file = FileRequest { path: "rows".into(), stream, ..FileRequest::default() };
    thread::scope(|threads| {
        let importing = threads.spawn(move || {
            let result = import(file, &progress);
            // Nobody waits for a job that has failed.
            tell(&ended, u64::MAX);
            result
        });
        let result = during(&running);
        drop(running);
        (importing.join().expect("no panic").expect("it ends"), result)
    })
}

/// The same for points that are added by e-mail address, one a row.
fn while_adding<R>(engine: &Engine, customers: u64, during: impl FnOnce(&Running) -> R) -> (Summary, R) {
    let import = |file, progress: &Progress| {
        let request = PointsRequest { file, on_unknown: OnUnknown::Create, ..PointsRequest::default() };
        engine.import_points(&job(), &request, progress)
    };
    let row = move |number: u64| match number {
        0 => "email,mobile,amount,operation\n".to_owned(),
        number => format!("c{}@example.com,,1,CR\n", number % customers),
    };
    while_importing(import, row, during)
}

/// What the ledger says of a job's entries: number, customer's e-mail address, amount, balance after.
fn entries_of(engine: &Engine) -> BTreeMap<u32, Vec<(u64, String, i64, String)>> {
    let mut found: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for cells in rows(&export(engine, Export::Ledger)) {
        let job = cells[16].parse().expect("a number");
        let (sequence, amount) = (cells[5].parse().expect("a number"), cells[8].parse().unwrap_or(0));
        found.entry(job).or_default().push((sequence, cells[2].clone(), amount, cells[9].clone()));
    }
    found
}

fn sound(engine: &Engine) {
    let view = engine.verify().expect("a store that can be read");
    assert!(view.ok, "{:#?}", view.problems);
    // Numbers have no hole: a job that is missing would be an error.
    let jobs = engine.jobs().expect("jobs");
    let numbers: Vec<u32> = jobs.iter().map(|summary| summary.job.expect("a number").0).collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
}

/// So many of a normal run, or as many as `TIDEMILL_ADJUSTMENTS` says.
fn adjustments_wanted() -> u64 {
    std::env::var("TIDEMILL_ADJUSTMENTS").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(150)
}

#[test]
fn many_who_adjust_at_once_are_all_served_while_a_file_is_imported() {
    const CUSTOMERS: u64 = 500;
    let threads = if adjustments_wanted() > 10_000 { 64 } else { 6 };
    let each = adjustments_wanted().div_ceil(threads);
    let directory = tempfile::tempdir().expect("a directory");
    // Each window takes in one adjustment of each thread, so its rows are few where adjustments are many.
    let options = Options { chunk_bytes_max: if threads > 6 { 1024 } else { 4096 }, ..small() };
    let engine = store(&directory, CUSTOMERS as usize, options.clone());
    let began = Instant::now();
    let (summary, views) = while_adding(&engine, CUSTOMERS, |running| {
        running.wait_for(1);
        thread::scope(|scope| {
            let adjusting = (0..threads).map(|number| {
                let engine = &engine;
                scope.spawn(move || {
                    let one = |at: u64| {
                        // Some customers of one thread, and some of all.
                        let customer = if at.is_multiple_of(2) { number * 50 + at } else { at } % CUSTOMERS;
                        let email = format!("c{customer}@example.com");
                        (customer, adjust(engine, IdentifierKind::Email, &email, "1000"))
                    };
                    (0..each).map(one).collect::<Vec<_>>()
                })
            });
            let adjusting: Vec<_> = adjusting.collect();
            adjusting.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        })
    });
    println!("{} adjustments beside {} rows in {:?}", views.len(), summary.rows.read, began.elapsed());
    assert_eq!(views.len() as u64, threads * each);
    assert_eq!((summary.rows.applied, summary.rows.rejected), (summary.rows.read, 0));
    // All customers were there before, and all rows but the first of each repeat one: adjustments count for nothing here.
    assert_eq!((summary.customers.matched, summary.customers.created), (CUSTOMERS.min(summary.rows.read), 0));
    let entries = entries_of(&engine);
    let import = entries[&2].iter().map(|entry| entry.0);
    let (first, last) = (import.clone().min().expect("entries"), import.max().expect("entries"));
    let mut jobs = BTreeSet::new();
    for (customer, view) in &views {
        // Each is a job with one entry, which says what the caller was told, and lies among those of the file.
        let job = view.job.expect("a job");
        assert!(jobs.insert(job.0) && job.0 > 2);
        let [(sequence, email, amount, balance_after)] = &entries[&job.0][..] else { panic!("{:?}", entries[&job.0]) };
        assert_eq!((email, *amount), (&format!("c{customer}@example.com"), 1000));
        assert_eq!(view.balance.as_ref(), Some(balance_after));
        assert!((first..last).contains(sequence), "{sequence} of {first} to {last}");
    }
    assert_eq!(jobs, (3..3 + views.len() as u32).collect());
    assert_eq!(entries[&2].len() as u64, summary.rows.read);
    let mut adjusted = BTreeMap::new();
    views.iter().for_each(|(customer, _)| *adjusted.entry(*customer).or_insert(0) += 1000);
    let balances = (0..CUSTOMERS).map(|customer| {
        let view = engine.customer(IdentifierKind::UserId, &format!("u{customer}")).expect("a customer");
        view.accounts[0].balance.parse::<u64>().expect("a number")
    });
    let balances: Vec<u64> = balances.collect();
    let is_right = |adjusted: &BTreeMap<u64, u64>| {
        balances.iter().zip(0..).all(|(&balance, customer)| {
            let by_hand: u64 = adjusted.get(&customer).copied().unwrap_or(0);
            // Rows are numbered from 1.
            let by_rows = (1..=summary.rows.read).filter(|row| row % CUSTOMERS == customer).count() as u64;
            balance == by_hand + by_rows
        })
    };
    assert!(is_right(&adjusted));
    // One that was lost, made twice, or made for somebody else would have been noticed.
    let (one, other) = (*adjusted.keys().next().expect("some"), *adjusted.keys().next_back().expect("some"));
    for (customer, change) in [(one, -1000_i64), (other, 1000)] {
        let mut wrong = adjusted.clone();
        *wrong.entry(customer).or_default() = adjusted[&customer].wrapping_add_signed(change);
        assert!(!is_right(&wrong));
    }
    let moved = BTreeMap::from_iter(adjusted.iter().map(|(&customer, &amount)| match customer {
        customer if customer == one => (one, amount - 1000),
        customer if customer == other => (other, amount + 1000),
        customer => (customer, amount),
    }));
    assert!(!is_right(&moved));
    let change = |summary: &Summary| {
        let number = |text: &str| text.parse::<u64>().expect("a number");
        number(&summary.balance.after) - number(&summary.balance.before)
    };
    assert_eq!(change(&summary), summary.rows.read + views.len() as u64 * 1000);
    sound(&engine);
    // A process that comes later finds all of it, and goes on counting jobs behind it.
    drop(engine);
    let engine = Engine::open(&directory.path().join("store"), options).expect("a store");
    sound(&engine);
    let next = adjust(&engine, IdentifierKind::UserId, "u1", "1").job.expect("a job");
    assert_eq!(next.0, 3 + views.len() as u32);
}

#[test]
fn an_adjustment_sees_the_rows_before_it_and_is_durable_with_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 10, small());
    let (summary, ()) = while_adding(&engine, 10, |running| {
        for (number, rows) in [1, 400, 900].into_iter().enumerate() {
            running.wait_for(rows);
            let view = adjust(&engine, IdentifierKind::Email, "c1@example.com", "100000");
            // At least the rows of this customer among those that were seen as applied.
            let balance: u64 = view.balance.expect("a balance").parse().expect("a number");
            let least = rows.div_ceil(10) + (number as u64 + 1) * 100_000;
            assert!(balance >= least, "{balance} after {rows} rows");
            // Whoever copies the store at this moment has it, with an import that can go on elsewhere.
            let backup = directory.path().join(format!("backup-{number}"));
            engine.backup(&backup).expect("a backup");
            let copy = directory.path().join(format!("copy-{number}"));
            let copy = Engine::restore(&backup, &copy, small()).expect("a store");
            let found = copy.job(view.job.expect("a job")).expect("it is there");
            assert_eq!((found.state, &*found.points.credited), (JobState::Finished, "100000"));
            assert_eq!(copy.job(JobId(2)).expect("it began").state, JobState::Unfinished);
            let there = copy.customer(IdentifierKind::UserId, "u1").expect("a customer").accounts.swap_remove(0);
            assert!(there.balance.parse::<u64>().expect("a number") >= balance);
            assert!(copy.verify().expect("it can be read").ok);
        }
    });
    assert!(summary.rows.read >= 900);
    sound(&engine);
}

#[test]
fn refused_adjustments_and_ones_that_change_nothing_disturb_no_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 10, small());
    let (summary, ()) = while_adding(&engine, 9, |running| {
        running.wait_for(1);
        let code = |request: AdjustRequest| {
            let view = engine.adjust(&job(), &request).expect("an answer");
            (view.code.map(|code| code.code().to_owned()), view.job.is_some())
        };
        let email = |email: &str| credit(IdentifierKind::Email, email, "5");
        let debit = AdjustRequest { operation: Operation::Debit, ..email("c9@example.com") };
        // The file never names this customer.
        assert_eq!(code(debit.clone()), (Some("insufficient_balance".to_owned()), false));
        assert_eq!(code(email("nobody@example.com")), (Some("identifier_unknown".to_owned()), false));
        assert_eq!(code(email("nobody")), (Some("identifier_invalid".to_owned()), false));
        assert_eq!(code(credit(IdentifierKind::Email, "c9@example.com", "0")), (None, true));
        let clamp = AdjustRequest { on_overdraft: OnOverdraft::Clamp, ..debit.clone() };
        assert_eq!(code(clamp), (None, true));
        // Whoever only asks what would be would have to wait for the job, whose rows cannot be taken back.
        let dry = JobRequest { dry_run: true, no_wait: true, ..job() };
        let error = engine.adjust(&dry, &email("c9@example.com")).expect_err("it would have to wait");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "job_running"));
        // Who does not want to wait need not: the job takes it in.
        let at_once = JobRequest { no_wait: true, ..job() };
        assert_eq!(engine.adjust(&at_once, &email("c9@example.com")).expect("an answer").code, None);
    });
    assert_eq!(summary.rows.rejected, 0);
    assert_eq!(engine.jobs().expect("jobs").len(), 5);
    sound(&engine);
}

#[test]
fn customers_are_found_by_identifiers_that_the_file_does_not_have() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 200, small());
    drop(engine);
    // Known from the disk, from the log behind it, and by nothing but a job that created them in this process.
    let engine = Engine::open(&directory.path().join("store"), small()).expect("a store");
    let path = directory.path().join("late.csv");
    std::fs::write(&path, "user_id,email,card,mobile\nlate,late@example.com,777,+37061234567\n").expect("a file");
    let request =
        CustomersRequest { file: FileRequest { path, ..FileRequest::default() }, ..CustomersRequest::default() };
    engine.import_customers(&job(), &request, &Progress::default()).expect("customers");
    let (_, ()) = while_adding(&engine, 300, |running| {
        running.wait_for(300);
        let found = |identifiers: &[(IdentifierKind, &str)]| {
            let identifiers = identifiers.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect();
            let request = AdjustRequest { identifiers, ..credit(IdentifierKind::Email, "", "1") };
            let view = engine.adjust(&job(), &request).expect("an answer");
            view.code.map_or("applied".to_owned(), |code| code.code().to_owned())
        };
        use IdentifierKind::{Card, Email, ExternalId, Mobile, UserId};
        let cases: [(&[(IdentifierKind, &str)], &str); 14] = [
            (&[(UserId, "u3")], "applied"),
            (&[(Card, "9 0003")], "applied"),
            (&[(UserId, "late")], "applied"),
            (&[(Mobile, "+370 612 34567")], "applied"),
            (&[(Card, "777")], "applied"),
            (&[(Email, "c3@example.com"), (UserId, "u3"), (Card, "90003")], "applied"),
            // Of a customer whom the running job has created, among others.
            (&[(Email, "c250@example.com")], "applied"),
            (&[(Email, "c250@example.com"), (UserId, "nobody")], "applied"),
            // Those who are known must be one.
            (&[(Email, "c3@example.com"), (UserId, "u4")], "identifier_conflict"),
            (&[(UserId, "u3"), (Card, "90004")], "identifier_conflict"),
            (&[(Email, "c250@example.com"), (UserId, "late")], "identifier_conflict"),
            (&[(UserId, "c3@example.com")], "identifier_unknown"),
            (&[(ExternalId, "u3")], "identifier_unknown"),
            (&[(Card, "90003"), (Mobile, "x")], "identifier_invalid"),
        ];
        for (identifiers, expected) in cases {
            assert_eq!(found(identifiers), expected, "{identifiers:?}");
        }
    });
    sound(&engine);
}

/// Who asks at the very moment at which a job begins is asked for by nobody else: again and again, with a file that lacks the
/// kind of identifier.
#[test]
fn a_customer_is_found_also_while_a_job_begins() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 2000, small());
    // The runs on the disk have them, so that a job's table does not.
    drop(engine);
    let engine = Engine::open(&directory.path().join("store"), small()).expect("a store");
    let (is_over, adjusted) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !is_over.load(Relaxed) {
                    let view = adjust(&engine, IdentifierKind::UserId, "u7", "1");
                    assert_eq!(view.code, None, "{view:?}");
                    adjusted.fetch_add(1, Relaxed);
                }
            });
        }
        let path = directory.path().join("points.csv");
        let content: String = (0..300).map(|row| format!("c{row}@example.com,,1,CR\n")).collect();
        std::fs::write(&path, format!("email,mobile,amount,operation\n{content}")).expect("a file is written");
        let request =
            PointsRequest { file: FileRequest { path, ..FileRequest::default() }, ..PointsRequest::default() };
        for _ in 0..40 {
            let job = JobRequest { again: true, ..job() };
            engine.import_points(&job, &request, &Progress::default()).expect("it ends");
        }
        is_over.store(true, Relaxed);
    });
    let balance = engine.customer(IdentifierKind::UserId, "u7").expect("a customer").accounts.swap_remove(0).balance;
    assert_eq!(balance, (adjusted.load(Relaxed) + 40).to_string());
    sound(&engine);
}

#[test]
fn an_adjustment_that_the_job_cannot_take_in_waits_for_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 10, small());
    let eur = || JobRequest { program: Some("eur".to_owned()), reason: Some("by hand".to_owned()), ..job() };
    let request = credit(IdentifierKind::Email, "c1@example.com", "2.50");
    let (told, is_told) = std::sync::mpsc::channel();
    let (summary, answer) = thread::scope(|threads| {
        let (summary, waiting) = while_adding(&engine, 10, |running| {
            running.wait_for(1);
            // Who does not want to wait is told at once.
            let error = engine.adjust(&JobRequest { no_wait: true, ..eur() }, &request).expect_err("it is not there");
            assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "job_running"));
            let (engine, request, told) = (&engine, &request, told.clone());
            let waiting = threads.spawn(move || {
                let view = engine.adjust(&eur(), request);
                told.send(()).expect("somebody listens");
                view
            });
            // Others are served meanwhile, in front of it.
            for _ in 0..5 {
                assert_eq!(adjust(engine, IdentifierKind::Email, "c1@example.com", "1").code, None);
            }
            assert!(is_told.try_recv().is_err(), "the job has not its program");
            waiting
        });
        (summary, waiting.join().expect("no panic"))
    });
    let view = answer.expect("it is done");
    assert_eq!((view.code, view.balance.as_deref()), (None, Some("2.50")));
    assert_eq!(view.job, Some(JobId(8)));
    let entries = entries_of(&engine);
    let last = entries[&2].iter().map(|entry| entry.0).max().expect("entries");
    assert!(entries[&8][0].0 > last, "{entries:?}");
    assert!(summary.other_programs.is_empty());
    sound(&engine);
}

#[test]
fn adjustments_wait_for_dry_runs_and_expiries() {
    let directory = tempfile::tempdir().expect("a directory");
    // No chunk is the last one before many more.
    let engine = store(&directory, 5000, small());
    let path = directory.path().join("points.csv");
    let content: String = (0..5000).map(|row| format!("c{row}@example.com,10,CR,2090-03-31\n")).collect();
    std::fs::write(&path, format!("email,amount,operation,expires_on\n{content}")).expect("a file is written");
    let request = PointsRequest { file: FileRequest { path, ..FileRequest::default() }, ..PointsRequest::default() };
    let adjusted_during = |work: &(dyn Fn(&Progress) -> Result<Summary, Error> + Sync)| {
        let held = Held::when(|snapshot| snapshot.rows > 0);
        thread::scope(|threads| {
            let working = threads.spawn(|| work(&held.progress));
            held.wait();
            let waiting = threads.spawn(|| adjust(&engine, IdentifierKind::Email, "c7@example.com", "1"));
            let at_once = JobRequest { no_wait: true, ..job() };
            let error = engine.adjust(&at_once, &credit(IdentifierKind::Email, "c7@example.com", "1"));
            assert_eq!(error.expect_err("it would have to wait").code(), "job_running");
            held.go();
            let summary = working.join().expect("no panic").expect("it ends");
            (summary, waiting.join().expect("no panic"))
        })
    };
    let dry = JobRequest { dry_run: true, ..job() };
    let (summary, view) = adjusted_during(&|progress| engine.import_points(&dry, &request, progress));
    assert_eq!((summary.rows.applied, summary.job), (5000, None));
    assert_eq!((view.job, view.balance.as_deref()), (Some(JobId(2)), Some("1")));
    // What the dry run made of the balance was not there.
    assert_eq!(entries_of(&engine)[&2], [(1, "c7@example.com".to_owned(), 1, "1".to_owned())]);

    engine.import_points(&job(), &request, &Progress::default()).expect("it ends");
    let later = JobRequest { now: Some(moment("2090-04-01T00:00:00Z")), ..job() };
    let (summary, view) = adjusted_during(&|progress| engine.expire(&later, &ExpireRequest::default(), progress));
    assert_eq!((summary.rows.applied, summary.points.expired.as_str()), (5000, "50000"));
    assert_eq!((view.job, view.balance.as_deref()), (Some(JobId(5)), Some("2")));
    sound(&engine);
}

#[test]
fn a_dry_adjustment_waits_for_the_job_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 10, small());
    let (summary, answer) = thread::scope(|threads| {
        let (summary, waiting) = while_adding(&engine, 10, |running| {
            running.wait_for(1);
            let engine = &engine;
            threads.spawn(move || {
                let dry = JobRequest { dry_run: true, ..job() };
                engine.adjust(&dry, &credit(IdentifierKind::Email, "c1@example.com", "5"))
            })
        });
        (summary, waiting.join().expect("no panic"))
    });
    let view = answer.expect("an answer");
    let credits = (1..=summary.rows.read).filter(|row| row % 10 == 1).count() as u64;
    // It was asked when the job was at work, and answered from what there is when it has ended, or from in between.
    assert_eq!((view.job, view.code, view.amount.as_str()), (None, None, "5"));
    assert!(view.balance.expect("a balance").parse::<u64>().expect("a number") <= credits + 5);
    assert_eq!(engine.jobs().expect("jobs").len(), 2);
    sound(&engine);
}

#[test]
fn an_adjustment_goes_by_its_own_day_and_limits() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 10, small());
    let import = |file, progress: &Progress| {
        let request = PointsRequest { file, ..PointsRequest::default() };
        engine.import_points(&job(), &request, progress)
    };
    // Lots of this month for one, plain points for others, and debits that the job's policy refuses.
    let row = |number: u64| match number {
        0 => "email,amount,operation,expires_on\n".to_owned(),
        number if number % 5 == 0 => "c1@example.com,10,CR,2090-03-31\n".to_owned(),
        number if number % 5 == 1 => "c3@example.com,10,DR,\n".to_owned(),
        _ => "c2@example.com,1,CR,\n".to_owned(),
    };
    let (summary, lots) = while_importing(import, row, |running| {
        running.wait_for(200);
        // Who adjusts on a later day sees them dead; the job goes on with its own.
        let later = JobRequest { now: Some(moment("2090-04-01T00:00:00Z")), ..job() };
        let with = |request: AdjustRequest| engine.adjust(&later, &request).expect("an answer");
        let view = with(credit(IdentifierKind::Email, "c1@example.com", "3"));
        assert_eq!(view.balance.as_deref(), Some("3"));
        let overdraft = AdjustRequest {
            operation: Operation::Debit,
            on_overdraft: OnOverdraft::Allow,
            ..credit(IdentifierKind::Email, "c3@example.com", "40")
        };
        assert_eq!(with(overdraft).balance.as_deref(), Some("-40"));
        let dated = |email: &str, days| AdjustRequest {
            expiry: Some(PointsExpiry::InDays(days)),
            ..credit(IdentifierKind::Email, email, "50")
        };
        // Ten are left when the overdraft is paid back.
        assert_eq!(with(dated("c3@example.com", 30)).balance.as_deref(), Some("10"));
        assert_eq!(with(dated("c4@example.com", 30)).balance.as_deref(), Some("50"));
        let lots = engine.customer(IdentifierKind::UserId, "u4").expect("a customer").accounts.swap_remove(0).lots;
        (lots, view.job.expect("a job"))
    });
    let (lots, first) = lots;
    assert_eq!((lots.len(), lots[0].expires_on.as_deref()), (1, Some("2090-05-01")));
    assert!(summary.rejects["insufficient_balance"] > 100, "{:?}", summary.rejects);
    // What died on the way is the adjustment's, not the file's.
    assert_eq!(summary.points.expired, "0");
    let adjusted = engine.job(first).expect("it is there");
    assert!(adjusted.points.expired.parse::<u64>().expect("a number") >= 400, "{adjusted:?}");
    assert_eq!((adjusted.points.credited.as_str(), adjusted.rows.applied), ("3", 1));
    sound(&engine);
}

#[test]
fn customer_files_take_adjustments_in_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = store(&directory, 10, small());
    let import = |file, progress: &Progress| {
        engine.import_customers(&job(), &CustomersRequest { file, ..CustomersRequest::default() }, progress)
    };
    let row = |number: u64| match number {
        0 => "external_id,balance\n".to_owned(),
        number => format!("x{number},7\n"),
    };
    let (summary, jobs) = while_importing(import, row, |running| {
        running.wait_for(300);
        let of = |kind, value: &str| adjust(&engine, kind, value, "5");
        // Customers of the file, and those who were there, by what the file has and by what it has not.
        let views = [
            of(IdentifierKind::ExternalId, "x1"),
            of(IdentifierKind::ExternalId, "x299"),
            of(IdentifierKind::UserId, "u1"),
            of(IdentifierKind::Email, "c2@example.com"),
        ];
        let unknown = of(IdentifierKind::UserId, "x1");
        assert_eq!(unknown.code.map(|code| code.code()), Some("identifier_unknown"));
        views.map(|view| (view.job.map(|job| job.0), view.balance))
    });
    let expected = [(3, "12"), (4, "12"), (5, "5"), (6, "5")];
    assert_eq!(jobs, expected.map(|(job, balance)| (Some(job), Some(balance.to_owned()))));
    assert_eq!((summary.rows.created, summary.rows.read), (summary.customers.created, summary.customers.created));
    sound(&engine);
}

/// A file that is long enough for many adjustments, in which each customer is named, some twice, some only far behind.
fn long_file(mode: Option<Mode>) -> String {
    const ROWS: u64 = 60_000;
    let mut content = if mode.is_some() { "email,points\n" } else { "email,mobile,amount,operation\n" }.to_owned();
    for row in 0..ROWS {
        let customer = row % 20_000 + row / 30_000 * 10_000;
        match mode {
            Some(_) => content.push_str(&format!("c{customer}@example.com,{}\n", row % 3)),
            None => {
                content.push_str(&format!("c{customer}@example.com,,{},{}\n", row % 7, ["CR", "DR"][row as usize % 2]))
            }
        }
    }
    content
}

#[test]
fn a_job_that_stopped_among_adjustments_counts_as_one_that_did_not() {
    for mode in [None, Some(Mode::Reset)] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("points.csv");
        std::fs::write(&path, long_file(mode)).expect("a file is written");
        let file = FileRequest { path, ..FileRequest::default() };
        let request = PointsRequest { file, mode, on_overdraft: OnOverdraft::Allow, ..PointsRequest::default() };
        // Customers whom the file has named when the job stops, has not named yet, names twice, and never names.
        let adjusted = [1, 2, 19_000, 25_000, 39_999, 40_001];
        let by_hand = |engine: &Engine, customer: u32, operation| {
            let email = format!("c{customer}@example.com");
            let request = AdjustRequest { operation, ..credit(IdentifierKind::Email, &email, "1000") };
            engine.adjust(&job(), &request).expect("an answer")
        };
        let set =
            |engine: &Engine| adjusted.map(|customer| by_hand(engine, customer, Operation::Set).job.expect("a job"));

        let calm_directory = tempfile::tempdir().expect("a directory");
        let calm = store(&calm_directory, 40_010, Options { threads: 2, ..Options::default() });
        set(&calm);
        let expected = calm.import_points(&job(), &request, &Progress::default()).expect("it ends");

        // Only a machine on which hundreds of commits take less time than six adjustments ends before it stops.
        for attempt in 0.. {
            assert!(attempt < 5, "it always ended before it stopped");
            let directory = tempfile::tempdir().expect("a directory");
            let engine = store(&directory, 40_010, small());
            let (begun, has_begun) = std::sync::mpsc::channel();
            let once = Mutex::new(Some(begun));
            let progress = Progress::observed(move |snapshot| {
                if let Some(begun) = once.lock().expect("no panic").take_if(|_| snapshot.rows > 500) {
                    begun.send(()).expect("the test waits");
                }
            });
            let (stopped, jobs) = thread::scope(|threads| {
                let importing = threads.spawn(|| engine.import_points(&job(), &request, &progress));
                has_begun.recv().expect("it begins");
                let jobs = set(&engine);
                progress.stop();
                (importing.join().expect("no panic"), jobs)
            });
            let Err(error) = stopped else { continue };
            assert_eq!((error.kind(), error.job()), (ErrorKind::Stopped, Some(JobId(2))), "{error:?}");
            assert_eq!(jobs.map(|job| job.0), [3, 4, 5, 6, 7, 8]);
            let read = engine.job(JobId(2)).expect("it began").rows.read;
            assert!(read < 60_000);
            drop(engine);
            let engine = Engine::open(&directory.path().join("store"), small()).expect("a store");
            sound(&engine);
            let summary = engine.resume(JobId(2), &ResumeRequest::default(), &Progress::default()).expect("it ends");
            assert_eq!((summary.rows, summary.customers), (expected.rows, expected.customers), "{mode:?}");
            assert_eq!(summary.rejects, expected.rejects);
            sound(&engine);
            let balance = |engine: &Engine, customer: u32| {
                let email = format!("c{customer}@example.com");
                engine.customer(IdentifierKind::Email, &email).expect("a customer").accounts.swap_remove(0).balance
            };
            // Those whom the rows came to later have what they would have had, and nobody else is different.
            let later = adjusted.into_iter().filter(|&customer| u64::from(customer) > read);
            let others = [0, 3, 77, 12_345, 20_000, 39_998];
            for customer in later.chain(others) {
                assert_eq!(balance(&engine, customer), balance(&calm, customer), "c{customer}, {mode:?}");
            }
            break;
        }
    }
}
