//! The summary of a job as a merchant's staff reads it: what became of every row, every point, and what to do next.

use std::collections::BTreeSet;

use clap::builder::styling::{AnsiColor, Style};
use tidemill::{
    domain::{
        job::{JobKind, JobState},
        rejection::Rejection,
    },
    report::summary::{
        BalanceChange, ExpiringChange, ExpiringMonth, FilePoints, PointSums, ProgramSums, RowCounts, SignAccount,
        Summary,
    },
};

use crate::again::Correction;
use crate::tell::notifications_text;
use crate::text::{
    Side::{Left, Right},
    bytes, counted, grouped, is_zero, minus, one_line, seconds, table,
};

const TITLE: Style = Style::new().bold();
const REJECTED: Style = AnsiColor::Yellow.on_default().bold();

/// The summary in words, several lines long. `rejects` is the file of rejected rows that was asked for.
pub fn summary_text(summary: &Summary, rejects: Option<&Correction<'_>>) -> String {
    let mut text = format!("{TITLE}{}{TITLE:#}\n", title(summary));
    text += &table("  ", &[Left, Left], &facts(summary));
    for other in &summary.other_programs {
        text += &format!("\nProgram `{}`\n", other.program);
        text += &table("  ", &[Left, Left], &program_facts(summary, other));
    }
    if let Some(expiring) = summary.expiring.as_ref().filter(|expiring| !expiring.is_nothing()) {
        text += "\nPoints by the month in which they expire\n";
        text += &table("  ", &[Left, Right, Right, Right], &expiring_rows(expiring, summary.dry_run));
    }
    if !summary.rejects.is_empty() {
        text += &format!("\n{REJECTED}Rejected rows{REJECTED:#}\n");
        text += &table("  ", &[Right, Left, Left], &reject_rows(summary));
    }
    if !summary.files.is_empty() {
        text += if summary.dry_run { "\nFiles written, as of a dry run\n" } else { "\nFiles written\n" };
        for file in &summary.files {
            text += &format!("  {file}\n");
        }
    }
    if !summary.notifications.is_empty() {
        text += "\nTold\n";
        text += &notifications_text("  ", &summary.notifications);
    }
    if let Some(next) = next_step(summary, rejects) {
        text += &format!("\n{next}\n");
    }
    text
}

/// What a job does, in words.
pub fn kind_text(kind: JobKind) -> &'static str {
    match kind {
        JobKind::ImportPoints => "import points",
        JobKind::ImportCustomers => "import customers",
        JobKind::ImportExpiry => "import expiry",
        JobKind::Adjust => "adjust",
        JobKind::Expire => "expire",
        JobKind::BulkCredit => "bulk credit",
        JobKind::BulkDebit => "bulk debit",
        JobKind::BulkReset => "bulk reset",
        JobKind::BulkConvertPromised => "bulk convert-promised",
        JobKind::EraseCustomer => "erase customer",
        JobKind::MergeCustomers => "merge customers",
        JobKind::Undo => "undo",
    }
}

fn title(summary: &Summary) -> String {
    let kind = kind_text(summary.kind);
    match summary.job {
        Some(job) => format!("Job {job}, {kind}: {}", summary.state.word()),
        None => format!("Dry run, {kind}: nothing was changed"),
    }
}

