//! What `bench --json` prints: one list of works, whatever they are, so that two reports can be compared by a program
//! that knows none of them.
//!
//! `docs/benchmarks.md` describes it. Whoever renames a key, or gives one another meaning, raises [`SCHEMA`].

use std::fs;

use serde::Serialize;

use super::{Work, generator::Workload};
use crate::{
    child::Usage,
    text::{
        Side::{Left, Right},
        bytes, counted, grouped, seconds, table,
    },
};

/// The version of the keys and their meaning; more keys may come without another one.
pub const SCHEMA: u32 = 1;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Of the program.
    pub version: &'static str,
    /// Where it ran.
    pub machine: Machine,
    /// Worker threads of the engine.
    pub threads: usize,
    /// What was loaded.
    pub load: Load,
    /// How often all works were done.
    pub runs: u32,
    /// The disk's own rate, synced: of each run.
    pub disk_bytes_per_s: Vec<f64>,
    /// The memory's own rate, touched for the first time: of each run.
    pub memory_bytes_per_s: Vec<f64>,
    /// Whether memory was taken and given back before each work.
    pub has_warm_memory: bool,
    /// In the order in which they were done.
    pub works: Vec<Measured>,
    /// The temporary directory, if it was kept.
    pub directory: Option<String>,
}

/// The machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    system: &'static str,
    architecture: &'static str,
    /// The processor's name, where the system tells it.
    processor: Option<String>,
    /// Cores that this process may use.
    cores: usize,
    memory_bytes: Option<u64>,
}

