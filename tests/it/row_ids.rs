//! Rows that carry an id of their own: a file that is sent again applies what is new in it, and nothing twice.

use std::{collections::HashMap, thread, time::Instant};

use proptest::prelude::*;
use tidemill::{
    domain::{
        command::{Mode, OnRepeat, OnUnknown},
        id::JobId,
        job::JobState,
    },
    engine::{
        Engine,
        request::{JobRequest, PointsRequest, ResumeRequest},
    },
    error::ErrorKind,
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::{
    kill::{Random, kill_until_done, kills_wanted},
    support::{
        binary::{Binary, finish},
        cases,
        content::{export, rows},
        shop::stopping_at,
        till::{Till, file, plainly},
    },
};

const HEADER: &str = "email,amount,operation,row_id";

/// Limits so small that a few rows already make a run of keys, and a few more a window.
fn small() -> Options {
    Options { window_rows: 200, chunk_bytes_max: 4096, threads: 2, row_keys_max: 3, ..Options::default() }
}

/// The same for files of thousands of rows: some tens of runs.
fn middling() -> Options {
    Options { row_keys_max: 300, ..small() }
}

/// Sends a file under a new name, once more if it was sent before.
#[track_caller]
fn send(till: &Till, content: &str) -> (Summary, Vec<String>) {
    let summary = till.import(content, plainly);
    (summary, till.answers())
}

/// Sends a file, of which no row may change anything.
#[track_caller]
fn send_in_vain(till: &Till, content: &str) {
    let ledger = export(till.engine(), Export::Ledger);
    let (summary, answers) = send(till, content);
    assert_eq!((summary.rows.applied, summary.rows.created), (0, 0), "{answers:?}");
    assert_eq!(export(till.engine(), Export::Ledger), ledger);
    till.verify();
}

const FIRST: [(&str, &str); 7] = [
    ("ana@example.com;10;CR;1", "applied 10 10"),
    ("ana@example.com;5;CR;2", "applied 5 15"),
    ("ben@example.com;7;CR;1", "applied 7 7"),
    ("ana@example.com;3;DR;3", "applied -3 12"),
    // Good rows that change nothing are known again, too.
    ("ana@example.com;0;CR;4", "unchanged 0 12"),
    ("ben@example.com;7;SET;5", "unchanged 0 7"),
    // And one without an id is applied as often as it is sent.
    ("ben@example.com;1;CR;", "applied 1 8"),
];

fn first() -> String {
    file(HEADER, FIRST.into_iter().map(|(row, _)| row))
}

#[test]
fn a_file_that_is_sent_again_changes_nothing() {
    for options in [Options { threads: 2, ..Options::default() }, small()] {
        let mut till = Till::with(options);
        till.check(HEADER, plainly, &FIRST);
        // Rows with ids do not make a repeat of a file less of one.
        let error = till.try_import(first(), |job, _| job.again = false).expect_err("it is a repeat");
        assert_eq!((error.kind(), error.code(), error.job()), (ErrorKind::Refused, "repeated_file", Some(JobId(2))));
        let known = ["unchanged 0 12", "unchanged 0 12", "unchanged 0 8", "unchanged 0 12", "unchanged 0 12"];
        for (round, ben) in [8, 9, 10].into_iter().enumerate() {
            let (summary, answers) = send(&till, &first());
            assert_eq!(answers[..2], known[..2]);
            assert_eq!(answers[2], format!("unchanged 0 {ben}"));
            assert_eq!(answers[3..5], known[3..5]);
            assert_eq!(answers[5..], [format!("unchanged 0 {ben}"), format!("applied 1 {}", ben + 1)]);
            assert_eq!(summary.file_points.credits.unchanged, "22");
            assert_eq!((summary.customers.matched, summary.customers.repeated), (2, 2), "round {round}");
            // Also for a process that knows nothing but what is on the disk.
            till.reopen();
        }
        till.verify();
    }
}

#[test]
fn rows_that_were_appended_are_applied() {
    let till = Till::with(small());
    till.check(HEADER, plainly, &FIRST);
    let more =
        format!("{}ana@example.com;20;CR;6\nben@example.com;2;DR;7\n", first().replace("ben@example.com;1;CR;\n", ""));
    // Other content is another file, so nobody needs to say that it is sent again.
    let summary = till.import(&more, |job, _| job.again = false);
    assert_eq!((summary.rows.applied, summary.rows.unchanged, summary.rows.rejected), (2, 6, 0));
    assert_eq!(till.answers()[6..], ["applied 20 32", "applied -2 6"]);
    send_in_vain(&till, &more);
}

#[test]
fn a_row_that_says_something_else_under_its_id_is_refused() {
    const COLUMNS: &str = "email,mobile,amount,operation,expires_on,expires_in_days,credited_on,program,ref_type,ref_id,\
                           promotion_id,promised,reason,comment,row_id";
    const ROW: &str = "ana@example.com;;10;CR;2090-12-31;;2090-01-01;;order;7;spring;no;why;what;1";
    // What is changed in the row, and whether it still says the same.
    let cases = [
        (ROW, "", "", "unchanged"),
        (ROW, ";10;", ";11;", "row_id_conflict"),
        (ROW, ";CR;", ";DR;", "row_id_conflict"),
        (ROW, ";CR;", ";SET;", "row_id_conflict"),
        (ROW, "2090-12-31", "2090-12-30", "row_id_conflict"),
        (ROW, "2090-12-31;", ";30", "row_id_conflict"),
        (ROW, "2090-12-31", "", "row_id_conflict"),
        (ROW, "2090-01-01", "2090-01-02", "row_id_conflict"),
        (ROW, "order", "", "row_id_conflict"),
        (ROW, "order;7", "7;order", "row_id_conflict"),
        (ROW, "order;7", "order7;", "row_id_conflict"),
        (ROW, ";7;spring", ";;7;spring", "row_malformed"),
        (ROW, "spring", "summer", "row_id_conflict"),
        (ROW, ";no;", ";yes;", "row_id_conflict"),
        (ROW, "why", "why not", "row_id_conflict"),
        (ROW, "what", "", "row_id_conflict"),
        // The same in other letters.
        (ROW, ";10;", ";10.00;", "unchanged"),
        (ROW, ";10;", "; +010 ;", "unchanged"),
        (ROW, ";CR;", ";credit;", "unchanged"),
        (ROW, ";CR;", ";;", "unchanged"),
        (ROW, "ana@example.com;;", ";+916000000001;", "unchanged"),
        (ROW, "ana@", " ANA@", "unchanged"),
        (ROW, ";;order", ";points;order", "unchanged"),
        (ROW, ";no;", ";;", "unchanged"),
        (ROW, "2090-12-31", " 2090-12-31 ", "unchanged"),
        (ROW, ";1", "; 1 ", "unchanged"),
        (ROW, ";why;", ";\"why\";", "unchanged"),
    ];
    let till = Till::new();
    till.check(COLUMNS, plainly, &[(ROW, "applied 10 10")]);
    for (row, from, to, expected) in cases {
        let changed = row.replacen(from, to, 1);
        // The id is the last cell, and `;1` stands before it too.
        let changed = if from == ";1" {
            row.rsplit_once(from).map(|(row, _)| format!("{row}{to}")).expect("an id")
        } else {
            changed
        };
        let (_, answers) = send(&till, &file(COLUMNS, [changed.as_str()].into_iter()));
        let expected = if expected == "unchanged" { "unchanged 0 10" } else { expected };
        assert_eq!(answers, [expected], "{changed}");
        if expected == "row_id_conflict" {
            assert_eq!(till.refused_columns(), ["row_id"]);
        }
    }
    // A column that is empty says no more than one that is not there.
    let till = Till::new();
    till.check("email,amount,operation,row_id", plainly, &[("ana@example.com;10;CR;1", "applied 10 10")]);
    till.check(COLUMNS, plainly, &[("ana@example.com;;10;CR;;;;;;;;;;;1", "unchanged 0 10")]);
    // Nor do two columns say the same because the same stands in them.
    till.check("email,amount,operation,ref_type,row_id", plainly, &[("ana@example.com;1;CR;a;2", "applied 1 11")]);
    till.check("email,amount,operation,ref_id,row_id", plainly, &[("ana@example.com;1;CR;a;2", "row_id_conflict")]);
    till.check("email,amount,operation,comment,row_id", plainly, &[("ana@example.com;1;CR;a;2", "row_id_conflict")]);
    till.check(
        "email,amount,operation,expires_in_days,row_id",
        plainly,
        &[("ana@example.com;1;CR;9;3", "applied 1 12")],
    );
    till.at("2090-03-15");
    // Days of validity are compared as such: a file that is sent again on another day says the same.
    till.check(
        "email,amount,operation,expires_in_days,row_id",
        plainly,
        &[("ana@example.com;1;CR;9;3", "unchanged 0 12")],
    );
    till.verify();
}

#[test]
fn an_id_that_is_repeated_in_a_file_counts_once() {
    for options in [Options { threads: 2, ..Options::default() }, small()] {
        let till = Till::with(options);
        let cases = [
            ("ana@example.com;10;CR;1", "applied 10 10"),
            ("ana@example.com;10;CR;1", "unchanged 0 10"),
            ("ana@example.com;11;CR;1", "row_id_conflict"),
            ("ana@example.com;10;CR;1", "unchanged 0 10"),
            // Of another customer, or in another program, it is another row.
            ("ben@example.com;10;CR;1", "applied 10 10"),
            ("ben@example.com;10;CR;1", "unchanged 0 10"),
            // What is refused may come again, and be right then.
            ("ben@example.com;50;DR;2", "insufficient_balance"),
            ("ben@example.com;x;DR;2", "amount_invalid"),
            ("nobody@example.com;50;CR;2", "identifier_unknown"),
            ("ben@example.com;5;DR;2", "applied -5 5"),
            // Case and blanks within an id count.
            ("ana@example.com;1;CR;a b", "applied 1 11"),
            ("ana@example.com;1;CR;A b", "applied 1 12"),
            ("ana@example.com;1;CR;ab", "applied 1 13"),
            ("ana@example.com;1;CR;'=a", "applied 1 14"),
            ("ana@example.com;1;CR;=a", "unchanged 0 14"),
        ];
        till.check(HEADER, plainly, &cases);
        let header = format!("{HEADER},program");
        till.check(
            &header,
            plainly,
            &[
                ("ana@example.com;10;CR;1;", "unchanged 0 14"),
                ("ana@example.com;10;CR;1;points", "unchanged 0 14"),
                ("ana@example.com;10;CR;1;eur", "applied 10.00 10.00"),
                ("ana@example.com;10;CR;1;eur", "unchanged 0.00 10.00"),
            ],
        );
        // The job's program is the one of rows that name none.
        till.check(
            HEADER,
            |job, _| job.program = Some("eur".to_owned()),
            &[("ana@example.com;10;CR;1", "unchanged 0.00 10.00"), ("ben@example.com;1;CR;1", "applied 1.00 1.00")],
        );
        till.verify();
    }
}

#[test]
fn a_row_that_was_refused_is_not_remembered() {
    let mut till = Till::new();
    let header = "email,amount,operation,expires_on,row_id";
    let lines = [
        "ana@example.com;50;DR;;1",
        "ana@example.com;9;SET;;2",
        "ana@example.com;8;SET;;3",
        "ana@example.com;1;CR;x;4",
    ];
    let codes = ["insufficient_balance", "applied 9 9", "repeated_customer", "expiry_invalid"];
    till.check(header, plainly, &lines.into_iter().zip(codes).collect::<Vec<_>>());
    till.reopen();
    till.check(
        header,
        plainly,
        &[
            ("ana@example.com;50;CR;;1", "applied 50 59"),
            ("ana@example.com;9;SET;;2", "unchanged 0 59"),
            ("ana@example.com;1;CR;2090-12-31;4", "applied 1 60"),
        ],
    );
    let last = |_: &mut JobRequest, request: &mut PointsRequest| request.on_repeat = OnRepeat::Last;
    till.check(header, last, &[("ana@example.com;8;SET;;3", "applied -52 8")]);
    till.verify();
}

#[test]
fn balances_that_were_set_are_not_set_again() {
    let till = Till::with(small());
    let reset = |_: &mut JobRequest, request: &mut PointsRequest| request.mode = Some(Mode::Reset);
    let header = "email,amount,row_id";
    let lines = [
        "ana@example.com;5;1",
        "ana@example.com;7;2",
        "ana@example.com;5;3",
        "ben@example.com;0;4",
        "ben@example.com;3;5",
    ];
    let answers = ["applied 5 5", "repeated_customer", "unchanged 0 5", "unchanged 0 0", "repeated_customer"];
    till.check(header, reset, &lines.into_iter().zip(answers).collect::<Vec<_>>());
    till.check(
        HEADER,
        plainly,
        &[("ana@example.com;1;CR;9", "applied 1 6"), ("ben@example.com;1;CR;9", "applied 1 1")],
    );
    // A row that is known is still the one that counts: those behind it come out as they did.
    let answers = ["unchanged 0 6", "repeated_customer", "unchanged 0 6", "unchanged 0 1", "repeated_customer"];
    till.check(header, reset, &lines.into_iter().zip(answers).collect::<Vec<_>>());
    let more = lines.into_iter().chain(["ana@example.com;5;6", "ana@example.com;9;7"]);
    let answers = answers.into_iter().chain(["unchanged 0 6", "repeated_customer"]);
    till.check(header, reset, &more.zip(answers).collect::<Vec<_>>());
    // A known row that now says something else is refused, and is not the first.
    let cases = [("ana@example.com;4;1", "row_id_conflict"), ("ana@example.com;9;8", "applied 3 9")];
    till.check(header, reset, &cases);
    till.verify();
}

#[test]
fn customers_that_rows_create_are_created_once() {
    for options in [Options { threads: 2, ..Options::default() }, small()] {
        let mut till = Till::with(options);
        let header = "email,mobile,amount,operation,row_id";
        let create = |_: &mut JobRequest, request: &mut PointsRequest| request.on_unknown = OnUnknown::Create;
        let cases = [
            ("new@example.com;;10;CR;1", "applied 10 10"),
            ("new@example.com;;10;CR;1", "unchanged 0 10"),
            ("new@example.com;;11;CR;1", "row_id_conflict"),
            ("new@example.com;;5;CR;2", "applied 5 15"),
            ("other@example.com;;10;CR;1", "applied 10 10"),
            ("zero@example.com;;0;CR;1", "applied 0 0"),
            ("zero@example.com;;0;CR;1", "unchanged 0 0"),
            // By an identifier that is not added to the customer, it is still the same one's row.
            ("new@example.com;+916000000009;5;CR;2", "unchanged 0 15"),
            ("poor@example.com;;5;DR;1", "insufficient_balance"),
        ];
        let summary = till.check(header, create, &cases);
        assert_eq!(summary.customers.created, 3);
        till.reopen();
        let again = [
            "unchanged 0 15",
            "unchanged 0 15",
            "row_id_conflict",
            "unchanged 0 15",
            "unchanged 0 10",
            "unchanged 0 0",
            "unchanged 0 0",
            "unchanged 0 15",
            "insufficient_balance",
        ];
        let summary = till.check(header, create, &cases.iter().map(|case| case.0).zip(again).collect::<Vec<_>>());
        assert_eq!(summary.customers.created, 0);
        assert_eq!(rows(&export(till.engine(), Export::Customers)).len(), 5);
        till.verify();
    }
}

/// So many rows with ids of their own, of customers whom they create; each hundredth changes nothing, each hundred and first
/// is refused.
fn numbered(rows: usize) -> String {
    let mut content = "email,mobile,amount,operation,row_id\n".to_owned();
    for row in 0..rows {
        let amount = match row % 101 {
            0 => "0".to_owned(),
            1 => "x".to_owned(),
            _ => row.to_string(),
        };
        content.push_str(&format!("c{}@example.com,,{amount},CR,row-{row}\n", row % 700));
    }
    content
}

fn create(_: &mut JobRequest, request: &mut PointsRequest) {
    request.on_unknown = OnUnknown::Create;
}

/// Imports a file until some windows are durable, and stops then.
fn stop_in_the_middle(till: &Till, content: &str) -> JobId {
    let (job, mut request) = till.request(content);
    create(&mut JobRequest::default(), &mut request);
    let error = till.engine().import_points(&job, &request, &stopping_at(800)).expect_err("it stops");
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error:?}");
    let job = error.job().expect("a job");
    assert_eq!(till.engine().job(job).expect("it is there").state, JobState::Unfinished);
    job
}