/// Label and value of what the job read, did and left.
fn facts(summary: &Summary) -> Vec<Vec<String>> {
    let mut facts = Vec::new();
    let mut fact = |label: &str, value: String| facts.push(vec![label.to_owned(), value]);
    if let Some(input) = &summary.input {
        let format = summary.format.as_ref().map_or(String::new(), |format| format!(", format `{format}`"));
        // That of nearly all files goes without saying.
        let encoding = summary.encoding.as_ref().filter(|encoding| *encoding != "utf-8");
        let encoding = encoding.map_or(String::new(), |encoding| format!(", read as {encoding}"));
        fact("file", format!("`{input}`{format}{encoding}, {}", bytes(summary.bytes_read)));
    }
    if let Some(undo) = summary.undone_by {
        fact("undone", format!("by job {undo}"));
    }
    if let Some(undo) = &summary.undo {
        fact("undoes", format!("job {}", undo.undoes));
    }
    if let Some(reason) = &summary.reason {
        fact("reason", one_line(reason));
    }
    match summary.kind {
        JobKind::Expire => fact("accounts", accounts_text(&summary.rows)),
        JobKind::Undo => undo_texts(summary).into_iter().for_each(|(label, text)| fact(label, text)),
        // What it did is in no row.
        JobKind::EraseCustomer | JobKind::MergeCustomers => {}
        JobKind::ImportPoints | JobKind::ImportCustomers | JobKind::ImportExpiry | JobKind::Adjust => {
            fact("rows", rows_text(&summary.rows));
        }
        JobKind::BulkCredit | JobKind::BulkDebit | JobKind::BulkReset | JobKind::BulkConvertPromised => {
            fact("selection", summary.selection.clone().unwrap_or_default());
            fact("customers", selected_text(&summary.rows));
        }
    }
    if summary.kept > 0 {
        fact(
            "",
            format!("{} left as they were, since they were filled before", counted(summary.kept, "cell", "cells")),
        );
    }
    if matches!(summary.kind, JobKind::EraseCustomer | JobKind::MergeCustomers) {
        fact("customers", counted(summary.customers.matched, "customer", "customers"));
        fact("time", seconds(summary.elapsed_s));
        return facts;
    }
    fact("points", format!("{}, program `{}`", points_text(summary.kind, &summary.points), summary.program));
    for warning in &summary.warnings {
        fact("warning", one_line(warning));
    }
    let is_import = matches!(summary.kind, JobKind::ImportPoints | JobKind::ImportCustomers);
    if is_import || summary.kind.is_bulk() {
        file_points_texts(&summary.file_points, if summary.kind.is_bulk() { "asked for" } else { "in the file" })
            .into_iter()
            .for_each(|text| fact("", text));
    }
    if summary.expiries_ignored > 0 {
        fact(
            "",
            format!("{} an expiry, which was ignored", counted(summary.expiries_ignored, "debit had", "debits had")),
        );
    }
    fact("balance", balance_text(&summary.balance, summary.dry_run));
    if !matches!(summary.kind, JobKind::Expire | JobKind::Undo) && !summary.kind.is_bulk() {
        fact("customers", customers_text(summary));
    }
    if let Some(undo) = summary.undo.as_ref().filter(|undo| undo.customers_stay > 0) {
        fact("customers", format!("{} that the job created or changed stay", grouped(undo.customers_stay)));
    }
    if !summary.ignored_columns.is_empty() {
        let columns = if summary.ignored_columns.len() == 1 { "column" } else { "columns" };
        fact("ignored", format!("the {columns} `{}`", summary.ignored_columns.join("`, `")));
    }
    let pace = if summary.rows_per_s > 0.0 && !matches!(summary.kind, JobKind::Expire | JobKind::Undo) {
        format!(", {} rows/s", grouped(summary.rows_per_s.round() as u64))
    } else {
        String::new()
    };
    fact("time", seconds(summary.elapsed_s) + &pace);
    facts
}

/// The same of another program that the job's rows named.
fn program_facts(summary: &Summary, other: &ProgramSums) -> Vec<Vec<String>> {
    let mut facts = vec![vec!["points".to_owned(), points_text(summary.kind, &other.points)]];
    if summary.kind == JobKind::ImportPoints {
        facts.extend(
            file_points_texts(&other.file_points, "in the file").into_iter().map(|text| vec![String::new(), text]),
        );
    }
    facts.push(vec!["balance".to_owned(), balance_text(&other.balance, summary.dry_run)]);
    facts
}

/// Where the file's points went that were not simply applied.
fn file_points_texts(points: &FilePoints, place: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for (sign, account) in [("credits", &points.credits), ("debits", &points.debits)] {
        texts.extend(account_text(account).map(|account| format!("{sign} {place}: {account}")));
    }
    if points.set_rows > 0 {
        let rows = counted(points.set_rows, "row sets", "rows set");
        texts.push(format!("{rows} the balance, to {} in all", grouped(&points.set)));
    }
    if points.unassigned_rows > 0 {
        let rows = counted(points.unassigned_rows, "row has", "rows have");
        texts.push(format!("{rows} no operation that can be read, with {} in all", grouped(&points.unassigned)));
    }
    if points.unreadable_rows > 0 {
        let rows = counted(points.unreadable_rows, "row has", "rows have");
        texts.push(format!("{rows} no amount that can be read"));
    }
    texts
}

fn accounts_text(rows: &RowCounts) -> String {
    match rows.read {
        0 => "none with points whose last day is over".to_owned(),
        accounts => format!("{} with points whose last day is over", grouped(accounts)),
    }
}

