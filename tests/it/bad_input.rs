//! Input, disk and store that are not as they should be: the exit code, a message that says what to do, and a store that
//! is sound afterwards.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tidemill::{
    domain::{
        command::{OnOverdraft, Operation},
        identifier::IdentifierKind,
    },
    engine::{
        Engine,
        request::{AdjustRequest, JobRequest},
    },
    options::Options,
};

use super::support::{
    binary::{Binary, Ended, files_below, finish},
    content::{Content, rows},
    not_run, now,
};

/// A store with Ana, who has 100 points, and Ben.
fn shop() -> Binary {
    let binary = Binary::new();
    binary.write("customers.csv", "email,balance\nana@example.com,100\nben@example.com,\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary
}

const POINTS: &str = "email,amount,operation\nana@example.com,5,CR\nben@example.com,7,\nben@example.com,9,DR\n";

fn import<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["import", "points", file, "--reason", "x"];
    arguments.extend(more);
    arguments
}

/// Imports a file that must be refused or fail so, and must change nothing.
#[track_caller]
fn refused(binary: &Binary, arguments: &[&str], exit: i32, says: &[&str]) -> Ended {
    let before = Content::of_binary(binary);
    let jobs = binary.run(&["job", "list"]).json;
    let ended = binary.run(arguments).expect(exit);
    let said = format!("{} {}", ended.error("message"), ended.error("hint"));
    for part in says {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    assert_eq!(Content::of_binary(binary).difference(&before), None);
    assert_eq!(binary.run(&["job", "list"]).json, jobs);
    ended
}

#[test]
fn a_file_without_rows_is_an_error_or_nothing_to_do() {
    let shop = shop();
    shop.write("empty.csv", "");
    refused(&shop, &import("empty.csv", &[]), 1, &["`empty.csv` is empty", "template"]);
    shop.write("blank.csv", "\n\r\n\n");
    refused(&shop, &import("blank.csv", &[]), 1, &["`blank.csv` is empty"]);
    shop.write("header.csv", "email,amount,operation\n");
    let ended = shop.run(&import("header.csv", &["--processed", "p.csv", "--rejects", "r.csv"])).expect(0);
    assert_eq!(ended.json["rows"]["read"], 0);
    // A report that was asked for always exists.
    assert_eq!(shop.read("p.csv"), "line,status,code,message,customer,amount,balance\n");
    assert_eq!(shop.read("r.csv"), "email,amount,operation,line,column,code,message,raw\n");
    shop.verify();
}

#[test]
fn columns_that_do_not_fit_stop_the_job_before_anything_is_written() {
    let shop = shop();
    let cases = [
        ("email,operation\na@x.example,CR\n", &[][..], &["amount", "--map"][..]),
        ("amount,operation\n5,CR\n", &[], &["email", "mobile", "--map"]),
        ("email,amount,operation,Coins\na@x.example,5,CR,6\n", &[], &["`amount`", "`Coins`", "`amount`"]),
        ("email,E-Mail,amount,operation\na@x.example,b@x.example,5,CR\n", &[], &["`email`", "`E-Mail`"]),
        // One column, since the delimiter is none that is recognised.
        ("email^amount^operation\nana@example.com^5^CR\n", &[], &["email^amount^operation"]),
        ("email;amount;operation\nana@example.com;5;CR\n", &["--delimiter", ","], &["email;amount;operation"]),
        ("email,amount\nana@example.com,5\n", &[], &["--mode add", "--mode reset"]),
        ("email,amount,operation\nana@example.com,5,CR\n", &["--mode", "reset"], &["operation column"]),
        ("email,amount,operation\nana@example.com,5,CR\n", &["--map", "Points=amount"], &["`Points`", "does not have"]),
        ("email,amount,operation\nana@example.com,5,CR\n", &["--map", "email=colour"], &["`colour`"]),
        // A field that this import does not read would be dropped without a word.
        (
            "email,amount,operation,born\nana@example.com,5,CR,1990-04-30\n",
            &["--map", "born=birthday"],
            &["`birthday`", "`import points` does not read", "`amount`, `operation`"],
        ),
        ("email,points,what\nana@example.com,5,CR\n", &["--map", "what=operation"], &["`smile`", "no operations"]),
        ("email,amount,operation\nana@example.com,5,CR\n", &["--format", "tidemill-customers"], &["for customers"]),
        ("email,amount,operation\nana@example.com,5,CR\n", &["--format", "nektor"], &["nektor", "nector"]),
        ("ana@example.com,5\n", &["--no-header"], &["--format"]),
    ];
    for (content, more, says) in cases {
        shop.write("input.csv", content);
        refused(&shop, &import("input.csv", more), 2, says);
    }
    shop.write("input.csv", POINTS);
    refused(&shop, &["import", "points", "input.csv"], 2, &["--reason"]);
    refused(&shop, &import("input.csv", &["--program", "miles"]), 1, &["no program `miles`", "points"]);
}

#[test]
fn a_file_without_a_header_is_not_repeated_in_messages() {
    let shop = shop();
    shop.write("input.csv", "ana@example.com,+37061234567,5\nben@example.com,+37061234568,7\n");
    for more in [&[][..], &["--format", "smile"], &["--map", "points=amount"]] {
        let ended =
            refused(&shop, &import("input.csv", more), 2, &["`1` may be `email`", "--no-header", "--map 1=email"]);
        assert!(!ended.stdout.contains("ana@") && !ended.stdout.contains("3706"), "{ended:?}");
    }
    let map = ["--format", "smile", "--no-header", "--mode", "add", "--map", "1=email", "--map", "3=amount"];
    shop.run(&import("input.csv", &map)).expect(0);
    // Names that look like data are not listed as ignored either.
    shop.write("input.csv", "email,points,old@example.com\nana@example.com,5,\n");
    let ended = shop.run(&import("input.csv", &["--mode", "add"])).expect(0);
    assert_eq!(ended.json["ignored_columns"], serde_json::json!(["…"]));
}

#[test]
fn an_import_that_cannot_begin_makes_no_store() {
    let binary = Binary::new();
    binary.write("header.csv", "colour\nred\n");
    binary.write("points.csv", POINTS);
    std::fs::create_dir(binary.path("folder")).expect("a directory is made");
    for (file, exit) in [("nowhere.csv", 1), ("folder", 1), ("header.csv", 2)] {
        binary.run(&import(file, &[])).expect(exit);
        binary.run(&["import", "customers", file]).expect(exit);
        assert!(!binary.store().exists(), "{file}");
    }
    binary.run(&import("points.csv", &[])).expect(3);
    assert!(binary.store().exists());
}

#[test]
fn empty_lines_before_the_header_are_read_over_however_many() {
    let content = "email;amount;operation\nana@example.com;5;CR\nben@example.com;x;\n";
    for (newline, mark) in [("\n", ""), ("\r\n", ""), ("\r", "\u{feff}")] {
        let shop = shop();
        shop.write("points.csv", format!("{mark}{}{}", newline.repeat(70_000), content.replace('\n', newline)));
        let ended = shop.run(&import("points.csv", &["--processed", "p.csv"])).expect(3);
        assert_eq!(ended.json["rows"]["applied"], 1);
        let lines: Vec<String> = rows(&shop.read("p.csv")).into_iter().map(|cells| cells[0].clone()).collect();
        assert_eq!(lines, ["70002", "70003"]);
        shop.write("blank.csv", newline.repeat(70_000));
        refused(&shop, &import("blank.csv", &[]), 1, &["`blank.csv` is empty"]);
    }
}

#[test]
fn a_header_longer_than_the_head_is_read_whole() {
    let shop = shop();
    let notes: String = (0..20_000).map(|number| format!(",n{number}")).collect();
    let empty = ",".repeat(20_000);
    shop.write("wide.csv", format!("email{notes},amount,operation\nana@example.com{empty},5,CR\n"));
    let ended = shop.run(&import("wide.csv", &[])).expect(0);
    assert_eq!(ended.json["rows"]["applied"], 1);
}

#[test]
fn bytes_of_another_encoding_far_down_are_rejected_with_what_to_do() {
    let shop = shop();
    let mut bytes = format!("email,amount,operation,note\n{}", "ana@example.com,1,,\n".repeat(5000)).into_bytes();
    bytes.extend_from_slice(b"ana@example.com,1,,caf\xe9\n");
    shop.write("points.csv", bytes);
    shop.run(&import("points.csv", &["--rejects", "r.csv"])).expect(3);
    assert!(
        shop.read("r.csv").contains("encoding_invalid,") && shop.read("r.csv").contains("`--encoding windows-1252`")
    );
    // It was applied, in whatever encoding it was read: another one must not apply its good rows twice.
    let ended = shop.run(&import("points.csv", &["--encoding", "windows-1252"])).expect(4);
    assert_eq!(ended.error("code"), "repeated_file");
    let again = shop.run(&import("points.csv", &["--encoding", "windows-1252", "--again", "--dry-run"])).expect(0);
    assert_eq!(again.json["rows"]["applied"], 5001);
}

#[test]
fn a_damaged_byte_costs_its_row_and_not_the_letters_of_all_others() {
    let shop = shop();
    let create = |file: &str| shop.run(&import(file, &["--on-unknown", "create", "--again", "--rejects", "r.csv"]));
    shop.write("utf8.csv", b"email,amount,operation\njos\xc3\xa9@x.io,5,CR\nzo\xc3\xab@x.io,5,CR\nbad\xff@x.io,5,CR\n");
    let summary = create("utf8.csv").expect(3).json;
    assert_eq!((&summary["rows"]["applied"], &summary["rejects"]["encoding_invalid"]), (&2.into(), &1.into()));
    assert_eq!(summary["encoding"], "utf-8");
    assert!(shop.export("customers").contains("jos\u{e9}@x.io"));
    // Without any character of several bytes it is what Windows writes.
    shop.write("windows.csv", b"email,amount,operation\nren\xe9@x.io,5,CR\n");
    assert_eq!(create("windows.csv").expect(0).json["encoding"], "windows-1252");
    assert!(shop.export("customers").contains("ren\u{e9}@x.io"));
}

#[test]
fn rows_inside_a_quoted_cell_too_long_are_not_applied() {
    let shop = shop();
    let inner = "ana@example.com,1000,CR,hi\n".repeat(700_000);
    shop.write(
        "points.csv",
        format!("email,amount,operation,note\nana@example.com,1,CR,\"{inner}\"\nana@example.com,2,CR,\n"),
    );
    let summary = shop.run(&import("points.csv", &["--rejects", "r.csv", "--processed", "p.csv"])).expect(3).json;
    assert_eq!(summary["rows"]["read"], 2);
    assert_eq!(summary["points"]["credited"], "2");
    let processed = rows(&shop.read("p.csv"));
    let lines: Vec<&str> = processed.iter().map(|cells| cells[0].as_str()).collect();
    assert_eq!(lines, ["2", "700003"]);
    assert!(shop.read("r.csv").contains("the row is longer than 16777216 bytes"));
}

#[test]
fn an_adjustment_is_refused_as_a_row_would_be() {
    let shop = shop();
    let adjust = |operation: &'static str, amount: &'static str| {
        shop.run(&["adjust", operation, amount, "--email", "ana@example.com"])
    };
    let cases = [
        ("credit", "52,620", "amount_invalid", "amount `52,620` has commas between its digits: write it in digits"),
        ("credit", "5.5", "amount_precision", "amount `5.5` has more decimals than the program"),
        ("debit", "-5", "amount_invalid", "amount `-5` is negative: the operation says"),
        ("reset", "-5", "amount_invalid", "amount `-5` is negative: a balance cannot be set to it"),
    ];
    for (operation, amount, code, message) in cases {
        let refused = adjust(operation, amount).expect(3);
        assert_eq!((&refused.json["status"], &refused.json["code"]), (&"rejected".into(), &code.into()));
        let said = refused.json["message"].as_str().expect("a message");
        assert!(said.starts_with(message) && !said.contains("--"), "{said}");
    }
    let refused = shop.run(&["adjust", "credit", "5", "--email", "ana", "--mobile", "+37069999999"]).expect(3);
    assert_eq!(refused.json["code"], "identifier_invalid");
    let unknown = shop.run(&["adjust", "credit", "5", "--mobile", "+37069999999"]).expect(3);
    assert_eq!(unknown.json["message"], "no customer has the mobile `+37069999999`");
    // A credit of a negative number is a debit.
    let taken = adjust("credit", "-5").expect(0);
    assert_eq!((&taken.json["amount"], &taken.json["balance"]), (&"-5".into(), &"95".into()));
}

#[test]
fn what_is_no_text_file_is_refused() {
    let shop = shop();
    std::fs::create_dir(shop.path("folder")).expect("a directory is made");
    refused(&shop, &import("folder", &[]), 1, &["`folder`", "is a directory", "one of its files"]);
    refused(&shop, &import("nowhere.csv", &[]), 1, &["cannot find `nowhere.csv`"]);
    let binaries: [(&str, Vec<u8>); 5] = [
        ("program", std::fs::read(env!("CARGO_BIN_EXE_tidemill")).expect("the binary")[..100_000].to_vec()),
        ("zeros", vec![0; 5000]),
        ("picture", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &[7; 999]].concat()),
        ("spreadsheet", [b"PK\x03\x04\x14\0\x06\0".as_slice(), &[0xd1; 3000]].concat()),
        ("cut archive", [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), &[0x5a; 50]].concat()),
    ];
    for (name, bytes) in binaries {
        shop.write(name, bytes);
        let before = shop.verify();
        let ended = shop.run(&import(name, &[]));
        assert!(matches!(ended.exit, Some(1 | 2)), "{name}: {ended:?}");
        assert!(ended.error("message").contains(name) || !ended.error("hint").is_empty(), "{name}: {ended:?}");
        assert_eq!(shop.verify(), before);
    }
}

