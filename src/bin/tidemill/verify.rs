//! `tidemill verify`.

use tidemill::{engine::view::VerifyView, error::Result};

use crate::{
    exit::Exit,
    settings::Settings,
    text::{Side::Left, grouped, table},
};

/// `tidemill verify`: fails if anything is wrong.
pub fn verify(settings: &Settings) -> Result<Exit> {
    let view = settings.open()?.verify()?;
    settings.output.result(&view, || verify_text(&view))?;
    Ok(if view.ok { Exit::Done } else { Exit::Failed })
}

fn verify_text(view: &VerifyView) -> String {
    let facts = [
        ("customers", grouped(view.customers), &view.digest.customers),
        ("accounts", grouped(view.accounts), &view.digest.accounts),
        ("ledger entries", grouped(view.ledger_entries), &view.digest.ledger),
    ];
    let rows: Vec<_> = facts
        .into_iter()
        .map(|(label, count, digest)| vec![label.to_owned(), count, format!("digest {digest}")])
        .collect();
    let mut text = if view.ok { "The store is sound\n" } else { "The store is damaged\n" }.to_owned();
    text += &table("  ", &[Left, Left, Left], &rows);
    if !view.problems.is_empty() {
        text += "\nProblems\n";
        for problem in &view.problems {
            text += &format!("  {problem}\n");
        }
        text += "\nNext: stop using this store and restore a backup\n";
    }
    text
}
