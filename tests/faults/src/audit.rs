//! Whether a state is right in itself, computed by other means than the engine's.
//!
//! Balances are summed from the exported ledger, lots are summed up to balances, sequence numbers have no holes, each row of
//! the input has exactly one answer, each rejected one its line in the reject file, and the ledger's entries are what the
//! answers say. Where the outcome of each row is known beforehand, it is compared too.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ensure, state::State, verdict::Problem};

/// What the file says of one row, and what must become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line on which it begins.
    pub line: u64,
    /// What becomes of it, if that is known without the engine.
    pub outcome: Option<Outcome>,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its points are credited or, negative, debited.
    Applied(i64),
    /// It changes nothing.
    Unchanged,
    /// It is rejected with this code.
    Rejected(&'static str),
}

/// A record by the names of its columns.
type Record = BTreeMap<String, String>;

fn records(name: &str, text: &str) -> Result<Vec<Record>, Problem> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let wrong = |error: csv::Error| Problem::Wrong(format!("{name}: {error}"));
    let names = reader.headers().map_err(wrong)?.clone();
    let named =
        |record: csv::StringRecord| names.iter().zip(&record).map(|(n, cell)| (n.into(), cell.into())).collect();
    reader.records().map(|record| record.map(named).map_err(wrong)).collect()
}

fn cell<'a>(name: &str, record: &'a Record, column: &str) -> Result<&'a str, Problem> {
    record.get(column).map(String::as_str).ok_or_else(|| Problem::Wrong(format!("{name} has no column `{column}`")))
}

/// A whole number; an empty cell is none.
fn number(name: &str, record: &Record, column: &str) -> Result<Option<i64>, Problem> {
    match cell(name, record, column)? {
        "" => Ok(None),
        text => {
            let value = text.parse();
            value.map(Some).map_err(|_| Problem::Wrong(format!("{name}: `{column}` is {text:?}: {record:?}")))
        }
    }
}

/// Who has an account, and in which program.
fn account(name: &str, record: &Record) -> Result<[String; 5], Problem> {
    let mut cells = [const { String::new() }; 5];
    for (cell_of, column) in cells.iter_mut().zip(["user_id", "external_id", "email", "mobile", "program"]) {
        cell(name, record, column)?.clone_into(cell_of);
    }
    Ok(cells)
}

/// Checks that balances, lots and the ledger agree.
///
/// # Errors
/// They do not.
pub fn accounts(state: &State) -> Result<(), Problem> {
    let mut sums: BTreeMap<[String; 5], i64> = BTreeMap::new();
    for (record, expected) in records("ledger", &state.ledger)?.iter().zip(1..) {
        let sequence = number("ledger", record, "sequence")?;
        ensure!(sequence == Some(expected), "ledger: entry {expected} has the number {sequence:?}: {record:?}");
        if cell("ledger", record, "kind")?.starts_with("promise") {
            continue;
        }
        let amount = number("ledger", record, "amount")?.unwrap_or(0);
        let sum = sums.entry(account("ledger", record)?).or_default();
        *sum += amount;
        let after = number("ledger", record, "balance_after")?;
        ensure!(after.is_none_or(|after| after == *sum), "ledger: the entries sum up to {sum}: {record:?}");
    }
    let mut lots: BTreeMap<[String; 5], i64> = BTreeMap::new();
    for record in records("lots", &state.lots)? {
        if cell("lots", &record, "state")? == "available" {
            *lots.entry(account("lots", &record)?).or_default() += number("lots", &record, "remaining")?.unwrap_or(0);
        }
    }
    let mut seen = BTreeSet::new();
    for record in records("balances", &state.balances)? {
        let balance = number("balances", &record, "balance")?;
        let account = account("balances", &record)?;
        let sum = sums.remove(&account).unwrap_or(0);
        ensure!(balance == Some(sum), "balances: the ledger sums up to {sum}: {record:?}");
        // An overdraft has no lots.
        let remaining = lots.remove(&account).unwrap_or(0);
        ensure!(remaining == sum.max(0), "balances: the lots sum up to {remaining}: {record:?}");
        ensure!(seen.insert(account), "balances: an account is there twice: {record:?}");
    }
    ensure!(sums.values().all(|sum| *sum == 0), "balances: an account of the ledger is missing: {sums:?}");
    ensure!(lots.is_empty(), "balances: an account with lots is missing: {lots:?}");
    Ok(())
}