fn resume(till: &Till, job: JobId) -> Summary {
    till.engine().resume(job, &ResumeRequest::default(), &Progress::default()).expect("it ends")
}

#[test]
fn runs_of_keys_that_a_job_writes_on_its_way_are_found_and_merged() {
    const ROWS: usize = 300;
    let mut till = Till::with(small());
    // A hundred runs in one job, and then more in jobs of their own, until they are too many again.
    till.import(numbered(ROWS), create);
    for extra in 0..10 {
        till.import(file(HEADER, [format!("ana@example.com;1;CR;extra-{extra}").as_str()].into_iter()), plainly);
        assert_eq!(till.answers(), [format!("applied 1 {}", extra + 1)]);
        if extra % 4 == 0 {
            till.reopen();
        }
    }
    let summary = till.import(numbered(ROWS + 50), create);
    assert_eq!((summary.rows.applied, summary.rows.rejected), (49, 4), "{:?}", summary.rejects);
    for extra in 0..10 {
        till.import(file(HEADER, [format!("ana@example.com;1;CR;extra-{extra}").as_str()].into_iter()), plainly);
        assert_eq!(till.answers(), ["unchanged 0 10"]);
    }
    till.verify();
}

#[test]
fn an_interrupted_file_is_not_applied_twice_however_it_goes_on() {
    const ROWS: usize = 5000;
    let content = numbered(ROWS);
    let calm = Till::with(middling());
    calm.import(&content, create);
    let expected = calm.verify().digest.accounts;
    type GoOn = fn(&mut Till, JobId, &str);
    let ways: [(&str, GoOn); 4] = [
        ("resumed", |till, job, _| drop(resume(till, job))),
        ("resumed by a process of its own", |till, job, _| {
            till.reopen();
            resume(till, job);
        }),
        ("sent again, with a row more, and then resumed", |till, job, content| {
            // The rows that the job still has to do are applied by another one.
            let summary = till.import(format!("{content}c1@example.com,,x,CR,last\n"), create);
            assert!(summary.rows.unchanged >= 800 && summary.rows.applied > 0, "{summary:?}");
            till.reopen();
            let (before, after) = (export(till.engine(), Export::Ledger), resume(till, job));
            assert!(after.rows.unchanged > 50 && after.rows.applied < ROWS as u64, "{after:?}");
            assert_eq!(export(till.engine(), Export::Ledger), before);
        }),
        ("given up, and sent again", |till, job, content| {
            till.engine().cancel(job).expect("it is unfinished");
            till.reopen();
            till.import(content, create);
        }),
    ];
    for (way, go_on) in ways {
        let mut till = Till::with(middling());
        let job = stop_in_the_middle(&till, &content);
        go_on(&mut till, job, &content);
        assert_eq!(till.verify().digest.accounts, expected, "{way}");
        till.reopen();
        send_in_vain(&till, &content);
    }
}

