//! Adjustments while an import runs: how long each takes to be acknowledged, and what they cost the import.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tidemill::{
    domain::{
        command::{OnOverdraft, Operation},
        identifier::IdentifierKind,
    },
    engine::{
        Engine,
        request::{AdjustRequest, FileRequest, JobRequest, PointsRequest},
    },
    error::{Error, Result},
    job::progress::Progress,
};

use super::{
    generator::{self, Workload},
    report::Sample,
};
use crate::{settings::Settings, text::grouped};

/// Adjustments a second.
const RATE: u64 = 100;

/// What adjustments took, and cost.
pub struct Live {
    /// Rows of the file.
    rows: u64,
    adjustments: u64,
    /// Milliseconds until one was acknowledged as durable.
    p50_ms: u64,
    p99_ms: u64,
    max_ms: u64,
    /// Rows a second of the import meanwhile, until durable.
    rows_per_s: f64,
    /// The same without adjustments, in the same process before.
    rows_per_s_without: f64,
}

/// Imports the file twice in this process, the second time with adjustments of customers at random.
pub fn measure(
    settings: &Settings,
    store: &Path,
    points: &Path,
    processed: &Path,
    workload: &Workload,
) -> Result<Live> {
    let engine = Engine::open(store, settings.options.clone())?;
    let import = |progress: &Progress| -> Result<f64> {
        let job = JobRequest {
            reason: Some("bench".to_owned()),
            again: true,
            processed: Some(PathBuf::from(processed)),
            ..JobRequest::default()
        };
        let file = FileRequest { path: points.to_owned(), format: Some("nector".to_owned()), ..FileRequest::default() };
        let summary = engine.import_points(&job, &PointsRequest { file, ..PointsRequest::default() }, progress)?;
        let cost = summary.cost.ok_or_else(|| Error::internal("an import has no cost"))?;
        Ok(summary.rows.read as f64 / cost.apply_s)
    };
    // Once for the tables, which the second then finds in memory; the third is compared with it.
    import(&Progress::default())?;
    let rows_per_s_without = import(&Progress::default())?;
    let progress = Progress::default();
    let is_done = AtomicBool::new(false);
    let (rows_per_s, taken_ms) = std::thread::scope(|threads| {
        let adjusting = threads.spawn(|| adjust(&engine, workload, &progress, &is_done));
        let imported = import(&progress);
        is_done.store(true, Relaxed);
        let adjusted = adjusting.join().unwrap_or_else(|_| Err(Error::internal("the adjustments panicked")));
        Ok::<_, Error>((imported?, adjusted?))
    })?;
    Ok(Live {
        rows: workload.rows,
        adjustments: taken_ms.len(),
        p50_ms: taken_ms.value_at_quantile(0.5),
        p99_ms: taken_ms.value_at_quantile(0.99),
        max_ms: taken_ms.max(),
        rows_per_s,
        rows_per_s_without,
    })
}

/// Adjusts at a fixed rate, each on a thread of its own, until the import is durable. What is late does not hold the next
/// one back, as it would not in a host.
fn adjust(engine: &Engine, workload: &Workload, progress: &Progress, is_done: &AtomicBool) -> Result<Histogram<u64>> {
    let one = |at: u64| -> Result<u64> {
        let request = AdjustRequest {
            identifiers: vec![(IdentifierKind::Email, generator::email_of(at * 7919 % workload.customers))],
            operation: Operation::Credit,
            amount: "1".to_owned(),
            on_overdraft: OnOverdraft::Reject,
            expiry: None,
        };
        let begun = Instant::now();
        engine.adjust(&JobRequest::default(), &request)?;
        Ok(begun.elapsed().as_millis() as u64)
    };
    let mut taken_ms = Histogram::new(3).map_err(|error| Error::internal(error.to_string()))?;
    while progress.snapshot().rows == 0 && !is_done.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let begun = Instant::now();
    std::thread::scope(|threads| {
        let mut waiting = Vec::new();
        for at in 0.. {
            let due = begun + Duration::from_millis(at * 1000 / RATE);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if is_done.load(Relaxed) {
                break;
            }
            let one = &one;
            waiting.push(threads.spawn(move || one(at)));
        }
        for thread in waiting {
            let taken = thread.join().unwrap_or_else(|_| Err(Error::internal("an adjustment panicked")))?;
            taken_ms.saturating_record(taken);
        }
        Ok(taken_ms)
    })
}

impl Live {
    /// For comparisons: the import meanwhile and without, and how long adjustments took.
    pub fn samples(&self) -> Vec<Sample> {
        let import = |work: &str, rate: f64| Sample::new(work, Some(self.rows), vec![self.rows as f64 / rate]);
        let adjustment = |work: &str, taken_ms: u64| Sample::new(work, None, vec![taken_ms as f64 / 1e3]);
        vec![
            import("live", self.rows_per_s),
            import("live-without", self.rows_per_s_without),
            adjustment("live-p50", self.p50_ms),
            adjustment("live-p99", self.p99_ms),
            adjustment("live-max", self.max_ms),
        ]
    }

    /// For people.
    pub fn text(&self) -> String {
        let loss = 100.0 * (1.0 - self.rows_per_s / self.rows_per_s_without);
        format!(
            "\nAdjustments while points are imported\n  {} acknowledged, p50 {} ms, p99 {} ms, max {} ms\n  {} rows/s \
             meanwhile, {} without: {loss:.0} % slower\n",
            grouped(self.adjustments),
            self.p50_ms,
            self.p99_ms,
            self.max_ms,
            grouped(self.rows_per_s as u64),
            grouped(self.rows_per_s_without as u64),
        )
    }
}
