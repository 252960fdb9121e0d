//! Files that a command writes with `-o`: whole or not at all.

use std::fs::File;
use std::io::{BufWriter, ErrorKind::AlreadyExists, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use tidemill::{
    error::{Error, Result},
    store::disk::sync_directory,
};

use crate::{output::Pipe, settings::Settings, text::counted};

/// Writes rows to a file, or to standard output if `output` is none or `-`, and says so. `write` returns their number.
///
/// # Errors
///
/// Those of `write` and of the file, which then is as it was.
pub fn write_rows(
    settings: &Settings,
    output: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<u64>,
) -> Result<()> {
    let Some(path) = output.filter(|path| path.as_os_str() != "-") else {
        return to_stdout(write);
    };
    let mut file = Draft::create(path)?;
    let rows = write(&mut file.writer)?;
    file.publish()?;
    let document = json!({ "file": path.display().to_string(), "rows": rows });
    settings.output.result(&document, || format!("Wrote {} to `{}`\n", counted(rows, "row", "rows"), path.display()))
}

fn to_stdout(write: impl FnOnce(&mut dyn Write) -> Result<u64>) -> Result<()> {
    let mut pipe = Pipe::new();
    let written = write(&mut pipe)
        .and_then(|_| pipe.flush().map_err(|error| Error::io("standard output cannot be written", &error)));
    // `tidemill export … | head` has what it wanted.
    if pipe.is_closed() { Ok(()) } else { written }
}

/// Refuses an output that cannot be, before anything is opened: a file whose ending is none of these, or rows on a standard output that shall hold a JSON document.
///
/// # Errors
///
/// When the rows cannot go where they shall.
pub fn check_output(settings: &Settings, output: Option<&Path>, endings: &[&str]) -> Result<()> {
    let ends_so = |path: &Path| {
        path.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
    };
    let output = output.filter(|path| path.as_os_str() != "-");
    check_json_output(settings, output)?;
    match output {
        Some(path) if !ends_so(path) => {
            let what = match endings {
                [only] => format!("does not end in `.{only}`, the only kind of file that is written"),
                several => format!("ends in none of `.{}`, the kinds of files that are written", several.join("`, `.")),
            };
            let hint = "name a file that ends in `.csv`, or leave `-o` out and pipe standard output on";
            Err(Error::usage(format!("`{}` {what}", path.display())).hint(hint))
        }
        None | Some(_) => Ok(()),
    }
}

/// Refuses rows on a standard output that shall hold a JSON document.
///
/// # Errors
///
/// When that is so.
pub fn check_json_output(settings: &Settings, output: Option<&Path>) -> Result<()> {
    if output.is_none() && settings.output.is_json() {
        return Err(Error::usage("with `--json` standard output holds the JSON document, so the rows need a file")
            .hint("name one with `-o FILE`"));
    }
    Ok(())
}

/// Writes a new file; one that exists is left alone, since somebody may have worked in it.
///
/// # Errors
///
/// When the file exists or cannot be written.
pub fn write_new(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        AlreadyExists => Error::refused("file_exists", format!("`{}` exists and was left as it is", path.display()))
            .hint("name another file, or remove this one first"),
        _ => Error::io(format_args!("`{}` cannot be written", path.display()), &error),
    };
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)
}

/// Writes a file in the place of another, whole or not at all.
///
/// # Errors
///
/// When the file cannot be written; the other is then as it was.
pub fn write_over(path: &Path, text: &str) -> Result<()> {
    let mut file = Draft::create(path)?;
    let written = file.writer.write_all(text.as_bytes());
    written.map_err(|error| Error::io(format_args!("`{}` cannot be written", path.display()), &error))?;
    file.publish()
}

/// A file under another name until it is whole.
struct Draft {
    writer: BufWriter<File>,
    /// The name it gets; links are followed, so that a link stays one.
    path: PathBuf,
    /// The name it has; none where the target is no regular file, such as a named pipe.
    draft: Option<PathBuf>,
}

impl Draft {
    fn create(path: &Path) -> Result<Draft> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
        let draft = if is_special {
            None
        } else {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.part", std::process::id()));
            Some(path.with_file_name(name))
        };
        let opened = match &draft {
            Some(draft) => File::create(draft),
            None => File::options().write(true).open(&path),
        };
        let file = opened.map_err(|error| Error::io(format_args!("`{}` cannot be written", path.display()), &error))?;
        Ok(Draft { writer: BufWriter::with_capacity(1 << 16, file), path, draft })
    }

    /// Makes the file durable under its own name.
    fn publish(mut self) -> Result<()> {
        let failed = |error| Error::io(format_args!("`{}` cannot be written", self.path.display()), &error);
        self.writer.flush().map_err(failed)?;
        let Some(draft) = &self.draft else { return Ok(()) };
        self.writer.get_ref().sync_all().and_then(|()| std::fs::rename(draft, &self.path)).map_err(failed)?;
        self.draft = None;
        sync_directory(self.path.parent().unwrap_or(Path::new("")))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // What is left behind if even this fails has a name that says so.
            let _ = std::fs::remove_file(draft);
        }
    }
}
