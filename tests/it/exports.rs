//! Exports in every format: each has the rows of the CSV, with the types that the format has, whole or not at all.

use std::{fmt::Write, io::Read};

use bytes::Bytes;
use parquet::{
    basic::{LogicalType, TimeUnit, Type as Physical},
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::Value;
use tidemill::{
    domain::{
        identifier::IdentifierKind,
        time::{Date, Timestamp},
    },
    engine::{
        Engine,
        request::{AdjustRequest, ExpireRequest, JobRequest, MergeRequest, PointsExpiry},
    },
    error::ErrorKind,
    job::progress::Progress,
    report::export::{
        Export,
        format::{ExportFormat, Packing, Shape},
    },
};

use super::support::{
    binary::{Binary, files_below, finish},
    content::{difference, export, rows},
    shop::{Shop, credits},
    till::{Till, allow, file, plainly},
};

const ALL: [Export; 4] = [Export::Customers, Export::Balances { nonzero: false }, Export::Ledger, Export::Lots];

/// An export as it is written to a file.
fn written(engine: &Engine, what: Export, format: ExportFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine.export(what, format, &mut bytes).expect("an export");
    bytes
}

fn unpacked(bytes: &[u8], packing: Packing) -> String {
    let mut text = String::new();
    let read = match packing {
        Packing::Plain => bytes.to_vec().as_slice().read_to_string(&mut text),
        Packing::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text),
        Packing::Zstd => zstd::stream::read::Decoder::new(bytes).expect("frames").read_to_string(&mut text),
    };
    read.expect("UTF-8");
    text
}

/// The cells of NDJSON, without the keys, which must be those of a header.
fn ndjson_rows(text: &str, header: &[String]) -> Vec<Vec<String>> {
    assert!(text.is_empty() || text.ends_with('\n'));
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => {
            assert!(!text.is_empty(), "what is missing is null");
            text.clone()
        }
        Value::Number(number) => number.to_string(),
        other => panic!("{other}"),
    };
    let row = |line: &str| {
        // In the order of the columns, which a parsed object does not keep.
        let places: Vec<usize> =
            header.iter().map(|name| line.find(&format!("\"{name}\":")).expect("every column")).collect();
        assert!(places.is_sorted(), "{line}");
        let object: serde_json::Map<String, Value> = serde_json::from_str(line).expect("an object");
        assert_eq!(object.len(), header.len(), "{line}");
        header.iter().map(|name| cell(&object[name])).collect()
    };
    text.split_terminator('\n').map(row).collect()
}

/// Decimal text without the zeros at its end.
fn shortest(number: &str) -> String {
    match number.split_once('.') {
        Some(_) => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => number.to_owned(),
    }
}

fn parquet_cell(field: &Field, scale: Option<u32>) -> String {
    match (field, scale) {
        (Field::Null, _) => String::new(),
        (Field::Str(text), _) => text.clone(),
        (Field::Long(number), _) => number.to_string(),
        (Field::Date(days), _) => Date::from_days(*days).expect("a day").to_string(),
        (Field::TimestampMillis(millis), _) => Timestamp::from_millis(*millis).expect("a moment").to_string(),
        (Field::Decimal(decimal), Some(scale)) => {
            let unscaled = i64::from_be_bytes(decimal.data().try_into().expect("8 bytes"));
            let (unit, sign) = (10_u64.pow(scale), if unscaled < 0 { "-" } else { "" });
            let magnitude = unscaled.unsigned_abs();
            let mut text = format!("{sign}{}", magnitude / unit);
            if scale > 0 {
                write!(text, ".{:0width$}", magnitude % unit, width = scale as usize).expect("text");
            }
            shortest(&text)
        }
        other => panic!("{other:?}"),
    }
}

