//! Measures the parse stage on one core, without threads or disk: cutting a file into chunks, scanning chunks into
//! fields (plain, quoted, CRLF; beside it the plain twin and the `csv` crate), normalising identifiers, reading amounts,
//! and writing cells of a report.
//!
//! The input is that of W1 (`support/generator.rs`), rewritten where a bench says so. `scan/w1` has a quote every 30 KB,
//! which is why it runs through the quoted path; `scan/plain` is the same file without those rows.
//!
//! ```text
//! cargo bench --bench parse                  everything, three minutes
//! cargo bench --bench parse -- scan          one group
//! cargo bench --bench parse -- --test        each once, on small input: only whether it works
//! ```
//!
//! Nearly everything is measured twice, as `…/bytes` and as `…/rows` or `…/cells`: criterion gives a bench one throughput.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use tidemill::{
    domain::{
        identifier::{IdentifierKind, normalize},
        phone::Region,
        points::{NumberStyle, parse_amount, write_amount},
    },
    import::{
        chunk::{CHUNK_BYTES_MAX, Cutter},
        csv::{ROW_BYTES_MAX, Records, scan, scan_plain},
        dialect::Dialect,
    },
    report::cell::{unguarded, write_cell},
};

#[path = "support/generator.rs"]
#[expect(unused_imports, reason = "its tests are compiled, though not run: a bench has no harness")]
mod generator;

use generator::Workload;

/// Columns of the points file.
const COLUMNS: usize = 4;

/// Cells of a bench that works cell by cell: enough that the branch predictor cannot learn them by heart.
const CELLS: u64 = 100_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let w1 = points();
    cut(&mut criterion, &w1);
    scans(&mut criterion, &w1);
    rival(&mut criterion, &w1);
    identifiers(&mut criterion);
    amounts(&mut criterion);
    cells(&mut criterion);
    criterion.final_summary();
}

/// Whether criterion only runs everything once.
fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// The points file of W1.
fn points() -> Vec<u8> {
    let rows = if is_test() { 20_000 } else { 1_000_000 };
    let mut file = Vec::new();
    generator::write_points(&Workload { customers: 10_000_000, rows, seed: 1 }, &mut file).expect("memory takes all");
    file
}

/// The rows without a quote.
fn plain(w1: &[u8]) -> Vec<u8> {
    w1.split_inclusive(|&byte| byte == b'\n').filter(|row| !row.contains(&b'"')).flatten().copied().collect()
}

/// The rows without a quote, each cell in quotes, as some shop systems export.
fn quoted(w1: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for row in plain(w1).split(|&byte| byte == b'\n').filter(|row| !row.is_empty()) {
        for (at, cell) in row.split(|&byte| byte == b',').enumerate() {
            file.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
            file.extend_from_slice(cell);
            file.push(b'"');
        }
        file.push(b'\n');
    }
    file
}

/// The rows without a quote, as Windows ends lines.
fn crlf(w1: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for row in plain(w1).split(|&byte| byte == b'\n').filter(|row| !row.is_empty()) {
        file.extend_from_slice(row);
        file.extend_from_slice(b"\r\n");
    }
    file
}

fn rows_of(file: &[u8]) -> u64 {
    file.iter().filter(|&&byte| byte == b'\n').count() as u64
}

fn chunks_of(file: &[u8]) -> Vec<Vec<u8>> {
    let mut cutter = cutter(file);
    std::iter::from_fn(|| cutter.next().expect("memory can be read")).map(|chunk| chunk.bytes).collect()
}

fn cutter(file: &[u8]) -> Cutter<&[u8]> {
    Cutter::new(file, Dialect::default(), CHUNK_BYTES_MAX, ROW_BYTES_MAX, 0, 0)
}

/// Measures work on a whole file in bytes and in rows.
fn bench_file(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, file: &[u8], mut work: impl FnMut()) {
    for (unit, throughput) in
        [("bytes", Throughput::Bytes(file.len() as u64)), ("rows", Throughput::Elements(rows_of(file)))]
    {
        group.throughput(throughput);
        group.bench_function(format!("{name}/{unit}"), |bencher| bencher.iter(&mut work));
    }
}

fn cut(criterion: &mut Criterion, w1: &[u8]) {
    let mut group = criterion.benchmark_group("cut");
    group.sample_size(20);
    for (name, file) in [("w1", w1.to_vec()), ("plain", plain(w1)), ("quoted", quoted(w1))] {
        bench_file(&mut group, name, &file, || {
            let mut cutter = cutter(&file);
            while let Some(chunk) = cutter.next().expect("memory can be read") {
                black_box(chunk);
            }
        });
    }
    group.finish();
}

fn scans(criterion: &mut Criterion, w1: &[u8]) {
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(20);
    let mut records = Records::default();
    for (name, file) in [("w1", w1.to_vec()), ("plain", plain(w1)), ("quoted", quoted(w1)), ("crlf", crlf(w1))] {
        let chunks = chunks_of(&file);
        bench_file(&mut group, name, &file, || {
            for chunk in &chunks {
                scan(chunk, Dialect::default(), COLUMNS, &mut records);
                black_box(&records);
            }
        });
    }
    for (name, file) in [("plain_twin/plain", plain(w1)), ("plain_twin/quoted", quoted(w1))] {
        let chunks = chunks_of(&file);
        bench_file(&mut group, name, &file, || {
            for chunk in &chunks {
                scan_plain(chunk, Dialect::default(), COLUMNS, &mut records);
                black_box(&records);
            }
        });
    }
    group.finish();
}

