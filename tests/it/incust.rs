//! inCust's customer file: whose a row is, which of its cells take effect by the overwrite classes, and what it credits.

use serde_json::{Value, json};

use super::support::binary::Binary;

const HEADER: &str = "Phone number;Customer email address;Consent;Customer Name;Birthday;Gender;Plastic Card Numbers;\
                      Sum of credited bonus points;Bonus currency;Bonus points expiration date;Customer account\n";

/// A store with programs for euro and dollar, and one without a currency.
fn shop() -> Binary {
    let binary = Binary::new();
    for (code, currency) in [("eur", "EUR"), ("usd", "USD")] {
        binary.run(&["program", "add", code, "--currency", currency, "--decimals", "2"]).expect(0);
    }
    binary
}

/// Imports rows below inCust's header; gives the summary.
#[track_caller]
fn import(shop: &Binary, rows: &str, flags: &[&str], exit: i32) -> Value {
    shop.write("incust.csv", format!("{HEADER}{rows}"));
    let arguments =
        ["import", "customers", "incust.csv", "--processed", "processed.csv", "--rejects", "rejects.csv", "--again"];
    shop.run(&[&arguments[..], flags].concat()).expect(exit).json
}

/// What became of each row of the last import: status, code, message, amount and balance.
fn outcomes(shop: &Binary) -> Vec<[String; 5]> {
    let text = std::fs::read_to_string(shop.path("processed.csv")).expect("a report");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let cell = |record: &csv::StringRecord, at: usize| record.get(at).unwrap_or_default().to_owned();
    let records = reader.records().map(|record| record.expect("a record"));
    records.map(|record| [1, 2, 3, 5, 6].map(|at| cell(&record, at))).collect()
}

/// What the store knows of the customer with the phone number of the tables.
#[track_caller]
fn customer(shop: &Binary) -> Value {
    shop.run(&["customer", "show", "--mobile", PHONE]).expect(0).json
}

const PHONE: &str = "+37061234567";

