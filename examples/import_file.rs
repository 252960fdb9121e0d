//! Imports a file and prints what became of it: the library without a runtime.
//!
//! `cargo run --release --example import_file`

use std::path::PathBuf;

use tidemill::{
    domain::command::OnUnknown,
    engine::{
        Engine,
        request::{FileRequest, JobRequest, PointsRequest},
    },
    error::{Error, Result},
    job::progress::Progress,
    options::Options,
};

/// Imports a file of two rows.
pub fn main() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("tidemill-import-file-{}", std::process::id()));
    let file = directory.join("points.csv");
    let rows = "email,mobile,amount,operation\nana@example.com,,50,CR\nana@example.com,,80,DR\n";
    let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, rows));
    written.map_err(|error| Error::io(file.display(), &error))?;
    let imported = import(directory.join("store"), file);
    let _ = std::fs::remove_dir_all(directory);
    imported
}

fn import(store: PathBuf, file: PathBuf) -> Result<()> {
    let engine = Engine::create(&store, Options::default())?;
    let job = JobRequest { reason: Some("Diwali".to_owned()), ..JobRequest::default() };
    let request = PointsRequest {
        file: FileRequest { path: file, ..FileRequest::default() },
        on_unknown: OnUnknown::Create,
        ..PointsRequest::default()
    };
    // Clones of it show the job to other threads, and stop it.
    let progress = Progress::default();
    let summary = engine.import_points(&job, &request, &progress)?;
    println!("{} rows: {} applied, {} rejected", summary.rows.read, summary.rows.applied, summary.rows.rejected);
    if let Some(job) = summary.job {
        engine.write_rejects(job, &mut std::io::stdout())?;
    }
    Ok(())
}
