//! Inputs that came as streams: files in the store's directory, kept until their jobs end.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Store, io, jobs};
use crate::{domain::job::JobState, error::Result};

/// The directory's name in the store's.
pub const DIRECTORY: &str = "uploads";

/// The directory of what the engine itself keeps of a stream while it reads it, see `import::spool`.
pub const SPOOL_DIRECTORY: &str = "spool";

/// Tells one upload of this process from another.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The directory in a store's directory.
pub fn directory(store: &Path) -> PathBuf {
    store.join(DIRECTORY)
}

/// A name for a new upload, which no other file has.
///
/// # Errors
/// When the directory cannot be made.
pub fn new_file(store: &Store) -> Result<PathBuf> {
    let directory = directory(store.directory());
    io(format_args!("cannot create `{}`", directory.display()), fs::create_dir_all(&directory))?;
    // The clock keeps it from the names of earlier processes.
    let name = format!("{}-{}", crate::clock::now().millis(), NUMBER.fetch_add(1, Relaxed));
    Ok(directory.join(name))
}

/// Where an upload lies now that a job recorded at `location`: a store may have been moved, or be a copy.
pub fn located(store: &Store, location: &Path) -> Option<PathBuf> {
    let name = location.file_name()?;
    let is_upload = location.parent().and_then(Path::file_name).is_some_and(|parent| parent == DIRECTORY);
    Some(directory(store.directory()).join(name)).filter(|path| is_upload && path.is_file())
}

/// Removes the uploads that no unfinished job has for its input: at open, when nothing is on its way.
///
/// # Errors
/// When the jobs cannot be read.
pub fn drop_unneeded(store: &Store) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory(store.directory())) else { return Ok(()) };
    for entry in entries.flatten() {
        drop_unless_needed(store, &entry.path())?;
    }
    Ok(())
}

/// Removes an upload unless an unfinished job has it for its input. Other files are left alone.
///
/// # Errors
/// When the jobs cannot be read. That the file cannot be removed is none: it is tried again at the next open.
pub fn drop_unless_needed(store: &Store, location: &Path) -> Result<()> {
    let Some(upload) = located(store, location) else { return Ok(()) };
    let is_needed = jobs::jobs(store)?.iter().filter(|job| job.state() == JobState::Unfinished).any(|job| {
        let recorded = job.start.parameters["layout"]["location"].as_str();
        recorded.is_some_and(|recorded| Path::new(recorded).file_name() == upload.file_name())
    });
    if !is_needed {
        let _ = fs::remove_file(upload);
    }
    Ok(())
}
