//! Expiring what is over: of which accounts, as of which day, and what is told of it.

use serde_json::json;
use tidemill::{
    domain::{id::JobId, job::JobState, time::Date},
    engine::{
        Engine,
        request::{ExpireRequest, JobRequest, ResumeRequest, SettingsChange},
    },
    error::{ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    content::{Content, export, rows},
    shop::{Held, stopping_at},
    till::{Till, file, plainly},
};

/// Dated, promised, referenced and plain points of both customers in both programs.
const LOTS: [&str; 10] = [
    "ana@example.com;100;CR;2090-03-31;;;",
    "ana@example.com;50;CR;2090-04-01;;order;",
    "ana@example.com;8;CR;2090-03-31;yes;;",
    "ana@example.com;7;CR;;;;",
    "ben@example.com;30;CR;2090-04-30;;;",
    "ben@example.com;4;CR;2090-04-15;yes;;",
    "ben@example.com;1.25;CR;2090-03-31;;;eur",
    "ben@example.com;2.50;CR;2091-03-31;;;eur",
    "ana@example.com;3.00;CR;2090-03-11;yes;;eur",
    "ana@example.com;20;DR;;;;",
];

fn filled() -> Till {
    let till = Till::new();
    till.import(file("email,amount,operation,expires_on,promised,ref_type,program", LOTS.into_iter()), plainly);
    assert!(till.answers().iter().all(|answer| answer.starts_with("applied")), "{:?}", till.answers());
    till
}

fn day(text: &str) -> Date {
    Date::parse(text).expect("a day")
}

fn try_expire(till: &Till, as_of: Option<&str>, how: impl FnOnce(&mut JobRequest)) -> Result<Summary> {
    let mut job = till.job();
    how(&mut job);
    till.engine().expire(&job, &ExpireRequest { as_of: as_of.map(day) }, &Progress::default())
}

fn expire(till: &Till, as_of: Option<&str>) -> Summary {
    try_expire(till, as_of, |_| {}).expect("they expire")
}

fn dry(job: &mut JobRequest) {
    job.dry_run = true;
}

/// What each customer has: of Ana, then of Ben.
fn lots(till: &Till) -> [String; 2] {
    ["ana@example.com", "ben@example.com"].map(|email| till.lots(email))
}

const ALL: [&str; 2] = [
    "80 2090-03-31, 8 promised 2090-03-31, 50 2090-04-01 order, 7, 3.00 promised 2090-03-11",
    "4 promised 2090-04-15, 30 2090-04-30, 1.25 2090-03-31, 2.50 2091-03-31",
];

/// Today, the day before which lots expire, and what is left.
#[test]
fn lots_expire_whose_last_day_is_before_the_date() {
    let cases = [
        ("2090-03-10", None, ALL),
        // The last day itself is one on which they are valid.
        ("2090-03-11", None, ALL),
        ("2090-03-31", None, [&ALL[0].replace(", 3.00 promised 2090-03-11", ""), ALL[1]]),
        ("2090-04-01", None, ["50 2090-04-01 order, 7", "4 promised 2090-04-15, 30 2090-04-30, 2.50 2091-03-31"]),
        ("2090-04-02", None, ["7", "4 promised 2090-04-15, 30 2090-04-30, 2.50 2091-03-31"]),
        ("2099-01-01", None, ["7", ""]),
        // As of an earlier day, less of them.
        ("2099-01-01", Some("2090-03-01"), ALL),
        (
            "2099-01-01",
            Some("2090-04-01"),
            ["50 2090-04-01 order, 7", "4 promised 2090-04-15, 30 2090-04-30, 2.50 2091-03-31"],
        ),
        ("2099-01-01", Some("2090-05-01"), ["7", "2.50 2091-03-31"]),
        ("2099-01-01", Some("2099-01-01"), ["7", ""]),
    ];
    for (today, as_of, left) in cases {
        let till = filled();
        till.at(today);
        expire(&till, as_of);
        assert_eq!(lots(&till), left, "on {today}, as of {as_of:?}");
        till.verify();
        // Once they are gone, there is nothing more to do.
        let ledger = export(till.engine(), Export::Ledger);
        let again = expire(&till, as_of);
        assert_eq!((again.rows.read, again.customers.matched, again.points.expired.as_str()), (0, 0, "0"));
        assert_eq!(export(till.engine(), Export::Ledger), ledger);
        // What is over is over in the next job too, whoever expired it.
        till.check(
            "email,amount,operation,row_id",
            plainly,
            &[(
                "ana@example.com;0;CR;",
                if today < "2090-04-01" {
                    "unchanged 0 137"
                } else if today < "2090-04-02" {
                    "unchanged 0 57"
                } else {
                    "unchanged 0 7"
                },
            )],
        );
    }
}

#[test]
fn the_day_is_the_one_of_the_stores_time_zone() {
    for (zone, now, is_over) in [
        ("UTC", "2090-04-01T00:00:00Z", true),
        ("UTC", "2090-03-31T23:59:59Z", false),
        ("Asia/Kolkata", "2090-03-31T18:30:00Z", true),
        ("Asia/Kolkata", "2090-03-31T18:29:59Z", false),
        ("America/New_York", "2090-04-01T03:59:59Z", false),
        ("America/New_York", "2090-04-01T04:00:00Z", true),
    ] {
        let till = filled();
        let change = SettingsChange { time_zone: Some(zone.to_owned()), ..SettingsChange::default() };
        till.engine().set(change).expect("a zone");
        till.at(now);
        let summary = expire(&till, None);
        assert_eq!(summary.points.expired, if is_over { "80" } else { "0" }, "{zone} {now}");
    }
}

#[test]
fn each_lot_has_an_entry_and_the_summary_has_their_sums() {
    let till = filled();
    till.at("2090-04-20");
    let summary = try_expire(&till, None, |job| {
        job.reason = Some("month's end".to_owned());
        job.comment = Some("Your points are over".to_owned());
    });
    let summary = summary.expect("they expire");
    let found = serde_json::to_value(&summary).expect("JSON");
    let expected = json!({
        "job": 3, "kind": "expire", "state": "finished", "program": "points", "dry_run": false,
        // Accounts: Ana's and Ben's in each program.
        "rows": {"read": 4, "applied": 4, "created": 0, "updated": 0, "unchanged": 0, "rejected": 0},
        "points": {"credited": "0", "debited": "0", "expired": "130", "promised": "0", "promises_expired": "12"},
        "balance": {"before": "167", "after": "37"},
        "rejects": {}, "reason": "month's end",
    });
    for (field, expected) in expected.as_object().expect("fields") {
        assert_eq!(&found[field], expected, "{field}");
    }
    let other = &found["other_programs"][0];
    assert_eq!((&other["program"], &other["points"]["expired"]), (&"eur".into(), &"1.25".into()));
    assert_eq!(other["balance"], json!({"before": "3.75", "after": "2.50"}));
    let entries = ["ana@example.com", "ben@example.com"].map(|email| till.entries(email));
    assert_eq!(
        entries[0][6..],
        [
            "expire -80 57 until 2090-03-31 line 0",
            "promise_expire -8 57 until 2090-03-31 line 0",
            "expire -50 7 until 2090-04-01 line 0",
            "promise_expire -3.00 0.00 until 2090-03-11 line 0",
        ]
    );
    assert_eq!(
        entries[1][4..],
        ["promise_expire -4 30 until 2090-04-15 line 0", "expire -1.25 2.50 until 2090-03-31 line 0"]
    );
    for cells in rows(&export(till.engine(), Export::Ledger)).iter().filter(|cells| cells[7].ends_with("expire")) {
        assert_eq!((&*cells[16], &*cells[19], &*cells[20]), ("3", "month's end", "Your points are over"), "{cells:?}");
    }
    let shown = till.engine().job(JobId(3)).expect("it is there");
    assert_eq!((shown.rows, shown.points, shown.balance), (summary.rows, summary.points, summary.balance));
    assert_eq!(shown.other_programs, summary.other_programs);
}

#[test]
fn one_program_can_be_expired_alone() {
    let till = filled();
    till.at("2090-04-20");
    let summary = try_expire(&till, None, |job| job.program = Some("eur".to_owned())).expect("they expire");
    assert_eq!((summary.program.as_str(), summary.points.expired.as_str()), ("eur", "1.25"));
    assert_eq!((summary.rows.read, summary.other_programs.len()), (2, 0));
    let left =
        [&ALL[0].replace(", 3.00 promised 2090-03-11", ""), "4 promised 2090-04-15, 30 2090-04-30, 2.50 2091-03-31"];
    assert_eq!(lots(&till), left);
    let summary = try_expire(&till, None, |job| job.program = Some("points".to_owned())).expect("they expire");
    assert_eq!((summary.points.expired.as_str(), summary.rows.read), ("130", 2));
    assert_eq!(lots(&till), ["7", "30 2090-04-30, 2.50 2091-03-31"]);
    let error = try_expire(&till, None, |job| job.program = Some("dollars".to_owned())).expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    till.verify();
}

#[test]
fn points_are_not_expired_before_their_day_but_it_can_be_seen_what_would_be() {
    let till = filled();
    till.at("2090-04-01");
    let before = Content::of(till.engine());
    let jobs = till.engine().jobs().expect("jobs").len();
    for as_of in ["2090-04-02", "2091-01-01", "9999-12-31"] {
        let error = try_expire(&till, Some(as_of), |_| {}).expect_err("it is not over yet");
        assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("--dry-run")), "{error:?}");
    }
    let foretold = try_expire(&till, Some("2091-01-01"), dry).expect("a dry run");
    assert_eq!((foretold.job, foretold.dry_run, foretold.points.expired.as_str()), (None, true, "160"));
    assert_eq!((foretold.balance.before.as_str(), foretold.balance.after.as_str()), ("167", "7"));
    let today = try_expire(&till, None, dry).expect("a dry run");
    assert_eq!(today.points.expired, "80");
    // Nothing was changed or recorded.
    assert_eq!(Content::of(till.engine()).difference(&before), None);
    assert_eq!(till.engine().jobs().expect("jobs").len(), jobs);
    assert_eq!(lots(&till), ALL);
    // The real one gives what was foretold.
    let done = expire(&till, None);
    assert_eq!(
        (done.rows, done.points, done.balance, done.customers),
        (today.rows, today.points, today.balance, today.customers)
    );
    till.at("2091-01-01");
    let rest = expire(&till, None);
    assert_eq!(rest.points.expired, "80");
}

