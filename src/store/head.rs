//! How far the store has promised to be: a small file of its own, synced after every commit.
//!
//! The database cannot tell a log that was cut from one that ended there: the tail of its write-ahead log may be missing
//! after a crash, and is dropped without a word. What is missing may be an adjustment that somebody was told is durable. So
//! each commit is noted here once the database has it, and what is noted must be there when the store is opened. A crash
//! between the two leaves a note that is older, which harms nothing.
//!
//! Two places of the file are written in turn, so that a torn write leaves the other one whole.

use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use crate::{
    domain::id::JobId,
    error::{Error, Result},
};

/// The file's name in the store's directory.
pub const FILE: &str = "TIDEMILL_HEAD";

/// Bytes between the two places: a sector of any disk.
const PLACE_BYTES: u64 = 4096;
const NOTE_BYTES: usize = 36;
const MAGIC: [u8; 8] = *b"tmhead01";

/// What was committed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// The job of the last commit.
    pub job: JobId,
    /// The window; 0 is the job's start.
    pub window: u32,
    /// How often settings, programs and positions of caches were written.
    pub changes: u64,
}

/// The open file.
pub struct Head {
    file: File,
    number: u64,
    promise: Promise,
}

impl Head {
    /// Opens the file, or makes it for a new store.
    ///
    /// # Errors
    /// `Corrupt` when it is missing or neither place can be read.
    pub fn open(directory: &Path, is_new: bool) -> Result<Head> {
        let path = directory.join(FILE);
        let failed = |error: &std::io::Error| Error::io(format_args!("cannot open `{}`", path.display()), error);
        if is_new {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
            let file = file.map_err(|error| failed(&error))?;
            // Its full length is taken now, so that noting a commit never needs room on the disk.
            let zeros = [0; 2 * PLACE_BYTES as usize];
            write_at(&file, &zeros, 0).and_then(|()| file.sync_all()).map_err(|error| failed(&error))?;
            super::disk::sync_directory(directory)?;
            let mut head = Head { file, number: 0, promise: Promise::default() };
            head.write()?;
            head.write()?;
            return Ok(head);
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::corrupt(format!("`{}` is missing", path.display())).hint("restore the store from a backup")
            }
            _ => failed(&error),
        })?;
        let newest = [0, PLACE_BYTES].into_iter().filter_map(|place| read_note(&file, place)).max_by_key(|note| note.0);
        let (number, promise) = newest.ok_or_else(|| {
            Error::corrupt(format!("`{}` is damaged", path.display())).hint("restore the store from a backup")
        })?;
        Ok(Head { file, number, promise })
    }

    /// Writes the file of a copy of the store, which has what was promised.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_copy(directory: &Path, promise: Promise) -> Result<()> {
        let mut head = Head::open(directory, true)?;
        head.promise = promise;
        // Both places, so that the copy too stands a torn note.
        head.write()?;
        head.write()
    }

    /// What must be in the store.
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// Notes a committed window: the last one, also of a job that goes on behind newer ones, as a cut takes the last first.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_window(&mut self, job: JobId, window: u32) -> Result<()> {
        (self.promise.job, self.promise.window) = (job, window);
        self.write()
    }

    /// Notes a change of settings, programs or caches.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_changes(&mut self, changes: u64) -> Result<()> {
        self.promise.changes = changes;
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        self.number += 1;
        let mut note = [0; NOTE_BYTES];
        note[..8].copy_from_slice(&MAGIC);
        note[8..16].copy_from_slice(&self.number.to_le_bytes());
        note[16..20].copy_from_slice(&self.promise.job.0.to_le_bytes());
        note[20..24].copy_from_slice(&self.promise.window.to_le_bytes());
        note[24..32].copy_from_slice(&self.promise.changes.to_le_bytes());
        let crc = crc32fast::hash(&note[..32]);
        note[32..].copy_from_slice(&crc.to_le_bytes());
        write_at(&self.file, &note, self.number % 2 * PLACE_BYTES)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| Error::io(format_args!("cannot write `{FILE}`"), &error))
    }
}

fn read_note(file: &File, place: u64) -> Option<(u64, Promise)> {
    let mut note = [0; NOTE_BYTES];
    read_at(file, &mut note, place).ok()?;
    let four = |at: usize| note.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let eight = |at: usize| note.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    if note[..8] != MAGIC || crc32fast::hash(&note[..32]) != four(32)? {
        return None;
    }
    Some((eight(8)?, Promise { job: JobId(four(16)?), window: four(20)?, changes: eight(24)? }))
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], place: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], place: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, place)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], place: u64) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], place: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_note_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut head = Head::open(directory.path(), true).unwrap();
        head.note_window(JobId(2), 1).unwrap();
        head.note_window(JobId(1), 1).unwrap();
        let promise = |job, window, changes| Promise { job: JobId(job), window, changes };
        assert_eq!(Head::open(directory.path(), false).unwrap().promise(), promise(1, 1, 0));
        head.note_changes(7).unwrap();
        let (path, newest) = (directory.path().join(FILE), head.number % 2 * PLACE_BYTES);
        let whole = std::fs::read(&path).unwrap();
        for byte in 0..NOTE_BYTES {
            let mut torn = whole.clone();
            torn[newest as usize + byte] ^= 1;
            std::fs::write(&path, torn).unwrap();
            assert_eq!(Head::open(directory.path(), false).unwrap().promise(), promise(1, 1, 0));
        }
        std::fs::write(&path, vec![0; whole.len()]).unwrap();
        assert!(Head::open(directory.path(), false).is_err());
        std::fs::write(&path, &whole[..NOTE_BYTES - 1]).unwrap();
        assert!(Head::open(directory.path(), false).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(Head::open(directory.path(), false).is_err());
    }
}