#[test]
fn keys_of_a_job_that_is_resumed_later_are_not_lost() {
    let mut till = Till::with(middling());
    let (one, other) = (numbered(4000), numbered(2500).replace("row-", "other-"));
    let job = stop_in_the_middle(&till, &one);
    till.import(&other, create);
    till.reopen();
    // Another one that stays unfinished, and whose rows that change nothing stand in no ledger.
    let zeros = (0..4000).map(|row| format!("c{}@example.com;0;CR;zero-{row}", row % 700)).collect::<Vec<_>>();
    let zeros = file(HEADER, zeros.iter().map(String::as_str));
    let late = stop_in_the_middle(&till, &zeros);
    resume(&till, job);
    till.reopen();
    resume(&till, late);
    till.reopen();
    for content in [&one, &other, &zeros] {
        send_in_vain(&till, content);
    }
}

#[test]
fn a_dry_run_remembers_nothing() {
    let mut till = Till::with(small());
    let dry = |job: &mut JobRequest, _: &mut PointsRequest| job.dry_run = true;
    for _ in 0..2 {
        till.check(HEADER, dry, &FIRST);
        till.reopen();
    }
    // Nor does the pass that only decides whether a job is to begin.
    let expecting = |job: &mut JobRequest, _: &mut PointsRequest| job.expect_rows = Some(8);
    assert_eq!(till.try_import(first(), expecting).expect_err("there are seven").code(), "expect_rows");
    let expecting = |job: &mut JobRequest, _: &mut PointsRequest| job.expect_rows = Some(7);
    till.check(HEADER, expecting, &FIRST);
    // Afterwards it knows what is known.
    let ledger = export(till.engine(), Export::Ledger);
    till.import(first(), dry);
    assert_eq!(till.answers()[..3], ["unchanged 0 12", "unchanged 0 12", "unchanged 0 8"]);
    assert_eq!(export(till.engine(), Export::Ledger), ledger);
}

