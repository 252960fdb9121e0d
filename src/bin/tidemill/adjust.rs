//! `tidemill adjust`.

use tidemill::{
    domain::{
        command::{OnOverdraft, Operation},
        outcome::Status,
    },
    engine::{request::AdjustRequest, view::AdjustView},
    error::Result,
};

use crate::{
    args::{AdjustArgs, DebitArgs},
    exit::Exit,
    settings::Settings,
    text::{Side::Left, grouped, table},
};

/// `tidemill adjust credit`.
pub fn credit(settings: &Settings, args: AdjustArgs) -> Result<Exit> {
    adjust(settings, args, Operation::Credit, OnOverdraft::default())
}

/// `tidemill adjust debit`.
pub fn debit(settings: &Settings, args: DebitArgs) -> Result<Exit> {
    adjust(settings, args.adjust, Operation::Debit, args.on_overdraft.unwrap_or_default())
}

/// `tidemill adjust reset`.
pub fn reset(settings: &Settings, args: AdjustArgs) -> Result<Exit> {
    adjust(settings, args, Operation::Set, OnOverdraft::default())
}

fn adjust(settings: &Settings, args: AdjustArgs, operation: Operation, on_overdraft: OnOverdraft) -> Result<Exit> {
    let request =
        AdjustRequest { identifiers: args.who.pairs(), operation, amount: args.amount, on_overdraft, expiry: None };
    let job = args.entry.request();
    let view = settings.open()?.adjust(&job, &request)?;
    settings.output.result(&view, || adjust_text(&view, job.dry_run))?;
    Ok(Exit::of_rejected(u64::from(view.status == Status::Rejected)))
}

fn adjust_text(view: &AdjustView, dry_run: bool) -> String {
    let outcome = view.status.word();
    let mut text = match view.job {
        Some(job) => format!("Job {job}, adjust: {outcome}\n"),
        None if dry_run => format!("Dry run, adjust: {outcome}; nothing was changed\n"),
        None => format!("Adjust: {outcome}; nothing was changed\n"),
    };
    let code = view.code.map(|code| code.code().to_owned());
    let amount = (view.status != Status::Rejected).then(|| grouped(&view.amount));
    let facts = [
        ("code", code),
        ("message", view.message.clone()),
        ("amount", amount),
        ("balance", view.balance.as_ref().map(grouped)),
    ];
    let rows: Vec<_> = facts.into_iter().filter_map(|(label, value)| Some(vec![label.to_owned(), value?])).collect();
    text += &table("  ", &[Left, Left], &rows);
    text
}
