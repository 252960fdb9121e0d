//! `tidemill customer`.

use std::io::{IsTerminal, stderr, stdin};

use tidemill::{
    domain::entry::EntryKind,
    engine::{
        request::{JobRequest, MergeRequest},
        view::{CustomerView, EraseView, FormerIdentifier, HistoryLine, HistoryPage, LotView, MergeView},
    },
    error::{Error, Result},
    job::progress::Progress,
};

use crate::{
    args::{EraseArgs, HistoryArgs, MergeArgs, ShowArgs},
    exit::Exit,
    output::talk,
    settings::Settings,
    text::{
        Side::{Left, Right},
        counted, grouped, one_line, table, without_empty,
    },
};

/// `tidemill customer show`.
pub fn show(settings: &Settings, args: &ShowArgs) -> Result<Exit> {
    let (kind, value) = args.who.pair();
    let view = settings.open()?.customer(kind, value)?;
    settings.output.result(&view, || customer_text(&view))?;
    Ok(Exit::Done)
}

/// `tidemill customer history`.
pub fn history(settings: &Settings, args: &HistoryArgs) -> Result<Exit> {
    let (kind, value) = args.who.pair();
    let page = settings.open()?.history(kind, value, args.program.as_deref(), args.before, args.lines, args.public)?;
    settings.output.result(&page, || history_text(&page, args))?;
    Ok(Exit::Done)
}

/// `tidemill customer erase`.
pub fn erase(settings: &Settings, args: &EraseArgs) -> Result<Exit> {
    let (kind, value) = args.who.pair();
    let engine = settings.open()?;
    let request = |dry_run| JobRequest { dry_run, ..JobRequest::default() };
    let erase = |dry_run| engine.erase(&request(dry_run), kind, value, &Progress::default());
    if !args.yes && !args.dry_run {
        confirm("erase", || Ok(erase_text(&erase(true)?)))?;
    }
    let view = erase(args.dry_run)?;
    settings.output.result(&view, || erase_text(&view))?;
    if view.job.is_some() {
        settings.output.note(
            "Not touched: input files, reports, exports, and backups that were made before. Delete them if they name the \
             customer.",
        );
    }
    Ok(Exit::Done)
}

/// `tidemill customer merge`.
pub fn merge(settings: &Settings, args: MergeArgs) -> Result<Exit> {
    let owned = |(kind, value): (_, &str)| (kind, value.to_owned());
    let request = MergeRequest { into: owned(args.who.pair()), from: owned(args.from.pair()) };
    let job = JobRequest { reason: args.reason, dry_run: args.dry_run, now: args.now, ..JobRequest::default() };
    let view = settings.open()?.merge(&job, &request, &Progress::default())?;
    settings.output.result(&view, || merge_text(&view))?;
    Ok(Exit::Done)
}

fn merge_text(view: &MergeView) -> String {
    let (merged, customer) = (view.merged, view.customer);
    let mut text = match view.job {
        Some(job) => format!("Job {job}, merge: customer {merged} is a part of customer {customer} now\n"),
        None => format!("Dry run, merge: customer {merged} into customer {customer}; nothing was changed\n"),
    };
    let former = match view.former_identifiers {
        0 => String::new(),
        former => format!(", {} of them former", grouped(former)),
    };
    let facts = vec![vec!["identifiers".to_owned(), grouped(view.identifiers) + &former]];
    text += &table("  ", &[Left, Left], &facts);
    if !view.programs.is_empty() {
        let mut rows = vec![cells(["program", "moved", "promised", "balance", "expired"])];
        rows.extend(view.programs.iter().map(|points| {
            let amounts = [&points.moved, &points.promised, &points.balance, &points.expired];
            std::iter::once(points.program.clone()).chain(amounts.map(grouped)).collect()
        }));
        text += "\nPoints\n";
        text += &table("  ", &[Left, Right, Right, Right, Right], &rows);
    }
    text
}