/// The `csv` crate at its best: byte records, one of them used again, no check of the number of fields. It cuts and scans
/// in one, so it stands against `cut` and `scan` together.
fn rival(criterion: &mut Criterion, w1: &[u8]) {
    let mut group = criterion.benchmark_group("csv_crate");
    group.sample_size(20);
    let mut record = csv::ByteRecord::new();
    for (name, file) in [("plain", plain(w1)), ("quoted", quoted(w1)), ("crlf", crlf(w1))] {
        bench_file(&mut group, name, &file, || {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file.as_slice());
            while reader.read_byte_record(&mut record).expect("memory can be read") {
                black_box(&record);
            }
        });
    }
    group.finish();
}

/// Measures work on each of some cells, in bytes and in cells.
fn bench_cells(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, cells: &[String], mut work: impl FnMut(&str)) {
    let bytes = cells.iter().map(|cell| cell.len() as u64).sum();
    for (unit, throughput) in [("bytes", Throughput::Bytes(bytes)), ("cells", Throughput::Elements(cells.len() as u64))]
    {
        group.throughput(throughput);
        group.bench_function(format!("{name}/{unit}"), |bencher| {
            bencher.iter(|| cells.iter().for_each(|cell| work(cell)))
        });
    }
}

fn texts(text_of: impl Fn(u64) -> String) -> Vec<String> {
    // A prime apart, so that names and lengths mix.
    (0..if is_test() { 1_000 } else { CELLS }).map(|n| text_of(n * 97)).collect()
}

fn identifiers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalize");
    group.sample_size(50);
    let india = Region::new("IN").expect("libphonenumber knows India");
    let upper = |n: u64| generator::email_of(n).to_ascii_uppercase();
    // With the trunk zero: ten bare digits may also begin with a calling code, which is refused as unclear.
    let local = |n: u64| format!("0{}", &generator::mobile_of(n)[3..]);
    let spaced = |n: u64| format!("{} {}", &generator::mobile_of(n)[..8], &generator::mobile_of(n)[8..]);
    let mut out = Vec::new();
    for (name, kind, region, is_strict, cells) in [
        ("email", IdentifierKind::Email, None, false, texts(generator::email_of)),
        ("email_upper", IdentifierKind::Email, None, false, texts(upper)),
        ("email_strict", IdentifierKind::Email, None, true, texts(generator::email_of)),
        ("mobile_e164", IdentifierKind::Mobile, None, false, texts(generator::mobile_of)),
        ("mobile_spaced", IdentifierKind::Mobile, None, false, texts(spaced)),
        ("mobile_local", IdentifierKind::Mobile, Some(india), false, texts(local)),
        ("card", IdentifierKind::Card, None, false, texts(generator::card_of)),
        ("user_id", IdentifierKind::UserId, None, false, texts(generator::user_id_of)),
    ] {
        bench_cells(&mut group, name, &cells, |cell| {
            normalize(kind, black_box(cell), region, is_strict, &mut out)
                .expect("the generator's identifiers are good");
            black_box(&out);
        });
    }
    group.finish();
}

fn amounts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("amount");
    group.sample_size(50);
    let english = NumberStyle::named("en").expect("a name of the list");
    let whole = |n: u64| (n % 5_000 + 1).to_string();
    let cents = |n: u64| format!("{}.{:02}", n % 5_000, n % 100);
    let grouped = |n: u64| format!("{},{:03}.{:02}", n % 900 + 1, n % 1_000, n % 100);
    for (name, decimals, style, cells) in [
        ("parse_whole", 0, NumberStyle::PLAIN, texts(whole)),
        ("parse_cents", 2, NumberStyle::PLAIN, texts(cents)),
        ("parse_grouped", 2, english, texts(grouped)),
    ] {
        bench_cells(&mut group, name, &cells, |cell| {
            black_box(parse_amount(black_box(cell), decimals, style).expect("the cells are amounts"));
        });
    }
    let amounts: Vec<i64> = (0..CELLS.cast_signed()).map(|n| n * 97 % 1_000_000).collect();
    let mut out = Vec::new();
    group.throughput(Throughput::Elements(amounts.len() as u64));
    group.bench_function("write/cells", |bencher| {
        bencher.iter(|| {
            out.clear();
            amounts.iter().for_each(|&amount| write_amount(black_box(amount), 2, &mut out));
            black_box(&out);
        });
    });
    group.finish();
}

/// Cells that came from outside, on their way into a report and back.
fn cells(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cell");
    group.sample_size(50);
    let mut out = Vec::new();
    let quoted = |n: u64| format!("{}, \"{}\"", generator::email_of(n), n % 100);
    for (name, cells) in [
        ("write_email", texts(generator::email_of)),
        ("write_mobile", texts(generator::mobile_of)),
        ("write_quoted", texts(quoted)),
    ] {
        bench_cells(&mut group, name, &cells, |cell| {
            out.clear();
            write_cell(black_box(cell.as_bytes()), &mut out);
            black_box(&out);
        });
    }
    bench_cells(&mut group, "unguarded", &texts(generator::email_of), |cell| {
        black_box(unguarded(black_box(cell.as_bytes())));
    });
    group.finish();
}