/// Months with what expired in them before and does after; promised points in lines of their own.
fn expiring_rows(expiring: &ExpiringChange, dry_run: bool) -> Vec<Vec<String>> {
    let after = if dry_run { "then" } else { "after" };
    let mut rows = vec![["month", "before", after, "change"].map(str::to_owned).to_vec()];
    let mut row = |label: String, before: &str, after: &str| {
        if !is_zero(before) || !is_zero(after) {
            let change = difference(before, after).unwrap_or_default();
            rows.push(vec![label, grouped(before), grouped(after), change]);
        }
    };
    let zero = &minus(&expiring.permanent.before, &expiring.permanent.before).unwrap_or_default();
    let months: BTreeSet<&String> = expiring.before.iter().chain(&expiring.after).map(|month| &month.month).collect();
    for month in months {
        let of = |months: &[ExpiringMonth], sum: fn(&ExpiringMonth) -> &String| {
            months.iter().find(|found| found.month == *month).map_or(zero, sum).clone()
        };
        let sums = |sum: fn(&ExpiringMonth) -> &String| (of(&expiring.before, sum), of(&expiring.after, sum));
        let (available, promised) = (sums(|month| &month.available), sums(|month| &month.promised));
        row(month.clone(), &available.0, &available.1);
        row(format!("{month}, promised"), &promised.0, &promised.1);
    }
    row("never".to_owned(), &expiring.permanent.before, &expiring.permanent.after);
    rows
}

/// What became of the customers that a bulk operation chose, and of the rows of the file that chose them.
fn selected_text(rows: &RowCounts) -> String {
    match rows.read {
        0 => "none".to_owned(),
        _ => rows_text(rows).replacen(" read: ", ": ", 1),
    }
}

/// What became of the accounts, why some were kept, and how many points stay.
fn undo_texts(summary: &Summary) -> Vec<(&'static str, String)> {
    let Some(undo) = &summary.undo else { return Vec::new() };
    let outcomes = [(undo.reversed, "reversed"), (undo.partly_reversed, "partly reversed"), (undo.kept, "kept")];
    let outcomes: Vec<_> = outcomes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{} {outcome}", grouped(*count)))
        .collect();
    let accounts = if outcomes.is_empty() { "none with points to take back".to_owned() } else { outcomes.join(", ") };
    let mut texts = vec![("accounts", accounts)];
    let meaning = |code: &str| match code {
        "absorbed" => "another job has set the balance or the last day since",
        "spent" => "points were spent",
        "expired" => "points have expired",
        _ => "the sum would not fit",
    };
    texts.extend(
        undo.reasons.iter().map(|(code, &count)| ("", format!("{} `{code}`: {}", grouped(count), meaning(code)))),
    );
    if !is_zero(&undo.not_reversed) {
        texts.push(("", format!("{} stay as the job left them", grouped(&undo.not_reversed))));
    }
    for (program, points) in &undo.other_not_reversed {
        texts.push(("", format!("{} of program `{program}` stay as the job left them", grouped(points))));
    }
    texts
}

fn rows_text(rows: &RowCounts) -> String {
    let outcomes = [
        (rows.applied, "applied"),
        (rows.created, "created a customer"),
        (rows.updated, "updated one"),
        (rows.unchanged, "changed nothing"),
        (rows.rejected, "rejected"),
    ];
    let outcomes: Vec<_> = outcomes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{} {outcome}", grouped(count)))
        .collect();
    match &outcomes[..] {
        [] => "none".to_owned(),
        outcomes => format!("{} read: {}", grouped(rows.read), outcomes.join(", ")),
    }
}

/// What moved. An expiring job moves nothing else, so it says so even of nothing.
fn points_text(kind: JobKind, points: &PointSums) -> String {
    let (moves, expires) = (!matches!(kind, JobKind::Expire | JobKind::ImportExpiry), kind == JobKind::Expire);
    let moved = points.moved.clone().unwrap_or_default();
    let sums = [
        (&moved, "with another last day", points.moved.is_some()),
        (&points.credited, "credited", moves),
        (&points.debited, "debited", moves),
        (&points.expired, "expired", expires),
        (&points.promised, "promised", false),
        (&points.promises_expired, "promised ones expired", false),
    ];
    let shown = sums.into_iter().filter(|(sum, _, is_always)| *is_always || !is_zero(sum));
    shown.map(|(sum, what, _)| format!("{} {what}", grouped(sum))).collect::<Vec<_>>().join(", ")
}