#[test]
fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let rights = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its rights are changed");
    };
    let mut shop = shop();
    // SAFETY: it has no arguments and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        // Root may read every file, so another user tries: with a copy of the binary where that user may run it.
        const NOBODY: u32 = 65534;
        std::fs::copy(env!("CARGO_BIN_EXE_tidemill"), shop.path("tidemill")).expect("the binary is copied");
        rights(&shop.path("tidemill"), 0o755);
        shop = shop.run_by(NOBODY, "tidemill");
    }
    shop.write("secret.csv", POINTS);
    rights(&shop.path("secret.csv"), 0o000);
    refused(&shop, &import("secret.csv", &[]), 1, &["cannot open `secret.csv`", "readable"]);
}

/// The longest field that is read.
const MEBIBYTE: usize = 1 << 20;

/// A file whose long fields have so many bytes: two notes, one of them with newlines, an e-mail, an amount.
fn long_fields(bytes: usize) -> String {
    let note = "x".repeat(bytes);
    let lines = format!("{}{}", "y\n".repeat(MEBIBYTE / 2), &note[MEBIBYTE..]);
    let email = format!("{}@example.com", &note[12..]);
    format!(
        "email,amount,operation,note\nana@example.com,1,,{note}\nana@example.com,2,,\"{lines}\"\n{email},4,,\n\
         ana@example.com,{note},,\nana@example.com,8,,end\n"
    )
}

