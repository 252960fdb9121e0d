//! Jobs as the log knows them: how they began, what each window committed, the rows they refused.

use std::{collections::BTreeSet, io::Read};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Store,
    customer_page::{put_varint, take_varint},
    key::LogKey,
    log::Commit,
    value::{self, Kind},
    view::Readable,
};
use crate::{
    domain::{
        entry::RowKey,
        id::{CustomerId, JobId, ProgramId},
        job::{JobStart, JobState, WindowRecord},
        rejection::Rejection,
    },
    error::{Error, ErrorKind, Result},
};

const RECORD: u32 = 0;
/// In window 0, where no customers are touched: the note that the rejected rows were dropped.
const FORGOTTEN: u32 = 1;
/// In window 0: the first part of whom the job means.
const SELECTION: u32 = 1024;
/// In window 0: the jobs that undo this one, oldest first.
const UNDOS: u32 = 2;
const TOUCHED: u32 = 1;
const REJECTS: u32 = 2;
/// Raw bytes of rejected rows in one value.
const REJECTS_BYTES_MAX: usize = 1 << 20;
const REJECTS_COMPRESSION: i32 = 1;

/// A job, as far as the log knows it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// How it began.
    pub start: JobStart,
    /// The newest window's number and record; none before the first commit.
    pub window: Option<(u32, WindowRecord)>,
}

impl Job {
    /// How far it is.
    pub fn state(&self) -> JobState {
        self.window.as_ref().map_or(JobState::Unfinished, |(_, record)| record.state)
    }

    /// How many rows of its input have their outcome.
    pub fn rows_read(&self) -> u64 {
        self.window.as_ref().map_or(0, |(_, record)| record.counts.read)
    }
}

/// A refused row, as it is kept until it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Physical line on which it begins, from 1.
    pub line: u64,
    /// Why.
    pub rejection: Rejection,
    /// Whether the row could be split into its cells.
    pub is_split: bool,
    /// Name of the field that was refused; empty where it is the whole row.
    pub column: String,
    /// Why, in words.
    pub message: String,
    /// The record as it came, without its line end.
    pub raw: Vec<u8>,
}

impl RejectedRow {
    /// Appends the stored form.
    pub fn put(
        line: u64,
        rejection: Rejection,
        is_split: bool,
        column: &str,
        message: &str,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) {
        put_varint(line, out);
        out.extend_from_slice(&[rejection as u8, u8::from(is_split)]);
        for part in [column.as_bytes(), message.as_bytes(), raw] {
            put_varint(part.len() as u64, out);
            out.extend_from_slice(part);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<RejectedRow> {
        fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
            let length = usize::try_from(take_varint(bytes)?).ok()?;
            let (part, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Some(part)
        }
        let line = take_varint(bytes)?;
        let ([rejection, is_split], rest) = bytes.split_first_chunk::<2>()?;
        *bytes = rest;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(RejectedRow {
            line,
            rejection: Rejection::from_number(*rejection)?,
            is_split: *is_split != 0,
            column: text(part(bytes)?)?,
            message: text(part(bytes)?)?,
            raw: part(bytes)?.to_vec(),
        })
    }
}

/// A customer that a row named without writing an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Whom.
    pub customer: CustomerId,
    /// In which program.
    pub program: ProgramId,
    /// The balance that the row set, if it was the first to reset this customer: it found the balance there already, or was
    /// applied by an earlier job.
    pub reset_to: Option<i64>,
    /// The key of the row, if it has one: a good row that changed nothing is known again too.
    pub row_key: Option<RowKey>,
}

impl Touch {
    /// A customer that was only named.
    pub fn named(customer: CustomerId) -> Touch {
        Touch { customer, program: ProgramId(0), reset_to: None, row_key: None }
    }
}

pub(super) fn sealed_json(kind: Kind, content: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(content).map_err(|error| Error::internal(error.to_string()))?;
    Ok(value::sealed(kind, &json))
}

pub(super) fn open_json<T: DeserializeOwned>(kind: Kind, stored: &[u8], what: &str) -> Result<T> {
    let body = value::open(kind, stored, &what)?;
    serde_json::from_slice(body).map_err(|error| Error::corrupt(format!("{what} cannot be read: {error}")))
}

/// Adds a job's start to a commit.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn put_start(commit: &mut Commit, job: JobId, start: &JobStart) -> Result<()> {
    commit.put(LogKey::Job(job, 0, RECORD), &sealed_json(Kind::JobStart, start)?);
    Ok(())
}

/// Adds whom a job means to a commit: the bodies of its parts.
pub fn put_selection(commit: &mut Commit, job: JobId, parts: &[Vec<u8>]) {
    for (at, body) in (0..).zip(parts) {
        commit.put(LogKey::Job(job, 0, SELECTION + at), &value::sealed(Kind::Selection, body));
    }
}

