//! An input file, opened and understood: its dialect, header, format and mapping.

use std::{
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{identifier::IdentifierKind, job::Position, phone::Region, points::NumberStyle, time::DateStyle},
    error::{Error, Result},
    import::{
        cell_rules::CellRules,
        chunk::{Beyond, Chunk, Cutter, LookAhead},
        csv::{self, ROW_BYTES_MAX, Records},
        dialect::{self, Dialect, DialectHints, HEAD_BYTES, Recognized},
        format::{self, ColumnField, ColumnOverride, Format, Header, Kind, Mapping, MappingError, RecognizeError},
        guess,
        proposal::{GUESSED_MAX, Proposal},
        rows::{Cells, column_of_kind, is_blank},
        sheet::{SheetChoice, SheetProblem, bad_cell},
        source::{Encoding, Source, SourceError, SourceReader, Stream},
    },
    report::rejects::ADDED,
};

/// What the caller says of a file; what is left out is recognised.
#[derive(Clone, Debug, Default)]
pub struct InputHints {
    /// Format name, or the path of a `.toml` file.
    pub format: Option<String>,
    /// `COLUMN=field` each.
    pub map: Vec<String>,
    /// The first record is data.
    pub no_header: bool,
    /// Delimiter and quote.
    pub dialect: DialectHints,
    /// Encoding, by name.
    pub encoding: Option<String>,
    /// How numbers are written, by the name of a language.
    pub number_format: Option<String>,
    /// How dates are written.
    pub date_format: Option<DateStyle>,
    /// Rows before the header.
    pub skip_rows: u64,
    /// The sheet of a workbook, by name or number.
    pub sheet: Option<String>,
    /// What the only column of identifiers holds, whatever its header.
    pub identifier: Option<IdentifierKind>,
}

/// Which sheet of a workbook is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetLayout {
    /// Its name.
    pub name: String,
    /// Rows above its header.
    pub skip_rows: u64,
}

/// How a file is read: recorded with the job, so that a resume reads it the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// Where it lies: a resume may run in another directory.
    pub location: PathBuf,
    /// Whether it lies in the store's spool, and goes with the job.
    #[serde(default)]
    pub is_spooled: bool,
    /// Whether it is a stream that is not kept, so that the job cannot be gone on with.
    #[serde(default)]
    pub is_stream: bool,
    /// The sheet, if it is a workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetLayout>,
    /// Its encoding, by name.
    pub encoding: String,
    /// How it separates and quotes.
    pub dialect: Dialect,
    /// The cells of its header; names by number where it has none.
    pub header: Vec<String>,
    /// Whether these stand in the file.
    pub has_header: bool,
    /// Its format.
    pub format: Format,
    /// Where each field stands.
    pub mapping: Mapping,
    /// How numbers are written, by name.
    pub numbers: String,
    /// How dates are written.
    #[serde(default)]
    pub dates: DateStyle,
    /// Where the first record of data begins.
    pub start: Position,
}

impl Layout {
    /// That of a file with the columns of a format of ours, as it is written by us; none if we have no such format.
    pub fn of_builtin(kind: Kind, name: &str) -> Option<Layout> {
        let format = Format::builtin(Some(kind), name)?;
        let in_file = format.columns.iter().filter(|column| column.in_template);
        let header: Vec<String> = in_file.filter_map(|column| column.headers.first().cloned()).collect();
        let mapping = Mapping::resolve(format, Header::Named(&header), &[]).ok()?;
        Some(Layout {
            path: PathBuf::new(),
            location: PathBuf::new(),
            is_spooled: false,
            is_stream: false,
            sheet: None,
            encoding: Encoding::Utf8.name().to_owned(),
            dialect: Dialect::default(),
            header,
            has_header: true,
            format: format.clone(),
            mapping,
            numbers: "plain".to_owned(),
            dates: DateStyle::default(),
            start: Position::default(),
        })
    }

    /// The style of its numbers.
    pub fn number_style(&self) -> NumberStyle {
        NumberStyle::named(&self.numbers).unwrap_or(NumberStyle::PLAIN)
    }

