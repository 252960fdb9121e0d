//! Erasing a customer: what says who it is leaves the store, amounts stay.

use super::{
    Engine,
    parameters::{JobSettings, Parameters},
    parameters_of,
    request::JobRequest,
    view::EraseView,
};
use crate::{
    clock,
    domain::{
        id::{CustomerId, JobId, Sequence},
        identifier::{IdentifierKind, normalize},
        job::{Counts, JobKind, JobStart, JobState, Position, Total, WindowRecord},
        phone::Region,
        time::tz_version,
        traces::Traces,
    },
    error::{CacheKind, Error, Result},
    import::spool,
    import::{
        csv::{self, Records},
        format::ColumnField,
        input::Layout,
        rows::column_of_kind,
    },
    job::progress::{Progress, Stage},
    report::cell::unguarded,
    store::{
        caches, disk,
        jobs::{self, Job, RejectedRow},
        key::LogKey,
        ledger_page, lock,
        log::Commit,
        rewrite::Rewrite,
        state::{Needs, State},
    },
};

/// What a rejected row says that named a person who was erased.
const ERASED_MESSAGE: &str = "the customer was erased";

/// What an erased file name or reason of a job is replaced in: the only texts of a job that people write.
const JOB_TEXTS: [&[&str]; 9] = [
    &["reason"],
    &["comment"],
    &["rejects"],
    &["processed"],
    &["notifications"],
    &["layout", "path"],
    &["layout", "location"],
    // A column may be called by whatever stood there.
    &["layout", "header"],
    &["layout", "mapping", "ignored"],
];

impl Engine {
    /// Removes everything that says who a customer is: identifiers, profile, attributes, the rejected rows that name the
    /// person, and the person's name and identifiers in reasons, comments and references. Accounts, lots and entries stay,
    /// without a name; the identifiers are free, and whoever comes with them is another customer.
    ///
    /// When it returns, no file of the store's directory holds any of it. What lies outside is not touched: input files,
    /// reports, exports and backups. Only the job's texts, the program, `dry_run`, `now` and `no_wait` of the request count.
    ///
    /// Cost: a pass over ledger pages and rejected rows, and every table anew that holds a page of the customer.
    ///
    /// # Errors
    /// `NotFound` with code `customer_unknown`; `Usage` for an identifier that cannot be; `Refused` while the store keeps
    /// the input of a job that has not ended (`input_kept`), and with `no_wait` while a job runs; `Storage` when the disk
    /// fails: then the next open completes what was begun.
    pub fn erase(&self, job: &JobRequest, kind: IdentifierKind, value: &str, progress: &Progress) -> Result<EraseView> {
        let mut held = self.state_for_job(job.no_wait, progress)?;
        progress.set_stage(Stage::Loading);
        let (id, customer) = self.find(kind, value)?;
        self.check_inputs()?;
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let start = self.start_of(JobKind::EraseCustomer, job, &mut held)?;
        let traces = Traces::of(&customer);
        let mut own = customer.absorbed.clone();
        own.push(id);
        let mut rewrite = Rewrite::begin(&self.store, id, |record| record.change.erased())?;
        let mut view = EraseView {
            job: None,
            customer: id.0,
            identifiers: rewrite.identifiers(),
            records: rewrite.records(),
            rejected_rows: 0,
            ledger_pages: 0,
            jobs: 0,
        };
        progress.set_stage(Stage::Applying);
        view.ledger_pages = self.erase_texts(&traces, &own, &mut rewrite)?;
        (view.rejected_rows, view.jobs) = self.erase_from_jobs(&traces, &mut rewrite)?;
        if job.dry_run {
            return Ok(view);
        }
        let number = JobId(self.store.newest_job()?.0 + 1);
        let counts = Counts { customers_matched: 1, ..Counts::default() };
        put_job(rewrite.added(), number, &start, counts, start.balance_before, start.first_sequence)?;
        // What the last job left in memory knows the customer.
        *held = None;
        progress.set_stage(Stage::Finishing);
        if view.ledger_pages > 0 {
            // Lots are told apart by hashes of references, of which some may be blotted out: they are learnt anew.
            caches::distrust(&self.store, CacheKind::Accounts)?;
        }
        let mut filters = lock(&self.filters);
        rewrite.commit(number, 1).map_err(|error| error.of_job(number))?;
        filters.forget();
        progress.set_stage(Stage::Done);
        view.job = Some(number);
        Ok(view)
    }

