//! Asking, on a terminal, what the columns of a file mean that fits no format.
//!
//! Nothing is taken for granted: each column is shown with some of its values, a guess is where the cursor stands, and what
//! cannot be guessed (whether amounts are added or set) has no default. The answers end as flags, those that would have
//! made the questions unnecessary, so that the job is the same as without them.

use std::{
    io::{ErrorKind::Interrupted, IsTerminal, stderr, stdin},
    path::{Path, PathBuf},
};

use anstream::{AutoStream, ColorChoice};
use dialoguer::{
    Confirm, Input, Select,
    console::Term,
    theme::{ColorfulTheme, SimpleTheme, Theme},
};
use tidemill::{
    domain::command::Mode,
    engine::{Engine, preview::propose, request::FileRequest},
    error::{Error, ErrorKind, Result},
    import::{
        format::{ColumnField, Kind, OperationWord},
        proposal::{COLUMNS_UNKNOWN, Proposal, ProposedColumn, shell_word},
    },
};

use crate::{
    file::{write_new, write_over},
    import::is_stdin,
    output::talk,
    settings::Settings,
    signals,
    text::one_line,
};

/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 40;

/// Asks what the columns mean where the file fits no format and somebody is there to answer, and writes the answers into
/// the request; otherwise changes nothing, and leaves it to the job to say what is wrong. `mode` is none for an import that
/// has none.
///
/// # Errors
///
/// When the questions are broken off or the answers not confirmed: then nothing was changed.
pub fn ask_columns(
    settings: &Settings,
    kind: Kind,
    file: &mut FileRequest,
    mode: Option<&mut Option<Mode>>,
) -> Result<()> {
    if !can_ask(settings, file) {
        return Ok(());
    }
    match Engine::check_file(kind, file) {
        Err(error) if error.code() == COLUMNS_UNKNOWN => {}
        Ok(()) | Err(_) => return Ok(()),
    }
    signals::note_interrupts()?;
    Questions::new().ask(kind, file, mode)
}

fn can_ask(settings: &Settings, file: &FileRequest) -> bool {
    let is_plain = settings.output.is_json() || settings.output.is_quiet() || is_stdin(file);
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !is_plain && !is_dumb && stdin().is_terminal() && stderr().is_terminal()
}

/// The questions, in the colours of all other output.
struct Questions {
    theme: Box<dyn Theme>,
}

impl Questions {
    fn new() -> Questions {
        let theme: Box<dyn Theme> = match AutoStream::choice(&stderr()) {
            ColorChoice::Never => Box::new(SimpleTheme),
            ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => Box::new(ColorfulTheme::default()),
        };
        Questions { theme }
    }

    fn ask(&self, kind: Kind, file: &mut FileRequest, mode: Option<&mut Option<Mode>>) -> Result<()> {
        let mut proposal = propose(kind, file, None)?;
        talk(format_args!(
            "The columns of `{}` fit no format. What do they hold?",
            one_line(&file.path.display().to_string())
        ));
        if !proposal.has_header && !file.no_header {
            let is_data =
                self.confirm("The first row looks like data. Is it, so that the file has no header?", None)?;
            proposal = propose(kind, file, Some(!is_data))?;
        }
        for at in 0..proposal.columns.len() {
            self.ask_column(&mut proposal, at)?;
        }
        self.ask_missing(&mut proposal)?;
        self.ask_spelling(&mut proposal)?;
        let knows_words = self.ask_operations(&mut proposal)?;
        let asked_mode = match mode {
            Some(mode) if mode.is_none() && proposal.needs_mode() => {
                *mode = Some(self.ask_mode()?);
                mode.map(|mode| if mode == Mode::Add { " --mode add" } else { " --mode reset" })
            }
            Some(_) | None => None,
        };
        let mode_flag = asked_mode.unwrap_or_default();
        file.no_header |= !proposal.has_header;
        file.number_format.clone_from(&proposal.numbers);
        file.date_format = proposal.dates;
        file.format = Some(proposal.format_argument.clone());
        file.map = proposal.maps();
        if knows_words {
            talk(format_args!(
                "\nThese arguments make the questions unnecessary:\n  {}{mode_flag}\n",
                one_line(&proposal.line())
            ));
        } else {
            talk("\n`--map` cannot say what these words mean, so the answers need a format file.\n");
        }
        if let Some(path) = self.ask_format_file(&proposal, &file.path, knows_words)? {
            // From now on the columns are read as the file says: the same job again is known as a repeat, then.
            file.map = Vec::new();
            talk(format_args!("Saved. Next time:\n  --format {}{mode_flag}\n", shell_word(&path)));
            file.format = Some(path);
        }
        if self.confirm(&format!("Import {kind} from `{}` so?", one_line(&file.path.display().to_string())), None)? {
            return Ok(());
        }
        Err(Error::refused("not_confirmed", "the import was not confirmed, and nothing was changed"))
    }

