//! The rules as tables: a row, and what becomes of it.
//!
//! A case is a line of a file and the answer: the status with amount and balance after, or the code of a rejection. The
//! rows of one table are one file, so each finds what those above it left.

use std::{cell::Cell, collections::BTreeSet, path::PathBuf};

use tempfile::TempDir;
use tidemill::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown, Operation},
        identifier::IdentifierKind,
        program::Program,
    },
    engine::{
        Engine,
        request::{AdjustRequest, CustomersRequest, FileRequest, JobRequest, PointsRequest, SettingsChange},
    },
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    content::{export, rows},
    now,
};

/// A store with three customers: Ana has 100 points, Ben none, Max as many as fit.
struct Shop {
    directory: TempDir,
    engine: Engine,
    files: Cell<u32>,
}

const PEOPLE: &str = "\
user_id,external_id,email,mobile,card,balance
u1,x1,ana@example.com,+916000000001,9001,100
u2,x2,ben@example.com,+916000000002,9002,
u3,x3,max@example.com,,,MAX
";

impl Shop {
    fn new() -> Shop {
        Shop::with_decimals(0)
    }

    /// The balances are in a program with so many decimals.
    fn with_decimals(decimals: u8) -> Shop {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Engine::create(&directory.path().join("store"), Options::default()).expect("a store");
        engine.add_program(Program::new("coins", "", decimals, None).expect("a program")).expect("it is added");
        let shop = Shop { directory, engine, files: Cell::new(0) };
        let max = super::support::decimal(i64::MAX.into(), decimals.into());
        shop.customers(&PEOPLE.replace("MAX", &max));
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{}-{name}", self.files.get()))
    }

    /// Writes a file, and the request of a job on it.
    fn job(&self, content: &[u8]) -> (JobRequest, FileRequest) {
        self.files.set(self.files.get() + 1);
        std::fs::write(self.path("input.csv"), content).expect("a file is written");
        let job = JobRequest {
            program: Some("coins".to_owned()),
            now: Some(now()),
            again: true,
            processed: Some(self.path("processed.csv")),
            rejects: Some(self.path("rejects.csv")),
            ..JobRequest::default()
        };
        (job, FileRequest { path: self.path("input.csv"), ..FileRequest::default() })
    }

    /// The cells of the last job's processed report.
    fn processed(&self) -> Vec<Vec<String>> {
        rows(&std::fs::read_to_string(self.path("processed.csv")).expect("a report"))
    }

    /// The path of a format of points with these columns, an amount, and the operations `+`, `-` and `=`.
    fn format(&self, columns: &str) -> String {
        let path = self.directory.path().join("my.toml");
        let text = format!(
            "name = \"my\"\nkind = \"points\"\ntitle = \"My points\"\nmandatory = [[\"amount\"]]\n{columns}\
             [[columns]]\nfield = \"amount\"\nheaders = [\"amount\"]\n\
             [operations]\n\"+\" = \"credit\"\n\"-\" = \"debit\"\n\"=\" = \"set\"\n"
        );
        std::fs::write(&path, text).expect("a format is written");
        path.display().to_string()
    }

    /// Column and message of the last job's rejected rows.
    fn refusals(&self) -> Vec<(String, String)> {
        let text = self.rejects();
        let header = text.lines().next().expect("a header").split(',').count();
        rows(&text).into_iter().map(|cells| (cells[header - 4].clone(), cells[header - 2].clone())).collect()
    }

    fn rejects(&self) -> String {
        std::fs::read_to_string(self.path("rejects.csv")).expect("a report")
    }

    fn import_customers(&self, content: &[u8], how: impl FnOnce(&mut FileRequest)) -> Summary {
        let (job, mut file) = self.job(content);
        how(&mut file);
        let request = CustomersRequest { file, ..CustomersRequest::default() };
        self.engine.import_customers(&job, &request, &Progress::default()).expect("the file is imported")
    }

    fn customers(&self, content: &str) -> Summary {
        self.import_customers(content.as_bytes(), |_| {})
    }

    fn points(&self, content: &[u8], how: impl FnOnce(&mut PointsRequest)) -> Summary {
        let (mut job, file) = self.job(content);
        job.reason = Some("test".to_owned());
        let mut request = PointsRequest { file, ..PointsRequest::default() };
        how(&mut request);
        self.engine.import_points(&job, &request, &Progress::default()).expect("the file is imported")
    }

    /// Checks a table against the last job's answers.
    #[track_caller]
    fn check(&self, cases: &[(&str, &str)]) {
        let processed = self.processed();
        for (cells, (row, expected)) in processed.iter().zip(cases) {
            assert_eq!(answer(cells), *expected, "row {row:?}: {cells:?}");
        }
        assert_eq!(processed.len(), cases.len());
    }

    /// Imports the rows of a table as points, and checks it.
    #[track_caller]
    fn check_points(&self, header: &str, how: impl FnOnce(&mut PointsRequest), cases: &[(&str, &str)]) {
        self.points(file(header, cases).as_bytes(), how);
        self.check(cases);
    }

    #[track_caller]
    fn check_nector(&self, cases: &[(&str, &str)]) {
        self.check_points("email,mobile,amount,operation", |_| {}, cases);
    }

    /// Imports the rows of a table as customers, and checks it.
    #[track_caller]
    fn check_customers(&self, header: &str, cases: &[(&str, &str)]) {
        self.customers(&file(header, cases));
        self.check(cases);
    }

    /// Three columns of `export customers` that are enough to tell customers apart, and one more.
    fn column(&self, name: &str) -> Vec<String> {
        let text = export(&self.engine, Export::Customers);
        let at = text.lines().next().and_then(|header| header.split(',').position(|column| column == name));
        rows(&text).into_iter().map(|mut cells| cells.swap_remove(at.expect("a column"))).collect()
    }
}

/// A file of these rows. Cells are separated by `;`, as amounts may hold a comma.
fn file(header: &str, cases: &[(&str, &str)]) -> String {
    let rows = cases.iter().map(|(row, _)| format!("{row}\n")).collect::<String>();
    format!("{}\n{rows}", header.replace(',', ";"))
}

fn answer(cells: &[String]) -> String {
    let [_, status, code, _, _, amount, balance] = cells else { panic!("{cells:?}") };
    if code.is_empty() { format!("{status} {amount} {balance}") } else { code.clone() }
}

fn overdraft(policy: OnOverdraft) -> impl Fn(&mut PointsRequest) {
    move |request| request.on_overdraft = policy
}

fn add(request: &mut PointsRequest) {
    request.mode = Some(Mode::Add);
}

fn reset(request: &mut PointsRequest) {
    request.mode = Some(Mode::Reset);
}

