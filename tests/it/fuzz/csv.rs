//! A file of any bytes, from its recognition to the values and faults of its rows: read the same whatever the chunks.

use std::{
    path::Path,
    sync::{Arc, RwLock},
};

use tidemill::{
    domain::{
        command::Mode,
        phone::Region,
        points::{Conversion, Rounding},
        program::Program,
        time::{DateStyle, TimeZone, Timestamp},
    },
    error::{ErrorKind, Result},
    import::{
        chunk::{CHUNK_BYTES_MAX, Chunk},
        csv::{self, RecordProblem, Records},
        customers::{CustomersBatch, CustomersRules},
        dialect::DialectHints,
        expiry::{ExpiryBatch, ExpiryRules},
        format::{Format, Kind},
        input::{self, InputHints, Layout},
        points::{PointsBatch, PointsRules},
        preview,
        rows::Fault,
        source::Source,
        surroundings::Surroundings,
    },
    store::identifiers::IdentifierTable,
};

/// Beyond this many bytes of text, which a small file has only if it is compressed, nothing is compared any more.
const TEXT_BYTES_MAX: u64 = 256 << 10;

/// A record: where it lies, on which line it begins, how many fields it has, and what is wrong with it.
type Place = (u64, u64, u64, u16, Option<RecordProblem>);

/// What the rows of a file are, without its borders of chunks.
#[derive(Default, Debug, PartialEq, Eq)]
struct Told {
    records: Vec<Place>,
    /// By the number of the row.
    faults: Vec<(usize, Fault)>,
    /// Whether these are all.
    is_whole: bool,
}

/// The rules of the file's kind.
enum Rules {
    Points(Box<PointsRules>, Box<PointsBatch>),
    Customers(Box<CustomersRules>, Box<CustomersBatch>),
    Expiry(Box<ExpiryRules>, Box<ExpiryBatch>),
    None,
}

impl Rules {
    fn of(layout: &Layout, mode: Option<Mode>, conversion: Option<Conversion>, around: &Surroundings) -> Result<Rules> {
        Ok(match layout.format.kind {
            Kind::Points => {
                Rules::Points(Box::new(PointsRules::reading(layout, mode, conversion, around)?), Box::default())
            }
            Kind::Customers => Rules::Customers(Box::new(CustomersRules::reading(layout, around)?), Box::default()),
            Kind::Expiry => Rules::Expiry(Box::new(ExpiryRules::reading(layout, None, around, 0)), Box::default()),
            Kind::Selection => Rules::None,
        })
    }

    fn faults(&mut self, chunk: &Chunk) -> Vec<(u32, Fault)> {
        match self {
            Rules::Points(rules, batch) => {
                batch.fill(chunk.clone(), 0);
                rules.parse(&RwLock::default(), None, batch).expect("no stored keys are asked");
                batch.faults().to_vec()
            }
            Rules::Customers(rules, batch) => {
                batch.fill(chunk.clone());
                rules.parse(batch);
                batch.faults().to_vec()
            }
            Rules::Expiry(rules, batch) => {
                batch.fill(chunk.clone());
                rules.parse(&IdentifierTable::default(), batch);
                batch.faults().to_vec()
            }
            Rules::None => Vec::new(),
        }
    }
}

/// Reads the rows in chunks of this size.
fn rows(source: &Source, layout: &Layout, rules: &mut Rules, chunk_bytes_max: usize) -> Result<Told> {
    let mut chunks = input::chunks(source, layout, layout.start, chunk_bytes_max, Arc::default())?;
    let (mut told, mut records) = (Told::default(), Records::default());
    let (mut end, mut lines) = (layout.start.offset, layout.start.lines);
    while let Some(chunk) = chunks()? {
        assert_eq!(chunk.offset, end, "chunks lie one behind the other");
        assert!(chunk.end > chunk.offset);
        end = chunk.end;
        csv::scan(&chunk.bytes, layout.dialect, layout.mapping.columns, &mut records);
        chunk.settle(&mut records);
        let before = told.records.len();
        told.records.extend(records.records.iter().map(|record| {
            let place = |at: u32| chunk.offset + u64::from(at);
            // Of a row too long only its beginning is held.
            let end = if chunk.lines_dropped.is_some() { chunk.end } else { place(record.end) };
            (place(record.start), end, lines + u64::from(record.line), record.fields, record.problem)
        }));
        lines += u64::from(records.lines);
        told.faults.extend(rules.faults(&chunk).into_iter().map(|(row, fault)| (before + row as usize, fault)));
        if end > TEXT_BYTES_MAX {
            return Ok(told);
        }
    }
    Ok(Told { is_whole: true, ..told })
}

