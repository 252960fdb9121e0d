//! Copies of a store: taken while it works, and made into a store again.
//!
//! The database gives a checkpoint, which links its tables instead of copying them. Commits wait while it is taken, for as
//! long as it takes to write out what is in memory only: a checkpoint reads its list of tables and its write-ahead log one
//! after the other, and a window that came between the two would be missing from a copy that has the next one.
//!
//! A backup is no store: it lacks the file that says so, and nothing can open it, let alone write into it. Its own file
//! is written last, so that a backup that was cut short is none.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rocksdb::checkpoint::Checkpoint;

use super::{FORMAT_VERSION, Store, VERSION_FILE, disk, head::Head, io, lock, staging};
use crate::error::{Error, ErrorKind, Result};

/// Says that a directory is a whole backup, and of which format.
pub const BACKUP_FILE: &str = "TIDEMILL_BACKUP";
/// Says that a restore is not done: no store is made over what it has left behind.
const RESTORING_FILE: &str = "TIDEMILL_RESTORING";
const DATABASE: &str = "db";

/// Tells one backup's place of preparation from another's.
static PREPARED: AtomicU64 = AtomicU64::new(0);

/// Writes a backup into a directory that is empty or not there yet; returns its bytes.
///
/// On the disk of the store, tables are linked and take no room until the store drops them; the two then share what a failing
/// disk takes from both.
///
/// # Errors
/// `Refused` when the directory is not empty; `Usage` when it lies in the store; `Storage` when the disk fails. What was
/// written until then is removed.
pub fn backup(store: &Store, to: &Path) -> Result<u64> {
    let target = Target::prepare(to, "backup_exists")?;
    let (inner, outer) = (to.canonicalize(), store.directory().canonicalize());
    if let (Ok(inner), Ok(outer)) = (inner, outer)
        && inner.starts_with(&outer)
    {
        return target.fail(
            Error::usage(format!("`{}` lies in the store's own directory", to.display()))
                .hint("name a directory elsewhere, best on another disk"),
        );
    }
    let prepared = staging::directory(store.directory()).join(format!("backup-{}", PREPARED.fetch_add(1, Relaxed)));
    let copied = take(store, &prepared)
        .and_then(|()| copy(&prepared, to, true))
        .and_then(|()| Store::write_durably(&to.join(BACKUP_FILE), format!("{FORMAT_VERSION}\n").as_bytes()));
    // What cannot be removed now is removed at the next open.
    let _ = fs::remove_dir_all(&prepared);
    match copied {
        Ok(()) => Ok(disk::bytes_of(to)),
        Err(error) => target.fail(error),
    }
}

/// The directory in the store's of inputs that came as streams, and that unfinished jobs need; see `import::spool`.
pub const SPOOL_DIRECTORY: &str = "spool";

/// A consistent state of the store in a directory beside it.
fn take(store: &Store, prepared: &Path) -> Result<()> {
    let what = || format!("cannot prepare `{}`", prepared.display());
    io(what(), fs::create_dir_all(prepared))?;
    // No commit is made, and none is noted, while this is held.
    let head = lock(&store.head);
    Checkpoint::new(&store.db)?.create_checkpoint(prepared.join(DATABASE))?;
    Head::write_copy(prepared, head.promise())?;
    // The input of an unfinished job is there as long as the job is unfinished, so now.
    let (from, to) = (store.directory().join(SPOOL_DIRECTORY), prepared.join(SPOOL_DIRECTORY));
    if from.is_dir() {
        io(what(), fs::create_dir_all(&to))?;
        for entry in io(what(), fs::read_dir(&from))?.flatten() {
            transfer(&entry.path(), &to.join(entry.file_name()), true)?;
        }
    }
    Ok(())
}