#[test]
fn a_field_of_a_mebibyte_is_read_and_a_longer_one_costs_its_row() {
    let applied = |code: &'static str| -> [&'static str; 5] { ["", "", code, "amount_invalid", ""] };
    let cases = [
        (MEBIBYTE, applied("identifier_invalid")),
        (MEBIBYTE + 1, ["row_malformed", "row_malformed", "row_malformed", "row_malformed", ""]),
    ];
    for (bytes, codes) in cases {
        let shop = shop();
        shop.write("long.csv", long_fields(bytes));
        shop.run(&import("long.csv", &["--processed", "p.csv", "--rejects", "r.csv"])).expect(3);
        let processed = rows(&shop.read("p.csv"));
        let found: Vec<(&str, &str)> = processed.iter().map(|cells| (cells[0].as_str(), cells[2].as_str())).collect();
        let after_note = (4 + MEBIBYTE / 2..).map(|line| line.to_string()).take(3);
        let lines: Vec<String> = ["2", "3"].map(str::to_owned).into_iter().chain(after_note).collect();
        assert_eq!(found, lines.iter().map(String::as_str).zip(codes).collect::<Vec<_>>());
        // A message tells which, and does not repeat a mebibyte.
        assert!(processed.iter().all(|cells| cells[3].len() < 1000));
        let rejects = rows(&shop.read("r.csv"));
        assert!(rejects.iter().any(|cells| cells.iter().any(|cell| cell.len() >= bytes)), "the row is kept whole");
        shop.verify();
    }
}

#[test]
fn an_endless_row_costs_itself() {
    let shop = shop();
    let field = "x".repeat(MEBIBYTE / 2);
    let content = format!("email,amount,operation\n{}\nana@example.com,8,\n", format!("{field},").repeat(40));
    shop.write("endless.csv", content);
    let ended = shop.run(&import("endless.csv", &["--processed", "p.csv"])).expect(3);
    assert_eq!((&ended.json["rows"]["applied"], &ended.json["rows"]["rejected"]), (&1.into(), &1.into()));
    assert_eq!(rows(&shop.read("p.csv"))[0][..3], ["2", "rejected", "row_malformed"]);
}

