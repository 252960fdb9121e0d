//! What the model test found, each as the smallest case that shows it.

use tidemill::{
    domain::{
        command::{Mode, OnOverdraft, OnUnknown, Operation},
        identifier::IdentifierKind,
        program::Program,
        time::Timestamp,
    },
    engine::{
        Engine,
        request::{AdjustRequest, ExpireRequest, FileRequest, JobRequest, PointsRequest},
    },
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    binary::files_below,
    content::{export, rows},
    now,
};

/// A store with Ana and Ben, and files of points in the format `tidemill` or another.
struct Shop {
    directory: tempfile::TempDir,
    engine: Engine,
}

impl Shop {
    fn new() -> Shop {
        Shop::with(Options::default())
    }

    fn with(options: Options) -> Shop {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::create(&directory.path().join("store"), options).expect("a store");
        let shop = Shop { directory, engine };
        shop.import("tidemill", "email,amount\nana@example.com,0\nben@example.com,0\n", |_, request| {
            request.on_unknown = OnUnknown::Create;
        });
        shop
    }

    /// Imports a file; the job's day is the one of all tests, unless `how` says otherwise.
    fn import(&self, format: &str, content: &str, how: impl FnOnce(&mut JobRequest, &mut PointsRequest)) -> Summary {
        let path = self.directory.path().join("points.csv");
        std::fs::write(&path, content).expect("a file is written");
        let file = FileRequest { path, format: Some(format.to_owned()), ..FileRequest::default() };
        // What files without operations do.
        let mut request = PointsRequest { file, mode: Some(Mode::Add), ..PointsRequest::default() };
        let mut job = JobRequest {
            reason: Some("x".to_owned()),
            now: Some(now()),
            again: true,
            processed: Some(self.directory.path().join("processed.csv")),
            ..JobRequest::default()
        };
        how(&mut job, &mut request);
        let summary = self.engine.import_points(&job, &request, &Progress::default()).expect("it is imported");
        let verified = self.engine.verify().expect("a store that can be read");
        assert!(verified.ok, "{:#?}", verified.problems);
        summary
    }

    /// Adjusts Ana's points; what is told of it: status or code, amount, balance.
    fn adjust(&self, operation: Operation, amount: &str, how: impl FnOnce(&mut JobRequest)) -> String {
        let mut job = JobRequest { now: Some(now()), ..JobRequest::default() };
        how(&mut job);
        let request = AdjustRequest {
            identifiers: vec![(IdentifierKind::Email, "ana@example.com".to_owned())],
            operation,
            amount: amount.to_owned(),
            on_overdraft: OnOverdraft::Reject,
            expiry: None,
        };
        let view = self.engine.adjust(&job, &request).expect("it is answered");
        let word = view.code.map_or(view.status.word(), |code| code.code());
        format!("{word} {} {}", view.amount, view.balance.unwrap_or_default())
    }

    /// What became of each row of the newest import: status or code.
    fn answers(&self) -> Vec<String> {
        let report = std::fs::read_to_string(self.directory.path().join("processed.csv")).expect("a report");
        let word = |cells: Vec<String>| if cells[2].is_empty() { cells[1].clone() } else { cells[2].clone() };
        rows(&report).into_iter().map(word).collect()
    }

    /// All lots as `email amount until`.
    fn lots(&self) -> Vec<String> {
        let lots = rows(&export(&self.engine, Export::Lots));
        lots.iter().map(|cells| format!("{} {} {}", cells[2], cells[5], cells[7])).collect()
    }
}

#[test]
fn days_of_validity_count_in_a_file_without_a_column_of_last_days() {
    let shop = Shop::new();
    shop.import("nector-expiry", "email,amount,expiry\nana@example.com,5,20000\n", |_, _| {});
    shop.import("tidemill", "email,amount,expires_in_days\nben@example.com,5,20000\n", |_, _| {});
    assert_eq!(shop.lots(), ["ana@example.com 5 2081-08-25", "ben@example.com 5 2081-08-25"]);
}

#[test]
fn an_unknown_program_is_told_behind_all_that_the_row_itself_has_wrong() {
    let shop = Shop::new();
    let rows = [
        "ana@example.com,5,gems,2021-02-30,maybe,expiry_invalid",
        "ana@example.com,5,gems,,maybe,field_invalid",
        "nobody@example.com,5,gems,,,program_unknown",
        "nobody@example.com,5,,,,identifier_unknown",
    ];
    shop.import("tidemill", &format!("email,amount,program,expires_on,promised,note\n{}", rows.join("\n")), |_, _| {});
    assert_eq!(shop.answers(), rows.map(|row| row.rsplit(',').next().expect("a code")));
}