    /// What is taken off its cells.
    pub fn cell_rules(&self) -> CellRules {
        CellRules::of(&self.format, &self.mapping)
    }

    /// The region of its phone numbers without country code, going by the store's; none where they all have one.
    pub fn region(&self, region: Option<Region>) -> Option<Region> {
        region.filter(|_| !self.format.has_country_codes())
    }

    /// Opens the file again.
    ///
    /// # Errors
    /// When it is gone or unreadable.
    pub fn open(&self) -> Result<Source> {
        let encoding = self.encoding.parse::<Encoding>().ok();
        let choice = self.sheet.as_ref().map_or_else(SheetChoice::default, |sheet| SheetChoice {
            sheet: Some(sheet.name.clone()),
            skip_rows: sheet.skip_rows,
            decimal_mark: self.number_style().decimal_mark(),
        });
        let source = Source::open_sheet(&self.location, encoding, &choice).map_err(source_error)?;
        // What stands there now may be a text, or was one.
        if source.sheet().is_some() != self.sheet.is_some() {
            return Err(Error::refused("file_changed", format!("`{}` is another file now", self.path.display()))
                .hint("put the file back as it was, then resume; rows that were committed stay"));
        }
        Ok(source)
    }
}

/// A source's error as the library's.
pub(super) fn source_error(error: SourceError) -> Error {
    match &error {
        SourceError::Workbook { problem: SheetProblem::NoSheet { .. }, .. } => Error::usage(error.to_string()),
        _ => Error::input(error.to_string()),
    }
}

/// Opens a file.
///
/// # Errors
/// `Input` when it cannot be read; `Usage` for an encoding, delimiter or quote that there is not.
pub fn open(path: &Path, hints: &InputHints) -> Result<Source> {
    let encoding = fixed_encoding(hints)?;
    let choice = SheetChoice { sheet: hints.sheet.clone(), skip_rows: hints.skip_rows, ..SheetChoice::default() };
    let source = Source::open_sheet(path, encoding, &choice).map_err(source_error)?;
    let of_text = [
        ("--delimiter", hints.dialect.delimiter.is_some()),
        ("--quote", hints.dialect.quote.is_some()),
        ("--encoding", encoding.is_some()),
    ];
    match (source.sheet(), of_text.into_iter().find(|(_, is_given)| *is_given)) {
        (Some(_), Some((flag, _))) => {
            Err(Error::usage(format!("`{flag}` is for text files, and `{}` is a workbook", path.display()))
                .hint("leave it out"))
        }
        (None, _) if hints.sheet.is_some() => Err(not_a_workbook(path)),
        _ => Ok(source),
    }
}

fn not_a_workbook(path: &Path) -> Error {
    Error::usage(format!("`--sheet` is for workbooks, and `{}` is none", path.display())).hint("leave it out")
}

/// As [`open`], of a stream that is called so.
///
/// # Errors
/// As `open`.
pub fn open_stream(path: &Path, stream: Stream, hints: &InputHints) -> Result<Source> {
    let source = Source::of_stream(path, stream, fixed_encoding(hints)?).map_err(source_error)?;
    if hints.sheet.is_some() { Err(not_a_workbook(path)) } else { Ok(source) }
}

/// The encoding that the caller fixed; also checks what else has to be checked before anything is opened.
fn fixed_encoding(hints: &InputHints) -> Result<Option<Encoding>> {
    let encoding = match &hints.encoding {
        Some(name) => Some(name.parse::<Encoding>().map_err(|_| {
            let names: Vec<&str> = Encoding::ALL.iter().map(|encoding| encoding.name()).collect();
            Error::usage(format!("there is no encoding `{name}`")).hint(format!("known are {}", names.join(", ")))
        })?),
        None => None,
    };
    for byte in [hints.dialect.delimiter, hints.dialect.quote].into_iter().flatten() {
        if !DialectHints::allows(byte) {
            return Err(Error::usage(format!("`{}` cannot be a delimiter or quote", char::from(byte))));
        }
    }
    Ok(encoding)
}