/// The most memory that a process had, in MiB; it is looked at until the process ends.
fn peak_mebibytes(child: &mut std::process::Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().expect("it is ours").is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.split_whitespace().next()).and_then(|kibibytes| kibibytes.parse().ok());
        peak = peak.max(found.unwrap_or(0) / 1024);
        thread::sleep(Duration::from_millis(5));
    }
    peak
}

#[test]
fn long_rows_take_no_more_memory_when_there_are_more() {
    use std::io::Write;
    let shop = shop().flag("--threads").flag("2");
    let zipped = |row: &str, rows: usize| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"email,amount,operation\n").expect("a vector takes all");
        (0..rows).for_each(|_| encoder.write_all(row.as_bytes()).expect("a vector takes all"));
        encoder.write_all(b"\nana@example.com,1,\n").expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    };
    let piece = "x".repeat(4 * MEBIBYTE);
    // One row without an end, rows with a field too long, quotes that nobody closes.
    for (row, rows, most) in [
        (piece.clone(), 200, 500),
        (format!("{piece},1,\n"), 200, 1500),
        (format!("\"{},1,\n", &piece[..MEBIBYTE / 4]), 800, 700),
    ] {
        shop.write("long.csv.gz", zipped(&row, rows));
        let mut child = shop.spawn(&import("long.csv.gz", &["--again"]));
        let peak = peak_mebibytes(&mut child);
        let ended = finish(child).expect(3);
        assert_eq!(ended.json["rows"]["applied"], 1, "the row behind is read");
        println!("{} MiB of {} rows: peak {peak} MiB", (row.len() * rows) >> 20, ended.json["rows"]["read"]);
        assert!(peak < most, "{peak} MiB");
    }
}

#[test]
fn an_unclosed_quote_costs_one_row_of_a_long_file() {
    let shop = shop();
    let good = "ana@example.com,1,\n".repeat(60_000);
    shop.write("open.csv", format!("email,amount,operation\n{good}\"ana@example.com,1,\n{good}"));
    let ended = shop.run(&import("open.csv", &[])).expect(3);
    assert_eq!(ended.json["rows"]["applied"], 120_000);
    assert_eq!(ended.json["rejects"], serde_json::json!({"row_malformed": 1}));
}

#[test]
fn the_same_file_is_applied_once_unless_again_is_said() {
    let shop = shop();
    shop.write("points.csv", POINTS);
    shop.run(&import("points.csv", &[])).expect(3);
    let ended = refused(&shop, &import("points.csv", &[]), 4, &["job 2", "--again"]);
    assert_eq!((ended.error("code").as_str(), ended.error("job").as_str()), ("repeated_file", "2"));
    // What does not change the effect does not matter: name, reason, comment, time, threads, reports, compression.
    shop.write("other-name.csv", POINTS);
    let more = ["--comment", "y", "--now", "2027-01-01T00:00:00Z", "--threads", "1", "--processed", "p.csv"];
    refused(&shop, &["import", "points", "other-name.csv", "--reason", "z"], 4, &["job 2"]);
    refused(&shop, &import("other-name.csv", &more), 4, &["job 2"]);
    let gzip = Command::new("gzip").arg("-k").arg(shop.path("points.csv")).status();
    if gzip.is_ok_and(|status| status.success()) {
        refused(&shop, &import("points.csv.gz", &[]), 4, &["job 2"]);
    } else {
        not_run("gzip is not there");
    }
    // Another policy is another job, and a dry run none.
    shop.run(&import("points.csv", &["--on-overdraft", "clamp", "--dry-run"])).expect(0);
    let ended = shop.run(&import("points.csv", &["--on-overdraft", "clamp"])).expect(0);
    assert_eq!(ended.json["job"], 3);
    let ended = shop.run(&import("points.csv", &["--again"])).expect(0);
    assert_eq!(ended.json["job"], 4);
    refused(&shop, &import("points.csv", &[]), 4, &["job 4"]);
    shop.verify();
}

#[test]
fn expectations_refuse_the_whole_job() {
    let shop = shop();
    shop.write("points.csv", POINTS);
    let cases = [
        (["--max-rejects", "0"], "max_rejects", &["1 rows would be rejected", "at most 0"][..]),
        (["--max-rejects", "33%"], "max_rejects", &["1 of 3 rows"]),
        (["--expect-rows", "4"], "expect_rows", &["3 rows", "4 were expected"]),
        (["--expect-total", "4"], "expect_total", &["sum up to 3", "4 was expected"]),
    ];
    for (more, code, says) in cases {
        let ended = refused(&shop, &import("points.csv", &more), 4, says);
        assert_eq!(ended.error("code"), code);
        assert!(ended.error("hint").contains("nothing was changed"), "{ended:?}");
    }
    // 5 + 7 - 9, one of three rejected.
    let met = ["--max-rejects", "34%", "--expect-rows", "3", "--expect-total", "3"];
    let ended = shop.run(&import("points.csv", &met)).expect(3);
    assert_eq!((&ended.json["job"], &ended.json["rows"]["applied"]), (&2.into(), &2.into()));
    // What is set, and what cannot be assigned, is in the sum as it stands in the file.
    shop.write(
        "set.csv",
        "email,points\nana@example.com,40\nben@example.com,2\nnobody@example.com,8\nben@example.com,x\n",
    );
    let reset = |expected: &'static str| import("set.csv", &["--mode", "reset", "--expect-total", expected]);
    refused(&shop, &reset("0"), 4, &["sum up to 50", "0 was expected"]);
    shop.run(&reset("50")).expect(3);
    shop.write("odd.csv", "email,amount,operation\nana@example.com,5,CR\nana@example.com,7,XX\nana@example.com,2,DR\n");
    let odd = |expected: &'static str| import("odd.csv", &["--expect-total", expected]);
    refused(&shop, &odd("3"), 4, &["sum up to 10"]);
    let ended = shop.run(&odd("10")).expect(3);
    let found = &ended.json["file_points"];
    assert_eq!((&found["unassigned_rows"], &found["unreadable_rows"]), (&1.into(), &0.into()));
    let wrong = [["--max-rejects", "101%"], ["--max-rejects", "x"], ["--expect-rows", "x"], ["--expect-total", "1.5"]];
    for more in wrong {
        refused(&shop, &import("points.csv", &[&more[..], &["--again"]].concat()), 2, &[more[0]]);
    }
}

