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
    text::grouped,
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
    let request = AdjustRequest { identifiers: args.who.pairs(), operation, amount: args.amount, on_overdraft };
    let job = args.entry.request();
    let view = settings.open()?.adjust(&job, &request)?;
    settings.output.result(&view, || adjust_text(&view))?;
    Ok(Exit::of_rejected(u64::from(view.status == Status::Rejected)))
}

fn adjust_text(view: &AdjustView) -> String {
    let mut text = match view.job {
        Some(job) => format!("Job {job}, adjust: {}", view.status.word()),
        None => format!("Dry run, adjust: {}; nothing was changed", view.status.word()),
    };
    text += "\n";
    if let Some(code) = view.code {
        text += &format!("  code     {}\n", code.code());
    }
    if let Some(message) = &view.message {
        text += &format!("  message  {message}\n");
    }
    if view.status != Status::Rejected {
        text += &format!("  amount   {}\n", grouped(&view.amount));
    }
    if let Some(balance) = &view.balance {
        text += &format!("  balance  {}\n", grouped(balance));
    }
    text
}