#[test]
fn a_program_tells_what_expires_in_which_month() {
    let till = filled();
    let view = |code: &str| {
        let view = till.engine().program_view(code).expect("a program");
        let months: Vec<_> = view
            .expiring
            .iter()
            .map(|month| format!("{} {} {}", month.month, month.available, month.promised))
            .collect();
        (months, [view.balance, view.promised, view.permanent, view.overdue], view.accounts)
    };
    let texts = |texts: [&str; 4]| texts.map(str::to_owned);
    let months = |months: &[&str]| months.iter().map(|&month| month.to_owned()).collect::<Vec<_>>();
    assert_eq!(view("points"), (months(&["2090-03 80 8", "2090-04 80 4"]), texts(["167", "12", "7", "0"]), 2));
    assert_eq!(
        view("eur"),
        (months(&["2090-03 1.25 3.00", "2091-03 2.50 0.00"]), texts(["3.75", "3.00", "0.00", "0.00"]), 2)
    );
    till.at("2090-04-02");
    expire(&till, None);
    assert_eq!(view("points"), (months(&["2090-04 30 4"]), texts(["37", "4", "7", "0"]), 2));
    assert_eq!(view("eur"), (months(&["2091-03 2.50 0.00"]), texts(["2.50", "0.00", "0.00", "0.00"]), 2));
    // A month is gone with its last lot, however that goes.
    till.check("email,amount,operation,row_id", plainly, &[("ben@example.com;30;DR;", "applied -30 0")]);
    assert_eq!(view("points"), (months(&["2090-04 0 4"]), texts(["7", "4", "7", "0"]), 2));
    till.at("2099-01-01");
    expire(&till, None);
    assert_eq!(view("points"), (months(&[]), texts(["7", "0", "7", "0"]), 2));
    let unknown = till.engine().program_view("dollars").expect_err("there is none");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

/// Jobs of the year 2020, looked at on whatever day it is now.
#[test]
fn points_that_are_over_and_not_expired_yet_are_told_apart() {
    let till = Till::new();
    till.at("2020-01-10");
    let header = "email,amount,operation,expires_on,promised";
    let lines = ["ana@example.com;9;CR;2020-01-31;", "ana@example.com;5;CR;2020-02-15;yes", "ana@example.com;2;CR;;"];
    till.import(file(header, lines.into_iter()), plainly);
    let view = || {
        let view = till.engine().program_view("points").expect("a program");
        (view.expiring.len(), [view.balance, view.promised, view.permanent, view.overdue])
    };
    assert_eq!(view(), (0, ["2", "0", "2", "14"].map(str::to_owned)));
    till.at("2020-02-10");
    expire(&till, None);
    assert_eq!(view(), (0, ["2", "0", "2", "5"].map(str::to_owned)));
    till.at("2020-03-01");
    expire(&till, None);
    assert_eq!(view(), (0, ["2", "0", "2", "0"].map(str::to_owned)));
}

/// More accounts than are expired between two looks at whether the job is to stop, each with two lots in two programs.
const ACCOUNTS: usize = 40_000;

fn crowded(options: Options) -> Till {
    let till = Till::with(options);
    let line = |at: usize| {
        let email = format!("c{at}@example.com");
        format!(
            "{email};{};CR;2090-03-31;\n{email};1;CR;2090-04-{:02};\n{email};0.05;CR;2090-03-31;eur\n",
            at % 90 + 1,
            at % 30 + 1
        )
    };
    let lines: String = (0..ACCOUNTS).map(line).collect();
    till.import(format!("email;amount;operation;expires_on;program\n{lines}"), |job, request| {
        (job.processed, job.rejects) = (None, None);
        request.on_unknown = tidemill::domain::command::OnUnknown::Create;
    });
    till.at("2090-04-16");
    till
}

#[test]
fn an_interrupted_expiry_goes_on_where_it_stopped() {
    let options = || Options { window_rows: 1000, threads: 2, ..Options::default() };
    let calm = crowded(options());
    let expected = expire(&calm, None);
    // Each in both programs.
    assert_eq!((expected.rows.read, expected.customers.matched), (2 * ACCOUNTS as u64, ACCOUNTS as u64));
    let content = Content::of(calm.engine());
    drop(calm);

    // Stopped on request, twice, and gone on with by processes of their own.
    let mut till = crowded(options());
    let request = ExpireRequest::default();
    let error = till.engine().expire(&till.job(), &request, &stopping_at(1)).expect_err("it stops");
    assert_eq!((error.kind(), error.job()), (ErrorKind::Stopped, Some(JobId(3))), "{error:?}");
    let before = till.engine().job(JobId(3)).expect("it is there");
    assert!(before.state == JobState::Unfinished && before.rows.read > 0 && before.rows.read < expected.rows.read);
    till.verify();
    till.reopen();
    // Its day is the one on which it began.
    till.at("2099-01-01");
    let stop = stopping_at(before.rows.read + 1);
    let error = till.engine().resume(JobId(3), &ResumeRequest::default(), &stop).expect_err("it stops");
    assert_eq!(error.kind(), ErrorKind::Stopped);
    till.reopen();
    let check = |engine: &Engine| {
        let summary = engine.resume(JobId(3), &ResumeRequest::default(), &Progress::default()).expect("it ends");
        let parts = |summary: &Summary| {
            let Summary { rows, points, balance, customers, other_programs, .. } = summary.clone();
            (rows, points, balance, customers, other_programs)
        };
        assert_eq!(parts(&summary), parts(&expected));
        assert_eq!(Content::of(engine).difference(&content), None);
        // It is finished: resuming it once more just tells how it ended.
        let again = engine.resume(JobId(3), &ResumeRequest::default(), &Progress::default()).expect("it has ended");
        assert_eq!(parts(&again), parts(&expected));
    };
    check(till.engine());
    drop(till);

    // As a crash leaves it, which a copy that is taken in the middle shows.
    let till = crowded(options());
    let held = Held::after(1);
    let (engine, asked) = (till.engine(), till.job());
    std::thread::scope(|threads| {
        let job = threads.spawn(|| engine.expire(&asked, &request, &held.progress));
        held.wait();
        engine.backup(&till.path("backup")).expect("a backup");
        held.go();
        job.join().expect("no panic").expect("it ends");
    });
    assert_eq!(Content::of(till.engine()).difference(&content), None);
    let restored = Engine::restore(&till.path("backup"), &till.path("restored"), options()).expect("a store");
    assert_eq!(restored.job(JobId(3)).expect("it began").state, JobState::Unfinished);
    assert!(restored.verify().expect("it can be read").ok);
    check(&restored);
}

#[test]
fn a_given_up_expiry_leaves_the_rest_to_the_next() {
    let till = crowded(Options { window_rows: 1000, threads: 2, ..Options::default() });
    let request = ExpireRequest::default();
    till.engine().expire(&till.job(), &request, &stopping_at(1)).expect_err("it stops");
    let given_up = till.engine().cancel(JobId(3)).expect("it is unfinished");
    assert_eq!(given_up.state, JobState::Cancelled);
    let rest = expire(&till, None);
    assert_eq!(given_up.rows.read + rest.rows.read, 2 * ACCOUNTS as u64);
    assert_eq!(expire(&till, None).rows.read, 0);
    till.verify();
}

#[test]
fn a_repeated_expiry_goes_on_with_the_unfinished_one_of_its_day() {
    let options = || Options { window_rows: 1000, threads: 2, ..Options::default() };
    let calm = crowded(options());
    let expected = expire(&calm, None);
    let content = Content::of(calm.engine());
    drop(calm);
    let mut till = crowded(options());
    till.engine().expire(&till.job(), &ExpireRequest::default(), &stopping_at(1)).expect_err("it stops");
    let dry = JobRequest { dry_run: true, ..till.job() };
    let rest = till.engine().expire(&dry, &ExpireRequest::default(), &Progress::default()).expect("it looks ahead");
    assert!(rest.job.is_none() && rest.rows.read < expected.rows.read);
    till.reopen();
    let summary = expire(&till, None);
    assert_eq!((summary.job, summary.rows), (Some(JobId(3)), expected.rows));
    assert_eq!(Content::of(till.engine()).difference(&content), None);
    // It has ended: the next is one of its own.
    let next = expire(&till, None);
    assert_eq!((next.job, next.rows.read), (Some(JobId(4)), 0));
}

#[test]
fn an_import_that_is_resumed_later_keeps_its_day() {
    // Of a job that began before they were over, lots are added and taken as on its day; an expiry in between sees them dead.
    let options = Options { window_rows: 200, chunk_bytes_max: 4096, threads: 2, ..Options::default() };
    let mut till = Till::with(options);
    let line = |row: usize| match row % 3 {
        0 => format!("c{}@example.com;10;CR;2090-03-31", row % 300),
        1 => format!("c{}@example.com;10;CR;", (row - 1) % 300),
        _ => format!("c{}@example.com;15;DR;", (row - 2) % 300),
    };
    let lines: Vec<String> = (0..6000).map(line).collect();
    let content = file("email,amount,operation,expires_on", lines.iter().map(String::as_str));
    let (job, mut request) = till.request(&content);
    request.on_unknown = tidemill::domain::command::OnUnknown::Create;
    let error = till.engine().import_points(&job, &request, &stopping_at(1000)).expect_err("it stops");
    assert_eq!(error.job(), Some(JobId(2)));
    till.at("2090-04-10");
    let expired = expire(&till, None);
    assert_eq!(expired.job, Some(JobId(3)));
    till.reopen();
    let resumed = till.engine().resume(JobId(2), &ResumeRequest::default(), &Progress::default()).expect("it ends");
    assert_eq!(resumed.rows.read, 6000);
    // The job saw none of its own lots die.
    assert_eq!(resumed.points.expired, "0");
    till.verify();
    expire(&till, None);
    assert!(rows(&export(till.engine(), Export::Lots)).iter().all(|cells| cells[7].is_empty()));
    till.verify();
}
