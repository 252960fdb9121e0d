//! Care for the store as a whole.

use std::path::Path;

use super::{
    Engine,
    view::{BackupView, CompactView},
};
use crate::{
    error::Result,
    options::Options,
    store::{backup, caches, disk, lock},
};

impl Engine {
    /// Writes the caches and the small commits anew without what nothing names any more. Waits for a running job.
    ///
    /// # Errors
    /// When the database fails.
    pub fn compact(&self) -> Result<CompactView> {
        let held = lock(&self.state);
        let bytes_before = disk::bytes_of(self.store.directory());
        caches::compact(&self.store)?;
        let bytes_after = disk::bytes_of(self.store.directory());
        drop(held);
        Ok(CompactView { bytes_before, bytes_after })
    }

    /// Writes a copy of the store, as it is at one moment, into a directory that is empty or not there yet. Jobs go on
    /// meanwhile; one that is unfinished can be resumed on the copy.
    ///
    /// # Errors
    /// `Refused` when the directory is not empty; `Storage` when the disk fails.
    pub fn backup(&self, to: &Path) -> Result<BackupView> {
        let bytes = backup::backup(&self.store, to)?;
        Ok(BackupView { directory: to.display().to_string(), bytes })
    }

    /// Makes a store of a backup, in a directory that is empty or not there yet, and opens it.
    ///
    /// # Errors
    /// `NotFound` when there is no backup; `Refused` when the directory is not empty; else as `open`.
    pub fn restore(from: &Path, to: &Path, options: Options) -> Result<Engine> {
        backup::restore(from, to)?;
        Engine::open(to, options)
    }
}