#[test]
fn operations_credit_debit_or_are_refused() {
    Shop::new().check_nector(&[
        ("ana@example.com;;10;CR", "applied 10 110"),
        ("ana@example.com;;10;cr", "applied 10 120"),
        ("ana@example.com;;10; Credit ", "applied 10 130"),
        ("ana@example.com;;10;CREDIT", "applied 10 140"),
        // Blank credits.
        ("ana@example.com;;10;", "applied 10 150"),
        ("ana@example.com;;10;  ", "applied 10 160"),
        ("ana@example.com;;10;DR", "applied -10 150"),
        ("ana@example.com;;10;dr", "applied -10 140"),
        ("ana@example.com;;10;Debit", "applied -10 130"),
        // Nothing else is taken for one.
        ("ana@example.com;;10;SET", "operation_invalid"),
        ("ana@example.com;;10;C", "operation_invalid"),
        ("ana@example.com;;10;-", "operation_invalid"),
        ("ana@example.com;;10;CR DR", "operation_invalid"),
        // Zero changes nothing, whatever is done with it.
        ("ana@example.com;;0;CR", "unchanged 0 130"),
        ("ana@example.com;;0.00;DR", "unchanged 0 130"),
        ("ben@example.com;;0;DR", "unchanged 0 0"),
    ]);
}

#[test]
fn signed_amounts_add_or_take() {
    Shop::with_decimals(2).check_points(
        "email,points",
        add,
        &[
            ("ana@example.com;10", "applied 10.00 110.00"),
            ("ana@example.com;-20.5", "applied -20.50 89.50"),
            ("ana@example.com;+0.50", "applied 0.50 90.00"),
            ("ana@example.com;-0", "unchanged 0.00 90.00"),
            ("ana@example.com;-90.01", "insufficient_balance"),
            ("ana@example.com;-90", "applied -90.00 0.00"),
            ("ana@example.com;--1", "amount_invalid"),
        ],
    );
}

#[test]
fn a_debit_beyond_the_balance_follows_the_policy() {
    let rows =
        ["ana@example.com;;150;DR", "ana@example.com;;100;DR", "ana@example.com;;1;DR", "ana@example.com;;30;CR"];
    let tables = [
        (OnOverdraft::Reject, ["insufficient_balance", "applied -100 0", "insufficient_balance", "applied 30 30"]),
        // What is there is taken; where nothing is, nothing happens.
        (OnOverdraft::Clamp, ["applied -100 0", "unchanged 0 0", "unchanged 0 0", "applied 30 30"]),
        // A credit pays back first.
        (OnOverdraft::Allow, ["applied -150 -50", "applied -100 -150", "applied -1 -151", "applied 30 -121"]),
    ];
    for (policy, answers) in tables {
        let cases: Vec<_> = rows.into_iter().zip(answers).collect();
        Shop::new().check_points("email,mobile,amount,operation", overdraft(policy), &cases);
    }
    let shop = Shop::new();
    let cases = [("ana@example.com;;150;DR", "applied -100 0"), ("ana@example.com;;5;DR", "unchanged 0 0")];
    shop.check_points("email,mobile,amount,operation", overdraft(OnOverdraft::Clamp), &cases);
    let messages: Vec<_> = shop.processed().into_iter().map(|mut cells| cells.swap_remove(3)).collect();
    assert_eq!(messages, ["took what was there: 50 not taken", "took what was there: 5 not taken"]);
}

#[test]
fn an_overdrawn_account_has_nothing_to_take() {
    let shop = Shop::new();
    shop.check_points(
        "email,mobile,amount,operation",
        overdraft(OnOverdraft::Allow),
        &[
            ("ben@example.com;;40;DR", "applied -40 -40"),
            ("ben@example.com;;9223372036854775807;DR", "balance_overflow"),
        ],
    );
    shop.check_nector(&[
        ("ben@example.com;;1;DR", "insufficient_balance"),
        ("ben@example.com;;0;DR", "unchanged 0 -40"),
    ]);
    let clamp = overdraft(OnOverdraft::Clamp);
    shop.check_points("email,mobile,amount,operation", clamp, &[("ben@example.com;;1;DR", "unchanged 0 -40")]);
    shop.check_points("email,points", reset, &[("ben@example.com;10", "applied 50 10")]);
}

#[test]
fn a_reset_makes_the_amount_the_balance_once() {
    let shop = Shop::new();
    shop.check_points(
        "email,points",
        reset,
        &[
            ("ana@example.com;40", "applied -60 40"),
            ("ana@example.com;40", "unchanged 0 40"),
            ("ana@example.com;41", "repeated_customer"),
            // A row that is refused does not count as the first.
            ("ben@example.com;-5", "amount_invalid"),
            ("ben@example.com;x", "amount_invalid"),
            ("ben@example.com;7", "applied 7 7"),
            ("BEN@example.com;8", "repeated_customer"),
            // One that changes nothing does.
            ("max@example.com;9223372036854775807", "unchanged 0 9223372036854775807"),
            ("max@example.com;1", "repeated_customer"),
        ],
    );
    let kinds: Vec<String> =
        rows(&export(&shop.engine, Export::Ledger)).into_iter().map(|cells| cells[7].clone()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["reset", "reset"]);
    shop.check_points(
        "email,points",
        |request| {
            reset(request);
            request.on_repeat = OnRepeat::Last;
        },
        &[
            ("ana@example.com;1", "applied -39 1"),
            ("ana@example.com;2", "applied 1 2"),
            ("ana@example.com;2", "unchanged 0 2"),
            ("ana@example.com;0", "applied -2 0"),
        ],
    );
}

#[test]
fn a_row_that_sets_counts_once_whatever_says_that_it_sets() {
    let columns = "[[columns]]\nfield = \"email\"\nheaders = [\"email\"]\n\
                   [[columns]]\nfield = \"operation\"\nheaders = [\"operation\"]\n";
    let rows = [
        "ana@example.com;5;+",
        "ana@example.com;40;=",
        "ana@example.com;40;=",
        "ana@example.com;41;=",
        "ana@example.com;1;-",
        "ben@example.com;0;=",
        "ben@example.com;3;=",
        "ben@example.com;7;?",
    ];
    let tables = [
        (
            OnRepeat::First,
            ["applied 5 105", "applied -65 40", "unchanged 0 40", "repeated_customer", "applied -1 39"],
            ["unchanged 0 0", "repeated_customer", "operation_invalid"],
        ),
        (
            OnRepeat::Last,
            ["applied 5 105", "applied -65 40", "unchanged 0 40", "applied 1 41", "applied -1 40"],
            ["unchanged 0 0", "applied 3 3", "operation_invalid"],
        ),
    ];
    for (on_repeat, ana, ben) in tables {
        let shop = Shop::new();
        let format = shop.format(columns);
        let cases: Vec<_> = rows.into_iter().zip(ana.into_iter().chain(ben)).collect();
        let summary = shop.points(file("email,amount,operation", &cases).as_bytes(), |request| {
            request.file.format = Some(format);
            request.on_repeat = on_repeat;
        });
        shop.check(&cases);
        // Amounts that are set, and one without an operation, are counted apart; all of them can be read.
        let found = &summary.file_points;
        assert_eq!((found.set_rows, found.set.as_str()), (5, "124"));
        assert_eq!((found.unassigned_rows, found.unassigned.as_str(), found.unreadable_rows), (1, "7", 0));
        assert_eq!((found.credits.in_file.as_str(), found.debits.in_file.as_str()), ("5", "1"));
    }
}