/// Checks that each row of the input has one answer, the one that is known, and that rejected rows, summary and ledger say
/// the same.
///
/// # Errors
/// They do not.
pub fn answers(state: &State, rows: &[Row], job: u32) -> Result<(), Problem> {
    let (mut rejected, mut applied) = (BTreeSet::new(), BTreeMap::new());
    let processed = records("processed", &state.processed)?;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (record, row) in processed.iter().zip(rows) {
        let line = number("processed", record, "line")?;
        let expected = i64::try_from(row.line).ok();
        ensure!(line == expected, "processed: the row of line {} is not answered in its place: {record:?}", row.line);
        let status = cell("processed", record, "status")?;
        let code = cell("processed", record, "code")?;
        let amount = number("processed", record, "amount")?.unwrap_or(0);
        *counts.entry(status).or_default() += 1;
        if status == "rejected" {
            rejected.insert(row.line);
        } else if amount != 0 {
            applied.insert(row.line, amount);
        }
        let is_as_known = match row.outcome {
            None => true,
            Some(Outcome::Applied(points)) => status == "applied" && amount == points,
            Some(Outcome::Unchanged) => status == "unchanged" && amount == 0,
            Some(Outcome::Rejected(known)) => status == "rejected" && code == known,
        };
        ensure!(is_as_known, "processed: expected {row:?}, found {record:?}");
    }
    ensure!(processed.len() == rows.len(), "{} of {} rows are answered", processed.len(), rows.len());
    let mut lines = BTreeSet::new();
    if !state.rejects.is_empty() {
        for record in records("rejects", &state.rejects)? {
            let line = number("rejects", &record, "line")?.and_then(|line| u64::try_from(line).ok());
            ensure!(line.is_some_and(|line| lines.insert(line)), "rejects: a line is there twice: {record:?}");
        }
    }
    ensure!(lines == rejected, "rejects: the lines are {lines:?}, those of the rejected rows {rejected:?}");
    for status in ["applied", "created", "updated", "unchanged", "rejected"] {
        let (said, counted) = (&state.summary["rows"][status], counts.get(status).copied().unwrap_or(0));
        ensure!(said.as_u64() == Some(counted), "job show: {said} rows are {status}, of the answers {counted}");
    }
    let read = &state.summary["rows"]["read"];
    ensure!(read.as_u64() == Some(rows.len() as u64), "job show: {read} rows were read of {}", rows.len());
    ledger_of_rows(state, job, applied)
}

/// Checks that the job's entries are the points of its answers.
fn ledger_of_rows(state: &State, job: u32, mut applied: BTreeMap<u64, i64>) -> Result<(), Problem> {
    let job = job.to_string();
    let moves_days = state.summary["kind"] == "import-expiry";
    for record in records("ledger", &state.ledger)? {
        if cell("ledger", &record, "job")? != job {
            continue;
        }
        let kind = cell("ledger", &record, "kind")?;
        let row = number("ledger", &record, "row")?.and_then(|row| u64::try_from(row).ok());
        if moves_days {
            // The answer's amount is what was moved or is over, perhaps of many lots.
            if kind == "expiry_change" || kind == "expire" {
                applied.remove(&row.unwrap_or(0));
            }
            continue;
        }
        // What was over before the row took effect is an entry of the same row.
        if !["credit", "debit", "reset"].contains(&kind) {
            continue;
        }
        let amount = number("ledger", &record, "amount")?.unwrap_or(0);
        let answered = row.and_then(|row| applied.remove(&row));
        ensure!(answered == Some(amount), "ledger: the row's answer is {answered:?}: {record:?}");
    }
    ensure!(applied.is_empty(), "ledger: rows of these lines are applied but have no entry: {applied:?}");
    Ok(())
}

#[cfg(test)]
mod tests;