/// Asks whether to do what `preview` says, and takes only `yes` for an answer.
fn confirm(what: &str, preview: impl FnOnce() -> Result<String>) -> Result<()> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        let message = format!("`{what}` cannot be undone, and there is no terminal to ask on");
        return Err(Error::refused("not_confirmed", message)
            .hint("nothing was changed; look with `--dry-run`, and add `--yes` if it is meant"));
    }
    talk(preview()?);
    talk(format_args!("This cannot be undone. To {what}, type `yes`:"));
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(|error| Error::io("the answer", &error))?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Error::refused("not_confirmed", "the answer was not `yes`").hint("nothing was changed"))
}

fn erase_text(view: &EraseView) -> String {
    let customer = view.customer;
    let mut text = match view.job {
        Some(job) => format!("Job {job}, erase: customer {customer} has no name any more\n"),
        None => format!("Dry run, erase: customer {customer}; nothing was changed\n"),
    };
    let rows = [
        ("identifiers", grouped(view.identifiers)),
        ("records", grouped(view.records)),
        ("rejected rows", grouped(view.rejected_rows)),
        (
            "texts",
            format!(
                "in {} and {}",
                counted(view.ledger_pages, "page of the ledger", "pages of the ledger"),
                counted(view.jobs, "job", "jobs")
            ),
        ),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(label, value)| vec![label.to_owned(), value]).collect();
    text += &table("  ", &[Left, Left], &rows);
    text
}

fn customer_text(view: &CustomerView) -> String {
    let number = |number: u32| grouped(number);
    let cards = (!view.cards.is_empty()).then(|| view.cards.join(", "));
    let former = |former: &FormerIdentifier| format!("{} {}", former.kind, one_line(&former.value));
    let former: Vec<String> = view.former_identifiers.iter().map(former).collect();
    let former = (!former.is_empty()).then(|| former.join(", "));
    let merged: Vec<String> = view.merged.iter().map(u32::to_string).collect();
    let merged = (!merged.is_empty()).then(|| format!("customer {}", merged.join(", ")));
    let profile = [
        ("user_id", view.user_id.clone()),
        ("external_id", view.external_id.clone()),
        ("email", view.email.clone()),
        ("mobile", view.mobile.clone()),
        ("cards", cards),
        ("former", former),
        ("name", view.name.as_deref().map(one_line)),
        ("birthday", view.birthday.clone()),
        ("gender", view.gender.clone()),
        ("consent", view.consent.as_deref().map(one_line)),
        ("tier", view.tier.as_deref().map(one_line)),
        ("ltv", view.ltv.as_ref().map(grouped)),
        ("orders", view.orders.map(number)),
        ("created_at", view.created_at.clone()),
        ("merged", merged),
    ];
    let rows: Vec<_> = profile.into_iter().filter_map(|(label, value)| Some(vec![label.to_owned(), value?])).collect();
    let mut text = format!("Customer {}\n", view.customer) + &table("  ", &[Left, Left], &rows);

    let mut rows = vec![cells(["program", "balance", "promised"])];
    for account in &view.accounts {
        rows.push(vec![account.program.clone(), grouped(&account.balance), grouped(&account.promised)]);
    }
    text += "\nAccounts\n";
    text += &table("  ", &[Left, Right, Right], &rows);

    let mut rows = vec![cells(["program", "remaining", "state", "last day", "reference", "promotion"])];
    for account in &view.accounts {
        rows.extend(account.lots.iter().map(|lot| lot_row(&account.program, lot)));
    }
    if rows.len() > 1 {
        let mut sides = vec![Left, Right, Left, Left, Left, Left];
        without_empty(&["reference", "promotion"], &mut sides, &mut rows);
        text += "\nLots\n";
        text += &table("  ", &sides, &rows);
    }
    text
}

fn lot_row(program: &str, lot: &LotView) -> Vec<String> {
    vec![
        program.to_owned(),
        grouped(&lot.remaining),
        lot.state.clone(),
        lot.expires_on.as_deref().unwrap_or("permanent").to_owned(),
        reference_text(lot.ref_type.as_deref(), lot.ref_id.as_deref()),
        lot.promotion_id.as_deref().map_or(String::new(), one_line),
    ]
}

