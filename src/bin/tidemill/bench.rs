//! `tidemill bench`: the main works on this machine, until durable.
//!
//! Each work is a process of its own, so that memory and processor time are that work's and nothing else's. The input
//! comes from the generator that the criterion benches use, so the same numbers mean the same bytes everywhere.

#[path = "../../../benches/support/generator.rs"]
mod generator;
mod bulk;
mod expiring;
mod exporting;
mod live;
mod memory;
mod reading;
mod report;
mod sheet;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};
use tidemill::{
    error::{Error, ErrorKind, Result},
    store::disk::free_bytes,
};

pub use self::generator::CUSTOMERS_MAX;
use self::{
    bulk::Bulk,
    expiring::Expiring,
    exporting::Exported,
    generator::{Extra, Totals, Workload},
    live::Live,
    reading::Reading,
    report::{Load, Machine, Report, Sample},
    sheet::SheetWork,
};
use crate::{
    args::{BenchArgs, BenchWork},
    child::{self, Finished, Usage},
    exit::Exit,
    settings::Settings,
    signals,
    text::{
        Side::{Left, Right},
        bytes, counted, grouped, seconds, table,
    },
};

/// Written and synced to see what the disk does: longer than a burst into most write caches, and soon over.
const DISK_PROBE_BYTES: u64 = 512 << 20;

/// What a customer takes on the disk: 145 bytes of input, five identifiers, log and pages, some of them twice.
const CUSTOMER_DISK_BYTES: u64 = 700;
/// What a row takes: 30 bytes of input, ledger, processed report, account pages written again.
const ROW_DISK_BYTES: u64 = 250;
/// Kept free beyond all that.
const SPARE_DISK_BYTES: u64 = 1 << 30;

/// Few enough to wait for, enough for a median that one slow start does not move.
const OPEN_RUNS: u64 = 3;
const SHOW_RUNS: u64 = 5;

/// `tidemill bench`.
pub fn bench(settings: &Settings, args: &BenchArgs) -> Result<Exit> {
    signals::arm()?;
    let workload = Workload { customers: args.customers, rows: args.rows, seed: args.seed };
    match &args.generate {
        Some(directory) => generate_only(settings, directory, &workload, &args.works)?,
        None => {
            let (report, last) = measure_all(settings, args, &workload)?;
            // One run has more to tell than the list of works.
            settings.output.result(&report, || if args.runs > 1 { report.text() } else { once_text(&last) })?;
        }
    }
    Ok(Exit::Done)
}

/// Imports inCust's customers into a store of their own, which is removed afterwards.
fn incust(settings: &Settings, directory: &Path, workload: &Workload, note: &impl Fn(String)) -> Result<Work> {
    note("w0i: importing the customers of inCust".to_owned());
    let (file, store) = (directory.join("incust.csv"), directory.join("store-incust"));
    let totals = write_input(&file, |out| generator::write_incust(workload, out))?;
    let add: [&OsStr; 7] = ["program", "add", "EUR", "--currency", "EUR", "--decimals", "2"].map(AsRef::as_ref);
    child::run(settings, &store, &add)?;
    let import: [&OsStr; 3] = ["import".as_ref(), "customers".as_ref(), file.as_os_str()];
    let finished = child::run(settings, &store, &import)?;
    let work = Work::new("w0i", &finished, &totals, &store);
    for path in [&file, &store] {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(|error| Error::io(format_args!("`{}` cannot be removed", path.display()), &error))?;
    }
    work
}