#[test]
fn an_unknown_customer_is_rejected_or_created() {
    let shop = Shop::new();
    shop.check_nector(&[("new@example.com;;5;", "identifier_unknown"), (";+916000000009;5;", "identifier_unknown")]);
    let create = |request: &mut PointsRequest| request.on_unknown = OnUnknown::Create;
    shop.check_points(
        "email,mobile,amount,operation",
        create,
        &[
            // A row that is refused creates nobody.
            ("new@example.com;;5;DR", "insufficient_balance"),
            ("new@example.com;;5;XX", "operation_invalid"),
            ("new@example.com;+916000000009;5;", "applied 5 5"),
            (";+916000000009;3;DR", "applied -3 2"),
            // The row is applied, since a customer came to be.
            ("zero@example.com;;0;", "applied 0 0"),
            ("zero@example.com;;0;", "unchanged 0 0"),
            // An identifier that the customer has not is not added to it.
            ("other@example.com;+916000000009;1;", "applied 1 3"),
            ("other@example.com;;1;", "applied 1 1"),
            ("other@example.com;+916000000009;1;", "identifier_conflict"),
        ],
    );
    assert_eq!(shop.column("email")[3..], ["new@example.com", "zero@example.com", "other@example.com"]);
    assert!(shop.column("created_at")[3..].iter().all(|time| time == super::support::NOW));
    // With --on-overdraft, who has nothing yet is treated as who has nothing.
    let clamp = |request: &mut PointsRequest| {
        request.on_unknown = OnUnknown::Create;
        request.on_overdraft = OnOverdraft::Clamp;
    };
    shop.check_points("email,mobile,amount,operation", clamp, &[("late@example.com;;5;DR", "applied 0 0")]);
    let set = |request: &mut PointsRequest| {
        request.on_unknown = OnUnknown::Create;
        request.mode = Some(Mode::Reset);
    };
    let cases = [("set@example.com;9", "applied 9 9"), ("set@example.com;8", "repeated_customer")];
    shop.check_points("email,points", set, &cases);
}

#[test]
fn amounts_are_read_exactly_or_refused() {
    Shop::new().check_nector(&[
        ("ana@example.com;;5;", "applied 5 105"),
        ("ana@example.com;; 5 ;", "applied 5 110"),
        ("ana@example.com;;005;", "applied 5 115"),
        ("ana@example.com;;5.00;", "applied 5 120"),
        ("ana@example.com;;+5;", "applied 5 125"),
        ("ana@example.com;;5.50;", "amount_precision"),
        ("ana@example.com;;0.1;", "amount_precision"),
        ("ana@example.com;;;", "amount_missing"),
        ("ana@example.com;; ;", "amount_missing"),
        ("ana@example.com;;52,620;", "amount_invalid"),
        ("ana@example.com;;1 000;", "amount_invalid"),
        ("ana@example.com;;1e3;", "amount_invalid"),
        ("ana@example.com;;0x10;", "amount_invalid"),
        ("ana@example.com;;5.;", "amount_invalid"),
        ("ana@example.com;;5€;", "amount_invalid"),
        ("ana@example.com;;٥;", "amount_invalid"),
        ("ana@example.com;;NaN;", "amount_invalid"),
        ("ana@example.com;;-5;", "amount_invalid"),
        ("ana@example.com;;-5;DR", "amount_invalid"),
        ("ana@example.com;;9223372036854775808;", "amount_range"),
        ("ana@example.com;;99999999999999999999999;", "amount_range"),
        ("ben@example.com;;9223372036854775807;", "applied 9223372036854775807 9223372036854775807"),
        ("ben@example.com;;1;", "balance_overflow"),
        ("max@example.com;;1;", "balance_overflow"),
    ]);
    Shop::with_decimals(4).check_nector(&[
        ("ana@example.com;;0.0001;", "applied 0.0001 100.0001"),
        ("ana@example.com;;0.00010;", "applied 0.0001 100.0002"),
        ("ana@example.com;;0.00001;", "amount_precision"),
        ("ana@example.com;;922337203685477.5808;", "amount_range"),
        ("ana@example.com;;1.5;DR", "applied -1.5000 98.5002"),
    ]);
    let shop = Shop::new();
    shop.check_nector(&[("ana@example.com;;52,620;", "amount_invalid")]);
    assert!(shop.processed()[0][3].contains("--number-format"), "{:?}", shop.processed());
}

#[test]
fn number_formats_group_and_point_as_languages_do() {
    let tables: [(&str, &[(&str, &str)]); 6] = [
        (
            "plain",
            &[("52620.5", "applied 52620.50 52720.50"), ("52,620.5", "amount_invalid"), ("52620,5", "amount_invalid")],
        ),
        (
            "en",
            &[
                ("52,620", "applied 52620.00 52720.00"),
                ("1,234,567.25", "applied 1234567.25 1287287.25"),
                ("52620", "applied 52620.00 1339907.25"),
                ("5,2620", "amount_invalid"),
                ("0,123", "amount_invalid"),
                ("52.620,5", "amount_invalid"),
            ],
        ),
        (
            "de",
            &[
                ("52.620", "applied 52620.00 52720.00"),
                ("1.234.567,25", "applied 1234567.25 1287287.25"),
                ("5,5", "applied 5.50 1287292.75"),
                ("52,620", "applied 52.62 1287345.37"),
                ("52,625", "amount_precision"),
                ("52,620.5", "amount_invalid"),
            ],
        ),
        (
            "fr",
            &[
                ("52 620", "applied 52620.00 52720.00"),
                ("52\u{a0}620,5", "applied 52620.50 105340.50"),
                ("52\u{202f}620", "applied 52620.00 157960.50"),
                ("52.620", "amount_invalid"),
            ],
        ),
        ("ch", &[("52'620.5", "applied 52620.50 52720.50"), ("52’620", "applied 52620.00 105340.50")]),
        ("in", &[("12,34,567", "applied 1234567.00 1234667.00"), ("1,234,567", "amount_invalid")]),
    ];
    for (style, cases) in tables {
        let cases: Vec<(String, &str)> =
            cases.iter().map(|(amount, answer)| (format!("ana@example.com;;{amount};"), *answer)).collect();
        let cases: Vec<(&str, &str)> = cases.iter().map(|(row, answer)| (row.as_str(), *answer)).collect();
        let format = |request: &mut PointsRequest| request.file.number_format = Some(style.to_owned());
        Shop::with_decimals(2).check_points("email,mobile,amount,operation", format, &cases);
    }
}

