//! The format `tidemill`, cell by cell, and `nector-expiry`: what each column takes, and what its refusal says.

use tidemill::{
    domain::command::{Mode, OnOverdraft},
    engine::request::{JobRequest, PointsRequest},
    report::export::Export,
};

use super::support::{
    content::{export, rows},
    till::{Till, file, plainly},
};

/// The format is named, so that one column more says nothing about another format.
fn tidemill(_: &mut JobRequest, request: &mut PointsRequest) {
    request.file.format = Some("tidemill".to_owned());
}

/// Checks cells of a column, each in a credit of 10 to Ana, or in another row that `row` makes of it. Expected is the kind
/// of entry, with the last day if there is one, or the code.
#[track_caller]
fn check_cells(column: &str, row: impl Fn(&str) -> String, cases: &[(&str, &str)]) {
    let till = Till::new();
    let header = format!("email,amount,operation,{column}");
    till.import(
        file(&header, cases.iter().map(|(cell, _)| row(cell)).collect::<Vec<_>>().iter().map(String::as_str)),
        tidemill,
    );
    let mut entries = rows(&export(till.engine(), Export::Ledger)).into_iter();
    let mut columns = till.refused_columns().into_iter();
    for ((answer, (cell, expected)), message) in till.answers().into_iter().zip(cases).zip(till.messages()) {
        let shown: String = cell.chars().take(40).collect();
        if answer.contains(' ') {
            let entry = entries.next().expect("an entry");
            let found = [&*entry[7], &*entry[10]].join(" ");
            assert_eq!(found.trim(), *expected, "{column} {shown:?}");
        } else {
            assert_eq!(answer, *expected, "{column} {shown:?}: {message}");
            assert_eq!(columns.next().as_deref(), Some(column), "{column} {shown:?}: {message}");
        }
    }
    till.verify();
}

fn credit(cell: &str) -> String {
    format!("ana@example.com;10;CR;{cell}")
}

#[test]
fn a_last_day_is_a_day_that_exists_and_is_not_over() {
    check_cells(
        "expires_on",
        credit,
        &[
            ("", "credit"),
            ("  ", "credit"),
            ("2090-12-31", "credit 2090-12-31"),
            (" 2090-12-31 ", "credit 2090-12-31"),
            ("9999-12-31", "credit 9999-12-31"),
            // Today is a day on which points can be spent; yesterday is not.
            ("2090-03-10", "credit 2090-03-10"),
            ("2090-03-09", "expiry_invalid"),
            ("2021-01-01", "expiry_invalid"),
            // A moment is the day that it is.
            ("2090-12-31T23:59:59Z", "credit 2090-12-31"),
            ("2090-12-31T23:59:59-02:00", "credit 2091-01-01"),
            ("2090-12-31T23:59:59", "expiry_invalid"),
            ("2090-12-31 23:59:59Z", "credit 2090-12-31"),
            // No day that does not exist is rolled over.
            ("2092-02-29", "credit 2092-02-29"),
            ("2091-02-29", "expiry_invalid"),
            ("2100-02-29", "expiry_invalid"),
            ("2091-09-31", "expiry_invalid"),
            ("2091-00-10", "expiry_invalid"),
            ("2091-13-10", "expiry_invalid"),
            ("10000-01-01", "expiry_invalid"),
            // Another form is not guessed at.
            ("31.12.2090", "expiry_invalid"),
            ("12/31/2090", "expiry_invalid"),
            ("2090-3-31", "expiry_invalid"),
            ("20901231", "expiry_invalid"),
            ("tomorrow", "expiry_invalid"),
            ("never", "expiry_invalid"),
            ("30", "expiry_invalid"),
            ("0", "expiry_invalid"),
        ],
    );
}

#[test]
fn days_of_validity_are_whole_and_at_least_one() {
    let cases = [
        ("", "credit"),
        (" ", "credit"),
        ("1", "credit 2090-03-11"),
        ("30", "credit 2090-04-09"),
        (" 30 ", "credit 2090-04-09"),
        ("030", "credit 2090-04-09"),
        // What spreadsheets make of it.
        ("30.0", "credit 2090-04-09"),
        ("30.00", "credit 2090-04-09"),
        ("2888998", "credit 9999-12-31"),
        ("2888999", "expiry_invalid"),
        ("2147483647", "expiry_invalid"),
        ("2147483648", "expiry_invalid"),
        ("99999999999999999999", "expiry_invalid"),
        ("0", "expiry_invalid"),
        ("-1", "expiry_invalid"),
        ("1.5", "expiry_invalid"),
        ("1e2", "expiry_invalid"),
        ("1,000", "expiry_invalid"),
        ("30 days", "expiry_invalid"),
        ("x", "expiry_invalid"),
        ("2090-12-31", "expiry_invalid"),
    ];
    check_cells("expires_in_days", credit, &cases);
}

