use proptest::prelude::*;

use super::*;
use crate::{
    domain::tier::Tiers,
    import::format::{ColumnOverride, Format, Header, Kind},
};

const COLUMNS: [&str; 20] = [
    "card",
    "user_id",
    "external_id",
    "email",
    "mobile",
    "created_at",
    "name",
    "first",
    "last",
    "birthday",
    "gender",
    "consent",
    "tier",
    "ltv",
    "orders",
    "balance",
    "amount",
    "currency",
    "account",
    "expires_on",
];

/// With credits a row is also found by one identifier only, whose digits are counted.
fn rules(zone: &str, tiers: &[&str], with_credits: bool) -> CustomersRules {
    let header: Vec<String> = COLUMNS.iter().map(|&name| name.to_owned()).collect();
    let format = Format::builtin(None, "tidemill-customers").unwrap();
    let credits = ["amount", "currency", "account", "expires_on"]
        .iter()
        .filter(|_| with_credits)
        .map(|name| ColumnOverride::parse(&format!("{name}={name}"), Kind::Customers).unwrap())
        .collect::<Vec<_>>();
    let names = ["first=first_name", "last=last_name"].map(|map| ColumnOverride::parse(map, Kind::Customers).unwrap());
    let overrides: Vec<ColumnOverride> = names.into_iter().chain(credits).collect();
    let zone = TimeZone::new(zone).unwrap();
    let now = Timestamp::parse_rfc3339("2026-05-01T10:00:00Z").unwrap();
    let declared: Vec<String> = tiers.iter().map(|&tier| tier.to_owned()).collect();
    CustomersRules {
        dialect: Dialect { delimiter: b',', quote: b'"' },
        columns: COLUMNS.len(),
        mapping: Mapping::resolve(format, Header::Named(&header), &overrides).unwrap(),
        key: with_credits.then_some(IdentifierKind::Mobile),
        set_at_creation: Presence::default(),
        phone_digits: with_credits.then_some(11),
        cell_rules: CellRules::default(),
        program: ProgramId(0),
        programs: [("points", None), ("eur", Some("EUR"))]
            .map(|(code, currency)| Program::new(code, "", 2, currency).unwrap())
            .to_vec(),
        knows_programs: true,
        numbers: NumberStyle::PLAIN,
        dates: DateStyle::Iso,
        region: Region::new("LT"),
        today: zone.day_of(now),
        zone,
        tiers: Tiers::from_parts(&[], &declared).unwrap(),
        seed: 7,
        job: JobId(1),
        now,
        processed: false,
        notifies: false,
        comment: None,
    }
}

/// One cell of a column: mostly as files have them, some with spaces, quotes, other scripts, or wrong.
fn cell(column: usize) -> BoxedStrategy<String> {
    let plain = match COLUMNS[column] {
        "card" => prop_oneof!["[0-9]{12,16}", "[0-9]{4} [0-9]{4}", "[0-9]{4}[|,][0-9]{4}", "C-[0-9]{6}"].boxed(),
        "email" => {
            prop_oneof!["[a-zA-Z.+]{1,9}@[a-z-]{2,9}\\.(com|lt|x1)", "[a-z]{60,70}@a\\.lt", "o'brien@x\\.ie"].boxed()
        }
        "mobile" => prop_oneof!["\\+3706[0-9]{7}", "86[0-9]{7}", "\\+91 [0-9]{5} [0-9]{5}"].boxed(),
        "amount" => prop_oneof!["[0-9]{1,4}(\\.[0-9]{1,2})?", "9223372036854775807", "-1"].boxed(),
        "currency" => prop_oneof!["EUR|eur", "GBP", "XYZ"].boxed(),
        "account" => prop_oneof!["eur|points", "nope"].boxed(),
        "expires_on" => prop_oneof!["202[67]-0[1-9]-0[1-9]", "2026-02-30"].boxed(),
        "birthday" | "created_at" => prop_oneof![
            4 => "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-[0-3][0-9]",
            1 => "2020-01-0[1-9]T10:00:00(Z|\\+03:00)",
            1 => "(--|1004-)(0[1-9]|1[0-3])-[0-3][0-9]",
        ]
        .boxed(),
        "gender" => prop_oneof!["male|Female|other|moteris|x"].boxed(),
        "tier" => prop_oneof!["gold|silver|Gold|Ąžuolas"].boxed(),
        "ltv" | "orders" | "balance" => prop_oneof!["[0-9]{1,7}", "[0-9]{1,4}\\.[0-9]{1,5}", "-[0-9]{1,3}"].boxed(),
        // A full name wins, so it is missing at times.
        "name" => prop_oneof!["[A-Z][a-z]{2,8} [A-Z][a-z]{2,8}", Just(String::new())].boxed(),
        "first" | "last" => prop_oneof!["[A-Z][a-z]{2,8}", "Žana", "[x]{2000,2100}"].boxed(),
        "consent" => prop_oneof!["[A-Z][a-z]{2,8} [A-Z][a-z]{2,8}", "[А-Я][а-я]{2,8}", "Élodie Ž"].boxed(),
        _ => prop_oneof!["[A-Za-z]?[0-9]{1,13}", "1\\.23457E\\+15"].boxed(),
    };
    prop_oneof![
        12 => plain.clone(),
        3 => Just(String::new()),
        1 => plain.clone().prop_map(|cell| format!(" {cell} ")),
        1 => plain.prop_map(|cell| format!("'{cell}")),
        1 => "[ -+.-~]{0,8}",
        1 => "\u{a0}?[a-ž]{0,5}\u{200b}?",
    ]
    .boxed()
}

