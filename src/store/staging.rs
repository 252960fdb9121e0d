//! Files on their way into the database, in the directory `staging` beside it.
//!
//! RocksDB takes a file in under a second name: it links it into its directory, writes the name into its MANIFEST, and then
//! removes ours. If the MANIFEST cannot be written or synced it takes its own link away again, although the record may be
//! there all the same: what a sync that failed has left behind is known only when it is read again. Then the MANIFEST names
//! a file that is gone, and the database cannot be opened any more. So a file stays here under a name that nothing else
//! takes until the store is opened next, and is given back there if it is missed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rocksdb::IngestExternalFileOptions;

use super::io;
use crate::error::Result;

/// The directory's name.
const NAME: &str = "staging";
/// Attempts to give files back: one ingest has rarely more than three files, and as many are missed at most.
const ATTEMPTS_MAX: usize = 100;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Where a store's files are staged.
pub fn directory(store: &Path) -> PathBuf {
    store.join(NAME)
}

/// A path in this directory that nothing had before, in this process; older processes' files are removed at open.
pub fn path(staging: &Path, name: &str) -> PathBuf {
    staging.join(format!("{:06}-{name}.sst", NUMBER.fetch_add(1, Relaxed)))
}

/// How files are taken in: they are linked, not copied.
pub fn ingest_options() -> IngestExternalFileOptions {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    options
}

/// Removes what a process that was killed, or failed, left behind.
///
/// # Errors
/// When it cannot be removed.
pub fn empty(store: &Path) -> Result<()> {
    for entry in io("cannot read the staging directory", fs::read_dir(directory(store)))?.flatten() {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        io("cannot empty the staging directory", removed)?;
    }
    Ok(())
}

/// Opens a database; files that it misses and that are still staged are given back first. RocksDB compares each with the
/// size and the unique number that its MANIFEST has, so a file that is not the missed one is refused, and taken away again.
///
/// # Errors
/// Those of `open`, the first one.
pub fn opened<T>(
    store: &Path,
    database: &Path,
    open: impl Fn() -> std::result::Result<T, rocksdb::Error>,
) -> std::result::Result<T, rocksdb::Error> {
    let first = match open() {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    let entries = fs::read_dir(directory(store)).into_iter().flatten().flatten();
    let mut staged: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|name| name == "sst")).collect();
    // The order in which they were taken in, and numbered.
    staged.sort();
    let mut search = Search { database, open: &open, staged, attempts: 0 };
    match search.give_back(&first) {
        Some(opened) if super::disk::sync_directory(database).is_ok() => Ok(opened),
        _ => Err(first),
    }
}

struct Search<'a, O> {
    database: &'a Path,
    open: &'a O,
    staged: Vec<PathBuf>,
    attempts: usize,
}

impl<T, O: Fn() -> std::result::Result<T, rocksdb::Error>> Search<'_, O> {
    /// Tries each staged file in the place of the one that is missed.
    fn give_back(&mut self, error: &rocksdb::Error) -> Option<T> {
        let missed = missed_table(self.database, error.as_ref())?;
        for at in 0..self.staged.len() {
            self.attempts += 1;
            if self.attempts > ATTEMPTS_MAX {
                return None;
            }
            let staged = self.staged.remove(at);
            if fs::hard_link(&staged, &missed).or_else(|_| fs::copy(&staged, &missed).map(drop)).is_ok() {
                let opened = match (self.open)() {
                    Ok(opened) => Some(opened),
                    Err(error) => self.give_back(&error),
                };
                if opened.is_some() {
                    return opened;
                }
            }
            // A link of ours, or nothing.
            let _ = fs::remove_file(&missed);
            self.staged.insert(at, staged);
        }
        None
    }
}

/// The table that an error names and that is not there.
fn missed_table(database: &Path, error: &str) -> Option<PathBuf> {
    let before_suffix = error.match_indices(".sst").map(|(at, _)| &error[..at]);
    before_suffix
        .filter_map(|text| {
            let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let number = text.get(text.len() - digits..).filter(|number| !number.is_empty())?;
            Some(database.join(format!("{number}.sst")))
        })
        .find(|path| !path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::id::JobId,
        store::{Store, key::LogKey, log::Commit},
    };

    /// A store whose last ingest of two files is named by its MANIFEST, but lost; the names of these files.
    fn store_without_its_last_files(directory: &Path) -> Vec<PathBuf> {
        let tables = || -> Vec<PathBuf> {
            let paths = fs::read_dir(directory.join("db")).unwrap().map(|entry| entry.unwrap().path());
            paths.filter(|path| path.extension().is_some_and(|name| name == "sst")).collect()
        };
        let store = Store::open(directory, true).unwrap();
        let commit = |number: u32| {
            let mut commit = Commit::default();
            commit.put(LogKey::Job(JobId(number), 0, 0), &vec![number as u8; 200 << 10]);
            commit.put(LogKey::Ledger(crate::domain::id::Sequence(u64::from(number))), &vec![9; 150 << 10]);
            store.log().commit(&commit).unwrap();
        };
        commit(1);
        let before = tables();
        commit(2);
        drop(store);
        let mut lost: Vec<PathBuf> = tables().into_iter().filter(|path| !before.contains(path)).collect();
        lost.sort();
        assert_eq!(lost.len(), 2);
        lost
    }

    #[test]
    fn files_that_the_database_misses_are_given_back_in_whatever_order_they_are_staged() {
        for names in [["000001-jobs.sst", "000002-ledger.sst"], ["000002-jobs.sst", "000001-ledger.sst"]] {
            let place = tempfile::tempdir().unwrap();
            let directory = place.path().join("store");
            let lost = store_without_its_last_files(&directory);
            for (path, name) in lost.iter().zip(names) {
                fs::rename(path, directory.join(NAME).join(name)).unwrap();
            }
            fs::write(directory.join(NAME).join("000000-other.sst"), b"no table").unwrap();
            let store = Store::open(&directory, false).unwrap();
            let value = store.log().get(LogKey::Job(JobId(2), 0, 0)).unwrap().unwrap();
            assert_eq!(value, vec![2; 200 << 10]);
            assert_eq!(fs::read_dir(directory.join(NAME)).unwrap().count(), 0);
            drop(store);
            assert!(Store::open(&directory, false).is_ok());
        }
    }

    #[test]
    fn a_file_that_is_not_the_missed_one_is_not_taken_for_it() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("store");
        let lost = store_without_its_last_files(&directory);
        // The first for both, which is another table.
        let staged = directory.join(NAME).join("000001-jobs.sst");
        fs::rename(&lost[0], &staged).unwrap();
        fs::remove_file(&lost[1]).unwrap();
        assert!(Store::open(&directory, false).is_err());
        assert!(staged.exists() && lost.iter().all(|path| !path.exists()));
    }

    #[test]
    fn the_missed_table_is_the_one_that_is_named_and_not_there() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("000007.sst"), b"").unwrap();
        let missed = |error| missed_table(place.path(), error).map(|path| path.file_name().unwrap().to_owned());
        let named = "While open a file: store/db/000007.sst, store/db/000023.sst: No such file or directory";
        assert_eq!(missed(named).unwrap(), "000023.sst");
        assert_eq!(missed("Corruption: x.sst and 000007.sst"), None);
        assert_eq!(missed(".sst"), None);
    }
}
