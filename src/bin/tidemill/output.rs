//! Results to standard output, talk to standard error, and one JSON document where that is asked for.
//!
//! Nothing here fails because a reader went away: `tidemill … | head` is no error, and the exit code is the command's.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, ErrorKind::BrokenPipe, Write};

use anstream::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use tidemill::{
    domain::id::JobId,
    error::{Error, Result},
};

use crate::{args::ColorMode, exit::Exit};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Where results and talk go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Results as JSON or for people; `quiet` leaves out notes.
    pub fn new(json: bool, quiet: bool) -> Output {
        Output { json, quiet }
    }

    /// Whether standard output holds one JSON document and nothing else.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether notes are left out.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Writes the command's result: `value` as JSON, or `text` for people.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written for another reason than a reader who went away.
    pub fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if !self.json {
            return write_stdout(&text());
        }
        let mut document = serde_json::to_string(value)
            .map_err(|error| Error::internal(format!("the result cannot be written as JSON: {error}")))?;
        document.push('\n');
        write_stdout(&document)
    }

    /// Tells people something that is no result.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            talk(text);
        }
    }

    /// Writes the error that ends the command: to standard output as JSON, or to standard error for people.
    pub fn error(&self, error: &Error) {
        if self.json {
            // There is nobody left to tell if this fails.
            let _ = self.result(&ErrorDocument::new(error), String::new);
            return;
        }
        talk(format_args!("{ERROR}Error:{ERROR:#} {}", error.message()));
        if let Some(hint) = error.hint_text() {
            talk(format_args!("{HINT}Hint:{HINT:#} {hint}"));
        }
    }
}

/// What standard output holds on failure; its fields come in this order.
#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    code: &'a str,
    message: &'a str,
    job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl ErrorDocument<'_> {
    fn new(error: &Error) -> ErrorDocument<'_> {
        let fields =
            ErrorFields { code: error.code(), message: error.message(), job: error.job(), hint: error.hint_text() };
        ErrorDocument { error: fields }
    }
}

/// Writes a line to standard error. That it may be closed is no reason to stop a job.
pub fn talk(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

fn write_stdout(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != BrokenPipe => Err(Error::io("standard output cannot be written", &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Standard output for bulk data, which remembers whether its reader went away.
pub struct Pipe {
    stdout: io::BufWriter<io::StdoutLock<'static>>,
    is_closed: bool,
}

impl Pipe {
    /// Locks standard output.
    pub fn new() -> Pipe {
        Pipe { stdout: io::BufWriter::with_capacity(1 << 16, io::stdout().lock()), is_closed: false }
    }

    /// Whether the reader went away: then an error of whoever wrote is none.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn seen<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.is_closed |= result.as_ref().is_err_and(|error| error.kind() == BrokenPipe);
        result
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.stdout.write(bytes);
        self.seen(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.stdout.flush();
        self.seen(result)
    }
}

/// Makes colour follow `--color` before the command line is understood, since its errors and help have colour too.
pub fn choose_color_early(given: &[OsString]) {
    let flags = || given.iter().skip(1).take_while(|&flag| flag != "--");
    let joined = flags().find_map(|flag| flag.to_str()?.strip_prefix("--color="));
    let next = || flags().skip_while(|&flag| flag != "--color").nth(1)?.to_str();
    match joined.or_else(next) {
        Some("always") => choose_color(ColorMode::Always),
        Some("never") => choose_color(ColorMode::Never),
        _ => choose_color(ColorMode::Auto),
    }
}

/// Makes all output follow this choice; `Auto` obeys `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`.
pub fn choose_color(mode: ColorMode) {
    let choice = match mode {
        ColorMode::Auto => ColorChoice::Auto,
        ColorMode::Always => ColorChoice::Always,
        ColorMode::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether a command line that was not understood asks for JSON.
pub fn asks_for_json(given: &[OsString]) -> bool {
    given.iter().skip(1).take_while(|&flag| flag != "--").any(|flag| flag == "--json")
}

/// Says what is wrong with the command line, or shows the help or version that it asks for.
pub fn command_line(error: &clap::Error, json: bool) -> Exit {
    let shown = error.render();
    if !error.use_stderr() {
        // Help and version are what was asked for.
        let _ = write_stdout(&shown.ansi().to_string());
        return Exit::Done;
    }
    if json {
        let output = Output::new(true, true);
        output.error(&usage_error(error.kind(), &shown.to_string()));
    } else if let Some(rest) = shown.to_string().strip_prefix("error: ") {
        // The same label as all our errors have; the rest is as everybody knows it.
        let (first, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        talk(format_args!("{ERROR}Error:{ERROR:#} {first}\n{}", rest.trim_end()));
    } else {
        talk(shown.ansi().to_string().trim_end());
    }
    Exit::Usage
}

/// The message of a command line that was not understood, in one line; the rest becomes the hint.
fn usage_error(kind: clap::error::ErrorKind, shown: &str) -> Error {
    if kind == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::usage("a command is missing").hint("see `tidemill --help`");
    }
    let shown = shown.strip_prefix("error: ").unwrap_or(shown);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = shown.split("\n\n").map(words).filter(|text| !text.is_empty());
    let message = paragraphs.next().unwrap_or_else(|| "the command line is not understood".to_owned());
    // The tip says what to do; else the usage does. The last paragraph only points at `--help`.
    let hint = paragraphs.find(|text| text.starts_with("tip: ") || text.starts_with("Usage: "));
    match hint {
        Some(hint) => Error::usage(message).hint(hint.strip_prefix("tip: ").unwrap_or(&hint)),
        None => Error::usage(message).hint("see `tidemill --help`"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn a_wrong_command_line_makes_one_line_and_a_hint() {
        let cases: [(&[&str], &str, &str); 4] = [
            (&["tidemill"], "command is missing", "tidemill --help"),
            (&["tidemill", "formats", "--jsn"], "unexpected argument '--jsn' found", "--json"),
            (&["tidemill", "job", "show"], "not provided: <N>", "Usage: tidemill job show"),
            (&["tidemill", "job", "show", "0"], "jobs are numbered 1, 2, 3", ""),
        ];
        for (given, message, hint) in cases {
            let clap = Cli::try_parse_from(given).err().unwrap();
            let error = usage_error(clap.kind(), &clap.render().to_string());
            assert!(error.message().contains(message), "{given:?}: {}", error.message());
            assert!(!error.message().contains('\n'));
            assert!(error.hint_text().unwrap_or_default().contains(hint), "{given:?}: {:?}", error.hint_text());
        }
    }

    #[test]
    fn an_error_is_a_document_of_its_own() {
        let error = Error::refused("repeated_file", "job 3 applied it").hint("add `--again`").of_job(JobId(3));
        assert_eq!(
            serde_json::to_string(&ErrorDocument::new(&error)).unwrap(),
            r#"{"error":{"code":"repeated_file","message":"job 3 applied it","job":3,"hint":"add `--again`"}}"#
        );
        let error = Error::usage("no");
        assert_eq!(
            serde_json::to_string(&ErrorDocument::new(&error)).unwrap(),
            r#"{"error":{"code":"usage","message":"no","job":null}}"#
        );
    }

    #[test]
    fn json_is_asked_for_by_a_flag_only() {
        let asks = |flags: &[&str]| asks_for_json(&flags.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(asks(&["tidemill", "--json", "x"]) && asks(&["tidemill", "x", "--json"]));
        assert!(!asks(&["tidemill", "x", "--", "--json"]) && !asks(&["--json"]));
    }
}
