//! `tidemill job`.

use std::collections::BTreeMap;

use tidemill::{engine::request::ResumeRequest, error::Result, report::summary::Summary};

use crate::{
    args::{JobArgs, RejectsArgs, ResumeArgs, UndoArgs},
    exit::Exit,
    file::{check_output, write_rows},
    import::told,
    settings::Settings,
    summary::{kind_text, summary_text},
    tell::after_job,
    text::{
        Side::{Left, Right},
        counted, grouped, table,
    },
    watch::{note_rebuilt, watched},
};

/// `tidemill job list`.
pub fn list(settings: &Settings) -> Result<Exit> {
    let jobs = settings.open()?.jobs()?;
    settings.output.result(&BTreeMap::from([("jobs", &jobs)]), || list_text(&jobs))?;
    Ok(Exit::Done)
}

/// `tidemill job show`. It succeeds whatever became of the job.
pub fn show(settings: &Settings, args: JobArgs) -> Result<Exit> {
    let summary = settings.open()?.job(args.job)?;
    settings.output.result(&summary, || summary_text(&summary, None))?;
    Ok(Exit::Done)
}

/// `tidemill job resume`.
pub fn resume(settings: &Settings, args: ResumeArgs) -> Result<Exit> {
    let request = ResumeRequest { without_processed: args.without_processed, no_wait: args.no_wait };
    let (engine, summary) = watched(settings, |progress| {
        let engine = settings.open()?;
        let summary = engine.resume(args.job.job, &request, progress)?;
        Ok((engine, summary))
    })?;
    told(settings, &engine, &summary, None)
}

/// `tidemill job undo`.
pub fn undo(settings: &Settings, args: UndoArgs) -> Result<Exit> {
    let (job, request) = args.request();
    settings.tell.check(&job.notify)?;
    let (engine, summary) = watched(settings, |progress| {
        let engine = settings.open()?;
        let summary = engine.undo(&job, &request, progress);
        note_rebuilt(settings, &engine);
        Ok((engine, summary?))
    })?;
    told(settings, &engine, &summary, None)
}

/// `tidemill job cancel`. It succeeds whatever the job's rows gave.
pub fn cancel(settings: &Settings, args: JobArgs) -> Result<Exit> {
    let engine = settings.open()?;
    let summary = engine.cancel(args.job)?;
    settings.output.result(&summary, || summary_text(&summary, None))?;
    // Whoever waits for the job hears that nothing more comes of it.
    after_job(settings, &engine);
    Ok(Exit::Done)
}

/// `tidemill job forget`.
pub fn forget(settings: &Settings, args: JobArgs) -> Result<Exit> {
    let view = settings.open()?.forget(args.job)?;
    settings.output.result(&view, || {
        let rows = counted(view.rows_dropped, "rejected row", "rejected rows");
        format!("Dropped {rows} of job {}\n", view.job)
    })?;
    Ok(Exit::Done)
}

/// `tidemill job rejects`.
pub fn rejects(settings: &Settings, args: &RejectsArgs) -> Result<Exit> {
    check_output(settings, args.output.as_deref(), &["csv"])?;
    let engine = settings.open()?;
    write_rows(settings, args.output.as_deref(), |out| engine.write_rejects(args.job.job, out))?;
    Ok(Exit::Done)
}

fn list_text(jobs: &[Summary]) -> String {
    if jobs.is_empty() {
        return "No jobs\n".to_owned();
    }
    let header = ["job", "what", "state", "rows", "rejected", "credited", "debited", "expired", "program", "file"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(jobs.iter().map(|job| {
        vec![
            job.job.map_or(String::new(), |number| number.to_string()),
            job.undo
                .as_ref()
                .map_or_else(|| kind_text(job.kind).to_owned(), |undo| format!("undo job {}", undo.undoes)),
            job.undone_by.map_or_else(|| job.state.word().to_owned(), |undo| format!("undone by job {undo}")),
            grouped(job.rows.read),
            grouped(job.rows.rejected),
            grouped(&job.points.credited),
            grouped(&job.points.debited),
            grouped(&job.points.expired),
            job.program.clone(),
            job.input.clone().unwrap_or_default(),
        ]
    }));
    table("", &[Right, Left, Left, Right, Right, Right, Right, Right, Left, Left], &rows)
}
