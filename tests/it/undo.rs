//! Undoing a job: what it did to points is taken back, and nothing else; what cannot be is told.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use tidemill::{
    domain::{
        command::{OnOverdraft, OnUnknown, Operation},
        id::JobId,
        identifier::IdentifierKind,
        job::JobState,
        undo::OnSpent,
    },
    engine::{
        Engine,
        request::{
            AdjustRequest, CustomersRequest, ExpireRequest, FileRequest, JobRequest, MergeRequest, PointsExpiry,
            ResumeRequest, UndoRequest,
        },
        view::ProgramView,
    },
    error::{Error, ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
    service::Service,
};

use super::{
    kill::{Random, kills_wanted},
    support::{
        binary::{Binary, finish},
        content::{Content, difference, export, rows},
        shop::stopping_at,
        till::{Till, allow, file, plainly},
    },
};

const EMAIL: IdentifierKind = IdentifierKind::Email;
const ALL: &str = "email,amount,operation,expires_on,promised,ref_type,program";

/// Dated, promised, referenced and plain points of both customers in both programs.
const LOTS: [&str; 9] = [
    "ana@example.com;100;CR;2090-03-31;;;",
    "ana@example.com;50;CR;2090-04-01;;order;",
    "ana@example.com;8;CR;2090-03-31;yes;;",
    "ana@example.com;7;CR;;;;",
    "ana@example.com;3;CR;;;visit;",
    "ben@example.com;30;CR;2090-04-30;;;",
    "ben@example.com;4;CR;2090-04-15;yes;;",
    "ben@example.com;1.25;CR;2090-03-31;;;eur",
    "ana@example.com;3.00;CR;2090-03-11;yes;;eur",
];

fn filled() -> Till {
    filled_with(Options { threads: 2, ..Options::default() })
}

fn filled_with(options: Options) -> Till {
    let till = Till::with(options);
    till.import(file(ALL, LOTS.into_iter()), plainly);
    assert!(till.answers().iter().all(|answer| answer.starts_with("applied")), "{:?}", till.answers());
    till
}

/// Everything that an undo must bring back, as it is told of both customers and both programs.
type Told = (String, String, Vec<ProgramView>);

fn told(engine: &Engine) -> Told {
    // An account of nobody's points is one all the same.
    let programs = ["points", "eur"].map(|code| {
        let view = engine.program_view(code).expect("a program");
        ProgramView { accounts: 0, ..view }
    });
    let balances = export(engine, Export::Balances { nonzero: true });
    (balances, export(engine, Export::Lots), programs.to_vec())
}

fn try_undo(till: &Till, job: JobId, how: impl FnOnce(&mut JobRequest, &mut UndoRequest)) -> Result<Summary> {
    let (mut asked, mut request) = (till.job(), UndoRequest { job, on_spent: OnSpent::Keep });
    how(&mut asked, &mut request);
    till.engine().undo(&asked, &request, &Progress::default())
}

#[track_caller]
fn undo(till: &Till, job: JobId) -> Summary {
    try_undo(till, job, |_, _| {}).expect("it is undone")
}

fn job_of(summary: &Summary) -> JobId {
    summary.job.expect("it is no dry run")
}

/// What became of the accounts: reversed, partly reversed, kept, points that stay.
fn counts(summary: &Summary) -> (u64, u64, u64, &str) {
    let undo = summary.undo.as_ref().expect("it is an undo");
    (undo.reversed, undo.partly_reversed, undo.kept, &undo.not_reversed)
}

fn adjust(till: &Till, email: &str, operation: Operation, amount: &str) -> JobId {
    let request = AdjustRequest {
        identifiers: vec![(EMAIL, email.to_owned())],
        operation,
        amount: amount.to_owned(),
        on_overdraft: OnOverdraft::Allow,
        expiry: (operation == Operation::Credit).then_some(PointsExpiry::InDays(90)),
    };
    till.engine().adjust(&till.job(), &request).expect("it is adjusted").job.expect("it is no dry run")
}

fn import_customers(till: &Till, content: &str, format: &str) -> Summary {
    let path = till.path("bonus.csv");
    std::fs::write(&path, content).expect("a file is written");
    let file = FileRequest { path, format: Some(format.to_owned()), ..FileRequest::default() };
    let request = CustomersRequest { file, ..CustomersRequest::default() };
    till.engine().import_customers(&till.job(), &request, &Progress::default()).expect("it is imported")
}