/// How the records of a source are written, and where the first one begins; none if it has no text.
///
/// # Errors
/// `Input` when it cannot be read; `Usage` when `--skip-rows` leaves nothing.
pub fn beginning(source: &Source, hints: &InputHints) -> Result<Option<(Dialect, Position)>> {
    let (text_start, head) = text_start(source)?;
    if head.is_empty() {
        return Ok(None);
    }
    recognize_dialect(source, text_start, &head, hints).map(Some)
}

/// What stands at the beginning of a file.
struct Beginning {
    dialect: Dialect,
    /// Where the first record begins.
    start: Position,
    /// The first record's cells.
    first: Vec<String>,
    /// Where the second record begins.
    after: Position,
}

/// Finds out how a source is to be read, as this kind of file or, without one, as what its format is for. `path` is what the
/// caller calls it.
///
/// # Errors
/// `Input` when it cannot be read or is empty; `Usage` when its columns do not fit, with what to do.
pub fn understand(source: &Source, path: &Path, kind: Option<Kind>, hints: &InputHints) -> Result<Layout> {
    let numbers = match &hints.number_format {
        Some(name) if NumberStyle::named(name).is_none() => {
            return Err(Error::usage(format!("there is no number format `{name}`"))
                .hint(format!("known are {}", crate::domain::points::NUMBER_STYLES.join(", "))));
        }
        Some(name) => Some(name.to_ascii_lowercase()),
        None => None,
    };
    let found = first_of(source, path, hints)?;
    let format = match named_format(kind, hints)? {
        Some(format) => format,
        // There is one only, so nobody has to name it.
        None if hints.no_header && kind == Some(Kind::Selection) => Format::builtin(kind, "customer-list")
            .cloned()
            .ok_or_else(|| Error::internal("the format of lists of customers is not there"))?,
        None if hints.no_header => {
            let why = "a file without a header needs `--format`, and `--map NUMBER=field` for its columns";
            return Err(unmapped(source, &found, kind, None, hints, why, Error::usage(why)));
        }
        None => match format::recognize(kind, &found.first) {
            Ok(format) => format.clone(),
            // With `--map` the header alone need not tell the format; the only one that the mapping completes will do.
            Err(error) => match by_mapping(kind, &found.first, &hints.map) {
                Some(format) => format.clone(),
                None => {
                    let plain = columns_error(&error, &found.first, hints);
                    return Err(match error {
                        RecognizeError::None { .. } => {
                            let why = "no format fits the file's columns";
                            unmapped(source, &found, kind, None, hints, why, plain)
                        }
                        RecognizeError::Several { .. } => plain,
                    });
                }
            },
        },
    };
    if let Some(kind) = kind.filter(|&kind| kind != format.kind) {
        return Err(Error::usage(format!("the format `{}` is for {}, not for {kind}", format.name, format.kind)));
    }
    let header = if hints.no_header { Header::Numbered(found.first.len()) } else { Header::Named(&found.first) };
    let mut overrides = parse_overrides(format.kind, &hints.map)?;
    if let Some(kind) = hints.identifier {
        overrides.extend(only_identifier(&format, header, kind, &overrides)?);
    }
    let mapping = Mapping::resolve(&format, header, &overrides).map_err(|error| {
        let plain = columns_error(&error, &found.first, hints);
        let MappingError::Missing { format: name, missing, .. } = &error else { return plain };
        let why = format!("the file has no column {missing}, which the format `{name}` needs");
        unmapped(source, &found, kind, Some(&format), hints, &why, plain)
    })?;
    let Beginning { dialect, start, first, after } = found;
    let names = (1..=first.len()).map(|number| number.to_string()).collect();
    let numbers = numbers.unwrap_or_else(|| format!("{:?}", format.number_style).to_ascii_lowercase());
    let layout = Layout {
        path: path.to_owned(),
        location: std::path::absolute(source.path()).unwrap_or_else(|_| source.path().to_owned()),
        is_spooled: false,
        is_stream: false,
        sheet: source.sheet().map(|sheet| SheetLayout { name: sheet.name().to_owned(), skip_rows: hints.skip_rows }),
        encoding: source.encoding().name().to_owned(),
        dialect,
        header: if hints.no_header { names } else { first },
        has_header: !hints.no_header,
        mapping,
        numbers,
        dates: hints.date_format.unwrap_or(format.date_style),
        format,
        start: if hints.no_header { start } else { after },
    };
    Ok(layout)
}