#[test]
fn keys_survive_backups_and_compaction() {
    let mut till = Till::with(middling());
    let content = numbered(3000);
    till.import(&content, create);
    let job = stop_in_the_middle(&till, &content.replace("row-", "more-"));
    till.engine().compact().expect("it is compacted");
    send_in_vain(&till, &content);
    till.engine().backup(&till.path("backup")).expect("a backup");
    till.reopen();
    send_in_vain(&till, &content);
    till.engine().compact().expect("it is compacted");
    resume(&till, job);
    send_in_vain(&till, &content.replace("row-", "more-"));
    drop(Engine::restore(&till.path("backup"), &till.path("restored"), middling()).expect("a store"));
    till.turn_to("restored");
    send_in_vain(&till, &content);
    resume(&till, job);
    for prefix in ["row-", "more-"] {
        send_in_vain(&till, &content.replace("row-", prefix));
    }
}

/// Kills a process of its own in the middle of a file with ids, and sends the file once more when it is done.
#[test]
fn killed_while_rows_have_ids() {
    let before = Binary::new().flag("--window-rows").flag("4000");
    before.write("points.csv", numbered(60_000));
    before.write("same.csv", numbered(60_000));
    before.write("more.csv", numbered(60_200));
    let import = |name: &'static str| ["import", "points", name, "--on-unknown", "create", "--again"];
    let first = &import("points.csv")[..5];
    let undisturbed = |binary: &Binary, arguments: &[&str]| {
        let began = Instant::now();
        (binary.run(arguments).expect(3).json, began.elapsed())
    };
    let calm = before.copy();
    let (expected, took) = undisturbed(&calm, first);
    let expected_ledger = calm.export("ledger");
    let mut random = Random::new();
    let mut kills = 0;
    while kills < kills_wanted() {
        let binary = before.copy();
        kills += kill_until_done(&binary, first, 1, 1 + random.below(3), took, &mut random);
        let shown = binary.run(&["job", "show", "1"]).expect(0).json;
        for field in ["rows", "rejects", "points", "customers"] {
            assert_eq!(shown[field], expected[field], "{field}");
        }
        assert!(binary.export("ledger") == expected_ledger);
        // A process that is killed on the way has not forgotten which of them are there.
        let mut child = binary.spawn(&import("same.csv"));
        thread::sleep(took.mul_f64(random.below(1000) as f64 / 1000.0));
        child.kill().expect("it is ours");
        kills += u64::from(finish(child).exit.is_none());
        let (same, _) = undisturbed(&binary, &import("same.csv"));
        assert_eq!((&same["rows"]["applied"], &same["rows"]["rejected"]), (&0.into(), &expected["rows"]["rejected"]));
        assert!(binary.export("ledger") == expected_ledger);
        let (more, _) = undisturbed(&binary, &import("more.csv"));
        assert_eq!((&more["rows"]["applied"], &more["customers"]["created"]), (&196.into(), &0.into()));
        binary.verify();
    }
}