    /// Refuses while the store keeps inputs, which hold whatever their senders wrote.
    fn check_inputs(&self) -> Result<()> {
        if spool::is_empty(&self.spool_directory()) {
            return Ok(());
        }
        let unfinished = jobs::jobs(&self.store)?.into_iter().find(|job| job.state() == JobState::Unfinished);
        let what = "which may name the customer";
        Err(match unfinished {
            Some(job) => {
                let id = job.id;
                Error::refused("input_kept", format!("the store keeps the input of job {id}, {what}"))
                    .hint(format!(
                        "nothing was changed; end it with `tidemill job resume {id}` or `tidemill job cancel {id}` first"
                    ))
                    .of_job(id)
            }
            None => Error::refused("input_kept", format!("the store takes in the input of an import, {what}"))
                .hint("nothing was changed; wait until the import has ended"),
        })
    }

    /// How a job begins that is no import, on what is loaded.
    fn start_of(&self, kind: JobKind, job: &JobRequest, held: &mut Option<State>) -> Result<JobStart> {
        let (program, _) = self.program(job.program.as_deref())?;
        let state = self.load(held, &Needs { programs: vec![program], ..Needs::default() })?;
        let start = self.start_on(kind, job, &state);
        *held = Some(state);
        start
    }

    /// The same on a state that has the accounts of the request's program.
    pub(super) fn start_on(&self, kind: JobKind, job: &JobRequest, state: &State) -> Result<JobStart> {
        let (program, named) = self.program(job.program.as_deref())?;
        let now = job.now.unwrap_or_else(clock::now);
        let settings = JobSettings::of(&self.store, now);
        let parameters = Parameters::of_kind(program, named.code, job.reason.clone(), settings);
        Ok(JobStart {
            kind,
            now,
            tz_version: tz_version(),
            parameters: serde_json::to_value(&parameters).map_err(|error| Error::internal(error.to_string()))?,
            fingerprint: String::new(),
            balance_before: Total(state.accounts(program)?.total),
            other_balances_before: Default::default(),
            customers_before: state.customers,
            first_record: state.next_record,
            first_sequence: state.next_sequence,
            expiring_before: None,
        })
    }

    /// Blots out the person in the texts of ledger entries; returns in how many pages.
    fn erase_texts(&self, traces: &Traces, own: &[CustomerId], rewrite: &mut Rewrite<'_>) -> Result<u64> {
        let mut pages = 0;
        let end = LogKey::Ledger(Sequence(u64::MAX));
        self.store.log().scan(LogKey::Ledger(Sequence(1)), end, |key, stored| {
            let LogKey::Ledger(first) = key else { return Ok(false) };
            let is_own = |customer| own.contains(&customer);
            if let Some(page) = ledger_page::with_texts(first, stored, is_own, |text, own| traces.blotted(text, own))? {
                rewrite.replace(key, page);
                pages += 1;
            }
            Ok(true)
        })?;
        Ok(pages)
    }