/// Proposes what the columns of a file mean, whether or not they fit a format. Reads no more than what recognition reads.
/// `header` says whether there is one; none lets its look decide.
///
/// # Errors
/// As [`understand`], but for columns that do not fit.
pub fn propose(source: &Source, path: &Path, kind: Kind, hints: &InputHints, header: Option<bool>) -> Result<Proposal> {
    let found = first_of(source, path, hints)?;
    let format = named_format(Some(kind), hints)?;
    let overrides = parse_overrides(kind, &hints.map)?;
    proposal(source, &found, kind, format.as_ref(), hints, &overrides, header)
        .ok_or_else(|| Error::usage(format!("there is no format for {kind} that takes any columns")))
}

/// The beginning of a file that has one.
fn first_of(source: &Source, path: &Path, hints: &InputHints) -> Result<Beginning> {
    let found = match beginning(source, hints)? {
        Some((dialect, start)) => first_record(source, path, dialect, start)?.map(|found| (dialect, start, found)),
        None => None,
    };
    let Some((dialect, start, (first, after))) = found else {
        return Err(Error::input(format!("`{}` is empty: it has not even a header", path.display()))
            .hint("export it again, or see `tidemill template FORMAT` for what it should look like"));
    };
    Ok(Beginning { dialect, start, first, after })
}

/// The format that the caller names.
fn named_format(kind: Option<Kind>, hints: &InputHints) -> Result<Option<Format>> {
    let Some(name) = &hints.format else { return Ok(None) };
    if name.ends_with(".toml") {
        let text =
            std::fs::read_to_string(name).map_err(|error| Error::input(format!("cannot read `{name}`: {error}")))?;
        return Format::parse(&text).map(Some).map_err(|error| Error::usage(format!("`{name}`: {error}")));
    }
    let format = Format::builtin(kind, name).or_else(|| Format::builtin(None, name)).ok_or_else(|| {
        let is_asked = |format: &&Format| kind.is_none_or(|kind| format.kind == kind);
        let names: Vec<String> = Format::all().iter().filter(is_asked).map(|format| format.name.clone()).collect();
        let what = kind.map_or_else(|| "formats".to_owned(), |kind| format!("formats for {kind}"));
        Error::usage(format!("there is no format `{name}`")).hint(format!("{what} are {}", names.join(", ")))
    })?;
    Ok(Some(format.clone()))
}

/// The error of columns that do not fit, with what each may be; `plain` where nothing can be proposed.
fn unmapped(
    source: &Source,
    found: &Beginning,
    kind: Option<Kind>,
    named: Option<&Format>,
    hints: &InputHints,
    why: &str,
    plain: Error,
) -> Error {
    // Guesses of a title's only cell would lead astray.
    if is_title(&found.first, hints) {
        return plain;
    }
    // Without a kind, as for a preview: of points if there seem to be any, else of customers.
    let kinds = match kind.or(named.map(|format| format.kind)) {
        Some(kind) => vec![kind],
        None => vec![Kind::Points, Kind::Customers],
    };
    let mut best = None;
    for kind in kinds {
        let overrides = match parse_overrides(kind, &hints.map) {
            Ok(overrides) => overrides,
            Err(error) => {
                best = best.or(Some(Err(error)));
                continue;
            }
        };
        if let Some(proposal) = proposal(source, found, kind, named, hints, &overrides, None) {
            let is_likely = proposal.column(ColumnField::Amount).is_some();
            best = Some(Ok(proposal));
            if is_likely {
                break;
            }
        }
    }
    match best {
        Some(Ok(proposal)) if proposal.has_header || hints.no_header => proposal.error(why),
        Some(Ok(proposal)) => proposal.error(&format!("{why}, and its first row looks like data and no header")),
        Some(Err(error)) => error,
        None => plain,
    }
}