/// A row of the model: customer, id (0: none), amount (0: unchanged, 1 to 3), whether it is a debit.
type ModelRow = (u8, u8, u8, bool);

proptest! {
    #![proptest_config(cases(12))]

    /// Files of rows with few customers and ids, so that nearly all of them were there before in one way or another.
    #[test]
    fn rows_with_ids_are_applied_as_a_plain_map_says(
        files in prop::collection::vec(prop::collection::vec((0..3_u8, 0..12_u8, 0..4_u8, any::<bool>()), 1..40), 1..8),
        row_keys_max in 1..6_usize,
        stops in any::<u8>(),
    ) {
        let options = Options { window_rows: 4, chunk_bytes_max: 64, row_keys_max, threads: 2, ..Options::default() };
        let mut till = Till::with(options);
        till.customers("email\neve@example.com\n");
        let names = ["ana", "ben", "eve"];
        let mut known: HashMap<(u8, u8), (u8, bool)> = HashMap::new();
        let mut balances = [0_i64; 3];
        for (number, file_rows) in files.iter().enumerate() {
            let mut expected = Vec::new();
            for &(customer, id, amount, is_debit) in file_rows as &Vec<ModelRow> {
                let balance = &mut balances[usize::from(customer)];
                let signed = if is_debit { -i64::from(amount) } else { i64::from(amount) };
                let before = known.get(&(customer, id)).filter(|_| id > 0);
                expected.push(match before {
                    Some(&content) if content == (amount, is_debit) => format!("unchanged 0 {balance}"),
                    Some(_) => "row_id_conflict".to_owned(),
                    None if *balance + signed < 0 => "insufficient_balance".to_owned(),
                    None => {
                        *balance += signed;
                        known.insert((customer, id), (amount, is_debit));
                        if amount == 0 { format!("unchanged 0 {balance}") } else { format!("applied {signed} {balance}") }
                    }
                });
            }
            let lines: Vec<String> = file_rows.iter().map(|&(customer, id, amount, is_debit)| {
                let id = if id == 0 { String::new() } else { id.to_string() };
                format!("{}@example.com;{amount};{};{id}", names[usize::from(customer)], if is_debit { "DR" } else { "CR" })
            }).collect();
            let content = file(HEADER, lines.iter().map(String::as_str));
            if stops >> number & 1 == 0 {
                till.import(&content, plainly);
            } else {
                // Stopped as soon as anything is durable, and gone on with by another process.
                let (job, request) = till.request(&content);
                match till.engine().import_points(&job, &request, &stopping_at(1)) {
                    Ok(_) => {}
                    Err(error) => {
                        prop_assert_eq!(error.kind(), ErrorKind::Stopped);
                        till.reopen();
                        resume(&till, error.job().expect("a job"));
                    }
                }
            }
            prop_assert_eq!(till.answers(), expected);
        }
        till.verify();
    }
}