fn check_file(path: &Path, choice: [u8; 4]) -> Result<()> {
    let [kind, other, style, size] = choice;
    let bit = |place: u8| other >> place & 1 == 1;
    let kinds = [None, Some(Kind::Points), Some(Kind::Customers), Some(Kind::Expiry), Some(Kind::Selection)];
    let format = Format::all().get(usize::from(kind / 8)).map(|format| format.name.clone());
    let hints = InputHints {
        format: format.filter(|_| bit(0)),
        map: if bit(1) { vec!["1=email".to_owned(), "2=amount".to_owned()] } else { Vec::new() },
        no_header: bit(2),
        skip_rows: if bit(3) { 1 } else { 0 },
        dialect: DialectHints { delimiter: bit(4).then_some(b';'), quote: bit(4).then_some(b'\'') },
        number_format: bit(5).then(|| "de".to_owned()),
        date_format: bit(6).then(|| DateStyle::ALL[usize::from(style) % 4]),
        ..InputHints::default()
    };
    let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").expect("it is a time");
    let around = Surroundings {
        region: Region::new(["", "LT", "IN", "US"][usize::from(style / 4) % 4]),
        zone: TimeZone::new("Europe/Vilnius").expect("it is bundled"),
        programs: vec![Program { decimals: style / 16 % 5, ..Program::of_new_store() }],
        ..Surroundings::of_new_store(now)
    };
    let mode = [None, Some(Mode::Add), Some(Mode::Reset)][usize::from(style / 16) % 3];
    let rounding = [None, Some(Rounding::HalfUp)][usize::from(style & 1)];
    let conversion = if bit(7) { Conversion::new("0.15", rounding) } else { None };

    let source = input::open(path, &hints)?;
    let raw = preview::raw(&source, &hints, 100)?;
    assert!(serde_json::to_string(&raw).is_ok());
    let layout = input::understand(&source, path, kinds[usize::from(kind % 8) % kinds.len()], &hints)?;
    let (shown, _) = preview::preview(&source, &layout, &around, mode, conversion, None, 100)?;
    assert!(serde_json::to_string(&shown).is_ok());
    let read = |chunk_bytes_max| {
        let mut rules = Rules::of(&layout, mode, conversion, &around)?;
        rows(&source, &layout, &mut rules, chunk_bytes_max)
    };
    let (whole, cut) = (read(CHUNK_BYTES_MAX)?, read(usize::from(size) + 1)?);
    let same = whole.records.len().min(cut.records.len());
    if whole.is_whole && cut.is_whole {
        assert_eq!(whole.records.len(), cut.records.len());
    }
    assert_eq!(whole.records[..same], cut.records[..same]);
    let until = |told: &Told| told.faults.iter().filter(|(row, _)| *row < same).cloned().collect::<Vec<_>>();
    assert_eq!(until(&whole), until(&cut));
    // What a preview shows are the same faults.
    for (at, row) in shown.rows.iter().enumerate().take(whole.records.len()) {
        let fault = whole.faults.iter().find(|(row, _)| *row == at).map(|(_, fault)| &fault.message);
        assert_eq!(row.problem.as_ref().map(|problem| &problem.message), fault, "row {at}");
        assert_eq!(row.line, whole.records[at].2 + 1);
    }
    Ok(())
}

pub fn check(input: &[u8]) {
    let Some((&choice, bytes)) = input.split_first_chunk::<4>() else { return };
    let path = std::env::temp_dir().join(format!("tidemill-fuzz-{}.csv", std::process::id()));
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    if let Err(error) = check_file(&path, choice) {
        assert!(!error.to_string().is_empty());
        assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    }
}
