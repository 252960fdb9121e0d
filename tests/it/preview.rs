//! `preview`: what it shows is what an import then does.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::support::binary::Binary;

/// Runs `preview` without a store, and returns its exit code and document.
fn preview(binary: &Binary, input: &[u8], arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(binary.path("")).args(["--json", "preview"]).args(arguments).env_remove("TIDEMILL_STORE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    child.stdin.take().expect("it is piped").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("the process ends");
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("one document"))
}

fn raw(content: &[u8], more: &[&str]) -> (Option<i32>, Value) {
    let binary = Binary::new();
    binary.write("x.csv", content);
    preview(&binary, b"", &[&["x.csv", "--raw"], more].concat())
}

#[test]
fn raw_records_are_shown_as_the_reader_sees_them() {
    let record = |line: u64, cells: &[&str]| json!({ "line": line, "cells": cells });
    for (content, exit, records) in [
        (&b""[..], 0, vec![]),
        (b"\n\r\n", 0, vec![]),
        (b"a,b\n1,2\n", 0, vec![record(1, &["a", "b"]), record(2, &["1", "2"])]),
        // Ragged rows, quotes, newlines in cells, a mark, a hint, other delimiters.
        (b"a,b\n1\n1,2,3", 0, vec![record(1, &["a", "b"]), record(2, &["1"]), record(3, &["1", "2", "3"])]),
        (b"\"a\"\"\nx\",b\n1,\"\"\n", 0, vec![record(1, &["a\"\nx", "b"]), record(3, &["1", ""])]),
        (b"\xef\xbb\xbfa;b\n1;2\n", 0, vec![record(1, &["a", "b"]), record(2, &["1", "2"])]),
        (b"sep=|\na|b\n", 0, vec![record(2, &["a", "b"])]),
        (b"'=1,a\n", 0, vec![record(1, &["'=1", "a"])]),
    ] {
        let (found_exit, found) = raw(content, &[]);
        assert_eq!(found["records"], Value::from(records), "{}", String::from_utf8_lossy(content));
        assert_eq!((found_exit, &found["rejected"]), (Some(exit), &json!([])));
    }
    // A row with a NUL is shown and reported; what is no text, or cannot be split, is only reported.
    let (exit, found) = raw(b"a,b\n1,\0\nx,\"y\nz,\"w\"v\n\xc3,1,2\n3,4\n", &["--encoding", "utf-8"]);
    assert_eq!(exit, Some(3));
    let expected = json!([
        { "line": 1, "cells": ["a", "b"] }, { "line": 2, "cells": ["1", "\u{0}"] }, { "line": 6, "cells": ["3", "4"] }
    ]);
    assert_eq!(found["records"], expected);
    let codes: Vec<_> = found["rejected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (row["line"].clone(), row["code"].clone()))
        .collect();
    let expected = [(2, "row_malformed"), (3, "row_malformed"), (4, "row_malformed"), (5, "encoding_invalid")];
    assert_eq!(codes, expected.map(|(line, code)| (Value::from(line), Value::from(code))));
    assert!(found["rejected"][0]["message"].as_str().is_some_and(|message| message.contains("NUL")));
}

#[test]
fn so_many_rows_are_shown_as_are_asked_for() {
    let content = "a,b\n".to_owned() + &"1,2\n".repeat(99);
    for (rows, expected) in [(&[][..], 50), (&["--rows", "3"], 3), (&["--rows", "0"], 0), (&["--rows", "all"], 100)] {
        let (_, found) = raw(content.as_bytes(), rows);
        assert_eq!(found["records"].as_array().map(Vec::len), Some(expected), "{rows:?}");
    }
    let (_, found) = raw(b"title\n\na;b\n", &["--skip-rows", "2"]);
    assert_eq!(found["records"], json!([{ "line": 3, "cells": ["a", "b"] }]));
}

#[test]
fn rows_are_shown_as_they_will_be_read_without_a_store() {
    let binary = Binary::new();
    let content = " E-Mail ,Mobile,Coins,Operation,City\n ANA@Example.com ,,50,cr,Vilnius\n,+370 612 34567,7,,\n\
                   nobody,,1.5,XX,\n\"x\"y,,,,\nben@example.com,,3,DR,\n";
    binary.write("x.csv", content);
    let (exit, found) = preview(&binary, b"", &["x.csv", "--rows", "4"]);
    assert_eq!(exit, Some(3), "{found}");
    assert_eq!((&found["format"], &found["kind"], &found["rejected"]), (&json!("nector"), &json!("points"), &json!(2)));
    assert_eq!(found["mapping"]["amount"], "Coins");
    assert_eq!(found["ignored_columns"], json!(["City"]));
    let rows = found["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    let first = json!({ "line": 2, "values": { "email": "ana@example.com", "amount": "50", "operation": "credit" }, "problem": null });
    assert_eq!(rows[0], first);
    assert_eq!(rows[1]["values"], json!({ "mobile": "+37061234567", "amount": "7", "operation": "credit" }));
    // What cannot be read stands as it came, and the message names all that is wrong.
    assert_eq!(rows[2]["values"], json!({ "email": "nobody", "amount": "1.5", "operation": "XX" }));
    assert_eq!(
        (&rows[2]["problem"]["code"], &rows[2]["problem"]["column"]),
        (&json!("identifier_invalid"), &json!("email"))
    );
    let message = rows[2]["problem"]["message"].as_str().expect("a message");
    assert!(message.contains("1.5") && message.contains("XX"), "{message}");
    assert_eq!((&rows[3]["line"], &rows[3]["problem"]["code"]), (&json!(5), &json!("row_malformed")));
    // Nothing was made, and the same by standard input.
    assert_eq!(std::fs::read_dir(binary.path("")).expect("a directory").count(), 1);
    assert_eq!(preview(&binary, content.as_bytes(), &["-", "--rows", "4"]), (exit, found));
    assert_eq!(preview(&binary, b"email,x\na@x.io,1\n", &["-", "--map", "x=ltv"]).1["mapping"]["ltv"], "x");
    let (exit, found) = preview(&binary, b"id,x\n1,1\n", &["-"]);
    assert_eq!((exit, &found["error"]["code"]), (Some(2), &json!("columns_unknown")));
}

#[test]
fn a_customers_cells_are_shown_as_they_are_kept() {
    let content =
        "email,card,birthday,gender,ltv,created_at\nANA@example.com,2000 0001|2-2,30.04.1990,F,5,01.02.2021\n";
    let (exit, found) = preview(&Binary::new(), content.as_bytes(), &["-", "--date-format", "dmy"]);
    assert_eq!(exit, Some(0), "{found}");
    let values = json!({
        "email": "ana@example.com", "card": "20000001|22", "birthday": "1990-04-30", "gender": "female", "ltv": "5.0000",
        "created_at": "2021-02-01T00:00:00Z"
    });
    assert_eq!(found["rows"][0]["values"], values);
}

#[test]
fn with_a_store_each_row_has_the_outcome_that_the_job_then_gives() {
    let binary = Binary::new();
    binary.write("customers.csv", "email,balance\nana@example.com,100\nben@example.com,\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    let row = "ana@example.com,60,DR\n";
    let content =
        format!("email,amount,operation\n{row}{row}nobody@example.com,5,\n\"\n\"x,1,CR\nben@example.com,2,CR\n{row}");
    binary.write("points.csv", &content);
    let before = binary.verify();
    let jobs = binary.run(&["job", "list"]).json;
    for _ in 0..2 {
        let found = binary.run(&["preview", "points.csv", "--rows", "6", "--on-overdraft", "clamp"]).expect(3).json;
        let told: Vec<_> = found["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| {
                let outcome = &row["outcome"];
                let text = |field: &str| outcome[field].as_str().unwrap_or("-").to_owned();
                format!("{} {} {} {} {}", row["line"], text("status"), text("code"), text("amount"), text("balance"))
            })
            .collect();
        let expected = [
            "2 applied - -60 40",
            "3 applied - -40 0",
            "4 rejected identifier_unknown - -",
            "5 rejected row_malformed - -",
            "6 rejected row_malformed - -",
            "7 applied - 2 2",
        ];
        assert_eq!(told, expected);
        assert_eq!(found["rejected"], 3);
        assert_eq!(binary.verify(), before);
    }
    assert_eq!(binary.run(&["job", "list"]).json, jobs);
    assert_eq!(std::fs::read_dir(binary.store().join("spool")).expect("a directory").count(), 0);
    // An import of the same file says the same; what was applied is foretold again.
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--on-overdraft", "clamp"]).expect(3);
    let found = binary.run(&["preview", "points.csv"]).expect(3).json;
    assert_eq!(found["rows"][0]["outcome"]["code"], "insufficient_balance");
    // Without a mode nobody knows what becomes of a row; it is shown all the same.
    binary.write("smile.csv", "email,points\nana@example.com,5\n");
    let found = binary.run(&["preview", "smile.csv"]).expect(0).json;
    assert_eq!((&found["rows"][0]["values"]["amount"], found["rows"][0].get("outcome")), (&json!("5"), None));
    let found = binary.run(&["preview", "smile.csv", "--mode", "reset"]).expect(0).json;
    assert_eq!(found["rows"][0]["outcome"]["balance"], "5");
    let found = binary.run(&["preview", "customers.csv"]).expect(0).json;
    assert_eq!(found["rows"][0]["outcome"]["status"], "unchanged");
    binary.verify();
}

#[test]
fn text_of_another_encoding_is_foretold_line_by_line() {
    let binary = Binary::new();
    let text = "title\n\nemail;balance\nana@example.com;\"1\n\"\nben@example.com;7\n";
    let utf_16: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    binary.write("x.csv", utf_16);
    binary.run(&["store", "set", "--time-zone", "UTC"]).expect(0);
    let found = binary.run(&["preview", "x.csv", "--skip-rows", "2", "--rows", "2"]).expect(0).json;
    let told = |at: usize, field: &str| found["rows"][at]["outcome"][field].clone();
    assert_eq!(
        (found["rows"][1]["line"].clone(), told(1, "status"), told(1, "balance")),
        (json!(6), json!("created"), json!("7"))
    );
    assert_eq!((told(0, "status"), told(0, "amount")), (json!("created"), json!("1")));
}

#[test]
fn days_and_points_are_shown_as_the_import_takes_them() {
    let binary = Binary::new();
    binary.run(&["program", "add", "eur", "--currency", "EUR"]).expect(0);
    binary.run(&["store", "set", "--time-zone", "Europe/Vilnius"]).expect(0);
    binary.write("points.csv", "email,amount,program,expires_on\nana@example.com,7.5,eur,2090-01-01T23:30:00Z\n");
    let shown = binary.run(&["preview", "points.csv", "--mode", "add", "--on-unknown", "create"]).expect(0).json;
    let values = &shown["rows"][0]["values"];
    assert_eq!((&values["amount"], &values["expires_on"]), (&json!("7.50"), &json!("2090-01-02")), "{shown}");
}

#[test]
fn without_a_store_nobody_knows_which_programs_there_are() {
    let binary = Binary::new();
    let incust = |rows: &str| {
        binary.write("incust.csv", format!("phone;amount;currency;account\n{rows}"));
        preview(&binary, b"", &["incust.csv", "--format", "incust"])
    };
    assert_eq!(incust("+37061234567;5.50;EUR;\n+37061234568;5.50;;bonus\n").0, Some(0));
    let (exit, shown) = incust("+37061234567;5.50;XYZ;\n");
    assert_eq!(exit, Some(3), "{shown}");
}