/// What the columns of a file may be, by the format that is named, or our own; none if we have none of this kind.
fn proposal(
    source: &Source,
    found: &Beginning,
    kind: Kind,
    named: Option<&Format>,
    hints: &InputHints,
    overrides: &[ColumnOverride],
    header: Option<bool>,
) -> Option<Proposal> {
    let format = match (named, kind) {
        (Some(format), _) => format,
        (None, Kind::Points) => Format::builtin(Some(Kind::Points), "tidemill")?,
        (None, Kind::Customers) => Format::builtin(Some(Kind::Customers), "tidemill-customers")?,
        (None, Kind::Selection) => Format::builtin(Some(Kind::Selection), "customer-list")?,
        (None, Kind::Expiry) => Format::builtin(Some(Kind::Expiry), "expiry-reference")?,
    };
    let is_data = |cell: &String| format::looks_like_data(cell);
    // As far as columns are guessed at: who has more looks for names.
    let is_named = |cell: &String| guess::is_usual(kind, cell);
    let may_be_header = !found.first.iter().any(is_data) || found.first.iter().take(GUESSED_MAX).any(is_named);
    let has_header = header.unwrap_or(!hints.no_header && may_be_header);
    let names = found.first.iter().enumerate().map(|(at, cell)| match has_header {
        true => format::column_name(cell, at),
        false => (at + 1).to_string(),
    });
    let start = if has_header { found.after } else { found.start };
    let values = first_values(source, found.dialect, start, found.first.len());
    let argument = hints.format.clone().unwrap_or_else(|| format.name.clone());
    let proposal = Proposal::new(format, argument, named.is_some(), has_header, names.collect(), values, overrides);
    Some(Proposal { numbers: hints.number_format.clone(), dates: hints.date_format, ..proposal })
}

/// Cells of each column that are looked at to tell what it holds.
const VALUES_MAX: usize = 100;

/// The first filled cells of each column, from the head of the file: whatever it is, nothing more of it is read.
fn first_values(source: &Source, dialect: Dialect, start: Position, columns: usize) -> Vec<Vec<String>> {
    let mut values = vec![Vec::new(); columns];
    let head = source.head();
    let Some(text) = usize::try_from(start.offset).ok().and_then(|start| head.get(start..)) else { return values };
    let mut records = Records::default();
    csv::scan(text, dialect, columns, &mut records);
    // The head may end in the middle of its last record.
    let whole = records.records.len() - usize::from(head.len() >= HEAD_BYTES && !records.records.is_empty());
    for record in records.records.iter().take(whole).filter(|record| record.problem.is_none()) {
        let cells = Cells::of(text, None, &records, record, dialect);
        let mut scratch = Vec::new();
        for (column, values) in values.iter_mut().enumerate() {
            let cell = cells.text(column, &mut scratch);
            if values.len() < VALUES_MAX && !is_blank(cell.as_bytes()) {
                values.push(cell.to_owned());
            }
        }
    }
    values
}

/// Whether a first row that fits nothing may be a title above the header: it has one cell, of several words.
fn is_title(first: &[String], hints: &InputHints) -> bool {
    let mut filled = first.iter().filter(|cell| !is_blank(cell.as_bytes()));
    let (only, other) = (filled.next(), filled.next());
    let has_words = only.is_some_and(|cell| cell.split_whitespace().count() > 1 && !format::looks_like_data(cell));
    has_words && other.is_none() && hints.skip_rows == 0 && !hints.no_header
}

