//! `tidemill program`.

use std::collections::BTreeMap;

use tidemill::{
    domain::program::Program,
    error::{Error, Result},
};

use crate::{
    args::ProgramAddArgs,
    exit::Exit,
    settings::Settings,
    text::{
        Side::{Left, Right},
        table,
    },
};

/// `tidemill program add`.
pub fn add(settings: &Settings, args: &ProgramAddArgs) -> Result<Exit> {
    let name = args.name.as_deref().unwrap_or_default();
    let program = Program::new(&args.code, name, args.decimals, args.currency.as_deref()).map_err(Error::usage)?;
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

fn programs_text(programs: &[Program]) -> String {
    let mut rows = vec![["code", "decimals", "currency", "name"].map(str::to_owned).to_vec()];
    rows.extend(programs.iter().map(|program| {
        let currency = program.currency.clone().unwrap_or_default();
        vec![program.code.clone(), program.decimals.to_string(), currency, program.name.clone()]
    }));
    table("", &[Left, Right, Left, Left], &rows)
}
