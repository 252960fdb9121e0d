//! The sources themselves: which module may use which, and habits that no lint knows.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::support::binary::files_below;

/// Modules in the order in which one may use the other: each uses its own tier and those before it.
const TIERS: [&[&str]; 9] = [
    &["sabotage"],
    &["domain"],
    &["error", "options", "clock"],
    &["store"],
    &["ledger", "job"],
    &["import", "report", "bulk"],
    &["tell"],
    &["engine"],
    &["service"],
];

/// A source file: its path below `src`, and its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The code, without comments and without unit tests: `#[cfg(test)]` ends a file here.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().zip(1..).take_while(|(line, _)| line.trim() != "#[cfg(test)]");
        lines.map(|(line, number)| (number, line.split("//").next().unwrap_or_default()))
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
    }

    fn is_binary(&self) -> bool {
        self.path.starts_with("bin")
    }

    /// The module of the first level that it belongs to.
    fn module(&self) -> String {
        let first = self.path.components().next().expect("a path").as_os_str().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rust = files_below(&root).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    rust.map(|path| Source { text: std::fs::read_to_string(root.join(&path)).expect("a source"), path }).collect()
}

/// The names that stand behind `crate::`, also within the braces of `use crate::{…}`, and their lines.
fn used(source: &Source) -> Vec<(usize, String)> {
    let name_of = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    let mut lines = source.code();
    while let Some((number, line)) = lines.next() {
        let Some((_, first)) = line.split_once("use crate::{") else {
            let places = line.match_indices("crate::").map(|(at, word)| at + word.len());
            found.extend(places.map(|at| (number, name_of(&line[at..]))));
            continue;
        };
        let mut list = first.to_owned();
        while !list.contains(';') {
            let Some((_, line)) = lines.next() else { break };
            list += line.trim();
        }
        // Each path begins behind the brace or a comma that is in no inner brace.
        let mut depth = 0;
        let is_between = |c: char| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        };
        found.extend(list.split(is_between).map(|path| (number, name_of(path.trim()))));
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

#[test]
fn modules_use_only_what_stands_before_them() {
    let tier_of: BTreeMap<&str, usize> =
        TIERS.iter().enumerate().flat_map(|(tier, names)| names.iter().map(move |name| (*name, tier))).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_binary() && !source.is_test()) {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let Some(&own) = tier_of.get(module.as_str()) else {
            wrong.push(format!("{}: the module `{module}` has no place in the order", source.path.display()));
            continue;
        };
        for (line, name) in used(source) {
            if tier_of.get(name.as_str()).is_none_or(|&used| used > own) {
                wrong.push(format!("{}:{line}: `{module}` uses `{name}`", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_order_of_modules_is_looked_at_in_all_forms_of_use() {
    let text = "use crate::{\n    domain::{\n        id::JobId, lot,\n    },\n    store::{Store, log}, error::Result,\n};\n\
        use crate::report::cell;\nuse crate::{clock};\nfn f() { crate::engine::g(crate::import::H); } // crate::job\n\
        #[cfg(test)]\nuse crate::ledger;\n";
    let source = Source { path: "x.rs".into(), text: text.to_owned() };
    let names: Vec<String> = used(&source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["domain", "store", "error", "report", "clock", "engine", "import"]);
}

#[test]
fn the_binary_uses_the_library_by_its_name() {
    let own: Vec<String> = sources()
        .iter()
        .filter(|source| source.is_binary())
        .map(|source| source.path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    for source in sources().iter().filter(|source| source.is_binary()) {
        for (line, name) in used(source) {
            assert!(own.contains(&name), "{}:{line}: `crate::{name}` is no file of the binary", source.path.display());
        }
    }
}

#[test]
fn no_source_panics_prints_or_waits_to_be_written() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let words: &[&str] = if source.is_binary() {
            &[".unwrap()", "todo!", "unimplemented!", "dbg!"]
        } else {
            &[".unwrap()", "todo!", "unimplemented!", "dbg!", "println!", "eprintln!", "print!", "eprint!"]
        };
        for (line, code) in source.code() {
            for word in words.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{}:{line}: {word}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_source_begins_with_its_story() {
    // What `tests.rs` beside a module holds is told by its name.
    for source in sources().iter().filter(|source| !source.is_test()) {
        assert!(source.text.starts_with("//! "), "{} does not begin with `//!`", source.path.display());
    }
}

#[test]
fn no_file_is_named_after_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests", "benches"] {
        for path in files_below(&root.join(folder)) {
            let name = path.file_stem().expect("a name").to_string_lossy().to_lowercase();
            for word in ["util", "helper", "manager", "misc", "common"] {
                assert!(!name.contains(word), "{}", path.display());
            }
        }
    }
}
