//! `tidemill customer`.

use tidemill::{
    engine::view::{CustomerView, HistoryLine, HistoryPage, LotView},
    error::Result,
};

use crate::{
    args::{HistoryArgs, ShowArgs},
    exit::Exit,
    settings::Settings,
    text::{
        Side::{Left, Right},
        grouped, one_line, table, without_empty,
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

fn customer_text(view: &CustomerView) -> String {
    let number = |number: u32| grouped(number);
    let cards = (!view.cards.is_empty()).then(|| view.cards.join(", "));
    let profile = [
        ("user_id", view.user_id.clone()),
        ("external_id", view.external_id.clone()),
        ("email", view.email.clone()),
        ("mobile", view.mobile.clone()),
        ("cards", cards),
        ("name", view.name.as_deref().map(one_line)),
        ("birthday", view.birthday.clone()),
        ("gender", view.gender.clone()),
        ("consent", view.consent.as_deref().map(one_line)),
        ("tier", view.tier.as_deref().map(one_line)),
        ("ltv", view.ltv.as_ref().map(grouped)),
        ("orders", view.orders.map(number)),
        ("created_at", view.created_at.clone()),
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
        header.extend(cells(["job", "row", "reason"]));
        sides.extend([Right, Right, Left]);
    }
    header.push("comment".to_owned());
    sides.push(Left);
    let mut rows = vec![header];
    rows.extend(page.lines.iter().map(|line| history_row(line, args.public)));
    without_empty(&["last day", "reference", "promotion"], &mut sides, &mut rows);
    let mut text = table("", &sides, &rows);
    if let Some(before) = page.next_before {
        text += &format!("\nNext: older entries with `--before {before}`\n");
    }
    text
}

fn history_row(line: &HistoryLine, public: bool) -> Vec<String> {
    let mut row = vec![
        line.sequence.to_string(),
        line.time.clone(),
        line.program.clone(),
        line.kind.clone(),
        grouped(&line.amount),
        grouped(&line.balance_after),
        line.expires_on.clone().unwrap_or_default(),
        reference_text(line.ref_type.as_deref(), line.ref_id.as_deref()),
        line.promotion_id.as_deref().map_or(String::new(), one_line),
    ];
    if !public {
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
        }
        assert!(Cli::try_parse_from(["tidemill", "customer", "show"]).is_err());
        assert!(Cli::try_parse_from(["tidemill", "customer", "show", "--card", "1", "--email", "x"]).is_err());
    }
}