/// Where the points of one sign went; none if the file has none, or if all were applied.
fn account_text(account: &SignAccount) -> Option<String> {
    let rest = [
        (&account.rejected, "in rejected rows"),
        (&account.unchanged, "in rows that changed nothing"),
        (&account.not_taken, "not taken, as the balance was too small"),
        (&account.not_credited, "not credited, as rows name neither currency nor account"),
    ];
    let rest: Vec<_> = rest
        .iter()
        .filter(|(amount, _)| !is_zero(amount))
        .map(|(amount, place)| format!("{} {place}", grouped(amount)))
        .collect();
    let in_file = grouped(&account.in_file);
    (!rest.is_empty())
        .then(|| format!("{in_file}, of which {} applied, {}", grouped(&account.applied), rest.join(", ")))
}

fn balance_text(balance: &BalanceChange, dry_run: bool) -> String {
    let (before, after) = (&balance.before, &balance.after);
    let change = difference(before, after).map_or(String::new(), |change| format!(" ({change})"));
    let would = if dry_run { "would go " } else { "" };
    format!("{would}from {} to {}{change}, of all customers", grouped(before), grouped(after))
}

fn customers_text(summary: &Summary) -> String {
    let customers = summary.customers;
    let mut text = format!("{} known", grouped(customers.matched));
    if customers.created > 0 {
        text += &format!(", {} created", grouped(customers.created));
    }
    if customers.repeated > 0 {
        text += &format!(", {} in more than one row", grouped(customers.repeated));
    }
    text
}

/// Count, code and meaning, the most frequent first.
fn reject_rows(summary: &Summary) -> Vec<Vec<String>> {
    let mut counts: Vec<_> = summary.rejects.iter().collect();
    counts.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), **code));
    counts
        .into_iter()
        .map(|(code, count)| {
            let rejection = Rejection::ALL.iter().find(|rejection| rejection.code() == *code);
            vec![grouped(count), (*code).to_owned(), rejection.map_or("", |&found| meaning(found)).to_owned()]
        })
        .collect()
}

/// What a code means to the one who has to correct the file.
fn meaning(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::RowMalformed => "the row does not have the header's columns, or its quotes are broken",
        Rejection::EncodingInvalid => "the row holds bytes that are not text",
        Rejection::IdentifierMissing => "nothing in the row says who the customer is",
        Rejection::IdentifierInvalid => "an e-mail, mobile number or other identifier cannot be read",
        Rejection::AmountMissing => "the amount is empty",
        Rejection::AmountInvalid => "the amount is not a number, or has a sign or grouping it must not have",
        Rejection::AmountPrecision => "the amount has more decimals than the program",
        Rejection::AmountRange => "the amount is too large",
        Rejection::OperationInvalid => "the operation is not known to the format",
        Rejection::ExpiryInvalid => "the last day is no date or number of days, or is over",
        Rejection::ExpiryNotEarlier => "the new expiry would not be earlier",
        Rejection::ExpiryNotLater => "the new expiry would not be later",
        Rejection::FieldInvalid => "another cell cannot be read",
        Rejection::CurrencyUnknown => "no program has this currency",
        Rejection::ProgramUnknown => "no program has this code",
        Rejection::TierUnknown => "the store does not declare this tier",
        Rejection::IdentifierUnknown => "no customer has this identifier",
        Rejection::IdentifierConflict => "the identifiers belong to different customers",
        Rejection::IdentifierTaken => "an identifier belongs to another customer",
        Rejection::RepeatedCustomer => "an earlier row set this customer to another amount",
        Rejection::RowIdConflict => "the row id was applied before with other content",
        Rejection::InsufficientBalance => "the customer has fewer points than the debit takes",
        Rejection::BalanceOverflow => "the balance would become too large",
    }
}

