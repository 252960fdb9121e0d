//! A store with small windows in a directory of its own, and jobs that can be held in the middle.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
};

use tidemill::{
    domain::command::OnUnknown,
    engine::{
        Engine,
        request::{FileRequest, JobRequest, PointsRequest, ResumeRequest},
    },
    error::{ErrorKind, Result},
    job::progress::{Progress, Snapshot},
    options::Options,
    report::summary::Summary,
};

use super::now;

/// The directory and the store in it.
pub struct Shop {
    pub directory: tempfile::TempDir,
    pub engine: Engine,
}

/// Limits so small that a file of some thousand rows has many windows.
pub fn small_windows() -> Options {
    Options { window_rows: 200, chunk_bytes_max: 4096, threads: 2, ..Options::default() }
}

/// So many credits of customers whom they create; every hundredth row is refused.
pub fn credits(rows: usize) -> String {
    let mut file = "email,mobile,amount,operation\n".to_owned();
    for row in 0..rows {
        let amount = if row % 100 == 0 { "x".to_owned() } else { row.to_string() };
        file.push_str(&format!("c{}@example.com,,{amount},CR\n", row % 5000));
    }
    file
}

/// What an import of `credits` asks for.
pub fn credits_request(path: PathBuf) -> (JobRequest, PointsRequest) {
    let job = JobRequest { reason: Some("x".to_owned()), now: Some(now()), ..JobRequest::default() };
    let request = PointsRequest {
        file: FileRequest { path, ..FileRequest::default() },
        on_unknown: OnUnknown::Create,
        ..PointsRequest::default()
    };
    (job, request)
}

impl Shop {
    pub fn new() -> Shop {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::create(&directory.path().join("store"), small_windows()).expect("a store");
        Shop { directory, engine }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a file is written");
    }

    /// Imports a file of `credits`.
    pub fn import(&self, name: &str, progress: &Progress) -> Result<Summary> {
        let (job, request) = credits_request(self.path(name));
        self.engine.import_points(&job, &request, progress)
    }

    /// Imports it until some windows are durable, and stops then.
    pub fn import_a_part(&self, name: &str) {
        let progress = stopping_after(1000);
        let error = self.import(name, &progress).expect_err("it stops");
        assert_eq!(error.kind(), ErrorKind::Stopped, "{error:?}");
    }

    pub fn resume(&self, job: u32) -> Result<Summary> {
        self.engine.resume(tidemill::domain::id::JobId(job), &ResumeRequest::default(), &Progress::default())
    }
}

/// A progress that stops its job when so many rows are durable.
pub fn stopping_after(rows: u64) -> Progress {
    stopping_when(move |snapshot| snapshot.rows_durable >= rows)
}

/// A progress that stops its job when so many rows are applied: before the job can be much further.
pub fn stopping_at(rows: u64) -> Progress {
    stopping_when(move |snapshot| snapshot.rows >= rows)
}

fn stopping_when(is_reached: impl Fn(&Snapshot) -> bool + Send + Sync + 'static) -> Progress {
    let (sender, receiver) = channel::<Progress>();
    let receiver = std::sync::Mutex::new(receiver);
    let progress = Progress::observed(move |snapshot| {
        if is_reached(&snapshot)
            && let Ok(progress) = receiver.lock().expect("no panic").try_recv()
        {
            progress.stop();
        }
    });
    sender.send(progress.clone()).expect("it listens");
    progress
}

/// A job that waits in the middle until it is let go.
pub struct Held {
    pub progress: Progress,
    reached: Receiver<()>,
    go: Sender<()>,
}

impl Held {
    /// Waits when so many rows are durable.
    pub fn after(rows: u64) -> Held {
        Held::when(move |snapshot| snapshot.rows_durable >= rows)
    }

    /// Waits the first time that this is so.
    pub fn when(is_reached: impl Fn(&Snapshot) -> bool + Send + Sync + 'static) -> Held {
        let (reached_sender, reached) = channel();
        let (go, going) = channel();
        let once = std::sync::Mutex::new(Some((reached_sender, going)));
        let progress = Progress::observed(move |snapshot| {
            if !is_reached(&snapshot) {
                return;
            }
            let taken = once.lock().expect("no panic").take();
            if let Some((reached, going)) = taken {
                reached.send(()).expect("the test waits");
                let _ = going.recv();
            }
        });
        Held { progress, reached, go }
    }

    /// Waits until the job waits.
    pub fn wait(&self) {
        self.reached.recv().expect("the job comes so far");
    }

    /// Lets it go on.
    pub fn go(&self) {
        self.go.send(()).expect("the job waits");
    }
}
