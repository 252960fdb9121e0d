//! What the columns of a file may mean that fits no format: for a user to decide, in a dialogue or by `--map`.
//!
//! A [`Proposal`] is never applied by itself. It turns into the arguments that name its columns, into a format's file, and
//! into the error of a job that cannot ask.

use std::collections::BTreeMap;

use crate::{
    domain::time::DateStyle,
    error::{Error, ErrorKind},
    import::{
        format::{
            Column, ColumnField, ColumnOverride, Format, FormatError, IGNORE, Kind, NumberStyle, OperationWord, Sample,
            header_key, looks_like_data, shown_name,
        },
        guess::{self, Guess, LIKELY, NumberReading},
    },
};

/// The code of the error of a file whose columns fit no format, or lack one that its format needs.
pub const COLUMNS_UNKNOWN: &str = "columns_unknown";

/// Columns that are guessed at, from the left: a guess takes a millisecond, and who has more looks for names.
pub(super) const GUESSED_MAX: usize = 256;

/// Values of a column that are shown to tell what it holds.
pub const SAMPLES_MAX: usize = 3;

/// A file's columns, and what each may be.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The import.
    pub kind: Kind,
    /// The format by whose rules the rows will be read: the one that was named, or our own.
    pub format: Format,
    /// What `--format` calls it.
    pub format_argument: String,
    /// Whether the first record names the columns; without, they have numbers.
    pub has_header: bool,
    /// How numbers are written, if somebody has said it.
    pub numbers: Option<String>,
    /// How dates are written, if somebody has said it.
    pub dates: Option<DateStyle>,
    /// The columns, from left to right.
    pub columns: Vec<ProposedColumn>,
}

/// A column, and what it may be.
#[derive(Clone, Debug)]
pub struct ProposedColumn {
    /// What `--map` calls it: its header, or its number from 1 where the file has none.
    pub name: String,
    /// Some of its first filled cells. They are somebody's data: to be shown to who has the file, and to nobody else.
    pub values: Vec<String>,
    /// What it may hold, the likeliest first.
    pub guesses: Vec<Guess>,
    /// What it is to hold: what is settled, or the best guess where there is one.
    pub field: Option<ColumnField>,
    /// Whether format or `--map` have said so already.
    pub is_settled: bool,
    /// Whether it has a name of its own, so that `--map` can name it.
    pub has_own_name: bool,
}

impl ProposedColumn {
    /// The first different values.
    pub fn samples(&self) -> Vec<&str> {
        let mut samples: Vec<&str> = Vec::new();
        for value in self.values.iter().map(|value| value.trim()) {
            if samples.len() < SAMPLES_MAX && !samples.contains(&value) {
                samples.push(value);
            }
        }
        samples
    }
}

impl Proposal {
    /// Proposes what columns mean. `names` are headers, or numbers where the file has none; `values` are the filled cells of
    /// each; `overrides` and, if it `is_named` by the user, the format settle what they say.
    pub fn new(
        format: &Format,
        format_argument: String,
        is_named: bool,
        has_header: bool,
        names: Vec<String>,
        values: Vec<Vec<String>>,
        overrides: &[ColumnOverride],
    ) -> Proposal {
        let keys: Vec<String> = names.iter().map(|name| header_key(name)).collect();
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        keys.iter().for_each(|key| *named.entry(key).or_default() += 1);
        // The first one counts.
        let said: BTreeMap<String, Option<ColumnField>> =
            overrides.iter().rev().map(|one| (header_key(&one.column), one.field)).collect();
        let mut values = values.into_iter();
        let columns = names.into_iter().zip(&keys).enumerate().map(|(at, (name, key))| {
            let values = values.next().unwrap_or_default();
            let said = said.get(key).copied();
            let read = (is_named && has_header).then(|| format.field_of(&name)).flatten();
            let header = if has_header { name.as_str() } else { "" };
            let guesses = if at < GUESSED_MAX { guess::guesses(format.kind, header, &values) } else { Vec::new() };
            let knows = |guess: &Guess| guess.field != ColumnField::Operation || format.knows_operations();
            ProposedColumn {
                has_own_name: named.get(key.as_str()) == Some(&1),
                field: said.unwrap_or(read),
                is_settled: said.is_some() || read.is_some(),
                guesses: guesses.into_iter().filter(knows).collect(),
                values,
                name,
            }
        });
        let columns = columns.collect();
        let mut proposal = Proposal {
            kind: format.kind,
            format: format.clone(),
            format_argument,
            has_header,
            numbers: None,
            dates: None,
            columns,
        };
        proposal.take_best_guesses();
        proposal
    }