fn next_step(summary: &Summary, rejects: Option<&Correction<'_>>) -> Option<String> {
    let has_rejects = summary.rows.rejected > 0 && summary.kind != JobKind::Adjust;
    match (summary.job, summary.state, rejects) {
        (Some(job), JobState::Unfinished, _) => Some(format!("Next: `tidemill job resume {job}` goes on with it")),
        (Some(_), JobState::Finished | JobState::Cancelled, Some(Correction { file, command })) if has_rejects => {
            Some(format!("Next: correct the rows in `{}`, then `{command}`", file.display()))
        }
        (Some(job), JobState::Finished | JobState::Cancelled, None) if has_rejects && summary.kind.is_bulk() => {
            Some(format!(
                "Next: `tidemill job rejects {job} -o rejects-{job}.csv` writes whom it refused; another operation takes \
                 them as `--customers rejects-{job}.csv`"
            ))
        }
        (Some(job), JobState::Finished | JobState::Cancelled, None) if has_rejects => Some(format!(
            "Next: `tidemill job rejects {job} -o rejects-{job}.csv` writes the rejected rows; correct them, and import \
             that file with the flags of this job"
        )),
        (None, _, None) if has_rejects && summary.files.is_empty() => {
            Some("Next: with `--processed FILE` a dry run tells what would become of every row".to_owned())
        }
        (Some(_) | None, _, _) => None,
    }
}