#[test]
fn a_dry_run_tells_everything_and_changes_nothing() {
    let shop = shop();
    shop.write("points.csv", POINTS);
    let before = (Content::of_binary(&shop), shop.run(&["job", "list"]).json);
    let flags = |reports: [&'static str; 2]| ["--processed", reports[0], "--rejects", reports[1]];
    let dry = shop.run(&import("points.csv", &[&flags(["dp.csv", "dr.csv"])[..], &["--dry-run"]].concat())).expect(3);
    assert!(dry.json["job"].is_null());
    assert_eq!(dry.json["dry_run"], true);
    assert_eq!(Content::of_binary(&shop).difference(&before.0), None);
    assert_eq!(shop.run(&["job", "list"]).json, before.1);
    let real = shop.run(&import("points.csv", &flags(["p.csv", "r.csv"]))).expect(3);
    for field in
        ["kind", "format", "rows", "points", "balance", "customers", "rejects", "file_points", "kept", "program"]
    {
        assert_eq!(dry.json[field], real.json[field], "{field}");
    }
    // Its reports are the real ones, and each row says that it was dry.
    for (dry, real) in [("dp.csv", "p.csv"), ("dr.csv", "r.csv")] {
        let dry = shop.read(dry);
        assert_eq!(dry.matches("dry run").count(), dry.lines().count() - 1);
        assert_eq!(dry.replace("dry run: ", "").replace("dry run", ""), shop.read(real));
    }
    // It makes no store either.
    let nowhere = Binary::new();
    nowhere.write("points.csv", POINTS);
    let ended = nowhere.run(&import("points.csv", &["--dry-run"])).expect(1);
    assert_eq!(ended.error("code"), "store_unknown");
    assert!(!nowhere.store().exists());
}

/// Starts an import of so many commits that it can be killed in the middle; returns once some were made.
fn killed_in_the_middle(binary: &Binary) {
    binary.run(&["bench", "--generate", ".", "--customers", "500", "--rows", "40000"]).expect(0);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    let command =
        [&["--window-rows", "50"], &import("points.csv", &["--processed", "p.csv", "--rejects", "r.csv"])[..]].concat();
    let mut child = binary.spawn(&command);
    let length = || std::fs::metadata(binary.path("p.csv")).map_or(0, |metadata| metadata.len());
    while length() < 20_000 && child.try_wait().expect("it is our child").is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("it is ours");
    assert_eq!(finish(child).exit, None, "it ended before it was killed");
}

#[test]
fn a_file_that_changed_since_the_crash_is_refused() {
    let binary = Binary::new();
    killed_in_the_middle(&binary);
    let points = binary.read("points.csv");
    let (last, first) = (points.rfind(",CR").expect("a credit"), points.find("\n").expect("a header"));
    let mut other_end = points.clone();
    other_end.replace_range(last + 1..last + 3, "DR");
    let mut other_start = points.clone();
    other_start.replace_range(first + 1..first + 2, "X");
    for changed in [other_end.as_str(), &other_start, &points[..points.len() / 2], &points[..30], ""] {
        binary.write("points.csv", changed);
        let ended = binary.run(&["job", "resume", "2"]);
        assert!(matches!(ended.exit, Some(1 | 4)), "{ended:?}");
        assert_eq!(ended.exit, Some(4), "{ended:?}");
        assert_eq!((ended.error("code").as_str(), ended.error("job").as_str()), ("file_changed", "2"));
        binary.verify();
    }
    std::fs::remove_file(binary.path("points.csv")).expect("it is removed");
    let ended = binary.run(&["job", "resume", "2"]).expect(1);
    assert!(ended.error("message").contains("cannot find"), "{ended:?}");
    binary.write("points.csv", &points);
    let ended = binary.run(&["job", "resume", "2"]).expect(3);
    assert_eq!(ended.json["rows"]["read"], 40_000);
    binary.verify();
}

#[test]
fn a_report_that_is_gone_does_not_lose_the_job() {
    let binary = Binary::new();
    killed_in_the_middle(&binary);
    std::fs::remove_file(binary.path("p.csv")).expect("it is removed");
    for command in [&["job", "resume", "2"][..], &import("points.csv", &[])] {
        let ended = binary.run(command).expect(1);
        assert!(ended.error("hint").contains("--without-processed"), "{ended:?}");
    }
    // As the hint says: without it, the job goes on, and no longer says that it wrote it.
    let ended = binary.run(&["job", "resume", "2", "--without-processed"]).expect(3);
    assert_eq!((&ended.json["job"], &ended.json["rows"]["read"]), (&2.into(), &40_000.into()));
    let files = ended.json["files"].as_array().expect("a list");
    assert!(files.len() == 1 && files[0].as_str().is_some_and(|file| file.ends_with("r.csv")), "{files:?}");
    assert!(!binary.path("p.csv").exists());
    binary.verify();
}

#[test]
fn another_format_version_is_refused_and_not_touched() {
    let shop = shop();
    let version = shop.store().join("TIDEMILL_FORMAT");
    let ours = std::fs::read_to_string(&version).expect("the version");
    for other in ["2\n", "999", "", "one\n"] {
        std::fs::write(&version, other).expect("it is written");
        for command in [&["verify"][..], &["store", "info"], &["import", "customers", "customers.csv", "--again"]] {
            let ended = shop.run(command);
            assert!(ended.exit.is_some_and(|exit| exit != 0), "{other:?} {command:?}: {ended:?}");
            let says = format!("{} {}", ended.error("message"), ended.error("hint"));
            assert!(says.contains("version") && says.contains(other.trim()), "{says}");
        }
        assert_eq!(std::fs::read_to_string(&version).expect("the version"), other);
    }
    std::fs::write(&version, ours).expect("it is written");
    assert_eq!(shop.verify()["customers"], 2);
}

#[test]
fn a_directory_that_is_no_store_is_left_alone() {
    let binary = Binary::new();
    std::fs::create_dir(binary.store()).expect("a directory is made");
    std::fs::write(binary.store().join("letter.txt"), "dear").expect("a file is written");
    binary.write("customers.csv", "email\nana@example.com\n");
    let ended = binary.run(&["import", "customers", "customers.csv"]).expect(2);
    assert!(ended.error("message").contains("not empty and no store"), "{ended:?}");
    assert_eq!(files_below(&binary.store()), [PathBuf::from("letter.txt")]);
    // One that a killed process began is.
    std::fs::remove_file(binary.store().join("letter.txt")).expect("it is removed");
    std::fs::write(binary.store().join("TIDEMILL_FORMAT.new"), "").expect("a file is written");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary.verify();
}

#[test]
fn a_second_process_is_told_who_holds_the_store() {
    let binary = Binary::new();
    binary.run(&["bench", "--generate", ".", "--customers", "500", "--rows", "100000"]).expect(0);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    let command = [&["--window-rows", "50"], &import("points.csv", &["--processed", "p.csv"])[..]].concat();
    let mut child = binary.spawn(&command);
    let holder = format!("process {},", child.id());
    while !binary.path("p.csv").exists() && child.try_wait().expect("it is our child").is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    let ended = binary.run(&["customer", "show", "--user-id", "u00000001"]);
    assert!(child.try_wait().expect("it is our child").is_none(), "it ended before the second began");
    assert_eq!(ended.exit, Some(1), "{ended:?}");
    assert_eq!(ended.error("code"), "store_busy");
    assert!(ended.error("message").contains(&holder), "{ended:?}");
    child.kill().expect("it is ours");
    finish(child);
    // Who is dead holds nothing.
    binary.run(&["customer", "show", "--user-id", "u00000001"]).expect(0);
    binary.verify();
}

/// A store in which every kind of file lies: small commits and large ones, caches, jobs with rejected rows, and
/// adjustments that are in the write-ahead log alone. Whoever opens it moves these into a table: look at a copy.
fn full_store() -> Binary {
    let binary = Binary::new();
    binary.run(&["bench", "--generate", ".", "--customers", "150000", "--rows", "60000"]).expect(0);
    binary.write("few.csv", "user_id,name\nu00000001,Ana\nnew,Ben\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary.run(&import("points.csv", &[])).expect(3);
    binary.run(&["import", "customers", "few.csv"]).expect(0);
    binary.run(&["adjust", "credit", "5", "--user-id", "new"]).expect(0);
    binary.verify();
    // Several in one log, so that some have a sound one behind them.
    let engine = Engine::open(&binary.store(), Options::default()).expect("a store");
    for amount in ["7", "11", "13"] {
        let request = AdjustRequest {
            identifiers: vec![(IdentifierKind::UserId, "new".to_owned())],
            operation: Operation::Credit,
            amount: amount.to_owned(),
            on_overdraft: OnOverdraft::Reject,
            expiry: None,
        };
        engine.adjust(&JobRequest { now: Some(now()), ..JobRequest::default() }, &request).expect("an adjustment");
    }
    binary
}

/// Writes a file anew, with a change.
fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("a file");
    change(&mut bytes);
    std::fs::remove_file(path).expect("it is removed");
    std::fs::write(path, bytes).expect("it is written");
}

/// What must hold of a damaged store: `verify` or the opening says what is wrong, or everything is as it was. Never is
/// another balance or a smaller ledger called sound. Returns whether the damage was found.
fn is_found(damaged: &Binary, expected: &Content, exit: i32, what: &str) -> bool {
    let verified = damaged.run(&["verify"]);
    assert!(!verified.stdout.contains("panicked") && !verified.stderr.contains("panicked"), "{what}: {verified:?}");
    if verified.exit == Some(0) {
        assert_eq!(verified.json["ok"], true, "{what}");
        assert_eq!(Content::of_binary(damaged).difference(expected), None, "{what}");
        return false;
    }
    assert_eq!(verified.exit, Some(exit), "{what}: {verified:?}");
    let problems = verified.json["problems"].as_array().is_some_and(|problems| !problems.is_empty());
    let message = verified.json["error"]["message"].as_str().is_some_and(|message| !message.is_empty());
    assert!(problems || message, "{what}: {verified:?}");
    true
}

/// The places of a write-ahead log where a byte is flipped: checksum, length, kind, beginning, middle and end of each
/// record. A length that reaches beyond the end of the file is the same to RocksDB as a file that was cut there.
fn places_of_log(log: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while let Some([_, _, _, _, low, high, _]) = log.get(at..at + 7) {
        let (first, length) = (at + 7, usize::from(u16::from_le_bytes([*low, *high])));
        assert!(length > 0 && first + length <= log.len(), "a record of {length} bytes at {at}");
        places.extend([at, at + 4, at + 5, at + 6, first, first + length / 2, first + length - 1]);
        at = first + length;
    }
    assert_eq!(at, log.len());
    places
}

#[test]
fn a_flipped_byte_in_any_file_is_found_or_says_nothing() {
    let binary = full_store();
    let expected = Content::of_binary(&binary.copy());
    let store = binary.store();
    let mut kinds = std::collections::BTreeMap::<String, Vec<PathBuf>>::new();
    for file in files_below(&store) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        // RocksDB's own diary, a lock without content, and the name of who had the store last.
        if name.starts_with("LOG") || ["LOCK", "TIDEMILL_HOLDER"].contains(&name.as_str()) {
            continue;
        }
        let kind = name
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '-')
            .trim_end_matches(|c: char| c.is_ascii_digit());
        kinds.entry(kind.to_owned()).or_default().push(file);
    }
    for kind in [".sst", ".log", "MANIFEST-", "CURRENT", "TIDEMILL_FORMAT"] {
        assert!(kinds.contains_key(kind), "{kind} is not among {:?}", kinds.keys());
    }
    let (mut found, mut named, mut harmless) = (0, 0, Vec::new());
    for (kind, file) in kinds.iter().flat_map(|(kind, files)| files.iter().map(move |file| (kind, file))) {
        let bytes = std::fs::read(store.join(file)).expect("a file");
        let length = bytes.len();
        let places = if kind == ".log" {
            places_of_log(&bytes)
        } else {
            [length / 7, length / 2, length * 6 / 7].into_iter().filter(|&place| place < length).collect()
        };
        assert!(kind != ".log" || places.len() >= 15, "three adjustments are in the log: {places:?}");
        for place in places {
            let copy = binary.copy();
            damage(&copy.store().join(file), |bytes| bytes[place] ^= 0x41);
            let what = format!("{} at {place} of {length}", file.display());
            // A version that is not ours is not damage.
            let exit = if file == Path::new("TIDEMILL_FORMAT") { 2 } else { 1 };
            if is_found(&copy, &expected, exit, &what) {
                found += 1;
                if kind == ".log" {
                    // A record that is gone whole cannot say where it was.
                    let told = copy.run(&["verify"]).json["error"]["message"].to_string();
                    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                    assert!(told.contains(&name) || told.contains("has lost window"), "{what}: {told}");
                    named += usize::from(told.contains(&name));
                }
            } else {
                // Every byte of the log says something.
                assert_ne!(kind, ".log", "{what}");
                harmless.push(what);
            }
        }
    }
    println!("{found} flips were found; {} changed nothing: {harmless:#?}", harmless.len());
    assert!(found > harmless.len(), "{harmless:#?}");
    assert!(named >= 10, "{named} flips of a write-ahead log were told with its name");
}

