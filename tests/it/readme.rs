//! README.md: its sessions are run as they stand there, its table of dependencies is that of Cargo.toml, its formats are all.

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::support::binary::files_below;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("it is in the repository")
}

/// A command of a session and what it prints.
#[derive(Debug)]
struct Step {
    /// Its line in the README.
    line: usize,
    command: String,
    printed: Vec<String>,
}

/// The commands of all blocks that a fence of three backticks and `console` opens. They are one session: a later block
/// goes on where the one before ended.
fn session(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (line, number) in text.lines().zip(1..) {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { line: number, command: command.to_owned(), printed: Vec::new() });
                }
                (None, Some(step)) => step.printed.push(line.to_owned()),
                (None, None) => panic!("README.md:{number}: a session begins with a command"),
            },
        }
    }
    for step in &mut steps {
        // The empty line that parts a command from the next.
        if step.printed.last().is_some_and(String::is_empty) {
            step.printed.pop();
        }
    }
    steps
}

/// Runs the commands one after the other in one shell, and returns what each printed, to standard output and standard
/// error together, and its exit code.
fn run(steps: &[Step], directory: &Path) -> Vec<(Vec<String>, i32)> {
    const END: &str = "<end of a command> ";
    let mut script = String::new();
    for Step { command, .. } in steps {
        // The subshell makes `$?` the command's again.
        script += &format!("{command}\nlast=$?; printf '%s%s\\n' '{END}' $last; (exit $last)\n");
    }
    let folder_of_binary = Path::new(env!("CARGO_BIN_EXE_tidemill")).parent().expect("a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder_of_binary.to_owned()).chain(std::env::split_paths(&path));
    let mut shell = Command::new("sh");
    shell.current_dir(directory).env("PATH", std::env::join_paths(folders).expect("folders without colons"));
    for name in ["STORE", "THREADS", "PROGRESS", "COLOR"] {
        shell.env_remove(format!("TIDEMILL_{name}"));
    }
    // One stream for both, so that their order is kept; and what the commands read is not the script.
    let script = format!("exec 2>&1\n{{\n{script}}} </dev/null\n");
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("there is a shell");
    child.stdin.take().expect("it is piped").write_all(script.as_bytes()).expect("the shell reads");
    let output = child.wait_with_output().expect("the shell ends");
    let mut ran = Vec::new();
    let mut printed = Vec::new();
    for line in String::from_utf8(output.stdout).expect("the binary writes UTF-8").lines() {
        // What ends without a newline has the marker behind it.
        match line.split_once(END) {
            Some((last, exit)) => {
                printed.extend((!last.is_empty()).then(|| last.to_owned()));
                ran.push((std::mem::take(&mut printed), exit.parse().expect("a number")));
            }
            None => printed.push(line.to_owned()),
        }
    }
    assert!(printed.is_empty(), "behind the last command: {printed:#?}");
    ran
}

/// A line without what differs from run to run: durations and rates, sizes on disk, moments, digests, the directory.
/// Runs of spaces become one, since a moment of a whole second is shorter and moves the columns.
fn without_what_varies(line: &str, directory: &str) -> String {
    let line = line.replace(directory, "DIRECTORY");
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["time", _, "s,", .., "rows/s"] => return "time DURATION, RATE".to_owned(),
        ["on", "disk", ..] => return "on disk SIZE".to_owned(),
        _ => {}
    }
    let words = words.into_iter().map(|word| {
        let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let is_digest = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        match shape.as_str() {
            "0000-00-00T00:00:00Z" | "0000-00-00T00:00:00.000Z" => "MOMENT",
            _ if is_digest => "DIGEST",
            _ => word,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether the lines are those that the README shows; a line `...` of it stands for any number of them.
fn is_shown(printed: &[String], shown: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=printed.len()).any(|left_out| is_shown(&printed[left_out..], rest))
        }
        Some((first, rest)) => printed.first() == Some(first) && is_shown(&printed[1..], rest),
    }
}

#[test]
fn the_session_of_the_readme_goes_as_it_is_printed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for file in files_below(&root().join("datasets")) {
        let to = directory.path().join("datasets").join(&file);
        std::fs::create_dir_all(to.parent().expect("it is in the directory")).expect("a directory is made");
        std::fs::copy(root().join("datasets").join(&file), to).expect("a file is copied");
    }
    let steps = session(&readme());
    assert!(steps.len() > 10, "the README has a session of some length: {steps:#?}");
    let ran = run(&steps, directory.path());
    assert_eq!(ran.len(), steps.len(), "{ran:#?}");
    // What the README has where this test has its own directory.
    const SHOWN: &str = "/home/ana/tidemill/shop";
    let here = directory.path().canonicalize().expect("it is there").join("shop");
    for (at, (step, (printed, exit))) in steps.iter().zip(&ran).enumerate() {
        let place = format!("README.md:{}: `{}`", step.line, step.command);
        let found: Vec<String> =
            printed.iter().map(|line| without_what_varies(line, &here.to_string_lossy())).collect();
        let shown: Vec<String> = step.printed.iter().map(|line| without_what_varies(line, SHOWN)).collect();
        assert!(
            is_shown(&found, &shown),
            "{place} printed\n\n{}\n\nand the README shows\n\n{}\n",
            printed.join("\n"),
            step.printed.join("\n")
        );
        // The reader is told of every exit code but 0.
        let is_told = steps.get(at + 1).is_some_and(|next| next.command == "echo $?");
        assert!(*exit == 0 || is_told, "{place} ended with {exit}, and no `echo $?` follows it");
    }
}

