//! A report while it grows with the job's rows: appended to in file order, cut back to its recorded length by a resume.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::direct_file::DirectFile;
use crate::error::{Error, ErrorKind, Result};

/// The file of such a report.
pub struct GrowingFile {
    file: File,
    path: PathBuf,
    length: u64,
    /// Whole blocks go past the system's cache where they can: nobody reads the report before it is whole, and W1 takes 6 %
    /// less processor time. What does not fill a block goes through it, when it must be there.
    direct: Option<DirectFile>,
}

impl GrowingFile {
    /// Creates the file, or goes on with one whose first `length` bytes are durable.
    ///
    /// # Errors
    /// When it cannot be created, or a file to go on with is missing or shorter than recorded.
    pub fn open(path: &Path, length: u64, header: &[u8]) -> Result<GrowingFile> {
        let failed = |error: std::io::Error| Error::io(format_args!("the report `{}`", path.display()), &error);
        if length == 0 {
            let mut file = File::create(path).map_err(failed)?;
            file.write_all(header).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            crate::store::disk::sync_directory(path.parent().unwrap_or(Path::new(".")))?;
            let whole = DirectFile::whole_blocks(header.len() as u64);
            let direct = DirectFile::open(path, whole, &header[whole as usize..]);
            return Ok(GrowingFile { file, path: path.to_owned(), length: header.len() as u64, direct });
        }
        let file = OpenOptions::new().read(true).write(true).open(path);
        let found = match &file {
            Ok(file) => file.metadata().map_err(failed)?.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(_) => length,
        };
        if found < length {
            return Err(Error::new(
                ErrorKind::Input,
                "report_missing",
                format!("the report `{}` has {found} of {length} bytes that were written", path.display()),
            )
            .hint("put the file back as it was, or give it up: `tidemill job resume N --without-processed`"));
        }
        let mut file = file.map_err(failed)?;
        file.set_len(length).map_err(failed)?;
        let whole = DirectFile::whole_blocks(length);
        let mut rest = Vec::new();
        file.seek(SeekFrom::Start(whole)).and_then(|_| file.read_to_end(&mut rest)).map_err(failed)?;
        let direct = DirectFile::open(path, whole, &rest);
        Ok(GrowingFile { file, path: path.to_owned(), length, direct })
    }

    /// A file to which several jobs append, and from which somebody may have taken what it held. A resumed job cuts off what
    /// it wrote behind its recorded length, if nobody else wrote there: all lines begin with `own` then.
    ///
    /// # Errors
    /// When it cannot be created, read or cut.
    pub fn append_to(path: &Path, length: Option<u64>, own: &[u8]) -> Result<GrowingFile> {
        let failed = |error: std::io::Error| Error::io(format_args!("the file `{}`", path.display()), &error);
        let is_new = !path.exists();
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(failed)?;
        if is_new {
            crate::store::disk::sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        }
        let mut end = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if let Some(length) = length.filter(|&length| length < end) {
            file.seek(SeekFrom::Start(length)).map_err(failed)?;
            let is_own = |line: &[u8]| line.starts_with(own) || own.starts_with(line);
            let mut lines = BufReader::new(&file).split(b'\n');
            if lines.try_fold(true, |all, line| line.map(|line| all && is_own(&line))).map_err(failed)? {
                file.set_len(length).map_err(failed)?;
                end = length;
            }
            file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        Ok(GrowingFile { file, path: path.to_owned(), length: end, direct: None })
    }

    /// Appends lines. They are in the file after [`flush`](GrowingFile::flush).
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, lines: &[u8]) -> Result<()> {
        self.length += lines.len() as u64;
        let written = match &mut self.direct {
            Some(direct) => direct.append(lines),
            None => self.file.write_all(lines),
        };
        written.map_err(|error| self.failed(&error))
    }

    /// Writes what was appended, so that a sync makes it durable.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let written = match &mut self.direct {
            Some(direct) => direct.flush(&mut self.file),
            None => Ok(()),
        };
        written.map_err(|error| self.failed(&error))
    }

    /// Its length with everything appended.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A second handle that can sync while this one appends.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub fn syncer(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::io(format_args!("the report `{}`", self.path.display()), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than what is gathered before it is written past the system's cache, and never a whole block.
    #[test]
    fn a_report_goes_on_from_its_recorded_length_whatever_was_written_behind_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("processed.csv");
        let mut expected = b"line,status\n".to_vec();
        let mut length = 0;
        for round in 0..5_u8 {
            let mut file = GrowingFile::open(&path, length, &expected).unwrap();
            for part in 0..4 {
                let lines = vec![b'a' + round; 700_001 + part];
                file.append(&lines).unwrap();
                expected.extend(lines);
            }
            file.flush().unwrap();
            length = file.length();
            assert_eq!(length, expected.len() as u64);
            assert!(std::fs::read(&path).unwrap() == expected, "round {round}");
            // What a killed job had written behind its last window, of which its end never came to the file.
            file.append(&vec![b'x'; 3_000_017]).unwrap();
        }
        let _cut = GrowingFile::open(&path, length, &[]).unwrap();
        assert!(std::fs::read(&path).unwrap() == expected);
        std::fs::write(&path, b"short").unwrap();
        assert!(GrowingFile::open(&path, length, &[]).is_err());
    }
}