/// Columns that do not fit; where the first record looks like data, because there may be no header.
fn columns_error(error: &impl std::fmt::Display, first: &[String], hints: &InputHints) -> Error {
    let error = Error::usage(error.to_string());
    if is_title(first, hints) {
        return error.hint(
            "the first row has a single cell with several words: if it is a title, skip what stands above the header with `--skip-rows N`; \
             `tidemill preview FILE --raw` shows the rows",
        );
    }
    if hints.no_header || !first.iter().any(|cell| format::looks_like_data(cell)) {
        return error;
    }
    error.hint(
        "the first row looks like data and no header: if the file has none, add `--no-header`, `--format` and a \
         `--map NUMBER=field` for each of its columns, such as `--map 1=email`",
    )
}

fn parse_overrides(kind: Kind, map: &[String]) -> Result<Vec<ColumnOverride>> {
    map.iter().map(|one| ColumnOverride::parse(one, kind).map_err(|error| Error::usage(error.to_string()))).collect()
}

/// What makes one column of identifiers the only one, and of this kind: the one that is called so, else the only one of another
/// kind, else the only one that the format does not know.
fn only_identifier(
    format: &Format,
    header: Header<'_>,
    kind: IdentifierKind,
    overrides: &[ColumnOverride],
) -> Result<Vec<ColumnOverride>> {
    let (wanted, identifiers) =
        (column_of_kind(kind), IdentifierKind::ALL.iter().copied().map(column_of_kind).collect::<Vec<_>>());
    let is_identifier = |field: &Option<ColumnField>| field.is_some_and(|field| identifiers.contains(&field));
    if let Some(other) = overrides.iter().find(|column| is_identifier(&column.field) && column.field != Some(wanted)) {
        let other = other.field.map_or("", ColumnField::name);
        return Err(Error::usage(format!("`--identifier {}` contradicts the column of `{other}`", kind.name()))
            .hint("leave `--identifier` out, or the `--map`"));
    }
    // Names and fields of the columns that `--map` leaves open.
    let columns: Vec<(String, Option<ColumnField>)> = match header {
        Header::Named(cells) => {
            let column = |(at, cell): (usize, &String)| (format::column_name(cell, at), format.field_of(cell));
            cells.iter().enumerate().map(column).collect()
        }
        Header::Numbered(count) => (1..=count).map(|number| (number.to_string(), None)).collect(),
    };
    let key = |name: &str| format::header_key(name);
    let is_open = |name: &str| !overrides.iter().any(|column| key(&column.column) == key(name));
    let open: Vec<_> = columns.into_iter().filter(|(name, _)| is_open(name)).collect();
    let is_mapped = overrides.iter().any(|column| column.field == Some(wanted));
    let is_named = open.iter().any(|(_, field)| *field == Some(wanted));
    let others: Vec<_> = open.iter().filter(|(_, field)| is_identifier(field) && *field != Some(wanted)).collect();
    // What a reject file has behind the columns of its job's file is no identifier.
    let is_added = |name: &str| ADDED.iter().any(|added| key(added) == key(name));
    let unknown: Vec<_> = open.iter().filter(|(name, field)| field.is_none() && !is_added(name)).collect();
    let only = match (&others[..], &unknown[..]) {
        _ if is_mapped || is_named => None,
        ([only], _) | ([], [only]) => Some(only),
        _ => {
            let kind = kind.name();
            return Err(Error::usage(format!("`--identifier {kind}` does not tell which column holds it")).hint(
                format!("name it with `--map \"Header={kind}\"`, without a header by number: `--map 1={kind}`"),
            ));
        }
    };
    let chosen = only.map(|(name, _)| ColumnOverride { column: name.clone(), field: Some(wanted) });
    let left = others.iter().filter(|(name, _)| only.is_none_or(|only| only.0 != *name));
    let left = left.map(|(name, _)| ColumnOverride { column: name.clone(), field: None });
    Ok(chosen.into_iter().chain(left).collect())
}

