//! The model's own tables: what one reads to see that it says what the README says.

use std::collections::BTreeMap;

use super::{
    Answer, Content, File, Job, Kind, Model, Report, Row,
    calendar::{day, day_text, moment},
    cells,
    customers::{CustomersFormat, CustomersOptions},
    points::{Format, Mode, OnOverdraft, OnRepeat, OnUnknown, PointsOptions},
};

const CUSTOMER_COLUMNS: [&str; 14] = [
    "user_id",
    "external_id",
    "email",
    "mobile",
    "card",
    "name",
    "birthday",
    "gender",
    "consent",
    "tier",
    "ltv",
    "orders",
    "created_at",
    "balance",
];

const TIDEMILL: CustomersOptions = CustomersOptions::of(CustomersFormat::Tidemill);
const INCUST: CustomersOptions = CustomersOptions::of(CustomersFormat::Incust);

const NECTOR: PointsOptions = PointsOptions {
    format: Format::Nector,
    on_unknown: OnUnknown::Reject,
    on_overdraft: OnOverdraft::Reject,
    on_repeat: OnRepeat::First,
};
const RESET: PointsOptions = PointsOptions { format: Format::Smile(Mode::Reset), ..NECTOR };
const FULL: PointsOptions = PointsOptions { format: Format::Tidemill(None), ..NECTOR };

/// Noon of a day, as the job after those that left entries.
fn job(model: &Model, today: &str) -> Job {
    let number = model.ledger.last().map_or(1, |entry| entry.job + 1);
    let now = moment(&format!("{today}T12:00:00Z"), 0).expect("a moment");
    Job { number, now, program: 0, reason: String::new(), comment: String::new() }
}

/// Rows from lines of cells, separated by `;` so that a cell may hold a comma.
fn file(header: &[&str], lines: &[&str]) -> File {
    let rows = lines.iter().zip(2..).map(|(text, line)| {
        let content = match *text {
            "BROKEN" => Content::Broken,
            "NOT TEXT" => Content::NotText,
            text => Content::Cells(text.split(';').map(str::to_owned).collect()),
        };
        Row { line, content }
    });
    File { header: header.iter().map(|column| (*column).to_owned()).collect(), rows: rows.collect() }
}

/// Ana with 100 points, Ben with none, Max with as many as fit.
fn three(decimals: u32) -> Model {
    let mut model = Model::new(&[("points", decimals), ("miles", 0)], 0);
    let opening = if decimals == 0 { "100" } else { "1" };
    let ana = format!("u1;;ana@example.com;+916000000001;9001;;;;;;;;;{opening}");
    let lines =
        [&*ana, "u2;;ben@example.com;+916000000002;9002;;;;;;;;;", "u3;;max@example.com;;;;;;;;;;;9223372036854775807"];
    let job = job(&model, "2026-11-22");
    let report = model.import_customers(&file(&CUSTOMER_COLUMNS, &lines), &TIDEMILL, &job);
    let expected = if decimals == 0 { vec![("created", 3)] } else { vec![("created", 2), ("rejected", 1)] };
    assert_eq!(report.statuses(), BTreeMap::from_iter(expected));
    model
}

/// Each line is a row, `→`, and its expected `status-or-code amount balance`.
fn check(answers: &[Answer], cases: &[(&str, &str)]) {
    for (answer, (row, expected)) in answers.iter().zip(cases) {
        let word = answer.code.unwrap_or(answer.status);
        let text = match answer.status {
            "rejected" => word.to_owned(),
            _ => format!("{word} {} {}", answer.amount, answer.balance.expect("a customer was named")),
        };
        assert_eq!(text, *expected, "row {row}");
    }
    assert_eq!(answers.len(), cases.len());
}

fn check_on(
    model: &mut Model,
    today: &str,
    header: &[&str],
    options: &PointsOptions,
    cases: &[(&str, &str)],
) -> Report {
    let rows: Vec<&str> = cases.iter().map(|case| case.0).collect();
    let job = job(model, today);
    let report = model.import_points(&file(header, &rows), options, &job);
    check(&report.answers, cases);
    report
}