#[test]
fn spellings_of_an_identifier_name_one_customer() {
    let shop = Shop::new();
    shop.customers("email,mobile\njosé@example.com,+37061234567\n");
    shop.check_nector(&[
        (" ANA@Example.COM ;;1;", "applied 1 101"),
        ("jose\u{301}@example.com;;1;", "applied 1 1"),
        ("JOSÉ@EXAMPLE.COM;;1;", "applied 1 2"),
        (";+37061234567;1;", "applied 1 3"),
        (";0037061234567;1;", "applied 1 4"),
        (";37061234567;1;", "applied 1 5"),
        (";+370 (612) 34-567;1;", "applied 1 6"),
        (";\u{feff}+37061234567\u{a0};1;", "applied 1 7"),
        // The one known is enough; two known must be one.
        ("nobody@example.com;+37061234567;1;", "applied 1 8"),
        ("ana@example.com;+37061234567;1;", "identifier_conflict"),
        ("ana@example.com;+37061234568;1;", "applied 1 102"),
        // Letters in a number, what a spreadsheet made of one, a number that is too short or of no country.
        (";+3706123456O;1;", "identifier_invalid"),
        (";3.7061234567E10;1;", "identifier_invalid"),
        (";+370612;1;", "identifier_invalid"),
        (";+9991234567;1;", "identifier_invalid"),
        // Without a region nobody knows what is dialled at home, and no calling code begins with 0.
        (";0061234567;1;", "identifier_unknown"),
        (";061234567;1;", "identifier_invalid"),
        ("ana.example.com;;1;", "identifier_invalid"),
        ("@example.com;;1;", "identifier_invalid"),
        ("a b@example.com;;1;", "identifier_invalid"),
        // Filled and unreadable rejects the row, whatever the other names.
        ("ana@example.com;12;1;", "identifier_invalid"),
        ("ana;+37061234567;1;", "identifier_invalid"),
        (";;1;", "identifier_missing"),
        (" ;\u{a0};1;", "identifier_missing"),
    ]);
    let region = SettingsChange { default_region: Some("LT".to_owned()), ..SettingsChange::default() };
    shop.engine.set(region).expect("a region");
    shop.check_nector(&[
        (";061234567;1;", "applied 1 9"),
        (";37061234567;1;", "applied 1 10"),
        (";861234567;1;", "applied 1 11"),
    ]);
}

#[test]
fn identifiers_of_every_kind_keep_their_form() {
    let shop = Shop::new();
    let header = "user_id,external_id,card";
    shop.check_customers(
        header,
        &[
            ("0007;;", "created 0 0"),
            ("7;;", "created 0 0"),
            ("U7;;", "created 0 0"),
            ("u7;;", "created 0 0"),
            // A kind of its own: the same text elsewhere is another identifier.
            (";0007;", "created 0 0"),
            (";;0007", "created 0 0"),
            (";;90-00 7", "created 0 0"),
            (";;90007", "unchanged 0 0"),
            ("1.23457E+15;;", "identifier_invalid"),
            (";;90_07", "identifier_invalid"),
        ],
    );
    assert_eq!(shop.column("user_id")[3..7], ["0007", "7", "U7", "u7"]);
    assert_eq!(shop.column("card")[9], "90007");
}