#[test]
fn of_two_columns_of_expiry_one_is_filled() {
    let till = Till::new();
    let header = "email,amount,operation,expires_on,expires_in_days";
    till.check(
        header,
        plainly,
        &[
            ("ana@example.com;10;CR;2090-12-31;", "applied 10 10"),
            ("ana@example.com;10;CR;;30", "applied 10 20"),
            ("ana@example.com;10;CR;;", "applied 10 30"),
            ("ana@example.com;10;CR;2090-12-31;30", "expiry_invalid"),
            // Also where both would say the same, or one says nothing that can be read.
            ("ana@example.com;10;CR;2090-04-09;30", "expiry_invalid"),
            ("ana@example.com;10;CR;x;30", "expiry_invalid"),
            ("ana@example.com;10;CR;2090-12-31;x", "expiry_invalid"),
            // Neither is read where points are taken.
            ("ana@example.com;10;DR;2090-12-31;30", "applied -10 20"),
            ("ana@example.com;10;DR;x;y", "applied -10 10"),
            ("ana@example.com;10;SET;x;", "expiry_invalid"),
        ],
    );
    assert_eq!(till.refused_columns(), ["expires_on", "expires_on", "expires_on", "expires_in_days", "expires_on"]);
    assert_eq!(till.messages()[7..9], ["expiry ignored: points are taken"; 2]);
}

#[test]
fn points_were_earned_in_the_past() {
    check_cells(
        "credited_on",
        credit,
        &[
            ("", "credit"),
            ("2021-03-05", "credit"),
            ("2090-03-10", "credit"),
            ("2090-03-10T12:00:00Z", "credit"),
            ("2090-03-10T14:00:00+02:00", "credit"),
            ("2090-03-10T12:00:00.001Z", "field_invalid"),
            ("2090-03-11", "field_invalid"),
            ("2090-02-29", "field_invalid"),
            ("10.03.2090", "field_invalid"),
            ("x", "field_invalid"),
        ],
    );
    // The same on a debit, for which it means nothing more.
    check_cells(
        "credited_on",
        |cell| format!("ana@example.com;0;DR;{cell}"),
        &[("2090-03-11", "field_invalid"), ("x", "field_invalid")],
    );
}

#[test]
fn a_row_names_a_program_by_its_code() {
    let till = Till::new();
    let header = "email,amount,operation,program";
    till.check(
        header,
        plainly,
        &[
            ("ana@example.com;10;CR;", "applied 10 10"),
            ("ana@example.com;10;CR;points", "applied 10 20"),
            ("ana@example.com;10;CR; points ", "applied 10 30"),
            // Amounts have the decimals of the row's program.
            ("ana@example.com;10;CR;eur", "applied 10.00 10.00"),
            ("ana@example.com;0.5;CR;eur", "applied 0.50 10.50"),
            ("ana@example.com;0.505;CR;eur", "amount_precision"),
            ("ana@example.com;0.5;CR;points", "amount_precision"),
            ("ana@example.com;92233720368547758.08;CR;eur", "amount_range"),
            ("ana@example.com;4.25;DR;eur", "applied -4.25 6.25"),
            ("ana@example.com;31;DR;", "insufficient_balance"),
            ("ana@example.com;7.5;SET;eur", "applied 1.25 7.50"),
            ("ana@example.com;7;SET;points", "applied -23 7"),
            // Each account is set once.
            ("ana@example.com;8;SET;eur", "repeated_customer"),
            ("ana@example.com;8;SET;points", "repeated_customer"),
            ("ana@example.com;10;CR;EUR", "program_unknown"),
            ("ana@example.com;10;CR;eu", "program_unknown"),
            ("ana@example.com;10;CR;0", "program_unknown"),
        ],
    );
    assert_eq!(till.refused_columns()[6..], ["program"; 3]);
    assert_eq!(till.messages()[14], "there is no program `EUR`: it must be one of points, eur");
    // With `--program`, that is the one of rows that name none.
    let summary = till.check(
        header,
        |job, _| job.program = Some("eur".to_owned()),
        &[("ben@example.com;0.5;CR;", "applied 0.50 0.50"), ("ben@example.com;3;CR;points", "applied 3 3")],
    );
    assert_eq!(summary.program, "eur");
    let others: Vec<&str> = summary.other_programs.iter().map(|sums| &*sums.program).collect();
    assert_eq!(others, ["points"]);
    till.verify();
}

