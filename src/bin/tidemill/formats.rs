//! `tidemill formats` and `tidemill template`.

use std::collections::BTreeMap;

use serde_json::json;
use tidemill::{
    domain::command::Mode,
    error::{Error, Result},
    import::format::{ColumnField, Format, Kind},
};

use crate::{
    args::TemplateArgs,
    exit::Exit,
    file::{check_output, write_new, write_rows},
    settings::Settings,
    workbook::{self, is_workbook},
};

/// `tidemill formats`.
pub fn formats(settings: &Settings) -> Result<Exit> {
    settings
        .output
        .result(&BTreeMap::from([("formats", Format::all())]), || Format::all().iter().map(format_text).collect())?;
    Ok(Exit::Done)
}

/// `tidemill template`. It never replaces a file: the one that is there may have been filled in.
pub fn template(settings: &Settings, args: &TemplateArgs) -> Result<Exit> {
    let format = Format::builtin(None, &args.format).ok_or_else(|| unknown(&args.format))?;
    check_output(settings, args.output.as_deref(), &["csv", "xlsx"])?;
    let (text, rows) = (format.template_csv(), format.sample.rows.len());
    match args.output.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => {
            if is_workbook(path) {
                write_new(path, &workbook::template(format)?)?;
            } else {
                write_new(path, text.as_bytes())?;
            }
            let document = json!({ "format": format.name, "file": path.display().to_string(), "rows": rows });
            settings.output.result(&document, || {
                let path = path.display();
                let noun = if rows == 1 { "row" } else { "rows" };
                let imports = kinds(&format.name).map(|kind| {
                    let flags = if kind == Kind::Expiry { flags_of_expiry(&format.name) } else { "" };
                    format!("`tidemill import {kind} {path}{flags}`")
                });
                let imports = imports.collect::<Vec<_>>().join(" or ");
                format!(
                    "Wrote `{path}`: a header and {rows} sample {noun}\n\n\
                     Next: fill it in, and import it with {imports}\n"
                )
            })?;
        }
        None => write_rows(settings, None, |out| {
            let written = out.write_all(text.as_bytes());
            written.map_err(|error| Error::io("standard output cannot be written", &error))?;
            Ok(rows as u64)
        })?,
    }
    Ok(Exit::Done)
}

/// What `import expiry` has to be told beside a file of this name.
fn flags_of_expiry(name: &str) -> &'static str {
    match name {
        "expiry-date-range" => " --profile date-range --from DATE --to DATE --change early|extended --set EXPIRY",
        "expiry-promotion" => " --profile promotion --promotion ID --change early|extended --set EXPIRY",
        "expiry-reference" => " --profile reference",
        _ => "",
    }
}

/// The imports that read files of this name; customers first, who must be there before points are.
fn kinds(name: &str) -> impl Iterator<Item = Kind> {
    let kinds = [Kind::Customers, Kind::Points, Kind::Expiry, Kind::Selection];
    kinds.into_iter().filter(move |&kind| Format::builtin(Some(kind), name).is_some())
}

fn unknown(name: &str) -> Error {
    let mut names: Vec<_> = Format::all().iter().map(|format| format!("`{}`", format.name)).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Error::usage(format!("there is no format `{name}`")).hint(format!("take one of {}", names.join(", ")))
}

fn format_text(format: &Format) -> String {
    let needs: Vec<_> = format.mandatory.iter().map(|group| headers(format, group.iter().copied())).collect();
    let may = format.columns.iter().filter_map(|column| column.field);
    let may: Vec<_> = may.filter(|field| !format.mandatory.iter().flatten().any(|needed| needed == field)).collect();
    let command = match format.kind {
        Kind::Selection => "bulk … --customers".to_owned(),
        kind => format!("import {kind}"),
    };
    let mut text = format!("{} (`tidemill {command}`)\n  {}\n", format.name, format.title);
    if !needs.is_empty() {
        text += &format!("  needs the columns {}\n", needs.join(", "));
    }
    if !may.is_empty() {
        let names: Vec<_> = may.into_iter().map(|field| headers(format, [field])).collect();
        text += &format!("  may have {}\n", names.join(", "));
    }
    if format.reason_required {
        text += "  needs `--reason`\n";
    }
    if format.mode_required {
        text += "  needs `--mode add` or `--mode reset`\n";
    }
    if let Some(mode) = format.mode {
        text += if mode == Mode::Add { "  adds its amounts\n" } else { "  sets balances\n" };
    }
    text
}

/// The usual headers of these fields: `email` or `mobile`.
fn headers(format: &Format, fields: impl IntoIterator<Item = ColumnField>) -> String {
    let usual = |field: ColumnField| {
        let header = format.column(field).and_then(|column| column.headers.first());
        format!("`{}`", header.map_or(field.name(), String::as_str))
    };
    fields.into_iter().map(usual).collect::<Vec<_>>().join(" or ")
}
