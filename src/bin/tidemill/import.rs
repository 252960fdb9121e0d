//! `tidemill import`.

use std::path::Path;

use tidemill::{
    engine::{Engine, request::FileRequest},
    error::{Error, ErrorKind, Result},
    import::{format::Kind, source::Stream},
    job::progress::Progress,
    report::summary::Summary,
};

use crate::{
    again::Correction,
    args::{CustomersArgs, ExpiryArgs, PointsArgs},
    dialogue::ask_columns,
    exit::Exit,
    settings::Settings,
    summary::summary_text,
    tell::after_job,
    watch::{note_rebuilt, watched},
};

/// `tidemill import points`.
pub fn points(settings: &Settings, args: PointsArgs) -> Result<Exit> {
    let (dry_run, no_spool) = (args.job.dry_run(), args.job.no_spool());
    let (job, mut request) = args.request();
    ask_columns(settings, Kind::Points, &mut request.file, Some(&mut request.mode))?;
    settings.tell.check(&job.notify)?;
    let (engine, summary) = watched(settings, |progress| {
        let engine = store(settings, dry_run, Kind::Points, &request.file)?;
        take_in(&engine, &mut request.file, no_spool, progress)?;
        let summary = engine.import_points(&job, &request, progress);
        note_rebuilt(settings, &engine);
        Ok((engine, summary?))
    })?;
    told(settings, &engine, &summary, job.rejects.as_deref())
}

/// `tidemill import customers`.
pub fn customers(settings: &Settings, args: CustomersArgs) -> Result<Exit> {
    let (dry_run, no_spool) = (args.job.dry_run(), args.job.no_spool());
    let (job, mut request) = args.request();
    ask_columns(settings, Kind::Customers, &mut request.file, None)?;
    settings.tell.check(&job.notify)?;
    let (engine, summary) = watched(settings, |progress| {
        let engine = store(settings, dry_run, Kind::Customers, &request.file)?;
        take_in(&engine, &mut request.file, no_spool, progress)?;
        let summary = engine.import_customers(&job, &request, progress);
        note_rebuilt(settings, &engine);
        Ok((engine, summary?))
    })?;
    told(settings, &engine, &summary, job.rejects.as_deref())
}

/// `tidemill import expiry`.
pub fn expiry(settings: &Settings, args: ExpiryArgs) -> Result<Exit> {
    let (dry_run, no_spool) = (args.job.dry_run(), args.job.no_spool());
    let (job, mut request) = args.request()?;
    ask_columns(settings, Kind::Expiry, &mut request.file, None)?;
    settings.tell.check(&job.notify)?;
    let (engine, summary) = watched(settings, |progress| {
        let engine = store(settings, dry_run, Kind::Expiry, &request.file)?;
        take_in(&engine, &mut request.file, no_spool, progress)?;
        let summary = engine.import_expiry(&job, &request, progress);
        note_rebuilt(settings, &engine);
        Ok((engine, summary?))
    })?;
    told(settings, &engine, &summary, job.rejects.as_deref())
}

/// Says what the job did, then tells those who are to be told, and ends as the job's rows ended. Dry runs tell nobody.
pub fn told(settings: &Settings, engine: &Engine, summary: &Summary, rejects: Option<&Path>) -> Result<Exit> {
    let exit = finished(settings, summary, rejects)?;
    if !summary.dry_run {
        after_job(settings, engine);
    }
    Ok(exit)
}

/// Says what the job did, and ends as its rows ended. `rejects` is the file of rejected rows that was asked for.
pub fn finished(settings: &Settings, summary: &Summary, rejects: Option<&Path>) -> Result<Exit> {
    let input = summary.input.as_deref().unwrap_or_default();
    let correction = rejects.map(|file| Correction::of(std::env::args(), input, file));
    settings.output.result(summary, || summary_text(summary, correction.as_ref()))?;
    let left = summary.undo.as_ref().map_or(0, |undo| undo.partly_reversed + undo.kept);
    Ok(Exit::of_rejected(summary.rows.rejected + left))
}

/// Whether a file is standard input.
pub fn is_stdin(file: &FileRequest) -> bool {
    file.path.as_os_str() == "-"
}

/// Reads standard input to its end, if that is the file: a job reads its input more than once, unless `no_spool` gives up
/// what needs that.
fn take_in(engine: &Engine, file: &mut FileRequest, no_spool: bool, progress: &Progress) -> Result<()> {
    match (is_stdin(file), no_spool) {
        (true, false) => file.spooled = Some(engine.spool(std::io::stdin(), progress)?),
        (true, true) => {
            let begun = Stream::begin(std::io::stdin());
            file.stream = Some(begun.map_err(|error| Error::input(format!("cannot read standard input: {error}")))?);
        }
        (false, true) => return Err(Error::usage("`--no-spool` is for `-`, standard input").hint("leave it out")),
        (false, false) => {}
    }
    Ok(())
}

/// The store to import into. A dry run changes nothing, so it makes no store either; nor does a file that cannot be read,
/// since who mistypes the one has often mistyped the other. Standard input can be looked at once only, so it is not.
fn store(settings: &Settings, dry_run: bool, kind: Kind, file: &FileRequest) -> Result<Engine> {
    if !dry_run {
        if !is_stdin(file) {
            Engine::check_file(kind, file)?;
        }
        return settings.create();
    }
    settings.open().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::not_found(error.code(), error.message())
            .hint("a dry run makes no store: make one first, for example with `tidemill store set --time-zone UTC`"),
        ErrorKind::Usage
        | ErrorKind::Refused
        | ErrorKind::Input
        | ErrorKind::Storage
        | ErrorKind::Corrupt
        | ErrorKind::Busy
        | ErrorKind::Stopped
        | ErrorKind::Internal => error,
    })
}