/// Goes over the parts of whom a job means.
///
/// # Errors
/// `Corrupt` when one is missing or damaged; those of `visit`.
pub fn selection(store: &impl Readable, id: JobId, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut next = SELECTION;
    store.log().scan(LogKey::Job(id, 0, SELECTION), LogKey::Job(id, 1, 0), |key, stored| {
        if key != LogKey::Job(id, 0, next) {
            return Err(Error::corrupt(format!("a part of the selection of job {id} is missing")));
        }
        next += 1;
        visit(value::open(Kind::Selection, stored, &format_args!("the selection of job {id}"))?).map(|()| true)
    })
}

/// Adds a window's record, the customers it touched without an entry, and its rejected rows (stored forms, one behind
/// the other, cut at `ends`) to a commit.
///
/// # Errors
/// When it cannot be written as JSON, or the compressor fails.
pub fn put_window(
    commit: &mut Commit,
    job: JobId,
    window: u32,
    record: &WindowRecord,
    touched: &[Touch],
    rejects: &[u8],
    ends: &[usize],
) -> Result<()> {
    commit.put(LogKey::Job(job, window, RECORD), &sealed_json(Kind::Window, record)?);
    if !touched.is_empty() {
        let mut body = Vec::with_capacity(touched.len() * 5);
        put_varint(touched.len() as u64, &mut body);
        for touch in touched {
            put_varint(u64::from(touch.customer.0), &mut body);
            put_varint(u64::from(touch.program.0), &mut body);
            put_varint(touch.reset_to.map_or(0, |balance| balance.cast_unsigned().wrapping_add(1)), &mut body);
        }
        // Behind the customers: their places, and the keys of their rows.
        for (at, key) in touched.iter().enumerate().filter_map(|(at, touch)| Some((at, touch.row_key?))) {
            put_varint(at as u64, &mut body);
            body.extend_from_slice(&key.high.to_le_bytes());
            body.extend_from_slice(&key.low.to_le_bytes());
            body.extend_from_slice(&key.content.to_le_bytes());
        }
        commit.put(LogKey::Job(job, window, TOUCHED), &value::sealed(Kind::Touched, &body));
    }
    let mut part = REJECTS;
    let mut start = 0;
    for (at, &end) in ends.iter().enumerate() {
        let is_last = at + 1 == ends.len();
        if !is_last && ends[at + 1] - start <= REJECTS_BYTES_MAX {
            continue;
        }
        commit.put(LogKey::Job(job, window, part), &sealed_rejects(&rejects[start..end])?);
        part += 1;
        start = end;
    }
    Ok(())
}

/// One job.
///
/// # Errors
/// `NotFound`; `Corrupt` when its records are damaged.
pub fn job(store: &impl Readable, id: JobId) -> Result<Job> {
    let log = store.log();
    let Some(stored) = log.get(LogKey::Job(id, 0, RECORD))? else {
        return Err(
            Error::not_found("job_unknown", format!("there is no job {id}")).hint("`tidemill job list` lists them")
        );
    };
    let start = open_json(Kind::JobStart, &stored, &format!("the start of job {id}"))?;
    let window = match log.last_at_or_before(LogKey::Job(id, u32::MAX, u32::MAX))? {
        Some((LogKey::Job(found, window, _), _)) if found == id && window > 0 => {
            let stored = log.get(LogKey::Job(id, window, RECORD))?;
            let stored = stored.ok_or_else(|| Error::corrupt(format!("window {window} of job {id} has no record")))?;
            Some((window, open_json(Kind::Window, &stored, &format!("window {window} of job {id}"))?))
        }
        _ => None,
    };
    Ok(Job { id, start, window })
}

/// All jobs, oldest first.
///
/// # Errors
/// `Corrupt` when one is missing, as jobs are never removed, or when their records are damaged.
pub fn jobs(store: &impl Readable) -> Result<Vec<Job>> {
    let newest = store.newest_job()?;
    let lost = |error: Error, number: u32| match error.kind() {
        // Nobody asked for it by its number, which might be wrong: a list of tables that was cut left it out.
        ErrorKind::NotFound => Error::corrupt(format!("the store has lost job {number}, though job {newest} is there"))
            .hint("files of the directory `db` were cut or removed: restore the store from a backup"),
        _ => error,
    };
    (1..=newest.0).map(|number| job(store, JobId(number)).map_err(|error| lost(error, number))).collect()
}

/// The jobs that undo this one or did, oldest first, whatever became of them. Costs one lookup, however many jobs there are.
///
/// # Errors
/// `Corrupt` when the note is damaged.
pub fn undos(store: &Store, id: JobId) -> Result<Vec<JobId>> {
    let stored = store.log().get(LogKey::Job(id, 0, UNDOS))?;
    let open = |stored: Vec<u8>| open_json(Kind::Undos, &stored, &format!("the undos of job {id}"));
    stored.map(open).transpose().map(Option::unwrap_or_default)
}