/// Does some work, and undoes it at once, then the undo, then that: each time all is as it was.
#[track_caller]
fn check_undone_at_once(till: &Till, name: &str, work: impl FnOnce(&Till) -> JobId) {
    let before = told(till.engine());
    let job = work(till);
    let after = told(till.engine());
    assert_ne!(after, before, "{name}");
    let mut last = job;
    for expected in [&before, &after, &before, &after] {
        let summary = undo(till, last);
        let (reversed, partly, kept, stays) = counts(&summary);
        assert!(reversed > 0 && (partly, kept, stays.trim_matches(['0', '.'])) == (0, 0, ""), "{name}: {summary:?}");
        assert_eq!(&told(till.engine()), expected, "{name}");
        till.verify();
        last = job_of(&summary);
    }
    undo(till, last);
    assert_eq!(told(till.engine()), before, "{name}");
}

#[test]
fn a_job_that_is_undone_at_once_leaves_everything_as_it_was() {
    let points =
        |rows: &'static [&'static str]| move |till: &Till| job_of(&till.import(file(ALL, rows.iter().copied()), allow));
    let overdrawn = |till: &Till| {
        till.import(file(ALL, ["ana@example.com;200;DR;;;;", "ben@example.com;35;DR;;;;"].into_iter()), allow);
    };
    type Work<'a> = Box<dyn Fn(&Till) -> JobId + 'a>;
    let cases: Vec<(&str, Work<'_>)> = vec![
        ("credits", Box::new(points(&["ana@example.com;10;CR;;;;", "ben@example.com;20;CR;;;;"]))),
        (
            "a credit of each",
            Box::new(points(&[
                "ana@example.com;1;CR;;;;",
                "ana@example.com;2;CR;2090-05-01;;;",
                "ana@example.com;4;CR;;;gift;",
                "ana@example.com;5;CR;2090-05-01;yes;;",
            ])),
        ),
        ("a debit of some of a lot", Box::new(points(&["ana@example.com;30;DR;;;;"]))),
        ("a debit of several lots", Box::new(points(&["ana@example.com;152;DR;;;;", "ben@example.com;1;DR;;;;"]))),
        ("a debit of all", Box::new(points(&["ana@example.com;160;DR;;;;"]))),
        ("an overdraft", Box::new(points(&["ana@example.com;500;DR;;;;", "ben@example.com;31;DR;;;;"]))),
        (
            "an overdraft, paid back",
            Box::new(points(&["ana@example.com;500;DR;;;;", "ana@example.com;600;CR;2090-06-01;;;"])),
        ),
        (
            "balances that rise and fall",
            Box::new(points(&["ana@example.com;20;SET;;;;", "ben@example.com;77;SET;2090-07-01;;;"])),
        ),
        (
            "a balance of nothing",
            Box::new(points(&["ana@example.com;0;SET;;;;", "ana@example.com;9;CR;2090-07-01;;;"])),
        ),
        ("promises", Box::new(points(&["ana@example.com;20;CR;;yes;;", "ben@example.com;30;CR;2090-04-15;yes;;"]))),
        (
            "both programs",
            Box::new(points(&[
                "ana@example.com;2.5;CR;;;;eur",
                "ben@example.com;1.05;DR;;;;eur",
                "ben@example.com;5;DR;;;;",
            ])),
        ),
        (
            "one after the other",
            Box::new(points(&[
                "ana@example.com;40;CR;2090-03-20;;;",
                "ana@example.com;60;DR;;;;",
                "ana@example.com;3;CR;;;;",
                "ana@example.com;200;DR;;;;",
            ])),
        ),
        ("an adjustment", Box::new(|till: &Till| adjust(till, "ana@example.com", Operation::Credit, "12"))),
        ("an adjusting debit", Box::new(|till: &Till| adjust(till, "ana@example.com", Operation::Debit, "170"))),
        ("an adjusting reset", Box::new(|till: &Till| adjust(till, "ana@example.com", Operation::Set, "5"))),
    ];
    for (name, work) in &cases {
        check_undone_at_once(&filled(), name, work);
        // Again on accounts that owe.
        let till = filled();
        overdrawn(&till);
        check_undone_at_once(&till, &format!("{name}, of who owes"), work);
    }
}

#[test]
fn credits_of_customer_files_are_reversed_and_customers_stay() {
    let till = filled();
    let before = told(till.engine());
    let summary = import_customers(
        &till,
        "email,name,balance,tier\ncara@example.com,Cara,50,gold\nana@example.com,Ana,70,gold\ndan@example.com,,,\n",
        "tidemill-customers",
    );
    let undone = undo(&till, job_of(&summary));
    assert_eq!(counts(&undone), (1, 0, 0, "0"));
    assert_eq!(undone.undo.as_ref().map(|undo| undo.customers_stay), Some(3));
    assert_eq!(told(till.engine()), before);
    assert_eq!(till.customer("cara@example.com").tier.as_deref(), Some("gold"));
    // Bonus points with a last day, in the program of their account.
    let bonus =
        "phone;name;account;amount;expiration date\n+37061200001;Eva;eur;5.50;2090-08-01\n+37061200002;Fay;eur;2;\n";
    let summary = import_customers(&till, bonus, "incust");
    assert_ne!(told(till.engine()), before);
    assert_eq!(counts(&undo(&till, job_of(&summary))), (2, 0, 0, "0"));
    assert_eq!(told(till.engine()), before);
    till.verify();
}