/// The signed difference of two decimal texts with the same number of decimals.
fn difference(before: &str, after: &str) -> Option<String> {
    let difference = minus(after, before)?;
    let sign = if difference.starts_with('-') || is_zero(&difference) { "" } else { "+" };
    Some(sign.to_owned() + &grouped(&difference))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidemill::{domain::id::JobId, report::summary::CustomerCounts};

    use super::*;

    fn text(amount: &str) -> String {
        amount.to_owned()
    }

    fn summary() -> Summary {
        let debits = SignAccount {
            in_file: text("2500"),
            applied: text("1300"),
            rejected: text("1200"),
            unchanged: text("0"),
            not_taken: text("0"),
            not_credited: text("0"),
        };
        Summary {
            job: Some(JobId(3)),
            kind: JobKind::ImportPoints,
            state: JobState::Finished,
            format: Some(text("nector")),
            rows: RowCounts { read: 12_000, applied: 11_990, created: 0, updated: 0, unchanged: 1, rejected: 9 },
            points: PointSums {
                credited: text("1070"),
                debited: text("1300"),
                expired: text("0"),
                promised: text("0"),
                promises_expired: text("0"),
                moved: None,
            },
            balance: BalanceChange { before: text("2056"), after: text("1826") },
            customers: CustomerCounts { matched: 8, created: 0, repeated: 3 },
            rejects: BTreeMap::from([("amount_missing", 1), ("identifier_unknown", 6), ("insufficient_balance", 2)]),
            elapsed_s: 0.5,
            rows_per_s: 24_000.0,
            bytes_read: 350_120,
            program: text("points"),
            dry_run: false,
            kept: 0,
            file_points: FilePoints { debits, ..FilePoints::default() },
            other_programs: Vec::new(),
            expiries_ignored: 0,
            ignored_columns: vec![text("note"), text("shop")],
            files: vec![text("rejects.csv")],
            expiring: None,
            warnings: Vec::new(),
            reason: Some(text("Diwali")),
            selection: None,
            input: Some(text("points.csv")),
            encoding: Some(text("utf-8")),
            undo: None,
            undone_by: None,
            notifications: Vec::new(),
            cost: None,
        }
    }

    #[test]
    fn a_summary_says_what_became_of_rows_and_points_and_what_is_next() {
        let shown = anstream::adapter::strip_str(&summary_text(&summary(), None)).to_string();
        let expected = "\
Job 3, import points: finished
  file       `points.csv`, format `nector`, 350.1 kB
  reason     Diwali
  rows       12 000 read: 11 990 applied, 1 changed nothing, 9 rejected
  points     1 070 credited, 1 300 debited, program `points`
             debits in the file: 2 500, of which 1 300 applied, 1 200 in rejected rows
  balance    from 2 056 to 1 826 (-230), of all customers
  customers  8 known, 3 in more than one row
  ignored    the columns `note`, `shop`
  time       0.50 s, 24 000 rows/s

Rejected rows
  6  identifier_unknown    no customer has this identifier
  2  insufficient_balance  the customer has fewer points than the debit takes
  1  amount_missing        the amount is empty

Files written
  rejects.csv

Next: `tidemill job rejects 3 -o rejects-3.csv` writes the rejected rows; correct them, and import that file with the flags of this job
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_summary_names_what_expired_was_promised_or_belongs_to_other_programs() {
        let points = PointSums { expired: text("20"), promised: text("50"), ..summary().points };
        let other = ProgramSums {
            program: text("miles"),
            points: PointSums { credited: text("10.55"), debited: text("0.00"), ..PointSums::default() },
            balance: BalanceChange { before: text("0.00"), after: text("10.55") },
            file_points: FilePoints { set_rows: 1, set: text("7.00"), ..FilePoints::default() },
        };
        let summary = Summary { points, expiries_ignored: 1, other_programs: vec![other], ..summary() };
        let shown = anstream::adapter::strip_str(&summary_text(&summary, None)).to_string();
        let (_, shown) = shown.split_once("24 000 rows/s").unwrap();
        assert!(shown.starts_with(
            "

Program `miles`
  points   10.55 credited, 0.00 debited
           1 row sets the balance, to 7.00 in all
  balance  from 0.00 to 10.55 (+10.55), of all customers

Rejected rows
"
        ));
        let lines: Vec<_> = facts(&summary).into_iter().map(|fact| fact.join("|")).collect();
        for line in [
            "points|1 070 credited, 1 300 debited, 20 expired, 50 promised, program `points`",
            "|1 debit had an expiry, which was ignored",
        ] {
            assert!(lines.contains(&line.to_owned()), "{lines:#?}");
        }
    }

    #[test]
    fn an_expiring_job_speaks_of_accounts() {
        let rows = RowCounts { read: 3, applied: 3, ..RowCounts::default() };
        let points = PointSums {
            credited: text("0"),
            debited: text("0"),
            expired: text("1200"),
            promised: text("0"),
            promises_expired: text("50"),
            moved: None,
        };
        let expire = Summary {
            kind: JobKind::Expire,
            rows,
            points,
            rejects: BTreeMap::new(),
            files: Vec::new(),
            ignored_columns: Vec::new(),
            reason: None,
            input: None,
            ..summary()
        };
        let shown = anstream::adapter::strip_str(&summary_text(&expire, None)).to_string();
        let expected = "\
Job 3, expire: finished
  accounts  3 with points whose last day is over
  points    1 200 expired, 50 promised ones expired, program `points`
  balance   from 2 056 to 1 826 (-230), of all customers
  time      0.50 s
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_job_on_expiry_shows_months_before_and_after() {
        let month = |month: &str, available: &str, promised: &str| ExpiringMonth {
            month: text(month),
            available: text(available),
            promised: text(promised),
        };
        let expiring = ExpiringChange {
            before: vec![month("2027-03", "1200.50", "0.00"), month("2027-04", "7.00", "3.00")],
            after: vec![month("2027-04", "7.00", "0.00"), month("2029-03", "1200.50", "0.00")],
            permanent: BalanceChange { before: text("10.00"), after: text("10.00") },
        };
        let points = PointSums { moved: Some(text("1200.50")), promises_expired: text("3.00"), ..summary().points };
        let summary = Summary {
            kind: JobKind::ImportExpiry,
            points,
            expiring: Some(expiring),
            warnings: vec![text("no points of the program `points` are of the promotion `X`")],
            ..summary()
        };
        let shown = anstream::adapter::strip_str(&summary_text(&summary, None)).to_string();
        for part in [
            "Job 3, import expiry: finished\n",
            "  points     1 200.50 with another last day, 1 070 credited, 1 300 debited, 3.00 promised ones expired, program",
            "  warning    no points of the program `points` are of the promotion `X`\n",
            "
Points by the month in which they expire
  month                before     after     change
  2027-03            1 200.50      0.00  -1 200.50
  2027-04                7.00      7.00       0.00
  2027-04, promised      3.00      0.00      -3.00
  2029-03                0.00  1 200.50  +1 200.50
  never                 10.00     10.00       0.00

Rejected rows
",
        ] {
            assert!(shown.contains(part), "{shown}\n\nlacks\n\n{part}");
        }
    }

    #[test]
    fn a_dry_run_says_that_nothing_was_changed() {
        let shown = summary_text(&Summary { job: None, dry_run: true, ..summary() }, None);
        assert!(shown.contains("Dry run, import points: nothing was changed"), "{shown}");
        assert!(shown.contains("would go from 2 056 to 1 826 (-230)"), "{shown}");
        assert!(shown.contains("Files written, as of a dry run") && !shown.contains("Next:"), "{shown}");
    }

    #[test]
    fn the_difference_has_a_sign_and_the_programs_decimals() {
        for (before, after, change) in [
            ("0", "1200", "+1 200"),
            ("1.50", "-0.05", "-1.55"),
            ("5", "5", "0"),
            ("0.00", "0.07", "+0.07"),
            ("-1000.0", "0.0", "+1 000.0"),
        ] {
            assert_eq!(difference(before, after).as_deref(), Some(change));
        }
    }
}