impl Machine {
    /// This machine.
    pub fn here() -> Machine {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let kibibytes = value(&file("/proc/meminfo"), "MemTotal");
        Machine {
            system: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            processor: value(&file("/proc/cpuinfo"), "model name"),
            cores: cores(),
            memory_bytes: kibibytes
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .map(|kibibytes| kibibytes * 1024),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What was generated.
#[derive(Debug, Serialize)]
pub struct Load {
    customers: u64,
    rows: u64,
    seed: u64,
}

impl Load {
    /// What a workload asks for.
    pub fn new(workload: &Workload) -> Load {
        Load { customers: workload.customers, rows: workload.rows, seed: workload.seed }
    }
}

/// A work as one run of all works saw it.
#[derive(Debug)]
pub struct Sample {
    work: String,
    /// What a second is counted in; none where a work is not about many.
    rows: Option<u64>,
    /// At least one.
    times_s: Vec<f64>,
    input_bytes: Option<u64>,
    /// Of works that are a whole process.
    usage: Option<Usage>,
    import: Option<Work>,
}

impl Sample {
    /// A work that was timed once or several times.
    pub fn new(work: impl Into<String>, rows: Option<u64>, times_s: Vec<f64>) -> Sample {
        Sample { work: work.into(), rows, times_s, input_bytes: None, usage: None, import: None }
    }

    /// A work that was a whole process.
    pub fn process(work: impl Into<String>, rows: u64, usage: Usage) -> Sample {
        Sample { usage: Some(usage), ..Sample::new(work, Some(rows), vec![usage.process_s]) }
    }

    /// An import.
    pub fn import(work: &Work) -> Sample {
        Sample {
            input_bytes: Some(work.input_bytes),
            import: Some(work.clone()),
            ..Sample::process(work.work, work.rows, work.usage)
        }
    }
}

/// A work: seconds of its runs, and what they took.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Its name, which does not change.
    work: String,
    /// What it is about: rows, customers, entries; of one run.
    rows: Option<u64>,
    /// Of the file that it reads.
    input_bytes: Option<u64>,
    /// Seconds, run by run.
    runs_s: Vec<f64>,
    median_s: f64,
    min_s: f64,
    max_s: f64,
    /// `rows / median_s`.
    rows_per_s: Option<f64>,
    /// Processor seconds, user and system: the median. Here and below, null where the work is no process of its own.
    cpu_s: Option<f64>,
    /// The part of the machine's cores that was busy, 0 to 1: `cpu_s / (median_s × cores)`.
    cores_busy: Option<f64>,
    /// The most of all runs.
    memory_peak_bytes: Option<u64>,
    /// The median of what the system counted.
    disk_written_bytes: Option<u64>,
    /// Where an import's time went, of the run of the median.
    import: Option<Work>,
}

/// Puts the runs of each work together.
pub fn merge(runs: Vec<Vec<Sample>>) -> Vec<Measured> {
    let mut of_work: Vec<Vec<Sample>> = Vec::new();
    for sample in runs.into_iter().flatten() {
        match of_work.iter_mut().find(|samples| samples.iter().any(|other| other.work == sample.work)) {
            Some(samples) => samples.push(sample),
            None => of_work.push(vec![sample]),
        }
    }
    of_work.into_iter().filter_map(Measured::new).collect()
}

/// The middle of some numbers; of an even count the upper one, which was measured.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

impl Measured {
    /// Of the samples of one work.
    fn new(samples: Vec<Sample>) -> Option<Measured> {
        let runs_s: Vec<f64> = samples.iter().flat_map(|sample| sample.times_s.iter().copied()).collect();
        let median_s = median(runs_s.clone())?;
        let of_usage = |number: &dyn Fn(&Usage) -> f64| {
            median(samples.iter().filter_map(|sample| sample.usage.as_ref()).map(number).collect())
        };
        let cpu_s = of_usage(&|usage| usage.cpu_user_s + usage.cpu_system_s);
        let memory_peak_bytes = samples.iter().filter_map(|sample| sample.usage.map(|usage| usage.memory_peak_bytes));
        let memory_peak_bytes = memory_peak_bytes.max();
        let disk_written_bytes = of_usage(&|usage| usage.disk_written_bytes as f64).map(|bytes| bytes as u64);
        let is_median = |sample: &Sample| sample.times_s.contains(&median_s);
        let import = samples.iter().find(|sample| is_median(sample)).and_then(|sample| sample.import.clone());
        let first = samples.into_iter().next()?;
        Some(Measured {
            work: first.work,
            rows: first.rows,
            input_bytes: first.input_bytes,
            median_s,
            min_s: runs_s.iter().copied().fold(f64::INFINITY, f64::min),
            max_s: runs_s.iter().copied().fold(0.0, f64::max),
            runs_s,
            rows_per_s: first.rows.filter(|_| median_s > 0.0).map(|rows| (rows as f64 / median_s).round()),
            cpu_s,
            cores_busy: cpu_s.filter(|_| median_s > 0.0).map(|cpu_s| cpu_s / (median_s * cores() as f64)),
            memory_peak_bytes,
            disk_written_bytes,
            import,
        })
    }
}

impl Report {
    /// For people: one line a work. Of a single run there is more to tell, which is told elsewhere.
    pub fn text(&self) -> String {
        let disk = median(self.disk_bytes_per_s.clone()).unwrap_or(0.0) / 1e6;
        let memory = median(self.memory_bytes_per_s.clone()).unwrap_or(0.0) / 1e9;
        let mut text = format!(
            "{}, {} of points, seed {}, {}\n{}, {}, disk {} MB/s synced, memory {:.1} GB/s first touched{}\n\n",
            counted(self.load.customers, "customer", "customers"),
            counted(self.load.rows, "row", "rows"),
            self.load.seed,
            counted(u64::from(self.runs), "run", "runs"),
            counted(self.machine.cores as u64, "core", "cores"),
            counted(self.threads as u64, "thread", "threads"),
            grouped(disk as u64),
            memory,
            if self.has_warm_memory { ", before each work" } else { "" },
        );
        let head = ["", "rows/s", "median", "min", "max", "processor time", "cores busy", "memory peak"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.works.iter().map(|work| {
            vec![
                work.work.clone(),
                work.rows_per_s.map(|rate| grouped(rate as u64)).unwrap_or_default(),
                time(work.median_s),
                time(work.min_s),
                time(work.max_s),
                work.cpu_s.map(seconds).unwrap_or_default(),
                work.cores_busy.map(|busy| format!("{:.0} %", 100.0 * busy)).unwrap_or_default(),
                work.memory_peak_bytes.map(bytes).unwrap_or_default(),
            ]
        }));
        text += &table("  ", &[Left, Right, Right, Right, Right, Right, Right, Right], &rows);
        if let Some(directory) = &self.directory {
            text += &format!("\nKept `{directory}`\n");
        }
        text
    }
}

fn time(taken_s: f64) -> String {
    if taken_s < 1.0 { format!("{:.1} ms", taken_s * 1e3) } else { seconds(taken_s) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(process_s: f64, memory_peak_bytes: u64) -> Usage {
        Usage { process_s, cpu_user_s: process_s, cpu_system_s: 0.5, memory_peak_bytes, disk_written_bytes: 10 }
    }

    #[test]
    fn runs_of_a_work_are_put_together_and_the_median_is_one_that_was() {
        let run = |process_s, memory| {
            vec![Sample::process("w0", 100, usage(process_s, memory)), Sample::new("w2a", None, vec![0.2, 0.1])]
        };
        let works = merge(vec![run(4.0, 7), run(1.0, 9), run(2.0, 8)]);
        let names: Vec<&str> = works.iter().map(|work| work.work.as_str()).collect();
        assert_eq!(names, ["w0", "w2a"]);
        let [w0, w2a] = works.as_slice() else { unreachable!("there are two") };
        assert_eq!((w0.median_s, w0.min_s, w0.max_s, w0.rows_per_s), (2.0, 1.0, 4.0, Some(50.0)));
        assert_eq!((w0.cpu_s, w0.memory_peak_bytes, w0.disk_written_bytes), (Some(2.5), Some(9), Some(10)));
        assert_eq!(w0.runs_s, [4.0, 1.0, 2.0]);
        assert_eq!((w2a.median_s, w2a.rows_per_s, w2a.cpu_s), (0.2, None, None));
        assert_eq!(w2a.runs_s.len(), 6);
    }

    /// Programs compare reports by these: a key that is missing here was taken from them.
    #[test]
    fn the_keys_of_a_report_are_those_of_its_schema() {
        let work = Work::of_nothing(usage(2.0, 7));
        let report = Report {
            schema: SCHEMA,
            version: "0.0.0",
            machine: Machine::here(),
            threads: 2,
            load: Load { customers: 1, rows: 1, seed: 1 },
            runs: 1,
            disk_bytes_per_s: vec![1e9],
            memory_bytes_per_s: vec![5e9],
            has_warm_memory: true,
            works: merge(vec![vec![Sample::import(&work)]]),
            directory: None,
        };
        let document = serde_json::to_value(&report).unwrap();
        let mut keys = Vec::new();
        list_keys("", &document, &mut keys);
        let expected = "\
            directory disk_bytes_per_s has_warm_memory load load.customers load.rows load.seed machine machine.architecture \
            machine.cores machine.memory_bytes machine.processor machine.system memory_bytes_per_s runs schema threads version \
            works \
            works.cores_busy works.cpu_s works.disk_written_bytes works.import works.import.apply_s \
            works.import.elapsed_s works.import.finish_s works.import.load_s works.import.log_bytes \
            works.import.processed_bytes works.import.rejected works.import.store_bytes works.import.window_ms \
            works.import.window_ms.max works.import.window_ms.p50 works.import.window_ms.p99 works.import.windows \
            works.input_bytes works.max_s works.median_s works.memory_peak_bytes works.min_s works.rows \
            works.rows_per_s works.runs_s works.work";
        keys.sort();
        keys.dedup();
        assert_eq!((SCHEMA, keys.join(" ")), (1, expected.to_owned()));
        let page = include_str!("../../../../docs/benchmarks.md");
        for name in keys.iter().filter_map(|key| key.rsplit('.').next()) {
            assert!(page.contains(&format!("`{name}`")), "docs/benchmarks.md does not describe `{name}`");
        }
    }

    fn list_keys(before: &str, value: &serde_json::Value, keys: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (key, member) in members {
                    let path = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
                    list_keys(&path, member, keys);
                    keys.push(path);
                }
            }
            serde_json::Value::Array(members) => members.iter().for_each(|member| list_keys(before, member, keys)),
            _ => {}
        }
    }
}
