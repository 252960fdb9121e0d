//! `tidemill export`.

use std::{
    io::{self, Write},
    path::Path,
};

use tidemill::{
    error::{Error, ErrorKind, Result},
    report::export::{Export, format::ExportFormat},
};

use crate::{
    args::{ExportArgs, ExportTextFormat, ExportWhat},
    exit::Exit,
    file::{check_json_output, write_rows},
    settings::Settings,
    signals,
};

/// `tidemill export`.
pub fn export(settings: &Settings, args: &ExportArgs) -> Result<Exit> {
    let what = wanted(args)?;
    let file = args.output.as_deref().filter(|path| path.as_os_str() != "-");
    let format = format(args, file)?;
    check_json_output(settings, file)?;
    if file.is_some() {
        // What was begun of a file is removed by whoever stops in order.
        signals::arm()?;
    }
    let engine = settings.open()?;
    let written = write_rows(settings, file, |out| engine.export(what, format, &mut Interruptible(out)));
    match file {
        Some(file) if written.is_err() && signals::received().is_some() => {
            let message = format!("stopped on request; `{}` is as it was", file.display());
            Err(Error::new(ErrorKind::Stopped, "stopped", message).hint("repeat the command"))
        }
        _ => written.map(|()| Exit::Done),
    }
}

fn format(args: &ExportArgs, file: Option<&Path>) -> Result<ExportFormat> {
    match (file, args.format) {
        (Some(_), Some(_)) => Err(Error::usage("`--format` is for standard output; a file's ending says what it is")
            .hint("leave `--format` out, or leave `-o` out")),
        (Some(file), None) => ExportFormat::of_path(file),
        (None, None | Some(ExportTextFormat::Csv)) => Ok(ExportFormat::CSV),
        (None, Some(ExportTextFormat::Ndjson)) => Ok(ExportFormat::NDJSON),
    }
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

/// Ends the writing when a signal came.
struct Interruptible<'a>(&'a mut dyn Write);

impl Write for Interruptible<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if signals::received().is_some() { Err(io::Error::other("stopped")) } else { self.0.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