#[test]
fn the_first_failure_is_the_code_and_the_message_names_the_others() {
    let shop = Shop::new();
    shop.check_nector(&[
        ("ana;x;y", "row_malformed"),
        ("ana\0;12;x;y", "row_malformed"),
        ("ana;12;x;y", "identifier_invalid"),
        (";;x;y", "identifier_missing"),
        ("nobody@example.com;;;y", "amount_missing"),
        ("nobody@example.com;;52,620;y", "amount_invalid"),
        ("nobody@example.com;;0.99999999999999999999999;y", "amount_precision"),
        ("nobody@example.com;;9223372036854775808;y", "amount_range"),
        ("nobody@example.com;;5;y", "operation_invalid"),
        ("nobody@example.com;;5;DR", "identifier_unknown"),
        ("ana@example.com;+916000000002;500;DR", "identifier_conflict"),
        ("ana@example.com;;500;DR", "insufficient_balance"),
        ("max@example.com;;1;", "balance_overflow"),
    ]);
    let messages: Vec<String> = shop.processed().into_iter().map(|mut cells| cells.swap_remove(3)).collect();
    let cases = [
        (2, vec!["email `ana`", "mobile `12`", "amount `x`", "operation `y`"]),
        (3, vec!["no identifier", "amount `x`", "operation `y`"]),
        (4, vec!["amount is empty", "operation `y`"]),
        (7, vec!["9223372036854775808", "operation `y`"]),
        (11, vec!["100", "500"]),
    ];
    for (row, parts) in cases {
        let places: Vec<_> = parts.iter().map(|part| messages[row].find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}: {parts:?}", messages[row]);
    }
    // Each names the field and the value, which the reject file has in a column of its own.
    let columns: Vec<String> = rows(&shop.rejects()).into_iter().map(|cells| cells[5].clone()).collect();
    let expected = [
        "",
        "",
        "email",
        "email",
        "amount",
        "amount",
        "amount",
        "amount",
        "operation",
        "email",
        "email",
        "amount",
        "amount",
    ];
    assert_eq!(columns, expected);

    let header = "user_id,email,mobile,card,name,birthday,gender,tier,ltv,orders,created_at,balance";
    shop.engine
        .set(SettingsChange { tiers: Some(vec!["gold".to_owned()]), ..SettingsChange::default() })
        .expect("tiers");
    shop.check_customers(
        header,
        &[
            ("u9;x", "row_malformed"),
            ("u9;x;;;;2021-02-29;x;x;x;x;x;x", "identifier_invalid"),
            (";;;;;2021-02-29;x;x;x;x;x;x", "identifier_missing"),
            ("u9;;;;;2021-02-29;?;x;x;x;x;x", "amount_invalid"),
            ("u9;;;;;2021-02-29;x;x;x;x;x;1.5", "amount_precision"),
            ("u9;;;;;2021-02-29;x;x;x;x;x;9223372036854775808", "amount_range"),
            ("u9;;;;;2021-02-29;x;x;x;x;x;5", "field_invalid"),
            ("u9;;;;;;;x;x;x;x;5", "tier_unknown"),
            ("u1;ben@example.com;;;;;;;;;;5", "identifier_conflict"),
            ("u1;;;9002;;;;;;;;5", "identifier_taken"),
        ],
    );
    let message = &shop.processed()[3][3];
    for part in
        ["balance `x`", "birthday `2021-02-29`", "gender `?`", "tier `x`", "ltv `x`", "orders `x`", "created_at `x`"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn every_code_that_these_formats_can_give_occurs() {
    let shop = Shop::new();
    shop.engine
        .set(SettingsChange { tiers: Some(vec!["gold".to_owned()]), ..SettingsChange::default() })
        .expect("tiers");
    let mut codes = BTreeSet::new();
    let mut take = |summary: Summary| codes.extend(summary.rejects.keys().copied());
    let text = |cells: &[&str]| cells.join("\n");
    take(shop.customers(&text(&[
        "user_id,email,card,birthday,tier,balance",
        "u1,ben@example.com,,,,",
        "u1,,9002,,,",
        "u9,,,2021-02-29,,",
        "u9,,,,silver,",
        "u9",
    ])));
    let points = text(&[
        "email,mobile,amount,operation",
        ",,1,",
        "x,,1,",
        "no@example.com,,1,",
        "ana@example.com,+916000000002,1,",
        "ana@example.com,,,",
        "ana@example.com,,x,",
        "ana@example.com,,0.5,",
        "ana@example.com,,9223372036854775808,",
        "ana@example.com,,1,x",
        "ana@example.com,,101,DR",
        "max@example.com,,1,CR",
        "ana@example.com,,1,",
    ]);
    let mut points = points.into_bytes();
    points.extend(b"\n\xff@example.com,,1,\n");
    take(shop.points(&points, |request| request.file.encoding = Some("utf-8".to_owned())));
    take(shop.points(b"email,points\nana@example.com,1\nana@example.com,2\n", reset));
    let expected = [
        "row_malformed",
        "encoding_invalid",
        "identifier_missing",
        "identifier_invalid",
        "identifier_unknown",
        "identifier_conflict",
        "identifier_taken",
        "amount_missing",
        "amount_invalid",
        "amount_precision",
        "amount_range",
        "operation_invalid",
        "field_invalid",
        "tier_unknown",
        "repeated_customer",
        "insufficient_balance",
        "balance_overflow",
    ];
    assert_eq!(codes, BTreeSet::from(expected));
}

#[test]
fn each_field_of_a_customer_obeys_its_overwrite_rule() {
    let shop = Shop::new();
    let header =
        "user_id,external_id,email,mobile,card,name,birthday,gender,consent,tier,ltv,orders,created_at,balance";
    let cases = [
        ("u1;;;;;Ana;1990-01-31;Female;web;gold;10.5;3;2020-01-01;", "updated 0 100"),
        // Filled only while empty: name, birthday, gender, consent. Set once: identifiers. Created only: the balance.
        ("u1;x9;;+916000000009;;Anna;1990-01-30;other;shop;;;;;7", "unchanged 0 100"),
        // Overwritten: tier, LTV, orders, creation. Added: cards.
        ("u1;;;;9101|9102,9-1 01;;;;;silver;11;4;2019-01-01;", "updated 0 100"),
        ("u1;;;;9101;Ana;1990-01-31;female;web;silver;11.0000;4;2019-01-01;", "unchanged 0 100"),
        // An empty cell clears nothing.
        ("u1;;;;;;;;;;;;;", "unchanged 0 100"),
        // Any identifier names the customer, and what is new fills an empty place.
        (";;;;9102;;;;;;;;;", "unchanged 0 100"),
        ("u3;;;+916000000003;;;;;;;;;;", "updated 0 9223372036854775807"),
        (";;;+916000000003;;Max;;;;;;;;", "updated 0 9223372036854775807"),
        ("u8;;;;;;;;;;;;;12", "created 12 12"),
        ("u8;;;;;;;;;;;;;13", "unchanged 0 12"),
    ];
    let summary = shop.customers(&file(header, &cases));
    shop.check(&cases);
    // Six cells of the second row and the balance, four of the fourth, the balance of the last.
    assert_eq!(summary.kept, 7 + 4 + 1);
    assert_eq!((summary.customers.matched, summary.customers.created, summary.customers.repeated), (2, 1, 3));
    let text = export(&shop.engine, Export::Customers);
    let exported = rows(&text);
    let ana = "u1|x1|ana@example.com|+916000000001|9001|9101|9102|Ana|1990-01-31|female|web|silver|11|4|2019-01-01T00:00:00Z|";
    assert_eq!(exported[0].join("|"), ana);
    assert_eq!(exported[2][..6], ["u3", "x3", "max@example.com", "+916000000003", "", "Max"]);
    assert_eq!(exported[3][12], super::support::NOW);
}

#[test]
fn an_identifier_has_one_owner_in_file_order() {
    Shop::new().check_customers(
        "user_id,external_id,email,mobile,card",
        &[
            ("u1;;ben@example.com;;", "identifier_conflict"),
            ("u1;x2;;;", "identifier_conflict"),
            // A card of another customer is taken; cards alone that name two contradict each other.
            ("u1;;;;9002", "identifier_taken"),
            (";;;;9001|9002", "identifier_conflict"),
            ("u9;;;;9009|9002", "updated 0 0"),
            // Nothing of a rejected row was applied.
            ("u7;;;;", "created 0 0"),
            // A new customer, known from the next row on.
            ("u8;;eve@example.com;;9008", "created 0 0"),
            (";;eve@example.com;;9108", "updated 0 0"),
            ("u1;;;;9108", "identifier_taken"),
            ("u2;;eve@example.com;;", "identifier_conflict"),
        ],
    );
}

#[test]
fn separators_without_a_card_between_them_name_nobody() {
    let shop = Shop::new();
    shop.check_customers(
        "user_id,card,name",
        &[
            (";|;x", "identifier_missing"),
            (";,;x", "identifier_missing"),
            (";| ,\u{a0}|;x", "identifier_missing"),
            (";|,9301|;x", "created 0 0"),
            ("u1;|;", "unchanged 0 100"),
        ],
    );
    assert_eq!(shop.refusals()[0].1, "no identifier is filled: one of user_id, card is needed");
    assert_eq!(shop.column("card")[3..], ["9301"]);
    // In a points file a cell is one card.
    let format = shop.format("[[columns]]\nfield = \"card\"\nheaders = [\"card\"]\n");
    shop.check_points(
        "card,amount",
        |request| {
            add(request);
            request.file.format = Some(format);
        },
        &[
            ("|;1", "identifier_invalid"),
            (",;1", "identifier_invalid"),
            ("-;1", "identifier_invalid"),
            ("9301;1", "applied 1 1"),
        ],
    );
}

#[test]
fn a_refused_identifier_is_named_with_its_column_and_value() {
    let shop = Shop::new();
    let refusal = |column: &str, message: &str| (column.to_owned(), message.to_owned());
    shop.check_nector(&[
        (";+37069999999;5;", "identifier_unknown"),
        ("no@example.com; +37069999999 ;5;", "identifier_unknown"),
        ("ana@example.com;+916000000002;5;", "identifier_conflict"),
    ]);
    assert_eq!(
        shop.refusals(),
        [
            refusal("mobile", "no customer has the mobile `+37069999999`"),
            refusal("email", "no customer has the email `no@example.com` or the mobile `+37069999999`"),
            refusal(
                "email",
                "the email `ana@example.com` and the mobile `+916000000002` belong to different customers"
            ),
        ]
    );
    shop.check_customers(
        "user_id,external_id,email,mobile,card",
        &[
            (";x1;ben@example.com;;", "identifier_conflict"),
            (";;;;9001|9002", "identifier_conflict"),
            ("u1;;;;9002", "identifier_taken"),
            ("u1;;;;9100|9002", "identifier_taken"),
        ],
    );
    let taken =
        "card `9002` is already another customer's: take it out of this row, or correct what says who the customer is";
    assert_eq!(
        shop.refusals(),
        [
            refusal(
                "external_id",
                "the external_id `x1` and the email `ben@example.com` belong to different customers"
            ),
            refusal("card", "the card `9001|9002` belongs to different customers"),
            refusal("card", taken),
            refusal("card", taken),
        ]
    );
}

#[test]
fn values_of_customer_fields_are_read_or_refused() {
    let one = |column: &str, cases: &[(&str, &str)]| {
        let shop = Shop::new();
        let cases: Vec<(String, &str)> =
            cases.iter().zip(100..).map(|((cell, answer), number)| (format!("u{number};{cell}"), *answer)).collect();
        let cases: Vec<(&str, &str)> = cases.iter().map(|(row, answer)| (row.as_str(), *answer)).collect();
        shop.check_customers(&format!("user_id,{column}"), &cases);
        shop.column(column).split_off(3)
    };
    let (good, bad) = ("created 0 0", "field_invalid");
    let birthdays = one(
        "birthday",
        &[
            ("1990-04-30", good),
            ("2026-11-22", good),
            ("2026-11-23", bad),
            ("2021-09-31", bad),
            ("31.01.1990", bad),
            ("1990-1-1", bad),
            ("", good),
        ],
    );
    assert_eq!(birthdays, ["1990-04-30", "2026-11-22", ""]);
    let genders = one(
        "gender",
        &[
            ("MALE", good),
            ("Female", good),
            ("other", good),
            ("moteris", good),
            ("Мужской", good),
            ("чоловіча", good),
            ("weiblich", good),
            ("hombre", good),
            ("femme", good),
            ("kobieta", good),
            ("Herr", good),
            ("f", good),
            // Male in one language, female in another.
            ("m", bad),
            ("unknown", bad),
        ],
    );
    let expected =
        ["male", "female", "other", "female", "male", "male", "female", "male", "female", "female", "male", "female"];
    assert_eq!(genders, expected);
    let ltvs = one(
        "ltv",
        &[
            ("0", good),
            ("99999.9999", good),
            ("10.0500", good),
            ("1.00001", bad),
            ("-1", bad),
            ("1,5", bad),
            ("x", bad),
        ],
    );
    assert_eq!(ltvs, ["0", "99999.9999", "10.05"]);
    let orders = one("orders", &[("0", good), ("12", good), ("12.0", good), ("1.5", bad), ("-1", bad), ("x", bad)]);
    assert_eq!(orders, ["0", "12", "12"]);
    let created = one(
        "created_at",
        &[
            ("2024-02-29", good),
            ("2024-01-15T09:30:00Z", good),
            ("2024-01-15T09:30:00+02:00", good),
            ("2023-02-29", bad),
            ("2024-01-15T09:30:00", bad),
            ("yesterday", bad),
        ],
    );
    assert_eq!(created, ["2024-02-29T00:00:00Z", "2024-01-15T09:30:00Z", "2024-01-15T07:30:00Z"]);
    let emails =
        one("email", &[("a@x.example", good), ("a", "identifier_invalid"), ("a@b@x.example", "identifier_invalid")]);
    assert_eq!(emails, ["a@x.example"]);
}

#[test]
fn a_balance_opens_an_account_and_is_a_credit() {
    let shop = Shop::with_decimals(2);
    shop.check_customers(
        "user_id,balance",
        &[
            ("u10;12.5", "created 12.50 12.50"),
            ("u11;0", "created 0.00 0.00"),
            ("u12;", "created 0.00 0.00"),
            ("u13;-1", "amount_invalid"),
            ("u13;1,000", "amount_invalid"),
            ("u13;1.505", "amount_precision"),
            ("u13;92233720368547758.08", "amount_range"),
        ],
    );
    let last = rows(&export(&shop.engine, Export::Ledger)).pop().expect("an entry");
    assert_eq!((last[0].as_str(), last[7].as_str(), last[8].as_str()), ("u10", "credit", "12.50"));
}

#[test]
fn tiers_are_any_until_they_are_declared() {
    let shop = Shop::new();
    let cases = [
        ("u1;Gold", "updated 0 100"),
        ("u1;gold", "unchanged 0 100"),
        // Shown as first seen, whoever has it, new or known.
        ("u2; GOLD", "updated 0 0"),
        ("u4;gold", "created 0 0"),
    ];
    shop.check_customers("user_id,tier", &cases);
    let shown = || {
        let customer = shop.engine.customer(IdentifierKind::UserId, "u4").expect("a customer");
        (shop.column("tier"), customer.tier.expect("a tier"))
    };
    assert_eq!(shown(), (["Gold", "Gold", "", "Gold"].map(str::to_owned).to_vec(), "Gold".to_owned()));
    let tiers = Some(vec!["silver".to_owned(), "gold".to_owned()]);
    shop.engine.set(SettingsChange { tiers, ..SettingsChange::default() }).expect("tiers");
    shop.check_customers(
        "user_id,tier",
        &[("u2;bronze", "tier_unknown"), ("u2;SILVER", "updated 0 0"), ("u1; gold ", "unchanged 0 100")],
    );
    // Once it is declared, it is shown so, also where a customer had it before.
    assert_eq!(shown(), (["gold", "silver", "", "gold"].map(str::to_owned).to_vec(), "gold".to_owned()));
    shop.check_customers("user_id,tier", &[("u2;Gold", "updated 0 0"), ("u1;SILVER", "updated 0 100")]);
    assert_eq!(shop.column("tier"), ["silver", "gold", "", "gold"]);
    assert!(shop.engine.verify().expect("a store").ok);
}

#[test]
fn a_file_is_read_in_every_spelling() {
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once('\u{feff}').chain(text.chars()).collect::<String>().encode_utf16().flat_map(bytes).collect()
    };
    let plain = "email,mobile,amount,operation\ninés@example.com,,5,DR\n,+916000000001,7,\n";
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("plain", plain.into()),
        ("no last newline", plain.trim_end().into()),
        ("CRLF", plain.replace('\n', "\r\n").into()),
        ("CR", plain.replace('\n', "\r").into()),
        ("semicolons", plain.replace(',', ";").into()),
        ("tabs", plain.replace(',', "\t").into()),
        ("pipes", plain.replace(',', "|").into()),
        ("a hint for Excel", format!("sep=;\n{}", plain.replace(',', ";")).into()),
        ("a mark", format!("\u{feff}{plain}").into()),
        ("UTF-16, low byte first", utf16(plain, u16::to_le_bytes)),
        ("UTF-16, high byte first", utf16(plain, u16::to_be_bytes)),
        ("Windows-1252", plain.chars().map(|c| if c == 'é' { 0xe9 } else { c as u8 }).collect()),
        ("quotes", plain.replace("inés@example.com", "\"inés@example.com\"").into()),
        (
            "apostrophes",
            plain.lines().map(|line| format!("'{}'\n", line.replace(',', "','"))).collect::<String>().into(),
        ),
        ("headers as people write them", plain.replace("email,mobile", "E-Mail ,MOBILE").into()),
        ("other names", plain.replace("email,mobile,amount", "Customer Email,phone_number,Coins").into()),
        ("other order", "operation,amount,email,mobile\nDR,5,inés@example.com,\n,7,,+916000000001\n".into()),
        (
            "more columns",
            "note,email,mobile,amount,operation\n\"a\nb\",inés@example.com,,5,DR\nx,,+916000000001,7,\n".into(),
        ),
        ("empty lines", plain.replace('\n', "\n\n").into()),
    ];
    for (name, bytes) in files {
        let shop = Shop::new();
        shop.customers("email,balance\ninés@example.com,20\n");
        let summary = shop.points(&bytes, |_| {});
        let answers: Vec<String> = shop.processed().iter().map(|cells| answer(cells)).collect();
        assert_eq!(answers, ["applied -5 15", "applied 7 107"], "{name}");
        assert_eq!(summary.format.as_deref(), Some("nector"), "{name}");
    }
}