fn row() -> impl Strategy<Value = Vec<String>> {
    let mut cells = Vec::new();
    for column in 0..COLUMNS.len() {
        cells.push(cell(column));
    }
    cells
}

proptest! {
    #[test]
    fn a_plain_row_is_read_as_its_plain_twin_reads_it(
        rows in prop::collection::vec(row(), 1..12),
        zone in prop::sample::select(vec!["UTC", "Europe/Vilnius"]),
        declared: bool,
        with_credits: bool,
    ) {
        let rules = rules(zone, if declared { &["Gold", "silver"] } else { &[] }, with_credits);
        let mut file = String::new();
        for cells in &rows {
            let quoted: Vec<String> = cells
                .iter()
                .map(|cell| if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() })
                .collect();
            file.push_str(&quoted.join(","));
            file.push('\n');
        }
        let read = |plain: bool| {
            let mut batch = CustomersBatch::default();
            batch.fill(Chunk { bytes: file.clone().into_bytes(), ..Chunk::default() });
            if plain { rules.parse_with::<true>(&mut batch) } else { rules.parse_with::<false>(&mut batch) }
            batch
        };
        let (quick, plain) = (read(true), read(false));
        prop_assert_eq!(&quick.rows, &plain.rows);
        prop_assert_eq!(&quick.faults, &plain.faults);
        prop_assert_eq!(&quick.hashes, &plain.hashes);
        prop_assert_eq!(&quick.bodies, &plain.bodies);
        prop_assert_eq!(&quick.tiers, &plain.tiers);
        prop_assert_eq!(&quick.credits, &plain.credits);
    }
}

#[test]
fn rows_as_most_files_have_them_are_plain() {
    let rules = rules("Europe/Vilnius", &[], false);
    let text = "9036000000000000,u1,7000000000000,Ada.Adler@Example.com,+916000000000,2023-01-04,,Ada,Adler,1987-10-27,male,\
                web form,bronze,1655.40,20,125.10,,,,\n";
    let mut records = Records::default();
    csv::scan(text.as_bytes(), rules.dialect, rules.columns, &mut records);
    let cells = (text, records.fields_of(&records.records[0]));
    let (mut hashes, mut bodies) = (Vec::new(), Vec::new());
    let tiers = ["bronze".to_owned()];
    let places = Places::of(&rules.mapping, 2);
    let mut put = |tiers: &[String]| {
        rules.put_plain_row(&places, cells, tiers, &mut Scratch::default(), &mut hashes, &mut bodies).is_some()
    };
    assert!(put(&tiers));
    assert!(!put(&[]), "a tier that is new is noted on the other path");
    assert_eq!(hashes.len(), 10);
}