/// The cells of a Parquet file, with the scale of each column that has one.
fn parquet_rows(bytes: Vec<u8>) -> (Vec<String>, Vec<Option<u32>>, Vec<Vec<String>>) {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).expect("Parquet");
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let names = schema.columns().iter().map(|column| column.name().to_owned()).collect();
    let scale = |logical: Option<&LogicalType>| match logical {
        Some(LogicalType::Decimal(decimal)) => Some(decimal.scale as u32),
        _ => None,
    };
    let scales: Vec<Option<u32>> = schema.columns().iter().map(|column| scale(column.logical_type_ref())).collect();
    let row = |row: parquet::errors::Result<parquet::record::Row>| {
        let row = row.expect("a row");
        row.get_column_iter().zip(&scales).map(|((_, field), scale)| parquet_cell(field, *scale)).collect()
    };
    let rows = reader.get_row_iter(None).expect("rows").map(row).collect();
    (names, scales, rows)
}

/// Checks that all formats say what the CSV says.
fn check(engine: &Engine, what: Export) {
    let csv = export(engine, what);
    let header: Vec<String> = csv.lines().next().expect("a header").split(',').map(str::to_owned).collect();
    let expected = rows(&csv);
    for (ending, format) in ExportFormat::ENDINGS {
        let bytes = written(engine, what, format);
        let name = format!("{} {ending}", what.name());
        match format.shape {
            Shape::Csv => assert_eq!(difference(&name, &unpacked(&bytes, format.packing), &csv), None),
            Shape::Ndjson => {
                let found = ndjson_rows(&unpacked(&bytes, format.packing), &header);
                assert_eq!(found, expected, "{name}");
            }
            Shape::Parquet => {
                let (names, scales, found) = parquet_rows(bytes);
                assert_eq!(names, header, "{name}");
                // A column has one number of decimals, programs have different ones.
                let expected: Vec<Vec<String>> = expected
                    .iter()
                    .map(|row| {
                        let cell = |(cell, scale): (&String, &Option<u32>)| match scale {
                            Some(_) => shortest(cell),
                            None => cell.clone(),
                        };
                        row.iter().zip(&scales).map(cell).collect()
                    })
                    .collect();
                assert_eq!(found, expected, "{name}");
            }
        }
    }
}

/// A store with all kinds of entries and cells.
fn rich() -> Till {
    let till = Till::new();
    till.customers(
        "user_id,external_id,email,mobile,card,name,birthday,gender,consent,tier,ltv,orders,created_at\n\
         u3,\"x,3\",carla@example.com,,9003|9004,\"Carla, \"\"Cee\"\" Cruz\",1990-04-12,female,yes,gold,10.5,3,2021-02-01\n\
         u4,=cmd|' /C calc'!A0,inés@example.com,+37061234567,,\"Inés\nLópez \u{1F30A}\",--05-27,male,,,99999.9999,,\n\
         u5,'=1+1,,,9005,-2+3,,other,,silver,0,0,1999-12-31\n\
         ,,dora@example.com,,,Dora,,,,,,,\n\
         ,,doro@example.com,,,Doro,,,,,,,\n\
         ,,gone@example.com,,,Gone,,,,,,,\n",
    );
    till.import(
        file(
            "email,user_id,amount,operation,expires_on,credited_on,program,ref_type,ref_id,promotion_id,promised,reason,comment",
            [
                "carla@example.com;;100;CR;;;;;;;;;",
                "carla@example.com;;12.34;CR;2091-01-31;2089-05-05;eur;order;№ 7, \"b\";spring;;for staff;=SUM(A1)",
                "carla@example.com;;0.5;CR;;;eur;;;;yes;;",
                "inés@example.com;;70;CR;2090-03-11;;;visit;;;;;für dich",
                ";u5;30;DR;;;;;;;;;",
                "dora@example.com;;5;CR;;;;order;1;;;;",
                "doro@example.com;;6.25;CR;2092-02-29;;eur;;;;;;",
                "gone@example.com;;1;CR;;;;;;;;;",
                "carla@example.com;;3.34;DR;;;eur;;;;;;",
            ]
            .into_iter(),
        ),
        allow,
    );
    till.import(
        "email,amount,operation
ana@example.com,9,CR
",
        plainly,
    );
    till.at("2090-04-01");
    let expire = ExpireRequest::default();
    till.engine().expire(&till.job(), &expire, &Progress::default()).expect("it expires");
    let adjust = AdjustRequest {
        identifiers: vec![(IdentifierKind::Email, "ana@example.com".to_owned())],
        operation: tidemill::domain::command::Operation::Credit,
        amount: "7".to_owned(),
        on_overdraft: Default::default(),
        expiry: Some(PointsExpiry::InDays(300)),
    };
    let job = JobRequest { reason: Some("by hand, \"so\"".to_owned()), ..till.job() };
    till.engine().adjust(&job, &adjust).expect("it is applied");
    let email = |value: &str| (IdentifierKind::Email, value.to_owned());
    let merge = MergeRequest { into: email("dora@example.com"), from: email("doro@example.com") };
    till.engine().merge(&till.job(), &merge, &Progress::default()).expect("it is merged");
    till.engine()
        .erase(&till.job(), IdentifierKind::Email, "gone@example.com", &Progress::default())
        .expect("it is erased");
    till
}

