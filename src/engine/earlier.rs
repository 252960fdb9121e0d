//! Going on with an earlier job that began with the same file.

use super::{Engine, parameters::Parameters, parameters_of, run::Run};
use crate::{
    domain::job::{JobKind, JobStart, JobState},
    error::{Error, Result},
    import::input::Layout,
    store::{
        jobs::{self, Job},
        log::Commit,
    },
};

/// A run that goes on with an unfinished job of the same file: by that job's parameters, whatever was set or edited since.
///
/// # Errors
/// `Usage` when a processed report is asked for that the job cannot give any more.
pub(super) fn taken_up(run: Run, job: &Job, is_dry: bool, found_again: impl FnOnce(Layout) -> Layout) -> Result<Run> {
    let recorded = parameters_of(job)?;
    let layout = recorded.layout.clone().ok_or_else(|| Error::internal("an import without a file"))?;
    // The stream that the job kept will do; what was sent again is dropped.
    let kept = found_again(layout.clone());
    let (layout, spooled) = if kept.is_spooled && kept.location.exists() {
        (Layout { path: run.layout.path, ..kept }, None)
    } else {
        let Layout { path, location, is_spooled, .. } = run.layout;
        (Layout { path, location, is_spooled, ..layout }, run.spooled)
    };
    let source = layout.open()?;
    let parameters = Parameters { layout: Some(layout.clone()), ..said_anew(&run.parameters, job, is_dry)? };
    Ok(Run::new(job.start.kind, parameters, layout, source, run.program, job.start.now, run.began, spooled))
}

/// Refuses a file that changed since an unfinished job applied a part of it: as another file it would begin anew, and apply
/// that part twice.
///
/// # Errors
/// `Refused` with code `file_changed`.
pub(super) fn refuse_changed(run: &Run, jobs: &[Job]) -> Result<()> {
    // Streams have no name by which they could be known.
    if run.layout.is_spooled || run.layout.is_stream {
        return Ok(());
    }
    let sheet = |layout: &Layout| layout.sheet.as_ref().map(|sheet| sheet.name.clone());
    for job in jobs.iter().filter(|job| job.start.kind == run.kind && job.state() == JobState::Unfinished) {
        let parameters = parameters_of(job)?;
        let is_same = |layout: &Layout| layout.location == run.layout.location && sheet(layout) == sheet(&run.layout);
        let is_same = parameters.layout.as_ref().is_some_and(is_same) && parameters.program == run.parameters.program;
        if !is_same || job.rows_read() == 0 {
            continue;
        }
        let (id, rows, path) = (job.id, job.rows_read(), run.layout.path.display());
        let what =
            format!("job {id} applied the first {rows} rows of `{path}`; the file or how it is read changed since");
        let hint = format!(
            "nothing was changed; put both back and repeat the command, or give the job up with `tidemill job cancel {id}`; \
             `--again` applies all rows, these too"
        );
        return Err(Error::refused("file_changed", what).hint(hint).of_job(id));
    }
    Ok(())
}

/// The parameters of an unfinished job whose command is repeated: its own, but for whom it tells, and for the reports as far
/// as they are not begun.
///
/// # Errors
/// `Usage` when a processed report is asked for that the job cannot give any more.
pub(super) fn said_anew(asked: &Parameters, job: &Job, is_dry: bool) -> Result<Parameters> {
    let recorded = parameters_of(job)?;
    let is_bulk = job.start.kind.is_bulk();
    // The first window of a bulk operation has only the rows that name nobody, which a report begins with in any case.
    let begun = job.window.as_ref().filter(|(_, record)| !is_bulk || record.position.offset > 0);
    let (has_rows, has_report) = (begun.is_some(), begun.is_none_or(|(_, record)| record.processed_bytes > 0));
    let of_what = if is_bulk || job.start.kind == JobKind::Undo { "this" } else { "this file" };
    let begun = recorded.processed.clone().filter(|_| has_report);
    let processed = match asked.processed.clone() {
        Some(wanted) if is_dry && has_rows => {
            return Err(Error::usage(format!(
                "job {} has applied a part of {of_what}, so a dry run cannot write `{}`: it has no line for that part",
                job.id,
                wanted.display()
            ))
            .hint(format!("leave `--processed` out, or go on with `tidemill job resume {}`", job.id))
            .of_job(job.id));
        }
        Some(wanted) if has_rows && begun.as_ref() != Some(&wanted) => {
            let error = Error::usage(format!(
                "job {} has applied a part of {of_what}, and its processed report is {}",
                job.id,
                begun.as_ref().map_or("not written".to_owned(), |path| format!("`{}`", path.display()))
            ));
            return Err(match &begun {
                Some(path) => error.hint(format!("repeat the command with `--processed {}`", path.display())),
                None => error.hint("repeat the command without `--processed`"),
            }
            .of_job(job.id));
        }
        Some(wanted) => Some(wanted),
        None if is_dry => None,
        None => begun,
    };
    let rejects = asked.rejects.clone().or(recorded.rejects.clone().filter(|_| !is_dry));
    let notify = if asked.notify.is_empty() { recorded.notify.clone() } else { asked.notify.clone() };
    Ok(Parameters { rejects, notify, processed, ..recorded })
}

impl Engine {
    /// Records what the repeated command of an unfinished job says anew, for this run and later ones.
    ///
    /// # Errors
    /// As `said_anew`; `Storage`.
    pub(super) fn repeated(&self, asked: &Parameters, job: Job) -> Result<Job> {
        let parameters = serde_json::to_value(said_anew(asked, &job, false)?);
        let parameters = parameters.map_err(|error| Error::internal(error.to_string()))?;
        if parameters == job.start.parameters {
            return Ok(job);
        }
        let start = JobStart { parameters, ..job.start };
        let mut commit = Commit::default();
        jobs::put_start(&mut commit, job.id, &start)?;
        self.store.log().commit(&commit)?;
        Ok(Job { start, ..job })
    }
}
