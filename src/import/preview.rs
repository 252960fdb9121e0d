//! The first rows of a file as an import will read them, without a job: normalised values and what is wrong.
//!
//! Problems are those of the import's own rules, so that a preview cannot say anything else than the job. Of the store only
//! what reading needs is asked: decimals, region, time zone, tiers. Without a store they are those of a new one.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use serde::Serialize;

use crate::{
    domain::{
        birthday::Birthday,
        command::Mode,
        currency::currency_code,
        customer::{Gender, LTV_DECIMALS},
        expiry::ExpiryDirection,
        expiry_terms::{ExpiryTerms, ExpiryType, ExpiryUnit},
        identifier::{IdentifierKind, normalize},
        job::Position,
        points::{Conversion, NumberStyle, parse_amount},
        program::{PROGRAM_DECIMALS_MAX, Program},
        rejection::Rejection,
        tier::Tiers,
    },
    error::{Error, Result},
    import::{
        chunk::CHUNK_BYTES_MAX,
        csv::{self, RecordProblem, Records},
        customers::{CustomersBatch, CustomersRules},
        dialect::Dialect,
        expiry::{ExpiryBatch, ExpiryRules},
        format::{ColumnField, Kind, OperationWord},
        input::{self, InputHints, Layout},
        points::{PointsBatch, PointsRules},
        rows::{Cells, Fault, is_blank},
        sheet::bad_cell,
        source::Source,
        surroundings::Surroundings,
    },
    report::amount::amount_text,
    store::identifiers::IdentifierTable,
};

/// How a file was understood, and its first rows.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The format, guessed if none was named.
    pub format: String,
    /// What it is imported as.
    pub kind: Kind,
    /// The header of each field's column.
    pub mapping: BTreeMap<ColumnField, String>,
    /// Columns that no field reads.
    pub ignored_columns: Vec<String>,
    /// The sheet, if it is a workbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The encoding's name; of a text file, as what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'static str>,
    /// Between cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Around cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<char>,
    /// How numbers are written.
    pub number_format: String,
    /// How dates are written.
    pub date_format: &'static str,
    /// The rows.
    pub rows: Vec<PreviewRow>,
    /// How many of them have a problem, or would be rejected.
    pub rejected: u64,
}

/// A row as it will be read.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewRow {
    /// The physical line on which it begins.
    pub line: u64,
    /// The filled cells that fields read, normalised; as they came where they cannot be read.
    pub values: BTreeMap<ColumnField, String>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
    /// What a job would make of it; only with a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<PreviewOutcome>,
}

/// Why a row would be rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The code.
    pub code: Rejection,
    /// The field; empty where it is the whole row.
    pub column: &'static str,
    /// What is wrong, in words.
    pub message: String,
}

/// What a dry run made of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreviewOutcome {
    /// `applied`, `rejected` and so on.
    pub status: String,
    /// Why it was rejected, if it was.
    pub code: Option<String>,
    /// The same in words, or what a clamped debit left.
    pub message: Option<String>,
    /// What moved, as decimal text; none of a rejected row.
    pub amount: Option<String>,
    /// The balance then.
    pub balance: Option<String>,
}