fn check_points(model: &mut Model, options: &PointsOptions, cases: &[(&str, &str)]) -> Report {
    let header: &[&str] = match options.format {
        Format::Smile(_) => &["email", "points"],
        _ => &["email", "mobile", "amount", "operation"],
    };
    check_on(model, "2026-11-22", header, options, cases)
}

fn check_customers(model: &mut Model, cases: &[(&str, &str)]) -> Report {
    check_customers_on(model, &CUSTOMER_COLUMNS, &TIDEMILL, cases)
}

fn check_customers_on(
    model: &mut Model,
    header: &[&str],
    options: &CustomersOptions,
    cases: &[(&str, &str)],
) -> Report {
    let rows: Vec<&str> = cases.iter().map(|case| case.0).collect();
    let job = job(model, "2026-11-22");
    let report = model.import_customers(&file(header, &rows), options, &job);
    check(&report.answers, cases);
    report
}

/// A customer's lots in the order of taking, as `amount`, `amount until MM-DD`, `amount promised`.
fn lots(model: &Model, customer: usize, program: usize) -> String {
    let lots = model.customers[customer].accounts[program].in_order();
    let text = |lot: &super::Lot| {
        let day = lot.expires_on.map(|day| format!(" until {}", &day_text(day)[5..])).unwrap_or_default();
        format!("{}{day}{}", lot.remaining, if lot.is_promised { " promised" } else { "" })
    };
    lots.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The newest entries, oldest first, as `kind amount balance`.
fn newest(model: &Model, count: usize) -> Vec<String> {
    let entries = model.ledger[model.ledger.len() - count..].iter();
    entries.map(|entry| format!("{} {} {}", entry.kind, entry.amount, entry.balance_after)).collect()
}

#[test]
fn the_first_failure_in_the_order_of_checks_is_the_code() {
    check_points(
        &mut three(0),
        &NECTOR,
        &[
            ("BROKEN", "row_malformed"),
            ("ana;x;y", "row_malformed"),
            ("NOT TEXT", "encoding_invalid"),
            ("ana;;x;y", "identifier_invalid"),
            (";;x;y", "identifier_missing"),
            ("ana@example.com;91;x;y", "identifier_invalid"),
            ("nobody@example.com;;;y", "amount_missing"),
            ("nobody@example.com;;52,620;y", "amount_invalid"),
            ("nobody@example.com;;-5;y", "amount_invalid"),
            ("nobody@example.com;;99999999999999999999.5;y", "amount_precision"),
            ("nobody@example.com;;9223372036854775808;y", "amount_range"),
            ("nobody@example.com;;5;y", "operation_invalid"),
            ("nobody@example.com;;5;SET", "operation_invalid"),
            ("nobody@example.com;;5;DR", "identifier_unknown"),
            ("ana@example.com;+916000000002;500;DR", "identifier_conflict"),
            ("ana@example.com;;500;DR", "insufficient_balance"),
            ("max@example.com;;1;CR", "balance_overflow"),
        ],
    );
    let header =
        ["email", "amount", "operation", "expires_on", "expires_in_days", "credited_on", "promised", "program"];
    let cases = [
        ("ana@example.com;x;XX;x;;x;x;gems", "amount_invalid"),
        ("ana@example.com;5.00001;XX;x;;x;x;gems", "amount_precision"),
        ("ana@example.com;5;XX;x;;x;x;gems", "operation_invalid"),
        ("ana@example.com;5;CR;2026-11-21;;x;x;gems", "expiry_invalid"),
        ("ana@example.com;5;CR;2026-02-29;;x;x;gems", "expiry_invalid"),
        ("ana@example.com;5;CR;2026-11-22;1;x;x;gems", "expiry_invalid"),
        ("ana@example.com;5;CR;;0;x;x;gems", "expiry_invalid"),
        ("ana@example.com;5;CR;;1.5;x;x;gems", "expiry_invalid"),
        ("ana@example.com;5;CR;;3000000;x;x;gems", "expiry_invalid"),
        ("ana@example.com;5;DR;2026-11-21;1;2026-11-23;;gems", "field_invalid"),
        ("ana@example.com;5;CR;;;2026-11-22T12:00:01Z;;gems", "field_invalid"),
        ("ana@example.com;5;CR;;;;perhaps;gems", "field_invalid"),
        ("ana@example.com;5;DR;;;;yes;gems", "field_invalid"),
        ("ana@example.com;5;SET;;;;yes;gems", "field_invalid"),
        ("nobody@example.com;5.001;CR;;;;;gems", "program_unknown"),
        ("nobody@example.com;5;CR;2026-11-22;;2026-11-22T12:00:00Z;yes;points", "identifier_unknown"),
    ];
    let report = check_on(&mut three(0), "2026-11-22", &header, &FULL, &cases);
    assert_eq!((report.unread_rows, report.programs[0].unassigned_rows), (15, 0));
}

#[test]
fn spellings_of_one_customer_name_one_customer() {
    let report = check_points(
        &mut three(0),
        &NECTOR,
        &[
            (" ANA@Example.Com ;;1;", "applied 1 101"),
            (";+91 60000-00001;2.00;cr", "applied 2 103"),
            (";00916000000001;3;Credit", "applied 3 106"),
            ("nobody@example.com;916000000001;006;DEBIT", "applied -6 100"),
            ("ben@example.com;;0;DR", "unchanged 0 0"),
        ],
    );
    assert_eq!((report.matched, report.created, report.repeated), (2, 0, 1));
    assert_eq!((report.programs[0].credited, report.programs[0].debited), (6, 6));
    assert_eq!(cells::email("JOSE\u{301}@example.com"), Ok("josé@example.com".to_owned()));
    let header = ["user_id", "card", "amount"];
    let rows = [("u1;;1", "applied 1 101"), (" ;90-0 1;1", "applied 1 102"), ("u1;9002;1", "identifier_conflict")];
    check_on(&mut three(0), "2026-11-22", &header, &FULL, &rows);
}

#[test]
fn overdraft_policies_take_nothing_what_is_there_or_all() {
    let debit = [("ana@example.com;;150;DR", "insufficient_balance"), ("ana@example.com;;100;DR", "applied -100 0")];
    check_points(&mut three(0), &NECTOR, &debit);

    let clamp = PointsOptions { on_overdraft: OnOverdraft::Clamp, ..NECTOR };
    let debit = [("ana@example.com;;150;DR", "applied -100 0"), ("ana@example.com;;5;DR", "unchanged 0 0")];
    let report = check_points(&mut three(0), &clamp, &debit);
    let debits = report.programs[0].debits;
    assert_eq!((debits.in_file, debits.applied, debits.not_taken), (155, 100, 55));

    let allow = PointsOptions { on_overdraft: OnOverdraft::Allow, ..NECTOR };
    let mut model = three(0);
    let debit = [
        ("ana@example.com;;150;DR", "applied -150 -50"),
        ("ana@example.com;;9223372036854775807;DR", "balance_overflow"),
        ("ana@example.com;;30;CR", "applied 30 -20"),
    ];
    check_points(&mut model, &allow, &debit);
    check_points(&mut model, &clamp, &[("ana@example.com;;5;DR", "unchanged 0 -20")]);
    check_points(&mut model, &RESET, &[("ana@example.com;9223372036854775807", "balance_overflow")]);
}

#[test]
fn a_reset_counts_once_for_a_customer() {
    let mut model = three(0);
    let rows = [
        ("ana@example.com;-5", "amount_invalid"),
        ("ana@example.com;40", "applied -60 40"),
        ("ana@example.com;40", "unchanged 0 40"),
        ("ana@example.com;41", "repeated_customer"),
        ("ben@example.com;0", "unchanged 0 0"),
        ("ben@example.com;1", "repeated_customer"),
    ];
    let report = check_points(&mut model, &RESET, &rows);
    let sums = &report.programs[0];
    assert_eq!((sums.credited, sums.debited, sums.set_rows, sums.set, report.unread_rows), (0, 60, 5, 122, 1));
    assert_eq!(model.ledger.last().map(|entry| (entry.kind, entry.amount, entry.line)), Some(("reset", -60, 3)));

    let last = PointsOptions { on_repeat: OnRepeat::Last, ..RESET };
    let rows = [("ana@example.com;7", "applied -33 7"), ("ana@example.com;8", "applied 1 8")];
    check_points(&mut model, &last, &rows);

    // In each program.
    let rows = [
        ("ana@example.com;5;SET;", "applied -3 5"),
        ("ana@example.com;6;SET;miles", "applied 6 6"),
        ("ana@example.com;6;SET;", "repeated_customer"),
        ("ana@example.com;1;CR;", "applied 1 6"),
        ("ana@example.com;5;SET;points", "unchanged 0 6"),
    ];
    check_on(&mut model, "2026-11-22", &["email", "amount", "operation", "program"], &FULL, &rows);
}

#[test]
fn a_signed_amount_credits_or_debits() {
    let add = PointsOptions { format: Format::Smile(Mode::Add), ..NECTOR };
    let rows = [
        ("ana@example.com;1.5", "applied 150 250"),
        ("ana@example.com;-2.50", "applied -250 0"),
        ("ana@example.com;1.505", "amount_precision"),
        ("ana@example.com;92233720368547758.08", "amount_range"),
        ("ana@example.com;-0.01", "insufficient_balance"),
    ];
    check_points(&mut three(2), &add, &rows);
}

#[test]
fn an_unknown_customer_is_created_only_by_a_row_that_stands() {
    let create = PointsOptions { on_unknown: OnUnknown::Create, ..NECTOR };
    let mut model = three(0);
    let rows = [
        ("new@example.com;+916000000009;5;DR", "insufficient_balance"),
        ("new@example.com;+916000000009;5;XX", "operation_invalid"),
        ("new@example.com;+916000000009;5;", "applied 5 5"),
        (";+916000000009;5;DR", "applied -5 0"),
        ("zero@example.com;;0;", "applied 0 0"),
        ("zero@example.com;;0;", "unchanged 0 0"),
    ];
    let report = check_points(&mut model, &create, &rows);
    assert_eq!((report.matched, report.created, report.repeated), (0, 2, 2));
    let create = PointsOptions { on_unknown: OnUnknown::Create, ..RESET };
    let rows = [("set@example.com;9", "applied 9 9"), ("set@example.com;8", "repeated_customer")];
    check_points(&mut model, &create, &rows);
    assert_eq!(model.customers.len(), 6);
}

#[test]
fn points_have_a_last_day_and_end_after_it() {
    let mut model = three(0);
    let header = ["email", "mobile", "amount", "operation", "expiry"];
    let expiry = PointsOptions { format: Format::NectorExpiry, ..NECTOR };
    let rows = [
        ("ana@example.com;;10;CR;1", "applied 10 110"),
        ("ana@example.com;;20;;3", "applied 20 130"),
        ("ana@example.com;;5;DR;3", "applied -5 125"),
        ("ana@example.com;;5;;-3", "expiry_invalid"),
    ];
    let report = check_on(&mut model, "2026-11-22", &header, &expiry, &rows);
    assert_eq!(report.expiries_ignored, 1);
    assert_eq!(lots(&model, 0, 0), "5 until 11-23, 20 until 11-25, 100");
    // Valid to the end of the day. A refused row changes nothing; a good one has what is over expire first.
    assert_eq!(model.balance(0, 0, day("2026-11-23").expect("a day")), 125);
    let rows = [("ana@example.com;;121;DR", "insufficient_balance"), ("ana@example.com;;0;", "unchanged 0 120")];
    let report = check_on(&mut model, "2026-11-24", &header[..4], &NECTOR, &rows);
    let sums = &report.programs[0];
    assert_eq!((sums.expired, sums.before - sums.after, model.ledger.last().map(|entry| entry.line)), (5, 5, Some(0)));
    assert_eq!(newest(&model, 1), ["expire -5 120"]);
    check_on(&mut model, "2026-11-26", &header[..4], &NECTOR, &[("ana@example.com;;30;DR", "applied -30 70")]);
    assert_eq!(newest(&model, 2), ["expire -20 100", "debit -30 70"]);
    // Back in time nothing comes back.
    check_on(&mut model, "2026-11-22", &header[..4], &NECTOR, &[("ana@example.com;;71;DR", "insufficient_balance")]);
}

#[test]
fn promised_points_are_in_no_balance() {
    let mut model = three(0);
    let header = ["email", "amount", "operation", "promised", "expires_in_days"];
    let rows = [
        ("ana@example.com;50;CR;yes;2", "applied 50 100"),
        ("ana@example.com;9223372036854775807;CR;TRUE;", "balance_overflow"),
        ("ana@example.com;101;DR;no;", "insufficient_balance"),
        ("ana@example.com;0;CR;promised;", "unchanged 0 100"),
        ("ana@example.com;7;;available;", "applied 7 107"),
    ];
    let report = check_on(&mut model, "2026-11-22", &header, &FULL, &rows);
    assert_eq!((report.programs[0].promised, report.programs[0].credited), (50, 7));
    assert_eq!(lots(&model, 0, 0), "50 until 11-24 promised, 107");
    // Once they are over there is room again.
    let rows = [("ana@example.com;9223372036854775807;CR;yes;", "applied 9223372036854775807 107")];
    check_on(&mut model, "2026-11-25", &header, &FULL, &rows);
    assert_eq!(newest(&model, 2), ["promise_expire -50 107", "promise 9223372036854775807 107"]);
}

#[test]
fn expiring_ends_what_is_over_in_one_program_or_in_all() {
    let mut model = three(0);
    let header = ["email", "amount", "expires_in_days", "program", "promised"];
    let rows = [
        ("ana@example.com;1;1;;", "applied 1 101"),
        ("ana@example.com;2;2;;yes", "applied 2 101"),
        ("ben@example.com;3;1;;", "applied 3 3"),
        ("ben@example.com;4;1;miles;", "applied 4 4"),
    ];
    check_on(&mut model, "2026-11-22", &header, &FULL, &rows);
    let today = job(&model, "2026-12-24");
    let mut one = model.clone();
    let report = one.expire(day("2026-11-24").expect("a day"), Some(0), &today);
    assert_eq!((report.answers.len(), report.programs[0].expired, report.programs[1].expired), (2, 4, 0));
    assert_eq!(newest(&one, 2), ["expire -1 100", "expire -3 0"]);
    let report = model.expire(day("2026-12-24").expect("a day"), None, &today);
    assert_eq!((report.answers.len(), report.matched, report.repeated), (3, 2, 1));
    assert_eq!(newest(&model, 4), ["expire -1 100", "promise_expire -2 100", "expire -3 0", "expire -4 0"]);
}

#[test]
fn a_row_id_is_applied_once_for_each_program_and_customer() {
    let mut model = three(0);
    let header = ["email", "mobile", "amount", "operation", "program", "comment", "row_id"];
    let rows = [
        ("ana@example.com;;5;CR;;hi;1", "applied 5 105"),
        (";+916000000001;5.0;Credit;;hi;1", "unchanged 0 105"),
        ("ana@example.com;;6;CR;;hi;1", "row_id_conflict"),
        ("ana@example.com;;5;DR;;hi;1", "row_id_conflict"),
        ("ana@example.com;;5;CR;;;1", "row_id_conflict"),
        ("ana@example.com;;5;CR;miles;hi;1", "applied 5 5"),
        ("ben@example.com;;5;CR;;hi;1", "applied 5 5"),
        // One that was refused is not known; one that moved nothing is.
        ("ben@example.com;;6;DR;;;2", "insufficient_balance"),
        ("ben@example.com;;5;DR;;;2", "applied -5 0"),
        ("ben@example.com;;0;CR;;;3", "unchanged 0 0"),
        ("ben@example.com;;1;CR;;;3", "row_id_conflict"),
        // It counts as no reset.
        ("ben@example.com;;0;SET;;;4", "unchanged 0 0"),
        ("ben@example.com;;0;SET;;;4", "unchanged 0 0"),
    ];
    let report = check_on(&mut model, "2026-11-22", &header, &FULL, &rows);
    assert_eq!(report.programs[0].credits.unchanged, 5);
    let rows = [
        // A column that is missing says as much as an empty cell.
        ("ana@example.com;5;CR;1", "row_id_conflict"),
        ("ben@example.com;5;DR;2", "unchanged 0 0"),
        ("ben@example.com;0;SET;4", "unchanged 0 0"),
        // The row before set the balance when it was applied, so this is no first reset.
        ("ben@example.com;9;SET;5", "repeated_customer"),
    ];
    check_on(&mut model, "2026-11-23", &["email", "amount", "operation", "row_id"], &FULL, &rows);
}

#[test]
fn identifiers_are_unique_in_file_order() {
    let mut model = three(0);
    let rows = [
        ("u1;;ben@example.com;;;;;;;;;;;", "identifier_conflict"),
        ("u1;;;;9002;;;;;;;;;", "identifier_taken"),
        (";;;;9001|9002;;;;;;;;;", "identifier_conflict"),
        ("u9;;;;9001;;;;;;;;;5", "unchanged 0 100"),
        ("u9;;nine@example.com;;9-00 9;;;;;;;;;5", "created 5 5"),
        ("u1;x1;;;9001,9101;;;;;;;;;", "updated 0 100"),
        (";x1;;+916000000008;9009;;;;;;;;;", "identifier_taken"),
        (";x1;;+916000000008;9101;;;;;;;;;", "unchanged 0 100"),
        (";;;+916000000008;;;;;;;;;;", "created 0 0"),
    ];
    let report = check_customers(&mut model, &rows);
    assert_eq!((report.matched, report.created, report.repeated, report.kept), (1, 2, 1, 3));
}

#[test]
fn each_field_obeys_its_overwrite_rule() {
    let mut model = three(0);
    let rows = [
        ("u1;;;;;Ana;1990-01-31;Female;web;gold;10.5;3;2020-01-01;", "updated 0 100"),
        ("u1;;;;;Anna;1990-01-30;other;shop;gold;10.50;3;2020-01-01;7", "unchanged 0 100"),
        ("u1;;;;;Ana;;;;silver;;;;", "updated 0 100"),
        ("u1;;;;;;;;;;11;;;", "updated 0 100"),
        ("u1;;;;;;2021-02-29;;;;;;;", "field_invalid"),
        ("u1;;;;;;2027-01-01;;;;;;;", "field_invalid"),
        ("u1;;;;;;;f;;;;;;", "field_invalid"),
        ("u1;;;;;;;;;;1.00001;;;", "field_invalid"),
        ("u1;;;;;;;;;;;1.0;;", "field_invalid"),
        ("u1;;;;;;;;;;;;2020-13-01;", "field_invalid"),
        ("u1;;;;;;;;;;;;x;-1", "amount_invalid"),
    ];
    let report = check_customers(&mut model, &rows);
    assert_eq!(report.kept, 6);
    let ana = &model.customers[0];
    assert_eq!((ana.name.as_str(), ana.gender.as_str(), ana.tier.as_str()), ("Ana", "female", "silver"));
    assert_eq!((ana.ltv, ana.orders), (Some(110_000), Some(3)));
    model.tiers = vec!["gold".to_owned()];
    let rows = [("u1;;;;;;;;;silver;;;;", "tier_unknown"), ("u1;;;;;;;;;gold;;;;", "updated 0 100")];
    check_customers(&mut model, &rows);
}

#[test]
fn a_key_alone_names_the_customer() {
    let mut model = three(0);
    let header = ["user_id", "email", "mobile", "card", "name"];
    let by = |kind| CustomersOptions { key: Some(kind), ..TIDEMILL };
    let rows = [
        (";ana@example.com;;;", "identifier_missing"),
        ("u1;ben@example.com;;;", "identifier_conflict"),
        ("u1;;;9002;", "identifier_taken"),
        ("u9;ben@example.com;;;", "identifier_taken"),
        ("u9;;;9002;", "identifier_taken"),
        ("u1;ana@new.example.com;;9003;Ana", "updated 0 100"),
        ("u9;ana@new.example.com;;;", "created 0 0"),
    ];
    let report = check_customers_on(&mut model, &header, &by(Kind::UserId), &rows);
    assert_eq!((report.matched, report.created, report.kept), (1, 1, 1));
    let rows = [
        ("u1;;;, |;", "identifier_missing"),
        ("u1;;;9001|9002;", "identifier_conflict"),
        (";ben@example.com;;9001;", "identifier_conflict"),
        ("u1;;;9004;", "identifier_taken"),
        (";;;9001|9004;", "updated 0 100"),
    ];
    check_customers_on(&mut model, &header, &by(Kind::Card), &rows);
    let digits = CustomersOptions { phone_digits: Some(11), ..TIDEMILL };
    let rows = [(";;+916000000001;;", "identifier_invalid"), (";;+37060000001;;", "created 0 0")];
    check_customers_on(&mut model, &header, &digits, &rows);
}

#[test]
fn incusts_rows_fill_profiles_and_credit_every_time() {
    let mut model = Model::new(&[("points", 0), ("eur", 2), ("usd", 0)], 0);
    (model.programs[1].currency, model.programs[2].currency) = ("EUR", "USD");
    let header = [
        "Phone number",
        "Customer email address",
        "Plastic Card Numbers",
        "Customer Name",
        "Birthday",
        "Gender",
        "Sum of credited bonus points",
        "Bonus currency",
        "Bonus points expiration date",
        "Customer account",
    ];
    let rows = [
        ("+37060000001;;1;;;;1.5;EUR;2026-11-22;", "created 150 150"),
        ("+37060000001;ana@example.com;1,2;Ana;--02-29;Moteris;1.5; eur ;;", "updated 150 300"),
        ("+37060000001;;;Anna;1004-03-01;male;5;;;", "unchanged 0 0"),
        ("+37060000001;;;;;;5;USD;;eur", "updated 500 800"),
        ("+37060000001;;;;;;5;GBP;;usd", "updated 5 5"),
        ("+37060000001;;;;;;0;EUR;;", "unchanged 0 0"),
        ("+37060000001;;;;;;;GBP;2026-11-22;", "unchanged 0 0"),
        (";ana@example.com;;;;;;;;", "identifier_missing"),
        ("+37060000002;;2;;;;5;EUR;;", "identifier_taken"),
        ("+37060000001;;;;;;x;€;2026-11-21;", "amount_invalid"),
        ("+37060000001;;;;;;1.505;EUR;2026-11-21;", "amount_precision"),
        ("+37060000001;;;;x;x;5;€;2026-11-21;", "expiry_invalid"),
        ("+37060000001;;;;;x;5;€;;", "field_invalid"),
        ("+37060000001;;;;;;5;GBP;;", "currency_unknown"),
        ("+37060000001;;;;;;;€;;eur", "currency_unknown"),
        ("+37060000001;;;;;;;;;EUR", "program_unknown"),
        ("+37060000001;;;;;;9223372036854775807;;;usd", "balance_overflow"),
    ];
    let report = check_customers_on(&mut model, &header, &INCUST, &rows);
    assert_eq!((report.matched, report.created, report.repeated, report.unread_rows), (0, 1, 1, 2));
    // The e-mail, which is set at creation only; name, birthday and gender, which are filled by then.
    assert_eq!(report.kept, 4);
    let [points, eur, usd] = &report.programs[..] else { panic!("three programs") };
    assert_eq!((points.credits.not_credited, points.credits.rejected, points.credits.in_file), (5, 15, 20));
    assert_eq!((eur.credits.applied, eur.credits.rejected, eur.credits.in_file), (800, 500, 1300));
    assert_eq!((usd.credits.applied, usd.credits.rejected), (5, i128::from(i64::MAX)));
    assert_eq!(lots(&model, 0, 1), "150 until 11-22, 650");
    let ana = &model.customers[0];
    assert_eq!((ana.name.as_str(), ana.birthday.as_str(), ana.gender.as_str()), ("Ana", "--02-29", "female"));
    assert_eq!((ana.identifier(Kind::Email), ana.identifiers[&Kind::Card].join("|")), ("", "1|2".to_owned()));
}