#[test]
fn what_is_not_recognised_can_be_said() {
    let shop = Shop::new();
    type Say = fn(&mut PointsRequest);
    let fixed: [(&str, &str, Say); 5] = [
        ("a mapped column", "Who,amount\nana@example.com,1\n", |request| {
            request.file.format = Some("nector".to_owned());
            request.file.map = vec!["Who=email".to_owned()];
            request.mode = Some(Mode::Add);
        }),
        ("a column that is another's by name", "email,Old,amount\nana@example.com,1,900\n", |request| {
            request.file.format = Some("smile".to_owned());
            request.file.map = vec!["Old=amount".to_owned()];
            request.mode = Some(Mode::Add);
        }),
        ("no header", "ana@example.com,1\n", |request| {
            request.file.format = Some("smile".to_owned());
            request.file.no_header = true;
            request.file.map = vec!["1=email".to_owned(), "2=amount".to_owned()];
            request.mode = Some(Mode::Add);
        }),
        ("delimiter and quote", "email^points\n~ana@example.com~^1\n", |request| {
            request.file.delimiter = Some(b'^');
            request.file.quote = Some(b'~');
            request.mode = Some(Mode::Add);
        }),
        ("a mode where the operation column is missing", "email,amount\nana@example.com,1\n", |request| {
            request.mode = Some(Mode::Add);
        }),
    ];
    for ((name, content, how), balance) in fixed.into_iter().zip(101..) {
        shop.points(content.as_bytes(), how);
        assert_eq!(answer(&shop.processed()[0]), format!("applied 1 {balance}"), "{name}");
    }
}

