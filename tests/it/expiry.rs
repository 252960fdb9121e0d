//! Points with a last day, as the binary takes them in, shows them and expires them.

use serde_json::{Value, json};
use tidemill::{
    domain::time::Timestamp,
    engine::{
        Engine,
        request::{ExpireRequest, JobRequest},
    },
    error::ErrorKind,
    job::progress::Progress,
    options::Options,
};

use super::support::{binary::Binary, content::Content};

/// A day on which the points of [`shop`] that can expire have.
const LATER: &str = "2027-06-01T00:00:00Z";

/// Ana has 100 points to the end of 2026, 50 permanent ones, and 30 promised to the end of January; Ben 2.50 miles to
/// the end of 2026.
fn shop() -> Binary {
    let binary = Binary::new();
    binary.write("customers.csv", "user_id\nana\nben\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary.run(&["program", "add", "miles", "--decimals", "2"]).expect(0);
    binary.write(
        "points.csv",
        "user_id,amount,expires_on,promised,program\nana,100,2026-12-31,,\nana,50,,,\nana,30,2027-01-31,yes,\n\
         ben,2.50,2026-12-31,,miles\n",
    );
    binary.run(&["import", "points", "points.csv", "--mode", "add"]).expect(0);
    binary
}

#[track_caller]
fn lots(binary: &Binary, user_id: &str, program: usize) -> Value {
    binary.run(&["customer", "show", "--user-id", user_id]).expect(0).json["accounts"][program]["lots"].take()
}

#[test]
fn days_of_validity_are_counted_whether_or_not_the_file_has_last_days_too() {
    // 30 days from 22 November: valid to the end of 22 December.
    for (file, flags) in [
        ("email,amount,operation,expiry\nana@example.com,5,CR,30\n", &["--reason", "x"][..]),
        ("email,amount,operation,expires_in_days\nana@example.com,5,CR,30.0\n", &["--format", "tidemill"]),
        ("email,amount,operation,expires_on,expires_in_days\nana@example.com,5,CR,,30\n", &[]),
        ("email,amount,operation,expires_on\nana@example.com,5,CR,2026-12-22\n", &[]),
    ] {
        let binary = Binary::new();
        binary.write("points.csv", file);
        let mut arguments = vec!["import", "points", "points.csv", "--on-unknown", "create"];
        arguments.extend(flags);
        binary.run(&arguments).expect(0);
        // Not by `customer show`, which on a later day than that shows no lot.
        let ledger = binary.export("ledger");
        assert!(ledger.contains(",5,5,2026-12-22,"), "{file}: {ledger}");
    }
}

#[test]
fn an_adjustment_says_how_long_its_points_are_valid() {
    let shop = shop();
    let adjust = |operation: &str, amount: &str, more: &[&str]| {
        let mut arguments = vec!["adjust", operation, amount, "--user-id", "ben"];
        arguments.extend(more);
        shop.run(&arguments)
    };
    let cases: [(&str, &str, &[&str], i32, &str); 8] = [
        ("credit", "5", &["--expires-on", "2026-11-21"], 3, "the last day 2026-11-21 is over, today is 2026-11-22"),
        ("credit", "5", &["--expires-in", "3000000"], 3, "3000000 days reach beyond the year 9999"),
        ("credit", "-5", &["--expires-in", "30"], 2, "points that are taken have no last day"),
        ("credit", "5", &["--expires-on", "2027-02-29"], 2, "not a day that exists, written as in `2029-12-31`"),
        ("credit", "5", &["--expires-in", "0"], 2, "not a whole number of days from 1"),
        ("credit", "5", &["--expires-on", "2027-01-31", "--expires-in", "30"], 2, "cannot be used with"),
        ("debit", "5", &["--expires-in", "30"], 2, "unexpected argument"),
        ("reset", "5", &["--expires-on", "31.12.2029"], 2, "not a day that exists"),
    ];
    for (operation, amount, more, exit, says) in cases {
        let ended = adjust(operation, amount, more).expect(exit);
        let said = if exit == 3 { ended.json["message"].to_string() } else { ended.error("message") };
        assert!(said.contains(says), "{operation} {amount} {more:?}: {said}");
    }
    assert_eq!(lots(&shop, "ben", 0), json!([]));
    // The day itself counts, and a reset gives what it adds a last day.
    adjust("credit", "5", &["--expires-on", "2026-11-22"]).expect(0);
    adjust("credit", "7", &["--expires-in", "30"]).expect(0);
    adjust("reset", "20", &["--expires-on", "2096-02-29"]).expect(0);
    let of = |lot: &Value| format!("{} {}", lot["remaining"], lot["expires_on"]).replace('"', "");
    // Reads are as of the clock's day, not of the adjustments': the first two may be over by now.
    let found: Vec<String> = shop.export("ledger").lines().rev().take(3).map(str::to_owned).collect();
    for (line, part) in found.iter().zip([",8,20,2096-02-29,", ",7,12,2026-12-22,", ",5,5,2026-11-22,"]) {
        assert!(line.contains(part), "{line}");
    }
    assert!(lots(&shop, "ben", 0).as_array().expect("a list").iter().any(|lot| of(lot) == "8 2096-02-29"));
    shop.verify();
}

#[test]
fn points_that_expire_on_the_way_are_counted_promised_ones_too() {
    let counted = |binary: &Binary, arguments: &[&str]| {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--now", LATER]);
        let ended = binary.run(&arguments).expect(0).json;
        let job = ended["job"].to_string();
        let points = binary.run(&["job", "show", &job]).expect(0).json["points"].take();
        assert_eq!((&points["expired"], &points["promises_expired"]), (&json!("100"), &json!("30")), "{arguments:?}");
        binary.verify();
    };
    counted(&shop(), &["expire"]);
    counted(&shop(), &["adjust", "credit", "1", "--user-id", "ana"]);
    let with_file = shop();
    with_file.write("more.csv", "user_id,amount,operation\nana,1,CR\n");
    counted(&with_file, &["import", "points", "more.csv"]);
    let with_customers = shop();
    with_customers.write("more.csv", "user_id,email,balance\nana,ana@example.com,5\n");
    // An opening balance counts only for a customer whom the row creates, so nothing moves and nothing expires.
    let ended = with_customers.run(&["import", "customers", "more.csv", "--now", LATER]).expect(0).json;
    assert_eq!(ended["points"]["expired"], "0");
}

#[test]
fn expiring_says_what_it_did_in_every_program_and_does_it_once() {
    let shop = shop();
    let before = Content::of_binary(&shop);
    let ahead = shop.run(&["expire", "--as-of", "2027-02-01", "--dry-run"]).expect(0).json;
    assert_eq!((&ahead["job"], &ahead["rows"]["applied"], &ahead["dry_run"]), (&Value::Null, &json!(2), &json!(true)));
    assert_eq!(ahead["points"]["expired"], "100");
    assert_eq!(ahead["points"]["promises_expired"], "30");
    assert_eq!(ahead["balance"], json!({ "before": "150", "after": "50" }));
    assert_eq!(ahead["other_programs"][0]["points"]["expired"], "2.50");
    assert_eq!(ahead["other_programs"][0]["balance"], json!({ "before": "2.50", "after": "0.00" }));
    // A last day is valid to its end.
    for (as_of, accounts) in [("2026-12-31", 0), ("2027-01-01", 2), ("2027-01-31", 2), ("2027-02-01", 2)] {
        let ahead = shop.run(&["expire", "--as-of", as_of, "--dry-run"]).expect(0).json;
        assert_eq!(ahead["rows"]["applied"], accounts, "{as_of}");
    }
    for (arguments, exit, says) in [
        (&["expire", "--as-of", "2027-02-01"][..], 2, "points that are valid on 2026-11-22 cannot be expired"),
        (&["expire", "--as-of", "2021-09-31"], 2, "not a day that exists"),
        (&["expire", "--program", "kilometres"], 1, "there is no program `kilometres`"),
        (&["expire", "points"], 2, "unexpected argument 'points'"),
    ] {
        let ended = shop.run(arguments).expect(exit);
        assert!(ended.error("message").contains(says), "{arguments:?}: {}", ended.error("message"));
    }
    assert_eq!(Content::of_binary(&shop).difference(&before), None);

    let miles = shop.run(&["expire", "--program", "miles", "--now", LATER]).expect(0).json;
    assert_eq!((&miles["program"], &miles["points"]["expired"]), (&json!("miles"), &json!("2.50")));
    let rest = shop.run(&["expire", "--now", LATER, "--reason", "end of year"]).expect(0).json;
    assert_eq!((&rest["rows"]["applied"], &rest["reason"]), (&json!(1), &json!("end of year")));
    let again = shop.run(&["expire", "--now", LATER]).expect(0).json;
    assert_eq!((&again["rows"]["read"], &again["points"]["expired"]), (&json!(0), &json!("0")));
    shop.verify();
}

#[test]
fn points_that_a_file_has_expire_at_once_have_the_reason_of_their_row_or_the_job() {
    let shop = shop();
    shop.write(
        "expiry.csv",
        "user_id,expiry_type,expiry_change,reason\nana,immediate,early,\nben,immediate,early,by mistake\n",
    );
    let import = ["import", "expiry", "expiry.csv", "--profile", "reference", "--reason", "the store closes"];
    shop.run(&import).expect(0);
    shop.run(&[&import[..], &["--program", "miles", "--again"]].concat()).expect(0);
    let ledger = shop.export("ledger");
    let reasons: Vec<&str> =
        ledger.lines().filter(|line| line.contains(",expire,")).filter_map(|line| line.split(',').nth(19)).collect();
    assert_eq!(reasons, ["the store closes", "the store closes", "by mistake"], "{ledger}");
    shop.verify();
}

#[test]
fn an_expiring_job_that_was_stopped_is_listed_shown_and_resumed() {
    let shop = shop();
    let engine = Engine::open(&shop.store(), Options::default()).expect("a store");
    let job = JobRequest { now: Timestamp::parse_rfc3339(LATER), ..JobRequest::default() };
    let progress = Progress::default();
    progress.stop();
    let stopped = engine.expire(&job, &ExpireRequest::default(), &progress).expect_err("a stop was asked for");
    assert_eq!(stopped.kind(), ErrorKind::Stopped);
    assert!(stopped.hint_text().is_some_and(|hint| hint.contains("tidemill job resume 3")), "{stopped:?}");
    drop(engine);
    let listed = shop.run(&["job", "list"]).expect(0).json["jobs"].take();
    assert_eq!((&listed[2]["kind"], &listed[2]["state"]), (&json!("expire"), &json!("unfinished")));
    assert_eq!(shop.run(&["job", "show", "3"]).expect(0).json["kind"], "expire");
    let resumed = shop.run(&["job", "resume", "3"]).expect(0).json;
    assert_eq!((&resumed["kind"], &resumed["state"]), (&json!("expire"), &json!("finished")));
    assert_eq!((&resumed["rows"]["applied"], &resumed["points"]["expired"]), (&json!(2), &json!("100")));
    let again = shop.run(&["job", "resume", "3"]).expect(0).json;
    assert_eq!(again["points"], resumed["points"]);
    shop.verify();
}

#[test]
fn a_program_is_shown_with_what_expires_when() {
    let shop = shop();
    shop.run(&["adjust", "credit", "40", "--user-id", "ben", "--expires-on", "2099-03-31"]).expect(0);
    shop.run(&["adjust", "credit", "2", "--user-id", "ben", "--expires-on", "2099-03-01"]).expect(0);
    shop.run(&["expire", "--now", LATER]).expect(0);
    let points = shop.run(&["program", "show", "points"]).expect(0).json;
    let expected = json!({
        "code": "points", "name": "Points", "decimals": 0, "currency": null, "accounts": 2, "balance": "92",
        "promised": "0", "expiring": [{ "month": "2099-03", "available": "42", "promised": "0" }], "permanent": "50",
        "overdue": "0",
    });
    assert_eq!(points, expected);
    let ended = shop.run(&["program", "show", "kilometres"]).expect(1);
    assert_eq!(ended.error("code"), "program_unknown");
}

#[test]
fn a_format_says_whether_today_is_the_first_day_of_validity() {
    let format = |first_day_counts: bool| {
        format!(
            "name = \"my\"\nkind = \"points\"\ntitle = \"My points\"\nmandatory = [[\"email\"], [\"amount\"]]\n\
             first_day_counts = {first_day_counts}\n\
             [[columns]]\nfield = \"email\"\nheaders = [\"email\"]\n[[columns]]\nfield = \"amount\"\nheaders = [\"amount\"]\n\
             [[columns]]\nfield = \"expires_in_days\"\nheaders = [\"days\"]\n"
        )
    };
    for (first_day_counts, days, last_day) in
        [(false, 1, "2026-11-23"), (true, 1, "2026-11-22"), (false, 30, "2026-12-22"), (true, 30, "2026-12-21")]
    {
        let binary = Binary::new();
        binary.write("my.toml", format(first_day_counts));
        binary.write("points.csv", format!("email,amount,days\nana@example.com,5,{days}\n"));
        let import =
            ["import", "points", "points.csv", "--format", "my.toml", "--mode", "add", "--on-unknown", "create"];
        binary.run(&import).expect(0);
        let ledger = binary.export("ledger");
        assert!(ledger.contains(&format!(",5,5,{last_day},")), "{first_day_counts} {days}: {ledger}");
    }
}