#[test]
fn a_row_that_has_known_id_before_its_last_day_is_known_after_it() {
    const COLUMNS: &str = "email,amount,operation,expires_on,row_id";
    let till = Till::new();
    let first = ["ana@example.com;10;CR;2090-03-31;1", "ana@example.com;5;SET;2090-03-31;2"];
    till.at("2090-03-31");
    till.import(file(COLUMNS, first.into_iter()), plainly);
    assert_eq!(till.answers(), ["applied 10 10", "applied -5 5"]);
    till.at("2090-04-01");
    // What is new in it, is said otherwise, or has no id, is as wrong as ever, and names nobody.
    let again = [
        ("ana@example.com;10;CR;2090-03-31;1", "unchanged 0 0"),
        ("ana@example.com;5;SET;2090-03-31;2", "unchanged 0 0"),
        ("ana@example.com;11;CR;2090-03-31;1", "expiry_invalid"),
        ("ana@example.com;10;CR;2090-03-31;3", "expiry_invalid"),
        ("ben@example.com;10;CR;2090-03-31;1", "expiry_invalid"),
        ("eve@example.com;10;CR;2090-03-31;1", "expiry_invalid"),
        ("ana@example.com;10;CR;2090-03-31;", "expiry_invalid"),
        ("ana@example.com;1;CR;2090-04-01;4", "applied 1 1"),
    ];
    let summary = till.import(file(COLUMNS, again.into_iter().map(|(row, _)| row)), plainly);
    assert_eq!(till.answers(), again.map(|(_, answer)| answer));
    assert_eq!((summary.customers.matched, summary.customers.repeated), (1, 1));
    let told = |line: usize| till.processed()[line][3].clone();
    assert_eq!(told(3), told(6), "with an id and without, it is told alike");
    till.verify();
}