#[test]
fn after_a_broken_row_reading_goes_on() {
    let shop = Shop::new();
    let content = "email,mobile,amount,operation,note\n\
        ana@example.com,,1,CR,\"two\nlines\"\n\
        an\"a@example.com,,1,CR,\n\
        \"ana@example.com\"x,,1,CR,\n\
        ana@example.com,,1,CR\n\
        ana@example.com,,1,CR,a,b\n\
        ana@exam\0ple.com,,1,CR,\n\
        ana@example.com,,1,CR,\n\
        \"ana@example.com,,1,CR,\n\
        ana@example.com,,1,CR,\n";
    shop.points(content.as_bytes(), |_| {});
    let found: Vec<(String, String)> = shop.processed().iter().map(|cells| (cells[0].clone(), answer(cells))).collect();
    let expected = [
        ("2", "applied 1 101"),
        ("4", "row_malformed"),
        ("5", "row_malformed"),
        ("6", "row_malformed"),
        ("7", "row_malformed"),
        ("8", "row_malformed"),
        ("9", "applied 1 102"),
        ("10", "row_malformed"),
        ("11", "applied 1 103"),
    ];
    assert_eq!(found, expected.map(|(line, answer)| (line.to_owned(), answer.to_owned())));
}

#[test]
fn a_corrected_reject_file_can_be_imported() {
    let shop = Shop::new();
    let content = "note;email;mobile;amount;operation\n\
        =1+1;ana@example.com;;5,5;CR\n\
        'x';ben@example.com;;500;DR\n\
        ok;ana@example.com;;1;\n\
        \"a;\"\"b\"\"\";nobody@example.com;;7;CR\n";
    shop.points(content.as_bytes(), |_| {});
    let rejects = shop.rejects();
    let lines: Vec<&str> = rejects.lines().collect();
    assert_eq!(lines[0], "note,email,mobile,amount,operation,line,column,code,message,raw");
    assert!(lines[1].starts_with("'=1+1,ana@example.com,,\"5,5\",CR,2,amount,amount_invalid,"), "{}", lines[1]);
    assert!(lines[2].starts_with("'x',ben@example.com,,500,DR,3,amount,insufficient_balance,"), "{}", lines[2]);
    assert!(
        lines[3].starts_with("\"a;\"\"b\"\"\",nobody@example.com,,7,CR,5,email,identifier_unknown,"),
        "{}",
        lines[3]
    );
    let corrected = rejects.replace("\"5,5\"", "5").replace(",500,DR", ",500,CR").replace("nobody@", "ana@");
    let summary = shop.points(corrected.as_bytes(), |_| {});
    assert_eq!((summary.rows.read, summary.rows.applied), (3, 3));
    shop.check(&[("1", "applied 5 106"), ("2", "applied 500 500"), ("3", "applied 7 113")]);
    // Rejected again, the cells stand as they came in the first file, and once. Ben has 500 now.
    shop.points(rejects.as_bytes(), |_| {});
    shop.check(&[("1", "amount_invalid"), ("2", "applied -500 0"), ("3", "identifier_unknown")]);
    let again = shop.rejects();
    assert_eq!(again.lines().next(), Some(lines[0]));
    assert!(
        again.lines().nth(1).is_some_and(|line| line.starts_with("'=1+1,ana@example.com,,\"5,5\",CR,2,amount,")),
        "{again}"
    );
}

#[test]
fn a_row_that_cannot_be_split_goes_whole_into_the_last_column() {
    let shop = Shop::new();
    shop.points(b"email,mobile,amount,operation\nana@example.com,,1\n\"open,,2,CR\n", |_| {});
    let rejected = rows(&shop.rejects());
    assert_eq!(rejected[0][..4], ["", "", "", ""]);
    assert_eq!((rejected[0][4].as_str(), rejected[0][8].as_str()), ("2", "ana@example.com,,1"));
    assert_eq!((rejected[1][4].as_str(), rejected[1][8].as_str()), ("3", "\"open,,2,CR"));
}