/// The only format of a kind, or of all, whose mandatory columns header and `--map` fill together, and which the header could
/// be recognised as.
fn by_mapping(kind: Option<Kind>, header: &[String], map: &[String]) -> Option<&'static Format> {
    let keys = format::keys_of(header);
    let fits = |format: &&Format| {
        kind.map_or(format.says_more_than_who(), |kind| format.kind == kind)
            && format.has_marks(&keys)
            && parse_overrides(format.kind, map)
                .is_ok_and(|overrides| Mapping::resolve(format, Header::Named(header), &overrides).is_ok())
    };
    let mut fitting = Format::all().iter().filter(fits);
    let format = fitting.next()?;
    fitting.next().is_none().then_some(format)
}

/// Where recognition begins, and the text from there on: at the file's beginning, unless all of the head is empty lines.
/// Then these are read over, however many there are; a file of nothing else has no text.
fn text_start(source: &Source) -> Result<(Position, Vec<u8>)> {
    let head = source.head();
    let mark = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let is_empty_line = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if head.len() < HEAD_BYTES || !head[mark..].iter().all(is_empty_line) {
        return Ok((Position::default(), head.to_vec()));
    }
    let dialect = if source.sheet().is_some() { Dialect::SHEET } else { Dialect::default() };
    let mut position = Position { offset: mark as u64, ..Position::default() };
    let mut cutter = Cutter::new(reader_at(source, position)?, dialect, HEAD_BYTES, ROW_BYTES_MAX, position.offset, 0);
    let mut records = Records::default();
    while let Some(chunk) = cutter.next().map_err(|error| source_error(SourceError::of(source.path(), error)))? {
        csv::scan(&chunk.bytes, dialect, 1, &mut records);
        if !records.records.is_empty() {
            return Ok((position, chunk.bytes));
        }
        position.offset = chunk.end;
        position.lines += u64::from(records.lines);
    }
    Ok((position, Vec::new()))
}

/// How the records are written, and where the first one begins that is not to be skipped.
///
/// What is skipped has no say in it: titles above a table have as a rule other columns, or none.
fn recognize_dialect(
    source: &Source,
    text_start: Position,
    head: &[u8],
    hints: &InputHints,
) -> Result<(Dialect, Position)> {
    let recognize = |text: &[u8], hints| match source.sheet() {
        Some(_) => Recognized { dialect: Dialect::SHEET, skip_bytes: 0, skip_lines: 0 },
        None => dialect::recognize(text, hints),
    };
    let first = recognize(head, hints.dialect);
    let mut position = Position {
        offset: text_start.offset + first.skip_bytes as u64,
        chunk: 0,
        lines: text_start.lines + u64::from(first.skip_lines),
    };
    if hints.skip_rows == 0 {
        return Ok((first.dialect, position));
    }
    let text = &head[first.skip_bytes..];
    let is_complete = head.len() < HEAD_BYTES;
    let Some((bytes, lines)) = csv::skip_rows(text, first.dialect, hints.skip_rows, is_complete) else {
        let (path, rows) = (source.path().display(), hints.skip_rows);
        let why = if is_complete {
            format!("`{path}` has no row behind the {rows} that `--skip-rows` skips")
        } else {
            format!("the {rows} rows that `--skip-rows` skips in `{path}` are more than {HEAD_BYTES} bytes")
        };
        return Err(Error::usage(why).hint("it skips what stands above the header: see `tidemill preview FILE --raw`"));
    };
    position.offset += bytes as u64;
    position.lines += u64::from(lines);
    // A `sep=` line above all holds for the whole file.
    let delimiter = hints.dialect.delimiter.or((first.skip_lines > 0).then_some(first.dialect.delimiter));
    let behind = recognize(&text[bytes..], DialectHints { delimiter, ..hints.dialect });
    position.offset += behind.skip_bytes as u64;
    position.lines += u64::from(behind.skip_lines);
    Ok((behind.dialect, position))
}

/// A reader of the text from a position on.
fn reader_at(source: &Source, position: Position) -> Result<BufReader<SourceReader>> {
    let mut reader = source.reader(Arc::default()).map_err(source_error)?;
    reader.skip_to(position.offset).map_err(source_error)?;
    Ok(BufReader::with_capacity(HEAD_BYTES, reader))
}