/// The records of a file as the reader sees them, without a format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RawPreview {
    /// The records that can be shown, ragged ones too.
    pub records: Vec<RawRecord>,
    /// What cannot be read.
    pub rejected: Vec<RawProblem>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RawRecord {
    /// The physical line on which it begins.
    pub line: u64,
    /// Its cells, quotes taken off.
    pub cells: Vec<String>,
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RawProblem {
    /// The physical line on which it begins.
    pub line: u64,
    /// The code.
    pub code: Rejection,
    /// What is wrong, in words.
    pub message: String,
}

/// The first records of a source, whatever they mean. Holds all of them in memory.
///
/// # Errors
/// When the source cannot be read.
pub fn raw(source: &Source, hints: &InputHints, rows_max: u64) -> Result<RawPreview> {
    let mut preview = RawPreview::default();
    let Some((dialect, start)) = input::beginning(source, hints)? else { return Ok(preview) };
    let mut chunks = input::chunks_of(source, dialect, start, CHUNK_BYTES_MAX, Arc::default())?;
    let (mut lines, mut rows) = (start.lines, 0);
    let (mut records, mut scratch) = (Records::default(), Vec::new());
    while let Some(chunk) = chunks()? {
        csv::scan(&chunk.bytes, dialect, 0, &mut records);
        chunk.settle(&mut records);
        for record in &records.records {
            if rows == rows_max {
                return Ok(preview);
            }
            rows += 1;
            let line = lines + 1 + u64::from(record.line);
            // Without a format no number of fields is wrong; but a row may also be no text, which comes after that.
            let is_ragged =
                |problem: &RecordProblem| matches!(problem, RecordProblem::TooFewFields | RecordProblem::TooManyFields);
            let is_text = dialect == Dialect::SHEET || std::str::from_utf8(record.raw(&chunk.bytes)).is_ok();
            let raw_cells = || records.fields_of(record).iter().map(|field| field.raw(&chunk.bytes));
            // A bad cell is shown as the spreadsheet shows it, and told of.
            let bad = if dialect == Dialect::SHEET { bad_cell::story(raw_cells()) } else { None };
            if let Some(message) = bad {
                preview.rejected.push(RawProblem { line, code: Rejection::FieldInvalid, message });
            }
            let is_bad = |problem: &RecordProblem| dialect == Dialect::SHEET && *problem == RecordProblem::NotText;
            let problem = record.problem.filter(|problem| !is_ragged(problem) && !is_bad(problem));
            let problem = problem.or((!is_text).then_some(RecordProblem::NotText));
            if let Some(problem) = problem {
                preview.rejected.push(RawProblem {
                    line,
                    code: problem.rejection(),
                    message: problem.message(record.fields, usize::from(record.fields)),
                });
            }
            if is_text && problem.is_none_or(|problem| problem == RecordProblem::Nul) {
                let cells = records.fields_of(record).iter().map(|&field| {
                    let cell = csv::cell(&chunk.bytes, field, dialect, record.flags, &mut scratch);
                    String::from_utf8_lossy(bad_cell::shown(cell)).into_owned()
                });
                preview.records.push(RawRecord { line, cells: cells.collect() });
            }
        }
        lines += u64::from(records.lines);
    }
    Ok(preview)
}

/// The first rows of a source, and where in its text they end.
///
/// # Errors
/// When the source cannot be read, or the mode contradicts its columns.
pub fn preview(
    source: &Source,
    layout: &Layout,
    surroundings: &Surroundings,
    mode: Option<Mode>,
    conversion: Option<Conversion>,
    expiry: Option<&ExpiryTerms>,
    rows_max: u64,
) -> Result<(Preview, Position)> {
    let mut reader = RowReader::new(layout, surroundings, mode, conversion, expiry)?;
    let mut chunks = input::chunks_of(source, layout.dialect, layout.start, CHUNK_BYTES_MAX, Arc::default())?;
    let mut end = layout.start;
    let mut rows = Vec::new();
    let (mut records, cell_rules) = (Records::default(), layout.cell_rules());
    'all: while let Some(chunk) = chunks()? {
        csv::scan(&chunk.bytes, layout.dialect, layout.mapping.columns, &mut records);
        chunk.settle(&mut records);
        cell_rules.apply(&chunk.bytes, layout.dialect, &mut records);
        let faults = reader.faults(&chunk);
        for (at, record) in records.records.iter().enumerate() {
            if rows.len() as u64 == rows_max {
                end.offset = chunk.offset + u64::from(record.start);
                break 'all;
            }
            let cells = Cells::of(&chunk.bytes, None, &records, record, layout.dialect);
            let is_bad = layout.dialect == Dialect::SHEET && record.problem == Some(RecordProblem::NotText);
            let is_read = record.problem.is_none() || is_bad;
            let fault = faults.iter().find(|(row, _)| *row as usize == at).map(|(_, fault)| fault.clone());
            rows.push(PreviewRow {
                line: end.lines + 1 + u64::from(record.line),
                values: if is_read { reader.values(cells) } else { BTreeMap::new() },
                problem: fault.map(|Fault { rejection, column, message }| Problem { code: rejection, column, message }),
                outcome: None,
            });
        }
        end = Position { offset: chunk.end, lines: end.lines + u64::from(records.lines), ..end };
    }
    let header =
        |(&field, &column): (&ColumnField, &usize)| (field, layout.header.get(column).cloned().unwrap_or_default());
    let is_text = layout.sheet.is_none();
    let preview = Preview {
        format: layout.format.name.clone(),
        kind: layout.format.kind,
        mapping: layout.mapping.fields.iter().map(header).collect(),
        ignored_columns: layout.mapping.ignored.clone(),
        encoding: is_text.then(|| source.encoding().name()),
        delimiter: is_text.then(|| char::from(layout.dialect.delimiter)),
        quote: is_text.then(|| char::from(layout.dialect.quote)),
        sheet: layout.sheet.as_ref().map(|sheet| sheet.name.clone()),
        number_format: layout.numbers.clone(),
        date_format: layout.dates.name(),
        rejected: rows.iter().filter(|row| row.problem.is_some()).count() as u64,
        rows,
    };
    Ok((preview, end))
}