#[test]
fn references_and_texts_are_so_long_and_no_longer() {
    for (column, bytes_max) in [
        ("ref_type", 255),
        ("ref_id", 255),
        ("promotion_id", 255),
        ("row_id", 255),
        ("reason", 4096),
        ("comment", 4096),
    ] {
        let (whole, long) = ("a".repeat(bytes_max), "a".repeat(bytes_max + 1));
        // Bytes count, and blanks around them do not.
        let (wide, padded) = ("é".repeat(bytes_max / 2 + 1), format!("  {whole}  "));
        let short = "é".repeat(bytes_max / 2);
        check_cells(
            column,
            credit,
            &[
                ("", "credit"),
                (&whole, "credit"),
                (&long, "field_invalid"),
                (&wide, "field_invalid"),
                (&short, "credit"),
                // The same row again, where the column is that of row ids.
                (&padded, if column == "row_id" { "unchanged" } else { "credit" }),
            ][..if column == "row_id" { 5 } else { 6 }],
        );
    }
}

#[test]
fn only_points_that_are_added_are_promised() {
    check_cells(
        "promised",
        credit,
        &[
            ("yes", "promise"),
            ("YES", "promise"),
            ("y", "promise"),
            ("true", "promise"),
            ("1", "promise"),
            ("on", "promise"),
            (" Promised ", "promise"),
            ("", "credit"),
            ("no", "credit"),
            ("N", "credit"),
            ("False", "credit"),
            ("0", "credit"),
            ("off", "credit"),
            ("available", "credit"),
            ("2", "field_invalid"),
            ("maybe", "field_invalid"),
            ("ja", "field_invalid"),
        ],
    );
    for operation in ["DR", "SET"] {
        let row = |cell: &str| format!("ana@example.com;0;{operation};{cell}");
        check_cells("promised", row, &[("yes", "field_invalid"), ("x", "field_invalid")]);
    }
    // Signed amounts: a negative one takes. Amounts that are set cannot be promised.
    let till = Till::new();
    let mode = |mode| {
        move |job: &mut JobRequest, request: &mut PointsRequest| {
            tidemill(job, request);
            request.mode = Some(mode);
        }
    };
    till.check(
        "email,amount,promised",
        mode(Mode::Add),
        &[
            ("ana@example.com;10;yes", "applied 10 0"),
            ("ana@example.com;10;no", "applied 10 10"),
            ("ana@example.com;-4;no", "applied -4 6"),
            ("ana@example.com;-4;yes", "field_invalid"),
        ],
    );
    till.check(
        "email,amount,promised",
        mode(Mode::Reset),
        &[("ana@example.com;10;yes", "field_invalid"), ("ana@example.com;10;", "applied 4 10")],
    );
}

#[test]
fn operations_credit_debit_and_set() {
    let till = Till::new();
    till.check(
        "email,amount,operation,row_id",
        plainly,
        &[
            ("ana@example.com;100;CR;", "applied 100 100"),
            ("ana@example.com;1; credit ;", "applied 1 101"),
            ("ana@example.com;1;;", "applied 1 102"),
            ("ana@example.com;2;dr;", "applied -2 100"),
            ("ana@example.com;2;Debit;", "applied -2 98"),
            ("ana@example.com;5;SET;", "applied -93 5"),
            ("ana@example.com;5;set;", "unchanged 0 5"),
            ("ana@example.com;6;Set;", "repeated_customer"),
            ("ben@example.com;-6;SET;", "amount_invalid"),
            ("ben@example.com;-6;CR;", "amount_invalid"),
            ("ben@example.com;6;reset;", "operation_invalid"),
            ("ben@example.com;6;+;", "operation_invalid"),
        ],
    );
}