    /// Drops the rejected rows that name the person, but for their place and reason, and blots out the person in what jobs
    /// say of themselves. Returns how many rows and how many jobs that were.
    fn erase_from_jobs(&self, traces: &Traces, rewrite: &mut Rewrite<'_>) -> Result<(u64, u64)> {
        let mut starts = 0;
        // Of the job whose rows are looked at: it may have millions.
        let mut known: Option<(JobId, Option<Parameters>)> = None;
        let row = |job: &Job, row: RejectedRow| {
            if known.as_ref().is_none_or(|(id, _)| *id != job.id) {
                known = Some((job.id, parameters_of(job).ok()));
            }
            let parameters = known.as_ref().and_then(|(_, parameters)| parameters.as_ref());
            let layout = parameters.and_then(|parameters| parameters.layout.as_ref());
            let region = parameters.and_then(|parameters| parameters.settings.region);
            names(traces, &row, layout, region).then(|| RejectedRow {
                message: ERASED_MESSAGE.to_owned(),
                raw: Vec::new(),
                is_split: false,
                ..row
            })
        };
        let start = |job: &Job| {
            let mut parameters = job.start.parameters.clone();
            let mut is_changed = false;
            // An unfinished job must find its files again.
            let count = if job.state() == JobState::Unfinished { 2 } else { JOB_TEXTS.len() };
            for path in &JOB_TEXTS[..count] {
                let Some(place) = path.iter().try_fold(&mut parameters, |value, name| value.get_mut(name)) else {
                    continue;
                };
                let texts = match place {
                    serde_json::Value::Array(texts) => texts.as_mut_slice(),
                    text => std::slice::from_mut(text),
                };
                for text in texts {
                    if let Some(blotted) = text.as_str().and_then(|text| traces.blotted(text, false)) {
                        *text = blotted.into();
                        is_changed = true;
                    }
                }
            }
            is_changed.then(|| JobStart { parameters, ..job.start.clone() })
        };
        let rows = jobs::rewrite(&self.store, row, start, |key, value| {
            starts += u64::from(matches!(key, LogKey::Job(_, 0, _)));
            rewrite.replace(key, value);
            Ok(())
        })?;
        Ok((rows, starts))
    }
}

/// Adds a job that begins and ends with its commit.
pub(super) fn put_job(
    commit: &mut Commit,
    id: JobId,
    start: &JobStart,
    counts: Counts,
    balance_after: Total,
    next_sequence: u64,
) -> Result<()> {
    let record = WindowRecord {
        state: JobState::Finished,
        counts,
        position: Position::default(),
        processed_bytes: 0,
        notified_bytes: 0,
        bytes_read: 0,
        balance_after,
        elapsed_ms: 0,
        sequences: (start.first_sequence, next_sequence),
        expiring_after: None,
    };
    jobs::put_start(commit, id, start)?;
    jobs::put_window(commit, id, 1, &record, &[], &[], &[])
}

/// Whether a rejected row names the person: by an identifier or name in its column, or anywhere by one that is the person's
/// alone.
fn names(traces: &Traces, row: &RejectedRow, layout: Option<&Layout>, region: Option<Region>) -> bool {
    let raw = String::from_utf8_lossy(&row.raw);
    if traces.stand_in(&raw, false) || traces.stand_in(&row.message, false) {
        return true;
    }
    let Some(layout) = layout.filter(|_| row.is_split) else { return false };
    let (mut records, mut scratch) = (Records::default(), Vec::new());
    csv::scan(&row.raw, layout.dialect, layout.header.len(), &mut records);
    let Some(record) = records.records.first() else { return false };
    let mut cell_of = |field: ColumnField| {
        let at = layout.mapping.column(field)?;
        let place = *records.fields_of(record).get(at)?;
        let cell = csv::cell(&row.raw, place, layout.dialect, record.flags, &mut scratch);
        Some(String::from_utf8_lossy(unguarded(cell)).into_owned())
    };
    let mut normalized = Vec::new();
    let mut is_of = |kind: IdentifierKind, cell: &str| {
        normalize(kind, cell, region, false, &mut normalized).is_ok()
            && std::str::from_utf8(&normalized).is_ok_and(|value| traces.has_identifier(kind, value))
    };
    let by_identifier = IdentifierKind::ALL.iter().any(|&kind| {
        let cell = cell_of(column_of_kind(kind)).unwrap_or_default();
        is_of(kind, &cell) || (kind == IdentifierKind::Card && cell.split([',', '|']).any(|card| is_of(kind, card)))
    });
    let [name, first, last] = [ColumnField::Name, ColumnField::FirstName, ColumnField::LastName].map(&mut cell_of);
    let both = [first.as_deref(), last.as_deref()].map(|part| part.map_or("", str::trim)).join(" ");
    by_identifier || [name.unwrap_or_default(), both].iter().any(|name| traces.is_name(name))
}