fn generate_only(settings: &Settings, directory: &Path, workload: &Workload, works: &[BenchWork]) -> Result<()> {
    let others: Vec<OtherFile> = OTHER_FILES.into_iter().filter(|file| works.contains(&file.0)).collect();
    check_space(directory, input_bytes(workload) + 100 * others.len() as u64 * workload.customers.max(workload.rows))?;
    fs::create_dir_all(directory)
        .map_err(|error| Error::io(format_args!("`{}` cannot be made", directory.display()), &error))?;
    let input = Input::generate(directory, workload)?;
    let mut written = Vec::new();
    for (_, name, write) in others {
        let path = directory.join(name);
        written.push((path.clone(), write_input(&path, |out| write(workload, out))?));
    }
    let document = json!({
        "seed": workload.seed,
        "customers": {
            "file": input.customers.display().to_string(),
            "rows": input.customers_totals.rows,
            "bytes": input.customers_totals.bytes,
            "credits": input.customers_totals.credits.to_string(),
        },
        "points": {
            "file": input.points.display().to_string(),
            "rows": input.points_totals.rows,
            "bytes": input.points_totals.bytes,
            "good": input.points_totals.good,
            "bad": input.points_totals.bad,
            "credits": input.points_totals.credits.to_string(),
            "debits": input.points_totals.debits.to_string(),
        },
        "others": written
            .iter()
            .map(|(path, totals)| {
                json!({ "file": path.display().to_string(), "rows": totals.rows, "bytes": totals.bytes })
            })
            .collect::<Vec<_>>(),
    });
    settings.output.result(&document, || {
        let line = |path: &Path, totals: &Totals| {
            format!("  `{}`: {}, {}\n", path.display(), counted(totals.rows, "row", "rows"), bytes(totals.bytes))
        };
        let (customers, points) =
            (line(&input.customers, &input.customers_totals), line(&input.points, &input.points_totals));
        let others: String = written.iter().map(|(path, totals)| line(path, totals)).collect();
        format!("Files written, seed {}\n{customers}{points}{others}", workload.seed)
    })
}

