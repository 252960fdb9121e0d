//! Measures whole imports through the façade, on all cores, until durable: from the path of a file to the summary, the
//! processed report written and synced. 50,000 rows each, so what is seen is the fixed cost of a job as much as the rows;
//! `tidemill bench` measures the large works W0 and W1.
//!
//! Store and reports lie in a temporary directory. Where that is a file system in memory nothing is durable and the
//! numbers flatter: name another with `TMPDIR`. Creating the store, and opening it, are not part of a measurement.
//!
//! ```text
//! cargo bench --bench import                 everything, a minute
//! TMPDIR=/mnt/disk cargo bench --bench import
//! cargo bench --bench import -- --test       each once, 2,000 rows: only whether it works
//! ```
//!
//! * `customers`: a new store each time; five identifiers, profile and opening balance on each row.
//! * `points`: the same file again and again (`--again`) into a store that stays open, as a service would.
//! * `points_cold`: once into a store that was just opened, so the job loads its state first, as a command does. The
//!   store is so small that its caches were never written: all customers are replayed from the log.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use tempfile::TempDir;
use tidemill::{
    engine::{
        Engine,
        request::{CustomersRequest, FileRequest, JobRequest, PointsRequest},
    },
    job::progress::Progress,
    options::Options,
};

#[path = "support/generator.rs"]
#[expect(unused_imports, reason = "its tests are compiled, though not run: a bench has no harness")]
mod generator;

use generator::Workload;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(10))
        .configure_from_args();
    let bench = Bench::new();
    bench.customers(&mut criterion);
    bench.points(&mut criterion);
    criterion.final_summary();
}

/// Whether criterion only runs everything once.
fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// The two files, in a directory that goes when the bench ends.
struct Bench {
    directory: TempDir,
    workload: Workload,
    customers: PathBuf,
    points: PathBuf,
}

impl Bench {
    fn new() -> Bench {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let rows = if is_test() { 2_000 } else { 50_000 };
        let workload = Workload { customers: rows, rows, seed: 1 };
        let (customers, points) = (directory.path().join("customers.csv"), directory.path().join("points.csv"));
        let create = |path: &Path| File::create(path).expect("the directory takes files");
        generator::write_customers(&workload, &mut create(&customers)).expect("the disk has room");
        generator::write_points(&workload, &mut create(&points)).expect("the disk has room");
        Bench { directory, workload, customers, points }
    }

    /// A new store.
    fn engine(&self) -> (Engine, TempDir) {
        let directory = TempDir::new_in(self.directory.path()).expect("the directory takes another");
        let engine = Engine::create(&directory.path().join("store"), Options::default()).expect("a store can be made");
        (engine, directory)
    }

    fn import_customers(&self, engine: &Engine, processed: PathBuf) {
        let job = JobRequest { processed: Some(processed), ..JobRequest::default() };
        let request = CustomersRequest {
            file: FileRequest { path: self.customers.clone(), ..FileRequest::default() },
            ..CustomersRequest::default()
        };
        engine.import_customers(&job, &request, &Progress::default()).expect("the file can be imported");
    }

    fn import_points(&self, engine: &Engine, processed: PathBuf) {
        let reason = Some("bench".to_owned());
        let job = JobRequest { processed: Some(processed), reason, again: true, ..JobRequest::default() };
        let file = FileRequest { path: self.points.clone(), ..FileRequest::default() };
        let request = PointsRequest { file, ..PointsRequest::default() };
        engine.import_points(&job, &request, &Progress::default()).expect("the file can be imported");
    }

    fn customers(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("import");
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(self.workload.customers));
        group.bench_function("customers", |bencher| {
            bencher.iter_batched(
                || self.engine(),
                |(engine, directory)| {
                    self.import_customers(&engine, directory.path().join("processed.csv"));
                    // Given back, so that closing and removing the store is not measured.
                    (engine, directory)
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }

    fn points(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("import");
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(self.workload.rows));
        let (engine, directory) = self.engine();
        let processed = || directory.path().join("processed.csv");
        self.import_customers(&engine, processed());
        group.bench_function("points", |bencher| bencher.iter(|| self.import_points(&engine, processed())));
        group.bench_function("points_cold", |bencher| {
            bencher.iter_batched(
                || {
                    let (engine, directory) = self.engine();
                    self.import_customers(&engine, directory.path().join("processed_customers.csv"));
                    // One engine has a store at a time.
                    drop(engine);
                    let store = directory.path().join("store");
                    (Engine::open(&store, Options::default()).expect("the store is whole"), directory)
                },
                |(engine, directory)| {
                    self.import_points(&engine, directory.path().join("processed.csv"));
                    (engine, directory)
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}