#[test]
fn a_list_of_tables_that_lost_its_end_is_damage_and_never_an_unknown_job() {
    let binary = full_store();
    let expected = Content::of_binary(&binary.copy());
    let list = files_below(&binary.store()).into_iter().find(|path| path.to_string_lossy().contains("MANIFEST-"));
    let list = list.expect("a list of tables");
    let bytes = std::fs::read(binary.store().join(&list)).expect("a file");
    let (mut at, mut cuts) = (0, 0);
    while let Some([_, _, _, _, low, high, _]) = bytes.get(at..at + 7) {
        let copy = binary.copy();
        damage(&copy.store().join(&list), |bytes| bytes.truncate(at));
        let what = format!("{} cut to {at} bytes", list.display());
        if is_found(&copy, &expected, 1, &what) {
            let again = copy.run(&["verify"]);
            assert_ne!(again.json["error"]["code"], "job_unknown", "{what}: {again:?}");
            for (name, whole) in [("ledger", &expected.ledger), ("customers", &expected.customers)] {
                let ended = copy.run(&["export", name, "-o", "part.csv"]);
                // A log with a hole is never a smaller one.
                assert!(ended.exit == Some(1) || copy.read("part.csv") == *whole, "{what}: {ended:?}");
            }
        }
        at += 7 + usize::from(u16::from_le_bytes([*low, *high]));
        cuts += 1;
    }
    assert!(cuts > 5, "{cuts} cuts");
}

