//! `tidemill program`.

use std::collections::BTreeMap;

use tidemill::{
    domain::{currency::minor_units, program::Program},
    engine::view::ProgramView,
    error::{Error, Result},
};

use crate::{
    args::{ProgramAddArgs, ProgramShowArgs},
    exit::Exit,
    settings::Settings,
    text::{
        Side::{Left, Right},
        grouped, is_zero, minus, table,
    },
};

/// `tidemill program add`.
pub fn add(settings: &Settings, args: &ProgramAddArgs) -> Result<Exit> {
    let name = args.name.as_deref().unwrap_or_default();
    let currency = args.currency.as_deref();
    // A currency that is none has no decimals, and is refused in the next step.
    let decimals = args.decimals.or_else(|| currency.and_then(minor_units)).unwrap_or(0);
    let program = Program::new(&args.code, name, decimals, currency).map_err(Error::usage)?;
    settings.create()?.add_program(program.clone())?;
    settings.output.result(&program, || format!("Added\n{}", programs_text(std::slice::from_ref(&program))))?;
    Ok(Exit::Done)
}

/// `tidemill program list`.
pub fn list(settings: &Settings) -> Result<Exit> {
    let programs = settings.open()?.programs();
    settings.output.result(&BTreeMap::from([("programs", &programs)]), || programs_text(&programs))?;
    Ok(Exit::Done)
}

/// `tidemill program show`.
pub fn show(settings: &Settings, args: &ProgramShowArgs) -> Result<Exit> {
    let view = settings.open()?.program_view(&args.code)?;
    settings.output.result(&view, || program_text(&view))?;
    Ok(Exit::Done)
}

fn program_text(view: &ProgramView) -> String {
    let mut text = format!("Program `{}`\n", view.code);
    let overdue = (!is_zero(&view.overdue)).then(|| {
        let points = grouped(&view.overdue);
        format!("{points} points whose last day is over, in no sum below: `tidemill expire` expires them")
    });
    let facts = [
        ("name", Some(view.name.clone())),
        ("currency", view.currency.clone()),
        ("decimals", Some(view.decimals.to_string())),
        ("accounts", Some(grouped(view.accounts))),
        ("overdue", overdue),
    ];
    let rows: Vec<_> = facts.into_iter().filter_map(|(label, value)| Some(vec![label.to_owned(), value?])).collect();
    text += &table("  ", &[Left, Left], &rows);

    // What no month has of the promised points is permanent, as with the available ones.
    let promised = view.expiring.iter().try_fold(view.promised.clone(), |left, month| minus(&left, &month.promised));
    let row =
        |label: &str, available: &str, promised: &str| vec![label.to_owned(), grouped(available), grouped(promised)];
    let mut rows = vec![row("last day in", "available", "promised")];
    rows.extend(view.expiring.iter().map(|month| row(&month.month, &month.available, &month.promised)));
    rows.push(row("permanent", &view.permanent, &promised.unwrap_or_default()));
    rows.push(row("in all", &view.balance, &view.promised));
    text += "\nPoints\n";
    text += &table("  ", &[Left, Right, Right], &rows);
    text
}

fn programs_text(programs: &[Program]) -> String {
    let mut rows = vec![["code", "decimals", "currency", "name"].map(str::to_owned).to_vec()];
    rows.extend(programs.iter().map(|program| {
        let currency = program.currency.clone().unwrap_or_default();
        vec![program.code.clone(), program.decimals.to_string(), currency, program.name.clone()]
    }));
    table("", &[Left, Right, Left, Left], &rows)
}