#[test]
fn cells_never_start_a_formula_and_round_trip() {
    let shop = Shop::new();
    let header = "user_id,email,mobile,name,consent";
    let cases = [
        ("=1+1;;;@cmd;+x", "created 0 0"),
        ("'=1+1;;;'@cmd;'plain", "unchanged 0 0"),
        ("''=1+1;;;-5;-5+5", "created 0 0"),
        ("u9;;+916000000009;+916000000009;'", "created 0 0"),
    ];
    shop.check_customers(header, &cases);
    // The identifier is shown as it was given, and guarded.
    let processed = std::fs::read_to_string(shop.path("processed.csv")).expect("a report");
    assert_eq!(processed.lines().nth(1), Some("2,created,,,'=1+1,0,0"));
    let exported = export(&shop.engine, Export::Customers);
    for line in exported.lines().skip(1) {
        for cell in line.split(',') {
            let number = cell.trim_start_matches(['+', '-']).chars().all(|c| c.is_ascii_digit());
            assert!(!cell.starts_with(['=', '+', '-', '@']) || number, "{line}");
        }
    }
    // An export is a file that can be imported, and comes out the same.
    let other = tempfile::tempdir().expect("a temporary directory");
    let copy = Engine::create(&other.path().join("store"), Options::default()).expect("a store");
    let path = other.path().join("customers.csv");
    std::fs::write(&path, &exported).expect("a file is written");
    let request =
        CustomersRequest { file: FileRequest { path, ..FileRequest::default() }, ..CustomersRequest::default() };
    let summary =
        copy.import_customers(&JobRequest::default(), &request, &Progress::default()).expect("it is imported");
    assert_eq!(summary.rows.created, 6);
    assert_eq!(export(&copy, Export::Customers), exported);
    let digest = |engine: &Engine| engine.verify().expect("a store").digest.customers;
    assert_eq!(digest(&copy), digest(&shop.engine));
}

#[test]
fn an_adjustment_follows_the_rules_of_one_row() {
    let shop = Shop::with_decimals(2);
    let adjust = |email: &str, operation, amount: &str, on_overdraft| {
        let request = AdjustRequest {
            identifiers: vec![(IdentifierKind::Email, email.to_owned())],
            operation,
            amount: amount.to_owned(),
            on_overdraft,
            expiry: None,
        };
        let job = JobRequest { program: Some("coins".to_owned()), now: Some(now()), ..JobRequest::default() };
        match shop.engine.adjust(&job, &request) {
            Ok(view) => match view.code {
                Some(code) => code.code().to_owned(),
                None => format!("{} {} {}", view.status.word(), view.amount, view.balance.unwrap_or_default()),
            },
            Err(error) => format!("{:?}", error.kind()),
        }
    };
    use {OnOverdraft::*, Operation::*};
    let cases = [
        ("ANA@example.com", Credit, "5.5", Reject, "applied 5.50 105.50"),
        ("ana@example.com", Debit, "5.5", Reject, "applied -5.50 100.00"),
        ("ana@example.com", Credit, "-1", Reject, "applied -1.00 99.00"),
        ("ana@example.com", Debit, "200", Reject, "insufficient_balance"),
        ("ana@example.com", Debit, "200", Clamp, "applied -99.00 0.00"),
        ("ana@example.com", Debit, "1", Clamp, "unchanged 0.00 0.00"),
        ("ana@example.com", Debit, "1", Allow, "applied -1.00 -1.00"),
        ("ana@example.com", Set, "7", Reject, "applied 8.00 7.00"),
        ("ana@example.com", Set, "7", Reject, "unchanged 0.00 7.00"),
        ("max@example.com", Credit, "1", Reject, "balance_overflow"),
        ("nobody@example.com", Credit, "1", Reject, "identifier_unknown"),
        ("ana@example.com", Debit, "-1", Reject, "amount_invalid"),
        ("ana@example.com", Set, "-1", Reject, "amount_invalid"),
        ("ana@example.com", Credit, "1.505", Reject, "amount_precision"),
        ("ana@example.com", Credit, "52,620", Reject, "amount_invalid"),
        ("ana@example.com", Credit, "", Reject, "amount_missing"),
        ("ana@example.com", Credit, "92233720368547758.08", Reject, "amount_range"),
        ("ana@example.com", Credit, "-92233720368547758.08", Reject, "amount_range"),
        // Identifiers are checked first.
        ("ana", Credit, "1", Reject, "identifier_invalid"),
        ("ana", Credit, "x", Reject, "identifier_invalid"),
    ];
    for (email, operation, amount, policy, expected) in cases {
        assert_eq!(adjust(email, operation, amount, policy), expected, "{email} {operation:?} {amount} {policy:?}");
    }
    assert!(shop.engine.verify().expect("a store").ok);
}

#[test]
fn programs_do_not_share_points() {
    let shop = Shop::with_decimals(2);
    let (mut job, file) = shop.job(b"email,points\nana@example.com,5\nben@example.com,5.5\n");
    job.program = None;
    let request = PointsRequest { file, mode: Some(Mode::Add), ..PointsRequest::default() };
    shop.engine.import_points(&job, &request, &Progress::default()).expect("the file is imported");
    // The store's first program has no decimals.
    shop.check(&[("ana", "applied 5 5"), ("ben", "amount_precision")]);
    let balances = rows(&export(&shop.engine, Export::Balances { nonzero: true }));
    let of: Vec<String> = balances.iter().map(|cells| format!("{} {} {}", cells[0], cells[4], cells[5])).collect();
    assert_eq!(of, ["u1 points 5", "u1 coins 100.00", "u3 coins 92233720368547758.07"]);
}

#[test]
fn a_full_register_of_tiers_refuses_rows_and_not_the_job() {
    let shop = Shop::new();
    let mut file = "email,tier\n".to_owned();
    (0..1100).for_each(|row| file.push_str(&format!("c{row}@example.com,t{row}\n")));
    file.push_str("late@example.com,T7\nnone@example.com,\n");
    let summary = shop.customers(&file);
    assert_eq!((summary.rows.created, summary.rows.rejected), (1024 + 2, 1100 - 1024));
    let message = &shop.processed()[1024][3];
    assert!(message.contains("1,024"), "{message}");
    // A refused row has claimed no identifier.
    let summary = shop.customers("email\nc1099@example.com\n");
    assert_eq!(summary.rows.created, 1);
}

#[test]
fn digests_tell_every_exported_value() {
    let digest = |reason: &str, comment: &str| {
        let shop = Shop::new();
        shop.customers("email\nana@example.com\n");
        let (mut job, file) = shop.job(b"email,mobile,amount,operation\nana@example.com,,5,CR\n");
        (job.reason, job.comment) = (Some(reason.to_owned()), Some(comment.to_owned()));
        let request = PointsRequest { file, ..PointsRequest::default() };
        shop.engine.import_points(&job, &request, &Progress::default()).expect("the file is imported");
        shop.engine.verify().expect("it can be read").digest.ledger
    };
    assert_eq!(digest("a", "b"), digest("a", "b"));
    assert_ne!(digest("a", "b"), digest("a", "c"));
    assert_ne!(digest("a", "b"), digest("c", "b"));
}