#[test]
fn what_varies_is_told_from_what_does_not() {
    let cases = [
        ("  time       0.08 s, 366 rows/s", "time DURATION, RATE"),
        ("  time       0.08 s, 3 661 rows/s", "time DURATION, RATE"),
        ("  time zone        UTC", "time zone UTC"),
        ("  on disk          196.0 kB", "on disk SIZE"),
        ("   19  2026-11-22T23:20:36.386Z  points      25", "19 MOMENT points 25"),
        ("   19  2026-11-22T23:20:36Z  points      25", "19 MOMENT points 25"),
        ("  customers       13  digest d24eb942d0db1d63c62b23a79283f61c", "customers 13 digest DIGEST"),
        ("  /home/ana/shop/processed.csv", "DIRECTORY/processed.csv"),
        ("  points     107 credited, 130 debited", "points 107 credited, 130 debited"),
    ];
    for (line, expected) in cases {
        assert_eq!(without_what_varies(line, "/home/ana/shop"), expected);
    }
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let cases = [
        ("a b c", "a b c", true),
        ("a b c", "a ... c", true),
        ("a b c", "... c", true),
        ("a b c", "a b c ...", true),
        ("a b c", "a b", false),
        ("a b", "a b c", false),
        ("a b c", "a ... b", false),
        ("a b c d", "... b ... d", true),
    ];
    for (printed, shown, expected) in cases {
        assert_eq!(is_shown(&lines(printed), &lines(shown)), expected, "{printed} | {shown}");
    }
}

/// The names in backticks in the first column of the tables of a section.
fn first_column(text: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = text.split_once(&format!("\n{heading}\n")).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    // The odd pieces are those between two backticks.
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn the_readme_shows_the_example_as_it_is_compiled() {
    let example = std::fs::read_to_string(root().join("examples/host_service.rs")).expect("it is in the repository");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = readme();
    let mut blocks = readme.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown = blocks.find(|block| block.contains("upload_points")).expect("the README shows it");
    assert!(words(&example).contains(&words(shown)), "the README shows\n\n{shown}");
}

#[test]
fn the_readme_lists_every_format() {
    let listed = first_column(&readme(), "## Files");
    for format in tidemill::import::format::Format::all() {
        assert!(listed.contains(&format.name), "the README lacks the format `{}`", format.name);
    }
}

#[test]
fn the_readme_lists_the_dependencies_of_cargo_toml() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("it is in the repository");
    let manifest: toml::Table = text.parse().expect("TOML");
    let tables = manifest.iter().filter(|(name, _)| name.ends_with("dependencies"));
    let names: BTreeSet<String> = tables
        .flat_map(|(name, table)| table.as_table().unwrap_or_else(|| panic!("{name} is a table")).keys().cloned())
        .collect();
    assert_eq!(manifest.get("target"), None, "dependencies of one platform only are not looked at");
    assert_eq!(first_column(&readme(), "## Dependencies"), names);
}