/// What points were given for: `order 10045`.
fn reference_text(kind: Option<&str>, id: Option<&str>) -> String {
    kind.into_iter().chain(id).map(one_line).collect::<Vec<_>>().join(" ")
}

fn history_text(page: &HistoryPage, args: &HistoryArgs) -> String {
    if page.lines.is_empty() {
        return "No entries\n".to_owned();
    }
    let mut header =
        cells(["entry", "time", "program", "kind", "amount", "balance", "last day", "reference", "promotion"]);
    let mut sides = vec![Right, Left, Left, Left, Right, Right, Left, Left, Left];
    if !args.public {
        header.extend(cells(["of", "job", "row", "reason"]));
        sides.extend([Left, Right, Right, Left]);
    }
    header.push("comment".to_owned());
    sides.push(Left);
    let mut rows = vec![header];
    rows.extend(page.lines.iter().map(|line| history_row(line, args.public)));
    without_empty(&["last day", "reference", "promotion", "of"], &mut sides, &mut rows);
    let mut text = table("", &sides, &rows);
    if let Some(before) = page.next_before {
        text += &format!("\nNext: older entries with `--before {before}`\n");
    }
    text
}

/// The last day that an entry says, and the former one where it changed it.
fn last_day_text(line: &HistoryLine) -> String {
    let day = line.expires_on.clone();
    if line.kind != EntryKind::ExpiryChange.word() {
        return day.unwrap_or_default();
    }
    let before = line.expires_on_before.as_deref().unwrap_or("permanent");
    format!("{}, was {before}", day.as_deref().unwrap_or("permanent"))
}

fn history_row(line: &HistoryLine, public: bool) -> Vec<String> {
    let mut row = vec![
        line.sequence.to_string(),
        line.time.clone(),
        line.program.clone(),
        line.kind.clone(),
        grouped(&line.amount),
        grouped(&line.balance_after),
        last_day_text(line),
        reference_text(line.ref_type.as_deref(), line.ref_id.as_deref()),
        line.promotion_id.as_deref().map_or(String::new(), one_line),
    ];
    if !public {
        row.push(line.merged.map_or(String::new(), |merged| format!("customer {merged}")));
        row.push(line.job.map_or(String::new(), |job| job.to_string()));
        // Adjustments have no file, and expired points no row.
        row.push(line.row.filter(|&row| row > 0).map_or(String::new(), |row| row.to_string()));
        row.push(line.reason.as_deref().map_or(String::new(), one_line));
    }
    row.push(line.comment.as_deref().map_or(String::new(), one_line));
    row
}

fn cells<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tidemill::domain::identifier::IdentifierKind;

    use crate::args::{Cli, Command, CustomerCommand};

    #[test]
    fn every_kind_of_identifier_has_its_flag() {
        for &kind in IdentifierKind::ALL {
            let flag = format!("--{}", kind.name().replace('_', "-"));
            let cli = Cli::try_parse_from(["tidemill", "customer", "show", &flag, "x"]).unwrap();
            let Command::Customer(CustomerCommand::Show(show)) = cli.command else { panic!("another command") };
            assert_eq!(show.who.pair(), (kind, "x"));
            let from = format!("--from-{}", kind.name().replace('_', "-"));
            let cli = Cli::try_parse_from(["tidemill", "customer", "merge", &flag, "x", &from, "y"]).unwrap();
            let Command::Customer(CustomerCommand::Merge(merge)) = cli.command else { panic!("another command") };
            assert_eq!((merge.who.pair(), merge.from.pair()), ((kind, "x"), (kind, "y")));
            assert!(Cli::try_parse_from(["tidemill", "customer", "merge", &flag, "x"]).is_err());
            assert!(Cli::try_parse_from(["tidemill", "customer", "merge", &from, "x"]).is_err());
        }
        assert!(Cli::try_parse_from(["tidemill", "customer", "show"]).is_err());
        assert!(Cli::try_parse_from(["tidemill", "customer", "show", "--card", "1", "--email", "x"]).is_err());
    }
}
