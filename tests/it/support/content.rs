//! What a store holds, as its exports and digests tell it, and in which part two stores differ.

use serde_json::{Value, json};
use tidemill::{
    engine::Engine,
    report::export::{Export, format::ExportFormat},
};

use super::binary::Binary;

/// Everything of a store that must not depend on how it came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub customers: String,
    pub balances: String,
    pub lots: String,
    pub ledger: String,
    /// What `verify` says.
    pub verified: Value,
}

impl Content {
    /// Reads it all through the library; the store must be sound.
    pub fn of(engine: &Engine) -> Content {
        let verified = engine.verify().expect("a store that can be read");
        assert!(verified.ok, "{:#?}", verified.problems);
        Content {
            customers: export(engine, Export::Customers),
            balances: export(engine, Export::Balances { nonzero: false }),
            lots: export(engine, Export::Lots),
            ledger: export(engine, Export::Ledger),
            verified: json!(verified),
        }
    }

    /// Reads it all through the binary; the store must be sound.
    #[track_caller]
    pub fn of_binary(binary: &Binary) -> Content {
        let verified = binary.verify();
        let whats = ["customers", "balances", "lots", "ledger"];
        let [customers, balances, lots, ledger] = whats.map(|what| binary.export(what));
        Content { customers, balances, lots, ledger, verified }
    }

    /// In what it is not as expected, first of all.
    pub fn difference(&self, expected: &Content) -> Option<String> {
        difference("customers", &self.customers, &expected.customers)
            .or_else(|| difference("balances", &self.balances, &expected.balances))
            .or_else(|| difference("lots", &self.lots, &expected.lots))
            .or_else(|| difference("ledger", &self.ledger, &expected.ledger))
            .or_else(|| difference("verify", &self.verified.to_string(), &expected.verified.to_string()))
    }
}

/// An export as text.
pub fn export(engine: &Engine, what: Export) -> String {
    let mut bytes = Vec::new();
    engine.export(what, ExportFormat::CSV, &mut bytes).expect("an export");
    String::from_utf8(bytes).expect("exports are UTF-8")
}

/// The first lines in which two texts differ, or nothing.
pub fn difference(name: &str, found: &str, expected: &str) -> Option<String> {
    if found == expected {
        return None;
    }
    let (mut found_lines, mut expected_lines) = (found.split('\n'), expected.split('\n'));
    for line in 1.. {
        let (found, expected) = (found_lines.next(), expected_lines.next());
        if found != expected {
            return Some(format!("{name}, line {line}:\n  found    {found:?}\n  expected {expected:?}"));
        }
        if found.is_none() {
            break;
        }
    }
    None
}

/// A record's cells, without the `'` that guards formulas.
pub fn rows(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
    let unguarded = |cell: &str| match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']) => rest.to_owned(),
        _ => cell.to_owned(),
    };
    let record = |record: csv::Result<csv::StringRecord>| record.expect("a record").iter().map(unguarded).collect();
    reader.records().map(record).collect()
}