    /// Gives each column its best guess where no other column and no other field has as much for it.
    fn take_best_guesses(&mut self) {
        let best_of = |column: &ProposedColumn| {
            let first = column.guesses.first().filter(|guess| guess.score >= LIKELY)?;
            let is_alone = column.guesses.get(1).is_none_or(|second| second.score < first.score);
            (is_alone && !column.is_settled && column.has_own_name).then_some((first.field, first.score))
        };
        let best: Vec<Option<(ColumnField, u8)>> = self.columns.iter().map(best_of).collect();
        let settled: Vec<ColumnField> = self.columns.iter().filter_map(|column| column.field).collect();
        for at in 0..self.columns.len() {
            let Some((field, score)) = best[at].filter(|(field, _)| !settled.contains(field)) else { continue };
            let is_rivalled = best
                .iter()
                .enumerate()
                .any(|(other, rival)| other != at && rival.is_some_and(|(rival, its)| rival == field && its >= score));
            if !is_rivalled {
                self.columns[at].field = Some(field);
            }
        }
    }

    /// The column that is to hold a field.
    pub fn column(&self, field: ColumnField) -> Option<&ProposedColumn> {
        self.columns.iter().find(|column| column.field == Some(field))
    }

    /// The groups of mandatory fields of which no column is to hold one.
    pub fn missing(&self) -> Vec<&[ColumnField]> {
        self.format.missing_of(|field| self.column(field).is_some())
    }

    /// Whether the job will need `--mode`: nothing in its rows says whether amounts are added or set.
    pub fn needs_mode(&self) -> bool {
        self.kind == Kind::Points && self.column(ColumnField::Operation).is_none()
    }

    /// The styles in which the numbers may be written, where it must be said which: the format's does not read them all, and
    /// no other was given.
    pub fn open_numbers(&self) -> Vec<NumberReading> {
        let cells = self.cells_of(&[ColumnField::Amount, ColumnField::Balance, ColumnField::Ltv]);
        let fitting = guess::number_styles(&cells);
        let of_format = format!("{:?}", self.format.number_style).to_ascii_lowercase();
        let is_said = self.numbers.is_some() || fitting.iter().any(|reading| reading.style == of_format);
        if is_said { Vec::new() } else { fitting }
    }

    /// The orders in which the dates may be written, where it must be said which.
    pub fn open_dates(&self) -> Vec<DateStyle> {
        use ColumnField::{Birthday, CreatedAt, CreditedOn, ExpiresOn};
        let fitting = guess::date_styles(&self.cells_of(&[ExpiresOn, CreditedOn, Birthday, CreatedAt]));
        let is_said = self.dates.is_some() || fitting.contains(&self.format.date_style);
        if is_said { Vec::new() } else { fitting }
    }

    /// The words in the column of operations that the format does not know, in lower case, each with what it means elsewhere.
    pub fn unknown_operations(&self) -> Vec<(String, Option<OperationWord>)> {
        let mut unknown: Vec<(String, Option<OperationWord>)> = Vec::new();
        for cell in self.cells_of(&[ColumnField::Operation]) {
            let word = cell.trim().to_lowercase();
            if self.format.operation(&word).is_none() && !unknown.iter().any(|(known, _)| *known == word) {
                let meaning = guess::operation_word(&word);
                unknown.push((word, meaning));
            }
        }
        unknown
    }

