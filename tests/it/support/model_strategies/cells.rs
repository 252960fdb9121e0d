//! Cells of rows: ten people own all identifiers, amounts are small or at the edge of 64 bits, days lie around a base.

use proptest::{prelude::*, sample::select};

use super::super::model::calendar::{Day, day_text};

/// People who own the identifiers; those from 10 on are in points files only, so they are unknown until created.
const PEOPLE: u32 = 10;

pub fn identifiers() -> impl Strategy<Value = Vec<String>> {
    // Mostly one's own, sometimes none, seldom another person's.
    let of = |me: u32| prop_oneof![12 => Just(Some(me)), 6 => Just(None), 1 => (0..PEOPLE).prop_map(Some)];
    (0..PEOPLE).prop_flat_map(move |me| (of(me), of(me), of(me), of(me), of(me), 0..4_u32, 0..40_u32)).prop_flat_map(
        |(user, external, email, mobile, card, spelling, fault)| {
            let or_empty = |name: Option<String>| name.unwrap_or_default();
            let mut cells = vec![
                or_empty(user.map(|n| format!("u0{n}"))),
                or_empty(external.map(|n| format!("X-{n}"))),
                or_empty(email.map(|n| spelled_email(n, spelling))),
                or_empty(mobile.map(|n| spelled_mobile(n, spelling))),
                or_empty(card.map(|n| spelled_cards(n, spelling))),
            ];
            match fault {
                0 => cells[2] = "nobody.example.com".to_string(),
                1 => cells[3] = "+91 12".to_string(),
                2 => cells[4] = ", |".to_string(),
                _ => {}
            }
            Just(cells)
        },
    )
}

pub fn profile() -> impl Strategy<Value = Vec<String>> {
    let cell = |good: &[&'static str], bad: &[&'static str]| {
        if bad.is_empty() {
            select(good.to_vec()).boxed()
        } else {
            prop_oneof![60 => select(good.to_vec()), 1 => select(bad.to_vec())].boxed()
        }
    };
    (
        cell(&["", "Ana", "Bo \"B\" Berg", "Two\nLines", "Ümit Öz, Jr; x|y"], &[]),
        birthday(),
        gender(),
        cell(&["", "web", "2021-05-02, No. 17, Kaunas"], &[]),
        cell(&["", "bronze", "gold"], &[]),
        cell(&["", "0", "10.5", "10.50", "99999.9999"], &["1.00001", "-1", "abc", "1,5"]),
        cell(&["", "0", "3", "120"], &["1.5", "-1"]),
        cell(&["", "2020-01-01", "2024-02-29"], &["2021-09-31", "x"]),
    )
        .prop_map(|(name, birthday, gender, consent, tier, ltv, orders, created_at)| {
            [name, birthday, gender, consent, tier, ltv, orders, created_at].map(str::to_string).to_vec()
        })
}

fn birthday() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        60 => select(vec!["", "1990-01-31", "2000-02-29", "--05-27", "--02-29", "1004-02-29"]),
        1 => select(vec!["2021-02-29", "2999-01-01", "31.01.1990", "--02-30", "--5-27", "1004-13-01"]),
    ]
}

fn gender() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        60 => select(vec!["", "", "male", "Female", "OTHER", "Moteris", "чоловік", "Kobieta", "Männlich"]),
        1 => Just("x1"),
    ]
}

/// Columns of a customers file of ours, and two that can be mapped.
pub const CUSTOMERS: [&str; 16] = [
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
    "first_name",
    "last_name",
];
/// The places of these two.
pub const CUSTOMERS_NAME_PARTS: [usize; 2] = [14, 15];

pub fn name_parts() -> impl Strategy<Value = [String; 2]> {
    (select(vec!["", "Ana", " Zoë "]), select(vec!["", "Berg", "von und zu\nEck"]))
        .prop_map(|(first, last)| [first, last].map(str::to_owned))
}

/// Columns of an inCust file, by the names of its page, and one that it does not know.
pub const INCUST: [&str; 12] = [
    "Phone number",
    "Customer email address",
    "Plastic Card Numbers",
    "Consent",
    "Customer Name",
    "Birthday",
    "Gender",
    "Sum of credited bonus points",
    "Bonus currency",
    "Bonus points expiration date",
    "Customer account",
    "note",
];
/// The same by short names.
pub const INCUST_SHORT: [&str; 12] = [
    "phone",
    "email",
    "card",
    "consent",
    "name",
    "birthday",
    "gender",
    "amount",
    "currency",
    "expires_on",
    "account",
    "note",
];
/// The amount's place.
pub const INCUST_AMOUNT: usize = 7;