/// The outcomes of a processed report by line.
pub fn outcomes(report: &[u8]) -> BTreeMap<u64, PreviewOutcome> {
    let dialect = Dialect::default();
    let mut records = Records::default();
    csv::scan(report, dialect, 7, &mut records);
    let read = |record: &csv::Record| {
        let cells = Cells::of(report, None, &records, record, dialect);
        let mut scratch = Vec::new();
        let mut cell = |at| Some(cells.text(at, &mut scratch).to_owned()).filter(|cell| !cell.is_empty());
        let line = cell(0)?.parse().ok()?;
        Some((
            line,
            PreviewOutcome { status: cell(1)?, code: cell(2), message: cell(3), amount: cell(5), balance: cell(6) },
        ))
    };
    records.records.iter().filter_map(read).collect()
}

/// Reads rows by the rules of their import.
struct RowReader<'a> {
    layout: &'a Layout,
    surroundings: &'a Surroundings,
    conversion: Option<Conversion>,
    tiers: Tiers,
    numbers: NumberStyle,
    rules: Rules,
}

enum Rules {
    Points(Box<PointsRules>, Box<PointsBatch>),
    Customers(Box<CustomersRules>, Box<CustomersBatch>),
    Expiry(Box<ExpiryRules>, Box<ExpiryBatch>),
}

