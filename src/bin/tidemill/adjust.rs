//! `tidemill adjust`.

use tidemill::{
    domain::{
        command::{OnOverdraft, Operation},
        outcome::Status,
    },
    engine::{
        request::{AdjustRequest, PointsExpiry},
        view::AdjustView,
    },
    error::Result,
};

use crate::{
    args::{AddArgs, AdjustArgs, DebitArgs},
    exit::Exit,
    settings::Settings,
    text::{Side::Left, grouped, table},
};

/// `tidemill adjust credit`.
pub fn credit(settings: &Settings, args: AddArgs) -> Result<Exit> {
    let expiry = args.expiry.expiry();
    adjust(settings, args.adjust, Operation::Credit, OnOverdraft::default(), expiry)
}

/// `tidemill adjust debit`.
pub fn debit(settings: &Settings, args: DebitArgs) -> Result<Exit> {
    adjust(settings, args.adjust, Operation::Debit, args.on_overdraft.unwrap_or_default(), None)
}

/// `tidemill adjust reset`.
pub fn reset(settings: &Settings, args: AddArgs) -> Result<Exit> {
    let expiry = args.expiry.expiry();
    adjust(settings, args.adjust, Operation::Set, OnOverdraft::default(), expiry)
}

fn adjust(
    settings: &Settings,
    args: AdjustArgs,
    operation: Operation,
    on_overdraft: OnOverdraft,
    expiry: Option<PointsExpiry>,
) -> Result<Exit> {
    let request = AdjustRequest { identifiers: args.who.pairs(), operation, amount: args.amount, on_overdraft, expiry };
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
