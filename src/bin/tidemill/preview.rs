//! `tidemill preview`.

use tidemill::{
    engine::{
        preview::{preview as preview_file, raw_preview},
        request::FileRequest,
    },
    error::Result,
    import::{
        preview::{Preview, PreviewRow, RawPreview},
        spool::Spool,
    },
    job::progress::Progress,
};

use crate::{
    args::PreviewArgs,
    exit::Exit,
    import::is_stdin,
    settings::Settings,
    text::{
        Side::{Left, Right},
        counted, table,
    },
};

/// Characters of a cell that are shown.
const CELL_CHARS_MAX: usize = 40;

/// `tidemill preview`. It needs a store only where one is named.
pub fn preview(settings: &Settings, args: PreviewArgs) -> Result<Exit> {
    let is_raw = args.raw;
    let mut request = args.request()?;
    take_in(&mut request.points.file)?;
    if is_raw {
        let found = raw_preview(&request.points.file, request.rows_max)?;
        settings.output.result(&found, || raw_text(&found))?;
        return Ok(Exit::of_rejected(found.rejected.len() as u64));
    }
    let found = if settings.is_store_given { settings.open()?.preview(&request)? } else { preview_file(&request)? };
    settings.output.result(&found, || preview_text(&found))?;
    Ok(Exit::of_rejected(found.rejected))
}

/// Reads standard input, if that is the file, into the directory for temporary files.
fn take_in(file: &mut FileRequest) -> Result<()> {
    if is_stdin(file) {
        let directory = std::env::temp_dir();
        file.spooled = Some(Spool::write(&directory, 0, std::io::stdin(), &Progress::default())?);
    }
    Ok(())
}

fn raw_text(found: &RawPreview) -> String {
    let cells = |cells: &[String]| cells.iter().map(|cell| shown(cell)).collect::<Vec<_>>().join("  |  ");
    let records = found.records.iter().map(|record| (record.line, cells(&record.cells)));
    let problems =
        found.rejected.iter().map(|problem| (problem.line, format!("{}: {}", problem.code.code(), problem.message)));
    let mut lines: Vec<_> = records.chain(problems).collect();
    lines.sort_by_key(|(line, _)| *line);
    let rows: Vec<_> = lines.into_iter().map(|(line, text)| vec![line.to_string(), text]).collect();
    if rows.is_empty() { "No records\n".to_owned() } else { table("", &[Right, Left], &rows) }
}

fn preview_text(found: &Preview) -> String {
    let mut text = format!("Format `{}`, for `tidemill import {}`\n", found.format, found.kind);
    let columns = found.mapping.iter().map(|(field, header)| format!("{field} from `{header}`"));
    let mut written = vec![format!("numbers `{}`", found.number_format), format!("dates `{}`", found.date_format)];
    if let Some(delimiter) = found.delimiter {
        written.insert(0, format!("`{}` between cells", delimiter.escape_default()));
    }
    written.splice(0..0, found.encoding.map(str::to_owned));
    let mut facts = vec![vec!["columns".to_owned(), columns.collect::<Vec<_>>().join(", ")]];
    if !found.ignored_columns.is_empty() {
        facts.push(vec!["ignored".to_owned(), format!("`{}`", found.ignored_columns.join("`, `"))]);
    }
    if let Some(sheet) = &found.sheet {
        facts.push(vec!["sheet".to_owned(), format!("`{}`", shown(sheet))]);
    }
    facts.push(vec!["written in".to_owned(), written.join(", ")]);
    text += &table("  ", &[Left, Left], &facts);
    let fields: Vec<_> = found.mapping.keys().collect();
    let mut rows = vec![vec!["line".to_owned()]];
    rows[0].extend(fields.iter().map(|field| field.name().to_owned()));
    rows[0].push("what becomes of it".to_owned());
    for row in &found.rows {
        let mut cells = vec![row.line.to_string()];
        cells.extend(fields.iter().map(|field| row.values.get(field).map_or(String::new(), |value| shown(value))));
        cells.push(end_text(row));
        rows.push(cells);
    }
    let sides: Vec<_> = std::iter::once(Right).chain(std::iter::repeat_n(Left, fields.len() + 1)).collect();
    text += "\n";
    text += &table("", &sides, &rows);
    text += &format!("\n{}, ", counted(found.rows.len() as u64, "row", "rows"));
    text += &match found.rejected {
        0 => "none with a problem\n".to_owned(),
        rejected => format!("{rejected} with a problem\n"),
    };
    text
}

/// What a dry run made of the row; without a store, what is wrong with it.
fn end_text(row: &PreviewRow) -> String {
    match (&row.outcome, &row.problem) {
        (Some(outcome), _) => {
            let code = outcome.code.iter().map(|code| format!("{}: {code}", outcome.status));
            let status = code.chain((outcome.code.is_none()).then(|| outcome.status.clone()));
            let message = outcome.message.iter().cloned();
            let balance = outcome.balance.iter().map(|balance| format!("balance {balance}"));
            status.chain(message).chain(balance).collect::<Vec<_>>().join(", ")
        }
        (None, Some(problem)) => format!("{}: {}", problem.code.code(), problem.message),
        (None, None) => String::new(),
    }
}

/// A cell in one line, cut where it is long.
fn shown(cell: &str) -> String {
    let mut shown: String = cell.chars().take(CELL_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cell.chars().nth(CELL_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