/// A file that a work reads beside customers and points: which work, its name, and what writes it.
type OtherFile = (BenchWork, &'static str, fn(&Workload, &mut Stoppable) -> io::Result<Totals>);

const OTHER_FILES: [OtherFile; 8] = [
    (BenchWork::W0u, "updates.csv", |workload, out| generator::write_updates(workload, out)),
    (BenchWork::W0i, "incust.csv", |workload, out| generator::write_incust(workload, out)),
    (BenchWork::W1x, "expiry.csv", |workload, out| generator::write_points_with(Extra::Expiry, workload, out)),
    (BenchWork::W1r, "row-ids.csv", |workload, out| generator::write_points_with(Extra::RowId, workload, out)),
    (BenchWork::W2, "balances.csv", |workload, out| generator::write_balances(workload, out)),
    (BenchWork::W3, "dated.csv", |workload, out| generator::write_dated(workload, out)),
    (BenchWork::W3, "names.csv", |workload, out| generator::write_names(workload, out)),
    (BenchWork::W3, "references.csv", |workload, out| generator::write_references(workload, out)),
];

/// The two files of a load.
struct Input {
    customers: PathBuf,
    customers_totals: Totals,
    points: PathBuf,
    points_totals: Totals,
}

impl Input {
    fn generate(directory: &Path, workload: &Workload) -> Result<Input> {
        let (customers, points) = (directory.join("customers.csv"), directory.join("points.csv"));
        let customers_totals = write_input(&customers, |out| generator::write_customers(workload, out))?;
        let points_totals = write_input(&points, |out| generator::write_points(workload, out))?;
        Ok(Input { customers, customers_totals, points, points_totals })
    }
}

impl Input {
    /// The points once more with one column more, beside the others.
    fn points_with(&self, extra: Extra, name: &str, workload: &Workload) -> Result<(PathBuf, Totals)> {
        let path = self.points.with_file_name(name);
        let totals = write_input(&path, |out| generator::write_points_with(extra, workload, out))?;
        Ok((path, totals))
    }
}

/// Writes a file and syncs it, or the system would write it back while works are measured.
fn write_input(path: &Path, write: impl FnOnce(&mut Stoppable) -> io::Result<Totals>) -> Result<Totals> {
    let written = File::create(path).and_then(|file| {
        let mut out = Stoppable(file);
        let totals = write(&mut out)?;
        out.0.sync_all()?;
        Ok(totals)
    });
    written.map_err(|error| {
        stopped().unwrap_or_else(|| Error::io(format_args!("`{}` cannot be written", path.display()), &error))
    })
}

/// A file whose writing ends when a signal came.
struct Stoppable(File);

impl Write for Stoppable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if signals::received().is_some() {
            return Err(io::Error::other("stopped"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The error of a bench that a signal stopped.
fn stopped() -> Option<Error> {
    signals::received().map(|_| Error::new(ErrorKind::Stopped, "stopped", "the measurement was stopped"))
}

fn input_bytes(workload: &Workload) -> u64 {
    150 * workload.customers + 40 * workload.rows
}

fn check_space(directory: &Path, needed: u64) -> Result<()> {
    let free = free_bytes(directory);
    if free >= needed {
        return Ok(());
    }
    let (place, needed, free) = (directory.display(), bytes(needed), bytes(free));
    Err(Error::refused("disk_space", format!("the disk of `{place}` has {free} free, and this needs {needed}"))
        .hint("choose a smaller load with `--customers` and `--rows`, or a directory on another disk"))
}

/// What one run of all works measured.
struct Once {
    customers: u64,
    rows: u64,
    seed: u64,
    /// Processors of the machine.
    processors: usize,
    /// Worker threads of the engine.
    threads: usize,
    /// The disk's own rate, synced.
    disk_bytes_per_s: f64,
    /// The memory's own rate, touched for the first time.
    memory_bytes_per_s: f64,
    works: Vec<Work>,
    /// Adjustments while points are imported.
    live: Option<Live>,
    /// Points as other programs write them.
    reading: Vec<Reading>,
    /// Points as a workbook.
    sheet: Option<SheetWork>,
    /// Changing when points expire.
    expiring: Option<Expiring>,
    /// Bulk operations.
    bulk: Option<Bulk>,
    /// The ledger written to files.
    exports: Vec<Exported>,
    /// Whole processes that open the store for a job: a dry run of one row.
    open: Repeated,
    /// Whole processes that show one customer.
    customer_show: Repeated,
    /// The temporary directory, if it was kept.
    directory: Option<String>,
}

impl Once {
    /// The same as one list.
    fn samples(&self) -> Vec<Sample> {
        let mut samples: Vec<Sample> = self.works.iter().map(Sample::import).collect();
        samples.extend(self.live.iter().flat_map(Live::samples));
        samples.extend(self.reading.iter().map(Reading::sample));
        samples.extend(self.sheet.iter().flat_map(SheetWork::samples));
        samples.extend(self.expiring.iter().flat_map(Expiring::samples));
        samples.extend(self.bulk.iter().flat_map(Bulk::samples));
        samples.extend(self.exports.iter().map(Exported::sample));
        samples.push(Sample::new("open", None, self.open.runs_s.clone()));
        samples.push(Sample::new("customer-show", None, self.customer_show.runs_s.clone()));
        samples
    }
}

/// An import. As JSON, where its time went, and what it wrote: the rest stands beside it.
#[derive(Clone, Debug, Serialize)]
struct Work {
    #[serde(skip)]
    work: &'static str,
    #[serde(skip)]
    rows: u64,
    rejected: u64,
    /// From opening the store to durable.
    elapsed_s: f64,
    #[serde(skip)]
    rows_per_s: f64,
    load_s: f64,
    apply_s: f64,
    finish_s: f64,
    /// The whole process.
    #[serde(skip)]
    usage: Usage,
    #[serde(skip)]
    input_bytes: u64,
    log_bytes: u64,
    processed_bytes: u64,
    /// The store afterwards.
    store_bytes: u64,
    windows: u64,
    /// Milliseconds until a commit window was durable.
    window_ms: Percentiles,
}

#[derive(Clone, Debug, Serialize)]
struct Percentiles {
    p50: u64,
    p99: u64,
    max: u64,
}

/// The same process several times.
struct Repeated {
    median_s: f64,
    runs_s: Vec<f64>,
}

/// Does all works as often as is asked for; returns the report, and the last run.
fn measure_all(settings: &Settings, args: &BenchArgs, workload: &Workload) -> Result<(Report, Once)> {
    let (mut runs, mut disk_bytes_per_s, mut memory_bytes_per_s) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for run in 1..=args.runs {
        if args.runs > 1 {
            settings.output.note(format!("run {run} of {}", args.runs));
        }
        let once = measure(settings, args, workload, args.keep && run == args.runs)?;
        runs.push(once.samples());
        disk_bytes_per_s.push(once.disk_bytes_per_s);
        memory_bytes_per_s.push(once.memory_bytes_per_s);
        last = Some(once);
    }
    let last = last.ok_or_else(|| Error::internal("nothing was measured"))?;
    let report = Report {
        schema: report::SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::here(),
        threads: settings.options.threads,
        load: Load::new(workload),
        runs: args.runs,
        disk_bytes_per_s,
        memory_bytes_per_s,
        has_warm_memory: args.warm_memory,
        works: report::merge(runs),
        directory: last.directory.clone(),
    };
    Ok((report, last))
}

fn measure(settings: &Settings, args: &BenchArgs, workload: &Workload, keep: bool) -> Result<Once> {
    let parent = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let needed = CUSTOMER_DISK_BYTES
        .saturating_mul(workload.customers)
        .saturating_add(ROW_DISK_BYTES.saturating_mul(workload.rows))
        .saturating_add(DISK_PROBE_BYTES + SPARE_DISK_BYTES);
    check_space(&parent, needed)?;
    let place = TemporaryDirectory::create(&parent, keep)?;
    let note = |text: String| settings.output.note(text);

    let load = (counted(workload.customers, "customer", "customers"), counted(workload.rows, "row", "rows"));
    note(format!("generating {} and {} of points in `{}`", load.0, load.1, place.path.display()));
    let input = Input::generate(&place.path, workload)?;
    note("measuring disk and memory".to_owned());
    let disk_bytes_per_s = probe_disk(&place.path.join("probe"))?;
    let memory_bytes_per_s = memory::probe();

    let store = place.path.join("store");
    let run = |arguments: &[&OsStr]| match stopped() {
        Some(stopped) => Err(stopped),
        None => {
            if args.warm_memory {
                memory::warm();
            }
            child::run(settings, &store, arguments)
        }
    };
    let mut works = Vec::new();
    note("w0: importing the customers".to_owned());
    let finished = run(&["import".as_ref(), "customers".as_ref(), input.customers.as_os_str()])?;
    if args.works.contains(&BenchWork::W0) {
        works.push(Work::new("w0", &finished, &input.customers_totals, &store)?);
    }
    let processed = place.path.join("processed.csv");
    let import = |work: &'static str, points: &Path, format: &str, totals: &Totals| {
        note(format!("{work}: importing the points"));
        let format = format!("--format={format}");
        let finished = run(&[
            "import".as_ref(),
            "points".as_ref(),
            points.as_os_str(),
            format.as_ref(),
            "--reason=bench".as_ref(),
            "--again".as_ref(),
            "--processed".as_ref(),
            processed.as_os_str(),
        ])?;
        Work::new(work, &finished, totals, &store)
    };
    let (mut live, mut reading, mut sheet, mut bulk, mut exports) = (None, Vec::new(), None, None, Vec::new());
    let mut expiring = None;
    for work in &args.works {
        match work {
            BenchWork::W0 => {}
            BenchWork::W0u => {
                note("w0u: changing the LTV of each customer".to_owned());
                let updates = input.points.with_file_name("updates.csv");
                let totals = write_input(&updates, |out| generator::write_updates(workload, out))?;
                let finished =
                    run(&["import".as_ref(), "customers".as_ref(), updates.as_os_str(), "--again".as_ref()])?;
                works.push(Work::new("w0u", &finished, &totals, &store)?);
            }
            BenchWork::W0i => works.push(incust(settings, &place.path, workload, &note)?),
            BenchWork::W1 => works.push(import("w1", &input.points, "nector", &input.points_totals)?),
            BenchWork::W1x => {
                let (points, totals) = input.points_with(Extra::Expiry, "expiry.csv", workload)?;
                works.push(import("w1x", &points, "nector-expiry", &totals)?);
            }
            BenchWork::W1r => {
                let (points, totals) = input.points_with(Extra::RowId, "row-ids.csv", workload)?;
                works.push(import("w1r", &points, "tidemill", &totals)?);
                works.push(import("w1r-again", &points, "tidemill", &totals)?);
            }
            BenchWork::Live => {
                note("live: importing the points without adjustments, then with them".to_owned());
                live = Some(live::measure(settings, &store, &input.points, &processed, workload)?);
            }
            BenchWork::Reading => reading = reading::measure(&input.points, &place.path, &run, &note)?,
            BenchWork::W3 => {
                expiring = Some(expiring::measure(settings, &store, &place.path, workload, &run, &note)?);
            }
            BenchWork::W2 => {
                note("w2: setting all balances, then bulk operations".to_owned());
                let balances = input.points.with_file_name("balances.csv");
                write_input(&balances, |out| generator::write_balances(workload, out))?;
                let flags = ["--format=smile", "--mode=reset", "--reason=bench", "--again"];
                let mut arguments: Vec<&OsStr> = vec!["import".as_ref(), "points".as_ref(), balances.as_os_str()];
                arguments.extend(flags.map(AsRef::<OsStr>::as_ref));
                run(&arguments)?;
                let cold = || Ok(run(&bulk::COUNT.map(AsRef::as_ref))?.usage.process_s);
                bulk = Some(bulk::measure(settings, &store, cold)?);
            }
            BenchWork::Export => {
                if !args.works.contains(&BenchWork::W1) {
                    import("export", &input.points, "nector", &input.points_totals)?;
                }
                exports = exporting::measure(&place.path, &run, &note)?;
            }
            BenchWork::Xlsx => sheet = Some(sheet::measure(&input.points, &place.path, &run, &note)?),
        }
    }
    note("opening the store, and showing customers".to_owned());
    let anybody = |run: u64| generator::email_of(run * (workload.customers / SHOW_RUNS.max(OPEN_RUNS)));
    let open = Repeated::measure(OPEN_RUNS, |at| {
        let email = anybody(at);
        run(&["adjust", "credit", "1", "--dry-run", "--reason=bench", "--email", &email].map(AsRef::as_ref))
    })?;
    let customer_show =
        Repeated::measure(SHOW_RUNS, |at| run(&["customer", "show", "--email", &anybody(at)].map(AsRef::as_ref)))?;
    Ok(Once {
        customers: workload.customers,
        rows: workload.rows,
        seed: workload.seed,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        threads: settings.options.threads,
        disk_bytes_per_s,
        memory_bytes_per_s,
        works,
        live,
        reading,
        sheet,
        expiring,
        bulk,
        exports,
        open,
        customer_show,
        directory: keep.then(|| place.path.display().to_string()),
    })
}

impl Work {
    fn new(work: &'static str, finished: &Finished, input: &Totals, store: &Path) -> Result<Work> {
        let (summary, usage) = (&finished.document, finished.usage);
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let (rows, cost) = (count(&summary["rows"]["read"]), &summary["cost"]);
        if rows != input.rows {
            let expected = input.rows;
            return Err(Error::internal(format!("`{work}` read {rows} rows of {expected} that were generated")));
        }
        let window_ms = &cost["window_ms"];
        Ok(Work {
            work,
            rows,
            rejected: count(&summary["rows"]["rejected"]),
            elapsed_s: number(&summary["elapsed_s"]),
            rows_per_s: number(&summary["rows_per_s"]),
            load_s: number(&cost["load_s"]),
            apply_s: number(&cost["apply_s"]),
            finish_s: number(&cost["finish_s"]),
            usage,
            input_bytes: input.bytes,
            log_bytes: count(&cost["log_bytes"]),
            processed_bytes: count(&cost["processed_bytes"]),
            store_bytes: bytes_under(store),
            windows: count(&cost["windows"]),
            window_ms: Percentiles { p50: count(&window_ms[0]), p99: count(&window_ms[1]), max: count(&window_ms[2]) },
        })
    }

    #[cfg(test)]
    fn of_nothing(usage: Usage) -> Work {
        Work {
            work: "w0",
            rows: 0,
            rejected: 0,
            elapsed_s: 0.0,
            rows_per_s: 0.0,
            load_s: 0.0,
            apply_s: 0.0,
            finish_s: 0.0,
            usage,
            input_bytes: 0,
            log_bytes: 0,
            processed_bytes: 0,
            store_bytes: 0,
            windows: 0,
            window_ms: Percentiles { p50: 0, p99: 0, max: 0 },
        }
    }
}

impl Repeated {
    fn measure(runs: u64, run: impl Fn(u64) -> Result<Finished>) -> Result<Repeated> {
        let runs_s = (0..runs).map(|at| Ok(run(at)?.usage.process_s)).collect::<Result<Vec<_>>>()?;
        let mut sorted = runs_s.clone();
        sorted.sort_by(f64::total_cmp);
        let median_s = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        Ok(Repeated { median_s, runs_s })
    }
}

/// Sizes of the files in a directory and below.
fn bytes_under(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Writes a file, syncs it, removes it; returns the rate in bytes a second.
fn probe_disk(path: &Path) -> Result<f64> {
    // Bytes that no file system can compress, from the same kind of numbers as the generator's.
    let mut block = vec![0_u8; 1 << 20];
    let mut state = 1_u64;
    for chunk in block.chunks_exact_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&(state ^ state >> 29).to_le_bytes());
    }
    let begun = Instant::now();
    let written = File::create(path).and_then(|file| {
        let mut out = Stoppable(file);
        for _ in 0..DISK_PROBE_BYTES / block.len() as u64 {
            out.write_all(&block)?;
        }
        out.0.sync_data()
    });
    let elapsed_s = begun.elapsed().as_secs_f64();
    written.and_then(|()| fs::remove_file(path)).map_err(|error| {
        stopped().unwrap_or_else(|| Error::io(format_args!("`{}` cannot be written", path.display()), &error))
    })?;
    Ok((DISK_PROBE_BYTES as f64 / elapsed_s).round())
}

/// A directory that is removed at the end, however that comes.
struct TemporaryDirectory {
    path: PathBuf,
    keep: bool,
}

impl TemporaryDirectory {
    fn create(parent: &Path, keep: bool) -> Result<TemporaryDirectory> {
        let path = parent.join(format!("tidemill-bench-{}", std::process::id()));
        fs::create_dir(&path)
            .map_err(|error| Error::io(format_args!("`{}` cannot be made", path.display()), &error))?;
        Ok(TemporaryDirectory { path, keep })
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed has a name that says what it is.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn once_text(report: &Once) -> String {
    let mut text = format!(
        "{}, {} of points, seed {}\n{}, {}, disk {} MB/s synced, memory {:.1} GB/s first touched\n\n",
        counted(report.customers, "customer", "customers"),
        counted(report.rows, "row", "rows"),
        report.seed,
        counted(report.processors as u64, "processor", "processors"),
        counted(report.threads as u64, "thread", "threads"),
        grouped((report.disk_bytes_per_s / 1e6) as u64),
        report.memory_bytes_per_s / 1e9,
    );
    let row = |label: &str, value: &dyn Fn(&Work) -> String| {
        std::iter::once(label.to_owned()).chain(report.works.iter().map(value)).collect::<Vec<_>>()
    };
    let rows = [
        row("", &|work| work.work.to_owned()),
        row("rows", &|work| grouped(work.rows)),
        row("rejected", &|work| grouped(work.rejected)),
        row("rows/s until durable", &|work| grouped(work.rows_per_s as u64)),
        row("rows/s of the process", &|work| grouped((work.rows as f64 / work.usage.process_s) as u64)),
        row("until durable", &|work| seconds(work.elapsed_s)),
        row("  loading tables", &|work| seconds(work.load_s)),
        row("  applying rows", &|work| seconds(work.apply_s)),
        row("  caches, reports", &|work| seconds(work.finish_s)),
        row("whole process", &|work| seconds(work.usage.process_s)),
        row("processor time", &|work| seconds(work.usage.cpu_user_s + work.usage.cpu_system_s)),
        row("memory peak", &|work| bytes(work.usage.memory_peak_bytes)),
        row("input", &|work| bytes(work.input_bytes)),
        row("log written", &|work| bytes(work.log_bytes)),
        row("report written", &|work| bytes(work.processed_bytes)),
        row("disk writes", &|work| bytes(work.usage.disk_written_bytes)),
        row("store afterwards", &|work| bytes(work.store_bytes)),
        row("windows", &|work| grouped(work.windows)),
        row("window p50, p99, max", &|work| {
            format!("{}, {}, {} ms", work.window_ms.p50, work.window_ms.p99, work.window_ms.max)
        }),
    ];
    let mut sides = vec![Left];
    sides.resize(1 + report.works.len(), Right);
    if !report.works.is_empty() {
        text += &table("  ", &sides, &rows);
    }
    let repeated =
        [("open for a job", &report.open), ("customer show", &report.customer_show)].map(|(label, repeated)| {
            let runs = repeated.runs_s.iter().map(|&run| millis(run)).collect::<Vec<_>>().join(", ");
            vec![label.to_owned(), millis(repeated.median_s), format!("of {runs}")]
        });
    if let Some(live) = &report.live {
        text += &live.text();
    }
    if !report.reading.is_empty() {
        text += &reading::text(&report.reading);
    }
    if let Some(sheet) = &report.sheet {
        text += &sheet::text(sheet);
    }
    if let Some(expiring) = &report.expiring {
        text += &expiring.text();
    }
    if let Some(bulk) = &report.bulk {
        text += &bulk.text();
    }
    if !report.exports.is_empty() {
        text += &exporting::text(&report.exports);
    }
    text += "\nWhole processes, median\n";
    text += &table("  ", &[Left, Right, Left], &repeated);
    if let Some(directory) = &report.directory {
        text += &format!("\nKept `{directory}`\n");
    }
    text
}

fn millis(seconds: f64) -> String {
    format!("{} ms", grouped((seconds * 1e3).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_run_that_was() {
        let usage = |process_s| child::Usage {
            process_s,
            cpu_user_s: 0.0,
            cpu_system_s: 0.0,
            memory_peak_bytes: 0,
            disk_written_bytes: 0,
        };
        let times = [0.5, 0.1, 0.3];
        let repeated = Repeated::measure(3, |at| {
            let process_s = times[usize::try_from(at).unwrap()];
            Ok(Finished { document: Value::Null, usage: usage(process_s) })
        })
        .unwrap();
        assert_eq!((repeated.median_s, repeated.runs_s.as_slice()), (0.3, times.as_slice()));
    }

    #[test]
    fn a_load_that_no_disk_holds_is_refused() {
        let error = check_space(Path::new("."), u64::MAX - 1).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "disk_space"));
    }
}