/// Adds to a commit that a job begins to undo another.
///
/// # Errors
/// As `undos`.
pub fn put_undo(store: &Store, commit: &mut Commit, undone: JobId, undo: JobId) -> Result<()> {
    let mut all = undos(store, undone)?;
    all.push(undo);
    commit.put(LogKey::Job(undone, 0, UNDOS), &sealed_json(Kind::Undos, &all)?);
    Ok(())
}

/// The job that has undone this one, if one has that was not undone itself since. One that has not ended, or was given up in
/// the middle, does not count.
///
/// # Errors
/// `Corrupt` when a record is damaged.
pub fn undone_by(store: &Store, id: JobId) -> Result<Option<JobId>> {
    for undo in undos(store, id)?.into_iter().rev() {
        if job(store, undo)?.state() == JobState::Finished && undone_by(store, undo)?.is_none() {
            return Ok(Some(undo));
        }
    }
    Ok(None)
}

/// Goes over the rejected rows of a job, in the order of the file.
///
/// # Errors
/// `Corrupt` when they are damaged; those of `visit`.
pub fn rejected_rows(store: &impl Readable, id: JobId, mut visit: impl FnMut(RejectedRow) -> Result<()>) -> Result<()> {
    store.log().scan(LogKey::Job(id, 1, 0), LogKey::Job(JobId(id.0 + 1), 0, 0), |key, stored| {
        let LogKey::Job(_, window, part) = key else { return Ok(false) };
        if part >= REJECTS {
            each_rejected(&open_rejects(id, window, stored)?, &mut visit)?;
        }
        Ok(true)
    })
}

/// The stored forms of rejected rows, one behind the other, from a value that holds them.
pub(super) fn open_rejects(id: JobId, window: u32, stored: &[u8]) -> Result<Vec<u8>> {
    let damaged = || Error::corrupt(format!("rejected rows of job {id}, window {window}, cannot be read"));
    let body = value::open(Kind::Rejects, stored, &format_args!("rejected rows of job {id}, window {window}"))?;
    let (length, frame) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    if length > 1 << 32 {
        return Err(damaged());
    }
    // Not room for all that it says at once, as it may say more than there is.
    let mut raw = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(|_| damaged())?;
    decoder.take(length as u64 + 1).read_to_end(&mut raw).map_err(|_| damaged())?;
    if raw.len() == length { Ok(raw) } else { Err(damaged()) }
}

/// A value that holds rejected rows.
fn sealed_rejects(raw: &[u8]) -> Result<Vec<u8>> {
    let mut body = (raw.len() as u64).to_le_bytes().to_vec();
    let frame = zstd::bulk::compress(raw, REJECTS_COMPRESSION)
        .map_err(|error| Error::internal(format!("rejected rows cannot be compressed: {error}")))?;
    body.extend_from_slice(&frame);
    Ok(value::sealed(Kind::Rejects, &body))
}

/// Goes over everything stored of jobs that says something of persons, and changes it where it must be: rejected rows, which
/// keep their line and their reason, and a job's start. `put` takes the changed values. Returns how many rows were changed.
///
/// # Errors
/// `Corrupt` when a record is damaged; those of `put`.
pub fn rewrite(
    store: &Store,
    mut row: impl FnMut(&Job, RejectedRow) -> Option<RejectedRow>,
    start: impl Fn(&Job) -> Option<JobStart>,
    mut put: impl FnMut(LogKey, Vec<u8>) -> Result<()>,
) -> Result<u64> {
    let mut rows_changed = 0;
    for job in jobs(store)? {
        let id = job.id;
        if let Some(changed) = start(&job) {
            put(LogKey::Job(id, 0, RECORD), sealed_json(Kind::JobStart, &changed)?)?;
        }
        store.log().scan(LogKey::Job(id, 1, 0), LogKey::Job(JobId(id.0 + 1), 0, 0), |key, stored| {
            let LogKey::Job(_, window, part) = key else { return Ok(false) };
            if part < REJECTS {
                return Ok(true);
            }
            let (mut raw, mut changed) = (Vec::new(), 0);
            each_rejected(&open_rejects(id, window, stored)?, |before| {
                let after = row(&job, before.clone());
                changed += u64::from(after.is_some());
                let kept = after.unwrap_or(before);
                let RejectedRow { line, rejection, is_split, column, message, raw: record } = &kept;
                RejectedRow::put(*line, *rejection, *is_split, column, message, record, &mut raw);
                Ok(())
            })?;
            if changed > 0 {
                rows_changed += changed;
                put(key, sealed_rejects(&raw)?)?;
            }
            Ok(true)
        })?;
    }
    Ok(rows_changed)
}