    /// Shows a column, and asks what it holds.
    fn ask_column(&self, proposal: &mut Proposal, at: usize) -> Result<()> {
        let (count, Some(column)) = (proposal.columns.len(), proposal.columns.get(at)) else { return Ok(()) };
        let values: Vec<String> = column.samples().into_iter().map(shown).collect();
        let values = if values.is_empty() { "no values".to_owned() } else { values.join("  |  ") };
        let name = one_line(&column.name);
        let told = match (column.is_settled, column.has_own_name, column.field) {
            (true, _, Some(field)) => format!("is {field}"),
            (true, _, None) => "is ignored".to_owned(),
            (false, false, _) => "has the name of another column, so that it cannot be chosen".to_owned(),
            (false, true, _) => String::new(),
        };
        talk(format_args!("\nColumn {} of {count}: `{name}` {told}", at + 1).to_string().trim_end());
        talk(format_args!("  {values}"));
        if !told.is_empty() {
            return Ok(());
        }
        let taken: Vec<ColumnField> = proposal.columns.iter().take(at).filter_map(|column| column.field).collect();
        let later = proposal.columns.iter().skip(at + 1).filter(|column| column.is_settled);
        let taken: Vec<ColumnField> = taken.into_iter().chain(later.filter_map(|column| column.field)).collect();
        let is_free = |field: &ColumnField| {
            let is_readable = *field != ColumnField::Operation || proposal.format.knows_operations();
            field.is_read_by(proposal.kind) && is_readable && !taken.contains(field)
        };
        let guessed = column.guesses.iter().filter(|guess| is_free(&guess.field));
        let mut choices: Vec<(Option<ColumnField>, String)> =
            guessed.map(|guess| (Some(guess.field), format!("{}: {}", guess.field, guess.reason))).collect();
        let nothing = (None, "nothing: it is ignored".to_owned());
        let suggested = column.field.filter(is_free);
        choices.push(nothing);
        let others = ColumnField::ALL.iter().copied().filter(is_free);
        let others: Vec<ColumnField> =
            others.filter(|field| !choices.iter().any(|(known, _)| *known == Some(*field))).collect();
        choices.extend(others.into_iter().map(|field| (Some(field), field.to_string())));
        let default = choices.iter().position(|(field, _)| *field == suggested).or(Some(0));
        let items: Vec<&str> = choices.iter().map(|(_, text)| text.as_str()).collect();
        let chosen = self.select(&format!("`{name}` holds"), &items, default)?;
        let field = choices.get(chosen).and_then(|(field, _)| *field);
        // What was only suggested for a later column gives way.
        for (other, column) in proposal.columns.iter_mut().enumerate().skip(at) {
            if other == at {
                column.field = field;
            } else if !column.is_settled && column.field == field {
                column.field = None;
            }
        }
        Ok(())
    }

    /// Asks for the columns that the import cannot do without.
    fn ask_missing(&self, proposal: &mut Proposal) -> Result<()> {
        loop {
            let Some(group) = proposal.missing().first().map(|group| group.to_vec()) else { return Ok(()) };
            let fields: Vec<&str> = group.iter().map(|field| field.name()).collect();
            let needed = fields.join(" or ");
            let is_free = |column: &ProposedColumn| column.field.is_none() && column.has_own_name && !column.is_settled;
            let free: Vec<usize> =
                (0..proposal.columns.len()).filter(|&at| proposal.columns.get(at).is_some_and(is_free)).collect();
            let names: Vec<String> =
                free.iter().filter_map(|&at| proposal.columns.get(at)).map(|column| one_line(&column.name)).collect();
            let mut items: Vec<&str> = names.iter().map(String::as_str).collect();
            items.push("none: break off");
            let chosen = self.select(&format!("Every row needs {needed}. Which column holds it?"), &items, None)?;
            let Some(column) = free.get(chosen).and_then(|&at| proposal.columns.get_mut(at)) else {
                return Err(Error::usage(format!("no column holds {needed}, without which nothing can be imported"))
                    .hint("nothing was changed; add the column to the file, or see `tidemill formats`"));
            };
            let field = match &group[..] {
                [field] => Some(*field),
                _ => group.get(self.select("As what?", &fields, None)?).copied(),
            };
            column.field = field;
        }
    }

    /// Asks how numbers and dates are written, where more than one way is possible or it is not the format's.
    fn ask_spelling(&self, proposal: &mut Proposal) -> Result<()> {
        let numbers = proposal.open_numbers();
        if !numbers.is_empty() {
            let items: Vec<String> = numbers
                .iter()
                .map(|number| format!("{}: `{}` is {}", number.style, shown(&number.value), number.reading))
                .collect();
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            let chosen = self.select("How are numbers written?", &items, only(&items))?;
            proposal.numbers = numbers.get(chosen).map(|number| number.style.to_owned());
        }
        let dates = proposal.open_dates();
        if !dates.is_empty() {
            let items: Vec<String> = dates.iter().map(|style| format!("{}: {}", style.name(), style.form())).collect();
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            let chosen = self.select("How are dates written?", &items, only(&items))?;
            proposal.dates = dates.get(chosen).copied();
        }
        Ok(())
    }