/// The header's position of a field, what the customer has first, what the file says then, what it has afterwards, how many
/// cells were kept out.
type Case = (&'static str, usize, &'static str, &'static str, Value, u64);

fn row(cells: &[(usize, &str)]) -> String {
    let mut row = [""; 11];
    row[0] = PHONE;
    for &(at, cell) in cells {
        row[at] = cell;
    }
    row.join(";") + "\n"
}

#[test]
fn each_field_is_overwritten_as_its_class_says_empty_filled_equal_or_different() {
    let cases: [Case; 25] = [
        // Set once, when the customer is created: never added or changed afterwards.
        ("email", 1, "", "", Value::Null, 0),
        ("email", 1, "", "ana@example.com", Value::Null, 1),
        ("email", 1, "ana@example.com", "", json!("ana@example.com"), 0),
        ("email", 1, "ana@example.com", "Ana@Example.com", json!("ana@example.com"), 0),
        ("email", 1, "ana@example.com", "other@example.com", json!("ana@example.com"), 1),
        // Filled only while empty.
        ("consent", 2, "", "", Value::Null, 0),
        ("consent", 2, "", "2026-01-15, 17", json!("2026-01-15, 17"), 0),
        ("consent", 2, "2026-01-15, 17", "", json!("2026-01-15, 17"), 0),
        ("consent", 2, "2026-01-15, 17", "2026-01-15, 17", json!("2026-01-15, 17"), 1),
        ("consent", 2, "2026-01-15, 17", "none", json!("2026-01-15, 17"), 1),
        ("name", 3, "", "007", json!("007"), 0),
        ("name", 3, "Ana", "", json!("Ana"), 0),
        ("name", 3, "Ana", "Ana", json!("Ana"), 1),
        ("name", 3, "Ana", "Anna", json!("Ana"), 1),
        ("birthday", 4, "", "1990-04-30", json!("1990-04-30"), 0),
        ("birthday", 4, "1990-04-30", "", json!("1990-04-30"), 0),
        ("birthday", 4, "1990-04-30", "1990-04-30", json!("1990-04-30"), 1),
        ("birthday", 4, "1990-04-30", "1991-01-01", json!("1990-04-30"), 1),
        ("gender", 5, "", "Moteris", json!("female"), 0),
        ("gender", 5, "female", "", json!("female"), 0),
        ("gender", 5, "female", "FEMALE", json!("female"), 1),
        ("gender", 5, "female", "male", json!("female"), 1),
        // Added.
        ("cards", 6, "", "2000 0001|2000-0002", json!(["20000001", "20000002"]), 0),
        ("cards", 6, "2000 0001", "20000001", json!(["20000001"]), 0),
        ("cards", 6, "2000 0001", "\"20000002,20000001\"", json!(["20000001", "20000002"]), 0),
    ];
    for (field, at, before, after, expected, kept) in cases {
        let shop = shop();
        import(&shop, &row(&[(at, before)]), &[], 0);
        assert_eq!(customer(&shop)[field].is_null(), before.is_empty() && field != "cards", "{field} {before}");
        let summary = import(&shop, &row(&[(at, after)]), &[], 0);
        assert_eq!(customer(&shop)[field], expected, "{field}: {before:?}, then {after:?}");
        assert_eq!(summary["kept"], kept, "{field}: {before:?}, then {after:?}");
        let is_changed = kept == 0 && !after.is_empty() && expected != customer_with(at, before)[field];
        let status = if is_changed { "updated" } else { "unchanged" };
        assert_eq!(outcomes(&shop)[0][0], status, "{field}: {before:?}, then {after:?}");
        shop.run(&["verify"]).expect(0);
    }
}

/// The customer that a row creates.
fn customer_with(at: usize, cell: &str) -> Value {
    let shop = shop();
    import(&shop, &row(&[(at, cell)]), &[], 0);
    customer(&shop)
}

#[test]
fn a_row_is_its_phones_customers_and_what_belongs_to_another_refuses_it() {
    let shop = shop();
    import(&shop, "37061234567;ana@example.com;;;;;1000;;;;\n+370 698 76543;ben@example.com;;;;;2000;;;;\n", &[], 0);
    let cases = [
        // Without a phone nobody is found, whatever else is there.
        (";ana@example.com;;Ana;;;;;;;\n", "rejected", "identifier_missing"),
        ("123;;;;;;;;;;\n", "rejected", "identifier_invalid"),
        // One phone number, another's e-mail: two customers.
        ("+37061234567;ben@example.com;;;;;;;;;\n", "rejected", "identifier_conflict"),
        // Nobody's phone number, somebody's e-mail or card.
        ("+37061111111;ben@example.com;;;;;;;;;\n", "rejected", "identifier_taken"),
        ("+37061111111;;;;;;2000;;;;\n", "rejected", "identifier_taken"),
        ("+37061234567;;;Ana;;;1001|2000;5;eur;;\n", "rejected", "identifier_taken"),
        // Nothing of the refused row was applied: the name is still free, and so is the card.
        ("+37061234567;;;Anne;;;1001;;;;\n", "updated", ""),
        ("+37061111111;;;;;;3000;;;;\n", "created", ""),
    ];
    let rows: String = cases.iter().map(|(row, ..)| *row).collect();
    let summary = import(&shop, &rows, &[], 3);
    for ((row, status, code), outcome) in cases.iter().zip(outcomes(&shop)) {
        assert_eq!([outcome[0].as_str(), &outcome[1]], [*status, *code], "{row} {outcome:?}");
    }
    assert_eq!(summary["customers"], json!({"matched": 1, "created": 1, "repeated": 0}));
    assert_eq!(summary["points"]["credited"], "0");
    let ana = customer(&shop);
    assert_eq!((&ana["name"], &ana["cards"]), (&json!("Anne"), &json!(["1000", "1001"])));
}

#[test]
fn bonus_points_are_credited_every_time_by_account_or_currency_until_their_last_day() {
    // Amount, currency, last day, account: status, code, amount and balance after. The job's program is `points`.
    let cases: [([&str; 4], [&str; 4]); 18] = [
        (["10.50", "EUR", "", ""], ["updated", "", "10.50", "10.50"]),
        (["10.50", " eur ", "2026-11-22", ""], ["updated", "", "10.50", "21.00"]),
        (["1", "", "", "eur"], ["updated", "", "1.00", "22.00"]),
        // An account wins over the currency, whatever programs that has.
        (["2", "USD", "", "eur"], ["updated", "", "2.00", "24.00"]),
        (["7", "", "", "points"], ["updated", "", "7", "7"]),
        // Without either, the profile is imported and nothing is credited.
        (["5", "", "", ""], ["unchanged", "", "0", "7"]),
        (["0", "EUR", "", ""], ["unchanged", "", "0", "7"]),
        (["", "EUR", "2027-01-01", ""], ["unchanged", "", "0", "7"]),
        (["", "", "", ""], ["unchanged", "", "0", "7"]),
        (["5", "GBP", "", ""], ["rejected", "currency_unknown", "", ""]),
        (["5", "XYZ", "", ""], ["rejected", "currency_unknown", "", ""]),
        (["", "€", "", ""], ["rejected", "currency_unknown", "", ""]),
        (["5", "", "", "EUR"], ["rejected", "program_unknown", "", ""]),
        (["5", "EUR", "2026-11-21", ""], ["rejected", "expiry_invalid", "", ""]),
        (["5", "EUR", "2027-02-29", ""], ["rejected", "expiry_invalid", "", ""]),
        (["-5", "EUR", "", ""], ["rejected", "amount_invalid", "", ""]),
        (["1.505", "EUR", "", ""], ["rejected", "amount_precision", "", ""]),
        (["52,620", "EUR", "", ""], ["rejected", "amount_invalid", "", ""]),
    ];
    let shop = shop();
    import(&shop, &row(&[(3, "Ana")]), &[], 0);
    let rows: String =
        cases.iter().map(|([a, c, d, k], _)| row(&[(7, a), (8, c), (9, d), (10, k)])).collect::<Vec<_>>().concat();
    let summary = import(&shop, &rows, &[], 3);
    for ((cells, expected), [status, code, _, amount, balance]) in cases.iter().zip(outcomes(&shop)) {
        assert_eq!([status.as_str(), &code, &amount, &balance], *expected, "{cells:?}");
    }
    // Every point of the file is accounted for: in the job's program those of no program (GBP, XYZ, the account `EUR`) and
    // what is not credited, in the other its own with refused last days.
    let credits = &summary["file_points"]["credits"];
    assert_eq!(credits["not_credited"], "5");
    assert_eq!(credits["applied"], "7");
    assert_eq!(credits["in_file"], "27");
    let eur = &summary["other_programs"][0];
    assert_eq!(eur["file_points"]["credits"]["applied"], "24.00");
    assert_eq!(eur["file_points"]["credits"]["rejected"], "10.00");
    let ledger = shop.export("ledger");
    assert!(ledger.contains(",credit,10.50,21.00,2026-11-22,"), "{ledger}");
    // Credited every time that the file is applied; without `--again` it is a repeat.
    import(&shop, &row(&[(7, "5"), (8, "EUR")]), &[], 0);
    assert_eq!(outcomes(&shop)[0][4], "29.00");
    import(&shop, &row(&[(7, "5"), (8, "EUR")]), &[], 0);
    assert_eq!(outcomes(&shop)[0][4], "34.00");
    shop.run(&["import", "customers", "incust.csv"]).expect(4);
    shop.run(&["verify"]).expect(0);
}

#[test]
fn a_credit_that_does_not_fit_refuses_the_row_and_leaves_the_profile_alone() {
    let shop = shop();
    let most = "9223372036854775807";
    import(&shop, &row(&[(7, most), (10, "points")]), &[], 0);
    import(&shop, &row(&[(3, "Ana"), (6, "77"), (7, "1"), (10, "points")]), &[], 3);
    assert_eq!(outcomes(&shop)[0][1], "balance_overflow");
    let ana = customer(&shop);
    assert_eq!((&ana["name"], &ana["cards"]), (&Value::Null, &json!([])));
    shop.run(&["verify"]).expect(0);
}

#[test]
fn phone_numbers_must_have_the_digits_that_are_asked_for() {
    let shop = shop();
    let rows = "+37061234567;;;;;;;;;;\n+4915123456789;;;;;;;;;;\n37069876543;;;;;;;;;;\n";
    import(&shop, rows, &["--phone-digits", "11"], 3);
    let outcomes = outcomes(&shop);
    assert_eq!([&outcomes[0][0], &outcomes[1][1], &outcomes[2][0]], ["created", "identifier_invalid", "created"]);
    assert_eq!(outcomes[1][2], "mobile `+4915123456789` has 13 digits, and each must have 11");
    shop.run(&["import", "customers", "incust.csv", "--phone-digits", "3"]).expect(2);
}

#[test]
fn the_key_of_a_customer_file_is_chosen() {
    let shop = shop();
    shop.write("first.csv", "user_id,email,name\nU1,ana@example.com,\nU2,ben@example.com,\n");
    shop.run(&["import", "customers", "first.csv"]).expect(0);
    shop.write(
        "second.csv",
        "user_id,email,name\nU1,ana@new.example.com,Ana\n,ben@example.com,Ben\nU3,ben@example.com,Ben\n",
    );
    let summary = shop.run(&["import", "customers", "second.csv", "--key", "user_id"]).expect(3).json;
    assert_eq!(summary["rejects"], json!({"identifier_missing": 1, "identifier_taken": 1}));
    // Another key is another job: the same file is no repeat.
    let summary = shop.run(&["import", "customers", "second.csv", "--key", "email"]).expect(3).json;
    assert_eq!(summary["rejects"], json!({"identifier_taken": 1}));
    assert_eq!((&summary["rows"]["updated"], &summary["rows"]["unchanged"]), (&json!(1), &json!(1)));
    let ended = shop.run(&["import", "customers", "second.csv", "--key", "card"]).expect(2);
    assert!(ended.stdout.contains("no column for `card`"), "{}", ended.stdout);
}

#[test]
fn who_is_credited_is_told_by_what_is_the_customers_own_and_once() {
    let shop = shop();
    shop.write(
        "first.csv",
        format!(
            "{HEADER}+37061234567;ana@example.com;;;;;;10.50;EUR;2027-12-31;\n+37069876543;;;;;;;;;;\n\
             +37061111111;;;;;;;5;;;\nx;;;;;;;5;EUR;;\n"
        ),
    );
    let notify = |file: &str, flags: &[&str]| {
        let arguments = ["import", "customers", file, "--notify", "--notifications", "events.ndjson"];
        shop.run(&[&arguments[..], flags].concat())
    };
    let events = || -> Vec<Value> {
        let text = std::fs::read_to_string(shop.path("events.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    };
    notify("first.csv", &["--dry-run"]).expect(3);
    assert!(events().is_empty(), "a dry run tells nobody");
    let ended = notify("first.csv", &["--comment", "Welcome"]).expect(3);
    assert!(ended.json["files"].to_string().contains("events.ndjson"), "{}", ended.json);
    let expected = json!([{
        "id": "1-2", "event": "points_credited", "job": 1, "line": 2, "time": "2026-11-22T12:00:00Z",
        "customer": {"email": "ana@example.com", "mobile": "+37061234567"},
        "program": "eur", "amount": "10.50", "balance": "10.50", "expires_on": "2027-12-31", "comment": "Welcome",
    }]);
    assert_eq!(Value::from(events()), expected);
    // An address that a rule keeps out is somebody else's for all that anybody knows.
    shop.write("second.csv", format!("{HEADER}+37061234567;stranger@example.com;;;;;;1;EUR;;\n"));
    notify("second.csv", &[]).expect(0);
    assert_eq!(events()[1]["customer"], json!({"mobile": "+37061234567"}));
    assert_eq!(events()[1]["balance"], "11.50");
    // Opening balances are told as well.
    shop.write("third.csv", "user_id,balance\nU1,30\nU2,\n");
    notify("third.csv", &[]).expect(0);
    let ids: Vec<_> = events().iter().map(|event| event["id"].clone()).collect();
    assert_eq!(ids, ["1-2", "2-2", "3-2-opening"]);
    shop.run(&["import", "customers", "third.csv", "--notify"]).expect(2);
}

#[test]
fn a_refused_row_names_the_very_identifier_that_is_taken_and_the_key_that_is_missing() {
    let shop = shop();
    import(&shop, &row(&[(6, "K1")]), &[], 0);
    let other = |cells: &str| format!("+37062222222;{cells}\n");
    let rows = [
        other("x@example.com;;;;;K1;5;EUR;;"),
        other(";;;;;\"K9,K1|K8\";;;;"),
        ";;;Ana;;;;;;;\n".to_owned(),
        ";x@example.com;;Ana;;;;;;;\n".to_owned(),
    ];
    import(&shop, &rows.concat(), &[], 3);
    let taken =
        "card `K1` is already another customer's: take it out of this row, or correct what says who the customer is";
    let missing = "mobile is empty: each row needs it, as it says who the customer is";
    let messages: Vec<String> = outcomes(&shop).into_iter().map(|[_, _, message, ..]| message).collect();
    assert_eq!(messages, [taken, taken, missing, missing]);
}

#[test]
fn events_of_several_jobs_stand_in_one_file_and_a_resume_repeats_none() {
    let shop = shop();
    let notify = |file: &str, more: &[&str]| {
        shop.run(&[&["import", "customers", file, "--notify", "--notifications", "events.ndjson"][..], more].concat())
    };
    let ids = || -> Vec<String> {
        let text = shop.read("events.ndjson");
        text.lines().map(|line| line.split('"').nth(3).unwrap_or_default().to_owned()).collect()
    };
    for (file, amount) in [("one.csv", 1), ("two.csv", 2)] {
        shop.write(file, format!("{HEADER}{}", row(&[(7, &amount.to_string()), (8, "EUR")])));
        notify(file, &[]).expect(0);
    }
    assert_eq!(ids(), ["1-2", "2-2"]);
    notify("two.csv", &["--dry-run", "--again"]).expect(0);
    assert_eq!(ids(), ["1-2", "2-2"]);
}

#[test]
fn a_card_as_the_key_must_be_one() {
    let shop = shop();
    shop.write("cards.csv", "user_id,card\nU1,\"2000 0001\"\nU2,\", |\"\nU3,\n");
    let summary = shop.run(&["import", "customers", "cards.csv", "--key", "card"]).expect(3).json;
    assert_eq!(summary["rejects"], json!({"identifier_missing": 2}));
    assert_eq!(summary["rows"]["created"], 1);
}

#[test]
fn what_only_the_store_knows_is_checked_last() {
    let shop = shop();
    let rows = [
        (row(&[(5, "x1"), (7, "5"), (8, "GBP")]), "field_invalid"),
        (row(&[(4, "2029-06-30"), (7, "5"), (10, "gems")]), "field_invalid"),
        (row(&[(7, "5"), (9, "2026-11-21"), (10, "gems")]), "expiry_invalid"),
        (row(&[(7, "x"), (9, "2026-11-21"), (10, "gems")]), "amount_invalid"),
        (row(&[(7, "5"), (8, "GBP")]), "currency_unknown"),
        (row(&[(7, "5"), (10, "gems")]), "program_unknown"),
    ];
    let text: String = rows.iter().map(|(row, _)| row.as_str()).collect();
    import(&shop, &text, &[], 3);
    let codes: Vec<_> = outcomes(&shop).into_iter().map(|[_, code, ..]| code).collect();
    assert_eq!(codes, rows.map(|(_, code)| code.to_owned()));
}

#[test]
fn a_row_that_a_balance_refuses_names_its_customer_all_the_same() {
    let shop = shop();
    let most = row(&[(7, "9223372036854775807"), (10, "points")]);
    import(&shop, &most, &[], 0);
    let summary = import(&shop, &most.repeat(2), &[], 3);
    assert_eq!(summary["customers"], json!({"matched": 1, "created": 0, "repeated": 1}));
    assert_eq!(summary["rejects"], json!({"balance_overflow": 2}));
}
