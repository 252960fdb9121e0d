//! Standard input as FILE: kept in the store until its job ends, and read like a file.

use std::{io::Write, thread, time::Duration};

use super::support::{
    binary::{Binary, finish},
    content::Content,
};

const POINTS: &str = "email,amount,operation\nana@example.com,5,CR\nben@example.com,7,\nnobody@example.com,9,DR\n";
const IMPORT: [&str; 5] = ["import", "points", "-", "--reason", "x"];

fn shop() -> Binary {
    let binary = Binary::new();
    binary.write("customers.csv", "email,balance\nana@example.com,100\nben@example.com,\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&IMPORT[..], more].concat()
}

/// The files that the store keeps of streams.
fn spooled(binary: &Binary) -> usize {
    std::fs::read_dir(binary.store().join("spool")).map_or(0, Iterator::count)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

#[test]
fn a_stream_is_imported_as_the_file_would_be() {
    let (by_file, by_stream) = (shop(), shop());
    by_file.write("-points.csv", POINTS);
    let more = ["--processed", "p.csv", "--rejects", "r.csv", "--max-rejects", "1", "--expect-rows", "3"];
    by_file.run(&[&["import", "points", "./-points.csv", "--reason", "x"], &more[..]].concat()).expect(3);
    let ended = by_stream.run_reading(POINTS.as_bytes(), &with(&more)).expect(3);
    assert_eq!((ended.json["input"].as_str(), ended.json["rows"]["read"].as_u64()), (Some("-"), Some(3)));
    assert_eq!(Content::of_binary(&by_stream).difference(&Content::of_binary(&by_file)), None);
    assert_eq!((by_stream.read("p.csv"), by_stream.read("r.csv")), (by_file.read("p.csv"), by_file.read("r.csv")));
    assert_eq!(spooled(&by_stream), 0);
    // Its rejected rows are in the store, not in the stream.
    by_stream.run(&["job", "rejects", "2", "-o", "again.csv"]).expect(0);
    assert_eq!(by_stream.read("again.csv"), by_file.read("r.csv"));
}

#[test]
fn the_same_content_is_the_same_job_however_it_comes() {
    let binary = shop();
    binary.write("points.csv", POINTS);
    let utf_16: Vec<u8> = std::iter::once(0xfeff).chain(POINTS.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    binary.write("utf-16.csv", &utf_16);
    binary.run_reading(&gzip(POINTS.as_bytes()), &IMPORT).expect(3);
    let zstd = zstd::bulk::compress(POINTS.as_bytes(), 3).expect("it is compressed");
    for sent in [POINTS.as_bytes().to_vec(), zstd, gzip(POINTS.as_bytes())] {
        let ended = binary.run_reading(&sent, &IMPORT).expect(4);
        assert_eq!((ended.error("code"), ended.error("job")), ("repeated_file".to_owned(), "2".to_owned()));
    }
    binary.run(&["import", "points", "points.csv", "--reason", "x"]).expect(4);
    binary.run_reading(&gzip(&utf_16), &IMPORT).expect(3);
    binary.run(&["import", "points", "utf-16.csv", "--reason", "x"]).expect(4);
    binary.run_reading(POINTS.as_bytes(), &with(&["--again"])).expect(3);
    assert_eq!(spooled(&binary), 0);
    binary.verify();
}

#[test]
fn what_changes_nothing_keeps_nothing() {
    let binary = shop();
    let before = Content::of_binary(&binary);
    let dry = binary.run_reading(POINTS.as_bytes(), &with(&["--dry-run", "--processed", "p.csv"])).expect(3);
    assert_eq!(dry.json["job"], serde_json::Value::Null);
    assert_eq!(binary.read("p.csv").lines().count(), 4);
    for (sent, more, exit) in [
        (POINTS.as_bytes(), &["--max-rejects", "0"][..], 4),
        (b"", &[], 1),
        (b"x,y\n1,2\n", &[], 2),
        (&gzip(POINTS.as_bytes())[..30], &[], 1),
    ] {
        let ended = binary.run_reading(sent, &with(more)).expect(exit);
        assert!(!ended.error("message").is_empty());
    }
    assert_eq!(spooled(&binary), 0);
    assert_eq!(Content::of_binary(&binary).difference(&before), None);
    assert_eq!(binary.run(&["job", "list"]).json["jobs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_killed_job_goes_on_from_what_was_kept() {
    let binary = Binary::new().flag("--window-rows").flag("10000");
    binary.run(&["bench", "--generate", ".", "--customers", "20000", "--rows", "200000"]).expect(0);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    let calm = binary.copy();
    let command = with(&["--on-unknown", "create", "--processed", "p.csv"]);
    finish(calm.spawn_reading("points.csv", &command)).expect(3);
    assert_eq!(spooled(&calm), 0);
    let expected = Content::of_binary(&calm);
    let mut met_rows = 0;
    // Killed at other moments, and gone on with in all ways that there are.
    for (at, wait) in [20_u64, 45, 70, 90, 110, 140].into_iter().enumerate() {
        let killed = binary.copy();
        let mut child = killed.spawn_reading("points.csv", &command);
        thread::sleep(Duration::from_millis(wait));
        child.kill().expect("it is ours");
        finish(child);
        let shown = killed.run(&["job", "show", "2"]);
        let is_begun = shown.exit == Some(0) && shown.json["state"] == "unfinished";
        met_rows += u64::from(is_begun && shown.json["rows"]["read"] != 0);
        if is_begun {
            assert_eq!(spooled(&killed), 1);
        }
        let ended = match at % 3 {
            0 if is_begun => killed.run(&["job", "resume", "2"]),
            1 => killed.run(&[&["import", "points", "points.csv"], &command[3..]].concat()),
            _ => finish(killed.spawn_reading("points.csv", &command)),
        };
        assert!(matches!(ended.exit, Some(3)) || ended.error("code") == "repeated_file", "{ended:?}");
        assert_eq!(Content::of_binary(&killed).difference(&expected), None, "after {wait} ms");
        assert_eq!(killed.read("p.csv"), calm.read("p.csv"));
        // Whatever was left behind goes when the store is opened.
        assert_eq!(spooled(&killed), 0);
    }
    println!("{met_rows} of 6 kills met a job in the middle");
}
