//! Lots as tables: which points a row adds, which are taken, and which are over before it.
//!
//! A step is a day, a row, what becomes of it, and the customer's lots afterwards in the order in which they are taken. The
//! story of a table is told four times: row by row, row by row by processes of their own on a store whose caches are written
//! after each, and twice with all rows of a day in one file.

use tidemill::{
    domain::command::OnOverdraft,
    engine::request::{JobRequest, PointsRequest, SettingsChange},
    options::Options,
    report::export::Export,
};

use super::support::{
    content::{export, rows},
    till::{Till, allow, file, plainly},
};

const HEADER: &str =
    "email,amount,operation,expires_on,expires_in_days,credited_on,ref_type,ref_id,promotion_id,promised";

/// Day, row, answer, lots.
type Step<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The line of a file that `100 CR expires_on=2090-05-01` is, of Ana.
fn line(row: &str) -> String {
    let mut words = row.split_whitespace();
    let (amount, operation) = (words.next().expect("an amount"), words.next().expect("an operation"));
    let mut cells = vec![String::new(); HEADER.split(',').count()];
    cells[..3].clone_from_slice(&["ana@example.com", amount, operation].map(str::to_owned));
    for word in words {
        let (name, value) = word.split_once('=').expect("a column and its value");
        let column = HEADER.split(',').position(|column| column == name);
        cells[column.unwrap_or_else(|| panic!("there is no column {name}"))] = value.to_owned();
    }
    cells.join(";")
}

/// Steps of one day are told as the rows of one file.
fn by_day<'s, 'a>(steps: &'s [Step<'a>]) -> impl Iterator<Item = &'s [Step<'a>]> {
    steps.chunk_by(|(one, ..), (other, ..)| one == other)
}