#[test]
fn a_missing_or_cut_table_is_found() {
    let binary = full_store();
    let expected = Content::of_binary(&binary.copy());
    let tables: Vec<PathBuf> = files_below(&binary.store())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "sst"))
        .collect();
    assert!(tables.len() > 3, "{tables:?}");
    for file in tables {
        for keep in [None, Some(0), Some(2)] {
            let copy = binary.copy();
            let path = copy.store().join(&file);
            match keep {
                None => std::fs::remove_file(&path).expect("it is removed"),
                Some(part) => damage(&path, |bytes| bytes.truncate(bytes.len() * part / 3)),
            }
            let what = format!("{}, of which {keep:?} thirds are kept", file.display());
            assert!(is_found(&copy, &expected, 1, &what), "{what}: nobody missed it");
        }
    }
}

/// A file system in memory of so many MiB, taken away when it goes out of scope.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount one; a failure where all tests must run.
    fn mount(at: PathBuf, mebibytes: u32) -> Option<SmallDisk> {
        std::fs::create_dir_all(&at).expect("a directory is made");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output();
        let refused = match mounted {
            Ok(output) if output.status.success() => return Some(SmallDisk(at)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        not_run(&format!("a small disk cannot be mounted by this user: {refused}"));
        None
    }

    /// Takes all but so many bytes.
    fn fill(&self, left: u64) {
        let free = || {
            let mut statistics = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
            let path = std::ffi::CString::new(self.0.to_str().expect("a path")).expect("no NUL");
            // SAFETY: the path is a C string and the structure ours; it was all zeros before.
            unsafe {
                assert_eq!(libc::statvfs(path.as_ptr(), statistics.as_mut_ptr()), 0);
                let statistics = statistics.assume_init();
                statistics.f_bavail * statistics.f_frsize
            }
        };
        let bytes = usize::try_from(free().saturating_sub(left)).expect("it fits");
        std::fs::write(self.0.join("ballast"), vec![1; bytes]).expect("it is filled");
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("it is removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_a_job_that_goes_on_when_there_is_room() {
    let binary = Binary::new();
    binary.run(&["bench", "--generate", ".", "--customers", "5000", "--rows", "400000"]).expect(0);
    let Some(disk) = SmallDisk::mount(binary.store(), 160) else { return };
    // A store is a directory of its own: the ballast lies beside it.
    let store = disk.0.join("s").to_string_lossy().into_owned();
    let on_disk = |arguments: &[&str]| binary.run_on(&store, arguments);
    on_disk(&["import", "customers", "customers.csv"]).expect(0);
    let before = on_disk(&["verify"]).expect(0).json;
    let command =
        [&["--window-rows", "20000"], &import("points.csv", &["--processed", "p.csv", "--rejects", "r.csv"])[..]]
            .concat();

    // No room to begin; and room for some commits.
    for left in [1 << 20, 70 << 20] {
        disk.fill(left);
        let began = Instant::now();
        let ended = on_disk(&command).expect(1);
        assert_eq!(ended.error("code"), "disk_full", "{ended:?}");
        assert!(ended.error("message").contains("free"), "{ended:?}");
        assert!(ended.error("hint").contains("free some space"), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        disk.free();
        let verified = on_disk(&["verify"]).expect(0).json;
        println!("with {left} bytes left it stopped after {:?}: {}", began.elapsed(), ended.error("message"));
        if left == 1 << 20 {
            assert_eq!(verified, before);
        }
    }
    let ended = on_disk(&command).expect(3);
    assert_eq!(ended.json["rows"]["read"], 400_000);
    let digest = on_disk(&["verify"]).expect(0).json;
    let processed = binary.read("p.csv");
    // The same on a disk with room.
    let elsewhere = binary.path("elsewhere").to_string_lossy().into_owned();
    let there = |arguments: &[&str]| binary.run_on(&elsewhere, arguments);
    there(&["import", "customers", "customers.csv"]).expect(0);
    there(&command).expect(3);
    assert_eq!(there(&["verify"]).expect(0).json, digest);
    assert!(binary.read("p.csv") == processed);
}

#[test]
fn a_full_disk_while_a_stream_is_kept_changes_nothing() {
    let binary = Binary::new();
    // What does not compress well, so that it needs the room.
    let mut random = 1_u64;
    let mut content = "email,amount,operation\n".to_owned();
    while content.len() < 24 * MEBIBYTE {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        content += &format!("{random:x}@example.com,1,\n");
    }
    let Some(disk) = SmallDisk::mount(binary.store(), 200) else { return };
    let store = disk.0.join("s").to_string_lossy().into_owned();
    binary.write("customers.csv", "email\nana@example.com\n");
    binary.run_on(&store, &["import", "customers", "customers.csv"]).expect(0);
    let before = binary.run_on(&store, &["verify"]).expect(0).json;
    for left in [1 << 20, 72 << 20] {
        disk.fill(left);
        let ended = binary.run_reading_on(&store, content.as_bytes(), &import("-", &[])).expect(1);
        assert_eq!(ended.error("code"), "disk_full", "{ended:?}");
        assert!(ended.error("hint").contains("nothing was changed; free some space"), "{ended:?}");
        assert_eq!(std::fs::read_dir(disk.0.join("s/spool")).expect("a directory").count(), 0);
        disk.free();
        assert_eq!(binary.run_on(&store, &["verify"]).expect(0).json, before);
    }
    let content = "email,amount,operation\nana@example.com,1,\n";
    binary.run_reading_on(&store, content.as_bytes(), &import("-", &[])).expect(0);
}

#[test]
fn a_full_disk_under_a_report_stops_the_job_and_loses_nothing() {
    let binary = Binary::new();
    binary.run(&["bench", "--generate", ".", "--customers", "500", "--rows", "60000"]).expect(0);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    let Some(disk) = SmallDisk::mount(binary.path("reports"), 4) else { return };
    let reports = ["--processed", "reports/p.csv", "--rejects", "reports/r.csv"];
    let command = [&["--window-rows", "5000"], &import("points.csv", &reports)[..]].concat();
    disk.fill(1 << 20);
    let ended = binary.run(&command).expect(1);
    assert_eq!((ended.error("code").as_str(), ended.error("job").as_str()), ("disk_full", "2"), "{ended:?}");
    assert!(ended.error("message").contains("reports/p.csv"), "{ended:?}");
    binary.verify();
    disk.free();
    let ended = binary.run(&command).expect(3);
    assert_eq!(ended.json["rows"]["read"], 60_000);
    let processed = binary.read("reports/p.csv");
    assert_eq!(processed.lines().count(), 60_001);
    // No line twice, none left out.
    assert!(rows(&processed).iter().map(|cells| cells[0].as_str()).eq((2..).take(60_000).map(|line| line.to_string())));
    binary.verify();
}

#[test]
fn a_report_that_cannot_be_written_is_found_out_first() {
    let shop = shop();
    shop.write("points.csv", POINTS);
    for flag in ["--processed", "--rejects"] {
        let more = [flag, "no/such/folder/report.csv"];
        let ended = shop.run(&import("points.csv", &more));
        assert!(matches!(ended.exit, Some(1 | 2)), "{ended:?}");
        assert!(ended.error("message").contains("no/such/folder/report.csv"), "{ended:?}");
    }
    assert_eq!(shop.run(&["job", "list"]).json["jobs"].as_array().map(Vec::len), Some(1));
    shop.verify();
}

#[test]
fn a_title_above_the_header_is_told_from_a_header() {
    let shop = shop();
    shop.write("title.csv", "My customers 2026\n\nemail,amount,operation\nana@example.com,5,CR\n");
    let ended = shop.run(&import("title.csv", &[])).expect(2);
    assert!(ended.error("hint").contains("`--skip-rows N`"), "{}", ended.stdout);
    assert_eq!(shop.run(&import("title.csv", &["--skip-rows", "2"])).expect(0).json["rows"]["applied"], 1);
    // One word may be a header that nobody knows.
    shop.write("header.csv", "contact\nana@example.com\n");
    let ended = shop.run(&import("header.csv", &[])).expect(2);
    assert!(!ended.error("hint").contains("--skip-rows"), "{}", ended.stdout);
}
