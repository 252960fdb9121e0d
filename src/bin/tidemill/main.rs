//! The `tidemill` command. It sees only the library's public API: it reads the command line, asks the engine, and says
//! what happened.
//!
//! The order of a run is the order of the files: `args` (what can be asked), `settings` (flag, environment, file,
//! default), `dialogue` (what is asked on a terminal), `watch` with `signals` and `progress` (what happens around a job), one file for each group of commands, and
//! `output` with `text` and `summary` (what is said). Results go to standard output, talk to standard error; `exit`
//! holds the exit codes, which never change.

mod adjust;
mod again;
mod args;
mod bench;
mod bulk;
mod child;
mod completions;
mod customer;
mod dialogue;
mod exit;
mod expire;
mod export;
mod file;
mod formats;
mod import;
mod job;
mod output;
mod preview;
mod program;
mod progress;
mod settings;
mod signals;
mod store;
mod summary;
mod tell;
mod text;
mod verify;
mod watch;
mod workbook;

use std::process::ExitCode;

use clap::Parser;
use tidemill::error::Result;

use crate::{
    args::{AdjustCommand, Cli, Command, CustomerCommand, ImportCommand, JobCommand, ProgramCommand, StoreCommand},
    exit::Exit,
    output::Output,
    settings::Settings,
};

fn main() -> ExitCode {
    let given: Vec<_> = std::env::args_os().collect();
    output::choose_color_early(&given);
    let cli = match Cli::try_parse_from(&given) {
        Ok(cli) => cli,
        Err(error) => return output::command_line(&error, output::asks_for_json(&given)).into(),
    };
    // Until the settings are known, an error about them can only be shown as the flags say.
    let output = Output::new(cli.global.json, cli.global.quiet);
    let exit = Settings::resolve(cli.global).and_then(|settings| run(&settings, cli.command)).unwrap_or_else(|error| {
        output.error(&error);
        Exit::of_error(&error, signals::received())
    });
    exit.into()
}

fn run(settings: &Settings, command: Command) -> Result<Exit> {
    match command {
        Command::Import(ImportCommand::Points(points)) => import::points(settings, points),
        Command::Import(ImportCommand::Customers(customers)) => import::customers(settings, customers),
        Command::Import(ImportCommand::Expiry(expiry)) => import::expiry(settings, expiry),
        Command::Adjust(AdjustCommand::Credit(credit)) => adjust::credit(settings, credit),
        Command::Adjust(AdjustCommand::Debit(debit)) => adjust::debit(settings, debit),
        Command::Adjust(AdjustCommand::Reset(reset)) => adjust::reset(settings, reset),
        Command::Bulk(bulk) => bulk::bulk(settings, bulk),
        Command::Expire(expire) => expire::expire(settings, expire),
        Command::Customer(CustomerCommand::Show(show)) => customer::show(settings, &show),
        Command::Customer(CustomerCommand::History(history)) => customer::history(settings, &history),
        Command::Customer(CustomerCommand::Erase(erase)) => customer::erase(settings, &erase),
        Command::Customer(CustomerCommand::Merge(merge)) => customer::merge(settings, merge),
        Command::Job(JobCommand::List) => job::list(settings),
        Command::Job(JobCommand::Show(show)) => job::show(settings, show),
        Command::Job(JobCommand::Resume(resume)) => job::resume(settings, resume),
        Command::Job(JobCommand::Cancel(cancel)) => job::cancel(settings, cancel),
        Command::Job(JobCommand::Rejects(rejects)) => job::rejects(settings, &rejects),
        Command::Job(JobCommand::Undo(undo)) => job::undo(settings, undo),
        Command::Job(JobCommand::Forget(forget)) => job::forget(settings, forget),
        Command::Export(export) => export::export(settings, &export),
        Command::Program(ProgramCommand::Add(add)) => program::add(settings, &add),
        Command::Program(ProgramCommand::List) => program::list(settings),
        Command::Program(ProgramCommand::Show(show)) => program::show(settings, &show),
        Command::Store(StoreCommand::Info) => store::info(settings),
        Command::Store(StoreCommand::Set(set)) => store::set(settings, set),
        Command::Preview(preview) => preview::preview(settings, preview),
        Command::Store(StoreCommand::Compact) => store::compact(settings),
        Command::Formats => formats::formats(settings),
        Command::Template(template) => formats::template(settings, &template),
        Command::Notify(notify) => tell::notify(settings, notify),
        Command::Verify => verify::verify(settings),
        Command::Backup(backup) => store::backup(settings, &backup),
        Command::Restore(restore) => store::restore(settings, &restore),
        Command::Completions(completions) => completions::completions(settings, completions),
        Command::Bench(bench) => bench::bench(settings, &bench),
    }
}