impl<'a> RowReader<'a> {
    fn new(
        layout: &'a Layout,
        surroundings: &'a Surroundings,
        mode: Option<Mode>,
        conversion: Option<Conversion>,
        expiry: Option<&ExpiryTerms>,
    ) -> Result<RowReader<'a>> {
        let numbers = layout.number_style();
        let tiers = || Tiers::from_parts(&[], &surroundings.tiers).map_err(Error::corrupt);
        let rules = if layout.format.kind == Kind::Customers {
            let rules = CustomersRules::reading(layout, surroundings)?;
            Rules::Customers(Box::new(rules), Box::default())
        } else if layout.format.kind == Kind::Expiry {
            Rules::Expiry(Box::new(ExpiryRules::reading(layout, expiry, surroundings, 0)), Box::default())
        } else {
            // Whether amounts are added or set is not needed to read them.
            let has_operations = layout.mapping.column(ColumnField::Operation).is_some();
            let mode = mode.or(layout.format.mode).or((!has_operations).then_some(Mode::Add));
            let rules = PointsRules::reading(layout, mode, conversion, surroundings)?;
            Rules::Points(Box::new(rules), Box::default())
        };
        Ok(RowReader { layout, surroundings, conversion, tiers: tiers()?, numbers, rules })
    }

    /// What is wrong with the rows of a chunk, by their place.
    fn faults(&mut self, chunk: &crate::import::chunk::Chunk) -> Vec<(u32, Fault)> {
        match &mut self.rules {
            Rules::Points(rules, batch) => {
                batch.fill(chunk.clone(), 0);
                // Without stored keys of rows there is nothing that parsing could fail to read.
                let _ = rules.parse(&RwLock::new(IdentifierTable::default()), None, batch);
                batch.faults().to_vec()
            }
            Rules::Customers(rules, batch) => {
                batch.fill(chunk.clone());
                rules.parse(batch);
                batch.faults().to_vec()
            }
            Rules::Expiry(rules, batch) => {
                batch.fill(chunk.clone());
                // Whom the identifiers belong to is another matter: these are faults of the file alone.
                rules.parse(&IdentifierTable::default(), batch);
                batch.faults().to_vec()
            }
        }
    }

    fn values(&self, cells: Cells<'_>) -> BTreeMap<ColumnField, String> {
        let mut scratch = Vec::new();
        let mut values = BTreeMap::new();
        let decimals = self.decimals_of(cells);
        for (&field, &column) in &self.layout.mapping.fields {
            let cell = match self.layout.sheet {
                Some(_) => std::str::from_utf8(bad_cell::shown(cells.get(column, &mut scratch))).unwrap_or_default(),
                None => cells.text(column, &mut scratch),
            };
            let is_operation = field == ColumnField::Operation;
            if !is_blank(cell.as_bytes()) || is_operation && self.layout.format.operation_blank.is_some() {
                values.insert(field, self.value(field, cell, decimals).unwrap_or_else(|| cell.trim().to_owned()));
            }
        }
        values
    }

    /// Decimals of the program whose points the row has: its own, or the job's.
    fn decimals_of(&self, cells: Cells<'_>) -> u8 {
        let mut scratch = Vec::new();
        let mut cell =
            |field| self.layout.mapping.column(field).map(|at| cells.text(at, &mut scratch).trim().to_owned());
        let named = [ColumnField::Program, ColumnField::Account].map(&mut cell);
        let named = named.into_iter().flatten().find(|code| !code.is_empty());
        let currency = cell(ColumnField::Currency);
        let currency = currency.as_deref().and_then(currency_code);
        let is_meant = |program: &&Program| match &named {
            Some(code) => program.code == *code,
            None => currency.is_some() && program.currency.as_deref() == currency,
        };
        let meant = self.surroundings.programs.iter().find(is_meant);
        let is_unknown = !self.surroundings.has_store && (named.is_some() || currency.is_some());
        let other = if is_unknown { PROGRAM_DECIMALS_MAX } else { self.surroundings.decimals() };
        meant.map_or(other, |program| program.decimals)
    }

    /// A cell as the import takes it; none where it takes it as it is, or cannot read it.
    fn value(&self, field: ColumnField, cell: &str, decimals: u8) -> Option<String> {
        let number = |decimals| parse_amount(cell, decimals, self.numbers).ok();
        let text = |units: i64, decimals| amount_text(i128::from(units), decimals);
        match field {
            ColumnField::UserId => self.identifier(IdentifierKind::UserId, cell),
            ColumnField::ExternalId => self.identifier(IdentifierKind::ExternalId, cell),
            ColumnField::Email => self.identifier(IdentifierKind::Email, cell),
            ColumnField::Mobile => self.identifier(IdentifierKind::Mobile, cell),
            ColumnField::Card if self.layout.format.kind == Kind::Customers => {
                let cards = cell.split([',', '|']).filter(|card| !is_blank(card.as_bytes()));
                let cards: Option<Vec<_>> = cards.map(|card| self.identifier(IdentifierKind::Card, card)).collect();
                Some(cards?.join("|"))
            }
            ColumnField::Card => self.identifier(IdentifierKind::Card, cell),
            ColumnField::Amount => {
                let amount = match self.conversion {
                    Some(conversion) => conversion.convert(cell, decimals, self.numbers).ok(),
                    None => number(decimals),
                };
                Some(text(amount?, decimals))
            }
            ColumnField::Balance => {
                let decimals = self.surroundings.decimals();
                Some(text(number(decimals)?, decimals))
            }
            ColumnField::Currency => currency_code(cell).map(str::to_owned),
            ColumnField::Ltv => Some(text(number(LTV_DECIMALS)?, LTV_DECIMALS)),
            ColumnField::Orders => Some(text(number(0)?, 0)),
            ColumnField::Operation => Some(
                match self.layout.format.operation(cell)? {
                    OperationWord::Credit => "credit",
                    OperationWord::Debit => "debit",
                    OperationWord::Set => "set",
                }
                .to_owned(),
            ),
            ColumnField::Birthday => {
                Birthday::parse(cell.trim(), self.layout.dates).map(|birthday| birthday.to_string())
            }
            ColumnField::CreatedAt => {
                let created = self.layout.dates.parse_or_timestamp(cell, &self.surroundings.zone);
                created.map(|time| time.to_string())
            }
            ColumnField::Gender => Gender::parse(cell).map(|gender| gender.word().to_owned()),
            ColumnField::Tier => {
                let tier = self.tiers.lookup(cell.trim())?;
                self.tiers.name(tier).map(str::to_owned)
            }
            ColumnField::ExpiresOn => {
                let last = self.layout.dates.parse_or_timestamp(cell, &self.surroundings.zone)?;
                Some(self.surroundings.zone.day_of(last).to_string())
            }
            ColumnField::CreditedOn => {
                let credited = self.layout.dates.parse_or_timestamp(cell, &self.surroundings.zone);
                credited.map(|time| time.to_string())
            }
            ColumnField::ExpiryType => ExpiryType::parse(cell).map(|found| found.word().to_owned()),
            ColumnField::ExpiryUnit => ExpiryUnit::parse(cell).map(|unit| unit.word().to_owned()),
            ColumnField::ExpiryChange => ExpiryDirection::parse(cell).map(|change| change.word().to_owned()),
            ColumnField::ExpiryValue => {
                let day = || {
                    let last = self.layout.dates.parse_or_timestamp(cell, &self.surroundings.zone)?;
                    Some(self.surroundings.zone.day_of(last).to_string())
                };
                number(0).map(|number| text(number, 0)).or_else(day)
            }
            // As they came: nothing is made of these.
            _ => None,
        }
    }

    fn identifier(&self, kind: IdentifierKind, cell: &str) -> Option<String> {
        let is_strict = self.layout.format.kind == Kind::Customers;
        let mut normalized = Vec::new();
        normalize(kind, cell, self.layout.region(self.surroundings.region), is_strict, &mut normalized).ok()?;
        String::from_utf8(normalized).ok()
    }
}
