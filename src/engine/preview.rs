//! The first rows of a file, before anything is imported.

use std::{io::Read, sync::Arc};

use super::{
    Engine,
    parameters::JobSettings,
    reading::{hints, source, understood},
    request::{CustomersRequest, ExpiryUpdateRequest, FileRequest, JobRequest, PreviewRequest},
};
use crate::{
    clock,
    domain::{
        expiry_terms::{ExpiryProfile, ExpiryTerms},
        outcome::Status,
    },
    error::{Error, Result},
    import::{
        expiry::ExpiryColumns,
        format::{ColumnField, Kind},
        input::{self, Layout},
        preview::{self, Preview, RawPreview},
        proposal::Proposal,
        source::{Encoding, Source},
        spool::fresh_path,
        surroundings::Surroundings,
    },
    job::progress::Progress,
};

/// Reads the first rows of a file as a job on a new store would.
///
/// # Errors
/// As an import for the file.
pub fn preview(request: &PreviewRequest) -> Result<Preview> {
    let points = &request.points;
    let (source, layout) = opened(request)?;
    let surroundings = Surroundings::of_new_store(request.now.unwrap_or_else(clock::now));
    let expiry = request.expiry.as_ref();
    let (mode, conversion) = (points.mode, points.conversion);
    let read = preview::preview(&source, &layout, &surroundings, mode, conversion, expiry, request.rows_max);
    read.map(|(preview, _)| preview)
}

/// Opens a file, and finds out how it is to be read; one on expiry by its profile's format, unless it names another.
fn opened(request: &PreviewRequest) -> Result<(Source, Layout)> {
    let file = &request.points.file;
    match &request.expiry {
        Some(terms) => {
            let asked = ExpiryUpdateRequest { file: file.clone(), terms: terms.clone() };
            understood(&asked.read_file(), Some(Kind::Expiry))
        }
        None => understood(file, request.kind),
    }
}

/// Reads the first records of a file without a format. Holds them all in memory.
///
/// # Errors
/// `Input` when the file cannot be read.
pub fn raw_preview(file: &FileRequest, rows_max: u64) -> Result<RawPreview> {
    preview::raw(&source(file)?, &hints(file), rows_max)
}

/// Proposes what the columns of a file mean that fits no format, for a user to decide. `header` says whether the file has
/// one; none lets its look decide.
///
/// # Errors
/// As an import for the file, but for columns that do not fit.
pub fn propose(kind: Kind, file: &FileRequest, header: Option<bool>) -> Result<Proposal> {
    input::propose(&source(file)?, &file.path, kind, &hints(file), header)
}

impl Engine {
    /// Reads the first rows of a file as a job would, and says what a dry run of these rows makes of each. Where a file needs
    /// a mode and none is given, its rows have no outcome.
    ///
    /// # Errors
    /// As an import.
    pub fn preview(&self, request: &PreviewRequest) -> Result<Preview> {
        let points = &request.points;
        let (source, layout) = opened(request)?;
        let (program, _) = self.program(request.program.as_deref())?;
        let now = request.now.unwrap_or_else(clock::now);
        let surroundings = JobSettings::of(&self.store, now).surroundings(program, self.store.programs(), now);
        let (expiry, rows_max) = (request.expiry.as_ref(), request.rows_max);
        let (mut preview, end) =
            preview::preview(&source, &layout, &surroundings, points.mode, points.conversion, expiry, rows_max)?;
        let is_points = preview.kind == Kind::Points;
        let mode = points.mode.or(layout.format.mode);
        if is_points && mode.is_none() && layout.mapping.column(ColumnField::Operation).is_none() {
            return Ok(preview);
        }
        // A file that says itself what it asks for needs no terms.
        let is_own = ExpiryColumns::of(&layout.mapping).is_own;
        let own = ExpiryTerms { profile: ExpiryProfile::Reference, change: None, set: None, include_promised: false };
        let terms = request.expiry.clone().or(Some(own).filter(|_| is_own));
        if preview.kind == Kind::Expiry && terms.is_none() {
            return Ok(preview);
        }
        let job = JobRequest {
            program: request.program.clone(),
            dry_run: true,
            now: Some(surroundings.now),
            ..JobRequest::default()
        };
        // The rows that are shown, as a file of their own: the same text at the same places, and nothing behind.
        let progress = Progress::default();
        let text = source.reader(Arc::default()).map_err(|error| Error::input(error.to_string()))?;
        let spooled = self.spool(text.take(end.offset), &progress)?;
        let head =
            Source::open(spooled.path(), Some(Encoding::Utf8)).map_err(|error| Error::input(error.to_string()))?;
        let mut run = match preview.kind {
            Kind::Customers => self
                .customers_run(&job, &CustomersRequest { file: points.file.clone(), ..CustomersRequest::default() })?,
            Kind::Points | Kind::Selection => self.points_run(&job, points)?,
            Kind::Expiry => {
                let terms = terms.ok_or_else(|| Error::internal("a file on expiry without terms"))?;
                self.expiry_run(&job, &ExpiryUpdateRequest { file: points.file.clone(), terms })?
            }
        };
        let report = fresh_path(&self.spool_directory(), "csv");
        run.layout = Layout { encoding: Encoding::Utf8.name().to_owned(), ..layout };
        run.source = head;
        run.parameters.processed = Some(report.clone());
        let result = self.look_ahead(&run, None, &job, &mut self.state(), &progress);
        let written = std::fs::read(&report);
        let _ = std::fs::remove_file(&report);
        result?;
        let written = written.map_err(|error| Error::io(format_args!("`{}`", report.display()), &error))?;
        let mut outcomes = preview::outcomes(&written);
        for row in &mut preview.rows {
            row.outcome = outcomes.remove(&row.line);
        }
        let rejected = |row: &&preview::PreviewRow| {
            row.outcome.as_ref().map_or(row.problem.is_some(), |outcome| outcome.status == Status::Rejected.word())
        };
        preview.rejected = preview.rows.iter().filter(rejected).count() as u64;
        Ok(preview)
    }
}