    fn cells_of(&self, fields: &[ColumnField]) -> Vec<String> {
        let columns = self.columns.iter().filter(|column| column.field.is_some_and(|field| fields.contains(&field)));
        columns.flat_map(|column| column.values.iter().cloned()).collect()
    }

    /// What `--map` needs to be given, one `COLUMN=field` each: what the format does not read by itself.
    pub fn maps(&self) -> Vec<String> {
        let map = |column: &ProposedColumn| {
            let read = self.has_header.then(|| self.format.field_of(&column.name)).flatten();
            let word = match (column.field, read) {
                (chosen, read) if chosen == read => return None,
                (Some(field), _) => field.name(),
                (None, _) => IGNORE,
            };
            column.has_own_name.then(|| format!("{}={word}", column.name))
        };
        self.columns.iter().filter_map(map).collect()
    }

    /// The arguments that make a job read the columns so, as a shell takes them.
    pub fn line(&self) -> String {
        let mut words = Vec::new();
        if !self.has_header {
            words.push("--no-header".to_owned());
        }
        // Lists of customers have one format, and bulk operations no such argument.
        if self.kind != Kind::Selection {
            words.push(format!("--format {}", shell_word(&self.format_argument)));
        }
        words.extend(self.maps().iter().map(|map| map_argument(map)));
        words.extend(self.numbers.iter().map(|style| format!("--number-format {style}")));
        words.extend(self.dates.iter().map(|style| format!("--date-format {}", style.name())));
        words.join(" ")
    }

    /// The format's file that reads these columns without `--map`, under this name.
    ///
    /// # Errors
    ///
    /// When the file has no header, or a column that is read has none, since formats find columns by their headers.
    pub fn format_file(&self, name: &str) -> Result<String, FormatError> {
        if !self.has_header {
            return Err(FormatError("a format finds columns by their headers, and this file has none".into()));
        }
        let has = |field: &ColumnField| self.column(*field).is_some();
        let mandatory = self.format.mandatory.iter().map(|group| group.iter().copied().filter(has).collect());
        let columns = self.columns.iter().filter(|column| column.has_own_name && !header_key(&column.name).is_empty());
        let has_operations = has(&ColumnField::Operation);
        let format = Format {
            name: name.to_owned(),
            kind: self.kind,
            title: format!("columns chosen by hand, for `import {}`", self.kind),
            mandatory: mandatory.filter(|group: &Vec<_>| !group.is_empty()).collect(),
            recognized_by: Vec::new(),
            wins_over: Vec::new(),
            first_day_counts: self.format.first_day_counts,
            reason_required: self.format.reason_required,
            mode_required: self.needs_mode(),
            operation_blank: self.format.operation_blank.filter(|_| has_operations),
            number_style: self.number_style().unwrap_or(self.format.number_style),
            date_style: self.dates.unwrap_or(self.format.date_style),
            key: self.format.key.filter(has),
            set_at_creation: self.format.set_at_creation.iter().copied().filter(has).collect(),
            mode: self.format.mode,
            amount_min: self.format.amount_min,
            amount_max: self.format.amount_max,
            columns: columns.map(|column| Column::of(column.field, vec![column.name.clone()])).collect(),
            operations: if has_operations { self.format.operations.clone() } else { Default::default() },
            sample: Sample::default(),
        };
        let text = toml::to_string(&format).map_err(|error| FormatError(error.to_string()))?;
        // What was written must be what `--format` reads.
        Format::parse(&text).map(|_| text)
    }

    /// The chosen style of numbers as formats write it; none if there is none, or formats have none such.
    fn number_style(&self) -> Option<NumberStyle> {
        let name = self.numbers.as_deref()?;
        [NumberStyle::Plain, NumberStyle::En, NumberStyle::De, NumberStyle::Fr, NumberStyle::Ch]
            .into_iter()
            .find(|style| format!("{style:?}").eq_ignore_ascii_case(name))
    }