/// The first record's cells, and where the next record begins.
fn first_record(
    source: &Source,
    path: &Path,
    dialect: Dialect,
    start: Position,
) -> Result<Option<(Vec<String>, Position)>> {
    let mut cutter = Cutter::new(reader_at(source, start)?, dialect, 1, ROW_BYTES_MAX, start.offset, 0);
    let mut records = Records::default();
    let mut lines = start.lines;
    let unreadable = |error| source_error(SourceError::of(path, error));
    while let Some(chunk) = cutter.next().map_err(unreadable)? {
        csv::scan(&chunk.bytes, dialect, 1, &mut records);
        lines += u64::from(records.lines);
        let Some(record) = records.records.first() else { continue };
        if dialect == Dialect::SHEET {
            let cells = records.fields_of(record).iter().map(|field| bad_cell::shown(field.raw(&chunk.bytes)));
            let texts = cells.map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
            return Ok(Some((texts, Position { offset: chunk.end, chunk: 0, lines })));
        }
        if record.fields == 0 || std::str::from_utf8(record.raw(&chunk.bytes)).is_err() || chunk.bytes.contains(&0) {
            return Err(Error::input(format!(
                "`{}`: its first record, which should be the header, is no row of text",
                path.display()
            ))
            .hint("check that it is a CSV file, and see `--encoding`, `--delimiter` and `--quote`"));
        }
        let cells = Cells::of(&chunk.bytes, None, &records, record, dialect);
        let mut scratch = Vec::new();
        let texts = (0..usize::from(record.fields)).map(|at| cells.text(at, &mut scratch).trim().to_owned()).collect();
        return Ok(Some((texts, Position { offset: chunk.end, chunk: 0, lines })));
    }
    Ok(None)
}

/// Opens a file's text once more, at an offset.
fn look_ahead(source: Source) -> LookAhead {
    Box::new(move |offset| {
        let opened = source.reader(Arc::default()).and_then(|mut reader| reader.skip_to(offset).map(|()| reader));
        opened.map(|reader| Box::new(reader) as Box<dyn Read>).map_err(std::io::Error::other)
    })
}

/// The file's rows from a position on, in chunks.
///
/// # Errors
/// When the file is gone, or shorter than the position.
pub fn chunks(
    source: &Source,
    layout: &Layout,
    from: Position,
    chunk_bytes_max: usize,
    counter: Arc<AtomicU64>,
) -> Result<impl FnMut() -> Result<Option<Chunk>> + Send + use<>> {
    chunks_of(source, layout.dialect, from, chunk_bytes_max, counter)
}

/// As [`chunks`], of records in this dialect.
///
/// # Errors
/// When the file is gone, or shorter than the position.
pub fn chunks_of(
    source: &Source,
    dialect: Dialect,
    from: Position,
    chunk_bytes_max: usize,
    counter: Arc<AtomicU64>,
) -> Result<impl FnMut() -> Result<Option<Chunk>> + Send + use<>> {
    let mut reader: SourceReader = source.whole_reader(counter).map_err(source_error)?;
    reader.skip_to(from.offset).map_err(source_error)?;
    let path = source.path().to_owned();
    let is_stream = source.is_stream();
    let beyond = if is_stream { Beyond::Once } else { Beyond::Reader(look_ahead(source.clone())) };
    let mut cutter =
        Cutter::new(reader, dialect, chunk_bytes_max, ROW_BYTES_MAX, from.offset, from.chunk).seeing(beyond);
    let failed = move |error: std::io::Error| {
        if is_stream {
            // To repeat the command would apply its beginning twice.
            return Error::input(format!("`{}` broke off: {error}", path.display()))
                .hint("what was applied until then stays: `tidemill job resume N` tells up to which line");
        }
        source_error(SourceError::of(&path, error))
    };
    Ok(move || cutter.next().map_err(&failed))
}

/// Looks whether a workbook is whole, as [`fingerprint`](super::fingerprint::fingerprint) does.
///
/// # Errors
/// When it is not.
pub fn prove(source: &Source) -> Result<()> {
    source.prove().map_err(source_error)
}
