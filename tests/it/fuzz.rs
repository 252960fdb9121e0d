//! What the fuzz targets claim, on the seeds that are kept: a finding stays found.
//!
//! Each module is the body of a target of `fuzz/`, which calls it with what libFuzzer makes up.

use std::path::Path;

mod amount;
mod csv;
mod date;
mod filter;
mod format;
mod identifier;
mod pages;
mod phone;
mod scan;
mod sheet;

/// A target's name, and what it claims of any bytes.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 10] = [
    ("amount", amount::check),
    ("csv", csv::check),
    ("date", date::check),
    ("filter", filter::check),
    ("format", format::check),
    ("identifier", identifier::check),
    ("pages", pages::check),
    ("phone", phone::check),
    ("scan", scan::check),
    ("sheet", sheet::check),
];

#[test]
fn every_seed_holds_what_its_target_claims() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    // A published crate has no fuzz targets.
    let Ok(manifest) = std::fs::read_to_string(fuzz.join("Cargo.toml")) else {
        println!("not run: there is no `fuzz` here");
        return;
    };
    for (name, check) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "`{name}` is no target of `fuzz/Cargo.toml`");
        let directory = fuzz.join("seeds").join(name);
        let mut seeds: Vec<_> = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("`{}`: {error}", directory.display()))
            .map(|entry| entry.expect("a file").path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "`{name}` has no seed");
        for seed in seeds {
            println!("{}", seed.display());
            check(&std::fs::read(&seed).expect("a file"));
        }
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len(), "every target is replayed here");
}
