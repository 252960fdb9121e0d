//! The commands of each `datasets/*/expected.json`, run with the binary: exit codes, summaries, answers.

use std::path::Path;

use serde_json::Value;

use super::support::{binary::Binary, content::rows};

/// Whether everything that is expected is there; more may be.
fn contains(found: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(fields) => fields.iter().all(|(name, expected)| contains(&found[name], expected)),
        _ => found == expected,
    }
}

fn check(dataset: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets").join(dataset);
    let binary = Binary::new();
    for entry in std::fs::read_dir(&source).expect("the dataset is there").flatten() {
        std::fs::copy(entry.path(), binary.path(&entry.file_name().to_string_lossy())).expect("a file is copied");
    }
    let commands: Vec<Value> = serde_json::from_str(&binary.read("expected.json")).expect("JSON");
    for expected in &commands {
        let words: Vec<&str> =
            expected["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
        let is_import = words.first() == Some(&"import");
        let mut arguments = words.clone();
        if is_import {
            arguments.extend(["--processed", "processed.csv"]);
        }
        let ended = binary.run(&arguments);
        assert_eq!(ended.exit.map(Value::from).as_ref(), Some(&expected["exit"]), "{words:?}: {ended:?}");
        if let Some(summary) = expected.get("summary") {
            assert!(contains(&ended.json, summary), "{words:?}:\n{}\nexpected:\n{summary}", ended.json);
            // Codes that do not occur are absent.
            assert_eq!(ended.json["rejects"], summary["rejects"], "{words:?}");
        }
        let Some(answers) = expected.get("answers").and_then(Value::as_array) else { continue };
        let processed = rows(&binary.read("processed.csv"));
        assert_eq!(processed.len(), answers.len(), "{words:?}");
        for (cells, answer) in processed.iter().zip(answers) {
            let [line, status, code, _, _, amount, balance] = &cells[..] else { panic!("{cells:?}") };
            let found = serde_json::json!({
                "line": line.parse::<u64>().expect("a number"),
                "status": status,
                "code": code,
                "amount": amount,
                "balance": balance,
            });
            assert_eq!(&found, answer, "{words:?}: {cells:?}");
        }
    }
    binary.verify();
}

#[test]
fn the_tiny_dataset_meets_every_outcome() {
    check("tiny");
}

#[test]
fn the_vendors_files_come_out_as_computed() {
    check("vendors");
}

#[test]
fn the_small_dataset_comes_out_as_computed() {
    check("small");
}