/// The cells of a row of an inCust file, around a day.
pub fn incust_row(base: Day) -> impl Strategy<Value = Vec<String>> {
    let of = |me: u32, own: u32, none: u32| prop_oneof![own * 2 => Just(Some(me)), none * 2 => Just(None), 1 => (0..PEOPLE).prop_map(Some)];
    let people = prop_oneof![9 => 0..PEOPLE, 1 => PEOPLE..PEOPLE + 3];
    let names = people.prop_flat_map(move |me| (of(me, 16, 1), of(me, 5, 5), of(me, 5, 5)));
    let profile = (
        select(vec!["", "", "web", "2021-05-02, No. 17, Kaunas"]),
        select(vec!["", "", "Ana", "Bo \"B\" Berg", "Two\nLines"]),
        birthday(),
        gender(),
    );
    let currency = prop_oneof![
        30 => select(vec!["", "", "EUR", "EUR", " eur ", "usd"]),
        1 => select(vec!["GBP", "XYZ", "€", "EURO"]),
    ];
    let account = prop_oneof![
        30 => select(vec!["", "", "", "", "points", "coins", " miles "]),
        1 => select(vec!["gems", "COINS"]),
    ];
    let credit = (prop_oneof![5 => amount(false), 2 => Just(String::new())], currency, bonus_expiry(base), account);
    (names, 0..5_u32, 0..60_u32, profile, credit, note()).prop_map(
        |((mobile, email, card), spelling, fault, (consent, name, birthday, gender), credit, note)| {
            let (amount, currency, expires_on, account) = credit;
            let or_empty = |name: Option<String>| name.unwrap_or_default();
            let mut cells = vec![
                or_empty(mobile.map(|n| spelled_mobile(n, spelling))),
                or_empty(email.map(|n| spelled_email(n, spelling))),
                or_empty(card.map(|n| spelled_cards(n, spelling))),
            ];
            match fault {
                0 => cells[0] = "+91 12".to_owned(),
                1 => cells[1] = "ana@".to_owned(),
                2 => cells[2] = " , |".to_owned(),
                _ => {}
            }
            cells.extend([consent, name, birthday, gender].map(str::to_owned));
            cells.extend([amount, currency.to_owned(), expires_on, account.to_owned(), note]);
            cells
        },
    )
}

/// The last day of bonus points: a date, and no moment.
fn bonus_expiry(base: Day) -> impl Strategy<Value = String> {
    prop_oneof![
        10 => Just(String::new()),
        8 => (35..70_i64).prop_map(move |days| day_text(base + days)),
        2 => (10..40_i64).prop_map(move |days| day_text(base + days)),
        1 => last_day(base),
    ]
}

/// The e-mail and mobile cells of a points row.
pub fn names() -> impl Strategy<Value = (String, String)> {
    let person = || prop_oneof![19 => 0..PEOPLE, 1 => PEOPLE..PEOPLE + 3];
    let email = || (person(), 0..4_u32).prop_map(|(n, spelling)| spelled_email(n, spelling));
    let mobile = || (person(), 0..4_u32).prop_map(|(n, spelling)| spelled_mobile(n, spelling));
    let both = (person(), 0..4_u32).prop_map(|(n, s)| (spelled_email(n, s), spelled_mobile(n, s)));
    let bad_email =
        select(vec!["ana", "@example.com", "a b@example.com", "ana@", "a@b@example.com", "ana@example..com"]);
    let bad_mobile = select(vec!["+91 12", "+91 60000 0000x", "+999123456789", "phone"]);
    prop_oneof![
        20 => email().prop_map(|email| (email, String::new())),
        12 => mobile().prop_map(|mobile| (String::new(), mobile)),
        6 => both,
        1 => (email(), mobile()),
        1 => bad_email.prop_map(|email| (email.to_string(), String::new())),
        1 => (email(), bad_mobile).prop_map(|(email, mobile)| (email, mobile.to_string())),
        1 => Just((" ".to_string(), String::new())),
    ]
}

fn spelled_email(n: u32, spelling: u32) -> String {
    let plain = if n == 3 { "josé3@example.com".to_string() } else { format!("c{n}@example.com") };
    match spelling {
        0 => plain,
        1 => format!(" {plain} "),
        2 => plain.to_uppercase(),
        _ => plain.replace('é', "e\u{301}"),
    }
}

/// Some have a number of 11 digits, the others of 12.
fn spelled_mobile(n: u32, spelling: u32) -> String {
    let (code, number) = if n % 4 == 3 { ("370", "636-000") } else { ("91", "63600-000") };
    let plain = number.replace('-', "");
    match spelling {
        0 => format!("+{code}{plain}{n:02}"),
        1 => format!("+{code} {number}{n:02}"),
        2 => format!("00{code}{plain}{n:02}"),
        _ => format!("{code}{plain}{n:02}"),
    }
}