    /// The error of a job that cannot ask: the columns, what each may be, and what to add if that is right. `why` says what
    /// does not fit. It repeats headers, unless they look like data, and no cell.
    pub fn error(&self, why: &str) -> Error {
        let mut shown = self.clone();
        // What may be somebody's data where a header should be is neither told nor put into the line.
        let is_hidden =
            |column: &ProposedColumn| self.has_header && !column.is_settled && looks_like_data(&column.name);
        shown.columns.iter_mut().filter(|column| is_hidden(column)).for_each(|column| column.field = None);
        let columns = shown.told().join(", ");
        // A header may hold what a terminal would obey; blanks in its place do not matter to `--map`.
        let one_line = |text: String| text.replace(char::is_control, " ");
        Error::new(ErrorKind::Usage, COLUMNS_UNKNOWN, one_line(format!("{why}: {columns}")))
            .hint(one_line(shown.advice()))
    }

    /// What each column is or may be, in words.
    fn told(&self) -> Vec<String> {
        let told = |column: &ProposedColumn| {
            let name = if self.has_header { shown_name(&column.name) } else { &column.name };
            let best = column.guesses.first().map_or(0, |guess| guess.score);
            let alike: Vec<&Guess> = column.guesses.iter().take_while(|guess| guess.score == best).collect();
            match (column.field, &alike[..]) {
                (Some(field), [guess, ..]) if !column.is_settled && guess.field == field => {
                    format!("`{name}` may be `{field}` ({})", guess.reason)
                }
                (Some(field), _) => format!("`{name}` is `{field}`"),
                (None, _) if column.is_settled => format!("`{name}` is ignored"),
                (None, _) if !column.has_own_name => format!("`{name}` is the name of several"),
                (None, [guess]) if best >= LIKELY => {
                    format!("`{name}` may be `{}` ({})", guess.field, guess.reason)
                }
                (None, guesses) if best >= LIKELY => {
                    let fields: Vec<String> = guesses.iter().map(|guess| format!("`{}`", guess.field)).collect();
                    format!("`{name}` may be {}", fields.join(" or "))
                }
                (None, _) => format!("`{name}` is not known"),
            }
        };
        self.columns.iter().map(told).collect()
    }

    fn advice(&self) -> String {
        let line = self.line();
        let missing = self.missing();
        let mut advice = if missing.is_empty() {
            format!("these are guesses, and nothing was read by them; if they are right, add `{line}`")
        } else {
            let first = missing.first().and_then(|group| group.first()).copied().unwrap_or(ColumnField::Email);
            let groups = missing
                .iter()
                .map(|group| group.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" or "));
            let column = if self.has_header { "Header" } else { "NUMBER" };
            format!(
                "no column is clearly {}: name it, with `{line} --map \"{column}={first}\"`",
                groups.collect::<Vec<_>>().join(", and none ")
            )
        };
        if self.needs_mode() {
            advice += ", and either `--mode add` or `--mode reset`, which is never guessed";
        }
        if !self.open_numbers().is_empty() {
            advice += "; its numbers need `--number-format`";
        }
        if !self.open_dates().is_empty() {
            advice += "; its dates need `--date-format`";
        }
        if !self.unknown_operations().is_empty() {
            advice += "; some of its operations are words that only a format file of your own can explain";
        }
        if self.kind == Kind::Expiry && !missing.is_empty() {
            advice += "; of a file's only column of identifiers, `--identifier KIND` says it too";
        }
        advice
    }
}

/// `--map "Points Balance=amount"`, as a shell takes it.
pub fn map_argument(map: &str) -> String {
    let between = if map.starts_with('-') { '=' } else { ' ' };
    format!("--map{between}{}", shell_word(map))
}

/// One word of a command line, quoted where a shell would read it otherwise.
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '=' | ',' | ':' | '+' | '@');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if !word.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests;
