//! The command that imports the corrected rows of a reject file: by the flags that the job had, since without them a `2.000`
//! that was two thousand would be two.

use std::path::Path;

/// Flags with a value that say how the first file was written, or what this job alone was to do.
const DROPPED: [&str; 11] = [
    "--rejects",
    "--processed",
    "--expect-rows",
    "--expect-total",
    "--max-rejects",
    "--delimiter",
    "--quote",
    "--encoding",
    "--skip-rows",
    "--sheet",
    "--now",
];
/// The same without a value. Reject files have a header.
const DROPPED_SWITCHES: [&str; 4] = ["--again", "--no-header", "--no-spool", "--dry-run"];

/// A reject file, and the command that imports it once it is corrected.
pub struct Correction<'a> {
    /// The file.
    pub file: &'a Path,
    /// The command.
    pub command: String,
}

impl<'a> Correction<'a> {
    /// From the arguments of the process, which imported `input`.
    pub fn of(arguments: impl Iterator<Item = String>, input: &str, file: &'a Path) -> Correction<'a> {
        let mut words = vec!["tidemill".to_owned()];
        let mut arguments = arguments.skip(1).peekable();
        let mut is_placed = false;
        while let Some(argument) = arguments.next() {
            let name = argument.split('=').next().unwrap_or_default();
            if DROPPED.contains(&name) {
                if !argument.contains('=') {
                    arguments.next();
                }
            } else if DROPPED_SWITCHES.contains(&argument.as_str()) {
            } else if argument == input && !is_placed {
                is_placed = true;
                words.push(word(&file.display().to_string()));
            } else {
                words.push(word(&argument));
            }
        }
        Correction { file, command: words.join(" ") }
    }
}

/// An argument as a shell takes it.
fn word(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_keeps_what_says_how_rows_are_read_and_drops_what_was_the_first_files() {
        for (line, expected) in [
            ("tidemill import customers a.csv --rejects r.csv", "tidemill import customers r.csv"),
            (
                "tidemill import points a.csv --rejects=r.csv --number-format de --mode add --encoding utf-16le --again",
                "tidemill import points r.csv --number-format de --mode add",
            ),
            (
                "tidemill --store s import points a.csv --reason it's|so --map Points|Balance=amount --expect-rows 7",
                "tidemill --store s import points r.csv --reason 'it'\\''s so' --map 'Points Balance=amount'",
            ),
        ] {
            let arguments = line.split(' ').map(|word| word.replace('|', " "));
            assert_eq!(Correction::of(arguments, "a.csv", Path::new("r.csv")).command, expected);
        }
    }
}
