//! The reports that a job writes beside the store: where they may go, and how the reject file comes to be.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::{
    domain::id::JobId,
    engine::parameters::Parameters,
    error::{Error, ErrorKind, Result},
    import::{format::Kind, input::Layout},
    report::rejects,
    store::{Store, disk},
};

/// Makes a report's path independent of the working directory, as a resume may run in another.
pub fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>> {
    if path.is_some_and(|path| path.as_os_str() == "-") {
        return Err(Error::usage("a report cannot go to standard output, which has the summary")
            .hint("name a file; the rejected rows are also printed by `tidemill job rejects N`"));
    }
    let absolute = |path| std::path::absolute(path).map_err(|error| Error::io("the working directory", &error));
    path.map(absolute).transpose()
}

/// Finds out before anything is recorded whether the reports can be written where they are wanted.
///
/// # Errors
/// `Usage` when a report cannot be written, or would overwrite the input or the other report.
pub fn check(input: &Path, parameters: &Parameters) -> Result<()> {
    let reports = [
        ("--rejects", &parameters.rejects),
        ("--processed", &parameters.processed),
        ("--notifications", &parameters.notifications),
    ];
    let mut taken = vec![(input, "the input")];
    for (flag, path) in reports {
        let Some(path) = path else { continue };
        if let Some((_, other)) = taken.iter().find(|(other, _)| is_same_file(other, path)) {
            return Err(Error::usage(format!("`{flag} {}` is {other} as well", path.display()))
                .hint("nothing was changed; give each report a file of its own"));
        }
        check_writable(path)?;
        taken.push((path, flag));
    }
    Ok(())
}

/// Whether two paths lead to one file, by whatever links. A file that is not there yet is known by its directory.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        path.canonicalize().ok().or_else(|| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)))
    };
    if place(one).is_some_and(|place_of_one| Some(place_of_one) == place(other)) {
        return true;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let inode = |path: &Path| std::fs::metadata(path).ok().filter(|m| m.is_file()).map(|m| (m.dev(), m.ino()));
        inode(one).is_some_and(|inode_of_one| Some(inode_of_one) == inode(other))
    }
    #[cfg(not(unix))]
    false
}

fn check_writable(path: &Path) -> Result<()> {
    let existed = path.exists();
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| {
        Error::new(
            ErrorKind::Usage,
            "report_unwritable",
            format!("the report `{}` cannot be written: {error}", path.display()),
        )
        .hint("nothing was changed; name another file, or make its directory writable")
    })?;
    if !existed {
        // The empty file was only a trial; a report appears when it is written.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// The columns of the reject file of a job: those of its file. Of a bulk operation without one, the identifiers of customers.
pub fn layout_of(parameters: &Parameters) -> Option<Layout> {
    let bulk = parameters.bulk.as_ref().filter(|_| parameters.layout.is_none());
    bulk.and_then(|_| Layout::of_builtin(Kind::Selection, "customer-list")).or_else(|| parameters.layout.clone())
}

/// Creates the file of a report.
pub fn create(path: &Path) -> Result<BufWriter<File>> {
    let file =
        File::create(path).map_err(|error| Error::io(format_args!("the report `{}`", path.display()), &error))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

/// Writes a job's rejected rows from the store to the file that was asked for: whole, or not at all.
///
/// # Errors
/// When the file cannot be written; what stood there before stays then.
pub fn write_rejects(store: &Store, job: JobId, parameters: &Parameters) -> Result<()> {
    let Some(path) = &parameters.rejects else { return Ok(()) };
    let failed =
        |error: &std::io::Error| Error::io(format_args!("the reject file `{}`", path.display()), error).of_job(job);
    // Devices and pipes cannot be replaced, only written to.
    let is_plain = path.metadata().map_or(true, |found| found.is_file());
    let written = if is_plain { with_suffix(path, ".partial") } else { path.clone() };
    let file = File::create(&written)
        .map_err(|error| failed(&error).at(format_args!("`{}`", written.display())).of_job(job))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let result = rejects::write(store, job, layout_of(parameters).as_ref(), &mut out)
        .and_then(|_| out.flush().map_err(|error| failed(&error)))
        .and_then(|()| if is_plain { out.get_ref().sync_all().map_err(|error| failed(&error)) } else { Ok(()) })
        .map_err(|error| error.at(format_args!("`{}`", path.display())).of_job(job));
    if !is_plain {
        return result;
    }
    if let Err(error) = result {
        let _ = std::fs::remove_file(&written);
        return Err(error);
    }
    std::fs::rename(&written, path)
        .map_err(|error| failed(&error).at(format_args!("`{}`", path.display())).of_job(job))?;
    disk::sync_directory(path.parent().unwrap_or(Path::new(".")))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
