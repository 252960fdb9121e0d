//! Bulk operations: counting by a filter, crediting whom it means, crediting everybody.

use std::{path::Path, time::Instant};

use tidemill::{
    domain::{filter::FilterText, time::Date, undo::OnSpent},
    engine::{
        Engine,
        request::{BulkOperation, BulkRequest, JobRequest, Points, SelectionRequest, UndoRequest},
    },
    error::{Error, Result},
    job::progress::Progress,
};

use super::report::Sample;
use crate::{
    settings::Settings,
    text::{
        Side::{Left, Right},
        grouped, table,
    },
};

/// Runs of each work of which the median is told.
const RUNS: usize = 5;

/// What bulk operations took.
pub struct Bulk {
    /// Customers whom the filter means.
    matches: u64,
    /// W2a: counting them, the store open; seconds.
    count_s: Vec<f64>,
    /// The first count of the process that has the store open.
    count_first_s: f64,
    /// The same as whole processes.
    count_cold_s: Vec<f64>,
    /// W2b: crediting them, until the call returns: durable, the store open.
    credit_s: Vec<f64>,
    /// Customers credited by W2c.
    customers: u64,
    /// W2c: crediting everybody, until durable.
    credit_all_durable_s: Vec<f64>,
    /// The same until the call returns: with the caches written.
    credit_all_s: Vec<f64>,
    /// W2d: undoing each of those, until the call returns.
    undo_all_s: Vec<f64>,
}

/// The filter of the works: some 16,000 of 10 million customers.
pub fn conditions() -> FilterText {
    FilterText {
        balance: Some("300..500".to_owned()),
        ltv: Some("1000..".to_owned()),
        orders: None,
        created_after: Date::new(2020, 1, 1),
        created_before: None,
        tiers: vec!["gold".to_owned()],
    }
}

/// The flags of a command that counts by that filter.
pub const COUNT: [&str; 12] = [
    "bulk",
    "credit",
    "--amount=1",
    "--balance=300..500",
    "--ltv=1000..",
    "--tier=gold",
    "--created-after=2020-01-01",
    "--count",
    "--quiet",
    "--progress=none",
    "--color=never",
    "--program=points",
];

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn credit(selection: SelectionRequest) -> BulkRequest {
    let operation = BulkOperation::Credit { points: Points::Amount("1".to_owned()), expiry: None };
    BulkRequest { operation, selection, on_overdraft: None, explain: false }
}

/// Measures in this process, and by `cold` in others.
pub fn measure(settings: &Settings, store: &Path, cold: impl Fn() -> Result<f64>) -> Result<Bulk> {
    let count_cold_s = (0..RUNS).map(|_| cold()).collect::<Result<Vec<_>>>()?;
    let engine = Engine::open(store, settings.options.clone())?;
    let job = |reason: String| JobRequest { reason: Some(reason), ..JobRequest::default() };
    let filtered = credit(SelectionRequest { filter: conditions(), ..SelectionRequest::default() });
    let timed = |work: &dyn Fn() -> Result<u64>| -> Result<(u64, f64)> {
        let begun = Instant::now();
        let found = work()?;
        Ok((found, begun.elapsed().as_secs_f64()))
    };
    let count = || Ok(engine.bulk_count(&job(String::new()), &filtered, &Progress::default())?.customers);
    let (matches, count_first_s) = timed(&count)?;
    // The second loads the columns.
    timed(&count)?;
    let mut count_s = Vec::new();
    for _ in 0..RUNS {
        count_s.push(timed(&count)?.1);
    }
    let mut credit_s = Vec::new();
    for run in 0..=RUNS {
        let work = || Ok(engine.bulk(&job(format!("bench {run}")), &filtered, &Progress::default())?.rows.applied);
        let (_, elapsed_s) = timed(&work)?;
        // The first loads the accounts.
        if run > 0 {
            credit_s.push(elapsed_s);
        }
    }
    let everybody = credit(SelectionRequest { all: true, ..SelectionRequest::default() });
    let (mut customers, mut credit_all_durable_s, mut credit_all_s, mut undo_all_s) =
        (0, Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        let begun = Instant::now();
        let summary = engine.bulk(&job(format!("bench all {run}")), &everybody, &Progress::default())?;
        let elapsed_s = begun.elapsed().as_secs_f64();
        let cost = summary.cost.ok_or_else(|| Error::internal("a bulk operation has no cost"))?;
        customers = summary.rows.applied;
        credit_all_durable_s.push(cost.load_s + cost.apply_s);
        credit_all_s.push(elapsed_s);
        let job_id = summary.job.ok_or_else(|| Error::internal("a bulk operation has no job"))?;
        let undo = UndoRequest { job: job_id, on_spent: OnSpent::Keep };
        let begun = Instant::now();
        engine.undo(&job("bench undo".to_owned()), &undo, &Progress::default())?;
        undo_all_s.push(begun.elapsed().as_secs_f64());
    }
    Ok(Bulk {
        matches,
        count_s,
        count_first_s,
        count_cold_s,
        credit_s,
        customers,
        credit_all_durable_s,
        credit_all_s,
        undo_all_s,
    })
}

impl Bulk {
    /// For comparisons.
    pub fn samples(&self) -> Vec<Sample> {
        let of = |work: &str, rows: Option<u64>, times: &[f64]| Sample::new(work, rows, times.to_vec());
        vec![
            of("w2a", None, &self.count_s),
            of("w2a-first", None, &[self.count_first_s]),
            of("w2a-process", None, &self.count_cold_s),
            of("w2b", Some(self.matches), &self.credit_s),
            of("w2c", Some(self.customers), &self.credit_all_durable_s),
            of("w2c-caches", Some(self.customers), &self.credit_all_s),
            of("w2d", Some(self.customers), &self.undo_all_s),
        ]
    }

    /// For people.
    pub fn text(&self) -> String {
        let millis = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        let row = |label: &str, times: &[f64]| {
            let runs = times.iter().map(|&time| millis(time)).collect::<Vec<_>>().join(", ");
            vec![label.to_owned(), millis(median(times)), format!("of {runs}")]
        };
        let rows = [
            row("w2a count, store open", &self.count_s),
            row("  the first of a process", &[self.count_first_s]),
            row("  as a whole process", &self.count_cold_s),
            row("w2b credit them", &self.credit_s),
            row("w2c credit all, durable", &self.credit_all_durable_s),
            row("  with the caches", &self.credit_all_s),
            row("w2d undo that", &self.undo_all_s),
        ];
        format!(
            "\nBulk operations, median: {} matches, {} customers\n{}",
            grouped(self.matches),
            grouped(self.customers),
            table("  ", &[Left, Right, Left], &rows)
        )
    }
}