fn spelled_cards(n: u32, spelling: u32) -> String {
    match spelling {
        0 => format!("90000000000000{n:02}"),
        1 => format!("9000-0000 0000-00{n:02}"),
        2 => format!("90000000000000{n:02},90000000000001{n:02}"),
        _ => format!("90000000000001{n:02}|9000-0000-0000-01{n:02}|90000000000002{n:02}"),
    }
}

pub fn amount(signed: bool) -> BoxedStrategy<String> {
    let small = (0..300_u32, prop_oneof![30 => Just(""), 2 => Just(".00"), 3 => select(vec![".5", ".25", ".1250"])])
        .prop_map(|(whole, fraction)| format!("{whole}{fraction}"));
    let large = select(vec![
        "9223372036854775807",
        "9223372036854775806",
        "4611686018427387904",
        "922337203685477.5807",
        "9223372036854775808",
        "99999999999999999999",
        "0009",
        " 7 ",
    ])
    .prop_map(str::to_string);
    let bad =
        select(vec!["", "52,620", "abc", "1e3", "--5", "5 0", "NaN", "0x10", "1.2.3", "5€"]).prop_map(str::to_string);
    let good = prop_oneof![20 => small, 2 => large];
    // Where a sign is not allowed it is one more bad amount.
    let sign = if signed { 0.4 } else { 0.01 };
    let signed = (good, prop::bool::weighted(sign)).prop_map(|(number, negative)| {
        // Whether -0 is negative is nobody's business.
        if negative && number.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
            format!("-{}", number.trim())
        } else {
            number
        }
    });
    prop_oneof![40 => signed, 1 => bad].boxed()
}

pub fn operation() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["", "CR", "cr", "Credit", " "]),
        8 => select(vec!["DR", "dr", "DEBIT", " DR "]),
        1 => select(vec!["XX", "SET", "C", "-"]),
    ]
    .prop_map(str::to_string)
}

/// Columns of a `tidemill` file of points, and one that it does not know.
pub const TIDEMILL: [&str; 19] = [
    "user_id",
    "external_id",
    "email",
    "mobile",
    "card",
    "amount",
    "operation",
    "expires_on",
    "expires_in_days",
    "credited_on",
    "program",
    "ref_type",
    "ref_id",
    "promotion_id",
    "promised",
    "reason",
    "comment",
    "row_id",
    "note",
];
/// How many of them name a customer.
pub const TIDEMILL_NAMES: usize = 5;
/// Their places of the amount and the operation.
pub const TIDEMILL_AMOUNT: usize = 5;
pub const TIDEMILL_OPERATION: usize = 6;

/// The cells of a row of a `tidemill` file, around a day.
pub fn tidemill_row(base: Day, is_signed: bool) -> impl Strategy<Value = Vec<String>> {
    let first = (any_names(), amount(is_signed), operation_or_set(), expiry(base), credited_on(base));
    let second = (
        select(vec!["", "", "", "", "points", "coins", " coins ", "miles", "miles"]),
        reference(),
        prop_oneof![
            30 => select(vec!["", "", "", "no", "available"]),
            15 => select(vec!["yes", "TRUE", "promised"]),
            1 => Just("maybe"),
        ],
        text(),
        text(),
        prop_oneof![
            3 => Just(String::new()),
            6 => (0..4_u32).prop_map(|number| format!("r{number}")),
            1 => Just(" r1 ".to_owned()),
        ],
        note(),
    );
    let unknown = prop::bool::weighted(0.02);
    (first, second, unknown).prop_map(|(first, second, is_unknown)| {
        let (mut cells, amount, operation, expiry, credited_on) = first;
        let (program, mut reference, promised, reason, comment, row_id, note) = second;
        // Most promises are of something, or few would ever be kept.
        if ["yes", "promised"].contains(&promised) && reference[0].is_empty() {
            reference[0] = "order".to_owned();
        }
        cells.extend([amount, operation]);
        cells.extend(expiry);
        cells.push(credited_on);
        cells.push(if is_unknown { "gems" } else { program }.to_owned());
        cells.extend(reference);
        cells.extend([promised.to_owned(), reason, comment, row_id, note]);
        cells
    })
}