#[test]
fn a_customer_is_named_by_any_identifier() {
    let till = Till::new();
    till.check(
        "user_id,external_id,email,mobile,card,amount,operation",
        plainly,
        &[
            ("u1;;;;;1;", "applied 1 1"),
            (";x1;;;;1;", "applied 1 2"),
            (";;ANA@example.com;;;1;", "applied 1 3"),
            (";;;916000000001;;1;", "applied 1 4"),
            (";;;;90-01;1;", "applied 1 5"),
            ("u1;x1;ana@example.com;+916000000001;9001;1;", "applied 1 6"),
            // One known is enough, two known must be one.
            ("u9;;;;9001;1;", "applied 1 7"),
            ("u1;x2;;;;1;", "identifier_conflict"),
            ("U1;;;;;1;", "identifier_unknown"),
            ("u1;;;;x_x;1;", "identifier_invalid"),
            (";;;;;1;", "identifier_missing"),
        ],
    );
    assert_eq!(till.refused_columns(), ["user_id", "user_id", "card", "user_id"]);
}

/// Everything about a row is wrong; then one thing after the other is put right.
#[test]
fn checks_come_in_their_order_and_the_message_names_what_else_is_wrong() {
    const COLUMNS: &str = "email,amount,operation,expires_on,credited_on,ref_type,ref_id,promotion_id,promised,reason,\
                           comment,row_id,program";
    let (key, text) = ("k".repeat(256), "t".repeat(4097));
    // Column, wrong, right, code, what the message says of the wrong one.
    let checks = [
        ("email", "ana", "nobody@example.com", "identifier_invalid", "email `ana`"),
        ("amount", "x", "10", "amount_invalid", "amount `x`"),
        ("operation", "y", "CR", "operation_invalid", "operation `y`"),
        ("expires_on", "2090-02-30", "2090-12-31", "expiry_invalid", "expires_on `2090-02-30`"),
        ("credited_on", "z", "2090-01-01", "field_invalid", "credited_on `z`"),
        ("ref_type", &key, "order", "field_invalid", "ref_type is 256 bytes long"),
        ("ref_id", &key, "7", "field_invalid", "ref_id is 256 bytes long"),
        ("promotion_id", &key, "spring", "field_invalid", "promotion_id is 256 bytes long"),
        ("promised", "maybe", "no", "field_invalid", "promised `maybe`"),
        ("reason", &text, "why", "field_invalid", "reason is 4097 bytes long"),
        ("comment", &text, "what", "field_invalid", "comment is 4097 bytes long"),
        ("row_id", &key, "1", "field_invalid", "row_id is 256 bytes long"),
        // What only the store can tell comes last.
        ("program", "dollars", "points", "program_unknown", "no program `dollars`"),
        ("email", "", "ana@example.com", "identifier_unknown", ""),
    ];
    assert_eq!(checks[..13].iter().map(|check| check.0).collect::<Vec<_>>().join(","), COLUMNS);
    let till = Till::new();
    let row = |right: usize| -> String {
        let cells = checks[..13].iter().enumerate().map(|(at, check)| if at < right { check.2 } else { check.1 });
        cells.collect::<Vec<_>>().join(";")
    };
    let mut lines: Vec<String> = (0..14).map(row).collect();
    // A row that cannot be split has no fields that could be wrong.
    lines.push("ana;x".to_owned());
    lines.push(lines[13].replace("nobody", "ana"));
    till.import(file(COLUMNS, lines.iter().map(String::as_str)), tidemill);
    let (answers, messages) = (till.answers(), till.messages());
    for right in 0..14 {
        let (column, _, _, code, _) = checks[right];
        assert_eq!(answers[right], code, "{}", messages[right]);
        assert_eq!(till.refused_columns()[right], column, "{}", messages[right]);
        let wrong: Vec<_> = checks[right..13].iter().map(|check| messages[right].find(check.4)).collect();
        assert!(wrong.iter().all(Option::is_some) && wrong.is_sorted(), "{}", messages[right]);
        let named = checks[..right.min(13)].iter().filter(|check| messages[right].contains(check.4));
        assert_eq!(named.count(), 0, "{}", messages[right]);
    }
    assert_eq!(answers[14..], ["row_malformed", "applied 10 10"]);
}