    /// Asks what words of the operation column mean that the format does not know. Returns whether there are none.
    fn ask_operations(&self, proposal: &mut Proposal) -> Result<bool> {
        const MEANINGS: [(OperationWord, &str); 3] = [
            (OperationWord::Credit, "credit: points are added"),
            (OperationWord::Debit, "debit: points are taken"),
            (OperationWord::Set, "set: the amount becomes the balance"),
        ];
        let mut knows_words = true;
        for (word, usual) in proposal.unknown_operations() {
            let mut items: Vec<&str> = MEANINGS.iter().map(|(_, text)| *text).collect();
            items.push("nothing: such rows are rejected");
            let default = MEANINGS.iter().position(|(meaning, _)| Some(*meaning) == usual);
            let chosen = self.select(&format!("What does the operation `{}` mean?", shown(&word)), &items, default)?;
            if let Some((meaning, _)) = MEANINGS.get(chosen) {
                proposal.format.operations.insert(word, *meaning);
                knows_words = false;
            }
        }
        Ok(knows_words)
    }

    fn ask_mode(&self) -> Result<Mode> {
        let items = [
            "add: each amount is added to the balance, a negative one is taken from it",
            "reset: each amount becomes the balance",
        ];
        let chosen = self.select("No column says what its amounts are. What are they?", &items, None)?;
        Ok(if chosen == 0 { Mode::Add } else { Mode::Reset })
    }

    /// Offers to keep the answers, and returns the path of the format file if they were kept.
    fn ask_format_file(&self, proposal: &Proposal, file: &Path, is_optional: bool) -> Result<Option<String>> {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stem = stem.split('.').next().unwrap_or_default().to_owned();
        if proposal.format_file("columns").is_err() && is_optional {
            // Without headers there is nothing by which a format could find the columns.
            return Ok(None);
        }
        if is_optional && !self.confirm("Keep the answers in a format file?", Some(false))? {
            return Ok(None);
        }
        loop {
            let path: String = Input::with_theme(&*self.theme)
                .with_prompt("Format file, ending in .toml")
                .default(format!("{stem}.toml"))
                .interact_text()
                .map_err(broken_off)?;
            stop_if_interrupted()?;
            let path = PathBuf::from(path.trim());
            let Some(text) = path.to_str().filter(|path| path.ends_with(".toml")) else {
                talk("A format file must end in `.toml`.");
                continue;
            };
            let name = format_name(path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default());
            let content = proposal.format_file(&name).map_err(|error| Error::usage(error.to_string()))?;
            let written = if !path.exists() {
                write_new(&path, content.as_bytes())
            } else if self.confirm(&format!("`{text}` exists. Replace it?"), Some(false))? {
                write_over(&path, &content)
            } else {
                continue;
            };
            match written {
                Ok(()) => return Ok(Some(text.to_owned())),
                // Another place may do.
                Err(error) => talk(error.message()),
            }
        }
    }

    fn select(&self, prompt: &str, items: &[&str], default: Option<usize>) -> Result<usize> {
        let select = Select::with_theme(&*self.theme).with_prompt(prompt).items(items).report(true);
        let select = match default {
            Some(default) => select.default(default),
            None => select,
        };
        let chosen = select.interact().map_err(broken_off)?;
        stop_if_interrupted()?;
        Ok(chosen)
    }

    fn confirm(&self, prompt: &str, default: Option<bool>) -> Result<bool> {
        let confirm = Confirm::with_theme(&*self.theme).with_prompt(prompt);
        let confirm = match default {
            Some(default) => confirm.default(default),
            None => confirm,
        };
        let answer = confirm.interact().map_err(broken_off)?;
        stop_if_interrupted()?;
        Ok(answer)
    }
}

/// The only choice, where there is no other.
fn only(items: &[&str]) -> Option<usize> {
    (items.len() == 1).then_some(0)
}

/// A signal may come while no question waits for a key.
fn stop_if_interrupted() -> Result<()> {
    if signals::received().is_some() { Err(stopped()) } else { Ok(()) }
}

fn broken_off(error: dialoguer::Error) -> Error {
    // A question hides the cursor, and leaves it so when it is broken off.
    let _ = Term::stderr().show_cursor();
    let dialoguer::Error::IO(error) = error;
    if error.kind() == Interrupted { stopped() } else { Error::input(format!("the terminal cannot be read: {error}")) }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Stopped, "stopped", "stopped while asking for the columns; nothing was changed")
}

/// A value in one line, cut where it is long.
fn shown(value: &str) -> String {
    let mut shown: String = one_line(value).chars().take(VALUE_CHARS_MAX).collect();
    if value.chars().nth(VALUE_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// A name that a format can have, of a file's.
fn format_name(stem: &str) -> String {
    let dashed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = stem.chars().map(dashed).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "columns".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_after_its_file() {
        for (stem, name) in
            [("loyalty", "loyalty"), ("My Points 2026", "my-points-2026"), ("__", "columns"), ("ž", "columns")]
        {
            assert_eq!(format_name(stem), name);
        }
    }

    #[test]
    fn a_value_is_shown_in_one_line_and_cut() {
        assert_eq!(shown("a\x1b[2Jb\nc"), "a [2Jb c");
        assert_eq!(shown(&"ž".repeat(41)), format!("{}…", "ž".repeat(40)));
    }
}