#[test]
fn every_format_says_what_the_csv_says() {
    let till = rich();
    till.verify();
    for what in ALL {
        check(till.engine(), what);
    }
    check(till.engine(), Export::Balances { nonzero: true });
    let ledger = rows(&export(till.engine(), Export::Ledger));
    let kinds: std::collections::BTreeSet<&str> = ledger.iter().map(|row| row[7].as_str()).collect();
    for kind in ["credit", "debit", "expire", "promise"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    // Guarded in CSV, where a spreadsheet may be behind it, and as it is elsewhere.
    assert!(export(till.engine(), Export::Customers).contains(",'=cmd|"));
    let ndjson = String::from_utf8(written(till.engine(), Export::Customers, ExportFormat::NDJSON)).expect("UTF-8");
    assert!(ndjson.contains(r#""external_id":"=cmd|' /C calc'!A0""#) && ndjson.contains(r#""mobile":"+37061234567""#));
}

#[test]
fn an_empty_store_gives_a_header_or_a_schema_and_no_rows() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::create(&directory.path().join("store"), Default::default()).expect("a store");
    for what in ALL {
        assert_eq!(rows(&export(&engine, what)).len(), 0);
        check(&engine, what);
    }
}

#[test]
fn parquet_columns_have_the_types_of_what_they_hold() {
    let till = rich();
    let reader = SerializedFileReader::new(Bytes::from(written(till.engine(), Export::Ledger, ExportFormat::PARQUET)));
    let reader = reader.expect("Parquet");
    let metadata = reader.metadata().file_metadata();
    let facts: Vec<(&str, Option<&str>)> = metadata
        .key_value_metadata()
        .expect("facts")
        .iter()
        .map(|fact| (fact.key.as_str(), fact.value.as_deref()))
        .collect();
    assert_eq!(facts[0], ("tidemill.export", Some("ledger")));
    assert!(facts.iter().any(|(key, value)| *key == "tidemill.as_of" && value.is_some_and(|day| day.len() == 10)));
    let schema = metadata.schema_descr();
    let of = |name: &str| {
        let column = schema.columns().iter().find(|column| column.name() == name).expect("the column");
        (column.physical_type(), column.logical_type_ref().cloned(), column.max_def_level() == 1)
    };
    let moment = LogicalType::timestamp(true, TimeUnit::MILLIS);
    assert_eq!(of("email"), (Physical::BYTE_ARRAY, Some(LogicalType::String), true));
    assert_eq!(of("amount"), (Physical::INT64, Some(LogicalType::decimal(2, 18)), false));
    assert_eq!(of("expires_on"), (Physical::INT32, Some(LogicalType::Date), true));
    assert_eq!(of("time"), (Physical::INT64, Some(moment), false));
    assert_eq!(of("sequence"), (Physical::INT64, None, false));
    assert_eq!(of("reverses"), (Physical::INT64, None, true));
}

#[test]
fn large_exports_are_in_order_in_every_format() {
    let shop = Shop::new();
    // More than two groups of rows in Parquet, and many parts of text.
    shop.write("points.csv", credits(280_000));
    shop.import("points.csv", &Progress::default()).expect("it ends");
    check(&shop.engine, Export::Ledger);
    check(&shop.engine, Export::Balances { nonzero: false });
    let bytes = Bytes::from(written(&shop.engine, Export::Ledger, ExportFormat::PARQUET));
    let reader = SerializedFileReader::new(bytes).expect("Parquet");
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert!(groups.len() > 2 && groups.iter().all(|&rows| rows <= 1 << 17), "{groups:?}");
}

#[test]
fn an_amount_that_parquet_cannot_hold_is_refused_and_leaves_the_file_as_it_was() {
    let binary = Binary::new();
    binary.write("points.csv", "email,amount,operation\nana@example.com,900000000000000000,CR\n");
    binary.run(&["program", "add", "eur", "--decimals", "2"]).expect(0);
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--on-unknown", "create"]).expect(0);
    binary.write("a.parquet", "as it was");
    let ended = binary.run(&["export", "balances", "-o", "a.parquet"]).expect(2);
    assert!(ended.error("message").contains("18 digits") && ended.error("hint").contains(".csv"), "{ended:?}");
    assert_eq!(binary.read("a.parquet"), "as it was");
    assert!(!files_below(&binary.path("")).iter().any(|path| path.to_string_lossy().ends_with(".part")));
    binary.run(&["export", "balances", "-o", "a.ndjson"]).expect(0);
    assert!(binary.read("a.ndjson").contains(r#""balance":"900000000000000000""#));
}

#[test]
fn a_file_of_no_known_kind_is_refused_before_the_store_is_opened() {
    let binary = Binary::new();
    for name in ["a.xlsx", "a", "a.parquet.gz", "a.json"] {
        let ended = binary.run(&["export", "ledger", "-o", name]).expect(2);
        for (ending, _) in ExportFormat::ENDINGS {
            assert!(ended.error("message").contains(ending), "{ended:?}");
        }
    }
    let ended = binary.run(&["export", "ledger", "-o", "a.csv", "--format", "ndjson"]).expect(2);
    assert!(ended.error("hint").contains("--format"), "{ended:?}");
}

#[test]
fn whoever_stops_an_export_finds_a_whole_file_or_none() {
    let binary = Binary::new();
    binary.write("points.csv", credits(100_000));
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--on-unknown", "create"]).expect(3);
    for milliseconds in [0, 5, 20, 60, 150] {
        let child = binary.spawn(&["export", "ledger", "-o", "ledger.ndjson"]);
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let id = libc::pid_t::try_from(child.id()).expect("a process id");
        // SAFETY: a signal to a child of ours that was not waited for.
        unsafe { libc::kill(id, libc::SIGINT) };
        let ended = finish(child);
        match ended.exit {
            Some(0) => {
                let text = binary.read("ledger.ndjson");
                assert_eq!((text.lines().count(), text.ends_with('\n')), (99_000, true));
                std::fs::remove_file(binary.path("ledger.ndjson")).expect("it is removed");
            }
            // Before signals were watched, it just ended.
            Some(130) | None => assert!(!binary.path("ledger.ndjson").exists(), "{ended:?}"),
            other => panic!("{other:?}: {ended:?}"),
        }
        let left: Vec<_> = files_below(&binary.path(""))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "part"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_an_export_without_an_error() {
    let shop = Shop::new();
    shop.write("points.csv", credits(50_000));
    shop.import("points.csv", &Progress::default()).expect("it ends");
    /// Takes so many bytes.
    struct Closing(usize);
    impl std::io::Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for (_, format) in ExportFormat::ENDINGS {
        for room in [0, 10, 100_000] {
            let error = shop.engine.export(Export::Ledger, format, &mut Closing(room)).expect_err("nobody reads");
            assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
        }
    }
    // Nothing waits for what has ended.
    check(&shop.engine, Export::Balances { nonzero: false });
}
