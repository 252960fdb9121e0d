//! Changing when points expire, and expiring them: 10 million dated lots at 10 million customers.

use std::{ffi::OsStr, path::Path, time::Instant};

use serde_json::Value;
use tidemill::{
    clock,
    domain::time::Timestamp,
    engine::{
        Engine,
        request::{ExpireRequest, JobRequest},
    },
    error::Result,
    job::progress::Progress,
};

use super::{
    generator::{self, Workload},
    report::Sample,
    write_input,
};
use crate::{
    child::{Finished, Usage},
    settings::Settings,
    text::{
        Side::{Left, Right},
        grouped, table,
    },
};

/// What it took to change when points expire.
pub struct Expiring {
    /// W3a: a date-range file that names everybody. W3b: a reference file of a tenth.
    updates: Vec<Update>,
    /// W3c: lots that were due, of a tenth of the customers.
    expired: u64,
    /// Seconds until the call returned, the store open.
    expire_s: f64,
    /// W3d: with nothing due, the store open.
    nothing_due_s: Vec<f64>,
    /// The same as the first call of a process that has the store open.
    nothing_due_first_s: f64,
}

/// A file that changes when points expire.
struct Update {
    work: &'static str,
    rows: u64,
    applied: u64,
    load_s: f64,
    /// Rows a second from the first row until all are durable.
    rows_per_s: f64,
    /// With opening, loading and hashing.
    rows_per_s_with_opening: f64,
    usage: Usage,
}

impl Update {
    fn new(work: &'static str, finished: &Finished) -> Update {
        let summary = &finished.document;
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let rows = summary["rows"]["read"].as_u64().unwrap_or(0);
        let apply_s = number(&summary["cost"]["apply_s"]);
        Update {
            work,
            rows,
            applied: summary["rows"]["applied"].as_u64().unwrap_or(0),
            load_s: number(&summary["cost"]["load_s"]),
            rows_per_s: (rows as f64 / apply_s).round(),
            rows_per_s_with_opening: number(&summary["rows_per_s"]),
            usage: finished.usage,
        }
    }
}

/// A day so many days from now.
fn day(days: i64) -> String {
    let moment = Timestamp::from_millis(clock::now().millis() + days * 86_400_000).unwrap_or(Timestamp::MAX);
    moment.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// Credits dated lots, then measures: files by `run` in processes of their own, expiring in this one.
pub fn measure(
    settings: &Settings,
    store: &Path,
    directory: &Path,
    workload: &Workload,
    run: &impl Fn(&[&OsStr]) -> Result<Finished>,
    note: &impl Fn(String),
) -> Result<Expiring> {
    note("w3: crediting a dated lot to everybody".to_owned());
    let [dated, names, references] = ["dated.csv", "names.csv", "references.csv"].map(|name| directory.join(name));
    write_input(&dated, |out| generator::write_dated(workload, out))?;
    write_input(&names, |out| generator::write_names(workload, out))?;
    write_input(&references, |out| generator::write_references(workload, out))?;
    let import = |arguments: &[&str], file: &Path| {
        let mut all: Vec<&OsStr> = vec!["import".as_ref()];
        all.extend(arguments.iter().map(AsRef::<OsStr>::as_ref));
        all.extend([file.as_os_str(), "--reason=bench".as_ref(), "--again".as_ref()]);
        run(&all)
    };
    import(&["points", "--format=tidemill"], &dated)?;
    note("w3a: extending the lots of everybody".to_owned());
    let (from, to) = (format!("--from={}", day(300)), format!("--to={}", day(1200)));
    let range = ["expiry", "--profile=date-range", "--change=extended", "--set=relative:60months", &from, &to];
    let mut updates = vec![Update::new("w3a", &import(&range, &names)?)];
    note("w3b: extending lots by their references".to_owned());
    updates.push(Update::new("w3b", &import(&["expiry", "--profile=reference"], &references)?));
    note("w3d, w3c: expiring what is due".to_owned());
    let engine = Engine::open(store, settings.options.clone())?;
    let expire = |days: i64| -> Result<(u64, f64)> {
        let now = Timestamp::from_millis(clock::now().millis() + days * 86_400_000);
        let job = JobRequest { now, ..JobRequest::default() };
        let begun = Instant::now();
        let summary = engine.expire(&job, &ExpireRequest::default(), &Progress::default())?;
        Ok((summary.rows.applied, begun.elapsed().as_secs_f64()))
    };
    let (_, nothing_due_first_s) = expire(0)?;
    let nothing_due_s = (0..5).map(|_| Ok(expire(0)?.1)).collect::<Result<Vec<_>>>()?;
    let (expired, expire_s) = expire(10)?;
    Ok(Expiring { updates, expired, expire_s, nothing_due_s, nothing_due_first_s })
}

impl Expiring {
    /// For comparisons.
    pub fn samples(&self) -> Vec<Sample> {
        let files = self.updates.iter().map(|update| Sample::process(update.work, update.rows, update.usage));
        let others = [
            Sample::new("w3c", Some(self.expired), vec![self.expire_s]),
            Sample::new("w3d", None, self.nothing_due_s.clone()),
            Sample::new("w3d-first", None, vec![self.nothing_due_first_s]),
        ];
        files.chain(others).collect()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut rows: Vec<Vec<String>> = self
            .updates
            .iter()
            .map(|update| {
                vec![
                    update.work.to_owned(),
                    format!("{} rows", grouped(update.rows)),
                    format!("{} rows/s", grouped(update.rows_per_s as u64)),
                    format!(
                        "{} with opening; {} applied, loading {:.2} s",
                        grouped(update.rows_per_s_with_opening as u64),
                        grouped(update.applied),
                        update.load_s
                    ),
                ]
            })
            .collect();
        let mut nothing = self.nothing_due_s.clone();
        nothing.sort_by(f64::total_cmp);
        let millis = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        rows.push(vec![
            "w3c".to_owned(),
            format!("{} due", grouped(self.expired)),
            millis(self.expire_s),
            String::new(),
        ]);
        rows.push(vec![
            "w3d".to_owned(),
            "none due".to_owned(),
            millis(nothing.get(nothing.len() / 2).copied().unwrap_or(0.0)),
            format!("the first of a process {}", millis(self.nothing_due_first_s)),
        ]);
        format!("\nExpiry of dated lots\n{}", table("  ", &[Left, Right, Right, Left], &rows))
    }
}