#[test]
fn bytes_that_are_no_text_are_refused_before_any_cell_is_read() {
    let till = Till::new();
    let content = b"email,amount,operation,expires_on\nana,x,y,\xff\nana@example.com,1,CR,\n";
    till.import(content, |job, request| {
        tidemill(job, request);
        request.file.encoding = Some("utf-8".to_owned());
    });
    assert_eq!(till.answers(), ["encoding_invalid", "applied 1 1"]);
}

#[test]
fn what_a_debit_ignores_is_not_named_where_its_amount_is_wrong() {
    let till = Till::new();
    let header = "email,amount,operation,expires_on,promised";
    till.check(
        header,
        plainly,
        &[
            ("ana@example.com;x;DR;y;", "amount_invalid"),
            ("ana@example.com;x;SET;y;yes", "amount_invalid"),
            ("ana@example.com;x;z;y;", "amount_invalid"),
        ],
    );
    let named =
        |at: usize| ["expires_on `y`", "only points that are added"].map(|part| till.messages()[at].contains(part));
    assert_eq!([named(0), named(1), named(2)], [[false, false], [true, true], [true, false]]);
}

#[test]
fn headers_are_found_in_other_spellings_and_those_of_an_export() {
    let headers = [
        ("Email,AMOUNT,Operation,Expires On,Credited-On,Ref Type,refid,Promotion ID,Promised,Program,Row-ID", 11),
        ("e-mail,remaining,operation,expires_on,credited_at,ref_type,ref_id,promotion_id,state,program,row_id", 11),
        ("\u{feff}email,amount,operation,expiresOn,creditedOn,refType,refId,promotionId,promised,program,rowId", 11),
    ];
    for (header, columns) in headers {
        assert_eq!(header.split(',').count(), columns);
        let till = Till::new();
        let row = "ana@example.com;1.5;CR;2090-12-31;2089-12-31;order;7;spring;yes;eur;1";
        let summary = till.check(header, plainly, &[(row, "applied 1.50 0.00")]);
        assert_eq!((summary.format.as_deref(), summary.ignored_columns.len()), (Some("tidemill"), 0), "{header}");
        assert_eq!(till.lots("ana@example.com"), "1.50 promised 2090-12-31 order/7 spring");
    }
    // Two headers for one field are a question.
    for header in
        ["email,amount,remaining,row_id", "email,amount,promised,state", "email,amount,credited_on,credited_at"]
    {
        let till = Till::new();
        let error = till.try_import(file(header, std::iter::empty()), tidemill).expect_err("it is ambiguous");
        assert!(error.message().contains("both hold"), "{error:?}");
    }
}

#[test]
fn a_file_with_nothing_more_than_nectors_is_nectors() {
    // A file of the one is recognised, and both read the same out of it.
    let cases = [
        ("email,mobile,amount,operation", "nector"),
        ("email,amount", "nector"),
        ("email,mobile,amount,operation,expiry", "nector-expiry"),
        ("email,amount,operation,expires_in_days", "nector-expiry"),
        ("email,amount,operation,expires_on", "tidemill"),
        ("email,amount,operation,expires_in_days,row_id", "tidemill"),
        ("email,amount,operation,comment", "tidemill"),
        ("email,amount,program", "tidemill"),
        ("user_id,email,amount", "tidemill"),
        ("card,amount", "tidemill"),
        ("external_id,amount,operation", "tidemill"),
    ];
    for (header, format) in cases {
        let till = Till::new();
        let summary = till.import(file(header, std::iter::empty()), |_, request| {
            request.mode = Some(Mode::Add).filter(|_| !header.contains("operation"));
        });
        assert_eq!(summary.format.as_deref(), Some(format), "{header}");
    }
    // Nector's needs a reason, ours does not, since a row may have its own.
    let till = Till::new();
    let without = |job: &mut JobRequest, _: &mut PointsRequest| job.reason = None;
    let error = till.try_import("email,amount,operation\n", without).expect_err("it needs one");
    assert!(error.message().contains("reason"), "{error:?}");
    till.import("email,amount,operation,row_id\n", without);
}

