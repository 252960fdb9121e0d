//! Going on with an earlier job that began with the same file.

use super::{parameters::Parameters, parameters_of, run::Run};
use crate::{
    error::{Error, Result},
    import::input::Layout,
    store::jobs::Job,
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
    let mut parameters = Parameters { layout: Some(layout.clone()), ..recorded.clone() };
    parameters.rejects = run.parameters.rejects.or(recorded.rejects.filter(|_| !is_dry));
    parameters.notify = if run.parameters.notify.is_empty() { recorded.notify.clone() } else { run.parameters.notify };
    let has_rows = job.window.is_some();
    let has_report = job.window.as_ref().is_none_or(|(_, record)| record.processed_bytes > 0);
    let begun = recorded.processed.filter(|_| has_report);
    parameters.processed = match run.parameters.processed {
        Some(wanted) if is_dry && has_rows => {
            return Err(Error::usage(format!(
                "job {} has applied a part of this file, so a dry run cannot write `{}`: it has no line for that part",
                job.id,
                wanted.display()
            ))
            .hint(format!("leave `--processed` out, or go on with `tidemill job resume {}`", job.id))
            .of_job(job.id));
        }
        Some(wanted) if has_rows && begun.as_ref() != Some(&wanted) => {
            let error = Error::usage(format!(
                "job {} has applied a part of this file, and its processed report is {}",
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
    Ok(Run::new(job.start.kind, parameters, layout, source, run.program, job.start.now, run.began, spooled))
}