/// Mostly an e-mail, the person's other identifiers now and then, and seldom somebody else's.
pub fn any_names() -> impl Strategy<Value = Vec<String>> {
    let of = |me: u32, own: u32, none: u32| prop_oneof![own * 10 => Just(Some(me)), none * 10 => Just(None), 1 => (0..PEOPLE).prop_map(Some)];
    let person = prop_oneof![19 => 0..PEOPLE, 1 => PEOPLE..PEOPLE + 3];
    let whose = person.prop_flat_map(move |me| (of(me, 1, 3), of(me, 1, 3), of(me, 12, 1), of(me, 1, 2), of(me, 1, 3)));
    (whose, 0..4_u32, 0..60_u32).prop_map(|((user, external, email, mobile, card), spelling, fault)| {
        let cell = |name: Option<u32>, spelled: &dyn Fn(u32) -> String| name.map(spelled).unwrap_or_default();
        let mut cells = vec![
            cell(user, &|n| format!("u0{n}")),
            cell(external, &|n| format!(" X-{n}")),
            cell(email, &|n| spelled_email(n, spelling)),
            cell(mobile, &|n| spelled_mobile(n, spelling)),
            cell(card, &|n| spelled_cards(n, spelling % 2)),
        ];
        match fault {
            0 => cells[2] = "nobody.example.com".to_owned(),
            1 => cells[3] = "+91 12".to_owned(),
            2 => cells.fill(String::new()),
            _ => {}
        }
        cells
    })
}

fn operation_or_set() -> impl Strategy<Value = String> {
    prop_oneof![5 => operation(), 1 => select(vec!["SET", "set", " Set "]).prop_map(str::to_owned)]
}

/// A last day and days of validity: most rows have one of them or none.
fn expiry(base: Day) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        5 => Just([String::new(), String::new()]),
        5 => last_day(base).prop_map(|day| [day, String::new()]),
        5 => days_of_validity().prop_map(|days| [String::new(), days]),
        1 => (last_day(base), days_of_validity()).prop_map(|(day, days)| [day, days]),
    ]
    .prop_map(|cells| cells.to_vec())
}

/// The last day of points: a job's `now` lies up to 40 days behind the base.
fn last_day(base: Day) -> impl Strategy<Value = String> {
    let date = |days: std::ops::Range<Day>| days.prop_map(move |days| day_text(base + days));
    prop_oneof![
        8 => date(30..70),
        4 => date(0..40),
        1 => date(-30..0),
        1 => (0..70_i64, clock()).prop_map(move |(days, clock)| format!("{}{clock}", day_text(base + days))),
        1 => select(vec!["9999-12-31", "2096-02-30", "2021-09-31", "31.12.2096", "soon", "2096-2-20"])
            .prop_map(str::to_owned),
    ]
}

/// Days of validity.
pub fn days_of_validity() -> impl Strategy<Value = String> {
    prop_oneof![
        16 => (1..30_u32).prop_map(|days| days.to_string()),
        1 => select(vec!["0", "-1", "1.5", "x", "3000000", "99999999999999999999", " 7 ", "007", "2800000"])
            .prop_map(str::to_owned),
    ]
}

/// When points were earned: mostly before any job.
fn credited_on(base: Day) -> impl Strategy<Value = String> {
    prop_oneof![
        9 => Just(String::new()),
        4 => (-6..0_i64).prop_map(move |days| day_text(base + days)),
        3 => (-6..0_i64, clock()).prop_map(move |(days, clock)| format!("{}{clock}", day_text(base + days))),
        1 => (0..40_i64).prop_map(move |days| day_text(base + days)),
        1 => select(vec!["2001-01-01", "2001-01-01", "2021-02-29", "yesterday"]).prop_map(str::to_owned),
    ]
}

/// The clock of a moment, with its zone.
fn clock() -> impl Strategy<Value = &'static str> {
    select(vec!["T00:00:00Z", "T23:59:59Z", "T02:30:00+05:30", "T23:00:00-02:00", "T18:30:00+00:00"])
}

pub fn reference() -> impl Strategy<Value = Vec<String>> {
    let cell = |filled: &[&'static str]| {
        prop_oneof![
            80 => Just(String::new()),
            40 => select(filled.to_vec()).prop_map(str::to_owned),
            1 => Just("x".repeat(255)),
            1 => Just("é".repeat(128)),
        ]
    };
    (cell(&["order", "Order"]), cell(&["10045", " 7 "]), cell(&["SPRING", "=1+1"]))
        .prop_map(|(kind, id, promotion)| vec![kind, id, promotion])
}

/// A reason or a comment.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        200 => Just(String::new()),
        40 => select(vec!["late parcel", "for you, \"Ana\"", "two\nlines", "-ąžuolas"]).prop_map(str::to_owned),
        1 => Just("x".repeat(4096)),
        1 => Just("x".repeat(4097)),
    ]
}

/// A cell of a column that no format knows.
pub fn note() -> impl Strategy<Value = String> {
    select(vec!["", "thanks, \"Ana\"", "two\nlines", "ąžuolas"]).prop_map(str::to_owned)
}