#[test]
fn a_row_id_is_known_whichever_columns_the_file_has() {
    let shop = Shop::new();
    shop.import("tidemill", "email,amount,ref_id,row_id\nana@example.com,5,7,1\nana@example.com,5,,2\n", |_, _| {});
    // A column that is missing says as much as an empty cell; the same text in another column does not.
    for (content, expected) in [
        (
            "row_id,email,amount,ref_id,comment\n1,ana@example.com,5,7,\n2,ana@example.com,5,,\n",
            ["unchanged", "unchanged"],
        ),
        ("row_id,email,amount\n2,ana@example.com,5\n1,ana@example.com,5\n", ["unchanged", "row_id_conflict"]),
        (
            "row_id,email,amount,ref_type\n1,ana@example.com,5,7\n2,ana@example.com,5,\n",
            ["row_id_conflict", "unchanged"],
        ),
    ] {
        shop.import("tidemill", content, |_, _| {});
        assert_eq!(shop.answers(), expected, "{content}");
    }
}

#[test]
fn promised_points_are_not_in_the_balance_that_an_adjustment_tells() {
    let shop = Shop::new();
    assert_eq!(shop.adjust(Operation::Credit, "7", |_| {}), "applied 7 7");
    assert_eq!(shop.adjust(Operation::Promise, "5", |job| job.dry_run = true), "applied 5 7");
    assert_eq!(shop.adjust(Operation::Promise, "5", |_| {}), "applied 5 7");
}

#[test]
fn promises_that_are_over_leave_room_for_new_ones() {
    let shop = Shop::new();
    let promise = "email,amount,promised,expires_in_days\nana@example.com,9223372036854775807,yes,1\n";
    let in_december = |job: &mut JobRequest| job.now = Timestamp::parse_rfc3339("2026-12-24T12:00:00Z");
    shop.import("tidemill", promise, |_, _| {});
    shop.import("tidemill", promise, |_, _| {});
    assert_eq!(shop.answers(), ["balance_overflow"]);
    shop.import("tidemill", promise, |job, _| in_december(job));
    assert_eq!(shop.answers(), ["applied"]);
    // What an adjustment's dry run says is what it does.
    for dry_run in [true, false] {
        let promised = shop.adjust(Operation::Promise, "1", |job| {
            in_december(job);
            job.dry_run = dry_run;
        });
        assert_eq!(promised, "balance_overflow 0 0", "{dry_run}");
    }
}

#[test]
fn a_customer_whose_points_expire_in_two_programs_is_one() {
    let shop = Shop::new();
    shop.engine.add_program(Program::new("miles", "", 0, None).expect("a program")).expect("it is added");
    let rows = ["ana@example.com,5,1,points", "ana@example.com,5,1,miles", "ben@example.com,5,1,miles"];
    shop.import("tidemill", &format!("email,amount,expires_in_days,program\n{}\n", rows.join("\n")), |_, _| {});
    let in_december = Timestamp::parse_rfc3339("2026-12-24T12:00:00Z");
    for dry_run in [true, false] {
        let job = JobRequest { now: in_december, dry_run, ..JobRequest::default() };
        let expired = shop.engine.expire(&job, &ExpireRequest::default(), &Progress::default()).expect("they expire");
        assert_eq!((expired.rows.read, expired.rows.applied), (3, 3));
        assert_eq!((expired.customers.matched, expired.customers.repeated), (2, 1));
    }
}

#[test]
fn a_dry_run_leaves_no_keys_of_rows_behind() {
    let shop = Shop::with(Options { row_keys_max: 3, ..Options::default() });
    let tables = || {
        let files = files_below(&shop.directory.path().join("store"));
        files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "sst")).collect::<Vec<_>>()
    };
    let before = tables();
    let rows: String = (0..20).map(|number| format!("ana@example.com,1,{number}\n")).collect();
    let content = format!("email,amount,row_id\n{rows}");
    shop.import("tidemill", &content, |job, _| job.dry_run = true);
    assert_eq!(tables(), before);
    shop.import("tidemill", &content, |_, _| {});
    assert_ne!(tables(), before);
    shop.import("tidemill", &content, |_, _| {});
    assert_eq!(shop.answers(), vec!["unchanged"; 20]);
}
