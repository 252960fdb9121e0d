//! `tidemill export`.

use tidemill::{
    error::{Error, Result},
    report::export::Export,
};

use crate::{
    args::{ExportArgs, ExportWhat},
    exit::Exit,
    file::{check_output, write_rows},
    settings::Settings,
};

/// `tidemill export`.
pub fn export(settings: &Settings, args: &ExportArgs) -> Result<Exit> {
    let what = wanted(args)?;
    check_output(settings, args.output.as_deref(), &["csv"])?;
    let engine = settings.open()?;
    write_rows(settings, args.output.as_deref(), |out| engine.export(what, out))?;
    Ok(Exit::Done)
}

fn wanted(args: &ExportArgs) -> Result<Export> {
    let what = match args.what {
        ExportWhat::Balances => return Ok(Export::Balances { nonzero: args.nonzero }),
        ExportWhat::Customers => Export::Customers,
        ExportWhat::Ledger => Export::Ledger,
        ExportWhat::Lots => Export::Lots,
    };
    if args.nonzero {
        return Err(Error::usage("`--nonzero` goes with `export balances` only").hint("leave it out"));
    }
    Ok(what)
}