/// Makes a store of a backup, in a directory that is empty or not there yet, and opens it once to see that it is one.
///
/// # Errors
/// `NotFound` when `from` is no backup; `Refused` when `to` is not empty; `Usage` for another format version; what opening
/// says. What was written until then is removed.
pub fn restore(from: &Path, to: &Path) -> Result<()> {
    let version = match fs::read_to_string(from.join(BACKUP_FILE)) {
        Ok(version) => version.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::not_found("backup_unknown", format!("`{}` is no backup", from.display())).hint(
                "name a directory that `tidemill backup DIR` wrote to its end; a store is copied with that command too",
            ));
        }
        Err(error) => return Err(Error::io(format_args!("cannot read `{}`", from.display()), &error)),
    };
    if version != FORMAT_VERSION.to_string() {
        let message = format!(
            "the backup `{}` has format version `{version}`, this program knows version {FORMAT_VERSION}",
            from.display()
        );
        return Err(
            Error::new(ErrorKind::Usage, "format_version", message).hint("use the version of tidemill that wrote it")
        );
    }
    let target = Target::prepare(to, "store_exists")?;
    let restored = Store::write_durably(&to.join(RESTORING_FILE), b"")
        .and_then(|()| copy(from, to, false))
        .and_then(|()| Store::write_durably(&to.join(VERSION_FILE), format!("{FORMAT_VERSION}\n").as_bytes()))
        .and_then(|()| Store::open(to, false).map(drop))
        .and_then(|()| {
            let marker = to.join(RESTORING_FILE);
            io(format_args!("cannot remove `{}`", marker.display()), fs::remove_file(&marker))?;
            disk::sync_directory(to)
        });
    restored.or_else(|error| target.fail(error))
}

/// Copies database, head and inputs, and syncs them.
fn copy(from: &Path, to: &Path, may_link: bool) -> Result<()> {
    for name in [DATABASE, SPOOL_DIRECTORY] {
        let (from, to) = (from.join(name), to.join(name));
        let is_input = name == SPOOL_DIRECTORY;
        if is_input && !from.is_dir() {
            continue;
        }
        io(format_args!("cannot create `{}`", to.display()), fs::create_dir_all(&to))?;
        for entry in io(format_args!("cannot read `{}`", from.display()), fs::read_dir(&from))? {
            let entry = io(format_args!("cannot read `{}`", from.display()), entry)?;
            // Tables and inputs are never written again; the database's other files are.
            let is_final = is_input || entry.path().extension().is_some_and(|end| end == "sst");
            transfer(&entry.path(), &to.join(entry.file_name()), may_link && is_final)?;
        }
        disk::sync_directory(&to)?;
    }
    transfer(&from.join(super::head::FILE), &to.join(super::head::FILE), false)?;
    disk::sync_directory(to)
}

/// Links a file, or copies it where that cannot be.
fn transfer(from: &Path, to: &Path, may_link: bool) -> Result<()> {
    if may_link && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let what = || format!("cannot copy `{}` to `{}`", from.display(), to.display());
    io(what(), fs::copy(from, to))?;
    io(what(), fs::File::open(to).and_then(|file| file.sync_all()))
}

/// A directory that is filled, or left as it was found.
struct Target {
    path: PathBuf,
    is_ours: bool,
}

impl Target {
    fn prepare(path: &Path, code: &'static str) -> Result<Target> {
        let is_ours = !path.exists();
        if !is_ours {
            let mut entries = io(format_args!("cannot read `{}`", path.display()), fs::read_dir(path))?;
            if entries.next().is_some() {
                return Err(Error::refused(code, format!("`{}` is not empty", path.display()))
                    .hint("nothing was changed; name a directory that is empty or not there yet"));
            }
        }
        io(format_args!("cannot create `{}`", path.display()), fs::create_dir_all(path))?;
        Ok(Target { path: path.to_owned(), is_ours })
    }

    /// Removes what was written, as far as that can be done, and hands the error on.
    fn fail<T>(self, error: Error) -> Result<T> {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        if self.is_ours {
            let _ = fs::remove_dir(&self.path);
        }
        Err(error)
    }
}