/// Goes over rejected rows in their stored form, one behind the other.
///
/// # Errors
/// `Corrupt` when they are damaged; those of `visit`.
pub fn each_rejected(mut stored: &[u8], mut visit: impl FnMut(RejectedRow) -> Result<()>) -> Result<()> {
    while !stored.is_empty() {
        let row = RejectedRow::take(&mut stored);
        visit(row.ok_or_else(|| Error::corrupt("rejected rows cannot be read"))?)?;
    }
    Ok(())
}

/// How many rejected rows of a job were dropped; none if they are kept.
///
/// # Errors
/// `Corrupt` when the note is damaged.
pub fn forgotten(store: &impl Readable, id: JobId) -> Result<Option<u64>> {
    let stored = store.log().get(LogKey::Job(id, 0, FORGOTTEN))?;
    stored.map(|stored| open_json(Kind::Forgotten, &stored, &format!("the note of job {id}"))).transpose()
}

/// Drops the rejected rows of a job, and notes how many they were. Waits for all views to end.
///
/// # Errors
/// When the database fails.
pub fn forget(store: &Store, id: JobId, rows: u64) -> Result<()> {
    let mut parts = Vec::new();
    let range = LogKey::Job(id, 1, 0)..LogKey::Job(JobId(id.0 + 1), 0, 0);
    store.log().scan(range.start, range.end, |key, _| {
        if let LogKey::Job(_, _, part) = key
            && part >= REJECTS
        {
            parts.push(key);
        }
        Ok(true)
    })?;
    let mut commit = Commit::default();
    commit.put(LogKey::Job(id, 0, FORGOTTEN), &sealed_json(Kind::Forgotten, &rows)?);
    // A view's snapshot would keep them on the disk.
    let _alone = store.readers.alone();
    store.log().replace(&commit, &parts, range)
}

/// Goes over the customers that a job touched without an entry.
///
/// # Errors
/// `Corrupt` when the records are damaged.
pub fn touched(store: &Store, id: JobId, mut visit: impl FnMut(Touch)) -> Result<()> {
    store.log().scan(LogKey::Job(id, 1, 0), LogKey::Job(JobId(id.0 + 1), 0, 0), |key, stored| {
        if let LogKey::Job(_, window, TOUCHED) = key {
            open_touched(id, window, stored)?.into_iter().for_each(&mut visit);
        }
        Ok(true)
    })
}

pub(super) fn open_touched(id: JobId, window: u32, stored: &[u8]) -> Result<Vec<Touch>> {
    let damaged = || Error::corrupt(format!("touched customers of job {id}, window {window}, cannot be read"));
    let mut body = value::open(Kind::Touched, stored, &format_args!("touched customers of job {id}"))?;
    let mut touched = Vec::new();
    for _ in 0..take_varint(&mut body).ok_or_else(damaged)? {
        let customer = take_varint(&mut body).and_then(|number| u32::try_from(number).ok()).ok_or_else(damaged)?;
        let program = take_varint(&mut body).and_then(|number| u16::try_from(number).ok()).ok_or_else(damaged)?;
        let balance = take_varint(&mut body).ok_or_else(damaged)?;
        let reset_to = balance.checked_sub(1).map(u64::cast_signed);
        touched.push(Touch { customer: CustomerId(customer), program: ProgramId(program), reset_to, row_key: None });
    }
    while !body.is_empty() {
        let at = take_varint(&mut body).and_then(|at| usize::try_from(at).ok()).ok_or_else(damaged)?;
        let ((high, low), (content, rest)) = body
            .split_first_chunk::<8>()
            .and_then(|(high, rest)| Some((high, rest.split_first_chunk::<4>()?)))
            .and_then(|(high, (low, rest))| Some(((high, low), rest.split_first_chunk::<4>()?)))
            .ok_or_else(damaged)?;
        body = rest;
        touched.get_mut(at).ok_or_else(damaged)?.row_key = Some(RowKey {
            high: u64::from_le_bytes(*high),
            low: u32::from_le_bytes(*low),
            content: u32::from_le_bytes(*content),
        });
    }
    Ok(touched)
}

/// The ranges of ledger entries that a job's windows wrote.
///
/// # Errors
/// `Corrupt` when a record is damaged.
pub fn sequences(store: &impl Readable, id: JobId) -> Result<BTreeSet<(u64, u64)>> {
    let mut ranges = BTreeSet::new();
    store.log().scan(LogKey::Job(id, 1, 0), LogKey::Job(JobId(id.0 + 1), 0, 0), |key, stored| {
        if let LogKey::Job(_, window, RECORD) = key {
            let record: WindowRecord = open_json(Kind::Window, stored, &format!("window {window} of job {id}"))?;
            if record.sequences.0 < record.sequences.1 {
                ranges.insert(record.sequences);
            }
        }
        Ok(true)
    })?;
    Ok(ranges)
}