#[test]
fn expired_points_come_back_where_they_are_not_over() {
    for (undone_on, counted, lots) in [
        // As if the clock had been wrong: then they come back as they were.
        ("2090-03-30", (2, 0, 0, "0"), None),
        // On the last day of some, these.
        ("2090-03-31", (2, 0, 0, "0"), None),
        ("2090-04-01", (0, 1, 1, "108"), Some("50 2090-04-01 order, 3 visit, 7")),
        ("2090-04-02", (0, 0, 2, "158"), Some("3 visit, 7")),
    ] {
        let till = filled();
        till.at("2090-03-12");
        till.engine().expire(&till.job(), &ExpireRequest::default(), &Progress::default()).expect("it expires");
        let before = till.lots("ana@example.com");
        till.at("2090-04-02");
        let expired = till.engine().expire(&till.job(), &ExpireRequest::default(), &Progress::default());
        assert_eq!(till.lots("ana@example.com"), "3 visit, 7");
        till.at(undone_on);
        let summary = undo(&till, job_of(&expired.expect("it expires")));
        assert_eq!(counts(&summary), counted, "{undone_on}");
        assert_eq!(till.lots("ana@example.com"), lots.unwrap_or(&before), "{undone_on}");
        till.verify();
    }
}

/// What came between the job and its undo, the policy, and what the undo does: balance, lots, counts, reasons.
#[test]
fn what_was_spent_since_is_kept_or_owed() {
    use OnSpent::{Keep, Negative};
    let credits = ["ana@example.com;40;CR;2090-05-01;;;", "ben@example.com;10;CR;;;;"];
    let lots = "100 2090-03-31, 8 promised 2090-03-31, 50 2090-04-01 order, 3 visit, 7, 3.00 promised 2090-03-11";
    type Case<'a> = (&'a [&'a str], OnSpent, &'a str, (u64, u64, u64, &'a str), &'a str);
    let cases: [Case<'_>; 8] = [
        // The others' points are spent first, so all of it can be taken.
        (&["ana@example.com;60;DR;;;;"], Keep, "100", (2, 0, 0, "0"), ""),
        // What is missing of its own lot comes of the others.
        (&["ana@example.com;170;DR;;;;"], Keep, "0", (1, 1, 0, "10"), "spent"),
        (&["ana@example.com;170;DR;;;;"], Negative, "-10", (2, 0, 0, "0"), ""),
        (&["ana@example.com;200;DR;;;;"], Keep, "0", (1, 0, 1, "40"), "spent"),
        (&["ana@example.com;200;DR;;;;"], Negative, "-40", (2, 0, 0, "0"), ""),
        // Somebody set the balance since.
        (&["ana@example.com;20;SET;;;;"], Keep, "20", (1, 0, 1, "40"), "absorbed"),
        (&["ana@example.com;20;SET;;;;"], Negative, "20", (1, 0, 1, "40"), "absorbed"),
        (&[], Keep, "160", (2, 0, 0, "0"), ""),
    ];
    for (between, on_spent, balance, counted, reason) in cases {
        let till = filled();
        let job = job_of(&till.import(file(ALL, credits.into_iter()), plainly));
        if !between.is_empty() {
            till.import(file(ALL, between.iter().copied()), plainly);
        }
        let summary = try_undo(&till, job, |_, request| request.on_spent = on_spent).expect("it is undone");
        assert_eq!(till.customer("ana@example.com").accounts[0].balance, balance, "{between:?} {on_spent:?}");
        assert_eq!(counts(&summary), counted, "{between:?} {on_spent:?}");
        let reasons = summary.undo.expect("it is an undo").reasons;
        let expected: BTreeMap<&str, u64> =
            [(reason, 1)].into_iter().filter(|(reason, _)| !reason.is_empty()).collect();
        assert_eq!(reasons, expected, "{between:?} {on_spent:?}");
        if between.is_empty() {
            assert_eq!(till.lots("ana@example.com"), lots);
        }
        till.verify();
    }
}

#[test]
fn what_has_expired_since_is_not_taken_of_other_points() {
    let till = filled();
    let job = job_of(&till.import(file(ALL, ["ben@example.com;40;CR;2090-03-20;;;"].into_iter()), plainly));
    till.import(file(ALL, ["ben@example.com;15;DR;;;;"].into_iter()), plainly);
    till.at("2090-03-21");
    till.engine().expire(&till.job(), &ExpireRequest::default(), &Progress::default()).expect("it expires");
    let summary = undo(&till, job);
    // 25 have expired; the 15 that were spent come of the others.
    assert_eq!(counts(&summary), (0, 1, 0, "25"));
    assert_eq!(till.customer("ben@example.com").accounts[0].balance, "15");
    // A lot that nobody has expired yet is over all the same, and expires before anything else.
    let till = filled();
    let job = job_of(&till.import(file(ALL, ["ben@example.com;40;CR;2090-03-20;;;"].into_iter()), plainly));
    till.at("2090-03-21");
    let summary = undo(&till, job);
    assert_eq!(counts(&summary), (0, 0, 1, "40"));
    till.check("email,amount,operation", plainly, &[("ben@example.com;0;CR", "unchanged 0 30")]);
    till.verify();
}

#[test]
fn nothing_is_undone_where_nothing_may_have_been_spent_and_somebody_has() {
    let refuse = |_: &mut JobRequest, request: &mut UndoRequest| request.on_spent = OnSpent::Refuse;
    let till = filled();
    let credits = ["ana@example.com;40;CR;;;;", "ben@example.com;10;CR;;;;"];
    let job = job_of(&till.import(file(ALL, credits.into_iter()), plainly));
    till.import(file(ALL, ["ben@example.com;31;DR;;;;"].into_iter()), plainly);
    let before = Content::of(till.engine());
    let jobs = till.engine().jobs().expect("jobs").len();
    for dry_run in [true, false] {
        let error = try_undo(&till, job, |asked, request| {
            refuse(asked, request);
            asked.dry_run = dry_run;
        });
        let error = error.expect_err("ben has spent some");
        assert_eq!((error.kind(), error.code(), error.job()), (ErrorKind::Refused, "points_spent", Some(job)));
        assert_eq!(error.message(), format!("1 account has spent points of job {job}"));
        assert_eq!(Content::of(till.engine()).difference(&before), None);
    }
    assert_eq!(till.engine().jobs().expect("jobs").len(), jobs);
    // Once the points are back, it goes.
    till.import(file(ALL, ["ben@example.com;1;CR;;;;"].into_iter()), plainly);
    assert_eq!(counts(&try_undo(&till, job, refuse).expect("it is undone")), (2, 0, 0, "0"));
}

#[test]
fn only_what_is_done_and_not_undone_yet_is_undone() {
    #[track_caller]
    fn refused(till: &Till, job: u32, code: &str, named: Option<u32>) -> Error {
        let before = export(till.engine(), Export::Ledger);
        let error = try_undo(till, JobId(job), |_, _| {}).expect_err("it is refused");
        assert_eq!((error.code(), error.job().map(|job| job.0)), (code, named), "{error}");
        assert_eq!(export(till.engine(), Export::Ledger), before);
        error
    }
    let till = filled();
    assert_eq!(refused(&till, 99, "job_unknown", None).kind(), ErrorKind::NotFound);
    let job = job_of(&till.import(file(ALL, ["ana@example.com;40;CR;;;;"].into_iter()), plainly)).0;
    let first = job_of(&undo(&till, JobId(job))).0;
    let error = refused(&till, job, "job_undone", Some(first));
    assert_eq!(error.message(), format!("job {job} is undone, by job {first}"));
    assert_eq!(till.engine().job(JobId(job)).expect("a job").undone_by, Some(JobId(first)));
    // The undo is undone, and the job counts again.
    let second = job_of(&undo(&till, JobId(first))).0;
    refused(&till, first, "job_undone", Some(second));
    assert_eq!(till.engine().job(JobId(job)).expect("a job").undone_by, None);
    assert_eq!(till.engine().job(JobId(first)).expect("a job").undone_by, Some(JobId(second)));
    let third = job_of(&undo(&till, JobId(job))).0;
    // What the second gave, the third has taken: there is nothing left of it to undo.
    refused(&till, second, "undo_superseded", Some(third));
    refused(&till, job, "job_undone", Some(third));
    undo(&till, JobId(third));
    refused(&till, second, "undo_superseded", Some(third));
    undo(&till, JobId(job));
    till.verify();

    let merge =
        MergeRequest { into: (EMAIL, "ana@example.com".to_owned()), from: (EMAIL, "ben@example.com".to_owned()) };
    let merged = till.engine().merge(&till.job(), &merge, &Progress::default()).expect("they are merged");
    refused(&till, merged.job.expect("a job").0, "not_undoable", merged.job.map(|job| job.0));
    let erased = till.engine().erase(&till.job(), EMAIL, "ana@example.com", &Progress::default());
    let erased = erased.expect("she is erased").job.expect("a job").0;
    refused(&till, erased, "not_undoable", Some(erased));
    // Her points have no name any more, and are reversed as anybody's.
    assert_eq!(counts(&undo(&till, JobId(2))), (2, 0, 0, "0"));
    till.verify();
}

/// Rows of a hundred customers, on which lots of all kinds come and go.
fn crowd(rows: usize, first: usize) -> String {
    let line = |row: usize| {
        let who = format!("c{}@example.com", row * 7 % 100);
        match (row + first) % 9 {
            0 => format!("{who};{};CR;2090-0{}-15;;;", row % 50 + 1, row % 5 + 4),
            1 => format!("{who};{};DR;;;;", row % 60),
            2 => format!("{who};{};CR;;;visit;", row % 20 + 1),
            3 => format!("{who};{};CR;2090-0{}-01;yes;;", row % 9 + 1, row % 5 + 4),
            4 => format!("{who};{}.25;CR;;;;eur", row % 30),
            5 => format!("{who};{};DR;;;;", row % 200),
            6 if row.is_multiple_of(4) => format!("{who};{};SET;2090-09-01;;;", row % 80),
            _ => format!("{who};{};CR;;;;", row % 70),
        }
    };
    let lines: Vec<String> = (0..rows).map(line).collect();
    file(ALL, lines.iter().map(String::as_str))
}

fn creating(job: &mut JobRequest, request: &mut tidemill::engine::request::PointsRequest) {
    allow(job, request);
    request.on_unknown = OnUnknown::Create;
}

/// A store with a crowd, the job to undo, and one that came later and spent, set and credited.
fn crowded(options: Options) -> (Till, JobId) {
    let till = Till::with(options);
    till.import(crowd(900, 0), creating);
    let job = job_of(&till.import(crowd(1500, 3), creating));
    till.import(crowd(200, 5), creating);
    (till, job)
}

#[derive(Debug, PartialEq)]
struct Done {
    content: Value,
    processed: String,
    summary: Value,
}

fn done(till: &Till, summary: &Summary, processed: &Path) -> Done {
    let Content { customers, balances, lots, ledger, verified } = Content::of(till.engine());
    let mut summary = json!(summary);
    for field in ["elapsed_s", "rows_per_s", "files", "cost"] {
        summary[field].take();
    }
    Done {
        content: json!([customers, balances, lots, ledger, verified]),
        processed: std::fs::read_to_string(processed).expect("a report"),
        summary,
    }
}

/// Undoes it in one go, after a dry run, which must say the same and change nothing.
fn calm(on_spent: OnSpent) -> Done {
    let (till, job) = crowded(Options { threads: 2, ..Options::default() });
    let before = Content::of(till.engine());
    let run = |dry_run, name: &str| {
        let summary = try_undo(&till, job, |asked, request| {
            asked.dry_run = dry_run;
            asked.processed = Some(till.path(name));
            request.on_spent = on_spent;
        });
        summary.expect("it is undone")
    };
    let dry = run(true, "dry.csv");
    assert_eq!(Content::of(till.engine()).difference(&before), None);
    let real = run(false, "undone.csv");
    let parts = |summary: &Summary| {
        let Summary { rows, points, balance, customers, other_programs, undo, .. } = summary.clone();
        (rows, points, balance, customers, other_programs, undo)
    };
    assert_eq!(parts(&dry), parts(&real));
    let dry = std::fs::read_to_string(till.path("dry.csv")).expect("a report");
    let real_lines = std::fs::read_to_string(till.path("undone.csv")).expect("a report");
    let without = dry.replace("dry run: ", "").replace("dry run", "");
    assert_eq!(difference("processed", &without, &real_lines), None);
    done(&till, &real, &till.path("undone.csv"))
}

#[test]
fn how_it_works_cannot_be_seen_in_what_it_does() {
    for on_spent in [OnSpent::Keep, OnSpent::Negative] {
        let expected = calm(on_spent);
        for undo_records_max in [1, 60, 700] {
            for stops in [&[][..], &[1], &[30, 60, 61]] {
                let options = Options {
                    window_rows: 10,
                    threads: 2,
                    cache_lag_entries_min: 50,
                    undo_records_max,
                    ..Options::default()
                };
                let (mut till, job) = crowded(options);
                let path = till.path("undone.csv");
                let (asked, request) =
                    (JobRequest { processed: Some(path.clone()), ..till.job() }, UndoRequest { job, on_spent });
                // A resume goes by the day of its beginning.
                let mut found = match stops.first() {
                    Some(&stop) => till.engine().undo(&asked, &request, &stopping_at(stop)),
                    None => till.engine().undo(&asked, &request, &Progress::default()),
                };
                till.at("2099-01-01");
                for (at, stop) in stops.iter().skip(1).copied().chain([u64::MAX]).enumerate() {
                    let Err(error) = &found else { break };
                    assert_eq!((error.kind(), error.job()), (ErrorKind::Stopped, Some(JobId(5))), "{error}");
                    let other = if on_spent == OnSpent::Keep { OnSpent::Negative } else { OnSpent::Keep };
                    let second =
                        try_undo(&till, job, |_, request| request.on_spent = other).expect_err("it has not ended");
                    assert_eq!((second.code(), second.job()), ("job_unfinished", Some(JobId(5))));
                    till.reopen();
                    // The command once more goes on as well, by the day of the job that it goes on with.
                    found = if at % 2 == 0 {
                        let asked = JobRequest { processed: Some(path.clone()), ..till.job() };
                        till.engine().undo(&asked, &request, &stopping_at(stop))
                    } else {
                        till.engine().resume(JobId(5), &ResumeRequest::default(), &stopping_at(stop))
                    };
                }
                let summary = found.expect("it ends");
                let found = done(&till, &summary, &path);
                assert_eq!(found, expected, "{undo_records_max} {stops:?} {on_spent:?}");
                // It tells the same when it is asked again.
                let again = till.engine().job(JobId(5)).expect("a job");
                assert_eq!((again.undo, again.state), (summary.undo, JobState::Finished));
            }
        }
    }
}

#[test]
fn a_given_up_undo_is_gone_on_with_by_another() {
    let expected = calm(OnSpent::Keep);
    let options = Options { window_rows: 10, threads: 1, ..Options::default() };
    let (till, job) = crowded(options);
    let request = UndoRequest { job, on_spent: OnSpent::Keep };
    till.engine().undo(&till.job(), &request, &stopping_at(1)).expect_err("it stops");
    let given_up = till.engine().cancel(JobId(5)).expect("it is unfinished");
    assert_eq!(given_up.state, JobState::Cancelled);
    // The job counts as applied: a part of it is.
    assert_eq!(till.engine().job(job).expect("a job").undone_by, None);
    let path = till.path("undone.csv");
    let rest = try_undo(&till, job, |asked, _| asked.processed = Some(path.clone())).expect("it is undone");
    let found = done(&till, &rest, &path);
    // Balances and lots, for the rest; what the first has kept, the second keeps too, or takes.
    assert_eq!(found.content[2], expected.content[2]);
    assert_eq!(found.content[1], expected.content[1]);
    // The first one's undo would take back what the second has done.
    let error = try_undo(&till, JobId(5), |_, _| {}).expect_err("it is refused");
    assert_eq!(error.code(), "undo_superseded");
}

#[test]
fn a_line_for_each_account_tells_what_became_of_it() {
    let till = filled();
    let credits = [
        "ana@example.com;40;CR;;;;",
        "ben@example.com;10;CR;;;;",
        "ben@example.com;5;CR;;;;eur",
        "ana@example.com;6;CR;2090-05-01;yes;;",
    ];
    let job = job_of(&till.import(file(ALL, credits.into_iter()), plainly));
    till.import(file(ALL, ["ben@example.com;33;DR;;;;", "ben@example.com;1;SET;;;;eur"].into_iter()), plainly);
    let path = till.path("undone.csv");
    let summary = try_undo(&till, job, |asked, _| asked.processed = Some(path.clone())).expect("it is undone");
    let report = std::fs::read_to_string(&path).expect("a report");
    let expected = "\
user_id,external_id,email,mobile,program,status,code,message,amount,balance
u1,x1,ana@example.com,+916000000001,points,reversed,,,-46,160
u2,x2,ben@example.com,+916000000002,points,partly_reversed,spent,3 were spent,-7,0
u2,x2,ben@example.com,+916000000002,eur,kept,absorbed,5.00 stay: another job has set the balance or the last day since,0.00,1.00
";
    assert_eq!(report, expected);
    assert_eq!((summary.rows.read, summary.rows.applied, summary.rows.unchanged), (3, 2, 1));
    assert_eq!(summary.customers.matched, 2);
    let told = json!(summary.undo);
    let expected = json!({
        "undoes": job, "reversed": 1, "partly_reversed": 1, "kept": 1, "reasons": {"absorbed": 1, "spent": 1},
        "not_reversed": "3", "other_not_reversed": {"eur": "5.00"}, "customers_stay": 0,
    });
    assert_eq!(told, expected);
}

#[test]
fn entries_say_what_they_take_back_and_why() {
    let till = filled();
    let job = job_of(&till.import(file(ALL, ["ana@example.com;152;DR;;;;"].into_iter()), plainly));
    try_undo(&till, job, |asked, _| {
        asked.reason = Some("wrong file".to_owned());
        asked.comment = Some("corrected".to_owned());
    })
    .expect("it is undone");
    let ledger = rows(&export(till.engine(), Export::Ledger));
    let debit = ledger.iter().find(|cells| cells[7] == "debit").expect("a debit")[5].clone();
    let reversals: Vec<_> = ledger.iter().filter(|cells| cells[7] == "reversal").collect();
    let shown: Vec<String> =
        reversals.iter().map(|cells| [8, 9, 10, 15, 19, 20].map(|at: usize| cells[at].as_str()).join(" ")).collect();
    assert_eq!(
        shown,
        [
            format!("100 108 2090-03-31 {debit} wrong file corrected"),
            format!("50 158 2090-04-01 {debit} wrong file corrected"),
            format!("2 160  {debit} wrong file corrected"),
        ]
    );
    let history = till.engine().history(EMAIL, "ana@example.com", None, None, 10, true).expect("a history");
    let reversed: Vec<Option<u64>> = history.lines.iter().map(|line| line.reverses).collect();
    assert_eq!(reversed[..4], [debit.parse().ok(), debit.parse().ok(), debit.parse().ok(), None]);
}

#[test]
fn an_undone_file_may_be_imported_again() {
    let till = filled();
    let content = file(ALL, ["ana@example.com;40;CR;;;;"].into_iter());
    let (asked, request) = till.request(&content);
    let asked = JobRequest { again: false, ..asked };
    let import = || till.engine().import_points(&asked, &request, &Progress::default());
    let job = job_of(&import().expect("it is imported"));
    assert_eq!(import().expect_err("a repeat").code(), "repeated_file");
    let undone = job_of(&undo(&till, job));
    let again = job_of(&import().expect("it is imported once more"));
    assert_eq!(import().expect_err("a repeat").job(), Some(again));
    // Of two that apply it, each is a repeat's original.
    undo(&till, undone);
    undo(&till, again);
    assert_eq!(import().expect_err("a repeat").job(), Some(job));
    assert_eq!(till.customer("ana@example.com").accounts[0].balance, "200");
}

#[test]
fn row_ids_of_an_undone_job_are_new_again() {
    const HEADER: &str = "email,amount,operation,row_id";
    let rows = ["ana@example.com;10;CR;1", "ben@example.com;7;CR;2", "ben@example.com;0;CR;3"];
    let earlier = ["ana@example.com;5;CR;0"];
    for row_keys_max in [1, 1000] {
        let mut till = Till::with(Options { threads: 2, row_keys_max, ..Options::default() });
        let send = |till: &Till| {
            let summary = till.import(file(HEADER, earlier.into_iter().chain(rows)), plainly);
            (job_of(&summary), till.answers())
        };
        till.import(file(HEADER, earlier.into_iter()), plainly);
        let known = ["unchanged 0 15", "unchanged 0 7", "unchanged 0 7"];
        let (job, answers) = send(&till);
        assert_eq!(answers, ["unchanged 0 5", "applied 10 15", "applied 7 7", "unchanged 0 7"]);
        assert_eq!(send(&till).1[1..], known);
        let undone = job_of(&undo(&till, job));
        till.reopen();
        // The row of the job before is known still.
        let (again, answers) = send(&till);
        assert_eq!(answers, ["unchanged 0 5", "applied 10 15", "applied 7 7", "unchanged 0 7"]);
        assert_eq!(send(&till).1[1..], known);
        // The other way round: the first counts again, then the second does not.
        undo(&till, again);
        undo(&till, undone);
        assert_eq!(send(&till).1[1..], known);
        till.reopen();
        assert_eq!(send(&till).1[1..], known);
        till.verify();
    }
}

#[test]
fn what_was_of_a_merged_customer_is_undone_of_the_one_it_is_a_part_of() {
    let till = filled();
    let credits = ["ben@example.com;40;CR;2090-05-01;;;", "ben@example.com;9;CR;;yes;;", "ben@example.com;5;DR;;;;"];
    let before = told(till.engine());
    let job = job_of(&till.import(file(ALL, credits.into_iter()), plainly));
    let merge = |till: &Till| {
        let both =
            MergeRequest { into: (EMAIL, "ana@example.com".to_owned()), from: (EMAIL, "ben@example.com".to_owned()) };
        till.engine().merge(&till.job(), &both, &Progress::default()).expect("they are merged");
    };
    merge(&till);
    let summary = undo(&till, job);
    assert_eq!(counts(&summary), (1, 0, 0, "0"));
    till.verify();
    let found = told(till.engine());
    // As if the job had never been.
    let other = filled();
    assert_eq!(told(other.engine()), before);
    merge(&other);
    assert_eq!(found, told(other.engine()));
}

#[test]
fn an_account_with_many_lots_is_undone_lot_by_lot() {
    let till = filled();
    let before = told(till.engine());
    let row = |at: usize| match at % 5 {
        4 => "ana@example.com;60;DR;;;;".to_owned(),
        _ => format!("ana@example.com;{};CR;2090-{:02}-{:02};;;", at % 40 + 1, at % 8 + 4, at % 28 + 1),
    };
    let lines: Vec<String> = (0..2000).map(row).collect();
    let job = job_of(&till.import(file(ALL, lines.iter().map(String::as_str)), allow));
    assert_eq!(counts(&undo(&till, job)), (1, 0, 0, "0"));
    assert_eq!(told(till.engine()), before);
    till.verify();
}

#[test]
fn a_service_undoes_as_the_engine_does() {
    let (mut till, job) = crowded(Options { threads: 2, ..Options::default() });
    let expected = calm(OnSpent::Keep);
    let path = till.path("undone.csv");
    let asked = JobRequest { processed: Some(path.clone()), ..till.job() };
    till.engine().backup(&till.path("backup")).expect("a backup");
    let copy = till.path("copy");
    drop(Engine::restore(&till.path("backup"), &copy, Options::default()).expect("a store"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let summary = runtime.block_on(async {
        let service = Service::open(copy, Options { threads: 2, ..Options::default() }).await.expect("a store");
        service.undo(asked, UndoRequest { job, on_spent: OnSpent::Keep }).finish().await.expect("it is undone")
    });
    drop(runtime);
    till.turn_to("copy");
    assert_eq!(done(&till, &summary, &path), expected);
}

#[test]
fn the_command_says_what_became_of_the_accounts() {
    let binary = Binary::new();
    binary.write("points.csv", "email,mobile,amount,operation\nana@example.com,,40,CR\nben@example.com,,10,CR\n");
    let import = ["import", "points", "points.csv", "--reason", "x", "--on-unknown", "create"];
    binary.run(&import).expect(0);
    binary.run(&["adjust", "debit", "4", "--email", "ben@example.com"]).expect(0);
    assert_eq!(binary.run(&["job", "undo", "1", "--on-spent", "refuse"]).expect(4).error("code"), "points_spent");
    let dry = binary.run(&["job", "undo", "1", "--dry-run"]).expect(3).json;
    assert_eq!(dry["undo"]["partly_reversed"], 1);
    let undone = binary.run(&["job", "undo", "1", "--processed", "undone.csv"]).expect(3).json;
    assert_eq!(undone["undo"], dry["undo"]);
    assert_eq!(undone["undo"]["not_reversed"], "4");
    assert!(binary.read("undone.csv").contains("ben@example.com,,points,partly_reversed,spent,4 were spent,-6,0\n"));
    assert_eq!(binary.run(&["job", "undo", "1"]).expect(4).error("code"), "job_undone");
    assert_eq!(binary.run(&["job", "show", "1"]).expect(0).json["undone_by"], 3);
    binary.run(&import).expect(0);
    binary.run(&["job", "undo", "4"]).expect(0);
    binary.verify();
}

#[test]
fn killed_while_a_job_is_undone() {
    let binary = Binary::new().flag("--window-rows").flag("2000");
    binary.run(&["bench", "--generate", ".", "--customers", "20000", "--rows", "100000"]).expect(0);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--on-unknown", "create"]).expect(3);
    // Some of them have spent it.
    let points = binary.read("points.csv");
    let debits = points.lines().skip(1).step_by(50).filter_map(|row| row.split_once(','));
    let debits: String = debits.map(|(email, _)| format!("{email},,200,DR\n")).collect();
    binary.write("debits.csv", format!("email,mobile,amount,operation\n{debits}"));
    binary.run(&["import", "points", "debits.csv", "--reason", "x", "--on-overdraft", "clamp"]);
    let command = ["job", "undo", "2", "--processed", "undone.csv"];
    let end = |binary: &Binary| {
        let mut summary = binary.run(&["job", "show", "4"]).expect(0).json;
        for field in ["elapsed_s", "rows_per_s"] {
            summary[field].take();
        }
        (Content::of_binary(binary), binary.read("undone.csv"), summary)
    };
    let calm = binary.copy();
    let began = std::time::Instant::now();
    calm.run(&command).expect(3);
    let took = began.elapsed();
    let expected = end(&calm);
    let mut random = Random::new();
    let mut kills = 0;
    while kills < kills_wanted() {
        let copy = binary.copy();
        let kills_max = kills + 1 + random.below(4);
        loop {
            let is_begun = copy.run(&["job", "show", "4"]).exit == Some(0);
            let mut child = copy.spawn(if is_begun { &["job", "resume", "4"] } else { &command });
            if kills < kills_max {
                std::thread::sleep(took.mul_f64(random.below(1000) as f64 / 1000.0));
                child.kill().expect("it is ours");
            }
            match finish(child).exit {
                None => kills += 1,
                exit => {
                    assert_eq!(exit, Some(3));
                    break;
                }
            }
        }
        let found = end(&copy);
        assert_eq!(found.0.difference(&expected.0), None);
        assert_eq!(difference("processed", &found.1, &expected.1), None);
        assert_eq!(found.2, expected.2);
    }
}
