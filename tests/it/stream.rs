//! Standard input as FILE: kept in the store until its job ends, and read like a file.

use std::{io::Write, thread, time::Instant};

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
    let began = Instant::now();
    finish(calm.spawn_reading("points.csv", &command)).expect(3);
    let mut wait = began.elapsed() / 2;
    assert_eq!(spooled(&calm), 0);
    let expected = Content::of_binary(&calm);
    let (mut met, mut met_rows) = (0, 0);
    for attempt in 0..40 {
        let killed = binary.copy();
        let mut child = killed.spawn_reading("points.csv", &command);
        thread::sleep(wait);
        child.kill().expect("it is ours");
        let was_done = finish(child).exit.is_some();
        let shown = killed.run(&["job", "show", "2"]);
        let is_begun = shown.exit == Some(0) && shown.json["state"] == "unfinished";
        // How long a moment in the middle takes to come is found out by trying, whatever else the machine does.
        wait = if is_begun { wait.mul_f64(1.02) } else { wait.mul_f64(if was_done { 0.85 } else { 1.1 }) };
        if !is_begun && attempt > 3 {
            continue;
        }
        if is_begun {
            assert_eq!(spooled(&killed), 1);
            met += 1;
            met_rows += u64::from(shown.json["rows"]["read"] != 0);
        }
        // Gone on with in all ways that there are.
        let ended = match met % 3 {
            1 if is_begun => killed.run(&["job", "resume", "2"]),
            2 => killed.run(&[&["import", "points", "points.csv"], &command[3..]].concat()),
            _ => finish(killed.spawn_reading("points.csv", &command)),
        };
        assert!(matches!(ended.exit, Some(3)) || ended.error("code") == "repeated_file", "{ended:?}");
        assert_eq!(Content::of_binary(&killed).difference(&expected), None, "attempt {attempt}");
        assert_eq!(killed.read("p.csv"), calm.read("p.csv"));
        // Whatever was left behind goes when the store is opened.
        assert_eq!(spooled(&killed), 0);
        if met >= 4 && met_rows >= 2 {
            break;
        }
    }
    println!("{met} kills met an unfinished job, {met_rows} one with rows");
    assert!(met > 0);
}

#[test]
fn a_stream_that_is_not_kept_is_read_once() {
    let (kept, binary) = (shop(), shop());
    kept.run_reading(POINTS.as_bytes(), &with(&["--processed", "p.csv"])).expect(3);
    for sent in [POINTS.as_bytes().to_vec(), gzip(POINTS.as_bytes())] {
        let binary = shop();
        let ended = binary.run_reading(&sent, &with(&["--no-spool", "--processed", "p.csv"])).expect(3);
        assert_eq!(ended.json["bytes_read"], POINTS.len());
        assert_eq!(Content::of_binary(&binary).difference(&Content::of_binary(&kept)), None);
        assert_eq!(binary.read("p.csv"), kept.read("p.csv"));
        assert!(!binary.store().join("spool").exists());
    }
    // What needs the input twice is refused, and says so.
    for more in [["--max-rejects", "5"], ["--expect-rows", "3"], ["--expect-total", "3"]] {
        let ended = binary.run_reading(POINTS.as_bytes(), &with(&[&["--no-spool"], &more[..]].concat())).expect(2);
        assert!(ended.error("message").contains("twice") && ended.error("hint").contains("--no-spool"), "{ended:?}");
    }
    binary.write("points.csv", POINTS);
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--no-spool"]).expect(2);
    binary.run_reading(POINTS.as_bytes(), &with(&["--no-spool", "--dry-run"])).expect(3);
    assert_eq!(binary.run(&["job", "list"]).json["jobs"].as_array().map(Vec::len), Some(1));
    // It is not known again.
    for job in [2, 3] {
        let ended = binary.run_reading(POINTS.as_bytes(), &with(&["--no-spool"])).expect(3);
        assert_eq!(ended.json["job"], job);
    }
    binary.verify();
}

#[test]
fn a_stream_that_is_not_kept_and_breaks_off_tells_where() {
    let binary = shop().flag("--window-rows").flag("100");
    let whole = format!("email,amount,operation\n{}", "ana@example.com,1,\n".repeat(200_000));
    let sent = gzip(whole.as_bytes());
    let ended = binary.run_reading(&sent[..sent.len() - 100], &with(&["--no-spool"])).expect(1);
    assert!(ended.error("message").contains("`-` broke off"), "{ended:?}");
    let shown = binary.run(&["job", "show", "2"]).expect(0).json;
    assert_eq!(shown["state"], "unfinished");
    let read = shown["rows"]["read"].as_u64().expect("a number");
    let ended = binary.run(&["job", "resume", "2"]).expect(4);
    assert_eq!(ended.error("code"), "stream_not_kept");
    assert!(ended.error("hint").contains(&format!("up to line {}", read + 1)), "{ended:?}");
    binary.verify();
}