#[test]
fn programs_are_summed_up_apart_and_together() {
    let till = Till::new();
    let header = "email,amount,operation,program,expires_in_days";
    let lines = [
        "ana@example.com;100;CR;points;",
        "ana@example.com;12.50;CR;eur;30",
        "ben@example.com;0.05;CR;eur;",
        "ana@example.com;2.50;DR;eur;9",
        "ana@example.com;30;DR;points;",
        "ana@example.com;500;DR;;",
        "ben@example.com;1;CR;dollars;",
        "ben@example.com;9;SET;eur;",
        "ana@example.com;0;CR;eur;",
        "nobody@example.com;7;CR;eur;",
        "ben@example.com;3;what;eur;",
    ];
    let content = file(header, lines.into_iter());
    let how = |total: &str| {
        let total = total.to_owned();
        move |job: &mut JobRequest, request: &mut PointsRequest| {
            request.on_overdraft = OnOverdraft::Clamp;
            job.expect_total = Some(total);
        }
    };
    // 100 + 12.50 + 0.05 - 2.50 - 30 - 500 + 9 + 0 + 7 + 3: what cannot be read is in no sum.
    for wrong in ["-400", "-400.94", "-400.9501", "-401"] {
        let error = till.try_import(&content, how(wrong)).expect_err("it is another total");
        assert_eq!(error.code(), "expect_total", "{wrong}: {error:?}");
        assert!(error.message().contains("-400.9500"), "{error:?}");
    }
    let summary = till.import(&content, how("-400.95"));
    assert_eq!(
        till.answers(),
        [
            "applied 100 100",
            "applied 12.50 12.50",
            "applied 0.05 0.05",
            "applied -2.50 10.00",
            "applied -30 70",
            "applied -70 0",
            "program_unknown",
            "applied 8.95 9.00",
            "unchanged 0.00 10.00",
            "identifier_unknown",
            "operation_invalid",
        ]
    );
    let found = serde_json::to_value(&summary).expect("JSON");
    let points = |credited: &str, debited: &str, zero: &str| serde_json::json!({ "credited": credited, "debited": debited, "expired": zero, "promised": zero, "promises_expired": zero });
    assert_eq!(found["points"], points("100", "100", "0"));
    assert_eq!(found["balance"], serde_json::json!({ "before": "0", "after": "0" }));
    assert_eq!(found["file_points"]["debits"]["not_taken"], "430");
    assert_eq!((&found["file_points"]["unreadable_rows"], &found["expiries_ignored"]), (&1.into(), &1.into()));
    let other = &found["other_programs"][0];
    assert_eq!(other["program"], "eur");
    assert_eq!(other["points"], points("21.50", "2.50", "0.00"));
    assert_eq!(other["balance"], serde_json::json!({ "before": "0.00", "after": "19.00" }));
    assert_eq!(
        other["file_points"],
        serde_json::json!({
            "credits": { "in_file": "19.55", "applied": "12.55", "rejected": "7.00", "unchanged": "0.00", "not_taken": "0.00", "not_credited": "0.00" },
            "debits": { "in_file": "2.50", "applied": "2.50", "rejected": "0.00", "unchanged": "0.00", "not_taken": "0.00", "not_credited": "0.00" },
            "set_rows": 1, "set": "9.00", "unassigned_rows": 1, "unassigned": "3.00", "unreadable_rows": 0,
        })
    );
    assert_eq!(found["other_programs"].as_array().map(Vec::len), Some(1));
    // The job says the same when it is asked later.
    let shown = till.engine().job(summary.job.expect("a job")).expect("it is there");
    assert_eq!((&shown.other_programs, &shown.points), (&summary.other_programs, &summary.points));
    till.verify();
}

#[test]
fn a_total_of_one_program_has_its_decimals() {
    let till = Till::new();
    let content = "email,amount,operation,program\nana@example.com,1,CR,points\n";
    let total = |total: &str| {
        let total = total.to_owned();
        move |job: &mut JobRequest, _: &mut PointsRequest| job.expect_total = Some(total)
    };
    let error = till.try_import(content, total("1.5")).expect_err("points have no decimals");
    assert_eq!(error.code(), "usage", "{error:?}");
    let error = till.try_import(content, total("2")).expect_err("it is another total");
    assert!(error.message().contains("sum up to 1,"), "{error:?}");
    till.import(content, total("1.0"));
}