/// Tells a story in all its ways; returns the entries that it leaves when told row by row.
#[track_caller]
fn tell(how: fn(&mut JobRequest, &mut PointsRequest), steps: &[Step<'_>]) -> Vec<String> {
    let mut entries = Vec::new();
    // Once the caches alone say what there is, and once the log.
    for cache_lag_entries_min in [u64::MAX, 0] {
        let options = || Options { threads: 2, cache_lag_entries_min, ..Options::default() };
        let mut till = Till::with(options());
        for (day, row, answer, lots) in steps {
            till.at(day);
            till.check(HEADER, how, &[(&line(row), answer)]);
            if cache_lag_entries_min == 0 {
                till.reopen();
            }
            assert_eq!(till.lots("ana@example.com"), *lots, "after {row:?}");
        }
        till.verify();
        let found = till.entries("ana@example.com");
        assert!(entries.is_empty() || entries == found, "{entries:#?}\n{found:#?}");
        entries = found;

        let till = Till::with(options());
        for day in by_day(steps) {
            till.at(day[0].0);
            let lines: Vec<String> = day.iter().map(|(_, row, ..)| line(row)).collect();
            let cases: Vec<_> = lines.iter().map(String::as_str).zip(day.iter().map(|step| step.2)).collect();
            till.check(HEADER, how, &cases);
            assert_eq!(till.lots("ana@example.com"), day[day.len() - 1].3, "after {day:?}");
        }
        till.verify();
        let without_line = |entries: &[String]| -> Vec<String> {
            entries.iter().map(|entry| entry.split(" line").next().expect("words").to_owned()).collect()
        };
        assert_eq!(without_line(&till.entries("ana@example.com")), without_line(&entries));
    }
    entries
}

#[test]
fn a_debit_takes_what_ends_first_then_what_is_oldest_and_permanent_points_last() {
    let entries = tell(
        plainly,
        &[
            ("2090-03-10", "100 CR", "applied 100 100", "100"),
            ("2090-03-10", "50 CR expires_on=2090-06-30", "applied 50 150", "50 2090-06-30, 100"),
            // Sooner, though it came later.
            ("2090-03-10", "30 CR expires_on=2090-04-30", "applied 30 180", "30 2090-04-30, 50 2090-06-30, 100"),
            // The same day and earned earlier, though it came later; then earned at the same time.
            (
                "2090-03-10",
                "20 CR expires_on=2090-06-30 credited_on=2089-12-31",
                "applied 20 200",
                "30 2090-04-30, 20 2090-06-30, 50 2090-06-30, 100",
            ),
            (
                "2090-03-10",
                "5 CR expires_on=2090-06-30",
                "applied 5 205",
                "30 2090-04-30, 20 2090-06-30, 50 2090-06-30, 5 2090-06-30, 100",
            ),
            // Permanent points with a reference come before the plain ones, the oldest first.
            (
                "2090-03-10",
                "40 CR ref_type=order ref_id=7",
                "applied 40 245",
                "30 2090-04-30, 20 2090-06-30, 50 2090-06-30, 5 2090-06-30, 40 order/7, 100",
            ),
            (
                "2090-03-10",
                "10 CR promotion_id=spring credited_on=2090-01-01",
                "applied 10 255",
                "30 2090-04-30, 20 2090-06-30, 50 2090-06-30, 5 2090-06-30, 10 spring, 40 order/7, 100",
            ),
            // A part of a lot, all of one and a part of the next, several.
            (
                "2090-03-11",
                "25 DR",
                "applied -25 230",
                "5 2090-04-30, 20 2090-06-30, 50 2090-06-30, 5 2090-06-30, 10 spring, 40 order/7, 100",
            ),
            (
                "2090-03-11",
                "15 DR",
                "applied -15 215",
                "10 2090-06-30, 50 2090-06-30, 5 2090-06-30, 10 spring, 40 order/7, 100",
            ),
            ("2090-03-12", "67 DR", "applied -67 148", "8 spring, 40 order/7, 100"),
            ("2090-03-12", "149 DR", "insufficient_balance", "8 spring, 40 order/7, 100"),
            ("2090-03-13", "60 DR", "applied -60 88", "88"),
            ("2090-03-14", "88 DR", "applied -88 0", ""),
        ],
    );
    assert_eq!(
        entries,
        [
            "credit 100 100 line 2",
            "credit 50 150 until 2090-06-30 line 2",
            "credit 30 180 until 2090-04-30 line 2",
            "credit 20 200 until 2090-06-30 line 2",
            "credit 5 205 until 2090-06-30 line 2",
            "credit 40 245 line 2",
            "credit 10 255 line 2",
            "debit -25 230 line 2",
            "debit -15 215 line 2",
            "debit -67 148 line 2",
            "debit -60 88 line 2",
            "debit -88 0 line 2",
        ]
    );
}

#[test]
fn promised_points_are_not_available() {
    let entries = tell(
        plainly,
        &[
            ("2090-03-10", "100 CR promised=yes ref_type=order ref_id=7", "applied 100 0", "100 promised order/7"),
            ("2090-03-10", "1 DR", "insufficient_balance", "100 promised order/7"),
            ("2090-03-10", "30 CR", "applied 30 30", "100 promised order/7, 30"),
            // The one that ends first is a promise, which a debit passes over.
            (
                "2090-03-10",
                "50 CR promised=yes expires_on=2090-03-31",
                "applied 50 30",
                "50 promised 2090-03-31, 100 promised order/7, 30",
            ),
            (
                "2090-03-10",
                "20 CR expires_on=2090-04-30",
                "applied 20 50",
                "50 promised 2090-03-31, 20 2090-04-30, 100 promised order/7, 30",
            ),
            ("2090-03-11", "25 DR", "applied -25 25", "50 promised 2090-03-31, 100 promised order/7, 25"),
            ("2090-03-11", "0 CR promised=yes", "unchanged 0 25", "50 promised 2090-03-31, 100 promised order/7, 25"),
            // A balance is set without regard to what is promised.
            ("2090-03-12", "0 SET", "applied -25 0", "50 promised 2090-03-31, 100 promised order/7"),
            // A promise without anything else is a lot of its own.
            (
                "2090-03-12",
                "5 CR promised=yes",
                "applied 5 0",
                "50 promised 2090-03-31, 100 promised order/7, 5 promised",
            ),
            // Once its last day is over, it is gone, and no balance changes.
            ("2090-04-01", "0 CR", "unchanged 0 0", "100 promised order/7, 5 promised"),
        ],
    );
    assert_eq!(
        entries,
        [
            "promise 100 0 line 2",
            "credit 30 30 line 2",
            "promise 50 30 until 2090-03-31 line 2",
            "credit 20 50 until 2090-04-30 line 2",
            "debit -25 25 line 2",
            "reset -25 0 line 2",
            "promise 5 0 line 2",
            "promise_expire -50 0 until 2090-03-31 line 0",
        ]
    );
}

#[test]
fn a_credit_pays_an_overdraft_back_first() {
    tell(
        allow,
        &[
            ("2090-03-10", "100 CR expires_on=2090-06-30", "applied 100 100", "100 2090-06-30"),
            ("2090-03-10", "150 DR", "applied -150 -50", ""),
            ("2090-03-10", "20 CR expires_on=2090-06-30", "applied 20 -30", ""),
            // A promise is no money.
            ("2090-03-10", "70 CR promised=yes", "applied 70 -30", "70 promised"),
            ("2090-03-10", "30 CR ref_type=order ref_id=1", "applied 30 0", "70 promised"),
            ("2090-03-10", "10 DR", "applied -10 -10", "70 promised"),
            ("2090-03-11", "80 CR expires_on=2090-06-30", "applied 80 70", "70 2090-06-30, 70 promised"),
            ("2090-03-11", "75 DR", "applied -75 -5", "70 promised"),
            // What is left of a reset's rise is what the balance becomes.
            ("2090-03-11", "40 SET expires_on=2090-05-31", "applied 45 40", "40 2090-05-31, 70 promised"),
            ("2090-03-11", "60 DR", "applied -60 -20", "70 promised"),
        ],
    );
    // A reset counts once in a file, so this is told apart.
    tell(
        allow,
        &[
            ("2090-03-10", "20 DR", "applied -20 -20", ""),
            ("2090-03-10", "0 SET expires_on=2090-05-31", "applied 20 0", ""),
            ("2090-03-11", "7 CR", "applied 7 7", "7"),
        ],
    );
}

#[test]
fn a_clamped_debit_takes_all_available_lots() {
    let clamp = |_: &mut JobRequest, request: &mut PointsRequest| request.on_overdraft = OnOverdraft::Clamp;
    tell(
        clamp,
        &[
            ("2090-03-10", "10 CR expires_on=2090-06-30", "applied 10 10", "10 2090-06-30"),
            ("2090-03-10", "5 CR promised=yes", "applied 5 10", "10 2090-06-30, 5 promised"),
            ("2090-03-10", "5 CR", "applied 5 15", "10 2090-06-30, 5 promised, 5"),
            ("2090-03-10", "40 DR", "applied -15 0", "5 promised"),
            ("2090-03-10", "40 DR", "unchanged 0 0", "5 promised"),
        ],
    );
}

#[test]
fn a_reset_that_rises_adds_a_lot_and_one_that_falls_takes_as_a_debit() {
    let entries = tell(
        plainly,
        &[
            ("2090-03-10", "100 SET expires_on=2090-06-30", "applied 100 100", "100 2090-06-30"),
            ("2090-03-11", "130 SET expires_on=2090-05-31", "applied 30 130", "30 2090-05-31, 100 2090-06-30"),
            (
                "2090-03-12",
                "140 SET ref_type=order ref_id=9",
                "applied 10 140",
                "30 2090-05-31, 100 2090-06-30, 10 order/9",
            ),
            ("2090-03-13", "150 SET", "applied 10 150", "30 2090-05-31, 100 2090-06-30, 10 order/9, 10"),
            // A fall has no use for the row's last day.
            ("2090-03-14", "115 SET expires_on=2090-12-31", "applied -35 115", "95 2090-06-30, 10 order/9, 10"),
            ("2090-03-15", "115 SET expires_on=2090-12-31", "unchanged 0 115", "95 2090-06-30, 10 order/9, 10"),
            ("2090-03-16", "15 SET", "applied -100 15", "5 order/9, 10"),
            ("2090-03-17", "0 SET", "applied -15 0", ""),
        ],
    );
    assert_eq!(
        entries,
        [
            "reset 100 100 until 2090-06-30 line 2",
            "reset 30 130 until 2090-05-31 line 2",
            "reset 10 140 line 2",
            "reset 10 150 line 2",
            "reset -35 115 line 2",
            "reset -100 15 line 2",
            "reset -15 0 line 2",
        ]
    );
}

#[test]
fn lots_that_are_over_expire_before_a_good_row_and_a_refused_one_changes_nothing() {
    let entries = tell(
        plainly,
        &[
            ("2090-03-10", "100 CR expires_on=2090-03-31", "applied 100 100", "100 2090-03-31"),
            ("2090-03-10", "50 CR expires_on=2090-04-15", "applied 50 150", "100 2090-03-31, 50 2090-04-15"),
            (
                "2090-03-10",
                "8 CR expires_on=2090-04-10 promised=yes",
                "applied 8 150",
                "100 2090-03-31, 8 promised 2090-04-10, 50 2090-04-15",
            ),
            ("2090-03-10", "10 CR", "applied 10 160", "100 2090-03-31, 8 promised 2090-04-10, 50 2090-04-15, 10"),
            // Valid to the end of its last day.
            ("2090-03-31", "20 DR", "applied -20 140", "80 2090-03-31, 8 promised 2090-04-10, 50 2090-04-15, 10"),
            // Dead points pay for nothing, and the refused row leaves them where they are.
            ("2090-04-01", "61 DR", "insufficient_balance", "80 2090-03-31, 8 promised 2090-04-10, 50 2090-04-15, 10"),
            (
                "2090-04-01",
                "9223372036854775807 CR",
                "balance_overflow",
                "80 2090-03-31, 8 promised 2090-04-10, 50 2090-04-15, 10",
            ),
            ("2090-04-01", "60 DR", "applied -60 0", "8 promised 2090-04-10"),
            ("2090-04-02", "7 CR expires_on=2090-04-02", "applied 7 7", "7 2090-04-02, 8 promised 2090-04-10"),
            (
                "2090-04-02",
                "9 CR expires_on=2090-04-20",
                "applied 9 16",
                "7 2090-04-02, 8 promised 2090-04-10, 9 2090-04-20",
            ),
            // Both at once, and a row that changes nothing is a good one.
            ("2090-04-11", "0 DR", "unchanged 0 9", "9 2090-04-20"),
            // The balance is what is alive: setting it to that changes nothing more.
            ("2090-04-21", "0 SET", "unchanged 0 0", ""),
            ("2090-04-22", "5 CR", "applied 5 5", "5"),
        ],
    );
    assert_eq!(
        entries,
        [
            "credit 100 100 until 2090-03-31 line 2",
            "credit 50 150 until 2090-04-15 line 2",
            "promise 8 150 until 2090-04-10 line 2",
            "credit 10 160 line 2",
            "debit -20 140 line 2",
            // No line of the file did it.
            "expire -80 60 until 2090-03-31 line 0",
            "debit -60 0 line 2",
            "credit 7 7 until 2090-04-02 line 2",
            "credit 9 16 until 2090-04-20 line 2",
            "expire -7 9 until 2090-04-02 line 0",
            "promise_expire -8 9 until 2090-04-10 line 0",
            "expire -9 0 until 2090-04-20 line 0",
            "credit 5 5 line 2",
        ]
    );
}

#[test]
fn what_expires_on_the_way_is_counted_and_the_balances_add_up() {
    let till = Till::new();
    let rows = ["ana@example.com;100;CR;2090-03-31", "ben@example.com;40;CR;2090-03-31", "ben@example.com;5;CR;"];
    till.import(file("email,amount,operation,expires_on", rows.into_iter()), plainly);
    till.at("2090-04-01");
    let rows = ["ana@example.com;1;CR;", "ben@example.com;6;DR;", "ana@example.com;2;CR;2090-04-30"];
    let summary = till.import(file("email,amount,operation,expires_on", rows.into_iter()), plainly);
    assert_eq!(till.answers(), ["applied 1 1", "insufficient_balance", "applied 2 3"]);
    let points = &summary.points;
    assert_eq!([&*points.credited, &*points.debited, &*points.expired, &*points.promised], ["3", "0", "100", "0"]);
    // Ben's dead points are in the sum of the balances until somebody expires them.
    assert_eq!([&*summary.balance.before, &*summary.balance.after], ["145", "48"]);
    assert_eq!((summary.customers.matched, summary.customers.repeated), (2, 1));
    till.verify();
}

/// Zone, moment of the job, days of validity, the last day that this is; then a moment at which it is still valid, and one
/// at which it is not.
#[test]
fn days_begin_and_end_in_the_stores_time_zone() {
    let cases = [
        ("UTC", "2090-03-10T12:00:00Z", 30, "2090-04-09", "2090-04-09T23:59:59.999Z", "2090-04-10T00:00:00Z"),
        ("UTC", "2090-03-10T00:00:00Z", 1, "2090-03-11", "2090-03-11T23:59:59Z", "2090-03-12T00:00:00Z"),
        ("UTC", "2090-03-10T23:59:59.999Z", 1, "2090-03-11", "2090-03-11T23:59:59Z", "2090-03-12T00:00:00Z"),
        // At 23:30 UTC it is tomorrow in India, half past five hours ahead.
        ("Asia/Kolkata", "2090-03-10T23:30:00Z", 30, "2090-04-10", "2090-04-10T18:29:59Z", "2090-04-10T18:30:00Z"),
        ("Asia/Kolkata", "2090-03-10T18:29:59Z", 1, "2090-03-11", "2090-03-11T18:29:59Z", "2090-03-11T18:30:00Z"),
        // And still yesterday in America.
        ("America/New_York", "2090-01-10T04:30:00Z", 1, "2090-01-10", "2090-01-11T04:59:59Z", "2090-01-11T05:00:00Z"),
        // Over the end of February, in a year with and without a leap day; over that of a year; a day without midnight.
        ("UTC", "2092-02-28T12:00:00Z", 1, "2092-02-29", "2092-02-29T23:59:59Z", "2092-03-01T00:00:00Z"),
        ("UTC", "2092-02-28T12:00:00Z", 2, "2092-03-01", "2092-03-01T23:59:59Z", "2092-03-02T00:00:00Z"),
        ("UTC", "2091-02-28T12:00:00Z", 1, "2091-03-01", "2091-03-01T23:59:59Z", "2091-03-02T00:00:00Z"),
        // No leap year, though it can be divided by four.
        ("UTC", "2100-02-28T12:00:00Z", 1, "2100-03-01", "2100-03-01T23:59:59Z", "2100-03-02T00:00:00Z"),
        ("UTC", "2091-12-31T12:00:00Z", 365, "2092-12-30", "2092-12-30T23:59:59Z", "2092-12-31T00:00:00Z"),
        ("America/Sao_Paulo", "2018-11-02T12:00:00Z", 1, "2018-11-03", "2018-11-04T02:59:59Z", "2018-11-04T03:00:00Z"),
    ];
    for (zone, now, days, last_day, valid, over) in cases {
        let till = Till::new();
        let change = SettingsChange { time_zone: Some(zone.to_owned()), ..SettingsChange::default() };
        till.engine().set(change).expect("a zone");
        till.at(now);
        till.check(
            "email,amount,expires_in_days,operation",
            plainly,
            &[
                (&format!("ana@example.com;10;{days};CR"), "applied 10 10"),
                (&format!("ben@example.com;10;{days};CR"), "applied 10 10"),
            ],
        );
        assert_eq!(till.entries("ana@example.com"), [format!("credit 10 10 until {last_day} line 2")], "{zone} {now}");
        till.at(valid);
        till.check("email,amount,operation,row_id", plainly, &[("ana@example.com;1;DR;", "applied -1 9")]);
        till.at(over);
        let cases = [("ana@example.com;1;DR;", "insufficient_balance"), ("ben@example.com;0;DR;", "unchanged 0 0")];
        till.check("email,amount,operation,row_id", plainly, &cases);
    }
}

#[test]
fn a_last_day_is_today_at_the_earliest_in_the_stores_time_zone() {
    let till = Till::new();
    let header = "email,amount,operation,expires_on,expires_in_days";
    till.at("2090-03-10T23:30:00Z");
    till.check(
        header,
        plainly,
        &[("ana@example.com;1;CR;2090-03-10;", "applied 1 1"), ("ana@example.com;1;CR;2090-03-09;", "expiry_invalid")],
    );
    let change = SettingsChange { time_zone: Some("Asia/Kolkata".to_owned()), ..SettingsChange::default() };
    till.engine().set(change).expect("a zone");
    till.check(
        header,
        plainly,
        &[
            ("ben@example.com;1;CR;2090-03-10;", "expiry_invalid"),
            ("ben@example.com;1;CR;2090-03-11;", "applied 1 1"),
            // A moment is the day that it is there.
            ("ben@example.com;1;CR;2090-03-10T18:30:00Z;", "applied 1 2"),
            ("ben@example.com;1;CR;2090-03-10T18:29:59Z;", "expiry_invalid"),
        ],
    );
    assert_eq!(till.lots("ben@example.com"), "1 2090-03-11, 1 2090-03-11");
    // What it was is decided when the job begins: the day is recorded in it.
    assert_eq!(till.entries("ana@example.com"), ["credit 1 1 until 2090-03-10 line 2"]);
}

#[test]
fn an_account_with_hundreds_of_lots_is_taken_in_their_order() {
    // More than are kept in a list, of days in no order.
    let days: Vec<u32> = (0..400).map(|at| at * 37 % 400).collect();
    let row = |day: &u32| format!("ana@example.com;{};CR;{}", day + 1, day + 10);
    let lines: Vec<String> = days.iter().map(row).collect();
    for cache_lag_entries_min in [u64::MAX, 0] {
        let mut till = Till::with(Options { threads: 2, cache_lag_entries_min, ..Options::default() });
        till.import(file("email,amount,operation,expires_in_days", lines.iter().map(String::as_str)), plainly);
        till.reopen();
        let remaining = |till: &Till| -> Vec<i64> {
            let account = till.customer("ana@example.com").accounts.swap_remove(0);
            account.lots.iter().map(|lot| lot.remaining.parse().expect("a number")).collect()
        };
        assert_eq!(remaining(&till), (1..=400).collect::<Vec<_>>());
        // The first hundred, and half of the next.
        till.import("email,amount,operation,row_id\nana@example.com,5100,DR,\n", plainly);
        assert_eq!(remaining(&till), [51].into_iter().chain(102..=400).collect::<Vec<_>>());
        // Until the day of number 200, in one go.
        till.at("2090-10-06");
        till.import("email,amount,operation,row_id\nana@example.com,0,DR,\n", plainly);
        assert_eq!(remaining(&till), (201..=400).collect::<Vec<_>>());
        till.reopen();
        assert_eq!(remaining(&till), (201..=400).collect::<Vec<_>>());
        till.verify();
    }
}

#[test]
fn a_customer_and_the_history_show_lots_and_what_they_are_for() {
    let till = Till::new();
    let header = "email,amount,operation,expires_on,ref_type,ref_id,promotion_id,promised,credited_on,program,comment";
    till.import(
        file(
            header,
            [
                "ana@example.com;100;CR;2090-06-30;order;7;spring;;2090-01-02T03:04:05.678Z;;",
                "ana@example.com;50;CR;;;;;;;;",
                "ana@example.com;9.50;CR;;;;summer;yes;;eur;Soon yours",
                "ana@example.com;120;DR;;;;;;;;",
            ]
            .into_iter(),
        ),
        |job, _| job.comment = Some("Hello".to_owned()),
    );
    let view = serde_json::to_value(till.customer("ana@example.com").accounts).expect("JSON");
    let expected = serde_json::json!([
        {
            "program": "points", "balance": "30", "promised": "0", "newest_entry": 4,
            "lots": [{
                "remaining": "30", "state": "available", "expires_on": null, "ref_type": null, "ref_id": null,
                "promotion_id": null, "credited_at": null,
            }],
        },
        {
            "program": "eur", "balance": "0.00", "promised": "9.50", "newest_entry": 3,
            "lots": [{
                "remaining": "9.50", "state": "promised", "expires_on": null, "ref_type": null, "ref_id": null,
                "promotion_id": "summer", "credited_at": "2090-03-10T12:00:00Z",
            }],
        },
    ]);
    assert_eq!(view, expected);
    let kind = tidemill::domain::identifier::IdentifierKind::Email;
    let history = |public| {
        let page = till.engine().history(kind, "ana@example.com", None, None, 10, public).expect("a history");
        serde_json::to_value(page.lines).expect("JSON")
    };
    let public = serde_json::json!([
        {
            "sequence": 4, "time": "2090-03-10T12:00:00Z", "program": "points", "kind": "debit", "amount": "-120",
            "balance_after": "30", "taken": [{"lot": 1, "amount": "100"}], "comment": "Hello",
        },
        {
            "sequence": 3, "time": "2090-03-10T12:00:00Z", "program": "eur", "kind": "promise", "amount": "9.50",
            "balance_after": "0.00", "promotion_id": "summer", "comment": "Soon yours",
        },
        {
            "sequence": 2, "time": "2090-03-10T12:00:00Z", "program": "points", "kind": "credit", "amount": "50",
            "balance_after": "150", "comment": "Hello",
        },
        {
            "sequence": 1, "time": "2090-03-10T12:00:00Z", "program": "points", "kind": "credit", "amount": "100",
            "balance_after": "100", "expires_on": "2090-06-30", "ref_type": "order", "ref_id": "7",
            "promotion_id": "spring", "comment": "Hello",
        },
    ]);
    assert_eq!(history(true), public);
    let mut whole = public;
    for (line, row) in whole.as_array_mut().expect("lines").iter_mut().zip([5, 4, 3, 2]) {
        line["job"] = 2.into();
        line["row"] = row.into();
        line["reason"] = "test".into();
    }
    assert_eq!(history(false), whole);
}

/// Jobs of the year 2020, looked at on whatever day it is now.
#[test]
fn what_is_over_is_in_no_balance_that_is_shown() {
    let till = Till::new();
    till.at("2020-01-10");
    let header = "email,amount,operation,expires_on,promised,program";
    till.check(
        header,
        plainly,
        &[
            ("ana@example.com;100;CR;2020-01-31;;", "applied 100 100"),
            ("ana@example.com;40;CR;2020-01-31;yes;", "applied 40 100"),
            ("ana@example.com;20;CR;2099-01-31;;", "applied 20 120"),
            ("ana@example.com;7;CR;2099-01-31;yes;", "applied 7 120"),
            ("ana@example.com;3;CR;;;", "applied 3 123"),
            ("ben@example.com;60;CR;2020-02-29;;", "applied 60 60"),
            ("ben@example.com;1.50;CR;2020-01-31;;eur", "applied 1.50 1.50"),
        ],
    );
    let account = |email: &str| {
        let account = till.customer(email).accounts.swap_remove(0);
        [account.balance, account.promised]
    };
    assert_eq!(account("ana@example.com"), ["23", "7"]);
    assert_eq!(till.lots("ana@example.com"), "20 2099-01-31, 7 promised 2099-01-31, 3");
    assert_eq!(
        (account("ben@example.com"), till.lots("ben@example.com")),
        (["0", "0"].map(str::to_owned), String::new())
    );
    let exported = |what, columns: &[usize]| -> Vec<String> {
        let cells = rows(&export(till.engine(), what)).into_iter();
        cells.map(|cells| columns.iter().map(|&at| cells[at].as_str()).collect::<Vec<_>>().join(" ")).collect()
    };
    let all = ["u1 points 23 7", "u1 eur 0.00 0.00", "u2 points 0 0", "u2 eur 0.00 0.00"];
    assert_eq!(exported(Export::Balances { nonzero: false }, &[0, 4, 5, 6]), all);
    assert_eq!(exported(Export::Balances { nonzero: true }, &[0, 4, 5, 6]), all[..1]);
    let lots = ["u1 points 20 available 2099-01-31", "u1 points 7 promised 2099-01-31", "u1 points 3 available "];
    assert_eq!(exported(Export::Lots, &[0, 4, 5, 6, 7]), lots);
    let view = till.engine().program_view("points").expect("a program");
    assert_eq!([&*view.balance, &*view.promised, &*view.permanent, &*view.overdue], ["23", "7", "3", "200"]);
    // The ledger has no entry yet that says so: it tells what happened.
    assert_eq!(till.entries("ben@example.com")[0], "credit 60 60 until 2020-02-29 line 7");
    till.verify();
}