#[test]
fn a_rows_reason_and_comment_win_over_the_jobs() {
    let till = Till::new();
    let header = "email,amount,operation,reason,comment";
    let lines = [
        "ana@example.com;1;CR;;",
        "ana@example.com;2;CR;of the row; shown for the row ",
        "ana@example.com;3;CR;of the row;",
        "ana@example.com;4;CR;;shown for the row",
    ];
    till.import(file(header, lines.into_iter()), |job, _| {
        job.reason = Some("of the job".to_owned());
        job.comment = Some("shown for the job".to_owned());
    });
    let expected = [
        ("of the job", "shown for the job"),
        ("of the row", "shown for the row"),
        ("of the row", "shown for the job"),
        ("of the job", "shown for the row"),
    ];
    let exported = rows(&export(till.engine(), Export::Ledger));
    let found: Vec<_> = exported.iter().map(|cells| (&*cells[19], &*cells[20])).collect();
    assert_eq!(found, expected);
    let kind = tidemill::domain::identifier::IdentifierKind::Email;
    let history = till.engine().history(kind, "ana@example.com", None, None, 10, false).expect("a history").lines;
    let found: Vec<_> = history.iter().rev().map(|line| (line.reason.as_deref(), line.comment.as_deref())).collect();
    assert_eq!(found, expected.map(|(reason, comment)| (Some(reason), Some(comment))));
    let public = till.engine().history(kind, "ana@example.com", None, None, 10, true).expect("a history").lines;
    let found: Vec<_> = public.iter().rev().map(|line| (line.reason.as_deref(), line.comment.as_deref())).collect();
    assert_eq!(found, expected.map(|(_, comment)| (None, Some(comment))));
    // Where neither says anything, nothing is said.
    let till = Till::new();
    till.import(file(header, lines.into_iter()), |job, _| job.reason = None);
    let exported = rows(&export(till.engine(), Export::Ledger));
    let found: Vec<_> = exported.iter().map(|cells| (&*cells[19], &*cells[20])).collect();
    assert_eq!(found[..2], [("", ""), ("of the row", "shown for the row")]);
}

#[test]
fn nectors_days_make_lots_and_blank_is_for_ever() {
    for header in ["email,mobile,amount,operation,expiry", "email,mobile,coins,operation,Expire in Days"] {
        let till = Till::new();
        let summary = till.check(
            header,
            plainly,
            &[
                ("ana@example.com;;250;CR;30", "applied 250 250"),
                (";+916000000001;40;;", "applied 40 290"),
                ("ana@example.com;+916000000001;1;CR;365", "applied 1 291"),
                ("ana@example.com;;1;CR;0", "expiry_invalid"),
                ("ana@example.com;;1;CR;-30", "expiry_invalid"),
                ("ana@example.com;;1;CR;1.5", "expiry_invalid"),
                ("ana@example.com;;1;CR;never", "expiry_invalid"),
                ("ana@example.com;;1;CR;2090-12-31", "expiry_invalid"),
                // A debit has no use for days, whatever stands there, and says so.
                ("ana@example.com;;60;DR;30", "applied -60 231"),
                ("ana@example.com;;0;DR;x", "unchanged 0 231"),
                ("ana@example.com;;1;DR;", "applied -1 230"),
                ("ana@example.com;;1000;DR;30", "insufficient_balance"),
            ],
        );
        assert_eq!(summary.format.as_deref(), Some("nector-expiry"), "{header}");
        assert_eq!((summary.rows.rejected, summary.expiries_ignored), (6, 2));
        let ignored = "expiry ignored: points are taken";
        assert_eq!(till.messages()[8..11], [ignored, ignored, ""]);
        assert_eq!(till.lots("ana@example.com"), "189 2090-04-09, 1 2091-03-10, 40");
        assert_eq!(till.refused_columns(), ["expires_in_days"; 5].into_iter().chain(["amount"]).collect::<Vec<_>>());
    }
    // What a clamped debit left is said beside it.
    let till = Till::new();
    let clamp = |_: &mut JobRequest, request: &mut PointsRequest| request.on_overdraft = OnOverdraft::Clamp;
    let cases = [("ana@example.com;;5;CR;30", "applied 5 5"), ("ana@example.com;;9;DR;30", "applied -5 0")];
    till.check("email,mobile,amount,operation,expiry", clamp, &cases);
    assert_eq!(till.messages()[1], "took what was there: 4 not taken; expiry ignored: points are taken");
    // Nector's own format needs its reason here too.
    let error = till.try_import("email,amount,expiry\n", |job, request| {
        job.reason = None;
        request.mode = Some(Mode::Add);
    });
    assert!(error.expect_err("it needs one").message().contains("reason"));
}
